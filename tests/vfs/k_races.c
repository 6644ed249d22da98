/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls that meet others half-way: one sleeps, or is about to, and another takes
 * away what it stands on.
 */
#include <stdio.h>
#include <string.h>

#include <components/vfs/impl.h>
#include <quern/abi/fcntl.h>
#include <quern/abi/mount.h>
#include <quern/abi/stat.h>
#include <quern/tmpfs.h>

#include "tests/kernel/ktest.h"

static const struct quern_component *const components[] = { &qvfs, &qtmpfs,
	NULL };

/* What two threads work on. */
struct race {
	struct kenv *e;
	struct quern *k;
	struct quern_proc *p, *q;
	int fd[4];
	int64_t ret;
	uint32_t done; /* [a] */
};

static bool
begin(struct race *r, struct kenv *e)
{
	struct quern_config c = kenv_config(e);

	*r = (struct race){ .e = e };
	c.components = components;
	c.ram = (size_t)8 << 20;
	return KCHECK_EQ(e, quern_create(&c, &r->k), 0) &&
	    KCHECK_EQ(e, quern_proc_create(r->k, &r->p), 0);
}

static void
end(struct race *r)
{
	kjoin(r->e);
	if (r->q != NULL)
		KCHECK_EQ(r->e, quern_proc_destroy(r->q), 0);
	KCHECK_EQ(r->e, quern_proc_destroy(r->p), 0);
	kenv_destroy(r->e, r->k);
}

/* Let the other thread get somewhere, most of the time. */
static void
give_time(struct kenv *e)
{
	unsigned i;

	for (i = 0; i < 5; i++)
		kpause(e);
}

static int64_t
lock_file(struct quern_proc *p, int fd, int cmd, int16_t type, int64_t start)
{
	struct q_flock fl = { .l_type = type, .l_start = start, .l_len = 1 };

	return quern_fcntl(p, fd, cmd, (uint64_t)(uintptr_t)&fl);
}

static int
make_file(struct race *r, struct quern_proc *p)
{
	int fd = quern_open(p, "/f", Q_O_CREAT | Q_O_RDWR, 0644);

	KCHECK(r->e, fd >= 0);
	return fd;
}

/* ---- tables of descriptors ------------------------------------------------------ */

static void
open_fifo(void *arg)
{
	struct race *r = arg;

	r->ret = quern_open(r->p, "/fifo", Q_O_RDONLY, 0);
}

/* A process leaves a shared table while another call of its opens a file. */
static void
unshared(struct kenv *e)
{
	struct race r;
	int fd;

	if (!begin(&r, e))
		return;
	KCHECK_EQ(e, quern_proc_share(r.p, &r.q), 0);
	KCHECK_EQ(e, quern_mknod(r.p, "/fifo", Q_S_IFIFO | 0600, 0), 0);
	kspawn(e, open_fifo, &r);
	give_time(e);
	KCHECK_EQ(e, quern_close_range(r.p, 100, 200, Q_CLOSE_RANGE_UNSHARE),
	    0);
	fd = quern_open(r.q, "/fifo", Q_O_WRONLY, 0);
	KCHECK(e, fd >= 0);
	kjoin(e);
	/* It is in the table that the process has now. */
	if (KCHECK(e, r.ret >= 0))
		KCHECK_EQ(e, quern_close(r.p, (int)r.ret), 0);
	KCHECK_EQ(e, quern_close(r.q, fd), 0);
	end(&r);
}

static void
open_and_close(void *arg)
{
	struct race *r = arg;
	unsigned i;
	int fd;

	for (i = 0; i < 20; i++) {
		fd = quern_open(r->p, "/", Q_O_RDONLY, 0);
		if (KCHECK(r->e, fd >= 0))
			KCHECK_EQ(r->e, quern_close(r->p, fd), 0);
	}
	__atomic_store_n(&r->done, 1, __ATOMIC_RELEASE);
}

/* Again and again, as short as the calls are. */
static void
unshared_often(struct kenv *e)
{
	struct race r;

	if (!begin(&r, e))
		return;
	kspawn(e, open_and_close, &r);
	while (__atomic_load_n(&r.done, __ATOMIC_ACQUIRE) == 0) {
		KCHECK_EQ(e, quern_proc_share(r.p, &r.q), 0);
		KCHECK_EQ(e,
		    quern_close_range(r.p, 1000, 2000, Q_CLOSE_RANGE_UNSHARE),
		    0);
		KCHECK_EQ(e, quern_proc_destroy(r.q), 0);
		kpause(e);
	}
	r.q = NULL;
	end(&r);
}

/* ---- locks ----------------------------------------------------------------------- */

static void
wait_lock(void *arg)
{
	struct race *r = arg;

	r->ret = lock_file(r->p, r->fd[0], Q_F_SETLKW, Q_F_WRLCK, 0);
}

/* The descriptor is closed while a lock is waited for: there is none then. */
static void
closed_while_locking(struct kenv *e)
{
	struct race r;

	if (!begin(&r, e))
		return;
	KCHECK_EQ(e, quern_proc_create(r.k, &r.q), 0);
	r.fd[0] = make_file(&r, r.p);
	r.fd[1] = make_file(&r, r.q);
	KCHECK_EQ(e, lock_file(r.q, r.fd[1], Q_F_SETLK, Q_F_WRLCK, 0), 0);
	kspawn(e, wait_lock, &r);
	give_time(e);
	KCHECK_EQ(e, quern_close(r.p, r.fd[0]), 0);
	KCHECK_EQ(e, lock_file(r.q, r.fd[1], Q_F_SETLK, Q_F_UNLCK, 0), 0);
	kjoin(e);
	KCHECK_EQ(e, r.ret, -Q_EBADF);
	KCHECK_EQ(e, lock_file(r.q, r.fd[1], Q_F_SETLK, Q_F_WRLCK, 0), 0);
	end(&r);
}

/* Who shares descriptors shares the locks that come with them. */
static void
shared_locks(struct kenv *e)
{
	struct quern_proc *o;
	struct race r;
	int fd;

	if (!begin(&r, e))
		return;
	KCHECK_EQ(e, quern_proc_create(r.k, &r.q), 0);
	KCHECK_EQ(e, quern_proc_share(r.p, &o), 0);
	r.fd[0] = make_file(&r, r.p);
	r.fd[1] = make_file(&r, r.q);
	KCHECK_EQ(e, lock_file(o, r.fd[0], Q_F_SETLK, Q_F_WRLCK, 0), 0);
	KCHECK_EQ(e, lock_file(r.p, r.fd[0], Q_F_SETLK, Q_F_WRLCK, 0), 0);
	KCHECK_EQ(e, quern_proc_destroy(o), 0);
	KCHECK_EQ(e, lock_file(r.q, r.fd[1], Q_F_SETLK, Q_F_WRLCK, 0),
	    -Q_EAGAIN);
	fd = quern_dup(r.p, r.fd[0]);
	KCHECK_EQ(e, quern_close(r.p, r.fd[0]), 0);
	KCHECK_EQ(e, lock_file(r.q, r.fd[1], Q_F_SETLK, Q_F_WRLCK, 0), 0);
	KCHECK_EQ(e, quern_close(r.p, fd), 0);
	end(&r);
}

static void
lock_in_turn(void *arg)
{
	struct race *r = arg;

	KCHECK_EQ(r->e, lock_file(r->p, r->fd[0], Q_F_SETLKW, Q_F_WRLCK, 2), 0);
	KCHECK_EQ(r->e, lock_file(r->p, r->fd[0], Q_F_SETLK, Q_F_UNLCK, 1), 0);
}

/* Who has been given what it waited for does not wait any more. */
static void
no_circle(struct kenv *e)
{
	struct race r;

	if (!begin(&r, e))
		return;
	KCHECK_EQ(e, quern_proc_create(r.k, &r.q), 0);
	r.fd[0] = make_file(&r, r.p);
	r.fd[1] = make_file(&r, r.q);
	KCHECK_EQ(e, lock_file(r.p, r.fd[0], Q_F_SETLK, Q_F_WRLCK, 1), 0);
	KCHECK_EQ(e, lock_file(r.q, r.fd[1], Q_F_SETLK, Q_F_WRLCK, 2), 0);
	kspawn(e, lock_in_turn, &r);
	give_time(e);
	KCHECK_EQ(e, lock_file(r.q, r.fd[1], Q_F_SETLK, Q_F_UNLCK, 2), 0);
	KCHECK_EQ(e, lock_file(r.q, r.fd[1], Q_F_SETLKW, Q_F_WRLCK, 1), 0);
	end(&r);
}

/* ---- pipes ----------------------------------------------------------------------- */

static void
tee_pipes(void *arg)
{
	struct race *r = arg;

	KCHECK_EQ(r->e, quern_tee(r->p, r->fd[0], r->fd[3], 1, 0), 1);
}

static void
write_pipe(void *arg)
{
	struct race *r = arg;

	KCHECK_EQ(r->e, quern_write(r->p, r->fd[3], "x", 1), 1);
	__atomic_store_n(&r->done, 1, __ATOMIC_RELEASE);
}

/*
 * Two wait for room, one of them for bytes elsewhere besides: the room that it is
 * woken for and does not use is the other's.
 */
static void
room_passed_on(struct kenv *e)
{
	char buf[4096] = "";
	struct race r;
	unsigned i;

	if (!begin(&r, e))
		return;
	KCHECK_EQ(e, quern_pipe2(r.p, &r.fd[0], 0), 0);
	KCHECK_EQ(e, quern_pipe2(r.p, &r.fd[2], 0), 0);
	for (i = 0; i < 16; i++)
		KCHECK_EQ(e, quern_write(r.p, r.fd[3], buf, sizeof(buf)), 4096);
	kspawn(e, tee_pipes, &r);
	give_time(e);
	kspawn(e, write_pipe, &r);
	give_time(e);
	KCHECK_EQ(e, quern_read(r.p, r.fd[2], buf, sizeof(buf)), 4096);
	kawait(e, &r.done, 1);
	KCHECK_EQ(e, quern_write(r.p, r.fd[1], "y", 1), 1);
	KCHECK_EQ(e, quern_read(r.p, r.fd[2], buf, sizeof(buf)), 4096);
	end(&r);
}

/* ---- mounts ---------------------------------------------------------------------- */

static void
try_umount(void *arg)
{
	struct race *r = arg;
	unsigned i;

	for (i = 0; i < 20; i++)
		KCHECK_EQ(r->e, quern_umount2(r->q, "/mnt", 0), -Q_EBUSY);
	__atomic_store_n(&r->done, 1, __ATOMIC_RELEASE);
}

/* Unmounting that fails lets nobody see what is below. */
static void
still_mounted(struct kenv *e)
{
	struct q_stat st;
	struct race r;
	int fd, up;

	if (!begin(&r, e))
		return;
	KCHECK_EQ(e, quern_proc_create(r.k, &r.q), 0);
	KCHECK_EQ(e, quern_mkdir(r.p, "/mnt", 0755), 0);
	KCHECK_EQ(e, quern_mount(r.p, "x", "/mnt", "tmpfs", 0, ""), 0);
	KCHECK_EQ(e, quern_mkdir(r.p, "/mnt/d", 0755), 0);
	fd = quern_open(r.p, "/mnt/d", Q_O_RDONLY, 0);
	kspawn(e, try_umount, &r);
	while (__atomic_load_n(&r.done, __ATOMIC_ACQUIRE) == 0) {
		KCHECK_EQ(e, quern_stat(r.p, "/mnt/d", &st), 0);
		up = quern_openat(r.p, fd, "..", Q_O_RDONLY, 0);
		if (KCHECK(e, up >= 0))
			KCHECK_EQ(e, quern_close(r.p, up), 0);
	}
	kjoin(e);
	KCHECK_EQ(e, quern_close(r.p, fd), 0);
	KCHECK_EQ(e, quern_umount2(r.p, "/mnt", 0), 0);
	end(&r);
}

/* One that is opened here and closed there is open all the time. */
static void
pass_around(void *arg)
{
	struct race *r = arg;
	int fd = r->fd[0], next;

	while (__atomic_load_n(&r->done, __ATOMIC_ACQUIRE) == 0) {
		next = quern_openat(r->p, fd, ".", Q_O_RDONLY, 0);
		if (!KCHECK(r->e, next >= 0))
			return;
		KCHECK_EQ(r->e, quern_close(r->p, fd), 0);
		fd = next;
	}
}

static void
passed_around(struct kenv *e)
{
	struct race r;

	if (!begin(&r, e))
		return;
	KCHECK_EQ(e, quern_proc_create(r.k, &r.q), 0);
	KCHECK_EQ(e, quern_mkdir(r.p, "/mnt", 0755), 0);
	KCHECK_EQ(e, quern_mount(r.p, "x", "/mnt", "tmpfs", 0, ""), 0);
	r.fd[0] = quern_open(r.p, "/mnt", Q_O_RDONLY, 0);
	kspawn(e, pass_around, &r);
	try_umount(&r);
	end(&r);
}

/* ---- file systems ---------------------------------------------------------------- */

/* A file system of nothing but its root, which counts. */
static struct {
	uint32_t mounting, most, mounted, synced; /* [a] */
} toy;

static int
toy_sync(struct qfs *fs, bool wait)
{
	(void)fs, (void)wait;
	__atomic_fetch_add(&toy.synced, 1, __ATOMIC_RELAXED);
	return 0;
}

static const struct qfs_ops toy_fs_ops = { .fso_sync = toy_sync };

static const struct qvnode_ops toy_ops = { 0 };

static int
toy_mount(struct qfs *fs, const char *options, bool probe)
{
	uint32_t n = __atomic_add_fetch(&toy.mounting, 1, __ATOMIC_RELAXED);
	struct qvnode *v;

	(void)options, (void)probe;
	if (n > __atomic_load_n(&toy.most, __ATOMIC_RELAXED))
		__atomic_store_n(&toy.most, n, __ATOMIC_RELAXED);
	qthread_yield();
	kchoice();
	qthread_yield();
	__atomic_fetch_sub(&toy.mounting, 1, __ATOMIC_RELAXED);
	if (qvnode_get(fs, 1, &v) < 0)
		return -Q_ENOMEM;
	v->v_ops = &toy_ops;
	v->v_mode = Q_S_IFDIR | 0755;
	qvnode_ready(v);
	fs->fs_root = v;
	fs->fs_ops = &toy_fs_ops;
	__atomic_fetch_add(&toy.mounted, 1, __ATOMIC_RELAXED);
	return 0;
}

static const struct qfs_type toy_type = { .ft_name = "toy",
	.ft_vnode_size = sizeof(struct qvnode),
	.ft_mount = toy_mount };

static const struct qfs_type toy_disk_type = { .ft_name = "toydisk",
	.ft_flags = QFT_DISK,
	.ft_vnode_size = sizeof(struct qvnode),
	.ft_mount = toy_mount };

static int64_t
toy_register(void *arg)
{
	int error = qfs_register(arg, &toy_type);

	return error != 0 ? error : qfs_register(arg, &toy_disk_type);
}

static bool
begin_toy(struct race *r, struct kenv *e)
{
	memset(&toy, 0, sizeof(toy));
	return begin(r, e) &&
	    KCHECK_EQ(e, kcall(r->k, toy_register, r->k), 0) &&
	    KCHECK_EQ(e, quern_proc_create(r->k, &r->q), 0);
}

#define MANY 100u

/* sync(2) leaves none out. */
static void
many_synced(struct kenv *e)
{
	char path[16];
	struct race r;
	unsigned i;

	if (!begin_toy(&r, e))
		return;
	for (i = 0; i < MANY; i++) {
		snprintf(path, sizeof(path), "/%u", i);
		KCHECK_EQ(e, quern_mkdir(r.p, path, 0755), 0);
		KCHECK_EQ(e, quern_mount(r.p, "x", path, "toy", 0, ""), 0);
	}
	KCHECK_EQ(e, quern_sync(r.p), 0);
	KCHECK_EQ(e, toy.synced, MANY);
	end(&r);
}

static void
sync_often(void *arg)
{
	struct race *r = arg;

	while (__atomic_load_n(&r->done, __ATOMIC_ACQUIRE) == 0)
		KCHECK_EQ(r->e, quern_sync(r->q), 0);
}

/* File systems come and go meanwhile. */
static void
synced_while_mounting(struct kenv *e)
{
	struct race r;
	unsigned i;

	if (!begin_toy(&r, e))
		return;
	KCHECK_EQ(e, quern_mkdir(r.p, "/m", 0755), 0);
	kspawn(e, sync_often, &r);
	for (i = 0; i < 10; i++) {
		KCHECK_EQ(e, quern_mount(r.p, "x", "/m", "toy", 0, ""), 0);
		KCHECK_EQ(e,
		    quern_umount2(r.p, "/m", i % 2 != 0 ? Q_MNT_DETACH : 0), 0);
	}
	__atomic_store_n(&r.done, 1, __ATOMIC_RELEASE);
	end(&r);
}

static void
mount_disk(void *arg)
{
	struct race *r = arg;

	KCHECK_EQ(r->e, quern_mount(r->q, "disk", "/b", "toydisk", 0, ""), 0);
}

/* A disk that two mount at once is one file system. */
static void
mounted_twice(struct kenv *e)
{
	static _Alignas(4096) char mem[8192];
	struct qdisk *d;
	struct race r;

	if (!begin_toy(&r, e))
		return;
	KCHECK_EQ(e, quern_mkdir(r.p, "/a", 0755), 0);
	KCHECK_EQ(e, quern_mkdir(r.p, "/b", 0755), 0);
	KCHECK_EQ(e, quern_disk_memory(r.k, "disk", mem, sizeof(mem), 0, &d),
	    0);
	kspawn(e, mount_disk, &r);
	KCHECK_EQ(e, quern_mount(r.p, "disk", "/a", "toydisk", 0, ""), 0);
	kjoin(e);
	KCHECK_EQ(e, toy.most, 1);
	KCHECK_EQ(e, toy.mounted, 1);
	KCHECK_EQ(e, quern_umount2(r.p, "/a", 0), 0);
	KCHECK_EQ(e, quern_umount2(r.p, "/b", 0), 0);
	KCHECK_EQ(e, quern_disk_close(d), 0);
	end(&r);
}

const struct kcase kraces_cases[] = {
	{ .name = "unshared", .body = unshared, .seeds = 200 },
	{ .name = "unshared often", .body = unshared_often, .seeds = 200 },
	{ .name = "closed while locking",
	    .body = closed_while_locking,
	    .seeds = 200 },
	{ .name = "shared locks", .body = shared_locks, .seeds = 10 },
	{ .name = "no circle", .body = no_circle, .seeds = 300 },
	{ .name = "room passed on", .body = room_passed_on, .seeds = 200 },
	{ .name = "still mounted", .body = still_mounted, .seeds = 300 },
	{ .name = "passed around", .body = passed_around, .seeds = 300 },
	{ .name = "many synced", .body = many_synced, .seeds = 10 },
	{ .name = "synced while mounting",
	    .body = synced_while_mounting,
	    .seeds = 300 },
	{ .name = "mounted twice", .body = mounted_twice, .seeds = 200 },
	{ .name = NULL },
};
