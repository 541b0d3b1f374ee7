# Hashes, regular expressions, sorting, fork; prints results that do not change.
use strict;
use warnings;

my %count;
my $value = 1;
for my $i (1 .. 200000) {
  $value = ($value * 1103515245 + 12345) & 0x7fffffff;
  $count{"key" . $value % 5003} .= chr(97 + $i % 26);
}
my $total = 0;
$total += length for values %count;
print scalar(keys %count), " $total\n";
my @sorted = sort { length($count{$a}) <=> length($count{$b}) || $a cmp $b } keys %count;
print "@sorted[0 .. 9]\n";
my $text = join ' ', map { "$_=$count{$_}" } @sorted;
my $changed = ($text =~ s/([aeiou])([bcd])/$2$1/g);
my $sum = 0;
$sum = ($sum * 31 + ord $_) % 1000000007 for split //, substr($text, 0, 100000);
print length($text), " $changed $sum\n";
my @tree;
push @{$tree[$_ % 10]}, { id => $_, children => [map { $_ * 2 } 1 .. 5] } for 1 .. 20000;
print scalar(@{$tree[3]}), " $tree[3][100]{children}[2]\n";
for my $child (1 .. 20) {
  my $pid = fork();
  if ($pid == 0) { my @more = map { "x" x $_ } 1 .. 500; exit $child; }
  waitpid $pid, 0;
  print $? >> 8, " ";
}
print "\n";
my $output = `echo from a shell`;
print $output;
