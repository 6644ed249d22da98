/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Extended attributes.
 */
#include <quern/abi/xattr.h>

#include "impl.h"

static const struct qtag tag_xattr = { "xattr" };

#define VALUE_MAX 65536u

#define XATTR_CAPS "security.capability"

static bool
begins(const char *s, const char *with)
{
	while (*with != '\0')
		if (*s++ != *with++)
			return false;
	return true;
}

static bool
is_same(const char *s, const char *t)
{
	return begins(s, t) && s[qstrlen(t)] == '\0';
}

/* May this attribute be read or, with `write`, changed?  As xattr(7) says. */
static int
may_xattr(const struct qpath *at, const char *name, struct quern_proc *p,
    bool write)
{
	struct qvnode *v = dentry_vnode(at->p_d);
	uint32_t type = qvnode_type(v);

	if (write) {
		if (mount_rdonly(at->p_mnt))
			return -Q_EROFS;
		if (qvnode_is(v, QV_IMMUTABLE | QV_APPEND))
			return -Q_EPERM;
	}
	if (begins(name, "security."))
		return !write ||
			qproc_capable(p,
			    is_same(name, XATTR_CAPS) ? Q_CAP_SETFCAP :
							Q_CAP_SYS_ADMIN) ?
		    0 :
		    -Q_EPERM;
	if (begins(name, "system."))
		return !begins(name, "system.posix_acl_") ? -Q_EOPNOTSUPP :
		    write && !is_owner(v, p)              ? -Q_EPERM :
							    0;
	if (begins(name, "trusted.")) {
		if (qproc_capable(p, Q_CAP_SYS_ADMIN))
			return 0;
		return write ? -Q_EPERM : -Q_ENODATA;
	}
	if (!begins(name, "user."))
		return -Q_EOPNOTSUPP;
	if (type != Q_S_IFREG && type != Q_S_IFDIR)
		return write ? -Q_EPERM : -Q_ENODATA;
	if (type == Q_S_IFDIR && (v->v_mode & Q_S_ISVTX) != 0 && write &&
	    !is_owner(v, p))
		return -Q_EPERM;
	return may_access(v, p, write ? QACC_WRITE : QACC_READ);
}

/* A file's capabilities: the version, then masks and perhaps a user's number. */
static bool
is_caps(const void *value, size_t len)
{
	const uint8_t *b = value;

	return (len == 20 && b[3] == 2) || (len == 24 && b[3] == 3);
}

/*
 * The name in argument `i`.  -ERANGE (too long, or empty), -EINVAL (nothing
 * behind the prefix).
 */
static int
name_arg(const struct qsys *s, unsigned i, char *name)
{
	static const char *const prefixes[] = { "user.", "trusted.",
		"security." };
	unsigned j;
	int64_t n = qcopyinstr(s->s_us, name, s->s_arg[i],
	    Q_XATTR_NAME_MAX + 1);

	if (n == 0 || n == -Q_ENAMETOOLONG)
		return -Q_ERANGE;
	if (n < 0)
		return (int)n;
	for (j = 0; j < QARRAYLEN(prefixes); j++)
		if (is_same(name, prefixes[j]))
			return -Q_EINVAL;
	return 0;
}

/* Where the calls differ: what they begin with. */
enum xattr_of { BY_PATH, BY_LINK, BY_FD };

static int
find_file(const struct qsys *s, enum xattr_of how, struct qpath *at)
{
	if (how == BY_FD)
		return fd_path(s->s_proc, qsys_int(s, 0), false, at);
	return qvfs_walk_arg(s, Q_AT_FDCWD, 0,
	    how == BY_PATH ? QWALK_FOLLOW : 0, at);
}

static int
set_one(struct qsys *s, const struct qpath *at, const char *name,
    const void *value, size_t len, int flags)
{
	struct qvnode *v = dentry_vnode(at->p_d);
	int error = may_xattr(at, name, s->s_proc, true);

	if (value != NULL && is_same(name, XATTR_CAPS) && !is_caps(value, len))
		return -Q_EINVAL;
	if (error != 0)
		return error;
	if (v->v_ops->vo_setxattr == NULL)
		return -Q_EOPNOTSUPP;
	qrw_wrlock(&v->v_lock);
	if (begins(name, "system.posix_acl_"))
		error = acl_set(v, name, value, len);
	else
		error = v->v_ops->vo_setxattr(v, name, value, len, flags);
	__atomic_fetch_and(&v->v_flags, ~QV_NOSEC, __ATOMIC_RELAXED);
	qrw_wrunlock(&v->v_lock);
	if (error == 0)
		notify_path(at, Q_IN_ATTRIB);
	return error;
}

static int64_t
set_call(struct qsys *s, enum xattr_of how)
{
	char name[Q_XATTR_NAME_MAX + 1];
	int flags = qsys_int(s, 4), error;
	size_t len = s->s_arg[3];
	void *value = NULL;
	struct qpath at;

	if ((flags & ~(Q_XATTR_CREATE | Q_XATTR_REPLACE)) != 0)
		return -Q_EINVAL;
	error = name_arg(s, 1, name);
	if (error != 0)
		return error;
	if (len > VALUE_MAX)
		return -Q_E2BIG;
	value = qalloc(&tag_xattr, len != 0 ? len : 1);
	if (value == NULL)
		return -Q_ENOMEM;
	error = len != 0 ? qsys_in(s, 2, value, len) : 0;
	if (error == 0)
		error = find_file(s, how, &at);
	if (error == 0) {
		error = set_one(s, &at, name, value, len, flags);
		qpath_put(&at);
	}
	qfree(value);
	return error;
}

QSYS(setxattr)
{
	return set_call(s, BY_PATH);
}

QSYS(lsetxattr)
{
	return set_call(s, BY_LINK);
}

QSYS(fsetxattr)
{
	return set_call(s, BY_FD);
}

static int64_t
remove_call(struct qsys *s, enum xattr_of how)
{
	char name[Q_XATTR_NAME_MAX + 1];
	struct qpath at;
	int error = name_arg(s, 1, name);

	if (error == 0)
		error = find_file(s, how, &at);
	if (error != 0)
		return error;
	error = set_one(s, &at, name, NULL, 0, Q_XATTR_REPLACE);
	qpath_put(&at);
	return error;
}

QSYS(removexattr)
{
	return remove_call(s, BY_PATH);
}

QSYS(lremovexattr)
{
	return remove_call(s, BY_LINK);
}

QSYS(fremovexattr)
{
	return remove_call(s, BY_FD);
}

/* Take the names out of a list that not everybody sees: its length then. */
static int64_t
hide_trusted(char *buf, int64_t n)
{
	int64_t from, to = 0;
	size_t len;

	for (from = 0; from < n; from += (int64_t)len) {
		len = qstrlen(&buf[from]) + 1;
		if (begins(&buf[from], "trusted."))
			continue;
		memmove(&buf[to], &buf[from], len);
		to += (int64_t)len;
	}
	return to;
}

/*
 * The list of names as the process may see it.  `buf` has VALUE_MAX bytes, since
 * what is hidden is not known before; v_lock is held.
 */
static int64_t
list_names(struct qvnode *v, struct quern_proc *p, char *buf, size_t room)
{
	int64_t n = v->v_ops->vo_listxattr(v, buf, VALUE_MAX);

	if (n > 0 && !qproc_capable(p, Q_CAP_SYS_ADMIN))
		n = hide_trusted(buf, n);
	return room != 0 && n > (int64_t)room ? -Q_ERANGE : n;
}

/* Get one, or (name NULL) the list, into `out`, argument `iout` long. */
static int64_t
get_one(struct qsys *s, const struct qpath *at, const char *name, unsigned iout)
{
	struct qvnode *v = dentry_vnode(at->p_d);
	size_t size = s->s_arg[iout + 1];
	void *buf = NULL;
	int64_t n;

	if (name != NULL) {
		n = may_xattr(at, name, s->s_proc, false);
		if (n != 0)
			return n;
		if (v->v_ops->vo_getxattr == NULL)
			return -Q_EOPNOTSUPP;
	} else if (v->v_ops->vo_listxattr == NULL) {
		return 0;
	}
	if (size > VALUE_MAX)
		size = VALUE_MAX;
	if (size != 0 || name == NULL) {
		buf = qalloc(&tag_xattr, name == NULL ? VALUE_MAX : size);
		if (buf == NULL)
			return -Q_ENOMEM;
	}
	qrw_rdlock(&v->v_lock);
	n = name != NULL ? v->v_ops->vo_getxattr(v, name, buf, size) :
			   list_names(v, s->s_proc, buf, size);
	qrw_rdunlock(&v->v_lock);
	if (n > 0 && size != 0 && qsys_out(s, iout, buf, (size_t)n) != 0)
		n = -Q_EFAULT;
	qfree(buf);
	return n;
}

static int64_t
get_call(struct qsys *s, enum xattr_of how)
{
	char name[Q_XATTR_NAME_MAX + 1];
	struct qpath at;
	int64_t n = name_arg(s, 1, name);

	if (n == 0)
		n = find_file(s, how, &at);
	if (n != 0)
		return n;
	n = get_one(s, &at, name, 2);
	qpath_put(&at);
	return n;
}

QSYS(getxattr)
{
	return get_call(s, BY_PATH);
}

QSYS(lgetxattr)
{
	return get_call(s, BY_LINK);
}

QSYS(fgetxattr)
{
	return get_call(s, BY_FD);
}

static int64_t
list_call(struct qsys *s, enum xattr_of how)
{
	struct qpath at;
	int64_t n = find_file(s, how, &at);

	if (n != 0)
		return n;
	n = get_one(s, &at, NULL, 1);
	qpath_put(&at);
	return n;
}

QSYS(listxattr)
{
	return list_call(s, BY_PATH);
}

QSYS(llistxattr)
{
	return list_call(s, BY_LINK);
}

QSYS(flistxattr)
{
	return list_call(s, BY_FD);
}
