/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Channels: byte streams of the host (hypercall.h says how they are named), for
 * components, and files that are one.
 */
#ifndef QUERN_CHAN_H
#define QUERN_CHAN_H

#include <quern/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qchan;
struct qfile;

/*
 * Open a channel.  After a read or write was -EAGAIN, `ready` is called with
 * `arg` and Q_POLLIN or Q_POLLOUT once it is worth trying again; under a spin
 * lock, so it wakes and queues work, but does not sleep.  -ENOMEM, and what the
 * host answers.
 */
int qchan_open(struct quern *k, const char *name,
    void (*ready)(void *arg, uint32_t events), void *arg,
    struct qchan **cp) QMUSTCHECK;

/* Close it; `ready` is not running, and will not.  Sleeps. */
void qchan_close(struct qchan *c);

/*
 * Read up to `len` bytes: 0 at the end.  Does not wait for any: -EAGAIN.  May
 * sleep.  And what the host answers, -EIO for instance.
 */
int64_t qchan_read(struct qchan *c, void *buf, size_t len) QMUSTCHECK;

/* Write likewise.  -EPIPE besides. */
int64_t qchan_write(struct qchan *c, const void *buf, size_t len) QMUSTCHECK;

/*
 * Make a file of the channel of that name, byte for byte what it is, and no
 * terminal: standard input or output of a program that runs inside.  `flags`
 * O_ACCMODE and O_NONBLOCK.  One reference, the caller's.  Errors as qchan_open,
 * -ENFILE.  Who polls it for reading has it take one byte from the host ahead of
 * being asked for.
 */
int qchanfile_create(struct quern *k, const char *name, uint32_t flags,
    struct qfile **fp) QMUSTCHECK;

#ifdef __cplusplus
}
#endif

#endif /* QUERN_CHAN_H */
