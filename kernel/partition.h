/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Partitions of a disk: MBR (with extended partitions) and GPT.
 */
#ifndef QUERN_PARTITION_H
#define QUERN_PARTITION_H

#include <quern/block.h>
#include <quern/quern.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QPART_MAX 128u

enum qpart_scheme { QPART_NONE = 0, QPART_MBR, QPART_GPT };

struct qpart_table {
	enum qpart_scheme pt_scheme;
	bool pt_backup; /* GPT: the primary header was damaged */
	unsigned pt_n;
	struct quern_disk_part pt_part[QPART_MAX];
};

/*
 * Read the table of `d`.  0, also when there is none (QPART_NONE); -EUCLEAN:
 * damaged, the log says how; -EIO and such; -ENOMEM.  Sleeps.  `t` is the
 * caller's; large: not for a kernel stack.
 */
int qpart_read(struct qdisk *d, struct qpart_table *t) QMUSTCHECK;

/*
 * Open partition `number` of `d` as a disk of its own, named like the disk with
 * ",part=N" behind, or `name` if that is not NULL.  -ENOENT, or as qpart_read
 * and qdisk_slice.
 */
int qpart_open(struct qdisk *d, unsigned number, const char *name,
    struct qdisk **dp) QMUSTCHECK;

#ifdef __cplusplus
}
#endif

#endif /* QUERN_PARTITION_H */
