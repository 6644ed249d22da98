/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The console and files that are channels: on posix the other end is a pipe or a
 * socket of the host's, in a world another kernel's channel.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <quern/chan.h>
#include <quern/file.h>

#include "ktty.h"

/* The other end of a channel. */
struct peer {
	struct kt *t;
	char name[40];
	int host; /* posix: ours of a socket pair */
	int theirs;
	struct quern *k2; /* a world: a kernel of its own, */
	struct quern_proc *p2;
	int fd2; /* and its file of the channel */
};

struct made {
	struct quern *k;
	struct quern_proc *p;
	const char *name;
	uint32_t flags;
};

static int64_t
make_file(void *arg)
{
	struct made *m = arg;
	struct qfile *f;
	int error = qchanfile_create(m->k, m->name, m->flags, &f);

	return error != 0 ? error : qfd_install(m->p, f, 0);
}

static int64_t
make_console(void *arg)
{
	struct made *m = arg;

	return qtty_console(m->k, m->name, 0);
}

static void
peer_open(struct peer *r, struct kt *t)
{
	struct kenv *e = t->e;
	struct quern_config cfg = kenv_config(e);
	struct made m;
	int sv[2];

	memset(r, 0, sizeof(*r));
	r->t = t;
	r->host = r->theirs = -1;
	if (e->sim == NULL) {
		KCHECK_EQ(e, socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
		r->host = sv[0];
		r->theirs = sv[1];
		(void)fcntl(r->host, F_SETFL, O_NONBLOCK);
		snprintf(r->name, sizeof(r->name), "fd:%d", r->theirs);
		return;
	}
	snprintf(r->name, sizeof(r->name), "loop:console");
	KCHECK_EQ(e, quern_create(&cfg, &r->k2), 0);
	KCHECK_EQ(e, quern_proc_create(r->k2, &r->p2), 0);
	m = (struct made){ r->k2, r->p2, r->name, Q_O_RDWR };
	r->fd2 = (int)quern_run(r->p2, make_file, &m);
	KCHECK(e, r->fd2 >= 0);
}

/* The other end hangs up. */
static void
peer_hangup(struct peer *r)
{
	if (r->k2 != NULL) {
		KCHECK_EQ(r->t->e, quern_close(r->p2, r->fd2), 0);
	} else {
		(void)close(r->host);
		r->host = -1;
	}
}

static void
peer_close(struct peer *r)
{
	if (r->k2 != NULL)
		kenv_destroy(r->t->e, r->k2);
	if (r->host >= 0)
		(void)close(r->host);
	if (r->theirs >= 0)
		(void)close(r->theirs);
}

static void
peer_write(struct peer *r, const char *text)
{
	int64_t n = r->k2 != NULL ?
	    quern_write(r->p2, r->fd2, text, strlen(text)) :
	    write(r->host, text, strlen(text));

	KCHECK_EQ(r->t->e, n, strlen(text));
}

/* It receives that, and waits for it. */
static void
peer_reads(struct peer *r, const char *want)
{
	size_t len = strlen(want), got = 0;
	struct pollfd pfd = { r->host, POLLIN, 0 };
	char buf[256];
	int64_t n;

	while (got < len) {
		if (r->k2 != NULL) {
			n = quern_read(r->p2, r->fd2, buf + got, len - got);
		} else {
			/* Whatever the kernel has to do for it. */
			(void)quern_poll(r->t->k, 0);
			(void)poll(&pfd, 1, 1);
			n = read(r->host, buf + got, len - got);
			if (n < 0)
				continue;
		}
		if (!KCHECK(r->t->e, n > 0))
			return;
		got += (size_t)n;
	}
	KCHECK(r->t->e, memcmp(buf, want, len) == 0);
}

static int64_t
resize(void *arg)
{
	struct kt *t = arg;
	const struct q_winsize ws = { 5, 6, 7, 8 };

	return qtty_console_resize(t->k, &ws);
}

static void
console(struct kenv *e)
{
	struct q_winsize ws;
	struct quern_proc *child;
	struct peer r;
	struct made m;
	struct kt t;
	int32_t id;
	int fd, tty;

	if (!kt_open(&t, e))
		return;
	KCHECK_EQ(e, quern_run(t.p, resize, &t), -Q_ENXIO);
	KCHECK_EQ(e, quern_open(t.p, "/dev/console", Q_O_RDWR, 0), -Q_ENOENT);
	peer_open(&r, &t);
	m = (struct made){ t.k, t.p, "nonsense", 0 };
	KCHECK(e, quern_run(t.p, make_console, &m) < 0);
	m.name = r.name;
	KCHECK_EQ(e, quern_run(t.p, make_console, &m), 0);
	KCHECK_EQ(e, quern_run(t.p, make_console, &m), -Q_EEXIST);
	fd = quern_open(t.p, "/dev/console", Q_O_RDWR, 0);
	KCHECK(e, fd >= 0);
	kwrites(&t, t.p, fd, "login\n");
	peer_reads(&r, "login\r\n");
	peer_write(&r, "root\r");
	kreads(&t, t.p, fd, "root\n");
	peer_reads(&r, "root\r\n");
	/* It controls nobody, unless it is asked to. */
	KCHECK_EQ(e, kioctl(t.p, fd, Q_TIOCGPGRP, &id), -Q_ENOTTY);
	tty = quern_open(t.p, "/dev/ttyS0", Q_O_RDWR, 0);
	KCHECK_EQ(e, kioctl(t.p, fd, Q_TIOCGPGRP, &id), 0);
	KCHECK_EQ(e, quern_run(t.p, resize, &t), 0);
	KCHECK_EQ(e, kioctl(t.p, tty, Q_TIOCGWINSZ, &ws), 0);
	KCHECK_EQ(e, ws.ws_col, 6);
	KCHECK_EQ(e, quern_ioctl(t.p, fd, Q_TCSBRK, 1), 0);
	/* A hang-up ends what is open, and is over for who opens it again. */
	KCHECK_EQ(e, quern_ioctl(t.p, fd, Q_TIOCVHANGUP, 0), 0);
	KCHECK_EQ(e, quern_write(t.p, tty, "x", 1), -Q_EIO);
	KCHECK_EQ(e, quern_close(t.p, fd), 0);
	KCHECK_EQ(e, quern_close(t.p, tty), 0);
	fd = quern_open(t.p, "/dev/ttyS0", Q_O_RDWR, 0);
	kwrites(&t, t.p, fd, "again");
	peer_reads(&r, "again");
	/* The leader of its session exits: that is a hang-up, too. */
	KCHECK_EQ(e, quern_proc_fork(t.p, &child), 0);
	KCHECK_EQ(e, quern_close(t.p, fd), 0);
	KCHECK_EQ(e, quern_proc_destroy(t.p), 0);
	KCHECK_EQ(e, quern_write(child, fd, "x", 1), -Q_EIO);
	fd = quern_open(child, "/dev/console", Q_O_RDWR, 0);
	kwrites(&t, child, fd, "more");
	peer_reads(&r, "more");
	/* The other end goes. */
	peer_hangup(&r);
	kreads(&t, child, fd, "");
	KCHECK_EQ(e, quern_write(child, fd, "x", 1), -Q_EIO);
	kt_close(&t);
	peer_close(&r);
}

static void
channel_file(struct kenv *e)
{
	struct kreader rd;
	struct peer r;
	struct made m;
	struct q_stat st;
	struct kt t;
	char buf[8];
	int fd;

	if (!kt_open(&t, e))
		return;
	peer_open(&r, &t);
	m = (struct made){ t.k, t.p, r.name, Q_O_RDWR };
	fd = (int)quern_run(t.p, make_file, &m);
	KCHECK(e, fd >= 0);
	KCHECK_EQ(e, quern_fstat(t.p, fd, &st), 0);
	KCHECK_EQ(e, st.st_mode & Q_S_IFMT, Q_S_IFIFO);
	KCHECK_EQ(e, kioctl(t.p, fd, Q_TCGETS, buf), -Q_ENOTTY);
	KCHECK_EQ(e, quern_lseek(t.p, fd, 0, 0), -Q_ESPIPE);
	/* Byte for byte. */
	kwrites(&t, t.p, fd, "\003\n\r\377x");
	peer_reads(&r, "\003\n\r\377x");
	memset(&rd, 0, sizeof(rd));
	rd.p = t.p;
	rd.fd = fd;
	kspawn(e, kreader_main, &rd);
	kawait(e, &rd.started, 1);
	peer_write(&r, "\r\004\n");
	kjoin(e);
	KCHECK(e, rd.ret >= 1 && rd.ret <= 3);
	if (rd.ret < 3)
		KCHECK_EQ(e, quern_read(t.p, fd, rd.buf + rd.ret, 3 - rd.ret),
		    3 - rd.ret);
	KCHECK(e, memcmp(rd.buf, "\r\004\n", 3) == 0);
	/* Nothing there. */
	KCHECK_EQ(e, kready(t.p, fd) & (Q_POLLIN | Q_POLLOUT), Q_POLLOUT);
	KCHECK_EQ(e, quern_fcntl(t.p, fd, Q_F_SETFL, Q_O_NONBLOCK), 0);
	KCHECK_EQ(e, quern_read(t.p, fd, buf, 8), -Q_EAGAIN);
	KCHECK_EQ(e, quern_fcntl(t.p, fd, Q_F_SETFL, 0), 0);
	/* Whoever polls it has a byte ahead, which is not lost. */
	peer_write(&r, "ab");
	while ((kready(t.p, fd) & Q_POLLIN) == 0)
		kpause(e);
	KCHECK_EQ(e, quern_read(t.p, fd, buf, 1), 1);
	KCHECK_EQ(e, quern_read(t.p, fd, buf + 1, 1), 1);
	KCHECK(e, memcmp(buf, "ab", 2) == 0);
	/* Interrupted. */
	memset(&rd, 0, sizeof(rd));
	rd.p = t.p;
	rd.fd = fd;
	kspawn(e, kreader_main, &rd);
	kawait(e, &rd.started, 1);
	quern_interrupt(t.p);
	kjoin(e);
	KCHECK_EQ(e, rd.ret, -Q_EINTR);
	/* The end, and nobody there. */
	peer_hangup(&r);
	KCHECK_EQ(e, quern_read(t.p, fd, buf, 8), 0);
	KCHECK(e, (kready(t.p, fd) & Q_POLLHUP) != 0);
	KCHECK_EQ(e, quern_write(t.p, fd, "x", 1), -Q_EPIPE);
	kt_close(&t);
	peer_close(&r);
}

const struct kcase kconsole_cases[] = {
	{ .name = "console", .body = console, .seeds = 60 },
	{ .name = "channel_file", .body = channel_file, .seeds = 60 },
	{ .name = NULL },
};
