/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that do things to files, and note what in the model: an operation is
 * begun in it before its call is made, and taken back if the disk is full.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <linux/fs.h>

#include <quern/sim.h>

#include "model.h"

#define SECOND UINT64_C(1000000000)

/* A place for a name: in the thread's directory (sub -1), or in one there. */
struct place {
	int pl_top, pl_sub;
};

static uint64_t
draw(struct model_work *w, uint64_t below)
{
	w->mw_rng = w->mw_rng * UINT64_C(6364136223846793005) +
	    1442695040888963407u;
	return (w->mw_rng >> 33) % below;
}

static struct model_thread *
mine(struct model_work *w)
{
	return &w->mw_model->m_thread[w->mw_me];
}

/* The names as they are, to be changed and begun. */
static struct model_names
names(struct model_work *w)
{
	return mine(w)->mt_names[mine(w)->mt_begun];
}

static uint16_t *
slot(struct model_names *n, struct place p)
{
	return p.pl_sub < 0 ? &n->mn_top[p.pl_top] :
			      &n->mn_sub[p.pl_top][p.pl_sub];
}

static void
path_of(struct model_work *w, struct place p, char path[600])
{
	model_path(w->mw_model, w->mw_me, p.pl_top, p.pl_sub, path, 600);
}

static enum model_type
type_of(struct model_work *w, unsigned obj)
{
	return obj == 0 ? MODEL_NONE : mine(w)->mt_obj[obj].mo_type;
}

/* A place whose directory is there. */
static struct place
any_place(struct model_work *w)
{
	struct place p = { (int)draw(w, MODEL_TOP), -1 };
	struct model_names n = names(w);

	if (type_of(w, n.mn_top[p.pl_top]) == MODEL_DIR && draw(w, 4) != 0)
		p.pl_sub = (int)draw(w, MODEL_SUB);
	return p;
}

/* Look a few times for a place whose object is of a type. */
static unsigned
find(struct model_work *w, enum model_type type, struct place *p)
{
	struct model_names n = names(w);
	unsigned i;

	for (i = 0; i < 12; i++) {
		*p = any_place(w);
		if (type_of(w, *slot(&n, *p)) == type)
			return type == MODEL_NONE ? 1 : *slot(&n, *p);
	}
	return 0;
}

/* ---- operations begin and end ------------------------------------------------------ */

/* The directory of a place is concerned by the operation that has just begun. */
static void
concerns(struct model_work *w, unsigned obj, struct place p)
{
	struct model_thread *t = mine(w);

	if (obj != 0)
		t->mt_obj[obj].mo_op = t->mt_begun;
	if (p.pl_sub < 0)
		t->mt_op = t->mt_begun;
	else
		t->mt_obj[t->mt_names[t->mt_begun].mn_top[p.pl_top]].mo_op =
		    t->mt_begun;
}

static void
begin(struct model_work *w, const struct model_names *n)
{
	struct model_thread *t = mine(w);

	t->mt_names[++t->mt_begun] = *n;
}

/* It has answered `r`: fine, or -ENOSPC and nothing has happened. */
static bool
over(struct model_work *w, int64_t r, const char *what)
{
	struct model_thread *t = mine(w);

	if (r < 0)
		t->mt_names[t->mt_begun] = t->mt_names[t->mt_begun - 1];
	t->mt_done = t->mt_begun;
	if (r < 0 && r != -ENOSPC && w->mw_error == 0) {
		w->mw_error = r;
		w->mw_what = what;
	}
	return r >= 0;
}

/* What no call may answer. */
static void
must(struct model_work *w, int64_t r, const char *what)
{
	if (r < 0 && r != -ENOSPC && w->mw_error == 0) {
		w->mw_error = r;
		w->mw_what = what;
	}
}

static unsigned
new_object(struct model_work *w, enum model_type type)
{
	struct model_thread *t = mine(w);

	if (t->mt_nobj + 1 >= MODEL_OBJS)
		return 0;
	t->mt_obj[++t->mt_nobj] = (struct model_object){ .mo_type = type };
	return t->mt_nobj;
}

/* ---- contents ------------------------------------------------------------------------ */

static struct model_change *
new_change(struct model_work *w, unsigned obj, enum model_kind kind,
    uint32_t off, uint32_t end, uint32_t size)
{
	struct model_object *o = &mine(w)->mt_obj[obj];
	struct model_change *c;

	if (o->mo_nchange == MODEL_CHANGES)
		return NULL;
	c = &o->mo_change[o->mo_nchange++];
	*c = (struct model_change){ kind, off, end, size };
	return c;
}

static uint32_t
size_of(struct model_work *w, unsigned obj)
{
	const struct model_object *o = &mine(w)->mt_obj[obj];

	return o->mo_nchange == 0 ? 0 : o->mo_change[o->mo_nchange - 1].mc_size;
}

static void
write_at(struct model_work *w, unsigned obj, int64_t fd, uint32_t off,
    uint32_t len)
{
	struct model_object *o = &mine(w)->mt_obj[obj];
	uint32_t size = size_of(w, obj), at, i;
	struct model_change *c;
	uint64_t stamp, *p;
	int64_t r;

	if (off >= MODEL_SIZE)
		return;
	if (off + len > MODEL_SIZE)
		len = MODEL_SIZE - off;
	if (len == 0)
		return;
	c = new_change(w, obj, CHANGE_WRITE, off, off + len,
	    size > off + len ? size : off + len);
	if (c == NULL)
		return;
	p = malloc(len);
	for (at = 0; at < len; at += MODEL_CELL) {
		stamp = model_stamp(w->mw_me, obj, o->mo_nchange - 1, off + at);
		for (i = 0; i < MODEL_CELL / 8; i++)
			p[at / 8 + i] = stamp;
	}
	r = TCALL(&w->mw_sys, SYS_pwrite64, fd, p, len, off);
	free(p);
	must(w, r, "pwrite");
	if (r < (int64_t)len) {
		c->mc_end = off + (r < 0 ? 0 : (uint32_t)r);
		c->mc_size = size > c->mc_end || r <= 0 ? size : c->mc_end;
	}
}

/* Some bytes: in a page, a few pages, or many. */
static uint32_t
some(struct model_work *w)
{
	uint32_t n = (uint32_t)draw(w, 10);

	n = (uint32_t)draw(w, n < 6 ? 3000 : n < 9 ? 14000 : 50000);
	return (n / MODEL_CELL + 1) * MODEL_CELL;
}

static void
do_write(struct model_work *w)
{
	struct place p;
	unsigned obj = find(w, MODEL_FILE, &p);
	uint32_t size, off;
	char path[600];
	int64_t fd;

	if (obj == 0)
		return;
	path_of(w, p, path);
	size = size_of(w, obj);
	off = draw(w, 3) != 0 ? size : (uint32_t)draw(w, size + 6000);
	off = off / MODEL_CELL * MODEL_CELL;
	fd = TCALL(&w->mw_sys, SYS_open, path, O_WRONLY);
	must(w, fd, "open");
	if (fd < 0)
		return;
	write_at(w, obj, fd, off, some(w));
	must(w, TCALL(&w->mw_sys, SYS_close, fd), "close");
}

static void
do_truncate(struct model_work *w)
{
	struct place p;
	unsigned obj = find(w, MODEL_FILE, &p);
	uint32_t size, to;
	char path[600];

	if (obj == 0)
		return;
	path_of(w, p, path);
	size = size_of(w, obj);
	to = draw(w, 4) == 0 ? 0 : (uint32_t)draw(w, size + 5000);
	to = to / MODEL_CELL * MODEL_CELL;
	if (to <= MODEL_SIZE &&
	    new_change(w, obj, CHANGE_SIZE, to < size ? to : size, MODEL_SIZE,
		to) != NULL)
		must(w, TCALL(&w->mw_sys, SYS_truncate, path, to), "truncate");
}

static void
do_fallocate(struct model_work *w)
{
	/* keep size, punch, zero range: FALLOC_FL_ */
	static const int modes[] = { 0, 1, 3, 3, 16, 17 };
	int mode = modes[w->mw_extents ? draw(w, 6) : 2];
	uint32_t off, end, size;
	struct model_change *c;
	struct place p;
	unsigned obj = find(w, MODEL_FILE, &p);
	char path[600];
	int64_t fd, r;

	if (obj == 0)
		return;
	path_of(w, p, path);
	size = size_of(w, obj);
	off = (uint32_t)draw(w, size + 3000) / MODEL_CELL * MODEL_CELL;
	end = off + some(w);
	if (end > MODEL_SIZE)
		return;
	if ((mode & 1) == 0 && end > size)
		c = new_change(w, obj, mode == 0 ? CHANGE_SIZE : CHANGE_ZERO,
		    mode == 0 ? size : off, MODEL_SIZE, end);
	else
		c = new_change(w, obj, CHANGE_ZERO, mode < 2 ? 0 : off,
		    mode < 2 ? 0 : end, size);
	fd = c == NULL ? -1 : TCALL(&w->mw_sys, SYS_open, path, O_WRONLY);
	if (fd < 0)
		return;
	r = TCALL(&w->mw_sys, SYS_fallocate, fd, mode, off, end - off);
	must(w, r, "fallocate");
	/* A range may have been zeroed before there was no room. */
	if (r < 0)
		c->mc_size = size;
	must(w, TCALL(&w->mw_sys, SYS_close, fd), "close");
}

/* ---- names ------------------------------------------------------------------------ */

static void
do_create(struct model_work *w)
{
	struct model_names n = names(w);
	struct place p;
	unsigned obj;
	char path[600];
	int64_t fd;

	if (find(w, MODEL_NONE, &p) == 0 ||
	    (obj = new_object(w, MODEL_FILE)) == 0)
		return;
	path_of(w, p, path);
	*slot(&n, p) = (uint16_t)obj;
	begin(w, &n);
	concerns(w, obj, p);
	fd = TCALL(&w->mw_sys, SYS_open, path, O_CREAT | O_EXCL | O_WRONLY,
	    obj);
	if (!over(w, fd, "create"))
		return;
	if (draw(w, 2) == 0)
		write_at(w, obj, fd, 0, some(w));
	must(w, TCALL(&w->mw_sys, SYS_close, fd), "close");
}

static void
do_mkdir(struct model_work *w)
{
	struct place p = { (int)draw(w, MODEL_TOP), -1 };
	struct model_names n = names(w);
	unsigned obj;
	char path[600];

	if (*slot(&n, p) != 0 || (obj = new_object(w, MODEL_DIR)) == 0)
		return;
	path_of(w, p, path);
	*slot(&n, p) = (uint16_t)obj;
	begin(w, &n);
	concerns(w, obj, p);
	(void)over(w, TCALL(&w->mw_sys, SYS_mkdir, path, obj), "mkdir");
}

static void
do_symlink(struct model_work *w)
{
	struct model_names n = names(w);
	char path[600], target[60];
	struct place p;
	unsigned obj;

	if (find(w, MODEL_NONE, &p) == 0 ||
	    (obj = new_object(w, MODEL_LINK)) == 0)
		return;
	path_of(w, p, path);
	snprintf(target, sizeof(target), "L%u", obj);
	*slot(&n, p) = (uint16_t)obj;
	begin(w, &n);
	concerns(w, obj, p);
	(void)over(w, TCALL(&w->mw_sys, SYS_symlink, target, path), "symlink");
}

static bool
is_empty(const struct model_names *n, int top)
{
	unsigned i;

	for (i = 0; i < MODEL_SUB; i++)
		if (n->mn_sub[top][i] != 0)
			return false;
	return true;
}

/* Have the file that a name leads to open from now on. */
static void
hold(struct model_work *w, const char *path, unsigned obj)
{
	if (w->mw_held >= 0)
		must(w, TCALL(&w->mw_sys, SYS_close, w->mw_held), "close");
	w->mw_held = TCALL(&w->mw_sys, SYS_open, path, O_RDWR);
	w->mw_heldobj = obj;
	must(w, w->mw_held, "open");
}

static void
do_unlink(struct model_work *w)
{
	struct place p = any_place(w);
	struct model_names n = names(w);
	unsigned obj = *slot(&n, p);
	bool isdir = type_of(w, obj) == MODEL_DIR;
	char path[600];

	if (obj == 0 || (isdir && !is_empty(&n, p.pl_top)))
		return;
	path_of(w, p, path);
	if (type_of(w, obj) == MODEL_FILE && draw(w, 3) == 0)
		hold(w, path, obj);
	*slot(&n, p) = 0;
	begin(w, &n);
	concerns(w, obj, p);
	(void)over(w, TCALL(&w->mw_sys, isdir ? SYS_rmdir : SYS_unlink, path),
	    "unlink");
}

/* What is open and without a name is written to, and given up. */
static void
do_held(struct model_work *w)
{
	if (w->mw_held < 0)
		return;
	if (draw(w, 2) == 0) {
		write_at(w, w->mw_heldobj, w->mw_held,
		    size_of(w, w->mw_heldobj), some(w));
		return;
	}
	must(w, TCALL(&w->mw_sys, SYS_close, w->mw_held), "close");
	w->mw_held = -1;
}

static void
do_link(struct model_work *w)
{
	struct model_names n = names(w);
	char path[600], other[600];
	struct place from, to;
	unsigned obj = find(w, MODEL_FILE, &from);

	if (obj == 0 || find(w, MODEL_NONE, &to) == 0)
		return;
	path_of(w, from, path);
	path_of(w, to, other);
	*slot(&n, to) = (uint16_t)obj;
	begin(w, &n);
	concerns(w, obj, to);
	(void)over(w, TCALL(&w->mw_sys, SYS_link, path, other), "link");
}

static void
move_row(struct model_names *n, int from, int to)
{
	memcpy(n->mn_sub[to], n->mn_sub[from], sizeof(n->mn_sub[to]));
	memset(n->mn_sub[from], 0, sizeof(n->mn_sub[from]));
}

static void
do_rename(struct model_work *w)
{
	struct place from = any_place(w), to = any_place(w);
	struct model_names n = names(w);
	unsigned a = *slot(&n, from), b = *slot(&n, to);
	bool isdir = type_of(w, a) == MODEL_DIR;
	char path[600], other[600];

	if (a == 0 || a == b || (isdir && to.pl_sub >= 0) ||
	    (isdir && b != 0 &&
		(type_of(w, b) != MODEL_DIR || !is_empty(&n, to.pl_top))) ||
	    (!isdir && type_of(w, b) == MODEL_DIR))
		return;
	path_of(w, from, path);
	path_of(w, to, other);
	*slot(&n, from) = 0;
	*slot(&n, to) = (uint16_t)a;
	if (isdir)
		move_row(&n, from.pl_top, to.pl_top);
	begin(w, &n);
	concerns(w, a, from);
	concerns(w, b, to);
	(void)over(w, TCALL(&w->mw_sys, SYS_rename, path, other), "rename");
}

static void
do_exchange(struct model_work *w)
{
	struct place from = any_place(w), to = any_place(w);
	struct model_names n = names(w);
	uint16_t a = *slot(&n, from), b = *slot(&n, to);
	char path[600], other[600];
	unsigned i;

	/* Directories stay in the thread's. */
	if (a == 0 || b == 0 || a == b ||
	    ((from.pl_sub >= 0 || to.pl_sub >= 0) &&
		(type_of(w, a) == MODEL_DIR || type_of(w, b) == MODEL_DIR)))
		return;
	path_of(w, from, path);
	path_of(w, to, other);
	*slot(&n, from) = b;
	*slot(&n, to) = a;
	for (i = 0; i < MODEL_SUB && from.pl_sub < 0 && to.pl_sub < 0; i++) {
		uint16_t was = n.mn_sub[from.pl_top][i];

		n.mn_sub[from.pl_top][i] = n.mn_sub[to.pl_top][i];
		n.mn_sub[to.pl_top][i] = was;
	}
	begin(w, &n);
	concerns(w, a, from);
	concerns(w, b, to);
	(void)over(w,
	    TCALL(&w->mw_sys, SYS_renameat2, AT_FDCWD, path, AT_FDCWD, other,
		2),
	    "exchange");
}

/* ---- what makes durable -------------------------------------------------------------- */

static void
is_durable(struct model_work *w, unsigned op)
{
	struct model_thread *t = mine(w);

	if (t->mt_durable < op)
		t->mt_durable = op;
}

static void
sync_file(struct model_work *w, unsigned obj, int64_t fd)
{
	struct model_object *o = &mine(w)->mt_obj[obj];
	unsigned changes = o->mo_nchange, op = o->mo_op;
	int64_t r;

	r = TCALL(&w->mw_sys, draw(w, 3) == 0 ? SYS_fdatasync : SYS_fsync, fd);
	must(w, r, "fsync");
	if (r < 0)
		return;
	if (o->mo_durable < changes)
		o->mo_durable = changes;
	is_durable(w, op);
}

static void
do_fsync(struct model_work *w)
{
	struct place p;
	unsigned obj = find(w, MODEL_FILE, &p);
	char path[600];
	int64_t fd;

	if (obj == 0)
		return;
	path_of(w, p, path);
	fd = TCALL(&w->mw_sys, SYS_open, path, O_RDWR);
	must(w, fd, "open");
	if (fd < 0)
		return;
	if (draw(w, 3) == 0)
		write_at(w, obj, fd, size_of(w, obj), some(w));
	sync_file(w, obj, fd);
	must(w, TCALL(&w->mw_sys, SYS_close, fd), "close");
}

static void
do_fsync_dir(struct model_work *w)
{
	struct model_names n = names(w);
	struct place p = { (int)draw(w, MODEL_TOP), -1 };
	unsigned op = mine(w)->mt_op;
	char path[600];
	int64_t fd, r;

	if (type_of(w, *slot(&n, p)) == MODEL_DIR)
		op = mine(w)->mt_obj[*slot(&n, p)].mo_op;
	else
		p.pl_top = -1;
	path_of(w, p, path);
	fd = TCALL(&w->mw_sys, SYS_open, path, O_RDONLY | O_DIRECTORY);
	must(w, fd, "open");
	if (fd < 0)
		return;
	r = TCALL(&w->mw_sys, SYS_fsync, fd);
	must(w, r, "fsync");
	if (r == 0)
		is_durable(w, op);
	must(w, TCALL(&w->mw_sys, SYS_close, fd), "close");
}

static void
do_sync(struct model_work *w)
{
	struct model_mark *mk = malloc(sizeof(*mk));
	struct model *m = w->mw_model;
	unsigned done[MODEL_THREADS], i, k;
	int64_t r;

	model_mark(m, mk, false);
	for (i = 0; i < m->m_nthread; i++)
		done[i] = m->m_thread[i].mt_done;
	r = TCALL(&w->mw_sys, SYS_sync, 0);
	must(w, r, "sync");
	for (i = 0; i < m->m_nthread && r == 0; i++) {
		struct model_thread *t = &m->m_thread[i];

		if (t->mt_durable < done[i])
			t->mt_durable = done[i];
		/* What others are just doing may or may not be in it. */
		for (k = 1; k <= t->mt_nobj && i == w->mw_me; k++)
			if (t->mt_obj[k].mo_durable < mk->mk_change[i][k])
				t->mt_obj[k].mo_durable = mk->mk_change[i][k];
	}
	free(mk);
}

/* A file that has its name only once it is complete. */
static void
do_tmpfile(struct model_work *w)
{
	struct model_names n;
	char dir[600], path[600];
	struct place p, top = { -1, -1 };
	unsigned obj = new_object(w, MODEL_FILE);
	int64_t fd;

	if (obj == 0)
		return;
	path_of(w, top, dir);
	fd = TCALL(&w->mw_sys, SYS_open, dir, O_TMPFILE | O_RDWR, obj);
	must(w, fd, "O_TMPFILE");
	if (fd < 0)
		return;
	write_at(w, obj, fd, 0, some(w));
	if (draw(w, 2) == 0)
		sync_file(w, obj, fd);
	if (draw(w, 4) != 0 && find(w, MODEL_NONE, &p) != 0) {
		n = names(w);
		path_of(w, p, path);
		*slot(&n, p) = (uint16_t)obj;
		begin(w, &n);
		concerns(w, obj, p);
		(void)over(w,
		    TCALL(&w->mw_sys, SYS_linkat, fd, "", AT_FDCWD, path,
			AT_EMPTY_PATH),
		    "linkat");
	}
	must(w, TCALL(&w->mw_sys, SYS_close, fd), "close");
}

/* Attributes, which may need a block. */
static void
do_xattr(struct model_work *w)
{
	static const char value[700];
	struct place p;
	unsigned obj = find(w, draw(w, 3) == 0 ? MODEL_DIR : MODEL_FILE, &p);
	char path[600];
	int64_t r;

	if (obj == 0)
		return;
	path_of(w, p, path);
	if (draw(w, 3) != 0)
		r = TCALL(&w->mw_sys, SYS_setxattr, path, "user.x", value,
		    draw(w, sizeof(value)), 0);
	else
		r = TCALL(&w->mw_sys, SYS_removexattr, path, "user.x");
	must(w, r == -ENODATA ? 0 : r, "xattr");
}

/* Give what is free to the disk, if that understands it. */
static void
do_trim(struct model_work *w)
{
	uint64_t range[3] = { 0, UINT64_MAX, 0 };
	int64_t fd = TCALL(&w->mw_sys, SYS_open, "/", O_RDONLY | O_DIRECTORY);
	int64_t r;

	must(w, fd, "open");
	if (fd < 0)
		return;
	r = TCALL(&w->mw_sys, SYS_ioctl, fd, FITRIM, range);
	must(w, r == -EOPNOTSUPP ? 0 : r, "trim");
	must(w, TCALL(&w->mw_sys, SYS_close, fd), "close");
}

/* Time for a commit, and perhaps for write-back. */
static void
do_sleep(struct model_work *w)
{
	quern_sim_sleep(w->mw_sim, draw(w, draw(w, 3) == 0 ? 45 : 8) * SECOND);
}

static void (*const things[])(struct model_work *) = { do_create, do_create,
	do_create, do_write, do_write, do_write, do_write, do_truncate,
	do_fallocate, do_mkdir, do_symlink, do_unlink, do_unlink, do_unlink,
	do_held, do_link, do_rename, do_rename, do_rename, do_exchange,
	do_fsync, do_fsync, do_fsync_dir, do_sync, do_tmpfile, do_xattr,
	do_sleep, do_trim };

void
model_work(struct model_work *w)
{
	const struct model_thread *t = mine(w);
	unsigned i;

	w->mw_held = -1;
	/* Modes say which object it is. */
	must(w, TCALL(&w->mw_sys, SYS_umask, 0), "umask");
	for (i = 0; i < w->mw_nops && w->mw_error == 0; i++) {
		if (t->mt_begun + 2 >= MODEL_OPS)
			break;
		things[draw(w, sizeof(things) / sizeof(things[0]))](w);
	}
	if (w->mw_held >= 0)
		must(w, TCALL(&w->mw_sys, SYS_close, w->mw_held), "close");
}

int64_t
model_prepare(struct model *m, const struct tree_sys *s)
{
	char path[600];
	int64_t r = 0;
	unsigned i;

	for (i = 0; i < m->m_nthread && r == 0; i++) {
		model_path(m, i, -1, -1, path, sizeof(path));
		r = TCALL(s, SYS_mkdir, path, 0755);
	}
	return r == 0 ? TCALL(s, SYS_sync, 0) : r;
}
