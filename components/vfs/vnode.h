/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Vnodes and file systems: what a file-system driver implements.
 *
 * A *vnode* is a file in memory: a regular file, directory, symlink, device,
 * fifo or socket of one *file system* (struct qfs), which is what a driver made
 * of a disk, or of nothing.  The driver's own inode has the vnode as its first
 * member (ft_vnode_size).  There is at most one vnode for an inode number.
 *
 * Names are the VFS's business (dentry.h): it keeps what directories said, asks
 * permission, and calls the driver with everything checked that does not need
 * the disk.  Data of regular files go through the page cache (pcache.h), which
 * asks the driver only where on the disk a range is (vo_map).
 *
 * Locks.  v_lock is a rwlock that may be held across sleeps.  Of a directory it
 * is held for writing over vo_lookup, vo_create, vo_link, vo_unlink and
 * vo_rename, for reading over vo_readdir.  Of another file it is held for
 * writing over whatever changes its size or mapping (vo_setattr with a size,
 * vo_fallocate, writes) and over vo_setxattr, for reading over vo_getxattr and
 * vo_listxattr.  Order: fs_rename, a directory before what is in it, two
 * directories that are not above each other by number, files by number; then a
 * page that is busy; then the driver's own.  The write-back calls vo_map, vo_wrote
 * and vo_update without v_lock, and these must not take it: who holds it may be
 * waiting for the write-back.
 *
 * Attributes (v_mode ... v_btime) are written under v_attr, by qvattr_begin and
 * qvattr_end, by the VFS and the driver alike, and read without a lock.
 *
 * References.  qvnode_put of the last one evicts the vnode: its pages go, and
 * vo_evict frees the inode on disk if it has no links.  A vnode with dirty pages
 * or dirty attributes has a reference of the write-back's.
 */
#ifndef QUERN_VNODE_H
#define QUERN_VNODE_H

#include <quern/abi/errno.h>
#include <quern/abi/stat.h>
#include <quern/list.h>
#include <quern/lock.h>
#include <quern/rwlock.h>
#include <quern/work.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qcdev_ops;
struct qdisk;
struct qfs;
struct qmapping;
struct qpage;
struct qpath;
struct qpcache_node;
struct quio;
struct quern_proc;
struct qvnode;
struct writeback;

/* Names are up to this long, symlinks' contents shorter than the second. */
#define QNAME_MAX 255u
#define QPATH_MAX 4096u

/* A name in a directory: not "." or "..", no "/" and no 0 in it. */
struct qname {
	const char *n_name; /* not ended by a 0 */
	uint32_t n_len;     /* 1 .. QNAME_MAX */
	uint32_t n_hash;    /* the VFS's */
};

/* A name of `s`, ended by a 0, which is borrowed: for a driver that makes one. */
void qname_set(struct qname *n, const char *s);

/* A time since 1970: any second that a file system can store. */
struct qtime {
	int64_t t_sec;
	uint32_t t_nsec; /* below 10^9 */
};

/* One that may be changed meanwhile: under v_attr, or for what it is worth. */
static inline void
qtime_load(struct qtime *to, const struct qtime *from)
{
	to->t_sec = __atomic_load_n(&from->t_sec, __ATOMIC_ACQUIRE);
	to->t_nsec = __atomic_load_n(&from->t_nsec, __ATOMIC_ACQUIRE);
}

/* The other way round, between qvattr_begin and qvattr_end. */
static inline void
qtime_store(struct qtime *to, struct qtime t)
{
	__atomic_store_n(&to->t_sec, t.t_sec, __ATOMIC_RELEASE);
	__atomic_store_n(&to->t_nsec, t.t_nsec, __ATOMIC_RELEASE);
}

/* Device numbers as they are in st_dev and st_rdev. */
static inline uint32_t
qdev_major(uint64_t dev)
{
	return (uint32_t)((dev >> 8 & 0xfff) | (dev >> 32 & ~0xfffu));
}

/* The other part. */
static inline uint32_t
qdev_minor(uint64_t dev)
{
	return (uint32_t)((dev & 0xff) | (dev >> 12 & ~0xffu));
}

/* Both in one. */
static inline uint64_t
qdev_make(uint32_t major, uint32_t minor)
{
	return (minor & 0xffu) | (uint64_t)(major & 0xfffu) << 8 |
	    (uint64_t)(minor & ~0xffu) << 12 |
	    (uint64_t)(major & ~0xfffu) << 32;
}

/* ---- attributes ------------------------------------------------------------ */

/* va_set: which of struct qvattr are to be set. */
#define QVA_MODE  1u
#define QVA_UID   2u
#define QVA_GID   4u
#define QVA_SIZE  8u
#define QVA_ATIME 16u
#define QVA_MTIME 32u
#define QVA_CTIME 64u

/* Changes of attributes. */
struct qvattr {
	uint32_t va_set;  /* QVA_* */
	uint32_t va_mode; /* permission bits, without the type */
	uint32_t va_uid, va_gid;
	uint64_t va_size;
	struct qtime va_atime, va_mtime, va_ctime;
};

/* What a new file is to be; everything has been worked out by the VFS. */
struct qvnew {
	uint32_t vn_mode; /* with the type: any Q_S_IF* */
	uint32_t vn_uid, vn_gid;
	uint64_t vn_rdev;      /* devices, as in st_rdev */
	const char *vn_target; /* symlinks: contents, ended by a 0 */
	uint32_t vn_targetlen; /* without the 0 */
	const void *vn_acl;    /* system.posix_acl_access to set, or NULL */
	const void *vn_defacl; /* directories: ..._default, or NULL */
	uint32_t vn_acllen, vn_defacllen;
};

/* ---- vnodes ---------------------------------------------------------------- */

/* v_flags [a] */
#define QV_NEW        1u  /* being filled in by its driver; nobody's yet */
#define QV_DEAD       2u  /* being evicted, or could not be filled in */
#define QV_DIRTYATTR  4u  /* attributes newer than the inode on disk */
#define QV_DIRTYPAGES 8u  /* pages newer than the disk */
#define QV_IMMUTABLE  16u /* chattr +i */
#define QV_APPEND     32u /* chattr +a */
#define QV_NOATIME    64u
#define QV_ACL        128u /* has ACLs: permission is not just v_mode */
#define QV_NOCACHE    256u /* file data do not go through the page cache */
#define QV_NODUMP     512u
#define QV_VERITY     1024u
#define QV_SYNC       2048u  /* writes are synchronous */
#define QV_NOSEC      4096u  /* known to have no security.capability */
#define QV_LINKABLE   8192u  /* made by O_TMPFILE: a name may be made for it */
#define QV_LISTED     16384u /* it is on fs_dirty */
#define QV_SEALABLE   32768u /* of memfd_create: has seals */

/* A file's cached pages; pcache.h. */
struct qpcache {
	struct qspin pc_lock;
	uint32_t pc_errseq;           /* [pc_lock] counts errors */
	struct qpcache_node *pc_root; /* [a] changed under pc_lock */
	uint64_t pc_npages;           /* [a] changed under pc_lock */
	uint64_t pc_ndirty;           /* [a] changed under pc_lock */
	uint64_t pc_cut, pc_cutend;   /* [pc_lock] pages that move on disk */
	struct qthread *pc_cutter;    /* [pc_lock] for whom that is no bar */
	uint64_t pc_limit;            /* [pc_lock] where it is to end soon */
	struct qlist pc_runs;         /* [pc_lock] what is being written */
	uint64_t pc_runseq;           /* [pc_lock] number of the last one */
	struct qwaitq pc_wait;        /* for one of them to get further */
	int pc_error; /* [pc_lock] of writing back, for the next fsync */
};

struct qvnode {
	const struct qvnode_ops *v_ops; /* [I] */
	struct qfs *v_fs;               /* [I] */
	uint64_t v_ino;                 /* [I] */
	uint32_t v_refs;                /* [a] */
	uint32_t v_flags;               /* [a] QV_* */

	struct qseqlock v_attr;
	uint32_t v_mode; /* type and permissions; the type [I] */
	uint32_t v_uid, v_gid;
	uint32_t v_nlink;
	uint64_t v_rdev;   /* [I] */
	uint64_t v_size;   /* [a] */
	uint64_t v_blocks; /* of 512 bytes */
	struct qtime v_atime, v_mtime, v_ctime, v_btime;
	uint64_t v_version; /* changes of a directory, for open ones */
	uint32_t v_gen;     /* [I] of the inode number, for file handles */

	struct qrwlock v_lock;
	struct qpcache v_pages;
	int32_t v_writers;     /* [a] opens for writing; < 0: executed */
	struct qlist v_hash;   /* [fs_vlock] */
	struct qlist v_all;    /* [fs_vlock] */
	struct qlist v_dirty;  /* [fs_vlock] fs_dirty */
	uint64_t v_dirtied;    /* [fs_vlock] when it became dirty */
	uint64_t v_sync;       /* [fs_vlock] last that needn't see it */
	uint32_t v_nwrite;     /* [a] threads in vnode_write */
	char *v_link;          /* [a] symlinks: contents, once read */
	void *v_locks;         /* [a] struct qflocks, once there were any */
	void *v_watches;       /* [a] inotify's */
	uint32_t v_seals;      /* [pc_lock] Q_F_SEAL_*; added under v_lock */
	uint32_t v_mapwriters; /* [pc_lock] mappings that allow stores */
	void *v_special; /* [a] what a fifo, socket or device is in memory */
	struct qepoch_entry v_epoch;
};

/* Its type, one of Q_S_IF*. */
static inline uint32_t
qvnode_type(const struct qvnode *v)
{
	return __atomic_load_n(&v->v_mode, __ATOMIC_RELAXED) & Q_S_IFMT;
}

/* Is it a directory? */
static inline bool
qvnode_isdir(const struct qvnode *v)
{
	return qvnode_type(v) == Q_S_IFDIR;
}

/* Has the flag? */
static inline bool
qvnode_is(const struct qvnode *v, uint32_t flag)
{
	return (__atomic_load_n(&v->v_flags, __ATOMIC_RELAXED) & flag) != 0;
}

/* Its size in bytes. */
static inline uint64_t
qvnode_size(const struct qvnode *v)
{
	return __atomic_load_n(&v->v_size, __ATOMIC_ACQUIRE);
}

/*
 * Change attributes between these, by atomic stores with release, which keeps
 * them behind the count's becoming odd; a spin lock is held.  (A seqlock's own
 * functions allow any stores, and cost two locked instructions more.)
 */
static inline void
qvattr_begin(struct qvnode *v)
{
	qspin_lock(&v->v_attr.sq_lock);
	__atomic_store_n(&v->v_attr.sq_seq, v->v_attr.sq_seq + 1,
	    __ATOMIC_RELAXED);
}

/* The end of it. */
static inline void
qvattr_end(struct qvnode *v)
{
	__atomic_store_n(&v->v_attr.sq_seq, v->v_attr.sq_seq + 1,
	    __ATOMIC_RELEASE);
	qspin_unlock(&v->v_attr.sq_lock);
}

/* ---- where data are on the disk --------------------------------------------- */

/* vo_map's `how`. */
enum qmap_how {
	QMAP_READ = 0, /* as it is */
	QMAP_WRITE     /* about to be written back: allocate what is missing */
};

/* m_flags */
#define QMAP_HOLE      1u /* no blocks: reads as zeroes */
#define QMAP_UNWRITTEN 2u /* blocks, but it reads as zeroes */

/* A range of a file, and where it is.  In bytes, multiples of the block size. */
struct qmapping {
	uint64_t m_off;
	uint64_t m_len;
	uint64_t m_disk; /* offset on the disk, unless it is a hole */
	uint32_t m_flags;
	uint32_t m_pad;
	void *m_held; /* the driver's, from vo_map to vo_mapped */
};

/* ---- what a driver implements ------------------------------------------------ */

/* A rename, all of whose vnodes are locked. */
struct qrename {
	struct qvnode *r_olddir, *r_newdir;
	struct qname r_old, r_new;
	struct qvnode *r_vnode;  /* what r_old is */
	struct qvnode *r_target; /* what r_new is, to be replaced; or NULL */
	bool r_exchange;         /* r_vnode and r_target change places */
};

/*
 * Told of an entry by vo_readdir: not 0 ends it, and this entry comes again.
 * `type` is Q_DT_*, `pos` where the next one is found.
 */
typedef int qreaddir_fn(void *arg, const char *name, size_t len, uint64_t ino,
    uint32_t type, uint64_t pos);

/*
 * Operations on vnodes.  A NULL is what the comment says; those of directories
 * may be NULL for others and the other way round.  All may sleep and return 0
 * or -errno.  "-EROFS" and the like are the VFS's.  What changes a file or
 * directory also changes its times (qvnode_touch).
 */
struct qvnode_ops {
	/* -- directories -- */

	/* Find a name; *vp with a reference.  -ENOENT. */
	int (*vo_lookup)(struct qvnode *dir, const struct qname *name,
	    struct qvnode **vp);

	/*
	 * Make a file of any type under a name that is free; *vp with a
	 * reference.  A directory has "." and ".." and counts as a link of its
	 * parent.  -ENOSPC, -EMLINK.  NULL: -EPERM.
	 */
	int (*vo_create)(struct qvnode *dir, const struct qname *name,
	    const struct qvnew *what, struct qvnode **vp);

	/* Make a file without a name (O_TMPFILE).  NULL: -EOPNOTSUPP. */
	int (*vo_tmpfile)(struct qvnode *dir, const struct qvnew *what,
	    struct qvnode **vp);

	/* Another name for `v`, also for one that has none.  NULL: -EPERM. */
	int (*vo_link)(struct qvnode *dir, const struct qname *name,
	    struct qvnode *v);

	/*
	 * Remove a name, which is that of `v`: one link less; of a directory,
	 * which is locked too, all of them.  -ENOTEMPTY.  NULL: -EPERM.
	 */
	int (*vo_unlink)(struct qvnode *dir, const struct qname *name,
	    struct qvnode *v);

	/*
	 * Move, replace or exchange, atomically also in a crash.  -ENOTEMPTY
	 * (r_target), -EMLINK.  NULL: -EPERM.
	 */
	int (*vo_rename)(struct qrename *r);

	/*
	 * Tell of the entries from *posp on, "." and ".." included, in an order
	 * in which each entry that stays is told of once, whatever happens to
	 * others between two calls.  0 is the beginning; *posp is moved.  What
	 * emit answers, if that is not 0, is no error.
	 */
	int (*vo_readdir)(struct qvnode *dir, uint64_t *posp, qreaddir_fn *emit,
	    void *arg);

	/* -- symlinks -- */

	/* The contents, without a 0: their length.  `len` is enough. */
	int (*vo_readlink)(struct qvnode *v, char *buf, size_t len);

	/*
	 * The symlink is magic: it leads not to what its text names but to a
	 * thing itself, for `p` to go on at: *out with references, or *vp, a
	 * vnode of this file system with a reference that has no name.  -EACCES,
	 * -ENOENT.  NULL: by its text.
	 */
	int (*vo_follow)(struct qvnode *v, struct quern_proc *p,
	    struct qpath *out, struct qvnode **vp);

	/* -- all -- */

	/*
	 * Open it for `p`, `flags` O_*, as co_open does a device: the file's
	 * operations are *ops, called with *openp, and what is read of a
	 * regular file has a position.  NULL: by its type.
	 */
	int (*vo_open)(struct qvnode *v, struct quern_proc *p, uint32_t flags,
	    const struct qcdev_ops **ops, void **openp);

	/*
	 * Change attributes, those in memory too.  With a size: the pages beyond
	 * it have gone, and the last one's rest is zeroed, when it becomes
	 * smaller.  -EFBIG.  NULL: only in memory.
	 */
	int (*vo_setattr)(struct qvnode *v, const struct qvattr *a);

	/*
	 * Write the attributes in memory to the inode, if QV_DIRTYATTR was set:
	 * the VFS has cleared it.  Need not be on the disk before vo_fsync or
	 * fso_sync.  NULL: nothing.
	 */
	int (*vo_update)(struct qvnode *v);

	/*
	 * All that was written to it, names aside, is on stable storage when
	 * this returns (data: all but what only attributes need that nobody
	 * needs to read the data).  Its pages have been written.  NULL: 0.
	 */
	int (*vo_fsync)(struct qvnode *v, bool data);

	/*
	 * The last reference has gone: free the inode and its blocks if v_nlink
	 * is 0, and whatever the driver holds in memory but the vnode itself.
	 * NULL: nothing.
	 */
	void (*vo_evict)(struct qvnode *v);

	/*
	 * Extended attributes by their full name.  getxattr and listxattr
	 * answer the length; 0 for `len` only asks for it.  -ENODATA, -ERANGE,
	 * -ENOSPC, -E2BIG; setxattr with `value` NULL removes, `flags` XATTR_*.
	 * NULL: -EOPNOTSUPP.
	 */
	int64_t (*vo_getxattr)(struct qvnode *v, const char *name, void *buf,
	    size_t len);
	int64_t (*vo_listxattr)(struct qvnode *v, char *buf, size_t len);
	int (*vo_setxattr)(struct qvnode *v, const char *name,
	    const void *value, size_t len, int flags);

	/* -- data of regular files -- */

	/*
	 * Where byte `off` and up to `len` bytes from there are: *m begins at
	 * or before off and ends behind it.  Both are multiples of the file
	 * system's block size, but that a file may end earlier.  QMAP_WRITE
	 * allocates holes (perhaps of a reservation), no more than it answers,
	 * and is followed by vo_mapped when the write of all of that has been
	 * submitted: until then what this changed may not be committed.  NULL: there is no disk behind the page
	 * cache (tmpfs), and pages are never written back.
	 */
	int (*vo_map)(struct qvnode *v, uint64_t off, uint64_t len,
	    enum qmap_how how, struct qmapping *m);
	void (*vo_mapped)(struct qvnode *v, struct qmapping *m);

	/*
	 * [off, off + len) is on the disk now, after QMAP_WRITE: make unwritten
	 * blocks written, and the size on disk reach there.  On a thread of its
	 * own.  NULL: nothing.
	 */
	int (*vo_wrote)(struct qvnode *v, uint64_t off, uint64_t len);

	/*
	 * Fill a page that vo_map can't (inline data): contents beyond the
	 * file's end zeroed.  -ENOTBLK: use vo_map.  NULL: always.
	 */
	int (*vo_fill)(struct qvnode *v, struct qpage *pg);

	/*
	 * Promise room for [off, off + len), which is about to become dirty,
	 * so that QMAP_WRITE of it can't fail with -ENOSPC; what has blocks or a
	 * promise already costs nothing.  vo_unreserve gives promises of a range
	 * back that was not written, and may be asked to of blocks that have
	 * none.  Without vo_map a page is promised when it is made and given back
	 * when it has gone.  Called with the page busy, and of a page that is
	 * stored to through a mapping without v_lock: they must not wait for
	 * pages.  -ENOSPC, -EDQUOT, -EFBIG.  NULL: 0.
	 */
	int (*vo_reserve)(struct qvnode *v, uint64_t off, uint64_t len);
	void (*vo_unreserve)(struct qvnode *v, uint64_t off, uint64_t len);

	/*
	 * fallocate(2) with `mode` FALLOC_FL_*; pages of a range that is removed
	 * or zeroed have gone.  Sets the size, unless KEEP_SIZE.  NULL:
	 * -EOPNOTSUPP.
	 */
	int (*vo_fallocate)(struct qvnode *v, uint32_t mode, uint64_t off,
	    uint64_t len);

	/* For QV_NOCACHE files: read and write; bytes or -errno. */
	int64_t (*vo_read)(struct qvnode *v, struct quio *u);
	int64_t (*vo_write)(struct qvnode *v, struct quio *u);

	/* ioctl(2); `arg` is a client's.  NULL: -ENOTTY. */
	int64_t (*vo_ioctl)(struct qvnode *v, uint32_t cmd, uint64_t arg);
};

/* ---- file systems ------------------------------------------------------------ */

/* fs_flags [a] */
#define QFS_RDONLY     1u /* mounted or become read-only */
#define QFS_ERROR      2u /* damaged: nothing is written any more */
#define QFS_NOSUID     4u
#define QFS_NODEV      8u
#define QFS_NOEXEC     16u
#define QFS_SYNC       32u
#define QFS_NOATIME    64u
#define QFS_RELATIME   128u
#define QFS_LAZYTIME   256u
#define QFS_DIRSYNC    512u
#define QFS_NODIRATIME 1024u

struct qfs_ops {
	/*
	 * Make everything durable that was written before; pages and inodes
	 * have been written (vo_update).  `wait` false: only begin.  NULL: 0.
	 */
	int (*fso_sync)(struct qfs *fs, bool wait);

	/* Fill in f_blocks, f_bfree, f_bavail, f_files, f_ffree.  NULL: none. */
	int (*fso_statfs)(struct qfs *fs, struct q_statfs *st);

	/*
	 * Become read-only or writable (`flags` QFS_*), with new `options`.
	 * Nothing is open for writing, everything has been synced.  NULL: 0.
	 */
	int (*fso_remount)(struct qfs *fs, uint32_t flags, const char *options);

	/* It goes: no vnode is left.  Everything has been synced. */
	void (*fso_unmount)(struct qfs *fs);

	/*
	 * For file handles: the vnode of an inode number, with a reference.
	 * -ESTALE: none, or of another generation.  NULL: no handles.
	 */
	int (*fso_vget)(struct qfs *fs, uint64_t ino, uint32_t gen,
	    struct qvnode **vp);

	/* The directory that a directory is in, for handles.  NULL: -EACCES. */
	int (*fso_parent)(struct qvnode *dir, struct qvnode **vp);

	/*
	 * Give unused blocks of the range, in bytes, to the disk, `minlen` or
	 * more in a row (fstrim): *trimmed bytes.  -EOPNOTSUPP (the disk does
	 * not understand it), -EINVAL (behind the end), -EROFS, -EIO.
	 */
	int (*fso_trim)(struct qfs *fs, uint64_t off, uint64_t len,
	    uint64_t minlen, uint64_t *trimmed);
};

/* ft_flags */
#define QFT_DISK    1u /* made of a disk */
#define QFT_DYNAMIC 2u /* names come by themselves: what isn't may be soon */
#define QFT_FORGET  4u /* and go: what is may not be soon, ask each time */

/* A kind of file system, constant.  Registered by its component's init. */
struct qfs_type {
	const char *ft_name; /* as given to mount(2) */
	uint32_t ft_flags;
	size_t ft_vnode_size; /* of the driver's inode, a vnode first */

	/*
	 * Make *fs of fs_disk (if QFT_DISK) with `options`, "a,b=c", perhaps
	 * empty: set fs_ops, fs_priv, fs_root (with a reference), fs_magic,
	 * fs_bsize, fs_namelen, fs_maxsize and times.  Leaves nothing behind
	 * when it fails.  -EINVAL (not one of these: quietly, if `probe`),
	 * -EUCLEAN, -EIO, -EROFS, -EOPNOTSUPP, and then the log says why.
	 */
	int (*ft_mount)(struct qfs *fs, const char *options, bool probe);
};

struct qfs {
	struct quern *fs_k;               /* [I] */
	const struct qfs_type *fs_type;   /* [I] */
	const struct qfs_ops *fs_ops;     /* [I] */
	void *fs_priv;                    /* the driver's */
	struct qdisk *fs_disk;            /* [I] with a reference, or NULL */
	struct qvnode *fs_root;           /* [I] with a reference */
	uint64_t fs_dev;                  /* [I] st_dev */
	uint64_t fs_magic;                /* [I] f_type */
	uint32_t fs_bsize;                /* [I] bytes */
	uint32_t fs_namelen;              /* [I] */
	uint64_t fs_maxsize;              /* [I] of a file */
	int64_t fs_time_min, fs_time_max; /* [I] seconds that can be stored */
	uint32_t fs_time_gran;            /* [I] nanoseconds, 1 .. 10^9 */
	uint32_t fs_flags;                /* [a] QFS_* */
	uint32_t fs_refs; /* [a] of mounts and of syncs; 0: not mounted */
	struct qepoch_entry fs_epoch;
	uint8_t fs_uuid[16];      /* [I] for handles; 0: none */
	struct qlog_rate fs_rate; /* of lines about damage */
	char fs_name[64];         /* [I] "ext4 file:x", for messages */

	struct qmutex fs_rename;  /* directories move between directories */
	struct qmutex fs_syncing; /* fs_sync, one after the other */

	struct qspin fs_vlock;
	struct qlist *fs_vhash; /* [fs_vlock] by inode number */
	uint32_t fs_vmask;      /* [fs_vlock] size of it - 1 */
	uint64_t fs_nvnode;     /* [fs_vlock] */
	struct qlist fs_vall;   /* [fs_vlock] */
	struct qlist fs_dirty;  /* [fs_vlock] about by v_dirtied */
	uint64_t fs_sync;       /* [fs_vlock] counts them */
	struct qwaitq fs_vwait; /* for QV_NEW and QV_DEAD to end */
	struct qlist fs_link;   /* all of the kernel's */

	/* the write-back, pcache.c */
	struct writeback *fs_wb; /* [I] */
	uint64_t fs_ndirty;      /* [a] pages */
	uint32_t fs_phase;       /* [fs_vlock] 0 or 1: a sync changes it */
	uint64_t fs_nrun[2];     /* [fs_vlock] being written since that phase */
	struct qwaitq fs_written; /* for one of these to be 0 */
	uint32_t fs_freeing;      /* [a] being unmounted */
	uint32_t fs_nwatch;       /* [a] of inotify, on its vnodes */
};

/*
 * Add a kind; for the init of a file system's component, which needs the vfs's.
 * -EEXIST, -ENOMEM.
 */
int qfs_register(struct quern *k, const struct qfs_type *ft) QMUSTCHECK;

/*
 * Take it out again, for the component's fini: the kernel ends, so everything
 * that is mounted is unmounted first.
 */
void qfs_unregister(struct quern *k, const struct qfs_type *ft);

/*
 * The vnode of an inode number, with a reference.  When there was none it is
 * made: 1, QV_NEW is set, all but v_fs and v_ino is zero, and the caller fills
 * it in and ends with qvnode_ready or qvnode_fail; others wait that long.  0 if
 * it was there.  -ENOMEM.  Sleeps.
 */
int qvnode_get(struct qfs *fs, uint64_t ino, struct qvnode **vp) QMUSTCHECK;

/* It is filled in: v_ops, attributes and whatever is the driver's. */
void qvnode_ready(struct qvnode *v);

/* It can't be: it goes, without vo_evict.  The reference is used up. */
void qvnode_fail(struct qvnode *v);

/* Take another reference. */
static inline void
qvnode_ref(struct qvnode *v)
{
	__atomic_fetch_add(&v->v_refs, 1, __ATOMIC_RELAXED);
}

/* Drop one; may sleep if it was the last. */
void qvnode_put(struct qvnode *v);

/*
 * Set times to now, `which` QVA_*TIME, and QV_DIRTYATTR.  Not for reads, which
 * the VFS sees to.
 */
void qvnode_touch(struct qvnode *v, uint32_t which);

/*
 * Set the attributes of `a`, the size included, in memory: what vo_setattr does
 * besides writing them.
 */
void qvnode_apply(struct qvnode *v, const struct qvattr *a);

/* Set QV_DIRTYATTR, and have the write-back call vo_update some time. */
void qvnode_dirty(struct qvnode *v);

/* The wall clock as the file system stores it. */
struct qtime qfs_now(struct qfs *fs);

/* A time brought into what the file system can store. */
struct qtime qfs_clamp(struct qfs *fs, struct qtime t);

/*
 * The disk holds what it must not: log "NAME: MESSAGE" (limited), make it
 * read-only for good.  Returns -EUCLEAN.
 */
int qfs_damaged(struct qfs *fs, const char *fmt, ...) QPRINTF(2, 3);

/* A line about the file system, its name in front. */
void qfs_log(struct qfs *fs, enum quern_log_level level, const char *fmt, ...)
    QPRINTF(3, 4);

/* Must nothing be written? */
static inline bool
qfs_rdonly(const struct qfs *fs)
{
	return (__atomic_load_n(&fs->fs_flags, __ATOMIC_RELAXED) &
		   (QFS_RDONLY | QFS_ERROR)) != 0;
}

#ifdef __cplusplus
}
#endif

#endif /* QUERN_VNODE_H */
