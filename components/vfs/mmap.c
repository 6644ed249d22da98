/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mapping of files: what vnodes are to address spaces (kernel/pager.h).
 *
 * Who maps keeps the path that the file was opened by, and with it mount and
 * vnode.
 */
#include <quern/abi/mman.h>
#include <quern/abi/fs.h>
#include <quern/pager.h>
#include <quern/slab.h>

#include "impl.h"
#include "pcache.h"

static const struct qtag tag_hold = { "mapped file" };

static void
file_letgo(void *hold)
{
	qpath_put(hold);
	qfree(hold);
}

static uint64_t
file_size(void *obj)
{
	return qvnode_size(obj);
}

static int
file_page(void *obj, uint64_t index, struct qpage **pgp)
{
	return qpcache_page(obj, index, true, pgp);
}

static struct qpage *
file_find(void *obj, uint64_t index)
{
	return qpcache_find(obj, index);
}

static void
file_willneed(void *obj, uint64_t index, uint64_t n)
{
	qpcache_willneed(obj, index * QUERN_PAGE_SIZE, n * QUERN_PAGE_SIZE);
}

static int
file_dirty(void *obj, struct qpage *pg)
{
	int error = qpcache_mkwrite(obj, pg);

	if (error == 0)
		qvnode_touch(obj, QVA_MTIME | QVA_CTIME);
	return error;
}

static int
file_sync(void *obj, uint64_t off, uint64_t end, bool wait)
{
	(void)off, (void)end;
	return wait ? vnode_fsync(obj, true) : 0;
}

static int
file_punch(void *obj, uint64_t off, uint64_t len)
{
	struct qvnode *v = obj;
	int error;

	if (v->v_ops->vo_fallocate == NULL)
		return -Q_EOPNOTSUPP;
	qrw_wrlock(&v->v_lock);
	error = vnode_fallocate(v,
	    Q_FALLOC_FL_PUNCH_HOLE | Q_FALLOC_FL_KEEP_SIZE, off, len);
	qrw_wrunlock(&v->v_lock);
	return error;
}

static int
file_writers(void *obj, int n, bool first)
{
	return seal_writers(obj, n, first);
}

static const struct qpager_ops disk_ops = { .pr_letgo = file_letgo,
	.pr_size = file_size,
	.pr_page = file_page,
	.pr_find = file_find,
	.pr_willneed = file_willneed,
	.pr_dirty = file_dirty,
	.pr_sync = file_sync,
	.pr_punch = file_punch };

/* Without a disk, nobody needs to know what is dirty. */
static const struct qpager_ops memory_ops = { .pr_letgo = file_letgo,
	.pr_size = file_size,
	.pr_page = file_page,
	.pr_find = file_find,
	.pr_punch = file_punch,
	.pr_writers = file_writers };

int
file_mmap(struct qfile *f, struct qmmap *mm)
{
	struct open_file *of = open_of(f);
	struct qvnode *v = of->of_v;
	struct qpath *hold;

	if (qvnode_is(v, QV_NOCACHE))
		return -Q_ENODEV;
	if ((of->of_path.p_mnt->m_flags & QFS_NOEXEC) != 0) {
		if ((mm->mm_prot & Q_PROT_EXEC) != 0)
			return -Q_EPERM;
		mm->mm_never |= Q_PROT_EXEC;
	}
	hold = qalloc(&tag_hold, sizeof(*hold));
	if (hold == NULL)
		return -Q_ENOMEM;
	*hold = of->of_path;
	qpath_get(hold);
	mm->mm_obj = v;
	mm->mm_hold = hold;
	if (v->v_ops->vo_map == NULL) {
		mm->mm_kind = QMMAP_SHMEM;
		mm->mm_ops = &memory_ops;
	} else {
		mm->mm_kind = QMMAP_FILE;
		mm->mm_ops = &disk_ops;
	}
	if ((f->f_flags & Q_O_NOATIME) == 0)
		touch_atime(of->of_path.p_mnt, v, 0);
	return 0;
}
