# shellcheck shell=bash
# A kubelet that accepts and never answers is told from one that cannot be reached.

# shellcheck source=tests/e2e/doctor.sh
. "$E2E/doctor.sh"
after() { cluster resume node2; }

healthy
cluster hang node2
diagnosed node-hung "i/o timeout: the connection is accepted, and no answer comes"
contains "the remedy" "restart the kubelet of node2" "$(remedy node-hung)"
cluster resume node2
green_again
