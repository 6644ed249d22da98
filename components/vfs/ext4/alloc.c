/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Allocation of blocks.
 *
 * Blocks are allocated by clusters, which are one block without bigalloc.  The
 * bitmap of a group, its descriptor and struct group agree whenever x_alloc is
 * free:
 *
 * A1	g_free is the number of clusters that the bitmap has free, and what the
 *	descriptor says;
 * A2	x_free is the sum of all g_free;
 * A3	x_promised is the sum of all files' promises, and x_promised + x_busy <=
 *	x_free: a promise can be kept.
 *
 * What a transaction frees is free in the bitmap at once, but must not be used
 * for data before it has committed: until then a crash brings the old file back.
 * Such clusters are in g_busy (a bitmap too), counted by x_busy, and are not
 * found by a search.
 *
 * Files' blocks are looked for from a goal on: behind the file's block before, or
 * in the group of its inode where the last search there ended; first a run as
 * long as is wanted, then the longest that a group has.
 */
#include "alloc.h"

/* How many groups are searched for a run that is long enough. */
#define GOOD_GROUPS 8u

uint32_t
next_bit(const uint8_t *a, const uint8_t *b, uint32_t i, uint32_t n, bool set)
{
	while (i < n) {
		uint64_t w, v;
		uint32_t at = i & ~63u;

		memcpy(&w, a + at / 8, sizeof(w));
		if (b != NULL) {
			memcpy(&v, b + at / 8, sizeof(v));
			w |= v;
		}
		if (!set)
			w = ~w;
		w &= ~UINT64_C(0) << (i & 63);
		if (w != 0) {
			i = at + (uint32_t)__builtin_ctzll(w);
			return i < n ? i : n;
		}
		i = at + 64;
	}
	return n;
}

static void
set_bits(uint8_t *p, uint32_t i, uint32_t n, bool on)
{
	for (; n > 0; i++, n--) {
		if ((i & 7) == 0 && n >= 8) {
			p[i / 8] = on ? 0xff : 0;
			i += 7;
			n -= 7;
		} else if (on) {
			p[i / 8] |= (uint8_t)(1u << (i & 7));
		} else {
			p[i / 8] &= (uint8_t) ~(1u << (i & 7));
		}
	}
}

bool
bit_isset(const uint8_t *p, uint32_t i)
{
	return (p[i / 8] & 1u << (i & 7)) != 0;
}

/* ---- bitmaps and descriptors ------------------------------------------------- */

/* Mark the part of [blk, blk + n) that is in group `g`. */
static void
mark_range(const struct ext4 *x, uint32_t g, uint8_t *p, uint64_t blk,
    uint64_t n)
{
	uint64_t first = group_first(x, g), end = blk + n, c;
	uint64_t last = first + ((uint64_t)group_clusters(x, g) << x->x_cbits);

	if (blk < first)
		blk = first;
	if (end > last)
		end = last;
	for (; blk < end; blk++) {
		c = (blk - first) >> x->x_cbits;
		p[c / 8] |= (uint8_t)(1u << (c & 7));
	}
}

/* Section 4.2: a group that was never used has a bitmap that nobody wrote. */
static void
make_bitmap(struct ext4 *x, uint32_t g, uint8_t *p)
{
	const struct group *gr = &x->x_groups[g];
	uint32_t n = group_clusters(x, g);

	memset(p, 0, x->x_bsize);
	mark_range(x, g, p, group_first(x, g), group_base_blocks(x, g));
	mark_range(x, g, p, gr->g_bbitmap, 1);
	mark_range(x, g, p, gr->g_ibitmap, 1);
	mark_range(x, g, p, gr->g_itable,
	    to_blocks(x, (uint64_t)x->x_ipg * x->x_isize));
	set_bits(p, n, x->x_bsize * 8 - n, true);
}

static int
group_damaged(struct ext4 *x, uint32_t g, const char *what)
{
	x->x_groups[g].g_bad = true;
	return qfs_damaged(x->x_fs, "group %u: %s, at block %lu", g, what,
	    x->x_groups[g].g_bbitmap);
}

static int
bitmap_get(struct ext4 *x, uint32_t g, struct qbuf **bp)
{
	struct group *gr = &x->x_groups[g];
	struct ext4_group_desc *gd;
	struct qbuf *b, *db;
	uint32_t n, sum, is;
	int error;

	if (gr->g_bad)
		return -Q_EUCLEAN;
	if ((gr->g_flags & EXT4_BG_BLOCK_UNINIT) != 0) {
		error = qbuf_get(x->x_bufs, gr->g_bbitmap, &b);
		if (error != 0)
			return error;
		qbuf_lock(b);
		make_bitmap(x, g, b->bf_data);
		qbuf_unlock(b);
		qbuf_set(b, QBUF_CHECKED);
		*bp = b;
		return 0;
	}
	error = blk_read(x, gr->g_bbitmap, &b);
	if (error != 0)
		return error;
	*bp = b;
	if (qbuf_is(b, QBUF_CHECKED))
		return 0;
	error = group_desc(x, g, &gd, &db);
	if (error != 0) {
		qbuf_put(b);
		return error;
	}
	sum = le16(gd->bg_block_bitmap_csum_lo_le);
	is = csum_bitmap(x, b->bf_data, x->x_cpg / 8);
	if (x->x_desc_size >= EXT4_DESC_SIZE64)
		sum |= (uint32_t)le16(gd->bg_block_bitmap_csum_hi_le) << 16;
	else
		is &= 0xffff;
	qbuf_put(db);
	n = group_clusters(x, g);
	if (x->x_csum && sum != is)
		error = group_damaged(x, g, "bitmap has a wrong checksum");
	else if (gr->g_bbitmap >= group_first(x, g) &&
	    gr->g_bbitmap - group_first(x, g) < (uint64_t)n << x->x_cbits &&
	    !bit_isset(b->bf_data,
		(uint32_t)((gr->g_bbitmap - group_first(x, g)) >> x->x_cbits)))
		error = group_damaged(x, g, "bitmap does not have itself");
	if (error != 0)
		qbuf_put(b);
	else
		qbuf_set(b, QBUF_CHECKED);
	return error;
}

void
desc_store(struct ext4 *x, uint32_t g, struct ext4_group_desc *gd)
{
	const struct group *gr = &x->x_groups[g];
	bool wide = x->x_desc_size >= EXT4_DESC_SIZE64;

	gd->bg_free_blocks_lo_le = to_le16(gr->g_free);
	gd->bg_free_inodes_lo_le = to_le16(gr->g_ifree);
	gd->bg_used_dirs_lo_le = to_le16(gr->g_dirs);
	if (wide) {
		gd->bg_free_blocks_hi_le = to_le16(gr->g_free >> 16);
		gd->bg_free_inodes_hi_le = to_le16(gr->g_ifree >> 16);
		gd->bg_used_dirs_hi_le = to_le16(gr->g_dirs >> 16);
	}
	if (!x->x_csum && !x->x_gdtcsum)
		return;
	gd->bg_itable_unused_lo_le = to_le16(gr->g_unused);
	if (wide)
		gd->bg_itable_unused_hi_le = to_le16(gr->g_unused >> 16);
	gd->bg_flags_le = to_le16(gr->g_flags);
	gd->bg_checksum_le = to_le16(csum_group(x, g, gd));
}

void
sum_bitmap(const struct ext4 *x, const uint8_t *bits, uint32_t size, bool fresh,
    const struct bitpatch *bp, le16_t *lo, le16_t *hi)
{
	bool wide = x->x_desc_size >= EXT4_DESC_SIZE64;
	uint32_t sum = le16(*lo);

	if (wide)
		sum |= (uint32_t)le16(*hi) << 16;
	if (fresh)
		sum = csum_bitmap(x, bits, size);
	else
		sum = csum_patch(sum, bp->bp_was, bits + bp->bp_at, bp->bp_len,
		    size - bp->bp_at - bp->bp_len);
	*lo = to_le16(sum);
	if (wide)
		*hi = to_le16(sum >> 16);
}

/* Change bits of a group, and everything that counts them. */
static int
change_bits(struct jhandle *h, struct ext4 *x, uint32_t g, struct qbuf *b,
    uint32_t i, uint32_t n, bool on)
{
	struct group *gr = &x->x_groups[g];
	struct ext4_group_desc *gd;
	uint32_t at = i / 8, len = (i + n - 1) / 8 + 1 - at, was;
	struct qbuf *db;
	int error;

	error = group_desc(x, g, &gd, &db);
	if (error != 0)
		return error;
	error = journal_get_write(h, b);
	if (error == 0)
		error = journal_get_write(h, db);
	if (error != 0) {
		qbuf_put(db);
		return error;
	}
	qbuf_lock(b);
	was = ext4_crc32c(0, b->bf_data + at, len);
	set_bits(b->bf_data, i, n, on);
	qbuf_unlock(b);
	journal_dirty(h, b);
	if (on) {
		gr->g_free -= n;
		x->x_free -= n;
	} else {
		gr->g_free += n;
		x->x_free += n;
	}
	qbuf_lock(db);
	if (x->x_csum)
		sum_bitmap(x, b->bf_data, x->x_cpg / 8,
		    (gr->g_flags & EXT4_BG_BLOCK_UNINIT) != 0,
		    &(struct bitpatch){ at, len, was },
		    &gd->bg_block_bitmap_csum_lo_le,
		    &gd->bg_block_bitmap_csum_hi_le);
	gr->g_flags &= (uint16_t)~EXT4_BG_BLOCK_UNINIT;
	desc_store(x, g, gd);
	qbuf_unlock(db);
	journal_dirty(h, db);
	qbuf_put(db);
	return 0;
}

/* ---- searching --------------------------------------------------------------- */

struct found {
	uint32_t f_at, f_n;
};

/* The first run of `want` from `from` on, or else the longest. */
static void
search(struct ext4 *x, uint32_t g, const uint8_t *p, uint32_t from,
    uint32_t want, struct found *f)
{
	const uint8_t *busy = x->x_groups[g].g_busy;
	uint32_t n = group_clusters(x, g), i = from, end;

	while (i < n) {
		i = next_bit(p, busy, i, n, false);
		if (i >= n)
			return;
		end = next_bit(p, busy, i, n, true);
		if (end - i > f->f_n) {
			f->f_at = i;
			f->f_n = end - i;
			if (f->f_n >= want) {
				f->f_n = want;
				return;
			}
		}
		i = end;
	}
}

static int
search_group(struct jhandle *h, struct ext4 *x, uint32_t g, uint32_t from,
    uint32_t want, uint32_t least, uint32_t *at, uint32_t *got)
{
	struct group *gr = &x->x_groups[g];
	struct found f = { 0, 0 };
	struct qbuf *b;
	int error;

	error = bitmap_get(x, g, &b);
	if (error != 0)
		return error;
	search(x, g, b->bf_data, from, want, &f);
	if (f.f_n < want && from > 0) {
		struct found all = { 0, 0 };

		search(x, g, b->bf_data, 0, want, &all);
		if (all.f_n > f.f_n)
			f = all;
		if (f.f_n < want)
			gr->g_largest = f.f_n;
	} else if (f.f_n < want) {
		gr->g_largest = f.f_n;
	}
	if (f.f_n < least || f.f_n == 0) {
		qbuf_put(b);
		return -Q_ENOSPC;
	}
	if (f.f_n > gr->g_free) {
		qbuf_put(b);
		return group_damaged(x, g, "bitmap has more free than counted");
	}
	error = change_bits(h, x, g, b, f.f_at, f.f_n, true);
	qbuf_put(b);
	if (error == 0) {
		*at = f.f_at;
		*got = f.f_n;
		gr->g_next = f.f_at + f.f_n;
	}
	return error;
}

/* Is the very place that is wanted free?  Take what is, from there on. */
static int
take_goal(struct jhandle *h, struct ext4 *x, uint32_t g, uint32_t from,
    uint32_t want, uint32_t *got)
{
	uint32_t n = group_clusters(x, g), end;
	struct qbuf *b;
	int error;

	if (from >= n || x->x_groups[g].g_free == 0)
		return -Q_ENOSPC;
	error = bitmap_get(x, g, &b);
	if (error != 0)
		return error;
	end = next_bit(b->bf_data, x->x_groups[g].g_busy, from,
	    want < n - from ? from + want : n, true);
	if (end == from || end - from > x->x_groups[g].g_free)
		error = -Q_ENOSPC;
	else
		error = change_bits(h, x, g, b, from, end - from, true);
	qbuf_put(b);
	*got = end - from;
	return error;
}

static int
find_room(struct jhandle *h, struct ext4 *x, uint32_t g0, uint32_t want,
    uint32_t *gp, uint32_t *at, uint32_t *got)
{
	uint32_t pass, i, g, least;
	int error;

	for (pass = 0; pass < 3; pass++) {
		uint32_t n = x->x_ngroup;

		/* All that is wanted; a good part of it; anything. */
		least = pass == 0 ? want : pass == 1 ? (want + 7) / 8 : 1;
		if (pass == 0 && want > 1 && n > GOOD_GROUPS)
			n = GOOD_GROUPS;
		for (i = 0; i < n; i++) {
			struct group *gr;

			g = (g0 + i) % x->x_ngroup;
			gr = &x->x_groups[g];
			if (gr->g_bad || gr->g_closed != 0 ||
			    gr->g_free - gr->g_nbusy < least ||
			    gr->g_largest < least)
				continue;
			error = search_group(h, x, g, gr->g_next, want, least,
			    at, got);
			if (error == 0) {
				*gp = g;
				return 0;
			}
			if (error != -Q_ENOSPC && error != -Q_EUCLEAN)
				return error;
		}
	}
	return -Q_ENOSPC;
}

/*
 * Clusters that whoever is calling must leave: root's, unless it is root.  The
 * kernel's own threads keep promises that were made to others.
 */
static uint64_t
kept_from_caller(const struct ext4 *x)
{
	struct quern_proc *p = qproc_current();
	bool may = p == NULL || x->x_rootresv == 0;
	struct qcred c;
	uint32_t i;

	if (may)
		return 0;
	qproc_cred(p, &c);
	may = c.c_fsuid == x->x_resuid ||
	    (c.c_cap_eff & UINT64_C(1) << Q_CAP_SYS_RESOURCE) != 0;
	if (x->x_resgid != 0) {
		may = may || c.c_fsgid == x->x_resgid;
		for (i = 0; c.c_groups != NULL && i < c.c_groups->g_n; i++)
			may = may || c.c_groups->g_gid[i] == x->x_resgid;
	}
	qcred_drop(&c);
	return may ? 0 : x->x_rootresv;
}

int
alloc_clusters(struct jhandle *h, struct ext4 *x, uint64_t goal, uint32_t want,
    unsigned flags, uint64_t *blkp, uint32_t *got)
{
	uint64_t avail, kept;
	uint32_t g, at = 0;
	int error;

	qmutex_lock(&x->x_alloc);
	kept = (flags & ALLOC_PROMISED) != 0 ? 0 : x->x_promised;
	avail = x->x_free - x->x_busy;
	if ((flags & ALLOC_META) == 0 && (flags & ALLOC_PROMISED) == 0)
		kept += x->x_resvd + kept_from_caller(x);
	if (avail <= kept) {
		qmutex_unlock(&x->x_alloc);
		return -Q_ENOSPC;
	}
	if (want > avail - kept)
		want = (uint32_t)(avail - kept);
	if (want > x->x_cpg)
		want = x->x_cpg;
	if (goal < x->x_first || goal >= x->x_nblock)
		goal = x->x_first;
	g = (uint32_t)((goal - x->x_first) / x->x_bpg);
	at = (uint32_t)((goal - group_first(x, g)) >> x->x_cbits);
	error = -Q_ENOSPC;
	if ((flags & ALLOC_GOAL) != 0 && x->x_groups[g].g_closed == 0)
		error = take_goal(h, x, g, at, want, got);
	if (error == -Q_ENOSPC || error == -Q_EUCLEAN)
		error = find_room(h, x, g, want, &g, &at, got);
	if (error == 0) {
		*blkp = group_first(x, g) + ((uint64_t)at << x->x_cbits);
		if ((flags & ALLOC_PROMISED) != 0) {
			qassert(x->x_promised >= *got);
			x->x_promised -= *got;
		}
	}
	qmutex_unlock(&x->x_alloc);
	if (error == 0 && !blk_ok(x, *blkp, 1))
		return qfs_damaged(x->x_fs, "block %lu was free", *blkp);
	return error;
}

/* ---- freeing ----------------------------------------------------------------- */

/* What may not be used until the transaction has committed. */
struct freed {
	struct jcommit fr_commit;
	struct ext4 *fr_x;
	uint32_t fr_g, fr_at, fr_n;
};

static void
freed_committed(struct jcommit *jm, int error)
{
	struct freed *fr = QCONTAINER(jm, struct freed, fr_commit);
	struct ext4 *x = fr->fr_x;
	struct group *gr = &x->x_groups[fr->fr_g];
	uint8_t *gone = NULL;

	(void)error;
	qmutex_lock(&x->x_alloc);
	set_bits(gr->g_busy, fr->fr_at, fr->fr_n, false);
	gr->g_nbusy -= fr->fr_n;
	x->x_busy -= fr->fr_n;
	gr->g_largest = UINT32_MAX;
	if (gr->g_nbusy == 0) {
		gone = gr->g_busy;
		gr->g_busy = NULL;
	}
	qmutex_unlock(&x->x_alloc);
	qfree(gone);
	qfree(fr);
}

/* Note what is being freed.  Without memory the group is left alone for good. */
static struct freed *
note_freed(struct ext4 *x, uint32_t g, uint32_t at, uint32_t n)
{
	struct group *gr = &x->x_groups[g];
	struct freed *fr;

	if ((x->x_debug & EXT4_DEBUG_REUSE) != 0)
		return NULL;
	fr = qalloc(&ext4_tag, sizeof(*fr));
	if (fr != NULL && gr->g_busy == NULL)
		gr->g_busy = qzalloc(&ext4_tag, x->x_bsize);
	if (fr == NULL || gr->g_busy == NULL) {
		qfree(fr);
		gr->g_closed = 1;
		return NULL;
	}
	set_bits(gr->g_busy, at, n, true);
	gr->g_nbusy += n;
	x->x_busy += n;
	fr->fr_x = x;
	fr->fr_g = g;
	fr->fr_at = at;
	fr->fr_n = n;
	return fr;
}

static int
free_in_group(struct jhandle *h, struct ext4 *x, uint32_t g, uint32_t at,
    uint32_t n)
{
	struct freed *fr = NULL;
	struct qbuf *b = NULL;
	int error;

	qmutex_lock(&x->x_alloc);
	error = bitmap_get(x, g, &b);
	if (error != 0)
		b = NULL;
	if (error == 0 &&
	    next_bit(b->bf_data, NULL, at, at + n, false) != at + n)
		error = group_damaged(x, g, "a block is freed that is free");
	else if (error == 0)
		error = change_bits(h, x, g, b, at, n, false);
	if (error == 0)
		fr = note_freed(x, g, at, n);
	qmutex_unlock(&x->x_alloc);
	qbuf_put(b);
	if (fr != NULL) {
		fr->fr_commit.jm_fn = freed_committed;
		qlist_init(&fr->fr_commit.jm_link);
		journal_on_commit(h, &fr->fr_commit);
	}
	return error;
}

int
free_clusters(struct jhandle *h, struct ext4 *x, uint64_t blk, uint64_t n)
{
	int error = 0;

	if (!blk_ok(x, blk, 1))
		return qfs_damaged(x->x_fs, "block %lu is freed", blk);
	while (n > 0 && error == 0) {
		uint32_t g = (uint32_t)((blk - x->x_first) / x->x_bpg);
		uint32_t at = (uint32_t)((blk - group_first(x, g)) >>
		    x->x_cbits);
		uint32_t in = group_clusters(x, g) - at;

		if (in > n)
			in = (uint32_t)n;
		error = free_in_group(h, x, g, at, in);
		blk += (uint64_t)in << x->x_cbits;
		n -= in;
	}
	return error;
}

/* ---- promises ---------------------------------------------------------------- */

/* *busyp: more may become free. */
static bool
try_promise(struct ext4 *x, uint64_t n, bool *busyp)
{
	uint64_t want, avail;
	bool room;

	qmutex_lock(&x->x_alloc);
	*busyp = x->x_busy > 0;
	want = n + x->x_promised + x->x_resvd;
	avail = x->x_free - x->x_busy;
	/* Mostly it does not matter who asks. */
	room = want + x->x_rootresv <= avail ||
	    want + kept_from_caller(x) <= avail;
	if (room)
		x->x_promised += n;
	qmutex_unlock(&x->x_alloc);
	return room;
}

bool
promise_now(struct ext4 *x, uint64_t n)
{
	bool busy;

	return try_promise(x, n, &busy);
}

int
promise(struct ext4 *x, uint64_t n)
{
	unsigned tries;
	bool busy;

	for (tries = 0; !try_promise(x, n, &busy); tries++) {
		if (!busy || tries > 2)
			return -Q_ENOSPC;
		/* There is more once what was freed has been committed. */
		if (journal_commit(x->x_journal, true) != 0)
			return -Q_ENOSPC;
	}
	return 0;
}

void
unpromise(struct ext4 *x, uint64_t n)
{
	qmutex_lock(&x->x_alloc);
	qassert(x->x_promised >= n);
	x->x_promised -= n;
	qmutex_unlock(&x->x_alloc);
}

/* ---- fstrim ------------------------------------------------------------------ */

/* What is to be trimmed, in bytes, and what has been. */
struct trim {
	uint64_t tr_off, tr_end, tr_min, tr_done;
};

/* Give [from, to) to the disk, as far as it is asked for and whole units of its. */
static int
trim_run(struct ext4 *x, struct trim *tr, uint64_t from, uint64_t to)
{
	struct qdisk *d = x->x_fs->fs_disk;
	uint64_t unit = d->qd_discard > x->x_bsize ? d->qd_discard : x->x_bsize;
	int error;

	if (to > x->x_nblock << x->x_bits)
		to = x->x_nblock << x->x_bits;
	if (from < tr->tr_off)
		from = tr->tr_off;
	if (to > tr->tr_end)
		to = tr->tr_end;
	from = QROUNDUP(from, unit);
	to &= ~(unit - 1);
	if (to <= from || to - from < tr->tr_min)
		return 0;
	error = qdisk_discard(d, from, to - from);
	if (error == 0)
		tr->tr_done += to - from;
	return error;
}

/*
 * What is free in a group and was so at the last commit: a crash must find the
 * rest as it was.  [l], so that nothing is given out of it meanwhile.
 */
static int
trim_group(struct ext4 *x, uint32_t g, struct trim *tr)
{
	const struct group *gr = &x->x_groups[g];
	uint32_t n = group_clusters(x, g), i = 0, e, bits;
	uint64_t base = group_first(x, g);
	struct qbuf *b;
	int error;

	/* Of a closed one nobody knows what was freed since then. */
	if (gr->g_bad || gr->g_closed != 0)
		return 0;
	error = bitmap_get(x, g, &b);
	if (error != 0)
		return error;
	bits = x->x_cbits + x->x_bits;
	while (error == 0 && i < n) {
		i = next_bit(b->bf_data, gr->g_busy, i, n, false);
		e = next_bit(b->bf_data, gr->g_busy, i, n, true);
		error = trim_run(x, tr,
		    (base << x->x_bits) + ((uint64_t)i << bits),
		    (base << x->x_bits) + ((uint64_t)e << bits));
		i = e;
	}
	qbuf_put(b);
	return error;
}

int
alloc_trim(struct qfs *fs, uint64_t off, uint64_t len, uint64_t minlen,
    uint64_t *trimmed)
{
	struct ext4 *x = ext4_of(fs);
	struct trim tr = { off, len > UINT64_MAX - off ? UINT64_MAX : off + len,
		minlen, 0 };
	uint32_t g;
	int error = 0;

	*trimmed = 0;
	if (fs->fs_disk->qd_discard == 0)
		return -Q_EOPNOTSUPP;
	if (off >= x->x_nblock << x->x_bits)
		return -Q_EINVAL;
	/* What was freed just before can be given, too. */
	error = ext4_sync(fs, true);
	for (g = 0; g < x->x_ngroup && error == 0; g++) {
		qmutex_lock(&x->x_alloc);
		/* After an abort a crash brings back what memory has freed. */
		if (x->x_journal == NULL || journal_aborted(x->x_journal) != 0)
			error = -Q_EROFS;
		else
			error = trim_group(x, g, &tr);
		qmutex_unlock(&x->x_alloc);
	}
	*trimmed = tr.tr_done;
	return error;
}
