/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A trace in the JSON of Chrome's tracing, which Perfetto reads.
 *
 * A kernel is two processes there: one with a track a vCPU that shows which
 * thread ran, and one with a track a thread that shows what it did.  The rings
 * are merged by time; a track's events must come in order, which is what
 * r_order is for where time stands still.
 *
 * Runs on the embedder's stack and enters no kernel, so a dead one is no
 * different.  Format: "Trace Event Format", the document of the Chromium
 * project.
 */
#include "traceimpl.h"

/* What a vCPU's track shows just now. */
struct track {
	uint64_t tk_next; /* record to come */
	uint64_t tk_end;
	bool tk_have; /* tk_rec is it */
	struct trace_rec tk_rec;
	uint32_t tk_thread; /* that runs, or 0 */
	uint64_t tk_since;
	char tk_name[17];
};

struct output {
	int (*o_write)(void *, const void *, size_t);
	void *o_arg;
	int o_error; /* the first */
	size_t o_len;
	bool o_more; /* not the first event */
	char o_buf[2048];
};

/* One kernel's part of it. */
struct export
{
	struct output *x_out;
	struct quern *x_k;
	unsigned x_pid;  /* of the vCPUs; the threads' is one more */
	uint8_t *x_seen; /* threads that have a name, a bit each */
	uint64_t x_nseen;
	struct track *x_track; /* by vCPU */
};

/* ---- output --------------------------------------------------------------- */

static void
flush(struct output *o)
{
	int error;

	if (o->o_len != 0 && o->o_error == 0) {
		error = o->o_write(o->o_arg, o->o_buf, o->o_len);
		if (error < 0)
			o->o_error = error;
	}
	o->o_len = 0;
}

QPRINTF(2, 3)
static void
put(struct output *o, const char *fmt, ...)
{
	char buf[256];
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	n = (size_t)qvsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	if (n >= sizeof(buf))
		n = sizeof(buf) - 1;
	if (o->o_len + n > sizeof(o->o_buf))
		flush(o);
	memcpy(&o->o_buf[o->o_len], buf, n);
	o->o_len += n;
}

/* A string, quoted. */
static void
put_string(struct output *o, const char *s)
{
	put(o, "\"");
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20)
			put(o, "\\u%04x", (unsigned char)*s);
		else if (*s == '"' || *s == '\\')
			put(o, "\\%c", *s);
		else
			put(o, "%c", *s);
	put(o, "\"");
}

/* The beginning of every event, up to its own members. */
static void
put_event(struct output *o, const char *phase, const char *name, unsigned pid,
    uint64_t tid)
{
	put(o, "%s{\"ph\":\"%s\",\"pid\":%u,\"tid\":%lu,\"name\":",
	    o->o_more ? ",\n" : "", phase, pid, tid);
	o->o_more = true;
	put_string(o, name);
}

/* Microseconds. */
static void
put_time(struct output *o, const char *key, uint64_t ns)
{
	put(o, ",\"%s\":%lu.%03lu", key, ns / 1000, ns % 1000);
}

static void
put_name(struct output *o, const char *what, unsigned pid, uint64_t tid,
    const char *name)
{
	put_event(o, "M", what, pid, tid);
	put(o, ",\"args\":{\"name\":");
	put_string(o, name);
	put(o, "}}");
}

/* ---- events --------------------------------------------------------------- */

/* The track of a thread gets its name the first time the thread is seen. */
static void
name_thread(struct export *x, uint32_t id, const char *name)
{
	char buf[40];

	if (id >= x->x_nseen || (x->x_seen[id / 8] & 1u << id % 8) != 0)
		return;
	x->x_seen[id / 8] |= (uint8_t)(1u << id % 8);
	qsnprintf(buf, sizeof(buf), "%s %u", name, id);
	put_name(x->x_out, "thread_name", x->x_pid + 1, id, buf);
}

/* The thread that the vCPU ran has run until now. */
static void
end_slice(struct export *x, unsigned cpu, uint64_t now)
{
	struct track *tk = &x->x_track[cpu];
	struct output *o = x->x_out;

	if (tk->tk_thread == 0)
		return;
	put_event(o, "X", tk->tk_name, x->x_pid, cpu);
	put_time(o, "ts", tk->tk_since);
	put_time(o, "dur", now > tk->tk_since ? now - tk->tk_since : 0);
	put(o, ",\"cat\":\"sched\",\"args\":{\"thread\":%u}}", tk->tk_thread);
	tk->tk_thread = 0;
}

static void
begin_slice(struct export *x, unsigned cpu, uint64_t now, uint32_t thread,
    const char *name)
{
	struct track *tk = &x->x_track[cpu];

	end_slice(x, cpu, now);
	if (thread == 0)
		return;
	tk->tk_thread = thread;
	tk->tk_since = now;
	qsnprintf(tk->tk_name, sizeof(tk->tk_name), "%s", name);
	name_thread(x, thread, tk->tk_name);
}

static void
put_args(struct output *o, const struct trace_rec *r, bool cpu, unsigned id)
{
	const struct qtrace_event *ev = r->r_event;
	const char *sep = "";
	unsigned i;

	put(o, ",\"args\":{");
	if (cpu) {
		put(o, "\"cpu\":%u", id);
		sep = ",";
	}
	for (i = 0; i < 3; i++) {
		if (ev->te_arg[i] == NULL)
			continue;
		put(o, "%s\"%s\":%ld", sep, ev->te_arg[i],
		    (int64_t)r->r_arg[i]);
		sep = ",";
	}
	put(o, "}}");
}

static void
put_record(struct export *x, unsigned cpu, const struct trace_rec *r)
{
	static const char *const phase[] = { [QTRACE_INSTANT] = "i",
		[QTRACE_BEGIN] = "B",
		[QTRACE_END] = "E",
		[QTRACE_ASYNC_BEGIN] = "b",
		[QTRACE_ASYNC_END] = "e",
		[QTRACE_COUNTER] = "C",
		[QTRACE_SWITCH] = "" };
	const struct qtrace_event *ev = r->r_event;
	struct output *o = x->x_out;
	char name[17] = "";

	if (ev->te_phase == QTRACE_SWITCH) {
		memcpy(name, &r->r_arg[1], 16);
		begin_slice(x, cpu, r->r_time, (uint32_t)r->r_arg[0], name);
		return;
	}
	if ((ev->te_flags & QTRACE_ENTER) != 0)
		begin_slice(x, cpu, r->r_time, r->r_thread, "client");
	put_event(o, phase[ev->te_phase],
	    ev->te_label != NULL ? ev->te_label(r->r_arg[0]) : ev->te_name,
	    x->x_pid + 1, r->r_thread);
	put_time(o, "ts", r->r_time);
	put(o, ",\"cat\":\"%s\"", ev->te_cat);
	if (ev->te_phase == QTRACE_INSTANT)
		put(o, ",\"s\":\"t\"");
	if (ev->te_phase == QTRACE_ASYNC_BEGIN ||
	    ev->te_phase == QTRACE_ASYNC_END)
		put(o, ",\"id\":%lu", r->r_arg[0]);
	put_args(o, r, ev->te_phase != QTRACE_COUNTER, cpu);
	if ((ev->te_flags & QTRACE_LEAVE) != 0)
		end_slice(x, cpu, r->r_time);
}

/* ---- merging -------------------------------------------------------------- */

/* The next record of a ring that is still there. */
static void
track_fill(const struct trace_ring *tr, struct track *tk)
{
	while (!tk->tk_have && tk->tk_next < tk->tk_end)
		tk->tk_have = trace_read(tr, tk->tk_next++, &tk->tk_rec);
}

static bool
is_earlier(const struct trace_rec *a, const struct trace_rec *b)
{
	return a->r_time < b->r_time ||
	    (a->r_time == b->r_time && a->r_order < b->r_order);
}

static void
put_records(struct export *x)
{
	struct quern *k = x->x_k;
	struct track *tk, *best;
	uint64_t last = 0;
	unsigned i, cpu = 0;

	for (;;) {
		best = NULL;
		for (i = 0; i < k->k_ncpu; i++) {
			tk = &x->x_track[i];
			track_fill(k->k_ring[i], tk);
			if (tk->tk_have &&
			    (best == NULL ||
				is_earlier(&tk->tk_rec, &best->tk_rec))) {
				best = tk;
				cpu = i;
			}
		}
		if (best == NULL)
			break;
		last = best->tk_rec.r_time;
		put_record(x, cpu, &best->tk_rec);
		best->tk_have = false;
	}
	for (i = 0; i < k->k_ncpu; i++)
		end_slice(x, i, last);
}

static void
put_kernel(struct export *x)
{
	struct quern *k = x->x_k;
	struct trace_ring *tr;
	struct track *tk;
	char name[48];
	unsigned i;

	qsnprintf(name, sizeof(name), "%s: vCPUs", k->k_name);
	put_name(x->x_out, "process_name", x->x_pid, 0, name);
	qsnprintf(name, sizeof(name), "%s: threads", k->k_name);
	put_name(x->x_out, "process_name", x->x_pid + 1, 0, name);
	for (i = 0; i < k->k_ncpu; i++) {
		qsnprintf(name, sizeof(name), "vCPU %u", i);
		put_name(x->x_out, "thread_name", x->x_pid, i, name);
		tr = k->k_ring[i];
		tk = &x->x_track[i];
		tk->tk_next = __atomic_load_n(&tr->tr_first, __ATOMIC_ACQUIRE);
		tk->tk_end = __atomic_load_n(&tr->tr_head, __ATOMIC_ACQUIRE);
		if (tk->tk_end - tk->tk_next > tr->tr_mask + 1)
			tk->tk_next = tk->tk_end - tr->tr_mask - 1;
	}
	put_records(x);
}

/* The part of kernel number `i`, with the memory that this takes. */
static int
export_kernel(struct output *o, struct quern *k, unsigned i)
{
	struct export x = { .x_out = o, .x_k = k, .x_pid = 2 * i + 1 };
	size_t len;
	void *mem;
	int error;

	if (k->k_ring[k->k_ncpu - 1] == NULL)
		return 0; /* never traced */
	hspin_lock(k, &k->k_thread_lock);
	x.x_nseen = k->k_nthread + 1;
	hspin_unlock(&k->k_thread_lock);
	len = QROUNDUP(k->k_ncpu * sizeof(struct track) + x.x_nseen / 8 + 1,
	    QUERN_PAGE_SIZE);
	error = k->k_hyper->map(k->k_ctx, len, QUERN_PAGE_SIZE, 0, &mem);
	if (error != 0)
		return error;
	x.x_track = mem;
	x.x_seen = (uint8_t *)&x.x_track[k->k_ncpu];
	put_kernel(&x);
	k->k_hyper->unmap(k->k_ctx, mem, len);
	return 0;
}

int
quern_trace_write(struct quern *const *ks, unsigned n,
    int (*write)(void *arg, const void *p, size_t len), void *arg)
{
	struct output o = { .o_write = write, .o_arg = arg };
	unsigned i;
	int error;

	if (ks == NULL || write == NULL)
		return -Q_EFAULT;
	put(&o, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n");
	for (i = 0; i < n; i++) {
		error = ks[i] != NULL ? export_kernel(&o, ks[i], i) : -Q_EFAULT;
		if (error != 0)
			return error;
	}
	put(&o, "\n]}\n");
	flush(&o);
	return o.o_error;
}
