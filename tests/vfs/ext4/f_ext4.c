/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Damaged images: whatever an image holds, mounting, reading all of it and
 * writing to it ends, with or without errors.
 *
 * Images are made by mke2fs when the fuzzer starts.  The first byte of the input
 * chooses one, the second what is done; then come changes of bytes: four bytes
 * where, one what.  The images have no checksums, which a fuzzer does not guess,
 * but for one.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <quern/ext4.h>
#include <quern/posix.h>
#include <quern/quern.h>
#include <quern/tmpfs.h>
#include <quern/vfs.h>

#include "tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static const char *const options[] = {
	"-t ext2 -b 1024",
	"-t ext4 -b 1024 -O ^metadata_csum,^has_journal",
	"-t ext4 -b 1024 -O ^metadata_csum,^has_journal,inline_data",
	"-t ext4 -b 1024 -O ^metadata_csum,^has_journal,bigalloc -C 4096",
	"-t ext4 -b 4096 -O ^metadata_csum,^has_journal,ea_inode",
	"-t ext4 -b 1024 -O ^metadata_csum -J size=1",
	"-t ext4 -b 1024 -O ^has_journal",
};

#define NIMAGE (sizeof(options) / sizeof(options[0]))

static uint8_t *images[NIMAGE];
static size_t sizes[NIMAGE];
static uint8_t *work;

static const struct quern_component *const components[] = { &qvfs, &qtmpfs,
	&qext4, NULL };

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char dir[] = "/tmp/quern-f_ext4.XXXXXX", path[100];
	size_t i, most = 0;

	(void)argc;
	(void)argv;
	if (mkdtemp(dir) == NULL)
		abort();
	snprintf(path, sizeof(path), "%s/tree", dir);
	tree_make(path, 7, 12);
	snprintf(path, sizeof(path), "%s/tree/big", dir);
	(void)!truncate(path, 40000);
	snprintf(path, sizeof(path), "%s/tree/sparse", dir);
	(void)!truncate(path, 70000);
	for (i = 0; i < NIMAGE; i++) {
		FILE *f;
		long n;

		snprintf(path, sizeof(path), "%s/image", dir);
		unlink(path);
		if (tree_run("mke2fs -q -F %s -N 128 -d %s/tree %s 3M "
			     ">/dev/null 2>&1",
			options[i], dir, path) != 0 ||
		    (f = fopen(path, "rb")) == NULL)
			continue;
		fseek(f, 0, SEEK_END);
		n = ftell(f);
		rewind(f);
		images[i] = malloc((size_t)n);
		sizes[i] = fread(images[i], 1, (size_t)n, f);
		fclose(f);
		if (sizes[i] > most)
			most = sizes[i];
	}
	work = malloc(most + 1);
	(void)!tree_run("rm -rf %s", dir);
	return 0;
}

static void
quiet(void *arg, int level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static void
died(void *arg, const char *message)
{
	(void)arg;
	fprintf(stderr, "f_ext4: panic: %s\n", message);
	abort();
}

/* Holes, ranges that move, large attributes, names that change places. */
static void
poke_more(const struct tree_sys *s)
{
	static char value[9000];
	int64_t fd;

	fd = TCALL(s, SYS_open, "/mnt/big", O_RDWR);
	if (fd >= 0) {
		(void)TCALL(s, SYS_fallocate, fd, FALLOC_FL_COLLAPSE_RANGE,
		    4096, 8192);
		(void)TCALL(s, SYS_fallocate, fd, FALLOC_FL_INSERT_RANGE, 8192,
		    4096);
		(void)TCALL(s, SYS_fallocate, fd,
		    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3000, 9000);
		(void)TCALL(s, SYS_fallocate, fd, 0, 0, 60000);
		(void)TCALL(s, SYS_close, fd);
	}
	(void)TCALL(s, SYS_lsetxattr, "/mnt/big", "user.l", value, 9000, 0);
	(void)TCALL(s, SYS_lsetxattr, "/mnt/dir0", "user.l", value, 3000, 0);
	(void)TCALL(s, SYS_lremovexattr, "/mnt/big", "user.l");
	(void)TCALL(s, SYS_link, "/mnt/big", "/mnt/dir0/link");
	(void)TCALL(s, SYS_renameat2, AT_FDCWD, "/mnt/dir0/link", AT_FDCWD,
	    "/mnt/dir2", 2);
	fd = TCALL(s, SYS_open, "/mnt/dir0", O_TMPFILE | O_RDWR, 0600);
	if (fd >= 0) {
		(void)TCALL(s, SYS_pwrite64, fd, value, sizeof(value), 0);
		(void)TCALL(s, SYS_close, fd);
	}
}

/* Change all kinds of things; nothing need succeed. */
static void
poke(const struct tree_sys *s)
{
	static char buf[20000];
	char path[200];
	int64_t fd;
	int i;

	for (i = 0; i < 12; i++) {
		snprintf(path, sizeof(path), "/mnt/new_name_number_%d", i);
		fd = TCALL(s, SYS_open, path, O_CREAT | O_WRONLY, 0644);
		if (fd >= 0) {
			(void)TCALL(s, SYS_pwrite64, fd, buf, sizeof(buf),
			    i * 3000);
			(void)TCALL(s, SYS_fsync, fd);
			(void)TCALL(s, SYS_close, fd);
		}
		(void)TCALL(s, SYS_lsetxattr, path, "user.a", buf, i * 40, 0);
	}
	poke_more(s);
	(void)TCALL(s, SYS_mkdir, "/mnt/dir0/new", 0755);
	(void)TCALL(s, SYS_rename, "/mnt/new_name_number_1", "/mnt/dir0/new/x");
	(void)TCALL(s, SYS_rename, "/mnt/dir1", "/mnt/dir2/moved");
	(void)TCALL(s, SYS_unlink, "/mnt/new_name_number_2");
	(void)TCALL(s, SYS_truncate, "/mnt/big", 5000);
	(void)TCALL(s, SYS_truncate, "/mnt/sparse", 30000);
	(void)TCALL(s, SYS_unlink, "/mnt/sparse");
	for (i = 0; i < 24; i++) {
		snprintf(path, sizeof(path),
		    "/mnt/many/a_rather_long_name_to_fill_blocks_%d_\xc3\xa4",
		    i);
		(void)TCALL(s, SYS_unlink, path);
	}
	(void)TCALL(s, SYS_rmdir, "/mnt/many");
	(void)TCALL(s, SYS_sync, 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct quern_config cfg = { 0 };
	struct tree_sys s = { .ts_damage = true };
	struct tree_text t = { 0 };
	struct quern_proc *p;
	struct qdisk *d;
	struct quern *k;
	size_t i, which;

	if (len < 2 || images[data[0] % NIMAGE] == NULL)
		return 0;
	which = data[0] % NIMAGE;
	memcpy(work, images[which], sizes[which]);
	for (i = 2; i + 5 <= len && i < 400; i += 5) {
		uint32_t at;

		memcpy(&at, data + i, 4);
		/* Most of what matters is at the beginning. */
		at %= (at & 0x80000000u) != 0 ? (uint32_t)sizes[which] : 60000;
		work[at] = data[i + 4];
	}
	cfg.host = quern_posix();
	cfg.components = components;
	cfg.log = quiet;
	cfg.panic = died;
	if (quern_create(&cfg, &k) != 0 || quern_proc_create(k, &p) != 0 ||
	    quern_disk_memory(k, "image", work, sizes[which], 0, &d) != 0)
		abort();
	s.ts_proc = p;
	(void)TCALL(&s, SYS_mkdir, "/mnt", 0755);
	if (TCALL(&s, SYS_mount, "image", "/mnt", "ext4", data[1] & 1, "") ==
	    0) {
		if ((data[1] & 2) == 0)
			tree_list(&s, "/mnt", &t);
		if ((data[1] & 1) == 0)
			poke(&s);
		if (TCALL(&s, SYS_umount2, "/mnt", 0) != 0)
			abort();
	}
	free(t.tt_p);
	if (quern_disk_close(d) != 0 || quern_proc_destroy(p) != 0 ||
	    quern_destroy(k) != 0)
		abort();
	return 0;
}
