/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands of `quern fs` about the image as a whole: df, du, info.
 */
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quern/abi/fcntl.h>

#include "fsjson.h"

/* ---- df ---------------------------------------------------------------------------- */

/* Statistics in bytes; false: a message. */
static bool
get_room(struct fs *f, struct q_statfs *st)
{
	int error = quern_statfs(f->f_p, "/", st);
	uint64_t unit;

	if (error != 0) {
		fs_error(f, "/", error);
		return false;
	}
	unit = (uint64_t)st->f_bsize;
	st->f_blocks *= unit;
	st->f_bfree *= unit;
	st->f_bavail *= unit;
	return true;
}

static void
cmd_df(struct fs *f, int argc, char **argv)
{
	unsigned long long used, all;
	struct fs_json j = { 0 };
	struct q_statfs st;
	bool json;

	if (!fs_only_json(f, argc, argv, &json))
		return;
	if (optind < argc) {
		fs_usage(f);
		return;
	}
	if (!get_room(f, &st))
		return;
	used = st.f_blocks - st.f_bfree;
	all = used + st.f_bavail;
	if (json) {
		json_open(&j, NULL, '{');
		json_number(&j, "size", (int64_t)st.f_blocks);
		json_number(&j, "used", (int64_t)used);
		json_number(&j, "available", (int64_t)st.f_bavail);
		json_number(&j, "inodes", (int64_t)st.f_files);
		json_number(&j, "inodes_free", (int64_t)st.f_ffree);
		json_close(&j);
		return;
	}
	printf("%12s %12s %12s %5s %12s %12s\n", "1K-blocks", "Used",
	    "Available", "Use%", "Inodes", "IFree");
	printf("%12llu %12llu %12llu %4llu%% %12llu %12llu\n",
	    (unsigned long long)st.f_blocks / 1024, used / 1024,
	    (unsigned long long)st.f_bavail / 1024,
	    all != 0 ? (used * 100 + all - 1) / all : 0,
	    (unsigned long long)st.f_files, (unsigned long long)st.f_ffree);
}

/* ---- du ---------------------------------------------------------------------------- */

struct du {
	struct fs *d_f;
	bool d_all, d_sum;
	void *d_seen; /* numbers of files with several names, tsearch's */
	char d_path[FS_PATH_MAX];
};

static int
compare_numbers(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Has it been counted by another name? */
static bool
is_known(struct du *d, const struct q_stat *st)
{
	uint64_t *number, *const *found;

	if (st->st_nlink < 2 || (st->st_mode & Q_S_IFMT) == Q_S_IFDIR)
		return false;
	number = fs_grow(NULL, sizeof(*number));
	*number = st->st_ino;
	found = tsearch(number, &d->d_seen, compare_numbers);
	if (found == NULL) {
		fputs("quern fs: out of memory\n", stderr);
		exit(1);
	}
	if (*found == number)
		return false;
	free(number);
	return true;
}

/* The KiB of d_path and what is below it, as du(1) counts. */
static int64_t
du_tree(struct du *d, const struct q_stat *st, bool top)
{
	bool dir = (st->st_mode & Q_S_IFMT) == Q_S_IFDIR;
	int64_t sum = st->st_blocks;
	struct fs_entry *e;
	size_t i, n = 0, len;

	if (is_known(d, st))
		return 0;
	e = dir ? fs_list(d->d_f, d->d_path, true, &n) : NULL;
	for (i = 0; i < n && !fs_stopped(d->d_f); i++) {
		len = fs_push(d->d_f, d->d_path, e[i].e_name);
		if (len != 0) {
			sum += du_tree(d, &e[i].e_st, false);
			fs_pop(d->d_path, len);
		}
	}
	fs_free_list(e, n);
	if (top || (!d->d_sum && (dir || d->d_all)))
		printf("%lld\t%s\n", (long long)(sum + 1) / 2, d->d_path);
	return sum;
}

static void
du_from(struct du *d, const char *from)
{
	struct q_stat st;
	int error;

	if (!fs_set_path(d->d_f, d->d_path, from))
		return;
	error = quern_lstat(d->d_f->f_p, from, &st);
	if (error != 0)
		fs_error(d->d_f, from, error);
	else
		(void)du_tree(d, &st, true);
}

static void
cmd_du(struct fs *f, int argc, char **argv)
{
	struct du d = { .d_f = f };
	int opt, i;

	optind = 0;
	while ((opt = getopt(argc, argv, "ask")) != -1)
		if (opt == 'a') {
			d.d_all = true;
		} else if (opt == 's') {
			d.d_sum = true;
		} else if (opt == '?') {
			fs_usage(f);
			return;
		}
	if (optind == argc)
		du_from(&d, "/");
	for (i = optind; i < argc && !fs_stopped(f); i++)
		du_from(&d, argv[i]);
	tdestroy(d.d_seen, free);
}

/* ---- info --------------------------------------------------------------------------- */

/* Fields of the super block of ext2, 3 and 4, which is 1024 bytes in. */
#define SB_OFF       1024
#define SB_MAGIC     0x38
#define SB_STATE     0x3a
#define SB_COMPAT    0x5c
#define SB_INCOMPAT  0x60
#define SB_RO_COMPAT 0x64
#define SB_UUID      0x68
#define SB_LABEL     0x78

#define COMPAT_JOURNAL   4u
#define INCOMPAT_RECOVER 4u
#define INCOMPAT_EXTENTS 0x40u

/* By bit, as dumpe2fs names them; NULL: there is none. */
static const char *const compat_names[32] = { "dir_prealloc", "imagic_inodes",
	"has_journal", "ext_attr", "resize_inode", "dir_index", "lazy_bg", NULL,
	NULL, "sparse_super2", "fast_commit", "stable_inodes", "orphan_file" };
static const char *const incompat_names[32] = { "compression", "filetype",
	"needs_recovery", "journal_dev", "meta_bg", NULL, "extent", "64bit",
	"mmp", "flex_bg", "ea_inode", NULL, "dirdata", "metadata_csum_seed",
	"large_dir", "inline_data", "encrypt", "casefold" };
static const char *const ro_names[32] = { "sparse_super", "large_file", NULL,
	"huge_file", "uninit_bg", "dir_nlink", "extra_isize", NULL, "quota",
	"bigalloc", "metadata_csum", "replica", "read-only", "project",
	"shared_blocks", "verity", "orphan_present" };

static const struct {
	unsigned off;
	char letter;
	const char *const *names;
} sets[] = { { SB_COMPAT, 'C', compat_names },
	{ SB_INCOMPAT, 'I', incompat_names }, { SB_RO_COMPAT, 'R', ro_names } };

struct info {
	struct quern_disk_info i_disk;
	struct q_statfs i_room;
	unsigned i_bsize;
	bool i_isext;
	uint8_t i_super[4096]; /* the first of the disk */
};

static uint32_t
field(const struct info *in, unsigned off)
{
	uint32_t v;

	memcpy(&v, in->i_super + SB_OFF + off, sizeof(v));
	return v;
}

/* Call fn(arg, name) for each feature. */
static void
each_feature(const struct info *in, void (*fn)(void *, const char *), void *arg)
{
	char unknown[16];
	unsigned s, bit;

	for (s = 0; s < sizeof(sets) / sizeof(sets[0]); s++)
		for (bit = 0; bit < 32; bit++) {
			if ((field(in, sets[s].off) >> bit & 1) == 0)
				continue;
			snprintf(unknown, sizeof(unknown), "FEATURE_%c%u",
			    sets[s].letter, bit);
			fn(arg,
			    sets[s].names[bit] != NULL ? sets[s].names[bit] :
							 unknown);
		}
}

static const char *
type_of(const struct info *in)
{
	if ((field(in, SB_INCOMPAT) & INCOMPAT_EXTENTS) != 0)
		return "ext4";
	return (field(in, SB_COMPAT) & COMPAT_JOURNAL) != 0 ? "ext3" : "ext2";
}

static const char *
journal_of(const struct info *in)
{
	if ((field(in, SB_COMPAT) & COMPAT_JOURNAL) == 0)
		return "none";
	return (field(in, SB_INCOMPAT) & INCOMPAT_RECOVER) != 0 ?
	    "to be replayed" :
	    "clean";
}

static const char *
state_of(const struct info *in)
{
	uint32_t state = field(in, SB_STATE) & 0xffff;

	return (state & 2) != 0 ? "has errors" :
	    (state & 1) != 0    ? "clean" :
				  "not clean";
}

static void
uuid_of(const struct info *in, char *buf)
{
	const uint8_t *u = in->i_super + SB_OFF + SB_UUID;
	unsigned i;

	for (i = 0; i < 16; i++)
		buf += sprintf(buf, "%s%02x",
		    i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", u[i]);
}

static void
print_feature(void *arg, const char *name)
{
	(void)arg;
	printf(" %s", name);
}

static void
print_info(const struct info *in)
{
	const struct q_statfs *st = &in->i_room;
	char uuid[40];

	printf("disk: %llu bytes, sectors of %u%s\n",
	    (unsigned long long)in->i_disk.di_size, in->i_disk.di_sector,
	    (in->i_disk.di_flags & QUERN_DISK_RDONLY) != 0 ? ", read-only" :
							     "");
	if (in->i_isext) {
		uuid_of(in, uuid);
		printf("file system: %s, %s\n", type_of(in), state_of(in));
		printf("label: %.16s\nuuid: %s\n",
		    (const char *)in->i_super + SB_OFF + SB_LABEL, uuid);
		printf("features:");
		each_feature(in, print_feature, NULL);
		printf("\njournal: %s\n", journal_of(in));
	} else {
		printf("file system: magic 0x%llx\n",
		    (unsigned long long)st->f_type);
	}
	printf("blocks of %u: %llu of %llu free\n", in->i_bsize,
	    (unsigned long long)st->f_bfree / in->i_bsize,
	    (unsigned long long)st->f_blocks / in->i_bsize);
	printf("inodes: %llu of %llu free\n", (unsigned long long)st->f_ffree,
	    (unsigned long long)st->f_files);
}

static void
json_feature(void *arg, const char *name)
{
	json_string(arg, NULL, name);
}

static void
json_info(const struct info *in)
{
	char uuid[40], label[17];
	struct fs_json j = { 0 };

	json_open(&j, NULL, '{');
	json_open(&j, "disk", '{');
	json_number(&j, "size", (int64_t)in->i_disk.di_size);
	json_number(&j, "sector", in->i_disk.di_sector);
	json_bool(&j, "read_only",
	    (in->i_disk.di_flags & QUERN_DISK_RDONLY) != 0);
	json_close(&j);
	if (in->i_isext) {
		uuid_of(in, uuid);
		snprintf(label, sizeof(label), "%.16s",
		    (const char *)in->i_super + SB_OFF + SB_LABEL);
		json_string(&j, "type", type_of(in));
		json_string(&j, "state", state_of(in));
		json_string(&j, "label", label);
		json_string(&j, "uuid", uuid);
		json_open(&j, "features", '[');
		each_feature(in, json_feature, &j);
		json_close(&j);
		json_string(&j, "journal", journal_of(in));
	}
	json_number(&j, "block_size", in->i_bsize);
	json_number(&j, "size", (int64_t)in->i_room.f_blocks);
	json_number(&j, "free", (int64_t)in->i_room.f_bfree);
	json_number(&j, "inodes", (int64_t)in->i_room.f_files);
	json_number(&j, "inodes_free", (int64_t)in->i_room.f_ffree);
	json_close(&j);
}

static void
cmd_info(struct fs *f, int argc, char **argv)
{
	static struct info in;
	int error;
	bool json;

	if (!fs_only_json(f, argc, argv, &json))
		return;
	if (optind < argc) {
		fs_usage(f);
		return;
	}
	error = quern_disk_info(f->f_disk, &in.i_disk);
	if (error == 0)
		error = quern_disk_read(f->f_disk, 0, in.i_super,
		    sizeof(in.i_super));
	if (error != 0)
		fs_error(f, "disk", error);
	if (error != 0 || !get_room(f, &in.i_room))
		return;
	in.i_bsize = (unsigned)in.i_room.f_bsize;
	in.i_isext = in.i_room.f_type == 0xef53 &&
	    (field(&in, SB_MAGIC) & 0xffff) == 0xef53;
	if (json)
		json_info(&in);
	else
		print_info(&in);
}

const struct fs_command fs_usage_commands[] = {
	{ "df", cmd_df, false, NULL },
	{ "du", cmd_du, false, NULL },
	{ "info", cmd_info, false, NULL },
	{ NULL, NULL, false, NULL },
};
