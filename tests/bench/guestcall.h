/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_BENCH_GUESTCALL_H
#define TESTS_BENCH_GUESTCALL_H

/*
 * Measure a guest's system-call round trip, medians of 7: with host and guest
 * on one CPU, and on two (0 where there is only one).  Leaves the caller's
 * affinity as it was.  0, -EOPNOTSUPP (no guests here) or another -errno.
 */
int bench_guest_call(double *one_cpu_ns, double *two_cpu_ns);

#endif /* TESTS_BENCH_GUESTCALL_H */
