/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory of a space as user memory: copyin and copyout.
 *
 * The kernel reaches pages through its own mapping of RAM.  Which page it is is
 * looked up, and the page used, with pm_lock held: so it can't go meanwhile.  What
 * is not there, or may not be stored to yet, is faulted in, as if the program had
 * touched it.
 */
#include "impl.h"

static struct qvmmap *
map_of(const struct quspace *us)
{
	return QCONTAINER(us, struct qvmmap, m_us);
}

/* What of [va, va + len) is in the first page. */
static inline size_t
in_page(uint64_t va, size_t len)
{
	size_t n = (size_t)(PAGE_SIZE - (va & PAGE_MASK));

	return n < len ? n : len;
}

/* Have a page there.  0 or -EFAULT. */
static int
fault_in(struct qvmmap *m, uint64_t va, unsigned access)
{
	struct vm *vm = m->m_vm;
	int error;

	do
		error = qvm_fault(m, va, access, NULL);
	while (error == -Q_ENOMEM && vm->vm_oom != NULL &&
	    vm->vm_oom(vm->vm_oomarg));
	return error != 0 ? -Q_EFAULT : 0;
}

int
qvm_load32(struct qvmmap *m, uint64_t addr, uint32_t *value)
{
	const uint32_t *p;

	if (!quaddr_ok(addr, sizeof(*p)) || addr % sizeof(*p) != 0)
		return -Q_EFAULT;
	do {
		qspin_lock(&m->pm_lock);
		p = pmap_data(m, addr, QVM_READ);
		if (p != NULL)
			*value = __atomic_load_n(p, __ATOMIC_SEQ_CST);
		qspin_unlock(&m->pm_lock);
		if (p == NULL && fault_in(m, addr, QVM_READ) != 0)
			return -Q_EFAULT;
	} while (p == NULL);
	return 0;
}

static int
vm_in(const struct quspace *us, void *dst, quaddr_t src, size_t len)
{
	struct qvmmap *m = map_of(us);
	const void *p;
	size_t n;

	if (!quaddr_ok(src, len))
		return -Q_EFAULT;
	while (len > 0) {
		n = in_page(src, len);
		qspin_lock(&m->pm_lock);
		p = pmap_data(m, src, QVM_READ);
		if (p != NULL)
			memcpy(dst, p, n);
		qspin_unlock(&m->pm_lock);
		if (p == NULL) {
			if (fault_in(m, src, QVM_READ) != 0)
				return -Q_EFAULT;
			continue;
		}
		src += n;
		dst = (char *)dst + n;
		len -= n;
	}
	return 0;
}

static int
vm_out(const struct quspace *us, quaddr_t dst, const void *src, size_t len)
{
	struct qvmmap *m = map_of(us);
	void *p;
	size_t n;

	if (!quaddr_ok(dst, len))
		return -Q_EFAULT;
	while (len > 0) {
		n = in_page(dst, len);
		qspin_lock(&m->pm_lock);
		p = pmap_data(m, dst, QVM_WRITE);
		if (p != NULL)
			memcpy(p, src, n);
		qspin_unlock(&m->pm_lock);
		if (p == NULL) {
			if (fault_in(m, dst, QVM_WRITE) != 0)
				return -Q_EFAULT;
			continue;
		}
		dst += n;
		src = (const char *)src + n;
		len -= n;
	}
	return 0;
}

/* Copy up to a 0 or `n` bytes; how many, the 0 too. */
static size_t
copy_str(char *dst, const char *src, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if ((dst[i] = src[i]) == '\0')
			return i + 1;
	return n;
}

static int64_t
vm_str(const struct quspace *us, char *dst, quaddr_t src, size_t max)
{
	struct qvmmap *m = map_of(us);
	size_t done = 0, n;
	const char *p;

	while (done < max) {
		if (!quaddr_ok(src + done, 1))
			return -Q_EFAULT;
		n = in_page(src + done, max - done);
		qspin_lock(&m->pm_lock);
		p = pmap_data(m, src + done, QVM_READ);
		if (p != NULL)
			n = copy_str(dst + done, p, n);
		qspin_unlock(&m->pm_lock);
		if (p == NULL) {
			if (fault_in(m, src + done, QVM_READ) != 0)
				return -Q_EFAULT;
			continue;
		}
		done += n;
		if (dst[done - 1] == '\0')
			return (int64_t)done - 1;
	}
	return -Q_ENAMETOOLONG;
}

const struct quspace_ops vm_uspace_ops = {
	.uo_in = vm_in,
	.uo_out = vm_out,
	.uo_str = vm_str,
};

const struct quspace *
qvm_uspace(struct qvmmap *m)
{
	return &m->m_us;
}
