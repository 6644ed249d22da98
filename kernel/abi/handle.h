/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * File handles: name_to_handle_at(2), open_by_handle_at(2).
 */
#ifndef QUERN_ABI_HANDLE_H
#define QUERN_ABI_HANDLE_H

#include <stdint.h>

#define Q_MAX_HANDLE_SZ 128

/* No more of f_handle than handle_bytes is read or written. */
struct q_file_handle {
	uint32_t handle_bytes; /* in: room in f_handle; out: what is in it */
	int32_t handle_type;
	uint8_t f_handle[Q_MAX_HANDLE_SZ];
};

#endif /* QUERN_ABI_HANDLE_H */
