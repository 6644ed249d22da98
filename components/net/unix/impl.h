/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside unix sockets.  Never leaves the directory.
 *
 * Lock letters:
 *	[I] immutable after creation	[a] atomic
 *	[u] u_lock of the socket	[g] ut_lock
 *
 * Lock order: ut_lock, u_lock of a listener, u_lock of another.  No two others at
 * a time.
 */
#ifndef QUERN_UNIX_IMPL_H
#define QUERN_UNIX_IMPL_H

#include <quern/abi/errno.h>
#include <quern/abi/ioctl.h>
#include <quern/slab.h>
#include <quern/sockname.h>
#include <quern/socket.h>

#include "unix.h"

/* Where the path begins, and how long it may be. */
#define PATH_AT  offsetof(struct q_sockaddr_un, sun_path)
#define PATH_MAX sizeof(((struct q_sockaddr_un *)0)->sun_path)

/*
 * Data in one piece of memory, and how much lies in the message itself; what a
 * message is charged besides its data.
 */
#define INLINE 1024u
#define PIECE  4096u
#define CHARGE 512u

/* Datagrams that wait at a socket that is not the sender's own peer. */
#define QUEUE_MAX 10u

/* The most files in a message. */
#define FILES_MAX 253u

#define SHUT_RCV 1u
#define SHUT_SND 2u
#define SHUT_ALL 3u

#define UNIX_POLL_IN  (Q_POLLIN | Q_POLLRDNORM)
#define UNIX_POLL_OUT (Q_POLLOUT | Q_POLLWRNORM | Q_POLLWRBAND)

/* A name: constant, shared. */
struct uname {
	uint32_t n_refs; /* [a] */
	uint32_t n_hash; /* [I] of abstract ones */
	uint32_t n_len;  /* [I] as of the address, the family included */
	struct q_sockaddr_un n_addr;
};

enum ustate { U_CLOSED = 0, U_CONNECTING, U_LISTEN, U_CONNECTED };

/* A socket.  It is referred to by its file, its peers, and what it has sent. */
struct usock {
	struct qsock u_so; /* first */
	uint32_t u_refs;   /* [a] */
	struct qmutex u_lock;
	enum ustate u_state;  /* [u] */
	uint32_t u_shut;      /* [a] changed under [u]: SHUT_* */
	bool u_dead;          /* [u] closed */
	struct usock *u_peer; /* [u] with a reference, or NULL */
	struct qlist u_queue; /* [u] messages, or connections (u_link) */
	uint32_t u_qlen;      /* [u] how many */
	uint32_t u_backlog;   /* [u] */
	struct qlist u_link;  /* [u of the listener] */
	struct qcv u_rcv;     /* who waits for something on u_queue */
	struct qcv u_wcv;     /* who waits for u_wmem to be less, [u] */
	struct qcv u_room;    /* who waits for u_queue to be shorter */
	struct qpollq u_pollq;
	uint64_t u_wmem;   /* [a] charged for what was not received yet */
	uint32_t u_wwait;  /* [a] sleepers on u_wcv */
	int32_t u_peekoff; /* [u] SO_PEEK_OFF, or -1 */

	struct uname *u_name;    /* [a] set once, with a reference */
	struct qsockname u_node; /* [g] of a path */
	struct qlist u_named;    /* [g] in ut_names */

	bool u_hascred; /* [u] u_cred is the peer's */
	struct q_ucred u_cred;
	struct qgroups *u_groups; /* [u] with a reference */

	/* collect.c */
	uint32_t u_inflight;   /* [g] references by messages to its file */
	struct qlist u_flying; /* [g] in ut_flying, if there are any */
	uint32_t u_count;      /* [g] while collecting */
	bool u_found;          /* [g] likewise: can be reached */
	bool u_candidate;      /* [g] likewise: perhaps not */
};

/* Files that go with a message. */
struct ufiles {
	uint32_t uf_n;
	struct qfile *uf_file[]; /* with references */
};

/* A message, or the next piece of a datagram (um_more). */
struct umsg {
	struct qlist um_link; /* [u of the receiver] */
	struct umsg *um_more;
	struct usock *um_from; /* with a reference */
	struct ufiles *um_files;
	struct q_ucred um_cred;
	uint32_t um_len; /* of the whole */
	uint32_t um_off; /* of it, what was received */
	uint32_t um_charge;
	uint32_t um_piece; /* of this piece */
	char *um_data;     /* um_inline, or memory of its own */
	char um_inline[];
};

/* All of it in one kernel. */
struct unixes {
	struct quern *ut_k;
	struct qmutex ut_lock;
	struct qlist ut_names;  /* [g] u_named */
	uint32_t ut_auto;       /* [g] the last automatic name */
	struct qlist ut_flying; /* [g] u_flying */
	uint32_t ut_nflying;    /* [a] changed under [g]: messages' files */
	bool ut_collecting;     /* [g] */
	bool ut_again;          /* [g] and has to look again */
};

static inline struct unixes *
unixes_of(struct quern *k)
{
	return qcomponent_state(k, &qunix);
}

static inline struct usock *
usock_of(struct qsock *so)
{
	return QCONTAINER(so, struct usock, u_so);
}

static inline bool
is_stream(const struct usock *u)
{
	return u->u_so.so_type == Q_SOCK_STREAM;
}

/* Does it have one peer for good? */
static inline bool
is_connected_type(const struct usock *u)
{
	return u->u_so.so_type != Q_SOCK_DGRAM;
}

/* ---- unix.c ---------------------------------------------------------------------- */

extern const struct qsock_ops unix_ops;

int usock_create(struct quern *k, int type, struct usock **up);
void usock_get(struct usock *u);
void usock_put(struct usock *u);
/* Tell all that wait for it that it is not what it was. */
void usock_wake(struct usock *u, uint32_t events);
/* Note who `p` is, for its peer to ask.  [u] */
void usock_setcred(struct usock *u, struct quern_proc *p);
/* The same of another socket.  [u] of both, or nobody else knows them */
void usock_copycred(struct usock *u, const struct usock *of);
/* Sleep on `cv`.  -EAGAIN (the time is up), -EINTR.  [u] */
int usock_wait(struct usock *u, struct qcv *cv, uint64_t deadline);
/* The first message, or NULL.  [u] */
struct umsg *usock_first(const struct usock *u);
/* A reference to the peer, or NULL. */
struct usock *usock_peer(struct usock *u);
/* Shut down so, and the peer the other way round. */
void usock_shutdown(struct usock *u, uint32_t how);
/* Move all of a queue to `to`, which is empty.  [u] */
void queue_take(struct usock *u, struct qlist *to);
/* Has it a name? */
static inline bool
has_name(const struct usock *u)
{
	return __atomic_load_n(&u->u_name, __ATOMIC_ACQUIRE) != NULL;
}
/* Free messages that nobody will receive. */
void messages_free(struct qlist *list);

/* ---- name.c ---------------------------------------------------------------------- */

/* Is it an address of a socket? */
int name_check(const struct qsockaddr *a);
/* The socket of that address and type, with a reference. */
int name_find(struct quern_proc *p, int type, const struct qsockaddr *a,
    struct usock **up);
int unix_bind(struct qsock *so, struct quern_proc *p,
    const struct qsockaddr *a);
/* A name of its own making, unless it has one. */
int name_auto(struct usock *u);
/* Its name is free again. */
void name_release(struct usock *u);
void name_put(struct uname *n);
/* As an address; without a name, the family only. */
void name_addr(const struct usock *u, struct qsockaddr *a);

/* ---- connect.c ------------------------------------------------------------------- */

int unix_connect(struct qsock *so, struct quern_proc *p,
    const struct qsockaddr *a, bool nowait);
int unix_listen(struct qsock *so, struct quern_proc *p, int backlog);
int unix_accept(struct qsock *so, bool nowait, struct qsock **newp);
int unix_pair(struct quern_proc *p, struct qsock *a, struct qsock *b);
void unix_close(struct qsock *so);

/* ---- stream.c, packet.c ------------------------------------------------------------ */

/* A message with room for `len` bytes, from `u`.  -ENOMEM. */
int message_make(struct usock *u, uint32_t len, struct umsg **mp);
/* Free one; who sent it may send more. */
void message_free(struct umsg *um);
/* Wait until `u` may send again.  -EPIPE, -EAGAIN, -EINTR, and its error. */
int send_room(struct usock *u, bool nowait, uint64_t deadline);
int64_t stream_send(struct usock *u, struct qmsg *m);
int64_t stream_recv(struct usock *u, struct qmsg *m);
int64_t packet_send(struct usock *u, struct qmsg *m);
int64_t packet_recv(struct usock *u, struct qmsg *m);

/* ---- rights.c ---------------------------------------------------------------------- */

/* What goes with a message. */
struct urights {
	struct ufiles *r_files; /* NULL: none */
	bool r_cred;            /* r_ucred is to be sent */
	struct q_ucred r_ucred;
};

/* Take apart what is sent with a message; the files get references. */
int rights_in(struct usock *u, struct qmsg *m, struct urights *r);
/* Have it on its way in `um`; `to` may have asked for credentials. */
void rights_send(struct usock *u, struct usock *to, struct urights *r,
    struct umsg *um);
/* It will not be sent. */
void rights_drop(struct urights *r);
/*
 * The files of a message, which loses them, or copies of such (`peek`).  [u]
 * -ENOMEM.
 */
int rights_take(struct umsg *um, bool peek, struct ufiles **fp);
/*
 * Give what came with a message to its receiver, unless `failed`; the files, which
 * are copies (`peek`) or not, are used up.
 */
int rights_out(struct usock *u, struct qmsg *m, const struct q_ucred *cred,
    struct ufiles *files, bool peek, bool failed);
void files_put(struct ufiles *f);

/* ---- collect.c ----------------------------------------------------------------------- */

/* Files begin to be in flight; -ETOOMANYREFS. */
int flight_begin(struct unixes *ut, struct ufiles *f, struct quern_proc *p);
void flight_end(struct unixes *ut, struct ufiles *f);
/* Find sockets that only messages to each other refer to, and end them. */
void collect(struct unixes *ut);

#endif /* QUERN_UNIX_IMPL_H */
