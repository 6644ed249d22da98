/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Terminals.
 *
 * A terminal is a line discipline with two sides: that of the programs, which
 * have it open as a file, and the other end, a pty's master or a channel of the
 * host.  Both work on it under one lock, t_lock:
 *
 *	other end -> tty_receive -> t_in  -> tty_read	input.c, read.c
 *	other end <- t_out <- tty_write, and echoes	output.c
 *
 * What a signal is sent for is noted in t_sigs under the lock and sent to the
 * foreground process group when it is given back.
 *
 * T1  A file of a terminal that has been hung up since it was opened (tf_hangups)
 *     reads the end, writes -EIO, is ready for anything, and never sleeps.
 * T2  Whoever sleeps is woken by each change of what it waits for: readers by
 *     input, modes and hang-ups, writers by room, modes, starts and hang-ups.
 *
 * Reading order: impl.h, input.c, output.c, read.c, modes.c, job.c, ioctl.c;
 * pty.c, devpts.c, console.c.
 */
#include "impl.h"

static const struct qtag tag_tty = { "terminal" };

/* ---- life ------------------------------------------------------------------------ */

int
tty_create(struct quern *k, const struct tty_ops *ops, uint64_t dev,
    struct qtty **tp)
{
	struct qtty *t = qzalloc(&tag_tty, sizeof(*t));

	if (t == NULL)
		return -Q_ENOMEM;
	t->t_in = qalloc(&tag_tty, TTY_IN);
	t->t_out = qalloc(&tag_tty, TTY_OUT);
	if (t->t_in == NULL || t->t_out == NULL) {
		qfree(t->t_in);
		qfree(t->t_out);
		qfree(t);
		return -Q_ENOMEM;
	}
	t->t_k = k;
	t->t_ops = ops;
	t->t_dev = dev;
	t->t_refs = 1;
	qmutex_init(&t->t_lock, "terminal");
	qcv_init(&t->t_rcv);
	qcv_init(&t->t_wcv);
	qpollq_init(&t->t_pollq);
	tty_modes_init(t);
	*tp = t;
	return 0;
}

void
tty_get(struct qtty *t)
{
	__atomic_fetch_add(&t->t_refs, 1, __ATOMIC_RELAXED);
}

void
tty_put(struct qtty *t)
{
	if (__atomic_sub_fetch(&t->t_refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	if (t->t_ops->to_free != NULL)
		t->t_ops->to_free(t);
	qfree(t->t_in);
	qfree(t->t_out);
	qfree(t);
}

void
tty_unlock(struct qtty *t)
{
	uint32_t sigs = t->t_sigs, pgrp;
	int sig;

	t->t_sigs = 0;
	qmutex_unlock(&t->t_lock);
	for (sig = 1; sigs >> sig != 0; sig++) {
		if ((sigs >> sig & 1) == 0)
			continue;
		pgrp = __atomic_load_n(&t->t_pgrp, __ATOMIC_RELAXED);
		if (pgrp != 0)
			(void)qpgrp_signal(t->t_k, pgrp, sig);
	}
}

/* ---- files ----------------------------------------------------------------------- */

static void
tty_close(void *open)
{
	struct tty_file *tf = open;
	struct qtty *t = tf->tf_tty;

	qmutex_lock(&t->t_lock);
	if (--t->t_nopen == 0) {
		t->t_excl = false;
		if (t->t_ops->to_closed != NULL)
			t->t_ops->to_closed(t);
	}
	tty_unlock(t);
	tty_put(t);
	qfree(tf);
}

int
tty_open(struct qtty *t, struct quern_proc *p, uint32_t flags, bool noctty,
    void **openp)
{
	struct tty_file *tf = qzalloc(&tag_tty, sizeof(*tf));
	int error = 0;

	if (tf == NULL)
		return -Q_ENOMEM;
	qmutex_lock(&t->t_lock);
	if (t->t_excl && !qproc_capable(p, Q_CAP_SYS_ADMIN))
		error = -Q_EBUSY;
	else
		t->t_nopen++;
	tf->tf_hangups = t->t_hangups;
	qmutex_unlock(&t->t_lock);
	if (error != 0) {
		qfree(tf);
		return error;
	}
	tty_get(t);
	tf->tf_tty = t;
	if (!noctty && (flags & Q_O_NOCTTY) == 0 &&
	    (flags & Q_O_ACCMODE) != Q_O_WRONLY) {
		error = job_opened(t, p);
		if (error != 0) {
			tty_close(tf);
			return error;
		}
	}
	*openp = tf;
	return 0;
}

static int64_t
dev_read(void *open, struct qfile *f, struct quio *u)
{
	return tty_read(open, f, u);
}

static int64_t
dev_write(void *open, struct qfile *f, struct quio *u)
{
	return tty_write(open, f, u);
}

static uint32_t
dev_poll(void *open, struct qfile *f, struct qpollent *e)
{
	struct tty_file *tf = open;
	struct qtty *t = tf->tf_tty;
	uint32_t ready = 0;

	(void)f;
	qpollq_add(&t->t_pollq, e, TTY_POLL_HUNGUP);
	qmutex_lock(&t->t_lock);
	if (is_hungup(tf)) {
		ready = TTY_POLL_HUNGUP;
	} else {
		if (tty_in_ready(t, true))
			ready |= TTY_POLL_IN;
		if (tty_can_write(t))
			ready |= TTY_POLL_OUT;
	}
	qmutex_unlock(&t->t_lock);
	return ready;
}

static int64_t
dev_ioctl(void *open, struct qfile *f, struct qsys *s, uint32_t cmd,
    uint64_t arg)
{
	return tty_ioctl(open, f, s, cmd, arg);
}

/* /dev/tty: what controls the process. */
static int
devtty_open(struct qcdev *d, struct quern_proc *p, uint32_t minor,
    uint32_t flags, void **openp)
{
	struct qtty *t = job_tty(p);
	int error;

	(void)d, (void)minor;
	if (t == NULL)
		return -Q_ENXIO;
	error = tty_open(t, p, flags, true, openp);
	tty_put(t);
	return error;
}

/* They differ in how the terminal is found. */
#define DEVICE(open)                                                           \
	{                                                                      \
		.co_open = (open), .co_close = tty_close, .co_read = dev_read, \
		.co_write = dev_write, .co_poll = dev_poll,                    \
		.co_ioctl = dev_ioctl                                          \
	}

static const struct qcdev_ops devtty_ops = DEVICE(devtty_open);
static const struct qcdev_ops pts_ops = DEVICE(pts_open);
const struct qcdev_ops console_ops = DEVICE(console_open);

/* ---- the component ------------------------------------------------------------------ */

static const struct qcdev devtty = { .cd_major = TTY_AUX_MAJOR,
	.cd_nminor = 1,
	.cd_mode = 0666,
	.cd_ops = &devtty_ops };

static const struct qcdev devptmx = { .cd_name = "ptmx",
	.cd_major = TTY_AUX_MAJOR,
	.cd_minor = 2,
	.cd_nminor = 1,
	.cd_mode = 0666,
	.cd_ops = &ptmx_ops };

static const struct qcdev devpts = { .cd_major = PTS_MAJOR,
	.cd_nminor = PTY_MAX,
	.cd_ops = &pts_ops };

static int
devices_init(struct ttys *tt)
{
	struct quern *k = tt->tt_k;
	int error;

	tt->tt_devtty = devtty;
	tt->tt_ptmx = devptmx;
	tt->tt_pts = devpts;
	error = qcdev_register(k, &tt->tt_devtty);
	if (error != 0)
		return error;
	error = qcdev_register(k, &tt->tt_ptmx);
	if (error == 0) {
		error = qcdev_register(k, &tt->tt_pts);
		if (error == 0)
			return 0;
		qcdev_unregister(k, &tt->tt_ptmx);
	}
	qcdev_unregister(k, &tt->tt_devtty);
	return error;
}

static void
devices_fini(struct ttys *tt)
{
	qcdev_unregister(tt->tt_k, &tt->tt_devtty);
	qcdev_unregister(tt->tt_k, &tt->tt_ptmx);
	qcdev_unregister(tt->tt_k, &tt->tt_pts);
}

static int
ttys_init(struct quern *k, void **statep)
{
	struct ttys *tt = qzalloc(&tag_tty, sizeof(*tt));
	int error;

	if (tt == NULL)
		return -Q_ENOMEM;
	tt->tt_k = k;
	qmutex_init(&tt->tt_lock, "terminals");
	error = job_init(tt);
	if (error == 0)
		error = devices_init(tt);
	if (error == 0) {
		error = qfs_register(k, &devpts_type);
		if (error != 0)
			devices_fini(tt);
	}
	if (error != 0) {
		qfree(tt);
		return error;
	}
	*statep = tt;
	return 0;
}

static void
ttys_fini(struct quern *k, void *state)
{
	struct ttys *tt = state;

	qfs_unregister(k, &devpts_type);
	console_end(tt);
	devices_fini(tt);
	qfree(tt->tt_pty);
	qfree(tt);
}

static const struct quern_component *const needs[] = { &qvfs, NULL };

const struct quern_component qttys = {
	.c_name = "tty",
	.c_needs = needs,
	.c_init = ttys_init,
	.c_fini = ttys_fini,
};
