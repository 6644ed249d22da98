/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is touched right after a fork.
 *
 * A new process has all of its parent's memory and none of it mapped, and of what
 * the parent stores to next, it has to be given a copy: each is a fault, of some
 * microseconds, and a process that forks often has the same ones each time.  So a
 * space that forks remembers where its last children, and it itself, had their
 * first faults, and fork has these before they come.  Now and then it forgets all,
 * so that what is not needed any more is found out.
 *
 * This is a guess: whatever fails here is left to the fault.
 */
#include "impl.h"

#define CHILD_HINTS 12u
#define SELF_HINTS  3u

/* Forks until all is forgotten. */
#define HINT_AGE 32u

/* With less memory than this, nothing is done before it has to be. */
#define HINT_FREE 1024u

struct hint {
	uint64_t h_va;
	unsigned h_access; /* QVM_* */
};

struct hintlist {
	unsigned hl_n;
	struct hint hl_at[CHILD_HINTS];
};

struct hints {
	uint32_t hi_refs; /* [a] the space that forks, and its children */
	struct qspin hi_lock;
	unsigned hi_age;
	struct hintlist hi_child, hi_self;
};

static const struct qtag tag_hints = { "fork hints" };

static struct hints *
hints_get(struct hints *hi)
{
	if (hi != NULL)
		__atomic_fetch_add(&hi->hi_refs, 1, __ATOMIC_RELAXED);
	return hi;
}

static void
hints_put(struct hints *hi)
{
	if (hi != NULL &&
	    __atomic_sub_fetch(&hi->hi_refs, 1, __ATOMIC_ACQ_REL) == 0)
		qfree(hi);
}

static void
add(struct hintlist *hl, unsigned max, uint64_t va, unsigned access)
{
	unsigned i;

	for (i = 0; i < hl->hl_n && hl->hl_at[i].h_va != va; i++)
		;
	if (i == max)
		return;
	if (i == hl->hl_n)
		hl->hl_at[hl->hl_n++] = (struct hint){ va, 0 };
	hl->hl_at[i].h_access |= access;
}

/* One more of the faults that are remembered? */
static bool
take_turn(uint32_t *left)
{
	uint32_t n = __atomic_load_n(left, __ATOMIC_RELAXED);

	if (n == 0)
		return false;
	/* Of two threads one may be forgotten. */
	__atomic_store_n(left, n - 1, __ATOMIC_RELAXED);
	return true;
}

void
hints_note(struct qvmmap *m, uint64_t va, unsigned access)
{
	struct hints *hi = m->m_born;

	if (hi != NULL && take_turn(&m->m_bornleft)) {
		qspin_lock(&hi->hi_lock);
		add(&hi->hi_child, CHILD_HINTS, va, access);
		qspin_unlock(&hi->hi_lock);
	}
	hi = __atomic_load_n(&m->m_hints, __ATOMIC_ACQUIRE);
	if (hi != NULL && (access & QVM_WRITE) != 0 &&
	    take_turn(&m->m_selfleft)) {
		qspin_lock(&hi->hi_lock);
		add(&hi->hi_self, SELF_HINTS, va, access);
		qspin_unlock(&hi->hi_lock);
	}
}

static void
apply(struct qvmmap *m, const struct hintlist *hl)
{
	unsigned i;

	for (i = 0; i < hl->hl_n; i++)
		(void)fault_early(m, hl->hl_at[i].h_va, hl->hl_at[i].h_access);
}

void
hints_prepare(struct qvmmap *from, struct qvmmap *to)
{
	struct hints *hi = from->m_hints;

	if (hi == NULL) {
		hi = qzalloc(&tag_hints, sizeof(*hi));
		if (hi == NULL)
			return;
		hi->hi_refs = 1;
		qspin_init(&hi->hi_lock);
		__atomic_store_n(&from->m_hints, hi, __ATOMIC_RELEASE);
	}
	to->m_born = hints_get(hi);
	to->m_bornleft = CHILD_HINTS;
}

void
hints_forked(struct qvmmap *from, struct qvmmap *to)
{
	struct hints *hi = to->m_born;
	struct hintlist child, self;

	if (hi == NULL)
		return;
	qspin_lock(&hi->hi_lock);
	child = hi->hi_child;
	self = hi->hi_self;
	if (++hi->hi_age % HINT_AGE == 0)
		hi->hi_child.hl_n = hi->hi_self.hl_n = 0;
	qspin_unlock(&hi->hi_lock);
	if (qpage_nfree(from->m_k) >= HINT_FREE) {
		apply(to, &child);
		apply(from, &self);
	}
	__atomic_store_n(&from->m_selfleft, SELF_HINTS, __ATOMIC_RELAXED);
}

void
hints_fini(struct qvmmap *m)
{
	hints_put(m->m_born);
	hints_put(m->m_hints);
}
