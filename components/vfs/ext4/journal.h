/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The journal: changes of several metadata blocks that a crash leaves all done
 * or all undone, in the format of jbd2 (Linux, Documentation/filesystems/ext4/
 * journal.rst).
 *
 * A change is made under a *handle*:
 *
 *	error = journal_begin(j, nblocks, &h);
 *	error = qbuf_read(c, blk, &b);		(also before, or in between)
 *	error = journal_get_write(h, b);	the block joins the transaction
 *	qbuf_lock(b); ... change b->bf_data ...; qbuf_unlock(b);
 *	journal_dirty(h, b);
 *	qbuf_put(b);
 *	error = journal_end(h);
 *
 * All changes of a handle are in one *transaction*, together with those of many
 * others.  It commits when journal_commit or journal_force ask, when it is 5
 * seconds old, and when it has become large.
 *
 * A handle must not wait for anything that may need another handle to go on: no
 * lock that is held over journal_begin may be taken under one.  No buffer may be
 * locked (qbuf_lock) over any of these functions but journal_dirty.
 *
 * Without a journal (jc_len 0) all of this does no more than the buffer cache:
 * what is dirty is written when journal_commit asks and 5 seconds after.
 */
#ifndef EXT4_JOURNAL_H
#define EXT4_JOURNAL_H

#include <quern/buf.h>
#include <quern/list.h>
#include <quern/lock.h>

struct journal;
struct jtrans;
struct qvnode;

/* What a journal is made from; copied. */
struct journal_config {
	struct qbufcache *jc_cache; /* of the file system */
	const char *jc_name;        /* in front of messages; kept */
	uint32_t jc_len; /* blocks of the journal; 0: there is none */
	/*
	 * Where blocks `lblk` and up to *np more of the journal are: block *blkp
	 * of the disk, *np of them.
	 */
	int (*jc_map)(void *arg, uint32_t lblk, uint64_t *blkp, uint32_t *np);
	uint64_t jc_blocks; /* of the file system: replay writes none beyond */
	/* Wait until no page of `v` is being written: qpcache_wait. */
	void (*jc_wait)(void *arg, struct qvnode *v);
	/*
	 * The journal has been aborted for `error`: nothing can be changed any
	 * more.  Called once, where it may not sleep.
	 */
	void (*jc_abort)(void *arg, int error);
	void *jc_arg;
	bool jc_64bit;        /* the file system has 64bit */
	bool jc_csum;         /* and metadata_csum: have the log checksummed */
	uint64_t jc_age;      /* ns until a transaction commits; 0: 5 s */
	uint32_t jc_maxtrans; /* blocks of a transaction; 0: a quarter */
	uint32_t jc_debug;    /* JDEBUG_*: planted bugs, for tests */
};

/* Bugs that the tests must find. */
#define JDEBUG_NOFLUSH   1u  /* no flush before the commit block */
#define JDEBUG_NOREVOKE  2u  /* revoked blocks are not written to the log */
#define JDEBUG_NOORDER   4u  /* commits do not wait for ordered data */
#define JDEBUG_NOFROZEN  8u  /* a committing block is changed in place */
#define JDEBUG_NOCPFLUSH 16u /* no flush before the log's tail moves */
#define JDEBUG_NOHELD    32u /* blocks are written in place before commit */
#define JDEBUG_NOMEM     64u /* no bug: there is no memory to copy blocks */

/* A handle.  Its members are the journal's, but for those with [I]. */
struct jhandle {
	struct journal *h_j;    /* [I] */
	struct jtrans *h_trans; /* NULL without a journal */
	uint32_t h_tid;         /* [I] until restarted: for journal_force */
	uint32_t h_credits;     /* blocks that may still join */
	uint32_t h_revokes;     /* records that a credit has been taken for */
	uint32_t h_depth;       /* of journal_begin by the same thread */
	int h_error;            /* to be returned by journal_end */
	bool h_changed; /* something has been; cleared when that is whole */
	struct qthread *h_thread;
	struct qlist h_link;
};

/* Told of a commit; embedded in what waits for it. */
struct jcommit {
	struct qlist jm_link;
	/*
	 * The transaction is on stable storage (`error` 0), or will never be.
	 * On the journal's thread: may sleep, but use no handle.
	 */
	void (*jm_fn)(struct jcommit *jm, int error);
};

/* A file whose data come before the commit; embedded in the driver's inode. */
struct jorder {
	struct qlist jo_link;
	struct qvnode *jo_vnode;
	struct jtrans *jo_trans; /* which waits for it */
	bool jo_again;           /* and then the one after that */
};

/* ---- from mount to unmount ------------------------------------------------- */

/*
 * Read and check the journal's superblock; writes nothing.  -EUCLEAN (damaged,
 * outside the disk), -EOPNOTSUPP (an unknown feature; the log names it), -EIO,
 * -ENOMEM.
 */
int journal_open(const struct journal_config *cfg,
    struct journal **jp) QMUSTCHECK;

/* Does it hold transactions that journal_replay would write? */
bool journal_unclean(const struct journal *j);

/* The error that a kernel before this one recorded when it aborted, or 0. */
int journal_errno(const struct journal *j);

/*
 * Write what committed transactions hold to its place, through the cache, and
 * mark the journal clean.  A damaged log ends at the last transaction that is
 * whole.  Nothing of the cache may be held, and what was read before it through
 * it may have changed.  -EIO, -ENOMEM: the journal is as it was;
 * -EOPNOTSUPP: it has fast commits, -EROFS.
 */
int journal_replay(struct journal *j) QMUSTCHECK;

/*
 * Make ready for handles: starts a thread and writes the superblock.  The
 * journal is clean.  -EIO, -ENOMEM, -EROFS.
 */
int journal_start(struct journal *j) QMUSTCHECK;

/*
 * Commit, write everything in place, mark the journal clean, end.  No handle is
 * open.  The first error that has kept it from being clean.  Sleeps.  Also for
 * one that was never started.
 */
int journal_destroy(struct journal *j);

/* ---- handles --------------------------------------------------------------- */

/*
 * Open a handle that may change up to `nblocks` blocks; journal_forget of up to
 * 60 counts as one more.  A thread that has one open gets the same again, whose
 * blocks must do.  Sleeps until there is room, commits if need be; never with
 * another lock under which a handle waits.  -EROFS (aborted), -ENOSPC (more than
 * a transaction can hold), -ENOMEM.
 */
int journal_begin(struct journal *j, uint32_t nblocks,
    struct jhandle **hp) QMUSTCHECK;

/*
 * Close it.  The first of what went wrong under it: -EROFS.  With QFS_SYNC the
 * caller goes on with journal_force(h_tid).  Any thread may close a handle.
 */
int journal_end(struct jhandle *h);

/*
 * Have room for `nblocks` more.  0, or -EAGAIN: not in this transaction; make
 * what has been changed consistent and call journal_restart.
 */
int journal_extend(struct jhandle *h, uint32_t nblocks) QMUSTCHECK;

/*
 * Close and open it again with room for `nblocks`, likely in another transaction.
 * Buffers have to be asked for again with journal_get_write.  Sleeps as
 * journal_begin.  -EROFS; the handle must still be closed.  -EBUSY: it is open
 * twice, so its other opener's changes would be torn.
 */
int journal_restart(struct jhandle *h, uint32_t nblocks) QMUSTCHECK;

/* How many more blocks may join. */
static inline uint32_t
journal_credits(const struct jhandle *h)
{
	return h->h_credits;
}

/*
 * The block of `b`, whose contents are valid, is going to be changed.  What a
 * transaction that commits now needs of it is kept.  The same again is free.
 * -EROFS, -ENOSPC (no credits, a bug of the caller's, that the log tells of),
 * -ENOMEM.  May sleep.
 */
int journal_get_write(struct jhandle *h, struct qbuf *b) QMUSTCHECK;

/*
 * The same for a block that has just been allocated, from qbuf_get; a revocation
 * of it in this transaction is void.
 */
int journal_get_create(struct jhandle *h, struct qbuf *b) QMUSTCHECK;

/* It has been changed.  After journal_get_write, by the same handle. */
void journal_dirty(struct jhandle *h, struct qbuf *b);

/*
 * A block that has been metadata is freed: its changes need not be logged, and
 * replay won't write earlier ones over it.  When the transaction commits it must
 * be free in the bitmap: who fails to make it so aborts the journal.  `b` is its buffer, of which one
 * reference is used up, or NULL (`blk` counts).  Call it before the bitmap says
 * so.  -EROFS, -ENOSPC, -ENOMEM.
 */
int journal_forget(struct jhandle *h, struct qbuf *b, uint64_t blk) QMUSTCHECK;

/*
 * Have the commit wait until what is being written of jo->jo_vnode is on the
 * disk: the blocks that it was given are in this transaction.
 */
void journal_order(struct jhandle *h, struct jorder *jo);

/* Initialise, and end: before the vnode goes.  The latter may sleep. */
void journal_order_init(struct jorder *jo, struct qvnode *v);
void journal_order_gone(struct journal *j, struct jorder *jo);

/*
 * Call jm->jm_fn once the handle's transaction has committed: blocks that it
 * frees may be used for data only then.  At once, from here, without a journal.
 */
void journal_on_commit(struct jhandle *h, struct jcommit *jm);

/* ---- commits --------------------------------------------------------------- */

/*
 * Commit what has been changed so far; `wait`: until that and every write that
 * had completed before the call are on stable storage.  No handle is open in
 * this thread.  -EIO, also when it has been aborted.
 */
int journal_commit(struct journal *j, bool wait);

/*
 * The same for the transaction h_tid; when it has committed already, only a
 * flush is left, and that only if none has begun since the call.
 */
int journal_force(struct journal *j, uint32_t tid);

/* Has that transaction committed? */
bool journal_committed(struct journal *j, uint32_t tid);

/* Has it been aborted?  0 or -errno. */
int journal_aborted(const struct journal *j);

/*
 * The file system cannot trust itself: nothing that has not committed will be,
 * from now on everything fails with -EROFS.  `error` negative, recorded in the
 * superblock.  Calls jc_abort unless it has been.  Does not sleep.
 */
void journal_abort(struct journal *j, int error);

/*
 * Commit and write everything in place, so that the disk is the file system even
 * without the journal (freeze, remount read-only).  Handles wait.
 */
int journal_flush(struct journal *j);

/* Counters, for people and tests. */
struct journal_stats {
	uint64_t js_commits, js_blocks, js_revokes; /* logged */
	uint64_t js_frozen;       /* copies made for a commit */
	uint64_t js_checkpoints;  /* moves of the tail */
	uint64_t js_flushes;      /* and writes with FUA */
	uint64_t js_waits;        /* handles that waited for room */
	uint32_t js_free, js_len; /* blocks of the log */
	uint32_t js_replayed;     /* transactions */
};

/* Look at them. */
void journal_stats(struct journal *j, struct journal_stats *st);

#endif /* EXT4_JOURNAL_H */
