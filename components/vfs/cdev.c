/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Character devices of other components.  A file of one is a file of the VFS's,
 * with a path and a vnode; of_dev is what the device calls what was opened.
 */
#include "cdev.h"
#include "impl.h"

static bool
overlaps(const struct qcdev *a, const struct qcdev *b)
{
	if (a->cd_name != NULL && b->cd_name != NULL &&
	    qstrcmp(a->cd_name, b->cd_name) == 0)
		return true;
	return a->cd_major == b->cd_major &&
	    a->cd_minor < b->cd_minor + b->cd_nminor &&
	    b->cd_minor < a->cd_minor + a->cd_nminor;
}

int
qcdev_register(struct quern *k, struct qcdev *d)
{
	struct vfs *vf = vfs_of(k);
	struct qlist *l;
	int error = 0;

	qmutex_lock(&vf->vf_cdevs);
	QLIST_FOREACH(l, &vf->vf_cdevlist)
		if (overlaps(d, QLIST_ELEM(l, struct qcdev, cd_link)))
			error = -Q_EEXIST;
	if (error == 0)
		qlist_append(&vf->vf_cdevlist, &d->cd_link);
	qmutex_unlock(&vf->vf_cdevs);
	return error;
}

void
qcdev_unregister(struct quern *k, struct qcdev *d)
{
	struct vfs *vf = vfs_of(k);

	qmutex_lock(&vf->vf_cdevs);
	qlist_del(&d->cd_link);
	qmutex_unlock(&vf->vf_cdevs);
}

const struct qcdev *
qcdev_named(struct quern *k, unsigned n)
{
	struct vfs *vf = vfs_of(k);
	struct qcdev *d, *found = NULL;
	struct qlist *l;

	qmutex_lock(&vf->vf_cdevs);
	QLIST_FOREACH(l, &vf->vf_cdevlist) {
		d = QLIST_ELEM(l, struct qcdev, cd_link);
		if (d->cd_name != NULL && found == NULL && n-- == 0)
			found = d;
	}
	qmutex_unlock(&vf->vf_cdevs);
	return found;
}

static struct qcdev *
find(struct vfs *vf, uint32_t major, uint32_t minor)
{
	struct qcdev *d, *found = NULL;
	struct qlist *l;

	qmutex_lock(&vf->vf_cdevs);
	QLIST_FOREACH(l, &vf->vf_cdevlist) {
		d = QLIST_ELEM(l, struct qcdev, cd_link);
		if (d->cd_major == major && minor >= d->cd_minor &&
		    minor - d->cd_minor < d->cd_nminor)
			found = d;
	}
	qmutex_unlock(&vf->vf_cdevs);
	return found;
}

/* ---- files ------------------------------------------------------------------ */

/* What was opened, and of which device. */
struct opened {
	const struct qcdev_ops *od_ops;
	void *od_open;
};

static const struct qtag tag_cdev = { "device file" };

static struct opened *
opened_of(const struct qfile *f)
{
	return open_of(f)->of_dev;
}

static int64_t
cdev_read(struct qfile *f, struct quio *u)
{
	struct opened *od = opened_of(f);

	if (od->od_ops->co_read == NULL)
		return -Q_EINVAL;
	return od->od_ops->co_read(od->od_open, f, u);
}

static int64_t
cdev_write(struct qfile *f, struct quio *u)
{
	struct opened *od = opened_of(f);

	if (od->od_ops->co_write == NULL)
		return -Q_EINVAL;
	return od->od_ops->co_write(od->od_open, f, u);
}

static uint32_t
cdev_poll(struct qfile *f, struct qpollent *e)
{
	struct opened *od = opened_of(f);

	if (od->od_ops->co_poll == NULL)
		return Q_POLLIN | Q_POLLOUT | Q_POLLRDNORM | Q_POLLWRNORM;
	return od->od_ops->co_poll(od->od_open, f, e);
}

static int64_t
cdev_ioctl(struct qfile *f, struct qsys *s, uint32_t cmd, uint64_t arg)
{
	struct opened *od = opened_of(f);

	if (od->od_ops->co_ioctl == NULL)
		return -Q_ENOTTY;
	return od->od_ops->co_ioctl(od->od_open, f, s, cmd, arg);
}

static void
cdev_end(struct qfile *f)
{
	struct opened *od = opened_of(f);

	od->od_ops->co_close(od->od_open);
	qfree(od);
}

static const struct qfile_ops cdev_ops = {
	.fo_name = "device",
	.fo_read = cdev_read,
	.fo_write = cdev_write,
	.fo_poll = cdev_poll,
	.fo_ioctl = cdev_ioctl,
	.fo_fcntl = vnode_fcntl,
	.fo_stat = file_stat,
	.fo_release = file_release,
};

/* Regular files that open themselves have a position, but no known end. */
static int64_t
made_seek(struct qfile *f, int64_t off, int whence)
{
	int64_t base = whence == Q_SEEK_CUR ? f->f_off : 0;

	if (whence != Q_SEEK_CUR && whence != Q_SEEK_SET)
		return -Q_EINVAL;
	if (__builtin_add_overflow(base, off, &off) || off < 0)
		return -Q_EINVAL;
	return f->f_off = off;
}

static const struct qfile_ops made_ops = {
	.fo_name = "file",
	.fo_read = cdev_read,
	.fo_write = cdev_write,
	.fo_poll = cdev_poll,
	.fo_ioctl = cdev_ioctl,
	.fo_fcntl = vnode_fcntl,
	.fo_seek = made_seek,
	.fo_stat = file_stat,
	.fo_release = file_release,
};

/* The file of what was opened, which is closed if there can't be one. */
static int
make_file(struct quern_proc *p, const struct qpath *at, uint32_t flags,
    bool regular, const struct opened *made, struct qfile **fp)
{
	struct opened *od = qalloc(&tag_cdev, sizeof(*od));
	int error = -Q_ENOMEM;

	if (od != NULL) {
		*od = *made;
		error = open_make(p, at, flags, regular ? &made_ops : &cdev_ops,
		    regular ? QF_SEEK | QF_PREAD | QF_PWRITE : QF_NOWAIT, fp);
	}
	if (error != 0) {
		made->od_ops->co_close(made->od_open);
		qfree(od);
		return error;
	}
	open_of(*fp)->of_dev = od;
	open_of(*fp)->of_end = cdev_end;
	return 0;
}

int
cdev_open(struct quern_proc *p, const struct qpath *at, struct qvnode *v,
    uint32_t flags, struct qfile **fp)
{
	uint32_t minor = qdev_minor(v->v_rdev);
	struct qcdev *d = find(vfs_of(p->p_k), qdev_major(v->v_rdev), minor);
	struct opened od;
	int error;

	if (d == NULL)
		return -Q_ENXIO;
	od.od_ops = d->cd_ops;
	error = d->cd_ops->co_open(d, p, minor, flags, &od.od_open);
	if (error != 0)
		return error;
	return make_file(p, at, flags, false, &od, fp);
}

int
vnode_open(struct quern_proc *p, const struct qpath *at, struct qvnode *v,
    uint32_t flags, struct qfile **fp)
{
	struct opened od;
	int error;

	error = v->v_ops->vo_open(v, p, flags, &od.od_ops, &od.od_open);
	if (error != 0)
		return error;
	return make_file(p, at, flags, qvnode_type(v) == Q_S_IFREG, &od, fp);
}
