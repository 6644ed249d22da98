# SPDX-License-Identifier: BSD-2-Clause
#
# Tools, flags and directories.  What a user may set: CC, CFLAGS, LDFLAGS,
# WERROR, SANITIZE, TRACE, BUILD, PREFIX, DESTDIR, V.

VERSION := 0.1

MAKEFLAGS += -r --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:
SHELL := /bin/sh
export LC_ALL := C

PREFIX  ?= /usr/local
DESTDIR ?=

# FUZZ=1 is the inner make of `make fuzz`.
ifdef FUZZ
SANITIZE := address,undefined
endif

# BUILD counts only where it was said to this make, not when it happens to be in
# the environment.
ifneq ($(origin BUILD),command line)
BUILD := build
endif

# TRACE=no leaves the trace of kernel/trace.h out, to see what it costs.
TRACE ?= yes
ifeq ($(filter yes no,$(TRACE)),)
$(error TRACE is '$(TRACE)', and not yes or no)
endif

comma    := ,
mode     := $(subst $(comma),-,$(SANITIZE))
B        := $(BUILD)$(if $(filter no,$(TRACE)),/notrace)$(if \
	$(FUZZ),/fuzz,$(if $(mode),/san-$(mode)))

# The address sanitizer runs under clang where there is one, so that both
# compilers see all of the code; everything else is built with gcc.
ifneq ($(filter default undefined,$(origin CC)),)
CC := gcc
ifneq ($(findstring address,$(SANITIZE)),)
CC := $(or $(and $(shell command -v clang),clang),gcc)
endif
endif
AR      ?= ar
ifeq ($(origin AR),default)
AR      := ar
endif
ifeq ($(origin LD),default)
LD      := ld
endif
LD      ?= ld
OBJCOPY ?= objcopy
PKG_CONFIG ?= pkg-config

CFLAGS  ?= -O2 -g
LDFLAGS ?=

V ?= 0
ifneq ($(filter 1,$V)$(findstring s,$(filter-out -%,$(firstword $(MAKEFLAGS)))),)
Q   :=
say  = @:
else
Q   := @
say  = @printf '  %-8s%s\n' $1 $2
endif
