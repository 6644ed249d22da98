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

/* Walk the requests that were merged into `head`, itself first. */
#define QBIO_FOREACH(b, head) \
	for ((b) = (head); (b) != NULL; (b) = (b)->b_merged)

#endif /* QUERN_BLOCKIMPL_H */
