/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The vDSO: a shared object that guest programs find mapped, whose functions read
 * the clock without a system call.
 */
#ifndef QUERN_VDSO_H
#define QUERN_VDSO_H

#include <quern/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qvdso;
struct qvmmap;

/*
 * Make that of a kernel.  NULL: there is none, for want of memory or because the
 * host's clock can't be read so; programs do without.
 */
struct qvdso *qvdso_create(struct quern *k);

/* Give it back; no address space has it any more.  NULL: nothing. */
void qvdso_destroy(struct qvdso *v);

/*
 * Map it into a space; *ehdr is where its ELF header is (AT_SYSINFO_EHDR).
 * -ENOMEM.  Sleeps.
 */
int qvdso_map(struct qvdso *v, struct qvmmap *m, uint64_t *ehdr) QMUSTCHECK;

/*
 * It is `now` on the monotonic clock: see to it that what guests read is no older
 * than a second.  To be called before a guest runs that has not for a while.
 * Does not sleep.
 */
void qvdso_tick(struct qvdso *v, uint64_t now);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_VDSO_H */
