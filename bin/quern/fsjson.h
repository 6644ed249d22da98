/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON for commands of `quern fs`, on standard output. */
#ifndef BIN_FSJSON_H
#define BIN_FSJSON_H

#include <getopt.h>

#include "fs.h"

/* A document that is being written; zeroes at first. */
struct fs_json {
	unsigned j_depth;
	bool j_some; /* the innermost has something in it */
	char j_close[8];
};

/*
 * Begin an object ('{') or an array ('['), as member `name` of the object around
 * it, or NULL in an array and for the outermost; end the innermost.
 */
void json_open(struct fs_json *j, const char *name, char bracket);
void json_close(struct fs_json *j);

/*
 * A string of any bytes (if it is not UTF-8, a member of an object gets another,
 * NAME_hex, beside it), a number, true or false; `name` likewise.
 */
void json_string(struct fs_json *j, const char *name, const char *s);
void json_number(struct fs_json *j, const char *name, int64_t n);
void json_bool(struct fs_json *j, const char *name, bool b);

/* The option --json alone, and with others: getopt_long gives FS_JSON. */
#define FS_JSON 256
extern const struct option fs_json_option[];
bool fs_only_json(struct fs *f, int argc, char **argv, bool *json);

/* The object of a file: its path, its attributes, a symlink's target. */
void json_file(struct fs_json *j, struct fs *f, const char *path,
    const struct q_stat *st);

#endif /* BIN_FSJSON_H */
