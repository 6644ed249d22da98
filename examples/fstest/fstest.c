/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tests of a file system in the test's own process, with libcheck.
 *
 *	fstest IMAGE
 *
 * IMAGE is an ext4 with a file "/file" in which there is "old".  Each test has a
 * kernel of its own on a copy-on-write view of it, so all begin with the same
 * image and none changes it.  The last one is what no test on a real machine
 * does in milliseconds: the power fails at every write in turn, and what
 * survives is mounted again.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quern/abi/errno.h>
#include <quern/abi/fcntl.h>
#include <quern/abi/stat.h>
#include <quern/ext4.h>
#include <quern/posix.h>
#include <quern/quern.h>
#include <quern/sim.h>
#include <quern/tmpfs.h>
#include <quern/vfs.h>

static const char *image;

/* ---- a kernel with the image on its root ---------------------------------------- */

static struct quern *k;
static struct quern_proc *p;
static struct qdisk *disk;

static void
mount_image(struct quern_host host, const char *name, unsigned disk_flags,
    int log_level)
{
	static const struct quern_component *const parts[] = { &qvfs, &qtmpfs,
		&qext4, NULL };
	struct quern_config cfg = { .host = host,
		.components = parts,
		.log_level = log_level };
	struct quern_disk_options opt = { .do_flags = disk_flags,
		.do_name = "disk" };

	ck_assert_int_eq(quern_create(&cfg, &k), 0);
	ck_assert_int_eq(quern_proc_create(k, &p), 0);
	ck_assert_int_eq(quern_disk_open(k, name, &opt, &disk), 0);
	ck_assert_int_eq(quern_mount(p, "disk", "/", "ext4", 0, ""), 0);
}

static void
set_up(void)
{
	char name[200];

	snprintf(name, sizeof(name), "file:%s", image);
	mount_image(quern_posix(), name, QUERN_DISK_COW, QUERN_LOG_WARN);
}

static void
tear_down(void)
{
	uint64_t leaks;

	ck_assert_int_eq(quern_umount2(p, "/", 0), 0);
	ck_assert_int_eq(quern_disk_close(disk), 0);
	ck_assert_int_eq(quern_destroy_count(k, &leaks), 0);
	ck_assert_uint_eq(leaks, 0);
}

static int
put_file(const char *path, const char *text)
{
	int fd = quern_open(p, path, Q_O_WRONLY | Q_O_CREAT | Q_O_TRUNC, 0644);
	int64_t r;

	if (fd < 0)
		return fd;
	r = quern_write(p, fd, text, strlen(text));
	if (r >= 0)
		r = quern_fsync(p, fd);
	return quern_close(p, fd) != 0 || r != 0 ? (int)r : 0;
}

/* Does the file have this text? */
static int
has(const char *path, const char *text)
{
	char buf[64];
	int fd = quern_open(p, path, Q_O_RDONLY, 0);
	int64_t n = quern_read(p, fd, buf, sizeof(buf));

	ck_assert_int_eq(quern_close(p, fd), 0);
	return n == (int64_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0;
}

/* ---- tests ------------------------------------------------------------------------ */

START_TEST(an_open_file_outlives_its_name)
{
	char buf[8];
	int fd = quern_open(p, "/file", Q_O_RDONLY, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(put_file("/other", "new"), 0);
	ck_assert_int_eq(quern_rename(p, "/other", "/file"), 0);
	ck_assert_int_eq(quern_read(p, fd, buf, sizeof(buf)), 3);
	ck_assert_int_eq(memcmp(buf, "old", 3), 0);
	ck_assert_int_eq(quern_close(p, fd), 0);
	ck_assert(has("/file", "new"));
}
END_TEST

START_TEST(a_hole_takes_no_room)
{
	struct q_stat st;
	int fd = quern_open(p, "/holes", Q_O_RDWR | Q_O_CREAT, 0644);

	ck_assert_int_eq(quern_pwrite64(p, fd, "x", 1, 1 << 30), 1);
	ck_assert_int_eq(quern_fsync(p, fd), 0);
	ck_assert_int_eq(quern_fstat(p, fd, &st), 0);
	ck_assert_int_eq(st.st_size, (1 << 30) + 1);
	ck_assert_int_le(st.st_blocks, 64);
	ck_assert_int_eq(quern_lseek(p, fd, 0, Q_SEEK_DATA), 1 << 30);
	ck_assert_int_eq(quern_close(p, fd), 0);
}
END_TEST

START_TEST(a_full_disk_is_an_error_and_no_more)
{
	static const char buf[65536];
	int64_t n;
	int fd = quern_open(p, "/big", Q_O_WRONLY | Q_O_CREAT, 0644);

	do
		n = quern_write(p, fd, buf, sizeof(buf));
	while (n > 0);
	ck_assert_int_eq(n, -Q_ENOSPC);
	ck_assert_int_eq(quern_close(p, fd), 0);
	ck_assert_int_eq(quern_unlink(p, "/big"), 0);
	ck_assert_int_eq(put_file("/file", "new"), 0);
	ck_assert(has("/file", "new"));
}
END_TEST

/* ---- a power cut --------------------------------------------------------------------- */

struct cut {
	struct quern_sim *world;
	struct quern_sim_disk *before, *after;
	int seed, n; /* the power fails at the n-th write */
	int over;    /* ... of which there are not so many */
};

/* Replace a file as one should: write another, fsync it, rename it. */
static void
until_the_cut(void *arg)
{
	struct cut *c = arg;

	/* It will complain of its disk: not here. */
	mount_image(quern_sim_host(c->world), "sim:before", 0, -1);
	quern_sim_disk_cut(c->before, (uint64_t)c->n);
	if (put_file("/other", "new") == 0)
		(void)quern_rename(p, "/other", "/file");
	(void)quern_sync(p);
	c->over = !quern_sim_disk_is_cut(c->before);
	ck_assert_int_eq(quern_sim_disk_crash(c->before, (uint64_t)c->seed,
			     "after", &c->after),
	    0);

	mount_image(quern_sim_host(c->world), "sim:after", 0, QUERN_LOG_WARN);
	ck_assert(has("/file", "new") || (!c->over && has("/file", "old")));
	tear_down();
}

START_TEST(a_rename_survives_a_power_cut_or_has_not_been)
{
	static char bytes[16 << 20];
	struct quern_sim_disk_config dc = { .size = sizeof(bytes),
		.cache = 1,
		.reorder = 1,
		.image = bytes,
		.imagelen = sizeof(bytes) };
	struct quern_sim_config sc = { .seed = (uint64_t)_i };
	struct cut c = { .seed = _i };
	FILE *f = fopen(image, "rb");

	ck_assert_uint_eq(fread(bytes, 1, sizeof(bytes), f), sizeof(bytes));
	fclose(f);
	while (!c.over) {
		c.n++;
		ck_assert_int_eq(quern_sim_create(&sc, &c.world), 0);
		ck_assert_int_eq(quern_sim_disk(c.world, "before", &dc,
				     &c.before),
		    0);
		ck_assert_int_eq(quern_sim_task(c.world, "cut", until_the_cut,
				     &c),
		    0);
		ck_assert_int_eq(quern_sim_run(c.world), 0);
		quern_sim_destroy(c.world); /* with the kernel that was cut */
	}
	ck_assert_int_gt(c.n, 5);
}
END_TEST

int
main(int argc, char **argv)
{
	Suite *s = suite_create("ext4");
	TCase *tc = tcase_create("in process");
	TCase *cut = tcase_create("power cut");
	SRunner *sr = srunner_create(s);
	int failed;

	if (argc != 2) {
		fprintf(stderr, "usage: fstest IMAGE\n");
		return 2;
	}
	image = argv[1];
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, an_open_file_outlives_its_name);
	tcase_add_test(tc, a_hole_takes_no_room);
	tcase_add_test(tc, a_full_disk_is_an_error_and_no_more);
	tcase_add_loop_test(cut, a_rename_survives_a_power_cut_or_has_not_been,
	    0, 10);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, cut);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
