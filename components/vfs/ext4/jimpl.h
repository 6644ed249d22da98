/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The journal's inside.  Never leaves j*.c.
 *
 * Lock letters:
 *	[I] immutable once started	[j] j_lock
 *	[t] the journal's thread (before it starts and after it ends: the caller)
 *
 * Lock order: bf_lock, j_lock.  The theory is in journal.c.
 */
#ifndef EXT4_JIMPL_H
#define EXT4_JIMPL_H

#include <quern/slab.h>
#include <quern/thread.h>
#include <quern/timer.h>

#include "jondisk.h"
#include "journal.h"

#define JHASH        16u  /* lists of handles */
#define JRHASH       256u /* lists of revocations of a transaction */
#define JSTAGE       128u /* blocks that are written to the log at once, at most */
#define JSTAGE_BYTES ((uint32_t)512 << 10)
#define JCHECK       512u                 /* buffers checkpointed at once */
#define JPINNED      ((uint64_t)32 << 20) /* bytes of buffers to checkpoint */
#define JMINLEN      16u                  /* blocks of a log */
#define JREVOKES     60u                  /* revocations a credit stands for */

/* jb_flags [j] */
#define JB_DIRTY    1u /* changed in jb_trans */
#define JB_FORGOT   2u /* freed in jb_trans */
#define JB_COUNTED  4u /* one of its t_nbuf */
#define JB_LOGGED   8u /* what jb_trans logs of it has been copied */
#define JB_NEXT     4u /* the first three, of jb_next, are this far left */
#define JB_NDIRTY   (JB_DIRTY << JB_NEXT)
#define JB_NFORGOT  (JB_FORGOT << JB_NEXT)
#define JB_NCOUNTED (JB_COUNTED << JB_NEXT)

/* A buffer that the journal has; it holds a reference to it. */
struct jbuf {
	struct qbuf *jb_buf;     /* [I] */
	struct jtrans *jb_trans; /* [j] running or committing, or NULL */
	struct jtrans *jb_next;  /* [j] running, while jb_trans commits */
	struct jtrans *jb_cp;    /* [j] whose checkpoint needs it */
	uint32_t jb_flags;       /* [j] */
	uint8_t *jb_frozen;      /* [j] what jb_trans logs, if not the data */
	struct qlist jb_link;    /* [j] t_bufs of jb_trans */
	struct qlist jb_cplink;  /* [j] t_cp of jb_cp */
};

/* A block that a transaction has revoked. */
struct jrevoke {
	struct jrevoke *rv_next;
	uint64_t rv_blk;
};

/* States of a transaction; journal.c. */
enum jstate { JT_RUNNING = 0, JT_LOCKED, JT_COMMITTING, JT_COMMITTED };

struct jtrans {
	uint32_t t_tid;            /* [I] */
	enum jstate t_state;       /* [j] */
	uint32_t t_updates;        /* [j] open handles */
	uint32_t t_credits;        /* [j] sum of theirs */
	uint32_t t_nbuf;           /* [j] credits used up */
	uint32_t t_nrevoke;        /* [j] */
	struct jrevoke **t_revoke; /* [j] JRHASH lists, or NULL: none yet */
	struct qlist t_bufs;       /* [j] jb_link */
	struct qlist t_cp;         /* [j] jb_cplink */
	struct qlist t_orders;     /* [j] jo_link */
	struct qlist t_commits;    /* [j] jm_link */
	struct qlist t_link;       /* [t] j_cps */
	uint32_t t_seq;            /* [t] its number in the log */
	uint32_t t_start;          /* [t] its first block there */
	uint32_t t_blocks;         /* [t] its length */
};

/* Blocks of the journal that lie together on the disk. */
struct jextent {
	uint32_t je_lblk, je_len;
	uint64_t je_blk;
};

struct journal {
	struct journal_config j_cfg;   /* [I] */
	struct quern *j_k;             /* [I] */
	struct qdisk *j_disk;          /* [I] */
	struct qbufcache *j_cache;     /* [I] */
	uint32_t j_bsize;              /* [I] */
	struct jextent *j_ext;         /* [I] by je_lblk, without gaps */
	uint32_t j_next;               /* [I] how many */
	struct jsuper *j_super;        /* [t] j_bsize bytes */
	uint32_t j_first, j_last;      /* [I] the log is [first, last) */
	uint32_t j_compat, j_incompat; /* [I] */
	uint32_t j_csum;               /* [I] 0, 2 or 3 */
	uint32_t j_seed;               /* [I] of its checksums */
	uint32_t j_tagsize;            /* [I] */
	uint32_t j_maxtrans;           /* [I] credits of a transaction */
	uint8_t *j_stage;              /* [t] JSTAGE_BYTES */
	uint32_t j_nstage;             /* [I] blocks of it */

	struct qspin j_lock;
	struct qwaitq j_wait;     /* for anything that clients wait for */
	struct qwaitq j_twait;    /* the thread */
	struct qthread *j_thread; /* [I] or NULL */
	struct qtimer j_timer;
	bool j_started;              /* [I] */
	bool j_due;                  /* [j] the timer has fired */
	bool j_stop;                 /* [j] */
	bool j_room;                 /* [j] somebody waits for room */
	bool j_armed;                /* [j] without a journal: the timer is */
	uint32_t j_flushing;         /* [j] journal_flush that wait */
	uint64_t j_ticket, j_served; /* [j] of theirs */
	bool j_failed;               /* [j] j_fail has done its work */
	bool j_recorded;             /* [t] the superblock says so */
	int j_error;                 /* [a] aborted; written under j_lock */
	int j_olderror;              /* [I] of a kernel before */
	uint32_t j_tid;              /* [j] of the next transaction */
	uint32_t j_want;             /* [j] commit up to this one */
	uint32_t j_done;             /* [j] committed up to this one */
	uint32_t j_ended; /* [j] committed or failed up to this one */
	struct jtrans *j_running, *j_committing; /* [j] */
	struct jtrans *j_dead;                   /* [t] running when aborted */
	struct jorder *j_ordering;               /* [j] being waited for */
	struct qlist j_handles[JHASH];           /* [j] */
	uint64_t j_fbegun, j_fdone; /* [j] flushes of commits: journal_force */

	uint32_t j_free;    /* [j] blocks of the log that nobody has */
	uint32_t j_head;    /* [t] where the next transaction begins */
	uint32_t j_seq;     /* [t] and its number */
	bool j_active;      /* [t] js_start is not 0 */
	struct qlist j_cps; /* [t] transactions to checkpoint, oldest first */
	uint64_t j_ncp;     /* [j] buffers of theirs */
	struct qbuf *j_check[JCHECK]; /* [t] */

	struct journal_stats j_stats; /* [j] */
};

/* ---- journal.c ---- */

uint32_t ext4_crc32c(uint32_t crc, const void *buf, size_t len);

/* Block of the disk that a block of the journal is; *np go on from there. */
uint64_t j_map(const struct journal *j, uint32_t lblk, uint32_t *np);

/* Read or write `n` blocks of the journal at `lblk`, which may not wrap. */
int j_io(struct journal *j, uint32_t cmd, uint32_t lblk, uint32_t n, void *buf,
    uint16_t flags);

/* The superblock, with FUA, of a log that begins at `start` (0: empty). */
int j_write_super(struct journal *j, uint32_t start, uint32_t seq);

/* The block behind `lblk`, `n` of them, in the circle. */
uint32_t j_after(const struct journal *j, uint32_t lblk, uint32_t n);

/* What to compute checksums and tags with, of the features. */
void j_set_format(struct journal *j);

/* Bytes at a block's end that are not for tags or revocations. */
static inline uint32_t
j_tail(const struct journal *j)
{
	return j->j_csum != 0 ? 4 : 0;
}

/* Checksum of a block whose last 4 bytes hold it: as if they were 0. */
uint32_t j_block_csum(const struct journal *j, const void *block);

/* Flush the disk, counted. */
int j_do_flush(struct journal *j);

/* ---- jhandle.c ---- */

/* Blocks of the log that `n` blocks need, with revocations' credits in `n`. */
uint32_t j_space(const struct journal *j, uint32_t n);

/* Under j_lock: of no transaction and no checkpoint: it goes, true. */
bool j_detach(struct journal *j, struct jbuf *jb);

void j_free_trans(struct jtrans *t);

/* ---- jcommit.c ---- */

/* Commit what is running, if anything.  On the thread. */
void j_commit(struct journal *j);

/* It has been aborted: tell those who wait for the running transaction. */
void j_fail(struct journal *j);

/* ---- jcheckpoint.c ---- */

/*
 * Write blocks in place, the oldest first, until `want` blocks of the log are
 * free or nothing is left to do.  On the thread.
 */
void j_checkpoint(struct journal *j, uint32_t want);

/* Put into j_cps, or have its blocks freed. */
void j_add_checkpoint(struct journal *j, struct jtrans *t);

/* Forget everything that is left. */
void j_drop_all(struct journal *j);

#endif /* EXT4_JIMPL_H */
