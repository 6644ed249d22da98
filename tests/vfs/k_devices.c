/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * devfs and its devices; fifos and pipes between several threads.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quern/abi/errno.h>
#include <quern/abi/fcntl.h>
#include <quern/abi/fs.h>
#include <quern/abi/ioctl.h>
#include <quern/abi/mount.h>
#include <quern/abi/splice.h>
#include <quern/abi/stat.h>
#include <quern/devfs.h>
#include <quern/tmpfs.h>
#include <quern/vfs.h>

#include "tests/kernel/ktest.h"

static const struct quern_component *const components[] = { &qvfs, &qtmpfs,
	&qdevfs, NULL };

/* A kernel with /dev, and a process of it. */
static struct quern *
start(struct kenv *e, struct quern_proc **pp)
{
	struct quern_config cfg = kenv_config(e);
	struct quern *k;

	cfg.components = components;
	if (!KCHECK_EQ(e, quern_create(&cfg, &k), 0) ||
	    !KCHECK_EQ(e, quern_proc_create(k, pp), 0))
		return NULL;
	KCHECK_EQ(e, quern_mkdir(*pp, "/dev", 0755), 0);
	KCHECK_EQ(e, quern_mount(*pp, "dev", "/dev", "devfs", 0, NULL), 0);
	return k;
}

static void
memory(struct kenv *e)
{
	char buf[5000], zero[5000] = { 0 };
	struct quern_proc *p;
	struct quern *k = start(e, &p);
	struct q_stat st;
	int fd;

	if (k == NULL)
		return;
	KCHECK_EQ(e, quern_stat(p, "/dev/null", &st), 0);
	KCHECK_EQ(e, st.st_mode, Q_S_IFCHR | 0666);
	KCHECK_EQ(e, st.st_rdev, 0x103);
	fd = quern_open(p, "/dev/null", Q_O_RDWR, 0);
	KCHECK_EQ(e, quern_write(p, fd, buf, sizeof(buf)), sizeof(buf));
	KCHECK_EQ(e, quern_read(p, fd, buf, sizeof(buf)), 0);
	fd = quern_open(p, "/dev/zero", Q_O_RDWR, 0);
	memset(buf, 1, sizeof(buf));
	KCHECK_EQ(e, quern_read(p, fd, buf, sizeof(buf)), sizeof(buf));
	KCHECK(e, memcmp(buf, zero, sizeof(buf)) == 0);
	fd = quern_open(p, "/dev/full", Q_O_RDWR, 0);
	KCHECK_EQ(e, quern_write(p, fd, buf, 1), -Q_ENOSPC);
	fd = quern_open(p, "/dev/urandom", Q_O_RDONLY, 0);
	KCHECK_EQ(e, quern_read(p, fd, buf, sizeof(buf)), sizeof(buf));
	KCHECK(e, memcmp(buf, zero, sizeof(buf)) != 0);
	KCHECK_EQ(e, quern_fsync(p, fd), -Q_EINVAL);
	KCHECK_EQ(e, quern_open(p, "/dev/tty", Q_O_RDWR, 0), -Q_ENXIO);
	kenv_destroy(e, k);
}

/* Is `name` in the directory? */
static bool
is_listed(struct quern_proc *p, const char *path, const char *name)
{
	int fd = quern_open(p, path, Q_O_RDONLY | Q_O_DIRECTORY, 0);
	struct q_dirent64 *d;
	bool found = false;
	char buf[256];
	int64_t n, at;

	while ((n = quern_getdents64(p, fd, buf, sizeof(buf))) > 0)
		for (at = 0; at < n; at += d->d_reclen) {
			d = (struct q_dirent64 *)(void *)(buf + at);
			found |= strcmp(d->d_name, name) == 0;
		}
	(void)quern_close(p, fd);
	return found && n == 0;
}

static void
names(struct kenv *e)
{
	struct quern_proc *p;
	struct quern *k = start(e, &p);
	struct q_stat st;
	struct qdisk *d, *d2;

	if (k == NULL)
		return;
	KCHECK(e, is_listed(p, "/dev", "null") && is_listed(p, "/dev", "fd"));
	KCHECK(e, is_listed(p, "/dev", ".") && is_listed(p, "/dev", ".."));
	KCHECK_EQ(e, quern_stat(p, "/dev/pts/..", &st), 0);
	KCHECK_EQ(e, st.st_ino, 1);
	KCHECK_EQ(e, quern_stat(p, "/dev/pts/null", &st), -Q_ENOENT);
	KCHECK_EQ(e, quern_mkdir(p, "/dev/x", 0755), -Q_EPERM);
	KCHECK_EQ(e, quern_unlink(p, "/dev/null"), -Q_EPERM);
	KCHECK_EQ(e, quern_open(p, "/dev/x", Q_O_CREAT | Q_O_RDWR, 0600),
	    -Q_EPERM);
	/* A disk that comes is found, though it was asked for before. */
	KCHECK_EQ(e, quern_stat(p, "/dev/vda", &st), -Q_ENOENT);
	KCHECK_EQ(e, quern_disk_ram(k, "vda", 65536, &d), 0);
	KCHECK_EQ(e, quern_disk_ram(k, "a/b", 65536, &d2), 0);
	KCHECK_EQ(e, quern_stat(p, "/dev/vda", &st), 0);
	KCHECK_EQ(e, st.st_mode, Q_S_IFBLK | 0660);
	KCHECK(e, is_listed(p, "/dev", "vda") && is_listed(p, "/dev", "disk2"));
	KCHECK_EQ(e, quern_disk_close(d), 0);
	KCHECK(e, !is_listed(p, "/dev", "vda"));
	KCHECK_EQ(e, quern_open(p, "/dev/vda", Q_O_RDONLY, 0), -Q_ENXIO);
	KCHECK_EQ(e, quern_disk_close(d2), 0);
	KCHECK_EQ(e, quern_chmod(p, "/dev/full", 0600), 0);
	KCHECK_EQ(e, quern_stat(p, "/dev/full", &st), 0);
	KCHECK_EQ(e, st.st_mode, Q_S_IFCHR | 0600);
	KCHECK_EQ(e, quern_umount2(p, "/dev", 0), 0);
	KCHECK_EQ(e, quern_mount(p, "dev", "/dev", "devfs", 0, "x=1"),
	    -Q_EINVAL);
	kenv_destroy(e, k);
}

/* A tmpfs that begins with the devices: others come and go. */
static void
devtmpfs(struct kenv *e)
{
	struct quern_proc *p;
	struct quern *k = start(e, &p);
	struct q_stat st;
	struct qdisk *d;
	char c = 1;
	int fd;

	if (k == NULL)
		return;
	KCHECK_EQ(e, quern_disk_ram(k, "vda", 65536, &d), 0);
	KCHECK_EQ(e, quern_mount(p, "dev", "/dev", "devtmpfs", 0, NULL), 0);
	KCHECK_EQ(e, quern_stat(p, "/dev", &st), 0);
	KCHECK_EQ(e, st.st_mode, Q_S_IFDIR | 0755);
	KCHECK(e, is_listed(p, "/dev", "null") && is_listed(p, "/dev", "vda"));
	KCHECK_EQ(e, quern_stat(p, "/dev/vda", &st), 0);
	KCHECK_EQ(e, st.st_mode, Q_S_IFBLK | 0660);
	KCHECK_EQ(e, quern_lstat(p, "/dev/fd", &st), 0);
	KCHECK_EQ(e, st.st_mode, Q_S_IFLNK | 0777);
	KCHECK_EQ(e, quern_stat(p, "/dev/shm", &st), 0);
	KCHECK_EQ(e, st.st_mode, Q_S_IFDIR | 01777);
	fd = quern_open(p, "/dev/zero", Q_O_RDWR, 0);
	KCHECK_EQ(e, quern_read(p, fd, &c, 1), 1);
	KCHECK_EQ(e, c, 0);
	KCHECK_EQ(e, quern_close(p, fd), 0);
	KCHECK_EQ(e, quern_mkdir(p, "/dev/x", 0755), 0);
	KCHECK_EQ(e, quern_symlink(p, "null", "/dev/x/y"), 0);
	KCHECK_EQ(e, quern_mknod(p, "/dev/null2", Q_S_IFCHR | 0600, 0x103), 0);
	fd = quern_open(p, "/dev/null2", Q_O_WRONLY, 0);
	KCHECK_EQ(e, quern_write(p, fd, &c, 1), 1);
	KCHECK_EQ(e, quern_close(p, fd), 0);
	KCHECK_EQ(e, quern_unlink(p, "/dev/full"), 0);
	KCHECK_EQ(e, quern_stat(p, "/dev/full", &st), -Q_ENOENT);
	KCHECK_EQ(e, quern_umount2(p, "/dev", 0), 0);
	KCHECK_EQ(e, quern_stat(p, "/dev/full", &st), 0); /* devfs's */
	KCHECK_EQ(e, quern_mount(p, "dev", "/dev", "devtmpfs", 0, "mode=700"),
	    0);
	KCHECK_EQ(e, quern_stat(p, "/dev", &st), 0);
	KCHECK_EQ(e, st.st_mode, Q_S_IFDIR | 0700);
	KCHECK_EQ(e, quern_mount(p, "dev", "/dev", "devtmpfs", 0, "x=1"),
	    -Q_EINVAL);
	KCHECK_EQ(e, quern_disk_close(d), 0);
	kenv_destroy(e, k);
}

static void
disks(struct kenv *e)
{
	char buf[70000], got[70000];
	struct quern_proc *p;
	struct quern *k = start(e, &p);
	uint64_t size, range[2] = { 512, 1024 };
	struct qdisk *d;
	int sector, fd;
	size_t i;

	if (k == NULL)
		return;
	for (i = 0; i < sizeof(buf); i++)
		buf[i] = (char)(i * 31 + i / 256);
	KCHECK_EQ(e, quern_disk_ram(k, "vda", 131072, &d), 0);
	fd = quern_open(p, "/dev/vda", Q_O_RDWR, 0);
	KCHECK_EQ(e, quern_ioctl(p, fd, Q_BLKGETSIZE64, (uintptr_t)&size), 0);
	KCHECK_EQ(e, size, 131072);
	KCHECK_EQ(e, quern_ioctl(p, fd, Q_BLKSSZGET, (uintptr_t)&sector), 0);
	KCHECK_EQ(e, sector, 512);
	KCHECK_EQ(e, quern_lseek(p, fd, 0, Q_SEEK_END), 131072);
	KCHECK_EQ(e, quern_write(p, fd, buf, 1), -Q_ENOSPC);
	KCHECK_EQ(e, quern_read(p, fd, buf, 1), 0);
	/* Parts of sectors leave the rest alone. */
	KCHECK_EQ(e, quern_pwrite64(p, fd, buf, sizeof(buf), 0), sizeof(buf));
	KCHECK_EQ(e, quern_pwrite64(p, fd, "xyz", 3, 511), 3);
	memcpy(buf + 511, "xyz", 3);
	KCHECK_EQ(e, quern_pread64(p, fd, got, sizeof(got), 0), sizeof(got));
	KCHECK(e, memcmp(got, buf, sizeof(got)) == 0);
	KCHECK_EQ(e, quern_pread64(p, fd, got, 700, 300), 700);
	KCHECK(e, memcmp(got, buf + 300, 700) == 0);
	KCHECK_EQ(e, quern_pread64(p, fd, got, 4000, 131072 - 1000), 1000);
	KCHECK_EQ(e, quern_ioctl(p, fd, Q_BLKZEROOUT, (uintptr_t)range), 0);
	KCHECK_EQ(e, quern_pread64(p, fd, got, 1600, 0), 1600);
	memset(buf + 512, 0, 1024);
	KCHECK(e, memcmp(got, buf, 1600) == 0);
	range[1] = UINT64_MAX - 511;
	KCHECK_EQ(e, quern_ioctl(p, fd, Q_BLKDISCARD, (uintptr_t)range),
	    -Q_EINVAL);
	KCHECK_EQ(e, quern_fsync(p, fd), 0);
	KCHECK_EQ(e, quern_disk_close(d), -Q_EBUSY);
	KCHECK_EQ(e, quern_close(p, fd), 0);
	KCHECK_EQ(e, quern_disk_close(d), 0);
	kenv_destroy(e, k);
}

/* ---- fifos between threads ------------------------------------------------- */

struct both {
	struct kenv *e;
	struct quern *k;
	int64_t sum;
};

#define BYTES 20000

/* Open for writing, which waits for a reader, and write. */
static void
writer(void *arg)
{
	struct both *b = arg;
	struct quern_proc *p;
	char buf[100];
	int fd, i;

	KCHECK_EQ(b->e, quern_proc_create(b->k, &p), 0);
	fd = quern_open(p, "/f", Q_O_WRONLY, 0);
	KCHECK(b->e, fd >= 0);
	for (i = 0; i < BYTES; i += (int)sizeof(buf)) {
		memset(buf, i % 251, sizeof(buf));
		KCHECK_EQ(b->e, quern_write(p, fd, buf, sizeof(buf)),
		    sizeof(buf));
	}
	KCHECK_EQ(b->e, quern_proc_destroy(p), 0);
}

static void
rendezvous(struct kenv *e)
{
	struct both b = { .e = e };
	struct quern_proc *p;
	int64_t n, all = 0;
	char buf[333];
	int fd;

	b.k = start(e, &p);
	if (b.k == NULL)
		return;
	KCHECK_EQ(e, quern_mknod(p, "/f", Q_S_IFIFO | 0600, 0), 0);
	kspawn(e, writer, &b);
	fd = quern_open(p, "/f", Q_O_RDONLY, 0);
	KCHECK(e, fd >= 0);
	while ((n = quern_read(p, fd, buf, sizeof(buf))) > 0)
		all += n;
	KCHECK_EQ(e, n, 0);
	KCHECK_EQ(e, all, BYTES);
	kjoin(e);
	KCHECK_EQ(e, quern_close(p, fd), 0);
	kenv_destroy(e, b.k);
}

/* Whoever waits for the other end can be told to go. */
static void
opener(void *arg)
{
	struct quern_proc **pp = arg;

	(void)quern_open(*pp, "/f", Q_O_RDONLY, 0);
}

static void
given_up(struct kenv *e)
{
	struct quern_proc *p, *q;
	struct quern *k = start(e, &p);

	if (k == NULL)
		return;
	KCHECK_EQ(e, quern_mknod(p, "/f", Q_S_IFIFO | 0600, 0), 0);
	KCHECK_EQ(e, quern_proc_create(k, &q), 0);
	quern_interrupt(q);
	KCHECK_EQ(e, quern_open(q, "/f", Q_O_WRONLY, 0), -Q_EINTR);
	/* It is as if nobody had been there. */
	KCHECK_EQ(e, quern_open(p, "/f", Q_O_WRONLY | Q_O_NONBLOCK, 0),
	    -Q_ENXIO);
	kspawn(e, opener, &q);
	/* That one is met, or comes to nothing: it is not met any more. */
	KCHECK(e, quern_open(p, "/f", Q_O_WRONLY, 0) >= 0);
	kjoin(e);
	kenv_destroy(e, k);
}

/* From pipe to pipe, both ways at once: nobody waits for ever. */
static void
pump(void *arg)
{
	struct both *b = arg;
	struct quern_proc *p;
	int i, from, to;
	bool odd = __atomic_fetch_add(&b->sum, 1, __ATOMIC_RELAXED) % 2 != 0;

	KCHECK_EQ(b->e, quern_proc_create(b->k, &p), 0);
	from = quern_open(p, odd ? "/a" : "/b", Q_O_RDWR, 0);
	to = quern_open(p, odd ? "/b" : "/a", Q_O_RDWR, 0);
	for (i = 0; i < 30; i++)
		KCHECK_EQ(b->e, quern_splice(p, from, NULL, to, NULL, 1, 0), 1);
	KCHECK_EQ(b->e, quern_proc_destroy(p), 0);
}

static void
circles(struct kenv *e)
{
	struct both b = { .e = e };
	struct quern_proc *p;
	int a, bb, n[2];

	b.k = start(e, &p);
	if (b.k == NULL)
		return;
	KCHECK_EQ(e, quern_mknod(p, "/a", Q_S_IFIFO | 0600, 0), 0);
	KCHECK_EQ(e, quern_mknod(p, "/b", Q_S_IFIFO | 0600, 0), 0);
	a = quern_open(p, "/a", Q_O_RDWR, 0);
	bb = quern_open(p, "/b", Q_O_RDWR, 0);
	KCHECK_EQ(e, quern_write(p, a, "abc", 3), 3);
	KCHECK_EQ(e, quern_write(p, bb, "de", 2), 2);
	kspawn(e, pump, &b);
	kspawn(e, pump, &b);
	kjoin(e);
	KCHECK_EQ(e, quern_ioctl(p, a, Q_FIONREAD, (uintptr_t)&n[0]), 0);
	KCHECK_EQ(e, quern_ioctl(p, bb, Q_FIONREAD, (uintptr_t)&n[1]), 0);
	KCHECK_EQ(e, n[0] + n[1], 5);
	kenv_destroy(e, b.k);
}

const struct kcase kdevices_cases[] = {
	{ .name = "memory", .body = memory, .seeds = 5 },
	{ .name = "names", .body = names, .seeds = 5 },
	{ .name = "devtmpfs", .body = devtmpfs, .seeds = 5 },
	{ .name = "disks", .body = disks, .seeds = 20 },
	{ .name = "rendezvous", .body = rendezvous, .seeds = 500 },
	{ .name = "given_up", .body = given_up, .seeds = 500 },
	{ .name = "circles", .body = circles, .seeds = 500 },
	{ .name = NULL },
};
