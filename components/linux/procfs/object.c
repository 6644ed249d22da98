/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What has no name that a descriptor is, for who follows its magic link: a vnode
 * that can be looked at, and opened as its kind says.
 *
 *	pipe		another file of the same pipe
 *	channel		one that passes everything on to the file there is: what
 *			the host gave us can't be opened again
 *	socket, others	-ENXIO
 */
#include "impl.h"

#include <quern/pipe.h>

static bool
is_fifo(const struct q_stat *st)
{
	return (st->st_mode & Q_S_IFMT) == Q_S_IFIFO;
}

/* ---- opening ------------------------------------------------------------------- */

/* The file that everything is passed on to, in place of the one just opened. */
static int64_t
again_read(void *open, struct qfile *f, struct quio *u)
{
	struct qfile *to = open;

	if (qfile_nowait(f, u))
		u->u_flags |= QUIO_NOWAIT;
	return to->f_ops->fo_read(to, u);
}

static int64_t
again_write(void *open, struct qfile *f, struct quio *u)
{
	struct qfile *to = open;

	if (qfile_nowait(f, u))
		u->u_flags |= QUIO_NOWAIT;
	return to->f_ops->fo_write(to, u);
}

static uint32_t
again_poll(void *open, struct qfile *f, struct qpollent *e)
{
	(void)f;
	return qfile_poll(open, e);
}

static int64_t
again_ioctl(void *open, struct qfile *f, struct qsys *s, uint32_t cmd,
    uint64_t arg)
{
	struct qfile *to = open;

	(void)f;
	if (to->f_ops->fo_ioctl == NULL)
		return -Q_ENOTTY;
	return to->f_ops->fo_ioctl(to, s, cmd, arg);
}

static void
again_close(void *open)
{
	qfile_put(open);
}

static const struct qcdev_ops again_ops = {
	.co_close = again_close,
	.co_read = again_read,
	.co_write = again_write,
	.co_poll = again_poll,
	.co_ioctl = again_ioctl,
};

static int
object_open(struct qvnode *v, struct quern_proc *p, uint32_t flags,
    const struct qcdev_ops **ops, void **openp)
{
	struct qfile *f = node_of(v)->n_file;
	uint32_t acc = flags & Q_O_ACCMODE, want = 0;

	(void)p;
	if (f == NULL)
		return -Q_ENXIO;
	if (acc != Q_O_WRONLY)
		want |= QF_READ;
	if (acc != Q_O_RDONLY)
		want |= QF_WRITE;
	if ((f->f_mode & want) != want)
		return -Q_EACCES;
	qfile_get(f);
	*ops = &again_ops;
	*openp = f;
	return 0;
}

/* ---- the vnode ------------------------------------------------------------------- */

static void
object_evict(struct qvnode *v)
{
	/* The pipe that it stands for is not its own. */
	if (v->v_special != NULL)
		qpipe_put(v->v_special);
	v->v_special = NULL;
	if (node_of(v)->n_file != NULL)
		qfile_put(node_of(v)->n_file);
}

static const struct qvnode_ops pipe_ops = { .vo_evict = object_evict };

static const struct qvnode_ops object_ops = {
	.vo_open = object_open,
	.vo_evict = object_evict,
};

static void
fill(struct qvnode *v, struct qfile *f, const struct q_stat *st)
{
	struct qpipe *pipe = NULL;

	node_of(v)->n_kind = N_OBJECT;
	v->v_mode = st->st_mode;
	v->v_nlink = 1;
	v->v_ops = &object_ops;
	v->v_atime = v->v_mtime = v->v_ctime = qfs_now(v->v_fs);
	if (f->f_ops->fo_pipe != NULL)
		pipe = f->f_ops->fo_pipe(f);
	if (is_fifo(st) && pipe != NULL) {
		qpipe_get(pipe);
		v->v_special = pipe;
		v->v_ops = &pipe_ops;
	} else if (is_fifo(st)) {
		qfile_get(f);
		node_of(v)->n_file = f;
	}
}

int
node_object(struct qfs *fs, const struct quern_proc *p, struct qfile *f,
    struct qvnode **vp)
{
	struct q_stat st;
	struct qvnode *v;
	int made;

	memset(&st, 0, sizeof(st));
	if (f->f_ops->fo_stat != NULL && f->f_ops->fo_stat(f, &st) != 0)
		return -Q_ENOENT;
	/* Those that have no number are all alike. */
	if ((st.st_mode & Q_S_IFMT) == 0)
		st.st_mode = Q_S_IFREG | 0600;
	made = qvnode_get(fs, st.st_ino | OBJECT_INO, &v);
	if (made < 0)
		return made;
	if (made > 0) {
		fill(v, f, &st);
		qvnode_ready(v);
	}
	/* Who may look into the process may have what it has. */
	node_set_owner(v, p);
	*vp = v;
	return 0;
}
