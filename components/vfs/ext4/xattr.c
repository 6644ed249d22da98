/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Extended attributes: behind the inode's record, in a block that inodes may
 * share, and values in inodes of their own.
 *
 * Source: section 5.4.  Entries come from the front, values fill the area from
 * its end.
 */
#include "xattr.h"

static const char *const prefixes[] = { NULL, "user.",
	"system.posix_acl_access", "system.posix_acl_default", "trusted.", NULL,
	"security.", "system.", "system.richacl" };

const char *
xattr_prefix(uint32_t index)
{
	return index < QARRAYLEN(prefixes) ? prefixes[index] : NULL;
}

/* Does the prefix stand for a whole name? */
static bool
is_whole(uint32_t index)
{
	return index == EXT4_XATTR_ACL || index == EXT4_XATTR_DEFACL ||
	    index == EXT4_XATTR_RICHACL;
}

int
xattr_parse(const char *name, uint32_t *index, const char **rest)
{
	uint32_t i;

	for (i = 0; i < QARRAYLEN(prefixes); i++) {
		size_t len = prefixes[i] == NULL ? 0 : qstrlen(prefixes[i]);

		/* "system." is for our own, which are not seen. */
		if (len == 0 || i == EXT4_XATTR_SYSTEM)
			continue;
		if (is_whole(i) && qstrcmp(name, prefixes[i]) == 0) {
			*index = i;
			*rest = name + len;
			return 0;
		}
		if (!is_whole(i) && qstrlen(name) > len &&
		    memcmp(name, prefixes[i], len) == 0) {
			*index = i;
			*rest = name + len;
			return 0;
		}
	}
	return -Q_EOPNOTSUPP;
}

int
xattr_ibody(struct inode *ip, struct xarea *xa)
{
	struct ext4 *x = inode_fs(ip);
	size_t at = EXT4_GOOD_OLD_SIZE + ip->i_extra;
	struct ext4_inode *di;
	le32_t magic;
	int error;

	if (!ip->i_inxattr)
		return 0;
	error = inode_record(x, ip->i_v.v_ino, &di, &xa->xa_buf);
	if (error != 0)
		return error;
	memcpy(&magic, (uint8_t *)di + at, sizeof(magic));
	if (le32(magic) != EXT4_XATTR_MAGIC) {
		qbuf_put(xa->xa_buf);
		return 0;
	}
	xa->xa_first = (uint8_t *)di + at + EXT4_XATTR_IBODY_HEAD;
	xa->xa_values = xa->xa_first;
	xa->xa_end = (uint8_t *)di + x->x_isize;
	return 1;
}

int
xattr_block(struct inode *ip, struct xarea *xa)
{
	struct ext4 *x = inode_fs(ip);
	struct ext4_xattr_header *h;
	int error;

	if (ip->i_facl == 0)
		return 0;
	error = blk_read(x, ip->i_facl, &xa->xa_buf);
	if (error != 0)
		return error;
	h = (void *)xa->xa_buf->bf_data;
	if (le32(h->h_magic_le) != EXT4_XATTR_MAGIC ||
	    le32(h->h_blocks_le) != 1)
		error = inode_damaged(ip, "attributes' block %lu: bad header",
		    ip->i_facl);
	else if (x->x_csum && !qbuf_is(xa->xa_buf, QBUF_CHECKED) &&
	    csum_xattr(x, ip->i_facl, h) != le32(h->h_checksum_le))
		error = inode_damaged(ip,
		    "attributes' block %lu: wrong checksum", ip->i_facl);
	if (error != 0) {
		qbuf_put(xa->xa_buf);
		return error;
	}
	qbuf_set(xa->xa_buf, QBUF_CHECKED);
	xa->xa_values = xa->xa_buf->bf_data;
	xa->xa_first = xa->xa_values + sizeof(*h);
	xa->xa_end = xa->xa_values + x->x_bsize;
	return 1;
}

static int
bad_entry(struct inode *ip, const struct xarea *xa, const uint8_t *p)
{
	return inode_damaged(ip, "attribute at %zu of block %lu is damaged",
	    (size_t)(p - xa->xa_buf->bf_data), xa->xa_buf->bf_blk);
}

int
xattr_check(struct inode *ip, const struct xarea *xa, const uint8_t *p)
{
	const struct ext4_xattr_entry *e = (const void *)p;
	size_t left = (size_t)(xa->xa_end - p), off, size;
	le32_t zero;

	if (left < sizeof(zero))
		return bad_entry(ip, xa, p);
	memcpy(&zero, p, sizeof(zero));
	if (zero == 0)
		return 0;
	if (left < EXT4_XATTR_ENTRY || left < xattr_entry_len(e->e_name_len))
		return bad_entry(ip, xa, p);
	size = le32(e->e_value_size_le);
	off = le16(e->e_value_offs_le);
	if (e->e_value_inum_le != 0) {
		if (!has_incompat(inode_fs(ip), EXT4_INCOMPAT_EA_INODE) ||
		    size > (1u << 24))
			return bad_entry(ip, xa, p);
	} else if (size > (size_t)(xa->xa_end - xa->xa_values) ||
	    off > (size_t)(xa->xa_end - xa->xa_values) - size) {
		return bad_entry(ip, xa, p);
	}
	return 1;
}

int
xattr_ea_read(struct inode *ip, uint32_t ino, uint32_t size, void *buf)
{
	struct ext4 *x = inode_fs(ip);
	struct inode *ea;
	uint32_t at;
	int error;

	error = inode_get(x, ino, IGET_EA, &ea);
	if (error != 0)
		return error;
	if (ea == ip || ea->i_v.v_size != size ||
	    qvnode_type(&ea->i_v) != Q_S_IFREG) {
		error = inode_damaged(ip,
		    "inode %u holds no attribute of %u "
		    "bytes",
		    ino, size);
		qvnode_put(&ea->i_v);
		return error;
	}
	for (at = 0; at < size && error == 0; at += x->x_bsize) {
		uint32_t n = size - at < x->x_bsize ? size - at : x->x_bsize;
		struct qbuf *b;
		struct run r;

		error = map_find(ea, at >> x->x_bits, &r);
		if (error == 0 && r.r_flags != 0)
			error = inode_damaged(ea, "block %u is missing",
			    at >> x->x_bits);
		if (error == 0)
			error = blk_read(x, r.r_pblk, &b);
		if (error != 0)
			break;
		memcpy((uint8_t *)buf + at, b->bf_data, n);
		qbuf_put(b);
	}
	qvnode_put(&ea->i_v);
	return error;
}

/* Look for a name in an area: -ENODATA, or the value's length. */
static int64_t
find_in(struct inode *ip, const struct xarea *xa, uint32_t index,
    const char *name, void *buf, size_t len)
{
	size_t nlen = qstrlen(name), size;
	const uint8_t *p;
	int error;

	for (p = xa->xa_first; (error = xattr_check(ip, xa, p)) > 0;
	     p += xattr_entry_len(p[0])) {
		const struct ext4_xattr_entry *e = (const void *)p;

		if (e->e_name_index != index || e->e_name_len != nlen ||
		    memcmp(e->e_name, name, nlen) != 0)
			continue;
		size = le32(e->e_value_size_le);
		if (len == 0)
			return (int64_t)size;
		if (size > len)
			return -Q_ERANGE;
		if (e->e_value_inum_le != 0)
			error = xattr_ea_read(ip, le32(e->e_value_inum_le),
			    (uint32_t)size, buf);
		else
			memcpy(buf, xa->xa_values + le16(e->e_value_offs_le),
			    size);
		return error < 0 ? error : (int64_t)size;
	}
	return error < 0 ? error : -Q_ENODATA;
}

int64_t
xattr_value(struct inode *ip, uint8_t index, const char *name, void *buf,
    size_t len)
{
	struct xarea xa;
	int64_t r;
	int error;

	error = xattr_ibody(ip, &xa);
	if (error < 0)
		return error;
	if (error > 0) {
		r = find_in(ip, &xa, index, name, buf, len);
		qbuf_put(xa.xa_buf);
		if (r != -Q_ENODATA)
			return r;
	}
	error = xattr_block(ip, &xa);
	if (error <= 0)
		return error < 0 ? error : -Q_ENODATA;
	r = find_in(ip, &xa, index, name, buf, len);
	qbuf_put(xa.xa_buf);
	return r;
}

static int64_t
get_acl(struct inode *ip, uint32_t index, void *buf, size_t len)
{
	struct ext4 *x = inode_fs(ip);
	uint8_t *p = qalloc(&ext4_tag, x->x_bsize);
	int64_t n;

	if (p == NULL)
		return -Q_ENOMEM;
	n = xattr_value(ip, (uint8_t)index, "", p, x->x_bsize);
	if (n >= 0)
		n = acl_from_disk(x->x_fs, p, (size_t)n, buf, len);
	qfree(p);
	return n;
}

int64_t
xattr_get(struct qvnode *v, const char *name, void *buf, size_t len)
{
	struct inode *ip = inode_of(v);
	const char *rest;
	uint32_t index;
	int64_t n;
	int error;

	error = xattr_parse(name, &index, &rest);
	if (error != 0)
		return error;
	qmutex_lock(&ip->i_lock);
	if (index == EXT4_XATTR_ACL || index == EXT4_XATTR_DEFACL)
		n = get_acl(ip, index, buf, len);
	else
		n = xattr_value(ip, (uint8_t)index, rest, buf, len);
	qmutex_unlock(&ip->i_lock);
	return n;
}

/* Append an area's names. */
static int
list_area(struct inode *ip, const struct xarea *xa, char *buf, size_t len,
    size_t *at)
{
	const uint8_t *p;
	int error;

	for (p = xa->xa_first; (error = xattr_check(ip, xa, p)) > 0;
	     p += xattr_entry_len(p[0])) {
		const struct ext4_xattr_entry *e = (const void *)p;
		const char *prefix = xattr_prefix(e->e_name_index);
		size_t n, m = e->e_name_len;

		if (prefix == NULL || e->e_name_index == EXT4_XATTR_SYSTEM)
			continue;
		n = qstrlen(prefix);
		if (len != 0) {
			if (n + m + 1 > len - *at)
				return -Q_ERANGE;
			memcpy(buf + *at, prefix, n);
			memcpy(buf + *at + n, e->e_name, m);
			buf[*at + n + m] = '\0';
		}
		*at += n + m + 1;
	}
	return error;
}

int64_t
xattr_list(struct qvnode *v, char *buf, size_t len)
{
	struct inode *ip = inode_of(v);
	struct xarea xa;
	size_t at = 0;
	int error;

	qmutex_lock(&ip->i_lock);
	error = xattr_ibody(ip, &xa);
	if (error > 0) {
		error = list_area(ip, &xa, buf, len, &at);
		qbuf_put(xa.xa_buf);
	}
	if (error == 0) {
		error = xattr_block(ip, &xa);
		if (error > 0) {
			error = list_area(ip, &xa, buf, len, &at);
			qbuf_put(xa.xa_buf);
		}
	}
	qmutex_unlock(&ip->i_lock);
	return error < 0 ? error : (int64_t)at;
}

uint32_t
xattr_flags(struct inode *ip, const struct ext4_inode *di)
{
	const struct ext4 *x = inode_fs(ip);
	size_t at = EXT4_GOOD_OLD_SIZE + ip->i_extra;
	const uint8_t *p = (const uint8_t *)di, *end = p + x->x_isize;
	le32_t magic;

	/* A block may have any: getxattr will tell. */
	if (ip->i_facl != 0)
		return QV_ACL;
	if (!ip->i_inxattr)
		return QV_NOSEC;
	memcpy(&magic, p + at, sizeof(magic));
	if (le32(magic) != EXT4_XATTR_MAGIC)
		return QV_NOSEC;
	for (p += at + EXT4_XATTR_IBODY_HEAD;
	     end - p > (ptrdiff_t)EXT4_XATTR_ENTRY && (p[0] | p[1]) != 0;
	     p += xattr_entry_len(p[0]))
		if (p[1] == EXT4_XATTR_ACL || p[1] == EXT4_XATTR_DEFACL)
			return QV_ACL;
	return 0;
}
