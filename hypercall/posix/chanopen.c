/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The names of channels: "stdio:", "fd:", "pty:", "unix:", "tcp:" and the
 * listeners.
 *
 * O_NONBLOCK belongs to an open file, which the shell, a log's other writers or
 * the next program may share, so it is never set on a descriptor that we were
 * given.  A socket has MSG_DONTWAIT instead.  A pipe or terminal is opened anew
 * through /proc/self/fd, which gives an open file of our own; where that can't
 * be (no /proc, another user's terminal), what poll() promises is all that is
 * read or written.  That may wait after all if a second reader of the same
 * terminal is faster.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "chan.h"

union address {
	struct sockaddr sa;
	struct sockaddr_un un;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

void
host_ends_init(struct ends *es)
{
	memset(es, 0, sizeof(*es));
	es->es_end[DIR_READ].e_fd = es->es_end[DIR_WRITE].e_fd = -1;
	es->es_listen[DIR_READ] = es->es_listen[DIR_WRITE] = -1;
	es->es_hold = -1;
}

static void
close_fd(struct machine *m, int *fdp)
{
	if (*fdp < 0)
		return;
	/* The poller knows it by number: a duplicate keeps the file open. */
	if (m != NULL)
		host_poller_unpoll(m, *fdp);
	close(*fdp);
	*fdp = -1;
}

void
host_ends_hangup(struct machine *m, struct end end[DIR_N], bool ours)
{
	/* A ring may hold the file a moment longer than we do. */
	if (ours && end[DIR_READ].e_fd >= 0 &&
	    end[DIR_READ].e_kind == END_SOCKET)
		shutdown(end[DIR_READ].e_fd, SHUT_RDWR);
	close_fd(m, &end[DIR_READ].e_fd);
	close_fd(m, &end[DIR_WRITE].e_fd);
}

void
host_ends_close(struct machine *m, struct ends *es)
{
	host_ends_hangup(m, es->es_end, es->es_ours);
	if (es->es_listen[DIR_READ] >= 0)
		shutdown(es->es_listen[DIR_READ], SHUT_RDWR);
	close_fd(m, &es->es_listen[DIR_READ]);
	close_fd(m, &es->es_listen[DIR_WRITE]);
	close_fd(m, &es->es_hold);
	if (es->es_path != NULL)
		unlink(es->es_path);
	free(es->es_path);
	free(es->es_info);
	host_ends_init(es);
}

static int
dup_fd(int fd)
{
	int new = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (new >= 0)
		return new;
	return errno == EBADF ? -EINVAL : host_error();
}

/* Two descriptors of one file, of which `fd` is taken. */
static int
pair_of(int pair[DIR_N], int fd)
{
	int fd2 = dup_fd(fd);

	if (fd2 < 0) {
		close(fd);
		return fd2;
	}
	pair[DIR_READ] = fd;
	pair[DIR_WRITE] = fd2;
	return 0;
}

int
host_ends_socket(struct end end[DIR_N], int fd)
{
	int pair[DIR_N], error;

	error = pair_of(pair, fd);
	if (error != 0)
		return error;
	end[DIR_READ] = (struct end){ pair[DIR_READ], END_SOCKET };
	end[DIR_WRITE] = (struct end){ pair[DIR_WRITE], END_SOCKET };
	return 0;
}

/* Open the file of `fd` anew, for `accmode`.  -1: can't. */
static int
reopen(int fd, const struct stat *st, int accmode)
{
	char path[32];

	/* Other devices may do who knows what; /dev/ptmx makes a new pty. */
	if (!S_ISFIFO(st->st_mode) &&
	    !(S_ISCHR(st->st_mode) && isatty(fd) &&
		st->st_rdev != makedev(5, 2)))
		return -1;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return open(path, accmode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* Read from or write to a descriptor that we were given. */
static int
adopt(struct end *e, int fd, unsigned dir)
{
	int want = dir == DIR_READ ? O_RDONLY : O_WRONLY, flags, new;
	struct stat st;

	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fstat(fd, &st) != 0)
		return -EINVAL;
	if ((flags & O_ACCMODE) != O_RDWR && (flags & O_ACCMODE) != want)
		return -EINVAL;
	if (S_ISSOCK(st.st_mode)) {
		e->e_kind = END_SOCKET;
	} else if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) {
		e->e_kind = END_FILE;
	} else if ((flags & O_NONBLOCK) != 0) {
		e->e_kind = END_NONBLOCK;
	} else if ((new = reopen(fd, &st, want)) >= 0) {
		e->e_kind = END_NONBLOCK;
		e->e_fd = new;
		return 0;
	} else {
		e->e_kind = END_CAUTIOUS;
	}
	new = dup_fd(fd);
	if (new < 0)
		return new;
	e->e_fd = new;
	return 0;
}

static int
adopt_both(struct ends *es, int rfd, int wfd)
{
	int error = 0;

	if (rfd >= 0)
		error = adopt(&es->es_end[DIR_READ], rfd, DIR_READ);
	if (error == 0 && wfd >= 0)
		error = adopt(&es->es_end[DIR_WRITE], wfd, DIR_WRITE);
	return error;
}

static int
open_stdio(const char *rest, struct ends *es)
{
	if (*rest != '\0')
		return -EINVAL;
	return adopt_both(es, STDIN_FILENO, STDOUT_FILENO);
}

/* A decimal number up to `max`; what follows it is *endp. */
static bool
number(const char *s, long max, long *np, const char **endp)
{
	char *end;

	if (*s < '0' || *s > '9')
		return false;
	errno = 0;
	*np = strtol(s, &end, 10);
	*endp = end;
	return errno == 0 && *np <= max;
}

static int
open_fd(const char *rest, struct ends *es)
{
	long rfd = -1, wfd;

	if (*rest == '-')
		rest++;
	else if (!number(rest, INT32_MAX, &rfd, &rest))
		return -EINVAL;
	wfd = rfd;
	if (rest[0] == ',' && rest[1] == '-' && rfd >= 0) {
		wfd = -1;
		rest += 2;
	} else if (*rest == ',' && !number(rest + 1, INT32_MAX, &wfd, &rest)) {
		return -EINVAL;
	}
	if (*rest != '\0' || (rfd < 0 && wfd < 0))
		return -EINVAL;
	return adopt_both(es, (int)rfd, (int)wfd);
}

static int
open_pty(const char *rest, struct ends *es)
{
	struct termios t;
	int pair[DIR_N], fd, error;
	char path[64];

	if (*rest != '\0')
		return -EINVAL;
	fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return host_error();
	if (grantpt(fd) != 0 || unlockpt(fd) != 0 ||
	    ptsname_r(fd, path, sizeof path) != 0) {
		error = host_error();
		close(fd);
		return error;
	}
	error = pair_of(pair, fd);
	if (error != 0)
		return error;
	es->es_end[DIR_READ] = (struct end){ pair[DIR_READ], END_NONBLOCK };
	es->es_end[DIR_WRITE] = (struct end){ pair[DIR_WRITE], END_NONBLOCK };
	/* While it is held open, no one's closing of it is a hang-up. */
	es->es_hold = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (es->es_hold < 0)
		return host_error();
	/* Bytes pass as they are; who attaches to it sets what he likes. */
	if (tcgetattr(es->es_hold, &t) == 0) {
		cfmakeraw(&t);
		tcsetattr(es->es_hold, TCSANOW, &t);
	}
	es->es_infokind = "pty";
	es->es_info = strdup(path);
	return es->es_info != NULL ? 0 : -ENOMEM;
}

static int
make_socket(int family)
{
	int fd, one = 1;

	fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return host_error();
	if (family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

/* Connect to `a`; tcp goes on connecting after we return. */
static int
connect_to(struct ends *es, const union address *a, socklen_t alen)
{
	int fd, error;

	fd = make_socket(a->sa.sa_family);
	if (fd < 0)
		return fd;
	if (connect(fd, &a->sa, alen) != 0 && errno != EINPROGRESS) {
		/* EAGAIN: a unix listener's queue is full. */
		error = errno == EAGAIN ? -ECONNREFUSED : host_error();
		close(fd);
		return error;
	}
	es->es_ours = true;
	return host_ends_socket(es->es_end, fd);
}

/*
 * Is `a` the socket of somebody who is gone?  A datagram socket asks: to a
 * living listener it is of the wrong type, and so no peer.
 */
static bool
stale(const union address *a, socklen_t alen)
{
	struct stat st;
	bool gone;
	int fd;

	if (a->sa.sa_family != AF_UNIX || lstat(a->un.sun_path, &st) != 0 ||
	    !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	gone = connect(fd, &a->sa, alen) != 0 && errno == ECONNREFUSED;
	close(fd);
	return gone;
}

static int
listen_at(struct ends *es, const union address *a, socklen_t alen)
{
	int fd, error, one = 1;

	fd = make_socket(a->sa.sa_family);
	if (fd < 0)
		return fd;
	if (a->sa.sa_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	error = bind(fd, &a->sa, alen) == 0 ? 0 : host_error();
	if (error == -EADDRINUSE && stale(a, alen) &&
	    unlink(a->un.sun_path) == 0)
		error = bind(fd, &a->sa, alen) == 0 ? 0 : host_error();
	if (error == 0 && a->sa.sa_family == AF_UNIX) {
		es->es_path = strdup(a->un.sun_path);
		if (es->es_path == NULL) {
			unlink(a->un.sun_path);
			error = -ENOMEM;
		}
	}
	if (error == 0 && listen(fd, 16) != 0)
		error = host_error();
	if (error != 0) {
		close(fd);
		return error;
	}
	return pair_of(es->es_listen, fd);
}

static int
unix_address(const char *path, union address *a, socklen_t *alenp)
{
	if (*path == '\0' || strlen(path) >= sizeof a->un.sun_path)
		return -EINVAL;
	memset(a, 0, sizeof(*a));
	a->un.sun_family = AF_UNIX;
	strcpy(a->un.sun_path, path);
	*alenp = sizeof a->un;
	return 0;
}

/* "HOST:PORT" or "[HOST]:PORT", numeric. */
static int
tcp_address(const char *s, union address *a, socklen_t *alenp)
{
	char host[INET6_ADDRSTRLEN];
	const char *end, *colon;
	size_t len;
	long port;

	colon = *s == '[' ? strstr(s, "]:") : strchr(s, ':');
	if (colon == NULL)
		return -EINVAL;
	len = (size_t)(colon - s) - (*s == '[');
	if (len >= sizeof host)
		return -EINVAL;
	memcpy(host, s + (*s == '['), len);
	host[len] = '\0';
	if (!number(colon + 1 + (*s == '['), 65535, &port, &end) ||
	    *end != '\0')
		return -EINVAL;
	memset(a, 0, sizeof(*a));
	if (*s == '[') {
		a->in6.sin6_family = AF_INET6;
		a->in6.sin6_port = htons((uint16_t)port);
		*alenp = sizeof a->in6;
		return inet_pton(AF_INET6, host, &a->in6.sin6_addr) == 1 ?
		    0 :
		    -EINVAL;
	}
	a->in.sin_family = AF_INET;
	a->in.sin_port = htons((uint16_t)port);
	*alenp = sizeof a->in;
	return inet_pton(AF_INET, host, &a->in.sin_addr) == 1 ? 0 : -EINVAL;
}

/* Port 0 lets the host choose: say what it became. */
static int
tcp_info(struct ends *es)
{
	union address a;
	socklen_t alen = sizeof a;
	char host[INET6_ADDRSTRLEN], info[INET6_ADDRSTRLEN + 16];

	if (getsockname(es->es_listen[DIR_READ], &a.sa, &alen) != 0)
		return host_error();
	if (a.sa.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &a.in6.sin6_addr, host, sizeof host);
		snprintf(info, sizeof info, "[%s]:%u", host,
		    ntohs(a.in6.sin6_port));
	} else {
		inet_ntop(AF_INET, &a.in.sin_addr, host, sizeof host);
		snprintf(info, sizeof info, "%s:%u", host,
		    ntohs(a.in.sin_port));
	}
	es->es_infokind = "tcp";
	es->es_info = strdup(info);
	return es->es_info != NULL ? 0 : -ENOMEM;
}

static int
open_unix(const char *rest, struct ends *es)
{
	union address a;
	socklen_t alen;
	int error = unix_address(rest, &a, &alen);

	return error != 0 ? error : connect_to(es, &a, alen);
}

static int
open_unix_listen(const char *rest, struct ends *es)
{
	union address a;
	socklen_t alen;
	int error = unix_address(rest, &a, &alen);

	return error != 0 ? error : listen_at(es, &a, alen);
}

static int
open_tcp(const char *rest, struct ends *es)
{
	union address a;
	socklen_t alen;
	int error = tcp_address(rest, &a, &alen);

	return error != 0 ? error : connect_to(es, &a, alen);
}

static int
open_tcp_listen(const char *rest, struct ends *es)
{
	union address a;
	socklen_t alen;
	int error = tcp_address(rest, &a, &alen);

	if (error == 0)
		error = listen_at(es, &a, alen);
	return error != 0 ? error : tcp_info(es);
}

static const struct scheme {
	const char *sc_name;
	int (*sc_open)(const char *rest, struct ends *es);
} schemes[] = {
	{ "stdio:", open_stdio },
	{ "fd:", open_fd },
	{ "pty:", open_pty },
	{ "unix:", open_unix },
	{ "unix-listen:", open_unix_listen },
	{ "tcp:", open_tcp },
	{ "tcp-listen:", open_tcp_listen },
};

int
host_ends_open(const char *name, struct ends *es)
{
	size_t i, len;
	int error;

	for (i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
		len = strlen(schemes[i].sc_name);
		if (strncmp(name, schemes[i].sc_name, len) != 0)
			continue;
		error = schemes[i].sc_open(name + len, es);
		if (error != 0)
			host_ends_close(NULL, es);
		return error;
	}
	return strchr(name, ':') != NULL ? -EPROTONOSUPPORT : -EINVAL;
}
