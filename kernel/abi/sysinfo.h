/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sysinfo(2).
 */
#ifndef QUERN_ABI_SYSINFO_H
#define QUERN_ABI_SYSINFO_H

#include <stdint.h>

struct q_sysinfo {
	int64_t uptime;    /* seconds */
	uint64_t loads[3]; /* averages of 1, 5 and 15 minutes, << 16 */
	uint64_t totalram; /* this and the others in units of mem_unit */
	uint64_t freeram;
	uint64_t sharedram;
	uint64_t bufferram;
	uint64_t totalswap;
	uint64_t freeswap;
	uint16_t procs;
	uint16_t pad;
	uint64_t totalhigh;
	uint64_t freehigh;
	uint32_t mem_unit;
};

#endif /* QUERN_ABI_SYSINFO_H */
