/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parameters of the simulated host.
 */
#include <string.h>

#include "impl.h"

static const struct {
	const char *name, *value;
} params[] = {
	{ "host", "sim" }, { "ncpu", "1" },
	{ "choice",
	    "1" }, /* cpu_yield decides: call it wherever it could matter */
};

int64_t
sim_param(void *ctx, const char *name, void *buf, size_t len)
{
	size_t i, n;

	(void)ctx;
	for (i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
		if (strcmp(params[i].name, name) != 0)
			continue;
		n = strlen(params[i].value);
		if (len > 0)
			memcpy(buf, params[i].value, n < len ? n : len);
		return (int64_t)n;
	}
	return -ENOENT;
}
