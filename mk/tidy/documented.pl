#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# usage: documented.pl MANIFEST BUILD
#
# Every function in a public header, and every entry of the two tables in
# hypercall/hypercall.h, has a comment right above it: one that stands on lines
# of its own, with no empty line between.  Declarations that follow one another
# without an empty line may share the comment above the first if it names them.
# One comment is enough for a function that is declared several times, on several
# conditions.  What begins with "__" is the compiler's.

use strict;
use warnings;

my ($manifest, $b) = @ARGV;
my ($bad, $count) = (0, 0);

# Replace what is not code by spaces, keeping lines; tell the comments that stand
# alone, by the line that they end on.
sub prepare {
	my ($text) = @_;
	my %ends;
	my $line = 1;
	my $out = '';
	my $code = 0;	# seen on this line
	while ($text =~ m{\G(/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|^[ \t]*\#(?:[^\n]*\\\n)*[^\n]*|.)}gcsm) {
		my $t = $1;
		my $nl = ($t =~ tr/\n//);
		if ($t =~ m{^/[*/]} && length $t > 1) {
			$ends{$line + $nl} = $t unless $code;
			$out .= ' ' . "\n" x $nl;
		} elsif ($t =~ /^[ \t]*#/) {
			$out .= "\n" x $nl;
			$code = 1;
		} else {
			$code = 1 if $t =~ /\S/;
			$out .= $t eq '"C"' ? $t : $t =~ /^"/ ? '""' : $t;
		}
		$line += $nl;
		$code = 0 if $nl;
	}
	return ($out, \%ends);
}

# Cut text into statements: [line it starts on, text, line it ends on].  What is inside braces is
# left out, or with $want_struct is all that is given, of that struct.
sub statements {
	my ($text, $struct) = @_;
	my @list;
	my ($depth, $paren, $line, $start, $cur) = (0, 0, 1, 0, '');
	my $base = 0;
	if (defined $struct) {
		return () unless $text =~ /\bstruct\s+$struct\s*\{/g;
		my $before = substr($text, 0, pos $text);
		$line += ($before =~ tr/\n//);
	}
	while ($text =~ /\G(.)/gcs) {
		my $c = $1;
		if ($c eq '{') {
			if ($depth == 0 && $cur =~ /extern\s+"C"\s*$/) {
				$cur = '';
				next;
			}
			$depth++;
			next;
		}
		if ($c eq '}') {
			last if $depth == 0 && defined $struct;
			$depth-- if $depth > 0;
			if ($depth == 0 && $cur =~ /\)\s*$/) {
				push @list, [$start, $cur, $line];
				$cur = '';
			}
			next;
		}
		$line++ if $c eq "\n";
		next if $depth > 0;
		$paren++ if $c eq '(';
		$paren-- if $c eq ')';
		if ($c eq ';' && $paren == 0) {
			push @list, [$start, $cur, $line];
			$cur = '';
			next;
		}
		next if $cur eq '' && $c =~ /\s/;
		$start = $line if $cur eq '';
		$cur .= $c;
	}
	return @list;
}

# Complain of the functions of a file that nothing documents.  $name is called
# with a statement's text and gives the function's name, if it declares one.
sub demand {
	my ($file, $ends, $list, $name) = @_;
	my (%documented, @rest);
	my ($last, $shared) = (0, '');
	for my $s (@$list) {
		my ($line, $text, $end) = @$s;
		my $n = $name->($text);
		my $own = $ends->{$line - 1};
		$shared = $own // ($line == $last + 1 ? $shared : '');
		$last = $end;
		next if !defined $n || $n =~ /^__/;
		$count++;
		if (defined $own || $shared =~ /\b\Q$n\E\b/) {
			$documented{$n} = 1;
		} else {
			push @rest, [$line, $n];
		}
	}
	for (grep { !$documented{$_->[1]} } @rest) {
		print "$file:$_->[0]: $_->[1] has no comment above it\n";
		$bad = 1;
	}
}

sub slurp {
	open(my $f, '<', $_[0]) or die "$_[0]: $!\n";
	local $/;
	return scalar <$f>;
}

sub function_name {
	my ($t) = @_;
	my $nested = qr/(\((?:[^()]++|(?1))*\))/;
	$t =~ s/\b__attribute__\s*$nested//g;
	return undef if $t =~ /^typedef\b/ || $t =~ /^_Static_assert\b/ || $t =~ /=/;
	return $1 if $t =~ /[\w*]\s*\b(\w+)\s*\(/ && $t !~ /^[\w\s*]*\(\s*\*/;
	return $1 if $t =~ /\(\s*\*\s*(\w+)\s*\(/;
	return undef;
}

sub entry_name {
	return $_[0] =~ /^[^(]*\(\s*\*\s*(?:const\s+)?(\w+)\s*\)/ ? $1 : undef;
}

sub functions {
	my ($file) = @_;
	my ($text, $ends) = prepare(slurp($file));
	demand($file, $ends, [statements($text)], \&function_name);
}

open(my $m, '<', $manifest) or die "$manifest: $!\n";
my @records = map { chomp; [split /\t/, $_, -1] } <$m>;
for my $r (grep { $_->[0] eq 'unit' } @records) {
	functions("$r->[2]/$_") for split ' ', $r->[6];
	functions("$b/include/$r->[1]/quern/$_") for split ' ', $r->[7];
}

my $h = 'hypercall/hypercall.h';
if (-e $h) {
	my ($text, $ends) = prepare(slurp($h));
	demand($h, $ends, [statements($text, $_)], \&entry_name)
	    for 'quern_hyper', 'quern_upcalls';
}
print "$count functions and entries\n" unless $bad;
exit $bad;
