#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# usage: undefined.sh MANIFEST BUILD
#
# What a unit's archive leaves undefined must be exported by what it USES or
# belong to the compiler's run-time; a host-side unit has libc and its packages
# besides, which the linker tells.

manifest=$1
b=$2
runtime='memcpy memmove memset memcmp __popcountdi2 __udivti3 __divti3 __umodti3
    __modti3 _GLOBAL_OFFSET_TABLE_'
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
bad=0
tab=$(printf '\t')

# usage: libs UNITS: those archives of them that exist
libs() {
	for u; do
		[ -e "$b/lib/libquern-$u.a" ] && echo "$b/lib/libquern-$u.a"
	done
}

while IFS=$tab read -r _ unit dir kind rest; do
	# USES may be empty, and read joins tabs.
	closure=$(awk -F '\t' -v u="$unit" '$1 == "unit" && $2 == u { print $6 }' \
	    "$manifest")
	pkgs=$(awk -F '\t' -v u="$unit" '$1 == "unit" && $2 == u { print $9 }' \
	    "$manifest")
	archive=$b/lib/libquern-$unit.a
	# shellcheck disable=SC2046,SC2086 # words
	case $kind in
	free)
		{
			printf '%s\n' $runtime
			nm -g --defined-only $(libs $closure) |
			    awk 'NF == 3 { print $3 }'
		} | sort -u >"$work/have"
		nm -u "$archive" | awk '$1 == "U" { print $2 }' | sort -u |
		    comm -23 - "$work/have" >"$work/lacking"
		;;
	host)
		flags=
		[ -z "$pkgs" ] || flags=$(${PKG_CONFIG:-pkg-config} --libs $pkgs)
		${CC:-gcc} -shared -Wl,-z,defs -Wl,--whole-archive "$archive" \
		    -Wl,--no-whole-archive $(libs $closure) $flags -pthread \
		    -o "$work/so" 2>&1 |
		    sed -n "s/.*undefined reference to [\`']\([^']*\)'.*/\1/p" |
		    sort -u >"$work/lacking"
		;;
	*)	continue ;;
	esac
	if [ -s "$work/lacking" ]; then
		bad=1
		echo "$dir: undefined, and in nothing it USES:"
		sed 's/^/    /' "$work/lacking"
	fi
done <<EOF
$(grep '^unit' "$manifest")
EOF
exit $bad
