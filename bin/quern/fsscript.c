/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command `script` of `quern fs`: commands from a file, one a line, on an
 * image that is opened once.
 *
 * A line is cut into words as sh(1) does it with plain quotes: blanks separate,
 * '...' and "..." take them in, a backslash takes the next character (not in
 * '...'), # at the start of a word begins a comment.  Nothing is expanded.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs.h"
#include "quern.h"

#define WORDS 1024

/* Move the word at *sp to its start, unquoted; *sp is what follows.  NULL: no
 * closing quote. */
static char *
next_word(char **sp)
{
	char *s = *sp, *word = s, *to = s, quote = '\0';

	for (; *s != '\0' && (quote != '\0' || strchr(" \t", *s) == NULL);
	     s++) {
		if (quote == '\0' && (*s == '\'' || *s == '"'))
			quote = *s;
		else if (quote != '\0' && *s == quote)
			quote = '\0';
		else if (*s == '\\' && quote != '\'' && s[1] != '\0')
			*to++ = *++s;
		else
			*to++ = *s;
	}
	*sp = *s != '\0' ? s + 1 : s;
	*to = '\0';
	return quote == '\0' ? word : NULL;
}

/* Cut a line into words.  How many, or -1: a message has been printed. */
static int
cut_line(struct fs *f, char *line, char **words)
{
	char *s = line;
	int n = 0;

	for (;;) {
		s += strspn(s, " \t");
		if (*s == '\0' || *s == '#') {
			words[n] = NULL;
			return n;
		}
		if (n == WORDS) {
			fs_complain(f, "line", "too many words");
			return -1;
		}
		words[n] = next_word(&s);
		if (words[n++] == NULL) {
			fs_complain(f, "line", "a quote is not closed");
			return -1;
		}
	}
}

static void
run_line(struct fs *f, char *line)
{
	char *words[WORDS + 1];
	const struct fs_command *c;
	int n = cut_line(f, line, words);

	if (n <= 0)
		return;
	c = fs_find_command(words[0]);
	if (c == NULL || c->c_run == fs_script_commands[0].c_run) {
		fs_complain(f, words[0],
		    c == NULL ? "there is no such command" : "not in a script");
		return;
	}
	f->f_command = c->c_name;
	c->c_run(f, n, words);
	f->f_command = "script";
	if (fflush(stdout) != 0)
		fs_error(f, "standard output", -errno);
}

/* With `on`, also after a command that failed. */
static void
run_script(struct fs *f, FILE *in, bool on)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n = 0;

	while (!fs_stopped(f) && (f->f_status == 0 || on) &&
	    (n = getline(&line, &size, in)) >= 0) {
		f->f_line++;
		if (n > 0 && line[n - 1] == '\n')
			line[--n] = '\0';
		if (strlen(line) != (size_t)n)
			fs_complain(f, "line", "there is a zero byte in it");
		else
			run_line(f, line);
		if (on)
			f->f_stop = false;
	}
	if (ferror(in) && !fs_stopped(f))
		fs_error(f, f->f_script, -errno);
	free(line);
}

static void
cmd_script(struct fs *f, int argc, char **argv)
{
	bool on = false;
	FILE *in = stdin;
	int opt;

	optind = 0;
	while ((opt = getopt(argc, argv, "k")) != -1)
		if (opt == 'k')
			on = true;
		else
			argc = 0;
	if (argc - optind != 1) {
		fs_usage(f);
		return;
	}
	if (strcmp(argv[optind], "-") != 0) {
		in = fopen(argv[optind], "re");
		if (in == NULL) {
			fs_error(f, argv[optind], -errno);
			return;
		}
	}
	f->f_script = argv[optind];
	run_script(f, in, on);
	f->f_script = NULL;
	if (in != stdin)
		fclose(in);
}

const struct fs_command fs_script_commands[] = {
	{ "script", cmd_script, true, NULL },
	{ NULL, NULL, false, NULL },
};
