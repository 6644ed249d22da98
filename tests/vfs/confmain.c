/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The conformance suite on the host's file systems and on Quern's tmpfs, there on
 * the host and in simulated worlds.
 */
#include <check.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <quern/posix.h>
#include <quern/quern.h>
#include <quern/sim.h>
#include <quern/tmpfs.h>
#include <quern/vfs.h>

#include "conf.h"
#include "hostdisk.h"

/* The cases. */
static const struct conf_case *(*nth_case)(int);

/* Where the host's ext4 is mounted, or NULL. */
static const char *host_dir;

/* ---- the host ---------------------------------------------------------------- */

static int64_t
host_call(struct conf *c, unsigned nr, const uint64_t a[6])
{
	long r = syscall((long)nr, a[0], a[1], a[2], a[3], a[4], a[5]);

	(void)c;
	return r < 0 ? -errno : r;
}

/* An empty directory of the file system at `path`, and in it.  0: there is. */
static int
host_enter(const char *path, char *dir, size_t len)
{
	snprintf(dir, len, "%s/conf.XXXXXX", path);
	if (mkdtemp(dir) == NULL || chmod(dir, 0755) != 0)
		return -1;
	return chdir(dir);
}

static void
host_leave(const char *dir)
{
	char command[300];

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(system(command), 0);
}

/* Does the host's file system have what the case needs? */
static bool
host_has(unsigned needs)
{
	char buf[8];

	if ((needs & (CONF_ROOT | CONF_MOUNT)) != 0 && geteuid() != 0)
		return false;
	if ((needs & CONF_MOUNT) != 0 &&
	    (unshare(CLONE_NEWNS) != 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0))
		return false;
	/* user.* on tmpfs is new in Linux 6.6. */
	if ((needs & CONF_XATTR) != 0 &&
	    syscall(SYS_setxattr, ".", "user.x", "x", 1, 0) != 0)
		return false;
	(void)syscall(SYS_removexattr, ".", "user.x");
	(void)buf;
	return true;
}

static void
run_host(const char *path, const struct conf_case *cc)
{
	struct conf c = { .c_call = host_call,
		.c_name = path,
		.c_root = geteuid() == 0,
		.c_host = true };
	char dir[256];

	umask(022);
	if (host_enter(path, dir, sizeof(dir)) != 0)
		return;
	if (host_has(cc->needs))
		conf_run(&c, cc);
	host_leave(dir);
	ck_assert_msg(c.c_failure[0] == '\0', "%s, host's %s: %s", cc->name,
	    path, c.c_failure);
}

START_TEST(host_tmpfs)
{
	struct statfs st;

	if (statfs("/dev/shm", &st) == 0 && st.f_type == 0x01021994)
		run_host("/dev/shm", nth_case(_i));
}
END_TEST

START_TEST(host_ext4)
{
	run_host(host_dir, nth_case(_i));
}
END_TEST

/* ---- Quern ---------------------------------------------------------------------- */

static int64_t
quern_call(struct conf *c, unsigned nr, const uint64_t a[6])
{
	return quern_syscall(c->c_proc, nr, a);
}

static const struct quern_component *const components[] = { &qvfs, &qtmpfs,
	NULL };

static void
drop_line(void *arg, int level, const char *line)
{
	(void)arg;
	if (level <= QUERN_LOG_WARN)
		fprintf(stderr, "%s\n", line);
}

static void
note_panic(void *arg, const char *message)
{
	struct conf *c = arg;

	snprintf(c->c_failure, sizeof(c->c_failure), "panic: %s", message);
}

/* One case in a kernel of its own. */
static void
run_quern(struct quern_host host, const struct conf_case *cc, char *failure,
    size_t len)
{
	struct quern_config cfg = { .host = host,
		.ncpu = 2,
		.components = components,
		.log = drop_line,
		.panic = note_panic };
	struct conf c = { .c_call = quern_call, .c_root = true };
	uint64_t leaks = 0;
	struct quern *k;
	int error;

	cfg.arg = &c;
	error = quern_create(&cfg, &k);
	if (error == 0)
		error = quern_proc_create(k, &c.c_proc);
	if (error != 0) {
		snprintf(failure, len, "no kernel: %d", error);
		return;
	}
	conf_is(&c, quern_mkdir(c.c_proc, "/work", 0755), 0, "mkdir", __FILE__,
	    __LINE__);
	conf_is(&c, quern_chdir(c.c_proc, "/work"), 0, "chdir", __FILE__,
	    __LINE__);
	conf_run(&c, cc);
	error = quern_destroy_count(k, &leaks);
	if (c.c_failure[0] == '\0' && (error != 0 || leaks != 0))
		snprintf(c.c_failure, sizeof(c.c_failure),
		    "destroy: %d, %llu objects left", error,
		    (unsigned long long)leaks);
	snprintf(failure, len, "%s", c.c_failure);
}

START_TEST(quern_tmpfs)
{
	const struct conf_case *cc = nth_case(_i);
	char failure[400] = "";

	run_quern(quern_posix(), cc, failure, sizeof(failure));
	ck_assert_msg(failure[0] == '\0', "%s: %s", cc->name, failure);
}
END_TEST

struct task {
	struct quern_sim *w;
	const struct conf_case *cc;
	char failure[400];
};

static void
task_main(void *arg)
{
	struct task *t = arg;

	run_quern(quern_sim_host(t->w), t->cc, t->failure, sizeof(t->failure));
}

START_TEST(quern_sim_tmpfs)
{
	struct quern_sim_config sc = { .log = drop_line };
	struct task t = { .cc = nth_case(_i) };

	for (sc.seed = 1; sc.seed <= 3; sc.seed++) {
		ck_assert_int_eq(quern_sim_create(&sc, &t.w), 0);
		ck_assert_int_eq(quern_sim_task(t.w, t.cc->name, task_main, &t),
		    0);
		ck_assert_int_eq(quern_sim_run(t.w), 0);
		quern_sim_destroy(t.w);
		ck_assert_msg(t.failure[0] == '\0', "%s, seed %llu: %s",
		    t.cc->name, (unsigned long long)sc.seed, t.failure);
	}
}
END_TEST

int
conf_main(const char *name, const struct conf_case *(*nth)(int), int n)
{
	Suite *s = suite_create(name);
	TCase *tc;
	SRunner *sr;
	int failed;
	char path[1024];
	const char *why, *mode = getenv("QUERN_MODE");

	nth_case = nth;
	snprintf(path, sizeof(path), "%s:/sbin:/usr/sbin", getenv("PATH"));
	setenv("PATH", path, 1);
#define ADD(name)                            \
	tc = tcase_create(#name);            \
	tcase_set_timeout(tc, 60);           \
	tcase_add_loop_test(tc, name, 0, n); \
	suite_add_tcase(s, tc)
	/* The host is not what a sanitizer looks at. */
	if (mode == NULL || *mode == '\0') {
		ADD(host_tmpfs);
		host_dir = hostdisk_mount("-t ext4", "acl,user_xattr", &why);
		if (host_dir != NULL) {
			ADD(host_ext4);
		} else {
			printf("ok # SKIP the host's ext4: %s\n", why);
		}
	}
	ADD(quern_tmpfs);
	ADD(quern_sim_tmpfs);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	hostdisk_end();
	return failed != 0;
}
