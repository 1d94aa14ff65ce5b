# shellcheck shell=bash
# A Service without endpoints: here one without a selector, whose Endpoints somebody has emptied.

# shellcheck source=tests/e2e/doctor.sh
. "$E2E/doctor.sh"
after() { k apply -f "$RC_DIR/endpoints.json" >/dev/null; }

healthy
k get endpoints -n kube-system metrics-server -o json |
    jq '{apiVersion, kind, metadata: {name: .metadata.name, namespace: .metadata.namespace}, subsets}' >"$RC_DIR/endpoints.json"
k patch endpoints -n kube-system metrics-server --type merge -p '{"subsets": []}'
diagnosed no-endpoints "it has no endpoints"
contains "the remedy" "give the Endpoints kube-system/metrics-server the address and the port of the gateway" \
    "$(jq -r '.checks[] | select(.id == "service").remedy' "$RC_DIR/doctor.json")"
k apply -f "$RC_DIR/endpoints.json"
green_again
