/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding libnbd at run time.  It stays loaded: what it brings along has state of
 * the process's.
 */
#include "nbdlib.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

/* What libnbd's ABI has been called since its first release. */
#define NBD_SONAME "libnbd.so.0"

const char *
host_nbd_load(struct nbdlib *l)
{
#define NBD_PLACE(name) { "nbd_" #name, offsetof(struct nbdlib, name) },
	static const struct {
		const char *name;
		size_t off;
	} places[] = { NBD_FUNCTIONS(NBD_PLACE) };
#undef NBD_PLACE
	void *lib, *sym;
	size_t i;

	lib = dlopen(NBD_SONAME, RTLD_NOW | RTLD_LOCAL);
	if (lib == NULL)
		return dlerror();
	for (i = 0; i < sizeof places / sizeof places[0]; i++) {
		sym = dlsym(lib, places[i].name);
		if (sym == NULL)
			return dlerror();
		memcpy((char *)l + places[i].off, &sym, sizeof sym);
	}
	return NULL;
}
