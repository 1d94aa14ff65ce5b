# shellcheck shell=bash
# A static program in an image without a system: it finds the API server by the pod's /etc/hosts (and asks no name server
# about it), kubelets by DNS, verifies their certificates by these names, and compiles and runs plugins, all of it
# with a root that cannot be written to.

# shellcheck source=tests/e2e/pods.sh
. "$E2E/pods.sh"

after() { end_name_server; }

configured
echo "asked of the name server: $(sort "$RC_DIR/queries" | uniq -c | xargs)"
for node in node1 node2; do
    contains "queries for addresses" "1 $node" "$(cat "$RC_DIR/queries")"
done
equal "queries for what stands in /etc/hosts" 0 "$(grep -c kubernetes "$RC_DIR/queries" || true)"
containers_are() {
    local names
    names=$(metrics_api v1beta1/namespaces/default/pods/twins | jq -r '[.containers[].name] | join(" ")')
    echo "containers of twins: $names"
    [[ $names == "$1" ]]
}
within 30 "verdict of the filter plugin" containers_are small
k top nodes
