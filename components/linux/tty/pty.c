/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pseudo-terminals: opening /dev/ptmx makes one, whose master the file is.
 *
 * The slave is a terminal that lives as long as master or slave are open; its name
 * in devpts and its number are there while the master is.  What the slave's
 * programs write stays in the terminal's ring until the master reads it, so there
 * is one buffer a direction, and one lock for both ends.
 */
#include "impl.h"

static const struct qtag tag_pty = { "pty" };

/* Bytes of a write that are looked at under one holding of the lock. */
#define CHUNK 512u

static struct pty *
pty_of(const struct qtty *t)
{
	return t->t_priv;
}

/* ---- the slave's other end ------------------------------------------------------------ */

static void
slave_output(struct qtty *t)
{
	struct pty *p = pty_of(t);

	qcv_broadcast(&p->p_rcv);
	qpollq_wake(&p->p_pollq, TTY_POLL_IN);
}

static void
slave_room(struct qtty *t)
{
	struct pty *p = pty_of(t);

	qcv_broadcast(&p->p_wcv);
	qpollq_wake(&p->p_pollq, TTY_POLL_OUT);
}

static void
slave_packet(struct qtty *t, uint8_t clear, uint8_t set)
{
	struct pty *p = pty_of(t);

	if (!p->p_packet)
		return;
	p->p_status = (uint8_t)((p->p_status & ~clear) | set);
	qcv_broadcast(&p->p_rcv);
	qpollq_wake(&p->p_pollq, TTY_POLL_IN | Q_POLLPRI);
}

static void
slave_flushed(struct qtty *t)
{
	slave_packet(t, 0, Q_TIOCPKT_FLUSHWRITE);
}

static void
slave_closed(struct qtty *t)
{
	struct pty *p = pty_of(t);

	p->p_gone = true;
	qcv_broadcast(&p->p_rcv);
	qcv_broadcast(&p->p_wcv);
	qpollq_wake(&p->p_pollq, 0);
}

static void
slave_free(struct qtty *t)
{
	qfree(pty_of(t));
}

static const struct tty_ops slave_ops = {
	.to_output = slave_output,
	.to_room = slave_room,
	.to_packet = slave_packet,
	.to_flushed = slave_flushed,
	.to_closed = slave_closed,
	.to_free = slave_free,
};

/* ---- making and finding them ------------------------------------------------------------ */

struct pty *
pty_find(struct ttys *tt, uint32_t num)
{
	return num < tt->tt_npty ? tt->tt_pty[num] : NULL;
}

/* The lowest free number, with room for it in the table.  [x] */
static int
number(struct ttys *tt)
{
	struct pty **table;
	uint32_t i, n = tt->tt_npty != 0 ? tt->tt_npty * 2 : 8;

	for (i = 0; i < tt->tt_npty; i++)
		if (tt->tt_pty[i] == NULL)
			return (int)i;
	if (n > PTY_MAX)
		return -Q_ENOSPC;
	table = qzalloc(&tag_pty, n * sizeof(struct pty *));
	if (table == NULL)
		return -Q_ENOMEM;
	if (i != 0)
		__builtin_memcpy(table, tt->tt_pty, i * sizeof(struct pty *));
	qfree(tt->tt_pty);
	tt->tt_pty = table;
	tt->tt_npty = n;
	return (int)i;
}

/* [x] */
static int
pty_create(struct ttys *tt, struct quern_proc *proc, struct pty **pp)
{
	int num = number(tt), error;
	struct pty *p;

	if (num < 0)
		return num;
	p = qzalloc(&tag_pty, sizeof(*p));
	if (p == NULL)
		return -Q_ENOMEM;
	error = tty_create(tt->tt_k, &slave_ops,
	    qdev_make(PTS_MAJOR, (uint32_t)num), &p->p_tty);
	if (error != 0) {
		qfree(p);
		return error;
	}
	p->p_tty->t_priv = p;
	p->p_tty->t_pty = true;
	p->p_num = (uint32_t)num;
	p->p_serial = tt->tt_serial++;
	p->p_uid = proc->p_cred.c_fsuid;
	p->p_gid = proc->p_cred.c_fsgid;
	p->p_master = p->p_locked = true;
	qcv_init(&p->p_rcv);
	qcv_init(&p->p_wcv);
	qpollq_init(&p->p_pollq);
	tt->tt_pty[num] = p;
	*pp = p;
	return 0;
}

static int
ptmx_open(struct qcdev *d, struct quern_proc *proc, uint32_t minor,
    uint32_t flags, void **openp)
{
	struct ttys *tt = ttys_of(proc->p_k);
	struct pty *p = NULL;
	int error;

	(void)d, (void)minor, (void)flags;
	qmutex_lock(&tt->tt_lock);
	error = pty_create(tt, proc, &p);
	qmutex_unlock(&tt->tt_lock);
	if (error == 0)
		*openp = p;
	return error;
}

static void
ptmx_close(void *open)
{
	struct pty *p = open;
	struct qtty *t = p->p_tty;
	struct ttys *tt = ttys_of(t->t_k);

	qmutex_lock(&tt->tt_lock);
	tt->tt_pty[p->p_num] = NULL;
	qmutex_unlock(&tt->tt_lock);
	qmutex_lock(&t->t_lock);
	p->p_master = p->p_packet = false;
	t->t_ended = true;
	qmutex_unlock(&t->t_lock);
	job_hangup(t, false);
	tty_put(t);
}

int
pts_open(struct qcdev *d, struct quern_proc *proc, uint32_t minor,
    uint32_t flags, void **openp)
{
	struct ttys *tt = ttys_of(proc->p_k);
	struct qtty *t = NULL;
	struct pty *p;
	int error = -Q_EIO;

	(void)d;
	qmutex_lock(&tt->tt_lock);
	p = pty_find(tt, minor);
	if (p != NULL) {
		t = p->p_tty;
		tty_get(t);
	}
	qmutex_unlock(&tt->tt_lock);
	if (t == NULL)
		return error;
	qmutex_lock(&t->t_lock);
	if (p->p_master && !p->p_locked)
		error = 0;
	qmutex_unlock(&t->t_lock);
	if (error == 0)
		error = tty_open(t, proc, flags, false, openp);
	if (error == 0) {
		qmutex_lock(&t->t_lock);
		p->p_gone = false;
		qmutex_unlock(&t->t_lock);
	}
	tty_put(t);
	return error;
}

/* ---- the master's file -------------------------------------------------------------------- */

/* Output of the slave, in packet mode with a 0 in front.  [t] */
static int64_t
take_output(struct pty *p, struct quio *u)
{
	struct qtty *t = p->p_tty;
	static const uint8_t data = Q_TIOCPKT_DATA;
	size_t all = u->u_resid;
	const uint8_t *piece;
	int error = 0;
	uint32_t n;

	if (p->p_packet)
		error = quio_out(u, &data, 1);
	while (error == 0 && u->u_resid > 0) {
		n = tty_out_piece(t, &piece);
		if (n > u->u_resid)
			n = (uint32_t)u->u_resid;
		if (n == 0)
			break;
		error = quio_out(u, piece, n);
		if (error == 0)
			tty_out_taken(t, n);
	}
	return all != u->u_resid ? (int64_t)(all - u->u_resid) : error;
}

/* [t] */
static int64_t
take_status(struct pty *p, struct quio *u)
{
	int error = quio_out(u, &p->p_status, 1);

	if (error != 0)
		return error;
	p->p_status = 0;
	return 1;
}

static int64_t
ptmx_read(void *open, struct qfile *f, struct quio *u)
{
	struct pty *p = open;
	struct qtty *t = p->p_tty;
	int64_t n = 0;

	if (u->u_resid == 0)
		return 0;
	qmutex_lock(&t->t_lock);
	while (n == 0) {
		if (p->p_packet && p->p_status != 0)
			n = take_status(p, u);
		else if (tty_out_ready(t) != 0)
			n = take_output(p, u);
		else if (p->p_gone)
			n = -Q_EIO;
		else if (qfile_nowait(f, u))
			n = -Q_EAGAIN;
		else
			n = qcv_wait(&p->p_rcv, &t->t_lock, QSLEEP_INTR,
			    QUERN_NEVER);
	}
	tty_unlock(t);
	return n;
}

/* Type all of it: how much; -EAGAIN, -EINTR.  [t] */
static int64_t
type_all(struct pty *p, const uint8_t *buf, size_t len, bool nowait)
{
	struct qtty *t = p->p_tty;
	size_t done = 0;
	int error = 0;

	for (;;) {
		done += tty_receive(t, buf + done, len - done);
		if (done == len || error != 0)
			break;
		error = nowait ?
		    -Q_EAGAIN :
		    qcv_wait(&p->p_wcv, &t->t_lock, QSLEEP_INTR, QUERN_NEVER);
	}
	return done != 0 ? (int64_t)done : error;
}

static int64_t
ptmx_write(void *open, struct qfile *f, struct quio *u)
{
	struct pty *p = open;
	struct qtty *t = p->p_tty;
	uint8_t buf[CHUNK];
	int64_t n, done = 0;
	size_t len;

	while (u->u_resid > 0) {
		len = u->u_resid < CHUNK ? u->u_resid : CHUNK;
		n = quio_in(u, buf, len);
		if (n == 0) {
			qmutex_lock(&t->t_lock);
			n = type_all(p, buf, len, qfile_nowait(f, u));
			tty_unlock(t);
		}
		if (n < 0)
			return done != 0 ? done : n;
		done += n;
		if (n < (int64_t)len)
			break;
	}
	return done;
}

static uint32_t
ptmx_poll(void *open, struct qfile *f, struct qpollent *e)
{
	struct pty *p = open;
	struct qtty *t = p->p_tty;
	uint32_t ready = 0;

	(void)f;
	qpollq_add(&p->p_pollq, e,
	    TTY_POLL_IN | TTY_POLL_OUT | Q_POLLPRI | Q_POLLHUP);
	qmutex_lock(&t->t_lock);
	if (tty_out_ready(t) != 0)
		ready |= TTY_POLL_IN;
	if (p->p_packet && p->p_status != 0)
		ready |= TTY_POLL_IN | Q_POLLPRI;
	if (p->p_gone)
		ready |= Q_POLLHUP;
	if (tty_has_room(t))
		ready |= TTY_POLL_OUT;
	qmutex_unlock(&t->t_lock);
	return ready;
}

/* ---- its ioctls ----------------------------------------------------------------------------- */

static int64_t
set_flag(struct pty *p, struct qsys *s, uint64_t arg, bool *flag)
{
	int32_t on;

	if (qcopyin(s->s_us, &on, arg, sizeof(on)) != 0)
		return -Q_EFAULT;
	qmutex_lock(&p->p_tty->t_lock);
	if (flag == &p->p_packet && on != 0 && !p->p_packet)
		p->p_status = 0;
	*flag = on != 0;
	qmutex_unlock(&p->p_tty->t_lock);
	return 0;
}

static int64_t
send_signal(struct pty *p, int sig)
{
	struct qtty *t = p->p_tty;

	if (sig != Q_SIGINT && sig != Q_SIGQUIT && sig != Q_SIGTSTP)
		return -Q_EINVAL;
	qmutex_lock(&t->t_lock);
	t->t_sigs |= UINT32_C(1) << sig;
	tty_unlock(t);
	return 0;
}

/* TIOCGPTPEER: the slave, by its usual path. */
static int64_t
open_peer(struct pty *p, struct qsys *s, uint32_t flags)
{
	struct qfile *f;
	struct qpath at;
	struct qvnode *v;
	char path[32];
	int error;

	qsnprintf(path, sizeof(path), "/dev/pts/%u", p->p_num);
	error = qvfs_walk(s->s_proc, Q_AT_FDCWD, path, QWALK_FOLLOW, &at);
	if (error != 0)
		return error;
	v = at.p_d->d_vnode;
	if (v == NULL || v->v_rdev != p->p_tty->t_dev ||
	    qvnode_type(v) != Q_S_IFCHR)
		error = -Q_ENOENT;
	else
		error = qvfs_open(s->s_proc, &at, flags, &f);
	qpath_put(&at);
	if (error != 0)
		return error;
	return qfd_install(s->s_proc, f, flags & Q_O_CLOEXEC);
}

/* What the slave has written goes, or what was typed on it. */
static int64_t
flush_master(struct pty *p, uint64_t which)
{
	struct qtty *t = p->p_tty;

	if (which > Q_TCIOFLUSH)
		return -Q_EINVAL;
	qmutex_lock(&t->t_lock);
	if (which != Q_TCOFLUSH)
		tty_out_taken(t, tty_out_ready(t));
	tty_unlock(t);
	return 0;
}

static int64_t
get_int(struct pty *p, struct qsys *s, uint32_t cmd, uint64_t arg)
{
	struct qtty *t = p->p_tty;
	int32_t n;

	qmutex_lock(&t->t_lock);
	n = cmd == Q_TIOCGPTN   ? (int32_t)p->p_num :
	    cmd == Q_TIOCGPTLCK ? p->p_locked :
	    cmd == Q_TIOCGPKT   ? p->p_packet :
				  (int32_t)tty_out_ready(t);
	qmutex_unlock(&t->t_lock);
	return qcopyout(s->s_us, arg, &n, sizeof(n));
}

static int64_t
ptmx_ioctl(void *open, struct qfile *f, struct qsys *s, uint32_t cmd,
    uint64_t arg)
{
	struct pty *p = open;

	switch (cmd) {
	case Q_TIOCSPTLCK:
		return set_flag(p, s, arg, &p->p_locked);
	case Q_TIOCPKT:
		return set_flag(p, s, arg, &p->p_packet);
	case Q_TIOCGPTN:
	case Q_TIOCGPTLCK:
	case Q_TIOCGPKT:
	case Q_FIONREAD:
		return get_int(p, s, cmd, arg);
	case Q_TIOCGPTPEER:
		return open_peer(p, s, (uint32_t)arg);
	case Q_TIOCSIG:
		return send_signal(p, (int)arg);
	case Q_TCFLSH:
		return flush_master(p, arg);
	default:
		return tty_common_ioctl(p->p_tty, f, s, false, cmd, arg);
	}
}

const struct qcdev_ops ptmx_ops = {
	.co_open = ptmx_open,
	.co_close = ptmx_close,
	.co_read = ptmx_read,
	.co_write = ptmx_write,
	.co_poll = ptmx_poll,
	.co_ioctl = ptmx_ioctl,
};
