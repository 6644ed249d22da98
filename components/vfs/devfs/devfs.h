/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices as files: null, zero, full, random, urandom, tty, what components have
 * registered by a name (cdev.h), and the kernel's disks by their names (by "disk"
 * and their number, if the name has a slash in it).  To be mounted on /dev, as
 * "devfs", which shows what there is, takes no options and no other names; or as
 * "devtmpfs", a tmpfs, with its options, that begins with what there is.
 */
#ifndef QUERN_DEVFS_H
#define QUERN_DEVFS_H

#include <quern/component.h>

extern const struct quern_component qdevfs;

#endif /* QUERN_DEVFS_H */
