/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Crashes of the whole driver.
 *
 * Threads work on an image in a world (work.c), whose disk has a cache that is
 * written back in any order and tears writes.  At each write, while it is under
 * way, states of the disk that a crash may leave are put aside, with how far the
 * model was.  Then each is mounted by a kernel of its own, which replays the
 * journal and finishes orphans, perhaps after another crash while it does; it
 * is unmounted, must be consistent (walk.h), and hold what the model allows.
 *
 * A failure names the world (SEED) and the state (STATE).  With both in the
 * environment just that state is looked at, and stored as it was before; KLOG=1
 * shows calls, log lines and the writes by number.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <components/vfs/ext4/impl.h>
#include <components/vfs/ext4/jimpl.h>
#include <components/vfs/impl.h>
#include <kernel/impl.h>
#include <quern/tmpfs.h>

#include "k_crash.h"
#include "model.h"

#define IMAGES 4u

struct kcrash_image kcrash_images[] = {
	{ "ext4", "-t ext4 -b 4096 -N 96 -J size=4", 9000, 300, true, NULL, 0 },
	{ "ext4_1k", "-t ext4 -b 1024 -N 128 -J size=1 -g 1024", 4096, 600,
	    true, NULL, 0 },
	{ "ext3_1k", "-t ext3 -b 1024 -N 128 -J size=1", 4096, 600, false, NULL,
	    0 },
	{ "orphan_file", "-t ext4 -b 1024 -N 128 -J size=1 -O orphan_file",
	    4096, 600, true, NULL, 0 },
	{ NULL, NULL, 0, 0, false, NULL, 0 },
};

/* A state that a crash may leave. */
struct state {
	struct state *st_next;
	struct quern_sim_disk *st_disk;
	struct moment *st_moment;
	char st_name[32];
	unsigned st_which;
};

/* A write of the workload, and how far the model was. */
struct moment {
	struct moment *mo_next;
	unsigned mo_write;
	struct model_mark mo_mark;
};

#define SEEN 16384u
/* Of each kernel: there are very many. */
#define RAM ((size_t)8 << 20)

struct crash {
	struct kenv *c_e;
	struct kcrash *c_kc;
	const struct kcrash_image *c_image;
	struct model *c_model;
	bool c_watching;
	unsigned c_nwrite, c_nstate;
	uint64_t c_rng;
	struct state *c_states, **c_tail;
	struct moment *c_moments;
	uint64_t c_seen[SEEN];
	struct quern *c_k;
	struct quern_proc *c_p;
	struct walk c_walk;
	char c_line[300]; /* an error that a kernel has logged */
};

static const struct quern_component *const components[] = { &qvfs, &qtmpfs,
	&qext4, NULL };

static uint64_t
draw(struct crash *c, uint64_t below)
{
	c->c_rng = c->c_rng * UINT64_C(6364136223846793005) +
	    1442695040888963407u;
	return (c->c_rng >> 33) % below;
}

static void fail(struct crash *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
fail(struct crash *c, const char *fmt, ...)
{
	va_list ap;

	if (c->c_e->failed)
		return;
	c->c_e->failed = 1;
	va_start(ap, fmt);
	vsnprintf(c->c_e->failure, sizeof(c->c_e->failure), fmt, ap);
	va_end(ap);
}

static void
note_line(void *arg, int level, const char *line)
{
	struct crash *c = arg;

	if (getenv("KLOG") != NULL)
		fprintf(stderr, "%s\n", line);
	if (level <= QUERN_LOG_ERR && c->c_line[0] == '\0')
		snprintf(c->c_line, sizeof(c->c_line), "%s", line);
}

/* ---- images --------------------------------------------------------------------- */

static void
temporary(char path[600], const char *name)
{
	const char *dir = getenv("TMPDIR");

	snprintf(path, 600, "%s/%s_%d.img", dir != NULL ? dir : "/tmp", name,
	    (int)getpid());
}

static bool
make_image(struct kcrash_image *ki)
{
	char path[600];
	int fd;

	temporary(path, "crash");
	if (tree_run("mke2fs -q -F %s -E lazy_itable_init=0 %s %uk "
		     ">/dev/null 2>&1",
		ki->ki_options, path, ki->ki_kib) != 0)
		return false;
	fd = open(path, O_RDONLY);
	ki->ki_len = (size_t)ki->ki_kib << 10;
	ki->ki_data = malloc(ki->ki_len);
	if (fd < 0 || read(fd, ki->ki_data, ki->ki_len) != (ssize_t)ki->ki_len)
		abort();
	close(fd);
	unlink(path);
	return true;
}

unsigned
kcrash_make_images(void)
{
	unsigned n = 0;

	if (system("PATH=$PATH:/sbin:/usr/sbin command -v mke2fs >/dev/null") !=
	    0)
		return 0;
	for (n = 0; kcrash_images[n].ki_name != NULL; n++)
		if (!make_image(&kcrash_images[n]))
			return 0;
	return n;
}

/* ---- what crashes leave ------------------------------------------------------------ */

/* Has it been seen?  If not, it has now. */
static bool
seen(struct crash *c, uint64_t h)
{
	uint64_t i;

	h += h == 0;
	for (i = h % SEEN; c->c_seen[i] != 0; i = (i + 1) % SEEN)
		if (c->c_seen[i] == h)
			return true;
	if (c->c_nstate < SEEN / 2)
		c->c_seen[i] = h;
	return false;
}

static uint64_t
hash_mark(const struct model_mark *mk)
{
	const uint8_t *p = (const void *)mk;
	uint64_t h = 0, w;
	size_t i;

	for (i = 0; i + 8 <= sizeof(*mk); i += 8) {
		memcpy(&w, p + i, 8);
		h = (h ^ w) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 32;
	}
	return h;
}

static struct moment *
new_moment(struct crash *c, bool all)
{
	struct moment *mo = malloc(sizeof(*mo));

	mo->mo_next = c->c_moments;
	c->c_moments = mo;
	mo->mo_write = c->c_nwrite;
	model_mark(c->c_model, &mo->mo_mark, all);
	return mo;
}

static struct state *
new_state(struct moment *mo, unsigned which)
{
	struct state *st = calloc(1, sizeof(*st));

	snprintf(st->st_name, sizeof(st->st_name), "s%u.%u", mo->mo_write,
	    which);
	st->st_moment = mo;
	st->st_which = which;
	return st;
}

static void
keep_state(struct crash *c, struct state *st)
{
	uint64_t h = quern_sim_disk_hash(st->st_disk) ^
	    hash_mark(&st->st_moment->mo_mark);

	if (seen(c, h)) {
		c->c_kc->kc_same++;
		quern_sim_disk_destroy(st->st_disk);
		free(st);
		return;
	}
	c->c_nstate++;
	*c->c_tail = st;
	c->c_tail = &st->st_next;
}

/* A write is under way. */
static void
watch(void *arg, struct quern_sim_disk *d)
{
	struct crash *c = arg;
	unsigned want = c->c_kc->kc_states, i;
	uint64_t n;
	struct moment *mo;
	struct state *st;
	int error;

	if (!c->c_watching)
		return;
	c->c_nwrite++;
	if (getenv("KLOG") != NULL)
		fprintf(stderr, "write %u\n", c->c_nwrite);
	n = quern_sim_disk_states(d);
	mo = new_moment(c, false);
	for (i = 0; i < want && i < n; i++) {
		st = new_state(mo, i);
		if (n <= want)
			error = quern_sim_disk_state(d, i, st->st_name,
			    &st->st_disk);
		else
			error = quern_sim_disk_crash(d,
			    i < 1 ? i : 2 + draw(c, UINT32_MAX), st->st_name,
			    &st->st_disk);
		if (error != 0) {
			fail(c, "no state: %d", error);
			free(st);
			return;
		}
		keep_state(c, st);
	}
}

/* ---- looking ------------------------------------------------------------------------ */

static int
read_disk(void *arg, uint64_t off, void *buf, size_t len)
{
	return quern_sim_disk_read(arg, off, buf, len);
}

static struct quern *
make_kernel(struct crash *c, unsigned ncpu, unsigned runners,
    struct quern_proc **pp)
{
	struct quern_config cfg = { .host = c->c_e->host,
		.ncpu = ncpu,
		.runners = runners,
		.ram = RAM,
		.components = components,
		.log = note_line,
		.trace_calls = getenv("KLOG") != NULL,
		.arg = c };
	struct quern *k;
	int error = quern_create(&cfg, &k);

	if (error == 0)
		error = quern_proc_create(k, pp);
	if (error != 0) {
		fail(c, "no kernel: %d", error);
		return NULL;
	}
	return k;
}

static int
mount_disk(struct quern_proc *p, const char *name)
{
	char source[40];

	snprintf(source, sizeof(source), "sim:%s", name);
	return quern_mount(p, source, "/", "ext4", 0, "");
}

static void
end_kernel(struct crash *c, struct quern *k, struct quern_proc *p)
{
	uint64_t leaks = 0;
	int error = quern_proc_destroy(p);

	if (error == 0)
		error = quern_destroy_count(k, &leaks);
	if (error != 0 || leaks != 0)
		fail(c, "the kernel's end: %d, %llu objects left", error,
		    (unsigned long long)leaks);
}

/* Mount and unmount by a kernel of its own: 0, or the first error. */
static int
recover(struct crash *c, const char *name)
{
	struct quern_proc *p;
	struct quern *k = make_kernel(c, 1, 0, &p);
	int error;

	c->c_line[0] = '\0';
	if (k == NULL)
		return -Q_ENOMEM;
	error = mount_disk(p, name);
	if (error == 0)
		error = quern_umount2(p, "/", 0);
	end_kernel(c, k, p);
	return error;
}

/* The power fails while it is being recovered: what that leaves instead. */
static void
crash_again(struct crash *c, struct state *st)
{
	struct quern_sim_disk *d;
	char name[32];

	quern_sim_disk_cut(st->st_disk, 1 + draw(c, 12));
	(void)recover(c, st->st_name);
	if (!quern_sim_disk_is_cut(st->st_disk)) {
		quern_sim_disk_cut(st->st_disk, 0);
		return;
	}
	snprintf(name, sizeof(name), "%.28s+", st->st_name);
	if (quern_sim_disk_crash(st->st_disk, draw(c, 1000), name, &d) != 0) {
		fail(c, "no state");
		return;
	}
	quern_sim_disk_destroy(st->st_disk);
	st->st_disk = d;
	strcpy(st->st_name, name);
}

static void
store(const struct kcrash_image *ki, struct quern_sim_disk *d, const char *path)
{
	char *p = malloc(ki->ki_len);
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	if (fd < 0 || quern_sim_disk_read(d, 0, p, ki->ki_len) != 0 ||
	    write(fd, p, ki->ki_len) != (ssize_t)ki->ki_len)
		abort();
	close(fd);
	free(p);
}

bool
kcrash_fsck(const struct kcrash_image *ki, struct quern_sim_disk *d)
{
	char path[600];
	int status;

	temporary(path, "state");
	store(ki, d, path);
	status = tree_run("PATH=$PATH:/sbin:/usr/sbin; e2fsck -fn %s >%s.log "
			  "2>&1 || { cat %s.log; false; }",
	    path, path, path);
	unlink(path);
	strcat(path, ".log");
	unlink(path);
	return status == 0;
}

static const char *
look(struct crash *c, struct state *st)
{
	static char text[40];
	const char *wrong;
	int error = recover(c, st->st_name);

	if (error != 0) {
		snprintf(text, sizeof(text), "not mounted: %d", error);
		return c->c_line[0] != '\0' ? c->c_line : text;
	}
	if (c->c_line[0] != '\0')
		return c->c_line;
	c->c_walk.w_arg = st->st_disk;
	wrong = walk_image(&c->c_walk);
	if (wrong == NULL)
		wrong = model_check(c->c_model, &st->st_moment->mo_mark,
		    &c->c_walk);
	if (wrong == NULL && c->c_kc->kc_fsck != 0 &&
	    c->c_kc->kc_seen % c->c_kc->kc_fsck == 0) {
		c->c_kc->kc_fscks++;
		if (!kcrash_fsck(c->c_image, st->st_disk))
			wrong = "e2fsck finds something";
	}
	return wrong;
}

static void
look_at(struct crash *c, struct state *st)
{
	char name[32], path[600];
	const char *only = getenv("STATE"), *wrong;

	strcpy(name, st->st_name);
	if (only != NULL && strcmp(only, name) != 0)
		return;
	if (only != NULL) {
		temporary(path, name);
		store(c->c_image, st->st_disk, path);
		printf("# %s\n", path);
	}
	c->c_kc->kc_seen++;
	if (c->c_kc->kc_seen % 8 == 3)
		crash_again(c, st);
	wrong = look(c, st);
	if (wrong != NULL)
		fail(c, "%s, STATE=%s of write %u: %s", c->c_image->ki_name,
		    name, st->st_moment->mo_write, wrong);
}

/* All of them, which are gone afterwards. */
static void
look_at_states(struct crash *c)
{
	struct timespec a, b;
	struct state *st;
	struct moment *mo;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	while ((st = c->c_states) != NULL) {
		c->c_states = st->st_next;
		if (!c->c_e->failed)
			look_at(c, st);
		quern_sim_disk_destroy(st->st_disk);
		free(st);
	}
	while ((mo = c->c_moments) != NULL) {
		c->c_moments = mo->mo_next;
		free(mo);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	c->c_kc->kc_ns += (uint64_t)(b.tv_sec - a.tv_sec) * 1000000000u +
	    (uint64_t)(b.tv_nsec - a.tv_nsec);
}

/* ---- the workload --------------------------------------------------------------------- */

static struct ext4 *
find_fs(struct quern *k)
{
	struct vfs *vf = vfs_of(k);
	struct qlist *l;

	QLIST_FOREACH(l, &vf->vf_fs) {
		struct qfs *fs = QLIST_ELEM(l, struct qfs, fs_link);

		if (strcmp(fs->fs_type->ft_name, "ext4") == 0)
			return fs->fs_priv;
	}
	return NULL;
}

struct plant {
	struct quern *k;
	uint32_t debug, jdebug;
};

static int64_t
call_plant(void *arg)
{
	struct plant *p = arg;
	struct ext4 *x = find_fs(p->k);

	x->x_debug = p->debug;
	x->x_journal->j_cfg.jc_debug = p->jdebug;
	return 0;
}

void
kcrash_plant(struct quern *k, uint32_t debug, uint32_t jdebug)
{
	struct plant p = { k, debug, jdebug };

	(void)kcall(k, call_plant, &p);
}

/* Have few blocks free, so that they are used again soon. */
static void
fill_up(struct crash *c, const struct tree_sys *s)
{
	struct statfs_all {
		uint64_t f[15];
	} st;
	uint64_t left = c->c_image->ki_fill, bsize;
	int64_t fd, r;

	r = TCALL(s, SYS_statfs, "/", &st);
	KCHECK_EQ(c->c_e, r, 0);
	bsize = st.f[1];
	if (draw(c, 4) == 0 || st.f[3] < left)
		return;
	fd = TCALL(s, SYS_open, "/filler", O_CREAT | O_WRONLY, 0600);
	KCHECK(c->c_e, fd >= 0);
	for (left = st.f[3] - left; left > 0; left--) {
		static char zero[4096];

		r = TCALL(s, SYS_write, fd, zero, bsize);
		if (!KCHECK(c->c_e, r > 0))
			break;
	}
	KCHECK_EQ(c->c_e, TCALL(s, SYS_close, fd), 0);
}

/* Have the log's head anywhere, so that it wraps. */
static void
turn_log(struct crash *c, const struct tree_sys *s)
{
	unsigned n = (unsigned)draw(c, 300), i;
	int64_t fd = TCALL(s, SYS_open, "/", O_RDONLY | O_DIRECTORY);

	for (i = 0; i < n && !c->c_e->failed; i++) {
		KCHECK_EQ(c->c_e, TCALL(s, SYS_chmod, "/t0", 0700 + i % 8), 0);
		KCHECK_EQ(c->c_e, TCALL(s, SYS_fsync, fd), 0);
	}
	KCHECK_EQ(c->c_e, TCALL(s, SYS_close, fd), 0);
}

static void
worker(void *arg)
{
	model_work(arg);
}

static void
work(struct crash *c)
{
	struct model_work w[MODEL_THREADS];
	struct model *m = c->c_model;
	unsigned i;

	memset(w, 0, sizeof(w));
	for (i = 0; i < m->m_nthread; i++) {
		w[i].mw_model = m;
		w[i].mw_me = i;
		w[i].mw_rng = draw(c, UINT32_MAX);
		w[i].mw_nops = c->c_kc->kc_ops;
		w[i].mw_extents = c->c_image->ki_extents;
		w[i].mw_sim = c->c_e->sim;
		if (!KCHECK_EQ(c->c_e,
			quern_proc_create(c->c_k, &w[i].mw_sys.ts_proc), 0))
			return;
		kspawn(c->c_e, worker, &w[i]);
	}
	kjoin(c->c_e);
	for (i = 0; i < m->m_nthread; i++) {
		if (w[i].mw_error != 0)
			fail(c, "%s: thread %u: %s: %lld (%s)",
			    c->c_image->ki_name, i, w[i].mw_what,
			    (long long)w[i].mw_error, c->c_line);
		KCHECK_EQ(c->c_e, quern_proc_destroy(w[i].mw_sys.ts_proc), 0);
	}
}

/* The last state: unmounted, everything is there. */
static void
last_state(struct crash *c, struct quern_sim_disk *d)
{
	struct moment *mo;
	struct state *st;

	c->c_nwrite++;
	mo = new_moment(c, true);
	st = new_state(mo, 0);
	if (quern_sim_disk_crash(d, 0, st->st_name, &st->st_disk) != 0)
		abort();
	c->c_nstate++;
	*c->c_tail = st;
	c->c_tail = &st->st_next;
}

static void
run(struct crash *c, struct quern_sim_disk *d)
{
	struct tree_sys s = { 0 };

	c->c_k = make_kernel(c, c->c_e->ncpu, c->c_e->runners, &c->c_p);
	if (c->c_k == NULL)
		return;
	s.ts_proc = c->c_p;
	if (KCHECK_EQ(c->c_e, mount_disk(c->c_p, "d"), 0)) {
		KCHECK_EQ(c->c_e, model_prepare(c->c_model, &s), 0);
		fill_up(c, &s);
		turn_log(c, &s);
		KCHECK_EQ(c->c_e, TCALL(&s, SYS_sync, 0), 0);
		kcrash_plant(c->c_k, c->c_kc->kc_debug, c->c_kc->kc_jdebug);
		c->c_watching = true;
		work(c);
		KCHECK_EQ(c->c_e, quern_umount2(c->c_p, "/", 0), 0);
		c->c_watching = false;
		if (c->c_line[0] != '\0')
			fail(c, "%s", c->c_line);
	}
	end_kernel(c, c->c_k, c->c_p);
	if (!c->c_e->failed)
		last_state(c, d);
	/* Errors of the workload may be what a planted bug does. */
	look_at_states(c);
}

void
kcrash(struct kenv *e)
{
	struct kcrash *kc = e->arg;
	uint64_t seed = quern_sim_seed(e->sim);
	struct crash *c = calloc(1, sizeof(*c));
	/* Who mounts ext4 relies on a super block's being written whole. */
	struct quern_sim_disk_config dc = { .cache = 1,
		.atomic = EXT4_SUPER_SIZE,
		.reorder = seed / 5 % 4 != 0,
		.discard = seed % 2,
		.latency_ns = seed / 3 % 4 == 0 ? 0 : 50000,
		.watch = watch,
		.arg = c };
	struct quern_sim_disk *d;

	if (kc->kc_latency != 0)
		dc.latency_ns = kc->kc_latency;
	c->c_e = e;
	c->c_kc = kc;
	c->c_image = kc->kc_image;
	if (c->c_image == NULL)
		c->c_image = &kcrash_images[seed % IMAGES];
	c->c_rng = seed * 7919 + 1;
	c->c_tail = &c->c_states;
	c->c_walk.w_read = read_disk;
	c->c_model = calloc(1, sizeof(*c->c_model));
	c->c_model->m_nthread = 1 + (unsigned)(seed / 2 % MODEL_THREADS);
	c->c_model->m_longnames = seed / 7 % 3 == 0;
	dc.size = dc.imagelen = c->c_image->ki_len;
	dc.image = c->c_image->ki_data;
	if (KCHECK_EQ(e, quern_sim_disk(e->sim, "d", &dc, &d), 0))
		run(c, d);
	kc->kc_writes += c->c_nwrite;
	walk_end(&c->c_walk);
	free(c->c_model);
	free(c);
}

const char *
kcrash_explore(uint64_t first, unsigned n, struct kcrash *kc)
{
	const char *only = getenv("SEED"), *failure = NULL;
	unsigned i;

	if (only != NULL) {
		first = strtoull(only, NULL, 0);
		n = 1;
	}
	for (i = 0; i < n && failure == NULL; i++) {
		uint64_t seed = first + i;
		struct quern_sim_config sc = { .seed = seed,
			.policy = seed % 2 == 0 ? QUERN_SIM_RANDOM :
						  QUERN_SIM_PCT,
			.max_steps = UINT64_C(1) << 40 };

		failure = ktest_world(kcrash, 1 + (unsigned)(seed / 2 % 3),
		    (unsigned)(seed / 6 % 2), &sc, kc, NULL);
	}
	return failure;
}
