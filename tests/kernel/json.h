/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_JSON_H
#define TESTS_JSON_H

#include <stdint.h>

struct json_trace {
	uint64_t events; /* metadata aside */
};

/*
 * Is `text` a trace of Chrome's?  Valid JSON; every event has what its phase
 * needs; in a track time does not go back and what begins ends in order (what
 * began before the first event may end).  NULL, or what is wrong with it.
 */
const char *json_check_trace(const char *text, struct json_trace *jt);

#endif /* TESTS_JSON_H */
