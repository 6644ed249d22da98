/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk and a file system to test the page cache with.
 *
 * The disk completes requests on a thread of its own, in any order, fails those
 * that it is told to, and counts.  The file system has a flat table of files
 * whose blocks lie anywhere, a journal that is no more than a lock, and checks
 * what the page cache does: rooms are promised before they are used, data are
 * on the disk when vo_wrote says so and when a commit is over.
 */
#ifndef TESTS_VFS_PCACHEFS_H
#define TESTS_VFS_PCACHEFS_H

#include <components/vfs/impl.h>
#include <components/vfs/pcimpl.h>
#include <kernel/block.h>
#include <kernel/impl.h>

#include "../kernel/ktest.h"

#define BLOCKS  8192u /* of the disk */
#define FILES   4u
#define FBLOCKS 4096u /* of a file */

/* A file's block: where it is, and what is known of it. */
struct block {
	uint32_t b_disk; /* 0: a hole */
	uint8_t b_unwritten, b_reserved;
};

struct file {
	struct qvnode f_vnode; /* must be first: the driver's inode */
	struct block *f_block;
	uint64_t f_disksize;
};

struct fake {
	struct kenv *e;
	struct quern *k;
	struct vfs *vf;
	struct qfs *fs;
	uint64_t rng; /* [lock] */

	/* how it behaves */
	uint32_t bsize;
	bool sync_disk;  /* requests complete at once */
	bool unwritten;  /* new blocks are unwritten */
	bool pieces;     /* no two blocks are neighbours */
	bool diskless;   /* vo_map is NULL */
	bool commit_bug; /* commits do not wait for data */
	uint64_t room;   /* blocks that may be promised or used */

	struct qspin lock;
	uint32_t next;            /* [lock] block to try first */
	uint8_t used[BLOCKS];     /* [lock] */
	uint8_t written[BLOCKS];  /* [lock] since it was allocated */
	uint64_t nused;           /* [lock] used or promised */
	uint32_t nwrote, nmapped; /* [a] */

	struct qrwlock journal; /* read: a transaction is open */

	/* the disk */
	struct qdisk disk;
	uint8_t *mem;
	struct qwaitq dwait;
	struct qbio *pend[1024]; /* [dwait] */
	unsigned npend;
	bool stop, gate; /* [dwait] gate: nothing completes */
	struct qthread *dthread;
	uint64_t nread, nreadbytes, nwrite; /* [dwait] */
	uint64_t bad_read, bad_write;       /* [a] block + 1 that fails */
	uint32_t faults;                    /* [a] */
};

/* Make and end them; in the kernel. */
bool fake_init(struct fake *ff);
void fake_fini(struct fake *ff);

/* The vnode of a file, with a reference. */
struct qvnode *fake_file(struct fake *ff, uint64_t ino);

/* What truncate and fallocate would do. */
int fake_truncate(struct fake *ff, struct qvnode *v, uint64_t size);
int fake_punch(struct fake *ff, struct qvnode *v, uint64_t off, uint64_t end);

/* A commit, as a journal does it. */
void fake_commit(struct fake *ff);

uint64_t fake_some(struct fake *ff, uint64_t below);

/* Requests completed so far. */
uint64_t fake_reads(struct fake *ff, uint64_t *bytes);
void fake_gate(struct fake *ff, bool shut);

/* A kernel with the VFS. */
struct quern *fake_kernel(struct kenv *e, size_t ram, uint64_t fail);

#endif /* TESTS_VFS_PCACHEFS_H */
