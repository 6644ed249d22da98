/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Processes of the personality's, without programs in them: made, given a few
 * files, and taken away, while others look at all there is of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quern/abi/errno.h>
#include <quern/abi/fcntl.h>
#include <quern/abi/fs.h>
#include <quern/abi/stat.h>
#include <quern/procfs.h>
#include <quern/tmpfs.h>
#include <quern/tty.h>

#include <kernel/impl.h>

#include <components/linux/impl.h>
#include <components/linux/lproc.h>

#include "tests/kernel/ktest.h"

static const struct quern_component *const components[] = { &qvfs, &qtmpfs,
	&qvm, &qttys, &qlinux, &qprocfs, NULL };

/* A kernel with /proc and a process 1, and a client. */
struct env {
	struct kenv *e;
	struct quern *k;
	struct quern_proc *p;
	struct lproc *init;
};

/* ---- processes ------------------------------------------------------------------ */

struct making {
	struct lsys *l;
	struct lproc *from, *made;
};

static int64_t
make_body(void *arg)
{
	struct making *m = arg;

	return lproc_create(m->l, m->from, 0, &m->made);
}

/* A child of `from` (NULL: of nobody), or NULL: no memory. */
static struct lproc *
make_process(struct quern *k, struct lproc *from)
{
	struct making m = { linux_of(k), from, NULL };

	return kcall(k, make_body, &m) == 0 ? m.made : NULL;
}

static int64_t
end_body(void *arg)
{
	lproc_abandon(arg);
	return 0;
}

static void
end_process(struct quern *k, struct lproc *lp)
{
	(void)kcall(k, end_body, lp);
}

static bool
try_start(struct env *en, struct kenv *e, struct quern_config *cfg)
{
	en->e = e;
	cfg->components = components;
	en->init = NULL;
	en->p = NULL;
	if (quern_create(cfg, &en->k) != 0)
		return false;
	if (quern_proc_create(en->k, &en->p) == 0 &&
	    quern_mkdir(en->p, "/proc", 0755) == 0 &&
	    quern_mount(en->p, "proc", "/proc", "proc", 0, NULL) == 0)
		en->init = make_process(en->k, NULL);
	return true;
}

static bool
start(struct env *en, struct kenv *e)
{
	struct quern_config cfg = kenv_config(e);

	/* What is not shown is kept all the same. */
	cfg.log_level = QUERN_LOG_WARN;
	return KCHECK(e, try_start(en, e, &cfg)) && KCHECK(e, en->init != NULL);
}

static void
stop(struct env *en)
{
	if (en->init != NULL)
		end_process(en->k, en->init);
	kenv_destroy(en->e, en->k);
}

/* ---- looking at everything -------------------------------------------------------- */

/* What a process that has gone, or has no memory, may answer. */
static bool
is_expected(int64_t error, bool nomem)
{
	return error >= 0 || error == -Q_ENOENT || error == -Q_ESRCH ||
	    error == -Q_EINVAL || (nomem && error == -Q_ENOMEM) ||
	    (nomem && error == -Q_ENFILE);
}

struct look {
	struct env *en;
	bool nomem;
	unsigned files, links, dirs;
};

static void
check(struct look *lk, const char *path, int64_t ret)
{
	if (!KCHECK(lk->en->e, is_expected(ret, lk->nomem)))
		fprintf(stderr, "%s: %d\n", path, (int)ret);
}

static void
look_at_file(struct look *lk, struct quern_proc *p, const char *path)
{
	int64_t fd = quern_open(p, path, Q_O_RDONLY, 0), n;
	char buf[100];

	check(lk, path, fd);
	if (fd < 0)
		return;
	while ((n = quern_read(p, (int)fd, buf, sizeof(buf))) > 0)
		continue;
	check(lk, path, n);
	lk->files++;
	(void)!quern_close(p, (int)fd);
}

static void
look_at_link(struct look *lk, struct quern_proc *p, const char *path)
{
	struct q_stat st;
	char buf[300];

	check(lk, path, quern_readlink(p, path, buf, sizeof(buf)));
	check(lk, path, quern_stat(p, path, &st));
	lk->links++;
}

/* Names of a directory, one after the other, each ended by a 0. */
static size_t
names_of(struct look *lk, struct quern_proc *p, const char *path, char *names,
    size_t room)
{
	int64_t fd = quern_open(p, path, Q_O_RDONLY | Q_O_DIRECTORY, 0), n, at;
	struct q_dirent64 *d;
	char buf[256];
	size_t len = 0;

	check(lk, path, fd);
	if (fd < 0)
		return 0;
	while ((n = quern_getdents64(p, (int)fd, buf, sizeof(buf))) > 0)
		for (at = 0; at < n; at += d->d_reclen) {
			d = (struct q_dirent64 *)(void *)(buf + at);
			if (d->d_name[0] == '.' ||
			    len + strlen(d->d_name) + 1 > room)
				continue;
			strcpy(names + len, d->d_name);
			len += strlen(d->d_name) + 1;
		}
	check(lk, path, n);
	(void)!quern_close(p, (int)fd);
	return len;
}

static void
look_at_all(struct look *lk, struct quern_proc *p, const char *path)
{
	char names[2048], sub[200];
	struct q_stat st;
	int64_t error;
	size_t at, len = names_of(lk, p, path, names, sizeof(names));

	lk->dirs++;
	for (at = 0; at < len; at += strlen(names + at) + 1) {
		snprintf(sub, sizeof(sub), "%s/%s", path, names + at);
		error = quern_lstat(p, sub, &st);
		check(lk, sub, error);
		if (error != 0)
			continue;
		if ((st.st_mode & Q_S_IFMT) == Q_S_IFDIR)
			look_at_all(lk, p, sub);
		else if ((st.st_mode & Q_S_IFMT) == Q_S_IFLNK)
			look_at_link(lk, p, sub);
		else
			look_at_file(lk, p, sub);
	}
}

/* Make a process that has files, and take it away. */
static void
come_and_go(void *arg)
{
	struct env *en = arg;
	struct lproc *lp;
	int32_t fd[2];
	int i;

	for (i = 0; i < 8; i++) {
		lp = make_process(en->k, en->init);
		if (!KCHECK(en->e, lp != NULL))
			return;
		KCHECK_EQ(en->e, quern_pipe2(lp->lp_proc, fd, 0), 0);
		KCHECK(en->e, quern_open(lp->lp_proc, "/", Q_O_RDONLY, 0) >= 0);
		KCHECK_EQ(en->e, quern_chdir(lp->lp_proc, "/proc"), 0);
		kpause(en->e);
		end_process(en->k, lp);
	}
}

static void
all(struct kenv *e)
{
	struct look lk = { 0 };
	struct env en;
	int32_t fd[2];

	if (!start(&en, e))
		return;
	lk.en = &en;
	KCHECK_EQ(e, quern_pipe2(en.init->lp_proc, fd, 0), 0);
	kspawn(e, come_and_go, &en);
	kspawn(e, come_and_go, &en);
	look_at_all(&lk, en.p, "/proc");
	kjoin(e);
	/* The system's, and those of process 1, which stays. */
	KCHECK(e, lk.files > 60 && lk.links >= 8 && lk.dirs >= 12);
	stop(&en);
}

/* What starting takes, from which on each allocation fails in turn. */
static uint64_t
allocs_of_start(struct kenv *e)
{
	struct quern_config cfg = kenv_config(e);
	struct quern_stats st = { 0 };
	struct env en;

	cfg.log_level = -1;
	cfg.fail_alloc = UINT64_MAX;
	if (KCHECK(e, try_start(&en, e, &cfg))) {
		quern_stats(en.k, &st);
		stop(&en);
	}
	return st.st_allocs;
}

/* What has no memory says so, and nothing is left. */
static void
no_memory(struct kenv *e)
{
	struct look lk = { .nomem = true };
	struct quern_config cfg = kenv_config(e);
	struct quern_stats st;
	struct env en;
	uint64_t n, first;
	int32_t fd[2];

	/* Hundreds of kernels: once is enough. */
	if (e->ncpu != 1 || e->runners != 0)
		return;
	first = allocs_of_start(e);
	cfg.log_level = -1;
	lk.en = &en;
	for (n = first - first / 4;; n += 17) {
		cfg.fail_alloc = n;
		if (!try_start(&en, e, &cfg))
			continue;
		if (en.init != NULL) {
			(void)!quern_pipe2(en.init->lp_proc, fd, 0);
			look_at_all(&lk, en.p, "/proc");
		}
		quern_stats(en.k, &st);
		stop(&en);
		if (st.st_allocs < n || e->failure[0] != '\0')
			break;
	}
	KCHECK(e, n > first + 300);
}

/* ---- who may -------------------------------------------------------------------------- */

/* What opening a file of `lp`'s answers to `p`. */
static int
opens(struct env *en, struct lproc *lp, const char *name)
{
	char path[64];
	int64_t fd;

	snprintf(path, sizeof(path), "/proc/%u/%s", lp->lp_proc->p_pid, name);
	fd = quern_open(en->p, path, Q_O_RDONLY, 0);
	if (fd >= 0)
		(void)!quern_close(en->p, (int)fd);
	return fd < 0 ? (int)fd : 0;
}

static int64_t
read_exe(struct env *en, struct lproc *lp, const char *name)
{
	char path[64], buf[100];

	snprintf(path, sizeof(path), "/proc/%u/%s", lp->lp_proc->p_pid, name);
	return quern_readlink(en->p, path, buf, sizeof(buf));
}

static void
access_rules(struct kenv *e)
{
	struct q_stat st;
	struct lproc *lp;
	struct env en;
	char path[64];

	if (!start(&en, e))
		return;
	lp = make_process(en.k, en.init);
	/* root has the capability, whoever it is. */
	KCHECK_EQ(e, quern_setresuid(lp->lp_proc, 7, 7, 7), 0);
	KCHECK_EQ(e, opens(&en, lp, "environ"), 0);
	lp->lp_dumpable = true;
	snprintf(path, sizeof(path), "/proc/%u/stat", lp->lp_proc->p_pid);
	KCHECK_EQ(e, quern_stat(en.p, path, &st), 0);
	KCHECK_EQ(e, st.st_uid, 7);
	/* Another user's: what is secret is not to be had. */
	KCHECK_EQ(e, quern_setresuid(en.p, 8, 8, 8), 0);
	KCHECK_EQ(e, opens(&en, lp, "environ"), -Q_EACCES);
	KCHECK_EQ(e, opens(&en, lp, "maps"), -Q_EACCES);
	KCHECK_EQ(e, opens(&en, lp, "fd"), -Q_EACCES);
	KCHECK_EQ(e, opens(&en, lp, "stat"), 0);
	KCHECK_EQ(e, opens(&en, lp, "cmdline"), 0);
	KCHECK_EQ(e, read_exe(&en, lp, "cwd"), -Q_EACCES);
	end_process(en.k, lp);
	stop(&en);
}

static void
same_user(struct kenv *e)
{
	struct q_stat st;
	struct lproc *lp;
	struct env en;
	char path[64];

	if (!start(&en, e))
		return;
	lp = make_process(en.k, en.init);
	KCHECK_EQ(e, quern_setresuid(lp->lp_proc, 7, 7, 7), 0);
	KCHECK_EQ(e, quern_setresuid(en.p, 7, 7, 7), 0);
	/* Whoever changes its ids is not dumpable, ... */
	KCHECK_EQ(e, opens(&en, lp, "environ"), -Q_EACCES);
	lp->lp_dumpable = true;
	KCHECK_EQ(e, opens(&en, lp, "environ"), 0);
	KCHECK_EQ(e, opens(&en, lp, "fd"), 0);
	KCHECK(e, read_exe(&en, lp, "cwd") > 0);
	/* ... and belongs to root, but for its directory. */
	lp->lp_dumpable = false;
	KCHECK_EQ(e, opens(&en, lp, "environ"), -Q_EACCES);
	KCHECK_EQ(e, opens(&en, lp, "maps"), -Q_EACCES);
	KCHECK_EQ(e, read_exe(&en, lp, "cwd"), -Q_EACCES);
	snprintf(path, sizeof(path), "/proc/%u/stat", lp->lp_proc->p_pid);
	KCHECK_EQ(e, quern_stat(en.p, path, &st), 0);
	KCHECK_EQ(e, st.st_uid, 0);
	*strrchr(path, '/') = '\0';
	KCHECK_EQ(e, quern_stat(en.p, path, &st), 0);
	KCHECK_EQ(e, st.st_uid, 7);
	end_process(en.k, lp);
	stop(&en);
}

/* ---- one that has gone ------------------------------------------------------------------ */

/* Its number comes again with another process: that one is not it. */
static void
another_has_its_number(struct kenv *e)
{
	struct lproc *lp, *other;
	struct env en;
	char path[64], buf[100];
	int dir, stat;
	uint32_t pid;

	if (!start(&en, e))
		return;
	lp = make_process(en.k, en.init);
	pid = lp->lp_proc->p_pid;
	snprintf(path, sizeof(path), "/proc/%u", pid);
	dir = quern_open(en.p, path, Q_O_RDONLY | Q_O_DIRECTORY, 0);
	stat = quern_openat(en.p, dir, "stat", Q_O_RDONLY, 0);
	KCHECK(e, quern_read(en.p, stat, buf, sizeof(buf)) > 0);
	end_process(en.k, lp);
	KCHECK_EQ(e, quern_pread64(en.p, stat, buf, sizeof(buf), 0), -Q_ESRCH);
	other = make_process(en.k, en.init);
	/* Numbers come again after a long time: pretend. */
	other->lp_proc->p_pid = pid;
	qlist_del(&other->lp_hash);
	qlist_append(&linux_of(en.k)->l_pids[pid % LINUX_HASH],
	    &other->lp_hash);
	KCHECK_EQ(e, opens(&en, other, "stat"), 0);
	KCHECK_EQ(e, quern_pread64(en.p, stat, buf, sizeof(buf), 0), -Q_ESRCH);
	KCHECK_EQ(e, quern_openat(en.p, dir, "stat", Q_O_RDONLY, 0), -Q_ENOENT);
	KCHECK_EQ(e, quern_openat(en.p, dir, "fd", Q_O_RDONLY, 0), -Q_ENOENT);
	end_process(en.k, other);
	stop(&en);
}

/* ---- contents ------------------------------------------------------------------------------ */

/* Short reads see one state of it, though it changes meanwhile. */
static void
short_reads(struct kenv *e)
{
	char whole[400] = "", parts[400] = "";
	struct lproc *lp;
	struct env en;
	size_t len = 0;
	int fd;

	if (!start(&en, e))
		return;
	fd = quern_open(en.p, "/proc/mounts", Q_O_RDONLY, 0);
	KCHECK_EQ(e, fd, -Q_ENOENT); /* a client has no /proc/self */
	KCHECK_EQ(e, quern_chdir(en.p, "/proc"), 0);
	fd = quern_open(en.p, "1/status", Q_O_RDONLY, 0);
	if (fd < 0) {
		lp = en.init;
		snprintf(parts, sizeof(parts), "%u/status", lp->lp_proc->p_pid);
		fd = quern_open(en.p, parts, Q_O_RDONLY, 0);
		memset(parts, 0, sizeof(parts));
	}
	KCHECK(e, fd >= 0);
	KCHECK_EQ(e, quern_pread64(en.p, fd, whole, 300, 0), 300);
	while (len < 300) {
		if (quern_read(en.p, fd, parts + len, 7) != 7)
			break;
		len += 7;
		/* Each Uid line would tell. */
		(void)!quern_setresuid(en.init->lp_proc, (uint32_t)len, 0, 0);
	}
	KCHECK(e, len >= 300 && memcmp(whole, parts, 300) == 0);
	stop(&en);
}

/* A pipe through /proc: another file of it, and nobody waits. */
static void
reopened(struct kenv *e)
{
	char path[64], again[64], c = 0;
	struct quern_proc *p;
	struct q_stat a, b;
	struct env en;
	int32_t fd[2];
	int r, w;

	if (!start(&en, e))
		return;
	p = en.init->lp_proc;
	KCHECK_EQ(e, quern_pipe2(p, fd, 0), 0);
	snprintf(path, sizeof(path), "/proc/%u/fd/%d", p->p_pid, fd[0]);
	snprintf(again, sizeof(again), "/proc/%u/fd/%d", p->p_pid, fd[1]);
	KCHECK_EQ(e, quern_fstat(p, fd[0], &a), 0);
	KCHECK_EQ(e, quern_stat(en.p, path, &b), 0);
	KCHECK(e, a.st_ino != 0 && (uint32_t)b.st_ino == a.st_ino);
	w = quern_open(en.p, path, Q_O_WRONLY, 0);
	KCHECK_EQ(e, quern_close(p, fd[1]), 0);
	KCHECK_EQ(e, quern_write(en.p, w, "x", 1), 1);
	KCHECK_EQ(e, quern_read(p, fd[0], &c, 1), 1);
	KCHECK_EQ(e, c, 'x');
	KCHECK_EQ(e, quern_close(en.p, w), 0);
	KCHECK_EQ(e, quern_read(p, fd[0], &c, 1), 0);
	/* Also when there is no other end. */
	r = quern_open(en.p, path, Q_O_RDONLY, 0);
	KCHECK(e, r >= 0);
	KCHECK_EQ(e, quern_read(en.p, r, &c, 1), 0);
	KCHECK_EQ(e, quern_stat(en.p, again, &b), -Q_ENOENT);
	stop(&en);
}

/* ---- the log ------------------------------------------------------------------------------ */

#define SIZE 16384

static int64_t
log_body(void *arg)
{
	struct quern *k = arg;
	int i;

	for (i = 0; i < 1000; i++)
		qlog(k, QUERN_LOG_INFO, "line %d of many", i);
	return 0;
}

/* What was logged is read again, whole lines, the last ones. */
static void
logged(struct kenv *e)
{
	static char buf[SIZE + 1];
	struct env en;
	char *s;
	int64_t n;

	if (!start(&en, e))
		return;
	KCHECK_EQ(e, quern_syslog(en.p, 10, 0, 0), SIZE);
	n = quern_syslog(en.p, 3, (uintptr_t)buf, SIZE);
	KCHECK(e, n > 30 && n < SIZE);
	buf[n > 0 ? n : 0] = '\0';
	KCHECK(e, strncmp(buf, "<6>[", 4) == 0 && buf[n - 1] == '\n');
	KCHECK(e, strstr(buf, "] Linux version ") != NULL);
	KCHECK_EQ(e, quern_syslog(en.p, 9, 0, 0), n);
	KCHECK_EQ(e, kcall(en.k, log_body, en.k), 0);
	n = quern_syslog(en.p, 3, (uintptr_t)buf, SIZE);
	buf[n > 0 ? n : 0] = '\0';
	KCHECK(e, strstr(buf, " Linux version ") == NULL);
	KCHECK(e, n > SIZE / 2 && strncmp(buf, "<6>[", 4) == 0);
	s = strstr(buf, "] line 999 of many\n");
	KCHECK(e, s != NULL && s[19] == '\0');
	n = quern_syslog(en.p, 3, (uintptr_t)buf, 100);
	KCHECK(e, n > 30 && n <= 100 && strncmp(buf, "<6>[", 4) == 0);
	n = quern_syslog(en.p, 2, (uintptr_t)buf, 50);
	KCHECK(e, n > 0 && strncmp(buf, "<6>[", 4) == 0);
	KCHECK_EQ(e, quern_syslog(en.p, 5, 0, 0), 0);
	KCHECK_EQ(e, quern_syslog(en.p, 3, (uintptr_t)buf, SIZE), 0);
	stop(&en);
}

const struct kcase kprocfs_cases[] = {
	{ .name = "all", .body = all, .seeds = 25 },
	{ .name = "no_memory", .body = no_memory },
	{ .name = "access_rules", .body = access_rules, .seeds = 3 },
	{ .name = "same_user", .body = same_user, .seeds = 3 },
	{ .name = "another_has_its_number",
	    .body = another_has_its_number,
	    .seeds = 10 },
	{ .name = "short_reads", .body = short_reads, .seeds = 3 },
	{ .name = "reopened", .body = reopened, .seeds = 10 },
	{ .name = "logged", .body = logged, .seeds = 2 },
	{ .name = NULL },
};
