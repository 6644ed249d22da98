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
#include "alloc.h"

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
	if (!inode_has(ip, EXT4_INLINE_DATA_FL)) {
		qmutex_unlock(&ip->i_lock);
		return -Q_ENOTBLK;
	}
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

/* ---- the end of it ----------------------------------------------------------- */

/* A directory's block out of its inline data. */
static void
make_block(struct inode *dir, uint8_t *to, const uint8_t *data, uint32_t len)
{
	struct ext4 *x = inode_fs(dir);
	struct ext4_dirent *d = (void *)to;
	uint32_t at = 24, end = 24 + len - 4, room = dir_room(x);

	d->d_inode_le = to_le32(dir->i_v.v_ino);
	dir_set_reclen(d, x, 12);
	d->d_name_len = 1;
	d->d_type = dir_ft(x, Q_S_IFDIR);
	d->d_name[0] = '.';
	d = (void *)(to + 12);
	memcpy(&d->d_inode_le, data, 4);
	dir_set_reclen(d, x, 12);
	d->d_name_len = 2;
	d->d_type = dir_ft(x, Q_S_IFDIR);
	d->d_name[0] = d->d_name[1] = '.';
	memcpy(to + 24, data + 4, len - 4);
	/* The last one has the rest of the block. */
	do {
		d = (void *)(to + at);
		at += dir_reclen(d, x);
	} while (at < end);
	dir_set_reclen(d, x, dir_reclen(d, x) + room - end);
	dir_tail(x, to);
}

static int
check_entries(struct inode *dir, uint8_t *p, uint32_t len)
{
	struct dirspan s = { p + 4, EXT4_IBLOCK - 4, 0 };
	uint32_t off;
	unsigned part;
	int error;

	for (part = 0; part < 2; part++) {
		for (off = 0; off < s.ds_len;
		     off += dir_reclen((void *)(s.ds_p + off), inode_fs(dir))) {
			error = dir_check_entry(dir, &s, off);
			if (error != 0)
				return error;
		}
		s.ds_p = p + EXT4_IBLOCK;
		s.ds_len = len - EXT4_IBLOCK;
	}
	return 0;
}

/* Put the data into a block of their own, of which nothing is on the disk yet. */
static int
store_data(struct jhandle *h, struct inode *ip, uint64_t blk, uint8_t *data,
    uint32_t len)
{
	struct ext4 *x = inode_fs(ip);
	bool isdir = qvnode_isdir(&ip->i_v);
	struct qbuf *b;
	uint8_t *p;
	int error;

	if (!isdir) {
		p = qzalloc(&ext4_tag, x->x_bsize);
		if (p == NULL)
			return -Q_ENOMEM;
		memcpy(p, data, len);
		error = qdisk_write(x->x_fs->fs_disk, blk << x->x_bits, p,
		    x->x_bsize);
		qfree(p);
		return error;
	}
	error = qbuf_get(x->x_bufs, blk, &b);
	if (error != 0)
		return error;
	error = journal_get_create(h, b);
	if (error == 0) {
		qbuf_lock(b);
		memset(b->bf_data, 0, x->x_bsize);
		make_block(ip, b->bf_data, data, len);
		dir_changed(h, ip, b);
		qbuf_set(b, QBUF_CHECKED);
	}
	qbuf_put(b);
	return error;
}

/* The inode has a map instead.  [i] */
static int
convert(struct jhandle *h, struct inode *ip, uint8_t *data, uint32_t len)
{
	struct ext4 *x = inode_fs(ip);
	struct qvnode *v = &ip->i_v;
	struct run r = { 0, 0, 1, 0 };
	int error = 0;

	if (len > 0) {
		error = alloc_meta(h, ip, 0, &r.r_pblk);
		if (error == 0)
			error = store_data(h, ip, r.r_pblk, data, len);
		if (error != 0)
			return error;
	}
	error = xattr_store(h, ip, EXT4_XATTR_SYSTEM, "data", NULL, 0, 0);
	if (error == -Q_ENODATA)
		error = 0;
	if (error != 0)
		return error;
	memset(ip->i_data, 0, sizeof(ip->i_data));
	if (has_incompat(x, EXT4_INCOMPAT_EXTENTS)) {
		ip->i_flags |= EXT4_EXTENTS_FL;
		extent_init(ip);
	}
	__atomic_fetch_and(&ip->i_flags, ~EXT4_INLINE_DATA_FL,
	    __ATOMIC_RELEASE);
	if (qvnode_isdir(v))
		v->v_size = ip->i_disksize = x->x_bsize;
	if (len > 0)
		error = map_insert(h, ip, &r);
	return error == 0 ? inode_write(h, ip) : error;
}

int
inline_end(struct inode *ip)
{
	struct ext4 *x = inode_fs(ip);
	uint32_t len = (uint32_t)ip->i_v.v_size;
	uint8_t *data = NULL;
	struct jhandle *h;
	int error = 0;

	if (qvnode_isdir(&ip->i_v)) {
		error = inline_dir(ip, &data, &len);
		if (error == 0)
			error = check_entries(ip, data, len);
	} else {
		if (ip->i_v.v_size > x->x_isize)
			return inode_damaged(ip, "inline data of %lu bytes",
			    ip->i_v.v_size);
		data = qalloc(&ext4_tag, len + 1);
		error = data == NULL ? -Q_ENOMEM :
				       inline_read(ip, 0, data, len);
	}
	if (error >= 0)
		error = tx_begin(x, XATTR_CREDITS + MAP_CREDITS, &h);
	if (error == 0) {
		qmutex_lock(&ip->i_lock);
		/* A store through a mapping may have come first. */
		if (inode_has(ip, EXT4_INLINE_DATA_FL))
			error = convert(h, ip, data, len);
		qmutex_unlock(&ip->i_lock);
		error = tx_end(x, h, error);
	}
	qfree(data);
	return error;
}
