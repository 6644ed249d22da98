/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's heap.  Never visible to guests.
 *
 * Sizes up to QALLOC_SLAB come from slabs through a magazine of the vCPU that
 * runs the caller; larger ones from the host, page-granular.  Every object
 * carries the tag of who asked for it: what is left at the kernel's end is
 * reported by tag.
 */
#ifndef QUERN_SLAB_H
#define QUERN_SLAB_H

#include <quern/thread.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QALLOC_SLAB 4096u

/* Who asks for memory.  One constant object a subsystem, known by address. */
struct qtag {
	const char *tg_name;
};

/*
 * Allocate `size` bytes, 16-byte aligned, contents undefined; the caller owns
 * them until qfree.  NULL: no memory.  Does not sleep.
 */
void *qalloc(const struct qtag *tag, size_t size) QMUSTCHECK
    __attribute__((malloc, alloc_size(2)));

/* The same, zeroed. */
void *qzalloc(const struct qtag *tag, size_t size) QMUSTCHECK
    __attribute__((malloc, alloc_size(2)));

/* Give back what qalloc gave; NULL is nothing.  Does not sleep. */
void qfree(void *p);

/* Usable size of an object. */
size_t qalloc_size(const void *p);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_SLAB_H */
