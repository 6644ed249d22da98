#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The Makefile of a unit, a program or a test directory sets variables, and does
# nothing else.

find hypercall kernel components bin tests examples -name Makefile \
    2>/dev/null | sort | xargs awk '
FNR == 1 { more = 0 }
!more && !/^[ \t]*(#|$)/ && !/^[A-Za-z_][A-Za-z_0-9.-]*[ \t]*(=|:=|\+=)/ {
	print FILENAME ":" FNR ": " $0
	bad = 1
}
{ more = /\\$/ }
END { exit bad }' /dev/null
