/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fifos; devices: those of memory, major number 1, that every program expects
 * (null(4), full(4), random(4)), and the disks, QDISK_MAJOR.
 *
 * A fifo's pipe hangs off the vnode while anybody has it open, or is about to.
 * Reads and writes of a disk go past the page cache: what a file system made of
 * it has in memory is its own.
 */
#include <quern/abi/ioctl.h>
#include <quern/block.h>
#include <quern/pager.h>
#include <quern/pipe.h>

#include "impl.h"

static const struct qtag tag_chunk = { "device chunk" };

#define MEM_MAJOR 1u

/* Zeroes, and room for what is thrown away, a chunk at a time. */
#define CHUNK 1024u

static int64_t
null_read(struct qfile *f, struct quio *u)
{
	(void)f, (void)u;
	return 0;
}

static int64_t
null_write(struct qfile *f, struct quio *u)
{
	size_t n = u->u_resid;

	(void)f;
	u->u_resid = 0;
	return (int64_t)n;
}

static int64_t
zero_read(struct qfile *f, struct quio *u)
{
	static const char zeroes[CHUNK];
	size_t all = u->u_resid, n;
	int error = 0;

	(void)f;
	while (u->u_resid > 0 && error == 0) {
		n = u->u_resid < CHUNK ? u->u_resid : CHUNK;
		error = quio_out(u, zeroes, n);
	}
	return all != u->u_resid ? (int64_t)(all - u->u_resid) : error;
}

static int64_t
full_write(struct qfile *f, struct quio *u)
{
	(void)f;
	return u->u_resid != 0 ? -Q_ENOSPC : 0;
}

static int64_t
random_read(struct qfile *f, struct quio *u)
{
	size_t all = u->u_resid, n;
	char buf[CHUNK];
	int error = 0;

	while (u->u_resid > 0 && error == 0) {
		n = u->u_resid < CHUNK ? u->u_resid : CHUNK;
		error = qrandom_fill(f->f_k, buf, n);
		if (error == 0)
			error = quio_out(u, buf, n);
	}
	return all != u->u_resid ? (int64_t)(all - u->u_resid) : error;
}

/* As anonymous memory. */
static int
zero_mmap(struct qfile *f, struct qmmap *mm)
{
	(void)f;
	mm->mm_kind = QMMAP_ANON;
	return 0;
}

#define DEVICE(read, write, mmap)                                            \
	{                                                                    \
		.fo_name = "device", .fo_read = (read), .fo_write = (write), \
		.fo_seek = qfile_seek_nowhere, .fo_stat = file_stat,         \
		.fo_mmap = (mmap), .fo_release = file_release                \
	}

/* By minor number. */
static const struct qfile_ops mem_ops[] = {
	[3] = DEVICE(null_read, null_write, NULL),
	[5] = DEVICE(zero_read, null_write, zero_mmap),
	[7] = DEVICE(zero_read, full_write, NULL),
	[8] = DEVICE(random_read, null_write, NULL),
	[9] = DEVICE(random_read, null_write, NULL),
};

static int
mem_open(struct quern_proc *p, const struct qpath *at, struct qvnode *v,
    uint32_t flags, struct qfile **fp)
{
	uint32_t minor = qdev_minor(v->v_rdev);

	if (minor >= QARRAYLEN(mem_ops) || mem_ops[minor].fo_read == NULL)
		return -Q_ENXIO;
	return open_make(p, at, flags, &mem_ops[minor],
	    QF_PREAD | QF_PWRITE | QF_NOWAIT, fp);
}

/* ---- fifos ------------------------------------------------------------------ */

static int64_t
fifo_read(struct qfile *f, struct quio *u)
{
	struct open_file *of = open_of(f);
	int64_t n = qpipe_read(of->of_dev, f, u);

	if (n > 0)
		touch_atime(of->of_path.p_mnt, of->of_v, 0);
	if (n > 0)
		notify_path(&of->of_path, Q_IN_ACCESS);
	return n;
}

static int64_t
fifo_write(struct qfile *f, struct quio *u)
{
	struct open_file *of = open_of(f);
	int64_t n = qpipe_write(of->of_dev, f, u);

	if (n > 0 && !mount_rdonly(of->of_path.p_mnt))
		qvnode_touch(of->of_v, QVA_MTIME | QVA_CTIME);
	if (n > 0)
		notify_path(&of->of_path, Q_IN_MODIFY);
	return n;
}

static uint32_t
fifo_poll(struct qfile *f, struct qpollent *e)
{
	return qpipe_poll(open_of(f)->of_dev, f, e, open_of(f)->of_seen);
}

static int64_t
fifo_ioctl(struct qfile *f, struct qsys *s, uint32_t cmd, uint64_t arg)
{
	return qpipe_ioctl(open_of(f)->of_dev, s, cmd, arg);
}

static int64_t
fifo_fcntl(struct qfile *f, struct qsys *s, int cmd, uint64_t arg)
{
	int64_t ret = qpipe_fcntl(open_of(f)->of_dev, cmd, arg);

	return ret != -Q_EINVAL ? ret : vnode_fcntl(f, s, cmd, arg);
}

static int
fifo_flush(struct qfile *f, const struct qfdtable *t)
{
	vnode_locks_closed(open_of(f)->of_v, t);
	return 0;
}

static struct qpipe *
fifo_pipe(const struct qfile *f)
{
	return open_of(f)->of_dev;
}

static const struct qfile_ops fifo_ops = {
	.fo_name = "fifo",
	.fo_read = fifo_read,
	.fo_write = fifo_write,
	.fo_poll = fifo_poll,
	.fo_ioctl = fifo_ioctl,
	.fo_fcntl = fifo_fcntl,
	.fo_stat = file_stat,
	.fo_pipe = fifo_pipe,
	.fo_flush = fifo_flush,
	.fo_release = file_release,
};

/* The vnode's pipe, made if need be, with a reference. */
static int
fifo_get(struct vfs *vf, struct qvnode *v, struct qpipe **pp)
{
	struct qpipe *p;
	int error = 0;

	qmutex_lock(&vf->vf_fifos);
	p = v->v_special;
	if (p == NULL) {
		error = qpipe_create(&p);
		if (error == 0)
			v->v_special = p;
	}
	if (error == 0)
		qpipe_get(p);
	qmutex_unlock(&vf->vf_fifos);
	*pp = p;
	return error;
}

/* Drop a reference; with the last but the vnode's, what is in it goes. */
static void
fifo_put(struct vfs *vf, struct qvnode *v, struct qpipe *p)
{
	qmutex_lock(&vf->vf_fifos);
	qpipe_put(p);
	p = v->v_special;
	if (p != NULL && qpipe_unused(p)) {
		v->v_special = NULL;
		qpipe_put(p);
	}
	qmutex_unlock(&vf->vf_fifos);
}

static void
fifo_end(struct qfile *f)
{
	struct open_file *of = open_of(f);

	qpipe_close(of->of_dev, f->f_mode);
	fifo_put(vfs_of(f->f_k), of->of_v, of->of_dev);
}

static int
fifo_open(struct quern_proc *p, const struct qpath *at, struct qvnode *v,
    uint32_t flags, struct qfile **fp)
{
	static const uint32_t ends[3] = { QF_READ, QF_WRITE,
		QF_READ | QF_WRITE };
	struct vfs *vf = vfs_of(p->p_k);
	struct qpipe *pipe;
	uint32_t seen;
	int error;

	if ((flags & Q_O_ACCMODE) == Q_O_ACCMODE)
		return -Q_EINVAL;
	error = fifo_get(vf, v, &pipe);
	if (error != 0)
		return error;
	error = qpipe_open(pipe, flags, &seen);
	if (error == 0) {
		error = open_make(p, at, flags, &fifo_ops,
		    QF_NOWAIT | QF_DIRECT, fp);
		if (error != 0)
			qpipe_close(pipe, ends[flags & Q_O_ACCMODE]);
	}
	if (error != 0) {
		fifo_put(vf, v, pipe);
		return error;
	}
	open_of(*fp)->of_dev = pipe;
	open_of(*fp)->of_seen = seen;
	open_of(*fp)->of_end = fifo_end;
	return 0;
}

void
vnode_special_end(struct qvnode *v)
{
	qassert(v->v_special == NULL);
}

/* ---- disks ------------------------------------------------------------------ */

#define DISK_CHUNK UINT64_C(65536)

/* Bytes of the disk from `off` on that a chunk of sectors begins and ends with. */
struct span {
	uint64_t s_from, s_to; /* whole sectors */
	size_t s_skip, s_len;  /* of them, what is meant */
};

static struct span
span_at(const struct qdisk *d, uint64_t off, size_t len)
{
	uint64_t size = qdisk_size(d), mask = d->qd_sector - 1;
	struct span s = { .s_from = off & ~mask };

	s.s_skip = (size_t)(off - s.s_from);
	s.s_to = (off + len + mask) & ~mask;
	if (s.s_to > s.s_from + DISK_CHUNK)
		s.s_to = s.s_from + DISK_CHUNK;
	if (s.s_to > size)
		s.s_to = size;
	s.s_len = s.s_to > off ? (size_t)(s.s_to - off) : 0;
	if (s.s_len > len)
		s.s_len = len;
	return s;
}

/* Read or write what `u` says, by way of memory. */
static int64_t
disk_io(struct qdisk *d, struct quio *u, bool writing)
{
	size_t all = u->u_resid;
	uint64_t off = (uint64_t)u->u_off;
	struct span s;
	int error = 0;
	char *buf;

	if (u->u_off < 0)
		return -Q_EINVAL;
	buf = qalloc(&tag_chunk, DISK_CHUNK);
	if (buf == NULL)
		return -Q_ENOMEM;
	while (u->u_resid > 0 && error == 0) {
		s = span_at(d, off, u->u_resid);
		if (s.s_len == 0) {
			error = writing ? -Q_ENOSPC : 0;
			break;
		}
		/* Sectors that are written in part are read first. */
		if (!writing || s.s_len != s.s_to - s.s_from)
			error = qdisk_read(d, s.s_from, buf,
			    (size_t)(s.s_to - s.s_from));
		if (error == 0 && writing)
			error = quio_in(u, buf + s.s_skip, s.s_len);
		else if (error == 0)
			error = quio_out(u, buf + s.s_skip, s.s_len);
		if (error == 0 && writing)
			error = qdisk_write(d, s.s_from, buf,
			    (size_t)(s.s_to - s.s_from));
		if (error == 0)
			off += s.s_len;
	}
	qfree(buf);
	off -= (uint64_t)u->u_off;
	u->u_resid = all - (size_t)off;
	return off != 0 ? (int64_t)off : error;
}

static int64_t
disk_read(struct qfile *f, struct quio *u)
{
	return disk_io(open_of(f)->of_dev, u, false);
}

static int64_t
disk_write(struct qfile *f, struct quio *u)
{
	struct open_file *of = open_of(f);
	struct qdisk *d = of->of_dev;
	int64_t n;
	int error;

	if ((d->qd_flags & QDISK_RDONLY) != 0)
		return -Q_EPERM;
	/* Two that write parts of a sector. */
	qrw_wrlock(&of->of_v->v_lock);
	n = disk_io(d, u, true);
	qrw_wrunlock(&of->of_v->v_lock);
	if (n > 0 &&
	    ((f->f_flags & Q_O_DSYNC) != 0 ||
		(u->u_flags & (QUIO_DSYNC | QUIO_SYNC)) != 0)) {
		error = qdisk_flush(d);
		if (error != 0)
			return error;
	}
	return n;
}

static int64_t
disk_seek(struct qfile *f, int64_t off, int whence)
{
	int64_t size = (int64_t)qdisk_size(open_of(f)->of_dev), base = 0;

	if (whence == Q_SEEK_CUR)
		base = f->f_off;
	else if (whence == Q_SEEK_END)
		base = size;
	else if (whence != Q_SEEK_SET)
		return -Q_EINVAL;
	if (__builtin_add_overflow(base, off, &off) || off < 0 || off > size)
		return -Q_EINVAL;
	return f->f_off = off;
}

/* BLKDISCARD and BLKZEROOUT: the range that `arg` points to. */
static int64_t
disk_clear(struct qfile *f, struct qsys *s, bool discard, uint64_t arg)
{
	struct qdisk *d = open_of(f)->of_dev;
	uint64_t range[2];

	if ((f->f_mode & QF_WRITE) == 0)
		return -Q_EBADF;
	if (qcopyin(s->s_us, range, arg, sizeof(range)) != 0)
		return -Q_EFAULT;
	if (range[0] % d->qd_sector != 0 || range[1] % d->qd_sector != 0 ||
	    range[0] > qdisk_size(d) || range[1] > qdisk_size(d) - range[0])
		return -Q_EINVAL;
	return discard ? qdisk_discard(d, range[0], range[1]) :
			 qdisk_zero(d, range[0], range[1]);
}

static int64_t
disk_ioctl(struct qfile *f, struct qsys *s, uint32_t cmd, uint64_t arg)
{
	struct qdisk *d = open_of(f)->of_dev;
	uint64_t size;
	int32_t n;

	switch (cmd) {
	case Q_BLKGETSIZE64:
	case Q_BLKGETSIZE:
		size = qdisk_look(d) / (cmd == Q_BLKGETSIZE ? 512 : 1);
		return qcopyout(s->s_us, arg, &size, sizeof(size));
	case Q_BLKSSZGET:
	case Q_BLKPBSZGET:
	case Q_BLKBSZGET:
		n = (int32_t)d->qd_sector;
		return qcopyout(s->s_us, arg, &n, sizeof(n));
	case Q_BLKROGET:
		n = (d->qd_flags & QDISK_RDONLY) != 0;
		return qcopyout(s->s_us, arg, &n, sizeof(n));
	case Q_BLKFLSBUF:
		return qdisk_flush(d);
	case Q_BLKDISCARD:
	case Q_BLKZEROOUT:
		return disk_clear(f, s, cmd == Q_BLKDISCARD, arg);
	default:
		return -Q_ENOTTY;
	}
}

static const struct qfile_ops disk_ops = {
	.fo_name = "disk",
	.fo_read = disk_read,
	.fo_write = disk_write,
	.fo_ioctl = disk_ioctl,
	.fo_fcntl = vnode_fcntl,
	.fo_seek = disk_seek,
	.fo_stat = file_stat,
	.fo_flush = fifo_flush,
	.fo_release = file_release,
};

static void
disk_end(struct qfile *f)
{
	qdisk_put(open_of(f)->of_dev);
}

static int
disk_open(struct quern_proc *p, const struct qpath *at, struct qvnode *v,
    uint32_t flags, struct qfile **fp)
{
	uint32_t num = qdev_minor(v->v_rdev);
	struct qdisk *d = qdisk_from(p->p_k, num);
	int error = -Q_ENXIO;

	if (d != NULL && d->qd_num == num)
		error = open_make(p, at, flags, &disk_ops,
		    QF_SEEK | QF_PREAD | QF_PWRITE | QF_DIRECT, fp);
	if (error != 0) {
		if (d != NULL)
			qdisk_put(d);
		return error;
	}
	open_of(*fp)->of_dev = d;
	open_of(*fp)->of_end = disk_end;
	return 0;
}

int
special_fsync(struct qfile *f)
{
	if (f->f_ops == &disk_ops)
		return qdisk_flush(open_of(f)->of_dev);
	return -Q_EINVAL;
}

/* ---- which it is ------------------------------------------------------------ */

int
special_open(struct quern_proc *p, const struct qpath *at, struct qvnode *v,
    uint32_t flags, struct qfile **fp)
{
	uint32_t type = qvnode_type(v), major = qdev_major(v->v_rdev);

	if (type == Q_S_IFIFO)
		return fifo_open(p, at, v, flags, fp);
	if (type == Q_S_IFCHR && major == MEM_MAJOR)
		return mem_open(p, at, v, flags, fp);
	if (type == Q_S_IFBLK && major == QDISK_MAJOR)
		return disk_open(p, at, v, flags, fp);
	if (type == Q_S_IFCHR)
		return cdev_open(p, at, v, flags, fp);
	return -Q_ENXIO;
}
