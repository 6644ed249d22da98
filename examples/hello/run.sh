#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# usage: run.sh PROGRAM
#
# As the README says: an image with a file, and the program prints the file.

. "$(dirname "$0")/../image.sh"

mkdir "$work/dir"
echo hello >"$work/dir/hello.txt"
make_image "$work/image" "$work/dir"
text=$("$1" "file:$work/image" /hello.txt) && echo "$text" &&
    [ "$text" = hello ]
