/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <components/vfs/ext4/ondisk.h>

#include "walk.h"

/* Note what is wrong, the first time; false. */
static bool __attribute__((format(printf, 2, 3)))
wrong(struct walk *w, const char *fmt, ...)
{
	va_list ap;

	if (w->w_wrong[0] != '\0')
		return false;
	va_start(ap, fmt);
	vsnprintf(w->w_wrong, sizeof(w->w_wrong), fmt, ap);
	va_end(ap);
	return false;
}

static bool
read_block(struct walk *w, uint64_t blk, void *buf)
{
	if (blk >= w->w_nblock)
		return wrong(w, "block %llu is outside",
		    (unsigned long long)blk);
	if (w->w_read(w->w_arg, blk * w->w_bsize, buf, w->w_bsize) != 0)
		return wrong(w, "block %llu can't be read",
		    (unsigned long long)blk);
	return true;
}

/* A block has an owner: at most one. */
static bool
own(struct walk *w, uint64_t blk, uint32_t ino)
{
	if (blk < w->w_first || blk >= w->w_nblock)
		return wrong(w, "inode %u has block %llu, outside", ino,
		    (unsigned long long)blk);
	if (w->w_owner[blk] != 0)
		return wrong(w, "block %llu is inode %u's and inode %u's",
		    (unsigned long long)blk, w->w_owner[blk], ino);
	w->w_owner[blk] = ino;
	if (ino != WALK_META)
		w->w_inode[ino].wi_blocks++;
	return true;
}

/* ---- the super block and groups ----------------------------------------------- */

static const struct ext4_super *
super(const struct walk *w)
{
	return (const void *)w->w_super;
}

static const struct ext4_group_desc *
desc(const struct walk *w, uint32_t g)
{
	return (const void *)(w->w_desc + (size_t)g * w->w_dsize);
}

static uint64_t
pair(const struct walk *w, uint32_t lo, uint32_t hi)
{
	return w->w_dsize < EXT4_DESC_SIZE64 ? lo : le_pair(lo, hi);
}

/* Memory for an image of this shape. */
static void
make_room(struct walk *w, uint32_t nblock, uint32_t ninode, uint32_t bsize)
{
	unsigned i;

	if (w->w_nblock != nblock || w->w_ninode != ninode ||
	    w->w_bsize != bsize) {
		free(w->w_owner);
		free(w->w_inode);
		free(w->w_bits);
		w->w_owner = malloc(nblock * sizeof(*w->w_owner));
		w->w_inode = malloc((ninode + 1) * sizeof(*w->w_inode));
		w->w_bits = malloc((size_t)bsize * 2);
		for (i = 0; i < 6; i++) {
			free(w->w_block[i]);
			w->w_block[i] = malloc(bsize);
		}
	}
	w->w_nblock = nblock;
	w->w_ninode = ninode;
	w->w_bsize = bsize;
	memset(w->w_owner, 0, nblock * sizeof(*w->w_owner));
	memset(w->w_inode, 0, (ninode + 1) * sizeof(*w->w_inode));
	w->w_nname = w->w_nrun = 0;
	w->w_wrong[0] = '\0';
}

static bool
read_super(struct walk *w)
{
	const struct ext4_super *sb;

	if (w->w_super == NULL)
		w->w_super = malloc(EXT4_SUPER_SIZE);
	if (w->w_read(w->w_arg, EXT4_SUPER_OFF, w->w_super, EXT4_SUPER_SIZE) !=
	    0)
		return wrong(w, "no super block");
	sb = super(w);
	if (le16(sb->s_magic_le) != EXT4_MAGIC)
		return wrong(w, "no magic number");
	make_room(w, le32(sb->s_blocks_count_lo_le),
	    le32(sb->s_inodes_count_le),
	    1024u << le32(sb->s_log_block_size_le));
	w->w_first = le32(sb->s_first_data_block_le);
	w->w_bpg = le32(sb->s_blocks_per_group_le);
	w->w_ipg = le32(sb->s_inodes_per_group_le);
	w->w_isize = le16(sb->s_inode_size_le);
	w->w_firstino = le32(sb->s_first_ino_le);
	w->w_compat = le32(sb->s_feature_compat_le);
	w->w_incompat = le32(sb->s_feature_incompat_le);
	w->w_ro = le32(sb->s_feature_ro_compat_le);
	w->w_dsize = (w->w_incompat & EXT4_INCOMPAT_64BIT) != 0 ?
	    le16(sb->s_desc_size_le) :
	    EXT4_DESC_SIZE;
	w->w_ngroup = (w->w_nblock - w->w_first + w->w_bpg - 1) / w->w_bpg;
	if ((w->w_incompat & EXT4_INCOMPAT_RECOVER) != 0)
		return wrong(w, "it says that it needs recovery");
	if (le16(sb->s_state_le) != EXT4_STATE_VALID && !w->w_errors)
		return wrong(w, "s_state is %x", le16(sb->s_state_le));
	if (le32(sb->s_last_orphan_le) != 0)
		return wrong(w, "inode %u is left on the list of orphans",
		    le32(sb->s_last_orphan_le));
	if ((w->w_ro & EXT4_RO_ORPHAN_PRESENT) != 0)
		return wrong(w, "orphan_present is left");
	return true;
}

/* Where a group's super block and descriptors have copies: sparse_super. */
static bool
has_super(const struct walk *w, uint32_t g)
{
	uint32_t base, n;

	if (g <= 1 || (w->w_ro & EXT4_RO_SPARSE_SUPER) == 0)
		return true;
	for (base = 3; base <= 7; base += 2) {
		for (n = base; n < g; n *= base)
			continue;
		if (n == g)
			return true;
	}
	return false;
}

static bool
own_range(struct walk *w, uint64_t blk, uint32_t n)
{
	while (n-- > 0)
		if (!own(w, blk++, WALK_META))
			return false;
	return true;
}

static bool
read_groups(struct walk *w)
{
	uint32_t n = (w->w_ngroup * w->w_dsize + w->w_bsize - 1) / w->w_bsize;
	uint32_t it = (w->w_ipg * w->w_isize + w->w_bsize - 1) / w->w_bsize;
	uint32_t g, resvd = le16(super(w)->s_reserved_gdt_blocks_le), i;

	w->w_desc = realloc(w->w_desc, (size_t)n * w->w_bsize);
	for (i = 0; i < n; i++)
		if (!read_block(w, w->w_first + 1 + i,
			w->w_desc + (size_t)i * w->w_bsize))
			return false;
	for (g = 0; g < w->w_ngroup; g++) {
		const struct ext4_group_desc *d = desc(w, g);

		if (has_super(w, g) &&
		    !own_range(w, w->w_first + (uint64_t)g * w->w_bpg,
			1 + n + resvd))
			return false;
		if (!own_range(w,
			pair(w, d->bg_block_bitmap_lo_le,
			    d->bg_block_bitmap_hi_le),
			1) ||
		    !own_range(w,
			pair(w, d->bg_inode_bitmap_lo_le,
			    d->bg_inode_bitmap_hi_le),
			1) ||
		    !own_range(w,
			pair(w, d->bg_inode_table_lo_le,
			    d->bg_inode_table_hi_le),
			it))
			return false;
	}
	return true;
}

/* ---- what maps a file's blocks -------------------------------------------------- */

static bool
add_run(struct walk *w, uint32_t ino, struct walk_run r)
{
	struct walk_inode *wi = &w->w_inode[ino];
	const struct walk_run *last;
	uint64_t end = (wi->wi_size + w->w_bsize - 1) / w->w_bsize;
	uint32_t i;

	if (!r.wr_unwritten && (uint64_t)r.wr_lblk + r.wr_len > end)
		return wrong(w, "inode %u has a block %u behind its end, %llu",
		    ino, r.wr_lblk + r.wr_len - 1,
		    (unsigned long long)wi->wi_size);
	for (i = 0; i < r.wr_len; i++)
		if (!own(w, r.wr_pblk + i, ino))
			return false;
	last = wi->wi_nrun > 0 ? &w->w_runs[w->w_nrun - 1] : NULL;
	if (last != NULL && last->wr_lblk + last->wr_len > r.wr_lblk)
		return wrong(w, "inode %u: block %u comes twice", ino,
		    r.wr_lblk);
	if (w->w_nrun == w->w_maxrun) {
		w->w_maxrun = w->w_maxrun * 2 + 256;
		w->w_runs = realloc(w->w_runs, w->w_maxrun * sizeof(r));
	}
	w->w_runs[w->w_nrun++] = r;
	wi->wi_nrun++;
	return true;
}

/* An extent tree from a node on; its blocks but the root are owned. */
static bool
walk_extents(struct walk *w, uint32_t ino, const uint8_t *node, unsigned depth)
{
	const struct ext4_extent_header *h = (const void *)node;
	unsigned i, n = le16(h->eh_entries_le);

	if (le16(h->eh_magic_le) != EXT4_EXT_MAGIC || n > le16(h->eh_max_le) ||
	    le16(h->eh_depth_le) != depth)
		return wrong(w, "inode %u: a node of its tree is damaged", ino);
	for (i = 0; i < n && depth == 0; i++) {
		const struct ext4_extent *e =
		    (const struct ext4_extent *)(h + 1) + i;
		uint32_t len = le16(e->ee_len_le);
		struct walk_run r = { le32(e->ee_block_le), len,
			le_pair(e->ee_start_lo_le, e->ee_start_hi_le), false };

		if (len > EXT4_EXT_INITMAX) {
			r.wr_len = len - EXT4_EXT_INITMAX;
			r.wr_unwritten = true;
		}
		if (!add_run(w, ino, r))
			return false;
	}
	for (i = 0; i < n && depth > 0; i++) {
		const struct ext4_extent_idx *x =
		    (const struct ext4_extent_idx *)(h + 1) + i;
		uint64_t blk = le_pair(x->ei_leaf_lo_le, x->ei_leaf_hi_le);

		if (depth > 4 || !own(w, blk, ino) ||
		    !read_block(w, blk, w->w_block[depth]) ||
		    !walk_extents(w, ino, w->w_block[depth], depth - 1))
			return wrong(w, "inode %u: its tree", ino);
	}
	return true;
}

/* A block of a block map that stands for 1, n, n^2 ... blocks from `lblk` on. */
static bool
walk_map(struct walk *w, uint32_t ino, uint32_t blk, unsigned level,
    uint64_t lblk)
{
	uint64_t n = w->w_bsize / 4, span = 1;
	unsigned i;

	if (blk == 0)
		return true;
	if (level == 0)
		return add_run(w, ino,
		    (struct walk_run){ (uint32_t)lblk, 1, blk, false });
	for (i = 1; i < level; i++)
		span *= n;
	if (!own(w, blk, ino) || !read_block(w, blk, w->w_block[level]))
		return false;
	for (i = 0; i < n; i++) {
		le32_t b;

		memcpy(&b, w->w_block[level] + (size_t)i * 4, 4);
		if (!walk_map(w, ino, le32(b), level - 1, lblk + i * span))
			return false;
	}
	return true;
}

static bool
walk_blocks(struct walk *w, uint32_t ino)
{
	const uint8_t *p = w->w_inode[ino].wi_block;
	uint64_t n = w->w_bsize / 4, at = EXT4_NDIRECT;
	le32_t b[EXT4_NBLOCK];
	unsigned i, depth;

	if ((w->w_inode[ino].wi_flags & EXT4_EXTENTS_FL) != 0) {
		depth = le16(
		    ((const struct ext4_extent_header *)(const void *)p)
			->eh_depth_le);
		return walk_extents(w, ino, p, depth);
	}
	memcpy(b, p, sizeof(b));
	for (i = 0; i < EXT4_NDIRECT; i++)
		if (!walk_map(w, ino, le32(b[i]), 0, i))
			return false;
	for (i = 1; i <= 3; i++) {
		if (!walk_map(w, ino, le32(b[EXT4_NDIRECT + i - 1]), i, at))
			return false;
		at += i == 1 ? n : n * n;
	}
	return true;
}

/* ---- inodes ------------------------------------------------------------------- */

static bool
is_type(const struct walk_inode *wi, uint32_t type)
{
	return (wi->wi_mode & 0170000u) == type;
}

static bool
walk_attributes(struct walk *w, uint32_t ino, const struct ext4_inode *di)
{
	uint64_t blk = le32(di->i_file_acl_lo_le);
	const struct ext4_xattr_header *h = (const void *)w->w_block[0];

	if (blk == 0)
		return true;
	if (!own(w, blk, ino) || !read_block(w, blk, w->w_block[0]))
		return false;
	if (le32(h->h_magic_le) != EXT4_XATTR_MAGIC ||
	    le32(h->h_refcount_le) != 1)
		return wrong(w, "inode %u: its block of attributes is damaged",
		    ino);
	return true;
}

static bool
walk_inode(struct walk *w, uint32_t ino, const struct ext4_inode *di)
{
	struct walk_inode *wi = &w->w_inode[ino];
	uint32_t n;
	bool fast;

	wi->wi_used = true;
	wi->wi_mode = le16(di->i_mode_le);
	wi->wi_links = le16(di->i_links_count_le);
	wi->wi_flags = le32(di->i_flags_le);
	wi->wi_size = le_pair(di->i_size_lo_le, di->i_size_hi_le);
	wi->wi_sectors = le_pair(di->i_blocks_lo_le, di->i_blocks_hi_le);
	memcpy(wi->wi_block, di->i_block, sizeof(wi->wi_block));
	wi->wi_run = (uint32_t)w->w_nrun;
	if (ino == EXT4_RESIZE_INO) {
		/* What its tree leads to are the reserved descriptors. */
		memcpy(&n, di->i_block + 4 * (EXT4_NDIRECT + 1), 4);
		return n == 0 || own(w, le32(n), ino);
	}
	if (wi->wi_links == 0 && ino >= w->w_firstino)
		return wrong(w, "inode %u is in use and has no links", ino);
	if (wi->wi_mode == 0)
		return ino < w->w_firstino ||
		    wrong(w, "inode %u is in use and has no mode", ino);
	if (le32(di->i_dtime_le) != 0)
		return wrong(w, "inode %u is in use and was deleted", ino);
	if (!walk_attributes(w, ino, di))
		return false;
	fast = is_type(wi, 0120000u) && wi->wi_size < EXT4_IBLOCK;
	if (!fast && !walk_blocks(w, ino))
		return false;
	if (wi->wi_sectors != wi->wi_blocks * (w->w_bsize / 512))
		return wrong(w, "inode %u has %llu sectors and says %llu", ino,
		    (unsigned long long)(wi->wi_blocks * (w->w_bsize / 512)),
		    (unsigned long long)wi->wi_sectors);
	return true;
}

/* The orphan file has nothing in it. */
static bool
walk_orphans(struct walk *w)
{
	uint32_t ino = le32(super(w)->s_orphan_file_inum_le), i, k;
	const struct walk_inode *wi = &w->w_inode[ino];
	le32_t n;

	if ((w->w_compat & EXT4_COMPAT_ORPHAN_FILE) == 0)
		return true;
	for (i = 0; i < wi->wi_size / w->w_bsize; i++) {
		if (walk_data(w, ino, (uint64_t)i * w->w_bsize, w->w_bits,
			w->w_bsize) != 0)
			return false;
		for (k = 0; k < w->w_bsize - 8; k += 4) {
			memcpy(&n, w->w_bits + k, 4);
			if (n != 0)
				return wrong(w, "inode %u is left an orphan",
				    le32(n));
		}
	}
	return true;
}

static bool
walk_table(struct walk *w, uint32_t g)
{
	const struct ext4_group_desc *d = desc(w, g);
	uint64_t bitmap = pair(w, d->bg_inode_bitmap_lo_le,
	    d->bg_inode_bitmap_hi_le);
	uint64_t table = pair(w, d->bg_inode_table_lo_le,
	    d->bg_inode_table_hi_le);
	bool lazy = (w->w_ro & (EXT4_RO_METADATA_CSUM | EXT4_RO_GDT_CSUM)) != 0;
	uint32_t end = w->w_ipg, i, used = 0, ino, per;
	uint8_t *rec = w->w_block[5];

	if (lazy)
		end -= le16(d->bg_itable_unused_lo_le);
	if (lazy && (le16(d->bg_flags_le) & EXT4_BG_INODE_UNINIT) != 0)
		return true;
	if (!read_block(w, bitmap, w->w_bits))
		return false;
	per = w->w_bsize / w->w_isize;
	for (i = 0; i < w->w_ipg; i++) {
		bool set = (w->w_bits[i / 8] >> (i & 7) & 1) != 0;
		const struct ext4_inode *di = (const void *)(rec +
		    (size_t)(i % per) * w->w_isize);

		ino = g * w->w_ipg + i + 1;
		used += set;
		if (i >= end && set)
			return wrong(w, "inode %u is in use, beyond those used",
			    ino);
		if (i >= end)
			continue;
		if (i % per == 0 && !read_block(w, table + i / per, rec))
			return false;
		if (!set && le16(di->i_links_count_le) != 0)
			return wrong(w, "inode %u is free and has links", ino);
		if (set && !walk_inode(w, ino, di))
			return false;
	}
	if (w->w_ipg - used != le16(d->bg_free_inodes_lo_le))
		return wrong(w, "group %u has %u free inodes and says %u", g,
		    w->w_ipg - used, le16(d->bg_free_inodes_lo_le));
	return true;
}

/* ---- directories ---------------------------------------------------------------- */

static bool
add_name(struct walk *w, uint32_t dir, const struct ext4_dirent *e)
{
	struct walk_inode *wi;
	struct walk_name *n;
	uint32_t ino = le32(e->d_inode_le);
	static const uint32_t types[] = { 0, 0100000u, 0040000u, 0020000u,
		0060000u, 0010000u, 0140000u, 0120000u };

	if (ino > w->w_ninode || !w->w_inode[ino].wi_used)
		return wrong(w, "inode %u: \"%.*s\" is inode %u, not in use",
		    dir, e->d_name_len, e->d_name, ino);
	wi = &w->w_inode[ino];
	if (e->d_type > 7 || (e->d_type != 0 && !is_type(wi, types[e->d_type])))
		return wrong(w, "inode %u: \"%.*s\" is not of type %u", dir,
		    e->d_name_len, e->d_name, e->d_type);
	if (e->d_name_len == 1 && e->d_name[0] == '.')
		return ino == dir ||
		    wrong(w, "inode %u: \".\" is %u", dir, ino);
	if (e->d_name_len == 2 && memcmp(e->d_name, "..", 2) == 0) {
		w->w_inode[dir].wi_parent = ino;
		return true;
	}
	wi->wi_names++;
	if (is_type(wi, 0040000u))
		w->w_inode[dir].wi_subdirs++;
	if (w->w_nname == w->w_maxname) {
		w->w_maxname = w->w_maxname * 2 + 256;
		w->w_names = realloc(w->w_names, w->w_maxname * sizeof(*n));
	}
	n = &w->w_names[w->w_nname++];
	n->wn_dir = dir;
	n->wn_ino = ino;
	n->wn_type = e->d_type;
	n->wn_len = e->d_name_len;
	memcpy(n->wn_name, e->d_name, e->d_name_len);
	n->wn_name[e->d_name_len] = '\0';
	return true;
}

static bool
walk_dir(struct walk *w, uint32_t dir)
{
	const struct walk_inode *wi = &w->w_inode[dir];
	const struct ext4_dirent *e;
	uint32_t blk, at, len;
	uint8_t *p = w->w_block[0];

	if (wi->wi_size == 0 || wi->wi_size % w->w_bsize != 0)
		return wrong(w, "directory %u has %llu bytes", dir,
		    (unsigned long long)wi->wi_size);
	for (blk = 0; blk < wi->wi_size / w->w_bsize; blk++) {
		if (walk_data(w, dir, (uint64_t)blk * w->w_bsize, p,
			w->w_bsize) != 0)
			return wrong(w, "directory %u: block %u is missing",
			    dir, blk);
		for (at = 0; at < w->w_bsize; at += len) {
			e = (const void *)(p + at);
			len = le16(e->d_rec_len_le);
			if (len < EXT4_DIRENT_HEAD || len % 4 != 0 ||
			    len > w->w_bsize - at ||
			    e->d_name_len + EXT4_DIRENT_HEAD > len)
				return wrong(w,
				    "directory %u: damaged, block %u at %u",
				    dir, blk, at);
			if (le32(e->d_inode_le) != 0 && !add_name(w, dir, e))
				return false;
		}
	}
	return true;
}

/* ---- counts ---------------------------------------------------------------------- */

static bool
check_links(struct walk *w)
{
	const struct walk_inode *wi;
	uint32_t ino, want;
	size_t i;

	for (i = 0; i < w->w_nname; i++)
		if (is_type(&w->w_inode[w->w_names[i].wn_ino], 0040000u) &&
		    w->w_inode[w->w_names[i].wn_ino].wi_parent !=
			w->w_names[i].wn_dir)
			return wrong(w, "\"%s\" in %u has another parent",
			    w->w_names[i].wn_name, w->w_names[i].wn_dir);
	for (ino = 1; ino <= w->w_ninode; ino++) {
		wi = &w->w_inode[ino];
		if (!wi->wi_used ||
		    (ino < w->w_firstino && ino != EXT4_ROOT_INO) ||
		    ((w->w_compat & EXT4_COMPAT_ORPHAN_FILE) != 0 &&
			ino == le32(super(w)->s_orphan_file_inum_le)))
			continue;
		want = is_type(wi, 0040000u) ? 2 + wi->wi_subdirs :
					       wi->wi_names;
		if (ino != EXT4_ROOT_INO && wi->wi_names == 0)
			return wrong(w, "inode %u is in use and has no name",
			    ino);
		if (is_type(wi, 0040000u) && wi->wi_names > 1)
			return wrong(w, "directory %u has %u names", ino,
			    wi->wi_names);
		if (want != wi->wi_links)
			return wrong(w, "inode %u has %u links and says %u",
			    ino, want, wi->wi_links);
	}
	return true;
}

/* The block bitmap of a group is what is owned. */
static bool
check_bitmap(struct walk *w, uint32_t g, uint64_t *freep)
{
	const struct ext4_group_desc *d = desc(w, g);
	uint64_t first = w->w_first + (uint64_t)g * w->w_bpg, blk;
	uint32_t i, n = w->w_bpg, nfree = 0;
	bool uninit = (le16(d->bg_flags_le) & EXT4_BG_BLOCK_UNINIT) != 0;
	bool set;

	if (!uninit &&
	    !read_block(w,
		pair(w, d->bg_block_bitmap_lo_le, d->bg_block_bitmap_hi_le),
		w->w_bits))
		return false;
	if (first + n > w->w_nblock)
		n = (uint32_t)(w->w_nblock - first);
	for (i = 0; i < n; i++) {
		blk = first + i;
		set = uninit ? w->w_owner[blk] == WALK_META :
			       (w->w_bits[i / 8] >> (i & 7) & 1) != 0;
		nfree += !set;
		if (set && w->w_owner[blk] == 0)
			return wrong(w, "block %llu is in use and nobody's",
			    (unsigned long long)blk);
		if (!set && w->w_owner[blk] != 0)
			return wrong(w, "block %llu is free and inode %u's",
			    (unsigned long long)blk, w->w_owner[blk]);
	}
	if (nfree != le16(d->bg_free_blocks_lo_le))
		return wrong(w, "group %u has %u free blocks and says %u", g,
		    nfree, le16(d->bg_free_blocks_lo_le));
	*freep += nfree;
	return true;
}

static bool
check_counts(struct walk *w)
{
	uint64_t nfree = 0, ifree = 0;
	uint32_t g, ino, dirs;

	for (g = 0; g < w->w_ngroup; g++) {
		if (!check_bitmap(w, g, &nfree))
			return false;
		ifree += le16(desc(w, g)->bg_free_inodes_lo_le);
		dirs = 0;
		for (ino = g * w->w_ipg + 1; ino <= (g + 1) * w->w_ipg; ino++)
			dirs += w->w_inode[ino].wi_used &&
			    is_type(&w->w_inode[ino], 0040000u);
		if (dirs != le16(desc(w, g)->bg_used_dirs_lo_le))
			return wrong(w, "group %u has %u directories, not %u",
			    g, dirs, le16(desc(w, g)->bg_used_dirs_lo_le));
	}
	if (nfree != le32(super(w)->s_free_blocks_count_lo_le))
		return wrong(w, "%llu blocks are free, and %u are counted",
		    (unsigned long long)nfree,
		    le32(super(w)->s_free_blocks_count_lo_le));
	if (ifree != le32(super(w)->s_free_inodes_count_le))
		return wrong(w, "%llu inodes are free, and %u are counted",
		    (unsigned long long)ifree,
		    le32(super(w)->s_free_inodes_count_le));
	return true;
}

/* ---- all of it -------------------------------------------------------------------- */

static bool
walk_all(struct walk *w)
{
	uint32_t g, ino;

	if (!read_super(w) || !read_groups(w))
		return false;
	for (g = 0; g < w->w_ngroup; g++)
		if (!walk_table(w, g))
			return false;
	for (ino = 1; ino <= w->w_ninode; ino++)
		if (w->w_inode[ino].wi_used &&
		    is_type(&w->w_inode[ino], 0040000u) && !walk_dir(w, ino))
			return false;
	return walk_orphans(w) && check_links(w) && check_counts(w);
}

const char *
walk_image(struct walk *w)
{
	return walk_all(w) ? NULL : w->w_wrong;
}

int
walk_data(struct walk *w, uint32_t ino, uint64_t off, void *buf, size_t len)
{
	const struct walk_inode *wi = &w->w_inode[ino];
	const struct walk_run *r = w->w_runs + wi->wi_run;
	uint64_t from, to, start, end;
	uint32_t i;

	memset(buf, 0, len);
	for (i = 0; i < wi->wi_nrun; i++, r++) {
		start = (uint64_t)r->wr_lblk * w->w_bsize;
		end = start + (uint64_t)r->wr_len * w->w_bsize;
		from = start > off ? start : off;
		to = end < off + len ? end : off + len;
		if (from >= to || r->wr_unwritten)
			continue;
		if (w->w_read(w->w_arg,
			r->wr_pblk * w->w_bsize + (from - start),
			(uint8_t *)buf + (from - off), to - from) != 0)
			return -1;
	}
	return 0;
}

uint32_t
walk_lookup(const struct walk *w, uint32_t dir, const char *name)
{
	size_t i;

	for (i = 0; i < w->w_nname; i++)
		if (w->w_names[i].wn_dir == dir &&
		    strcmp(w->w_names[i].wn_name, name) == 0)
			return w->w_names[i].wn_ino;
	return 0;
}

void
walk_end(struct walk *w)
{
	unsigned i;

	for (i = 0; i < 6; i++)
		free(w->w_block[i]);
	free(w->w_owner);
	free(w->w_inode);
	free(w->w_bits);
	free(w->w_names);
	free(w->w_runs);
	free(w->w_super);
	free(w->w_desc);
}
