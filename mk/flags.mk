# SPDX-License-Identifier: BSD-2-Clause
#
# Compiler flags.  Read only by targets that build: the compiler is asked for
# its version and the place of its own headers.

cc_version := $(shell $(CC) --version 2>/dev/null | sed 1q)
ifeq ($(cc_version),)
$(error the compiler '$(CC)' does not run)
endif
cc_include := $(if $(findstring clang,$(cc_version)),$(shell \
	$(CC) -print-resource-dir)/include,$(shell $(CC) -print-file-name=include))

warn_flags := -Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes \
	$(if $(filter 1,$(WERROR)),-Werror)

# -fno-sanitize-recover: the first finding of UBSan ends the program.
san_flags := $(if $(SANITIZE),-fsanitize=$(SANITIZE) \
	$(if $(findstring undefined,$(SANITIZE)),-fno-sanitize-recover=undefined))
ifdef FUZZ
san_cflags := -fsanitize=fuzzer-no-link $(san_flags)
else
san_cflags := $(san_flags)
endif
# gcc warns of every fence that its thread sanitizer can't see; the code says
# what it means to the sanitizer itself.
ifneq ($(findstring thread,$(SANITIZE)),)
san_cflags += $(if $(findstring clang,$(cc_version)),,-Wno-tsan)
endif

common_flags := -std=gnu11 $(CFLAGS) -fno-omit-frame-pointer -fno-common \
	$(warn_flags) $(san_cflags) $(if $(filter no,$(TRACE)),-DQUERN_NO_TRACE)

# Freestanding: kernel/ and components/.  Nothing but the compiler's own
# headers is in reach.
free_flags := $(common_flags) -fPIC -ffreestanding -fno-stack-protector \
	-fvisibility=default -nostdinc -isystem $(cc_include)

# Hosted: hypercall/*, bin/, tests/, examples/.
host_flags := $(common_flags) -fPIC -D_GNU_SOURCE -pthread
link_flags := $(LDFLAGS) $(san_flags) -pthread
