/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The vmspace manager: address spaces of components/vm that guests run in.
 *
 * An address space made with qvmspace_ops (qvm_create) is backed by a vmspace of
 * the host's; what qvm_pmap answers for it is its struct qvmspace, which runs
 * threads.
 */
#ifndef QUERN_VMSPACE_H
#define QUERN_VMSPACE_H

#include <quern/guest.h>
#include <quern/vm.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qvmspace;

/* For qvm_create: mappings go to a vmspace of the host's. */
extern const struct qpmap_ops qvmspace_ops;

/*
 * Run the guest thread with the registers `f` until f_why has a reason.  If
 * another thread of the space is running, waits for it, and may come back with
 * QUERN_VM_KICK without having run.  `slice_ns` as of qguest_run.  Sleeps.
 * Errors of qguest_run.
 */
int qvmspace_run(struct qvmspace *vs, struct quern_vmframe *f,
    uint64_t slice_ns) QMUSTCHECK;

/*
 * Have f_xsave of `f`, which runs in `vs`, be up to date: before it is read or
 * copied.  Sleeps.  Errors of qguest_run.
 */
int qvmspace_save(struct qvmspace *vs,
    const struct quern_vmframe *f) QMUSTCHECK;

/* Have no thread run in `vs` until qvmspace_release, by the same thread.  Sleeps. */
void qvmspace_hold(struct qvmspace *vs);
/* They may again. */
void qvmspace_release(struct qvmspace *vs);

/*
 * Nobody needs the extended state that `f` has in `vs`: before f_xsave or f_host
 * are changed or `f` goes.  Sleeps.
 */
void qvmspace_forget(struct qvmspace *vs, const struct quern_vmframe *f);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_VMSPACE_H */
