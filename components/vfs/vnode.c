/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Vnodes by inode number, and the file systems that they are of.
 *
 * A vnode is *new* (QV_NEW) while its driver fills it in, then *live*, then
 * *dead* (QV_DEAD) while it is evicted; in all of these the table has it, and who
 * asks for a new or dead one waits for the end of that state.
 *
 * V1  References are taken from 0 only under fs_vlock, and the last is dropped
 *     under it.
 * V2  A live vnode without references has links and is on fs_dirty: its
 *     contents or attributes have still to be written, which takes a reference
 *     and ends, in dropping it, with its eviction.
 * V3  A vnode on fs_dirty has QV_DIRTYATTR or QV_DIRTYPAGES, or is in
 *     vnode_write.  It does not leave before that has begun to write all: a sync
 *     finds it there, or among what is being written (fs_nrun).
 */
#include <quern/block.h>

#include "impl.h"

static const struct qtag tag_vnode = { "vnode" };
static const struct qtag tag_fs = { "file system" };
static const struct qtag tag_kind = { "kind of file system" };

#define HASH_MIN 256u

/* ---- kinds ------------------------------------------------------------------- */

int
qfs_register(struct quern *k, const struct qfs_type *ft)
{
	struct vfs *vf = vfs_of(k);
	struct fs_kind *fk = qzalloc(&tag_kind, sizeof(*fk));

	if (fk == NULL)
		return -Q_ENOMEM;
	fk->fk_type = ft;
	qmutex_lock(&vf->vf_fslock);
	if (fs_kind(vf, ft->ft_name) != NULL) {
		qmutex_unlock(&vf->vf_fslock);
		qfree(fk);
		return -Q_EEXIST;
	}
	qlist_append(&vf->vf_kinds, &fk->fk_link);
	qmutex_unlock(&vf->vf_fslock);
	return 0;
}

void
qfs_unregister(struct quern *k, const struct qfs_type *ft)
{
	struct vfs *vf = vfs_of(k);
	struct qlist *l, *next;

	mount_fini(vf);
	QLIST_FOREACH_SAFE(l, next, &vf->vf_kinds) {
		struct fs_kind *fk = QLIST_ELEM(l, struct fs_kind, fk_link);

		if (fk->fk_type == ft) {
			qlist_del(&fk->fk_link);
			qfree(fk);
		}
	}
}

const struct qfs_type *
fs_kind(struct vfs *vf, const char *name)
{
	struct qlist *l;
	struct fs_kind *fk;

	QLIST_FOREACH(l, &vf->vf_kinds) {
		fk = QLIST_ELEM(l, struct fs_kind, fk_link);
		if (qstrcmp(fk->fk_type->ft_name, name) == 0)
			return fk->fk_type;
	}
	return NULL;
}

void
fs_kinds_free(struct vfs *vf)
{
	struct qlist *l, *next;

	QLIST_FOREACH_SAFE(l, next, &vf->vf_kinds)
		qfree(QLIST_ELEM(l, struct fs_kind, fk_link));
}

/* ---- file systems --------------------------------------------------------------- */

int
fs_create(struct vfs *vf, const struct qfs_type *ft, struct qfs **fsp)
{
	struct qfs *fs = qzalloc(&tag_fs, sizeof(*fs));
	uint32_t i;

	if (fs == NULL)
		return -Q_ENOMEM;
	fs->fs_vhash = qalloc(&tag_fs, HASH_MIN * sizeof(fs->fs_vhash[0]));
	if (fs->fs_vhash == NULL) {
		qfree(fs);
		return -Q_ENOMEM;
	}
	for (i = 0; i < HASH_MIN; i++)
		qlist_init(&fs->fs_vhash[i]);
	fs->fs_vmask = HASH_MIN - 1;
	fs->fs_k = vf->vf_k;
	fs->fs_wb = vf->vf_wb;
	fs->fs_type = ft;
	fs->fs_bsize = QUERN_PAGE_SIZE;
	fs->fs_namelen = QNAME_MAX;
	fs->fs_maxsize = INT64_MAX;
	fs->fs_time_min = INT64_MIN;
	fs->fs_time_max = INT64_MAX;
	fs->fs_time_gran = 1;
	qmutex_init(&fs->fs_rename, "rename");
	qmutex_init(&fs->fs_syncing, "sync");
	qspin_init(&fs->fs_vlock);
	qlist_init(&fs->fs_vall);
	qlist_init(&fs->fs_dirty);
	qwaitq_init(&fs->fs_vwait);
	qwaitq_init(&fs->fs_written);
	qmutex_lock(&vf->vf_fslock);
	fs->fs_dev = ++vf->vf_nextdev;
	qlist_append(&vf->vf_fs, &fs->fs_link);
	qmutex_unlock(&vf->vf_fslock);
	*fsp = fs;
	return 0;
}

/* What could not be written while there was no memory: once more, and then go. */
static void
write_last(struct qfs *fs)
{
	struct qvnode *v;
	unsigned tries;

	for (tries = 0; tries < 3; tries++) {
		(void)fs_sync(fs, true);
		if (qlist_empty(&fs->fs_dirty))
			return;
	}
	while ((v = vnode_next_dirty(fs, UINT64_MAX)) != NULL) {
		qfs_log(fs, QUERN_LOG_ERR,
		    "inode %lu: what was not written is lost", v->v_ino);
		qspin_lock(&fs->fs_vlock);
		qlist_del(&v->v_dirty);
		qspin_unlock(&fs->fs_vlock);
		qvnode_put(v);
	}
}

static void
fs_free_late(struct qepoch_entry *e)
{
	qfree(QCONTAINER(e, struct qfs, fs_epoch));
}

void
fs_destroy(struct vfs *vf, struct qfs *fs)
{
	writeback_leave(fs);
	watch_unmounted(vf, fs);
	dentry_prune(vf, fs);
	if (fs->fs_root != NULL) {
		write_last(fs);
		qvnode_put(fs->fs_root);
		fs->fs_root = NULL;
	}
	qmutex_lock(&vf->vf_fslock);
	qlist_del(&fs->fs_link);
	qmutex_unlock(&vf->vf_fslock);
	qassert(fs->fs_nvnode == 0);
	if (fs->fs_ops != NULL && fs->fs_ops->fso_unmount != NULL)
		fs->fs_ops->fso_unmount(fs);
	if (fs->fs_disk != NULL)
		qdisk_put(fs->fs_disk);
	qfree(fs->fs_vhash);
	/* Who looks at one of its vnodes without a reference may look here. */
	qepoch_defer(&fs->fs_epoch, fs_free_late);
}

/* ---- the table of vnodes ---------------------------------------------------------- */

static inline struct qlist *
chain(struct qfs *fs, uint64_t ino)
{
	uint64_t h = ino * UINT64_C(0x9e3779b97f4a7c15);

	return &fs->fs_vhash[(h >> 32) & fs->fs_vmask];
}

/* [fs_vlock] */
static struct qvnode *
find(struct qfs *fs, uint64_t ino)
{
	struct qvnode *v;
	struct qlist *l;

	QLIST_FOREACH(l, chain(fs, ino)) {
		v = QLIST_ELEM(l, struct qvnode, v_hash);
		if (v->v_ino == ino)
			return v;
	}
	return NULL;
}

/* More chains, where there is memory. */
static void
grow(struct qfs *fs)
{
	struct qlist *new, *old, *l, *next;
	uint32_t n, i;

	qspin_lock(&fs->fs_vlock);
	n = (fs->fs_vmask + 1) * 4;
	qspin_unlock(&fs->fs_vlock);
	new = qalloc(&tag_fs, n * sizeof(*new));
	if (new == NULL)
		return;
	for (i = 0; i < n; i++)
		qlist_init(&new[i]);
	qspin_lock(&fs->fs_vlock);
	old = fs->fs_vhash;
	if ((fs->fs_vmask + 1) * 4 != n) {
		old = new; /* somebody else did */
	} else {
		fs->fs_vhash = new;
		fs->fs_vmask = n - 1;
		QLIST_FOREACH_SAFE(l, next, &fs->fs_vall) {
			struct qvnode *v = QLIST_ELEM(l, struct qvnode, v_all);

			qlist_del(&v->v_hash);
			qlist_append(chain(fs, v->v_ino), &v->v_hash);
		}
	}
	qspin_unlock(&fs->fs_vlock);
	qfree(old);
}

static struct qvnode *
vnode_alloc(struct qfs *fs, uint64_t ino)
{
	struct qvnode *v = qzalloc(&tag_vnode, fs->fs_type->ft_vnode_size);

	if (v == NULL)
		return NULL;
	v->v_fs = fs;
	v->v_ino = ino;
	v->v_refs = 1;
	v->v_flags = QV_NEW;
	v->v_nlink = 1;
	qseq_init(&v->v_attr);
	qrw_init(&v->v_lock, "vnode");
	qlist_init(&v->v_hash);
	qlist_init(&v->v_all);
	qlist_init(&v->v_dirty);
	qpcache_init(&v->v_pages);
	return v;
}

int
qvnode_get(struct qfs *fs, uint64_t ino, struct qvnode **vp)
{
	struct qvnode *v, *new = NULL;
	bool crowded;

	for (;;) {
		qspin_lock(&fs->fs_vlock);
		v = find(fs, ino);
		if (v != NULL && qvnode_is(v, QV_NEW | QV_DEAD)) {
			/* In the making, or going: see what becomes of it. */
			(void)qwaitq_sleep(&fs->fs_vwait, &fs->fs_vlock, 0,
			    QUERN_NEVER);
			continue;
		}
		if (v != NULL) {
			__atomic_fetch_add(&v->v_refs, 1, __ATOMIC_RELAXED);
			qspin_unlock(&fs->fs_vlock);
			qfree(new);
			*vp = v;
			return 0;
		}
		if (new != NULL)
			break;
		qspin_unlock(&fs->fs_vlock);
		new = vnode_alloc(fs, ino);
		if (new == NULL)
			return -Q_ENOMEM;
	}
	qlist_append(chain(fs, ino), &new->v_hash);
	qlist_append(&fs->fs_vall, &new->v_all);
	crowded = ++fs->fs_nvnode > 4 * (uint64_t)fs->fs_vmask;
	qspin_unlock(&fs->fs_vlock);
	if (crowded)
		grow(fs);
	*vp = new;
	return 1;
}

void
qvnode_ready(struct qvnode *v)
{
	struct qfs *fs = v->v_fs;

	qassert(v->v_ops != NULL && (v->v_mode & Q_S_IFMT) != 0);
	qspin_lock(&fs->fs_vlock);
	__atomic_fetch_and(&v->v_flags, ~QV_NEW, __ATOMIC_RELEASE);
	qspin_unlock(&fs->fs_vlock);
	(void)qwaitq_wake_all(&fs->fs_vwait);
}

static void
free_late(struct qepoch_entry *e)
{
	struct qvnode *v = QCONTAINER(e, struct qvnode, v_epoch);

	qfree(v->v_link);
	qfree(v);
}

/* Out of the table, and away. */
static void
vnode_free(struct qvnode *v)
{
	struct qfs *fs = v->v_fs;

	qspin_lock(&fs->fs_vlock);
	qlist_del(&v->v_hash);
	qlist_del(&v->v_all);
	qlist_del(&v->v_dirty);
	fs->fs_nvnode--;
	qspin_unlock(&fs->fs_vlock);
	(void)qwaitq_wake_all(&fs->fs_vwait);
	qepoch_defer(&v->v_epoch, free_late);
}

void
qvnode_fail(struct qvnode *v)
{
	qassert(qvnode_is(v, QV_NEW));
	vnode_free(v);
}

/* It is dead: nobody else has it or can get it. */
static void
evict(struct qvnode *v)
{
	vnode_locks_end(v);
	qpcache_evict(v);
	if (v->v_ops->vo_evict != NULL)
		v->v_ops->vo_evict(v);
	vnode_special_end(v);
	vnode_free(v);
}

void
qvnode_put(struct qvnode *v)
{
	uint32_t n = __atomic_load_n(&v->v_refs, __ATOMIC_RELAXED);
	struct qfs *fs = v->v_fs;
	bool dead;

	while (n > 1)
		if (__atomic_compare_exchange_n(&v->v_refs, &n, n - 1, true,
			__ATOMIC_RELEASE, __ATOMIC_RELAXED))
			return;
	qspin_lock(&fs->fs_vlock);
	n = __atomic_sub_fetch(&v->v_refs, 1, __ATOMIC_ACQ_REL);
	dead = n == 0 && (v->v_nlink == 0 || qlist_empty(&v->v_dirty));
	if (dead)
		__atomic_fetch_or(&v->v_flags, QV_DEAD, __ATOMIC_RELAXED);
	qspin_unlock(&fs->fs_vlock);
	if (dead)
		evict(v);
}

/* ---- what has to be written ---------------------------------------------------- */

/* Have it written some time, for `why` QV_DIRTY*. */
void
vnode_mark(struct qvnode *v, uint32_t why)
{
	struct qfs *fs = v->v_fs;
	bool first = false;

	/* One that is in memory only has nowhere to be written to. */
	if ((why == QV_DIRTYATTR && v->v_ops->vo_update == NULL) ||
	    (why == QV_DIRTYPAGES && v->v_ops->vo_map == NULL))
		return;
	/* Marked is not enough: who has done so may not be past the next line. */
	if ((~__atomic_fetch_or(&v->v_flags, why, __ATOMIC_SEQ_CST) &
		(why | QV_LISTED)) == 0)
		return;
	qspin_lock(&fs->fs_vlock);
	if (qlist_empty(&v->v_dirty)) {
		v->v_dirtied = qclock_mono(fs->fs_k);
		v->v_sync = fs->fs_sync;
		first = qlist_empty(&fs->fs_dirty);
		qlist_append(&fs->fs_dirty, &v->v_dirty);
		__atomic_fetch_or(&v->v_flags, QV_LISTED, __ATOMIC_SEQ_CST);
	}
	qspin_unlock(&fs->fs_vlock);
	if (first)
		writeback_later(fs);
}

void
qvnode_dirty(struct qvnode *v)
{
	vnode_mark(v, QV_DIRTYATTR);
}

/* Off the list it goes if there is nothing left to be written.  [fs_vlock] */
static void
unlist(struct qvnode *v)
{
	__atomic_fetch_and(&v->v_flags, ~QV_LISTED, __ATOMIC_SEQ_CST);
	/* Who marks it after this finds it off the list. */
	if ((__atomic_load_n(&v->v_flags, __ATOMIC_SEQ_CST) &
		(QV_DIRTYATTR | QV_DIRTYPAGES)) == 0) {
		qlist_del(&v->v_dirty);
	} else {
		__atomic_fetch_or(&v->v_flags, QV_LISTED, __ATOMIC_SEQ_CST);
		v->v_dirtied = qclock_mono(v->v_fs->fs_k);
	}
}

int
vnode_write(struct qvnode *v, bool wait)
{
	struct qfs *fs = v->v_fs;
	uint32_t before;
	int error = 0, e;

	before = __atomic_fetch_add(&v->v_nwrite, 1, __ATOMIC_SEQ_CST);
	if (v->v_ops->vo_map != NULL) {
		__atomic_fetch_and(&v->v_flags, ~QV_DIRTYPAGES,
		    __ATOMIC_SEQ_CST);
		error = qpcache_sync(v, 0, UINT64_MAX, wait);
		if (__atomic_load_n(&v->v_pages.pc_ndirty, __ATOMIC_RELAXED) !=
		    0)
			__atomic_fetch_or(&v->v_flags, QV_DIRTYPAGES,
			    __ATOMIC_RELAXED);
	}
	/* Who has cleared the flag before us may not have got there yet. */
	if (((__atomic_fetch_and(&v->v_flags, ~QV_DIRTYATTR, __ATOMIC_SEQ_CST) &
		 QV_DIRTYATTR) != 0 ||
		before > 0) &&
	    v->v_ops->vo_update != NULL) {
		e = v->v_ops->vo_update(v);
		if (e == -Q_ENOMEM)
			__atomic_fetch_or(&v->v_flags, QV_DIRTYATTR,
			    __ATOMIC_SEQ_CST);
		if (error == 0)
			error = e;
	}
	qspin_lock(&fs->fs_vlock);
	if (__atomic_sub_fetch(&v->v_nwrite, 1, __ATOMIC_SEQ_CST) == 0 &&
	    !qlist_empty(&v->v_dirty))
		unlist(v);
	qspin_unlock(&fs->fs_vlock);
	return error;
}

/* Give out one of fs_dirty, which goes to the end of it.  [fs_vlock] */
static struct qvnode *
take_dirty(struct qfs *fs, struct qvnode *v)
{
	qlist_del(&v->v_dirty);
	qlist_append(&fs->fs_dirty, &v->v_dirty);
	__atomic_fetch_add(&v->v_refs, 1, __ATOMIC_RELAXED);
	return v;
}

struct qvnode *
vnode_next_dirty(struct qfs *fs, uint64_t before)
{
	struct qvnode *v = NULL, *w;
	struct qlist *l;

	/* Mostly it is the first. */
	qspin_lock(&fs->fs_vlock);
	QLIST_FOREACH(l, &fs->fs_dirty) {
		w = QLIST_ELEM(l, struct qvnode, v_dirty);
		if (w->v_dirtied <= before && !qvnode_is(w, QV_NEW | QV_DEAD)) {
			v = take_dirty(fs, w);
			break;
		}
	}
	qspin_unlock(&fs->fs_vlock);
	return v;
}

/* One that a sync has not had and that was dirty when it began, or NULL. */
static struct qvnode *
next_to_sync(struct qfs *fs)
{
	struct qvnode *v = NULL, *w;
	struct qlist *l;

	qspin_lock(&fs->fs_vlock);
	QLIST_FOREACH(l, &fs->fs_dirty) {
		w = QLIST_ELEM(l, struct qvnode, v_dirty);
		if (w->v_sync != fs->fs_sync &&
		    !qvnode_is(w, QV_NEW | QV_DEAD)) {
			w->v_sync = fs->fs_sync;
			v = take_dirty(fs, w);
			break;
		}
	}
	qspin_unlock(&fs->fs_vlock);
	return v;
}

bool
fs_is_written(struct qfs *fs)
{
	bool is = false;
	struct qlist *l;

	qspin_lock(&fs->fs_vlock);
	QLIST_FOREACH(l, &fs->fs_vall) {
		struct qvnode *v = QLIST_ELEM(l, struct qvnode, v_all);

		/* Or deleted while open: it will be written to be freed. */
		if (__atomic_load_n(&v->v_writers, __ATOMIC_RELAXED) > 0 ||
		    v->v_nlink == 0)
			is = true;
	}
	qspin_unlock(&fs->fs_vlock);
	return is;
}

int
fs_sync(struct qfs *fs, bool wait)
{
	struct qvnode *v;
	int error = 0, e;

	/* One at a time: what another has in hand would not be waited for. */
	qmutex_lock(&fs->fs_syncing);
	qspin_lock(&fs->fs_vlock);
	fs->fs_sync++;
	qspin_unlock(&fs->fs_vlock);
	while ((v = next_to_sync(fs)) != NULL) {
		e = vnode_write(v, wait);
		if (error == 0)
			error = e;
		qvnode_put(v);
	}
	if (wait)
		writeback_wait(fs);
	if (fs->fs_ops->fso_sync != NULL) {
		e = fs->fs_ops->fso_sync(fs, wait);
		if (error == 0)
			error = e;
	}
	qmutex_unlock(&fs->fs_syncing);
	return error;
}

/* ---- times ----------------------------------------------------------------------- */

struct qtime
qfs_clamp(struct qfs *fs, struct qtime t)
{
	if (t.t_sec < fs->fs_time_min)
		return (struct qtime){ fs->fs_time_min, 0 };
	if (t.t_sec > fs->fs_time_max)
		return (struct qtime){ fs->fs_time_max, 0 };
	if (fs->fs_time_gran != 1)
		t.t_nsec -= t.t_nsec % fs->fs_time_gran;
	return t;
}

struct qtime
qfs_now(struct qfs *fs)
{
	/* Of files Linux has no finer times either. */
	uint64_t ns = qclock_coarse(fs->fs_k);
	struct qtime t = { (int64_t)(ns / 1000000000),
		(uint32_t)(ns % 1000000000) };

	return qfs_clamp(fs, t);
}

static inline bool
is_time(const struct qtime *at, struct qtime t)
{
	struct qtime is;

	qtime_load(&is, at);
	return is.t_nsec == t.t_nsec && is.t_sec == t.t_sec;
}

void
qvnode_touch(struct qvnode *v, uint32_t which)
{
	struct qtime now = qfs_now(v->v_fs);

	/* The clock is coarse: often nothing has changed since the last time. */
	if (((which & QVA_ATIME) == 0 || is_time(&v->v_atime, now)) &&
	    ((which & QVA_MTIME) == 0 || is_time(&v->v_mtime, now)) &&
	    ((which & QVA_CTIME) == 0 || is_time(&v->v_ctime, now))) {
		qvnode_dirty(v);
		return;
	}
	qvattr_begin(v);
	if ((which & QVA_ATIME) != 0)
		qtime_store(&v->v_atime, now);
	if ((which & QVA_MTIME) != 0)
		qtime_store(&v->v_mtime, now);
	if ((which & QVA_CTIME) != 0)
		qtime_store(&v->v_ctime, now);
	qvattr_end(v);
	qvnode_dirty(v);
}

/* ---- damage ------------------------------------------------------------------------ */

static void
say(struct qfs *fs, enum quern_log_level level, bool limited, const char *fmt,
    va_list ap)
{
	char line[256];

	qvsnprintf(line, sizeof(line), fmt, ap);
	if (limited)
		qlog_limited(fs->fs_k, &fs->fs_rate, level, "%s: %s",
		    fs->fs_name, line);
	else
		qlog(fs->fs_k, level, "%s: %s", fs->fs_name, line);
}

void
qfs_log(struct qfs *fs, enum quern_log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fs, level, false, fmt, ap);
	va_end(ap);
}

int
qfs_damaged(struct qfs *fs, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fs, QUERN_LOG_ERR, true, fmt, ap);
	va_end(ap);
	if ((__atomic_fetch_or(&fs->fs_flags, QFS_ERROR, __ATOMIC_RELAXED) &
		(QFS_ERROR | QFS_RDONLY)) == 0)
		qfs_log(fs, QUERN_LOG_ERR, "damaged: read-only from here on");
	return -Q_EUCLEAN;
}
