/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What trace.c and tracejson.c share.  Never leaves the directory.
 */
#ifndef QUERN_KERNEL_TRACEIMPL_H
#define QUERN_KERNEL_TRACEIMPL_H

#include "impl.h"

#include "trace.h"

/* Records a vCPU: what quern_trace_start takes, and makes of 0. */
#define TRACE_MIN     64u
#define TRACE_DEFAULT 16384u
#define TRACE_MAX     (1u << 24)

#ifdef QUERN_NO_TRACE
#define TRACE_BUILT false
#else
#define TRACE_BUILT true
#endif

struct trace_rec {
	uint64_t r_seq; /* [a] */
	uint64_t r_time;
	const struct qtrace_event *r_event;
	uint32_t r_thread;
	uint32_t r_pad;
	uint64_t r_order;
	uint64_t r_arg[3];
};

_Static_assert(sizeof(struct trace_rec) == 64, "a cache line");

struct trace_ring {
	uint64_t tr_head;  /* [a] records made so far, written by the runner */
	uint64_t tr_mask;  /* [I] records that there is room for - 1 */
	uint64_t tr_first; /* [a] records before the last start don't count */
	uint64_t tr_pad[5];
	struct trace_rec tr_rec[];
};

/* Copy record `n`, counted from 0; false: it has been overwritten. */
bool trace_read(const struct trace_ring *tr, uint64_t n, struct trace_rec *out);

#endif /* QUERN_KERNEL_TRACEIMPL_H */
