/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Running build/bin/quern and looking at what it does.
 */
#ifndef TESTS_RUNQUERN_H
#define TESTS_RUNQUERN_H

#include <stdbool.h>
#include <stddef.h>

/* What a run left. */
struct run {
	int r_status; /* exit status, or 128 + signal */
	char *r_out, *r_err;
};

/* The arguments of a run at the most, the program and NULL included. */
#define RUN_ARGS 24

/*
 * Run it with `argv`, of which argv[0] is ignored, and `input` of `len` bytes on
 * standard input.  To be ended with run_free.
 */
void run_quern(struct run *r, const char *const *argv, const char *input,
    size_t len);

void run_free(struct run *r);

/* The program's path. */
const char *quern_path(void);

/* The top of the tree with `rest` behind; static. */
const char *in_top(const char *rest);

#endif /* TESTS_RUNQUERN_H */
