/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may do what.
 *
 * Permission is mode bits, or the ACL where there is one (acl(5)), or a
 * capability.  Most questions are answered by the mode bits alone, without
 * looking at groups: access_quick, which takes no lock.
 */
#include "impl.h"

static const struct qtag tag_acl = { "acl" };

#define XATTR_ACL    "system.posix_acl_access"
#define XATTR_DEFACL "system.posix_acl_default"

/* An ACL as it is in the attribute: version 2, then entries. */
#define ACL_VERSION 2u
#define ACL_MAX     4096u

struct acl_entry {
	uint16_t e_tag;
	uint16_t e_perm;
	uint32_t e_id;
};

struct acl {
	uint32_t a_version;
	struct acl_entry a_entry[];
};

#define ACL_USER_OBJ  1u
#define ACL_USER      2u
#define ACL_GROUP_OBJ 4u
#define ACL_GROUP     8u
#define ACL_MASK      16u
#define ACL_OTHER     32u

static inline uint32_t
load(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

/* ---- capabilities ------------------------------------------------------------- */

/* Does a capability allow what the mode does not? */
static bool
overrides(const struct qvnode *v, uint32_t mode, uint64_t caps, unsigned want)
{
	(void)v;
	if ((mode & Q_S_IFMT) == Q_S_IFDIR) {
		if ((caps & QCAP(Q_CAP_DAC_OVERRIDE)) != 0)
			return true;
		return (want & QACC_WRITE) == 0 &&
		    (caps & QCAP(Q_CAP_DAC_READ_SEARCH)) != 0;
	}
	if ((caps & QCAP(Q_CAP_DAC_OVERRIDE)) != 0)
		return (want & QACC_EXEC) == 0 || (mode & 0111) != 0;
	return want == QACC_READ && (caps & QCAP(Q_CAP_DAC_READ_SEARCH)) != 0;
}

bool
access_quick(struct qvnode *v, struct quern_proc *p, unsigned want)
{
	uint32_t mode = load(&v->v_mode), all;
	uint64_t caps = __atomic_load_n(&p->p_cred.c_cap_eff, __ATOMIC_RELAXED);

	all = mode & (mode >> 3) & (mode >> 6);
	if (qlikely(!qvnode_is(v, QV_ACL))) {
		if ((all & want) == want)
			return true;
		if (load(&p->p_cred.c_fsuid) == load(&v->v_uid) &&
		    ((mode >> 6) & want) == want)
			return true;
	}
	return overrides(v, mode, caps, want);
}

/* ---- groups and ACLs ------------------------------------------------------------ */

bool
cred_in_group(const struct qcred *c, uint32_t gid)
{
	const struct qgroups *g = c->c_groups;
	uint32_t lo = 0, hi = g != NULL ? g->g_n : 0, mid;

	if (c->c_fsgid == gid)
		return true;
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (g->g_gid[mid] == gid)
			return true;
		if (g->g_gid[mid] < gid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

/* The ACL's answer.  *acl is `n` entries, the tags in ascending order. */
static bool
acl_allows(const struct qvnode *v, const struct qcred *c, unsigned want,
    const struct acl *acl, unsigned n)
{
	unsigned i, mask = 7, perm = 0;
	bool group = false, granted = false;
	const struct acl_entry *e;

	for (i = 0; i < n; i++)
		if (acl->a_entry[i].e_tag == ACL_MASK)
			mask = acl->a_entry[i].e_perm;
	for (i = 0; i < n; i++) {
		e = &acl->a_entry[i];
		switch (e->e_tag) {
		case ACL_USER_OBJ:
			if (load(&v->v_uid) == c->c_fsuid)
				return (e->e_perm & want) == want;
			break;
		case ACL_USER:
			if (e->e_id == c->c_fsuid)
				return (e->e_perm & mask & want) == want;
			break;
		case ACL_GROUP_OBJ:
		case ACL_GROUP:
			if (!cred_in_group(c,
				e->e_tag == ACL_GROUP_OBJ ? load(&v->v_gid) :
							    e->e_id))
				break;
			group = true;
			perm = e->e_perm & mask;
			granted = granted || (perm & want) == want;
			break;
		case ACL_OTHER:
			if (group)
				return granted;
			return (e->e_perm & want) == want;
		}
	}
	return false;
}

/* Read an ACL of a directory or file: entries, 0: it has none, or -errno. */
static int
acl_read(struct qvnode *v, const char *name, struct acl **ap)
{
	struct acl *a;
	int64_t len;

	if (v->v_ops->vo_getxattr == NULL)
		return 0;
	a = qalloc(&tag_acl, ACL_MAX);
	if (a == NULL)
		return -Q_ENOMEM;
	len = v->v_ops->vo_getxattr(v, name, a, ACL_MAX);
	if (len < 4 || (len - 4) % 8 != 0 || a->a_version != ACL_VERSION) {
		qfree(a);
		if (len == -Q_ENODATA || len == -Q_EOPNOTSUPP)
			return 0;
		return len < 0 ? (int)len : -Q_EIO;
	}
	*ap = a;
	return (int)((len - 4) / 8);
}

/* 0, -EACCES, or why the ACL can't be read. */
static int
ask_acl(struct qvnode *v, const struct qcred *c, unsigned want)
{
	struct acl *a = NULL;
	bool held = qrw_wrheld(&v->v_lock);
	int n, error;

	if (!held)
		qrw_rdlock(&v->v_lock);
	n = acl_read(v, XATTR_ACL, &a);
	if (!held)
		qrw_rdunlock(&v->v_lock);
	if (n < 0)
		return n;
	if (n == 0)
		return 1; /* none after all */
	error = acl_allows(v, c, want, a, (unsigned)n) ? 0 : -Q_EACCES;
	qfree(a);
	return error;
}

int
qvnode_access(struct qvnode *v, const struct qcred *c, unsigned want)
{
	uint32_t mode = load(&v->v_mode), bits = mode;
	int error;

	if (c->c_fsuid == load(&v->v_uid)) {
		bits = mode >> 6;
	} else {
		if (qvnode_is(v, QV_ACL) && (mode & 070) != 0) {
			error = ask_acl(v, c, want);
			if (error == 0)
				return 0;
			if (error != 1 && error != -Q_EACCES)
				return error;
			if (error == -Q_EACCES)
				bits = 0;
		}
		if (cred_in_group(c, load(&v->v_gid)) && bits != 0)
			bits = mode >> 3;
	}
	if ((bits & want) == want)
		return 0;
	return overrides(v, mode, c->c_cap_eff, want) ? 0 : -Q_EACCES;
}

int
may_access(struct qvnode *v, struct quern_proc *p, unsigned want)
{
	struct qcred c;
	int error;

	if (access_quick(v, p, want))
		return 0;
	qproc_cred(p, &c);
	error = qvnode_access(v, &c, want);
	qcred_drop(&c);
	return error;
}

/* ---- directories ------------------------------------------------------------------- */

bool
is_owner(struct qvnode *v, struct quern_proc *p)
{
	return load(&p->p_cred.c_fsuid) == load(&v->v_uid) ||
	    qproc_capable(p, Q_CAP_FOWNER);
}

int
may_create(struct qmount *m, struct qvnode *dir, struct quern_proc *p)
{
	if (mount_rdonly(m))
		return -Q_EROFS;
	if (__atomic_load_n(&dir->v_nlink, __ATOMIC_RELAXED) == 0)
		return -Q_ENOENT;
	if (qvnode_is(dir, QV_IMMUTABLE))
		return -Q_EPERM;
	return may_access(dir, p, QACC_WRITE | QACC_EXEC);
}

int
may_delete(struct qmount *m, struct qvnode *dir, struct qvnode *v,
    struct quern_proc *p, bool isdir)
{
	int error;

	if (mount_rdonly(m))
		return -Q_EROFS;
	error = may_access(dir, p, QACC_WRITE | QACC_EXEC);
	if (error != 0)
		return error;
	if (qvnode_is(dir, QV_APPEND | QV_IMMUTABLE))
		return -Q_EPERM;
	if ((load(&dir->v_mode) & Q_S_ISVTX) != 0 &&
	    load(&p->p_cred.c_fsuid) != load(&v->v_uid) &&
	    load(&p->p_cred.c_fsuid) != load(&dir->v_uid) &&
	    !qproc_capable(p, Q_CAP_FOWNER))
		return -Q_EPERM;
	if (qvnode_is(v, QV_APPEND | QV_IMMUTABLE))
		return -Q_EPERM;
	if (isdir && !qvnode_isdir(v))
		return -Q_ENOTDIR;
	if (!isdir && qvnode_isdir(v))
		return -Q_EISDIR;
	return 0;
}

/* ---- new files ------------------------------------------------------------------------ */

/*
 * A file in a directory with a default ACL gets that, cut down to its mode, and
 * its mode follows (acl(5), OBJECT CREATION AND DEFAULT ACLs).
 */
static int
inherit_acl(struct acl *a, unsigned n, uint32_t *modep)
{
	struct acl_entry *group = NULL, *mask = NULL, *e;
	uint32_t mode = *modep, keep = ~0777u;
	bool plain = true;
	unsigned i;

	for (i = 0; i < n; i++) {
		e = &a->a_entry[i];
		switch (e->e_tag) {
		case ACL_USER_OBJ:
			e->e_perm &= (uint16_t)(mode >> 6 & 7);
			keep |= (uint32_t)e->e_perm << 6;
			break;
		case ACL_GROUP_OBJ:
			group = e;
			break;
		case ACL_MASK:
			mask = e;
			plain = false;
			break;
		case ACL_OTHER:
			e->e_perm &= (uint16_t)(mode & 7);
			keep |= e->e_perm;
			break;
		case ACL_USER:
		case ACL_GROUP:
			plain = false;
			break;
		default:
			return -Q_EIO;
		}
	}
	e = mask != NULL ? mask : group;
	if (e == NULL)
		return -Q_EIO;
	e->e_perm &= (uint16_t)(mode >> 3 & 7);
	keep |= (uint32_t)e->e_perm << 3;
	*modep = mode & keep;
	return plain ? 0 : 1;
}

/* May the process make programs that run as that group? */
static bool
may_setgid(struct quern_proc *p, uint32_t gid)
{
	struct qcred c;
	bool in;

	if (p == NULL || qproc_capable(p, Q_CAP_FSETID))
		return true;
	qproc_cred(p, &c);
	in = cred_in_group(&c, gid);
	qcred_drop(&c);
	return in;
}

int
new_attr(struct qvnode *dir, struct quern_proc *p, struct qvnew *new)
{
	uint32_t type = new->vn_mode &Q_S_IFMT;
	struct acl *def = NULL, *a;
	int n = 0, more;

	new->vn_uid = load(&p->p_cred.c_fsuid);
	new->vn_gid = load(&p->p_cred.c_fsgid);
	if ((load(&dir->v_mode) & Q_S_ISGID) != 0) {
		new->vn_gid = load(&dir->v_gid);
		if (type == Q_S_IFDIR)
			new->vn_mode |= Q_S_ISGID;
		else if ((new->vn_mode &(Q_S_ISGID | Q_S_IXGRP)) ==
			(Q_S_ISGID | Q_S_IXGRP) &&
		    !may_setgid(p, new->vn_gid))
			new->vn_mode &= ~(uint32_t)Q_S_ISGID;
	}
	if (type == Q_S_IFLNK)
		return 0;
	if (qvnode_is(dir, QV_ACL))
		n = acl_read(dir, XATTR_DEFACL, &def);
	if (n < 0)
		return n;
	if (n == 0) {
		new->vn_mode &= ~load(&p->p_umask) | ~0777u;
		return 0;
	}
	a = qalloc(&tag_acl, ACL_MAX);
	if (a == NULL) {
		qfree(def);
		return -Q_ENOMEM;
	}
	memcpy(a, def, 4 + 8 * (size_t)n);
	more = inherit_acl(a, (unsigned)n, &new->vn_mode);
	if (more > 0) {
		new->vn_acl = a;
		new->vn_acllen = 4 + 8 * (uint32_t)n;
	} else {
		qfree(a);
	}
	if (more >= 0 && type == Q_S_IFDIR) {
		new->vn_defacl = def;
		new->vn_defacllen = 4 + 8 * (uint32_t)n;
	} else {
		qfree(def);
	}
	return more < 0 ? more : 0;
}

void
new_attr_done(struct qvnew *new, struct qvnode *v)
{
	/* Before anybody else asks for permission. */
	if (v != NULL && (new->vn_acl != NULL || new->vn_defacl != NULL))
		__atomic_fetch_or(&v->v_flags, QV_ACL, __ATOMIC_RELAXED);
	qfree((void *)(uintptr_t) new->vn_acl);
	qfree((void *)(uintptr_t) new->vn_defacl);
}

/* ---- setting ACLs ------------------------------------------------------------------------ */

/* Is it well-formed, and what is it as a mode?  *trivial: nothing but that. */
static int
acl_check(const struct acl *a, size_t len, uint32_t *modep, bool *trivial)
{
	unsigned i, n = (unsigned)((len - 4) / 8), seen = 0, last = 0;
	uint32_t mode = 0, group = 0;
	const struct acl_entry *e;
	bool mask = false;

	if (len < 4 || (len - 4) % 8 != 0 || a->a_version != ACL_VERSION)
		return -Q_EINVAL;
	*trivial = true;
	for (i = 0; i < n; i++) {
		e = &a->a_entry[i];
		if ((e->e_perm & ~7u) != 0 || e->e_tag < last)
			return -Q_EINVAL;
		if (e->e_tag == last && e->e_tag != ACL_USER &&
		    e->e_tag != ACL_GROUP)
			return -Q_EINVAL;
		last = e->e_tag;
		seen |= e->e_tag;
		switch (e->e_tag) {
		case ACL_USER_OBJ:
			mode |= (uint32_t)e->e_perm << 6;
			break;
		case ACL_GROUP_OBJ:
			group = (uint32_t)e->e_perm << 3;
			break;
		case ACL_MASK:
			mode |= (uint32_t)e->e_perm << 3;
			mask = true;
			*trivial = false;
			break;
		case ACL_OTHER:
			mode |= e->e_perm;
			break;
		case ACL_USER:
		case ACL_GROUP:
			*trivial = false;
			break;
		default:
			return -Q_EINVAL;
		}
	}
	if ((seen & (ACL_USER_OBJ | ACL_GROUP_OBJ | ACL_OTHER)) !=
	    (ACL_USER_OBJ | ACL_GROUP_OBJ | ACL_OTHER))
		return -Q_EINVAL;
	if ((seen & (ACL_USER | ACL_GROUP)) != 0 && !mask)
		return -Q_EINVAL;
	*modep = mask ? mode : mode | group;
	return 0;
}

int
acl_set(struct qvnode *v, const char *name, const void *value, size_t len)
{
	bool access = qstrcmp(name, XATTR_ACL) == 0, trivial = true;
	struct qvattr a = { .va_set = QVA_MODE | QVA_CTIME };
	uint32_t mode;
	int error;

	if (!access && qstrcmp(name, XATTR_DEFACL) != 0)
		return -Q_EOPNOTSUPP;
	if (!access && !qvnode_isdir(v))
		return value != NULL ? -Q_EACCES : 0;
	if (qvnode_type(v) == Q_S_IFLNK)
		return -Q_EOPNOTSUPP;
	if (len > ACL_MAX)
		return -Q_E2BIG;
	if (value != NULL && len > 4) {
		error = acl_check(value, len, &mode, &trivial);
		if (error != 0)
			return error;
		if (access) {
			a.va_mode = (v->v_mode & 07000) | mode;
			if (!may_setgid(qproc_current(), v->v_gid))
				a.va_mode &= ~(uint32_t)Q_S_ISGID;
			a.va_ctime = qfs_now(v->v_fs);
			error = vnode_setattr(v, &a);
			if (error != 0)
				return error;
		} else {
			trivial = false;
		}
	}
	if (trivial) {
		error = v->v_ops->vo_setxattr(v, name, NULL, 0, 0);
		return error == -Q_ENODATA ? 0 : error;
	}
	__atomic_fetch_or(&v->v_flags, QV_ACL, __ATOMIC_RELAXED);
	return v->v_ops->vo_setxattr(v, name, value, len, 0);
}

/* With a mask, the mode's middle bits are that (acl(5)). */
int
acl_chmod(struct qvnode *v, uint32_t mode)
{
	struct acl_entry *e, *group = NULL;
	struct acl *a = NULL;
	int n, i, error;

	if (!qvnode_is(v, QV_ACL))
		return 0;
	n = acl_read(v, XATTR_ACL, &a);
	if (n <= 0)
		return n;
	for (i = 0; i < n; i++) {
		e = &a->a_entry[i];
		if (e->e_tag == ACL_USER_OBJ)
			e->e_perm = mode >> 6 & 7;
		else if (e->e_tag == ACL_OTHER)
			e->e_perm = mode & 7;
		else if (e->e_tag == ACL_MASK ||
		    (e->e_tag == ACL_GROUP_OBJ && group == NULL))
			group = e;
	}
	if (group != NULL)
		group->e_perm = mode >> 3 & 7;
	error = v->v_ops->vo_setxattr(v, XATTR_ACL, a, 4 + 8 * (size_t)n, 0);
	qfree(a);
	return error;
}
