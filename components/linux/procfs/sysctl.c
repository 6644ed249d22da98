/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of what the system has, and its settings (sys/).
 *
 * A setting that means something to the kernel is asked and told; one that is
 * only a number programs look at says what holds here and can't be changed.
 */
#include "impl.h"

#include <quern/abi/capability.h>

typedef unsigned long long ull;

static int
show_host(struct text *t, const struct subject *sub)
{
	char name[QHOST_NAMELEN];

	qhostname(sub->s_k, false, name);
	text_add(t, "%s\n", name);
	return 0;
}

static int
show_domain(struct text *t, const struct subject *sub)
{
	char name[QHOST_NAMELEN];

	qhostname(sub->s_k, true, name);
	text_add(t, "%s\n", name);
	return 0;
}

static int
store_name(const struct subject *sub, bool domain, const char *s)
{
	size_t len;

	if (sub->s_reader == NULL ||
	    !qproc_capable(sub->s_reader, Q_CAP_SYS_ADMIN))
		return -Q_EPERM;
	for (len = 0; s[len] != '\0' && s[len] != '\n'; len++)
		continue;
	if (len >= QHOST_NAMELEN)
		len = QHOST_NAMELEN - 1;
	qhostname_set(sub->s_k, domain, s, len);
	return 0;
}

static int
store_host(const struct subject *sub, char *s, size_t len)
{
	(void)len;
	return store_name(sub, false, s);
}

static int
store_domain(const struct subject *sub, char *s, size_t len)
{
	(void)len;
	return store_name(sub, true, s);
}

static int
show_ostype(struct text *t, const struct subject *sub)
{
	(void)sub;
	text_add(t, "Linux\n");
	return 0;
}

static int
show_osrelease(struct text *t, const struct subject *sub)
{
	(void)sub;
	text_add(t, QUTS_RELEASE "\n");
	return 0;
}

static int
show_osversion(struct text *t, const struct subject *sub)
{
	(void)sub;
	text_add(t, QUTS_VERSION "\n");
	return 0;
}

static void
add_uuid(struct text *t, const uint8_t *raw)
{
	uint8_t b[16];
	unsigned i;

	memcpy(b, raw, sizeof(b));
	b[6] = (b[6] & 0x0f) | 0x40; /* RFC 9562: version 4, variant 1 */
	b[8] = (b[8] & 0x3f) | 0x80;
	for (i = 0; i < sizeof(b); i++)
		text_add(t,
		    i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x",
		    b[i]);
	text_add(t, "\n");
}

static int
show_uuid(struct text *t, const struct subject *sub)
{
	uint8_t b[16];
	int error = qrandom_fill(sub->s_k, b, sizeof(b));

	if (error == 0)
		add_uuid(t, b);
	return error;
}

static int
show_boot_id(struct text *t, const struct subject *sub)
{
	add_uuid(t, procfs_of(sub->s_k)->p_boot_id);
	return 0;
}

static int
show_overcommit(struct text *t, const struct subject *sub)
{
	uint64_t committed, limit;
	unsigned how, ratio;

	qvm_overcommit(sub->s_k, &how, &ratio, &committed, &limit);
	text_add(t, "%u\n", how);
	return 0;
}

static int
show_ratio(struct text *t, const struct subject *sub)
{
	uint64_t committed, limit;
	unsigned how, ratio;

	qvm_overcommit(sub->s_k, &how, &ratio, &committed, &limit);
	text_add(t, "%u\n", ratio);
	return 0;
}

/* A number that ends with the text; -EINVAL. */
static int
number(const char *s, unsigned max, unsigned *np)
{
	unsigned n = 0;

	if (*s < '0' || *s > '9')
		return -Q_EINVAL;
	for (; *s >= '0' && *s <= '9' && n <= max; s++)
		n = n * 10 + (unsigned)(*s - '0');
	if ((*s != '\0' && *s != '\n') || n > max)
		return -Q_EINVAL;
	*np = n;
	return 0;
}

static int
set_overcommit(const struct subject *sub, const char *s, bool is_ratio)
{
	unsigned how, ratio;
	uint64_t committed, limit;
	int error;

	qvm_overcommit(sub->s_k, &how, &ratio, &committed, &limit);
	error = is_ratio ? number(s, 1000, &ratio) : number(s, 2, &how);
	if (error == 0)
		qvm_set_overcommit(sub->s_k, how, ratio);
	return error;
}

static int
store_overcommit(const struct subject *sub, char *s, size_t len)
{
	(void)len;
	return set_overcommit(sub, s, false);
}

static int
store_ratio(const struct subject *sub, char *s, size_t len)
{
	(void)len;
	return set_overcommit(sub, s, true);
}

/* Numbers that hold here for good. */
#define NUMBER(name, value)                                        \
	static int name(struct text *t, const struct subject *sub) \
	{                                                          \
		(void)sub;                                         \
		text_add(t, value "\n");                           \
		return 0;                                          \
	}

NUMBER(show_pid_max, "4194304")
NUMBER(show_threads_max, "32768")
NUMBER(show_entropy, "256")
NUMBER(show_last_cap, "40")
NUMBER(show_ngroups, "65536")
NUMBER(show_overflow, "65534")
NUMBER(show_core, "core")
NUMBER(show_printk, "4\t4\t1\t7")
NUMBER(show_map_count, "65530")
NUMBER(show_swappiness, "60")
NUMBER(show_min_addr, "65536")
NUMBER(show_file_max, "9223372036854775807")
NUMBER(show_file_nr, "0\t0\t9223372036854775807")
NUMBER(show_nr_open, "1048576")
NUMBER(show_inode_nr, "0\t0")
NUMBER(show_pipe_max, "1048576")
NUMBER(show_queued, "16384")
NUMBER(show_instances, "128")
NUMBER(show_watches, "1048576")

_Static_assert(Q_CAP_LAST_CAP == 40, "show_last_cap says so");

#define R    Q_S_IFREG | 0444
#define RW   Q_S_IFREG | 0644
#define LINK Q_S_IFLNK | 0777
#define DIR  Q_S_IFDIR | 0555

const struct entry sys_entries[] = {
	{ "cmdline", R, D_ROOT, 0, 0, show_nothing, NULL, NULL },
	{ "cpuinfo", R, D_ROOT, 0, 0, show_cpuinfo, NULL, NULL },
	{ "devices", R, D_ROOT, 0, 0, show_devices, NULL, NULL },
	{ "diskstats", R, D_ROOT, 0, 0, show_diskstats, NULL, NULL },
	{ "filesystems", R, D_ROOT, 0, 0, show_filesystems, NULL, NULL },
	{ "loadavg", R, D_ROOT, 0, 0, show_loadavg, NULL, NULL },
	{ "meminfo", R, D_ROOT, 0, 0, show_meminfo, NULL, NULL },
	{ "mounts", LINK, D_ROOT, 0, 0, show_self_mounts, NULL, NULL },
	{ "partitions", R, D_ROOT, 0, 0, show_partitions, NULL, NULL },
	{ "self", LINK, D_ROOT, 0, 0, show_self, NULL, NULL },
	{ "stat", R, D_ROOT, 0, 0, show_sysstat, NULL, NULL },
	{ "swaps", R, D_ROOT, 0, 0, show_swaps, NULL, NULL },
	{ "sys", DIR, D_ROOT, D_SYS, 0, NULL, NULL, NULL },
	{ "thread-self", LINK, D_ROOT, 0, 0, show_thread_self, NULL, NULL },
	{ "uptime", R, D_ROOT, 0, 0, show_uptime, NULL, NULL },
	{ "version", R, D_ROOT, 0, 0, show_version, NULL, NULL },
	{ "vmstat", R, D_ROOT, 0, 0, show_vmstat, NULL, NULL },

	{ "fs", DIR, D_SYS, D_FS, 0, NULL, NULL, NULL },
	{ "kernel", DIR, D_SYS, D_KERNEL, 0, NULL, NULL, NULL },
	{ "vm", DIR, D_SYS, D_VM, 0, NULL, NULL, NULL },

	{ "cap_last_cap", R, D_KERNEL, 0, 0, show_last_cap, NULL, NULL },
	{ "core_pattern", R, D_KERNEL, 0, 0, show_core, NULL, NULL },
	{ "domainname", RW, D_KERNEL, 0, 0, show_domain, store_domain, NULL },
	{ "hostname", RW, D_KERNEL, 0, 0, show_host, store_host, NULL },
	{ "ngroups_max", R, D_KERNEL, 0, 0, show_ngroups, NULL, NULL },
	{ "osrelease", R, D_KERNEL, 0, 0, show_osrelease, NULL, NULL },
	{ "ostype", R, D_KERNEL, 0, 0, show_ostype, NULL, NULL },
	{ "overflowgid", R, D_KERNEL, 0, 0, show_overflow, NULL, NULL },
	{ "overflowuid", R, D_KERNEL, 0, 0, show_overflow, NULL, NULL },
	{ "pid_max", R, D_KERNEL, 0, 0, show_pid_max, NULL, NULL },
	{ "printk", R, D_KERNEL, 0, 0, show_printk, NULL, NULL },
	{ "random", DIR, D_KERNEL, D_RANDOM, 0, NULL, NULL, NULL },
	{ "threads-max", R, D_KERNEL, 0, 0, show_threads_max, NULL, NULL },
	{ "version", R, D_KERNEL, 0, 0, show_osversion, NULL, NULL },

	{ "boot_id", R, D_RANDOM, 0, 0, show_boot_id, NULL, NULL },
	{ "entropy_avail", R, D_RANDOM, 0, 0, show_entropy, NULL, NULL },
	{ "uuid", R, D_RANDOM, 0, 0, show_uuid, NULL, NULL },

	{ "max_map_count", R, D_VM, 0, 0, show_map_count, NULL, NULL },
	{ "mmap_min_addr", R, D_VM, 0, 0, show_min_addr, NULL, NULL },
	{ "overcommit_memory", RW, D_VM, 0, 0, show_overcommit,
	    store_overcommit, NULL },
	{ "overcommit_ratio", RW, D_VM, 0, 0, show_ratio, store_ratio, NULL },
	{ "swappiness", R, D_VM, 0, 0, show_swappiness, NULL, NULL },

	{ "epoll", DIR, D_FS, D_EPOLL, 0, NULL, NULL, NULL },
	{ "file-max", R, D_FS, 0, 0, show_file_max, NULL, NULL },
	{ "file-nr", R, D_FS, 0, 0, show_file_nr, NULL, NULL },
	{ "inode-nr", R, D_FS, 0, 0, show_inode_nr, NULL, NULL },
	{ "inotify", DIR, D_FS, D_INOTIFY, 0, NULL, NULL, NULL },
	{ "nr_open", R, D_FS, 0, 0, show_nr_open, NULL, NULL },
	{ "pipe-max-size", R, D_FS, 0, 0, show_pipe_max, NULL, NULL },

	{ "max_user_watches", R, D_EPOLL, 0, 0, show_watches, NULL, NULL },

	{ "max_queued_events", R, D_INOTIFY, 0, 0, show_queued, NULL, NULL },
	{ "max_user_instances", R, D_INOTIFY, 0, 0, show_instances, NULL,
	    NULL },
	{ "max_user_watches", R, D_INOTIFY, 0, 0, show_watches, NULL, NULL },
};

const unsigned nsys_entries = (unsigned)QARRAYLEN(sys_entries);
