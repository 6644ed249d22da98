/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Processes and the system as files: the file system "proc" of Linux, to be
 * mounted on /proc; it takes no options.
 */
#ifndef QUERN_PROCFS_H
#define QUERN_PROCFS_H

#include <quern/component.h>

extern const struct quern_component qprocfs;

#endif /* QUERN_PROCFS_H */
