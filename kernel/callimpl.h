/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the system calls share.  Never leaves the directory.
 *
 * Lock letters besides those of impl.h: [f] ct_file_lock, [e] ct_ep_lock.
 */
#ifndef QUERN_KERNEL_CALLIMPL_H
#define QUERN_KERNEL_CALLIMPL_H

#include <quern/file.h>
#include <quern/proc.h>
#include <quern/slab.h>
#include <quern/syscall.h>
#include <quern/timespec.h>

#include "impl.h"

/* The most open files and processes of one kernel. */
#define FILE_MAX 1048576u
#define PID_MAX  32768u

struct qsys_table {
	const struct qsys_handler *ct_call[QSYS_MAX]; /* [I] once it is up */
	uint32_t ct_missing[QSYS_MAX];                /* [a] */
	/* Of what trace_calls logs: these only, or all but these.  [I] */
	bool ct_listed[QSYS_MAX], ct_unknown, ct_except;

	/* file.c */
	struct qspin ct_file_lock;
	struct file_chunk *ct_file_chunks; /* [f] */
	struct qfile *ct_file_free;        /* [f] linked through f_obj */
	uint32_t ct_nfile;                 /* [f] that there is memory for */
	struct file_cache *ct_file_cache;  /* [I] a vCPU's each */

	/* epoll.c */
	struct qmutex ct_ep_lock; /* sets are being put into sets */
	uint64_t ct_ep_gen;       /* [e] */

	const struct qsockname_ops *ct_socknames; /* [I] once it is up */

	/* proc.c */
	uint32_t ct_nproc;   /* [a] changed under [p] */
	bool ct_pid_wrapped; /* [p] numbers are being used again */
	const struct qproc_part *ct_part[QPROC_NPART]; /* [I] once it is up */

	/* misccalls.c */
	void (*ct_sysinfo)(void *arg, struct q_sysinfo *); /* [a] or NULL */
	void *ct_sysinfo_arg;
};

/* ---- calltrace.c -------------------------------------------------------- */

/* Run the handler and log a line about it. */
int64_t trace_call(struct qsys *s);
/* Log a line about a call that isn't there. */
void trace_missing(struct quern_proc *p, unsigned nr, const uint64_t *args);

/* ---- file.c ------------------------------------------------------------- */

int files_init(struct quern *k) QMUSTCHECK;
/* Give the memory of files back. */
void files_fini(struct quern *k);

/* ---- fdtable.c ---------------------------------------------------------- */

/* What dup2 and dup3 do with checked arguments: `to`, -EBADF, -EBUSY, ... */
int fd_replace(struct quern_proc *p, int fd, int to, uint32_t flags);
/* FD_CLOEXEC of a descriptor; -EBADF. */
int fd_get_cloexec(struct quern_proc *p, int fd);
int fd_set_cloexec(struct quern_proc *p, int fd, bool on);
/* One more than the highest descriptor there is room for. */
uint32_t fd_size(struct quern_proc *p);
/* close_range, with checked arguments. */
int fd_close_range(struct quern_proc *p, uint32_t first, uint32_t last,
    uint32_t flags);

/* ---- proc.c ------------------------------------------------------------- */

/* It has begun a session: tell the components.  [p] */
void proc_has_session(struct quern_proc *p);

/* ---- idcalls.c ---------------------------------------------------------- */

/* Take on credentials, with the capabilities that go with the user. */
int proc_become(struct quern_proc *p, const struct quern_cred *cred);

/* ---- poll.c ------------------------------------------------------------- */

/* Set the signal mask that argument `i` points to until the call ends. */
int sigmask_in(const struct qsys *s, unsigned i, unsigned size_i);

#endif /* QUERN_KERNEL_CALLIMPL_H */
