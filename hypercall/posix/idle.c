/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waiting and kicking.
 *
 * All that a kick and a wait say to each other is in the first word of the
 * seat:
 *
 *	EMPTY -> KICKED		a kick while nobody waits: latched
 *	EMPTY -> FUTEX, POLL	the owner is about to sleep
 *	FUTEX, POLL -> KICKED	a kick; the kicker then wakes the owner
 *	FUTEX -> EMPTY		a nudge (below); the nudger wakes the owner
 *	any -> EMPTY		the owner is awake and has seen what it was
 *	EMPTY <-> GUEST		the owner runs a guest (vmrun.c)
 *
 * A kick that finds nobody waiting is one locked instruction.
 *
 * Where the owner sleeps.  With no CPUs to watch, or with none to which a ring
 * owes a completion, on the word itself by futex.  Otherwise in m_epfd, which
 * holds every ring and m_kickfd.  All are edge-triggered there: a ring that
 * belongs to none of the CPUs watched stays readable without waking the waiter
 * again and again, and m_kickfd need not be read.  It follows that
 *
 * I1  a waiter has seen the rings of its CPUs empty after it last came out of
 *     epoll, or it doesn't go in.
 *
 * A nudge tells the waiter that something changed about one of its CPUs:
 * an event was posted (by the poller, by the closing of a channel), or a ring
 * got its first operation and the futex is no longer the right bed.  It finds
 * the waiter through m_waiter.  Nothing is lost because either side first says
 * what it did and then looks at what the other did, all sequentially consistent:
 *
 * I2  the waiter stores m_waiter and the word, then reads the queues;
 *     the poster writes the queue, then reads m_waiter and the word.
 */
#include <assert.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "impl.h"

/*
 * Waking a sleeper on another CPU takes some 60 us; one on the waker's own CPU,
 * 1 us.  So a waiter whose last kick came from another CPU first looks at the
 * word for a while, about 35 us, in case the next comes as well; one that would
 * keep its kicker from running does not.  Success and failure are counted, and
 * who has failed too often tries some more only now and then.
 */
#define SPIN       800 /* looks at the word */
#define SPIN_DEBT  8u  /* failures beyond successes that are too many */
#define SPIN_RETRY 64u /* waits until half of them are forgiven */

/* The words of a seat, s_word[]. */
enum {
	WORD_STATE = 0,
	WORD_KICKER = 1, /* the last kicker's CPU plus one; a hint */
	WORD_DEBT = 2,   /* the owner's: spins that failed */
	WORD_SKIPPED = 3 /* the owner's: waits since the last spin */
};

static uint32_t *
futex_of(uint64_t *word)
{
	/* The states fit in the low half; x86 has it first. */
	return (uint32_t *)(void *)word;
}

static void
futex_wake(uint64_t *word)
{
	int saved = errno;

	syscall(SYS_futex, futex_of(word), FUTEX_WAKE_PRIVATE, 1, NULL, NULL,
	    0);
	errno = saved;
}

/* 0 or -ETIMEDOUT; 0 also for no reason. */
static int
futex_wait(uint64_t *word, uint32_t value, uint64_t deadline)
{
	struct timespec ts, *tsp = NULL;

	if (deadline != QUERN_NEVER) {
		ts.tv_sec = (time_t)(deadline / NS_PER_SEC);
		ts.tv_nsec = (long)(deadline % NS_PER_SEC);
		tsp = &ts;
	}
	/* With BITSET the time is absolute, on CLOCK_MONOTONIC. */
	if (syscall(SYS_futex, futex_of(word), FUTEX_WAIT_BITSET_PRIVATE, value,
		tsp, NULL, FUTEX_BITSET_MATCH_ANY) != 0 &&
	    errno == ETIMEDOUT)
		return -ETIMEDOUT;
	return 0;
}

/* Sleep in m_epfd.  0 or -ETIMEDOUT; 0 also for no reason. */
static int
epoll_sleep(struct machine *m, uint64_t deadline)
{
	struct epoll_event evs[8];
	struct timespec ts, *tsp = NULL;
	uint64_t now, left;
	int n;

	if (deadline != QUERN_NEVER) {
		now = host_now();
		if (now >= deadline)
			return -ETIMEDOUT;
		left = deadline - now;
		ts.tv_sec = (time_t)(left / NS_PER_SEC);
		ts.tv_nsec = (long)(left % NS_PER_SEC);
		tsp = &ts;
	}
	n = epoll_pwait2(m->m_epfd, evs, 8, tsp, NULL);
	if (n < 0 && errno == ENOSYS) {
		/* Before Linux 5.11: in milliseconds. */
		left = tsp == NULL ? 0 : left / NS_PER_MS + 1;
		n = epoll_wait(m->m_epfd, evs, 8,
		    tsp == NULL         ? -1 :
			left > 1000000u ? 1000000 :
					  (int)left);
	}
	if (n != 0 || deadline == QUERN_NEVER)
		return 0;
	return host_now() >= deadline ? -ETIMEDOUT : 0;
}

static uint64_t
word_load(uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static uint64_t
word_swap(uint64_t *word, uint64_t value)
{
	return __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
}

static bool
word_cas(uint64_t *word, uint64_t *oldp, uint64_t value)
{
	return __atomic_compare_exchange_n(word, oldp, value, false,
	    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

void
host_cpu_kick(void *ctx, struct quern_seat *seat)
{
	struct machine *m = ctx;
	uint64_t *word = seat_word(seat), old, one = 1;
	int saved;

	__atomic_store_n(&seat->s_word[WORD_KICKER],
	    (uint64_t)sched_getcpu() + 1, __ATOMIC_RELAXED);
	old = word_load(word);
	do {
		if ((old & SEAT_MASK) == SEAT_GUEST) {
			if (host_vm_kick(m, word))
				return;
			old = word_load(word);
		}
		/* Also when it says so already: the exchange orders what the
		   kicker did before what the kicked one will see. */
	} while (!word_cas(word, &old, SEAT_KICKED));
	if (old == SEAT_FUTEX) {
		futex_wake(word);
	} else if (old == SEAT_POLL) {
		saved = errno;
		(void)!write(m->m_kickfd, &one, sizeof one);
		errno = saved;
	}
}

void
host_event_nudge(struct machine *m, unsigned cpu, bool futex_only)
{
	struct quern_seat *seat = atomic_load(&m->m_waiter);
	uint64_t *word, old = SEAT_FUTEX, one = 1;

	if (seat == NULL || (atomic_load(&m->m_waitcpus) >> cpu & 1) == 0)
		return;
	word = seat_word(seat);
	if (word_cas(word, &old, SEAT_EMPTY))
		futex_wake(word);
	else if (old == SEAT_POLL && !futex_only)
		(void)!write(m->m_kickfd, &one, sizeof one);
}

/* Is it worth the while to spin before going to sleep on `seat`? */
static bool
spin_pays(struct machine *m, struct quern_seat *seat)
{
	uint64_t kicker, *debt = &seat->s_word[WORD_DEBT];

	if (m->m_hostcpus < 2)
		return false;
	kicker = __atomic_load_n(&seat->s_word[WORD_KICKER], __ATOMIC_RELAXED);
	if (kicker == 0 || kicker == (uint64_t)sched_getcpu() + 1)
		return false;
	if (*debt < SPIN_DEBT)
		return true;
	if (++seat->s_word[WORD_SKIPPED] < SPIN_RETRY)
		return false;
	seat->s_word[WORD_SKIPPED] = 0;
	*debt = SPIN_DEBT / 2;
	return true;
}

/* Wait a moment on the chance that what is waited for comes at once. */
static void
spin(struct machine *m, struct quern_seat *seat, uint64_t cpus)
{
	uint64_t *debt = &seat->s_word[WORD_DEBT];
	int i;

	if (!spin_pays(m, seat))
		return;
	for (i = 0; i < SPIN; i++) {
		if (word_load(seat_word(seat)) == SEAT_KICKED ||
		    (cpus != 0 && host_event_ready(m, cpus))) {
			*debt -= *debt > 0;
			return;
		}
		cpu_relax();
	}
	*debt += *debt < SPIN_DEBT;
}

/* Wait for a kick only. */
static int
wait_kick(struct machine *m, struct quern_seat *seat, uint64_t deadline)
{
	uint64_t *word = seat_word(seat), old;
	int error;

	spin(m, seat, 0);
	for (;;) {
		old = SEAT_EMPTY;
		error = 0;
		if (word_cas(word, &old, SEAT_FUTEX))
			error = futex_wait(word, SEAT_FUTEX, deadline);
		if (word_swap(word, SEAT_EMPTY) == SEAT_KICKED)
			return -EINTR;
		if (error != 0)
			return error;
	}
}

/* Sleep once, in the right bed, unless there is something to do. */
static int
sleep_watching(struct machine *m, uint64_t *word, uint64_t cpus,
    uint64_t deadline)
{
	bool poll = host_event_inflight(m, cpus);
	uint64_t old = SEAT_EMPTY;

	if (!word_cas(word, &old, poll ? SEAT_POLL : SEAT_FUTEX))
		return 0;
	if (host_event_ready(m, cpus))
		return 0;
	if (poll)
		return epoll_sleep(m, deadline);
	/* An operation begun meanwhile makes this the wrong bed. */
	if (host_event_inflight(m, cpus))
		return 0;
	return futex_wait(word, SEAT_FUTEX, deadline);
}

/* Wait for events of `cpus` and for a kick. */
static int
wait_events(struct machine *m, struct quern_seat *seat, uint64_t cpus,
    uint64_t deadline)
{
	struct quern_seat *nobody = NULL;
	uint64_t *word = seat_word(seat), old;
	int error, n;

	spin(m, seat, cpus);
	atomic_store(&m->m_waitcpus, cpus);
	if (!atomic_compare_exchange_strong(&m->m_waiter, &nobody, seat))
		assert(!"two threads wait for events of one machine");
	for (;;) {
		error = sleep_watching(m, word, cpus, deadline);
		old = word_swap(word, SEAT_EMPTY);
		n = host_event_reap(m, cpus);
		if (n > 0) {
			/* Keep the kick for the next call. */
			if (old == SEAT_KICKED)
				word_swap(word, SEAT_KICKED);
			error = n;
			break;
		}
		if (old == SEAT_KICKED)
			error = -EINTR;
		/* Ready but not ours: another thread is just reaping. */
		if (error != 0 || host_event_ready(m, cpus))
			break;
	}
	atomic_store(&m->m_waiter, NULL);
	return error;
}

int
host_cpu_idle(void *ctx, struct quern_seat *seat, uint64_t cpus,
    uint64_t deadline)
{
	struct machine *m = ctx;
	uint64_t *word;
	int n;

	if (m->m_ncpu < 64)
		cpus &= (UINT64_C(1) << m->m_ncpu) - 1;
	n = cpus != 0 ? host_event_reap(m, cpus) : 0;
	if (seat == NULL) {
		if (atomic_load(&m->m_pollfd) >= 0)
			host_event_announce(m, deadline);
		return n;
	}
	if (n > 0)
		return n;
	word = seat_word(seat);
	if (word_load(word) == SEAT_KICKED) {
		word_swap(word, SEAT_EMPTY);
		return -EINTR;
	}
	if (deadline != QUERN_NEVER && host_now() >= deadline)
		return -ETIMEDOUT;
	return cpus == 0 ? wait_kick(m, seat, deadline) :
			   wait_events(m, seat, cpus, deadline);
}
