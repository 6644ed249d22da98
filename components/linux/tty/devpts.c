/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * devpts: a directory in which each pty has its number as a name, for as long as
 * its master is open; and "ptmx".  All that are mounted show the same ptys.
 *
 * Names go by themselves, so the VFS keeps none (QFT_FORGET).  An inode number is
 * a pty's own: one that gets a number again is another file.
 *
 * Options: uid=, gid=, mode= of the ptys, ptmxmode=; max= and newinstance mean
 * nothing here.
 */
#include <quern/abi/fs.h>

#include "impl.h"

#define DEVPTS_MAGIC 0x1cd1
#define ROOT_INO     UINT64_C(1)
#define PTMX_INO     UINT64_C(2)
#define FIRST_INO    UINT64_C(3)

/* Numbers, and room for one. */
#define DIGITS 12u

struct super {
	struct qtime sb_born;
	bool sb_uidset, sb_gidset;
	uint32_t sb_uid, sb_gid, sb_mode, sb_ptmxmode;
};

/* A vnode, and which pty it is of. */
struct node {
	struct qvnode n_v;
	uint32_t n_num, n_serial; /* [I] */
};

static const struct qtag tag_fs = { "devpts" };
static const struct qvnode_ops node_ops;

static struct super *
super_of(const struct qfs *fs)
{
	return fs->fs_priv;
}

static uint64_t
ino_of(const struct pty *p)
{
	return FIRST_INO + p->p_num + (uint64_t)p->p_serial * PTY_MAX;
}

/* ---- nodes ------------------------------------------------------------------------ */

static void
fill_fixed(struct qvnode *v)
{
	struct super *sb = super_of(v->v_fs);

	v->v_atime = v->v_mtime = v->v_ctime = v->v_btime = sb->sb_born;
	if (v->v_ino == ROOT_INO) {
		v->v_mode = Q_S_IFDIR | 0755;
		v->v_nlink = 2;
	} else {
		v->v_mode = Q_S_IFCHR | sb->sb_ptmxmode;
		v->v_nlink = 1;
		v->v_rdev = qdev_make(TTY_AUX_MAJOR, 2);
	}
}

/* [x] */
static void
fill_pty(struct qvnode *v, const struct pty *p)
{
	struct super *sb = super_of(v->v_fs);
	struct node *n = QCONTAINER(v, struct node, n_v);

	n->n_num = p->p_num;
	n->n_serial = p->p_serial;
	v->v_nlink = 1;
	v->v_rdev = p->p_tty->t_dev;
	v->v_mode = Q_S_IFCHR | (p->p_kept ? p->p_mode : sb->sb_mode);
	v->v_uid = sb->sb_uidset && !p->p_kept ? sb->sb_uid : p->p_uid;
	v->v_gid = sb->sb_gidset && !p->p_kept ? sb->sb_gid : p->p_gid;
	v->v_atime = v->v_mtime = v->v_ctime = v->v_btime = qfs_now(v->v_fs);
	if (p->p_kept) {
		v->v_atime = p->p_atime;
		v->v_mtime = p->p_mtime;
		v->v_ctime = p->p_ctime;
	}
}

/* The vnode of the root, of ptmx, or of `p`. */
static int
node_get(struct qfs *fs, uint64_t ino, const struct pty *p, struct qvnode **vp)
{
	struct qvnode *v;
	int made = qvnode_get(fs, ino, &v);

	if (made < 0)
		return made;
	if (made != 0) {
		if (p != NULL)
			fill_pty(v, p);
		else
			fill_fixed(v);
		v->v_ops = &node_ops;
		qvnode_ready(v);
	}
	*vp = v;
	return 0;
}

/* What was changed of a pty stays. */
static void
devpts_evict(struct qvnode *v)
{
	struct ttys *tt = ttys_of(v->v_fs->fs_k);
	struct node *n = QCONTAINER(v, struct node, n_v);
	struct pty *p;

	if (v->v_ino < FIRST_INO)
		return;
	qmutex_lock(&tt->tt_lock);
	p = pty_find(tt, n->n_num);
	if (p != NULL && p->p_serial == n->n_serial) {
		p->p_kept = true;
		p->p_mode = v->v_mode & 07777;
		p->p_uid = v->v_uid;
		p->p_gid = v->v_gid;
		p->p_atime = v->v_atime;
		p->p_mtime = v->v_mtime;
		p->p_ctime = v->v_ctime;
	}
	qmutex_unlock(&tt->tt_lock);
}

/* ---- names ------------------------------------------------------------------------ */

/* A decimal number without zeroes in front; -1: not one. */
static int64_t
parse(const char *s, size_t len)
{
	int64_t n = 0;
	size_t i;

	if (len == 0 || len >= DIGITS || (s[0] == '0' && len > 1))
		return -1;
	for (i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		n = n * 10 + (s[i] - '0');
	}
	return n;
}

static int
devpts_lookup(struct qvnode *dir, const struct qname *n, struct qvnode **vp)
{
	struct ttys *tt = ttys_of(dir->v_fs->fs_k);
	int64_t num = parse(n->n_name, n->n_len);
	int error = -Q_ENOENT;
	struct pty *p;

	if (n->n_len == 4 && __builtin_memcmp(n->n_name, "ptmx", 4) == 0)
		return node_get(dir->v_fs, PTMX_INO, NULL, vp);
	if (num < 0 || num >= PTY_MAX)
		return error;
	qmutex_lock(&tt->tt_lock);
	p = pty_find(tt, (uint32_t)num);
	if (p != NULL)
		error = node_get(dir->v_fs, ino_of(p), p, vp);
	qmutex_unlock(&tt->tt_lock);
	return error;
}

/* The first pty from a number on: its number and inode, or false. */
static bool
pty_from(struct ttys *tt, uint64_t num, uint32_t *nump, uint64_t *inop)
{
	struct pty *p = NULL;

	qmutex_lock(&tt->tt_lock);
	for (; num < tt->tt_npty && p == NULL; num++)
		p = tt->tt_pty[num];
	if (p != NULL) {
		*nump = p->p_num;
		*inop = ino_of(p);
	}
	qmutex_unlock(&tt->tt_lock);
	return p != NULL;
}

/* Positions: ".", "..", "ptmx", then numbers from 3 on. */
static int
devpts_readdir(struct qvnode *dir, uint64_t *posp, qreaddir_fn *emit, void *arg)
{
	struct ttys *tt = ttys_of(dir->v_fs->fs_k);
	char name[DIGITS];
	uint32_t num = 0;
	uint64_t ino = 0;
	int len;

	for (; *posp < 2; ++*posp)
		if (emit(arg, "..", *posp + 1, ROOT_INO, Q_DT_DIR, *posp + 1) !=
		    0)
			return 0;
	if (*posp == 2) {
		if (emit(arg, "ptmx", 4, PTMX_INO, Q_DT_CHR, 3) != 0)
			return 0;
		*posp = 3;
	}
	while (pty_from(tt, *posp - 3, &num, &ino)) {
		len = qsnprintf(name, sizeof(name), "%u", num);
		if (emit(arg, name, (size_t)len, ino, Q_DT_CHR,
			(uint64_t)num + 4) != 0)
			return 0;
		*posp = (uint64_t)num + 4;
	}
	return 0;
}

static const struct qvnode_ops node_ops = {
	.vo_lookup = devpts_lookup,
	.vo_readdir = devpts_readdir,
	.vo_evict = devpts_evict,
};

/* ---- the whole ---------------------------------------------------------------------- */

/* If `s` begins with `key`, its number in that base; -1: it is wrong; -2: no. */
static int64_t
option(const char *s, size_t len, const char *key, unsigned base)
{
	size_t n = qstrlen(key), i;
	int64_t value = 0;

	if (len < n || __builtin_memcmp(s, key, n) != 0)
		return -2;
	if (len == n || len > n + 10)
		return -1;
	for (i = n; i < len; i++) {
		if (s[i] < '0' || s[i] >= (char)('0' + base))
			return -1;
		value = value * base + (s[i] - '0');
	}
	return value;
}

/* One option.  False: it is none. */
static bool
take_option(struct super *sb, const char *s, size_t len)
{
	int64_t n;

	if (len == 0 ||
	    (len == 11 && __builtin_memcmp(s, "newinstance", len) == 0))
		return true;
	if ((n = option(s, len, "uid=", 10)) != -2) {
		sb->sb_uidset = true;
		sb->sb_uid = (uint32_t)n;
	} else if ((n = option(s, len, "gid=", 10)) != -2) {
		sb->sb_gidset = true;
		sb->sb_gid = (uint32_t)n;
	} else if ((n = option(s, len, "mode=", 8)) != -2) {
		sb->sb_mode = (uint32_t)n & 07777;
	} else if ((n = option(s, len, "ptmxmode=", 8)) != -2) {
		sb->sb_ptmxmode = (uint32_t)n & 07777;
	} else {
		n = option(s, len, "max=", 10);
	}
	return n >= 0;
}

static int
take_options(struct qfs *fs, struct super *sb, const char *options)
{
	const char *s = options;
	size_t len;

	for (;; s += len + 1) {
		for (len = 0; s[len] != '\0' && s[len] != ','; len++)
			continue;
		if (!take_option(sb, s, len)) {
			qfs_log(fs, QUERN_LOG_ERR,
			    "there is an unknown option in '%s'", options);
			return -Q_EINVAL;
		}
		if (s[len] == '\0')
			return 0;
	}
}

static int
devpts_remount(struct qfs *fs, uint32_t flags, const char *options)
{
	struct super sb = *super_of(fs);
	int error = take_options(fs, &sb, options);

	(void)flags;
	if (error == 0)
		*super_of(fs) = sb;
	return error;
}

static void
devpts_unmount(struct qfs *fs)
{
	qfree(fs->fs_priv);
}

static const struct qfs_ops fs_ops = {
	.fso_remount = devpts_remount,
	.fso_unmount = devpts_unmount,
};

static int
devpts_mount(struct qfs *fs, const char *options, bool probe)
{
	struct super *sb = qzalloc(&tag_fs, sizeof(*sb));
	int error;

	(void)probe;
	if (sb == NULL)
		return -Q_ENOMEM;
	sb->sb_mode = 0600;
	fs->fs_priv = sb;
	fs->fs_ops = &fs_ops;
	fs->fs_magic = DEVPTS_MAGIC;
	sb->sb_born = qfs_now(fs);
	error = take_options(fs, sb, options);
	if (error == 0)
		error = node_get(fs, ROOT_INO, NULL, &fs->fs_root);
	if (error != 0)
		qfree(sb);
	return error;
}

const struct qfs_type devpts_type = {
	.ft_name = "devpts",
	.ft_flags = QFT_DYNAMIC | QFT_FORGET,
	.ft_vnode_size = sizeof(struct node),
	.ft_mount = devpts_mount,
};
