/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trace, the log and the counters: what people see of a kernel.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kernel/impl.h>
#include <kernel/slab.h>
#include <kernel/trace.h>

#include "json.h"
#include "ktest.h"

/* What quern_trace_write wrote, with a 0 behind. */
struct text {
	char *p;
	size_t len;
	size_t max; /* fail beyond; 0: no limit */
};

static int
text_add(void *arg, const void *p, size_t len)
{
	struct text *t = arg;
	char *new;

	if (t->max != 0 && t->len + len > t->max)
		return -Q_ENOSPC;
	new = realloc(t->p, t->len + len + 1);
	if (new == NULL)
		return -Q_ENOMEM;
	memcpy(new + t->len, p, len);
	t->p = new;
	t->len += len;
	t->p[t->len] = '\0';
	return 0;
}

struct state {
	struct kenv *e;
	struct quern *k;
	struct qmutex m;
	unsigned rounds;
	uint32_t over; /* [a] */
};

static void
locker(void *arg)
{
	struct state *s = arg;
	unsigned i;

	for (i = 0; i < s->rounds; i++) {
		qmutex_lock(&s->m);
		qthread_yield();
		qmutex_unlock(&s->m);
	}
}

/* Threads that wait for a lock, for time and for each other. */
static int64_t
busy_body(void *arg)
{
	struct state *s = arg;
	struct qthread *t[2];
	unsigned i;

	qmutex_lock(&s->m);
	for (i = 0; i < 2; i++)
		KCHECK_EQ(s->e,
		    qthread_create(s->k, "lock\"er\\", locker, s, QPRIO_NORMAL,
			QCPU_ANY, &t[i]),
		    0);
	/* At least one wait, on any schedule. */
	while ((__atomic_load_n(&s->m.m_owner, __ATOMIC_RELAXED) &
		   QMUTEX_WAITERS) == 0)
		(void)qthread_sleep_until(qclock_mono(s->k) + 5000, false);
	qmutex_unlock(&s->m);
	locker(s);
	(void)qthread_sleep_until(qclock_mono(s->k) + 1000000, false);
	for (i = 0; i < 2; i++)
		qthread_join(t[i]);
	return 0;
}

static void
busy(struct state *s)
{
	struct quern_proc *p;
	struct qdisk *d;
	char sector[512] = "";
	int fd[2];
	char c = 'x';

	qmutex_init(&s->m, "traced");
	KCHECK_EQ(s->e, kcall(s->k, busy_body, s), 0);
	if (KCHECK_EQ(s->e, quern_disk_ram(s->k, "ram", 65536, &d), 0)) {
		KCHECK_EQ(s->e, quern_disk_write(d, 512, sector, 512), 0);
		KCHECK_EQ(s->e, quern_disk_close(d), 0);
	}
	if (!KCHECK_EQ(s->e, quern_proc_create(s->k, &p), 0))
		return;
	KCHECK_EQ(s->e, quern_pipe2(p, fd, 0), 0);
	KCHECK_EQ(s->e, quern_write(p, fd[1], &c, 1), 1);
	KCHECK_EQ(s->e, quern_read(p, fd[0], &c, 1), 1);
	KCHECK_EQ(s->e, quern_read(p, 99, &c, 1), -Q_EBADF);
	KCHECK_EQ(s->e, quern_proc_destroy(p), 0);
}

/* Does the text hold `what` at least `n` times? */
static bool
holds(const struct text *t, const char *what, unsigned n)
{
	const char *p = t->p;

	while (p != NULL && n > 0 && (p = strstr(p, what)) != NULL)
		p += strlen(what), n--;
	return n == 0;
}

static void
well_formed(struct kenv *e, const struct text *t, uint64_t *events)
{
	struct json_trace jt;
	const char *why = json_check_trace(t->p, &jt);

	if (!KCHECK(e, why == NULL))
		fprintf(stderr, "trace: %s\n", why);
	*events = jt.events;
}

static void
write_trace(struct kenv *e, struct quern *k, struct text *t)
{
	memset(t, 0, sizeof(*t));
	KCHECK_EQ(e, quern_trace_write(&k, 1, text_add, t), 0);
	KCHECK(e, t->p != NULL);
}

static void
shows(struct kenv *e)
{
	struct state s = { .e = e, .rounds = 5 };
	struct text t, again;
	uint64_t n;

	s.k = kenv_kernel(e);
	if (s.k == NULL)
		return;
	write_trace(e, s.k, &t); /* never traced: nothing in it */
	well_formed(e, &t, &n);
	KCHECK_EQ(e, n, 0);
	free(t.p);
	KCHECK_EQ(e, quern_trace_start(s.k, 1u << 17), 0);
	busy(&s);
	quern_trace_stop(s.k);
	write_trace(e, s.k, &t);
	well_formed(e, &t, &n);
	KCHECK(e, holds(&t, "\"name\":\"pipe2\"", 2));
	KCHECK(e, holds(&t, "\"name\":\"write\"", 2));
	KCHECK(e, holds(&t, "\"ret\":-9", 1));
	KCHECK(e, holds(&t, "\"name\":\"lock\\\"er\\\\\"", 1));
	KCHECK(e, holds(&t, "\"name\":\"wake\"", 1));
	KCHECK(e, holds(&t, "\"name\":\"timer\"", 1));
	KCHECK(e, holds(&t, "\"name\":\"traced\"", 2));
	KCHECK(e, holds(&t, "\"name\":\"vCPU 0\"", 1));
	KCHECK(e, holds(&t, "\"cat\":\"block\"", 2));
	KCHECK(e, holds(&t, "\"off\":512,\"len\":512", 1));
	/* Stopped is stopped. */
	busy(&s);
	write_trace(e, s.k, &again);
	KCHECK(e, strcmp(t.p, again.p) == 0);
	free(again.p);
	/* And a start forgets. */
	KCHECK_EQ(e, quern_trace_start(s.k, 0), 0);
	quern_trace_stop(s.k);
	write_trace(e, s.k, &again);
	well_formed(e, &again, &n);
	KCHECK_EQ(e, n, 0);
	free(again.p);
	free(t.p);
	kenv_destroy(e, s.k);
}

/* The last records stay, and no more than there is room for. */
static void
wraps(struct kenv *e)
{
	struct quern_config c = kenv_config(e);
	struct state s = { .e = e, .rounds = 60 };
	struct text t;
	uint64_t n;

	c.trace_events = 1; /* 64 */
	if (!KCHECK_EQ(e, quern_create(&c, &s.k), 0))
		return;
	busy(&s);
	write_trace(e, s.k, &t);
	well_formed(e, &t, &n);
	KCHECK(e, n >= 32);
	/* A switch may begin one slice and end another. */
	KCHECK(e, n <= 64 * 2 * e->ncpu);
	KCHECK(e, holds(&t, "\"name\":\"read\"", 1));
	free(t.p);
	kenv_destroy(e, s.k);
}

/* The same world writes the same trace. */
static void
repeats(struct kenv *e)
{
	struct state s = { .e = e, .rounds = 5 };
	struct text t, *first = e->arg;

	s.k = kenv_kernel(e);
	if (s.k == NULL)
		return;
	KCHECK_EQ(e, quern_trace_start(s.k, 4096), 0);
	busy(&s);
	write_trace(e, s.k, &t);
	if (first->p == NULL) {
		*first = t;
	} else {
		KCHECK(e, strcmp(first->p, t.p) == 0);
		free(t.p);
	}
	kenv_destroy(e, s.k);
}

static void
writer_main(void *arg)
{
	struct state *s = arg;
	struct text t;

	while (!__atomic_load_n(&s->over, __ATOMIC_ACQUIRE)) {
		write_trace(s->e, s->k, &t);
		free(t.p);
		kpause(s->e);
	}
}

/* Written while it goes on, started and stopped meanwhile. */
static void
concurrent(struct kenv *e)
{
	struct state s = { .e = e, .rounds = e->sim != NULL ? 10 : 200 };
	struct text t;
	uint64_t n;
	unsigned i;

	s.k = kenv_kernel(e);
	if (s.k == NULL)
		return;
	KCHECK_EQ(e, quern_trace_start(s.k, 64), 0);
	kspawn(e, writer_main, &s);
	for (i = 0; i < 4; i++) {
		busy(&s);
		quern_trace_stop(s.k);
		busy(&s);
		KCHECK_EQ(e, quern_trace_start(s.k, 64), 0);
	}
	busy(&s);
	__atomic_store_n(&s.over, 1, __ATOMIC_RELEASE);
	kjoin(e);
	write_trace(e, s.k, &t);
	well_formed(e, &t, &n);
	KCHECK(e, n >= 32);
	free(t.p);
	kenv_destroy(e, s.k);
}

static void
trace_errors(struct kenv *e)
{
	struct state s = { .e = e, .rounds = 50 };
	struct quern *two[2];
	struct text t = { .max = 500 };
	uint64_t n;

	s.k = kenv_kernel(e);
	if (s.k == NULL)
		return;
	KCHECK_EQ(e, quern_trace_start(NULL, 0), -Q_EFAULT);
	KCHECK_EQ(e, quern_trace_start(s.k, (1u << 24) + 1), -Q_EINVAL);
	KCHECK_EQ(e, quern_trace_write(NULL, 1, text_add, &t), -Q_EFAULT);
	KCHECK_EQ(e, quern_trace_write(&s.k, 1, NULL, &t), -Q_EFAULT);
	quern_trace_stop(NULL);
	quern_trace_stop(s.k);
	KCHECK_EQ(e, quern_trace_start(s.k, 0), 0);
	KCHECK_EQ(e, quern_trace_start(s.k, 0), 0); /* it goes on */
	busy(&s);
	KCHECK_EQ(e, quern_trace_write(&s.k, 1, text_add, &t), -Q_ENOSPC);
	KCHECK(e, t.len <= 500);
	free(t.p);
	/* Two in one file; one of them dead. */
	two[0] = s.k;
	two[1] = kenv_kernel(e);
	e->quiet = true;
	quern_kill(s.k, "on purpose");
	memset(&t, 0, sizeof(t));
	KCHECK_EQ(e, quern_trace_write(two, 2, text_add, &t), 0);
	well_formed(e, &t, &n);
	KCHECK(e, n > 20);
	free(t.p);
	kenv_destroy(e, two[1]);
	while (quern_destroy(s.k) == -Q_EBUSY)
		kpause(e);
}

/* ---- the log ----------------------------------------------------------------- */

struct lines {
	char last[200];
	unsigned n;
};

static void
keep_line(void *arg, int level, const char *line)
{
	struct lines *l = arg;

	(void)level;
	snprintf(l->last, sizeof(l->last), "%s", line);
	l->n++;
}

static void
log_levels(struct kenv *e)
{
	struct quern_config c = kenv_config(e);
	struct qlog_rate rate = { 0 };
	struct lines l = { .n = 0 };
	struct state s = { .e = e };
	unsigned i;

	c.log = keep_line;
	c.arg = &l;
	c.name = "q";
	if (!KCHECK_EQ(e, quern_create(&c, &s.k), 0))
		return;
	l.n = 0;
	qlog(s.k, QUERN_LOG_DEBUG, "no");
	KCHECK_EQ(e, l.n, 0);
	qlog(s.k, QUERN_LOG_INFO, "x %d", 7);
	KCHECK_EQ(e, l.n, 1);
	KCHECK_EQ(e, strcmp(l.last, "q: x 7"), 0);
	quern_log_level(s.k, QUERN_LOG_DEBUG);
	qlog(s.k, QUERN_LOG_DEBUG, "yes");
	KCHECK_EQ(e, l.n, 2);
	quern_log_level(s.k, -1);
	qlog(s.k, QUERN_LOG_ERR, "no");
	KCHECK_EQ(e, l.n, 2);
	quern_log_level(s.k, 0);
	quern_log_level(NULL, 0);
	l.n = 0;
	/* Fast enough, even on a busy machine, to be within five seconds. */
	for (i = 0; i < 1000; i++)
		qlog_limited(s.k, &rate, QUERN_LOG_ERR, "again");
	KCHECK_EQ(e, l.n, 10);
	KCHECK_EQ(e, rate.lr_lost, 990);
	/* As if the five seconds had passed. */
	rate.lr_since = qclock_mono(s.k) - UINT64_C(5000000000);
	qlog_limited(s.k, &rate, QUERN_LOG_ERR, "at last");
	KCHECK_EQ(e, l.n, 12);
	KCHECK_EQ(e, strcmp(l.last, "q: at last"), 0);
	kenv_destroy(e, s.k);
}

/* ---- counters ----------------------------------------------------------------- */

struct seen {
	struct kenv *e;
	unsigned n;
	uint64_t last;
	bool traced, tag;
};

static void
see_lock(void *arg, const struct quern_lock_stat *st)
{
	struct seen *s = arg;

	KCHECK(s->e, s->n == 0 || st->ls_total_ns <= s->last);
	s->last = st->ls_total_ns;
	s->n++;
	if (strcmp(st->ls_name, "traced") != 0)
		return;
	s->traced = true;
	KCHECK(s->e, st->ls_waits >= 1);
	KCHECK(s->e, st->ls_sleeps <= st->ls_waits);
	KCHECK(s->e, st->ls_max_ns <= st->ls_total_ns);
	KCHECK(s->e, st->ls_total_ns <= st->ls_max_ns * st->ls_waits);
}

static const struct qtag tag_test = { "test" };

static void
see_tag(void *arg, const struct quern_alloc_stat *st)
{
	struct seen *s = arg;

	KCHECK(s->e, s->n == 0 || st->as_bytes <= s->last);
	s->last = st->as_bytes;
	s->n++;
	if (strcmp(st->as_name, "test") != 0)
		return;
	s->tag = true;
	KCHECK_EQ(s->e, st->as_objects, 3);
	KCHECK(s->e, st->as_bytes >= 3 * 100000);
	KCHECK(s->e, st->as_bytes <= 3 * 110000);
}

static int64_t
take_three(void *arg)
{
	void **p = arg;
	unsigned i;

	for (i = 0; i < 3; i++)
		p[i] = qalloc(&tag_test, 100000);
	return 0;
}

static int64_t
give_three(void *arg)
{
	void **p = arg;
	unsigned i;

	for (i = 0; i < 3; i++)
		qfree(p[i]);
	return 0;
}

static void
counters(struct kenv *e)
{
	struct state s = { .e = e, .rounds = 20 };
	struct seen seen = { .e = e };
	struct quern_stats st;
	void *three[3];

	s.k = kenv_kernel(e);
	if (s.k == NULL)
		return;
	busy(&s);
	KCHECK_EQ(e, quern_lock_stats(s.k, see_lock, &seen), 0);
	KCHECK(e, seen.traced);
	KCHECK_EQ(e, kcall(s.k, take_three, three), 0);
	seen.n = 0;
	KCHECK_EQ(e, quern_alloc_stats(s.k, see_tag, &seen), 0);
	KCHECK(e, seen.tag);
	KCHECK_EQ(e, quern_stats(s.k, &st), 0);
	KCHECK(e, st.st_inuse >= 300000);
	KCHECK_EQ(e, kcall(s.k, give_three, three), 0);
	seen.n = 0;
	seen.tag = false;
	KCHECK_EQ(e, quern_alloc_stats(s.k, see_tag, &seen), 0);
	KCHECK(e, !seen.tag);
	KCHECK_EQ(e, quern_lock_stats(NULL, see_lock, &seen), -Q_EFAULT);
	KCHECK_EQ(e, quern_lock_stats(s.k, NULL, &seen), -Q_EFAULT);
	KCHECK_EQ(e, quern_alloc_stats(NULL, see_tag, &seen), -Q_EFAULT);
	KCHECK_EQ(e, quern_alloc_stats(s.k, NULL, &seen), -Q_EFAULT);
	kenv_destroy(e, s.k);
}

static void
see_any(void *arg, const struct quern_alloc_stat *st)
{
	struct seen *s = arg;

	KCHECK(s->e, st->as_objects <= st->as_bytes);
}

static void
counter_main(void *arg)
{
	struct state *s = arg;
	struct seen seen = { .e = s->e };
	struct quern_stats st;

	while (!__atomic_load_n(&s->over, __ATOMIC_ACQUIRE)) {
		KCHECK_EQ(s->e, quern_stats(s->k, &st), 0);
		KCHECK_EQ(s->e, quern_alloc_stats(s->k, see_any, &seen), 0);
		kpause(s->e);
	}
}

static int64_t
churn(void *arg)
{
	struct state *s = arg;
	void *p[8];
	unsigned i, j;

	for (i = 0; i < s->rounds; i++) {
		for (j = 0; j < 8; j++)
			p[j] = qalloc(&tag_test, 100 + j * 1000);
		for (j = 0; j < 8; j++)
			qfree(p[j]);
		qthread_yield();
	}
	return 0;
}

/* Counted while others allocate. */
static void
counting(struct kenv *e)
{
	struct state s = { .e = e, .rounds = e->sim != NULL ? 5 : 300 };

	s.k = kenv_kernel(e);
	if (s.k == NULL)
		return;
	kspawn(e, counter_main, &s);
	KCHECK_EQ(e, kcall(s.k, churn, &s), 0);
	__atomic_store_n(&s.over, 1, __ATOMIC_RELEASE);
	kjoin(e);
	kenv_destroy(e, s.k);
}

/* Run twice with the same seed, by t_trace.c. */
const struct kcase ktrace_repeats = { .name = "repeats", .body = repeats };

const struct kcase ktrace_cases[] = {
	{ .name = "shows", .body = shows, .seeds = 40 },
	{ .name = "wraps", .body = wraps, .seeds = 40 },
	{ .name = "concurrent", .body = concurrent, .seeds = 60 },
	{ .name = "errors", .body = trace_errors, .seeds = 10 },
	{ .name = "log levels", .body = log_levels, .seeds = 2 },
	{ .name = "counters", .body = counters, .seeds = 40 },
	{ .name = "counting", .body = counting, .seeds = 200 },
	{ .name = NULL },
};
