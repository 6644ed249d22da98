/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * inotify: files that tell what happens to other files.
 *
 * A *watch* is one vnode in one inotify instance; it has a reference to the
 * vnode, and hangs on the vnode's list (v_watches, NULL while it is empty) and on
 * the instance's.  All lists are under one mutex of the kernel's, vf_watch, in
 * which no other lock is taken but those of memory.  An instance's queue of
 * events is under a spin lock of its own, for poll's sake.
 *
 * Whatever changes files calls the inline functions of impl.h, which cost a look
 * at fs_nwatch or v_watches while nobody watches.
 *
 * A watch ends by inotify_rm_watch, with its instance, when the last name of the
 * file and its last user have gone (watch_deleted), or with the file system.
 */
#include <quern/abi/inotify.h>
#include <quern/abi/ioctl.h>

#include "impl.h"

static const struct qtag tag_inotify = { "inotify" };
static const struct qtag tag_watch = { "inotify watch" };
static const struct qtag tag_event = { "inotify event" };

#define EVENTS_MAX 16384u

struct event {
	struct qlist e_link;
	struct q_inotify_event
	    e_head; /* `len` with the zeroes behind the name */
	uint32_t e_namelen;
	char e_name[];
};

struct inotify {
	struct vfs *in_vf;       /* [I] */
	struct qlist in_watches; /* [vf_watch] by w_link */
	int32_t in_next;         /* [vf_watch] the next watch's number */

	struct qwaitq in_wq; /* its lock is that of what follows */
	struct qlist in_events;
	uint32_t in_n;     /* events */
	uint64_t in_bytes; /* what reading all of them gives */
	uint32_t in_nwait;
	struct event
	    *in_over; /* to say that some are lost; NULL: in the queue */
	struct qpollq in_pollq;
};

struct watch {
	struct qlist w_link;  /* [vf_watch] in_watches */
	struct qlist w_vlink; /* [vf_watch] of the vnode */
	struct qlist w_all; /* [vf_watch] vf_watchlist; or those to be freed */
	struct inotify *w_in; /* [I] */
	struct qvnode *w_v;   /* [I] with a reference */
	int32_t w_wd;         /* [I] */
	uint32_t w_mask;      /* [vf_watch] Q_IN_* */
};

/* ---- the queue ------------------------------------------------------------------ */

static struct event *
event_make(int32_t wd, uint32_t mask, uint32_t cookie, const struct qname *n)
{
	uint32_t len = n != NULL ? n->n_len : 0;
	struct event *e = qalloc(&tag_event, sizeof(*e) + len);

	if (e == NULL)
		return NULL;
	e->e_head = (struct q_inotify_event){ wd, mask, cookie, 0 };
	e->e_namelen = len;
	if (len != 0) {
		memcpy(e->e_name, n->n_name, len);
		e->e_head.len = QROUNDUP(len + 1,
		    (uint32_t)sizeof(struct q_inotify_event));
	}
	return e;
}

static size_t
event_size(const struct event *e)
{
	return sizeof(e->e_head) + e->e_head.len;
}

static bool
event_same(const struct event *a, const struct event *b)
{
	return a->e_head.wd == b->e_head.wd &&
	    a->e_head.mask == b->e_head.mask &&
	    a->e_head.cookie == b->e_head.cookie &&
	    a->e_namelen == b->e_namelen &&
	    memcmp(a->e_name, b->e_name, a->e_namelen) == 0;
}

/* Put it into the queue; NULL: there was no memory, so it is lost. */
static void
event_put(struct inotify *in, struct event *e)
{
	struct event *last, *drop = NULL;
	bool wake = false;

	qspin_lock(&in->in_wq.w_lock);
	if (e == NULL || in->in_n >= EVENTS_MAX) {
		drop = e;
		e = in->in_over;
		in->in_over = NULL;
	}
	if (e != NULL && !qlist_empty(&in->in_events)) {
		last = QLIST_ELEM(in->in_events.l_prev, struct event, e_link);
		if (event_same(last, e)) {
			drop = e;
			e = NULL;
		}
	}
	if (e != NULL) {
		qlist_append(&in->in_events, &e->e_link);
		in->in_n++;
		in->in_bytes += event_size(e);
		wake = in->in_nwait != 0;
	}
	qspin_unlock(&in->in_wq.w_lock);
	qfree(drop);
	if (wake)
		(void)qwaitq_wake_all(&in->in_wq);
	if (e != NULL)
		qpollq_wake(&in->in_pollq, Q_POLLIN | Q_POLLRDNORM);
}

/* Take the first event, if it fits in `room`.  -EINVAL, -EAGAIN: there is none. */
static int
event_take(struct inotify *in, size_t room, struct event **ep)
{
	struct event *e;
	int error = 0;

	*ep = NULL;
	qspin_lock(&in->in_wq.w_lock);
	if (qlist_empty(&in->in_events)) {
		error = -Q_EAGAIN;
	} else {
		e = QLIST_ELEM(in->in_events.l_next, struct event, e_link);
		if (event_size(e) > room) {
			error = -Q_EINVAL;
		} else {
			qlist_del(&e->e_link);
			in->in_n--;
			in->in_bytes -= event_size(e);
			*ep = e;
		}
	}
	qspin_unlock(&in->in_wq.w_lock);
	return error;
}

/* Done with it.  That some were lost may have to be said again. */
static void
event_done(struct inotify *in, struct event *e)
{
	if (e->e_head.mask == Q_IN_Q_OVERFLOW) {
		qspin_lock(&in->in_wq.w_lock);
		qassert(in->in_over == NULL);
		in->in_over = e;
		qspin_unlock(&in->in_wq.w_lock);
		return;
	}
	qfree(e);
}

/* ---- watches -------------------------------------------------------------------- */

static struct qlist *
watches_of(struct qvnode *v)
{
	return v->v_watches;
}

/* End a watch, and say so; it goes to `gone`, for later.  [vf_watch] */
static void
watch_end(struct watch *w, struct qlist *gone)
{
	struct qvnode *v = w->w_v;

	event_put(w->w_in, event_make(w->w_wd, Q_IN_IGNORED, 0, NULL));
	qlist_del(&w->w_link);
	qlist_del(&w->w_vlink);
	qlist_del(&w->w_all);
	qlist_append(gone, &w->w_all);
	if (qlist_empty(watches_of(v))) {
		qfree(v->v_watches);
		__atomic_store_n(&v->v_watches, NULL, __ATOMIC_RELEASE);
	}
	__atomic_fetch_sub(&v->v_fs->fs_nwatch, 1, __ATOMIC_RELAXED);
}

/* Those that have ended: their vnodes may go too.  Without vf_watch. */
static void
watches_free(struct qlist *gone)
{
	struct qlist *l, *next;
	struct watch *w;

	QLIST_FOREACH_SAFE(l, next, gone) {
		w = QLIST_ELEM(l, struct watch, w_all);
		qvnode_put(w->w_v);
		qfree(w);
	}
}

void
watch_event(struct qvnode *v, uint32_t mask, const struct qname *n,
    uint32_t cookie)
{
	struct vfs *vf = vfs_of(v->v_fs->fs_k);
	uint32_t say = mask & ~(uint32_t)Q_IN_EXCL_UNLINK;
	struct qlist gone, *head, *l, *next;
	struct watch *w;

	qlist_init(&gone);
	qmutex_lock(&vf->vf_watch);
	head = watches_of(v);
	/* The last one to end takes its head along, so that is not looked at. */
	for (l = head != NULL ? head->l_next : head; l != head; l = next) {
		next = l->l_next;
		w = QLIST_ELEM(l, struct watch, w_vlink);
		if ((w->w_mask & mask & Q_IN_ALL_EVENTS) == 0 ||
		    (w->w_mask & mask & Q_IN_EXCL_UNLINK) != 0)
			continue;
		event_put(w->w_in, event_make(w->w_wd, say, cookie, n));
		if ((w->w_mask & Q_IN_ONESHOT) != 0)
			watch_end(w, &gone);
	}
	qmutex_unlock(&vf->vf_watch);
	watches_free(&gone);
}

void
watch_path(const struct qpath *at, uint32_t mask)
{
	struct qdentry *d = at->p_d, *up;
	struct qvnode *v = dentry_vnode(d), *pv;
	struct qname n = { .n_len = 0 };
	const struct qdname *dn;
	char name[QNAME_MAX];

	if (v == NULL)
		return;
	if (qvnode_isdir(v))
		mask |= Q_IN_ISDIR;
	qepoch_enter();
	up = __atomic_load_n(&d->d_parent, __ATOMIC_ACQUIRE);
	pv = up != d ? dentry_vnode(up) : NULL;
	if (pv == NULL || !vnode_watched(pv) || !dentry_tryget(up))
		up = NULL;
	if (up != NULL) {
		dn = __atomic_load_n(&d->d_name, __ATOMIC_ACQUIRE);
		n.n_name = name;
		n.n_len = dn->dn_len;
		memcpy(name, dn->dn_s, n.n_len);
	}
	qepoch_exit();
	if (up != NULL) {
		if ((dentry_flags(d) & QD_HASHED) == 0)
			mask |= Q_IN_EXCL_UNLINK;
		if (n.n_len != 0)
			watch_event(dentry_vnode(up), mask, &n, 0);
		dentry_put(up);
	}
	if (vnode_watched(v))
		watch_event(v, mask & ~(uint32_t)Q_IN_EXCL_UNLINK, NULL, 0);
}

uint32_t
watch_cookie(struct vfs *vf)
{
	return __atomic_add_fetch(&vf->vf_cookie, 1, __ATOMIC_RELAXED);
}

void
watch_deleted(struct qvnode *v)
{
	struct vfs *vf = vfs_of(v->v_fs->fs_k);
	struct qlist gone;

	qlist_init(&gone);
	watch_event(v, Q_IN_DELETE_SELF, NULL, 0);
	qmutex_lock(&vf->vf_watch);
	while (v->v_watches != NULL)
		watch_end(QLIST_ELEM(watches_of(v)->l_next, struct watch,
			      w_vlink),
		    &gone);
	qmutex_unlock(&vf->vf_watch);
	watches_free(&gone);
}

void
watch_unmounted(struct vfs *vf, struct qfs *fs)
{
	struct qlist gone, *l, *next;
	struct watch *w;

	if (__atomic_load_n(&fs->fs_nwatch, __ATOMIC_RELAXED) == 0)
		return;
	qlist_init(&gone);
	qmutex_lock(&vf->vf_watch);
	QLIST_FOREACH_SAFE(l, next, &vf->vf_watchlist) {
		w = QLIST_ELEM(l, struct watch, w_all);
		if (w->w_v->v_fs != fs)
			continue;
		event_put(w->w_in, event_make(w->w_wd, Q_IN_UNMOUNT, 0, NULL));
		watch_end(w, &gone);
	}
	qmutex_unlock(&vf->vf_watch);
	watches_free(&gone);
}

/* The instance's watch of a vnode, or NULL.  [vf_watch] */
static struct watch *
watch_find(struct inotify *in, struct qvnode *v)
{
	struct watch *w;
	struct qlist *l;

	if (v->v_watches == NULL)
		return NULL;
	QLIST_FOREACH(l, watches_of(v)) {
		w = QLIST_ELEM(l, struct watch, w_vlink);
		if (w->w_in == in)
			return w;
	}
	return NULL;
}

/* A new one: its number.  [vf_watch] */
static int
watch_add(struct inotify *in, struct qvnode *v, uint32_t mask)
{
	struct qlist *list = v->v_watches;
	struct watch *w;

	if (in->in_next == INT32_MAX)
		return -Q_ENOSPC;
	w = qzalloc(&tag_watch, sizeof(*w));
	if (w == NULL)
		return -Q_ENOMEM;
	if (list == NULL) {
		list = qalloc(&tag_watch, sizeof(*list));
		if (list == NULL) {
			qfree(w);
			return -Q_ENOMEM;
		}
		qlist_init(list);
		__atomic_store_n(&v->v_watches, list, __ATOMIC_RELEASE);
	}
	w->w_in = in;
	w->w_v = v;
	qvnode_ref(v);
	w->w_wd = in->in_next++;
	w->w_mask = mask;
	qlist_append(&in->in_watches, &w->w_link);
	qlist_append(list, &w->w_vlink);
	qlist_append(&in->in_vf->vf_watchlist, &w->w_all);
	__atomic_fetch_add(&v->v_fs->fs_nwatch, 1, __ATOMIC_RELAXED);
	return w->w_wd;
}

/* ---- the file ------------------------------------------------------------------- */

/* Wait for an event.  -EAGAIN, -EINTR. */
static int
wait_event(struct inotify *in, struct qfile *f, struct quio *u)
{
	int error = 0;

	qspin_lock(&in->in_wq.w_lock);
	while (qlist_empty(&in->in_events) && error == 0) {
		if (qfile_nowait(f, u)) {
			error = -Q_EAGAIN;
			break;
		}
		in->in_nwait++;
		error = qwaitq_sleep(&in->in_wq, &in->in_wq.w_lock, QSLEEP_INTR,
		    QUERN_NEVER);
		qspin_lock(&in->in_wq.w_lock);
		in->in_nwait--;
	}
	qspin_unlock(&in->in_wq.w_lock);
	return error;
}

static int
event_out(struct quio *u, const struct event *e)
{
	static const char zeroes[sizeof(struct q_inotify_event)];
	int error = quio_out(u, &e->e_head, sizeof(e->e_head));

	if (error == 0 && e->e_namelen != 0)
		error = quio_out(u, e->e_name, e->e_namelen);
	if (error == 0 && e->e_namelen != 0)
		error = quio_out(u, zeroes, e->e_head.len - e->e_namelen);
	return error;
}

static int64_t
inotify_read(struct qfile *f, struct quio *u)
{
	struct inotify *in = f->f_obj;
	size_t all = u->u_resid;
	struct event *e;
	int error;

	do {
		error = wait_event(in, f, u);
		if (error == 0)
			error = event_take(in, u->u_resid, &e);
	} while (error == -Q_EAGAIN && !qfile_nowait(f, u));
	while (error == 0) {
		error = event_out(u, e);
		event_done(in, e);
		if (error == 0)
			error = event_take(in, u->u_resid, &e);
	}
	return all != u->u_resid && error != -Q_EFAULT ?
	    (int64_t)(all - u->u_resid) :
	    error;
}

static uint32_t
inotify_poll(struct qfile *f, struct qpollent *ent)
{
	struct inotify *in = f->f_obj;
	uint32_t ready;

	qpollq_add(&in->in_pollq, ent, Q_POLLIN | Q_POLLRDNORM);
	qspin_lock(&in->in_wq.w_lock);
	ready = qlist_empty(&in->in_events) ? 0 : Q_POLLIN | Q_POLLRDNORM;
	qspin_unlock(&in->in_wq.w_lock);
	return ready;
}

static int64_t
inotify_ioctl(struct qfile *f, struct qsys *s, uint32_t cmd, uint64_t arg)
{
	struct inotify *in = f->f_obj;
	int32_t n;

	if (cmd != Q_FIONREAD)
		return -Q_ENOTTY;
	qspin_lock(&in->in_wq.w_lock);
	n = (int32_t)in->in_bytes;
	qspin_unlock(&in->in_wq.w_lock);
	return qcopyout(s->s_us, arg, &n, sizeof(n));
}

static void
inotify_free(struct inotify *in)
{
	struct qlist *l, *next;

	QLIST_FOREACH_SAFE(l, next, &in->in_events)
		qfree(QLIST_ELEM(l, struct event, e_link));
	qfree(in->in_over);
	qfree(in);
}

static void
inotify_release(struct qfile *f)
{
	struct inotify *in = f->f_obj;
	struct qlist gone;

	qlist_init(&gone);
	qmutex_lock(&in->in_vf->vf_watch);
	while (!qlist_empty(&in->in_watches))
		watch_end(QLIST_ELEM(in->in_watches.l_next, struct watch,
			      w_link),
		    &gone);
	qmutex_unlock(&in->in_vf->vf_watch);
	watches_free(&gone);
	inotify_free(in);
}

static const struct qfile_ops inotify_ops = {
	.fo_name = "inotify",
	.fo_read = inotify_read,
	.fo_poll = inotify_poll,
	.fo_ioctl = inotify_ioctl,
	.fo_seek = qfile_seek_nowhere,
	.fo_release = inotify_release,
};

static int64_t
do_init(struct qsys *s, uint32_t flags)
{
	struct inotify *in = qzalloc(&tag_inotify, sizeof(*in));
	struct qfile *f;
	int error;

	if (in == NULL)
		return -Q_ENOMEM;
	in->in_vf = vfs_of(s->s_proc->p_k);
	in->in_next = 1;
	qlist_init(&in->in_watches);
	qlist_init(&in->in_events);
	qwaitq_init(&in->in_wq);
	qpollq_init(&in->in_pollq);
	in->in_over = event_make(-1, Q_IN_Q_OVERFLOW, 0, NULL);
	error = in->in_over == NULL ?
	    -Q_ENOMEM :
	    qfile_create(s->s_proc->p_k, &inotify_ops, in,
		Q_O_RDONLY | (flags & Q_IN_NONBLOCK), QF_NOWAIT, &f);
	if (error != 0) {
		inotify_free(in);
		return error;
	}
	return qfd_install(s->s_proc, f, flags & Q_IN_CLOEXEC);
}

QSYS(inotify_init)
{
	return do_init(s, 0);
}

QSYS(inotify_init1)
{
	uint32_t flags = qsys_uint(s, 0);

	if ((flags & ~(uint32_t)(Q_IN_CLOEXEC | Q_IN_NONBLOCK)) != 0)
		return -Q_EINVAL;
	return do_init(s, flags);
}

/* The instance that is a descriptor's file, with a reference in *fp. */
static int
instance(struct qsys *s, struct qfile **fp)
{
	struct qfile *f = qfd_get(s->s_proc, qsys_int(s, 0));

	if (f == NULL)
		return -Q_EBADF;
	if (f->f_ops != &inotify_ops) {
		qfile_put(f);
		return -Q_EINVAL;
	}
	*fp = f;
	return 0;
}

#define ADD_BITS                                                              \
	(Q_IN_ALL_EVENTS | Q_IN_UNMOUNT | Q_IN_Q_OVERFLOW | Q_IN_IGNORED |    \
	    Q_IN_ISDIR | Q_IN_ONLYDIR | Q_IN_DONT_FOLLOW | Q_IN_EXCL_UNLINK | \
	    Q_IN_MASK_CREATE | Q_IN_MASK_ADD | Q_IN_ONESHOT)

#define KEPT_BITS (Q_IN_ALL_EVENTS | Q_IN_EXCL_UNLINK | Q_IN_ONESHOT)

/* Watch `v` too, or otherwise than before: the watch's number. */
static int
add_or_change(struct inotify *in, struct qvnode *v, uint32_t mask)
{
	struct watch *w;
	int wd;

	qmutex_lock(&in->in_vf->vf_watch);
	w = watch_find(in, v);
	if (w == NULL) {
		wd = watch_add(in, v, mask & KEPT_BITS);
	} else if ((mask & Q_IN_MASK_CREATE) != 0) {
		wd = -Q_EEXIST;
	} else {
		if ((mask & Q_IN_MASK_ADD) == 0)
			w->w_mask = 0;
		w->w_mask |= mask & KEPT_BITS;
		wd = w->w_wd;
	}
	qmutex_unlock(&in->in_vf->vf_watch);
	return wd;
}

QSYS(inotify_add_watch)
{
	uint32_t mask = qsys_uint(s, 2);
	unsigned walk = 0;
	struct qfile *f;
	struct qpath at;
	int error;

	if ((mask & ADD_BITS) == 0 || (mask & ~(uint32_t)ADD_BITS) != 0)
		return -Q_EINVAL;
	error = instance(s, &f);
	if (error != 0)
		return error;
	if ((mask & Q_IN_MASK_ADD) != 0 && (mask & Q_IN_MASK_CREATE) != 0) {
		qfile_put(f);
		return -Q_EINVAL;
	}
	if ((mask & Q_IN_DONT_FOLLOW) == 0)
		walk |= QWALK_FOLLOW;
	if ((mask & Q_IN_ONLYDIR) != 0)
		walk |= QWALK_DIRECTORY;
	error = qvfs_walk_arg(s, Q_AT_FDCWD, 1, walk, &at);
	if (error == 0) {
		error = may_access(dentry_vnode(at.p_d), s->s_proc, QACC_READ);
		if (error == 0)
			error = add_or_change(f->f_obj, dentry_vnode(at.p_d),
			    mask);
		qpath_put(&at);
	}
	qfile_put(f);
	return error;
}

QSYS(inotify_rm_watch)
{
	int32_t wd = qsys_int(s, 1);
	struct watch *w, *it = NULL;
	struct qlist gone, *l;
	struct inotify *in;
	struct qfile *f;
	int error = instance(s, &f);

	if (error != 0)
		return error;
	in = f->f_obj;
	qlist_init(&gone);
	qmutex_lock(&in->in_vf->vf_watch);
	QLIST_FOREACH(l, &in->in_watches) {
		w = QLIST_ELEM(l, struct watch, w_link);
		if (w->w_wd == wd)
			it = w;
	}
	if (it != NULL)
		watch_end(it, &gone);
	qmutex_unlock(&in->in_vf->vf_watch);
	watches_free(&gone);
	qfile_put(f);
	return it != NULL ? 0 : -Q_EINVAL;
}
