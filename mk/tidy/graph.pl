#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# usage: graph.pl MANIFEST
#
# Units must not use each other in a circle, and must keep to the ranks
#
#	hypercall < hypercall/*, kernel < components/X < components/X/... <
#	bin, tests
#
# A unit uses units of lower ranks; a leaf component uses leaves too.  vfs, net
# and vm meet only in kernel: what is below one of them doesn't use what is below
# another.  components/linux, which joins them, may.

use strict;
use warnings;

my (%dir, %kind, %uses);
my $bad = 0;

sub complain {
	print "@_\n";
	$bad = 1;
}

open(my $f, '<', $ARGV[0]) or die "$ARGV[0]: $!\n";
while (<$f>) {
	chomp;
	my @r = split /\t/, $_, -1;
	if ($r[0] eq 'unit') {
		$dir{$r[1]}  = $r[2];
		$kind{$r[1]} = $r[3];
		$uses{$r[1]} = [split ' ', $r[4]];
	}
}

sub rank {
	my ($d) = @_;
	return 0 if $d eq 'hypercall';
	return 3 if $d eq 'components/linux';
	return 1 if $d eq 'kernel' || $d =~ m{^hypercall/};
	my $slashes = () = $d =~ m{/}g;
	return 1 + ($slashes > 2 ? 2 : $slashes);
}

sub faction {
	return $_[0] =~ m{^components/(\w+)} ? $1 : '';
}

my %state;

sub visit {
	my ($u, @path) = @_;
	return if ($state{$u} // '') eq 'done';
	if (($state{$u} // '') eq 'open') {
		complain("circle: @path $u");
		return;
	}
	$state{$u} = 'open';
	visit($_, @path, $u) for grep { $uses{$_} } @{$uses{$u}};
	$state{$u} = 'done';
}

for my $u (sort keys %uses) {
	visit($u);
	my ($d, $r) = ($dir{$u}, rank($dir{$u}));
	for my $v (@{$uses{$u}}) {
		if (!$dir{$v}) {
			complain("$d uses '$v', which is no unit");
			next;
		}
		my ($e, $s) = ($dir{$v}, rank($dir{$v}));
		my $peers = $r == 3 || ($d =~ m{^hypercall/} && $e =~ m{^hypercall/});
		complain("$d uses $e, which doesn't rank below it")
		    if $s > $r || ($s == $r && !$peers);
		complain("$d uses $e: only hypercall is for both")
		    if ($d =~ m{^hypercall/}) != ($e =~ m{^hypercall/}) &&
		    $e ne 'hypercall';
		my ($x, $y) = (faction($d), faction($e));
		complain("$d uses $e: $x and $y meet only in kernel")
		    if $x && $y && $x ne $y && $x ne 'linux';
	}
}
exit $bad;
