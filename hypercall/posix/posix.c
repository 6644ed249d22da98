/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host that is a Linux process: its table, and machines made and unmade.
 *
 * A machine is one allocation and, until it needs more, nothing else: no
 * descriptor and no thread.  What it comes to own on demand:
 *
 *	ring	  an io_uring per virtual CPU, at the first event asked for
 *		  there (event.c, ring.c); where io_uring is refused, one
 *		  poller thread for the machine instead (poller.c);
 *	m_epfd	  an epoll of all rings and of m_kickfd, for waits (idle.c);
 *	m_pollfd  the same for the embedder's event loop, with m_postfd and
 *		  m_timerfd (event.c);
 *	m_ramfd	  the memfd of the RAM arena (mem.c);
 *	m_vm	  what guests need (vmspace.c).
 *
 * Channels live in slots that stay until end(), so that a completion which
 * comes late finds its slot and there, by a generation count, that nobody
 * wants it any more.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <signal.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "impl.h"

static const struct quern_posix_config default_config;

int
host_thread_start(pthread_t *tp, const char *name, int pin, void *(*fn)(void *),
    void *arg)
{
	pthread_attr_t attr;
	sigset_t all, old;
	cpu_set_t cpus;
	int error;

	if (pin >= CPU_SETSIZE)
		return -EINVAL;
	if (pthread_attr_init(&attr) != 0)
		return -EAGAIN;
	if (pin >= 0) {
		CPU_ZERO(&cpus);
		CPU_SET(pin, &cpus);
		error = pthread_attr_setaffinity_np(&attr, sizeof cpus, &cpus);
		if (error != 0) {
			pthread_attr_destroy(&attr);
			return error == EINVAL ? -EINVAL : -EAGAIN;
		}
	}
	/* The new thread inherits the mask: it never runs unblocked. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(tp, &attr, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (error != 0)
		return error == EINVAL ? -EINVAL : -EAGAIN;
	pthread_setname_np(*tp, name);
	return 0;
}

/*
 * Only pipes and the like come here; sockets have MSG_NOSIGNAL.  The thread is
 * the embedder's, whose disposition of SIGPIPE is its own affair, so a SIGPIPE
 * of our making is kept blocked and taken back.  It is always sent to the
 * writing thread; one that was pending before is left alone.
 */
int64_t
host_write_nosigpipe(int fd, const void *buf, size_t len)
{
	static const struct timespec now;
	sigset_t pipeset, old, pending;
	bool had;
	int64_t n;

	sigemptyset(&pipeset);
	sigaddset(&pipeset, SIGPIPE);
	sigemptyset(&pending);
	sigpending(&pending);
	had = sigismember(&pending, SIGPIPE) == 1;
	if (!had)
		pthread_sigmask(SIG_BLOCK, &pipeset, &old);
	do {
		n = write(fd, buf, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		n = host_error();
	if (!had) {
		if (n == -EPIPE)
			while (sigtimedwait(&pipeset, NULL, &now) < 0 &&
			    errno == EINTR)
				;
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	return n;
}

int
host_fd_above(int fd, int low)
{
	int new;

	if (fd > low)
		return fd;
	new = fcntl(fd, F_DUPFD_CLOEXEC, low + 1);
	/* A limit below `low` is EINVAL to the host. */
	if (new < 0)
		new = errno == EINVAL ? -EMFILE : host_error();
	close(fd);
	return new;
}

static int
host_begin(void *arg, const struct quern_machine *qm,
    const struct quern_upcalls *up, void **ctxp, void **corep)
{
	struct machine *m;
	size_t size;
	unsigned i;

	if (qm->m_ncpu < 1 || qm->m_ncpu > HOST_MAXCPU)
		return -EINVAL;
	size = sizeof(*m) + qm->m_ncpu * sizeof(m->m_cpu[0]);
	m = aligned_alloc(_Alignof(struct machine), size);
	if (m == NULL)
		return -ENOMEM;
	memset(m, 0, size);
	m->m_corelen = qm->m_core != 0 ? qm->m_core : 1;
	m->m_core = mmap(NULL, m->m_corelen, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m->m_core == MAP_FAILED) {
		free(m);
		return -ENOMEM;
	}
	m->m_config = arg != NULL ? arg : &default_config;
	m->m_up = up;
	snprintf(m->m_name, sizeof m->m_name, "%s",
	    qm->m_name != NULL ? qm->m_name : "quern");
	m->m_ncpu = qm->m_ncpu;
	m->m_hostcpus = 1;
	if (sched_getaffinity(0, sizeof m->m_allowed, &m->m_allowed) == 0)
		m->m_hostcpus = (unsigned)CPU_COUNT(&m->m_allowed);
	pthread_mutex_init(&m->m_lock, NULL);
	m->m_kickfd = m->m_postfd = m->m_timerfd = m->m_ramfd = -1;
	atomic_init(&m->m_epfd, -1);
	atomic_init(&m->m_pollfd, -1);
	atomic_init(&m->m_announced, QUERN_NEVER);
	for (i = 0; i < HOST_MAXCPU; i++) {
		m->m_runner[i].r_m = m;
		m->m_runner[i].r_index = i;
	}
	host_clock_begin(m);
	*ctxp = m;
	*corep = m->m_core;
	return 0;
}

static void
host_end(void *ctx)
{
	struct machine *m = ctx;

	host_vm_end(m);
	host_poller_end(m);
	host_blk_end(m);
	host_chan_end(m);
	host_event_end(m);
	host_chan_free(m);
	host_ram_destroy(m);
	pthread_mutex_destroy(&m->m_lock);
	munmap(m->m_core, m->m_corelen);
	free(m);
}

static const struct quern_hyper posix_hyper = {
	.hy_version = QUERN_HYPER_VERSION,
	.hy_size = sizeof(struct quern_hyper),
	.begin = host_begin,
	.end = host_end,
	.map = host_map,
	.unmap = host_unmap,
	.ram_create = host_ram_create,
	.ram_discard = host_ram_discard,
	.clock_read = host_clock_read,
	.clock_params = host_clock_params,
	.random = host_random,
	.log = host_log,
	.param = host_param,
	.cpu_start = host_cpu_start,
	.cpu_stop = host_cpu_stop,
	.cpu_idle = host_cpu_idle,
	.cpu_kick = host_cpu_kick,
	.cpu_yield = host_cpu_yield,
	.cpu_fence = host_cpu_fence,
	.blk_open = host_blk_open,
	.blk_close = host_blk_close,
	.blk_submit = host_blk_submit,
	.net_open = host_net_open,
	.net_close = host_net_close,
	.net_send = host_net_send,
	.net_recv = host_net_recv,
	.chan_open = host_chan_open,
	.chan_close = host_chan_close,
	.chan_read = host_chan_read,
	.chan_write = host_chan_write,
	.vm_create = host_vm_create,
	.vm_destroy = host_vm_destroy,
	.vm_update = host_vm_update,
	.vm_run = host_vm_run,
};

struct quern_host
quern_posix(void)
{
	return (struct quern_host){ .h_ops = &posix_hyper, .h_arg = NULL };
}

struct quern_host
quern_posix_with(const struct quern_posix_config *config)
{
	/* begin() takes it as const again. */
	return (struct quern_host){
		.h_ops = &posix_hyper,
		.h_arg = (void *)(uintptr_t)config,
	};
}
