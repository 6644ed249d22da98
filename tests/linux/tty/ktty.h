/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the bodies about terminals share.
 */
#ifndef TESTS_KTTY_H
#define TESTS_KTTY_H

#include <stdio.h>
#include <string.h>

#include <quern/abi/errno.h>
#include <quern/abi/fcntl.h>
#include <quern/abi/ioctl.h>
#include <quern/abi/poll.h>
#include <quern/abi/signal.h>
#include <quern/abi/stat.h>
#include <quern/abi/termios.h>
#include <quern/devfs.h>
#include <quern/proc.h>
#include <quern/tmpfs.h>
#include <quern/tty.h>
#include <quern/vfs.h>

#include <tests/kernel/ktest.h>

extern const struct kcase ktty_cases[], kjob_cases[], kconsole_cases[];

/* A kernel with /dev, and a process of it. */
struct kt {
	struct kenv *e;
	struct quern *k;
	struct quern_proc *p;
};

/* Make both.  False: a check failed. */
static inline bool
kt_open(struct kt *t, struct kenv *e)
{
	static const struct quern_component *const components[] = { &qvfs,
		&qtmpfs, &qdevfs, &qttys, NULL };
	struct quern_config cfg = kenv_config(e);

	t->e = e;
	cfg.components = components;
	if (!KCHECK_EQ(e, quern_create(&cfg, &t->k), 0) ||
	    !KCHECK_EQ(e, quern_proc_create(t->k, &t->p), 0))
		return false;
	KCHECK_EQ(e, quern_mkdir(t->p, "/dev", 0755), 0);
	KCHECK_EQ(e, quern_mount(t->p, "dev", "/dev", "devfs", 0, NULL), 0);
	KCHECK_EQ(e,
	    quern_mount(t->p, "pts", "/dev/pts", "devpts", 0, "gid=5,mode=620"),
	    0);
	return true;
}

/* End them; nothing may be left. */
static inline void
kt_close(struct kt *t)
{
	kenv_destroy(t->e, t->k);
}

/* ioctl with a pointer. */
static inline int64_t
kioctl(struct quern_proc *p, int fd, uint32_t cmd, void *arg)
{
	return quern_ioctl(p, fd, cmd, (uintptr_t)arg);
}

/* The path of a master's slave, in static memory. */
static inline const char *
slave_path(struct quern_proc *p, int master)
{
	static char path[40];
	int32_t num = -1;

	(void)kioctl(p, master, Q_TIOCGPTN, &num);
	snprintf(path, sizeof(path), "/dev/pts/%d", num);
	return path;
}

/* A pty of `p`, not its controlling terminal: master and slave. */
static inline void
kpty(struct kt *t, struct quern_proc *p, int fd[2])
{
	int32_t zero = 0;

	fd[0] = quern_open(p, "/dev/ptmx", Q_O_RDWR, 0);
	KCHECK(t->e, fd[0] >= 0);
	KCHECK_EQ(t->e, kioctl(p, fd[0], Q_TIOCSPTLCK, &zero), 0);
	fd[1] = quern_open(p, slave_path(p, fd[0]), Q_O_RDWR | Q_O_NOCTTY, 0);
	KCHECK(t->e, fd[1] >= 0);
}

/* What can be read from `fd` at once is that. */
static inline void
kreads(struct kt *t, struct quern_proc *p, int fd, const char *want)
{
	char buf[256] = "";
	int64_t n = quern_read(p, fd, buf, sizeof(buf));

	if (!KCHECK_EQ(t->e, n, strlen(want)) ||
	    !KCHECK(t->e, memcmp(buf, want, strlen(want)) == 0))
		fprintf(stderr, "got '%.*s', not '%s'\n", (int)n, buf, want);
}

/* That is written. */
static inline void
kwrites(struct kt *t, struct quern_proc *p, int fd, const char *text)
{
	KCHECK_EQ(t->e, quern_write(p, fd, text, strlen(text)), strlen(text));
}

/* What `fd` is ready for, of anything. */
static inline uint32_t
kready(struct quern_proc *p, int fd)
{
	struct q_pollfd pfd = { fd, 0x7f, 0 };

	(void)quern_poll_files(p, &pfd, 1, 0);
	return (uint16_t)pfd.revents;
}

/* Turn modes of lflag off and on. */
static inline void
klflag(struct kt *t, struct quern_proc *p, int fd, uint32_t off, uint32_t on)
{
	struct q_termios tio;

	KCHECK_EQ(t->e, kioctl(p, fd, Q_TCGETS, &tio), 0);
	tio.c_lflag = (tio.c_lflag & ~off) | on;
	KCHECK_EQ(t->e, kioctl(p, fd, Q_TCSETS, &tio), 0);
}

/* A thread of the host that reads once. */
struct kreader {
	struct quern_proc *p;
	int fd;
	char buf[256];
	int64_t ret;
	uint32_t started, done; /* [a] */
};

/* Its body. */
static inline void
kreader_main(void *arg)
{
	struct kreader *r = arg;

	__atomic_store_n(&r->started, 1, __ATOMIC_RELEASE);
	r->ret = quern_read(r->p, r->fd, r->buf, sizeof(r->buf));
	__atomic_store_n(&r->done, 1, __ATOMIC_RELEASE);
}

#endif /* TESTS_KTTY_H */
