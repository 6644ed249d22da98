/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Buffers.
 *
 * Finding.  Chains of a hash table are walked inside an epoch and changed under
 * qc_lock.  A reference is taken by raising a count that is not BUF_DEAD.
 *
 * B1  There is at most one buffer for a block in the table: it is put there by
 *     who finds under qc_lock that there is none.
 * B2  A buffer dies (0 to BUF_DEAD, by qc_lock's holder) only when it is clean
 *     and not held, and leaves its chain before the lock is given back.  Its data
 *     go at once, since only references reach them; the struct, after the epoch.
 * B3  QBUF_BUSY has one owner, who fills the data and makes them valid or not.
 *     Valid data are never filled again, so nobody changes a buffer under a
 *     reader or writer who has found it valid; only qbuf_forget makes them invalid.
 * B4  QBUF_DIRTY and being on qc_dirty change together, under qc_lock.
 * B5  A buffer is written, and QBUF_DIRTY cleared behind it, by who holds bf_lock
 *     all the while.  Contents change under bf_lock before qbuf_dirty is called:
 *     so a flag that is set there covers the change, or the write does.
 * B6  Who writes waits for bf_lock only when it holds no other: who has several
 *     buffers locked is never waited for by somebody that it waits for.
 *
 * Eviction.  All buffers are on one ring.  When there are more than the limit, a
 * few at its front are looked at: those in use, dirty or found since (QBUF_USED)
 * go to the back.  The limit gives way to what can't go.
 *
 * Lock order: qc_wlock, bf_lock, qc_lock.
 */
#include "buf.h"

#include <quern/slab.h>

#define BUF_DEAD UINT32_MAX

#define DEFAULT_BYTES ((uint32_t)16 << 20) /* limit of a cache, in data */
#define MIN_LIMIT     32u
#define SCAN          32u  /* buffers looked at for each that is made */
#define BATCH         256u /* buffers written at a time */
#define AHEAD         64u  /* read in one request */

struct qbufcache {
	struct qdisk *qc_disk; /* [I] */
	uint32_t qc_bsize;     /* [I] */
	uint32_t qc_limit;     /* [I] */
	uint32_t qc_mask;      /* [I] */
	struct qbuf **qc_hash; /* [I] the table; chains [a] */

	struct qspin qc_lock;
	struct qlist qc_all;   /* [qc_lock] */
	struct qlist qc_dirty; /* [qc_lock] by bf_seq */
	uint64_t qc_seq;       /* [qc_lock] */
	uint64_t qc_nbuf;      /* [a] written under qc_lock */
	uint64_t qc_ndirty;    /* [a] likewise */

	struct qwaitq qc_rwq; /* for qc_reads to become 0 */
	uint32_t qc_reads;    /* [qc_rwq] reads ahead in flight */

	struct qmutex qc_wlock; /* what follows; one writes at a time */
	struct qwaitq qc_wwq;   /* for qc_wleft to become 0 */
	uint32_t qc_wleft;      /* [qc_wwq] */
	uint32_t qc_nbio, qc_nbatch;
	struct qbio qc_bio[BATCH];
	struct quern_iov qc_iov[BATCH];
	struct qbuf *qc_batch[BATCH]; /* locked, as qc_iov */
	struct qbuf *qc_pick[BATCH];
	struct qbio *qc_list[BATCH];

	uint64_t qc_nread, qc_nwrite, qc_nbios; /* [a] */
};

/* A read ahead in flight. */
struct ahead {
	struct qbufcache *ah_cache;
	struct qbio ah_bio;
	struct quern_iov ah_iov[AHEAD];
	struct qbuf *ah_buf[AHEAD];
};

static const struct qtag buf_tag = { "buf" };

static void
count(uint64_t *n, uint64_t by)
{
	__atomic_fetch_add(n, by, __ATOMIC_RELAXED);
}

/* ---- making and ending -------------------------------------------------------- */

static uint32_t
table_size(uint32_t limit)
{
	uint32_t n = 16;

	while (n < limit && n < (1u << 20))
		n *= 2;
	return n;
}

int
qbufcache_create(struct qdisk *d, uint32_t bsize, uint32_t limit,
    struct qbufcache **cp)
{
	struct qbufcache *c;
	uint32_t n;

	if (bsize < QBUF_MINSIZE || bsize > QBUF_MAXSIZE ||
	    (bsize & (bsize - 1)) != 0 || bsize < d->qd_sector)
		return -Q_EINVAL;
	if (limit == 0)
		limit = DEFAULT_BYTES / bsize;
	if (limit < MIN_LIMIT)
		limit = MIN_LIMIT;
	n = table_size(limit);
	c = qzalloc(&buf_tag, sizeof(*c));
	if (c == NULL)
		return -Q_ENOMEM;
	c->qc_hash = qzalloc(&buf_tag, n * sizeof(c->qc_hash[0]));
	if (c->qc_hash == NULL) {
		qfree(c);
		return -Q_ENOMEM;
	}
	qdisk_get(d);
	c->qc_disk = d;
	c->qc_bsize = bsize;
	c->qc_limit = limit;
	c->qc_mask = n - 1;
	qspin_init(&c->qc_lock);
	qlist_init(&c->qc_all);
	qlist_init(&c->qc_dirty);
	qwaitq_init(&c->qc_rwq);
	qwaitq_init(&c->qc_wwq);
	qmutex_init(&c->qc_wlock, "buf write");
	*cp = c;
	return 0;
}

/* Sleep until a count that `wq`'s lock protects is 0. */
static void
wait_zero(struct qwaitq *wq, const uint32_t *n)
{
	for (;;) {
		qspin_lock(&wq->w_lock);
		if (*n == 0)
			break;
		(void)qwaitq_sleep(wq, &wq->w_lock, 0, QUERN_NEVER);
	}
	qspin_unlock(&wq->w_lock);
}

/* One less; wakes at 0.  Giving the lock back is the last that is done. */
static void
count_down(struct qwaitq *wq, uint32_t *n)
{
	qspin_lock(&wq->w_lock);
	qassert(*n > 0);
	if (--*n == 0)
		(void)qwaitq_wake_locked(wq);
	qspin_unlock(&wq->w_lock);
}

void
qbufcache_destroy(struct qbufcache *c)
{
	struct qlist *l, *next;
	struct qbuf *b;
	uint64_t lost = c->qc_ndirty;

	wait_zero(&c->qc_rwq, &c->qc_reads);
	if (lost > 0)
		qlog(c->qc_disk->qd_k, QUERN_LOG_WARN,
		    "disk %s: %lu buffers were never written",
		    c->qc_disk->qd_name, lost);
	QLIST_FOREACH_SAFE(l, next, &c->qc_all) {
		b = QLIST_ELEM(l, struct qbuf, bf_all);
		qassert(__atomic_load_n(&b->bf_refs, __ATOMIC_ACQUIRE) == 0);
		qassert(qlist_empty(&b->bf_dirty) == !qbuf_is(b, QBUF_DIRTY));
		qfree(b->bf_data);
		qfree(b);
	}
	qdisk_put(c->qc_disk);
	qfree(c->qc_hash);
	qfree(c);
}

struct qdisk *
qbufcache_disk(const struct qbufcache *c)
{
	return c->qc_disk;
}

uint32_t
qbufcache_bsize(const struct qbufcache *c)
{
	return c->qc_bsize;
}

uint64_t
qbufcache_blocks(const struct qbufcache *c)
{
	return qdisk_size(c->qc_disk) / c->qc_bsize;
}

void
qbufcache_stats(const struct qbufcache *c, struct qbuf_stats *st)
{
	st->bs_bufs = __atomic_load_n(&c->qc_nbuf, __ATOMIC_RELAXED);
	st->bs_dirty = __atomic_load_n(&c->qc_ndirty, __ATOMIC_RELAXED);
	st->bs_reads = __atomic_load_n(&c->qc_nread, __ATOMIC_RELAXED);
	st->bs_writes = __atomic_load_n(&c->qc_nwrite, __ATOMIC_RELAXED);
	st->bs_bios = __atomic_load_n(&c->qc_nbios, __ATOMIC_RELAXED);
}

/* ---- finding -------------------------------------------------------------------- */

static struct qbuf **
chain_of(struct qbufcache *c, uint64_t blk)
{
	uint64_t h = blk * UINT64_C(0x9e3779b97f4a7c15);

	return &c->qc_hash[(h >> 32) & c->qc_mask];
}

/* Take a reference, unless it is dead. */
static bool
try_ref(struct qbuf *b)
{
	uint32_t old = __atomic_load_n(&b->bf_refs, __ATOMIC_RELAXED);

	do {
		if (old == BUF_DEAD)
			return false;
		qassert(old < BUF_DEAD - 1);
	} while (!__atomic_compare_exchange_n(&b->bf_refs, &old, old + 1, true,
	    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	return true;
}

/* In an epoch or under qc_lock.  With a reference, or NULL. */
static struct qbuf *
walk(struct qbufcache *c, uint64_t blk)
{
	struct qbuf *b;

	for (b = __atomic_load_n(chain_of(c, blk), __ATOMIC_ACQUIRE); b != NULL;
	     b = __atomic_load_n(&b->bf_next, __ATOMIC_ACQUIRE))
		if (b->bf_blk == blk && try_ref(b)) {
			/* Most often it is set: leave the cache line alone. */
			if ((__atomic_load_n(&b->bf_flags, __ATOMIC_RELAXED) &
				QBUF_USED) == 0)
				qbuf_set(b, QBUF_USED);
			return b;
		}
	return NULL;
}

static struct qbuf *
lookup(struct qbufcache *c, uint64_t blk)
{
	struct qbuf *b;

	qepoch_enter();
	b = walk(c, blk);
	qepoch_exit();
	return b;
}

struct qbuf *
qbuf_find(struct qbufcache *c, uint64_t blk)
{
	struct qbuf *b = lookup(c, blk);

	if (b != NULL && !qbuf_is(b, QBUF_VALID)) {
		qbuf_put(b);
		b = NULL;
	}
	return b;
}

void
qbuf_put(struct qbuf *b)
{
	uint32_t old;

	if (b == NULL)
		return;
	old = __atomic_fetch_sub(&b->bf_refs, 1, __ATOMIC_RELEASE);
	qassert(old != 0 && old != BUF_DEAD);
}

/* ---- eviction -------------------------------------------------------------------- */

static void
free_struct(struct qepoch_entry *e)
{
	qfree(QCONTAINER(e, struct qbuf, bf_epoch));
}

/* Under qc_lock: out of the table and off the ring. */
static void
unlink_dead(struct qbufcache *c, struct qbuf *b)
{
	struct qbuf **at = chain_of(c, b->bf_blk);

	while (*at != b)
		at = &(*at)->bf_next;
	/* b's own bf_next stays, for those who are looking at b. */
	__atomic_store_n(at, b->bf_next, __ATOMIC_RELEASE);
	qlist_del(&b->bf_all);
	__atomic_store_n(&c->qc_nbuf, c->qc_nbuf - 1, __ATOMIC_RELAXED);
}

/* Under qc_lock: kill it if it may go (B2). */
static bool
try_kill(struct qbuf *b)
{
	uint32_t none = 0;

	if (qbuf_is(b, QBUF_DIRTY | QBUF_HELD | QBUF_BUSY))
		return false;
	return __atomic_compare_exchange_n(&b->bf_refs, &none, BUF_DEAD, false,
	    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* Look at up to `scan` buffers, until there are no more than `want`. */
static void
evict(struct qbufcache *c, uint64_t want, uint64_t scan, bool used)
{
	struct qlist gone, *l, *next;
	struct qbuf *b;

	qlist_init(&gone);
	qspin_lock(&c->qc_lock);
	while (scan-- > 0 && c->qc_nbuf > want) {
		b = QLIST_ELEM(c->qc_all.l_next, struct qbuf, bf_all);
		if ((used || !qbuf_is(b, QBUF_USED)) && try_kill(b)) {
			unlink_dead(c, b);
			qlist_append(&gone, &b->bf_all);
			continue;
		}
		qbuf_clear(b, QBUF_USED);
		qlist_del(&b->bf_all);
		qlist_append(&c->qc_all, &b->bf_all);
	}
	qspin_unlock(&c->qc_lock);
	QLIST_FOREACH_SAFE(l, next, &gone) {
		b = QLIST_ELEM(l, struct qbuf, bf_all);
		qfree(b->bf_data);
		qepoch_defer(&b->bf_epoch, free_struct);
	}
}

void
qbufcache_shrink(struct qbufcache *c)
{
	evict(c, 0, __atomic_load_n(&c->qc_nbuf, __ATOMIC_RELAXED), true);
}

static size_t pick_dirty(struct qbufcache *c, uint64_t from, uint64_t to,
    uint64_t *lastp);
static int write_picked(struct qbufcache *c, size_t n, bool wait);

/* Another buffer is about to be made: have room for it, if that is possible. */
static void
make_room(struct qbufcache *c)
{
	uint64_t last;

	if (__atomic_load_n(&c->qc_nbuf, __ATOMIC_RELAXED) < c->qc_limit)
		return;
	evict(c, c->qc_limit - 1, SCAN, false);
	if (__atomic_load_n(&c->qc_ndirty, __ATOMIC_RELAXED) < c->qc_limit / 2)
		return;
	/* The caller may have buffers locked: wait for nobody's lock. */
	if (!qmutex_trylock(&c->qc_wlock))
		return;
	(void)write_picked(c, pick_dirty(c, 0, UINT64_MAX, &last), false);
	qmutex_unlock(&c->qc_wlock);
	evict(c, c->qc_limit - 1, SCAN, false);
}

/* ---- making buffers ----------------------------------------------------------------- */

static struct qbuf *
alloc_buf(struct qbufcache *c, uint64_t blk)
{
	struct qbuf *b = qzalloc(&buf_tag, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->bf_data = qalloc(&buf_tag, c->qc_bsize);
	if (b->bf_data == NULL) {
		qfree(b);
		return NULL;
	}
	b->bf_blk = blk;
	b->bf_cache = c;
	b->bf_refs = 1;
	b->bf_flags = QBUF_USED;
	qmutex_init(&b->bf_lock, "buf");
	qwaitq_init(&b->bf_wq);
	qlist_init(&b->bf_all);
	qlist_init(&b->bf_dirty);
	return b;
}

/* The buffer of a block, made if there is none, with a reference. */
static int
find_or_make(struct qbufcache *c, uint64_t blk, struct qbuf **bp)
{
	struct qbuf *b, *other, **at;

	b = lookup(c, blk);
	if (qlikely(b != NULL)) {
		*bp = b;
		return 0;
	}
	if (blk >= qbufcache_blocks(c))
		return -Q_EUCLEAN;
	make_room(c);
	b = alloc_buf(c, blk);
	if (b == NULL) {
		evict(c, 0, 4ul * SCAN, true);
		b = alloc_buf(c, blk);
	}
	if (b == NULL)
		return -Q_ENOMEM;
	qspin_lock(&c->qc_lock);
	other = walk(c, blk);
	if (other == NULL) {
		at = chain_of(c, blk);
		b->bf_next = *at;
		__atomic_store_n(at, b, __ATOMIC_RELEASE);
		qlist_append(&c->qc_all, &b->bf_all);
		__atomic_store_n(&c->qc_nbuf, c->qc_nbuf + 1, __ATOMIC_RELAXED);
	}
	qspin_unlock(&c->qc_lock);
	if (other != NULL) {
		qfree(b->bf_data);
		qfree(b);
		b = other;
	}
	*bp = b;
	return 0;
}

/* ---- filling ------------------------------------------------------------------------ */

/* Become the one who fills it (B3), unless it is valid or another is. */
static bool
try_claim(struct qbuf *b)
{
	uint32_t old;

	if (qbuf_is(b, QBUF_VALID | QBUF_BUSY))
		return false;
	old = __atomic_fetch_or(&b->bf_flags, QBUF_BUSY, __ATOMIC_ACQ_REL);
	if ((old & QBUF_BUSY) != 0)
		return false;
	if ((old & QBUF_VALID) == 0)
		return true;
	/* It has been filled since we looked. */
	qbuf_clear(b, QBUF_BUSY);
	(void)qwaitq_wake_all(&b->bf_wq);
	return false;
}

/* True: the caller is to fill it.  False: it is valid. */
static bool
claim(struct qbuf *b)
{
	for (;;) {
		if (qbuf_is(b, QBUF_VALID))
			return false;
		if (try_claim(b))
			return true;
		qspin_lock(&b->bf_wq.w_lock);
		if (qbuf_is(b, QBUF_BUSY))
			(void)qwaitq_sleep(&b->bf_wq, &b->bf_wq.w_lock, 0,
			    QUERN_NEVER);
		else
			qspin_unlock(&b->bf_wq.w_lock);
	}
}

/* It is filled, or could not be. */
static void
filled(struct qbuf *b, int error)
{
	qassert(qbuf_is(b, QBUF_BUSY) && !qbuf_is(b, QBUF_VALID));
	if (error == 0) {
		qbuf_clear(b, QBUF_CHECKED | QBUF_ERROR);
		qbuf_set(b, QBUF_VALID);
	}
	qbuf_clear(b, QBUF_BUSY);
	(void)qwaitq_wake_all(&b->bf_wq);
}

int
qbuf_get(struct qbufcache *c, uint64_t blk, struct qbuf **bp)
{
	int error = find_or_make(c, blk, bp);

	if (error == 0 && claim(*bp)) {
		memset((*bp)->bf_data, 0, c->qc_bsize);
		filled(*bp, 0);
	}
	return error;
}

int
qbuf_read(struct qbufcache *c, uint64_t blk, struct qbuf **bp)
{
	struct qbuf *b;
	int error = find_or_make(c, blk, &b);

	if (error != 0)
		return error;
	if (qunlikely(!qbuf_is(b, QBUF_VALID)) && claim(b)) {
		error = qdisk_read(c->qc_disk, blk * c->qc_bsize, b->bf_data,
		    c->qc_bsize);
		filled(b, error);
		count(&c->qc_nread, 1);
		if (error != 0) {
			qbuf_put(b);
			return error;
		}
	}
	*bp = b;
	return 0;
}

static void
ahead_done(struct qbio *bio)
{
	struct ahead *ah = bio->b_arg;
	struct qbufcache *c = ah->ah_cache;
	uint32_t i;

	for (i = 0; i < bio->b_niov; i++) {
		filled(ah->ah_buf[i], bio->b_error);
		qbuf_put(ah->ah_buf[i]);
	}
	qfree(ah);
	count_down(&c->qc_rwq, &c->qc_reads);
}

/* Claim blocks from `blk` on until one is there, at most `n`. */
static uint32_t
claim_run(struct qbufcache *c, struct ahead *ah, uint64_t blk, uint32_t n)
{
	struct qbuf *b;
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (find_or_make(c, blk + i, &b) != 0)
			break;
		if (!try_claim(b)) {
			qbuf_put(b);
			break;
		}
		ah->ah_buf[i] = b;
		ah->ah_iov[i].iov_base = b->bf_data;
		ah->ah_iov[i].iov_len = c->qc_bsize;
	}
	return i;
}

void
qbuf_ahead(struct qbufcache *c, uint64_t blk, uint32_t n)
{
	uint64_t blocks = qbufcache_blocks(c);
	uint32_t max = (uint32_t)(QBIO_MAXLEN / c->qc_bsize), run;
	struct ahead *ah = NULL;
	struct qbuf *b;

	if (max > AHEAD)
		max = AHEAD;
	n = blk >= blocks ? 0 : n < blocks - blk ? n : (uint32_t)(blocks - blk);
	for (; n > 0; blk += run, n -= run) {
		b = lookup(c, blk);
		if (b != NULL && qbuf_is(b, QBUF_VALID | QBUF_BUSY)) {
			qbuf_put(b);
			run = 1;
			continue;
		}
		qbuf_put(b);
		if (ah == NULL)
			ah = qalloc(&buf_tag, sizeof(*ah));
		if (ah == NULL)
			return;
		run = claim_run(c, ah, blk, n < max ? n : max);
		if (run == 0)
			break;
		ah->ah_cache = c;
		ah->ah_bio = (struct qbio){ .b_cmd = QUERN_BLK_READ,
			.b_niov = run,
			.b_iov = ah->ah_iov,
			.b_off = blk * c->qc_bsize,
			.b_len = (uint64_t)run * c->qc_bsize,
			.b_done = ahead_done,
			.b_arg = ah };
		qspin_lock(&c->qc_rwq.w_lock);
		c->qc_reads++;
		qspin_unlock(&c->qc_rwq.w_lock);
		count(&c->qc_nread, run);
		qbio_submit(c->qc_disk, &ah->ah_bio);
		ah = NULL;
	}
	qfree(ah);
}

/* ---- dirty --------------------------------------------------------------------------- */

void
qbuf_dirty(struct qbuf *b)
{
	struct qbufcache *c = b->bf_cache;

	qassert(qbuf_is(b, QBUF_VALID));
	if (qbuf_is(b, QBUF_DIRTY))
		return; /* B5 */
	qspin_lock(&c->qc_lock);
	if (qlist_empty(&b->bf_dirty)) {
		qbuf_set(b, QBUF_DIRTY);
		b->bf_seq = ++c->qc_seq;
		qlist_append(&c->qc_dirty, &b->bf_dirty);
		__atomic_store_n(&c->qc_ndirty, c->qc_ndirty + 1,
		    __ATOMIC_RELAXED);
	}
	qspin_unlock(&c->qc_lock);
}

/* B4, the other way. */
void
qbuf_clean(struct qbuf *b)
{
	struct qbufcache *c = b->bf_cache;

	qassert(qmutex_held(&b->bf_lock));
	qspin_lock(&c->qc_lock);
	if (!qlist_empty(&b->bf_dirty)) {
		qbuf_clear(b, QBUF_DIRTY);
		qlist_del(&b->bf_dirty);
		__atomic_store_n(&c->qc_ndirty, c->qc_ndirty - 1,
		    __ATOMIC_RELAXED);
	}
	qspin_unlock(&c->qc_lock);
}

void
qbuf_forget(struct qbuf *b)
{
	qbuf_lock(b);
	qbuf_clean(b);
	qbuf_clear(b, QBUF_VALID | QBUF_CHECKED | QBUF_ERROR);
	qbuf_unlock(b);
}

/* ---- writing -------------------------------------------------------------------------- */

static void
batch_done(struct qbio *bio)
{
	struct qbufcache *c = bio->b_arg;

	count_down(&c->qc_wwq, &c->qc_wleft);
}

/* Write the batch and unlock what is in it.  The first error. */
static int
flush_batch(struct qbufcache *c)
{
	struct qbuf *b;
	uint32_t i, j, k = 0;
	int error = 0;

	if (c->qc_nbio == 0)
		return 0;
	c->qc_wleft = c->qc_nbio;
	for (i = 0; i < c->qc_nbio; i++)
		c->qc_list[i] = &c->qc_bio[i];
	count(&c->qc_nwrite, c->qc_nbatch);
	count(&c->qc_nbios, c->qc_nbio);
	qbio_submit_many(c->qc_disk, c->qc_list, c->qc_nbio);
	wait_zero(&c->qc_wwq, &c->qc_wleft);
	for (i = 0; i < c->qc_nbio; i++) {
		if (error == 0)
			error = c->qc_bio[i].b_error;
		for (j = 0; j < c->qc_bio[i].b_niov; j++) {
			b = c->qc_batch[k++];
			if (c->qc_bio[i].b_error == 0) {
				qbuf_clear(b, QBUF_ERROR);
				qbuf_clean(b);
			} else {
				qbuf_set(b, QBUF_ERROR);
			}
			qbuf_unlock(b);
		}
	}
	qassert(k == c->qc_nbatch);
	c->qc_nbio = c->qc_nbatch = 0;
	return error;
}

/* Add a locked buffer to the batch: to the last request if it goes on there. */
static void
add_to_batch(struct qbufcache *c, struct qbuf *b)
{
	uint64_t off = b->bf_blk * c->qc_bsize;
	struct qbio *bio = c->qc_nbio > 0 ? &c->qc_bio[c->qc_nbio - 1] : NULL;

	qassert(c->qc_nbatch < BATCH);
	if (bio == NULL || bio->b_off + bio->b_len != off ||
	    bio->b_len + c->qc_bsize > QBIO_MAXLEN) {
		bio = &c->qc_bio[c->qc_nbio++];
		*bio = (struct qbio){ .b_cmd = QUERN_BLK_WRITE,
			.b_iov = &c->qc_iov[c->qc_nbatch],
			.b_off = off,
			.b_done = batch_done,
			.b_arg = c };
	}
	bio->b_niov++;
	bio->b_len += c->qc_bsize;
	c->qc_iov[c->qc_nbatch].iov_base = b->bf_data;
	c->qc_iov[c->qc_nbatch].iov_len = c->qc_bsize;
	c->qc_batch[c->qc_nbatch++] = b;
}

static void
sift(struct qbuf **a, size_t i, size_t n)
{
	struct qbuf *t;
	size_t kid;

	for (; (kid = 2 * i + 1) < n; i = kid) {
		if (kid + 1 < n && a[kid + 1]->bf_blk > a[kid]->bf_blk)
			kid++;
		if (a[i]->bf_blk >= a[kid]->bf_blk)
			return;
		t = a[i];
		a[i] = a[kid];
		a[kid] = t;
	}
}

/* By block; no memory, no recursion, no bad case. */
static void
sort_bufs(struct qbuf **a, size_t n)
{
	struct qbuf *t;
	size_t i;

	for (i = n / 2; i-- > 0;)
		sift(a, i, n);
	for (i = n; i-- > 1;) {
		t = a[0];
		a[0] = a[i];
		a[i] = t;
		sift(a, 0, i);
	}
}

/* qc_wlock is held.  `wait`: also for buffers that are locked. */
static int
write_bufs(struct qbufcache *c, struct qbuf **bufs, size_t n, bool wait)
{
	struct qbuf *b;
	size_t i;
	int error = 0, e;

	qassert(qmutex_held(&c->qc_wlock));
	sort_bufs(bufs, n);
	for (i = 0; i < n; i++) {
		b = bufs[i];
		e = 0;
		if (c->qc_nbatch == BATCH)
			e = flush_batch(c);
		if (!qmutex_trylock(&b->bf_lock)) {
			if (!wait)
				continue;
			if (e == 0)
				e = flush_batch(c); /* B6 */
			qbuf_lock(b);
		}
		if (error == 0)
			error = e;
		if (qbuf_is(b, QBUF_DIRTY) && !qbuf_is(b, QBUF_HELD))
			add_to_batch(c, b);
		else
			qbuf_unlock(b);
	}
	e = flush_batch(c);
	return error != 0 ? error : e;
}

int
qbuf_write_many(struct qbufcache *c, struct qbuf **bufs, size_t n)
{
	int error;

	qmutex_lock(&c->qc_wlock);
	error = write_bufs(c, bufs, n, true);
	qmutex_unlock(&c->qc_wlock);
	return error;
}

int
qbuf_write(struct qbuf *b)
{
	return qbuf_write_many(b->bf_cache, &b, 1);
}

/*
 * Put those that became dirty after `from` and not after `to`, the oldest, into
 * qc_pick, with references; *lastp is where to go on.  qc_wlock is held.
 */
static size_t
pick_dirty(struct qbufcache *c, uint64_t from, uint64_t to, uint64_t *lastp)
{
	struct qlist *l;
	struct qbuf *b;
	size_t n = 0;

	qspin_lock(&c->qc_lock);
	QLIST_FOREACH(l, &c->qc_dirty) {
		b = QLIST_ELEM(l, struct qbuf, bf_dirty);
		if (b->bf_seq > to || n == BATCH)
			break;
		if (b->bf_seq <= from)
			continue;
		*lastp = b->bf_seq;
		if (qbuf_is(b, QBUF_HELD))
			continue;
		/* Not dead: it is dirty (B2). */
		qbuf_ref(b);
		c->qc_pick[n++] = b;
	}
	qspin_unlock(&c->qc_lock);
	return n;
}

static int
write_picked(struct qbufcache *c, size_t n, bool wait)
{
	int error = write_bufs(c, c->qc_pick, n, wait);
	size_t i;

	for (i = 0; i < n; i++)
		qbuf_put(c->qc_pick[i]);
	return error;
}

int
qbufcache_sync(struct qbufcache *c)
{
	uint64_t to, last = 0;
	size_t n;
	int error = 0, e;

	qspin_lock(&c->qc_lock);
	to = c->qc_seq;
	qspin_unlock(&c->qc_lock);
	do {
		qmutex_lock(&c->qc_wlock);
		n = pick_dirty(c, last, to, &last);
		e = write_picked(c, n, true);
		qmutex_unlock(&c->qc_wlock);
		if (error == 0)
			error = e;
	} while (n > 0);
	return error;
}
