/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the Linux personality share.  Never leaves the directory.
 * The theory is at the head of linux.c.
 *
 * Lock letters:	[I] immutable, [a] atomic, [L] l_lock, [o] the thread's
 *			own, [l] p_lock of the process.
 */
#ifndef QUERN_LINUX_IMPL_H
#define QUERN_LINUX_IMPL_H

#include <quern/abi/resource.h>
#include <quern/abi/sched.h>
#include <quern/abi/signal.h>
#include <quern/abi/time.h>
#include <quern/guest.h>
#include <quern/linux.h>
#include <quern/lock.h>
#include <quern/page.h>
#include <quern/proc.h>
#include <quern/slab.h>
#include <quern/syscall.h>
#include <quern/timer.h>
#include <quern/timespec.h>
#include <quern/vdso.h>
#include <quern/vfs.h>
#include <quern/vm.h>
#include <quern/vmspace.h>

#define LINUX_HASH 256u

/* Calls that are known by their number here. */
#define NR_RT_SIGRETURN    15u
#define NR_POLL            7u
#define NR_SELECT          23u
#define NR_MREMAP          25u
#define NR_PAUSE           34u
#define NR_NANOSLEEP       35u
#define NR_RT_SIGTIMEDWAIT 128u
#define NR_RT_SIGSUSPEND   130u
#define NR_FUTEX           202u
#define NR_CLOCK_NANOSLEEP 230u
#define NR_EPOLL_WAIT      232u
#define NR_PSELECT6        270u
#define NR_PPOLL           271u
#define NR_EPOLL_PWAIT     281u
#define NR_EPOLL_PWAIT2    441u

/* lt_nr of a thread that is in no call. */
#define LT_NOCALL UINT32_MAX

/* Registers in f_reg. */
enum {
	RAX,
	RBX,
	RCX,
	RDX,
	RSI,
	RDI,
	RBP,
	RSP,
	R8,
	R9,
	R10,
	R11,
	R12,
	R13,
	R14,
	R15
};

/* Signals are 1 .. LINUX_NSIG. */
#define LINUX_NSIG 64u

#define SIGBIT(sig) (UINT64_C(1) << ((sig)-1))

/* Those that can't be caught, blocked or ignored. */
#define SIG_FORCED (SIGBIT(Q_SIGKILL) | SIGBIT(Q_SIGSTOP))
#define SIG_STOPS                                                    \
	(SIGBIT(Q_SIGSTOP) | SIGBIT(Q_SIGTSTP) | SIGBIT(Q_SIGTTIN) | \
	    SIGBIT(Q_SIGTTOU))

/* sa_func */
#define SIGACT_DEFAULT 0u
#define SIGACT_IGNORE  1u

/* One that waits to be delivered; a legacy signal at most once in a queue. */
struct lsig {
	struct qlist s_link;
	struct q_siginfo s_info;
	struct ltimer *s_timer; /* the POSIX timer that has it, or NULL */
	uint32_t *s_count;      /* what it is counted in, or NULL */
};

/* Pending signals of a thread or of a process. */
struct lsigq {
	uint64_t q_set; /* those on q_list, and those without memory for that */
	struct qlist q_list;
};

/* Signal actions; shared by CLONE_SIGHAND. */
struct lhand {
	uint32_t h_refs;                      /* [L] */
	struct q_sigaction h_act[LINUX_NSIG]; /* [L] */
};

enum lproc_state { LP_ALIVE = 0, LP_ZOMBIE, LP_REAPED };

/* What a process has used, and its children that it has waited for. */
struct lusage {
	uint64_t u_user_ns, u_sys_ns, u_maxrss;
	uint64_t u_minflt, u_majflt, u_nvcsw, u_nivcsw;
};

/* A process: what the personality adds to a struct quern_proc. */
struct lproc {
	struct lsys *lp_l;          /* [I] */
	struct quern_proc *lp_proc; /* [I] */
	struct lhand *lp_hand;      /* [L] changed by exec only */
	struct lsigq lp_pending;    /* [L] */
	struct qlist lp_threads;    /* [L] by lt_link */
	uint32_t lp_nthread;        /* [L] */
	uint32_t lp_refs;          /* [L] pidfds and the like; 1 until reaped */
	enum lproc_state lp_state; /* [L] */
	int lp_status;             /* [L] as wait4 tells */
	bool lp_ending;            /* [L] all threads are to end with that */
	bool lp_stopped;           /* [L] */
	int lp_stopsig;            /* [L] by that; 0: the parent knows */
	bool lp_continued;         /* [L] and the parent has not been told */
	bool lp_execing;   /* [L] one thread waits for the others' end */
	bool lp_forked;    /* [L] has not called exec: setpgid */
	bool lp_subreaper; /* [L] */
	bool lp_dumpable;  /* [L] */
	bool lp_nonewprivs, lp_nothp; /* [L] */
	uint32_t lp_persona;          /* [a] */
	uint32_t lp_exitsig;          /* [L] what the parent is sent */
	uint32_t lp_pdeathsig;        /* [L] */
	struct lproc *lp_parent;      /* [L] */
	struct qlist lp_children;     /* [L] by lp_sibling */
	struct qlist lp_sibling;      /* [L] */
	struct qlist lp_hash;         /* [L] l_pids, until it is reaped */
	struct qlist lp_all;          /* [L] l_procs, likewise */
	struct qwaitq lp_waitq;       /* wait4 of its threads; exec */
	struct qwaitq lp_stopq;       /* its stopped threads */
	struct qwaitq lp_endq;        /* of those who vfork and hold pidfds */
	bool lp_vfork;            /* [L] somebody waits for exec or the end */
	struct lusage lp_used;    /* [L] by threads that have ended */
	struct lusage lp_kids;    /* [L] */
	uint64_t lp_toldcpu;      /* [L] seconds at the last SIGXCPU */
	int32_t lp_nexttimer;     /* [L] to number one with ... */
	int32_t lp_ntimer;        /* [L] ... and how many have one */
	uint64_t lp_started;      /* [I] monotonic */
	struct qpath *lp_exe;     /* [l] the program's place, or NULL */
	struct qlist lp_timers;   /* [L] of setitimer and timer_create */
	struct qwaitq lp_sigq;    /* those who read a signalfd ... */
	struct qpollq lp_sigpoll; /* ... or wait for one */
	struct qpollq lp_endpoll; /* those who wait for a pidfd */
	uint32_t lp_barriers;     /* [a] what membarrier has registered */
	int32_t lp_nice;          /* [a] */
	bool lp_mortal;           /* [L] process 1, but has no choice */
	uint32_t lp_ioprio;       /* [a] ioprio_set's, or 0 */
	uint64_t lp_serial;       /* [I] no other process or thread has it */
	struct qmutex lp_life;    /* held to look at places and files ... */
	bool lp_gone;             /* [lp_life] ... unless these have gone */
	int32_t lp_oomadj;        /* [a] oom_score_adj */
	struct lcalls *lp_calls;  /* [a] made once; callsite.c */
	uint64_t lp_argv[6];      /* [a] as limage's im_at */
};

/* What the next delivery does about an interrupted call. */
enum lrestart {
	LR_NONE = 0, /* not in a call, or it is over whatever happens */
	LR_AGAIN,    /* it is made again */
	LR_ALWAYS,   /* SA_RESTART decides */
	LR_NOHAND    /* -EINTR if there is a handler */
};

/* A guest thread. */
struct lthread {
	struct lsys *lt_l;         /* [I] */
	struct lproc *lt_proc;     /* [I] goes before it does */
	struct qthread *lt_thread; /* [I] */
	struct qvmspace *lt_vs;    /* [o] where it runs */
	struct qlist lt_link;      /* [L] lp_threads */
	struct qlist lt_hash;      /* [L] l_tids */
	uint32_t lt_tid;           /* [L] */
	uint64_t lt_serial;        /* [L] as lp_serial */
	bool lt_ending;            /* [L] only this one is to end */
	int lt_status;             /* [o] with that */
	struct lsigq lt_pending;   /* [L] */
	uint64_t lt_mask;          /* [L] written by itself */
	uint64_t lt_waits;         /* [L] signals that it takes by a call */
	uint64_t lt_saved;         /* [o] of lt_mask, during a call ... */
	bool lt_restore;           /* [o] ... if this is set */
	bool lt_pidone;            /* pi_lock; it owns no futex any more */
	struct quern_vmframe lt_f; /* [o] */
	struct q_stack lt_alt;     /* [o] */
	uint64_t lt_cleartid;      /* [o] address, or 0 */
	uint64_t lt_settid;        /* [o] likewise, when it begins */
	uint64_t lt_robust;        /* [o] */
	uint64_t lt_rseq;          /* [o] */
	uint32_t lt_rseqlen, lt_rseqsig; /* [o] */
	uint32_t lt_cpu;          /* [a] where it was told that it runs */
	struct lproc *lt_vforked; /* [L] its child, whose exec it awaits */
	uint64_t lt_turn;         /* [o] t_turn, when it was looked at last */
	uint64_t lt_minflt;       /* [o] */
	uint64_t lt_slack;        /* [o] ns, or 0: the usual one */
	uint32_t lt_sample;       /* [o] events until one is timed */
	uint64_t lt_sys;          /* [a] ns in the kernel, about */
	uint64_t lt_utold, lt_stold; /* [L] what was told of it last */
	uint64_t lt_lostrip;         /* [o] where its mappings were lost ... */
	uint32_t lt_lost;            /* [o] ... so many times */
	char lt_comm[16];            /* [l] */
	uint32_t lt_nr;              /* [o] the call it is in, or LT_NOCALL */
	enum lrestart lt_restart;    /* [o] it was interrupted */
	bool lt_again;               /* [o] make the call again */
};

/* What a kernel has for its guests: the component's state. */
struct lsys {
	struct quern *l_k; /* [I] */
	size_t l_xsave;    /* [I] bytes of extended state ... */
	uint64_t l_xmask;  /* [I] ... and its components */
	uint64_t l_call;   /* [I] where guests may jump for a call, or 0 */
	uint64_t l_hwcap;  /* [a] AT_HWCAP, once somebody has asked */
	struct qspin l_lock;
	struct qlist l_procs;                   /* [L] by lp_all */
	struct qlist l_pids[LINUX_HASH];        /* [L] by lp_hash */
	struct qlist l_tids[LINUX_HASH];        /* [L] by lt_hash */
	struct lproc *l_init;                   /* [L] reaps orphans */
	struct lproc *l_command;                /* [L] what qlinux_start made */
	void (*l_ended)(void *arg, int status); /* [I] once it runs */
	void (*l_reboot)(void *arg, uint32_t cmd); /* [I] */
	void (*l_running)(void *arg);              /* [a] once */
	void *l_arg;
	struct lfutexes *l_futexes;  /* [I] */
	struct lpi *l_pi;            /* [I] locks that are futexes */
	struct qvdso *l_vdso;        /* [I] or NULL */
	struct qtimer l_loadtm;      /* while there are threads */
	bool l_loadon;               /* [L] it is armed, or running */
	uint64_t l_load[3];          /* [L] as Linux's avenrun */
	struct qwaitq l_exitq;       /* for processes to end */
	uint32_t l_nsig[LINUX_HASH]; /* [L] queued signals, by user */
	uint32_t l_nproc;            /* [L] */
	uint64_t l_serial;           /* [L] the last that was given */
	uint32_t l_lastpid;          /* [L] of the newest process */
};

/* ---- linux.c ------------------------------------------------------------ */

extern const struct qproc_ops linux_ops;

static inline struct lproc *
lproc_of(const struct quern_proc *p)
{
	return p->p_data;
}

/* The state of the kernel's personality. */
struct lsys *linux_of(struct quern *k);

/* ---- thread.c ------------------------------------------------------------ */

/* The current guest thread, or NULL. */
struct lthread *lthread_current(void);

/* Make one of `lp`, not yet started, with a number of its own or (0) lp's. */
int lthread_create(struct lproc *lp, bool leader, struct lthread **ltp);
/* Give an unstarted one back. */
void lthread_free(struct lthread *lt);
/* Have it run. */
int lthread_start(struct lthread *lt);
/* The signal state has changed: look.  [L] */
void lthread_alert(struct lthread *lt);

/* ---- callsite.c ----------------------------------------------------------- */

/* A call has come from the guest by the instruction: perhaps not next time. */
void lcalls_trap(struct lthread *lt);
/*
 * It has made a step (RFLAGS.TF): have what it sees be as if there were no
 * trampolines.  True: that was not a step of its own, it is to go on.
 */
bool lcalls_step(struct lthread *lt);
/* Text in [start, start + len) may go elsewhere: have it be as it was. */
void lcalls_moving(struct lthread *lt, uint64_t start, uint64_t len);
/* A new process has a copy of the memory of `from`. */
void lcalls_fork(struct lproc *lp, struct lproc *from);
/* It has other memory, or ends. */
void lcalls_free(struct lproc *lp);

/* ---- inspect.c ------------------------------------------------------------ */

/* R, S or T, as proc(5) has it.  [L] */
char lthread_state(const struct lthread *lt);

/* ---- process.c ------------------------------------------------------------ */

/* Make a process, a child of `from` or (NULL) of nobody, without threads. */
int lproc_create(struct lsys *l, struct lproc *from, uint32_t flags,
    struct lproc **lpp);
/* Give back one that has never run. */
void lproc_abandon(struct lproc *lp);
/* What it has of its own goes, and it; from qproc_destroy. */
void lproc_fini(struct lproc *lp);
/* Drop a reference, perhaps the last.  Sleeps. */
void lproc_put(struct lproc *lp);
/* The process with that number, alive or a zombie, or NULL.  [L] */
struct lproc *lproc_find(struct lsys *l, uint32_t pid);
/* The thread with that number, or NULL.  [L] */
struct lthread *lthread_find(struct lsys *l, uint32_t tid);
/* What it has used so far, its threads included.  [L] */
void lproc_usage(struct lproc *lp, struct lusage *u);
/* The most memory that it has used so far; on a thread of its. */
void lproc_note_peak(struct lproc *lp);
/* What one thread has used.  [L] */
void lthread_usage(struct lthread *lt, struct lusage *u);
void lusage_out(const struct lusage *u, struct q_rusage *ru);
void lusage_add(struct lusage *to, const struct lusage *u);
/* exec: have signal actions of its own.  -ENOMEM. */
int lproc_reset_hand(struct lproc *lp);
void lproc_drop_hand(struct lproc *lp);
/* What it executes: a reference of its own, or NULL. */
void lproc_set_exe(struct lproc *lp, const struct qpath *path);
void lproc_copy_exe(struct lproc *lp, struct lproc *from);
/* A zombie has been waited for: it leaves the lists; then lproc_put.  [L] */
void lproc_reap(struct lproc *lp);

/* Make `child` one of `parent`'s.  [L] */
void lproc_adopt(struct lproc *parent, struct lproc *child);

/* ---- usage.c --------------------------------------------------------------- */

/* One event in so many is timed, of those that are short. */
#define USAGE_SAMPLE 61u

extern const uint64_t lusage_short[8];

/* Is what has just come from the guest to be timed? */
static inline bool
lusage_due(struct lthread *lt)
{
	const struct quern_vmframe *f = &lt->lt_f;
	uint64_t nr = f->f_reg[RAX];

	if (qunlikely(--lt->lt_sample == 0))
		return true;
	if (f->f_why != QUERN_VM_SYSCALL && f->f_why != QUERN_VM_CALL)
		return false;
	return nr >= 512 || (lusage_short[nr / 64] >> nr % 64 & 1) == 0 ||
	    (nr <= 20 && f->f_reg[RDX] >= 65536);
}

/* It has taken `ns` of the thread's time; lusage_due had said so. */
void lusage_took(struct lthread *lt, uint64_t ns);

void lusage_init(struct lsys *l);
void lusage_fini(struct lsys *l);
/* A thread begins.  [L] */
void lusage_begin(struct lsys *l);
/* As struct qproc_ops has it. */
int lusage_clock(struct quern_proc *p, int clock, uint64_t *nsp);

/* ---- init.c -------------------------------------------------------------- */

/* Start the built-in process 1. */
int linit_start(struct lsys *l);

/* ---- oom.c --------------------------------------------------------------- */

/*
 * Memory is used up: end the process that has most of it, if nobody is about to
 * end.  `arg` is the struct lsys.  False: the caller's own is to end.
 */
bool loom_kill(void *arg);

/* ---- exit.c --------------------------------------------------------------- */

/* Have all threads of `lp` end; `status` as wait4 tells.  [L] */
void lproc_end(struct lproc *lp, int status);
/* The current thread ends: all that is left of it and perhaps its process. */
void lthread_exit(struct lthread *lt);
/* exec: have all threads but the current end.  -EINTR: it is to end itself. */
int lproc_single(struct lthread *lt);
/* Whoever waits in vfork for `lp` goes on. */
void lproc_vfork_done(struct lproc *lp);

/* ---- wait.c ---------------------------------------------------------------- */

/* What SIGCHLD says about a child.  [L] */
void lchild_info(struct lproc *lp, struct q_siginfo *info);
/* It has stopped or goes on: tell the parent.  [L] */
void lchild_stopped(struct lproc *lp, int code);

/* ---- exec.c, elf.c, stack.c ------------------------------------------------ */

/* A list of strings in the kernel: arguments or environment. */
struct lstrings {
	char *ss_p; /* one after the other, each with its 0 */
	size_t ss_len, ss_room;
	uint32_t ss_n;
};

/* A program about to be executed. */
struct limage {
	struct qfile *im_file;
	struct qpath im_path;
	struct qvmmap *im_map;
	uint64_t im_entry; /* where it begins, or its interpreter */
	uint64_t im_start; /* AT_ENTRY */
	uint64_t im_base;  /* AT_BASE */
	uint64_t im_phdr, im_phnum;
	uint64_t im_brk;
	uint64_t im_vdso;
	uint64_t im_sp;
	uint32_t im_uid, im_gid; /* it is set-user-ID, set-group-ID; or ~0 */
	bool im_execstack;
	bool im_secure;
	const char *im_name; /* AT_EXECFN */
	struct lstrings im_argv, im_envp;
	/* Where arguments, environment and auxiliary vector begin and end. */
	uint64_t im_at[6];
};

/* Run a program in the current thread's process, in place of what it runs. */
int linux_exec(struct lthread *lt, int dirfd, const char *path, int flags,
    struct lstrings *argv, struct lstrings *envp);
/* Map the program `im`.  -ENOEXEC and others. */
int elf_load(struct quern_proc *p, struct limage *im);
/* Map the stack and put arguments and auxiliary vector on it. */
int stack_make(struct quern_proc *p, struct limage *im);
int lstrings_add(struct lstrings *ss, const char *s);
void lstrings_free(struct lstrings *ss);
/* Read from a file at `off` into the kernel's memory; bytes or -errno. */
int64_t linux_pread(struct qfile *f, void *buf, size_t len, uint64_t off);

/* ---- signal.c --------------------------------------------------------------- */

void lsigq_init(struct lsigq *q);
/* Forget signals of a set, with their memory.  [L] */
void lsigq_flush(struct lsigq *q, uint64_t set);
/* A signal to a process.  [L] */
int lsig_proc(struct lproc *lp, const struct q_siginfo *info);
/* To one thread.  [L] */
int lsig_thread(struct lthread *lt, const struct q_siginfo *info);
/* A timer's, which is on no queue: to a thread, or (NULL) to the process.  [L] */
void lsig_timer(struct lproc *lp, struct lthread *lt, struct lsig *s);
/*
 * As kill(2), or with what argument `i` points to, if that isn't NULL; `info` is
 * room for it.
 */
int lsig_kill(const struct qsys *s, struct lproc *to, int sig, unsigned i,
    struct q_siginfo *info);
/* One that its own doing has brought on a thread; ends it if need be. */
void lsig_force(struct lthread *lt, const struct q_siginfo *info);
/* Is there one that the current thread must look at?  [L] */
bool lsig_waiting(const struct lthread *lt);
/* Take the next of `set` that waits for `lt`, or 0.  [L] */
int lsig_take(struct lthread *lt, uint64_t set, struct q_siginfo *info);
/* Have the mask of the current thread be `mask`. */
void lsig_setmask(struct lthread *lt, uint64_t mask);
/*
 * Stop, or enter handlers: before the guest goes on.  False: the thread is to
 * end.
 */
bool lsig_deliver(struct lthread *lt);
/* Would nobody continue the group, were it stopped?  [L] */
bool lgroup_orphaned(struct lsys *l, uint32_t pgid);
/* A thread has gone that may have been told of the process's signals.  [L] */
void lsig_retarget(struct lproc *lp);
/* Is it ignored, by the action as it is now?  [L] */
bool lsig_ignored(const struct lproc *lp, int sig);

/* ---- sigframe.c --------------------------------------------------------------- */

/* Enter a handler.  -EFAULT: there is no room. */
int sigframe_push(struct lthread *lt, int sig, const struct q_sigaction *act,
    const struct q_siginfo *info);

/* ---- timers.c ------------------------------------------------------------- */

/* The process ends, or executes another program. */
void ltimers_exit(struct lproc *lp);
void ltimers_exec(struct lproc *lp);
/* Has it used more processor time than RLIMIT_CPU lets it have? */
void ltimers_check_cpu(struct lproc *lp);
/* A timer's signal is being taken: what it says of overruns.  [L] */
void ltimer_taken(struct ltimer *t, struct q_siginfo *info);

/* ---- signalfd.c, pidfd.c ---------------------------------------------------- */

/* A signal has come for the process.  [L] */
void lsignalfd_tell(struct lproc *lp);
/* Make a pidfd and store its number at `addr`. */
int lpidfd_make(const struct qsys *s, struct lproc *lp, uint64_t addr);
/* The process that descriptor `fd` stands for. */
int lpidfd_pid(struct quern_proc *p, int fd, uint32_t *pid);

/* ---- rseq.c ------------------------------------------------------------------- */

/* Tell a thread where it runs, and have an interrupted sequence start anew. */
int lrseq_update(struct lthread *lt);
/* The thread has not run for a while, or is about to enter a handler. */
void lrseq_interrupted(struct lthread *lt);

/* ---- futex.c --------------------------------------------------------------- */

int lfutex_init(struct lsys *l);
void lfutex_fini(struct lsys *l);
/* Wake up to `n` who wait at a thread's address. */
int lfutex_wake(struct quern_proc *p, uint64_t addr, uint32_t n);
/* The thread ends: what it holds by its robust list is free, or another's. */
void lfutex_exit(struct lthread *lt);
/* What a word is, whatever its address.  -EINVAL, -EFAULT, -ENOMEM. */
int lfutex_key(struct quern_proc *p, uint64_t addr, bool shared,
    struct qvm_key *key);

/* ---- pifutex.c --------------------------------------------------------------- */

int lpi_init(struct lsys *l);
void lpi_fini(struct lsys *l);
/* The calls, of the word at argument 0; `try`: do not wait. */
int lpi_lock(const struct qsys *s, bool shared, bool try, uint64_t deadline);
int lpi_unlock(const struct qsys *s, bool shared);
/* The thread ends: what others wait for is theirs. */
void lpi_exit(struct lthread *lt);

#endif /* QUERN_LINUX_IMPL_H */
