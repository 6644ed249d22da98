/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Values of extended attributes in inodes of their own (ea_inode).
 *
 * Such an inode is a regular file without a name, whose data go through the
 * journal.  Of its times i_atime is the value's checksum, and i_ctime and
 * i_version together count the attributes that have it (section 5.4).
 */
#include "alloc.h"
#include "xattr.h"

static int64_t
clusters_of(const struct ext4 *x, uint32_t size)
{
	return (
	    int64_t)((to_blocks(x, size) + (UINT64_C(1) << x->x_cbits) - 1) >>
	    x->x_cbits);
}

/* Set the count in the record. */
static int
set_refs(struct jhandle *h, struct inode *ea, uint64_t refs)
{
	struct ext4 *x = inode_fs(ea);
	struct ext4_inode *di;
	struct qbuf *b;
	int error;

	error = inode_record(x, ea->i_v.v_ino, &di, &b);
	if (error != 0)
		return error;
	error = journal_get_write(h, b);
	if (error == 0) {
		qbuf_lock(b);
		di->i_version_lo_le = to_le32(refs);
		di->i_ctime_le = to_le32(refs >> 32);
		inode_sum(x, ea->i_seed, di);
		qbuf_unlock(b);
		journal_dirty(h, b);
		ea->i_v.v_ctime.t_sec = (int32_t)(refs >> 32);
	}
	qbuf_put(b);
	return error;
}

/* One that nobody has any more goes when its vnode does. */
static int
let_go(struct jhandle *h, struct inode *ea)
{
	int error;

	ea->i_v.v_nlink = 0;
	error = orphan_add(h, ea);
	return error == 0 ? inode_write(h, ea) : error;
}

/* Write `n` bytes into a block of their own. */
static int
store_block(struct jhandle *h, struct ext4 *x, uint64_t blk, const uint8_t *p,
    uint32_t n)
{
	struct qbuf *b;
	int error;

	error = qbuf_get(x->x_bufs, blk, &b);
	if (error != 0)
		return error;
	error = journal_get_create(h, b);
	if (error == 0) {
		qbuf_lock(b);
		memcpy(b->bf_data, p, n);
		memset(b->bf_data + n, 0, x->x_bsize - n);
		qbuf_unlock(b);
		journal_dirty(h, b);
	}
	qbuf_put(b);
	return error;
}

/* Give it blocks, and the value to them.  Nobody else knows of it yet. */
static int
fill(struct jhandle *h, struct inode *ea, const uint8_t *value, uint32_t len)
{
	struct ext4 *x = inode_fs(ea);
	uint64_t n = to_blocks(x, len), lblk, i;
	uint64_t goal = group_first(x,
	    (uint32_t)((ea->i_v.v_ino - 1) / x->x_ipg));
	int error = 0;

	for (lblk = 0; lblk < n && error == 0;) {
		struct run r = { .r_lblk = lblk };
		uint32_t got;

		error = alloc_clusters(h, x, goal,
		    (uint32_t)((n - lblk + (UINT64_C(1) << x->x_cbits) - 1) >>
			x->x_cbits),
		    0, &r.r_pblk, &got);
		if (error != 0)
			break;
		inode_add_blocks(ea, got);
		r.r_len = (uint64_t)got << x->x_cbits;
		if (r.r_len > n - lblk)
			r.r_len = n - lblk;
		error = map_insert(h, ea, &r);
		for (i = 0; i < r.r_len && error == 0; i++) {
			uint32_t at = (uint32_t)((lblk + i) << x->x_bits);
			uint32_t left = len - at;

			error = store_block(h, x, r.r_pblk + i, value + at,
			    left < x->x_bsize ? left : x->x_bsize);
		}
		goal = r.r_pblk + r.r_len;
		lblk += r.r_len;
	}
	return error;
}

int
ea_make(struct jhandle *h, struct inode *ip, const void *value, uint32_t len,
    uint32_t *inop, uint32_t *hashp)
{
	struct qvnew new = { .vn_mode = Q_S_IFREG | 0600,
		.vn_uid = ip->i_v.v_uid,
		.vn_gid = ip->i_v.v_gid };
	struct ext4 *x = inode_fs(ip);
	struct inode *ea;
	int error, e;

	error = inode_new(h, ip, &new, &ea);
	if (error != 0)
		return error;
	*inop = (uint32_t)ea->i_v.v_ino;
	*hashp = ext4_crc32c(x->x_seed, value, len);
	ea->i_flags |= EXT4_EA_INODE_FL;
	ea->i_v.v_atime = (struct qtime){ (int32_t)*hashp, 0 };
	ea->i_v.v_ctime = (struct qtime){ 0, 0 };
	ea->i_v.v_size = ea->i_disksize = len;
	error = fill(h, ea, value, len);
	if (error == 0)
		error = inode_write(h, ea);
	if (error == 0)
		error = set_refs(h, ea, 1);
	if (error == 0) {
		inode_add_blocks(ip, clusters_of(x, len));
	} else {
		e = let_go(h, ea);
		if (e != 0)
			error = e;
	}
	qvnode_put(&ea->i_v);
	return error;
}

int
ea_drop(struct jhandle *h, struct inode *ip, uint32_t ino, uint32_t size)
{
	struct ext4 *x = inode_fs(ip);
	struct ext4_inode *di;
	struct inode *ea;
	struct qbuf *b;
	uint64_t refs;
	int error;

	error = inode_get(x, ino, IGET_EA, &ea);
	if (error != 0)
		return error;
	error = inode_record(x, ino, &di, &b);
	if (error == 0) {
		refs = le_pair(di->i_version_lo_le, di->i_ctime_le);
		qbuf_put(b);
		refs = refs > 0 ? refs - 1 : 0;
		error = set_refs(h, ea, refs);
	}
	if (error == 0)
		inode_add_blocks(ip, -clusters_of(x, size));
	if (error == 0 && refs == 0)
		error = let_go(h, ea);
	qvnode_put(&ea->i_v);
	return error;
}
