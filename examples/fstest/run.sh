#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# usage: run.sh PROGRAM
#
# The image that the tests begin with, and must leave as it is.

. "$(dirname "$0")/../image.sh"

mkdir "$work/dir"
printf 'old' >"$work/dir/file"
make_image "$work/image" "$work/dir"
cp "$work/image" "$work/before"
"$1" "$work/image" && cmp "$work/image" "$work/before"
