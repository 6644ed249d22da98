/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disk operations without io_uring: one thread a machine does them in order and
 * posts their events.  It runs no kernel code.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "blk.h"

struct job {
	struct job *j_next;
	struct quern_blk_op j_op;
	int j_fd;
	struct iovec j_iov[];
};

struct blkworker {
	struct machine *w_m;
	pthread_t w_thread;
	pthread_mutex_t w_lock;
	pthread_cond_t w_cond;
	struct job *w_first, **w_last; /* [w_lock] */
	bool w_quit;                   /* [w_lock] */
};

/* Move all bytes; fewer at the end of the file only. */
static int64_t
move(const struct job *j)
{
	struct iovec iov[1];
	int64_t n, total = 0;
	off_t off = (off_t)j->j_op.b_off;
	uint32_t i;
	int flags = (j->j_op.b_flags & QUERN_BLK_FUA) != 0 ? RWF_DSYNC : 0;

	for (i = 0; i < j->j_op.b_niov; i++) {
		iov[0] = j->j_iov[i];
		while (iov[0].iov_len > 0) {
			n = j->j_op.b_cmd == QUERN_BLK_READ ?
			    preadv2(j->j_fd, iov, 1, off, 0) :
			    pwritev2(j->j_fd, iov, 1, off, flags);
			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				return n < 0 ? host_error() : total;
			iov[0].iov_base = (char *)iov[0].iov_base + n;
			iov[0].iov_len -= (size_t)n;
			off += n;
			total += n;
		}
	}
	return total;
}

static int64_t
do_job(const struct job *j)
{
	switch (j->j_op.b_cmd) {
	case QUERN_BLK_READ:
	case QUERN_BLK_WRITE:
		return move(j);
	case QUERN_BLK_FLUSH:
		return fdatasync(j->j_fd) == 0 ? 0 : host_error();
	default:
		return fallocate(j->j_fd,
			   host_blk_falloc(host_blk_bdev(&j->j_op), &j->j_op),
			   (off_t)j->j_op.b_off, (off_t)j->j_op.b_len) == 0 ?
		    0 :
		    host_error();
	}
}

static void *
worker_main(void *arg)
{
	struct blkworker *w = arg;
	struct quern_event *ev;
	struct job *j;

	pthread_mutex_lock(&w->w_lock);
	for (;;) {
		j = w->w_first;
		if (j == NULL) {
			if (w->w_quit)
				break;
			pthread_cond_wait(&w->w_cond, &w->w_lock);
			continue;
		}
		w->w_first = j->j_next;
		if (w->w_first == NULL)
			w->w_last = &w->w_first;
		pthread_mutex_unlock(&w->w_lock);
		ev = j->j_op.b_ev;
		host_event_post(w->w_m, ev, host_blk_result(ev, do_job(j)));
		free(j);
		pthread_mutex_lock(&w->w_lock);
	}
	pthread_mutex_unlock(&w->w_lock);
	return NULL;
}

static struct blkworker *
worker_get(struct machine *m)
{
	struct blkworker *w = atomic_load(&m->m_blkworker);

	if (w != NULL)
		return w;
	pthread_mutex_lock(&m->m_lock);
	w = atomic_load(&m->m_blkworker);
	if (w == NULL && (w = calloc(1, sizeof(*w))) != NULL) {
		w->w_m = m;
		w->w_last = &w->w_first;
		pthread_mutex_init(&w->w_lock, NULL);
		pthread_cond_init(&w->w_cond, NULL);
		if (host_thread_start(&w->w_thread, "quern-blk", -1,
			worker_main, w) != 0) {
			free(w);
			w = NULL;
		} else {
			atomic_store(&m->m_blkworker, w);
		}
	}
	pthread_mutex_unlock(&m->m_lock);
	return w;
}

int
host_blkworker_add(struct machine *m, const struct quern_blk_op *op, int fd)
{
	struct blkworker *w = worker_get(m);
	struct job *j;

	if (w == NULL)
		return -EAGAIN;
	j = malloc(sizeof(*j) + op->b_niov * sizeof(j->j_iov[0]));
	if (j == NULL)
		return -ENOMEM;
	j->j_next = NULL;
	j->j_op = *op;
	j->j_fd = fd;
	if (op->b_niov > 0)
		memcpy(j->j_iov, op->b_iov, op->b_niov * sizeof(j->j_iov[0]));
	pthread_mutex_lock(&w->w_lock);
	*w->w_last = j;
	w->w_last = &j->j_next;
	pthread_cond_signal(&w->w_cond);
	pthread_mutex_unlock(&w->w_lock);
	return 0;
}

void
host_blkworker_end(struct machine *m)
{
	struct blkworker *w = atomic_load(&m->m_blkworker);

	if (w == NULL)
		return;
	pthread_mutex_lock(&w->w_lock);
	w->w_quit = true;
	pthread_cond_signal(&w->w_cond);
	pthread_mutex_unlock(&w->w_lock);
	pthread_join(w->w_thread, NULL);
	pthread_cond_destroy(&w->w_cond);
	pthread_mutex_destroy(&w->w_lock);
	free(w);
	atomic_store(&m->m_blkworker, NULL);
}
