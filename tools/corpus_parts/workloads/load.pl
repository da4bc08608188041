# SPDX-License-Identifier: GPL-2.0-or-later
# A Perl log analyser's heap: load.pl SEED MIB. Grows to MIB, prints "ready", sleeps.
use strict;
use warnings;

my ($seed, $mib) = @ARGV;
srand($seed);
$| = 1;
my @paths = map { my $i = $_; "/srv/www/site$i/" . join('/', map { substr('catalogueorderimages', int(rand 12), 3 + int(rand 6)) } 1 .. 3) } 1 .. 400;
my (%by_host, %by_path, @lines, %sessions);
my $n = 0;

sub resident_mib {
    open(my $f, '<', '/proc/self/statm') or die "no /proc: $!";
    my @fields = split ' ', <$f>;
    return $fields[1] / 256;
}

while (resident_mib() < $mib) {
    for (1 .. 500) {
        $n++;
        my $host = join '.', map { int rand 256 } 1 .. 4;
        my $path = $paths[rand @paths];
        my $status = (200, 200, 200, 304, 404, 500)[rand 6];
        my $line = sprintf '%s - - [21/Nov/2026:%02d:%02d:%02d +0000] "GET %s?id=%d HTTP/1.1" %d %d',
            $host, $n / 3600 % 24, $n / 60 % 60, $n % 60, $path, rand 100000, $status, rand 50000;
        push @lines, $line if $n % 3 == 0;
        push @{ $by_host{$host} }, { path => $path, status => $status, at => $n };
        $by_path{$path}{$status}++;
        $sessions{ int rand $n } = [ $host, $path, rand ];
        delete $sessions{ int rand $n };
    }
}
print "ready\n";
sleep 600;
