/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Directories as such: their entries, and being in one.
 */
#include <quern/abi/fs.h>

#include "impl.h"

static const struct qtag tag_dir = { "directory entries" };

/*
 * Entries are gathered here, so that no client's memory is touched meanwhile.
 * More would not come from a slab, and cost two of the host's system calls.
 */
#define BATCH (QALLOC_SLAB - 64)

struct filling {
	char *fl_buf;
	size_t fl_len, fl_room;
	char *fl_last; /* the entry before, which is told where it ends */
	bool fl_old;   /* getdents, not getdents64 */
	int fl_error;  /* -EINVAL: not even one */
};

/* The offset of an entry is where the next one is. */
static int
fill(void *arg, const char *name, size_t len, uint64_t ino, uint32_t type,
    uint64_t pos)
{
	struct filling *fl = arg;
	size_t head = fl->fl_old ? offsetof(struct q_dirent, d_name) :
				   offsetof(struct q_dirent64, d_name);
	size_t size = QROUNDUP(head + len + (fl->fl_old ? 2 : 1), 8);
	struct q_dirent64 *d64;
	struct q_dirent *d;

	if (size > fl->fl_room - fl->fl_len) {
		if (fl->fl_last == NULL)
			fl->fl_error = -Q_EINVAL;
		return 1;
	}
	memset(&fl->fl_buf[fl->fl_len], 0, size);
	fl->fl_last = &fl->fl_buf[fl->fl_len];
	if (fl->fl_old) {
		d = (struct q_dirent *)(void *)fl->fl_last;
		d->d_ino = ino;
		d->d_off = pos;
		d->d_reclen = (uint16_t)size;
		memcpy(fl->fl_last + head, name, len);
		fl->fl_last[size - 1] = (char)type;
	} else {
		d64 = (struct q_dirent64 *)(void *)fl->fl_last;
		d64->d_ino = ino;
		d64->d_off = (int64_t)pos;
		d64->d_reclen = (uint16_t)size;
		d64->d_type = (uint8_t)type;
		memcpy(fl->fl_last + head, name, len);
	}
	fl->fl_len += size;
	return 0;
}

static int64_t
read_dir(struct qsys *s, struct qfile *f, struct qvnode *v, bool old)
{
	size_t room = qsys_uint(s, 2);
	struct filling fl = { .fl_old = old };
	uint64_t pos;
	int error;

	if (__atomic_load_n(&v->v_nlink, __ATOMIC_RELAXED) == 0)
		return -Q_ENOENT;
	if (room > BATCH)
		room = BATCH;
	fl.fl_buf = qalloc(&tag_dir, BATCH);
	if (fl.fl_buf == NULL)
		return -Q_ENOMEM;
	fl.fl_room = room;
	qmutex_lock(&f->f_offlock);
	pos = (uint64_t)f->f_off;
	qrw_rdlock(&v->v_lock);
	error = v->v_ops->vo_readdir(v, &pos, fill, &fl);
	qrw_rdunlock(&v->v_lock);
	if (error == 0 && fl.fl_len == 0)
		error = fl.fl_error;
	if (error == 0 &&
	    qcopyout(s->s_us, s->s_arg[1], fl.fl_buf, fl.fl_len) != 0)
		error = -Q_EFAULT;
	if (error == 0)
		f->f_off = (int64_t)pos;
	qmutex_unlock(&f->f_offlock);
	qfree(fl.fl_buf);
	touch_atime(qfile_path(f)->p_mnt, v, 0);
	if (error == 0)
		notify_path(qfile_path(f), Q_IN_ACCESS);
	return error != 0 ? error : (int64_t)fl.fl_len;
}

static int64_t
getdents_call(struct qsys *s, bool old)
{
	struct qfile *f = qfd_get(s->s_proc, qsys_int(s, 0));
	struct qvnode *v;
	int64_t ret;

	if (f == NULL)
		return -Q_EBADF;
	v = qfile_vnode(f);
	if (v == NULL || !qvnode_isdir(v))
		ret = -Q_ENOTDIR;
	else
		ret = read_dir(s, f, v, old);
	qfile_put(f);
	return ret;
}

QSYS(getdents)
{
	return getdents_call(s, true);
}

QSYS(getdents64)
{
	return getdents_call(s, false);
}

/* ---- being in one ---------------------------------------------------------------- */

/* One step of a path's string, from its end. */
static bool
put_name(char *buf, size_t *atp, const struct qdname *dn)
{
	if (dn->dn_len + 1 > *atp)
		return false;
	*atp -= dn->dn_len;
	memcpy(&buf[*atp], dn->dn_s, dn->dn_len);
	buf[--*atp] = '/';
	return true;
}

int
path_string(const struct qpath *root, const struct qpath *at, char *buf,
    size_t len, size_t *atp)
{
	struct qmount *m = at->p_mnt, *up;
	struct qdentry *d = at->p_d, *point, *up_d;
	int ret = 0;

	*atp = len - 1;
	buf[*atp] = '\0';
	qepoch_enter();
	while (d != root->p_d || m != root->p_mnt) {
		if (d == m->m_root) {
			up = __atomic_load_n(&m->m_parent, __ATOMIC_ACQUIRE);
			point = __atomic_load_n(&m->m_point, __ATOMIC_ACQUIRE);
			if (up == NULL || point == NULL) {
				ret = 1;
				break;
			}
			m = up;
			d = point;
			continue;
		}
		if (!put_name(buf, atp,
			__atomic_load_n(&d->d_name, __ATOMIC_ACQUIRE))) {
			ret = -Q_ENAMETOOLONG;
			break;
		}
		up_d = __atomic_load_n(&d->d_parent, __ATOMIC_ACQUIRE);
		if (up_d == d) {
			ret = 1; /* moved out of what is seen of the tree */
			break;
		}
		d = up_d;
	}
	qepoch_exit();
	if (ret == 0 && buf[*atp] == '\0')
		buf[--*atp] = '/';
	return ret;
}

int64_t
qvfs_path_string(struct quern_proc *p, const struct qpath *at, char *buf,
    size_t len)
{
	struct qpath root;
	size_t from = QPATH_MAX, n;
	char *tmp;
	int ret;

	ret = path_buf(&tmp);
	if (ret != 0)
		return ret;
	ret = proc_root(p, &root);
	if (ret == 0) {
		ret = path_string(&root, at, tmp, QPATH_MAX, &from);
		qpath_put(&root);
	}
	if (ret > 0) {
		static const char text[] = "(unreachable)";

		if (from >= sizeof(text) - 1) {
			from -= sizeof(text) - 1;
			memcpy(&tmp[from], text, sizeof(text) - 1);
		}
		ret = 0;
	}
	n = QPATH_MAX - from;
	if (ret == 0 && n > len)
		ret = -Q_ERANGE;
	if (ret == 0)
		memcpy(buf, &tmp[from], n);
	path_free(tmp);
	return ret != 0 ? ret : (int64_t)n;
}

QSYS(getcwd)
{
	struct qpath cwd;
	char *buf;
	int64_t n;
	int error;

	error = path_buf(&buf);
	if (error != 0)
		return error;
	error = proc_cwd(s->s_proc, &cwd);
	if (error != 0) {
		path_free(buf);
		return error;
	}
	if (qpath_deleted(&cwd))
		n = -Q_ENOENT;
	else
		n = qvfs_path_string(s->s_proc, &cwd, buf, QPATH_MAX);
	qpath_put(&cwd);
	if (n > 0 && (uint64_t)n > s->s_arg[1])
		n = -Q_ERANGE;
	if (n > 0 && qsys_out(s, 0, buf, (size_t)n) != 0)
		n = -Q_EFAULT;
	path_free(buf);
	return n;
}

/* Be in `at`, whose references are used up. */
static int
enter_dir(struct quern_proc *p, struct qpath *at, bool root)
{
	struct qvnode *v = dentry_vnode(at->p_d);
	int error = 0;

	if (!qvnode_isdir(v))
		error = -Q_ENOTDIR;
	if (error == 0)
		error = may_access(v, p, QACC_EXEC);
	if (error == 0 && root && !qproc_capable(p, Q_CAP_SYS_CHROOT))
		error = -Q_EPERM;
	if (error == 0)
		error = root ? proc_set_root(p, at) : proc_set_cwd(p, at);
	if (error != 0)
		qpath_put(at);
	return error;
}

QSYS(chdir)
{
	struct qpath at;
	int error = qvfs_walk_arg(s, Q_AT_FDCWD, 0,
	    QWALK_FOLLOW | QWALK_DIRECTORY, &at);

	return error != 0 ? error : enter_dir(s->s_proc, &at, false);
}

QSYS(fchdir)
{
	struct qpath at;
	int error = fd_path(s->s_proc, qsys_int(s, 0), true, &at);

	if (error != 0)
		return error == -Q_EINVAL ? -Q_ENOTDIR : error;
	return enter_dir(s->s_proc, &at, false);
}

QSYS(chroot)
{
	struct qpath at;
	int error = qvfs_walk_arg(s, Q_AT_FDCWD, 0,
	    QWALK_FOLLOW | QWALK_DIRECTORY, &at);

	return error != 0 ? error : enter_dir(s->s_proc, &at, true);
}
