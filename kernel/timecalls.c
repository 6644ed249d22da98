/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls about time.
 *
 * The host has three clocks; Linux's are mapped to them.  CLOCK_BOOTTIME and
 * CLOCK_MONOTONIC_RAW are the monotonic clock (a host that was suspended is not
 * noticed), CLOCK_TAI the real-time clock (as in Linux as long as nobody has
 * told it the offset), and CPU time is that of the calling host thread.
 */
#include "callimpl.h"

#include <quern/abi/time.h>

#define SEC UINT64_C(1000000000)

bool
qtimespec_ns(const struct q_timespec *t, uint64_t *nsp)
{
	if (t->tv_sec < 0 || (uint64_t)t->tv_nsec >= SEC)
		return false;
	if ((uint64_t)t->tv_sec >= QNS_MAX / SEC)
		*nsp = QNS_MAX;
	else
		*nsp = (uint64_t)t->tv_sec * SEC + (uint64_t)t->tv_nsec;
	return true;
}

struct q_timespec
qtimespec_of(uint64_t ns)
{
	struct q_timespec t = { (int64_t)(ns / SEC), (int64_t)(ns % SEC) };

	return t;
}

uint64_t
qdeadline_in(struct quern *k, uint64_t ns)
{
	uint64_t now;

	if (ns == QUERN_NEVER)
		return QUERN_NEVER;
	now = qthread_current()->t_started;
	if (now == 0)
		now = qthread_current()->t_began = qclock_mono(k);
	return ns >= QNS_MAX - now ? QNS_MAX : now + ns;
}

/* ---- reading --------------------------------------------------------------- */

/* The host's clock behind one of Linux's; -EINVAL. */
static int
host_clock(int clock)
{
	switch (clock) {
	case Q_CLOCK_REALTIME:
	case Q_CLOCK_REALTIME_ALARM:
	case Q_CLOCK_TAI:
		return QUERN_CLOCK_REALTIME;
	case Q_CLOCK_REALTIME_COARSE:
		return QUERN_CLOCK_COARSE;
	case Q_CLOCK_MONOTONIC:
	case Q_CLOCK_MONOTONIC_RAW:
	case Q_CLOCK_MONOTONIC_COARSE:
	case Q_CLOCK_BOOTTIME:
	case Q_CLOCK_BOOTTIME_ALARM:
		return QUERN_CLOCK_MONOTONIC;
	case Q_CLOCK_PROCESS_CPUTIME_ID:
	case Q_CLOCK_THREAD_CPUTIME_ID:
		return QUERN_CLOCK_CPU;
	default:
		return -Q_EINVAL;
	}
}

static int
read_host(struct quern *k, int clock, uint64_t *nsp)
{
	int host = host_clock(clock);

	if (host < 0)
		return host;
	return k->k_hyper->clock_read(k->k_ctx, (enum quern_clock)host, nsp);
}

/* CPU time is the process's, if it is of a kind that has such. */
static int
read_clock(struct quern_proc *p, int clock, uint64_t *nsp)
{
	if ((clock < 0 || host_clock(clock) == QUERN_CLOCK_CPU) &&
	    p->p_ops != NULL && p->p_ops->po_cputime != NULL)
		return p->p_ops->po_cputime(p, clock, nsp);
	return read_host(p->p_k, clock, nsp);
}

QSYS(clock_gettime)
{
	struct q_timespec t;
	uint64_t ns;
	int error;

	error = read_clock(s->s_proc, qsys_int(s, 0), &ns);
	if (error != 0)
		return error;
	t = qtimespec_of(ns);
	return qsys_out(s, 1, &t, sizeof(t));
}

QSYS(clock_getres)
{
	struct q_timespec t = { 0, 1 };
	int clock = qsys_int(s, 0);
	uint64_t ns;

	/* Of a clock below 0 the process must be there. */
	if (clock < 0 ? read_clock(s->s_proc, clock, &ns) != 0 :
			host_clock(clock) < 0)
		return -Q_EINVAL;
	return s->s_arg[1] == 0 ? 0 : qsys_out(s, 1, &t, sizeof(t));
}

QSYS(clock_settime)
{
	struct q_timespec t;
	uint64_t ns;
	int error;

	if (qsys_int(s, 0) != Q_CLOCK_REALTIME)
		return -Q_EINVAL;
	error = qsys_in(s, 1, &t, sizeof(t));
	if (error != 0)
		return error;
	return qtimespec_ns(&t, &ns) ? -Q_EPERM : -Q_EINVAL;
}

QSYS(gettimeofday)
{
	struct q_timezone tz = { 0, 0 };
	struct q_timespec t;
	uint64_t ns;
	int error;

	error = read_clock(s->s_proc, Q_CLOCK_REALTIME, &ns);
	if (error == 0 && s->s_arg[0] != 0) {
		t = qtimespec_of(ns);
		t.tv_nsec /= 1000;
		error = qsys_out(s, 0, &t, sizeof(t));
	}
	if (error == 0 && s->s_arg[1] != 0)
		error = qsys_out(s, 1, &tz, sizeof(tz));
	return error;
}

QSYS(time)
{
	uint64_t ns;
	int64_t sec;
	int error;

	error = read_clock(s->s_proc, Q_CLOCK_REALTIME, &ns);
	if (error != 0)
		return error;
	sec = (int64_t)(ns / SEC);
	if (s->s_arg[0] != 0)
		error = qsys_out(s, 0, &sec, sizeof(sec));
	return error != 0 ? error : sec;
}

/* ---- sleeping -------------------------------------------------------------- */

/* Can one sleep by that clock?  0, -EINVAL (no clock), -EOPNOTSUPP. */
static int
check_sleep(int clock)
{
	switch (clock) {
	case Q_CLOCK_REALTIME:
	case Q_CLOCK_TAI:
	case Q_CLOCK_MONOTONIC:
	case Q_CLOCK_BOOTTIME:
		return 0;
	default:
		return host_clock(clock) < 0 ? -Q_EINVAL : -Q_EOPNOTSUPP;
	}
}

/*
 * Sleep until `clock` shows `until`.  The real-time clock may be set meanwhile,
 * and may run at another speed than the monotonic one: look again.
 */
static int
sleep_until(struct quern *k, int clock, uint64_t until)
{
	uint64_t now, mono;
	int error;

	for (;;) {
		error = read_host(k, clock, &now);
		if (error != 0 || now >= until)
			return error;
		mono = qclock_mono(k);
		error = qthread_sleep_until(until - now >= QNS_MAX - mono ?
			QNS_MAX :
			mono + (until - now),
		    true);
		if (error != 0)
			return error;
	}
}

/* Sleep for `ns`.  If interrupted, store what is left through argument `i`. */
static int
sleep_span(struct qsys *s, uint64_t ns, unsigned i)
{
	struct quern *k = s->s_proc->p_k;
	uint64_t until = qdeadline_in(k, ns), now;
	struct q_timespec left;
	int error, e2;

	if (ns == 0)
		return 0;
	error = qthread_sleep_until(until, true);
	if (error != -Q_EINTR)
		return error;
	now = qclock_mono(k);
	if (now >= until)
		return 0;
	left = qtimespec_of(until - now);
	e2 = s->s_arg[i] == 0 ? 0 : qsys_out(s, i, &left, sizeof(left));
	return e2 != 0 ? e2 : error;
}

QSYS(nanosleep)
{
	struct q_timespec t;
	uint64_t ns;
	int error;

	error = qsys_in(s, 0, &t, sizeof(t));
	if (error != 0)
		return error;
	return qtimespec_ns(&t, &ns) ? sleep_span(s, ns, 1) : -Q_EINVAL;
}

QSYS(clock_nanosleep)
{
	int clock = qsys_int(s, 0), error;
	struct q_timespec t;
	uint64_t ns;

	error = check_sleep(clock);
	if (error == 0)
		error = qsys_in(s, 2, &t, sizeof(t));
	if (error != 0)
		return error;
	if (!qtimespec_ns(&t, &ns))
		return -Q_EINVAL;
	if ((qsys_int(s, 1) & Q_TIMER_ABSTIME) != 0)
		return sleep_until(s->s_proc->p_k, clock, ns);
	return sleep_span(s, ns, 3);
}
