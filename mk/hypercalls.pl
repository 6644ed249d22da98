#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# usage: hypercalls.pl HEADER [STRUCT]
#
# Print the names of the function pointers that are members of a struct, by
# default struct quern_hyper, one a line.  Pointers among an entry's parameters
# are no entries; members of structs inside it are.

use strict;
use warnings;

my ($file, $struct) = @ARGV;
$struct //= 'quern_hyper';
open(my $f, '<', $file) or die "$file: $!\n";
local $/;
my $text = <$f>;
$text =~ s{/\*.*?\*/|//[^\n]*}{ }gs;
$text =~ s{^[ \t]*#(?:[^\n]*\\\n)*[^\n]*}{}gm;
$text =~ /\bstruct\s+\Q$struct\E\s*\{/g or die "$file: no struct $struct\n";

my ($brace, $paren) = (1, 0);
while ($brace > 0 && $text =~ /\G(.*?)([(){};])/gcs) {
	my $c = $2;
	if ($c eq '(') {
		if ($paren == 0 && $text =~ /\G\s*\*\s*(?:const\s+)?(\w+)\s*\)\s*\(/gc) {
			print "$1\n";
			# The name's parenthesis is closed, the parameters' open.
		}
		$paren++;
	} elsif ($c eq ')') {
		$paren--;
	} elsif ($c eq '{') {
		$brace++;
	} elsif ($c eq '}') {
		$brace--;
	}
}
