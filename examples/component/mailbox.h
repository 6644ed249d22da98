/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A component of your own: letters put in by one client and got by another,
 * MAILBOX_ROOM at a time.
 */
#ifndef MAILBOX_H
#define MAILBOX_H

#include <quern/quern.h>

#define MAILBOX_ROOM 4

/* Goes into quern_config's list of components. */
extern const struct quern_component mailbox;

/* Put a letter in; waits while the box is full.  -ENOMEM, -EINTR. */
int64_t mailbox_put(struct quern_proc *p, int letter);

/* Get the oldest letter; waits while there is none.  -EINTR. */
int64_t mailbox_get(struct quern_proc *p);

#endif /* MAILBOX_H */
