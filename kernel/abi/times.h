/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * times(2).
 */
#ifndef QUERN_ABI_TIMES_H
#define QUERN_ABI_TIMES_H

#include <stdint.h>

/* In ticks of 10 ms. */
struct q_tms {
	int64_t tms_utime;
	int64_t tms_stime;
	int64_t tms_cutime;
	int64_t tms_cstime;
};

#endif /* QUERN_ABI_TIMES_H */
