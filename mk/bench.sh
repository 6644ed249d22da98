#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# usage: bench.sh BUILD PROGRAM...
#
# Run each program tests/.../b_NAME with the file its rows go to, which becomes
# BUILD/bench/NAME.tsv:
#
#	name  figure  unit  peer  peer's figure  figure/peer's
#
# tab-separated, the last three "-" where there is no peer.  Then print them in
# columns.  Bars are in b_NAME.bars beside the source, where there is one, as
# "NAME figure|ratio <=|>= NUMBER", or "NAME/PEER ..." for the row beside that
# peer; they are shown, and missing one is no error: an ill-formed row is.

b=$1
shift
status=0
for p; do
	name=${p##*/b_}
	tsv=$b/bench/$name.tsv
	rm -f "$tsv"
	echo "== bench $name"
	if ! "$b/$p" "$tsv.new"; then
		echo "bench: $b/$p failed"
		status=1
		continue
	fi
	bars=$p.bars
	[ -e "$bars" ] || bars=/dev/null
	awk -F '\t' -v bars="$bars" '
	function wrong(why) {
		print "row " NR ": " why ": " $0 >"/dev/stderr"
		bad = 1
	}
	# A plain decimal of at least three significant digits, not 0.
	function figure(x, d) {
		if (x !~ /^[0-9]+(\.[0-9]+)?$/)
			return 0
		d = x
		sub(/^0*\.?0*/, "", d)
		gsub(/\./, "", d)
		return length(d) >= 3
	}
	BEGIN {
		while ((getline line <bars) > 0) {
			if (line ~ /^#/ || split(line, w, /[ \t]+/) < 4)
				continue
			what[w[1]] = w[2]; op[w[1]] = w[3]; bar[w[1]] = w[4]
		}
		form = "%-24s %12s %-6s %-16s %12s %8s  %s\n"
		printf form, "name", "quern", "unit", "peer", "peer", "ratio", "bar"
	}
	{
		if (NF != 6)
			wrong("not six columns")
		if (!figure($2))
			wrong("bad figure")
		if ($4 == "-" || $5 == "-" || $6 == "-") {
			if ($4 $5 $6 != "---")
				wrong("half a peer")
		} else if (!figure($5) || $6 !~ /^[0-9]+(\.[0-9]+)?$/)
			wrong("bad peer figure")
		else if ($6 - $2 / $5 > 0.02 * $6 + 0.001 ||
		    $2 / $5 - $6 > 0.02 * $6 + 0.001)
			wrong("ratio is not quern/peer")
		verdict = ""
		b = ($1 "/" $4) in bar ? $1 "/" $4 : $1
		if (b in bar && (what[b] == "figure" || $6 != "-")) {
			x = what[b] == "ratio" ? $6 : $2
			met = op[b] == ">=" ? x + 0 >= bar[b] + 0 : x + 0 <= bar[b] + 0
			verdict = (what[b] == "ratio" ? "ratio " : "") op[b] " " \
			    bar[b] (met ? "" : "  MISSED")
		}
		printf form, $1, $2, $3, $4, $5, $6, verdict
	}
	END { exit bad }' "$tsv.new" || status=1
	mv "$tsv.new" "$tsv"
done
exit $status
