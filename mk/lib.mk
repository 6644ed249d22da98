# SPDX-License-Identifier: BSD-2-Clause
#
# Functions for the other files of mk/.

# $(call uniq_last,words): each word once, where it was last.
uniq_last = $(if $1,$(if $(filter $(firstword $1),$(wordlist \
	2,$(words $1),$1)),,$(firstword $1)) $(call uniq_last,$(wordlist \
	2,$(words $1),$1)))

# $(call objects,sources,directory): x.c gives x.o, x.S gives x.s.o.
objects = $(patsubst %.c,$2/%.o,$(patsubst %.S,$2/%.s.o,$1))

# $(call note,text): says something, in the outermost make only.
note = $(if $(QUERN_INNER),,$(info $1))

# $(call pkg,package): not empty if pkg-config knows it.  The answers are kept.
pkg = $(if $(pkg_is.$1),,$(eval pkg_is.$1 := $$(shell $(PKG_CONFIG) --exists $1 \
	2>/dev/null && echo yes || echo no)))$(filter yes,$(pkg_is.$1))
absent_pkgs = $(strip $(foreach p,$(sort $1),$(if $(call pkg,$p),,$p)))
pkg_flag = $(if $(pkg_$1.$2),,$(eval pkg_$1.$2 := $$(shell $(PKG_CONFIG) --$1 \
	$2) ))$(pkg_$1.$2)
pkg_cflags = $(foreach p,$1,$(call pkg_flag,cflags,$p))
pkg_libs   = $(foreach p,$1,$(call pkg_flag,libs,$p))

# $(call stamp,file,text): makes file hold text, leaving it alone if it does
# already.  What depends on the text (flags, a list of objects) depends on the
# file.
stamp = $(if $(call differ,$(strip $(file <$1)),$(strip $2)),$(file >$1,$(strip \
	$2)))
differ = $(subst x$1x,,x$2x)$(subst x$2x,,x$1x)

# $(call read_makefile,directory,function,argument): reads directory/Makefile
# with all of its variables unset before, and calls function with the argument
# and the directory to keep what it needs.
define read_makefile
$(foreach v,$(all_vars),override undefine $v$(nl))
include $1/Makefile
$$(if $$(call $2,$3,$1),)
$$(foreach v,$$(filter $(foreach v,SRCS PKGS USES TIMEOUT ARGS,$v_%),\
	$$(.VARIABLES)),$$(eval override undefine $$v))
endef

# $(call compile_rule,object,source,owner): flags.OWNER are its flags,
# order.OWNER what must have been made before.
define compile_rule
$1: $2 $B/stamp/$3.flags | $(order.$3)
	$$(call say,CC,$2)
	$$(Q)$$(CC) $$(flags.$3) -MMD -MP -MF $$(@:.o=.d) -c -o $$@ $$<
endef
