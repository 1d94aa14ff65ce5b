# shellcheck shell=bash
# A kubectl of today asks for protobuf first, gets it, and can read it. Debian's of 1.20 only knows JSON.

# That it was protobuf is what kubectl itself says, asked to be talkative.
top() { # KUBECTL..
    local talk nodes pods
    if [[ $("$@" top nodes --help) != *--use-protocol-buffers* ]]; then
        echo "knows JSON only"
        return
    fi
    talk=$("$@" top pods -A --containers -v 8 2>&1)
    grep -iE 'metrics\.k8s\.io/v1.*pods|accept: *application/vnd|content-type: *application/vnd' <<<"$talk" | cut -c 1-160 | sort -u
    contains "what kubectl gets" 'Content-Type: application/vnd.kubernetes.protobuf' "$talk"
    nodes=$("$@" top nodes)
    pods=$("$@" top pods -A --containers)
    equal "nodes" "node1 node2" "$(awk 'NR > 1 && $2 + 0 > 0 && $4 + 0 > 0 {print $1}' <<<"$nodes" | xargs)"
    equal "containers of twins" "large small" "$(awk '$2 == "twins" && $5 + 0 > 0 {print $3}' <<<"$pods" | sort | xargs)"
    pods=$("$@" top pods absent 2>&1 || true)
    contains "what is not there, told in protobuf" 'pods "absent" not found' "$pods"
}

within 45 "usage of every node and pod" serves_everything
each_kubectl top
