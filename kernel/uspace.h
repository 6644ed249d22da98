/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * User memory: what the arguments of a system call point to.
 *
 * A handler is written once and serves local clients (their pointers are
 * ours), guests (their memory is reached through the kernel's mapping of RAM)
 * and remote clients (it came with the request or leaves with the reply).  The
 * three differ in their struct quspace_ops.  Whatever a handler reads it copies
 * once, and decides by its copy.
 */
#ifndef QUERN_USPACE_H
#define QUERN_USPACE_H

#include <quern/abi/errno.h>
#include <quern/abi/uio.h>
#include <quern/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An address in some client's memory. */
typedef uint64_t quaddr_t;

/* No address of a client's is at or above this. */
#define QUADDR_END UINT64_C(0x7ffffffff000)

struct quspace;

/*
 * How to reach one kind of user memory.  Each may sleep, and is called with no
 * spin lock held.
 */
struct quspace_ops {
	/* Copy `len` bytes at `src` to `dst`.  0 or -EFAULT. */
	int (*uo_in)(const struct quspace *us, void *dst, quaddr_t src,
	    size_t len);

	/* Copy `len` bytes to `dst`.  0 or -EFAULT, when some may be there. */
	int (*uo_out)(const struct quspace *us, quaddr_t dst, const void *src,
	    size_t len);

	/*
	 * Copy a string with its 0.  Its length, -EFAULT, or -ENAMETOOLONG when
	 * it has no 0 among the first `max` bytes.
	 */
	int64_t (*uo_str)(const struct quspace *us, char *dst, quaddr_t src,
	    size_t max);
};

/* Part of whatever has the state. */
struct quspace {
	const struct quspace_ops *us_ops;
};

/* The memory of a local client. */
extern const struct quspace quspace_local;

/* Could [p, p + len) be a client's?  Says nothing about what is mapped. */
static inline bool
quaddr_ok(quaddr_t p, size_t len)
{
	return len <= QUADDR_END && p <= QUADDR_END - len;
}

/*
 * Could something be there?  Nothing is in the first page, so that NULL and
 * members of a struct at NULL are -EFAULT rather than a crash.
 */
static inline bool
quaddr_maybe(quaddr_t p, size_t len)
{
	return p >= QUERN_PAGE_SIZE && quaddr_ok(p, len);
}

/* Copy `len` bytes from the client.  0 or -EFAULT.  May sleep. */
QMUSTCHECK static inline int
qcopyin(const struct quspace *us, void *dst, quaddr_t src, size_t len)
{
	if (qunlikely(us != &quspace_local))
		return us->us_ops->uo_in(us, dst, src, len);
	if (qunlikely(len != 0 && !quaddr_maybe(src, len)))
		return -Q_EFAULT;
	__builtin_memcpy(dst, (const void *)(uintptr_t)src, len);
	return 0;
}

/* Copy `len` bytes to the client.  0 or -EFAULT.  May sleep. */
QMUSTCHECK static inline int
qcopyout(const struct quspace *us, quaddr_t dst, const void *src, size_t len)
{
	if (qunlikely(us != &quspace_local))
		return us->us_ops->uo_out(us, dst, src, len);
	if (qunlikely(len != 0 && !quaddr_maybe(dst, len)))
		return -Q_EFAULT;
	__builtin_memcpy((void *)(uintptr_t)dst, src, len);
	return 0;
}

/*
 * Copy a string of less than `max` bytes and its 0 from the client.  Its
 * length, -EFAULT, -ENAMETOOLONG.  May sleep.
 */
QMUSTCHECK static inline int64_t
qcopyinstr(const struct quspace *us, char *dst, quaddr_t src, size_t max)
{
	return us->us_ops->uo_str(us, dst, src, max);
}

/* The most bytes that one call moves, as in Linux. */
#define QUIO_MAX ((size_t)0x7ffff000)

/* Vectors up to this long need no memory. */
#define QUIO_FAST 8u

/* u_flags */
#define QUIO_NOWAIT 1u  /* -EAGAIN rather than wait */
#define QUIO_APPEND 2u  /* write at the end */
#define QUIO_DSYNC  4u  /* data on stable storage before returning */
#define QUIO_SYNC   8u  /* and attributes */
#define QUIO_HIPRI  16u /* poll for completion */

/*
 * A read or write in progress: where the data go to or come from.  Made by
 * quio_init or quio_import, used up by quio_out or quio_in.
 */
struct quio {
	const struct quspace *u_us;
	const struct q_iovec *u_iov; /* the current element */
	size_t u_done;               /* bytes of it that are done */
	size_t u_resid;              /* bytes left in all */
	int64_t u_off;               /* position in the file, if it has any */
	uint32_t u_flags;            /* QUIO_* */
	uint32_t u_niov;             /* elements left, the current one too */
	struct q_iovec *u_heap;      /* memory for a long vector */
	struct q_iovec u_fast[QUIO_FAST];
};

/* One buffer.  `len` is cut to QUIO_MAX; -EFAULT: it can't be a client's. */
static inline int
quio_init(struct quio *u, const struct quspace *us, quaddr_t p, size_t len)
{
	if (qunlikely(!quaddr_ok(p, len)))
		return -Q_EFAULT;
	u->u_us = us;
	u->u_iov = u->u_fast;
	u->u_fast[0].iov_base = (void *)(uintptr_t)p;
	u->u_fast[0].iov_len = len;
	u->u_done = 0;
	u->u_resid = len < QUIO_MAX ? len : QUIO_MAX;
	u->u_off = 0;
	u->u_flags = 0;
	u->u_niov = 1;
	u->u_heap = NULL;
	return 0;
}

/*
 * A vector of `n` elements at `iov`, which is copied.  To be ended by quio_fini
 * when it returns 0.  -EFAULT, -EINVAL (more than Q_UIO_MAXIOV, or an element
 * is longer than SSIZE_MAX), -ENOMEM.
 */
int quio_import(struct quio *u, const struct quspace *us, quaddr_t iov,
    uint64_t n) QMUSTCHECK;

/* Give back what quio_import allocated. */
void quio_fini(struct quio *u);

/* quio_out_slow is quio_out past the current element. */
int quio_out_slow(struct quio *u, const void *src, size_t len);

/* quio_in_slow is quio_in past the current element. */
int quio_in_slow(struct quio *u, void *dst, size_t len);

/*
 * Move `len` bytes, at most u_resid, from `src` to the reader.  0 or -EFAULT:
 * what was moved before the fault counts as done.  May sleep.
 */
QMUSTCHECK static inline int
quio_out(struct quio *u, const void *src, size_t len)
{
	const struct q_iovec *v = u->u_iov;
	int error;

	if (qunlikely(len > v->iov_len - u->u_done))
		return quio_out_slow(u, src, len);
	error = qcopyout(u->u_us, (uintptr_t)v->iov_base + u->u_done, src, len);
	if (qlikely(error == 0)) {
		u->u_done += len;
		u->u_resid -= len;
	}
	return error;
}

/* Move `len` bytes, at most u_resid, from the writer to `dst`.  As above. */
QMUSTCHECK static inline int
quio_in(struct quio *u, void *dst, size_t len)
{
	const struct q_iovec *v = u->u_iov;
	int error;

	if (qunlikely(len > v->iov_len - u->u_done))
		return quio_in_slow(u, dst, len);
	error = qcopyin(u->u_us, dst, (uintptr_t)v->iov_base + u->u_done, len);
	if (qlikely(error == 0)) {
		u->u_done += len;
		u->u_resid -= len;
	}
	return error;
}

#ifdef __cplusplus
}
#endif

#endif /* QUERN_USPACE_H */
