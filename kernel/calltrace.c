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
	struct qsys_view t_view;
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

/* What was copied from or to `at`. */
static const char *
find_seen(const struct qsys_view *v, quaddr_t at, unsigned dir, size_t *lenp,
    size_t *keptp)
{
	const struct trace *t = QCONTAINER((uintptr_t)v, struct trace, t_view);
	const struct seen *found = NULL, *se;
	unsigned i;

	for (i = t->t_n; i-- > 0;) {
		se = &t->t_seen[i];
		if (se->se_at != at)
			continue;
		if (se->se_out && (dir & QARG_OUT) != 0) {
			found = se;
			break;
		}
		if (!se->se_out && (dir & QARG_IN) != 0)
			found = se;
	}
	if (found == NULL)
		return NULL;
	*lenp = found->se_len;
	*keptp = found->se_len < SEEN_BYTES ? found->se_len : SEEN_BYTES;
	return found->se_data;
}

int64_t
trace_call(struct qsys *s)
{
	const struct qsys_desc *d = &qsys_descs[s->s_call->h_nr];
	struct trace t = { .t_us = { &trace_ops },
		.t_inner = s->s_us,
		.t_view = { find_seen, SHOW_BYTES, false } };
	char line[LINE_SIZE];
	int64_t ret;

	s->s_us = &t.t_us;
	ret = s->s_call->h_fn(s);
	s->s_us = t.t_inner;
	(void)qsys_format(d, s->s_arg, ret, &t.t_view, line, sizeof(line));
	qlog(s->s_proc->p_k, QUERN_LOG_INFO, "[%u] %s", s->s_proc->p_pid, line);
	return ret;
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
