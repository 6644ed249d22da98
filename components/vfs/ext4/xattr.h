/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Extended attributes, for xattr.c (reading) and xattrmod.c (changing).
 */
#ifndef EXT4_XATTR_H
#define EXT4_XATTR_H

#include "impl.h"

/* A place that holds attributes: behind the inode's record, or a block. */
struct xarea {
	struct qbuf *xa_buf; /* with a reference */
	uint8_t *xa_first;   /* the first entry */
	uint8_t *xa_end;
	uint8_t *xa_values; /* what e_value_offs counts from */
};

/* Open the one or the other: 1, 0: there is none, or -errno.  [i] */
int xattr_ibody(struct inode *ip, struct xarea *xa);
int xattr_block(struct inode *ip, struct xarea *xa);

/* Check the entry at `p`: 1, 0: the list ends here, or -errno. */
int xattr_check(struct inode *ip, const struct xarea *xa, const uint8_t *p);

/* Room that an entry with a name that long takes. */
static inline size_t
xattr_entry_len(size_t name)
{
	return (EXT4_XATTR_ENTRY + name + 3) & ~(size_t)3;
}

/* The prefix that an index stands for, or NULL: not for users. */
const char *xattr_prefix(uint32_t index);
/* The index and the rest of a name.  -EOPNOTSUPP. */
int xattr_parse(const char *name, uint32_t *index, const char **rest);

/* eainode.c: an inode with the value, and its number and checksum.  -ENOSPC. */
int ea_make(struct jhandle *h, struct inode *ip, const void *value,
    uint32_t len, uint32_t *inop, uint32_t *hashp);
/* An attribute less has it; the last lets it go. */
int ea_drop(struct jhandle *h, struct inode *ip, uint32_t ino, uint32_t size);

/* Read the value that an inode holds. */
int xattr_ea_read(struct inode *ip, uint32_t ino, uint32_t size, void *buf);

#endif /* EXT4_XATTR_H */
