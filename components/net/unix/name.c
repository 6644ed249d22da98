/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of unix sockets: paths, which are nodes of a file system (sockname.h), and
 * abstract ones, which begin with a 0 and are the kernel's own.
 */
#include "impl.h"

static const struct qtag tag_name = { "unix name" };

/* Automatic names are five digits of these. */
#define AUTO_MAX 0x100000u

int
name_check(const struct qsockaddr *a)
{
	if (a->sa_len <= PATH_AT || a->sa_len > sizeof(struct q_sockaddr_un) ||
	    a->sa_u.sa_family != Q_AF_UNIX)
		return -Q_EINVAL;
	return 0;
}

static bool
is_abstract(const struct uname *n)
{
	return n->n_addr.sun_path[0] == '\0';
}

/* A name with one reference.  A path ends at its 0, which counts. */
static int
name_make(const struct qsockaddr *a, struct uname **np)
{
	struct uname *n = qzalloc(&tag_name, sizeof(*n) + 1);
	uint32_t i;

	if (n == NULL)
		return -Q_ENOMEM;
	n->n_refs = 1;
	n->n_len = a->sa_len;
	__builtin_memcpy(&n->n_addr, a->sa_u.sa_bytes, a->sa_len);
	if (!is_abstract(n)) {
		for (i = PATH_AT; i < a->sa_len; i++)
			if (a->sa_u.sa_bytes[i] == '\0')
				break;
		n->n_len = i + 1;
	}
	*np = n;
	return 0;
}

void
name_put(struct uname *n)
{
	if (__atomic_sub_fetch(&n->n_refs, 1, __ATOMIC_ACQ_REL) == 0)
		qfree(n);
}

static struct uname *
load_name(const struct usock *u)
{
	return __atomic_load_n(&u->u_name, __ATOMIC_ACQUIRE);
}

void
name_addr(const struct usock *u, struct qsockaddr *a)
{
	const struct uname *n = load_name(u);
	uint16_t family = Q_AF_UNIX;

	a->sa_len = n != NULL ? n->n_len : sizeof(family);
	if (n == NULL)
		__builtin_memcpy(&a->sa_u, &family, sizeof(family));
	else
		__builtin_memcpy(&a->sa_u, &n->n_addr,
		    n->n_len < sizeof(n->n_addr) ? n->n_len :
						   sizeof(n->n_addr));
	/* A path of full length has its 0 behind the struct. */
	if (n != NULL && n->n_len > sizeof(n->n_addr))
		a->sa_u.sa_bytes[sizeof(n->n_addr)] = '\0';
}

/* ---- finding ----------------------------------------------------------------------- */

/* The socket of an abstract name and type.  [g] */
static struct usock *
find_abstract(struct unixes *ut, int type, const void *addr, uint32_t len)
{
	const struct uname *n;
	struct usock *u;
	struct qlist *l;

	QLIST_FOREACH(l, &ut->ut_names) {
		u = QLIST_ELEM(l, struct usock, u_named);
		n = u->u_name;
		if (u->u_so.so_type == type && n->n_len == len &&
		    is_abstract(n) &&
		    __builtin_memcmp(&n->n_addr, addr, len) == 0)
			return u;
	}
	return NULL;
}

/* The socket of a node.  [g] */
static struct usock *
find_node(struct unixes *ut, const void *key)
{
	struct usock *u;
	struct qlist *l;

	QLIST_FOREACH(l, &ut->ut_names) {
		u = QLIST_ELEM(l, struct usock, u_named);
		if (!is_abstract(u->u_name) && u->u_node.sn_key == key)
			return u;
	}
	return NULL;
}

static int
find_path(struct quern_proc *p, struct unixes *ut, const struct uname *n,
    struct usock **up)
{
	struct qsockname node;
	int error = qsockname_find(p, n->n_addr.sun_path, &node);

	if (error != 0)
		return error;
	qmutex_lock(&ut->ut_lock);
	*up = find_node(ut, node.sn_key);
	if (*up != NULL)
		usock_get(*up);
	qmutex_unlock(&ut->ut_lock);
	qsockname_put(ut->ut_k, &node);
	return 0;
}

int
name_find(struct quern_proc *p, int type, const struct qsockaddr *a,
    struct usock **up)
{
	struct unixes *ut = unixes_of(p->p_k);
	struct usock *u = NULL;
	struct uname *n;
	int error = name_make(a, &n);

	if (error != 0)
		return error;
	if (is_abstract(n)) {
		qmutex_lock(&ut->ut_lock);
		u = find_abstract(ut, type, &n->n_addr, n->n_len);
		if (u != NULL)
			usock_get(u);
		qmutex_unlock(&ut->ut_lock);
	} else {
		error = find_path(p, ut, n, &u);
	}
	name_put(n);
	if (error != 0)
		return error;
	if (u == NULL)
		return -Q_ECONNREFUSED;
	if (u->u_so.so_type != type) {
		usock_put(u);
		return -Q_EPROTOTYPE;
	}
	*up = u;
	return 0;
}

/* ---- binding ------------------------------------------------------------------------- */

/* The name is the socket's, with the reference.  [g] */
static void
take_name(struct unixes *ut, struct usock *u, struct uname *n)
{
	__atomic_store_n(&u->u_name, n, __ATOMIC_RELEASE);
	qlist_append(&ut->ut_names, &u->u_named);
}

int
name_auto(struct usock *u)
{
	static const char digits[] = "0123456789abcdef";
	struct unixes *ut = unixes_of(u->u_so.so_k);
	struct qsockaddr a = { .sa_len = PATH_AT + 6 };
	struct uname *n;
	uint32_t tries, i;
	int error;

	a.sa_u.sa_family = Q_AF_UNIX;
	error = name_make(&a, &n);
	if (error != 0)
		return error;
	qmutex_lock(&ut->ut_lock);
	if (u->u_name != NULL) {
		qmutex_unlock(&ut->ut_lock);
		name_put(n);
		return 0;
	}
	for (tries = 0; tries < AUTO_MAX; tries++) {
		ut->ut_auto = (ut->ut_auto + 1) % AUTO_MAX;
		for (i = 0; i < 5; i++)
			n->n_addr.sun_path[1 + i] =
			    digits[ut->ut_auto >> (16 - 4 * i) & 0xf];
		if (find_abstract(ut, u->u_so.so_type, &n->n_addr, n->n_len) ==
		    NULL)
			break;
	}
	if (tries == AUTO_MAX)
		error = -Q_ENOSPC;
	else
		take_name(ut, u, n);
	qmutex_unlock(&ut->ut_lock);
	if (error != 0)
		name_put(n);
	return error;
}

static int
bind_abstract(struct unixes *ut, struct usock *u, struct uname *n)
{
	int error = 0;

	qmutex_lock(&ut->ut_lock);
	if (u->u_name != NULL)
		error = -Q_EINVAL;
	else if (find_abstract(ut, u->u_so.so_type, &n->n_addr, n->n_len) !=
	    NULL)
		error = -Q_EADDRINUSE;
	else
		take_name(ut, u, n);
	qmutex_unlock(&ut->ut_lock);
	return error;
}

static int
bind_path(struct unixes *ut, struct usock *u, struct quern_proc *p,
    struct uname *n)
{
	struct qsockname node;
	int error;

	if (load_name(u) != NULL)
		return -Q_EINVAL;
	error = qsockname_make(p, n->n_addr.sun_path, &node);
	if (error != 0)
		return error;
	qmutex_lock(&ut->ut_lock);
	if (u->u_name != NULL) {
		/* Somebody was faster; the node stays, as in Linux it goes. */
		error = -Q_EINVAL;
	} else {
		u->u_node = node;
		take_name(ut, u, n);
	}
	qmutex_unlock(&ut->ut_lock);
	if (error != 0)
		qsockname_put(ut->ut_k, &node);
	return error;
}

int
unix_bind(struct qsock *so, struct quern_proc *p, const struct qsockaddr *a)
{
	struct unixes *ut = unixes_of(so->so_k);
	struct usock *u = usock_of(so);
	struct uname *n;
	int error;

	if (a->sa_len == PATH_AT && a->sa_u.sa_family == Q_AF_UNIX)
		return name_auto(u);
	error = name_check(a);
	if (error == 0)
		error = name_make(a, &n);
	if (error != 0)
		return error;
	error = is_abstract(n) ? bind_abstract(ut, u, n) :
				 bind_path(ut, u, p, n);
	if (error != 0)
		name_put(n);
	return error;
}

void
name_release(struct usock *u)
{
	struct unixes *ut = unixes_of(u->u_so.so_k);
	struct qsockname node = { .sn_key = NULL };

	qmutex_lock(&ut->ut_lock);
	if (u->u_name != NULL) {
		qlist_del(&u->u_named);
		if (!is_abstract(u->u_name))
			node = u->u_node;
	}
	qmutex_unlock(&ut->ut_lock);
	if (node.sn_key != NULL)
		qsockname_put(ut->ut_k, &node);
}
