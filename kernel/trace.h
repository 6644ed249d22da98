/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tracing: what happened on a vCPU, and when.
 *
 * Each vCPU has a ring of the last records, which only its runner writes.  What
 * can be recorded is a static event, a constant object of the file that it
 * happens in:
 *
 *	static const struct qtrace_event ev_flush = { .te_name = "flush",
 *		.te_cat = "journal", .te_phase = QTRACE_INSTANT,
 *		.te_arg = { "blocks" } };
 *	qtrace(qcpu_current(), &ev_flush, n, 0, 0);
 *
 * While the kernel is not traced that is a load and a branch that is not taken.
 * A build with TRACE=no has not even those.  quern_trace_write shows it all.
 */
#ifndef QUERN_TRACE_H
#define QUERN_TRACE_H

#include <quern/thread.h>

#ifdef __cplusplus
extern "C" {
#endif

enum qtrace_phase {
	QTRACE_INSTANT = 0,
	QTRACE_BEGIN,       /* the thread begins something, in which it may */
	QTRACE_END,         /* begin another; the end of what began last */
	QTRACE_ASYNC_BEGIN, /* something that ends anywhere; argument 0 is */
	QTRACE_ASYNC_END,   /* its number, with which the end finds it */
	QTRACE_COUNTER,     /* the arguments are values that are drawn */
	QTRACE_SWITCH /* the vCPU goes to thread arg 0; see trace_switch */
};

/* What can happen.  Constant. */
struct qtrace_event {
	const char *te_name;
	const char *te_cat; /* "sched", "block", ... */
	uint32_t te_phase;  /* enum qtrace_phase */
	uint32_t te_flags;  /* QTRACE_ENTER, QTRACE_LEAVE */
	/* A name for this one, from argument 0; NULL: te_name. */
	const char *(*te_label)(uint64_t arg);
	const char *te_arg[3]; /* names of arguments; NULL: not shown */
};

/* te_flags: a client has come in on the vCPU, or leaves it. */
#define QTRACE_ENTER 1u
#define QTRACE_LEAVE 2u

/* qtrace_put is the half of qtrace that is not inline. */
void qtrace_put(struct qcpu *v, const struct qtrace_event *ev, uint64_t a,
    uint64_t b, uint64_t c) QCOLD;

/* Is what happens on `v`, which the caller runs, being recorded? */
static inline bool
qtrace_on(const struct qcpu *v)
{
#ifdef QUERN_NO_TRACE
	(void)v;
	return false;
#else
	return qunlikely(__atomic_load_n(&v->v_ring, __ATOMIC_RELAXED) != NULL);
#endif
}

/* Record `ev` on `v`, which the caller runs. */
static inline void
qtrace(struct qcpu *v, const struct qtrace_event *ev, uint64_t a, uint64_t b,
    uint64_t c)
{
	if (qtrace_on(v))
		qtrace_put(v, ev, a, b, c);
}

#ifdef __cplusplus
}
#endif

#endif /* QUERN_TRACE_H */
