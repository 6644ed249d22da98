/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Block groups: where their descriptors are, and what these say.
 */
#include "impl.h"

/* How many blocks of descriptors there are. */
uint32_t
group_desc_blocks(const struct ext4 *x)
{
	return (x->x_ngroup + x->x_desc_per_block - 1) / x->x_desc_per_block;
}

uint64_t
group_first(const struct ext4 *x, uint32_t g)
{
	return x->x_first + (uint64_t)g * x->x_bpg;
}

/* The last one may be shorter than the others. */
uint32_t
group_clusters(const struct ext4 *x, uint32_t g)
{
	uint64_t left = x->x_nblock - group_first(x, g);

	if (left >= x->x_bpg)
		return x->x_cpg;
	return (
	    uint32_t)((left + (UINT64_C(1) << x->x_cbits) - 1) >> x->x_cbits);
}

/* Where block `i` of the descriptors is.  Section 4.2, and 2.7 for meta_bg. */
static uint64_t
desc_block(const struct ext4 *x, uint32_t i)
{
	uint32_t super = EXT4_SUPER_OFF >> x->x_bits, g;

	if (!has_incompat(x, EXT4_INCOMPAT_META_BG) ||
	    i < le32(x->x_super->s_first_meta_bg_le))
		return super + 1 + (uint64_t)i;
	g = i * x->x_desc_per_block;
	/* The super block is in block 1 of group 0 then, not in block 0. */
	if (x->x_bsize == 1024 && g == 0 && x->x_first == 0)
		return 2;
	return group_first(x, g) + super_in_group(x, g);
}

/* Blocks of descriptors that are in group `g`. */
static uint32_t
desc_blocks_in(const struct ext4 *x, uint32_t g)
{
	uint32_t meta = le32(x->x_super->s_first_meta_bg_le);
	uint32_t in = g / x->x_desc_per_block, at = g % x->x_desc_per_block;

	if (!has_incompat(x, EXT4_INCOMPAT_META_BG))
		return super_in_group(x, g) ? group_desc_blocks(x) : 0;
	if (in < meta)
		return super_in_group(x, g) ? meta : 0;
	return at == 0 || at == 1 || at == x->x_desc_per_block - 1;
}

/* Blocks at the beginning of a group: super block and descriptors. */
uint32_t
group_base_blocks(const struct ext4 *x, uint32_t g)
{
	uint32_t n = desc_blocks_in(x, g),
		 meta = x->x_desc_per_block *
	    le32(x->x_super->s_first_meta_bg_le);

	if (!super_in_group(x, g))
		return n;
	n++;
	/* Room for descriptors of groups that may be added. */
	if (!has_incompat(x, EXT4_INCOMPAT_META_BG) || g < meta)
		n += le16(x->x_super->s_reserved_gdt_blocks_le);
	return n;
}

/* The descriptor of a group, in a buffer that the caller puts. */
int
group_desc(struct ext4 *x, uint32_t g, struct ext4_group_desc **gdp,
    struct qbuf **bp)
{
	uint32_t at = g % x->x_desc_per_block;
	int error;

	qassert(g < x->x_ngroup);
	error = blk_read(x, desc_block(x, g / x->x_desc_per_block), bp);
	if (error == 0)
		*gdp = (void *)((*bp)->bf_data + (size_t)at * x->x_desc_size);
	return error;
}

static bool
is_wide(const struct ext4 *x)
{
	return x->x_desc_size >= EXT4_DESC_SIZE64;
}

/* Do `n` blocks from `blk` on lie in the file system? */
bool
blk_ok(const struct ext4 *x, uint64_t blk, uint64_t n)
{
	return blk > x->x_first && blk < x->x_nblock && n <= x->x_nblock - blk;
}

static int
load_group(struct ext4 *x, uint32_t g, const struct ext4_group_desc *gd)
{
	struct group *gr = &x->x_groups[g];
	uint64_t per = to_blocks(x, (uint64_t)x->x_ipg * x->x_isize);
	bool wide = is_wide(x);

	if ((x->x_csum || x->x_gdtcsum) &&
	    csum_group(x, g, gd) != le16(gd->bg_checksum_le))
		return qfs_damaged(x->x_fs,
		    "group %u: descriptor has a wrong checksum", g);
	gr->g_bbitmap = le32(gd->bg_block_bitmap_lo_le);
	gr->g_ibitmap = le32(gd->bg_inode_bitmap_lo_le);
	gr->g_itable = le32(gd->bg_inode_table_lo_le);
	gr->g_free = le16(gd->bg_free_blocks_lo_le);
	gr->g_ifree = le16(gd->bg_free_inodes_lo_le);
	gr->g_dirs = le16(gd->bg_used_dirs_lo_le);
	gr->g_unused = le16(gd->bg_itable_unused_lo_le);
	if (wide) {
		gr->g_bbitmap |= (uint64_t)le32(gd->bg_block_bitmap_hi_le)
		    << 32;
		gr->g_ibitmap |= (uint64_t)le32(gd->bg_inode_bitmap_hi_le)
		    << 32;
		gr->g_itable |= (uint64_t)le32(gd->bg_inode_table_hi_le) << 32;
		gr->g_free |= (uint32_t)le16(gd->bg_free_blocks_hi_le) << 16;
		gr->g_ifree |= (uint32_t)le16(gd->bg_free_inodes_hi_le) << 16;
		gr->g_dirs |= (uint32_t)le16(gd->bg_used_dirs_hi_le) << 16;
		gr->g_unused |= (uint32_t)le16(gd->bg_itable_unused_hi_le)
		    << 16;
	}
	/* Without these checksums the fields mean nothing. */
	if (x->x_csum || x->x_gdtcsum)
		gr->g_flags = le16(gd->bg_flags_le);
	else
		gr->g_unused = 0;
	gr->g_largest = UINT32_MAX;
	if (!blk_ok(x, gr->g_bbitmap, 1) || !blk_ok(x, gr->g_ibitmap, 1) ||
	    !blk_ok(x, gr->g_itable, per))
		return qfs_damaged(x->x_fs,
		    "group %u: bitmaps or inodes lie outside, blocks %lu, %lu, "
		    "%lu",
		    g, gr->g_bbitmap, gr->g_ibitmap, gr->g_itable);
	if (gr->g_free > group_clusters(x, g) || gr->g_ifree > x->x_ipg ||
	    gr->g_unused > x->x_ipg)
		return qfs_damaged(x->x_fs,
		    "group %u: %u clusters and %u inodes free, %u never used",
		    g, gr->g_free, gr->g_ifree, gr->g_unused);
	x->x_free += gr->g_free;
	x->x_ifree += gr->g_ifree;
	return 0;
}

/* Read all descriptors. */
int
groups_load(struct ext4 *x)
{
	struct ext4_group_desc *gd;
	struct qbuf *b = NULL;
	uint32_t g;
	int error = 0;

	x->x_free = x->x_ifree = 0;
	for (g = 0; g < x->x_ngroup && error == 0; g++) {
		if (g % x->x_desc_per_block == 0) {
			if (b != NULL)
				qbuf_put(b);
			b = NULL;
			error = group_desc(x, g, &gd, &b);
			if (error != 0)
				break;
		}
		gd = (void *)(b->bf_data +
		    (size_t)(g % x->x_desc_per_block) * x->x_desc_size);
		error = load_group(x, g, gd);
	}
	if (b != NULL)
		qbuf_put(b);
	return error;
}
