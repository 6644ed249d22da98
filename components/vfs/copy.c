/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * copy_file_range, and calls that say what will be done with a file's pages.
 */
#include <quern/abi/fs.h>

#include "impl.h"

/* ---- copying -------------------------------------------------------------------- */

/* May data go from one to the other?  In Linux's order of checks. */
static int
may_copy(struct qfile *in, struct qfile *out)
{
	struct qvnode *vi = qfile_vnode(in), *vo = qfile_vnode(out);

	if (vi == NULL || vo == NULL)
		return -Q_EINVAL;
	if (qvnode_isdir(vi) || qvnode_isdir(vo))
		return -Q_EISDIR;
	if (qvnode_type(vi) != Q_S_IFREG || qvnode_type(vo) != Q_S_IFREG)
		return -Q_EINVAL;
	if ((in->f_mode & QF_READ) == 0 || (out->f_mode & QF_WRITE) == 0 ||
	    (out->f_flags & Q_O_APPEND) != 0)
		return -Q_EBADF;
	if (vi->v_fs != vo->v_fs)
		return -Q_EXDEV;
	return qvnode_is(vo, QV_IMMUTABLE) ? -Q_EPERM : 0;
}

static int64_t
copy_range(struct qfile *in, int64_t *inoff, struct qfile *out, int64_t *outoff,
    uint64_t len)
{
	uint64_t from = (uint64_t)*inoff, to = (uint64_t)*outoff, size;
	struct qvnode *v = qfile_vnode(in);

	if (from + len < from || to + len < to)
		return -Q_EOVERFLOW;
	if (*inoff < 0 || *outoff < 0)
		return -Q_EINVAL;
	size = qvnode_size(v);
	if (from >= size)
		return 0;
	if (len > size - from)
		len = size - from;
	if (v == qfile_vnode(out) && from < to + len && to < from + len)
		return -Q_EINVAL;
	return qfile_copy(in, inoff, out, outoff,
	    len < QUIO_MAX ? (size_t)len : QUIO_MAX);
}

/* The position in argument `i`, or the file's own. */
static int
range_off(const struct qsys *s, unsigned i, struct qfile *f, int64_t *off)
{
	if (s->s_arg[i] == 0) {
		qmutex_lock(&f->f_offlock);
		*off = f->f_off;
		qmutex_unlock(&f->f_offlock);
		return 0;
	}
	return qsys_in(s, i, off, sizeof(*off)) != 0 ? -Q_EFAULT : 0;
}

static int
range_done(const struct qsys *s, unsigned i, struct qfile *f, int64_t off)
{
	if (s->s_arg[i] != 0)
		return qsys_out(s, i, &off, sizeof(off)) != 0 ? -Q_EFAULT : 0;
	qmutex_lock(&f->f_offlock);
	f->f_off = off;
	qmutex_unlock(&f->f_offlock);
	return 0;
}

static int64_t
copy_files(struct qsys *s, struct qfile *in, struct qfile *out)
{
	int64_t inoff, outoff, n;
	int error;

	error = range_off(s, 1, in, &inoff);
	if (error == 0)
		error = range_off(s, 3, out, &outoff);
	if (error == 0 && qsys_uint(s, 5) != 0)
		error = -Q_EINVAL;
	if (error == 0)
		error = may_copy(in, out);
	if (error != 0)
		return error;
	n = copy_range(in, &inoff, out, &outoff, s->s_arg[4]);
	if (n <= 0)
		return n;
	error = range_done(s, 1, in, inoff);
	if (error == 0)
		error = range_done(s, 3, out, outoff);
	return error != 0 ? error : n;
}

QSYS(copy_file_range)
{
	struct qfile *in, *out;
	int64_t ret = -Q_EBADF;

	in = qfd_get(s->s_proc, qsys_int(s, 0));
	if (in == NULL)
		return -Q_EBADF;
	out = qfd_get(s->s_proc, qsys_int(s, 2));
	if (out != NULL) {
		ret = copy_files(s, in, out);
		qfile_put(out);
	}
	qfile_put(in);
	return ret;
}

/* ---- advice --------------------------------------------------------------------- */

/* Pages that lie in [off, off + len) as a whole go, once they are written. */
static void
not_needed(struct qvnode *v, uint64_t off, uint64_t len)
{
	uint64_t end = len == 0 || off + len < off ? INT64_MAX : off + len;

	off = QROUNDUP(off, QUERN_PAGE_SIZE);
	/* The last page goes with the file's end. */
	if (end < qvnode_size(v))
		end &= ~(uint64_t)(QUERN_PAGE_SIZE - 1);
	else
		end = QROUNDUP(end, QUERN_PAGE_SIZE);
	if (off >= end || v->v_ops->vo_map == NULL)
		return;
	qrw_wrlock(&v->v_lock);
	(void)qpcache_drop(v, off, end, false);
	qrw_wrunlock(&v->v_lock);
}

static int
advise(struct qfile *f, struct qvnode *v, uint64_t off, uint64_t len,
    int advice)
{
	struct qreadahead *ra = &open_of(f)->of_ra;

	switch (advice) {
	case Q_POSIX_FADV_NORMAL:
	case Q_POSIX_FADV_SEQUENTIAL:
	case Q_POSIX_FADV_RANDOM:
		__atomic_store_n(&ra->ra_off, advice == Q_POSIX_FADV_RANDOM,
		    __ATOMIC_RELAXED);
		return 0;
	case Q_POSIX_FADV_WILLNEED:
		qpcache_willneed(v, off, len);
		return 0;
	case Q_POSIX_FADV_DONTNEED:
		not_needed(v, off, len);
		return 0;
	case Q_POSIX_FADV_NOREUSE:
		return 0;
	default:
		return -Q_EINVAL;
	}
}

QSYS(fadvise64)
{
	int64_t off = (int64_t)s->s_arg[1], len = (int64_t)s->s_arg[2];
	int advice = qsys_int(s, 3), error = 0;
	struct qfile *f;
	struct qvnode *v;

	f = qfd_get(s->s_proc, qsys_int(s, 0));
	if (f == NULL)
		return -Q_EBADF;
	v = qfile_vnode(f);
	if (f->f_ops->fo_pipe != NULL)
		error = -Q_ESPIPE;
	else if (len < 0 || advice < 0 || advice > Q_POSIX_FADV_NOREUSE)
		error = -Q_EINVAL;
	else if (v != NULL && qvnode_type(v) == Q_S_IFREG && off >= 0)
		error = advise(f, v, (uint64_t)off, (uint64_t)len, advice);
	qfile_put(f);
	return error;
}

QSYS(readahead)
{
	int64_t off = (int64_t)s->s_arg[1];
	struct qfile *f;
	struct qvnode *v;
	int error = 0;

	f = qfd_get(s->s_proc, qsys_int(s, 0));
	if (f == NULL)
		return -Q_EBADF;
	v = qfile_vnode(f);
	if ((f->f_mode & QF_READ) == 0)
		error = -Q_EBADF;
	else if (v == NULL || qvnode_type(v) != Q_S_IFREG)
		error = -Q_EINVAL;
	else if (off >= 0 && s->s_arg[2] != 0)
		qpcache_willneed(v, (uint64_t)off, s->s_arg[2]);
	qfile_put(f);
	return error;
}

#define RANGE_FLAGS                                                \
	(Q_SYNC_FILE_RANGE_WAIT_BEFORE | Q_SYNC_FILE_RANGE_WRITE | \
	    Q_SYNC_FILE_RANGE_WAIT_AFTER)

QSYS(sync_file_range)
{
	int64_t off = (int64_t)s->s_arg[1], len = (int64_t)s->s_arg[2], end;
	uint32_t flags = qsys_uint(s, 3);
	struct qfile *f;
	struct qvnode *v;
	int error = 0;

	f = qfd_get(s->s_proc, qsys_int(s, 0));
	if (f == NULL)
		return -Q_EBADF;
	v = qfile_vnode(f);
	if ((flags & ~(uint32_t)RANGE_FLAGS) != 0 || off < 0 || len < 0 ||
	    __builtin_add_overflow(off, len, &end))
		error = -Q_EINVAL;
	else if (v == NULL || qvnode_type(v) == Q_S_IFIFO ||
	    qvnode_type(v) == Q_S_IFCHR)
		error = -Q_ESPIPE;
	else if (qvnode_type(v) == Q_S_IFREG && flags != 0)
		error = qpcache_sync(v, (uint64_t)off,
		    len == 0 ? UINT64_MAX : (uint64_t)end,
		    (flags & ~(uint32_t)Q_SYNC_FILE_RANGE_WRITE) != 0);
	qfile_put(f);
	return error;
}
