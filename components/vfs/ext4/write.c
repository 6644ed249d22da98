/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Data of regular files on their way to the disk.
 *
 * A write only promises clusters (file_reserve): i_resv has the logical clusters
 * that dirty pages need and that have no blocks yet.  Write-back allocates, as
 * much of a promise in a row as there is (file_mapped_write), so that a file
 * written in small pieces gets long extents.
 *
 * New blocks of files with extents are unwritten until the data are on the disk
 * (file_wrote), and i_size on disk grows only then: a crash shows neither what
 * was in the blocks before nor a size without its data.  Block maps have no such
 * thing: their handle stays open until the write has been submitted, and the
 * commit waits for the data (journal_order); i_size grows in the same transaction.
 *
 * A block larger than a page is zeroed when it is allocated: its other pages may
 * not be written for long.
 */
#include "alloc.h"

#define PAGE_SIZE 4096u
/* As much is allocated at once. */
#define RUN_MAX 8192u

/* ---- promises ---------------------------------------------------------------- */

/* The first promise that ends behind cluster `c`. */
static uint32_t
resv_at(const struct inode *ip, uint64_t c)
{
	uint32_t lo = 0, hi = ip->i_nresv;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (ip->i_resv[mid].rv_first + ip->i_resv[mid].rv_n <= c)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* How many clusters from `c` on are promised. */
static uint64_t
resv_from(const struct inode *ip, uint64_t c)
{
	uint32_t i = resv_at(ip, c);

	if (i == ip->i_nresv || ip->i_resv[i].rv_first > c)
		return 0;
	return ip->i_resv[i].rv_first + ip->i_resv[i].rv_n - c;
}

static int
resv_room(struct inode *ip, uint32_t more)
{
	uint32_t n = ip->i_maxresv == 0 ? 8 : ip->i_maxresv;
	struct resv *p;

	if (ip->i_nresv + more <= ip->i_maxresv)
		return 0;
	while (n < ip->i_nresv + more)
		n *= 2;
	p = qalloc(&ext4_tag, n * sizeof(*p));
	if (p == NULL)
		return -Q_ENOMEM;
	if (ip->i_nresv > 0)
		memcpy(p, ip->i_resv, ip->i_nresv * sizeof(*p));
	qfree(ip->i_resv);
	ip->i_resv = p;
	ip->i_maxresv = n;
	return 0;
}

/* Add what is not there. */
static int
resv_add(struct inode *ip, uint64_t c, uint64_t n)
{
	uint32_t i = resv_at(ip, c);
	struct resv *r;
	int error;

	error = resv_room(ip, 1);
	if (error != 0)
		return error;
	r = ip->i_resv;
	if (i > 0 && r[i - 1].rv_first + r[i - 1].rv_n == c) {
		r[--i].rv_n += n;
	} else {
		memmove(r + i + 1, r + i, (ip->i_nresv - i) * sizeof(*r));
		ip->i_nresv++;
		r[i].rv_first = c;
		r[i].rv_n = n;
	}
	if (i + 1 < ip->i_nresv &&
	    r[i].rv_first + r[i].rv_n == r[i + 1].rv_first) {
		r[i].rv_n += r[i + 1].rv_n;
		ip->i_nresv--;
		memmove(r + i + 1, r + i + 2,
		    (ip->i_nresv - i - 1) * sizeof(*r));
	}
	return 0;
}

/* Take out of [c, end) what is there: how many. */
static uint64_t
resv_del(struct inode *ip, uint64_t c, uint64_t end)
{
	uint32_t i = resv_at(ip, c);
	uint64_t n = 0;

	while (i < ip->i_nresv && ip->i_resv[i].rv_first < end) {
		struct resv *r = &ip->i_resv[i];
		uint64_t r_end = r->rv_first + r->rv_n;
		uint64_t a = r->rv_first > c ? r->rv_first : c;
		uint64_t b = r_end < end ? r_end : end;

		if (a > r->rv_first && b < r_end) {
			/* Without memory for two the end is given up. */
			r->rv_n = a - r->rv_first;
			n += r_end - a;
			if (resv_add(ip, b, r_end - b) == 0)
				n -= r_end - b;
			break;
		}
		n += b - a;
		if (a > r->rv_first) {
			r->rv_n = a - r->rv_first;
			i++;
		} else if (b < r_end) {
			r->rv_first = b;
			r->rv_n = r_end - b;
		} else {
			ip->i_nresv--;
			memmove(r, r + 1, (ip->i_nresv - i) * sizeof(*r));
		}
	}
	return n;
}

void
resv_end(struct inode *ip)
{
	uint64_t n = resv_del(ip, 0, UINT64_MAX);

	if (n > 0)
		unpromise(inode_fs(ip), n);
	qfree(ip->i_resv);
	ip->i_resv = NULL;
	ip->i_maxresv = 0;
}

/*
 * Where the cluster is that `lblk` is in: 1, 0: it has none, or -errno.
 */
static int
cluster_find(struct inode *ip, uint64_t lblk, uint64_t *pblk)
{
	struct ext4 *x = inode_fs(ip);
	uint64_t n = UINT64_C(1) << x->x_cbits, first = lblk & ~(n - 1), at;
	struct run r;
	int error;

	for (at = first; at < first + n; at += r.r_len) {
		error = map_find(ip, at, &r);
		if (error != 0)
			return error;
		if ((r.r_flags & QMAP_HOLE) == 0) {
			*pblk = r.r_pblk - (at - first);
			return 1;
		}
	}
	return 0;
}

/*
 * Go through the clusters from *cp on to `end` that need a promise: *np in a row
 * from *cp.  1, 0: no more, or -errno.
 */
static int
next_needed(struct inode *ip, uint64_t *cp, uint64_t end, uint64_t *np)
{
	struct ext4 *x = inode_fs(ip);
	uint64_t c = *cp, n, pblk;
	uint32_t i;
	struct run r;
	int error;

	while (c < end) {
		n = resv_from(ip, c);
		if (n > 0) {
			c += n;
			continue;
		}
		error = map_find(ip, c << x->x_cbits, &r);
		if (error != 0)
			return error;
		n = r.r_len >> x->x_cbits;
		if ((r.r_flags & QMAP_HOLE) == 0) {
			c += n > 0 ? n : 1;
			continue;
		}
		if (n == 0) {
			error = cluster_find(ip, c << x->x_cbits, &pblk);
			if (error < 0)
				return error;
			n = 1;
			if (error > 0) {
				c++;
				continue;
			}
		}
		i = resv_at(ip, c);
		if (i < ip->i_nresv && n > ip->i_resv[i].rv_first - c)
			n = ip->i_resv[i].rv_first - c;
		*np = n < end - c ? n : end - c;
		*cp = c;
		return 1;
	}
	return 0;
}

/*
 * How many promises the range needs; with `add`, up to that many are noted, and
 * *sum of them have been, also if there is an error.
 */
static int
count_needed(struct inode *ip, uint64_t c, uint64_t end, uint64_t add,
    uint64_t *sum)
{
	uint64_t n = 0;
	int error;

	*sum = 0;
	while ((error = next_needed(ip, &c, end, &n)) > 0) {
		if (add > 0) {
			if (*sum + n > add)
				n = add - *sum;
			error = n == 0 ? 0 : resv_add(ip, c, n);
			if (error != 0 || n == 0)
				break;
		}
		*sum += n;
		c += n;
	}
	return error < 0 ? error : 0;
}

/* Note what the range needs out of `n` promises; the rest goes back. */
static int
note_promises(struct inode *ip, uint64_t c, uint64_t end, uint64_t n)
{
	uint64_t got;
	int error;

	qmutex_lock(&ip->i_lock);
	error = count_needed(ip, c, end, n, &got);
	qmutex_unlock(&ip->i_lock);
	if (got < n)
		unpromise(inode_fs(ip), n - got);
	return error;
}

int
file_reserve(struct qvnode *v, uint64_t off, uint64_t len)
{
	struct inode *ip = inode_of(v);
	struct ext4 *x = inode_fs(ip);
	uint32_t cb = x->x_bits + x->x_cbits;
	uint64_t c = off >> cb,
		 end = (off + len + (UINT64_C(1) << cb) - 1) >> cb;
	uint64_t max = inode_has(ip, EXT4_EXTENTS_FL) ? UINT32_MAX :
							blockmap_maxblocks(x);
	uint64_t need;
	int error;

	if (inode_has(ip, EXT4_INLINE_DATA_FL)) {
		error = inline_end(ip);
		if (error != 0)
			return error;
		max = UINT32_MAX;
	}
	if (to_blocks(x, off + len) > max)
		return -Q_EFBIG;
	/* Mostly all of it is needed, and there is room. */
	if (promise_now(x, end - c))
		return note_promises(ip, c, end, end - c);
	qmutex_lock(&ip->i_lock);
	error = count_needed(ip, c, end, 0, &need);
	qmutex_unlock(&ip->i_lock);
	if (error != 0 || need == 0)
		return error;
	/* May commit: not with the lock. */
	error = promise(x, need);
	return error != 0 ? error : note_promises(ip, c, end, need);
}

void
file_unreserve(struct qvnode *v, uint64_t off, uint64_t len)
{
	struct inode *ip = inode_of(v);
	struct ext4 *x = inode_fs(ip);
	uint32_t cb = x->x_bits + x->x_cbits;
	uint64_t end = len > UINT64_MAX - off ? UINT64_MAX : off + len, n;
	uint64_t first = (off >> cb) + ((off & ((UINT64_C(1) << cb) - 1)) != 0);

	/* A cluster that also has something outside keeps its promise. */
	if (end < UINT64_MAX)
		end >>= cb;
	if (first >= end)
		return;
	qmutex_lock(&ip->i_lock);
	n = resv_del(ip, first, end);
	qmutex_unlock(&ip->i_lock);
	if (n > 0)
		unpromise(x, n);
}

/* ---- allocating -------------------------------------------------------------- */

/* Where the block would best be; *flags gets ALLOC_GOAL if just there. */
static int
goal_of(struct inode *ip, uint64_t lblk, uint64_t *goal, unsigned *flags)
{
	struct ext4 *x = inode_fs(ip);
	struct run r;
	int error;

	if (lblk > 0) {
		error = map_find(ip, lblk - 1, &r);
		if (error != 0)
			return error;
		if ((r.r_flags & QMAP_HOLE) == 0) {
			*goal = r.r_pblk + 1;
			*flags |= ALLOC_GOAL;
			return 0;
		}
	}
	*goal = ip->i_goal != 0 ?
	    ip->i_goal :
	    group_first(x, (uint32_t)((ip->i_v.v_ino - 1) / x->x_ipg));
	return 0;
}

/*
 * Give blocks to up to `n` blocks of the hole from `lblk` on, as unwritten ones if
 * there are such; *r is what has been mapped.  [i]
 */
static int
fill_hole(struct jhandle *h, struct inode *ip, uint64_t lblk, uint64_t n,
    bool promised, struct run *r)
{
	struct ext4 *x = inode_fs(ip);
	uint64_t mask = (UINT64_C(1) << x->x_cbits) - 1, c = lblk >> x->x_cbits;
	uint64_t pblk, goal, take, have = resv_from(ip, c);
	bool ext = inode_has(ip, EXT4_EXTENTS_FL) &&
	    (x->x_debug & EXT4_DEBUG_EARLY) == 0;
	unsigned flags = 0;
	uint32_t got = 0;
	int error;

	r->r_lblk = lblk;
	r->r_flags = ext ? QMAP_UNWRITTEN : 0;
	error = x->x_cbits == 0 ? 0 : cluster_find(ip, lblk, &pblk);
	if (error < 0)
		return error;
	if (error > 0) {
		r->r_pblk = pblk + (lblk & mask);
		r->r_len = mask + 1 - (lblk & mask);
	} else {
		if (have > 0)
			flags = ALLOC_PROMISED;
		else if (promised)
			flags = ALLOC_META;
		take = (n + (lblk & mask) + mask) >> x->x_cbits;
		if (have > 0 && take > have)
			take = have;
		error = goal_of(ip, lblk, &goal, &flags);
		if (error == 0)
			error = alloc_clusters(h, x, goal, (uint32_t)take,
			    flags, &pblk, &got);
		if (error != 0)
			return error;
		r->r_pblk = pblk + (lblk & mask);
		r->r_len = ((uint64_t)got << x->x_cbits) - (lblk & mask);
		inode_add_blocks(ip, got);
		if ((flags & ALLOC_PROMISED) != 0 &&
		    resv_del(ip, c, c + got) < got)
			qfs_log(x->x_fs, QUERN_LOG_WARN, "a promise was lost");
	}
	if (r->r_len > n)
		r->r_len = n;
	if (r->r_pblk + r->r_len > x->x_nblock)
		r->r_len = x->x_nblock - r->r_pblk;
	if (x->x_bsize > PAGE_SIZE) {
		error = qdisk_zero(x->x_fs->fs_disk, r->r_pblk << x->x_bits,
		    r->r_len << x->x_bits);
		if (promised)
			r->r_flags = 0;
	}
	if (error >= 0)
		error = map_insert(h, ip, r);
	if (error != 0 && got > 0) {
		if (free_clusters(h, x, r->r_pblk & ~mask, got) != 0)
			journal_abort(h->h_j, error);
		inode_add_blocks(ip, -(int64_t)got);
		/* It may have been written meanwhile. */
		(void)!inode_write(h, ip);
	}
	ip->i_goal = r->r_pblk + r->r_len;
	return error;
}

/* A large block that is unwritten: have it zeroes, and written. */
static int
fill_unwritten(struct jhandle *h, struct inode *ip, struct run *r, uint64_t n)
{
	struct ext4 *x = inode_fs(ip);
	int error;

	if (r->r_len > n)
		r->r_len = n;
	error = qdisk_zero(x->x_fs->fs_disk, r->r_pblk << x->x_bits,
	    r->r_len << x->x_bits);
	if (error == 0)
		error = extent_convert(h, ip, r->r_lblk, r->r_len);
	r->r_flags = 0;
	return error;
}

/*
 * Blocks that are not unwritten are never behind the end on disk: it moves with
 * them.  [i]
 */
static int
grow_with(struct jhandle *h, struct inode *ip, const struct run *r)
{
	uint64_t end = (r->r_lblk + r->r_len) << inode_fs(ip)->x_bits;

	if (end > qvnode_size(&ip->i_v))
		end = qvnode_size(&ip->i_v);
	if (r->r_flags != 0 || end <= ip->i_disksize)
		return 0;
	ip->i_disksize = end;
	return inode_write(h, ip);
}

/* Can it be written as it is? */
static bool
is_ready(const struct ext4 *x, const struct run *r)
{
	return r->r_flags == 0 ||
	    ((r->r_flags & QMAP_UNWRITTEN) != 0 && x->x_bsize <= PAGE_SIZE);
}

int
file_mapped_write(struct qvnode *v, uint64_t off, uint64_t len,
    struct qmapping *m)
{
	struct inode *ip = inode_of(v);
	struct ext4 *x = inode_fs(ip);
	uint64_t lblk = off >> x->x_bits, n = to_blocks(x, off + len) - lblk;
	struct jhandle *h;
	struct run r;
	uint64_t more;
	int error;

	qmutex_lock(&ip->i_lock);
	error = map_find(ip, lblk, &r);
	qmutex_unlock(&ip->i_lock);
	if (error != 0)
		return error;
	if (is_ready(x, &r)) {
		file_mapping_of(x, &r, m);
		return 0;
	}
	error = tx_begin(x, 2 * MAP_CREDITS, &h);
	if (error != 0)
		return error;
	qmutex_lock(&ip->i_lock);
	error = map_find(ip, lblk, &r);
	if (error == 0 && (r.r_flags & QMAP_HOLE) != 0) {
		/* What else of it is dirty comes next. */
		more = resv_from(ip, lblk >> x->x_cbits) << x->x_cbits;
		if (inode_has(ip, EXT4_EXTENTS_FL) && x->x_bsize <= PAGE_SIZE &&
		    n < more)
			n = more;
		if (n > r.r_len)
			n = r.r_len;
		if (n > (inode_has(ip, EXT4_EXTENTS_FL) ? RUN_MAX : 256))
			n = inode_has(ip, EXT4_EXTENTS_FL) ? RUN_MAX : 256;
		error = fill_hole(h, ip, lblk, n, true, &r);
	} else if (error == 0 && !is_ready(x, &r)) {
		error = fill_unwritten(h, ip, &r, n);
	}
	if (error == 0)
		error = grow_with(h, ip, &r);
	qmutex_unlock(&ip->i_lock);
	if (error == 0)
		file_mapping_of(x, &r, m);
	if (error == 0 && !inode_has(ip, EXT4_EXTENTS_FL)) {
		journal_order(h, &ip->i_order);
		m->m_held = h;
		return 0;
	}
	return tx_end(x, h, error);
}

void
file_mapped(struct qvnode *v, struct qmapping *m)
{
	struct ext4 *x = inode_fs(inode_of(v));

	if (m->m_held != NULL)
		(void)tx_end(x, m->m_held, 0);
	m->m_held = NULL;
}

int
file_wrote(struct qvnode *v, uint64_t off, uint64_t len)
{
	struct inode *ip = inode_of(v);
	struct ext4 *x = inode_fs(ip);
	uint64_t lblk = off >> x->x_bits, n = to_blocks(x, off + len) - lblk;
	bool convert = inode_has(ip, EXT4_EXTENTS_FL) &&
	    x->x_bsize <= PAGE_SIZE;
	uint64_t end;
	struct jhandle *h;
	struct run r;
	int error;

	qmutex_lock(&ip->i_lock);
	error = map_find(ip, lblk, &r);
	if (error == 0 && r.r_flags == 0 && r.r_len >= n)
		convert = false;
	end = ip->i_disksize;
	qmutex_unlock(&ip->i_lock);
	if (error != 0 || (!convert && off + len <= end))
		return error;
	error = tx_begin(x, 2 * MAP_CREDITS, &h);
	if (error != 0)
		return error;
	qmutex_lock(&ip->i_lock);
	end = qvnode_size(v);
	if (end > off + len)
		end = off + len;
	if (end > ip->i_disksize)
		ip->i_disksize = end;
	if (convert)
		error = extent_convert(h, ip, lblk, n);
	else
		error = inode_write(h, ip);
	qmutex_unlock(&ip->i_lock);
	return tx_end(x, h, error);
}

/* ---- sizes ------------------------------------------------------------------- */

/* What is left of a large block behind the last page must be zeroes. */
static int
zero_tail(struct inode *ip, uint64_t from, uint64_t end)
{
	struct ext4 *x = inode_fs(ip);
	struct run r;
	int error;

	from = QROUNDUP(from, PAGE_SIZE);
	if (x->x_bsize <= PAGE_SIZE || from >= end)
		return 0;
	qmutex_lock(&ip->i_lock);
	error = map_find(ip, from >> x->x_bits, &r);
	qmutex_unlock(&ip->i_lock);
	if (error != 0 || r.r_flags != 0)
		return error;
	return qdisk_zero(x->x_fs->fs_disk,
	    (r.r_pblk << x->x_bits) + (from & (x->x_bsize - 1)), end - from);
}

static int
set_size(struct inode *ip, const struct qvattr *a)
{
	struct ext4 *x = inode_fs(ip);
	struct qvnode *v = &ip->i_v;
	uint64_t old = v->v_size;
	struct jhandle *h;
	int error;

	if (inode_has(ip, EXT4_INLINE_DATA_FL)) {
		error = inline_end(ip);
		if (error != 0)
			return error;
	}
	if (a->va_size < old) {
		error = zero_tail(ip, a->va_size,
		    QROUNDUP(a->va_size, x->x_bsize));
		if (error != 0)
			return error;
	}
	error = tx_begin(x, 2 * MAP_CREDITS, &h);
	if (error != 0)
		return error;
	error = inode_prepare(h, ip);
	if (error == 0 && a->va_size <= old)
		error = orphan_add(h, ip);
	if (error != 0)
		return tx_end(x, h, error);
	qmutex_lock(&ip->i_lock);
	qvnode_apply(v, a);
	/* Also if what is dirty ends before: nothing else may set it then. */
	ip->i_disksize = a->va_size;
	error = inode_write(h, ip);
	qmutex_unlock(&ip->i_lock);
	if (error == 0 && a->va_size <= old)
		error = truncate_range(h, ip, to_blocks(x, a->va_size),
		    UINT64_MAX);
	if (error == 0)
		error = orphan_del(h, ip);
	if (error == 0) {
		qmutex_lock(&ip->i_lock);
		error = inode_write(h, ip);
		qmutex_unlock(&ip->i_lock);
	}
	return tx_end(x, h, error);
}

int
file_setattr(struct qvnode *v, const struct qvattr *a)
{
	struct inode *ip = inode_of(v);
	struct ext4 *x = inode_fs(ip);
	struct jhandle *h;
	int error;

	if ((a->va_set & QVA_SIZE) != 0 && qvnode_type(v) == Q_S_IFREG)
		return set_size(ip, a);
	error = tx_begin(x, 4, &h);
	if (error != 0)
		return error;
	error = inode_prepare(h, ip);
	if (error != 0)
		return tx_end(x, h, error);
	qvnode_apply(v, a);
	qmutex_lock(&ip->i_lock);
	error = inode_write(h, ip);
	qmutex_unlock(&ip->i_lock);
	return tx_end(x, h, error);
}

/* ---- fallocate --------------------------------------------------------------- */

/* Give all holes of a range unwritten blocks. */
static int
preallocate(struct inode *ip, uint64_t from, uint64_t end)
{
	struct ext4 *x = inode_fs(ip);
	struct jhandle *h;
	struct run r;
	int error = 0;

	while (from < end && error == 0) {
		uint64_t n;

		error = tx_begin(x, 2 * MAP_CREDITS, &h);
		if (error != 0)
			return error;
		qmutex_lock(&ip->i_lock);
		error = map_find(ip, from, &r);
		n = r.r_len < end - from ? r.r_len : end - from;
		if (error == 0 && (r.r_flags & QMAP_HOLE) != 0) {
			if (n > RUN_MAX)
				n = RUN_MAX;
			error = fill_hole(h, ip, from, n, false, &r);
			n = r.r_len;
		}
		qmutex_unlock(&ip->i_lock);
		error = tx_end(x, h, error);
		from += n;
	}
	return error;
}

static int
punch(struct inode *ip, uint64_t off, uint64_t end)
{
	struct ext4 *x = inode_fs(ip);
	uint64_t first = to_blocks(x, off), last = end >> x->x_bits;
	uint64_t head = QROUNDUP(off, x->x_bsize);
	struct jhandle *h;
	int error;

	/* Parts of large blocks that the page cache does not have any more. */
	error = zero_tail(ip, off, head < end ? head : end & ~4095ull);
	if (error == 0 && (last << x->x_bits) > off)
		error = zero_tail(ip, last << x->x_bits, end & ~4095ull);
	if (error != 0 || first >= last)
		return error;
	error = tx_begin(x, 2 * MAP_CREDITS, &h);
	if (error != 0)
		return error;
	error = truncate_range(h, ip, first, last);
	return tx_end(x, h, error);
}

/* Map all from block `from` on `by` blocks further on, or back. */
static int
shift(struct jhandle *h, struct inode *ip, uint64_t from, int64_t by)
{
	uint64_t end = (uint64_t)UINT32_MAX + 1;
	int error;

	for (;;) {
		qmutex_lock(&ip->i_lock);
		error = extent_shift(h, ip, &from, &end, by);
		qmutex_unlock(&ip->i_lock);
		if (error != -Q_EAGAIN)
			return error;
		error = journal_extend(h, MAP_CREDITS);
		if (error == -Q_EAGAIN)
			error = journal_restart(h, MAP_CREDITS);
		if (error != 0)
			return error;
	}
}

/* Its size becomes that, now.  The caller's handle. */
static int
resize(struct jhandle *h, struct inode *ip, uint64_t size)
{
	int error;

	qmutex_lock(&ip->i_lock);
	__atomic_store_n(&ip->i_v.v_size, size, __ATOMIC_RELEASE);
	ip->i_disksize = size;
	inode_touch(ip, QVA_MTIME | QVA_CTIME);
	error = inode_write(h, ip);
	qmutex_unlock(&ip->i_lock);
	return error;
}

/*
 * Take a range out of a file, or put one in, that is a hole then.  Everything is
 * on the disk and nothing behind `off` in the page cache.  A crash in the middle
 * of a file of very many extents leaves some moved; no block is lost.
 */
static int
move_range(struct inode *ip, uint64_t off, uint64_t len, bool take)
{
	struct ext4 *x = inode_fs(ip);
	uint64_t unit = (uint64_t)x->x_bsize << x->x_cbits;
	uint64_t first = off >> x->x_bits, n = len >> x->x_bits;
	uint64_t size = qvnode_size(&ip->i_v);
	struct jhandle *h;
	int error;

	if (((off | len) & (unit - 1)) != 0)
		return -Q_EINVAL;
	if (take ? off + len >= size : off >= size)
		return -Q_EINVAL;
	if (!take && size > ip->i_v.v_fs->fs_maxsize - len)
		return -Q_EFBIG;
	error = tx_begin(x, 2 * MAP_CREDITS, &h);
	if (error != 0)
		return error;
	if (take) {
		error = truncate_range(h, ip, first, first + n);
		if (error == 0)
			error = shift(h, ip, first + n, -(int64_t)n);
		if (error == 0)
			error = resize(h, ip, size - len);
	} else {
		/* The last ones are not to be behind the end. */
		error = resize(h, ip, size + len);
		if (error == 0)
			error = shift(h, ip, first, (int64_t)n);
	}
	return tx_end(x, h, error);
}

int
file_fallocate(struct qvnode *v, uint32_t mode, uint64_t off, uint64_t len)
{
	struct inode *ip = inode_of(v);
	struct ext4 *x = inode_fs(ip);
	uint64_t end = off + len;
	struct jhandle *h;
	int error;

	if ((mode &
		~(uint32_t)(Q_FALLOC_FL_KEEP_SIZE | Q_FALLOC_FL_PUNCH_HOLE |
		    Q_FALLOC_FL_ZERO_RANGE | Q_FALLOC_FL_COLLAPSE_RANGE |
		    Q_FALLOC_FL_INSERT_RANGE)) != 0)
		return -Q_EOPNOTSUPP;
	if (inode_has(ip, EXT4_INLINE_DATA_FL)) {
		error = inline_end(ip);
		if (error != 0)
			return error;
	}
	if (!inode_has(ip, EXT4_EXTENTS_FL) &&
	    (mode & Q_FALLOC_FL_PUNCH_HOLE) == 0)
		return -Q_EOPNOTSUPP;
	if ((mode & (Q_FALLOC_FL_COLLAPSE_RANGE | Q_FALLOC_FL_INSERT_RANGE)) !=
	    0)
		return move_range(ip, off, len,
		    (mode & Q_FALLOC_FL_COLLAPSE_RANGE) != 0);
	if (end > v->v_fs->fs_maxsize)
		return -Q_EFBIG;
	if ((mode & (Q_FALLOC_FL_PUNCH_HOLE | Q_FALLOC_FL_ZERO_RANGE)) != 0) {
		error = punch(ip, off, end);
		if (error != 0)
			return error;
	}
	if ((mode & Q_FALLOC_FL_PUNCH_HOLE) == 0) {
		error = preallocate(ip, off >> x->x_bits, to_blocks(x, end));
		if (error != 0)
			return error;
	}
	error = tx_begin(x, 4, &h);
	if (error != 0)
		return error;
	error = inode_prepare(h, ip);
	if (error != 0)
		return tx_end(x, h, error);
	qmutex_lock(&ip->i_lock);
	if ((mode & Q_FALLOC_FL_KEEP_SIZE) == 0 && end > v->v_size) {
		__atomic_store_n(&v->v_size, end, __ATOMIC_RELEASE);
		ip->i_disksize = end;
	}
	/* The pages that would have moved the end have gone without that. */
	if (off < v->v_size && end >= v->v_size)
		ip->i_disksize = v->v_size;
	inode_touch(ip, QVA_MTIME | QVA_CTIME);
	error = inode_write(h, ip);
	qmutex_unlock(&ip->i_lock);
	return tx_end(x, h, error);
}
