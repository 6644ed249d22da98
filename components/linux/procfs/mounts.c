/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is mounted, as a process sees it.
 */
#include "impl.h"

typedef unsigned long long ull;

#define ESCAPED " \t\n\\#"

/* Options that a mount has besides "rw" or "ro". */
static void
add_options(struct text *t, uint32_t flags)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} names[] = { { QFS_NOSUID, ",nosuid" }, { QFS_NODEV, ",nodev" },
		{ QFS_NOEXEC, ",noexec" }, { QFS_NOATIME, ",noatime" },
		{ QFS_NODIRATIME, ",nodiratime" },
		{ QFS_RELATIME, ",relatime" } };
	unsigned i;

	for (i = 0; i < QARRAYLEN(names); i++)
		if ((flags & names[i].flag) != 0)
			text_add(t, "%s", names[i].name);
}

static void
add_source(struct text *t, const struct qmount_info *mi)
{
	/* Disks are devices, whatever they were called. */
	if (mi->mi_disk && mi->mi_source[0] != '/')
		text_add(t, "/dev/");
	text_escaped(t, mi->mi_source[0] != '\0' ? mi->mi_source : "none",
	    ESCAPED);
}

static int
show_mount(void *arg, const struct qmount_info *mi)
{
	struct text *t = arg;

	add_source(t, mi);
	text_add(t, " ");
	text_escaped(t, mi->mi_path, ESCAPED);
	text_add(t, " %s %s", mi->mi_type,
	    ((mi->mi_flags | mi->mi_fsflags) & QFS_RDONLY) != 0 ? "ro" : "rw");
	add_options(t, mi->mi_flags);
	text_add(t, " 0 0\n");
	return t->t_error;
}

static int
show_info(void *arg, const struct qmount_info *mi)
{
	struct text *t = arg;

	text_add(t, "%llu %llu %u:%u / ", (ull)mi->mi_id, (ull)mi->mi_parent,
	    qdev_major(mi->mi_dev), qdev_minor(mi->mi_dev));
	text_escaped(t, mi->mi_path, ESCAPED);
	text_add(t, " %s", (mi->mi_flags & QFS_RDONLY) != 0 ? "ro" : "rw");
	add_options(t, mi->mi_flags);
	text_add(t, " - %s ", mi->mi_type);
	add_source(t, mi);
	text_add(t, " %s\n", (mi->mi_fsflags & QFS_RDONLY) != 0 ? "ro" : "rw");
	return t->t_error;
}

/* -EINVAL: a zombie has no root to see them from, as in Linux. */
static int
each(struct text *t, const struct subject *sub,
    int (*fn)(void *, const struct qmount_info *))
{
	struct qpath root;
	int error;

	if (qlproc_root(sub->s_p, &root) != 0)
		return -Q_EINVAL;
	error = qvfs_each_mount(&root, fn, t);
	qpath_put(&root);
	return error;
}

int
show_mounts(struct text *t, const struct subject *sub)
{
	return each(t, sub, show_mount);
}

int
show_mountinfo(struct text *t, const struct subject *sub)
{
	return each(t, sub, show_info);
}

static int
show_kind(void *arg, const char *name, bool disk)
{
	text_add(arg, "%s\t%s\n", disk ? "" : "nodev", name);
	return 0;
}

int
show_filesystems(struct text *t, const struct subject *sub)
{
	return qvfs_each_kind(sub->s_k, show_kind, t);
}
