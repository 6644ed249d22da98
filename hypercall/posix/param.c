/* SPDX-License-Identifier: BSD-2-Clause */
/* Parameters, random bytes and the log. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "impl.h"

static int64_t
answer(const char *s, void *buf, size_t len)
{
	size_t full = strlen(s);

	if (len > 0)
		memcpy(buf, s, full < len ? full : len);
	return (int64_t)full;
}

/* "pty.ID" and "tcp.ID"; -ENOENT. */
static int64_t
chan_param(struct machine *m, const char *name, void *buf, size_t len)
{
	char *end, *value;
	unsigned long id;
	int64_t n;

	if (strncmp(name, "pty.", 4) != 0 && strncmp(name, "tcp.", 4) != 0)
		return -ENOENT;
	if (name[4] < '0' || name[4] > '9')
		return -ENOENT;
	errno = 0;
	id = strtoul(name + 4, &end, 10);
	if (*end != '\0' || errno != 0 || id > UINT32_MAX)
		return -ENOENT;
	value = host_chan_param(m, name, (uint32_t)id);
	if (value == NULL)
		return -ENOENT;
	n = answer(value, buf, len);
	free(value);
	return n;
}

int64_t
host_param(void *ctx, const char *name, void *buf, size_t len)
{
	struct machine *m = ctx;
	const struct quern_posix_param *p = m->m_config->pc_param;
	uint64_t mask;
	char tmp[24];
	int64_t size;
	unsigned i;
	int fd;

	if (strcmp(name, "host") == 0)
		return answer("posix", buf, len);
	if (strcmp(name, "ncpu") == 0) {
		snprintf(tmp, sizeof tmp, "%u", m->m_hostcpus);
		return answer(tmp, buf, len);
	}
	if (strcmp(name, "pollfd") == 0) {
		fd = host_event_pollfd(m);
		if (fd < 0)
			return fd;
		snprintf(tmp, sizeof tmp, "%d", fd);
		return answer(tmp, buf, len);
	}
	if (strcmp(name, "vm.xsave") == 0 && host_vm_xsave(&mask) != 0) {
		snprintf(tmp, sizeof tmp, "%u", (unsigned)host_vm_xsave(&mask));
		return answer(tmp, buf, len);
	}
	if (strcmp(name, "vm.call") == 0 && host_vm_call(m) != 0) {
		snprintf(tmp, sizeof tmp, "%" PRIu64, host_vm_call(m));
		return answer(tmp, buf, len);
	}
	if (strncmp(name, "blk.", 4) == 0) {
		size = host_blk_size(m, name + 4);
		if (size < 0)
			return size;
		snprintf(tmp, sizeof tmp, "%" PRId64, size);
		return answer(tmp, buf, len);
	}
	for (i = 0; i < m->m_config->pc_nparam; i++)
		if (strcmp(name, p[i].pp_name) == 0)
			return answer(p[i].pp_value, buf, len);
	return chan_param(m, name, buf, len);
}

int
host_random(void *ctx, void *buf, size_t len)
{
	unsigned char *p = buf;
	ssize_t n;

	(void)ctx;
	while (len > 0) {
		n = getrandom(p, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EIO;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* One write a line, so that lines of several threads stay whole. */
void
host_log(void *ctx, enum quern_log_level level, const char *s, size_t len)
{
	struct machine *m = ctx;
	const struct quern_posix_config *config = m->m_config;
	static const char *const names[] = { "panic: ", "panic: ", "error: ",
		"error: ", "warning: ", "", "", "debug: " };
	unsigned max, l = (unsigned)level;
	char buf[1024];
	int fd, n, saved;

	max = config->pc_loglevel != 0 ? config->pc_loglevel : QUERN_LOG_INFO;
	fd = config->pc_logfd != 0 ? config->pc_logfd : STDERR_FILENO;
	if (l > max || fd < 0)
		return;
	saved = errno;
	if (l > QUERN_LOG_DEBUG)
		l = QUERN_LOG_DEBUG;
	n = snprintf(buf, sizeof buf, "%s: %s", m->m_name, names[l]);
	if (n < 0 || (size_t)n > sizeof buf / 2)
		n = 0;
	if (len > sizeof buf - (size_t)n - 1)
		len = sizeof buf - (size_t)n - 1;
	memcpy(buf + n, s, len);
	buf[(size_t)n + len] = '\n';
	/* There is no one to tell when it fails. */
	(void)host_write_nosigpipe(fd, buf, (size_t)n + len + 1);
	errno = saved;
}
