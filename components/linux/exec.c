/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * execve: another program for a process.
 *
 * Everything that can fail is done first, in a new address space; then the other
 * threads end, and only then does the process become the new program.  From
 * there on nothing fails.
 */
#include "impl.h"

#include <quern/abi/errno.h>
#include <quern/abi/stat.h>

/* As in Linux: one string, and all together. */
#define STRING_MAX  131072u
#define STRINGS_MAX ((size_t)6 << 20)

/* Scripts whose interpreter is a script, and so on. */
#define SCRIPT_DEPTH 4
#define SCRIPT_LINE  256u

static const struct qtag tag_strings = { "exec strings" };

/* ---- strings ---------------------------------------------------------------------- */

static int
strings_room(struct lstrings *ss, size_t more)
{
	size_t room = ss->ss_room != 0 ? ss->ss_room : 1024;
	char *p;

	if (more <= ss->ss_room - ss->ss_len)
		return 0;
	while (room - ss->ss_len < more)
		room *= 2;
	p = qalloc(&tag_strings, room);
	if (p == NULL)
		return -Q_ENOMEM;
	if (ss->ss_len != 0)
		memcpy(p, ss->ss_p, ss->ss_len);
	qfree(ss->ss_p);
	ss->ss_p = p;
	ss->ss_room = room;
	return 0;
}

int
lstrings_add(struct lstrings *ss, const char *str)
{
	size_t len = qstrlen(str) + 1;
	int error;

	error = strings_room(ss, len);
	if (error != 0)
		return error;
	memcpy(ss->ss_p + ss->ss_len, str, len);
	ss->ss_len += len;
	ss->ss_n++;
	return 0;
}

void
lstrings_free(struct lstrings *ss)
{
	qfree(ss->ss_p);
	memset(ss, 0, sizeof(*ss));
}

/* Copy the strings that the pointers at `at` lead to. */
static int
strings_in(const struct quspace *us, uint64_t at, struct lstrings *ss)
{
	uint64_t p;
	int64_t len;
	int error;

	for (; at != 0; at += sizeof(p)) {
		error = qcopyin(us, &p, at, sizeof(p));
		if (error != 0)
			return error;
		if (p == 0)
			break;
		error = strings_room(ss, STRING_MAX + 1);
		if (error != 0)
			return error;
		len = qcopyinstr(us, ss->ss_p + ss->ss_len, p, STRING_MAX);
		if (len < 0)
			return len == -Q_ENAMETOOLONG ? -Q_E2BIG : (int)len;
		ss->ss_len += (size_t)len + 1;
		ss->ss_n++;
		if (ss->ss_len > STRINGS_MAX)
			return -Q_E2BIG;
	}
	return 0;
}

/* Put `n` strings before the others, in place of the first one. */
static int
strings_prepend(struct lstrings *ss, const char *const *first, unsigned n)
{
	struct lstrings all = { 0 };
	size_t skip = ss->ss_n != 0 ? qstrlen(ss->ss_p) + 1 : 0;
	unsigned i;
	int error = 0;

	for (i = 0; i < n && error == 0; i++)
		if (first[i] != NULL)
			error = lstrings_add(&all, first[i]);
	if (error == 0)
		error = strings_room(&all, ss->ss_len - skip + 1);
	if (error != 0) {
		lstrings_free(&all);
		return error;
	}
	memcpy(all.ss_p + all.ss_len, ss->ss_p + skip, ss->ss_len - skip);
	all.ss_len += ss->ss_len - skip;
	all.ss_n += ss->ss_n != 0 ? ss->ss_n - 1 : 0;
	lstrings_free(ss);
	*ss = all;
	return 0;
}

/* ---- the file ------------------------------------------------------------------------ */

int64_t
linux_pread(struct qfile *f, void *buf, size_t len, uint64_t off)
{
	struct quio u;
	int error;

	error = quio_init(&u, &quspace_local, (uintptr_t)buf, len);
	if (error != 0)
		return error;
	u.u_off = (int64_t)off;
	return f->f_ops->fo_read(f, &u);
}

/* Open what is to be executed. */
static int
open_program(struct quern_proc *p, int dirfd, const char *path, int flags,
    struct limage *im)
{
	unsigned walk = QWALK_FOLLOW;
	struct qcred cred;
	struct q_stat st;
	int error;

	if ((flags & Q_AT_SYMLINK_NOFOLLOW) != 0)
		walk &= ~QWALK_FOLLOW;
	if ((flags & Q_AT_EMPTY_PATH) != 0)
		walk |= QWALK_EMPTY;
	error = qvfs_walk(p, dirfd, path, walk, &im->im_path);
	if (error != 0)
		return error;
	qproc_cred(p, &cred);
	error = qvnode_access(im->im_path.p_d->d_vnode, &cred, QACC_EXEC);
	qcred_drop(&cred);
	if (error == 0)
		error = qvfs_open(p, &im->im_path, Q_O_RDONLY, &im->im_file);
	if (error == 0) {
		memset(&st, 0, sizeof(st));
		error = im->im_file->f_ops->fo_stat(im->im_file, &st);
		if (error == 0 && (st.st_mode & Q_S_IFMT) != Q_S_IFREG)
			error = -Q_EACCES;
	}
	return error;
}

static void
close_program(struct limage *im)
{
	if (im->im_file != NULL)
		qfile_put(im->im_file);
	if (im->im_path.p_d != NULL)
		qpath_put(&im->im_path);
	im->im_file = NULL;
	im->im_path.p_d = NULL;
	im->im_path.p_mnt = NULL;
}

/* "#! interpreter argument" as Linux reads it; 1: it is one. */
static int
script_line(struct limage *im, char line[SCRIPT_LINE + 1], char **interp,
    char **arg)
{
	int64_t n = linux_pread(im->im_file, line, SCRIPT_LINE, 0);
	char *p, *end;

	if (n < 0)
		return (int)n;
	line[n] = '\0';
	if (n < 2 || line[0] != '#' || line[1] != '!')
		return 0;
	for (end = line + 2; *end != '\0' && *end != '\n'; end++)
		;
	if (*end == '\0' && n == SCRIPT_LINE)
		return -Q_ENOEXEC;
	while (end > line + 2 && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*end = '\0';
	for (p = line + 2; *p == ' ' || *p == '\t'; p++)
		;
	if (*p == '\0')
		return -Q_ENOEXEC;
	*interp = p;
	*arg = NULL;
	for (; *p != '\0' && *p != ' ' && *p != '\t'; p++)
		;
	if (*p != '\0') {
		*p++ = '\0';
		while (*p == ' ' || *p == '\t')
			p++;
		*arg = p;
	}
	return 1;
}

/* Open the program, or through scripts the one that runs them. */
static int
find_program(struct quern_proc *p, int dirfd, const char *path, int flags,
    struct limage *im)
{
	char line[SCRIPT_LINE + 1], name[SCRIPT_LINE + 1];
	char *interp = NULL, *arg = NULL;
	const char *first[3];
	int depth, error;

	error = open_program(p, dirfd, path, flags, im);
	for (depth = 0; error == 0; depth++) {
		error = script_line(im, line, &interp, &arg);
		if (error <= 0)
			break;
		if (depth == SCRIPT_DEPTH)
			return -Q_ELOOP;
		first[0] = interp;
		first[1] = arg;
		first[2] = depth == 0 ? im->im_name : name;
		/* That name will lead nowhere. */
		if (depth == 0 && path != im->im_name &&
		    qfd_cloexec(p, dirfd) != 0)
			return -Q_ENOENT;
		error = strings_prepend(&im->im_argv, first, 3);
		if (error != 0)
			break;
		memcpy(name, interp, qstrlen(interp) + 1);
		close_program(im);
		error = open_program(p, Q_AT_FDCWD, name, 0, im);
	}
	return error;
}

/* ---- becoming another program ----------------------------------------------------------- */

/* Whose it will be: by set-user-ID and set-group-ID bits, where they count. */
static int
find_owner(struct lproc *lp, struct limage *im)
{
	const struct qcred *c = &lp->lp_proc->p_cred;
	struct q_stat st;
	int error;

	memset(&st, 0, sizeof(st));
	error = im->im_file->f_ops->fo_stat(im->im_file, &st);
	if (error != 0)
		return error;
	im->im_uid = im->im_gid = UINT32_MAX;
	if (!lp->lp_nonewprivs && !qpath_nosuid(&im->im_path)) {
		if ((st.st_mode & Q_S_ISUID) != 0)
			im->im_uid = st.st_uid;
		if ((st.st_mode & (Q_S_ISGID | 010)) == (Q_S_ISGID | 010))
			im->im_gid = st.st_gid;
	}
	im->im_secure = c->c_uid !=
		(im->im_uid != UINT32_MAX ? im->im_uid : c->c_euid) ||
	    c->c_gid != (im->im_gid != UINT32_MAX ? im->im_gid : c->c_egid);
	return 0;
}

static void
set_name(struct lthread *lt, const char *path)
{
	struct quern_proc *p = lt->lt_proc->lp_proc;
	const char *base = path;
	size_t i;

	for (; *path != '\0'; path++)
		if (*path == '/')
			base = path + 1;
	qmutex_lock(&p->p_lock);
	for (i = 0; i < sizeof(p->p_comm) - 1 && base[i] != '\0'; i++)
		p->p_comm[i] = base[i];
	memset(p->p_comm + i, 0, sizeof(p->p_comm) - i);
	memcpy(lt->lt_comm, p->p_comm, sizeof(lt->lt_comm));
	qmutex_unlock(&p->p_lock);
}

static void
new_thread_state(struct lthread *lt, const struct limage *im)
{
	struct quern_vmframe *f = &lt->lt_f;
	struct lsys *l = lt->lt_l;
	void *xsave = f->f_xsave;

	memset(f, 0, sizeof(*f));
	f->f_xsave = xsave;
	f->f_xsavelen = (uint32_t)l->l_xsave;
	memset(xsave, 0, l->l_xsave);
	f->f_rip = im->im_entry;
	f->f_reg[RSP] = im->im_sp;
	f->f_rflags = 0x202;
	lt->lt_alt = (struct q_stack){ NULL, Q_SS_DISABLE, 0 };
	lt->lt_cleartid = lt->lt_settid = lt->lt_robust = lt->lt_rseq = 0;
	lt->lt_nr = LT_NOCALL;
	lt->lt_restart = LR_NONE;
	if (lt->lt_thread == NULL)
		return;
	/* The thread that calls exec becomes the process's first. */
	qspin_lock(&l->l_lock);
	lt->lt_tid = lt->lt_proc->lp_proc->p_pid;
	lt->lt_thread->t_tid = lt->lt_tid;
	qlist_del(&lt->lt_hash);
	qlist_append(&l->l_tids[lt->lt_tid % LINUX_HASH], &lt->lt_hash);
	qspin_unlock(&l->l_lock);
	lt->lt_vs = qvm_pmap(im->im_map);
}

/* Nothing fails any more. */
static void
become(struct lthread *lt, struct limage *im, const char *path)
{
	struct lproc *lp = lt->lt_proc;
	struct lsys *l = lt->lt_l;
	int error;

	if (lt->lt_vs != NULL)
		qvmspace_forget(lt->lt_vs, &lt->lt_f);
	lcalls_free(lp);
	lproc_note_peak(lp);
	error = qvm_attach(lp->lp_proc, im->im_map);
	qassert(error == 0);
	qproc_exec_cred(lp->lp_proc, im->im_uid, im->im_gid);
	new_thread_state(lt, im);
	set_name(lt, path);
	lproc_set_exe(lp, &im->im_path);
	memcpy(lp->lp_argv, im->im_at, sizeof(lp->lp_argv));
	ltimers_exec(lp);
	qfdtable_exec(lp->lp_proc);
	qspin_lock(&l->l_lock);
	lp->lp_forked = false;
	lp->lp_exitsig = Q_SIGCHLD;
	lp->lp_dumpable = !im->im_secure;
	qspin_unlock(&l->l_lock);
	lproc_vfork_done(lp);
}

/* Map program, stack and what else it begins with. */
static int
load(struct quern_proc *p, struct limage *im)
{
	struct lsys *l = linux_of(p->p_k);
	int error;

	error = qvm_create(p->p_k, &qvmspace_ops, &im->im_map);
	if (error == 0)
		error = elf_load(p, im);
	if (error == 0 && l->l_vdso != NULL)
		error = qvdso_map(l->l_vdso, im->im_map, &im->im_vdso);
	if (error == 0)
		error = stack_make(p, im);
	return error;
}

/* A name that leads there from anywhere: of the descriptor and `path` from it. */
static int
name_by_fd(int fd, const char *path, char **namep)
{
	size_t room = qstrlen(path) + 32;

	*namep = qalloc(&tag_strings, room);
	if (*namep == NULL)
		return -Q_ENOMEM;
	qsnprintf(*namep, room, "/dev/fd/%d%s%s", fd, *path != '\0' ? "/" : "",
	    path);
	return 0;
}

int
linux_exec(struct lthread *lt, int dirfd, const char *path, int flags,
    struct lstrings *argv, struct lstrings *envp)
{
	struct quern_proc *p = lt->lt_proc->lp_proc;
	struct limage im = { .im_argv = *argv,
		.im_envp = *envp,
		.im_name = path };
	char *byfd = NULL;
	int error = 0;

	if (dirfd != Q_AT_FDCWD && path[0] != '/') {
		error = name_by_fd(dirfd, path, &byfd);
		im.im_name = byfd;
	}

	/* A program finds its name there; as Linux does. */
	if (error == 0 && argv->ss_n == 0)
		error = lstrings_add(&im.im_argv, "");
	if (error == 0)
		error = find_program(p, dirfd, path, flags, &im);
	if (error == 0)
		error = find_owner(lt->lt_proc, &im);
	if (error == 0)
		error = load(p, &im);
	if (error == 0)
		error = qfdtable_unshare(p);
	if (error == 0 && lt->lt_thread != NULL)
		error = lproc_single(lt);
	if (error == 0)
		error = lproc_reset_hand(lt->lt_proc);
	if (error == 0)
		become(lt, &im, im.im_name);
	if (im.im_map != NULL)
		qvm_put(im.im_map);
	close_program(&im);
	qfree(byfd);
	*argv = im.im_argv;
	return error;
}

/* ---- the calls ----------------------------------------------------------------------------- */

#define EXEC_PATH_MAX 4096u

static int64_t
do_exec(struct qsys *s, int dirfd, unsigned i, int flags)
{
	struct lthread *lt = lthread_current();
	struct lstrings argv = { 0 }, envp = { 0 };
	int64_t ret = -Q_ENOMEM;
	char *path;

	path = qalloc(&tag_strings, EXEC_PATH_MAX);
	if (path != NULL)
		ret = qcopyinstr(s->s_us, path, s->s_arg[i], EXEC_PATH_MAX);
	if (ret == 0 && (flags & Q_AT_EMPTY_PATH) == 0)
		ret = -Q_ENOENT;
	if (ret >= 0)
		ret = strings_in(s->s_us, s->s_arg[i + 1], &argv);
	if (ret == 0)
		ret = strings_in(s->s_us, s->s_arg[i + 2], &envp);
	if (ret == 0)
		ret = linux_exec(lt, dirfd, path, flags, &argv, &envp);
	lstrings_free(&argv);
	lstrings_free(&envp);
	qfree(path);
	return ret;
}

QSYS(execve)
{
	return do_exec(s, Q_AT_FDCWD, 0, 0);
}

QSYS(execveat)
{
	int flags = qsys_int(s, 4);

	if ((flags & ~(Q_AT_EMPTY_PATH | Q_AT_SYMLINK_NOFOLLOW)) != 0)
		return -Q_EINVAL;
	return do_exec(s, qsys_int(s, 0), 1, flags);
}
