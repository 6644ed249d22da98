/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Job control: controlling terminals, foreground process groups, hang-ups.
 *
 * J1  A terminal controls one session at most (t_sid), a session has one
 *     controlling terminal at most.
 * J2  A process has a controlling terminal (c_tty) or none; its children inherit
 *     it.  If it has one, that controls the process's session.  The other way
 *     round does not hold: who was there before the leader opened it has none.
 * J3  All of that changes under k_proc_lock only.
 *
 * Source: POSIX, General Terminal Interface; Linux does what is asserted in the
 * tests.
 */
#include "impl.h"

static const struct qtag tag_ctty = { "controlling terminal" };

static struct ctty *
ctty_of(struct ttys *tt, struct quern_proc *p)
{
	return __atomic_load_n(&p->p_part[tt->tt_slot], __ATOMIC_ACQUIRE);
}

static struct qtty *
load_tty(const struct ctty *c)
{
	return c != NULL ? __atomic_load_n(&c->c_tty, __ATOMIC_RELAXED) : NULL;
}

static void
store(uint32_t *to, uint32_t value)
{
	__atomic_store_n(to, value, __ATOMIC_RELAXED);
}

/* Does the process have that terminal? */
static bool
is_ctty(struct quern_proc *p, const struct qtty *t)
{
	return load_tty(ctty_of(ttys_of(p->p_k), p)) == t;
}

struct qtty *
job_tty(struct quern_proc *p)
{
	struct qtty *t;

	qproc_lock_all(p->p_k);
	t = load_tty(ctty_of(ttys_of(p->p_k), p));
	if (t != NULL)
		tty_get(t);
	qproc_unlock_all(p->p_k);
	return t;
}

bool
qtty_of(struct quern_proc *p, uint64_t *dev, int32_t *pgid)
{
	struct qtty *t = job_tty(p);

	*dev = t != NULL ? t->t_dev : 0;
	*pgid = -1;
	if (t == NULL)
		return false;
	*pgid = (int32_t)__atomic_load_n(&t->t_pgrp, __ATOMIC_RELAXED);
	tty_put(t);
	return true;
}

int
job_check(struct qtty *t, int sig)
{
	struct quern_proc *p = qproc_current();
	uint32_t pgrp = __atomic_load_n(&t->t_pgrp, __ATOMIC_RELAXED);
	int error = -Q_EINTR;

	if (p == NULL || !is_ctty(p, t) || pgrp == 0 ||
	    __atomic_load_n(&p->p_pgid, __ATOMIC_RELAXED) == pgrp)
		return 0;
	if (qproc_ignores(p, sig))
		return sig == Q_SIGTTIN ? -Q_EIO : 0;
	qproc_lock_all(p->p_k);
	/* Nobody would continue it. */
	if (qpgrp_orphaned(p->p_k, p->p_pgid))
		error = -Q_EIO;
	else
		(void)qpgrp_signal_locked(p->p_k, p->p_pgid, sig);
	qproc_unlock_all(p->p_k);
	return error;
}

/* ---- having a terminal ----------------------------------------------------------- */

/* The process's part, made if need be.  -ENOMEM. */
static int
ctty_get(struct ttys *tt, struct quern_proc *p, struct ctty **cp)
{
	void **slot = &p->p_part[tt->tt_slot], *none = NULL;
	struct ctty *c = ctty_of(tt, p);

	if (c == NULL) {
		c = qzalloc(&tag_ctty, sizeof(*c));
		if (c == NULL)
			return -Q_ENOMEM;
		if (!__atomic_compare_exchange_n(slot, &none, (void *)c, false,
			__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
			qfree(c);
			c = none;
		}
	}
	*cp = c;
	return 0;
}

/* Have none any more; whose reference it was, to be dropped.  [p] */
static struct qtty *
ctty_clear(struct ctty *c)
{
	struct qtty *t = c->c_tty;

	__atomic_store_n(&c->c_tty, NULL, __ATOMIC_RELAXED);
	return t;
}

/* The terminal becomes the one of `p` and its session.  [p] */
static void
take(struct qtty *t, struct quern_proc *p, struct ctty *c)
{
	tty_get(t);
	__atomic_store_n(&c->c_tty, t, __ATOMIC_RELAXED);
	store(&t->t_sid, p->p_sid);
	store(&t->t_pgrp, p->p_pgid);
}

int
job_opened(struct qtty *t, struct quern_proc *p)
{
	struct ctty *c;
	int error;

	if (!qproc_is_leader(p) || is_ctty(p, t) ||
	    __atomic_load_n(&t->t_sid, __ATOMIC_RELAXED) != 0)
		return 0;
	error = ctty_get(ttys_of(p->p_k), p, &c);
	if (error != 0)
		return error;
	qproc_lock_all(p->p_k);
	if (c->c_tty == NULL && t->t_sid == 0)
		take(t, p, c);
	qproc_unlock_all(p->p_k);
	return 0;
}

/*
 * Take the terminal away from all that have it: how many references there are to
 * be dropped.  [p]
 */
static unsigned
clear_all(struct ttys *tt, struct qtty *t)
{
	struct quern_proc *p = NULL;
	struct ctty *c;
	unsigned n = 0;

	while ((p = qproc_next(tt->tt_k, p)) != NULL) {
		c = ctty_of(tt, p);
		if (load_tty(c) == t) {
			(void)ctty_clear(c);
			n++;
		}
	}
	return n;
}

static void
put_many(struct qtty *t, unsigned n)
{
	while (n-- > 0)
		tty_put(t);
}

/* It controls no session any more.  [p] */
static unsigned
release(struct ttys *tt, struct qtty *t)
{
	store(&t->t_sid, 0);
	store(&t->t_pgrp, 0);
	return clear_all(tt, t);
}

/* ---- hang-ups -------------------------------------------------------------------- */

/* The leader of the session is told, and remembers who was in front.  [p] */
static void
tell_leader(struct ttys *tt, struct qtty *t)
{
	struct quern_proc *p = t->t_sid != 0 ? qproc_find(tt->tt_k, t->t_sid) :
					       NULL;
	struct ctty *c;

	if (p == NULL || __atomic_load_n(&p->p_exited, __ATOMIC_RELAXED) != 0)
		return;
	qproc_signal(p, Q_SIGHUP);
	qproc_signal(p, Q_SIGCONT);
	c = ctty_of(tt, p);
	if (c != NULL)
		c->c_oldpgrp = t->t_pgrp;
}

void
job_hangup(struct qtty *t, bool ended)
{
	struct ttys *tt = ttys_of(t->t_k);
	unsigned n;

	qmutex_lock(&t->t_lock);
	t->t_hangups++;
	t->t_held = false;
	tty_start(t);
	tty_flush_input(t);
	if (!t->t_pty)
		tty_flush_output(t);
	qcv_broadcast(&t->t_rcv);
	qcv_broadcast(&t->t_wcv);
	qpollq_wake(&t->t_pollq, 0);
	tty_unlock(t);
	qproc_lock_all(tt->tt_k);
	tell_leader(tt, t);
	if (ended && t->t_pgrp != 0)
		(void)qpgrp_signal_locked(tt->tt_k, t->t_pgrp, Q_SIGHUP);
	n = release(tt, t);
	qproc_unlock_all(tt->tt_k);
	put_many(t, n);
}

/* A session leader lets go of its terminal (TIOCNOTTY), or (`exits`) of all. */
static void
let_go(struct ttys *tt, struct qtty *t, bool exits)
{
	unsigned n = 0;
	uint32_t pgrp;

	qproc_lock_all(tt->tt_k);
	pgrp = t->t_pgrp;
	if (pgrp != 0) {
		(void)qpgrp_signal_locked(tt->tt_k, pgrp, Q_SIGHUP);
		if (!exits)
			(void)qpgrp_signal_locked(tt->tt_k, pgrp, Q_SIGCONT);
	}
	n = release(tt, t);
	qproc_unlock_all(tt->tt_k);
	put_many(t, n);
}

/* A session leader exits. */
static void
leave_session(struct ttys *tt, struct qtty *t)
{
	if (t->t_pty)
		let_go(tt, t, true);
	else
		job_hangup(t, true);
}

/* ---- what becomes of a process's part ------------------------------------------------ */

static int
part_fork(struct quern_proc *from, void *state, struct quern_proc *to,
    void **statep)
{
	struct ctty *old = state, *c;

	(void)to;
	c = qzalloc(&tag_ctty, sizeof(*c));
	if (c == NULL)
		return -Q_ENOMEM;
	qproc_lock_all(from->p_k);
	c->c_tty = old->c_tty;
	if (c->c_tty != NULL)
		tty_get(c->c_tty);
	qproc_unlock_all(from->p_k);
	*statep = c;
	return 0;
}

static void
drop(struct quern_proc *p, struct ctty *c)
{
	struct qtty *t;

	qproc_lock_all(p->p_k);
	t = ctty_clear(c);
	qproc_unlock_all(p->p_k);
	if (t != NULL)
		tty_put(t);
}

static void
part_end(struct quern_proc *p, void *state)
{
	struct ttys *tt = ttys_of(p->p_k);
	struct ctty *c = state;
	struct qtty *t;

	/* Who walks the processes may still have found it. */
	qproc_lock_all(p->p_k);
	t = ctty_clear(c);
	qproc_unlock_all(p->p_k);
	if (t != NULL && qproc_is_leader(p)) {
		leave_session(tt, t);
	} else if (t == NULL && qproc_is_leader(p) && c->c_oldpgrp != 0) {
		(void)qpgrp_signal(tt->tt_k, c->c_oldpgrp, Q_SIGHUP);
		(void)qpgrp_signal(tt->tt_k, c->c_oldpgrp, Q_SIGCONT);
	}
	if (t != NULL)
		tty_put(t);
	qfree(c);
}

/* A tty_put of what is not the last: the terminal has another reference. */
static void
part_setsid(struct quern_proc *p, void *state)
{
	struct ctty *c = state;
	struct qtty *t = ctty_clear(c);

	(void)p;
	c->c_oldpgrp = 0;
	if (t != NULL)
		tty_put(t);
}

static const struct qproc_part part = {
	.pp_fork = part_fork,
	.pp_end = part_end,
	.pp_setsid = part_setsid,
};

int
job_init(struct ttys *tt)
{
	int slot = qproc_part_add(tt->tt_k, &part);

	if (slot < 0)
		return slot;
	tt->tt_slot = (unsigned)slot;
	return 0;
}

/* ---- ioctls ---------------------------------------------------------------------------- */

static int64_t
set_ctty(struct qtty *t, struct qfile *f, struct quern_proc *p, uint64_t arg)
{
	struct ttys *tt = ttys_of(p->p_k);
	bool admin = qproc_capable(p, Q_CAP_SYS_ADMIN);
	struct ctty *c;
	unsigned n = 0;
	int error = ctty_get(tt, p, &c);

	if (error != 0)
		return error;
	qproc_lock_all(p->p_k);
	if (qproc_is_leader(p) && t->t_sid == p->p_sid) {
		/* It is. */
	} else if (!qproc_is_leader(p) || c->c_tty != NULL ||
	    (t->t_sid != 0 && (arg != 1 || !admin)) ||
	    ((f->f_mode & QF_READ) == 0 && !admin)) {
		error = -Q_EPERM;
	} else {
		if (t->t_sid != 0)
			n = release(tt, t);
		take(t, p, c);
	}
	qproc_unlock_all(p->p_k);
	put_many(t, n);
	return error;
}

static int64_t
no_ctty(struct qtty *t, struct quern_proc *p)
{
	struct ttys *tt = ttys_of(p->p_k);

	if (!is_ctty(p, t))
		return -Q_ENOTTY;
	if (qproc_is_leader(p))
		let_go(tt, t, false);
	drop(p, ctty_of(tt, p));
	return 0;
}

/* May `p` make that its foreground group?  [p] */
static int
may_be_front(struct qtty *t, struct quern_proc *p, uint32_t pgid)
{
	struct quern_proc *q = NULL, *of = NULL;

	if (!is_ctty(p, t) || t->t_sid != p->p_sid)
		return -Q_ENOTTY;
	while ((q = qproc_next(p->p_k, q)) != NULL)
		if (q->p_pgid == pgid)
			of = q;
	/* As in Linux, a process that leads no group will do. */
	if (of == NULL)
		of = qproc_find(p->p_k, pgid);
	if (of == NULL)
		return -Q_ESRCH;
	return of->p_sid == p->p_sid ? 0 : -Q_EPERM;
}

static int64_t
set_front(struct qtty *t, struct qsys *s, uint64_t arg)
{
	struct quern_proc *p = s->s_proc;
	int32_t pgid;
	int error = job_check(t, Q_SIGTTOU);

	if (error != 0)
		return error == -Q_EIO ? -Q_ENOTTY : error;
	if (qcopyin(s->s_us, &pgid, arg, sizeof(pgid)) != 0)
		return -Q_EFAULT;
	if (pgid < 0)
		return -Q_EINVAL;
	qproc_lock_all(p->p_k);
	error = may_be_front(t, p, (uint32_t)pgid);
	if (error == 0)
		store(&t->t_pgrp, (uint32_t)pgid);
	qproc_unlock_all(p->p_k);
	return error;
}

void
job_resize(struct qtty *t, const struct q_winsize *size)
{
	qmutex_lock(&t->t_lock);
	if (__builtin_memcmp(size, &t->t_winsize, sizeof(*size)) != 0) {
		t->t_winsize = *size;
		t->t_sigs |= UINT32_C(1) << Q_SIGWINCH;
	}
	tty_unlock(t);
}

static int64_t
set_size(struct qtty *t, struct qsys *s, uint64_t arg)
{
	struct q_winsize size;

	if (qcopyin(s->s_us, &size, arg, sizeof(size)) != 0)
		return -Q_EFAULT;
	job_resize(t, &size);
	return 0;
}

int64_t
job_ioctl(struct qtty *t, struct qfile *f, struct qsys *s, bool own,
    uint32_t cmd, uint64_t arg)
{
	struct quern_proc *p = s->s_proc;
	int32_t id;

	switch (cmd) {
	case Q_TIOCSCTTY:
		return set_ctty(t, f, p, arg);
	case Q_TIOCNOTTY:
		return own ? no_ctty(t, p) : -Q_ENOTTY;
	case Q_TIOCGPGRP:
	case Q_TIOCGSID:
		if (own && !is_ctty(p, t))
			return -Q_ENOTTY;
		id = (int32_t)__atomic_load_n(cmd == Q_TIOCGSID ? &t->t_sid :
								  &t->t_pgrp,
		    __ATOMIC_RELAXED);
		if (cmd == Q_TIOCGSID && id == 0)
			return -Q_ENOTTY;
		return qcopyout(s->s_us, arg, &id, sizeof(id));
	case Q_TIOCSPGRP:
		return set_front(t, s, arg);
	case Q_TIOCSWINSZ:
		return set_size(t, s, arg);
	default:
		return -Q_ENOTTY;
	}
}
