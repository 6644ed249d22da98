/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Allocation of blocks and inodes: alloc.c, ialloc.c.
 */
#ifndef EXT4_ALLOC_H
#define EXT4_ALLOC_H

#include "impl.h"

#define ALLOC_GOAL     1u /* try the very place first */
#define ALLOC_PROMISED 2u /* out of promises, which that uses up */
#define ALLOC_META     4u /* for metadata: out of what is kept for them too */

/*
 * Up to `want` clusters in a row; *got of them, at least one.  -ENOSPC.  The
 * handle has 2 credits for each.
 */
int alloc_clusters(struct jhandle *h, struct ext4 *x, uint64_t goal,
    uint32_t want, unsigned flags, uint64_t *blkp, uint32_t *got);
/* Free `n` clusters from block `blk`, their first, on. */
int free_clusters(struct jhandle *h, struct ext4 *x, uint64_t blk, uint64_t n);

/*
 * Promise and take back.  Sleeps, may commit.  -ENOSPC.  promise_now does not
 * commit: did it promise?
 */
int promise(struct ext4 *x, uint64_t n);
bool promise_now(struct ext4 *x, uint64_t n);
void unpromise(struct ext4 *x, uint64_t n);

int alloc_trim(struct qfs *fs, uint64_t off, uint64_t len, uint64_t minlen,
    uint64_t *trimmed);

/* Store what struct group says into its descriptor.  [l] */
void desc_store(struct ext4 *x, uint32_t g, struct ext4_group_desc *gd);

/* Bytes of a bitmap that have changed, and ext4_crc32c(0, ...) before. */
struct bitpatch {
	uint32_t bp_at, bp_len, bp_was;
};

/* Sum a bitmap of `size` bytes anew; `fresh`: it had no sum. */
void sum_bitmap(const struct ext4 *x, const uint8_t *bits, uint32_t size,
    bool fresh, const struct bitpatch *bp, le16_t *lo, le16_t *hi);
/*
 * Bits of `a`, or those of `b` (NULL: none), from `i` on, below `n`: the first
 * that is `set`, or `n`.
 */
uint32_t next_bit(const uint8_t *a, const uint8_t *b, uint32_t i, uint32_t n,
    bool set);
bool bit_isset(const uint8_t *p, uint32_t i);

/* Take an inode; `parent` directs where.  -ENOSPC. */
int ialloc(struct jhandle *h, struct inode *parent, uint32_t mode,
    uint64_t *inop);
int ifree(struct jhandle *h, struct ext4 *x, uint64_t ino, bool isdir);

#endif /* EXT4_ALLOC_H */
