/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading and writing: read, pread64, readv, preadv, preadv2, their opposites,
 * and lseek.
 *
 * The order of checks is Linux's, so that a call that is wrong in two ways
 * fails in the same way.
 */
#include "callimpl.h"

/* A position that is none: the file's own is used. */
#define OWN_POS (-1)

static int64_t
transfer(struct qfile *f, struct quio *u, bool writing)
{
	int64_t (*op)(struct qfile *, struct quio *);

	/* No file ends behind that, whatever it is. */
	if (qunlikely(u->u_off > INT64_MAX - (int64_t)u->u_resid))
		return -Q_EINVAL;
	op = writing ? f->f_ops->fo_write : f->f_ops->fo_read;
	return qlikely(op != NULL) ? op(f, u) : -Q_EINVAL;
}

/* Transfer at the file's own position, which moves. */
static int64_t
transfer_seek(struct qfile *f, struct quio *u, bool writing)
{
	int64_t n;

	qmutex_lock(&f->f_offlock);
	u->u_off = f->f_off;
	n = transfer(f, u, writing);
	if (n > 0)
		f->f_off = u->u_off + n;
	qmutex_unlock(&f->f_offlock);
	return n;
}

static inline bool
allowed(const struct qfile *f, bool writing)
{
	return (f->f_mode & (writing ? QF_WRITE : QF_READ)) != 0;
}

/* read and write. */
static inline int64_t
simple(struct qsys *s, bool writing)
{
	struct qfile *f;
	struct quio u;
	int64_t ret;

	f = qfd_get(s->s_proc, qsys_int(s, 0));
	if (qunlikely(f == NULL))
		return -Q_EBADF;
	if (qunlikely(!allowed(f, writing)))
		ret = -Q_EBADF;
	else if ((ret = quio_init(&u, s->s_us, s->s_arg[1], s->s_arg[2])) != 0)
		;
	else if ((f->f_mode & QF_SEEK) != 0)
		ret = transfer_seek(f, &u, writing);
	else
		ret = transfer(f, &u, writing);
	qfile_put(f);
	return ret;
}

QSYS(read)
{
	return simple(s, false);
}

QSYS(write)
{
	return simple(s, true);
}

static bool
has_positions(const struct qfile *f, bool writing)
{
	return (f->f_mode & (writing ? QF_PWRITE : QF_PREAD)) != 0;
}

/* pread64 and pwrite64. */
static int64_t
positioned(struct qsys *s, bool writing)
{
	int64_t off = (int64_t)s->s_arg[3], ret;
	struct qfile *f;
	struct quio u;

	if (off < 0)
		return -Q_EINVAL;
	f = qfd_get(s->s_proc, qsys_int(s, 0));
	if (f == NULL)
		return -Q_EBADF;
	if (!has_positions(f, writing)) {
		ret = -Q_ESPIPE;
	} else if (!allowed(f, writing)) {
		ret = -Q_EBADF;
	} else {
		ret = quio_init(&u, s->s_us, s->s_arg[1], s->s_arg[2]);
		u.u_off = off;
		if (ret == 0)
			ret = transfer(f, &u, writing);
	}
	qfile_put(f);
	return ret;
}

QSYS(pread64)
{
	return positioned(s, false);
}

QSYS(pwrite64)
{
	return positioned(s, true);
}

/* Translate the flags of one call. */
static int
take_flags(const struct qfile *f, struct quio *u, uint32_t flags)
{
	if ((flags &
		~(Q_RWF_HIPRI | Q_RWF_DSYNC | Q_RWF_SYNC | Q_RWF_NOWAIT |
		    Q_RWF_APPEND)) != 0)
		return -Q_EOPNOTSUPP;
	if ((flags & Q_RWF_NOWAIT) != 0 && (f->f_mode & QF_NOWAIT) == 0)
		return -Q_EOPNOTSUPP;
	if ((flags & Q_RWF_NOWAIT) != 0)
		u->u_flags |= QUIO_NOWAIT;
	if ((flags & Q_RWF_APPEND) != 0)
		u->u_flags |= QUIO_APPEND;
	if ((flags & Q_RWF_DSYNC) != 0)
		u->u_flags |= QUIO_DSYNC;
	if ((flags & Q_RWF_SYNC) != 0)
		u->u_flags |= QUIO_DSYNC | QUIO_SYNC;
	if ((flags & Q_RWF_HIPRI) != 0)
		u->u_flags |= QUIO_HIPRI;
	return 0;
}

static int64_t
vector_file(struct qsys *s, struct qfile *f, int64_t off, uint32_t flags,
    bool writing)
{
	struct quio u;
	int64_t ret;

	if (off != OWN_POS && !has_positions(f, writing))
		return -Q_ESPIPE;
	if (!allowed(f, writing))
		return -Q_EBADF;
	if ((writing ? f->f_ops->fo_write : f->f_ops->fo_read) == NULL)
		return -Q_EINVAL; /* even if there is nothing to move */
	ret = quio_import(&u, s->s_us, s->s_arg[1], s->s_arg[2]);
	if (ret != 0)
		return ret;
	if (u.u_resid != 0)
		ret = take_flags(f, &u, flags);
	if (ret == 0 && u.u_resid != 0) {
		u.u_off = off;
		if (off == OWN_POS && (f->f_mode & QF_SEEK) != 0)
			ret = transfer_seek(f, &u, writing);
		else
			ret = transfer(f, &u, writing);
	}
	quio_fini(&u);
	return ret;
}

static int64_t
vector(struct qsys *s, int64_t off, uint32_t flags, bool writing)
{
	struct qfile *f;
	int64_t ret;

	f = qfd_get(s->s_proc, qsys_int(s, 0));
	if (f == NULL)
		return -Q_EBADF;
	ret = vector_file(s, f, off, flags, writing);
	qfile_put(f);
	return ret;
}

QSYS(readv)
{
	return vector(s, OWN_POS, 0, false);
}

QSYS(writev)
{
	return vector(s, OWN_POS, 0, true);
}

QSYS(preadv)
{
	int64_t off = (int64_t)s->s_arg[3];

	return off < 0 ? -Q_EINVAL : vector(s, off, 0, false);
}

QSYS(pwritev)
{
	int64_t off = (int64_t)s->s_arg[3];

	return off < 0 ? -Q_EINVAL : vector(s, off, 0, true);
}

/* preadv2 and pwritev2: position -1 is the file's own. */
QSYS(preadv2)
{
	int64_t off = (int64_t)s->s_arg[3];

	if (off < 0 && off != OWN_POS)
		return -Q_EINVAL;
	return vector(s, off, qsys_uint(s, 5), false);
}

QSYS(pwritev2)
{
	int64_t off = (int64_t)s->s_arg[3];

	if (off < 0 && off != OWN_POS)
		return -Q_EINVAL;
	return vector(s, off, qsys_uint(s, 5), true);
}

QSYS(lseek)
{
	uint32_t whence = qsys_uint(s, 2);
	struct qfile *f;
	int64_t ret;

	f = qfd_get(s->s_proc, qsys_int(s, 0));
	if (f == NULL)
		return -Q_EBADF;
	if (whence > Q_SEEK_HOLE) {
		ret = -Q_EINVAL;
	} else if (f->f_ops->fo_seek == NULL) {
		ret = -Q_ESPIPE;
	} else {
		qmutex_lock(&f->f_offlock);
		ret = f->f_ops->fo_seek(f, (int64_t)s->s_arg[1], (int)whence);
		qmutex_unlock(&f->f_offlock);
	}
	qfile_put(f);
	return ret;
}
