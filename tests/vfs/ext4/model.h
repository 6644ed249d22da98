/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What threads do to files, and what a crash may leave of it.
 *
 * Each thread works in a directory of its own, "/t0" and so on.  The model notes
 * the names there after each operation, and of each file what was done to its
 * contents.  The rules, of POSIX and of ext4's journal:
 *
 * M1  The names of a thread are those after one of its operations, none torn: no
 *     earlier than the last that is durable, no later than the last begun.
 * M2  fsync of a file or directory makes durable the operations that have
 *     concerned it up to then, its creation and renaming too, and with them those
 *     before; of a file also all that was done to its contents.  sync does so for
 *     everything that was over when it began.
 * M3  Each 32 bytes of a file are what a change has made of them: the last one
 *     that is durable, or any later one that had begun.
 * M4  A file's size is what it was after the last durable change or a later
 *     one; of a write, which goes to the disk in pieces, anything between.
 *
 * A file says in its mode which object of the model it is, and its contents say
 * which change of which object made them: nobody else's are ever allowed.
 */
#ifndef TESTS_VFS_EXT4_MODEL_H
#define TESTS_VFS_EXT4_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tree.h"
#include "walk.h"

#define MODEL_THREADS 3u
#define MODEL_TOP     6u /* names in a thread's directory */
#define MODEL_SUB     3u /* and in each directory there */
#define MODEL_OPS     600u
#define MODEL_OBJS    250u
#define MODEL_CHANGES 40u
#define MODEL_CELL    32u
#define MODEL_SIZE    (96u << 10) /* of a file, at most */

enum model_type { MODEL_NONE = 0, MODEL_FILE, MODEL_DIR, MODEL_LINK };

enum model_kind { CHANGE_WRITE, CHANGE_SIZE, CHANGE_ZERO };

/* Something done to a file's contents. */
struct model_change {
	enum model_kind mc_kind;
	uint32_t mc_off, mc_end; /* CHANGE_SIZE: what is beyond mc_off is 0 */
	uint32_t mc_size;        /* of the file afterwards */
};

struct model_object {
	enum model_type mo_type;
	unsigned mo_nchange, mo_durable;
	struct model_change mo_change[MODEL_CHANGES];
	unsigned mo_op; /* number of operations, with the last on it */
};

/* Object numbers; 0: the name is not there. */
struct model_names {
	uint16_t mn_top[MODEL_TOP];
	uint16_t mn_sub[MODEL_TOP][MODEL_SUB];
};

struct model_thread {
	struct model_names mt_names[MODEL_OPS + 2]; /* after so many */
	unsigned mt_begun, mt_done, mt_durable;     /* operations */
	unsigned mt_op; /* with the last on its directory */
	unsigned mt_nobj;
	struct model_object mt_obj[MODEL_OBJS]; /* from 1 on */
};

struct model {
	unsigned m_nthread;
	bool m_longnames;
	struct model_thread m_thread[MODEL_THREADS];
	char m_wrong[500];
	char m_buf[MODEL_SIZE + 65536];
	uint8_t m_base[MODEL_SIZE / MODEL_CELL];
	bool m_zero[MODEL_SIZE / MODEL_CELL];
};

/* How far everything was at a moment. */
struct model_mark {
	uint16_t mk_begun[MODEL_THREADS], mk_durable[MODEL_THREADS];
	uint8_t mk_change[MODEL_THREADS][MODEL_OBJS];
	uint8_t mk_safe[MODEL_THREADS][MODEL_OBJS];
};

/* Note how far it is now; `all`: everything is safe. */
void model_mark(const struct model *m, struct model_mark *mk, bool all);

/* Is what `w` has walked through allowed by a mark?  NULL, or what isn't. */
const char *model_check(struct model *m, const struct model_mark *mk,
    struct walk *w);

/* The path of a name, `sub` < 0: in the thread's directory; 0: of that. */
void model_path(const struct model *m, unsigned thread, int top, int sub,
    char *path, size_t len);

/* The number that a cell of an object's contents is four times. */
uint64_t model_stamp(unsigned thread, unsigned obj, unsigned change,
    uint64_t off);

/* ---- work.c: threads that do things --------------------------------------------- */

struct model_work {
	struct model *mw_model;
	unsigned mw_me;
	uint64_t mw_rng;
	unsigned mw_nops;
	bool mw_extents; /* fallocate works */
	struct quern_sim *mw_sim;
	struct tree_sys mw_sys;
	int64_t mw_held; /* a file without a name, or -1 */
	unsigned mw_heldobj;
	int64_t mw_error; /* what a call has answered that should not */
	const char *mw_what;
};

/* Make the threads' directories, and everything safe. */
int64_t model_prepare(struct model *m, const struct tree_sys *s);

/* Do things until mw_nops, an error, or no room in the model. */
void model_work(struct model_work *mw);

#endif /* TESTS_VFS_EXT4_MODEL_H */
