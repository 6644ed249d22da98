/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `quern fs`: an image's files, without root and without mounting it.
 */
#ifndef BIN_FS_H
#define BIN_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quern/quern.h>
#include <quern/abi/stat.h>

/* How far a command is, fsprogress.c's. */
struct fs_progress {
	bool pr_on, pr_shown;
	int64_t pr_done, pr_total; /* bytes; total 0: not known */
	int64_t pr_start, pr_drawn;
};

/* An image that is open, and how a command tells what went wrong. */
struct fs {
	struct quern *f_k;
	struct quern_proc *f_mounter; /* outside of the image */
	struct quern_proc *f_p;       /* at the image's root */
	struct qdisk *f_disk;
	const char *f_command; /* for messages */
	bool f_opening;        /* the image is not open yet */
	bool f_mounted;        /* something is to be unmounted */
	char f_why[256];       /* the kernel's last line until then */
	int f_status;          /* the exit status so far */
	bool f_stop;           /* what failed will fail for all that follows */
	const char *f_script;  /* its name while one runs, and the line */
	unsigned f_line;
	struct fs_progress f_progress;
	bool f_quiet; /* no messages now */
};

/* The longest path that commands build. */
#define FS_PATH_MAX 4096

/*
 * A message "quern fs: COMMAND: WHAT: error"; the exit status becomes 1.  In a
 * script, the command has its file and line before it.
 */
void fs_error(struct fs *f, const char *what, int64_t error);

/* The same with a text of its own. */
void fs_complain(struct fs *f, const char *what, const char *why);

/*
 * Show on a terminal how far a long command is, of `total` bytes (0: not known):
 * begin, count what has been done, take it away for a message, end.
 */
void fs_progress_begin(struct fs *f, int64_t total);
void fs_progress(struct fs *f, int64_t bytes);
void fs_progress_hide(struct fs *f);
void fs_progress_end(struct fs *f);

/* Is it over: a signal came, or f_stop is set?  Asked before each step. */
bool fs_stopped(const struct fs *f);

/* `dir` and `name` with one slash between.  False, and a message: too long. */
bool fs_join(struct fs *f, char *buf, const char *dir, const char *name);

/* Told of an entry, without "." and "..", in order of names. */
struct fs_entry {
	char *e_name;
	struct q_stat e_st;
};

/*
 * Entries of a directory, sorted, with attributes: an array of *np for
 * fs_free_list.  NULL: there has been a message, or it is empty (*np is 0).
 */
struct fs_entry *fs_list(struct fs *f, const char *dir, bool all, size_t *np);
void fs_free_list(struct fs_entry *e, size_t n);
void fs_sort_list(struct fs_entry *e, size_t n);

/* Copy a path into a buffer of FS_PATH_MAX.  False, and a message: too long. */
bool fs_set_path(struct fs *f, char *buf, const char *path);

/*
 * Append a slash and `name` to a path of FS_PATH_MAX in place: the length to cut
 * it back to by fs_pop.  0, and a message: too long.  Walks of a tree have one
 * path only, so that their depth does not depend on the stack.
 */
size_t fs_push(struct fs *f, char *path, const char *name);
void fs_pop(char *path, size_t len);

/* As realloc and strdup, but that the program ends where there is no memory. */
void *fs_grow(void *p, size_t size);
char *fs_strdup(const char *s);

/*
 * Copy the last name of `path` into `buf` of FS_PATH_MAX, without the slashes
 * behind it: "/" for the root.
 */
void fs_base_name(char *buf, const char *path);

/* "drwxr-xr-x" into `buf` of 11. */
void fs_mode_string(uint32_t mode, char *buf);

/* Commands: argv[0] is the command. */
struct fs_command {
	const char *c_name;
	void (*c_run)(struct fs *f, int argc, char **argv);
	bool c_writes;
	/* Does it only look, with these arguments?  NULL: as c_writes says. */
	bool (*c_looks)(int argc, char **argv);
};

/* The tables of the files, each ended by a NULL name. */
extern const struct fs_command fs_read_commands[], fs_write_commands[],
    fs_copy_commands[], fs_tar_commands[], fs_script_commands[],
    fs_attr_commands[], fs_usage_commands[];

/* The command of that name, or NULL. */
const struct fs_command *fs_find_command(const char *name);

/* Wrong arguments: says how; the exit status becomes 2. */
void fs_usage(struct fs *f);

#endif /* BIN_FS_H */
