/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files in memory.  The first one that is started becomes the root of a kernel
 * that has none.  Options: size=BYTES (k, m, g and % of RAM; half of RAM),
 * nr_inodes=N, mode=OCTAL, uid=N, gid=N.
 */
#ifndef QUERN_TMPFS_H
#define QUERN_TMPFS_H

#include <quern/component.h>

struct qfs_type;

extern const struct quern_component qtmpfs;

/* The kind of file system, for those that are this with something in it. */
extern const struct qfs_type qtmpfs_type;

#endif /* QUERN_TMPFS_H */
