/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * JSON for commands of `quern fs`.
 *
 * Names are bytes and JSON is Unicode: bytes that are not UTF-8 become U+FFFD, and
 * then a second member, NAME_hex, says what they are.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "fsjson.h"

/* The length of the UTF-8 character at `s`, or 0: it is none. */
static unsigned
utf8_length(const unsigned char *s, size_t left)
{
	unsigned n = s[0] < 0x80 ? 1 :
	    s[0] < 0xc2          ? 0 :
	    s[0] < 0xe0          ? 2 :
	    s[0] < 0xf0          ? 3 :
	    s[0] < 0xf5          ? 4 :
				   0,
		 i;

	if (n > left)
		return 0;
	for (i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Too long a form, a surrogate, beyond U+10FFFF. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

/* In quotes; false: some of it is not UTF-8. */
static bool
put_string(const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *)text;
	bool valid = true;
	unsigned n;

	putchar('"');
	for (; len > 0; s += n, len -= n) {
		n = utf8_length(s, len);
		if (n == 0) {
			n = 1;
			valid = false;
			fputs("\\ufffd", stdout);
		} else if (s[0] == '"' || s[0] == '\\') {
			printf("\\%c", s[0]);
		} else if (s[0] < 0x20 || s[0] == 0x7f) {
			printf("\\u%04x", s[0]);
		} else {
			fwrite(s, 1, n, stdout);
		}
	}
	putchar('"');
	return valid;
}

/* What comes before a value: a comma, a name. */
static void
begin(struct fs_json *j, const char *name)
{
	if (j->j_some)
		putchar(',');
	/* Members of the outermost are on lines of their own. */
	if (j->j_depth == 1)
		putchar('\n');
	j->j_some = true;
	if (name != NULL)
		printf("\"%s\":", name);
}

void
json_open(struct fs_json *j, const char *name, char bracket)
{
	begin(j, name);
	putchar(bracket);
	j->j_close[j->j_depth++] = bracket == '{' ? '}' : ']';
	j->j_some = false;
}

void
json_close(struct fs_json *j)
{
	if (j->j_depth == 1)
		putchar('\n');
	putchar(j->j_close[--j->j_depth]);
	j->j_some = true;
	if (j->j_depth == 0)
		putchar('\n');
}

static void
put_bytes(struct fs_json *j, const char *name, const char *s, size_t len)
{
	begin(j, name);
	if (put_string(s, len) || name == NULL)
		return;
	printf(",\"%s_hex\":\"", name);
	for (; len > 0; s++, len--)
		printf("%02x", (unsigned char)*s);
	putchar('"');
}

void
json_string(struct fs_json *j, const char *name, const char *s)
{
	put_bytes(j, name, s, strlen(s));
}

void
json_number(struct fs_json *j, const char *name, int64_t n)
{
	begin(j, name);
	printf("%lld", (long long)n);
}

void
json_bool(struct fs_json *j, const char *name, bool b)
{
	begin(j, name);
	fputs(b ? "true" : "false", stdout);
}

static void
json_time(struct fs_json *j, const char *name, const struct q_timespec *ts)
{
	time_t t = ts->tv_sec;
	char buf[40] = "?";
	struct tm tm;

	if (gmtime_r(&t, &tm) != NULL)
		(void)strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%S", &tm);
	begin(j, name);
	printf("\"%s.%09lldZ\"", buf, (long long)ts->tv_nsec);
}

const struct option fs_json_option[] = {
	{ "json", no_argument, NULL, FS_JSON },
	{ NULL, 0, NULL, 0 },
};

/* False: wrong arguments, which has been said.  Others begin at optind. */
bool
fs_only_json(struct fs *f, int argc, char **argv, bool *json)
{
	int opt;

	*json = false;
	optind = 0;
	while ((opt = getopt_long(argc, argv, "", fs_json_option, NULL)) != -1)
		if (opt == FS_JSON) {
			*json = true;
		} else {
			fs_usage(f);
			return false;
		}
	return true;
}

static const char *
type_name(uint32_t mode)
{
	switch (mode & Q_S_IFMT) {
	case Q_S_IFREG:
		return "file";
	case Q_S_IFDIR:
		return "directory";
	case Q_S_IFLNK:
		return "symlink";
	case Q_S_IFCHR:
		return "character device";
	case Q_S_IFBLK:
		return "block device";
	case Q_S_IFIFO:
		return "fifo";
	default:
		return "socket";
	}
}

void
json_file(struct fs_json *j, struct fs *f, const char *path,
    const struct q_stat *st)
{
	uint32_t type = st->st_mode & Q_S_IFMT;
	char buf[FS_PATH_MAX];
	int64_t n;

	json_open(j, NULL, '{');
	json_string(j, "path", path);
	json_string(j, "type", type_name(st->st_mode));
	snprintf(buf, sizeof(buf), "%04o", st->st_mode & 07777);
	json_string(j, "mode", buf);
	json_number(j, "inode", (int64_t)st->st_ino);
	json_number(j, "links", (int64_t)st->st_nlink);
	json_number(j, "uid", st->st_uid);
	json_number(j, "gid", st->st_gid);
	json_number(j, "size", st->st_size);
	json_number(j, "blocks", st->st_blocks);
	if (type == Q_S_IFCHR || type == Q_S_IFBLK)
		json_number(j, "rdev", (int64_t)st->st_rdev);
	json_time(j, "atime", &st->st_atim);
	json_time(j, "mtime", &st->st_mtim);
	json_time(j, "ctime", &st->st_ctim);
	if (type == Q_S_IFLNK &&
	    (n = quern_readlink(f->f_p, path, buf, sizeof(buf))) >= 0)
		put_bytes(j, "target", buf, (size_t)n);
	json_close(j);
}
