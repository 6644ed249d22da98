/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * syslog(2).
 */
#ifndef QUERN_ABI_SYSLOG_H
#define QUERN_ABI_SYSLOG_H

#define Q_SYSLOG_ACTION_CLOSE         0
#define Q_SYSLOG_ACTION_OPEN          1
#define Q_SYSLOG_ACTION_READ          2
#define Q_SYSLOG_ACTION_READ_ALL      3
#define Q_SYSLOG_ACTION_READ_CLEAR    4
#define Q_SYSLOG_ACTION_CLEAR         5
#define Q_SYSLOG_ACTION_CONSOLE_OFF   6
#define Q_SYSLOG_ACTION_CONSOLE_ON    7
#define Q_SYSLOG_ACTION_CONSOLE_LEVEL 8
#define Q_SYSLOG_ACTION_SIZE_UNREAD   9
#define Q_SYSLOG_ACTION_SIZE_BUFFER   10

#endif /* QUERN_ABI_SYSLOG_H */
