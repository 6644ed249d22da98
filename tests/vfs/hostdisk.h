/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A file system of the host's on an image of our own, as an oracle.
 */
#ifndef TESTS_VFS_HOSTDISK_H
#define TESTS_VFS_HOSTDISK_H

/*
 * Make an image with mke2fs (`options`) and mount it (`how`, as after mount -o)
 * where only this process and its children see it: the directory, or NULL, and
 * *why says what is missing.
 */
const char *hostdisk_mount(const char *options, const char *how,
    const char **why);

/* The image's path. */
const char *hostdisk_image(void);

/* Unmount it, if it is, and remove the image. */
void hostdisk_end(void);

#endif /* TESTS_VFS_HOSTDISK_H */
