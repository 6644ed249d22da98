/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Restartable sequences, and barriers for all threads.
 *
 * A thread that is interrupted - by another on its CPU, or by a signal - within
 * a sequence that it has described goes on at the sequence's abort handler.  It
 * is told on which CPU it runs whenever that has changed.
 */
#include "impl.h"

/* struct rseq: where the members are. */
#define RSEQ_CPU_START 0u
#define RSEQ_CPU       4u
#define RSEQ_CS        8u
#define RSEQ_NODE      20u
#define RSEQ_MM_CID    24u

struct rseq_cs {
	uint32_t cs_version, cs_flags;
	uint64_t cs_start, cs_len, cs_abort;
};

/* Leave the sequence that the thread is in, if it is in one. */
static int
leave_sequence(struct lthread *lt, const struct quspace *us)
{
	struct quern_vmframe *f = &lt->lt_f;
	static const uint64_t none;
	struct rseq_cs cs;
	uint64_t at;
	uint32_t sig;
	int error;

	error = qcopyin(us, &at, lt->lt_rseq + RSEQ_CS, sizeof(at));
	if (error != 0 || at == 0)
		return error;
	error = qcopyin(us, &cs, at, sizeof(cs));
	if (error != 0)
		return error;
	if (cs.cs_start >= QVM_TOP || cs.cs_abort >= QVM_TOP ||
	    cs.cs_version > 0 || cs.cs_start + cs.cs_len < cs.cs_start)
		return -Q_EINVAL;
	error = qcopyout(us, lt->lt_rseq + RSEQ_CS, &none, sizeof(none));
	if (error != 0 || f->f_rip - cs.cs_start >= cs.cs_len)
		return error;
	error = qcopyin(us, &sig, cs.cs_abort - sizeof(sig), sizeof(sig));
	if (error == 0 && sig != lt->lt_rseqsig)
		error = -Q_EINVAL;
	if (error == 0)
		f->f_rip = cs.cs_abort;
	return error;
}

int
lrseq_update(struct lthread *lt)
{
	const struct quspace *us = qvm_uspace(qvm_of(lt->lt_proc->lp_proc));
	uint32_t ids[2] = { qcpu_current()->v_id, qcpu_current()->v_id };
	static const uint32_t zero[2];
	int error;

	__atomic_store_n(&lt->lt_cpu, ids[0], __ATOMIC_RELAXED);
	error = leave_sequence(lt, us);
	if (error == 0)
		error = qcopyout(us, lt->lt_rseq + RSEQ_CPU_START, ids,
		    sizeof(ids));
	if (error == 0)
		error = qcopyout(us, lt->lt_rseq + RSEQ_NODE, zero,
		    sizeof(zero));
	return error;
}

void
lrseq_interrupted(struct lthread *lt)
{
	struct q_siginfo info = { .si_signo = Q_SIGSEGV,
		.si_code = Q_SI_KERNEL };

	if (lrseq_update(lt) != 0)
		lsig_force(lt, &info);
}

/* ---- membarrier ----------------------------------------------------------------- */

#define CMD_QUERY            0
#define CMD_GLOBAL           1
#define CMD_GLOBAL_EXPEDITED 2
#define CMD_REG_GLOBAL       4
#define CMD_PRIVATE          8
#define CMD_REG_PRIVATE      16
#define CMD_PRIVATE_CORE     32
#define CMD_REG_PRIVATE_CORE 64
#define CMD_PRIVATE_RSEQ     128
#define CMD_REG_PRIVATE_RSEQ 256
#define CMD_REGISTRATIONS    512

/* Have everybody who runs a thread of the process come out of its guest. */
static void
stop_all(struct lproc *lp)
{
	struct lthread *self = lthread_current(), *lt;
	struct lsys *l = lp->lp_l;
	struct qlist *e;

	qspin_lock(&l->l_lock);
	QLIST_FOREACH(e, &lp->lp_threads) {
		lt = QLIST_ELEM(e, struct lthread, lt_link);
		if (lt != self && lt->lt_thread != NULL)
			lthread_alert(lt);
	}
	qspin_unlock(&l->l_lock);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

QSYS(membarrier)
{
	struct lproc *lp = lproc_of(s->s_proc);
	int cmd = qsys_int(s, 0);

	if (qsys_uint(s, 1) != 0 && cmd != CMD_PRIVATE_RSEQ)
		return -Q_EINVAL;
	switch (cmd) {
	case CMD_QUERY:
		return CMD_GLOBAL | CMD_GLOBAL_EXPEDITED | CMD_REG_GLOBAL |
		    CMD_PRIVATE | CMD_REG_PRIVATE | CMD_PRIVATE_CORE |
		    CMD_REG_PRIVATE_CORE | CMD_PRIVATE_RSEQ |
		    CMD_REG_PRIVATE_RSEQ | CMD_REGISTRATIONS;
	case CMD_REG_GLOBAL:
	case CMD_REG_PRIVATE:
	case CMD_REG_PRIVATE_CORE:
	case CMD_REG_PRIVATE_RSEQ:
		__atomic_fetch_or(&lp->lp_barriers, (uint32_t)cmd,
		    __ATOMIC_RELAXED);
		return 0;
	case CMD_REGISTRATIONS:
		return lp->lp_barriers;
	case CMD_PRIVATE:
	case CMD_PRIVATE_CORE:
	case CMD_PRIVATE_RSEQ:
		if ((lp->lp_barriers & (uint32_t)cmd * 2) == 0)
			return -Q_EPERM;
		stop_all(lp);
		return 0;
	case CMD_GLOBAL:
	case CMD_GLOBAL_EXPEDITED:
		/* Other processes have no memory with which to notice. */
		stop_all(lp);
		return 0;
	default:
		return -Q_EINVAL;
	}
}
