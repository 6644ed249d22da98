/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For tests: what a guest that has got hold of the kernel process would try.
 * Each attempt says how it went.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vkernel.h"

/* The first so many are refused by Landlock, too. */
#define FOR_LANDLOCK 3u

/* All give a negative value and errno if they are refused. */

static long
read_file(void)
{
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd;
}

static long
make_file(void)
{
	char name[64];
	int fd;

	snprintf(name, sizeof name, "/tmp/quern-escape.%ld", (long)getpid());
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return fd;
	close(fd);
	return unlink(name);
}

static long
make_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd >= 0)
		close(fd);
	return fd;
}

static long
signal_parent(void)
{
	return kill(getppid(), 0);
}

static long
read_parent(void)
{
	char byte;
	struct iovec here = { &byte, 1 };
	struct iovec there = { (void *)(uintptr_t)read_parent, 1 };

	/* The same program, not yet executed again: the same addresses. */
	return process_vm_readv(getppid(), &here, 1, &there, 1, 0);
}

/* In a child, or there would be nothing left to go on. */
static long
execute(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/true", "true", NULL);
		_exit(errno);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	errno = WEXITSTATUS(status);
	return errno == 0 ? 0 : -1;
}

static long
type_at_terminal(void)
{
	/* On a descriptor that is no terminal: refused, or ENOTTY. */
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), r;

	r = ioctl(fd >= 0 ? fd : 0, TIOCSTI, "x");
	if (fd >= 0)
		close(fd);
	return r < 0 && errno == ENOTTY ? 0 : r;
}

static long
new_namespace(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER) == 0 ? 0 : errno);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	errno = WEXITSTATUS(status);
	return errno == 0 ? 0 : -1;
}

static long
new_ring(void)
{
	char params[120] = { 0 };
	long fd = syscall(SYS_io_uring_setup, 4, params);

	if (fd >= 0)
		close((int)fd);
	return fd;
}

void
vk_escape(bool early)
{
	static const struct {
		const char *name;
		long (*attempt)(void);
	} tries[] = { { "read a file", read_file },
		{ "make a file", make_file },
		{ "signal the supervisor", signal_parent },
		{ "make a socket", make_socket },
		{ "read the supervisor", read_parent },
		{ "execute a program", execute },
		{ "type at a terminal", type_at_terminal },
		{ "make a namespace", new_namespace },
		{ "make a ring", new_ring } };
	size_t n = early ? FOR_LANDLOCK : sizeof tries / sizeof tries[0], i;

	for (i = 0; i < n; i++) {
		errno = 0;
		vk_warn("%s%s: %s", early ? "early, " : "", tries[i].name,
		    tries[i].attempt() >= 0 ? "done" : strerror(errno));
	}
}
