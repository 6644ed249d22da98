/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * uname(2).
 */
#ifndef QUERN_ABI_UTSNAME_H
#define QUERN_ABI_UTSNAME_H

struct q_utsname {
	char sysname[65];
	char nodename[65];
	char release[65];
	char version[65];
	char machine[65];
	char domainname[65];
};

#endif /* QUERN_ABI_UTSNAME_H */
