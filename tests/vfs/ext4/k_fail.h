/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_VFS_EXT4_K_FAIL_H
#define TESTS_VFS_EXT4_K_FAIL_H

#include "k_crash.h"

/* A change of a file system, and what may go wrong in it. */
extern const char *const kfail_ops[]; /* names, ended by NULL */

/* Sums over runs. */
struct kfail_sums {
	uint64_t ks_runs, ks_done, ks_undone, ks_rdonly, ks_fscks;
};

/*
 * Do operation `op` on an image once for each allocation (`disk`: for each
 * request to the disk) that there is from its beginning to the unmounting, every
 * `step`-th, which fails: NULL, or what is wrong then.  `debug`: EXT4_DEBUG_*.
 */
const char *kfail_each(const struct kcrash_image *ki, unsigned op, bool disk,
    unsigned step, uint32_t debug, struct kfail_sums *ks);

#endif /* TESTS_VFS_EXT4_K_FAIL_H */
