# SPDX-License-Identifier: BSD-2-Clause
#
# Quern's one Makefile.  Every unit, program and test directory has a Makefile
# of its own that only sets variables; the rules are in mk/.  docs/building.md
# says how they fit together, `make help` what can be made.

all:

include mk/config.mk

# These need neither packages nor units, and print nothing but their result.
easy := clean help hypercalls
.PHONY: $(easy)

ifneq ($(filter-out $(easy),$(or $(MAKECMDGOALS),all)),)
include mk/units.mk
include mk/programs.mk
include mk/targets.mk
endif

clean:
	rm -rf build $(filter-out . .. /,$(BUILD))

hypercalls:
	@perl mk/hypercalls.pl hypercall/hypercall.h

help:
	@sed -n '/^#/d; s/@VERSION@/$(VERSION)/; p' mk/help.txt
