/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <components/vfs/ext4/ondisk.h>

#include "model.h"

#define PAD                                                             \
	"_with_much_behind_it_so_that_a_directory_has_many_blocks_and_" \
	"an_index_in_front_of_them_which_is_split_now_and_then"

/* Names are a letter and a digit, perhaps with much behind it. */
void
model_path(const struct model *m, unsigned thread, int top, int sub, char *path,
    size_t len)
{
	const char *pad = m->m_longnames ? PAD : "";

	if (top < 0)
		snprintf(path, len, "/t%u", thread);
	else if (sub < 0)
		snprintf(path, len, "/t%u/n%d%s", thread, top, pad);
	else
		snprintf(path, len, "/t%u/n%d%s/s%d%s", thread, top, pad, sub,
		    pad);
}

uint64_t
model_stamp(unsigned thread, unsigned obj, unsigned change, uint64_t off)
{
	return UINT64_C(1) << 63 | (uint64_t)thread << 56 |
	    (uint64_t)obj << 40 | (uint64_t)(change + 1) << 32 |
	    off / MODEL_CELL;
}

void
model_mark(const struct model *m, struct model_mark *mk, bool all)
{
	unsigned i, k;

	memset(mk, 0, sizeof(*mk));
	for (i = 0; i < m->m_nthread; i++) {
		const struct model_thread *t = &m->m_thread[i];

		mk->mk_begun[i] = (uint16_t)t->mt_begun;
		mk->mk_durable[i] = (uint16_t)(all ? t->mt_begun :
						     t->mt_durable);
		for (k = 1; k <= t->mt_nobj; k++) {
			const struct model_object *o = &t->mt_obj[k];

			mk->mk_change[i][k] = (uint8_t)o->mo_nchange;
			mk->mk_safe[i][k] = (uint8_t)(all ? o->mo_nchange :
							    o->mo_durable);
		}
	}
}

/* ---- names ------------------------------------------------------------------------ */

static const char *
show_names(const struct model_names *n)
{
	static char text[2][300];
	static unsigned turn;
	char *p = text[turn++ % 2], *q = p;
	unsigned i, k;

	for (i = 0; i < MODEL_TOP; i++) {
		q += sprintf(q, " %u", n->mn_top[i]);
		for (k = 0; k < MODEL_SUB; k++)
			if (n->mn_sub[i][k] != 0)
				q += sprintf(q, "/%u", n->mn_sub[i][k]);
	}
	return p;
}

/* Which object an inode says that it is. */
static unsigned
object_of(const struct walk *w, uint32_t ino)
{
	const struct walk_inode *wi = &w->w_inode[ino];
	char target[61];

	if (!S_ISLNK(wi->wi_mode))
		return wi->wi_mode & 0777;
	memcpy(target, wi->wi_block, 60);
	target[60] = '\0';
	return target[0] == 'L' ? (unsigned)atoi(target + 1) : 0;
}

/* A name's digit, or -1. */
static int
digit(const char *name, char letter, unsigned n)
{
	unsigned d = (unsigned)(unsigned char)name[1] - '0';

	return name[0] == letter && d < n ? (int)d : -1;
}

struct seen {
	struct model_names s_names;
	uint32_t s_ino[MODEL_OBJS]; /* of the objects that have names */
};

static const char *
note(struct model *m, unsigned thread, const struct walk *w,
    const struct walk_name *n, uint16_t *slot, struct seen *s)
{
	unsigned obj = object_of(w, n->wn_ino);

	if (obj == 0 || obj > m->m_thread[thread].mt_nobj)
		snprintf(m->m_wrong, sizeof(m->m_wrong),
		    "thread %u: %.9s is no object of its", thread, n->wn_name);
	else if (*slot != 0)
		snprintf(m->m_wrong, sizeof(m->m_wrong),
		    "thread %u: %.9s is there twice", thread, n->wn_name);
	else if (s->s_ino[obj] != 0 && s->s_ino[obj] != n->wn_ino)
		snprintf(m->m_wrong, sizeof(m->m_wrong),
		    "thread %u: object %u is inodes %u and %u", thread, obj,
		    s->s_ino[obj], n->wn_ino);
	else {
		*slot = (uint16_t)obj;
		s->s_ino[obj] = n->wn_ino;
		return NULL;
	}
	return m->m_wrong;
}

/* What the thread's directory holds. */
static const char *
see(struct model *m, unsigned thread, const struct walk *w, struct seen *s)
{
	uint32_t dirs[MODEL_TOP] = { 0 }, root;
	const struct walk_name *n;
	const char *wrong = NULL;
	char name[8];
	size_t i;
	int t, k;

	memset(s, 0, sizeof(*s));
	snprintf(name, sizeof(name), "t%u", thread);
	root = walk_lookup(w, EXT4_ROOT_INO, name);
	if (root == 0)
		return "a thread's directory is gone";
	for (i = 0; i < w->w_nname && wrong == NULL; i++) {
		n = &w->w_names[i];
		if (n->wn_dir != root)
			continue;
		t = digit(n->wn_name, 'n', MODEL_TOP);
		if (t < 0)
			return "a name that nobody made";
		if (S_ISDIR(w->w_inode[n->wn_ino].wi_mode))
			dirs[t] = n->wn_ino;
		wrong = note(m, thread, w, n, &s->s_names.mn_top[t], s);
	}
	for (i = 0; i < w->w_nname && wrong == NULL; i++) {
		n = &w->w_names[i];
		for (t = 0; t < (int)MODEL_TOP; t++)
			if (dirs[t] == n->wn_dir)
				break;
		if (t == (int)MODEL_TOP)
			continue;
		k = digit(n->wn_name, 's', MODEL_SUB);
		if (k < 0)
			return "a name that nobody made";
		wrong = note(m, thread, w, n, &s->s_names.mn_sub[t][k], s);
	}
	return wrong;
}

static const char *
check_names(struct model *m, const struct model_mark *mk, unsigned thread,
    const struct seen *s)
{
	const struct model_thread *t = &m->m_thread[thread];
	unsigned p;

	for (p = mk->mk_durable[thread]; p <= mk->mk_begun[thread]; p++)
		if (memcmp(&t->mt_names[p], &s->s_names, sizeof(s->s_names)) ==
		    0)
			return NULL;
	snprintf(m->m_wrong, sizeof(m->m_wrong),
	    "thread %u: its names are%s, which they were after none of the "
	    "operations %u (%s) to %u (%s)",
	    thread, show_names(&s->s_names), mk->mk_durable[thread],
	    show_names(&t->mt_names[mk->mk_durable[thread]]),
	    mk->mk_begun[thread],
	    show_names(&t->mt_names[mk->mk_begun[thread]]));
	return m->m_wrong;
}

/* ---- contents ---------------------------------------------------------------------- */

static uint32_t
size_after(const struct model_object *o, unsigned n)
{
	return n == 0 ? 0 : o->mo_change[n - 1].mc_size;
}

/* What was done to it, for messages. */
static const char *
show_changes(const struct model_object *o, unsigned begun)
{
	static const char kinds[] = "wsz";
	static char text[MODEL_CHANGES * 40];
	char *p = text;
	unsigned i;

	*p = '\0';
	for (i = 0; i < begun; i++)
		p += sprintf(p, " %c%u-%u:%u", kinds[o->mo_change[i].mc_kind],
		    o->mo_change[i].mc_off, o->mo_change[i].mc_end,
		    o->mo_change[i].mc_size);
	return text;
}

/* M4 */
static bool
size_ok(const struct model_object *o, unsigned safe, unsigned begun,
    uint64_t size)
{
	unsigned i;

	if (size == size_after(o, safe))
		return true;
	for (i = safe; i < begun; i++) {
		const struct model_change *c = &o->mo_change[i];
		uint32_t was = size_after(o, i);

		if (size == c->mc_size ||
		    (c->mc_kind == CHANGE_WRITE && size >= was &&
			size <= c->mc_size))
			return true;
	}
	return false;
}

static bool
covers(const struct model_change *c, uint32_t off)
{
	return off >= c->mc_off && off < c->mc_end;
}

/* Of each cell the last safe change (0: none, zeroes), and whether it may be 0. */
static void
set_base(struct model *m, const struct model_object *o, unsigned safe,
    unsigned begun, uint32_t size)
{
	uint32_t cell, n = (size + MODEL_CELL - 1) / MODEL_CELL;
	unsigned i;

	memset(m->m_base, 0, sizeof(m->m_base));
	memset(m->m_zero, 0, sizeof(m->m_zero));
	for (i = 0; i < begun; i++) {
		const struct model_change *c = &o->mo_change[i];
		uint32_t end = (c->mc_end + MODEL_CELL - 1) / MODEL_CELL;

		for (cell = c->mc_off / MODEL_CELL; cell < end && cell < n;
		     cell++) {
			if (c->mc_kind == CHANGE_WRITE && i < safe)
				m->m_base[cell] = (uint8_t)(i + 1);
			else if (c->mc_kind != CHANGE_WRITE && i < safe)
				m->m_base[cell] = 0;
			else if (c->mc_kind != CHANGE_WRITE)
				m->m_zero[cell] = true;
		}
	}
}

/* M3 */
static const char *
check_cells(struct model *m, unsigned thread, unsigned obj, unsigned safe,
    unsigned begun, uint32_t size)
{
	const struct model_object *o = &m->m_thread[thread].mt_obj[obj];
	uint64_t got, first;
	uint32_t off, i, len;
	unsigned change;

	set_base(m, o, safe, begun, size);
	for (off = 0; off < size; off += MODEL_CELL) {
		uint32_t cell = off / MODEL_CELL;

		len = size - off < MODEL_CELL ? size - off : MODEL_CELL;
		memcpy(&first, m->m_buf + off, 8);
		if (len < 8)
			first &= (UINT64_C(1) << len * 8) - 1;
		for (i = 8; i + 8 <= len; i += 8) {
			memcpy(&got, m->m_buf + off + i, 8);
			if (got != first)
				break;
		}
		change = (unsigned)(first >> 32 & 0xff);
		if (first == 0 && (m->m_base[cell] == 0 || m->m_zero[cell]) &&
		    i + 8 > len)
			continue;
		if (i + 8 > len && len >= 8 && change > 0 && change <= begun &&
		    first == model_stamp(thread, obj, change - 1, off) &&
		    (change == m->m_base[cell] ||
			(change > safe &&
			    o->mo_change[change - 1].mc_kind == CHANGE_WRITE &&
			    covers(&o->mo_change[change - 1], off))))
			continue;
		snprintf(m->m_wrong, sizeof(m->m_wrong),
		    "thread %u: object %u, %u bytes, has %016llx at %u, made "
		    "by change %u; its first %u changes are safe of%s",
		    thread, obj, size, (unsigned long long)first, off,
		    m->m_base[cell], safe, show_changes(o, begun));
		return m->m_wrong;
	}
	return NULL;
}

static const char *
check_object(struct model *m, const struct model_mark *mk, unsigned thread,
    unsigned obj, struct walk *w, uint32_t ino)
{
	const struct model_object *o = &m->m_thread[thread].mt_obj[obj];
	unsigned safe = mk->mk_safe[thread][obj];
	unsigned begun = mk->mk_change[thread][obj];
	uint64_t size = w->w_inode[ino].wi_size;
	uint32_t mode = w->w_inode[ino].wi_mode;
	enum model_type type = S_ISREG(mode) ? MODEL_FILE :
	    S_ISDIR(mode)                    ? MODEL_DIR :
					       MODEL_LINK;

	if (type != o->mo_type)
		return "a file has become one of another type";
	if (type != MODEL_FILE)
		return NULL;
	if (size > MODEL_SIZE || !size_ok(o, safe, begun, size)) {
		snprintf(m->m_wrong, sizeof(m->m_wrong),
		    "thread %u: object %u, inode %u, has %llu bytes; its "
		    "first %u changes are safe of%s",
		    thread, obj, ino, (unsigned long long)size, safe,
		    show_changes(o, begun));
		return m->m_wrong;
	}
	if (walk_data(w, ino, 0, m->m_buf, size) != 0)
		return "a file can't be read";
	return check_cells(m, thread, obj, safe, begun, (uint32_t)size);
}

const char *
model_check(struct model *m, const struct model_mark *mk, struct walk *w)
{
	const char *wrong = NULL;
	unsigned i, obj;
	struct seen s;

	for (i = 0; i < m->m_nthread && wrong == NULL; i++) {
		wrong = see(m, i, w, &s);
		if (wrong == NULL)
			wrong = check_names(m, mk, i, &s);
		for (obj = 1; obj <= m->m_thread[i].mt_nobj && wrong == NULL;
		     obj++)
			if (s.s_ino[obj] != 0)
				wrong = check_object(m, mk, i, obj, w,
				    s.s_ino[obj]);
	}
	return wrong;
}
