# Interpreter threads with queues and shared data, fork within threads; prints what is fixed.
use strict;
use warnings;
use POSIX ();
use threads;
use threads::shared;
use Thread::Queue;

my $queue = Thread::Queue->new;
my $results = Thread::Queue->new;
my %shared : shared;

sub work {
    while (defined(my $n = $queue->dequeue)) {
        my %count;
        $count{ $_ * $n % 101 } .= chr(97 + $_ % 26) x ($_ % 40) for 1 .. 2000;
        my $text = join ',', map { "$_=$count{$_}" } sort { $a <=> $b } keys %count;
        $text =~ s/(\w)\1+/$1/g;
        $results->enqueue("$n:" . length $text);
        { lock %shared; $shared{ $n % 10 } = ($shared{ $n % 10 } // 0) + length $text; }
    }
}

my @workers = map { threads->create(\&work) } 1 .. 8;
$queue->enqueue(1 .. 60);
$queue->end;
$_->join for @workers;
my @got = sort map { $results->dequeue } 1 .. 60;
print "@got\n";
print join(' ', map { "$_=$shared{$_}" } sort keys %shared), "\n";

# Clones of the interpreter, one after the other and many at a time.
for my $round (1 .. 5) {
    my @short = map {
        my $i = $_;
        threads->create(sub { my @x = map { "x$_" } 1 .. 300 * $i; scalar @x });
    } 1 .. 6;
    print join(' ', map { $_->join } @short), "\n";
}

# Threads that fork.
my @forking = map {
    my $i = $_;
    threads->create(sub {
        my @codes;
        for my $j (1 .. 5) {
            my $pid = fork // die;
            if ($pid == 0) { my @y = map { [$_, "y" x $_] } 1 .. 300; POSIX::_exit($i + $j) }
            waitpid $pid, 0;
            push @codes, $? >> 8;
        }
        "@codes";
    })
} 1 .. 4;
print $_->join, "\n" for @forking;
