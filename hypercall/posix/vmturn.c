/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whose turn it is: the hand-over between the host and a stub.
 *
 * c_turn says who goes on; the other waits for it to change, by spinning,
 * yielding or sleeping on it.  Two things make this more than a semaphore.
 *
 * The process may end at any time, killed from outside or by its own doing.
 * The warden (vmwarden.c) notices, sets v_dead and wakes the waiter.
 *
 * And guest code can write c_turn.  A guest may say that it is the host's turn
 * and run on.  Where the host only reads what the guest says and answers with
 * registers, that is no harm: it is the guest's own call that goes wrong.  But
 * before the host writes secrets into the slot, and before it believes that
 * something is no longer mapped, it must know better:
 *
 * H1  The stub is *held* when it has been seen asleep on c_turn since guest code
 *     last ran.  Asleep on that word it is in the kernel, and came there from
 *     S1 (vmfilter.c, F1), so it comes out in its own code, and from there
 *     to the guest only when told to resume.
 * H2  FUTEX_CMP_REQUEUE shows it: the host's kernel itself moves the sleeper
 *     from c_turn to c_gate, where only we wake, and says that there was one.
 *     No one else can sleep there: only the stub and we map the slot.
 * H3  Secrets are written, and what operations answered is believed, only while
 *     it is held.
 *
 * A stub that sleeps is held for the price of that one call; one that yields has to
 * be put to sleep first.  So after stops that usually end in a change of the
 * address space - faults and some system calls, which ones is learned - a stub
 * sleeps at once (c_sleepy, a hint).
 */
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "vm.h"

/* Looks, of some 40 ns, before going to sleep where each has its own CPU. */
#define SPINS 2000u

/* Yields before going to sleep where both share one. */
#define YIELDS 20u

/* The longest sleep, should a guest have spoilt what wakes us. */
#define HEARTBEAT NS_PER_SEC

static long
futex(_Atomic uint32_t *word, int op, uint32_t val, uintptr_t timeout_or_val2,
    _Atomic uint32_t *word2, uint32_t val3)
{
	return syscall(SYS_futex, word, op, val, timeout_or_val2, word2, val3);
}

/* How many were woken. */
static long
futex_wake(_Atomic uint32_t *word)
{
	return futex(word, FUTEX_WAKE, INT_MAX, 0, NULL, 0);
}

static void
futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t until)
{
	struct timespec ts = {
		.tv_sec = (time_t)(until / NS_PER_SEC),
		.tv_nsec = (long)(until % NS_PER_SEC),
	};

	futex(word, FUTEX_WAIT_BITSET, value, (uintptr_t)&ts, NULL,
	    FUTEX_BITSET_MATCH_ANY);
}

void
host_turn_kick(struct vmspace *v)
{
	int saved = errno;

	(void)pidfd_send_signal(v->v_pidfd, SIGUSR1, NULL, 0);
	atomic_store(&v->v_kicked, 1);
	futex_wake(&vm_comm(v)->c_turn);
	errno = saved;
}

void
host_turn_kill(struct vmspace *v)
{
	atomic_store(&v->v_dead, 1);
	(void)pidfd_send_signal(v->v_pidfd, SIGKILL, NULL, 0);
}

void
host_turn_await_death(struct vmspace *v)
{
	struct pollfd pfd = { .fd = v->v_pidfd, .events = POLLIN };

	while (poll(&pfd, 1, -1) <= 0)
		;
}

/* How long a stub may take to do what is a matter of microseconds. */
static uint64_t
answer_ns(const struct vmhost *vh)
{
	unsigned ms = vh->vh_m->m_config->pc_vm_answer_ms;

	return (ms != 0 ? ms : 2000) * NS_PER_MS;
}

/* Was the guest asked to stop? */
static bool
interrupted(const struct vmspace *v, const uint64_t *word)
{
	return word == NULL || atomic_load(&v->v_overdue) != 0 ||
	    atomic_load(&v->v_stop) != 0 ||
	    __atomic_load_n(word, __ATOMIC_SEQ_CST) == SEAT_KICKED;
}

/* Sleep until it is our turn.  0 or -EIO. */
static int
sleep_for_turn(struct vmhost *vh, struct vmspace *v, const uint64_t *word)
{
	struct comm *c = vm_comm(v);
	uint64_t limit = QUERN_NEVER, now;

	for (;;) {
		atomic_store(&c->c_hsleep, 1);
		if (atomic_load(&c->c_turn) == 0)
			break;
		if (atomic_load(&v->v_dead) != 0)
			return -EIO;
		now = host_now();
		if (limit == QUERN_NEVER && interrupted(v, word))
			limit = now + answer_ns(vh);
		if (now >= limit) {
			host_turn_kill(v);
			return -EIO;
		}
		futex_wait(&c->c_turn, 1,
		    limit < now + HEARTBEAT ? limit : now + HEARTBEAT);
	}
	atomic_store(&c->c_hsleep, 0);
	return 0;
}

static bool
ours_soon(struct vmspace *v)
{
	struct comm *c = vm_comm(v);
	unsigned i;

	switch ((enum quern_posix_handover)v->v_handover) {
	case QUERN_POSIX_SPIN:
		for (i = 0; i < SPINS; i++) {
			if (atomic_load(&c->c_turn) == 0)
				return true;
			cpu_relax();
		}
		break;
	case QUERN_POSIX_YIELD:
		for (i = 0; i < YIELDS; i++) {
			sched_yield();
			if (atomic_load(&c->c_turn) == 0)
				return true;
		}
		break;
	case QUERN_POSIX_AUTO:
	case QUERN_POSIX_FUTEX:
		break;
	}
	return false;
}

int
host_turn_pass(struct vmhost *vh, struct vmspace *v, const uint64_t *word)
{
	struct comm *c = vm_comm(v);
	bool woken = false;

	/* What the stub relies on, and guest code may have changed. */
	c->c_spins = v->v_handover == QUERN_POSIX_SPIN ? SPINS : 0;
	c->c_yields = v->v_handover == QUERN_POSIX_YIELD ? YIELDS : 0;
	atomic_store(&c->c_hold, 0);
	atomic_store(&c->c_hsleep, 0);
	atomic_exchange(&c->c_turn, 1);
	if (v->v_gated)
		woken = futex_wake(&c->c_gate) == 1;
	v->v_gated = false;
	/* A signal may have taken it from the gate back to the word. */
	if (!woken && atomic_load(&c->c_ssleep) != 0)
		woken = futex_wake(&c->c_turn) == 1;
	/* One that was asleep is best let in by going to sleep. */
	if ((!woken || v->v_handover == QUERN_POSIX_SPIN) && ours_soon(v))
		return 0;
	return sleep_for_turn(vh, v, word);
}

void
host_turn_stopped(struct vmspace *v, unsigned kind)
{
	v->v_stopped = kind;
}

/* So many stops of a kind in a row without a change, and it yields again. */
#define SLEEPY 4u

void
host_turn_learn(struct vmhost *vh, struct vmspace *v)
{
	uint64_t bit = UINT64_C(1) << v->v_stopped % 64;
	_Atomic uint8_t *level = &vh->vh_level[v->v_stopped];
	_Atomic uint64_t *kinds = &vh->vh_sleepy[v->v_stopped / 64];
	struct comm *c = vm_comm(v);
	unsigned n = atomic_load_explicit(level, memory_order_relaxed), i;

	/* Others may count at the same time: it is a guess anyway. */
	if (v->v_held && n == 0)
		atomic_fetch_or(kinds, bit);
	else if (!v->v_held && n == 1)
		atomic_fetch_and(kinds, ~bit);
	if (v->v_held)
		n = SLEEPY;
	else if (n > 0)
		n--;
	atomic_store_explicit(level, (uint8_t)n, memory_order_relaxed);
	for (i = 0; i < STOP_WORDS; i++)
		c->c_sleepy[i] = v->v_handover == QUERN_POSIX_SPIN ?
		    0 :
		    atomic_load_explicit(&vh->vh_sleepy[i],
			memory_order_relaxed);
}

int
host_turn_hold(struct vmhost *vh, struct vmspace *v)
{
	static const struct timespec moment = { .tv_nsec = 50000 };
	struct comm *c = vm_comm(v);
	uint64_t limit;
	unsigned tries;
	long n;

	if (atomic_load(&v->v_dead) != 0)
		return -EIO;
	if (v->v_held || (v->v_weak & QUERN_POSIX_NOHOLD) != 0)
		return 0;
	limit = host_now() + answer_ns(vh);
	atomic_store(&c->c_hold, 1);
	for (tries = 0;; tries++) {
		n = futex(&c->c_turn, FUTEX_CMP_REQUEUE, 0, 1, &c->c_gate, 0);
		if (n == 1)
			break;
		/* Only the guest can have written something else there. */
		if (n < 0 && errno == EAGAIN)
			atomic_store(&c->c_turn, 0);
		if (tries == 16)
			host_turn_kick(v);
		if (atomic_load(&v->v_dead) != 0)
			return -EIO;
		if (host_now() >= limit) {
			host_turn_kill(v);
			return -EIO;
		}
		if (tries < 64)
			sched_yield();
		else
			nanosleep(&moment, NULL);
	}
	v->v_held = true;
	v->v_gated = true;
	return 0;
}
