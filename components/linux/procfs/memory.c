/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What lies in a process's memory: maps; arguments, environment and auxiliary
 * vector as they are there now; and what it comes to when memory is out.
 */
#include "impl.h"

#include <quern/abi/mman.h>
#include <quern/page.h>

typedef unsigned long long ull;

/* The most of a process's strings that is shown. */
#define STRINGS_MAX (UINT64_C(1) << 20)

struct mapping_arg {
	struct text *ma_t;
	const struct subject *ma_sub;
};

static int
show_region(void *arg, const struct qvm_region *r)
{
	struct mapping_arg *ma = arg;
	struct text *t = ma->ma_t;
	const struct qpath *path = r->qr_file != NULL ? qfile_path(r->qr_file) :
							NULL;
	const struct qvnode *v = r->qr_file != NULL ? qfile_vnode(r->qr_file) :
						      NULL;
	uint64_t dev = v != NULL ? v->v_fs->fs_dev : 0;
	size_t from = t->t_len;

	text_add(t, "%08llx-%08llx %c%c%c%c %08llx %02x:%02x %llu ",
	    (ull)r->qr_start, (ull)r->qr_end,
	    (r->qr_prot & Q_PROT_READ) != 0 ? 'r' : '-',
	    (r->qr_prot & Q_PROT_WRITE) != 0 ? 'w' : '-',
	    (r->qr_prot & Q_PROT_EXEC) != 0 ? 'x' : '-',
	    (r->qr_flags & QVM_R_SHARED) != 0 ? 's' : 'p', (ull)r->qr_off,
	    qdev_major(dev), qdev_minor(dev), v != NULL ? (ull)v->v_ino : 0);
	while ((path != NULL || r->qr_name != NULL) && t->t_error == 0 &&
	    t->t_len - from < 73)
		text_add(t, " ");
	if (path != NULL) {
		(void)text_path(t, ma->ma_sub->s_reader, path, "\n");
		if (qpath_deleted(path))
			text_add(t, " (deleted)");
	} else if (r->qr_name != NULL) {
		text_add(t, "%s", r->qr_name);
	}
	text_add(t, "\n");
	return t->t_error;
}

int
show_maps(struct text *t, const struct subject *sub)
{
	struct mapping_arg ma = { t, sub };
	struct qvmmap *m = qvm_hold(sub->s_p);
	int error = 0;

	if (m == NULL)
		return 0;
	error = qvm_each(m, show_region, &ma);
	qvm_put(m);
	return error;
}

/* Bytes from `at` to `end`, as far as they are there. */
static int
show_strings(struct text *t, const struct subject *sub, uint64_t at,
    uint64_t end)
{
	struct qvmmap *m = qvm_hold(sub->s_p);
	char buf[256];
	size_t n;

	if (m == NULL)
		return 0;
	if (end - at > STRINGS_MAX)
		end = end < at ? at : at + STRINGS_MAX;
	for (; at < end; at += n) {
		n = end - at < sizeof(buf) ? (size_t)(end - at) : sizeof(buf);
		if (qcopyin(qvm_uspace(m), buf, at, n) != 0)
			break;
		text_bytes(t, buf, n);
	}
	qvm_put(m);
	return 0;
}

int
show_cmdline(struct text *t, const struct subject *sub)
{
	return show_strings(t, sub, sub->s_li.li_args[0], sub->s_li.li_args[1]);
}

int
show_auxv(struct text *t, const struct subject *sub)
{
	return show_strings(t, sub, sub->s_li.li_args[4], sub->s_li.li_args[5]);
}

int
show_environ(struct text *t, const struct subject *sub)
{
	return show_strings(t, sub, sub->s_li.li_args[2], sub->s_li.li_args[3]);
}

/* ---- how much ------------------------------------------------------------------ */

bool
stats_of(const struct subject *sub, struct qvm_stats *st)
{
	struct qvmmap *m = qvm_hold(sub->s_p);

	memset(st, 0, sizeof(*st));
	if (m == NULL)
		return false;
	qvm_stats(m, st);
	qvm_put(m);
	return true;
}

int
show_statm(struct text *t, const struct subject *sub)
{
	struct qvm_stats st;

	(void)stats_of(sub, &st);
	text_add(t, "%llu %llu %llu %llu 0 %llu 0\n", (ull)st.vs_size,
	    (ull)(st.vs_anon + st.vs_file + st.vs_shmem),
	    (ull)(st.vs_file + st.vs_shmem), (ull)st.vs_text,
	    (ull)(st.vs_data + st.vs_stack));
	return 0;
}

void
text_kib(struct text *t, const char *name, uint64_t pages)
{
	char label[24];

	qsnprintf(label, sizeof(label), "%s:", name);
	text_add(t, "%-15s %8llu kB\n", label,
	    (ull)(pages * (QUERN_PAGE_SIZE / 1024)));
}

/* Who else maps a page is not counted: all of it is the process's. */
int
show_rollup(struct text *t, const struct subject *sub)
{
	struct qvm_stats st;
	uint64_t rss;

	if (!stats_of(sub, &st))
		return -Q_ESRCH;
	rss = st.vs_anon + st.vs_file + st.vs_shmem;
	text_add(t,
	    "%08llx-%08llx ---p 00000000 00:00 0                          "
	    "[rollup]\n",
	    (ull)QUERN_PAGE_SIZE, (ull)QVM_TOP);
	text_kib(t, "Rss", rss);
	text_kib(t, "Pss", rss);
	text_kib(t, "Pss_Anon", st.vs_anon);
	text_kib(t, "Pss_File", st.vs_file);
	text_kib(t, "Pss_Shmem", st.vs_shmem);
	text_kib(t, "Shared_Clean", 0);
	text_kib(t, "Shared_Dirty", 0);
	text_kib(t, "Private_Clean", st.vs_file);
	text_kib(t, "Private_Dirty", st.vs_anon + st.vs_shmem);
	text_kib(t, "Referenced", rss);
	text_kib(t, "Anonymous", st.vs_anon);
	text_kib(t, "Swap", st.vs_swap);
	text_kib(t, "SwapPss", st.vs_swap);
	text_kib(t, "Locked", st.vs_locked);
	return 0;
}

/* ---- when there is none --------------------------------------------------------- */

/* Linux's scale: 0 to 2000, where 667 is nothing and no preference. */
int
show_oom_score(struct text *t, const struct subject *sub)
{
	int64_t total = (int64_t)qpage_total(sub->s_k);
	int64_t adj = sub->s_li.li_oomadj, score = 0;
	struct qvm_stats st;

	if (stats_of(sub, &st) && adj != QLPROC_OOM_MIN) {
		score = (int64_t)(st.vs_anon + st.vs_file + st.vs_shmem +
		    st.vs_swap);
		score = (1000 + score * 1000 / total + adj) * 2 / 3;
	}
	text_add(t, "%lld\n", (long long)(score > 0 ? score : 0));
	return 0;
}

int
show_oom_adj(struct text *t, const struct subject *sub)
{
	text_add(t, "%d\n", sub->s_li.li_oomadj);
	return 0;
}

/* To be less than others is a privilege. */
int
store_oom_adj(const struct subject *sub, char *s, size_t len)
{
	bool negative = *s == '-';
	int adj = 0;

	(void)len;
	if (negative)
		s++;
	if (*s < '0' || *s > '9')
		return -Q_EINVAL;
	for (; *s >= '0' && *s <= '9' && adj <= QLPROC_OOM_MAX; s++)
		adj = adj * 10 + (*s - '0');
	if (*s != '\0' && *s != '\n')
		return -Q_EINVAL;
	if (negative)
		adj = -adj;
	if (adj < 0 && adj < sub->s_li.li_oomadj && sub->s_reader != NULL &&
	    !qproc_capable(sub->s_reader, Q_CAP_SYS_RESOURCE))
		return -Q_EACCES;
	return qlproc_set_oomadj(sub->s_p, adj);
}
