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

/* An image that is open, and how a command tells what went wrong. */
struct fs {
	struct quern *f_k;
	struct quern_proc *f_p;
	struct qdisk *f_disk;
	const char *f_command; /* for messages */
	bool f_opening;        /* the image is not open yet */
	char f_why[256];       /* the kernel's last line until then */
	int f_status;          /* the exit status so far */
};

/* The longest path that commands build. */
#define FS_PATH_MAX 4096

/* A message "quern fs: COMMAND: WHAT: error"; the exit status becomes 1. */
void fs_error(struct fs *f, const char *what, int64_t error);

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

/* "drwxr-xr-x" into `buf` of 11. */
void fs_mode_string(uint32_t mode, char *buf);

/* Commands: argv[0] is the command.  fsread.c and fswrite.c. */
struct fs_command {
	const char *c_name;
	void (*c_run)(struct fs *f, int argc, char **argv);
	bool c_writes;
};

extern const struct fs_command fs_read_commands[], fs_write_commands[];

/* Wrong arguments: says how; the exit status becomes 2. */
void fs_usage(struct fs *f);

#endif /* BIN_FS_H */
