/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Channels: byte streams, and when they are worth trying again.
 *
 * Every read and write is a system call that does not wait, made by the caller
 * while it holds ch_lock.  When it would wait, a watch is armed on the
 * direction: the back end of the caller's CPU (event.c) will come back with a
 * key of slot, direction and w_gen, and whoever finds w_ev under that key takes
 * it.  So a watch is ended by clearing w_ev, and what the back end says later
 * under the old key is said to nobody.
 *
 * A listener with no peer watches its listening socket in both directions.
 * When its reader has accepted a peer, or let one go, what the writer watches
 * is no longer what it waits for: its event is delivered, and it tries again.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chan.h"

/* Most bytes written at once to what might make us wait for more room. */
#define CAUTIOUS_PIPE 4096u /* PIPE_BUF: POLLOUT means so much */

static uint64_t
watch_key(const struct chan *ch, unsigned dir)
{
	return (uint64_t)ch->ch_watch[dir].w_gen << 32 |
	    (uint64_t)ch->ch_index << 2 | dir << 1 | 1;
}

struct quern_event *
host_chan_take(struct machine *m, uint64_t key)
{
	struct chan *ch = atomic_load(&m->m_chan[(uint32_t)key >> 2]);
	unsigned dir = (unsigned)key >> 1 & 1;
	struct quern_event *ev = NULL;
	struct watch *w = &ch->ch_watch[dir];

	pthread_mutex_lock(&ch->ch_lock);
	if (w->w_gen == key >> 32) {
		ev = w->w_ev;
		w->w_ev = NULL;
	}
	pthread_mutex_unlock(&ch->ch_lock);
	return ev;
}

/* Give a watch's event back with `result`.  ch_lock is held. */
static void
end_watch(struct machine *m, struct chan *ch, unsigned dir, int64_t result)
{
	struct watch *w = &ch->ch_watch[dir];
	struct quern_event *ev = w->w_ev;

	if (ev == NULL)
		return;
	w->w_ev = NULL;
	host_event_unpoll(m, w->w_cpu, w->w_fd, watch_key(ch, dir), w->w_ring);
	host_event_post(m, ev, result);
}

/*
 * The call would wait: arm `ev` if there is one.  -EAGAIN then, too.  ch_lock
 * is held.
 */
static int
would_wait(struct machine *m, struct chan *ch, unsigned dir, unsigned cpu,
    struct quern_event *ev)
{
	struct watch *w = &ch->ch_watch[dir];
	int fd = ch->ch_ends.es_end[dir].e_fd, error;
	short mask = dir == DIR_READ ? POLLIN : POLLOUT;

	if (ev == NULL)
		return -EAGAIN;
	if (w->w_ev != NULL)
		return -EBUSY;
	if (fd < 0) {
		fd = ch->ch_ends.es_listen[dir];
		mask = POLLIN;
	}
	w->w_gen++;
	w->w_cpu = ev->e_cpu = cpu;
	w->w_fd = fd;
	w->w_ev = ev;
	error = host_event_poll(m, cpu, fd, mask, watch_key(ch, dir),
	    &w->w_ring);
	if (error != 0) {
		w->w_ev = NULL;
		return error;
	}
	return -EAGAIN;
}

/* Find and lock an open channel, or NULL. */
static struct chan *
chan_enter(struct machine *m, uint32_t id)
{
	struct chan *ch = atomic_load(&m->m_chan[id % HOST_NCHAN]);

	if (ch == NULL)
		return NULL;
	pthread_mutex_lock(&ch->ch_lock);
	if (ch->ch_open && ch->ch_id == id)
		return ch;
	pthread_mutex_unlock(&ch->ch_lock);
	return NULL;
}

static void
chan_leave(struct chan *ch)
{
	pthread_mutex_unlock(&ch->ch_lock);
}

/* Let a listener's peer go.  ch_lock is held. */
static void
drop_peer(struct machine *m, struct chan *ch)
{
	end_watch(m, ch, DIR_READ, 0);
	end_watch(m, ch, DIR_WRITE, 0);
	host_ends_hangup(m, ch->ch_ends.es_end, true);
	ch->ch_eof = false;
}

/*
 * Have a peer, accepting one if need be.  0, -EAGAIN (nobody there), -EMFILE.
 * ch_lock is held.
 */
static int
have_peer(struct machine *m, struct chan *ch, unsigned dir)
{
	struct ends *es = &ch->ch_ends;
	int fd, error;

	if (es->es_listen[dir] < 0)
		return 0;
	if (dir == DIR_READ && ch->ch_eof)
		drop_peer(m, ch);
	if (es->es_end[dir].e_fd >= 0)
		return 0;
	fd = accept4(es->es_listen[dir], NULL, NULL,
	    SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		switch (errno) {
		case EMFILE:
		case ENFILE:
		case ENOMEM:
		case ENOBUFS:
			return host_error();
		default: /* none, or one that has gone again */
			return -EAGAIN;
		}
	}
	error = host_ends_socket(es->es_end, fd);
	if (error != 0)
		return error;
	end_watch(m, ch, DIR_READ, 0);
	end_watch(m, ch, DIR_WRITE, 0);
	return 0;
}

static bool
ready_now(int fd, short mask)
{
	struct pollfd pfd = { .fd = fd, .events = mask };

	return poll(&pfd, 1, 0) > 0;
}

static int64_t
read_end(const struct end *e, void *buf, size_t len)
{
	ssize_t n;

	do {
		switch (e->e_kind) {
		case END_SOCKET:
			n = recv(e->e_fd, buf, len, MSG_DONTWAIT);
			break;
		case END_CAUTIOUS:
			if (!ready_now(e->e_fd, POLLIN))
				return -EAGAIN;
			/* FALLTHROUGH */
		default:
			n = read(e->e_fd, buf, len);
			break;
		}
	} while (n < 0 && errno == EINTR);
	return n < 0 ? host_error() : n;
}

static int64_t
write_end(const struct end *e, const void *buf, size_t len)
{
	ssize_t n;

	switch (e->e_kind) {
	case END_SOCKET:
		do {
			n = send(e->e_fd, buf, len,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
		} while (n < 0 && errno == EINTR);
		return n < 0 ? host_error() : n;
	case END_CAUTIOUS:
		if (!ready_now(e->e_fd, POLLOUT))
			return -EAGAIN;
		if (len > CAUTIOUS_PIPE)
			len = CAUTIOUS_PIPE;
		/* FALLTHROUGH */
	default:
		return host_write_nosigpipe(e->e_fd, buf, len);
	}
}

/* What the host calls otherwise than the contract does. */
static int64_t
stream_error(int64_t n, unsigned dir)
{
	switch (n) {
	case -EWOULDBLOCK:
		return -EAGAIN;
	case -ENOTCONN: /* a connection that came to nothing */
		return dir == DIR_READ ? 0 : -EPIPE;
	default:
		return n;
	}
}

int64_t
host_chan_read(void *ctx, unsigned cpu, uint32_t id, void *buf, size_t len,
    struct quern_event *ev)
{
	struct machine *m = ctx;
	struct chan *ch;
	int64_t n;

	if (cpu >= m->m_ncpu)
		return -EINVAL;
	ch = chan_enter(m, id);
	if (ch == NULL)
		return -EBADF;
	n = have_peer(m, ch, DIR_READ);
	if (n == 0)
		n = ch->ch_ends.es_end[DIR_READ].e_fd < 0 ?
		    -EBADF :
		    stream_error(read_end(&ch->ch_ends.es_end[DIR_READ], buf,
				     len),
			DIR_READ);
	if (ch->ch_ends.es_listen[DIR_READ] >= 0 &&
	    ((n == 0 && len > 0) || n == -ECONNRESET))
		ch->ch_eof = true;
	if (n == -EAGAIN)
		n = would_wait(m, ch, DIR_READ, cpu, ev);
	chan_leave(ch);
	return n;
}

int64_t
host_chan_write(void *ctx, unsigned cpu, uint32_t id, const void *buf,
    size_t len, struct quern_event *ev)
{
	struct machine *m = ctx;
	struct chan *ch;
	int64_t n;

	if (cpu >= m->m_ncpu)
		return -EINVAL;
	ch = chan_enter(m, id);
	if (ch == NULL)
		return -EBADF;
	n = have_peer(m, ch, DIR_WRITE);
	if (n == 0)
		n = ch->ch_ends.es_end[DIR_WRITE].e_fd < 0 ?
		    -EBADF :
		    stream_error(write_end(&ch->ch_ends.es_end[DIR_WRITE], buf,
				     len),
			DIR_WRITE);
	if (n == -EAGAIN)
		n = would_wait(m, ch, DIR_WRITE, cpu, ev);
	chan_leave(ch);
	return n;
}

/* Take a free slot; its lock is held then.  NULL: none or no memory. */
static struct chan *
chan_alloc(struct machine *m)
{
	struct chan *ch = NULL;
	uint32_t i;

	pthread_mutex_lock(&m->m_lock);
	for (i = 0; i < HOST_NCHAN; i++) {
		ch = atomic_load(&m->m_chan[i]);
		if (ch == NULL || !ch->ch_used)
			break;
	}
	if (i == HOST_NCHAN) {
		ch = NULL;
	} else if (ch == NULL && (ch = calloc(1, sizeof(*ch))) != NULL) {
		pthread_mutex_init(&ch->ch_lock, NULL);
		ch->ch_index = i;
		ch->ch_id = i;
		atomic_store(&m->m_chan[i], ch);
	}
	if (ch != NULL)
		ch->ch_used = true;
	pthread_mutex_unlock(&m->m_lock);
	return ch;
}

int
host_chan_open(void *ctx, const char *name, uint32_t *idp)
{
	struct machine *m = ctx;
	struct ends es;
	struct chan *ch;
	int error;

	if (name == NULL)
		return -EINVAL;
	host_ends_init(&es);
	error = host_ends_open(name, &es);
	if (error != 0)
		return error;
	ch = chan_alloc(m);
	if (ch == NULL) {
		host_ends_close(m, &es);
		return -EMFILE;
	}
	pthread_mutex_lock(&ch->ch_lock);
	ch->ch_ends = es;
	ch->ch_eof = false;
	/* A number of its own, so that a stale one is no other channel's. */
	ch->ch_id += HOST_NCHAN;
	ch->ch_open = true;
	*idp = ch->ch_id;
	pthread_mutex_unlock(&ch->ch_lock);
	return 0;
}

void
host_chan_close(void *ctx, uint32_t id)
{
	struct machine *m = ctx;
	struct chan *ch = chan_enter(m, id);

	if (ch == NULL)
		return;
	end_watch(m, ch, DIR_READ, -ECANCELED);
	end_watch(m, ch, DIR_WRITE, -ECANCELED);
	host_ends_close(m, &ch->ch_ends);
	ch->ch_open = false;
	chan_leave(ch);
	pthread_mutex_lock(&m->m_lock);
	ch->ch_used = false;
	pthread_mutex_unlock(&m->m_lock);
}

char *
host_chan_param(struct machine *m, const char *kind, uint32_t id)
{
	struct chan *ch = chan_enter(m, id);
	const struct ends *es;
	char *s = NULL;

	if (ch == NULL)
		return NULL;
	es = &ch->ch_ends;
	if (es->es_info != NULL && strncmp(kind, es->es_infokind, 3) == 0)
		s = strdup(es->es_info);
	chan_leave(ch);
	return s;
}

/* Close all.  The slots stay: a ring may still come with their keys. */
void
host_chan_end(struct machine *m)
{
	struct chan *ch;
	unsigned i;

	for (i = 0; i < HOST_NCHAN; i++) {
		ch = atomic_load(&m->m_chan[i]);
		if (ch != NULL && ch->ch_open)
			host_chan_close(m, ch->ch_id);
	}
}

void
host_chan_free(struct machine *m)
{
	struct chan *ch;
	unsigned i;

	for (i = 0; i < HOST_NCHAN; i++) {
		ch = atomic_load(&m->m_chan[i]);
		if (ch == NULL)
			continue;
		pthread_mutex_destroy(&ch->ch_lock);
		free(ch);
	}
}
