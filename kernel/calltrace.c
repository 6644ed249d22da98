/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trace of system calls: a line for each, much as strace prints it.
 *
 *	[2] read(3, "hello"..., 100) = 64
 *
 * What pointers point to is shown as the call saw it: the handler runs on user
 * memory of ours that passes everything on and keeps the beginning of what was
 * copied.  So tracing follows no pointer that the call did not, and shows no
 * other bytes.
 */
#include "callimpl.h"

#include <quern/abi/epoll.h>

#define SEEN_MAX   8u
#define SEEN_BYTES 64u /* kept of each */
#define SHOW_BYTES 32u /* shown of a buffer or string */
#define LINE_SIZE  400u

/* A stretch of memory that was copied, and how it began. */
struct seen {
	quaddr_t se_at;
	size_t se_len;
	bool se_out;
	char se_data[SEEN_BYTES];
};

/* User memory that remembers. */
struct trace {
	struct quspace t_us; /* what the handler is given */
	const struct quspace *t_inner;
	unsigned t_n;
	struct seen t_seen[SEEN_MAX];
};

static struct trace *
trace_of(const struct quspace *us)
{
	return QCONTAINER((uintptr_t)us, struct trace, t_us);
}

/* `len` bytes at `at` were copied: part of the last stretch, or a new one. */
static void
note(struct trace *t, bool out, quaddr_t at, const char *data, size_t len)
{
	struct seen *se = t->t_n != 0 ? &t->t_seen[t->t_n - 1] : NULL;
	size_t n;

	if (len == 0)
		return;
	if (se == NULL || se->se_out != out || se->se_at + se->se_len != at) {
		if (t->t_n == SEEN_MAX)
			return;
		se = &t->t_seen[t->t_n++];
		se->se_at = at;
		se->se_len = 0;
		se->se_out = out;
	}
	if (se->se_len < SEEN_BYTES) {
		n = SEEN_BYTES - se->se_len;
		memcpy(se->se_data + se->se_len, data, len < n ? len : n);
	}
	se->se_len += len;
}

static int
trace_in(const struct quspace *us, void *dst, quaddr_t src, size_t len)
{
	struct trace *t = trace_of(us);
	int error = qcopyin(t->t_inner, dst, src, len);

	if (error == 0)
		note(t, false, src, dst, len);
	return error;
}

static int
trace_out(const struct quspace *us, quaddr_t dst, const void *src, size_t len)
{
	struct trace *t = trace_of(us);
	int error = qcopyout(t->t_inner, dst, src, len);

	if (error == 0)
		note(t, true, dst, src, len);
	return error;
}

static int64_t
trace_str(const struct quspace *us, char *dst, quaddr_t src, size_t max)
{
	struct trace *t = trace_of(us);
	int64_t len = qcopyinstr(t->t_inner, dst, src, max);

	if (len >= 0)
		note(t, false, src, dst, (size_t)len + 1);
	return len;
}

static const struct quspace_ops trace_ops = {
	.uo_in = trace_in,
	.uo_out = trace_out,
	.uo_str = trace_str,
};

/* What was copied from or to `at`; NULL: nothing. */
static const struct seen *
find_seen(const struct trace *t, quaddr_t at, unsigned dir)
{
	const struct seen *in = NULL, *se;
	unsigned i;

	for (i = t->t_n; i-- > 0;) {
		se = &t->t_seen[i];
		if (se->se_at != at)
			continue;
		if (se->se_out && (dir & QARG_OUT) != 0)
			return se;
		if (!se->se_out && (dir & QARG_IN) != 0)
			in = se;
	}
	return in;
}

/* ---- the line --------------------------------------------------------------- */

struct line {
	char l_buf[LINE_SIZE];
	size_t l_len;
	const struct trace *l_trace;
	const uint64_t *l_arg;
	int64_t l_ret;
};

QPRINTF(2, 3)
static void
say(struct line *l, const char *fmt, ...)
{
	size_t room = sizeof(l->l_buf) - l->l_len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = qvsnprintf(l->l_buf + l->l_len, room, fmt, ap);
	va_end(ap);
	l->l_len += (size_t)n < room ? (size_t)n : room - 1;
}

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
say_bytes(struct line *l, const char *s, size_t len, size_t kept)
{
	size_t n = len < kept ? len : kept, i;
	unsigned char c;

	if (n > SHOW_BYTES)
		n = SHOW_BYTES;
	say(l, "\"");
	for (i = 0; i < n; i++) {
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
		say(l, v != 0 ? "0x%lx" : "NULL", v);
		break;
	}
}

/* ---- what pointers point to -------------------------------------------------- */

#define BIT(x)               \
	{                    \
#x, Q_##x, 0 \
	}

static const struct qsys_const poll_bits[] = { BIT(POLLIN), BIT(POLLPRI),
	BIT(POLLOUT), BIT(POLLERR), BIT(POLLHUP), BIT(POLLNVAL),
	BIT(POLLRDNORM), BIT(POLLRDBAND), BIT(POLLWRNORM), BIT(POLLWRBAND),
	BIT(POLLMSG), BIT(POLLRDHUP), { NULL, 0, 0 } };

static const struct qsys_const epoll_bits[] = { BIT(EPOLLIN), BIT(EPOLLPRI),
	BIT(EPOLLOUT), BIT(EPOLLERR), BIT(EPOLLHUP), BIT(EPOLLNVAL),
	BIT(EPOLLRDNORM), BIT(EPOLLRDBAND), BIT(EPOLLWRNORM), BIT(EPOLLWRBAND),
	BIT(EPOLLMSG), BIT(EPOLLRDHUP), BIT(EPOLLEXCLUSIVE), BIT(EPOLLWAKEUP),
	BIT(EPOLLONESHOT), BIT(EPOLLET), { NULL, 0, 0 } };

static void
say_timespec(struct line *l, const void *data)
{
	const struct q_timespec *t = data;

	say(l, "{%ld, %ld}", t->tv_sec, t->tv_nsec);
}

static void
say_rlimit(struct line *l, const void *data)
{
	const struct q_rlimit *r = data;

	say(l, "{cur=%ld, max=%ld}", (int64_t)r->rlim_cur,
	    (int64_t)r->rlim_max);
}

static void
say_pollfd(struct line *l, const void *data)
{
	const struct q_pollfd *pf = data;

	say(l, "{%d, ", pf->fd);
	say_flags(l, (uint16_t)pf->events, poll_bits);
	say(l, ", ");
	say_flags(l, (uint16_t)pf->revents, poll_bits);
	say(l, "}");
}

static void
say_epoll_event(struct line *l, const void *data)
{
	struct q_epoll_event ev;

	memcpy(&ev, data, sizeof(ev));
	say(l, "{");
	say_flags(l, ev.events, epoll_bits);
	say(l, ", %lu}", ev.data);
}

/* How structs are shown; others by address. */
static const struct {
	const char *name;
	void (*say)(struct line *l, const void *data);
} struct_sayers[] = {
	{ "epoll_event", say_epoll_event },
	{ "pollfd", say_pollfd },
	{ "rlimit", say_rlimit },
	{ "timespec", say_timespec },
	{ "timeval", say_timespec },
};

/* One element of what was seen, at `data`, aligned. */
static bool
say_element(struct line *l, const struct qsys_arg *a, const char *data)
{
	uint64_t v = 0;
	char copy[SEEN_BYTES] __attribute__((aligned(16)));
	size_t i;

	memcpy(copy, data, a->a_size);
	if (a->a_kind == QARG_ARRAY) {
		memcpy(&v, copy, a->a_size < 8 ? a->a_size : 8);
		say_scalar(l, a->a_elem, NULL, v);
		return true;
	}
	for (i = 0; i < QARRAYLEN(struct_sayers); i++)
		if (qstrcmp(struct_sayers[i].name, a->a_set) == 0) {
			struct_sayers[i].say(l, copy);
			return true;
		}
	return false;
}

/* An array of structs or scalars, or one of them. */
static void
say_array(struct line *l, const struct qsys_arg *a, const struct seen *se)
{
	size_t n = se->se_len / a->a_size, i, len = l->l_len;
	bool one = a->a_kind == QARG_STRUCT && a->a_lenhow == QLEN_CONST &&
	    a->a_len == 1;

	if (!one)
		say(l, "[");
	for (i = 0; i < n && (i + 1) * a->a_size <= SEEN_BYTES; i++) {
		if (i > 0)
			say(l, ", ");
		if (!say_element(l, a, se->se_data + i * a->a_size)) {
			l->l_len = len;
			say(l, "0x%lx", se->se_at);
			return;
		}
	}
	if (!one)
		say(l, i < n ? ", ...]" : "]");
}

static void
say_iovec(struct line *l, const struct qsys_arg *a, const struct seen *se)
{
	size_t n = se->se_len / sizeof(struct q_iovec), i;
	const struct seen *data;
	struct q_iovec v;

	say(l, "[");
	for (i = 0; i < n && (i + 1) * sizeof(v) <= SEEN_BYTES; i++) {
		memcpy(&v, se->se_data + i * sizeof(v), sizeof(v));
		data = find_seen(l->l_trace, (uintptr_t)v.iov_base, a->a_dir);
		say(l, i > 0 ? ", {" : "{");
		if (data != NULL)
			say_bytes(l, data->se_data,
			    data->se_len < v.iov_len ? data->se_len : v.iov_len,
			    SEEN_BYTES);
		else
			say(l, "%p", v.iov_base);
		say(l, ", %lu}", v.iov_len);
	}
	say(l, i < n ? ", ...]" : "]");
}

/* The numbers of the bits that are set. */
static void
say_bits(struct line *l, const struct seen *se, unsigned first)
{
	const char *sep = "";
	size_t i;

	say(l, "[");
	for (i = 0; i < se->se_len * 8 && i < SEEN_BYTES * 8; i++)
		if ((se->se_data[i / 8] >> i % 8 & 1) != 0) {
			say(l, "%s%u", sep, (unsigned)i + first);
			sep = " ";
		}
	say(l, "]");
}

static void
say_pointer(struct line *l, const struct qsys_arg *a, uint64_t v)
{
	unsigned dir = a->a_kind == QARG_IOVEC ? QARG_IN : a->a_dir;
	const struct seen *se = find_seen(l->l_trace, v, dir);

	if (v == 0) {
		say(l, "NULL");
		return;
	}
	if (se == NULL) {
		say(l, "0x%lx", v);
		return;
	}
	switch (a->a_kind) {
	case QARG_STR:
		say_bytes(l, se->se_data, se->se_len - 1, SEEN_BYTES);
		break;
	case QARG_BUF:
		say_bytes(l, se->se_data, se->se_len, SEEN_BYTES);
		break;
	case QARG_STRUCT:
	case QARG_ARRAY:
		if (a->a_size > SEEN_BYTES)
			say(l, "0x%lx", v);
		else
			say_array(l, a, se);
		break;
	case QARG_IOVEC:
		say_iovec(l, a, se);
		break;
	case QARG_FDSET:
		say_bits(l, se, 0);
		break;
	case QARG_SIGSET:
		say_bits(l, se, 1);
		break;
	default:
		say(l, "0x%lx", v);
		break;
	}
}

/* The type that the selecting arguments give to an argument; NULL: unknown. */
static const struct qsys_arg *
selected(const struct line *l, const struct qsys_arg *a)
{
	const struct qsys_command *m;

	for (m = a->a_set; m->m_name != NULL; m++) {
		if ((uint32_t)m->m_value[0] != (uint32_t)l->l_arg[a->a_sel[0]])
			continue;
		if (a->a_sel[1] == 0 ||
		    (uint32_t)m->m_value[1] == (uint32_t)l->l_arg[a->a_sel[1]])
			return &m->m_arg;
	}
	return NULL;
}

/* One argument; false: it isn't shown. */
static bool
say_arg(struct line *l, const struct qsys_arg *a, uint64_t v, const char *sep)
{
	if (a->a_kind == QARG_BY) {
		a = selected(l, a);
		if (a == NULL) {
			say(l, "%s0x%lx", sep, v);
			return true;
		}
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
say_result(struct line *l, unsigned kind)
{
	const char *name;

	if (l->l_ret >= 0 || l->l_ret < -4095) {
		say(l, ") = ");
		say_scalar(l, kind == QARG_NONE ? QARG_INT : kind, NULL,
		    (uint64_t)l->l_ret);
		return;
	}
	name = qerror_name((int)-l->l_ret);
	if (name != NULL)
		say(l, ") = -1 %s", name);
	else
		say(l, ") = %ld", l->l_ret);
}

/* ---- calls --------------------------------------------------------------------- */

int64_t
trace_call(struct qsys *s)
{
	const struct qsys_desc *d = &qsys_descs[s->s_call->h_nr];
	struct trace t = { .t_us = { &trace_ops }, .t_inner = s->s_us };
	struct line l = { .l_trace = &t, .l_arg = s->s_arg };
	const char *sep = "";
	unsigned i;

	s->s_us = &t.t_us;
	l.l_ret = s->s_call->h_fn(s);
	s->s_us = t.t_inner;
	say(&l, "[%u] %s(", s->s_proc->p_pid, d->d_name);
	for (i = 0; i < d->d_nargs; i++)
		if (say_arg(&l, &d->d_args[i], s->s_arg[i], sep))
			sep = ", ";
	say_result(&l, d->d_ret);
	qlog(s->s_proc->p_k, QUERN_LOG_INFO, "%s", l.l_buf);
	return l.l_ret;
}

void
trace_missing(struct quern_proc *p, unsigned nr, const uint64_t *args)
{
	const char *name = quern_syscall_name(nr);
	char number[24];

	if (name == NULL) {
		qsnprintf(number, sizeof(number), "syscall_%u", nr);
		name = number;
	}
	qlog(p->p_k, QUERN_LOG_INFO,
	    "[%u] %s(0x%lx, 0x%lx, 0x%lx, 0x%lx, 0x%lx, 0x%lx)"
	    " = -1 ENOSYS (not implemented)",
	    p->p_pid, name, args[0], args[1], args[2], args[3], args[4],
	    args[5]);
}
