/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two sides between which `quern fs` copies: the host's files and the
 * image's, by the same calls.
 *
 * Paths are each side's own, ended by a 0.  All answer >= 0 or -errno, in the
 * kernel's structures and numbers, which on x86-64 are the host's.  None of them
 * follows a symlink at the end of a path, but s_stat, and s_open if told to.
 */
#ifndef BIN_FSSIDE_H
#define BIN_FSSIDE_H

#include "fs.h"

struct fs_side {
	int64_t (*s_lstat)(struct fs *, const char *path, struct q_stat *);
	int64_t (*s_stat)(struct fs *, const char *path, struct q_stat *);

	/* As fs_list, of all entries; it says itself what is wrong. */
	struct fs_entry *(*s_list)(struct fs *, const char *path, size_t *np);

	/*
	 * Open to read; or to write a file that is there: a regular one is
	 * emptied.  s_create makes a new one, for its owner only (-EEXIST).
	 */
	int64_t (*s_open)(struct fs *, const char *path, bool follow);
	int64_t (*s_overwrite)(struct fs *, const char *path);
	int64_t (*s_create)(struct fs *, const char *path);

	/* As pread, pwrite, lseek, ftruncate, close. */
	int64_t (*s_read)(struct fs *, int fd, void *, size_t, int64_t off);
	int64_t (
	    *s_write)(struct fs *, int fd, const void *, size_t, int64_t off);
	int64_t (*s_seek)(struct fs *, int fd, int64_t off, int whence);
	int64_t (*s_resize)(struct fs *, int fd, int64_t size);
	int64_t (*s_close)(struct fs *, int fd);

	int64_t (*s_mkdir)(struct fs *, const char *path);
	int64_t (*s_mknod)(struct fs *, const char *path, uint32_t mode,
	    uint64_t dev);
	int64_t (*s_symlink)(struct fs *, const char *target, const char *path);
	int64_t (*s_readlink)(struct fs *, const char *path, char *, size_t);
	int64_t (*s_link)(struct fs *, const char *from, const char *to);
	int64_t (*s_unlink)(struct fs *, const char *path);

	/*
	 * Set owner, mode (not of a symlink), and times from `st`.  An owner
	 * that we have not the right to give is left out, and the set-id bits
	 * with it.
	 */
	int64_t (*s_own)(struct fs *, const char *path, struct q_stat *st);
	int64_t (*s_chmod)(struct fs *, const char *path, uint32_t mode);
	int64_t (
	    *s_utimes)(struct fs *, const char *path, const struct q_stat *st);

	int64_t (*s_listxattr)(struct fs *, const char *path, char *, size_t);
	int64_t (*s_getxattr)(struct fs *, const char *path, const char *name,
	    void *, size_t);
	/* An attribute that we have not the right to set is left out. */
	int64_t (*s_setxattr)(struct fs *, const char *path, const char *name,
	    const void *, size_t);
};

extern const struct fs_side fs_host, fs_image;

#endif /* BIN_FSSIDE_H */
