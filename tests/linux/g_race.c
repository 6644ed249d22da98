/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An attack: threads of one guest that race.  One scribbles over the memory
 * through which the host and the guest's process talk (hypercall/posix/vmstub.h),
 * which is the guest's to write, while others change the address space, fork
 * and fault.  Whatever becomes of this process, others live on.
 */
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "guest.h"

#define SLOT     ((volatile uint32_t *)0x110000)
#define SLOT_LEN 0x8000u
#define PAGES    64u

static volatile int over;

static void *
scribble(void *arg)
{
	const uint32_t how = (uint32_t)(uintptr_t)arg;
	uint32_t x = 12345 + how, i;

	while (!over) {
		x = x * 1103515245 + 12345;
		i = how == 0 ? x >> 8 & 63 : (x >> 8) % (SLOT_LEN / 4);
		/* Turns and flags for the first, anything anywhere for others. */
		SLOT[i] = how == 0 ? x >> 30 & 1 : x;
	}
	return NULL;
}

static void *
change(void *arg)
{
	char *p;
	unsigned i;

	(void)arg;
	while (!over) {
		p = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			continue;
		for (i = 0; i < PAGES; i++)
			p[i * 4096] = (char)i;
		mprotect(p, PAGES * 2048, PROT_READ);
		munmap(p, PAGES * 4096);
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	uintptr_t how = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	struct timespec start, now;
	pthread_t t[3];
	pid_t pid;

	pthread_create(&t[0], NULL, scribble, (void *)how);
	pthread_create(&t[1], NULL, change, NULL);
	pthread_create(&t[2], NULL, change, NULL);
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		pid = fork();
		if (pid == 0)
			_exit(0);
		waitpid(pid, NULL, 0);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - start.tv_sec < 1);
	over = 1;
	return 0;
}
