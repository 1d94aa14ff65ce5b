#!/usr/bin/perl
# A name server for one promise: dns.pl ADDRESS NAME=IPV4..
#
# It answers A queries for these names over UDP, says of their other types that there is nothing, and of other names that
# there are none. Each query is printed, as `TYPE NAME`.
use strict;
use warnings;
use IO::Socket::INET;

my ($address, @names) = @ARGV;
my %known = map { split /=/ } @names;
my $socket = IO::Socket::INET->new(LocalAddr => $address, LocalPort => 53, Proto => 'udp') or die "cannot listen: $@";
$| = 1;
while (defined(my $from = $socket->recv(my $query, 512))) {
    next if length $query < 17;
    my ($id, $flags, $questions) = unpack 'n3', $query;
    next if $questions != 1;
    my ($at, @labels) = (12);
    while ((my $length = unpack 'C', substr $query, $at, 1)) {
        last if $at + $length + 5 > length $query;
        push @labels, substr $query, $at + 1, $length;
        $at += $length + 1;
    }
    my $name = lc join '.', @labels;
    my $type = unpack 'n', substr $query, $at + 1, 2;
    print "$type $name\n";
    my $ip = $type == 1 ? $known{$name} : undef;
    my $reply = pack 'n6', $id, 0x8180 | (exists $known{$name} ? 0 : 3), 1, $ip ? 1 : 0, 0, 0;
    $reply .= substr $query, 12, $at + 5 - 12;
    $reply .= pack 'n3 N n C4', 0xc00c, 1, 1, 5, 4, split /\./, $ip if $ip;
    $socket->send($reply, 0, $from);
}
