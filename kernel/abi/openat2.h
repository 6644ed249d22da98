/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * openat2(2) of the Linux x86-64 ABI.
 */
#ifndef QUERN_ABI_OPENAT2_H
#define QUERN_ABI_OPENAT2_H

#include <stdint.h>

struct q_open_how {
	uint64_t flags;
	uint64_t mode;
	uint64_t resolve;
};

#define Q_RESOLVE_NO_XDEV       0x01
#define Q_RESOLVE_NO_MAGICLINKS 0x02
#define Q_RESOLVE_NO_SYMLINKS   0x04
#define Q_RESOLVE_BENEATH       0x08
#define Q_RESOLVE_IN_ROOT       0x10
#define Q_RESOLVE_CACHED        0x20
#define Q_RESOLVE__ALL          0x3f

#endif /* QUERN_ABI_OPENAT2_H */
