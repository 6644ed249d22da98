/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside the VFS.  Never leaves the directory.
 *
 * Lock letters:
 *	[I] immutable	[a] atomic	[m] vf_mounts	[c] its chain's lock
 *	[l] vf_lrulock	[f] vf_fslock	[s] ps_lock
 *
 * Lock order: vf_mounting, vf_mounts, fs_rename, v_lock (vnode.h), ps_lock, chain, vf_lrulock,
 * fs_vlock; the last four are spin locks.  Of several v_lock: a directory's before
 * those of what is in it, and directories' before files'.  Two directories neither
 * of which is above the other are locked with fs_rename held only.
 */
#ifndef QUERN_VFS_IMPL_H
#define QUERN_VFS_IMPL_H

#include <quern/abi/inotify.h>
#include <quern/abi/limits.h>
#include <quern/slab.h>

#include "vfs.h"

/* In d_refs: it goes; nobody takes a reference any more. */
#define DENTRY_DEAD (UINT32_C(1) << 31)

/* Chains of the table of names share locks. */
#define CHAIN_LOCKS 256u

/* A mount. */
struct qmount {
	struct qfs *m_fs;        /* [I] with a reference */
	struct qdentry *m_root;  /* [I] with a reference: what is seen */
	struct qmount *m_parent; /* [a] changed under [m]; NULL: not attached */
	struct qdentry *m_point; /* [a] likewise; with a reference */
	struct qmount *m_next;   /* [a] changed under [m]: d_mounts */
	struct vfs *m_vf;        /* [I] */
	uint32_t m_flags;        /* [a] QFS_*, of the mount */
	uint32_t m_gone;         /* [a] is being unmounted */
	uint64_t m_id;           /* [I] */
	struct qlist m_all;      /* [m] vf_mountlist; detached: its taker's */
	char *m_source;          /* [I] as it was given */
	struct qepoch_entry m_epoch;
	struct mount_count *m_count; /* [I] references, by vCPU */
};

/* So that vCPUs do not share a line. */
struct mount_count {
	int64_t mc_got, mc_put; /* [a] */
	int64_t mc_pad[6];
};

/* A process's places; made when first needed. */
struct proc_state {
	uint32_t ps_refs; /* [a] processes that have it */
	struct qspin ps_lock;
	struct qpath ps_root; /* [s] changed; read in an epoch section */
	struct qpath ps_cwd;  /* [s] likewise */
	uint32_t ps_seq;      /* [a] odd while they change */
};

/* A kind of file system that was registered. */
struct fs_kind {
	struct qlist fk_link;
	const struct qfs_type *fk_type;
};

/* All of it in one kernel. */
struct vfs {
	struct quern *vf_k;
	unsigned vf_slot; /* of processes' states */

	struct qdentry **vf_hash; /* [a] chains; changed under [c] */
	uint32_t vf_mask;         /* [I] */
	uint32_t vf_pruning;      /* [a] */
	struct qspin vf_chain[CHAIN_LOCKS];

	struct qspin vf_lrulock;
	struct qlist vf_lru; /* [l] */
	uint64_t vf_nlru;    /* [l] */
	uint64_t vf_lrumax;  /* [I] */
	uint64_t vf_nextid;  /* [a] of dentries */
	uint64_t vf_ndentry; /* [a] */

	struct qmutex vf_mounting; /* one at a time comes */
	struct qmutex vf_mounts;
	struct qlist vf_mountlist; /* [m] */
	struct qmount *vf_root;    /* [a] changed under [m] */
	uint64_t vf_nextmount;     /* [m] */

	struct qmutex vf_flock;   /* all of flock.c */
	struct qlist vf_lockwait; /* [vf_flock] */
	struct qmutex vf_fifos;   /* v_special */

	struct qmutex vf_cdevs;
	struct qlist vf_cdevlist; /* [vf_cdevs] */

	struct qmutex vf_watch; /* all of watch.c */
	struct qlist vf_watchlist;
	uint32_t vf_cookie; /* [a] of the last rename that was told of */

	struct writeback *vf_wb; /* [I] of the page cache */

	struct qmutex vf_fslock;
	struct qlist vf_kinds; /* [f] */
	struct qlist vf_fs;    /* [f] */
	uint64_t vf_nextdev;   /* [f] */
};

static inline struct vfs *
vfs_of(struct quern *k)
{
	return qcomponent_state(k, &qvfs);
}

/* ---- dentry.c ------------------------------------------------------------- */

int dentry_init(struct vfs *vf);
void dentry_fini(struct vfs *vf);

/* Hash of a name, for n_hash; byte by byte, so that who cuts it out hashes it. */
#define NAME_HASH_FIRST 0x811c9dc5u

static inline uint32_t
name_hash_next(uint32_t h, uint32_t byte)
{
	return (h ^ byte) * 0x01000193u;
}

uint32_t name_hash(const char *s, size_t len);

/* A dentry without a name, which takes over the reference to `v`. */
int dentry_root(struct vfs *vf, struct qvnode *v, struct qdentry **dp);

/*
 * What is known of a name: without a reference, in an epoch section.  *seq is
 * odd or has changed when it does not hold any more.
 */
struct qdentry *dentry_peek(struct vfs *vf, struct qdentry *dir,
    const struct qname *n, uint32_t *seq);

/* Does what was read of it, after it was found with `seq`, hold? */
bool dentry_same(struct qdentry *d, uint32_t seq);

/* Take a reference in an epoch section; false: it is going. */
bool dentry_tryget(struct qdentry *d);
void dentry_put(struct qdentry *d);

static inline void
dentry_get(struct qdentry *d)
{
	__atomic_fetch_add(&d->d_refs, 1, __ATOMIC_RELAXED);
}

/*
 * The dentry of a name, asking the file system if it is not known: perhaps one
 * without a vnode.  With a reference.  The directory's v_lock is held for
 * writing.
 */
int dentry_lookup(struct vfs *vf, struct qdentry *dir, const struct qname *n,
    struct qdentry **dp);

/* A dentry for what has no name in `dir` (O_TMPFILE); takes the reference. */
int dentry_nameless(struct vfs *vf, struct qdentry *dir, struct qvnode *v,
    struct qdentry **dp);

/* It has become `v`, whose reference is used up.  [directory] */
void dentry_set(struct qdentry *d, struct qvnode *v);

/* The name has gone from the directory.  [directory] */
void dentry_unset(struct qdentry *d);

/* Names find it no more: it may be out of date.  [directory] */
void dentry_unhash(struct qdentry *d);

/* Memory for a new name, before anything is done.  -ENOMEM. */
struct long_name;
int name_alloc(const struct qname *n, struct long_name **lp);
void name_free(struct long_name *ln);

/*
 * It has moved to where `over` is, whose name that is no more; with `exchange`
 * each has the other's place.  `ln` is the new name, used up.  [directories]
 */
void dentry_move(struct vfs *vf, struct qdentry *d, struct qdentry *over,
    struct long_name *ln, struct long_name *lnover);

/* Is `d` or something above it `above`?  [rename] */
bool dentry_below(struct qdentry *d, struct qdentry *above);

/* Forget what is not in use: all of `fs`, or (NULL) some.  Sleeps. */
void dentry_prune(struct vfs *vf, struct qfs *fs);

/* Forget what is known of a directory that is gone.  [directory] */
void dentry_prune_below(struct vfs *vf, struct qdentry *d);

/* Its vnode, with a reference, or NULL; a reference to it is held. */
static inline struct qvnode *
dentry_vnode(struct qdentry *d)
{
	return __atomic_load_n(&d->d_vnode, __ATOMIC_ACQUIRE);
}

static inline uint32_t
dentry_flags(const struct qdentry *d)
{
	return __atomic_load_n(&d->d_flags, __ATOMIC_RELAXED);
}

/* ---- vnode.c -------------------------------------------------------------- */

/* A kind by name, or NULL.  [f] */
const struct qfs_type *fs_kind(struct vfs *vf, const char *name);
void fs_kinds_free(struct vfs *vf);

/* Have it written some time; `why` QV_DIRTY*. */
void vnode_mark(struct qvnode *v, uint32_t why);
/* Write what is dirty of it: pages, then attributes. */
int vnode_write(struct qvnode *v, bool wait);
/* One that became dirty before that time, with a reference, or NULL. */
struct qvnode *vnode_next_dirty(struct qfs *fs, uint64_t before);
/* Is anything of it open for writing? */
bool fs_is_written(struct qfs *fs);
/* All that is dirty now, and the driver's own. */
int fs_sync(struct qfs *fs, bool wait);

int writeback_init(struct vfs *vf);
void writeback_fini(struct vfs *vf);
/* writeback.c: something of it is dirty, after nothing was. */
void writeback_later(struct qfs *fs);
/* Wait until all that is being written now has been.  [fs_syncing] */
void writeback_wait(struct qfs *fs);
/* It is being unmounted: from here on the thread leaves it alone.  Sleeps. */
void writeback_leave(struct qfs *fs);

/* flock.c, special.c: what hangs off a vnode that goes. */
void vnode_locks_end(struct qvnode *v);
void vnode_special_end(struct qvnode *v);

int fs_create(struct vfs *vf, const struct qfs_type *ft, struct qfs **fsp);
/* The last reference has gone, or it never had one. */
void fs_destroy(struct vfs *vf, struct qfs *fs);

/* ---- mount.c -------------------------------------------------------------- */

int mount_init(struct vfs *vf);
void mount_fini(struct vfs *vf);

/* Take a reference in an epoch section; false: it is being unmounted. */
bool mount_tryget(struct qmount *m);
void mount_get(struct qmount *m);
void mount_put(struct qmount *m);
/*
 * mount.c: a new file system that is mounted nowhere, with a reference, the last
 * of which ends it.
 */
int mount_floating(struct vfs *vf, const char *source, const char *type,
    struct qmount **mp);

/* Wait until mounts that are being unmounted are so, or not.  Sleeps. */
void mount_settle(struct vfs *vf);

/* A reference to a file system, unless it is not mounted yet or any more. */
bool fs_tryget(struct qfs *fs);
/* Drop one; the last one's end is its end.  Sleeps. */
void fs_put(struct vfs *vf, struct qfs *fs);

/* What is mounted on `d` as seen through `m`, or NULL.  In an epoch section. */
static inline struct qmount *
mount_on(struct qmount *m, struct qdentry *d)
{
	struct qmount *c = __atomic_load_n(&d->d_mounts, __ATOMIC_ACQUIRE);

	while (
	    c != NULL && __atomic_load_n(&c->m_parent, __ATOMIC_RELAXED) != m)
		c = __atomic_load_n(&c->m_next, __ATOMIC_ACQUIRE);
	return c;
}

/* Is nothing to be written through it? */
static inline bool
mount_rdonly(const struct qmount *m)
{
	return (__atomic_load_n(&m->m_flags, __ATOMIC_RELAXED) & QFS_RDONLY) !=
	    0 ||
	    qfs_rdonly(m->m_fs);
}

#define MOUNT_LAZY  1u /* m_gone: when nobody uses it */
#define MOUNT_ENDED 2u

/* The flags of a mount that mount(2)'s mean. */
uint32_t mount_flags(uint32_t ms);
/* Show what is at `from`, and what is mounted below, at `at` too. */
int mount_bind(struct vfs *vf, const struct qpath *from, const struct qpath *at,
    bool recursive);
int mount_move(struct vfs *vf, const struct qpath *from,
    const struct qpath *at);
int mount_again(struct vfs *vf, const struct qpath *at, uint32_t ms,
    const char *options);
int mount_away(struct vfs *vf, struct qpath *at, bool lazy);

/* ---- open.c, attr.c ------------------------------------------------------- */

/* What an open file is, besides struct qfile.  f_obj. */
struct open_file {
	struct qpath of_path; /* [I] with references */
	struct qvnode *of_v;  /* [I] of the dentry, which keeps it */
	struct qreadahead of_ra;
	uint64_t of_dirpos; /* [o] */
	uint32_t of_errseq; /* errors of writing back that it has told of */
	uint32_t of_reads;  /* [a] so far */
	bool of_wrote;      /* opened for writing: counted in v_writers */

	/* fifos and devices */
	uint32_t of_seen;                /* [I] of qpipe_open */
	void *of_dev;                    /* [I] a struct qpipe or qdisk */
	void (*of_end)(struct qfile *f); /* [I] the file goes; or NULL */
};

static inline struct open_file *
open_of(const struct qfile *f)
{
	return f->f_obj;
}

/* When it succeeds, the references of *at are the file's. */
int open_at(struct quern_proc *p, const struct qpath *at, uint32_t flags,
    bool created, struct qfile **fp);
/* An open file of these operations, as open_at; fo_release is file_release. */
int open_make(struct quern_proc *p, const struct qpath *at, uint32_t flags,
    const struct qfile_ops *ops, uint32_t mode, struct qfile **fp);
int file_stat(struct qfile *f, struct q_stat *st);
/* memfd.c: may it be written to, up to `end`; have that size?  [v_lock] */
int seal_check_write(struct qvnode *v, uint64_t end);
int seal_check_size(struct qvnode *v, uint64_t size);
/* Mappings that allow stores; `first`: -EPERM if it is sealed. */
int seal_writers(struct qvnode *v, int n, bool first);
int64_t seal_fcntl(struct qfile *f, int cmd, uint64_t arg);
/* mmap.c: fo_mmap of regular files. */
int file_mmap(struct qfile *f, struct qmmap *mm);
/* calls.c: fallocate(2), checked; v_lock is held for writing. */
int vnode_fallocate(struct qvnode *v, uint32_t mode, uint64_t off,
    uint64_t len);
void file_release(struct qfile *f);
void touch_atime(struct qmount *m, struct qvnode *v, uint32_t reads);
/* Before a write or truncation.  [v_lock] */
int drop_privileges(struct qvnode *v, struct quern_proc *p);
int vnode_fsync(struct qvnode *v, bool data);
void vnode_stat(struct qvnode *v, struct q_stat *st);
/* Change attributes; pages first, if it becomes shorter.  [v_lock] */
int vnode_setattr(struct qvnode *v, const struct qvattr *a);
/* The path of an open file, with references.  -EBADF, -EINVAL (not ours). */
int fd_path(struct quern_proc *p, int fd, bool path_ok, struct qpath *at);

/* ---- cdev.c --------------------------------------------------------------- */

/* Open a device of another component's, as special_open. */
int cdev_open(struct quern_proc *p, const struct qpath *at, struct qvnode *v,
    uint32_t flags, struct qfile **fp);

/* Likewise what opens by its own vo_open. */
int vnode_open(struct quern_proc *p, const struct qpath *at, struct qvnode *v,
    uint32_t flags, struct qfile **fp);

/* ---- dir.c ----------------------------------------------------------------- */

/*
 * The path as seen from `root`: at the end of `buf`, *atp where it begins.
 * -ENAMETOOLONG.  1: it can't be reached from there.
 */
int path_string(const struct qpath *root, const struct qpath *at, char *buf,
    size_t len, size_t *atp);

/* ---- sockname.c ----------------------------------------------------------- */

extern const struct qsockname_ops vfs_socknames;

/* ---- flock.c, special.c --------------------------------------------------- */

/* What fcntl does that only the VFS knows: locks, leases, seals. */
int64_t vnode_fcntl(struct qfile *f, struct qsys *s, int cmd, uint64_t arg);
/* A descriptor of it was closed in `t`; the file's last reference has gone. */
void vnode_locks_closed(struct qvnode *v, const struct qfdtable *t);
void vnode_flock_closed(struct qvnode *v, struct qfile *f);
/* Make what was written to a block device durable. */
int special_fsync(struct qfile *f);
/* Open a fifo or device; when it succeeds, the references of *at are the file's. */
int special_open(struct quern_proc *p, const struct qpath *at, struct qvnode *v,
    uint32_t flags, struct qfile **fp);

/* ---- lookup.c ------------------------------------------------------------- */

/* The last name of a path and the directory that it is in. */
struct qparent {
	struct qpath pa_dir;
	struct qname pa_name;
	uint32_t pa_kind; /* PARENT_* */
	bool pa_slash;    /* there are slashes behind it */
	char *pa_buf;     /* what pa_name points into */
};

/* As qvfs_walk_arg, with other credentials than the process's. */
int walk_as(const struct qsys *s, int dirfd, unsigned i, unsigned flags,
    const struct qcred *c, struct qpath *out);

/*
 * As qvfs_walk_arg, but only look(vnode, arg), which does not sleep; perhaps more
 * than once: the last counts.
 */
int walk_look(const struct qsys *s, int dirfd, unsigned i, unsigned flags,
    void (*look)(struct qvnode *v, void *arg), void *arg);

#define PARENT_NAME   0u
#define PARENT_DOT    1u /* "." */
#define PARENT_DOTDOT 2u
#define PARENT_ROOT   3u /* "/": no name at all */

/* Copy argument `i`, a path, into a buffer of QPATH_MAX.  -ENOENT (""). */
int path_arg(const struct qsys *s, unsigned i, bool empty, char **bufp);
void path_free(char *buf);

/* Most paths are short: `sp`, on the stack, has room for those.  As path_arg. */
struct short_path {
	char *sp_path;
	char sp_text[128];
};

int path_arg_short(const struct qsys *s, unsigned i, bool empty,
    struct short_path *sp);

static inline void
path_end(struct short_path *sp)
{
	if (qunlikely(sp->sp_path != sp->sp_text))
		path_free(sp->sp_path);
}

/*
 * Find the directory of the last name of argument `i`.  To be ended by
 * parent_put.  `flags` QWALK_* of the way there.
 */
int walk_parent(const struct qsys *s, int dirfd, unsigned i, unsigned flags,
    struct qparent *pa);
void parent_put(struct qparent *pa);

/* The process's state, made if need be.  -ENOMEM. */
int proc_state(struct quern_proc *p, struct proc_state **psp);
int proc_state_fork(struct quern_proc *from, void *state, struct quern_proc *to,
    void **statep);
void proc_state_end(struct quern_proc *p, void *state);

/* Copies of its places, with references. */
int proc_root(struct quern_proc *p, struct qpath *out);
int proc_cwd(struct quern_proc *p, struct qpath *out);
/* Changes, which use up the references. */
int proc_set_root(struct quern_proc *p, const struct qpath *at);
int proc_set_cwd(struct quern_proc *p, const struct qpath *at);

/* A buffer of QPATH_MAX, for path_free.  -ENOMEM. */
int path_buf(char **bufp);

/* Is argument `i` an empty string? */
bool is_path_empty(const struct qsys *s, unsigned i);

/* Are bytes [from, to) of the struct that argument `i` points to zero? */
int zero_tail(const struct qsys *s, unsigned i, size_t from, size_t to);

/* As walk_parent, with a path in the kernel; a symlink at its end goes on. */
int parent_of(struct quern_proc *p, int dirfd, const char *path, unsigned flags,
    struct qparent *pa);
int parent_of_link(struct quern_proc *p, int dirfd, unsigned flags,
    struct qparent *pa, struct qvnode *link);

/* Where a magic link in `dir` leads to, with references; `flags` QWALK_*. */
int walk_magic(struct quern_proc *p, unsigned flags, const struct qpath *dir,
    struct qvnode *v, struct qpath *out);

/* Through what is mounted on it; uses up and gives references. */
int walk_mounts(struct qpath *at, unsigned flags);

/* ---- names.c -------------------------------------------------------------- */

/* Make what `new` says under a negative dentry.  [directory] */
/* The name in its locked directory: 0, and *dp is negative.  -EEXIST. */
int free_name_in(struct vfs *vf, struct qparent *pa, struct qdentry **dp);
int make_vnode(struct quern_proc *p, const struct qpath *dir, struct qdentry *d,
    struct qvnew *new);

/* ---- perm.c --------------------------------------------------------------- */

/* Is it allowed, as far as can be told without locks?  False: ask may_access. */
bool access_quick(struct qvnode *v, struct quern_proc *p, unsigned want);

/* For the process, whose credentials are copied only if they matter. */
int may_access(struct qvnode *v, struct quern_proc *p, unsigned want);

/* Is it one of the groups? */
bool cred_in_group(const struct qcred *c, uint32_t gid);

/* May names in `dir` be made?  May `v` be removed from it? */
int may_create(struct qmount *m, struct qvnode *dir, struct quern_proc *p);
int may_delete(struct qmount *m, struct qvnode *dir, struct qvnode *v,
    struct quern_proc *p, bool isdir);

/* Is it the owner's process, or one with CAP_FOWNER? */
bool is_owner(struct qvnode *v, struct quern_proc *p);

/* Set (or, `value` NULL, remove) an ACL, and the mode with it.  [v_lock] */
int acl_set(struct qvnode *v, const char *name, const void *value, size_t len);
/* Its mode has become `mode`: so do the entries that are it.  [v_lock] */
int acl_chmod(struct qvnode *v, uint32_t mode);

/* What a new file in `dir` gets.  `new`'s mode is set; ACLs are allocated. */
int new_attr(struct qvnode *dir, struct quern_proc *p, struct qvnew *new);
/* It has been made, `v`, or (NULL) not: memory goes. */
void new_attr_done(struct qvnew *new, struct qvnode *v);

/* ---- watch.c -------------------------------------------------------------- */

/* Tell those who watch `v` of it (Q_IN_*), as a directory of name `n`. */
void watch_event(struct qvnode *v, uint32_t mask, const struct qname *n,
    uint32_t cookie);
/* Likewise those who watch what `at` names, or the directory that it is in. */
void watch_path(const struct qpath *at, uint32_t mask);
/* Its last name has gone, and who used it by that. */
void watch_deleted(struct qvnode *v);
void watch_unmounted(struct vfs *vf, struct qfs *fs);
/* The mark that makes two events one rename. */
uint32_t watch_cookie(struct vfs *vf);

static inline bool
vnode_watched(const struct qvnode *v)
{
	return qunlikely(
	    __atomic_load_n(&v->v_watches, __ATOMIC_ACQUIRE) != NULL);
}

/* Something happened to a file itself, or in a directory to name `n`. */
static inline void
notify_vnode(struct qvnode *v, uint32_t mask, const struct qname *n)
{
	if (vnode_watched(v))
		watch_event(v, mask, n, 0);
}

/* Something happened to what was found, or opened, by a path. */
static inline void
notify_path(const struct qpath *at, uint32_t mask)
{
	if (qunlikely(__atomic_load_n(&at->p_d->d_fs->fs_nwatch,
			  __ATOMIC_RELAXED) != 0))
		watch_path(at, mask);
}

#endif /* QUERN_VFS_IMPL_H */
