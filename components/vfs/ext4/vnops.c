/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The operations on vnodes, and their tables.
 */
#include "impl.h"

static int
ext4_lookup(struct qvnode *v, const struct qname *name, struct qvnode **vp)
{
	struct inode *dir = inode_of(v), *ip;
	struct dirplace dp;
	int error;

	error = dir_find(dir, name->n_name, name->n_len, &dp);
	if (error != 0)
		return error;
	qbuf_put(dp.dp_buf);
	/* A directory in itself would have us wait for ourselves. */
	if (dp.dp_ino == v->v_ino)
		return inode_damaged(dir, "is an entry of itself");
	error = inode_get(inode_fs(dir), dp.dp_ino, 0, &ip);
	if (error == 0)
		*vp = &ip->i_v;
	return error;
}

static int
ext4_readlink(struct qvnode *v, char *buf, size_t len)
{
	struct inode *ip = inode_of(v);
	struct ext4 *x = inode_fs(ip);
	size_t n = (size_t)v->v_size;
	struct qbuf *b;
	struct run r;
	int error;

	if (n > len)
		n = len;
	if (inode_is_fastlink(ip)) {
		memcpy(buf, ip->i_data, n);
		return (int)n;
	}
	if (inode_has(ip, EXT4_INLINE_DATA_FL))
		return inline_read(ip, 0, buf, n);
	/* It fits into a block, but the smallest ones. */
	if (v->v_size > x->x_bsize)
		return inode_damaged(ip, "a symlink's size is %lu", v->v_size);
	qmutex_lock(&ip->i_lock);
	error = map_find(ip, 0, &r);
	qmutex_unlock(&ip->i_lock);
	if (error == 0 && r.r_flags != 0)
		error = inode_damaged(ip, "a symlink without a block");
	if (error == 0)
		error = blk_read(x, r.r_pblk, &b);
	if (error != 0)
		return error;
	memcpy(buf, b->bf_data, n);
	qbuf_put(b);
	return (int)n;
}

#define COMMON_OPS                                            \
	.vo_setattr = file_setattr, .vo_update = ext4_update, \
	.vo_fsync = ext4_fsync, .vo_evict = ext4_evict,       \
	.vo_getxattr = xattr_get, .vo_listxattr = xattr_list, \
	.vo_setxattr = xattr_set

const struct qvnode_ops ext4_file_ops = {
	COMMON_OPS,
	.vo_map = file_map,
	.vo_mapped = file_mapped,
	.vo_wrote = file_wrote,
	.vo_fill = file_fill,
	.vo_reserve = file_reserve,
	.vo_unreserve = file_unreserve,
	.vo_fallocate = file_fallocate,
};

const struct qvnode_ops ext4_dir_ops = {
	COMMON_OPS,
	.vo_lookup = ext4_lookup,
	.vo_create = ext4_create,
	.vo_tmpfile = ext4_tmpfile,
	.vo_link = ext4_link,
	.vo_unlink = ext4_unlink,
	.vo_rename = ext4_rename,
	.vo_readdir = dir_readdir,
};

const struct qvnode_ops ext4_link_ops = {
	COMMON_OPS,
	.vo_readlink = ext4_readlink,
};

const struct qvnode_ops ext4_special_ops = {
	COMMON_OPS,
};
