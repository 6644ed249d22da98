/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Quern for programs: make a kernel, be processes of it, destroy it.
 *
 *	struct quern_config cfg = { .host = quern_posix() };
 *	quern_create(&cfg, &k);
 *	quern_proc_create(k, &p);
 *	... quern_pipe2(p, fd, 0), quern_write(p, ...), ...: <quern/calls.h> ...
 *	quern_destroy(k);
 *
 * Functions return >= 0 or a negative Linux errno (<quern/abi/errno.h>).
 * Nothing is global: any number of kernels may exist at once, used from any
 * host threads.  A host thread that calls in runs the kernel itself.  The
 * library installs no signal handlers; its own threads block all signals.
 * A forked child must not use its parent's kernels.
 */
#ifndef QUERN_QUERN_H
#define QUERN_QUERN_H

#include <stddef.h>
#include <stdint.h>

#include <quern/hypercall.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quern;
struct quern_proc;
struct quern_component;

/*
 * What quern_create is told.  All zero but `host` is the default.  Borrowed
 * during the call, except what a member's comment says is kept.
 */
struct quern_config {
	struct quern_host host; /* quern_posix(), quern_sim_host(), ... */

	size_t ram;       /* bytes, a multiple of 4096; 0: 64 MiB */
	unsigned ncpu;    /* virtual CPUs; 0: 1 */
	unsigned runners; /* host threads that do background work; <= ncpu */
	const int *pin;   /* `runners` host CPUs, or NULL: not pinned */

	/* Components to start, ended by NULL, in any order; kept. */
	const struct quern_component *const *components;

	const char *name; /* for messages; NULL: "quern"; copied */

	/* Receives every log line instead of the host, with a 0 behind. */
	void (*log)(void *arg, int level, const char *line);

	/* Told of a panic, on the panicking thread, in the kernel: no calls. */
	void (*panic)(void *arg, const char *message);

	void *arg; /* for log and panic */

	/* Trace of system calls: log a line a call, as strace does. */
	int trace_calls;

	/* Tests: fail the n-th allocation from the start (0: none). */
	uint64_t fail_alloc;
};

/* What quern_stats fills in. */
struct quern_stats {
	uint64_t st_allocs;    /* allocations tried, if fail_alloc is set */
	uint64_t st_inuse;     /* bytes allocated from the kernel's heap */
	uint64_t st_ram_total; /* pages of RAM */
	uint64_t st_ram_free;
	uint64_t st_switches; /* thread switches */
	uint64_t st_steals;
	uint64_t st_threads; /* stacks in existence */
};

/*
 * Make a kernel and start its components.  On success *kp is the caller's
 * until quern_destroy; on failure nothing is left.  -EINVAL (a member is out of
 * range: the log names it), -ENOMEM, -ENOENT (a component needs another that
 * is not listed), -ELOOP (components need each other), -EEXIST (one is listed
 * twice), or what a component's init or the host answered.
 */
int quern_create(const struct quern_config *cfg, struct quern **kp)
    __attribute__((warn_unused_result));

/*
 * End a kernel: processes are ended, components stop in reverse order, memory
 * goes, and what they left behind is logged by tag.  -EBUSY: a thread is
 * inside; nothing has happened.  As with free(3), no thread may call in any
 * more: one that is just coming or going need not be noticed.  quern_destroy_count besides stores the number
 * of objects left behind in `leaks`, if that is not NULL.
 */
int quern_destroy(struct quern *k);
int quern_destroy_count(struct quern *k, uint64_t *leaks);

/*
 * Run the kernel's own threads, timers and completions on the calling host
 * thread until there is nothing to do, having waited up to `timeout_ns` for
 * something (0: not at all, QUERN_NEVER: for ever).  A timeout also ends it when
 * there is always something.  1: something ran; 0: nothing did.
 * -ENOTRECOVERABLE.
 */
int quern_poll(struct quern *k, uint64_t timeout_ns);

/*
 * A host file descriptor, the kernel's, that is readable when quern_poll has
 * something to do.  -EOPNOTSUPP: the host has no such thing.
 */
int quern_pollfd(struct quern *k);

/* Counters; exact while nothing else runs.  -EFAULT. */
int quern_stats(struct quern *k, struct quern_stats *st);

/* Kill the kernel as if it had panicked with `message`. */
void quern_kill(struct quern *k, const char *message);

/*
 * Become a process of `k`: root's credentials, no descriptors, umask 022.
 * Several host threads may use it at once.  Owned by the caller until
 * quern_proc_destroy or the kernel's end.  -ENOMEM, -EAGAIN (too many).
 */
int quern_proc_create(struct quern *k, struct quern_proc **pp)
    __attribute__((warn_unused_result));

/* As fork(2) does: credentials, umask and descriptors of `from`, shared files.
 */
int quern_proc_fork(struct quern_proc *from, struct quern_proc **pp)
    __attribute__((warn_unused_result));

/* End a process: its descriptors are closed.  -EBUSY: a call is in progress. */
int quern_proc_destroy(struct quern_proc *p);

/* The kernel that a process belongs to. */
struct quern *quern_proc_kernel(struct quern_proc *p);

/*
 * Have the blocking call of `p` that is in progress return -EINTR, every one
 * if there are several; if there is none, the next that would block.
 * Async-signal-safe; any thread.
 */
void quern_interrupt(struct quern_proc *p);

/*
 * Make a system call by its Linux x86-64 number with up to six arguments.
 * -ENOSYS: no component of this kernel implements it.
 */
int64_t quern_syscall(struct quern_proc *p, unsigned nr,
    const uint64_t args[6]);

/* Name of a system call, or NULL. */
const char *quern_syscall_name(unsigned nr);

#include <quern/calls.h>

#ifdef __cplusplus
}
#endif

#endif /* QUERN_QUERN_H */
