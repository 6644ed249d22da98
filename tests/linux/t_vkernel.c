/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vkernel as a program: what it is told, what it answers, what it leaves behind.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <check.h>

#include "tests/linux/ptyrun.h"
#include "tests/linux/runvk.h"

static const char *const programs[] = { "tests/linux/g_proc",
	"tests/linux/g_calls", "tests/linux/g_race", NULL };
static const char *image;

static void
setup(void)
{
	image = guest_image(programs);
}

static void
teardown(void)
{
	guest_image_remove();
}

/* Run vkernel with these arguments, ended by NULL. */
static void
vkernel(struct ran *r, const char *input, const char *const *args)
{
	const char *argv[32] = { built("bin/vkernel") };
	unsigned i;

	for (i = 0; args[i] != NULL; i++)
		argv[i + 1] = args[i];
	run(r, argv, input, 60);
}

#define VK(r, input, ...) \
	vkernel(r, input, (const char *const[]){ __VA_ARGS__, NULL })

/* One line, which has `text` in it. */
static void
check_line(const struct ran *r, int status, const char *text)
{
	const char *nl = strchr(r->r_out, '\n');

	ck_assert_msg(r->r_status == status, "status %d: %s", r->r_status,
	    r->r_out);
	ck_assert_msg(strstr(r->r_out, text) != NULL, "no '%s' in: %s", text,
	    r->r_out);
	ck_assert_msg(nl != NULL && nl[1] == '\0', "one line: %s", r->r_out);
}

START_TEST(test_usage)
{
	static const struct {
		const char *args[6];
		const char *says;
	} bad[] = {
		{ { "-r" }, NULL },
		{ { "-m", "12q", "-r", "x" }, "not a size" },
		{ { "-m", "-5", "-r", "x" }, "not a size" },
		{ { "-m", "1k", "-r", "x" }, "at least" },
		{ { "-m", "99999999999999999999g", "-r", "x" }, "not a size" },
		{ { "-n", "0", "-r", "x" }, "1 to 64" },
		{ { "-n", "65", "-r", "x" }, "1 to 64" },
		{ { "-e", "=x", "-r", "x" }, "NAME=VALUE" },
		{ { "--vmspace=x", "-r", "x" }, "seccomp or ptrace" },
		{ { "--trace=open,nonesuch", "-r", "x" }, "'nonesuch'" },
		{ { "--trace=,", "-r", "x" }, "no system call" },
		{ { "-r", "x:" }, "no name" },
		{ { "--", "ls" }, "no disk" },
		{ { "-r", "x", "ls" }, "behind --" },
		{ { "-r", "/nonexistent", "--", "ls" }, "No such file" },
		{ { "-r", "/dev/null", "--", "ls" }, "/dev/null: " },
	};
	struct ran r;
	size_t i;

	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		vkernel(&r, "", bad[i].args);
		if (bad[i].says != NULL)
			check_line(&r, 125, bad[i].says);
		ck_assert_int_eq(r.r_status, 125);
		ran_free(&r);
	}
	VK(&r, "", "-h");
	ck_assert_int_eq(r.r_status, 0);
	ck_assert_ptr_nonnull(strstr(r.r_out, "usage: vkernel"));
	ran_free(&r);
}
END_TEST

START_TEST(test_images)
{
	char other[600], cmd[8192];
	struct ran r;
	int fd;

	if (image == NULL)
		return;
	snprintf(other, sizeof other, "%s.other", image);
	fd = open(other, O_RDWR | O_CREAT, 0600);
	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	VK(&r, "", "-r", other, "--", "/bin/g_proc");
	check_line(&r, 125, "no ext4 file system");
	ran_free(&r);
	/* One that another has locked. */
	snprintf(cmd, sizeof cmd,
	    "%s -r %s -- /bin/sh -c 'echo up; sleep 100' >%s & "
	    "until grep -q up %s; do sleep 0.1; done; "
	    "%s -r %s -- /bin/true; echo $?; kill -9 $!; wait $!; echo $?",
	    built("bin/vkernel"), image, other, other, built("bin/vkernel"),
	    image);
	if (have_busybox()) {
		const char *sh[] = { "/bin/sh", "-c", cmd, NULL };

		run(&r, sh, "", 60);
		ck_assert_msg(strstr(r.r_out,
				  "in use by another program\n"
				  "125\n") != NULL &&
			strstr(r.r_out, "137\n") != NULL,
		    "%s", r.r_out);
		ran_free(&r);
	}
	VK(&r, "", "-r", image, "--init", "/nope");
	check_line(&r, 125, "/nope: No such file");
	ran_free(&r);
	close(fd);
	unlink(other);
}
END_TEST

START_TEST(test_command)
{
	struct ran r;

	if (image == NULL || !have_busybox())
		return;
	VK(&r, "", "-R", image, "--", "sh", "-c", "exit 42");
	ck_assert_int_eq(r.r_status, 42);
	ck_assert_str_eq(r.r_out, "");
	ran_free(&r);
	VK(&r, "", "-R", image, "--", "sh", "-c", "kill -TERM $$");
	ck_assert_int_eq(r.r_status, 128 + SIGTERM);
	ran_free(&r);
	VK(&r, "", "-R", image, "--", "nonesuch");
	check_line(&r, 127, "nonesuch: No such file");
	ran_free(&r);
	VK(&r, "", "-R", image, "--", "/etc/passwd");
	check_line(&r, 126, "/etc/passwd: ");
	ran_free(&r);
	VK(&r, "a\nb\nc\n", "-R", image, "--", "sh", "-c",
	    "read x; echo $x >&2; cat");
	ck_assert_int_eq(r.r_status, 0);
	ck_assert_str_eq(r.r_out, "a\nb\nc\n");
	ran_free(&r);
	VK(&r, "", "-R", image, "-e", "FOO=bar baz", "-e", "HOME=/tmp", "--",
	    "sh", "-c", "echo $FOO $HOME; echo $#", "x", "", "y z");
	ck_assert_str_eq(r.r_out, "bar baz /tmp\n2\n");
	ran_free(&r);
	/* Orphans are process 1's, and do not keep us. */
	VK(&r, "", "-R", image, "--", "sh", "-c",
	    "(sleep 100 & echo $!) >/dev/null; exit 3");
	ck_assert_int_eq(r.r_status, 3);
	ran_free(&r);
}
END_TEST

/* Guests that only make calls, or only run, keep no others out. */
/* Whether calls come by jumps, and what a guest can do with these. */
START_TEST(test_calls)
{
	struct ran r;

	VK(&r, "", "-R", image, "--", "/bin/g_calls", "pages");
	check_line(&r, 0, "pages 1");
	ran_free(&r);
	VK(&r, "", "--calls=trap", "-R", image, "--", "/bin/g_calls", "pages");
	check_line(&r, 0, "pages 0");
	ran_free(&r);
	VK(&r, "", "--vmspace=ptrace", "-R", image, "--", "/bin/g_calls",
	    "pages");
	check_line(&r, 0, "pages 0");
	ran_free(&r);
	VK(&r, "", "-R", image, "--", "/bin/g_calls", "forge");
	ck_assert_msg(r.r_status == 0 &&
		strstr(r.r_out, "alive after 16 faults") != NULL,
	    "%d: %s", r.r_status, r.r_out);
	ran_free(&r);
	VK(&r, "", "--calls=x", "-R", image);
	check_line(&r, 125, "--calls=x: patch or trap");
	ran_free(&r);
}
END_TEST

START_TEST(test_shares)
{
	static const char *const cpus[] = { "1", "2" };
	struct ran r;
	unsigned i;

	if (image == NULL || !have_busybox())
		return;
	for (i = 0; i < 2; i++) {
		VK(&r, "", "-n", cpus[i], "-R", image, "--", "sh", "-c",
		    "for i in 1 2; do dd if=/dev/zero of=/dev/null bs=1 & done; "
		    "for i in 1 2; do while :; do :; done & done; "
		    "for i in 1 2 3 4 5; do sleep 0.01; echo $i; done; "
		    "kill $(jobs -p)");
		ck_assert_int_eq(r.r_status, 0);
		ck_assert_str_eq(r.r_out, "1\n2\n3\n4\n5\n");
		ran_free(&r);
	}
}
END_TEST

START_TEST(test_disks)
{
	char named[600];
	struct ran r;

	if (image == NULL || !have_busybox())
		return;
	/* -R forgets, -r keeps, -c refuses. */
	VK(&r, "", "-R", image, "--", "sh", "-c", "echo x >/tmp/f; cat /tmp/f");
	ck_assert_str_eq(r.r_out, "x\n");
	ran_free(&r);
	VK(&r, "", "-r", image, "--", "sh", "-c",
	    "ls /tmp; echo y >/tmp/f; sync");
	ck_assert_str_eq(r.r_out, "");
	ran_free(&r);
	VK(&r, "", "-c", image, "--", "sh", "-c", "cat /tmp/f; echo z >/tmp/f");
	ck_assert_msg(strncmp(r.r_out, "y\n", 2) == 0, "%s", r.r_out);
	ck_assert_ptr_nonnull(strstr(r.r_out, "Read-only file system"));
	ran_free(&r);
	VK(&r, "", "-r", image, "--", "cat", "/tmp/f");
	ck_assert_str_eq(r.r_out, "y\n");
	ran_free(&r);
	/* The host's own files are not a guest's to mount. */
	snprintf(named, sizeof named, "mount -t ext4 file:%s /tmp 2>&1", image);
	VK(&r, "", "--unconfined", "-R", image, "--", "sh", "-c", named);
	ck_assert_msg(strstr(r.r_out, "No such file") != NULL, "%s", r.r_out);
	ran_free(&r);
	/* A disk with a name, which is not the root. */
	snprintf(named, sizeof named, "%s:spare", image);
	VK(&r, "", "-R", image, "-R", named, "--", "sh", "-c",
	    "readlink /dev/disk/by-id/*; mkdir /tmp/m; "
	    "mount -t ext4 /dev/disk/by-id/virtio-spare /tmp/m && "
	    "cat /tmp/m/tmp/f");
	ck_assert_str_eq(r.r_out, "../../vdb\ny\n");
	ran_free(&r);
}
END_TEST

/* Bytes of all kinds, through both ends. */
START_TEST(test_bytes)
{
	char file[600], cmd[16384];
	const char *sh[] = { "/bin/sh", "-c", cmd, NULL };
	struct ran r;

	if (image == NULL || !have_busybox())
		return;
	snprintf(file, sizeof file, "%s.bytes", image);
	snprintf(cmd, sizeof cmd,
	    "head -c 3000000 /dev/urandom >%s; "
	    "cat %s | %s -R %s -- cat | cmp - %s && "
	    "%s -R %s -- cat <%s | cmp - %s && "
	    "%s -R %s -- cat <%s >%s.2 && cmp %s.2 %s && "
	    "(%s -R %s -- dd bs=10 count=1 2>/dev/null; cat) <%s | cmp - %s && "
	    "%s -R %s -- sh -c 'echo 1 >&2; echo 2' 2>/dev/null && "
	    "%s -R %s -- cat /etc/passwd >&- ; echo $?; "
	    "yes | %s -R %s -- head -1; %s -R %s -- yes | head -1; rm %s*",
	    file, file, built("bin/vkernel"), image, file, built("bin/vkernel"),
	    image, file, file, built("bin/vkernel"), image, file, file, file,
	    file, built("bin/vkernel"), image, file, file, built("bin/vkernel"),
	    image, built("bin/vkernel"), image, built("bin/vkernel"), image,
	    built("bin/vkernel"), image, file);
	run(&r, sh, "", 60);
	ck_assert_str_eq(r.r_out,
	    "2\ncat: write error: Bad file descriptor\n1\ny\ny\n");
	ran_free(&r);
}
END_TEST

/* ---- on a terminal ---------------------------------------------------------------- */

START_TEST(test_terminal)
{
	const char *argv[] = { built("bin/vkernel"), "-R", image, "--", "sh",
		NULL };
	struct termios before, after;
	static struct ptyrun pr;

	if (image == NULL || !have_busybox())
		return;
	pty_start(&pr, argv);
	ck_assert_int_eq(tcgetattr(pr.pr_slave, &before), 0);
	pty_expect(&pr, "# ");
	pty_type(&pr, "tty; stty size; echo $((6*7))\r");
	pty_expect(&pr, "/dev/ttyS0\r\n24 80\r\n42\r\n");
	pty_resize(&pr, 50, 132);
	pty_expect(&pr, "# ");
	pty_type(&pr,
	    "until [ \"$(stty size)\" = '50 132' ]; do :; done; "
	    "echo re''sized\r");
	pty_expect(&pr, "resized\r\n");
	pty_type(&pr, "sh -c 'echo g''o; sleep 100'\r");
	pty_expect(&pr, "go\r\n");
	pty_type(&pr, "\003");
	pty_expect(&pr, "# ");
	pty_type(&pr, "sh -c \"echo st:$?; exec sleep 99\"\r");
	pty_expect(&pr, "st:130\r\n");
	pty_type(&pr, "\032");
	pty_expect(&pr, "Stopped");
	pty_type(&pr, "jobs; bg; kill %1; wait; echo wai''ted; cat\r");
	pty_expect(&pr, "waited");
	pty_type(&pr, "line\r");
	pty_expect(&pr, "line\r\nline\r\n");
	pty_type(&pr, "\004");
	pty_expect(&pr, "# ");
	pty_type(&pr, "exit 7\r");
	ck_assert_int_eq(tcgetattr(pr.pr_slave, &after), 0);
	ck_assert_int_eq(pty_end(&pr), 7);
}
END_TEST

/* A full-screen editor: raw mode, cursor addressing, keys one by one. */
START_TEST(test_vi)
{
	const char *argv[] = { built("bin/vkernel"), "-R", image, "--", "sh",
		NULL };
	static struct ptyrun pr;

	if (image == NULL || !have_busybox())
		return;
	pty_start(&pr, argv);
	pty_expect(&pr, "# ");
	pty_type(&pr, "cd /tmp && vi letter\r");
	/* Lines that there are not. */
	pty_expect(&pr, "~");
	pty_expect(&pr, "letter");
	pty_type(&pr, "ifirst line\rsecnd line");
	pty_expect(&pr, "I letter");
	pty_expect(&pr, "secnd line");
	/* A key that follows at once would be a part of a longer one. */
	pty_type(&pr, "\033");
	pty_expect(&pr, "- letter");
	/* Put the missing o in, and a line below. */
	pty_type(&pr, "0fnio");
	pty_expect(&pr, "I letter");
	pty_type(&pr, "\033");
	pty_expect(&pr, "- letter");
	pty_type(&pr, "othird");
	pty_expect(&pr, "third");
	pty_type(&pr, "\033");
	pty_expect(&pr, "- letter");
	pty_type(&pr, ":wq\r");
	pty_expect(&pr, "# ");
	pty_type(&pr, "stty -a | grep -o ' icanon'; tac letter; wc letter\r");
	pty_expect(&pr, " icanon\r\nthird\r\nsecond line\r\nfirst line\r\n");
	pty_expect(&pr, "3         5        29 letter");
	pty_type(&pr, "exit\r");
	ck_assert_int_eq(pty_end(&pr), 0);
}
END_TEST

/* Whatever becomes of the kernel process, the terminal is as it was. */
START_TEST(test_restored)
{
	const char *argv[] = { built("bin/vkernel"), "-R", image, "--", "sleep",
		"100", NULL };
	struct termios before, raw, after;
	static struct ptyrun pr;
	char path[64], line[64];
	siginfo_t si;
	FILE *f;
	int kernel;

	if (image == NULL || !have_busybox())
		return;
	pty_start(&pr, argv);
	ck_assert_int_eq(tcgetattr(pr.pr_slave, &before), 0);
	do
		ck_assert_int_eq(tcgetattr(pr.pr_slave, &raw), 0);
	while ((raw.c_lflag & ICANON) != 0);
	snprintf(path, sizeof path, "/proc/%d/task/%d/children", pr.pr_pid,
	    pr.pr_pid);
	do {
		f = fopen(path, "r");
		if (f == NULL) {
			printf("SKIP: the host does not tell of children\n");
			kill(pr.pr_pid, SIGKILL);
			return;
		}
		line[0] = '\0';
		if (fgets(line, sizeof line, f) == NULL)
			line[0] = '\0';
		fclose(f);
	} while ((kernel = atoi(line)) == 0);
	kill(kernel, SIGKILL);
	pty_expect(&pr, "killed by signal 9");
	ck_assert_int_eq(waitid(P_PID, (id_t)pr.pr_pid, &si, WEXITED | WNOWAIT),
	    0);
	ck_assert_int_eq(tcgetattr(pr.pr_slave, &after), 0);
	ck_assert_uint_eq(after.c_lflag & (ICANON | ECHO | ISIG),
	    ICANON | ECHO | ISIG);
	ck_assert_int_eq(pty_end(&pr), 128 + SIGKILL);
}
END_TEST

/* ---- booting -------------------------------------------------------------------------- */

START_TEST(test_boot)
{
	const char *argv[] = { built("bin/vkernel"), "-R", image, NULL };
	static struct ptyrun pr;

	if (image == NULL || !have_busybox())
		return;
	pty_start(&pr, argv);
	pty_expect(&pr, "up and running");
	pty_expect(&pr, "# ");
	pty_type(&pr, "echo pid $$; reboot\r");
	pty_expect(&pr, "up and running");
	pty_expect(&pr, "# ");
	pty_type(&pr, "poweroff\r");
	ck_assert_int_eq(pty_end(&pr), 0);
}
END_TEST

/* SIGTERM has the guest shut down; twice it ends at once. */
START_TEST(test_shutdown)
{
	char pidfile[600], cmd[16384];
	const char *sh[] = { "/bin/sh", "-c", cmd, NULL };
	struct ran r;

	if (image == NULL || !have_busybox())
		return;
	snprintf(pidfile, sizeof pidfile, "%s.pid", image);
	snprintf(cmd, sizeof cmd,
	    "%s -p %s -R %s </dev/null >%s.log 2>&1 & "
	    "until grep -qs running %s.log; do sleep 0.1; done; "
	    "kill $(cat %s); wait $!; echo $?; ls %s 2>&1 | grep -c such; "
	    "%s -p %s -R %s -- sleep 100 & "
	    "until [ -s %s ]; do sleep 0.1; done; "
	    "kill $(cat %s); wait $!; echo $?",
	    built("bin/vkernel"), pidfile, image, image, image, pidfile,
	    pidfile, built("bin/vkernel"), pidfile, image, pidfile, pidfile);
	run(&r, sh, "", 60);
	ck_assert_str_eq(r.r_out, "0\n1\n143\n");
	ran_free(&r);
}
END_TEST

/* RAM that is a file; a single user's shell. */
START_TEST(test_options)
{
	char ram[600];
	struct stat st;
	struct ran r;

	if (image == NULL || !have_busybox())
		return;
	snprintf(ram, sizeof ram, "%s.ram", image);
	VK(&r, "", "-m", "48m", "-i", ram, "-R", image, "--", "echo", "x");
	ck_assert_int_eq(r.r_status, 0);
	ck_assert_str_eq(r.r_out, "x\n");
	ran_free(&r);
	ck_assert_int_eq(stat(ram, &st), 0);
	ck_assert_int_eq(st.st_size, 48 << 20);
	ck_assert_int_eq(unlink(ram), 0);
	VK(&r, "", "-i", "/nonexistent/ram", "-R", image, "--", "echo", "x");
	ck_assert_int_eq(r.r_status, 125);
	ck_assert_msg(strstr(r.r_out, "/nonexistent/ram") != NULL, "%s",
	    r.r_out);
	ran_free(&r);
	/* /bin/sh is told "single", which is no script here. */
	VK(&r, "", "-s", "-R", image, "--init", "/bin/echo");
	ck_assert_msg(strstr(r.r_out, "single") != NULL, "%s", r.r_out);
	ran_free(&r);
}
END_TEST

/* Process 1 may not end, and can't go on: so it says that, and what of. */
START_TEST(test_init_dies)
{
	struct ran r;

	if (image == NULL)
		return;
	VK(&r, "", "-s", "-R", image, "--init", "/bin/g_proc");
	ck_assert_int_eq(r.r_status, 128 + SIGSEGV);
	ck_assert_msg(strstr(r.r_out, "init was killed by signal 11") != NULL,
	    "%s", r.r_out);
	ran_free(&r);
}
END_TEST

/*
 * Threads of hostile guests race with changes of their address spaces: they may
 * end, but nobody else does.
 */
START_TEST(test_race)
{
	static const char *const kinds[] = { "--vmspace=seccomp",
		"--vmspace=ptrace" };
	const char *end;
	struct ran r;

	if (image == NULL || !have_busybox())
		return;
	VK(&r, "", kinds[_i], "-n", "2", "-R", image, "--", "sh", "-c",
	    "g_race 0 & g_race 1 & wait; echo alive; echo x | cat");
	end = strstr(r.r_out, "alive\nx\n");
	ck_assert_msg(r.r_status == 0 && end != NULL, "%d: %s", r.r_status,
	    r.r_out);
	ran_free(&r);
}
END_TEST

/* How often `text` is in `s`. */
static unsigned
times(const char *s, const char *text)
{
	unsigned n = 0;

	for (; (s = strstr(s, text)) != NULL; s++)
		n++;
	return n;
}

/*
 * The kernel process can't do to the host what it has no need to do, and could if
 * it were not confined.
 */
START_TEST(test_confined)
{
	struct ran r;

	if (image == NULL || !have_busybox())
		return;
	VK(&r, "", "--escape", "-R", image, "--", "echo", "on");
	ck_assert_int_eq(r.r_status, 0);
	ck_assert_msg(strstr(r.r_out, "on\n") != NULL, "%s", r.r_out);
	ck_assert_msg(times(r.r_out, "vkernel: ") -
		    times(r.r_out, "vkernel: early, ") ==
		9,
	    "%s", r.r_out);
	ck_assert_msg(strstr(strstr(r.r_out, "vkernel: read a"), ": done") ==
		NULL,
	    "%s", r.r_out);
	if (times(r.r_out, "early, read a file: done") != 0)
		printf("# the host has no Landlock\n");
	ran_free(&r);
	VK(&r, "", "--escape", "--unconfined", "-R", image, "--", "true");
	ck_assert_int_eq(r.r_status, 0);
	/* Of these nothing but ourselves would keep it. */
	ck_assert_msg(strstr(r.r_out, "vkernel: read a file: done") != NULL &&
		strstr(r.r_out, "vkernel: make a socket: done") != NULL &&
		strstr(r.r_out, "vkernel: execute a program: done") != NULL,
	    "%s", r.r_out);
	ran_free(&r);
}
END_TEST

START_TEST(test_panic)
{
	struct ran r;

	if (image == NULL || !have_busybox())
		return;
	VK(&r, "", "-R", image, "--panic", "--", "sleep", "100");
	check_line(&r, 121, "panic: asked for");
	ran_free(&r);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("vkernel");
	TCase *tc = tcase_create("program");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 150);
	tcase_add_test(tc, test_usage);
	tcase_add_test(tc, test_images);
	tcase_add_test(tc, test_command);
	tcase_add_test(tc, test_calls);
	tcase_add_test(tc, test_shares);
	tcase_add_test(tc, test_disks);
	tcase_add_test(tc, test_bytes);
	tcase_add_test(tc, test_terminal);
	tcase_add_test(tc, test_vi);
	tcase_add_test(tc, test_restored);
	tcase_add_test(tc, test_boot);
	tcase_add_test(tc, test_shutdown);
	tcase_add_test(tc, test_options);
	tcase_add_test(tc, test_init_dies);
	tcase_add_loop_test(tc, test_race, 0, 2);
	tcase_add_test(tc, test_confined);
	tcase_add_test(tc, test_panic);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
