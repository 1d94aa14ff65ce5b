# shellcheck shell=bash
# "certificate is valid for A, not B": the remedy is a node pool whose kubelets are dialled by address and verified by name.

# shellcheck source=tests/e2e/doctor.sh
. "$E2E/doctor.sh"
after() {
    cluster reissue node2 "DNS:node2,IP:$ip"
    policies </dev/null
}

healthy
ip=$(node_ip node2)
cluster reissue node2 DNS:node2,IP:192.0.2.7
diagnosed node-certificate-name "certificate is valid for node2, 192.0.2.7, not $ip"
contains "the remedy" 'it verifies by the server name "node2"' "$(remedy node-certificate-name)"
# What stands in the remedy between "gateway.toml: " and the semicolon, with a line for each key.
pool=$(remedy node-certificate-name | sed 's/.*gateway.toml: \(\[\[node_pool\]\]\) \(name = "[^"]*"\), \(address = [^;]*\);.*/\1\n\2\n\3/')
apply_policies <<END
[plugins.name-over-ip]
source = "$PLUGINS/name-over-ip.wasm"
$pool
END
green_again
