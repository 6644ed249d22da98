/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The warden: one host thread a machine, from its first vmspace to its end; and
 * the nurse, a process that it keeps.
 *
 * The nurse makes the stub processes.  It shares the embedder's memory and
 * descriptors but is no thread of his: when a process has executed a program,
 * as a stub has, the host's kernel tells its parent of its death by SIGCHLD and
 * shows it to wait(), whatever its maker asked for.  So the stubs' parent is the
 * nurse, which ignores SIGCHLD, and the nurse itself, which has executed nothing,
 * is made with no such signal, which hides it from wait() too.  It runs a
 * few instructions of vmstub.S and knows no C.
 *
 * All of them die with the machine, also when the embedder is killed: by
 * PR_SET_PDEATHSIG, which goes by the thread that made the child.  That is why
 * the nurse's is the warden, not a client that happens to need a guest.
 *
 * Since stubs are waited for by nobody, their process numbers mean nothing after
 * their death: signals go through pidfds, and those tell of deaths too, to the
 * warden first.  It also kicks runs that have passed their deadline, so that a
 * run costs no timer: the runner stores its deadline and wakes the warden only
 * if that would look too late, and with slices of one length it never does.
 *
 * W1  The runner stores v_deadline, then reads vh_next; the warden stores
 *     vh_next, then reads every v_deadline.  One of them sees the other.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vm.h"

#define KEY_WAKE  UINT64_MAX       /* of vh_wakefd in vh_epfd */
#define KEY_NURSE (UINT64_MAX - 1) /* of the nurse's pidfd */

#define SPAWN_AT(member, field) \
	(offsetof(struct nurse, member) + offsetof(struct spawn, field))

_Static_assert(NURSE_WORD == offsetof(struct nurse, n_word), "");
_Static_assert(NURSE_FLAGS == SPAWN_AT(n_self, s_flags), "");
_Static_assert(NURSE_PIDFD == SPAWN_AT(n_self, s_pidfd), "");
_Static_assert(NURSE_ERROR == SPAWN_AT(n_self, s_error), "");
_Static_assert(NURSE_OPS == SPAWN_AT(n_self, s_ops), "");
_Static_assert(NURSE_NOPS == SPAWN_AT(n_self, s_nops), "");
_Static_assert(NURSE_PID == offsetof(struct nurse, n_pid), "");
_Static_assert(NURSE_SPAWN_FLAGS == SPAWN_AT(n_child, s_flags), "");
_Static_assert(NURSE_SPAWN_PIDFD == SPAWN_AT(n_child, s_pidfd), "");
_Static_assert(NURSE_SPAWN_ERROR == SPAWN_AT(n_child, s_error), "");
_Static_assert(NURSE_SPAWN_OPS == SPAWN_AT(n_child, s_ops), "");
_Static_assert(NURSE_SPAWN_NOPS == SPAWN_AT(n_child, s_nops), "");

/* What a struct sigaction is to the host's kernel. */
struct kernel_sigaction {
	uint64_t ka_handler, ka_flags, ka_restorer, ka_mask;
};

static uint64_t
arg(const void *p)
{
	return (uint64_t)(uintptr_t)p;
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

/* --- the nurse ------------------------------------------------------------ */

/* End it; by its parent or a thread of his. */
static void
end_nurse(struct vmhost *vh)
{
	int pidfd = vh->vh_nurse.n_self.s_pidfd;
	siginfo_t si;

	(void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
	while (waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED | __WALL) != 0 &&
	    errno == EINTR)
		;
	close(pidfd);
}

/* Make it.  By the warden. */
static int
make_nurse(struct vmhost *vh)
{
	static const struct kernel_sigaction ignore = { .ka_handler = 1 };
	static const struct stub_op after_death = { SYS_prctl,
		{ PR_SET_PDEATHSIG, SIGKILL }, 0 };
	struct stub_op *ops = vh->vh_nurseops;
	struct epoll_event ee = { .events = EPOLLIN, .data.u64 = KEY_NURSE };
	struct spawn *s = &vh->vh_nurse.n_self;
	int64_t pid;

	ops[0] = after_death;
	/* Was the embedder killed before that? */
	ops[1] = (struct stub_op){ SYS_getppid, { 0 }, (uint64_t)getpid() };
	ops[2] = (struct stub_op){ SYS_rt_sigaction,
		{ SIGCHLD, arg(&ignore), 0, 8 }, 0 };
	s->s_flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_PIDFD;
	s->s_ops = ops;
	s->s_nops = 3;
	pid = host_nurse_start(&vh->vh_nurse);
	if (pid < 0)
		return spawn_error(pid);
	vh->vh_nursepid = (pid_t)pid;
	if (epoll_ctl(vh->vh_epfd, EPOLL_CTL_ADD, s->s_pidfd, &ee) == 0)
		return 0;
	end_nurse(vh);
	return -ENOMEM;
}

static void
word_wake(struct nurse *n)
{
	syscall(SYS_futex, &n->n_word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL,
	    0);
}

/* Have the nurse make a child as n_child says.  Its number or -errno. */
static int64_t
ask_nurse(struct vmhost *vh)
{
	static const struct timespec moment = { .tv_sec = 1 };
	struct nurse *n = &vh->vh_nurse;
	struct rlimit rl;

	/* It is a process, and so has limits of its own. */
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0)
		(void)prlimit(vh->vh_nursepid, RLIMIT_NOFILE, &rl, NULL);
	atomic_store(&n->n_word, 1);
	word_wake(n);
	while (atomic_load(&n->n_word) == 1) {
		if (atomic_load(&vh->vh_nursedead) != 0)
			return -EAGAIN;
		syscall(SYS_futex, &n->n_word, FUTEX_WAIT_PRIVATE, 1, &moment,
		    NULL, 0);
	}
	return n->n_pid;
}

/* Have the warden know of it.  -ENOMEM. */
static int
watch(struct vmhost *vh, struct vmspace *v)
{
	struct epoll_event ee = { .events = EPOLLIN };
	int error;

	pthread_mutex_lock(&vh->vh_lock);
	ee.data.u64 = (uint64_t)++v->v_birth << 32 | v->v_index;
	error = epoll_ctl(vh->vh_epfd, EPOLL_CTL_ADD, v->v_pidfd, &ee);
	v->v_watched = error == 0;
	pthread_mutex_unlock(&vh->vh_lock);
	return error == 0 ? 0 : -ENOMEM;
}

void
host_warden_unwatch(struct vmhost *vh, struct vmspace *v)
{
	pthread_mutex_lock(&vh->vh_lock);
	v->v_watched = false;
	/* Not there any more if it has died already. */
	(void)epoll_ctl(vh->vh_epfd, EPOLL_CTL_DEL, v->v_pidfd, NULL);
	pthread_mutex_unlock(&vh->vh_lock);
}

/*
 * A child's way to the stub's program.  Until it gets there it is a guest in our
 * memory, so what it does is written down for it here.
 */
int
host_warden_birth(struct vmhost *vh, struct vmspace *v, int slotfd)
{
	static const char *const argv[] = { "quern-guest", NULL };
	static const char *const envp[] = { NULL };
	static const struct rlimit none;
	const struct stub_op ops[] = {
		{ SYS_prctl, { PR_SET_PDEATHSIG, SIGKILL }, 0 },
		{ SYS_getppid, { 0 }, (uint64_t)vh->vh_nursepid },
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
	struct spawn *s = &vh->vh_nurse.n_child;
	int64_t error;

	pthread_mutex_lock(&vh->vh_birthlock);
	memset(s, 0, sizeof(*s));
	s->s_flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD;
	s->s_ops = ops;
	s->s_nops = sizeof ops / sizeof ops[0];
	error = ask_nurse(vh);
	if (error >= 0) {
		v->v_pid = (pid_t)error;
		v->v_pidfd = s->s_pidfd;
		error = s->s_error;
		if (error == 0)
			error = watch(vh, v);
		if (error != 0) {
			host_turn_kill(v);
			host_turn_await_death(v);
			close(v->v_pidfd);
			v->v_pidfd = -1;
		}
	}
	pthread_mutex_unlock(&vh->vh_birthlock);
	return error == 0 ? 0 : spawn_error(error);
}

/* --- the warden ------------------------------------------------------------- */

static void
wake_warden(struct vmhost *vh)
{
	uint64_t one = 1;

	(void)!write(vh->vh_wakefd, &one, sizeof one);
}

void
host_warden_deadline(struct vmhost *vh, uint64_t deadline)
{
	if (deadline < atomic_load(&vh->vh_next))
		wake_warden(vh);
}

/* Somebody's process ended; the pidfd tells so until it is closed. */
static void
note_death(struct vmhost *vh, uint64_t key)
{
	struct vmspace *v = atomic_load(&vh->vh_slot[(uint32_t)key]);

	pthread_mutex_lock(&vh->vh_lock);
	if (v->v_watched && v->v_birth == key >> 32) {
		atomic_store(&v->v_dead, 1);
		host_turn_kick(v);
		epoll_ctl(vh->vh_epfd, EPOLL_CTL_DEL, v->v_pidfd, NULL);
	}
	pthread_mutex_unlock(&vh->vh_lock);
}

/* Its children are dying already; there will be no more. */
static void
note_nurse(struct vmhost *vh)
{
	atomic_store(&vh->vh_nursedead, 1);
	word_wake(&vh->vh_nurse);
	epoll_ctl(vh->vh_epfd, EPOLL_CTL_DEL, vh->vh_nurse.n_self.s_pidfd,
	    NULL);
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
		if (!v->v_watched || deadline == QUERN_NEVER)
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
		else if (evs[i].data.u64 == KEY_NURSE)
			note_nurse(vh);
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
	int error;

	error = make_nurse(vh);
	pthread_mutex_lock(&vh->vh_lock);
	vh->vh_error = error;
	vh->vh_ready = true;
	pthread_cond_broadcast(&vh->vh_cond);
	pthread_mutex_unlock(&vh->vh_lock);
	while (error == 0) {
		next = look_at_deadlines(vh);
		atomic_store(&vh->vh_next, next);
		/* W1: one that was stored just before that. */
		if (look_at_deadlines(vh) < next)
			continue;
		pthread_mutex_lock(&vh->vh_lock);
		quit = vh->vh_quit;
		pthread_mutex_unlock(&vh->vh_lock);
		if (quit)
			break;
		wait_for_news(vh, next);
	}
	if (error == 0)
		end_nurse(vh);
	return NULL;
}

static void
close_fds(struct vmhost *vh)
{
	if (vh->vh_epfd >= 0)
		close(vh->vh_epfd);
	if (vh->vh_wakefd >= 0)
		close(vh->vh_wakefd);
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
		close_fds(vh);
		return error;
	}
	pthread_mutex_lock(&vh->vh_lock);
	while (!vh->vh_ready)
		pthread_cond_wait(&vh->vh_cond, &vh->vh_lock);
	error = vh->vh_error;
	pthread_mutex_unlock(&vh->vh_lock);
	if (error != 0) {
		pthread_join(vh->vh_warden, NULL);
		close_fds(vh);
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
	close_fds(vh);
}
