/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Extended attributes of the Linux x86-64 ABI, xattr(7).
 */
#ifndef QUERN_ABI_XATTR_H
#define QUERN_ABI_XATTR_H

#include <quern/abi/limits.h>

/* Flags of setxattr. */
#define Q_XATTR_CREATE  0x1
#define Q_XATTR_REPLACE 0x2

#endif /* QUERN_ABI_XATTR_H */
