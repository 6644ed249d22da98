/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The poller: where io_uring is refused, one thread a machine that waits in an
 * epoll and posts the events of descriptors that became ready.  It runs no
 * kernel code and owns nothing that it tells about: a key that is no longer
 * armed when it comes to it names nobody.
 */
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "impl.h"

struct poller {
	struct machine *p_m;
	int p_epfd, p_quitfd;
	pthread_t p_thread;
};

#define KEY_QUIT 0 /* of p_quitfd; no channel has this key */

static void *
poller_main(void *arg)
{
	struct poller *p = arg;
	struct epoll_event evs[16];
	struct quern_event *ev;
	int i, n;

	for (;;) {
		n = epoll_wait(p->p_epfd, evs, 16, -1);
		for (i = 0; i < n; i++) {
			if (evs[i].data.u64 == KEY_QUIT)
				return NULL;
			ev = host_chan_take(p->p_m, evs[i].data.u64);
			if (ev != NULL)
				host_event_post(p->p_m, ev, 0);
		}
	}
}

static int
poller_open(struct machine *m, struct poller **pp)
{
	struct epoll_event ee = { .events = EPOLLIN, .data.u64 = KEY_QUIT };
	struct poller *p;
	int error;

	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	p->p_m = m;
	p->p_epfd = epoll_create1(EPOLL_CLOEXEC);
	p->p_quitfd = eventfd(0, EFD_CLOEXEC);
	if (p->p_epfd < 0 || p->p_quitfd < 0 ||
	    epoll_ctl(p->p_epfd, EPOLL_CTL_ADD, p->p_quitfd, &ee) != 0)
		error = host_error();
	else
		error = host_thread_start(&p->p_thread, "quern-poll", -1,
		    poller_main, p);
	if (error != 0) {
		if (p->p_epfd >= 0)
			close(p->p_epfd);
		if (p->p_quitfd >= 0)
			close(p->p_quitfd);
		free(p);
		return error;
	}
	*pp = p;
	return 0;
}

int
host_poller_poll(struct machine *m, int fd, short mask, uint64_t key)
{
	struct epoll_event ee = { .data.u64 = key };
	struct poller *p = atomic_load(&m->m_poller);
	int error = 0;

	if (p == NULL) {
		pthread_mutex_lock(&m->m_lock);
		p = atomic_load(&m->m_poller);
		if (p == NULL && (error = poller_open(m, &p)) == 0)
			atomic_store(&m->m_poller, p);
		pthread_mutex_unlock(&m->m_lock);
		if (error != 0)
			return error;
	}
	ee.events = EPOLLONESHOT | ((mask & POLLIN) != 0 ? EPOLLIN : EPOLLOUT);
	/* After its first shot the descriptor stays known, but disabled. */
	if (epoll_ctl(p->p_epfd, EPOLL_CTL_ADD, fd, &ee) == 0)
		return 0;
	if (errno == EEXIST &&
	    epoll_ctl(p->p_epfd, EPOLL_CTL_MOD, fd, &ee) == 0)
		return 0;
	return host_error();
}

void
host_poller_unpoll(struct machine *m, int fd)
{
	struct poller *p = atomic_load(&m->m_poller);

	/* It may not be there: closed, or never waited for. */
	if (p != NULL)
		(void)epoll_ctl(p->p_epfd, EPOLL_CTL_DEL, fd, NULL);
}

void
host_poller_end(struct machine *m)
{
	struct poller *p = atomic_load(&m->m_poller);
	uint64_t one = 1;

	if (p == NULL)
		return;
	(void)!write(p->p_quitfd, &one, sizeof one);
	pthread_join(p->p_thread, NULL);
	close(p->p_quitfd);
	close(p->p_epfd);
	free(p);
	atomic_store(&m->m_poller, NULL);
}
