/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a process is and does: stat, statm, status, limits and the like, as
 * proc(5) has them.
 */
#include "impl.h"

#include <quern/tty.h>

typedef unsigned long long ull;

/* ---- small ones ---------------------------------------------------------------- */

int
show_zero(struct text *t, const struct subject *sub)
{
	(void)sub;
	text_add(t, "0\n");
	return 0;
}

int
show_noid(struct text *t, const struct subject *sub)
{
	(void)sub;
	text_add(t, "%u", UINT32_MAX);
	return 0;
}

/* Bytes are not counted; but programs want the lines. */
int
show_io(struct text *t, const struct subject *sub)
{
	(void)sub;
	text_add(t,
	    "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\n"
	    "write_bytes: 0\ncancelled_write_bytes: 0\n");
	return 0;
}

int
show_nothing(struct text *t, const struct subject *sub)
{
	(void)t, (void)sub;
	return 0;
}

int
show_cgroup(struct text *t, const struct subject *sub)
{
	(void)sub;
	text_add(t, "0::/\n");
	return 0;
}

int
show_comm(struct text *t, const struct subject *sub)
{
	text_add(t, "%s\n", sub->s_li.li_comm);
	return 0;
}

int
store_comm(const struct subject *sub, char *s, size_t len)
{
	/* Only the process itself. */
	if (sub->s_p != sub->s_reader && sub->s_reader != NULL)
		return -Q_EINVAL;
	if (len > 0 && s[len - 1] == '\n')
		len--;
	return qlproc_set_comm(sub->s_p, sub->s_li.li_tid, s,
	    qstrlen(s) < len ? qstrlen(s) : len);
}

int
show_fdinfo(struct text *t, const struct subject *sub)
{
	const struct qpath *path;
	struct qfile *f;
	uint32_t flags;

	if (qlproc_file(sub->s_p, sub->s_fd, &f) != 0)
		return -Q_ENOENT;
	flags = __atomic_load_n(&f->f_flags, __ATOMIC_RELAXED);
	if (qlproc_cloexec(sub->s_p, sub->s_fd))
		flags |= Q_O_CLOEXEC;
	path = qfile_path(f);
	text_add(t, "pos:\t%lld\nflags:\t0%o\nmnt_id:\t%llu\nino:\t%llu\n",
	    (long long)f->f_off, flags,
	    path != NULL ? (ull)qpath_mount(path) : 0,
	    path != NULL ? (ull)qfile_vnode(f)->v_ino : 0);
	qfile_put(f);
	return 0;
}

/* ---- memory ---------------------------------------------------------------------- */

/* A line in KiB, of pages. */
static void
add_kib(struct text *t, const char *name, uint64_t pages)
{
	text_add(t, "%s:\t%8llu kB\n", name,
	    (ull)(pages * (QUERN_PAGE_SIZE / 1024)));
}

static void
add_memory(struct text *t, const struct subject *sub)
{
	struct qvm_stats st;

	if (!stats_of(sub, &st))
		return;
	add_kib(t, "VmPeak", st.vs_peaksize);
	add_kib(t, "VmSize", st.vs_size);
	add_kib(t, "VmLck", st.vs_locked);
	add_kib(t, "VmPin", 0);
	add_kib(t, "VmHWM", st.vs_peakrss);
	add_kib(t, "VmRSS", st.vs_anon + st.vs_file + st.vs_shmem);
	add_kib(t, "RssAnon", st.vs_anon);
	add_kib(t, "RssFile", st.vs_file);
	add_kib(t, "RssShmem", st.vs_shmem);
	add_kib(t, "VmData", st.vs_data);
	add_kib(t, "VmStk", st.vs_stack);
	add_kib(t, "VmExe", st.vs_text);
	add_kib(t, "VmLib", 0);
	add_kib(t, "VmPTE", st.vs_tables);
	add_kib(t, "VmSwap", st.vs_swap);
}

/* ---- stat --------------------------------------------------------------------------- */

int
show_stat(struct text *t, const struct subject *sub)
{
	const struct qlproc_info *li = &sub->s_li;
	uint64_t boot = qclock_boot(sub->s_k), dev = 0;
	struct qvm_stats st;
	struct q_rlimit lim;
	int32_t tpgid = -1;

	(void)stats_of(sub, &st);
	if (li->li_state != 'Z' && !qtty_of(sub->s_p, &dev, &tpgid))
		tpgid = -1;
	qmutex_lock(&sub->s_p->p_lock);
	lim = sub->s_p->p_rlim[Q_RLIMIT_RSS];
	qmutex_unlock(&sub->s_p->p_lock);
	text_add(t, "%u (%s) %c %u %u %u %u %d 4194304 %llu %llu %llu %llu ",
	    li->li_tid, li->li_comm, li->li_state, li->li_ppid, li->li_pgid,
	    li->li_sid, (unsigned)dev, tpgid, (ull)li->li_minflt,
	    (ull)li->li_cminflt, (ull)li->li_majflt, (ull)li->li_cmajflt);
	text_add(t, "%llu %llu %llu %llu %d %d %u 0 %llu ",
	    (ull)TICKS(li->li_user_ns), (ull)TICKS(li->li_sys_ns),
	    (ull)TICKS(li->li_cuser_ns), (ull)TICKS(li->li_csys_ns),
	    20 + li->li_nice, li->li_nice, li->li_nthread,
	    li->li_started > boot ? (ull)TICKS(li->li_started - boot) : 0);
	text_add(t, "%llu %llu %llu 0 0 0 0 0 %llu %llu %llu %llu ",
	    (ull)(st.vs_size * QUERN_PAGE_SIZE),
	    (ull)(st.vs_anon + st.vs_file + st.vs_shmem), (ull)lim.rlim_cur,
	    (ull)(li->li_pending & INT32_MAX),
	    (ull)(li->li_blocked & INT32_MAX),
	    (ull)(li->li_ignored & INT32_MAX),
	    (ull)(li->li_caught & INT32_MAX));
	text_add(t, "0 0 0 %u %u 0 0 0 0 0 0 0 %llu %llu %llu %llu %llu %d\n",
	    li->li_exitsig, li->li_cpu, (ull)st.vs_brkstart,
	    (ull)li->li_args[0], (ull)li->li_args[1], (ull)li->li_args[2],
	    (ull)li->li_args[3], li->li_state == 'Z' ? li->li_status : 0);
	return 0;
}

/* ---- status ----------------------------------------------------------------------- */

static const char *
state_name(char state)
{
	switch (state) {
	case 'R':
		return "R (running)";
	case 'T':
		return "T (stopped)";
	case 'Z':
		return "Z (zombie)";
	default:
		return "S (sleeping)";
	}
}

static void
add_cred(struct text *t, const struct qcred *c)
{
	uint32_t i;

	text_add(t, "Uid:\t%u\t%u\t%u\t%u\n", c->c_uid, c->c_euid, c->c_suid,
	    c->c_fsuid);
	text_add(t, "Gid:\t%u\t%u\t%u\t%u\n", c->c_gid, c->c_egid, c->c_sgid,
	    c->c_fsgid);
	text_add(t, "FDSize:\t64\nGroups:\t");
	for (i = 0; c->c_groups != NULL && i < c->c_groups->g_n; i++)
		text_add(t, "%u ", c->c_groups->g_gid[i]);
	text_add(t, "\n");
}

int
show_status(struct text *t, const struct subject *sub)
{
	const struct qlproc_info *li = &sub->s_li;
	struct quern_proc *p = sub->s_p;
	unsigned n = qcpu_count(sub->s_k);
	struct qcred c;

	qproc_cred(p, &c);
	text_add(t, "Name:\t");
	text_escaped(t, li->li_comm, "\n\\");
	text_add(t, "\n");
	if (li->li_state != 'Z')
		text_add(t, "Umask:\t%04o\n",
		    __atomic_load_n(&p->p_umask, __ATOMIC_RELAXED));
	text_add(t,
	    "State:\t%s\nTgid:\t%u\nNgid:\t0\nPid:\t%u\nPPid:\t%u\n"
	    "TracerPid:\t0\n",
	    state_name(li->li_state), li->li_pid, li->li_tid, li->li_ppid);
	add_cred(t, &c);
	text_add(t, "NStgid:\t%u\nNSpid:\t%u\nNSpgid:\t%u\nNSsid:\t%u\n",
	    li->li_pid, li->li_tid, li->li_pgid, li->li_sid);
	add_memory(t, sub);
	text_add(t, "Threads:\t%u\nSigQ:\t%u/%llu\n", li->li_nthread,
	    li->li_nsig, (ull)p->p_rlim[Q_RLIMIT_SIGPENDING].rlim_cur);
	text_add(t, "SigPnd:\t%016llx\nShdPnd:\t%016llx\nSigBlk:\t%016llx\n",
	    (ull)li->li_pending, (ull)li->li_shared, (ull)li->li_blocked);
	text_add(t, "SigIgn:\t%016llx\nSigCgt:\t%016llx\n", (ull)li->li_ignored,
	    (ull)li->li_caught);
	text_add(t, "CapInh:\t%016llx\nCapPrm:\t%016llx\nCapEff:\t%016llx\n",
	    (ull)c.c_cap_inh, (ull)c.c_cap_perm, (ull)c.c_cap_eff);
	text_add(t, "CapBnd:\t%016llx\nCapAmb:\t%016llx\n", (ull)c.c_cap_bnd,
	    (ull)c.c_cap_amb);
	text_add(t, "NoNewPrivs:\t%d\nSeccomp:\t0\nSeccomp_filters:\t0\n",
	    li->li_nonewprivs);
	text_add(t, "Cpus_allowed:\t%llx\nCpus_allowed_list:\t0",
	    n >= 64 ? (ull)UINT64_MAX : (1ull << n) - 1);
	if (n > 1)
		text_add(t, "-%u", n - 1);
	text_add(t, "\nMems_allowed:\t1\nMems_allowed_list:\t0\n");
	text_add(t,
	    "voluntary_ctxt_switches:\t%llu\n"
	    "nonvoluntary_ctxt_switches:\t%llu\n",
	    (ull)li->li_nvcsw, (ull)li->li_nivcsw);
	qcred_drop(&c);
	return 0;
}

/* ---- limits ----------------------------------------------------------------------- */

static const struct {
	const char *name, *unit;
} limits[Q_RLIM_NLIMITS] = {
	{ "Max cpu time", "seconds" },
	{ "Max file size", "bytes" },
	{ "Max data size", "bytes" },
	{ "Max stack size", "bytes" },
	{ "Max core file size", "bytes" },
	{ "Max resident set", "bytes" },
	{ "Max processes", "processes" },
	{ "Max open files", "files" },
	{ "Max locked memory", "bytes" },
	{ "Max address space", "bytes" },
	{ "Max file locks", "locks" },
	{ "Max pending signals", "signals" },
	{ "Max msgqueue size", "bytes" },
	{ "Max nice priority", "" },
	{ "Max realtime priority", "" },
	{ "Max realtime timeout", "us" },
};

static void
add_limit(struct text *t, uint64_t value)
{
	if (value == Q_RLIM_INFINITY)
		text_add(t, "%-20s ", "unlimited");
	else
		text_add(t, "%-20llu ", (ull)value);
}

int
show_limits(struct text *t, const struct subject *sub)
{
	struct q_rlimit lim[Q_RLIM_NLIMITS];
	unsigned i;

	qmutex_lock(&sub->s_p->p_lock);
	memcpy(lim, sub->s_p->p_rlim, sizeof(lim));
	qmutex_unlock(&sub->s_p->p_lock);
	text_add(t, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit",
	    "Hard Limit", "Units");
	for (i = 0; i < Q_RLIM_NLIMITS; i++) {
		text_add(t, "%-25s ", limits[i].name);
		add_limit(t, lim[i].rlim_cur);
		add_limit(t, lim[i].rlim_max);
		if (limits[i].unit[0] != '\0')
			text_add(t, "%-10s", limits[i].unit);
		text_add(t, "\n");
	}
	return 0;
}
