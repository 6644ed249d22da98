/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_K_BUF_H
#define TESTS_K_BUF_H

#include <tests/kernel/ktest.h>

/* A run in which a hypercall fails; e->arg: where to note whether one has. */
void kbuf_error(struct kenv *e);

extern const struct kcase kbuf_cases[];

#endif /* TESTS_K_BUF_H */
