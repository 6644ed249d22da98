/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk and a file system to test the page cache with; pcachefs.h.
 */
#include <stdlib.h>
#include <string.h>

#include "pcachefs.h"

static struct fake *
fake_of(const struct qvnode *v)
{
	return v->v_fs->fs_priv;
}

static struct file *
file_of(struct qvnode *v)
{
	return (struct file *)v;
}

uint64_t
fake_some(struct fake *ff, uint64_t below)
{
	uint64_t r;

	qspin_lock(&ff->lock);
	ff->rng = ff->rng * UINT64_C(6364136223846793005) +
	    1442695040888963407u;
	r = ff->rng >> 33;
	qspin_unlock(&ff->lock);
	return r % below;
}

/* ---- the disk ----------------------------------------------------------- */

static void
disk_do(struct fake *ff, struct qbio *b)
{
	uint64_t first = b->b_off / ff->bsize, end, bad;
	uint8_t *p = ff->mem + b->b_off;
	uint32_t i;
	int error = 0;

	end = (b->b_off + b->b_len + ff->bsize - 1) / ff->bsize;
	bad = __atomic_load_n(b->b_cmd == QUERN_BLK_READ ? &ff->bad_read :
							   &ff->bad_write,
	    __ATOMIC_RELAXED);
	if (bad != 0 && bad - 1 >= first && bad - 1 < end) {
		__atomic_fetch_add(&ff->faults, 1, __ATOMIC_RELAXED);
		error = -Q_EIO;
	}
	for (i = 0; i < b->b_niov && error == 0; i++) {
		if (b->b_cmd == QUERN_BLK_READ)
			memcpy(b->b_iov[i].iov_base, p, b->b_iov[i].iov_len);
		else
			memcpy(p, b->b_iov[i].iov_base, b->b_iov[i].iov_len);
		p += b->b_iov[i].iov_len;
	}
	if (b->b_cmd == QUERN_BLK_WRITE) {
		qspin_lock(&ff->lock);
		for (; first < end; first++)
			ff->written[first] = 1; /* or has failed */
		qspin_unlock(&ff->lock);
	}
	qspin_lock(&ff->dwait.w_lock);
	if (b->b_cmd == QUERN_BLK_READ) {
		ff->nread++;
		ff->nreadbytes += b->b_len;
	} else {
		ff->nwrite++;
	}
	qspin_unlock(&ff->dwait.w_lock);
	qbio_end(b, error);
}

static void
disk_submit(struct qdisk *d, struct qbio **bios, unsigned n)
{
	struct fake *ff = d->qd_priv;
	unsigned i;

	for (i = 0; i < n; i++) {
		if (ff->sync_disk) {
			disk_do(ff, bios[i]);
			continue;
		}
		qspin_lock(&ff->dwait.w_lock);
		qassert(ff->npend < QARRAYLEN(ff->pend));
		ff->pend[ff->npend++] = bios[i];
		(void)qwaitq_wake_locked(&ff->dwait);
		qspin_unlock(&ff->dwait.w_lock);
	}
}

static void
disk_main(void *arg)
{
	struct fake *ff = arg;
	struct qbio *b;
	unsigned i;

	for (;;) {
		qspin_lock(&ff->dwait.w_lock);
		if (ff->stop && ff->npend == 0)
			break;
		if (ff->npend == 0 || (ff->gate && !ff->stop)) {
			(void)qwaitq_sleep(&ff->dwait, &ff->dwait.w_lock, 0,
			    QUERN_NEVER);
			continue;
		}
		i = ff->npend;
		qspin_unlock(&ff->dwait.w_lock);
		i = (unsigned)fake_some(ff, i);
		qspin_lock(&ff->dwait.w_lock);
		b = ff->pend[i];
		ff->pend[i] = ff->pend[--ff->npend];
		qspin_unlock(&ff->dwait.w_lock);
		disk_do(ff, b);
		qthread_yield();
	}
	qspin_unlock(&ff->dwait.w_lock);
}

static void
disk_release(struct qdisk *d)
{
	(void)d;
}

static const struct qdisk_ops disk_ops = { .do_submit = disk_submit,
	.do_release = disk_release };

uint64_t
fake_reads(struct fake *ff, uint64_t *bytes)
{
	uint64_t n;

	qspin_lock(&ff->dwait.w_lock);
	n = ff->nread;
	if (bytes != NULL)
		*bytes = ff->nreadbytes;
	qspin_unlock(&ff->dwait.w_lock);
	return n;
}

void
fake_gate(struct fake *ff, bool shut)
{
	qspin_lock(&ff->dwait.w_lock);
	ff->gate = shut;
	(void)qwaitq_wake_locked(&ff->dwait);
	qspin_unlock(&ff->dwait.w_lock);
}

/* ---- blocks ------------------------------------------------------------- */

/* A free block, near `near` unless all is to be in pieces.  [lock] */
static uint32_t
block_alloc_one(struct fake *ff, uint32_t near)
{
	uint32_t i, b = near;

	if (ff->pieces || near == 0)
		b = ff->next += 2;
	for (i = 0; i < BLOCKS; i++, b++) {
		b %= BLOCKS;
		if (b != 0 && !ff->used[b])
			break;
	}
	qassert(i < BLOCKS);
	/* Somebody else's data. */
	memset(ff->mem + (uint64_t)b * ff->bsize, 0xdd, ff->bsize);
	ff->used[b] = 1;
	ff->written[b] = 0;
	return b;
}

/* Could the block behind this one be had? */
static bool
is_next_free(const struct fake *ff, uint32_t b)
{
	return !ff->pieces && b + 1 < BLOCKS && !ff->used[b + 1];
}

static int
fake_map(struct qvnode *v, uint64_t off, uint64_t len, enum qmap_how how,
    struct qmapping *m)
{
	struct fake *ff = fake_of(v);
	struct block *bl = file_of(v)->f_block, *b;
	uint64_t i = off / ff->bsize,
		 end = (off + len + ff->bsize - 1) / ff->bsize, j;

	KCHECK(ff->e, len != 0 && end <= FBLOCKS);
	if (how == QMAP_WRITE) {
		qrw_rdlock(&ff->journal);
		__atomic_fetch_add(&ff->nmapped, 1, __ATOMIC_RELAXED);
	}
	kchoice();
	qspin_lock(&ff->lock);
	for (j = i; how == QMAP_WRITE && j < end; j++) {
		b = &bl[j];
		/* No more than is told of: a commit may come in between. */
		if (b->b_disk != 0 ||
		    (j > i && !is_next_free(ff, bl[j - 1].b_disk)))
			break;
		/* The room has been promised. */
		KCHECK_EQ(ff->e, b->b_reserved, 1);
		b->b_disk = block_alloc_one(ff,
		    j > 0 && bl[j - 1].b_disk != 0 ? bl[j - 1].b_disk + 1 : 0);
		b->b_reserved = 0;
		b->b_unwritten = ff->unwritten;
	}
	*m = (struct qmapping){ .m_off = i * ff->bsize,
		.m_disk = (uint64_t)bl[i].b_disk * ff->bsize,
		.m_flags = bl[i].b_disk == 0 ? QMAP_HOLE :
		    bl[i].b_unwritten        ? QMAP_UNWRITTEN :
					       0 };
	for (j = i + 1; j < end; j++) {
		if ((bl[j].b_disk == 0) != (bl[i].b_disk == 0) ||
		    bl[j].b_unwritten != bl[i].b_unwritten ||
		    (bl[i].b_disk != 0 && bl[j].b_disk != bl[i].b_disk + j - i))
			break;
	}
	m->m_len = (j - i) * ff->bsize;
	qspin_unlock(&ff->lock);
	return 0;
}

static void
fake_mapped(struct qvnode *v, struct qmapping *m)
{
	(void)m;
	qrw_rdunlock(&fake_of(v)->journal);
}

static int
fake_wrote(struct qvnode *v, uint64_t off, uint64_t len)
{
	struct fake *ff = fake_of(v);
	struct file *f = file_of(v);
	uint64_t i;

	/* A transaction of its own. */
	qrw_rdlock(&ff->journal);
	kchoice();
	qspin_lock(&ff->lock);
	for (i = off / ff->bsize; i * ff->bsize < off + len; i++) {
		KCHECK(ff->e, f->f_block[i].b_disk != 0);
		KCHECK_EQ(ff->e, ff->written[f->f_block[i].b_disk], 1);
		f->f_block[i].b_unwritten = 0;
	}
	if (f->f_disksize < off + len)
		f->f_disksize = off + len;
	qspin_unlock(&ff->lock);
	__atomic_fetch_add(&ff->nwrote, 1, __ATOMIC_RELAXED);
	qrw_rdunlock(&ff->journal);
	return 0;
}

static int
fake_reserve(struct qvnode *v, uint64_t off, uint64_t len)
{
	struct fake *ff = fake_of(v);
	struct block *bl = file_of(v)->f_block;
	uint64_t i, n = 0, end = (off + len + ff->bsize - 1) / ff->bsize;
	int error = 0;

	KCHECK(ff->e, end <= FBLOCKS);
	qspin_lock(&ff->lock);
	for (i = off / ff->bsize; i < end; i++)
		n += bl[i].b_disk == 0 && !bl[i].b_reserved;
	if (ff->nused + n > ff->room) {
		error = -Q_ENOSPC;
	} else {
		ff->nused += n;
		for (i = off / ff->bsize; i < end; i++)
			bl[i].b_reserved = bl[i].b_disk == 0;
	}
	qspin_unlock(&ff->lock);
	return error;
}

static void
fake_unreserve(struct qvnode *v, uint64_t off, uint64_t len)
{
	struct fake *ff = fake_of(v);
	struct block *bl = file_of(v)->f_block;
	uint64_t i, end = (off + len + ff->bsize - 1) / ff->bsize;

	qspin_lock(&ff->lock);
	for (i = off / ff->bsize; i < end; i++) {
		ff->nused -= bl[i].b_reserved;
		bl[i].b_reserved = 0;
	}
	qspin_unlock(&ff->lock);
}

/* Blocks [i, end) go. */
static void
free_blocks(struct fake *ff, struct file *f, uint64_t i, uint64_t end)
{
	struct block *b;

	qspin_lock(&ff->lock);
	for (; i < end; i++) {
		b = &f->f_block[i];
		if (b->b_disk != 0) {
			/* Whoever reads it from here on is found out. */
			memset(ff->mem + (uint64_t)b->b_disk * ff->bsize, 0xee,
			    ff->bsize);
			ff->used[b->b_disk] = 0;
		}
		ff->nused -= b->b_disk != 0 || b->b_reserved;
		*b = (struct block){ 0 };
	}
	qspin_unlock(&ff->lock);
}

static void
fake_evict(struct qvnode *v)
{
	struct fake *ff = fake_of(v);
	struct file *f = file_of(v);
	unsigned i;

	for (i = 0; i < FBLOCKS; i++)
		KCHECK_EQ(ff->e, f->f_block[i].b_reserved, 0);
	free_blocks(ff, f, 0, FBLOCKS);
	free(f->f_block);
}

static const struct qvnode_ops disk_node_ops = {
	.vo_map = fake_map,
	.vo_mapped = fake_mapped,
	.vo_wrote = fake_wrote,
	.vo_reserve = fake_reserve,
	.vo_unreserve = fake_unreserve,
	.vo_evict = fake_evict,
};

static const struct qvnode_ops diskless_node_ops = {
	.vo_reserve = fake_reserve,
	.vo_unreserve = fake_unreserve,
	.vo_evict = fake_evict,
};

/* ---- what the VFS and a driver do --------------------------------------- */

int
fake_truncate(struct fake *ff, struct qvnode *v, uint64_t size)
{
	int error = 0;

	if (size < v->v_size)
		error = qpcache_truncate(v, size);
	else
		error = qpcache_extend(v, size);
	if (error != 0)
		return error;
	qrw_rdlock(&ff->journal);
	free_blocks(ff, file_of(v), (size + ff->bsize - 1) / ff->bsize,
	    FBLOCKS);
	kchoice();
	__atomic_store_n(&v->v_size, size, __ATOMIC_RELEASE);
	qrw_rdunlock(&ff->journal);
	return 0;
}

int
fake_punch(struct fake *ff, struct qvnode *v, uint64_t off, uint64_t end)
{
	int error = qpcache_drop(v, off, end, true);

	if (error != 0)
		return error;
	qrw_rdlock(&ff->journal);
	kchoice();
	free_blocks(ff, file_of(v), off / ff->bsize, end / ff->bsize);
	qrw_rdunlock(&ff->journal);
	return 0;
}

void
fake_commit(struct fake *ff)
{
	struct file *f;
	struct qvnode *v;
	uint64_t ino;
	unsigned i;

	qrw_wrlock(&ff->journal);
	for (ino = 2; ino < 2 + FILES; ino++) {
		v = fake_file(ff, ino);
		f = file_of(v);
		if (!ff->commit_bug)
			qpcache_wait(v);
		qspin_lock(&ff->lock);
		for (i = 0; i < FBLOCKS; i++)
			KCHECK(ff->e,
			    f->f_block[i].b_disk == 0 ||
				f->f_block[i].b_unwritten ||
				ff->written[f->f_block[i].b_disk]);
		qspin_unlock(&ff->lock);
		qvnode_put(v);
	}
	qrw_wrunlock(&ff->journal);
}

static int
fake_mount(struct qfs *fs, const char *options, bool probe)
{
	(void)fs, (void)options, (void)probe;
	return 0;
}

static const struct qfs_type fake_type = { .ft_name = "fake",
	.ft_vnode_size = sizeof(struct file),
	.ft_mount = fake_mount };

static const struct qfs_ops fake_ops = { 0 };

struct qvnode *
fake_file(struct fake *ff, uint64_t ino)
{
	struct qvnode *v;
	int new = qvnode_get(ff->fs, ino, &v);

	if (new < 0)
		return NULL;
	if (new == 1) {
		v->v_ops = ff->diskless ? &diskless_node_ops : &disk_node_ops;
		v->v_mode = Q_S_IFREG | 0644;
		file_of(v)->f_block = calloc(FBLOCKS, sizeof(struct block));
		qvnode_ready(v);
	}
	return v;
}

bool
fake_init(struct fake *ff)
{
	struct qvnode *v;
	uint64_t ino;

	qspin_init(&ff->lock);
	qwaitq_init(&ff->dwait);
	qrw_init(&ff->journal, "journal");
	ff->mem = calloc(BLOCKS, ff->bsize);
	if (ff->room == 0)
		ff->room = BLOCKS - 2;
	ff->disk = (struct qdisk){ .qd_ops = &disk_ops,
		.qd_priv = ff,
		.qd_size = (uint64_t)BLOCKS * ff->bsize,
		.qd_sector = 512,
		.qd_flags = QDISK_NOMERGE };
	ff->vf = vfs_of(ff->k);
	if (!KCHECK_EQ(ff->e, qdisk_attach(ff->k, &ff->disk, "fake"), 0) ||
	    !KCHECK_EQ(ff->e,
		qthread_create(ff->k, "disk", disk_main, ff, QPRIO_NORMAL,
		    QCPU_ANY, &ff->dthread),
		0) ||
	    !KCHECK_EQ(ff->e, fs_create(ff->vf, &fake_type, &ff->fs), 0))
		return false;
	ff->fs->fs_ops = &fake_ops;
	ff->fs->fs_priv = ff;
	ff->fs->fs_bsize = ff->bsize;
	qdisk_get(&ff->disk);
	ff->fs->fs_disk = &ff->disk;
	/* The root keeps them all. */
	for (ino = 2; ino < 2 + FILES; ino++) {
		v = fake_file(ff, ino);
		if (ino == 2)
			ff->fs->fs_root = v;
	}
	return true;
}

void
fake_fini(struct fake *ff)
{
	struct qvnode *v;
	uint64_t ino;

	for (ino = 3; ino < 2 + FILES; ino++) {
		v = fake_file(ff, ino);
		qvnode_put(v);
		qvnode_put(v);
	}
	fs_destroy(ff->vf, ff->fs);
	qspin_lock(&ff->dwait.w_lock);
	ff->stop = true;
	(void)qwaitq_wake_locked(&ff->dwait);
	qspin_unlock(&ff->dwait.w_lock);
	qthread_join(ff->dthread);
	qdisk_put(&ff->disk);
	KCHECK_EQ(ff->e, ff->nused, 0);
	free(ff->mem);
}

struct quern *
fake_kernel(struct kenv *e, size_t ram, uint64_t fail)
{
	static const struct quern_component *const comps[] = { &qvfs, NULL };
	struct quern_config c = kenv_config(e);
	struct quern *k = NULL;

	c.ram = ram;
	c.components = comps;
	c.fail_alloc = fail;
	KCHECK_EQ(e, quern_create(&c, &k), 0);
	return k;
}
