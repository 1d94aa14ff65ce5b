# shellcheck shell=bash
# "doesn't contain any IP SANs": the remedy is a certificate with the address.

# shellcheck source=tests/e2e/doctor.sh
. "$E2E/doctor.sh"
restored=
after() { [[ $restored ]] || cluster reissue node2 "DNS:node2,IP:$ip"; }

healthy
ip=$(node_ip node2)
cluster reissue node2 DNS:node2
diagnosed node-certificate-no-ip-sans "cannot validate certificate for $ip because it doesn't contain any IP SANs"
contains "the remedy" "have a certificate for $ip" "$(remedy node-certificate-no-ip-sans)"
cluster reissue node2 "DNS:node2,IP:$ip"
restored=1
green_again
