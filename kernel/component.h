/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What makes a piece of kernel a component: one constant descriptor.
 */
#ifndef QUERN_COMPONENT_H
#define QUERN_COMPONENT_H

#include <quern/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qsys_handler;
struct quern_proc;

/*
 * A component.  `init` runs once a kernel, in an order in which everything it
 * needs has run; it may sleep, and leaves nothing behind when it fails.  It
 * stores the component's state through `statep`.  `fini` runs in reverse order
 * and undoes it.  A kernel that panicked runs no fini.
 */
struct quern_component {
	const char *c_name;
	const struct quern_component *const *c_needs; /* NULL-ended, or NULL */
	int (*c_init)(struct quern *k, void **statep);
	void (*c_fini)(struct quern *k, void *state);
	const struct qsys_handler *c_calls; /* ended by a zero, or NULL */
};

/*
 * Run fn(arg) in the kernel as a call of process `p`: the way from outside into
 * a component that has no system calls of its own.  Like any call it waits for
 * a vCPU, may sleep, and ends with what fn returns.  -EFAULT (p),
 * -ENOTRECOVERABLE, -ENOMEM.
 */
int64_t quern_run(struct quern_proc *p, int64_t (*fn)(void *), void *arg);

/* The state that `c` stored in this kernel, or NULL: not (yet) started. */
void *qcomponent_state(struct quern *k, const struct quern_component *c);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_COMPONENT_H */
