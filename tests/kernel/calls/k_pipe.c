/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pipes.
 */
#include "kcalls.h"

#define PAGE 4096u

/* ---- one thread ----------------------------------------------------------- */

static void
basic(struct kenv *e)
{
	struct ksys s;
	char buf[16] = "";
	int fd[2], n = -1;

	if (!ksys_open(&s, e))
		return;
	kpipe(e, s.p, fd, 0);
	KCHECK_EQ(e, fd[0], 0);
	KCHECK_EQ(e, fd[1], 1);
	KCHECK_EQ(e, quern_write(s.p, fd[1], "hello", 5), 5);
	KCHECK_EQ(e, quern_write(s.p, fd[1], " world", 6), 6);
	KCHECK_EQ(e, quern_ioctl(s.p, fd[0], Q_FIONREAD, (uintptr_t)&n), 0);
	KCHECK_EQ(e, n, 11);
	KCHECK_EQ(e, quern_read(s.p, fd[0], buf, 3), 3);
	KCHECK_EQ(e, quern_read(s.p, fd[0], buf + 3, 13), 8);
	KCHECK(e, memcmp(buf, "hello world", 11) == 0);
	KCHECK_EQ(e, quern_read(s.p, fd[0], buf, 0), 0);
	KCHECK_EQ(e, quern_write(s.p, fd[1], buf, 0), 0);
	KCHECK_EQ(e, quern_read(s.p, fd[1], buf, 1), -Q_EBADF);
	KCHECK_EQ(e, quern_write(s.p, fd[0], buf, 1), -Q_EBADF);
	KCHECK_EQ(e, quern_lseek(s.p, fd[0], 0, Q_SEEK_CUR), -Q_ESPIPE);
	KCHECK_EQ(e, quern_pread64(s.p, fd[0], buf, 1, 0), -Q_ESPIPE);
	KCHECK_EQ(e, quern_pwrite64(s.p, fd[1], buf, 1, 0), -Q_ESPIPE);
	KCHECK_EQ(e, quern_write(s.p, fd[1], "x", 1), 1);
	KCHECK_EQ(e, quern_close(s.p, fd[1]), 0);
	KCHECK_EQ(e, quern_read(s.p, fd[0], buf, 9), 1);
	KCHECK_EQ(e, quern_read(s.p, fd[0], buf, 9), 0);
	KCHECK_EQ(e, quern_close(s.p, fd[0]), 0);
	KCHECK_EQ(e, quern_close(s.p, fd[0]), -Q_EBADF);
	kpipe(e, s.p, fd, 0);
	KCHECK_EQ(e, quern_close(s.p, fd[0]), 0);
	KCHECK_EQ(e, quern_write(s.p, fd[1], buf, 1), -Q_EPIPE);
	ksys_close(&s);
}

/* How many writes of `len` bytes a new pipe takes. */
static unsigned
fill(struct ksys *s, const int fd[2], size_t len, unsigned max)
{
	static const char zero[3 * PAGE];
	unsigned n;

	for (n = 0; n < max; n++)
		if (quern_write(s->p, fd[1], zero, len) != (int64_t)len)
			break;
	return n;
}

static void
capacity(struct kenv *e)
{
	static const char data[17 * PAGE];
	static char sink[17 * PAGE];
	struct ksys s;
	int fd[2];

	if (!ksys_open(&s, e))
		return;
	kpipe(e, s.p, fd, Q_O_NONBLOCK);
	KCHECK_EQ(e, quern_fcntl(s.p, fd[0], Q_F_GETPIPE_SZ, 0), 65536);
	KCHECK_EQ(e, quern_write(s.p, fd[1], data, sizeof(data)), 65536);
	KCHECK_EQ(e, quern_write(s.p, fd[1], data, 1), -Q_EAGAIN);
	/* A byte taken out makes no room: the buffer is still there. */
	KCHECK_EQ(e, quern_read(s.p, fd[0], sink, 1), 1);
	KCHECK_EQ(e, quern_write(s.p, fd[1], data, 1), -Q_EAGAIN);
	KCHECK_EQ(e, quern_read(s.p, fd[0], sink, PAGE - 1), PAGE - 1);
	/* More than PIPE_BUF is written in part, up to it all or nothing. */
	KCHECK_EQ(e, quern_write(s.p, fd[1], data, 2 * PAGE), PAGE);
	KCHECK_EQ(e, quern_read(s.p, fd[0], sink, sizeof(sink)), 65536);
	KCHECK_EQ(e, quern_read(s.p, fd[0], sink, 1), -Q_EAGAIN);
	/* Writes that don't fit behind the last one begin a new buffer. */
	KCHECK_EQ(e, fill(&s, fd, PAGE / 2 + 1, 99), 16);
	KCHECK_EQ(e, quern_read(s.p, fd[0], sink, sizeof(sink)),
	    16 * (PAGE / 2 + 1));
	KCHECK_EQ(e, fill(&s, fd, PAGE / 2, 99), 32);
	KCHECK_EQ(e, quern_read(s.p, fd[0], sink, sizeof(sink)), 65536);

	KCHECK_EQ(e, quern_fcntl(s.p, fd[0], Q_F_SETPIPE_SZ, PAGE + 1),
	    2 * PAGE);
	KCHECK_EQ(e, fill(&s, fd, PAGE, 99), 2);
	KCHECK_EQ(e, quern_fcntl(s.p, fd[0], Q_F_SETPIPE_SZ, 1), -Q_EBUSY);
	KCHECK_EQ(e, quern_read(s.p, fd[0], sink, PAGE), PAGE);
	KCHECK_EQ(e, quern_fcntl(s.p, fd[1], Q_F_SETPIPE_SZ, 1), PAGE);
	KCHECK_EQ(e, quern_read(s.p, fd[0], sink, PAGE), PAGE);
	KCHECK_EQ(e, quern_read(s.p, fd[0], sink, PAGE), -Q_EAGAIN);
	KCHECK_EQ(e, quern_setresuid(s.p, 1, 1, 1), 0);
	KCHECK_EQ(e, quern_fcntl(s.p, fd[0], Q_F_SETPIPE_SZ, 1 << 20), 1 << 20);
	KCHECK_EQ(e, quern_fcntl(s.p, fd[0], Q_F_SETPIPE_SZ, 1 << 21),
	    -Q_EPERM);
	ksys_close(&s);
}

static void
packet(struct kenv *e)
{
	static char data[2 * PAGE + 5], sink[2 * PAGE + 5];
	struct ksys s;
	int fd[2];

	if (!ksys_open(&s, e))
		return;
	kpipe(e, s.p, fd, Q_O_DIRECT | Q_O_NONBLOCK);
	KCHECK_EQ(e, quern_write(s.p, fd[1], "one", 3), 3);
	KCHECK_EQ(e, quern_write(s.p, fd[1], "three", 5), 5);
	KCHECK_EQ(e, quern_write(s.p, fd[1], "four", 4), 4);
	KCHECK_EQ(e, quern_read(s.p, fd[0], sink, sizeof(sink)), 3);
	/* What does not fit is lost. */
	KCHECK_EQ(e, quern_read(s.p, fd[0], sink, 2), 2);
	KCHECK(e, memcmp(sink, "th", 2) == 0);
	KCHECK_EQ(e, quern_read(s.p, fd[0], sink, sizeof(sink)), 4);
	KCHECK_EQ(e, quern_read(s.p, fd[0], sink, 1), -Q_EAGAIN);
	/* A long one is several. */
	KCHECK_EQ(e, quern_write(s.p, fd[1], data, sizeof(data)), sizeof(data));
	KCHECK_EQ(e, quern_read(s.p, fd[0], sink, sizeof(sink)), PAGE);
	KCHECK_EQ(e, quern_read(s.p, fd[0], sink, sizeof(sink)), PAGE);
	KCHECK_EQ(e, quern_read(s.p, fd[0], sink, sizeof(sink)), 5);
	/* The flag counts when a byte is written. */
	KCHECK_EQ(e, quern_fcntl(s.p, fd[1], Q_F_SETFL, Q_O_NONBLOCK), 0);
	KCHECK_EQ(e, quern_write(s.p, fd[1], "a", 1), 1);
	KCHECK_EQ(e, quern_write(s.p, fd[1], "b", 1), 1);
	KCHECK_EQ(e,
	    quern_fcntl(s.p, fd[1], Q_F_SETFL, Q_O_NONBLOCK | Q_O_DIRECT), 0);
	KCHECK_EQ(e, quern_write(s.p, fd[1], "c", 1), 1);
	KCHECK_EQ(e, quern_read(s.p, fd[0], sink, 9), 3);
	ksys_close(&s);
}

static void
vectors(struct kenv *e)
{
	char a[3], b[4], c[9], text[] = "abcdefghijklmnop";
	struct q_iovec in[] = { { text, 5 }, { NULL, 0 }, { text + 5, 11 } };
	struct q_iovec out[] = { { a, 3 }, { b, 4 }, { c, 9 } };
	struct q_iovec many[20];
	struct ksys s;
	unsigned i;
	int fd[2];

	if (!ksys_open(&s, e))
		return;
	kpipe(e, s.p, fd, Q_O_NONBLOCK);
	KCHECK_EQ(e, quern_writev(s.p, fd[1], in, 3), 16);
	KCHECK_EQ(e, quern_readv(s.p, fd[0], out, 3), 16);
	KCHECK(e,
	    memcmp(a, "abc", 3) == 0 && memcmp(b, "defg", 4) == 0 &&
		memcmp(c, "hijklmnop", 9) == 0);
	for (i = 0; i < 20; i++)
		many[i] = (struct q_iovec){ text + i % 16, 1 };
	KCHECK_EQ(e, quern_writev(s.p, fd[1], many, 20), 20);
	KCHECK_EQ(e, quern_preadv2(s.p, fd[0], out, 3, -1, 0), 16);
	KCHECK_EQ(e, quern_preadv2(s.p, fd[0], out, 3, -1, Q_RWF_NOWAIT), 4);
	KCHECK(e, memcmp(a, "abc", 3) == 0 && b[0] == 'd');
	KCHECK_EQ(e, quern_fcntl(s.p, fd[0], Q_F_SETFL, 0), 0);
	KCHECK_EQ(e, quern_preadv2(s.p, fd[0], out, 3, -1, Q_RWF_NOWAIT),
	    -Q_EAGAIN);
	KCHECK_EQ(e, quern_preadv2(s.p, fd[0], out, 3, 0, 0), -Q_ESPIPE);
	KCHECK_EQ(e, quern_preadv2(s.p, fd[0], out, 3, -1, 0x4000),
	    -Q_EOPNOTSUPP);
	KCHECK_EQ(e, quern_writev(s.p, fd[1], in, 1025), -Q_EINVAL);
	in[1].iov_len = SIZE_MAX;
	KCHECK_EQ(e, quern_writev(s.p, fd[1], in, 3), -Q_EINVAL);
	in[1].iov_len = 1;
	KCHECK_EQ(e, quern_writev(s.p, fd[1], in, 3), -Q_EFAULT);
	ksys_close(&s);
}

/* ---- several threads -------------------------------------------------------- */

static void
caller(struct kcaller *c, struct ksys *s, int fd, void *buf, size_t len)
{
	*c = (struct kcaller){ .e = s->e,
		.p = s->p,
		.fd = fd,
		.buf = buf,
		.len = len };
}

/* A reader that waits gets what is written then. */
static void
wakes_reader(struct kenv *e)
{
	struct kcaller c;
	struct ksys s;
	char buf[8] = "";
	int fd[2];

	if (!ksys_open(&s, e))
		return;
	kpipe(e, s.p, fd, 0);
	caller(&c, &s, fd[0], buf, sizeof(buf));
	kspawn(e, kcaller_read, &c);
	kawait(e, &c.started, 1);
	KCHECK_EQ(e, quern_write(s.p, fd[1], "abc", 3), 3);
	kjoin(e);
	KCHECK_EQ(e, c.ret, 3);
	KCHECK(e, memcmp(buf, "abc", 3) == 0);
	ksys_close(&s);
}

/* The end of one side is seen by whoever waits on the other. */
static void
close_wakes(struct kenv *e)
{
	static const char data[PAGE];
	struct kcaller r, w;
	struct ksys s;
	char buf[8];
	int fd[2], fd2[2];

	if (!ksys_open(&s, e))
		return;
	kpipe(e, s.p, fd, 0);
	kpipe(e, s.p, fd2, 0);
	KCHECK_EQ(e, quern_fcntl(s.p, fd2[1], Q_F_SETPIPE_SZ, PAGE), PAGE);
	KCHECK_EQ(e, quern_write(s.p, fd2[1], data, PAGE), PAGE);
	caller(&r, &s, fd[0], buf, sizeof(buf));
	caller(&w, &s, fd2[1], (void *)(uintptr_t)data, PAGE);
	kspawn(e, kcaller_read, &r);
	kspawn(e, kcaller_write, &w);
	kawait(e, &r.started, 1);
	KCHECK_EQ(e, quern_close(s.p, fd[1]), 0);
	kawait(e, &w.started, 1);
	KCHECK_EQ(e, quern_close(s.p, fd2[0]), 0);
	kjoin(e);
	KCHECK_EQ(e, r.ret, 0);
	KCHECK_EQ(e, w.ret, -Q_EPIPE);
	ksys_close(&s);
}

/* An interrupt ends the wait that there is, or the next one, and only one. */
static void
interrupt(struct kenv *e)
{
	struct kcaller c;
	struct ksys s;
	char buf[8];
	int fd[2];

	if (!ksys_open(&s, e))
		return;
	kpipe(e, s.p, fd, 0);
	caller(&c, &s, fd[0], buf, sizeof(buf));
	kspawn(e, kcaller_read, &c);
	kawait(e, &c.started, 1);
	kpause(e);
	quern_interrupt(s.p);
	kjoin(e);
	KCHECK_EQ(e, c.ret, -Q_EINTR);
	/* Nobody waits: it is kept, and calls that don't wait leave it. */
	quern_interrupt(s.p);
	KCHECK_EQ(e, quern_write(s.p, fd[1], "x", 1), 1);
	KCHECK_EQ(e, quern_read(s.p, fd[0], buf, 8), 1);
	KCHECK_EQ(e, quern_read(s.p, fd[0], buf, 8), -Q_EINTR);
	/* It has been used up. */
	caller(&c, &s, fd[0], buf, sizeof(buf));
	kspawn(e, kcaller_read, &c);
	kawait(e, &c.started, 1);
	KCHECK_EQ(e, quern_write(s.p, fd[1], "y", 1), 1);
	kjoin(e);
	KCHECK_EQ(e, c.ret, 1);
	ksys_close(&s);
}

/* One that is interrupted in the middle of a write says how far it got. */
static void
interrupt_partial(struct kenv *e)
{
	static const char data[3 * PAGE];
	struct kcaller c;
	struct ksys s;
	int fd[2], n = 0;

	if (!ksys_open(&s, e))
		return;
	kpipe(e, s.p, fd, 0);
	KCHECK_EQ(e, quern_fcntl(s.p, fd[1], Q_F_SETPIPE_SZ, 2 * PAGE),
	    2 * PAGE);
	caller(&c, &s, fd[1], (void *)(uintptr_t)data, sizeof(data));
	kspawn(e, kcaller_write, &c);
	while (n != 2 * PAGE && !e->failed) {
		kpause(e);
		KCHECK_EQ(e, quern_ioctl(s.p, fd[0], Q_FIONREAD, (uintptr_t)&n),
		    0);
	}
	quern_interrupt(s.p);
	kjoin(e);
	KCHECK_EQ(e, c.ret, 2 * PAGE);
	ksys_close(&s);
}

/* ---- a stream ---------------------------------------------------------------- */

struct stream {
	struct ksys s;
	int fd[2];
	size_t total;
	uint64_t sum_in, sum_out;
};

static uint32_t
next_random(uint32_t *x)
{
	*x = *x * 1664525 + 1013904223;
	return *x >> 8;
}

static void
stream_writer(void *arg)
{
	struct stream *st = arg;
	char buf[3 * PAGE];
	uint32_t x = 1;
	size_t left, n, i;
	int64_t r;

	for (left = st->total; left > 0; left -= (size_t)r) {
		n = 1 + next_random(&x) % sizeof(buf);
		if (n > left)
			n = left;
		for (i = 0; i < n; i++)
			buf[i] = (char)(st->total - left + i);
		r = quern_write(st->s.p, st->fd[1], buf, n);
		if (!KCHECK_EQ(st->s.e, r, n))
			break;
	}
	KCHECK_EQ(st->s.e, quern_close(st->s.p, st->fd[1]), 0);
}

static void
stream_reader(void *arg)
{
	struct stream *st = arg;
	char buf[2 * PAGE];
	size_t got = 0, i, wrong = 0;
	uint32_t x = 7;
	int64_t r;

	for (;;) {
		r = quern_read(st->s.p, st->fd[0], buf,
		    1 + next_random(&x) % sizeof(buf));
		if (r <= 0)
			break;
		for (i = 0; i < (size_t)r; i++)
			wrong += buf[i] != (char)(got + i);
		got += (size_t)r;
	}
	KCHECK_EQ(st->s.e, r, 0);
	KCHECK_EQ(st->s.e, got, st->total);
	KCHECK_EQ(st->s.e, wrong, 0);
}

/* Bytes come out as they went in, through a small pipe. */
static void
stream(struct kenv *e)
{
	struct stream st;

	memset(&st, 0, sizeof(st));
	st.total = KROUNDS(e, 40000, 3000000);
	if (!ksys_open(&st.s, e))
		return;
	kpipe(e, st.s.p, st.fd, 0);
	KCHECK_EQ(e, quern_fcntl(st.s.p, st.fd[1], Q_F_SETPIPE_SZ, 2 * PAGE),
	    2 * PAGE);
	kspawn(e, stream_reader, &st);
	kspawn(e, stream_writer, &st);
	kjoin(e);
	ksys_close(&st.s);
}

/* ---- many readers and writers -------------------------------------------------- */

#define SIDES 2u

struct crowd {
	struct ksys s;
	int fd[2];
	unsigned messages;    /* of each writer */
	uint32_t seen[SIDES]; /* [a] by writer */
	uint32_t read;        /* [a] */
};

struct crowd_side {
	struct crowd *c;
	unsigned id;
};

/* A message of 1 to 64 words, all of them the same. */
static void
crowd_writer(void *arg)
{
	struct crowd_side *cs = arg;
	struct crowd *c = cs->c;
	uint32_t m[64], i, j, n;

	for (i = 0; i < c->messages; i++) {
		n = 1 + (i * 7 + cs->id) % 64;
		for (j = 0; j < n; j++)
			m[j] = cs->id << 24 | n << 16 | i;
		if (!KCHECK_EQ(c->s.e, quern_write(c->s.p, c->fd[1], m, n * 4),
			n * 4))
			return;
	}
}

static void
crowd_reader(void *arg)
{
	struct crowd_side *cs = arg;
	struct crowd *c = cs->c;
	uint32_t m[64], n, j, id;
	int64_t r;

	for (;;) {
		r = quern_read(c->s.p, c->fd[0], m, sizeof(m));
		if (r <= 0)
			break;
		n = m[0] >> 16 & 0xff;
		id = m[0] >> 24;
		if (!KCHECK_EQ(c->s.e, r, n * 4) || !KCHECK(c->s.e, id < SIDES))
			return;
		for (j = 1; j < n; j++)
			KCHECK_EQ(c->s.e, m[j], m[0]);
		__atomic_fetch_add(&c->seen[id], 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&c->read, 1, __ATOMIC_RELEASE);
	}
	KCHECK_EQ(c->s.e, r, 0);
}

/* Each packet goes to one reader, whole; nobody is left asleep. */
static void
crowd(struct kenv *e)
{
	struct crowd_side side[2 * SIDES];
	struct crowd c;
	unsigned i;

	memset(&c, 0, sizeof(c));
	c.messages = KROUNDS(e, 6, 4000);
	if (!ksys_open(&c.s, e))
		return;
	kpipe(e, c.s.p, c.fd, Q_O_DIRECT);
	KCHECK_EQ(e, quern_fcntl(c.s.p, c.fd[1], Q_F_SETPIPE_SZ, PAGE), PAGE);
	for (i = 0; i < 2 * SIDES; i++) {
		side[i] = (struct crowd_side){ &c, i / 2 };
		kspawn(e, i % 2 == 0 ? crowd_writer : crowd_reader, &side[i]);
	}
	kawait(e, &c.read, SIDES * c.messages);
	KCHECK_EQ(e, quern_close(c.s.p, c.fd[1]), 0);
	kjoin(e);
	for (i = 0; i < SIDES; i++)
		KCHECK_EQ(e, c.seen[i], c.messages);
	ksys_close(&c.s);
}

/* ---- forks --------------------------------------------------------------------- */

static void
forked(struct kenv *e)
{
	struct quern_proc *child = NULL;
	struct kcaller c;
	struct ksys s;
	char buf[8];
	int fd[2];

	if (!ksys_open(&s, e))
		return;
	kpipe(e, s.p, fd, 0);
	KCHECK_EQ(e, quern_proc_fork(s.p, &child), 0);
	KCHECK_EQ(e, quern_write(child, fd[1], "c", 1), 1);
	KCHECK_EQ(e, quern_read(s.p, fd[0], buf, 8), 1);
	/* Each has descriptors of its own to the shared files. */
	KCHECK_EQ(e, quern_close(s.p, fd[1]), 0);
	KCHECK_EQ(e, quern_write(s.p, fd[1], "x", 1), -Q_EBADF);
	KCHECK_EQ(e, quern_write(child, fd[1], "d", 1), 1);
	KCHECK_EQ(e, quern_read(s.p, fd[0], buf, 8), 1);
	/* End of file when the child's goes, with the child. */
	caller(&c, &s, fd[0], buf, sizeof(buf));
	kspawn(e, kcaller_read, &c);
	kawait(e, &c.started, 1);
	KCHECK_EQ(e, quern_proc_destroy(child), 0);
	kjoin(e);
	KCHECK_EQ(e, c.ret, 0);
	ksys_close(&s);
}

/* A process in a call can't be ended. */
static void
destroy_busy(struct kenv *e)
{
	struct quern_proc *q = NULL;
	struct kcaller c;
	struct ksys s;
	char buf[8];
	int fd[2], error;

	if (!ksys_open(&s, e))
		return;
	kpipe(e, s.p, fd, 0);
	KCHECK_EQ(e, quern_proc_fork(s.p, &q), 0);
	caller(&c, &s, fd[0], buf, sizeof(buf));
	c.p = q;
	kspawn(e, kcaller_read, &c);
	kawait(e, &c.started, 1);
	kpause(e);
	/* In a world the reader may not have come in yet. */
	if (e->sim == NULL) {
		error = quern_proc_destroy(q);
		KCHECK_EQ(e, error, -Q_EBUSY);
		KCHECK_EQ(e, quern_destroy(s.k), -Q_EBUSY);
	}
	quern_interrupt(q);
	kjoin(e);
	KCHECK_EQ(e, c.ret, -Q_EINTR);
	KCHECK_EQ(e, quern_proc_destroy(q), 0);
	ksys_close(&s);
}

const struct kcase kpipe_cases[] = {
	{ .name = "basic", .body = basic, .seeds = 2 },
	{ .name = "capacity", .body = capacity, .seeds = 2 },
	{ .name = "packet", .body = packet, .seeds = 2 },
	{ .name = "vectors", .body = vectors, .seeds = 2 },
	{ .name = "wakes_reader", .body = wakes_reader, .seeds = 2000 },
	{ .name = "close_wakes", .body = close_wakes, .seeds = 1000 },
	{ .name = "interrupt", .body = interrupt, .seeds = 1000 },
	{ .name = "interrupt_partial",
	    .body = interrupt_partial,
	    .seeds = 200 },
	{ .name = "stream", .body = stream, .seeds = 200 },
	{ .name = "crowd", .body = crowd, .seeds = 1000 },
	{ .name = "forked", .body = forked, .seeds = 300 },
	{ .name = "destroy_busy", .body = destroy_busy, .seeds = 300 },
	{ .name = NULL },
};
