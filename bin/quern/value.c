/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Values: making, comparing and printing them.
 */
#include "value.h"

#include <stdlib.h>
#include <string.h>

void *
xrealloc(void *p, size_t n)
{
	p = realloc(p, n != 0 ? n : 1);
	if (p == NULL) {
		fprintf(stderr, "quern: out of memory\n");
		exit(1);
	}
	return p;
}

void *
xmalloc(size_t n)
{
	return memset(xrealloc(NULL, n), 0, n);
}

char *
xstrndup(const char *s, size_t n)
{
	char *p = xmalloc(n + 1);

	memcpy(p, s, n);
	return p;
}

struct value
value_int(int64_t i)
{
	return (struct value){ .v_kind = V_INT, .v_int = i };
}

struct value
value_null(void)
{
	return (struct value){ .v_kind = V_NULL };
}

struct value
value_bytes(const void *p, size_t n)
{
	return (struct value){ .v_kind = V_BYTES,
		.v_bytes = xstrndup(p, n),
		.v_n = n };
}

struct value
value_empty(enum value_kind kind)
{
	return (struct value){ .v_kind = kind };
}

void
value_add(struct value *list, const char *name, struct value elem)
{
	size_t n = list->v_n, room = n != 0 ? 2 * n : 1;

	/* Room grows by powers of two: a list is made an element at a time. */
	if ((n & (n - 1)) == 0) {
		list->v_elem = xrealloc(list->v_elem,
		    room * sizeof(*list->v_elem));
		if (list->v_kind == V_STRUCT)
			list->v_name = xrealloc(list->v_name,
			    room * sizeof(*list->v_name));
	}
	list->v_elem[n] = elem;
	if (list->v_kind == V_STRUCT)
		list->v_name[n] = name != NULL ? xstrndup(name, strlen(name)) :
						 NULL;
	list->v_n++;
}

struct value
value_copy(const struct value *v)
{
	struct value c = *v;
	size_t i;

	if (v->v_kind == V_BYTES)
		return value_bytes(v->v_bytes, v->v_n);
	if (v->v_kind != V_LIST && v->v_kind != V_STRUCT)
		return c;
	c = value_empty(v->v_kind);
	for (i = 0; i < v->v_n; i++)
		value_add(&c, v->v_kind == V_STRUCT ? v->v_name[i] : NULL,
		    value_copy(&v->v_elem[i]));
	return c;
}

void
value_free(struct value *v)
{
	size_t i;

	if (v->v_kind == V_LIST || v->v_kind == V_STRUCT)
		for (i = 0; i < v->v_n; i++) {
			value_free(&v->v_elem[i]);
			if (v->v_kind == V_STRUCT)
				free(v->v_name[i]);
		}
	free(v->v_bytes);
	free(v->v_elem);
	free(v->v_name);
	*v = (struct value){ .v_kind = V_DEFAULT };
}

const struct value *
value_member(const struct value *v, const char *name)
{
	size_t i;

	if (v->v_kind != V_STRUCT)
		return NULL;
	for (i = 0; i < v->v_n; i++)
		if (v->v_name[i] != NULL && strcmp(v->v_name[i], name) == 0)
			return &v->v_elem[i];
	return NULL;
}

static bool
structs_equal(const struct value *a, const struct value *b)
{
	const struct value *m;
	size_t i;

	for (i = 0; i < b->v_n; i++) {
		if (b->v_name[i] != NULL)
			m = value_member(a, b->v_name[i]);
		else
			m = i < a->v_n ? &a->v_elem[i] : NULL;
		if (m == NULL || !value_equal(m, &b->v_elem[i]))
			return false;
	}
	return true;
}

bool
value_equal(const struct value *a, const struct value *b)
{
	size_t i;

	if (a->v_kind != b->v_kind)
		return false;
	switch (a->v_kind) {
	case V_INT:
		return a->v_int == b->v_int;
	case V_BYTES:
		return a->v_n == b->v_n &&
		    memcmp(a->v_bytes, b->v_bytes, a->v_n) == 0;
	case V_LIST:
		if (a->v_n != b->v_n)
			return false;
		for (i = 0; i < a->v_n; i++)
			if (!value_equal(&a->v_elem[i], &b->v_elem[i]))
				return false;
		return true;
	case V_STRUCT:
		return structs_equal(a, b);
	default:
		return true;
	}
}

const char *
value_what(const struct value *v)
{
	static const char *const what[] = {
		[V_DEFAULT] = "nothing",
		[V_NULL] = "NULL",
		[V_INT] = "a number",
		[V_BYTES] = "a string",
		[V_LIST] = "a list",
		[V_STRUCT] = "a struct",
	};

	return what[v->v_kind];
}

static void
print_bytes(FILE *f, const char *s, size_t n)
{
	unsigned char c;
	size_t i;

	fputc('"', f);
	for (i = 0; i < n; i++) {
		c = (unsigned char)s[i];
		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c == '\n')
			fputs("\\n", f);
		else if (c == '\t')
			fputs("\\t", f);
		else if (c < ' ' || c > '~')
			fprintf(f, "\\x%02x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

void
value_print(FILE *f, const struct value *v)
{
	size_t i;

	switch (v->v_kind) {
	case V_DEFAULT:
		fputc('_', f);
		break;
	case V_NULL:
		fputs("NULL", f);
		break;
	case V_INT:
		fprintf(f, "%lld", (long long)v->v_int);
		break;
	case V_BYTES:
		print_bytes(f, v->v_bytes, v->v_n);
		break;
	case V_LIST:
	case V_STRUCT:
		fputc(v->v_kind == V_LIST ? '[' : '{', f);
		for (i = 0; i < v->v_n; i++) {
			if (i > 0)
				fputs(", ", f);
			if (v->v_kind == V_STRUCT && v->v_name[i] != NULL)
				fprintf(f, "%s=", v->v_name[i]);
			value_print(f, &v->v_elem[i]);
		}
		fputc(v->v_kind == V_LIST ? ']' : '}', f);
		break;
	}
}
