/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls that belong nowhere else: arch_prctl, scheduling, swap disks, reboot.
 */
#include "impl.h"

#include <quern/abi/prctl.h>
#include <quern/abi/reboot.h>
#include <quern/abi/swap.h>
#include <quern/block.h>

static const struct qtag tag_page = { "page of a disk" };

/* ---- the processor ------------------------------------------------------------------ */

QSYS(arch_prctl)
{
	struct quern_vmframe *f = &lthread_current()->lt_f;
	uint64_t addr = s->s_arg[1];

	switch (qsys_int(s, 0)) {
	case Q_ARCH_SET_FS:
		if (addr >= QVM_TOP)
			return -Q_EPERM;
		f->f_fsbase = addr;
		return 0;
	case Q_ARCH_SET_GS:
		if (addr >= QVM_TOP)
			return -Q_EPERM;
		f->f_gsbase = addr;
		return 0;
	case Q_ARCH_GET_FS:
		return qsys_out(s, 1, &f->f_fsbase, sizeof(uint64_t));
	case Q_ARCH_GET_GS:
		return qsys_out(s, 1, &f->f_gsbase, sizeof(uint64_t));
	case Q_ARCH_GET_CPUID:
		return 1;
	case Q_ARCH_SET_CPUID:
		return addr != 0 ? 0 : -Q_ENODEV;
	default:
		return -Q_EINVAL;
	}
}

QSYS(getcpu)
{
	uint32_t cpu = qcpu_current()->v_id, node = 0;
	int error = 0;

	if (s->s_arg[0] != 0)
		error = qsys_out(s, 0, &cpu, sizeof(cpu));
	if (error == 0 && s->s_arg[1] != 0)
		error = qsys_out(s, 1, &node, sizeof(node));
	return error;
}

/* ---- names ---------------------------------------------------------------------- */

QSYS(personality)
{
	uint32_t persona = qsys_uint(s, 0);

	/* Only Linux's own; 0xffffffff asks. */
	if (persona != UINT32_MAX)
		lproc_of(s->s_proc)->lp_persona = persona;
	return lproc_of(s->s_proc)->lp_persona;
}

/* ---- scheduling: every thread is SCHED_OTHER ----------------------------------------------- */

/* Is there a thread with that number (0: ourselves)? */
static int
thread_there(const struct qsys *s, unsigned i)
{
	struct lsys *l = lproc_of(s->s_proc)->lp_l;
	int tid = qsys_int(s, i);
	bool there;

	if (tid < 0)
		return -Q_EINVAL;
	if (tid == 0)
		return 0;
	qspin_lock(&l->l_lock);
	there = lthread_find(l, (uint32_t)tid) != NULL ||
	    lproc_find(l, (uint32_t)tid) != NULL;
	qspin_unlock(&l->l_lock);
	return there ? 0 : -Q_ESRCH;
}

QSYS(sched_getaffinity)
{
	unsigned n = qcpu_count(s->s_proc->p_k);
	uint64_t set = n >= 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
	int error;

	if (qsys_uint(s, 1) < sizeof(set) || qsys_uint(s, 1) % 8 != 0)
		return -Q_EINVAL;
	error = qsys_int(s, 0) < 0 ? -Q_ESRCH : thread_there(s, 0);
	if (error == 0)
		error = qsys_out(s, 2, &set, sizeof(set));
	return error != 0 ? error : (int64_t)sizeof(set);
}

QSYS(sched_setaffinity)
{
	unsigned n = qcpu_count(s->s_proc->p_k);
	uint64_t all = n >= 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1, set = 0;
	size_t len = qsys_uint(s, 1);
	int error;

	error = qsys_in(s, 2, &set, len < sizeof(set) ? len : sizeof(set));
	if (error == 0)
		error = thread_there(s, 0);
	if (error == 0 && (set & all) == 0)
		error = -Q_EINVAL;
	return error;
}

QSYS(sched_getscheduler)
{
	int error = thread_there(s, 0);

	return error != 0 ? error : Q_SCHED_NORMAL;
}

QSYS(sched_setscheduler)
{
	int policy = qsys_int(s, 1), prio = 0, error;

	error = qsys_in(s, 2, &prio, sizeof(prio));
	if (error == 0)
		error = thread_there(s, 0);
	if (error != 0)
		return error;
	if (policy == Q_SCHED_NORMAL || policy == Q_SCHED_BATCH ||
	    policy == Q_SCHED_IDLE)
		return prio == 0 ? 0 : -Q_EINVAL;
	return policy == Q_SCHED_FIFO || policy == Q_SCHED_RR ? -Q_EPERM :
								-Q_EINVAL;
}

QSYS(sched_getparam)
{
	static const int prio;
	int error = thread_there(s, 0);

	return error != 0 ? error : qsys_out(s, 1, &prio, sizeof(prio));
}

QSYS(sched_setparam)
{
	int prio, error;

	error = qsys_in(s, 1, &prio, sizeof(prio));
	if (error == 0)
		error = thread_there(s, 0);
	if (error == 0 && prio != 0)
		error = -Q_EINVAL;
	return error;
}

static int64_t
prio_range(int policy, int64_t realtime)
{
	switch (policy) {
	case Q_SCHED_FIFO:
	case Q_SCHED_RR:
		return realtime;
	case Q_SCHED_NORMAL:
	case Q_SCHED_BATCH:
	case Q_SCHED_IDLE:
	case Q_SCHED_DEADLINE:
		return 0;
	default:
		return -Q_EINVAL;
	}
}

QSYS(sched_get_priority_max)
{
	return prio_range(qsys_int(s, 0), 99);
}

QSYS(sched_get_priority_min)
{
	return prio_range(qsys_int(s, 0), 1);
}

QSYS(sched_rr_get_interval)
{
	static const struct q_timespec ts = { 0, 10000000 };
	int error = thread_there(s, 0);

	return error != 0 ? error : qsys_out(s, 1, &ts, sizeof(ts));
}

/* ---- barriers and restartable sequences ------------------------------------------------------- */

QSYS(rseq)
{
	struct lthread *lt = lthread_current();
	uint32_t len = qsys_uint(s, 1), sig = qsys_uint(s, 3);
	int flags = qsys_int(s, 2);

	if (flags == Q_RSEQ_FLAG_UNREGISTER) {
		if (lt->lt_rseq != s->s_arg[0] || lt->lt_rseq == 0 ||
		    lt->lt_rseqlen != len)
			return -Q_EINVAL;
		if (lt->lt_rseqsig != sig)
			return -Q_EPERM;
		lt->lt_rseq = 0;
		return 0;
	}
	if (flags != 0)
		return -Q_EINVAL;
	if (lt->lt_rseq != 0)
		return lt->lt_rseq == s->s_arg[0] && lt->lt_rseqlen == len ?
		    -Q_EBUSY :
		    -Q_EINVAL;
	if (len < 32 || s->s_arg[0] % 32 != 0)
		return -Q_EINVAL;
	if (!quaddr_ok(s->s_arg[0], len))
		return -Q_EFAULT;
	lt->lt_rseq = s->s_arg[0];
	lt->lt_rseqlen = len;
	lt->lt_rseqsig = sig;
	return lrseq_update(lt);
}

/* ---- swap disks ------------------------------------------------------------------------------- */

/* What mkswap(8) writes at the end of the first page. */
#define SWAP_MAGIC "SWAPSPACE2"

/* The disk that a path leads to, with a reference. */
static int
swap_disk(const struct qsys *s, struct qdisk **dp)
{
	struct qpath at;
	struct qvnode *v;
	uint32_t num;
	int error;

	error = qvfs_walk_arg(s, Q_AT_FDCWD, 0, QWALK_FOLLOW, &at);
	if (error != 0)
		return error;
	v = qpath_vnode(&at);
	num = qdev_minor(v->v_rdev);
	*dp = NULL;
	if (qvnode_type(v) == Q_S_IFBLK && qdev_major(v->v_rdev) == QDISK_MAJOR)
		*dp = qdisk_from(s->s_proc->p_k, num);
	qpath_put(&at);
	if (*dp != NULL && (*dp)->qd_num == num)
		return 0;
	if (*dp != NULL)
		qdisk_put(*dp);
	return -Q_EINVAL;
}

static int
check_swap(struct qdisk *d)
{
	char *page = qalloc(&tag_page, QUERN_PAGE_SIZE);
	size_t n = sizeof(SWAP_MAGIC) - 1;
	int error = -Q_ENOMEM;

	if (page == NULL)
		return error;
	error = qdisk_read(d, 0, page, QUERN_PAGE_SIZE);
	if (error == 0 &&
	    memcmp(page + QUERN_PAGE_SIZE - n, SWAP_MAGIC, n) != 0)
		error = -Q_EINVAL;
	qfree(page);
	return error;
}

/* Priorities are taken note of by nobody: disks are used in turn. */
QSYS(swapon)
{
	struct qdisk *d;
	int error;

	if (!qproc_capable(s->s_proc, Q_CAP_SYS_ADMIN))
		return -Q_EPERM;
	if ((qsys_uint(s, 1) & ~(uint32_t)Q_SWAP_FLAGS) != 0)
		return -Q_EINVAL;
	error = swap_disk(s, &d);
	if (error != 0)
		return error;
	error = qdisk_size(d) < 2 * QUERN_PAGE_SIZE ? -Q_EINVAL : check_swap(d);
	if (error == 0)
		error = qvm_swapon(s->s_proc->p_k, d);
	qdisk_put(d);
	return error;
}

QSYS(swapoff)
{
	struct qdisk *d;
	int error;

	if (!qproc_capable(s->s_proc, Q_CAP_SYS_ADMIN))
		return -Q_EPERM;
	error = swap_disk(s, &d);
	if (error != 0)
		return error;
	error = qvm_swapoff(s->s_proc->p_k, d);
	qdisk_put(d);
	return error;
}

/* ---- reboot ------------------------------------------------------------------------------------- */

QSYS(reboot)
{
	struct lsys *l = lproc_of(s->s_proc)->lp_l;
	uint32_t m1 = qsys_uint(s, 0), m2 = qsys_uint(s, 1);
	uint32_t cmd = qsys_uint(s, 2);

	if (!qproc_capable(s->s_proc, Q_CAP_SYS_BOOT))
		return -Q_EPERM;
	if (m1 != Q_LINUX_REBOOT_MAGIC1 ||
	    (m2 != Q_LINUX_REBOOT_MAGIC2 && m2 != Q_LINUX_REBOOT_MAGIC2A &&
		m2 != Q_LINUX_REBOOT_MAGIC2B && m2 != Q_LINUX_REBOOT_MAGIC2C))
		return -Q_EINVAL;
	switch (cmd) {
	case Q_LINUX_REBOOT_CMD_CAD_ON:
	case Q_LINUX_REBOOT_CMD_CAD_OFF:
		return 0;
	case Q_LINUX_REBOOT_CMD_RESTART:
	case Q_LINUX_REBOOT_CMD_RESTART2:
	case Q_LINUX_REBOOT_CMD_HALT:
	case Q_LINUX_REBOOT_CMD_POWER_OFF:
		(void)!qvfs_sync(l->l_k);
		if (l->l_reboot != NULL)
			l->l_reboot(l->l_arg, cmd);
		/* The machine is about to be gone, and we with it. */
		(void)qthread_sleep_until(QUERN_NEVER, true);
		return 0;
	default:
		return -Q_EINVAL;
	}
}
