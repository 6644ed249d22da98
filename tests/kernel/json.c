/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks a trace as a reader of it would: by its JSON.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#define TRACKS 512u
#define DEPTH  64u

/* An event's members as far as they matter here. */
struct event {
	char phase[4];
	char name[64];
	double ts, dur;
	long pid, tid;
	bool has_ts, has_dur, has_id;
};

struct track {
	long pid, tid;
	double last;
	unsigned depth;
	char open[DEPTH][64];
};

struct reader {
	const char *p;
	const char *error;
	struct event ev;
	struct track *track;
	unsigned ntrack;
	uint64_t events;
};

static bool
fail(struct reader *r, const char *why)
{
	static char message[160];

	if (r->error == NULL) {
		snprintf(message, sizeof(message), "%s at: %.60s", why, r->p);
		r->error = message;
	}
	return false;
}

static void
skip_space(struct reader *r)
{
	while (*r->p == ' ' || *r->p == '\n' || *r->p == '\t')
		r->p++;
}

static bool
expect(struct reader *r, char c)
{
	skip_space(r);
	if (*r->p != c)
		return fail(r, "syntax");
	r->p++;
	return true;
}

static bool
string(struct reader *r, char *out, size_t len)
{
	size_t n = 0;

	if (!expect(r, '"'))
		return false;
	for (; *r->p != '"'; r->p++) {
		if ((unsigned char)*r->p < 0x20)
			return fail(r, "control character");
		if (n + 1 < len)
			out[n++] = *r->p;
		if (*r->p == '\\' && *++r->p == 'u')
			r->p += 4;
	}
	out[n] = '\0';
	r->p++;
	return true;
}

static bool value(struct reader *r, unsigned depth, const char *key);

/* [ ... ] or { ... }; an object that is two deep is an event. */
static bool
members(struct reader *r, unsigned depth, char open, char close)
{
	char key[32] = "";

	if (!expect(r, open))
		return false;
	skip_space(r);
	if (*r->p == close) {
		r->p++;
		return true;
	}
	for (;;) {
		if (open == '{' &&
		    (!string(r, key, sizeof(key)) || !expect(r, ':')))
			return false;
		if (!value(r, depth + 1, key))
			return false;
		skip_space(r);
		if (*r->p != ',')
			break;
		r->p++;
	}
	return expect(r, close);
}

static bool
check_event(struct reader *r)
{
	struct event *ev = &r->ev;
	struct track *t = r->track;

	if (ev->phase[0] == '\0' || ev->name[0] == '\0')
		return fail(r, "event without phase or name");
	if (ev->phase[0] == 'M')
		return true;
	r->events++;
	if (!ev->has_ts)
		return fail(r, "event without time");
	if (ev->phase[0] == 'X')
		return ev->has_dur || fail(r, "slice without duration");
	if (strchr("be", ev->phase[0]) != NULL)
		return ev->has_id || fail(r, "no id");
	if (strchr("BEiC", ev->phase[0]) == NULL)
		return fail(r, "unknown phase");
	while (t < &r->track[r->ntrack] &&
	    (t->pid != ev->pid || t->tid != ev->tid))
		t++;
	if (t == &r->track[r->ntrack]) {
		if (r->ntrack == TRACKS)
			return fail(r, "too many tracks");
		r->ntrack++;
		t->pid = ev->pid;
		t->tid = ev->tid;
	}
	if (ev->ts < t->last)
		return fail(r, "time goes back");
	t->last = ev->ts;
	if (ev->phase[0] == 'B') {
		if (t->depth == DEPTH)
			return fail(r, "too deep");
		strcpy(t->open[t->depth++], ev->name);
	} else if (ev->phase[0] == 'E' && t->depth > 0 &&
	    strcmp(t->open[--t->depth], ev->name) != 0) {
		return fail(r, "ends what did not begin last");
	}
	return true;
}

static void
keep_number(struct reader *r, const char *key, double x)
{
	if (strcmp(key, "ts") == 0) {
		r->ev.ts = x;
		r->ev.has_ts = true;
	} else if (strcmp(key, "dur") == 0) {
		r->ev.dur = x;
		r->ev.has_dur = x >= 0;
	} else if (strcmp(key, "pid") == 0) {
		r->ev.pid = (long)x;
	} else if (strcmp(key, "tid") == 0) {
		r->ev.tid = (long)x;
	} else if (strcmp(key, "id") == 0) {
		r->ev.has_id = true;
	}
}

/* Depths: 1 the file's members, 2 an event, 3 its members, 4 its args'. */
static bool
value(struct reader *r, unsigned depth, const char *key)
{
	char s[64], *end;
	double x;

	skip_space(r);
	switch (*r->p) {
	case '[':
		return members(r, depth, '[', ']');
	case '{':
		if (depth == 2)
			memset(&r->ev, 0, sizeof(r->ev));
		if (!members(r, depth, '{', '}'))
			return false;
		return depth != 2 || check_event(r);
	case '"':
		if (!string(r, s, sizeof(s)))
			return false;
		if (depth == 3 && strcmp(key, "name") == 0)
			strcpy(r->ev.name, s);
		if (depth == 3 && strcmp(key, "ph") == 0)
			snprintf(r->ev.phase, sizeof(r->ev.phase), "%.3s", s);
		return true;
	default:
		x = strtod(r->p, &end);
		if (end == r->p)
			return fail(r, "not a value");
		r->p = end;
		if (depth == 3)
			keep_number(r, key, x);
		return true;
	}
}

const char *
json_check_trace(const char *text, struct json_trace *jt)
{
	struct reader r = { .p = text };

	r.track = calloc(TRACKS, sizeof(*r.track));
	if (members(&r, 0, '{', '}')) {
		skip_space(&r);
		if (*r.p != '\0')
			(void)fail(&r, "more behind the end");
	}
	jt->events = r.events;
	free(r.track);
	return r.error;
}
