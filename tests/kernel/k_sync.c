/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rwlock, seqlock, epochs and work queues.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kernel/impl.h>
#include <kernel/rwlock.h>
#include <kernel/slab.h>
#include <kernel/work.h>

#include "ktest.h"

#define THREADS 4u

struct sync {
	struct kenv *e;
	struct quern *k;
	unsigned rounds;
	bool broken; /* the planted bug of the case */
	struct qmutex m;
	struct qrwlock rw;
	struct qseqlock sq;
	uint64_t a, b;     /* equal, or somebody is writing */
	uint32_t readers;  /* [a] inside now */
	uint32_t together; /* [a] most readers seen at once */
	uint32_t next;     /* [a] numbers the threads */
	struct node *node; /* [a] for epochs */
	uint32_t freed;    /* [a] */
};

static int64_t
rw_body(void *arg)
{
	struct sync *s = arg;
	uint32_t id = __atomic_fetch_add(&s->next, 1, __ATOMIC_RELAXED), n;
	unsigned i;

	for (i = 0; i < s->rounds; i++) {
		if ((i + id) % 3 == 0) {
			qrw_wrlock(&s->rw);
			KCHECK(s->e, qrw_wrheld(&s->rw));
			KCHECK_EQ(s->e,
			    __atomic_load_n(&s->readers, __ATOMIC_RELAXED), 0);
			s->a++;
			qthread_yield();
			s->b++;
			qrw_wrunlock(&s->rw);
			continue;
		}
		qrw_rdlock(&s->rw);
		n = __atomic_add_fetch(&s->readers, 1, __ATOMIC_RELAXED);
		if (n > __atomic_load_n(&s->together, __ATOMIC_RELAXED))
			__atomic_store_n(&s->together, n, __ATOMIC_RELAXED);
		KCHECK(s->e, s->a == s->b);
		qthread_yield();
		KCHECK(s->e, s->a == s->b);
		__atomic_fetch_sub(&s->readers, 1, __ATOMIC_RELAXED);
		qrw_rdunlock(&s->rw);
	}
	return 0;
}

static int64_t
seq_body(void *arg)
{
	struct sync *s = arg;
	uint32_t id = __atomic_fetch_add(&s->next, 1, __ATOMIC_RELAXED), q;
	uint64_t a, b;
	unsigned i;

	for (i = 0; i < s->rounds; i++) {
		if (id == 0) {
			qseq_write_begin(&s->sq);
			__atomic_store_n(&s->a, i, __ATOMIC_RELAXED);
			kchoice();
			__atomic_store_n(&s->b, i, __ATOMIC_RELAXED);
			qseq_write_end(&s->sq);
			continue;
		}
		do {
			q = qseq_begin(&s->sq);
			a = __atomic_load_n(&s->a, __ATOMIC_RELAXED);
			kchoice();
			b = __atomic_load_n(&s->b, __ATOMIC_RELAXED);
		} while (!s->broken && qseq_retry(&s->sq, q));
		KCHECK_EQ(s->e, a, b);
	}
	return 0;
}

struct node {
	struct qepoch_entry n_entry;
	struct sync *n_sync;
	uint64_t n_alive; /* [a] what a reader must find */
};

static const struct qtag tag_node = { "node" };

static void
node_free(struct qepoch_entry *e)
{
	struct node *n = QCONTAINER(e, struct node, n_entry);
	struct sync *s = n->n_sync;

	__atomic_store_n(&n->n_alive, 0, __ATOMIC_RELAXED);
	__atomic_fetch_add(&s->freed, 1, __ATOMIC_RELAXED);
	qfree(n);
}

static int64_t
epoch_body(void *arg)
{
	struct sync *s = arg;
	uint32_t id = __atomic_fetch_add(&s->next, 1, __ATOMIC_RELAXED);
	struct node *n, *old;
	unsigned i;

	for (i = 0; i < s->rounds; i++) {
		if (id % 2 == 0) {
			n = qzalloc(&tag_node, sizeof(*n));
			if (!KCHECK(s->e, n != NULL))
				return 0;
			n->n_sync = s;
			__atomic_store_n(&n->n_alive, 1, __ATOMIC_RELAXED);
			old = __atomic_exchange_n(&s->node, n,
			    __ATOMIC_ACQ_REL);
			kchoice();
			/* As freed; the memory stays for ASan's sake. */
			if (old != NULL && s->broken)
				__atomic_store_n(&old->n_alive, 0,
				    __ATOMIC_RELAXED);
			if (old != NULL)
				qepoch_defer(&old->n_entry, node_free);
		} else {
			qepoch_enter();
			n = __atomic_load_n(&s->node, __ATOMIC_ACQUIRE);
			kchoice();
			if (n != NULL)
				KCHECK_EQ(s->e,
				    __atomic_load_n(&n->n_alive,
					__ATOMIC_RELAXED),
				    1);
			qepoch_exit();
		}
		if (i % 4 == 3)
			qthread_yield();
	}
	return 0;
}

/* ---- work ------------------------------------------------------------------ */

struct job {
	struct qwork w;
	uint32_t runs; /* [a] */
	uint64_t ran;  /* when */
	struct sync *s;
	struct qworkq *again; /* queue once more */
};

static void
job_fn(struct qwork *w)
{
	struct job *j = QCONTAINER(w, struct job, w);

	__atomic_fetch_add(&j->runs, 1, __ATOMIC_RELAXED);
	j->ran = qclock_mono(j->s->k);
	if (j->again != NULL) {
		struct qworkq *q = j->again;

		j->again = NULL;
		KCHECK(j->s->e, qwork_queue(q, w));
	}
	qthread_yield();
}

static int64_t
work_body(void *arg)
{
	struct sync *s = arg;
	struct qworkq *q;
	struct job j[8];
	uint64_t when;
	unsigned i;

	if (!KCHECK_EQ(s->e, qworkq_create(s->k, "w", QPRIO_NORMAL, &q), 0))
		return 0;
	memset(j, 0, sizeof(j));
	for (i = 0; i < 8; i++) {
		qwork_init(&j[i].w, job_fn);
		j[i].s = s;
	}
	j[3].again = q;
	for (i = 0; i < 6; i++)
		KCHECK(s->e, qwork_queue(q, &j[i].w));
	KCHECK(s->e, !qwork_queue(q, &j[5].w) || j[5].runs > 0);
	qworkq_drain(q);
	for (i = 0; i < 6; i++)
		KCHECK(s->e, j[i].runs >= 1);
	when = qclock_mono(s->k) + 2000000;
	KCHECK(s->e, qwork_delay(q, &j[6].w, when));
	KCHECK(s->e, !qwork_delay(q, &j[6].w, when));
	KCHECK(s->e, qwork_delay(q, &j[7].w, when + UINT64_C(3600000000000)));
	KCHECK(s->e, qwork_cancel(&j[7].w));
	KCHECK(s->e, !qwork_cancel(&j[7].w));
	(void)qthread_sleep_until(when + 1000000, false);
	qworkq_drain(q);
	KCHECK_EQ(s->e, __atomic_load_n(&j[6].runs, __ATOMIC_RELAXED), 1);
	KCHECK(s->e, j[6].ran >= when);
	KCHECK_EQ(s->e, j[7].runs, 0);
	(void)qwork_cancel(&j[3].w);
	KCHECK(s->e, j[3].runs == 2);
	qworkq_destroy(q);
	return 0;
}

/* ---- ranks ------------------------------------------------------------------ */

static int64_t
rank_body(void *arg)
{
	struct sync *s = arg;
	struct qmutex a, b, c;

	qmutex_init_rank(&a, "a", 3);
	qmutex_init_rank(&b, "b", 7);
	qmutex_init(&c, "c");
	qmutex_lock(&a);
	qmutex_lock(&c);
	qmutex_lock(&b);
	qmutex_unlock(&a);
	qmutex_unlock(&b);
	qmutex_lock(&b);
	qmutex_unlock(&c);
	KCHECK(s->e, qmutex_trylock(&a));
	qmutex_unlock(&a);
	qrw_init_rank(&s->rw, "rw", 9);
	qrw_rdlock(&s->rw);
	qrw_rdunlock(&s->rw);
	qmutex_lock(&a); /* nobody else wants either: still wrong */
	return 0;
}

static void
note_panic(void *arg, const char *message)
{
	char *buf = arg;

	strncpy(buf, message, 299);
}

/* Run fn, variant `which`: it must end in a panic that says `what`. */
static void
panics(struct kenv *e, int64_t (*fn)(void *), const char *what, unsigned which)
{
	struct quern_config c = kenv_config(e);
	struct sync *s = calloc(1, sizeof(*s));
	char message[300] = "";

	e->quiet = true;
	c = kenv_config(e);
	c.panic = note_panic;
	c.arg = message;
	s->e = e;
	if (KCHECK_EQ(e, quern_create(&c, &s->k), 0)) {
		s->rounds = which;
		qmutex_init(&s->m, "test");
		qrw_init(&s->rw, "test");
		KCHECK_EQ(e, kcall(s->k, fn, s), -Q_ENOTRECOVERABLE);
		if (!KCHECK(e, strstr(message, what) != NULL))
			fprintf(stderr, "panic: %s\n", message);
		while (quern_destroy(s->k) == -Q_EBUSY)
			kpause(e);
	}
	free(s);
}

static void
ranks(struct kenv *e)
{
	panics(e, rank_body, "lock a of rank 3 taken while rank 7 is held", 0);
}

/* What may sleep is refused under a spin lock, also when it would not have. */
static int64_t
sleep_body(void *arg)
{
	struct sync *s = arg;
	struct qspin spin;

	qspin_init(&spin);
	qspin_lock(&spin);
	switch (s->rounds) {
	case 0:
		qthread_yield();
		break;
	case 1:
		(void)qthread_sleep_until(0, false);
		break;
	case 2:
		qmutex_lock(&s->m);
		break;
	case 3:
		qrw_rdlock(&s->rw);
		break;
	case 4:
		qrw_wrlock(&s->rw);
		break;
	default:
		return 0; /* with the lock held */
	}
	return 0;
}

static int64_t
sleep_in_epoch(void *arg)
{
	(void)arg;
	qepoch_enter();
	(void)qthread_sleep_until(0, false);
	return 0;
}

static void
asleep(struct kenv *e)
{
	unsigned i;

	for (i = 0; i < 6; i++)
		panics(e, sleep_body, "t_spins", i);
	panics(e, sleep_in_epoch, "t_spins", 0);
}

/* ---- running them ------------------------------------------------------------ */

struct body {
	struct sync *s;
	int64_t (*fn)(void *);
};

static void
body_main(void *arg)
{
	struct body *b = arg;

	KCHECK_EQ(b->s->e, kcall(b->s->k, b->fn, b->s), 0);
}

static int64_t
last_node(void *arg)
{
	struct sync *s = arg;

	if (s->node != NULL)
		node_free(&s->node->n_entry);
	qepoch_wait(s->k);
	return 0;
}

static void
run(struct kenv *e, int64_t (*fn)(void *), unsigned threads, bool broken)
{
	struct sync *s = calloc(1, sizeof(*s));
	struct body b = { s, fn };
	unsigned i;

	s->e = e;
	s->k = kenv_kernel(e);
	s->rounds = e->sim != NULL ? 8 : 500;
	s->broken = broken;
	qrw_init(&s->rw, "test");
	qseq_init(&s->sq);
	if (s->k != NULL) {
		for (i = 1; i < threads; i++)
			kspawn(e, body_main, &b);
		body_main(&b);
		kjoin(e);
		KCHECK_EQ(e, s->rw.rw_word, 0);
		KCHECK_EQ(e, kcall(s->k, last_node, s), 0);
	}
	kenv_destroy(e, s->k);
	free(s);
}

static void
rwlock(struct kenv *e)
{
	run(e, rw_body, THREADS, false);
}

static void
seqlock(struct kenv *e)
{
	run(e, seq_body, THREADS, false);
}

static void
epoch(struct kenv *e)
{
	run(e, epoch_body, THREADS, false);
}

static void
workq(struct kenv *e)
{
	run(e, work_body, 1, false);
}

const struct kcase ksync_cases[] = {
	{ .name = "rwlock", .body = rwlock, .seeds = 600 },
	{ .name = "seqlock", .body = seqlock, .seeds = 600 },
	{ .name = "epoch", .body = epoch, .seeds = 1000 },
	{ .name = "workq", .body = workq, .seeds = 300 },
	{ .name = "ranks", .body = ranks, .seeds = 20 },
	{ .name = "asleep", .body = asleep, .seeds = 20 },
	{ .name = NULL },
};

/* ---- planted bugs -------------------------------------------------------------- */

static void
torn_read(struct kenv *e)
{
	run(e, seq_body, THREADS, true);
}

static void
no_epoch(struct kenv *e)
{
	run(e, epoch_body, THREADS, true);
}

const struct kcase ksync_bugs[] = {
	{ .name = "seqlock read without retry",
	    .body = torn_read,
	    .seeds = 500,
	    .arg = "is" },
	{ .name = "freed without an epoch",
	    .body = no_epoch,
	    .seeds = 500,
	    .arg = "alive" },
	{ .name = NULL },
};
