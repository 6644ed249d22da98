/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A file whose pages a test takes away, writes back and cuts off as it likes.
 */
#ifndef TESTS_VM_TFILE_H
#define TESTS_VM_TFILE_H

#include <components/vm/vm.h>
#include <kernel/pager.h>

#include "../kernel/ktest.h"

#define TF_PAGES 40u

struct tfile {
	struct kenv *tf_e;
	struct quern *tf_k;
	struct qmutex tf_lock;
	struct qpage *tf_page[TF_PAGES]; /* [tf_lock] */
	uint64_t tf_size;                /* [a] bytes */
	uint8_t *tf_disk; /* the maker's: TF_PAGES, written back */
	bool tf_memory;   /* stores need not be known */
	bool tf_bug;      /* pages go while they are mapped */
	uint32_t tf_dirtied, tf_holds;
};

/* Make one of that size, zeroes, open for reading and writing; in the kernel. */
bool tfile_init(struct tfile *tf, struct qfile **fp);
/* End it; nobody has it open. */
void tfile_fini(struct tfile *tf);

/* Write a page back.  Was it dirty? */
bool tfile_clean(struct tfile *tf, uint64_t i);
/* Take a page away if it is not dirty. */
bool tfile_reclaim(struct tfile *tf, uint64_t i);
/* It ends there now. */
void tfile_truncate(struct tfile *tf, uint64_t size);
/* Store to it as write(2) does, within its size. */
int tfile_write(struct tfile *tf, uint64_t off, const void *buf, size_t len);

#endif /* TESTS_VM_TFILE_H */
