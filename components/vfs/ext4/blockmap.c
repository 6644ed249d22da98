/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Block maps: files of ext2 and ext3, whose i_block holds 12 blocks' numbers and
 * those of an indirect, a double and a triple indirect block.
 *
 * Source: section 5.2, "Direct/Indirect Block Addressing".
 */
#include "impl.h"

/* Numbers in a block, as a logarithm. */
static uint32_t
per_bits(const struct ext4 *x)
{
	return x->x_bits - 2;
}

/* Blocks that can be mapped. */
uint64_t
blockmap_maxblocks(const struct ext4 *x)
{
	uint32_t pb = per_bits(x);
	uint64_t n = EXT4_NDIRECT + (UINT64_C(1) << pb) +
	    (UINT64_C(1) << 2 * pb) + (UINT64_C(1) << 3 * pb);

	/* Logical blocks are counted by 32 bits everywhere else. */
	return n < UINT32_MAX ? n : UINT32_MAX;
}

/*
 * The way to a block: indices into i_block and then into each indirect block.
 * How many there are; 0: it is beyond what can be mapped.
 */
static uint32_t
blockmap_path(const struct ext4 *x, uint64_t lblk, uint32_t idx[4])
{
	uint32_t pb = per_bits(x), mask = (UINT32_C(1) << pb) - 1, n;

	if (lblk < EXT4_NDIRECT) {
		idx[0] = (uint32_t)lblk;
		return 1;
	}
	lblk -= EXT4_NDIRECT;
	for (n = 1; n <= 3; n++) {
		uint64_t span = UINT64_C(1) << n * pb;
		uint32_t i;

		if (lblk < span) {
			idx[0] = EXT4_NDIRECT + n - 1;
			for (i = n; i > 0; i--) {
				idx[i] = (uint32_t)lblk & mask;
				lblk >>= pb;
			}
			return n + 1;
		}
		lblk -= span;
	}
	return 0;
}

static uint32_t
get_number(const uint8_t *p, uint32_t i)
{
	le32_t n;

	memcpy(&n, p + (size_t)i * 4, 4);
	return le32(n);
}

/* How many numbers from the i-th of `n` on count up as data blocks do. */
static uint64_t
count_run(const uint8_t *p, uint32_t i, uint32_t n)
{
	uint32_t first = get_number(p, i), k;

	for (k = 1; i + k < n; k++)
		if (get_number(p, i + k) != (first == 0 ? 0 : first + k))
			break;
	return k;
}

int
blockmap_find(struct inode *ip, uint64_t lblk, struct run *r)
{
	struct ext4 *x = inode_fs(ip);
	uint32_t idx[4], depth = blockmap_path(x, lblk, idx), i;
	uint32_t n = EXT4_NBLOCK, blk = 0;
	const uint8_t *p = ip->i_data;
	struct qbuf *b = NULL;
	int error = 0;

	r->r_lblk = lblk;
	r->r_flags = QMAP_HOLE;
	r->r_len = 1;
	if (depth == 0) {
		r->r_len = UINT64_MAX - lblk;
		return 0;
	}
	for (i = 0; i < depth; i++) {
		blk = get_number(p, idx[i]);
		if (blk != 0 && !blk_ok(x, blk, 1)) {
			error = inode_damaged(ip, "block %lu is at %u", lblk,
			    blk);
			break;
		}
		if (i + 1 == depth) {
			/* The last three of i_block are not data. */
			if (depth == 1)
				n = EXT4_NDIRECT;
			r->r_len = count_run(p, idx[i], n);
			break;
		}
		if (blk == 0) {
			/* Nothing below: to the end of what it would map. */
			uint32_t bits = (depth - 1 - i) * per_bits(x);
			uint64_t base = depth == 2 ?
			    EXT4_NDIRECT :
			    depth == 3 ?
			    EXT4_NDIRECT + (UINT64_C(1) << per_bits(x)) :
			    EXT4_NDIRECT + (UINT64_C(1) << per_bits(x)) +
				(UINT64_C(1) << 2 * per_bits(x));
			uint64_t in = (lblk - base) &
			    ((UINT64_C(1) << bits) - 1);

			r->r_len = (UINT64_C(1) << bits) - in;
			break;
		}
		if (b != NULL)
			qbuf_put(b);
		b = NULL;
		error = blk_read(x, blk, &b);
		if (error != 0)
			break;
		p = b->bf_data;
		n = UINT32_C(1) << per_bits(x);
	}
	if (b != NULL)
		qbuf_put(b);
	if (error == 0 && blk != 0) {
		r->r_flags = 0;
		r->r_pblk = blk;
		if (!blk_ok(x, blk, r->r_len))
			r->r_len = 1;
	}
	return error;
}

int
map_find(struct inode *ip, uint64_t lblk, struct run *r)
{
	const struct run *l = &ip->i_last;
	int error;

	if (lblk >= l->r_lblk && lblk - l->r_lblk < l->r_len) {
		uint64_t in = lblk - l->r_lblk;

		*r = *l;
		r->r_lblk = lblk;
		r->r_len -= in;
		if ((r->r_flags & QMAP_HOLE) == 0)
			r->r_pblk += in;
		return 0;
	}
	if (inode_has(ip, EXT4_EXTENTS_FL))
		error = extent_find(ip, lblk, r);
	else
		error = blockmap_find(ip, lblk, r);
	if (error == 0)
		ip->i_last = *r;
	return error;
}

/* ---- changing ---------------------------------------------------------------- */

static void
put_number(uint8_t *p, uint32_t i, uint32_t blk)
{
	le32_t n = to_le32(blk);

	memcpy(p + (size_t)i * 4, &n, 4);
}

/* Store a number into i_block or an indirect block. */
static int
store_number(struct jhandle *h, struct inode *ip, struct qbuf *b, uint32_t i,
    uint32_t blk)
{
	int error;

	if (b == NULL) {
		/* In memory: it must get into the inode now. */
		h->h_changed = true;
		put_number(ip->i_data, i, blk);
		return 0;
	}
	error = journal_get_write(h, b);
	if (error != 0)
		return error;
	qbuf_lock(b);
	put_number(b->bf_data, i, blk);
	qbuf_unlock(b);
	journal_dirty(h, b);
	return 0;
}

/* An indirect block that was missing. */
static int
new_indirect(struct jhandle *h, struct inode *ip, struct qbuf *up, uint32_t i,
    struct qbuf **bp)
{
	struct ext4 *x = inode_fs(ip);
	uint64_t blk;
	int error;

	error = alloc_meta(h, ip, ip->i_goal, &blk);
	if (error != 0)
		return error;
	error = blk >> 32 != 0 ? -Q_ENOSPC : qbuf_get(x->x_bufs, blk, bp);
	if (error == 0) {
		error = journal_get_create(h, *bp);
		if (error == 0) {
			qbuf_lock(*bp);
			memset((*bp)->bf_data, 0, x->x_bsize);
			qbuf_unlock(*bp);
			journal_dirty(h, *bp);
			error = store_number(h, ip, up, i, (uint32_t)blk);
		}
		if (error != 0)
			qbuf_put(*bp);
	}
	if (error != 0)
		unalloc_meta(h, ip, blk);
	return error;
}

/* Map one block. */
static int
insert_one(struct jhandle *h, struct inode *ip, uint64_t lblk, uint64_t pblk)
{
	struct ext4 *x = inode_fs(ip);
	uint32_t idx[4], depth = blockmap_path(x, lblk, idx), i;
	struct qbuf *b = NULL, *below;
	int error = 0;

	if (depth == 0 || pblk >> 32 != 0)
		return -Q_EFBIG;
	for (i = 0; i + 1 < depth && error == 0; i++) {
		const uint8_t *p = b == NULL ? ip->i_data : b->bf_data;
		uint32_t blk = get_number(p, idx[i]);

		if (blk == 0)
			error = new_indirect(h, ip, b, idx[i], &below);
		else if (!blk_ok(x, blk, 1))
			error = inode_damaged(ip, "indirect block at %u", blk);
		else
			error = blk_read(x, blk, &below);
		if (error == 0) {
			qbuf_put(b);
			b = below;
		}
	}
	if (error == 0)
		error = store_number(h, ip, b, idx[depth - 1], (uint32_t)pblk);
	qbuf_put(b);
	return error;
}

int
blockmap_insert(struct jhandle *h, struct inode *ip, const struct run *r)
{
	uint64_t i;
	int error = 0, e;

	ip->i_last.r_len = 0;
	for (i = 0; i < r->r_len && error == 0; i++)
		error = insert_one(h, ip, r->r_lblk + i, r->r_pblk + i);
	/* Indirect blocks that are left are found when the file shrinks. */
	while (error != 0 && i-- > 0)
		(void)!insert_one(h, ip, r->r_lblk + i, 0);
	/* With the indirect blocks that it has now. */
	e = inode_write(h, ip);
	return error != 0 ? error : e;
}

static bool
all_zero(const uint8_t *p, size_t n)
{
	while (n > 0)
		if (p[--n] != 0)
			return false;
	return true;
}

/*
 * Free indirect blocks on the way to `lblk` that map nothing, from the lowest up.
 */
static int
prune(struct jhandle *h, struct inode *ip, uint64_t lblk)
{
	struct ext4 *x = inode_fs(ip);
	uint32_t idx[4], depth = blockmap_path(x, lblk, idx), n, i;
	struct qbuf *b[4] = { NULL };
	int error = 0;

	for (n = 1; n < depth && error == 0; n++) {
		const uint8_t *p = n == 1 ? ip->i_data : b[n - 1]->bf_data;
		uint32_t blk = get_number(p, idx[n - 1]);

		if (blk == 0)
			break;
		if (!blk_ok(x, blk, 1))
			error = inode_damaged(ip, "indirect block at %u", blk);
		else
			error = blk_read(x, blk, &b[n]);
		if (error != 0)
			break;
	}
	for (i = n; error == 0 && i-- > 1;) {
		if (!all_zero(b[i]->bf_data, x->x_bsize))
			break;
		error = store_number(h, ip, i == 1 ? NULL : b[i - 1],
		    idx[i - 1], 0);
		if (error == 0) {
			qbuf_ref(b[i]);
			error = free_meta(h, ip, b[i], b[i]->bf_blk);
		}
	}
	for (i = 1; i < 4; i++)
		qbuf_put(b[i]);
	return error;
}

int
blockmap_remove(struct jhandle *h, struct inode *ip, uint64_t from,
    uint64_t end, uint64_t *donep)
{
	struct ext4 *x = inode_fs(ip);
	uint64_t max = blockmap_maxblocks(x), per = UINT64_C(1) << per_bits(x);
	struct run r;
	int error = 0;

	if (end > max)
		end = max;
	while (from < end) {
		uint64_t i;

		*donep = from;
		if (tx_low(h)) {
			error = -Q_EAGAIN;
			break;
		}
		ip->i_last.r_len = 0;
		error = blockmap_find(ip, from, &r);
		if (error != 0)
			break;
		if (r.r_len > end - from)
			r.r_len = end - from;
		if ((r.r_flags & QMAP_HOLE) == 0) {
			for (i = 0; i < r.r_len && error == 0; i++)
				error = insert_one(h, ip, from + i, 0);
			if (error == 0)
				error = free_data(h, ip, from, r.r_pblk,
				    r.r_len);
		}
		/* At the end of what an indirect block maps, or of all. */
		if (error == 0 && from + r.r_len > EXT4_NDIRECT &&
		    (from + r.r_len == end || r.r_len > 1 ||
			(from + r.r_len - EXT4_NDIRECT) % per == 0))
			error = prune(h, ip, from + r.r_len - 1);
		if (error != 0)
			break;
		from += r.r_len;
	}
	if (error == 0)
		*donep = end;
	if (error == 0 || error == -Q_EAGAIN) {
		int e = inode_write(h, ip);

		if (e != 0)
			error = e;
	}
	return error;
}
