/* SPDX-License-Identifier: BSD-2-Clause */
#include <sys/wait.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runquern.h"

const char *
quern_path(void)
{
	static char path[1024];
	const char *build = getenv("QUERN_BUILD");

	snprintf(path, sizeof(path), "%s/bin/quern",
	    build != NULL ? build : "build");
	return path;
}

const char *
in_top(const char *rest)
{
	static char path[1024];
	const char *top = getenv("QUERN_TOP");

	snprintf(path, sizeof(path), "%s/%s", top != NULL ? top : ".", rest);
	return path;
}

/* Temporary files, so that no pipe can fill up. */
static FILE *
scratch(const char *data, size_t len)
{
	FILE *f = tmpfile();

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(data, 1, len, f), len);
	rewind(f);
	return f;
}

static char *
contents(FILE *f)
{
	size_t room = 65536, len = 0, n;
	char *text = malloc(room);

	rewind(f);
	while ((n = fread(text + len, 1, room - len - 1, f)) > 0) {
		len += n;
		if (len + 1 == room)
			text = realloc(text, room *= 2);
		ck_assert_ptr_nonnull(text);
	}
	text[len] = '\0';
	fclose(f);
	return text;
}

void
run_quern(struct run *r, const char *const *argv, const char *input, size_t len)
{
	FILE *in = scratch(input, len), *out = scratch("", 0);
	FILE *err = scratch("", 0);
	char *args[RUN_ARGS];
	unsigned i;
	int status;
	pid_t pid;

	args[0] = (char *)(uintptr_t)quern_path();
	for (i = 1; argv[i] != NULL && i < RUN_ARGS - 1; i++)
		args[i] = (char *)(uintptr_t)argv[i];
	args[i] = NULL;
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)dup2(fileno(in), 0);
		(void)dup2(fileno(out), 1);
		(void)dup2(fileno(err), 2);
		execv(args[0], args);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	r->r_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
					    WEXITSTATUS(status);
	r->r_out = contents(out);
	r->r_err = contents(err);
	fclose(in);
}

void
run_free(struct run *r)
{
	free(r->r_out);
	free(r->r_err);
}
