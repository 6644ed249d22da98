/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fair shares.  Threads only say that they have run, so that it takes no time and
 * is the same on every host.
 */
#include <string.h>

#include <quern/lock.h>
#include <quern/thread.h>

#include "ktest.h"

#define MS UINT64_C(1000000)

/* A round, of which what is really used should be nothing. */
#define ROUND (1000 * MS)

struct share {
	struct kenv *e;
	struct quern *k;
	uint64_t round;          /* ns */
	uint32_t rounds, left;   /* of all together: so many, still to go */
	uint32_t n[4];           /* rounds of each */
	uint8_t order[64], done; /* who ran, from when `noted` is set */
	bool noted;
	struct qwaitq wq;
	bool awake; /* [wq] */
	void (*body)(struct share *);
};

struct hog {
	struct share *s;
	uint8_t id;
	int8_t nice;
	struct qthread *t;
};

/* The current thread has been running for `ns`. */
static void
consume(uint64_t ns)
{
	struct qthread *t = qthread_current();

	t->t_account = true;
	t->t_since = qclock_mono(t->t_k) - ns;
	qthread_pause();
}

static void
note(struct share *s, uint8_t id)
{
	s->n[id]++;
	if (s->noted && s->done < sizeof(s->order))
		s->order[s->done++] = id;
}

static void
hog_main(void *arg)
{
	struct hog *h = arg;

	while (h->s->left > 0) {
		h->s->left--;
		note(h->s, h->id);
		consume(h->s->round);
	}
}

static void
hog_start(struct share *s, struct hog *h, uint8_t id, int8_t nice,
    void (*fn)(void *))
{
	*h = (struct hog){ .s = s, .id = id, .nice = nice };
	KCHECK_EQ(s->e,
	    qthread_create(s->k, "hog", fn, h, QPRIO_GUEST, 0, &h->t), 0);
	if (nice != 0)
		qthread_setnice(h->t, nice);
}

static void
parent_main(void *arg)
{
	struct share *s = arg;

	s->body(s);
}

/* On vCPU 0, whose shares they are. */
static int64_t
share_call(void *arg)
{
	struct share *s = arg;
	struct qthread *t;

	/* Nothing can have run for longer than there was. */
	if (qclock_mono(s->k) < 2 * ROUND)
		KCHECK_EQ(s->e, qthread_sleep_until(2 * ROUND, false), 0);
	KCHECK_EQ(s->e,
	    qthread_create(s->k, "parent", parent_main, s, QPRIO_NORMAL, 0, &t),
	    0);
	qthread_join(t);
	return 0;
}

static void
share_run(struct share *s, struct kenv *e, uint64_t round, uint32_t rounds,
    void (*body)(struct share *))
{
	memset(s, 0, sizeof(*s));
	s->round = round;
	s->e = e;
	s->rounds = s->left = rounds;
	s->body = body;
	qwaitq_init(&s->wq);
	s->k = kenv_kernel(e);
	if (s->k == NULL)
		return;
	KCHECK_EQ(e, kcall(s->k, share_call, s), 0);
	kenv_destroy(e, s->k);
}

static void
by_weight(struct share *s)
{
	struct hog h[3];
	unsigned i;

	hog_start(s, &h[0], 0, 0, hog_main);
	hog_start(s, &h[1], 1, 0, hog_main);
	hog_start(s, &h[2], 2, 5, hog_main);
	for (i = 0; i < 3; i++)
		qthread_join(h[i].t);
}

/* Alike get the same, one that is nicer by 5 a third of it. */
static void
weights(struct kenv *e)
{
	struct share s;

	share_run(&s, e, ROUND, 700, by_weight);
	KCHECK(e, s.n[0] >= 285 && s.n[0] <= 315);
	KCHECK(e, s.n[1] >= 285 && s.n[1] <= 315);
	KCHECK(e, s.n[2] >= 85 && s.n[2] <= 115);
}

#define CHILDREN 8u

static void
child_main(void *arg)
{
	struct hog *h = arg;

	if (h->s->left > 0)
		h->s->left--;
	note(h->s, h->id);
	consume(h->s->round);
}

/* Makes eight, which run once and end, and again. */
static void
maker_main(void *arg)
{
	struct hog *h = arg, child[CHILDREN];
	unsigned i;

	while (h->s->left > 0) {
		for (i = 0; i < CHILDREN; i++)
			hog_start(h->s, &child[i], 1, 0, child_main);
		for (i = 0; i < CHILDREN; i++)
			qthread_join(child[i].t);
	}
}

static void
beside_maker(struct share *s)
{
	struct hog one, maker;

	hog_start(s, &maker, 2, 0, maker_main);
	hog_start(s, &one, 0, 0, hog_main);
	qthread_join(one.t);
	qthread_join(maker.t);
}

/* Who makes threads without end leaves one that only runs its part. */
static void
makers(struct kenv *e)
{
	struct share s;

	share_run(&s, e, ROUND, 900, beside_maker);
	KCHECK(e, s.n[0] >= 900 / (CHILDREN + 2));
	KCHECK(e, s.n[1] > s.n[0]);
}

/* Sleeps until half of the rounds are over. */
static void
sleeper_main(void *arg)
{
	struct hog *h = arg;
	struct share *s = h->s;

	qthread_current()->t_account = true;
	qspin_lock(&s->wq.w_lock);
	while (!s->awake) {
		(void)qwaitq_sleep(&s->wq, &s->wq.w_lock, 0, QUERN_NEVER);
		qspin_lock(&s->wq.w_lock);
	}
	qspin_unlock(&s->wq.w_lock);
	s->noted = true;
	hog_main(arg);
}

static void
waking_main(void *arg)
{
	struct hog *h = arg;
	struct share *s = h->s;

	while (s->left > s->rounds / 2) {
		s->left--;
		note(s, h->id);
		consume(s->round);
	}
	qspin_lock(&s->wq.w_lock);
	s->awake = true;
	qspin_unlock(&s->wq.w_lock);
	(void)qwaitq_wake_all(&s->wq);
	hog_main(arg);
}

static void
beside_sleeper(struct share *s)
{
	struct hog sleeper, other;

	hog_start(s, &sleeper, 1, 0, sleeper_main);
	hog_start(s, &other, 0, 0, waking_main);
	qthread_join(sleeper.t);
	qthread_join(other.t);
}

/* One that has slept goes first, and soon takes turns like the others. */
static void
sleepers(struct kenv *e)
{
	struct share s;
	unsigned i, ahead = 0, ones = 0;

	share_run(&s, e, MS, 200, beside_sleeper);
	KCHECK_EQ(e, s.done, sizeof(s.order));
	for (i = 0; i < s.done && s.order[i] == 1; i++)
		ahead++;
	for (; i < s.done; i++)
		ones += s.order[i];
	KCHECK(e, ahead >= 2 && ahead <= QSLICE_NS / MS + 2);
	KCHECK(e, ones >= (s.done - ahead) / 2 - 2);
	KCHECK(e, ones <= (s.done - ahead) / 2 + 2);
}

static void
yielder_main(void *arg)
{
	struct hog *h = arg;

	while (h->s->left > 0) {
		h->s->left--;
		note(h->s, h->id);
		qthread_yield();
	}
}

static void
beside_yielder(struct share *s)
{
	struct hog h[2];

	hog_start(s, &h[0], 0, 0, yielder_main);
	hog_start(s, &h[1], 1, 0, hog_main);
	qthread_join(h[0].t);
	qthread_join(h[1].t);
}

/* One that yields lets another go, though it has run for nothing yet. */
static void
yielders(struct kenv *e)
{
	struct share s;

	share_run(&s, e, ROUND, 200, beside_yielder);
	KCHECK(e, s.n[0] >= 90 && s.n[0] <= 110);
}

static uint64_t ended;

static void
ending_main(void *arg)
{
	struct hog *h = arg;
	struct qthread *t = qthread_current();
	uint64_t until = qclock_mono(h->s->k) + MS / 10;
	unsigned i;

	t->t_account = true;
	t->t_since = qclock_mono(h->s->k);
	for (i = 0; i < 10000000 && ended < until; i++)
		ended = qclock_mono(h->s->k);
}

static void
next_main(void *arg)
{
	struct hog *h = arg;

	consume(h->s->round);
	KCHECK(h->s->e, ended != 0);
	KCHECK(h->s->e, qthread_current()->t_turn >= ended);
}

static void
beside_ending(struct share *s)
{
	struct hog next, end;

	ended = 0;
	hog_start(s, &next, 0, 0, next_main);
	hog_start(s, &end, 1, 0, ending_main);
	qthread_join(end.t);
	qthread_join(next.t);
}

/* Who follows one that ends is not charged what that has run. */
static void
endings(struct kenv *e)
{
	struct share s;

	share_run(&s, e, ROUND, 1, beside_ending);
}

const struct kcase kshare_cases[] = {
	{ "weights", weights, 100, false, NULL },
	{ "makers", makers, 100, false, NULL },
	{ "sleepers", sleepers, 100, true, NULL },
	{ "yielders", yielders, 100, false, NULL },
	{ "endings", endings, 20, false, NULL },
	{ 0 },
};
