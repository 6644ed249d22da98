/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernel threads and their stacks.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kernel/impl.h>

#include "khost.h"
#include "kmain.h"

KCASE_TESTS(kthread_cases)

/* Not a tail call, and not to be folded.  `for_ever` is not 0. */
static int64_t __attribute__((noinline)) dig(volatile char *for_ever)
{
	volatile char room[256];

	room[0] = for_ever[0];
	return room[0] == 0 ? 0 : dig(room) + room[0];
}

static int64_t
overflow(void *arg)
{
	volatile char top = 1;

	(void)arg;
	return dig(&top);
}

static void
overflow_main(void *arg)
{
	(void)overflow(arg);
}

static int64_t
overflow_thread(void *arg)
{
	struct qthread *t;

	if (qthread_create(quern_current(), "deep", overflow_main, arg,
		QPRIO_NORMAL, QCPU_ANY, &t) == 0)
		qthread_join(t);
	return 0;
}

static int64_t
not_so_deep(void *arg)
{
	/* What a hypercall may use, and more. */
	volatile char room[20000];

	room[0] = room[sizeof(room) - 1] = 1;
	(void)arg;
	return room[0];
}

#define FAULTED 42

/* On a stack of its own. */
static void
on_fault(int sig, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr;

	(void)sig, (void)context;
	/* In the guard page of some stack, which are all aligned. */
	_exit(at % QSTACK_SIZE < QUERN_PAGE_SIZE ? FAULTED : 1);
}

static void
catch_faults(void)
{
	static char stack[1 << 16];
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction sa = { .sa_sigaction = on_fault,
		.sa_flags = SA_ONSTACK | SA_SIGINFO };

	if (sigaltstack(&ss, NULL) != 0 || sigaction(SIGSEGV, &sa, NULL) != 0)
		_exit(2);
}

/*
 * The page below a stack faults: a child that recurses for ever, on a client's
 * stack or a thread's, faults there, before it has damaged anything.
 */
START_TEST(stack_guard)
{
	struct quern_config c = { .host = quern_posix() };
	struct quern *k;
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		catch_faults();
		if (quern_create(&c, &k) != 0 ||
		    kcall(k, not_so_deep, NULL) != 1)
			_exit(3);
		(void)kcall(k, _i == 0 ? overflow : overflow_thread, NULL);
		_exit(4);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), FAULTED);
}
END_TEST

static void
nothing(void *arg)
{
	(void)arg;
}

static int64_t
starve(void *arg)
{
	struct quern *k = quern_current();
	struct qthread *t[100];
	unsigned n;
	int error = 0;

	(void)arg;
	khost_fail(3);
	for (n = 0; n < 100 && error == 0; n++)
		error = qthread_create(k, "x", nothing, NULL, QPRIO_NORMAL,
		    QCPU_ANY, &t[n]);
	if (error == 0)
		n++;
	for (n--; n-- > 0;)
		qthread_join(t[n]);
	return error;
}

/* No memory for a stack is -ENOMEM, and no harm done. */
START_TEST(no_stack)
{
	struct quern_config c = { .host = khost_wrap(quern_posix()) };
	struct quern *k;
	struct khost_count held;

	ck_assert_int_eq(quern_create(&c, &k), 0);
	ck_assert_int_eq(kcall(k, starve, NULL), -Q_ENOMEM);
	ck_assert(khost_failed());
	ck_assert_int_eq(kcall(k, starve, NULL), -Q_ENOMEM);
	ck_assert_int_eq(quern_destroy(k), 0);
	held = khost_held();
	ck_assert_int_eq(held.maps, 0);
	ck_assert_int_eq(held.machines, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("thread");
	TCase *tc = tcase_create("stacks");

	KCASE_ADD(s, kthread_cases);
	tcase_add_loop_test(tc, stack_guard, 0, 2);
	tcase_add_test(tc, no_stack);
	suite_add_tcase(s, tc);
	return kmain(s);
}
