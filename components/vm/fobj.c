/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mapped files: who maps a page of a file.
 *
 * There is one object for each file that is mapped, found by what its fo_mmap
 * answers, and it is the mapper (kernel/page.h) of all its pages that are mapped
 * anywhere.  It has the entries, not the pages: a page is looked for where each
 * entry would have it.
 */
#include "impl.h"

static const struct qtag tag_fobj = { "mapped file's object" };

/* Do to a page's mappings what invalidate and protect are for; how many. */
static uint32_t
each_mapping(struct qpage_mapper *pm, struct qpage *pg, bool remove)
{
	struct fobj *fo = QCONTAINER(pm, struct fobj, fo_mapper);
	uint64_t i = pg->pg_index;
	struct entry *e;
	struct qlist *l;
	uint32_t n = 0;

	qmutex_lock(&fo->fo_lock);
	QLIST_FOREACH(l, &fo->fo_entries) {
		e = QLIST_ELEM(l, struct entry, e_flink);
		if (i < e->e_findex || i - e->e_findex >= entry_pages(e))
			continue;
		n += pmap_page(e->e_map,
		    e->e_start + ((i - e->e_findex) << PAGE_SHIFT), pg, remove);
	}
	qmutex_unlock(&fo->fo_lock);
	return n;
}

static uint32_t
fobj_invalidate(struct qpage_mapper *pm, struct qpage *pg)
{
	return each_mapping(pm, pg, true);
}

static void
fobj_protect(struct qpage_mapper *pm, struct qpage *pg)
{
	(void)each_mapping(pm, pg, false);
}

static const struct qpage_mapper_ops mapper_ops = {
	.po_invalidate = fobj_invalidate,
	.po_protect = fobj_protect,
};

static struct qlist *
chain_of(struct vm *vm, const void *obj)
{
	return &vm->vm_fobj[((uintptr_t)obj >> 6) % QARRAYLEN(vm->vm_fobj)];
}

int
fobj_get(struct vm *vm, const struct qmmap *mm, struct fobj **fp)
{
	struct qlist *chain = chain_of(vm, mm->mm_obj), *l;
	struct fobj *fo, *new = qzalloc(&tag_fobj, sizeof(*new));

	qmutex_lock(&vm->vm_flock);
	QLIST_FOREACH(l, chain) {
		fo = QLIST_ELEM(l, struct fobj, fo_link);
		if (fo->fo_obj != mm->mm_obj)
			continue;
		fo->fo_refs++;
		qmutex_unlock(&vm->vm_flock);
		mm->mm_ops->pr_letgo(mm->mm_hold);
		qfree(new);
		*fp = fo;
		return 0;
	}
	if (new != NULL) {
		new->fo_mapper.pm_ops = &mapper_ops;
		new->fo_vm = vm;
		new->fo_refs = 1;
		new->fo_kind = mm->mm_kind;
		new->fo_ops = mm->mm_ops;
		new->fo_obj = mm->mm_obj;
		new->fo_hold = mm->mm_hold;
		qmutex_init(&new->fo_lock, "mapped file");
		qlist_init(&new->fo_entries);
		qlist_append(chain, &new->fo_link);
	}
	qmutex_unlock(&vm->vm_flock);
	if (new == NULL)
		mm->mm_ops->pr_letgo(mm->mm_hold);
	*fp = new;
	return new != NULL ? 0 : -Q_ENOMEM;
}

void
fobj_ref(struct fobj *fo)
{
	qmutex_lock(&fo->fo_vm->vm_flock);
	fo->fo_refs++;
	qmutex_unlock(&fo->fo_vm->vm_flock);
}

void
fobj_put(struct fobj *fo)
{
	struct vm *vm = fo->fo_vm;

	qmutex_lock(&vm->vm_flock);
	if (--fo->fo_refs != 0) {
		qmutex_unlock(&vm->vm_flock);
		return;
	}
	qlist_del(&fo->fo_link);
	qmutex_unlock(&vm->vm_flock);
	qassert(qlist_empty(&fo->fo_entries));
	fo->fo_ops->pr_letgo(fo->fo_hold);
	qfree(fo);
}
