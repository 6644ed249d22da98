/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks that an NBD server has, through libnbd: "nbd://HOST[:PORT]/EXPORT" and
 * "nbd+unix:///EXPORT?socket=PATH", each with ",timeout=SECONDS" behind if an
 * answer may take another time than 30 seconds.
 *
 * Each disk has a thread that owns its libnbd handle, so that no two threads
 * argue over the handle's lock and its descriptor.  Operations come to it on a
 * list; it starts them, waits for the socket and for the list, and posts their
 * events.  It runs no kernel code.
 *
 * An operation is a *job* and is sent as one command after another: pieces no
 * longer than the server takes, and a flush behind a write with FUA if the
 * server does not know FUA.  A job is on n_jobs from the first command to its
 * end, in the order in which their present commands were sent, so that the first
 * has waited longest.
 *
 * The end of a connection is final.  Whether the server went away, broke the
 * protocol or left a command unanswered for too long, the handle is closed -
 * from then on libnbd touches no buffer - and every job, present and to come, is
 * answered -EIO.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "blk.h"
#include "nbdlib.h"

#define TIMEOUT_S     30u
#define TIMEOUT_MAX_S 86400u

/* The longest commands, where the server sets no other limit. */
#define PIECE_DATA   (UINT64_C(32) << 20)
#define PIECE_NODATA (UINT64_C(128) << 20)

/* What zeroes are written from where the server can't make them. */
#define ZERO_LEN ((size_t)64 << 10)

struct job {
	struct job *j_next, **j_prevp; /* n_jobs */
	struct nbdev *j_n;
	struct quern_event *j_ev;
	unsigned j_cmd, j_flags;
	uint64_t j_off, j_len;
	uint64_t j_done;  /* bytes whose commands have been answered */
	uint64_t j_piece; /* bytes of the present command */
	uint64_t j_since; /* when that was sent */
	char *j_buf;      /* the data in one piece: the caller's, or ... */
	char *j_bounce;   /* ... ours, if his is in several */
	int j_error;      /* 0 or errno, of the present command */
	bool j_answered, j_flushing;
	uint32_t j_niov;
	struct iovec j_iov[];
};

struct nbdev {
	struct machine *n_m;
	struct bdev *n_b;
	struct nbdlib n_l;
	char *n_uri;
	uint64_t n_timeout; /* ns */
	pthread_t n_thread;
	int n_wakefd;
	pthread_mutex_t n_lock;
	pthread_cond_t n_cond;
	struct job *n_new, **n_newtail; /* [n_lock] by j_next */
	bool n_quit;                    /* [n_lock] */
	bool n_opened; /* [n_lock] n_error and n_info are valid */
	int n_error;
	struct quern_blk_info n_info;

	/* the thread's */
	struct nbd_handle *n_h; /* NULL: the connection is over */
	struct job *n_jobs, **n_tail;
	unsigned n_answered; /* jobs with j_answered */
	uint64_t n_maxdata;
	bool n_fua, n_flush, n_zero;
	char *n_zeroes;
};

static void
log_line(const struct nbdev *n, const char *what)
{
	char line[512];

	snprintf(line, sizeof line, "%s: %s", n->n_uri, what);
	host_log(n->n_m, QUERN_LOG_ERR, line, strlen(line));
}

/* ---- jobs -------------------------------------------------------------------- */

static void
append(struct nbdev *n, struct job *j)
{
	j->j_next = NULL;
	j->j_prevp = n->n_tail;
	*n->n_tail = j;
	n->n_tail = &j->j_next;
}

static void
take_out(struct nbdev *n, struct job *j)
{
	*j->j_prevp = j->j_next;
	if (j->j_next != NULL)
		j->j_next->j_prevp = j->j_prevp;
	else
		n->n_tail = j->j_prevp;
}

/* Data between the caller's pieces and the bounce buffer. */
static void
copy(struct job *j, bool in)
{
	char *p = j->j_bounce;
	uint32_t i;

	for (i = 0; i < j->j_niov; i++) {
		if (in)
			memcpy(p, j->j_iov[i].iov_base, j->j_iov[i].iov_len);
		else
			memcpy(j->j_iov[i].iov_base, p, j->j_iov[i].iov_len);
		p += j->j_iov[i].iov_len;
	}
}

/* It is over; not on any list any more.  0 or -errno. */
static void
finish(struct job *j, int error)
{
	struct quern_event *ev = j->j_ev;
	struct machine *m = j->j_n->n_m;
	int64_t result = error != 0 ? error : (int64_t)ev->e_host[0];

	if (error == 0 && j->j_bounce != NULL && j->j_cmd == QUERN_BLK_READ)
		copy(j, false);
	free(j->j_bounce);
	free(j);
	host_event_post(m, ev, host_blk_result(ev, result));
}

/* A server's error as a disk's.  What it calls invalid we should not have sent. */
static int
disk_error(int error)
{
	switch (error) {
	case ENOSPC:
	case ENOMEM:
	case EOPNOTSUPP:
		return -error;
	case EPERM:
		return -EROFS;
	default:
		return -EIO;
	}
}

/* libnbd: a command has been answered.  No calls of libnbd in here. */
static int
answered(void *arg, int *error)
{
	struct job *j = arg;

	j->j_error = *error;
	j->j_answered = true;
	j->j_n->n_answered++;
	return 1; /* forget it */
}

static int64_t
send_piece(struct nbdev *n, struct job *j, uint32_t flags)
{
	nbd_completion_callback cb = { .callback = answered, .user_data = j };
	uint64_t off = j->j_off + j->j_done, left = j->j_len - j->j_done;
	uint64_t max = n->n_maxdata;

	if (j->j_cmd == QUERN_BLK_DISCARD ||
	    (j->j_cmd == QUERN_BLK_ZERO && n->n_zero))
		max = PIECE_NODATA;
	else if (j->j_cmd == QUERN_BLK_ZERO && max > ZERO_LEN)
		max = ZERO_LEN;
	j->j_piece = left < max ? left : max;
	switch (j->j_cmd) {
	case QUERN_BLK_READ:
		return n->n_l.aio_pread(n->n_h, j->j_buf + j->j_done,
		    j->j_piece, off, cb, 0);
	case QUERN_BLK_WRITE:
		return n->n_l.aio_pwrite(n->n_h, j->j_buf + j->j_done,
		    j->j_piece, off, cb, flags);
	case QUERN_BLK_DISCARD:
		return n->n_l.aio_trim(n->n_h, j->j_piece, off, cb, 0);
	default:
		return n->n_zero ?
		    n->n_l.aio_zero(n->n_h, j->j_piece, off, cb, flags) :
		    n->n_l.aio_pwrite(n->n_h, n->n_zeroes, j->j_piece, off, cb,
			flags);
	}
}

/* Send the next command of a job that is on no list, or end it. */
static void
advance(struct nbdev *n, struct job *j)
{
	nbd_completion_callback cb = { .callback = answered, .user_data = j };
	bool flush = j->j_cmd == QUERN_BLK_FLUSH;
	uint32_t flags = 0;
	int64_t cookie;

	if ((j->j_flags & QUERN_BLK_FUA) != 0) {
		if (n->n_fua)
			flags = LIBNBD_CMD_FLAG_FUA;
		else
			flush = true;
	}
	j->j_answered = false;
	j->j_since = host_now();
	if (j->j_done < j->j_len) {
		append(n, j);
		cookie = send_piece(n, j, flags);
	} else if (flush && n->n_flush && !j->j_flushing) {
		j->j_flushing = true;
		j->j_piece = 0;
		append(n, j);
		cookie = n->n_l.aio_flush(n->n_h, cb, 0);
	} else {
		finish(j, 0);
		return;
	}
	if (cookie < 0 && !j->j_answered) {
		take_out(n, j);
		finish(j, disk_error(n->n_l.get_errno()));
	}
}

/* Go on with the jobs whose commands have been answered. */
static void
go_on(struct nbdev *n)
{
	struct job *j, *next;

	while (n->n_answered > 0) {
		for (j = n->n_jobs; j != NULL && !j->j_answered; j = next)
			next = j->j_next;
		if (j == NULL)
			break;
		n->n_answered--;
		take_out(n, j);
		if (j->j_error != 0) {
			finish(j, disk_error(j->j_error));
		} else {
			j->j_done += j->j_piece;
			advance(n, j);
		}
	}
}

/* ---- the thread ----------------------------------------------------------------- */

/* End the connection; `why` NULL: as was asked for. */
static void
hang_up(struct nbdev *n, const char *why)
{
	struct job *j;

	if (why != NULL)
		log_line(n, why);
	if (n->n_h != NULL)
		n->n_l.close(n->n_h);
	n->n_h = NULL;
	n->n_answered = 0;
	while ((j = n->n_jobs) != NULL) {
		take_out(n, j);
		finish(j, -EIO);
	}
}

/* Take what has come on the list.  False: it is time to end. */
static bool
take_new(struct nbdev *n)
{
	struct job *j, *next;
	bool quit;

	pthread_mutex_lock(&n->n_lock);
	j = n->n_new;
	n->n_new = NULL;
	n->n_newtail = &n->n_new;
	quit = n->n_quit;
	pthread_mutex_unlock(&n->n_lock);
	for (; j != NULL; j = next) {
		next = j->j_next;
		if (n->n_h != NULL && !quit)
			advance(n, j);
		else
			finish(j, -EIO);
	}
	return !quit;
}

/* Milliseconds until the first job has waited too long, -1: for ever. */
static int
patience(const struct nbdev *n)
{
	uint64_t now, end;

	if (n->n_jobs == NULL)
		return -1;
	now = host_now();
	end = n->n_jobs->j_since + n->n_timeout;
	return end <= now ? 0 : (int)((end - now) / NS_PER_MS + 1);
}

/* Tell libnbd what its socket is ready for. */
static int
notify(struct nbdev *n, short revents)
{
	/* Not both: after the first the other may be wrong. */
	if ((revents & (POLLIN | POLLHUP)) != 0)
		return n->n_l.aio_notify_read(n->n_h);
	if ((revents & (POLLOUT | POLLERR)) != 0)
		return n->n_l.aio_notify_write(n->n_h);
	return 0;
}

static void
wait_once(struct nbdev *n)
{
	struct pollfd fds[2] = { { .fd = n->n_wakefd, .events = POLLIN },
		{ .fd = -1 } };
	char why[64];
	unsigned dir;
	uint64_t count;
	int ready, left;

	if (n->n_h != NULL) {
		dir = n->n_l.aio_get_direction(n->n_h);
		fds[1].fd = n->n_l.aio_get_fd(n->n_h);
		if ((dir & LIBNBD_AIO_DIRECTION_READ) != 0)
			fds[1].events |= POLLIN;
		if ((dir & LIBNBD_AIO_DIRECTION_WRITE) != 0)
			fds[1].events |= POLLOUT;
	}
	left = patience(n);
	ready = poll(fds, 2, left);
	if ((fds[0].revents & POLLIN) != 0)
		(void)!read(n->n_wakefd, &count, sizeof count);
	if (n->n_h == NULL)
		return;
	if ((ready > 0 && notify(n, fds[1].revents) != 0) ||
	    n->n_l.aio_is_dead(n->n_h) || n->n_l.aio_is_closed(n->n_h)) {
		hang_up(n, "the server has gone away");
		return;
	}
	go_on(n);
	if (patience(n) == 0) {
		snprintf(why, sizeof why, "no answer for %u seconds, given up",
		    (unsigned)(n->n_timeout / NS_PER_SEC));
		hang_up(n, why);
	}
}

/* ---- opening ----------------------------------------------------------------------- */

/* Connect and shake hands within the time that answers may take. */
static int
connect_server(struct nbdev *n)
{
	uint64_t now = host_now(), end = now + n->n_timeout;
	int error;

	n->n_h = n->n_l.create();
	if (n->n_h == NULL ||
	    n->n_l.set_uri_allow_tls(n->n_h, LIBNBD_TLS_DISABLE) != 0 ||
	    n->n_l.aio_connect_uri(n->n_h, n->n_uri) != 0)
		goto fail;
	while (!n->n_l.aio_is_ready(n->n_h)) {
		if (n->n_l.aio_is_dead(n->n_h) || n->n_l.aio_is_closed(n->n_h))
			goto fail;
		now = host_now();
		if (now >= end) {
			log_line(n, "no answer");
			return -ETIMEDOUT;
		}
		if (n->n_l.poll(n->n_h, (int)((end - now) / NS_PER_MS + 1)) < 0)
			goto fail;
	}
	return 0;
fail:
	error = n->n_l.get_errno();
	log_line(n,
	    n->n_l.get_error() != NULL ? n->n_l.get_error() : "can't connect");
	return error > 0 ? -error : -EIO;
}

/* Find out what the server can do and wants. */
static int
learn(struct nbdev *n)
{
	int64_t size = n->n_l.get_size(n->n_h);
	int64_t min = n->n_l.get_block_size(n->n_h, LIBNBD_SIZE_MINIMUM);
	int64_t max = n->n_l.get_block_size(n->n_h, LIBNBD_SIZE_MAXIMUM);
	bool trim = n->n_l.can_trim(n->n_h) > 0;
	uint32_t sector = min > 512 ? (uint32_t)min : 512;

	if (size < 0 || min > 4096 || (sector & (sector - 1)) != 0) {
		log_line(n,
		    min > 4096 ? "its blocks are larger than 4096" :
				 "it has no size");
		return -EINVAL;
	}
	n->n_b->b_rdonly = n->n_b->b_rdonly || n->n_l.is_read_only(n->n_h) > 0;
	n->n_b->b_sector = sector;
	n->n_b->b_size = (uint64_t)size - (uint64_t)size % sector;
	n->n_fua = n->n_l.can_fua(n->n_h) > 0;
	n->n_flush = n->n_l.can_flush(n->n_h) > 0;
	n->n_zero = n->n_l.can_zero(n->n_h) > 0;
	n->n_maxdata = max > 0 && (uint64_t)max < PIECE_DATA ? (uint64_t)max :
							       PIECE_DATA;
	n->n_maxdata -= n->n_maxdata % sector;
	if (n->n_maxdata == 0)
		return -EINVAL;
	if (!n->n_zero && (n->n_zeroes = calloc(1, ZERO_LEN)) == NULL)
		return -ENOMEM;
	n->n_info = (struct quern_blk_info){
		.bi_size = n->n_b->b_size,
		.bi_sector = sector,
		.bi_flags = n->n_b->b_rdonly ? QUERN_BLK_RDONLY : 0,
		.bi_atomic = sector,
		.bi_discard = trim && !n->n_b->b_rdonly ? sector : 0,
	};
	return 0;
}

static void *
nbd_main(void *arg)
{
	struct nbdev *n = arg;
	int error;

	error = connect_server(n);
	if (error == 0)
		error = learn(n);
	pthread_mutex_lock(&n->n_lock);
	n->n_error = error;
	n->n_opened = true;
	pthread_cond_signal(&n->n_cond);
	pthread_mutex_unlock(&n->n_lock);
	if (error == 0) {
		while (take_new(n))
			wait_once(n);
		/* Say goodbye if the socket takes it, but wait for nothing. */
		if (n->n_h != NULL && n->n_jobs == NULL)
			(void)n->n_l.aio_disconnect(n->n_h, 0);
	}
	hang_up(n, NULL);
	return NULL;
}

bool
host_nbd_is(const char *name)
{
	return strncmp(name, "nbd:", 4) == 0 ||
	    strncmp(name, "nbd+unix:", 9) == 0;
}

/* -EPROTONOSUPPORT: it is not there. */
static int
load_library(struct nbdev *n)
{
	const char *why = host_nbd_load(&n->n_l);

	if (why == NULL)
		return 0;
	log_line(n, why);
	return -EPROTONOSUPPORT;
}

/* The name without its option, and that.  -EINVAL, -ENOMEM. */
static int
parse(struct nbdev *n, const char *name)
{
	const char *opt = strrchr(name, ',');
	unsigned long s = TIMEOUT_S;
	char *end;

	if (opt != NULL && strncmp(opt, ",timeout=", 9) == 0) {
		s = strtoul(opt + 9, &end, 10);
		if (opt[9] < '0' || opt[9] > '9' || *end != '\0' || s == 0 ||
		    s > TIMEOUT_MAX_S)
			return -EINVAL;
		n->n_uri = strndup(name, (size_t)(opt - name));
	} else {
		n->n_uri = strdup(name);
	}
	n->n_timeout = s * NS_PER_SEC;
	return n->n_uri != NULL ? 0 : -ENOMEM;
}

/* Its thread has ended, or never was. */
static void
nbd_free(struct nbdev *n)
{
	if (n->n_wakefd >= 0)
		close(n->n_wakefd);
	pthread_cond_destroy(&n->n_cond);
	pthread_mutex_destroy(&n->n_lock);
	free(n->n_zeroes);
	free(n->n_uri);
	free(n);
}

int
host_nbd_open(struct machine *m, const char *name, unsigned flags,
    struct quern_blk_info *info, struct bdev *b)
{
	struct nbdev *n = calloc(1, sizeof(*n));
	int error;

	if (n == NULL)
		return -ENOMEM;
	n->n_m = m;
	n->n_b = b;
	n->n_newtail = &n->n_new;
	n->n_tail = &n->n_jobs;
	pthread_mutex_init(&n->n_lock, NULL);
	pthread_cond_init(&n->n_cond, NULL);
	b->b_fd = -1;
	b->b_rdonly = (flags & QUERN_BLK_RDONLY) != 0;
	n->n_wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = n->n_wakefd < 0 ? host_error() : parse(n, name);
	if (error == 0)
		error = load_library(n);
	if (error == 0)
		error = host_thread_start(&n->n_thread, "quern-nbd", -1,
		    nbd_main, n);
	if (error != 0) {
		nbd_free(n);
		return error;
	}
	pthread_mutex_lock(&n->n_lock);
	while (!n->n_opened)
		pthread_cond_wait(&n->n_cond, &n->n_lock);
	error = n->n_error;
	pthread_mutex_unlock(&n->n_lock);
	if (error != 0) {
		pthread_join(n->n_thread, NULL);
		nbd_free(n);
		return error;
	}
	*info = n->n_info;
	b->b_nbd = n;
	return 0;
}

static void
wake(struct nbdev *n)
{
	uint64_t one = 1;

	(void)!write(n->n_wakefd, &one, sizeof one);
}

int
host_nbd_add(struct bdev *b, const struct quern_blk_op *op)
{
	struct nbdev *n = b->b_nbd;
	bool moves = op->b_cmd == QUERN_BLK_READ ||
	    op->b_cmd == QUERN_BLK_WRITE;
	uint32_t niov = moves ? op->b_niov : 0;
	struct job *j;

	j = calloc(1, sizeof(*j) + niov * sizeof(j->j_iov[0]));
	if (j == NULL)
		return -ENOMEM;
	j->j_n = n;
	j->j_ev = op->b_ev;
	j->j_cmd = op->b_cmd;
	j->j_flags = op->b_flags;
	j->j_off = op->b_off;
	j->j_len = op->b_cmd != QUERN_BLK_FLUSH ? op->b_len : 0;
	j->j_niov = niov;
	if (niov > 0)
		memcpy(j->j_iov, op->b_iov, niov * sizeof(j->j_iov[0]));
	if (niov == 1) {
		j->j_buf = j->j_iov[0].iov_base;
	} else if (niov > 1) {
		j->j_buf = j->j_bounce = malloc(op->b_len);
		if (j->j_bounce == NULL) {
			free(j);
			return -ENOMEM;
		}
		if (op->b_cmd == QUERN_BLK_WRITE)
			copy(j, true);
	}
	pthread_mutex_lock(&n->n_lock);
	*n->n_newtail = j;
	n->n_newtail = &j->j_next;
	pthread_mutex_unlock(&n->n_lock);
	wake(n);
	return 0;
}

void
host_nbd_close(struct bdev *b)
{
	struct nbdev *n = b->b_nbd;

	pthread_mutex_lock(&n->n_lock);
	n->n_quit = true;
	pthread_mutex_unlock(&n->n_lock);
	wake(n);
	pthread_join(n->n_thread, NULL);
	nbd_free(n);
	b->b_nbd = NULL;
}
