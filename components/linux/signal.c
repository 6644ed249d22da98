/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signals: from whoever sends one to the guest's handler.
 *
 * Sending (lsig_proc, lsig_thread) drops what is ignored, undoes opposites
 * (SIGCONT and the stop signals), queues the rest, and alerts a thread that may
 * take it.  What must happen whatever the target does happens at once: SIGKILL
 * ends all threads, SIGCONT wakes those that are stopped.
 *
 * Delivering (lsig_deliver) is the target's own doing, before it goes back to
 * its guest.  A legacy signal is pending or not; a real-time one is queued as
 * often as it is sent.  For one that finds no memory the bit alone stands.
 *
 * Stopping: lp_stopped is the process's; each thread that looks sleeps on
 * lp_stopq until it is not set any more.
 */
#include "impl.h"

static const struct qtag tag_sig = { "signal" };

/* What a signal does by default. */
#define DEFAULT_IGNORED                                              \
	(SIGBIT(Q_SIGCHLD) | SIGBIT(Q_SIGURG) | SIGBIT(Q_SIGWINCH) | \
	    SIGBIT(Q_SIGCONT))
#define DEFAULT_CORE                                                    \
	(SIGBIT(Q_SIGQUIT) | SIGBIT(Q_SIGILL) | SIGBIT(Q_SIGTRAP) |     \
	    SIGBIT(Q_SIGABRT) | SIGBIT(Q_SIGBUS) | SIGBIT(Q_SIGFPE) |   \
	    SIGBIT(Q_SIGSEGV) | SIGBIT(Q_SIGXCPU) | SIGBIT(Q_SIGXFSZ) | \
	    SIGBIT(Q_SIGSYS))

/* Those that a thread brings on itself go before others. */
#define SIG_SYNCHRONOUS                                            \
	(SIGBIT(Q_SIGSEGV) | SIGBIT(Q_SIGBUS) | SIGBIT(Q_SIGILL) | \
	    SIGBIT(Q_SIGTRAP) | SIGBIT(Q_SIGFPE) | SIGBIT(Q_SIGSYS))

/* ---- queues -------------------------------------------------------------------- */

void
lsigq_init(struct lsigq *q)
{
	q->q_set = 0;
	qlist_init(&q->q_list);
}

static void
lsig_free(struct lsig *s)
{
	qlist_del(&s->s_link);
	if (s->s_count != NULL)
		--*s->s_count;
	/* One that belongs to a timer stays there. */
	if (s->s_timer == NULL)
		qfree(s);
}

void
lsigq_flush(struct lsigq *q, uint64_t set)
{
	struct qlist *e, *n;
	struct lsig *s;

	if ((q->q_set & set) == 0)
		return;
	QLIST_FOREACH_SAFE(e, n, &q->q_list) {
		s = QLIST_ELEM(e, struct lsig, s_link);
		if ((SIGBIT(s->s_info.si_signo) & set) != 0)
			lsig_free(s);
	}
	q->q_set &= ~set;
}

/*
 * Queue one for `lp`.  -EAGAIN: its user has as many as RLIMIT_SIGPENDING lets
 * him have, or there is no memory.  Legacy signals and kill's are not refused:
 * then who and why is lost.
 */
static int
lsigq_add(struct lproc *lp, struct lsigq *q, const struct q_siginfo *info)
{
	struct quern_proc *p = lp->lp_proc;
	uint32_t *count = &lp->lp_l->l_nsig[p->p_cred.c_uid % LINUX_HASH];
	int sig = info->si_signo;
	struct lsig *s = NULL;

	if (sig < Q_SIGRTMIN && (q->q_set & SIGBIT(sig)) != 0)
		return 0;
	if (*count < __atomic_load_n(&p->p_rlim[Q_RLIMIT_SIGPENDING].rlim_cur,
			 __ATOMIC_RELAXED) ||
	    (sig < Q_SIGRTMIN && info->si_code >= 0))
		s = qalloc(&tag_sig, sizeof(*s));
	if (s == NULL && sig >= Q_SIGRTMIN && info->si_code != Q_SI_USER)
		return -Q_EAGAIN;
	q->q_set |= SIGBIT(sig);
	if (s == NULL)
		return 0;
	s->s_info = *info;
	s->s_timer = NULL;
	s->s_count = count;
	++*count;
	qlist_append(&q->q_list, &s->s_link);
	return 0;
}

/* Take signal `sig` off the queue. */
static void
lsigq_take(struct lsigq *q, int sig, struct q_siginfo *info)
{
	struct lsig *s, *found = NULL;
	bool more = false;
	struct qlist *e;

	QLIST_FOREACH(e, &q->q_list) {
		s = QLIST_ELEM(e, struct lsig, s_link);
		if (s->s_info.si_signo != sig)
			continue;
		if (found != NULL) {
			more = true;
			break;
		}
		found = s;
	}
	if (!more)
		q->q_set &= ~SIGBIT(sig);
	if (found != NULL) {
		*info = found->s_info;
		if (found->s_timer != NULL)
			ltimer_taken(found->s_timer, info);
		lsig_free(found);
		return;
	}
	memset(info, 0, sizeof(*info));
	info->si_signo = sig;
	info->si_code = Q_SI_USER;
}

/* The signal that goes first. */
static int
first_of(uint64_t set)
{
	if ((set & SIG_SYNCHRONOUS) != 0)
		set &= SIG_SYNCHRONOUS;
	return __builtin_ctzll(set) + 1;
}

int
lsig_take(struct lthread *lt, uint64_t set, struct q_siginfo *info)
{
	struct lsigq *q = &lt->lt_pending;
	int sig;

	if ((q->q_set & set) == 0)
		q = &lt->lt_proc->lp_pending;
	if ((q->q_set & set) == 0)
		return 0;
	sig = first_of(q->q_set & set);
	lsigq_take(q, sig, info);
	return sig;
}

/* ---- sending -------------------------------------------------------------------- */

bool
lsig_ignored(const struct lproc *lp, int sig)
{
	uint64_t func = lp->lp_hand->h_act[sig - 1].sa_func;

	if (func == SIGACT_DEFAULT)
		return (SIGBIT(sig) & DEFAULT_IGNORED) != 0 ||
		    (lp == lp->lp_l->l_init && (SIGBIT(sig) & SIG_FORCED) == 0);
	return func == SIGACT_IGNORE;
}

/* Those who are stopped go on. */
static void
go_on(struct lproc *lp, bool tell)
{
	if (!lp->lp_stopped)
		return;
	lp->lp_stopped = false;
	lp->lp_stopsig = 0;
	(void)qwaitq_wake_all(&lp->lp_stopq);
	if (tell) {
		lp->lp_continued = true;
		lchild_stopped(lp, Q_CLD_CONTINUED);
	}
}

/* What a signal undoes, whether it is ignored or not. */
static void
undo_opposites(struct lproc *lp, int sig)
{
	uint64_t set = 0;
	struct qlist *e;

	if (sig == Q_SIGCONT)
		set = SIG_STOPS;
	else if ((SIGBIT(sig) & SIG_STOPS) != 0)
		set = SIGBIT(Q_SIGCONT);
	else
		return;
	lsigq_flush(&lp->lp_pending, set);
	QLIST_FOREACH(e, &lp->lp_threads)
		lsigq_flush(&QLIST_ELEM(e, struct lthread, lt_link)->lt_pending,
		    set);
	if (sig == Q_SIGCONT)
		go_on(lp, true);
}

/* Has somebody said that he waits for it (sigwait, signalfd)? */
static bool
is_awaited(const struct lproc *lp, int sig)
{
	struct lthread *lt;
	struct qlist *e;

	QLIST_FOREACH(e, &lp->lp_threads) {
		lt = QLIST_ELEM(e, struct lthread, lt_link);
		if ((lt->lt_waits & SIGBIT(sig)) != 0)
			return true;
	}
	return false;
}

/* Common to both kinds of target; true: it is to be queued. */
static bool
begin_send(struct lproc *lp, int sig, uint64_t mask)
{
	if (lp->lp_state != LP_ALIVE || lp->lp_ending)
		return false;
	undo_opposites(lp, sig);
	if (sig == Q_SIGKILL) {
		lproc_end(lp, Q_SIGKILL);
		return false;
	}
	return !lsig_ignored(lp, sig) || (mask & SIGBIT(sig)) != 0 ||
	    is_awaited(lp, sig);
}

/* Tell a thread that can take it, the one that began first. */
static void
tell_one(struct lproc *lp, int sig)
{
	struct lthread *lt;
	struct qlist *e;

	QLIST_FOREACH(e, &lp->lp_threads) {
		lt = QLIST_ELEM(e, struct lthread, lt_link);
		if (lt->lt_ending ||
		    ((lt->lt_mask & ~lt->lt_waits) & SIGBIT(sig)) != 0)
			continue;
		lthread_alert(lt);
		return;
	}
}

/* Do all threads block it? */
static uint64_t
common_mask(const struct lproc *lp)
{
	uint64_t mask = ~UINT64_C(0);
	struct qlist *e;

	QLIST_FOREACH(e, &lp->lp_threads)
		mask &= QLIST_ELEM(e, struct lthread, lt_link)->lt_mask;
	return mask;
}

int
lsig_proc(struct lproc *lp, const struct q_siginfo *info)
{
	int sig = info->si_signo, error;

	if (!begin_send(lp, sig, common_mask(lp)))
		return 0;
	error = lsigq_add(lp, &lp->lp_pending, info);
	if (error != 0)
		return error;
	tell_one(lp, sig);
	lsignalfd_tell(lp);
	return 0;
}

int
lsig_thread(struct lthread *lt, const struct q_siginfo *info)
{
	int sig = info->si_signo, error;

	if (!begin_send(lt->lt_proc, sig, lt->lt_mask))
		return 0;
	error = lsigq_add(lt->lt_proc, &lt->lt_pending, info);
	if (error != 0)
		return error;
	if (((lt->lt_mask & ~lt->lt_waits) & SIGBIT(sig)) == 0)
		lthread_alert(lt);
	lsignalfd_tell(lt->lt_proc);
	return 0;
}

void
lsig_timer(struct lproc *lp, struct lthread *lt, struct lsig *s)
{
	struct lsigq *q = lt != NULL ? &lt->lt_pending : &lp->lp_pending;
	int sig = s->s_info.si_signo;

	if (!begin_send(lp, sig, lt != NULL ? lt->lt_mask : common_mask(lp)))
		return;
	q->q_set |= SIGBIT(sig);
	qlist_append(&q->q_list, &s->s_link);
	if (lt == NULL)
		tell_one(lp, sig);
	else if (((lt->lt_mask & ~lt->lt_waits) & SIGBIT(sig)) == 0)
		lthread_alert(lt);
	lsignalfd_tell(lp);
}

void
lsig_retarget(struct lproc *lp)
{
	uint64_t set = lp->lp_pending.q_set;

	for (; set != 0; set &= set - 1)
		tell_one(lp, __builtin_ctzll(set) + 1);
}

void
lsig_force(struct lthread *lt, const struct q_siginfo *info)
{
	struct lproc *lp = lt->lt_proc;
	struct lsys *l = lt->lt_l;
	struct q_sigaction *act;
	int sig = info->si_signo;

	qspin_lock(&l->l_lock);
	act = &lp->lp_hand->h_act[sig - 1];
	/* It can't go on as if nothing had been. */
	if (act->sa_func == SIGACT_IGNORE || (lt->lt_mask & SIGBIT(sig)) != 0) {
		act->sa_func = SIGACT_DEFAULT;
		lt->lt_mask &= ~SIGBIT(sig);
	}
	/* Process 1, too: it would do the same again for ever. */
	lp->lp_mortal = true;
	(void)lsigq_add(lp, &lt->lt_pending, info);
	lthread_alert(lt);
	qspin_unlock(&l->l_lock);
}

/* ---- delivering ------------------------------------------------------------------- */

bool
lsig_waiting(const struct lthread *lt)
{
	return ((lt->lt_pending.q_set | lt->lt_proc->lp_pending.q_set) &
		   ~lt->lt_mask) != 0;
}

void
lsig_setmask(struct lthread *lt, uint64_t mask)
{
	struct lsys *l = lt->lt_l;
	uint64_t more;

	qspin_lock(&l->l_lock);
	more = mask & ~lt->lt_mask & lt->lt_proc->lp_pending.q_set;
	lt->lt_mask = mask & ~SIG_FORCED;
	/* What this one was told of, and does not take now, is another's. */
	if (more != 0)
		lsig_retarget(lt->lt_proc);
	if (lsig_waiting(lt))
		lthread_alert(lt);
	qspin_unlock(&l->l_lock);
}

/* The process stops, for all its threads.  [L] */
static void
stop(struct lproc *lp, int sig)
{
	struct qlist *e;

	lp->lp_stopped = true;
	lp->lp_stopsig = sig;
	lp->lp_continued = false;
	QLIST_FOREACH(e, &lp->lp_threads)
		lthread_alert(QLIST_ELEM(e, struct lthread, lt_link));
	lchild_stopped(lp, Q_CLD_STOPPED);
}

/* Sleep as long as the process is stopped.  [L], which it gives back. */
static void
stay_stopped(struct lthread *lt)
{
	struct lproc *lp = lt->lt_proc;
	struct lsys *l = lt->lt_l;

	while (lp->lp_stopped && !lp->lp_ending && !lt->lt_ending) {
		(void)qwaitq_sleep(&lp->lp_stopq, &l->l_lock, 0, QUERN_NEVER);
		qspin_lock(&l->l_lock);
	}
	qspin_unlock(&l->l_lock);
}

/* By default: nothing, stop, or the end.  [L], which it gives back. */
static void
default_action(struct lthread *lt, int sig)
{
	struct lproc *lp = lt->lt_proc;
	struct lsys *l = lt->lt_l;
	uint64_t bit = SIGBIT(sig);

	if ((bit & DEFAULT_IGNORED) != 0 ||
	    (lp == l->l_init && !lp->lp_mortal && (bit & SIG_FORCED) == 0)) {
		;
	} else if ((bit & SIG_STOPS) != 0) {
		/* Nobody would continue an orphaned group. */
		if (sig == Q_SIGSTOP ||
		    !lgroup_orphaned(l, lp->lp_proc->p_pgid))
			stop(lp, sig);
	} else {
		lproc_end(lp, sig);
	}
	qspin_unlock(&l->l_lock);
}

/* Have an interrupted call answer, or be made again after the handler. */
static void
settle_call(struct lthread *lt, bool restart)
{
	struct quern_vmframe *f = &lt->lt_f;

	if (lt->lt_restart == LR_NONE)
		return;
	if (lt->lt_restart == LR_AGAIN ||
	    (lt->lt_restart == LR_ALWAYS && restart)) {
		f->f_reg[RAX] = lt->lt_nr;
		f->f_rip -= 2; /* the length of a syscall instruction */
	} else {
		f->f_reg[RAX] = (uint64_t)-Q_EINTR;
	}
	lt->lt_restart = LR_NONE;
	lt->lt_again = false;
}

/* There is no stack for a handler: SIGSEGV's may have another one. */
static void
no_room(struct lthread *lt, int sig)
{
	struct q_siginfo info = { .si_signo = Q_SIGSEGV,
		.si_code = Q_SI_KERNEL };
	struct lsys *l = lt->lt_l;

	if (sig != Q_SIGSEGV) {
		lsig_force(lt, &info);
		return;
	}
	qspin_lock(&l->l_lock);
	lproc_end(lt->lt_proc, Q_SIGSEGV);
	qspin_unlock(&l->l_lock);
}

/* Enter the handler.  [L], which it gives back. */
static void
handle(struct lthread *lt, int sig, const struct q_siginfo *info)
{
	struct q_sigaction *act = &lt->lt_proc->lp_hand->h_act[sig - 1];
	struct q_sigaction a = *act;
	struct lsys *l = lt->lt_l;
	uint64_t mask;

	if ((a.sa_flags & Q_SA_RESETHAND) != 0)
		act->sa_func = SIGACT_DEFAULT;
	qspin_unlock(&l->l_lock);
	settle_call(lt, (a.sa_flags & Q_SA_RESTART) != 0);
	if (lt->lt_rseq != 0)
		lrseq_interrupted(lt);
	if (sigframe_push(lt, sig, &a, info) != 0) {
		no_room(lt, sig);
		return;
	}
	/* The mask to come back to is in the frame now. */
	lt->lt_restore = false;
	mask = lt->lt_mask | a.sa_mask.sig;
	if ((a.sa_flags & Q_SA_NODEFER) == 0)
		mask |= SIGBIT(sig);
	lsig_setmask(lt, mask);
}

/* Look once.  1: again, 0: nothing more, -1: the thread is to end. */
static int
look(struct lthread *lt)
{
	struct lproc *lp = lt->lt_proc;
	struct lsys *l = lt->lt_l;
	struct q_siginfo info;
	int sig;

	qspin_lock(&l->l_lock);
	qthread_calm();
	if (lp->lp_ending || lt->lt_ending) {
		qspin_unlock(&l->l_lock);
		return -1;
	}
	if (lp->lp_stopped) {
		stay_stopped(lt);
		return 1;
	}
	sig = lsig_take(lt, ~lt->lt_mask, &info);
	if (sig == 0) {
		qspin_unlock(&l->l_lock);
		return 0;
	}
	switch (lp->lp_hand->h_act[sig - 1].sa_func) {
	case SIGACT_IGNORE:
		qspin_unlock(&l->l_lock);
		break;
	case SIGACT_DEFAULT:
		default_action(lt, sig);
		break;
	default:
		handle(lt, sig, &info);
		break;
	}
	return 1;
}

bool
lsig_deliver(struct lthread *lt)
{
	int more;

	while ((more = look(lt)) > 0)
		;
	if (more < 0)
		return false;
	if (lt->lt_restart != LR_NONE)
		lt->lt_again = true;
	if (lt->lt_restore) {
		lt->lt_restore = false;
		lsig_setmask(lt, lt->lt_saved);
		if (__atomic_load_n(&lt->lt_thread->t_alert, __ATOMIC_RELAXED))
			return lsig_deliver(lt);
	}
	return true;
}
