/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every call that takes a path says of paths that are no good: a case for
 * each call and each kind of path.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <utime.h>

#include "conf.h"

/* ---- the calls ------------------------------------------------------------------ */

static char out[8192];
static const struct timespec times[2] = { { 1, 2 }, { 3, 4 } };
static const uint64_t how[3];

#define CALL(name, expr)                                \
	static int64_t name(struct conf *c, uint64_t p) \
	{                                               \
		return (expr);                          \
	}
#define AT AT_FDCWD

CALL(open_read, SYS(c, SYS_open, p, O_RDONLY))
CALL(open_write, SYS(c, SYS_open, p, O_WRONLY))
CALL(open_path, SYS(c, SYS_open, p, O_PATH))
CALL(open_nofollow, SYS(c, SYS_open, p, O_PATH | O_NOFOLLOW))
CALL(open_create, SYS(c, SYS_open, p, O_CREAT | O_EXCL | O_RDWR, 0600))
CALL(openat_read, SYS(c, SYS_openat, AT, p, O_RDONLY))
CALL(openat2_read, SYS(c, SYS_openat2, AT, p, how, sizeof(how)))
CALL(stat_, SYS(c, SYS_stat, p, out))
CALL(lstat_, SYS(c, SYS_lstat, p, out))
CALL(fstatat_, SYS(c, SYS_newfstatat, AT, p, out, 0))
CALL(fstatat_link, SYS(c, SYS_newfstatat, AT, p, out, AT_SYMLINK_NOFOLLOW))
CALL(statx_, SYS(c, SYS_statx, AT, p, 0, STATX_BASIC_STATS, out))
CALL(statfs_, SYS(c, SYS_statfs, p, out))
CALL(access_, SYS(c, SYS_access, p, 4))
CALL(faccessat_, SYS(c, SYS_faccessat, AT, p, 0))
CALL(chmod_, SYS(c, SYS_chmod, p, 0644))
CALL(fchmodat_, SYS(c, SYS_fchmodat, AT, p, 0644))
CALL(chown_, SYS(c, SYS_chown, p, -1, -1))
CALL(lchown_, SYS(c, SYS_lchown, p, -1, -1))
CALL(fchownat_, SYS(c, SYS_fchownat, AT, p, -1, -1, 0))
CALL(truncate_, SYS(c, SYS_truncate, p, 0))
CALL(utime_, SYS(c, SYS_utime, p, 0))
CALL(utimes_, SYS(c, SYS_utimes, p, 0))
CALL(utimensat_, SYS(c, SYS_utimensat, AT, p, times, 0))
CALL(utimensat_link, SYS(c, SYS_utimensat, AT, p, times, AT_SYMLINK_NOFOLLOW))
CALL(chdir_, SYS(c, SYS_chdir, p))
CALL(chroot_, SYS(c, SYS_chroot, p))
CALL(mkdir_, SYS(c, SYS_mkdir, p, 0755))
CALL(mkdirat_, SYS(c, SYS_mkdirat, AT, p, 0755))
CALL(mknod_, SYS(c, SYS_mknod, p, S_IFREG | 0600, 0))
CALL(mknodat_, SYS(c, SYS_mknodat, AT, p, S_IFIFO | 0600, 0))
CALL(symlink_, SYS(c, SYS_symlink, "file", p))
CALL(symlinkat_, SYS(c, SYS_symlinkat, "file", AT, p))
CALL(link_to, SYS(c, SYS_link, "file", p))
CALL(link_from, SYS(c, SYS_link, p, "new"))
CALL(linkat_follow, SYS(c, SYS_linkat, AT, p, AT, "new", AT_SYMLINK_FOLLOW))
CALL(rename_from, SYS(c, SYS_rename, p, "new"))
CALL(rename_to, SYS(c, SYS_renameat2, AT, "file", AT, p, 1))
CALL(unlink_, SYS(c, SYS_unlink, p))
CALL(unlinkat_, SYS(c, SYS_unlinkat, AT, p, 0))
CALL(rmdir_, SYS(c, SYS_rmdir, p))
CALL(readlink_, SYS(c, SYS_readlink, p, out, sizeof(out)))
CALL(readlinkat_, SYS(c, SYS_readlinkat, AT, p, out, sizeof(out)))
CALL(getxattr_, SYS(c, SYS_getxattr, p, "trusted.x", out, 10))
CALL(lgetxattr_, SYS(c, SYS_lgetxattr, p, "trusted.x", out, 10))
CALL(setxattr_, SYS(c, SYS_setxattr, p, "trusted.x", "y", 1, 0))
CALL(lsetxattr_, SYS(c, SYS_lsetxattr, p, "trusted.x", "y", 1, 0))
CALL(listxattr_, SYS(c, SYS_listxattr, p, out, sizeof(out)))
CALL(llistxattr_, SYS(c, SYS_llistxattr, p, out, sizeof(out)))
CALL(removexattr_, SYS(c, SYS_removexattr, p, "trusted.none"))
CALL(lremovexattr_, SYS(c, SYS_lremovexattr, p, "trusted.none"))

static int64_t
watch_(struct conf *c, uint64_t p)
{
	int fd = (int)SYS(c, SYS_inotify_init1, IN_NONBLOCK);
	int64_t r = SYS(c, SYS_inotify_add_watch, fd, p, IN_OPEN);

	OK(c, c_close(c, fd));
	return r;
}

static int64_t
handle_(struct conf *c, uint64_t p)
{
	static uint32_t fh[40] = { 128 };
	int mount;

	fh[0] = 128;
	return SYS(c, SYS_name_to_handle_at, AT, p, fh, &mount, 0);
}

/* What a call does with the end of its path. */
enum end {
	FOLLOW, /* it is there; a symlink is followed */
	THERE,  /* it is there; a symlink is meant itself */
	MAKE    /* it must not be there */
};

static const struct {
	const char *name;
	int64_t (*fn)(struct conf *c, uint64_t p);
	enum end end;
	int nothing; /* what it says, as root, of a file that is all right */
	bool real;   /* it asks for real ids */
} calls[] = {
	{ "open", open_read, FOLLOW, 0, false },
	{ "open to write", open_write, FOLLOW, 0, false },
	{ "open O_PATH", open_path, FOLLOW, 0, false },
	{ "open O_PATH|O_NOFOLLOW", open_nofollow, THERE, 0, false },
	{ "open O_CREAT|O_EXCL", open_create, MAKE, 0, false },
	{ "openat", openat_read, FOLLOW, 0, false },
	{ "openat2", openat2_read, FOLLOW, 0, false },
	{ "stat", stat_, FOLLOW, 0, false },
	{ "lstat", lstat_, THERE, 0, false },
	{ "fstatat", fstatat_, FOLLOW, 0, false },
	{ "fstatat of a link", fstatat_link, THERE, 0, false },
	{ "statx", statx_, FOLLOW, 0, false },
	{ "statfs", statfs_, FOLLOW, 0, false },
	{ "access", access_, FOLLOW, 0, true },
	{ "faccessat", faccessat_, FOLLOW, 0, true },
	{ "chmod", chmod_, FOLLOW, 0, false },
	{ "fchmodat", fchmodat_, FOLLOW, 0, false },
	{ "chown", chown_, FOLLOW, 0, false },
	{ "lchown", lchown_, THERE, 0, false },
	{ "fchownat", fchownat_, FOLLOW, 0, false },
	{ "truncate", truncate_, FOLLOW, 0, false },
	{ "utime", utime_, FOLLOW, 0, false },
	{ "utimes", utimes_, FOLLOW, 0, false },
	{ "utimensat", utimensat_, FOLLOW, 0, false },
	{ "utimensat of a link", utimensat_link, THERE, 0, false },
	{ "chdir", chdir_, FOLLOW, -ENOTDIR, false },
	{ "chroot", chroot_, FOLLOW, -ENOTDIR, false },
	{ "mkdir", mkdir_, MAKE, 0, false },
	{ "mkdirat", mkdirat_, MAKE, 0, false },
	{ "mknod", mknod_, MAKE, 0, false },
	{ "mknodat", mknodat_, MAKE, 0, false },
	{ "symlink", symlink_, MAKE, 0, false },
	{ "symlinkat", symlinkat_, MAKE, 0, false },
	{ "link to", link_to, MAKE, 0, false },
	{ "link from", link_from, THERE, 0, false },
	{ "linkat following", linkat_follow, FOLLOW, 0, false },
	{ "rename from", rename_from, THERE, 0, false },
	{ "rename to", rename_to, MAKE, 0, false },
	{ "unlink", unlink_, THERE, 0, false },
	{ "unlinkat", unlinkat_, THERE, 0, false },
	{ "rmdir", rmdir_, THERE, -ENOTDIR, false },
	{ "readlink", readlink_, THERE, -EINVAL, false },
	{ "readlinkat", readlinkat_, THERE, -EINVAL, false },
	{ "getxattr", getxattr_, FOLLOW, -ENODATA, false },
	{ "lgetxattr", lgetxattr_, THERE, -ENODATA, false },
	{ "setxattr", setxattr_, FOLLOW, 0, false },
	{ "lsetxattr", lsetxattr_, THERE, 0, false },
	{ "listxattr", listxattr_, FOLLOW, 0, false },
	{ "llistxattr", llistxattr_, THERE, 0, false },
	{ "removexattr", removexattr_, FOLLOW, -ENODATA, false },
	{ "lremovexattr", lremovexattr_, THERE, -ENODATA, false },
	{ "inotify_add_watch", watch_, FOLLOW, 0, false },
	{ "name_to_handle_at", handle_, THERE, 0, false },
};

/* ---- the paths ------------------------------------------------------------------ */

#define GOOD 1 /* what the call says of a good file */

static const struct {
	const char *name, *path;
	int error[3]; /* by enum end; 0: not asked */
} paths[] = {
	{ "a file", "file", { GOOD, GOOD, -EEXIST } },
	{ "no name", "none", { -ENOENT, -ENOENT, GOOD } },
	{ "the empty path", "", { -ENOENT, -ENOENT, -ENOENT } },
	{ "in no directory", "none/x", { -ENOENT, -ENOENT, -ENOENT } },
	{ "below a file", "file/x", { -ENOTDIR, -ENOTDIR, -ENOTDIR } },
	{ "below a dangling link", "dangling/x",
	    { -ENOENT, -ENOENT, -ENOENT } },
	{ "a file with a slash", "file/", { -ENOTDIR, -ENOTDIR, 0 } },
	{ "a dangling link", "dangling", { -ENOENT, 0, -EEXIST } },
	{ "a loop", "loop", { -ELOOP, 0, -EEXIST } },
	{ "below a loop", "loop/x", { -ELOOP, -ELOOP, -ELOOP } },
	{ "a name too long", NULL,
	    { -ENAMETOOLONG, -ENAMETOOLONG, -ENAMETOOLONG } },
	{ "a path too long", NULL,
	    { -ENAMETOOLONG, -ENAMETOOLONG, -ENAMETOOLONG } },
	{ "no memory", NULL, { -EFAULT, -EFAULT, -EFAULT } },
	{ "behind a closed door", "locked/x", { -EACCES, -EACCES, -EACCES } },
};

#define NCALL ((int)(sizeof(calls) / sizeof(calls[0])))
#define NPATH ((int)(sizeof(paths) / sizeof(paths[0])))

static uint64_t
path_of(int i, char *text)
{
	if (paths[i].path != NULL)
		return (uint64_t)(uintptr_t)paths[i].path;
	if (paths[i].error[0] == -EFAULT)
		return 8;
	memset(text, '/', 5000);
	if (strcmp(paths[i].name, "a name too long") == 0) {
		memset(text, 'n', 256);
		text[256] = '\0';
	} else {
		text[4096] = '\0';
	}
	return (uint64_t)(uintptr_t)text;
}

static void
prepare(struct conf *c)
{
	OK(c, SYS(c, SYS_chmod, ".", 0777));
	OK(c, c_file(c, "file", 0666));
	OK(c, c_symlink(c, "none", "dangling"));
	OK(c, c_symlink(c, "loop", "loop"));
	OK(c, c_mkdir(c, "locked", 0700));
	OK(c, c_file(c, "locked/x", 0666));
}

/* A case in the making. */
struct error_case {
	struct conf_case ec_case;
	int ec_call, ec_path;
	char ec_name[100];
};

static void
try_one(struct conf *c)
{
	const struct error_case *ec = (const void *)c->c_case;
	int call = ec->ec_call, path = ec->ec_path;
	int want = paths[path].error[calls[call].end];
	bool other = paths[path].error[0] == -EACCES;
	char text[5000];
	int64_t r;

	if (want == 0 || (other && calls[call].real))
		return;
	prepare(c);
	if (other)
		c_user(c, 1234, 1234);
	r = calls[call].fn(c, path_of(path, text));
	/* Not even root's own may go before the path has been looked at. */
	if (want == GOOD)
		want = calls[call].nothing;
	if (want == 0)
		TRUE(c, r >= 0);
	else
		IS(c, r, want);
	if (other)
		c_user(c, 0, 0);
}

const struct conf_case *
conf_error_nth(int i)
{
	static struct error_case ec;

	if (i >= NCALL * NPATH)
		return NULL;
	ec.ec_call = i / NPATH;
	ec.ec_path = i % NPATH;
	(void)snprintf(ec.ec_name, sizeof(ec.ec_name), "%s: %s",
	    calls[ec.ec_call].name, paths[ec.ec_path].name);
	ec.ec_case = (struct conf_case){ ec.ec_name, try_one, CONF_ROOT };
	return &ec.ec_case;
}

int
conf_error_paths(void)
{
	return NPATH;
}

int
conf_errors(void)
{
	return NCALL * NPATH;
}
