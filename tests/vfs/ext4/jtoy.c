/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "jtoy.h"

enum kind { NONE, META, DATA };

/* What a slot's block says. */
struct pointer {
	uint64_t pt_kind, pt_gen;
};

static uint64_t
draw(uint64_t *rng, uint64_t below)
{
	*rng = *rng * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (*rng >> 33) % below;
}

/* ---- making ------------------------------------------------------------------- */

/* The journal is in two pieces, the second before the first. */
static int
map(void *arg, uint32_t lblk, uint64_t *blkp, uint32_t *np)
{
	(void)arg;
	if (lblk < 20) {
		*blkp = 120 + lblk;
		*np = *np < 20 - lblk ? *np : 20 - lblk;
	} else {
		*blkp = 60 + lblk - 20;
	}
	return 0;
}

static void
slot_wait(struct toy_slot *s)
{
	for (;;) {
		qspin_lock(&s->ts_wq.w_lock);
		if (!s->ts_flight)
			break;
		(void)qwaitq_sleep(&s->ts_wq, &s->ts_wq.w_lock, 0, QUERN_NEVER);
	}
	qspin_unlock(&s->ts_wq.w_lock);
}

static void
wait_data(void *arg, struct qvnode *v)
{
	(void)arg;
	slot_wait((struct toy_slot *)(void *)v);
}

static void
aborted(void *arg, int error)
{
	struct toy *t = arg;

	(void)error;
	__atomic_fetch_add(&t->aborts, 1, __ATOMIC_RELAXED);
}

struct journal_config
toy_config(struct toy *t, struct qbufcache *c)
{
	return (struct journal_config){ .jc_cache = c,
		.jc_name = "toy",
		.jc_len = t->jlen,
		.jc_map = map,
		.jc_blocks = TOY_BLOCKS,
		.jc_wait = wait_data,
		.jc_abort = aborted,
		.jc_arg = t,
		.jc_64bit = t->wide,
		.jc_csum = t->csum,
		.jc_debug = t->debug };
}

int
toy_make(struct toy *t)
{
	static uint8_t zero[TOY_BSIZE];
	uint8_t block[TOY_BSIZE] = { 0 };
	struct jsuper *s = (struct jsuper *)(void *)block;
	uint32_t i;
	int error = 0;

	for (i = 0; i < TOY_BLOCKS && error == 0; i++)
		error = qdisk_write(t->d, (uint64_t)i * TOY_BSIZE, zero,
		    TOY_BSIZE);
	s->js_h.jh_magic_be = jbe32(JMAGIC);
	s->js_h.jh_type_be = jbe32(JTYPE_SB2);
	s->js_bsize_be = jbe32(TOY_BSIZE);
	s->js_maxlen_be = jbe32(t->jlen);
	s->js_first_be = jbe32(1);
	s->js_seq_be = jbe32(t->seq);
	s->js_users_be = jbe32(1);
	memset(s->js_uuid, 0x5a, sizeof(s->js_uuid));
	if (error == 0 && t->jlen > 0)
		error = qdisk_write(t->d, 120u * TOY_BSIZE, block, TOY_BSIZE);
	return error != 0 ? error : qdisk_flush(t->d);
}

static void
now_free(struct jcommit *jm, int error)
{
	struct toy_slot *s = QCONTAINER(jm, struct toy_slot, ts_commit);

	(void)error;
	__atomic_store_n(&s->ts_free, 1, __ATOMIC_RELEASE);
}

int
toy_open(struct toy *t)
{
	struct journal_config jc;
	unsigned i;
	int error = qbufcache_create(t->d, TOY_BSIZE, 0, &t->c);

	if (error != 0)
		return error;
	jc = toy_config(t, t->c);
	error = journal_open(&jc, &t->j);
	if (error == 0) {
		error = journal_replay(t->j);
		if (error == 0)
			error = journal_start(t->j);
		if (error != 0)
			(void)journal_destroy(t->j);
	}
	if (error != 0) {
		qbufcache_destroy(t->c);
		return error;
	}
	for (i = 0; i < TOY_NSLOT; i++) {
		journal_order_init(&t->slot[i].ts_order,
		    (struct qvnode *)(void *)&t->slot[i]);
		qlist_init(&t->slot[i].ts_commit.jm_link);
		t->slot[i].ts_commit.jm_fn = now_free;
		qwaitq_init(&t->slot[i].ts_wq);
		t->slot[i].ts_free = 1;
	}
	return 0;
}

int
toy_close(struct toy *t)
{
	unsigned i;
	int error;

	for (i = 0; i < TOY_NSLOT; i++) {
		slot_wait(&t->slot[i]);
		journal_order_gone(t->j, &t->slot[i].ts_order);
	}
	journal_stats(t->j, &t->st);
	error = journal_destroy(t->j);
	qbufcache_destroy(t->c);
	return error;
}

/* ---- operations ------------------------------------------------------------------- */

/* Add to the number in a block. */
static int
add(struct toy *t, struct jhandle *h, uint64_t blk, int64_t by)
{
	struct qbuf *b;
	int64_t n;
	int error = qbuf_read(t->c, blk, &b);

	if (error != 0)
		return error;
	error = journal_get_write(h, b);
	if (error == 0) {
		qbuf_lock(b);
		memcpy(&n, b->bf_data, sizeof(n));
		kchoice();
		n += by;
		memcpy(b->bf_data, &n, sizeof(n));
		qbuf_unlock(b);
		journal_dirty(h, b);
	}
	qbuf_put(b);
	return error;
}

/* What a slot's block holds; some begin like blocks of a journal. */
static void
fill(uint8_t *p, uint64_t blk, uint64_t kind, uint64_t gen)
{
	uint64_t i, w = kind << 56 | blk << 40 | gen;
	uint32_t magic = jbe32(JMAGIC);

	for (i = 0; i < TOY_BSIZE / 8; i++)
		memcpy(p + 8 * i, &w, 8);
	if (kind == META && gen % 2 == 0)
		memcpy(p, &magic, 4);
}

static int
set_pointer(struct toy *t, struct jhandle *h, unsigned i)
{
	struct pointer pt = { t->slot[i].ts_kind, t->slot[i].ts_gen };
	struct qbuf *b;
	int error = qbuf_read(t->c, TOY_SLOT + i, &b);

	if (error != 0)
		return error;
	error = journal_get_write(h, b);
	if (error == 0) {
		qbuf_lock(b);
		memcpy(b->bf_data, &pt, sizeof(pt));
		qbuf_unlock(b);
		journal_dirty(h, b);
	}
	qbuf_put(b);
	return error;
}

static int
write_meta(struct toy *t, struct jhandle *h, unsigned i, bool new)
{
	struct toy_slot *s = &t->slot[i];
	struct qbuf *b;
	int error;

	error = new ? qbuf_get(t->c, TOY_POOL + i, &b) :
		      qbuf_read(t->c, TOY_POOL + i, &b);
	if (error != 0)
		return error;
	error = new ? journal_get_create(h, b) : journal_get_write(h, b);
	if (error == 0) {
		qbuf_lock(b);
		fill(b->bf_data, TOY_POOL + i, META, ++s->ts_gen);
		qbuf_unlock(b);
		journal_dirty(h, b);
		s->ts_kind = META;
	}
	qbuf_put(b);
	return error;
}

static void
data_written(struct qbio *bio)
{
	struct toy_slot *s = bio->b_arg;

	/* Before the commit that waits for it. */
	if (bio->b_error != 0)
		journal_abort(s->ts_toy->j, bio->b_error);
	qspin_lock(&s->ts_wq.w_lock);
	s->ts_flight = false;
	(void)qwaitq_wake_locked(&s->ts_wq);
	qspin_unlock(&s->ts_wq.w_lock);
}

/*
 * A write is done some time between its being submitted and its completion; that
 * of a disk of the world, at once.  So the submitting is what is late.
 */
static void
submit_data(struct qtimer *tm)
{
	struct toy_slot *s = tm->tm_arg;

	qbio_submit(s->ts_toy->d, &s->ts_bio);
}

static void
write_data(struct toy *t, struct jhandle *h, unsigned i, uint64_t *rng)
{
	struct toy_slot *s = &t->slot[i];

	slot_wait(s);
	s->ts_kind = DATA;
	fill(s->ts_data, TOY_POOL + i, DATA, ++s->ts_gen);
	s->ts_iov = (struct quern_iov){ s->ts_data, TOY_BSIZE };
	s->ts_bio = (struct qbio){ .b_cmd = QUERN_BLK_WRITE,
		.b_iov = &s->ts_iov,
		.b_niov = 1,
		.b_off = (TOY_POOL + i) * TOY_BSIZE,
		.b_len = TOY_BSIZE,
		.b_done = data_written,
		.b_arg = s };
	s->ts_flight = true;
	s->ts_toy = t;
	qtimer_init(&s->ts_timer, submit_data, s);
	qtimer_arm(&s->ts_timer, qclock_mono(t->k) + draw(rng, 60000));
	journal_order(h, &s->ts_order);
}

static int
turn(struct toy *t, struct jhandle *h, unsigned i, uint64_t *rng)
{
	struct toy_slot *s = &t->slot[i];
	struct qbuf *b = NULL;
	int error = 0;

	if (s->ts_kind == META && draw(rng, 2) == 0) {
		error = write_meta(t, h, i, false);
	} else if (s->ts_kind == META) {
		if (draw(rng, 2) == 0)
			error = qbuf_read(t->c, TOY_POOL + i, &b);
		if (error == 0)
			error = journal_forget(h, b, TOY_POOL + i);
		if (error != 0)
			return error;
		s->ts_kind = NONE;
		if (draw(rng, 3) == 0) {
			/* Used again at once: metadata may be. */
			error = write_meta(t, h, i, true);
		} else {
			s->ts_free = 0;
			journal_on_commit(h, &s->ts_commit);
		}
	} else if (s->ts_kind == DATA) {
		/* Nobody writes it before this has committed. */
		slot_wait(s);
		s->ts_kind = NONE;
		s->ts_free = 0;
		journal_on_commit(h, &s->ts_commit);
	} else if (__atomic_load_n(&s->ts_free, __ATOMIC_ACQUIRE) != 0) {
		if (draw(rng, 2) == 0)
			write_data(t, h, i, rng);
		else
			error = write_meta(t, h, i, true);
	}
	return error != 0 ? error : set_pointer(t, h, i);
}

/* Say that a block is going to be changed, and leave it as it is. */
static int
only_get(struct toy *t, struct jhandle *h, uint64_t blk)
{
	struct qbuf *b;
	int error = qbuf_read(t->c, blk, &b);

	if (error != 0)
		return error;
	error = journal_get_write(h, b);
	qbuf_put(b);
	return error;
}

/* What must be done or undone as a whole: up to 8 blocks. */
static int
change_all(struct toy *t, struct jhandle *h, unsigned me, uint64_t *rng)
{
	struct jhandle *again;
	int64_t sum = (int64_t)draw(rng, 100);
	uint64_t from = draw(rng, TOY_NACCT), to = draw(rng, TOY_NACCT);
	unsigned i;
	int error, e;

	t->issued[me]++;
	for (i = me; i < TOY_NSLOT; i += t->nthr)
		if (draw(rng, 2) == 0)
			break;
	error = add(t, h, TOY_ALL, 1);
	if (error == 0)
		error = add(t, h, TOY_THREAD + me, 1);
	if (error == 0)
		error = journal_begin(t->j, 2, &again);
	if (error == 0) {
		error = add(t, h, TOY_ACCT + from, -sum);
		if (error == 0)
			error = add(t, again, TOY_ACCT + to, sum);
		e = journal_end(again);
		error = error != 0 ? error : e;
	}
	if (error == 0 && i < TOY_NSLOT)
		error = turn(t, h, i, rng);
	if (error == 0 && draw(rng, 3) == 0)
		error = only_get(t, h, TOY_ACCT + draw(rng, TOY_NACCT));
	return error;
}

static int
operate(struct toy *t, unsigned me, uint64_t *rng)
{
	struct jhandle *h;
	uint32_t tid;
	int error, e;

	error = journal_begin(t->j, 8, &h);
	if (error != 0)
		return error;
	error = change_all(t, h, me, rng);
	/* More of the same, in this transaction or in another. */
	while (error == 0 && draw(rng, 5) == 0) {
		error = journal_extend(h, 8);
		if (error == -Q_EAGAIN)
			error = journal_restart(h, 8);
		if (error == 0)
			error = change_all(t, h, me, rng);
	}
	if (error != 0)
		journal_abort(t->j, error);
	tid = h->h_tid;
	e = journal_end(h);
	if (error != 0 || e != 0)
		return error != 0 ? error : e;
	/* Memory is short: what may be written is. */
	if (draw(rng, 8) == 0)
		(void)qbufcache_sync(t->c);
	if (draw(rng, 50) == 0) {
		error = journal_flush(t->j);
	} else if (draw(rng, 6) == 0) {
		error = journal_force(t->j, tid);
		if (error == 0)
			t->durable[me] = t->issued[me];
	} else if (draw(rng, 8) == 0) {
		error = journal_commit(t->j, false);
	}
	return error;
}

int
toy_work(struct toy *t, unsigned me)
{
	uint64_t rng = t->seed * 7919 + me;
	unsigned i;
	int error;

	for (i = 0; i < t->ops; i++) {
		error = operate(t, me, &rng);
		if (error != 0)
			return error;
	}
	return 0;
}

/* ---- looking -------------------------------------------------------------------------- */

static int64_t
number(struct qbufcache *c, uint64_t blk)
{
	struct qbuf *b;
	int64_t n;

	if (qbuf_read(c, blk, &b) != 0)
		return INT64_MIN;
	memcpy(&n, b->bf_data, sizeof(n));
	qbuf_put(b);
	return n;
}

static const char *
look_slot(struct qbufcache *c, unsigned i)
{
	uint8_t want[TOY_BSIZE];
	struct pointer pt;
	struct qbuf *b;
	bool same;

	if (qbuf_read(c, TOY_SLOT + i, &b) != 0)
		return "a slot can't be read";
	memcpy(&pt, b->bf_data, sizeof(pt));
	qbuf_put(b);
	if (pt.pt_kind > DATA)
		return "a slot is rubbish";
	if (pt.pt_kind == NONE)
		return NULL;
	if (qbuf_read(c, TOY_POOL + i, &b) != 0)
		return "a slot's block can't be read";
	fill(want, TOY_POOL + i, pt.pt_kind, pt.pt_gen);
	same = memcmp(want, b->bf_data, TOY_BSIZE) == 0;
	qbuf_put(b);
	if (same)
		return NULL;
	return pt.pt_kind == META ? "metadata are wrong" : "data are wrong";
}

static const char *
look(struct toy *t, struct qbufcache *c)
{
	const char *wrong;
	int64_t n, all = 0, sum = 0;
	unsigned i;

	for (i = 0; i < t->nthr; i++) {
		n = number(c, TOY_THREAD + i);
		all += n;
		if (n < (int64_t)t->durable[i])
			return "what was forced is not there";
		if (n > (int64_t)t->issued[i])
			return "more has been done than was asked for";
	}
	if (number(c, TOY_ALL) != all)
		return "a transaction is torn";
	for (i = 0; i < TOY_NACCT; i++)
		sum += number(c, TOY_ACCT + i);
	if (sum != 0)
		return "the accounts do not add up";
	for (i = 0; i < TOY_NSLOT; i++) {
		wrong = look_slot(c, i);
		if (wrong != NULL)
			return wrong;
	}
	return NULL;
}

const char *
toy_check(struct toy *t, struct qdisk *d)
{
	struct journal_config jc;
	struct qbufcache *c;
	struct journal *j;
	const char *wrong;

	if (qbufcache_create(d, TOY_BSIZE, 0, &c) != 0)
		return "no cache";
	jc = toy_config(t, c);
	jc.jc_abort = NULL;
	if (journal_open(&jc, &j) != 0) {
		qbufcache_destroy(c);
		return "the journal can't be opened";
	}
	if (journal_replay(j) != 0)
		wrong = "it can't be replayed";
	else if (journal_errno(j) == -Q_EUCLEAN)
		wrong = "the log is damaged";
	else
		wrong = look(t, c);
	(void)journal_destroy(j);
	qbufcache_destroy(c);
	return wrong;
}
