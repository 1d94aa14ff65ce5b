# shellcheck shell=bash
# FailedDiscoveryCheck, connection refused: the API server asks where nobody listens.

# shellcheck source=tests/e2e/doctor.sh
. "$E2E/doctor.sh"
port_of_endpoints() { k patch endpoints -n kube-system metrics-server --type json -p "[{\"op\": \"replace\", \"path\": \"/subsets/0/ports/0/port\", \"value\": $1}]"; }
after() { port_of_endpoints "$PORT" >/dev/null; }

healthy
port_of_endpoints 4999
diagnosed discovery-refused "connection refused"
contains "the remedy" "nobody listens at $RC_HOST_IP:4999" "$(remedy discovery-refused)"
port_of_endpoints "$PORT"
green_again
