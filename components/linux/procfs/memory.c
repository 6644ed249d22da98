/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What lies in a process's memory: maps, and arguments and environment as they
 * are there now.
 */
#include "impl.h"

#include <quern/abi/mman.h>

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
show_environ(struct text *t, const struct subject *sub)
{
	return show_strings(t, sub, sub->s_li.li_args[2], sub->s_li.li_args[3]);
}
