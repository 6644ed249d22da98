/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unix sockets between several threads; sockets in flight; no memory.
 */
#include <stdio.h>
#include <string.h>

#include <quern/abi/errno.h>
#include <quern/abi/fcntl.h>
#include <quern/abi/poll.h>
#include <quern/abi/socket.h>
#include <quern/abi/time.h>
#include <quern/san.h>
#include <quern/tmpfs.h>
#include <quern/unix.h>
#include <quern/socket.h>
#include <quern/vfs.h>

#include <tests/kernel/ktest.h>

extern const struct kcase kunix_cases[];

static const struct quern_component *const components[] = { &qvfs, &qtmpfs,
	&qsockets, &qunix, NULL };

static struct quern *
start(struct kenv *e, struct quern_proc **pp)
{
	struct quern_config cfg = kenv_config(e);
	struct quern *k;

	cfg.components = components;
	if (!KCHECK_EQ(e, quern_create(&cfg, &k), 0) ||
	    !KCHECK_EQ(e, quern_proc_create(k, pp), 0))
		return NULL;
	return k;
}

static void
pair(struct kenv *e, struct quern_proc *p, int type, int32_t fd[2])
{
	fd[0] = fd[1] = -1;
	KCHECK_EQ(e, quern_socketpair(p, Q_AF_UNIX, type, 0, fd), 0);
}

/* The address of an abstract name. */
static int
address(const char *name, struct q_sockaddr_un *un)
{
	memset(un, 0, sizeof(*un));
	un->sun_family = Q_AF_UNIX;
	memcpy(un->sun_path + 1, name, strlen(name));
	return (int)(sizeof(un->sun_family) + 1 + strlen(name));
}

/* One of several threads. */
struct actor {
	struct kenv *e;
	struct quern_proc *p;
	int fd, n;
	int64_t ret;
	uint32_t started; /* [a] */
};

static void
begin(struct actor *a)
{
	__atomic_store_n(&a->started, 1, __ATOMIC_RELEASE);
}

/* ---- waiting ------------------------------------------------------------------------ */

static void
read_one(void *arg)
{
	struct actor *a = arg;
	char c;

	begin(a);
	a->ret = quern_read(a->p, a->fd, &c, 1);
}

static void
accept_one(void *arg)
{
	struct actor *a = arg;

	begin(a);
	a->ret = quern_accept(a->p, a->fd, NULL, NULL);
}

/* What ends a wait: data, the other end, shutdown, an interrupt. */
static void
wakes(struct kenv *e)
{
	static const int types[] = { Q_SOCK_STREAM, Q_SOCK_SEQPACKET };
	struct quern_proc *p;
	struct quern *k = start(e, &p);
	struct actor a;
	int32_t fd[2];
	int i, t;

	for (t = 0; k != NULL && t < 2; t++)
		for (i = 0; i < 4; i++) {
			pair(e, p, types[t], fd);
			a = (struct actor){ .e = e, .p = p, .fd = fd[0] };
			kspawn(e, read_one, &a);
			kawait(e, &a.started, 1);
			if (i == 0)
				KCHECK_EQ(e, quern_write(p, fd[1], "x", 1), 1);
			else if (i == 1)
				KCHECK_EQ(e, quern_close(p, fd[1]), 0);
			else if (i == 2)
				KCHECK_EQ(e, quern_shutdown(p, fd[1], 1), 0);
			else
				quern_interrupt(p);
			kjoin(e);
			KCHECK_EQ(e, a.ret, i == 0 ? 1 : i == 3 ? -Q_EINTR : 0);
		}
	if (k != NULL)
		kenv_destroy(e, k);
}

static int64_t
set_timeout(struct quern_proc *p, int fd, int name, int64_t sec)
{
	const struct q_timeval tv = { sec, 500000 };

	return quern_setsockopt(p, fd, Q_SOL_SOCKET, name, &tv, sizeof(tv));
}

/* Seconds on the clock of the world. */
static int64_t
seconds(struct quern_proc *p)
{
	struct q_timespec ts = { 0, 0 };

	(void)quern_clock_gettime(p, Q_CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* SO_RCVTIMEO and SO_SNDTIMEO: to receive, to send, to accept, to connect. */
static void
times_out(struct kenv *e)
{
	static const char zeroes[65536];
	struct quern_proc *p;
	struct quern *k = start(e, &p);
	struct q_sockaddr_un un;
	int len = address("late", &un), l, c, i;
	int64_t then, n;
	int32_t fd[2];
	char b;

	if (k == NULL)
		return;
	pair(e, p, Q_SOCK_STREAM, fd);
	KCHECK_EQ(e, set_timeout(p, fd[0], Q_SO_RCVTIMEO, 10), 0);
	KCHECK_EQ(e, set_timeout(p, fd[0], Q_SO_SNDTIMEO, 20), 0);
	then = seconds(p);
	KCHECK_EQ(e, quern_read(p, fd[0], &b, 1), -Q_EAGAIN);
	KCHECK(e, seconds(p) - then >= 10);
	then = seconds(p);
	while ((n = quern_write(p, fd[0], zeroes, sizeof(zeroes))) > 0)
		continue;
	KCHECK_EQ(e, n, -Q_EAGAIN);
	KCHECK(e, seconds(p) - then >= 20);
	l = quern_socket(p, Q_AF_UNIX, Q_SOCK_STREAM, 0);
	KCHECK_EQ(e, quern_bind(p, l, &un, len), 0);
	KCHECK_EQ(e, quern_listen(p, l, 0), 0);
	KCHECK_EQ(e, set_timeout(p, l, Q_SO_RCVTIMEO, 5), 0);
	KCHECK_EQ(e, quern_accept(p, l, NULL, NULL), -Q_EAGAIN);
	for (i = 0; i < 2; i++) {
		c = quern_socket(p, Q_AF_UNIX, Q_SOCK_STREAM, 0);
		KCHECK_EQ(e, set_timeout(p, c, Q_SO_SNDTIMEO, 5), 0);
		KCHECK_EQ(e, quern_connect(p, c, &un, len),
		    i == 0 ? 0 : -Q_EAGAIN);
	}
	kenv_destroy(e, k);
}

/* ---- streams ------------------------------------------------------------------------- */

#define CHUNKS 40

static void
write_stream(void *arg)
{
	static const char zeroes[30000];
	struct actor *a = arg;
	int i;

	begin(a);
	for (i = 0; i < CHUNKS && a->ret == 0; i++)
		if (quern_write(a->p, a->fd, zeroes, sizeof(zeroes)) !=
		    sizeof(zeroes))
			a->ret = -1;
	(void)quern_shutdown(a->p, a->fd, Q_SHUT_WR);
}

static void
read_stream(void *arg)
{
	struct actor *a = arg;
	char buf[9999];
	int64_t n;

	begin(a);
	while ((n = quern_read(a->p, a->fd, buf, sizeof(buf))) > 0)
		a->ret += n;
	if (n < 0)
		a->ret = n;
}

/* Two readers of what one writes, more than there is room for. */
static void
streams(struct kenv *e)
{
	struct quern_proc *p;
	struct quern *k = start(e, &p);
	struct actor w, r[2];
	int32_t fd[2];
	int i;

	if (k == NULL)
		return;
	pair(e, p, Q_SOCK_STREAM, fd);
	w = (struct actor){ .e = e, .p = p, .fd = fd[0] };
	kspawn(e, write_stream, &w);
	for (i = 0; i < 2; i++) {
		r[i] = (struct actor){ .e = e, .p = p, .fd = fd[1] };
		kspawn(e, read_stream, &r[i]);
	}
	kjoin(e);
	KCHECK_EQ(e, w.ret, 0);
	KCHECK_EQ(e, r[0].ret + r[1].ret, CHUNKS * 30000);
	kenv_destroy(e, k);
}

/* ---- connections ---------------------------------------------------------------------- */

#define CONNECTS 6

static void
connect_some(void *arg)
{
	struct actor *a = arg;
	struct q_sockaddr_un un;
	int len = address("server", &un), i, fd;
	char c = 0;

	begin(a);
	for (i = 0; i < CONNECTS && a->ret == 0; i++) {
		fd = quern_socket(a->p, Q_AF_UNIX, Q_SOCK_STREAM, 0);
		a->ret = quern_connect(a->p, fd, &un, len);
		if (a->ret == 0 &&
		    (quern_write(a->p, fd, "q", 1) != 1 ||
			quern_read(a->p, fd, &c, 1) != 1 || c != 'a'))
			a->ret = -1;
		(void)quern_close(a->p, fd);
	}
}

/* A server that has room for one at a time, and two clients. */
static void
serves(struct kenv *e)
{
	struct quern_proc *p;
	struct quern *k = start(e, &p);
	struct q_sockaddr_un un;
	struct actor a[2];
	int l, i, fd, len = address("server", &un);
	char c;

	if (k == NULL)
		return;
	l = quern_socket(p, Q_AF_UNIX, Q_SOCK_STREAM, 0);
	KCHECK_EQ(e, quern_bind(p, l, &un, len), 0);
	KCHECK_EQ(e, quern_listen(p, l, 0), 0);
	for (i = 0; i < 2; i++) {
		a[i] = (struct actor){ .e = e, .p = p };
		kspawn(e, connect_some, &a[i]);
	}
	for (i = 0; i < 2 * CONNECTS; i++) {
		fd = quern_accept(p, l, NULL, NULL);
		if (!KCHECK(e, fd >= 0))
			break;
		KCHECK_EQ(e, quern_read(p, fd, &c, 1), 1);
		KCHECK_EQ(e, quern_write(p, fd, "a", 1), 1);
		KCHECK_EQ(e, quern_close(p, fd), 0);
	}
	kjoin(e);
	KCHECK_EQ(e, a[0].ret, 0);
	KCHECK_EQ(e, a[1].ret, 0);
	kenv_destroy(e, k);
}

static void
close_it(void *arg)
{
	struct actor *a = arg;

	begin(a);
	a->ret = quern_close(a->p, a->fd);
}

static void
connect_one(void *arg)
{
	struct actor *a = arg;
	struct q_sockaddr_un un;
	int len = address("server", &un), fd;

	begin(a);
	fd = quern_socket(a->p, Q_AF_UNIX, Q_SOCK_STREAM, 0);
	a->ret = quern_connect(a->p, fd, &un, len);
	(void)quern_write(a->p, fd, "x", 1);
	(void)quern_close(a->p, fd);
}

/* A listener that goes while somebody connects and somebody accepts. */
static void
listener_goes(struct kenv *e)
{
	struct quern_proc *p, *q;
	struct quern *k = start(e, &p);
	struct q_sockaddr_un un;
	struct actor a[3];
	int l, len = address("server", &un);

	if (k == NULL)
		return;
	l = quern_socket(p, Q_AF_UNIX, Q_SOCK_STREAM, 0);
	KCHECK_EQ(e, quern_bind(p, l, &un, len), 0);
	KCHECK_EQ(e, quern_listen(p, l, 1), 0);
	KCHECK_EQ(e, quern_proc_fork(p, &q), 0);
	a[0] = (struct actor){ .e = e, .p = q, .fd = l };
	a[1] = (struct actor){ .e = e, .p = p };
	a[2] = (struct actor){ .e = e, .p = p, .fd = l };
	kspawn(e, accept_one, &a[0]);
	kspawn(e, connect_one, &a[1]);
	kspawn(e, close_it, &a[2]);
	kawait(e, &a[0].started, 1);
	kpause(e);
	/* It may wait for good, in the other process. */
	quern_interrupt(q);
	kjoin(e);
	KCHECK(e, a[0].ret >= 0 || a[0].ret == -Q_EINTR);
	kenv_destroy(e, k);
}

/* ---- datagrams --------------------------------------------------------------------------- */

#define DATAGRAMS 60

static void
send_many(void *arg)
{
	struct actor *a = arg;
	struct q_sockaddr_un un;
	int len = address("box", &un), i, fd;
	char c = (char)a->n;

	begin(a);
	fd = quern_socket(a->p, Q_AF_UNIX, Q_SOCK_DGRAM, 0);
	for (i = 0; i < DATAGRAMS && a->ret == 0; i++)
		if (quern_sendto(a->p, fd, &c, 1, 0, &un, len) != 1)
			a->ret = -1;
	(void)quern_close(a->p, fd);
}

/* Three send to one, which has room for eleven. */
static void
box(struct kenv *e)
{
	struct quern_proc *p;
	struct quern *k = start(e, &p);
	struct q_sockaddr_un un;
	int i, fd, len = address("box", &un), count[3] = { 0, 0, 0 };
	struct actor a[3];
	char c;

	if (k == NULL)
		return;
	fd = quern_socket(p, Q_AF_UNIX, Q_SOCK_DGRAM, 0);
	KCHECK_EQ(e, quern_bind(p, fd, &un, len), 0);
	for (i = 0; i < 3; i++) {
		a[i] = (struct actor){ .e = e, .p = p, .n = i };
		kspawn(e, send_many, &a[i]);
	}
	for (i = 0; i < 3 * DATAGRAMS; i++) {
		KCHECK_EQ(e, quern_read(p, fd, &c, 1), 1);
		count[(unsigned)c % 3]++;
	}
	kjoin(e);
	for (i = 0; i < 3; i++) {
		KCHECK_EQ(e, a[i].ret, 0);
		KCHECK_EQ(e, count[i], DATAGRAMS);
	}
	kenv_destroy(e, k);
}

/* ---- files in flight --------------------------------------------------------------------- */

struct carrier {
	struct q_msghdr h;
	struct q_iovec iov;
	char data;
	_Alignas(8) char ctl[64];
};

static void
carrier_init(struct carrier *m, int32_t fd)
{
	struct q_cmsghdr h = { sizeof(h) + sizeof(fd), Q_SOL_SOCKET,
		Q_SCM_RIGHTS };

	memset(m, 0, sizeof(*m));
	m->iov.iov_base = &m->data;
	m->iov.iov_len = 1;
	m->h.msg_iov = &m->iov;
	m->h.msg_iovlen = 1;
	m->h.msg_control = m->ctl;
	m->h.msg_controllen = 24;
	memcpy(m->ctl, &h, sizeof(h));
	memcpy(m->ctl + sizeof(h), &fd, sizeof(fd));
}

static int64_t
send_fd(struct quern_proc *p, int to, int fd)
{
	struct carrier m;

	carrier_init(&m, fd);
	return quern_sendmsg(p, to, &m.h, Q_MSG_NOSIGNAL);
}

/* The descriptor that comes; less than 0: none. */
static int
recv_fd(struct quern_proc *p, int from)
{
	struct carrier m;
	int32_t fd = -1;

	carrier_init(&m, -1);
	if (quern_recvmsg(p, from, &m.h, 0) >= 0 && m.h.msg_controllen >= 20)
		memcpy(&fd, m.ctl + sizeof(struct q_cmsghdr), sizeof(fd));
	return fd;
}

/* How many files there are in the kernel that a pipe's end could be. */
static bool
is_gone(struct quern_proc *p, int writer)
{
	return quern_write(p, writer, "x", 1) == -Q_EPIPE;
}

/* Circles are looked for when a socket goes. */
static void
look(struct kenv *e, struct quern_proc *p)
{
	int32_t fd[2];

	pair(e, p, Q_SOCK_STREAM, fd);
	KCHECK_EQ(e, quern_close(p, fd[0]), 0);
	KCHECK_EQ(e, quern_close(p, fd[1]), 0);
}

/*
 * Circles of sockets that nobody has any more: what else was in their messages, the
 * reading end of a pipe, goes with them.
 */
static void
circles(struct kenv *e)
{
	struct quern_proc *p;
	struct quern *k = start(e, &p);
	struct q_sockaddr_un un;
	int32_t a[2], b[2], pipe[2];
	int i, l, c, len = address("circle", &un);

	for (i = 0; k != NULL && i < 4; i++) {
		KCHECK_EQ(e, quern_pipe(p, pipe), 0);
		pair(e, p, Q_SOCK_STREAM, a);
		pair(e, p, i == 1 ? Q_SOCK_DGRAM : Q_SOCK_STREAM, b);
		if (i < 2) {
			/* Each end of one waits at the other. */
			KCHECK_EQ(e, send_fd(p, a[0], b[0]), 1);
			KCHECK_EQ(e, send_fd(p, a[0], b[1]), 1);
			KCHECK_EQ(e, send_fd(p, b[0], a[0]), 1);
			KCHECK_EQ(e, send_fd(p, b[0], a[1]), 1);
			KCHECK_EQ(e, send_fd(p, b[0], pipe[0]), 1);
		} else if (i == 2) {
			/* One waits at itself. */
			KCHECK_EQ(e, send_fd(p, a[0], a[1]), 1);
			KCHECK_EQ(e, send_fd(p, a[0], pipe[0]), 1);
		} else {
			/* A listener waits at its own connection. */
			l = quern_socket(p, Q_AF_UNIX, Q_SOCK_STREAM, 0);
			KCHECK_EQ(e, quern_bind(p, l, &un, len), 0);
			KCHECK_EQ(e, quern_listen(p, l, 1), 0);
			c = quern_socket(p, Q_AF_UNIX, Q_SOCK_STREAM, 0);
			KCHECK_EQ(e, quern_connect(p, c, &un, len), 0);
			KCHECK_EQ(e, send_fd(p, c, l), 1);
			KCHECK_EQ(e, send_fd(p, c, pipe[0]), 1);
			KCHECK_EQ(e, quern_close(p, c), 0);
			KCHECK_EQ(e, quern_close(p, l), 0);
		}
		KCHECK_EQ(e, quern_close(p, pipe[0]), 0);
		if (i < 3)
			KCHECK(e, !is_gone(p, pipe[1]));
		KCHECK_EQ(e, quern_close(p, b[0]), 0);
		KCHECK_EQ(e, quern_close(p, b[1]), 0);
		if (i < 3)
			KCHECK(e, !is_gone(p, pipe[1]));
		KCHECK_EQ(e, quern_close(p, a[0]), 0);
		if (i < 3)
			KCHECK(e, !is_gone(p, pipe[1]));
		look(e, p);
		if (i < 3)
			KCHECK(e, !is_gone(p, pipe[1]));
		KCHECK_EQ(e, quern_close(p, a[1]), 0);
		if (i == 0)
			look(e, p);
		else
			KCHECK_EQ(e,
			    quern_close(p,
				quern_socket(p, Q_AF_UNIX, Q_SOCK_DGRAM, 0)),
			    0);
		KCHECK(e, is_gone(p, pipe[1]));
		KCHECK_EQ(e, quern_close(p, pipe[1]), 0);
	}
	if (k != NULL)
		kenv_destroy(e, k);
}

/* What somebody can still receive stays, however deep it is. */
static void
chains(struct kenv *e)
{
	struct quern_proc *p;
	struct quern *k = start(e, &p);
	int32_t s[5][2], other[2];
	char c = 0;
	int i, fd;

	if (k == NULL)
		return;
	for (i = 0; i < 5; i++)
		pair(e, p, Q_SOCK_STREAM, s[i]);
	KCHECK_EQ(e, quern_write(p, s[4][0], "!", 1), 1);
	/* Each in the one before, both ends. */
	for (i = 4; i > 0; i--) {
		KCHECK_EQ(e, send_fd(p, s[i - 1][0], s[i][1]), 1);
		KCHECK_EQ(e, quern_close(p, s[i][1]), 0);
	}
	/* Something to close, which has all looked at. */
	pair(e, p, Q_SOCK_STREAM, other);
	KCHECK_EQ(e, quern_close(p, other[0]), 0);
	fd = s[0][1];
	for (i = 1; i < 5; i++) {
		fd = recv_fd(p, fd);
		KCHECK(e, fd >= 0);
		KCHECK_EQ(e, quern_close(p, other[1]), i == 1 ? 0 : -Q_EBADF);
		other[1] = 999;
	}
	KCHECK_EQ(e, quern_read(p, fd, &c, 1), 1);
	KCHECK_EQ(e, c, '!');
	kenv_destroy(e, k);
}

static void
pass_around(void *arg)
{
	struct actor *a = arg;
	int32_t mine[2];
	int i, fd;

	begin(a);
	for (i = 0; i < 12; i++) {
		if (quern_socketpair(a->p, Q_AF_UNIX, Q_SOCK_STREAM, 0, mine) !=
		    0)
			continue;
		/* At itself, at the other, and to whoever reads. */
		(void)send_fd(a->p, mine[0], mine[1]);
		(void)send_fd(a->p, mine[1], mine[0]);
		(void)send_fd(a->p, a->fd, mine[i % 2]);
		(void)quern_close(a->p, mine[0]);
		(void)quern_close(a->p, mine[1]);
		fd = recv_fd(a->p, a->fd);
		if (fd >= 0) {
			a->ret++;
			if (i % 3 == 0)
				(void)recv_fd(a->p, fd);
			(void)quern_close(a->p, fd);
		}
	}
}

/* Sockets are sent around, in circles too, while others are collected. */
static void
around(struct kenv *e)
{
	struct quern_proc *p;
	struct quern *k = start(e, &p);
	struct actor a[2];
	int32_t fd[2];
	int i;

	if (k == NULL)
		return;
	pair(e, p, Q_SOCK_DGRAM, fd);
	for (i = 0; i < 2; i++) {
		a[i] = (struct actor){ .e = e, .p = p, .fd = fd[i] };
		kspawn(e, pass_around, &a[i]);
	}
	kjoin(e);
	KCHECK_EQ(e, a[0].ret, 12);
	KCHECK_EQ(e, a[1].ret, 12);
	kenv_destroy(e, k);
}

/* ---- no memory ----------------------------------------------------------------------------- */

static void
drop_line(void *arg, int level, const char *line)
{
	(void)arg, (void)level, (void)line;
}

static bool
use_all(struct quern_proc *p)
{
	struct q_sockaddr_un un;
	int len = address("server", &un), l, c, s, f;
	static char data[9000];
	int32_t d[2];

	l = quern_socket(p, Q_AF_UNIX, Q_SOCK_STREAM, 0);
	c = quern_socket(p, Q_AF_UNIX, Q_SOCK_STREAM, 0);
	if (quern_bind(p, l, &un, len) != 0 || quern_listen(p, l, 1) != 0 ||
	    quern_connect(p, c, &un, len) != 0)
		return false;
	s = quern_accept(p, l, NULL, NULL);
	if (s < 0 || send_fd(p, c, l) != 1 || (f = recv_fd(p, s)) < 0 ||
	    quern_write(p, c, data, sizeof(data)) != sizeof(data))
		return false;
	if (quern_socketpair(p, Q_AF_UNIX, Q_SOCK_DGRAM, 0, d) != 0 ||
	    quern_write(p, d[0], data, sizeof(data)) != sizeof(data))
		return false;
	return quern_read(p, d[1], data, sizeof(data)) == sizeof(data);
}

/* Each allocation fails in turn; nothing is left. */
static void
no_memory(struct kenv *e)
{
	struct quern_config cfg = kenv_config(e);
	struct quern_proc *p;
	struct quern *k;
	bool done = false;
	uint64_t n;

	/* Hundreds of kernels: once is enough. */
	if (e->ncpu != 1 || e->runners != 0)
		return;
	cfg.components = components;
	cfg.log = drop_line;
	for (n = 1; n < 400 && !done; n++) {
		cfg.fail_alloc = n;
		if (quern_create(&cfg, &k) != 0)
			continue;
		if (quern_proc_create(k, &p) == 0)
			done = use_all(p);
		kenv_destroy(e, k);
	}
	KCHECK(e, done && n > 20);
}

const struct kcase kunix_cases[] = {
	{ .name = "wakes", .body = wakes, .seeds = 150 },
	{ .name = "times_out", .body = times_out, .seeds = 20, .nohost = true },
	{ .name = "streams", .body = streams, .seeds = 20 },
	{ .name = "serves", .body = serves, .seeds = 100 },
	{ .name = "listener_goes", .body = listener_goes, .seeds = 300 },
	{ .name = "box", .body = box, .seeds = 40 },
	{ .name = "circles", .body = circles, .seeds = 10 },
	{ .name = "chains", .body = chains, .seeds = 10 },
	{ .name = "around", .body = around, .seeds = 300 },
	{ .name = "no_memory", .body = no_memory, .seeds = 1 },
	{ .name = NULL },
};
