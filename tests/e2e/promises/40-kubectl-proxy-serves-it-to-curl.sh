# shellcheck shell=bash
# A program that can speak only plain HTTP gets the same through `kubectl proxy`.

# The name matters: kubectl proxy answers to localhost only.
proxied() { inside curl --silent --show-error --fail --max-time 10 --unix-socket "$RC_DIR/proxy.sock" "http://localhost$1"; }

proxy() { # inside KUBECTL
    become "${@:2}" proxy --unix-socket "$RC_DIR/proxy.sock" >"$RC_DIR/log/proxy.log" 2>&1 &
    PROXY=$!
    within 10 "answer of kubectl proxy" proxied /version
    equal "nodes through kubectl proxy" "node1 node2" \
        "$(proxied /apis/metrics.k8s.io/v1beta1/nodes | jq -r '[.items[].metadata.name] | join(" ")')"
    equal "a pod through kubectl proxy" twins \
        "$(proxied /apis/metrics.k8s.io/v1/namespaces/default/pods/twins | jq -r .metadata.name)"
    end_proxy
}

end_proxy() {
    [[ ! ${PROXY:-} ]] || kill "$PROXY" || true # it may have ended by itself
    PROXY=
    rm -f "$RC_DIR/proxy.sock"
}
after() { end_proxy; }

within 45 "usage of every node and pod" serves_everything
each_kubectl proxy
