/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sockets: a type of file, and the calls of sockets, over families of protocols.
 *
 * A family registers itself (qsock_family_add); its so_create makes a socket, a
 * struct that begins with struct qsock, which from then on is one file's and goes
 * with it (so_close).  All operations run in a call, with a reference to the file,
 * and may sleep.  This layer knows descriptors, addresses as bytes, messages and
 * the options of SOL_SOCKET; what they mean is the family's.
 */
#ifndef QUERN_SOCKET_H
#define QUERN_SOCKET_H

#include <quern/abi/socket.h>
#include <quern/component.h>
#include <quern/file.h>
#include <quern/proc.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qsock;

/* The component. */
extern const struct quern_component qsockets;

/* The longest address of any family. */
#define QSOCK_ADDRMAX 128u

/* An address, as bytes: the family first. */
struct qsockaddr {
	uint32_t sa_len; /* 0: none */
	union {
		uint16_t sa_family;
		char sa_bytes[QSOCK_ADDRMAX];
	} sa_u;
};

/* A message that is being sent or received. */
struct qmsg {
	struct quio *m_io;
	uint32_t m_flags; /* Q_MSG_* as asked for; received: as it was */
	bool m_nowait;
	struct qsockaddr m_name;
	/* what is sent with it, in the kernel */
	const char *m_ctl;
	size_t m_ctllen;
	/* received: room for such, a client's */
	const struct quspace *m_us;
	quaddr_t m_ctlat;
	size_t m_ctlroom, m_ctlused;
	struct quern_proc *m_proc;
};

/* so_flags [a]: options that are on. */
#define QSO_DEBUG     1u
#define QSO_REUSEADDR 2u
#define QSO_DONTROUTE 4u
#define QSO_BROADCAST 8u
#define QSO_KEEPALIVE 16u
#define QSO_OOBINLINE 32u
#define QSO_REUSEPORT 64u
#define QSO_PASSCRED  128u
#define QSO_PASSSEC   256u
#define QSO_TIMESTAMP 512u

/* What a kind of socket does.  A NULL is -EOPNOTSUPP. */
struct qsock_ops {
	int (*so_bind)(struct qsock *so, struct quern_proc *p,
	    const struct qsockaddr *a);
	int (*so_connect)(struct qsock *so, struct quern_proc *p,
	    const struct qsockaddr *a, bool nowait);
	int (*so_listen)(struct qsock *so, struct quern_proc *p, int backlog);
	/* The next connection's socket, which the caller makes a file of. */
	int (*so_accept)(struct qsock *so, bool nowait, struct qsock **newp);
	/* Its own address, or its peer's. */
	int (*so_name)(struct qsock *so, bool peer, struct qsockaddr *a);
	int64_t (*so_send)(struct qsock *so, struct qmsg *m);
	int64_t (*so_recv)(struct qsock *so, struct qmsg *m);
	int (*so_shutdown)(struct qsock *so, int how); /* Q_SHUT_* */
	uint32_t (*so_poll)(struct qsock *so, struct qpollent *e);
	int64_t (*so_ioctl)(struct qsock *so, struct qsys *s, uint32_t cmd,
	    uint64_t arg);
	/*
	 * An option that this layer does not know, and its length into *lenp.
	 * `buf` has room for 64 bytes, and for *lenp; -ERANGE: that is too
	 * little.  NULL: -ENOPROTOOPT, or -EOPNOTSUPP for a level that is not
	 * SOL_SOCKET.
	 */
	int (*so_getopt)(struct qsock *so, int level, int name, void *buf,
	    uint32_t *lenp);
	int (*so_setopt)(struct qsock *so, int level, int name, const void *buf,
	    uint32_t len);
	/* Its file goes, or it never had one: it ends. */
	void (*so_close)(struct qsock *so);
};

/* A socket, as far as this layer goes. */
struct qsock {
	const struct qsock_ops *so_ops;   /* [I] */
	struct quern *so_k;               /* [I] */
	int so_family, so_type, so_proto; /* [I] */
	uint64_t so_ino;                  /* [I] st_ino of its file */
	struct qfile *so_file;            /* [a] or NULL: it has none (yet) */
	uint32_t so_flags;                /* [a] QSO_* */
	int32_t so_error;                 /* [a] to be told once: 0 or -errno */
	uint32_t so_sndbuf, so_rcvbuf;    /* [a] bytes */
	uint64_t so_sndtimeo, so_rcvtimeo; /* [a] ns; QUERN_NEVER */
	struct q_linger so_linger;
	int32_t so_lowat, so_prio, so_mark; /* [a] */
};

struct qsock_family {
	int sf_family;
	/* -EPROTONOSUPPORT, -ESOCKTNOSUPPORT, -ENOMEM. */
	int (*sf_create)(struct quern *k, struct quern_proc *p, int type,
	    int protocol, struct qsock **sop);
	/* Connect two that were made so; NULL: -EOPNOTSUPP. */
	int (*sf_pair)(struct quern_proc *p, struct qsock *a, struct qsock *b);
};

/* Make a family known, in the init of its component.  -ENOSPC. */
int qsock_family_add(struct quern *k, const struct qsock_family *f) QMUSTCHECK;

/* For so_create: what a socket begins as; the rest of it is the caller's. */
void qsock_init(struct qsock *so, struct quern *k, const struct qsock_ops *ops,
    int family, int type, int protocol);

/* The socket that a file is, or NULL. */
struct qsock *qsock_of(const struct qfile *f);

/* Take the error that is to be told: 0 or -errno. */
static inline int
qsock_take_error(struct qsock *so)
{
	if (__atomic_load_n(&so->so_error, __ATOMIC_RELAXED) == 0)
		return 0;
	return __atomic_exchange_n(&so->so_error, 0, __ATOMIC_RELAXED);
}

/* Is the option on? */
static inline bool
qsock_has(const struct qsock *so, uint32_t flag)
{
	return (__atomic_load_n(&so->so_flags, __ATOMIC_RELAXED) & flag) != 0;
}

/* When a call that begins now has waited long enough, by SO_RCVTIMEO or SNDTIMEO. */
uint64_t qsock_deadline(struct qsock *so, bool sending);

/*
 * Add something to what is received with a message: a header and `len` bytes.  What
 * has no room is cut, and MSG_CTRUNC says so.  -EFAULT.
 */
int qmsg_put(struct qmsg *m, int level, int type, const void *data,
    size_t len) QMUSTCHECK;

#ifdef __cplusplus
}
#endif

#endif /* QUERN_SOCKET_H */
