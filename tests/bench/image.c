/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tree of files in an ext4 image: Quern in process beside the host's kernel on
 * a loop device and beside fuse2fs.
 *
 * Each side runs the same calls from the same thread, pinned, on an image of its
 * own that mke2fs makes afresh on tmpfs; what a side does in the background runs
 * where it will.  Sides take turns.  What has been written is synced within the
 * time: every side passes flushes on.
 *
 * The peer "kernel-tar" is the same loop device, but used as people do who have
 * it: by tar and rm, pinned likewise.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <quern/ext4.h>
#include <quern/posix.h>
#include <quern/quern.h>
#include <quern/tmpfs.h>
#include <quern/vfs.h>

#include "image.h"
#include "tree.h"

#define RUNS  5u
#define MOUNT 21u /* runs of mount_us */

enum { UNTAR, READ_HOT, READ_COLD, RM, NROW };

static const char *const names[NROW] = { "untar", "read_hot", "read_cold",
	"rm" };

/* A file system that can be mounted, used, and unmounted. */
struct side {
	struct tree_user s_user;
	void (*s_mount)(struct side *);
	void (*s_unmount)(struct side *);
	void (*s_remount)(struct side *); /* so that nothing is cached */
	bool s_tools;                     /* tar and rm, not calls */
	unsigned s_runs;
	char s_image[128], s_dir[128];
	struct quern *s_k; /* Quern's */
	struct quern_proc *s_mounter, *s_p;
	struct qdisk *s_disk;
	double s_time[NROW][RUNS];
};

static void
die(const char *side, const char *what)
{
	fprintf(stderr, "b_fs: %s: %s: %s\n", side, what, strerror(errno));
	exit(1);
}

static double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Run a command of which nothing is to be seen; did it work? */
static bool
run(const char *fmt, const char *a, const char *b)
{
	char command[512];

	snprintf(command, sizeof(command), fmt, a, b);
	return system(command) == 0;
}

/* ---- Quern ---------------------------------------------------------------------------- */

static int64_t
quern_call(void *arg, unsigned nr, const uint64_t a[6])
{
	struct side *s = arg;

	return quern_syscall(s->s_p, nr, a);
}

static void
quern_mounted(struct side *s)
{
	if (quern_mount(s->s_mounter, "image", "/", "ext4", 0, "") != 0 ||
	    quern_proc_fork(s->s_mounter, &s->s_p) != 0 ||
	    quern_chdir(s->s_p, "/") != 0)
		die("quern", "mount");
}

static void
quern_unmounted(struct side *s)
{
	if (quern_proc_destroy(s->s_p) != 0 ||
	    quern_umount2(s->s_mounter, "/", 0) != 0)
		die("quern", "unmount");
}

static void
quern_begin(struct side *s)
{
	static const struct quern_component *const parts[] = { &qvfs, &qtmpfs,
		&qext4, NULL };
	/* As `quern fs` has it. */
	static const struct quern_posix_config posix = {
		.pc_flags = QUERN_POSIX_NOGUESTS
	};
	struct quern_config cfg = { .host = quern_posix_with(&posix),
		.ram = (size_t)256 << 20,
		.components = parts };
	const struct quern_disk_options opt = { .do_name = "image" };
	char name[140];

	snprintf(name, sizeof(name), "file:%s", s->s_image);
	if (quern_create(&cfg, &s->s_k) != 0 ||
	    quern_proc_create(s->s_k, &s->s_mounter) != 0 ||
	    quern_disk_open(s->s_k, name, &opt, &s->s_disk) != 0)
		die("quern", "kernel");
	quern_mounted(s);
}

static void
quern_end(struct side *s)
{
	quern_unmounted(s);
	if (quern_disk_close(s->s_disk) != 0 || quern_destroy(s->s_k) != 0)
		die("quern", "destroy");
}

/* The host's kernel is not a new one either after unmounting. */
static void
quern_again(struct side *s)
{
	quern_unmounted(s);
	quern_mounted(s);
}

/* ---- the host's ------------------------------------------------------------------------- */

static int64_t
host_call(void *arg, unsigned nr, const uint64_t a[6])
{
	long r = syscall((long)nr, a[0], a[1], a[2], a[3], a[4], a[5]);

	(void)arg;
	return r < 0 ? -errno : r;
}

static void
enter_mounted(struct side *s, bool mounted)
{
	if (!mounted || chdir(s->s_dir) != 0)
		die(s->s_user.tu_name, "mount");
}

/* fuse2fs ends some time after it is unmounted; until then it has the image. */
static void
leave_mounted(struct side *s)
{
	int fd, busy;

	if (chdir("/") != 0 || umount2(s->s_dir, 0) != 0)
		die(s->s_user.tu_name, "umount");
	fd = open(s->s_image, O_RDONLY | O_CLOEXEC);
	do {
		struct flock lock = { .l_type = F_WRLCK };

		busy = fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
	} while (busy);
	close(fd);
}

static void
loop_mount(struct side *s)
{
	enter_mounted(s,
	    run("mount -o loop,noinit_itable %s %s", s->s_image, s->s_dir));
}

static void
fuse_mount(struct side *s)
{
	enter_mounted(s,
	    run("fuse2fs -o fakeroot %s %s >/dev/null 2>&1", s->s_image,
		s->s_dir));
}

static void
loop_again(struct side *s)
{
	leave_mounted(s);
	loop_mount(s);
}

static void
fuse_again(struct side *s)
{
	leave_mounted(s);
	fuse_mount(s);
}

/* ---- rows ------------------------------------------------------------------------------- */

static void
sync_side(struct side *s)
{
	const char *here = ".";
	const uint64_t open_args[6] = { (uint64_t)(uintptr_t)here,
		O_RDONLY | O_DIRECTORY };
	uint64_t fd[6] = { 0 };

	fd[0] = (uint64_t)s->s_user.tu_call(s, SYS_open, open_args);
	if (s->s_user.tu_call(s, SYS_syncfs, fd) != 0 ||
	    s->s_user.tu_call(s, SYS_close, fd) != 0)
		die(s->s_user.tu_name, "syncfs");
}

static void
extract_all(struct side *s, const void *archive, size_t len)
{
	if (!s->s_tools)
		tree_extract(&s->s_user, archive, len);
	else if (!run("tar -xf %s%s", "../tree.tar", ""))
		die(s->s_user.tu_name, "tar");
}

static void
remove_all(struct side *s)
{
	if (!s->s_tools)
		tree_remove(&s->s_user);
	else if (!run("rm -rf %s%s", "module_*", ""))
		die(s->s_user.tu_name, "rm");
}

static void
read_all(struct side *s)
{
	if (s->s_tools) {
		/* It reads no files when it knows that it writes nowhere. */
		if (!run("tar -cf - %s | cat >%s", ".", "/dev/null"))
			die(s->s_user.tu_name, "tar");
		return;
	}
	if (tree_read(&s->s_user) != TREE_BYTES)
		die(s->s_user.tu_name, "the tree is not what it was");
}

static void
measure(struct side *s, unsigned i, const void *archive, size_t len)
{
	double t;

	(void)unlink(s->s_image);
	if (!run("mke2fs -q -t ext4 %s %s >/dev/null", s->s_image, "1G"))
		die(s->s_user.tu_name, "mke2fs");
	s->s_mount(s);
	t = now_s();
	extract_all(s, archive, len);
	sync_side(s);
	s->s_time[UNTAR][i] = now_s() - t;

	read_all(s);
	t = now_s();
	read_all(s);
	s->s_time[READ_HOT][i] = now_s() - t;

	s->s_remount(s);
	t = now_s();
	read_all(s);
	s->s_time[READ_COLD][i] = now_s() - t;

	t = now_s();
	remove_all(s);
	sync_side(s);
	s->s_time[RM][i] = now_s() - t;
	s->s_unmount(s);
	if (!run("e2fsck -fn %s >/dev/null%s", s->s_image, " 2>&1"))
		die(s->s_user.tu_name, "e2fsck");
	(void)unlink(s->s_image);
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
median(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

static void
compare_rows(FILE *out, struct side *ours, struct side *theirs)
{
	unsigned i;

	for (i = 0; i < NROW; i++) {
		double x = median(ours->s_time[i], ours->s_runs);
		double y = median(theirs->s_time[i], theirs->s_runs);

		fprintf(out, "%s\t%.5f\ts\t%s\t%.5f\t%.4f\n", names[i], x,
		    theirs->s_user.tu_name, y, x / y);
	}
	fflush(out);
}

/* Everything from no kernel to the first bytes of a file. */
static void
mount_row(FILE *out, struct side *s)
{
	double v[MOUNT], t;
	char buf[64];
	unsigned i;
	int fd;

	if (!run("mke2fs -q -t ext4 %s %s >/dev/null", s->s_image, "1G"))
		die("quern", "mke2fs");
	quern_begin(s);
	fd = quern_open(s->s_p, "file", O_WRONLY | O_CREAT, 0644);
	if (quern_write(s->s_p, fd, "contents", 8) != 8 ||
	    quern_close(s->s_p, fd) != 0)
		die("quern", "write");
	quern_end(s);
	for (i = 0; i < MOUNT; i++) {
		t = now_s();
		quern_begin(s);
		fd = quern_open(s->s_p, "file", O_RDONLY, 0);
		if (quern_read(s->s_p, fd, buf, sizeof(buf)) != 8)
			die("quern", "read");
		v[i] = (now_s() - t) * 1e6;
		if (quern_close(s->s_p, fd) != 0)
			die("quern", "close");
		quern_end(s);
	}
	fprintf(out, "mount_us\t%.3f\tus\t-\t-\t-\n", median(v, MOUNT));
	(void)unlink(s->s_image);
}

/* ---- who is there ------------------------------------------------------------------------- */

static void
init_side(struct side *s, const char *name, const char *dir)
{
	s->s_user.tu_name = name;
	s->s_user.tu_arg = s;
	snprintf(s->s_image, sizeof(s->s_image), "%s/%s.img", dir, name);
	snprintf(s->s_dir, sizeof(s->s_dir), "%s/%s", dir, name);
	if (mkdir(s->s_dir, 0755) != 0)
		die(name, s->s_dir);
}

/* The archive as a file, for tar. */
static void
store_archive(const char *dir, const void *archive, size_t len)
{
	char path[140];
	FILE *f;

	snprintf(path, sizeof(path), "%s/tree.tar", dir);
	f = fopen(path, "w");
	if (f == NULL || fwrite(archive, 1, len, f) != len || fclose(f) != 0)
		die("archive", path);
}

/* Why a peer can't be measured, or NULL. */
static const char *
lacking(struct side *s)
{
	char first[160];

	if (geteuid() != 0)
		return "needs root";
	if (s->s_mount == fuse_mount &&
	    !run("command -v %s >%s", "fuse2fs", "/dev/null"))
		return "fuse2fs is not installed";
	if (s->s_mount == fuse_mount && access("/dev/fuse", R_OK | W_OK) != 0)
		return "no /dev/fuse";
	if (s->s_mount == fuse_mount)
		return NULL;
	/* Perhaps a container, without loop devices or the right to mount. */
	snprintf(first, sizeof(first), "%s.probe", s->s_image);
	if (!run("mke2fs -q -t ext4 %s %s >/dev/null", first, "8M") ||
	    !run("mount -o loop %s %s 2>/dev/null", first, s->s_dir))
		return "no ext4 on a loop device here";
	if (umount2(s->s_dir, 0) != 0)
		die(s->s_user.tu_name, "umount");
	(void)unlink(first);
	return NULL;
}

#define NPEER 3u

void
image_rows(FILE *out, const char *dir)
{
	static struct side quern = { { NULL, quern_call, NULL }, quern_begin,
		quern_end, quern_again, .s_runs = RUNS };
	static struct side peers[NPEER] = {
		{ { NULL, host_call, NULL }, loop_mount, leave_mounted,
		    loop_again, .s_runs = RUNS },
		{ { NULL, host_call, NULL }, loop_mount, leave_mounted,
		    loop_again, .s_tools = true, .s_runs = RUNS },
		{ { NULL, host_call, NULL }, fuse_mount, leave_mounted,
		    fuse_again, .s_runs = 1 },
	};
	static const char *const peer_names[NPEER] = { "kernel-loop",
		"kernel-tar", "fuse2fs" };
	const char *why[NPEER];
	unsigned i, j, there = 0;
	void *archive;
	size_t len;

	if (!run("command -v %s >%s", "mke2fs", "/dev/null")) {
		printf("untar, read_hot, read_cold, rm, mount_us left out: "
		       "mke2fs is not installed\n");
		return;
	}
	/* What is mounted goes with this process, whatever happens. */
	if (geteuid() == 0 &&
	    (unshare(CLONE_NEWNS) != 0 ||
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0))
		printf("no mount namespace of its own: %s\n", strerror(errno));
	archive = tree_archive(&len);
	store_archive(dir, archive, len);
	init_side(&quern, "quern", dir);
	for (j = 0; j < NPEER; j++) {
		init_side(&peers[j], peer_names[j], dir);
		why[j] = lacking(&peers[j]);
		if (why[j] != NULL)
			printf("rows beside %s left out: %s\n", peer_names[j],
			    why[j]);
		there += why[j] == NULL;
	}
	for (i = 0; i < RUNS; i++) {
		measure(&quern, i, archive, len);
		for (j = 0; j < NPEER; j++)
			if (why[j] == NULL && i < peers[j].s_runs)
				measure(&peers[j], i, archive, len);
	}
	for (j = 0; j < NPEER; j++)
		if (why[j] == NULL)
			compare_rows(out, &quern, &peers[j]);
	for (i = 0; i < NROW && there == 0; i++)
		fprintf(out, "%s\t%.5f\ts\t-\t-\t-\n", names[i],
		    median(quern.s_time[i], RUNS));
	mount_row(out, &quern);
	free(archive);
}
