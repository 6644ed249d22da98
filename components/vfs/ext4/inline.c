/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inline data: small files and directories in the inode, 60 bytes in i_block and
 * the rest in the attribute "system.data" behind the record.
 *
 * Source: section 5.2, "Inline Data".
 *
 * An inline directory has no "." and ".."; the first 4 bytes are its parent's
 * number.  Entries fill the rest of i_block, and those in the attribute fill
 * that: none reaches from one into the other.
 */
#include "impl.h"

int
inline_read(struct inode *ip, uint64_t off, void *buf, size_t len)
{
	uint64_t size = ip->i_v.v_size;
	uint8_t *tail = NULL;
	int64_t n = 0;
	size_t i;

	if (off >= size)
		return 0;
	if (len > size - off)
		len = (size_t)(size - off);
	qmutex_lock(&ip->i_lock);
	if (off + len > EXT4_IBLOCK) {
		size_t max = inode_fs(ip)->x_isize;

		tail = qalloc(&ext4_tag, max);
		n = tail == NULL ?
		    -Q_ENOMEM :
		    xattr_value(ip, EXT4_XATTR_SYSTEM, "data", tail, max);
		if (n == -Q_ENODATA)
			n = inode_damaged(ip, "its inline data are missing");
	}
	if (n >= 0) {
		for (i = 0; i < len; i++) {
			uint64_t at = off + i;

			if (at < EXT4_IBLOCK)
				((uint8_t *)buf)[i] = ip->i_data[at];
			else
				((uint8_t *)buf)[i] = at - EXT4_IBLOCK <
					(uint64_t)n ?
				    tail[at - EXT4_IBLOCK] :
				    0;
		}
		n = (int64_t)len;
	}
	qmutex_unlock(&ip->i_lock);
	qfree(tail);
	return (int)n;
}

int
inline_dir(struct inode *dir, uint8_t **bufp, uint32_t *lenp)
{
	uint64_t len = dir->i_v.v_size;
	int n;

	/* i_size is that of both parts; i_block is used whole. */
	if (len < EXT4_IBLOCK || len > inode_fs(dir)->x_isize)
		return inode_damaged(dir, "an inline directory of %lu bytes",
		    len);
	*bufp = qalloc(&ext4_tag, len);
	if (*bufp == NULL)
		return -Q_ENOMEM;
	n = inline_read(dir, 0, *bufp, len);
	if (n < 0) {
		qfree(*bufp);
		return n;
	}
	*lenp = (uint32_t)len;
	return 0;
}
