/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a wrapper is made of.  Never leaves the directory.
 *
 * wrap.c has a function for each entry, which asks `before` whether the call is
 * to be made, makes it, and tells `after`.  fault.c and hypertrace.c are two
 * pairs of these.
 */
#ifndef HYPERCALL_WRAP_IMPL_H
#define HYPERCALL_WRAP_IMPL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wrap.h"

/* The entries, in the order of the table. */
enum wrap_call {
	W_BEGIN,
	W_END,
	W_MAP,
	W_UNMAP,
	W_RAM_CREATE,
	W_RAM_DISCARD,
	W_CLOCK_READ,
	W_CLOCK_PARAMS,
	W_RANDOM,
	W_LOG,
	W_PARAM,
	W_CPU_START,
	W_CPU_STOP,
	W_CPU_IDLE,
	W_CPU_KICK,
	W_CPU_YIELD,
	W_CPU_FENCE,
	W_BLK_OPEN,
	W_BLK_CLOSE,
	W_BLK_SUBMIT,
	W_NET_OPEN,
	W_NET_CLOSE,
	W_NET_SEND,
	W_NET_RECV,
	W_CHAN_OPEN,
	W_CHAN_CLOSE,
	W_CHAN_READ,
	W_CHAN_WRITE,
	W_VM_CREATE,
	W_VM_DESTROY,
	W_VM_UPDATE,
	W_VM_RUN,
	W_NCALL
};

_Static_assert(sizeof(struct quern_hyper) ==
	8 + W_NCALL * sizeof(void (*)(void)),
    "an entry is missing here");

struct wrap_machine;

/* A wrapper.  First member of struct quern_fault and quern_hypertrace. */
struct wrap {
	struct quern_host w_host;
	bool w_lines; /* `after` wants the arguments */

	/* 0, or the negative errno that is answered instead of calling. */
	int (*w_before)(struct wrap *w, enum wrap_call call);
	/* NULL: not interested.  `args` is "" unless w_lines. */
	void (*w_after)(struct wrap *w, enum wrap_call call, int64_t ret,
	    uint64_t ns, const char *args);
};

/* One machine of the host inside. */
struct wrap_machine {
	struct wrap *wm_wrap;
	const struct quern_hyper *wm_ops;
	void *wm_ctx;
};

/* One call on its way. */
struct span {
	struct wrap_machine *sp_m;
	enum wrap_call sp_call;
	uint64_t sp_start;
};

extern const struct quern_hyper wrap_hyper;
extern const char *const wrap_name[W_NCALL];

#endif /* HYPERCALL_WRAP_IMPL_H */
