/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cases of the page cache.
 */
#ifndef TESTS_VFS_K_PCACHE_H
#define TESTS_VFS_K_PCACHE_H

#include "pcachefs.h"

extern const struct kcase kpcache_cases[], kpcache_bugs[];

#endif /* TESTS_VFS_K_PCACHE_H */
