/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel tells guests about the clock: one page, written by vdso.c while
 * guests read it, who can't write it.
 */
#ifndef QUERN_VVAR_H
#define QUERN_VVAR_H

#include <stdint.h>

/*
 * CLOCK_MONOTONIC is vv_mono + ((tsc - vv_cycle0) * vv_mult >> vv_shift), in 128
 * bits; CLOCK_REALTIME is more by vv_real.  A reader reads vv_seq, all others, and
 * vv_seq again: if that has changed or was odd it reads once more.  vv_shift 0:
 * nothing is known, ask the kernel.
 */
struct vvar {
	uint32_t vv_seq;
	uint32_t vv_shift;
	uint64_t vv_cycle0, vv_mult;
	uint64_t vv_mono, vv_real; /* ns */
};

#endif /* QUERN_VVAR_H */
