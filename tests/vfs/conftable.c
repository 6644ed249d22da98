/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All cases about files.
 */
#include "conf.h"

const struct conf_case *
conf_nth(int i)
{
	static const struct conf_case *const tables[] = { conf_names, conf_open,
		conf_attrs, conf_dirs, conf_data, conf_move, conf_handle,
		conf_mount, conf_watch, conf_edges };
	const struct conf_case *cc;
	unsigned t;

	for (t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (cc = tables[t]; cc->name != NULL; cc++)
			if (i-- == 0)
				return cc;
	return NULL;
}

void
conf_run(struct conf *c, const struct conf_case *cc)
{
	c->c_case = cc;
	cc->fn(c);
}

int
conf_count(void)
{
	int n = 0;

	while (conf_nth(n) != NULL)
		n++;
	return n;
}
