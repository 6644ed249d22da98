/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is sent over unix sockets, and with it.
 */
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "cunix.h"

static void
stream(struct conf *c)
{
	char buf[16];
	int fd[2], n = 0;

	pair(c, SOCK_STREAM, fd);
	IS(c, send_(c, fd[0], "one", 0), 3);
	IS(c, send_(c, fd[0], "two", 0), 3);
	IS(c, send_(c, fd[0], "", 0), 0);
	OK(c, SYS(c, SYS_ioctl, fd[1], FIONREAD, &n));
	IS(c, n, 6);
	IS(c, recv_(c, fd[1], buf, 4, MSG_PEEK), 4);
	TRUE(c, memcmp(buf, "onet", 4) == 0);
	IS(c, recv_(c, fd[1], buf, 4, 0), 4);
	IS(c, recv_(c, fd[1], buf, 9, MSG_WAITALL | MSG_DONTWAIT), 2);
	IS(c, recv_(c, fd[1], buf, 9, 0), -EAGAIN);
	IS(c, sendto_(c, fd[0], "x", "s"), -EISCONN);
	IS(c, sendto_(c, sock(c, SOCK_STREAM), "x", "s"), -EOPNOTSUPP);
	IS(c, send_(c, sock(c, SOCK_STREAM), "x", 0), -ENOTCONN);
	IS(c, recv_(c, sock(c, SOCK_STREAM), buf, 1, 0), -EINVAL);
	IS(c, SYS(c, SYS_sendto, fd[0], NULL, 4, 0, NULL, 0), -EFAULT);
	IS(c, send_(c, fd[0], "x", 0), 1);
	IS(c, recv_(c, fd[1], NULL, 4, 0), -EFAULT);
	TRUE(c, gets_(c, fd[1], "x"));
}

static void
fills(struct conf *c)
{
	static char data[65536], sink[65536];
	int64_t n, sent = 0, got = 0;
	int fd[2];
	size_t i;

	for (i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7 + i / 256);
	pair(c, SOCK_STREAM, fd);
	while ((n = SYS(c, SYS_write, fd[0], data, sizeof(data))) > 0)
		sent += n;
	IS(c, n, -EAGAIN);
	TRUE(c, sent > 65536);
	IS(c, ready(c, fd[0]) & POLLOUT, 0);
	while (got < sent) {
		n = SYS(c, SYS_read, fd[1], sink, sizeof(sink));
		if (!TRUE(c, n > 0))
			break;
		got += n;
	}
	IS(c, got, sent);
	IS(c, SYS(c, SYS_read, fd[1], sink, 1), -EAGAIN);
	IS(c, ready(c, fd[0]) & POLLOUT, POLLOUT);
	IS(c, SYS(c, SYS_write, fd[0], data, 40000), 40000);
	IS(c, SYS(c, SYS_read, fd[1], sink, sizeof(sink)), 40000);
	TRUE(c, memcmp(sink, data, 40000) == 0);
}

static void
datagrams(struct conf *c)
{
	static char big[300000];
	char buf[16];
	int fd[2], n = 0;

	pair(c, SOCK_DGRAM, fd);
	IS(c, send_(c, fd[0], "first", 0), 5);
	IS(c, send_(c, fd[0], "", 0), 0);
	IS(c, send_(c, fd[0], "third", 0), 5);
	IS(c, send_(c, fd[0], "fourth", 0), 6);
	OK(c, SYS(c, SYS_ioctl, fd[1], FIONREAD, &n));
	IS(c, n, 5);
	IS(c, recv_(c, fd[1], buf, 3, MSG_PEEK), 3);
	IS(c, recv_(c, fd[1], buf, 3, MSG_PEEK | MSG_TRUNC), 5);
	IS(c, recv_(c, fd[1], buf, 16, 0), 5);
	IS(c, recv_(c, fd[1], buf, 16, 0), 0);
	IS(c, recv_(c, fd[1], buf, 2, 0), 2);
	IS(c, recv_(c, fd[1], buf, 2, MSG_TRUNC), 6);
	IS(c, recv_(c, fd[1], buf, 2, 0), -EAGAIN);
	IS(c, SYS(c, SYS_sendto, fd[0], big, sizeof(big), 0, NULL, 0),
	    -EMSGSIZE);
	IS(c, SYS(c, SYS_sendto, fd[0], big, 30000, 0, NULL, 0), 30000);
	IS(c, SYS(c, SYS_read, fd[1], big, sizeof(big)), 30000);
	/* Who goes is found out by sending. */
	OK(c, c_close(c, fd[1]));
	IS(c, send_(c, fd[0], "x", 0), -ECONNREFUSED);
	IS(c, send_(c, fd[0], "x", 0), -ENOTCONN);
}

static void
named(struct conf *c)
{
	int a = sock(c, SOCK_DGRAM), b = sock(c, SOCK_DGRAM), n;
	int d = sock(c, SOCK_DGRAM);
	struct sockaddr_un un;
	unsigned len = sizeof(un);
	char buf[16];

	OK(c, bind_(c, a, "a"));
	OK(c, bind_(c, b, "b"));
	IS(c, sendto_(c, a, "hello", "b"), 5);
	IS(c, SYS(c, SYS_recvfrom, b, buf, 16, 0, &un, &len), 5);
	IS(c, len, 4);
	TRUE(c, strcmp(un.sun_path, "a") == 0);
	IS(c, sendto_(c, d, "anon", "b"), 4);
	len = sizeof(un);
	IS(c, SYS(c, SYS_recvfrom, b, buf, 16, 0, &un, &len), 4);
	IS(c, len, 0);
	IS(c, sendto_(c, a, "x", "none"), -ENOENT);
	IS(c, send_(c, a, "x", 0), -ENOTCONN);
	OK(c, c_file(c, "f", 0666));
	IS(c, sendto_(c, a, "x", "f"), -ECONNREFUSED);
	IS(c, bind_(c, sock(c, SOCK_STREAM), "s"), 0);
	IS(c, sendto_(c, a, "x", "s"), -EPROTOTYPE);
	/* Connected to somebody else. */
	OK(c, connect_(c, b, "a"));
	IS(c, sendto_(c, d, "x", "b"), -EPERM);
	IS(c, connect_(c, d, "b"), -EPERM);
	IS(c, send_(c, b, "x", 0), 1);
	un.sun_family = AF_UNSPEC;
	OK(c, SYS(c, SYS_connect, b, &un, 2));
	IS(c, send_(c, b, "x", 0), -ENOTCONN);
	OK(c, connect_(c, d, "b"));
	for (n = 0; n < 5000 && send_(c, d, "x", 0) == 1; n++)
		;
	TRUE(c, n > 5 && n < 5000);
	IS(c, send_(c, d, "x", 0), -EAGAIN);
	IS(c, ready(c, d) & POLLOUT, 0);
	IS(c, recv_(c, b, buf, 16, 0), 1);
	IS(c, ready(c, d) & POLLOUT, POLLOUT);
	IS(c, send_(c, d, "x", 0), 1);
}

static void
packets(struct conf *c)
{
	int fd[2], l = sock(c, SOCK_SEQPACKET), a = sock(c, SOCK_SEQPACKET);
	char buf[16];

	pair(c, SOCK_SEQPACKET, fd);
	IS(c, send_(c, fd[0], "one", 0), 3);
	IS(c, send_(c, fd[0], "three", 0), 5);
	IS(c, recv_(c, fd[1], buf, 2, 0), 2);
	IS(c, recv_(c, fd[1], buf, 16, 0), 5);
	OK(c, c_close(c, fd[0]));
	IS(c, recv_(c, fd[1], buf, 16, 0), 0);
	IS(c, send_(c, fd[1], "x", MSG_NOSIGNAL), -EPIPE);
	IS(c, send_(c, a, "x", 0), -ENOTCONN);
	IS(c, recv_(c, a, buf, 1, 0), -ENOTCONN);
	OK(c, bind_(c, l, "s"));
	OK(c, SYS(c, SYS_listen, l, 2));
	OK(c, connect_(c, a, "s"));
	IS(c, send_(c, a, "x", 0), 1);
	fd[0] = (int)SYS(c, SYS_accept, l, NULL, NULL);
	IS(c, recv_(c, fd[0], buf, 16, 0), 1);
}

static void
vectors(struct conf *c)
{
	struct iovec iov[3] = { { "ab", 2 }, { NULL, 0 }, { "cde", 3 } };
	struct packet p;
	int fd[2];

	pair(c, SOCK_STREAM, fd);
	packet_init(&p, 0, 0);
	p.h.msg_iov = iov;
	p.h.msg_iovlen = 3;
	IS(c, SYS(c, SYS_sendmsg, fd[0], &p.h, 0), 5);
	packet_init(&p, 64, 0);
	p.h.msg_flags = 0x1234;
	IS(c, SYS(c, SYS_recvmsg, fd[1], &p.h, 0), 5);
	TRUE(c, memcmp(p.data, "abcde", 5) == 0);
	IS(c, p.h.msg_flags, 0);
	p.h.msg_iovlen = 1025;
	IS(c, SYS(c, SYS_sendmsg, fd[0], &p.h, 0), -EMSGSIZE);
	p.h.msg_iovlen = 1;
	p.h.msg_name = p.data;
	p.h.msg_namelen = (unsigned)-1;
	IS(c, SYS(c, SYS_sendmsg, fd[0], &p.h, 0), -EINVAL);
	IS(c, SYS(c, SYS_sendmsg, fd[0], NULL, 0), -EFAULT);
	pair(c, SOCK_DGRAM, fd);
	packet_init(&p, 5, 0);
	IS(c, SYS(c, SYS_sendmsg, fd[0], &p.h, 0), 5);
	packet_init(&p, 2, 0);
	IS(c, SYS(c, SYS_recvmsg, fd[1], &p.h, 0), 2);
	IS(c, p.h.msg_flags, MSG_TRUNC);
}

static void
many(struct conf *c)
{
	struct mmsghdr v[3];
	struct iovec iov[3];
	char data[3][8];
	int fd[2], i;

	pair(c, SOCK_DGRAM, fd);
	memset(v, 0, sizeof(v));
	for (i = 0; i < 3; i++) {
		iov[i].iov_base = data[i];
		iov[i].iov_len = (size_t)i + 1;
		v[i].msg_hdr.msg_iov = &iov[i];
		v[i].msg_hdr.msg_iovlen = 1;
	}
	IS(c, SYS(c, SYS_sendmmsg, fd[0], v, 3, 0), 3);
	IS(c, v[2].msg_len, 3);
	for (i = 0; i < 3; i++)
		iov[i].iov_len = 8;
	IS(c, SYS(c, SYS_recvmmsg, fd[1], v, 2, 0, NULL), 2);
	IS(c, v[1].msg_len, 2);
	IS(c, SYS(c, SYS_recvmmsg, fd[1], v, 3, 0, NULL), 1);
	IS(c, v[0].msg_len, 3);
	IS(c, SYS(c, SYS_recvmmsg, fd[1], v, 3, 0, NULL), -EAGAIN);
}

/* Send descriptors with "x".  -errno. */
static int64_t
send_fds(struct conf *c, int to, const int *fd, unsigned n)
{
	struct packet p;

	packet_init(&p, 1, 0);
	p.data[0] = 'x';
	packet_add(&p, SCM_RIGHTS, fd, n * sizeof(*fd));
	return SYS(c, SYS_sendmsg, to, &p.h, 0);
}

/* Receive them: how many; -1: none came; less: -errno. */
static int
recv_fds(struct conf *c, int from, int *fd, size_t room, int flags, int *mflags)
{
	struct packet p;
	struct cmsghdr *h = (struct cmsghdr *)(void *)p.ctl;
	int64_t n;

	packet_init(&p, 1, room);
	n = SYS(c, SYS_recvmsg, from, &p.h, flags);
	*mflags = p.h.msg_flags;
	if (n < 0)
		return (int)n;
	if (p.h.msg_controllen < sizeof(*h) || h->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(fd, CMSG_DATA(h), h->cmsg_len - sizeof(*h));
	return (int)((h->cmsg_len - sizeof(*h)) / sizeof(*fd));
}

static void
rights(struct conf *c)
{
	int fd[2], p[2], got[4] = { -1, -1, -1, -1 }, mf, i, t;
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
	char buf[8];

	for (i = 0; i < 3; i++) {
		pair(c, types[i], fd);
		OK(c, SYS(c, SYS_pipe, p));
		IS(c, send_fds(c, fd[0], p, 2), 1);
		IS(c, recv_fds(c, fd[1], got, CMSG_SPACE(8), 0, &mf), 2);
		IS(c, mf, 0);
		IS(c, SYS(c, SYS_fcntl, got[0], F_GETFD), 0);
		IS(c, SYS(c, SYS_write, got[1], "hi", 2), 2);
		IS(c, SYS(c, SYS_read, p[0], buf, 8), 2);
		/* Close on exec. */
		IS(c, send_fds(c, fd[0], p, 1), 1);
		IS(c,
		    recv_fds(c, fd[1], got, CMSG_SPACE(4), MSG_CMSG_CLOEXEC,
			&mf),
		    1);
		IS(c, mf, MSG_CMSG_CLOEXEC);
		IS(c, SYS(c, SYS_fcntl, got[0], F_GETFD), FD_CLOEXEC);
		/* No room for all, or for any. */
		IS(c, send_fds(c, fd[0], p, 2), 1);
		IS(c, recv_fds(c, fd[1], got, CMSG_LEN(4), 0, &mf), 1);
		IS(c, mf, MSG_CTRUNC);
		IS(c, send_fds(c, fd[0], p, 2), 1);
		IS(c, recv_fds(c, fd[1], got, 0, 0, &mf), -1);
		IS(c, mf, MSG_CTRUNC);
		/* Peeked at, and then received. */
		IS(c, send_fds(c, fd[0], p, 1), 1);
		IS(c, recv_fds(c, fd[1], got, 64, MSG_PEEK, &mf), 1);
		IS(c, recv_fds(c, fd[1], got, 64, 0, &mf), 1);
		/* What is not open, and too many. */
		t = 999;
		IS(c, send_fds(c, fd[0], &t, 1), -EBADF);
	}
}

static void
rights_limits(struct conf *c)
{
	int fd[2], many_[254], i, mf, got[256];

	pair(c, SOCK_STREAM, fd);
	for (i = 0; i < 254; i++)
		many_[i] = fd[0];
	IS(c, send_fds(c, fd[0], many_, 254), -EINVAL);
	IS(c, send_fds(c, fd[0], many_, 253), 1);
	IS(c, recv_fds(c, fd[1], got, 1100, 0, &mf), 253);
	/* A read that stops at the files; data before them may come along. */
	IS(c, send_(c, fd[0], "ab", 0), 2);
	IS(c, send_fds(c, fd[0], many_, 1), 1);
	IS(c, send_(c, fd[0], "cd", 0), 2);
	TRUE(c, gets_(c, fd[1], "abx"));
	TRUE(c, gets_(c, fd[1], "cd"));
}

static void
control_errors(struct conf *c)
{
	struct packet p;
	int fd[2];

	pair(c, SOCK_STREAM, fd);
	packet_init(&p, 1, 0);
	packet_add(&p, 77, &fd[0], 4);
	IS(c, SYS(c, SYS_sendmsg, fd[0], &p.h, 0), -EINVAL);
	packet_init(&p, 1, 0);
	packet_add(&p, SCM_RIGHTS, &fd[0], 4);
	((struct cmsghdr *)(void *)p.ctl)->cmsg_len = 3;
	IS(c, SYS(c, SYS_sendmsg, fd[0], &p.h, 0), -EINVAL);
	((struct cmsghdr *)(void *)p.ctl)->cmsg_len = 300;
	IS(c, SYS(c, SYS_sendmsg, fd[0], &p.h, 0), -EINVAL);
	packet_init(&p, 1, 0);
	packet_add(&p, SCM_RIGHTS, &fd[0], 4);
	((struct cmsghdr *)(void *)p.ctl)->cmsg_level = 55;
	IS(c, SYS(c, SYS_sendmsg, fd[0], &p.h, 0), 1);
	packet_init(&p, 1, 0);
	packet_add(&p, SCM_CREDENTIALS, &fd[0], 4);
	IS(c, SYS(c, SYS_sendmsg, fd[0], &p.h, 0), -EINVAL);
}

/* What credentials come with a message; false: none. */
static bool
recv_cred(struct conf *c, int from, struct ucred *u, size_t len)
{
	struct packet p;
	struct cmsghdr *h = (struct cmsghdr *)(void *)p.ctl;

	packet_init(&p, len, 256);
	if (SYS(c, SYS_recvmsg, from, &p.h, 0) <= 0 ||
	    p.h.msg_controllen < sizeof(*h) || h->cmsg_type != SCM_CREDENTIALS)
		return false;
	memcpy(u, CMSG_DATA(h), sizeof(*u));
	return true;
}

static void
credentials(struct conf *c)
{
	int fd[2], pid = (int)SYS(c, SYS_getpid, 0);
	struct ucred u, mine;
	struct packet p;

	pair(c, SOCK_DGRAM, fd);
	IS(c, send_(c, fd[0], "x", 0), 1);
	TRUE(c, !recv_cred(c, fd[1], &u, 8));
	/* From before anybody asked: nobody's. */
	IS(c, send_(c, fd[0], "x", 0), 1);
	OK(c, setint(c, fd[1], SO_PASSCRED, 1));
	TRUE(c, recv_cred(c, fd[1], &u, 8));
	IS(c, u.pid, 0);
	IS(c, u.uid, 65534);
	IS(c, send_(c, fd[0], "x", 0), 1);
	TRUE(c, recv_cred(c, fd[1], &u, 8));
	IS(c, u.pid, pid);
	IS(c, u.uid, SYS(c, SYS_getuid, 0));
	/* As it says itself. */
	mine = (struct ucred){ pid, (uid_t)SYS(c, SYS_getuid, 0),
		(gid_t)SYS(c, SYS_getgid, 0) };
	packet_init(&p, 1, 0);
	packet_add(&p, SCM_CREDENTIALS, &mine, sizeof(mine));
	IS(c, SYS(c, SYS_sendmsg, fd[0], &p.h, 0), 1);
	TRUE(c, recv_cred(c, fd[1], &u, 8));
	TRUE(c, memcmp(&u, &mine, sizeof(u)) == 0);
	if (c->c_root) {
		mine.uid = 12345;
		packet_init(&p, 1, 0);
		packet_add(&p, SCM_CREDENTIALS, &mine, sizeof(mine));
		IS(c, SYS(c, SYS_sendmsg, fd[0], &p.h, 0), 1);
		TRUE(c, recv_cred(c, fd[1], &u, 8));
		IS(c, u.uid, 12345);
		/* With the real ids of root, that may still be said. */
		c_user(c, 1000, 1000);
		IS(c, SYS(c, SYS_sendmsg, fd[0], &p.h, 0), -EPERM);
		c_user(c, 0, 0);
	}
}

static void
peek_off(struct conf *c)
{
	char buf[16];
	int fd[2];

	pair(c, SOCK_STREAM, fd);
	IS(c, getint(c, fd[1], SO_PEEK_OFF), -1);
	IS(c, send_(c, fd[0], "abc", 0), 3);
	IS(c, send_(c, fd[0], "def", 0), 3);
	OK(c, setint(c, fd[1], SO_PEEK_OFF, 2));
	IS(c, recv_(c, fd[1], buf, 2, MSG_PEEK), 2);
	TRUE(c, memcmp(buf, "cd", 2) == 0);
	IS(c, getint(c, fd[1], SO_PEEK_OFF), 4);
	IS(c, recv_(c, fd[1], buf, 3, 0), 3);
	IS(c, getint(c, fd[1], SO_PEEK_OFF), 1);
	IS(c, recv_(c, fd[1], buf, 9, MSG_PEEK), 2);
	TRUE(c, memcmp(buf, "ef", 2) == 0);
	OK(c, setint(c, fd[1], SO_PEEK_OFF, -1));
	IS(c, recv_(c, fd[1], buf, 9, MSG_PEEK), 3);
}

/* Through pipes and out of files. */
static void
splices(struct conf *c)
{
	static const char page[4096];
	int fd[2], p[2], f;
	char buf[16];

	pair(c, SOCK_STREAM, fd);
	OK(c, SYS(c, SYS_pipe2, p, O_NONBLOCK));
	IS(c, SYS(c, SYS_splice, fd[1], NULL, p[1], NULL, 10, 0), -EAGAIN);
	IS(c, send_(c, fd[0], "hello", 0), 5);
	IS(c, SYS(c, SYS_splice, fd[1], NULL, p[1], NULL, 10, 0), 5);
	IS(c, SYS(c, SYS_splice, p[0], NULL, fd[1], NULL, 10, 0), 5);
	TRUE(c, gets_(c, fd[0], "hello"));
	IS(c, SYS(c, SYS_sendfile, p[1], fd[0], NULL, 10), -EAGAIN);
	IS(c, SYS(c, SYS_sendfile, fd[0], fd[1], NULL, 10), -EINVAL);
	f = c_open(c, "f", O_CREAT | O_RDWR, 0600);
	IS(c, SYS(c, SYS_write, f, "file", 4), 4);
	OK(c, SYS(c, SYS_lseek, f, 0, 0));
	IS(c, SYS(c, SYS_sendfile, fd[0], f, NULL, 100), 4);
	TRUE(c, gets_(c, fd[1], "file"));
	IS(c, SYS(c, SYS_readv, fd[1], buf, 0), 0);
	/* One that waits does so for the first bytes, unless it must not. */
	OK(c, SYS(c, SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, fd));
	IS(c, SYS(c, SYS_write, fd[0], page, sizeof(page)), sizeof(page));
	IS(c, SYS(c, SYS_splice, fd[1], NULL, p[1], NULL, 20000, 0),
	    sizeof(page));
	IS(c,
	    SYS(c, SYS_splice, fd[1], NULL, p[1], NULL, 20000,
		SPLICE_F_NONBLOCK),
	    -EAGAIN);
	pair(c, SOCK_DGRAM, fd);
	IS(c, SYS(c, SYS_splice, fd[1], NULL, p[1], NULL, 10, 0), -EAGAIN);
}

const struct conf_case conf_message[] = {
	{ "stream", stream, 0 },
	{ "fills", fills, 0 },
	{ "datagrams", datagrams, 0 },
	{ "named", named, 0 },
	{ "packets", packets, 0 },
	{ "vectors", vectors, 0 },
	{ "many", many, 0 },
	{ "rights", rights, 0 },
	{ "rights_limits", rights_limits, 0 },
	{ "control_errors", control_errors, 0 },
	{ "credentials", credentials, 0 },
	{ "peek_off", peek_off, 0 },
	{ "splices", splices, 0 },
	{ NULL, NULL, 0 },
};
