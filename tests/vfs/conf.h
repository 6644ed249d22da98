/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The conformance suite: what POSIX and Linux promise of files, as cases that run
 * on any file system, Quern's and the host's.
 *
 * A case makes raw Linux system calls through struct conf, in an empty working
 * directory, as root or as somebody else.  On the host they are system calls, so
 * a case that is wrong about Linux fails there first.
 */
#ifndef TESTS_VFS_CONF_H
#define TESTS_VFS_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct quern_proc;

struct conf {
	/* Make a call by number: its result or -errno. */
	int64_t (*c_call)(struct conf *c, unsigned nr, const uint64_t arg[6]);
	struct quern_proc *c_proc; /* on Quern */
	const char *c_name;        /* the instance, "quern tmpfs" */
	bool c_root;               /* may change owners and so on */
	bool c_host;
	bool c_small; /* few features: ext2 */
	const struct conf_case *c_case;
	char c_failure[400];
};

struct conf_case {
	const char *name;
	void (*fn)(struct conf *c);
	unsigned needs; /* CONF_* */
};

#define CONF_ROOT  1u  /* only where c_root */
#define CONF_XATTR 2u  /* user.* attributes */
#define CONF_HOLES 4u  /* punching and seeking holes */
#define CONF_TMP   8u  /* O_TMPFILE */
#define CONF_DATA  16u /* file contents */
#define CONF_MOUNT 32u /* mounts other file systems, as root */

/* Tables, ended by a zero. */
extern const struct conf_case conf_names[], conf_open[], conf_attrs[],
    conf_data[], conf_dirs[], conf_move[], conf_handle[], conf_mount[],
    conf_watch[], conf_edges[];

/* Case number `i` of all tables, or NULL; how many there are. */
const struct conf_case *conf_nth(int i);
int conf_count(void);

/* Run it. */
void conf_run(struct conf *c, const struct conf_case *cc);

/*
 * Cases about paths that are no good, made as they are asked for: valid until the
 * next; NULL: there are no more.  How many there are.
 */
const struct conf_case *conf_error_nth(int i);
int conf_errors(void);
/* So many in a row are about one call. */
int conf_error_paths(void);

/*
 * Run `n` cases, each on the host's tmpfs and ext4, and on Quern's tmpfs on both
 * hosts: main's result.
 */
int conf_main(const char *name, const struct conf_case *(*nth)(int), int n);

/* Make a call; unused arguments are anything. */
int64_t conf_sys(struct conf *c, unsigned nr, uint64_t a, uint64_t b,
    uint64_t d, uint64_t e, uint64_t f, uint64_t g);
#define SYS(c, nr, ...) SYS_(c, nr, __VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define SYS_(c, nr, a, b, d, e, f, g, ...)                      \
	conf_sys((c), (nr), (uint64_t)(uintptr_t)(a),           \
	    (uint64_t)(uintptr_t)(b), (uint64_t)(uintptr_t)(d), \
	    (uint64_t)(uintptr_t)(e), (uint64_t)(uintptr_t)(f), \
	    (uint64_t)(uintptr_t)(g))

/* Check a result; a failure is noted once, with where and what came. */
bool conf_is(struct conf *c, int64_t got, int64_t want, const char *expr,
    const char *file, int line);
#define IS(c, expr, want)                                               \
	conf_is((c), (int64_t)(expr), (int64_t)(want), #expr, __FILE__, \
	    __LINE__)
#define OK(c, expr)   IS(c, expr, 0)
#define TRUE(c, expr) conf_is((c), !!(expr), 1, #expr, __FILE__, __LINE__)

/* Short forms.  Errors are -errno. */
int c_open(struct conf *c, const char *path, int flags, unsigned mode);
int c_close(struct conf *c, int fd);
int c_mkdir(struct conf *c, const char *path, unsigned mode);
int c_rmdir(struct conf *c, const char *path);
int c_unlink(struct conf *c, const char *path);
int c_rename(struct conf *c, const char *from, const char *to);
int c_link(struct conf *c, const char *from, const char *to);
int c_symlink(struct conf *c, const char *target, const char *path);
int64_t c_write(struct conf *c, int fd, const void *buf, size_t len);
int64_t c_pread(struct conf *c, int fd, void *buf, size_t len, int64_t off);
int64_t c_pwrite(struct conf *c, int fd, const void *buf, size_t len,
    int64_t off);

/* Make an empty file, and its mode be exactly that.  0. */
int c_file(struct conf *c, const char *path, unsigned mode);

/* Be this user, without groups and capabilities, and root again (0). */
void c_user(struct conf *c, unsigned uid, unsigned gid);

/* An attribute of a file (a symlink's own); -errno. */
struct stat;
int c_lstat(struct conf *c, const char *path, struct stat *st);
int64_t c_mode(struct conf *c, const char *path);
int64_t c_nlink(struct conf *c, const char *path);
int64_t c_size(struct conf *c, const char *path);
int64_t c_ino(struct conf *c, const char *path);

#endif /* TESTS_VFS_CONF_H */
