/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening, and what open files are for descriptors.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "conf.h"

struct how {
	uint64_t flags, mode, resolve;
};

static int
openat2_(struct conf *c, int dir, const char *path, uint64_t flags,
    uint64_t resolve)
{
	struct how h = { flags, 0, resolve };

	return (int)SYS(c, SYS_openat2, dir, path, &h, sizeof(h));
}

/* Opens, and is closed again: 0 or -errno. */
static int
opens(struct conf *c, const char *path, int flags)
{
	int fd = c_open(c, path, flags, 0644);

	return fd < 0 ? fd : c_close(c, fd);
}

static void
creates(struct conf *c)
{
	OK(c, opens(c, "a", O_CREAT | O_WRONLY));
	IS(c, c_mode(c, "a"), S_IFREG | 0644);
	OK(c, opens(c, "a", O_CREAT | O_WRONLY));
	IS(c, opens(c, "a", O_CREAT | O_EXCL | O_WRONLY), -EEXIST);
	IS(c, c_open(c, "m", O_CREAT | O_WRONLY, 07777) < 0, 0);
	IS(c, c_mode(c, "m"), S_IFREG | 07755);
	/* Made with a mode that forbids what it is opened for. */
	IS(c, c_open(c, "z", O_CREAT | O_RDWR, 0) < 0, 0);
	IS(c, c_mode(c, "z"), S_IFREG);
	IS(c, opens(c, "no", O_RDONLY), -ENOENT);
	IS(c, opens(c, "no/x", O_CREAT | O_WRONLY), -ENOENT);
	IS(c, opens(c, "a/x", O_CREAT | O_WRONLY), -ENOTDIR);
	IS(c, opens(c, "a/", O_RDONLY), -ENOTDIR);
	IS(c, opens(c, "a/", O_CREAT | O_WRONLY), -EISDIR);
	IS(c, opens(c, "new/", O_CREAT | O_WRONLY), -EISDIR);
	IS(c, opens(c, "", O_RDONLY), -ENOENT);
	IS(c, SYS(c, SYS_open, NULL, O_RDONLY, 0), -EFAULT);
	OK(c, c_close(c, c_open(c, "cr", O_CREAT | O_WRONLY, 0600)));
	TRUE(c, SYS(c, SYS_creat, "cr2", 0600) >= 0);
	IS(c, c_mode(c, "cr2"), S_IFREG | 0600);
}

static void
directories(struct conf *c)
{
	OK(c, c_mkdir(c, "d", 0755));
	OK(c, opens(c, "d", O_RDONLY));
	OK(c, opens(c, "d", O_RDONLY | O_DIRECTORY));
	OK(c, opens(c, "d/", O_RDONLY));
	IS(c, opens(c, "d", O_WRONLY), -EISDIR);
	IS(c, opens(c, "d", O_RDWR), -EISDIR);
	IS(c, opens(c, "d", O_CREAT | O_RDONLY), -EISDIR);
	IS(c, opens(c, "d", O_CREAT | O_EXCL | O_RDONLY), -EEXIST);
	IS(c, opens(c, "d", O_TRUNC | O_RDONLY), -EISDIR);
	IS(c, opens(c, ".", O_CREAT | O_RDONLY), -EISDIR);
	OK(c, c_file(c, "f", 0644));
	IS(c, opens(c, "f", O_RDONLY | O_DIRECTORY), -ENOTDIR);
	IS(c, opens(c, "no", O_RDONLY | O_DIRECTORY), -ENOENT);
}

static void
links(struct conf *c)
{
	OK(c, c_file(c, "f", 0644));
	OK(c, c_symlink(c, "f", "l"));
	OK(c, c_symlink(c, "new", "dangling"));
	OK(c, opens(c, "l", O_RDWR));
	IS(c, opens(c, "l", O_RDONLY | O_NOFOLLOW), -ELOOP);
	IS(c, opens(c, "dangling", O_RDONLY), -ENOENT);
	IS(c, opens(c, "dangling", O_CREAT | O_EXCL | O_WRONLY), -EEXIST);
	OK(c, opens(c, "dangling", O_CREAT | O_WRONLY));
	IS(c, c_mode(c, "new"), S_IFREG | 0644);
	IS(c, opens(c, "l", O_CREAT | O_WRONLY | O_NOFOLLOW), -ELOOP);
	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_symlink(c, "../made", "d/up"));
	OK(c, opens(c, "d/up", O_CREAT | O_WRONLY));
	IS(c, c_mode(c, "made"), S_IFREG | 0644);
	OK(c, c_symlink(c, "d", "ld"));
	IS(c, opens(c, "ld", O_RDONLY | O_DIRECTORY | O_NOFOLLOW), -ENOTDIR);
	OK(c, opens(c, "ld/", O_RDONLY | O_NOFOLLOW));
	IS(c, opens(c, "ld", O_CREAT | O_WRONLY), -EISDIR);
}

static void
path_only(struct conf *c)
{
	struct stat st;
	char buf[16];
	int fd;

	OK(c, c_file(c, "f", 0));
	fd = c_open(c, "f", O_PATH, 0);
	TRUE(c, fd >= 0);
	OK(c, SYS(c, SYS_fstat, fd, &st));
	IS(c, st.st_mode, S_IFREG);
	IS(c, SYS(c, SYS_read, fd, buf, 1), -EBADF);
	IS(c, SYS(c, SYS_write, fd, buf, 1), -EBADF);
	IS(c, SYS(c, SYS_fchmod, fd, 0644), -EBADF);
	IS(c, SYS(c, SYS_ftruncate, fd, 0), -EBADF);
	IS(c, SYS(c, SYS_fsync, fd), -EBADF);
	OK(c, c_close(c, fd));
	OK(c, c_symlink(c, "f", "l"));
	fd = c_open(c, "l", O_PATH | O_NOFOLLOW, 0);
	TRUE(c, fd >= 0);
	OK(c, SYS(c, SYS_fstat, fd, &st));
	IS(c, st.st_mode & S_IFMT, S_IFLNK);
	IS(c, SYS(c, SYS_readlinkat, fd, "", buf, sizeof(buf)), 1);
	OK(c, c_close(c, fd));
	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_file(c, "d/f", 0644));
	fd = c_open(c, "d", O_PATH, 0);
	OK(c, SYS(c, SYS_faccessat, fd, "f", 0));
	OK(c, SYS(c, SYS_fchdir, fd));
	OK(c, SYS(c, SYS_chdir, ".."));
	OK(c, c_close(c, fd));
}

static void
truncating(struct conf *c)
{
	int fd = c_open(c, "f", O_CREAT | O_RDWR, 0644);

	IS(c, c_write(c, fd, "hello", 5), 5);
	OK(c, c_close(c, fd));
	IS(c, c_size(c, "f"), 5);
	OK(c, opens(c, "f", O_WRONLY));
	IS(c, c_size(c, "f"), 5);
	OK(c, opens(c, "f", O_WRONLY | O_TRUNC));
	IS(c, c_size(c, "f"), 0);
}

static void
appending(struct conf *c)
{
	char buf[16] = "";
	int a = c_open(c, "f", O_CREAT | O_RDWR | O_APPEND, 0644);
	int b = c_open(c, "f", O_RDWR, 0);

	IS(c, c_write(c, a, "one", 3), 3);
	IS(c, c_write(c, b, "TWO4", 4), 4);
	IS(c, c_write(c, a, "x", 1), 1);
	IS(c, SYS(c, SYS_lseek, a, 0, SEEK_CUR), 5);
	/* Linux appends with pwrite, too. */
	IS(c, c_pwrite(c, a, "y", 1, 0), 1);
	IS(c, c_pread(c, b, buf, 16, 0), 6);
	TRUE(c, memcmp(buf, "TWO4xy", 6) == 0);
	OK(c, SYS(c, SYS_fcntl, a, F_SETFL, 0));
	IS(c, SYS(c, SYS_lseek, a, 0, SEEK_SET), 0);
	IS(c, c_write(c, a, "Z", 1), 1);
	IS(c, c_size(c, "f"), 6);
}

static void
modes_of_access(struct conf *c)
{
	char buf[4];
	int fd;

	OK(c, c_file(c, "f", 0644));
	fd = c_open(c, "f", O_RDONLY, 0);
	IS(c, c_write(c, fd, "x", 1), -EBADF);
	IS(c, SYS(c, SYS_ftruncate, fd, 0), -EINVAL);
	OK(c, c_close(c, fd));
	fd = c_open(c, "f", O_WRONLY, 0);
	IS(c, SYS(c, SYS_read, fd, buf, 1), -EBADF);
	IS(c, c_write(c, fd, "x", 1), 1);
	OK(c, c_close(c, fd));
	fd = c_open(c, ".", O_RDONLY, 0);
	IS(c, SYS(c, SYS_read, fd, buf, 1), -EISDIR);
	IS(c, c_write(c, fd, "x", 1), -EBADF);
	OK(c, c_close(c, fd));
}

static void
permissions(struct conf *c)
{
	OK(c, c_file(c, "r", 0444));
	OK(c, c_file(c, "w", 0222));
	OK(c, c_file(c, "none", 0));
	OK(c, opens(c, "none", O_RDWR));
	c_user(c, 1000, 1000);
	OK(c, opens(c, "r", O_RDONLY));
	IS(c, opens(c, "r", O_WRONLY), -EACCES);
	IS(c, opens(c, "r", O_RDWR), -EACCES);
	IS(c, opens(c, "r", O_RDONLY | O_TRUNC), -EACCES);
	OK(c, opens(c, "w", O_WRONLY));
	IS(c, opens(c, "w", O_RDONLY), -EACCES);
	IS(c, opens(c, "none", O_RDONLY), -EACCES);
	IS(c, opens(c, "new", O_CREAT | O_WRONLY), -EACCES);
	IS(c, opens(c, "r", O_RDONLY | O_NOATIME), -EPERM);
	c_user(c, 0, 0);
}

static void
tmpfiles(struct conf *c)
{
	struct stat st;
	char path[64];
	int fd;

	fd = c_open(c, ".", O_TMPFILE | O_RDWR, 0640);
	TRUE(c, fd >= 0);
	OK(c, SYS(c, SYS_fstat, fd, &st));
	IS(c, st.st_nlink, 0);
	IS(c, st.st_mode, S_IFREG | 0640);
	OK(c, SYS(c, SYS_linkat, fd, "", AT_FDCWD, "named", AT_EMPTY_PATH));
	IS(c, c_nlink(c, "named"), 1);
	IS(c, c_ino(c, "named"), st.st_ino);
	OK(c, c_close(c, fd));
	fd = c_open(c, ".", O_TMPFILE | O_RDWR | O_EXCL, 0640);
	IS(c, SYS(c, SYS_linkat, fd, "", AT_FDCWD, "x", AT_EMPTY_PATH),
	    -ENOENT);
	OK(c, c_close(c, fd));
	IS(c, c_open(c, ".", O_TMPFILE | O_RDONLY, 0600), -EINVAL);
	IS(c, c_open(c, "named", O_TMPFILE | O_RDWR, 0600), -ENOTDIR);
	IS(c, c_open(c, "no", O_TMPFILE | O_RDWR, 0600), -ENOENT);
	(void)path;
}

static void
resolve(struct conf *c)
{
	enum {
		NO_XDEV = 1,
		NO_MAGIC = 2,
		NO_SYMLINKS = 4,
		BENEATH = 8,
		IN_ROOT = 16
	};
	int d, fd;

	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_file(c, "d/f", 0644));
	OK(c, c_file(c, "out", 0644));
	OK(c, c_symlink(c, "f", "d/l"));
	OK(c, c_symlink(c, "../out", "d/up"));
	OK(c, c_symlink(c, "/f", "d/abs"));
	d = c_open(c, "d", O_PATH, 0);
	fd = openat2_(c, d, "f", O_RDONLY, BENEATH);
	if (fd == -ENOSYS)
		return; /* before Linux 5.6 */
	TRUE(c, fd >= 0);
	TRUE(c, openat2_(c, d, "l", O_RDONLY, BENEATH) >= 0);
	IS(c, openat2_(c, d, "up", O_RDONLY, BENEATH), -EXDEV);
	IS(c, openat2_(c, d, "..", O_RDONLY, BENEATH), -EXDEV);
	IS(c, openat2_(c, d, "/", O_RDONLY, BENEATH), -EXDEV);
	IS(c, openat2_(c, d, "abs", O_RDONLY, BENEATH), -EXDEV);
	TRUE(c, openat2_(c, d, "abs", O_RDONLY, IN_ROOT) >= 0);
	TRUE(c, openat2_(c, d, "/f", O_RDONLY, IN_ROOT) >= 0);
	TRUE(c, openat2_(c, d, "../../f", O_RDONLY, IN_ROOT) >= 0);
	IS(c, openat2_(c, d, "up", O_RDONLY, IN_ROOT), -ENOENT);
	IS(c, openat2_(c, d, "l", O_RDONLY, NO_SYMLINKS), -ELOOP);
	TRUE(c, openat2_(c, d, "f", O_RDONLY, NO_SYMLINKS | NO_XDEV) >= 0);
	IS(c, openat2_(c, d, "f", O_RDONLY, 0x1000), -EINVAL);
	IS(c, openat2_(c, d, "f", 1u << 30, 0), -EINVAL);
	IS(c, SYS(c, SYS_openat2, d, "f", NULL, 8), -EINVAL);
}

static void
relative(struct conf *c)
{
	int d, fd;

	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_file(c, "d/f", 0644));
	OK(c, c_file(c, "f", 0644));
	d = c_open(c, "d", O_RDONLY, 0);
	fd = (int)SYS(c, SYS_openat, d, "f", O_RDONLY, 0);
	TRUE(c, fd >= 0);
	OK(c, c_close(c, fd));
	TRUE(c, SYS(c, SYS_openat, d, "new", O_CREAT | O_WRONLY, 0600) >= 0);
	IS(c, c_mode(c, "d/new"), S_IFREG | 0600);
	IS(c, SYS(c, SYS_openat, 99, "f", O_RDONLY, 0), -EBADF);
	/* Absolute paths do not look at it. */
	TRUE(c, SYS(c, SYS_openat, 99, "/", O_RDONLY, 0) >= 0);
	fd = c_open(c, "f", O_RDONLY, 0);
	IS(c, SYS(c, SYS_openat, fd, "f", O_RDONLY, 0), -ENOTDIR);
	OK(c, c_rename(c, "d", "e"));
	OK(c, SYS(c, SYS_faccessat, d, "f", 0));
	OK(c, SYS(c, SYS_unlinkat, d, "f", 0));
	IS(c, c_size(c, "e/f"), -ENOENT);
}

static void
locks(struct conf *c)
{
	enum { SH = 1, EX = 2, NB = 4, UN = 8 };
	int a, b;

	OK(c, c_file(c, "f", 0644));
	a = c_open(c, "f", O_RDWR, 0);
	b = c_open(c, "f", O_RDWR, 0);
	OK(c, SYS(c, SYS_flock, a, SH));
	OK(c, SYS(c, SYS_flock, b, SH | NB));
	IS(c, SYS(c, SYS_flock, b, EX | NB), -EAGAIN);
	OK(c, SYS(c, SYS_flock, a, UN));
	OK(c, SYS(c, SYS_flock, b, EX | NB));
	IS(c, SYS(c, SYS_flock, a, SH | NB), -EAGAIN);
	OK(c, c_close(c, b));
	OK(c, SYS(c, SYS_flock, a, EX | NB));
	IS(c, SYS(c, SYS_flock, a, 3), -EINVAL);
	IS(c, SYS(c, SYS_flock, 99, SH), -EBADF);
}

static int
ofd_lock(struct conf *c, int fd, int type, int64_t start, int64_t len)
{
	struct flock fl = { .l_type = (short)type,
		.l_whence = SEEK_SET,
		.l_start = start,
		.l_len = len };

	return (int)SYS(c, SYS_fcntl, fd, F_OFD_SETLK, &fl);
}

static void
range_locks(struct conf *c)
{
	struct flock fl = { .l_type = F_WRLCK };
	int a, b, r;

	OK(c, c_file(c, "f", 0644));
	a = c_open(c, "f", O_RDWR, 0);
	b = c_open(c, "f", O_RDWR, 0);
	r = c_open(c, "f", O_RDONLY, 0);
	OK(c, ofd_lock(c, a, F_WRLCK, 10, 10));
	IS(c, ofd_lock(c, b, F_WRLCK, 19, 1), -EAGAIN);
	OK(c, ofd_lock(c, b, F_WRLCK, 20, 0));
	OK(c, ofd_lock(c, b, F_RDLCK, 0, 10));
	IS(c, ofd_lock(c, a, F_WRLCK, 5, 10), -EAGAIN);
	OK(c, ofd_lock(c, a, F_RDLCK, 0, 10));
	/* A hole in the middle leaves two. */
	OK(c, ofd_lock(c, a, F_UNLCK, 12, 4));
	OK(c, ofd_lock(c, b, F_WRLCK, 12, 4));
	IS(c, ofd_lock(c, b, F_WRLCK, 11, 1), -EAGAIN);
	IS(c, ofd_lock(c, b, F_WRLCK, 16, 1), -EAGAIN);
	fl.l_start = 11;
	fl.l_len = 1;
	OK(c, SYS(c, SYS_fcntl, b, F_OFD_GETLK, &fl));
	IS(c, fl.l_type, F_WRLCK);
	IS(c, fl.l_start, 10);
	IS(c, fl.l_len, 2);
	IS(c, fl.l_pid, -1);
	IS(c, ofd_lock(c, r, F_WRLCK, 100, 1), -EBADF);
	IS(c, ofd_lock(c, a, 7, 0, 1), -EINVAL);
	IS(c, ofd_lock(c, a, F_RDLCK, -1, 1), -EINVAL);
	OK(c, ofd_lock(c, b, F_UNLCK, 0, 0));
	OK(c, ofd_lock(c, a, F_WRLCK, 0, 0));
	OK(c, c_close(c, a));
	OK(c, ofd_lock(c, b, F_WRLCK, 0, 0));
}

/* What every program expects of /dev. */
static void
memory_devices(struct conf *c)
{
	char buf[3000], zero[3000] = "";
	int fd;

	OK(c, SYS(c, SYS_mknod, "null", S_IFCHR | 0666, 0x103));
	OK(c, SYS(c, SYS_mknod, "zero", S_IFCHR | 0666, 0x105));
	OK(c, SYS(c, SYS_mknod, "full", S_IFCHR | 0666, 0x107));
	OK(c, SYS(c, SYS_mknod, "urandom", S_IFCHR | 0666, 0x109));
	fd = c_open(c, "null", O_RDWR, 0);
	if (fd == -EACCES || fd == -EPERM)
		return; /* the host's is mounted nodev */
	IS(c, SYS(c, SYS_read, fd, buf, 10), 0);
	IS(c, c_write(c, fd, buf, 1000), 1000);
	OK(c, SYS(c, SYS_lseek, fd, 5, SEEK_SET));
	fd = c_open(c, "zero", O_RDWR, 0);
	memset(buf, 'x', sizeof(buf));
	IS(c, SYS(c, SYS_read, fd, buf, sizeof(buf)), sizeof(buf));
	TRUE(c, memcmp(buf, zero, sizeof(buf)) == 0);
	IS(c, c_write(c, fd, buf, 10), 10);
	fd = c_open(c, "full", O_RDWR, 0);
	IS(c, SYS(c, SYS_read, fd, buf, 10), 10);
	IS(c, c_write(c, fd, buf, 10), -ENOSPC);
	fd = c_open(c, "urandom", O_RDONLY, 0);
	IS(c, SYS(c, SYS_read, fd, buf, sizeof(buf)), sizeof(buf));
	TRUE(c, memcmp(buf, zero, sizeof(buf)) != 0);
	OK(c, SYS(c, SYS_fchmod, fd, 0600));
	IS(c, c_mode(c, "urandom"), S_IFCHR | 0600);
}

/* There are none; what nobody has set reads the same everywhere. */
static void
leases(struct conf *c)
{
	int fd;

	OK(c, c_file(c, "f", 0600));
	fd = c_open(c, "f", O_RDONLY, 0);
	IS(c, SYS(c, SYS_fcntl, fd, 1025 /* F_GETLEASE */), F_UNLCK);
	if (!c->c_host)
		IS(c, SYS(c, SYS_fcntl, fd, 1024 /* F_SETLEASE */, F_RDLCK),
		    -EINVAL);
	OK(c, c_close(c, fd));
}

const struct conf_case conf_open[] = {
	{ "open creates", creates, 0 },
	{ "open directories", directories, 0 },
	{ "open links", links, 0 },
	{ "O_PATH", path_only, 0 },
	{ "O_TRUNC", truncating, CONF_DATA },
	{ "O_APPEND", appending, CONF_DATA },
	{ "modes of access", modes_of_access, CONF_DATA },
	{ "open permissions", permissions, CONF_ROOT },
	{ "O_TMPFILE", tmpfiles, CONF_TMP | CONF_ROOT },
	{ "openat2", resolve, 0 },
	{ "openat", relative, 0 },
	{ "flock", locks, 0 },
	{ "OFD locks", range_locks, 0 },
	{ "devices of memory", memory_devices, CONF_ROOT },
	{ "leases", leases, 0 },
	{ NULL, NULL, 0 },
};
