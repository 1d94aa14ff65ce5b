# shellcheck shell=bash
# The API server is killed. Asked directly, the gateway goes on scraping and serving; when the API server is back, so are
# the watches: a pod made afterwards is served.

after() {
    ! k get --raw /readyz >/dev/null 2>&1 || return 0
    cluster start-apiserver
}

# The kubelet asks the API server about the gateway's token at most every two minutes; asked just then, in vain, it refuses.
requests() {
    local good bad
    good=$(counter "$PORT" 'metrics_server_kubelet_request_total{success="true"}') || return
    bad=$(counter "$PORT" 'metrics_server_kubelet_request_total{success="false"}') || return
    echo $((good + bad))
}

asked_more_than() { # COUNT
    local count
    count=$(requests) || return
    echo "$count requests to kubelets"
    ((count > $1))
}

within 45 "usage of every node and pod" serves_everything
pods=$(served_names "$PORT" pods)
cluster stop-apiserver
! k get --raw /readyz 2>/dev/null || fail "the API server still answers"
before=$(requests)
within 25 "tick without an API server" asked_more_than $((before + 1))
equal "nodes served without an API server" "node1 node2" "$(served_names "$PORT" nodes)"
equal "pods served without an API server" "$pods" "$(served_names "$PORT" pods)"
equal "liveness without an API server" ok "$(call "$PORT" /livez)"
echo "served from the cache: $pods"

began=$SECONDS
cluster start-apiserver
echo "the API server was back after $((SECONDS - began)) s"
began=$SECONDS
k run latecomer --image e2e.local/burn:1 --image-pull-policy Never --restart Never -- 30 16
within 90 "usage of a pod made afterwards" taken_at "$PORT" namespaces/default/pods/latecomer
echo "a pod made afterwards was served after $((SECONDS - began)) s"
within 30 "answer through the API server" metrics_api v1beta1/namespaces/default/pods/latecomer
now=$(seconds_now)
within 30 "fresh usage of node1" is_newer "$PORT" nodes/node1 "$now"
k delete pod latecomer --wait=false
