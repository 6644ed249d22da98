/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the bodies that make system calls share.
 */
#ifndef TESTS_KCALLS_H
#define TESTS_KCALLS_H

#include <string.h>

#include <quern/abi/epoll.h>
#include <quern/abi/errno.h>
#include <quern/abi/eventfd.h>
#include <quern/abi/fcntl.h>
#include <quern/abi/ioctl.h>
#include <quern/abi/poll.h>
#include <quern/abi/time.h>
#include <quern/abi/uio.h>
#include <quern/san.h>

#include <tests/kernel/ktest.h>

extern const struct kcase kpipe_cases[], kpoll_cases[], kepoll_cases[],
    kevent_cases[], kcalls_cases[], kfd_cases[], kfile_cases[];

#define MSEC UINT64_C(1000000)

/* Rounds of a loop on posix, fewer under sanitizers; in a world a few do. */
#if defined(QSAN_ADDRESS) || defined(QSAN_THREAD)
#define KROUNDS(e, few, many) ((e)->sim != NULL ? (few) : (many) / 20)
#else
#define KROUNDS(e, few, many) ((e)->sim != NULL ? (few) : (many))
#endif

/* A kernel and a process of it. */
struct ksys {
	struct kenv *e;
	struct quern *k;
	struct quern_proc *p;
};

/* Make both.  False: a check failed. */
static inline bool
ksys_open(struct ksys *s, struct kenv *e)
{
	s->e = e;
	s->p = NULL;
	s->k = kenv_kernel(e);
	return s->k != NULL && KCHECK_EQ(e, quern_proc_create(s->k, &s->p), 0);
}

/* End them; nothing may be left. */
static inline void
ksys_close(struct ksys *s)
{
	kenv_destroy(s->e, s->k);
}

/* A pipe of `p`; -1s when it fails. */
static inline void
kpipe(struct kenv *e, struct quern_proc *p, int fd[2], int flags)
{
	fd[0] = fd[1] = -1;
	KCHECK_EQ(e, quern_pipe2(p, fd, flags), 0);
}

/* A thread of the host that makes one blocking call. */
struct kcaller {
	struct kenv *e;
	struct quern_proc *p;
	int fd;
	void *buf;
	size_t len;
	int64_t ret;
	uint32_t started, done; /* [a] */
};

/* quern_read of all of a struct kcaller. */
static inline void
kcaller_read(void *arg)
{
	struct kcaller *c = arg;

	__atomic_store_n(&c->started, 1, __ATOMIC_RELEASE);
	c->ret = quern_read(c->p, c->fd, c->buf, c->len);
	__atomic_store_n(&c->done, 1, __ATOMIC_RELEASE);
}

/* quern_write likewise. */
static inline void
kcaller_write(void *arg)
{
	struct kcaller *c = arg;

	__atomic_store_n(&c->started, 1, __ATOMIC_RELEASE);
	c->ret = quern_write(c->p, c->fd, c->buf, c->len);
	__atomic_store_n(&c->done, 1, __ATOMIC_RELEASE);
}

#endif /* TESTS_KCALLS_H */
