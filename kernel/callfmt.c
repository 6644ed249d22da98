/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A system call as a line, much as strace prints it.
 *
 * Everything about types comes from the descriptions that syscalls.def makes;
 * what pointers pointed to, from the view of whoever wants the line.  Nothing
 * else is followed, so the line shows what the call saw, not what is there by
 * now.
 */
#include "callimpl.h"

/* Bits shown of a set. */
#define BITS_MAX 512u

struct line {
	char *l_buf;
	size_t l_size, l_len;
	const struct qsys_view *l_view;
};

/* What v_find told of some memory. */
struct bytes {
	const char *b_data;
	size_t b_len, b_kept;
};

QPRINTF(2, 3)
static void
say(struct line *l, const char *fmt, ...)
{
	size_t room = l->l_size - l->l_len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = qvsnprintf(l->l_buf + l->l_len, room, fmt, ap);
	va_end(ap);
	l->l_len += (size_t)n < room ? (size_t)n : room - 1;
}

/* Is the line full? */
static bool
full(const struct line *l)
{
	return l->l_len + 1 >= l->l_size;
}

static bool
find(const struct line *l, quaddr_t at, unsigned dir, struct bytes *b)
{
	b->b_data = l->l_view->v_find(l->l_view, at, dir, &b->b_len,
	    &b->b_kept);
	return b->b_data != NULL;
}

static void
say_addr(struct line *l, quaddr_t at)
{
	if (at == 0)
		say(l, "NULL");
	else if (l->l_view->v_hide && quaddr_maybe(at, 0) && at < QUADDR_END)
		say(l, "...");
	else
		say(l, "0x%lx", at);
}

/* ---- scalars ---------------------------------------------------------------- */

static void
say_octal(struct line *l, uint64_t x)
{
	char digits[24];
	size_t n = sizeof(digits);

	digits[--n] = '\0';
	for (; x != 0; x >>= 3)
		digits[--n] = (char)('0' + (x & 7));
	digits[--n] = '0';
	say(l, "%s", digits + n);
}

static void
say_flags(struct line *l, uint64_t v, const struct qsys_const *c)
{
	const char *sep = "";

	for (; c->c_name != NULL; c++) {
		if (c->c_mask != 0 ? (v & c->c_mask) != c->c_value :
				     (v & c->c_value) != c->c_value)
			continue;
		if (c->c_mask == 0)
			v &= ~c->c_value;
		else
			v &= ~c->c_mask | ~UINT64_C(0) << 32;
		say(l, "%s%s", sep, c->c_name);
		sep = "|";
	}
	if (v != 0 || *sep == '\0')
		say(l, v != 0 ? "%s0x%lx" : "%s%lu", sep, v);
}

static void
say_enum(struct line *l, int64_t v, const struct qsys_const *c)
{
	for (; c->c_name != NULL; c++)
		if ((int32_t)c->c_value == (int32_t)v) {
			say(l, "%s", c->c_name);
			return;
		}
	say(l, "%d", (int)v);
}

static void
say_scalar(struct line *l, unsigned kind, const void *set, uint64_t v)
{
	switch (kind) {
	case QARG_FD:
	case QARG_INT:
	case QARG_PID:
	case QARG_UID:
	case QARG_GID:
		say(l, "%d", (int)v);
		break;
	case QARG_UINT:
		say(l, "%u", (unsigned)v);
		break;
	case QARG_LONG:
	case QARG_OFF:
		say(l, "%ld", (int64_t)v);
		break;
	case QARG_ULONG:
	case QARG_SIZE:
		say(l, "%lu", v);
		break;
	case QARG_MODE:
		say_octal(l, (uint32_t)v);
		break;
	case QARG_FLAGS:
		say_flags(l, (uint32_t)v, set);
		break;
	case QARG_ENUM:
		say_enum(l, (int64_t)v, set);
		break;
	default:
		say_addr(l, v);
		break;
	}
}

/* A little-endian scalar of `size` bytes in memory. */
static uint64_t
load(const char *data, size_t size)
{
	uint64_t v = 0;

	memcpy(&v, data, size < sizeof(v) ? size : sizeof(v));
	return v;
}

/* ---- what pointers point to -------------------------------------------------- */

static void
say_bytes(struct line *l, const char *s, size_t len, size_t kept)
{
	size_t n = len < kept ? len : kept, i;
	unsigned char c;

	if (n > l->l_view->v_show)
		n = l->l_view->v_show;
	say(l, "\"");
	for (i = 0; i < n && !full(l); i++) {
		c = (unsigned char)s[i];
		if (c == '"' || c == '\\')
			say(l, "\\%c", c);
		else if (c == '\n')
			say(l, "\\n");
		else if (c == '\t')
			say(l, "\\t");
		else if (c < ' ' || c > '~')
			say(l, "\\x%02x", c);
		else
			say(l, "%c", c);
	}
	say(l, n < len ? "\"..." : "\"");
}

static void say_struct(struct line *l, const struct qsys_struct *t,
    const char *data, size_t kept);

/* A string in an array of `size` bytes: up to its 0. */
static void
say_text(struct line *l, const char *data, size_t size, size_t kept)
{
	size_t n = 0;

	if (kept > size)
		kept = size;
	while (n < kept && data[n] != '\0')
		n++;
	say_bytes(l, data, n < kept || kept == size ? n : size, kept);
}

/* One member, of whose struct `kept` bytes from `data` on are there. */
static void
say_field(struct line *l, const struct qsys_field *f, const char *data,
    size_t kept)
{
	size_t i, off;

	say(l, "%s=", f->f_name);
	if (f->f_kind == QARG_STR) {
		say_text(l, data + f->f_off, f->f_size * f->f_n,
		    kept - f->f_off);
		return;
	}
	if (f->f_n != 0)
		say(l, "[");
	for (i = 0; i < (f->f_n != 0 ? f->f_n : 1u); i++) {
		off = f->f_off + i * f->f_size;
		if (i > 0)
			say(l, ", ");
		if (f->f_kind == QARG_STRUCT) {
			say_struct(l, f->f_set, data + off,
			    kept > off ? kept - off : 0);
		} else if (kept < off + f->f_size) {
			say(l, "...");
			break;
		} else {
			say_scalar(l, f->f_kind, f->f_set,
			    load(data + off, f->f_size));
		}
	}
	if (f->f_n != 0)
		say(l, "]");
}

static void
say_struct(struct line *l, const struct qsys_struct *t, const char *data,
    size_t kept)
{
	const struct qsys_field *f;

	say(l, "{");
	for (f = t->t_fields; f->f_name != NULL; f++) {
		if (f != t->t_fields)
			say(l, ", ");
		if (kept <= f->f_off) {
			say(l, "...");
			break;
		}
		say_field(l, f, data, kept);
	}
	say(l, "}");
}

/* An array of structs or scalars, or one of them. */
static void
say_array(struct line *l, const struct qsys_arg *a, const struct bytes *b)
{
	size_t n = b->b_len / a->a_size, i, off;
	bool one = a->a_kind == QARG_STRUCT && a->a_lenhow == QLEN_CONST &&
	    a->a_len == 1;

	if (!one)
		say(l, "[");
	for (i = 0; i < n && !full(l); i++) {
		off = i * a->a_size;
		if (i > 0)
			say(l, ", ");
		if (off + a->a_size > b->b_kept &&
		    (a->a_kind != QARG_STRUCT || off >= b->b_kept)) {
			say(l, "...");
			break;
		}
		if (a->a_kind == QARG_STRUCT)
			say_struct(l, a->a_set, b->b_data + off,
			    b->b_kept - off);
		else
			say_scalar(l, a->a_elem, NULL,
			    load(b->b_data + off, a->a_size));
	}
	if (!one)
		say(l, "]");
}

static void
say_iovec(struct line *l, const struct qsys_arg *a, const struct bytes *b)
{
	size_t n = b->b_len / sizeof(struct q_iovec), i;
	struct bytes data;
	struct q_iovec v;

	say(l, "[");
	for (i = 0; i < n && (i + 1) * sizeof(v) <= b->b_kept && !full(l);
	     i++) {
		memcpy(&v, b->b_data + i * sizeof(v), sizeof(v));
		say(l, i > 0 ? ", {" : "{");
		if (find(l, (uintptr_t)v.iov_base, a->a_dir, &data))
			say_bytes(l, data.b_data,
			    data.b_len < v.iov_len ? data.b_len : v.iov_len,
			    data.b_kept);
		else
			say_addr(l, (uintptr_t)v.iov_base);
		say(l, ", %lu}", v.iov_len);
	}
	say(l, i < n ? ", ...]" : "]");
}

/* The numbers of the bits that are set. */
static void
say_bits(struct line *l, const struct bytes *b, unsigned first)
{
	const char *sep = "";
	size_t i;

	say(l, "[");
	for (i = 0; i < b->b_kept * 8 && i < BITS_MAX; i++)
		if ((b->b_data[i / 8] >> i % 8 & 1) != 0) {
			say(l, "%s%u", sep, (unsigned)i + first);
			sep = " ";
		}
	say(l, "]");
}

static void
say_pointer(struct line *l, const struct qsys_arg *a, uint64_t v)
{
	unsigned dir = a->a_kind == QARG_IOVEC ? QARG_IN : a->a_dir;
	struct bytes b;

	if (v == 0 || !find(l, v, dir, &b)) {
		say_addr(l, v);
		return;
	}
	switch (a->a_kind) {
	case QARG_STR:
		say_bytes(l, b.b_data, b.b_len != 0 ? b.b_len - 1 : 0,
		    b.b_kept);
		break;
	case QARG_BUF:
		say_bytes(l, b.b_data, b.b_len, b.b_kept);
		break;
	case QARG_STRUCT:
	case QARG_ARRAY:
		say_array(l, a, &b);
		break;
	case QARG_IOVEC:
		say_iovec(l, a, &b);
		break;
	case QARG_FDSET:
		say_bits(l, &b, 0);
		break;
	case QARG_SIGSET:
		say_bits(l, &b, 1);
		break;
	default:
		say_addr(l, v);
		break;
	}
}

/* ---- the call ------------------------------------------------------------------ */

const struct qsys_arg *
qsys_argtype(const struct qsys_desc *d, unsigned i, const uint64_t *args)
{
	const struct qsys_arg *a = &d->d_args[i];
	const struct qsys_command *m;

	if (a->a_kind != QARG_BY)
		return a;
	for (m = a->a_set; m->m_name != NULL; m++) {
		if ((uint32_t)m->m_value[0] != (uint32_t)args[a->a_sel[0]])
			continue;
		if (a->a_sel[1] == 0 ||
		    (uint32_t)m->m_value[1] == (uint32_t)args[a->a_sel[1]])
			return &m->m_arg;
	}
	return NULL;
}

/* One argument; false: it isn't shown. */
static bool
say_arg(struct line *l, const struct qsys_arg *a, uint64_t v, const char *sep)
{
	if (a == NULL) {
		say(l, "%s0x%lx", sep, v);
		return true;
	}
	if (a->a_kind == QARG_NONE || a->a_kind == QARG_HOLE)
		return false;
	say(l, "%s", sep);
	if (a->a_kind >= QARG_STR)
		say_pointer(l, a, v);
	else
		say_scalar(l, a->a_kind, a->a_set, v);
	return true;
}

static void
say_result(struct line *l, unsigned kind, int64_t ret)
{
	const char *name;

	if (ret >= 0 || ret < -4095) {
		say(l, ") = ");
		say_scalar(l, kind == QARG_NONE ? QARG_INT : kind, NULL,
		    (uint64_t)ret);
		return;
	}
	name = qerror_name((int)-ret);
	if (name != NULL)
		say(l, ") = -1 %s", name);
	else
		say(l, ") = %ld", ret);
}

size_t
qsys_format(const struct qsys_desc *d, const uint64_t *args, int64_t ret,
    const struct qsys_view *v, char *buf, size_t size)
{
	struct line l = { .l_buf = buf, .l_size = size, .l_view = v };
	const char *sep = "";
	unsigned i;

	if (size == 0)
		return 0;
	buf[0] = '\0';
	say(&l, "%s(", d->d_name);
	for (i = 0; i < d->d_nargs; i++)
		if (say_arg(&l, qsys_argtype(d, i, args), args[i], sep))
			sep = ", ";
	say_result(&l, d->d_ret, ret);
	return l.l_len;
}
