/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory: the same as on any host, but never an address in a decision.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "impl.h"

static void
area_free(struct area *a)
{
	munmap(a->a_base, a->a_len);
	*a->a_prevp = a->a_next;
	if (a->a_next != NULL)
		a->a_next->a_prevp = a->a_prevp;
	free(a);
}

int
sim_map(void *ctx, size_t len, size_t align, unsigned flags, void **pp)
{
	struct machine *m = ctx;
	struct area *a;
	uintptr_t base, start;
	size_t slack = align > QUERN_PAGE_SIZE ? align : 0;
	void *mem;

	if (len == 0 || len % QUERN_PAGE_SIZE != 0 || align < QUERN_PAGE_SIZE ||
	    (align & (align - 1)) != 0 || len + slack < len)
		return -EINVAL;
	if (sim_fails(m->m_w, "map"))
		return -ENOMEM;
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		return -ENOMEM;
	mem = mmap(NULL, len + slack, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED) {
		free(a);
		return -ENOMEM;
	}
	base = (uintptr_t)mem;
	start = (base + align - 1) & ~(align - 1);
	if (start > base)
		munmap(mem, start - base);
	if (base + slack > start)
		munmap((void *)(start + len), base + slack - start);
	if ((flags & QUERN_MAP_GUARD) != 0 &&
	    mprotect((void *)start, QUERN_PAGE_SIZE, PROT_NONE) != 0) {
		munmap((void *)start, len);
		free(a);
		return -ENOMEM;
	}
	a->a_base = a->a_given = (void *)start;
	a->a_len = len;
	a->a_next = m->m_areas;
	a->a_prevp = &m->m_areas;
	if (a->a_next != NULL)
		a->a_next->a_prevp = &a->a_next;
	m->m_areas = a;
	*pp = a->a_given;
	return 0;
}

void
sim_unmap(void *ctx, void *p, size_t len)
{
	struct machine *m = ctx;
	struct area *a;

	for (a = m->m_areas; a != NULL; a = a->a_next)
		if (a->a_given == p && a->a_len == len) {
			area_free(a);
			return;
		}
	sim_log(m->m_w, QUERN_LOG_EMERG, "unmap of what map did not give");
	abort();
}

int
sim_ram_create(void *ctx, size_t len, void **basep)
{
	struct machine *m = ctx;
	void *mem;

	if (len == 0 || len % QUERN_PAGE_SIZE != 0)
		return -EINVAL;
	if (m->m_ram != NULL)
		return -EEXIST;
	if (sim_fails(m->m_w, "ram_create"))
		return -ENOMEM;
	mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED)
		return -ENOMEM;
	m->m_ram = *basep = mem;
	m->m_ramlen = len;
	return 0;
}

int
sim_ram_discard(void *ctx, uint64_t off, size_t len)
{
	struct machine *m = ctx;

	if (off % QUERN_PAGE_SIZE != 0 || len % QUERN_PAGE_SIZE != 0 ||
	    off > m->m_ramlen || len > m->m_ramlen - off)
		return -EINVAL;
	if (sim_fails(m->m_w, "ram_discard"))
		return -EIO;
	if (len > 0 && madvise((char *)m->m_ram + off, len, MADV_DONTNEED) != 0)
		memset((char *)m->m_ram + off, 0, len);
	return 0;
}

void
mem_free_all(struct machine *m)
{
	while (m->m_areas != NULL)
		area_free(m->m_areas);
	if (m->m_ram != NULL)
		munmap(m->m_ram, m->m_ramlen);
	munmap(m->m_core, m->m_corelen);
}
