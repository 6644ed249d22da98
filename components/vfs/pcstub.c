/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stands in for pcache.c and writeback.c until they are in the Makefile.
 */
#include "impl.h"

void
qpcache_init(struct qpcache *pc)
{
	qspin_init(&pc->pc_lock);
	qwaitq_init(&pc->pc_wait);
}

int64_t
qpcache_read(struct qvnode *v, struct quio *u, struct qreadahead *ra)
{
	(void)v, (void)u, (void)ra;
	return -Q_EOPNOTSUPP;
}

int64_t
qpcache_write(struct qvnode *v, struct quio *u)
{
	(void)v, (void)u;
	return -Q_EOPNOTSUPP;
}

int
qpcache_sync(struct qvnode *v, uint64_t off, uint64_t end, bool wait)
{
	(void)v, (void)off, (void)end, (void)wait;
	return 0;
}

int
qpcache_page(struct qvnode *v, uint64_t index, bool fill, struct qpage **pgp)
{
	(void)v, (void)index, (void)fill, (void)pgp;
	return -Q_EOPNOTSUPP;
}

struct qpage *
qpcache_find(struct qvnode *v, uint64_t index)
{
	(void)v, (void)index;
	return NULL;
}

void
qpcache_dirty(struct qvnode *v, struct qpage *pg)
{
	(void)v, (void)pg;
}

void
qpcache_wait(struct qvnode *v)
{
	(void)v;
}

int
qpcache_truncate(struct qvnode *v, uint64_t size)
{
	(void)v, (void)size;
	return 0;
}

int
qpcache_drop(struct qvnode *v, uint64_t off, uint64_t end, bool dirty)
{
	(void)v, (void)off, (void)end, (void)dirty;
	return 0;
}

int
qpcache_zero(struct qvnode *v, uint64_t off, size_t len)
{
	(void)v, (void)off, (void)len;
	return 0;
}

void
qpcache_evict(struct qvnode *v)
{
	(void)v;
}

int64_t
qpcache_seek(struct qvnode *v, uint64_t off, bool hole)
{
	(void)v, (void)off, (void)hole;
	return -Q_ENXIO;
}

int
writeback_init(struct vfs *vf)
{
	(void)vf;
	return 0;
}

void
writeback_fini(struct vfs *vf)
{
	(void)vf;
}

void
writeback_later(struct qfs *fs)
{
	(void)fs;
}
