# SPDX-License-Identifier: BSD-2-Clause
#
# Units: the archives.  A unit is a directory under hypercall/, kernel/ or
# components/ with a Makefile that sets
#
#	SRCS		its .c and .S files
#	USES		the units whose public headers it may include
#	EXPORT		globs of the symbols that stay global in the archive
#	DESC		one line for the .pc file
#	PUBLIC		headers others may include, as <quern/NAME>
#	SYSCALLS	yes: it implements calls of kernel/syscalls.def
#	PKGS		pkg-config packages it can't be built without
#	SRCS_pkg, SRCS_NO_pkg
#			files added where an optional package is present, absent
#	LOADS		those of them that it loads when it needs them: not linked
#	IMAGE		NAME: NAME.c, which runs in guests, and NAME.lds make a shared
#			object NAME.so for the .incbin of image.S, a source of SRCS
#	HOST		yes: it sees libc (the default in hypercall/)
#	FLAGS, LIBS	compiler and linker flags of its own: give the reason
#
# and nothing else.  Its name is the directory's, or host-NAME for
# hypercall/NAME.  Everything known of unit U is kept in variables U's name ends:
# SRCS.U, USES.U and so on.

unit_vars := SRCS USES EXPORT DESC PUBLIC SYSCALLS PKGS LOADS IMAGE HOST FLAGS LIBS
prog_vars := MAN PROGS SHELL_TESTS SLOW BENCHES SOAK FUZZERS NOSAN NOTSAN ALONE \
	RUNS GUESTS
all_vars  := $(unit_vars) $(prog_vars)

define nl


endef

include mk/lib.mk
include mk/deps.mk
include mk/flags.mk

# --- read the Makefiles -----------------------------------------------------

unit_dirs := $(patsubst %/Makefile,%,$(sort $(wildcard hypercall/Makefile \
	hypercall/*/Makefile kernel/Makefile components/*/Makefile \
	components/*/*/Makefile components/*/*/*/Makefile)))
unit_name = $(if $(filter hypercall/%,$1),host-)$(notdir $1)
units :=

define save_unit
$(if $(filter $1,$(units)),$(error $2: there is a unit '$1' already in \
	$(DIR.$1)))
$(eval units += $1)
$(eval DIR.$1 := $2)
$(foreach v,$(unit_vars),$(eval $v.$1 := $$($v)))
$(if $(filter hypercall/%,$2),$(if $(HOST),,$(eval HOST.$1 := yes)))
$(if $(IMAGE),$(eval FLAGS.$1 += -Wa,-I$B/obj/$1))
$(eval optpkgs.$1 := $$(sort $$(patsubst NO_%,%,$$(patsubst SRCS_%,%,$$(filter \
	SRCS_%,$$(.VARIABLES))))))
$(foreach p,$(optpkgs.$1),$(call add_optional,$1,$p))
endef

# $(call add_optional,unit,package)
add_optional = $(if $(call pkg,$2),$(eval SRCS.$1 += $$(SRCS_$2))$(eval \
	$(if $(filter $2,$(LOADS.$1)),FLAGS.$1 += $(call \
	pkg_cflags,$2),PKGS.$1 += $2)),$(eval SRCS.$1 += $$(SRCS_NO_$2))$(if $(SRCS_$2),$(call \
	note,$2 absent: left out $(addprefix $(DIR.$1)/,$(SRCS_$2)))))

$(foreach d,$(unit_dirs),$(eval $(call read_makefile,$d,save_unit,$(call \
	unit_name,$d))))

# --- who uses whom ----------------------------------------------------------

# closure.U: U and everything it uses, each before what it uses itself.
# $(call resolve,unit,path that led to it)
define resolve
$(if $(filter $1,$(units)),,$(error $(DIR.$(lastword $2)) uses '$1', which is no \
	unit))
$(if $(filter $1,$2),$(error units use each other in a circle: $2 $1))
$(if $(closure.$1),,
$(foreach x,$(USES.$1),$(call resolve,$x,$2 $1))
$(eval closure.$1 := $1 $(call uniq_last,$(foreach x,$(USES.$1),$(closure.$x)))))
endef
$(foreach u,$(units),$(if $(call resolve,$u),))

# $(call closure_of,units)
closure_of = $(call uniq_last,$(foreach x,$1,$(closure.$x)))

# A unit without one of its packages is left out, and so is what uses it.
$(foreach u,$(units),$(eval absent.$u := $(call absent_pkgs,$(foreach \
	x,$(closure.$u),$(PKGS.$x)))))
$(foreach u,$(units),$(if $(absent.$u),$(call note,$(absent.$u) absent: left out \
	$(DIR.$u))))
all_units := $(units)
units     := $(foreach u,$(units),$(if $(absent.$u),,$u))

# --- what comes of them -----------------------------------------------------

# What kernel/makesyscalls.awk makes for a unit with SYSCALLS = yes: a .c is
# compiled into the unit, a .h is one of its public headers.
syscall_kinds        := wrappers.c
syscall_kinds.kernel := wrappers.c table.c calls.h
kinds_of = $(if $(SYSCALLS.$1),$(or $(syscall_kinds.$1),$(syscall_kinds)))

$(foreach u,$(units),\
	$(eval gensrcs.$u := $(filter %.c,$(call kinds_of,$u)))\
	$(eval genhdrs.$u := $(filter %.h,$(call kinds_of,$u)))\
	$(eval objs.$u := $(call objects,$(SRCS.$u),$B/obj/$u) \
		$(call objects,$(gensrcs.$u),$B/obj/$u/gen))\
	$(eval has_lib.$u := $(strip $(objs.$u)))\
	$(eval has_inc.$u := $(strip $(PUBLIC.$u) $(genhdrs.$u)))\
	$(if $(has_lib.$u),$(if $(EXPORT.$u),,$(error $(DIR.$u): no EXPORT))))

lib_of  = $(if $(has_lib.$1),$B/lib/libquern-$1.a)
libs_of = $(foreach x,$1,$(call lib_of,$x))
robj_of = $(if $(has_lib.$1),$B/obj/$1.o)
pc_of   = $B/pkgconfig/quern-$1.pc

# $(call incs_of,units) and the files that must be there before those are read.
incs_of  = $(foreach x,$1,$(if $(has_inc.$x),-I$B/include/$x))
links_of = $(foreach x,$1,$(if $(has_inc.$x),$B/include/$x/.links) \
	$(addprefix $B/include/$x/quern/,$(genhdrs.$x)))

# Two units must not install the same header.
public_all := $(foreach u,$(units),$(has_inc.$u))
$(if $(filter-out $(words $(public_all)),$(words $(sort $(public_all)))),$(error \
	two units have a public header of the same name))

$(foreach u,$(units),\
	$(eval clos := $(closure.$u))\
	$(eval order.$u := $(call links_of,$(clos)))\
	$(eval pkgs.$u := $(call uniq_last,$(foreach x,$(clos),$(PKGS.$x))))\
	$(eval flags.$u := $(if $(HOST.$u),$(host_flags),$(free_flags)) \
		-iquote $(DIR.$u) $(call incs_of,$(clos)) \
		$(call pkg_cflags,$(pkgs.$u)) $$(FLAGS.$u))\
	$(eval link.$u := $(OBJCOPY) -w $(foreach g,$(EXPORT.$u),-G '$g'))\
	$(eval dirs += $(dir $(objs.$u)) $B/gen/$u $B/include/$u/quern))

# $(call pc_text,unit)
define pc_text
prefix=$${pcfiledir}/..
includedir=$${prefix}/include/$1
libdir=$${prefix}/lib

Name: quern-$1
Description: $(DESC.$1)
Version: $(VERSION)
Requires: $(strip $(addprefix quern-,$(USES.$1)) $(PKGS.$1))
Cflags: $(strip $(if $(has_inc.$1),-I$${includedir}) $(san_flags))
Libs: $(strip $(if $(has_lib.$1),-L$${libdir} -lquern-$1) \
	$(if $(HOST.$1),-pthread) $(LIBS.$1) $(san_flags))
endef

# $(call unit_rules,unit)
define unit_rules
$(foreach s,$(SRCS.$1),$(call compile_rule,$(call \
	objects,$s,$B/obj/$1),$(DIR.$1)/$s,$1)$(nl))
$(foreach s,$(gensrcs.$1),$(call compile_rule,$(call \
	objects,$s,$B/obj/$1/gen),$B/gen/$1/$s,$1)$(nl))
$(foreach s,$(gensrcs.$1),$(call awk_rule,$B/gen/$1/$s,$1,$s)$(nl))
$(foreach h,$(genhdrs.$1),$(call awk_rule,$B/include/$1/quern/$h,$1,$h)$(nl))

$(if $(has_inc.$1),
$B/include/$1/.links: $B/stamp/$1.public | $(addprefix $(DIR.$1)/,$(PUBLIC.$1))
	$$(Q)find $$(@D) -type l -exec rm -f {} +
	$$(Q)mkdir -p $(addprefix $$(@D)/quern/,$(sort $(dir $(PUBLIC.$1))))
	$$(Q)$(foreach h,$(PUBLIC.$1),ln -srf $(DIR.$1)/$h $$(@D)/quern/$h &&) :
	$$(Q)touch $$@
)

$(if $(has_lib.$1),
$B/obj/$1.o: $(objs.$1) $B/stamp/$1.link
	$$(call say,LD,$$@)
	$$(Q)$$(LD) -r -o $$@ $$(objs.$1)

$(call lib_of,$1): $B/obj/$1.o
	$$(call say,AR,$$@)
	$$(Q)$$(link.$1) $$< $B/lib/quern-$1.o
	$$(Q)rm -f $$@ && $$(AR) rcsD $$@ $B/lib/quern-$1.o
	$$(Q)rm -f $B/lib/quern-$1.o
)

$(call pc_of,$1): $B/stamp/$1.pc
	$$(file >$$@,$$(call pc_text,$1))
endef

# $(call awk_rule,file,units,kind)
define awk_rule
$1: kernel/syscalls.def kernel/makesyscalls.awk
	$$(call say,AWK,$$@)
	$$(Q)awk -f kernel/makesyscalls.awk -v unit='$(strip $2)' -v out=$3 \
	    kernel/syscalls.def >$$@
endef

$(foreach u,$(units),$(eval $(call unit_rules,$u)))

# What runs in guests knows nothing of how the kernel is built: no sanitizer.
image_flags = -std=gnu11 -O2 -Wall -Wextra -Werror -fPIC -ffreestanding \
	-fno-stack-protector -fcf-protection=none -fno-builtin \
	-fasynchronous-unwind-tables -fvisibility=default -nostdlib -shared \
	-Wl,-Bsymbolic,--hash-style=both,--build-id=sha1,--eh-frame-hdr \
	-Wl,-z,max-page-size=4096,-z,noexecstack,-soname,linux-vdso.so.1

# $(call image_rules,unit)
define image_rules
$B/obj/$1/image.s.o: $B/obj/$1/$(IMAGE.$1).so
$B/obj/$1/$(IMAGE.$1).so: $(wildcard $(DIR.$1)/$(IMAGE.$1).* $(DIR.$1)/*.h)
	$$(call say,IMAGE,$$@)
	$$(Q)$$(CC) $$(image_flags) -Wl,-T,$(DIR.$1)/$(IMAGE.$1).lds -o $$@ \
	    $(DIR.$1)/$(IMAGE.$1).c
endef
$(foreach u,$(units),$(if $(IMAGE.$u),$(eval $(call image_rules,$u))))

dirs   += $B/obj $B/lib $B/pkgconfig $B/stamp $B/check
depends = $(foreach u,$(units),$(patsubst %.o,%.d,$(objs.$u)))
libs   := $(call libs_of,$(units))
pcs    := $(foreach u,$(units),$(call pc_of,$u))
