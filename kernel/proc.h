/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Processes: who a call is made for.
 */
#ifndef QUERN_PROC_H
#define QUERN_PROC_H

#include <quern/list.h>
#include <quern/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qfdtable;

/* The most supplementary groups of a process. */
#define QNGROUPS 32u

/* Credentials; a process's own copy, changed under p_lock. */
struct qcred {
	uint32_t c_uid, c_euid, c_suid, c_fsuid;
	uint32_t c_gid, c_egid, c_sgid, c_fsgid;
	uint32_t c_ngroups;
	uint32_t c_groups[QNGROUPS];
	uint64_t c_cap_eff, c_cap_perm, c_cap_inh;
};

/*
 * A process.  The embedder's client, or a guest's process.
 * [I] immutable, [a] atomic, [p] k_proc_lock, [l] p_lock.
 */
struct quern_proc {
	struct quern *p_k;     /* [I] */
	uint32_t p_cpu;        /* [a] vCPU it ran on last */
	uint32_t p_intr;       /* [a] interrupted and has not noticed */
	uint32_t p_pid;        /* [I] */
	uint32_t p_ppid;       /* [p] */
	uint32_t p_pgid, p_sid; /* [p] */
	struct qlist p_link;   /* [p] k_procs */
	struct qmutex p_lock;
	struct qcred p_cred;   /* [l] */
	uint32_t p_umask;      /* [a] */
	struct qfdtable *p_fd; /* [I] */
	char p_comm[16];       /* [l] */
};

/* The process that the current thread serves, or NULL. */
static inline struct quern_proc *
qproc_current(void)
{
	return qthread_current()->t_proc;
}

#ifdef __cplusplus
}
#endif

#endif /* QUERN_PROC_H */
