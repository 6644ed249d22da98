/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Extents: where a file's blocks are, as runs in a tree whose root is in i_block.
 *
 * Source: section 5.2, "Extent Tree".
 *
 * What a tree must be like, of which each step down checks its part:
 *
 * E1	a node's depth is one less than that of the node above;
 * E2	entries are no more than eh_max, and that no more than fit;
 * E3	entries ascend, and lie within what the entry above covers;
 * E4	blocks lie in the file system.
 *
 * E1 bounds the way down.  E3's order and the checksum are looked at once, when a
 * block has been read (QBUF_CHECKED); since the block may be in use for something
 * else too, in a damaged file system, all that keeps us from going astray is
 * checked every time.
 */
#include "extent.h"

static int
check_header(struct inode *ip, const struct ext4_extent_header *h, bool root,
    uint32_t depth, uint64_t blk)
{
	const struct ext4 *x = inode_fs(ip);
	uint32_t max = le16(h->eh_max_le), n = le16(h->eh_entries_le);

	if (le16(h->eh_magic_le) != EXT4_EXT_MAGIC)
		return inode_damaged(ip, "extent block %lu: no magic number",
		    blk);
	if (le16(h->eh_depth_le) != depth)
		return inode_damaged(ip,
		    "extent block %lu: its depth is %u instead of %u", blk,
		    le16(h->eh_depth_le), depth);
	if (max > ext_max(x, root) || n > max || max == 0)
		return inode_damaged(ip,
		    "extent block %lu: %u entries of at most %u", blk, n, max);
	if (n == 0 && depth > 0)
		return inode_damaged(ip, "extent block %lu: empty index", blk);
	return 0;
}

int
extent_check_root(struct inode *ip)
{
	const struct ext4_extent_header *h = (const void *)ip->i_data;
	uint32_t depth = le16(h->eh_depth_le);

	if (depth > EXT4_EXT_MAXDEPTH)
		return inode_damaged(ip, "an extent tree of depth %u", depth);
	return check_header(ip, h, true, depth, 0);
}

static uint32_t
entry_lblk(const uint8_t *p)
{
	le32_t n;

	memcpy(&n, p, sizeof(n));
	return le32(n);
}

/* E3 and the checksum, once. */
static int
check_block(struct inode *ip, struct qbuf *b)
{
	const struct ext4 *x = inode_fs(ip);
	struct ext4_extent_header *h = (void *)b->bf_data;
	uint32_t i, n = ext_count(h);
	size_t at = EXT_ENTRY * (1 + (size_t)le16(h->eh_max_le));
	le32_t sum;

	if (qbuf_is(b, QBUF_CHECKED))
		return 0;
	if (x->x_csum) {
		if (at + sizeof(sum) > x->x_bsize)
			return inode_damaged(ip,
			    "extent block %lu: no room for its checksum",
			    b->bf_blk);
		memcpy(&sum, b->bf_data + at, sizeof(sum));
		if (le32(sum) != csum_block(ip->i_seed, b->bf_data, at))
			return inode_damaged(ip,
			    "extent block %lu: wrong checksum", b->bf_blk);
	}
	for (i = 1; i < n; i++)
		if (entry_lblk(ext_entry(h, i)) <=
		    entry_lblk(ext_entry(h, i - 1)))
			return inode_damaged(ip,
			    "extent block %lu: entry %u is out of order",
			    b->bf_blk, i);
	qbuf_set(b, QBUF_CHECKED);
	return 0;
}

/* The last entry that begins at or before `lblk`, or -1. */
static int32_t
find_entry(struct ext4_extent_header *h, uint64_t lblk)
{
	int32_t lo = 0, hi = (int32_t)ext_count(h);

	while (lo < hi) {
		int32_t mid = (lo + hi) / 2;

		if (entry_lblk(ext_entry(h, (uint32_t)mid)) <= lblk)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo - 1;
}

void
ext_put(struct extpath *p)
{
	uint32_t i;

	for (i = 1; i <= p->ep_depth; i++)
		qbuf_put(p->ep_level[i].el_buf);
}

/* Read the node that the level's entry points to into the next level. */
static int
step_down(struct inode *ip, struct extpath *p, uint32_t level, uint32_t depth)
{
	struct ext4 *x = inode_fs(ip);
	struct extlevel *up = &p->ep_level[level], *el = up + 1;
	struct ext4_extent_idx *ix;
	uint64_t blk;
	int error;

	/* What comes before all entries belongs to the first. */
	if (up->el_at < 0)
		up->el_at = 0;
	ix = (void *)ext_entry(up->el_h, (uint32_t)up->el_at);
	if ((uint32_t)up->el_at + 1 < ext_count(up->el_h))
		p->ep_next = entry_lblk(
		    ext_entry(up->el_h, (uint32_t)up->el_at + 1));
	blk = le32(ix->ei_leaf_lo_le) | (uint64_t)le16(ix->ei_leaf_hi_le) << 32;
	if (!blk_ok(x, blk, 1))
		return inode_damaged(ip, "extent block outside, at %lu", blk);
	error = blk_read(x, blk, &el->el_buf);
	if (error != 0)
		return error;
	el->el_h = (void *)el->el_buf->bf_data;
	error = check_header(ip, el->el_h, false, depth, blk);
	if (error == 0)
		error = check_block(ip, el->el_buf);
	if (error == 0 && ext_count(el->el_h) > 0 &&
	    entry_lblk(ext_entry(el->el_h, 0)) < le32(ix->ei_block_le))
		error = inode_damaged(ip,
		    "extent block %lu: begins before its index", blk);
	if (error == 0 && ext_count(el->el_h) > 0 &&
	    entry_lblk(ext_entry(el->el_h, ext_count(el->el_h) - 1)) >=
		p->ep_next)
		error = inode_damaged(ip,
		    "extent block %lu: goes on behind its index", blk);
	if (error != 0)
		qbuf_put(el->el_buf);
	return error;
}

int
ext_walk(struct inode *ip, uint64_t lblk, struct extpath *p)
{
	uint32_t depth, i;
	int error;

	p->ep_level[0].el_buf = NULL;
	p->ep_level[0].el_h = (void *)ip->i_data;
	p->ep_next = UINT64_MAX;
	p->ep_depth = 0;
	error = extent_check_root(ip);
	if (error != 0)
		return error;
	depth = le16(p->ep_level[0].el_h->eh_depth_le);
	for (i = 0;; i++) {
		p->ep_level[i].el_at = find_entry(p->ep_level[i].el_h, lblk);
		if (i == depth)
			break;
		error = step_down(ip, p, i, depth - 1 - i);
		if (error != 0) {
			ext_put(p);
			return error;
		}
		p->ep_depth = i + 1;
	}
	return 0;
}

int
ext_get(struct inode *ip, const struct extpath *p, int32_t at, struct ext *e)
{
	const struct ext4 *x = inode_fs(ip);
	const struct extlevel *el = &p->ep_level[p->ep_depth];
	const struct ext4_extent *ee = (const void *)ext_entry(el->el_h,
	    (uint32_t)at);
	uint32_t n = ext_count(el->el_h);

	qassert(at >= 0 && (uint32_t)at < n);
	e->e_lblk = le32(ee->ee_block_le);
	e->e_pblk = le32(ee->ee_start_lo_le) |
	    (uint64_t)le16(ee->ee_start_hi_le) << 32;
	e->e_len = le16(ee->ee_len_le);
	e->e_unwritten = e->e_len > EXT4_EXT_INITMAX;
	if (e->e_unwritten)
		e->e_len -= EXT4_EXT_INITMAX;
	if (e->e_len == 0 || e->e_lblk + e->e_len > (uint64_t)UINT32_MAX + 1)
		return inode_damaged(ip, "extent of block %lu: %u blocks",
		    e->e_lblk, e->e_len);
	if (!blk_ok(x, e->e_pblk, e->e_len))
		return inode_damaged(ip,
		    "extent of block %lu: %u blocks at %lu", e->e_lblk,
		    e->e_len, e->e_pblk);
	if ((uint32_t)at + 1 < n &&
	    entry_lblk(ext_entry(el->el_h, (uint32_t)at + 1)) <
		e->e_lblk + e->e_len)
		return inode_damaged(ip,
		    "extent of block %lu overlaps the next", e->e_lblk);
	return 0;
}

int
extent_find(struct inode *ip, uint64_t lblk, struct run *r)
{
	struct extpath p;
	struct extlevel *el;
	struct ext e;
	uint64_t next;
	int error;

	error = ext_walk(ip, lblk, &p);
	if (error != 0)
		return error;
	el = ext_leaf(&p);
	if (el->el_at >= 0) {
		error = ext_get(ip, &p, el->el_at, &e);
		if (error != 0)
			goto out;
		if (lblk < e.e_lblk + e.e_len) {
			r->r_lblk = lblk;
			r->r_pblk = e.e_pblk + (lblk - e.e_lblk);
			r->r_len = e.e_len - (lblk - e.e_lblk);
			r->r_flags = e.e_unwritten ? QMAP_UNWRITTEN : 0;
			goto out;
		}
	}
	next = p.ep_next;
	if ((uint32_t)(el->el_at + 1) < ext_count(el->el_h))
		next = entry_lblk(
		    ext_entry(el->el_h, (uint32_t)(el->el_at + 1)));
	if (next <= lblk) {
		error = inode_damaged(ip,
		    "extents behind block %lu are out of "
		    "order",
		    lblk);
		goto out;
	}
	r->r_lblk = lblk;
	r->r_pblk = 0;
	r->r_len = next - lblk;
	r->r_flags = QMAP_HOLE;
out:
	ext_put(&p);
	return error;
}
