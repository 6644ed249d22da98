/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quern fs with whole trees: what goes in comes out the same, e2fsck finds nothing
 * wrong, a full disk and a signal leave a clean image.
 */
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tests/vfs/ext4/tree.h>

#include "runquern.h"

static char work[512], image[600];

static void
set_up(void)
{
	const char *dir = getenv("TMPDIR");

	snprintf(work, sizeof(work), "%s/fs.XXXXXX",
	    dir != NULL ? dir : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(work));
	snprintf(image, sizeof(image), "%s/image", work);
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
}

static void
tear_down(void)
{
	tree_run("chmod -R u+rwx '%s' && rm -rf '%s'", work, work);
}

static void
make_image(const char *options, const char *size)
{
	ck_assert_int_eq(tree_run("mke2fs -q -F %s '%s' %s >/dev/null 2>&1",
			     options, image, size),
	    0);
}

static void
must_be_clean(void)
{
	ck_assert_int_eq(tree_run("e2fsck -fn '%s' >'%s/fsck' 2>&1 || "
				  "{ cat '%s/fsck'; false; }",
			     image, work, work),
	    0);
}

/* `quern fs IMAGE` with the arguments up to NULL. */
static void
run_fs(struct run *r, const char *arg, ...)
{
	const char *argv[RUN_ARGS] = { "", "fs", image };
	unsigned n = 3;
	va_list ap;

	va_start(ap, arg);
	for (; arg != NULL && n < RUN_ARGS - 1; arg = va_arg(ap, const char *))
		argv[n++] = arg;
	va_end(ap);
	run_quern(r, argv, "", 0);
}

static void
must_do(struct run *r)
{
	if (r->r_status != 0 || *r->r_err != '\0')
		ck_abort_msg("status %d: %s%s", r->r_status, r->r_err,
		    r->r_out);
	run_free(r);
}

/* A path below the work directory; static, two at a time. */
static const char *
in_work(const char *rest)
{
	static char buf[2][700];
	static unsigned i;

	i = !i;
	snprintf(buf[i], sizeof(buf[i]), "%s/%s", work, rest);
	return buf[i];
}

static void
must_equal(const char *a, const char *b)
{
	static const struct tree_sys host;
	struct tree_text x = { 0 }, y = { 0 };
	const char *diff;

	tree_list(&host, a, &x);
	tree_list(&host, b, &y);
	diff = tree_differ(&x, &y);
	if (diff != NULL)
		ck_abort_msg("%s and %s: %s", a, b, diff);
	ck_assert_uint_gt(x.tt_files, 0);
	free(x.tt_p);
	free(y.tt_p);
}

/* ---- put and get ------------------------------------------------------------------ */

static const char *const formats[] = { "-t ext4", "-t ext4 -b 1024", "-t ext2",
	"-t ext3 -O ^dir_index -b 2048" };

/* What tree_list does not look at; before that reads the file. */
static void
has_times(const char *path, const struct timespec ts[2])
{
	struct stat st;

	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert_int_eq(st.st_atim.tv_sec, ts[0].tv_sec);
	ck_assert_int_eq(st.st_atim.tv_nsec, ts[0].tv_nsec);
	ck_assert_int_eq(st.st_mtim.tv_sec, ts[1].tv_sec);
	ck_assert_int_eq(st.st_mtim.tv_nsec, ts[1].tv_nsec);
}

START_TEST(round_trip)
{
	const char *tree = in_work("tree");
	struct timespec ts[2] = { { 1000000000, 123456789 },
		{ 1234567890, 987654321 } };
	struct stat st;
	struct run r;

	tree_make(tree, 7 + (unsigned)_i, 60);
	ck_assert_int_eq(utimensat(AT_FDCWD, in_work("tree/big"), ts, 0), 0);
	make_image(formats[_i], "32M");
	run_fs(&r, "put", in_work("tree"), "/copy", NULL);
	must_do(&r);
	must_be_clean();
	run_fs(&r, "get", "/copy", in_work("out"), NULL);
	must_do(&r);
	has_times(in_work("out/big"), ts);
	must_equal(in_work("tree"), in_work("out"));
	ck_assert_int_eq(lstat(in_work("out/sparse"), &st), 0);
	ck_assert_int_lt(st.st_blocks, 1024);

	/* Within the image, and onto what is there. */
	run_fs(&r, "cp", "-a", "/copy", "/again", NULL);
	must_do(&r);
	run_fs(&r, "put", in_work("tree"), "/copy/..", NULL);
	must_do(&r);
	run_fs(&r, "put", in_work("tree/."), "/again", NULL);
	must_do(&r);
	must_be_clean();
	run_fs(&r, "get", "-r", "/again", "/tree", in_work("."), NULL);
	ck_assert_int_eq(r.r_status, 0);
	run_free(&r);
	must_equal(in_work("again"), in_work("out"));
	must_equal(in_work("tree"), in_work("out"));
	run_fs(&r, "rm", "-r", "/copy", "/again", "/tree", NULL);
	must_do(&r);
	must_be_clean();
}
END_TEST

static const char *const real[] = { "/usr/share/zoneinfo", "/usr/share/perl" };

START_TEST(real_tree)
{
	struct stat st;
	struct run r;

	if (stat(real[_i], &st) != 0) {
		printf("SKIP: there is no %s\n", real[_i]);
		return;
	}
	make_image("-t ext4", "64M");
	run_fs(&r, "put", real[_i], "/", NULL);
	must_do(&r);
	must_be_clean();
	run_fs(&r, "get", _i == 0 ? "/zoneinfo" : "/perl", in_work("out"),
	    NULL);
	must_do(&r);
	must_equal(real[_i], in_work("out"));
}
END_TEST

/* What may not be done is said, and nothing else. */
START_TEST(refusals)
{
	struct run r;
	unsigned i;
	static const struct {
		const char *argv[4], *says;
	} bad[] = {
		{ { "put", "/nonesuch", "/x" }, "put: /nonesuch: No such" },
		{ { "put", "/etc", "/dir/file" }, "/dir/file: Not a dir" },
		{ { "put", "/etc/passwd", "/no/x" }, "/no/x: No such" },
		{ { "put", "/etc/passwd" }, "`quern help fs`" },
		{ { "cp", "/dir", "/x" }, "/dir: Is a directory" },
		{ { "cp", "/dir/file", "/dir/file" }, "the same file" },
		{ { "cp", "-r", "/dir", "/dir/x" }, "into itself" },
		{ { "cp", "/dir/file", "/dir", "/f" }, "/f: Not a dir" },
		{ { "get", "/dir/none", "/nonesuch/y" }, "/dir/none: No such" },
		{ { "get", "/dir/file", "/nonesuch/y" }, "/nonesuch/y: No" },
	};

	make_image("-t ext4", "8M");
	run_fs(&r, "mkdir", "/dir", NULL);
	must_do(&r);
	run_fs(&r, "touch", "/dir/file", NULL);
	must_do(&r);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		run_fs(&r, bad[i].argv[0], bad[i].argv[1], bad[i].argv[2],
		    bad[i].argv[3], NULL);
		if (r.r_status == 0 || strstr(r.r_err, bad[i].says) == NULL ||
		    strchr(r.r_err, '\n') != strrchr(r.r_err, '\n'))
			ck_abort_msg("%s: status %d, %s", bad[i].says,
			    r.r_status, r.r_err);
		run_free(&r);
	}
	must_be_clean();
}
END_TEST

/* A symlink that the image has is not followed on the host. */
START_TEST(no_escape)
{
	struct stat st;
	struct run r;

	make_image("-t ext4", "8M");
	run_fs(&r, "mkdir", "/d", NULL);
	must_do(&r);
	run_fs(&r, "put", "/etc/passwd", "/d/file", NULL);
	must_do(&r);
	ck_assert_int_eq(mkdir(in_work("out"), 0755), 0);
	ck_assert_int_eq(symlink("../victim", in_work("out/file")), 0);
	run_fs(&r, "get", "/d/.", in_work("out"), NULL);
	must_do(&r);
	ck_assert_int_ne(lstat(in_work("victim"), &st), 0);
	ck_assert_int_eq(lstat(in_work("out/file"), &st), 0);
	ck_assert(S_ISREG(st.st_mode));

	/* Nor one to a directory, below what was named. */
	ck_assert_int_eq(mkdir(in_work("elsewhere"), 0755), 0);
	ck_assert_int_eq(symlink("elsewhere", in_work("d")), 0);
	run_fs(&r, "get", "/.", in_work("."), NULL);
	ck_assert_int_eq(r.r_status, 1);
	ck_assert_ptr_nonnull(strstr(r.r_err, "d: Not a directory"));
	run_free(&r);
	ck_assert_int_ne(lstat(in_work("elsewhere/file"), &st), 0);
}
END_TEST

/* ---- tar ---------------------------------------------------------------------------- */

/* Was it built without libarchive? */
static bool
no_tar(void)
{
	struct run r;
	bool no;

	make_image("-t ext4", "8M");
	run_fs(&r, "tar", "-c", "/", NULL);
	no = strstr(r.r_err, "without libarchive") != NULL;
	if (no)
		printf("SKIP: built without libarchive\n");
	run_free(&r);
	return no;
}

/* An ACL, and one for new files. */
static bool
add_acls(const char *dir)
{
	static const struct {
		uint32_t version;
		struct {
			uint16_t tag, perm;
			uint32_t id;
		} e[5];
	} acl = { 2,
		{ { 0x01, 7, UINT32_MAX }, { 0x02, 5, 1234 },
		    { 0x04, 1, UINT32_MAX }, { 0x10, 5, UINT32_MAX },
		    { 0x20, 4, UINT32_MAX } } };

	return setxattr(dir, "system.posix_acl_default", &acl, sizeof(acl),
		   0) == 0 &&
	    setxattr(dir, "system.posix_acl_access", &acl, sizeof(acl), 0) == 0;
}

/* Through archives that the host's tar reads and writes, all kept. */
START_TEST(tar)
{
	struct run r;

	if (no_tar())
		return;
	if (tree_run("tar --version | grep -q GNU") != 0) {
		printf("SKIP: there is no GNU tar\n");
		return;
	}
	tree_make(in_work("tree"), 21, 60);
	if (!add_acls(in_work("tree/dir1")))
		printf("# no ACLs here\n");
	make_image("-t ext4", "32M");
	run_fs(&r, "put", in_work("tree"), "/", NULL);
	must_do(&r);
	run_fs(&r, "tar", "-c", "-f", in_work("a.tar"), "-C", "/tree", NULL);
	must_do(&r);
	ck_assert_int_eq(mkdir(in_work("out"), 0755), 0);
	ck_assert_int_eq(tree_run("tar -x --xattrs --xattrs-include='*' --acls "
				  "-p -f '%s/a.tar' -C '%s/out'",
			     work, work),
	    0);
	must_equal(in_work("tree"), in_work("out"));

	ck_assert_int_eq(tree_run("tar -c --xattrs --acls --format=pax -S "
				  "-f '%s/b.tar' -C '%s' tree",
			     work, work),
	    0);
	make_image("-t ext4 -b 1024", "32M");
	run_fs(&r, "tar", "-x", "-f", in_work("b.tar"), NULL);
	must_do(&r);
	/* Onto what is there. */
	run_fs(&r, "tar", "-xf", in_work("b.tar"), NULL);
	must_do(&r);
	run_fs(&r, "mkdir", "-p", "/x/y", NULL);
	must_do(&r);
	run_fs(&r, "tar", "-xf", in_work("a.tar"), "-C", "/x/y", NULL);
	must_do(&r);
	must_be_clean();
	run_fs(&r, "get", "/tree", in_work("b"), NULL);
	must_do(&r);
	run_fs(&r, "get", "/x/y", in_work("a"), NULL);
	must_do(&r);
	must_equal(in_work("tree"), in_work("b"));
	must_equal(in_work("tree"), in_work("a"));
}
END_TEST

static const struct {
	const char *format, *filter;
} archives[] = { { "pax", "gzip" }, { "pax", "xz" }, { "pax", "zstd" },
	{ "gnutar", "bzip2" }, { "ustar", "lz4" }, { "newc", "gzip" },
	{ "odc", "none" }, { "zip", "none" }, { "7zip", "none" } };

/* What every format can hold comes back. */
START_TEST(archive_format)
{
	static const char text[] =
	    "mkdir -p /t/d/e\nput /etc/passwd /t/d/file\n"
	    "ln -s ../file /t/d/e/link\ntouch /t/empty\nchmod 640 /t/empty\n"
	    "ln /t/d/file /t/d/e/other\n";
	const char *argv[] = { "", "fs", image, "script", "-", NULL };
	char format[32], filter[32];
	struct run r;

	if (no_tar())
		return;
	run_quern(&r, argv, text, strlen(text));
	must_do(&r);
	run_fs(&r, "get", "/t", in_work("t"), NULL);
	must_do(&r);
	snprintf(format, sizeof(format), "--format=%s", archives[_i].format);
	snprintf(filter, sizeof(filter), "--filter=%s", archives[_i].filter);
	run_fs(&r, "tar", "-c", format, filter, "-f", in_work("archive"), "/t",
	    NULL);
	must_do(&r);
	make_image("-t ext4", "8M");
	run_fs(&r, "tar", "-xf", in_work("archive"), NULL);
	must_do(&r);
	must_be_clean();
	run_fs(&r, "get", "/t", in_work("out"), NULL);
	must_do(&r);
	ck_assert_int_eq(tree_run("diff -r '%s/t' '%s/out'", work, work), 0);
	ck_assert_int_eq(tree_run("test \"$(stat -c %%a '%s/out/empty')\" = "
				  "640 -a -L '%s/out/d/e/link'",
			     work, work),
	    0);
}
END_TEST

/* Archives that are wrong: one line, the image clean. */
START_TEST(bad_archive)
{
	static const char *const makers[][2] = {
		{ "head -c 3000 /bin/sh >'%s/a'", "archive: Unrec" },
		{ "tar -cf - -C / etc/passwd | head -c 700 >'%s/a'",
		    "etc/passwd: Truncated" },
		{ "tar -cf '%s/a' -P --transform 's,^,../,' /etc/passwd",
		    "a name with '..'" },
		{ "tar -cf - -C / usr/bin | head -c 9000000 >'%s/a'",
		    ": No space left on device" },
	};
	char line[1200];
	struct run r;

	if (no_tar())
		return;
	snprintf(line, sizeof(line), makers[_i][0], work);
	(void)tree_run("%s", line);
	make_image("-t ext4", "4M");
	run_fs(&r, "tar", "-xf", in_work("a"), NULL);
	if (r.r_status != 1 || strstr(r.r_err, makers[_i][1]) == NULL ||
	    strchr(r.r_err, '\n')[1] != '\0')
		ck_abort_msg("status %d: %s", r.r_status, r.r_err);
	run_free(&r);
	must_be_clean();
}
END_TEST

/* ---- a full disk, signals ------------------------------------------------------------- */

START_TEST(full)
{
	struct run r;
	char *line;

	tree_make(in_work("tree"), 3, 60);
	make_image(_i == 0 ? "-t ext4" : "-t ext4 -N 64",
	    _i == 0 ? "4M" : "32M");
	run_fs(&r, "put", in_work("tree"), "/", NULL);
	ck_assert_int_eq(r.r_status, 1);
	line = strstr(r.r_err, "quern fs: put: /tree/");
	if (line != r.r_err || strchr(line, '\n')[1] != '\0' ||
	    strstr(line, ": No space left on device\n") == NULL)
		ck_abort_msg("%s", r.r_err);
	run_free(&r);
	must_be_clean();
	run_fs(&r, "rm", "-r", "/tree", NULL);
	must_do(&r);
	must_be_clean();
}
END_TEST

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

/*
 * A script from a pipe, which says by its output how far it is; then the signal,
 * while it waits for more.
 */
START_TEST(killed)
{
	static const char text[] = "mkdir /a\nput /etc/passwd /a/b\nls /a\n";
	int in[2], out[2], status;
	char byte;
	pid_t pid;
	struct run r;

	make_image("-t ext4", "8M");
	ck_assert_int_eq(pipe(in), 0);
	ck_assert_int_eq(pipe(out), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)dup2(in[0], 0);
		(void)dup2(out[1], 1);
		close(in[1]);
		execl(quern_path(), "quern", "fs", image, "script", "-", NULL);
		_exit(127);
	}
	ck_assert_int_eq(write(in[1], text, strlen(text)), strlen(text));
	ck_assert_int_eq(read(out[0], &byte, 1), 1);
	ck_assert_int_eq(byte, 'b');
	ck_assert_int_eq(kill(pid, signals[_i]), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), signals[_i]);
	close(in[0]);
	close(in[1]);
	close(out[0]);
	close(out[1]);
	must_be_clean();
	/* Unmounted, too: no journal to replay. */
	ck_assert_int_ne(tree_run("dumpe2fs -h '%s' 2>/dev/null | "
				  "grep -q needs_recovery",
			     image),
	    0);
	run_fs(&r, "cat", "/a/b", NULL);
	ck_assert_ptr_nonnull(strstr(r.r_out, "root:"));
	must_do(&r);
}
END_TEST

/*
 * While it reads what never ends.  It has begun to when the pipe, which holds less
 * than was written into it, takes more.
 */
START_TEST(killed_writing)
{
	static const char zeroes[65536];
	int in[2], status, i;
	struct run r;
	pid_t pid;

	make_image("-t ext4", "8M");
	ck_assert_int_eq(pipe(in), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)dup2(in[0], 0);
		close(in[1]);
		execl(quern_path(), "quern", "fs", image, "write", "/f", NULL);
		_exit(127);
	}
	close(in[0]);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(write(in[1], zeroes, sizeof(zeroes)),
		    (ssize_t)sizeof(zeroes));
	ck_assert_int_eq(kill(pid, SIGINT), 0);
	/* It may have been about to read. */
	close(in[1]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGINT);
	must_be_clean();
	run_fs(&r, "stat", "/f", NULL);
	must_do(&r);
}
END_TEST

/*
 * On a terminal, how far it is, and the line is gone at the end.  (Elsewhere
 * nothing: `must_do` wants no messages.)
 */
START_TEST(progress)
{
	bool tar = _i == 1;
	char text[16384];
	size_t len = 0;
	int master, slave, status;
	ssize_t n;
	pid_t pid;

	if (tar && no_tar())
		return;
	tree_make(in_work("tree"), 3, 60);
	ck_assert_int_eq(tree_run("cd '%s' && tar -cSf tree.tar tree", work),
	    0);
	make_image("-t ext4", "32M");
	ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)dup2(slave, 2);
		close(master);
		close(slave);
		if (tar)
			execl(quern_path(), "quern", "fs", image, "tar", "-xf",
			    in_work("tree.tar"), NULL);
		execl(quern_path(), "quern", "fs", image, "put",
		    in_work("tree"), "/", NULL);
		_exit(127);
	}
	close(slave);
	/* The end of a terminal is an error. */
	while (len < sizeof(text) - 1 &&
	    (n = read(master, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(master);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (status != 0 || strncmp(text, "\r  0% [  ", 9) != 0 ||
	    strstr(text, "] 0.0 of ") == NULL || len < 4 ||
	    strcmp(text + len - 4, "\r\033[K") != 0)
		ck_abort_msg("%s", text);
	must_be_clean();
}
END_TEST

/* ---- scripts ------------------------------------------------------------------------------ */

static const struct script {
	const char *text;
	int status;
	const char *out, *err;
} scripts[] = {
	{ "mkdir /d\n# nothing\n\n  ls\t/d # too\nls -a / \n", 0,
	    "d\nlost+found\n", "" },
	{ "mkdir '/a b' \"/c  d\" /e\\ f\\\\'x'\nls /", 0,
	    "a b\nc  d\ne f\\x\nlost+found\n", "" },
	{ "touch /x\nrm /nonesuch\ntouch /y\n", 1, "",
	    "quern fs: -:2: rm: /nonesuch: No such file or directory\n" },
	{ "ls -z\n", 2, "", "-:1: ls: `quern help fs` shows how" },
	{ "mkdir a\ntouch a/b\nfind a", 0, "a\na/b\n", "" },
	{ "frob\n", 1, "", "-:1: script: frob: there is no such command\n" },
	{ "script x\n", 1, "", "-:1: script: script: not in a script\n" },
	{ "ls 'a\n", 1, "", "-:1: script: line: a quote is not closed\n" },
	{ "touch /f\nchmod 600 /f\nfind /f\ntruncate 5 /f\nmv /f /g\nrm /g\n"
	  "find /g\n",
	    1, "/f\n", "-:7: find: /g: No such file or directory\n" },
};

START_TEST(script)
{
	const struct script *s = &scripts[_i];
	const char *argv[] = { "", "fs", image, "script", "-", NULL };
	struct run r;

	make_image("-t ext4", "8M");
	run_quern(&r, argv, s->text, strlen(s->text));
	if (r.r_status != s->status || strcmp(r.r_out, s->out) != 0 ||
	    strstr(r.r_err, s->err) == NULL)
		ck_abort_msg("status %d, out %s, err %s", r.r_status, r.r_out,
		    r.r_err);
	run_free(&r);
	must_be_clean();
}
END_TEST

START_TEST(script_file)
{
	static const char text[] = "rm /none\ntouch /y\nwrite /in\n";
	FILE *file = fopen(in_work("script"), "w");
	const char *argv[] = { "", "fs", image, "script", "-k",
		in_work("script"), NULL };
	struct run r;

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
	make_image("-t ext4", "8M");
	run_quern(&r, argv, "input", 5);
	ck_assert_int_eq(r.r_status, 1);
	ck_assert_ptr_nonnull(strstr(r.r_err, "script:1: rm: /none: No such"));
	run_free(&r);
	run_fs(&r, "cat", "/in", "/y", NULL);
	ck_assert_str_eq(r.r_out, "input");
	must_do(&r);
	run_fs(&r, "script", in_work("nonesuch"), NULL);
	ck_assert_int_eq(r.r_status, 1);
	ck_assert_ptr_nonnull(strstr(r.r_err, "nonesuch: No such file"));
	run_free(&r);
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

int
main(void)
{
	Suite *s = suite_create("fs");
	TCase *tc = tcase_create("fs");
	SRunner *sr;
	int failed;

	if (tree_run("command -v mke2fs e2fsck dumpe2fs >/dev/null") != 0) {
		printf("SKIP: mke2fs, e2fsck, dumpe2fs are not there\n");
		return 0;
	}
	tcase_set_timeout(tc, 240);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, round_trip, 0, COUNT(formats));
	tcase_add_loop_test(tc, real_tree, 0, COUNT(real));
	tcase_add_test(tc, refusals);
	tcase_add_test(tc, no_escape);
	tcase_add_test(tc, tar);
	tcase_add_loop_test(tc, archive_format, 0, COUNT(archives));
	tcase_add_loop_test(tc, bad_archive, 0, 4);
	tcase_add_loop_test(tc, full, 0, 2);
	tcase_add_loop_test(tc, progress, 0, 2);
	tcase_add_test(tc, killed_writing);
	tcase_add_loop_test(tc, killed, 0, COUNT(signals));
	tcase_add_loop_test(tc, script, 0, COUNT(scripts));
	tcase_add_test(tc, script_file);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
