/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_BENCH_BLK_H
#define TESTS_BENCH_BLK_H

/* Writes a row: as put_row of b_base.c. */
typedef void (*blk_row)(const char *name, double ours, const char *unit,
    const char *peer, double theirs);

/*
 * Measure disks: a file in the host's cache, beside fio with io_uring on the
 * same file, and how fast states of a simulated disk can be tried.  Pins the
 * calling thread to CPU 0, and fio as well.  0 or -errno.
 */
int bench_blk(blk_row row);

#endif /* TESTS_BENCH_BLK_H */
