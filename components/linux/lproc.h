/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looking at guests' processes, for who shows them to others.
 *
 * Processes come and go at any time.  One is known by its number and its serial,
 * which no other process or thread ever has; what is asked of one that has gone
 * is answered by -ESRCH.  In the kernel.
 */
#ifndef QUERN_LPROC_H
#define QUERN_LPROC_H

#include <quern/proc.h>
#include <quern/vfs.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What oom_score_adj may be. */
#define QLPROC_OOM_MIN (-1000)
#define QLPROC_OOM_MAX 1000

/* What there is to know of a process, or of one of its threads. */
struct qlproc_info {
	uint32_t li_pid, li_tid;
	uint64_t li_serial;
	uint32_t li_ppid, li_pgid, li_sid;
	char li_state; /* R, S, T, Z */
	char li_comm[16];
	uint32_t li_nthread;
	uint32_t li_nsig; /* queued signals of its user */
	uint32_t li_exitsig;
	int32_t li_nice;
	uint32_t li_cpu;
	bool li_dumpable, li_nonewprivs;
	uint64_t li_user_ns, li_sys_ns;   /* the process's, or the thread's */
	uint64_t li_cuser_ns, li_csys_ns; /* of children that were waited for */
	uint64_t li_minflt, li_majflt, li_cminflt, li_cmajflt;
	uint64_t li_nvcsw, li_nivcsw;
	uint64_t li_started; /* monotonic, ns */
	uint64_t li_pending, li_shared, li_blocked, li_ignored, li_caught;
	/* Where arguments, environment and auxiliary vector begin and end. */
	uint64_t li_args[6];
	int32_t li_oomadj;
	int li_status; /* of a zombie, as of wait */
};

/*
 * Find process `pid`, or (0: the whole process) its thread `tid`, if it is the one
 * with that serial (0: any).  *pp (NULL: not wanted) is the process, which stays
 * in memory, though it may end, until qlproc_put.  -ESRCH.
 */
int qlproc_look(struct quern *k, uint32_t pid, uint32_t tid, uint64_t serial,
    struct qlproc_info *li, struct quern_proc **pp) QMUSTCHECK;

/* Drop that reference.  Sleeps. */
void qlproc_put(struct quern_proc *p);

/* The least number of a process that is `pid` or above, or 0. */
uint32_t qlproc_from(struct quern *k, uint32_t pid);

/* Likewise of a thread of process `pid`. */
uint32_t qlproc_tid_from(struct quern *k, uint32_t pid, uint32_t tid);

/*
 * Processes, threads and threads that could run, and the number of the newest
 * process.
 */
void qlproc_count(struct quern *k, uint32_t *procs, uint32_t *threads,
    uint32_t *running, uint32_t *lastpid);

/*
 * What all processes have run, in ns, those included that were waited for, in
 * guest code and in the kernel.
 */
void qlproc_busy(struct quern *k, uint64_t *user, uint64_t *sys);

/* The load averages of 1, 5 and 15 minutes, times QLPROC_LOAD. */
void qlproc_load(struct quern *k, uint64_t load[3]);
#define QLPROC_LOAD UINT64_C(2048)

/* May `self` look into it, as ptrace(2) says for reading?  -EACCES. */
int qlproc_may_look(struct quern_proc *self, struct quern_proc *p) QMUSTCHECK;

/*
 * What a held process uses, with references.  -ESRCH: it has ended; qlproc_exe
 * -ENOENT: it has no program; qlproc_file -ENOENT: the descriptor is closed.
 */
int qlproc_exe(struct quern_proc *p, struct qpath *out) QMUSTCHECK;
/* Its working directory. */
int qlproc_cwd(struct quern_proc *p, struct qpath *out) QMUSTCHECK;
/* Its root directory. */
int qlproc_root(struct quern_proc *p, struct qpath *out) QMUSTCHECK;
/* The file of a descriptor. */
int qlproc_file(struct quern_proc *p, int fd, struct qfile **fp) QMUSTCHECK;

/* The least descriptor from `fd` on that is open, or -EBADF, -ESRCH. */
int qlproc_fd_from(struct quern_proc *p, int fd) QMUSTCHECK;

/* Is the descriptor marked close-on-exec? */
bool qlproc_cloexec(struct quern_proc *p, int fd);

/* Have it be chosen sooner or later when memory is out.  -EINVAL. */
int qlproc_set_oomadj(struct quern_proc *p, int adj) QMUSTCHECK;

/* Give thread `tid` of a held process a name, cut to 15 bytes.  -ESRCH. */
int qlproc_set_comm(struct quern_proc *p, uint32_t tid, const char *name,
    size_t len) QMUSTCHECK;

#ifdef __cplusplus
}
#endif

#endif /* QUERN_LPROC_H */
