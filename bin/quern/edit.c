/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lines of a terminal with editing, history and completion, by libedit.
 *
 * libedit puts the terminal back after every line, so calls run with the
 * terminal as it was.
 */
#include <errno.h>
#include <histedit.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call.h"

#define HISTORY_LINES 1000

struct edit {
	EditLine *ed_el;
	History *ed_history;
	const char *ed_prompt;
};

static char *
prompt_of(EditLine *el)
{
	struct edit *ed = NULL;

	(void)el_get(el, EL_CLIENTDATA, &ed);
	return (char *)(uintptr_t)ed->ed_prompt;
}

/* The next key; -1 after a signal, which libedit alone would miss at times. */
static int
get_key(EditLine *el, wchar_t *key)
{
	unsigned char c;
	ssize_t n;

	(void)el;
	if (!wait_key()) {
		errno = EINTR;
		return -1;
	}
	n = read(STDIN_FILENO, &c, 1);
	*key = c;
	return (int)n;
}

/* Is it part of a name? */
static bool
is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '_';
}

/* What all names that begin with `word` have in common after it. */
static size_t
common(const char *word, size_t len, const char *first)
{
	size_t n = strlen(first), m;
	const char *other;
	size_t i;

	for (i = 1; (other = complete_name(word, len, i)) != NULL; i++) {
		for (m = len; m < n && other[m] == first[m]; m++)
			continue;
		n = m;
	}
	return n - len;
}

/* Complete the word before the cursor, or show what it could be. */
static unsigned char
complete(EditLine *el, int ch)
{
	const LineInfo *li = el_line(el);
	const char *start = li->cursor, *name;
	char rest[64];
	size_t len, n, i;

	(void)ch;
	while (start > li->buffer && is_word(start[-1]))
		start--;
	len = (size_t)(li->cursor - start);
	name = len != 0 ? complete_name(start, len, 0) : NULL;
	if (name == NULL)
		return CC_ERROR;
	n = common(start, len, name);
	if (n != 0 && n < sizeof(rest)) {
		memcpy(rest, name + len, n);
		rest[n] = '\0';
		return el_insertstr(el, rest) == 0 ? CC_REFRESH : CC_ERROR;
	}
	if (complete_name(start, len, 1) == NULL)
		return CC_ERROR;
	putchar('\n');
	for (i = 0; (name = complete_name(start, len, i)) != NULL; i++)
		printf("%s  ", name);
	putchar('\n');
	fflush(stdout);
	return CC_REDISPLAY;
}

struct edit *
edit_open(void)
{
	struct edit *ed = xmalloc(sizeof(*ed));
	HistEvent ev;

	ed->ed_el = el_init("quern", stdin, stdout, stderr);
	ed->ed_history = history_init();
	if (ed->ed_el == NULL || ed->ed_history == NULL) {
		fprintf(stderr, "quern call: no line editor\n");
		exit(1);
	}
	(void)history(ed->ed_history, &ev, H_SETSIZE, HISTORY_LINES);
	(void)history(ed->ed_history, &ev, H_SETUNIQUE, 1);
	(void)el_set(ed->ed_el, EL_CLIENTDATA, ed);
	(void)el_set(ed->ed_el, EL_PROMPT, prompt_of);
	(void)el_set(ed->ed_el, EL_EDITOR, "emacs");
	(void)el_set(ed->ed_el, EL_HIST, history, ed->ed_history);
	/* The narrow el_set would leak copies of the names. */
	(void)el_wset(ed->ed_el, EL_ADDFN, L"ed-complete-name",
	    L"Complete a name", complete);
	(void)el_set(ed->ed_el, EL_BIND, "^I", "ed-complete-name", NULL);
	(void)el_wset(ed->ed_el, EL_GETCFN, get_key);
	(void)el_source(ed->ed_el, NULL);
	/* Stopping, resizing and dying with the terminal as it was. */
	(void)el_set(ed->ed_el, EL_SIGNAL, 1);
	return ed;
}

char *
edit_line(struct edit *ed, const char *prompt, size_t *lenp, bool *intr)
{
	const char *line;
	HistEvent ev;
	int n = 0;

	ed->ed_prompt = prompt;
	interrupted = 0;
	line = el_gets(ed->ed_el, &n);
	if (ending != 0)
		return NULL;
	/* What comes after the end of a line is for the call in it. */
	if (interrupted != 0 && (line == NULL || n <= 0)) {
		el_reset(ed->ed_el);
		*intr = true;
		return NULL;
	}
	if (line == NULL || n <= 0)
		return NULL;
	if (n > 1)
		(void)history(ed->ed_history, &ev, H_ENTER, line);
	*lenp = (size_t)n;
	return xstrndup(line, (size_t)n);
}

void
edit_close(struct edit *ed)
{
	history_end(ed->ed_history);
	el_end(ed->ed_el);
	free(ed);
}
