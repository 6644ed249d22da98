/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two file systems of devices: devfs, and devtmpfs, at the end.
 *
 * Its names are a table's, those of devices that components have registered
 * (cdev.h), and the disks' that there are at the moment; nothing can be made or
 * removed.  So the VFS is not to remember what there is not (QFT_DYNAMIC).  Inode
 * numbers: the places in the table from 1 on, CDEV_INO plus the place in the
 * registry, and DISK_INO plus the number for disks.
 *
 * Mode, owner and times can be changed; those of the table are remembered when a
 * vnode goes.
 */
#include <quern/abi/fs.h>
#include <quern/block.h>
#include <quern/cdev.h>
#include <quern/slab.h>
#include <quern/tmpfs.h>
#include <quern/vfs.h>

#include "devfs.h"

#define DEVFS_MAGIC 0x01021994 /* devtmpfs has that of tmpfs */
#define CDEV_INO    UINT64_C(100)
#define DISK_INO    UINT64_C(1000)
#define ROOT_INO    UINT64_C(1)

/* Room for "disk" and a number. */
#define NAME_ROOM 16u

struct fixed {
	const char *f_name;
	uint32_t f_mode;
	uint16_t f_major, f_minor;
	const char *f_target;
};

/* In the order of inode numbers: the root is the first. */
static const struct fixed table[] = {
	{ "", Q_S_IFDIR | 0755, 0, 0, NULL },
	{ "null", Q_S_IFCHR | 0666, 1, 3, NULL },
	{ "zero", Q_S_IFCHR | 0666, 1, 5, NULL },
	{ "full", Q_S_IFCHR | 0666, 1, 7, NULL },
	{ "random", Q_S_IFCHR | 0666, 1, 8, NULL },
	{ "urandom", Q_S_IFCHR | 0666, 1, 9, NULL },
	{ "tty", Q_S_IFCHR | 0666, 5, 0, NULL },
	/* Where others are mounted. */
	{ "pts", Q_S_IFDIR | 0755, 0, 0, NULL },
	{ "shm", Q_S_IFDIR | 01777, 0, 0, NULL },
	{ "fd", Q_S_IFLNK | 0777, 0, 0, "/proc/self/fd" },
	{ "stdin", Q_S_IFLNK | 0777, 0, 0, "/proc/self/fd/0" },
	{ "stdout", Q_S_IFLNK | 0777, 0, 0, "/proc/self/fd/1" },
	{ "stderr", Q_S_IFLNK | 0777, 0, 0, "/proc/self/fd/2" },
};

#define NFIXED ((unsigned)QARRAYLEN(table))

/* What was changed of a node. */
struct kept {
	bool k_set;
	uint32_t k_mode, k_uid, k_gid;
	struct qtime k_atime, k_mtime, k_ctime;
};

struct super {
	struct qtime ds_born;
	struct qspin ds_lock;
	struct kept ds_kept[NFIXED]; /* [ds_lock] */
};

static const struct qtag tag_fs = { "devfs" };
static const struct qvnode_ops node_ops;

static struct super *
super_of(const struct qfs *fs)
{
	return fs->fs_priv;
}

/* ---- nodes ----------------------------------------------------------------- */

static void
fill_fixed(struct qvnode *v, unsigned i)
{
	struct super *ds = super_of(v->v_fs);
	const struct fixed *f = &table[i];
	const struct kept *k = &ds->ds_kept[i];

	v->v_mode = f->f_mode;
	v->v_nlink = i == 0 ? 4 : qvnode_isdir(v) ? 2 : 1;
	v->v_rdev = qdev_make(f->f_major, f->f_minor);
	if (f->f_target != NULL)
		v->v_size = qstrlen(f->f_target);
	v->v_atime = v->v_mtime = v->v_ctime = v->v_btime = ds->ds_born;
	qspin_lock(&ds->ds_lock);
	if (k->k_set) {
		v->v_mode = k->k_mode;
		v->v_uid = k->k_uid;
		v->v_gid = k->k_gid;
		v->v_atime = k->k_atime;
		v->v_mtime = k->k_mtime;
		v->v_ctime = k->k_ctime;
	}
	qspin_unlock(&ds->ds_lock);
}

static void
fill_cdev(struct qvnode *v, const struct qcdev *d)
{
	v->v_mode = Q_S_IFCHR | d->cd_mode;
	v->v_nlink = 1;
	v->v_rdev = qdev_make(d->cd_major, d->cd_minor);
	v->v_atime = v->v_mtime = v->v_ctime = v->v_btime =
	    super_of(v->v_fs)->ds_born;
}

static void
fill_disk(struct qvnode *v, uint64_t num)
{
	v->v_mode = Q_S_IFBLK | 0660;
	v->v_nlink = 1;
	v->v_rdev = qdev_make(QDISK_MAJOR, (uint32_t)num);
	v->v_atime = v->v_mtime = v->v_ctime = v->v_btime =
	    super_of(v->v_fs)->ds_born;
}

/* The vnode of a number that there is, with a reference. */
static int
node_get(struct qfs *fs, uint64_t ino, struct qvnode **vp)
{
	struct qvnode *v;
	int new = qvnode_get(fs, ino, &v);

	if (new < 0)
		return new;
	if (new != 0) {
		if (ino < CDEV_INO)
			fill_fixed(v, (unsigned)(ino - ROOT_INO));
		else if (ino < DISK_INO)
			fill_cdev(v,
			    qcdev_named(fs->fs_k, (unsigned)(ino - CDEV_INO)));
		else
			fill_disk(v, ino - DISK_INO);
		v->v_ops = &node_ops;
		qvnode_ready(v);
	}
	*vp = v;
	return 0;
}

/* Remember what was changed. */
static void
devfs_evict(struct qvnode *v)
{
	struct super *ds = super_of(v->v_fs);
	struct kept *k;

	if (v->v_ino >= CDEV_INO)
		return;
	k = &ds->ds_kept[v->v_ino - ROOT_INO];
	qspin_lock(&ds->ds_lock);
	k->k_set = true;
	k->k_mode = v->v_mode;
	k->k_uid = v->v_uid;
	k->k_gid = v->v_gid;
	k->k_atime = v->v_atime;
	k->k_mtime = v->v_mtime;
	k->k_ctime = v->v_ctime;
	qspin_unlock(&ds->ds_lock);
}

static int
devfs_readlink(struct qvnode *v, char *buf, size_t len)
{
	const char *target = table[v->v_ino - ROOT_INO].f_target;
	size_t n = qstrlen(target);

	qassert(n <= len);
	__builtin_memcpy(buf, target, n);
	return (int)n;
}

/* ---- names ----------------------------------------------------------------- */

static bool
is_name(const struct qname *n, const char *s)
{
	return qstrlen(s) == n->n_len &&
	    __builtin_memcmp(n->n_name, s, n->n_len) == 0;
}

/* The number in the table of a name, or 0. */
static uint64_t
find_fixed(const struct qname *n)
{
	unsigned i;

	for (i = 1; i < NFIXED; i++)
		if (is_name(n, table[i].f_name))
			return ROOT_INO + i;
	return 0;
}

/* What a disk is called here: its name, or `buf`. */
static const char *
disk_name(const struct qdisk *d, char *buf)
{
	struct qname n = { d->qd_name, (uint32_t)qstrlen(d->qd_name), 0 };
	const char *s;

	for (s = d->qd_name; *s != '\0' && *s != '/'; s++)
		continue;
	if (*s == '\0' && n.n_len != 0 && n.n_len <= QNAME_MAX &&
	    find_fixed(&n) == 0)
		return d->qd_name;
	qsnprintf(buf, NAME_ROOM, "disk%u", d->qd_num);
	return buf;
}

/* The inode number of the disk of that name, or 0. */
static uint64_t
find_disk(struct quern *k, const struct qname *n)
{
	uint64_t ino = 0;
	char buf[NAME_ROOM];
	uint32_t num = 1;
	struct qdisk *d;

	while (ino == 0 && (d = qdisk_from(k, num)) != NULL) {
		if (is_name(n, disk_name(d, buf)))
			ino = DISK_INO + d->qd_num;
		num = d->qd_num + 1;
		qdisk_put(d);
	}
	return ino;
}

/* The inode number of the registered device of that name, or 0. */
static uint64_t
find_cdev(struct quern *k, const struct qname *n)
{
	const struct qcdev *d;
	unsigned i;

	for (i = 0; (d = qcdev_named(k, i)) != NULL; i++)
		if (is_name(n, d->cd_name))
			return CDEV_INO + i;
	return 0;
}

static int
devfs_lookup(struct qvnode *dir, const struct qname *n, struct qvnode **vp)
{
	uint64_t ino = 0;

	if (dir->v_ino == ROOT_INO) {
		ino = find_fixed(n);
		if (ino == 0)
			ino = find_cdev(dir->v_fs->fs_k, n);
		if (ino == 0)
			ino = find_disk(dir->v_fs->fs_k, n);
	}
	return ino != 0 ? node_get(dir->v_fs, ino, vp) : -Q_ENOENT;
}

/* True: there is no room. */
static bool
emit_cdevs(struct qvnode *dir, uint64_t *posp, qreaddir_fn *emit, void *arg)
{
	const struct qcdev *d;

	if (*posp < CDEV_INO)
		*posp = CDEV_INO;
	for (; *posp < DISK_INO; ++*posp) {
		d = qcdev_named(dir->v_fs->fs_k, (unsigned)(*posp - CDEV_INO));
		if (d == NULL)
			break;
		if (emit(arg, d->cd_name, qstrlen(d->cd_name), *posp, Q_DT_CHR,
			*posp + 1) != 0)
			return true;
	}
	return false;
}

static int
emit_disks(struct qvnode *dir, uint64_t *posp, qreaddir_fn *emit, void *arg)
{
	uint32_t num = *posp > DISK_INO ? (uint32_t)(*posp - DISK_INO) : 1;
	char buf[NAME_ROOM];
	struct qdisk *d;
	const char *s;
	bool full = false;

	while (!full && (d = qdisk_from(dir->v_fs->fs_k, num)) != NULL) {
		num = d->qd_num + 1;
		s = disk_name(d, buf);
		full = emit(arg, s, qstrlen(s), DISK_INO + d->qd_num, Q_DT_BLK,
			   DISK_INO + num) != 0;
		if (!full)
			*posp = DISK_INO + num;
		qdisk_put(d);
	}
	return 0;
}

/* Positions: 0 and 1 are "." and "..", then inode numbers. */
static int
devfs_readdir(struct qvnode *dir, uint64_t *posp, qreaddir_fn *emit, void *arg)
{
	const struct fixed *f;

	for (; *posp < 2; ++*posp)
		if (emit(arg, "..", *posp + 1,
			*posp == 0 ? dir->v_ino : ROOT_INO, Q_DT_DIR,
			*posp + 1) != 0)
			return 0;
	if (dir->v_ino != ROOT_INO)
		return 0;
	for (; *posp < ROOT_INO + NFIXED; ++*posp) {
		f = &table[*posp - ROOT_INO];
		if (emit(arg, f->f_name, qstrlen(f->f_name), *posp,
			(f->f_mode & Q_S_IFMT) >> 12, *posp + 1) != 0)
			return 0;
	}
	if (*posp < DISK_INO && emit_cdevs(dir, posp, emit, arg))
		return 0;
	return emit_disks(dir, posp, emit, arg);
}

static const struct qvnode_ops node_ops = {
	.vo_lookup = devfs_lookup,
	.vo_readdir = devfs_readdir,
	.vo_readlink = devfs_readlink,
	.vo_evict = devfs_evict,
};

/* ---- the whole ------------------------------------------------------------- */

static int
devfs_vget(struct qfs *fs, uint64_t ino, uint32_t gen, struct qvnode **vp)
{
	if (gen != 0 ||
	    (ino - ROOT_INO >= NFIXED &&
		(ino < CDEV_INO || ino >= DISK_INO ||
		    qcdev_named(fs->fs_k, (unsigned)(ino - CDEV_INO)) ==
			NULL) &&
		(ino <= DISK_INO || ino - DISK_INO > UINT32_MAX)))
		return -Q_ESTALE;
	return node_get(fs, ino, vp);
}

static int
devfs_parent(struct qvnode *dir, struct qvnode **vp)
{
	return node_get(dir->v_fs, ROOT_INO, vp);
}

static void
devfs_unmount(struct qfs *fs)
{
	qfree(fs->fs_priv);
}

static const struct qfs_ops fs_ops = { .fso_unmount = devfs_unmount,
	.fso_vget = devfs_vget,
	.fso_parent = devfs_parent };

static int
devfs_mount(struct qfs *fs, const char *options, bool probe)
{
	struct super *ds;
	int error;

	(void)probe;
	if (options[0] != '\0') {
		qfs_log(fs, QUERN_LOG_ERR, "takes no options: '%s'", options);
		return -Q_EINVAL;
	}
	ds = qzalloc(&tag_fs, sizeof(*ds));
	if (ds == NULL)
		return -Q_ENOMEM;
	qspin_init(&ds->ds_lock);
	fs->fs_priv = ds;
	fs->fs_ops = &fs_ops;
	fs->fs_magic = DEVFS_MAGIC;
	ds->ds_born = qfs_now(fs);
	error = node_get(fs, ROOT_INO, &fs->fs_root);
	if (error != 0)
		qfree(ds);
	return error;
}

static const struct qfs_type type = { .ft_name = "devfs",
	.ft_flags = QFT_DYNAMIC,
	.ft_vnode_size = sizeof(struct qvnode),
	.ft_mount = devfs_mount };

/* ---- devtmpfs --------------------------------------------------------------- */

/*
 * A tmpfs with the nodes in it that devfs shows at the moment of mounting: others
 * can be made besides, sockets for instance.  Devices that come later do not come
 * here by themselves.
 */

/* The component's state: qtmpfs_type by another name. */
struct devices {
	struct qfs_type d_tmp;
};

/* One node.  What there is no memory for is not there, and said so. */
static void
make_node(struct qfs *fs, const char *name, uint32_t mode, uint64_t rdev,
    const char *target)
{
	struct qvnew new = { .vn_mode = mode,
		.vn_rdev = rdev,
		.vn_target = target,
		.vn_targetlen = target != NULL ? (uint32_t)qstrlen(target) :
						 0 };
	struct qvnode *root = fs->fs_root, *v;
	struct qname qn;
	int error;

	qname_set(&qn, name);
	qrw_wrlock(&root->v_lock);
	error = root->v_ops->vo_create(root, &qn, &new, &v);
	qrw_wrunlock(&root->v_lock);
	if (error == 0)
		qvnode_put(v);
	else
		qfs_log(fs, QUERN_LOG_ERR, "%s: can't be made: %d", name,
		    error);
}

static void
make_nodes(struct qfs *fs)
{
	struct quern *k = fs->fs_k;
	const struct fixed *f;
	const struct qcdev *c;
	char buf[NAME_ROOM];
	struct qdisk *d;
	uint32_t num;
	unsigned i;

	for (f = &table[1]; f < &table[NFIXED]; f++)
		make_node(fs, f->f_name, f->f_mode,
		    qdev_make(f->f_major, f->f_minor), f->f_target);
	for (i = 0; (c = qcdev_named(k, i)) != NULL; i++)
		make_node(fs, c->cd_name, Q_S_IFCHR | c->cd_mode,
		    qdev_make(c->cd_major, c->cd_minor), NULL);
	for (num = 1; (d = qdisk_from(k, num)) != NULL; num++) {
		num = d->qd_num;
		make_node(fs, disk_name(d, buf), Q_S_IFBLK | 0660,
		    qdev_make(QDISK_MAJOR, num), NULL);
		qdisk_put(d);
	}
}

static int
devtmpfs_mount(struct qfs *fs, const char *options, bool probe)
{
	int error = qtmpfs_type.ft_mount(fs,
	    options[0] != '\0' ? options : "mode=755", probe);

	if (error == 0)
		make_nodes(fs);
	return error;
}

/* ---- the component ----------------------------------------------------------- */

static int
devfs_init(struct quern *k, void **statep)
{
	struct devices *ds = qalloc(&tag_fs, sizeof(*ds));
	int error;

	if (ds == NULL)
		return -Q_ENOMEM;
	ds->d_tmp = qtmpfs_type;
	ds->d_tmp.ft_name = "devtmpfs";
	ds->d_tmp.ft_mount = devtmpfs_mount;
	error = qfs_register(k, &type);
	if (error == 0) {
		error = qfs_register(k, &ds->d_tmp);
		if (error != 0)
			qfs_unregister(k, &type);
	}
	if (error != 0)
		qfree(ds);
	else
		*statep = ds;
	return error;
}

static void
devfs_fini(struct quern *k, void *state)
{
	struct devices *ds = state;

	qfs_unregister(k, &ds->d_tmp);
	qfs_unregister(k, &type);
	qfree(ds);
}

static const struct quern_component *const needs[] = { &qvfs, NULL };

const struct quern_component qdevfs = {
	.c_name = "devfs",
	.c_needs = needs,
	.c_init = devfs_init,
	.c_fini = devfs_fini,
};
