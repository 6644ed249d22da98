/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ptys: their life, names, modes and ends.
 */
#include "ktty.h"

#include <quern/abi/fs.h>

static void
basic(struct kenv *e)
{
	struct kt t;
	int fd[2];
	int32_t n = -1;

	if (!kt_open(&t, e))
		return;
	kpty(&t, t.p, fd);
	kwrites(&t, t.p, fd[0], "hello\r");
	kreads(&t, t.p, fd[0], "hello\r\n");
	KCHECK_EQ(e, kioctl(t.p, fd[1], Q_FIONREAD, &n), 0);
	KCHECK_EQ(e, n, 6);
	kreads(&t, t.p, fd[1], "hello\n");
	kwrites(&t, t.p, fd[1], "a\tb\n");
	KCHECK_EQ(e, kioctl(t.p, fd[0], Q_FIONREAD, &n), 0);
	KCHECK_EQ(e, n, 5);
	kreads(&t, t.p, fd[0], "a\tb\r\n");
	/* An end of file is no end. */
	kwrites(&t, t.p, fd[0], "\004x\n");
	kreads(&t, t.p, fd[1], "");
	kreads(&t, t.p, fd[1], "x\n");
	KCHECK_EQ(e, quern_lseek(t.p, fd[1], 0, Q_SEEK_CUR), -Q_ESPIPE);
	KCHECK_EQ(e, quern_ioctl(t.p, fd[1], 0x1234, 0), -Q_ENOTTY);
	kt_close(&t);
}

static void
locked(struct kenv *e)
{
	int32_t zero = 0, n = -1;
	struct q_stat st;
	const char *path;
	struct kt t;
	int m, s;

	if (!kt_open(&t, e))
		return;
	m = quern_open(t.p, "/dev/pts/ptmx", Q_O_RDWR, 0);
	KCHECK(e, m >= 0);
	path = slave_path(t.p, m);
	KCHECK_EQ(e, quern_stat(t.p, path, &st), 0);
	KCHECK_EQ(e, st.st_mode, Q_S_IFCHR | 0620);
	KCHECK_EQ(e, st.st_gid, 5);
	KCHECK_EQ(e, st.st_rdev, 136 << 8);
	KCHECK_EQ(e, quern_open(t.p, path, Q_O_RDWR, 0), -Q_EIO);
	KCHECK_EQ(e, kioctl(t.p, m, Q_TIOCGPTLCK, &n), 0);
	KCHECK_EQ(e, n, 1);
	KCHECK_EQ(e, kioctl(t.p, m, Q_TIOCSPTLCK, &zero), 0);
	KCHECK_EQ(e, kioctl(t.p, m, Q_TIOCGPTLCK, &n), 0);
	KCHECK_EQ(e, n, 0);
	s = quern_open(t.p, path, Q_O_RDWR | Q_O_NOCTTY, 0);
	KCHECK(e, s >= 0);
	KCHECK_EQ(e, quern_chmod(t.p, path, 0666), 0);
	KCHECK_EQ(e, quern_chown(t.p, path, 7, 8), 0);
	KCHECK_EQ(e, quern_close(t.p, s), 0);
	KCHECK_EQ(e, quern_stat(t.p, path, &st), 0);
	KCHECK_EQ(e, st.st_mode, Q_S_IFCHR | 0666);
	KCHECK_EQ(e, st.st_uid, 7);
	s = (int)quern_ioctl(t.p, m, Q_TIOCGPTPEER, Q_O_RDWR | Q_O_NOCTTY);
	KCHECK(e, s >= 0);
	kwrites(&t, t.p, s, "x");
	kreads(&t, t.p, m, "x");
	KCHECK_EQ(e, kioctl(t.p, s, Q_TIOCGPTN, &n), -Q_ENOTTY);
	kt_close(&t);
}

/* Is there such a name in /dev/pts? */
static bool
is_listed(struct quern_proc *p, const char *name)
{
	int fd = quern_open(p, "/dev/pts", Q_O_RDONLY | Q_O_DIRECTORY, 0);
	struct q_dirent64 *d;
	bool found = false;
	char buf[256];
	int64_t n, at;

	while ((n = quern_getdents64(p, fd, buf, sizeof(buf))) > 0)
		for (at = 0; at < n; at += d->d_reclen) {
			d = (struct q_dirent64 *)(void *)(buf + at);
			found |= strcmp(d->d_name, name) == 0;
		}
	(void)quern_close(p, fd);
	return found;
}

static void
names(struct kenv *e)
{
	struct q_stat st, st2;
	int a[2], b[2], i;
	struct kt t;
	int fd[40];

	if (!kt_open(&t, e))
		return;
	KCHECK_EQ(e, quern_stat(t.p, "/dev/pts/0", &st), -Q_ENOENT);
	kpty(&t, t.p, a);
	kpty(&t, t.p, b);
	KCHECK(e, is_listed(t.p, "0") && is_listed(t.p, "1"));
	KCHECK(e, is_listed(t.p, "ptmx") && !is_listed(t.p, "2"));
	KCHECK_EQ(e, quern_stat(t.p, "/dev/pts/0", &st), 0);
	KCHECK_EQ(e, quern_stat(t.p, "/dev/pts/00", &st2), -Q_ENOENT);
	KCHECK_EQ(e, quern_close(t.p, a[0]), 0);
	KCHECK_EQ(e, quern_stat(t.p, "/dev/pts/0", &st2), -Q_ENOENT);
	KCHECK(e, !is_listed(t.p, "0"));
	/* The number comes again while the old slave is open. */
	a[0] = quern_open(t.p, "/dev/ptmx", Q_O_RDWR, 0);
	KCHECK_EQ(e, quern_stat(t.p, "/dev/pts/0", &st2), 0);
	KCHECK(e, st.st_ino != st2.st_ino);
	KCHECK_EQ(e, quern_fstat(t.p, a[1], &st2), 0);
	KCHECK_EQ(e, st.st_ino, st2.st_ino);
	KCHECK_EQ(e, quern_unlink(t.p, "/dev/pts/0"), -Q_EPERM);
	for (i = 0; i < 40; i++) {
		fd[i] = quern_open(t.p, "/dev/ptmx", Q_O_RDWR, 0);
		KCHECK(e, fd[i] >= 0);
	}
	KCHECK(e, is_listed(t.p, "41"));
	KCHECK_EQ(e, quern_mount(t.p, "x", "/dev/shm", "devpts", 0, "no=1"),
	    -Q_EINVAL);
	KCHECK_EQ(e,
	    quern_mount(t.p, "x", "/dev/shm", "devpts", 0,
		"newinstance,ptmxmode=0666,uid=1,max=5"),
	    0);
	KCHECK_EQ(e, quern_stat(t.p, "/dev/shm/ptmx", &st), 0);
	KCHECK_EQ(e, st.st_mode, Q_S_IFCHR | 0666);
	KCHECK_EQ(e, quern_stat(t.p, "/dev/ptmx", &st), 0);
	KCHECK_EQ(e, st.st_rdev, 5 << 8 | 2);
	KCHECK_EQ(e, quern_umount2(t.p, "/dev/shm", 0), 0);
	kt_close(&t);
}

/* The slave's end, and the master's. */
static void
ends(struct kenv *e)
{
	struct kt t;
	char c;
	int fd[2], s;

	if (!kt_open(&t, e))
		return;
	kpty(&t, t.p, fd);
	kwrites(&t, t.p, fd[1], "last");
	KCHECK_EQ(e, kready(t.p, fd[0]) & Q_POLLHUP, 0);
	KCHECK_EQ(e, quern_close(t.p, fd[1]), 0);
	KCHECK_EQ(e, kready(t.p, fd[0]) & (Q_POLLHUP | Q_POLLIN),
	    Q_POLLHUP | Q_POLLIN);
	kreads(&t, t.p, fd[0], "last");
	KCHECK_EQ(e, quern_read(t.p, fd[0], &c, 1), -Q_EIO);
	/* What is typed now waits for who opens it next. */
	kwrites(&t, t.p, fd[0], "later\n");
	s = quern_open(t.p, slave_path(t.p, fd[0]), Q_O_RDWR | Q_O_NOCTTY, 0);
	KCHECK_EQ(e, kready(t.p, fd[0]) & Q_POLLHUP, 0);
	kreads(&t, t.p, s, "later\n");
	kwrites(&t, t.p, fd[0], "lost\n");
	KCHECK_EQ(e, quern_close(t.p, fd[0]), 0);
	KCHECK_EQ(e, kready(t.p, s),
	    Q_POLLIN | Q_POLLOUT | Q_POLLERR | Q_POLLHUP | Q_POLLRDNORM);
	KCHECK_EQ(e, quern_read(t.p, s, &c, 1), 0);
	KCHECK_EQ(e, quern_write(t.p, s, "x", 1), -Q_EIO);
	KCHECK_EQ(e, kioctl(t.p, s, Q_TCGETS, &c), -Q_EIO);
	KCHECK_EQ(e, kioctl(t.p, s, Q_TIOCSPGRP, &c), -Q_ENOTTY);
	kt_close(&t);
}

static void
packets(struct kenv *e)
{
	struct q_termios tio;
	int32_t one = 1, n = 0;
	char buf[16];
	struct kt t;
	int fd[2];

	if (!kt_open(&t, e))
		return;
	kpty(&t, t.p, fd);
	KCHECK_EQ(e, kioctl(t.p, fd[0], Q_TIOCPKT, &one), 0);
	KCHECK_EQ(e, kioctl(t.p, fd[0], Q_TIOCGPKT, &n), 0);
	KCHECK_EQ(e, n, 1);
	kwrites(&t, t.p, fd[1], "ab");
	KCHECK_EQ(e, quern_read(t.p, fd[0], buf, sizeof(buf)), 3);
	KCHECK(e, memcmp(buf, "\0ab", 3) == 0);
	kwrites(&t, t.p, fd[0], "\023");
	KCHECK(e, (kready(t.p, fd[0]) & Q_POLLPRI) != 0);
	KCHECK_EQ(e, quern_read(t.p, fd[0], buf, sizeof(buf)), 1);
	KCHECK_EQ(e, buf[0], Q_TIOCPKT_STOP);
	kwrites(&t, t.p, fd[0], "\021");
	KCHECK_EQ(e, quern_read(t.p, fd[0], buf, sizeof(buf)), 1);
	KCHECK_EQ(e, buf[0], Q_TIOCPKT_START);
	KCHECK_EQ(e, kready(t.p, fd[0]) & Q_POLLIN, 0);
	KCHECK_EQ(e, kioctl(t.p, fd[1], Q_TCGETS, &tio), 0);
	tio.c_iflag &= ~(uint32_t)Q_IXON;
	KCHECK_EQ(e, kioctl(t.p, fd[1], Q_TCSETS, &tio), 0);
	KCHECK_EQ(e, quern_read(t.p, fd[0], buf, sizeof(buf)), 1);
	KCHECK_EQ(e, buf[0], Q_TIOCPKT_NOSTOP);
	KCHECK_EQ(e, quern_ioctl(t.p, fd[1], Q_TCFLSH, Q_TCIOFLUSH), 0);
	KCHECK_EQ(e, quern_read(t.p, fd[0], buf, sizeof(buf)), 1);
	KCHECK_EQ(e, buf[0], Q_TIOCPKT_FLUSHREAD | Q_TIOCPKT_FLUSHWRITE);
	kt_close(&t);
}

/* Room ends, and comes again. */
static void
full(struct kenv *e)
{
	static char text[16384], sink[16384];
	int64_t n, all = 0;
	struct kt t;
	int fd[2];

	if (!kt_open(&t, e))
		return;
	kpty(&t, t.p, fd);
	memset(text, 'x', sizeof(text));
	KCHECK_EQ(e, quern_fcntl(t.p, fd[0], Q_F_SETFL, Q_O_NONBLOCK), 0);
	KCHECK_EQ(e, quern_fcntl(t.p, fd[1], Q_F_SETFL, Q_O_NONBLOCK), 0);
	klflag(&t, t.p, fd[1], Q_ECHO, 0);
	while ((n = quern_write(t.p, fd[1], text, 1000)) > 0)
		all += n;
	KCHECK_EQ(e, n, -Q_EAGAIN);
	KCHECK_EQ(e, all, 8192);
	KCHECK_EQ(e, kready(t.p, fd[1]) & Q_POLLOUT, 0);
	KCHECK_EQ(e, quern_read(t.p, fd[0], sink, sizeof(sink)), 8192);
	KCHECK(e, (kready(t.p, fd[1]) & Q_POLLOUT) != 0);
	/* One line that is too long: its beginning, and its end. */
	KCHECK_EQ(e, quern_write(t.p, fd[0], text, 5000), 5000);
	KCHECK_EQ(e, quern_write(t.p, fd[0], "y\n", 2), 2);
	KCHECK_EQ(e, quern_read(t.p, fd[1], sink, sizeof(sink)), 4096);
	KCHECK_EQ(e, sink[4094], 'x');
	KCHECK_EQ(e, sink[4095], '\n');
	/* Lines that nobody reads. */
	memset(text, '\n', sizeof(text));
	KCHECK_EQ(e, quern_write(t.p, fd[0], text, 5000), 4095);
	KCHECK_EQ(e, quern_write(t.p, fd[0], text, 1), -Q_EAGAIN);
	KCHECK_EQ(e, kready(t.p, fd[0]) & Q_POLLOUT, 0);
	KCHECK_EQ(e, quern_read(t.p, fd[1], sink, sizeof(sink)), 1);
	KCHECK(e, (kready(t.p, fd[0]) & Q_POLLOUT) != 0);
	/* What has gone by VERASE makes room. */
	KCHECK_EQ(e, quern_ioctl(t.p, fd[1], Q_TCFLSH, Q_TCIFLUSH), 0);
	KCHECK_EQ(e, quern_write(t.p, fd[0], text, 1), 1);
	kt_close(&t);
}

/* VMIN and VTIME, by the clock of a world. */
static void
timed(struct kenv *e)
{
	const uint64_t sec = 1000000000;
	struct q_timespec a, b;
	struct q_termios tio;
	struct kreader r;
	struct kt t;
	int fd[2];

	if (!kt_open(&t, e))
		return;
	kpty(&t, t.p, fd);
	KCHECK_EQ(e, kioctl(t.p, fd[1], Q_TCGETS, &tio), 0);
	tio.c_lflag = 0;
	tio.c_cc[Q_VMIN] = 0;
	tio.c_cc[Q_VTIME] = 50;
	KCHECK_EQ(e, kioctl(t.p, fd[1], Q_TCSETS, &tio), 0);
	KCHECK_EQ(e, quern_clock_gettime(t.p, 1, &a), 0);
	kreads(&t, t.p, fd[1], "");
	KCHECK_EQ(e, quern_clock_gettime(t.p, 1, &b), 0);
	KCHECK(e,
	    (b.tv_sec - a.tv_sec) * sec + b.tv_nsec - a.tv_nsec >= 5 * sec);
	/* Three, but only as long as they come. */
	tio.c_cc[Q_VMIN] = 3;
	KCHECK_EQ(e, kioctl(t.p, fd[1], Q_TCSETS, &tio), 0);
	kwrites(&t, t.p, fd[0], "ab");
	KCHECK_EQ(e, kready(t.p, fd[1]) & Q_POLLIN, Q_POLLIN);
	kreads(&t, t.p, fd[1], "ab");
	kwrites(&t, t.p, fd[0], "abcd");
	kreads(&t, t.p, fd[1], "abcd");
	tio.c_cc[Q_VTIME] = 0;
	KCHECK_EQ(e, kioctl(t.p, fd[1], Q_TCSETS, &tio), 0);
	kwrites(&t, t.p, fd[0], "ab");
	KCHECK_EQ(e, kready(t.p, fd[1]) & Q_POLLIN, 0);
	memset(&r, 0, sizeof(r));
	r.p = t.p;
	r.fd = fd[1];
	kspawn(e, kreader_main, &r);
	kawait(e, &r.started, 1);
	kpause(e);
	KCHECK_EQ(e, __atomic_load_n(&r.done, __ATOMIC_ACQUIRE), 0);
	kwrites(&t, t.p, fd[0], "c");
	kjoin(e);
	KCHECK_EQ(e, r.ret, 3);
	tio.c_cc[Q_VMIN] = 0;
	KCHECK_EQ(e, kioctl(t.p, fd[1], Q_TCSETS, &tio), 0);
	kreads(&t, t.p, fd[1], "");
	kt_close(&t);
}

/* Who waits is woken: by input, by hang-up, by an interrupt. */
static void
waits(struct kenv *e)
{
	struct kreader r;
	struct kt t;
	int fd[2], i;

	if (!kt_open(&t, e))
		return;
	kpty(&t, t.p, fd);
	klflag(&t, t.p, fd[1], Q_ECHO, 0);
	for (i = 0; i < 3; i++) {
		memset(&r, 0, sizeof(r));
		r.p = t.p;
		r.fd = fd[1];
		kspawn(e, kreader_main, &r);
		kawait(e, &r.started, 1);
		if (i == 0)
			kwrites(&t, t.p, fd[0], "go\n");
		else if (i == 1)
			quern_interrupt(t.p);
		else
			KCHECK_EQ(e, quern_close(t.p, fd[0]), 0);
		kjoin(e);
		KCHECK_EQ(e, r.ret, i == 0 ? 3 : i == 1 ? -Q_EINTR : 0);
	}
	kpty(&t, t.p, fd);
	for (i = 0; i < 2; i++) {
		memset(&r, 0, sizeof(r));
		r.p = t.p;
		r.fd = fd[0];
		kspawn(e, kreader_main, &r);
		kawait(e, &r.started, 1);
		if (i == 0)
			kwrites(&t, t.p, fd[1], "\n");
		else
			KCHECK_EQ(e, quern_close(t.p, fd[1]), 0);
		kjoin(e);
		KCHECK_EQ(e, r.ret, i == 0 ? 2 : -Q_EIO);
	}
	kt_close(&t);
}

static void
write_much(void *arg)
{
	struct kreader *r = arg;
	int i;

	for (i = 0; i < 60 && r->ret == 0; i++)
		if (quern_write(r->p, r->fd, r->buf, sizeof(r->buf)) !=
		    sizeof(r->buf))
			r->ret = -1;
}

/* Writers that wait for each other and for room: nothing is lost or mixed. */
static void
crowd(struct kenv *e)
{
	static char sink[65536];
	struct kreader w[2];
	int64_t n, all = 0, count[2] = { 0, 0 }, i;
	struct kt t;
	int fd[2];

	if (!kt_open(&t, e))
		return;
	kpty(&t, t.p, fd);
	for (i = 0; i < 2; i++) {
		memset(&w[i], 0, sizeof(w[i]));
		w[i].p = t.p;
		w[i].fd = fd[1];
		memset(w[i].buf, 'a' + (int)i, sizeof(w[i].buf));
		kspawn(e, write_much, &w[i]);
	}
	while (all < 2 * 60 * 256) {
		n = quern_read(t.p, fd[0], sink + all, sizeof(sink) - all);
		if (!KCHECK(e, n > 0))
			break;
		all += n;
	}
	kjoin(e);
	for (i = 0; i < all; i++) {
		count[sink[i] - 'a']++;
		KCHECK(e, i % 256 == 0 || sink[i] == sink[i - 1]);
	}
	KCHECK_EQ(e, count[0], 60 * 256);
	KCHECK_EQ(e, count[1], 60 * 256);
	kt_close(&t);
}

static void
flow(struct kenv *e)
{
	struct kt t;
	int fd[2];

	if (!kt_open(&t, e))
		return;
	kpty(&t, t.p, fd);
	KCHECK_EQ(e, quern_fcntl(t.p, fd[1], Q_F_SETFL, Q_O_NONBLOCK), 0);
	KCHECK_EQ(e, quern_fcntl(t.p, fd[0], Q_F_SETFL, Q_O_NONBLOCK), 0);
	KCHECK_EQ(e, quern_ioctl(t.p, fd[1], Q_TCXONC, Q_TCOOFF), 0);
	KCHECK_EQ(e, quern_write(t.p, fd[1], "x", 1), -Q_EAGAIN);
	kwrites(&t, t.p, fd[0], "\021");
	KCHECK_EQ(e, quern_write(t.p, fd[1], "x", 1), -Q_EAGAIN);
	KCHECK_EQ(e, quern_ioctl(t.p, fd[1], Q_TCXONC, Q_TCOON), 0);
	kwrites(&t, t.p, fd[1], "x");
	kreads(&t, t.p, fd[0], "x");
	KCHECK_EQ(e, quern_ioctl(t.p, fd[1], Q_TCXONC, Q_TCIOFF), 0);
	kreads(&t, t.p, fd[0], "\023");
	KCHECK_EQ(e, quern_ioctl(t.p, fd[1], Q_TCXONC, Q_TCION), 0);
	kreads(&t, t.p, fd[0], "\021");
	KCHECK_EQ(e, quern_ioctl(t.p, fd[1], Q_TCXONC, 9), -Q_EINVAL);
	KCHECK_EQ(e, quern_ioctl(t.p, fd[1], Q_TCFLSH, 9), -Q_EINVAL);
	KCHECK_EQ(e, quern_ioctl(t.p, fd[1], Q_TCSBRK, 1), 0);
	kt_close(&t);
}

static void
modes(struct kenv *e)
{
	struct q_winsize ws = { 24, 80, 1, 2 }, got = { 0 };
	struct q_termios2 tio;
	struct q_termios old;
	struct kt t;
	int32_t n = 1;
	int fd[2];

	if (!kt_open(&t, e))
		return;
	kpty(&t, t.p, fd);
	/* The master's are the slave's. */
	KCHECK_EQ(e, kioctl(t.p, fd[0], Q_TCGETS2, &tio), 0);
	KCHECK_EQ(e, tio.c_ospeed, 38400);
	KCHECK_EQ(e, tio.c_lflag, 0x8a3b);
	tio.c_cflag = (tio.c_cflag & ~(uint32_t)Q_CBAUD) | Q_BOTHER;
	tio.c_ospeed = 12345;
	KCHECK_EQ(e, kioctl(t.p, fd[1], Q_TCSETS2, &tio), 0);
	memset(&tio, 0, sizeof(tio));
	KCHECK_EQ(e, kioctl(t.p, fd[1], Q_TCGETS2, &tio), 0);
	KCHECK_EQ(e, tio.c_ospeed, 12345);
	KCHECK_EQ(e, tio.c_ispeed, 12345);
	KCHECK_EQ(e, kioctl(t.p, fd[1], Q_TCGETS, &old), 0);
	old.c_cflag = (old.c_cflag & ~(uint32_t)Q_CBAUD) | Q_B57600;
	KCHECK_EQ(e, kioctl(t.p, fd[1], Q_TCSETSW, &old), 0);
	KCHECK_EQ(e, kioctl(t.p, fd[1], Q_TCGETS2, &tio), 0);
	KCHECK_EQ(e, tio.c_ospeed, 57600);
	KCHECK_EQ(e, kioctl(t.p, fd[0], Q_TIOCSWINSZ, &ws), 0);
	KCHECK_EQ(e, kioctl(t.p, fd[1], Q_TIOCGWINSZ, &got), 0);
	KCHECK(e, memcmp(&ws, &got, sizeof(ws)) == 0);
	KCHECK_EQ(e, kioctl(t.p, fd[1], Q_TIOCGETD, &n), 0);
	KCHECK_EQ(e, n, 0);
	KCHECK_EQ(e, kioctl(t.p, fd[1], Q_TIOCSETD, &n), 0);
	n = 3;
	KCHECK_EQ(e, kioctl(t.p, fd[1], Q_TIOCSETD, &n), -Q_EINVAL);
	KCHECK_EQ(e, kioctl(t.p, fd[1], Q_TIOCSTI, "x"), 0);
	KCHECK_EQ(e, kioctl(t.p, fd[1], Q_TIOCSTI, "\n"), 0);
	kreads(&t, t.p, fd[1], "x\n");
	/* Exclusive, but not for root. */
	KCHECK_EQ(e, quern_ioctl(t.p, fd[1], Q_TIOCEXCL, 0), 0);
	KCHECK_EQ(e, kioctl(t.p, fd[1], Q_TIOCGEXCL, &n), 0);
	KCHECK_EQ(e, n, 1);
	KCHECK(e,
	    quern_open(t.p, slave_path(t.p, fd[0]), Q_O_RDWR | Q_O_NOCTTY, 0) >=
		0);
	KCHECK_EQ(e, quern_chmod(t.p, slave_path(t.p, fd[0]), 0666), 0);
	KCHECK_EQ(e, quern_setresuid(t.p, 1, 1, 1), 0);
	KCHECK_EQ(e,
	    quern_open(t.p, slave_path(t.p, fd[0]), Q_O_RDWR | Q_O_NOCTTY, 0),
	    -Q_EBUSY);
	KCHECK_EQ(e, quern_ioctl(t.p, fd[1], Q_TIOCNXCL, 0), 0);
	KCHECK_EQ(e, kioctl(t.p, fd[1], Q_TIOCSTI, "x"), -Q_EPERM);
	KCHECK_EQ(e, quern_ioctl(t.p, fd[1], Q_TIOCVHANGUP, 0), -Q_EPERM);
	kt_close(&t);
}

static void
drop_line(void *arg, int level, const char *line)
{
	(void)arg, (void)level, (void)line;
}

/* Each allocation fails in turn; nothing is left. */
static void
no_memory(struct kenv *e)
{
	static const struct quern_component *const components[] = { &qvfs,
		&qtmpfs, &qdevfs, &qttys, NULL };
	struct quern_config cfg = kenv_config(e);
	int32_t zero = 0;
	struct quern_proc *p, *child;
	struct quern *k;
	uint64_t n;
	int m, s = -1, done = 0;

	/* Hundreds of kernels: once is enough. */
	if (e->ncpu != 1 || e->runners != 0)
		return;
	cfg.components = components;
	cfg.log = drop_line;
	for (n = 1; n < 400 && !done; n++) {
		cfg.fail_alloc = n;
		if (quern_create(&cfg, &k) != 0)
			continue;
		if (quern_proc_create(k, &p) == 0 &&
		    quern_mkdir(p, "/dev", 0755) == 0 &&
		    quern_mount(p, "d", "/dev", "devfs", 0, NULL) == 0 &&
		    quern_mount(p, "d", "/dev/pts", "devpts", 0, NULL) == 0 &&
		    (m = quern_open(p, "/dev/ptmx", Q_O_RDWR, 0)) >= 0 &&
		    kioctl(p, m, Q_TIOCSPTLCK, &zero) == 0 &&
		    (s = quern_open(p, "/dev/pts/0", Q_O_RDWR, 0)) >= 0 &&
		    quern_proc_fork(p, &child) == 0 &&
		    quern_write(p, s, "x", 1) == 1)
			done = n > 50;
		kenv_destroy(e, k);
	}
	KCHECK(e, done);
}

const struct kcase ktty_cases[] = {
	{ .name = "basic", .body = basic, .seeds = 4 },
	{ .name = "locked", .body = locked, .seeds = 4 },
	{ .name = "names", .body = names, .seeds = 4 },
	{ .name = "ends", .body = ends, .seeds = 4 },
	{ .name = "packets", .body = packets, .seeds = 4 },
	{ .name = "full", .body = full, .seeds = 4 },
	{ .name = "timed", .body = timed, .seeds = 20, .nohost = true },
	{ .name = "waits", .body = waits, .seeds = 300 },
	{ .name = "crowd", .body = crowd, .seeds = 40 },
	{ .name = "flow", .body = flow, .seeds = 4 },
	{ .name = "modes", .body = modes, .seeds = 4 },
	{ .name = "no_memory", .body = no_memory, .seeds = 1 },
	{ .name = NULL },
};
