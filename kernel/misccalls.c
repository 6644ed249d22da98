/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls that belong nowhere else: uname, sysinfo, getrandom, sched_yield,
 * limits.
 */
#include "callimpl.h"

#include <quern/abi/random.h>
#include <quern/abi/sysinfo.h>
#include <quern/abi/utsname.h>

/* Bytes that are asked of the host at a time. */
#define RANDOM_CHUNK 256u

QSYS(uname)
{
	struct quern *k = s->s_proc->p_k;
	struct q_utsname u;

	memset(&u, 0, sizeof(u));
	qsnprintf(u.sysname, sizeof(u.sysname), "Linux");
	qspin_lock(&k->k_uts);
	qsnprintf(u.nodename, sizeof(u.nodename), "%s", k->k_host);
	qsnprintf(u.release, sizeof(u.release), QUTS_RELEASE);
	qsnprintf(u.version, sizeof(u.version), QUTS_VERSION);
	qsnprintf(u.machine, sizeof(u.machine), "x86_64");
	qsnprintf(u.domainname, sizeof(u.domainname), "%s", k->k_domain);
	qspin_unlock(&k->k_uts);
	return qsys_out(s, 0, &u, sizeof(u));
}

void
qhostname(struct quern *k, bool domain, char buf[QHOST_NAMELEN])
{
	qspin_lock(&k->k_uts);
	memcpy(buf, domain ? k->k_domain : k->k_host, QHOST_NAMELEN);
	qspin_unlock(&k->k_uts);
}

void
qhostname_set(struct quern *k, bool domain, const char *name, size_t len)
{
	char *to = domain ? k->k_domain : k->k_host;

	qassert(len < QHOST_NAMELEN);
	qspin_lock(&k->k_uts);
	memset(to, 0, QHOST_NAMELEN);
	memcpy(to, name, len);
	qspin_unlock(&k->k_uts);
}

static int64_t
set_hostname(const struct qsys *s, bool domain)
{
	char name[QHOST_NAMELEN];
	int len = qsys_int(s, 1), error;

	if (!qproc_capable(s->s_proc, Q_CAP_SYS_ADMIN))
		return -Q_EPERM;
	if (len < 0 || (size_t)len >= sizeof(name))
		return -Q_EINVAL;
	error = qsys_in(s, 0, name, (size_t)len);
	if (error == 0)
		qhostname_set(s->s_proc->p_k, domain, name, (size_t)len);
	return error;
}

QSYS(sethostname)
{
	return set_hostname(s, false);
}

QSYS(setdomainname)
{
	return set_hostname(s, true);
}

uint64_t
qclock_boot(const struct quern *k)
{
	return k->k_born;
}

void
qsysinfo_hook(struct quern *k, void (*fn)(void *arg, struct q_sysinfo *info),
    void *arg)
{
	k->k_calls->ct_sysinfo_arg = arg;
	__atomic_store_n(&k->k_calls->ct_sysinfo, fn, __ATOMIC_RELEASE);
}

QSYS(sysinfo)
{
	void (*more)(void *, struct q_sysinfo *);
	struct quern *k = s->s_proc->p_k;
	uint64_t total, free;
	struct q_sysinfo info;
	uint32_t n;

	memset(&info, 0, sizeof(info));
	page_stats(k, &total, &free);
	info.uptime = (int64_t)((qclock_mono(k) - k->k_born) /
	    UINT64_C(1000000000));
	info.totalram = total * QUERN_PAGE_SIZE;
	info.freeram = free * QUERN_PAGE_SIZE;
	n = __atomic_load_n(&k->k_calls->ct_nproc, __ATOMIC_RELAXED);
	info.procs = (uint16_t)n;
	info.mem_unit = 1;
	more = __atomic_load_n(&k->k_calls->ct_sysinfo, __ATOMIC_ACQUIRE);
	if (more != NULL)
		more(k->k_calls->ct_sysinfo_arg, &info);
	return qsys_out(s, 0, &info, sizeof(info));
}

QSYS(sched_yield)
{
	(void)s;
	qthread_yield();
	return 0;
}

QSYS(getrandom)
{
	uint32_t flags = qsys_uint(s, 2);
	struct quern *k = s->s_proc->p_k;
	char buf[RANDOM_CHUNK];
	struct quio u;
	size_t n;
	int64_t done = 0;
	int error;

	if ((flags & ~(Q_GRND_NONBLOCK | Q_GRND_RANDOM | Q_GRND_INSECURE)) != 0)
		return -Q_EINVAL;
	if ((flags & (Q_GRND_INSECURE | Q_GRND_RANDOM)) ==
	    (Q_GRND_INSECURE | Q_GRND_RANDOM))
		return -Q_EINVAL;
	error = quio_init(&u, s->s_us, s->s_arg[0], s->s_arg[1]);
	while (error == 0 && u.u_resid > 0) {
		n = u.u_resid < sizeof(buf) ? u.u_resid : sizeof(buf);
		error = k->k_hyper->random(k->k_ctx, buf, n);
		if (error == 0)
			error = quio_out(&u, buf, n);
		if (error == 0)
			done += (int64_t)n;
	}
	memset(buf, 0, sizeof(buf));
	__asm__ volatile("" : : "r"(buf) : "memory"); /* keeps the memset */
	return done != 0 ? done : error;
}

/* ---- limits --------------------------------------------------------------- */

/* A limit of descriptors as the table wants it. */
static void
set_nofile(struct quern_proc *p)
{
	uint64_t n = p->p_rlim[Q_RLIMIT_NOFILE].rlim_cur;

	__atomic_store_n(&p->p_nofile, n < FILE_MAX ? (uint32_t)n : FILE_MAX,
	    __ATOMIC_RELAXED);
}

/* Exchange a limit; `new` or `old` may be NULL. */
static int
do_limit(struct quern_proc *self, struct quern_proc *p, uint32_t what,
    const struct q_rlimit *new, struct q_rlimit *old)
{
	struct q_rlimit *lim = &p->p_rlim[what];
	int error = 0;

	if (new != NULL &&new->rlim_cur > new->rlim_max)
		return -Q_EINVAL;
	if (new != NULL && what == Q_RLIMIT_NOFILE &&new->rlim_max > FILE_MAX)
		return -Q_EPERM;
	qmutex_lock(&p->p_lock);
	if (new != NULL &&new->rlim_max > lim->rlim_max &&
	    !qproc_capable(self, Q_CAP_SYS_RESOURCE))
		error = -Q_EPERM;
	if (error == 0) {
		if (old != NULL)
			*old = *lim;
		if (new != NULL)
			*lim = *new;
		if (what == Q_RLIMIT_NOFILE)
			set_nofile(p);
	}
	qmutex_unlock(&p->p_lock);
	return error;
}

QSYS(getrlimit)
{
	uint32_t what = qsys_uint(s, 0);
	struct q_rlimit lim;

	if (what >= Q_RLIM_NLIMITS)
		return -Q_EINVAL;
	(void)do_limit(s->s_proc, s->s_proc, what, NULL, &lim);
	return qsys_out(s, 1, &lim, sizeof(lim));
}

QSYS(setrlimit)
{
	uint32_t what = qsys_uint(s, 0);
	struct q_rlimit lim;
	int error;

	error = qsys_in(s, 1, &lim, sizeof(lim));
	if (error != 0)
		return error;
	if (what >= Q_RLIM_NLIMITS)
		return -Q_EINVAL;
	return do_limit(s->s_proc, s->s_proc, what, &lim, NULL);
}

/* Is `id` what all three of `ids` are? */
static bool
all_are(const uint32_t *ids, const uint32_t *id)
{
	uint32_t x = __atomic_load_n(id, __ATOMIC_RELAXED);
	unsigned i;

	for (i = 0; i < 3; i++)
		if (__atomic_load_n(&ids[i], __ATOMIC_RELAXED) != x)
			return false;
	return true;
}

/* May `self` see and change the limits of `p`?  [p] */
static bool
same_user(struct quern_proc *self, struct quern_proc *p)
{
	return self == p || qproc_capable(self, Q_CAP_SYS_RESOURCE) ||
	    (all_are(&p->p_cred.c_uid, &self->p_cred.c_uid) &&
		all_are(&p->p_cred.c_gid, &self->p_cred.c_gid));
}

QSYS(prlimit64)
{
	uint32_t pid = qsys_uint(s, 0), what = qsys_uint(s, 1);
	struct quern_proc *self = s->s_proc, *p = self;
	struct q_rlimit new, old;
	int error = 0;

	if (s->s_arg[2] != 0)
		error = qsys_in(s, 2, &new, sizeof(new));
	if (error != 0)
		return error;
	qproc_lock_all(self->p_k);
	if (pid != 0 && pid != self->p_pid)
		p = qproc_find(self->p_k, pid);
	if (p == NULL)
		error = -Q_ESRCH;
	else if (!same_user(self, p))
		error = -Q_EPERM;
	else if (what >= Q_RLIM_NLIMITS)
		error = -Q_EINVAL;
	else
		error = do_limit(self, p, what, s->s_arg[2] ? &new : NULL,
		    &old);
	qproc_unlock_all(self->p_k);
	if (error == 0 && s->s_arg[3] != 0)
		error = qsys_out(s, 3, &old, sizeof(old));
	return error;
}
