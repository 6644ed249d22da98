/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls about who a process is: numbers, groups and sessions, users.
 *
 * A process's credentials change under p_lock; single ids are stored atomically
 * and read without the lock.  Capabilities follow the user ids as in
 * capabilities(7): whoever gives up root in all of them loses the capabilities,
 * and so on.
 */
#include "callimpl.h"

#include <quern/abi/limits.h>

#define NOBODY UINT32_MAX /* "leave it as it is", and no valid id */

/* Capabilities that follow the file-system user. */
#define CAP_FS                                                              \
	(QCAP(Q_CAP_CHOWN) | QCAP(Q_CAP_MKNOD) | QCAP(Q_CAP_DAC_OVERRIDE) | \
	    QCAP(Q_CAP_DAC_READ_SEARCH) | QCAP(Q_CAP_FOWNER) |              \
	    QCAP(Q_CAP_FSETID) | QCAP(Q_CAP_LINUX_IMMUTABLE) |              \
	    QCAP(Q_CAP_MAC_OVERRIDE))

static const struct qtag tag_groups = { "groups" };

static uint32_t
load(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void
store(uint32_t *p, uint32_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELAXED);
}

/* ---- numbers, groups, sessions -------------------------------------------- */

QSYS(getpid)
{
	return s->s_proc->p_pid;
}

QSYS(gettid)
{
	uint32_t tid = qthread_current()->t_tid;

	return tid != 0 ? tid : s->s_proc->p_pid;
}

QSYS(getppid)
{
	return load(&s->s_proc->p_ppid);
}

QSYS(getpgrp)
{
	return load(&s->s_proc->p_pgid);
}

/* Is there a process in group `pgid`, of session `sid` if that isn't 0?  [p] */
static bool
group_exists(struct quern *k, uint32_t pgid, uint32_t sid)
{
	struct quern_proc *p;
	struct qlist *l;

	QLIST_FOREACH(l, &k->k_procs) {
		p = QLIST_ELEM(l, struct quern_proc, p_link);
		if (p->p_pgid == pgid && (sid == 0 || p->p_sid == sid))
			return true;
	}
	return false;
}

/* The group or session of a process (0: its own). */
static int64_t
number_of(struct qsys *s, bool session)
{
	struct quern *k = s->s_proc->p_k;
	struct quern_proc *p = s->s_proc;
	uint32_t pid = qsys_uint(s, 0);
	int64_t ret = -Q_ESRCH;

	qproc_lock_all(k);
	if (pid != 0)
		p = qproc_find(k, pid);
	if (p != NULL)
		ret = session ? p->p_sid : p->p_pgid;
	qproc_unlock_all(k);
	return ret;
}

QSYS(getpgid)
{
	return number_of(s, false);
}

QSYS(getsid)
{
	return number_of(s, true);
}

/* setpgid's checks, in Linux's order.  [p] */
static int
may_join(struct quern_proc *self, struct quern_proc *p, uint32_t pgid)
{
	if (p == NULL || (p != self && p->p_ppid != self->p_pid))
		return -Q_ESRCH;
	if (p != self && p->p_sid != self->p_sid)
		return -Q_EPERM;
	if (p != self && p->p_ops != NULL && p->p_ops->po_execed != NULL &&
	    p->p_ops->po_execed(p))
		return -Q_EACCES;
	if (p->p_sid == p->p_pid)
		return -Q_EPERM; /* leads a session */
	if (pgid != p->p_pid && !group_exists(p->p_k, pgid, self->p_sid))
		return -Q_EPERM;
	return 0;
}

QSYS(setpgid)
{
	struct quern_proc *self = s->s_proc, *p = self;
	uint32_t pid = qsys_uint(s, 0), pgid = qsys_uint(s, 1);
	struct quern *k = self->p_k;
	int error;

	if (pid == 0)
		pid = self->p_pid;
	if (pgid == 0)
		pgid = pid;
	if ((int32_t)pgid < 0)
		return -Q_EINVAL;
	qproc_lock_all(k);
	if (pid != self->p_pid)
		p = qproc_find(k, pid);
	error = may_join(self, p, pgid);
	if (error == 0)
		store(&p->p_pgid, pgid);
	qproc_unlock_all(k);
	return error;
}

QSYS(setsid)
{
	struct quern_proc *p = s->s_proc;
	struct quern *k = p->p_k;
	int64_t ret = p->p_pid;

	qproc_lock_all(k);
	if (group_exists(k, p->p_pid, 0)) {
		ret = -Q_EPERM;
	} else {
		store(&p->p_pgid, p->p_pid);
		store(&p->p_sid, p->p_pid);
		proc_has_session(p);
	}
	qproc_unlock_all(k);
	return ret;
}

QSYS(umask)
{
	return __atomic_exchange_n(&s->s_proc->p_umask, s->s_arg[0] & 0777,
	    __ATOMIC_RELAXED);
}

/* ---- users and groups ------------------------------------------------------ */

/* The four ids of a kind: real, effective, saved, file-system. */
struct ids {
	uint32_t i_real, i_eff, i_saved, i_fs;
};

_Static_assert(offsetof(struct qcred, c_gid) ==
	offsetof(struct qcred, c_uid) + sizeof(struct ids),
    "the ids of both kinds lie alike");

static uint32_t *
cred_ids(struct qcred *c, bool group)
{
	return group ? &c->c_gid : &c->c_uid;
}

static struct ids
get_ids(struct qcred *c, bool group)
{
	const uint32_t *p = cred_ids(c, group);
	struct ids i = { p[0], p[1], p[2], p[3] };

	return i;
}

static bool
has_root(const struct ids *i)
{
	return i->i_real == 0 || i->i_eff == 0 || i->i_saved == 0;
}

/* Give up or regain capabilities as the users change from `old` to `new`.  [l]
 */
static void
follow_users(struct qcred *c, const struct ids *old, const struct ids *new)
{
	uint64_t eff = c->c_cap_eff;

	if ((c->c_secbits & QSECBIT_NO_SETUID_FIXUP) != 0)
		return;
	if (has_root(old) && !has_root(new)) {
		if ((c->c_secbits & QSECBIT_KEEP_CAPS) == 0)
			c->c_cap_perm = eff = 0;
		c->c_cap_amb = 0;
	}
	if (old->i_eff == 0 && new->i_eff != 0)
		eff = 0;
	if (old->i_eff != 0 && new->i_eff == 0)
		eff = c->c_cap_perm;
	__atomic_store_n(&c->c_cap_eff, eff, __ATOMIC_RELAXED);
}

/* The file-system user alone has changed.  [l] */
static void
follow_fsuser(struct qcred *c, uint32_t old, uint32_t new)
{
	uint64_t eff = c->c_cap_eff;

	if (old == 0 && new != 0)
		eff &= ~CAP_FS;
	if (old != 0 && new == 0)
		eff |= CAP_FS & c->c_cap_perm;
	__atomic_store_n(&c->c_cap_eff, eff, __ATOMIC_RELAXED);
}

/* [l] */
static void
put_ids(struct qcred *c, bool group, const struct ids *new)
{
	struct ids old = get_ids(c, group);
	uint32_t *p = cred_ids(c, group);

	store(&p[0], new->i_real);
	store(&p[1], new->i_eff);
	store(&p[2], new->i_saved);
	store(&p[3], new->i_fs);
	if (!group)
		follow_users(c, &old, new);
}

/* [l] */
static void
tell_new_ids(struct quern_proc *p)
{
	if (p->p_ops != NULL && p->p_ops->po_new_ids != NULL)
		p->p_ops->po_new_ids(p);
}

/* [l] */
static void
change_ids(struct quern_proc *p, bool group, const struct ids *new)
{
	struct ids old = get_ids(&p->p_cred, group);

	put_ids(&p->p_cred, group, new);
	if (old.i_eff != new->i_eff || old.i_fs != new->i_fs)
		tell_new_ids(p);
}

/* May change ids at will. */
static bool
privileged(struct quern_proc *p, bool group)
{
	return qproc_capable(p, group ? Q_CAP_SETGID : Q_CAP_SETUID);
}

static int64_t
get_one(struct qsys *s, const uint32_t *id)
{
	(void)s;
	return load(id);
}

QSYS(getuid)
{
	return get_one(s, &s->s_proc->p_cred.c_uid);
}

QSYS(geteuid)
{
	return get_one(s, &s->s_proc->p_cred.c_euid);
}

QSYS(getgid)
{
	return get_one(s, &s->s_proc->p_cred.c_gid);
}

QSYS(getegid)
{
	return get_one(s, &s->s_proc->p_cred.c_egid);
}

static int64_t
get_res(struct qsys *s, bool group)
{
	struct quern_proc *p = s->s_proc;
	struct ids i;
	int error;

	qmutex_lock(&p->p_lock);
	i = get_ids(&p->p_cred, group);
	qmutex_unlock(&p->p_lock);
	error = qsys_out(s, 0, &i.i_real, sizeof(i.i_real));
	if (error == 0)
		error = qsys_out(s, 1, &i.i_eff, sizeof(i.i_eff));
	if (error == 0)
		error = qsys_out(s, 2, &i.i_saved, sizeof(i.i_saved));
	return error;
}

QSYS(getresuid)
{
	return get_res(s, false);
}

QSYS(getresgid)
{
	return get_res(s, true);
}

static int64_t
set_id(struct qsys *s, bool group)
{
	struct quern_proc *p = s->s_proc;
	uint32_t id = qsys_uint(s, 0);
	int error = 0;
	struct ids i;

	if (id == NOBODY)
		return -Q_EINVAL;
	qmutex_lock(&p->p_lock);
	i = get_ids(&p->p_cred, group);
	if (privileged(p, group))
		i.i_real = i.i_saved = id;
	else if (id != i.i_real && id != i.i_saved)
		error = -Q_EPERM;
	i.i_eff = i.i_fs = id;
	if (error == 0)
		change_ids(p, group, &i);
	qmutex_unlock(&p->p_lock);
	return error;
}

QSYS(setuid)
{
	return set_id(s, false);
}

QSYS(setgid)
{
	return set_id(s, true);
}

static int64_t
set_re(struct qsys *s, bool group)
{
	uint32_t r = qsys_uint(s, 0), e = qsys_uint(s, 1);
	struct quern_proc *p = s->s_proc;
	struct ids i, old;
	int error = 0;

	qmutex_lock(&p->p_lock);
	i = old = get_ids(&p->p_cred, group);
	if (r != NOBODY)
		i.i_real = r;
	if (e != NOBODY)
		i.i_eff = e;
	if (!privileged(p, group)) {
		if (i.i_real != old.i_real && i.i_real != old.i_eff)
			error = -Q_EPERM;
		if (i.i_eff != old.i_real && i.i_eff != old.i_eff &&
		    i.i_eff != old.i_saved)
			error = -Q_EPERM;
	}
	if (r != NOBODY || (e != NOBODY && e != old.i_real))
		i.i_saved = i.i_eff;
	i.i_fs = i.i_eff;
	if (error == 0)
		change_ids(p, group, &i);
	qmutex_unlock(&p->p_lock);
	return error;
}

QSYS(setreuid)
{
	return set_re(s, false);
}

QSYS(setregid)
{
	return set_re(s, true);
}

/* Is `id` one of the old ones, or none? */
static bool
one_of(uint32_t id, const struct ids *i)
{
	return id == NOBODY || id == i->i_real || id == i->i_eff ||
	    id == i->i_saved;
}

static int64_t
set_res(struct qsys *s, bool group)
{
	uint32_t r = qsys_uint(s, 0), e = qsys_uint(s, 1), v = qsys_uint(s, 2);
	struct quern_proc *p = s->s_proc;
	int error = 0;
	struct ids i;

	qmutex_lock(&p->p_lock);
	i = get_ids(&p->p_cred, group);
	/* As in Linux, no change does not reset the file-system id either. */
	if ((r == NOBODY || r == i.i_real) && (v == NOBODY || v == i.i_saved) &&
	    (e == NOBODY || (e == i.i_eff && e == i.i_fs))) {
		qmutex_unlock(&p->p_lock);
		return 0;
	}
	if (!privileged(p, group) &&
	    (!one_of(r, &i) || !one_of(e, &i) || !one_of(v, &i)))
		error = -Q_EPERM;
	if (r != NOBODY)
		i.i_real = r;
	if (e != NOBODY)
		i.i_eff = e;
	if (v != NOBODY)
		i.i_saved = v;
	i.i_fs = i.i_eff;
	if (error == 0)
		change_ids(p, group, &i);
	qmutex_unlock(&p->p_lock);
	return error;
}

QSYS(setresuid)
{
	return set_res(s, false);
}

QSYS(setresgid)
{
	return set_res(s, true);
}

static int64_t
set_fs(struct qsys *s, bool group)
{
	struct quern_proc *p = s->s_proc;
	uint32_t id = qsys_uint(s, 0), old;
	struct ids i;

	qmutex_lock(&p->p_lock);
	i = get_ids(&p->p_cred, group);
	old = i.i_fs;
	if (id != NOBODY && id != old &&
	    (one_of(id, &i) || privileged(p, group))) {
		store(&cred_ids(&p->p_cred, group)[3], id);
		if (!group)
			follow_fsuser(&p->p_cred, old, id);
		tell_new_ids(p);
	}
	qmutex_unlock(&p->p_lock);
	return old;
}

QSYS(setfsuid)
{
	return set_fs(s, false);
}

QSYS(setfsgid)
{
	return set_fs(s, true);
}

/* ---- supplementary groups --------------------------------------------------- */

static void
groups_put(struct qgroups *g)
{
	if (g != NULL &&
	    __atomic_sub_fetch(&g->g_refs, 1, __ATOMIC_ACQ_REL) == 0)
		qfree(g);
}

void
qproc_cred(struct quern_proc *p, struct qcred *c)
{
	qmutex_lock(&p->p_lock);
	*c = p->p_cred;
	if (c->c_groups != NULL)
		__atomic_fetch_add(&c->c_groups->g_refs, 1, __ATOMIC_RELAXED);
	qmutex_unlock(&p->p_lock);
}

void
qcred_drop(struct qcred *c)
{
	groups_put(c->c_groups);
	c->c_groups = NULL;
}

QSYS(getgroups)
{
	int size = qsys_int(s, 0), error = 0;
	struct qcred c;
	uint32_t n;

	if (size < 0)
		return -Q_EINVAL;
	qproc_cred(s->s_proc, &c);
	n = c.c_groups != NULL ? c.c_groups->g_n : 0;
	if (size != 0 && (uint32_t)size < n)
		error = -Q_EINVAL;
	else if (size != 0 && n != 0)
		error = qsys_out(s, 1, c.c_groups->g_gid, n * sizeof(uint32_t));
	qcred_drop(&c);
	return error != 0 ? error : (int64_t)n;
}

/* Sort by sifting down a heap: there may be 65,536. */
static void
sift(uint32_t *a, uint32_t i, uint32_t n)
{
	uint32_t x = a[i], c;

	for (; (c = 2 * i + 1) < n; i = c) {
		if (c + 1 < n && a[c + 1] > a[c])
			c++;
		if (a[c] <= x)
			break;
		a[i] = a[c];
	}
	a[i] = x;
}

static void
sort(uint32_t *a, uint32_t n)
{
	uint32_t i, x;

	for (i = n / 2; i-- > 0;)
		sift(a, i, n);
	for (i = n; i-- > 1;) {
		x = a[0];
		a[0] = a[i];
		a[i] = x;
		sift(a, 0, i);
	}
}

/* Memory for `n` groups, and what makes a list of what has been put there. */
static struct qgroups *
groups_alloc(uint32_t n)
{
	struct qgroups *g;

	g = qalloc(&tag_groups, sizeof(*g) + n * sizeof(uint32_t));
	if (g != NULL) {
		g->g_refs = 1;
		g->g_n = n;
	}
	return g;
}

static int
groups_ready(struct qgroups *g)
{
	uint32_t i;

	for (i = 0; i < g->g_n; i++)
		if (g->g_gid[i] == NOBODY)
			return -Q_EINVAL;
	sort(g->g_gid, g->g_n);
	return 0;
}

/* Copy `n` groups in. */
static int
groups_in(struct qsys *s, uint32_t n, struct qgroups **gp)
{
	struct qgroups *g = groups_alloc(n);
	int error;

	if (g == NULL)
		return -Q_ENOMEM;
	error = qsys_in(s, 1, g->g_gid, n * sizeof(uint32_t));
	if (error == 0)
		error = groups_ready(g);
	if (error != 0)
		qfree(g);
	else
		*gp = g;
	return error;
}

int
proc_become(struct quern_proc *p, const struct quern_cred *cred)
{
	struct qgroups *g = NULL, *old;
	struct qcred *c = &p->p_cred;
	uint64_t caps = cred->uid == 0 ? QCAP_ALL : 0;
	struct ids uid = { cred->uid, cred->uid, cred->uid, cred->uid };
	struct ids gid = { cred->gid, cred->gid, cred->gid, cred->gid };

	if (cred->uid == NOBODY || cred->gid == NOBODY ||
	    cred->ngroups > Q_NGROUPS_MAX)
		return -Q_EINVAL;
	if (cred->ngroups != 0) {
		g = groups_alloc(cred->ngroups);
		if (g == NULL)
			return -Q_ENOMEM;
		memcpy(g->g_gid, cred->groups,
		    cred->ngroups * sizeof(uint32_t));
		if (groups_ready(g) != 0) {
			qfree(g);
			return -Q_EINVAL;
		}
	}
	qmutex_lock(&p->p_lock);
	put_ids(c, false, &uid);
	put_ids(c, true, &gid);
	c->c_cap_perm = caps;
	c->c_cap_inh = 0;
	__atomic_store_n(&c->c_cap_eff, caps, __ATOMIC_RELAXED);
	old = c->c_groups;
	c->c_groups = g;
	qmutex_unlock(&p->p_lock);
	groups_put(old);
	return 0;
}

QSYS(setgroups)
{
	struct qgroups *g = NULL, *old;
	struct quern_proc *p = s->s_proc;
	uint32_t n = qsys_uint(s, 0);
	int error = 0;

	if (!privileged(p, true))
		return -Q_EPERM;
	if (n > Q_NGROUPS_MAX)
		return -Q_EINVAL;
	if (n != 0)
		error = groups_in(s, n, &g);
	if (error != 0)
		return error;
	qmutex_lock(&p->p_lock);
	old = p->p_cred.c_groups;
	p->p_cred.c_groups = g;
	qmutex_unlock(&p->p_lock);
	groups_put(old);
	return 0;
}

void
qproc_exec_cred(struct quern_proc *p, uint32_t uid, uint32_t gid)
{
	struct qcred *c = &p->p_cred;
	uint64_t caps, eff;
	bool root;

	qmutex_lock(&p->p_lock);
	if (uid != NOBODY)
		store(&c->c_euid, uid);
	if (gid != NOBODY)
		store(&c->c_egid, gid);
	store(&c->c_suid, c->c_euid);
	store(&c->c_fsuid, c->c_euid);
	store(&c->c_sgid, c->c_egid);
	store(&c->c_fsgid, c->c_egid);
	/* capabilities(7), without file capabilities: root has what it may. */
	root = (c->c_secbits & QSECBIT_NOROOT) == 0;
	if (uid != NOBODY || gid != NOBODY)
		c->c_cap_amb = 0;
	caps = eff = c->c_cap_amb;
	if (root && (c->c_euid == 0 || c->c_uid == 0))
		caps = c->c_cap_inh | c->c_cap_bnd;
	if (root && c->c_euid == 0)
		eff = caps;
	c->c_cap_perm = caps;
	c->c_secbits &= ~QSECBIT_KEEP_CAPS;
	__atomic_store_n(&c->c_cap_eff, eff, __ATOMIC_RELAXED);
	qmutex_unlock(&p->p_lock);
}
