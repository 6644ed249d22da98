/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include <quern/file.h>

#include "tfile.h"

#define PG QUERN_PAGE_SIZE

static void *
data_of(struct tfile *tf, struct qpage *pg)
{
	return qpage_data(tf->tf_k, pg);
}

static void
tf_letgo(void *hold)
{
	struct tfile *tf = hold;

	__atomic_fetch_sub(&tf->tf_holds, 1, __ATOMIC_RELAXED);
}

static uint64_t
tf_size(void *obj)
{
	struct tfile *tf = obj;

	return __atomic_load_n(&tf->tf_size, __ATOMIC_ACQUIRE);
}

static struct qpage *
tf_find(void *obj, uint64_t i)
{
	struct tfile *tf = obj;
	struct qpage *pg;

	if (i >= TF_PAGES)
		return NULL;
	qmutex_lock(&tf->tf_lock);
	pg = tf->tf_page[i];
	if (pg != NULL)
		qpage_get(pg);
	qmutex_unlock(&tf->tf_lock);
	return pg;
}

static int
tf_page(void *obj, uint64_t i, struct qpage **pgp)
{
	struct tfile *tf = obj;
	struct qpage *pg;

	if (i >= TF_PAGES)
		return -Q_EIO;
	pg = tf_find(tf, i);
	if (pg != NULL) {
		*pgp = pg;
		return 0;
	}
	pg = qpage_alloc_wait(tf->tf_k, 0);
	if (pg == NULL)
		return -Q_ENOMEM;
	qmutex_lock(&tf->tf_lock);
	if (tf->tf_page[i] != NULL) {
		qpage_put(tf->tf_k, pg);
		pg = tf->tf_page[i];
	} else {
		memcpy(data_of(tf, pg), tf->tf_disk + i * PG, PG);
		pg->pg_obj = tf;
		pg->pg_index = i;
		(void)qpage_flags(pg, QPG_VALID, 0);
		tf->tf_page[i] = pg;
	}
	qpage_get(pg);
	qmutex_unlock(&tf->tf_lock);
	*pgp = pg;
	return 0;
}

static int
tf_dirty(void *obj, struct qpage *pg)
{
	struct tfile *tf = obj;

	if (qpage_dirty(pg))
		__atomic_fetch_add(&tf->tf_dirtied, 1, __ATOMIC_RELAXED);
	return 0;
}

static int
tf_sync(void *obj, uint64_t off, uint64_t end, bool wait)
{
	uint64_t i;

	(void)wait;
	for (i = off / PG; i < TF_PAGES && i * PG < end; i++)
		(void)tfile_clean(obj, i);
	return 0;
}

static const struct qpager_ops disk_ops = { .pr_letgo = tf_letgo,
	.pr_size = tf_size,
	.pr_page = tf_page,
	.pr_find = tf_find,
	.pr_dirty = tf_dirty,
	.pr_sync = tf_sync };

static const struct qpager_ops memory_ops = { .pr_letgo = tf_letgo,
	.pr_size = tf_size,
	.pr_page = tf_page,
	.pr_find = tf_find };

static int
tf_mmap(struct qfile *f, struct qmmap *mm)
{
	struct tfile *tf = f->f_obj;

	__atomic_fetch_add(&tf->tf_holds, 1, __ATOMIC_RELAXED);
	mm->mm_obj = mm->mm_hold = tf;
	mm->mm_kind = tf->tf_memory ? QMMAP_SHMEM : QMMAP_FILE;
	mm->mm_ops = tf->tf_memory ? &memory_ops : &disk_ops;
	return 0;
}

static const struct qfile_ops file_ops = { .fo_name = "test",
	.fo_mmap = tf_mmap };

bool
tfile_init(struct tfile *tf, struct qfile **fp)
{
	qmutex_init(&tf->tf_lock, "test file");
	return KCHECK_EQ(tf->tf_e,
	    qfile_create(tf->tf_k, &file_ops, tf, Q_O_RDWR, 0, fp), 0);
}

void
tfile_fini(struct tfile *tf)
{
	tfile_truncate(tf, 0);
	KCHECK_EQ(tf->tf_e, tf->tf_holds, 0);
}

/* The page, busy and with a reference, or NULL. */
static struct qpage *
hold_page(struct tfile *tf, uint64_t i)
{
	struct qpage *pg;

	for (;;) {
		pg = tf_find(tf, i);
		if (pg == NULL)
			return NULL;
		qpage_busy(tf->tf_k, pg);
		if (pg->pg_obj == tf)
			return pg;
		qpage_unbusy(tf->tf_k, pg);
		qpage_put(tf->tf_k, pg);
	}
}

static void
release_page(struct tfile *tf, struct qpage *pg)
{
	qpage_unbusy(tf->tf_k, pg);
	qpage_put(tf->tf_k, pg);
}

bool
tfile_clean(struct tfile *tf, uint64_t i)
{
	struct qpage *pg = hold_page(tf, i);
	bool dirty;

	if (pg == NULL)
		return false;
	dirty = qpage_clean(tf->tf_k, pg);
	if (dirty)
		memcpy(tf->tf_disk + i * PG, data_of(tf, pg), PG);
	release_page(tf, pg);
	return dirty;
}

/* A busy page goes. */
static void
take_out(struct tfile *tf, struct qpage *pg)
{
	qmutex_lock(&tf->tf_lock);
	tf->tf_page[pg->pg_index] = NULL;
	pg->pg_obj = NULL;
	(void)qpage_flags(pg, 0, QPG_VALID | QPG_DIRTY);
	qmutex_unlock(&tf->tf_lock);
	qpage_put(tf->tf_k, pg);
}

bool
tfile_reclaim(struct tfile *tf, uint64_t i)
{
	struct qpage *pg;

	if (tf->tf_memory)
		return false;
	pg = hold_page(tf, i);
	if (pg == NULL)
		return false;
	if (!tf->tf_bug)
		qpage_invalidate(tf->tf_k, pg);
	if ((qpage_flags(pg, 0, 0) & QPG_DIRTY) != 0) {
		release_page(tf, pg);
		return false;
	}
	take_out(tf, pg);
	release_page(tf, pg);
	return true;
}

void
tfile_truncate(struct tfile *tf, uint64_t size)
{
	uint64_t i, old = tf->tf_size;
	struct qpage *pg;
	size_t n;

	/* What is cut off is gone before anybody can see it again. */
	if (size < old)
		__atomic_store_n(&tf->tf_size, size, __ATOMIC_RELEASE);
	for (i = size / PG; i < TF_PAGES; i++) {
		n = i == size / PG ? size % PG : 0;
		pg = hold_page(tf, i);
		if (pg != NULL && n != 0) {
			memset((uint8_t *)data_of(tf, pg) + n, 0, PG - n);
			release_page(tf, pg);
		} else if (pg != NULL) {
			qpage_invalidate(tf->tf_k, pg);
			take_out(tf, pg);
			release_page(tf, pg);
		}
		memset(tf->tf_disk + i * PG + n, 0, PG - n);
	}
	if (size > old)
		__atomic_store_n(&tf->tf_size, size, __ATOMIC_RELEASE);
}

int
tfile_write(struct tfile *tf, uint64_t off, const void *buf, size_t len)
{
	struct qpage *pg;
	size_t n;
	int error;

	for (; len > 0; len -= n, off += n, buf = (const uint8_t *)buf + n) {
		n = PG - off % PG < len ? PG - off % PG : len;
		do {
			error = tf_page(tf, off / PG, &pg);
			if (error != 0)
				return error;
			qpage_put(tf->tf_k, pg);
			pg = hold_page(tf, off / PG);
		} while (pg == NULL);
		memcpy((uint8_t *)data_of(tf, pg) + off % PG, buf, n);
		if (!tf->tf_memory)
			(void)qpage_dirty(pg);
		release_page(tf, pg);
	}
	return 0;
}
