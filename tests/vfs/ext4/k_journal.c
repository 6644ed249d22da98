/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The journal under a toy file system: many threads, every crash, errors.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jtoy.h"
#include "k_journal.h"

static int64_t
call_make(void *arg)
{
	struct toy *t = arg;
	int error = toy_make(t);

	return error != 0 ? error : toy_open(t);
}

static int64_t
call_close(void *arg)
{
	struct toy *t = arg;
	int error = toy_close(t);

	return error;
}

struct worker {
	struct toy *t;
	unsigned me;
	int64_t error;
};

static int64_t
call_work(void *arg)
{
	struct worker *w = arg;

	return toy_work(w->t, w->me);
}

static void
worker(void *arg)
{
	struct worker *w = arg;

	w->error = kcall(w->t->k, call_work, w);
}

static void
work_all(struct toy *t)
{
	struct worker w[TOY_NTHR];
	unsigned i;

	for (i = 0; i < t->nthr; i++) {
		w[i] = (struct worker){ t, i, 0 };
		kspawn(t->e, worker, &w[i]);
	}
	kjoin(t->e);
	for (i = 0; i < t->nthr; i++)
		if (!t->fails)
			KCHECK_EQ(t->e, w[i].error, 0);
}

/* ---- no crash --------------------------------------------------------------------- */

static int64_t
call_open_disk(void *arg)
{
	struct toy *t = arg;

	if (t->e->sim != NULL)
		return qdisk_open(t->k, "sim:d", 0, &t->d);
	return qdisk_ram(t->k, "ram", TOY_BLOCKS * TOY_BSIZE, &t->d);
}

static int64_t
call_check(void *arg)
{
	struct toy *t = arg;
	const char *wrong = toy_check(t, t->d);

	if (wrong != NULL && !t->e->failed) {
		t->e->failed = 1;
		snprintf(t->e->failure, sizeof(t->e->failure), "%s", wrong);
	}
	qdisk_put(t->d);
	return 0;
}

static struct toy *
new_toy(struct kenv *e, uint64_t seed)
{
	struct toy *t = calloc(1, sizeof(*t));

	t->e = e;
	t->seed = seed;
	t->jlen = 33 + seed % 17;
	t->nthr = 1 + (unsigned)(seed % TOY_NTHR);
	t->csum = seed % 2 == 0;
	t->wide = seed % 3 == 0;
	t->debug = seed % 7 == 0 ? JDEBUG_NOMEM : 0;
	t->seq = seed % 5 == 0 ? UINT32_MAX - 3 : 1;
	return t;
}

static void
make_disk(struct kenv *e, uint64_t seed, bool cache)
{
	struct quern_sim_disk_config dc = { .size = TOY_BLOCKS * TOY_BSIZE,
		.latency_ns = seed % 2 == 0 ? 2000 : 0,
		.cache = cache,
		.reorder = cache };
	struct quern_sim_disk *d;

	if (e->sim != NULL)
		KCHECK_EQ(e, quern_sim_disk(e->sim, "d", &dc, &d), 0);
}

/* Work, unmount, look. */
static void
run_through(struct kenv *e, bool journal)
{
	uint64_t seed = e->sim != NULL ? quern_sim_seed(e->sim) : e->ncpu;
	struct toy *t = new_toy(e, seed);

	e->quiet = true;
	if (!journal)
		t->jlen = 0;
	t->nthr = TOY_NTHR;
	t->ops = e->sim != NULL ? 40 : 500;
	make_disk(e, seed, false);
	t->k = kenv_kernel(e);
	if (t->k != NULL && KCHECK_EQ(e, kcall(t->k, call_open_disk, t), 0)) {
		if (KCHECK_EQ(e, kcall(t->k, call_make, t), 0)) {
			work_all(t);
			KCHECK_EQ(e, kcall(t->k, call_close, t), 0);
			KCHECK_EQ(e, t->aborts, 0);
			if (journal)
				KCHECK(e, t->st.js_checkpoints > 0);
		}
		kcall(t->k, call_check, t);
	}
	kenv_destroy(e, t->k);
	free(t);
}

static void
many_threads(struct kenv *e)
{
	run_through(e, true);
}

static void
without_journal(struct kenv *e)
{
	run_through(e, false);
}

/* ---- calls, one by one -------------------------------------------------------------- */

/* Change a block under a handle. */
static int
change(struct toy *t, struct jhandle *h, uint64_t blk, uint8_t with)
{
	struct qbuf *b;
	int error = qbuf_read(t->c, blk, &b);

	if (error != 0)
		return error;
	error = journal_get_write(h, b);
	if (error == 0) {
		qbuf_lock(b);
		memset(b->bf_data, with, TOY_BSIZE);
		qbuf_unlock(b);
		journal_dirty(h, b);
	}
	qbuf_put(b);
	return error;
}

static void
credits(struct toy *t)
{
	struct kenv *e = t->e;
	struct jhandle *h, *h2;
	uint32_t max = t->j->j_maxtrans, tid;

	KCHECK_EQ(e, journal_begin(t->j, max + 1, &h), -Q_ENOSPC);
	if (!KCHECK_EQ(e, journal_begin(t->j, max, &h), 0))
		return;
	tid = h->h_tid;
	KCHECK_EQ(e, journal_credits(h), max);
	KCHECK_EQ(e, change(t, h, 40, 1), 0);
	KCHECK_EQ(e, change(t, h, 40, 2), 0);
	KCHECK_EQ(e, journal_credits(h), max - 1);
	KCHECK_EQ(e, journal_extend(h, 1), -Q_EAGAIN);
	KCHECK_EQ(e, journal_begin(t->j, 3, &h2), 0);
	KCHECK(e, h2 == h);
	KCHECK_EQ(e, journal_restart(h, 2), -Q_EBUSY);
	KCHECK_EQ(e, journal_end(h2), 0);
	KCHECK_EQ(e, journal_restart(h, 2), 0);
	KCHECK_EQ(e, change(t, h, 41, 1), 0);
	KCHECK_EQ(e, change(t, h, 42, 1), 0);
	KCHECK_EQ(e, journal_credits(h), 0);
	KCHECK_EQ(e, journal_extend(h, 2), 0);
	KCHECK_EQ(e, change(t, h, 43, 1), 0);
	KCHECK_EQ(e, journal_end(h), 0);
	KCHECK(e, !journal_committed(t->j, tid));
	KCHECK_EQ(e, journal_force(t->j, tid), 0);
	KCHECK(e, journal_committed(t->j, tid));
}

/* A commit costs one flush and one write with FUA; what has committed, nothing. */
static void
flushes(struct toy *t)
{
	struct kenv *e = t->e;
	struct journal_stats was, st;
	struct jhandle *h;
	uint32_t tid;

	KCHECK_EQ(e, journal_commit(t->j, true), 0);
	journal_stats(t->j, &was);
	if (!KCHECK_EQ(e, journal_begin(t->j, 3, &h), 0))
		return;
	tid = h->h_tid;
	KCHECK_EQ(e, change(t, h, 44, 1), 0);
	KCHECK_EQ(e, change(t, h, 45, 1), 0);
	KCHECK_EQ(e, journal_end(h), 0);
	KCHECK_EQ(e, journal_force(t->j, tid), 0);
	journal_stats(t->j, &st);
	KCHECK_EQ(e, st.js_flushes - was.js_flushes, 2);
	KCHECK_EQ(e, st.js_commits - was.js_commits, 1);
	KCHECK_EQ(e, st.js_blocks - was.js_blocks, 2);
	KCHECK_EQ(e, journal_force(t->j, tid), 0);
	journal_stats(t->j, &was);
	KCHECK_EQ(e, was.js_flushes - st.js_flushes, 1);
	/* Nothing was changed: nothing is logged. */
	if (KCHECK_EQ(e, journal_begin(t->j, 3, &h), 0))
		KCHECK_EQ(e, journal_end(h), 0);
	KCHECK_EQ(e, journal_commit(t->j, true), 0);
	journal_stats(t->j, &st);
	KCHECK_EQ(e, st.js_commits, was.js_commits);
	/* Everything in place: the log is empty. */
	KCHECK_EQ(e, journal_flush(t->j), 0);
	KCHECK(e, !journal_unclean(t->j));
	journal_stats(t->j, &st);
	KCHECK_EQ(e, st.js_free, st.js_len - 1);
}

/* It commits by itself, and then nothing happens any more. */
static void
by_itself(struct toy *t)
{
	struct kenv *e = t->e;
	struct journal_stats was, st;
	struct jhandle *h;
	uint64_t now = qclock_mono(t->k), steps;

	if (e->sim == NULL)
		return;
	journal_stats(t->j, &was);
	if (!KCHECK_EQ(e, journal_begin(t->j, 3, &h), 0))
		return;
	KCHECK_EQ(e, change(t, h, 46, 1), 0);
	KCHECK_EQ(e, journal_end(h), 0);
	(void)qthread_sleep_until(now + 4900000000u, false);
	journal_stats(t->j, &st);
	KCHECK_EQ(e, st.js_commits, was.js_commits);
	(void)qthread_sleep_until(now + 5200000000u, false);
	journal_stats(t->j, &st);
	KCHECK_EQ(e, st.js_commits, was.js_commits + 1);
	steps = quern_sim_steps(e->sim);
	(void)qthread_sleep_until(now + 100000000000u, false);
	KCHECK(e, quern_sim_steps(e->sim) - steps < 100);
}

/* After an abort nothing changes any more, and all of that says so. */
static void
after_abort(struct toy *t)
{
	struct kenv *e = t->e;
	struct jhandle *h;
	struct qbuf *b;

	if (!KCHECK_EQ(e, journal_begin(t->j, 3, &h), 0))
		return;
	KCHECK_EQ(e, change(t, h, 47, 1), 0);
	journal_abort(t->j, -Q_EUCLEAN);
	KCHECK_EQ(e, journal_aborted(t->j), -Q_EUCLEAN);
	KCHECK_EQ(e, change(t, h, 48, 1), -Q_EROFS);
	KCHECK_EQ(e, journal_forget(h, NULL, 49), -Q_EROFS);
	KCHECK_EQ(e, journal_end(h), -Q_EROFS);
	KCHECK_EQ(e, journal_begin(t->j, 1, &h), -Q_EROFS);
	KCHECK_EQ(e, journal_commit(t->j, true), -Q_EIO);
	KCHECK_EQ(e, journal_flush(t->j), -Q_EIO);
	KCHECK_EQ(e, t->aborts, 1);
	if (KCHECK_EQ(e, qbuf_read(t->c, 47, &b), 0)) {
		KCHECK(e, qbuf_is(b, QBUF_HELD));
		qbuf_put(b);
	}
	KCHECK_EQ(e, toy_close(t), -Q_EUCLEAN);
}

/* ---- damage ----------------------------------------------------------------------------- */

/* Transactions that each fill block 40 and one of their own. */
static void
fill_log(struct toy *t, unsigned n)
{
	struct jhandle *h;
	unsigned i;

	for (i = 1; i <= n; i++) {
		if (!KCHECK_EQ(t->e, journal_begin(t->j, 4, &h), 0))
			return;
		KCHECK_EQ(t->e, change(t, h, 40, (uint8_t)i), 0);
		KCHECK_EQ(t->e, change(t, h, 40 + i, (uint8_t)i), 0);
		KCHECK_EQ(t->e, journal_end(h), 0);
		KCHECK_EQ(t->e, journal_commit(t->j, true), 0);
	}
}

/*
 * A log of four transactions, four blocks each; a bit of log block `at` flips,
 * and `left` of them are replayed.
 */
static void
damage(struct toy *t, uint32_t at, unsigned left)
{
	struct journal_config jc;
	uint8_t block[TOY_BSIZE];
	uint32_t n = 1;
	struct journal *j;
	struct qbuf *b;
	uint64_t blk;

	KCHECK_EQ(t->e, toy_make(t), 0);
	if (!KCHECK_EQ(t->e, toy_open(t), 0))
		return;
	fill_log(t, 4);
	/* The log stays. */
	journal_abort(t->j, -Q_EIO);
	KCHECK_EQ(t->e, toy_close(t), -Q_EIO);
	KCHECK_EQ(t->e, qbufcache_create(t->d, TOY_BSIZE, 0, &t->c), 0);
	jc = toy_config(t, t->c);
	if (at != 0) {
		(void)jc.jc_map(jc.jc_arg, at, &blk, &n);
		KCHECK_EQ(t->e,
		    qdisk_read(t->d, blk * TOY_BSIZE, block, TOY_BSIZE), 0);
		block[700] ^= 4;
		KCHECK_EQ(t->e,
		    qdisk_write(t->d, blk * TOY_BSIZE, block, TOY_BSIZE), 0);
	}
	if (KCHECK_EQ(t->e, journal_open(&jc, &j), 0)) {
		KCHECK_EQ(t->e, journal_errno(j), -Q_EIO);
		KCHECK_EQ(t->e, journal_replay(j), 0);
		KCHECK_EQ(t->e, j->j_stats.js_replayed, left);
		KCHECK_EQ(t->e, journal_destroy(j), 0);
	}
	if (KCHECK_EQ(t->e, qbuf_read(t->c, 40, &b), 0)) {
		KCHECK_EQ(t->e, b->bf_data[TOY_BSIZE - 1], left);
		qbuf_put(b);
	}
	qbufcache_destroy(t->c);
	t->aborts = 0;
}

static int64_t
call_calls(void *arg)
{
	struct toy *t = arg;

	KCHECK_EQ(t->e, toy_make(t), 0);
	if (KCHECK_EQ(t->e, toy_open(t), 0)) {
		credits(t);
		flushes(t);
		by_itself(t);
		after_abort(t);
		t->aborts = 0;
	}
	t->csum = true;
	damage(t, 0, 4);
	damage(t, 1, 0);  /* the first descriptor */
	damage(t, 7, 1);  /* a block of the second, */
	damage(t, 12, 2); /* the third's commit block */
	damage(t, 16, 3);
	t->csum = false;
	damage(t, 0, 4);
	damage(t, 16, 4); /* who doesn't look doesn't see */
	qdisk_put(t->d);
	return 0;
}

static void
calls(struct kenv *e)
{
	struct toy *t = new_toy(e, 2);

	e->quiet = true;
	make_disk(e, 0, false);
	t->k = kenv_kernel(e);
	if (t->k != NULL && KCHECK_EQ(e, kcall(t->k, call_open_disk, t), 0))
		kcall(t->k, call_calls, t);
	kenv_destroy(e, t->k);
	free(t);
}

/* ---- crashes ------------------------------------------------------------------------- */

struct look {
	struct toy *t;
	const char *name;
};

/* Check one state; it may be replayed with a crash in between. */
static int64_t
call_look(void *arg)
{
	struct look *l = arg;
	struct toy *t = l->t;
	struct qdisk *d;
	const char *wrong;
	int error = qdisk_open(t->k, l->name, 0, &d);

	if (error != 0)
		return error;
	wrong = toy_check(t, d);
	qdisk_put(d);
	/* A replay that is cut short fails; that is looked at again. */
	return wrong == NULL ? 0 : (int64_t)(uintptr_t)wrong;
}

static void
look_at(struct toy *t, struct quern_sim_disk *s, const char *name,
    const char *how, uint64_t which)
{
	struct look l = { t, name };
	struct quern_sim_disk *again;
	int64_t r = 0;

	if (which % 7 == 3) {
		/* The power fails during the replay, too. */
		quern_sim_disk_cut(s, 1 + which / 7 % 9);
		(void)kcall(t->k, call_look, &l);
		if (quern_sim_disk_is_cut(s)) {
			l.name = "sim:again";
			if (KCHECK_EQ(t->e,
				quern_sim_disk_crash(s, which, "again", &again),
				0)) {
				r = kcall(t->k, call_look, &l);
				quern_sim_disk_destroy(again);
			}
		} else {
			r = kcall(t->k, call_look, &l);
		}
	} else {
		r = kcall(t->k, call_look, &l);
	}
	if (r != 0 && !t->e->failed) {
		t->e->failed = 1;
		snprintf(t->e->failure, sizeof(t->e->failure), "%s %llu: %s",
		    how, (unsigned long long)which,
		    r > 0 ? (const char *)(uintptr_t)r : "error");
	}
	quern_sim_disk_destroy(s);
}

/* All states that may survive, or as many as is reasonable. */
static void
look_at_states(struct toy *t, struct quern_sim_disk *d, uint64_t max)
{
	uint64_t n = quern_sim_disk_states(d), i;
	struct quern_sim_disk *s;

	for (i = 0; i < (n <= max ? n : max) && !t->e->failed; i++) {
		if (n <= max) {
			if (KCHECK_EQ(t->e,
				quern_sim_disk_state(d, i, "crash", &s), 0))
				look_at(t, s, "sim:crash", "state", i);
		} else if (KCHECK_EQ(t->e,
			       quern_sim_disk_crash(d, i, "crash", &s), 0)) {
			look_at(t, s, "sim:crash", "crash", i);
		}
	}
}

/*
 * Work until the power fails at a write that the seed chooses, and look at what
 * may be on the disk then.  e->arg: struct kjournal_crash.
 */
void
kjournal_crash(struct kenv *e)
{
	const struct kjournal_crash *kc = e->arg;
	uint64_t seed = quern_sim_seed(e->sim);
	struct toy *t = new_toy(e, seed);
	struct quern_sim_disk_config dc = { .size = TOY_BLOCKS * TOY_BSIZE,
		.latency_ns = seed % 2 == 0 ? 2000 : 0,
		.cache = 1,
		.reorder = 1 };
	struct quern_sim_disk *d = NULL;
	bool was_cut;

	t->debug |= kc->debug;
	t->fails = true;
	t->ops = kc->ops;
	KCHECK_EQ(e, quern_sim_disk(e->sim, "d", &dc, &d), 0);
	t->k = kenv_kernel(e);
	if (t->k != NULL && KCHECK_EQ(e, kcall(t->k, call_open_disk, t), 0)) {
		if (KCHECK_EQ(e, kcall(t->k, call_make, t), 0)) {
			quern_sim_disk_cut(d,
			    kc->cut != 0 ?
				kc->cut :
				1 + quern_sim_random(e->sim, kc->writes));
			work_all(t);
			was_cut = quern_sim_disk_is_cut(d);
			if (was_cut)
				look_at_states(t, d, kc->states);
			(void)kcall(t->k, call_close, t);
			look_at_states(t, d, was_cut ? 2 : kc->states);
		}
		kcall(t->k, (int64_t(*)(void *))(void (*)(void))qdisk_put,
		    t->d);
	}
	kenv_destroy(e, t->k);
	free(t);
}

/* ---- errors --------------------------------------------------------------------------- */

void
kjournal_error(struct kenv *e)
{
	struct quern_sim_disk_config dc = { .size = TOY_BLOCKS * TOY_BSIZE,
		.latency_ns = 2000 };
	struct quern_config c = kenv_config(e);
	struct toy *t = new_toy(e, quern_sim_seed(e->sim));
	struct quern_sim_disk *d;
	uint64_t *failed = e->arg;

	t->fails = true;
	t->ops = 30;
	KCHECK_EQ(e, quern_sim_disk(e->sim, "d", &dc, &d), 0);
	if (quern_create(&c, &t->k) == 0) {
		if (kcall(t->k, call_open_disk, t) == 0) {
			if (kcall(t->k, call_make, t) == 0) {
				work_all(t);
				(void)kcall(t->k, call_close, t);
				KCHECK(e, t->aborts <= 1);
				if (quern_sim_failed(e->sim) != 0)
					look_at_states(t, d, 1);
			}
			kcall(t->k,
			    (int64_t(*)(void *))(void (*)(void))qdisk_put,
			    t->d);
		}
		kenv_destroy(e, t->k);
	}
	*failed = quern_sim_failed(e->sim);
	free(t);
}

const struct kcase kjournal_cases[] = {
	{ .name = "many_threads", .body = many_threads, .seeds = 100 },
	{ .name = "without_journal", .body = without_journal, .seeds = 30 },
	{ .name = "calls", .body = calls, .seeds = 10 },
	{ .name = NULL },
};
