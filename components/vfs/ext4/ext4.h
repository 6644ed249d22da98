/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ext2, ext3 and ext4.
 *
 * A program that lists `qext4` among its components mounts disks that mke2fs
 * made, as "ext4", "ext3" or "ext2", which are the same driver.  Options for
 * mount(2), as ext4(5) has them: noload (with a read-only mount: as it is, without
 * the journal), resuid=ID and resgid=ID (for whom blocks are kept), commit=SECONDS;
 * those that say how things are anyway are accepted, all others refused with
 * their name in the log.
 */
#ifndef QUERN_EXT4_H
#define QUERN_EXT4_H

#include <quern/component.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The component. */
extern const struct quern_component qext4;

#ifdef __cplusplus
}
#endif

#endif /* QUERN_EXT4_H */
