/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The extent tree, for extent.c (finding) and extmod.c (changing).
 */
#ifndef EXT4_EXTENT_H
#define EXT4_EXTENT_H

#include "impl.h"

/* An entry, whatever it is: they all are as long. */
#define EXT_ENTRY 12u

/* One level of the way down to a leaf. */
struct extlevel {
	struct qbuf *el_buf; /* NULL: the root, in i_data */
	struct ext4_extent_header *el_h;
	int32_t el_at; /* the entry that was taken; -1: all begin later */
};

struct extpath {
	struct extlevel ep_level[EXT4_EXT_MAXDEPTH + 1];
	uint32_t ep_depth; /* the leaf's level */
	uint64_t ep_next;  /* where the next leaf begins; UINT64_MAX: none */
};

/* An extent out of its coding. */
struct ext {
	uint64_t e_lblk, e_pblk;
	uint32_t e_len;
	bool e_unwritten;
};

/* Go down to the leaf where `lblk` is or would be; ext_put afterwards.  [i] */
int ext_walk(struct inode *ip, uint64_t lblk, struct extpath *p);
void ext_put(struct extpath *p);
/* Decode and check the leaf's entry `at`. */
int ext_get(struct inode *ip, const struct extpath *p, int32_t at,
    struct ext *e);

static inline uint8_t *
ext_entry(struct ext4_extent_header *h, uint32_t i)
{
	return (uint8_t *)(h + 1) + (size_t)i * EXT_ENTRY;
}

static inline struct extlevel *
ext_leaf(struct extpath *p)
{
	return &p->ep_level[p->ep_depth];
}

static inline uint32_t
ext_count(const struct ext4_extent_header *h)
{
	return le16(h->eh_entries_le);
}

/* Entries that fit into a block, or into the root. */
static inline uint32_t
ext_max(const struct ext4 *x, bool root)
{
	return ((root ? EXT4_IBLOCK : x->x_bsize) - EXT_ENTRY) / EXT_ENTRY;
}

#endif /* EXT4_EXTENT_H */
