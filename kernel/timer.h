/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timers: one-shot, on the vCPU that armed them.
 */
#ifndef QUERN_TIMER_H
#define QUERN_TIMER_H

#include <quern/thread.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qtimer {
	struct qlist tm_link;
	uint64_t tm_when;    /* monotonic ns */
	struct qcpu *tm_cpu; /* [a] whose wheel it is or was last on */
	void (*tm_fn)(struct qtimer *);
	void *tm_arg;     /* the owner's */
	uint32_t tm_slot; /* of the wheel, or QTIMER_IDLE */
};

#define QTIMER_IDLE UINT32_MAX

/*
 * Initialise to not armed.  `fn` runs on a kernel stack between threads: it
 * may take spin locks, wake, arm timers, but not sleep.
 */
void qtimer_init(struct qtimer *tm, void (*fn)(struct qtimer *), void *arg);

/* Have it run at or soon after `when`; moves it when it is armed already. */
void qtimer_arm(struct qtimer *tm, uint64_t when);

/*
 * Disarm.  On return it is not running on any vCPU, unless called from its own
 * function.  True when it was armed and will not run.
 */
bool qtimer_stop(struct qtimer *tm);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_TIMER_H */
