/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * epoll.
 */
#include "kcalls.h"

#define MAX 32

static int
set_create(struct ksys *s)
{
	int fd = (int)quern_epoll_create1(s->p, 0);

	KCHECK(s->e, fd >= 0);
	return fd;
}

static int64_t
ctl(struct ksys *s, int ep, int op, int fd, uint32_t events)
{
	struct q_epoll_event ev = { events, (uint64_t)fd };

	return quern_epoll_ctl(s->p, ep, op, fd, &ev);
}

/* How many are ready at once, the first one's events and descriptor. */
static int64_t
look(struct ksys *s, int ep, uint32_t *events, int *fd)
{
	struct q_epoll_event ev[MAX];
	int64_t n = quern_epoll_wait(s->p, ep, ev, MAX, 0);

	if (events != NULL)
		*events = n > 0 ? ev[0].events : 0;
	if (fd != NULL)
		*fd = n > 0 ? (int)ev[0].data : -1;
	return n;
}

static void
put(struct ksys *s, int fd)
{
	KCHECK_EQ(s->e, quern_write(s->p, fd, "x", 1), 1);
}

static void
take(struct ksys *s, int fd)
{
	char c;

	KCHECK_EQ(s->e, quern_read(s->p, fd, &c, 1), 1);
}

static void
level(struct kenv *e)
{
	struct ksys s;
	uint32_t ev;
	int fd[2], ep, who;

	if (!ksys_open(&s, e))
		return;
	kpipe(e, s.p, fd, 0);
	ep = set_create(&s);
	KCHECK_EQ(e, ctl(&s, ep, Q_EPOLL_CTL_ADD, fd[0], Q_EPOLLIN), 0);
	KCHECK_EQ(e, ctl(&s, ep, Q_EPOLL_CTL_ADD, fd[0], Q_EPOLLIN), -Q_EEXIST);
	KCHECK_EQ(e, look(&s, ep, NULL, NULL), 0);
	put(&s, fd[1]);
	KCHECK_EQ(e, look(&s, ep, &ev, &who), 1);
	KCHECK_EQ(e, ev, Q_EPOLLIN);
	KCHECK_EQ(e, who, fd[0]);
	KCHECK_EQ(e, look(&s, ep, NULL, NULL), 1); /* still */
	take(&s, fd[0]);
	KCHECK_EQ(e, look(&s, ep, NULL, NULL), 0);
	/* Both ends, and what one is watched for changes. */
	KCHECK_EQ(e, ctl(&s, ep, Q_EPOLL_CTL_ADD, fd[1], Q_EPOLLOUT), 0);
	KCHECK_EQ(e, look(&s, ep, &ev, &who), 1);
	KCHECK(e, ev == Q_EPOLLOUT && who == fd[1]);
	KCHECK_EQ(e, ctl(&s, ep, Q_EPOLL_CTL_MOD, fd[1], 0), 0);
	KCHECK_EQ(e, look(&s, ep, NULL, NULL), 0);
	KCHECK_EQ(e, ctl(&s, ep, Q_EPOLL_CTL_MOD, fd[1], Q_EPOLLOUT), 0);
	KCHECK_EQ(e, look(&s, ep, NULL, NULL), 1);
	KCHECK_EQ(e, quern_epoll_ctl(s.p, ep, Q_EPOLL_CTL_DEL, fd[1], NULL), 0);
	KCHECK_EQ(e, ctl(&s, ep, Q_EPOLL_CTL_DEL, fd[1], 0), -Q_ENOENT);
	KCHECK_EQ(e, ctl(&s, ep, Q_EPOLL_CTL_MOD, fd[1], 0), -Q_ENOENT);
	/* Errors come unasked. */
	KCHECK_EQ(e, quern_close(s.p, fd[1]), 0);
	KCHECK_EQ(e, look(&s, ep, &ev, NULL), 1);
	KCHECK_EQ(e, ev, Q_EPOLLHUP);
	/* And the last descriptor closed ends it. */
	KCHECK_EQ(e, quern_close(s.p, fd[0]), 0);
	KCHECK_EQ(e, look(&s, ep, NULL, NULL), 0);
	ksys_close(&s);
}

static void
edge(struct kenv *e)
{
	struct ksys s;
	int fd[2], ep;

	if (!ksys_open(&s, e))
		return;
	kpipe(e, s.p, fd, 0);
	ep = set_create(&s);
	put(&s, fd[1]);
	KCHECK_EQ(e, ctl(&s, ep, Q_EPOLL_CTL_ADD, fd[0], Q_EPOLLIN | Q_EPOLLET),
	    0);
	KCHECK_EQ(e, look(&s, ep, NULL, NULL), 1);
	KCHECK_EQ(e, look(&s, ep, NULL, NULL), 0);
	/* Each write is an edge, though it was readable before. */
	put(&s, fd[1]);
	KCHECK_EQ(e, look(&s, ep, NULL, NULL), 1);
	KCHECK_EQ(e, look(&s, ep, NULL, NULL), 0);
	take(&s, fd[0]);
	KCHECK_EQ(e, look(&s, ep, NULL, NULL), 0);
	/* One that is gone again when looked at is not reported. */
	take(&s, fd[0]);
	put(&s, fd[1]);
	take(&s, fd[0]);
	KCHECK_EQ(e, look(&s, ep, NULL, NULL), 0);
	/* Arming anew looks anew. */
	put(&s, fd[1]);
	KCHECK_EQ(e, look(&s, ep, NULL, NULL), 1);
	KCHECK_EQ(e, ctl(&s, ep, Q_EPOLL_CTL_MOD, fd[0], Q_EPOLLIN | Q_EPOLLET),
	    0);
	KCHECK_EQ(e, look(&s, ep, NULL, NULL), 1);
	KCHECK_EQ(e, look(&s, ep, NULL, NULL), 0);
	ksys_close(&s);
}

static void
oneshot(struct kenv *e)
{
	uint32_t how = Q_EPOLLIN | Q_EPOLLONESHOT;
	struct ksys s;
	int fd[2], ep;

	if (!ksys_open(&s, e))
		return;
	kpipe(e, s.p, fd, 0);
	ep = set_create(&s);
	KCHECK_EQ(e, ctl(&s, ep, Q_EPOLL_CTL_ADD, fd[0], how), 0);
	put(&s, fd[1]);
	KCHECK_EQ(e, look(&s, ep, NULL, NULL), 1);
	put(&s, fd[1]);
	KCHECK_EQ(e, look(&s, ep, NULL, NULL), 0);
	KCHECK_EQ(e, quern_close(s.p, fd[1]), 0);
	KCHECK_EQ(e, look(&s, ep, NULL, NULL), 0); /* not even HUP */
	KCHECK_EQ(e, ctl(&s, ep, Q_EPOLL_CTL_MOD, fd[0], how), 0);
	KCHECK_EQ(e, look(&s, ep, NULL, NULL), 1);
	KCHECK_EQ(e, look(&s, ep, NULL, NULL), 0);
	ksys_close(&s);
}

/* More ready files than there is room for: each gets its turn. */
static void
rotation(struct kenv *e)
{
	struct q_epoll_event ev[2];
	unsigned seen[20] = { 0 }, i, j;
	struct ksys s;
	int fd[20][2], ep;

	if (!ksys_open(&s, e))
		return;
	ep = set_create(&s);
	for (i = 0; i < 20; i++) {
		kpipe(e, s.p, fd[i], 0);
		put(&s, fd[i][1]);
		ev[0] = (struct q_epoll_event){ Q_EPOLLIN, i };
		KCHECK_EQ(e,
		    quern_epoll_ctl(s.p, ep, Q_EPOLL_CTL_ADD, fd[i][0], ev), 0);
	}
	for (i = 0; i < 20; i++) {
		KCHECK_EQ(e, quern_epoll_wait(s.p, ep, ev, 2, -1), 2);
		for (j = 0; j < 2; j++)
			if (KCHECK(e, ev[j].data < 20))
				seen[ev[j].data]++;
	}
	for (i = 0; i < 20; i++)
		KCHECK_EQ(e, seen[i], 2);
	ksys_close(&s);
}

/* The same file under several descriptors and in several sets. */
static void
duplicates(struct kenv *e)
{
	struct ksys s;
	int fd[2], ep, ep2, copy, who;

	if (!ksys_open(&s, e))
		return;
	kpipe(e, s.p, fd, 0);
	ep = set_create(&s);
	ep2 = set_create(&s);
	copy = (int)quern_dup(s.p, fd[0]);
	KCHECK_EQ(e, ctl(&s, ep, Q_EPOLL_CTL_ADD, fd[0], Q_EPOLLIN), 0);
	KCHECK_EQ(e, ctl(&s, ep, Q_EPOLL_CTL_ADD, copy, Q_EPOLLIN), 0);
	KCHECK_EQ(e, ctl(&s, ep2, Q_EPOLL_CTL_ADD, fd[0], Q_EPOLLIN), 0);
	put(&s, fd[1]);
	KCHECK_EQ(e, look(&s, ep, NULL, NULL), 2);
	KCHECK_EQ(e, look(&s, ep2, NULL, NULL), 1);
	/* Closing one descriptor leaves the file watched, under that name. */
	KCHECK_EQ(e, quern_close(s.p, fd[0]), 0);
	KCHECK_EQ(e, look(&s, ep, NULL, NULL), 2);
	KCHECK_EQ(e, look(&s, ep2, NULL, &who), 1);
	KCHECK_EQ(e, who, fd[0]);
	KCHECK_EQ(e, quern_close(s.p, copy), 0);
	KCHECK_EQ(e, look(&s, ep, NULL, NULL), 0);
	KCHECK_EQ(e, look(&s, ep2, NULL, NULL), 0);
	KCHECK_EQ(e, quern_close(s.p, ep), 0);
	ksys_close(&s);
}

static void
nested(struct kenv *e)
{
	struct q_pollfd pf;
	struct ksys s;
	int fd[2], ep[8], i, who;

	if (!ksys_open(&s, e))
		return;
	kpipe(e, s.p, fd, 0);
	for (i = 0; i < 8; i++)
		ep[i] = set_create(&s);
	KCHECK_EQ(e, ctl(&s, ep[0], Q_EPOLL_CTL_ADD, fd[0], Q_EPOLLIN), 0);
	KCHECK_EQ(e, ctl(&s, ep[0], Q_EPOLL_CTL_ADD, ep[0], Q_EPOLLIN),
	    -Q_EINVAL);
	KCHECK_EQ(e, ctl(&s, ep[1], Q_EPOLL_CTL_ADD, ep[0], Q_EPOLLIN), 0);
	KCHECK_EQ(e, ctl(&s, ep[0], Q_EPOLL_CTL_ADD, ep[1], Q_EPOLLIN),
	    -Q_ELOOP);
	KCHECK_EQ(e, ctl(&s, ep[2], Q_EPOLL_CTL_ADD, ep[1], Q_EPOLLIN), 0);
	KCHECK_EQ(e, ctl(&s, ep[0], Q_EPOLL_CTL_ADD, ep[2], Q_EPOLLIN),
	    -Q_ELOOP);
	/* Readiness goes up through the sets. */
	pf = (struct q_pollfd){ ep[2], Q_POLLIN, 0 };
	KCHECK_EQ(e, quern_poll_files(s.p, &pf, 1, 0), 0);
	KCHECK_EQ(e, look(&s, ep[2], NULL, NULL), 0);
	put(&s, fd[1]);
	KCHECK_EQ(e, quern_poll_files(s.p, &pf, 1, 0), 1);
	KCHECK_EQ(e, pf.revents, Q_POLLIN);
	KCHECK_EQ(e, look(&s, ep[2], NULL, &who), 1);
	KCHECK_EQ(e, who, ep[1]);
	take(&s, fd[0]);
	KCHECK_EQ(e, look(&s, ep[2], NULL, NULL), 0);
	/* Depth is limited, wherever a set is put in. */
	KCHECK_EQ(e, ctl(&s, ep[3], Q_EPOLL_CTL_ADD, ep[2], Q_EPOLLIN), 0);
	KCHECK_EQ(e, ctl(&s, ep[4], Q_EPOLL_CTL_ADD, ep[3], Q_EPOLLIN), 0);
	KCHECK_EQ(e, ctl(&s, ep[5], Q_EPOLL_CTL_ADD, ep[4], Q_EPOLLIN),
	    -Q_ELOOP);
	KCHECK_EQ(e, ctl(&s, ep[0], Q_EPOLL_CTL_ADD, ep[6], Q_EPOLLIN),
	    -Q_ELOOP);
	/* The end of the inner sets, then of the outer. */
	KCHECK_EQ(e, quern_close(s.p, ep[1]), 0);
	put(&s, fd[1]);
	KCHECK_EQ(e, look(&s, ep[2], NULL, NULL), 0);
	KCHECK_EQ(e, look(&s, ep[0], NULL, NULL), 1);
	KCHECK_EQ(e, quern_close(s.p, ep[4]), 0);
	ksys_close(&s);
}

static void
refusals(struct kenv *e)
{
	uint32_t ex = Q_EPOLLIN | Q_EPOLLEXCLUSIVE;
	struct q_epoll_event ev;
	struct ksys s;
	int fd[2], ep, ep2;
	char c;

	if (!ksys_open(&s, e))
		return;
	kpipe(e, s.p, fd, 0);
	ep = set_create(&s);
	ep2 = set_create(&s);
	KCHECK_EQ(e, ctl(&s, ep, 9, fd[0], 0), -Q_EINVAL);
	KCHECK_EQ(e, ctl(&s, ep, Q_EPOLL_CTL_ADD, 99, 0), -Q_EBADF);
	KCHECK_EQ(e, ctl(&s, 99, Q_EPOLL_CTL_ADD, fd[0], 0), -Q_EBADF);
	KCHECK_EQ(e, ctl(&s, fd[0], Q_EPOLL_CTL_ADD, fd[1], 0), -Q_EINVAL);
	KCHECK_EQ(e, quern_epoll_ctl(s.p, ep, Q_EPOLL_CTL_ADD, fd[0], NULL),
	    -Q_EFAULT);
	KCHECK_EQ(e, ctl(&s, ep, Q_EPOLL_CTL_ADD, ep2, ex), -Q_EINVAL);
	KCHECK_EQ(e, ctl(&s, ep, Q_EPOLL_CTL_ADD, fd[0], ex | Q_EPOLLONESHOT),
	    -Q_EINVAL);
	KCHECK_EQ(e, ctl(&s, ep, Q_EPOLL_CTL_ADD, fd[0], ex), 0);
	KCHECK_EQ(e, ctl(&s, ep, Q_EPOLL_CTL_MOD, fd[0], Q_EPOLLIN), -Q_EINVAL);
	KCHECK_EQ(e, quern_epoll_wait(s.p, ep, &ev, 0, 0), -Q_EINVAL);
	KCHECK_EQ(e, quern_epoll_wait(s.p, fd[0], &ev, 1, 0), -Q_EINVAL);
	KCHECK_EQ(e, quern_epoll_wait(s.p, 99, &ev, 1, 0), -Q_EBADF);
	KCHECK_EQ(e, quern_epoll_create(s.p, 0), -Q_EINVAL);
	KCHECK_EQ(e, quern_epoll_create1(s.p, 1), -Q_EINVAL);
	KCHECK_EQ(e, quern_read(s.p, ep, &c, 1), -Q_EINVAL);
	KCHECK_EQ(e, quern_write(s.p, ep, &c, 1), -Q_EINVAL);
	put(&s, fd[1]);
	KCHECK_EQ(e, quern_epoll_wait(s.p, ep, NULL, 1, 0), -Q_EFAULT);
	KCHECK_EQ(e, quern_epoll_wait(s.p, ep, &ev, 1, 0), 1); /* kept */
	ksys_close(&s);
}

/* ---- sleeping ------------------------------------------------------------------- */

struct sleeper {
	struct ksys *s;
	int ep, timeout;
	int64_t ret;
	struct q_epoll_event ev;
	uint32_t started; /* [a] */
	uint32_t *got;    /* [a] or NULL */
};

static void
sleep_epoll(void *arg)
{
	struct sleeper *sl = arg;

	__atomic_store_n(&sl->started, 1, __ATOMIC_RELEASE);
	sl->ret = quern_epoll_wait(sl->s->p, sl->ep, &sl->ev, 1, sl->timeout);
	if (sl->got != NULL && sl->ret > 0)
		__atomic_fetch_add(sl->got, 1, __ATOMIC_RELEASE);
}

static void
wakes(struct kenv *e)
{
	struct sleeper sl;
	struct ksys s;
	int fd[2];

	if (!ksys_open(&s, e))
		return;
	kpipe(e, s.p, fd, 0);
	sl = (struct sleeper){ &s, set_create(&s), -1, 0, { 0, 0 }, 0, NULL };
	KCHECK_EQ(e, ctl(&s, sl.ep, Q_EPOLL_CTL_ADD, fd[0], Q_EPOLLIN), 0);
	kspawn(e, sleep_epoll, &sl);
	kawait(e, &sl.started, 1);
	put(&s, fd[1]);
	kjoin(e);
	KCHECK_EQ(e, sl.ret, 1);
	KCHECK_EQ(e, sl.ev.events, Q_EPOLLIN);
	take(&s, fd[0]);
	/* A file that is added while one waits. */
	KCHECK_EQ(e, ctl(&s, sl.ep, Q_EPOLL_CTL_DEL, fd[0], 0), 0);
	sl.started = 0;
	kspawn(e, sleep_epoll, &sl);
	kawait(e, &sl.started, 1);
	KCHECK_EQ(e, ctl(&s, sl.ep, Q_EPOLL_CTL_ADD, fd[1], Q_EPOLLOUT), 0);
	kjoin(e);
	KCHECK_EQ(e, sl.ret, 1);
	KCHECK_EQ(e, sl.ev.events, Q_EPOLLOUT);
	ksys_close(&s);
}

static void
timeouts(struct kenv *e)
{
	struct q_timespec t0 = { 0, 0 }, t1 = { 0, 0 }, ts = { 0, 2000000 };
	struct q_epoll_event ev;
	struct sleeper sl;
	struct ksys s;
	int fd[2];

	if (!ksys_open(&s, e))
		return;
	kpipe(e, s.p, fd, 0);
	sl = (struct sleeper){ &s, set_create(&s), -1, 0, { 0, 0 }, 0, NULL };
	KCHECK_EQ(e, ctl(&s, sl.ep, Q_EPOLL_CTL_ADD, fd[0], Q_EPOLLIN), 0);
	quern_clock_gettime(s.p, Q_CLOCK_MONOTONIC, &t0);
	KCHECK_EQ(e, quern_epoll_wait(s.p, sl.ep, &ev, 1, 2), 0);
	KCHECK_EQ(e, quern_epoll_pwait2(s.p, sl.ep, &ev, 1, &ts, NULL, 0), 0);
	quern_clock_gettime(s.p, Q_CLOCK_MONOTONIC, &t1);
	KCHECK(e,
	    (t1.tv_sec - t0.tv_sec) * 1000000000 + t1.tv_nsec - t0.tv_nsec >=
		(int64_t)(4 * MSEC));
	kspawn(e, sleep_epoll, &sl);
	kawait(e, &sl.started, 1);
	kpause(e);
	quern_interrupt(s.p);
	kjoin(e);
	KCHECK_EQ(e, sl.ret, -Q_EINTR);
	ksys_close(&s);
}

/* Somebody polls the set, which looks through its ready list. */
static void
poll_set(void *arg)
{
	struct sleeper *sl = arg;
	struct q_pollfd pf = { sl->ep, Q_POLLIN, 0 };

	sl->ret = quern_poll_files(sl->s->p, &pf, 1, 0);
}

/*
 * Two wait for one set: two files, one for each; by edge.  `early`: the files
 * are ready before, so that each may come while another has the list.
 */
static void
two_of_two(struct kenv *e, bool early)
{
	struct sleeper c;
	uint32_t how = Q_EPOLLIN | Q_EPOLLET, got = 0;
	struct sleeper a, b;
	struct ksys s;
	int fd[2], fd2[2], ep;

	if (!ksys_open(&s, e))
		return;
	kpipe(e, s.p, fd, 0);
	kpipe(e, s.p, fd2, 0);
	ep = set_create(&s);
	a = b = (struct sleeper){ &s, ep, -1, 0, { 0, 0 }, 0, &got };
	KCHECK_EQ(e, ctl(&s, ep, Q_EPOLL_CTL_ADD, fd[0], how), 0);
	KCHECK_EQ(e, ctl(&s, ep, Q_EPOLL_CTL_ADD, fd2[0], how), 0);
	c = a;
	if (early) {
		put(&s, fd[1]);
		put(&s, fd2[1]);
		kspawn(e, poll_set, &c);
	}
	kspawn(e, sleep_epoll, &a);
	kspawn(e, sleep_epoll, &b);
	kawait(e, &a.started, 1);
	kawait(e, &b.started, 1);
	if (!early) {
		put(&s, fd[1]);
		put(&s, fd2[1]);
	}
	kjoin(e);
	KCHECK_EQ(e, got, 2);
	KCHECK(e, a.ev.data != b.ev.data);
	ksys_close(&s);
}

static void
shared_set(struct kenv *e)
{
	two_of_two(e, false);
}

static void
shared_list(struct kenv *e)
{
	two_of_two(e, true);
}

/* Of two exclusive sets one is told of a byte, the other of the next. */
static void
exclusive(struct kenv *e)
{
	uint32_t how = Q_EPOLLIN | Q_EPOLLEXCLUSIVE | Q_EPOLLET, got = 0;
	struct sleeper sl[2];
	struct ksys s;
	int fd[2], i;

	if (!ksys_open(&s, e))
		return;
	kpipe(e, s.p, fd, 0);
	for (i = 0; i < 2; i++) {
		sl[i] = (struct sleeper){ &s, set_create(&s), -1, 0, { 0, 0 },
			0, &got };
		KCHECK_EQ(e, ctl(&s, sl[i].ep, Q_EPOLL_CTL_ADD, fd[0], how), 0);
		kspawn(e, sleep_epoll, &sl[i]);
	}
	kawait(e, &sl[0].started, 1);
	kawait(e, &sl[1].started, 1);
	put(&s, fd[1]);
	kawait(e, &got, 1);
	put(&s, fd[1]);
	kjoin(e);
	KCHECK_EQ(e, got, 2);
	ksys_close(&s);
}

/* ---- closing while others watch ---------------------------------------------------- */

struct churn {
	struct ksys s;
	int ep, outer;
	unsigned rounds;
	uint32_t stop; /* [a] */
};

static void
churn_files(void *arg)
{
	struct churn *c = arg;
	struct kenv *e = c->s.e;
	unsigned i;
	int fd[2];

	for (i = 0; i < c->rounds; i++) {
		kpipe(e, c->s.p, fd, 0);
		KCHECK_EQ(e,
		    ctl(&c->s, c->ep, Q_EPOLL_CTL_ADD, fd[0], Q_EPOLLIN), 0);
		put(&c->s, fd[1]);
		if (i % 3 == 0)
			KCHECK_EQ(e,
			    ctl(&c->s, c->ep, Q_EPOLL_CTL_DEL, fd[0], 0), 0);
		KCHECK_EQ(e, quern_close(c->s.p, fd[i % 2]), 0);
		KCHECK_EQ(e, quern_close(c->s.p, fd[1 - i % 2]), 0);
	}
	__atomic_fetch_add(&c->stop, 1, __ATOMIC_RELEASE);
}

static void
churn_wait(void *arg)
{
	struct churn *c = arg;
	struct q_epoll_event ev[4];
	unsigned i = 0;

	while (
	    __atomic_load_n(&c->stop, __ATOMIC_ACQUIRE) < 2 && !c->s.e->failed)
		KCHECK(c->s.e,
		    quern_epoll_wait(c->s.p, i++ % 2 ? c->ep : c->outer, ev, 4,
			1) >= 0);
}

static void
churn_sets(void *arg)
{
	struct churn *c = arg;
	struct kenv *e = c->s.e;
	unsigned i;
	int ep;

	for (i = 0; i < c->rounds; i++) {
		ep = set_create(&c->s);
		KCHECK_EQ(e, ctl(&c->s, ep, Q_EPOLL_CTL_ADD, c->ep, Q_EPOLLIN),
		    0);
		KCHECK_EQ(e,
		    ctl(&c->s, c->outer, Q_EPOLL_CTL_ADD, ep, Q_EPOLLIN), 0);
		KCHECK_EQ(e, quern_close(c->s.p, ep), 0);
	}
	__atomic_fetch_add(&c->stop, 1, __ATOMIC_RELEASE);
}

static void
churn(struct kenv *e)
{
	struct churn c;

	memset(&c, 0, sizeof(c));
	c.rounds = KROUNDS(e, 4, 1000);
	if (!ksys_open(&c.s, e))
		return;
	c.ep = set_create(&c.s);
	c.outer = set_create(&c.s);
	kspawn(e, churn_files, &c);
	kspawn(e, churn_sets, &c);
	kspawn(e, churn_wait, &c);
	kjoin(e);
	ksys_close(&c.s);
}

const struct kcase kepoll_cases[] = {
	{ .name = "level", .body = level, .seeds = 2 },
	{ .name = "edge", .body = edge, .seeds = 2 },
	{ .name = "oneshot", .body = oneshot, .seeds = 2 },
	{ .name = "rotation", .body = rotation, .seeds = 2 },
	{ .name = "duplicates", .body = duplicates, .seeds = 2 },
	{ .name = "nested", .body = nested, .seeds = 2 },
	{ .name = "refusals", .body = refusals, .seeds = 2 },
	{ .name = "wakes", .body = wakes, .seeds = 500 },
	{ .name = "timeouts", .body = timeouts, .seeds = 200 },
	{ .name = "shared_set", .body = shared_set, .seeds = 500 },
	{ .name = "shared_list", .body = shared_list, .seeds = 500 },
	{ .name = "exclusive", .body = exclusive, .seeds = 500 },
	{ .name = "churn", .body = churn, .seeds = 500 },
	{ .name = NULL },
};

/* ---- eventfd ------------------------------------------------------------------------ */

static int64_t
add(struct ksys *s, int fd, uint64_t n)
{
	return quern_write(s->p, fd, &n, sizeof(n));
}

static int64_t
get(struct ksys *s, int fd, uint64_t *n)
{
	*n = 0;
	return quern_read(s->p, fd, n, sizeof(*n));
}

static void
counter(struct kenv *e)
{
	struct q_pollfd pf;
	struct ksys s;
	uint64_t n;
	int fd;

	if (!ksys_open(&s, e))
		return;
	fd = (int)quern_eventfd2(s.p, 3, Q_EFD_NONBLOCK);
	KCHECK(e, fd >= 0);
	KCHECK_EQ(e, add(&s, fd, 4), 8);
	KCHECK_EQ(e, get(&s, fd, &n), 8);
	KCHECK_EQ(e, n, 7);
	KCHECK_EQ(e, get(&s, fd, &n), -Q_EAGAIN);
	KCHECK_EQ(e, add(&s, fd, UINT64_MAX), -Q_EINVAL);
	KCHECK_EQ(e, add(&s, fd, UINT64_MAX - 1), 8);
	pf = (struct q_pollfd){ fd, Q_POLLIN | Q_POLLOUT, 0 };
	KCHECK_EQ(e, quern_poll_files(s.p, &pf, 1, 0), 1);
	KCHECK_EQ(e, pf.revents, Q_POLLIN);
	KCHECK_EQ(e, add(&s, fd, 1), -Q_EAGAIN);
	KCHECK_EQ(e, add(&s, fd, 0), 8);
	KCHECK_EQ(e, get(&s, fd, &n), 8);
	KCHECK_EQ(e, n, UINT64_MAX - 1);
	KCHECK_EQ(e, quern_poll_files(s.p, &pf, 1, 0), 1);
	KCHECK_EQ(e, pf.revents, Q_POLLOUT);
	KCHECK_EQ(e, quern_read(s.p, fd, &n, 7), -Q_EINVAL);
	KCHECK_EQ(e, quern_write(s.p, fd, &n, 7), -Q_EINVAL);
	KCHECK_EQ(e, quern_eventfd2(s.p, 0, 2), -Q_EINVAL);
	fd = (int)quern_eventfd2(s.p, 2, Q_EFD_SEMAPHORE | Q_EFD_NONBLOCK);
	KCHECK_EQ(e, get(&s, fd, &n), 8);
	KCHECK_EQ(e, n, 1);
	KCHECK_EQ(e, get(&s, fd, &n), 8);
	KCHECK_EQ(e, get(&s, fd, &n), -Q_EAGAIN);
	ksys_close(&s);
}

struct sem {
	struct ksys s;
	int fd;
	uint32_t taken; /* [a] */
	unsigned rounds;
};

static void
sem_take(void *arg)
{
	struct sem *sm = arg;
	unsigned i;
	uint64_t n;

	for (i = 0; i < sm->rounds; i++) {
		if (!KCHECK_EQ(sm->s.e, get(&sm->s, sm->fd, &n), 8) ||
		    !KCHECK_EQ(sm->s.e, n, 1))
			return;
		__atomic_fetch_add(&sm->taken, 1, __ATOMIC_RELEASE);
	}
}

/* What is given is taken, by those who wait. */
static void
semaphore(struct kenv *e)
{
	struct sem sm;
	unsigned i;

	memset(&sm, 0, sizeof(sm));
	sm.rounds = KROUNDS(e, 4, 1000);
	if (!ksys_open(&sm.s, e))
		return;
	sm.fd = (int)quern_eventfd2(sm.s.p, 0, Q_EFD_SEMAPHORE);
	kspawn(e, sem_take, &sm);
	kspawn(e, sem_take, &sm);
	kspawn(e, sem_take, &sm);
	for (i = 0; i < sm.rounds; i++)
		KCHECK_EQ(e, add(&sm.s, sm.fd, 3), 8);
	kjoin(e);
	KCHECK_EQ(e, sm.taken, 3 * sm.rounds);
	ksys_close(&sm.s);
}

struct full {
	struct ksys s;
	int fd;
	int64_t ret;
	uint32_t started; /* [a] */
};

static void
add_two(void *arg)
{
	struct full *f = arg;

	__atomic_store_n(&f->started, 1, __ATOMIC_RELEASE);
	f->ret = add(&f->s, f->fd, 2);
}

/* A writer waits until the counter has room. */
static void
full(struct kenv *e)
{
	struct full f;
	uint64_t n;

	memset(&f, 0, sizeof(f));
	if (!ksys_open(&f.s, e))
		return;
	f.fd = (int)quern_eventfd(f.s.p, 0);
	KCHECK_EQ(e, add(&f.s, f.fd, UINT64_MAX - 2), 8);
	kspawn(e, add_two, &f);
	kawait(e, &f.started, 1);
	KCHECK_EQ(e, get(&f.s, f.fd, &n), 8);
	kjoin(e);
	KCHECK_EQ(e, f.ret, 8);
	KCHECK_EQ(e, get(&f.s, f.fd, &n), 8);
	KCHECK_EQ(e, n, 2);
	ksys_close(&f.s);
}

const struct kcase kevent_cases[] = {
	{ .name = "counter", .body = counter, .seeds = 2 },
	{ .name = "semaphore", .body = semaphore, .seeds = 500 },
	{ .name = "full", .body = full, .seeds = 500 },
	{ .name = NULL },
};
