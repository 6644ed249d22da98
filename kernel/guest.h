/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guests on a vCPU.  The address space is the host's (vm_create and vm_update
 * of the hypercalls); this is how the scheduler runs what is in it.
 */
#ifndef QUERN_GUEST_H
#define QUERN_GUEST_H

#include <quern/thread.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Address spaces: vm_create, vm_destroy and vm_update of the hypercalls, whose
 * contracts these have, but that the kernel chooses the number.
 */
int qguest_create(struct quern *k, uint32_t *idp) QMUSTCHECK;
/* The end of one. */
int qguest_destroy(struct quern *k, uint32_t id);
/* Change one. */
int qguest_update(struct quern *k, uint32_t id, const struct quern_vm_op *ops,
    unsigned n) QMUSTCHECK;

/* How many bytes of extended state a thread has; 0: no guests here. */
size_t qguest_xsave(struct quern *k);

/* Where guest code may jump for a system call ("vm.call" of the host), or 0. */
uint64_t qguest_call(struct quern *k);

/*
 * Run guest code from `f` in address space `id` on this vCPU, until f_why has a
 * reason; for at most `slice_ns` while other threads wait for the vCPU or
 * *others (NULL: 0) is not 0, who may as well change that and then
 * qcpu_preempt.  QUERN_NEVER: without a limit.  The thread keeps the vCPU; after
 * QUERN_VM_KICK it should qthread_yield if others wait.  Not under a spin lock.
 * -ENOENT, -EINVAL, as of vm_run.
 */
int qguest_run(uint32_t id, struct quern_vmframe *f, uint64_t slice_ns,
    const uint32_t *others) QMUSTCHECK;

/*
 * Bring f_xsave up to date, if `f` is the frame that ran last in `id`.  Errors as
 * of vm_run.
 */
int qguest_save(uint32_t id, const struct quern_vmframe *f) QMUSTCHECK;

/* Have the guest on `v`, if there is one, come out with QUERN_VM_KICK. */
void qcpu_preempt(struct qcpu *v);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_GUEST_H */
