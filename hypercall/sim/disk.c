/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The contents of simulated disks.
 *
 * Two levels: leaves of 512 pages, pages of 4 KiB, both counted and shared
 * between a disk and what was made from it by a crash; writing copies what is
 * shared.  So a crashed state costs an array of pointers and the pages in which
 * it differs.
 *
 * What a crash may leave.  A write that has been acknowledged without FUA and
 * not been flushed is pending, and so is the one that was under way as the power
 * failed.  A flush makes safe what was acknowledged before it came, and nothing
 * else.  Each is made of units of `atomic` bytes.  Without a cache nothing
 * else is pending.  In order: a prefix of the writes survives, and of the next
 * one any of its units.  With reordering: any units of any of them, applied in
 * order.
 */
#include <stdlib.h>
#include <string.h>

#include "disk.h"

/* ---- pages --------------------------------------------------------------- */

static void
page_put(struct page *p)
{
	if (p != NULL && --p->p_refs == 0)
		free(p);
}

static void
leaf_put(struct leaf *l)
{
	unsigned i;

	if (l == NULL || --l->l_refs != 0)
		return;
	for (i = 0; i < LEAF_PAGES; i++)
		page_put(l->l_page[i]);
	free(l);
}

/* The leaf at `i` as one that is ours alone. */
static struct leaf *
leaf_own(struct leaf **slot)
{
	struct leaf *old = *slot, *l;
	unsigned i;

	if (old != NULL && old->l_refs == 1)
		return old;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return NULL;
	l->l_refs = 1;
	if (old != NULL) {
		for (i = 0; i < LEAF_PAGES; i++) {
			l->l_page[i] = old->l_page[i];
			if (l->l_page[i] != NULL)
				l->l_page[i]->p_refs++;
		}
		leaf_put(old);
	}
	*slot = l;
	return l;
}

static struct page *
page_own(struct page **slot)
{
	struct page *old = *slot, *p;

	if (old != NULL && old->p_refs == 1) {
		old->p_hashed = false;
		return old;
	}
	p = aligned_alloc(_Alignof(struct page), sizeof(*p));
	if (p == NULL)
		return NULL;
	if (old != NULL)
		memcpy(p->p_data, old->p_data, sizeof(p->p_data));
	else
		memset(p->p_data, 0, sizeof(p->p_data));
	page_put(old);
	p->p_refs = 1;
	p->p_hashed = false;
	*slot = p;
	return p;
}

static void
medium_read(const struct quern_sim_disk *d, uint64_t off, uint8_t *buf,
    size_t len)
{
	const struct leaf *l;
	const struct page *p;
	size_t n, in;

	for (; len > 0; off += n, buf += n, len -= n) {
		in = off % DISK_PAGE;
		n = DISK_PAGE - in < len ? DISK_PAGE - in : len;
		l = d->d_medium[off / DISK_PAGE / LEAF_PAGES];
		p = l != NULL ? l->l_page[off / DISK_PAGE % LEAF_PAGES] : NULL;
		if (p != NULL)
			memcpy(buf, p->p_data + in, n);
		else
			memset(buf, 0, n);
	}
}

static int
medium_write(struct quern_sim_disk *d, uint64_t off, const uint8_t *data,
    size_t len)
{
	struct leaf *l;
	struct page *p;
	size_t n, in;

	for (; len > 0; off += n, len -= n) {
		in = off % DISK_PAGE;
		n = DISK_PAGE - in < len ? DISK_PAGE - in : len;
		l = leaf_own(&d->d_medium[off / DISK_PAGE / LEAF_PAGES]);
		p = l != NULL ?
		    page_own(&l->l_page[off / DISK_PAGE % LEAF_PAGES]) :
		    NULL;
		if (p == NULL)
			return -ENOMEM;
		if (data != NULL) {
			memcpy(p->p_data + in, data, n);
			data += n;
		} else {
			memset(p->p_data + in, 0, n);
		}
	}
	return 0;
}

/* ---- pending writes -------------------------------------------------------- */

static const uint8_t *
wlog_data(const struct wlog *g, size_t from)
{
	return g->g_zero ? NULL : g->g_data + from;
}

static int
wlog_apply(struct quern_sim_disk *d, const struct wlog *g)
{
	return medium_write(d, g->g_off, wlog_data(g, 0), g->g_len);
}

static struct wlog *
wlog_make(uint64_t off, const void *data, size_t len)
{
	struct wlog *g = malloc(sizeof(*g) + (data != NULL ? len : 0));

	if (g == NULL)
		return NULL;
	*g =
	    (struct wlog){ .g_off = off, .g_len = len, .g_zero = data == NULL };
	if (data != NULL)
		memcpy(g->g_data, data, len);
	return g;
}

static void
pending_append(struct quern_sim_disk *d, struct wlog *g)
{
	g->g_next = NULL;
	*d->d_tail = g;
	d->d_tail = &g->g_next;
	d->d_npending++;
}

static void
pending_clear(struct quern_sim_disk *d)
{
	struct wlog *g;

	while ((g = d->d_pending) != NULL) {
		d->d_pending = g->g_next;
		free(g);
	}
	d->d_tail = &d->d_pending;
	d->d_npending = 0;
}

void
disk_get(const struct quern_sim_disk *d, uint64_t off, void *buf, size_t len)
{
	const struct wlog *g;
	uint64_t from, to;

	medium_read(d, off, buf, len);
	for (g = d->d_pending; g != NULL; g = g->g_next) {
		from = g->g_off > off ? g->g_off : off;
		to = g->g_off + g->g_len < off + len ? g->g_off + g->g_len :
						       off + len;
		if (from >= to)
			continue;
		if (g->g_zero)
			memset((char *)buf + (from - off), 0, to - from);
		else
			memcpy((char *)buf + (from - off),
			    g->g_data + (from - g->g_off), to - from);
	}
}

int
disk_sync(struct quern_sim_disk *d, uint64_t now)
{
	struct wlog **at = &d->d_pending, *g;
	int error;

	while ((g = *at) != NULL) {
		if (g->g_due > now) {
			at = &g->g_next;
			continue;
		}
		error = wlog_apply(d, g);
		if (error != 0)
			return error;
		*at = g->g_next;
		if (g->g_next == NULL)
			d->d_tail = at;
		d->d_npending--;
		free(g);
	}
	return 0;
}

/* The one that was appended last. */
static struct wlog *
newest(const struct quern_sim_disk *d)
{
	struct wlog *g = d->d_pending;

	while (g != NULL && g->g_next != NULL)
		g = g->g_next;
	return g;
}

void
disk_due(struct quern_sim_disk *d, uint64_t due)
{
	newest(d)->g_due = due;
}

int
disk_launch(struct quern_sim_disk *d, uint64_t off, const void *data,
    size_t len)
{
	struct wlog *g = wlog_make(off, data, len);

	if (g == NULL)
		return -ENOMEM;
	g->g_cut = true;
	pending_append(d, g);
	return 0;
}

void
disk_land(struct quern_sim_disk *d)
{
	struct wlog **at = &d->d_pending;

	while ((*at)->g_next != NULL)
		at = &(*at)->g_next;
	free(*at);
	*at = NULL;
	d->d_tail = at;
	d->d_npending--;
}

int
disk_put(struct quern_sim_disk *d, uint64_t off, const void *data, size_t len,
    bool fua)
{
	struct wlog *g;
	int error;

	if (d->d_cfg.cache && !fua && !d->d_dead) {
		g = wlog_make(off, data, len);
		if (g == NULL)
			return -ENOMEM;
		pending_append(d, g);
		return 0;
	}
	/*
	 * Safe at once, but what is pending below it must not come after it: an
	 * overlap is written through first.
	 */
	for (g = d->d_pending; g != NULL; g = g->g_next)
		if (g->g_off < off + len && off < g->g_off + g->g_len) {
			error = disk_sync(d, UINT64_MAX);
			if (error != 0)
				return error;
			break;
		}
	return medium_write(d, off, data, len);
}

int
disk_rot(struct quern_sim_disk *d, uint64_t bit)
{
	uint8_t byte;

	medium_read(d, bit / 8, &byte, 1);
	byte ^= (uint8_t)(1u << bit % 8);
	return medium_write(d, bit / 8, &byte, 1);
}

/* ---- life -------------------------------------------------------------------- */

struct quern_sim_disk *
disk_find(struct quern_sim *w, const char *name)
{
	struct quern_sim_disk *d;

	for (d = w->w_disks; d != NULL; d = d->d_next)
		if (strcmp(d->d_name, name) == 0)
			return d;
	return NULL;
}

static int
disk_make(struct quern_sim *w, const char *name,
    const struct quern_sim_disk_config *cfg, struct quern_sim_disk **dp)
{
	struct quern_sim_disk *d;

	if (strlen(name) >= sizeof(d->d_name))
		return -EINVAL;
	if (disk_find(w, name) != NULL)
		return -EEXIST;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return -ENOMEM;
	d->d_w = w;
	d->d_cfg = *cfg;
	strcpy(d->d_name, name);
	d->d_tail = &d->d_pending;
	d->d_nleaf = (cfg->size + (uint64_t)DISK_PAGE * LEAF_PAGES - 1) /
	    ((uint64_t)DISK_PAGE * LEAF_PAGES);
	d->d_medium = calloc(d->d_nleaf, sizeof(struct leaf *));
	if (d->d_medium == NULL) {
		free(d);
		return -ENOMEM;
	}
	d->d_next = w->w_disks;
	d->d_prevp = &w->w_disks;
	if (d->d_next != NULL)
		d->d_next->d_prevp = &d->d_next;
	w->w_disks = d;
	*dp = d;
	return 0;
}

int
quern_sim_disk(struct quern_sim *w, const char *name,
    const struct quern_sim_disk_config *cfg, struct quern_sim_disk **dp)
{
	struct quern_sim_disk_config c = *cfg;
	struct quern_sim_disk *d;
	int error;

	if (c.sector == 0)
		c.sector = 512;
	if (c.atomic == 0)
		c.atomic = c.sector;
	if (c.sector < 512 || c.sector > 4096 ||
	    (c.sector & (c.sector - 1)) != 0 || c.atomic % c.sector != 0 ||
	    c.size == 0 || c.size % c.sector != 0 || c.imagelen > c.size)
		return -EINVAL;
	error = disk_make(w, name, &c, &d);
	if (error != 0)
		return error;
	d->d_cfg.image = NULL;
	if (c.image != NULL)
		error = medium_write(d, 0, c.image, c.imagelen);
	if (error != 0) {
		quern_sim_disk_destroy(d);
		return error;
	}
	*dp = d;
	return 0;
}

void
quern_sim_disk_destroy(struct quern_sim_disk *d)
{
	uint64_t i;

	if (d->d_opens != 0)
		abort();
	pending_clear(d);
	for (i = 0; i < d->d_nleaf; i++)
		leaf_put(d->d_medium[i]);
	free(d->d_medium);
	if (d->d_next != NULL)
		d->d_next->d_prevp = d->d_prevp;
	*d->d_prevp = d->d_next;
	free(d);
}

void
quern_sim_disk_cut(struct quern_sim_disk *d, uint64_t n)
{
	d->d_cut = n;
	d->d_dead = false;
}

int
quern_sim_disk_is_cut(const struct quern_sim_disk *d)
{
	return d->d_dead;
}

/* ---- crashes ------------------------------------------------------------------- */

static uint64_t
draw(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/*
 * What decides: a random number, or the bits of an index, each of which stands
 * for a unit that survives.
 */
struct choice {
	uint64_t c_bits;
	bool c_index;
};

static bool
next_bit(struct choice *c)
{
	bool bit;

	if (!c->c_index)
		return draw(&c->c_bits) % 2 == 0;
	bit = (c->c_bits & 1) != 0;
	c->c_bits >>= 1;
	return bit;
}

/* How many units of `atomic` bytes a write is made of. */
static uint64_t
count_units(const struct quern_sim_disk *d, const struct wlog *g)
{
	return (g->g_off + g->g_len - 1) / d->d_cfg.atomic -
	    g->g_off / d->d_cfg.atomic + 1;
}

/* Apply some of the atomic units of a write. */
static int
tear(struct quern_sim_disk *d, const struct wlog *g, struct choice *c)
{
	uint64_t off = g->g_off, end = g->g_off + g->g_len, next;
	int error = 0;

	for (; off < end && error == 0; off = next) {
		next = (off / d->d_cfg.atomic + 1) * d->d_cfg.atomic;
		if (next > end)
			next = end;
		if (next_bit(c))
			error = medium_write(d, off,
			    wlog_data(g, off - g->g_off), next - off);
	}
	return error;
}

/* Put onto the medium of `to` what survives of the pending writes of `from`. */
static int
survive(const struct quern_sim_disk *from, struct quern_sim_disk *to,
    uint64_t seed)
{
	struct choice c = { .c_bits = seed };
	const struct wlog *g;
	uint64_t i = 0, keep, how;
	int error = 0;

	if (seed == 0)
		return 0;
	keep = seed == 1 ? from->d_npending :
			   draw(&c.c_bits) % (from->d_npending + 1);
	for (g = from->d_pending; g != NULL && error == 0; g = g->g_next, i++) {
		/* 0: lost, 1: there, 2: torn */
		if (seed == 1)
			how = !g->g_cut;
		else if (from->d_cfg.reorder)
			how = draw(&c.c_bits) % 3;
		else if (i == keep || g->g_cut)
			how = i > keep ? 0 : 2 * (draw(&c.c_bits) % 2);
		else
			how = i < keep;
		if (how == 1)
			error = wlog_apply(to, g);
		else if (how == 2)
			error = tear(to, g, &c);
	}
	return error;
}

/* 2^n - 1, if that is below UINT64_MAX. */
static uint64_t
ones(uint64_t n)
{
	return n < 63 ? (UINT64_C(1) << n) - 1 : UINT64_MAX;
}

uint64_t
quern_sim_disk_states(const struct quern_sim_disk *d)
{
	uint64_t units = 0, sum = 0, n;
	const struct wlog *g;

	for (g = d->d_pending; g != NULL; g = g->g_next) {
		n = ones(count_units(d, g));
		units += count_units(d, g);
		sum = n < UINT64_MAX - 1 - sum ? sum + n : UINT64_MAX - 1;
	}
	if (d->d_cfg.reorder)
		return ones(units) != UINT64_MAX ? ones(units) + 1 : UINT64_MAX;
	return sum + 1;
}

/*
 * The state with that number.  With reordering its bits say which units are
 * there.  Otherwise the numbers run through the writes, each with the states in
 * which all before it are there, none behind it, and of its own units those that
 * the bits say, but not all: that is the first state of the next write.
 */
static int
survive_index(const struct quern_sim_disk *from, struct quern_sim_disk *to,
    uint64_t index)
{
	struct choice c = { .c_bits = index, .c_index = true };
	const struct wlog *g;
	uint64_t n;
	int error = 0;

	for (g = from->d_pending; g != NULL && error == 0; g = g->g_next) {
		n = ones(count_units(from, g));
		if (from->d_cfg.reorder) {
			error = tear(to, g, &c);
		} else if (c.c_bits < n) {
			return tear(to, g, &c);
		} else {
			c.c_bits -= n;
			error = wlog_apply(to, g);
		}
	}
	return error;
}

/* A disk with the same medium. */
static int
clone(struct quern_sim_disk *d, const char *name, struct quern_sim_disk **dp)
{
	struct quern_sim_disk *n;
	uint64_t i;
	int error;

	error = disk_make(d->d_w, name, &d->d_cfg, &n);
	if (error != 0)
		return error;
	n->d_cfg.watch = NULL;
	for (i = 0; i < d->d_nleaf; i++) {
		n->d_medium[i] = d->d_medium[i];
		if (n->d_medium[i] != NULL)
			n->d_medium[i]->l_refs++;
	}
	*dp = n;
	return 0;
}

/* The new disk is the caller's, or goes. */
static int
done(struct quern_sim_disk *n, int error, struct quern_sim_disk **dp)
{
	if (error != 0)
		quern_sim_disk_destroy(n);
	else
		*dp = n;
	return error;
}

int
quern_sim_disk_crash(struct quern_sim_disk *d, uint64_t seed, const char *name,
    struct quern_sim_disk **dp)
{
	struct quern_sim_disk *n;
	int error = clone(d, name, &n);

	return error != 0 ? error : done(n, survive(d, n, seed), dp);
}

int
quern_sim_disk_state(struct quern_sim_disk *d, uint64_t index, const char *name,
    struct quern_sim_disk **dp)
{
	uint64_t count = quern_sim_disk_states(d);
	struct quern_sim_disk *n;
	int error;

	if (count == UINT64_MAX || index >= count)
		return -EINVAL;
	error = clone(d, name, &n);
	return error != 0 ? error : done(n, survive_index(d, n, index), dp);
}

int
quern_sim_disk_fork(struct quern_sim_disk *d, const char *name,
    struct quern_sim_disk **dp)
{
	struct quern_sim_disk *n;
	const struct wlog *g;
	struct wlog *copy;
	int error = clone(d, name, &n);

	if (error != 0)
		return error;
	n->d_cut = d->d_cut;
	n->d_dead = d->d_dead;
	for (g = d->d_pending; g != NULL; g = g->g_next) {
		copy = wlog_make(g->g_off, wlog_data(g, 0), g->g_len);
		if (copy == NULL)
			return done(n, -ENOMEM, dp);
		copy->g_cut = g->g_cut;
		copy->g_due = g->g_due;
		pending_append(n, copy);
	}
	return done(n, 0, dp);
}

/* ---- behind the kernels' backs ----------------------------------------------------- */

static bool
in_range(const struct quern_sim_disk *d, uint64_t off, size_t len)
{
	return off <= d->d_cfg.size && len <= d->d_cfg.size - off;
}

int
quern_sim_disk_read(struct quern_sim_disk *d, uint64_t off, void *buf,
    size_t len)
{
	if (!in_range(d, off, len))
		return -EINVAL;
	disk_get(d, off, buf, len);
	return 0;
}

int
quern_sim_disk_write(struct quern_sim_disk *d, uint64_t off, const void *buf,
    size_t len, int safe)
{
	if (!in_range(d, off, len))
		return -EINVAL;
	return disk_put(d, off, buf, len, safe != 0);
}

/* Zeroes have 0, as pages that are not there. */
static uint64_t
page_hash(struct page *p)
{
	uint64_t h = 0, w;
	size_t i;

	if (p->p_hashed)
		return p->p_hash;
	for (i = 0; i < sizeof(p->p_data); i += sizeof(w)) {
		memcpy(&w, p->p_data + i, sizeof(w));
		h = (h ^ w) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	p->p_hash = h;
	p->p_hashed = true;
	return h;
}

uint64_t
quern_sim_disk_hash(struct quern_sim_disk *d)
{
	uint64_t sum = 0, i, j, h, at;
	struct page *p;

	for (i = 0; i < d->d_nleaf; i++) {
		if (d->d_medium[i] == NULL)
			continue;
		for (j = 0; j < LEAF_PAGES; j++) {
			p = d->d_medium[i]->l_page[j];
			h = p != NULL ? page_hash(p) : 0;
			at = h + i * LEAF_PAGES + j;
			sum += h != 0 ? draw(&at) : 0;
		}
	}
	return sum;
}

void
quern_sim_disk_stats(const struct quern_sim_disk *d,
    struct quern_sim_disk_stats *st)
{
	*st = d->d_stats;
	st->ds_pending = d->d_npending;
}
