/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls that fail because somebody wants to see what happens then.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "impl.h"

struct quern_fault {
	struct wrap f_wrap;
	int f_only; /* enum wrap_call, or -1: all that may */
	int f_error;
	uint32_t f_one_in;
	uint64_t f_seed;
	_Atomic uint64_t f_calls; /* that might have failed */
	_Atomic uint64_t f_nth;   /* the count at which one fails, or 0 */
	_Atomic uint64_t f_count; /* that did */
};

/* What each entry that may fail answers then; 0: it may not. */
static const int usual_error[W_NCALL] = {
	[W_BEGIN] = -ENOMEM,
	[W_MAP] = -ENOMEM,
	[W_RAM_CREATE] = -ENOMEM,
	[W_RAM_DISCARD] = -EIO,
	[W_RANDOM] = -EIO,
	[W_CPU_START] = -EAGAIN,
	[W_BLK_OPEN] = -EACCES,
	[W_BLK_SUBMIT] = -EIO,
	[W_NET_OPEN] = -EACCES,
	[W_NET_SEND] = -EIO,
	[W_NET_RECV] = -EIO,
	[W_CHAN_OPEN] = -EACCES,
	[W_CHAN_READ] = -EIO,
	[W_CHAN_WRITE] = -EIO,
	[W_VM_CREATE] = -ENOMEM,
	[W_VM_UPDATE] = -ENOMEM,
	[W_VM_RUN] = -ENOMEM,
};

/* A number that looks random, from the seed and how many came before. */
static uint64_t
draw(uint64_t seed, uint64_t n)
{
	uint64_t z = seed + n * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static int
fault_before(struct wrap *w, enum wrap_call call)
{
	struct quern_fault *f = (struct quern_fault *)w;
	uint64_t n;

	if (usual_error[call] == 0 ||
	    (f->f_only >= 0 && (enum wrap_call)f->f_only != call))
		return 0;
	n = atomic_fetch_add(&f->f_calls, 1) + 1;
	if (n != atomic_load(&f->f_nth) &&
	    (f->f_one_in == 0 || draw(f->f_seed, n) % f->f_one_in != 0))
		return 0;
	atomic_fetch_add(&f->f_count, 1);
	return f->f_error != 0 ? f->f_error : usual_error[call];
}

int
quern_fault_create(const struct quern_fault_config *cfg,
    struct quern_fault **fp)
{
	struct quern_fault *f;
	int i, only = -1;

	if (cfg == NULL || fp == NULL || cfg->host.h_ops == NULL)
		return -EFAULT;
	if (cfg->error > 0)
		return -EINVAL;
	if (cfg->call != NULL) {
		for (i = 0; i < W_NCALL; i++)
			if (usual_error[i] != 0 &&
			    strcmp(wrap_name[i], cfg->call) == 0)
				only = i;
		if (only < 0)
			return -EINVAL;
	}
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return -ENOMEM;
	f->f_wrap.w_host = cfg->host;
	f->f_wrap.w_before = fault_before;
	f->f_only = only;
	f->f_error = cfg->error;
	f->f_one_in = cfg->one_in;
	f->f_seed = cfg->seed;
	f->f_nth = cfg->nth;
	*fp = f;
	return 0;
}

void
quern_fault_destroy(struct quern_fault *f)
{
	free(f);
}

struct quern_host
quern_fault_host(struct quern_fault *f)
{
	return (struct quern_host){ .h_ops = &wrap_hyper, .h_arg = f };
}

void
quern_fault_arm(struct quern_fault *f, uint64_t nth)
{
	atomic_store(&f->f_nth, nth != 0 ? atomic_load(&f->f_calls) + nth : 0);
}

uint64_t
quern_fault_calls(const struct quern_fault *f)
{
	return atomic_load(&f->f_calls);
}

uint64_t
quern_fault_count(const struct quern_fault *f)
{
	return atomic_load(&f->f_count);
}
