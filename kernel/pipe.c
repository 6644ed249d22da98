/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pipes.
 *
 * A pipe is a ring of buffers of a page each, as in Linux, whose behaviour at
 * the edges programs know: a write of up to PIPE_BUF bytes either joins the
 * last buffer whole or gets one of its own, which makes it atomic; and a pipe
 * is full when it has no free buffer, however little is in them.
 *
 *	p_tail, p_head	count buffers taken out and put in; equal: empty;
 *			p_size apart: full
 *
 * P1  A buffer between p_tail and p_head has a page and at least one byte.
 * P2  Whenever the lock is free: if there are bytes and readers sleep, one of
 *     them has been woken and has not looked yet; likewise buffers and writers.
 *     Every operation restores it as it ends, by waking one; so do those whom
 *     an interrupt takes out of the queue.
 * P3  The counts of sleepers change under the lock, so whoever holds it may
 *     leave the queues alone if they are 0.
 *
 * A fifo is the same with a name: its files' operations are the VFS's, which call
 * those here (pipe.h).
 *
 * A buffer that becomes empty leaves its page as p_spare for the next.
 */
#include "pipeimpl.h"

#include <quern/abi/ioctl.h>
#include <quern/abi/signal.h>

#define PIPE_BUFFERS  16u     /* of a new pipe */
#define PIPE_SIZE_MAX 1048576 /* without CAP_SYS_RESOURCE */

static const struct qtag tag_pipe = { "pipe" };

char *
pipe_page_get(struct qpipe *p)
{
	char *page = p->p_spare;

	if (page != NULL)
		p->p_spare = NULL;
	else
		page = qalloc(&tag_pipe, PIPE_PAGE);
	return page;
}

void
pipe_page_put(struct qpipe *p, char *page)
{
	if (p->p_spare == NULL)
		p->p_spare = page;
	else
		qfree(page);
}

/* ---- reading ------------------------------------------------------------- */

/* Take from the first buffer.  Bytes or -EFAULT. */
static inline int64_t
take(struct qpipe *p, struct quio *u, bool *packet)
{
	struct pipe_buf *b = pipe_buf(p, p->p_tail);
	size_t n = b->b_len < u->u_resid ? b->b_len : u->u_resid;
	int error;

	error = quio_out(u, b->b_page + b->b_off, n);
	if (error != 0)
		return error;
	b->b_off += (uint16_t)n;
	b->b_len -= (uint16_t)n;
	*packet = b->b_packet;
	if (b->b_len == 0 || b->b_packet) {
		pipe_page_put(p, b->b_page);
		p->p_tail++;
	}
	return (int64_t)n;
}

int64_t
qpipe_read(struct qpipe *p, struct qfile *f, struct quio *u)
{
	int64_t n, done = 0;
	bool packet = false, was_full;
	int error = 0;

	if (u->u_resid == 0)
		return 0;
	qmutex_lock(&p->p_lock);
	was_full = pipe_full(p);
	for (;;) {
		if (!pipe_empty(p)) {
			n = take(p, u, &packet);
			if (n < 0)
				error = (int)n;
			else
				done += n;
			if (error != 0 || packet || u->u_resid == 0)
				break;
			continue;
		}
		if (done != 0 || p->p_writers == 0)
			break;
		if (qfile_nowait(f, u)) {
			error = -Q_EAGAIN;
			break;
		}
		p->p_rwait++;
		error = qcv_wait(&p->p_rcv, &p->p_lock, QSLEEP_INTR,
		    QUERN_NEVER);
		p->p_rwait--;
		if (error != 0)
			break;
		was_full |= pipe_full(p);
	}
	was_full &= !pipe_full(p);
	pipe_unlock(p);
	if (was_full)
		qpollq_wake(&p->p_pollq, PIPE_POLL_OUT);
	return done != 0 ? done : error;
}

/* ---- writing ------------------------------------------------------------- */

/*
 * Put the odd bytes of a write into the last buffer, if all of them fit there.
 * Bytes or -EFAULT.
 */
static inline int64_t
append(struct qpipe *p, struct quio *u)
{
	size_t n = u->u_resid % PIPE_PAGE;
	struct pipe_buf *b;
	int error;

	if (n == 0 || pipe_empty(p))
		return 0;
	b = pipe_buf(p, p->p_head - 1);
	if (b->b_packet || (size_t)b->b_off + b->b_len + n > PIPE_PAGE)
		return 0;
	error = quio_in(u, b->b_page + b->b_off + b->b_len, n);
	if (error != 0)
		return error;
	b->b_len += (uint16_t)n;
	return (int64_t)n;
}

/* Fill a new buffer.  Bytes, -EFAULT, -ENOMEM. */
static inline int64_t
put(struct qpipe *p, struct quio *u, bool packet)
{
	size_t n = u->u_resid < PIPE_PAGE ? u->u_resid : PIPE_PAGE;
	struct pipe_buf *b;
	char *page;
	int error;

	page = pipe_page_get(p);
	if (page == NULL)
		return -Q_ENOMEM;
	error = quio_in(u, page, n);
	if (error != 0) {
		pipe_page_put(p, page);
		return error;
	}
	b = pipe_buf(p, p->p_head++);
	b->b_page = page;
	b->b_off = 0;
	b->b_len = (uint16_t)n;
	b->b_packet = packet;
	return (int64_t)n;
}

/* Sleep until there may be a free buffer; readers are told of what is there. */
int
pipe_wait_room(struct qpipe *p)
{
	int error;

	if (p->p_rwait != 0 && !pipe_empty(p))
		qcv_signal(&p->p_rcv);
	qpollq_wake(&p->p_pollq, PIPE_POLL_IN);
	p->p_wwait++;
	error = qcv_wait(&p->p_wcv, &p->p_lock, QSLEEP_INTR, QUERN_NEVER);
	p->p_wwait--;
	return error;
}

/* The body of qpipe_write, under the lock. */
static inline int64_t
write_locked(struct qfile *f, struct qpipe *p, struct quio *u, bool *broken)
{
	bool packet = (__atomic_load_n(&f->f_flags, __ATOMIC_RELAXED) &
			  Q_O_DIRECT) != 0;
	int64_t n, done = 0;

	n = p->p_readers != 0 ? append(p, u) : 0;
	for (;;) {
		if (n < 0)
			break;
		done += n;
		if (u->u_resid == 0)
			break;
		if (p->p_readers == 0) {
			*broken = true;
			n = -Q_EPIPE;
		} else if (!pipe_full(p)) {
			n = put(p, u, packet);
		} else if (qfile_nowait(f, u)) {
			n = -Q_EAGAIN;
		} else {
			n = pipe_wait_room(p);
		}
	}
	return done != 0 ? done : n;
}

int64_t
qpipe_write(struct qpipe *p, struct qfile *f, struct quio *u)
{
	int64_t ret;
	bool broken = false;

	if (u->u_resid == 0)
		return 0;
	qmutex_lock(&p->p_lock);
	ret = write_locked(f, p, u, &broken);
	pipe_unlock(p);
	/* Each write is an edge to who polls, even one that failed, as in Linux. */
	qpollq_wake(&p->p_pollq, PIPE_POLL_IN);
	if (qunlikely(broken))
		qproc_signal(qproc_current(), Q_SIGPIPE);
	return ret;
}

/* ---- everything else ------------------------------------------------------ */

uint32_t
qpipe_poll(struct qpipe *p, struct qfile *f, struct qpollent *e, uint32_t seen)
{
	uint32_t ready = 0;

	qpollq_add(&p->p_pollq, e,
	    ((f->f_mode & QF_READ) != 0 ? PIPE_POLL_IN | Q_POLLHUP : 0) |
		((f->f_mode & QF_WRITE) != 0 ? PIPE_POLL_OUT | Q_POLLERR : 0));
	qmutex_lock(&p->p_lock);
	if ((f->f_mode & QF_READ) != 0) {
		if (!pipe_empty(p))
			ready |= PIPE_POLL_IN;
		if (p->p_writers == 0 && p->p_wopens != seen)
			ready |= Q_POLLHUP;
	}
	if ((f->f_mode & QF_WRITE) != 0) {
		if (!pipe_full(p))
			ready |= PIPE_POLL_OUT;
		if (p->p_readers == 0)
			ready |= Q_POLLERR;
	}
	qmutex_unlock(&p->p_lock);
	return ready;
}

int64_t
qpipe_ioctl(struct qpipe *p, struct qsys *s, uint32_t cmd, uint64_t arg)
{
	int32_t n = 0;
	uint32_t i;

	if (cmd != Q_FIONREAD)
		return -Q_ENOTTY;
	qmutex_lock(&p->p_lock);
	for (i = p->p_tail; i != p->p_head; i++)
		n += pipe_buf(p, i)->b_len;
	qmutex_unlock(&p->p_lock);
	return qcopyout(s->s_us, arg, &n, sizeof(n));
}

/* Buffers for `bytes`, rounded up; 0: too many. */
static uint32_t
buffers_for(uint32_t bytes)
{
	uint32_t n = 1;

	/* The answer is an int. */
	if (bytes > UINT32_C(1) << 30)
		return 0;
	while (n < QROUNDUP((uint64_t)bytes, PIPE_PAGE) / PIPE_PAGE)
		n *= 2;
	return n;
}

static int64_t
set_size(struct qpipe *p, uint32_t bytes)
{
	uint32_t n = buffers_for(bytes), i, used;
	struct pipe_buf *bufs, *old;
	bool capable;

	if (n == 0)
		return -Q_EINVAL;
	capable = qproc_capable(qproc_current(), Q_CAP_SYS_RESOURCE);
	bufs = qalloc(&tag_pipe, n * sizeof(*bufs));
	if (bufs == NULL)
		return -Q_ENOMEM;
	qmutex_lock(&p->p_lock);
	used = p->p_head - p->p_tail;
	if (used > n ||
	    (n > p->p_size && n * PIPE_PAGE > PIPE_SIZE_MAX && !capable)) {
		qmutex_unlock(&p->p_lock);
		qfree(bufs);
		return used > n ? -Q_EBUSY : -Q_EPERM;
	}
	for (i = 0; i < used; i++)
		bufs[i] = *pipe_buf(p, p->p_tail + i);
	old = p->p_bufs;
	p->p_bufs = bufs;
	p->p_size = n;
	p->p_tail = 0;
	p->p_head = used;
	pipe_unlock(p);
	/* Linux tells all writers, whatever they wait for. */
	qpollq_wake(&p->p_pollq, PIPE_POLL_OUT | Q_POLLERR);
	qfree(old);
	return (int64_t)(n * PIPE_PAGE);
}

int64_t
qpipe_fcntl(struct qpipe *p, int cmd, uint64_t arg)
{
	int64_t size;

	switch (cmd) {
	case Q_F_GETPIPE_SZ:
		qmutex_lock(&p->p_lock);
		size = (int64_t)(p->p_size * PIPE_PAGE);
		qmutex_unlock(&p->p_lock);
		return size;
	case Q_F_SETPIPE_SZ:
		return set_size(p, (uint32_t)arg);
	default:
		return -Q_EINVAL;
	}
}

static void
pipe_free(struct qpipe *p)
{
	while (!pipe_empty(p))
		qfree(pipe_buf(p, p->p_tail++)->b_page);
	qfree(p->p_spare);
	qfree(p->p_bufs);
	qfree(p);
}

void
qpipe_get(struct qpipe *p)
{
	__atomic_fetch_add(&p->p_refs, 1, __ATOMIC_RELAXED);
}

void
qpipe_put(struct qpipe *p)
{
	if (__atomic_sub_fetch(&p->p_refs, 1, __ATOMIC_ACQ_REL) == 0)
		pipe_free(p);
}

void
qpipe_close(struct qpipe *p, uint32_t mode)
{
	qmutex_lock(&p->p_lock);
	if ((mode & QF_READ) != 0)
		p->p_readers--;
	if ((mode & QF_WRITE) != 0)
		p->p_writers--;
	qmutex_unlock(&p->p_lock);
	/* The other end sees end of file or a broken pipe. */
	qcv_broadcast(&p->p_rcv);
	qcv_broadcast(&p->p_wcv);
	qpollq_wake(&p->p_pollq, 0);
	qpipe_put(p);
}

bool
qpipe_unused(struct qpipe *p)
{
	return __atomic_load_n(&p->p_refs, __ATOMIC_ACQUIRE) == 1;
}

/* ---- the files of a pipe without a name ------------------------------------ */

static int64_t
pipe_read(struct qfile *f, struct quio *u)
{
	return qpipe_read(f->f_obj, f, u);
}

static int64_t
pipe_write(struct qfile *f, struct quio *u)
{
	return qpipe_write(f->f_obj, f, u);
}

static uint32_t
pipe_poll(struct qfile *f, struct qpollent *e)
{
	return qpipe_poll(f->f_obj, f, e, 0);
}

static int64_t
pipe_ioctl(struct qfile *f, struct qsys *s, uint32_t cmd, uint64_t arg)
{
	return qpipe_ioctl(f->f_obj, s, cmd, arg);
}

static int64_t
pipe_fcntl(struct qfile *f, struct qsys *s, int cmd, uint64_t arg)
{
	(void)s;
	return qpipe_fcntl(f->f_obj, cmd, arg);
}

static int
pipe_stat(struct qfile *f, struct q_stat *st)
{
	const struct qpipe *p = f->f_obj;

	st->st_ino = p->p_ino;
	st->st_mode = Q_S_IFIFO | 0600;
	st->st_nlink = 1;
	st->st_blksize = (int64_t)PIPE_PAGE;
	return 0;
}

static void
pipe_release(struct qfile *f)
{
	qpipe_close(f->f_obj, f->f_mode);
}

static struct qpipe *
pipe_self(const struct qfile *f)
{
	return f->f_obj;
}

static const struct qfile_ops pipe_ops = {
	.fo_name = "pipe",
	.fo_read = pipe_read,
	.fo_write = pipe_write,
	.fo_poll = pipe_poll,
	.fo_ioctl = pipe_ioctl,
	.fo_fcntl = pipe_fcntl,
	.fo_stat = pipe_stat,
	.fo_pipe = pipe_self,
	.fo_release = pipe_release,
};

/* ---- making one ----------------------------------------------------------- */

int
qpipe_create(struct qpipe **pp)
{
	struct qpipe *p;

	p = qzalloc(&tag_pipe, sizeof(*p));
	if (p == NULL)
		return -Q_ENOMEM;
	p->p_bufs = qalloc(&tag_pipe, PIPE_BUFFERS * sizeof(*p->p_bufs));
	if (p->p_bufs == NULL) {
		qfree(p);
		return -Q_ENOMEM;
	}
	qmutex_init(&p->p_lock, "pipe");
	qcv_init(&p->p_rcv);
	qcv_init(&p->p_wcv);
	qpollq_init(&p->p_pollq);
	p->p_size = PIPE_BUFFERS;
	p->p_refs = 1;
	*pp = p;
	return 0;
}

/* Sleep until the other end's count of opens is not `was`.  [p] */
static int
wait_open(struct qpipe *p, struct qcv *cv, const uint32_t *opens, uint32_t was)
{
	int error = 0;

	while (error == 0 && *opens == was)
		error = qcv_wait(cv, &p->p_lock, QSLEEP_INTR, QUERN_NEVER);
	return error;
}

/*
 * Who waits for the other end sleeps where those sleep that wait for bytes.  A
 * pipe without a name, which /proc opens, has had both ends, and nobody waits.
 */
int
qpipe_open(struct qpipe *p, uint32_t flags, uint32_t *seen)
{
	uint32_t acc = flags & Q_O_ACCMODE, was;
	bool nowait = (flags & Q_O_NONBLOCK) != 0;
	int error = 0;

	*seen = 0;
	qmutex_lock(&p->p_lock);
	if (acc == Q_O_WRONLY && nowait && p->p_readers == 0 && p->p_ino == 0) {
		qmutex_unlock(&p->p_lock);
		return -Q_ENXIO;
	}
	qpipe_get(p);
	if (acc != Q_O_WRONLY) {
		p->p_readers++;
		p->p_ropens++;
		qcv_broadcast(&p->p_wcv);
	}
	if (acc != Q_O_RDONLY) {
		p->p_writers++;
		p->p_wopens++;
		qcv_broadcast(&p->p_rcv);
	}
	if (p->p_ino != 0) {
		/* Whether there is an end to see is not for opening it. */
	} else if (acc == Q_O_RDONLY && p->p_writers == 0) {
		was = p->p_wopens;
		if (nowait)
			*seen = was;
		else
			error = wait_open(p, &p->p_rcv, &p->p_wopens, was);
	} else if (acc == Q_O_WRONLY && p->p_readers == 0) {
		was = p->p_ropens;
		error = wait_open(p, &p->p_wcv, &p->p_ropens, was);
	}
	qmutex_unlock(&p->p_lock);
	if (error != 0)
		qpipe_close(p, acc == Q_O_RDONLY ? QF_READ : QF_WRITE);
	return error;
}

/* Both files of a new pipe. */
static int
pipe_files(struct quern *k, uint32_t flags, struct qfile *f[2])
{
	uint32_t mode = QF_NOWAIT | QF_DIRECT;
	struct qpipe *p;
	int error;

	error = qpipe_create(&p);
	if (error != 0)
		return error;
	p->p_ino = qfile_serial(k);
	p->p_readers = p->p_writers = 1;
	p->p_wopens = 1; /* a writer has been there */
	p->p_refs = 2;
	error = qfile_create(k, &pipe_ops, p,
	    Q_O_RDONLY | (flags & Q_O_NONBLOCK), mode, &f[0]);
	if (error != 0) {
		pipe_free(p);
		return error;
	}
	error = qfile_create(k, &pipe_ops, p,
	    Q_O_WRONLY | (flags & (Q_O_NONBLOCK | Q_O_DIRECT)), mode, &f[1]);
	if (error != 0) {
		qpipe_put(p);
		qfile_put(f[0]);
	}
	return error;
}

static int64_t
do_pipe(struct qsys *s, uint32_t flags)
{
	struct quern_proc *p = s->s_proc;
	struct qfile *f[2];
	int32_t fd[2];
	int error;

	error = pipe_files(p->p_k, flags, f);
	if (error != 0)
		return error;
	error = fd[0] = qfd_reserve(p, 0, flags);
	if (error >= 0) {
		error = fd[1] = qfd_reserve(p, 0, flags);
		if (error >= 0)
			error = qsys_out(s, 0, fd, sizeof(fd));
		if (error < 0 && fd[1] >= 0)
			qfd_cancel(p, fd[1]);
		if (error < 0)
			qfd_cancel(p, fd[0]);
	}
	if (error < 0) {
		qfile_put(f[0]);
		qfile_put(f[1]);
		return error;
	}
	qfd_commit(p, fd[0], f[0]);
	qfd_commit(p, fd[1], f[1]);
	return 0;
}

QSYS(pipe)
{
	return do_pipe(s, 0);
}

QSYS(pipe2)
{
	uint32_t flags = qsys_uint(s, 1);

	if ((flags & ~(Q_O_CLOEXEC | Q_O_NONBLOCK | Q_O_DIRECT | Q_O_EXCL)) !=
	    0)
		return -Q_EINVAL;
	/* That makes a notification pipe, which needs what isn't there. */
	if ((flags & Q_O_EXCL) != 0)
		return -Q_ENOPKG;
	return do_pipe(s, flags);
}
