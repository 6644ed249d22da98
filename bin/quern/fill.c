/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Values into the memory that a call is given, and back.
 *
 * Every piece of memory is an allocation of its own, as long as the call is told
 * it is, so that the address sanitizer sees a kernel that goes beyond.
 */
#include <sys/mman.h>
#include <stdlib.h>
#include <string.h>

#include <quern/abi/uio.h>

#include "call.h"

/* Memory over this comes from mmap, which makes it when it is touched. */
#define REGION_HEAP ((size_t)1 << 20)

bool
region_add(struct call *k, size_t size)
{
	struct region r = { .rg_size = size };

	if (size > REGION_HEAP) {
		r.rg_mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (r.rg_mem == MAP_FAILED)
			return false;
		r.rg_mapped = true;
	} else {
		r.rg_mem = xmalloc(size);
	}
	k->k_region = xrealloc(k->k_region,
	    (k->k_nregion + 1) * sizeof(*k->k_region));
	k->k_region[k->k_nregion++] = r;
	return true;
}

static struct region *
last_region(const struct call *k)
{
	return &k->k_region[k->k_nregion - 1];
}

/* ---- sizes -------------------------------------------------------------------- */

uint64_t
fill_count(const struct qsys_arg *a, const struct value *v)
{
	uint64_t n = 0;
	size_t i;

	switch (v->v_kind) {
	case V_BYTES:
		return a->a_kind == QARG_BUF ? v->v_n :
		    a->a_size != 0           ? v->v_n / a->a_size :
					       0;
	case V_LIST:
		if (a->a_kind == QARG_SIGSET)
			return 8;
		if (a->a_kind != QARG_FDSET)
			return v->v_n;
		for (i = 0; i < v->v_n; i++)
			if (v->v_elem[i].v_kind == V_INT &&
			    v->v_elem[i].v_int >= (int64_t)n)
				n = (uint64_t)v->v_elem[i].v_int + 1;
		return n;
	case V_INT:
	case V_STRUCT:
		return 1;
	default:
		return 0;
	}
}

size_t
fill_size(const struct qsys_arg *a, uint64_t count)
{
	size_t size;

	if (count > QUADDR_END)
		return SIZE_MAX;
	switch (a->a_kind) {
	case QARG_BUF:
		return count;
	case QARG_FDSET:
		return (count + 63) / 64 * 8;
	case QARG_SIGSET:
		return count < 8 ? 8 : count;
	default:
		return __builtin_mul_overflow(count, (size_t)a->a_size, &size) ?
		    SIZE_MAX :
		    size;
	}
}

/* ---- into memory ---------------------------------------------------------------- */

static bool
fill_int(struct console *c, size_t at, const struct value *v, char *mem,
    size_t size)
{
	int64_t i = v->v_int, top = size < 8 ? INT64_C(1) << (8 * size) : 0;

	if (v->v_kind == V_NULL || v->v_kind == V_DEFAULT)
		i = 0;
	else if (v->v_kind != V_INT)
		return complain(c, at, "want a number here, not %s",
		    value_what(v));
	if (size < 8 && (i >= top || i < -top / 2))
		return complain(c, at, "%lld does not fit %zu bytes",
		    (long long)i, size);
	memcpy(mem, &i, size);
	return true;
}

/* A pointer: to nothing, to no place that a client could have, to bytes. */
static bool
fill_pointer(struct console *c, struct call *k, size_t at,
    const struct value *v, uint64_t *p)
{
	*p = 0;
	if (v->v_kind == V_NULL || v->v_kind == V_DEFAULT)
		return true;
	if (v->v_kind == V_INT) {
		*p = (uint64_t)v->v_int;
		if (quaddr_maybe(*p, 1))
			return complain(c, at,
			    "0x%llx may be an address of the console's own",
			    (unsigned long long)*p);
		return true;
	}
	if (v->v_kind != V_BYTES)
		return complain(c, at, "want a string or NULL here, not %s",
		    value_what(v));
	if (!region_add(k, v->v_n))
		return complain(c, at, "there is no memory for this");
	memcpy(last_region(k)->rg_mem, v->v_bytes, v->v_n);
	last_region(k)->rg_in = last_region(k)->rg_inkept = v->v_n;
	*p = (uintptr_t)last_region(k)->rg_mem;
	return true;
}

static bool fill_struct(struct console *c, struct call *k, size_t at,
    const struct qsys_struct *t, const struct value *v, char *mem);

static bool
fill_text(struct console *c, size_t at, const struct qsys_field *f,
    const struct value *v, char *mem)
{
	if (v->v_kind != V_BYTES || v->v_n > (size_t)f->f_size * f->f_n)
		return complain(c, at, "want a string of up to %u bytes for %s",
		    f->f_size * f->f_n, f->f_name);
	memcpy(mem, v->v_bytes, v->v_n);
	return true;
}

/* One element of a member. */
static bool
fill_field(struct console *c, struct call *k, size_t at,
    const struct qsys_field *f, const struct value *v, char *mem)
{
	uint64_t p;

	if (f->f_kind == QARG_STRUCT)
		return fill_struct(c, k, at, f->f_set, v, mem);
	if (f->f_kind == QARG_ADDR) {
		if (!fill_pointer(c, k, at, v, &p))
			return false;
		memcpy(mem, &p, f->f_size);
		return true;
	}
	return fill_int(c, at, v, mem, f->f_size);
}

static bool
fill_member(struct console *c, struct call *k, size_t at,
    const struct qsys_field *f, const struct value *v, char *mem)
{
	size_t i;

	mem += f->f_off;
	if (f->f_kind == QARG_STR)
		return fill_text(c, at, f, v, mem);
	if (f->f_n == 0)
		return fill_field(c, k, at, f, v, mem);
	if (v->v_kind != V_LIST || v->v_n > f->f_n)
		return complain(c, at, "want a list of up to %u for %s", f->f_n,
		    f->f_name);
	for (i = 0; i < v->v_n; i++)
		if (!fill_field(c, k, at, f, &v->v_elem[i],
			mem + i * f->f_size))
			return false;
	return true;
}

static bool
fill_struct(struct console *c, struct call *k, size_t at,
    const struct qsys_struct *t, const struct value *v, char *mem)
{
	const struct qsys_field *f;
	size_t i;

	if (v->v_kind == V_DEFAULT)
		return true;
	if (v->v_kind == V_BYTES && v->v_n == t->t_size) {
		memcpy(mem, v->v_bytes, v->v_n);
		return true;
	}
	if (v->v_kind != V_STRUCT)
		return complain(c, at, "want a struct %s here, {...}, not %s",
		    t->t_name, value_what(v));
	for (i = 0; i < v->v_n; i++) {
		for (f = t->t_fields; f->f_name != NULL; f++)
			if (v->v_name[i] != NULL ?
				strcmp(v->v_name[i], f->f_name) == 0 :
				f == &t->t_fields[i])
				break;
		if (f->f_name == NULL && v->v_name[i] != NULL)
			return complain(c, at,
			    "struct %s has no member '%.60s'", t->t_name,
			    v->v_name[i]);
		if (f->f_name == NULL)
			return complain(c, at, "struct %s has only %zu members",
			    t->t_name, i);
		if (!fill_member(c, k, at, f, &v->v_elem[i], mem))
			return false;
	}
	return true;
}

static bool
fill_array(struct console *c, struct call *k, size_t at,
    const struct qsys_arg *a, const struct value *v, char *mem)
{
	const struct value *e = v;
	size_t i, n = 1;
	bool ok;

	if (v->v_kind == V_BYTES && v->v_n % a->a_size == 0) {
		memcpy(mem, v->v_bytes, v->v_n);
		return true;
	}
	if (v->v_kind == V_LIST) {
		e = v->v_elem;
		n = v->v_n;
	}
	for (i = 0; i < n; i++) {
		if (a->a_kind == QARG_STRUCT)
			ok = fill_struct(c, k, at, a->a_set, &e[i],
			    mem + i * a->a_size);
		else
			ok = fill_int(c, at, &e[i], mem + i * a->a_size,
			    a->a_size);
		if (!ok)
			return false;
	}
	return true;
}

/* A set, from the numbers that are in it. */
static bool
fill_bits(struct console *c, size_t at, const struct value *v, char *mem,
    size_t size, int64_t first)
{
	int64_t bit;
	size_t i;

	if (v->v_kind != V_LIST)
		return complain(c, at, "want a list of numbers here, not %s",
		    value_what(v));
	for (i = 0; i < v->v_n; i++) {
		bit = v->v_elem[i].v_int - first;
		if (v->v_elem[i].v_kind != V_INT || bit < 0 ||
		    (uint64_t)bit / 8 >= size)
			return complain(c, at,
			    "element %zu can't be in a set of %zu bytes", i,
			    size);
		mem[bit / 8] |= (char)(1 << bit % 8);
	}
	return true;
}

/* What base and length of an element are, in `v`. */
static bool
iovec_parts(struct console *c, size_t at, const struct value *v,
    const struct value **base, uint64_t *lenp)
{
	const struct value *len = NULL;

	*base = v;
	if (v->v_kind == V_STRUCT) {
		if (v->v_n != 2)
			return complain(c, at,
			    "want {iov_base, iov_len} in a vector");
		*base = value_member(v, "iov_base");
		len = value_member(v, "iov_len");
		if (*base == NULL)
			*base = &v->v_elem[0];
		if (len == NULL)
			len = &v->v_elem[1];
	}
	if (len != NULL && len->v_kind == V_INT)
		*lenp = (uint64_t)len->v_int;
	else if ((*base)->v_kind == V_INT && len == NULL)
		*lenp = (uint64_t)(*base)->v_int;
	else
		*lenp = (*base)->v_kind == V_BYTES ? (*base)->v_n : 0;
	return true;
}

/* One element: a string, a number of bytes, NULL, or {base, length}. */
static bool
fill_iovec(struct console *c, struct call *k, size_t at, const struct value *v,
    struct q_iovec *iov)
{
	const struct value *base;
	uint64_t len = 0, p;
	struct region *r;
	size_t size, n;

	if (!iovec_parts(c, at, v, &base, &len))
		return false;
	iov->iov_len = len;
	if (base->v_kind == V_NULL || (base->v_kind == V_INT && base != v)) {
		if (!fill_pointer(c, k, at, base, &p))
			return false;
		iov->iov_base = (void *)(uintptr_t)p;
		return true;
	}
	if (base->v_kind != V_BYTES && base->v_kind != V_INT &&
	    base->v_kind != V_DEFAULT)
		return complain(c, at, "%s is no element of a vector",
		    value_what(base));
	n = base->v_kind == V_BYTES ? base->v_n : 0;
	/* A length that no call may accept need not be there. */
	size = (int64_t)len < 0 ? n : len;
	if (!region_add(k, size))
		return complain(c, at, "there is no memory of %zu bytes", size);
	r = last_region(k);
	r->rg_in = r->rg_inkept = size;
	if (n != 0)
		memcpy(r->rg_mem, base->v_bytes, n < size ? n : size);
	iov->iov_base = r->rg_mem;
	return true;
}

static bool
fill_vector(struct console *c, struct call *k, size_t at, const struct value *v,
    char *mem)
{
	struct q_iovec iov;
	size_t i;

	if (v->v_kind != V_LIST)
		return complain(c, at, "want a list of buffers here, not %s",
		    value_what(v));
	for (i = 0; i < v->v_n; i++) {
		if (!fill_iovec(c, k, at, &v->v_elem[i], &iov))
			return false;
		memcpy(mem + i * sizeof(iov), &iov, sizeof(iov));
	}
	return true;
}

bool
fill(struct console *c, struct call *k, unsigned i)
{
	struct arg *arg = &k->k_arg[i];
	const struct qsys_arg *a = arg->a_type;
	const struct value *v = &arg->a_value;
	struct region *r = &k->k_region[arg->a_first];
	char *mem = r->rg_mem;
	size_t size = r->rg_size;

	if (v->v_kind == V_DEFAULT)
		return true;
	switch (a->a_kind) {
	case QARG_STR:
	case QARG_BUF:
		if (v->v_kind != V_BYTES)
			return complain(c, arg->a_at,
			    "want a string for %s, not %s", a->a_name,
			    value_what(v));
		memcpy(mem, v->v_bytes, v->v_n);
		return true;
	case QARG_STRUCT:
	case QARG_ARRAY:
		return fill_array(c, k, arg->a_at, a, v, mem);
	case QARG_FDSET:
		return fill_bits(c, arg->a_at, v, mem, size, 0);
	case QARG_SIGSET:
		return fill_bits(c, arg->a_at, v, mem, size, 1);
	case QARG_IOVEC:
		return fill_vector(c, k, arg->a_at, v, mem);
	default:
		return complain(c, arg->a_at,
		    "the console can't make what %s is", a->a_name);
	}
}

/* ---- back from memory -------------------------------------------------------------- */

/* A scalar of `size` bytes; of kinds with a sign, with it. */
static struct value
unfill_int(unsigned kind, const char *mem, size_t size)
{
	uint64_t u = 0;
	unsigned shift = size < 8 ? 64 - 8 * (unsigned)size : 0;

	memcpy(&u, mem, size < 8 ? size : 8);
	switch (kind) {
	case QARG_FD:
	case QARG_INT:
	case QARG_LONG:
	case QARG_OFF:
	case QARG_PID:
	case QARG_ENUM:
		return value_int((int64_t)(u << shift) >> shift);
	default:
		return value_int((int64_t)u);
	}
}

static struct value
unfill_struct(const struct qsys_struct *t, const char *mem)
{
	struct value v = value_empty(V_STRUCT), list;
	const struct qsys_field *f;
	const char *at;
	size_t i;

	for (f = t->t_fields; f->f_name != NULL; f++) {
		at = mem + f->f_off;
		if (f->f_kind == QARG_STR) {
			value_add(&v, f->f_name,
			    value_bytes(at,
				strnlen(at, (size_t)f->f_size * f->f_n)));
		} else if (f->f_kind == QARG_STRUCT) {
			value_add(&v, f->f_name, unfill_struct(f->f_set, at));
		} else if (f->f_n == 0) {
			value_add(&v, f->f_name,
			    unfill_int(f->f_kind, at, f->f_size));
		} else {
			list = value_empty(V_LIST);
			for (i = 0; i < f->f_n; i++)
				value_add(&list, NULL,
				    unfill_int(f->f_kind, at + i * f->f_size,
					f->f_size));
			value_add(&v, f->f_name, list);
		}
	}
	return v;
}

static struct value
unfill_array(const struct qsys_arg *a, const struct region *r)
{
	bool one = a->a_lenhow == QLEN_CONST && a->a_len == 1;
	struct value list = value_empty(V_LIST), v;
	size_t i, n = r->rg_out / a->a_size;

	for (i = 0; i < n && i < VALUE_ELEMS_MAX; i++) {
		if (a->a_kind == QARG_STRUCT)
			v = unfill_struct(a->a_set, r->rg_mem + i * a->a_size);
		else
			v = unfill_int(a->a_elem, r->rg_mem + i * a->a_size,
			    a->a_size);
		if (one)
			return v;
		value_add(&list, NULL, v);
	}
	return list;
}

static struct value
unfill_bits(const struct region *r, int64_t first)
{
	struct value list = value_empty(V_LIST);
	size_t i;

	for (i = 0; i < r->rg_out * 8 && list.v_n < VALUE_ELEMS_MAX; i++)
		if ((r->rg_mem[i / 8] >> i % 8 & 1) != 0)
			value_add(&list, NULL, value_int((int64_t)i + first));
	return list;
}

/* What the elements of a vector were filled with. */
static struct value
unfill_vector(const struct call *k, const struct region *r)
{
	struct value list = value_empty(V_LIST);
	struct q_iovec iov;
	size_t i, j;

	for (i = 0; (i + 1) * sizeof(iov) <= r->rg_inkept; i++) {
		memcpy(&iov, r->rg_mem + i * sizeof(iov), sizeof(iov));
		for (j = 0; j < k->k_nregion; j++)
			if (k->k_region[j].rg_mem == iov.iov_base)
				break;
		value_add(&list, NULL,
		    j < k->k_nregion ? value_bytes(k->k_region[j].rg_mem,
					   k->k_region[j].rg_out) :
				       value_null());
	}
	return list;
}

struct value
unfill(const struct call *k, unsigned i)
{
	const struct arg *arg = &k->k_arg[i];
	const struct region *r = &k->k_region[arg->a_first];

	switch (arg->a_type->a_kind) {
	case QARG_BUF:
		return value_bytes(r->rg_mem,
		    r->rg_out < VALUE_BYTES_MAX ? r->rg_out : VALUE_BYTES_MAX);
	case QARG_STR:
		return value_bytes(r->rg_mem, strnlen(r->rg_mem, r->rg_out));
	case QARG_STRUCT:
	case QARG_ARRAY:
		return unfill_array(arg->a_type, r);
	case QARG_FDSET:
		return unfill_bits(r, 0);
	case QARG_SIGSET:
		return unfill_bits(r, 1);
	case QARG_IOVEC:
		return unfill_vector(k, r);
	default:
		return value_null();
	}
}
