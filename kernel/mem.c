/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's memory as a whole: the heap and the RAM pages.
 */
#include "impl.h"

int
mem_init(struct quern *k, size_t ram)
{
	int error;

	error = heap_init(k);
	if (error == 0)
		error = page_init(k, ram);
	return error;
}

int
mem_init_cpus(struct quern *k)
{
	unsigned i;
	int error = 0;

	for (i = 0; i < k->k_ncpu && error == 0; i++)
		error = heap_init_cpu(k, k->k_cpu[i]);
	return error;
}

uint64_t
mem_leaks(struct quern *k)
{
	uint64_t total, free, n = 0;

	if (k->k_heap != NULL)
		n = heap_leaks(k);
	if (k->k_pages == NULL)
		return n;
	page_stats(k, &total, &free);
	if (free < total) {
		qlog(k, QUERN_LOG_WARN, "leak: %lu RAM pages", total - free);
		n += total - free;
	}
	return n;
}

void
mem_fini(struct quern *k)
{
	page_fini(k);
	heap_fini(k);
}
