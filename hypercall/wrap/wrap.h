/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hosts around a host: one that makes hypercalls fail, one that shows them.
 *
 *	struct quern_fault_config fc = { .host = quern_posix(),
 *		.call = "map", .nth = 7 };
 *	quern_fault_create(&fc, &f);
 *	cfg.host = quern_fault_host(f);		the 7th map answers -ENOMEM
 *
 *	struct quern_hypertrace_config tc = { .host = ..., .line = show };
 *	quern_hypertrace_create(&tc, &t);
 *	cfg.host = quern_hypertrace_host(t);	show("map(len=65536, ...) = 0")
 *
 * They go around any host, each other included, on any number of kernels at
 * once.  Around a simulator they keep it deterministic.
 */
#ifndef QUERN_WRAP_H
#define QUERN_WRAP_H

#include <quern/hypercall.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- faults --------------------------------------------------------------- */

struct quern_fault;

/* Which hypercalls fail.  Of blk_submit each request counts as one. */
struct quern_fault_config {
	struct quern_host host; /* that does what does not fail */

	/*
	 * Only this entry ("map"); NULL: all that may fail by their contract:
	 * begin, map, ram_create, ram_discard, random, cpu_start, blk_open,
	 * blk_submit, net_open, net_send, net_recv, chan_open, chan_read,
	 * chan_write, vm_create, vm_update and vm_run.
	 */
	const char *call;

	uint64_t nth;    /* the n-th fails (0: none) */
	uint32_t one_in; /* besides, one in so many (0: none), by `seed` */
	uint64_t seed;

	int error; /* what they answer, a negative errno; 0: a usual one */
};

/* Make it; `cfg` and `call` are copied.  -ENOMEM, -EFAULT, -EINVAL (call). */
int quern_fault_create(const struct quern_fault_config *cfg,
    struct quern_fault **fp) __attribute__((warn_unused_result));

/* End it, after the last kernel that it was given to. */
void quern_fault_destroy(struct quern_fault *f);

/* The host to give to kernels. */
struct quern_host quern_fault_host(struct quern_fault *f);

/*
 * From now on, the n-th such call from here fails (0: none).  At any time.
 */
void quern_fault_arm(struct quern_fault *f, uint64_t nth);

/*
 * quern_fault_calls counts the calls so far that might have failed,
 * quern_fault_count those that did.
 */
uint64_t quern_fault_calls(const struct quern_fault *f);
uint64_t quern_fault_count(const struct quern_fault *f);

/* ---- traces --------------------------------------------------------------- */

struct quern_hypertrace;

struct quern_hypertrace_config {
	struct quern_host host; /* that does it */

	/*
	 * Told of every call but cpu_kick, which may come from anywhere; NULL:
	 * only count.  On the calling thread, which is in the kernel: no calls
	 * of it.  Several at once.
	 */
	void (*line)(void *arg, const char *line);
	void *arg;
};

/* Calls of one entry. */
struct quern_hypertrace_stat {
	const char *hs_name;
	uint64_t hs_calls, hs_errors; /* -EAGAIN and -ETIMEDOUT are none */
	uint64_t hs_total_ns, hs_max_ns;
};

/* Make it; `cfg` is copied.  -ENOMEM, -EFAULT. */
int quern_hypertrace_create(const struct quern_hypertrace_config *cfg,
    struct quern_hypertrace **tp) __attribute__((warn_unused_result));

/* End it, after the last kernel that it was given to. */
void quern_hypertrace_destroy(struct quern_hypertrace *t);

/* The host to give to kernels. */
struct quern_host quern_hypertrace_host(struct quern_hypertrace *t);

/* Counters of entry `i`, from 0, in the order of the table; -ENOENT. */
int quern_hypertrace_stat(const struct quern_hypertrace *t, unsigned i,
    struct quern_hypertrace_stat *st);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_WRAP_H */
