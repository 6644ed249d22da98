# SPDX-License-Identifier: BSD-2-Clause
#
# usage: awk -f compare.awk -v header=NAME -v side=kernel|libc NAMES HEADER
#
# Write a C program that compares everything that HEADER (kernel/abi/NAME.h)
# defines with the host's headers that NAMES names, and prints a line of TAP.
# Nothing can be forgotten: what the host does not know is a failure, too.

FNR == NR {
	if ($1 == side && $2 == header) {
		for (i = 3; i <= NF; i++)
			includes = includes "#include <" $i ">\n"
	} else if ($1 == "const" || $1 == "struct" || $1 == "member") {
		theirs = $3
		for (i = 4; i <= NF; i++)
			theirs = theirs " " $i
		name[$1, $2] = theirs
	} else if ($1 == "ours" || ($1 == "not-libc" && side == "libc")) {
		skip[$2] = 1
	}
	next
}

# What the host calls it: a constant, or a type.
function host(kind, ours) {
	# libc has the usual names.
	if ((kind, ours) in name && !(side == "libc" && kind == "struct"))
		return name[kind, ours]
	return kind == "struct" ? "struct " ours : ours
}

/^#define Q_[A-Za-z_0-9]+[ \t]/ {
	ours = substr($2, 3)
	if (ours in skip)
		next
	h = host("const", ours)
	if (h == ours)
		body = body "#ifdef " h "\n"
	body = body "\tconstant(\"" ours "\", (long long)(" h \
	    "), (long long)Q_" ours ");\n"
	if (h == ours) {
		body = body "#else\n"
		if (side == "kernel")
			body = body "\tunknown(\"" ours "\");\n"
		body = body "#endif\n"
	}
}

/^struct q_[a-z_0-9]+ \{/ {
	tag = substr($2, 3)
	if (tag in skip)
		next
	type = host("struct", tag)
	body = body "\tsize(\"" tag "\", sizeof(" type \
	    "), sizeof(struct q_" tag "));\n"
	inside = 1
	next
}

/^\}/ { inside = 0 }

inside && /;/ {
	s = $0
	sub(/;.*/, "", s)
	sub(/\[.*/, "", s)
	sub(/.*[ \t*]/, "", s)
	member = s
	key = tag "." member
	theirs = ("member", key) in name && \
	    !(side == "libc" && tag == "stat" && member ~ /tim$/) ? \
	    name["member", key] : member
	if (theirs != "-")
		body = body "\tmember(\"" key "\", offsetof(" type ", " theirs \
		    "), sizeof(((" type " *)0)->" theirs "), offsetof(" \
		    "struct q_" tag ", " member "), sizeof(((struct q_" tag \
		    " *)0)->" member "));\n"
}

END {
	if (includes == "")
		body = "\tunknown(\"no headers to compare with\");\n"
	printf "%s", includes
	print "#include <stddef.h>"
	print "#include <stdio.h>"
	print "#include <quern/abi/" header ".h>"
	print ""
	print "static unsigned nconst, nsize, nmember, bad;"
	print ""
	print "__attribute__((unused)) static void"
	print "wrong(const char *what, const char *name, long long theirs, long long ours)"
	print "{"
	print "\tprintf(\"# %s of %s: %lld, the host's is %lld\\n\", what, name, ours,"
	print "\t    theirs);"
	print "\tbad = 1;"
	print "}"
	print "__attribute__((unused)) static void"
	print "constant(const char *name, long long theirs, long long ours)"
	print "{"
	print "\tnconst++;"
	print "\tif (theirs != ours)"
	print "\t\twrong(\"value\", name, theirs, ours);"
	print "}"
	print "__attribute__((unused)) static void"
	print "size(const char *name, size_t theirs, size_t ours)"
	print "{"
	print "\tnsize++;"
	print "\tif (theirs != ours)"
	print "\t\twrong(\"size\", name, theirs, ours);"
	print "}"
	print "__attribute__((unused)) static void"
	print "member(const char *name, size_t off, size_t len, size_t q_off, size_t q_len)"
	print "{"
	print "\tnmember++;"
	print "\tif (off != q_off)"
	print "\t\twrong(\"offset\", name, off, q_off);"
	print "\t/* The kernel's st_atime is the seconds of our st_atim. */"
	print "\tif (len != q_len && !(len == 8 && q_len == 16))"
	print "\t\twrong(\"size\", name, len, q_len);"
	print "}"
	print "__attribute__((unused)) static void"
	print "unknown(const char *name)"
	print "{"
	print "\tprintf(\"# %s: the host has no such name\\n\", name);"
	print "\tbad = 1;"
	print "}"
	print ""
	print "int"
	print "main(void)"
	print "{"
	printf "%s", body
	print "\tprintf(\"%s abi/" header ".h, " side ": %u constants, %u structs, %u \""
	print "\t    \"members\\n\", bad ? \"not ok\" : \"ok\", nconst, nsize, nmember);"
	print "\treturn (int)bad;"
	print "}"
}
