# SPDX-License-Identifier: BSD-2-Clause
#
# For the run.sh of examples that need an image: a directory $work, which goes at
# the end, and images made of a tree.

PATH=$PATH:/sbin:/usr/sbin
if ! command -v mke2fs >/dev/null; then
	echo 'SKIP: mke2fs (e2fsprogs) is not there'
	exit 0
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/quern-example.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT

# usage: make_image IMAGE [DIRECTORY]
make_image() {
	mke2fs -q -t ext4 ${2:+-d "$2"} "$1" 16M >/dev/null || exit 1
}

# usage: check_image IMAGE
check_image() {
	e2fsck -fn "$1" >"$work/fsck" 2>&1 && return 0
	cat "$work/fsck"
	exit 1
}
