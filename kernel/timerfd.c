/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timerfd: a timer that is read.
 *
 * tf_when is the next expiry on the monotonic clock, 0 when disarmed; reading
 * takes what tf_count has come to, and how often the timer has expired since is
 * worked out when somebody looks, so that a short interval costs nothing while
 * nobody does.  A timer on the real-time clock is set once, by how far its time
 * is away: nobody can set that clock here.
 */
#include "callimpl.h"

#include <quern/abi/timerfd.h>
#include <quern/timer.h>

struct timerfd {
	struct qwaitq t_wq;    /* its lock: [w] */
	struct qtimer t_timer; /* armed for t_when while it is to come */
	struct quern *t_k;     /* [I] */
	int t_clock;           /* [I] */
	uint64_t t_when;       /* [w] monotonic; 0: disarmed */
	uint64_t t_interval;   /* [w] ns, or 0 */
	uint64_t t_count;      /* [w] expiries that nobody has read */
	struct qpollq t_pollq;
};

static const struct qtag tag_timerfd = { "timerfd" };

/* Count what has expired by `now`; t_when is in the future then.  [w] */
static void
catch_up(struct timerfd *t, uint64_t now)
{
	uint64_t n = 1;

	if (t->t_when == 0 || t->t_when > now)
		return;
	if (t->t_interval == 0) {
		t->t_when = 0;
	} else {
		n += (now - t->t_when) / t->t_interval;
		t->t_when += n * t->t_interval;
	}
	t->t_count += n;
}

static void
timerfd_expire(struct qtimer *tm)
{
	struct timerfd *t = tm->tm_arg;

	qspin_lock(&t->t_wq.w_lock);
	catch_up(t, qclock_mono(t->t_k));
	/* The next expiry need not be noticed before this one is read. */
	if (t->t_count == 0 && t->t_when != 0)
		qtimer_arm(&t->t_timer, t->t_when);
	qspin_unlock(&t->t_wq.w_lock);
	(void)qwaitq_wake_all(&t->t_wq);
	qpollq_wake(&t->t_pollq, Q_POLLIN);
}

static int64_t
timerfd_read(struct qfile *f, struct quio *u)
{
	struct timerfd *t = f->f_obj;
	uint64_t n;
	int error = 0;

	if (u->u_resid < sizeof(n))
		return -Q_EINVAL;
	for (;;) {
		qspin_lock(&t->t_wq.w_lock);
		catch_up(t, qclock_mono(t->t_k));
		if (t->t_count != 0)
			break;
		if (qfile_nowait(f, u)) {
			qspin_unlock(&t->t_wq.w_lock);
			return -Q_EAGAIN;
		}
		error = qwaitq_sleep(&t->t_wq, &t->t_wq.w_lock, QSLEEP_INTR,
		    QUERN_NEVER);
		if (error != 0)
			return error;
	}
	n = t->t_count;
	t->t_count = 0;
	if (t->t_when != 0)
		qtimer_arm(&t->t_timer, t->t_when);
	qspin_unlock(&t->t_wq.w_lock);
	error = quio_out(u, &n, sizeof(n));
	return error != 0 ? error : (int64_t)sizeof(n);
}

static uint32_t
timerfd_poll(struct qfile *f, struct qpollent *ent)
{
	struct timerfd *t = f->f_obj;
	uint32_t ready;

	qpollq_add(&t->t_pollq, ent, Q_POLLIN);
	qspin_lock(&t->t_wq.w_lock);
	catch_up(t, qclock_mono(t->t_k));
	ready = t->t_count != 0 ? Q_POLLIN : 0;
	qspin_unlock(&t->t_wq.w_lock);
	return ready;
}

static void
timerfd_release(struct qfile *f)
{
	struct timerfd *t = f->f_obj;

	qspin_lock(&t->t_wq.w_lock);
	t->t_when = 0;
	qspin_unlock(&t->t_wq.w_lock);
	(void)qtimer_stop(&t->t_timer);
	qfree(t);
}

static const struct qfile_ops timerfd_ops = {
	.fo_name = "timerfd",
	.fo_read = timerfd_read,
	.fo_poll = timerfd_poll,
	.fo_seek = qfile_seek_nowhere,
	.fo_release = timerfd_release,
};

QSYS(timerfd_create)
{
	int clock = qsys_int(s, 0), error;
	uint32_t flags = qsys_uint(s, 1);
	struct quern *k = s->s_proc->p_k;
	struct timerfd *t;
	struct qfile *f;

	if ((flags & ~(uint32_t)(Q_TFD_CLOEXEC | Q_TFD_NONBLOCK)) != 0)
		return -Q_EINVAL;
	switch (clock) {
	case Q_CLOCK_REALTIME:
	case Q_CLOCK_MONOTONIC:
	case Q_CLOCK_BOOTTIME:
		break;
	case Q_CLOCK_REALTIME_ALARM:
	case Q_CLOCK_BOOTTIME_ALARM:
		if (qproc_capable(s->s_proc, Q_CAP_WAKE_ALARM))
			break;
		return -Q_EPERM;
	default:
		return -Q_EINVAL;
	}
	t = qzalloc(&tag_timerfd, sizeof(*t));
	if (t == NULL)
		return -Q_ENOMEM;
	qwaitq_init(&t->t_wq);
	qpollq_init(&t->t_pollq);
	qtimer_init(&t->t_timer, timerfd_expire, t);
	t->t_k = k;
	t->t_clock = clock;
	error = qfile_create(k, &timerfd_ops, t,
	    Q_O_RDWR | (flags & Q_TFD_NONBLOCK), QF_NOWAIT, &f);
	if (error != 0) {
		qfree(t);
		return error;
	}
	return qfd_install(s->s_proc, f, flags & Q_TFD_CLOEXEC);
}

/* What it is set to now: until the next expiry, and from one to the next.  [w] */
static void
timerfd_get(struct timerfd *t, uint64_t now, struct q_itimerspec *its)
{
	catch_up(t, now);
	its->it_interval = qtimespec_of(t->t_interval);
	its->it_value = qtimespec_of(t->t_when != 0 ? t->t_when - now : 0);
}

/* The timer behind descriptor `fd`, with a reference to its file. */
static int
timerfd_find(const struct qsys *s, struct qfile **fp)
{
	struct qfile *f = qfd_get(s->s_proc, qsys_int(s, 0));

	if (f == NULL)
		return -Q_EBADF;
	if (f->f_ops != &timerfd_ops) {
		qfile_put(f);
		return -Q_EINVAL;
	}
	*fp = f;
	return 0;
}

QSYS(timerfd_gettime)
{
	struct q_itimerspec its;
	struct timerfd *t;
	struct qfile *f;
	int error;

	error = timerfd_find(s, &f);
	if (error != 0)
		return error;
	t = f->f_obj;
	qspin_lock(&t->t_wq.w_lock);
	timerfd_get(t, qclock_mono(t->t_k), &its);
	qspin_unlock(&t->t_wq.w_lock);
	qfile_put(f);
	return qsys_out(s, 1, &its, sizeof(its));
}

/* The first expiry on the monotonic clock; 0: disarm. */
static uint64_t
first_expiry(struct timerfd *t, uint64_t ns, bool absolute, uint64_t now)
{
	uint64_t real;

	if (ns == 0)
		return 0;
	if (!absolute)
		return ns < QNS_MAX - now ? now + ns : QNS_MAX;
	if (t->t_clock == Q_CLOCK_REALTIME ||
	    t->t_clock == Q_CLOCK_REALTIME_ALARM) {
		real = qclock_real(t->t_k);
		return ns > real ? now + (ns - real) : now;
	}
	return ns;
}

static void
timerfd_set(struct timerfd *t, uint64_t ns, uint64_t interval, bool absolute,
    struct q_itimerspec *old)
{
	uint64_t now = qclock_mono(t->t_k);

	/* Its function may be waiting for our lock: stop it without that. */
	(void)qtimer_stop(&t->t_timer);
	qspin_lock(&t->t_wq.w_lock);
	timerfd_get(t, now, old);
	t->t_when = first_expiry(t, ns, absolute, now);
	t->t_interval = interval;
	t->t_count = 0;
	if (t->t_when != 0)
		qtimer_arm(&t->t_timer, t->t_when);
	qspin_unlock(&t->t_wq.w_lock);
}

QSYS(timerfd_settime)
{
	struct q_itimerspec its, old;
	int flags = qsys_int(s, 1), error;
	uint64_t value, interval;
	struct qfile *f;

	if ((flags & ~(Q_TFD_TIMER_ABSTIME | Q_TFD_TIMER_CANCEL_ON_SET)) != 0)
		return -Q_EINVAL;
	error = qsys_in(s, 2, &its, sizeof(its));
	if (error != 0)
		return error;
	if (!qtimespec_ns(&its.it_value, &value) ||
	    !qtimespec_ns(&its.it_interval, &interval))
		return -Q_EINVAL;
	error = timerfd_find(s, &f);
	if (error != 0)
		return error;
	timerfd_set(f->f_obj, value, interval,
	    (flags & Q_TFD_TIMER_ABSTIME) != 0, &old);
	qfile_put(f);
	return s->s_arg[3] == 0 ? 0 : qsys_out(s, 3, &old, sizeof(old));
}
