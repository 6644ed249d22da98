/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel offers to those who bring files, processes and user memory of
 * their own: a file type with positions, shared descriptor tables, and user
 * memory that is not ours.
 */
#include <quern/abi/resource.h>
#include <quern/abi/signal.h>

#include <kernel/callimpl.h>

#include "kcalls.h"

/* ---- a file type ----------------------------------------------------------------- */

struct memfile {
	char data[100];
	int64_t size;
	unsigned flushes, releases; /* counted in the kernel, read outside */
	uint32_t flags;             /* what fo_setfl saw last */
	uint32_t last;              /* u_flags of the last transfer */
};

static int64_t
mem_read(struct qfile *f, struct quio *u)
{
	struct memfile *m = f->f_obj;
	size_t n;
	int error;

	m->last = u->u_flags;
	if (u->u_off >= m->size)
		return 0;
	n = (size_t)(m->size - u->u_off);
	if (n > u->u_resid)
		n = u->u_resid;
	error = quio_out(u, m->data + u->u_off, n);
	return error != 0 ? error : (int64_t)n;
}

static int64_t
mem_write(struct qfile *f, struct quio *u)
{
	struct memfile *m = f->f_obj;
	size_t n;
	int error;

	m->last = u->u_flags;
	if ((f->f_flags & Q_O_APPEND) != 0 || (u->u_flags & QUIO_APPEND) != 0)
		u->u_off = m->size;
	if (u->u_off >= (int64_t)sizeof(m->data))
		return -Q_ENOSPC;
	n = sizeof(m->data) - (size_t)u->u_off;
	if (n > u->u_resid)
		n = u->u_resid;
	error = quio_in(u, m->data + u->u_off, n);
	if (error != 0)
		return error;
	if (u->u_off + (int64_t)n > m->size)
		m->size = u->u_off + (int64_t)n;
	return (int64_t)n;
}

static int64_t
mem_seek(struct qfile *f, int64_t off, int whence)
{
	struct memfile *m = f->f_obj;

	qassert(qmutex_held(&f->f_offlock));
	if (whence == Q_SEEK_CUR)
		off += f->f_off;
	else if (whence == Q_SEEK_END)
		off += m->size;
	else if (whence != Q_SEEK_SET)
		return -Q_EINVAL;
	if (off < 0)
		return -Q_EINVAL;
	return f->f_off = off;
}

static int
mem_setfl(struct qfile *f, uint32_t flags)
{
	((struct memfile *)f->f_obj)->flags = flags;
	return (flags & Q_O_NOATIME) != 0 ? -Q_EPERM : 0;
}

static int
mem_flush(struct qfile *f, const struct qfdtable *t)
{
	struct memfile *m = f->f_obj;

	qassert(t != NULL);
	return ++m->flushes == 1 ? -Q_EIO : 0;
}

static void
mem_release(struct qfile *f)
{
	((struct memfile *)f->f_obj)->releases++;
}

static const struct qfile_ops mem_ops = {
	.fo_name = "memory",
	.fo_read = mem_read,
	.fo_write = mem_write,
	.fo_seek = mem_seek,
	.fo_setfl = mem_setfl,
	.fo_flush = mem_flush,
	.fo_release = mem_release,
};

struct open_args {
	struct quern_proc *p;
	struct memfile *m;
	uint32_t flags, mode;
};

static int64_t
open_body(void *arg)
{
	struct open_args *a = arg;
	struct qfile *f;
	int error;

	error = qfile_create(a->p->p_k, &mem_ops, a->m, a->flags, a->mode, &f);
	return error != 0 ? error : qfd_install(a->p, f, a->flags);
}

static int
open_mem(struct ksys *s, struct memfile *m, uint32_t flags, uint32_t mode)
{
	struct open_args a = { s->p, m, flags, mode };

	return (int)kcall(s->k, open_body, &a);
}

#define SEEKABLE (QF_SEEK | QF_PREAD | QF_PWRITE)

static void
positions(struct kenv *e)
{
	struct memfile m = { .size = 0 };
	struct q_epoll_event ev = { Q_EPOLLIN, 0 };
	struct q_iovec iov[2];
	struct q_pollfd pf;
	struct ksys s;
	char buf[32] = "";
	int fd, copy, ep;

	if (!ksys_open(&s, e))
		return;
	fd = open_mem(&s, &m, Q_O_RDWR | Q_O_CLOEXEC, SEEKABLE);
	KCHECK_EQ(e, fd, 0);
	KCHECK_EQ(e, quern_fcntl(s.p, fd, Q_F_GETFD, 0), Q_FD_CLOEXEC);
	KCHECK_EQ(e, quern_fcntl(s.p, fd, Q_F_GETFL, 0), Q_O_RDWR);
	copy = (int)quern_dup(s.p, fd);
	KCHECK_EQ(e, quern_write(s.p, fd, "hello ", 6), 6);
	KCHECK_EQ(e, quern_write(s.p, copy, "world", 5), 5);
	KCHECK_EQ(e, quern_lseek(s.p, fd, 0, Q_SEEK_CUR), 11);
	KCHECK_EQ(e, quern_read(s.p, fd, buf, 5), 0);
	KCHECK_EQ(e, quern_lseek(s.p, fd, -11, Q_SEEK_END), 0);
	KCHECK_EQ(e, quern_read(s.p, fd, buf, 4), 4);
	KCHECK_EQ(e, quern_read(s.p, copy, buf + 4, 28), 7);
	KCHECK(e, memcmp(buf, "hello world", 11) == 0);
	KCHECK_EQ(e, quern_lseek(s.p, fd, -1, Q_SEEK_SET), -Q_EINVAL);
	KCHECK_EQ(e, quern_lseek(s.p, fd, 0, 9), -Q_EINVAL);
	/* Positions of the call's own leave the file's alone. */
	KCHECK_EQ(e, quern_pwrite64(s.p, fd, "HE", 2, 0), 2);
	KCHECK_EQ(e, quern_pread64(s.p, fd, buf, 3, 1), 3);
	KCHECK(e, memcmp(buf, "Ell", 3) == 0);
	KCHECK_EQ(e, quern_lseek(s.p, fd, 0, Q_SEEK_CUR), 11);
	iov[0] = (struct q_iovec){ buf, 1 };
	iov[1] = (struct q_iovec){ buf + 1, 9 };
	KCHECK_EQ(e, quern_preadv(s.p, fd, iov, 2, 6), 5);
	KCHECK(e, memcmp(buf, "world", 5) == 0);
	KCHECK_EQ(e, quern_preadv2(s.p, fd, iov, 2, -1, 0), 0);
	KCHECK_EQ(e, quern_preadv2(s.p, fd, iov, 2, 2, Q_RWF_HIPRI), 9);
	KCHECK_EQ(e, m.last, QUIO_HIPRI);
	KCHECK_EQ(e, quern_preadv2(s.p, fd, iov, 2, 2, Q_RWF_NOWAIT),
	    -Q_EOPNOTSUPP);
	/* Where an appending write went is where the position is. */
	KCHECK_EQ(e, quern_lseek(s.p, fd, 3, Q_SEEK_SET), 3);
	KCHECK_EQ(e, quern_fcntl(s.p, fd, Q_F_SETFL, Q_O_APPEND), 0);
	KCHECK_EQ(e, quern_write(s.p, fd, "!", 1), 1);
	KCHECK_EQ(e, quern_lseek(s.p, fd, 0, Q_SEEK_CUR), 12);
	KCHECK_EQ(e, quern_fcntl(s.p, fd, Q_F_SETFL, 0), 0);
	KCHECK_EQ(e,
	    quern_pwritev2(s.p, fd, iov, 1, -1, Q_RWF_APPEND | Q_RWF_SYNC), 1);
	KCHECK_EQ(e, m.last, QUIO_APPEND | QUIO_SYNC | QUIO_DSYNC);
	KCHECK_EQ(e, quern_fcntl(s.p, fd, Q_F_SETFL, Q_O_NOATIME), -Q_EPERM);
	KCHECK_EQ(e, quern_fcntl(s.p, fd, Q_F_SETFL, Q_O_DIRECT), -Q_EINVAL);
	KCHECK_EQ(e, m.flags, Q_O_RDWR | Q_O_NOATIME);
	/* Without fo_poll it is always ready, and can't be in a set. */
	pf = (struct q_pollfd){ fd, Q_POLLIN | Q_POLLOUT, 0 };
	KCHECK_EQ(e, quern_poll_files(s.p, &pf, 1, -1), 1);
	KCHECK_EQ(e, pf.revents, Q_POLLIN | Q_POLLOUT);
	ep = (int)quern_epoll_create1(s.p, 0);
	KCHECK_EQ(e, quern_epoll_ctl(s.p, ep, Q_EPOLL_CTL_ADD, fd, &ev),
	    -Q_EPERM);
	/* Flushed for each descriptor, released once. */
	KCHECK_EQ(e, quern_close(s.p, fd), -Q_EIO);
	KCHECK_EQ(e, quern_close(s.p, fd), -Q_EBADF);
	KCHECK_EQ(e, m.releases, 0);
	KCHECK_EQ(e, quern_close(s.p, copy), 0);
	KCHECK_EQ(e, m.flushes, 2);
	KCHECK_EQ(e, m.releases, 1);
	ksys_close(&s);
}

/* What open(2) allows, and files that are only names. */
static void
modes(struct kenv *e)
{
	struct memfile m = { .size = 5 };
	struct ksys s;
	char c = 0;
	int r, w, path;

	if (!ksys_open(&s, e))
		return;
	r = open_mem(&s, &m, Q_O_RDONLY, SEEKABLE);
	w = open_mem(&s, &m, Q_O_WRONLY, SEEKABLE);
	path = open_mem(&s, &m, Q_O_PATH, QF_PATH);
	KCHECK_EQ(e, quern_read(s.p, w, &c, 1), -Q_EBADF);
	KCHECK_EQ(e, quern_write(s.p, r, &c, 1), -Q_EBADF);
	KCHECK_EQ(e, quern_pread64(s.p, w, &c, 1, 0), -Q_EBADF);
	KCHECK_EQ(e, quern_read(s.p, r, &c, 1), 1);
	KCHECK_EQ(e, quern_write(s.p, w, &c, 1), 1);
	KCHECK_EQ(e, quern_read(s.p, path, &c, 1), -Q_EBADF);
	KCHECK_EQ(e, quern_lseek(s.p, path, 0, Q_SEEK_SET), -Q_EBADF);
	KCHECK_EQ(e, quern_ioctl(s.p, path, Q_FIOCLEX, 0), -Q_EBADF);
	KCHECK_EQ(e, quern_fcntl(s.p, path, Q_F_SETFL, 0), -Q_EBADF);
	KCHECK_EQ(e, quern_fcntl(s.p, path, Q_F_GETFL, 0), Q_O_PATH);
	KCHECK_EQ(e, quern_dup(s.p, path), 3);
	KCHECK_EQ(e, quern_dup2(s.p, path, r), r);
	ksys_close(&s);
	KCHECK_EQ(e, m.releases, 3);
}

/* ---- shared tables ----------------------------------------------------------------- */

struct share_args {
	struct quern_proc *p, *q;
};

static int64_t
share_body(void *arg)
{
	struct share_args *a = arg;

	qfdtable_put(a->q->p_fd);
	a->q->p_fd = qfdtable_share(a->p);
	return 0;
}

static int64_t
exec_body(void *arg)
{
	qfdtable_exec(arg);
	return 0;
}

static void
shared_table(struct kenv *e)
{
	struct share_args a;
	struct ksys s;
	int i;

	if (!ksys_open(&s, e))
		return;
	a.p = s.p;
	KCHECK_EQ(e, quern_proc_create(s.k, &a.q), 0);
	KCHECK_EQ(e, kcall(s.k, share_body, &a), 0);
	for (i = 0; i < 6; i++)
		KCHECK_EQ(e, quern_eventfd2(i % 2 ? a.p : a.q, 0, 0), i);
	KCHECK_EQ(e, quern_close(a.p, 5), 0);
	KCHECK_EQ(e, quern_close(a.q, 5), -Q_EBADF);
	KCHECK_EQ(e,
	    quern_close_range(a.q, 3, UINT32_MAX, Q_CLOSE_RANGE_UNSHARE), 0);
	KCHECK_EQ(e, quern_close(a.q, 3), -Q_EBADF);
	KCHECK_EQ(e, quern_close(a.p, 3), 0);
	KCHECK_EQ(e, quern_close(a.q, 0), 0);
	KCHECK_EQ(e, quern_close(a.p, 0), 0);
	/* exec closes what is marked. */
	KCHECK_EQ(e, quern_fcntl(a.p, 1, Q_F_SETFD, 1), 0);
	KCHECK_EQ(e, kcall(s.k, exec_body, a.p), 0);
	KCHECK_EQ(e, quern_fcntl(a.p, 1, Q_F_GETFD, 0), -Q_EBADF);
	KCHECK_EQ(e, quern_fcntl(a.p, 2, Q_F_GETFD, 0), 0);
	KCHECK_EQ(e, quern_fcntl(a.q, 1, Q_F_GETFD, 0), 0);
	ksys_close(&s);
}

/* ---- user memory that is not ours ----------------------------------------------------- */

#define AWAY UINT64_C(0x7000000000)
#define SIZE 4096u

/* Memory at AWAY, which notes what was copied in during a call. */
struct away {
	struct quspace us;
	char mem[SIZE];
	unsigned char in[SIZE]; /* how often each byte was read */
	unsigned copies;
};

static struct away *
away_of(const struct quspace *us)
{
	return QCONTAINER((uintptr_t)us, struct away, us);
}

static bool
away_ok(quaddr_t at, size_t len)
{
	return at >= AWAY && at - AWAY <= SIZE && len <= SIZE - (at - AWAY);
}

static int
away_in(const struct quspace *us, void *dst, quaddr_t src, size_t len)
{
	struct away *a = away_of(us);
	size_t i;

	qassert(qthread_current()->t_spins == 0);
	a->copies++;
	if (!away_ok(src, len))
		return -Q_EFAULT;
	for (i = 0; i < len; i++)
		a->in[src - AWAY + i]++;
	memcpy(dst, a->mem + (src - AWAY), len);
	return 0;
}

static int
away_out(const struct quspace *us, quaddr_t dst, const void *src, size_t len)
{
	struct away *a = away_of(us);

	qassert(qthread_current()->t_spins == 0);
	a->copies++;
	if (!away_ok(dst, len))
		return -Q_EFAULT;
	memcpy(a->mem + (dst - AWAY), src, len);
	return 0;
}

static const struct quspace_ops away_ops = {
	.uo_in = away_in,
	.uo_out = away_out,
};

struct away_args {
	struct kenv *e;
	struct quern_proc *p;
	struct away *a;
};

/* One call; no byte of its arguments may be read twice. */
static int64_t
away_call(struct away_args *x, unsigned nr, const uint64_t args[6])
{
	struct qsys s = { args, x->p, &x->a->us, NULL };
	int64_t ret;
	unsigned i;

	memset(x->a->in, 0, sizeof(x->a->in));
	ret = qsys_dispatch(&s, nr);
	for (i = 0; i < SIZE; i++)
		if (!KCHECK(x->e, x->a->in[i] <= 1))
			break;
	return ret;
}

#define CALL(nr, ...) \
	away_call(x, QUERN_NR_##nr, (const uint64_t[6]){ __VA_ARGS__ })

/* Put a value at `off` of that memory; its address. */
static quaddr_t
place(struct away *a, size_t off, const void *p, size_t len)
{
	memcpy(a->mem + off, p, len);
	return AWAY + off;
}

static void
away_files(struct away_args *x)
{
	struct q_iovec iov[2] = { { (void *)(AWAY + 200), 3 },
		{ (void *)(AWAY + 300), 9 } };
	struct kenv *e = x->e;
	struct away *a = x->a;
	uint64_t n = 7;
	int32_t fd[2];

	KCHECK_EQ(e, CALL(pipe2, AWAY, Q_O_NONBLOCK), 0);
	memcpy(fd, a->mem, sizeof(fd));
	KCHECK(e, fd[0] == 0 && fd[1] == 1);
	place(a, 100, "hello world!", 12);
	KCHECK_EQ(e, CALL(write, 1, AWAY + 100, 12), 12);
	place(a, 500, iov, sizeof(iov));
	KCHECK_EQ(e, CALL(readv, 0, AWAY + 500, 2), 12);
	KCHECK(e, memcmp(a->mem + 200, "hel", 3) == 0);
	KCHECK(e, memcmp(a->mem + 300, "lo world!", 9) == 0);
	KCHECK_EQ(e, CALL(writev, 1, AWAY + 500, 2), 12);
	KCHECK_EQ(e, CALL(read, 0, AWAY + SIZE - 4, 12), -Q_EFAULT);
	KCHECK_EQ(e, CALL(read, 0, AWAY + 600, 12), 12);
	KCHECK_EQ(e, CALL(write, 1, AWAY + SIZE, 1), -Q_EFAULT);
	KCHECK_EQ(e, CALL(write, 1, (uintptr_t)a->mem, 1), -Q_EFAULT);
	KCHECK_EQ(e, CALL(eventfd2, 0, Q_EFD_NONBLOCK), 2);
	place(a, 0, &n, sizeof(n));
	KCHECK_EQ(e, CALL(write, 2, AWAY, 8), 8);
	KCHECK_EQ(e, CALL(ioctl, 0, Q_FIONREAD, AWAY + 40), 0);
}

static void
away_waiting(struct away_args *x)
{
	struct q_pollfd pf[2] = { { 0, Q_POLLIN, 0 }, { 2, Q_POLLIN, 0 } };
	struct q_epoll_event ev = { Q_EPOLLIN, 5 };
	struct q_timespec ts = { 0, 1000 };
	struct q_fd_set set = { { 4 } };
	uint64_t sig[2] = { AWAY + 900, 8 };
	struct kenv *e = x->e;
	struct away *a = x->a;

	place(a, 0, pf, sizeof(pf));
	place(a, 800, &ts, sizeof(ts));
	place(a, 1000, &set, sizeof(set));
	place(a, 950, sig, sizeof(sig));
	KCHECK_EQ(e, CALL(poll, AWAY, 2, 0), 1);
	KCHECK_EQ(e, CALL(ppoll, AWAY, 2, AWAY + 800, AWAY + 900, 8), 1);
	memcpy(pf, a->mem, sizeof(pf));
	KCHECK_EQ(e, pf[1].revents, Q_POLLIN);
	KCHECK_EQ(e,
	    CALL(pselect6, 3, AWAY + 1000, 0, 0, AWAY + 800, AWAY + 950), 1);
	place(a, 800, &ts, sizeof(ts));
	KCHECK_EQ(e, CALL(select, 3, AWAY + 1000, 0, 0, AWAY + 800), 1);
	KCHECK_EQ(e, CALL(epoll_create1, 0), 3);
	place(a, 0, &ev, sizeof(ev));
	KCHECK_EQ(e, CALL(epoll_ctl, 3, Q_EPOLL_CTL_ADD, 2, AWAY), 0);
	KCHECK_EQ(e, CALL(epoll_pwait2, 3, AWAY + 64, 4, AWAY + 800), 1);
	KCHECK(e, memcmp(a->mem + 64, &ev, sizeof(ev)) == 0);
	KCHECK_EQ(e, CALL(nanosleep, AWAY + 800, 0), 0);
}

static int64_t
away_body(void *arg)
{
	struct away_args *x = arg;
	uint32_t groups[2] = { 9, 8 };
	struct q_rlimit lim = { 100, 200 };

	away_files(x);
	away_waiting(x);
	place(x->a, 0, groups, sizeof(groups));
	KCHECK_EQ(x->e, CALL(setgroups, 2, AWAY), 0);
	KCHECK_EQ(x->e, CALL(getgroups, 2, AWAY + 8), 2);
	place(x->a, 0, &lim, sizeof(lim));
	KCHECK_EQ(x->e, CALL(prlimit64, 0, Q_RLIMIT_NOFILE, AWAY, AWAY + 16),
	    0);
	KCHECK_EQ(x->e, CALL(setrlimit, Q_RLIMIT_NOFILE, AWAY), 0);
	KCHECK_EQ(x->e, CALL(getrandom, AWAY, 4096, 0), 4096);
	KCHECK_EQ(x->e, CALL(uname, AWAY + 8), 0);
	return 0;
}

static void
memory_of_others(struct kenv *e)
{
	static struct away a;
	struct away_args x = { e, NULL, &a };
	struct ksys s;

	memset(&a, 0, sizeof(a));
	a.us.us_ops = &away_ops;
	if (!ksys_open(&s, e))
		return;
	x.p = s.p;
	KCHECK_EQ(e, kcall(s.k, away_body, &x), 0);
	ksys_close(&s);
}

/* ---- a personality --------------------------------------------------------------------- */

struct persona {
	int signals, ends;
	uint64_t mask;
};

static void
persona_signal(struct quern_proc *p, int sig)
{
	struct persona *x = p->p_data;

	x->signals += sig == Q_SIGPIPE ? 1 : 1000;
}

static void
persona_sigmask(struct quern_proc *p, const uint64_t *mask)
{
	((struct persona *)p->p_data)->mask = *mask;
}

static void
persona_end(struct quern_proc *p)
{
	((struct persona *)p->p_data)->ends++;
}

static const struct qproc_ops persona_ops = {
	.po_signal = persona_signal,
	.po_sigmask = persona_sigmask,
	.po_end = persona_end,
};

struct persona_args {
	struct quern *k;
	struct persona *x;
	struct quern_proc *p;
};

static int64_t
persona_body(void *arg)
{
	struct persona_args *a = arg;
	int error;

	error = qproc_create(a->k, NULL, &persona_ops, 0, NULL, &a->p);
	if (error == 0)
		a->p->p_data = a->x;
	return error;
}

/* Signals and masks reach the process's own operations. */
static void
personality(struct kenv *e)
{
	struct persona x = { 0, 0, 0 };
	struct persona_args a;
	struct q_timespec ts = { 0, 0 };
	struct q_sigset mask = { 0x1234 };
	struct ksys s;
	int fd[2];

	if (!ksys_open(&s, e))
		return;
	a = (struct persona_args){ s.k, &x, NULL };
	KCHECK_EQ(e, kcall(s.k, persona_body, &a), 0);
	kpipe(e, a.p, fd, 0);
	KCHECK_EQ(e, quern_write(a.p, fd[1], "x", 1), 1);
	KCHECK_EQ(e, quern_close(a.p, fd[0]), 0);
	KCHECK_EQ(e, x.signals, 0);
	KCHECK_EQ(e, quern_write(a.p, fd[1], "x", 1), -Q_EPIPE);
	KCHECK_EQ(e, x.signals, 1);
	KCHECK_EQ(e, quern_ppoll(a.p, NULL, 0, &ts, &mask, 8), 0);
	KCHECK_EQ(e, x.mask, 0x1234);
	KCHECK_EQ(e, quern_proc_destroy(a.p), 0);
	KCHECK_EQ(e, x.ends, 1);
	ksys_close(&s);
}

const struct kcase kfile_cases[] = {
	{ .name = "positions", .body = positions, .seeds = 2 },
	{ .name = "modes", .body = modes, .seeds = 2 },
	{ .name = "shared_table", .body = shared_table, .seeds = 2 },
	{ .name = "memory_of_others", .body = memory_of_others, .seeds = 2 },
	{ .name = "personality", .body = personality, .seeds = 2 },
	{ .name = NULL },
};
