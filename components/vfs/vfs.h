/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files: names, mounts, and what calls on them are made of.
 *
 * A program lists `qvfs` among its components, and the file systems that it
 * wants.  The root of a kernel is an empty tmpfs until something else is mounted
 * there; so `qtmpfs` is always one of them.
 *
 * This header is for the VFS's own calls and for components that resolve names.
 * File-system drivers implement vnode.h and use pcache.h.
 */
#ifndef QUERN_VFS_H
#define QUERN_VFS_H

#include <quern/component.h>
#include <quern/file.h>
#include <quern/pcache.h>
#include <quern/proc.h>
#include <quern/vnode.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qmount;

/* The component. */
extern const struct quern_component qvfs;

/* d_flags [a] */
#define QD_HASHED  1u  /* names find it */
#define QD_MOUNTED 2u  /* something is mounted on it, somewhere */
#define QD_LRU     4u  /* on the list of those not in use */
#define QD_USED    8u  /* found since that list was last looked through */
#define QD_ROOT    16u /* has no name: a file system's root, or O_TMPFILE */

/* A name short enough to lie in its dentry, with a 0 behind. */
#define QD_SHORT 36u

/* A dentry's name: immutable; a longer one goes on behind the struct. */
struct qdname {
	uint32_t dn_len;
	char dn_s[QD_SHORT];
};

/*
 * A dentry: a name in a directory, and the vnode that it is; none, if the
 * directory is known not to have it.  Dentries form the tree that paths go
 * through; the theory is in dentry.c.
 */
struct qdentry {
	uint32_t d_refs;  /* [a] users and children; dead with DENTRY_DEAD */
	uint32_t d_flags; /* [a] QD_* */
	uint32_t d_seq;   /* [a] odd while name, parent or vnode change */
	uint32_t d_hash;  /* [d_seq] of the name and the parent */
	uint64_t d_id;    /* [I] */
	struct qdentry *d_next;      /* [a] in its chain */
	struct qdentry *d_parent;    /* [d_seq] itself, for a root */
	struct qvnode *d_vnode;      /* [d_seq] with a reference, or NULL */
	const struct qdname *d_name; /* [d_seq] */
	struct qfs *d_fs;            /* [I] */
	struct qmount *d_mounts;     /* [a] mounts on it, through m_next */
	struct qlist d_lru;          /* [vf_lrulock] */
	struct qlist d_children;     /* [vf_lrulock] by d_sibling */
	struct qlist d_sibling;      /* [vf_lrulock] */
	struct qepoch_entry d_epoch;
	struct qdname d_short;
};

/* A place in the tree of mounted file systems.  Both, or neither, referenced. */
struct qpath {
	struct qmount *p_mnt;
	struct qdentry *p_d;
};

/* Flags of walks. */
#define QWALK_FOLLOW    1u /* a symlink at the end too */
#define QWALK_DIRECTORY 2u /* the end must be a directory */
#define QWALK_EMPTY     4u /* "" is the starting point itself */
#define QWALK_NOXDEV    8u /* RESOLVE_NO_XDEV and so on, of openat2 */
#define QWALK_NOLINKS   16u
#define QWALK_BENEATH   32u
#define QWALK_INROOT    64u
#define QWALK_CACHED    128u /* -EAGAIN rather than ask the file system */
#define QWALK_TRAIL     256u /* the VFS's: slashes at the end */
#define QWALK_NOMAGIC   512u /* -ELOOP at vo_follow */

/*
 * Find what `path` (ended by a 0, in the kernel) names for process `p`, from
 * descriptor `dirfd` on if it is relative.  -ENOENT, -ENOTDIR, -EACCES, -ELOOP,
 * -ENAMETOOLONG, -EBADF, -EXDEV, -EAGAIN.  Sleeps.
 */
int qvfs_walk(struct quern_proc *p, int dirfd, const char *path, unsigned flags,
    struct qpath *out) QMUSTCHECK;

/* Likewise, of the path that the call's argument `i` points to. */
int qvfs_walk_arg(const struct qsys *s, int dirfd, unsigned i, unsigned flags,
    struct qpath *out) QMUSTCHECK;

/* qpath_get and qpath_put take and drop the references of a path. */
void qpath_get(const struct qpath *p);
void qpath_put(const struct qpath *p);

/* Permissions to ask for. */
#define QACC_EXEC  1u
#define QACC_WRITE 2u
#define QACC_READ  4u

/* May the credentials do that with it?  -EACCES, -EROFS is not its business. */
int qvnode_access(struct qvnode *v, const struct qcred *c, unsigned want);

/*
 * Open a place that has been found: the file, with one reference.  `flags` O_*.
 * -EACCES, -EISDIR, -EROFS, -ENXIO, -ETXTBSY, -ENFILE, -ENOMEM.
 */
int qvfs_open(struct quern_proc *p, const struct qpath *at, uint32_t flags,
    struct qfile **fp) QMUSTCHECK;

/* The path that a file was opened by, without references of its own; NULL. */
const struct qpath *qfile_path(const struct qfile *f);

/* Its vnode, or NULL: the file isn't one of the VFS's. */
struct qvnode *qfile_vnode(const struct qfile *f);

/*
 * Mount a file system of kind `type` ("" : whichever knows the disk) of `source`
 * (a disk's name, or anything) on `at`.  `flags` Q_MS_*.  As mount(2), but that
 * no process is needed.  -ENODEV (no such kind), -ENOTBLK, -EBUSY, -EINVAL, and
 * what the driver answers.
 */
int qvfs_mount(struct quern *k, const char *source, const struct qpath *at,
    const char *type, uint32_t flags, const char *options) QMUSTCHECK;

/* Is there a root yet? */
bool qvfs_has_root(struct quern *k);

/* The path of `p`'s root in `buf`; for messages and /proc.  As getcwd. */
int64_t qvfs_path_string(struct quern_proc *p, const struct qpath *at,
    char *buf, size_t len);

/*
 * The root and working directory of `p`, which does not end meanwhile, with
 * references.  -ENOENT, -ENOMEM.
 */
int qvfs_root(struct quern_proc *p, struct qpath *out) QMUSTCHECK;
/* Its working directory. */
int qvfs_cwd(struct quern_proc *p, struct qpath *out) QMUSTCHECK;

/*
 * Have `to`, which has made no call yet, share the root and working directory of
 * `from`, also when either changes them.  -ENOENT, -ENOMEM.
 */
int qvfs_share(struct quern_proc *from, struct quern_proc *to) QMUSTCHECK;
/* Have both for itself again.  Nobody else looks at those of `p`.  -ENOMEM. */
int qvfs_unshare(struct quern_proc *p) QMUSTCHECK;

/* Has the name that it was found by been removed? */
bool qpath_deleted(const struct qpath *at);

/* The vnode of a place, without a reference of its own, or NULL. */
struct qvnode *qpath_vnode(const struct qpath *at);

/* Do set-user-ID bits not count there? */
bool qpath_nosuid(const struct qpath *at);

/* The number of the mount that it is in. */
uint64_t qpath_mount(const struct qpath *at);

/* A mount, for /proc; what it points to lasts as long as the call. */
struct qmount_info {
	uint64_t mi_id, mi_parent; /* numbers; the root's parent is itself */
	uint64_t mi_dev;
	const char *mi_path;   /* where one sees it */
	uint32_t mi_flags;     /* QFS_* of the mount */
	uint32_t mi_fsflags;   /* and of the file system */
	bool mi_disk;          /* it is made of a disk */
	const char *mi_source; /* as it was given */
	const char *mi_type;
};

/*
 * Tell of each mount that can be reached from `root`, a process's, in the order of
 * mounting, until fn answers not 0, which is the answer.  What is mounted on
 * `root` itself is what is seen there.  fn must not mount.  Sleeps.
 */
int qvfs_each_mount(const struct qpath *root,
    int (*fn)(void *arg, const struct qmount_info *mi), void *arg);

/* Tell likewise of each kind of file system: its name, and if it wants a disk. */
int qvfs_each_kind(struct quern *k,
    int (*fn)(void *arg, const char *name, bool disk), void *arg);

/* Write everything of every file system back, and flush. */
int qvfs_sync(struct quern *k);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_VFS_H */
