/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files in memory.  The first one that is started becomes the root of a kernel
 * that has none.  Options: size=BYTES (k, m, g and % of RAM; half of RAM),
 * nr_inodes=N, mode=OCTAL, uid=N, gid=N.
 */
#ifndef QUERN_TMPFS_H
#define QUERN_TMPFS_H

#include <quern/component.h>

extern const struct quern_component qtmpfs;

#endif /* QUERN_TMPFS_H */
