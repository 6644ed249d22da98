/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Symlinks: those whose text depends on who reads, and those that lead to a
 * thing itself.
 */
#include "impl.h"

int
show_self(struct text *t, const struct subject *sub)
{
	if (sub->s_reader == NULL)
		return -Q_ENOENT;
	text_add(t, "%u", sub->s_reader->p_pid);
	return 0;
}

int
show_thread_self(struct text *t, const struct subject *sub)
{
	uint32_t tid = qthread_current()->t_tid;

	if (sub->s_reader == NULL)
		return -Q_ENOENT;
	text_add(t, "%u/task/%u", sub->s_reader->p_pid,
	    tid != 0 ? tid : sub->s_reader->p_pid);
	return 0;
}

int
show_self_mounts(struct text *t, const struct subject *sub)
{
	(void)sub;
	text_add(t, "self/mounts");
	return 0;
}

/* What a file that has no path is called; the number is one it alone has. */
static int
name_file(struct text *t, struct qfile *f)
{
	struct q_stat st;
	int error = 0;

	memset(&st, 0, sizeof(st));
	if (f->f_ops->fo_stat != NULL)
		error = f->f_ops->fo_stat(f, &st);
	switch (st.st_mode & Q_S_IFMT) {
	case Q_S_IFIFO:
		text_add(t, "pipe:[%llu]", (unsigned long long)st.st_ino);
		break;
	case Q_S_IFSOCK:
		text_add(t, "socket:[%llu]", (unsigned long long)st.st_ino);
		break;
	default:
		text_add(t, "anon_inode:[%s]", f->f_ops->fo_name);
		break;
	}
	return error;
}

static int
name_place(struct text *t, const struct subject *sub, const struct qpath *at)
{
	(void)text_path(t, sub->s_reader, at, "");
	if (qpath_deleted(at))
		text_add(t, " (deleted)");
	return t->t_error;
}

/* The text of a magic link. */
static int
name_target(struct text *t, const struct node *n, const struct subject *sub)
{
	const struct qpath *path;
	struct qpath at;
	struct qfile *f;
	int error;

	error = qlproc_may_look(sub->s_reader, sub->s_p);
	if (error != 0)
		return error;
	if (n->n_kind == N_FD) {
		error = qlproc_file(sub->s_p, n->n_fd, &f);
		if (error != 0)
			return -Q_ENOENT;
		path = qfile_path(f);
		if (path != NULL)
			error = name_place(t, sub, path);
		else
			error = name_file(t, f);
		qfile_put(f);
		return error;
	}
	error = node_entry(n)->e_place(sub->s_p, &at);
	if (error != 0)
		return error;
	error = name_place(t, sub, &at);
	qpath_put(&at);
	return error;
}

static int
link_text(const struct node *n, struct text *t, struct quern_proc *p)
{
	const struct entry *e = node_entry(n);
	struct subject sub;
	int error;

	error = subject_begin(n, p, &sub);
	if (error != 0)
		return -Q_ENOENT;
	if (e != NULL && e->e_show != NULL)
		error = e->e_show(t, &sub);
	else if (p == NULL)
		error = -Q_ENOENT;
	else
		error = name_target(t, n, &sub);
	subject_end(&sub);
	return error != 0 ? error : t->t_error;
}

int
link_read(struct qvnode *v, char *buf, size_t len)
{
	struct text t = { 0 };
	int error = link_text(node_of(v), &t, qproc_current());

	if (t.t_len < len)
		len = t.t_len;
	if (error == 0)
		memcpy(buf, t.t_s, len);
	qfree(t.t_s);
	return error != 0 ? error : (int)len;
}

static int
follow_file(const struct node *n, const struct subject *sub, struct qpath *out,
    struct qvnode **vp)
{
	const struct qpath *path;
	struct qfile *f;
	int error;

	error = qlproc_file(sub->s_p, n->n_fd, &f);
	if (error != 0)
		return -Q_ENOENT;
	path = qfile_path(f);
	if (path != NULL) {
		*out = *path;
		qpath_get(out);
	} else {
		error = node_object(n->n_v.v_fs, sub->s_p, f, vp);
	}
	qfile_put(f);
	return error;
}

int
link_follow(struct qvnode *v, struct quern_proc *p, struct qpath *out,
    struct qvnode **vp)
{
	const struct node *n = node_of(v);
	const struct entry *e = node_entry(n);
	struct subject sub;
	int error;

	error = subject_begin(n, p, &sub);
	if (error != 0)
		return -Q_ENOENT;
	error = qlproc_may_look(p, sub.s_p);
	if (error == 0 && n->n_kind == N_FD)
		error = follow_file(n, &sub, out, vp);
	else if (error == 0)
		error = e->e_place(sub.s_p, out);
	subject_end(&sub);
	return error;
}
