/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tree of files as source trees and libraries are, and what is done with it by
 * Linux system calls, Quern's or the host's.  Ends the program when anything
 * fails.
 */
#ifndef TESTS_BENCH_TREE_H
#define TESTS_BENCH_TREE_H

#include <stddef.h>
#include <stdint.h>

#define TREE_FILES 6500u
#define TREE_BYTES 168000000u

/* Whose calls: `call` makes one by its number. */
struct tree_user {
	const char *tu_name;
	int64_t (*tu_call)(void *arg, unsigned nr, const uint64_t a[6]);
	void *tu_arg;
};

/*
 * Make an archive (ustar) of TREE_FILES files with TREE_BYTES bytes in all, the
 * same each time.  The caller's, for free().
 */
void *tree_archive(size_t *lenp);

/* Make what is in the archive, in the user's working directory, as tar -x. */
void tree_extract(struct tree_user *u, const void *archive, size_t len);

/* Read all files below the working directory, after stat; how many bytes. */
uint64_t tree_read(struct tree_user *u);

/* Remove everything below the working directory but lost+found. */
void tree_remove(struct tree_user *u);

#endif /* TESTS_BENCH_TREE_H */
