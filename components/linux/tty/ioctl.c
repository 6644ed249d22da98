/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ioctl of terminals, but for modes (modes.c) and jobs (job.c).
 */
#include "impl.h"

static int64_t
out_int(struct qsys *s, uint64_t arg, int32_t n)
{
	return qcopyout(s->s_us, arg, &n, sizeof(n));
}

static int64_t
get_size(struct qtty *t, struct qsys *s, uint64_t arg)
{
	struct q_winsize size;

	qmutex_lock(&t->t_lock);
	size = t->t_winsize;
	qmutex_unlock(&t->t_lock);
	return qcopyout(s->s_us, arg, &size, sizeof(size));
}

static int64_t
set_excl(struct qtty *t, bool on)
{
	qmutex_lock(&t->t_lock);
	t->t_excl = on;
	qmutex_unlock(&t->t_lock);
	return 0;
}

static int64_t
set_discipline(struct qsys *s, struct qtty *t, uint64_t arg)
{
	int32_t n;
	int error;

	if (qcopyin(s->s_us, &n, arg, sizeof(n)) != 0)
		return -Q_EFAULT;
	error = job_check(t, Q_SIGTTOU);
	if (error != 0)
		return error;
	return n == 0 ? 0 : -Q_EINVAL;
}

int64_t
tty_common_ioctl(struct qtty *t, struct qfile *f, struct qsys *s, bool own,
    uint32_t cmd, uint64_t arg)
{
	int64_t ret;

	switch (cmd) {
	case Q_TIOCGWINSZ:
		return get_size(t, s, arg);
	case Q_TIOCEXCL:
	case Q_TIOCNXCL:
		return set_excl(t, cmd == Q_TIOCEXCL);
	case Q_TIOCGEXCL:
		return out_int(s, arg, t->t_excl);
	case Q_TIOCGETD:
		return out_int(s, arg, 0);
	case Q_TIOCSETD:
		return set_discipline(s, t, arg);
	case Q_TIOCOUTQ:
		return out_int(s, arg,
		    t->t_pty ? 0 : (int32_t)tty_out_ready(t));
	case Q_TIOCGDEV:
		return out_int(s, arg, (int32_t)t->t_dev);
	case Q_TIOCVHANGUP:
		if (!qproc_capable(s->s_proc, Q_CAP_SYS_ADMIN))
			return -Q_EPERM;
		job_hangup(t, false);
		return 0;
	default:
		ret = job_ioctl(t, f, s, own, cmd, arg);
		if (ret == -Q_ENOTTY)
			ret = tty_modes_ioctl(t, s, cmd, arg);
		return ret;
	}
}

/* As if it had been typed. */
static int64_t
type_char(struct qtty *t, struct qsys *s, uint64_t arg)
{
	struct qtty *own = job_tty(s->s_proc);
	uint8_t c;

	if (own != NULL)
		tty_put(own);
	if (own != t && !qproc_capable(s->s_proc, Q_CAP_SYS_ADMIN))
		return -Q_EPERM;
	if (qcopyin(s->s_us, &c, arg, sizeof(c)) != 0)
		return -Q_EFAULT;
	qmutex_lock(&t->t_lock);
	(void)tty_receive(t, &c, 1);
	tty_unlock(t);
	return 0;
}

/* TCXONC: stop and start output, or have the other end do so. */
static int64_t
flow(struct qtty *t, uint64_t how)
{
	uint8_t c;
	int error = job_check(t, Q_SIGTTOU);

	if (error != 0)
		return error;
	qmutex_lock(&t->t_lock);
	switch (how) {
	case Q_TCOOFF:
		tty_stop(t);
		t->t_held = true;
		break;
	case Q_TCOON:
		if (t->t_held) {
			t->t_held = false;
			tty_start(t);
		}
		break;
	case Q_TCIOFF:
	case Q_TCION:
		c = t->t_tio.c_cc[how == Q_TCIOFF ? Q_VSTOP : Q_VSTART];
		if (c != TTY_DISABLED && tty_put_raw(t, c, TTY_OUT_ECHO))
			t->t_ops->to_output(t);
		break;
	default:
		error = -Q_EINVAL;
	}
	tty_unlock(t);
	return error;
}

static int64_t
flush(struct qtty *t, uint64_t which)
{
	int error = job_check(t, Q_SIGTTOU);

	if (error != 0)
		return error;
	if (which > Q_TCIOFLUSH)
		return -Q_EINVAL;
	qmutex_lock(&t->t_lock);
	if (which != Q_TCOFLUSH)
		tty_flush_input(t);
	if (which != Q_TCIFLUSH)
		tty_flush_output(t);
	tty_unlock(t);
	return 0;
}

/* What waits until output is gone, as a break does, which there is none of. */
static int64_t
send_break(struct qtty *t, bool wait)
{
	int error = job_check(t, Q_SIGTTOU);

	return error == 0 && wait ? tty_drain(t) : error;
}

int64_t
tty_ioctl(struct tty_file *tf, struct qfile *f, struct qsys *s, uint32_t cmd,
    uint64_t arg)
{
	struct qtty *t = tf->tf_tty;
	bool hungup;
	int32_t n;

	qmutex_lock(&t->t_lock);
	hungup = is_hungup(tf);
	n = (int32_t)tty_in_count(t);
	qmutex_unlock(&t->t_lock);
	if (hungup)
		return cmd == Q_TIOCSPGRP ? -Q_ENOTTY : -Q_EIO;
	switch (cmd) {
	case Q_FIONREAD:
		return out_int(s, arg, n);
	case Q_TIOCSTI:
		return type_char(t, s, arg);
	case Q_TCXONC:
		return flow(t, arg);
	case Q_TCFLSH:
		return flush(t, arg);
	case Q_TCSBRK:
	case Q_TCSBRKP:
	case Q_TIOCSBRK:
	case Q_TIOCCBRK:
		return send_break(t, cmd != Q_TIOCCBRK);
	default:
		return tty_common_ioctl(t, f, s, true, cmd, arg);
	}
}
