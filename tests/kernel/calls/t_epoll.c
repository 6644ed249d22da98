/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * epoll and eventfd.
 */
#include "kcalls.h"
#include <tests/kernel/kmain.h>

KCASE_TESTS(kepoll_cases)
KCASE_TESTS(kevent_cases)

int
main(void)
{
	Suite *s = suite_create("epoll");

	KCASE_ADD(s, kepoll_cases);
	KCASE_ADD(s, kevent_cases);
	return kmain(s);
}
