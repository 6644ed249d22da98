/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sockets: families, types, options, messages and what comes with them.
 */
#ifndef QUERN_ABI_SOCKET_H
#define QUERN_ABI_SOCKET_H

#include <stddef.h>
#include <stdint.h>

#include <quern/abi/uio.h>

#define Q_AF_UNSPEC 0
#define Q_AF_UNIX   1
#define Q_AF_INET   2
#define Q_AF_INET6  10

#define Q_SOCK_STREAM    1
#define Q_SOCK_DGRAM     2
#define Q_SOCK_RAW       3
#define Q_SOCK_RDM       4
#define Q_SOCK_SEQPACKET 5
#define Q_SOCK_NONBLOCK  04000
#define Q_SOCK_CLOEXEC   02000000

#define Q_SHUT_RD   0
#define Q_SHUT_WR   1
#define Q_SHUT_RDWR 2

#define Q_SOMAXCONN 4096

#define Q_SOL_SOCKET     1
#define Q_SO_DEBUG       1
#define Q_SO_REUSEADDR   2
#define Q_SO_TYPE        3
#define Q_SO_ERROR       4
#define Q_SO_DONTROUTE   5
#define Q_SO_BROADCAST   6
#define Q_SO_SNDBUF      7
#define Q_SO_RCVBUF      8
#define Q_SO_KEEPALIVE   9
#define Q_SO_OOBINLINE   10
#define Q_SO_PRIORITY    12
#define Q_SO_LINGER      13
#define Q_SO_REUSEPORT   15
#define Q_SO_PASSCRED    16
#define Q_SO_PEERCRED    17
#define Q_SO_RCVLOWAT    18
#define Q_SO_SNDLOWAT    19
#define Q_SO_RCVTIMEO    20
#define Q_SO_SNDTIMEO    21
#define Q_SO_TIMESTAMP   29
#define Q_SO_ACCEPTCONN  30
#define Q_SO_PEERSEC     31
#define Q_SO_SNDBUFFORCE 32
#define Q_SO_RCVBUFFORCE 33
#define Q_SO_PASSSEC     34
#define Q_SO_MARK        36
#define Q_SO_PROTOCOL    38
#define Q_SO_DOMAIN      39
#define Q_SO_PEEK_OFF    42
#define Q_SO_COOKIE      57
#define Q_SO_PEERGROUPS  59

#define Q_MSG_OOB          0x1
#define Q_MSG_PEEK         0x2
#define Q_MSG_DONTROUTE    0x4
#define Q_MSG_CTRUNC       0x8
#define Q_MSG_TRUNC        0x20
#define Q_MSG_DONTWAIT     0x40
#define Q_MSG_EOR          0x80
#define Q_MSG_WAITALL      0x100
#define Q_MSG_CONFIRM      0x800
#define Q_MSG_ERRQUEUE     0x2000
#define Q_MSG_NOSIGNAL     0x4000
#define Q_MSG_MORE         0x8000
#define Q_MSG_WAITFORONE   0x10000
#define Q_MSG_CMSG_CLOEXEC 0x40000000

#define Q_SCM_RIGHTS      1
#define Q_SCM_CREDENTIALS 2

struct q_sockaddr {
	uint16_t sa_family;
	char sa_data[14];
};

struct q_sockaddr_un {
	uint16_t sun_family;
	char sun_path[108];
};

struct q_msghdr {
	void *msg_name;
	uint32_t msg_namelen;
	struct q_iovec *msg_iov;
	size_t msg_iovlen;
	void *msg_control;
	size_t msg_controllen;
	uint32_t msg_flags;
};

struct q_mmsghdr {
	struct q_msghdr msg_hdr;
	uint32_t msg_len;
};

struct q_cmsghdr {
	size_t cmsg_len;
	int32_t cmsg_level;
	int32_t cmsg_type;
};

struct q_ucred {
	int32_t pid;
	uint32_t uid;
	uint32_t gid;
};

struct q_linger {
	int32_t l_onoff;
	int32_t l_linger;
};

#endif /* QUERN_ABI_SOCKET_H */
