/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest threads: between guest code and the kernel.
 */
#include "impl.h"

#include <quern/abi/futex.h>

/* Exception vectors. */
#define TRAP_DE 0u
#define TRAP_DB 1u
#define TRAP_BP 3u
#define TRAP_UD 6u
#define TRAP_MF 16u
#define TRAP_AC 17u
#define TRAP_XM 19u

/* Page-fault error codes. */
#define PF_WRITE 2u
#define PF_FETCH 16u

static const struct qtag tag_thread = { "guest thread" };
static const struct qtag tag_xsave = { "guest registers" };

static void guest_main(void *arg);

struct lthread *
lthread_current(void)
{
	struct qthread *t = qthread_current();

	return t->t_fn == guest_main ? t->t_arg : NULL;
}

/* ---- beginning and end -------------------------------------------------------- */

int
lthread_create(struct lproc *lp, bool leader, struct lthread **ltp)
{
	struct lsys *l = lp->lp_l;
	struct lthread *lt = qzalloc(&tag_thread, sizeof(*lt));

	if (lt == NULL)
		return -Q_ENOMEM;
	lt->lt_f.f_xsave = qzalloc(&tag_xsave, l->l_xsave);
	lt->lt_f.f_xsavelen = (uint32_t)l->l_xsave;
	lt->lt_tid = leader ? lp->lp_proc->p_pid : qproc_tid(l->l_k);
	if (lt->lt_f.f_xsave == NULL || lt->lt_tid == 0) {
		qfree(lt->lt_f.f_xsave);
		qfree(lt);
		return lt->lt_tid == 0 ? -Q_EAGAIN : -Q_ENOMEM;
	}
	lt->lt_l = l;
	lt->lt_proc = lp;
	lt->lt_nr = LT_NOCALL;
	lt->lt_sample = lt->lt_tid % USAGE_SAMPLE + 1;
	lt->lt_alt.ss_flags = Q_SS_DISABLE;
	qlist_init(&lt->lt_link);
	qlist_init(&lt->lt_hash);
	lsigq_init(&lt->lt_pending);
	*ltp = lt;
	return 0;
}

void
lthread_free(struct lthread *lt)
{
	struct lsys *l = lt->lt_l;

	qspin_lock(&l->l_lock);
	lsigq_flush(&lt->lt_pending, ~UINT64_C(0));
	qlist_del(&lt->lt_hash);
	qspin_unlock(&l->l_lock);
	qfree(lt->lt_f.f_xsave);
	qfree(lt);
}

int
lthread_start(struct lthread *lt)
{
	struct lproc *lp = lt->lt_proc;
	struct lsys *l = lp->lp_l;
	struct qthread *t;
	int error;

	qspin_lock(&l->l_lock);
	qlist_append(&lp->lp_threads, &lt->lt_link);
	qlist_append(&l->l_tids[lt->lt_tid % LINUX_HASH], &lt->lt_hash);
	lp->lp_nthread++;
	lt->lt_serial = ++l->l_serial;
	lusage_begin(l);
	/* exec has told those that there were. */
	lt->lt_ending = lp->lp_execing;
	qspin_unlock(&l->l_lock);
	error = qthread_create(l->l_k, "guest", guest_main, lt, QPRIO_GUEST,
	    QCPU_ANY, &t);
	if (error != 0) {
		qspin_lock(&l->l_lock);
		qlist_del(&lt->lt_link);
		qlist_del(&lt->lt_hash);
		lp->lp_nthread--;
		qspin_unlock(&l->l_lock);
	}
	return error;
}

void
lthread_alert(struct lthread *lt)
{
	/* One that has not begun yet looks when it does. */
	if (lt->lt_thread != NULL)
		qthread_alert(lt->lt_thread);
}

/* ---- calls ---------------------------------------------------------------------- */

/* Does futex wait for a lock, until a moment rather than for so long? */
static bool
is_lock(uint64_t op)
{
	op &= ~(uint64_t)(Q_FUTEX_PRIVATE_FLAG | Q_FUTEX_CLOCK_REALTIME);
	return op == Q_FUTEX_LOCK_PI || op == Q_FUTEX_LOCK_PI2;
}

/* What an interrupted call does; the others may be made again. */
static enum lrestart
restart_class(const struct lthread *lt)
{
	switch (lt->lt_nr) {
	case NR_PAUSE:
	case NR_RT_SIGSUSPEND:
	case NR_POLL:
	case NR_PPOLL:
	case NR_SELECT:
	case NR_PSELECT6:
	case NR_NANOSLEEP:
	case NR_CLOCK_NANOSLEEP:
		return LR_NOHAND;
	case NR_FUTEX:
		if (is_lock(lt->lt_f.f_reg[RSI]))
			return LR_AGAIN;
		/* With a timeout the time that is left is not known any more. */
		return lt->lt_f.f_reg[R10] != 0 ? LR_NOHAND : LR_ALWAYS;
	case NR_EPOLL_WAIT:
	case NR_EPOLL_PWAIT:
	case NR_EPOLL_PWAIT2:
	case NR_RT_SIGTIMEDWAIT:
	case LT_NOCALL:
		return LR_NONE;
	default:
		return LR_ALWAYS;
	}
}

static void
guest_call(struct lthread *lt, struct quern_proc *p)
{
	struct quern_vmframe *f = &lt->lt_f;
	uint64_t args[6] = { f->f_reg[RDI], f->f_reg[RSI], f->f_reg[RDX],
		f->f_reg[R10], f->f_reg[R8], f->f_reg[R9] };
	struct qsys s = { args, p, qvm_uspace(qvm_of(p)), NULL };
	int64_t ret;

	lt->lt_nr = (uint32_t)f->f_reg[RAX];
	if (qunlikely(lt->lt_nr == NR_MREMAP))
		lcalls_moving(lt, args[0], args[1]);
	ret = qsys_dispatch(&s, lt->lt_nr);
	if (qunlikely(ret == -Q_EINTR))
		lt->lt_restart = restart_class(lt);
	/* If it may be made again its number stays where it is. */
	if (qlikely(lt->lt_restart == LR_NONE))
		f->f_reg[RAX] = (uint64_t)ret;
	/* Nobody has anything to tell: it was woken for nothing. */
	else if (!__atomic_load_n(&lt->lt_thread->t_alert, __ATOMIC_SEQ_CST))
		lt->lt_again = true;
}

/*
 * A call, until it is over or there is something to tell the guest: what waits
 * for it has it made again, by the clock of the first time.
 */
static bool
guest_calls(struct lthread *lt, struct quern_proc *p)
{
	struct qthread *t = lt->lt_thread;

	for (;;) {
		guest_call(lt, p);
		if (qunlikely(lt->lt_restore ||
			__atomic_load_n(&t->t_alert, __ATOMIC_RELAXED)) &&
		    !lsig_deliver(lt))
			return false;
		if (qlikely(!lt->lt_again))
			break;
		lt->lt_again = false;
		lt->lt_restart = LR_NONE;
		t->t_started = t->t_began;
	}
	lt->lt_restart = LR_NONE;
	lt->lt_nr = LT_NOCALL;
	t->t_started = 0;
	return true;
}

/* ---- faults and traps ------------------------------------------------------------ */

static void
guest_fault(struct lthread *lt, struct quern_proc *p)
{
	struct quern_vmframe *f = &lt->lt_f;
	struct q_siginfo info;
	struct qvm_fault vf = { 0 };
	unsigned access = QUERN_VM_READ;
	int error;

	if ((f->f_error & PF_WRITE) != 0)
		access = QUERN_VM_WRITE;
	else if ((f->f_error & PF_FETCH) != 0)
		access = QUERN_VM_EXEC;
	__atomic_store_n(&lt->lt_minflt, lt->lt_minflt + 1, __ATOMIC_RELAXED);
	error = qvm_fault(qvm_of(p), f->f_addr, access, &vf);
	if (qlikely(error == 0))
		return;
	if (error == -Q_ENOMEM) {
		(void)loom_kill(lt->lt_l);
		return;
	}
	memset(&info, 0, sizeof(info));
	info.si_signo = vf.qf_sig;
	info.si_code = vf.qf_code;
	info.sg_addr = f->f_addr;
	lsig_force(lt, &info);
}

/* Which of the exceptions that are not masked it was: si_code of SIGFPE. */
static int
fpe_code(struct lthread *lt)
{
	const unsigned char *area = lt->lt_f.f_xsave;
	uint32_t mxcsr;
	uint16_t fcw, fsw;
	unsigned flags;

	if (qvmspace_save(lt->lt_vs, &lt->lt_f) != 0)
		return Q_FPE_FLTINV;
	memcpy(&fcw, area, sizeof(fcw));
	memcpy(&fsw, area + 2, sizeof(fsw));
	memcpy(&mxcsr, area + 24, sizeof(mxcsr));
	flags = lt->lt_f.f_trap == TRAP_MF ? fsw & ~(unsigned)fcw :
					     mxcsr & ~(mxcsr >> 7);
	if ((flags & 1) != 0)
		return Q_FPE_FLTINV;
	if ((flags & 4) != 0)
		return Q_FPE_FLTDIV;
	if ((flags & 8) != 0)
		return Q_FPE_FLTOVF;
	/* An operand that is denormal counts as one that is too small. */
	if ((flags & 0x12) != 0)
		return Q_FPE_FLTUND;
	return Q_FPE_FLTRES;
}

static void
guest_trap(struct lthread *lt)
{
	const struct quern_vmframe *f = &lt->lt_f;
	struct q_siginfo info;

	memset(&info, 0, sizeof(info));
	info.si_signo = Q_SIGSEGV;
	info.si_code = Q_SI_KERNEL;
	switch (f->f_trap) {
	case TRAP_DE:
		info.si_signo = Q_SIGFPE;
		info.si_code = Q_FPE_INTDIV;
		info.sg_addr = f->f_rip;
		break;
	case TRAP_DB:
		if (lcalls_step(lt))
			return;
		info.si_signo = Q_SIGTRAP;
		info.si_code = Q_TRAP_TRACE;
		info.sg_addr = f->f_rip;
		break;
	case TRAP_BP:
		info.si_signo = Q_SIGTRAP;
		break;
	case TRAP_UD:
		info.si_signo = Q_SIGILL;
		info.si_code = Q_ILL_ILLOPN;
		info.sg_addr = f->f_rip;
		break;
	case TRAP_MF:
	case TRAP_XM:
		info.si_signo = Q_SIGFPE;
		info.si_code = fpe_code(lt);
		info.sg_addr = f->f_rip;
		break;
	case TRAP_AC:
		info.si_signo = Q_SIGBUS;
		info.si_code = Q_BUS_ADRALN;
		break;
	default:
		break;
	}
	lsig_force(lt, &info);
}

/* It is to go on where no program can be: a frame or a handler said so. */
static void
guest_astray(struct lthread *lt)
{
	struct q_siginfo info = { .si_signo = Q_SIGSEGV,
		.si_code = Q_SI_KERNEL };

	lsig_force(lt, &info);
}

/* Its host process is gone, which it can only have brought about itself. */
static void
guest_dead(struct lthread *lt, int error)
{
	struct lproc *lp = lt->lt_proc;
	struct lsys *l = lp->lp_l;

	qlog(l->l_k, QUERN_LOG_WARN,
	    "process %u: its address space was lost (%d)", lp->lp_proc->p_pid,
	    error);
	qspin_lock(&l->l_lock);
	lproc_end(lp, Q_SIGKILL);
	qspin_unlock(&l->l_lock);
}

/* So often may one instruction lose the mappings that it has just got. */
#define LOST_MAX 64u

/*
 * The host had no memory for what was to be mapped, and has nothing mapped any
 * more.  What is in use comes back by faults, unless not even that much fits.
 */
static void
guest_lost(struct lthread *lt, struct quern_proc *p)
{
	if (lt->lt_lostrip != lt->lt_f.f_rip)
		lt->lt_lost = 0;
	lt->lt_lostrip = lt->lt_f.f_rip;
	if (++lt->lt_lost > LOST_MAX)
		guest_dead(lt, -Q_ENOMEM);
	else
		qvm_refresh(qvm_of(p));
}

/* ---- the loop --------------------------------------------------------------------- */

/* Others may run if it is their turn. */
static void
take_turns(struct lthread *lt)
{
	qthread_pause();
	if (lt->lt_rseq != 0)
		lrseq_interrupted(lt);
}

static bool
guest_event(struct lthread *lt, struct quern_proc *p)
{
	switch (lt->lt_f.f_why) {
	case QUERN_VM_SYSCALL:
		if (lt->lt_l->l_call != 0)
			lcalls_trap(lt);
		return guest_calls(lt, p);
	case QUERN_VM_CALL:
		return guest_calls(lt, p);
	case QUERN_VM_FAULT:
		guest_fault(lt, p);
		return true;
	case QUERN_VM_TRAP:
		guest_trap(lt);
		return true;
	case QUERN_VM_DEAD:
		guest_dead(lt, 0);
		return true;
	default:
		take_turns(lt);
		return true;
	}
}

/* It got the vCPU a while after it had it last: the clock that it reads is old. */
static QCOLD void
guest_resumed(struct lthread *lt)
{
	lt->lt_turn = lt->lt_thread->t_turn;
	if (lt->lt_l->l_vdso != NULL)
		qvdso_tick(lt->lt_l->l_vdso, lt->lt_turn);
	ltimers_check_cpu(lt->lt_proc);
}

/* The same, with a look at the clock: getrusage tells kernel from guest time. */
static QCOLD bool
timed_event(struct lthread *lt, struct quern_proc *p)
{
	uint64_t ran = qthread_ran(lt->lt_thread);
	bool ret = guest_event(lt, p);

	lusage_took(lt, qthread_ran(lt->lt_thread) - ran);
	return ret;
}

static void
guest_main(void *arg)
{
	struct lthread *lt = arg;
	struct quern_proc *p = lt->lt_proc->lp_proc;
	struct lsys *l = lt->lt_proc->lp_l;
	struct qthread *t = qthread_current();
	int error;

	qthread_detach();
	__atomic_store_n(&t->t_proc, p, __ATOMIC_RELAXED);
	t->t_tid = lt->lt_tid;
	t->t_account = true;
	t->t_since = t->t_turn = qclock_mono(l->l_k);
	qspin_lock(&l->l_lock);
	lt->lt_thread = t;
	qthread_setnice(t, lt->lt_proc->lp_nice);
	qthread_alert(t); /* what came before */
	qspin_unlock(&l->l_lock);
	lt->lt_vs = qvm_pmap(qvm_of(p));
	if (lt->lt_settid != 0)
		(void)!qcopyout(qvm_uspace(qvm_of(p)), lt->lt_settid,
		    &lt->lt_tid, sizeof(lt->lt_tid));
	if (l->l_command == lt->lt_proc && l->l_running != NULL) {
		l->l_running(l->l_arg);
		l->l_running = NULL;
	}
	for (;;) {
		if (qunlikely(__atomic_load_n(&t->t_alert, __ATOMIC_RELAXED)) &&
		    !lsig_deliver(lt))
			break;
		if (qunlikely(t->t_turn != lt->lt_turn))
			guest_resumed(lt);
		error = qvmspace_run(lt->lt_vs, &lt->lt_f, QSLICE_NS);
		if (qunlikely(error == -Q_ENOMEM))
			guest_lost(lt, p);
		else if (qunlikely(
			     error == -Q_EINVAL && lt->lt_f.f_rip >= QVM_TOP))
			guest_astray(lt);
		else if (qunlikely(error != 0))
			guest_dead(lt, error);
		else if (qunlikely(!(lusage_due(lt) ? timed_event(lt, p) :
						      guest_event(lt, p))))
			break;
	}
	lthread_exit(lt);
}
