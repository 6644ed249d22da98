# SPDX-License-Identifier: BSD-2-Clause
#
# Programs.  bin/PROG/Makefile sets SRCS, USES, PKGS (and SRCS_pkg, SRCS_NO_pkg,
# FLAGS, LIBS) as a unit's does, and MAN; it is linked with the archives.  With
# SYSCALLS = yes it has a table of the calls of all units that it is linked with.
# examples/NAME/Makefile sets SRCS, USES and PKGS; it is built the way a user would,
# with what pkg-config says.  tests/DIR/Makefile sets USES, PKGS and
#
#	PROGS		test programs, SLOW among them left out of check-quick
#	SRCS_p		the sources of program p, p.c if not set; tests/... and
#			bin/... are taken from the top
#	USES_p, PKGS_p	more units and packages for p
#	TIMEOUT_p	seconds, where the usual 60 (300 if SLOW) don't do
#	SHELL_TESTS	scripts for sh
#	ALONE		programs and scripts beside which no other may run
#	SOAK		programs that `make soak` runs
#	BENCHES		programs b_NAME that `make bench` runs
#	FUZZERS		libFuzzer programs
#	NOSAN, NOTSAN	programs not run under any sanitizer, the thread sanitizer
#	RUNS		programs of bin/ that those of the directory run
#	GUESTS		static programs g_NAME.c of libc's alone, to run as guests
#			and on the host: never with a sanitizer
#
# Programs in tests/ are linked with the units before localising, and so reach
# their internals; they see the whole source tree as <kernel/impl.h>.

bin_dirs := $(patsubst %/Makefile,%,$(sort $(wildcard bin/*/Makefile)))
ex_dirs  := $(patsubst %/Makefile,%,$(sort $(wildcard examples/*/Makefile)))
test_dirs := $(patsubst %/Makefile,%,$(sort $(wildcard tests/Makefile \
	tests/*/Makefile tests/*/*/Makefile tests/*/*/*/Makefile \
	tests/*/*/*/*/Makefile)))

define save_bin
$(eval DIR.$1 := $1)
$(foreach v,SRCS USES PKGS FLAGS LIBS MAN SYSCALLS,$(eval $v.$1 := $$($v)))
$(eval optpkgs.$1 := $$(sort $$(patsubst NO_%,%,$$(patsubst SRCS_%,%,$$(filter \
	SRCS_%,$$(.VARIABLES))))))
$(foreach p,$(optpkgs.$1),$(call add_optional,$1,$p))
endef

define save_tests
$(foreach v,USES PKGS FLAGS LIBS $(prog_vars),$(eval $v.$1 := $$($v)))
$(eval programs.$1 := $(PROGS) $(SOAK) $(BENCHES) $(FUZZERS))
$(foreach p,$(programs.$1),\
	$(eval SRCS.$1/$p := $(or $(SRCS_$p),$p.c))\
	$(eval USES.$1/$p := $(USES) $(USES_$p))\
	$(eval PKGS.$1/$p := $(PKGS) $(PKGS_$p))\
	$(eval DIR.$1/$p := $1))
$(foreach p,$(PROGS) $(SHELL_TESTS) $(SOAK),$(eval TIMEOUT.$1/$p := \
	$(or $(TIMEOUT_$p),$(if $(filter $p,$(SLOW) $(SOAK)),300,60))))
endef

$(foreach d,$(bin_dirs) $(ex_dirs),$(eval $(call read_makefile,$d,save_bin,$d)))
$(foreach d,$(test_dirs),$(eval $(call read_makefile,$d,save_tests,$d)))

in_dirs = $(foreach d,$(test_dirs),$(addprefix $d/,$($1.$d)))
programs := $(foreach d,$(test_dirs),$(addprefix $d/,$(programs.$d)))

$(foreach p,$(bin_dirs) $(ex_dirs) $(programs),\
	$(foreach x,$(USES.$p),$(if $(filter $x,$(all_units)),,$(error \
		$(DIR.$p) uses '$x', which is no unit)))\
	$(eval closure.$p := $(call closure_of,$(USES.$p)))\
	$(eval pkgs.$p := $(call uniq_last,$(PKGS.$p) $(foreach \
		x,$(closure.$p),$(PKGS.$x))))\
	$(eval absent.$p := $(call absent_pkgs,$(pkgs.$p)))\
	$(if $(absent.$p),$(call note,$(absent.$p) absent: left out $p)))

present = $(foreach p,$1,$(if $(absent.$p),,$p))
bins     := $(call present,$(bin_dirs))
examples := $(call present,$(ex_dirs))
progs    := $(call present,$(call in_dirs,PROGS))
soaks    := $(call present,$(call in_dirs,SOAK))
benches  := $(call present,$(call in_dirs,BENCHES))
fuzzers  := $(call present,$(call in_dirs,FUZZERS))
shells   := $(call in_dirs,SHELL_TESTS)
slow     := $(call in_dirs,SLOW)
linked   := $(progs) $(soaks) $(benches) $(if $(FUZZ),$(fuzzers))

# --- bin/ -------------------------------------------------------------------

$(foreach p,$(bins),\
	$(eval gensrcs.$p := $(if $(SYSCALLS.$p),calltab.c))\
	$(eval objs.$p := $(call objects,$(SRCS.$p),$B/obj/$p) \
		$(call objects,$(gensrcs.$p),$B/obj/$p/gen))\
	$(eval order.$p := $(call links_of,$(closure.$p)))\
	$(eval flags.$p := $(host_flags) -iquote $p \
		$(call incs_of,$(closure.$p)) $(call pkg_cflags,$(pkgs.$p)) \
		$(FLAGS.$p))\
	$(eval parts.$p := $(objs.$p) $(call libs_of,$(closure.$p)))\
	$(eval link.$p := $(CC) $(link_flags) $(parts.$p) \
		$(call pkg_libs,$(pkgs.$p)) $(LIBS.$p) $(foreach \
		x,$(closure.$p),$(LIBS.$x)))\
	$(eval dirs += $B/gen/$p $(dir $(objs.$p) $B/$p $B/stamp/$p)))

# $(call link_rule,output,owner,parts)
define link_rule
$1: $3 $B/stamp/$2.link
	$$(call say,LINK,$$@)
	$$(Q)$$(link.$2) -o $$@
endef

define bin_rules
$(foreach s,$(SRCS.$1),$(call compile_rule,$(call \
	objects,$s,$B/obj/$1),$1/$s,$1)$(nl))
$(foreach s,$(gensrcs.$1),$(call compile_rule,$(call \
	objects,$s,$B/obj/$1/gen),$B/gen/$1/$s,$1)$(nl))
$(foreach s,$(gensrcs.$1),$(call awk_rule,$B/gen/$1/$s,$(closure.$1),$s)$(nl))
$(addprefix $B/gen/$1/,$(gensrcs.$1)): $B/stamp/$1.link
$(call link_rule,$B/$1,$1,$(parts.$1))
endef
$(foreach p,$(bins),$(eval $(call bin_rules,$p)))

# --- tests/ -----------------------------------------------------------------

# Sources are compiled once for all the programs of a directory.
src_path = $(if $(filter tests/% bin/%,$2),$2,$1/$2)
$(foreach d,$(test_dirs),\
	$(eval mine := $(filter $(addprefix $d/,$(programs.$d)),$(linked)))\
	$(eval clos := $(call closure_of,$(foreach p,$(mine),$(USES.$p))))\
	$(eval srcs.$d := $(sort $(foreach p,$(mine),$(SRCS.$p))))\
	$(eval objs.$d := $(call objects,$(srcs.$d),$B/obj/$d))\
	$(eval order.$d := $(call links_of,$(clos)))\
	$(eval flags.$d := $(host_flags) -iquote $d -I. $(call \
		incs_of,$(clos)) $(call pkg_cflags,$(sort $(foreach \
		p,$(mine),$(pkgs.$p)))) $(FLAGS.$d))\
	$(eval dirs += $(dir $(objs.$d)) $B/$d $B/stamp/$d))

$(foreach p,$(linked),\
	$(eval parts.$p := $(call objects,$(SRCS.$p),$B/obj/$(DIR.$p)) \
		$(foreach x,$(closure.$p),$(call robj_of,$x)))\
	$(eval link.$p := $(CC) $(link_flags) $(if $(filter \
		$p,$(fuzzers)),-fsanitize=fuzzer) $(parts.$p) \
		$(call pkg_libs,$(pkgs.$p)) $(LIBS.$(DIR.$p)) $(foreach \
		x,$(closure.$p),$(LIBS.$x))))

define test_rules
$(foreach s,$(srcs.$1),$(call compile_rule,$(call \
	objects,$s,$B/obj/$1),$(call src_path,$1,$s),$1)$(nl))
endef
$(foreach d,$(test_dirs),$(eval $(call test_rules,$d)))
$(foreach p,$(linked),$(eval $(call link_rule,$B/$p,$p,$(parts.$p))))

# --- guests -----------------------------------------------------------------

guest_flags = -std=gnu11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -static -pthread
guest_progs := $(foreach d,$(test_dirs),$(addprefix $B/$d/,$(GUESTS.$d)))
$(foreach d,$(test_dirs),$(if $(GUESTS.$d),$(eval dirs += $B/$d)))

# $(call guest_rule,directory,program)
define guest_rule
$B/$1/$2: $1/$2.c $(wildcard $1/guest.h)
	$$(call say,GUEST,$$@)
	$$(Q)$$(CC) $$(guest_flags) -o $$@ $$< -lm
endef
$(foreach d,$(test_dirs),$(foreach p,$(GUESTS.$d),$(eval $(call guest_rule,$d,$p))))

# --- examples/ --------------------------------------------------------------

$(foreach p,$(examples),\
	$(eval parts.$p := $(addprefix $p/,$(SRCS.$p)))\
	$(eval link.$p := $(CC) $(CFLAGS) $(warn_flags) $(LDFLAGS) $(parts.$p))\
	$(eval order.$p := $(call links_of,$(closure.$p)) \
		$(foreach x,$(closure.$p),$(call pc_of,$x)))\
	$(eval dirs += $B/$p $B/stamp/$(dir $p)))

# $(call example_rule,directory)
define example_rule
$B/$1/$(notdir $1): $(parts.$1) $(call libs_of,$(closure.$1)) $B/stamp/$1.link \
    | $(order.$1)
	$$(call say,EXAMPLE,$$@)
	$$(Q)flags=$$$$(PKG_CONFIG_PATH=$B/pkgconfig $$(PKG_CONFIG) --cflags \
	    --libs $(addprefix quern-,$(USES.$1)) $(PKGS.$1)) && \
	$$(link.$1) -MMD -MP -MF $$@.d -o $$@ $$$$flags
endef
$(foreach p,$(examples),$(eval $(call example_rule,$p)))
example_progs := $(foreach p,$(examples),$B/$p/$(notdir $p))

# --- stamps, directories, dependencies --------------------------------------

$(shell mkdir -p $(sort $(dirs)))

compiled := $(units) $(bins) $(test_dirs)
$(foreach o,$(compiled),$(if $(objs.$o),$(call stamp,$B/stamp/$o.flags,$(CC) \
	$(cc_version) $(flags.$o))))
$(foreach u,$(units),$(call stamp,$B/stamp/$u.link,$(LD) $(objs.$u) $(link.$u))\
	$(call stamp,$B/stamp/$u.public,$(PUBLIC.$u))\
	$(call stamp,$B/stamp/$u.pc,$(call pc_text,$u)))
$(foreach p,$(bins) $(linked) $(examples),$(call stamp,$B/stamp/$p.link,$(cc_version) \
	$(link.$p)))

-include $(wildcard $(foreach o,$(compiled),$(patsubst %.o,%.d,$(objs.$o))) \
	$(addsuffix .d,$(example_progs)))
