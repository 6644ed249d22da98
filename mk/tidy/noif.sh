#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# No conditional compilation in the .c files of kernel/ and components/.

! find kernel components -name '*.c' 2>/dev/null | sort |
    xargs awk '
	/^[ \t]*#[ \t]*(if|ifdef|ifndef|elif|else)([ \t(]|$)/ {
		print FILENAME ":" FNR ": " $0
	}' /dev/null | grep .
