/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events: from a ring or the poller, or posted, to upcall event().
 *
 * Each virtual CPU has a back end, chosen when the first event is asked for
 * there: a ring of its own, or where the host refuses one, the machine's poller
 * thread.  The ring's completions are read from shared memory, and the poller
 * and everybody else put theirs on the list c_done, so that looking for events
 * at a scheduling point is no system call in either case.  Whoever delivers
 * holds c_reaping; another who wants to just goes on, as someone is at it.
 */
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "impl.h"

static void
close_fd(int *fdp)
{
	if (*fdp >= 0)
		close(*fdp);
	*fdp = -1;
}

static int
epoll_add(int epfd, int fd, uint32_t mask)
{
	struct epoll_event ev = { .events = mask };

	return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) == 0 ? 0 : host_error();
}

/* Make m_epfd and m_kickfd.  m_lock is held. */
static int
make_epfd(struct machine *m)
{
	int epfd, error;

	if (atomic_load(&m->m_epfd) >= 0)
		return 0;
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0)
		return host_error();
	m->m_kickfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = m->m_kickfd >= 0 ?
	    epoll_add(epfd, m->m_kickfd, EPOLLIN | EPOLLET) :
	    host_error();
	if (error != 0) {
		close_fd(&m->m_kickfd);
		close(epfd);
		return error;
	}
	atomic_store(&m->m_epfd, epfd);
	return 0;
}

/* Give `cpu` a ring.  m_lock is held. */
static int
make_ring(struct machine *m, unsigned cpu)
{
	struct hcpu *c = &m->m_cpu[cpu];
	int error, pollfd = atomic_load(&m->m_pollfd);

	error = make_epfd(m);
	if (error != 0)
		return error;
	error = host_ring_open(m, cpu, &c->c_ring);
	if (error != 0)
		return error;
	error = epoll_add(m->m_epfd, host_ring_fd(c->c_ring),
	    EPOLLIN | EPOLLET);
	if (error == 0 && pollfd >= 0)
		error = epoll_add(pollfd, host_ring_fd(c->c_ring), EPOLLIN);
	if (error != 0)
		host_ring_close(m, cpu);
	return error;
}

int
host_event_backend(struct machine *m, unsigned cpu)
{
	struct hcpu *c = &m->m_cpu[cpu];
	int b = (int)atomic_load(&c->c_backend), error;

	if (b != BACKEND_NONE)
		return b;
	pthread_mutex_lock(&m->m_lock);
	b = (int)atomic_load(&c->c_backend);
	if (b == BACKEND_NONE) {
		error = (m->m_config->pc_flags & QUERN_POSIX_NORING) != 0 ?
		    -ENOSYS :
		    make_ring(m, cpu);
		if (error == 0)
			b = BACKEND_RING;
		else if (error == -EMFILE || error == -ENFILE)
			b = error; /* the poller needs descriptors too */
		else
			b = BACKEND_POLLER;
		if (b > 0)
			atomic_store(&c->c_backend, (uint32_t)b);
	}
	pthread_mutex_unlock(&m->m_lock);
	return b;
}

int
host_event_poll(struct machine *m, unsigned cpu, int fd, short mask,
    uint64_t key, bool *ringp)
{
	int b = host_event_backend(m, cpu), error;

	if (b < 0)
		return b;
	*ringp = b == BACKEND_RING;
	if (!*ringp)
		return host_poller_poll(m, fd, mask, key);
	error = host_ring_poll(m, cpu, fd, mask, key);
	if (error == 0)
		host_event_nudge(m, cpu, true);
	return error;
}

void
host_event_unpoll(struct machine *m, unsigned cpu, int fd, uint64_t key,
    bool ring)
{
	if (ring)
		host_ring_unpoll(m, cpu, key);
	else
		host_poller_unpoll(m, fd);
}

void
host_event_post(struct machine *m, struct quern_event *ev, int64_t result)
{
	struct hcpu *c = &m->m_cpu[ev->e_cpu];
	struct quern_event *head = atomic_load(&c->c_done);
	unsigned cpu = ev->e_cpu;
	uint64_t one = 1;

	ev->e_host[1] = (uint64_t)result;
	do {
		ev->e_host[0] = (uint64_t)(uintptr_t)head;
	} while (!atomic_compare_exchange_weak(&c->c_done, &head, ev));
	/* From here on `ev` may be back with the kernel. */
	host_event_nudge(m, cpu, false);
	if (atomic_load(&m->m_pollfd) >= 0) {
		(void)!write(m->m_postfd, &one, sizeof one);
		atomic_store(&m->m_posted, 1);
	}
}

static struct quern_event *
next_of(const struct quern_event *ev)
{
	return (struct quern_event *)(uintptr_t)ev->e_host[0];
}

/* Deliver what was posted, oldest first. */
static int
reap_done(struct machine *m, struct hcpu *c)
{
	struct quern_event *ev, *next, *list = NULL;
	int n = 0;

	if (atomic_load(&c->c_done) == NULL)
		return 0;
	for (ev = atomic_exchange(&c->c_done, NULL); ev != NULL; ev = next) {
		next = next_of(ev);
		ev->e_host[0] = (uint64_t)(uintptr_t)list;
		list = ev;
	}
	for (ev = list; ev != NULL; ev = next, n++) {
		next = next_of(ev);
		m->m_up->event(m->m_core, ev, (int64_t)ev->e_host[1]);
	}
	return n;
}

static bool
cpu_ready(struct hcpu *c)
{
	return atomic_load(&c->c_done) != NULL ||
	    (atomic_load(&c->c_backend) == BACKEND_RING &&
		host_ring_ready(c->c_ring));
}

int
host_event_reap(struct machine *m, uint64_t cpus)
{
	struct hcpu *c;
	unsigned cpu;
	int n = 0;

	for (; cpus != 0; cpus &= cpus - 1) {
		cpu = (unsigned)__builtin_ctzll(cpus);
		c = &m->m_cpu[cpu];
		if (!cpu_ready(c) || atomic_exchange(&c->c_reaping, 1) != 0)
			continue;
		n += reap_done(m, c);
		if (atomic_load(&c->c_backend) == BACKEND_RING)
			n += host_ring_reap(m, cpu);
		atomic_store(&c->c_reaping, 0);
	}
	return n;
}

bool
host_event_ready(struct machine *m, uint64_t cpus)
{
	for (; cpus != 0; cpus &= cpus - 1)
		if (cpu_ready(&m->m_cpu[__builtin_ctzll(cpus)]))
			return true;
	return false;
}

bool
host_event_inflight(struct machine *m, uint64_t cpus)
{
	for (; cpus != 0; cpus &= cpus - 1)
		if (atomic_load(&m->m_cpu[__builtin_ctzll(cpus)].c_inflight) !=
		    0)
			return true;
	return false;
}

/*
 * The embedder's descriptor has the rings as well, but level-triggered: it is
 * for a loop that knows nothing of the rules in idle.c.
 */
int
host_event_pollfd(struct machine *m)
{
	uint64_t one = 1;
	unsigned i;
	int fd, error;

	pthread_mutex_lock(&m->m_lock);
	fd = atomic_load(&m->m_pollfd);
	if (fd >= 0)
		goto out;
	fd = epoll_create1(EPOLL_CLOEXEC);
	m->m_postfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	m->m_timerfd = timerfd_create(CLOCK_MONOTONIC,
	    TFD_CLOEXEC | TFD_NONBLOCK);
	error = fd < 0 || m->m_postfd < 0 || m->m_timerfd < 0 ? host_error() :
								0;
	if (error == 0)
		error = epoll_add(fd, m->m_postfd, EPOLLIN);
	if (error == 0)
		error = epoll_add(fd, m->m_timerfd, EPOLLIN);
	for (i = 0; error == 0 && i < m->m_ncpu; i++)
		if (atomic_load(&m->m_cpu[i].c_backend) == BACKEND_RING)
			error = epoll_add(fd, host_ring_fd(m->m_cpu[i].c_ring),
			    EPOLLIN);
	if (error != 0) {
		close_fd(&fd);
		close_fd(&m->m_postfd);
		close_fd(&m->m_timerfd);
		fd = error;
		goto out;
	}
	/* What was posted or announced before nobody noted: look once. */
	(void)!write(m->m_postfd, &one, sizeof one);
	atomic_store(&m->m_posted, 1);
	atomic_store(&m->m_pollfd, fd);
out:
	pthread_mutex_unlock(&m->m_lock);
	return fd;
}

void
host_event_announce(struct machine *m, uint64_t deadline)
{
	struct itimerspec its = { 0 };
	uint64_t count;

	/*
	 * m_posted is set after the descriptor: should it be missed, the
	 * descriptor stays readable and the next call finds it.
	 */
	if (atomic_exchange(&m->m_posted, 0) != 0)
		(void)!read(m->m_postfd, &count, sizeof count);
	if (atomic_load(&m->m_announced) == deadline)
		return;
	pthread_mutex_lock(&m->m_lock);
	if (deadline != QUERN_NEVER) {
		its.it_value.tv_sec = (time_t)(deadline / NS_PER_SEC);
		its.it_value.tv_nsec = (long)(deadline % NS_PER_SEC);
		if (deadline == 0) /* zero would disarm it */
			its.it_value.tv_nsec = 1;
	}
	timerfd_settime(m->m_timerfd, TFD_TIMER_ABSTIME, &its, NULL);
	atomic_store(&m->m_announced, deadline);
	pthread_mutex_unlock(&m->m_lock);
}

void
host_event_end(struct machine *m)
{
	int fd;
	unsigned i;

	for (i = 0; i < m->m_ncpu; i++)
		if (atomic_load(&m->m_cpu[i].c_backend) == BACKEND_RING)
			host_ring_close(m, i);
	fd = atomic_load(&m->m_epfd);
	close_fd(&fd);
	fd = atomic_load(&m->m_pollfd);
	close_fd(&fd);
	close_fd(&m->m_kickfd);
	close_fd(&m->m_postfd);
	close_fd(&m->m_timerfd);
}
