/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a path to a place.
 *
 * A path is walked twice at most.  First *fast*: in one epoch section, without a
 * lock and without a reference, through what the name cache knows; at the end a
 * reference is taken to what was found, and what was read of it is looked at
 * again.  Whatever is not simple - a name that is not known, a permission that
 * depends on groups or ACLs, something that changes just now - ends that with
 * NOT_FAST, and the path is walked again *slowly*, with a reference to where we
 * are, locking the directories that must be asked.
 *
 * Both are walk_path; w_fast tells.  A fast walk never sleeps.
 */
#include "impl.h"

/* The most symlinks on the way, as in Linux. */
#define LINKS_MAX 40u

#define NOT_FAST 1

static const struct qtag tag_path = { "path" };
static const struct qtag tag_state = { "process places" };
static const struct qtag tag_link = { "symlink" };

struct walk {
	struct quern_proc *w_p;
	const struct qcred *w_cred; /* instead of the process's, or NULL */
	struct vfs *w_vf;
	bool w_fast;
	/* What is to be done with what is found, instead of keeping it. */
	void (*w_look)(struct qvnode *v, void *arg);
	void *w_arg;
	bool w_parent;       /* stop before the last name */
	unsigned w_flags;    /* QWALK_* */
	unsigned w_nlink;    /* symlinks gone through */
	struct qpath w_root; /* with references, unless fast */
	struct qpath w_at;   /* likewise */
	uint32_t w_seq;      /* fast: of w_at.p_d when it was found */
	const char *w_s;     /* what is left of the path */

	struct qname w_last; /* w_parent: the name that was not walked */
	uint32_t w_kind;     /* PARENT_* */
	bool w_slash;        /* slashes behind it */

	unsigned w_depth;              /* symlinks that we are in */
	const char *w_rest[LINKS_MAX]; /* what comes behind each */

	/* slow: symlinks gone through, held for their text; and their mounts */
	unsigned w_nheld;
	struct qvnode *w_held[LINKS_MAX];
	struct qmount *w_heldon[LINKS_MAX];
	char *w_text[LINKS_MAX]; /* their text, if they do not keep it */
	char *w_own; /* that of the one that we are about to enter */
};

/* ---- processes' places ----------------------------------------------------- */

int
proc_state(struct quern_proc *p, struct proc_state **psp)
{
	struct vfs *vf = vfs_of(p->p_k);
	struct proc_state *ps, *old = NULL;

	ps = __atomic_load_n(&p->p_part[vf->vf_slot], __ATOMIC_ACQUIRE);
	if (ps != NULL) {
		*psp = ps;
		return 0;
	}
	if (vf->vf_root == NULL)
		return -Q_ENOENT;
	ps = qzalloc(&tag_state, sizeof(*ps));
	if (ps == NULL)
		return -Q_ENOMEM;
	ps->ps_refs = 1;
	qspin_init(&ps->ps_lock);
	ps->ps_root.p_mnt = ps->ps_cwd.p_mnt = vf->vf_root;
	ps->ps_root.p_d = ps->ps_cwd.p_d = vf->vf_root->m_root;
	qpath_get(&ps->ps_root);
	qpath_get(&ps->ps_cwd);
	if (!__atomic_compare_exchange_n(&p->p_part[vf->vf_slot], (void **)&old,
		ps, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		qpath_put(&ps->ps_root);
		qpath_put(&ps->ps_cwd);
		qfree(ps);
		ps = old;
	}
	*psp = ps;
	return 0;
}

/* A copy of its own. */
static struct proc_state *
copy_state(struct proc_state *old)
{
	struct proc_state *ps = qzalloc(&tag_state, sizeof(*ps));

	if (ps == NULL)
		return NULL;
	ps->ps_refs = 1;
	qspin_init(&ps->ps_lock);
	qspin_lock(&old->ps_lock);
	ps->ps_root = old->ps_root;
	ps->ps_cwd = old->ps_cwd;
	qpath_get(&ps->ps_root);
	qpath_get(&ps->ps_cwd);
	qspin_unlock(&old->ps_lock);
	return ps;
}

static void
drop_state(struct proc_state *ps)
{
	if (__atomic_sub_fetch(&ps->ps_refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	qpath_put(&ps->ps_root);
	qpath_put(&ps->ps_cwd);
	qfree(ps);
}

int
proc_state_fork(struct quern_proc *from, void *state, struct quern_proc *to,
    void **statep)
{
	(void)from, (void)to;
	*statep = copy_state(state);
	return *statep != NULL ? 0 : -Q_ENOMEM;
}

void
proc_state_end(struct quern_proc *p, void *state)
{
	(void)p;
	drop_state(state);
}

/* `p` has `ps` from now on, and drops what it had. */
static void
exchange_state(struct quern_proc *p, struct proc_state *ps)
{
	struct vfs *vf = vfs_of(p->p_k);

	ps = __atomic_exchange_n(&p->p_part[vf->vf_slot], ps, __ATOMIC_ACQ_REL);
	if (ps != NULL)
		drop_state(ps);
}

int
qvfs_share(struct quern_proc *from, struct quern_proc *to)
{
	struct proc_state *ps;
	int error = proc_state(from, &ps);

	if (error != 0)
		return error;
	__atomic_fetch_add(&ps->ps_refs, 1, __ATOMIC_RELAXED);
	exchange_state(to, ps);
	return 0;
}

int
qvfs_unshare(struct quern_proc *p)
{
	struct proc_state *ps;
	int error = proc_state(p, &ps);

	if (error != 0 || __atomic_load_n(&ps->ps_refs, __ATOMIC_ACQUIRE) == 1)
		return error;
	ps = copy_state(ps);
	if (ps == NULL)
		return -Q_ENOMEM;
	exchange_state(p, ps);
	return 0;
}

static int
place(struct quern_proc *p, bool root, struct qpath *out)
{
	struct proc_state *ps;
	int error = proc_state(p, &ps);

	if (error != 0)
		return error;
	qspin_lock(&ps->ps_lock);
	*out = root ? ps->ps_root : ps->ps_cwd;
	qpath_get(out);
	qspin_unlock(&ps->ps_lock);
	return 0;
}

int
proc_root(struct quern_proc *p, struct qpath *out)
{
	return place(p, true, out);
}

int
proc_cwd(struct quern_proc *p, struct qpath *out)
{
	return place(p, false, out);
}

int
qvfs_root(struct quern_proc *p, struct qpath *out)
{
	return place(p, true, out);
}

int
qvfs_cwd(struct quern_proc *p, struct qpath *out)
{
	return place(p, false, out);
}

bool
qpath_deleted(const struct qpath *at)
{
	const struct qvnode *v = dentry_vnode(at->p_d);

	/* What a file system has that forgets names is there as long as it is. */
	if ((at->p_d->d_fs->fs_type->ft_flags & QFT_FORGET) != 0)
		return false;
	return v == NULL ||
	    (dentry_flags(at->p_d) & (QD_HASHED | QD_ROOT)) == 0;
}

struct qvnode *
qpath_vnode(const struct qpath *at)
{
	return dentry_vnode(at->p_d);
}

bool
qpath_nosuid(const struct qpath *at)
{
	return ((at->p_mnt->m_flags | at->p_mnt->m_fs->fs_flags) &
		   QFS_NOSUID) != 0;
}

uint64_t
qpath_mount(const struct qpath *at)
{
	return at->p_mnt->m_id;
}

static int
set_place(struct quern_proc *p, bool root, const struct qpath *at)
{
	struct proc_state *ps;
	struct qpath *to, old;
	int error = proc_state(p, &ps);

	if (error != 0)
		return error;
	to = root ? &ps->ps_root : &ps->ps_cwd;
	qspin_lock(&ps->ps_lock);
	old = *to;
	(void)__atomic_fetch_add(&ps->ps_seq, 1, __ATOMIC_ACQ_REL);
	__atomic_store_n(&to->p_mnt, at->p_mnt, __ATOMIC_RELEASE);
	__atomic_store_n(&to->p_d, at->p_d, __ATOMIC_RELEASE);
	(void)__atomic_fetch_add(&ps->ps_seq, 1, __ATOMIC_RELEASE);
	qspin_unlock(&ps->ps_lock);
	qpath_put(&old);
	return 0;
}

int
proc_set_root(struct quern_proc *p, const struct qpath *at)
{
	return set_place(p, true, at);
}

int
proc_set_cwd(struct quern_proc *p, const struct qpath *at)
{
	return set_place(p, false, at);
}

/* A place without a reference; false: it changes just now. */
static bool
peek_place(struct proc_state *ps, const struct qpath *from, struct qpath *out)
{
	uint32_t seq = __atomic_load_n(&ps->ps_seq, __ATOMIC_ACQUIRE);

	out->p_mnt = __atomic_load_n(&from->p_mnt, __ATOMIC_ACQUIRE);
	out->p_d = __atomic_load_n(&from->p_d, __ATOMIC_ACQUIRE);
	return (seq & 1) == 0 &&
	    __atomic_load_n(&ps->ps_seq, __ATOMIC_RELAXED) == seq;
}

/* ---- where we are ------------------------------------------------------------ */

/* Go to another place: a slow walk uses up the references given. */
static void
move_to(struct walk *w, struct qmount *m, struct qdentry *d, uint32_t seq)
{
	struct qpath old = w->w_at;

	w->w_at.p_mnt = m;
	w->w_at.p_d = d;
	w->w_seq = seq;
	if (!w->w_fast)
		qpath_put(&old);
}

/* Through what is mounted here. */
static int
cross(struct walk *w)
{
	struct qmount *m;
	struct qdentry *d;
	bool going;

	for (;;) {
		d = w->w_at.p_d;
		if (qlikely((dentry_flags(d) & QD_MOUNTED) == 0))
			return 0;
		if (w->w_fast) {
			m = mount_on(w->w_at.p_mnt, d);
			if (m == NULL)
				return 0;
			w->w_at.p_mnt = m;
			w->w_at.p_d = m->m_root;
			w->w_seq = __atomic_load_n(&m->m_root->d_seq,
			    __ATOMIC_ACQUIRE);
		} else {
			qepoch_enter();
			m = mount_on(w->w_at.p_mnt, d);
			going = m != NULL && !mount_tryget(m);
			qepoch_exit();
			if (going) {
				mount_settle(vfs_of(d->d_fs->fs_k));
				continue;
			}
			if (m == NULL)
				return 0;
			dentry_get(m->m_root);
			move_to(w, m, m->m_root, 0);
		}
		if ((w->w_flags & QWALK_NOXDEV) != 0)
			return -Q_EXDEV;
	}
}

static bool
at_root(const struct walk *w)
{
	return w->w_at.p_d == w->w_root.p_d && w->w_at.p_mnt == w->w_root.p_mnt;
}

/*
 * The directory that this one is in, out of what is mounted if need be: without
 * a reference, in an epoch section.  NOT_FAST: something moves just now.
 */
static int
find_up(const struct walk *w, struct qmount **mp, struct qdentry **dp)
{
	struct qmount *m = w->w_at.p_mnt, *parent;
	struct qdentry *d = w->w_at.p_d, *point;

	while (d == m->m_root) {
		parent = __atomic_load_n(&m->m_parent, __ATOMIC_ACQUIRE);
		point = __atomic_load_n(&m->m_point, __ATOMIC_ACQUIRE);
		if (parent == NULL || point == NULL)
			break; /* the root of all, or detached */
		/* Do the two go together? */
		if (__atomic_load_n(&m->m_parent, __ATOMIC_ACQUIRE) != parent)
			return NOT_FAST;
		m = parent;
		d = point;
		if ((w->w_flags & QWALK_NOXDEV) != 0)
			return -Q_EXDEV;
		if (d == w->w_root.p_d && m == w->w_root.p_mnt)
			break;
	}
	*mp = m;
	*dp = d;
	if (d == m->m_root || (d == w->w_root.p_d && m == w->w_root.p_mnt))
		return 0;
	*dp = d = __atomic_load_n(&d->d_parent, __ATOMIC_ACQUIRE);
	/* Moved out of what is mounted here: its parent is not to be seen. */
	if (qunlikely((dentry_flags(m->m_root) & QD_ROOT) == 0) &&
	    !dentry_below(d, m->m_root))
		return w->w_fast ? NOT_FAST : -Q_ENOENT;
	/* Moved, while we are on our way, out of what we are not to leave. */
	if ((w->w_flags & (QWALK_BENEATH | QWALK_INROOT)) != 0 &&
	    m == w->w_root.p_mnt && !dentry_below(d, w->w_root.p_d))
		return -Q_EAGAIN;
	return 0;
}

/*
 * References to both; false: one of them goes, and *hadp is what is to be put
 * outside of the epoch section.
 */
static bool
take_up(const struct walk *w, struct qmount *m, struct qdentry *d,
    struct qdentry **hadp)
{
	if (!dentry_tryget(d))
		return false;
	/* Where we are has one: it may be unmounted, and go on for us. */
	if (m == w->w_at.p_mnt) {
		mount_get(m);
	} else if (!mount_tryget(m)) {
		*hadp = d;
		return false;
	}
	return true;
}

/* To the directory that this one is in. */
static int
go_up(struct walk *w)
{
	struct qdentry *d = NULL, *had;
	struct qmount *m = NULL;
	int error;

	if (at_root(w))
		return (w->w_flags & QWALK_BENEATH) != 0 ? -Q_EXDEV : cross(w);
	for (;;) {
		had = NULL;
		qepoch_enter();
		error = find_up(w, &m, &d);
		if (error == 0 && w->w_fast)
			move_to(w, m, d,
			    __atomic_load_n(&d->d_seq, __ATOMIC_ACQUIRE));
		else if (error == 0 && !take_up(w, m, d, &had))
			error = NOT_FAST;
		qepoch_exit();
		if (had != NULL)
			dentry_put(had);
		if (error != NOT_FAST || w->w_fast)
			break;
		mount_settle(w->w_vf);
	}
	if (error != 0)
		return error;
	if (!w->w_fast)
		move_to(w, m, d, 0);
	return cross(w);
}

/* To the root, for a path or symlink that begins with a slash. */
static int
go_root(struct walk *w)
{
	if ((w->w_flags & QWALK_BENEATH) != 0)
		return -Q_EXDEV;
	if ((w->w_flags & QWALK_NOXDEV) != 0 &&
	    w->w_at.p_mnt != w->w_root.p_mnt)
		return -Q_EXDEV;
	if (w->w_fast) {
		w->w_at = w->w_root;
		w->w_seq = __atomic_load_n(&w->w_at.p_d->d_seq,
		    __ATOMIC_ACQUIRE);
	} else {
		qpath_get(&w->w_root);
		move_to(w, w->w_root.p_mnt, w->w_root.p_d, 0);
	}
	return cross(w);
}

/* May we look for a name in the directory where we are? */
static int
may_search(struct walk *w)
{
	struct qvnode *v = dentry_vnode(w->w_at.p_d);

	if (qunlikely(v == NULL))
		return w->w_fast ? NOT_FAST : -Q_ENOENT;
	if (qunlikely(!qvnode_isdir(v)))
		return -Q_ENOTDIR;
	if (qunlikely(w->w_cred != NULL))
		return qvnode_access(v, w->w_cred, QACC_EXEC);
	if (qlikely(access_quick(v, w->w_p, QACC_EXEC)))
		return 0;
	return w->w_fast ? NOT_FAST : may_access(v, w->w_p, QACC_EXEC);
}

/* ---- one name ------------------------------------------------------------------- */

/*
 * The contents of a symlink, kept with its vnode, or (what names forget says
 * something else to each who asks) w_own.
 */
static int
link_text(struct walk *w, struct qvnode *v, const char **textp)
{
	char *text = __atomic_load_n(&v->v_link, __ATOMIC_ACQUIRE), *old = NULL;
	bool keep = (v->v_fs->fs_type->ft_flags & QFT_FORGET) == 0;
	char *buf;
	int n;

	if (text == NULL && w->w_fast)
		return NOT_FAST;
	if (text == NULL) {
		buf = qalloc(&tag_path, QPATH_MAX);
		if (buf == NULL)
			return -Q_ENOMEM;
		n = v->v_ops->vo_readlink(v, buf, QPATH_MAX - 1);
		if (n >= 0 && (text = qalloc(&tag_link, (size_t)n + 1)) == NULL)
			n = -Q_ENOMEM;
		if (n < 0) {
			qfree(buf);
			return n;
		}
		memcpy(text, buf, (size_t)n);
		text[n] = '\0';
		qfree(buf);
		if (!keep)
			w->w_own = text;
		else if (!__atomic_compare_exchange_n(&v->v_link, &old, text,
			     false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
			qfree(text);
			text = old;
		}
	}
	*textp = text;
	return 0;
}

/* Go on with the contents of the symlink `d`, whose reference is used up. */
static int
follow(struct walk *w, struct qdentry *d, struct qvnode *v)
{
	const char *text;
	int error = 0;

	if (++w->w_nlink > LINKS_MAX)
		error = -Q_ELOOP;
	else if ((w->w_flags & QWALK_NOLINKS) != 0)
		error = -Q_ELOOP;
	else
		error = link_text(w, v, &text);
	if (error == 0 && text[0] == '\0')
		error = -Q_ENOENT;
	if (error != 0) {
		if (!w->w_fast)
			dentry_put(d);
		qfree(w->w_own);
		w->w_own = NULL;
		return error;
	}
	w->w_rest[w->w_depth++] = w->w_s;
	if (!w->w_fast) {
		qvnode_ref(v);
		mount_get(w->w_at.p_mnt);
		w->w_heldon[w->w_nheld] = w->w_at.p_mnt;
		w->w_text[w->w_nheld] = w->w_own;
		w->w_own = NULL;
		w->w_held[w->w_nheld++] = v;
		dentry_put(d);
	}
	w->w_s = text;
	return text[0] == '/' ? go_root(w) : 0;
}

/* Where the magic link `v` leads to, found in `dir`, with references. */
static int
magic_target(struct vfs *vf, struct quern_proc *p, unsigned flags,
    const struct qpath *dir, struct qvnode *v, struct qpath *out)
{
	struct qvnode *bare = NULL;
	int error;

	if ((flags & (QWALK_NOLINKS | QWALK_NOMAGIC)) != 0)
		return -Q_ELOOP;
	if ((flags & (QWALK_BENEATH | QWALK_INROOT)) != 0)
		return -Q_EXDEV;
	error = v->v_ops->vo_follow(v, p, out, &bare);
	if (error == 0 && bare != NULL) {
		error = dentry_nameless(vf, dir->p_d, bare, &out->p_d);
		if (error != 0)
			qvnode_put(bare);
		out->p_mnt = dir->p_mnt;
		if (error == 0)
			mount_get(out->p_mnt);
	}
	if (error == 0 && (flags & QWALK_NOXDEV) != 0 &&
	    out->p_mnt != dir->p_mnt) {
		qpath_put(out);
		error = -Q_EXDEV;
	}
	return error;
}

/* Go on at what the magic link `d` leads to; its reference is used up. */
static int
jump(struct walk *w, struct qdentry *d, struct qvnode *v)
{
	struct qpath to;
	int error;

	if (w->w_fast)
		return NOT_FAST;
	error = ++w->w_nlink > LINKS_MAX ?
	    -Q_ELOOP :
	    magic_target(w->w_vf, w->w_p, w->w_flags, &w->w_at, v, &to);
	dentry_put(d);
	if (error != 0)
		return error;
	move_to(w, to.p_mnt, to.p_d, 0);
	/* A process's root is below what is mounted there, as go_root knows. */
	return cross(w);
}

int
walk_magic(struct quern_proc *p, unsigned flags, const struct qpath *dir,
    struct qvnode *v, struct qpath *out)
{
	return magic_target(vfs_of(p->p_k), p, flags, dir, v, out);
}

/* Find the name where we are; slow: *dp with a reference. */
static int
find_name(struct walk *w, const struct qname *n, struct qdentry **dp,
    uint32_t *seqp)
{
	struct qdentry *dir = w->w_at.p_d, *d;
	struct qvnode *dv;
	int error;

	*seqp = 0;
	if (!w->w_fast)
		qepoch_enter();
	d = dentry_peek(w->w_vf, dir, n, seqp);
	if (w->w_fast) {
		*dp = d;
		return d != NULL && (*seqp & 1) == 0 ? 0 : NOT_FAST;
	}
	if (d != NULL && !dentry_tryget(d))
		d = NULL;
	qepoch_exit();
	if (d != NULL && dentry_same(d, *seqp)) {
		*dp = d;
		return 0;
	}
	if (d != NULL)
		dentry_put(d);
	if ((w->w_flags & QWALK_CACHED) != 0)
		return -Q_EAGAIN;
	dv = dentry_vnode(dir);
	qrw_wrlock(&dv->v_lock);
	error = dentry_lookup(w->w_vf, dir, n, dp);
	qrw_wrunlock(&dv->v_lock);
	return error;
}

/* Is there nothing left of the path, and behind the symlinks on the way? */
static bool
is_end(const struct walk *w)
{
	unsigned i;

	if (*w->w_s != '\0')
		return false;
	for (i = 0; i < w->w_depth; i++)
		if (*w->w_rest[i] != '\0')
			return false;
	return true;
}

/* Step to a name that is neither "." nor "..". */
static int
step(struct walk *w, const struct qname *n, bool last)
{
	struct qdentry *d;
	struct qvnode *v;
	uint32_t seq;
	int error;

	error = find_name(w, n, &d, &seq);
	if (error != 0)
		return error;
	v = dentry_vnode(d);
	if (w->w_fast && __atomic_load_n(&d->d_seq, __ATOMIC_RELAXED) != seq)
		return NOT_FAST;
	if (v == NULL) {
		if (!w->w_fast)
			dentry_put(d);
		return -Q_ENOENT;
	}
	if (qunlikely(qvnode_type(v) == Q_S_IFLNK) &&
	    (!last || (w->w_flags & (QWALK_FOLLOW | QWALK_TRAIL)) != 0))
		return v->v_ops->vo_follow != NULL ? jump(w, d, v) :
						     follow(w, d, v);
	if (w->w_fast) {
		w->w_at.p_d = d;
		w->w_seq = seq;
	} else {
		mount_get(w->w_at.p_mnt);
		move_to(w, w->w_at.p_mnt, d, 0);
	}
	return cross(w);
}

/* ---- the path --------------------------------------------------------------------- */

/* Cut the next name off; its length, 0 at the end.  Slashes before it go. */
static size_t
cut_name(struct walk *w, struct qname *n)
{
	uint32_t h = NAME_HASH_FIRST;
	const char *s = w->w_s;
	size_t len = 0;

	while (*s == '/')
		s++;
	n->n_name = s;
	for (; s[len] != '\0' && s[len] != '/'; len++)
		h = name_hash_next(h, (unsigned char)s[len]);
	n->n_len = (uint32_t)len;
	n->n_hash = h;
	s += len;
	w->w_slash = *s == '/';
	while (*s == '/')
		s++;
	w->w_s = s;
	return len;
}

static uint32_t
name_kind(const struct qname *n)
{
	if (n->n_name[0] != '.' || n->n_len > 2)
		return PARENT_NAME;
	if (n->n_len == 1)
		return PARENT_DOT;
	return n->n_name[1] == '.' ? PARENT_DOTDOT : PARENT_NAME;
}

static int
walk_path(struct walk *w)
{
	struct qname n;
	bool last;
	int error;

	w->w_kind = PARENT_ROOT;
	for (;;) {
		while (cut_name(w, &n) == 0) {
			if (w->w_depth == 0)
				return 0;
			w->w_s = w->w_rest[--w->w_depth];
		}
		error = may_search(w);
		if (error != 0)
			return error;
		if (n.n_len > QNAME_MAX)
			return -Q_ENAMETOOLONG;
		last = is_end(w);
		if (last && w->w_slash)
			w->w_flags |= QWALK_TRAIL;
		w->w_kind = name_kind(&n);
		if (last && w->w_parent) {
			w->w_last = n;
			return 0;
		}
		if (w->w_kind == PARENT_DOT)
			continue;
		if (w->w_kind == PARENT_DOTDOT)
			error = go_up(w);
		else
			error = step(w, &n, last);
		if (error != 0)
			return error;
	}
}

/* ---- beginning and end ------------------------------------------------------------ */

/* The directory that a relative path begins in, with references. */
static int
start_at(struct quern_proc *p, int dirfd, const char *path, unsigned flags,
    struct qpath *out)
{
	const struct qpath *at;
	struct qfile *f;
	int error = 0;

	if (dirfd == Q_AT_FDCWD)
		return proc_cwd(p, out);
	f = qfd_get_path(p, dirfd);
	if (f == NULL)
		return -Q_EBADF;
	at = qfile_path(f);
	if (at == NULL) {
		error = path[0] == '\0' && (flags & QWALK_EMPTY) != 0 ?
		    -Q_EBADF :
		    -Q_ENOTDIR;
	} else {
		*out = *at;
		qpath_get(out);
	}
	qfile_put(f);
	return error;
}

static void
walk_start(struct walk *w, struct quern_proc *p, const char *path,
    unsigned flags, bool parent)
{
	w->w_p = p;
	w->w_cred = NULL;
	w->w_look = NULL;
	w->w_vf = vfs_of(p->p_k);
	w->w_parent = parent;
	w->w_flags = flags;
	w->w_nlink = w->w_depth = w->w_nheld = 0;
	w->w_s = path;
	w->w_slash = false;
	w->w_own = NULL;
}

/* What must be so at the end of a walk to the last name. */
static int
check_end(struct walk *w)
{
	struct qvnode *v = dentry_vnode(w->w_at.p_d);

	if (w->w_parent)
		return 0;
	if (v == NULL)
		return w->w_fast ? NOT_FAST : -Q_ENOENT;
	if ((w->w_flags & (QWALK_DIRECTORY | QWALK_TRAIL)) != 0 &&
	    !qvnode_isdir(v))
		return -Q_ENOTDIR;
	return 0;
}

/* In an epoch section; NOT_FAST or the result, and then with references. */
static int
walk_fast(struct walk *w, struct proc_state *ps, const char *path)
{
	int error;

	w->w_fast = true;
	/* Twice the root rather than a copy, which would wait for the stores. */
	if (!peek_place(ps, &ps->ps_root, &w->w_root) ||
	    !peek_place(ps, path[0] == '/' ? &ps->ps_root : &ps->ps_cwd,
		&w->w_at))
		return NOT_FAST;
	w->w_seq = __atomic_load_n(&w->w_at.p_d->d_seq, __ATOMIC_ACQUIRE);
	error = path[0] == '/' ? cross(w) : 0;
	if (error == 0)
		error = walk_path(w);
	if (error == 0)
		error = check_end(w);
	if (error != 0)
		return error;
	if (w->w_look != NULL) {
		w->w_look(dentry_vnode(w->w_at.p_d), w->w_arg);
		return dentry_same(w->w_at.p_d, w->w_seq) ? 0 : NOT_FAST;
	}
	if (!mount_tryget(w->w_at.p_mnt))
		return NOT_FAST;
	if (dentry_tryget(w->w_at.p_d)) {
		if (dentry_same(w->w_at.p_d, w->w_seq))
			return 0;
	} else {
		w->w_at.p_d = NULL;
	}
	/* Not put here: that may sleep. */
	w->w_fast = false;
	return NOT_FAST;
}

static int
walk_slow(struct walk *w, int dirfd, const char *path)
{
	int error;

	w->w_fast = false;
	error = proc_root(w->w_p, &w->w_root);
	if (error != 0)
		return error;
	if (path[0] == '/' && (w->w_flags & QWALK_INROOT) == 0) {
		w->w_at = w->w_root;
		qpath_get(&w->w_at);
		error = (w->w_flags & QWALK_BENEATH) != 0 ? -Q_EXDEV : cross(w);
	} else {
		error = start_at(w->w_p, dirfd, path, w->w_flags, &w->w_at);
		if (error != 0) {
			qpath_put(&w->w_root);
			return error;
		}
		if ((w->w_flags & (QWALK_INROOT | QWALK_BENEATH)) != 0) {
			qpath_put(&w->w_root);
			w->w_root = w->w_at;
			qpath_get(&w->w_root);
		}
	}
	if (error == 0)
		error = walk_path(w);
	if (error == 0)
		error = check_end(w);
	qpath_put(&w->w_root);
	if (error != 0)
		qpath_put(&w->w_at);
	return error;
}

/* Walk; w_at has references when it is 0.  To be ended by walk_end. */
static int
walk_do(struct walk *w, int dirfd, const char *path)
{
	const unsigned slow = QWALK_BENEATH | QWALK_INROOT;
	unsigned flags = w->w_flags;
	struct proc_state *ps;
	int error;

	if (path[0] == '\0' && (flags & QWALK_EMPTY) == 0)
		return -Q_ENOENT;
	error = proc_state(w->w_p, &ps);
	if (error != 0)
		return error;
	error = NOT_FAST;
	if ((path[0] == '/' || dirfd == Q_AT_FDCWD) && (flags & slow) == 0 &&
	    w->w_cred == NULL) {
		qepoch_enter();
		error = walk_fast(w, ps, path);
		qepoch_exit();
		if (error == NOT_FAST && !w->w_fast) {
			/* It has changed just now. */
			if (w->w_at.p_d != NULL)
				dentry_put(w->w_at.p_d);
			mount_put(w->w_at.p_mnt);
		}
	}
	if (error == NOT_FAST) {
		w->w_flags = flags;
		w->w_nlink = w->w_depth = 0;
		w->w_s = path;
		error = walk_slow(w, dirfd, path);
	}
	return error;
}

static void
walk_end(struct walk *w)
{
	while (w->w_nheld > 0) {
		qvnode_put(w->w_held[--w->w_nheld]);
		mount_put(w->w_heldon[w->w_nheld]);
		qfree(w->w_text[w->w_nheld]);
	}
}

int
walk_look(const struct qsys *s, int dirfd, unsigned i, unsigned flags,
    void (*look)(struct qvnode *v, void *arg), void *arg)
{
	struct walk w;
	struct short_path sp;
	int error = path_arg_short(s, i, (flags & QWALK_EMPTY) != 0, &sp);

	if (error != 0)
		return error;
	walk_start(&w, s->s_proc, sp.sp_path, flags, false);
	w.w_look = look;
	w.w_arg = arg;
	error = walk_do(&w, dirfd, sp.sp_path);
	if (error == 0 && !w.w_fast) {
		look(dentry_vnode(w.w_at.p_d), arg);
		qpath_put(&w.w_at);
	}
	walk_end(&w);
	path_end(&sp);
	return error;
}

int
qvfs_walk(struct quern_proc *p, int dirfd, const char *path, unsigned flags,
    struct qpath *out)
{
	struct walk w;
	int error;

	walk_start(&w, p, path, flags, false);
	error = walk_do(&w, dirfd, path);
	walk_end(&w);
	if (error == 0)
		*out = w.w_at;
	return error;
}

int
walk_as(const struct qsys *s, int dirfd, unsigned i, unsigned flags,
    const struct qcred *c, struct qpath *out)
{
	struct walk w;
	char *buf;
	int error = path_arg(s, i, (flags & QWALK_EMPTY) != 0, &buf);

	if (error != 0)
		return error;
	walk_start(&w, s->s_proc, buf, flags, false);
	w.w_cred = c;
	error = walk_do(&w, dirfd, buf);
	walk_end(&w);
	path_free(buf);
	if (error == 0)
		*out = w.w_at;
	return error;
}

/* ---- arguments of calls -------------------------------------------------------------- */

int
path_arg(const struct qsys *s, unsigned i, bool empty, char **bufp)
{
	char *buf = qalloc(&tag_path, QPATH_MAX);
	int64_t n;

	if (buf == NULL)
		return -Q_ENOMEM;
	n = qcopyinstr(s->s_us, buf, s->s_arg[i], QPATH_MAX);
	if (n == 0 && !empty)
		n = -Q_ENOENT;
	if (n < 0) {
		qfree(buf);
		return (int)n;
	}
	*bufp = buf;
	return 0;
}

int
path_arg_short(const struct qsys *s, unsigned i, bool empty,
    struct short_path *sp)
{
	int64_t n = qcopyinstr(s->s_us, sp->sp_text, s->s_arg[i],
	    sizeof(sp->sp_text));

	sp->sp_path = sp->sp_text;
	if (qlikely(n > 0))
		return 0;
	if (n == -Q_ENAMETOOLONG)
		return path_arg(s, i, empty, &sp->sp_path);
	return n != 0 ? (int)n : empty ? 0 : -Q_ENOENT;
}

void
path_free(char *buf)
{
	qfree(buf);
}

int
qvfs_walk_arg(const struct qsys *s, int dirfd, unsigned i, unsigned flags,
    struct qpath *out)
{
	struct short_path sp;
	int error = path_arg_short(s, i, (flags & QWALK_EMPTY) != 0, &sp);

	if (error != 0)
		return error;
	error = qvfs_walk(s->s_proc, dirfd, sp.sp_path, flags, out);
	path_end(&sp);
	return error;
}

/* What a walk to the last name has found; `buf` takes that name. */
static void
take_parent(const struct walk *w, char *buf, struct qparent *pa)
{
	pa->pa_dir = w->w_at;
	pa->pa_kind = w->w_kind;
	pa->pa_slash = w->w_slash;
	if (w->w_kind != PARENT_NAME)
		return;
	memmove(buf, w->w_last.n_name, w->w_last.n_len);
	buf[w->w_last.n_len] = '\0';
	pa->pa_name = w->w_last;
	pa->pa_name.n_name = buf;
}

/* The directory of the last name of `path`; `buf` takes that name. */
static int
find_parent(struct quern_proc *p, int dirfd, const char *path, unsigned flags,
    char *buf, struct qparent *pa)
{
	struct walk w;
	int error;

	walk_start(&w, p, path, flags, true);
	error = walk_do(&w, dirfd, path);
	if (error == 0)
		take_parent(&w, buf, pa);
	walk_end(&w);
	return error;
}

int
walk_parent(const struct qsys *s, int dirfd, unsigned i, unsigned flags,
    struct qparent *pa)
{
	int error = path_arg(s, i, false, &pa->pa_buf);

	if (error != 0)
		return error;
	error = find_parent(s->s_proc, dirfd, pa->pa_buf, flags, pa->pa_buf,
	    pa);
	if (error != 0)
		path_free(pa->pa_buf);
	return error;
}

int
parent_of(struct quern_proc *p, int dirfd, const char *path, unsigned flags,
    struct qparent *pa)
{
	int error;

	pa->pa_dir.p_d = NULL;
	error = path_buf(&pa->pa_buf);
	if (error != 0)
		return error;
	error = find_parent(p, dirfd, path, flags, pa->pa_buf, pa);
	if (error != 0) {
		pa->pa_dir.p_d = NULL;
		path_free(pa->pa_buf);
	}
	return error;
}

/*
 * From `at`, whose references are used up, instead of a descriptor: that is only
 * what `flags` may keep the walk in.
 */
static int
find_parent_from(struct quern_proc *p, int dirfd, const struct qpath *at,
    const char *path, unsigned flags, struct qparent *pa)
{
	struct walk w;
	int error;

	walk_start(&w, p, path, flags, true);
	w.w_fast = false;
	error = (flags & (QWALK_INROOT | QWALK_BENEATH)) != 0 ?
	    start_at(p, dirfd, path, flags, &w.w_root) :
	    proc_root(p, &w.w_root);
	if (error != 0) {
		qpath_put(at);
		return error;
	}
	w.w_at = *at;
	if (path[0] == '/')
		error = go_root(&w);
	if (error == 0)
		error = walk_path(&w);
	qpath_put(&w.w_root);
	if (error != 0)
		qpath_put(&w.w_at);
	else
		take_parent(&w, pa->pa_buf, pa);
	walk_end(&w);
	return error;
}

int
parent_of_link(struct quern_proc *p, int dirfd, unsigned flags,
    struct qparent *pa, struct qvnode *link)
{
	struct walk w = { .w_fast = false };
	struct qpath dir = pa->pa_dir;
	const char *text;
	int error;

	error = link_text(&w, link, &text);
	if (error == 0 && text[0] == '\0')
		error = -Q_ENOENT;
	if (error != 0) {
		qfree(w.w_own);
		return error;
	}
	pa->pa_dir.p_d = NULL;
	error = find_parent_from(p, dirfd, &dir, text, flags, pa);
	qfree(w.w_own);
	if (error != 0) {
		path_free(pa->pa_buf);
		pa->pa_dir.p_d = NULL;
	}
	return error;
}

int
walk_mounts(struct qpath *at, unsigned flags)
{
	struct walk w = { .w_fast = false, .w_flags = flags, .w_at = *at };
	int error = cross(&w);

	*at = w.w_at;
	return error;
}

void
parent_put(struct qparent *pa)
{
	qpath_put(&pa->pa_dir);
	path_free(pa->pa_buf);
}

int
path_buf(char **bufp)
{
	*bufp = qalloc(&tag_path, QPATH_MAX);
	return *bufp != NULL ? 0 : -Q_ENOMEM;
}

bool
is_path_empty(const struct qsys *s, unsigned i)
{
	char c = 1;

	return qsys_in(s, i, &c, 1) == 0 && c == '\0';
}

int
zero_tail(const struct qsys *s, unsigned i, size_t from, size_t to)
{
	char buf[64];
	size_t n, j;

	for (; from < to; from += n) {
		n = to - from < sizeof(buf) ? to - from : sizeof(buf);
		if (qcopyin(s->s_us, buf, s->s_arg[i] + from, n) != 0)
			return -Q_EFAULT;
		for (j = 0; j < n; j++)
			if (buf[j] != 0)
				return -Q_E2BIG;
	}
	return 0;
}
