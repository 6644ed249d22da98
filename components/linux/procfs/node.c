/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nodes: what there is, by which names.
 *
 * Inode numbers: places in sys_entries from FIRST_FIXED on; of a process's or a
 * thread's nodes its serial, what it is and which descriptor; those of things
 * without a name have the highest bit (object.c).
 */
#include "impl.h"

#include <quern/linux.h>

#define ROOT_INO    UINT64_C(1)
#define FIRST_FIXED UINT64_C(2)

/* Room for a number. */
#define DIGITS 12u

static const struct qvnode_ops dir_ops, file_ops, link_ops, magic_ops;

/* ---- which process ------------------------------------------------------------ */

int
subject_begin(const struct node *n, struct quern_proc *reader,
    struct subject *sub)
{
	struct quern *k = n->n_v.v_fs->fs_k;

	memset(sub, 0, sizeof(*sub));
	sub->s_k = k;
	sub->s_reader = reader;
	sub->s_fd = n->n_fd;
	if (n->n_pid == 0)
		return 0;
	return qlproc_look(k, n->n_pid, n->n_tid, n->n_serial, &sub->s_li,
	    &sub->s_p);
}

void
subject_end(struct subject *sub)
{
	if (sub->s_p != NULL)
		qlproc_put(sub->s_p);
}

const struct entry *
node_entry(const struct node *n)
{
	if (n->n_kind == N_FIXED && n->n_index < nsys_entries)
		return &sys_entries[n->n_index];
	if (n->n_kind == N_ENTRY)
		return &pid_entries[n->n_index];
	return NULL;
}

/* ---- nodes --------------------------------------------------------------------- */

static uint64_t
ino_of(const struct node *n)
{
	if (n->n_pid == 0)
		return n->n_index >= nsys_entries ? ROOT_INO :
						    FIRST_FIXED + n->n_index;
	return (n->n_serial << 32 & ~OBJECT_INO) |
	    (uint64_t)(n->n_kind == N_ENTRY ? 32 + n->n_index :
					      (unsigned)n->n_kind)
	    << 25 |
	    (uint64_t)(n->n_tid != 0) << 24 | (uint32_t)n->n_fd;
}

/* Its mode, by what it is. */
static uint32_t
mode_of(const struct node *n)
{
	const struct entry *e = node_entry(n);

	if (e != NULL)
		return e->e_mode;
	switch (n->n_kind) {
	case N_FDS:
		return Q_S_IFDIR | 0500;
	case N_FD:
		return Q_S_IFLNK; /* and what lookup_fd says */
	case N_FDINFO:
		return Q_S_IFREG | 0444;
	default:
		return Q_S_IFDIR | 0555;
	}
}

static void
set_ids(struct qvnode *v, uint32_t uid, uint32_t gid)
{
	qvattr_begin(v);
	__atomic_store_n(&v->v_uid, uid, __ATOMIC_RELEASE);
	__atomic_store_n(&v->v_gid, gid, __ATOMIC_RELEASE);
	qvattr_end(v);
}

void
node_set_owner(struct qvnode *v, const struct quern_proc *p)
{
	set_ids(v, __atomic_load_n(&p->p_cred.c_euid, __ATOMIC_RELAXED),
	    __atomic_load_n(&p->p_cred.c_egid, __ATOMIC_RELAXED));
}

static const struct qvnode_ops *
ops_of(const struct qvnode *v, const struct node *n)
{
	const struct entry *e = node_entry(n);

	switch (v->v_mode & Q_S_IFMT) {
	case Q_S_IFDIR:
		return &dir_ops;
	case Q_S_IFLNK:
		return n->n_kind == N_FD || (e != NULL && e->e_place != NULL) ?
		    &magic_ops :
		    &link_ops;
	default:
		return &file_ops;
	}
}

/* The vnode of `want`, whose n_v is not used. */
static int
node_get(struct qfs *fs, const struct node *want, struct qvnode **vp)
{
	struct qlproc_info li = { .li_dumpable = true };
	struct quern_proc *p = NULL;
	struct node *n;
	struct qvnode *v;
	int made;

	if (want->n_pid != 0 &&
	    qlproc_look(fs->fs_k, want->n_pid, want->n_tid, want->n_serial, &li,
		&p) != 0)
		return -Q_ENOENT;
	made = qvnode_get(fs, ino_of(want), &v);
	if (made > 0) {
		n = node_of(v);
		n->n_kind = want->n_kind;
		n->n_pid = want->n_pid;
		n->n_tid = want->n_tid;
		n->n_serial = want->n_serial;
		n->n_index = want->n_index;
		n->n_fd = want->n_fd;
		v->v_mode = mode_of(n);
		v->v_nlink = qvnode_isdir(v) ? 2 : 1;
		v->v_ops = ops_of(v, n);
		v->v_atime = v->v_mtime = v->v_ctime = qfs_now(fs);
		qvnode_ready(v);
	}
	/* One that is not to be looked into has but its directory. */
	if (made >= 0 && p != NULL && !li.li_dumpable &&
	    node_of(v)->n_kind != N_DIR)
		set_ids(v, 0, 0);
	else if (made >= 0 && p != NULL)
		node_set_owner(v, p);
	if (p != NULL)
		qlproc_put(p);
	if (made < 0)
		return made;
	*vp = v;
	return 0;
}

int
node_root(struct qfs *fs, struct qvnode **vp)
{
	const struct node root = { .n_index = nsys_entries };

	return node_get(fs, &root, vp);
}

/* ---- names ------------------------------------------------------------------------ */

static bool
is_name(const struct qname *n, const char *s)
{
	return qstrlen(s) == n->n_len && memcmp(n->n_name, s, n->n_len) == 0;
}

/* A decimal number without zeroes in front; -1: not one. */
static int64_t
parse(const struct qname *n)
{
	int64_t num = 0;
	uint32_t i;

	if (n->n_len >= DIGITS || (n->n_name[0] == '0' && n->n_len > 1))
		return -1;
	for (i = 0; i < n->n_len; i++) {
		if (n->n_name[i] < '0' || n->n_name[i] > '9')
			return -1;
		num = num * 10 + (n->n_name[i] - '0');
	}
	return num <= INT32_MAX ? num : -1;
}

/* Which of the system's directories it is. */
static unsigned
dir_number(const struct node *n)
{
	return n->n_index < nsys_entries ? sys_entries[n->n_index].e_is :
					   D_ROOT;
}

/* A directory of process `pid` or its thread. */
static int
get_process(struct qfs *fs, uint32_t pid, uint32_t tid, struct qvnode **vp)
{
	struct node want = { .n_kind = N_DIR, .n_pid = pid, .n_tid = tid };
	struct qlproc_info li;

	if (qlproc_look(fs->fs_k, pid, tid, 0, &li, NULL) != 0)
		return -Q_ENOENT;
	want.n_serial = li.li_serial;
	return node_get(fs, &want, vp);
}

static int
lookup_fixed(const struct node *dir, const struct qname *name,
    struct qvnode **vp)
{
	unsigned i, in = dir_number(dir);
	int64_t num = parse(name);

	for (i = 0; i < nsys_entries; i++) {
		const struct node want = { .n_index = i };

		if (sys_entries[i].e_dir == in &&
		    is_name(name, sys_entries[i].e_name))
			return node_get(dir->n_v.v_fs, &want, vp);
	}
	if (in != D_ROOT || num <= 0)
		return -Q_ENOENT;
	return get_process(dir->n_v.v_fs, (uint32_t)num, 0, vp);
}

static int
lookup_entry(const struct node *dir, const struct qname *name,
    struct qvnode **vp)
{
	struct node want = { .n_kind = N_ENTRY,
		.n_pid = dir->n_pid,
		.n_tid = dir->n_tid,
		.n_serial = dir->n_serial };
	const struct entry *e;

	for (; want.n_index < npid_entries; want.n_index++) {
		e = &pid_entries[want.n_index];
		if (!is_name(name, e->e_name) ||
		    ((e->e_flags & E_PROCESS) != 0 && dir->n_tid != 0))
			continue;
		if ((e->e_mode & Q_S_IFMT) == Q_S_IFDIR) {
			want.n_kind = e->e_is;
			want.n_index = 0;
		}
		return node_get(dir->n_v.v_fs, &want, vp);
	}
	return -Q_ENOENT;
}

/* A descriptor's link may what the file may. */
static void
set_rights(struct qvnode *v, uint32_t fmode)
{
	uint32_t mode = Q_S_IFLNK;

	if ((fmode & QF_READ) != 0)
		mode |= 0500;
	if ((fmode & QF_WRITE) != 0)
		mode |= 0300;
	qvattr_begin(v);
	__atomic_store_n(&v->v_mode, mode, __ATOMIC_RELEASE);
	qvattr_end(v);
}

static int
lookup_fd(const struct node *dir, const struct subject *sub,
    const struct qname *name, struct qvnode **vp)
{
	struct node want = { .n_kind = dir->n_kind == N_FDS ? N_FD : N_FDINFO,
		.n_pid = dir->n_pid,
		.n_tid = dir->n_tid,
		.n_serial = dir->n_serial };
	int64_t num = parse(name);
	struct qfile *f;
	int error;

	if (num < 0 || qlproc_file(sub->s_p, (int)num, &f) != 0)
		return -Q_ENOENT;
	want.n_fd = (int)num;
	error = node_get(dir->n_v.v_fs, &want, vp);
	if (error == 0 && want.n_kind == N_FD)
		set_rights(*vp, f->f_mode);
	qfile_put(f);
	return error;
}

static int
proc_lookup(struct qvnode *dir, const struct qname *name, struct qvnode **vp)
{
	const struct node *n = node_of(dir);
	struct subject sub;
	int64_t num;
	int error;

	if (n->n_kind == N_FIXED)
		return lookup_fixed(n, name, vp);
	error = subject_begin(n, qproc_current(), &sub);
	if (error != 0)
		return -Q_ENOENT;
	switch (n->n_kind) {
	case N_DIR:
		error = lookup_entry(n, name, vp);
		break;
	case N_TASKS:
		num = parse(name);
		error = num > 0 ?
		    get_process(dir->v_fs, n->n_pid, (uint32_t)num, vp) :
		    -Q_ENOENT;
		break;
	default:
		error = qlproc_may_look(sub.s_reader, sub.s_p);
		if (error == 0)
			error = lookup_fd(n, &sub, name, vp);
		break;
	}
	subject_end(&sub);
	return error;
}

/* ---- what is in a directory --------------------------------------------------------- */

/* What is told to whom. */
struct listing {
	qreaddir_fn *ls_emit;
	void *ls_arg;
	uint64_t *ls_pos;
};

/* One entry; the next one is at `next`.  False: there is no room. */
static bool
tell(struct listing *ls, const char *name, uint32_t mode, uint64_t ino,
    uint64_t next)
{
	if (ls->ls_emit(ls->ls_arg, name, qstrlen(name), ino,
		(mode & Q_S_IFMT) >> 12, next) != 0)
		return false;
	*ls->ls_pos = next;
	return true;
}

static bool
tell_number(struct listing *ls, uint32_t num, uint32_t mode, uint64_t next)
{
	char name[DIGITS];

	qsnprintf(name, sizeof(name), "%u", num);
	return tell(ls, name, mode, num + UINT64_C(1), next);
}

/* Entries of a table at positions from 2 on, then numbers. */
#define FIRST_NUMBER UINT64_C(1000)

static bool
list_table(struct listing *ls, const struct node *n)
{
	const struct entry *e,
	    *table = n->n_pid != 0 ? pid_entries : sys_entries;
	unsigned max = n->n_pid != 0 ? npid_entries : nsys_entries;
	unsigned in = n->n_pid != 0 ? 0 : dir_number(n);

	while (*ls->ls_pos < 2 + (uint64_t)max) {
		e = &table[*ls->ls_pos - 2];
		if (e->e_dir != in ||
		    ((e->e_flags & E_PROCESS) != 0 && n->n_tid != 0))
			++*ls->ls_pos;
		else if (!tell(ls, e->e_name, e->e_mode,
			     FIRST_FIXED + *ls->ls_pos, *ls->ls_pos + 1))
			return false;
	}
	return true;
}

/* What comes by itself: processes, threads, descriptors. */
static void
list_numbers(struct listing *ls, const struct node *n,
    const struct subject *sub)
{
	struct quern *k = n->n_v.v_fs->fs_k;
	uint32_t mode = Q_S_IFDIR;
	uint64_t from;
	int64_t num;

	if (*ls->ls_pos < FIRST_NUMBER)
		*ls->ls_pos = FIRST_NUMBER;
	for (;;) {
		from = *ls->ls_pos - FIRST_NUMBER;
		if (from > INT32_MAX)
			return;
		if (n->n_kind == N_FIXED) {
			num = qlproc_from(k, (uint32_t)from);
		} else if (n->n_kind == N_TASKS) {
			num = qlproc_tid_from(k, n->n_pid, (uint32_t)from);
		} else {
			num = qlproc_fd_from(sub->s_p, (int)from);
			mode = n->n_kind == N_FDS ? Q_S_IFLNK : Q_S_IFREG;
		}
		if (num < 0 || (num == 0 && mode == Q_S_IFDIR))
			return;
		if (!tell_number(ls, (uint32_t)num, mode,
			FIRST_NUMBER + (uint64_t)num + 1))
			return;
	}
}

static int
proc_readdir(struct qvnode *dir, uint64_t *posp, qreaddir_fn *emit, void *arg)
{
	struct listing ls = { emit, arg, posp };
	const struct node *n = node_of(dir);
	struct subject sub;
	int error;

	error = subject_begin(n, qproc_current(), &sub);
	if (error != 0)
		return -Q_ENOENT;
	if (n->n_kind == N_FDS || n->n_kind == N_FDINFOS)
		error = qlproc_may_look(sub.s_reader, sub.s_p);
	while (error == 0 && *posp < 2)
		if (!tell(&ls, *posp == 0 ? "." : "..", Q_S_IFDIR,
			*posp == 0 ? dir->v_ino : ROOT_INO, *posp + 1)) {
			subject_end(&sub);
			return 0;
		}
	if (error == 0 && (n->n_kind == N_FIXED || n->n_kind == N_DIR) &&
	    !list_table(&ls, n)) {
		subject_end(&sub);
		return 0;
	}
	if (error == 0 && n->n_kind != N_DIR &&
	    (n->n_kind != N_FIXED || dir_number(n) == D_ROOT))
		list_numbers(&ls, n, &sub);
	subject_end(&sub);
	return error;
}

/* Nothing can be made here, and Linux says so in these words. */
static int
proc_create(struct qvnode *dir, const struct qname *name,
    const struct qvnew *what, struct qvnode **vp)
{
	(void)dir, (void)name, (void)what, (void)vp;
	return -Q_ENOENT;
}

static const struct qvnode_ops dir_ops = {
	.vo_create = proc_create,
	.vo_lookup = proc_lookup,
	.vo_readdir = proc_readdir,
};

static const struct qvnode_ops file_ops = { .vo_open = file_open };

static const struct qvnode_ops link_ops = { .vo_readlink = link_read };

static const struct qvnode_ops magic_ops = {
	.vo_readlink = link_read,
	.vo_follow = link_follow,
};
