/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Images that the host's kernel has been writing to: copied while they are mounted,
 * with a journal that is not empty, files that have no name any more, attributes
 * and ACLs.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <quern/ext4.h>
#include <quern/posix.h>
#include <quern/quern.h>
#include <quern/tmpfs.h>
#include <quern/vfs.h>

#include "../hostdisk.h"
#include "tree.h"

static const struct quern_component *const components[] = { &qvfs, &qtmpfs,
	&qext4, NULL };

static const struct {
	const char *name, *options, *how;
	int result; /* of mounting it dirty */
} kinds[] = {
	{ "ext4", "-t ext4", "commit=300", 0 },
	{ "1k", "-t ext4 -b 1024", "commit=300", 0 },
	{ "ext3", "-t ext3", "commit=300", 0 },
	{ "data=journal", "-t ext4", "commit=300,data=journal", 0 },
	{ "data=writeback", "-t ext4", "commit=300,data=writeback", 0 },
	{ "orphan_file", "-t ext4 -O orphan_file", "commit=300", 0 },
	{ "no checksums", "-t ext4 -O ^metadata_csum", "commit=300", 0 },
	{ "journal checksums", "-t ext4 -O ^metadata_csum",
	    "commit=300,journal_checksum", 0 },
	{ "inline_data", "-t ext4 -O inline_data", "commit=300", 0 },
	{ "ea_inode", "-t ext4 -O ea_inode", "commit=300", 0 },
	{ "bigalloc", "-t ext4 -O bigalloc", "commit=300", 0 },
	{ "fast_commit", "-t ext4 -O fast_commit", "commit=300", -EOPNOTSUPP },
};

static char lines[8000];

static void
note(void *arg, int level, const char *line)
{
	size_t n = strlen(lines);

	(void)arg, (void)level;
	snprintf(lines + n, sizeof(lines) - n, "%s\n", line);
}

/* Write a file of the host's, and have it on stable storage if `sync`. */
static void
host_file(const char *dir, const char *name, size_t len, bool sync)
{
	static char buf[300000];
	char path[400];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	memset(buf, name[0], len);
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, buf, len), (ssize_t)len);
	if (sync)
		ck_assert_int_eq(fsync(fd), 0);
	close(fd);
}

static void
has_file(struct quern_proc *p, const char *path, size_t len, char with)
{
	static char buf[300001];
	int fd = quern_open(p, path, O_RDONLY, 0);
	size_t i;

	ck_assert_msg(fd >= 0, "%s: %d", path, fd);
	ck_assert_int_eq(quern_read(p, fd, buf, sizeof(buf)), (int64_t)len);
	for (i = 0; i < len; i++)
		ck_assert_msg(buf[i] == with, "%s at %zu", path, i);
	ck_assert_int_eq(quern_close(p, fd), 0);
}

/* An ACL for user 1234, as the system calls have it. */
static const uint8_t acl[] = { 2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0,
	4, 0, 210, 4, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255,
	255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255 };

/* All kinds of changes; the last ones are only in the journal. */
static int
host_work(const char *dir)
{
	char path[400], other[400];
	int fd, i;

	snprintf(path, sizeof(path), "%s/tree", dir);
	tree_make(path, 3, 40);
	sync();
	for (i = 0; i < 30; i++) {
		snprintf(path, sizeof(path), "a%d", i);
		host_file(dir, path, 5000 + (size_t)i * 100, false);
	}
	snprintf(path, sizeof(path), "%s/dir", dir);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	host_file(dir, "dir/big", 250000, false);
	host_file(dir, "b", 9000, true);
	snprintf(path, sizeof(path), "%s/b", dir);
	snprintf(other, sizeof(other), "%s/dir/c", dir);
	ck_assert_int_eq(rename(path, other), 0);
	ck_assert_int_eq(setxattr(other, "user.x", "value", 5, 0), 0);
	ck_assert_int_eq(setxattr(other, "system.posix_acl_access", acl,
			     sizeof(acl), 0),
	    0);
	/* Freed blocks, which must not be replayed over. */
	snprintf(path, sizeof(path), "%s/dir/many", dir);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	for (i = 0; i < 100; i++) {
		snprintf(path, sizeof(path), "dir/many/a_long_name_%d", i);
		host_file(dir, path, 10, i == 99);
	}
	ck_assert_int_eq(tree_run("rm -r %s/dir/many", dir), 0);
	/* Without a name, and open. */
	host_file(dir, "orphan", 200000, true);
	snprintf(path, sizeof(path), "%s/orphan", dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(unlink(path), 0);
	host_file(dir, "last", 20000, true);
	return fd;
}

static int
mount_copy(struct quern_proc *p, const char *copy, unsigned flags)
{
	char source[400];

	snprintf(source, sizeof(source), "file:%s", copy);
	return quern_mount(p, source, "/mnt", "ext4", (int)flags, "");
}

static void
check_copy(struct quern_proc *p)
{
	struct q_stat st;
	char buf[100];

	has_file(p, "/mnt/last", 20000, 'l');
	has_file(p, "/mnt/dir/c", 9000, 'b');
	ck_assert_int_eq(quern_access(p, "/mnt/orphan", 0), -ENOENT);
	ck_assert_int_eq(quern_access(p, "/mnt/b", 0), -ENOENT);
	ck_assert_int_eq(quern_access(p, "/mnt/dir/many", 0), -ENOENT);
	ck_assert_int_eq(quern_getxattr(p, "/mnt/dir/c", "user.x", buf,
			     sizeof(buf)),
	    5);
	ck_assert_int_eq(quern_getxattr(p, "/mnt/dir/c",
			     "system.posix_acl_access", buf, sizeof(buf)),
	    (int64_t)sizeof(acl));
	ck_assert(memcmp(buf, acl, sizeof(acl)) == 0);
	ck_assert_int_eq(quern_stat(p, "/mnt/dir/c", &st), 0);
	ck_assert_int_eq(st.st_mode, S_IFREG | 0640);
	ck_assert_int_eq(quern_stat(p, "/mnt/a29", &st), 0);
}

START_TEST(left_dirty)
{
	struct quern_config cfg = { .host = quern_posix(),
		.components = components,
		.log = note };
	struct tree_sys host = { 0 }, s = { 0 };
	struct tree_text want = { 0 }, got = { 0 };
	const char *dir, *why, *diff, *image;
	char copy[300], path[300];
	struct quern_proc *p;
	uint64_t leaks = 0;
	struct quern *k;
	int fd, r;

	dir = hostdisk_mount(kinds[_i].options, kinds[_i].how, &why);
	if (dir == NULL) {
		printf("SKIP: %s: %s\n", kinds[_i].name, why);
		hostdisk_end();
		return;
	}
	fd = host_work(dir);
	image = hostdisk_image();
	snprintf(copy, sizeof(copy), "%s.copy", image);
	ck_assert_int_eq(tree_run("cp %s %s", image, copy), 0);
	snprintf(path, sizeof(path), "%s/tree", dir);
	tree_list(&host, path, &want);
	close(fd);
	ck_assert_int_eq(tree_run("dumpe2fs -h %s 2>/dev/null | "
				  "grep -q needs_recovery",
			     copy),
	    0);
	ck_assert_int_eq(quern_create(&cfg, &k), 0);
	ck_assert_int_eq(quern_proc_create(k, &p), 0);
	ck_assert_int_eq(quern_mkdir(p, "/mnt", 0755), 0);
	r = mount_copy(p, copy, 0);
	ck_assert_msg(r == kinds[_i].result, "%s: %d: %s", kinds[_i].name, r,
	    lines);
	if (r == 0) {
		check_copy(p);
		s.ts_proc = p;
		tree_list(&s, "/mnt/tree", &got);
		diff = tree_differ(&want, &got);
		ck_assert_msg(diff == NULL, "%s: want %s", kinds[_i].name,
		    diff);
		ck_assert_int_eq(quern_umount2(p, "/mnt", 0), 0);
		ck_assert_msg(tree_run("e2fsck -fn %s >%s.log 2>&1 || "
				       "{ head -40 %s.log; exit 1; }",
				  copy, copy, copy) == 0,
		    "%s: e2fsck", kinds[_i].name);
	} else {
		ck_assert_msg(strstr(lines, "fast_commit") != NULL, "%s",
		    lines);
	}
	ck_assert_int_eq(quern_proc_destroy(p), 0);
	ck_assert_int_eq(quern_destroy_count(k, &leaks), 0);
	tree_run("rm -f %s %s.log", copy, copy);
	hostdisk_end();
	free(want.tt_p);
	free(got.tt_p);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("what the host wrote");
	TCase *tc = tcase_create("host");
	char path[1024];
	SRunner *sr;
	int failed;

	snprintf(path, sizeof(path), "%s:/sbin:/usr/sbin", getenv("PATH"));
	setenv("PATH", path, 1);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, left_dirty, 0,
	    (int)(sizeof(kinds) / sizeof(kinds[0])));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
