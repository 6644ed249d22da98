/* SPDX-License-Identifier: BSD-2-Clause */
/* A machine of the posix host for a test, with upcalls that write down. */
#ifndef TESTS_POSIX_MACHINE_H
#define TESTS_POSIX_MACHINE_H

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <quern/hypercall.h>
#include <quern/posix.h>

/* The event and the result of what upcall event() was given, in order. */
struct test_got {
	struct quern_event *g_ev;
	int64_t g_result;
};

struct test_machine {
	const struct quern_hyper *t_ops;
	void *t_ctx;
	struct quern_upcalls t_up;
	void (*t_runner)(struct test_machine *, unsigned); /* or NULL */
	void *t_arg;                                       /* the test's */
	struct test_got t_got[64];
	_Atomic unsigned t_ngot;
};

/* Both back ends for events, for loop tests: 0 the ring, 1 the poller. */
#define TEST_NBACKEND 2
extern const struct quern_posix_config test_config[TEST_NBACKEND];

/* Begin a machine; `config` NULL for quern_posix(). */
void test_begin(struct test_machine *, const struct quern_posix_config *config,
    unsigned ncpu);
void test_end(struct test_machine *);

/* host_param() as a number. */
long test_param(struct test_machine *, const char *name);

/* Now on the machine's monotonic clock. */
uint64_t test_now(struct test_machine *);

/* Open descriptors, and tasks (threads), of this process. */
unsigned test_count_fds(void);
unsigned test_count_tasks(void);

/* Wait until there are `n` tasks: one that was joined may still be leaving. */
void test_await_tasks(unsigned n);

/*
 * Children and grandchildren of this process, zombies too, also those that
 * wait() can't see.
 */
unsigned test_count_children(void);

/* The process of a guest, or -1. */
pid_t test_guest_pid(void);

#define TEST_MS UINT64_C(1000000)
#define TEST_S  (1000 * TEST_MS)

/* What to wait at most for something that must happen. */
#define TEST_LONG (20 * TEST_S)

#endif /* TESTS_POSIX_MACHINE_H */
