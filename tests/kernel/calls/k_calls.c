/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls about time, processes and users; calls by number; the trace.
 */
#include <stdio.h>

#include <quern/abi/random.h>
#include <quern/abi/sysinfo.h>
#include <quern/abi/utsname.h>

#include <kernel/callimpl.h>

#include "kcalls.h"

/* ---- processes ------------------------------------------------------------------ */

static void
processes(struct kenv *e)
{
	struct quern_proc *q[3] = { NULL }, *c = NULL;
	struct ksys s;
	unsigned i;

	if (!ksys_open(&s, e))
		return;
	KCHECK_EQ(e, quern_getpid(s.p), 1);
	KCHECK_EQ(e, quern_gettid(s.p), 1);
	KCHECK_EQ(e, quern_getppid(s.p), 0);
	for (i = 0; i < 3; i++) {
		KCHECK_EQ(e, quern_proc_create(s.k, &q[i]), 0);
		KCHECK_EQ(e, quern_getpid(q[i]), 2 + i);
	}
	KCHECK_EQ(e, quern_proc_destroy(q[1]), 0);
	KCHECK_EQ(e, quern_proc_fork(q[2], &c), 0);
	KCHECK_EQ(e, quern_getpid(c), 5);
	KCHECK_EQ(e, quern_getppid(c), 4);
	/* Groups and sessions. */
	KCHECK_EQ(e, quern_getpgid(c, 0), 4);
	KCHECK_EQ(e, quern_getsid(c, 0), 4);
	KCHECK_EQ(e, quern_getpgid(c, 3), -Q_ESRCH);
	KCHECK_EQ(e, quern_getpgid(c, 1), 1);
	KCHECK_EQ(e, quern_setsid(q[2]), -Q_EPERM);
	KCHECK_EQ(e, quern_setpgid(q[2], 0, 0), -Q_EPERM);
	KCHECK_EQ(e, quern_setpgid(q[2], 5, 1), -Q_EPERM);
	KCHECK_EQ(e, quern_setpgid(q[2], 1, 0), -Q_ESRCH);
	KCHECK_EQ(e, quern_setpgid(c, 4, 0), -Q_ESRCH);
	KCHECK_EQ(e, quern_setpgid(q[2], 5, -1), -Q_EINVAL);
	KCHECK_EQ(e, quern_setpgid(q[2], 5, 0), 0);
	KCHECK_EQ(e, quern_getpgrp(c), 5);
	KCHECK_EQ(e, quern_setsid(c), -Q_EPERM); /* leads a group now */
	KCHECK_EQ(e, quern_setpgid(c, 0, 4), 0);
	KCHECK_EQ(e, quern_setsid(c), 5);
	KCHECK_EQ(e, quern_getsid(q[2], 5), 5);
	KCHECK(e, quern_proc_kernel(c) == s.k);
	KCHECK(e, quern_proc_kernel(NULL) == NULL);
	KCHECK_EQ(e, quern_proc_destroy(NULL), -Q_EFAULT);
	KCHECK_EQ(e, quern_proc_create(NULL, &c), -Q_EFAULT);
	KCHECK_EQ(e, quern_proc_create(s.k, NULL), -Q_EFAULT);
	KCHECK_EQ(e, quern_proc_fork(NULL, &c), -Q_EFAULT);
	KCHECK_EQ(e, quern_getpid(NULL), -Q_EFAULT);
	ksys_close(&s);
}

/* Numbers come again when all have been given, but not in use. */
static void
pid_wrap(struct kenv *e)
{
	struct quern_proc *q;
	struct ksys s;
	unsigned i;

	if (e->ncpu > 1 || !ksys_open(&s, e)) /* one shape will do */
		return;
	for (i = 0; i < PID_MAX - 2; i++) {
		if (!KCHECK_EQ(e, quern_proc_create(s.k, &q), 0))
			break;
		KCHECK_EQ(e, quern_proc_destroy(q), 0);
	}
	KCHECK_EQ(e, quern_proc_create(s.k, &q), 0);
	KCHECK_EQ(e, quern_getpid(q), PID_MAX);
	KCHECK_EQ(e, quern_proc_create(s.k, &q), 0);
	KCHECK_EQ(e, quern_getpid(q), 2);
	ksys_close(&s);
}

static void
users(struct kenv *e)
{
	uint32_t r = 9, f = 9, v = 9, list[4] = { 0 }, in[3] = { 30, 10, 20 };
	struct quern_proc *q = NULL;
	struct ksys s;

	if (!ksys_open(&s, e))
		return;
	KCHECK_EQ(e, quern_getuid(s.p), 0);
	KCHECK_EQ(e, quern_getgroups(s.p, 0, NULL), 0);
	KCHECK_EQ(e, quern_setgroups(s.p, 3, in), 0);
	KCHECK_EQ(e, quern_getgroups(s.p, 0, NULL), 3);
	KCHECK_EQ(e, quern_getgroups(s.p, 2, list), -Q_EINVAL);
	KCHECK_EQ(e, quern_getgroups(s.p, 4, list), 3);
	KCHECK(e, list[0] == 10 && list[1] == 20 && list[2] == 30);
	KCHECK_EQ(e, quern_setgroups(s.p, 65537, in), -Q_EINVAL);
	KCHECK_EQ(e, quern_setgroups(s.p, -1, in), -Q_EINVAL);
	KCHECK_EQ(e, quern_setresgid(s.p, 5, 6, 7), 0);
	KCHECK_EQ(e, quern_getresgid(s.p, &r, &f, &v), 0);
	KCHECK(e, r == 5 && f == 6 && v == 7);
	KCHECK_EQ(e, quern_setfsgid(s.p, 0), 6);
	KCHECK_EQ(e, quern_setfsgid(s.p, -1), 0);
	KCHECK_EQ(e, quern_setuid(s.p, -1), -Q_EINVAL);
	KCHECK_EQ(e, quern_proc_fork(s.p, &q), 0);
	/* Root for a while, a user for a while. */
	KCHECK_EQ(e, quern_setresuid(q, -1, 100, -1), 0);
	KCHECK_EQ(e, quern_geteuid(q), 100);
	KCHECK_EQ(e, quern_setgroups(q, 0, NULL), -Q_EPERM);
	KCHECK_EQ(e, quern_setuid(q, 200), -Q_EPERM);
	KCHECK_EQ(e, quern_setresuid(q, -1, 0, -1), 0);
	KCHECK_EQ(e, quern_setgroups(q, 0, NULL), 0);
	KCHECK_EQ(e, quern_getgroups(q, 0, NULL), 0);
	KCHECK_EQ(e, quern_getgroups(s.p, 0, NULL), 3);
	/* For good. */
	KCHECK_EQ(e, quern_setuid(q, 100), 0);
	KCHECK_EQ(e, quern_getresuid(q, &r, &f, &v), 0);
	KCHECK(e, r == 100 && f == 100 && v == 100);
	KCHECK_EQ(e, quern_setuid(q, 0), -Q_EPERM);
	KCHECK_EQ(e, quern_setreuid(q, 0, -1), -Q_EPERM);
	KCHECK_EQ(e, quern_setresuid(q, 100, 100, 101), -Q_EPERM);
	KCHECK_EQ(e, quern_setgid(q, 1), -Q_EPERM);
	KCHECK_EQ(e, quern_setgid(q, 5), 0);
	KCHECK_EQ(e, quern_getgid(q), 5);
	KCHECK_EQ(e, quern_getegid(q), 5);
	KCHECK_EQ(e, quern_setfsuid(q, 0), 100);
	KCHECK_EQ(e, quern_setfsuid(q, 0), 100);
	KCHECK_EQ(e, quern_umask(q, 077), 022);
	KCHECK_EQ(e, quern_umask(q, 01777), 077);
	KCHECK_EQ(e, quern_umask(q, 0), 0777);
	ksys_close(&s);
}

/* One table of descriptors for two users. */
static void
given_users(struct kenv *e)
{
	uint32_t list[4] = { 0 }, in[3] = { 30, 10, 20 }, none[1] = { -1 };
	struct quern_cred user = { 100, 200, in, 3 }, bad = user;
	struct quern_proc *q = NULL, *f = NULL;
	struct ksys s;
	int64_t fd;

	if (!ksys_open(&s, e))
		return;
	KCHECK_EQ(e, quern_proc_share(s.p, &q), 0);
	KCHECK_EQ(e, quern_proc_cred(q, &user), 0);
	KCHECK_EQ(e, quern_getuid(q), 100);
	KCHECK_EQ(e, quern_getegid(q), 200);
	KCHECK_EQ(e, quern_getgroups(q, 4, list), 3);
	KCHECK(e, list[0] == 10 && list[1] == 20 && list[2] == 30);
	KCHECK_EQ(e, q->p_cred.c_cap_eff, 0);
	KCHECK_EQ(e, quern_setuid(q, 0), -Q_EPERM);
	KCHECK_EQ(e, quern_getuid(s.p), 0);
	/* What one opens the other has, and closes. */
	fd = quern_eventfd2(q, 7, 0);
	KCHECK(e, fd >= 0);
	KCHECK_EQ(e, quern_dup2(s.p, fd, 50), 50);
	KCHECK_EQ(e, quern_close(q, 50), 0);
	KCHECK_EQ(e, quern_close(s.p, 50), -Q_EBADF);
	/* A fork of it has a table of its own. */
	KCHECK_EQ(e, quern_proc_fork(q, &f), 0);
	KCHECK_EQ(e, quern_close(f, fd), 0);
	KCHECK_EQ(e, quern_proc_destroy(q), 0);
	KCHECK_EQ(e, quern_close(s.p, fd), 0);
	/* Back to the superuser, and every way of saying it wrongly. */
	KCHECK_EQ(e, quern_proc_cred(f, &(struct quern_cred){ 0 }), 0);
	KCHECK_EQ(e, f->p_cred.c_cap_eff, QCAP_ALL);
	KCHECK_EQ(e, quern_getgroups(f, 0, NULL), 0);
	bad.uid = -1;
	KCHECK_EQ(e, quern_proc_cred(f, &bad), -Q_EINVAL);
	bad = (struct quern_cred){ 1, -1, NULL, 0 };
	KCHECK_EQ(e, quern_proc_cred(f, &bad), -Q_EINVAL);
	bad = (struct quern_cred){ 1, 1, in, 65537 };
	KCHECK_EQ(e, quern_proc_cred(f, &bad), -Q_EINVAL);
	bad = (struct quern_cred){ 1, 1, none, 1 };
	KCHECK_EQ(e, quern_proc_cred(f, &bad), -Q_EINVAL);
	bad = (struct quern_cred){ 1, 1, NULL, 1 };
	KCHECK_EQ(e, quern_proc_cred(f, &bad), -Q_EFAULT);
	KCHECK_EQ(e, quern_proc_cred(f, NULL), -Q_EFAULT);
	KCHECK_EQ(e, quern_proc_cred(NULL, &user), -Q_EFAULT);
	KCHECK_EQ(e, quern_proc_share(NULL, &q), -Q_EFAULT);
	KCHECK_EQ(e, quern_getuid(f), 0);
	ksys_close(&s);
}

/* ---- time ------------------------------------------------------------------------ */

static uint64_t
ns(struct q_timespec t)
{
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void
clocks(struct kenv *e)
{
	static const int good[] = { 0, 1, 2, 3, 4, 5, 6, 7, 11 };
	struct q_timespec t = { 0, 0 }, t0, req = { 0, 3000000 };
	struct q_timeval tv = { 0, 0 };
	struct q_timezone tz = { 9, 9 };
	struct ksys s;
	int64_t sec = 0;
	unsigned i;

	if (!ksys_open(&s, e))
		return;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		t.tv_nsec = -1;
		KCHECK_EQ(e, quern_clock_gettime(s.p, good[i], &t), 0);
		KCHECK(e, t.tv_nsec >= 0 && t.tv_nsec < 1000000000);
		KCHECK_EQ(e, quern_clock_getres(s.p, good[i], &t), 0);
		KCHECK_EQ(e, quern_clock_getres(s.p, good[i], NULL), 0);
		KCHECK_EQ(e, quern_clock_gettime(s.p, good[i], NULL),
		    -Q_EFAULT);
	}
	KCHECK_EQ(e, quern_clock_gettime(s.p, 10, &t), -Q_EINVAL);
	KCHECK_EQ(e, quern_clock_gettime(s.p, -1, &t), -Q_EINVAL);
	KCHECK_EQ(e, quern_clock_gettime(s.p, 0, &t), 0);
	KCHECK_EQ(e, quern_gettimeofday(s.p, &tv, &tz), 0);
	KCHECK(e, tv.tv_sec - t.tv_sec <= 5 && tz.tz_minuteswest == 0);
	KCHECK_EQ(e, quern_gettimeofday(s.p, NULL, NULL), 0);
	KCHECK(e, quern_time(s.p, &sec) >= tv.tv_sec && sec >= tv.tv_sec);
	KCHECK(e, quern_time(s.p, NULL) >= sec);
	t = (struct q_timespec){ 1, 0 };
	KCHECK_EQ(e, quern_clock_settime(s.p, 0, &t), -Q_EPERM);
	KCHECK_EQ(e, quern_clock_settime(s.p, 1, &t), -Q_EINVAL);

	KCHECK_EQ(e, quern_clock_gettime(s.p, 1, &t0), 0);
	KCHECK_EQ(e, quern_nanosleep(s.p, &req, NULL), 0);
	KCHECK_EQ(e, quern_clock_nanosleep(s.p, 0, 0, &req, NULL), 0);
	KCHECK_EQ(e, quern_clock_gettime(s.p, 1, &t), 0);
	KCHECK(e, ns(t) - ns(t0) >= 6 * MSEC);
	t.tv_nsec += 2000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	KCHECK_EQ(e, quern_clock_nanosleep(s.p, 1, Q_TIMER_ABSTIME, &t, NULL),
	    0);
	KCHECK_EQ(e, quern_clock_gettime(s.p, 1, &t0), 0);
	KCHECK(e, ns(t0) >= ns(t));
	KCHECK_EQ(e, quern_clock_gettime(s.p, 0, &t), 0);
	t.tv_sec -= 10;
	KCHECK_EQ(e, quern_clock_nanosleep(s.p, 0, Q_TIMER_ABSTIME, &t, NULL),
	    0);
	KCHECK_EQ(e, quern_clock_nanosleep(s.p, 4, 0, &req, NULL),
	    -Q_EOPNOTSUPP);
	KCHECK_EQ(e, quern_clock_nanosleep(s.p, 99, 0, &req, NULL), -Q_EINVAL);
	req.tv_nsec = 1000000000;
	KCHECK_EQ(e, quern_nanosleep(s.p, &req, NULL), -Q_EINVAL);
	ksys_close(&s);
}

struct napper {
	struct ksys s;
	struct q_timespec rem;
	int64_t ret;
	uint32_t started, done; /* [a] */
};

static void
nap(void *arg)
{
	struct napper *n = arg;
	struct q_timespec req = { 1000, 0 };

	__atomic_store_n(&n->started, 1, __ATOMIC_RELEASE);
	n->ret = quern_nanosleep(n->s.p, &req, &n->rem);
	__atomic_store_n(&n->done, 1, __ATOMIC_RELEASE);
}

static void
nap_interrupted(struct kenv *e)
{
	struct napper n;

	memset(&n, 0, sizeof(n));
	if (!ksys_open(&n.s, e))
		return;
	kspawn(e, nap, &n);
	kawait(e, &n.started, 1);
	kpause(e);
	quern_interrupt(n.s.p);
	kjoin(e);
	KCHECK_EQ(e, n.ret, -Q_EINTR);
	KCHECK(e, n.rem.tv_sec >= 900 && n.rem.tv_sec < 1000);
	ksys_close(&n.s);
}

/* Every one of several calls that wait. */
static void
all_interrupted(struct kenv *e)
{
	struct napper n[3];
	struct ksys s;
	unsigned i;

	memset(n, 0, sizeof(n));
	if (!ksys_open(&s, e))
		return;
	for (i = 0; i < 3; i++) {
		n[i].s = s;
		kspawn(e, nap, &n[i]);
		kawait(e, &n[i].started, 1);
	}
	/* Until all have noticed: some may not have slept at first. */
	for (i = 0; i < 3; i += __atomic_load_n(&n[i].done, __ATOMIC_ACQUIRE)) {
		quern_interrupt(s.p);
		kpause(e);
	}
	kjoin(e);
	for (i = 0; i < 3; i++)
		KCHECK_EQ(e, n[i].ret, -Q_EINTR);
	ksys_close(&s);
}

/* ---- the rest ---------------------------------------------------------------------- */

static void
miscellany(struct kenv *e)
{
	struct quern_config c = kenv_config(e);
	struct quern_proc *p = NULL;
	struct quern *k = NULL;
	struct q_sysinfo si;
	struct q_utsname u;
	static char a[1000], b[1000];

	c.name = "miller";
	KCHECK_EQ(e, quern_create(&c, &k), 0);
	if (k == NULL || !KCHECK_EQ(e, quern_proc_create(k, &p), 0))
		return;
	memset(&u, 'x', sizeof(u));
	KCHECK_EQ(e, quern_uname(p, &u), 0);
	KCHECK(e, strcmp(u.sysname, "Linux") == 0);
	KCHECK(e, strcmp(u.nodename, "miller") == 0);
	KCHECK(e, strcmp(u.machine, "x86_64") == 0);
	KCHECK(e, u.release[0] >= '4' && u.release[0] <= '9');
	memset(&si, 0xff, sizeof(si));
	KCHECK_EQ(e, quern_sysinfo(p, &si), 0);
	KCHECK(e, si.uptime >= 0 && si.uptime < 1000 && si.procs == 1);
	KCHECK(e, si.totalram * si.mem_unit <= 64 << 20);
	KCHECK(e, si.freeram <= si.totalram && si.freeram != 0);
	KCHECK_EQ(e, quern_getrandom(p, a, sizeof(a), 0), 1000);
	KCHECK_EQ(e, quern_getrandom(p, b, sizeof(b), Q_GRND_INSECURE), 1000);
	KCHECK(e, memcmp(a, b, 1000) != 0 && memcmp(a, a + 500, 500) != 0);
	KCHECK_EQ(e, quern_getrandom(p, NULL, 0, Q_GRND_NONBLOCK), 0);
	KCHECK_EQ(e, quern_getrandom(p, a, 1, 8), -Q_EINVAL);
	KCHECK_EQ(e, quern_getrandom(p, a, 1, Q_GRND_RANDOM | Q_GRND_INSECURE),
	    -Q_EINVAL);
	KCHECK_EQ(e, quern_getrandom(p, NULL, 1, 0), -Q_EFAULT);
	KCHECK_EQ(e, quern_sched_yield(p), 0);
	kenv_destroy(e, k);
}

static void
by_number(struct kenv *e)
{
	uint64_t args[6] = { 0 };
	struct ksys s;
	int fd[2] = { -1, -1 };

	if (!ksys_open(&s, e))
		return;
	KCHECK_EQ(e, quern_syscall(s.p, QUERN_NR_getpid, args), 1);
	args[0] = (uintptr_t)fd;
	KCHECK_EQ(e, quern_syscall(s.p, QUERN_NR_pipe, args), 0);
	KCHECK(e, fd[0] == 0 && fd[1] == 1);
	/* The upper half of an int is not looked at. */
	args[0] = UINT64_C(0xdeadbeef00000001);
	args[1] = (uintptr_t) "abc";
	args[2] = 3;
	KCHECK_EQ(e, quern_syscall(s.p, QUERN_NR_write, args), 3);
	KCHECK_EQ(e, quern_syscall(s.p, QUERN_NR_mmap, args), -Q_ENOSYS);
	KCHECK_EQ(e, quern_syscall(s.p, QUERN_NR_mmap, args), -Q_ENOSYS);
	KCHECK_EQ(e, qsys_missing(s.k, QUERN_NR_mmap), 2);
	KCHECK_EQ(e, qsys_missing(s.k, QUERN_NR_read), 0);
	KCHECK_EQ(e, qsys_missing(s.k, 100000), 0);
	KCHECK_EQ(e, quern_syscall(s.p, 500, args), -Q_ENOSYS);
	KCHECK_EQ(e, quern_syscall(s.p, UINT32_MAX, args), -Q_ENOSYS);
	KCHECK_EQ(e, quern_syscall(NULL, 0, args), -Q_EFAULT);
	KCHECK_EQ(e, quern_syscall(s.p, 0, NULL), -Q_EFAULT);
	KCHECK(e, strcmp(quern_syscall_name(0), "read") == 0);
	KCHECK(e, strcmp(quern_syscall_name(9), "mmap") == 0);
	KCHECK(e, quern_syscall_name(511) == NULL);
	KCHECK(e, quern_syscall_name(UINT32_MAX) == NULL);
	ksys_close(&s);
}

/* ---- components ---------------------------------------------------------------------- */

static int64_t
guests_own(struct qsys *s)
{
	return (int64_t)s->s_arg[0] + 1;
}

static int64_t
for_all(struct qsys *s)
{
	return (int64_t)s->s_arg[0] + 2;
}

static const struct qsys_handler some_calls[] = {
	{ guests_own, QUERN_NR_brk, QSYS_GUEST },
	{ for_all, QUERN_NR_open, 0 },
	{ NULL, 0, 0 },
};

static const struct quern_component with_calls = {
	.c_name = "with_calls",
	.c_calls = some_calls,
};

static int64_t
dispatch(void *arg)
{
	struct quern_proc *p = NULL;
	uint64_t args[6] = { 10 };
	struct qsys s = { args, NULL, &quspace_local, NULL };
	int64_t ret;

	ret = qproc_create(arg, NULL, NULL, QPROC_GUEST, NULL, &p);
	if (ret != 0)
		return ret;
	s.s_proc = p;
	ret = qsys_dispatch(&s, QUERN_NR_brk);
	if (ret == 11)
		ret = qsys_dispatch(&s, QUERN_NR_mmap);
	return qproc_destroy(p) != 0 ? 1 : ret;
}

/* A component's calls; one that isn't started; one for guests. */
static void
components(struct kenv *e)
{
	const struct quern_component *list[] = { &with_calls, NULL };
	struct quern_config c = kenv_config(e);
	struct quern_proc *p = NULL;
	uint64_t args[6] = { 5 };
	struct quern *k = NULL;

	c.components = list;
	KCHECK_EQ(e, quern_create(&c, &k), 0);
	if (k == NULL || !KCHECK_EQ(e, quern_proc_create(k, &p), 0))
		return;
	KCHECK_EQ(e, quern_syscall(p, QUERN_NR_open, args), 7);
	KCHECK_EQ(e, qsys_call(p, &some_calls[1], args), 7);
	KCHECK_EQ(e, quern_syscall(p, QUERN_NR_brk, args), -Q_ENOSYS);
	KCHECK_EQ(e, kcall(k, dispatch, k), -Q_ENOSYS);
	KCHECK_EQ(e, qsys_missing(k, QUERN_NR_mmap), 1);
	kenv_destroy(e, k);
	c.components = NULL;
	KCHECK_EQ(e, quern_create(&c, &k), 0);
	KCHECK_EQ(e, quern_proc_create(k, &p), 0);
	KCHECK_EQ(e, qsys_call(p, &some_calls[1], args), -Q_ENOSYS);
	kenv_destroy(e, k);
}

/* ---- the trace ----------------------------------------------------------------------- */

struct lines {
	struct kenv *e;
	char text[8192];
	size_t len;
	const char *next;
};

static void
keep_line(void *arg, int level, const char *line)
{
	struct lines *l = arg;
	int n;

	(void)level;
	n = snprintf(l->text + l->len, sizeof(l->text) - l->len, "%s\n", line);
	if (n > 0 && l->len + (size_t)n < sizeof(l->text))
		l->len += (size_t)n;
}

/* The next line of the trace is `want`, but for what is @ in it. */
static void
expect(struct lines *l, const char *want)
{
	static const char name[] = "quern: ";
	const char *s = l->next;
	char got[300];
	size_t i = 0;

	snprintf(got, sizeof(got), "%.*s", (int)strcspn(s, "\n"), s);
	l->next = s + strcspn(s, "\n") + 1;
	s = got;
	if (strncmp(s, name, sizeof(name) - 1) == 0)
		s += sizeof(name) - 1;
	for (; *want != '\0'; want++) {
		if (*want == '@') {
			for (; *s != '\0' && *s != want[1]; s++)
				continue;
			continue;
		}
		if (*s++ != *want)
			break;
		i++;
	}
	if (*want != '\0' || *s != '\0') {
		fprintf(stderr, "trace: %s\n", got);
		KCHECK(l->e, !"the trace line is another");
	}
}

/* What the calls of trace leave. */
static void
expect_all(struct lines *l)
{
	expect(l, "[1] getpid() = 1");
	expect(l, "[1] pipe2([0, 1], O_NONBLOCK|O_CLOEXEC) = 0");
	expect(l, "[1] write(1, \"he\\\"l\\nl\\x01o\", 8) = 8");
	expect(l, "[1] read(0, \"he\\\"l\\nl\\x01o\", 64) = 8");
	expect(l, "[1] read(0, 0x@, 64) = -1 EAGAIN");
	expect(l,
	    "[1] write(1, \"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\"..., 50)"
	    " = 50");
	expect(l, "[1] write(99, 0x2000, 10) = -1 EBADF");
	expect(l, "[1] fcntl(0, F_GETFL) = 2048");
	expect(l, "[1] fcntl(1, F_SETFL, O_WRONLY|O_DIRECT|0x40000000) = 0");
	expect(l, "[1] fcntl(1, 4711, 0x3) = -1 EINVAL");
	expect(l,
	    "[1] poll([{fd=0, events=POLLIN|POLLPRI, revents=POLLIN}], 1, 0) = 1");
	expect(l, "[1] epoll_create1(0) = 2");
	expect(l,
	    "[1] epoll_ctl(2, EPOLL_CTL_ADD, 0, {events=EPOLLIN|EPOLLET, data=7})"
	    " = 0");
	expect(l, "[1] epoll_wait(2, [{events=EPOLLIN, data=7}], 1, -1) = 1");
	expect(l, "[1] clock_gettime(CLOCK_MONOTONIC, NULL) = -1 EFAULT");
	expect(l,
	    "[1] clock_settime(CLOCK_REALTIME, {tv_sec=1, tv_nsec=5}) = -1 EPERM");
	expect(l, "[1] umask(0) = 022");
	expect(l, "[1] writev(1, [{\"ab\", 2}, {\"c\", 1}], 2) = 3");
	expect(l, "[1] ioctl(0, FIONREAD, [53]) = 0");
	expect(l, "[1] select(2, [0], NULL, NULL, {tv_sec=0, tv_usec=0}) = 1");
	expect(l,
	    "[1] mmap(0x1, 0x2, 0x0, 0x0, 0x0, 0x0) = -1 ENOSYS"
	    " (not implemented)");
	expect(l, "[1] setuid(4) = 0");
	expect(l, "[1] preadv(0, 0x@, 1, -1) = -1 EINVAL");
}

static void
trace(struct kenv *e)
{
	struct lines l = { .e = e };
	struct quern_config c = kenv_config(e);
	struct quern_proc *p = NULL;
	struct quern *k = NULL;
	struct q_pollfd pf = { 0, Q_POLLIN | Q_POLLPRI, 0 };
	struct q_epoll_event ev = { Q_EPOLLIN | Q_EPOLLET, 7 };
	struct q_timespec ts = { 1, 5 };
	struct q_iovec iov[2] = { { (void *)(uintptr_t) "ab", 2 },
		{ (void *)(uintptr_t) "c", 1 } };
	struct q_fd_set set = { { 3 } };
	struct q_timeval tv = { 0, 0 };
	uint64_t args[6] = { 1, 2 };
	char buf[64];
	int fd[2], n;

	c.trace_calls = 1;
	c.log = keep_line;
	c.arg = &l;
	KCHECK_EQ(e, quern_create(&c, &k), 0);
	if (k == NULL || !KCHECK_EQ(e, quern_proc_create(k, &p), 0))
		return;
	l.next = l.text;
	(void)quern_getpid(p);
	(void)quern_pipe2(p, fd, Q_O_CLOEXEC | Q_O_NONBLOCK);
	(void)quern_write(p, 1, "he\"l\nl\001o", 8);
	(void)quern_read(p, 0, buf, 64);
	(void)quern_read(p, 0, buf, 64);
	memset(buf, 'z', sizeof(buf));
	(void)quern_write(p, 1, buf, 50);
	(void)quern_write(p, 99, (void *)(uintptr_t)8192, 10);
	(void)quern_fcntl(p, 0, Q_F_GETFL, 0);
	(void)quern_fcntl(p, 1, Q_F_SETFL, Q_O_WRONLY | Q_O_DIRECT | 1 << 30);
	(void)quern_fcntl(p, 1, 4711, 3);
	(void)quern_poll_files(p, &pf, 1, 0);
	(void)quern_epoll_create1(p, 0);
	(void)quern_epoll_ctl(p, 2, Q_EPOLL_CTL_ADD, 0, &ev);
	(void)quern_epoll_wait(p, 2, &ev, 1, -1);
	(void)quern_clock_gettime(p, Q_CLOCK_MONOTONIC, NULL);
	(void)quern_clock_settime(p, Q_CLOCK_REALTIME, &ts);
	(void)quern_umask(p, 0);
	(void)quern_writev(p, 1, iov, 2);
	(void)quern_ioctl(p, 0, Q_FIONREAD, (uintptr_t)&n);
	(void)quern_select(p, 2, &set, NULL, NULL, &tv);
	(void)quern_syscall(p, QUERN_NR_mmap, args);
	(void)quern_setuid(p, 4);
	(void)quern_preadv(p, 0, iov, 1, -1);
	expect_all(&l);
	kenv_destroy(e, k);
}

/* What is traced when `only` is asked for: lines, one character for each call. */
static void
traced_only(struct kenv *e, const char *only, const char *want)
{
	static const struct {
		const char *name;
		char letter;
	} calls[] = { { " getpid(", 'p' }, { " umask(", 'u' },
		{ " mmap(", 'm' }, { " syscall_999(", 'x' },
		{ " getppid(", 'q' } };
	struct lines l = { .e = e };
	struct quern_config c = kenv_config(e);
	struct quern_proc *p = NULL;
	struct quern *k = NULL;
	uint64_t args[6] = { 0 };
	size_t i;

	c.trace_calls = 1;
	c.trace_only = only;
	c.log = keep_line;
	c.arg = &l;
	KCHECK_EQ(e, quern_create(&c, &k), 0);
	if (k == NULL || !KCHECK_EQ(e, quern_proc_create(k, &p), 0))
		return;
	l.len = 0;
	l.text[0] = '\0';
	(void)quern_getpid(p);
	(void)quern_umask(p, 0);
	(void)quern_syscall(p, QUERN_NR_mmap, args);
	(void)quern_syscall(p, 999, args);
	(void)quern_getppid(p);
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		KCHECK_EQ(e, strstr(l.text, calls[i].name) != NULL,
		    strchr(want, calls[i].letter) != NULL);
	KCHECK_EQ(e, qsys_missing(k, QUERN_NR_mmap), 1);
	kenv_destroy(e, k);
}

static void
trace_only(struct kenv *e)
{
	struct quern_config c = kenv_config(e);
	struct quern *k = NULL;

	traced_only(e, NULL, "pumxq");
	traced_only(e, "", "pumxq");
	traced_only(e, "umask,getppid", "uq");
	traced_only(e, "unknown", "mx");
	traced_only(e, "mmap", "m");
	traced_only(e, "!getpid,unknown", "uq");
	traced_only(e, "!mmap", "puxq");
	c.trace_only = "umask,nonesuch";
	KCHECK_EQ(e, quern_create(&c, &k), -Q_EINVAL);
	c.trace_only = ",";
	KCHECK_EQ(e, quern_create(&c, &k), -Q_EINVAL);
}

/* ---- without memory --------------------------------------------------------------------- */

/* A call that may fail for want of memory, and for nothing else. */
#define STARVED(x)                     \
	do {                           \
		int64_t ret_ = (x);    \
		if (ret_ == -Q_ENOMEM) \
			return false;  \
		KCHECK(e, ret_ >= 0);  \
	} while (0)

/* One of everything that allocates.  False: there was no memory for one. */
static bool
live(struct kenv *e, struct quern *k)
{
	static char page[3 * 4096];
	struct q_epoll_event ev = { Q_EPOLLIN, 0 };
	struct quern_proc *p = NULL, *q = NULL;
	struct q_pollfd pf[20];
	struct q_iovec iov[20];
	uint32_t groups[3] = { 1, 2, 3 };
	const struct quern_cred user = { 1, 1, groups, 3 };
	int fd[2], i;

	STARVED(quern_proc_create(k, &p));
	STARVED(quern_setgroups(p, 3, groups));
	STARVED(quern_pipe2(p, fd, Q_O_NONBLOCK));
	STARVED(quern_write(p, fd[1], page, sizeof(page)));
	STARVED(quern_fcntl(p, fd[1], Q_F_SETPIPE_SZ, 32768));
	STARVED(quern_eventfd2(p, 0, 0));
	STARVED(quern_epoll_create1(p, 0));
	for (i = 0; i < 20; i++) {
		STARVED(quern_fcntl(p, 2, Q_F_DUPFD, 100));
		STARVED(quern_epoll_ctl(p, 3, Q_EPOLL_CTL_ADD, 100 + i, &ev));
		pf[i] = (struct q_pollfd){ 100 + i, Q_POLLIN, 0 };
		iov[i] = (struct q_iovec){ page, 10 };
	}
	for (i = 0; i < 40; i++)
		STARVED(quern_eventfd2(p, 0, 0));
	STARVED(quern_poll_files(p, pf, 20, 0));
	STARVED(quern_writev(p, fd[1], iov, 20));
	STARVED(quern_proc_fork(p, &q));
	STARVED(quern_dup2(q, 2, 300));
	STARVED(quern_proc_share(p, &q));
	STARVED(quern_proc_cred(q, &user));
	return true;
}

/* The first allocation fails, the second, and so on: nothing is left behind. */
static void
starved(struct kenv *e)
{
	struct quern_config c = kenv_config(e);
	struct quern_stats st = { 0 };
	struct quern *k;
	unsigned failed = 0;
	int error;

	do {
		c.fail_alloc++;
		st.st_allocs = UINT64_MAX;
		error = quern_create(&c, &k);
		if (error != 0) {
			KCHECK_EQ(e, error, -Q_ENOMEM);
			failed++;
			continue;
		}
		failed += !live(e, k);
		KCHECK_EQ(e, quern_stats(k, &st), 0);
		kenv_destroy(e, k);
	} while (st.st_allocs >= c.fail_alloc && !e->failed);
	KCHECK(e, failed > 80);
	/* Without its second or third page a write is short, and no failure. */
	if (e->sim != NULL)
		KCHECK_EQ(e, failed, c.fail_alloc - 3);
}

const struct kcase kcalls_cases[] = {
	{ .name = "processes", .body = processes, .seeds = 2 },
	{ .name = "pid_wrap", .body = pid_wrap, .seeds = 0 },
	{ .name = "users", .body = users, .seeds = 2 },
	{ .name = "given_users", .body = given_users, .seeds = 2 },
	{ .name = "clocks", .body = clocks, .seeds = 20 },
	{ .name = "nap_interrupted", .body = nap_interrupted, .seeds = 500 },
	{ .name = "all_interrupted", .body = all_interrupted, .seeds = 500 },
	{ .name = "miscellany", .body = miscellany, .seeds = 2 },
	{ .name = "by_number", .body = by_number, .seeds = 2 },
	{ .name = "components", .body = components, .seeds = 2 },
	{ .name = "trace", .body = trace, .seeds = 2 },
	{ .name = "trace_only", .body = trace_only, .seeds = 2 },
	{ .name = "starved", .body = starved, .seeds = 6 },
	{ .name = NULL },
};
