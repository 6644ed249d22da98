/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pipes that have a name (fifos), for who gives them one, and pipes as the ends
 * of splice.
 *
 * A pipe is an object of its own, which files refer to as readers and writers.
 * A fifo's files are another component's: their operations call these with the
 * pipe.  pipe.c has the theory.
 */
#ifndef QUERN_PIPE_H
#define QUERN_PIPE_H

#include <quern/file.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qpipe;

/* A pipe that nobody has open, with one reference.  -ENOMEM. */
int qpipe_create(struct qpipe **pp) QMUSTCHECK;

/* qpipe_get takes a reference, qpipe_put drops one. */
void qpipe_get(struct qpipe *p);
void qpipe_put(struct qpipe *p);

/*
 * Count a file in as open(2) of a fifo does, `flags` O_ACCMODE and O_NONBLOCK:
 * wait for the other end, unless it is a pipe without a name.  Takes a reference.  *seen is for qpipe_poll.  -ENXIO
 * (not to wait, and no reader), -EINTR.
 */
int qpipe_open(struct qpipe *p, uint32_t flags, uint32_t *seen) QMUSTCHECK;

/* The file goes; drops qpipe_open's reference. */
void qpipe_close(struct qpipe *p, uint32_t mode);

/* Is the caller's the only reference? */
bool qpipe_unused(struct qpipe *p);

/*
 * What a file's operations do with it: qpipe_read, qpipe_write, qpipe_ioctl and
 * qpipe_fcntl are fo_read and so on.
 */
int64_t qpipe_read(struct qpipe *p, struct qfile *f, struct quio *u);
int64_t qpipe_write(struct qpipe *p, struct qfile *f, struct quio *u);
int64_t qpipe_ioctl(struct qpipe *p, struct qsys *s, uint32_t cmd,
    uint64_t arg);
int64_t qpipe_fcntl(struct qpipe *p, int cmd, uint64_t arg);

/* As fo_poll.  Who has `seen` no writer since it opened sees no hang-up. */
uint32_t qpipe_poll(struct qpipe *p, struct qfile *f, struct qpollent *e,
    uint32_t seen);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_PIPE_H */
