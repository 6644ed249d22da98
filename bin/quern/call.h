/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside `quern call`.  A line goes this way:
 *
 *	input.c   reads it, edit.c from a terminal
 *	parse.c   makes a tree of it
 *	script.c  runs its commands, eval.c evaluates its expressions
 *	marshal.c makes arguments of the values of a call, fill.c their memory
 *	invoke.c  makes the call through libffi, prints it, stores its results
 *	job.c     calls that run beside the script
 *	world.c   the kernel and its host
 *
 * Everything about calls comes from the descriptions made of syscalls.def.
 */
#ifndef BIN_QUERN_CALL_H
#define BIN_QUERN_CALL_H

#include <signal.h>

#include <quern/posix.h>
#include <quern/quern.h>
#include <quern/sim.h>
#include <quern/syscall.h>

#include "parse.h"
#include "value.h"

struct call;
struct job;

/* What the command line says. */
struct options {
	char *o_with; /* components, or NULL; is cut up */
	unsigned o_cpus, o_runners;
	size_t o_ram;
	struct quern_posix_param *o_param;
	unsigned o_nparam;
	bool o_sim, o_pct;
	uint64_t o_seed;
	bool o_quiet;     /* don't print calls */
	bool o_keep;      /* go on after a failed expectation */
	bool o_trace;     /* the kernel's own trace */
	size_t o_show;    /* bytes shown of a string */
	char **o_command; /* -e */
	unsigned o_ncommand;
	char **o_file;
	int o_nfile;
};

/* A process of the kernel. */
struct client {
	struct client *cl_next;
	char *cl_name;
	struct quern_proc *cl_proc;
};

struct variable {
	struct variable *va_next;
	char *va_name;
	struct value va_value;
};

/* One run of the console. */
struct console {
	const struct options *c_opt;
	const struct quern_component *const *c_components;
	struct quern_sim *c_sim; /* NULL: on posix */
	struct quern *c_k;
	struct client *c_clients, *c_cur; /* the last is "main" */
	struct variable *c_vars;
	struct job *c_jobs;
	int64_t c_last; /* $? */

	/* Where the command is that runs, for messages. */
	const char *c_file;
	unsigned c_line; /* of its first line */
	const char *c_text;
	size_t c_len;

	bool c_interactive;
	bool c_quit;
	int c_status; /* exit status so far */
};

/* ---- script.c ----------------------------------------------------------- */

/* Say what is wrong at byte `at` of the current command.  Returns false. */
bool complain(struct console *c, size_t at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Run everything that the options name.  The kernel is up. */
void run_all(struct console *c);

/* ---- eval.c ------------------------------------------------------------- */

/* Evaluate; on success *v is the caller's. */
bool eval(struct console *c, const struct node *n, struct value *v);

/* Let Ctrl-C interrupt this call, until in_call is NULL. */
void call_begin(const struct call *k);

/* The value of a variable, or NULL. */
const struct value *variable_get(const struct console *c, const char *name);

/* Set it; takes `v` over. */
void variable_set(struct console *c, const char *name, struct value v);

/* Free all. */
void variables_free(struct console *c);

/* ---- marshal.c, fill.c, invoke.c ---------------------------------------- */

/* Memory of a call. */
struct region {
	char *rg_mem;
	char *rg_before; /* what was there before the call, or NULL */
	size_t rg_size;
	size_t rg_in, rg_inkept; /* bytes that the call reads; of them set */
	size_t rg_out;           /* bytes that it has stored */
	bool rg_stored, rg_mapped;
};

/* One argument on its way. */
struct arg {
	const struct qsys_arg *a_type; /* NULL: unknown */
	struct value a_value;
	size_t a_at;    /* in the text */
	char *a_var;    /* a variable's name; what is stored goes there */
	bool a_given;   /* and not _ */
	uint64_t a_n;   /* elements that the call is told of */
	size_t a_first; /* its memory and, of iovecs, that of the elements */
	bool a_memory;  /* it has some */
};

struct call {
	const struct qsys_entry *k_entry;
	const struct qsys_desc *k_desc;
	struct client *k_client;
	struct arg k_arg[6];
	uint64_t k_raw[6];
	struct region *k_region;
	size_t k_nregion;
	int64_t k_ret;
	size_t k_at; /* in the text */
};

/*
 * Evaluate the arguments of N_CALL `n` and lay them out.  To be ended with
 * call_free in any case.
 */
bool call_prepare(struct console *c, const struct node *n, struct call *k);

/* Make the call.  Any thread. */
void call_make(struct call *k);

/* Print the call that was made, set $? and variables. */
void call_finish(struct console *c, struct call *k);

void call_free(struct call *k);

/* Add memory, zeroed; false: there is none. */
bool region_add(struct call *k, size_t size);

/* How many elements `v` has by itself as what `a` describes. */
uint64_t fill_count(const struct qsys_arg *a, const struct value *v);

/* Bytes of `count` elements; SIZE_MAX: more than any memory. */
size_t fill_size(const struct qsys_arg *a, uint64_t count);

/* Write the value of argument `i` into its memory. */
bool fill(struct console *c, struct call *k, unsigned i);

/* A value of what the call has stored for argument `i`. */
struct value unfill(const struct call *k, unsigned i);

/* The process that is in a call, for SIGINT; NULL: none. */
extern struct quern_proc *volatile in_call;

/* ---- job.c -------------------------------------------------------------- */

/* Run N_SPAWN: start a call beside the script. */
bool job_spawn(struct console *c, const struct node *n);

/* Wait for the end of the call that N_JOIN names, print it; its result. */
bool job_join(struct console *c, const struct node *n, int64_t *retp);

/* Does a call of `cl` run? */
bool job_busy(const struct console *c, const struct client *cl);

/* Interrupt whatever still runs, and forget it.  False: it doesn't end. */
bool jobs_end(struct console *c);

/* ---- world.c ------------------------------------------------------------ */

/* Make a kernel, run the script, destroy it.  The exit status. */
int world_run(const struct options *o);

/* Let `ns` pass, for the n-th time in a row ever longer in a simulation. */
void world_pause(struct console *c, unsigned n);

/* Let `ns` pass.  False: interrupted. */
bool world_sleep(struct console *c, uint64_t ns);

struct client *client_find(const struct console *c, const char *name);

/* Make a process: a fork of `from`, or a new one if that is NULL. */
bool client_add(struct console *c, size_t at, const char *name,
    struct client *from);

bool client_end(struct console *c, size_t at, struct client *cl);

/* ---- names.c ------------------------------------------------------------ */

/* The call of that name, or NULL. */
const struct qsys_entry *find_call(const char *name);

bool is_call(const char *name);

/* The value of a constant; an error's name is what a call returns. */
bool find_constant(const char *name, int64_t *vp);

/* Print every call, or all about one.  False: there is no such call. */
bool list_calls(const char *name);

/* The i-th name that begins so, or NULL: no more.  For completion. */
const char *complete_name(const char *prefix, size_t len, size_t i);

/* ---- input.c, edit.c or noedit.c ---------------------------------------- */

/*
 * The next line of a file with its newline, the caller's to free; *lenp its
 * length.  NULL: the end, or *too_long.
 */
char *read_line(FILE *f, size_t *lenp, bool *too_long);

/* Lines from a terminal, edited where libedit was found. */
struct edit;
struct edit *edit_open(void);
/* As read_line; *intr: Ctrl-C, the line is void. */
char *edit_line(struct edit *ed, const char *prompt, size_t *lenp, bool *intr);
/* The terminal is as it was. */
void edit_close(struct edit *ed);

/* Catch SIGINT, for Ctrl-C to interrupt calls, and what ends the program. */
void signals_init(void);

/* Wait until standard input can be read.  False: one of those signals came. */
bool wait_key(void);

/* The signal that shall end the program, or 0; Ctrl-C since it was unset. */
extern volatile sig_atomic_t ending, interrupted;

#endif /* BIN_QUERN_CALL_H */
