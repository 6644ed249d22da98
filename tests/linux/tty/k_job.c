/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Job control, with processes that note the signals they are sent.
 */
#include "ktty.h"

#include <kernel/impl.h>

/* A process with signals. */
struct toy {
	struct quern *k;
	struct quern_proc *from, *p;
	uint32_t got[32];     /* [a] by signal */
	uint32_t ignored[32]; /* [a] */
};

static void
toy_signal(struct quern_proc *p, int sig)
{
	struct toy *y = p->p_data;

	__atomic_fetch_add(&y->got[sig], 1, __ATOMIC_RELAXED);
}

static bool
toy_sigstate(struct quern_proc *p, int sig)
{
	struct toy *y = p->p_data;

	return __atomic_load_n(&y->ignored[sig], __ATOMIC_RELAXED) != 0;
}

static const struct qproc_ops toy_ops = {
	.po_signal = toy_signal,
	.po_sigstate = toy_sigstate,
};

static int64_t
toy_create(void *arg)
{
	struct toy *y = arg;
	int error = qproc_create(y->k, y->from, &toy_ops, 0, y, &y->p);

	if (error == 0)
		y->p->p_data = y;
	return error;
}

static void
toy_make(struct kt *t, struct toy *y, struct quern_proc *from)
{
	memset(y, 0, sizeof(*y));
	y->k = t->k;
	y->from = from;
	KCHECK_EQ(t->e, kcall(t->k, toy_create, y), 0);
}

static int64_t
toy_exit(void *arg)
{
	qproc_exit(arg);
	return 0;
}

/* It got `sig` so often since it was last asked. */
#define GOT(t, y, sig, n) \
	KCHECK_EQ((t)->e, \
	    __atomic_exchange_n(&(y)->got[sig], 0, __ATOMIC_RELAXED), (n))

/*
 * A shell that leads a session with a terminal, and two jobs: [0] the shell, [1]
 * in front, [2] in the background.
 */
struct jobs {
	struct kt t;
	struct toy y[3];
	int master, slave;
};

static bool
jobs_open(struct jobs *j, struct kenv *e)
{
	struct kt *t = &j->t;
	int32_t zero = 0, pgrp, i;

	if (!kt_open(t, e))
		return false;
	j->master = quern_open(t->p, "/dev/ptmx", Q_O_RDWR, 0);
	KCHECK_EQ(e, kioctl(t->p, j->master, Q_TIOCSPTLCK, &zero), 0);
	toy_make(t, &j->y[0], t->p);
	KCHECK_EQ(e, quern_close(j->y[0].p, j->master), 0);
	KCHECK_EQ(e, quern_setsid(j->y[0].p), j->y[0].p->p_pid);
	KCHECK_EQ(e, quern_open(j->y[0].p, "/dev/tty", Q_O_RDWR, 0), -Q_ENXIO);
	j->slave = quern_open(j->y[0].p, slave_path(t->p, j->master), Q_O_RDWR,
	    0);
	KCHECK(e, j->slave >= 0);
	for (i = 1; i < 3; i++) {
		toy_make(t, &j->y[i], j->y[0].p);
		KCHECK_EQ(e, quern_setpgid(j->y[i].p, 0, 0), 0);
	}
	pgrp = (int32_t)j->y[1].p->p_pid;
	KCHECK_EQ(e, kioctl(j->y[0].p, j->slave, Q_TIOCSPGRP, &pgrp), 0);
	return e->failure[0] == '\0';
}

static void
typed(struct kenv *e)
{
	struct q_winsize ws = { 9, 9, 0, 0 };
	struct jobs j;

	if (!jobs_open(&j, e))
		return;
	kwrites(&j.t, j.t.p, j.master, "\003\032\034");
	GOT(&j.t, &j.y[1], Q_SIGINT, 1);
	GOT(&j.t, &j.y[1], Q_SIGTSTP, 1);
	GOT(&j.t, &j.y[1], Q_SIGQUIT, 1);
	GOT(&j.t, &j.y[0], Q_SIGINT, 0);
	GOT(&j.t, &j.y[2], Q_SIGINT, 0);
	KCHECK_EQ(e, kioctl(j.t.p, j.master, Q_TIOCSWINSZ, &ws), 0);
	KCHECK_EQ(e, kioctl(j.t.p, j.master, Q_TIOCSWINSZ, &ws), 0);
	GOT(&j.t, &j.y[1], Q_SIGWINCH, 1);
	KCHECK_EQ(e, quern_ioctl(j.t.p, j.master, Q_TIOCSIG, Q_SIGINT), 0);
	GOT(&j.t, &j.y[1], Q_SIGINT, 1);
	KCHECK_EQ(e, quern_ioctl(j.t.p, j.master, Q_TIOCSIG, Q_SIGKILL),
	    -Q_EINVAL);
	/* What was typed before is gone, unless NOFLSH says otherwise. */
	kreads(&j.t, j.t.p, j.master, "^C^Z^\\");
	kwrites(&j.t, j.t.p, j.master, "ab\003c\n");
	kreads(&j.t, j.y[1].p, j.slave, "c\n");
	klflag(&j.t, j.y[1].p, j.slave, 0, Q_NOFLSH);
	kwrites(&j.t, j.t.p, j.master, "ab\003c\n");
	kreads(&j.t, j.y[1].p, j.slave, "abc\n");
	klflag(&j.t, j.y[1].p, j.slave, Q_ISIG, 0);
	kwrites(&j.t, j.t.p, j.master, "\003\n");
	kreads(&j.t, j.y[1].p, j.slave, "\003\n");
	kt_close(&j.t);
}

static void
background(struct kenv *e)
{
	struct jobs j;
	struct quern_proc *p;
	struct toy *y;
	int32_t pgrp;
	char c;

	if (!jobs_open(&j, e))
		return;
	y = &j.y[2];
	p = y->p;
	kwrites(&j.t, j.t.p, j.master, "x\n");
	KCHECK_EQ(e, quern_read(p, j.slave, &c, 1), -Q_EINTR);
	GOT(&j.t, y, Q_SIGTTIN, 1);
	GOT(&j.t, &j.y[0], Q_SIGTTIN, 0);
	y->ignored[Q_SIGTTIN] = 1;
	KCHECK_EQ(e, quern_read(p, j.slave, &c, 1), -Q_EIO);
	GOT(&j.t, y, Q_SIGTTIN, 0);
	/* Writing is fine, unless TOSTOP. */
	kwrites(&j.t, p, j.slave, "x");
	klflag(&j.t, j.y[1].p, j.slave, 0, Q_TOSTOP);
	KCHECK_EQ(e, quern_write(p, j.slave, "x", 1), -Q_EINTR);
	GOT(&j.t, y, Q_SIGTTOU, 1);
	y->ignored[Q_SIGTTOU] = 1;
	kwrites(&j.t, p, j.slave, "x");
	y->ignored[Q_SIGTTOU] = 0;
	/* So is changing modes, which always counts. */
	KCHECK_EQ(e, quern_ioctl(p, j.slave, Q_TCFLSH, 0), -Q_EINTR);
	GOT(&j.t, y, Q_SIGTTOU, 1);
	pgrp = (int32_t)p->p_pgid;
	KCHECK_EQ(e, kioctl(p, j.slave, Q_TIOCSPGRP, &pgrp), -Q_EINTR);
	/* Through the terminal itself or not, it is the same. */
	KCHECK_EQ(e,
	    quern_read(p, quern_open(p, "/dev/tty", Q_O_RDWR, 0), &c, 1),
	    -Q_EIO);
	kreads(&j.t, j.y[1].p, j.slave, "x\n");
	/* An orphaned group is not stopped. */
	y->ignored[Q_SIGTTIN] = 0;
	KCHECK_EQ(e, quern_proc_destroy(j.y[1].p), 0);
	(void)kcall(j.t.k, toy_exit, j.y[0].p);
	KCHECK_EQ(e, quern_proc_destroy(j.y[0].p), 0);
	KCHECK_EQ(e, quern_open(p, "/dev/tty", Q_O_RDWR, 0), -Q_ENXIO);
	kt_close(&j.t);
}

/* A group whose parents are all outside the session, or in the group. */
static void
orphan(struct kenv *e)
{
	struct jobs j;
	int32_t pgrp;
	struct toy y;
	char c;

	if (!jobs_open(&j, e))
		return;
	/* A job of the background job's, which goes. */
	toy_make(&j.t, &y, j.y[2].p);
	KCHECK_EQ(e, quern_setpgid(y.p, 0, 0), 0);
	KCHECK_EQ(e, quern_read(y.p, j.slave, &c, 1), -Q_EINTR);
	GOT(&j.t, &y, Q_SIGTTIN, 1);
	KCHECK_EQ(e, quern_proc_destroy(j.y[2].p), 0);
	KCHECK_EQ(e, quern_read(y.p, j.slave, &c, 1), -Q_EIO);
	GOT(&j.t, &y, Q_SIGTTIN, 0);
	pgrp = (int32_t)y.p->p_pid;
	KCHECK_EQ(e, kioctl(y.p, j.slave, Q_TIOCSPGRP, &pgrp), -Q_ENOTTY);
	kt_close(&j.t);
}

static void
sessions(struct kenv *e)
{
	struct quern_proc *sh;
	int32_t id = 0;
	struct jobs j;
	int fd[2];

	if (!jobs_open(&j, e))
		return;
	sh = j.y[0].p;
	KCHECK_EQ(e, kioctl(sh, j.slave, Q_TIOCGSID, &id), 0);
	KCHECK_EQ(e, id, sh->p_pid);
	KCHECK_EQ(e, kioctl(sh, j.slave, Q_TIOCGPGRP, &id), 0);
	KCHECK_EQ(e, id, j.y[1].p->p_pid);
	KCHECK_EQ(e, kioctl(j.t.p, j.master, Q_TIOCGPGRP, &id), 0);
	KCHECK_EQ(e, id, j.y[1].p->p_pid);
	id = 999;
	KCHECK_EQ(e, kioctl(j.y[1].p, j.slave, Q_TIOCSPGRP, &id), -Q_ESRCH);
	id = -1;
	KCHECK_EQ(e, kioctl(j.y[1].p, j.slave, Q_TIOCSPGRP, &id), -Q_EINVAL);
	id = (int32_t)j.t.p->p_pid;
	KCHECK_EQ(e, kioctl(j.y[1].p, j.slave, Q_TIOCSPGRP, &id), -Q_EPERM);
	KCHECK_EQ(e, quern_ioctl(sh, j.slave, Q_TIOCSCTTY, 0), 0);
	/* A second terminal, and one that is taken. */
	kpty(&j.t, sh, fd);
	KCHECK_EQ(e, kioctl(sh, fd[1], Q_TIOCGPGRP, &id), -Q_ENOTTY);
	KCHECK_EQ(e, kioctl(sh, fd[1], Q_TIOCGSID, &id), -Q_ENOTTY);
	KCHECK_EQ(e, kioctl(sh, fd[0], Q_TIOCGSID, &id), -Q_ENOTTY);
	KCHECK_EQ(e, quern_ioctl(sh, fd[1], Q_TIOCSCTTY, 0), -Q_EPERM);
	KCHECK_EQ(e, quern_ioctl(sh, fd[1], Q_TIOCNOTTY, 0), -Q_ENOTTY);
	KCHECK_EQ(e, quern_ioctl(j.y[1].p, j.slave, Q_TIOCSCTTY, 1), -Q_EPERM);
	/* One process lets go, then the leader, and so all. */
	KCHECK_EQ(e, quern_ioctl(j.y[1].p, j.slave, Q_TIOCNOTTY, 0), 0);
	KCHECK_EQ(e, quern_open(j.y[1].p, "/dev/tty", Q_O_RDWR, 0), -Q_ENXIO);
	KCHECK(e, quern_open(j.y[2].p, "/dev/tty", Q_O_RDWR, 0) >= 0);
	KCHECK_EQ(e, quern_ioctl(sh, j.slave, Q_TIOCNOTTY, 0), 0);
	GOT(&j.t, &j.y[1], Q_SIGHUP, 1);
	GOT(&j.t, &j.y[1], Q_SIGCONT, 1);
	GOT(&j.t, &j.y[0], Q_SIGHUP, 0);
	KCHECK_EQ(e, quern_open(j.y[2].p, "/dev/tty", Q_O_RDWR, 0), -Q_ENXIO);
	KCHECK_EQ(e, quern_ioctl(sh, j.slave, Q_TIOCSCTTY, 0), 0);
	KCHECK(e, quern_open(sh, "/dev/tty", Q_O_RDWR, 0) >= 0);
	/* A new session has none; with CAP_SYS_ADMIN it can be taken. */
	KCHECK_EQ(e, quern_setsid(j.y[2].p), -Q_EPERM);
	toy_make(&j.t, &j.y[2], sh);
	KCHECK_EQ(e, quern_setsid(j.y[2].p), j.y[2].p->p_pid);
	KCHECK_EQ(e, quern_open(j.y[2].p, "/dev/tty", Q_O_RDWR, 0), -Q_ENXIO);
	KCHECK_EQ(e, quern_ioctl(j.y[2].p, j.slave, Q_TIOCSCTTY, 0), -Q_EPERM);
	KCHECK_EQ(e, quern_ioctl(j.y[2].p, j.slave, Q_TIOCSCTTY, 1), 0);
	KCHECK_EQ(e, quern_open(sh, "/dev/tty", Q_O_RDWR, 0), -Q_ENXIO);
	KCHECK(e, quern_open(j.y[2].p, "/dev/tty", Q_O_RDWR, 0) >= 0);
	kt_close(&j.t);
}

/* The master goes: the leader is told; when it exits, who was in front. */
static void
hangup(struct kenv *e)
{
	struct jobs j;
	char c;

	if (!jobs_open(&j, e))
		return;
	KCHECK_EQ(e, quern_close(j.t.p, j.master), 0);
	GOT(&j.t, &j.y[0], Q_SIGHUP, 1);
	GOT(&j.t, &j.y[0], Q_SIGCONT, 1);
	GOT(&j.t, &j.y[1], Q_SIGHUP, 0);
	KCHECK_EQ(e, quern_read(j.y[2].p, j.slave, &c, 1), 0);
	KCHECK_EQ(e, quern_open(j.y[2].p, "/dev/tty", Q_O_RDWR, 0), -Q_ENXIO);
	(void)kcall(j.t.k, toy_exit, j.y[0].p);
	GOT(&j.t, &j.y[1], Q_SIGHUP, 1);
	GOT(&j.t, &j.y[1], Q_SIGCONT, 1);
	GOT(&j.t, &j.y[0], Q_SIGHUP, 0);
	KCHECK_EQ(e, quern_proc_destroy(j.y[0].p), 0);
	kt_close(&j.t);
}

/* The leader exits first. */
static void
leader_exits(struct kenv *e)
{
	struct jobs j;
	uint64_t dev;
	int32_t id;

	if (!jobs_open(&j, e))
		return;
	KCHECK_EQ(e, quern_proc_destroy(j.y[0].p), 0);
	GOT(&j.t, &j.y[1], Q_SIGHUP, 1);
	GOT(&j.t, &j.y[2], Q_SIGHUP, 0);
	KCHECK_EQ(e, kioctl(j.t.p, j.master, Q_TIOCGSID, &id), -Q_ENOTTY);
	/* The terminal itself goes on. */
	kwrites(&j.t, j.t.p, j.master, "x\n");
	kreads(&j.t, j.y[2].p, j.slave, "x\n");
	(void)dev;
	kt_close(&j.t);
}

struct racer {
	struct jobs *j;
	int n;
};

static void
race_main(void *arg)
{
	struct racer *r = arg;
	struct jobs *j = r->j;
	struct quern_proc *p = j->y[r->n].p;
	int fd;

	if (r->n == 0) {
		(void)quern_ioctl(p, j->slave, Q_TIOCNOTTY, 0);
		(void)quern_ioctl(p, j->slave, Q_TIOCSCTTY, 1);
	} else if (r->n == 1) {
		(void)quern_close(j->t.p, j->master);
	} else {
		fd = quern_open(p, "/dev/tty", Q_O_RDWR | Q_O_NONBLOCK, 0);
		(void)quern_write(p, fd, "x", 1);
		(void)quern_close(p, fd);
	}
}

/* Terminals are lost, taken and hung up at the same time. */
static void
race(struct kenv *e)
{
	struct racer r[3];
	struct jobs j;
	int i;

	if (!jobs_open(&j, e))
		return;
	for (i = 0; i < 3; i++) {
		r[i].j = &j;
		r[i].n = i;
		kspawn(e, race_main, &r[i]);
	}
	kjoin(e);
	kt_close(&j.t);
}

const struct kcase kjob_cases[] = {
	{ .name = "typed", .body = typed, .seeds = 4 },
	{ .name = "background", .body = background, .seeds = 4 },
	{ .name = "orphan", .body = orphan, .seeds = 4 },
	{ .name = "sessions", .body = sessions, .seeds = 4 },
	{ .name = "hangup", .body = hangup, .seeds = 4 },
	{ .name = "leader_exits", .body = leader_exits, .seeds = 4 },
	{ .name = "race", .body = race, .seeds = 300 },
	{ .name = NULL },
};
