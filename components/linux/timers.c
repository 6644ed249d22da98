/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timers that send signals: setitimer, alarm, timer_create.
 *
 * One kind, struct ltimer, for all.  A process has three of them without a number
 * (ITIMER_*), made on first use, and those of timer_create by their number.
 *
 * tm_when is the next expiry by the timer's clock, 0 when it is not set.  Of a
 * clock that stands for time used, nobody tells when it gets there; it can't be
 * sooner than if all threads ran until then, so the timer looks again at that
 * time.
 *
 * A timer has its signal with it, which is queued at most once; what expires
 * while it is there is counted as overrun (sigqueue's rule).
 */
#include "impl.h"

#define SEC UINT64_C(1000000000)

/* The most timers of a process, and how far its clocks are looked at again. */
#define TIMER_MAX 4096
#define LOOK_MIN  UINT64_C(1000000)

static const struct qtag tag_timer = { "guest timer" };

enum tclock { TC_MONO = 0, TC_REAL, TC_PROC, TC_THREAD };

struct ltimer {
	struct qlist tm_link;  /* [L] lp_timers */
	struct lproc *tm_proc; /* [I] */
	struct qtimer tm_timer;
	struct lsig tm_sig;   /* [L] */
	int tm_id;            /* [I] < 0: ITIMER_* is ~tm_id */
	enum tclock tm_clock; /* [I] */
	uint32_t tm_tid;      /* [I] whose signal it is; 0: the process's */
	bool tm_silent;       /* [I] SIGEV_NONE */
	bool tm_gone;         /* [L] */
	uint64_t tm_when;     /* [L] */
	uint64_t tm_interval; /* [L] */
	uint64_t tm_missed;   /* [L] expiries since tm_sig was queued */
	uint32_t tm_overrun;  /* [L] of the signal that was taken last */
};

/* ---- clocks ---------------------------------------------------------------------- */

/* What the timer's clock says.  [L] */
static uint64_t
now_of(const struct ltimer *t)
{
	struct quern *k = t->tm_proc->lp_l->l_k;
	struct lthread *lt;
	struct lusage u;

	switch (t->tm_clock) {
	case TC_REAL:
		return qclock_real(k);
	case TC_PROC:
		lproc_usage(t->tm_proc, &u);
		return u.u_user_ns + u.u_sys_ns;
	case TC_THREAD:
		lt = lthread_find(t->tm_proc->lp_l, t->tm_tid);
		if (lt == NULL || lt->lt_thread == NULL)
			return 0;
		return qthread_ran(lt->lt_thread);
	case TC_MONO:
	default:
		return qclock_mono(k);
	}
}

/* Look again when it may have got there.  [L] */
static void
arm(struct ltimer *t, uint64_t now)
{
	struct quern *k = t->tm_proc->lp_l->l_k;
	uint64_t left = t->tm_when > now ? t->tm_when - now : 0;

	if (t->tm_clock == TC_PROC && t->tm_proc->lp_nthread > 1)
		left /= t->tm_proc->lp_nthread;
	if (t->tm_clock >= TC_PROC && left < LOOK_MIN)
		left = LOOK_MIN;
	qtimer_arm(&t->tm_timer, qclock_mono(k) + left);
}

/* ---- expiring ----------------------------------------------------------------------- */

/* Queue its signal, or count that it is there already.  [L] */
static void
fire(struct ltimer *t, uint64_t n)
{
	struct lproc *lp = t->tm_proc;
	struct lthread *lt = NULL;

	if (t->tm_silent)
		return;
	if (!qlist_empty(&t->tm_sig.s_link)) {
		t->tm_missed += n;
		return;
	}
	t->tm_missed = n - 1;
	if (t->tm_tid != 0)
		lt = lthread_find(lp->lp_l, t->tm_tid);
	lsig_timer(lp, lt, &t->tm_sig);
}

static void
expire(struct qtimer *tm)
{
	struct ltimer *t = tm->tm_arg;
	struct lsys *l = t->tm_proc->lp_l;
	uint64_t now, n = 1;

	qspin_lock(&l->l_lock);
	now = now_of(t);
	if (t->tm_gone || t->tm_when == 0) {
		;
	} else if (now < t->tm_when) {
		arm(t, now);
	} else {
		if (t->tm_interval == 0) {
			t->tm_when = 0;
		} else {
			n += (now - t->tm_when) / t->tm_interval;
			t->tm_when += n * t->tm_interval;
			arm(t, now);
		}
		fire(t, n);
	}
	qspin_unlock(&l->l_lock);
}

void
ltimer_taken(struct ltimer *t, struct q_siginfo *info)
{
	t->tm_overrun = t->tm_missed > INT32_MAX ? INT32_MAX :
						   (uint32_t)t->tm_missed;
	t->tm_missed = 0;
	if (t->tm_id >= 0)
		info->sg_overrun = (int32_t)t->tm_overrun;
}

/* The process has it no more.  [L] */
static void
take_off(struct lproc *lp, struct ltimer *t)
{
	qlist_del(&t->tm_link);
	if (t->tm_id >= 0)
		lp->lp_ntimer--;
}

/* ---- beginning and end ------------------------------------------------------------------ */

static struct ltimer *
make(struct lproc *lp, int id, enum tclock clock, int sig)
{
	struct ltimer *t = qzalloc(&tag_timer, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->tm_proc = lp;
	t->tm_id = id;
	t->tm_clock = clock;
	t->tm_sig.s_timer = t;
	t->tm_sig.s_info.si_signo = sig;
	t->tm_sig.s_info.si_code = id < 0 ? Q_SI_KERNEL : Q_SI_TIMER;
	t->tm_sig.s_info.sg_timerid = id < 0 ? 0 : id;
	qlist_init(&t->tm_link);
	qlist_init(&t->tm_sig.s_link);
	qtimer_init(&t->tm_timer, expire, t);
	return t;
}

/* The timer with that number, or NULL.  [L] */
static struct ltimer *
find(struct lproc *lp, int id)
{
	struct ltimer *t;
	struct qlist *e;

	QLIST_FOREACH(e, &lp->lp_timers) {
		t = QLIST_ELEM(e, struct ltimer, tm_link);
		if (t->tm_id == id)
			return t;
	}
	return NULL;
}

/* It is on no list any more: its memory goes. */
static void
destroy(struct ltimer *t)
{
	struct lsys *l = t->tm_proc->lp_l;

	qspin_lock(&l->l_lock);
	t->tm_gone = true;
	qlist_del(&t->tm_sig.s_link);
	qspin_unlock(&l->l_lock);
	(void)qtimer_stop(&t->tm_timer);
	/* It may have queued its signal until just now. */
	qspin_lock(&l->l_lock);
	qlist_del(&t->tm_sig.s_link);
	qspin_unlock(&l->l_lock);
	qfree(t);
}

/* All of them, or (exec) those of timer_create. */
static void
destroy_all(struct lproc *lp, bool itimers)
{
	struct lsys *l = lp->lp_l;
	struct ltimer *t, *one;
	struct qlist *e;

	do {
		one = NULL;
		qspin_lock(&l->l_lock);
		QLIST_FOREACH(e, &lp->lp_timers) {
			t = QLIST_ELEM(e, struct ltimer, tm_link);
			if (itimers || t->tm_id >= 0) {
				one = t;
				take_off(lp, t);
				break;
			}
		}
		qspin_unlock(&l->l_lock);
		if (one != NULL)
			destroy(one);
	} while (one != NULL);
}

void
ltimers_exit(struct lproc *lp)
{
	destroy_all(lp, true);
}

void
ltimers_exec(struct lproc *lp)
{
	destroy_all(lp, false);
}

/* ---- setting ------------------------------------------------------------------------------ */

/* What is left and the interval.  [L] */
static void
get(const struct ltimer *t, uint64_t *left, uint64_t *interval)
{
	uint64_t now = now_of(t);

	*interval = t->tm_interval;
	*left = 0;
	/* One that is about to expire is not disarmed. */
	if (t->tm_when != 0)
		*left = t->tm_when > now ? t->tm_when - now : 1;
}

/* Set it: the first expiry, by its clock or from now on; 0: not.  [L] */
static void
set(struct ltimer *t, uint64_t ns, uint64_t interval, bool absolute)
{
	uint64_t now = now_of(t);

	/* A signal of the setting before is no business of this one. */
	qlist_del(&t->tm_sig.s_link);
	t->tm_missed = t->tm_overrun = 0;
	t->tm_interval = interval;
	t->tm_when = 0;
	if (ns == 0)
		return;
	if (!absolute)
		ns = ns < QNS_MAX - now ? now + ns : QNS_MAX;
	t->tm_when = ns;
	arm(t, now);
}

/* ---- setitimer, alarm ----------------------------------------------------------------------- */

/* The process's ITIMER_`which`, made if need be.  -EINVAL, -ENOMEM. */
static int
itimer_of(struct lproc *lp, int which, struct ltimer **tp)
{
	static const int sigs[] = { Q_SIGALRM, Q_SIGVTALRM, Q_SIGPROF };
	struct lsys *l = lp->lp_l;
	struct ltimer *t, *other;

	if (which < Q_ITIMER_REAL || which > Q_ITIMER_PROF)
		return -Q_EINVAL;
	qspin_lock(&l->l_lock);
	*tp = find(lp, ~which);
	qspin_unlock(&l->l_lock);
	if (*tp != NULL)
		return 0;
	t = make(lp, ~which, which == Q_ITIMER_REAL ? TC_MONO : TC_PROC,
	    sigs[which]);
	if (t == NULL)
		return -Q_ENOMEM;
	qspin_lock(&l->l_lock);
	other = find(lp, ~which);
	if (other == NULL)
		qlist_append(&lp->lp_timers, &t->tm_link);
	qspin_unlock(&l->l_lock);
	*tp = other != NULL ? other : t;
	if (other != NULL)
		qfree(t);
	return 0;
}

static int
itimer_swap(struct lproc *lp, int which, uint64_t ns, uint64_t interval,
    uint64_t *left, uint64_t *old)
{
	struct lsys *l = lp->lp_l;
	struct ltimer *t;
	int error;

	error = itimer_of(lp, which, &t);
	if (error != 0)
		return error;
	qspin_lock(&l->l_lock);
	get(t, left, old);
	set(t, ns, interval, false);
	qspin_unlock(&l->l_lock);
	return 0;
}

QSYS(alarm)
{
	uint64_t left, interval;
	int error;

	error = itimer_swap(lproc_of(s->s_proc), Q_ITIMER_REAL,
	    qsys_uint(s, 0) * SEC, 0, &left, &interval);
	if (error != 0)
		return error;
	/* Never 0 when there is one. */
	return (
	    int64_t)(left != 0 && left < SEC / 2 ? 1 : (left + SEC / 2) / SEC);
}

static bool
ns_of_timeval(const struct q_timeval *tv, uint64_t *ns)
{
	struct q_timespec ts = { tv->tv_sec, tv->tv_usec * 1000 };

	return (uint64_t)tv->tv_usec < 1000000 && qtimespec_ns(&ts, ns);
}

static void
itimer_out(uint64_t left, uint64_t interval, struct q_itimerval *v)
{
	left = (left + 999) / 1000;
	v->it_value.tv_sec = (int64_t)(left / 1000000);
	v->it_value.tv_usec = (int64_t)(left % 1000000);
	v->it_interval.tv_sec = (int64_t)(interval / SEC);
	v->it_interval.tv_usec = (int64_t)(interval % SEC / 1000);
}

QSYS(setitimer)
{
	struct q_itimerval v = { { 0, 0 }, { 0, 0 } };
	uint64_t ns, interval, left, old;
	int error = 0;

	if (s->s_arg[1] != 0)
		error = qsys_in(s, 1, &v, sizeof(v));
	if (error != 0)
		return error;
	if (!ns_of_timeval(&v.it_value, &ns) ||
	    !ns_of_timeval(&v.it_interval, &interval))
		return -Q_EINVAL;
	error = itimer_swap(lproc_of(s->s_proc), qsys_int(s, 0), ns, interval,
	    &left, &old);
	if (error != 0 || s->s_arg[2] == 0)
		return error;
	itimer_out(left, old, &v);
	return qsys_out(s, 2, &v, sizeof(v));
}

QSYS(getitimer)
{
	struct lproc *lp = lproc_of(s->s_proc);
	struct lsys *l = lp->lp_l;
	uint64_t left, interval;
	struct q_itimerval v;
	struct ltimer *t;
	int error;

	error = itimer_of(lp, qsys_int(s, 0), &t);
	if (error != 0)
		return error;
	qspin_lock(&l->l_lock);
	get(t, &left, &interval);
	qspin_unlock(&l->l_lock);
	itimer_out(left, interval, &v);
	return qsys_out(s, 1, &v, sizeof(v));
}

/* ---- timer_create and so on -------------------------------------------------------------------- */

#define SIGEV_SIGNAL    0
#define SIGEV_NONE      1
#define SIGEV_THREAD_ID 4

struct sigevent {
	uint64_t se_value;
	int32_t se_signo, se_notify, se_tid;
	int32_t se_pad[11];
};

static int
clock_kind(const struct qsys *s, enum tclock *kind)
{
	switch (qsys_int(s, 0)) {
	case Q_CLOCK_REALTIME:
	case Q_CLOCK_TAI:
		*kind = TC_REAL;
		return 0;
	case Q_CLOCK_MONOTONIC:
	case Q_CLOCK_BOOTTIME:
		*kind = TC_MONO;
		return 0;
	case Q_CLOCK_PROCESS_CPUTIME_ID:
		*kind = TC_PROC;
		return 0;
	case Q_CLOCK_THREAD_CPUTIME_ID:
		*kind = TC_THREAD;
		return 0;
	case Q_CLOCK_REALTIME_ALARM:
	case Q_CLOCK_BOOTTIME_ALARM:
		if (!qproc_capable(s->s_proc, Q_CAP_WAKE_ALARM))
			return -Q_EPERM;
		*kind = qsys_int(s, 0) == Q_CLOCK_REALTIME_ALARM ? TC_REAL :
								   TC_MONO;
		return 0;
	default:
		return -Q_EINVAL;
	}
}

/* What is to happen, checked; by default SIGALRM to the process. */
static int
event_in(const struct qsys *s, struct sigevent *ev)
{
	struct lproc *lp = lproc_of(s->s_proc);
	struct lsys *l = lp->lp_l;
	struct lthread *lt;
	int error = 0;

	*ev = (struct sigevent){ .se_signo = Q_SIGALRM,
		.se_notify = SIGEV_SIGNAL };
	if (s->s_arg[1] == 0)
		return 0;
	error = qsys_in(s, 1, ev, sizeof(*ev));
	if (error != 0)
		return error;
	if (ev->se_notify == SIGEV_NONE)
		return 0;
	if ((ev->se_notify & ~SIGEV_THREAD_ID) != SIGEV_SIGNAL ||
	    ev->se_signo < 1 || ev->se_signo > (int)LINUX_NSIG)
		return -Q_EINVAL;
	if ((ev->se_notify & SIGEV_THREAD_ID) == 0) {
		ev->se_tid = 0;
		return 0;
	}
	qspin_lock(&l->l_lock);
	lt = lthread_find(l, (uint32_t)ev->se_tid);
	if (lt == NULL || lt->lt_proc != lp)
		error = -Q_EINVAL;
	qspin_unlock(&l->l_lock);
	return error;
}

/* ---- RLIMIT_CPU ------------------------------------------------------------- */

void
ltimers_check_cpu(struct lproc *lp)
{
	const struct q_rlimit *lim = &lp->lp_proc->p_rlim[Q_RLIMIT_CPU];
	struct q_siginfo info = { .si_signo = Q_SIGXCPU,
		.si_code = Q_SI_KERNEL };
	uint64_t soft = __atomic_load_n(&lim->rlim_cur, __ATOMIC_RELAXED);
	uint64_t hard = __atomic_load_n(&lim->rlim_max, __ATOMIC_RELAXED);
	struct lsys *l = lp->lp_l;
	struct lusage u;
	uint64_t used;

	if (qlikely(soft == Q_RLIM_INFINITY))
		return;
	qspin_lock(&l->l_lock);
	lproc_usage(lp, &u);
	used = (u.u_user_ns + u.u_sys_ns) / SEC;
	if (used >= hard) {
		lproc_end(lp, Q_SIGKILL);
	} else if (used >= soft && used > lp->lp_toldcpu) {
		/* Once a second from there on. */
		lp->lp_toldcpu = used;
		(void)lsig_proc(lp, &info);
	}
	qspin_unlock(&l->l_lock);
}

/*
 * A number that no timer has, after the one that was given last.  [L] Usually the
 * first that is looked for; not so only where numbers have been round once.
 */
static int
free_id(struct lproc *lp)
{
	int id;

	if (lp->lp_ntimer == TIMER_MAX)
		return -Q_EAGAIN;
	do {
		id = lp->lp_nexttimer;
		lp->lp_nexttimer = id == INT32_MAX ? 0 : id + 1;
	} while (find(lp, id) != NULL);
	lp->lp_ntimer++;
	return id;
}

QSYS(timer_create)
{
	struct lproc *lp = lproc_of(s->s_proc);
	struct lsys *l = lp->lp_l;
	struct sigevent ev;
	enum tclock kind;
	struct ltimer *t;
	int error, id;

	error = clock_kind(s, &kind);
	if (error == 0)
		error = event_in(s, &ev);
	if (error != 0)
		return error;
	t = make(lp, 0, kind, ev.se_signo);
	if (t == NULL)
		return -Q_ENOMEM;
	t->tm_silent = ev.se_notify == SIGEV_NONE;
	t->tm_tid = (uint32_t)ev.se_tid;
	if (kind == TC_THREAD && t->tm_tid == 0)
		t->tm_tid = lthread_current()->lt_tid;
	qspin_lock(&l->l_lock);
	id = free_id(lp);
	if (id >= 0) {
		t->tm_id = t->tm_sig.s_info.sg_timerid = id;
		t->tm_sig.s_info.sg_timer_value = s->s_arg[1] != 0 ?
		    ev.se_value :
		    (uint64_t)id;
		qlist_append(&lp->lp_timers, &t->tm_link);
	}
	qspin_unlock(&l->l_lock);
	if (id < 0) {
		qfree(t);
		return id;
	}
	return qsys_out(s, 2, &id, sizeof(id));
}

QSYS(timer_settime)
{
	struct lproc *lp = lproc_of(s->s_proc);
	uint64_t ns, interval, left = 0, old = 0;
	struct lsys *l = lp->lp_l;
	struct q_itimerspec its;
	struct ltimer *t;
	int error;

	error = qsys_in(s, 2, &its, sizeof(its));
	if (error != 0)
		return error;
	if (!qtimespec_ns(&its.it_value, &ns) ||
	    !qtimespec_ns(&its.it_interval, &interval))
		return -Q_EINVAL;
	qspin_lock(&l->l_lock);
	t = qsys_int(s, 0) >= 0 ? find(lp, qsys_int(s, 0)) : NULL;
	if (t != NULL) {
		get(t, &left, &old);
		set(t, ns, interval, (qsys_int(s, 1) & Q_TIMER_ABSTIME) != 0);
	}
	qspin_unlock(&l->l_lock);
	if (t == NULL)
		return -Q_EINVAL;
	its.it_value = qtimespec_of(left);
	its.it_interval = qtimespec_of(old);
	return s->s_arg[3] == 0 ? 0 : qsys_out(s, 3, &its, sizeof(its));
}

QSYS(timer_gettime)
{
	struct lproc *lp = lproc_of(s->s_proc);
	struct lsys *l = lp->lp_l;
	struct q_itimerspec its;
	uint64_t left, interval;
	struct ltimer *t;

	qspin_lock(&l->l_lock);
	t = qsys_int(s, 0) >= 0 ? find(lp, qsys_int(s, 0)) : NULL;
	if (t != NULL)
		get(t, &left, &interval);
	qspin_unlock(&l->l_lock);
	if (t == NULL)
		return -Q_EINVAL;
	its.it_value = qtimespec_of(left);
	its.it_interval = qtimespec_of(interval);
	return qsys_out(s, 1, &its, sizeof(its));
}

QSYS(timer_getoverrun)
{
	struct lproc *lp = lproc_of(s->s_proc);
	struct lsys *l = lp->lp_l;
	struct ltimer *t;
	int64_t ret = -Q_EINVAL;

	qspin_lock(&l->l_lock);
	t = qsys_int(s, 0) >= 0 ? find(lp, qsys_int(s, 0)) : NULL;
	if (t != NULL)
		ret = t->tm_overrun;
	qspin_unlock(&l->l_lock);
	return ret;
}

QSYS(timer_delete)
{
	struct lproc *lp = lproc_of(s->s_proc);
	struct lsys *l = lp->lp_l;
	struct ltimer *t;

	qspin_lock(&l->l_lock);
	t = qsys_int(s, 0) >= 0 ? find(lp, qsys_int(s, 0)) : NULL;
	if (t != NULL)
		take_off(lp, t);
	qspin_unlock(&l->l_lock);
	if (t == NULL)
		return -Q_EINVAL;
	destroy(t);
	return 0;
}
