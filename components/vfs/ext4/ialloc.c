/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Allocation of inodes.  Files go into their directory's group, or the next that
 * has one free; directories of the root are spread, others stay near their parent
 * while that group is no fuller than the average.
 */
#include "alloc.h"

static int
ibitmap_get(struct ext4 *x, uint32_t g, struct qbuf **bp)
{
	struct group *gr = &x->x_groups[g];
	struct ext4_group_desc *gd;
	struct qbuf *b, *db;
	uint32_t sum, is;
	int error;

	if (gr->g_bad)
		return -Q_EUCLEAN;
	if ((gr->g_flags & EXT4_BG_INODE_UNINIT) != 0) {
		error = qbuf_get(x->x_bufs, gr->g_ibitmap, &b);
		if (error != 0)
			return error;
		qbuf_lock(b);
		memset(b->bf_data, 0, x->x_bsize);
		memset(b->bf_data + x->x_ipg / 8, 0xff,
		    x->x_bsize - x->x_ipg / 8);
		qbuf_unlock(b);
		qbuf_set(b, QBUF_CHECKED);
		*bp = b;
		return 0;
	}
	error = blk_read(x, gr->g_ibitmap, &b);
	if (error != 0)
		return error;
	*bp = b;
	if (qbuf_is(b, QBUF_CHECKED) || !x->x_csum) {
		qbuf_set(b, QBUF_CHECKED);
		return 0;
	}
	error = group_desc(x, g, &gd, &db);
	if (error != 0) {
		qbuf_put(b);
		return error;
	}
	sum = le16(gd->bg_inode_bitmap_csum_lo_le);
	is = csum_bitmap(x, b->bf_data, x->x_ipg / 8);
	if (x->x_desc_size >= EXT4_DESC_SIZE64)
		sum |= (uint32_t)le16(gd->bg_inode_bitmap_csum_hi_le) << 16;
	else
		is &= 0xffff;
	qbuf_put(db);
	if (sum != is) {
		gr->g_bad = true;
		qbuf_put(b);
		return qfs_damaged(x->x_fs,
		    "group %u: inode bitmap has a wrong checksum, at block %lu",
		    g, gr->g_ibitmap);
	}
	qbuf_set(b, QBUF_CHECKED);
	return 0;
}

/* Records between those used before and inode `i` were never written. */
static int
zero_records(struct jhandle *h, struct ext4 *x, uint32_t g, uint32_t i)
{
	struct group *gr = &x->x_groups[g];
	uint32_t k = x->x_ipg - gr->g_unused;
	int error = 0;

	for (; k < i && error == 0; k++) {
		struct ext4_inode *di;
		struct qbuf *b;

		error = inode_record(x, (uint64_t)g * x->x_ipg + k + 1, &di,
		    &b);
		if (error != 0)
			return error;
		error = journal_get_write(h, b);
		if (error == 0) {
			qbuf_lock(b);
			memset(di, 0, x->x_isize);
			qbuf_unlock(b);
			journal_dirty(h, b);
		}
		qbuf_put(b);
	}
	return error;
}

/* Set or clear an inode's bit and count it. */
static int
change_inode(struct jhandle *h, struct ext4 *x, uint32_t g, struct qbuf *b,
    uint32_t i, bool on, bool isdir)
{
	struct group *gr = &x->x_groups[g];
	struct ext4_group_desc *gd;
	uint8_t bit = (uint8_t)(1u << (i & 7));
	uint32_t was;
	struct qbuf *db;
	int error;

	error = group_desc(x, g, &gd, &db);
	if (error != 0)
		return error;
	error = journal_get_write(h, b);
	if (error == 0)
		error = journal_get_write(h, db);
	if (error == 0 && on && (x->x_csum || x->x_gdtcsum) &&
	    i >= x->x_ipg - gr->g_unused) {
		error = zero_records(h, x, g, i);
		if (error == 0)
			gr->g_unused = x->x_ipg - i - 1;
	}
	if (error != 0) {
		qbuf_put(db);
		return error;
	}
	qbuf_lock(b);
	was = ext4_crc32c(0, b->bf_data + i / 8, 1);
	if (on)
		b->bf_data[i / 8] |= bit;
	else
		b->bf_data[i / 8] &= (uint8_t)~bit;
	qbuf_unlock(b);
	journal_dirty(h, b);
	gr->g_ifree += on ? -1u : 1;
	x->x_ifree += on ? -UINT64_C(1) : 1;
	if (isdir)
		gr->g_dirs += on ? 1 : -1u;
	qbuf_lock(db);
	if (x->x_csum)
		sum_bitmap(x, b->bf_data, x->x_ipg / 8,
		    (gr->g_flags & EXT4_BG_INODE_UNINIT) != 0,
		    &(struct bitpatch){ i / 8, 1, was },
		    &gd->bg_inode_bitmap_csum_lo_le,
		    &gd->bg_inode_bitmap_csum_hi_le);
	gr->g_flags &= (uint16_t)~EXT4_BG_INODE_UNINIT;
	desc_store(x, g, gd);
	qbuf_unlock(db);
	journal_dirty(h, db);
	qbuf_put(db);
	return 0;
}

static int
take_in_group(struct jhandle *h, struct ext4 *x, uint32_t g, bool isdir,
    uint64_t *inop)
{
	uint32_t i = g == 0 ? x->x_firstino - 1 : 0;
	struct qbuf *b;
	int error;

	error = ibitmap_get(x, g, &b);
	if (error != 0)
		return error;
	i = next_bit(b->bf_data, NULL, i, x->x_ipg, false);
	if (i >= x->x_ipg) {
		qbuf_put(b);
		x->x_groups[g].g_bad = true;
		return qfs_damaged(x->x_fs,
		    "group %u: no inode is free, but %u are counted", g,
		    x->x_groups[g].g_ifree);
	}
	error = change_inode(h, x, g, b, i, true, isdir);
	qbuf_put(b);
	*inop = (uint64_t)g * x->x_ipg + i + 1;
	return error;
}

/* Where a directory should be. */
static uint32_t
dir_group(struct ext4 *x, const struct inode *parent, uint32_t pg)
{
	uint64_t ifree = x->x_ifree / x->x_ngroup,
		 free = x->x_free / x->x_ngroup;
	bool spread = parent->i_v.v_ino == EXT4_ROOT_INO ||
	    inode_has(parent, EXT4_TOPDIR_FL);
	uint32_t i, g, best = pg, least = UINT32_MAX;

	for (i = 0; i < x->x_ngroup; i++) {
		const struct group *gr;

		g = ((spread ? x->x_lastgroup + 1 : pg) + i) % x->x_ngroup;
		gr = &x->x_groups[g];
		if (gr->g_bad || gr->g_ifree == 0 || gr->g_ifree < ifree ||
		    gr->g_free < free)
			continue;
		if (!spread)
			return g;
		if (gr->g_dirs < least) {
			least = gr->g_dirs;
			best = g;
		}
	}
	if (spread)
		x->x_lastgroup = best;
	return best;
}

int
ialloc(struct jhandle *h, struct inode *parent, uint32_t mode, uint64_t *inop)
{
	struct ext4 *x = inode_fs(parent);
	uint32_t g = (uint32_t)((parent->i_v.v_ino - 1) / x->x_ipg), i;
	bool isdir = (mode & Q_S_IFMT) == Q_S_IFDIR;
	int error = -Q_ENOSPC;

	qmutex_lock(&x->x_alloc);
	if (isdir)
		g = dir_group(x, parent, g);
	for (i = 0; i < x->x_ngroup; i++, g = (g + 1) % x->x_ngroup) {
		if (x->x_groups[g].g_bad || x->x_groups[g].g_ifree == 0)
			continue;
		error = take_in_group(h, x, g, isdir, inop);
		if (error != -Q_EUCLEAN)
			break;
	}
	qmutex_unlock(&x->x_alloc);
	return error;
}

int
ifree(struct jhandle *h, struct ext4 *x, uint64_t ino, bool isdir)
{
	uint32_t g = (uint32_t)((ino - 1) / x->x_ipg);
	uint32_t i = (uint32_t)((ino - 1) % x->x_ipg);
	struct qbuf *b;
	int error;

	qmutex_lock(&x->x_alloc);
	error = ibitmap_get(x, g, &b);
	if (error == 0) {
		if (!bit_isset(b->bf_data, i))
			error = qfs_damaged(x->x_fs,
			    "inode %lu is freed, but is free", ino);
		else
			error = change_inode(h, x, g, b, i, false, isdir);
		qbuf_put(b);
	}
	qmutex_unlock(&x->x_alloc);
	return error;
}
