/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sockets as files.
 *
 * A socket begins without a file, gets one (sock_install, or accept of it) and ends
 * with it.  So there is no count of references here; a family that needs one, since
 * its sockets know each other, has its own.
 *
 * Reading order: socket.h, this, calls.c, message.c, option.c.
 */
#include "impl.h"

static const struct qtag tag_sockets = { "sockets" };

int
qsock_family_add(struct quern *k, const struct qsock_family *f)
{
	struct sockets *ss = sockets_of(k);
	unsigned i;

	for (i = 0; i < FAMILIES; i++)
		if (ss->ss_family[i] == NULL) {
			ss->ss_family[i] = f;
			return 0;
		}
	return -Q_ENOSPC;
}

const struct qsock_family *
family_find(struct quern *k, int family)
{
	struct sockets *ss = sockets_of(k);
	unsigned i;

	for (i = 0; i < FAMILIES && ss->ss_family[i] != NULL; i++)
		if (ss->ss_family[i]->sf_family == family)
			return ss->ss_family[i];
	return NULL;
}

/* Linux's usual size of buffers. */
#define BUFFER 212992u

void
qsock_init(struct qsock *so, struct quern *k, const struct qsock_ops *ops,
    int family, int type, int protocol)
{
	so->so_ops = ops;
	so->so_k = k;
	so->so_ino = qfile_serial(k);
	so->so_family = family;
	so->so_type = type;
	so->so_proto = protocol;
	so->so_file = NULL;
	so->so_flags = 0;
	so->so_error = 0;
	so->so_sndbuf = so->so_rcvbuf = BUFFER;
	so->so_sndtimeo = so->so_rcvtimeo = QUERN_NEVER;
	so->so_linger = (struct q_linger){ 0, 0 };
	so->so_lowat = 1;
	so->so_prio = so->so_mark = 0;
}

uint64_t
qsock_deadline(struct qsock *so, bool sending)
{
	uint64_t ns = __atomic_load_n(sending ? &so->so_sndtimeo :
						&so->so_rcvtimeo,
	    __ATOMIC_RELAXED);

	return ns == QUERN_NEVER ? ns : qclock_mono(so->so_k) + ns;
}

/* ---- files --------------------------------------------------------------------- */

static int64_t
sock_read(struct qfile *f, struct quio *u)
{
	struct qmsg m = { .m_io = u, .m_nowait = qfile_nowait(f, u) };

	if (u->u_resid == 0)
		return 0;
	m.m_proc = qproc_current();
	return sock_recv(f->f_obj, &m);
}

static int64_t
sock_write(struct qfile *f, struct quio *u)
{
	struct qmsg m = { .m_io = u, .m_nowait = qfile_nowait(f, u) };

	m.m_proc = qproc_current();
	return sock_send(f->f_obj, &m);
}

static uint32_t
sock_poll(struct qfile *f, struct qpollent *e)
{
	struct qsock *so = f->f_obj;

	return so->so_ops->so_poll(so, e);
}

static int64_t
sock_ioctl(struct qfile *f, struct qsys *s, uint32_t cmd, uint64_t arg)
{
	struct qsock *so = f->f_obj;

	if (so->so_ops->so_ioctl == NULL)
		return -Q_ENOTTY;
	return so->so_ops->so_ioctl(so, s, cmd, arg);
}

static int
sock_stat(struct qfile *f, struct q_stat *st)
{
	const struct qsock *so = f->f_obj;

	st->st_ino = so->so_ino;
	st->st_mode = Q_S_IFSOCK | 0777;
	st->st_nlink = 1;
	st->st_blksize = 4096;
	return 0;
}

static void
sock_release(struct qfile *f)
{
	struct qsock *so = f->f_obj;

	__atomic_store_n(&so->so_file, NULL, __ATOMIC_RELEASE);
	so->so_ops->so_close(so);
}

static const struct qfile_ops sock_ops = {
	.fo_name = "socket",
	.fo_read = sock_read,
	.fo_write = sock_write,
	.fo_poll = sock_poll,
	.fo_ioctl = sock_ioctl,
	.fo_stat = sock_stat,
	.fo_release = sock_release,
};

struct qsock *
qsock_of(const struct qfile *f)
{
	return f->f_ops == &sock_ops ? f->f_obj : NULL;
}

int
sock_file(struct qsock *so, uint32_t flags, struct qfile **fp)
{
	int error = qfile_create(so->so_k, &sock_ops, so,
	    Q_O_RDWR | (flags & Q_SOCK_NONBLOCK), QF_NOWAIT | QF_SPLICE, fp);

	if (error != 0)
		so->so_ops->so_close(so);
	else
		__atomic_store_n(&so->so_file, *fp, __ATOMIC_RELEASE);
	return error;
}

int
sock_install(struct quern_proc *p, struct qsock *so, uint32_t flags)
{
	struct qfile *f;
	int error = sock_file(so, flags, &f);

	if (error != 0)
		return error;
	return qfd_install(p, f, flags & Q_SOCK_CLOEXEC);
}

int
sock_get(struct quern_proc *p, int fd, struct qfile **fp, struct qsock **sop)
{
	struct qfile *f = qfd_get(p, fd);

	if (f == NULL)
		return -Q_EBADF;
	*sop = qsock_of(f);
	*fp = f;
	if (*sop == NULL) {
		qfile_put(f);
		return -Q_ENOTSOCK;
	}
	return 0;
}

/* ---- the component ---------------------------------------------------------------- */

extern const struct qsys_handler socket_calls[];

static int
sockets_init(struct quern *k, void **statep)
{
	(void)k;
	*statep = qzalloc(&tag_sockets, sizeof(struct sockets));
	return *statep != NULL ? 0 : -Q_ENOMEM;
}

static void
sockets_fini(struct quern *k, void *state)
{
	(void)k;
	qfree(state);
}

const struct quern_component qsockets = {
	.c_name = "socket",
	.c_init = sockets_init,
	.c_fini = sockets_fini,
	.c_calls = socket_calls,
};
