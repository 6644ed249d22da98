/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The line discipline beside the host's.
 */
#ifndef TESTS_LDISC_H
#define TESTS_LDISC_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Compare the cases of `n` seeds from `first` on, as long as more() says so; fails
 * the test.  False: the host has no ptys.
 */
bool ldisc_compare(uint64_t first, uint64_t n, bool (*more)(void));

#endif /* TESTS_LDISC_H */
