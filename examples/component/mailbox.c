/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernel code: it has the kernel's locks, memory and lists, and no libc.
 */
#include "mailbox.h"

#include <quern/abi/errno.h>
#include <quern/component.h>
#include <quern/list.h>
#include <quern/lock.h>
#include <quern/slab.h>

struct letter {
	struct qlist l_link;
	int l_text;
};

/* All state hangs off the kernel: any number of kernels have a mailbox each. */
struct box {
	struct qmutex b_lock;
	struct qcv b_change;
	struct qlist b_letters; /* [b_lock] oldest first */
	unsigned b_count;       /* [b_lock] */
};

static const struct qtag letter_tag = { "letter" };
static const struct qtag box_tag = { "mailbox" };

static int
mailbox_init(struct quern *k, void **statep)
{
	struct box *b = qzalloc(&box_tag, sizeof(*b));

	(void)k;
	if (b == NULL)
		return -Q_ENOMEM;
	qmutex_init(&b->b_lock, "mailbox");
	qcv_init(&b->b_change);
	qlist_init(&b->b_letters);
	*statep = b;
	return 0;
}

static void
mailbox_fini(struct quern *k, void *state)
{
	struct box *b = state;
	struct qlist *l, *next;

	(void)k;
	QLIST_FOREACH_SAFE(l, next, &b->b_letters)
		qfree(QLIST_ELEM(l, struct letter, l_link));
	qfree(b);
}

const struct quern_component mailbox = {
	.c_name = "mailbox",
	.c_init = mailbox_init,
	.c_fini = mailbox_fini,
};

static struct box *
my_box(void)
{
	return qcomponent_state(quern_current(), &mailbox);
}

static int64_t
put(void *arg)
{
	struct box *b = my_box();
	struct letter *l = qalloc(&letter_tag, sizeof(*l));
	int error = 0;

	if (l == NULL)
		return -Q_ENOMEM;
	l->l_text = *(int *)arg;
	qmutex_lock(&b->b_lock);
	while (b->b_count == MAILBOX_ROOM && error == 0)
		error = qcv_wait(&b->b_change, &b->b_lock, QSLEEP_INTR,
		    QUERN_NEVER);
	if (error == 0) {
		qlist_append(&b->b_letters, &l->l_link);
		b->b_count++;
		qcv_broadcast(&b->b_change);
	}
	qmutex_unlock(&b->b_lock);
	if (error != 0)
		qfree(l);
	return error;
}

static int64_t
get(void *arg)
{
	struct box *b = my_box();
	struct letter *l;
	int error = 0;

	qmutex_lock(&b->b_lock);
	while (b->b_count == 0 && error == 0)
		error = qcv_wait(&b->b_change, &b->b_lock, QSLEEP_INTR,
		    QUERN_NEVER);
	if (error != 0) {
		qmutex_unlock(&b->b_lock);
		return error;
	}
	l = QLIST_ELEM(b->b_letters.l_next, struct letter, l_link);
	qlist_del(&l->l_link);
	b->b_count--;
	qcv_broadcast(&b->b_change);
	qmutex_unlock(&b->b_lock);
	*(int *)arg = l->l_text;
	qfree(l);
	return 0;
}

/* ---- from outside: a host thread becomes a kernel thread for the call ------- */

int64_t
mailbox_put(struct quern_proc *p, int letter)
{
	return quern_run(p, put, &letter);
}

int64_t
mailbox_get(struct quern_proc *p)
{
	int letter;
	int64_t error = quern_run(p, get, &letter);

	return error != 0 ? error : letter;
}
