/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands of `quern fs` that change who owns files and what may be done with
 * them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quern/abi/fcntl.h>

#include "fs.h"

struct change {
	struct fs *c_f;
	bool c_deep;
	bool c_links;         /* chown: a symlink itself */
	const char *c_mode;   /* chmod */
	uint32_t c_umask;     /* of a mode without a "who" */
	int64_t c_uid, c_gid; /* -1: stays */
	int64_t (*c_do)(struct change *, const char *, const struct q_stat *);
	char c_path[FS_PATH_MAX];
};

/* ---- modes ------------------------------------------------------------------------ */

/* The bits that letters like "ug" are about. */
static const char *
parse_who(const char *s, uint32_t *who)
{
	for (*who = 0;; s++)
		if (*s == 'u')
			*who |= Q_S_ISUID | 0700;
		else if (*s == 'g')
			*who |= Q_S_ISGID | 0070;
		else if (*s == 'o')
			*who |= Q_S_ISVTX | 0007;
		else if (*s == 'a')
			*who |= 07777;
		else
			return s;
}

/* The bits of letters like "rwX", or of one of "ugo", for everybody. */
static const char *
parse_bits(const char *s, uint32_t mode, uint32_t *bits)
{
	bool dir = (mode & Q_S_IFMT) == Q_S_IFDIR;

	*bits = 0;
	if (*s == 'u' || *s == 'g' || *s == 'o') {
		*bits = (mode >> (*s == 'u'        ? 6 :
					 *s == 'g' ? 3 :
						     0) &
			    7) *
		    0111;
		return s + 1;
	}
	for (;; s++)
		if (*s == 'r')
			*bits |= 0444;
		else if (*s == 'w')
			*bits |= 0222;
		else if (*s == 'x' ||
		    (*s == 'X' && (dir || (mode & 0111) != 0)))
			*bits |= 0111;
		else if (*s == 's')
			*bits |= Q_S_ISUID | Q_S_ISGID;
		else if (*s == 't')
			*bits |= Q_S_ISVTX;
		else if (*s != 'X')
			return s;
}

/* What "u+x,go=rX" or "644" makes of a mode; -EINVAL. */
static int64_t
new_mode(const char *s, uint32_t mode, uint32_t umask)
{
	uint32_t who, bits, mask;
	char *end;

	if (*s >= '0' && *s <= '7') {
		bits = (uint32_t)strtoul(s, &end, 8);
		return *end != '\0' || bits > 07777 ? -EINVAL : (int64_t)bits;
	}
	do {
		s = parse_who(s, &who);
		mask = who != 0 ? 07777 : 07777 & ~umask;
		if (who == 0)
			who = 07777;
		if (*s == '\0' || strchr("+-=", *s) == NULL)
			return -EINVAL;
		while (*s != '\0' && strchr("+-=", *s) != NULL) {
			char op = *s;

			s = parse_bits(s + 1, mode, &bits);
			bits &= who & mask;
			/* A directory keeps its set-id bits, as for chmod. */
			if (op == '=')
				mode &= ~(who &
				    ((mode & Q_S_IFMT) == Q_S_IFDIR ? 0777 :
								      07777));
			mode = op == '-' ? mode & ~bits : mode | bits;
		}
	} while (*s++ == ',');
	return s[-1] != '\0' ? -EINVAL : (int64_t)(mode & 07777);
}

static int64_t
change_mode(struct change *c, const char *path, const struct q_stat *st)
{
	return quern_chmod(c->c_f->f_p, path,
	    (uint32_t)new_mode(c->c_mode, st->st_mode, c->c_umask));
}

/* ---- owners ------------------------------------------------------------------------- */

static int64_t
change_owner(struct change *c, const char *path, const struct q_stat *st)
{
	(void)st;
	return quern_fchownat(c->c_f->f_p, Q_AT_FDCWD, path, (uint32_t)c->c_uid,
	    (uint32_t)c->c_gid,
	    c->c_links || c->c_deep ? Q_AT_SYMLINK_NOFOLLOW : 0);
}

/* A number up to one of `ends`; -1 for none.  False: it is no number. */
static bool
parse_id(const char *s, size_t len, int64_t *id)
{
	unsigned long long n;
	char *end;

	*id = -1;
	if (len == 0)
		return true;
	if (*s < '0' || *s > '9')
		return false;
	n = strtoull(s, &end, 10);
	*id = (int64_t)n;
	return end == s + len && n < UINT32_MAX;
}

/* "UID", "UID:GID" or ":GID". */
static bool
parse_owner(const char *s, struct change *c)
{
	size_t n = strcspn(s, ":");

	c->c_gid = -1;
	if (!parse_id(s, n, &c->c_uid))
		return false;
	return s[n] == '\0' ? n > 0 :
			      parse_id(s + n + 1, strlen(s + n + 1), &c->c_gid);
}

/* ---- both ------------------------------------------------------------------------------ */

/* c_path, and with -R all below it; symlinks that are met below stay. */
static void
change_tree(struct change *c, const struct q_stat *st)
{
	bool dir = (st->st_mode & Q_S_IFMT) == Q_S_IFDIR;
	struct fs_entry *e;
	size_t i, n, len;
	int64_t error = 0;

	if ((st->st_mode & Q_S_IFMT) != Q_S_IFLNK || c->c_mode == NULL)
		error = c->c_do(c, c->c_path, st);
	if (error != 0)
		fs_error(c->c_f, c->c_path, error);
	if (!dir || !c->c_deep)
		return;
	e = fs_list(c->c_f, c->c_path, true, &n);
	for (i = 0; i < n && !fs_stopped(c->c_f); i++) {
		len = fs_push(c->c_f, c->c_path, e[i].e_name);
		if (len != 0) {
			change_tree(c, &e[i].e_st);
			fs_pop(c->c_path, len);
		}
	}
	fs_free_list(e, n);
}

static void
change_all(struct change *c, int n, char **paths)
{
	struct q_stat st;
	int64_t error;

	for (; n > 0 && !fs_stopped(c->c_f); n--, paths++) {
		if (!fs_set_path(c->c_f, c->c_path, *paths))
			continue;
		error = c->c_deep || c->c_links ?
		    quern_lstat(c->c_f->f_p, *paths, &st) :
		    quern_stat(c->c_f->f_p, *paths, &st);
		if (error != 0)
			fs_error(c->c_f, *paths, error);
		else
			change_tree(c, &st);
	}
}

static void
cmd_chmod(struct fs *f, int argc, char **argv)
{
	struct change c = { .c_f = f, .c_do = change_mode };
	int first = 1;

	/* Not getopt's: a mode may begin with a '-'. */
	if (argc > 1 && strcmp(argv[1], "-R") == 0) {
		c.c_deep = true;
		first++;
	}
	if (argc - first < 2) {
		fs_usage(f);
		return;
	}
	c.c_mode = argv[first];
	c.c_umask = 022;
	if (new_mode(c.c_mode, 0, 0) < 0) {
		fs_complain(f, c.c_mode, "is no mode");
		return;
	}
	change_all(&c, argc - first - 1, argv + first + 1);
}

static void
cmd_chown(struct fs *f, int argc, char **argv)
{
	struct change c = { .c_f = f, .c_do = change_owner };
	int opt;

	optind = 0;
	while ((opt = getopt(argc, argv, "+Rh")) != -1)
		if (opt == 'R') {
			c.c_deep = true;
		} else if (opt == 'h') {
			c.c_links = true;
		} else {
			fs_usage(f);
			return;
		}
	if (argc - optind < 2) {
		fs_usage(f);
		return;
	}
	if (!parse_owner(argv[optind], &c)) {
		fs_complain(f, argv[optind], "is no owner: UID, UID:GID, :GID");
		return;
	}
	change_all(&c, argc - optind - 1, argv + optind + 1);
}

const struct fs_command fs_attr_commands[] = {
	{ "chmod", cmd_chmod, true, NULL },
	{ "chown", cmd_chown, true, NULL },
	{ NULL, NULL, false, NULL },
};
