/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unix sockets: streams, datagrams and sequenced packets within a kernel, by path,
 * abstract name or socketpair.
 */
#ifndef QUERN_UNIX_H
#define QUERN_UNIX_H

#include <quern/component.h>

extern const struct quern_component qunix;

#endif /* QUERN_UNIX_H */
