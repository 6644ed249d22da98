/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Data from one open file to another: sendfile, splice, tee, vmsplice, and the
 * copying that copy_file_range does.
 *
 * Everything is copied, a page or some at a time.  A pipe's lock is held while
 * the file at the other end is read or written, as in Linux: what was taken out
 * of a file has a place, and what could not be written is still in the pipe.
 * Between two pipes only one lock is waited for; with that held, the other is
 * tried, and if it is not free both are given back.
 */
#include "pipeimpl.h"

#include <quern/abi/signal.h>
#include <quern/abi/splice.h>

#define COPY_CHUNK ((size_t)65536)

static const struct qtag tag_copy = { "file copy" };

/*
 * Read or write `len` bytes at `buf` of the kernel's, at *off, which moves, or
 * (NULL) at the file's own position.  Bytes or -errno.
 */
static int64_t
transfer(struct qfile *f, int64_t *off, void *buf, size_t len, bool writing,
    bool nowait)
{
	bool own = off == NULL && (f->f_mode & QF_SEEK) != 0;
	int64_t (*op)(struct qfile *, struct quio *);
	struct quio u;
	int64_t n;

	op = writing ? f->f_ops->fo_write : f->f_ops->fo_read;
	if (op == NULL)
		return -Q_EINVAL;
	n = quio_init(&u, &quspace_local, (uintptr_t)buf, len);
	if (n != 0)
		return n;
	if (own)
		qmutex_lock(&f->f_offlock);
	u.u_off = off != NULL ? *off : own ? f->f_off : 0;
	u.u_flags = nowait ? QUIO_NOWAIT : 0;
	n = op(f, &u);
	if (n == -Q_EISDIR)
		n = -Q_EINVAL; /* a directory is no source, to these calls */
	if (n > 0 && off != NULL)
		*off = u.u_off + n;
	if (n > 0 && own)
		f->f_off = u.u_off + n;
	if (own)
		qmutex_unlock(&f->f_offlock);
	return n;
}

/* Write all of it, unless an error or a full file comes first. */
static int64_t
write_all(struct qfile *out, int64_t *off, char *buf, size_t len)
{
	size_t done = 0;
	int64_t n = 0;

	while (done < len) {
		n = transfer(out, off, buf + done, len - done, true, false);
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done != 0 ? (int64_t)done : n;
}

/* Has the call been told to end? */
static bool
is_interrupted(void)
{
	struct quern_proc *p = qproc_current();

	return p != NULL && __atomic_load_n(&p->p_intr, __ATOMIC_RELAXED) != 0;
}

int64_t
qfile_copy(struct qfile *in, int64_t *inoff, struct qfile *out, int64_t *outoff,
    size_t len)
{
	int64_t done = 0, n = 0, m;
	size_t want;
	char *buf;

	buf = qalloc(&tag_copy, COPY_CHUNK);
	if (buf == NULL)
		return -Q_ENOMEM;
	while (len > 0) {
		want = len < COPY_CHUNK ? len : COPY_CHUNK;
		m = *inoff;
		n = transfer(in, &m, buf, want, false, false);
		if (n <= 0)
			break;
		m = n;
		n = write_all(out, outoff, buf, (size_t)n);
		if (n <= 0)
			break;
		*inoff += n;
		done += n;
		len -= (size_t)n;
		if (n < m || is_interrupted())
			break;
	}
	qfree(buf);
	return done != 0 ? done : n;
}

/* ---- a pipe and something else ---------------------------------------------- */

struct qpipe *
pipe_of(const struct qfile *f)
{
	return f->f_ops->fo_pipe != NULL ? f->f_ops->fo_pipe(f) : NULL;
}

static bool
is_nowait(const struct qfile *f, uint32_t flags)
{
	return (flags & Q_SPLICE_F_NONBLOCK) != 0 ||
	    (__atomic_load_n(&f->f_flags, __ATOMIC_RELAXED) & Q_O_NONBLOCK) !=
	    0;
}

/* Wait for room in a pipe.  -EPIPE, -EAGAIN, -EINTR.  [p] */
static int
await_room(struct qpipe *p, bool nowait)
{
	int error = 0;

	while (error == 0) {
		if (p->p_readers == 0)
			return -Q_EPIPE;
		if (!pipe_full(p))
			return 0;
		error = nowait ? -Q_EAGAIN : pipe_wait_room(p);
	}
	return error;
}

/* Wait for bytes in one.  1; 0: at its end; -EAGAIN, -EINTR.  [p] */
static int
await_bytes(struct qpipe *p, bool nowait)
{
	int error = 0;

	while (error == 0) {
		if (!pipe_empty(p))
			return 1;
		if (p->p_writers == 0)
			return 0;
		if (nowait)
			return -Q_EAGAIN;
		p->p_rwait++;
		error = qcv_wait(&p->p_rcv, &p->p_lock, QSLEEP_INTR,
		    QUERN_NEVER);
		p->p_rwait--;
	}
	return error;
}

/* The page's first `n` bytes are the pipe's last buffer. */
static void
add_buffer(struct qpipe *p, char *page, size_t n)
{
	struct pipe_buf *b = pipe_buf(p, p->p_head++);

	b->b_page = page;
	b->b_off = 0;
	b->b_len = (uint16_t)n;
	b->b_packet = false;
}

/* `n` bytes of the first buffer have gone. */
static void
drop_bytes(struct qpipe *p, size_t n)
{
	struct pipe_buf *b = pipe_buf(p, p->p_tail);

	b->b_off += (uint16_t)n;
	b->b_len -= (uint16_t)n;
	if (b->b_len == 0) {
		pipe_page_put(p, b->b_page);
		p->p_tail++;
	}
}

static int64_t
file_to_pipe(struct qfile *in, int64_t *inoff, struct qpipe *p, size_t len,
    bool nowait, uint32_t flags)
{
	int64_t done = 0, n;
	size_t want;
	char *page;
	int error;

	qmutex_lock(&p->p_lock);
	n = error = await_room(p, nowait);
	while (n == 0 && len > 0 && !pipe_full(p)) {
		page = pipe_page_get(p);
		if (page == NULL) {
			n = -Q_ENOMEM;
			break;
		}
		want = len < PIPE_PAGE ? len : PIPE_PAGE;
		/* A source that may wait does so for the first bytes only. */
		n = transfer(in, inoff, page, want, false,
		    (in->f_mode & QF_SPLICE) != 0 &&
			(done != 0 || (flags & Q_SPLICE_F_NONBLOCK) != 0));
		if (n <= 0) {
			pipe_page_put(p, page);
			break;
		}
		add_buffer(p, page, (size_t)n);
		done += n;
		len -= (size_t)n;
		n = (size_t)n < want;
	}
	pipe_unlock(p);
	if (done != 0)
		qpollq_wake(&p->p_pollq, PIPE_POLL_IN);
	if (error == -Q_EPIPE)
		qproc_signal(qproc_current(), Q_SIGPIPE);
	return done != 0 || n > 0 ? done : n;
}

static int64_t
pipe_to_file(struct qpipe *p, struct qfile *out, int64_t *outoff, size_t len,
    bool nowait)
{
	struct pipe_buf *b;
	int64_t done = 0, n;
	bool was_full;
	size_t want;

	qmutex_lock(&p->p_lock);
	n = await_bytes(p, nowait);
	was_full = pipe_full(p);
	while (n > 0 && len > 0 && !pipe_empty(p)) {
		b = pipe_buf(p, p->p_tail);
		want = b->b_len < len ? b->b_len : len;
		n = transfer(out, outoff, b->b_page + b->b_off, want, true,
		    false);
		if (n <= 0)
			break;
		drop_bytes(p, (size_t)n);
		done += n;
		len -= (size_t)n;
	}
	was_full &= !pipe_full(p);
	pipe_unlock(p);
	if (was_full)
		qpollq_wake(&p->p_pollq, PIPE_POLL_OUT);
	return done != 0 ? done : n;
}

/* ---- two pipes -------------------------------------------------------------- */

/* Have `from` bytes and `to` room, and both locked: 1, or as await_*. */
static int
lock_both(struct qpipe *from, struct qpipe *to, bool nowait)
{
	int error;

	for (;;) {
		qmutex_lock(&to->p_lock);
		error = await_room(to, nowait);
		pipe_unlock(to);
		if (error != 0)
			return error;
		qmutex_lock(&from->p_lock);
		error = await_bytes(from, nowait);
		if (error > 0 && qmutex_trylock(&to->p_lock)) {
			if (to->p_readers != 0 && !pipe_full(to))
				return 1;
			pipe_unlock(to);
		}
		pipe_unlock(from);
		if (error <= 0)
			return error;
		qthread_yield();
	}
}

/*
 * Copy what there is and has room; `take`: out of `from`.  Both are locked.
 * Bytes or -ENOMEM.
 */
static int64_t
pass(struct qpipe *from, struct qpipe *to, size_t len, bool take)
{
	uint32_t i = from->p_tail;
	struct pipe_buf *b;
	int64_t done = 0;
	size_t n;
	char *page;

	while (len > 0 && i != from->p_head && !pipe_full(to)) {
		b = pipe_buf(from, i);
		n = b->b_len < len ? b->b_len : len;
		page = pipe_page_get(to);
		if (page == NULL)
			return done != 0 ? done : -Q_ENOMEM;
		__builtin_memcpy(page, b->b_page + b->b_off, n);
		add_buffer(to, page, n);
		i++;
		if (take)
			drop_bytes(from, n);
		done += (int64_t)n;
		len -= n;
	}
	return done;
}

static int64_t
pipe_to_pipe(struct qpipe *from, struct qpipe *to, size_t len, bool nowait,
    bool take)
{
	bool was_full;
	int64_t n;

	if (from == to)
		return -Q_EINVAL;
	n = lock_both(from, to, nowait);
	if (n == -Q_EPIPE)
		qproc_signal(qproc_current(), Q_SIGPIPE);
	if (n <= 0)
		return n;
	was_full = pipe_full(from);
	n = pass(from, to, len, take);
	was_full &= !pipe_full(from);
	pipe_unlock(to);
	pipe_unlock(from);
	if (n > 0)
		qpollq_wake(&to->p_pollq, PIPE_POLL_IN);
	if (was_full)
		qpollq_wake(&from->p_pollq, PIPE_POLL_OUT);
	return n;
}

/* ---- the calls --------------------------------------------------------------- */

/*
 * The position that argument `i` points to, of a file that can be read or
 * written anywhere (`mode` QF_P*): *offp is &*off, or NULL if the pointer is.
 */
static int
off_arg(const struct qsys *s, unsigned i, const struct qfile *f, uint32_t mode,
    int64_t *off, int64_t **offp)
{
	*offp = NULL;
	if (s->s_arg[i] == 0)
		return 0;
	if ((f->f_mode & mode) == 0)
		return mode == QF_PREAD ? -Q_ESPIPE : -Q_EINVAL;
	if (qsys_in(s, i, off, sizeof(*off)) != 0)
		return -Q_EFAULT;
	if (*off < 0)
		return -Q_EINVAL;
	*offp = off;
	return 0;
}

/* Can it be read without waiting for somebody, as the source of a copy? */
static bool
is_source(const struct qfile *f)
{
	return (f->f_mode & QF_PREAD) != 0 && f->f_ops->fo_read != NULL;
}

/* splice with everything looked up; offsets NULL: none were given. */
static int64_t
splice_files(struct qfile *in, int64_t *inoff, struct qfile *out,
    int64_t *outoff, size_t len, uint32_t flags)
{
	struct qpipe *from = pipe_of(in), *to = pipe_of(out);

	if (from != NULL && to != NULL)
		return pipe_to_pipe(from, to, len,
		    is_nowait(in, flags) || is_nowait(out, flags), true);
	if (to != NULL)
		return is_source(in) || (in->f_mode & QF_SPLICE) != 0 ?
		    file_to_pipe(in, inoff, to, len, is_nowait(out, flags),
			flags) :
		    -Q_EINVAL;
	if (from == NULL || (out->f_flags & Q_O_APPEND) != 0)
		return -Q_EINVAL;
	return pipe_to_file(from, out, outoff, len, is_nowait(in, flags));
}

static int64_t
do_sendfile(struct qsys *s, struct qfile *in, struct qfile *out, size_t len)
{
	int64_t off, own, *offp, n;
	int error;

	error = off_arg(s, 2, in, QF_PREAD, &off, &offp);
	if (error != 0)
		return error;
	/* A pipe is none, even to another. */
	if (pipe_of(in) != NULL)
		return -Q_EINVAL;
	if (pipe_of(out) != NULL) {
		n = splice_files(in, offp, out, NULL, len, 0);
	} else if (!is_source(in) || (out->f_flags & Q_O_APPEND) != 0) {
		return -Q_EINVAL;
	} else if (offp != NULL) {
		n = qfile_copy(in, offp, out, NULL, len);
	} else {
		qmutex_lock(&in->f_offlock);
		own = in->f_off;
		qmutex_unlock(&in->f_offlock);
		n = qfile_copy(in, &own, out, NULL, len);
		qmutex_lock(&in->f_offlock);
		if (n > 0)
			in->f_off = own;
		qmutex_unlock(&in->f_offlock);
	}
	if (offp != NULL && n >= 0 && qsys_out(s, 2, offp, sizeof(off)) != 0)
		return -Q_EFAULT;
	return n;
}

QSYS(sendfile)
{
	size_t len = s->s_arg[3] < QUIO_MAX ? s->s_arg[3] : QUIO_MAX;
	int64_t ret = -Q_EBADF;
	struct qfile *in, *out;

	in = qfd_get(s->s_proc, qsys_int(s, 1));
	if (in == NULL)
		return -Q_EBADF;
	out = qfd_get(s->s_proc, qsys_int(s, 0));
	if (out != NULL) {
		if ((in->f_mode & QF_READ) != 0 &&
		    (out->f_mode & QF_WRITE) != 0)
			ret = do_sendfile(s, in, out, len);
		qfile_put(out);
	}
	qfile_put(in);
	return ret;
}

static int64_t
do_splice(struct qsys *s, struct qfile *in, struct qfile *out, size_t len,
    uint32_t flags)
{
	int64_t off[2], *inoff, *outoff, n;
	int error;

	if ((pipe_of(in) != NULL && s->s_arg[1] != 0) ||
	    (pipe_of(out) != NULL && s->s_arg[3] != 0))
		return -Q_ESPIPE;
	if (pipe_of(in) == NULL && s->s_arg[1] != 0 &&
	    (in->f_mode & QF_PREAD) == 0)
		return -Q_EINVAL;
	error = off_arg(s, 1, in, QF_PREAD, &off[0], &inoff);
	if (error == 0)
		error = off_arg(s, 3, out, QF_PWRITE, &off[1], &outoff);
	if (error != 0)
		return error;
	n = splice_files(in, inoff, out, outoff, len, flags);
	if (n > 0 && inoff != NULL &&
	    qsys_out(s, 1, inoff, sizeof(off[0])) != 0)
		return -Q_EFAULT;
	if (n > 0 && outoff != NULL &&
	    qsys_out(s, 3, outoff, sizeof(off[1])) != 0)
		return -Q_EFAULT;
	return n;
}

#define SPLICE_FLAGS                                               \
	(Q_SPLICE_F_MOVE | Q_SPLICE_F_NONBLOCK | Q_SPLICE_F_MORE | \
	    Q_SPLICE_F_GIFT)

/* Look both files up and do it: 0 bytes always succeed. */
static int64_t
with_files(struct qsys *s, unsigned out_arg, size_t len, uint32_t flags,
    int64_t (
	*body)(struct qsys *, struct qfile *, struct qfile *, size_t, uint32_t))
{
	int64_t ret = -Q_EBADF;
	struct qfile *in, *out;

	if (len == 0)
		return 0;
	if ((flags & ~(uint32_t)SPLICE_FLAGS) != 0)
		return -Q_EINVAL;
	if (len > QUIO_MAX)
		len = QUIO_MAX;
	in = qfd_get(s->s_proc, qsys_int(s, 0));
	if (in == NULL)
		return -Q_EBADF;
	out = qfd_get(s->s_proc, qsys_int(s, out_arg));
	if (out != NULL) {
		if ((in->f_mode & QF_READ) != 0 &&
		    (out->f_mode & QF_WRITE) != 0)
			ret = body(s, in, out, len, flags);
		qfile_put(out);
	}
	qfile_put(in);
	return ret;
}

QSYS(splice)
{
	return with_files(s, 2, (size_t)s->s_arg[4], qsys_uint(s, 5),
	    do_splice);
}

static int64_t
do_tee(struct qsys *s, struct qfile *in, struct qfile *out, size_t len,
    uint32_t flags)
{
	struct qpipe *from = pipe_of(in), *to = pipe_of(out);

	(void)s;
	if (from == NULL || to == NULL)
		return -Q_EINVAL;
	return pipe_to_pipe(from, to, len,
	    is_nowait(in, flags) || is_nowait(out, flags), false);
}

QSYS(tee)
{
	return with_files(s, 1, (size_t)s->s_arg[2], qsys_uint(s, 3), do_tee);
}

/* Pages are not given away here: a write, or read, of a pipe. */
QSYS(vmsplice)
{
	uint32_t flags = qsys_uint(s, 3);
	struct qpipe *p;
	struct qfile *f;
	struct quio u;
	int64_t ret;

	if ((flags & ~(uint32_t)SPLICE_FLAGS) != 0)
		return -Q_EINVAL;
	f = qfd_get(s->s_proc, qsys_int(s, 0));
	if (f == NULL)
		return -Q_EBADF;
	p = pipe_of(f);
	if (p == NULL) {
		qfile_put(f);
		return -Q_EBADF;
	}
	ret = quio_import(&u, s->s_us, s->s_arg[1], s->s_arg[2]);
	if (ret == 0) {
		if ((flags & Q_SPLICE_F_NONBLOCK) != 0)
			u.u_flags |= QUIO_NOWAIT;
		if (u.u_resid != 0)
			ret = (f->f_mode & QF_WRITE) != 0 ?
			    qpipe_write(p, f, &u) :
			    qpipe_read(p, f, &u);
		quio_fini(&u);
	}
	qfile_put(f);
	return ret;
}
