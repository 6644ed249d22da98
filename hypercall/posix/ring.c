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
#include <stdlib.h>

#include "impl.h"

#define RING_ENTRIES 32

struct ring {
	struct io_uring r_uring;
	pthread_mutex_t r_lock;
};

/* What a cancellation completes with; no channel has this key. */
#define KEY_NONE 0

int
host_ring_open(struct machine *m, unsigned cpu, struct ring **rp)
{
	struct ring *r;
	int error;

	(void)m, (void)cpu;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return -ENOMEM;
	error = io_uring_queue_init(RING_ENTRIES, &r->r_uring, 0);
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

/* The next completion's key, if there is one. */
static bool
next_key(struct hcpu *c, uint64_t *keyp)
{
	struct io_uring_cqe *cqe;

	if (io_uring_peek_cqe(&c->c_ring->r_uring, &cqe) != 0)
		return false;
	*keyp = cqe->user_data;
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
	int n = 0;

	while (next_key(c, &key)) {
		ev = key != KEY_NONE ? host_chan_take(m, key) : NULL;
		if (ev == NULL)
			continue;
		m->m_up->event(m->m_core, ev, 0);
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
	int error = 0;

	if (submit(c->c_ring) != 0)
		atomic_store(&c->c_inflight, 0);
	while (atomic_load(&c->c_inflight) > 0 &&
	    (error == 0 || error == -EINTR)) {
		error = io_uring_wait_cqe_timeout(&c->c_ring->r_uring, &cqe,
		    &ts);
		while (next_key(c, &key))
			;
	}
	io_uring_queue_exit(&c->c_ring->r_uring);
	pthread_mutex_destroy(&c->c_ring->r_lock);
	free(c->c_ring);
	c->c_ring = NULL;
}
