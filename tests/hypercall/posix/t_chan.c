/* SPDX-License-Identifier: BSD-2-Clause */
/* The posix host: channels and their events, from a ring and from the poller. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "machine.h"

/* A seat is the host's until the machine ends; each test is a process. */
static struct quern_seat seat;

static char *
temp_path(char *buf, size_t len, const char *name)
{
	const char *dir = getenv("TMPDIR");

	snprintf(buf, len, "%s/quern-%s-%d", dir != NULL ? dir : "/tmp", name,
	    (int)getpid());
	unlink(buf);
	return buf;
}

static uint32_t
open_chan(struct test_machine *t, const char *name)
{
	uint32_t id = 0;

	ck_assert_int_eq(t->t_ops->chan_open(t->t_ctx, name, &id), 0);
	return id;
}

static uint32_t
open_fds(struct test_machine *t, int rfd, int wfd)
{
	char name[32];

	snprintf(name, sizeof name, "fd:%d,%d", rfd, wfd);
	return open_chan(t, name);
}

static int64_t
do_read(struct test_machine *t, uint32_t id, void *buf, size_t len,
    struct quern_event *ev)
{
	return t->t_ops->chan_read(t->t_ctx, 0, id, buf, len, ev);
}

static int64_t
do_write(struct test_machine *t, uint32_t id, const void *buf, size_t len,
    struct quern_event *ev)
{
	return t->t_ops->chan_write(t->t_ctx, 0, id, buf, len, ev);
}

/* Wait for the next event, which must be `ev` with `result`. */
static void
await(struct test_machine *t, struct quern_event *ev, int64_t result)
{
	uint64_t end = test_now(t) + TEST_LONG;
	int n;

	while (atomic_load(&t->t_ngot) == 0) {
		n = t->t_ops->cpu_idle(t->t_ctx, &seat, UINT64_MAX, end);
		ck_assert_int_ge(n, 0);
	}
	ck_assert_ptr_eq(t->t_got[0].g_ev, ev);
	ck_assert_int_eq(t->t_got[0].g_result, result);
	memmove(&t->t_got[0], &t->t_got[1], 63 * sizeof(t->t_got[0]));
	atomic_fetch_sub(&t->t_ngot, 1);
}

/* No event comes for a moment. */
static void
await_none(struct test_machine *t)
{
	uint64_t end = test_now(t) + 5 * TEST_MS;

	while (
	    t->t_ops->cpu_idle(t->t_ctx, &seat, UINT64_MAX, end) != -ETIMEDOUT)
		ck_assert_uint_eq(atomic_load(&t->t_ngot), 0);
	ck_assert_uint_eq(atomic_load(&t->t_ngot), 0);
}

/* Read until `len` bytes are there, waiting as need be. */
static void
read_all(struct test_machine *t, uint32_t id, void *buf, size_t len)
{
	struct quern_event ev = { 0 };
	char *p = buf;
	int64_t n;

	while (len > 0) {
		n = do_read(t, id, p, len, &ev);
		if (n == -EAGAIN) {
			await(t, &ev, 0);
			continue;
		}
		ck_assert_int_gt(n, 0);
		p += n;
		len -= (size_t)n;
	}
}

START_TEST(bad_names)
{
	static const struct {
		const char *name;
		int error;
	} bad[] = {
		{ "", -EINVAL },
		{ "stdio", -EINVAL },
		{ "stdio:x", -EINVAL },
		{ "nosuch:x", -EPROTONOSUPPORT },
		{ "fd:", -EINVAL },
		{ "fd:x", -EINVAL },
		{ "fd:-1", -EINVAL },
		{ "fd:0,", -EINVAL },
		{ "fd:0,1,2", -EINVAL },
		{ "fd:0x", -EINVAL },
		{ "fd:999", -EINVAL },
		{ "fd:99999999999999999999", -EINVAL },
		{ "pty:x", -EINVAL },
		{ "unix:", -EINVAL },
		{ "unix:/nonexistent/x", -ENOENT },
		{ "unix-listen:/nonexistent/x", -ENOENT },
		{ "unix-listen:", -EINVAL },
		{ "tcp:", -EINVAL },
		{ "tcp:127.0.0.1", -EINVAL },
		{ "tcp:127.0.0.1:", -EINVAL },
		{ "tcp:127.0.0.1:x", -EINVAL },
		{ "tcp:127.0.0.1:65536", -EINVAL },
		{ "tcp:127.0.0.1:80x", -EINVAL },
		{ "tcp:localhost:80", -EINVAL },
		{ "tcp:::1:80", -EINVAL },
		{ "tcp:[::1]80", -EINVAL },
		{ "tcp:[::1:80", -EINVAL },
		{ "tcp-listen:[::x]:80", -EINVAL },
	};
	struct test_machine t;
	char longname[300];
	unsigned i, fds;
	uint32_t id;

	test_begin(&t, NULL, 1);
	fds = test_count_fds();
	ck_assert_int_eq(t.t_ops->chan_open(t.t_ctx, NULL, &id), -EINVAL);
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_msg(t.t_ops->chan_open(t.t_ctx, bad[i].name, &id) ==
			bad[i].error,
		    "%s", bad[i].name);
	memset(longname, 'x', sizeof longname);
	memcpy(longname, "unix:", 5);
	longname[299] = '\0';
	ck_assert_int_eq(t.t_ops->chan_open(t.t_ctx, longname, &id), -EINVAL);
	ck_assert_uint_eq(test_count_fds(), fds);
	test_end(&t);
}
END_TEST

START_TEST(bad_ids)
{
	struct quern_event ev = { 0 };
	struct test_machine t;
	uint32_t id, id2;
	int fd[2];
	char c;

	test_begin(&t, &test_config[_i], 1);
	ck_assert_int_eq(do_read(&t, 0, &c, 1, &ev), -EBADF);
	ck_assert_int_eq(do_write(&t, 12345, &c, 1, &ev), -EBADF);
	t.t_ops->chan_close(t.t_ctx, 77);
	ck_assert_int_eq(pipe(fd), 0);
	id = open_fds(&t, fd[0], fd[1]);
	ck_assert_int_eq(t.t_ops->chan_read(t.t_ctx, 1, id, &c, 1, NULL),
	    -EINVAL);
	ck_assert_int_eq(t.t_ops->chan_write(t.t_ctx, 9, id, &c, 1, NULL),
	    -EINVAL);
	t.t_ops->chan_close(t.t_ctx, id);
	/* A stale number is not the next channel's. */
	id2 = open_fds(&t, fd[0], fd[1]);
	ck_assert_uint_ne(id, id2);
	ck_assert_int_eq(do_read(&t, id, &c, 1, &ev), -EBADF);
	t.t_ops->chan_close(t.t_ctx, id);
	ck_assert_int_eq(do_write(&t, id2, "x", 1, NULL), 1);
	/* Wrong way round. */
	ck_assert_int_eq(do_read(&t, id2, &c, 1, NULL), 1);
	t.t_ops->chan_close(t.t_ctx, id2);
	{
		char name[32];

		snprintf(name, sizeof name, "fd:%d,%d", fd[1], fd[0]);
		ck_assert_int_eq(t.t_ops->chan_open(t.t_ctx, name, &id),
		    -EINVAL);
	}
	test_end(&t);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(pipes)
{
	struct quern_event rev = { 0 }, wev = { 0 };
	char buf[65536] = { 0 };
	struct test_machine t;
	int in[2], out[2];
	int64_t n, total = 0;
	uint32_t id;

	test_begin(&t, &test_config[_i], 1);
	ck_assert_int_eq(pipe(in), 0);
	ck_assert_int_eq(pipe(out), 0);
	id = open_fds(&t, in[0], out[1]);
	/* Ours is ours: O_NONBLOCK of theirs is as it was. */
	ck_assert_int_eq(fcntl(in[0], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(fcntl(out[1], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(do_read(&t, id, buf, 10, NULL), -EAGAIN);
	await_none(&t);
	ck_assert_int_eq(do_read(&t, id, buf, 10, &rev), -EAGAIN);
	ck_assert_int_eq(do_read(&t, id, buf, 10, &wev), -EBUSY);
	await_none(&t);
	ck_assert_int_eq(write(in[1], "hello", 5), 5);
	await(&t, &rev, 0);
	ck_assert_uint_eq(rev.e_cpu, 0);
	ck_assert_int_eq(do_read(&t, id, buf, 10, &rev), 5);
	ck_assert_int_eq(memcmp(buf, "hello", 5), 0);
	/* Fill it, then make room. */
	while ((n = do_write(&t, id, buf, sizeof buf, &wev)) > 0)
		total += n;
	ck_assert_int_eq(n, -EAGAIN);
	await_none(&t);
	while (total > 0) {
		n = read(out[0], buf, sizeof buf);
		ck_assert_int_gt(n, 0);
		total -= n;
	}
	await(&t, &wev, 0);
	ck_assert_int_eq(do_write(&t, id, "x", 1, &wev), 1);
	/* The other ends go. */
	ck_assert_int_eq(do_read(&t, id, buf, 10, &rev), -EAGAIN);
	close(in[1]);
	await(&t, &rev, 0);
	ck_assert_int_eq(do_read(&t, id, buf, 10, &rev), 0);
	signal(SIGPIPE, SIG_DFL);
	close(out[0]);
	ck_assert_int_eq(do_write(&t, id, "x", 1, &wev), -EPIPE);
	test_end(&t);
	close(in[0]);
	close(out[1]);
}
END_TEST

/* SIGPIPE is the embedder's: blocked and pending before, so it stays. */
START_TEST(sigpipe_is_not_ours)
{
	sigset_t set, pending;
	struct test_machine t;
	int fd[2], sig;
	uint32_t id;

	test_begin(&t, NULL, 1);
	ck_assert_int_eq(pipe(fd), 0);
	id = open_fds(&t, fd[0], fd[1]);
	close(fd[0]);
	/* The channel itself still holds the reading end. */
	ck_assert_int_eq(do_write(&t, id, "x", 1, NULL), 1);
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	raise(SIGPIPE);
	t.t_ops->chan_close(t.t_ctx, id);
	sigpending(&pending);
	ck_assert_int_eq(sigismember(&pending, SIGPIPE), 1);
	ck_assert_int_eq(sigwait(&set, &sig), 0);
	close(fd[1]);
	test_end(&t);
}
END_TEST

START_TEST(files_and_null)
{
	char path[100], buf[16];
	struct test_machine t;
	uint32_t id;
	int fd;

	test_begin(&t, &test_config[_i], 1);
	fd = open(temp_path(path, sizeof path, "file"),
	    O_CREAT | O_EXCL | O_RDWR, 0600);
	ck_assert_int_ge(fd, 0);
	unlink(path);
	id = open_fds(&t, fd, fd);
	ck_assert_int_eq(do_write(&t, id, "hello", 5, NULL), 5);
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	ck_assert_int_eq(do_read(&t, id, buf, 16, NULL), 5);
	ck_assert_int_eq(do_read(&t, id, buf, 16, NULL), 0);
	t.t_ops->chan_close(t.t_ctx, id);
	close(fd);
	fd = open("/dev/null", O_RDWR);
	id = open_fds(&t, fd, fd);
	ck_assert_int_eq(do_write(&t, id, "hello", 5, NULL), 5);
	ck_assert_int_eq(do_read(&t, id, buf, 16, NULL), 0);
	test_end(&t);
	close(fd);
}
END_TEST

/* stdin and stdout, in a child of which they are pipes. */
START_TEST(stdio)
{
	struct test_machine t;
	int in[2], out[2], status;
	char buf[16];
	uint32_t id;
	pid_t pid;

	ck_assert_int_eq(pipe(in), 0);
	ck_assert_int_eq(pipe(out), 0);
	pid = fork();
	if (pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		test_begin(&t, &test_config[_i], 1);
		id = open_chan(&t, "stdio:");
		read_all(&t, id, buf, 4);
		if (do_write(&t, id, buf, 4, NULL) != 4)
			_exit(1);
		test_end(&t);
		_exit(0);
	}
	ck_assert_int_eq(write(in[1], "ping", 4), 4);
	ck_assert_int_eq(read(out[0], buf, 16), 4);
	ck_assert_int_eq(memcmp(buf, "ping", 4), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(pty)
{
	struct quern_event ev = { 0 };
	char name[32], path[64] = "", buf[16];
	struct test_machine t;
	unsigned fds;
	int64_t n;
	uint32_t id;
	int fd, round;

	test_begin(&t, &test_config[_i], 1);
	fds = test_count_fds();
	id = open_chan(&t, "pty:");
	snprintf(name, sizeof name, "pty.%u", id);
	n = t.t_ops->param(t.t_ctx, name, path, sizeof path - 1);
	ck_assert_int_gt(n, 0);
	snprintf(name, sizeof name, "tcp.%u", id);
	ck_assert_int_eq(t.t_ops->param(t.t_ctx, name, NULL, 0), -ENOENT);
	/* Someone who comes and goes does not hang it up. */
	for (round = 0; round < 2; round++) {
		ck_assert_int_eq(do_read(&t, id, buf, 16, &ev), -EAGAIN);
		await_none(&t);
		fd = open(path, O_RDWR | O_NOCTTY);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(write(fd, "ls\n", 3), 3);
		await(&t, &ev, 0);
		ck_assert_int_eq(do_read(&t, id, buf, 16, &ev), 3);
		ck_assert_int_eq(memcmp(buf, "ls\n", 3), 0);
		ck_assert_int_eq(do_write(&t, id, "\r\n$ ", 4, NULL), 4);
		ck_assert_int_eq(read(fd, buf, 16), 4);
		ck_assert_int_eq(memcmp(buf, "\r\n$ ", 4), 0);
		close(fd);
	}
	t.t_ops->chan_close(t.t_ctx, id);
	/* What the back end has of its own stays until the end. */
	ck_assert_uint_le(test_count_fds(), fds + 4);
	test_end(&t);
}
END_TEST

/* A terminal that we were given stays as it is. */
START_TEST(given_terminal)
{
	struct quern_event ev = { 0 };
	struct termios before = { 0 }, after = { 0 };
	struct test_machine t;
	int master, slave;
	char buf[16];
	uint32_t id;
	int64_t n;

	test_begin(&t, &test_config[_i], 1);
	master = posix_openpt(O_RDWR | O_NOCTTY);
	grantpt(master);
	unlockpt(master);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	ck_assert_int_ge(slave, 0);
	tcgetattr(slave, &before);
	id = open_fds(&t, slave, slave);
	ck_assert_int_eq(do_read(&t, id, buf, 16, &ev), -EAGAIN);
	ck_assert_int_eq(write(master, "abc\n", 4), 4);
	await(&t, &ev, 0);
	ck_assert_int_eq(do_read(&t, id, buf, 16, NULL), 4);
	ck_assert_int_eq(do_write(&t, id, "xyz", 3, NULL), 3);
	t.t_ops->chan_close(t.t_ctx, id);
	ck_assert_int_eq(fcntl(slave, F_GETFL) & O_NONBLOCK, 0);
	tcgetattr(slave, &after);
	ck_assert_int_eq(memcmp(&before, &after, sizeof before), 0);
	/* The master's side can't be opened again by name. */
	id = open_fds(&t, master, master);
	ck_assert_int_gt(do_read(&t, id, buf, 16, NULL), 0);
	ck_assert_int_eq(do_write(&t, id, "d\n", 2, NULL), 2);
	/* The terminal echoes when it gets round to it. */
	do
		n = do_read(&t, id, buf, 16, &ev);
	while (n > 0);
	ck_assert_int_eq(n, -EAGAIN);
	test_end(&t);
	close(master);
	close(slave);
}
END_TEST

static int
connect_unix(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	strcpy(un.sun_path, path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&un, sizeof un), 0);
	return fd;
}

/* One peer after the other, both directions armed before there is one. */
START_TEST(unix_listen)
{
	struct quern_event rev = { 0 }, wev = { 0 };
	char path[100], name[120], buf[16];
	struct test_machine t;
	struct stat st;
	int fd, round;
	uint32_t id;

	test_begin(&t, &test_config[_i], 1);
	snprintf(name, sizeof name, "unix-listen:%s",
	    temp_path(path, sizeof path, "listen"));
	id = open_chan(&t, name);
	for (round = 0; round < 3; round++) {
		ck_assert_int_eq(do_read(&t, id, buf, 16, &rev), -EAGAIN);
		ck_assert_int_eq(do_write(&t, id, "x", 1, &wev), -EAGAIN);
		await_none(&t);
		fd = connect_unix(path);
		while (atomic_load(&t.t_ngot) < 2) {
			if (do_read(&t, id, buf, 16, NULL) == -EBUSY)
				break;
			ck_assert_int_ge(t.t_ops->cpu_idle(t.t_ctx, &seat, 1,
					     test_now(&t) + TEST_LONG),
			    0);
		}
		ck_assert_uint_eq(atomic_load(&t.t_ngot), 2);
		atomic_store(&t.t_ngot, 0);
		ck_assert_int_eq(do_write(&t, id, "hello", 5, &wev), 5);
		ck_assert_int_eq(read(fd, buf, 16), 5);
		ck_assert_int_eq(do_read(&t, id, buf, 16, &rev), -EAGAIN);
		ck_assert_int_eq(write(fd, "quit", 4), 4);
		await(&t, &rev, 0);
		ck_assert_int_eq(do_read(&t, id, buf, 16, &rev), 4);
		/* It has said all; what we say yet still gets there. */
		shutdown(fd, SHUT_WR);
		ck_assert_int_eq(do_read(&t, id, buf, 16, &rev), 0);
		ck_assert_int_eq(do_write(&t, id, "bye", 3, &wev), 3);
		ck_assert_int_eq(read(fd, buf, 16), 3);
		/* The next read is from the next peer; this one is let go. */
		ck_assert_int_eq(do_read(&t, id, buf, 16, NULL), -EAGAIN);
		ck_assert_int_eq(read(fd, buf, 16), 0);
		close(fd);
	}
	t.t_ops->chan_close(t.t_ctx, id);
	ck_assert_int_eq(stat(path, &st), -1);
	test_end(&t);
}
END_TEST

/* A writer that waits for room is told when its peer is let go. */
START_TEST(writer_of_a_peer_that_left)
{
	static char big[1 << 20];
	struct quern_event rev = { 0 }, wev = { 0 };
	char path[100], name[120], buf[16];
	struct test_machine t;
	uint32_t id;
	int64_t n;
	int fd;

	test_begin(&t, &test_config[_i], 1);
	snprintf(name, sizeof name, "unix-listen:%s",
	    temp_path(path, sizeof path, "left"));
	id = open_chan(&t, name);
	fd = connect_unix(path);
	while ((n = do_write(&t, id, big, sizeof big, &wev)) > 0)
		;
	ck_assert_int_eq(n, -EAGAIN);
	shutdown(fd, SHUT_WR);
	ck_assert_int_eq(do_read(&t, id, buf, 16, &rev), 0);
	ck_assert_int_eq(do_read(&t, id, buf, 16, &rev), -EAGAIN);
	await(&t, &wev, 0);
	ck_assert_int_eq(do_write(&t, id, "x", 1, &wev), -EAGAIN);
	close(fd);
	await_none(&t);
	fd = connect_unix(path);
	ck_assert_int_eq(do_read(&t, id, buf, 16, NULL), -EAGAIN);
	ck_assert_int_eq(do_write(&t, id, "x", 1, NULL), 1);
	ck_assert_int_eq(read(fd, buf, 16), 1);
	close(fd);
	test_end(&t);
}
END_TEST

START_TEST(unix_addresses)
{
	char path[100], lname[120], cname[120], buf[16];
	struct test_machine t, t2;
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	uint32_t id, id2;
	int fd;

	test_begin(&t, &test_config[_i], 1);
	test_begin(&t2, &test_config[_i], 1);
	temp_path(path, sizeof path, "addr");
	snprintf(lname, sizeof lname, "unix-listen:%s", path);
	snprintf(cname, sizeof cname, "unix:%s", path);
	id = open_chan(&t, lname);
	ck_assert_int_eq(t2.t_ops->chan_open(t2.t_ctx, lname, &id2),
	    -EADDRINUSE);
	/* Two machines of one process. */
	id2 = open_chan(&t2, cname);
	ck_assert_int_eq(do_write(&t2, id2, "hi", 2, NULL), 2);
	read_all(&t, id, buf, 2);
	ck_assert_int_eq(do_write(&t, id, "ho", 2, NULL), 2);
	read_all(&t2, id2, buf, 2);
	t.t_ops->chan_close(t.t_ctx, id);
	ck_assert_int_eq(do_read(&t2, id2, buf, 2, NULL), 0);
	signal(SIGPIPE, SIG_DFL);
	ck_assert_int_eq(do_write(&t2, id2, "x", 1, NULL), -EPIPE);
	ck_assert_int_eq(t2.t_ops->chan_open(t2.t_ctx, cname, &id2), -ENOENT);
	/* What a program left that was killed is taken over ... */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(un.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
	close(fd);
	ck_assert_int_eq(t2.t_ops->chan_open(t2.t_ctx, cname, &id2),
	    -ECONNREFUSED);
	id = open_chan(&t, lname);
	t.t_ops->chan_close(t.t_ctx, id);
	/* ... but not a file that is something else. */
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
	close(fd);
	ck_assert_int_eq(t.t_ops->chan_open(t.t_ctx, lname, &id), -EADDRINUSE);
	ck_assert_int_eq(unlink(path), 0);
	test_end(&t);
	test_end(&t2);
}
END_TEST

START_TEST(tcp)
{
	static const char *const listen_at[] = { "tcp-listen:127.0.0.1:0",
		"tcp-listen:[::1]:0" };
	struct quern_event ev = { 0 };
	char addr[64] = "", name[80], buf[16];
	struct test_machine t;
	uint32_t lid, cid, id;
	int64_t n;
	int i, error;

	test_begin(&t, &test_config[_i], 1);
	for (i = 0; i < 2; i++) {
		error = t.t_ops->chan_open(t.t_ctx, listen_at[i], &lid);
		if (i == 1 && error == -EADDRNOTAVAIL)
			break; /* a host without IPv6 */
		ck_assert_int_eq(error, 0);
		snprintf(name, sizeof name, "tcp.%u", lid);
		memset(addr, 0, sizeof addr);
		n = t.t_ops->param(t.t_ctx, name, addr, sizeof addr - 1);
		ck_assert_int_gt(n, 0);
		snprintf(name, sizeof name, "tcp-listen:%s", addr);
		ck_assert_int_eq(t.t_ops->chan_open(t.t_ctx, name, &id),
		    -EADDRINUSE);
		snprintf(name, sizeof name, "tcp:%s", addr);
		cid = open_chan(&t, name);
		while ((n = do_write(&t, cid, "hello", 5, &ev)) == -EAGAIN)
			await(&t, &ev, 0);
		ck_assert_int_eq(n, 5);
		read_all(&t, lid, buf, 5);
		ck_assert_int_eq(do_write(&t, lid, "world", 5, NULL), 5);
		read_all(&t, cid, buf, 5);
		ck_assert_int_eq(memcmp(buf, "world", 5), 0);
		t.t_ops->chan_close(t.t_ctx, cid);
		while ((n = do_read(&t, lid, buf, 16, &ev)) == -EAGAIN)
			await(&t, &ev, 0);
		ck_assert(n == 0 || n == -ECONNRESET);
		t.t_ops->chan_close(t.t_ctx, lid);
		/* Nobody is there now, said at once or by the first call. */
		error = t.t_ops->chan_open(t.t_ctx, name, &cid);
		if (error == 0) {
			while ((n = do_read(&t, cid, buf, 16, &ev)) == -EAGAIN)
				await(&t, &ev, 0);
			error = (int)n;
		}
		ck_assert_int_eq(error, -ECONNREFUSED);
	}
	test_end(&t);
}
END_TEST

/* --- closing, ending, limits ------------------------------------------ */

START_TEST(close_cancels)
{
	struct quern_event rev = { 0 }, wev = { 0 };
	struct test_machine t;
	char buf[4096];
	int sv[2], round;
	uint32_t id;

	test_begin(&t, &test_config[_i], 1);
	for (round = 0; round < 3; round++) {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
		id = open_fds(&t, sv[0], sv[0]);
		memset(buf, 0, sizeof buf);
		while (do_write(&t, id, buf, sizeof buf, NULL) > 0)
			;
		ck_assert_int_eq(do_read(&t, id, buf, 1, &rev), -EAGAIN);
		ck_assert_int_eq(do_write(&t, id, buf, 1, &wev), -EAGAIN);
		t.t_ops->chan_close(t.t_ctx, id);
		await(&t, &rev, -ECANCELED);
		await(&t, &wev, -ECANCELED);
		/* Theirs is open still, and nothing comes of it. */
		ck_assert_int_eq(send(sv[1], "x", 1, 0), 1);
		await_none(&t);
		close(sv[0]);
		close(sv[1]);
	}
	test_end(&t);
}
END_TEST

/* end() with everything still open and armed leaves nothing. */
START_TEST(end_releases)
{
	unsigned fds = test_count_fds(), tasks = test_count_tasks(), round;
	struct quern_event ev[4] = { 0 };
	char path[100], name[120], buf[16];
	struct test_machine t;
	struct stat st;
	uint32_t id;
	int p[2];

	for (round = 0; round < 20; round++) {
		test_begin(&t, &test_config[_i], 4);
		(void)test_param(&t, "pollfd");
		ck_assert_int_eq(pipe(p), 0);
		id = open_fds(&t, p[0], p[1]);
		ck_assert_int_eq(t.t_ops->chan_read(t.t_ctx, 1, id, buf, 1,
				     &ev[0]),
		    -EAGAIN);
		snprintf(name, sizeof name, "unix-listen:%s",
		    temp_path(path, sizeof path, "end"));
		id = open_chan(&t, name);
		ck_assert_int_eq(t.t_ops->chan_read(t.t_ctx, 2, id, buf, 1,
				     &ev[1]),
		    -EAGAIN);
		ck_assert_int_eq(t.t_ops->chan_write(t.t_ctx, 3, id, buf, 1,
				     &ev[2]),
		    -EAGAIN);
		id = open_chan(&t, "pty:");
		ck_assert_int_eq(t.t_ops->chan_read(t.t_ctx, 2, id, buf, 1,
				     &ev[3]),
		    -EAGAIN);
		test_end(&t);
		ck_assert_uint_eq(atomic_load(&t.t_ngot), 0);
		close(p[0]);
		close(p[1]);
		ck_assert_int_eq(stat(path, &st), -1);
		ck_assert_uint_eq(test_count_fds(), fds);
	}
	test_await_tasks(tasks);
}
END_TEST

START_TEST(too_many)
{
	struct test_machine t;
	uint32_t ids[300], id;
	unsigned n = 0;
	int p[2];

	test_begin(&t, NULL, 1);
	ck_assert_int_eq(pipe(p), 0);
	while (n < 300) {
		char name[32];
		int error;

		snprintf(name, sizeof name, "fd:%d,%d", p[0], p[1]);
		error = t.t_ops->chan_open(t.t_ctx, name, &ids[n]);
		if (error != 0) {
			ck_assert_int_eq(error, -EMFILE);
			break;
		}
		n++;
	}
	ck_assert_uint_ge(n, 100);
	ck_assert_uint_lt(n, 300);
	t.t_ops->chan_close(t.t_ctx, ids[n / 2]);
	id = open_fds(&t, p[0], p[1]);
	ck_assert_int_eq(do_write(&t, id, "x", 1, NULL), 1);
	test_end(&t);
	close(p[0]);
	close(p[1]);
}
END_TEST

/* With every number of descriptors left, 0 .. 12: an error or all is well. */
START_TEST(few_descriptors)
{
	struct rlimit rl, tight;
	struct quern_event ev = { 0 };
	struct test_machine t;
	unsigned fds, left;
	char buf[16];
	uint32_t id;
	int64_t n;
	int error;

	getrlimit(RLIMIT_NOFILE, &rl);
	fds = test_count_fds();
	for (left = 0; left < 12; left++) {
		test_begin(&t, &test_config[_i], 1);
		tight = rl;
		/* The count had a directory open and so has one too many. */
		tight.rlim_cur = fds - 1 + left;
		setrlimit(RLIMIT_NOFILE, &tight);
		error = t.t_ops->chan_open(t.t_ctx, "pty:", &id);
		if (error == 0) {
			n = do_read(&t, id, buf, 16, &ev);
			ck_assert(n == -EAGAIN || n == -EMFILE);
		} else {
			ck_assert_int_eq(error, -EMFILE);
		}
		setrlimit(RLIMIT_NOFILE, &rl);
		if (error == 0 && n == -EMFILE) {
			n = do_read(&t, id, buf, 16, &ev);
			ck_assert_int_eq(n, -EAGAIN);
		}
		test_end(&t);
		ck_assert_uint_eq(test_count_fds(), fds);
	}
	ck_assert_int_eq(error, 0);
}
END_TEST

/* --- events and threads ----------------------------------------------- */

struct armer {
	struct test_machine *a_t;
	uint32_t a_id;
	struct quern_event a_ev;
};

static void *
arm_main(void *arg)
{
	struct armer *a = arg;
	char c;

	return (void *)(intptr_t)a->a_t->t_ops->chan_read(a->a_t->t_ctx, 0,
	    a->a_id, &c, 1, &a->a_ev);
}

/* The thread that armed it is gone when it becomes ready. */
START_TEST(armed_by_a_thread_that_ended)
{
	struct armer a = { 0 };
	struct test_machine t;
	pthread_t thread;
	int p[2], round;
	void *result;
	char c;

	test_begin(&t, &test_config[_i], 1);
	ck_assert_int_eq(pipe(p), 0);
	a.a_t = &t;
	a.a_id = open_fds(&t, p[0], p[1]);
	for (round = 0; round < 20; round++) {
		pthread_create(&thread, NULL, arm_main, &a);
		pthread_join(thread, &result);
		ck_assert_int_eq((intptr_t)result, -EAGAIN);
		ck_assert_int_eq(write(p[1], "x", 1), 1);
		await(&t, &a.a_ev, 0);
		/* It may have come when the thread ended: look again. */
		while (do_read(&t, a.a_id, &c, 1, &a.a_ev) == -EAGAIN)
			await(&t, &a.a_ev, 0);
	}
	test_end(&t);
	close(p[0]);
	close(p[1]);
}
END_TEST

struct waiter {
	struct test_machine *w_t;
	int w_result;
};

static void *
wait_main(void *arg)
{
	struct waiter *w = arg;
	uint64_t end = test_now(w->w_t) + TEST_LONG;

	do {
		w->w_result = w->w_t->t_ops->cpu_idle(w->w_t->t_ctx, &seat, 3,
		    end);
	} while (w->w_result == 0);
	return NULL;
}

/*
 * A thread waits for two CPUs that have nothing in flight; another arms on one
 * of them.  The event comes to the one that waits.
 */
START_TEST(armed_while_another_waits)
{
	struct quern_event ev = { 0 };
	struct test_machine t;
	struct waiter w;
	pthread_t thread;
	uint32_t id;
	int p[2], round;
	char c;

	test_begin(&t, &test_config[_i], 2);
	ck_assert_int_eq(pipe(p), 0);
	id = open_fds(&t, p[0], p[1]);
	for (round = 0; round < 200; round++) {
		w.w_t = &t;
		pthread_create(&thread, NULL, wait_main, &w);
		if (round % 2 == 0)
			sched_yield();
		ck_assert_int_eq(t.t_ops->chan_read(t.t_ctx, 1, id, &c, 1, &ev),
		    -EAGAIN);
		ck_assert_int_eq(write(p[1], "x", 1), 1);
		pthread_join(thread, NULL);
		ck_assert_int_eq(w.w_result, 1);
		ck_assert_ptr_eq(t.t_got[0].g_ev, &ev);
		atomic_store(&t.t_ngot, 0);
		ck_assert_int_eq(do_read(&t, id, &c, 1, NULL), 1);
	}
	test_end(&t);
	close(p[0]);
	close(p[1]);
}
END_TEST

/* A kick ends a wait in which operations are in flight. */
START_TEST(kick_with_inflight)
{
	struct quern_event ev = { 0 };
	struct test_machine t;
	struct waiter w;
	pthread_t thread;
	uint32_t id;
	int p[2], round;
	char c;

	test_begin(&t, &test_config[_i], 2);
	ck_assert_int_eq(pipe(p), 0);
	id = open_fds(&t, p[0], p[1]);
	ck_assert_int_eq(do_read(&t, id, &c, 1, &ev), -EAGAIN);
	for (round = 0; round < 200; round++) {
		w.w_t = &t;
		pthread_create(&thread, NULL, wait_main, &w);
		if (round % 2 == 0)
			sched_yield();
		t.t_ops->cpu_kick(t.t_ctx, &seat);
		pthread_join(thread, NULL);
		ck_assert_int_eq(w.w_result, -EINTR);
	}
	/* An event and a kick at once: both are told, one after the other. */
	ck_assert_int_eq(write(p[1], "x", 1), 1);
	while (atomic_load(&t.t_ngot) == 0) {
		w.w_t = &t;
		t.t_ops->cpu_kick(t.t_ctx, &seat);
		wait_main(&w);
	}
	if (w.w_result == 1) {
		wait_main(&w);
		ck_assert_int_eq(w.w_result, -EINTR);
	}
	test_end(&t);
	close(p[0]);
	close(p[1]);
}
END_TEST

/*
 * Four threads read what four others write, and all of them reap the events
 * of all CPUs while they are at it.
 */
#define NPAIR  4
#define NBYTES 3000

struct mill {
	struct test_machine *m_t;
	struct mill *m_all;
	unsigned m_index;
	uint32_t m_id;
	int m_fd;
	struct quern_seat m_seat;
	struct quern_event m_ev;
	_Atomic unsigned m_ready;
	pthread_t m_reader, m_writer;
};

static struct mill mills[NPAIR];

/* Upcall: tell the one whose event it is. */
static void
on_mill_event(void *cookie, struct quern_event *ev, int64_t result)
{
	struct mill *m = (struct mill *)((char *)ev -
	    offsetof(struct mill, m_ev));

	(void)cookie, (void)result;
	atomic_store(&m->m_ready, 1);
}

static void *
mill_read(void *arg)
{
	struct mill *m = arg;
	struct test_machine *t = m->m_t;
	uint64_t end = test_now(t) + 3 * TEST_LONG;
	unsigned got = 0, i;
	int64_t n;
	char c;

	while (got < NBYTES) {
		n = t->t_ops->chan_read(t->t_ctx, m->m_index, m->m_id, &c, 1,
		    &m->m_ev);
		if (n == 1) {
			got++;
			continue;
		}
		if (n != -EAGAIN)
			return "read failed";
		while (atomic_exchange(&m->m_ready, 0) == 0) {
			/* Whoever reaps may get it; the others are kicked. */
			if (m->m_index == 0)
				t->t_ops->cpu_idle(t->t_ctx, &m->m_seat, 15,
				    test_now(t) + TEST_MS);
			else
				t->t_ops->cpu_idle(t->t_ctx, NULL, 15, 0);
			for (i = 0; i < NPAIR; i++)
				t->t_ops->cpu_kick(t->t_ctx,
				    &m->m_all[i].m_seat);
			if (test_now(t) > end)
				return "lost an event";
		}
	}
	return NULL;
}

static void *
mill_write(void *arg)
{
	struct mill *m = arg;
	unsigned i;

	for (i = 0; i < NBYTES; i++) {
		if (write(m->m_fd, "x", 1) != 1)
			return "write failed";
		if (i % 16 == 0)
			sched_yield();
	}
	return NULL;
}

START_TEST(many_reap)
{
	struct test_machine t;
	int p[NPAIR][2];
	void *complaint;
	unsigned i;

	test_begin(&t, &test_config[_i], NPAIR);
	t.t_up.event = on_mill_event;
	memset(mills, 0, sizeof mills);
	for (i = 0; i < NPAIR; i++) {
		ck_assert_int_eq(pipe(p[i]), 0);
		mills[i].m_t = &t;
		mills[i].m_all = mills;
		mills[i].m_index = i;
		mills[i].m_id = open_fds(&t, p[i][0], p[i][1]);
		mills[i].m_fd = p[i][1];
	}
	for (i = 0; i < NPAIR; i++) {
		pthread_create(&mills[i].m_reader, NULL, mill_read, &mills[i]);
		pthread_create(&mills[i].m_writer, NULL, mill_write, &mills[i]);
	}
	for (i = 0; i < NPAIR; i++) {
		pthread_join(mills[i].m_writer, &complaint);
		ck_assert_ptr_null(complaint);
		pthread_join(mills[i].m_reader, &complaint);
		ck_assert_msg(complaint == NULL, "%s", (char *)complaint);
	}
	test_end(&t);
	for (i = 0; i < NPAIR; i++) {
		close(p[i][0]);
		close(p[i][1]);
	}
}
END_TEST

/* Channels opened, armed and closed while events come for them. */
static void *
close_main(void *arg)
{
	struct test_machine *t = arg;
	struct quern_event ev = { 0 };
	int sv[2], round;
	uint32_t id;
	char c;

	for (round = 0; round < 500; round++) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) != 0)
			return "socketpair";
		id = open_fds(t, sv[0], sv[0]);
		if (t->t_ops->chan_read(t->t_ctx, 1, id, &c, 1, &ev) != -EAGAIN)
			return "not armed";
		if (round % 2 == 0 && send(sv[1], "x", 1, 0) != 1)
			return "send";
		t->t_ops->chan_close(t->t_ctx, id);
		close(sv[0]);
		close(sv[1]);
		/* Either result, but exactly one. */
		while (atomic_load(&t->t_ngot) == 0)
			sched_yield();
		atomic_store(&t->t_ngot, 0);
	}
	return NULL;
}

START_TEST(close_races_with_events)
{
	struct test_machine t;
	pthread_t thread;
	void *complaint;

	test_begin(&t, &test_config[_i], 2);
	pthread_create(&thread, NULL, close_main, &t);
	while (pthread_tryjoin_np(thread, &complaint) != 0)
		t.t_ops->cpu_idle(t.t_ctx, &seat, 3, test_now(&t) + TEST_MS);
	ck_assert_msg(complaint == NULL, "%s", (char *)complaint);
	test_end(&t);
}
END_TEST

/* --- io_uring refused --------------------------------------------------- */

static void
refuse_rings(void)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof f / sizeof f[0], f };

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
}

START_TEST(ring_refused)
{
	struct quern_event ev = { 0 };
	struct test_machine t;
	unsigned tasks;
	uint32_t id;
	int p[2];
	char c;

	/* Of libcheck's own child, so nothing has to be undone. */
	refuse_rings();
	tasks = test_count_tasks();
	test_begin(&t, NULL, 2);
	ck_assert_int_eq(pipe(p), 0);
	id = open_fds(&t, p[0], p[1]);
	ck_assert_int_eq(do_read(&t, id, &c, 1, &ev), -EAGAIN);
	/* It is the poller then. */
	ck_assert_uint_gt(test_count_tasks(), tasks);
	await_none(&t);
	ck_assert_int_eq(write(p[1], "x", 1), 1);
	await(&t, &ev, 0);
	ck_assert_int_eq(do_read(&t, id, &c, 1, &ev), 1);
	test_end(&t);
	test_await_tasks(tasks);
	close(p[0]);
	close(p[1]);
}
END_TEST

static Suite *
chan_suite(void)
{
	Suite *s = suite_create("hypercall/posix channels");
	TCase *tc = tcase_create("streams");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, bad_names);
	tcase_add_loop_test(tc, bad_ids, 0, TEST_NBACKEND);
	tcase_add_loop_test(tc, pipes, 0, TEST_NBACKEND);
	tcase_add_test(tc, sigpipe_is_not_ours);
	tcase_add_loop_test(tc, files_and_null, 0, TEST_NBACKEND);
	tcase_add_loop_test(tc, stdio, 0, TEST_NBACKEND);
	tcase_add_loop_test(tc, pty, 0, TEST_NBACKEND);
	tcase_add_loop_test(tc, given_terminal, 0, TEST_NBACKEND);
	tcase_add_loop_test(tc, unix_listen, 0, TEST_NBACKEND);
	tcase_add_loop_test(tc, writer_of_a_peer_that_left, 0, TEST_NBACKEND);
	tcase_add_loop_test(tc, unix_addresses, 0, TEST_NBACKEND);
	tcase_add_loop_test(tc, tcp, 0, TEST_NBACKEND);
	suite_add_tcase(s, tc);

	tc = tcase_create("life");
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, close_cancels, 0, TEST_NBACKEND);
	tcase_add_loop_test(tc, end_releases, 0, TEST_NBACKEND);
	tcase_add_test(tc, too_many);
	tcase_add_loop_test(tc, few_descriptors, 0, TEST_NBACKEND);
	tcase_add_loop_test(tc, armed_by_a_thread_that_ended, 0, TEST_NBACKEND);
	tcase_add_loop_test(tc, armed_while_another_waits, 0, TEST_NBACKEND);
	tcase_add_loop_test(tc, kick_with_inflight, 0, TEST_NBACKEND);
	tcase_add_loop_test(tc, many_reap, 0, TEST_NBACKEND);
	tcase_add_loop_test(tc, close_races_with_events, 0, TEST_NBACKEND);
	tcase_add_test(tc, ring_refused);
	suite_add_tcase(s, tc);
	return s;
}

int
main(void)
{
	SRunner *sr = srunner_create(chan_suite());
	int failed;

	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
