/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Processes: who a call is made for.
 */
#ifndef QUERN_PROC_H
#define QUERN_PROC_H

#include <quern/abi/capability.h>
#include <quern/abi/resource.h>
#include <quern/list.h>
#include <quern/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qfdtable;
struct q_sysinfo;

/* The bit of a capability in a set, and the set of all. */
#define QCAP(cap) (UINT64_C(1) << (cap))
#define QCAP_ALL  (QCAP(Q_CAP_LAST_CAP + 1) - 1)

/* Supplementary groups: shared by copies of credentials, never changed. */
struct qgroups {
	uint32_t g_refs; /* [a] */
	uint32_t g_n;
	uint32_t g_gid[]; /* ascending */
};

/* Credentials; a process's own copy, changed under p_lock. */
struct qcred {
	uint32_t c_uid, c_euid, c_suid, c_fsuid;
	uint32_t c_gid, c_egid, c_sgid, c_fsgid;
	struct qgroups *c_groups; /* NULL: none */
	uint64_t c_cap_eff, c_cap_perm, c_cap_inh;
	uint64_t c_cap_bnd; /* what a program may get by being executed */
	uint64_t
	    c_cap_amb; /* what it keeps of c_cap_inh without being root's */
	uint32_t c_secbits; /* QSECBIT_* */
};

/* How capabilities follow users: PR_SET_SECUREBITS. */
#define QSECBIT_NOROOT          1u
#define QSECBIT_NO_SETUID_FIXUP 4u
#define QSECBIT_KEEP_CAPS       16u
#define QSECBIT_KEEP_LOCKED     32u
#define QSECBIT_NO_AMBIENT      64u
#define QSECBIT_ALL             0xffu

/* What a personality does for its processes; each may be NULL: nothing. */
struct qproc_ops {
	/*
	 * Send signal `sig` to the process, SIGPIPE for instance.  Called with
	 * or without k_proc_lock (qproc_lock_all), which it does not take.
	 */
	void (*po_signal)(struct quern_proc *p, int sig);

	/*
	 * Would `sig` do nothing now: does the process ignore it, or the
	 * current thread, one of the process's, block it?  NULL: it would, such
	 * a process has no signals.
	 */
	bool (*po_sigstate)(struct quern_proc *p, int sig);

	/*
	 * Have `*mask` be the current thread's signal mask until the call
	 * ends.
	 */
	void (*po_sigmask)(struct quern_proc *p, const uint64_t *mask);

	/* The process has ended: its structure is about to go. */
	void (*po_end)(struct quern_proc *p);

	/* Is `tid` a thread of its?  Called with the processes locked. */
	bool (*po_has_tid)(struct quern_proc *p, uint32_t tid);

	/*
	 * Has it executed a program since it was forked?  Called with the
	 * processes locked.  NULL: it has not.
	 */
	bool (*po_execed)(struct quern_proc *p);

	/*
	 * The CPU time by `clock`: Q_CLOCK_PROCESS_CPUTIME_ID or
	 * Q_CLOCK_THREAD_CPUTIME_ID of its own, or below 0 that of a process or
	 * thread, as clock_getcpuclockid(3) makes it.  NULL: the host's of all.
	 * -EINVAL.
	 */
	int (*po_cputime)(struct quern_proc *p, int clock, uint64_t *nsp);

	/*
	 * Its effective or file-system ids have changed by a call of its own.
	 * Called with p_lock held.
	 */
	void (*po_new_ids)(struct quern_proc *p);
};

/*
 * A component's piece of every process: a pointer, NULL until the component
 * makes something of it (by compare-and-swap, if two threads might).
 */
struct qproc_part {
	/*
	 * `to` is made as a fork of `from`, whose pointer `state` is not NULL:
	 * what `to` gets.  -ENOMEM.
	 */
	int (*pp_fork)(struct quern_proc *from, void *state,
	    struct quern_proc *to, void **statep);
	/* It exits (qproc_exit), and its pointer was not NULL; it is now. */
	void (*pp_end)(struct quern_proc *p, void *state);
	/*
	 * It has begun a session, and its pointer is not NULL; k_proc_lock is
	 * held.  NULL: nothing.
	 */
	void (*pp_setsid)(struct quern_proc *p, void *state);
};

#define QPROC_NPART 8u

/* p_flags */
#define QPROC_GUEST 1u /* makes calls that are for guests only */

/* For qproc_create: has the descriptors of `from`, not copies of them. */
#define QPROC_SHAREFD 2u

/*
 * A process.  The embedder's client, or a guest's process.
 * [I] immutable, [a] atomic, [p] k_proc_lock, [l] p_lock.
 */
struct quern_proc {
	struct quern *p_k;             /* [I] */
	uint32_t p_cpu;                /* [a] vCPU it ran on last */
	uint32_t p_intr;               /* [a] interrupted and has not noticed */
	uint32_t p_flags;              /* [I] QPROC_* as given */
	uint32_t p_pid;                /* [I] */
	uint32_t p_ppid;               /* [a] changed under [p]; 0: none */
	uint32_t p_pgid;               /* [a] likewise */
	uint32_t p_sid;                /* [a] likewise */
	uint32_t p_umask;              /* [a] */
	uint32_t p_exited;             /* [a] qproc_exit was called */
	struct qlist p_link;           /* [p] k_procs */
	struct qfdtable *p_fd;         /* [a] changes by close_range(UNSHARE) */
	const struct qproc_ops *p_ops; /* [I] or NULL */
	void *p_data;                  /* the personality's */
	struct qmutex p_lock;
	struct qcred p_cred;                    /* [l]; single ids also [a] */
	struct q_rlimit p_rlim[Q_RLIM_NLIMITS]; /* [l] */
	uint32_t p_nofile;         /* [a] p_rlim[RLIMIT_NOFILE].rlim_cur, cut */
	char p_comm[16];           /* [l] */
	void *p_part[QPROC_NPART]; /* [a] components' pieces */
};

/* The process that the current thread serves, or NULL. */
static inline struct quern_proc *
qproc_current(void)
{
	return qthread_current()->t_proc;
}

/* Does it have the capability, effectively? */
static inline bool
qproc_capable(struct quern_proc *p, unsigned cap)
{
	return (__atomic_load_n(&p->p_cred.c_cap_eff, __ATOMIC_RELAXED) &
		   QCAP(cap)) != 0;
}

/* Send it a signal, if it is of a kind that has signals. */
static inline void
qproc_signal(struct quern_proc *p, int sig)
{
	if (p != NULL && p->p_ops != NULL && p->p_ops->po_signal != NULL)
		p->p_ops->po_signal(p, sig);
}

/* Would a signal to it, sent now by its current thread, do nothing? */
static inline bool
qproc_ignores(struct quern_proc *p, int sig)
{
	if (p->p_ops == NULL || p->p_ops->po_sigstate == NULL)
		return true;
	return p->p_ops->po_sigstate(p, sig);
}

/* Does it lead its session? */
static inline bool
qproc_is_leader(const struct quern_proc *p)
{
	return __atomic_load_n(&p->p_sid, __ATOMIC_RELAXED) == p->p_pid;
}

/*
 * Copy its credentials; the copy owns a reference to the groups, which
 * qcred_drop gives back.  Takes p_lock: may sleep.
 */
void qproc_cred(struct quern_proc *p, struct qcred *c);
void qcred_drop(struct qcred *c);

/*
 * Its user and group ids and capabilities become what they are after exec of a
 * program that is set-user-ID `uid` and set-group-ID `gid` (UINT32_MAX: it is
 * not).  Takes p_lock.
 */
void qproc_exec_cred(struct quern_proc *p, uint32_t uid, uint32_t gid);

/*
 * Have sysinfo(2) call `fn`, which adds what the kernel does not know by itself.
 * NULL: nobody, for a component's fini.
 */
void qsysinfo_hook(struct quern *k,
    void (*fn)(void *arg, struct q_sysinfo *info), void *arg);

/*
 * Make a process, in the kernel.  `from`: whose fork it is, or NULL for one as
 * quern_proc_create makes.  `ops` may be NULL; `data` is p_data.  -ENOMEM, -EAGAIN.
 */
int qproc_create(struct quern *k, struct quern_proc *from,
    const struct qproc_ops *ops, uint32_t flags, void *data,
    struct quern_proc **pp) QMUSTCHECK;

/*
 * Close its descriptors and end what components have of it, but keep its number
 * and what its parent may ask for, until qproc_destroy.  It makes no more calls.
 * Sleeps.
 */
void qproc_exit(struct quern_proc *p);

/*
 * A number for a thread that nothing has yet; 0: there is none.  Takes the lock
 * of the processes.
 */
uint32_t qproc_tid(struct quern *k);

/*
 * End it, in the kernel.  -EBUSY: another thread is in a call of its; nothing
 * has happened.
 */
int qproc_destroy(struct quern_proc *p) QMUSTCHECK;

/*
 * For a component's init: which of p_part is its own, from here on.  -ENOSPC.
 */
int qproc_part_add(struct quern *k, const struct qproc_part *part) QMUSTCHECK;

/*
 * The process with that pid, or NULL.  Caller holds k_proc_lock by
 * qproc_lock_all.
 */
struct quern_proc *qproc_find(struct quern *k, uint32_t pid);

/*
 * The process after `p` in the list, the first if that is NULL; NULL at the end.
 * Caller holds k_proc_lock.
 */
struct quern_proc *qproc_next(struct quern *k, const struct quern_proc *p);

/*
 * Send `sig` to all processes of a group, those that have exited aside: how
 * many.  Takes k_proc_lock; qpgrp_signal_locked is for who holds it.
 */
unsigned qpgrp_signal(struct quern *k, uint32_t pgid, int sig);
unsigned qpgrp_signal_locked(struct quern *k, uint32_t pgid, int sig);

/*
 * Is the group orphaned: has no process of it a parent in another group of the
 * same session?  Then nobody would continue what a terminal stops.  Caller holds
 * k_proc_lock.
 */
bool qpgrp_orphaned(struct quern *k, uint32_t pgid);

/* Keep the list of processes, their groups and sessions as they are. */
void qproc_lock_all(struct quern *k);

/* The end of that. */
void qproc_unlock_all(struct quern *k);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_PROC_H */
