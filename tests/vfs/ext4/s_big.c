/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A kernel with 64 MiB of RAM writes a file of 1 GiB, copies it within the image,
 * and finds both as they should be.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quern/ext4.h>
#include <quern/posix.h>
#include <quern/quern.h>
#include <quern/tmpfs.h>
#include <quern/vfs.h>

#include "tree.h"

#define SIZE  (UINT64_C(1) << 30)
#define PIECE ((size_t)1 << 20)

static const struct quern_component *const components[] = { &qvfs, &qtmpfs,
	&qext4, NULL };

static uint64_t piece[PIECE / 8], back[PIECE / 8];

/* Each word says where it is. */
static void
fill(uint64_t off)
{
	size_t i;

	for (i = 0; i < PIECE / 8; i++)
		piece[i] = (off + i * 8) * UINT64_C(0x9e3779b97f4a7c15);
}

static void
verify(struct quern_proc *p, const char *path)
{
	int fd = quern_open(p, path, O_RDONLY, 0);
	uint64_t off;

	ck_assert_int_ge(fd, 0);
	for (off = 0; off < SIZE; off += PIECE) {
		fill(off);
		ck_assert_int_eq(quern_read(p, fd, back, PIECE),
		    (int64_t)PIECE);
		ck_assert_msg(memcmp(piece, back, PIECE) == 0,
		    "%s is wrong at %llu", path, (unsigned long long)off);
	}
	ck_assert_int_eq(quern_read(p, fd, back, PIECE), 0);
	ck_assert_int_eq(quern_close(p, fd), 0);
}

static void
copy(struct quern_proc *p, bool call)
{
	int in = quern_open(p, "/mnt/one", O_RDONLY, 0);
	int out = quern_open(p, "/mnt/two", O_CREAT | O_TRUNC | O_WRONLY, 0644);
	uint64_t off;
	int64_t n;

	for (off = 0; off < SIZE; off += (uint64_t)n) {
		if (call) {
			n = quern_copy_file_range(p, in, NULL, out, NULL,
			    SIZE - off, 0);
		} else {
			n = quern_read(p, in, back, PIECE);
			ck_assert_int_eq(quern_write(p, out, back, (size_t)n),
			    n);
		}
		ck_assert_int_gt(n, 0);
	}
	ck_assert_int_eq(quern_close(p, in), 0);
	ck_assert_int_eq(quern_close(p, out), 0);
}

START_TEST(big)
{
	struct quern_config cfg = { .host = quern_posix(),
		.components = components,
		.ncpu = 2,
		.runners = 1,
		.ram = (size_t)64 << 20 };
	char image[3000], source[3100];
	struct quern_proc *p;
	uint64_t off, leaks;
	struct quern *k;
	int fd;

	snprintf(image, sizeof(image), "%s/big%d.img",
	    getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp",
	    (int)getpid());
	ck_assert_int_eq(tree_run("mke2fs -q -F -t ext4 %s %s 2500M "
				  ">/dev/null 2>&1",
			     _i == 0 ? "" : "-b 1024", image),
	    0);
	snprintf(source, sizeof(source), "file:%s", image);
	ck_assert_int_eq(quern_create(&cfg, &k), 0);
	ck_assert_int_eq(quern_proc_create(k, &p), 0);
	ck_assert_int_eq(quern_mkdir(p, "/mnt", 0755), 0);
	ck_assert_int_eq(quern_mount(p, source, "/mnt", "ext4", 0, ""), 0);
	fd = quern_open(p, "/mnt/one", O_CREAT | O_WRONLY, 0644);
	for (off = 0; off < SIZE; off += PIECE) {
		fill(off);
		ck_assert_int_eq(quern_write(p, fd, piece, PIECE),
		    (int64_t)PIECE);
	}
	ck_assert_int_eq(quern_close(p, fd), 0);
	copy(p, false);
	verify(p, "/mnt/two");
	copy(p, true);
	verify(p, "/mnt/two");
	verify(p, "/mnt/one");
	ck_assert_int_eq(quern_umount2(p, "/mnt", 0), 0);
	ck_assert_int_eq(quern_proc_destroy(p), 0);
	ck_assert_int_eq(quern_destroy_count(k, &leaks), 0);
	ck_assert_uint_eq(leaks, 0);
	ck_assert_int_eq(tree_run("e2fsck -fn %s >/dev/null 2>&1", image), 0);
	unlink(image);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("big");
	TCase *tc = tcase_create("big");
	SRunner *sr;
	int failed;

	if (system("mke2fs -V >/dev/null 2>&1") != 0) {
		printf("SKIP: mke2fs is absent\n");
		return EXIT_SUCCESS;
	}
	tcase_set_timeout(tc, 280);
	tcase_add_loop_test(tc, big, 0, 2);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
