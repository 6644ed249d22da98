/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `quern fs`: opening images, and what its commands share.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quern/abi/fcntl.h>
#include <quern/abi/fs.h>
#include <quern/abi/mount.h>
#include <quern/posix.h>

#include "fs.h"
#include "quern.h"

const char fs_command_usage[] =
    "usage: quern fs IMAGE[,part=N][,type=T][,ro][,cow] COMMAND [ARGUMENT...]\n"
    "\n"
    "Look at the files of a disk image, or change them, without mounting it.\n"
    "IMAGE is a file, or what a disk is named by (nbd://HOST/EXPORT).\n"
    "\n"
    "  ls [-laR1] [--json] [PATH...]\n"
    "                            list files\n"
    "  cat PATH...               print files\n"
    "  stat [--json] PATH...     attributes\n"
    "  get PATH... TO            copy out of the image, as cp -a\n"
    "  put PATH... TO            copy into the image, as cp -a\n"
    "  find [--json] [PATH...]   every file below\n"
    "  du [-as] [PATH...]        room that files take, in KiB\n"
    "  df [--json]               room\n"
    "  info [--json]             what the image is\n"
    "  write PATH                standard input into a file\n"
    "  mkdir [-p] PATH...        make directories\n"
    "  rm [-rf] PATH...          remove files\n"
    "  tar -c [-f FILE] [-C DIR] [--format=F] [--filter=F] [PATH...]\n"
    "                            an archive of files, to standard output\n"
    "  tar -x [-f FILE] [-C DIR] files from an archive, standard input\n"
    "  cp [-ar] FROM... TO       copy within the image\n"
    "  mv FROM... TO             move files\n"
    "  ln [-s] TARGET PATH       make another name, or a symlink\n"
    "  chmod [-R] MODE PATH...   set permissions (644 or u+x,go=rX)\n"
    "  chown [-Rh] UID[:GID] PATH...\n"
    "                            set owners\n"
    "  touch PATH...             make files, or set their times\n"
    "  truncate SIZE PATH...     cut or lengthen files\n"
    "  script [-k] FILE          commands, one a line (-: standard input)\n"
    "\n"
    "Exit status: 0; 1 if something did not work; 2 for usage.\n";

/* ---- signals ------------------------------------------------------------------ */

/*
 * A signal that would end the program ends the command instead: the operation
 * under way is finished, the image closed, and then the program dies of it.  The
 * second one is not waited for.
 */
static volatile sig_atomic_t caught;

static void
catch_signal(int sig)
{
	caught = sig;
}

static void
catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };
	struct sigaction sa = { .sa_handler = catch_signal,
		.sa_flags = (int)SA_RESETHAND };
	struct sigaction old;
	unsigned i;

	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (sigaction(signals[i], NULL, &old) == 0 &&
		    old.sa_handler != SIG_IGN)
			(void)sigaction(signals[i], &sa, NULL);
}

/* Die as if nothing had caught it. */
static void
die_of_signal(void)
{
	fflush(stdout);
	signal(caught, SIG_DFL);
	raise(caught);
}

bool
fs_stopped(const struct fs *f)
{
	return f->f_stop || caught != 0;
}

/* ---- messages ----------------------------------------------------------------- */

/* "quern fs: " and, in a script, where; after what has been printed so far. */
static void
begin_message(struct fs *f)
{
	fflush(stdout);
	fs_progress_hide(f);
	fputs("quern fs: ", stderr);
	if (f->f_script != NULL)
		fprintf(stderr, "%s:%u: ", f->f_script, f->f_line);
}

void
fs_complain(struct fs *f, const char *what, const char *why)
{
	f->f_status = 1;
	/* A reader that has gone away is the signal's to tell. */
	if (caught == SIGPIPE || f->f_quiet)
		return;
	begin_message(f);
	fprintf(stderr, "%s: %s: %s\n", f->f_command, what, why);
}

void
fs_error(struct fs *f, const char *what, int64_t error)
{
	fs_complain(f, what, strerror((int)-error));
}

void
fs_usage(struct fs *f)
{
	begin_message(f);
	fprintf(stderr, "%s: `quern help fs` shows how\n", f->f_command);
	f->f_status = EXIT_USAGE;
}

/*
 * Lines of the kernel's.  While the image is being opened the last is kept, for
 * the one message that says why it could not be.
 */
static void
log_line(void *arg, int level, const char *line)
{
	struct fs *f = arg;

	if (level > QUERN_LOG_WARN)
		return;
	if (f->f_opening) {
		snprintf(f->f_why, sizeof(f->f_why), "%s", line);
		return;
	}
	fs_progress_hide(f);
	fprintf(stderr, "quern fs: %s\n", line);
}

/* The image can't be opened. */
static int
no_image(struct fs *f, const char *arg, int error)
{
	const char *what = strerror(-error);

	if (error == -EINVAL)
		what = "no file system that is known here";
	else if (error == -EBUSY)
		what = "in use by another program";
	else if (error == -ENODEV)
		what = "no such type of file system is known here";
	fprintf(stderr, "quern fs: %s: %s", arg, what);
	if (f->f_why[0] != '\0' && error != -EINVAL)
		fprintf(stderr, " (%s)", f->f_why);
	fputc('\n', stderr);
	return error;
}

/* ---- what commands share --------------------------------------------------------- */

bool
fs_join(struct fs *f, char *buf, const char *dir, const char *name)
{
	size_t n = strlen(dir);
	const char *slash = n > 0 && dir[n - 1] == '/' ? "" : "/";

	if ((size_t)snprintf(buf, FS_PATH_MAX, "%s%s%s", dir, slash, name) <
	    FS_PATH_MAX)
		return true;
	fs_error(f, name, -ENAMETOOLONG);
	return false;
}

bool
fs_set_path(struct fs *f, char *buf, const char *path)
{
	int error = path[0] == '\0' ? -ENOENT : -ENAMETOOLONG;
	size_t n = strlen(path);

	if (n > 0 && n < FS_PATH_MAX) {
		memcpy(buf, path, n + 1);
		return true;
	}
	fs_error(f, path, error);
	return false;
}

size_t
fs_push(struct fs *f, char *path, const char *name)
{
	size_t n = strlen(path), len = strlen(name);
	bool slash = path[n - 1] != '/';

	if (n + slash + len >= FS_PATH_MAX) {
		fs_error(f, name, -ENAMETOOLONG);
		return 0;
	}
	if (slash)
		path[n] = '/';
	memcpy(path + n + slash, name, len + 1);
	return n;
}

void
fs_pop(char *path, size_t len)
{
	path[len] = '\0';
}

static int
by_name(const void *a, const void *b)
{
	const struct fs_entry *x = a, *y = b;

	return strcmp(x->e_name, y->e_name);
}

void
fs_sort_list(struct fs_entry *e, size_t n)
{
	if (n > 1)
		qsort(e, n, sizeof(*e), by_name);
}

void *
fs_grow(void *p, size_t size)
{
	p = realloc(p, size);
	if (p == NULL) {
		fputs("quern fs: out of memory\n", stderr);
		exit(1);
	}
	return p;
}

char *
fs_strdup(const char *s)
{
	return strcpy(fs_grow(NULL, strlen(s) + 1), s);
}

void
fs_base_name(char *buf, const char *path)
{
	size_t n = strlen(path), from;

	while (n > 0 && path[n - 1] == '/')
		n--;
	for (from = n; from > 0 && path[from - 1] != '/'; from--)
		;
	if (n == 0)
		strcpy(buf, "/");
	else
		snprintf(buf, FS_PATH_MAX, "%.*s", (int)(n - from),
		    path + from);
}

/* Add what one call of getdents64 gave. */
static struct fs_entry *
add_entries(struct fs_entry *e, size_t *np, const char *buf, int64_t len,
    bool all)
{
	const struct q_dirent64 *d;
	int64_t off;

	for (off = 0; off < len; off += d->d_reclen) {
		d = (const void *)(buf + off);
		if (d->d_name[0] == '.' &&
		    (!all || d->d_name[1] == '\0' ||
			strcmp(d->d_name, "..") == 0))
			continue;
		e = fs_grow(e, (*np + 1) * sizeof(*e));
		memset(&e[*np], 0, sizeof(*e));
		e[*np].e_name = fs_strdup(d->d_name);
		(*np)++;
	}
	return e;
}

struct fs_entry *
fs_list(struct fs *f, const char *dir, bool all, size_t *np)
{
	struct fs_entry *e = NULL;
	char buf[8192];
	int64_t n;
	size_t i;
	int fd;

	*np = 0;
	fd = quern_open(f->f_p, dir, Q_O_RDONLY | Q_O_DIRECTORY, 0);
	if (fd < 0) {
		fs_error(f, dir, fd);
		return NULL;
	}
	while ((n = quern_getdents64(f->f_p, fd, buf, sizeof(buf))) > 0)
		e = add_entries(e, np, buf, n, all);
	if (n < 0)
		fs_error(f, dir, n);
	for (i = 0; i < *np; i++) {
		int error = quern_fstatat(f->f_p, fd, e[i].e_name, &e[i].e_st,
		    Q_AT_SYMLINK_NOFOLLOW);

		if (error != 0)
			fs_error(f, e[i].e_name, error);
	}
	(void)quern_close(f->f_p, fd);
	fs_sort_list(e, *np);
	return e;
}

void
fs_free_list(struct fs_entry *e, size_t n)
{
	while (n > 0)
		free(e[--n].e_name);
	free(e);
}

void
fs_mode_string(uint32_t mode, char *buf)
{
	static const char types[] = "?pc?d?b?-?l?s???";
	static const char bits[] = "rwxrwxrwx";
	unsigned i;

	buf[0] = types[(mode & Q_S_IFMT) >> 12];
	for (i = 0; i < 9; i++)
		buf[1 + i] = (mode & 0400u >> i) != 0 ? bits[i] : '-';
	if ((mode & Q_S_ISUID) != 0)
		buf[3] = (mode & Q_S_IXUSR) != 0 ? 's' : 'S';
	if ((mode & Q_S_ISGID) != 0)
		buf[6] = (mode & Q_S_IXGRP) != 0 ? 's' : 'S';
	if ((mode & Q_S_ISVTX) != 0)
		buf[9] = (mode & Q_S_IXOTH) != 0 ? 't' : 'T';
	buf[10] = '\0';
}

/* ---- opening ----------------------------------------------------------------------- */

/* What is behind the image's name. */
struct image {
	char i_name[512];
	const char *i_type;
	unsigned i_part;
	bool i_ro, i_cow;
};

/* Take one option; false: there is none like it. */
static bool
take_option(struct image *im, const char *opt)
{
	char *end;

	if (strcmp(opt, "ro") == 0) {
		im->i_ro = true;
	} else if (strcmp(opt, "cow") == 0) {
		im->i_cow = true;
	} else if (strncmp(opt, "type=", 5) == 0) {
		im->i_type = opt + 5;
	} else if (strncmp(opt, "part=", 5) == 0) {
		im->i_part = (unsigned)strtoul(opt + 5, &end, 10);
		return end != opt + 5 && *end == '\0' && im->i_part > 0;
	} else {
		return false;
	}
	return true;
}

static bool
parse_image(char *arg, struct image *im)
{
	char *opt = strchr(arg, ',');
	int n;

	memset(im, 0, sizeof(*im));
	im->i_type = "";
	while (opt != NULL) {
		char *next;

		*opt++ = '\0';
		next = strchr(opt, ',');
		if (next != NULL)
			*next = '\0';
		if (!take_option(im, opt)) {
			fprintf(stderr, "quern fs: %s: bad option '%s'\n", arg,
			    opt);
			return false;
		}
		opt = next;
	}
	n = snprintf(im->i_name, sizeof(im->i_name), "%s%s",
	    strncmp(arg, "file:", 5) == 0 || strncmp(arg, "nbd", 3) == 0 ?
		"" :
		"file:",
	    arg);
	if (n < 0 || (size_t)n >= sizeof(im->i_name)) {
		fprintf(stderr, "quern fs: the image's name is too long\n");
		return false;
	}
	return true;
}

static int
open_image(struct fs *f, const struct image *im, const char *arg, bool writes)
{
	/* What the host would say is in the error. */
	static const struct quern_posix_config quiet = { .pc_logfd = -1,
		.pc_flags = QUERN_POSIX_NOGUESTS };
	struct quern_config cfg = { .host = quern_posix_with(&quiet),
		.ram = (size_t)256 << 20,
		.name = "kernel",
		.components = linked_components,
		.log = log_line,
		.arg = f };
	struct quern_disk_options opt = { .do_part = im->i_part,
		.do_name = "image" };
	int error;

	if (im->i_cow)
		opt.do_flags |= QUERN_DISK_COW;
	else if (im->i_ro || !writes)
		opt.do_flags |= QUERN_DISK_RDONLY;
	error = quern_create(&cfg, &f->f_k);
	if (error == 0)
		error = quern_proc_create(f->f_k, &f->f_mounter);
	if (error != 0) {
		fprintf(stderr, "quern fs: no kernel: %s\n", strerror(-error));
		return error;
	}
	error = quern_disk_open(f->f_k, im->i_name, &opt, &f->f_disk);
	if (error == 0)
		error = quern_mount(f->f_mounter, "image", "/", im->i_type,
		    writes && !im->i_ro ? 0 : Q_MS_RDONLY, "");
	if (error != 0)
		return no_image(f, arg, error);
	f->f_mounted = true;
	f->f_opening = false;
	error = quern_proc_fork(f->f_mounter, &f->f_p);
	if (error == 0)
		error = quern_chdir(f->f_p, "/");
	return error != 0 ? no_image(f, arg, error) : 0;
}

/* Everything written, everything closed. */
static void
close_image(struct fs *f, const char *arg)
{
	int error = 0;

	if (f->f_p != NULL)
		(void)quern_proc_destroy(f->f_p);
	if (f->f_mounted)
		error = quern_umount2(f->f_mounter, "/", 0);
	if (f->f_mounter != NULL)
		(void)quern_proc_destroy(f->f_mounter);
	if (f->f_disk != NULL) {
		int e = quern_disk_close(f->f_disk);

		if (error == 0)
			error = e;
	}
	if (f->f_k != NULL)
		(void)quern_destroy(f->f_k);
	if (error != 0) {
		fprintf(stderr, "quern fs: %s: %s\n", arg, strerror(-error));
		f->f_status = 1;
	}
}

const struct fs_command *
fs_find_command(const char *name)
{
	const struct fs_command *tables[] = { fs_read_commands,
		fs_write_commands, fs_copy_commands, fs_tar_commands,
		fs_script_commands, fs_attr_commands, fs_usage_commands };
	const struct fs_command *c;
	unsigned i;

	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (c = tables[i]; c->c_name != NULL; c++)
			if (strcmp(c->c_name, name) == 0)
				return c;
	return NULL;
}

int
cmd_fs(int argc, char **argv)
{
	const struct fs_command *c;
	struct fs f = { .f_opening = true };
	struct image im;
	bool writes;

	if (argc < 3) {
		fputs(fs_command_usage, stderr);
		return EXIT_USAGE;
	}
	if (!parse_image(argv[1], &im))
		return EXIT_USAGE;
	c = fs_find_command(argv[2]);
	if (c == NULL) {
		fprintf(stderr,
		    "quern fs: there is no command '%s'; `quern help fs` "
		    "shows them\n",
		    argv[2]);
		return EXIT_USAGE;
	}
	f.f_command = c->c_name;
	writes = c->c_writes &&
	    (c->c_looks == NULL || !c->c_looks(argc - 2, argv + 2));
	catch_signals();
	if (open_image(&f, &im, argv[1], writes) != 0) {
		close_image(&f, argv[1]);
		return 1;
	}
	c->c_run(&f, argc - 2, argv + 2);
	close_image(&f, argv[1]);
	if (caught != 0)
		die_of_signal();
	if (fflush(stdout) != 0 && f.f_status == 0) {
		fprintf(stderr, "quern fs: standard output: %s\n",
		    strerror(errno));
		f.f_status = 1;
	}
	return f.f_status;
}
