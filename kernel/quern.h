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

	/*
	 * The least important lines that are logged, enum quern_log_level; 0:
	 * QUERN_LOG_INFO; negative: only why the kernel died.
	 */
	int log_level;

	/* Trace of system calls: log a line a call, as strace does ... */
	int trace_calls;

	/*
	 * ... of these only: names separated by commas, "unknown" for calls
	 * that are not there; after a '!', of all but these.  NULL, "": of all.
	 * Without a name for it quern_create fails with -EINVAL.
	 */
	const char *trace_only;

	/* Trace from the start: quern_trace_start's `events`.  0: no. */
	unsigned trace_events;

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

/*
 * Counters; exact while nothing else runs.  Waits for a vCPU; of a dead kernel
 * all but st_inuse.  -EFAULT.
 */
int quern_stats(struct quern *k, struct quern_stats *st);

/* What the kernel's heap holds for one purpose. */
struct quern_alloc_stat {
	const char *as_name;
	uint64_t as_objects, as_bytes;
};

/* How threads have waited for the locks of one name. */
struct quern_lock_stat {
	const char *ls_name;
	uint64_t ls_waits;    /* times it was not free */
	uint64_t ls_sleeps;   /* times a waiter slept rather than spun */
	uint64_t ls_total_ns; /* waited by all together */
	uint64_t ls_max_ns;   /* the longest wait */
};

/*
 * Call fn(arg, stat) for each purpose in use, the most bytes first (32 of them;
 * the last stands for the rest).  Waits for a vCPU, and nothing else happens
 * on that meanwhile; exact while nothing else runs.  -EFAULT,
 * -ENOTRECOVERABLE.
 */
int quern_alloc_stats(struct quern *k,
    void (*fn)(void *arg, const struct quern_alloc_stat *), void *arg);

/*
 * Call fn(arg, stat) for the locks that somebody has waited for, the longest
 * total first.  Mutexes and rwlocks; spin locks have no names.  -EFAULT.
 */
int quern_lock_stats(struct quern *k,
    void (*fn)(void *arg, const struct quern_lock_stat *), void *arg);

/* Log lines up to this level from now on, as log_level in the config. */
void quern_log_level(struct quern *k, int level);

/*
 * Record what happens in the kernel: switches, wake-ups, calls, waits, I/O.
 * Each vCPU keeps its last `events` records of 64 bytes (0: 16,384; rounded up
 * to a power of two; the first start decides for good).  What an earlier start
 * recorded is forgotten.  Not by two threads at once.  -ENOMEM, -EINVAL (more
 * than 2^24), -EFAULT, -EOPNOTSUPP (built with TRACE=no).
 */
int quern_trace_start(struct quern *k, unsigned events)
    __attribute__((warn_unused_result));

/* Stop recording; what has been recorded stays. */
void quern_trace_stop(struct quern *k);

/*
 * Write what `n` kernels have recorded, through write(arg, p, len), as the JSON
 * that Perfetto (ui.perfetto.dev) and chrome://tracing show.  At any time before
 * they are destroyed, also of a dead kernel; records that are overwritten
 * meanwhile are left out.  write answers 0, or a negative error, which ends it
 * and is the result.  -EFAULT, -ENOMEM.
 */
int quern_trace_write(struct quern *const *ks, unsigned n,
    int (*write)(void *arg, const void *p, size_t len), void *arg);

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

/*
 * As quern_proc_fork, but descriptors are shared from then on: what either opens
 * or closes, both do.  With quern_proc_cred, one for each thread of a server that
 * acts for many users.  To name files by handle there are
 * quern_name_to_handle_at and quern_open_by_handle_at.
 */
int quern_proc_share(struct quern_proc *from, struct quern_proc **pp)
    __attribute__((warn_unused_result));

/* Who a process acts for. */
struct quern_cred {
	uint32_t uid, gid;
	const uint32_t *groups; /* supplementary ones, in any order */
	uint32_t ngroups;       /* at most 65,536 */
};

/*
 * Have the process's calls be made by that user from now on, with all
 * capabilities if it is 0 and none otherwise, whoever it was before.  Must not
 * be in a call.  -EINVAL (an id of -1, too many groups), -ENOMEM.
 */
int quern_proc_cred(struct quern_proc *p, const struct quern_cred *cred)
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

/*
 * ---- disks ---------------------------------------------------------------
 *
 * A disk takes requests for whole sectors.  Each has a name, one in the kernel,
 * by which a file system finds it.  Disks are closed before the kernel is
 * destroyed; what is open then counts as left behind.  In a dead kernel every
 * call gives -ENOTRECOVERABLE.
 */
struct qdisk;

/* Flags of quern_disk_options and of quern_disk_memory. */
#define QUERN_DISK_RDONLY 1u /* writes get -EROFS */
#define QUERN_DISK_DIRECT 2u /* past the host's cache */
#define QUERN_DISK_COW    4u /* writes go to memory and vanish at the end */

/* What quern_disk_open is told.  All zero is the default. */
struct quern_disk_options {
	unsigned do_flags;   /* QUERN_DISK_* */
	unsigned do_part;    /* this partition of it; 0: all of it */
	const char *do_name; /* its name here; NULL: the host's */
	/*
	 * The host's name of a disk to which writes go instead, the "side file"
	 * (for QUERN_DISK_COW, which it implies).  One whose first 512 bytes are
	 * zeroes is a new one; others go on from where they were left.
	 */
	const char *do_side;
};

/*
 * Open the disk that the host knows as `hostname`: "file:PATH", "sim:NAME",
 * "nbd://HOST[:PORT]/EXPORT", "nbd+unix:///EXPORT?socket=PATH" (the README of
 * each host says what it has).  `opt` may be NULL.  On success *dp is the
 * caller's until quern_disk_close.  With one of the copy-on-write options the
 * disk itself is opened read-only.
 *
 * -ENOENT (also: no such partition), -EACCES, -EBUSY (in use by another),
 * -EINVAL (flags; a name over 200 bytes), -EEXIST (the name is taken here),
 * -EPROTONOSUPPORT (the host does not know that kind), -EUCLEAN (damaged: the
 * partition table, or the side file), -ESTALE (the side file belongs to another
 * disk), -ENOSPC (the side file is smaller than quern_disk_side_size says),
 * -EFAULT, -ENOMEM, -EIO and others of the host's.  The log says more.
 */
int quern_disk_open(struct quern *k, const char *hostname,
    const struct quern_disk_options *opt, struct qdisk **dp)
    __attribute__((warn_unused_result));

/*
 * How many bytes the side file of a disk of `size` bytes must have; a sparse
 * file will do.  `sector` is that of the side file, 512 for a file.
 */
uint64_t quern_disk_side_size(uint64_t size, uint32_t sector);

/* A disk of `size` zeroed bytes in the kernel's heap.  As quern_disk_memory. */
int quern_disk_ram(struct quern *k, const char *name, uint64_t size,
    struct qdisk **dp) __attribute__((warn_unused_result));

/*
 * A disk that is `buf`, `len` bytes of the caller's, which stay until it is
 * closed.  `flags`: QUERN_DISK_RDONLY.  -EINVAL (length: whole sectors of 512),
 * -EEXIST (name), -EFAULT, -ENOMEM.
 */
int quern_disk_memory(struct quern *k, const char *name, void *buf, size_t len,
    unsigned flags, struct qdisk **dp) __attribute__((warn_unused_result));

/*
 * What a disk of callbacks does, each 0 or -errno.  They run inside the kernel,
 * on a stack of 64 KiB, on any host thread that is in it, several at once if it
 * has several vCPUs; they return without waiting and do not call this kernel.
 * NULL: -EOPNOTSUPP, but dc_write NULL is a read-only disk, dc_flush NULL one
 * without a cache; dc_read is needed.
 */
struct quern_disk_callbacks {
	int (*dc_read)(void *arg, uint64_t off, void *buf, size_t len);
	int (*dc_write)(void *arg, uint64_t off, const void *buf, size_t len);
	int (*dc_flush)(void *arg);
	int (*dc_discard)(void *arg, uint64_t off, uint64_t len);
	void (*dc_release)(void *arg); /* it is closed */
};

/*
 * A disk made of callbacks; `cb` and `arg` are kept until dc_release.  Errors
 * as of quern_disk_memory.
 */
int quern_disk_callback(struct quern *k, const char *name, uint64_t size,
    uint32_t sector, const struct quern_disk_callbacks *cb, void *arg,
    struct qdisk **dp) __attribute__((warn_unused_result));

/*
 * Close it, with what it stands on; nothing is flushed but the list of blocks
 * in a side file.  -EBUSY: something in the kernel uses it, or a call is in
 * progress; nothing has happened.
 */
int quern_disk_close(struct qdisk *d) __attribute__((warn_unused_result));

struct quern_disk_info {
	uint64_t di_size;    /* bytes */
	uint64_t di_errors;  /* requests that failed so far */
	uint32_t di_sector;  /* smallest unit, 512 .. 4096 */
	uint32_t di_discard; /* granularity in bytes; 0: no discard */
	unsigned di_flags;   /* QUERN_DISK_RDONLY */
};

/*
 * Say what it is like.  This looks at the host's disk again: one that has become
 * larger or smaller since shows its new size, here and for all requests from
 * here on.
 */
int quern_disk_info(struct qdisk *d, struct quern_disk_info *di);

/*
 * quern_disk_read, quern_disk_write, quern_disk_flush, quern_disk_discard and
 * quern_disk_zero do it and wait until it is done.  Offsets and lengths are bytes, multiples
 * of the sector; any length.  A flush makes stable what was written before it;
 * a discard says that the contents don't matter any more.  0, or -EINVAL
 * (alignment, beyond the end), -EROFS, -EOPNOTSUPP (discard), -EFAULT, -ENOMEM,
 * -EIO and others of the host's: it is not known then how much has been done.
 */
int quern_disk_read(struct qdisk *d, uint64_t off, void *buf, size_t len)
    __attribute__((warn_unused_result));
int quern_disk_write(struct qdisk *d, uint64_t off, const void *buf, size_t len)
    __attribute__((warn_unused_result));
int quern_disk_flush(struct qdisk *d) __attribute__((warn_unused_result));
int quern_disk_discard(struct qdisk *d, uint64_t off, uint64_t len)
    __attribute__((warn_unused_result));
int quern_disk_zero(struct qdisk *d, uint64_t off, uint64_t len)
    __attribute__((warn_unused_result));

struct quern_disk_part {
	unsigned pt_number; /* as Linux counts them, from 1 */
	uint64_t pt_off;    /* bytes */
	uint64_t pt_len;
	uint8_t pt_type;     /* MBR: type byte */
	uint8_t pt_guid[16]; /* GPT: type, as on disk */
	char pt_label[37];   /* GPT: name, ASCII of it */
};

/*
 * Read its partition table (MBR or GPT) and fill in the first `n` partitions.
 * How many there are (0: none, or no table), or -EUCLEAN (damaged, the log says
 * how), -EFAULT, -ENOMEM, -EIO and others of the disk's.
 */
int quern_disk_parts(struct qdisk *d, struct quern_disk_part *parts, unsigned n)
    __attribute__((warn_unused_result));

#include <quern/calls.h>

#ifdef __cplusplus
}
#endif

#endif /* QUERN_QUERN_H */
