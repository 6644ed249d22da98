/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * proc: where to begin reading.
 *
 * What is always there is in two tables: sys_entries of the system (sysctl.c)
 * and pid_entries of each process (below).  Everything else follows from which
 * processes, threads and descriptors there are: node.c looks them up each time
 * (QFT_FORGET).
 *
 * A node is known by the serial of its process or thread, not only the number:
 * who has a directory of one that has gone finds nothing in it, and reading its
 * files is -ESRCH, also when another has its number.
 *
 * A file's contents are made when it is read from its beginning, and are what
 * later reads see (file.c): they are consistent however short the reads are.
 */
#include "procfs.h"
#include "impl.h"

#define PROC_MAGIC 0x9fa0

#define FILE_MODE Q_S_IFREG | 0444
#define LINK_MODE Q_S_IFLNK | 0777

static const struct qtag tag_text = { "proc text" };
static const struct qtag tag_procfs = { "procfs" };

const struct entry pid_entries[] = {
	{ "auxv", Q_S_IFREG | 0400, 0, 0, E_TRACE, show_auxv, NULL, NULL },
	{ "cgroup", FILE_MODE, 0, 0, 0, show_cgroup, NULL, NULL },
	{ "cmdline", FILE_MODE, 0, 0, 0, show_cmdline, NULL, NULL },
	{ "comm", Q_S_IFREG | 0644, 0, 0, 0, show_comm, store_comm, NULL },
	{ "cwd", LINK_MODE, 0, 0, E_TRACE, NULL, NULL, qlproc_cwd },
	{ "environ", Q_S_IFREG | 0400, 0, 0, E_TRACE, show_environ, NULL,
	    NULL },
	{ "exe", LINK_MODE, 0, 0, E_TRACE, NULL, NULL, qlproc_exe },
	{ "fd", Q_S_IFDIR | 0500, 0, N_FDS, E_TRACE, NULL, NULL, NULL },
	{ "fdinfo", Q_S_IFDIR | 0555, 0, N_FDINFOS, E_TRACE, NULL, NULL, NULL },
	{ "io", Q_S_IFREG | 0400, 0, 0, E_TRACE, show_io, NULL, NULL },
	{ "limits", FILE_MODE, 0, 0, 0, show_limits, NULL, NULL },
	{ "loginuid", FILE_MODE, 0, 0, 0, show_noid, NULL, NULL },
	{ "maps", FILE_MODE, 0, 0, E_TRACE, show_maps, NULL, NULL },
	{ "mountinfo", FILE_MODE, 0, 0, 0, show_mountinfo, NULL, NULL },
	{ "mounts", FILE_MODE, 0, 0, 0, show_mounts, NULL, NULL },
	{ "oom_score", FILE_MODE, 0, 0, 0, show_oom_score, NULL, NULL },
	{ "oom_score_adj", Q_S_IFREG | 0644, 0, 0, 0, show_oom_adj,
	    store_oom_adj, NULL },
	{ "root", LINK_MODE, 0, 0, E_TRACE, NULL, NULL, qlproc_root },
	{ "sessionid", FILE_MODE, 0, 0, 0, show_noid, NULL, NULL },
	{ "smaps_rollup", FILE_MODE, 0, 0, E_TRACE, show_rollup, NULL, NULL },
	{ "stat", FILE_MODE, 0, 0, 0, show_stat, NULL, NULL },
	{ "statm", FILE_MODE, 0, 0, 0, show_statm, NULL, NULL },
	{ "status", FILE_MODE, 0, 0, 0, show_status, NULL, NULL },
	{ "task", Q_S_IFDIR | 0555, 0, N_TASKS, E_PROCESS, NULL, NULL, NULL },
	{ "wchan", FILE_MODE, 0, 0, 0, show_zero, NULL, NULL },
};

const unsigned npid_entries = (unsigned)QARRAYLEN(pid_entries);

struct procfs *
procfs_of(struct quern *k)
{
	return qcomponent_state(k, &qprocfs);
}

/* ---- texts ------------------------------------------------------------------- */

/* Room for `n` more and a 0.  False: there is none, or has not been. */
static bool
make_room(struct text *t, size_t n)
{
	size_t room = t->t_room != 0 ? t->t_room : 1024;
	char *s;

	if (t->t_error != 0)
		return false;
	if (t->t_s != NULL && t->t_len + n < t->t_room)
		return true;
	while (room <= t->t_len + n)
		room *= 2;
	s = qalloc(&tag_text, room);
	if (s == NULL) {
		t->t_error = -Q_ENOMEM;
		return false;
	}
	if (t->t_s != NULL)
		memcpy(s, t->t_s, t->t_len);
	qfree(t->t_s);
	t->t_s = s;
	t->t_room = room;
	return true;
}

void
text_bytes(struct text *t, const void *s, size_t len)
{
	if (!make_room(t, len))
		return;
	memcpy(t->t_s + t->t_len, s, len);
	t->t_len += len;
}

void
text_add(struct text *t, const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = qvsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	text_bytes(t, line,
	    (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

void
text_escaped(struct text *t, const char *s, const char *which)
{
	const char *w;

	for (; *s != '\0'; s++) {
		for (w = which; *w != '\0' && *w != *s; w++)
			continue;
		if (*w != '\0')
			text_add(t, "\\%03o", (unsigned)(unsigned char)*s);
		else
			text_bytes(t, s, 1);
	}
}

bool
text_path(struct text *t, struct quern_proc *p, const struct qpath *at,
    const char *escaped)
{
	static const char nowhere[] = "(unreachable)";
	char *buf = qalloc(&tag_text, QPATH_MAX);
	int64_t n;
	bool seen = false;

	if (buf == NULL) {
		t->t_error = -Q_ENOMEM;
		return false;
	}
	n = qvfs_path_string(p, at, buf, QPATH_MAX);
	if (n < 0)
		t->t_error = (int)n;
	else
		seen = qstrlen(buf) < sizeof(nowhere) - 1 ||
		    memcmp(buf, nowhere, sizeof(nowhere) - 1) != 0;
	if (n >= 0)
		text_escaped(t, buf, escaped);
	qfree(buf);
	return seen;
}

/* ---- the whole --------------------------------------------------------------- */

static const struct qfs_ops fs_ops = { .fso_sync = NULL };

static int
proc_mount(struct qfs *fs, const char *options, bool probe)
{
	(void)probe;
	if (options[0] != '\0') {
		qfs_log(fs, QUERN_LOG_ERR, "takes no options: '%s'", options);
		return -Q_EINVAL;
	}
	fs->fs_ops = &fs_ops;
	fs->fs_magic = PROC_MAGIC;
	return node_root(fs, &fs->fs_root);
}

static const struct qfs_type type = {
	.ft_name = "proc",
	.ft_flags = QFT_DYNAMIC | QFT_FORGET,
	.ft_vnode_size = sizeof(struct node),
	.ft_mount = proc_mount,
};

static int
procfs_init(struct quern *k, void **statep)
{
	struct procfs *pf = qzalloc(&tag_procfs, sizeof(*pf));
	int error;

	if (pf == NULL)
		return -Q_ENOMEM;
	error = qrandom_fill(k, pf->p_boot_id, sizeof(pf->p_boot_id));
	if (error == 0)
		error = qfs_register(k, &type);
	if (error != 0)
		qfree(pf);
	else
		*statep = pf;
	return error;
}

static void
procfs_fini(struct quern *k, void *state)
{
	qfs_unregister(k, &type);
	qfree(state);
}

extern const struct quern_component qvfs, qlinux;

static const struct quern_component *const needs[] = { &qvfs, &qlinux, NULL };

const struct quern_component qprocfs = {
	.c_name = "procfs",
	.c_needs = needs,
	.c_init = procfs_init,
	.c_fini = procfs_fini,
};
