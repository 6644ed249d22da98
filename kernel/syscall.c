/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of system calls of one kernel, and how a call gets through it.
 *
 * A wrapper names its handler directly, which is what makes a component that
 * was not linked a link error; the table says whether that component has been
 * started in this kernel.  By number the table is all there is.
 *
 * The table is part of the kernel's core memory.  It is filled while the kernel
 * is created and constant afterwards, so it is read without a lock.
 */
#include "callimpl.h"
#include "trace.h"

static const char *
call_label(uint64_t nr)
{
	return nr < QSYS_MAX ? qsys_descs[nr].d_name : "?";
}

static const struct qtrace_event ev_call = { .te_name = "call",
	.te_cat = "call",
	.te_phase = QTRACE_BEGIN,
	.te_flags = QTRACE_ENTER,
	.te_label = call_label,
	.te_arg = { "nr", "pid" } };
static const struct qtrace_event ev_return = { .te_name = "call",
	.te_cat = "call",
	.te_phase = QTRACE_END,
	.te_flags = QTRACE_LEAVE,
	.te_label = call_label,
	.te_arg = { NULL, NULL, "ret" } };

extern const struct qsys_handler kernel_calls[];

int
syscalls_init(struct quern *k)
{
	int error = files_init(k);

	return error != 0 ? error : syscalls_install(k, kernel_calls);
}

/* Is the name `s`, of `len` bytes, that of call `nr`? */
static bool
is_call(unsigned nr, const char *s, size_t len)
{
	const char *name = qsys_descs[nr].d_name;

	return name != NULL && qstrlen(name) == len &&
	    memcmp(name, s, len) == 0;
}

/* Note one name of the list.  -EINVAL. */
static int
list_call(struct qsys_table *ct, const char *name, size_t len)
{
	static const char unknown[] = "unknown";
	unsigned nr;

	if (len == sizeof(unknown) - 1 && memcmp(name, unknown, len) == 0) {
		ct->ct_unknown = true;
		return 0;
	}
	for (nr = 0; nr < QSYS_MAX; nr++)
		if (is_call(nr, name, len)) {
			ct->ct_listed[nr] = true;
			return 0;
		}
	return -Q_EINVAL;
}

int
syscalls_trace(struct quern *k, const char *only)
{
	struct qsys_table *ct = k->k_calls;
	const char *end;
	int error;

	ct->ct_except = only == NULL || only[0] == '\0' || only[0] == '!';
	if (only == NULL || only[0] == '\0')
		return 0;
	for (only += ct->ct_except;; only = end + 1) {
		for (end = only; *end != '\0' && *end != ','; end++)
			;
		error = list_call(ct, only, (size_t)(end - only));
		if (error != 0 || *end == '\0')
			return error;
	}
}

/* Is a line to be logged for call `nr`, or for one that is not there? */
static bool
is_traced(struct quern *k, unsigned nr, bool unknown)
{
	const struct qsys_table *ct = k->k_calls;
	bool listed = (nr < QSYS_MAX && ct->ct_listed[nr]) ||
	    (unknown && ct->ct_unknown);

	return (__atomic_load_n(&k->k_trace, __ATOMIC_RELAXED) &
		   QTRACE_CALLS) != 0 &&
	    listed != ct->ct_except;
}

void
syscalls_fini(struct quern *k)
{
	files_fini(k);
}

int
syscalls_install(struct quern *k, const struct qsys_handler *calls)
{
	const struct qsys_handler *h;

	for (h = calls; h != NULL && h->h_fn != NULL; h++) {
		if (h->h_nr >= QSYS_MAX)
			return -Q_EINVAL;
		if (k->k_calls->ct_call[h->h_nr] != NULL)
			return -Q_EEXIST;
		k->k_calls->ct_call[h->h_nr] = h;
	}
	return 0;
}

const char *
quern_syscall_name(unsigned nr)
{
	return nr < QSYS_MAX ? qsys_descs[nr].d_name : NULL;
}

uint32_t
qsys_missing(struct quern *k, unsigned nr)
{
	if (nr >= QSYS_MAX)
		return 0;
	return __atomic_load_n(&k->k_calls->ct_missing[nr], __ATOMIC_RELAXED);
}

static QCOLD int64_t
not_there(struct quern_proc *p, unsigned nr, const uint64_t *args)
{
	struct quern *k = p->p_k;

	if (nr < QSYS_MAX)
		__atomic_fetch_add(&k->k_calls->ct_missing[nr], 1,
		    __ATOMIC_RELAXED);
	if (is_traced(k, nr, true))
		trace_missing(p, nr, args);
	return -Q_ENOSYS;
}

/* The handler of `nr` for `p`, or NULL. */
static inline const struct qsys_handler *
find_call(struct quern_proc *p, unsigned nr)
{
	const struct qsys_handler *h;

	if (nr >= QSYS_MAX)
		return NULL;
	h = p->p_k->k_calls->ct_call[nr];
	if (h != NULL && (h->h_flags & QSYS_GUEST) != 0 &&
	    (p->p_flags & QPROC_GUEST) == 0)
		return NULL;
	return h;
}

/* What runs on the kernel stack: one jump to the handler. */
static int64_t
call_plain(void *arg)
{
	struct qsys *s = arg;

	return s->s_call->h_fn(s);
}

static int64_t
call_traced(void *arg)
{
	struct qsys *s = arg;
	uint32_t nr = s->s_call->h_nr;
	int64_t ret;

	qtrace(qcpu_current(), &ev_call, nr, s->s_proc->p_pid, 0);
	if (is_traced(s->s_proc->p_k, nr, false))
		ret = trace_call(s);
	else
		ret = s->s_call->h_fn(s);
	qtrace(qcpu_current(), &ev_return, nr, 0, (uint64_t)ret);
	return ret;
}

static inline int64_t
enter(struct quern_proc *p, const struct qsys_handler *h, const uint64_t *args)
{
	struct qsys s = { args, p, &quspace_local, h };
	struct quern *k = p->p_k;

	return host_call(k, p, &p->p_cpu,
	    qunlikely(__atomic_load_n(&k->k_trace, __ATOMIC_RELAXED)) ?
		call_traced :
		call_plain,
	    &s);
}

int64_t
qsys_call(struct quern_proc *p, const struct qsys_handler *h,
    const uint64_t args[6])
{
	if (qunlikely(p == NULL))
		return -Q_EFAULT;
	if (qunlikely(p->p_k->k_calls->ct_call[h->h_nr] != h))
		return not_there(p, h->h_nr, args);
	return enter(p, h, args);
}

int64_t
quern_syscall(struct quern_proc *p, unsigned nr, const uint64_t args[6])
{
	const struct qsys_handler *h;

	if (p == NULL || args == NULL)
		return -Q_EFAULT;
	h = find_call(p, nr);
	if (h == NULL)
		return not_there(p, nr, args);
	return enter(p, h, args);
}

int64_t
qsys_dispatch(struct qsys *s, unsigned nr)
{
	s->s_call = find_call(s->s_proc, nr);
	if (s->s_call == NULL)
		return not_there(s->s_proc, nr, s->s_arg);
	if (qunlikely(
		__atomic_load_n(&s->s_proc->p_k->k_trace, __ATOMIC_RELAXED)))
		return call_traced(s);
	return s->s_call->h_fn(s);
}
