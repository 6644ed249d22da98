/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Expressions and variables.
 */
#include <stdlib.h>
#include <string.h>

#include "call.h"

/* ---- variables ---------------------------------------------------------------- */

static struct variable *
find_variable(const struct console *c, const char *name)
{
	struct variable *va;

	for (va = c->c_vars; va != NULL; va = va->va_next)
		if (strcmp(va->va_name, name) == 0)
			return va;
	return NULL;
}

const struct value *
variable_get(const struct console *c, const char *name)
{
	const struct variable *va = find_variable(c, name);

	return va != NULL ? &va->va_value : NULL;
}

void
variable_set(struct console *c, const char *name, struct value v)
{
	struct variable *va = find_variable(c, name);

	if (va == NULL) {
		va = xmalloc(sizeof(*va));
		va->va_name = xstrndup(name, strlen(name));
		va->va_next = c->c_vars;
		c->c_vars = va;
	}
	value_free(&va->va_value);
	va->va_value = v;
}

void
variables_free(struct console *c)
{
	struct variable *va;

	while ((va = c->c_vars) != NULL) {
		c->c_vars = va->va_next;
		value_free(&va->va_value);
		free(va->va_name);
		free(va);
	}
}

/* ---- operators ---------------------------------------------------------------- */

static bool
eval_int(struct console *c, const struct node *n, int64_t *ip)
{
	struct value v;
	bool ok;

	if (!eval(c, n, &v))
		return false;
	ok = v.v_kind == V_INT;
	if (!ok)
		complain(c, n->n_at, "want a number, this is %s",
		    value_what(&v));
	*ip = v.v_int;
	value_free(&v);
	return ok;
}

/* A string times a number, a list times a number. */
static bool
repeat(struct console *c, const struct node *n, const struct value *a,
    int64_t times, struct value *v)
{
	size_t max = a->v_kind == V_BYTES ? VALUE_BYTES_MAX : VALUE_ELEMS_MAX;
	size_t total, i, j;

	if (times < 0 ||
	    __builtin_mul_overflow(a->v_n, (size_t)times, &total) ||
	    total > max)
		return complain(c, n->n_at, "this would be too long");
	*v = value_empty(a->v_kind);
	if (a->v_kind == V_BYTES) {
		v->v_bytes = xmalloc(total + 1);
		v->v_n = total;
		for (i = 0; i < (size_t)times; i++)
			memcpy(v->v_bytes + i * a->v_n, a->v_bytes, a->v_n);
		return true;
	}
	for (i = 0; i < (size_t)times && total != 0; i++)
		for (j = 0; j < a->v_n; j++)
			value_add(v, NULL, value_copy(&a->v_elem[j]));
	return true;
}

/* One string or list behind another. */
static bool
join(struct console *c, const struct node *n, const struct value *a,
    const struct value *b, struct value *v)
{
	size_t max = a->v_kind == V_BYTES ? VALUE_BYTES_MAX : VALUE_ELEMS_MAX;
	size_t i;

	if (a->v_n + b->v_n > max)
		return complain(c, n->n_at, "this would be too long");
	*v = value_empty(a->v_kind);
	if (a->v_kind == V_BYTES) {
		v->v_bytes = xmalloc(a->v_n + b->v_n + 1);
		memcpy(v->v_bytes, a->v_bytes, a->v_n);
		memcpy(v->v_bytes + a->v_n, b->v_bytes, b->v_n);
		v->v_n = a->v_n + b->v_n;
		return true;
	}
	for (i = 0; i < a->v_n; i++)
		value_add(v, NULL, value_copy(&a->v_elem[i]));
	for (i = 0; i < b->v_n; i++)
		value_add(v, NULL, value_copy(&b->v_elem[i]));
	return true;
}

static bool
operate(struct console *c, const struct node *n, const struct value *a,
    const struct value *b, struct value *v)
{
	uint64_t x = (uint64_t)a->v_int, y = (uint64_t)b->v_int;
	int op = (int)n->n_int;

	if (a->v_kind == V_INT && b->v_kind == V_INT) {
		x = op == '|' ? x | y :
		    op == '+' ? x + y :
		    op == '-' ? x - y :
				x * y;
		*v = value_int((int64_t)x);
		return true;
	}
	if (op == '*' && (a->v_kind == V_BYTES || a->v_kind == V_LIST) &&
	    b->v_kind == V_INT)
		return repeat(c, n, a, b->v_int, v);
	if (op == '+' && a->v_kind == b->v_kind &&
	    (a->v_kind == V_BYTES || a->v_kind == V_LIST))
		return join(c, n, a, b, v);
	return complain(c, n->n_at, "'%c' does nothing with %s and %s", op,
	    value_what(a), value_what(b));
}

static bool
eval_binary(struct console *c, const struct node *n, struct value *v)
{
	struct value a, b;
	bool ok;

	if (!eval(c, n->n_kid, &a))
		return false;
	if (!eval(c, n->n_kid->n_next, &b)) {
		value_free(&a);
		return false;
	}
	ok = operate(c, n, &a, &b, v);
	value_free(&a);
	value_free(&b);
	return ok;
}

/* ---- parts of values ------------------------------------------------------------ */

static bool
index_of(struct console *c, const struct node *n, const struct value *of,
    int64_t i, struct value *v)
{
	if (of->v_kind != V_LIST && of->v_kind != V_BYTES)
		return complain(c, n->n_at, "%s has no elements",
		    value_what(of));
	if (i < 0 || (uint64_t)i >= of->v_n)
		return complain(c, n->n_at, "[%lld] of %zu elements",
		    (long long)i, of->v_n);
	*v = of->v_kind == V_LIST ? value_copy(&of->v_elem[i]) :
				    value_int((unsigned char)of->v_bytes[i]);
	return true;
}

static bool
slice_of(struct console *c, const struct node *n, const struct value *of,
    int64_t from, int64_t to, struct value *v)
{
	int64_t i;

	if (of->v_kind != V_LIST && of->v_kind != V_BYTES)
		return complain(c, n->n_at, "%s has no elements",
		    value_what(of));
	if (from < 0 || to < from || (uint64_t)to > of->v_n)
		return complain(c, n->n_at, "[%lld:%lld] of %zu elements",
		    (long long)from, (long long)to, of->v_n);
	if (of->v_kind == V_BYTES) {
		*v = value_bytes(of->v_bytes + from, (size_t)(to - from));
		return true;
	}
	*v = value_empty(V_LIST);
	for (i = from; i < to; i++)
		value_add(v, NULL, value_copy(&of->v_elem[i]));
	return true;
}

static bool
member_of(struct console *c, const struct node *n, const struct value *of,
    struct value *v)
{
	const struct value *m;

	if (of->v_kind != V_STRUCT)
		return complain(c, n->n_at, "%s has no members",
		    value_what(of));
	m = value_member(of, n->n_text);
	if (m == NULL)
		return complain(c, n->n_at, "it has no member '%.60s'",
		    n->n_text);
	*v = value_copy(m);
	return true;
}

static bool
eval_part(struct console *c, const struct node *n, struct value *v)
{
	const struct node *i = n->n_kid->n_next;
	int64_t from = 0, to = 0;
	const struct value *of;
	struct value made = { .v_kind = V_DEFAULT };
	bool ok = false;

	/* A part of a variable: without copying all of it. */
	of = n->n_kid->n_kind == N_VAR ? variable_get(c, n->n_kid->n_text) :
					 NULL;
	if (i != NULL && !eval_int(c, i, &from))
		return false;
	if (n->n_kind == N_SLICE && !eval_int(c, i->n_next, &to))
		return false;
	if (of == NULL) {
		if (!eval(c, n->n_kid, &made))
			return false;
		of = &made;
	}
	if (n->n_kind == N_MEMBER)
		ok = member_of(c, n, of, v);
	else if (n->n_kind == N_INDEX)
		ok = index_of(c, n, of, from, v);
	else
		ok = slice_of(c, n, of, from, to, v);
	value_free(&made);
	return ok;
}

/* ---- lists, calls ---------------------------------------------------------------- */

static bool
eval_list(struct console *c, const struct node *n, struct value *v)
{
	const struct node *kid;
	struct value elem;

	*v = value_empty(n->n_kind == N_LIST ? V_LIST : V_STRUCT);
	for (kid = n->n_kid; kid != NULL; kid = kid->n_next) {
		if (!eval(c, kid->n_kind == N_FIELD ? kid->n_kid : kid,
			&elem)) {
			value_free(v);
			return false;
		}
		value_add(v, kid->n_kind == N_FIELD ? kid->n_text : NULL, elem);
	}
	return true;
}

/* From now on Ctrl-C is for it, as is one that came since its line was typed. */
void
call_begin(const struct call *k)
{
	in_call = k->k_client->cl_proc;
	if (interrupted != 0 || ending != 0) {
		interrupted = 0;
		quern_interrupt(k->k_client->cl_proc);
	}
}

static bool
eval_call(struct console *c, const struct node *n, struct value *v)
{
	struct call k;
	bool ok;

	ok = call_prepare(c, n, &k);
	if (ok) {
		call_begin(&k);
		call_make(&k);
		in_call = NULL;
		call_finish(c, &k);
		*v = value_int(k.k_ret);
	}
	call_free(&k);
	return ok;
}

/* As another process. */
static bool
eval_as(struct console *c, const struct node *n, struct value *v)
{
	struct client *cl = client_find(c, n->n_text), *old = c->c_cur;
	bool ok;

	if (cl == NULL)
		return complain(c, n->n_at, "there is no process '%.60s'",
		    n->n_text);
	c->c_cur = cl;
	ok = eval(c, n->n_kid, v);
	c->c_cur = old;
	return ok;
}

static bool
eval_name(struct console *c, const struct node *n, struct value *v)
{
	const struct value *val;
	int64_t i;

	if (n->n_kind == N_VAR) {
		if (strcmp(n->n_text, "?") == 0) {
			*v = value_int(c->c_last);
			return true;
		}
		val = variable_get(c, n->n_text);
		if (val == NULL)
			return complain(c, n->n_at, "$%.60s has no value",
			    n->n_text);
		*v = value_copy(val);
		return true;
	}
	if (strcmp(n->n_text, "NULL") == 0) {
		*v = value_null();
		return true;
	}
	if (!find_constant(n->n_text, &i))
		return complain(c, n->n_at,
		    "'%.60s' is the name of no constant", n->n_text);
	*v = value_int(i);
	return true;
}

static bool
eval_sign(struct console *c, const struct node *n, struct value *v)
{
	const struct node *kid = n->n_kid;
	int64_t i;

	if (!eval_int(c, kid, &i))
		return false;
	if (n->n_kind == N_NOT)
		i = ~i;
	/* -EAGAIN is the same as EAGAIN: what a call returns. */
	else if (!(kid->n_kind == N_NAME && kid->n_text[0] == 'E' && i < 0))
		i = (int64_t)(0 - (uint64_t)i);
	*v = value_int(i);
	return true;
}

bool
eval(struct console *c, const struct node *n, struct value *v)
{
	int64_t ret;

	*v = (struct value){ .v_kind = V_DEFAULT };
	switch (n->n_kind) {
	case N_DEFAULT:
		return true;
	case N_INT:
		*v = value_int(n->n_int);
		return true;
	case N_STR:
		*v = value_bytes(n->n_text, n->n_len);
		return true;
	case N_NAME:
	case N_VAR:
		return eval_name(c, n, v);
	case N_LIST:
	case N_STRUCT:
		return eval_list(c, n, v);
	case N_NEG:
	case N_NOT:
		return eval_sign(c, n, v);
	case N_BINARY:
		return eval_binary(c, n, v);
	case N_INDEX:
	case N_SLICE:
	case N_MEMBER:
		return eval_part(c, n, v);
	case N_CALL:
		return eval_call(c, n, v);
	case N_AS:
		return eval_as(c, n, v);
	case N_JOIN:
		if (!job_join(c, n, &ret))
			return false;
		*v = value_int(ret);
		return true;
	default:
		return complain(c, n->n_at, "this has no value");
	}
}
