/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What goes with messages: files (SCM_RIGHTS) and credentials (SCM_CREDENTIALS).
 */
#include "impl.h"

static const struct qtag tag_rights = { "files in flight" };

void
files_put(struct ufiles *f)
{
	uint32_t i;

	if (f == NULL)
		return;
	for (i = 0; i < f->uf_n; i++)
		qfile_put(f->uf_file[i]);
	qfree(f);
}

/* ---- sending ------------------------------------------------------------------------ */

/* Add the files of descriptors. */
static int
add_files(struct qmsg *m, const char *data, size_t len, struct urights *r)
{
	size_t n = len / sizeof(int32_t), i;
	struct ufiles *f = r->r_files;
	struct qfile *file;
	int32_t fd;

	if (n == 0)
		return 0;
	if (f == NULL) {
		f = qalloc(&tag_rights,
		    sizeof(*f) + FILES_MAX * sizeof(f->uf_file[0]));
		if (f == NULL)
			return -Q_ENOMEM;
		f->uf_n = 0;
		r->r_files = f;
	}
	if (n > FILES_MAX - f->uf_n)
		return -Q_EINVAL;
	for (i = 0; i < n; i++) {
		__builtin_memcpy(&fd, data + i * sizeof(fd), sizeof(fd));
		file = fd >= 0 ? qfd_get_path(m->m_proc, fd) : NULL;
		if (file == NULL)
			return -Q_EBADF;
		f->uf_file[f->uf_n++] = file;
	}
	return 0;
}

/* May `p` say that it is that? */
static int
check_cred(struct quern_proc *p, const struct q_ucred *u)
{
	const struct qcred *c = &p->p_cred;
	int error = 0;

	qmutex_lock(&p->p_lock);
	if ((u->pid != (int32_t)p->p_pid &&
		!qproc_capable(p, Q_CAP_SYS_ADMIN)) ||
	    (u->uid != c->c_uid && u->uid != c->c_euid && u->uid != c->c_suid &&
		!qproc_capable(p, Q_CAP_SETUID)) ||
	    (u->gid != c->c_gid && u->gid != c->c_egid && u->gid != c->c_sgid &&
		!qproc_capable(p, Q_CAP_SETGID)))
		error = -Q_EPERM;
	qmutex_unlock(&p->p_lock);
	if (error == 0 && u->pid != (int32_t)p->p_pid) {
		qproc_lock_all(p->p_k);
		if (qproc_find(p->p_k, (uint32_t)u->pid) == NULL)
			error = -Q_ESRCH;
		qproc_unlock_all(p->p_k);
	}
	return error;
}

static int
take_control(struct qmsg *m, const struct q_cmsghdr *h, const char *data,
    struct urights *r)
{
	size_t len = h->cmsg_len - sizeof(*h);

	if (h->cmsg_level != Q_SOL_SOCKET)
		return 0;
	switch (h->cmsg_type) {
	case Q_SCM_RIGHTS:
		return add_files(m, data, len, r);
	case Q_SCM_CREDENTIALS:
		if (len != sizeof(r->r_ucred))
			return -Q_EINVAL;
		__builtin_memcpy(&r->r_ucred, data, len);
		r->r_cred = true;
		return check_cred(m->m_proc, &r->r_ucred);
	default:
		return -Q_EINVAL;
	}
}

int
rights_in(struct usock *u, struct qmsg *m, struct urights *r)
{
	struct unixes *ut = unixes_of(u->u_so.so_k);
	struct q_cmsghdr h;
	size_t at = 0;
	int error = 0;

	r->r_files = NULL;
	r->r_cred = false;
	while (
	    error == 0 && m->m_ctllen - at >= sizeof(h) && at < m->m_ctllen) {
		__builtin_memcpy(&h, m->m_ctl + at, sizeof(h));
		if (h.cmsg_len < sizeof(h) || h.cmsg_len > m->m_ctllen - at)
			error = -Q_EINVAL;
		else
			error = take_control(m, &h, m->m_ctl + at + sizeof(h),
			    r);
		at += QROUNDUP(h.cmsg_len, sizeof(size_t));
		if (at > m->m_ctllen)
			break;
	}
	if (error == 0 && r->r_files != NULL) {
		error = flight_begin(ut, r->r_files, m->m_proc);
		if (error == 0)
			return 0;
	}
	if (error != 0) {
		files_put(r->r_files);
		r->r_files = NULL;
	}
	return error;
}

void
rights_send(struct usock *u, struct usock *to, struct urights *r,
    struct umsg *um)
{
	struct quern_proc *p = qproc_current();

	um->um_files = r->r_files;
	r->r_files = NULL;
	if (r->r_cred) {
		um->um_cred = r->r_ucred;
	} else if (p != NULL &&
	    (qsock_has(&u->u_so, QSO_PASSCRED) ||
		qsock_has(&to->u_so, QSO_PASSCRED) ||
		__atomic_load_n(&to->u_so.so_file, __ATOMIC_RELAXED) == NULL)) {
		um->um_cred.pid = (int32_t)p->p_pid;
		um->um_cred.uid = __atomic_load_n(&p->p_cred.c_uid,
		    __ATOMIC_RELAXED);
		um->um_cred.gid = __atomic_load_n(&p->p_cred.c_gid,
		    __ATOMIC_RELAXED);
	}
}

void
rights_drop(struct urights *r)
{
	if (r->r_files == NULL)
		return;
	flight_end(unixes_of(r->r_files->uf_file[0]->f_k), r->r_files);
	files_put(r->r_files);
	r->r_files = NULL;
}

/* ---- receiving -------------------------------------------------------------------------- */

int
rights_take(struct umsg *um, bool peek, struct ufiles **fp)
{
	struct ufiles *from = um->um_files, *f = from;
	uint32_t i;

	if (!peek) {
		/* In flight until it is told so, when u_lock is not held. */
		um->um_files = NULL;
		*fp = from;
		return 0;
	}
	f = qalloc(&tag_rights,
	    sizeof(*f) + from->uf_n * sizeof(f->uf_file[0]));
	if (f == NULL)
		return -Q_ENOMEM;
	f->uf_n = from->uf_n;
	for (i = 0; i < f->uf_n; i++) {
		f->uf_file[i] = from->uf_file[i];
		qfile_get(f->uf_file[i]);
	}
	*fp = f;
	return 0;
}

/* Give files descriptors, as many as there is room to tell of. */
static int
install(struct qmsg *m, struct ufiles *f)
{
	size_t room = m->m_ctlroom - m->m_ctlused, max, i = 0;
	uint32_t flags = (m->m_flags & Q_MSG_CMSG_CLOEXEC) != 0 ? Q_O_CLOEXEC :
								  0;
	int32_t fd[FILES_MAX];
	int error = 0, n;

	max = room > sizeof(struct q_cmsghdr) ?
	    (room - sizeof(struct q_cmsghdr)) / sizeof(fd[0]) :
	    0;
	for (i = 0; i < f->uf_n && i < max; i++) {
		n = qfd_reserve(m->m_proc, 0, flags);
		if (n < 0)
			break;
		fd[i] = n;
	}
	if (i < f->uf_n)
		m->m_flags |= Q_MSG_CTRUNC;
	max = i;
	if (max > 0)
		error = qmsg_put(m, Q_SOL_SOCKET, Q_SCM_RIGHTS, fd,
		    max * sizeof(fd[0]));
	for (i = 0; i < max; i++) {
		if (error != 0) {
			qfd_cancel(m->m_proc, fd[i]);
			continue;
		}
		qfile_get(f->uf_file[i]);
		qfd_commit(m->m_proc, fd[i], f->uf_file[i]);
	}
	return error;
}

int
rights_out(struct usock *u, struct qmsg *m, const struct q_ucred *cred,
    struct ufiles *files, bool peek, bool failed)
{
	int error = 0;

	if (files != NULL && !peek)
		flight_end(unixes_of(u->u_so.so_k), files);
	if (failed) {
		;
	} else if (m->m_ctlroom == 0) {
		if (cred != NULL || files != NULL)
			m->m_flags |= Q_MSG_CTRUNC;
	} else {
		if (cred != NULL)
			error = qmsg_put(m, Q_SOL_SOCKET, Q_SCM_CREDENTIALS,
			    cred, sizeof(*cred));
		if (files != NULL && error == 0)
			error = install(m, files);
	}
	files_put(files);
	return error;
}
