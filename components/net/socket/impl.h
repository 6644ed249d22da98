/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside the socket layer.  Never leaves the directory.
 */
#ifndef QUERN_SOCKET_IMPL_H
#define QUERN_SOCKET_IMPL_H

#include <quern/abi/errno.h>
#include <quern/abi/time.h>
#include <quern/slab.h>

#include "socket.h"

#define FAMILIES 8u

/* What comes with a message is no longer than that. */
#define CONTROL_MAX 65536u

struct sockets {
	const struct qsock_family *ss_family[FAMILIES]; /* [I] once it is up */
};

static inline struct sockets *
sockets_of(struct quern *k)
{
	return qcomponent_state(k, &qsockets);
}

/* The family of that number, or NULL. */
const struct qsock_family *family_find(struct quern *k, int family);

/* Make a file of a socket and give it a descriptor; it is closed if that fails. */
int sock_install(struct quern_proc *p, struct qsock *so, uint32_t flags);
/* A file with one reference; the same. */
int sock_file(struct qsock *so, uint32_t flags, struct qfile **fp);

/* The socket of a descriptor, and a reference to *fp.  -EBADF, -ENOTSOCK. */
int sock_get(struct quern_proc *p, int fd, struct qfile **fp,
    struct qsock **sop);

/* Copy an address in.  -EINVAL (length), -EFAULT. */
int addr_in(const struct qsys *s, quaddr_t at, uint64_t len,
    struct qsockaddr *a);
/* And out: cut to *lenat, where its length goes.  -EINVAL, -EFAULT. */
int addr_out(const struct qsys *s, const struct qsockaddr *a, quaddr_t at,
    quaddr_t lenat);

/* Is a call with these MSG_* on this file not to wait? */
static inline bool
is_nowait(const struct qfile *f, uint32_t flags)
{
	return (flags & Q_MSG_DONTWAIT) != 0 ||
	    (__atomic_load_n(&f->f_flags, __ATOMIC_RELAXED) & Q_O_NONBLOCK) !=
	    0;
}

int64_t sock_send(struct qsock *so, struct qmsg *m);
int64_t sock_recv(struct qsock *so, struct qmsg *m);

#endif /* QUERN_SOCKET_IMPL_H */
