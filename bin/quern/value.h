/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The values of the console: what expressions come to and variables hold.
 * A value owns all that it points to.  Memory that can't be had ends the
 * program.
 */
#ifndef BIN_QUERN_VALUE_H
#define BIN_QUERN_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum value_kind {
	V_DEFAULT = 0, /* _: whatever suits */
	V_NULL,
	V_INT,
	V_BYTES,
	V_LIST,
	V_STRUCT
};

struct value {
	enum value_kind v_kind;
	int64_t v_int;        /* V_INT; unsigned ones wrap */
	size_t v_n;           /* bytes, elements, members */
	char *v_bytes;        /* V_BYTES; a 0 behind */
	struct value *v_elem; /* V_LIST, V_STRUCT */
	char **v_name;        /* V_STRUCT; a NULL: by position */
};

/* The longest string and the longest list that a script may make. */
#define VALUE_BYTES_MAX ((size_t)64 << 20)
#define VALUE_ELEMS_MAX ((size_t)1 << 20)

/* As malloc, zeroed; as realloc; as strndup, of `n` bytes and a 0. */
void *xmalloc(size_t n);
void *xrealloc(void *p, size_t n);
char *xstrndup(const char *s, size_t n);

struct value value_int(int64_t i);
struct value value_null(void);
struct value value_bytes(const void *p, size_t n);
/* A list or struct without elements, for value_add. */
struct value value_empty(enum value_kind kind);

/* Add an element, which `list` then owns; `name`, copied, or NULL. */
void value_add(struct value *list, const char *name, struct value elem);

struct value value_copy(const struct value *v);

/* Free what it owns, and make it V_DEFAULT. */
void value_free(struct value *v);

/* The member called `name`, or NULL. */
const struct value *value_member(const struct value *v, const char *name);

/*
 * Are they the same?  Of `b`, a struct may have some of the members of `a`
 * only.
 */
bool value_equal(const struct value *a, const struct value *b);

/* What it is, for messages: "a number". */
const char *value_what(const struct value *v);

/* Print it as it could be written in a script. */
void value_print(FILE *f, const struct value *v);

#endif /* BIN_QUERN_VALUE_H */
