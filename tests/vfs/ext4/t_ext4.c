/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Images that mke2fs fills from a tree of the host's, with each feature: what
 * Quern lists of them is what the host lists of the tree.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <quern/ext4.h>
#include <quern/posix.h>
#include <quern/quern.h>
#include <quern/tmpfs.h>
#include <quern/vfs.h>

#include "tree.h"

static const struct quern_component *const components[] = { &qvfs, &qtmpfs,
	&qext4, NULL };

static const struct {
	const char *name, *options;
} images[] = {
	{ "default", "-t ext4" },
	{ "ext2", "-t ext2" },
	{ "ext3", "-t ext3" },
	{ "1k", "-t ext4 -b 1024" },
	{ "2k", "-t ext4 -b 2048" },
	{ "ext2_1k", "-t ext2 -b 1024" },
	{ "8k", "-t ext4 -b 8192" },
	{ "64k", "-t ext4 -b 65536" },
	{ "ext2_64k", "-t ext2 -b 65536" },
	{ "no64bit", "-t ext4 -O ^64bit" },
	{ "nocsum", "-t ext4 -O ^metadata_csum" },
	{ "gdt_csum", "-t ext4 -O ^metadata_csum,uninit_bg" },
	{ "csum_seed", "-t ext4 -O metadata_csum_seed" },
	{ "meta_bg", "-t ext4 -b 1024 -O meta_bg,^resize_inode -g 2048" },
	{ "noflex", "-t ext4 -O ^flex_bg" },
	{ "inode128", "-t ext4 -I 128" },
	{ "inode1024", "-t ext4 -I 1024" },
	{ "inline", "-t ext4 -O inline_data" },
	{ "inline1024", "-t ext4 -O inline_data -I 1024" },
	{ "ea_inode", "-t ext4 -O ea_inode" },
	{ "bigalloc", "-t ext4 -O bigalloc -C 16384" },
	{ "bigalloc1k", "-t ext4 -b 1024 -O bigalloc -C 8192" },
	{ "sparse2", "-t ext4 -O sparse_super2,^resize_inode" },
	{ "large_dir", "-t ext4 -O large_dir" },
	{ "noindex", "-t ext4 -O ^dir_index" },
	{ "nofiletype", "-t ext2 -O ^filetype" },
	{ "noextent", "-t ext4 -O ^extent,^64bit" },
	{ "nojournal", "-t ext4 -O ^has_journal" },
	{ "quota", "-t ext4 -O quota,project" },
	{ "verity", "-t ext4 -O verity" },
	{ "mmp", "-t ext4 -O mmp" },
	{ "orphan_file", "-t ext4 -O orphan_file" },
	{ "fast_commit", "-t ext4 -O fast_commit" },
	{ "hugefile", "-t ext4 -O ^huge_file,^dir_nlink,^extra_isize" },
	{ "tea", "-t ext4 -E hash_seed=01234567-89ab-cdef-0123-456789abcdef" },
};

static char dir[3000];
static struct tree_text want;
static char *lines;
static size_t nlines;

static void
note(void *arg, int level, const char *line)
{
	size_t n = strlen(line);

	(void)arg;
	(void)level;
	lines = realloc(lines, nlines + n + 2);
	memcpy(lines + nlines, line, n);
	nlines += n;
	lines[nlines++] = '\n';
	lines[nlines] = '\0';
}

static struct quern *
make_kernel(struct quern_proc **pp)
{
	struct quern_config cfg = { 0 };
	struct quern *k;

	cfg.host = quern_posix();
	cfg.components = components;
	cfg.log = note;
	nlines = 0;
	ck_assert_int_eq(quern_create(&cfg, &k), 0);
	ck_assert_int_eq(quern_proc_create(k, pp), 0);
	return k;
}

static int64_t
mount_image(struct quern_proc *p, const char *image, unsigned flags)
{
	struct tree_sys s = { .ts_proc = p };
	char source[3200];

	snprintf(source, sizeof(source), "file:%s", image);
	(void)TCALL(&s, SYS_mkdir, "/mnt", 0755);
	return TCALL(&s, SYS_mount, source, "/mnt", "ext4", flags, "");
}

static void
end_kernel(struct quern *k, struct quern_proc *p)
{
	struct tree_sys s = { .ts_proc = p };
	uint64_t leaks = 0;

	(void)TCALL(&s, SYS_umount2, "/mnt", 0);
	ck_assert_msg(quern_proc_destroy(p) == 0, "%s", lines);
	ck_assert_msg(quern_destroy_count(k, &leaks) == 0, "%s", lines);
	ck_assert_uint_eq(leaks, 0);
}

static void
make_tree(void)
{
	struct tree_sys host = { 0 };
	char path[3100];

	snprintf(dir, sizeof(dir), "%s/ext4.XXXXXX",
	    getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
	if (mkdtemp(dir) == NULL)
		abort();
	snprintf(path, sizeof(path), "%s/tree", dir);
	tree_make(path, 1, 150);
	tree_list(&host, path, &want);
}

START_TEST(reads)
{
	struct tree_text got = { 0 };
	struct quern_proc *p;
	struct tree_sys s = { 0 };
	char image[3100];
	const char *diff;
	struct quern *k;
	int64_t r;

	snprintf(image, sizeof(image), "%s/%s", dir, images[_i].name);
	if (tree_run("mke2fs -q -F %s -d %s/tree %s 64M >/dev/null 2>&1",
		images[_i].options, dir, image) != 0) {
		printf("SKIP: mke2fs can't make %s\n", images[_i].name);
		return;
	}
	k = make_kernel(&p);
	r = mount_image(p, image, 1);
	ck_assert_msg(r == 0, "mount: %s: %s", strerror((int)-r),
	    lines == NULL ? "" : lines);
	s.ts_proc = p;
	tree_list(&s, "/mnt", &got);
	diff = tree_differ(&want, &got);
	ck_assert_msg(diff == NULL, "%s: want %s\n%s", images[_i].name, diff,
	    lines == NULL ? "" : lines);
	ck_assert_uint_eq(got.tt_errors, 0);
	free(got.tt_p);
	end_kernel(k, p);
	unlink(image);
}
END_TEST

/* A process that may do what we may: the host's tests are the same user's. */
static struct quern_proc *
make_user(struct quern *k, struct quern_proc *root)
{
	struct tree_sys s = { .ts_proc = root };
	struct quern_proc *p;
	unsigned u = getuid(), g = getgid();

	ck_assert_int_eq(quern_proc_create(k, &p), 0);
	if (geteuid() == 0)
		return p;
	/* It was, if this is read-only. */
	(void)TCALL(&s, SYS_chown, "/mnt", u, g);
	s.ts_proc = p;
	ck_assert_int_eq(TCALL(&s, SYS_setgroups, 0, 0), 0);
	ck_assert_int_eq(TCALL(&s, SYS_setresgid, g, g, g), 0);
	ck_assert_int_eq(TCALL(&s, SYS_setresuid, u, u, u), 0);
	return p;
}

/* The host's kernel lists the image as it lists the tree, where it can mount it. */
static void
host_reads(const char *image, const char *name, const struct tree_text *want_)
{
	struct tree_sys host = { .ts_notimes = true };
	struct tree_text list = { 0 };
	char mnt[3100];
	const char *diff;

	snprintf(mnt, sizeof(mnt), "%s/mnt_%s", dir, name);
	mkdir(mnt, 0755);
	if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    tree_run("mount -o loop,ro %s %s 2>/dev/null", image, mnt) != 0) {
		printf("SKIP: the host does not mount %s\n", name);
		rmdir(mnt);
		return;
	}
	tree_list(&host, mnt, &list);
	diff = tree_differ(want_, &list);
	ck_assert_msg(diff == NULL, "%s: the host reads %s", name, diff);
	ck_assert_int_eq(umount(mnt), 0);
	rmdir(mnt);
	free(list.tt_p);
}

/* debugfs finds in the image what the files below `path` hold. */
static void
debugfs_reads(const char *image, const char *name, const char *path)
{
	if (geteuid() != 0) /* some files are not to be read by others */
		return;
	ck_assert_msg(
	    tree_run("mkdir %s/dump && debugfs -R 'rdump / %s/dump' %s "
		     ">/dev/null 2>&1 && cd %s && find . -type f >%s/files && "
		     "while read -r f; do cmp \"$f\" %s/dump/\"$f\" || exit 1; "
		     "done <%s/files",
		dir, dir, image, path, dir, dir, dir) == 0,
	    "%s: debugfs reads something else", name);
	tree_run("rm -rf %s/dump", dir);
}

/* What was done to an image and to a directory of the host's is the same. */
static void
write_image(const char *name, const char *options, unsigned seed)
{
	struct tree_text host_list = { 0 }, got = { 0 }, again = { 0 };
	struct tree_sys host = { .ts_notimes = true }, s = host;
	char image[3100], path[3100];
	struct quern_proc *p;
	const char *diff;
	struct quern *k;
	int64_t r;

	snprintf(image, sizeof(image), "%s/w_%s", dir, name);
	snprintf(path, sizeof(path), "%s/h_%s", dir, name);
	if (tree_run("mke2fs -q -F %s %s 32M >/dev/null 2>&1", options,
		image) != 0) {
		printf("SKIP: mke2fs can't make %s\n", name);
		return;
	}
	mkdir(path, 0755);
	k = make_kernel(&p);
	r = mount_image(p, image, 0);
	ck_assert_msg(r == 0, "%s: mount: %s: %s", name, strerror((int)-r),
	    lines == NULL ? "" : lines);
	s.ts_proc = make_user(k, p);
	s.ts_nofalloc = strstr(options, "ext2") != NULL ||
	    strstr(options, "ext3") != NULL ||
	    strstr(options, "^extent") != NULL;
	diff = tree_play(&host, path, &s, "/mnt", seed, 1500);
	ck_assert_msg(diff == NULL, "%s: %s\n%s", name, diff,
	    lines == NULL ? "" : lines);
	tree_list(&host, path, &host_list);
	tree_list(&s, "/mnt", &got);
	diff = tree_differ(&host_list, &got);
	ck_assert_msg(diff == NULL, "%s: want %s\n%s", name, diff,
	    lines == NULL ? "" : lines);
	ck_assert_int_eq(quern_proc_destroy(s.ts_proc), 0);
	end_kernel(k, p);
	ck_assert_msg(tree_run("e2fsck -fn %s >%s/fsck 2>&1 || "
			       "{ head -40 %s/fsck; exit 1; }",
			  image, dir, dir) == 0,
	    "%s: e2fsck\n%s", name, lines == NULL ? "" : lines);
	k = make_kernel(&p);
	r = mount_image(p, image, 1);
	ck_assert_msg(r == 0, "%s: mount again: %s", name, strerror((int)-r));
	s.ts_proc = make_user(k, p);
	tree_list(&s, "/mnt", &again);
	diff = tree_differ(&host_list, &again);
	ck_assert_msg(diff == NULL, "%s: then %s\n%s", name, diff,
	    lines == NULL ? "" : lines);
	ck_assert_int_eq(quern_proc_destroy(s.ts_proc), 0);
	end_kernel(k, p);
	host_reads(image, name, &host_list);
	debugfs_reads(image, name, path);
	free(host_list.tt_p);
	free(got.tt_p);
	free(again.tt_p);
	unlink(image);
	tree_run("rm -rf %s", path);
}

START_TEST(writes)
{
	if (strcmp(images[_i].name, "quota") != 0 &&
	    strcmp(images[_i].name, "mmp") != 0)
		write_image(images[_i].name, images[_i].options,
		    (unsigned)_i + 1);
}
END_TEST

/* ---- what others have made ------------------------------------------------------- */

static struct tree_text real_list;
static bool have_real;

/* Gather real trees of the host's, of which it lists what must be found. */
static void
gather_real(void)
{
	struct tree_sys host = { 0 };
	char path[3100];

	have_real =
	    tree_run("mkdir %s/real && cd %s/real && "
		     "for d in /usr/share/zoneinfo /usr/share/perl "
		     "/usr/lib/python3*/json /usr/lib/python3*/email; do "
		     "test ! -d $d || cp -a --parents $d . || exit 1; done && "
		     "test -n \"$(ls)\"",
		dir, dir) == 0;
	if (!have_real) {
		printf("SKIP: no real trees here\n");
		return;
	}
	snprintf(path, sizeof(path), "%s/real", dir);
	tree_list(&host, path, &real_list);
}

START_TEST(reads_real)
{
	struct tree_sys s = { 0 };
	struct tree_text list = { 0 };
	struct quern_proc *p;
	char image_[3100];
	const char *diff;
	struct quern *k;
	int64_t r;

	if (!have_real)
		return;
	snprintf(image_, sizeof(image_), "%s/real_%s", dir, images[_i].name);
	if (tree_run("mke2fs -q -F %s -d %s/real %s 400M >/dev/null 2>&1",
		images[_i].options, dir, image_) != 0) {
		printf("SKIP: mke2fs can't make %s\n", images[_i].name);
		unlink(image_);
		return;
	}
	k = make_kernel(&p);
	r = mount_image(p, image_, 1);
	ck_assert_msg(r == 0, "%s: mount: %s: %s", images[_i].name,
	    strerror((int)-r), lines == NULL ? "" : lines);
	s.ts_proc = p;
	tree_list(&s, "/mnt", &list);
	diff = tree_differ(&real_list, &list);
	ck_assert_msg(diff == NULL, "%s: want %s\n%s", images[_i].name, diff,
	    lines == NULL ? "" : lines);
	end_kernel(k, p);
	free(list.tt_p);
	unlink(image_);
}
END_TEST

/* ---- what is refused ------------------------------------------------------------ */

static const struct {
	const char *name, *options, *command;
	unsigned flags;
	int result;
	const char *line;
} refusals[] = {
	{ "unknown", "", "ssv feature_incompat 0x80002c2", 1, -EOPNOTSUPP,
	    "FEATURE_I27" },
	{ "unknown_ro", "", "ssv feature_ro_compat 0x400006b", 0, 0,
	    "FEATURE_R26" },
	{ "casefold", "-O casefold", NULL, 1, -EOPNOTSUPP, "casefold" },
	{ "encrypt", "-O encrypt", NULL, 1, -EOPNOTSUPP, "encrypt" },
	{ "journal_dev", "-O journal_dev", NULL, 1, -EOPNOTSUPP,
	    "journal_dev" },
	{ "external", "", "ssv journal_inum 0", 1, -EOPNOTSUPP,
	    "external journal" },
	{ "quota", "-O quota", NULL, 0, 0, "quota" },
};

START_TEST(refuses)
{
	char image[3100];
	struct quern_proc *p;
	struct quern *k;
	int64_t r;

	snprintf(image, sizeof(image), "%s/r_%s", dir, refusals[_i].name);
	/* Without checksums, so that debugfs can say anything. */
	ck_assert_int_eq(tree_run("mke2fs -q -F -t ext4 -O ^metadata_csum %s "
				  "%s 8M >/dev/null 2>&1",
			     refusals[_i].options, image),
	    0);
	if (refusals[_i].command != NULL)
		ck_assert_int_eq(
		    tree_run("debugfs -w -R '%s' %s >/dev/null 2>&1",
			refusals[_i].command, image),
		    0);
	k = make_kernel(&p);
	r = mount_image(p, image, refusals[_i].flags);
	ck_assert_msg(r == refusals[_i].result, "%s: %lld\n%s",
	    refusals[_i].name, (long long)r, lines == NULL ? "" : lines);
	ck_assert_msg(lines != NULL && strstr(lines, refusals[_i].line) != NULL,
	    "%s: %s", refusals[_i].name, lines == NULL ? "" : lines);
	if (r == 0) {
		struct tree_sys s = { .ts_proc = p };

		ck_assert_int_eq(TCALL(&s, SYS_mkdir, "/mnt/d", 0755), -EROFS);
	}
	end_kernel(k, p);
	unlink(image);
}
END_TEST

/* Damage that is met within a change: read-only from then on, and no hang. */
START_TEST(damaged)
{
	static const char *const kinds[] = { "-O ^metadata_csum",
		"-O ^metadata_csum,^has_journal" };
	struct timespec nap = { 0, 10000000 };
	struct tree_sys s = { 0 };
	struct quern_proc *p;
	const size_t size = (size_t)16 << 20;
	char image[3100], *mem = malloc(size);
	struct quern *k;
	struct qdisk *d;
	int fd;

	snprintf(image, sizeof(image), "%s/damaged%d", dir, _i);
	/* A block of a file that the bitmap has as free. */
	ck_assert_int_eq(
	    tree_run("cd %s && head -c 9000 /dev/zero | tr '\\0' x "
		     ">f && mke2fs -q -F -t ext4 %s %s 16M "
		     ">/dev/null 2>&1 && debugfs -w -R 'write f f' "
		     "%s >/dev/null 2>&1 && debugfs -w -R "
		     "\"freeb $(debugfs -R 'blocks f' %s "
		     "2>/dev/null | cut -d' ' -f1)\" %s "
		     ">/dev/null 2>&1",
		dir, kinds[_i], image, image, image, image),
	    0);
	/* In memory, where requests end before their threads could sleep. */
	fd = open(image, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(read(fd, mem, size), (ssize_t)size);
	close(fd);
	k = make_kernel(&p);
	ck_assert_int_eq(quern_disk_memory(k, "mem", mem, size, 0, &d), 0);
	s.ts_proc = p;
	ck_assert_int_eq(TCALL(&s, SYS_mkdir, "/mnt", 0755), 0);
	ck_assert_int_eq(TCALL(&s, SYS_mount, "mem", "/mnt", "ext4", 0, ""), 0);
	ck_assert_int_eq(TCALL(&s, SYS_mkdir, "/mnt/d", 0755), 0);
	ck_assert_int_eq(TCALL(&s, SYS_truncate, "/mnt/f", 0), -EUCLEAN);
	(void)TCALL(&s, SYS_sync, 0);
	ck_assert_int_eq(TCALL(&s, SYS_mkdir, "/mnt/e", 0755), -EROFS);
	ck_assert_msg(strstr(lines, "a block is freed that is free") != NULL,
	    "%s", lines);
	/* Whatever works in the background comes to an end. */
	ck_assert_int_eq(TCALL(&s, SYS_nanosleep, &nap, 0), 0);
	ck_assert_int_eq(TCALL(&s, SYS_umount2, "/mnt", 0), 0);
	ck_assert_int_eq(quern_disk_close(d), 0);
	end_kernel(k, p);
	free(mem);
	unlink(image);
}
END_TEST

/* ---- room ----------------------------------------------------------------------- */

static int64_t
fill(const struct tree_sys *s, const char *path, int64_t max)
{
	static char buf[4096];
	int64_t fd = TCALL(s, SYS_open, path, O_CREAT | O_WRONLY, 0644);
	int64_t at, n = 0;

	ck_assert_int_ge(fd, 0);
	for (at = 0; at < max; at += n) {
		memset(buf, 1 + (int)(at >> 12) % 200, sizeof(buf));
		n = TCALL(s, SYS_write, fd, buf, sizeof(buf));
		if (n <= 0)
			break;
	}
	ck_assert_int_eq(TCALL(s, SYS_fsync, fd), 0);
	ck_assert_int_eq(TCALL(s, SYS_close, fd), 0);
	return n < 0 && at == 0 ? n : at;
}

/* A large file in few extents; a full disk; nothing of what was accepted is lost. */
START_TEST(room)
{
	static const char *const kinds[] = { "-t ext4", "-t ext2",
		"-t ext4 -b 1024", "-t ext4 -O bigalloc -C 65536",
		"-t ext4 -O ^has_journal" };
	char image[3100], buf[4096];
	struct tree_sys s = { 0 };
	struct quern_proc *p;
	struct quern *k;
	int64_t big, more, fd, at, r;

	snprintf(image, sizeof(image), "%s/room%d", dir, _i);
	ck_assert_int_eq(tree_run("mke2fs -q -F %s %s 48M >/dev/null 2>&1",
			     kinds[_i], image),
	    0);
	k = make_kernel(&p);
	ck_assert_int_eq(mount_image(p, image, 0), 0);
	s.ts_proc = p;
	big = fill(&s, "/mnt/big", 16 << 20);
	ck_assert_int_eq(big, 16 << 20);
	more = fill(&s, "/mnt/more", 1 << 30);
	ck_assert_msg(more > 10 << 20 && more < 48 << 20, "%lld",
	    (long long)more);
	ck_assert_int_eq(fill(&s, "/mnt/none", 1 << 20), -ENOSPC);
	fd = TCALL(&s, SYS_open, "/mnt/more", O_RDONLY);
	for (at = 0; at < more; at += r) {
		r = TCALL(&s, SYS_read, fd, buf, sizeof(buf));
		ck_assert_msg(r > 0, "%lld at %lld", (long long)r,
		    (long long)at);
		ck_assert_int_eq(buf[0], (char)(1 + (int)(at >> 12) % 200));
	}
	(void)TCALL(&s, SYS_close, fd);
	ck_assert_int_eq(TCALL(&s, SYS_unlink, "/mnt/more"), 0);
	ck_assert_int_ge(fill(&s, "/mnt/again", 1 << 20), 1 << 20);
	end_kernel(k, p);
	ck_assert_int_eq(tree_run("e2fsck -fn %s >%s/fsck 2>&1 || "
				  "{ head -40 %s/fsck; exit 1; }",
			     image, dir, dir),
	    0);
	if (_i != 1)
		ck_assert_int_eq(
		    tree_run("debugfs -R 'ex /big' %s 2>/dev/null |"
			     " awk '$1 ~ /0\\/|1\\// && "
			     "$2 ~ /[0-9]/ { n++ } "
			     "END { exit n < 1 || n > 12 }'",
			image),
		    0);
	unlink(image);
}
END_TEST

/* ---- attributes with inodes of their own ------------------------------------------- */

static char value[65536], got[65536];

static void
make_value(size_t len, unsigned seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		value[i] = (char)(seed + i * 7 + i / 251);
}

static void
set_value(const struct tree_sys *s, const char *path, const char *name,
    size_t len, unsigned seed)
{
	make_value(len, seed);
	ck_assert_int_eq(TCALL(s, SYS_setxattr, path, name, value, len, 0), 0);
}

static void
has_value(const struct tree_sys *s, const char *path, const char *name,
    size_t len, unsigned seed)
{
	make_value(len, seed);
	ck_assert_int_eq(TCALL(s, SYS_getxattr, path, name, got, sizeof(got)),
	    (int64_t)len);
	ck_assert(memcmp(got, value, len) == 0);
}

static void
must_be_clean(const char *image)
{
	ck_assert_int_eq(tree_run("e2fsck -fn %s >%s/fsck 2>&1 || "
				  "{ head -40 %s/fsck; exit 1; }",
			     image, dir, dir),
	    0);
}

/* Values of all sizes, some that change and some that go with their files. */
static void
set_values(const struct tree_sys *s)
{
	char path[100];
	unsigned i;

	ck_assert_int_eq(TCALL(s, SYS_mknod, "/mnt/f", S_IFREG | 0600, 0), 0);
	set_value(s, "/mnt/f", "user.big", 60000, 1);
	set_value(s, "/mnt/f", "user.small", 5, 2);
	set_value(s, "/mnt/f", "user.biggest", 65536, 3);
	has_value(s, "/mnt/f", "user.big", 60000, 1);
	/* Another value, and one that needs no inode any more. */
	set_value(s, "/mnt/f", "user.biggest", 20001, 4);
	set_value(s, "/mnt/f", "user.other", 9000, 5);
	set_value(s, "/mnt/f", "user.other", 9, 6);
	/* Many that would each fit, but not together. */
	for (i = 0; i < 6; i++) {
		snprintf(path, sizeof(path), "user.many%u", i);
		set_value(s, "/mnt/f", path, 700, i);
	}
	/* Files that go with what they have. */
	for (i = 0; i < 10; i++) {
		snprintf(path, sizeof(path), "/mnt/gone%u", i);
		ck_assert_int_eq(TCALL(s, SYS_mkdir, path, 0700), 0);
		set_value(s, path, "user.x", 8000 + i, i);
	}
	for (i = 0; i < 9; i++) {
		snprintf(path, sizeof(path), "/mnt/gone%u", i);
		ck_assert_int_eq(TCALL(s, SYS_rmdir, path), 0);
	}
}

START_TEST(large_attributes)
{
	static const char *const kinds[] = { "", "-b 1024", "-O bigalloc",
		"-O ^extent,^64bit", "-O ^has_journal", "-O ^metadata_csum" };
	char image[3100], file[3100];
	struct tree_sys s = { 0 };
	struct quern_proc *p;
	struct quern *k;
	int fd;

	snprintf(image, sizeof(image), "%s/large%d", dir, _i);
	ck_assert_int_eq(tree_run("mke2fs -q -F -t ext4 -O ea_inode %s %s 32M "
				  ">/dev/null 2>&1",
			     kinds[_i], image),
	    0);
	k = make_kernel(&p);
	ck_assert_int_eq(mount_image(p, image, 0), 0);
	s.ts_proc = p;
	set_values(&s);
	end_kernel(k, p);
	must_be_clean(image);
	make_value(60000, 1);
	ck_assert_int_eq(tree_run("debugfs -R 'ea_get -f %s/value /f user.big' "
				  "%s >/dev/null 2>&1",
			     dir, image),
	    0);
	snprintf(file, sizeof(file), "%s/value", dir);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(read(fd, got, sizeof(got)), 60000);
	close(fd);
	ck_assert(memcmp(got, value, 60000) == 0);
	k = make_kernel(&p);
	ck_assert_int_eq(mount_image(p, image, 0), 0);
	s.ts_proc = p;
	has_value(&s, "/mnt/f", "user.big", 60000, 1);
	has_value(&s, "/mnt/f", "user.small", 5, 2);
	has_value(&s, "/mnt/f", "user.biggest", 20001, 4);
	has_value(&s, "/mnt/f", "user.other", 9, 6);
	has_value(&s, "/mnt/f", "user.many3", 700, 3);
	has_value(&s, "/mnt/gone9", "user.x", 8009, 9);
	ck_assert_int_eq(TCALL(&s, SYS_removexattr, "/mnt/f", "user.big"), 0);
	ck_assert_int_eq(TCALL(&s, SYS_getxattr, "/mnt/f", "user.big", got, 0),
	    -ENODATA);
	ck_assert_int_eq(TCALL(&s, SYS_unlink, "/mnt/f"), 0);
	ck_assert_int_eq(TCALL(&s, SYS_rmdir, "/mnt/gone9"), 0);
	end_kernel(k, p);
	must_be_clean(image);
	/* Nothing is left of them. */
	ck_assert_int_eq(tree_run("dumpe2fs -h %s 2>/dev/null | awk '"
				  "/^Inode count/ { n = $3 } "
				  "/^Free inodes/ { f = $3 } "
				  "END { exit n - f > 12 }'",
			     image),
	    0);
	unlink(image);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ext4");
	TCase *tc = tcase_create("read");
	const char *mode = getenv("QUERN_MODE");
	SRunner *sr;
	int failed;

	if (system("mke2fs -V >/dev/null 2>&1") != 0) {
		printf("SKIP: mke2fs is absent\n");
		return EXIT_SUCCESS;
	}
	make_tree();
	gather_real();
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, reads, 0,
	    (int)(sizeof(images) / sizeof(images[0])));
	/* Sanitizers have seen it all by then. */
	tcase_add_loop_test(tc, reads_real, 0,
	    mode != NULL && *mode != '\0' ?
		3 :
		(int)(sizeof(images) / sizeof(images[0])));
	suite_add_tcase(s, tc);
	tc = tcase_create("write");
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, writes, 0,
	    (int)(sizeof(images) / sizeof(images[0])));
	suite_add_tcase(s, tc);
	tc = tcase_create("room");
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, room, 0, 5);
	suite_add_tcase(s, tc);
	tc = tcase_create("large attributes");
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, large_attributes, 0, 6);
	suite_add_tcase(s, tc);
	tc = tcase_create("refuse");
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, damaged, 0, 2);
	tcase_add_loop_test(tc, refuses, 0,
	    (int)(sizeof(refusals) / sizeof(refusals[0])));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	tree_run("rm -rf %s", dir);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
