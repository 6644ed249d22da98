/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Limits of the kernel's.
 */
#ifndef QUERN_ABI_LIMITS_H
#define QUERN_ABI_LIMITS_H

#define Q_NGROUPS_MAX    65536
#define Q_PIPE_BUF       4096
#define Q_PATH_MAX       4096
#define Q_NAME_MAX       255
#define Q_XATTR_NAME_MAX 255

#endif /* QUERN_ABI_LIMITS_H */
