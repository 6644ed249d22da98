/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors and files; processes that share them.
 */
#include <quern/abi/resource.h>

#include "kcalls.h"

static int
event(struct ksys *s)
{
	return (int)quern_eventfd2(s->p, 0, Q_EFD_NONBLOCK);
}

static bool
is_open(struct ksys *s, int fd)
{
	return quern_fcntl(s->p, fd, Q_F_GETFD, 0) >= 0;
}

static void
lowest(struct kenv *e)
{
	struct ksys s;
	int i;

	if (!ksys_open(&s, e))
		return;
	for (i = 0; i < 200; i++)
		KCHECK_EQ(e, event(&s), i);
	KCHECK_EQ(e, quern_close(s.p, 70), 0);
	KCHECK_EQ(e, quern_close(s.p, 3), 0);
	KCHECK_EQ(e, quern_close(s.p, 199), 0);
	KCHECK_EQ(e, quern_dup(s.p, 0), 3);
	KCHECK_EQ(e, quern_dup(s.p, 0), 70);
	KCHECK_EQ(e, quern_dup(s.p, 0), 199);
	KCHECK_EQ(e, quern_dup(s.p, 0), 200);
	KCHECK_EQ(e, quern_dup(s.p, 201), -Q_EBADF);
	KCHECK_EQ(e, quern_dup(s.p, -1), -Q_EBADF);
	KCHECK_EQ(e, quern_fcntl(s.p, 0, Q_F_DUPFD, 500), 500);
	KCHECK_EQ(e, quern_fcntl(s.p, 0, Q_F_DUPFD, 500), 501);
	KCHECK_EQ(e, quern_fcntl(s.p, 0, Q_F_DUPFD, 20), 201);
	KCHECK_EQ(e, quern_fcntl(s.p, 0, Q_F_DUPFD, 1024), -Q_EINVAL);
	KCHECK_EQ(e, quern_fcntl(s.p, 0, Q_F_DUPFD, UINT64_MAX), -Q_EINVAL);
	KCHECK_EQ(e, quern_fcntl(s.p, 0, Q_F_DUPFD, 1023), 1023);
	KCHECK_EQ(e, quern_fcntl(s.p, 0, Q_F_DUPFD, 1023), -Q_EMFILE);
	ksys_close(&s);
}

static void
limit(struct kenv *e)
{
	struct q_rlimit lim = { 0, 0 }, old;
	struct ksys s;
	int fd[2], i;

	if (!ksys_open(&s, e))
		return;
	KCHECK_EQ(e, quern_getrlimit(s.p, Q_RLIMIT_NOFILE, &lim), 0);
	KCHECK(e, lim.rlim_cur == 1024 && lim.rlim_max == 4096);
	lim.rlim_cur = 5;
	KCHECK_EQ(e, quern_setrlimit(s.p, Q_RLIMIT_NOFILE, &lim), 0);
	for (i = 0; i < 4; i++)
		KCHECK_EQ(e, event(&s), i);
	/* One free: a pipe needs two, and leaves none behind. */
	fd[0] = fd[1] = -7;
	KCHECK_EQ(e, quern_pipe2(s.p, fd, 0), -Q_EMFILE);
	KCHECK(e, fd[0] == -7 && fd[1] == -7);
	KCHECK_EQ(e, event(&s), 4);
	KCHECK_EQ(e, event(&s), -Q_EMFILE);
	KCHECK_EQ(e, quern_epoll_create1(s.p, 0), -Q_EMFILE);
	KCHECK_EQ(e, quern_dup2(s.p, 0, 5), -Q_EBADF);
	KCHECK_EQ(e, quern_dup2(s.p, 0, 4), 4);
	lim.rlim_cur = 3000;
	KCHECK_EQ(e, quern_prlimit64(s.p, 0, Q_RLIMIT_NOFILE, &lim, &old), 0);
	KCHECK_EQ(e, old.rlim_cur, 5);
	KCHECK_EQ(e, quern_dup2(s.p, 0, 2999), 2999);
	lim.rlim_cur = 5000;
	KCHECK_EQ(e, quern_setrlimit(s.p, Q_RLIMIT_NOFILE, &lim), -Q_EINVAL);
	ksys_close(&s);
}

static void
duplicate(struct kenv *e)
{
	struct ksys s;
	uint64_t n = 5;
	int a, b;

	if (!ksys_open(&s, e))
		return;
	a = event(&s);
	b = (int)quern_dup(s.p, a);
	/* One file: its flags and contents are shared, FD_CLOEXEC is not. */
	KCHECK_EQ(e, quern_write(s.p, a, &n, 8), 8);
	n = 0;
	KCHECK_EQ(e, quern_read(s.p, b, &n, 8), 8);
	KCHECK_EQ(e, n, 5);
	KCHECK_EQ(e, quern_fcntl(s.p, a, Q_F_SETFL, 0), 0);
	KCHECK_EQ(e, quern_fcntl(s.p, b, Q_F_GETFL, 0), Q_O_RDWR);
	KCHECK_EQ(e, quern_fcntl(s.p, a, Q_F_SETFD, Q_FD_CLOEXEC), 0);
	KCHECK_EQ(e, quern_fcntl(s.p, a, Q_F_GETFD, 0), Q_FD_CLOEXEC);
	KCHECK_EQ(e, quern_fcntl(s.p, b, Q_F_GETFD, 0), 0);
	KCHECK_EQ(e, quern_ioctl(s.p, b, Q_FIOCLEX, 0), 0);
	KCHECK_EQ(e, quern_fcntl(s.p, b, Q_F_GETFD, 0), Q_FD_CLOEXEC);
	KCHECK_EQ(e, quern_ioctl(s.p, b, Q_FIONCLEX, 0), 0);
	KCHECK_EQ(e, quern_fcntl(s.p, b, Q_F_GETFD, 0), 0);
	n = 1;
	KCHECK_EQ(e, quern_ioctl(s.p, b, Q_FIONBIO, (uintptr_t)&n), 0);
	KCHECK_EQ(e, quern_fcntl(s.p, a, Q_F_GETFL, 0),
	    Q_O_RDWR | Q_O_NONBLOCK);
	/* dup2 closes what was there, and clears FD_CLOEXEC. */
	KCHECK_EQ(e, quern_dup2(s.p, b, a), a);
	KCHECK_EQ(e, quern_fcntl(s.p, a, Q_F_GETFD, 0), 0);
	KCHECK_EQ(e, quern_dup2(s.p, a, a), a);
	KCHECK_EQ(e, quern_dup2(s.p, 99, 99), -Q_EBADF);
	KCHECK_EQ(e, quern_dup2(s.p, a, -1), -Q_EBADF);
	KCHECK_EQ(e, quern_dup3(s.p, a, a, 0), -Q_EINVAL);
	KCHECK_EQ(e, quern_dup3(s.p, a, 7, 1), -Q_EINVAL);
	KCHECK_EQ(e, quern_dup3(s.p, a, 300, Q_O_CLOEXEC), 300);
	KCHECK_EQ(e, quern_fcntl(s.p, 300, Q_F_GETFD, 0), Q_FD_CLOEXEC);
	KCHECK_EQ(e, quern_fcntl(s.p, a, Q_F_DUPFD_CLOEXEC, 10), 10);
	KCHECK_EQ(e, quern_fcntl(s.p, 10, Q_F_GETFD, 0), Q_FD_CLOEXEC);
	KCHECK_EQ(e, quern_fcntl(s.p, a, 9999, 0), -Q_EINVAL);
	KCHECK_EQ(e, quern_fcntl(s.p, a, Q_F_GETPIPE_SZ, 0), -Q_EBADF);
	KCHECK_EQ(e, quern_ioctl(s.p, a, 0x1234, 0), -Q_ENOTTY);
	KCHECK_EQ(e, quern_fcntl(s.p, 400, Q_F_GETFL, 0), -Q_EBADF);
	ksys_close(&s);
}

static void
ranges(struct kenv *e)
{
	struct ksys s;
	int i;

	if (!ksys_open(&s, e))
		return;
	for (i = 0; i < 10; i++)
		KCHECK_EQ(e, event(&s), i);
	KCHECK_EQ(e, quern_close_range(s.p, 3, 2, 0), -Q_EINVAL);
	KCHECK_EQ(e, quern_close_range(s.p, 0, 1, 1), -Q_EINVAL);
	KCHECK_EQ(e,
	    quern_close_range(s.p, 7, UINT32_MAX, Q_CLOSE_RANGE_CLOEXEC), 0);
	KCHECK_EQ(e, quern_fcntl(s.p, 6, Q_F_GETFD, 0), 0);
	KCHECK_EQ(e, quern_fcntl(s.p, 7, Q_F_GETFD, 0), 1);
	KCHECK_EQ(e, quern_close_range(s.p, 2, 4, 0), 0);
	for (i = 0; i < 10; i++)
		KCHECK_EQ(e, is_open(&s, i), i < 2 || i > 4);
	KCHECK_EQ(e,
	    quern_close_range(s.p, 5, UINT32_MAX, Q_CLOSE_RANGE_UNSHARE), 0);
	KCHECK(e, is_open(&s, 1) && !is_open(&s, 5) && !is_open(&s, 9));
	KCHECK_EQ(e, event(&s), 2);
	ksys_close(&s);
}

/* A fork's table is a copy; what was reserved is not in it. */
static void
forks(struct kenv *e)
{
	struct quern_proc *q = NULL;
	struct ksys s, t;
	uint64_t n = 3;
	int i;

	if (!ksys_open(&s, e))
		return;
	for (i = 0; i < 100; i++)
		KCHECK_EQ(e, event(&s), i);
	KCHECK_EQ(e, quern_fcntl(s.p, 99, Q_F_SETFD, Q_FD_CLOEXEC), 0);
	KCHECK_EQ(e, quern_proc_fork(s.p, &q), 0);
	t = s;
	t.p = q;
	KCHECK_EQ(e, quern_fcntl(q, 99, Q_F_GETFD, 0), Q_FD_CLOEXEC);
	KCHECK_EQ(e, quern_fcntl(q, 98, Q_F_GETFD, 0), 0);
	KCHECK_EQ(e, quern_close_range(s.p, 0, 50, 0), 0);
	KCHECK(e, !is_open(&s, 50) && is_open(&t, 50));
	KCHECK_EQ(e, event(&t), 100);
	KCHECK(e, !is_open(&s, 100));
	KCHECK_EQ(e, quern_write(s.p, 60, &n, 8), 8);
	n = 0;
	KCHECK_EQ(e, quern_read(q, 60, &n, 8), 8);
	KCHECK_EQ(e, n, 3);
	KCHECK(e, quern_getpid(q) != quern_getpid(s.p));
	KCHECK_EQ(e, quern_getppid(q), quern_getpid(s.p));
	KCHECK_EQ(e, quern_proc_destroy(s.p), 0);
	KCHECK_EQ(e, quern_getppid(q), 0);
	KCHECK_EQ(e, quern_proc_destroy(q), 0);
	ksys_close(&s);
}

/* ---- look-ups against closes ------------------------------------------------------- */

#define RACE_FD  9
#define RACE_BIG 700 /* needs a larger table */

struct race {
	struct ksys s;
	unsigned rounds;
	uint32_t stop; /* [a] */
	uint64_t hits; /* [a] */
};

/* Two files in turn under one descriptor, one of which is marked. */
static void
race_change(void *arg)
{
	struct race *r = arg;
	struct kenv *e = r->s.e;
	unsigned i;
	int fd;

	for (i = 0; i < r->rounds; i++) {
		fd = (int)quern_eventfd2(r->s.p, 42, Q_EFD_NONBLOCK);
		KCHECK(e, fd >= 0);
		KCHECK_EQ(e, quern_dup2(r->s.p, fd, RACE_FD), RACE_FD);
		KCHECK_EQ(e, quern_close(r->s.p, fd), 0);
		if (i == r->rounds / 2)
			KCHECK_EQ(e, quern_dup2(r->s.p, RACE_FD, RACE_BIG),
			    RACE_BIG);
		if (i % 2 == 0)
			KCHECK_EQ(e, quern_close(r->s.p, RACE_FD), 0);
	}
	__atomic_store_n(&r->stop, 1, __ATOMIC_RELEASE);
}

/* Other files, whose memory is taken from the same list: never seen there. */
static void
race_others(void *arg)
{
	struct race *r = arg;
	struct quern_proc *q = NULL;
	struct kenv *e = r->s.e;
	int fd;

	KCHECK_EQ(e, quern_proc_create(r->s.k, &q), 0);
	while (q != NULL && !__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
		fd = (int)quern_eventfd2(q, 13, Q_EFD_NONBLOCK);
		if (!KCHECK(e, fd >= 0))
			break;
		(void)quern_getpid(q); /* let it be seen for a while */
		KCHECK_EQ(e, quern_close(q, fd), 0);
	}
}

static void
race_look(void *arg)
{
	struct race *r = arg;
	struct kenv *e = r->s.e;
	uint64_t n;
	int64_t ret;

	while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
		n = 42;
		ret = quern_read(r->s.p, RACE_FD, &n, 8);
		if (ret == 8)
			__atomic_fetch_add(&r->hits, 1, __ATOMIC_RELAXED);
		if (!KCHECK(e,
			ret == 8 || ret == -Q_EBADF || ret == -Q_EAGAIN) ||
		    !KCHECK_EQ(e, n, 42))
			break;
	}
}

static void
race(struct kenv *e)
{
	struct race r;

	memset(&r, 0, sizeof(r));
	r.rounds = KROUNDS(e, 8, 3000);
	if (!ksys_open(&r.s, e))
		return;
	kspawn(e, race_change, &r);
	kspawn(e, race_others, &r);
	kspawn(e, race_look, &r);
	kspawn(e, race_look, &r);
	kjoin(e);
	ksys_close(&r.s);
}

const struct kcase kfd_cases[] = {
	{ .name = "lowest", .body = lowest, .seeds = 2 },
	{ .name = "limit", .body = limit, .seeds = 2 },
	{ .name = "duplicate", .body = duplicate, .seeds = 2 },
	{ .name = "ranges", .body = ranges, .seeds = 2 },
	{ .name = "forks", .body = forks, .seeds = 2 },
	{ .name = "race", .body = race, .seeds = 3000 },
	{ .name = NULL },
};
