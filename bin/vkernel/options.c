/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command line.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vkernel.h"

/* More than the highest number of a call. */
#define TRACE_MAX 1024u

static const char usage_text[] =
    "usage: vkernel [options] [-- command [args]]\n"
    "  -m SIZE[kmg]     RAM (default 64m)\n"
    "  -n N             virtual CPUs (default 1)\n"
    "  -r IMAGE[:NAME]  disk; the first one is the root\n"
    "  -R IMAGE[:NAME]  disk whose writes vanish at the end\n"
    "  -c IMAGE[:NAME]  disk that can't be written to\n"
    "  -e NAME=VALUE    into init's or the command's environment\n"
    "  -s               single user\n"
    "  -v               say more; twice: much more\n"
    "  -p FILE          write the process id there\n"
    "  -i FILE          RAM is this file\n"
    "  --init PATH      instead of /sbin/init\n"
    "  --vmspace=KIND   seccomp (default) or ptrace\n"
    "  --calls=HOW      patch (default) or trap\n"
    "  --trace[=CALLS]  show system calls: all, these, or !all but these\n"
    "  --unconfined     leave the kernel process all that you may do\n"
    "  -h               this\n";

static void
usage(FILE *f, int status)
{
	fputs(usage_text, f);
	exit(status);
}

static size_t
parse_size(const char *s)
{
	unsigned long long n;
	unsigned shift = 0;
	char *end;

	errno = 0;
	n = strtoull(s, &end, 10);
	if (end == s || s[0] == '-' || errno != 0)
		vk_fail("-m %s: not a size", s);
	switch (*end) {
	case 'k':
	case 'K':
		shift = 10;
		break;
	case 'm':
	case 'M':
		shift = 20;
		break;
	case 'g':
	case 'G':
		shift = 30;
		break;
	default:
		break;
	}
	if (shift != 0)
		end++;
	if (*end != '\0' || n > SIZE_MAX >> shift)
		vk_fail("-m %s: not a size", s);
	n = (n << shift) + QUERN_PAGE_SIZE - 1;
	n -= n % QUERN_PAGE_SIZE;
	if (n < (size_t)4 << 20)
		vk_fail("-m %s: at least 4m", s);
	return (size_t)n;
}

static unsigned
parse_ncpu(const char *s)
{
	unsigned long n;
	char *end;

	n = strtoul(s, &end, 10);
	if (end == s || *end != '\0' || n < 1 || n > QUERN_MAXCPU)
		vk_fail("-n %s: 1 to %u", s, QUERN_MAXCPU);
	return (unsigned)n;
}

static void
add_disk(struct vk_options *o, char *arg, unsigned flags)
{
	struct vk_disk *d = &o->o_disk[o->o_ndisk];
	char *colon = strrchr(arg, ':');

	if (o->o_ndisk == VK_MAXDISK)
		vk_fail("%s: at most %d disks", arg, VK_MAXDISK);
	d->d_image = arg;
	d->d_flags = flags;
	if (colon != NULL && strchr(colon, '/') == NULL) {
		*colon = '\0';
		d->d_serno = colon + 1;
		if (*d->d_serno == '\0')
			vk_fail("%s: no name behind the colon", arg);
	}
	o->o_ndisk++;
}

static void
add_env(struct vk_options *o, const char *arg)
{
	if (strchr(arg, '=') == NULL || arg[0] == '=')
		vk_fail("-e %s: NAME=VALUE", arg);
	if (o->o_nenv == VK_MAXENV)
		vk_fail("-e %s: at most %d", arg, VK_MAXENV);
	o->o_env[o->o_nenv++] = arg;
}

/* Names of calls, separated by commas, perhaps behind a '!'. */
static void
check_trace(const char *what)
{
	const char *end, *name;
	unsigned nr;

	if (*what == '\0')
		return;
	for (what += *what == '!';; what = end + 1) {
		end = what + strcspn(what, ",");
		name = "unknown";
		for (nr = 0;
		     name == NULL || strlen(name) != (size_t)(end - what) ||
		     strncmp(name, what, (size_t)(end - what)) != 0;
		     nr++) {
			if (nr == TRACE_MAX)
				vk_fail("--trace: no system call '%.*s'",
				    (int)(end - what), what);
			name = quern_syscall_name(nr);
		}
		if (*end == '\0')
			return;
	}
}

enum {
	OPT_INIT = 256,
	OPT_VMSPACE,
	OPT_CALLS,
	OPT_TRACE,
	OPT_UNCONFINED,
	OPT_PANIC,
	OPT_ESCAPE
};

static const struct option long_options[] = {
	{ "init", required_argument, NULL, OPT_INIT },
	{ "vmspace", required_argument, NULL, OPT_VMSPACE },
	{ "calls", required_argument, NULL, OPT_CALLS },
	{ "trace", optional_argument, NULL, OPT_TRACE },
	{ "unconfined", no_argument, NULL, OPT_UNCONFINED },
	{ "panic", no_argument, NULL, OPT_PANIC },
	{ "escape", no_argument, NULL, OPT_ESCAPE },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static void
take_option(struct vk_options *o, int c)
{
	switch (c) {
	case 'm':
		o->o_ram = parse_size(optarg);
		break;
	case 'n':
		o->o_ncpu = parse_ncpu(optarg);
		break;
	case 'r':
		add_disk(o, optarg, 0);
		break;
	case 'R':
		add_disk(o, optarg, QUERN_DISK_COW);
		break;
	case 'c':
		add_disk(o, optarg, QUERN_DISK_RDONLY);
		break;
	case 'e':
		add_env(o, optarg);
		break;
	case 's':
		o->o_single = true;
		break;
	case 'v':
		o->o_verbose++;
		break;
	case 'p':
		o->o_pidfile = optarg;
		break;
	case 'i':
		o->o_ramfile = optarg;
		break;
	case OPT_INIT:
		o->o_init = optarg;
		break;
	case OPT_VMSPACE:
		o->o_ptrace = strcmp(optarg, "ptrace") == 0;
		if (!o->o_ptrace && strcmp(optarg, "seccomp") != 0)
			vk_fail("--vmspace=%s: seccomp or ptrace", optarg);
		break;
	case OPT_CALLS:
		o->o_trap = strcmp(optarg, "trap") == 0;
		if (!o->o_trap && strcmp(optarg, "patch") != 0)
			vk_fail("--calls=%s: patch or trap", optarg);
		break;
	case OPT_TRACE:
		o->o_trace = optarg != NULL ? optarg : "";
		check_trace(o->o_trace);
		break;
	case OPT_UNCONFINED:
		o->o_unconfined = true;
		break;
	case OPT_ESCAPE:
		o->o_escape = true;
		break;
	case OPT_PANIC:
		o->o_panic = true;
		break;
	case 'h':
		usage(stdout, 0);
		break;
	default:
		usage(stderr, VK_FAILED);
	}
}

void
vk_options(int argc, char **argv, struct vk_options *o)
{
	int c;

	memset(o, 0, sizeof *o);
	o->o_ram = (size_t)64 << 20;
	o->o_ncpu = 1;
	o->o_started = vk_now();
	while ((c = getopt_long(argc, argv, "+m:n:r:R:c:e:svp:i:h",
		    long_options, NULL)) != -1)
		take_option(o, c);
	if (optind < argc) {
		if (strcmp(argv[optind - 1], "--") != 0)
			vk_fail("%s: a command goes behind --", argv[optind]);
		o->o_command = (const char *const *)&argv[optind];
	}
	if (o->o_ndisk == 0)
		vk_fail("no disk: -r IMAGE, or -h for help");
}
