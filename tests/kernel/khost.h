/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A host around a host: counts what a kernel has of it, and fails what it asks
 * for.  One at a time in a process; its kernels may be many.
 */
#ifndef TESTS_KHOST_H
#define TESTS_KHOST_H

#include <stdint.h>

#include <quern/hypercall.h>

/* What kernels have now. */
struct khost_count {
	int64_t machines, maps, bytes, runners, channels;
};

/* `inner`, counted; counts start at 0 and nothing fails. */
struct quern_host khost_wrap(struct quern_host inner);

/* Let the n-th call from now on that asks for something fail; 0: none. */
void khost_fail(uint64_t n);

/* Has it failed? */
int khost_failed(void);

/* Calls of any kind since khost_wrap. */
uint64_t khost_calls(void);

/* What is held now; all 0 when every kernel has given everything back. */
struct khost_count khost_held(void);

#endif /* TESTS_KHOST_H */
