/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the cases about unix sockets share.
 */
#ifndef TESTS_CUNIX_H
#define TESTS_CUNIX_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <tests/vfs/conf.h>

extern const struct conf_case conf_unix[], conf_message[];

/* Make a socket that does not wait. */
static inline int
sock(struct conf *c, int type)
{
	return (int)SYS(c, SYS_socket, AF_UNIX, type | SOCK_NONBLOCK, 0);
}

static inline void
pair(struct conf *c, int type, int fd[2])
{
	fd[0] = fd[1] = -1;
	OK(c, SYS(c, SYS_socketpair, AF_UNIX, type | SOCK_NONBLOCK, 0, fd));
}

/* The address of a path, or of an abstract name if it begins with @. */
static inline int
address(const char *name, struct sockaddr_un *un)
{
	size_t len = strlen(name);

	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, name, len);
	if (name[0] == '@') {
		un->sun_path[0] = '\0';
		return (int)(offsetof(struct sockaddr_un, sun_path) + len);
	}
	return (int)(offsetof(struct sockaddr_un, sun_path) + len + 1);
}

static inline int64_t
bind_(struct conf *c, int fd, const char *name)
{
	struct sockaddr_un un;
	int len = address(name, &un);

	return SYS(c, SYS_bind, fd, &un, len);
}

static inline int64_t
connect_(struct conf *c, int fd, const char *name)
{
	struct sockaddr_un un;
	int len = address(name, &un);

	return SYS(c, SYS_connect, fd, &un, len);
}

static inline int64_t
send_(struct conf *c, int fd, const char *text, int flags)
{
	return SYS(c, SYS_sendto, fd, text, strlen(text), flags, NULL, 0);
}

static inline int64_t
sendto_(struct conf *c, int fd, const char *text, const char *name)
{
	struct sockaddr_un un;
	int len = address(name, &un);

	return SYS(c, SYS_sendto, fd, text, strlen(text), 0, &un, len);
}

static inline int64_t
recv_(struct conf *c, int fd, void *buf, size_t len, int flags)
{
	return SYS(c, SYS_recvfrom, fd, buf, len, flags, NULL, NULL);
}

/* Exactly that comes; an error's number if `want` is NULL. */
static inline bool
gets_(struct conf *c, int fd, const char *want)
{
	char buf[256];
	int64_t n = recv_(c, fd, buf, sizeof(buf), 0);

	return n == (int64_t)strlen(want) && memcmp(buf, want, n) == 0;
}

static inline int
ready(struct conf *c, int fd)
{
	struct pollfd pfd = { fd, 0x7fff & ~POLLNVAL, 0 };

	(void)SYS(c, SYS_poll, &pfd, 1, 0);
	return pfd.revents;
}

static inline int64_t
setint(struct conf *c, int fd, int name, int value)
{
	return SYS(c, SYS_setsockopt, fd, SOL_SOCKET, name, &value,
	    sizeof(value));
}

/* The value of an option, or -errno less 1000. */
static inline int64_t
getint(struct conf *c, int fd, int name)
{
	int value = 0;
	unsigned len = sizeof(value);
	int64_t ret = SYS(c, SYS_getsockopt, fd, SOL_SOCKET, name, &value,
	    &len);

	return ret != 0 ? ret - 1000 : value;
}

/* A message with room for what comes with it. */
struct packet {
	struct msghdr h;
	struct iovec iov;
	char data[64];
	_Alignas(8) char ctl[2048];
};

static inline void
packet_init(struct packet *p, size_t len, size_t room)
{
	memset(p, 0, sizeof(*p));
	p->iov.iov_base = p->data;
	p->iov.iov_len = len;
	p->h.msg_iov = &p->iov;
	p->h.msg_iovlen = 1;
	p->h.msg_control = room != 0 ? p->ctl : NULL;
	p->h.msg_controllen = room;
}

/* Add something to what is sent. */
static inline void
packet_add(struct packet *p, int type, const void *data, size_t len)
{
	struct cmsghdr *h = (struct cmsghdr *)(void *)(p->ctl +
	    p->h.msg_controllen);

	p->h.msg_control = p->ctl;
	h->cmsg_len = CMSG_LEN(len);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = type;
	memcpy(CMSG_DATA(h), data, len);
	p->h.msg_controllen += CMSG_SPACE(len);
}

#endif /* TESTS_CUNIX_H */
