/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual CPU's io_uring.
 *
 * Operations are begun by whoever runs the CPU and, when a channel is closed,
 * by others, under r_lock; completions are taken by the holder of c_reaping.
 * c_inflight counts the completions to come, those of cancellations included.
 *
 * The kernel runs the last step of an operation in the thread that began it,
 * interrupting what it does; where that thread has ended, the operation
 * completes with -ECANCELED.  For a readiness notice both are the same: look
 * again.  IORING_SETUP_COOP_TASKRUN would spare the interruption and delay the
 * notice until that thread, which may be a client busy elsewhere, next enters
 * the kernel.
 */
#include <liburing.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "blk.h"

#define RING_ENTRIES 64

struct ring {
	struct io_uring r_uring;
	pthread_mutex_t r_lock;
};

/*
 * What completes with which key: a channel's watch with its own, which is odd; a
 * disk operation with the address of its event, which is even; a cancellation
 * with this.
 */
#define KEY_NONE 0

/*
 * A ring that does what this file asks of it and nothing else: whoever gets hold of
 * the process finds no way past a list of system calls here.
 */
static int
make_ring(struct io_uring *ring)
{
	static const uint8_t ops[] = { IORING_OP_POLL_ADD,
		IORING_OP_POLL_REMOVE, IORING_OP_READV, IORING_OP_WRITEV,
		IORING_OP_FSYNC, IORING_OP_FALLOCATE, IORING_OP_TIMEOUT };
	struct io_uring_restriction res[sizeof ops] = { 0 };
	int error;
	size_t i;

	error = io_uring_queue_init(RING_ENTRIES, ring,
	    IORING_SETUP_R_DISABLED);
	/* An older kernel's are not to be restricted. */
	if (error == -EINVAL)
		return io_uring_queue_init(RING_ENTRIES, ring, 0);
	if (error != 0)
		return error;
	for (i = 0; i < sizeof ops; i++) {
		res[i].opcode = IORING_RESTRICTION_SQE_OP;
		res[i].sqe_op = ops[i];
	}
	/* liburing declares both, but its library may lack them. */
	if (syscall(SYS_io_uring_register, ring->ring_fd,
		IORING_REGISTER_RESTRICTIONS, res, sizeof ops) != 0 ||
	    syscall(SYS_io_uring_register, ring->ring_fd,
		IORING_REGISTER_ENABLE_RINGS, NULL, 0) != 0) {
		error = host_error();
		io_uring_queue_exit(ring);
	}
	return error;
}

int
host_ring_open(struct machine *m, unsigned cpu, struct ring **rp)
{
	struct ring *r;
	int error;

	(void)m, (void)cpu;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return -ENOMEM;
	error = make_ring(&r->r_uring);
	if (error != 0) {
		free(r);
		return error;
	}
	pthread_mutex_init(&r->r_lock, NULL);
	*rp = r;
	return 0;
}

int
host_ring_fd(const struct ring *r)
{
	return r->r_uring.ring_fd;
}

/* Hand the submission queue to the kernel.  r_lock is held. */
static int
submit(struct ring *r)
{
	int n, tries = 0;

	do {
		n = io_uring_submit(&r->r_uring);
	} while (n == -EINTR || (n == -EAGAIN && ++tries < 100));
	return n < 0 ? n : 0;
}

/* A free entry; entries that could not be handed over may fill the queue. */
static struct io_uring_sqe *
get_sqe(struct ring *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->r_uring);

	if (sqe == NULL && submit(r) == 0)
		sqe = io_uring_get_sqe(&r->r_uring);
	return sqe;
}

int
host_ring_poll(struct machine *m, unsigned cpu, int fd, short mask,
    uint64_t key)
{
	struct hcpu *c = &m->m_cpu[cpu];
	struct ring *r = c->c_ring;
	struct io_uring_sqe *sqe;
	int error = -EAGAIN;

	pthread_mutex_lock(&r->r_lock);
	sqe = get_sqe(r);
	if (sqe != NULL) {
		io_uring_prep_poll_add(sqe, fd, (unsigned short)mask);
		io_uring_sqe_set_data64(sqe, key);
		atomic_fetch_add(&c->c_inflight, 1);
		/*
		 * After a failure the entry is still in the queue and will
		 * complete some day, for a key that is not armed then.
		 */
		error = submit(r);
	}
	pthread_mutex_unlock(&r->r_lock);
	return error;
}

void
host_ring_unpoll(struct machine *m, unsigned cpu, uint64_t key)
{
	struct hcpu *c = &m->m_cpu[cpu];
	struct ring *r = c->c_ring;
	struct io_uring_sqe *sqe;

	pthread_mutex_lock(&r->r_lock);
	sqe = get_sqe(r);
	if (sqe != NULL) {
		io_uring_prep_poll_remove(sqe, key);
		io_uring_sqe_set_data64(sqe, KEY_NONE);
		atomic_fetch_add(&c->c_inflight, 1);
		(void)submit(r);
	}
	pthread_mutex_unlock(&r->r_lock);
}

bool
host_ring_ready(struct ring *r)
{
	const struct io_uring_cq *cq = &r->r_uring.cq;
	const struct io_uring_sq *sq = &r->r_uring.sq;

	/* io_uring_cq_ready() is for the reaper: it reads the head as its. */
	return __atomic_load_n(cq->khead, __ATOMIC_RELAXED) !=
	    __atomic_load_n(cq->ktail, __ATOMIC_ACQUIRE) ||
	    (__atomic_load_n(sq->kflags, __ATOMIC_RELAXED) &
		IORING_SQ_CQ_OVERFLOW) != 0;
}

/* What an operation on a disk is to io_uring. */
static void
prep_blk(struct io_uring_sqe *sqe, const struct quern_blk_op *op, int fd)
{
	const struct iovec *iov = (const struct iovec *)op->b_iov;

	switch (op->b_cmd) {
	case QUERN_BLK_READ:
		io_uring_prep_readv(sqe, fd, iov, op->b_niov, op->b_off);
		break;
	case QUERN_BLK_WRITE:
		io_uring_prep_writev2(sqe, fd, iov, op->b_niov, op->b_off,
		    (op->b_flags & QUERN_BLK_FUA) != 0 ? RWF_DSYNC : 0);
		break;
	case QUERN_BLK_FLUSH:
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
		break;
	default:
		io_uring_prep_fallocate(sqe, fd,
		    host_blk_falloc(host_blk_bdev(op), op), (off_t)op->b_off,
		    (off_t)op->b_len);
		break;
	}
	io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)op->b_ev);
}

unsigned
host_ring_blk(struct machine *m, unsigned cpu, struct quern_blk_op **ops,
    const int *fds, unsigned n)
{
	struct hcpu *c = &m->m_cpu[cpu];
	struct ring *r = c->c_ring;
	struct io_uring_sqe *sqe;
	unsigned i;

	pthread_mutex_lock(&r->r_lock);
	for (i = 0; i < n; i++) {
		sqe = get_sqe(r);
		if (sqe == NULL)
			break;
		prep_blk(sqe, ops[i], fds[i]);
		atomic_fetch_add(&c->c_inflight, 1);
	}
	/* What could not be handed over goes with the next attempt. */
	(void)submit(r);
	pthread_mutex_unlock(&r->r_lock);
	return i;
}

/* The next completion's key and result, if there is one. */
static bool
next_key(struct hcpu *c, uint64_t *keyp, int *resp)
{
	struct io_uring_cqe *cqe;

	if (io_uring_peek_cqe(&c->c_ring->r_uring, &cqe) != 0)
		return false;
	*keyp = cqe->user_data;
	*resp = cqe->res;
	io_uring_cqe_seen(&c->c_ring->r_uring, cqe);
	atomic_fetch_sub(&c->c_inflight, 1);
	return true;
}

int
host_ring_reap(struct machine *m, unsigned cpu)
{
	struct hcpu *c = &m->m_cpu[cpu];
	struct quern_event *ev;
	uint64_t key;
	int64_t result;
	int n = 0, res;

	while (next_key(c, &key, &res)) {
		if (key == KEY_NONE)
			continue;
		result = 0;
		if ((key & 1) != 0) {
			ev = host_chan_take(m, key);
		} else {
			ev = (struct quern_event *)(uintptr_t)key;
			result = host_blk_result(ev, res);
		}
		if (ev == NULL)
			continue;
		m->m_up->event(m->m_core, ev, result);
		n++;
	}
	return n;
}

/*
 * Wait for what the channels' closing has cancelled, so that no file stays
 * open a little longer than the machine.
 */
void
host_ring_close(struct machine *m, unsigned cpu)
{
	struct hcpu *c = &m->m_cpu[cpu];
	struct __kernel_timespec ts = { .tv_sec = 1 };
	struct io_uring_cqe *cqe;
	uint64_t key;
	int error = 0, res;

	if (submit(c->c_ring) != 0)
		atomic_store(&c->c_inflight, 0);
	while (atomic_load(&c->c_inflight) > 0 &&
	    (error == 0 || error == -EINTR)) {
		error = io_uring_wait_cqe_timeout(&c->c_ring->r_uring, &cqe,
		    &ts);
		while (next_key(c, &key, &res))
			continue;
	}
	io_uring_queue_exit(&c->c_ring->r_uring);
	pthread_mutex_destroy(&c->c_ring->r_lock);
	free(c->c_ring);
	c->c_ring = NULL;
}
