# Log lines taken apart by expressions into nested hashes, reports sorted and printed from them.
# usage: hashes.pl <lines>
use strict;
use warnings;

my $state = 12345;
sub pick { $state = ($state * 1103515245 + 12345) % 2147483648; return ($state >> 8) % $_[0]; }

my (%users, %pages, @slow);
for my $number (1 .. $ARGV[0]) {
    my $line = sprintf('10.0.%d.%d - user%d [%02d/Jan/2024] "GET /page/%d?q=%s HTTP/1.1" %d %d',
        pick(256), pick(256), pick(5000), 1 + pick(31), pick(3000), 'x' x pick(60),
        (200, 200, 304, 404, 500)[pick(5)], pick(100000));
    next unless $line =~ m{^(\S+)\ -\ (\w+)\ \[(\d+)/(\w+)/(\d+)\]\x20
        "GET\ ([^?]+)\?q=(\w*)\ [^"]+"\ (\d+)\ (\d+)$}x;
    my %entry = (address => $1, user => $2, day => $3, page => $6, query => $7, status => $8,
        bytes => $9);
    push @{$users{$entry{user}}{days}{$entry{day}}}, \%entry;
    $users{$entry{user}}{bytes} += $entry{bytes};
    $pages{$entry{page}}{$entry{status}}++;
    push @slow, join(',', map { "$_=$entry{$_}" } sort keys %entry) if $entry{bytes} > 60000;
    shift @slow if @slow > 2000;
    delete $users{'user' . pick(5000)} if $number % 50 == 0;
}
my @rank = sort { $users{$b}{bytes} <=> $users{$a}{bytes} || $a cmp $b } keys %users;
my $report = '';
for my $user (@rank) {
    for my $day (sort keys %{$users{$user}{days}}) {
        my @entries = @{$users{$user}{days}{$day}};
        (my $list = join(';', map { $_->{address} } @entries)) =~ s/(\d+)\.(\d+)$/$2.$1/;
        $report .= "$user $day " . scalar(@entries) . " $list\n";
    }
}
my $words = () = $report =~ /\w+/g;
my %reversed = map { scalar(reverse $_) => length } split /\n/, $report;
print scalar(@rank), ' ', scalar(keys %pages), ' ', length($report), ' ', $words, ' ',
    scalar(keys %reversed), ' ', scalar(@slow), "\n";
