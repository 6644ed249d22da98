/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * epoll: sets of files that are watched.
 *
 * An *item* watches one file under one descriptor for one set.  It hangs on
 * the queue of the file's object (ei_ent), in the set's hash, and on the file's
 * list f_epoll.  When the object says that something has happened the item goes
 * to the set's ready list; whether it really is ready is found out by fo_poll
 * when epoll_wait looks at it.  One that is watched by level goes back to the
 * list after having been reported, one by edge does not.
 *
 * E1  An item is on ep_ready, or on the list of an epoll_wait in progress, iff
 *     ei_ready.
 * E2  If a file is ready and its item has not been reported since (edge), or at
 *     all (level), the item is ei_ready.  An event that comes while the item is
 *     being looked at puts it back.
 * E3  The item's file has not been released, and its object is there, as long
 *     as the item is in the set: the last reference to a file goes through
 *     qepoll_forget before the object does, which needs ep_lock.  So items
 *     hold no reference, and closing the last descriptor ends the watching.
 * E4  Sets contain sets, but not in circles, and MAX_DEPTH deep at most.  Who
 *     adds one holds ct_ep_lock from the check to the end of the insertion.
 *
 * Lock order: ct_ep_lock, ep_lock of the outer set before that of the inner,
 * locks of objects, qpollq, ep_slock; f_eplock is below ep_lock and takes no
 * other but, upwards, f_eplock of the sets around.
 */
#include "callimpl.h"

#include <quern/abi/epoll.h>

#define MAX_DEPTH   4u
#define BUCKETS_MIN 16u
#define EVENTS_MAX  (INT32_MAX / (int32_t)sizeof(struct q_epoll_event))

/* Bits of q_epoll_event.events that are no events. */
#define HOW    (Q_EPOLLWAKEUP | Q_EPOLLONESHOT | Q_EPOLLET | Q_EPOLLEXCLUSIVE)
#define ALWAYS ((uint32_t)(Q_EPOLLERR | Q_EPOLLHUP))
#define WITH_EXCLUSIVE                                                 \
	(ALWAYS | Q_EPOLLIN | Q_EPOLLOUT | Q_EPOLLWAKEUP | Q_EPOLLET | \
	    Q_EPOLLEXCLUSIVE)

/* [m] ep_lock, [s] ep_slock, [e] ct_ep_lock */
struct epoll {
	uint32_t ep_refs;      /* [a] its file, and those in qepoll_forget */
	struct qfile *ep_file; /* [I] */
	struct qmutex ep_lock;
	struct qlist *ep_hash; /* [m] items by descriptor */
	uint32_t ep_buckets;   /* [m] a power of two */
	uint32_t ep_items;     /* [m] */
	struct qspin ep_slock;
	struct qlist ep_ready;  /* [s] */
	uint32_t ep_nwait;      /* [s] */
	struct qwaitq ep_wq;    /* those in epoll_wait */
	struct qpollq ep_pollq; /* those who poll the set itself */
	uint64_t ep_gen;        /* [e] check that ep_below is of */
	unsigned ep_below;      /* [e] sets one in another inside of it */
};

struct item {
	struct qpollent ei_ent;
	struct epoll *ei_ep;   /* [I] */
	struct qfile *ei_file; /* [I] no reference: E3 */
	int32_t ei_fd;         /* [I] */
	bool ei_ready;         /* [s] */
	uint32_t ei_events;    /* [m][s] */
	uint64_t ei_data;      /* [m] */
	struct qlist ei_rlink; /* [s] ready list */
	struct qlist ei_hlink; /* [m] ep_hash */
	struct qlist ei_flink; /* f_eplock: f_epoll */
};

static const struct qtag tag_epoll = { "epoll" };

static const struct qfile_ops epoll_ops;

/* The set that a file is, or NULL. */
static struct epoll *
epoll_of(const struct qfile *f)
{
	return f->f_ops == &epoll_ops ? f->f_obj : NULL;
}

static void
epoll_put(struct epoll *ep)
{
	if (__atomic_sub_fetch(&ep->ep_refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	qassert(ep->ep_items == 0);
	qfree(ep->ep_hash);
	qfree(ep);
}

/* ---- the ready list ------------------------------------------------------- */

/*
 * Put an item on the ready list and tell one who waits for the set, and those
 * who poll it.  False: nobody was waiting.
 */
static bool
make_ready(struct item *it)
{
	struct epoll *ep = it->ei_ep;
	bool waiting;

	qspin_lock(&ep->ep_slock);
	if (!it->ei_ready) {
		it->ei_ready = true;
		qlist_append(&ep->ep_ready, &it->ei_rlink);
	}
	waiting = ep->ep_nwait != 0;
	qspin_unlock(&ep->ep_slock);
	if (waiting)
		(void)qwaitq_wake_one(&ep->ep_wq);
	qpollq_wake(&ep->ep_pollq, Q_POLLIN | Q_POLLRDNORM);
	return waiting;
}

/* The watched object says that something has happened. */
static bool
item_event(struct qpollent *e, uint32_t events)
{
	struct item *it = QCONTAINER(e, struct item, ei_ent);
	uint32_t wanted = __atomic_load_n(&it->ei_events, __ATOMIC_RELAXED);

	if ((wanted & ~HOW) == 0) /* reported once and not armed again */
		return false;
	if (events != 0 && (events & wanted) == 0)
		return false;
	return make_ready(it);
}

/* What the item's file is ready for, of what it is watched for.  [m] */
static uint32_t
item_poll(struct item *it, struct qpollent *e)
{
	return qfile_poll(it->ei_file, e) & it->ei_events;
}

/* The first ready item, taken off the list; NULL: none. */
static struct item *
next_ready(struct epoll *ep, struct qlist *from)
{
	struct item *it = NULL;

	qspin_lock(&ep->ep_slock);
	if (!qlist_empty(from)) {
		it = QLIST_ELEM(from->l_next, struct item, ei_rlink);
		qlist_del(&it->ei_rlink);
		it->ei_ready = false;
	}
	qspin_unlock(&ep->ep_slock);
	return it;
}

/* Put it back, at the end of the list. */
static void
back_ready(struct item *it)
{
	struct epoll *ep = it->ei_ep;

	qspin_lock(&ep->ep_slock);
	if (!it->ei_ready) {
		it->ei_ready = true;
		qlist_append(&ep->ep_ready, &it->ei_rlink);
	}
	qspin_unlock(&ep->ep_slock);
}

/* Move all of `from` to the front of `to`, which keeps the order.  [s] */
static void
splice(struct qlist *to, struct qlist *from)
{
	struct qlist *l;

	while (!qlist_empty(from)) {
		l = from->l_prev;
		qlist_del(l);
		qlist_prepend(to, l);
	}
}

/* Take the whole ready list to look through; put_back is to follow. */
static void
take_list(struct epoll *ep, struct qlist *list)
{
	qlist_init(list);
	qspin_lock(&ep->ep_slock);
	splice(list, &ep->ep_ready);
	qspin_unlock(&ep->ep_slock);
}

/*
 * Put back what is left of it.  Whoever began to wait meanwhile saw an empty
 * list.
 */
static void
put_back(struct epoll *ep, struct qlist *list)
{
	bool wake;

	qspin_lock(&ep->ep_slock);
	splice(&ep->ep_ready, list);
	wake = !qlist_empty(&ep->ep_ready) && ep->ep_nwait != 0;
	qspin_unlock(&ep->ep_slock);
	if (wake)
		(void)qwaitq_wake_one(&ep->ep_wq);
}

/* ---- items ---------------------------------------------------------------- */

static struct qlist *
bucket(struct epoll *ep, int32_t fd)
{
	return &ep->ep_hash[(uint32_t)fd & (ep->ep_buckets - 1)];
}

static struct item *
find_item(struct epoll *ep, const struct qfile *f, int32_t fd)
{
	struct qlist *head = bucket(ep, fd), *l;
	struct item *it;

	QLIST_FOREACH(l, head) {
		it = QLIST_ELEM(l, struct item, ei_hlink);
		if (it->ei_file == f && it->ei_fd == fd)
			return it;
	}
	return NULL;
}

/* Have `n` buckets.  [m] */
static int
rehash(struct epoll *ep, uint32_t n)
{
	struct qlist *old = ep->ep_hash, *l;
	struct item *it;
	uint32_t i, nold = ep->ep_buckets;

	ep->ep_hash = qalloc(&tag_epoll, n * sizeof(*ep->ep_hash));
	if (ep->ep_hash == NULL) {
		ep->ep_hash = old;
		return -Q_ENOMEM;
	}
	ep->ep_buckets = n;
	for (i = 0; i < n; i++)
		qlist_init(&ep->ep_hash[i]);
	for (i = 0; i < nold; i++)
		while (!qlist_empty(&old[i])) {
			l = old[i].l_next;
			it = QLIST_ELEM(l, struct item, ei_hlink);
			qlist_del(l);
			qlist_append(bucket(ep, it->ei_fd), l);
		}
	qfree(old);
	return 0;
}

/* End the watching.  [m] */
static void
remove_item(struct item *it)
{
	struct epoll *ep = it->ei_ep;
	struct qfile *f = it->ei_file;

	qpollent_del(&it->ei_ent);
	qspin_lock(&ep->ep_slock);
	qlist_del(&it->ei_rlink);
	qspin_unlock(&ep->ep_slock);
	qspin_lock(&f->f_eplock);
	qlist_del(&it->ei_flink);
	qspin_unlock(&f->f_eplock);
	qlist_del(&it->ei_hlink);
	ep->ep_items--;
	qfree(it);
}

void
qepoll_forget(struct qfile *f)
{
	struct epoll *ep;
	struct item *it;

	/* Who put it into a set had a reference then. */
	if (qlikely(!f->f_polled))
		return;
	for (;;) {
		qspin_lock(&f->f_eplock);
		if (qlikely(qlist_empty(&f->f_epoll))) {
			qspin_unlock(&f->f_eplock);
			return;
		}
		it = QLIST_ELEM(f->f_epoll.l_next, struct item, ei_flink);
		ep = it->ei_ep;
		__atomic_fetch_add(&ep->ep_refs, 1, __ATOMIC_RELAXED);
		qspin_unlock(&f->f_eplock);
		/* The item may go meanwhile, by epoll_ctl or with the set. */
		qmutex_lock(&ep->ep_lock);
		qspin_lock(&f->f_eplock);
		if (f->f_epoll.l_next != &it->ei_flink)
			it = NULL;
		qspin_unlock(&f->f_eplock);
		if (it != NULL)
			remove_item(it);
		qmutex_unlock(&ep->ep_lock);
		epoll_put(ep);
	}
}

/* ---- epoll_ctl ------------------------------------------------------------ */

/* How deep sets are nested inside `ep`, or ~0 if `target` is.  [e] */
static unsigned
depth_below(struct epoll *ep, const struct epoll *target, uint64_t gen,
    unsigned level)
{
	unsigned depth = 0, d;
	struct epoll *inner;
	struct qlist *l;
	uint32_t i;

	if (ep == target || level > MAX_DEPTH)
		return ~0u;
	if (ep->ep_gen == gen)
		return ep->ep_below;
	qmutex_lock(&ep->ep_lock);
	for (i = 0; i < ep->ep_buckets && depth != ~0u; i++)
		QLIST_FOREACH(l, &ep->ep_hash[i]) {
			inner = epoll_of(
			    QLIST_ELEM(l, struct item, ei_hlink)->ei_file);
			if (inner == NULL)
				continue;
			d = depth_below(inner, target, gen, level + 1);
			depth = d == ~0u ? d : d + 1 > depth ? d + 1 : depth;
			if (depth == ~0u)
				break;
		}
	qmutex_unlock(&ep->ep_lock);
	ep->ep_gen = gen;
	ep->ep_below = depth;
	return depth;
}

/* In how many sets, one in another, `ep` is.  [e] */
static unsigned
depth_above(struct epoll *ep, unsigned level)
{
	struct qfile *f = ep->ep_file;
	unsigned depth = 0, d;
	struct qlist *l;

	if (level > MAX_DEPTH)
		return level;
	qspin_lock(&f->f_eplock);
	QLIST_FOREACH(l, &f->f_epoll) {
		d = depth_above(QLIST_ELEM(l, struct item, ei_flink)->ei_ep,
			level + 1) +
		    1;
		if (d > depth)
			depth = d;
	}
	qspin_unlock(&f->f_eplock);
	return depth;
}

/* May `inner` be put into `ep`?  0 or -ELOOP.  [e] */
static int
check_nesting(struct quern *k, struct epoll *ep, struct epoll *inner)
{
	unsigned below;

	below = depth_below(inner, ep, ++k->k_calls->ct_ep_gen, 0);
	if (below == ~0u || below + 1 + depth_above(ep, 0) > MAX_DEPTH)
		return -Q_ELOOP;
	return 0;
}

/* [m], and for sets [e] */
static int
add_item(struct epoll *ep, struct qfile *f, int32_t fd,
    const struct q_epoll_event *ev)
{
	struct item *it;

	if (ep->ep_items >= ep->ep_buckets &&
	    rehash(ep, ep->ep_buckets * 2) != 0)
		return -Q_ENOMEM;
	it = qzalloc(&tag_epoll, sizeof(*it));
	if (it == NULL)
		return -Q_ENOMEM;
	qpollent_init(&it->ei_ent, item_event);
	it->ei_ent.pe_exclusive = (ev->events & Q_EPOLLEXCLUSIVE) != 0;
	it->ei_ep = ep;
	it->ei_file = f;
	it->ei_fd = fd;
	it->ei_events = ev->events | ALWAYS;
	it->ei_data = ev->data;
	qlist_init(&it->ei_rlink);
	qlist_append(bucket(ep, fd), &it->ei_hlink);
	ep->ep_items++;
	qspin_lock(&f->f_eplock);
	f->f_polled = true;
	qlist_append(&f->f_epoll, &it->ei_flink);
	qspin_unlock(&f->f_eplock);
	if (item_poll(it, &it->ei_ent) != 0)
		(void)make_ready(it);
	return 0;
}

/* [m] */
static int
change_item(struct item *it, const struct q_epoll_event *ev)
{
	if ((it->ei_events & Q_EPOLLEXCLUSIVE) != 0)
		return -Q_EINVAL;
	__atomic_store_n(&it->ei_events, ev->events | ALWAYS, __ATOMIC_RELAXED);
	it->ei_data = ev->data;
	/* After the store: an event from now on is judged by it. */
	if (item_poll(it, NULL) != 0)
		(void)make_ready(it);
	return 0;
}

static int
control(struct epoll *ep, int op, struct qfile *f, int32_t fd,
    const struct q_epoll_event *ev)
{
	struct item *it;
	int error;

	qmutex_lock(&ep->ep_lock);
	it = find_item(ep, f, fd);
	if (op == Q_EPOLL_CTL_ADD)
		error = it == NULL ? add_item(ep, f, fd, ev) : -Q_EEXIST;
	else if (op != Q_EPOLL_CTL_DEL && op != Q_EPOLL_CTL_MOD)
		error = -Q_EINVAL;
	else if (it == NULL)
		error = -Q_ENOENT;
	else if (op == Q_EPOLL_CTL_MOD)
		error = change_item(it, ev);
	else
		error = (remove_item(it), 0);
	qmutex_unlock(&ep->ep_lock);
	return error;
}

/* epoll_ctl with both files looked up. */
static int
control_files(struct quern *k, struct qfile *epf, int op, struct qfile *f,
    int32_t fd, struct q_epoll_event *ev)
{
	struct epoll *ep = epoll_of(epf), *inner = epoll_of(f);
	int error = 0;

	if (f->f_ops->fo_poll == NULL)
		return -Q_EPERM;
	if (f == epf || ep == NULL)
		return -Q_EINVAL;
	if (op != Q_EPOLL_CTL_DEL && (ev->events & Q_EPOLLEXCLUSIVE) != 0) {
		if (op == Q_EPOLL_CTL_MOD || inner != NULL ||
		    (ev->events & ~WITH_EXCLUSIVE) != 0)
			return -Q_EINVAL;
	}
	ev->events &= ~Q_EPOLLWAKEUP; /* there is nothing to keep awake */
	if (op != Q_EPOLL_CTL_ADD || inner == NULL)
		return control(ep, op, f, fd, ev);
	qmutex_lock(&k->k_calls->ct_ep_lock);
	error = check_nesting(k, ep, inner);
	if (error == 0)
		error = control(ep, op, f, fd, ev);
	qmutex_unlock(&k->k_calls->ct_ep_lock);
	return error;
}

QSYS(epoll_ctl)
{
	int op = qsys_int(s, 1), fd = qsys_int(s, 2), error;
	struct q_epoll_event ev = { 0, 0 };
	struct qfile *epf, *f;

	if (op != Q_EPOLL_CTL_DEL) {
		error = qsys_in(s, 3, &ev, sizeof(ev));
		if (error != 0)
			return error;
	}
	epf = qfd_get(s->s_proc, qsys_int(s, 0));
	if (epf == NULL)
		return -Q_EBADF;
	f = qfd_get(s->s_proc, fd);
	error = -Q_EBADF;
	if (f != NULL) {
		error = control_files(s->s_proc->p_k, epf, op, f, fd, &ev);
		qfile_put(f);
	}
	qfile_put(epf);
	return error;
}

/* ---- epoll_wait ----------------------------------------------------------- */

/*
 * An item of the ready list: report it if it is ready.  1, 0, or -EFAULT.  [m]
 */
static int
report(struct qsys *s, struct item *it, quaddr_t to)
{
	struct q_epoll_event ev;
	int error;

	ev.events = item_poll(it, NULL);
	if (ev.events == 0)
		return 0;
	ev.data = it->ei_data;
	error = qcopyout(s->s_us, to, &ev, sizeof(ev));
	if (error != 0) {
		back_ready(it);
		return error;
	}
	if ((it->ei_events & Q_EPOLLONESHOT) != 0)
		__atomic_store_n(&it->ei_events, it->ei_events & HOW,
		    __ATOMIC_RELAXED);
	else if ((it->ei_events & Q_EPOLLET) == 0)
		back_ready(it);
	return 1;
}

/* Report up to `max` ready items.  How many, or -EFAULT. */
static int
report_ready(struct qsys *s, struct epoll *ep, int max)
{
	struct qlist list;
	struct item *it;
	int n = 0, r = 0;

	qmutex_lock(&ep->ep_lock);
	take_list(ep, &list);
	while (n < max && r >= 0 && (it = next_ready(ep, &list)) != NULL) {
		r = report(s, it,
		    s->s_arg[1] + (unsigned)n * sizeof(struct q_epoll_event));
		n += r > 0;
	}
	put_back(ep, &list);
	qmutex_unlock(&ep->ep_lock);
	return n != 0 ? n : r < 0 ? r : 0;
}

/* Sleep until the ready list has something.  0, -EINTR, -ETIMEDOUT. */
static int
wait_ready(struct epoll *ep, uint64_t deadline)
{
	int error = 0;

	qspin_lock(&ep->ep_slock);
	if (!qlist_empty(&ep->ep_ready)) {
		qspin_unlock(&ep->ep_slock);
		return 0;
	}
	ep->ep_nwait++;
	error = qwaitq_sleep(&ep->ep_wq, &ep->ep_slock, QSLEEP_INTR, deadline);
	qspin_lock(&ep->ep_slock);
	ep->ep_nwait--;
	qspin_unlock(&ep->ep_slock);
	return error;
}

/* `deadline` 0: only look. */
static int64_t
do_wait(struct qsys *s, struct epoll *ep, int max, uint64_t deadline)
{
	int n, error = deadline == 0 ? -Q_ETIMEDOUT : 0;

	for (;;) {
		n = report_ready(s, ep, max);
		if (n != 0 || error == -Q_ETIMEDOUT)
			return n;
		if (error != 0)
			return error;
		error = wait_ready(ep, deadline);
	}
}

static int64_t
epoll_wait(struct qsys *s, uint64_t deadline)
{
	int max = qsys_int(s, 2);
	struct epoll *ep;
	struct qfile *f;
	int64_t ret = 0;

	f = qfd_get(s->s_proc, qsys_int(s, 0));
	if (f == NULL)
		return -Q_EBADF;
	ep = epoll_of(f);
	if (max <= 0 || max > EVENTS_MAX)
		ret = -Q_EINVAL;
	else if (!quaddr_ok(s->s_arg[1],
		     (size_t)max * sizeof(struct q_epoll_event)))
		ret = -Q_EFAULT;
	else if (ep == NULL)
		ret = -Q_EINVAL;
	else
		ret = do_wait(s, ep, max, deadline);
	qfile_put(f);
	return ret;
}

/* When `ms` are over; 0 now, QUERN_NEVER if negative. */
static uint64_t
deadline_ms(struct quern *k, int ms)
{
	if (ms == 0)
		return 0;
	return ms < 0 ? QUERN_NEVER :
			qdeadline_in(k, (uint64_t)ms * UINT64_C(1000000));
}

QSYS(epoll_wait)
{
	return epoll_wait(s, deadline_ms(s->s_proc->p_k, qsys_int(s, 3)));
}

QSYS(epoll_pwait)
{
	int error;

	error = sigmask_in(s, 4, 5);
	if (error != 0)
		return error;
	return epoll_wait(s, deadline_ms(s->s_proc->p_k, qsys_int(s, 3)));
}

QSYS(epoll_pwait2)
{
	uint64_t deadline = QUERN_NEVER, ns;
	struct q_timespec t;
	int error;

	if (s->s_arg[3] != 0) {
		error = qsys_in(s, 3, &t, sizeof(t));
		if (error != 0)
			return error;
		if (!qtimespec_ns(&t, &ns))
			return -Q_EINVAL;
		deadline = ns == 0 ? 0 : qdeadline_in(s->s_proc->p_k, ns);
	}
	error = sigmask_in(s, 4, 5);
	return error != 0 ? error : epoll_wait(s, deadline);
}

/* ---- sets as files -------------------------------------------------------- */

/* A set is readable when one of its items is ready. */
static uint32_t
epoll_poll(struct qfile *f, struct qpollent *e)
{
	struct epoll *ep = f->f_obj;
	struct qlist list;
	struct item *it;
	uint32_t ready = 0;

	qpollq_add(&ep->ep_pollq, e, Q_POLLIN | Q_POLLRDNORM);
	qmutex_lock(&ep->ep_lock);
	take_list(ep, &list);
	while (ready == 0 && (it = next_ready(ep, &list)) != NULL)
		if (item_poll(it, NULL) != 0) {
			ready = Q_POLLIN | Q_POLLRDNORM;
			back_ready(it);
		}
	put_back(ep, &list);
	qmutex_unlock(&ep->ep_lock);
	return ready;
}

static void
epoll_release(struct qfile *f)
{
	struct epoll *ep = f->f_obj;
	uint32_t i;

	qmutex_lock(&ep->ep_lock);
	for (i = 0; i < ep->ep_buckets; i++)
		while (!qlist_empty(&ep->ep_hash[i]))
			remove_item(QLIST_ELEM(ep->ep_hash[i].l_next,
			    struct item, ei_hlink));
	qmutex_unlock(&ep->ep_lock);
	epoll_put(ep);
}

static const struct qfile_ops epoll_ops = {
	.fo_name = "epoll",
	.fo_poll = epoll_poll,
	.fo_seek = qfile_seek_nowhere,
	.fo_release = epoll_release,
};

static int64_t
do_create(struct qsys *s, uint32_t flags)
{
	struct epoll *ep;
	int error;

	ep = qzalloc(&tag_epoll, sizeof(*ep));
	if (ep == NULL)
		return -Q_ENOMEM;
	ep->ep_refs = 1;
	qmutex_init(&ep->ep_lock, "epoll");
	qspin_init(&ep->ep_slock);
	qlist_init(&ep->ep_ready);
	qwaitq_init(&ep->ep_wq);
	qpollq_init(&ep->ep_pollq);
	error = rehash(ep, BUCKETS_MIN);
	if (error == 0)
		error = qfile_create(s->s_proc->p_k, &epoll_ops, ep, Q_O_RDWR,
		    0, &ep->ep_file);
	if (error != 0) {
		qfree(ep->ep_hash);
		qfree(ep);
		return error;
	}
	return qfd_install(s->s_proc, ep->ep_file, flags);
}

QSYS(epoll_create)
{
	return qsys_int(s, 0) <= 0 ? -Q_EINVAL : do_create(s, 0);
}

QSYS(epoll_create1)
{
	uint32_t flags = qsys_uint(s, 0);

	if ((flags & ~Q_EPOLL_CLOEXEC) != 0)
		return -Q_EINVAL;
	return do_create(s, flags);
}
