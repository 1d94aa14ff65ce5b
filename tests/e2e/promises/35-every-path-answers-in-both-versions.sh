# shellcheck shell=bash
# `kubectl get --raw` of the paths that clients use, `kubectl get` of the resources, in v1beta1 and in v1.

kind_and_version() { jq -r '"\(.kind) \(.apiVersion)"'; }

raw() { # KUBECTL..
    local version
    for version in v1beta1 v1; do
        local base=/apis/metrics.k8s.io/$version
        equal "$base/nodes" "NodeMetricsList metrics.k8s.io/$version" \
            "$("$@" get --raw "$base/nodes" | kind_and_version)"
        equal "$base/nodes/node1" "NodeMetrics metrics.k8s.io/$version" \
            "$("$@" get --raw "$base/nodes/node1" | kind_and_version)"
        equal "$base/pods" "PodMetricsList metrics.k8s.io/$version" "$("$@" get --raw "$base/pods" | kind_and_version)"
        equal "$base/.../pods" "PodMetricsList metrics.k8s.io/$version" \
            "$("$@" get --raw "$base/namespaces/default/pods" | kind_and_version)"
        equal "$base/.../pods/twins" "PodMetrics metrics.k8s.io/$version" \
            "$("$@" get --raw "$base/namespaces/default/pods/twins" | kind_and_version)"
        equal "containers of twins" "large small" \
            "$("$@" get --raw "$base/namespaces/default/pods/twins" | jq -r '[.containers[].name] | join(" ")')"
        equal "nodes" "node1 node2" "$("$@" get --raw "$base/nodes" | jq -r '[.items[].metadata.name] | join(" ")')"
    done
    "$@" get --raw /apis/metrics.k8s.io/v1beta1/namespaces/default/pods/twins
    echo
}

tables() { # KUBECTL..
    local kind table
    for kind in nodes.metrics.k8s.io nodes.v1beta1.metrics.k8s.io nodes.v1.metrics.k8s.io; do
        table=$("$@" get "$kind")
        equal "header of $kind" "NAME CPU MEMORY WINDOW" "$(head -n 1 <<<"$table" | xargs)"
        equal "rows of $kind" "node1 node2" "$(awk 'NR > 1 {print $1}' <<<"$table" | xargs)"
    done
    echo "$table"
    table=$("$@" get pods.metrics.k8s.io -A)
    equal "header of pods.metrics.k8s.io" "NAMESPACE NAME CPU MEMORY WINDOW" "$(head -n 1 <<<"$table" | xargs)"
    contains "pods.metrics.k8s.io" " twins " "$table"
    equal "selected by label" "twins" \
        "$("$@" get pods.metrics.k8s.io -l app=twins -o 'jsonpath={.items[*].metadata.name}')"
    contains "an absent pod" NotFound "$("$@" get pods.metrics.k8s.io absent 2>&1 || true)"
}

within 45 "usage of every node and pod" serves_everything
each_kubectl raw
each_kubectl tables
