/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks: files and block devices of the host, "file:PATH", and what nbd.c has.
 *
 * The image is locked by an open-file-description lock, shared for a reader and
 * exclusive for a writer, so a second writer is refused, in this process and in
 * any other that asks.  Sparse files stay sparse: a discard punches a hole.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fs.h>

#include "blk.h"

#define SCHEME "file:"
#define BATCH  64u

static void
log_line(struct machine *m, const char *path, const char *what)
{
	char line[512];

	snprintf(line, sizeof(line), "%s: %s", path, what);
	host_log(m, QUERN_LOG_ERR, line, strlen(line));
}

static int
lock_image(int fd, short type)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_SETLK, &fl) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : host_error();
}

/* Size and kind of what was opened. */
static int
examine(struct bdev *b, struct quern_blk_info *info)
{
	struct stat st;
	uint64_t size;
	int sector = 512;

	if (fstat(b->b_fd, &st) != 0)
		return host_error();
	size = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode)) {
		b->b_isblk = true;
		if (ioctl(b->b_fd, BLKGETSIZE64, &size) != 0 ||
		    ioctl(b->b_fd, BLKSSZGET, &sector) != 0)
			return host_error();
	} else if (!S_ISREG(st.st_mode)) {
		return S_ISDIR(st.st_mode) ? -EISDIR : -ENOTBLK;
	}
	b->b_sector = (uint32_t)sector;
	*info = (struct quern_blk_info){
		.bi_size = size - size % b->b_sector,
		.bi_sector = b->b_sector,
		.bi_flags = b->b_rdonly ? QUERN_BLK_RDONLY : 0,
		.bi_atomic = b->b_sector,
		.bi_discard = b->b_rdonly ? 0 : 4096,
	};
	return 0;
}

static int
open_image(struct machine *m, const char *path, unsigned flags,
    struct quern_blk_info *info, struct bdev *b)
{
	int oflags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK, error;

	b->b_rdonly = (flags & QUERN_BLK_RDONLY) != 0;
	oflags |= b->b_rdonly ? O_RDONLY : O_RDWR;
	if ((flags & QUERN_BLK_DIRECT) != 0)
		oflags |= O_DIRECT;
	b->b_fd = open(path, oflags);
	if (b->b_fd < 0) {
		error = host_error();
		log_line(m, path, strerror(-error));
		return error;
	}
	error = examine(b, info);
	if (error == 0)
		error = lock_image(b->b_fd, b->b_rdonly ? F_RDLCK : F_WRLCK);
	if (error != 0) {
		log_line(m, path,
		    error == -EBUSY ? "in use by another" : strerror(-error));
		close(b->b_fd);
	}
	return error;
}

/* Nothing is in flight, no server has it. */
static void
close_bdev(struct bdev *b)
{
	if (b->b_fd >= 0) {
		/* By hand: io_uring may hold on to the file a little longer. */
		(void)lock_image(b->b_fd, F_UNLCK);
		close(b->b_fd);
	}
	free(b);
}

int
host_blk_open(void *ctx, const char *name, unsigned flags,
    struct quern_blk_info *info, uint32_t *idp)
{
	struct machine *m = ctx;
	struct bdev *b;
	uint32_t id;
	int error;

	if (strncmp(name, SCHEME, strlen(SCHEME)) != 0 && !host_nbd_is(name))
		return -EPROTONOSUPPORT;
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return -ENOMEM;
	error = host_nbd_is(name) ?
	    host_nbd_open(m, name, flags, info, b) :
	    open_image(m, name + strlen(SCHEME), flags, info, b);
	if (error != 0) {
		free(b);
		return error;
	}
	pthread_mutex_lock(&m->m_lock);
	for (id = 0; id < HOST_NDISK; id++)
		if (atomic_load(&m->m_bdev[id]) == NULL)
			break;
	if (id < HOST_NDISK)
		atomic_store(&m->m_bdev[id], b);
	pthread_mutex_unlock(&m->m_lock);
	if (id == HOST_NDISK) {
		if (b->b_nbd != NULL)
			host_nbd_close(b);
		close_bdev(b);
		return -EMFILE;
	}
	*idp = id;
	return 0;
}

void
host_blk_close(void *ctx, uint32_t id)
{
	struct machine *m = ctx;
	struct bdev *b = id < HOST_NDISK ? atomic_load(&m->m_bdev[id]) : NULL;

	if (b == NULL)
		return;
	if (b->b_nbd != NULL)
		host_nbd_close(b);
	/* Of a kernel that died: let what is in flight end, into its inbox. */
	while (atomic_load(&b->b_inflight) != 0) {
		(void)host_event_reap(m, UINT64_MAX >> (64 - m->m_ncpu));
		sched_yield();
	}
	atomic_store(&m->m_bdev[id], NULL);
	close_bdev(b);
}

int64_t
host_blk_size(struct machine *m, const char *id)
{
	unsigned long i;
	struct bdev *b;
	struct stat st;
	uint64_t size;
	char *end;

	if (id[0] < '0' || id[0] > '9')
		return -ENOENT;
	i = strtoul(id, &end, 10);
	if (*end != '\0' || i >= HOST_NDISK)
		return -ENOENT;
	b = atomic_load(&m->m_bdev[i]);
	if (b == NULL)
		return -ENOENT;
	if (b->b_nbd != NULL)
		return (int64_t)b->b_size;
	if (b->b_isblk)
		return ioctl(b->b_fd, BLKGETSIZE64, &size) == 0 ?
		    (int64_t)size :
		    host_error();
	return fstat(b->b_fd, &st) == 0 ? (int64_t)st.st_size : host_error();
}

void
host_blk_end(struct machine *m)
{
	uint32_t id;

	for (id = 0; id < HOST_NDISK; id++)
		host_blk_close(m, id);
	host_blkworker_end(m);
}

/* An operation that needs no look at the file: 0, or why not. */
static int
check(const struct bdev *b, const struct quern_blk_op *op)
{
	if (b == NULL)
		return -EBADF;
	if (op->b_cmd > QUERN_BLK_ZERO || op->b_ev == NULL)
		return -EINVAL;
	if (op->b_cmd == QUERN_BLK_FLUSH)
		return 0;
	if ((op->b_off | op->b_len) % b->b_sector != 0 || op->b_len == 0)
		return -EINVAL;
	if (b->b_rdonly && op->b_cmd != QUERN_BLK_READ)
		return -EROFS;
	return 0;
}

/* Note in the event what is under way. */
static void
begin(struct bdev *b, unsigned cpu, struct quern_blk_op *op)
{
	bool moves = op->b_cmd == QUERN_BLK_READ ||
	    op->b_cmd == QUERN_BLK_WRITE;

	op->b_ev->e_cpu = cpu;
	op->b_ev->e_host[0] = moves ? op->b_len : 0;
	op->b_ev->e_host[1] = (uint64_t)(uintptr_t)b;
	op->b_result = -EINPROGRESS;
	atomic_fetch_add(&b->b_inflight, 1);
}

/* A batch of good ones; how many were taken. */
static unsigned
start(struct machine *m, unsigned cpu, struct quern_blk_op **ops,
    const int *fds, unsigned n)
{
	int backend = host_event_backend(m, cpu);
	unsigned i = 0;

	if (backend < 0) {
		for (; i < n; i++) {
			(void)host_blk_result(ops[i]->b_ev, backend);
			ops[i]->b_result = backend;
		}
		return n;
	}
	if (backend == BACKEND_RING) {
		i = host_ring_blk(m, cpu, ops, fds, n);
		if (i > 0) {
			host_event_nudge(m, cpu, true);
			/* What the host had cached is done already. */
			(void)host_event_reap(m, UINT64_C(1) << cpu);
		}
		return i;
	}
	while (backend == BACKEND_POLLER && i < n &&
	    host_blkworker_add(m, ops[i], fds[i]) == 0)
		i++;
	return i;
}

/* Those of the first `n` that are for servers. */
static void
start_nbd(struct machine *m, unsigned cpu, struct quern_blk_op *ops, unsigned n)
{
	struct bdev *b;
	unsigned i;
	int error;

	for (i = 0; i < n; i++) {
		b = ops[i].b_id < HOST_NDISK ?
		    atomic_load(&m->m_bdev[ops[i].b_id]) :
		    NULL;
		if (b == NULL || b->b_nbd == NULL || check(b, &ops[i]) != 0)
			continue;
		begin(b, cpu, &ops[i]);
		error = host_nbd_add(b, &ops[i]);
		if (error != 0)
			ops[i].b_result = host_blk_result(ops[i].b_ev, error);
	}
}

int
host_blk_submit(void *ctx, unsigned cpu, struct quern_blk_op *ops, unsigned n)
{
	struct machine *m = ctx;
	struct quern_blk_op *good[BATCH];
	int fds[BATCH], error;
	struct bdev *b;
	unsigned i, g = 0, taken;
	bool nbd = false;

	if (n > BATCH)
		n = BATCH;
	for (i = 0; i < n; i++) {
		b = ops[i].b_id < HOST_NDISK ?
		    atomic_load(&m->m_bdev[ops[i].b_id]) :
		    NULL;
		error = check(b, &ops[i]);
		if (error != 0) {
			ops[i].b_result = error;
			continue;
		}
		if (b->b_nbd != NULL) {
			nbd = true;
			continue;
		}
		begin(b, cpu, &ops[i]);
		fds[g] = b->b_fd;
		good[g++] = &ops[i];
	}
	taken = g > 0 ? start(m, cpu, good, fds, g) : 0;
	/* Take back those for which there was no room, and all behind. */
	for (i = taken; i < g; i++) {
		b = (struct bdev *)(uintptr_t)good[i]->b_ev->e_host[1];
		atomic_fetch_sub(&b->b_inflight, 1);
	}
	if (taken < g)
		n = (unsigned)(good[taken] - ops);
	if (nbd)
		start_nbd(m, cpu, ops, n);
	return (int)n;
}
