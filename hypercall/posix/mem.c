/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory: the kernel's own by map(), the guests' in the RAM arena. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "impl.h"
#include "vmstub.h"

#define PAGE ((size_t)QUERN_PAGE_SIZE)

int
host_map(void *ctx, size_t len, size_t align, unsigned flags, void **pp)
{
	size_t extra, head;
	uintptr_t base;
	void *p;

	(void)ctx;
	if (len == 0 || len % PAGE != 0 || align < PAGE ||
	    (align & (align - 1)) != 0 || (flags & ~QUERN_MAP_GUARD) != 0)
		return -EINVAL;
	/* An area longer by the alignment has an aligned one in it. */
	extra = align - PAGE;
	if (len > SIZE_MAX - extra)
		return -ENOMEM;
	p = mmap(NULL, len + extra, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	base = ((uintptr_t)p + extra) & ~(uintptr_t)(align - 1);
	head = base - (uintptr_t)p;
	if (head > 0)
		munmap(p, head);
	if (extra > head)
		munmap((void *)(base + len), extra - head);
	if ((flags & QUERN_MAP_GUARD) != 0 &&
	    mprotect((void *)base, PAGE, PROT_NONE) != 0) {
		munmap((void *)base, len);
		return -ENOMEM;
	}
	*pp = (void *)base;
	return 0;
}

void
host_unmap(void *ctx, void *p, size_t len)
{
	(void)ctx;
	munmap(p, len);
}

int
host_ram_create(void *ctx, size_t len, void **basep)
{
	struct machine *m = ctx;
	int error, fd;
	void *p;

	if (len == 0 || len % PAGE != 0)
		return -EINVAL;
	pthread_mutex_lock(&m->m_lock);
	if (m->m_ramfd >= 0) {
		pthread_mutex_unlock(&m->m_lock);
		return -EEXIST;
	}
	error = -ENOMEM;
	fd = memfd_create("quern-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		goto out;
	/* Guest processes hold it too: sealed, and not one of their numbers. */
	fd = host_fd_above(fd, STUB_FD_RAM);
	if (fd < 0) {
		error = fd;
		goto out;
	}
	if (ftruncate(fd, (off_t)len) != 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) !=
		0)
		goto out;
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
	    fd, 0);
	if (p == MAP_FAILED)
		goto out;
	m->m_ramfd = fd;
	m->m_ram = p;
	m->m_ramlen = len;
	*basep = p;
	fd = -1;
	error = 0;
out:
	if (fd >= 0)
		close(fd);
	pthread_mutex_unlock(&m->m_lock);
	return error;
}

int
host_ram_discard(void *ctx, uint64_t off, size_t len)
{
	struct machine *m = ctx;
	size_t ramlen;
	int fd;

	pthread_mutex_lock(&m->m_lock);
	fd = m->m_ramfd;
	ramlen = m->m_ramlen;
	pthread_mutex_unlock(&m->m_lock);
	if (fd < 0 || off % PAGE != 0 || len % PAGE != 0 || off > ramlen ||
	    len > ramlen - off)
		return -EINVAL;
	if (len == 0)
		return 0;
	while (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		   (off_t)off, (off_t)len) != 0)
		if (errno != EINTR)
			return host_error();
	return 0;
}

void
host_ram_destroy(struct machine *m)
{
	if (m->m_ramfd < 0)
		return;
	munmap(m->m_ram, m->m_ramlen);
	close(m->m_ramfd);
	m->m_ramfd = -1;
}
