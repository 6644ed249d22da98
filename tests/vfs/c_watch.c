/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * inotify: what is told of which change.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "conf.h"

static const char *const bit_names[32] = { "access", "modify", "attrib",
	"close_write", "close_nowrite", "open", "moved_from", "moved_to",
	"create", "delete", "delete_self", "move_self", [13] = "unmount",
	[14] = "overflow", [15] = "ignored", [30] = "dir" };

static int
instance(struct conf *c)
{
	int fd = (int)SYS(c, SYS_inotify_init1, IN_NONBLOCK);

	TRUE(c, fd >= 0);
	return fd;
}

static int
watch(struct conf *c, int fd, const char *path, unsigned mask)
{
	return (int)SYS(c, SYS_inotify_add_watch, fd, path, mask);
}

/* An event as "WD:BIT+BIT NAME; ", a rename's cookies as 1, 2 ... */
static void
describe(const struct inotify_event *e, unsigned cookie, char *out, size_t len)
{
	size_t n = (size_t)snprintf(out, len, "%d:", e->wd);
	const char *plus = "";
	unsigned i;

	for (i = 0; i < 32; i++)
		if ((e->mask & 1u << i) != 0) {
			n += (size_t)snprintf(out + n, len - n, "%s%s", plus,
			    bit_names[i] != NULL ? bit_names[i] : "?");
			plus = "+";
		}
	if (e->len != 0)
		n += (size_t)snprintf(out + n, len - n, " %s", e->name);
	if (e->cookie != 0)
		n += (size_t)snprintf(out + n, len - n, " #%u", cookie);
	(void)snprintf(out + n, len - n, "; ");
}

/* Read all events there are, and compare. */
static void
told(struct conf *c, int fd, const char *want, int line)
{
	char buf[4096] __attribute__((aligned(8))), got[2000] = "";
	unsigned last = 0, cookie = 0;
	struct inotify_event e;
	int64_t n, at;
	size_t len;

	while ((n = SYS(c, SYS_read, fd, buf, sizeof(buf))) > 0)
		for (at = 0; at < n; at += (int64_t)(sizeof(e) + e.len)) {
			memcpy(&e, buf + at, sizeof(e));
			if (e.cookie != 0 && e.cookie != last) {
				last = e.cookie;
				cookie++;
			}
			len = strlen(got);
			describe((const void *)(buf + at), cookie, got + len,
			    sizeof(got) - len);
		}
	IS(c, n, -EAGAIN);
	if (strcmp(got, want) != 0 && c->c_failure[0] == '\0')
		(void)snprintf(c->c_failure, sizeof(c->c_failure),
		    "%s:%d: told \"%s\"", __FILE__, line, got);
}
#define TOLD(c, fd, want) told((c), (fd), (want), __LINE__)

static void
watch_names(struct conf *c)
{
	int in = instance(c), fd;

	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_mkdir(c, "e", 0755));
	IS(c, watch(c, in, "d", IN_ALL_EVENTS), 1);
	IS(c, watch(c, in, "e", IN_CREATE | IN_DELETE | IN_MOVE), 2);
	fd = c_open(c, "d/f", O_CREAT | O_RDWR, 0600);
	TOLD(c, in, "1:create f; 1:open f; ");
	OK(c, c_close(c, fd));
	TOLD(c, in, "1:close_write f; ");
	OK(c, c_mkdir(c, "d/s", 0755));
	OK(c, c_symlink(c, "x", "d/l"));
	OK(c, c_link(c, "d/f", "e/g"));
	OK(c, SYS(c, SYS_mknod, "d/p", S_IFIFO | 0600, 0));
	TOLD(c, in, "1:create+dir s; 1:create l; 2:create g; 1:create p; ");
	OK(c, c_rename(c, "d/f", "d/f2"));
	OK(c, c_rename(c, "d/f2", "e/f3"));
	OK(c, c_rename(c, "d/s", "e/s"));
	TOLD(c, in,
	    "1:moved_from f #1; 1:moved_to f2 #1; 1:moved_from f2 #2; "
	    "2:moved_to f3 #2; 1:moved_from+dir s #3; 2:moved_to+dir s #3; ");
	OK(c, c_unlink(c, "d/p"));
	OK(c, c_rmdir(c, "e/s"));
	TOLD(c, in, "1:delete p; 2:delete+dir s; ");
	/* What failed is nothing. */
	IS(c, c_unlink(c, "d/none"), -ENOENT);
	IS(c, c_mkdir(c, "d/l", 0755), -EEXIST);
	TOLD(c, in, "");
	OK(c, c_close(c, in));
}

static void
watch_data(struct conf *c)
{
	char buf[8];
	int in = instance(c), fd;

	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_file(c, "d/f", 0600));
	IS(c, watch(c, in, "d", IN_ALL_EVENTS), 1);
	IS(c, watch(c, in, "d/f", IN_ALL_EVENTS), 2);
	/* The directory's watch tells first. */
	fd = c_open(c, "d/f", O_RDWR, 0);
	TOLD(c, in, "1:open f; 2:open; ");
	IS(c, c_write(c, fd, "text", 4), 4);
	TOLD(c, in, "1:modify f; 2:modify; ");
	IS(c, c_pread(c, fd, buf, 8, 0), 4);
	TOLD(c, in, "1:access f; 2:access; ");
	IS(c, c_pread(c, fd, buf, 8, 100), 0);
	TOLD(c, in, "");
	OK(c, SYS(c, SYS_ftruncate, fd, 2));
	TOLD(c, in, "1:modify f; 2:modify; ");
	OK(c, c_close(c, fd));
	TOLD(c, in, "1:close_write f; 2:close_write; ");
	fd = c_open(c, "d/f", O_RDONLY, 0);
	OK(c, c_close(c, fd));
	TOLD(c, in, "1:open f; 2:open; 1:close_nowrite f; 2:close_nowrite; ");
	fd = c_open(c, "d/f", O_PATH, 0);
	OK(c, c_close(c, fd));
	TOLD(c, in, "");
	OK(c, SYS(c, SYS_truncate, "d/f", 5));
	TOLD(c, in, "1:modify f; 2:modify; ");
	OK(c, c_close(c, in));
}

static void
watch_attrs(struct conf *c)
{
	struct timespec ts[2] = { { 1, 2 }, { 3, 4 } };
	int in = instance(c);

	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_file(c, "d/f", 0600));
	OK(c, c_mkdir(c, "d/s", 0700));
	IS(c, watch(c, in, "d", IN_ALL_EVENTS), 1);
	OK(c, SYS(c, SYS_chmod, "d/f", 0644));
	OK(c, SYS(c, SYS_chmod, "d/s", 0755));
	TOLD(c, in, "1:attrib f; 1:attrib+dir s; ");
	OK(c, SYS(c, SYS_chown, "d/f", -1, -1));
	OK(c, SYS(c, SYS_utimensat, AT_FDCWD, "d/f", ts, 0));
	TOLD(c, in, "1:attrib f; ");
	ts[0].tv_nsec = UTIME_OMIT;
	OK(c, SYS(c, SYS_utimensat, AT_FDCWD, "d/f", ts, 0));
	TOLD(c, in, "1:modify f; ");
	OK(c, SYS(c, SYS_chmod, "d", 0700));
	TOLD(c, in, "1:attrib+dir; ");
	OK(c, c_close(c, in));
}

static void
watch_xattrs(struct conf *c)
{
	int in = instance(c);

	OK(c, c_file(c, "f", 0600));
	IS(c, watch(c, in, "f", IN_ALL_EVENTS), 1);
	OK(c, SYS(c, SYS_setxattr, "f", "user.x", "1", 1, 0));
	TOLD(c, in, "1:attrib; ");
	OK(c, SYS(c, SYS_removexattr, "f", "user.x"));
	TOLD(c, in, "1:attrib; ");
	OK(c, c_close(c, in));
}

static void
watch_self(struct conf *c)
{
	int in = instance(c), fd;

	OK(c, c_file(c, "f", 0600));
	OK(c, c_mkdir(c, "d", 0755));
	IS(c, watch(c, in, "f", IN_ALL_EVENTS), 1);
	IS(c, watch(c, in, "d", IN_ALL_EVENTS), 2);
	OK(c, c_rename(c, "f", "g"));
	OK(c, c_rename(c, "d", "e"));
	TOLD(c, in, "1:move_self; 2:move_self; ");
	OK(c, c_link(c, "g", "h"));
	OK(c, c_unlink(c, "g"));
	TOLD(c, in, "1:attrib; ");
	/* The last name, while it is open: it goes when that is closed. */
	fd = c_open(c, "h", O_RDONLY, 0);
	OK(c, c_unlink(c, "h"));
	TOLD(c, in, "1:open; 1:attrib; ");
	OK(c, c_close(c, fd));
	TOLD(c, in, "1:close_nowrite; 1:delete_self; 1:ignored; ");
	OK(c, c_rmdir(c, "e"));
	TOLD(c, in, "2:delete_self; 2:ignored; ");
	IS(c, SYS(c, SYS_inotify_rm_watch, in, 1), -EINVAL);
	/* Replaced. */
	OK(c, c_file(c, "a", 0600));
	OK(c, c_file(c, "b", 0600));
	IS(c, watch(c, in, "b", IN_ALL_EVENTS), 3);
	OK(c, c_rename(c, "a", "b"));
	TOLD(c, in, "3:attrib; 3:delete_self; 3:ignored; ");
	OK(c, c_close(c, in));
}

static void
watch_dirs(struct conf *c)
{
	char buf[512];
	int in = instance(c), fd;

	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_mkdir(c, "d/s", 0755));
	IS(c, watch(c, in, "d", IN_ALL_EVENTS | IN_EXCL_UNLINK), 1);
	fd = c_open(c, "d/s", O_RDONLY | O_DIRECTORY, 0);
	TRUE(c, SYS(c, SYS_getdents64, fd, buf, sizeof(buf)) > 0);
	OK(c, c_close(c, fd));
	TOLD(c, in, "1:open+dir s; 1:access+dir s; 1:close_nowrite+dir s; ");
	fd = c_open(c, "d", O_RDONLY | O_DIRECTORY, 0);
	OK(c, c_close(c, fd));
	TOLD(c, in, "1:open+dir; 1:close_nowrite+dir; ");
	/* Not of what has been unlinked, if not wanted. */
	fd = c_open(c, "d/f", O_CREAT | O_RDWR, 0600);
	OK(c, c_unlink(c, "d/f"));
	TOLD(c, in, "1:create f; 1:open f; 1:delete f; ");
	IS(c, c_write(c, fd, "x", 1), 1);
	OK(c, c_close(c, fd));
	TOLD(c, in, "");
	OK(c, c_close(c, in));
}

static void
watch_masks(struct conf *c)
{
	int in = instance(c), fd;

	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_file(c, "f", 0600));
	OK(c, c_symlink(c, "f", "l"));
	IS(c, watch(c, in, "d", 0), -EINVAL);
	IS(c, watch(c, in, "none", IN_CREATE), -ENOENT);
	IS(c, watch(c, in, "f", IN_OPEN | IN_ONLYDIR), -ENOTDIR);
	IS(c, watch(c, in, "f", IN_OPEN | IN_MASK_ADD | IN_MASK_CREATE),
	    -EINVAL);
	IS(c, watch(c, in, "f", IN_OPEN), 1);
	/* One watch a file, by whatever name; a mask replaces or adds. */
	IS(c, watch(c, in, "l", IN_CLOSE), 1);
	IS(c, watch(c, in, "f", IN_OPEN | IN_MASK_CREATE), -EEXIST);
	IS(c, watch(c, in, "l", IN_ALL_EVENTS | IN_DONT_FOLLOW), 2);
	fd = c_open(c, "f", O_RDONLY, 0);
	OK(c, c_close(c, fd));
	TOLD(c, in, "1:close_nowrite; ");
	IS(c, watch(c, in, "f", IN_OPEN | IN_MASK_ADD), 1);
	fd = c_open(c, "f", O_RDONLY, 0);
	OK(c, c_close(c, fd));
	TOLD(c, in, "1:open; 1:close_nowrite; ");
	/* Once. */
	IS(c, watch(c, in, "d", IN_CREATE | IN_ONESHOT), 3);
	OK(c, c_file(c, "d/a", 0600));
	OK(c, c_file(c, "d/b", 0600));
	TOLD(c, in, "3:create a; 3:ignored; ");
	OK(c, SYS(c, SYS_inotify_rm_watch, in, 1));
	TOLD(c, in, "1:ignored; ");
	IS(c, SYS(c, SYS_inotify_rm_watch, in, 1), -EINVAL);
	IS(c, SYS(c, SYS_inotify_rm_watch, 99, 1), -EBADF);
	fd = c_open(c, "f", O_RDONLY, 0);
	IS(c, SYS(c, SYS_inotify_rm_watch, fd, 1), -EINVAL);
	IS(c, watch(c, fd, "f", IN_OPEN), -EINVAL);
	IS(c, watch(c, 99, "f", IN_OPEN), -EBADF);
	IS(c, SYS(c, SYS_inotify_init1, 1), -EINVAL);
	OK(c, c_close(c, fd));
	OK(c, c_close(c, in));
}

static void
watch_reading(struct conf *c)
{
	struct pollfd p = { .events = POLLIN };
	char buf[64];
	int in = instance(c), n = 0;

	p.fd = in;
	OK(c, c_mkdir(c, "d", 0755));
	IS(c, watch(c, in, "d", IN_CREATE), 1);
	IS(c, SYS(c, SYS_poll, &p, 1, 0), 0);
	IS(c, SYS(c, SYS_read, in, buf, sizeof(buf)), -EAGAIN);
	OK(c, c_file(c, "d/a", 0600));
	OK(c, c_file(c, "d/sixteen--letters", 0600));
	IS(c, SYS(c, SYS_poll, &p, 1, 0), 1);
	/* Names are padded to the size of the struct. */
	OK(c, SYS(c, SYS_ioctl, in, FIONREAD, &n));
	IS(c, n, 32 + 48);
	IS(c, SYS(c, SYS_read, in, buf, 31), -EINVAL);
	IS(c, SYS(c, SYS_read, in, buf, sizeof(buf)), 32);
	IS(c, SYS(c, SYS_read, in, buf, sizeof(buf)), 48);
	OK(c, SYS(c, SYS_ioctl, in, FIONREAD, &n));
	IS(c, n, 0);
	IS(c, SYS(c, SYS_write, in, buf, 1), -EBADF);
	OK(c, SYS(c, SYS_lseek, in, 0, SEEK_SET));
	IS(c, SYS(c, SYS_fsync, in), -EINVAL);
	OK(c, c_close(c, in));
}

static void
watch_access(struct conf *c)
{
	int in = instance(c);

	OK(c, c_file(c, "f", 0600));
	OK(c, SYS(c, SYS_chmod, ".", 0755));
	c_user(c, 1234, 1234);
	IS(c, watch(c, in, "f", IN_OPEN), -EACCES);
	c_user(c, 0, 0);
	OK(c, c_close(c, in));
}

static void
watch_unmount(struct conf *c)
{
	int in = instance(c);

	OK(c, c_mkdir(c, "d", 0755));
	OK(c, SYS(c, SYS_mount, "none", "d", "tmpfs", 0, 0));
	OK(c, c_file(c, "d/f", 0644));
	IS(c, watch(c, in, "d/f", IN_OPEN), 1);
	OK(c, SYS(c, SYS_umount2, "d", 0));
	TOLD(c, in, "1:unmount; 1:ignored; ");
	OK(c, c_close(c, in));
}

/* More than anybody reads. */
static void
watch_overflow(struct conf *c)
{
	char buf[65536] __attribute__((aligned(8)));
	struct inotify_event e = { 0 };
	int in = instance(c), i, events = 0, most = 16384;
	int64_t n, at;

	if (c->c_host)
		return; /* the limit is the administrator's */
	OK(c, c_file(c, "f", 0600));
	OK(c, c_file(c, "g", 0600));
	IS(c, watch(c, in, "f", IN_ATTRIB), 1);
	IS(c, watch(c, in, "g", IN_ATTRIB), 2);
	for (i = 0; i < 10000 && c->c_failure[0] == '\0'; i++) {
		OK(c, SYS(c, SYS_chmod, "f", 0600));
		OK(c, SYS(c, SYS_chmod, "g", 0600));
	}
	while ((n = SYS(c, SYS_read, in, buf, sizeof(buf))) > 0)
		for (at = 0; at < n; at += (int64_t)sizeof(e), events++)
			memcpy(&e, buf + at, sizeof(e));
	IS(c, events, most + 1);
	IS(c, e.mask, IN_Q_OVERFLOW);
	IS(c, e.wd, -1);
	/* It goes on. */
	OK(c, SYS(c, SYS_chmod, "f", 0600));
	TOLD(c, in, "1:attrib; ");
	OK(c, c_close(c, in));
}

const struct conf_case conf_watch[] = {
	{ "watch_names", watch_names, 0 },
	{ "watch_data", watch_data, CONF_DATA },
	{ "watch_attrs", watch_attrs, 0 },
	{ "watch_xattrs", watch_xattrs, CONF_XATTR },
	{ "watch_self", watch_self, 0 },
	{ "watch_dirs", watch_dirs, 0 },
	{ "watch_masks", watch_masks, 0 },
	{ "watch_reading", watch_reading, 0 },
	{ "watch_access", watch_access, CONF_ROOT },
	{ "watch_unmount", watch_unmount, CONF_MOUNT },
	{ "watch_overflow", watch_overflow, 0 },
	{ 0 },
};
