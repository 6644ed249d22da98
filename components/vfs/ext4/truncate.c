/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Giving blocks to files and taking them away, whatever maps them.
 */
#include "alloc.h"

int
alloc_meta(struct jhandle *h, struct inode *ip, uint64_t goal, uint64_t *blk)
{
	return alloc_block(h, ip, goal, ALLOC_META, blk);
}

int
alloc_block(struct jhandle *h, struct inode *ip, uint64_t goal, unsigned flags,
    uint64_t *blk)
{
	struct ext4 *x = inode_fs(ip);
	uint32_t got;
	int error;

	if (goal == 0)
		goal = group_first(x,
		    (uint32_t)((ip->i_v.v_ino - 1) / x->x_ipg));
	error = alloc_clusters(h, x, goal, 1, flags, blk, &got);
	if (error == 0)
		inode_add_blocks(ip, 1);
	return error;
}

int
free_meta(struct jhandle *h, struct inode *ip, struct qbuf *b, uint64_t blk)
{
	struct ext4 *x = inode_fs(ip);
	int error;

	error = journal_forget(h, b, blk);
	if (error == 0)
		error = free_clusters(h, x, blk, 1);
	if (error == 0)
		inode_add_blocks(ip, -1);
	return error;
}

void
unalloc_meta(struct jhandle *h, struct inode *ip, uint64_t blk)
{
	int error = free_meta(h, ip, NULL, blk);

	/* It would be nobody's. */
	if (error != 0)
		journal_abort(h->h_j, error);
}

/* Is any block of the cluster that `lblk` is in still mapped? */
static int
cluster_used(struct inode *ip, uint64_t lblk)
{
	struct ext4 *x = inode_fs(ip);
	uint64_t n = UINT64_C(1) << x->x_cbits, first = lblk & ~(n - 1);
	uint64_t at = first;
	struct run r;
	int error;

	while (at < first + n) {
		error = map_find(ip, at, &r);
		if (error != 0)
			return error;
		if ((r.r_flags & QMAP_HOLE) == 0)
			return 1;
		at += r.r_len;
	}
	return 0;
}

int
free_data(struct jhandle *h, struct inode *ip, uint64_t lblk, uint64_t pblk,
    uint64_t n)
{
	struct ext4 *x = inode_fs(ip);
	uint64_t c = UINT64_C(1) << x->x_cbits, end = lblk + n, first, last;
	int error, used;

	ip->i_last.r_len = 0;
	/* What the buffer cache has of it: directories and attributes. */
	if (qvnode_type(&ip->i_v) != Q_S_IFREG ||
	    inode_has(ip, EXT4_EA_INODE_FL)) {
		uint64_t i;

		for (i = 0; i < n; i++) {
			error = journal_forget(h,
			    qbuf_find(x->x_bufs, pblk + i), pblk + i);
			if (error != 0)
				return error;
		}
	}
	/* The clusters at both ends may have other blocks of the file. */
	first = lblk & ~(c - 1);
	if (first != lblk || (c > 1 && end < first + c)) {
		used = cluster_used(ip, lblk);
		if (used < 0)
			return used;
		if (used > 0)
			first += c;
	}
	last = (end + c - 1) & ~(c - 1);
	if (last != end && last > first) {
		used = cluster_used(ip, end - 1);
		if (used < 0)
			return used;
		if (used > 0)
			last -= c;
	}
	if (last <= first)
		return 0;
	/* In physical terms, from the beginning of the first cluster. */
	pblk = first >= lblk ? pblk + (first - lblk) : pblk - (lblk - first);
	error = free_clusters(h, x, pblk, (last - first) >> x->x_cbits);
	if (error == 0)
		inode_add_blocks(ip, -(int64_t)((last - first) >> x->x_cbits));
	return error;
}

int
truncate_range(struct jhandle *h, struct inode *ip, uint64_t from, uint64_t end)
{
	int error, e;

	if (end > (uint64_t)UINT32_MAX + 1)
		end = (uint64_t)UINT32_MAX + 1;
	for (;;) {
		uint64_t done = from;

		qmutex_lock(&ip->i_lock);
		if (inode_has(ip, EXT4_EXTENTS_FL))
			error = extent_remove(h, ip, from, end, &done);
		else
			error = blockmap_remove(h, ip, from, end, &done);
		qmutex_unlock(&ip->i_lock);
		if (error != -Q_EAGAIN)
			return error;
		from = done;
		e = journal_extend(h, MAP_CREDITS);
		if (e == -Q_EAGAIN)
			e = journal_restart(h, MAP_CREDITS);
		if (e != 0)
			return e;
	}
}
