# shellcheck shell=bash
# `kubectl top` works, and its figures are the kubelet's: of the pod that burns most, CPU lies near the rate between two
# readings of our own, and memory near the second. Near, as the two windows are not the same and the machine may be busy.

top() { # KUBECTL..
    local nodes pods
    nodes=$("$@" top nodes)
    pods=$("$@" top pods -A --containers)
    printf '%s\n' "$nodes" "$pods"
    equal "nodes in kubectl top" "node1 node2" "$(awk 'NR > 1 && $2 + 0 > 0 && $4 + 0 > 0 {print $1}' <<<"$nodes" | xargs)"
    equal "containers of twins in kubectl top" "large small" \
        "$(awk '$2 == "twins" && $5 + 0 > 0 {print $3}' <<<"$pods" | sort | xargs)"
    equal "pods of busy in kubectl top" 2 "$(awk '$2 ~ /^busy-/ && $3 == "burn" && $5 + 0 > 0' <<<"$pods" | wc -l)"
}

# What the kubelet says of twins/large: CPU seconds, when (ms), bytes.
reading() {
    k get --raw "/api/v1/nodes/$NODE/proxy/metrics/resource" | awk '
        index($0, "container=\"large\"") == 0 {next}
        /^container_cpu_usage_seconds_total/ {cpu = $(NF - 1); at = $NF}
        /^container_memory_working_set_bytes/ {memory = $(NF - 1)}
        END {print cpu, at, memory}'
}

POD=namespaces/default/pods/twins
# The pods may still be younger than two ticks.
within 45 "usage of every node and pod" serves_everything
each_kubectl top

NODE=$(k get pod twins -o 'jsonpath={.spec.nodeName}')
first=$(reading)
# Our window must lie behind the first reading as well as we can tell: wait for a usage that ends 8 s after it.
within 45 "usage of a window after the first reading" is_newer "$PORT" "$POD" $(($(awk '{print $2}' <<<"$first") / 1000 + 8))
second=$(reading)
as_api_server "$PORT" "/apis/metrics.k8s.io/v1beta1/$POD" |
    jq -r --arg first "$first" --arg second "$second" "$QUANTITIES"'
        ($first | split(" ") | map(tonumber)) as $a | ($second | split(" ") | map(tonumber)) as $b
        | (($b[0] - $a[0]) / ($b[1] - $a[1]) * 1000) as $cores
        | (.containers[] | select(.name == "large") | .usage | map_values(quantity)) as $served
        | (($served.cpu - $cores) | fabs) as $off
        | "served \($served.cpu * 1000 | round)m, kubelet \($cores * 1000 | round)m; " +
          "served \($served.memory / 1048576 | round)Mi, kubelet \($b[2] / 1048576 | round)Mi",
          (if $off > 0.01 + 0.3 * $cores then "CPU is too far off" else empty end),
          (if (($served.memory - $b[2]) | fabs) > 0.1 * $b[2] then "memory is too far off" else empty end)' >"$RC_DIR/compared"
cat "$RC_DIR/compared"
equal "lines of the comparison with the kubelet, complaints included" 1 "$(grep -c . "$RC_DIR/compared")"
