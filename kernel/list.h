/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A doubly linked ring with a head.  An element that is on no list points to
 * itself, so that qlist_del may be called twice.
 */
#ifndef QUERN_LIST_H
#define QUERN_LIST_H

#include <quern/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qlist {
	struct qlist *l_next, *l_prev;
};

#define QLIST_INIT(name)         \
	{                        \
		&(name), &(name) \
	}

/* The element of `type` whose `member` is `l`. */
#define QLIST_ELEM(l, type, member) QCONTAINER(l, type, member)

/* Walk `head`; the body must not remove `p` (see QLIST_FOREACH_SAFE). */
#define QLIST_FOREACH(p, head) \
	for ((p) = (head)->l_next; (p) != (head); (p) = (p)->l_next)

/* Walk `head`, `n` being a spare cursor; the body may remove `p`. */
#define QLIST_FOREACH_SAFE(p, n, head)                               \
	for ((p) = (head)->l_next, (n) = (p)->l_next; (p) != (head); \
	     (p) = (n), (n) = (p)->l_next)

/* Make `l` an empty list or an element that is on none. */
static inline void
qlist_init(struct qlist *l)
{
	l->l_next = l->l_prev = l;
}

/* Is the list empty, or the element on no list? */
static inline bool
qlist_empty(const struct qlist *l)
{
	return l->l_next == l;
}

/* Insert `e` before `at`; with a head for `at`, append. */
static inline void
qlist_append(struct qlist *at, struct qlist *e)
{
	e->l_next = at;
	e->l_prev = at->l_prev;
	at->l_prev->l_next = e;
	at->l_prev = e;
}

/* Insert `e` after `at`; with a head for `at`, prepend. */
static inline void
qlist_prepend(struct qlist *at, struct qlist *e)
{
	qlist_append(at->l_next, e);
}

/* Take `e` off its list, if it is on one. */
static inline void
qlist_del(struct qlist *e)
{
	e->l_prev->l_next = e->l_next;
	e->l_next->l_prev = e->l_prev;
	e->l_next = e->l_prev = e;
}

#ifdef __cplusplus
}
#endif

#endif /* QUERN_LIST_H */
