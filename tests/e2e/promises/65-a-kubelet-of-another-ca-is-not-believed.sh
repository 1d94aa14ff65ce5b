# shellcheck shell=bash
# The kubelet's certificate is really verified: a gateway that was given another CA gets no sample, and names
# the cause.

after() { stop_gateway gateway-with-wrong-ca; }
OTHER=4445

start_gateway gateway-with-wrong-ca $OTHER metrics-server "$RC_FRONT_PROXY_CA"
within 30 "distrust of both nodes" rose $OTHER 'metrics_gateway_scrape_failures_total{reason="tls-ca"}' 1
equal "nodes served" "" "$(served_names $OTHER nodes)"
equal "pods served" "" "$(served_names $OTHER pods)"
equal "successful requests" 0 "$(counter $OTHER 'metrics_server_kubelet_request_total{success="true"}')"
for node in node1 node2; do
    logged gateway-with-wrong-ca "$node" tls-ca
done
