/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The halves of the command `tar`: libarchive's entries and the image's files.
 */
#ifndef BIN_FSARCHIVE_H
#define BIN_FSARCHIVE_H

#include <archive.h>
#include <archive_entry.h>

#include "fs.h"

/* A message with libarchive's words.  `what`: NULL for the archive itself. */
void fs_archive_error(struct fs *f, struct archive *a, const char *what);

/*
 * Make everything in an archive, read from descriptor `in`, below the process's
 * working directory.
 */
void fs_extract(struct fs *f, int in);

/* The attributes that hold ACLs. */
#define FS_ACL_ACCESS  "system.posix_acl_access"
#define FS_ACL_DEFAULT "system.posix_acl_default"

/*
 * Add the ACL that is the value of an attribute to an entry; `type` is
 * libarchive's.  False: it is damaged.
 */
bool fs_acl_add(struct archive_entry *e, int type, const void *value,
    size_t len);

/*
 * The value of the attribute for an entry's ACL into `buf` of `size` bytes; its
 * length.  0: it has none; -E2BIG, or -EINVAL: it names somebody by name only.
 */
int64_t fs_acl_value(struct archive_entry *e, int type, void *buf, size_t size);

#endif /* BIN_FSARCHIVE_H */
