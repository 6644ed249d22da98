/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A toy file system on a journal, whose disk says whether a crash tore it.
 *
 * Every operation, a transaction's part of its own, counts in the block of its
 * thread and in one of all, moves an amount between two accounts, and turns one
 * of the thread's slots: a block that is nothing, metadata, or data, as the
 * slot's block says.
 */
#ifndef TESTS_JTOY_H
#define TESTS_JTOY_H

#include <kernel/impl.h>
#include <quern/buf.h>

#include <components/vfs/ext4/jimpl.h>
#include <tests/kernel/ktest.h>

#define TOY_BSIZE  1024u
#define TOY_BLOCKS 256u
#define TOY_ALL    1u /* where the blocks are */
#define TOY_THREAD 2u
#define TOY_ACCT   10u
#define TOY_NACCT  10u
#define TOY_SLOT   20u
#define TOY_POOL   30u
#define TOY_NSLOT  6u
#define TOY_NTHR   3u

struct toy;

struct toy_slot {
	struct jorder ts_order; /* first: of journal_order */
	struct jcommit ts_commit;
	uint32_t ts_free; /* [a] its block may be used again */
	uint32_t ts_kind;
	uint64_t ts_gen;
	struct qwaitq ts_wq;
	bool ts_flight; /* [ts_wq] data being written */
	struct toy *ts_toy;
	struct qtimer ts_timer; /* the disk's delay */
	struct qbio ts_bio;
	struct quern_iov ts_iov;
	uint8_t ts_data[TOY_BSIZE];
};

struct toy {
	/* the caller's */
	struct kenv *e;
	uint32_t jlen;  /* blocks of the journal; 0: none */
	uint32_t debug; /* JDEBUG_* */
	unsigned nthr, ops;
	uint32_t seq;           /* the log's first number */
	bool csum, wide, fails; /* fails: errors are no failure of the test */
	uint64_t seed;
	/* the toy's */
	struct quern *k;
	struct qdisk *d;
	struct qbufcache *c;
	struct journal *j;
	struct toy_slot slot[TOY_NSLOT];
	uint64_t issued[TOY_NTHR], durable[TOY_NTHR];
	uint32_t aborts;
	struct journal_stats st;
};

/* In the kernel: make it on disk t->d. */
int toy_make(struct toy *t);

/* In the kernel: the configuration of its journal on a cache. */
struct journal_config toy_config(struct toy *t, struct qbufcache *c);

/* In the kernel: open t->d, replay, start. */
int toy_open(struct toy *t);

/* In the kernel: the operations of thread `me`.  0, or why they ended early. */
int toy_work(struct toy *t, unsigned me);

/* In the kernel: close. */
int toy_close(struct toy *t);

/*
 * In the kernel: replay disk `d` and look.  Whether `live`, with a second crash
 * in between.  NULL or what is wrong.
 */
const char *toy_check(struct toy *t, struct qdisk *d);

#endif /* TESTS_JTOY_H */
