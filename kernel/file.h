/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Open files and descriptors.
 *
 * A struct qfile is what open(2) makes: a reference to some object, with status
 * flags and a position.  What it is a file of is told by its operations, which
 * VFS, sockets, pipes and so on implement.  Descriptors refer to it; so do
 * forks' descriptors, messages in flight, and calls in progress.
 *
 * To make a file of a new type:
 *
 *	qfile_create(k, &my_ops, object, O_RDWR | ..., QF_..., &f)
 *	qfd_install(p, f, O_CLOEXEC or 0)	-> the descriptor
 *
 * The file owns a reference to the object from then on, and fo_release gives
 * it back.  A caller finds it again by qfd_get, f_ops and f_obj.
 *
 * A socket, for example: fo_read and fo_write are recv and send without flags
 * (QUIO_NOWAIT and O_NONBLOCK both mean not to wait, qfile_nowait), fo_poll
 * hangs the poller on the socket's one queue and looks; the input path calls
 * qpollq_wake(POLLIN | POLLRDNORM) when data arrive, and so on; fo_release
 * closes.  Its own calls, sendmsg and the others, look the file up by qfd_get
 * and refuse it with -ENOTSOCK if f_ops isn't theirs; accept makes a file.
 * The position and QF_PREAD, QF_PWRITE, QF_SEEK are not for sockets.
 */
#ifndef QUERN_FILE_H
#define QUERN_FILE_H

#include <quern/abi/fcntl.h>
#include <quern/abi/stat.h>
#include <quern/lock.h>
#include <quern/poll.h>
#include <quern/syscall.h>
#include <quern/uspace.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qfdtable;
struct qmmap;
struct qpipe;

/* f_mode: what it can do. */
#define QF_READ   1u
#define QF_WRITE  2u
#define QF_SEEK   4u   /* has a position: f_off is used */
#define QF_PREAD  8u   /* pread, preadv */
#define QF_PWRITE 16u  /* pwrite, pwritev */
#define QF_NOWAIT 32u  /* QUIO_NOWAIT is understood */
#define QF_PATH   64u  /* O_PATH: only names something */
#define QF_DIRECT 128u /* O_DIRECT may be set by fcntl */
#define QF_SPLICE 256u /* splice reads it, though it has no positions */

/* Status flags that F_SETFL changes. */
#define QF_SETFL \
	(Q_O_APPEND | Q_O_NONBLOCK | Q_O_DIRECT | Q_O_NOATIME | Q_FASYNC)

/* An open file.  Its memory remains one for good: see file.c. */
struct qfile {
	uint32_t f_refs;  /* [a] 0: free, or being released */
	uint32_t f_flags; /* [a] O_*, without O_CLOEXEC */
	uint32_t f_mode;  /* [I] QF_* */
	bool f_smp;       /* [I] references are counted by atomics */
	bool f_polled;    /* [e] has been in an epoll set */
	const struct qfile_ops *f_ops; /* [I] */
	void *f_obj;                   /* [I] the type's */
	struct quern *f_k;             /* [I] */
	int64_t f_off;                 /* [o] f_offlock */
	struct qmutex f_offlock;
	struct qspin f_eplock;
	struct qlist f_epoll; /* [e] f_eplock: the epoll items that watch it */
};

/*
 * What a type of file implements.  A NULL is what the comment says.  All run
 * with a reference held, on a kernel stack, and may sleep.
 */
struct qfile_ops {
	const char *fo_name; /* "pipe", for messages */

	/*
	 * Read to, write from `u`: bytes done, 0 at the end, or -errno when
	 * none were.  `u->u_off` is the position, for QF_SEEK, QF_PREAD and
	 * QF_PWRITE files; the caller keeps it.  fo_write of an O_APPEND file
	 * stores where it wrote to there.  f_mode has been checked.  NULL:
	 * -EINVAL.
	 */
	int64_t (*fo_read)(struct qfile *f, struct quio *u);
	int64_t (*fo_write)(struct qfile *f, struct quio *u);

	/*
	 * What is ready now, Q_POLL*.  First qpollq_add(queue of the object, e,
	 * ...) (`e` may be NULL), once.  Called with the locks of poll or epoll
	 * held, of mutexes only, and perhaps with no reference left, but before
	 * fo_release: it takes none.  NULL: always readable and writable.
	 */
	uint32_t (*fo_poll)(struct qfile *f, struct qpollent *e);

	/* ioctl but for FIONBIO, FIOCLEX, FIONCLEX.  NULL: -ENOTTY. */
	int64_t (*fo_ioctl)(struct qfile *f, struct qsys *s, uint32_t cmd,
	    uint64_t arg);

	/* fcntl commands that file.c does not know.  NULL: -EINVAL. */
	int64_t (
	    *fo_fcntl)(struct qfile *f, struct qsys *s, int cmd, uint64_t arg);

	/* New position by `whence`, checked; stores it.  [o].  NULL: -ESPIPE */
	int64_t (*fo_seek)(struct qfile *f, int64_t off, int whence);

	/* Status flags are about to become `flags`; refuses.  NULL: 0. */
	int (*fo_setfl)(struct qfile *f, uint32_t flags);

	/* Attributes; `st` is zeroed.  NULL: those of an anonymous file. */
	int (*fo_stat)(struct qfile *f, struct q_stat *st);

	/*
	 * It is to be mapped: answer with the object that has the pages, and a
	 * reference to it (pager.h).  That the file is open for what mm_prot and
	 * mm_flags ask has been checked.  -EPERM, -EACCES, -ENOMEM.  NULL:
	 * -ENODEV.
	 */
	int (*fo_mmap)(struct qfile *f, struct qmmap *mm);

	/* The pipe that it is an end of, for splice.  NULL: none. */
	struct qpipe *(*fo_pipe)(const struct qfile *f);

	/*
	 * A descriptor in that table, which POSIX locks belong to, was closed.
	 * Result of close(2).  NULL: 0.
	 */
	int (*fo_flush)(struct qfile *f, const struct qfdtable *t);

	/* The last reference is gone: let go of f_obj.  NULL: nothing. */
	void (*fo_release)(struct qfile *f);
};

/*
 * Make a file with one reference, the caller's.  `flags` O_*, `mode` QF_*
 * besides QF_READ and QF_WRITE, which follow from flags.  `obj` is the file's
 * on success.  -ENFILE, -ENOMEM.
 */
int qfile_create(struct quern *k, const struct qfile_ops *ops, void *obj,
    uint32_t flags, uint32_t mode, struct qfile **fp) QMUSTCHECK;

/* The last reference is gone: release. */
void qfile_release(struct qfile *f);

/* Take another reference to a file of which one is held. */
static inline void
qfile_get(struct qfile *f)
{
	if (f->f_smp)
		__atomic_fetch_add(&f->f_refs, 1, __ATOMIC_RELAXED);
	else
		f->f_refs++;
}

/*
 * Drop a reference; the last one releases the file, which may sleep.  Not
 * under a lock that fo_release takes.
 */
static inline void
qfile_put(struct qfile *f)
{
	if (f->f_smp) {
		if (__atomic_sub_fetch(&f->f_refs, 1, __ATOMIC_ACQ_REL) != 0)
			return;
	} else if (--f->f_refs != 0) {
		return;
	}
	qfile_release(f);
}

/* Is a call on it not to wait? */
static inline bool
qfile_nowait(const struct qfile *f, const struct quio *u)
{
	return (__atomic_load_n(&f->f_flags, __ATOMIC_RELAXED) &
		   Q_O_NONBLOCK) != 0 ||
	    (u->u_flags & QUIO_NOWAIT) != 0;
}

/*
 * Copy up to `len` bytes from `in` at *inoff to `out` at *outoff, or (NULL) its
 * own position; both move.  Bytes, fewer at the end of `in` and when interrupted,
 * or -errno.  May sleep.
 */
int64_t qfile_copy(struct qfile *in, int64_t *inoff, struct qfile *out,
    int64_t *outoff, size_t len) QMUSTCHECK;

/* fo_seek of a file without a position for which lseek is no error. */
int64_t qfile_seek_nowhere(struct qfile *f, int64_t off, int whence);

/*
 * A number that no other object without a name has: its st_ino, and what /proc
 * calls it by.
 */
uint64_t qfile_serial(struct quern *k);

/* What is ready, as fo_poll. */
static inline uint32_t
qfile_poll(struct qfile *f, struct qpollent *e)
{
	if (f->f_ops->fo_poll != NULL)
		return f->f_ops->fo_poll(f, e);
	return Q_POLLIN | Q_POLLOUT | Q_POLLRDNORM | Q_POLLWRNORM;
}

/* ---- descriptors --------------------------------------------------------- */

/*
 * The file of descriptor `fd` of `p` with a reference, or NULL: -EBADF.  A file
 * opened by O_PATH is no file for most calls, and only qfd_get_path gives it.
 */
struct qfile *qfd_get(struct quern_proc *p, int fd);
struct qfile *qfd_get_path(struct quern_proc *p, int fd);

/*
 * Reserve the lowest free descriptor from `from` up; it stays closed to all
 * until qfd_commit gives it a file (with the caller's reference) or qfd_cancel
 * makes it free again.  `flags`: O_CLOEXEC.  -EMFILE, -ENOMEM.
 */
int qfd_reserve(struct quern_proc *p, uint32_t from, uint32_t flags);
void qfd_commit(struct quern_proc *p, int fd, struct qfile *f);
void qfd_cancel(struct quern_proc *p, int fd);

/*
 * Give `f` the lowest free descriptor, which it returns and which owns the
 * caller's reference then.  `flags`: O_CLOEXEC.  -EMFILE, -ENOMEM: the
 * reference has been dropped.
 */
int qfd_install(struct quern_proc *p, struct qfile *f, uint32_t flags);

/* Close a descriptor.  What fo_flush answers, -EBADF. */
int qfd_close(struct quern_proc *p, int fd);

/* The least descriptor from `from` on that is open, or -EBADF. */
int qfd_from(struct quern_proc *p, int from);

/* Is it marked close-on-exec?  1, 0, -EBADF. */
int qfd_cloexec(struct quern_proc *p, int fd);

/* Make an empty table with one reference.  -ENOMEM. */
int qfdtable_create(struct quern *k, struct qfdtable **tp) QMUSTCHECK;

/* Make a copy of the table of `p`, which refers to the same files.  -ENOMEM. */
int qfdtable_copy(struct quern_proc *p, struct qfdtable **tp) QMUSTCHECK;

/* The table of `p` with another reference: two processes with one table. */
struct qfdtable *qfdtable_share(struct quern_proc *p);

/* Take another reference; the caller has one. */
void qfdtable_get(struct qfdtable *t);

/* Drop a reference; the last one closes everything.  May sleep. */
void qfdtable_put(struct qfdtable *t);

/* Have a table of its own, a copy if it was shared.  -EMFILE, -ENOMEM. */
int qfdtable_unshare(struct quern_proc *p) QMUSTCHECK;

/* Close what is marked close-on-exec. */
void qfdtable_exec(struct quern_proc *p);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_FILE_H */
