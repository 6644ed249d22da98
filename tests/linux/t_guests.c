/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest programs: each is run on the host's kernel and by vkernel, and must print
 * the same both times.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "tests/linux/runvk.h"

static const char *const programs[] = { "tests/linux/g_proc",
	"tests/linux/g_procfs", "tests/linux/g_signal", "tests/linux/g_system",
	"tests/linux/g_thread", "tests/linux/g_calls", "tests/linux/g_vdso",
	NULL };

static const char *const shapes[][4] = {
	{ "-n", "1", "--vmspace=seccomp", NULL },
	{ "-n", "2", "--vmspace=seccomp", NULL },
	{ "-n", "2", "--calls=trap", NULL },
	{ "-n", "2", "--vmspace=ptrace", NULL },
};

#define NPROGRAM (sizeof programs / sizeof programs[0] - 1)
#define NSHAPE   (sizeof shapes / sizeof shapes[0])

/* Print the first lines in which two texts differ. */
static void
show_difference(const char *want, const char *got)
{
	const char *a = want, *b = got;
	size_t line = 1;

	while (*a != '\0' && *a == *b) {
		if (*a == '\n') {
			line++;
			want = a + 1;
			got = b + 1;
		}
		a++;
		b++;
	}
	printf("line %zu\n host:  %.*s\n guest: %.*s\n", line,
	    (int)strcspn(want, "\n"), want, (int)strcspn(got, "\n"), got);
}

START_TEST(test_same)
{
	const char *path = programs[(size_t)_i % NPROGRAM];
	const char *const *shape = shapes[(size_t)_i / NPROGRAM];
	const char *image = guest_image(programs);
	const char *name = strrchr(path, '/') + 1;
	char inside[64], top[600];
	const char *host[] = { top, NULL };
	/* Guests are root: what only root can show is left out for others. */
	const char *user = geteuid() != 0 ? "NO_ROOT=1" : "ROOT=1";
	const char *guest[] = { built("bin/vkernel"), shape[0], shape[1],
		shape[2], "-e", user, "-e", "GUEST=1", "-R", image, "--",
		inside, NULL };
	struct ran want, got;

	if (image == NULL)
		return;
	/* How calls come matters to few. */
	if (strcmp(shape[2], "--calls=trap") == 0 &&
	    strcmp(name, "g_calls") != 0 && strcmp(name, "g_signal") != 0) {
		guest_image_remove();
		return;
	}
	/* Both are started by the same path, in a root that looks the same. */
	snprintf(inside, sizeof inside, "/bin/%s", name);
	snprintf(top, sizeof top, "%.500s/t/bin/%s", getenv("GUEST_WORK"),
	    name);
	if (geteuid() != 0)
		setenv("NO_ROOT", "1", 1);
	run(&want, host, "", 60);
	run(&got, guest, "", 100);
	if (want.r_status != got.r_status ||
	    strcmp(want.r_out, got.r_out) != 0) {
		show_difference(want.r_out, got.r_out);
		printf("status: host %d, guest %d\n", want.r_status,
		    got.r_status);
	}
	ck_assert_int_eq(got.r_status, want.r_status);
	ck_assert_str_eq(got.r_out, want.r_out);
	ran_free(&want);
	ran_free(&got);
	guest_image_remove();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("guests");
	TCase *tc = tcase_create("same");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 200);
	tcase_add_loop_test(tc, test_same, 0, (int)(NPROGRAM * NSHAPE));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
