# shellcheck shell=bash
# "certificate is valid for node2, not 10.…": a kubelet whose certificate names its host alone cannot be verified by who
# dials its address, as metrics-server does. With the address policy name-over-ip the address is dialled and the name is
# verified: the node is served, and nobody turned verification off.

NAMES=4446
restored=
after() {
    stop_gateway gateway-with-names
    [[ $restored ]] || cluster reissue node2 "DNS:node2,IP:$ip"
}

node2_fails() { counter "$PORT" 'metrics_gateway_node_failing{node="node2",reason="tls-name"}' | grep -qx 1; }
serves_both() { [[ $(served_names $NAMES nodes) == "node1 node2" ]]; }

ip=$(k get node node2 -o 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}')
cluster reissue node2 DNS:node2
within 45 "refusal of node2's certificate by the gateway without a policy" node2_fails
logged gateway node2 tls-name

cat >"$RC_DIR/names.toml" <<END
[plugins.name-over-ip]
source = "$PLUGINS/name-over-ip.wasm"

[[node_pool]]
name = "all"
address = { plugin = "name-over-ip" }
END
start_gateway gateway-with-names $NAMES metrics-server "$RC_CA" --config "$RC_DIR/names.toml"
within 45 "usage of both nodes, verified by name" serves_both
equal "requests that failed with the policy" 0 "$(counter $NAMES 'metrics_server_kubelet_request_total{success="false"}')"
cluster reissue node2 "DNS:node2,IP:$ip"
restored=1
# A new reading, not one that is held: what comes after this relies on a kubelet that is up.
within 60 "reading of node2 without a policy, the address being in the certificate again" \
    is_newer "$PORT" nodes/node2 "$(seconds_now)"
