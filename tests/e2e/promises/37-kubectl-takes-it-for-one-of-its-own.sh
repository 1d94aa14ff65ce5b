# shellcheck shell=bash
# Objects of metrics.k8s.io can be listed, read and described like any others, by each kubectl there is.

look() { # KUBECTL..
    local answer resource
    for resource in nodes pods; do
        contains "api-resources" "$resource metrics.k8s.io" "$("$@" api-resources --api-group metrics.k8s.io | awk '{print $1, $2, $3}' |
            sed 's| metrics.k8s.io/[a-z0-9]*| metrics.k8s.io|')"
    done
    equal "get -o json" "NodeMetrics node1" \
        "$("$@" get nodes.metrics.k8s.io node1 -o json | jq -r '"\(.kind) \(.metadata.name)"')"
    answer=$("$@" get nodes.metrics.k8s.io -o json | jq -r '[.items[].metadata.name] | sort | join(" ")')
    equal "list -o json" "node1 node2" "$answer"
    answer=$("$@" get pods.metrics.k8s.io twins -o yaml)
    contains "get -o yaml" "kind: PodMetrics" "$answer"
    contains "get -o yaml" "name: twins" "$answer"
    answer=$("$@" get pods.metrics.k8s.io -o wide)
    echo "$answer"
    contains "columns" "NAME CPU MEMORY WINDOW" "$(head -n 1 <<<"$answer" | xargs)"
    contains "rows" twins "$answer"
    contains "describe" "Kind:         NodeMetrics" "$("$@" describe nodes.metrics.k8s.io node1)"
    equal "an empty namespace" "No resources found in kube-public namespace." \
        "$("$@" get pods.metrics.k8s.io -n kube-public 2>&1)"
}

top() { # KUBECTL..
    local encoding=()
    # From 1.21 to 1.2x it has to be said, and later it is the default.
    ! "$@" top nodes --help | grep -q -e --use-protocol-buffers || encoding=(--use-protocol-buffers)
    contains "top" node2 "$("$@" top nodes "${encoding[@]}")"
    contains "top" twins "$("$@" top pods "${encoding[@]}")"
}

within 45 "usage of every node and pod" serves_everything
for version in v1beta1 v1; do
    equal "condition of $version" "True: all checks passed" "$(k get apiservice "$version.metrics.k8s.io" -o json |
        jq -r '.status.conditions[] | select(.type == "Available") | "\(.status): \(.message)"')"
done
each_kubectl look
each_kubectl top

echo "-- documents"
k get --raw /apis/metrics.k8s.io | jq -c '[.kind, .preferredVersion.version, [.versions[].version]]'
