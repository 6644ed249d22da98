/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making, naming, connecting and ending unix sockets.
 */
#include <sys/stat.h>

#include "cunix.h"

static void
makes(struct conf *c)
{
	int fd[2];

	IS(c, SYS(c, SYS_socket, 99, SOCK_STREAM, 0), -EAFNOSUPPORT);
	IS(c, SYS(c, SYS_socket, AF_UNIX, 99, 0), -EINVAL);
	IS(c, SYS(c, SYS_socket, AF_UNIX, SOCK_RDM, 0), -ESOCKTNOSUPPORT);
	IS(c, SYS(c, SYS_socket, AF_UNIX, SOCK_STREAM, 7), -EPROTONOSUPPORT);
	IS(c, SYS(c, SYS_socket, AF_UNIX, SOCK_STREAM | 0x100, 0), -EINVAL);
	TRUE(c, SYS(c, SYS_socket, AF_UNIX, SOCK_STREAM, AF_UNIX) >= 0);
	TRUE(c, SYS(c, SYS_socket, AF_UNIX, SOCK_SEQPACKET, 0) >= 0);
	/* Raw ones are datagrams. */
	fd[0] = (int)SYS(c, SYS_socket, AF_UNIX, SOCK_RAW, 0);
	IS(c, getint(c, fd[0], SO_TYPE), SOCK_DGRAM);
	IS(c, SYS(c, SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, NULL), -EFAULT);
	IS(c, SYS(c, SYS_socketpair, AF_UNIX, SOCK_STREAM, 3, fd),
	    -EPROTONOSUPPORT);
	OK(c,
	    SYS(c, SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd));
	IS(c, SYS(c, SYS_fcntl, fd[0], F_GETFD), FD_CLOEXEC);
	IS(c, SYS(c, SYS_fcntl, fd[1], F_GETFL), O_RDWR);
	pair(c, SOCK_DGRAM, fd);
	IS(c, SYS(c, SYS_fcntl, fd[1], F_GETFL), O_RDWR | O_NONBLOCK);
	IS(c, SYS(c, SYS_listen, 99, 0), -EBADF);
	fd[0] = c_open(c, "f", O_CREAT | O_RDWR, 0600);
	IS(c, SYS(c, SYS_listen, fd[0], 0), -ENOTSOCK);
	IS(c, SYS(c, SYS_accept, fd[0], NULL, NULL), -ENOTSOCK);
	IS(c, SYS(c, SYS_getsockname, fd[0], NULL, NULL), -ENOTSOCK);
	IS(c, send_(c, fd[0], "x", 0), -ENOTSOCK);
}

static void
as_file(struct conf *c)
{
	struct stat st;
	char buf[16];
	int fd[2];

	pair(c, SOCK_STREAM, fd);
	OK(c, SYS(c, SYS_fstat, fd[0], &st));
	IS(c, st.st_mode, S_IFSOCK | 0777);
	IS(c, SYS(c, SYS_lseek, fd[0], 0, SEEK_SET), -ESPIPE);
	IS(c, SYS(c, SYS_pread64, fd[0], buf, 1, 0), -ESPIPE);
	IS(c, SYS(c, SYS_write, fd[0], "hello", 5), 5);
	IS(c, SYS(c, SYS_read, fd[1], buf, 0), 0);
	IS(c, SYS(c, SYS_read, fd[1], buf, 3), 3);
	IS(c, SYS(c, SYS_read, fd[1], buf + 3, 10), 2);
	TRUE(c, memcmp(buf, "hello", 5) == 0);
	IS(c, SYS(c, SYS_read, fd[1], buf, 1), -EAGAIN);
	IS(c, SYS(c, SYS_ftruncate, fd[0], 0), -EINVAL);
}

static void
binds(struct conf *c)
{
	struct sockaddr_un un;
	struct stat st;
	unsigned len;
	int a = sock(c, SOCK_STREAM), b = sock(c, SOCK_STREAM);

	OK(c, bind_(c, a, "s"));
	OK(c, c_lstat(c, "s", &st));
	IS(c, st.st_mode, S_IFSOCK | 0755);
	IS(c, bind_(c, a, "t"), -EINVAL);
	IS(c, bind_(c, b, "s"), -EADDRINUSE);
	IS(c, bind_(c, b, "no/s"), -ENOENT);
	IS(c, bind_(c, b, "s/s"), -ENOTDIR);
	len = sizeof(un);
	OK(c, SYS(c, SYS_getsockname, a, &un, &len));
	IS(c, len, 4);
	TRUE(c, strcmp(un.sun_path, "s") == 0);
	memset(&un, 'x', sizeof(un));
	len = 3;
	OK(c, SYS(c, SYS_getsockname, a, &un, &len));
	IS(c, len, 4);
	IS(c, un.sun_path[1], 'x');
	len = sizeof(un);
	OK(c, SYS(c, SYS_getsockname, b, &un, &len));
	IS(c, len, 2);
	IS(c, SYS(c, SYS_getpeername, b, &un, &len), -ENOTCONN);
	len = (unsigned)-1;
	IS(c, SYS(c, SYS_getsockname, b, &un, &len), -EINVAL);
	IS(c, c_open(c, "s", O_RDWR, 0), -ENXIO);
	/* The node stays, without anybody there. */
	OK(c, c_close(c, a));
	IS(c, bind_(c, b, "s"), -EADDRINUSE);
	IS(c, connect_(c, b, "s"), -ECONNREFUSED);
	OK(c, c_unlink(c, "s"));
	OK(c, bind_(c, b, "s"));
}

static void
bad_addresses(struct conf *c)
{
	struct sockaddr_un all[2], *const at = all;
	int a = sock(c, SOCK_STREAM), len = address("s", at);

	memset(&all[1], 0, sizeof(all[1]));
	IS(c, SYS(c, SYS_bind, a, at, -1), -EINVAL);
	IS(c, SYS(c, SYS_bind, a, at, 1), -EINVAL);
	IS(c, SYS(c, SYS_bind, a, at, sizeof(*at) + 1), -EINVAL);
	IS(c, SYS(c, SYS_bind, a, at, 129), -EINVAL);
	IS(c, SYS(c, SYS_bind, a, NULL, len), -EFAULT);
	IS(c, SYS(c, SYS_connect, a, at, 2), -EINVAL);
	at->sun_family = AF_INET;
	IS(c, SYS(c, SYS_bind, a, at, len), -EINVAL);
	IS(c, SYS(c, SYS_connect, a, at, len), -EINVAL);
	at->sun_family = AF_UNIX;
	/* A path of full length, without a 0. */
	memset(at->sun_path, 'p', sizeof(at->sun_path));
	OK(c, SYS(c, SYS_bind, a, at, sizeof(*at)));
	len = 0;
	IS(c, SYS(c, SYS_getsockname, a, at, &len), 0);
	IS(c, len, sizeof(*at) + 1);
}

static void
abstract(struct conf *c)
{
	int a = sock(c, SOCK_STREAM), b = sock(c, SOCK_STREAM);
	int d = sock(c, SOCK_DGRAM);
	struct sockaddr_un un;
	unsigned len;

	OK(c, bind_(c, a, "@quern-test-1"));
	IS(c, bind_(c, b, "@quern-test-1"), -EADDRINUSE);
	OK(c, bind_(c, d, "@quern-test-1"));
	IS(c, connect_(c, b, "@quern-test-2"), -ECONNREFUSED);
	IS(c, connect_(c, b, "@quern-test-1"), -ECONNREFUSED);
	OK(c, SYS(c, SYS_listen, a, 1));
	OK(c, connect_(c, b, "@quern-test-1"));
	len = sizeof(un);
	OK(c, SYS(c, SYS_getpeername, b, &un, &len));
	IS(c, len, 2 + 13);
	IS(c, un.sun_path[0], 0);
	/* One that it chooses itself. */
	a = sock(c, SOCK_STREAM);
	un.sun_family = AF_UNIX;
	OK(c, SYS(c, SYS_bind, a, &un, 2));
	len = sizeof(un);
	OK(c, SYS(c, SYS_getsockname, a, &un, &len));
	IS(c, len, 2 + 6);
	OK(c, SYS(c, SYS_bind, a, &un, 2));
	/* Its name is free when it is closed. */
	OK(c, c_close(c, d));
	d = sock(c, SOCK_DGRAM);
	OK(c, bind_(c, d, "@quern-test-1"));
}

static void
connects(struct conf *c)
{
	int l = sock(c, SOCK_STREAM), a = sock(c, SOCK_STREAM), s;
	struct sockaddr_un un;
	unsigned len = sizeof(un);

	IS(c, SYS(c, SYS_listen, l, 5), -EINVAL);
	OK(c, bind_(c, l, "s"));
	IS(c, connect_(c, a, "s"), -ECONNREFUSED);
	IS(c, SYS(c, SYS_accept, l, NULL, NULL), -EINVAL);
	OK(c, SYS(c, SYS_listen, l, 5));
	OK(c, SYS(c, SYS_listen, l, 5));
	IS(c, getint(c, l, SO_ACCEPTCONN), 1);
	IS(c, getint(c, a, SO_ACCEPTCONN), 0);
	IS(c, SYS(c, SYS_accept, l, NULL, NULL), -EAGAIN);
	IS(c, connect_(c, a, "none"), -ENOENT);
	OK(c, c_file(c, "f", 0666));
	IS(c, connect_(c, a, "f"), -ECONNREFUSED);
	IS(c, connect_(c, sock(c, SOCK_DGRAM), "s"), -EPROTOTYPE);
	IS(c, connect_(c, sock(c, SOCK_SEQPACKET), "s"), -EPROTOTYPE);
	OK(c, connect_(c, a, "s"));
	IS(c, connect_(c, a, "s"), -EISCONN);
	IS(c, connect_(c, l, "s"), -EINVAL);
	IS(c, SYS(c, SYS_listen, a, 5), -EINVAL);
	/* It may be written to, and closed, before it is accepted. */
	IS(c, send_(c, a, "early", 0), 5);
	IS(c, SYS(c, SYS_accept4, l, NULL, NULL, 1), -EINVAL);
	s = (int)SYS(c, SYS_accept4, l, &un, &len,
	    SOCK_CLOEXEC | SOCK_NONBLOCK);
	TRUE(c, s >= 0);
	IS(c, len, 2);
	IS(c, SYS(c, SYS_fcntl, s, F_GETFD), FD_CLOEXEC);
	TRUE(c, gets_(c, s, "early"));
	len = sizeof(un);
	OK(c, SYS(c, SYS_getsockname, s, &un, &len));
	TRUE(c, strcmp(un.sun_path, "s") == 0);
	len = sizeof(un);
	OK(c, SYS(c, SYS_getpeername, a, &un, &len));
	TRUE(c, strcmp(un.sun_path, "s") == 0);
	IS(c, send_(c, s, "late", 0), 4);
	OK(c, c_close(c, s));
	TRUE(c, gets_(c, a, "late"));
	TRUE(c, gets_(c, a, ""));
	IS(c, send_(c, a, "x", MSG_NOSIGNAL), -EPIPE);
	IS(c, SYS(c, SYS_listen, sock(c, SOCK_DGRAM), 1), -EOPNOTSUPP);
	IS(c, SYS(c, SYS_accept, sock(c, SOCK_DGRAM), NULL, NULL), -EOPNOTSUPP);
}

static void
backlog(struct conf *c)
{
	int l = sock(c, SOCK_STREAM), i, last;

	OK(c, bind_(c, l, "s"));
	OK(c, SYS(c, SYS_listen, l, 0));
	OK(c, connect_(c, sock(c, SOCK_STREAM), "s"));
	last = sock(c, SOCK_STREAM);
	IS(c, connect_(c, last, "s"), -EAGAIN);
	TRUE(c, SYS(c, SYS_accept, l, NULL, NULL) >= 0);
	OK(c, connect_(c, last, "s"));
	OK(c, SYS(c, SYS_listen, l, 3));
	for (i = 0; i < 3; i++)
		OK(c, connect_(c, sock(c, SOCK_STREAM), "s"));
	IS(c, connect_(c, sock(c, SOCK_STREAM), "s"), -EAGAIN);
	/* Who was not accepted is told when the listener goes. */
	OK(c, c_close(c, l));
	IS(c, getint(c, last, SO_ERROR), ECONNRESET);
	IS(c, getint(c, last, SO_ERROR), 0);
	TRUE(c, gets_(c, last, ""));
}

static void
permission(struct conf *c)
{
	int l = sock(c, SOCK_STREAM), a = sock(c, SOCK_STREAM);

	OK(c, SYS(c, SYS_chmod, ".", 0777));
	OK(c, bind_(c, l, "s"));
	OK(c, SYS(c, SYS_listen, l, 3));
	OK(c, SYS(c, SYS_chmod, "s", 0555));
	c_user(c, 1000, 1000);
	IS(c, connect_(c, a, "s"), -EACCES);
	c_user(c, 0, 0);
	OK(c, SYS(c, SYS_chmod, "s", 0222));
	c_user(c, 1000, 1000);
	OK(c, connect_(c, a, "s"));
	c_user(c, 0, 0);
	OK(c, SYS(c, SYS_chmod, ".", 0755));
	c_user(c, 1000, 1000);
	IS(c, bind_(c, a, "t"), -EACCES);
	c_user(c, 0, 0);
}

static void
resets(struct conf *c)
{
	char buf[4];
	int fd[2];

	pair(c, SOCK_STREAM, fd);
	IS(c, send_(c, fd[0], "unread", 0), 6);
	IS(c, send_(c, fd[1], "read", 0), 4);
	OK(c, c_close(c, fd[1]));
	IS(c, ready(c, fd[0]),
	    POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP | POLLRDNORM |
		POLLWRNORM | POLLWRBAND);
	IS(c, recv_(c, fd[0], buf, 4, 0), 4);
	IS(c, recv_(c, fd[0], buf, 4, 0), -ECONNRESET);
	IS(c, recv_(c, fd[0], buf, 4, 0), 0);
	IS(c, send_(c, fd[0], "x", MSG_NOSIGNAL), -EPIPE);
	pair(c, SOCK_SEQPACKET, fd);
	IS(c, send_(c, fd[0], "unread", 0), 6);
	OK(c, c_close(c, fd[1]));
	IS(c, recv_(c, fd[0], buf, 4, 0), -ECONNRESET);
	IS(c, recv_(c, fd[0], buf, 4, 0), 0);
	IS(c, send_(c, fd[0], "x", MSG_NOSIGNAL), -EPIPE);
}

static void
shuts(struct conf *c)
{
	const int out = POLLOUT | POLLWRNORM | POLLWRBAND;
	const int in = POLLIN | POLLRDNORM;
	int fd[2];

	pair(c, SOCK_STREAM, fd);
	IS(c, SYS(c, SYS_shutdown, fd[0], 3), -EINVAL);
	IS(c, SYS(c, SYS_shutdown, fd[0], -1), -EINVAL);
	IS(c, ready(c, fd[0]), out);
	IS(c, send_(c, fd[0], "x", 0), 1);
	OK(c, SYS(c, SYS_shutdown, fd[0], SHUT_WR));
	IS(c, ready(c, fd[0]), out);
	IS(c, ready(c, fd[1]), out | in | POLLRDHUP);
	IS(c, send_(c, fd[0], "x", MSG_NOSIGNAL), -EPIPE);
	TRUE(c, gets_(c, fd[1], "x"));
	TRUE(c, gets_(c, fd[1], ""));
	IS(c, send_(c, fd[1], "y", 0), 1);
	TRUE(c, gets_(c, fd[0], "y"));
	OK(c, SYS(c, SYS_shutdown, fd[0], SHUT_RD));
	IS(c, ready(c, fd[0]), out | in | POLLRDHUP | POLLHUP);
	IS(c, ready(c, fd[1]), out | in | POLLRDHUP | POLLHUP);
	IS(c, send_(c, fd[1], "y", MSG_NOSIGNAL), -EPIPE);
	pair(c, SOCK_DGRAM, fd);
	OK(c, SYS(c, SYS_shutdown, fd[0], SHUT_RD));
	IS(c, send_(c, fd[1], "y", MSG_NOSIGNAL), -EPIPE);
	IS(c, recv_(c, fd[0], NULL, 0, 0), -EAGAIN);
	OK(c, SYS(c, SYS_shutdown, fd[0], SHUT_WR));
	IS(c, send_(c, fd[0], "y", MSG_NOSIGNAL), -EPIPE);
	IS(c, ready(c, fd[1]), out);
	/* What is not connected can be shut down as well. */
	fd[0] = sock(c, SOCK_STREAM);
	IS(c, SYS(c, SYS_shutdown, fd[0], SHUT_RDWR), 0);
	fd[0] = sock(c, SOCK_STREAM);
	OK(c, bind_(c, fd[0], "s"));
	OK(c, SYS(c, SYS_listen, fd[0], 1));
	OK(c, SYS(c, SYS_shutdown, fd[0], SHUT_RD));
	IS(c, connect_(c, sock(c, SOCK_STREAM), "s"), -ECONNREFUSED);
}

static void
polls(struct conf *c)
{
	const int out = POLLOUT | POLLWRNORM | POLLWRBAND;
	const int in = POLLIN | POLLRDNORM;
	int s = sock(c, SOCK_STREAM), d = sock(c, SOCK_DGRAM), a;
	int q = sock(c, SOCK_SEQPACKET), fd[2];

	IS(c, ready(c, s), out | POLLHUP);
	IS(c, ready(c, q), out | POLLHUP);
	IS(c, ready(c, d), out);
	OK(c, bind_(c, s, "s"));
	OK(c, SYS(c, SYS_listen, s, 3));
	IS(c, ready(c, s), 0);
	a = sock(c, SOCK_STREAM);
	OK(c, connect_(c, a, "s"));
	IS(c, ready(c, a), out);
	IS(c, ready(c, s), in);
	OK(c, c_close(c, a));
	IS(c, ready(c, s), in);
	TRUE(c, SYS(c, SYS_accept, s, NULL, NULL) >= 0);
	IS(c, ready(c, s), 0);
	pair(c, SOCK_DGRAM, fd);
	IS(c, send_(c, fd[0], "x", 0), 1);
	IS(c, ready(c, fd[1]), in | out);
	OK(c, c_close(c, fd[0]));
	IS(c, ready(c, fd[1]), in | out);
}

static void
options(struct conf *c)
{
	struct {
		int64_t sec, usec;
	} tv = { 5, 250000 };
	struct linger li = { 7, 9 };
	struct ucred u = { 0 };
	unsigned len;
	int s = sock(c, SOCK_STREAM), fd[2], big = 1 << 30;

	IS(c, getint(c, s, SO_TYPE), SOCK_STREAM);
	IS(c, getint(c, s, SO_DOMAIN), AF_UNIX);
	IS(c, getint(c, s, SO_PROTOCOL), 0);
	IS(c, getint(c, s, SO_ERROR), 0);
	OK(c, setint(c, s, SO_REUSEADDR, 5));
	IS(c, getint(c, s, SO_REUSEADDR), 1);
	OK(c, setint(c, s, SO_PASSCRED, 1));
	IS(c, getint(c, s, SO_PASSCRED), 1);
	IS(c, setint(c, s, SO_TYPE, 1), -ENOPROTOOPT);
	IS(c, setint(c, s, SO_ERROR, 1), -ENOPROTOOPT);
	IS(c, setint(c, s, 12345, 1), -ENOPROTOOPT);
	IS(c, getint(c, s, 12345), -ENOPROTOOPT - 1000);
	IS(c, SYS(c, SYS_setsockopt, s, 77, 1, &big, 4), -EOPNOTSUPP);
	len = 4;
	IS(c, SYS(c, SYS_getsockopt, s, 77, 1, &big, &len), -EOPNOTSUPP);
	IS(c, SYS(c, SYS_setsockopt, s, SOL_SOCKET, SO_REUSEADDR, &big, 2),
	    -EINVAL);
	IS(c, SYS(c, SYS_setsockopt, s, SOL_SOCKET, SO_REUSEADDR, NULL, 4),
	    -EFAULT);
	OK(c, setint(c, s, SO_SNDBUF, 10000));
	IS(c, getint(c, s, SO_SNDBUF), 20000);
	OK(c, setint(c, s, SO_SNDBUF, 1));
	IS(c, getint(c, s, SO_SNDBUF), 4608);
	OK(c, setint(c, s, SO_RCVBUF, 1));
	IS(c, getint(c, s, SO_RCVBUF), 2304);
	OK(c, setint(c, s, SO_RCVLOWAT, 0));
	IS(c, getint(c, s, SO_RCVLOWAT), 1);
	IS(c, setint(c, s, SO_SNDLOWAT, 7), -ENOPROTOOPT);
	len = sizeof(tv);
	OK(c, SYS(c, SYS_setsockopt, s, SOL_SOCKET, SO_RCVTIMEO, &tv, len));
	memset(&tv, 0, sizeof(tv));
	OK(c, SYS(c, SYS_getsockopt, s, SOL_SOCKET, SO_RCVTIMEO, &tv, &len));
	IS(c, tv.sec, 5);
	/* Linux counts in ticks. */
	TRUE(c, tv.usec >= 250000 && tv.usec < 270000);
	tv.usec = 1000000;
	IS(c, SYS(c, SYS_setsockopt, s, SOL_SOCKET, SO_RCVTIMEO, &tv, len),
	    -EDOM);
	OK(c, SYS(c, SYS_setsockopt, s, SOL_SOCKET, SO_LINGER, &li, 8));
	len = sizeof(li);
	OK(c, SYS(c, SYS_getsockopt, s, SOL_SOCKET, SO_LINGER, &li, &len));
	IS(c, li.l_onoff, 1);
	IS(c, li.l_linger, 9);
	len = sizeof(u);
	OK(c, SYS(c, SYS_getsockopt, s, SOL_SOCKET, SO_PEERCRED, &u, &len));
	IS(c, u.pid, 0);
	IS(c, (int)u.uid, -1);
	pair(c, SOCK_STREAM, fd);
	OK(c, SYS(c, SYS_getsockopt, fd[0], SOL_SOCKET, SO_PEERCRED, &u, &len));
	IS(c, u.pid, SYS(c, SYS_getpid, 0));
	IS(c, u.uid, SYS(c, SYS_geteuid, 0));
	len = 2;
	OK(c, SYS(c, SYS_getsockopt, s, SOL_SOCKET, SO_TYPE, &big, &len));
	IS(c, len, 2);
	len = (unsigned)-1;
	IS(c, SYS(c, SYS_getsockopt, s, SOL_SOCKET, SO_TYPE, &big, &len),
	    -EINVAL);
}

const struct conf_case conf_unix[] = {
	{ "makes", makes, 0 },
	{ "as_file", as_file, 0 },
	{ "binds", binds, 0 },
	{ "bad_addresses", bad_addresses, 0 },
	{ "abstract", abstract, 0 },
	{ "connects", connects, 0 },
	{ "backlog", backlog, 0 },
	{ "permission", permission, CONF_ROOT },
	{ "resets", resets, 0 },
	{ "shuts", shuts, 0 },
	{ "polls", polls, 0 },
	{ "options", options, 0 },
	{ NULL, NULL, 0 },
};
