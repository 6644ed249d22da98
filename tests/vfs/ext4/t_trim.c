/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FITRIM: an image in a file becomes sparse where nothing is, and nowhere else.
 * Crashes with it are t_crash's.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/fs.h>

#include <quern/ext4.h>
#include <quern/posix.h>
#include <quern/quern.h>
#include <quern/tmpfs.h>
#include <quern/vfs.h>

#include "tree.h"

#define MIB       (1u << 20)
#define FILE_SIZE (6u * MIB)

static const struct quern_component *const components[] = { &qvfs, &qtmpfs,
	&qext4, NULL };
static const char *const formats[] = { "ext4 -b 4096", "ext4 -b 1024",
	"ext4 -O bigalloc -C 16384", "ext3", "ext2" };
static char image[3000];

/* Bytes that the host keeps of the image. */
static uint64_t
stored(void)
{
	struct stat st;

	ck_assert_int_eq(stat(image, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static int64_t
trim(const struct tree_sys *s, uint64_t start, uint64_t len, uint64_t min,
    uint64_t *done)
{
	struct fstrim_range r = { start, len, min };
	int64_t fd = TCALL(s, SYS_open, "/mnt", O_RDONLY | O_DIRECTORY), e;

	ck_assert_int_ge(fd, 0);
	e = TCALL(s, SYS_ioctl, fd, FITRIM, &r);
	(void)TCALL(s, SYS_close, fd);
	*done = r.len;
	return e;
}

static void
fill(const struct tree_sys *s, const char *path)
{
	static char data[MIB];
	int64_t fd = TCALL(s, SYS_open, path, O_CREAT | O_WRONLY, 0644);
	unsigned i;

	ck_assert_int_ge(fd, 0);
	memset(data, path[5], sizeof(data));
	for (i = 0; i < FILE_SIZE / MIB; i++)
		ck_assert_int_eq(TCALL(s, SYS_write, fd, data, MIB), MIB);
	ck_assert_int_eq(TCALL(s, SYS_fsync, fd), 0);
	ck_assert_int_eq(TCALL(s, SYS_close, fd), 0);
}

static void
trims(const struct tree_sys *s)
{
	struct tree_text before = { 0 }, after = { 0 };
	uint64_t was, done, again;

	ck_assert_int_eq(trim(s, 0, UINT64_MAX, 0, &done), 0);
	ck_assert_uint_gt(done, 8 * MIB);
	fill(s, "/mnt/kept");
	fill(s, "/mnt/gone");
	was = stored();
	ck_assert_int_eq(TCALL(s, SYS_unlink, "/mnt/gone"), 0);
	tree_list(s, "/mnt", &before);
	/* Too few in a row, and behind the end. */
	ck_assert_int_eq(trim(s, 0, UINT64_MAX, UINT64_MAX / 2, &done), 0);
	ck_assert_uint_eq(done, 0);
	ck_assert_int_eq(trim(s, 1u << 30, 4096, 0, &done), -EINVAL);
	ck_assert_int_eq(trim(s, MIB + 1, MIB, 0, &done), 0);
	ck_assert_uint_le(done, MIB);
	/* What has just been deleted, too. */
	ck_assert_int_eq(trim(s, 0, UINT64_MAX, 0, &done), 0);
	ck_assert_uint_gt(done, FILE_SIZE);
	ck_assert_uint_le(stored(), was - FILE_SIZE + MIB / 2);
	ck_assert_uint_ge(stored(), FILE_SIZE);
	ck_assert_int_eq(trim(s, 0, UINT64_MAX, 0, &again), 0);
	ck_assert_uint_eq(again, done);
	tree_list(s, "/mnt", &after);
	ck_assert_pstr_eq(tree_differ(&before, &after), NULL);
	free(before.tt_p);
	free(after.tt_p);
}

START_TEST(image_becomes_sparse)
{
	struct quern_config cfg = { .host = quern_posix(),
		.components = components,
		.runners = 1 };
	struct tree_sys s = { 0 };
	char source[3200];
	struct quern *k;
	uint64_t done;

	snprintf(image, sizeof(image), "%s/trim%d.img", getenv("TMPDIR"),
	    (int)getpid());
	ck_assert_int_eq(tree_run("mke2fs -q -F -E nodiscard -t %s %s 24M "
				  ">/dev/null 2>&1",
			     formats[_i], image),
	    0);
	ck_assert_int_eq(quern_create(&cfg, &k), 0);
	ck_assert_int_eq(quern_proc_create(k, &s.ts_proc), 0);
	ck_assert_int_eq(quern_mkdir(s.ts_proc, "/mnt", 0755), 0);
	snprintf(source, sizeof(source), "file:%s", image);
	ck_assert_int_eq(quern_mount(s.ts_proc, source, "/mnt", "ext4", 0, ""),
	    0);
	trims(&s);
	ck_assert_int_eq(quern_mount(s.ts_proc, "", "/mnt", "",
			     32 | 1 /* MS_REMOUNT, MS_RDONLY */, ""),
	    0);
	ck_assert_int_eq(trim(&s, 0, UINT64_MAX, 0, &done), -EROFS);
	ck_assert_int_eq(quern_umount2(s.ts_proc, "/mnt", 0), 0);
	ck_assert_int_eq(quern_proc_destroy(s.ts_proc), 0);
	ck_assert_int_eq(quern_destroy(k), 0);
	ck_assert_int_eq(tree_run("e2fsck -fn %s >%s.log 2>&1", image, image),
	    0);
	tree_run("rm -f %s %s.log", image, image);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("trim");
	TCase *tc = tcase_create("trim");
	SRunner *sr;
	int failed;

	if (getenv("TMPDIR") == NULL ||
	    tree_run("command -v mke2fs >/dev/null") != 0) {
		printf("SKIP: mke2fs is absent\n");
		return EXIT_SUCCESS;
	}
	tcase_add_loop_test(tc, image_becomes_sparse, 0,
	    (int)(sizeof(formats) / sizeof(formats[0])));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
