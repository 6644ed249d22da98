/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mounting: options, blocks that are kept for the superuser, and protection
 * against being mounted twice, whose waits are a simulated world's.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <quern/ext4.h>
#include <quern/posix.h>
#include <quern/quern.h>
#include <quern/sim.h>
#include <quern/tmpfs.h>
#include <quern/vfs.h>

#include "tree.h"

static const struct quern_component *const components[] = { &qvfs, &qtmpfs,
	&qext4, NULL };

static char image[3000], lines[8000];

static void
note(void *arg, int level, const char *line)
{
	size_t n = strlen(lines);

	(void)arg, (void)level;
	snprintf(lines + n, sizeof(lines) - n, "%s\n", line);
}

static struct quern *
make_kernel(struct quern_host host, struct quern_proc **pp)
{
	struct quern_config cfg = { .host = host,
		.components = components,
		.runners = 1,
		.log = note };
	struct quern *k;

	lines[0] = '\0';
	ck_assert_int_eq(quern_create(&cfg, &k), 0);
	ck_assert_int_eq(quern_proc_create(k, pp), 0);
	ck_assert_int_eq(quern_mkdir(*pp, "/mnt", 0755), 0);
	return k;
}

static void
end_kernel(struct quern *k, struct quern_proc *p)
{
	uint64_t leaks = 0;

	(void)quern_umount2(p, "/mnt", 0);
	ck_assert_int_eq(quern_proc_destroy(p), 0);
	ck_assert_int_eq(quern_destroy_count(k, &leaks), 0);
	ck_assert_uint_eq(leaks, 0);
}

static void
make_image(const char *options)
{
	snprintf(image, sizeof(image), "%s/mount%d.img",
	    getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp",
	    (int)getpid());
	ck_assert_int_eq(tree_run("mke2fs -q -F -t ext4 %s %s 16M "
				  ">/dev/null 2>&1",
			     options, image),
	    0);
}

static int
mount_it(struct quern_proc *p, const char *path, unsigned long flags,
    const char *options)
{
	char source[3200];

	snprintf(source, sizeof(source), "file:%s", path);
	return quern_mount(p, source, "/mnt", "ext4", (int)flags, options);
}

static void
must_be_clean(void)
{
	ck_assert_int_eq(tree_run("e2fsck -fn %s >%s.log 2>&1 || "
				  "{ head -40 %s.log; exit 1; }",
			     image, image, image),
	    0);
	tree_run("rm -f %s %s.log", image, image);
}

/* ---- options -------------------------------------------------------------------- */

static const struct {
	const char *options;
	unsigned long flags;
	int result;
	const char *line;
} asked[] = {
	{ "", 0, 0, "" },
	{ "defaults,acl,user_xattr,barrier=1", 0, 0, "" },
	{ "data=ordered,errors=remount-ro,commit=30", 0, 0, "" },
	{ "noload", MS_RDONLY, 0, "" },
	{ "norecovery", 0, -EINVAL, "noload is for read-only mounts" },
	{ "data=journal", 0, -EINVAL, "'data=journal' is not supported" },
	{ "acl,errors=continue,", 0, -EINVAL,
	    "'errors=continue' is not supported" },
	{ "discard", 0, -EINVAL, "'discard' is not supported" },
	{ "commit=", 0, -EINVAL, "'commit=' is not supported" },
	{ "commit=x", 0, -EINVAL, "'commit=x' is not supported" },
	{ "resuid=99999999999", 0, -EINVAL, "is not supported" },
	{ ",,", 0, 0, "" },
};

START_TEST(options)
{
	struct quern_proc *p;
	struct quern *k;
	int r;

	make_image("");
	k = make_kernel(quern_posix(), &p);
	r = mount_it(p, image, asked[_i].flags, asked[_i].options);
	ck_assert_msg(r == asked[_i].result, "%s: %d: %s", asked[_i].options, r,
	    lines);
	ck_assert_msg(strstr(lines, asked[_i].line) != NULL, "%s: %s",
	    asked[_i].options, lines);
	if (r == 0) {
		ck_assert_int_eq(quern_mount(p, "", "/mnt", "",
				     MS_REMOUNT | asked[_i].flags, "nonsense"),
		    -EINVAL);
		ck_assert_msg(strstr(lines, "'nonsense'") != NULL, "%s", lines);
	}
	end_kernel(k, p);
	must_be_clean();
}
END_TEST

/* A journal that would have to be replayed, on a disk that can't be written. */
START_TEST(no_journal_replayed)
{
	struct quern_proc *p, *q;
	struct quern *k, *other;
	char copy[3100];
	int fd;

	make_image("");
	snprintf(copy, sizeof(copy), "%s.copy", image);
	k = make_kernel(quern_posix(), &p);
	ck_assert_int_eq(mount_it(p, image, 0, ""), 0);
	ck_assert_int_eq(quern_mkdir(p, "/mnt/new", 0755), 0);
	fd = quern_open(p, "/mnt/new", O_RDONLY, 0);
	ck_assert_int_eq(quern_fsync(p, fd), 0);
	ck_assert_int_eq(quern_close(p, fd), 0);
	/* Committed, and only in the log. */
	ck_assert_int_eq(tree_run("cp %s %s && chmod 400 %s", image, copy,
			     copy),
	    0);
	other = make_kernel(quern_posix(), &q);
	if (geteuid() != 0) { /* root may write to it all the same */
		ck_assert_int_eq(mount_it(q, copy, MS_RDONLY, ""), -EROFS);
		ck_assert_msg(strstr(lines, "has to be replayed") != NULL, "%s",
		    lines);
	}
	ck_assert_int_eq(mount_it(q, copy, MS_RDONLY, "noload"), 0);
	ck_assert_int_eq(quern_access(q, "/mnt/new", 0), -ENOENT);
	ck_assert_int_eq(quern_mount(q, "", "/mnt", "", MS_REMOUNT, ""),
	    -EACCES);
	ck_assert_int_eq(quern_umount2(q, "/mnt", 0), 0);
	tree_run("chmod 600 %s", copy);
	ck_assert_int_eq(mount_it(q, copy, 0, ""), 0);
	ck_assert_int_eq(quern_access(q, "/mnt/new", 0), 0);
	end_kernel(other, q);
	end_kernel(k, p);
	tree_run("rm -f %s", copy);
	must_be_clean();
}
END_TEST

/* Written anew and moved over the old one: a crash leaves no empty file. */
START_TEST(replaced)
{
	struct quern_proc *p, *q;
	struct quern *k, *other;
	char copy[3100], buf[8];
	int fd;

	make_image("");
	snprintf(copy, sizeof(copy), "%s.copy", image);
	k = make_kernel(quern_posix(), &p);
	ck_assert_int_eq(mount_it(p, image, 0, ""), 0);
	fd = quern_open(p, "/mnt/file", O_CREAT | O_WRONLY, 0644);
	ck_assert_int_eq(quern_write(p, fd, "old", 3), 3);
	ck_assert_int_eq(quern_fsync(p, fd), 0);
	ck_assert_int_eq(quern_close(p, fd), 0);
	fd = quern_open(p, "/mnt/temp", O_CREAT | O_WRONLY, 0644);
	ck_assert_int_eq(quern_write(p, fd, "newer", 5), 5);
	ck_assert_int_eq(quern_close(p, fd), 0);
	ck_assert_int_eq(quern_rename(p, "/mnt/temp", "/mnt/file"), 0);
	/* What commits that is about something else. */
	fd = quern_open(p, "/mnt", O_RDONLY, 0);
	ck_assert_int_eq(quern_fsync(p, fd), 0);
	ck_assert_int_eq(quern_close(p, fd), 0);
	ck_assert_int_eq(tree_run("cp %s %s", image, copy), 0);
	other = make_kernel(quern_posix(), &q);
	ck_assert_int_eq(mount_it(q, copy, 0, ""), 0);
	fd = quern_open(q, "/mnt/file", O_RDONLY, 0);
	ck_assert_int_eq(quern_read(q, fd, buf, sizeof(buf)), 5);
	ck_assert(memcmp(buf, "newer", 5) == 0);
	ck_assert_int_eq(quern_close(q, fd), 0);
	end_kernel(other, q);
	end_kernel(k, p);
	tree_run("rm -f %s", copy);
	must_be_clean();
}
END_TEST

/* ---- what is kept for the superuser ------------------------------------------------ */

/* Write until it is full: how many bytes that took. */
static int64_t
fill(struct quern_proc *p, const char *path)
{
	static char buf[65536];
	int64_t n, at = 0;
	int fd;

	fd = quern_open(p, path, O_CREAT | O_WRONLY, 0644);
	ck_assert_int_ge(fd, 0);
	while ((n = quern_write(p, fd, buf, sizeof(buf))) > 0)
		at += n;
	ck_assert_int_eq(n, -ENOSPC);
	ck_assert_int_eq(quern_fsync(p, fd), 0);
	ck_assert_int_eq(quern_close(p, fd), 0);
	return at;
}

START_TEST(kept_blocks)
{
	struct quern_cred user = { 1000, 1000, NULL, 0 };
	struct q_statfs st;
	struct quern_proc *p, *q;
	struct quern *k;
	int64_t kept = (16 << 20) / 4, more;

	make_image("-m 25");
	k = make_kernel(quern_posix(), &p);
	ck_assert_int_eq(mount_it(p, image, 0, ""), 0);
	ck_assert_int_eq(quern_chmod(p, "/mnt", 0777), 0);
	ck_assert_int_eq(quern_proc_fork(p, &q), 0);
	ck_assert_int_eq(quern_proc_cred(q, &user), 0);
	(void)fill(q, "/mnt/user");
	ck_assert_int_eq(quern_statfs(p, "/mnt", &st), 0);
	/* What was promised for extents and not needed is back by now. */
	ck_assert_uint_le(st.f_bavail, 64);
	ck_assert_int_ge((int64_t)st.f_bfree * st.f_bsize, kept);
	/* Others than the superuser can be named. */
	ck_assert_int_eq(quern_mount(p, "", "/mnt", "", MS_REMOUNT,
			     "resuid=1000"),
	    0);
	more = fill(q, "/mnt/more");
	ck_assert_msg(more > kept / 2, "%lld", (long long)more);
	ck_assert_int_eq(quern_unlink(q, "/mnt/more"), 0);
	ck_assert_int_eq(quern_mount(p, "", "/mnt", "", MS_REMOUNT,
			     "resgid=1000"),
	    0);
	more = fill(q, "/mnt/more");
	ck_assert_msg(more > kept / 2, "%lld", (long long)more);
	ck_assert_int_eq(quern_unlink(q, "/mnt/more"), 0);
	ck_assert_int_eq(quern_mount(p, "", "/mnt", "", MS_REMOUNT, ""), 0);
	more = fill(q, "/mnt/none");
	ck_assert_msg(more < kept / 8, "%lld", (long long)more);
	more = fill(p, "/mnt/root");
	ck_assert_msg(more > kept / 2, "%lld", (long long)more);
	ck_assert_int_eq(quern_proc_destroy(q), 0);
	end_kernel(k, p);
	must_be_clean();
}
END_TEST

/* A disk that is mounted twice is one file system. */
START_TEST(twice)
{
	struct quern_proc *p;
	struct quern *k;

	make_image("");
	k = make_kernel(quern_posix(), &p);
	ck_assert_int_eq(quern_mkdir(p, "/b", 0755), 0);
	ck_assert_int_eq(mount_it(p, image, 0, ""), 0);
	ck_assert_int_eq(quern_mkdir(p, "/mnt/d", 0755), 0);
	ck_assert_int_eq(quern_mount(p, "/dev/none", "/b", "ext4", 0, ""),
	    -ENOENT);
	ck_assert_int_eq(mount_it(p, image, MS_RDONLY, ""), -EBUSY);
	ck_assert_int_eq(mount_it(p, image, 0, ""), 0);
	ck_assert_int_eq(quern_access(p, "/mnt/d", 0), 0);
	ck_assert_int_eq(quern_umount2(p, "/mnt", 0), 0);
	ck_assert_int_eq(quern_rmdir(p, "/mnt/d"), 0);
	end_kernel(k, p);
	must_be_clean();
}
END_TEST

/* ---- mounted by one at a time --------------------------------------------------------- */

struct world {
	struct quern_sim *w;
	struct quern_sim_disk *disk;
	char *data;
	size_t len;
};

static uint64_t
seconds(struct world *wo)
{
	return quern_sim_now(wo->w) / 1000000000u;
}

static int
mount_sim(struct quern_proc *p)
{
	return quern_mount(p, "sim:d", "/mnt", "ext4", 0, "");
}

static void protected(void *arg)
{
	struct world *wo = arg;
	struct q_timespec hour = { 3600, 0 };
	struct quern_proc *p, *q;
	struct quern *a, *b;
	uint64_t from;

	a = make_kernel(quern_sim_host(wo->w), &p);
	b = make_kernel(quern_sim_host(wo->w), &q);
	/* Nobody has it: one wait, for somebody else who comes just now. */
	from = seconds(wo);
	ck_assert_int_eq(mount_sim(p), 0);
	ck_assert_uint_ge(seconds(wo) - from, 10);
	ck_assert_int_eq(quern_mkdir(p, "/mnt/d", 0755), 0);
	/* Whoever has it is seen, now and after an hour without a write. */
	ck_assert_int_eq(mount_sim(q), -EBUSY);
	ck_assert_msg(strstr(lines, "\"quern\" writes to it (mmp)") != NULL,
	    "%s", lines);
	ck_assert_int_eq(quern_nanosleep(p, &hour, NULL), 0);
	ck_assert_int_eq(mount_sim(q), -EBUSY);
	/* To look at it is no harm. */
	ck_assert_int_eq(quern_umount2(p, "/mnt", 0), 0);
	ck_assert_int_eq(mount_sim(q), 0);
	ck_assert_int_eq(mount_sim(p), -EBUSY);
	ck_assert_int_eq(quern_rmdir(q, "/mnt/d"), 0);
	/* Read-only is an end of writing, too. */
	ck_assert_int_eq(quern_mount(q, "", "/mnt", "", MS_REMOUNT | MS_RDONLY,
			     ""),
	    0);
	ck_assert_int_eq(mount_sim(p), 0);
	end_kernel(a, p);
	end_kernel(b, q);
}

/* Both at once: at most one has it. */
struct racer {
	struct world *ra_world;
	int ra_result;
};

static void
race(void *arg)
{
	struct racer *ra = arg;
	struct quern_proc *p;
	struct quern *k;

	k = make_kernel(quern_sim_host(ra->ra_world->w), &p);
	ra->ra_result = mount_sim(p);
	if (ra->ra_result == 0) {
		struct q_timespec minute = { 60, 0 };

		ck_assert_int_eq(quern_nanosleep(p, &minute, NULL), 0);
	}
	end_kernel(k, p);
}

static void
make_world(struct world *wo, uint64_t seed, const char *command)
{
	struct quern_sim_config sc = { .seed = seed };
	struct quern_sim_disk_config dc = { .cache = 1, .shared = 1 };
	int fd;

	make_image("-O mmp");
	if (command != NULL)
		ck_assert_int_eq(tree_run("debugfs -w -R '%s' %s "
					  ">/dev/null 2>&1",
				     command, image),
		    0);
	wo->len = (size_t)16 << 20;
	wo->data = malloc(wo->len);
	fd = open(image, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(read(fd, wo->data, wo->len), (ssize_t)wo->len);
	close(fd);
	unlink(image);
	dc.size = dc.imagelen = wo->len;
	dc.image = wo->data;
	ck_assert_int_eq(quern_sim_create(&sc, &wo->w), 0);
	ck_assert_int_eq(quern_sim_disk(wo->w, "d", &dc, &wo->disk), 0);
}

static void
end_world(struct world *wo)
{
	ck_assert_int_eq(quern_sim_run(wo->w), 0);
	quern_sim_destroy(wo->w);
	free(wo->data);
}

START_TEST(mmp)
{
	struct world wo;

	make_world(&wo, 1, NULL);
	ck_assert_int_eq(quern_sim_task(wo.w, "both", protected, &wo), 0);
	end_world(&wo);
}
END_TEST

START_TEST(mmp_race)
{
	struct racer ra[2];
	struct world wo;

	make_world(&wo, (uint64_t)_i + 1, NULL);
	ra[0].ra_world = ra[1].ra_world = &wo;
	ck_assert_int_eq(quern_sim_task(wo.w, "one", race, &ra[0]), 0);
	ck_assert_int_eq(quern_sim_task(wo.w, "two", race, &ra[1]), 0);
	end_world(&wo);
	ck_assert(ra[0].ra_result == 0 || ra[0].ra_result == -EBUSY);
	ck_assert(ra[1].ra_result == 0 || ra[1].ra_result == -EBUSY);
	ck_assert(ra[0].ra_result != 0 || ra[1].ra_result != 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("mounting ext4");
	TCase *tc = tcase_create("mount");
	char path[1024];
	SRunner *sr;
	int failed;

	snprintf(path, sizeof(path), "%s:/sbin:/usr/sbin", getenv("PATH"));
	setenv("PATH", path, 1);
	if (system("mke2fs -V >/dev/null 2>&1") != 0) {
		printf("SKIP: mke2fs is absent\n");
		return EXIT_SUCCESS;
	}
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, options, 0,
	    (int)(sizeof(asked) / sizeof(asked[0])));
	tcase_add_test(tc, no_journal_replayed);
	tcase_add_test(tc, replaced);
	tcase_add_test(tc, kept_blocks);
	tcase_add_test(tc, twice);
	tcase_add_test(tc, mmp);
	tcase_add_loop_test(tc, mmp_race, 0, 10);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
