/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Trees of files, seen the same way through Quern's calls and the host's: what
 * both list of a tree, a line a file, must be equal.
 */
#ifndef TESTS_VFS_EXT4_TREE_H
#define TESTS_VFS_EXT4_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quern/quern.h>

/* Who answers system calls: `ts_proc`, or the host if that is NULL. */
struct tree_sys {
	struct quern_proc *ts_proc;
	bool ts_notimes;  /* leave times out of lists */
	bool ts_nofalloc; /* no fallocate: block maps */
	bool ts_damage;   /* go on after errors, which damage may cause */
};

/* Make a raw call: >= 0 or -errno. */
int64_t tree_call(const struct tree_sys *s, unsigned nr, uint64_t a, uint64_t b,
    uint64_t c, uint64_t d, uint64_t e);
#define TCALL(s, nr, ...) TCALL_(s, nr, __VA_ARGS__, 0, 0, 0, 0, 0)
#define TCALL_(s, nr, a, b, c, d, e, ...)                       \
	tree_call((s), (nr), (uint64_t)(uintptr_t)(a),          \
	    (uint64_t)(uintptr_t)(b), (uint64_t)(uintptr_t)(c), \
	    (uint64_t)(uintptr_t)(d), (uint64_t)(uintptr_t)(e))

/* Text that grows. */
struct tree_text {
	char *tt_p;
	size_t tt_len, tt_max;
	unsigned tt_files;
	unsigned tt_errors;
};

/*
 * List everything below `root`: path, type, permissions, owner, size, links,
 * time, target, attributes and a sum of the contents, in order of the names.
 */
void tree_list(const struct tree_sys *s, const char *root, struct tree_text *t);

/* Make a tree of all kinds of files with the host's calls. */
void tree_make(const char *root, unsigned seed, unsigned files);

/* Where two lists differ, or NULL.  In static memory. */
const char *tree_differ(const struct tree_text *a, const struct tree_text *b);

/*
 * Do `n` random things to the trees below both roots, the same in both, and
 * compare the results: NULL, or what differed.
 */
const char *tree_play(const struct tree_sys *a, const char *aroot,
    const struct tree_sys *b, const char *broot, unsigned seed, unsigned n);

/* Run a command of the host's, printf-like; its exit status. */
int tree_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif /* TESTS_VFS_EXT4_TREE_H */
