# SPDX-License-Identifier: BSD-2-Clause
#
# The targets of `make help` that build something.

.PHONY: all libs tests test check check-quick soak fuzz fuzz-run bench demo hello \
    tidy graph abi install

bin_progs := $(addprefix $B/,$(bins))

all: libs $(bin_progs)
libs: $(libs) $(pcs) $(foreach u,$(units),$(call links_of,$u))
tests: $(addprefix $B/,$(progs) $(soaks) $(benches)) $(example_progs)

# --- tests ------------------------------------------------------------------

# What a mode runs: scripts test the build, so the plain mode only.
unfit := $(if $(SANITIZE),$(call in_dirs,NOSAN)) $(if $(filter \
	thread,$(SANITIZE)),$(call in_dirs,NOTSAN))
chosen = $(if $(TESTS),$(filter $(addprefix %/,$(TESTS)),$1),$(if \
	$(QUICK),$(filter-out $(slow),$1),$1))
run_progs  := $(call chosen,$(filter-out $(unfit),$(progs)))
run_shells := $(if $(SANITIZE),,$(call chosen,$(shells)))
san_factor := $(if $(SANITIZE),4,1)

# $(call run_list,programs,scripts): a line each, for mk/runtests.sh.
alone := $(call in_dirs,ALONE)
define run_list
$(foreach p,$1,$(TIMEOUT.$p) $B/$p $(if $(filter $p,$(alone)),alone)$(nl))
$(foreach p,$2,$(TIMEOUT.$p) $p $(if $(filter $p,$(alone)),alone)$(nl))
endef

test_env = MAKE='$(MAKE)' CC='$(CC)' PKG_CONFIG='$(PKG_CONFIG)' \
	QUERN_BUILD='$B' QUERN_MODE='$(SANITIZE)' QUERN_FACTOR=$(san_factor)

# What the programs of these names run.
runs_of = $(filter $(bin_progs),$(foreach d,$(sort $(foreach p,$1,$(DIR.$p))),\
	$(addprefix $B/bin/,$(RUNS.$d)))) \
	$(foreach d,$(sort $(foreach p,$1,$(DIR.$p))),$(addprefix \
	$B/$d/,$(GUESTS.$d)))

test: $(addprefix $B/,$(run_progs)) $(call runs_of,$(run_progs)) \
    $(if $(run_shells),all)
	$(file >$B/check/list,$(call run_list,$(run_progs),$(run_shells)))
	@$(test_env) sh mk/runtests.sh $B/check/list $B/check/tally

check:
	+@MAKE='$(MAKE)' BUILD='$(BUILD)' sh mk/check.sh full

check-quick:
	+@MAKE='$(MAKE)' BUILD='$(BUILD)' sh mk/check.sh quick

soak: $(addprefix $B/,$(call chosen,$(soaks))) $(call runs_of,$(soaks))
	$(file >$B/check/soak.list,$(call run_list,$(call chosen,$(soaks))))
	@$(test_env) QUERN_SOAK=1 sh mk/runtests.sh $B/check/soak.list \
	    $B/check/soak.tally

# --- fuzzers ----------------------------------------------------------------

FUZZ_S ?= 60
fuzz:
	+@MAKE='$(MAKE)' FUZZ_S='$(FUZZ_S)' QUERN_TALLY='$B/check/fuzz.tally' \
	    sh mk/fuzz.sh $(words $(fuzzers))

fuzz-run: $(addprefix $B/,$(fuzzers))
	@FUZZ_S='$(FUZZ_S)' QUERN_BUILD='$B' sh mk/fuzz.sh run $(fuzzers)

# --- speed ------------------------------------------------------------------

bench_names := $(or $(BENCH),$(patsubst b_%,%,$(notdir $(benches))))
bench_progs := $(foreach n,$(bench_names),$(or $(filter %/b_$n,$(benches)),$(if \
	$(filter bench,$(MAKECMDGOALS)),$(error there is no bench '$n'))))
# The base is also built without its trace, which is how its cost is measured.
notrace := $(filter %/b_base,$(bench_progs))
bench: $(addprefix $B/,$(bench_progs)) $(call runs_of,$(bench_progs))
	@mkdir -p $B/bench
	$(if $(notrace),+@$(MAKE) QUERN_INNER=1 SANITIZE= TRACE=no \
	    $(BUILD)/notrace/$(notrace))
	@QUERN_BUILD=$B QUERN_BENCH_NOTRACE=$(if $(notrace),$(BUILD)/notrace/$(notrace)) \
	    sh mk/bench.sh $B $(bench_progs)

# --- the rest ---------------------------------------------------------------

demo: $B/bin/vkernel $B/bin/quern
	@sh mk/demo.sh $(abspath $B)

hello: $B/examples/hello/hello
	@sh examples/hello/run.sh $<

# What the scripts have to know of the units, one record a line:
# unit NAME DIRECTORY free|host|headers USES CLOSURE PUBLIC GENERATED PKGS
# uses DIRECTORY UNIT...   (a program)
# lib, pc, bin, man FILE   (for install)
tab := $(subst x,,x	x)
unit_kind = $(if $(has_lib.$1),$(if $(HOST.$1),host,free),headers)
define manifest
$(foreach u,$(units),unit$(tab)$u$(tab)$(DIR.$u)$(tab)$(call \
	unit_kind,$u)$(tab)$(strip $(USES.$u))$(tab)$(strip \
	$(closure.$u))$(tab)$(strip $(PUBLIC.$u))$(tab)$(strip \
	$(genhdrs.$u))$(tab)$(strip $(pkgs.$u))$(nl))
$(foreach p,$(bins) $(programs),uses$(tab)$p$(tab)$(strip $(USES.$p))$(nl))
$(foreach l,$(libs),lib$(tab)$l$(nl))
$(foreach l,$(pcs),pc$(tab)$l$(nl))
$(foreach p,$(bins),bin$(tab)$B/$p$(nl))
$(foreach p,$(bins),$(foreach m,$(MAN.$p),man$(tab)$p/$m$(nl)))
$(foreach p,$(examples),example$(tab)$p$(tab)$(strip $(SRCS.$p))$(tab)$(strip \
	$(addprefix quern-,$(USES.$p)) $(PKGS.$p))$(nl))
endef
define write_manifest
$(file >$B/check/manifest.new,$(manifest))
@sed 's/^ *//; /^$$/d' $B/check/manifest.new >$B/check/manifest
endef

tidy: all
	$(write_manifest)
	@CC='$(CC)' sh mk/tidy/run.sh $B

graph: libs
	$(write_manifest)
	@sh mk/graph.sh $B

# Part of the source, so that it can be read without building.
abi:
	$(Q)awk -f kernel/makesyscalls.awk -v out=abi.md kernel/syscalls.def \
	    >docs/linux-abi.md

install: all
	$(write_manifest)
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' sh mk/install.sh $B

# For mk/check.sh.
.PHONY: san-works check-install
san-works:
	@echo 'int main(void) { return 0; }' | \
	    $(CC) $(san_flags) -x c - -o $B/check/probe
	@setarch -R $B/check/probe || $B/check/probe

check-install: all
	$(write_manifest)
	@$(test_env) sh mk/check-install.sh $B
