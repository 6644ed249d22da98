/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making a call through libffi, and what is done with its results.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ffi.h>

#include <quern/abi/uio.h>

#include "call.h"

/* The longest line of a call. */
#define LINE_MAX_SIZE 65536u

struct quern_proc *volatile in_call;

/* ---- the call ---------------------------------------------------------------- */

static ffi_type *
ctype_of(const struct qsys_arg *a)
{
	switch (a->a_kind) {
	case QARG_FLAGS:
	case QARG_ENUM:
		return a->a_elem == QARG_UINT ? &ffi_type_uint32 :
						&ffi_type_sint32;
	case QARG_FD:
	case QARG_INT:
	case QARG_PID:
		return &ffi_type_sint32;
	case QARG_UINT:
	case QARG_UID:
	case QARG_GID:
	case QARG_MODE:
		return &ffi_type_uint32;
	case QARG_LONG:
	case QARG_OFF:
		return &ffi_type_sint64;
	case QARG_ULONG:
	case QARG_SIZE:
	case QARG_ADDR:
	case QARG_BY:
		return &ffi_type_uint64;
	default:
		return &ffi_type_pointer;
	}
}

/* Of a number, little-endian as the only ABI there is: its bytes serve any of
   the types above. */
void
call_make(struct call *k)
{
	const struct qsys_desc *d = k->k_desc;
	struct quern_proc *p = k->k_client->cl_proc;
	ffi_type *types[7] = { &ffi_type_pointer };
	void *values[7] = { &p };
	unsigned i, n = 1;
	int64_t ret = 0;
	ffi_cif cif;

	for (i = 0; i < d->d_nargs; i++) {
		if (d->d_args[i].a_kind == QARG_HOLE)
			continue;
		types[n] = ctype_of(&d->d_args[i]);
		values[n++] = &k->k_raw[i];
	}
	if (ffi_prep_cif(&cif, FFI_DEFAULT_ABI, n, &ffi_type_sint64, types) !=
	    FFI_OK)
		abort();
	ffi_call(&cif, k->k_entry->e_fn, &ret, values);
	k->k_ret = ret;
}

/* ---- what it stored ------------------------------------------------------------ */

/* The data of a vector: what was read fills one element after the other. */
static void
spread(struct call *k, const struct region *vector, uint64_t left)
{
	struct q_iovec iov;
	size_t i, j, n;

	for (i = 0; (i + 1) * sizeof(iov) <= vector->rg_inkept; i++) {
		memcpy(&iov, vector->rg_mem + i * sizeof(iov), sizeof(iov));
		for (j = 0; j < k->k_nregion; j++) {
			if (k->k_region[j].rg_mem != iov.iov_base)
				continue;
			n = left < iov.iov_len ? left : iov.iov_len;
			k->k_region[j].rg_out = n;
			k->k_region[j].rg_stored = true;
			left -= n;
		}
	}
}

static void
note_stored(struct call *k)
{
	const struct qsys_arg *a;
	struct region *r;
	struct arg *arg;
	uint64_t n;
	unsigned i;

	for (i = 0; i < k->k_desc->d_nargs; i++) {
		arg = &k->k_arg[i];
		a = arg->a_type;
		if (!arg->a_memory || (a->a_dir & QARG_OUT) == 0)
			continue;
		r = &k->k_region[arg->a_first];
		n = arg->a_n;
		if (a->a_ret && k->k_ret >= 0 && (uint64_t)k->k_ret < n)
			n = (uint64_t)k->k_ret;
		if (a->a_kind == QARG_IOVEC) {
			r->rg_stored = k->k_ret >= 0;
			if (r->rg_stored)
				spread(k, r, (uint64_t)k->k_ret);
			continue;
		}
		/* Some calls store something although they fail. */
		r->rg_stored = k->k_ret >= 0 ||
		    (r->rg_before != NULL &&
			memcmp(r->rg_before, r->rg_mem, r->rg_size) != 0);
		r->rg_out = fill_size(a, n);
		if (r->rg_out > r->rg_size)
			r->rg_out = r->rg_size;
	}
}

struct view {
	struct qsys_view vw;
	const struct call *vw_call;
};

/* For qsys_format: memory of the call by its address. */
static const char *
find_memory(const struct qsys_view *v, quaddr_t at, unsigned dir, size_t *lenp,
    size_t *keptp)
{
	const struct call *k = ((const struct view *)v)->vw_call;
	const struct region *r;
	size_t i;

	for (i = 0; i < k->k_nregion; i++) {
		r = &k->k_region[i];
		if ((uintptr_t)r->rg_mem != at)
			continue;
		if (r->rg_stored && (dir & QARG_OUT) != 0) {
			*lenp = *keptp = r->rg_out;
			return r->rg_mem;
		}
		if ((dir & QARG_IN) == 0)
			return NULL;
		*lenp = r->rg_in;
		*keptp = r->rg_inkept;
		return r->rg_mem;
	}
	return NULL;
}

static void
print_call(const struct console *c, const struct call *k)
{
	struct view v = { .vw = { find_memory, c->c_opt->o_show, true },
		.vw_call = k };
	char *line = xmalloc(LINE_MAX_SIZE);

	(void)qsys_format(k->k_desc, k->k_raw, k->k_ret, &v.vw, line,
	    LINE_MAX_SIZE);
	if (k->k_client->cl_next != NULL)
		printf("%s: ", k->k_client->cl_name);
	puts(line);
	free(line);
}

void
call_finish(struct console *c, struct call *k)
{
	const struct arg *arg;
	unsigned i;

	note_stored(k);
	if (!c->c_opt->o_quiet)
		print_call(c, k);
	c->c_last = k->k_ret;
	for (i = 0; i < k->k_desc->d_nargs; i++) {
		arg = &k->k_arg[i];
		if (arg->a_memory && arg->a_var != NULL &&
		    (arg->a_type->a_dir & QARG_OUT) != 0 &&
		    k->k_region[arg->a_first].rg_stored)
			variable_set(c, arg->a_var, unfill(k, i));
	}
}
