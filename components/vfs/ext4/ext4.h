/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ext2, ext3 and ext4.
 *
 * A program that lists `qext4` among its components mounts disks that mke2fs
 * made, as "ext4", "ext3" or "ext2", which are the same driver.  Options for
 * mount(2) are accepted and ignored: what is damaged becomes read-only, whatever
 * errors= says, and a journal that needs it is always replayed.
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
