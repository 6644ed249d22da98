/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads and futexes, by way of libc's. */
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "guest.h"

#define N 20

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long counter;
static int turn;
static __thread int mine;

static void *
adder(void *arg)
{
	int i;

	mine = (int)(intptr_t)arg;
	for (i = 0; i < 2000; i++) {
		pthread_mutex_lock(&mutex);
		counter++;
		pthread_mutex_unlock(&mutex);
	}
	return (void *)(intptr_t)(mine * 2);
}

static void
test_mutex(void)
{
	pthread_t t[N];
	void *ret;
	long i, sum = 0;

	for (i = 0; i < N; i++)
		TRUE(pthread_create(&t[i], NULL, adder, (void *)i) == 0);
	for (i = 0; i < N; i++) {
		pthread_join(t[i], &ret);
		sum += (long)(intptr_t)ret;
	}
	say("counter %ld sum %ld", counter, sum);
}

static void *
taker(void *arg)
{
	int me = (int)(intptr_t)arg, i;

	for (i = 0; i < 100; i++) {
		pthread_mutex_lock(&mutex);
		while (turn != me)
			pthread_cond_wait(&cond, &mutex);
		turn = (turn + 1) % 4;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static void
test_cond(void)
{
	struct timespec ts;
	pthread_t t[4];
	long i;

	for (i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, taker, (void *)i);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	TRUE(turn == 0);
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += 10000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&mutex);
	RESULT(pthread_cond_timedwait(&cond, &mutex, &ts));
	pthread_mutex_unlock(&mutex);
}

static void *
spinner(void *arg)
{
	volatile int *stop = arg;

	/* Without ever making a call: it has to be preempted. */
	while (!*stop)
		;
	return NULL;
}

static void
test_preempt(void)
{
	volatile int stop = 0;
	pthread_t t[3];
	int i;

	for (i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, spinner, (void *)&stop);
	usleep(20000);
	stop = 1;
	for (i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	say("preempted");
}

static void *
sleeper(void *arg)
{
	(void)arg;
	pause();
	for (;;)
		sleep(1);
	return NULL;
}

static void
test_cancel(void)
{
	pthread_t t;
	void *ret;

	pthread_create(&t, NULL, sleeper, NULL);
	usleep(5000);
	RESULT(pthread_cancel(t));
	RESULT(pthread_join(t, &ret));
	TRUE(ret == PTHREAD_CANCELED);
}

static volatile int handled_by_main;
static pthread_t main_thread;

static void
on_usr1(int sig)
{
	(void)sig;
	handled_by_main = pthread_equal(pthread_self(), main_thread) ? 1 : 2;
}

static void *
blocker(void *arg)
{
	sigset_t set;
	int sig;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigwait(&set, &sig);
	return (void *)(intptr_t)sig;
}

static void
test_signals(void)
{
	sigset_t set;
	pthread_t t;
	void *ret;

	main_thread = pthread_self();
	signal(SIGUSR1, on_usr1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_create(&t, NULL, blocker, NULL);
	kill(getpid(), SIGUSR1);
	TRUE(handled_by_main == 1);
	kill(getpid(), SIGUSR2);
	pthread_join(t, &ret);
	say("sigwait %d", (int)(intptr_t)ret);
	pthread_create(&t, NULL, sleeper, NULL);
	usleep(5000);
	RESULT(pthread_kill(t, SIGUSR1));
	usleep(20000);
	TRUE(handled_by_main == 2);
	pthread_cancel(t);
	pthread_join(t, NULL);
}

static void
test_exit(void)
{
	int status, zero = 0;
	pthread_t t;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		pthread_create(&t, NULL, sleeper, NULL);
		pthread_create(&t, NULL, spinner, &zero);
		usleep(5000);
		exit(9);
	}
	waitpid(pid, &status, 0);
	TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 9);
	pid = fork();
	if (pid == 0) {
		pthread_create(&t, NULL, spinner, &zero);
		usleep(5000);
		kill(getpid(), SIGTERM);
		pause();
	}
	waitpid(pid, &status, 0);
	TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	/* The first thread ends before the others. */
	pid = fork();
	if (pid == 0) {
		pthread_create(&t, NULL, adder, NULL);
		pthread_exit(NULL);
	}
	waitpid(pid, &status, 0);
	TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	/* exec with other threads. */
	pid = fork();
	if (pid == 0) {
		pthread_create(&t, NULL, spinner, &zero);
		pthread_create(&t, NULL, sleeper, NULL);
		usleep(2000);
		execl("/proc/self/exe", "again", (char *)NULL);
		execl("/bin/g_thread", "again", (char *)NULL);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 21);
}

static void
test_shared(void)
{
	struct shared {
		pthread_mutex_t m;
		sem_t s;
		int n;
	} *sh = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t a;
	int i, j, status;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&sh->m, &a);
	sem_init(&sh->s, 1, 0);
	for (i = 0; i < 4; i++)
		if (fork() == 0) {
			for (j = 0; j < 500; j++) {
				pthread_mutex_lock(&sh->m);
				sh->n++;
				pthread_mutex_unlock(&sh->m);
			}
			sem_post(&sh->s);
			_exit(0);
		}
	for (i = 0; i < 4; i++)
		sem_wait(&sh->s);
	while (wait(&status) > 0)
		;
	say("shared %d", sh->n);
	/* One that dies with the lock. */
	if (fork() == 0) {
		pthread_mutex_lock(&sh->m);
		_exit(0);
	}
	wait(NULL);
	TRUE(pthread_mutex_lock(&sh->m) == EOWNERDEAD);
	RESULT(pthread_mutex_consistent(&sh->m));
	RESULT(pthread_mutex_unlock(&sh->m));
}

static void
test_futex(void)
{
	struct timespec ts = { 0, 5000000 };
	int word = 1;

	RESULT(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL));
	RESULT(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, &ts));
	RESULT(syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1));
	RESULT(syscall(SYS_futex, (char *)&word + 1, FUTEX_WAIT, 1, NULL));
	RESULT(syscall(SYS_futex, NULL, FUTEX_WAIT, 1, NULL));
	RESULT(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 1, NULL, NULL, 0));
	RESULT(syscall(SYS_futex, &word, FUTEX_CMP_REQUEUE, 1, 1L, &word, 2));
	RESULT(syscall(SYS_futex, &word, FUTEX_WAKE_OP, 1, 1L, &word,
	    FUTEX_OP(FUTEX_OP_ADD, 4, FUTEX_OP_CMP_EQ, 1)));
	TRUE(word == 5);
	RESULT(syscall(SYS_futex, &word, 99, 1, NULL));
}

/* ---- locks that are futexes --------------------------------------------------- */

static pthread_mutex_t pi;
static pthread_barrier_t meet;
static volatile unsigned pi_word;
static long pi_count, waited[3];

static void *
pi_adder(void *arg)
{
	long i;

	(void)arg;
	for (i = 0; i < 3000; i++) {
		pthread_mutex_lock(&pi);
		pi_count++;
		if (i % 100 == 0)
			sched_yield();
		pthread_mutex_unlock(&pi);
	}
	return NULL;
}

static long
pi_call(int op, const struct timespec *ts)
{
	return syscall(SYS_futex, &pi_word, op | FUTEX_PRIVATE_FLAG, 0, ts);
}

/* Waits for the lock that another has, and gives it back. */
static void *
pi_waiter(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&meet);
	waited[0] = pi_call(FUTEX_LOCK_PI, NULL);
	waited[1] = (pi_word & FUTEX_TID_MASK) == (unsigned)gettid();
	waited[2] = pi_call(FUTEX_UNLOCK_PI, NULL);
	return NULL;
}

/* Has it until it is told. */
static void *
pi_keeps(void *arg)
{
	pi_word = (unsigned)gettid();
	pthread_barrier_wait(&meet);
	pthread_barrier_wait(&meet);
	return arg;
}

static void *
pi_dies(void *arg)
{
	pthread_mutex_lock(arg);
	return NULL;
}

static void
pi_handler(int sig)
{
	(void)sig;
}

static void
make_pi(pthread_mutex_t *m, int robust, int shared)
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
	pthread_mutexattr_setrobust(&a,
	    robust ? PTHREAD_MUTEX_ROBUST : PTHREAD_MUTEX_STALLED);
	pthread_mutexattr_setpshared(&a,
	    shared ? PTHREAD_PROCESS_SHARED : PTHREAD_PROCESS_PRIVATE);
	RESULT(pthread_mutex_init(m, &a));
}

static void
test_pi_word(void)
{
	struct timespec soon;
	struct sigaction sa = { .sa_handler = pi_handler };
	pthread_t t;

	pi_word = 0;
	RESULT(pi_call(FUTEX_UNLOCK_PI, NULL));
	RESULT(pi_call(FUTEX_TRYLOCK_PI, NULL));
	TRUE(pi_word == (unsigned)gettid());
	RESULT(pi_call(FUTEX_LOCK_PI, NULL));
	RESULT(pi_call(FUTEX_TRYLOCK_PI, NULL));
	pthread_barrier_init(&meet, NULL, 2);
	pthread_create(&t, NULL, pi_waiter, NULL);
	pthread_barrier_wait(&meet);
	while ((pi_word & FUTEX_WAITERS) == 0)
		sched_yield();
	/* A signal does not end it, though its handler ends other calls. */
	sigaction(SIGUSR1, &sa, NULL);
	pthread_kill(t, SIGUSR1);
	RESULT(pi_call(FUTEX_UNLOCK_PI, NULL));
	pthread_join(t, NULL);
	say("waited: %ld %ld %ld", waited[0], waited[1], waited[2]);
	TRUE((pi_word & FUTEX_TID_MASK) == 0);
	/* Of one that is not there, and of one that has it for long. */
	pi_word = FUTEX_TID_MASK;
	RESULT(pi_call(FUTEX_LOCK_PI, NULL));
	pthread_create(&t, NULL, pi_keeps, NULL);
	pthread_barrier_wait(&meet);
	clock_gettime(CLOCK_REALTIME, &soon);
	RESULT(pi_call(FUTEX_LOCK_PI, &soon));
	soon.tv_nsec = -1;
	RESULT(pi_call(FUTEX_LOCK_PI, &soon));
	pthread_barrier_wait(&meet);
	pthread_join(t, NULL);
	pi_word = 0;
}

/* Until somebody waits for it; the word is the first of a mutex. */
static void
await_waiter(const pthread_mutex_t *m)
{
	const volatile unsigned *word = (const volatile unsigned *)m;

	while ((*word & FUTEX_WAITERS) == 0)
		sched_yield();
}

static void
test_pi(void)
{
	pthread_mutex_t *shared;
	pthread_t t[4];
	int i, status;

	make_pi(&pi, 0, 0);
	for (i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, pi_adder, NULL);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	say("counted %ld", pi_count);
	pthread_mutex_destroy(&pi);
	test_pi_word();
	/* Its owner is gone: whoever comes is told, and has it. */
	make_pi(&pi, 1, 0);
	pthread_create(&t[0], NULL, pi_dies, &pi);
	pthread_join(t[0], NULL);
	TRUE(pthread_mutex_lock(&pi) == EOWNERDEAD);
	RESULT(pthread_mutex_consistent(&pi));
	RESULT(pthread_mutex_unlock(&pi));
	RESULT(pthread_mutex_lock(&pi));
	RESULT(pthread_mutex_unlock(&pi));
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	make_pi(shared, 1, 1);
	RESULT(pthread_mutex_lock(shared));
	if (fork() == 0) {
		TRUE(pthread_mutex_trylock(shared) == EBUSY);
		status = pthread_mutex_lock(shared);
		/* And ends as its owner, perhaps while we wait for it. */
		await_waiter(shared);
		_exit(status);
	}
	await_waiter(shared);
	RESULT(pthread_mutex_unlock(shared));
	say("owner died: %d", pthread_mutex_lock(shared) == EOWNERDEAD);
	wait(&status);
	RESULT(WEXITSTATUS(status));
	RESULT(pthread_mutex_unlock(shared));
}

static void
test_many(void)
{
	enum { MANY = 200 };
	static pthread_t t[MANY];
	pthread_attr_t a;
	long i, made = 0;

	counter = 0;
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 65536);
	for (i = 0; i < MANY; i++)
		made += pthread_create(&t[i], &a, adder, (void *)i) == 0;
	for (i = 0; i < MANY; i++)
		pthread_join(t[i], NULL);
	say("made %ld counter %ld", made, counter);
}

int
main(int argc, char **argv)
{
	(void)argc;
	if (strcmp(argv[0], "again") == 0)
		return 21;
	test_mutex();
	test_cond();
	test_preempt();
	test_cancel();
	test_signals();
	test_exit();
	test_shared();
	test_pi();
	test_futex();
	test_many();
	return 0;
}
