/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Assertions and panics.
 *
 * A panic marks the instance dead and leaves; every other thread inside leaves
 * at its next look at k_dead: the idle loop, a switch, a lock's slow path, a
 * spin.  Their stacks are abandoned as they are.  Other instances do not notice.
 */
#include "impl.h"

#include "trace.h"

static const struct qtrace_event ev_panic = { .te_name = "panic",
	.te_cat = "sched",
	.te_phase = QTRACE_INSTANT };

#define MESSAGE_MAX 256

/* How deep a backtrace goes, and how far into the client's stack. */
#define FRAMES_MAX  24u
#define FRAMES_HOST 4u
#define FRAME_BYTES 1024u /* a frame of ours on a host's stack is smaller */

/*
 * Log return addresses from frame pointer `fp`, which is on the stack of `t`.
 * The chain leaves a client's kernel stack through ctx_enter and goes on
 * through our own frames on the host's stack into the client, which may keep no
 * frame pointers: what does not look like the next frame ends it.
 */
void
trace_backtrace(struct quern *k, struct qthread *t, uintptr_t fp)
{
	uintptr_t top = (uintptr_t)t, bottom = top - QSTACK_SIZE + QTHREAD_ROOM;
	const uintptr_t *f;
	unsigned i, host = 0;

	for (i = 0; i < FRAMES_MAX && fp != 0 && fp % 8 == 0; i++) {
		if (fp < bottom || fp >= top) {
			if (!t->t_client || host++ == FRAMES_HOST)
				break;
		} else if (host != 0) {
			break;
		}
		f = (const uintptr_t *)fp;
		qlog(k, QUERN_LOG_ERR, "  #%u 0x%lx%s", i, (uint64_t)f[1],
		    host != 0 ? " (host stack)" : "");
		if (host != 0 && (f[0] <= fp || f[0] - fp > FRAME_BYTES))
			break;
		fp = f[0];
	}
}

/* Mark dead, once; false when it was already. */
static bool
kill_once(struct quern *k, const char *message)
{
	uint32_t alive = 0;

	if (!__atomic_compare_exchange_n(&k->k_dead, &alive, 1, false,
		__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return false;
	/* Have entering take the slow path, where it is refused. */
	host_special(k);
	qsnprintf(k->k_panicmsg, sizeof(k->k_panicmsg), "%s", message);
	qlog(k, QUERN_LOG_EMERG, "panic: %s", message);
	return true;
}

void
quern_kill(struct quern *k, const char *message)
{
	if (!kill_once(k, message))
		return;
	if (k->k_panicfn != NULL)
		k->k_panicfn(k->k_arg, k->k_panicmsg);
	host_kick_all(k);
}

void
qpanic(struct quern *k, const char *fmt, ...)
{
	struct qthread *t = qthread_current();
	char message[MESSAGE_MAX];
	va_list ap;

	va_start(ap, fmt);
	qvsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	if (kill_once(k, message)) {
		qtrace(t->t_cpu, &ev_panic, 0, 0, 0);
		qlog(k, QUERN_LOG_ERR, "in thread %s, state %u, on vCPU %u",
		    t->t_name, t->t_state, t->t_cpu->v_id);
		trace_backtrace(k, t, (uintptr_t)__builtin_frame_address(0));
		if (k->k_panicfn != NULL)
			k->k_panicfn(k->k_arg, k->k_panicmsg);
		host_kick_all(k);
	}
	sched_leave_dead();
}

void
qassert_fail(const char *expr, const char *file, int line, const char *func)
{
	qpanic(quern_current(), "%s:%d: %s: assertion failed: %s", file, line,
	    func, expr);
}

void
host_assert_fail(struct quern *k, const char *expr, const char *file, int line)
{
	/* No kernel stack to leave from: the host process is in doubt. */
	quern_kill(k, expr);
	qlog(k, QUERN_LOG_EMERG, "%s:%d: assertion failed: %s", file, line,
	    expr);
	__builtin_trap();
}
