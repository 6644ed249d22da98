/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lines of a terminal as the terminal makes them, without libedit.
 */
#include <stdlib.h>

#include "call.h"

struct edit {
	char *ed_line;
};

struct edit *
edit_open(void)
{
	/* Nothing may be read ahead: wait_key would not know. */
	(void)setvbuf(stdin, NULL, _IONBF, 0);
	return xmalloc(sizeof(struct edit));
}

char *
edit_line(struct edit *ed, const char *prompt, size_t *lenp, bool *intr)
{
	bool too_long;

	(void)ed;
	fputs(prompt, stdout);
	fflush(stdout);
	interrupted = 0;
	if (wait_key())
		return read_line(stdin, lenp, &too_long);
	*intr = ending == 0;
	return NULL;
}

void
edit_close(struct edit *ed)
{
	free(ed);
}
