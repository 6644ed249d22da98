/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * User memory: local clients, and vectors of buffers.
 *
 * A local client's pointer is ours.  NULL, and what can't be an address of a
 * program's, is -EFAULT; another wild pointer faults as in any library.
 */
#include <quern/uspace.h>

#include <quern/slab.h>

static const struct qtag tag_iov = { "iovec" };

static int
local_in(const struct quspace *us, void *dst, quaddr_t src, size_t len)
{
	(void)us;
	return qcopyin(&quspace_local, dst, src, len);
}

static int
local_out(const struct quspace *us, quaddr_t dst, const void *src, size_t len)
{
	(void)us;
	return qcopyout(&quspace_local, dst, src, len);
}

static int64_t
local_str(const struct quspace *us, char *dst, quaddr_t src, size_t max)
{
	const char *s = (const char *)(uintptr_t)src;
	size_t i;

	(void)us;
	if (!quaddr_maybe(src, 1))
		return -Q_EFAULT;
	for (i = 0; i < max; i++)
		if ((dst[i] = s[i]) == '\0')
			return (int64_t)i;
	return -Q_ENAMETOOLONG;
}

static const struct quspace_ops local_ops = {
	.uo_in = local_in,
	.uo_out = local_out,
	.uo_str = local_str,
};

const struct quspace quspace_local = { &local_ops };

/* Check the copied elements and add them up as Linux does. */
static int
add_up(struct quio *u, const struct q_iovec *iov, uint32_t n)
{
	uint32_t i;
	size_t total = 0;

	for (i = 0; i < n; i++) {
		if ((int64_t)iov[i].iov_len < 0)
			return -Q_EINVAL;
		if (!quaddr_ok((uintptr_t)iov[i].iov_base, iov[i].iov_len))
			return -Q_EFAULT;
		if (iov[i].iov_len > QUIO_MAX - total)
			total = QUIO_MAX;
		else
			total += iov[i].iov_len;
	}
	u->u_resid = total;
	return 0;
}

int
quio_import(struct quio *u, const struct quspace *us, quaddr_t iov, uint64_t n)
{
	struct q_iovec *v = u->u_fast;
	int error;

	u->u_heap = NULL;
	if (n > Q_UIO_MAXIOV)
		return -Q_EINVAL;
	if (n > QUIO_FAST) {
		v = u->u_heap = qalloc(&tag_iov, n * sizeof(*v));
		if (v == NULL)
			return -Q_ENOMEM;
	}
	error = qcopyin(us, v, iov, n * sizeof(*v));
	if (error == 0)
		error = add_up(u, v, (uint32_t)n);
	if (error != 0) {
		quio_fini(u);
		return error;
	}
	if (n == 0)
		v[0].iov_len = 0;
	u->u_us = us;
	u->u_iov = v;
	u->u_done = 0;
	u->u_off = 0;
	u->u_flags = 0;
	u->u_niov = n != 0 ? (uint32_t)n : 1;
	return 0;
}

void
quio_fini(struct quio *u)
{
	qfree(u->u_heap);
	u->u_heap = NULL;
}

/* How much of `len` fits the current element; steps over used-up ones. */
static size_t
current_room(struct quio *u, size_t len)
{
	size_t room;

	while (u->u_done == u->u_iov->iov_len) {
		qassert(u->u_niov > 1);
		u->u_iov++;
		u->u_niov--;
		u->u_done = 0;
	}
	room = u->u_iov->iov_len - u->u_done;
	return len < room ? len : room;
}

int
quio_out_slow(struct quio *u, const void *src, size_t len)
{
	size_t n;
	int error;

	qassert(len <= u->u_resid);
	for (; len > 0; len -= n) {
		n = current_room(u, len);
		error = quio_out(u, src, n);
		if (error != 0)
			return error;
		src = (const char *)src + n;
	}
	return 0;
}

int
quio_in_slow(struct quio *u, void *dst, size_t len)
{
	size_t n;
	int error;

	qassert(len <= u->u_resid);
	for (; len > 0; len -= n) {
		n = current_room(u, len);
		error = quio_in(u, dst, n);
		if (error != 0)
			return error;
		dst = (char *)dst + n;
	}
	return 0;
}
