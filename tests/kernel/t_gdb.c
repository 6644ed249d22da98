/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernel/quern-gdb.py: gdb runs this program as `t_gdb inferior`, stops where
 * all are in place, and lists the threads; then again from a core file.
 */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <kernel/impl.h>

#include <quern/posix.h>

/* ---- what is looked at -------------------------------------------------------- */

void all_in_place(void);
int64_t sleep_for_ever(void *arg);
void patient_client(void);
void sleepy_thread(void *arg);
int64_t busy_call(void *arg);

struct quern *gdb_kernel, *gdb_other;
struct qwaitq lonely_queue;
static uint32_t in;

/* Where gdb stops: inside the kernel, on a client's stack. */
void __attribute__((noinline)) all_in_place(void)
{
	__asm__ volatile("" ::: "memory");
}

int64_t __attribute__((noinline)) sleep_for_ever(void *arg)
{
	(void)arg;
	qspin_lock(&lonely_queue.w_lock);
	__atomic_fetch_add(&in, 1, __ATOMIC_RELEASE);
	return qwaitq_sleep(&lonely_queue, &lonely_queue.w_lock, 0,
	    QUERN_NEVER);
}

void __attribute__((noinline)) patient_client(void)
{
	uint32_t hint = 0;
	int64_t r;

	r = host_call(gdb_kernel, NULL, &hint, sleep_for_ever, NULL);
	__asm__ volatile("" ::"r"(r) : "memory");
}

static void *
client_main(void *arg)
{
	patient_client();
	return arg;
}

void __attribute__((noinline)) sleepy_thread(void *arg)
{
	(void)arg;
	__atomic_fetch_add(&in, 1, __ATOMIC_RELEASE);
	(void)qthread_sleep_until(QUERN_NEVER - 1, false);
	__asm__ volatile("" ::: "memory");
}

static int64_t
start_thread(void *arg)
{
	return qthread_create(quern_current(), "dormouse", sleepy_thread, NULL,
	    QPRIO_NORMAL, QCPU_ANY, arg);
}

int64_t __attribute__((noinline)) busy_call(void *arg)
{
	(void)arg;
	/* Until the others sleep; one may be running on the other vCPU. */
	while (__atomic_load_n(&in, __ATOMIC_ACQUIRE) < 2)
		(void)qthread_sleep_until(qclock_mono(quern_current()) +
			1000000,
		    false);
	(void)qthread_sleep_until(qclock_mono(quern_current()) + 50000000,
	    false);
	all_in_place();
	return 0;
}

static int
inferior(void)
{
	struct quern_config c = { .host = quern_posix(),
		.ncpu = 2,
		.name = "watched" };
	struct qthread *t;
	uint32_t hint = 0;
	pthread_t tid;

	qwaitq_init(&lonely_queue);
	if (quern_create(&c, &gdb_kernel) != 0)
		return 1;
	c.name = "other";
	if (quern_create(&c, &gdb_other) != 0 ||
	    pthread_create(&tid, NULL, client_main, NULL) != 0)
		return 1;
	(void)host_call(gdb_kernel, NULL, &hint, start_thread, &t);
	(void)host_call(gdb_kernel, NULL, &hint, busy_call, NULL);
	return 0;
}

/* ---- looking ------------------------------------------------------------------- */

static char output[100000];
static char self[500], core[500];

static void
run_gdb(const char *options)
{
	char command[2000];
	size_t n;
	FILE *f;

	snprintf(command, sizeof(command),
	    "gdb -nx -batch -iex 'set auto-load off'"
	    " -iex 'set debuginfod enabled off' -ex 'set width 0'"
	    " -ex 'source kernel/quern-gdb.py' %s 2>&1 </dev/null",
	    options);
	f = popen(command, "r");
	n = f == NULL ? 0 : fread(output, 1, sizeof(output) - 1, f);
	output[n] = '\0';
	if (f != NULL)
		pclose(f);
}

/* `then` comes after `first` in the output. */
static void
in_order(const char *first, const char *then)
{
	const char *at = strstr(output, first);

	ck_assert_msg(at != NULL, "no '%s' in\n%s", first, output);
	ck_assert_msg(strstr(at, then) != NULL, "no '%s' after '%s' in\n%s",
	    then, first, output);
}

static void
check_listing(void)
{
	in_order("kernel watched at 0x", "2 vCPUs, 0 runners");
	/* The blocked client: from the wait queue into the program. */
	in_order("client     sleeping", "waits on");
	in_order("waits on", "<lonely_queue>");
	in_order("<lonely_queue>", "in qwaitq_sleep ()");
	in_order("in qwaitq_sleep ()", "in sleep_for_ever ()");
	in_order("in sleep_for_ever ()", "in host_call ()");
	in_order("in host_call ()", "in patient_client ()");
	in_order("in patient_client ()", "in client_main ()");
	/* The kernel thread, from its start on. */
	in_order("dormouse   sleeping", "in qthread_sleep_until ()");
	in_order("in qthread_sleep_until ()", "in sleepy_thread ()");
	in_order("in sleepy_thread ()", "in sched_thread_start ()");
	/* The one that runs. */
	in_order("client     running", "run by host thread");
	in_order("run by host thread", "in all_in_place ()");
	in_order("in all_in_place ()", "in busy_call ()");
	in_order("in busy_call ()", "in inferior ()");
	/* And the other kernel. */
	in_order("kernel other at 0x", "2 vCPUs, 0 runners\nafter:");
	/* The selected thread is what it was: the breakpoint's. */
	in_order("after:", "in_place");
}

START_TEST(live)
{
	char options[1500];

	snprintf(options, sizeof(options),
	    "-ex 'break all_in_place' -ex run"
	    " -ex 'quern-threads gdb_kernel gdb_other' -ex 'echo after:\\n'"
	    " -ex 'frame' -ex 'generate-core-file %s' -ex kill"
	    " --args %s inferior",
	    core, self);
	run_gdb(options);
	check_listing();
	ck_assert_msg(strstr(output, "Saved corefile") != NULL, "%s", output);
	snprintf(options, sizeof(options),
	    "-ex 'quern-threads gdb_kernel gdb_other' -ex 'echo after:\\n'"
	    " -ex frame %s %s",
	    self, core);
	run_gdb(options);
	check_listing();
	unlink(core);
}
END_TEST

START_TEST(no_kernel)
{
	run_gdb("-ex quern-threads");
	ck_assert_ptr_nonnull(strstr(output, "which kernel?"));
}
END_TEST

/* Can gdb run programs here, and has it Python? */
static const char *
why_not(void)
{
	char options[1500];

	if (system("command -v gdb >/dev/null 2>&1") != 0)
		return "gdb is absent";
	snprintf(options, sizeof(options),
	    "-ex 'python print(6*7)' -ex 'break main' -ex run -ex kill --args"
	    " %s inferior",
	    self);
	run_gdb(options);
	if (strstr(output, "\n42\n") == NULL && strncmp(output, "42\n", 3) != 0)
		return "gdb has no Python";
	if (strstr(output, "Breakpoint 1, main") == NULL)
		return "gdb can't run programs here";
	return NULL;
}

int
main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR"), *why;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	Suite *s;
	TCase *tc;
	SRunner *sr;
	int failed;

	if (argc == 2 && strcmp(argv[1], "inferior") == 0)
		return inferior();
	if (n <= 0)
		return EXIT_FAILURE;
	snprintf(core, sizeof(core), "%s/quern-core.%d",
	    tmp != NULL ? tmp : "/tmp", (int)getpid());
	why = why_not();
	if (why != NULL) {
		printf("SKIP: %s\n", why);
		return EXIT_SUCCESS;
	}
	s = suite_create("gdb");
	tc = tcase_create("gdb");
	tcase_add_test(tc, live);
	tcase_add_test(tc, no_kernel);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
