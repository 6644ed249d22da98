/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lines of a terminal as the terminal makes them, without libedit.
 */
#include <errno.h>
#include <stdlib.h>

#include "call.h"

struct edit {
	char *ed_line;
};

struct edit *
edit_open(void)
{
	return xmalloc(sizeof(struct edit));
}

char *
edit_line(struct edit *ed, const char *prompt, size_t *lenp, bool *intr)
{
	bool too_long;
	char *line;

	(void)ed;
	fputs(prompt, stdout);
	fflush(stdout);
	interrupted = 0;
	line = read_line(stdin, lenp, &too_long);
	if (line == NULL && interrupted != 0 && ending == 0) {
		clearerr(stdin);
		*intr = true;
	}
	return line;
}

void
edit_close(struct edit *ed)
{
	free(ed);
}
