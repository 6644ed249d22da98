/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside ext4.  Never leaves the directory.
 *
 * Lock letters:
 *	[I] immutable	[a] atomic	[i] i_lock	[l] x_alloc	[o] x_orphan
 *	[v] v_lock (vnode.h)
 *
 * Lock order: v_lock, a busy page, a handle (journal.h), i_lock, x_orphan,
 * x_alloc, a buffer's own.
 */
#ifndef QUERN_EXT4_IMPL_H
#define QUERN_EXT4_IMPL_H

#include <quern/abi/fs.h>
#include <quern/abi/xattr.h>
#include <quern/block.h>
#include <quern/buf.h>
#include <quern/slab.h>
#include <quern/timer.h>
#include <quern/uspace.h>
#include <quern/vfs.h>

#include "ondisk.h"

#include "ext4.h"
#include "journal.h"

/* A range of logical clusters that are promised to a file's dirty pages. */
struct resv {
	uint64_t rv_first;
	uint64_t rv_n;
};

/* A run of a file's blocks. */
struct run {
	uint64_t r_lblk;
	uint64_t r_pblk; /* unless it is a hole */
	uint64_t r_len;
	uint32_t r_flags; /* QMAP_* */
};

struct inode {
	struct qvnode i_v;
	struct qmutex i_lock;
	uint8_t i_data[EXT4_IBLOCK]; /* [i] i_block as it is on disk */
	uint32_t i_flags;            /* [i] EXT4_*_FL, of the kinds we know */
	uint32_t i_seed;             /* [I] of checksums */
	uint64_t i_disksize;         /* [i] i_size on disk */
	uint64_t i_facl;             /* [i] block of attributes, or 0 */
	uint32_t i_projid;           /* [i] */
	uint16_t i_extra;            /* [i] i_extra_isize; 0: old record */
	bool i_inxattr;              /* [i] attributes follow the record */
	struct run i_last;   /* [i] the last run looked up; len 0: none */
	uint64_t i_goal;     /* [i] where the next block should be */
	struct resv *i_resv; /* [i] sorted, apart */
	uint32_t i_nresv, i_maxresv; /* [i] */
	uint32_t i_tid;              /* [a] transaction of the last change */
	uint32_t i_datatid;          /* [a] likewise, of one that data need */
	uint32_t i_next;             /* [o] on disk: the next orphan's number */
	uint32_t i_slot;             /* [o] place in the orphan file + 1 */
	bool i_isorphan;             /* [o] */
	struct qlist i_orphan;       /* [o] x_orphans */
	uint32_t i_dirhint;          /* [v] block that had room for a name */
	struct jorder i_order;
};

/* What is known of a block group without looking at its descriptor. */
struct group {
	uint32_t g_free;    /* [l] clusters */
	uint32_t g_ifree;   /* [l] inodes */
	uint32_t g_dirs;    /* [l] */
	uint32_t g_unused;  /* [l] inodes at the end never used */
	uint16_t g_flags;   /* [l] EXT4_BG_* */
	bool g_closed;      /* [l] nothing is allocated from it any more */
	uint8_t *g_busy;    /* [l] clusters freed and not committed, or NULL */
	uint32_t g_nbusy;   /* [l] of them */
	uint32_t g_next;    /* [l] where the last search ended */
	bool g_bad;         /* [l] damaged: not to be allocated from */
	uint64_t g_bbitmap; /* [I] where they are */
	uint64_t g_ibitmap; /* [I] */
	uint64_t g_itable;  /* [I] */
	uint32_t
	    g_largest; /* [l] no longer run is free; UINT32_MAX: not known */
};

struct mmp;

/* Of mount(2); ids UINT32_MAX and times 0: what the file system says. */
struct ext4_options {
	bool o_noload; /* look at it as it is, without the journal */
	uint32_t o_resuid, o_resgid;
	uint32_t o_commit; /* seconds */
};

struct ext4 {
	struct qfs *x_fs;
	struct qbufcache *x_bufs;
	struct ext4_super *x_super; /* in x_sbuf's data */
	struct qbuf *x_sbuf;
	struct journal *x_journal; /* NULL: none, or read-only */

	/* geometry [I] */
	uint32_t x_bsize, x_bits;     /* block size and its logarithm */
	uint32_t x_cbits;             /* blocks in a cluster, logarithm */
	uint32_t x_isize;             /* of an inode's record */
	uint32_t x_ipg, x_bpg, x_cpg; /* in a group */
	uint32_t x_ngroup;
	uint32_t x_first; /* s_first_data_block */
	uint32_t x_ninode, x_firstino;
	uint32_t x_desc_size, x_desc_per_block;
	uint64_t x_nblock;
	uint64_t x_overhead; /* clusters of metadata */
	uint64_t x_resvd;    /* clusters kept for metadata of promises */
	uint64_t x_rootresv; /* clusters kept for x_resuid, x_resgid and root */
	uint32_t x_resuid, x_resgid;
	uint32_t x_compat, x_incompat, x_ro;
	bool x_csum, x_gdtcsum;
	bool x_hash_unsigned;
	uint32_t x_seed;
	uint32_t x_hashseed[4];
	uint32_t x_flexbits; /* groups in a flex group, logarithm */

	struct qmutex x_alloc;
	struct group *x_groups;
	uint64_t x_free;      /* [l] clusters */
	uint64_t x_promised;  /* [l] clusters */
	uint64_t x_busy;      /* [l] of x_free, freed and not committed */
	uint64_t x_ifree;     /* [l] inodes */
	uint32_t x_lastgroup; /* [l] where a directory was put */
	uint32_t x_gen;       /* [l] generations of new inodes */

	struct qmutex x_orphan;
	struct qlist x_orphans; /* [o] newest first, as on disk */
	uint64_t x_orphan_nblk; /* [I] of the orphan file */
	uint64_t *x_orphan_blk; /* [I] where they are */
	uint32_t x_orphan_gen;  /* [I] */
	uint32_t x_orphan_seed; /* [I] */
	uint32_t x_orphan_used; /* [o] slots in use */

	struct inode *x_jinode; /* the journal's, apart from the vnodes */
	struct ext4_options x_opt;
	struct mmp *x_mmp; /* NULL: not writable, or without */
	uint32_t x_debug;  /* EXT4_DEBUG_*: planted bugs, for tests */
};

/* Bugs that the tests must find. */
#define EXT4_DEBUG_NOORPHAN 1u  /* nothing is noted as an orphan */
#define EXT4_DEBUG_EARLY    2u  /* new blocks are not unwritten ones */
#define EXT4_DEBUG_HALVES   4u  /* renaming takes two transactions */
#define EXT4_DEBUG_REUSE    8u  /* what is freed is used before the commit */
#define EXT4_DEBUG_NOABORT  16u /* half of a change is committed */

/* Heap. */
extern const struct qtag ext4_tag;

static inline struct ext4 *
ext4_of(const struct qfs *fs)
{
	return fs->fs_priv;
}

static inline struct inode *
inode_of(struct qvnode *v)
{
	return QCONTAINER(v, struct inode, i_v);
}

static inline struct ext4 *
inode_fs(const struct inode *ip)
{
	return ip->i_v.v_fs->fs_priv;
}

static inline bool
has_incompat(const struct ext4 *x, uint32_t bit)
{
	return (x->x_incompat & bit) != 0;
}

static inline bool
has_ro(const struct ext4 *x, uint32_t bit)
{
	return (x->x_ro & bit) != 0;
}

static inline bool
inode_has_csum_hi(const struct ext4 *x, const struct ext4_inode *di)
{
	return x->x_isize > EXT4_GOOD_OLD_SIZE &&
	    le16(di->i_extra_isize_le) >= 4;
}

/* Blocks of `len` bytes. */
static inline uint64_t
to_blocks(const struct ext4 *x, uint64_t len)
{
	return (len >> x->x_bits) + ((len & (x->x_bsize - 1)) != 0);
}

/* ---- csum.c --------------------------------------------------------------- */

/* CRC-32C continued, without the final complement. */
uint32_t ext4_crc32c(uint32_t crc, const void *buf, size_t len);
/*
 * The sum, whatever its seed, of something of which `len` bytes at `p` have
 * changed, with `rest` bytes (below 128 KiB) behind them: it was `sum`, and
 * ext4_crc32c(0, p, len) was `was`.  Much cheaper than the sum of a block.
 */
uint32_t csum_patch(uint32_t sum, uint32_t was, const void *p, size_t len,
    size_t rest);
uint32_t csum_super(const struct ext4_super *sb);
uint16_t csum_group(const struct ext4 *x, uint32_t g,
    const struct ext4_group_desc *gd);
uint32_t csum_bitmap(const struct ext4 *x, const void *bits, size_t len);
uint32_t csum_inode_seed(const struct ext4 *x, uint64_t ino, uint32_t gen);
uint32_t csum_inode(const struct ext4 *x, uint32_t seed,
    const struct ext4_inode *di);
uint32_t csum_block(uint32_t seed, const void *p, size_t len);
uint32_t csum_dx(uint32_t seed, const void *p, size_t used,
    const struct ext4_dx_tail *tail);
uint32_t csum_xattr(const struct ext4 *x, uint64_t blk, const void *p);
uint32_t csum_mmp(const struct ext4 *x, const struct ext4_mmp *m);

/* ---- super.c -------------------------------------------------------------- */

int super_read(struct ext4 *x, bool probe);
bool super_writable(struct ext4 *x);
bool super_in_group(const struct ext4 *x, uint32_t g);
uint64_t super_overhead(const struct ext4 *x, uint64_t journal_blocks);

/* ---- options.c, mmp.c ------------------------------------------------------ */

/* -EINVAL: the log names the option that is not supported. */
int options_parse(struct ext4 *x, const char *s, struct ext4_options *o);

/* Make sure that nobody else writes to it.  Sleeps for seconds.  -EBUSY. */
int mmp_start(struct ext4 *x);
/* From when there is a journal until it goes the mark is kept fresh. */
void mmp_run(struct ext4 *x);
void mmp_halt(struct ext4 *x);
/* We do not write any more. */
void mmp_stop(struct ext4 *x);

/* ---- group.c -------------------------------------------------------------- */

uint32_t group_desc_blocks(const struct ext4 *x);
uint64_t group_first(const struct ext4 *x, uint32_t g);
uint32_t group_clusters(const struct ext4 *x, uint32_t g);
uint32_t group_base_blocks(const struct ext4 *x, uint32_t g);
int group_desc(struct ext4 *x, uint32_t g, struct ext4_group_desc **gdp,
    struct qbuf **bp);
int groups_load(struct ext4 *x);

/* Do `n` blocks from `blk` on lie in the file system? */
bool blk_ok(const struct ext4 *x, uint64_t blk, uint64_t n);

/* Read a block; a number from the disk must have passed blk_ok. */
static inline int
blk_read(struct ext4 *x, uint64_t blk, struct qbuf **bp)
{
	return qbuf_read(x->x_bufs, blk, bp);
}

/* ---- inode.c -------------------------------------------------------------- */

/* What inode_get accepts. */
#define IGET_SPECIAL 1u /* reserved numbers too */
#define IGET_ORPHAN  2u /* no links */
#define IGET_EA      4u /* the value of an attribute, and nothing else */
#define IGET_HANDLE  8u /* of a file handle: what is wrong is -ESTALE */

/* The vnode of an inode, with a reference. */
int inode_get(struct ext4 *x, uint64_t ino, uint32_t how, struct inode **ipp);
/* Fill in one that has only v_fs and v_ino. */
int inode_load(struct inode *ip, uint32_t how);
/* A copy of one apart from the vnodes, for the mount's own use. */
int inode_peek(struct ext4 *x, uint64_t ino, struct inode **ipp);
void inode_unpeek(struct inode *ip);
/* The record of an inode in its block; the caller puts the buffer. */
int inode_record(struct ext4 *x, uint64_t ino, struct ext4_inode **dip,
    struct qbuf **bp);
const struct qvnode_ops *inode_ops(const struct inode *ip);
bool inode_is_fastlink(const struct inode *ip);

static inline bool
inode_has(const struct inode *ip, uint32_t flag)
{
	return (__atomic_load_n(&ip->i_flags, __ATOMIC_RELAXED) & flag) != 0;
}

/* Damage in a file's structures. */
#define inode_damaged(ip, fmt, ...)                                     \
	qfs_damaged((ip)->i_v.v_fs, "inode %lu: " fmt, (ip)->i_v.v_ino, \
	    ##__VA_ARGS__)

/* ---- extent.c, blockmap.c -------------------------------------------------- */

/*
 * The run that block `lblk` of a file is in: from it on, perhaps less than there
 * is.  A hole is as long as is known.  [i]
 */
int map_find(struct inode *ip, uint64_t lblk, struct run *r);
int extent_find(struct inode *ip, uint64_t lblk, struct run *r);
int extent_check_root(struct inode *ip);
int blockmap_find(struct inode *ip, uint64_t lblk, struct run *r);
uint64_t blockmap_maxblocks(const struct ext4 *x);

/* ---- dir.c ---------------------------------------------------------------- */

/* A place in a directory: an entry, and what holds it. */
struct dirplace {
	struct qbuf *dp_buf; /* NULL: inline */
	uint64_t dp_lblk;
	uint32_t dp_off;  /* of the entry in the block, or inline data */
	uint32_t dp_prev; /* of the entry before; UINT32_MAX: none */
	uint32_t dp_ino;
	uint8_t dp_type;
};

/* A range of bytes that holds entries. */
struct dirspan {
	uint8_t *ds_p;
	uint32_t ds_len;
	uint64_t ds_blk; /* for messages */
};

int dir_block(struct inode *dir, uint64_t lblk, bool index, struct qbuf **bp);
/* The bytes of a block that hold entries: without the checksum. */
uint32_t dir_room(const struct ext4 *x);
uint32_t dir_reclen(const struct ext4_dirent *d, const struct ext4 *x);
int dir_check_entry(struct inode *dir, const struct dirspan *s, uint32_t off);
/* Look for a name in a span.  -ENOENT. */
int dir_search(struct inode *dir, const struct dirspan *s, const char *name,
    uint32_t len, struct dirplace *dp);
/* -ENOENT; otherwise the caller puts dp_buf. */
int dir_find(struct inode *dir, const char *name, uint32_t len,
    struct dirplace *dp);
/* Where ".." leads. */
int dir_parent(struct inode *dir, uint32_t *ino);
int dir_readdir(struct qvnode *v, uint64_t *posp, qreaddir_fn *emit, void *arg);

static inline uint64_t
dir_nblock(const struct inode *dir)
{
	return dir->i_v.v_size >> inode_fs(dir)->x_bits;
}

/* ---- htree.c -------------------------------------------------------------- */

struct dxhash {
	uint32_t dh_major, dh_minor;
};

/* One level of the way down. */
struct dxframe {
	struct qbuf *df_buf;
	struct ext4_dx_entry *df_entries;
	uint32_t df_count, df_limit;
	uint32_t df_at;
};

#define DX_LEVELS 4u

struct dxpath {
	struct dxframe dx_frame[DX_LEVELS];
	uint32_t dx_n;       /* frames */
	uint32_t dx_version; /* EXT4_HASH_* */
};

void dx_hash(const struct ext4 *x, uint32_t version, const char *name,
    uint32_t len, struct dxhash *h);
/* The version that names of a directory are hashed with. */
int dx_version(struct inode *dir, uint32_t *version);
int dx_probe(struct inode *dir, uint32_t major, struct dxpath *dx);
void dx_put(struct dxpath *dx);
/* Block that the path is at; the hash that the next one begins with. */
int dx_leaf(struct inode *dir, const struct dxpath *dx, uint64_t *lblk);
/* Go to the next leaf: 1, or 0 if there is none.  *hash is its first. */
int dx_next(struct inode *dir, struct dxpath *dx, uint32_t *hash);
int dx_find(struct inode *dir, const char *name, uint32_t len,
    struct dirplace *dp);

/* ---- inline.c ------------------------------------------------------------- */

/*
 * Copy an inline file's data from `off` on; how many bytes.
 */
int inline_read(struct inode *ip, uint64_t off, void *buf, size_t len);
/* All of a directory's, in memory that the caller frees. */
int inline_dir(struct inode *dir, uint8_t **bufp, uint32_t *lenp);

/* ---- xattr.c -------------------------------------------------------------- */

int64_t xattr_get(struct qvnode *v, const char *name, void *buf, size_t len);
int64_t xattr_list(struct qvnode *v, char *buf, size_t len);
/* A value by its on-disk name. */
int64_t xattr_value(struct inode *ip, uint8_t index, const char *name,
    void *buf, size_t len);
/* What an inode's own attributes say of ACLs: QV_* to set. */
uint32_t xattr_flags(struct inode *ip, const struct ext4_inode *di);

/* ---- acl.c ---------------------------------------------------------------- */

/* Between the disk's form and that of system calls: the new length. */
int64_t acl_from_disk(struct qfs *fs, const uint8_t *p, size_t n, uint8_t *to,
    size_t len);
int64_t acl_to_disk(const uint8_t *p, size_t n, uint8_t *to, size_t len);

/* ---- file.c, vnops.c ------------------------------------------------------ */

int file_map(struct qvnode *v, uint64_t off, uint64_t len, enum qmap_how how,
    struct qmapping *m);
int file_fill(struct qvnode *v, struct qpage *pg);
extern const struct qvnode_ops ext4_file_ops, ext4_dir_ops, ext4_link_ops,
    ext4_special_ops;

/* ---- inodemod.c ----------------------------------------------------------- */

/* Store what is in memory into the record.  One credit.  [i] */
int inode_write(struct jhandle *h, struct inode *ip);
/*
 * Have inode_write not fail later, in this transaction: for who has to change
 * something else before.
 */
int inode_prepare(struct jhandle *h, struct inode *ip);
/* The same of one that has just been allocated. */
int inode_write_new(struct jhandle *h, struct inode *ip);
/* Set the next orphan's number, or the time of deletion. */
int inode_write_dtime(struct jhandle *h, struct ext4 *x, uint64_t ino,
    uint32_t dtime);
/* A new file in `dir`, not yet named; with a reference. */
int inode_new(struct jhandle *h, struct inode *dir, const struct qvnew *new,
    struct inode **ipp);
/* Change the count of links and the time of change.  */
void inode_link(struct inode *ip, int by);
/* Add sectors to v_blocks.  [i] */
void inode_add_blocks(struct inode *ip, int64_t clusters);
void inode_touch(struct inode *ip, uint32_t which);
void inode_sum(const struct ext4 *x, uint32_t seed, struct ext4_inode *di);
int ext4_update(struct qvnode *v);
void ext4_evict(struct qvnode *v);

/* ---- orphan.c ------------------------------------------------------------- */

/* Have the next mount finish what is being done to it.  3 credits. */
int orphan_add(struct jhandle *h, struct inode *ip);
/* As inode_prepare, for what orphan_add changes besides the inode. */
int orphan_prepare(struct jhandle *h, struct ext4 *x);
int orphan_del(struct jhandle *h, struct inode *ip);
/* Deal with those that are left from before. */
int orphans_load(struct ext4 *x);
int orphans_finish(struct ext4 *x);
/* Write the super block within a transaction. */
/* The buffer of the super block, and where in it. */
int super_buf(struct ext4 *x, struct qbuf **bp, uint8_t **p);
int super_log(struct jhandle *h, struct ext4 *x);
int super_log_orphan(struct jhandle *h, struct ext4 *x, uint32_t ino);

/* ---- extmod.c, blockmap.c, truncate.c -------------------------------------- */

/* Map blocks that are a hole.  [i] */
int extent_insert(struct jhandle *h, struct inode *ip, const struct run *r);
/* Make unwritten blocks of the range written.  [i] */
int extent_convert(struct jhandle *h, struct inode *ip, uint64_t lblk,
    uint64_t n);
/*
 * Unmap some of the range, from its beginning on: *donep up to where, all free
 * of the rest.  -EAGAIN: more credits are needed.  [i]
 */
int extent_remove(struct jhandle *h, struct inode *ip, uint64_t from,
    uint64_t end, uint64_t *donep);
void extent_init(struct inode *ip);
/*
 * Have what is mapped in [*fromp, *endp) be mapped `by` blocks further on, where
 * nothing is; both move towards each other as it is done.  -EAGAIN: more credits
 * are needed.  [i]
 */
int extent_shift(struct jhandle *h, struct inode *ip, uint64_t *fromp,
    uint64_t *endp, int64_t by);
int blockmap_insert(struct jhandle *h, struct inode *ip, const struct run *r);
int blockmap_remove(struct jhandle *h, struct inode *ip, uint64_t from,
    uint64_t end, uint64_t *donep);
/* Free a range of a file, restarting the handle as needed. */
int truncate_range(struct jhandle *h, struct inode *ip, uint64_t from,
    uint64_t end);
/* Give back blocks that were mapped at logical block `lblk`.  [i] */
int free_data(struct jhandle *h, struct inode *ip, uint64_t lblk, uint64_t pblk,
    uint64_t n);
/* A block for a directory; `flags` ALLOC_*. */
int alloc_block(struct jhandle *h, struct inode *ip, uint64_t goal,
    unsigned flags, uint64_t *blk);
/* A block that a tree needs, out of what is kept for those. */
int alloc_meta(struct jhandle *h, struct inode *ip, uint64_t goal,
    uint64_t *blk);
int free_meta(struct jhandle *h, struct inode *ip, struct qbuf *b,
    uint64_t blk);

/* Take alloc_meta back: what it was for has failed. */
void unalloc_meta(struct jhandle *h, struct inode *ip, uint64_t blk);

/* Credits that a change of a file's map may take. */
#define MAP_CREDITS 40u

/* Has the handle no room for another change of a map? */
static inline bool
tx_low(const struct jhandle *h)
{
	return h->h_trans != NULL && journal_credits(h) < MAP_CREDITS / 2;
}

static inline int
map_insert(struct jhandle *h, struct inode *ip, const struct run *r)
{
	ip->i_last.r_len = 0;
	return inode_has(ip, EXT4_EXTENTS_FL) ? extent_insert(h, ip, r) :
						blockmap_insert(h, ip, r);
}

/* ---- dirmod.c, dxmod.c ------------------------------------------------------ */

#define DIR_CREDITS 60u

int dir_add(struct jhandle *h, struct inode *dir, const char *name,
    uint32_t len, uint64_t ino, uint32_t mode);
int dir_remove(struct jhandle *h, struct inode *dir, struct dirplace *dp);
/* Have an entry be of another inode. */
int dir_set(struct jhandle *h, struct inode *dir, struct dirplace *dp,
    uint64_t ino, uint32_t mode);
int dir_init(struct jhandle *h, struct inode *dir, uint64_t parent);
int dir_set_parent(struct jhandle *h, struct inode *dir, uint64_t parent);
/* 0 or -ENOTEMPTY. */
int dir_empty(struct inode *dir);
/* Append a block; the caller puts the buffer, which is zeroed. */
int dir_append(struct jhandle *h, struct inode *dir, uint64_t *lblk,
    struct qbuf **bp);
/* Change a block of entries: between get_write and this, which sums it. */
void dir_changed(struct jhandle *h, struct inode *dir, struct qbuf *b);
void dir_set_reclen(struct ext4_dirent *d, const struct ext4 *x, uint32_t len);
void dir_tail(const struct ext4 *x, uint8_t *p);
/* Put a name into a span with room, or -ENOSPC. */
int dir_put(struct inode *dir, const struct dirspan *s, const char *name,
    uint32_t len, uint64_t ino, uint32_t mode);
/* The same in a block. */
int dir_put_block(struct jhandle *h, struct inode *dir, struct qbuf *b,
    const char *name, uint32_t len, uint64_t ino, uint32_t mode);
uint8_t dir_ft(const struct ext4 *x, uint32_t mode);
int dx_add(struct jhandle *h, struct inode *dir, const char *name, uint32_t len,
    uint64_t ino, uint32_t mode);
/* Turn a directory of one full block into an index. */
int dx_make(struct jhandle *h, struct inode *dir);

/* ---- inline.c ------------------------------------------------------------- */

/* Give a file or directory blocks instead.  Sleeps; opens a handle. */
int inline_end(struct inode *ip);

/* ---- xattrmod.c ----------------------------------------------------------- */

int xattr_set(struct qvnode *v, const char *name, const void *value, size_t len,
    int flags);
/* Under a handle, by the name on disk; value NULL removes. */
int xattr_store(struct jhandle *h, struct inode *ip, uint32_t index,
    const char *name, const void *value, size_t len, int flags);
/* Drop all of an inode that is being freed. */
int xattr_free(struct jhandle *h, struct inode *ip);

#define XATTR_CREDITS 20u

/* ---- mount.c -------------------------------------------------------------- */

int mount_writable(struct ext4 *x);
/* Open the journal, and replay it if it has to be. */
int mount_journal(struct ext4 *x);
/* Stop writing: what is in memory goes to the disk. */
void mount_end(struct ext4 *x);
/*
 * Has what ended with `error` been cut short after something had been changed?
 * Who runs out of room leaves what it has changed whole.
 */
static inline bool
tx_half(const struct jhandle *h, int error)
{
	return h->h_changed && (error == -Q_ENOMEM || error == -Q_EIO);
}
/*
 * Close a handle, of what ended with `error`; 0 or the first error.  Half of a
 * change ends all writing.
 */
int tx_end(struct ext4 *x, struct jhandle *h, int error);
int tx_begin(struct ext4 *x, uint32_t credits, struct jhandle **hp);
int ext4_sync(struct qfs *fs, bool wait);
int ext4_fsync(struct qvnode *v, bool data);
/* The transaction that a change of an inode is in, for fsync. */
void inode_in_tx(struct jhandle *h, struct inode *ip);

/* ---- write.c, namei.c ------------------------------------------------------- */

int file_mapped_write(struct qvnode *v, uint64_t off, uint64_t len,
    struct qmapping *m);
void file_mapped(struct qvnode *v, struct qmapping *m);
int file_wrote(struct qvnode *v, uint64_t off, uint64_t len);
int file_reserve(struct qvnode *v, uint64_t off, uint64_t len);
void file_unreserve(struct qvnode *v, uint64_t off, uint64_t len);
void file_mapping_of(const struct ext4 *x, const struct run *r,
    struct qmapping *m);
void resv_end(struct inode *ip);
int file_setattr(struct qvnode *v, const struct qvattr *a);
int file_fallocate(struct qvnode *v, uint32_t mode, uint64_t off, uint64_t len);
int ext4_create(struct qvnode *v, const struct qname *name,
    const struct qvnew *new, struct qvnode **vp);
int ext4_tmpfile(struct qvnode *v, const struct qvnew *new, struct qvnode **vp);
int ext4_link(struct qvnode *dir, const struct qname *name, struct qvnode *v);
int ext4_unlink(struct qvnode *dir, const struct qname *name, struct qvnode *v);
int ext4_rename(struct qrename *r);

#endif /* QUERN_EXT4_IMPL_H */
