/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The warden: one host thread a machine, from its first vmspace to its end.
 *
 * It makes the stub processes, because PR_SET_PDEATHSIG goes by the thread
 * that made the child: were that a client's, its guests would die with it.  As
 * it is they die with the machine, also when the embedder is killed.  It learns
 * of their deaths through their pidfds.  And it kicks runs that have passed
 * their deadline, so that a run costs no timer: the runner stores its deadline
 * and wakes the warden only if that would look too late, and with slices of one
 * length it never does.
 *
 * W1  The runner stores v_deadline, then reads vh_next; the warden stores
 *     vh_next, then reads every v_deadline.  One of them sees the other.
 */
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vm.h"

#define KEY_WAKE UINT64_MAX /* of vh_wakefd in vh_epfd */

_Static_assert(SPAWN_FLAGS == offsetof(struct spawn, s_flags), "");
_Static_assert(SPAWN_PIDFD == offsetof(struct spawn, s_pidfd), "");
_Static_assert(SPAWN_ERROR == offsetof(struct spawn, s_error), "");
_Static_assert(SPAWN_OPS == offsetof(struct spawn, s_ops), "");
_Static_assert(SPAWN_NOPS == offsetof(struct spawn, s_nops), "");

static uint64_t
arg(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

/*
 * The child's way to the stub's program.  Until then it is a guest in our
 * memory, so what it does is written down for it here.
 */
static int
spawn_stub(struct vmhost *vh, struct spawn *s, int slotfd)
{
	static const char *const argv[] = { "quern-guest", NULL };
	static const char *const envp[] = { NULL };
	static const struct rlimit none;
	struct stub_op ops[] = {
		{ SYS_prctl, { PR_SET_PDEATHSIG, SIGKILL }, 0 },
		/* Was the embedder killed before that? */
		{ SYS_getppid, { 0 }, (uint64_t)getpid() },
		{ SYS_dup2, { (uint64_t)slotfd, STUB_FD_SLOT }, 0 },
		{ SYS_dup2, { (uint64_t)vh->vh_m->m_ramfd, STUB_FD_RAM }, 0 },
		{ SYS_close_range, { 0, STUB_FD_SLOT - 1, 0 }, 0 },
		/* The program's own descriptor must live until it runs. */
		{ SYS_close_range,
		    { STUB_FD_RAM + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC }, 0 },
		{ SYS_setrlimit, { RLIMIT_CORE, arg(&none) }, 0 },
		{ SYS_execveat,
		    { (uint64_t)vh->vh_stubfd, arg(""), arg(argv), arg(envp),
			AT_EMPTY_PATH },
		    0 },
	};
	int64_t pid;

	/* No signal at its end: the embedder's SIGCHLD and wait() are his. */
	memset(s, 0, sizeof(*s));
	s->s_flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD;
	s->s_pidfd = -1;
	s->s_ops = ops;
	s->s_nops = sizeof ops / sizeof ops[0];
	pid = host_stub_spawn(s);
	return (int)pid;
}

static int
spawn_error(int64_t error)
{
	switch (error) {
	case -EAGAIN:
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
		return (int)error;
	default: /* not here: seccomp, noexec, an older kernel */
		return -EOPNOTSUPP;
	}
}

/* Make the process of `b`. */
static int
deliver(struct vmhost *vh, struct birth *b)
{
	struct epoll_event ee = { .events = EPOLLIN };
	struct vmspace *v = b->b_v;
	struct spawn s;
	siginfo_t si;
	int pid;

	pid = spawn_stub(vh, &s, b->b_slotfd);
	if (pid < 0)
		return spawn_error(pid);
	if (s.s_error == 0) {
		ee.data.u64 = (uint64_t)v->v_gen << 32 | v->v_index;
		if (epoll_ctl(vh->vh_epfd, EPOLL_CTL_ADD, s.s_pidfd, &ee) ==
		    0) {
			v->v_pid = pid;
			v->v_pidfd = s.s_pidfd;
			return 0;
		}
		s.s_error = -ENOMEM;
	}
	kill(pid, SIGKILL);
	waitid(P_PIDFD, (id_t)s.s_pidfd, &si, WEXITED | __WALL);
	close(s.s_pidfd);
	return spawn_error(s.s_error);
}

static void
wake_warden(struct vmhost *vh)
{
	uint64_t one = 1;

	(void)!write(vh->vh_wakefd, &one, sizeof one);
}

int
host_warden_birth(struct vmhost *vh, struct vmspace *v, int slotfd)
{
	struct birth b = { .b_v = v, .b_slotfd = slotfd };

	pthread_mutex_lock(&vh->vh_lock);
	b.b_next = vh->vh_births;
	vh->vh_births = &b;
	wake_warden(vh);
	while (!b.b_done)
		pthread_cond_wait(&vh->vh_cond, &vh->vh_lock);
	pthread_mutex_unlock(&vh->vh_lock);
	return b.b_error;
}

void
host_warden_deadline(struct vmhost *vh, uint64_t deadline)
{
	if (deadline < atomic_load(&vh->vh_next))
		wake_warden(vh);
}

static void
do_births(struct vmhost *vh)
{
	struct birth *b;
	int error;

	pthread_mutex_lock(&vh->vh_lock);
	while ((b = vh->vh_births) != NULL) {
		vh->vh_births = b->b_next;
		pthread_mutex_unlock(&vh->vh_lock);
		error = deliver(vh, b);
		pthread_mutex_lock(&vh->vh_lock);
		b->b_error = error;
		b->b_done = true;
		pthread_cond_broadcast(&vh->vh_cond);
	}
	pthread_mutex_unlock(&vh->vh_lock);
}

/* Somebody's process ended; the pidfd tells so until it is closed. */
static void
note_death(struct vmhost *vh, uint64_t key)
{
	struct vmspace *v = atomic_load(&vh->vh_slot[(uint32_t)key]);

	pthread_mutex_lock(&vh->vh_lock);
	if (v->v_used && v->v_gen == key >> 32) {
		atomic_store(&v->v_dead, 1);
		host_turn_kick(v);
		epoll_ctl(vh->vh_epfd, EPOLL_CTL_DEL, v->v_pidfd, NULL);
	}
	pthread_mutex_unlock(&vh->vh_lock);
}

/* Kick what is overdue; when the next will be. */
static uint64_t
look_at_deadlines(struct vmhost *vh)
{
	uint64_t next = QUERN_NEVER, now = host_now(), deadline;
	struct vmspace *v;
	uint32_t i;

	pthread_mutex_lock(&vh->vh_lock);
	for (i = 0; i < vh->vh_nslot; i++) {
		v = atomic_load(&vh->vh_slot[i]);
		deadline = atomic_load(&v->v_deadline);
		if (!v->v_used || deadline == QUERN_NEVER)
			continue;
		if (deadline > now) {
			if (deadline < next)
				next = deadline;
			continue;
		}
		/* If it has begun another run meanwhile, that's not overdue. */
		if (atomic_compare_exchange_strong(&v->v_deadline, &deadline,
			QUERN_NEVER)) {
			atomic_store(&v->v_overdue, 1);
			host_turn_kick(v);
		}
	}
	pthread_mutex_unlock(&vh->vh_lock);
	return next;
}

/* Wait for news of any kind, until `next` at the latest. */
static void
wait_for_news(struct vmhost *vh, uint64_t next)
{
	struct epoll_event evs[16];
	struct timespec ts, *tsp = NULL;
	uint64_t now, count;
	int i, n;

	if (next != QUERN_NEVER) {
		now = host_now();
		next = next > now ? next - now : 0;
		ts.tv_sec = (time_t)(next / NS_PER_SEC);
		ts.tv_nsec = (long)(next % NS_PER_SEC);
		tsp = &ts;
	}
	n = epoll_pwait2(vh->vh_epfd, evs, 16, tsp, NULL);
	for (i = 0; i < n; i++) {
		if (evs[i].data.u64 == KEY_WAKE)
			(void)!read(vh->vh_wakefd, &count, sizeof count);
		else
			note_death(vh, evs[i].data.u64);
	}
}

static void *
warden_main(void *arg)
{
	struct vmhost *vh = arg;
	uint64_t next;
	bool quit;

	for (;;) {
		do_births(vh);
		next = look_at_deadlines(vh);
		atomic_store(&vh->vh_next, next);
		/* W1: one that was stored just before that. */
		if (look_at_deadlines(vh) < next)
			continue;
		pthread_mutex_lock(&vh->vh_lock);
		quit = vh->vh_quit;
		pthread_mutex_unlock(&vh->vh_lock);
		if (quit)
			return NULL;
		wait_for_news(vh, next);
	}
}

int
host_warden_start(struct vmhost *vh)
{
	struct epoll_event ee = { .events = EPOLLIN, .data.u64 = KEY_WAKE };
	int error;

	vh->vh_epfd = epoll_create1(EPOLL_CLOEXEC);
	vh->vh_wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vh->vh_epfd < 0 || vh->vh_wakefd < 0 ||
	    epoll_ctl(vh->vh_epfd, EPOLL_CTL_ADD, vh->vh_wakefd, &ee) != 0)
		error = host_error();
	else
		error = host_thread_start(&vh->vh_warden, "quern-warden", -1,
		    warden_main, vh);
	if (error != 0) {
		if (vh->vh_epfd >= 0)
			close(vh->vh_epfd);
		if (vh->vh_wakefd >= 0)
			close(vh->vh_wakefd);
	}
	return error;
}

void
host_warden_stop(struct vmhost *vh)
{
	pthread_mutex_lock(&vh->vh_lock);
	vh->vh_quit = true;
	pthread_mutex_unlock(&vh->vh_lock);
	wake_warden(vh);
	pthread_join(vh->vh_warden, NULL);
	close(vh->vh_epfd);
	close(vh->vh_wakefd);
}
