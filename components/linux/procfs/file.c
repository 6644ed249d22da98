/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Open files: contents are made when they are read from the beginning.
 */
#include "impl.h"

static const struct qtag tag_file = { "proc file" };

/* The most that is written at once: names and numbers. */
#define STORE_MAX 4095u

struct open {
	struct qmutex o_lock;
	struct qvnode *o_v;          /* [I] the file keeps it */
	struct quern_proc *o_reader; /* [I] */
	struct text o_text;          /* [o_lock] */
	bool o_made;                 /* [o_lock] */
};

/* fdinfo has no entry. */
static const struct entry fdinfo = { .e_flags = E_TRACE,
	.e_show = show_fdinfo };

static const struct entry *
entry_of(const struct node *n)
{
	return n->n_kind == N_FDINFO ? &fdinfo : node_entry(n);
}

/* [o_lock] */
static int
make(struct open *o)
{
	const struct node *n = node_of(o->o_v);
	const struct entry *e = entry_of(n);
	struct subject sub;
	int error;

	o->o_text.t_len = 0;
	o->o_text.t_error = 0;
	error = subject_begin(n, qproc_current(), &sub);
	if (error != 0)
		return error;
	if ((e->e_flags & E_TRACE) != 0)
		error = qlproc_may_look(sub.s_reader, sub.s_p);
	if (error == 0)
		error = e->e_show(&o->o_text, &sub);
	if (error == 0)
		error = o->o_text.t_error;
	subject_end(&sub);
	o->o_made = error == 0;
	return error;
}

static int64_t
proc_read(void *open, struct qfile *f, struct quio *u)
{
	struct open *o = open;
	size_t n = 0;
	int error = 0;

	(void)f;
	if (u->u_off < 0)
		return -Q_EINVAL;
	qmutex_lock(&o->o_lock);
	if (!o->o_made || u->u_off == 0)
		error = make(o);
	if (error == 0 && (uint64_t)u->u_off < o->o_text.t_len) {
		n = o->o_text.t_len - (size_t)u->u_off;
		if (n > u->u_resid)
			n = u->u_resid;
		error = quio_out(u, o->o_text.t_s + u->u_off, n);
	}
	qmutex_unlock(&o->o_lock);
	return error != 0 ? error : (int64_t)n;
}

static int64_t
proc_write(void *open, struct qfile *f, struct quio *u)
{
	struct open *o = open;
	const struct node *n = node_of(o->o_v);
	const struct entry *e = entry_of(n);
	size_t len = u->u_resid;
	struct subject sub;
	char *s;
	int error;

	(void)f;
	if (e->e_store == NULL)
		return -Q_EIO;
	if (len > STORE_MAX)
		return -Q_EINVAL;
	s = qalloc(&tag_file, STORE_MAX + 1);
	if (s == NULL)
		return -Q_ENOMEM;
	error = quio_in(u, s, len);
	if (error == 0)
		error = subject_begin(n, qproc_current(), &sub);
	if (error == 0) {
		s[len] = '\0';
		error = e->e_store(&sub, s, len);
		subject_end(&sub);
	}
	qfree(s);
	return error != 0 ? error : (int64_t)len;
}

static void
proc_close(void *open)
{
	struct open *o = open;

	qfree(o->o_text.t_s);
	qfree(o);
}

static const struct qcdev_ops ops = {
	.co_close = proc_close,
	.co_read = proc_read,
	.co_write = proc_write,
};

int
file_open(struct qvnode *v, struct quern_proc *p, uint32_t flags,
    const struct qcdev_ops **opsp, void **openp)
{
	const struct entry *e = entry_of(node_of(v));
	struct subject sub;
	struct open *o;
	int error;

	(void)flags;
	error = subject_begin(node_of(v), p, &sub);
	if (error != 0)
		return -Q_ENOENT;
	if ((e->e_flags & E_TRACE) != 0)
		error = qlproc_may_look(p, sub.s_p);
	subject_end(&sub);
	if (error != 0)
		return error;
	o = qzalloc(&tag_file, sizeof(*o));
	if (o == NULL)
		return -Q_ENOMEM;
	qmutex_init(&o->o_lock, "proc file");
	o->o_v = v;
	*opsp = &ops;
	*openp = o;
	return 0;
}
