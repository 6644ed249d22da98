/* SPDX-License-Identifier: BSD-2-Clause */
/* A channel, between chan.c (reading, writing) and chanopen.c (names). */
#ifndef QUERN_POSIX_CHAN_H
#define QUERN_POSIX_CHAN_H

#include "impl.h"

/* How a descriptor is read and written without ever waiting. */
enum end_kind {
	END_SOCKET = 0, /* MSG_DONTWAIT */
	END_NONBLOCK,   /* a file of our own with O_NONBLOCK */
	END_FILE,       /* a regular file: never waits for anybody */
	END_CAUTIOUS    /* poll(), then a little */
};

/* One direction of an open stream.  Each has a descriptor of its own. */
struct end {
	int e_fd; /* or -1 */
	enum end_kind e_kind;
};

/* What opening a name gives. */
struct ends {
	struct end es_end[DIR_N];
	int es_listen[DIR_N]; /* a listener's, or -1; each its own */
	int es_hold;          /* kept open so that there is no hang-up, or -1 */
	bool es_ours;         /* the socket is not shared with anybody */
	char *es_path;        /* socket to unlink */
	char *es_info;        /* parameter: pty's path, tcp's address */
	const char *es_infokind; /* "pty", "tcp" */
};

/* An event armed on a direction. */
struct watch {
	struct quern_event *w_ev; /* [c] or NULL */
	uint32_t w_gen;           /* [c] counts armings */
	uint32_t w_cpu;           /* [c] of the last arming ... */
	int w_fd;                 /* [c] */
	bool w_ring;              /* [c] */
};

/* A slot for a channel; never freed before end(). */
struct chan {
	pthread_mutex_t ch_lock;
	uint32_t ch_index;            /* [I] */
	bool ch_used;                 /* [m] taken, perhaps not yet open */
	uint32_t ch_id;               /* [c] of the present channel */
	bool ch_open;                 /* [c] */
	bool ch_eof;                  /* [c] a listener's peer has hung up */
	struct ends ch_ends;          /* [c] */
	struct watch ch_watch[DIR_N]; /* [c] */
};

/* Fill `es`, all empty.  Errors of chan_open; then `es` is empty again. */
int host_ends_open(const char *name, struct ends *es);

/* Make `es` that of the accepted or connected socket `fd`, which it takes. */
int host_ends_socket(struct end es[DIR_N], int fd);

void host_ends_init(struct ends *es);

/* Close all that `es` has, removing it from the poller's sight. */
void host_ends_close(struct machine *m, struct ends *es);

/* Hang up and close both of `end`. */
void host_ends_hangup(struct machine *m, struct end end[DIR_N], bool ours);

#endif /* QUERN_POSIX_CHAN_H */
