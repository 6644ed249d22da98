#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# A function is at most 120 lines, brace to brace; those over 70 are listed.

use strict;
use warnings;

# perl-base, which is all that a bare Debian has, lacks File::Find.
my @dirs  = grep { -d } qw(hypercall kernel components bin tests examples);
my @files = @dirs ? split(/\n/, `find @dirs -name '*.[ch]' -type f`) : ();

my $bad = 0;
for my $file (sort @files) {
	open(my $f, '<', $file) or die "$file: $!\n";
	my ($start, $name, $head) = (0, '', '');
	while (<$f>) {
		if (/^\{/) {
			($start, $name) = ($., $head);
		} elsif (/^\}/ && $start) {
			my $n = $. - $start + 1;
			if ($n > 70) {
				print "$file:$start: $name: $n lines",
				    $n > 120 ? ", over 120" : "", "\n";
				$bad = 1 if $n > 120;
			}
			$start = 0;
		} elsif (/^(?:START_TEST\()?(\w+)\s*[()]/) {
			$head = $1;
		}
	}
}
exit $bad;
