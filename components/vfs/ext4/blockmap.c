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
