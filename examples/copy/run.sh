#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# usage: run.sh PROGRAM
#
# From one image into another, and back into the first under another name:
# the two must be the same for debugfs, and e2fsck finds both images well.

. "$(dirname "$0")/../image.sh"

mkdir "$work/dir"
i=0
while [ $i -lt 20000 ]; do
	echo "line $i"
	i=$((i + 1))
done >"$work/dir/long"
chmod 640 "$work/dir/long"
make_image "$work/a" "$work/dir"
make_image "$work/b"
"$1" "file:$work/a" /long "file:$work/b" /copy || exit 1
"$1" "file:$work/b" /copy "file:$work/a" /back || exit 1
check_image "$work/a"
check_image "$work/b"
debugfs -R "dump -p /back $work/back" "$work/a" 2>/dev/null
cmp "$work/dir/long" "$work/back" && [ "$(stat -c %a "$work/back")" = 640 ]
