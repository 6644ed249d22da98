/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Linux personality: where to begin reading.
 *
 * A guest's *process* is a struct quern_proc, which the whole kernel knows, with
 * a struct lproc behind p_data; each of its *threads* is a kernel thread that
 * runs guest_main (thread.c) with a struct lthread.  Between two calls a thread
 * is in its guest code, by qvmspace_run; a system call, a fault or a trap is the
 * return of that.
 *
 * Everything that several threads look at - the tree of processes, signal
 * actions and queues, who stops, ends, waits - is under one spin lock, l_lock
 * [L].  It is held for a few instructions and never across anything that sleeps.
 * Of what is the thread's own [o] nobody else reads anything.
 *
 * Telling a thread.  Whoever changes what a thread must notice - a signal, its
 * end, a stop - changes it under [L] and then alerts the thread
 * (qthread_alert): its sleeps end, it comes out of its guest, and before it goes
 * there again it calls lsig_deliver, which calms it and looks at everything.
 *
 * The life of a process (lp_state):
 *
 *   ALIVE    lproc_create; has threads from lthread_start on
 *   ZOMBIE   its last thread has ended (exit.c): it has no memory, no files,
 *            but a number, a place in the tree and a status
 *   REAPED   its parent has waited for it, or does not care; it is in no list,
 *            and its memory goes with the last reference
 *
 * Interrupted calls.  A sleep that is interrupted makes its call return -EINTR;
 * what that means is decided here, by the call's number (thread.c) and by
 * whether a handler is entered (signal.c): the guest sees it, or the call is
 * made again, from the same start when it has a timeout.
 */
#include "impl.h"

#include <quern/abi/ioctl.h>

static const struct qtag tag_linux = { "linux" };

extern const struct qsys_handler linux_calls[];

struct lsys *
linux_of(struct quern *k)
{
	return qcomponent_state(k, &qlinux);
}

/*
 * The components of extended state, of which the host has said how long they are:
 * all that programs may use, but tile data (bit 18).
 */
static uint64_t
xsave_mask(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return low & ~(UINT32_C(1) << 18);
}

static int
linux_init(struct quern *k, void **statep)
{
	struct lsys *l = qzalloc(&tag_linux, sizeof(*l));
	unsigned i;
	int error;

	if (l == NULL)
		return -Q_ENOMEM;
	l->l_k = k;
	l->l_xsave = qguest_xsave(k);
	l->l_call = qguest_call(k);
	if (l->l_xsave != 0)
		l->l_xmask = xsave_mask();
	qspin_init(&l->l_lock);
	qlist_init(&l->l_procs);
	qwaitq_init(&l->l_exitq);
	for (i = 0; i < LINUX_HASH; i++) {
		qlist_init(&l->l_pids[i]);
		qlist_init(&l->l_tids[i]);
	}
	error = lfutex_init(l);
	if (error == 0)
		error = lpi_init(l);
	if (error == 0)
		error = linit_start(l);
	if (error != 0) {
		lpi_fini(l);
		lfutex_fini(l);
		qfree(l);
		return error;
	}
	qvm_set_oom(k, loom_kill, l);
	/* Guests that the host can't run need none. */
	if (l->l_xsave != 0)
		l->l_vdso = qvdso_create(k);
	lusage_init(l);
	qlog(k, QUERN_LOG_INFO,
	    "Linux version " QUTS_RELEASE ", %u CPUs, %lu KiB", qcpu_count(k),
	    qpage_total(k) * (QUERN_PAGE_SIZE / 1024));
	*statep = l;
	return 0;
}

static void
linux_fini(struct quern *k, void *state)
{
	struct lsys *l = state;

	(void)k;
	lusage_fini(l);
	qvdso_destroy(l->l_vdso);
	lpi_fini(l);
	lfutex_fini(l);
	qfree(l);
}

static const struct quern_component *const linux_needs[] = { &qvfs, &qvm,
	NULL };

const struct quern_component qlinux = {
	.c_name = "linux",
	.c_needs = linux_needs,
	.c_init = linux_init,
	.c_fini = linux_fini,
	.c_calls = linux_calls,
};

/* ---- what the kernel asks of a personality ---------------------------------- */

static void
op_signal(struct quern_proc *p, int sig)
{
	struct lthread *lt = lthread_current();
	struct lsys *l = lproc_of(p)->lp_l;
	struct q_siginfo info = { .si_signo = sig, .si_code = Q_SI_KERNEL };

	qspin_lock(&l->l_lock);
	/* A SIGPIPE is the business of the thread that wrote. */
	if (lt != NULL && lt->lt_proc == lproc_of(p) && sig == Q_SIGPIPE)
		lsig_thread(lt, &info);
	else
		lsig_proc(lproc_of(p), &info);
	qspin_unlock(&l->l_lock);
}

/* Does it ignore or block the signal?  Of another process: ignore. */
static bool
op_sigstate(struct quern_proc *p, int sig)
{
	struct lthread *lt = lthread_current();
	struct lproc *lp = lproc_of(p);
	struct lsys *l = lp->lp_l;
	bool ret;

	qspin_lock(&l->l_lock);
	ret = lp->lp_hand == NULL ||
	    lp->lp_hand->h_act[sig - 1].sa_func == SIGACT_IGNORE;
	if (lt != NULL && lt->lt_proc == lp)
		ret |= (lt->lt_mask & SIGBIT(sig)) != 0;
	qspin_unlock(&l->l_lock);
	return ret;
}

static void
op_sigmask(struct quern_proc *p, const uint64_t *mask)
{
	struct lthread *lt = lthread_current();

	(void)p;
	if (lt == NULL)
		return;
	if (!lt->lt_restore) {
		lt->lt_saved = lt->lt_mask;
		lt->lt_restore = true;
	}
	lsig_setmask(lt, *mask);
}

static bool
op_has_tid(struct quern_proc *p, uint32_t tid)
{
	struct lsys *l = lproc_of(p)->lp_l;
	struct lthread *lt;

	qspin_lock(&l->l_lock);
	lt = lthread_find(l, tid);
	qspin_unlock(&l->l_lock);
	return lt != NULL;
}

static bool
op_execed(struct quern_proc *p)
{
	struct lproc *lp = lproc_of(p);
	bool ret;

	qspin_lock(&lp->lp_l->l_lock);
	ret = !lp->lp_forked;
	qspin_unlock(&lp->lp_l->l_lock);
	return ret;
}

/* What it has in memory may be of somebody else's now. */
static void
op_new_ids(struct quern_proc *p)
{
	struct lproc *lp = lproc_of(p);

	qspin_lock(&lp->lp_l->l_lock);
	lp->lp_dumpable = false;
	lp->lp_pdeathsig = 0;
	qspin_unlock(&lp->lp_l->l_lock);
}

/* Reaped and let go of; or the kernel ends, and with it what is left. */
static void
op_end(struct quern_proc *p)
{
	lproc_fini(lproc_of(p));
}

const struct qproc_ops linux_ops = {
	.po_end = op_end,
	.po_signal = op_signal,
	.po_sigstate = op_sigstate,
	.po_sigmask = op_sigmask,
	.po_has_tid = op_has_tid,
	.po_execed = op_execed,
	.po_cputime = lusage_clock,
	.po_new_ids = op_new_ids,
};

/* ---- starting programs ------------------------------------------------------- */

static int
strings_of(struct lstrings *ss, const char *const *v)
{
	int error = 0;

	for (; *v != NULL && error == 0; v++)
		error = lstrings_add(ss, *v);
	return error;
}

/* Give the files that it begins with descriptors 0, 1 and 2. */
static int
give_files(struct quern_proc *p, struct qfile *const file[3])
{
	int fd;
	int i;

	for (i = 0; i < 3; i++) {
		if (file[i] == NULL)
			continue;
		fd = qfd_reserve(p, (uint32_t)i, 0);
		if (fd < 0)
			return fd;
		qfile_get(file[i]);
		qfd_commit(p, fd, file[i]);
	}
	return 0;
}

/* The first of them that is a terminal becomes its controlling terminal. */
static void
take_terminal(struct quern_proc *p, struct qfile *const file[3])
{
	static const uint64_t args[6] = { 0, Q_TIOCSCTTY };
	struct qsys s = { args, p, &quspace_local, NULL };
	unsigned i;

	for (i = 0; i < 3; i++)
		if (file[i] != NULL && file[i]->f_ops->fo_ioctl != NULL &&
		    file[i]->f_ops->fo_ioctl(file[i], &s, Q_TIOCSCTTY, 0) == 0)
			return;
}

/* Have a process without threads be about to begin a program. */
static int
prepare(struct lproc *lp, const char *path, const char *const *argvv,
    const char *const *envpv, struct qfile *const file[3], struct lthread **ltp)
{
	struct lstrings argv = { 0 }, envp = { 0 };
	struct lthread *lt;
	int error;

	error = lthread_create(lp, true, &lt);
	if (error != 0)
		return error;
	error = strings_of(&argv, argvv);
	if (error == 0)
		error = strings_of(&envp, envpv);
	if (error == 0)
		error = linux_exec(lt, Q_AT_FDCWD, path, 0, &argv, &envp);
	if (error == 0)
		error = give_files(lp->lp_proc, file);
	lstrings_free(&argv);
	lstrings_free(&envp);
	if (error != 0)
		lthread_free(lt);
	else
		*ltp = lt;
	return error;
}

/* A child of process 1, about to begin a program. */
static int
prepare_child(struct lsys *l, const char *path, const char *const *argv,
    const char *const *envp, struct qfile *const file[3], struct lthread **ltp)
{
	struct lproc *lp;
	int error;

	error = lproc_create(l, NULL, 0, &lp);
	if (error != 0)
		return error;
	error = prepare(lp, path, argv, envp, file, ltp);
	if (error != 0) {
		lproc_abandon(lp);
		return error;
	}
	qspin_lock(&l->l_lock);
	lproc_adopt(l->l_init, lp);
	qspin_unlock(&l->l_lock);
	return 0;
}

int
qlinux_start(struct quern *k, const struct qlinux_start *ls)
{
	struct lsys *l = linux_of(k);
	struct lthread *lt;
	int error;

	if (l->l_command != NULL)
		return -Q_EEXIST;
	if (l->l_xsave == 0)
		return -Q_EOPNOTSUPP;
	l->l_ended = ls->ls_ended;
	l->l_reboot = ls->ls_reboot;
	l->l_running = ls->ls_running;
	l->l_arg = ls->ls_arg;
	if (ls->ls_command)
		error = prepare_child(l, ls->ls_path, ls->ls_argv, ls->ls_envp,
		    ls->ls_file, &lt);
	else
		error = prepare(l->l_init, ls->ls_path, ls->ls_argv,
		    ls->ls_envp, ls->ls_file, &lt);
	if (error != 0)
		return error;
	if (ls->ls_command)
		take_terminal(lt->lt_proc->lp_proc, ls->ls_file);
	qspin_lock(&l->l_lock);
	l->l_command = lt->lt_proc;
	/* From here on process 1 is a program, or only reaps. */
	l->l_init->lp_hand->h_act[Q_SIGCHLD - 1].sa_func = ls->ls_command ?
	    SIGACT_IGNORE :
	    SIGACT_DEFAULT;
	qspin_unlock(&l->l_lock);
	return lthread_start(lt);
}

int
qlinux_spawn(struct quern *k, const char *path, const char *const *argv,
    const char *const *envp)
{
	static struct qfile *const none[3];
	struct lsys *l = linux_of(k);
	struct lthread *lt;
	int error;

	if (l->l_command == NULL)
		return -Q_ESRCH;
	error = prepare_child(l, path, argv, envp, none, &lt);
	return error != 0 ? error : lthread_start(lt);
}

int
qlinux_signal(struct quern *k, int sig)
{
	struct q_siginfo info = { .si_signo = sig, .si_code = Q_SI_USER };
	struct lsys *l = linux_of(k);
	int error = -Q_ESRCH;

	qspin_lock(&l->l_lock);
	if (l->l_command != NULL && l->l_command->lp_state == LP_ALIVE) {
		lsig_proc(l->l_command, &info);
		error = 0;
	}
	qspin_unlock(&l->l_lock);
	return error;
}

int
qlinux_stop(struct quern *k, uint64_t ns)
{
	struct lsys *l = linux_of(k);
	uint64_t until = qclock_mono(k) + ns;
	struct lproc *lp;
	struct qlist *e;
	int error = 0;
	bool alive;

	for (;;) {
		alive = false;
		qspin_lock(&l->l_lock);
		QLIST_FOREACH(e, &l->l_procs) {
			lp = QLIST_ELEM(e, struct lproc, lp_all);
			/* The built-in process 1 has none ever. */
			if (lp->lp_state != LP_ALIVE ||
			    (lp == l->l_init && lp->lp_nthread == 0))
				continue;
			alive = true;
			lproc_end(lp, Q_SIGKILL);
		}
		if (!alive || error != 0)
			break;
		error = qwaitq_sleep(&l->l_exitq, &l->l_lock, 0, until);
	}
	qspin_unlock(&l->l_lock);
	return alive ? -Q_ETIMEDOUT : 0;
}
