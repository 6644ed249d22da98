/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From what a script says to the arguments of a call.
 *
 * First all values; then the numbers among them, since commands say what other
 * arguments are and lengths how long; then lengths that were not said, from the
 * values that they measure; then memory.  Memory is as long as the call is told
 * it is, whatever was said of its contents, so that a script can't make the call
 * leave it.  A length that no memory can have is passed on: the kernel has to
 * refuse it.
 */
#include <sys/mman.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"

/* Room for what is stored where nothing says how much. */
#define DEFAULT_BYTES 4096u
#define DEFAULT_ELEMS 16u

static bool
is_pointer(const struct qsys_arg *a)
{
	return a != NULL && a->a_kind >= QARG_STR;
}

/* Does the call only store there? */
static bool
is_out(const struct qsys_arg *a)
{
	return is_pointer(a) && (a->a_dir & QARG_INOUT) == QARG_OUT &&
	    a->a_kind != QARG_IOVEC;
}

static const char *
name_of(const struct call *k, unsigned i)
{
	return k->k_desc->d_args[i].a_name;
}

/* ---- values ------------------------------------------------------------------ */

static bool
take_one(struct console *c, const struct node *n, struct arg *arg)
{
	arg->a_at = n->n_at;
	if (n->n_kind == N_VAR && strcmp(n->n_text, "?") != 0) {
		arg->a_var = xstrndup(n->n_text, n->n_len);
		if (variable_get(c, n->n_text) == NULL)
			return true;
	}
	if (!eval(c, n, &arg->a_value))
		return false;
	arg->a_given = arg->a_value.v_kind != V_DEFAULT;
	return true;
}

static bool
take_args(struct console *c, const struct node *n, struct call *k)
{
	const struct node *kid = n->n_kid;
	unsigned i;

	for (i = 0; i < k->k_desc->d_nargs; i++) {
		k->k_arg[i].a_at = n->n_at;
		k->k_arg[i].a_type = &k->k_desc->d_args[i];
		if (k->k_desc->d_args[i].a_kind == QARG_HOLE || kid == NULL)
			continue;
		if (!take_one(c, kid, &k->k_arg[i]))
			return false;
		kid = kid->n_next;
	}
	if (kid != NULL)
		return complain(c, kid->n_at, "too many arguments for %s",
		    k->k_entry->e_decl);
	return true;
}

/* ---- numbers ------------------------------------------------------------------- */

/* How many bytes C has for it, and whether it has a sign. */
static bool
is_narrow(const struct qsys_arg *a)
{
	switch (a->a_kind) {
	case QARG_FD:
	case QARG_INT:
	case QARG_UINT:
	case QARG_PID:
	case QARG_UID:
	case QARG_GID:
	case QARG_MODE:
	case QARG_FLAGS:
	case QARG_ENUM:
		return true;
	default:
		return false;
	}
}

static bool
set_number(struct console *c, struct call *k, unsigned i)
{
	struct arg *arg = &k->k_arg[i];
	const struct value *v = &arg->a_value;

	if (v->v_kind != V_INT && v->v_kind != V_NULL && v->v_kind != V_DEFAULT)
		return complain(c, arg->a_at, "want a number for %s, not %s",
		    name_of(k, i), value_what(v));
	if (arg->a_type != NULL && is_narrow(arg->a_type) &&
	    (v->v_int < INT32_MIN || v->v_int > UINT32_MAX))
		return complain(c, arg->a_at, "%lld does not fit %s, an int",
		    (long long)v->v_int, name_of(k, i));
	k->k_raw[i] = (uint64_t)v->v_int;
	return true;
}

static bool
set_numbers(struct console *c, struct call *k)
{
	const struct qsys_desc *d = k->k_desc;
	struct arg *arg;
	unsigned i;

	for (i = 0; i < d->d_nargs; i++)
		if (d->d_args[i].a_kind != QARG_BY &&
		    !is_pointer(&d->d_args[i]) && !set_number(c, k, i))
			return false;
	for (i = 0; i < d->d_nargs; i++) {
		arg = &k->k_arg[i];
		arg->a_type = qsys_argtype(d, i, k->k_raw);
		if (is_out(arg->a_type) && arg->a_var != NULL) {
			value_free(&arg->a_value);
			arg->a_given = false;
		} else if (arg->a_var != NULL && !arg->a_given &&
		    !(is_pointer(arg->a_type) &&
			(arg->a_type->a_dir & QARG_OUT) != 0)) {
			return complain(c, arg->a_at, "$%.60s has no value",
			    arg->a_var);
		}
		/* What an unknown command takes is passed on as it is. */
		if (!is_pointer(arg->a_type) &&
		    d->d_args[i].a_kind == QARG_BY && !set_number(c, k, i))
			return false;
	}
	return true;
}

/* ---- lengths ----------------------------------------------------------------------- */

/* What a length that wasn't said should be for this. */
static uint64_t
natural_count(const struct arg *arg)
{
	const struct qsys_arg *a = arg->a_type;

	if (arg->a_value.v_kind != V_DEFAULT)
		return arg->a_value.v_kind == V_NULL ?
		    0 :
		    fill_count(a, &arg->a_value);
	if (a->a_kind == QARG_SIGSET)
		return 8;
	if ((a->a_dir & QARG_OUT) == 0 || (!is_out(a) && arg->a_var == NULL))
		return 0;
	return a->a_kind == QARG_BUF ? DEFAULT_BYTES : DEFAULT_ELEMS;
}

/* The number that argument `i` points to, for lengths that are stored. */
static bool
pointed_count(const struct arg *arg, uint64_t *np)
{
	const struct value *v = &arg->a_value;

	if (v->v_kind == V_LIST && v->v_n == 1)
		v = &v->v_elem[0];
	if (v->v_kind != V_INT)
		return false;
	*np = (uint32_t)v->v_int;
	return true;
}

static uint64_t
said_count(const struct call *k, unsigned i)
{
	const struct qsys_arg *a = &k->k_desc->d_args[i];

	if (a->a_kind == QARG_INT || a->a_kind == QARG_FD)
		return (uint64_t)(int32_t)k->k_raw[i];
	return is_narrow(a) ? (uint32_t)k->k_raw[i] : k->k_raw[i];
}

static void
set_count(struct call *k, unsigned i)
{
	struct arg *arg = &k->k_arg[i], *len;
	const struct qsys_arg *a = arg->a_type;
	uint64_t n = natural_count(arg);

	if (a->a_kind == QARG_STR) {
		arg->a_n = n;
		return;
	}
	if (a->a_lenhow == QLEN_CONST) {
		arg->a_n = a->a_len;
		return;
	}
	len = &k->k_arg[a->a_len];
	arg->a_n = n;
	if (a->a_lenhow == QLEN_ARG) {
		if (len->a_given)
			arg->a_n = said_count(k, a->a_len);
		else if (n > k->k_raw[a->a_len])
			k->k_raw[a->a_len] = n;
	} else if (!pointed_count(len, &arg->a_n) &&
	    len->a_value.v_kind == V_DEFAULT) {
		len->a_value = value_int((int64_t)n);
	}
}

static bool
set_counts(struct console *c, struct call *k)
{
	const struct qsys_desc *d = k->k_desc;
	bool measured[6] = { false };
	struct arg *arg;
	unsigned i;

	for (i = 0; i < d->d_nargs; i++) {
		arg = &k->k_arg[i];
		if (!is_pointer(arg->a_type))
			continue;
		set_count(k, i);
		if (arg->a_type->a_lenhow != QLEN_CONST)
			measured[arg->a_type->a_len] = true;
	}
	/* Several may be measured by one. */
	for (i = 0; i < d->d_nargs; i++) {
		arg = &k->k_arg[i];
		if (is_pointer(arg->a_type) &&
		    arg->a_type->a_lenhow == QLEN_ARG)
			arg->a_n = said_count(k, arg->a_type->a_len);
	}
	for (i = 0; i < d->d_nargs; i++) {
		arg = &k->k_arg[i];
		if (arg->a_type == NULL || arg->a_given || measured[i] ||
		    arg->a_at != k->k_at || arg->a_type->a_kind == QARG_HOLE ||
		    arg->a_type->a_kind == QARG_NONE ||
		    arg->a_type->a_kind == QARG_FLAGS || is_out(arg->a_type) ||
		    (arg->a_type->a_dir & QARG_OPTIONAL) != 0)
			continue;
		return complain(c, k->k_at, "%s is missing in %s",
		    name_of(k, i), k->k_entry->e_decl);
	}
	return true;
}

/* ---- memory -------------------------------------------------------------------------- */

static bool
set_memory(struct console *c, struct call *k, unsigned i)
{
	struct arg *arg = &k->k_arg[i];
	const struct qsys_arg *a = arg->a_type;
	const struct value *v = &arg->a_value;
	size_t told, own, size;
	struct region *r;

	if (v->v_kind == V_NULL ||
	    (v->v_kind == V_DEFAULT && arg->a_at == k->k_at && !is_out(a)) ||
	    (v->v_kind == V_DEFAULT && arg->a_var == NULL &&
		arg->a_at == k->k_at && (a->a_dir & QARG_OPTIONAL) != 0))
		return true;
	if (v->v_kind == V_INT &&
	    !(a->a_kind == QARG_ARRAY && a->a_lenhow == QLEN_CONST &&
		a->a_len == 1)) {
		k->k_raw[i] = (uint64_t)v->v_int;
		if (quaddr_maybe(k->k_raw[i], 1))
			return complain(c, arg->a_at,
			    "want a pointer for %s: 0x%llx may be an address "
			    "of the console's own",
			    name_of(k, i), (unsigned long long)k->k_raw[i]);
		return true;
	}
	own = a->a_kind == QARG_STR ? v->v_n + 1 :
				      fill_size(a, fill_count(a, v));
	if (a->a_kind == QARG_BUF)
		own = v->v_kind == V_BYTES ? v->v_n : 0;
	told = a->a_kind == QARG_STR ? own : fill_size(a, arg->a_n);
	size = told == SIZE_MAX || told < own ? own : told;
	if (size == SIZE_MAX || !region_add(k, size))
		return complain(c, arg->a_at,
		    "there is no memory of %zu bytes for %s", size,
		    name_of(k, i));
	arg->a_first = k->k_nregion - 1;
	arg->a_memory = true;
	k->k_raw[i] = (uintptr_t)k->k_region[arg->a_first].rg_mem;
	if (!fill(c, k, i))
		return false;
	r = &k->k_region[arg->a_first];
	if ((a->a_dir & QARG_IN) != 0 || a->a_kind == QARG_IOVEC) {
		r->rg_in = told == SIZE_MAX ? own : told;
		r->rg_inkept = a->a_kind == QARG_BUF ? r->rg_in :
		    own < r->rg_in                   ? own :
						       r->rg_in;
	}
	if ((a->a_dir & QARG_OUT) != 0 && size <= 65536) {
		r->rg_before = xmalloc(size);
		memcpy(r->rg_before, r->rg_mem, size);
	}
	return true;
}

bool
call_prepare(struct console *c, const struct node *n, struct call *k)
{
	unsigned i;

	*k = (struct call){ .k_entry = find_call(n->n_text),
		.k_client = c->c_cur,
		.k_at = n->n_at };
	if (k->k_entry == NULL)
		return complain(c, n->n_at, "there is no call '%.60s'",
		    n->n_text);
	k->k_desc = &qsys_descs[k->k_entry->e_nr];
	if (!take_args(c, n, k) || !set_numbers(c, k) || !set_counts(c, k))
		return false;
	for (i = 0; i < k->k_desc->d_nargs; i++)
		if (is_pointer(k->k_arg[i].a_type) && !set_memory(c, k, i))
			return false;
	return true;
}

void
call_free(struct call *k)
{
	struct region *r;
	unsigned i;

	for (i = 0; i < 6; i++) {
		value_free(&k->k_arg[i].a_value);
		free(k->k_arg[i].a_var);
	}
	while (k->k_nregion > 0) {
		r = &k->k_region[--k->k_nregion];
		free(r->rg_before);
		if (r->rg_mapped)
			(void)munmap(r->rg_mem, r->rg_size);
		else
			free(r->rg_mem);
	}
	free(k->k_region);
	k->k_region = NULL;
}
