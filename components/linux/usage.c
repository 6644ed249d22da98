/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What processes use: CPU time in the guest and in the kernel, CPU clocks, and
 * how loaded the system is.
 *
 * How long a thread has run is known to the nanosecond (t_ran).  How much of that
 * was the kernel's is an estimate: reading the clock at each event would cost the
 * short ones more than a percent.  So one in USAGE_SAMPLE of those is timed and
 * stands for all; calls that may be long are timed each.
 */
#include "impl.h"

#include <quern/abi/sysinfo.h>

#include "lproc.h"

#define NR_BIT(nr) (UINT64_C(1) << (nr) % 64)

/* Calls that are short: by number, a bit each. */
const uint64_t lusage_short[8] = {
	/* read to mmap, signals, ioctl to access, select, yield */
	UINT64_C(0x3ff) | NR_BIT(13) | NR_BIT(14) | NR_BIT(15) |
	    (UINT64_C(0x3f) << 16) | NR_BIT(23) | NR_BIT(24) | NR_BIT(32) |
	    NR_BIT(33) | NR_BIT(35) | NR_BIT(39),
	/* fcntl, gettimeofday, getuid to getegid but for setuid and setgid */
	NR_BIT(72) | NR_BIT(96) | NR_BIT(102) | NR_BIT(104) | NR_BIT(107) |
	    NR_BIT(108) | NR_BIT(110) | NR_BIT(111),
	/* gettid */
	NR_BIT(186),
	/* time, futex, clock_gettime, clock_nanosleep, epoll, tgkill */
	NR_BIT(201) | NR_BIT(202) | NR_BIT(228) | NR_BIT(230) | NR_BIT(232) |
	    NR_BIT(233) | NR_BIT(234),
	/* openat, fstatat, pselect6, ppoll, epoll_pwait, getcpu, getrandom */
	NR_BIT(257) | NR_BIT(262) | NR_BIT(270) | NR_BIT(271) | NR_BIT(281) |
	    NR_BIT(309) | NR_BIT(318),
};

void
lusage_took(struct lthread *lt, uint64_t ns)
{
	/* One in so many, or it was timed for itself. */
	if (lt->lt_sample == 0) {
		lt->lt_sample = USAGE_SAMPLE;
		ns *= USAGE_SAMPLE;
	}
	__atomic_store_n(&lt->lt_sys, lt->lt_sys + ns, __ATOMIC_RELAXED);
}

/* ---- clocks ---------------------------------------------------------------------- */

/* The bits of a clock's number below those of ~pid. */
#define CLOCK_KIND   3 /* profiling, guest time, all time, a descriptor */
#define CLOCK_THREAD 4

enum { KIND_PROF = 0, KIND_VIRT, KIND_SCHED };

int
lusage_clock(struct quern_proc *p, int clock, uint64_t *nsp)
{
	struct lthread *lt = lthread_current();
	struct lproc *lp = lproc_of(p);
	struct lsys *l = lp->lp_l;
	uint32_t id = 0, kind = KIND_SCHED;
	bool thread = clock == Q_CLOCK_THREAD_CPUTIME_ID;
	struct lusage u;
	int error = 0;

	if (clock < 0) {
		id = ~(uint32_t)(clock >> 3);
		kind = clock & CLOCK_KIND;
		thread = (clock & CLOCK_THREAD) != 0;
	}
	if (kind > KIND_SCHED)
		return -Q_EINVAL;
	qspin_lock(&l->l_lock);
	if (thread && id != 0)
		lt = lthread_find(l, id);
	else if (id != 0)
		lp = lproc_find(l, id);
	/* Of threads one sees only one's own. */
	if (thread ? lt == NULL || lt->lt_proc != lp : lp == NULL)
		error = -Q_EINVAL;
	else if (thread)
		lthread_usage(lt, &u);
	else
		lproc_usage(lp, &u);
	qspin_unlock(&l->l_lock);
	if (error == 0)
		*nsp = u.u_user_ns + (kind == KIND_VIRT ? 0 : u.u_sys_ns);
	return error;
}

/* ---- load ------------------------------------------------------------------------ */

/* As Linux: how many threads could run, averaged every five seconds and a bit. */
#define LOAD_NS UINT64_C(5010000000)

/* QLPROC_LOAD / exp(5 s / 1 min), and of 5 and 15 minutes. */
static const uint64_t decay[3] = { 1884, 2014, 2037 };

/* [L] */
static uint64_t
count_running(const struct lsys *l, bool *any)
{
	struct qlist *e, *f;
	uint64_t n = 0;

	*any = false;
	QLIST_FOREACH(e, &l->l_procs)
		QLIST_FOREACH(f,
		    &QLIST_ELEM(e, struct lproc, lp_all)->lp_threads) {
			*any = true;
			n += lthread_state(
				 QLIST_ELEM(f, struct lthread, lt_link)) == 'R';
		}
	return n;
}

static void
load_tick(struct qtimer *tm)
{
	struct lsys *l = tm->tm_arg;
	uint64_t n, load;
	unsigned i;
	bool any;

	qspin_lock(&l->l_lock);
	n = count_running(l, &any) * QLPROC_LOAD;
	for (i = 0; i < 3; i++) {
		load = l->l_load[i] * decay[i] + n * (QLPROC_LOAD - decay[i]);
		/* It is to reach what it goes to. */
		if (n >= l->l_load[i])
			load += QLPROC_LOAD - 1;
		l->l_load[i] = load / QLPROC_LOAD;
	}
	if (any)
		qtimer_arm(tm, qclock_mono(l->l_k) + LOAD_NS);
	else
		l->l_loadon = false;
	qspin_unlock(&l->l_lock);
}

void
lusage_begin(struct lsys *l)
{
	if (l->l_loadon)
		return;
	l->l_loadon = true;
	qtimer_arm(&l->l_loadtm, qclock_mono(l->l_k) + LOAD_NS);
}

void
qlproc_load(struct quern *k, uint64_t load[3])
{
	struct lsys *l = linux_of(k);

	qspin_lock(&l->l_lock);
	memcpy(load, l->l_load, sizeof(l->l_load));
	qspin_unlock(&l->l_lock);
}

/* ---- sysinfo --------------------------------------------------------------------- */

static void
add_sysinfo(void *arg, struct q_sysinfo *info)
{
	struct lsys *l = arg;
	uint64_t total, free;
	uint32_t procs, threads, running, last;
	unsigned i;

	qlproc_count(l->l_k, &procs, &threads, &running, &last);
	info->procs = (uint16_t)threads;
	qvm_swapinfo(l->l_k, &total, &free);
	info->totalswap = total * QUERN_PAGE_SIZE;
	info->freeswap = free * QUERN_PAGE_SIZE;
	qspin_lock(&l->l_lock);
	/* With 16 bits behind the point. */
	for (i = 0; i < 3; i++)
		info->loads[i] = (l->l_load[i] << 16) / QLPROC_LOAD;
	qspin_unlock(&l->l_lock);
}

void
lusage_init(struct lsys *l)
{
	qtimer_init(&l->l_loadtm, load_tick, l);
	qsysinfo_hook(l->l_k, add_sysinfo, l);
}

void
lusage_fini(struct lsys *l)
{
	qsysinfo_hook(l->l_k, NULL, NULL);
	(void)qtimer_stop(&l->l_loadtm);
}
