/* SPDX-License-Identifier: BSD-2-Clause */
/* The rows of b_fs about a whole image. */
#ifndef TESTS_BENCH_IMAGE_H
#define TESTS_BENCH_IMAGE_H

#include <stdio.h>

/*
 * Measure untar, read_hot, read_cold, rm and mount_us with images in `dir`, a
 * directory on tmpfs.  The calling thread is pinned by then.
 */
void image_rows(FILE *out, const char *dir);

#endif /* TESTS_BENCH_IMAGE_H */
