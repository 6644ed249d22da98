/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory: the kernel's own by map(), the guests' in the RAM arena. */
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "impl.h"
#include "vmstub.h"

#define PAGE  ((size_t)QUERN_PAGE_SIZE)
#define LARGE ((size_t)2 << 20)
#define SMALL ((size_t)4 << 20) /* of private RAM in small pages */

static bool
private_ram(const struct machine *m)
{
	return (m->m_config->pc_flags & QUERN_POSIX_NOGUESTS) != 0;
}

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

/* The file that the embedder wants RAM to be: empty, and nobody else's. */
static int
open_ramfile(const char *path, size_t len)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), error = 0;

	if (fd < 0)
		return host_error();
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		error = errno == EWOULDBLOCK ? -EBUSY : host_error();
	else if (ftruncate(fd, 0) != 0 || ftruncate(fd, (off_t)len) != 0)
		error = host_error();
	if (error != 0) {
		close(fd);
		return error;
	}
	return host_fd_above(fd, STUB_FD_RAM);
}

/* A file that holds the arena, for guest processes too; or -errno. */
static int
make_ramfd(const struct quern_posix_config *config, size_t len)
{
	int fd;

	if (config->pc_ramfile != NULL)
		return open_ramfile(config->pc_ramfile, len);
	fd = memfd_create("quern-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -ENOMEM;
	/* They hold it: sealed, and not one of their numbers. */
	fd = host_fd_above(fd, STUB_FD_RAM);
	if (fd < 0)
		return fd;
	if (ftruncate(fd, (off_t)len) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) ==
		0)
		return fd;
	close(fd);
	return -ENOMEM;
}

/*
 * The arena without a file.  A kernel uses its RAM from the start on: with small
 * pages in the first part a small kernel stays small.
 */
static void *
map_private(size_t len)
{
	char *p, *base;

	p = mmap(NULL, len + LARGE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return p;
	base = (char *)(((uintptr_t)p + LARGE - 1) & ~(uintptr_t)(LARGE - 1));
	if (base > p)
		munmap(p, (size_t)(base - p));
	munmap(base + len, LARGE - (size_t)(base - p));
	(void)madvise(base, len < SMALL ? len : SMALL, MADV_NOHUGEPAGE);
	if (len > SMALL)
		(void)madvise(base + SMALL, len - SMALL, MADV_HUGEPAGE);
	/* A child has no use for it, and sharing would cost faults. */
	(void)madvise(base, len, MADV_DONTFORK);
	return base;
}

int
host_ram_create(void *ctx, size_t len, void **basep)
{
	struct machine *m = ctx;
	int error = 0, fd = -1;
	void *p = MAP_FAILED;

	if (len == 0 || len % PAGE != 0 || len > SIZE_MAX - LARGE)
		return -EINVAL;
	pthread_mutex_lock(&m->m_lock);
	if (m->m_ram != NULL)
		error = -EEXIST;
	else if (private_ram(m))
		p = map_private(len);
	else if ((fd = make_ramfd(m->m_config, len)) < 0)
		error = fd;
	else
		p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (error == 0 && p == MAP_FAILED)
		error = -ENOMEM;
	if (error == 0) {
		m->m_ramfd = fd;
		m->m_ram = p;
		m->m_ramlen = len;
		*basep = p;
	} else if (fd >= 0) {
		close(fd);
	}
	pthread_mutex_unlock(&m->m_lock);
	return error;
}

int
host_ram_discard(void *ctx, uint64_t off, size_t len)
{
	struct machine *m = ctx;
	size_t ramlen;
	char *ram;
	int fd;

	pthread_mutex_lock(&m->m_lock);
	fd = m->m_ramfd;
	ram = m->m_ram;
	ramlen = m->m_ramlen;
	pthread_mutex_unlock(&m->m_lock);
	if (ram == NULL || off % PAGE != 0 || len % PAGE != 0 || off > ramlen ||
	    len > ramlen - off)
		return -EINVAL;
	if (len == 0)
		return 0;
	if (fd < 0)
		return madvise(ram + off, len, MADV_DONTNEED) == 0 ?
		    0 :
		    host_error();
	while (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		   (off_t)off, (off_t)len) != 0)
		if (errno != EINTR)
			return host_error();
	return 0;
}

void
host_ram_destroy(struct machine *m)
{
	if (m->m_ram == NULL)
		return;
	munmap(m->m_ram, m->m_ramlen);
	m->m_ram = NULL;
	if (m->m_ramfd >= 0)
		close(m->m_ramfd);
	m->m_ramfd = -1;
}
