/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Long tests of vkernel: killed at random moments, many processes, a fork bomb.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <check.h>

#include "tests/linux/runvk.h"

#define KILLS 50u

static const char *const programs[] = { "tests/linux/g_proc", NULL };
static uint64_t seed;

static uint64_t
next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static pid_t
start(const char *const *argv)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)!freopen("/dev/null", "w", stdout);
		(void)!freopen("/dev/null", "w", stderr);
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	return pid;
}

/* How many processes of guests there are on this machine. */
static int
guests(void)
{
	FILE *f = popen("pgrep -c -x quern-guest", "r");
	int n = 0;

	ck_assert_int_eq(fscanf(f, "%d", &n), 1);
	pclose(f);
	return n;
}

/*
 * Killed at any moment of an untar: its processes all go, and the image's journal
 * is replayed to a clean file system.
 */
START_TEST(test_kill)
{
	const char *image = guest_image(programs);
	const char *argv[] = { built("bin/vkernel"), "-r", image, "--", "sh",
		"-c",
		"while :; do tar xf /tmp/t.tar -C /tmp; rm -rf /tmp/bin; done",
		NULL };
	const char *prepare[] = { argv[0], "-r", image, "--", "sh", "-c",
		"cd / && tar cf /tmp/t.tar bin etc", NULL };
	char cmd[4096];
	struct ran r;
	unsigned i, us;
	int before;
	pid_t pid;

	if (image == NULL || !have_busybox())
		return;
	run(&r, prepare, "", 60);
	ck_assert_msg(r.r_status == 0, "%s", r.r_out);
	ran_free(&r);
	before = guests();
	for (i = 0; i < KILLS; i++) {
		us = (unsigned)(next_random() % 600000);
		pid = start(argv);
		usleep(us);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		/* The host takes the others apart at its leisure. */
		while (guests() > before)
			usleep(10000);
		snprintf(cmd, sizeof cmd,
		    "%s fs %s ls / >/dev/null && "
		    "PATH=$PATH:/sbin:/usr/sbin e2fsck -fn %s >%s.fsck 2>&1",
		    built("bin/quern"), image, image, image);
		ck_assert_msg(system(cmd) == 0, "kill %u, after %u us", i, us);
	}
	guest_image_remove();
}
END_TEST

START_TEST(test_many)
{
	const char *image = guest_image(programs);
	const char *argv[] = { built("bin/vkernel"), "-m", "512m", "-R", image,
		"--", "sh", "-c",
		"i=0; while [ $i -lt 1000 ]; do sleep 1000 & i=$((i + 1)); "
		"done; kill -0 $! && echo $i; kill $(jobs -p); wait; echo over",
		NULL };
	struct ran r;

	if (image == NULL || !have_busybox())
		return;
	run(&r, argv, "", 200);
	ck_assert_msg(strstr(r.r_out, "1000\nover\n") != NULL, "%d: %s",
	    r.r_status, r.r_out);
	ran_free(&r);
	guest_image_remove();
}
END_TEST

START_TEST(test_bomb)
{
	const char *image = guest_image(programs);
	const char *argv[] = { built("bin/vkernel"), "-m", "256m", "-R", image,
		"--", "sh", "-c",
		"chmod 777 /tmp; cat >/tmp/bomb <<'E'\n"
		"ulimit -u 100\n"
		"bomb() { bomb | bomb & }\n"
		"bomb\n"
		"E\n"
		"busybox su -s /bin/sh nobody -c 'sh /tmp/bomb' >/dev/null 2>&1 "
		"&\n"
		"sleep 3; echo still here; kill -9 -1; echo over",
		NULL };
	struct ran r;

	if (image == NULL || !have_busybox())
		return;
	run(&r, argv, "", 100);
	ck_assert_msg(strstr(r.r_out, "still here\nover\n") != NULL, "%d: %s",
	    r.r_status, r.r_out);
	ran_free(&r);
	guest_image_remove();
}
END_TEST

int
main(void)
{
	const char *s = getenv("SEED");
	Suite *suite = suite_create("vkernel, long");
	TCase *tc = tcase_create("long");
	SRunner *sr;
	int failed;

	seed = s != NULL ? strtoull(s, NULL, 0) :
			   (uint64_t)time(NULL) * 0x9e3779b97f4a7c15u;
	if (seed == 0)
		seed = 1;
	printf("SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	tcase_set_timeout(tc, 1200);
	tcase_add_test(tc, test_kill);
	tcase_add_test(tc, test_many);
	tcase_add_test(tc, test_bomb);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
