/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VFS component.
 *
 * Reading order: vnode.h (what a file system is), vfs.h (names and mounts),
 * dentry.c (the name cache), lookup.c (paths), mount.c, vnode.c, perm.c; then
 * the page cache, pcache.h and pcache.c, and the calls.
 */
#include <quern/sockname.h>

#include "impl.h"

static const struct qtag tag_vfs = { "vfs" };

static const struct qproc_part places = {
	.pp_fork = proc_state_fork,
	.pp_end = proc_state_end,
};

extern const struct qsys_handler vfs_calls[];

static int
vfs_init(struct quern *k, void **statep)
{
	struct vfs *vf = qzalloc(&tag_vfs, sizeof(*vf));
	int error;

	if (vf == NULL)
		return -Q_ENOMEM;
	vf->vf_k = k;
	qmutex_init(&vf->vf_fslock, "file systems");
	qmutex_init(&vf->vf_flock, "file locks");
	qlist_init(&vf->vf_lockwait);
	qmutex_init(&vf->vf_fifos, "fifos");
	qmutex_init(&vf->vf_cdevs, "devices");
	qlist_init(&vf->vf_cdevlist);
	qmutex_init(&vf->vf_watch, "inotify");
	qlist_init(&vf->vf_watchlist);
	qlist_init(&vf->vf_kinds);
	qlist_init(&vf->vf_fs);
	error = qproc_part_add(k, &places);
	if (error >= 0) {
		vf->vf_slot = (unsigned)error;
		error = dentry_init(vf);
	}
	if (error == 0)
		error = mount_init(vf);
	if (error == 0) {
		error = writeback_init(vf);
		/* Have its thread begin and sleep, so that none is ready. */
		(void)qthread_sleep_until(qclock_mono(k), false);
		if (error != 0)
			dentry_fini(vf);
	}
	if (error != 0) {
		qfree(vf);
		return error;
	}
	qsockname_install(k, &vfs_socknames);
	*statep = vf;
	return 0;
}

static void
vfs_fini(struct quern *k, void *state)
{
	struct vfs *vf = state;

	(void)k;
	qassert(qlist_empty(&vf->vf_fs));
	writeback_fini(vf);
	dentry_fini(vf);
	fs_kinds_free(vf);
	qfree(vf);
}

const struct quern_component qvfs = {
	.c_name = "vfs",
	.c_init = vfs_init,
	.c_fini = vfs_fini,
	.c_calls = vfs_calls,
};
