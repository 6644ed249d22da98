/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instances: their life, and programs that run them from an event loop.
 */
#include <dirent.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <kernel/impl.h>

#include "kmain.h"

KCASE_TESTS(kinstance_cases)

static unsigned
count_dir(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* Mappings of this process, by lines. */
static unsigned
count_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned n = 0;
	int c;

	ck_assert_ptr_nonnull(f);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

static int64_t
nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* After many lives the process has what it had: descriptors, maps, threads. */
START_TEST(nothing_left)
{
	struct quern_config c = { .host = quern_posix(),
		.ncpu = 2,
		.runners = 1 };
	unsigned i, fds = 0, maps = 0, tasks = 0;
	struct quern *k;

	for (i = 0; i < 40; i++) {
		ck_assert_int_eq(quern_create(&c, &k), 0);
		ck_assert_int_eq(kcall(k, nothing, NULL), 0);
		if (i % 2 == 0)
			ck_assert_int_ge(quern_pollfd(k), 0);
		ck_assert_int_eq(quern_destroy(k), 0);
		if (i != 9)
			continue;
		fds = count_dir("/proc/self/fd");
		maps = count_maps();
		tasks = count_dir("/proc/self/task");
	}
	ck_assert_uint_eq(count_dir("/proc/self/fd"), fds);
	/* A joined thread may be a moment in leaving. */
	for (i = 0; i < 1000 && count_dir("/proc/self/task") > tasks; i++)
		usleep(1000);
	ck_assert_uint_le(count_dir("/proc/self/task"), tasks);
#if !defined(QSAN_ADDRESS) && !defined(QSAN_THREAD)
	ck_assert_uint_le(count_maps(), maps + 2);
#endif
	(void)maps;
}
END_TEST

/* ---- an event loop ----------------------------------------------------------- */

struct loop {
	struct quern *k;
	struct qthread *t;
	uint32_t done; /* [a] */
	int fd;
	struct quern_event ev;
	struct qwaitq w;
	bool ready; /* [w.w_lock] */
	uint32_t chan;
	char got;
};

static void
sleeper(void *arg)
{
	struct loop *l = arg;
	unsigned i;

	for (i = 0; i < 3; i++)
		(void)qthread_sleep_until(qclock_mono(l->k) + 5000000, false);
	__atomic_store_n(&l->done, 1, __ATOMIC_RELEASE);
}

static void
finisher(void *arg)
{
	struct loop *l = arg;

	__atomic_store_n(&l->done, 1, __ATOMIC_RELEASE);
}

static void
on_ready(void *k, struct quern_event *ev)
{
	struct loop *l = QCONTAINER(ev, struct loop, ev);

	(void)k;
	qspin_lock(&l->w.w_lock);
	l->ready = true;
	qspin_unlock(&l->w.w_lock);
	(void)qwaitq_wake_all(&l->w);
}

static void
reader(void *arg)
{
	const struct quern_hyper *hy;
	struct loop *l = arg;
	struct qcpu *v = qcpu_current();
	char name[20];

	hy = l->k->k_hyper;
	snprintf(name, sizeof(name), "fd:%d", l->fd);
	l->ev.e_fn = on_ready;
	if (hy->chan_open(l->k->k_ctx, name, &l->chan) != 0)
		return;
	__atomic_fetch_add(&v->v_sched->r_inflight, 1, __ATOMIC_SEQ_CST);
	if (hy->chan_read(l->k->k_ctx, v->v_id, l->chan, &l->got, 1, &l->ev) !=
	    -Q_EAGAIN)
		return;
	qspin_lock(&l->w.w_lock);
	while (!l->ready) {
		(void)qwaitq_sleep(&l->w, &l->w.w_lock, 0, QUERN_NEVER);
		qspin_lock(&l->w.w_lock);
	}
	qspin_unlock(&l->w.w_lock);
	if (hy->chan_read(l->k->k_ctx, v->v_id, l->chan, &l->got, 1, NULL) == 1)
		__atomic_store_n(&l->done, 1, __ATOMIC_RELEASE);
	hy->chan_close(l->k->k_ctx, l->chan);
}

static void (*const loop_threads[])(void *) = { sleeper, finisher, reader };

static int64_t
loop_start(void *arg)
{
	struct loop *l = arg;

	return qthread_create(l->k, "loop", loop_threads[(unsigned)l->got], l,
	    QPRIO_NORMAL, QCPU_ANY, &l->t);
}

static int64_t
loop_join(void *arg)
{
	struct loop *l = arg;

	qthread_join(l->t);
	return 0;
}

/*
 * A program without runner threads that waits in poll(2) for the descriptor of
 * quern_pollfd: it wakes for timers, events and threads that are ready, runs
 * them by quern_poll, and does not wake for nothing.
 */
START_TEST(event_loop)
{
	struct quern_config c = { .host = quern_posix(), .ncpu = 1 + _i / 3 };
	struct loop l = { .got = (char)(_i % 3) };
	unsigned polls = 0, ran = 0;
	struct pollfd pfd;
	int fd[2];
	int r;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	l.fd = fd[0];
	qwaitq_init(&l.w);
	ck_assert_int_eq(quern_create(&c, &l.k), 0);
	pfd.fd = quern_pollfd(l.k);
	pfd.events = POLLIN;
	ck_assert_int_ge(pfd.fd, 0);
	ck_assert_int_eq(poll(&pfd, 1, 0), 0);
	ck_assert_int_eq(kcall(l.k, loop_start, &l), 0);
	if (_i % 3 == 2) {
		/* Let it get to its read before there is anything. */
		while (quern_poll(l.k, 0) == 1)
			continue;
		ck_assert_int_eq(poll(&pfd, 1, 0), 0);
		ck_assert_int_eq(write(fd[1], "!", 1), 1);
	}
	while (!__atomic_load_n(&l.done, __ATOMIC_ACQUIRE)) {
		ck_assert_int_eq(poll(&pfd, 1, 20000), 1);
		ck_assert_uint_lt(++polls, 60);
		r = quern_poll(l.k, 0);
		ck_assert_int_ge(r, 0);
		ran += (unsigned)r;
	}
	ck_assert_uint_gt(ran, 0);
	while (quern_poll(l.k, 0) == 1)
		continue;
	ck_assert_int_eq(poll(&pfd, 1, 0), 0);
	ck_assert_int_eq(kcall(l.k, loop_join, &l), 0);
	ck_assert_int_eq(quern_destroy(l.k), 0);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

/* With runner threads there is nothing to do, and the descriptor says so. */
START_TEST(poll_with_runners)
{
	struct quern_config c = { .host = quern_posix(),
		.ncpu = 2,
		.runners = 1 };
	struct loop l = { .got = 0 };
	struct pollfd pfd;
	unsigned polls = 0;

	qwaitq_init(&l.w);
	ck_assert_int_eq(quern_create(&c, &l.k), 0);
	pfd.fd = quern_pollfd(l.k);
	pfd.events = POLLIN;
	ck_assert_int_eq(kcall(l.k, loop_start, &l), 0);
	/* It may be readable now and then, but not for ever. */
	while (!__atomic_load_n(&l.done, __ATOMIC_ACQUIRE))
		if (poll(&pfd, 1, 1) == 1) {
			ck_assert_uint_lt(++polls, 200);
			ck_assert_int_ge(quern_poll(l.k, 0), 0);
		}
	ck_assert_int_eq(kcall(l.k, loop_join, &l), 0);
	for (polls = 0; poll(&pfd, 1, 0) == 1; polls++) {
		ck_assert_uint_lt(polls, 200);
		ck_assert_int_ge(quern_poll(l.k, 0), 0);
	}
	ck_assert_int_eq(quern_destroy(l.k), 0);
}
END_TEST

/* quern_poll waits no longer, and no shorter, than it is told. */
START_TEST(poll_timeout)
{
	struct quern_config c = { .host = quern_posix(), .ncpu = 1 + _i };
	uint64_t before, ns = 20000000;
	struct quern *k;

	ck_assert_int_eq(quern_create(&c, &k), 0);
	ck_assert_int_eq(quern_poll(k, 0), 0);
	before = qclock_mono(k);
	ck_assert_int_eq(quern_poll(k, ns), 0);
	ck_assert_uint_ge(qclock_mono(k), before + ns);
	ck_assert_int_eq(quern_destroy(k), 0);
}
END_TEST

/* A simulated host has no descriptors. */
static void
sim_task(void *arg)
{
	struct quern_config c = { .host = quern_sim_host(arg) };
	struct quern *k;

	ck_assert_int_eq(quern_create(&c, &k), 0);
	ck_assert_int_eq(quern_pollfd(k), -Q_EOPNOTSUPP);
	ck_assert_int_eq(quern_destroy(k), 0);
}

START_TEST(no_pollfd)
{
	struct quern_sim_config sc = { .seed = 1 };
	struct quern_sim *w;

	ck_assert_int_eq(quern_sim_create(&sc, &w), 0);
	ck_assert_int_eq(quern_sim_task(w, "main", sim_task, w), 0);
	ck_assert_int_eq(quern_sim_run(w), 0);
	quern_sim_destroy(w);
}
END_TEST

/* An operation in flight when the kernel dies, or goes, comes to nothing. */
static int64_t
arm_only(void *arg)
{
	struct loop *l = arg;
	struct qcpu *v = qcpu_current();
	const struct quern_hyper *hy = l->k->k_hyper;
	char name[20];

	snprintf(name, sizeof(name), "fd:%d", l->fd);
	l->ev.e_fn = on_ready;
	if (hy->chan_open(l->k->k_ctx, name, &l->chan) != 0)
		return -1;
	__atomic_fetch_add(&v->v_sched->r_inflight, 1, __ATOMIC_SEQ_CST);
	return hy->chan_read(l->k->k_ctx, v->v_id, l->chan, &l->got, 1, &l->ev);
}

START_TEST(in_flight)
{
	struct quern_config c = { .host = quern_posix(),
		.ncpu = 2,
		.runners = _i % 2 };
	struct loop *l = calloc(1, sizeof(*l));
	int fd[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	l->fd = fd[0];
	qwaitq_init(&l->w);
	ck_assert_int_eq(quern_create(&c, &l->k), 0);
	ck_assert_int_eq(kcall(l->k, arm_only, l), -Q_EAGAIN);
	if (_i >= 2)
		quern_kill(l->k, "with something in flight");
	ck_assert_int_eq(quern_destroy(l->k), 0);
	free(l);
	ck_assert_int_eq(write(fd[1], "!", 1), 1);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("instance");
	TCase *tc = tcase_create("host");

	KCASE_ADD(s, kinstance_cases);
	tcase_add_test(tc, nothing_left);
	tcase_add_loop_test(tc, event_loop, 0, 6);
	tcase_add_test(tc, poll_with_runners);
	tcase_add_loop_test(tc, poll_timeout, 0, 2);
	tcase_add_test(tc, no_pollfd);
	tcase_add_loop_test(tc, in_flight, 0, 4);
	suite_add_tcase(s, tc);
	return kmain(s);
}
