/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_K_JOURNAL_H
#define TESTS_K_JOURNAL_H

#include <tests/kernel/ktest.h>

/* A run that is cut short. */
struct kjournal_crash {
	uint32_t debug;  /* JDEBUG_* */
	unsigned ops;    /* of a thread */
	uint64_t cut;    /* at this write; 0: drawn, */
	uint64_t writes; /* up to this */
	uint64_t states; /* to look at, at most */
};

void kjournal_crash(struct kenv *e);

/*
 * A run in which a hypercall fails, as simcfg says, and a look at the disk after
 * it.  e->arg: where to note whether one has failed.
 */
void kjournal_error(struct kenv *e);

extern const struct kcase kjournal_cases[];

#endif /* TESTS_K_JOURNAL_H */
