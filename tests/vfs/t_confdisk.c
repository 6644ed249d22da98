/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The conformance suite on disks: ext4 and ext2 as mke2fs makes them, in memory.
 * After each case the file system is unmounted, e2fsck finds nothing wrong, and
 * it can be mounted again.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <quern/ext4.h>
#include <quern/posix.h>
#include <quern/quern.h>
#include <quern/sim.h>
#include <quern/tmpfs.h>
#include <quern/vfs.h>

#include "conf.h"

#define SIZE ((size_t)16 << 20)

static const struct kind {
	const char *name, *options;
	unsigned lacks; /* CONF_*: what it does not have */
} kinds[] = {
	{ "ext4", "-t ext4", 0 },
	{ "ext4 with blocks of 1 KiB", "-t ext4 -b 1024", 0 },
	{ "ext4 without a journal", "-t ext4 -O ^has_journal", 0 },
	{ "ext2", "-t ext2", CONF_HOLES },
};

#define NKIND ((int)(sizeof(kinds) / sizeof(kinds[0])))

static bool have_tools;

/* The disk that cases are done on. */
static const char *c_source;

static const struct quern_component *const components[] = { &qvfs, &qtmpfs,
	&qext4, NULL };

static int64_t
quern_call(struct conf *c, unsigned nr, const uint64_t a[6])
{
	return quern_syscall(c->c_proc, nr, a);
}

static void
show_line(void *arg, int level, const char *line)
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

/* Run a command; its exit status. */
static int
run(const char *fmt, const char *a, const char *b)
{
	char command[600];

	snprintf(command, sizeof(command), fmt, a, b);
	return system(command);
}

/* What is in the file `path`, SIZE bytes. */
static void
load(const char *path, char *image)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(read(fd, image, SIZE), (ssize_t)SIZE);
	close(fd);
}

static void
store(const char *path, const char *image)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, image, SIZE), (ssize_t)SIZE);
	close(fd);
}

/* A case in a directory of its own. */
static void
in_directory(struct conf *c, const struct conf_case *cc, int i)
{
	char path[40];

	snprintf(path, sizeof(path), "/mnt/work%d", i);
	conf_is(c, quern_mkdir(c->c_proc, path, 0755), 0, "mkdir", __FILE__,
	    __LINE__);
	conf_is(c, quern_chdir(c->c_proc, path), 0, "chdir", __FILE__,
	    __LINE__);
	conf_run(c, cc);
}

/*
 * Mount the image on /mnt, do the case, or all those about call `call`, in
 * directories of it, unmount.
 */
static void
use_image(struct conf *c, struct quern *k, const struct conf_case *cc, int call)
{
	int e, i, n = conf_error_paths();

	conf_is(c, quern_mkdir(c->c_proc, "/mnt", 0755), 0, "mkdir", __FILE__,
	    __LINE__);
	e = quern_mount(c->c_proc, c_source, "/mnt", "", 0, "");
	if (!conf_is(c, e, 0, "mount", __FILE__, __LINE__))
		return;
	if (cc != NULL)
		in_directory(c, cc, 0);
	for (i = 0; cc == NULL && i < n && c->c_failure[0] == '\0'; i++)
		in_directory(c, conf_error_nth(call * n + i), i);
	/* Whatever the case left open. */
	(void)quern_proc_destroy(c->c_proc);
	conf_is(c, quern_proc_create(k, &c->c_proc), 0, "process", __FILE__,
	    __LINE__);
	e = quern_umount2(c->c_proc, "/mnt", 0);
	conf_is(c, e, 0, "umount", __FILE__, __LINE__);
	e = quern_mount(c->c_proc, c_source, "/mnt", "", 1, "");
	conf_is(c, e, 0, "second mount", __FILE__, __LINE__);
	e = quern_umount2(c->c_proc, "/mnt", 0);
	conf_is(c, e, 0, "second umount", __FILE__, __LINE__);
}

static void
run_case(struct quern_host host, const struct conf_case *cc, int call,
    char *image, struct conf *c)
{
	struct quern_config cfg = { .host = host,
		.ncpu = 2,
		.components = components,
		.log = show_line,
		.panic = note_panic,
		.arg = c };
	struct qdisk *d = NULL;
	uint64_t leaks = 0;
	struct quern *k;
	int error;

	ck_assert_int_eq(quern_create(&cfg, &k), 0);
	ck_assert_int_eq(quern_proc_create(k, &c->c_proc), 0);
	if (image != NULL) {
		error = quern_disk_memory(k, "image", image, SIZE, 0, &d);
		ck_assert_int_eq(error, 0);
	}
	use_image(c, k, cc, call);
	if (d != NULL && c->c_failure[0] == '\0')
		conf_is(c, quern_disk_close(d), 0, "close", __FILE__, __LINE__);
	error = quern_destroy_count(k, &leaks);
	if (c->c_failure[0] == '\0' && (error != 0 || leaks != 0))
		snprintf(c->c_failure, sizeof(c->c_failure),
		    "destroy: %d, %llu objects left", error,
		    (unsigned long long)leaks);
}

/* The same in a simulated world, whose disk has a cache that is lost. */
struct task {
	struct quern_sim *t_world;
	const struct conf_case *t_case;
	int t_call;
	struct conf *t_conf;
};

static void
task_main(void *arg)
{
	struct task *t = arg;

	run_case(quern_sim_host(t->t_world), t->t_case, t->t_call, NULL,
	    t->t_conf);
}

static void
run_sim(const struct conf_case *cc, int call, char *image, struct conf *c)
{
	struct quern_sim_config sc = { .seed = 1 };
	struct quern_sim_disk_config dc = { .size = SIZE,
		.imagelen = SIZE,
		.image = image,
		.cache = 1,
		.reorder = 1,
		.latency_ns = 50000 };
	struct task t = { .t_case = cc, .t_call = call, .t_conf = c };
	struct quern_sim_disk *d;

	ck_assert_int_eq(quern_sim_create(&sc, &t.t_world), 0);
	ck_assert_int_eq(quern_sim_disk(t.t_world, "d", &dc, &d), 0);
	ck_assert_int_eq(quern_sim_task(t.t_world, "case", task_main, &t), 0);
	ck_assert_int_eq(quern_sim_run(t.t_world), 0);
	ck_assert_int_eq(quern_sim_disk_read(d, 0, image, SIZE), 0);
	quern_sim_destroy(t.t_world);
}

static void
on_disk(const struct kind *kind, const struct conf_case *cc, int call, int i,
    bool sim)
{
	struct conf c = { .c_call = quern_call, .c_root = true };
	const char *dir = getenv("TMPDIR");
	const char *name = cc != NULL ? cc->name : "paths";
	char *image = malloc(SIZE);
	char path[256];
	int status;

	snprintf(path, sizeof(path), "%s/conf%d.img",
	    dir != NULL ? dir : "/tmp", i);
	ck_assert_int_eq(run("mke2fs -q -F %s '%s' 16M >/dev/null 2>&1",
			     kind->options, path),
	    0);
	load(path, image);
	c_source = sim ? "sim:d" : "image";
	if (sim)
		run_sim(cc, call, image, &c);
	else
		run_case(quern_posix(), cc, call, image, &c);
	ck_assert_msg(c.c_failure[0] == '\0', "%s, %s: %s",
	    c.c_case != NULL ? c.c_case->name : name, kind->name, c.c_failure);
	store(path, image);
	status = run("e2fsck -fn '%s' >'%s.log' 2>&1", path, path);
	if (status != 0)
		(void)run("cat '%s.log' >&2%s", path, "");
	ck_assert_msg(status == 0, "%s, %s: e2fsck: status %d", name,
	    kind->name, status);
	unlink(path);
	(void)run("rm -f '%s.log'%s", path, "");
	free(image);
}

START_TEST(disks)
{
	const struct kind *kind = &kinds[_i % NKIND];
	const struct conf_case *cc = conf_nth(_i / NKIND);

	if ((cc->needs & kind->lacks) == 0)
		on_disk(kind, cc, 0, _i, false);
}
END_TEST

/* ext4 and ext2 by turns, each case in a simulated world too. */
START_TEST(sim)
{
	const struct kind *kind = &kinds[_i % 2 == 0 ? 0 : NKIND - 1];
	const struct conf_case *cc = conf_nth(_i / 2);

	if ((cc->needs & kind->lacks) == 0)
		on_disk(kind, cc, 0, _i, true);
}
END_TEST

/* One image for all kinds of paths. */
START_TEST(paths)
{
	on_disk(&kinds[_i % NKIND], NULL, _i, _i, false);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("conformance on disks");
	TCase *tc = tcase_create("disks");
	const char *mode = getenv("QUERN_MODE");
	char path[1024];
	SRunner *sr;
	int failed;

	snprintf(path, sizeof(path), "%s:/sbin:/usr/sbin", getenv("PATH"));
	setenv("PATH", path, 1);
	have_tools = system("command -v mke2fs e2fsck >/dev/null") == 0;
	if (!have_tools)
		printf("ok # SKIP e2fsprogs is not there\n");
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, disks, 0,
	    have_tools ? conf_count() * NKIND : 0);
	/* One thread: a sanitizer finds no more in it than in the others. */
	if (mode == NULL || *mode == '\0')
		tcase_add_loop_test(tc, sim, 0,
		    have_tools ? conf_count() * 2 : 0);
	tcase_add_loop_test(tc, paths, 0,
	    have_tools ? conf_errors() / conf_error_paths() : 0);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
