/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Times as calls give and take them, and as the kernel counts: nanoseconds.
 */
#ifndef QUERN_TIMESPEC_H
#define QUERN_TIMESPEC_H

#include <quern/abi/time.h>
#include <quern/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* As far as times go: some 292 years. */
#define QNS_MAX ((uint64_t)INT64_MAX)

/* What it is in ns, at most QNS_MAX; false: it is not a time. */
bool qtimespec_ns(const struct q_timespec *t, uint64_t *nsp);

/* The other way round. */
struct q_timespec qtimespec_of(uint64_t ns);

/*
 * When `ns` from now on are over, on the monotonic clock; QUERN_NEVER is never.  A
 * call that is made again after a signal counts from when it was made first.
 */
uint64_t qdeadline_in(struct quern *k, uint64_t ns);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_TIMESPEC_H */
