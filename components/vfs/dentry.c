/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The name cache.
 *
 * A dentry is *hashed* while its name finds it, *positive* with a vnode and
 * *negative* without: the directory is known not to have the name.  It is in use
 * while d_refs is not 0; a child is a use of its parent.  One that is not in use
 * and hashed stays, on a list in the order in which they came there, until there
 * are too many or its file system goes.
 *
 * N1  Of a directory's dentries, at most one that is hashed has a given name.
 *     The directory's v_lock, held for writing, is what makes that so.
 * N2  Name, parent and vnode change only with d_seq odd, the directory's v_lock
 *     held for writing.  With a reference held, a positive dentry stays that
 *     vnode: it is made negative only when nobody else has one.
 * N3  Who looks without a lock is in an epoch section.  It reads d_seq, compares
 *     the name, reads what it wants, and reads d_seq again.  Dentries, names and
 *     vnodes are freed after the epoch.
 * N4  A dead dentry (DENTRY_DEAD) is not hashed.
 *
 * A directory has one dentry, since it has one name.
 */
#include "impl.h"

static const struct qtag tag_dentry = { "dentry" };
static const struct qtag tag_name = { "long name" };
static const struct qtag tag_hash = { "name hash" };

/* The chains that there are, and the dentries that may be kept, by RAM. */
#define CHAINS_MIN 1024u
#define CHAINS_MAX (1u << 20)

int
dentry_init(struct vfs *vf)
{
	uint64_t n = CHAINS_MIN;
	unsigned i;

	while (n < CHAINS_MAX && n < qpage_total(vf->vf_k))
		n *= 2;
	vf->vf_hash = qzalloc(&tag_hash, n * sizeof(vf->vf_hash[0]));
	if (vf->vf_hash == NULL)
		return -Q_ENOMEM;
	vf->vf_mask = (uint32_t)n - 1;
	vf->vf_lrumax = n * 2;
	for (i = 0; i < CHAIN_LOCKS; i++)
		qspin_init(&vf->vf_chain[i]);
	qspin_init(&vf->vf_lrulock);
	qlist_init(&vf->vf_lru);
	return 0;
}

void
dentry_fini(struct vfs *vf)
{
	qassert(vf->vf_nlru == 0);
	qfree(vf->vf_hash);
}

uint32_t
name_hash(const char *s, size_t len)
{
	uint32_t h = NAME_HASH_FIRST;

	while (len-- > 0)
		h = name_hash_next(h, (unsigned char)*s++);
	return h;
}

/* A name in a directory. */
static inline uint32_t
full_hash(const struct qdentry *dir, const struct qname *n)
{
	uint64_t h = (dir->d_id << 32 | n->n_hash) *
	    UINT64_C(0xc4ceb9fe1a85ec53);

	return (uint32_t)(h >> 32);
}

static inline struct qspin *
chain_lock(struct vfs *vf, uint32_t hash)
{
	return &vf->vf_chain[hash % CHAIN_LOCKS];
}

/* ---- life ------------------------------------------------------------------- */

/* A name with memory of its own. */
struct long_name {
	struct qepoch_entry ln_epoch;
	struct qdname ln_name; /* last: it may be longer */
};

static void
fill_name(struct qdname *dn, const struct qname *n)
{
	char *s = dn->dn_s;

	dn->dn_len = n->n_len;
	memcpy(s, n->n_name, n->n_len);
	s[n->n_len] = '\0';
}

int
name_alloc(const struct qname *n, struct long_name **lp)
{
	size_t more = n->n_len >= QD_SHORT ? n->n_len + 1 - QD_SHORT : 0;
	struct long_name *ln = qalloc(&tag_name, sizeof(*ln) + more);

	if (ln == NULL)
		return -Q_ENOMEM;
	fill_name(&ln->ln_name, n);
	*lp = ln;
	return 0;
}

void
name_free(struct long_name *ln)
{
	qfree(ln);
}

static struct long_name *
long_name_of(const struct qdname *dn)
{
	return QCONTAINER((void *)(uintptr_t)dn, struct long_name, ln_name);
}

static int
dentry_make(struct vfs *vf, struct qfs *fs, struct qdentry *parent,
    const struct qname *n, struct qdentry **dp)
{
	struct qdentry *d = qzalloc(&tag_dentry, sizeof(*d));
	struct long_name *ln;

	if (d == NULL)
		return -Q_ENOMEM;
	d->d_name = &d->d_short;
	if (n->n_len < QD_SHORT) {
		fill_name(&d->d_short, n);
	} else if (name_alloc(n, &ln) == 0) {
		d->d_name = &ln->ln_name;
	} else {
		qfree(d);
		return -Q_ENOMEM;
	}
	d->d_refs = 1;
	d->d_id = __atomic_add_fetch(&vf->vf_nextid, 1, __ATOMIC_RELAXED);
	d->d_fs = fs;
	qlist_init(&d->d_lru);
	qlist_init(&d->d_children);
	qlist_init(&d->d_sibling);
	__atomic_fetch_add(&vf->vf_ndentry, 1, __ATOMIC_RELAXED);
	d->d_parent = parent != NULL ? parent : d;
	if (parent != NULL) {
		dentry_get(parent);
		qspin_lock(&vf->vf_lrulock);
		qlist_append(&parent->d_children, &d->d_sibling);
		qspin_unlock(&vf->vf_lrulock);
	}
	*dp = d;
	return 0;
}

int
dentry_root(struct vfs *vf, struct qvnode *v, struct qdentry **dp)
{
	static const struct qname none = { "", 0, 0 };
	int error = dentry_make(vf, v->v_fs, NULL, &none, dp);

	if (error != 0)
		return error;
	(*dp)->d_flags = QD_ROOT;
	(*dp)->d_vnode = v;
	return 0;
}

static void
free_name(struct qepoch_entry *e)
{
	qfree(QCONTAINER(e, struct long_name, ln_epoch));
}

static void
free_late(struct qepoch_entry *e)
{
	struct qdentry *d = QCONTAINER(e, struct qdentry, d_epoch);

	if (d->d_name != &d->d_short)
		qfree(long_name_of(d->d_name));
	qfree(d);
}

/* [vf_lrulock]; others read it for what it is worth. */
static inline void
lru_count(struct vfs *vf, int n)
{
	__atomic_store_n(&vf->vf_nlru, vf->vf_nlru + (uint64_t)(int64_t)n,
	    __ATOMIC_RELAXED);
}

/* A dentry has been `v` for the last time. */
static void
vnode_leave(struct qvnode *v)
{
	if (vnode_watched(v) &&
	    __atomic_load_n(&v->v_nlink, __ATOMIC_RELAXED) == 0)
		watch_deleted(v);
	qvnode_put(v);
}

/* It is dead and not hashed: let go of what it refers to.  Its parent. */
static struct qdentry *
dentry_end(struct vfs *vf, struct qdentry *d)
{
	struct qdentry *parent = d->d_parent;
	struct qvnode *v = d->d_vnode;

	qassert((dentry_flags(d) & QD_HASHED) == 0 && d->d_mounts == NULL);
	qspin_lock(&vf->vf_lrulock);
	if ((dentry_flags(d) & QD_LRU) != 0) {
		qlist_del(&d->d_lru);
		lru_count(vf, -1);
	}
	qlist_del(&d->d_sibling);
	qassert(qlist_empty(&d->d_children));
	qspin_unlock(&vf->vf_lrulock);
	__atomic_fetch_sub(&vf->vf_ndentry, 1, __ATOMIC_RELAXED);
	if (v != NULL)
		vnode_leave(v);
	qepoch_defer(&d->d_epoch, free_late);
	return parent != d ? parent : NULL;
}

/* ---- the table --------------------------------------------------------------- */

static void
hash_insert(struct vfs *vf, struct qdentry *d, uint32_t hash)
{
	struct qdentry **head = &vf->vf_hash[hash & vf->vf_mask];
	struct qspin *lock = chain_lock(vf, hash);

	qspin_lock(lock);
	__atomic_store_n(&d->d_hash, hash, __ATOMIC_RELAXED);
	__atomic_store_n(&d->d_next, *head, __ATOMIC_RELAXED);
	__atomic_store_n(head, d, __ATOMIC_RELEASE);
	__atomic_fetch_or(&d->d_flags, QD_HASHED, __ATOMIC_RELAXED);
	qspin_unlock(lock);
}

static void
hash_remove(struct vfs *vf, struct qdentry *d)
{
	struct qdentry **at = &vf->vf_hash[d->d_hash & vf->vf_mask], *e;
	struct qspin *lock = chain_lock(vf, d->d_hash);

	if ((dentry_flags(d) & QD_HASHED) == 0)
		return;
	qspin_lock(lock);
	while ((e = __atomic_load_n(at, __ATOMIC_RELAXED)) != d)
		at = &e->d_next;
	/* Who stands on it goes on by d_next, which stays. */
	__atomic_store_n(at, __atomic_load_n(&d->d_next, __ATOMIC_RELAXED),
	    __ATOMIC_RELEASE);
	__atomic_fetch_and(&d->d_flags, ~QD_HASHED, __ATOMIC_RELAXED);
	qspin_unlock(lock);
}

static inline void
change_begin(struct qdentry *d)
{
	(void)__atomic_fetch_add(&d->d_seq, 1, __ATOMIC_ACQ_REL);
}

static inline void
change_end(struct qdentry *d)
{
	(void)__atomic_fetch_add(&d->d_seq, 1, __ATOMIC_RELEASE);
}

struct qdentry *
dentry_peek(struct vfs *vf, struct qdentry *dir, const struct qname *n,
    uint32_t *seqp)
{
	uint32_t hash = full_hash(dir, n), seq;
	struct qdentry *d = __atomic_load_n(&vf->vf_hash[hash & vf->vf_mask],
	    __ATOMIC_ACQUIRE);
	const struct qdname *dn;

	for (; d != NULL; d = __atomic_load_n(&d->d_next, __ATOMIC_ACQUIRE)) {
		if (__atomic_load_n(&d->d_hash, __ATOMIC_RELAXED) != hash)
			continue;
		seq = __atomic_load_n(&d->d_seq, __ATOMIC_ACQUIRE);
		if (__atomic_load_n(&d->d_parent, __ATOMIC_RELAXED) != dir)
			continue;
		dn = __atomic_load_n(&d->d_name, __ATOMIC_ACQUIRE);
		if (dn->dn_len != n->n_len ||
		    memcmp(dn->dn_s, n->n_name, n->n_len) != 0 ||
		    (__atomic_load_n(&d->d_refs, __ATOMIC_RELAXED) &
			DENTRY_DEAD) != 0)
			continue;
		*seqp = seq;
		return d;
	}
	return NULL;
}

bool
dentry_same(struct qdentry *d, uint32_t seq)
{
	/* What was read was read with acquire, so before this. */
	return (seq & 1) == 0 &&
	    __atomic_load_n(&d->d_seq, __ATOMIC_RELAXED) == seq;
}

/* ---- references --------------------------------------------------------------- */

bool
dentry_tryget(struct qdentry *d)
{
	uint32_t n = __atomic_load_n(&d->d_refs, __ATOMIC_RELAXED);

	do {
		if ((n & DENTRY_DEAD) != 0)
			return false;
	} while (!__atomic_compare_exchange_n(&d->d_refs, &n, n + 1, true,
	    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	return true;
}

/* Change 0 references to death: who can, ends it. */
static bool
dentry_kill(struct qdentry *d)
{
	uint32_t none = 0;

	return __atomic_compare_exchange_n(&d->d_refs, &none, DENTRY_DEAD,
	    false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* Put it on the list of those not in use, unless it is there or dead. */
static void
keep(struct vfs *vf, struct qdentry *d)
{
	qspin_lock(&vf->vf_lrulock);
	if ((__atomic_load_n(&d->d_refs, __ATOMIC_RELAXED) & DENTRY_DEAD) ==
		0 &&
	    (dentry_flags(d) & QD_LRU) == 0) {
		__atomic_fetch_or(&d->d_flags, QD_LRU, __ATOMIC_RELAXED);
		qlist_append(&vf->vf_lru, &d->d_lru);
		lru_count(vf, 1);
	}
	qspin_unlock(&vf->vf_lrulock);
}

/*
 * Drop a reference.  Between "0 references" and "what is to become of it" others
 * may come: unhash it, look through the list, find it by name and drop it again.
 * Whoever comes to 0 looks after that at the flags, and whoever changes these
 * looks after that at the references (dentry_prune), so one of the two sees.
 */
static bool
drop_one(struct vfs *vf, struct qdentry *d)
{
	uint32_t n = __atomic_load_n(&d->d_refs, __ATOMIC_RELAXED);

	do {
		qassert(n != 0 && (n & DENTRY_DEAD) == 0);
	} while (!__atomic_compare_exchange_n(&d->d_refs, &n, n - 1, true,
	    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
	if (n > 1)
		return false;
	if ((dentry_flags(d) & QD_HASHED) == 0)
		return dentry_kill(d);
	if ((dentry_flags(d) & QD_USED) == 0)
		__atomic_fetch_or(&d->d_flags, QD_USED, __ATOMIC_RELAXED);
	if ((dentry_flags(d) & QD_LRU) == 0)
		keep(vf, d);
	return false;
}

void
dentry_put(struct qdentry *d)
{
	struct vfs *vf = vfs_of(d->d_fs->fs_k);
	bool ended = false;

	while (d != NULL && drop_one(vf, d)) {
		d = dentry_end(vf, d);
		ended = true;
	}
	if (!ended &&
	    __atomic_load_n(&vf->vf_nlru, __ATOMIC_RELAXED) > vf->vf_lrumax &&
	    qthread_current()->t_spins == 0)
		dentry_prune(vf, NULL);
}

/* ---- forgetting ---------------------------------------------------------------- */

/* How many are looked at with the list locked. */
#define PRUNE_BATCH 32u

/*
 * Take up to a batch off the list that can be ended, dead.  Those in use leave
 * the list: who drops them last puts them on again.  [vf_lrulock]
 */
static unsigned
collect(struct vfs *vf, struct qfs *fs, struct qdentry **out, bool *morep)
{
	struct qlist *l, *next;
	struct qdentry *d;
	unsigned n = 0, looked = 0;

	*morep = false;
	QLIST_FOREACH_SAFE(l, next, &vf->vf_lru) {
		d = QLIST_ELEM(l, struct qdentry, d_lru);
		if (fs != NULL && d->d_fs != fs)
			continue;
		if (n == PRUNE_BATCH || ++looked > 4 * PRUNE_BATCH) {
			*morep = true;
			break;
		}
		qlist_del(&d->d_lru);
		if (fs == NULL && (dentry_flags(d) & QD_USED) != 0) {
			/* Found since: once more around. */
			__atomic_fetch_and(&d->d_flags, ~QD_USED,
			    __ATOMIC_RELAXED);
			qlist_append(&vf->vf_lru, &d->d_lru);
			continue;
		}
		lru_count(vf, -1);
		__atomic_fetch_and(&d->d_flags, ~QD_LRU, __ATOMIC_SEQ_CST);
		if (dentry_kill(d))
			out[n++] = d;
	}
	return n;
}

/* End dead ones: first none is found any more, then what they refer to goes. */
static void
end_all(struct vfs *vf, struct qdentry **d, unsigned n)
{
	struct qdentry *parent;
	unsigned i;

	for (i = 0; i < n; i++)
		hash_remove(vf, d[i]);
	for (i = 0; i < n; i++) {
		parent = dentry_end(vf, d[i]);
		if (parent != NULL)
			dentry_put(parent);
	}
}

void
dentry_prune(struct vfs *vf, struct qfs *fs)
{
	struct qdentry *batch[PRUNE_BATCH];
	unsigned n;
	bool more;

	if (fs == NULL &&
	    __atomic_exchange_n(&vf->vf_pruning, 1, __ATOMIC_ACQUIRE) != 0)
		return;
	do {
		qspin_lock(&vf->vf_lrulock);
		n = collect(vf, fs, batch, &more);
		if (fs == NULL)
			more = vf->vf_nlru > vf->vf_lrumax - vf->vf_lrumax / 16;
		qspin_unlock(&vf->vf_lrulock);
		end_all(vf, batch, n);
	} while (more || (fs != NULL && n != 0));
	if (fs == NULL)
		__atomic_store_n(&vf->vf_pruning, 0, __ATOMIC_RELEASE);
}

void
dentry_prune_below(struct vfs *vf, struct qdentry *dir)
{
	struct qdentry *batch[PRUNE_BATCH], *d;
	struct qlist *l;
	unsigned n;

	do {
		n = 0;
		qspin_lock(&vf->vf_lrulock);
		QLIST_FOREACH(l, &dir->d_children) {
			d = QLIST_ELEM(l, struct qdentry, d_sibling);
			if (n < PRUNE_BATCH && dentry_kill(d))
				batch[n++] = d;
		}
		qspin_unlock(&vf->vf_lrulock);
		end_all(vf, batch, n);
	} while (n != 0);
}

/* ---- what directories say ------------------------------------------------------- */

int
dentry_lookup(struct vfs *vf, struct qdentry *dir, const struct qname *n,
    struct qdentry **dp)
{
	struct qvnode *v = NULL;
	struct qspin *lock;
	struct qdentry *d;
	uint32_t seq;
	int error;

	/*
	 * With the chain locked: a dentry that moves to another one could take
	 * us along, past the one that we look for.
	 */
	lock = chain_lock(vf, full_hash(dir, n));
	qspin_lock(lock);
	do {
		d = dentry_peek(vf, dir, n, &seq);
	} while (d != NULL && !dentry_tryget(d));
	qspin_unlock(lock);
	if (d != NULL) {
		*dp = d;
		return 0;
	}
	/* Gone directories have nothing in them, whatever they say. */
	if (dir->d_vnode->v_nlink == 0)
		return -Q_ENOENT;
	error = dir->d_vnode->v_ops->vo_lookup(dir->d_vnode, n, &v);
	if (error != 0 && error != -Q_ENOENT)
		return error;
	error = dentry_make(vf, dir->d_fs, dir, n, &d);
	if (error != 0) {
		if (v != NULL)
			qvnode_put(v);
		return error;
	}
	d->d_vnode = v;
	if ((dir->d_fs->fs_type->ft_flags &
		(v != NULL ? QFT_FORGET : QFT_DYNAMIC)) == 0)
		hash_insert(vf, d, full_hash(dir, n));
	*dp = d;
	return 0;
}

int
dentry_nameless(struct vfs *vf, struct qdentry *dir, struct qvnode *v,
    struct qdentry **dp)
{
	static const struct qname none = { "", 0, 0 };
	int error = dentry_make(vf, v->v_fs, dir, &none, dp);

	if (error == 0)
		(*dp)->d_vnode = v;
	return error;
}

void
dentry_set(struct qdentry *d, struct qvnode *v)
{
	qassert(d->d_vnode == NULL);
	change_begin(d);
	__atomic_store_n(&d->d_vnode, v, __ATOMIC_RELEASE);
	change_end(d);
}

void
dentry_unhash(struct qdentry *d)
{
	change_begin(d);
	hash_remove(vfs_of(d->d_fs->fs_k), d);
	change_end(d);
}

void
dentry_unset(struct qdentry *d)
{
	uint32_t one = 1;
	struct qvnode *v = d->d_vnode;

	/* Ours is the only reference: nobody has it as this vnode. */
	if (!__atomic_compare_exchange_n(&d->d_refs, &one, DENTRY_DEAD, false,
		__ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
		dentry_unhash(d);
		return;
	}
	change_begin(d);
	__atomic_store_n(&d->d_vnode, NULL, __ATOMIC_RELEASE);
	change_end(d);
	__atomic_store_n(&d->d_refs, 1, __ATOMIC_RELEASE);
	vnode_leave(v);
}

/* Give `d` a name and a parent; not hashed meanwhile. */
static struct qdentry *
rename_to(struct vfs *vf, struct qdentry *d, struct qdentry *dir,
    struct long_name *ln)
{
	const struct qdname *was = d->d_name;
	struct qdentry *old = d->d_parent;

	__atomic_store_n(&d->d_name, &ln->ln_name, __ATOMIC_RELEASE);
	if (was != &d->d_short)
		qepoch_defer(&long_name_of(was)->ln_epoch, free_name);
	if (old == dir)
		return NULL;
	dentry_get(dir);
	__atomic_store_n(&d->d_parent, dir, __ATOMIC_RELEASE);
	qspin_lock(&vf->vf_lrulock);
	qlist_del(&d->d_sibling);
	qlist_append(&dir->d_children, &d->d_sibling);
	qspin_unlock(&vf->vf_lrulock);
	return old;
}

static uint32_t
hash_of(const struct qdentry *dir, const struct long_name *ln)
{
	struct qname n = { ln->ln_name.dn_s, ln->ln_name.dn_len, 0 };

	n.n_hash = name_hash(n.n_name, n.n_len);
	return full_hash(dir, &n);
}

void
dentry_move(struct vfs *vf, struct qdentry *d, struct qdentry *over,
    struct long_name *ln, struct long_name *lnover)
{
	struct qdentry *from = d->d_parent, *to = over->d_parent;
	struct qdentry *put[2] = { NULL, NULL };
	uint32_t hash = hash_of(to, ln);

	change_begin(d);
	change_begin(over);
	hash_remove(vf, d);
	hash_remove(vf, over);
	put[0] = rename_to(vf, d, to, ln);
	hash_insert(vf, d, hash);
	if (lnover != NULL) {
		hash = hash_of(from, lnover);
		put[1] = rename_to(vf, over, from, lnover);
		hash_insert(vf, over, hash);
	}
	change_end(over);
	change_end(d);
	if (put[0] != NULL)
		dentry_put(put[0]);
	if (put[1] != NULL)
		dentry_put(put[1]);
}

bool
dentry_below(struct qdentry *d, struct qdentry *above)
{
	struct qdentry *up;

	for (;; d = up) {
		if (d == above)
			return true;
		up = __atomic_load_n(&d->d_parent, __ATOMIC_ACQUIRE);
		if (up == d)
			return false;
	}
}
