# SPDX-License-Identifier: BSD-2-Clause
#
# usage: awk -f makesyscalls.awk -v unit=UNIT -v out=KIND syscalls.def
#
# Make of the table of system calls, whose head says how it is written, what
# KIND says:
#
#	calls.h		the prototypes of all wrappers, for <quern/calls.h>
#	wrappers.c	the wrappers and the list of handlers of UNIT
#	table.c		the descriptions of all calls
#	calltab.c	for programs: wrappers and contracts of UNITS
#	abi.md		docs/linux-abi.md: what there is of each call
#
# For any awk (mawk, gawk).  A line that is wrong is reported with its place,
# and the exit status is 1.

BEGIN {
	# Scalars: what they are in C.
	ctype["fd"] = ctype["int"] = ctype["flags"] = ctype["enum"] = "int"
	ctype["uint"] = ctype["uenum"] = "unsigned"
	ctype["long"] = ctype["off"] = "int64_t"
	ctype["ulong"] = ctype["by"] = ctype["addr"] = "uint64_t"
	ctype["size"] = "size_t"
	ctype["pid"] = "int32_t"
	ctype["uid"] = ctype["gid"] = ctype["mode"] = "uint32_t"
	n = split("fd int uint long ulong size off pid uid gid mode addr", w, " ")
	for (i = 1; i <= n; i++)
		plain[w[i]] = 1
	n = split("none fd size count off pid uid gid mode time addr int", w, " ")
	for (i = 1; i <= n; i++)
		result[w[i]] = 1
	ret_kind["none"] = ret_kind["int"] = ret_kind["count"] = "QARG_INT"
	ret_kind["time"] = "QARG_LONG"
	if (out !~ /^(calls\.h|wrappers\.c|table\.c|calltab\.c|abi\.md)$/)
		die("usage: -v out=calls.h, wrappers.c, table.c, calltab.c " \
		    "or abi.md")
	if (out ~ /^(wrappers|calltab)\.c$/ && unit == "")
		die("usage: -v unit=NAME")
	last_nr = -1
}

function die(text) {
	print text >"/dev/stderr"
	failed = 1
	exit 1
}

function bad(text) {
	die(FILENAME ":" line_no ": " text)
}

function trim(s) {
	sub(/^[ \t]+/, "", s)
	sub(/[ \t]+$/, "", s)
	return s
}

function is_name(s) {
	return s ~ /^[a-zA-Z_][a-zA-Z_0-9]*$/
}

# ---- reading ---------------------------------------------------------------

/^#/ || /^[ \t]*$/ { next }

/^\t/ {
	if (kind == "")
		bad_here("a line that continues nothing")
	more[++nmore] = substr($0, 2)
	more_no[nmore] = FNR
	next
}

{
	finish()
	line_no = FNR
	nmore = 0
	begin($0)
}

END {
	if (failed)
		exit 1
	finish()
	line_no = FNR
	check_sets()
	if (out == "calls.h")
		emit_calls()
	else if (out == "wrappers.c")
		emit_wrappers()
	else if (out == "calltab.c")
		emit_calltab()
	else if (out == "abi.md")
		emit_abi()
	else
		emit_table()
}

function bad_here(text) {
	line_no = FNR
	bad(text)
}

function begin(s,    f) {
	head = s
	split(s, f, /[ \t]+/)
	if (f[1] ~ /^[0-9]+$/)
		kind = "call"
	else if (f[1] ~ /^(include|flags|enum|command|struct)$/)
		kind = f[1]
	else
		bad("'" f[1] "' is neither a number nor a kind of line")
}

# A line with all that continues it has been read.
function finish() {
	if (kind == "call")
		finish_call()
	else if (kind == "include")
		finish_include()
	else if (kind == "struct")
		finish_struct()
	else if (kind != "")
		finish_set()
	kind = ""
}

function finish_include(    i, j, n, w) {
	more[0] = head
	sub(/^include/, "", more[0])
	for (i = 0; i <= nmore; i++) {
		n = split(more[i], w, /[ \t]+/)
		for (j = 1; j <= n; j++)
			if (w[j] != "")
				include[++nincludes] = w[j]
	}
}

function finish_set(    f, n, name, i) {
	n = split(head, f, /[ \t]+/)
	name = f[2]
	if (n != 2 || !is_name(name))
		bad("want: " kind " SET")
	if (name in set_kind)
		bad("there is a set '" name "' already")
	if (nmore == 0)
		bad("set '" name "' is empty")
	set_kind[name] = kind
	set_line[name] = line_no
	sets[++nsets] = name
	for (i = 1; i <= nmore; i++) {
		line_no = more_no[i]
		if (kind == "command")
			add_command(name, more[i])
		else
			add_consts(name, more[i])
	}
}

# One line of members for struct `name`.
function add_members(name, s,    n, i, type, array) {
	n = cut(s)
	for (i = 1; i <= n; i++) {
		if (piece[i] == "")
			continue
		if (!match(piece[i], /[ \t][a-zA-Z_0-9]+$/))
			bad("member " i ": want: TYPE NAME")
		type = trim(substr(piece[i], 1, RSTART))
		member_name[name, ++nmembers[name]] = trim(substr(piece[i], \
		    RSTART))
		array = sub(/\[\]$/, "", type)
		t_init()
		if (type == "text") {
			t_kind = "QARG_STR"
			array = 1
		} else if (type ~ /^struct [a-z_0-9]+$/) {
			type = substr(type, 8)
			if (!(type in nmembers) || type == name)
				bad("struct '" type "' is not described before")
			t_kind = "QARG_STRUCT"
			t_set = "&struct_" type
			use["struct", type] = line_no
		} else {
			parse_scalar(type)
		}
		member_kind[name, nmembers[name]] = t_kind
		member_set[name, nmembers[name]] = t_set
		member_array[name, nmembers[name]] = array
	}
}

function finish_struct(    f, n, name, i) {
	n = split(head, f, /[ \t]+/)
	name = f[2]
	if (n != 2 || !is_name(name))
		bad("want: struct S")
	if (name in nmembers)
		bad("struct '" name "' is described already")
	if (nmore == 0)
		bad("struct '" name "' is empty")
	described[++ndescribed] = name
	struct_line[name] = line_no
	nmembers[name] = 0
	for (i = 1; i <= nmore; i++) {
		line_no = more_no[i]
		add_members(name, more[i])
	}
}

function add_consts(set, s,    field, n, w, i) {
	field = ""
	s = trim(s)
	if (match(s, /^[A-Z_0-9]+:/)) {
		if (set_kind[set] != "flags")
			bad("only flags have fields")
		field = substr(s, 1, RLENGTH - 1)
		s = trim(substr(s, RLENGTH + 1))
	}
	n = split(s, w, /[ \t]+/)
	for (i = 1; i <= n; i++) {
		if (!is_name(w[i]))
			bad("'" w[i] "' is no name of a constant")
		const_name[set, ++nconsts[set]] = w[i]
		const_field[set, nconsts[set]] = field
	}
}

function add_command(set, s,    n, name) {
	s = trim(s)
	if (!match(s, /[ \t]+/))
		bad("want: NAME TYPE")
	name = substr(s, 1, RSTART - 1)
	s = substr(s, RSTART + RLENGTH)
	if (name !~ /^[A-Za-z_0-9]+(,[A-Za-z_0-9]+)?$/)
		bad("'" name "' is no name of a constant")
	n = ++ncommands[set]
	command_name[set, n] = name
	nparams = 0
	if (s == "none")
		t_init()
	else
		parse_type(s)
	command_text[set, n] = arg_text("NULL")
}

# ---- arguments -------------------------------------------------------------

function t_init() {
	t_kind = "QARG_NONE"
	t_dir = t_elem = t_lenhow = "0"
	t_size = t_len = "0"
	t_ret = "false"
	t_set = "NULL"
	t_sel = ""
	t_c = ""
	t_star = 0
}

# The C initialiser of struct qsys_arg for what was parsed last.
function arg_text(name) {
	return "{ .a_name = " name ", .a_kind = " t_kind \
	    (t_set == "NULL" ? "" : ", .a_set = " t_set) \
	    (t_dir == "0" ? "" : ", .a_dir = " t_dir) \
	    (t_elem == "0" ? "" : ", .a_elem = " t_elem) \
	    (t_size == "0" ? "" : ", .a_size = " t_size) \
	    (t_lenhow == "0" ? "" : ", .a_lenhow = " t_lenhow) \
	    (t_len == "0" ? "" : ", .a_len = " t_len) \
	    (t_ret == "false" ? "" : ", .a_ret = " t_ret) \
	    (t_sel == "" ? "" : ", .a_sel = " t_sel) " }"
}

function param_index(name,    i) {
	for (i = 1; i <= nparams; i++)
		if (param[i] == name)
			return i - 1
	bad("'" name "' is no argument of this call")
}

function parse_scalar(s,    n, w) {
	n = split(s, w, ":")
	if (n == 1 && (s in plain)) {
		t_kind = "QARG_" toupper(s)
		t_c = ctype[s]
		return
	}
	if (s == "hole") {
		t_kind = "QARG_HOLE"
		return
	}
	if (n != 2 || w[1] !~ /^(flags|enum|uenum)$/)
		bad("'" s "' is no type")
	use[w[1] == "flags" ? "flags" : "enum", w[2]] = line_no
	t_kind = w[1] == "flags" ? "QARG_FLAGS" : "QARG_ENUM"
	t_elem = w[1] == "uenum" ? "QARG_UINT" : "QARG_INT"
	t_set = "const_" w[2]
	t_c = ctype[w[1]]
}

# by:SET(ARG) or by:SET(ARG,ARG2)
function parse_by(s,    set, n, w) {
	if (s !~ /^by:[a-zA-Z_0-9]+\([^()]*\)$/)
		bad("want: by:SET(ARG) or by:SET(ARG,ARG2)")
	set = substr(s, 4, index(s, "(") - 4)
	s = substr(s, index(s, "(") + 1)
	n = split(substr(s, 1, length(s) - 1), w, ",")
	use["by", set] = line_no
	t_kind = "QARG_BY"
	t_set = "command_" set
	t_sel = "{ " param_index(trim(w[1])) ", " \
	    (n > 1 ? param_index(trim(w[2])) : 0) " }"
	t_c = ctype["by"]
}

# What is between the brackets: LEN or LEN=ret.
function parse_len(s) {
	if (s ~ /=ret$/) {
		t_ret = "true"
		sub(/=ret$/, "", s)
	}
	if (s ~ /^[0-9]+$/) {
		t_len = s
	} else if (s ~ /^\*/) {
		t_lenhow = "QLEN_PTR"
		t_len = param_index(substr(s, 2))
	} else {
		t_lenhow = "QLEN_ARG"
		t_len = param_index(s)
	}
}

function parse_object(s,    len, base) {
	base = s
	if (match(s, /\[.*\]$/)) {
		base = substr(s, 1, RSTART - 1)
		parse_len(substr(s, RSTART + 1, RLENGTH - 2))
		len = 1
	} else {
		t_len = 1
	}
	t_star = 1
	if (base == "str" && !len) {
		t_kind = "QARG_STR"
		t_c = "char"
	} else if (base == "buf" && len) {
		t_kind = "QARG_BUF"
		t_size = 1
		t_c = "void"
	} else if (base ~ /^struct [a-z_0-9]+$/) {
		base = substr(base, 8)
		t_kind = "QARG_STRUCT"
		t_set = "&struct_" base
		use["struct", base] = line_no
		t_size = "sizeof(struct q_" base ")"
		t_c = "struct q_" base
		structs[base] = 1
	} else if (base == "iovec" && len) {
		t_kind = "QARG_IOVEC"
		t_size = "sizeof(struct q_iovec)"
		t_c = "struct q_iovec"
		structs["iovec"] = 1
	} else if (base == "msghdr" && !len) {
		t_kind = "QARG_MSGHDR"
		t_size = "sizeof(struct q_msghdr)"
		t_c = "struct q_msghdr"
		structs["msghdr"] = 1
	} else if (base == "fdset" && len) {
		t_kind = "QARG_FDSET"
		t_c = "struct q_fd_set"
		structs["fd_set"] = 1
	} else if (base == "sigset" && len) {
		t_kind = "QARG_SIGSET"
		t_size = 1
		t_c = "struct q_sigset"
		structs["sigset"] = 1
	} else if ((base in plain) && len) {
		t_kind = "QARG_ARRAY"
		t_elem = "QARG_" toupper(base)
		t_size = "sizeof(" ctype[base] ")"
		t_c = ctype[base]
	} else {
		bad("'" s "' is no object" (len ? "" : ", or lacks its length"))
	}
}

function parse_type(s,    dir, data) {
	t_init()
	s = trim(s)
	if (!match(s, /^(in|out|inout)\??[ \t]+/)) {
		if (s ~ /^by:/)
			parse_by(s)
		else
			parse_scalar(s)
		return
	}
	dir = trim(substr(s, 1, RLENGTH))
	parse_object(trim(substr(s, RLENGTH + 1)))
	data = t_kind == "QARG_IOVEC"
	t_c = (dir ~ /^in\??$/ || data ? "const " : "") t_c
	t_dir = dir ~ /^inout/ ? "QARG_INOUT" : dir ~ /^in/ ? "QARG_IN" : \
	    "QARG_OUT"
	if (dir ~ /\?$/)
		t_dir = t_dir " | QARG_OPTIONAL"
	if (t_ret == "true" && dir ~ /^in\??$/)
		bad("'=ret' is for what the call stores")
}

# ---- calls -----------------------------------------------------------------

# Cut `s` at commas outside parentheses into piece[1..n].
function cut(s,    n, depth, i, c, cur) {
	n = 0
	cur = ""
	for (i = 1; i <= length(s); i++) {
		c = substr(s, i, 1)
		if (c == "(")
			depth++
		else if (c == ")")
			depth--
		if (c == "," && depth == 0) {
			piece[++n] = trim(cur)
			cur = ""
		} else {
			cur = cur c
		}
	}
	if (trim(cur) != "" || n > 0)
		piece[++n] = trim(cur)
	return n
}

function parse_args(nr, s,    i, at) {
	nparams = cut(s)
	if (nparams > 6)
		bad("a call has at most six arguments")
	for (i = 1; i <= nparams; i++) {
		if (!match(piece[i], /[ \t][a-zA-Z_0-9-]+$/))
			bad("argument " i ": want: TYPE NAME")
		param[i] = substr(piece[i], RSTART + 1)
		piece[i] = substr(piece[i], 1, RSTART - 1)
	}
	for (i = 1; i <= nparams; i++) {
		if (param[i] == "p" || param[i] == "args")
			bad("'" param[i] "' is taken: the wrapper uses it")
		for (at = 1; at < i; at++)
			if (param[at] == param[i] && param[i] != "-")
				bad("two arguments are called '" param[i] "'")
		parse_type(piece[i])
		if ((t_kind == "QARG_HOLE") != (param[i] == "-"))
			bad("argument " i ": a hole, and nothing else, is -")
		arg[nr, i] = arg_text("\"" param[i] "\"")
		arg_name[nr, i] = param[i]
		arg_c[nr, i] = t_kind == "QARG_HOLE" ? "" : \
		    t_c (t_star ? " *" : " ") param[i]
		arg_cast[nr, i] = t_kind == "QARG_HOLE" ? "0" : \
		    t_star ? "(uintptr_t)" param[i] : \
		    t_c ~ /^(int|int32_t|int64_t)$/ ? \
		    "(uint64_t)(int64_t)" param[i] : param[i]
	}
	nargs[nr] = nparams
}

function finish_call(    nr, s, name, public, i, rest, owner) {
	if (!match(head, /^[0-9]+[ \t]+/))
		bad("want: NUMBER UNIT NAME(...) = RESULT, or NUMBER - NAME")
	nr = substr(head, 1, RLENGTH) + 0
	s = substr(head, RLENGTH + 1)
	if (nr <= last_nr)
		bad("number " nr " after " last_nr)
	if (nr >= 512)
		bad("numbers go up to 511")
	last_nr = nr
	if (!match(s, /^[a-z0-9-]+[ \t]+/))
		bad("want: NUMBER UNIT NAME(...) = RESULT, or NUMBER - NAME")
	owner = trim(substr(s, 1, RLENGTH))
	s = trim(substr(s, RLENGTH + 1))
	order[++norder] = nr
	if (owner == "-") {
		if (!is_name(s))
			bad("want: NUMBER - NAME")
		call_name[nr] = s
		call_unit[nr] = ""
		for (i = 1; i <= nmore; i++)
			call_note[nr] = call_note[nr] (i > 1 ? " " : "") more[i]
	} else {
		if (!match(s, /^[a-z_0-9]+(\/[a-z_0-9]+)?\(/))
			bad("want: NAME(...) = RESULT")
		name = public = substr(s, 1, RLENGTH - 1)
		sub(/\/.*/, "", name)
		sub(/.*\//, "", public)
		call_public[nr] = public
		s = substr(s, RLENGTH + 1)
		if (!match(s, /\)[ \t]*=[ \t]*[a-z]+([ \t]+guest)?$/))
			bad("want: ) = RESULT [guest] at the end")
		rest = trim(substr(s, RSTART + 1))
		s = substr(s, 1, RSTART - 1)
		sub(/^=[ \t]*/, "", rest)
		call_guest[nr] = sub(/[ \t]+guest$/, "", rest)
		if (!(rest in result))
			bad("'" rest "' is no result")
		call_ret[nr] = rest
		call_name[nr] = name
		call_unit[nr] = owner
		call_decl[nr] = name "(" s ") = " rest
		parse_args(nr, s)
		for (i = 1; i <= nmore; i++) {
			text[nr, i] = more[i]
			if (call_note[nr] != "")
				call_note[nr] = call_note[nr] " " more[i]
			else if (sub(/^Lacks: */, "", more[i]))
				call_note[nr] = more[i]
		}
		if (nmore > 0 && text[nr, 1] ~ /^Lacks:/)
			bad("call '" name "' has no contract")
		ntext[nr] = nmore
		if (nmore == 0)
			bad("call '" name "' has no contract")
	}
	if (call_name[nr] in names)
		bad("there is a call '" call_name[nr] "' already")
	names[call_name[nr]] = nr
}

function check_sets(    key, p) {
	for (key in use) {
		split(key, p, SUBSEP)
		line_no = use[key]
		if (p[1] == "struct") {
			if (!(p[2] in nmembers))
				bad("struct '" p[2] "' is not described")
			used_struct[p[2]] = 1
			continue
		}
		if (!(p[2] in set_kind))
			bad("there is no set '" p[2] "'")
		if (p[1] == "flags" && set_kind[p[2]] != "flags")
			bad("'" p[2] "' is not a set of flags")
		if (p[1] == "enum" && set_kind[p[2]] == "flags")
			bad("'" p[2] "' is a set of flags")
		if (p[1] == "by" && set_kind[p[2]] != "command")
			bad("'" p[2] "' is no set of commands")
		used[p[2]] = 1
	}
	for (key in set_kind)
		if (!(key in used)) {
			line_no = set_line[key]
			bad("set '" key "' is not used")
		}
	for (key in nmembers)
		if (!(key in used_struct)) {
			line_no = struct_line[key]
			bad("struct '" key "' is not used")
		}
}

# ---- writing ---------------------------------------------------------------

function banner(what) {
	print "/* SPDX-License-Identifier: BSD-2-Clause */"
	print "/*"
	print " * " what
	print " * Made by makesyscalls.awk of syscalls.def: change that."
	print " */"
}

# Print what is between commas in lines of up to 80 columns, with `indent` in
# front of all but the first.
function fill(s, indent,    n, w, i, line, len) {
	gsub(/, /, ",\001", s)
	n = split(s, w, "\001")
	line = ""
	for (i = 1; i <= n; i++) {
		len = length(line) + length(w[i]) + 1
		if (line != "" && len > 72) {
			print line
			line = indent
		}
		line = line (line == "" || line == indent ? "" : " ") w[i]
	}
	print line
}

function prototype(nr,    i, s) {
	s = "quern_" call_public[nr] "(struct quern_proc *p"
	for (i = 1; i <= nargs[nr]; i++)
		if (arg_c[nr, i] != "")
			s = s ", " arg_c[nr, i]
	return s ")"
}

function emit_calls(    i, j, nr, s, n, list) {
	banner("The system calls: a function for each.")
	print "#ifndef QUERN_CALLS_H"
	print "#define QUERN_CALLS_H"
	print ""
	print "#include <stddef.h>"
	print "#include <stdint.h>"
	print ""
	print "#ifdef __cplusplus"
	print "extern \"C\" {"
	print "#endif"
	print ""
	print "struct quern_proc;"
	n = 0
	for (s in structs)
		list[++n] = s
	sort(list, n)
	for (i = 1; i <= n; i++)
		print "struct q_" list[i] ";"
	print ""
	print "/* Numbers, for quern_syscall. */"
	for (i = 1; i <= norder; i++)
		print "#define QUERN_NR_" call_name[order[i]] " " order[i]
	for (i = 1; i <= norder; i++) {
		nr = order[i]
		if (call_unit[nr] == "" || call_guest[nr])
			continue
		print ""
		print "/*"
		for (j = 1; j <= ntext[nr]; j++)
			print " * " text[nr, j]
		if (call_unit[nr] != "kernel")
			print " * In unit " call_unit[nr] "."
		print " */"
		fill("int64_t " prototype(nr) ";", "    ")
	}
	print ""
	print "#ifdef __cplusplus"
	print "}"
	print "#endif"
	print ""
	print "#endif /* QUERN_CALLS_H */"
}

function sort(a, n,    i, j, x) {
	for (i = 2; i <= n; i++) {
		x = a[i]
		for (j = i - 1; j > 0 && a[j] > x; j--)
			a[j + 1] = a[j]
		a[j + 1] = x
	}
}

function emit_wrappers(    i, j, nr, n, s, sym) {
	banner("The system calls of unit " unit ".")
	print "#include <quern/calls.h>"
	print "#include <quern/syscall.h>"
	print ""
	for (i = 1; i <= norder; i++)
		if (call_unit[order[i]] == unit)
			print "int64_t sys_" call_name[order[i]] "(struct qsys *s);"
	sym = unit
	gsub(/-/, "_", sym)
	print ""
	print "extern const struct qsys_handler " sym "_calls[];"
	print "const struct qsys_handler " sym "_calls[] = {"
	for (i = 1; i <= norder; i++) {
		nr = order[i]
		if (call_unit[nr] != unit)
			continue
		print "\t{ sys_" call_name[nr] ", " nr ", " \
		    (call_guest[nr] ? "QSYS_GUEST" : "0") " },"
		at[nr] = n++ + 0
	}
	print "\t{ NULL, 0, 0 },"
	print "};"
	for (i = 1; i <= norder; i++) {
		nr = order[i]
		if (call_unit[nr] != unit || call_guest[nr])
			continue
		print ""
		print "int64_t"
		fill(prototype(nr), "    ")
		print "{"
		s = (nargs[nr] ? "" : "static ") "const uint64_t args[6] = {"
		for (j = 1; j <= nargs[nr]; j++)
			s = s (j > 1 ? ", " : " ") arg_cast[nr, j]
		fill("\t" s (nargs[nr] ? " };" : " 0 };"), "\t    ")
		print ""
		print "\treturn qsys_call(p, &" sym "_calls[" at[nr] "], args);"
		print "}"
	}
}

function emit_consts(set,    i, c, f) {
	print ""
	print "static const struct qsys_const const_" set "[] = {"
	for (i = 1; i <= nconsts[set]; i++) {
		c = const_name[set, i]
		f = const_field[set, i]
		print "\t{ \"" c "\", Q_" c ", " (f == "" ? "0" : "Q_" f) " },"
	}
	for (i = 1; i <= ncommands[set]; i++) {
		c = command_name[set, i]
		sub(/,.*/, "", c)
		print "\t{ \"" c "\", Q_" c ", 0 },"
	}
	print "\t{ NULL, 0, 0 },"
	print "};"
}

function emit_commands(set,    i, n, w) {
	print ""
	print "static const struct qsys_command command_" set "[] = {"
	for (i = 1; i <= ncommands[set]; i++) {
		n = split(command_name[set, i], w, ",")
		print "\t{ \"" w[n] "\", { Q_" w[1] ", " \
		    (n > 1 ? "Q_" w[2] : "0") " },"
		print "\t    " command_text[set, i] " },"
	}
	print "\t{ .m_name = NULL },"
	print "};"
}

# `unit` is a list: those that the program is linked with.
function emit_calltab(    i, j, n, s, w, nr, have) {
	banner("The functions that make system calls, and what they are for.")
	print "#include <quern/quern.h>"
	print "#include <quern/syscall.h>"
	print ""
	print "const struct qsys_entry qsys_entries[] = {"
	n = split(unit, w, " ")
	for (i = 1; i <= n; i++)
		have[w[i]] = 1
	for (i = 1; i <= norder; i++) {
		nr = order[i]
		if (!(call_unit[nr] in have) || call_guest[nr])
			continue
		print "\t{ " nr ", (void (*)(void))quern_" call_public[nr] ","
		print "\t    \"" call_decl[nr] "\","
		for (j = 1; j <= ntext[nr]; j++) {
			s = text[nr, j]
			gsub(/["\\]/, "\\\\&", s)
			print "\t    \"" s "\\n\"" (j == ntext[nr] ? " }," : "")
		}
	}
	print "\t{ 0, NULL, NULL, NULL },"
	print "};"
}

# What is in front of the table; `n` counts by state.
function emit_abi_head(n) {
	print "<!-- Made by makesyscalls.awk of kernel/syscalls.def: make abi -->"
	print "# The system calls of Linux x86-64"
	print ""
	print "What guests, programs for Linux as they are, find of each call of"
	print "Linux, by its number.  Of " norder " calls " n["complete"] + 0 \
	    " are complete, " n["partial"] + 0 " are partial and"
	print n["absent"] + 0 " are absent."
	print ""
	print "- *complete*: what its manual page describes and a guest can tell."
	print "- *partial*: the last column says what lacks, or is other than there."
	print "- *absent*: `-ENOSYS`, counted, and named by `vkernel --trace`."
	print ""
	print "What a call does with an object that does not exist here - a network"
	print "card, a namespace, a cgroup - is not counted as lacking.  The contract"
	print "of each call, with its errors, is in `kernel/syscalls.def`."
	print ""
	print "| no. | call | state | what lacks |"
	print "|---:|---|---|---|"
}

function emit_abi(    i, nr, state, n) {
	for (i = 1; i <= norder; i++) {
		nr = order[i]
		state[nr] = call_unit[nr] == "" ? "absent" : \
		    call_note[nr] != "" ? "partial" : "complete"
		n[state[nr]]++
	}
	emit_abi_head(n)
	for (i = 1; i <= norder; i++) {
		nr = order[i]
		gsub(/\|/, "\\|", call_note[nr])
		print "| " nr " | `" call_name[nr] "` | " state[nr] " | " \
		    call_note[nr] " |"
	}
}

function emit_struct(name,    i, m, n) {
	print ""
	print "static const struct qsys_field fields_" name "[] = {"
	for (i = 1; i <= nmembers[name]; i++) {
		n = member_name[name, i]
		m = "((struct q_" name " *)0)->" n
		print "\t{ \"" n "\", " member_set[name, i] ", " \
		    "offsetof(struct q_" name ", " n "),"
		if (member_array[name, i])
			print "\t    sizeof(" m "[0]), sizeof(" m ") / sizeof(" \
			    m "[0]), " member_kind[name, i] " },"
		else
			print "\t    sizeof(" m "), 0, " \
			    member_kind[name, i] " },"
	}
	print "\t{ .f_name = NULL },"
	print "};"
	print "static const struct qsys_struct struct_" name " = {"
	print "\t\"" name "\", fields_" name ", sizeof(struct q_" name ")"
	print "};"
}

function emit_table(    i, j, nr, k) {
	banner("What the system calls are called and take.")
	print "#include <quern/syscall.h>"
	print ""
	for (i = 1; i <= nincludes; i++)
		print "#include <quern/" include[i] ">"
	for (i = 1; i <= nsets; i++)
		if (set_kind[sets[i]] == "flags" || ("enum", sets[i]) in use)
			emit_consts(sets[i])
	for (i = 1; i <= ndescribed; i++)
		emit_struct(described[i])
	for (i = 1; i <= nsets; i++)
		if (("by", sets[i]) in use)
			emit_commands(sets[i])
	for (i = 1; i <= norder; i++) {
		nr = order[i]
		if (nargs[nr] == 0)
			continue
		print ""
		print "static const struct qsys_arg args_" call_name[nr] "[] = {"
		for (j = 1; j <= nargs[nr]; j++)
			print "\t" arg[nr, j] ","
		print "};"
	}
	print ""
	print "const struct qsys_desc qsys_descs[QSYS_MAX] = {"
	for (i = 1; i <= norder; i++) {
		nr = order[i]
		if (call_unit[nr] == "") {
			print "\t[" nr "] = { .d_name = \"" call_name[nr] "\" },"
			continue
		}
		k = call_ret[nr]
		k = (k in ret_kind) ? ret_kind[k] : "QARG_" toupper(k)
		print "\t[" nr "] = { \"" call_name[nr] "\", " \
		    (nargs[nr] ? "args_" call_name[nr] : "NULL") ", " \
		    nargs[nr] + 0 ", " k ", " \
		    (call_guest[nr] ? "QSYS_GUEST" : "0") " },"
	}
	print "};"
}
