/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making, finding, moving and removing names.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "conf.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE  2
#endif

static int
renameat2_(struct conf *c, const char *from, const char *to, unsigned flags)
{
	return (int)SYS(c, SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static int
access_(struct conf *c, const char *path)
{
	return (int)SYS(c, SYS_access, path, 0);
}

/* `n` times `ch`, in static memory. */
static char *
many(char ch, unsigned n)
{
	static char buf[8192];

	memset(buf, ch, n);
	buf[n] = '\0';
	return buf;
}

/* ---- mkdir, rmdir --------------------------------------------------------------- */

static void
mkdir_makes(struct conf *c)
{
	OK(c, c_mkdir(c, "d", 0755));
	IS(c, c_mode(c, "d"), S_IFDIR | 0755);
	IS(c, c_mkdir(c, "d", 0755), -EEXIST);
	OK(c, c_mkdir(c, "d/e", 0700));
	IS(c, c_mode(c, "d/e"), S_IFDIR | 0700);
	OK(c, c_mkdir(c, "d/s/", 0700));
	IS(c, c_mode(c, "d/s"), S_IFDIR | 0700);
}

static void
mkdir_errors(struct conf *c)
{
	OK(c, c_file(c, "f", 0644));
	IS(c, c_mkdir(c, "f", 0755), -EEXIST);
	IS(c, c_mkdir(c, "f/", 0755), -EEXIST);
	IS(c, c_mkdir(c, "f/x", 0755), -ENOTDIR);
	IS(c, c_mkdir(c, "no/x", 0755), -ENOENT);
	IS(c, c_mkdir(c, "", 0755), -ENOENT);
	IS(c, c_mkdir(c, ".", 0755), -EEXIST);
	IS(c, c_mkdir(c, "..", 0755), -EEXIST);
	IS(c, c_mkdir(c, "/", 0755), -EEXIST);
	IS(c, c_mkdir(c, NULL, 0755), -EFAULT);
	OK(c, c_symlink(c, "nowhere", "l"));
	IS(c, c_mkdir(c, "l", 0755), -EEXIST);
	IS(c, c_mkdir(c, "l/", 0755), -EEXIST);
}

static void
mkdir_links(struct conf *c)
{
	struct stat st;

	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_lstat(c, "d", &st));
	IS(c, st.st_nlink, 2);
	OK(c, c_mkdir(c, "d/a", 0755));
	OK(c, c_mkdir(c, "d/b", 0755));
	IS(c, c_nlink(c, "d"), 4);
	OK(c, c_file(c, "d/f", 0644));
	IS(c, c_nlink(c, "d"), 4);
	OK(c, c_rmdir(c, "d/a"));
	IS(c, c_nlink(c, "d"), 3);
	OK(c, c_rename(c, "d/b", "b"));
	IS(c, c_nlink(c, "d"), 2);
}

static void
mkdir_mode(struct conf *c)
{
	IS(c, SYS(c, SYS_umask, 027) >= 0, 1);
	OK(c, c_mkdir(c, "a", 0777));
	IS(c, c_mode(c, "a"), S_IFDIR | 0750);
	OK(c, c_mkdir(c, "b", 01777));
	IS(c, c_mode(c, "b"), S_IFDIR | 01750);
	/* Set-id bits are not to be had this way. */
	OK(c, c_mkdir(c, "e", 06777));
	IS(c, c_mode(c, "e"), S_IFDIR | 0750);
	(void)SYS(c, SYS_umask, 022);
}

static void
mkdir_setgid(struct conf *c)
{
	struct stat st;

	OK(c, c_mkdir(c, "d", 0755));
	OK(c, SYS(c, SYS_chown, "d", 0, 77));
	OK(c, SYS(c, SYS_chmod, "d", 02755));
	OK(c, c_mkdir(c, "d/e", 0755));
	OK(c, c_lstat(c, "d/e", &st));
	IS(c, st.st_gid, 77);
	IS(c, st.st_mode, S_IFDIR | 02755);
	OK(c, c_file(c, "d/f", 0644));
	OK(c, c_lstat(c, "d/f", &st));
	IS(c, st.st_gid, 77);
	IS(c, st.st_mode, S_IFREG | 0644);
}

static void
rmdir_errors(struct conf *c)
{
	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_file(c, "d/f", 0644));
	IS(c, c_rmdir(c, "d"), -ENOTEMPTY);
	IS(c, c_rmdir(c, "d/f"), -ENOTDIR);
	IS(c, c_rmdir(c, "d/f/"), -ENOTDIR);
	IS(c, c_rmdir(c, "d/no"), -ENOENT);
	IS(c, c_rmdir(c, "d/."), -EINVAL);
	IS(c, c_rmdir(c, "d/.."), -ENOTEMPTY);
	IS(c, c_rmdir(c, "/"), -EBUSY);
	OK(c, c_symlink(c, "d", "l"));
	IS(c, c_rmdir(c, "l"), -ENOTDIR);
	IS(c, c_rmdir(c, "l/"), -ENOTDIR);
	OK(c, c_unlink(c, "d/f"));
	OK(c, c_rmdir(c, "d/"));
	IS(c, access_(c, "d"), -ENOENT);
}

/* A directory that has been removed is still there for who is in it. */
static void
rmdir_open(struct conf *c)
{
	struct stat st;
	char buf[256];
	int fd;

	OK(c, c_mkdir(c, "d", 0755));
	fd = c_open(c, "d", O_RDONLY | O_DIRECTORY, 0);
	TRUE(c, fd >= 0);
	OK(c, c_rmdir(c, "d"));
	OK(c, SYS(c, SYS_fstat, fd, &st));
	IS(c, st.st_nlink, 0);
	IS(c, SYS(c, SYS_getdents64, fd, buf, sizeof(buf)), -ENOENT);
	IS(c, SYS(c, SYS_openat, fd, "x", O_CREAT | O_WRONLY, 0644), -ENOENT);
	IS(c, SYS(c, SYS_mkdirat, fd, "x", 0755), -ENOENT);
	IS(c, SYS(c, SYS_faccessat, fd, "x", 0), -ENOENT);
	OK(c, SYS(c, SYS_faccessat, fd, ".", 0));
	OK(c, c_close(c, fd));
}

/* ---- unlink ------------------------------------------------------------------------- */

static void
unlink_removes(struct conf *c)
{
	OK(c, c_file(c, "f", 0644));
	OK(c, c_link(c, "f", "g"));
	IS(c, c_nlink(c, "f"), 2);
	OK(c, c_unlink(c, "f"));
	IS(c, c_nlink(c, "g"), 1);
	IS(c, access_(c, "f"), -ENOENT);
	OK(c, c_unlink(c, "g"));
	IS(c, c_unlink(c, "g"), -ENOENT);
}

static void
unlink_errors(struct conf *c)
{
	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_file(c, "f", 0644));
	IS(c, c_unlink(c, "d"), -EISDIR);
	IS(c, c_unlink(c, "d/"), -EISDIR);
	IS(c, c_unlink(c, "f/"), -ENOTDIR);
	IS(c, c_unlink(c, "f/x"), -ENOTDIR);
	IS(c, c_unlink(c, "d/no"), -ENOENT);
	IS(c, c_unlink(c, "."), -EISDIR);
	IS(c, c_unlink(c, ".."), -EISDIR);
	IS(c, c_unlink(c, "/"), -EISDIR);
	IS(c, c_unlink(c, ""), -ENOENT);
	IS(c, SYS(c, SYS_unlinkat, AT_FDCWD, "f", 0x4000), -EINVAL);
	IS(c, SYS(c, SYS_unlinkat, AT_FDCWD, "f", AT_REMOVEDIR), -ENOTDIR);
	OK(c, SYS(c, SYS_unlinkat, AT_FDCWD, "d", AT_REMOVEDIR));
	OK(c, SYS(c, SYS_unlinkat, AT_FDCWD, "f", 0));
	IS(c, SYS(c, SYS_unlinkat, 99, "f", 0), -EBADF);
}

static void
unlink_open(struct conf *c)
{
	struct stat st;
	int fd;

	fd = c_open(c, "f", O_CREAT | O_RDWR, 0644);
	TRUE(c, fd >= 0);
	OK(c, c_unlink(c, "f"));
	OK(c, SYS(c, SYS_fstat, fd, &st));
	IS(c, st.st_nlink, 0);
	/* Another by that name is another. */
	OK(c, c_file(c, "f", 0600));
	IS(c, c_nlink(c, "f"), 1);
	IS(c, SYS(c, SYS_linkat, fd, "", AT_FDCWD, "g", AT_EMPTY_PATH),
	    -ENOENT);
	OK(c, c_close(c, fd));
}

/* ---- link ----------------------------------------------------------------------------- */

static void
link_errors(struct conf *c)
{
	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_file(c, "f", 0644));
	IS(c, c_link(c, "f", "f"), -EEXIST);
	IS(c, c_link(c, "f", "d"), -EEXIST);
	IS(c, c_link(c, "no", "g"), -ENOENT);
	IS(c, c_link(c, "f", "no/g"), -ENOENT);
	IS(c, c_link(c, "f", "f/g"), -ENOTDIR);
	IS(c, c_link(c, "f/", "g"), -ENOTDIR);
	IS(c, c_link(c, "f", "g/"), -ENOENT);
	IS(c, c_link(c, "d", "e"), -EPERM);
	IS(c, SYS(c, SYS_linkat, AT_FDCWD, "f", AT_FDCWD, "g", 0x8000),
	    -EINVAL);
}

static void
link_symlinks(struct conf *c)
{
	OK(c, c_file(c, "f", 0644));
	OK(c, c_symlink(c, "f", "l"));
	OK(c, c_link(c, "l", "m"));
	IS(c, c_mode(c, "m") & S_IFMT, S_IFLNK);
	IS(c, c_nlink(c, "l"), 2);
	OK(c,
	    SYS(c, SYS_linkat, AT_FDCWD, "l", AT_FDCWD, "n",
		AT_SYMLINK_FOLLOW));
	IS(c, c_ino(c, "n"), c_ino(c, "f"));
	OK(c, c_symlink(c, "dangling", "x"));
	OK(c, c_link(c, "x", "y"));
	IS(c,
	    SYS(c, SYS_linkat, AT_FDCWD, "x", AT_FDCWD, "z", AT_SYMLINK_FOLLOW),
	    -ENOENT);
	IS(c, c_link(c, "f", "x"), -EEXIST);
}

/* ---- symlink ---------------------------------------------------------------------------- */

static void
symlink_reads(struct conf *c)
{
	char buf[100];

	memset(buf, 'x', sizeof(buf));
	OK(c, c_symlink(c, "some/where", "l"));
	IS(c, SYS(c, SYS_readlink, "l", buf, sizeof(buf)), 10);
	TRUE(c, memcmp(buf, "some/wherex", 11) == 0);
	IS(c, SYS(c, SYS_readlink, "l", buf, 4), 4);
	IS(c, SYS(c, SYS_readlink, "l", buf, 0), -EINVAL);
	IS(c, SYS(c, SYS_readlink, "l", buf, -1), -EINVAL);
	IS(c, c_size(c, "l"), 10);
	IS(c, c_mode(c, "l"), S_IFLNK | 0777);
	OK(c, c_file(c, "f", 0644));
	IS(c, SYS(c, SYS_readlink, "f", buf, 10), -EINVAL);
	IS(c, SYS(c, SYS_readlink, "no", buf, 10), -ENOENT);
	IS(c, SYS(c, SYS_readlink, ".", buf, 10), -EINVAL);
}

static void
symlink_long(struct conf *c)
{
	static const unsigned lens[] = { 1, 59, 60, 61, 255, 256, 1000, 4000,
		4095 };
	char buf[4200], name[16];
	struct statfs st;
	unsigned i;

	OK(c, SYS(c, SYS_statfs, ".", &st));
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		snprintf(name, sizeof(name), "l%u", lens[i]);
		/* One block takes it, or it is too long. */
		if ((long)lens[i] >= st.f_bsize) {
			IS(c, c_symlink(c, many('t', lens[i]), name),
			    -ENAMETOOLONG);
			continue;
		}
		OK(c, c_symlink(c, many('t', lens[i]), name));
		memset(buf, 0, sizeof(buf));
		IS(c, SYS(c, SYS_readlink, name, buf, sizeof(buf)), lens[i]);
		TRUE(c, strcmp(buf, many('t', lens[i])) == 0);
	}
	IS(c, c_symlink(c, many('t', 4096), "x"), -ENAMETOOLONG);
}

static void
symlink_errors(struct conf *c)
{
	OK(c, c_file(c, "f", 0644));
	IS(c, c_symlink(c, "x", "f"), -EEXIST);
	IS(c, c_symlink(c, "x", "no/l"), -ENOENT);
	IS(c, c_symlink(c, "", "l"), -ENOENT);
	IS(c, c_symlink(c, "x", ""), -ENOENT);
	IS(c, c_symlink(c, "x", "f/l"), -ENOTDIR);
	IS(c, c_symlink(c, "x", "l/"), -ENOENT);
	OK(c, c_symlink(c, "x", "l"));
	IS(c, c_symlink(c, "y", "l"), -EEXIST);
}

static void
symlink_follows(struct conf *c)
{
	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_file(c, "d/f", 0640));
	OK(c, c_symlink(c, "d", "ld"));
	OK(c, c_symlink(c, "ld/f", "lf"));
	OK(c, c_symlink(c, "../d/f", "d/up"));
	OK(c, c_symlink(c, "lf", "llf"));
	OK(c, access_(c, "ld/f"));
	OK(c, access_(c, "llf"));
	OK(c, access_(c, "ld/up"));
	OK(c, access_(c, "ld/../d/up"));
	IS(c, access_(c, "lf/"), -ENOTDIR);
	OK(c, access_(c, "ld/"));
	IS(c, access_(c, "lf/x"), -ENOTDIR);
	OK(c, c_symlink(c, "nowhere", "n"));
	IS(c, access_(c, "n"), -ENOENT);
	IS(c, access_(c, "n/"), -ENOENT);
	OK(c, c_symlink(c, "d/", "slash"));
	OK(c, access_(c, "slash"));
	OK(c, c_symlink(c, "d/f/", "fslash"));
	IS(c, access_(c, "fslash"), -ENOTDIR);
	OK(c, c_symlink(c, ".", "dot"));
	OK(c, access_(c, "dot/dot/dot/d/f"));
	OK(c, c_unlink(c, "ld"));
	OK(c, access_(c, "d"));
}

static void
symlink_loops(struct conf *c)
{
	char name[16], to[16];
	unsigned i;

	OK(c, c_symlink(c, "b", "a"));
	OK(c, c_symlink(c, "a", "b"));
	IS(c, access_(c, "a"), -ELOOP);
	IS(c, access_(c, "a/x"), -ELOOP);
	IS(c, c_open(c, "a", O_RDONLY, 0), -ELOOP);
	IS(c, c_open(c, "a", O_CREAT | O_WRONLY, 0644), -ELOOP);
	OK(c, c_symlink(c, "self", "self"));
	IS(c, access_(c, "self"), -ELOOP);
	/* Forty are followed, not more. */
	OK(c, c_file(c, "l0", 0644));
	for (i = 1; i <= 41; i++) {
		snprintf(name, sizeof(name), "l%u", i);
		snprintf(to, sizeof(to), "l%u", i - 1);
		OK(c, c_symlink(c, to, name));
	}
	OK(c, access_(c, "l40"));
	IS(c, access_(c, "l41"), -ELOOP);
}

/* ---- names as such ------------------------------------------------------------------------- */

static void
long_names(struct conf *c)
{
	OK(c, c_file(c, many('n', 255), 0644));
	OK(c, access_(c, many('n', 255)));
	IS(c, access_(c, many('n', 254)), -ENOENT);
	IS(c, access_(c, many('n', 256)), -ENAMETOOLONG);
	IS(c, c_mkdir(c, many('n', 256), 0755), -ENAMETOOLONG);
	IS(c, c_open(c, many('n', 256), O_CREAT | O_WRONLY, 0644),
	    -ENAMETOOLONG);
	IS(c, c_rename(c, many('n', 255), "short"), 0);
	OK(c, access_(c, "short"));
	IS(c, access_(c, many('/', 4096)), -ENAMETOOLONG);
	OK(c, access_(c, many('/', 4095)));
}

static void
odd_names(struct conf *c)
{
	static const char *const odd[] = { "...", "..x", ".x", " ", "\n",
		"\xff\xfe", "a b", "-", "*", "\\", "\303\244", "x." };
	unsigned i;

	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		OK(c, c_mkdir(c, odd[i], 0755));
		OK(c, access_(c, odd[i]));
	}
	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		OK(c, c_rmdir(c, odd[i]));
	/* Case matters. */
	OK(c, c_file(c, "abc", 0644));
	IS(c, access_(c, "ABC"), -ENOENT);
}

static void
dots_and_slashes(struct conf *c)
{
	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_file(c, "d/f", 0644));
	OK(c, access_(c, "./d/./f"));
	OK(c, access_(c, "d//f"));
	OK(c, access_(c, ".//d///f"));
	OK(c, access_(c, "d/../d/f"));
	OK(c, access_(c, "d/."));
	OK(c, access_(c, "d/.."));
	OK(c, access_(c, "d/"));
	OK(c, access_(c, "d//"));
	IS(c, access_(c, "d/f/"), -ENOTDIR);
	IS(c, access_(c, "d/f/."), -ENOTDIR);
	IS(c, access_(c, "d/f/.."), -ENOTDIR);
	IS(c, access_(c, "no/.."), -ENOENT);
	OK(c, access_(c, "/"));
	OK(c, access_(c, "//"));
	OK(c, access_(c, "/.."));
	OK(c, access_(c, "/../.."));
}

/* ---- rename ---------------------------------------------------------------------------------- */

static void
rename_files(struct conf *c)
{
	int64_t ino;

	OK(c, c_file(c, "a", 0600));
	ino = c_ino(c, "a");
	OK(c, c_rename(c, "a", "b"));
	IS(c, c_ino(c, "b"), ino);
	IS(c, access_(c, "a"), -ENOENT);
	OK(c, c_file(c, "t", 0644));
	OK(c, c_rename(c, "b", "t"));
	IS(c, c_ino(c, "t"), ino);
	IS(c, access_(c, "b"), -ENOENT);
	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_rename(c, "t", "d/t"));
	IS(c, c_ino(c, "d/t"), ino);
	OK(c, c_rename(c, "d/t", "d/../u"));
	IS(c, c_ino(c, "u"), ino);
	OK(c, c_rename(c, "u", "u"));
	IS(c, c_ino(c, "u"), ino);
	/* Two names of one file: nothing happens. */
	OK(c, c_link(c, "u", "v"));
	OK(c, c_rename(c, "u", "v"));
	OK(c, access_(c, "u"));
	OK(c, access_(c, "v"));
}

static void
rename_dirs(struct conf *c)
{
	int64_t ino;

	OK(c, c_mkdir(c, "a", 0755));
	OK(c, c_file(c, "a/f", 0644));
	ino = c_ino(c, "a");
	OK(c, c_rename(c, "a", "b"));
	IS(c, c_ino(c, "b"), ino);
	OK(c, access_(c, "b/f"));
	OK(c, c_mkdir(c, "e", 0755));
	OK(c, c_rename(c, "b", "e"));
	OK(c, access_(c, "e/f"));
	OK(c, c_mkdir(c, "p", 0755));
	OK(c, c_rename(c, "e", "p/e"));
	OK(c, access_(c, "p/e/f"));
	IS(c, c_ino(c, "p/e/.."), c_ino(c, "p"));
	IS(c, c_nlink(c, "p"), 3);
	OK(c, c_rename(c, "p/e/", "x/"));
	OK(c, access_(c, "x/f"));
	IS(c, c_nlink(c, "p"), 2);
}

static void
rename_errors(struct conf *c)
{
	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_mkdir(c, "d/e", 0755));
	OK(c, c_mkdir(c, "g", 0755));
	OK(c, c_file(c, "f", 0644));
	IS(c, c_rename(c, "no", "x"), -ENOENT);
	IS(c, c_rename(c, "f", "no/x"), -ENOENT);
	IS(c, c_rename(c, "f", "d"), -EISDIR);
	IS(c, c_rename(c, "d", "f"), -ENOTDIR);
	IS(c, c_rename(c, "g", "d"), -ENOTEMPTY);
	IS(c, c_rename(c, "d", "d/x"), -EINVAL);
	IS(c, c_rename(c, "d", "d/e/x"), -EINVAL);
	IS(c, c_rename(c, "d", "d/e"), -EINVAL);
	IS(c, c_rename(c, "d/e", "d"), -ENOTEMPTY);
	IS(c, c_rename(c, "f/", "x"), -ENOTDIR);
	IS(c, c_rename(c, "f", "x/"), -ENOTDIR);
	IS(c, c_rename(c, "f/x", "y"), -ENOTDIR);
	IS(c, c_rename(c, ".", "x"), -EBUSY);
	IS(c, c_rename(c, "d/.", "x"), -EBUSY);
	IS(c, c_rename(c, "d/..", "x"), -EBUSY);
	IS(c, c_rename(c, "f", "."), -EBUSY);
	IS(c, c_rename(c, "", "x"), -ENOENT);
	IS(c, c_rename(c, "f", ""), -ENOENT);
	OK(c, access_(c, "d/e"));
	OK(c, access_(c, "f"));
}

static void
rename_symlinks(struct conf *c)
{
	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_symlink(c, "d", "l"));
	OK(c, c_rename(c, "l", "m"));
	IS(c, c_mode(c, "m") & S_IFMT, S_IFLNK);
	OK(c, c_file(c, "f", 0644));
	OK(c, c_rename(c, "f", "m"));
	IS(c, c_mode(c, "m") & S_IFMT, S_IFREG);
	OK(c, access_(c, "d"));
	OK(c, c_symlink(c, "d", "l"));
	IS(c, c_rename(c, "l/", "x"), -ENOTDIR);
	IS(c, c_rename(c, "d", "l/"), -ENOTDIR);
}

static void
rename_noreplace(struct conf *c)
{
	OK(c, c_file(c, "a", 0644));
	OK(c, c_file(c, "b", 0644));
	IS(c, renameat2_(c, "a", "b", RENAME_NOREPLACE), -EEXIST);
	OK(c, renameat2_(c, "a", "x", RENAME_NOREPLACE));
	OK(c, access_(c, "x"));
	IS(c, renameat2_(c, "x", "y", 128), -EINVAL);
	IS(c, renameat2_(c, "x", "y", RENAME_NOREPLACE | RENAME_EXCHANGE),
	    -EINVAL);
	IS(c, renameat2_(c, "x", ".", RENAME_NOREPLACE), -EEXIST);
}

static void
rename_exchange(struct conf *c)
{
	int64_t d, f;

	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_file(c, "d/in", 0644));
	OK(c, c_mkdir(c, "p", 0755));
	OK(c, c_file(c, "p/f", 0600));
	d = c_ino(c, "d");
	f = c_ino(c, "p/f");
	OK(c, renameat2_(c, "d", "p/f", RENAME_EXCHANGE));
	IS(c, c_ino(c, "d"), f);
	IS(c, c_ino(c, "p/f"), d);
	OK(c, access_(c, "p/f/in"));
	IS(c, c_nlink(c, "p"), 3);
	IS(c, c_ino(c, "p/f/.."), c_ino(c, "p"));
	IS(c, renameat2_(c, "d", "no", RENAME_EXCHANGE), -ENOENT);
	IS(c, renameat2_(c, "p", "p/f", RENAME_EXCHANGE), -EINVAL);
	IS(c, renameat2_(c, "p/f", "p", RENAME_EXCHANGE), -EINVAL);
}

static void
rename_sticky(struct conf *c)
{
	OK(c, c_mkdir(c, "t", 0777));
	OK(c, SYS(c, SYS_chmod, "t", 01777));
	OK(c, c_file(c, "t/root", 0666));
	c_user(c, 1000, 1000);
	OK(c, c_file(c, "t/mine", 0666));
	IS(c, c_unlink(c, "t/root"), -EPERM);
	IS(c, c_rename(c, "t/root", "t/x"), -EPERM);
	IS(c, c_rename(c, "t/mine", "t/root"), -EPERM);
	OK(c, c_rename(c, "t/mine", "t/mine2"));
	c_user(c, 1001, 1001);
	IS(c, c_unlink(c, "t/mine2"), -EPERM);
	c_user(c, 1000, 1000);
	OK(c, c_unlink(c, "t/mine2"));
	c_user(c, 0, 0);
}

static void
search_permission(struct conf *c)
{
	OK(c, c_mkdir(c, "d", 0700));
	OK(c, c_mkdir(c, "d/e", 0777));
	OK(c, c_file(c, "d/e/f", 0666));
	c_user(c, 1000, 1000);
	IS(c, SYS(c, SYS_chmod, "d/e/f", 0600), -EACCES);
	IS(c, c_open(c, "d/e/f", O_RDONLY, 0), -EACCES);
	IS(c, c_mkdir(c, "d/x", 0700), -EACCES);
	IS(c, c_unlink(c, "d/e/f"), -EACCES);
	IS(c, c_mode(c, "d/e"), -EACCES);
	IS(c, c_open(c, "d/no", O_RDONLY, 0), -EACCES);
	c_user(c, 0, 0);
	OK(c, SYS(c, SYS_chmod, "d", 0711));
	c_user(c, 1000, 1000);
	TRUE(c, c_mode(c, "d/e/f") > 0);
	IS(c, c_open(c, "d", O_RDONLY | O_DIRECTORY, 0), -EACCES);
	IS(c, c_mkdir(c, "d/x", 0700), -EACCES);
	c_user(c, 0, 0);
}

static void
group_permission(struct conf *c)
{
	OK(c, c_file(c, "f", 0640));
	OK(c, SYS(c, SYS_chown, "f", 500, 600));
	c_user(c, 1000, 600);
	TRUE(c, c_open(c, "f", O_RDONLY, 0) >= 0);
	IS(c, c_open(c, "f", O_RDWR, 0), -EACCES);
	c_user(c, 0, 0);
	OK(c, SYS(c, SYS_chmod, "f", 0604));
	c_user(c, 1000, 600);
	/* The group's bits count, though others' would allow it. */
	IS(c, c_open(c, "f", O_RDONLY, 0), -EACCES);
	c_user(c, 1001, 601);
	TRUE(c, c_open(c, "f", O_RDONLY, 0) >= 0);
	c_user(c, 500, 1);
	TRUE(c, c_open(c, "f", O_RDWR, 0) >= 0);
	c_user(c, 0, 0);
}

const struct conf_case conf_names[] = {
	{ "mkdir makes", mkdir_makes, 0 },
	{ "mkdir errors", mkdir_errors, 0 },
	{ "mkdir links", mkdir_links, 0 },
	{ "mkdir mode", mkdir_mode, 0 },
	{ "mkdir setgid", mkdir_setgid, CONF_ROOT },
	{ "rmdir errors", rmdir_errors, 0 },
	{ "rmdir open", rmdir_open, 0 },
	{ "unlink removes", unlink_removes, 0 },
	{ "unlink errors", unlink_errors, 0 },
	{ "unlink open", unlink_open, CONF_ROOT },
	{ "link errors", link_errors, 0 },
	{ "link symlinks", link_symlinks, 0 },
	{ "symlink reads", symlink_reads, 0 },
	{ "symlink long", symlink_long, 0 },
	{ "symlink errors", symlink_errors, 0 },
	{ "symlink follows", symlink_follows, 0 },
	{ "symlink loops", symlink_loops, 0 },
	{ "long names", long_names, 0 },
	{ "odd names", odd_names, 0 },
	{ "dots and slashes", dots_and_slashes, 0 },
	{ "rename files", rename_files, 0 },
	{ "rename dirs", rename_dirs, 0 },
	{ "rename errors", rename_errors, 0 },
	{ "rename symlinks", rename_symlinks, 0 },
	{ "rename noreplace", rename_noreplace, 0 },
	{ "rename exchange", rename_exchange, 0 },
	{ "rename sticky", rename_sticky, CONF_ROOT },
	{ "search permission", search_permission, CONF_ROOT },
	{ "group permission", group_permission, CONF_ROOT },
	{ NULL, NULL, 0 },
};
