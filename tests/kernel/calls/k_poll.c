/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * poll and select.
 */
#include "kcalls.h"

#define IN  (Q_POLLIN | Q_POLLRDNORM)
#define OUT (Q_POLLOUT | Q_POLLWRNORM)
#define ALL (IN | OUT)

/* What poll says of one descriptor, at once. */
static int
ready(struct ksys *s, int fd)
{
	struct q_pollfd pf = { fd, ALL, 0x55 };
	int64_t n = quern_poll_files(s->p, &pf, 1, 0);

	KCHECK_EQ(s->e, n, pf.revents != 0);
	return pf.revents;
}

static void
states(struct kenv *e)
{
	struct q_pollfd pf[3];
	struct ksys s;
	char buf[8];
	int fd[2];

	if (!ksys_open(&s, e))
		return;
	kpipe(e, s.p, fd, 0);
	KCHECK_EQ(e, ready(&s, fd[0]), 0);
	KCHECK_EQ(e, ready(&s, fd[1]), OUT);
	KCHECK_EQ(e, ready(&s, 77), Q_POLLNVAL);
	KCHECK_EQ(e, ready(&s, -1), 0);
	KCHECK_EQ(e, quern_write(s.p, fd[1], "a", 1), 1);
	KCHECK_EQ(e, ready(&s, fd[0]), IN);
	pf[0] = (struct q_pollfd){ fd[0], Q_POLLIN, 0 };
	pf[1] = (struct q_pollfd){ fd[0], Q_POLLOUT | Q_POLLPRI, 9 };
	pf[2] = (struct q_pollfd){ fd[1], Q_POLLOUT, 0 };
	KCHECK_EQ(e, quern_poll_files(s.p, pf, 3, -1), 2);
	KCHECK_EQ(e, pf[0].revents, Q_POLLIN);
	KCHECK_EQ(e, pf[1].revents, 0);
	KCHECK_EQ(e, pf[2].revents, Q_POLLOUT);
	KCHECK_EQ(e, quern_close(s.p, fd[1]), 0);
	KCHECK_EQ(e, ready(&s, fd[0]), IN | Q_POLLHUP);
	KCHECK_EQ(e, quern_read(s.p, fd[0], buf, 8), 1);
	KCHECK_EQ(e, ready(&s, fd[0]), Q_POLLHUP);
	KCHECK_EQ(e, quern_close(s.p, fd[0]), 0);
	kpipe(e, s.p, fd, 0);
	KCHECK_EQ(e, quern_close(s.p, fd[0]), 0);
	KCHECK_EQ(e, ready(&s, fd[1]), OUT | Q_POLLERR);
	KCHECK_EQ(e, quern_poll_files(s.p, NULL, 0, 0), 0);
	KCHECK_EQ(e, quern_poll_files(s.p, NULL, 1, 0), -Q_EFAULT);
	KCHECK_EQ(e, quern_poll_files(s.p, pf, 1025, 0), -Q_EINVAL);
	ksys_close(&s);
}

static uint64_t
now(struct ksys *s)
{
	struct q_timespec t = { 0, 0 };

	KCHECK_EQ(s->e, quern_clock_gettime(s->p, Q_CLOCK_MONOTONIC, &t), 0);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void
timeouts(struct kenv *e)
{
	struct q_timespec ts = { 0, 3000000 };
	struct q_timeval tv = { 0, 3000 };
	struct q_pollfd pf;
	struct q_fd_set set;
	struct ksys s;
	uint64_t t0;
	int fd[2];

	if (!ksys_open(&s, e))
		return;
	kpipe(e, s.p, fd, 0);
	pf = (struct q_pollfd){ fd[0], Q_POLLIN, 0 };
	t0 = now(&s);
	KCHECK_EQ(e, quern_poll_files(s.p, &pf, 1, 3), 0);
	KCHECK(e, now(&s) - t0 >= 3 * MSEC);
	t0 = now(&s);
	KCHECK_EQ(e, quern_ppoll(s.p, &pf, 1, &ts, NULL, 0), 0);
	KCHECK(e, now(&s) - t0 >= 3 * MSEC);
	KCHECK(e, ts.tv_sec == 0 && ts.tv_nsec == 0);
	memset(&set, 0, sizeof(set));
	set.fds_bits[0] = UINT64_C(1) << fd[0];
	t0 = now(&s);
	KCHECK_EQ(e, quern_select(s.p, fd[0] + 1, &set, NULL, NULL, &tv), 0);
	KCHECK(e, now(&s) - t0 >= 3 * MSEC);
	KCHECK(e, tv.tv_sec == 0 && tv.tv_usec == 0);
	KCHECK_EQ(e, set.fds_bits[0], 0);
	/* What is left is stored. */
	KCHECK_EQ(e, quern_write(s.p, fd[1], "x", 1), 1);
	ts = (struct q_timespec){ 100, 0 };
	KCHECK_EQ(e, quern_ppoll(s.p, &pf, 1, &ts, NULL, 0), 1);
	KCHECK(e, ts.tv_sec < 100 || ts.tv_nsec == 0);
	KCHECK(e, ts.tv_sec >= 50);
	ts = (struct q_timespec){ 0, 1000000000 };
	KCHECK_EQ(e, quern_ppoll(s.p, &pf, 1, &ts, NULL, 0), -Q_EINVAL);
	ksys_close(&s);
}

/* Both sets and both directions of select. */
static void
selects(struct kenv *e)
{
	struct q_fd_set in, out, ex;
	struct q_timeval zero = { 0, 0 };
	struct ksys s;
	int fd[2], hi;

	if (!ksys_open(&s, e))
		return;
	kpipe(e, s.p, fd, 0);
	hi = (int)quern_fcntl(s.p, fd[0], Q_F_DUPFD, 100);
	KCHECK_EQ(e, hi, 100);
	memset(&in, 0, sizeof(in));
	memset(&out, 0, sizeof(out));
	memset(&ex, 0, sizeof(ex));
	in.fds_bits[100 / 64] = UINT64_C(1) << 100 % 64;
	out.fds_bits[0] = UINT64_C(1) << fd[1];
	ex.fds_bits[0] = UINT64_C(1) << fd[1];
	KCHECK_EQ(e, quern_select(s.p, 101, &in, &out, &ex, &zero), 1);
	KCHECK_EQ(e, in.fds_bits[1], 0);
	KCHECK_EQ(e, out.fds_bits[0], UINT64_C(1) << fd[1]);
	KCHECK_EQ(e, ex.fds_bits[0], 0);
	KCHECK_EQ(e, quern_write(s.p, fd[1], "x", 1), 1);
	in.fds_bits[1] = UINT64_C(1) << 100 % 64;
	KCHECK_EQ(e, quern_select(s.p, 101, &in, &out, NULL, NULL), 2);
	KCHECK_EQ(e, in.fds_bits[1], UINT64_C(1) << 100 % 64);
	/* Not below n: not looked at. */
	KCHECK_EQ(e, quern_select(s.p, 100, &in, NULL, NULL, &zero), 0);
	KCHECK_EQ(e, in.fds_bits[1], 0);
	in.fds_bits[0] = UINT64_C(1) << 40;
	KCHECK_EQ(e, quern_select(s.p, 64, &in, NULL, NULL, &zero), -Q_EBADF);
	KCHECK_EQ(e, quern_select(s.p, -1, &in, NULL, NULL, &zero), -Q_EINVAL);
	zero.tv_sec = -1;
	KCHECK_EQ(e, quern_select(s.p, 1, NULL, NULL, NULL, &zero), -Q_EINVAL);
	ksys_close(&s);
}

/* ---- sleeping ----------------------------------------------------------------- */

#define FILES 12u

struct poller {
	struct ksys s;
	int fd[FILES][2];
	struct q_pollfd pf[FILES];
	struct q_fd_set set;
	struct q_timeval tv;
	int64_t ret;
	uint32_t started; /* [a] */
	int timeout;
};

static void
poll_all(void *arg)
{
	struct poller *pl = arg;

	__atomic_store_n(&pl->started, 1, __ATOMIC_RELEASE);
	pl->ret = quern_poll_files(pl->s.p, pl->pf, FILES, pl->timeout);
}

static void
select_all(void *arg)
{
	struct poller *pl = arg;

	__atomic_store_n(&pl->started, 1, __ATOMIC_RELEASE);
	pl->ret = quern_select(pl->s.p, 2 * FILES, &pl->set, NULL, NULL, NULL);
}

static bool
poller_open(struct poller *pl, struct kenv *e)
{
	unsigned i;

	memset(pl, 0, sizeof(*pl));
	if (!ksys_open(&pl->s, e))
		return false;
	for (i = 0; i < FILES; i++) {
		kpipe(e, pl->s.p, pl->fd[i], 0);
		pl->pf[i] = (struct q_pollfd){ pl->fd[i][0], Q_POLLIN, 0 };
		pl->set.fds_bits[0] |= UINT64_C(1) << pl->fd[i][0];
	}
	pl->timeout = -1;
	return true;
}

/* One of many becomes ready while poll sleeps, or just before. */
static void
wakes_poll(struct kenv *e)
{
	struct poller pl;

	if (!poller_open(&pl, e))
		return;
	kspawn(e, poll_all, &pl);
	kawait(e, &pl.started, 1);
	KCHECK_EQ(e, quern_write(pl.s.p, pl.fd[7][1], "x", 1), 1);
	kjoin(e);
	KCHECK_EQ(e, pl.ret, 1);
	KCHECK_EQ(e, pl.pf[7].revents, Q_POLLIN);
	KCHECK_EQ(e, pl.pf[6].revents, 0);
	ksys_close(&pl.s);
}

static void
wakes_select(struct kenv *e)
{
	struct poller pl;

	if (!poller_open(&pl, e))
		return;
	kspawn(e, select_all, &pl);
	kawait(e, &pl.started, 1);
	KCHECK_EQ(e, quern_close(pl.s.p, pl.fd[11][1]), 0);
	kjoin(e);
	KCHECK_EQ(e, pl.ret, 1);
	KCHECK_EQ(e, pl.set.fds_bits[0], UINT64_C(1) << pl.fd[11][0]);
	ksys_close(&pl.s);
}

static void
interrupted(struct kenv *e)
{
	struct poller pl;

	if (!poller_open(&pl, e))
		return;
	kspawn(e, poll_all, &pl);
	kawait(e, &pl.started, 1);
	kpause(e);
	quern_interrupt(pl.s.p);
	kjoin(e);
	KCHECK_EQ(e, pl.ret, -Q_EINTR);
	ksys_close(&pl.s);
}

/* A file that is closed under a poll goes on being waited for. */
static void
closed_under(struct kenv *e)
{
	struct poller pl;

	if (!poller_open(&pl, e))
		return;
	pl.timeout = e->sim != NULL ? 1000000 : 2000;
	kspawn(e, poll_all, &pl);
	kawait(e, &pl.started, 1);
	/* Both ends, so that its object would go. */
	KCHECK_EQ(e, quern_close(pl.s.p, pl.fd[3][0]), 0);
	KCHECK_EQ(e, quern_close(pl.s.p, pl.fd[3][1]), 0);
	kjoin(e);
	/* Before poll looked it up: invalid.  After: hung up. */
	KCHECK_EQ(e, pl.ret, 1);
	KCHECK(e,
	    pl.pf[3].revents == Q_POLLNVAL || pl.pf[3].revents == Q_POLLHUP);
	ksys_close(&pl.s);
}

/* ---- two that play ping-pong ---------------------------------------------------- */

struct pingpong {
	struct ksys s;
	int fd[2][2];
	unsigned rounds;
};

struct player {
	struct pingpong *pp;
	unsigned id;
};

static void
play(void *arg)
{
	struct player *me = arg;
	struct pingpong *pp = me->pp;
	struct q_pollfd pf = { pp->fd[me->id][0], Q_POLLIN, 0 };
	struct kenv *e = pp->s.e;
	unsigned i;
	char c;

	for (i = 0; i < pp->rounds; i++) {
		if (!KCHECK_EQ(e, quern_poll_files(pp->s.p, &pf, 1, -1), 1) ||
		    !KCHECK_EQ(e, quern_read(pp->s.p, pf.fd, &c, 1), 1) ||
		    !KCHECK_EQ(e,
			quern_write(pp->s.p, pp->fd[1 - me->id][1], &c, 1), 1))
			return;
	}
}

static void
pingpong(struct kenv *e)
{
	struct pingpong pp;
	struct player a = { &pp, 0 }, b = { &pp, 1 };

	if (!ksys_open(&pp.s, e))
		return;
	pp.rounds = KROUNDS(e, 5, 2000);
	kpipe(e, pp.s.p, pp.fd[0], Q_O_NONBLOCK);
	kpipe(e, pp.s.p, pp.fd[1], Q_O_NONBLOCK);
	KCHECK_EQ(e, quern_write(pp.s.p, pp.fd[0][1], "x", 1), 1);
	kspawn(e, play, &a);
	kspawn(e, play, &b);
	kjoin(e);
	ksys_close(&pp.s);
}

const struct kcase kpoll_cases[] = {
	{ .name = "states", .body = states, .seeds = 2 },
	{ .name = "timeouts", .body = timeouts, .seeds = 20 },
	{ .name = "selects", .body = selects, .seeds = 2 },
	{ .name = "wakes_poll", .body = wakes_poll, .seeds = 1000 },
	{ .name = "wakes_select", .body = wakes_select, .seeds = 500 },
	{ .name = "interrupted", .body = interrupted, .seeds = 500 },
	{ .name = "closed_under", .body = closed_under, .seeds = 500 },
	{ .name = "pingpong", .body = pingpong, .seeds = 500 },
	{ .name = NULL },
};
