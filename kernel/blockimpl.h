/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the block layer share.
 */
#ifndef QUERN_BLOCKIMPL_H
#define QUERN_BLOCKIMPL_H

#include "block.h"
#include "slab.h"

/* Zeroed memory of the block layer's. */
void *block_alloc(size_t size);

/* CRC-32 of ISO 3309. */
uint32_t block_crc32(const uint8_t *p, size_t len);

/*
 * Where a copy-on-write view keeps what was written, by blocks.  One thread, the
 * view's, calls all but so_free; they may sleep.
 */
#define COW_BLOCK QUERN_PAGE_SIZE

struct cow_store {
	/* Is the block there? */
	bool (*so_has)(struct cow_store *, uint64_t blk);
	/* Read from blocks that are. */
	int (*so_read)(struct cow_store *, uint64_t off, void *, size_t len);
	/*
	 * Write, NULL: zeroes, to blocks that are there or are written whole;
	 * then they are.
	 */
	int (*so_write)(struct cow_store *, uint64_t off, const void *,
	    size_t len);
	int (*so_flush)(struct cow_store *);
	void (*so_free)(struct cow_store *);
};

/*
 * Make a view of `lower` over a store, which is the view's from then on; not
 * after a failure.
 */
int cow_make(struct qdisk *lower, const char *name, struct cow_store *so,
    struct qdisk **dp);

/* Walk the requests that were merged into `head`, itself first. */
#define QBIO_FOREACH(b, head) \
	for ((b) = (head); (b) != NULL; (b) = (b)->b_merged)

#endif /* QUERN_BLOCKIMPL_H */
