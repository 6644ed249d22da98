#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# usage: graph.sh BUILD: write BUILD/graph.dot, and graph.svg if graphviz is here

b=$1
awk -F '\t' '
BEGIN {
	print "digraph quern {\n\trankdir = BT;\n\tnode [shape = box];"
}
$1 == "unit" {
	style = $4 == "free" ? "solid" : $4 == "host" ? "dashed" : "dotted"
	printf "\t\"%s\" [style = %s, tooltip = \"%s\"];\n", $2, style, $3
	n = split($5, w, " ")
	for (i = 1; i <= n; i++)
		printf "\t\"%s\" -> \"%s\";\n", $2, w[i]
}
$1 == "uses" && $2 ~ /^bin\// {
	printf "\t\"%s\" [shape = ellipse];\n", $2
	n = split($3, w, " ")
	for (i = 1; i <= n; i++)
		printf "\t\"%s\" -> \"%s\";\n", $2, w[i]
}
END { print "}" }' "$b/check/manifest" >"$b/graph.dot" || exit 1
echo "$b/graph.dot"
if command -v dot >/dev/null 2>&1; then
	dot -Tsvg -o "$b/graph.svg" "$b/graph.dot" && echo "$b/graph.svg"
else
	echo 'graphviz absent: left out graph.svg'
fi
