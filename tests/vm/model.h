/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random operations on address spaces against arrays of bytes.
 */
#ifndef TESTS_VM_MODEL_H
#define TESTS_VM_MODEL_H

#include "mpmap.h"

/* Planted bugs. */
#define BUG_NONE     0u
#define BUG_UNMAP    1u /* an unmap is not announced */
#define BUG_PROTECT  2u /* a write protection is forgotten, a fork's too */
#define BUG_FREE     3u /* a page goes while it is mapped */
#define BUG_COLLAPSE 4u /* a page is lost from a chain of objects */

struct model_config {
	uint64_t steps;
	uint64_t seed;
	uint64_t ram;  /* pages */
	uint64_t swap; /* pages; 0: none */
	uint32_t fail; /* one in so many updates of the host fails */
	uint32_t bug;
	bool lazy;
};

/* One run in a kernel of its own; failures are the environment's. */
void model_run(struct kenv *e, const struct model_config *c);

#endif /* TESTS_VM_MODEL_H */
