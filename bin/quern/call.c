/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quern call: the command line.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "quern.h"

const char call_usage[] =
    "usage: quern call [OPTION...] [FILE...]\n"
    "       quern call --list [NAME]\n"
    "\n"
    "Make a kernel and run scripts of calls in it: those of the files, or of\n"
    "standard input, or from a terminal line by line.  quern-call(1) says how\n"
    "scripts are written.\n"
    "\n"
    "  -e, --eval=COMMANDS       run these; may be repeated; before files\n"
    "  -k, --keep-going          go on after an expectation that fails\n"
    "  -q, --quiet               don't print calls\n"
    "      --show=N              bytes shown of a string (32)\n"
    "      --with=NAME,...       components to start, or all\n"
    "      --cpus=N              virtual CPUs (1)\n"
    "      --ram=SIZE            such as 64M, the default\n"
    "      --runners=N           host threads for background work (0)\n"
    "      --param=NAME=VALUE    a parameter of the host; may be repeated\n"
    "      --sim=SEED            in a simulated world\n"
    "      --pct                 there, with random priorities\n"
    "      --trace               the kernel's own trace, too\n"
    "      --list [NAME]         print every call; all about one\n"
    "\n"
    "Exit status: 0; 1 if an expectation or a command failed; 2 for usage.\n";

/* Options that have no letter. */
enum {
	O_SHOW = 256,
	O_WITH,
	O_CPUS,
	O_RAM,
	O_RUNNERS,
	O_PARAM,
	O_SIM,
	O_PCT,
	O_TRACE,
	O_LIST
};

static const struct option long_options[] = {
	{ "cpus", required_argument, NULL, O_CPUS },
	{ "eval", required_argument, NULL, 'e' },
	{ "help", no_argument, NULL, 'h' },
	{ "keep-going", no_argument, NULL, 'k' },
	{ "list", no_argument, NULL, O_LIST },
	{ "param", required_argument, NULL, O_PARAM },
	{ "pct", no_argument, NULL, O_PCT },
	{ "quiet", no_argument, NULL, 'q' },
	{ "ram", required_argument, NULL, O_RAM },
	{ "runners", required_argument, NULL, O_RUNNERS },
	{ "show", required_argument, NULL, O_SHOW },
	{ "sim", required_argument, NULL, O_SIM },
	{ "trace", no_argument, NULL, O_TRACE },
	{ "with", required_argument, NULL, O_WITH },
	{ NULL, 0, NULL, 0 },
};

/* A number, with K, M or G behind it, of at most `max`.  False: said why not. */
static bool
number(const char *what, const char *s, uint64_t max, uint64_t *np)
{
	static const char letters[] = "KMG";
	const char *letter;
	uint64_t n = 0;
	char *end;

	errno = 0;
	if (*s >= '0' && *s <= '9')
		n = strtoull(s, &end, 0);
	else
		errno = EINVAL;
	if (errno == 0 && *end != '\0' && end[1] == '\0' &&
	    (letter = strchr(letters, *end)) != NULL) {
		end++;
		if (__builtin_mul_overflow(n,
			UINT64_C(1) << (10 * (letter - letters + 1)), &n))
			errno = ERANGE;
	}
	if (errno != 0 || *end != '\0' || n > max) {
		fprintf(stderr,
		    "quern call: %s: want a number up to %llu, not '%s'\n",
		    what, (unsigned long long)max, s);
		return false;
	}
	*np = n;
	return true;
}

static bool
add_param(struct options *o, char *arg)
{
	char *value = strchr(arg, '=');

	if (value == NULL || value == arg) {
		fprintf(stderr,
		    "quern call: --param: want NAME=VALUE, not "
		    "'%s'\n",
		    arg);
		return false;
	}
	*value++ = '\0';
	o->o_param = xrealloc(o->o_param,
	    (o->o_nparam + 1) * sizeof(*o->o_param));
	o->o_param[o->o_nparam++] = (struct quern_posix_param){ arg, value };
	return true;
}

/* Those with a number. */
static bool
take_number(struct options *o, int opt, const char *arg)
{
	uint64_t n = 0;
	bool ok;

	switch (opt) {
	case O_CPUS:
		ok = number("--cpus", arg, 1024, &n);
		o->o_cpus = (unsigned)n;
		break;
	case O_RUNNERS:
		ok = number("--runners", arg, 1024, &n);
		o->o_runners = (unsigned)n;
		break;
	case O_RAM:
		ok = number("--ram", arg, UINT64_C(1) << 46, &n);
		o->o_ram = n;
		break;
	case O_SHOW:
		ok = number("--show", arg, 1 << 20, &n);
		o->o_show = n;
		break;
	default:
		ok = number("--sim", arg, UINT64_MAX, &n);
		o->o_sim = true;
		o->o_seed = n;
		break;
	}
	return ok;
}

static bool
take_option(struct options *o, int opt, char *arg)
{
	switch (opt) {
	case 'e':
		o->o_command = xrealloc(o->o_command,
		    (o->o_ncommand + 1) * sizeof(*o->o_command));
		o->o_command[o->o_ncommand++] = arg;
		return true;
	case 'k':
		o->o_keep = true;
		return true;
	case 'q':
		o->o_quiet = true;
		return true;
	case O_WITH:
		o->o_with = arg;
		return true;
	case O_PARAM:
		return add_param(o, arg);
	case O_PCT:
		o->o_pct = true;
		return true;
	case O_TRACE:
		o->o_trace = true;
		return true;
	default:
		return take_number(o, opt, arg);
	}
}

static int
list(int argc, char **argv)
{
	if (argc > 1) {
		fprintf(stderr, "quern call: --list takes one name\n");
		return EXIT_USAGE;
	}
	if (!list_calls(argc == 1 ? argv[0] : NULL)) {
		fprintf(stderr, "quern call: there is no call '%s'\n", argv[0]);
		return 1;
	}
	return 0;
}

/* Do the options fit each other? */
static bool
check_options(const struct options *o)
{
	const char *why = NULL;

	if (o->o_sim && o->o_nparam != 0)
		why = "--param is for the real host, not for --sim";
	else if (!o->o_sim && o->o_pct)
		why = "--pct is for --sim";
	if (why != NULL)
		fprintf(stderr, "quern call: %s\n", why);
	return why == NULL;
}

int
cmd_call(int argc, char **argv)
{
	static char name[] = "quern call";
	struct options o = { .o_show = 32 };
	int opt, status;

	argv[0] = name; /* for getopt's messages */
	while ((opt = getopt_long(argc, argv, "e:hkq", long_options, NULL)) !=
	    -1) {
		if (opt == O_LIST)
			return list(argc - optind, argv + optind);
		if (opt == 'h') {
			fputs(call_usage, stdout);
			return 0;
		}
		if (opt == '?') {
			fprintf(stderr,
			    "quern call: `quern help call` shows how\n");
			return EXIT_USAGE;
		}
		if (!take_option(&o, opt, optarg)) {
			status = EXIT_USAGE;
			goto out;
		}
	}
	o.o_file = argv + optind;
	o.o_nfile = argc - optind;
	status = check_options(&o) ? world_run(&o) : EXIT_USAGE;
out:
	free(o.o_param);
	free(o.o_command);
	if (ending != 0) {
		(void)signal(ending, SIG_DFL);
		(void)raise(ending);
	}
	return status;
}
