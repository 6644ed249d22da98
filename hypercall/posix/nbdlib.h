/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libnbd, loaded when it is first needed: it brings a dozen other libraries along
 * (TLS, XML, character sets), which would cost every program that links this
 * host some megabytes and milliseconds.
 */
#ifndef QUERN_POSIX_NBDLIB_H
#define QUERN_POSIX_NBDLIB_H

#include <libnbd.h>

/* The functions of it that we call, without nbd_. */
/* clang-format off */
#define NBD_FUNCTIONS(F) \
	F(create) F(close) F(get_errno) F(get_error) F(poll) \
	F(set_uri_allow_tls) F(get_size) F(get_block_size) \
	F(is_read_only) F(can_trim) F(can_fua) F(can_flush) F(can_zero) \
	F(aio_connect_uri) F(aio_disconnect) F(aio_is_ready) \
	F(aio_is_dead) F(aio_is_closed) F(aio_get_fd) \
	F(aio_get_direction) F(aio_notify_read) F(aio_notify_write) \
	F(aio_pread) F(aio_pwrite) F(aio_trim) F(aio_zero) F(aio_flush)
/* clang-format on */

#define NBD_MEMBER(name) __typeof__(&nbd_##name) name;
struct nbdlib {
	NBD_FUNCTIONS(NBD_MEMBER)
};
#undef NBD_MEMBER

/* Fill `l`.  NULL, or why it can't be had: valid until the next dl call. */
const char *host_nbd_load(struct nbdlib *l);

#endif /* QUERN_POSIX_NBDLIB_H */
