# shellcheck shell=bash
# With the window policy sliding-mean over 40 s, applied while the gateway runs, `window` says how long it is, and
# kubectl top shows the mean over it: a container that has just begun to burn rises slowly, where the kubelet's own
# counter shows it burn at once.

after() {
    policies </dev/null
    k exec twins -c large -- /burn set 80 96
}

POD=namespaces/default/pods/twins
window() { # seconds
    as_api_server "$PORT" "/apis/metrics.k8s.io/v1beta1/$POD" |
        jq '.window | capture("^((?<m>[0-9]+)m)?(?<s>[0-9.]+)s$") | ((.m // "0" | tonumber) * 60) + (.s | tonumber)'
}
window_is_within() { # LOW HIGH
    local seconds
    seconds=$(window) || return
    echo "the window is $seconds s"
    jq -en "$seconds >= $1 and $seconds <= $2" >/dev/null
}
# What the kubelet says of twins/large: CPU seconds, when (ms).
reading() {
    k get --raw "/api/v1/nodes/$NODE/proxy/metrics/resource" | awk '
        /^container_cpu_usage_seconds_total/ && index($0, "container=\"large\"") {print $(NF - 1), $NF}'
}
millicores() { k top pod twins --containers --no-headers | awk '$2 == "large" {print $3 + 0}'; }

NODE=$(k get pod twins -o 'jsonpath={.spec.nodeName}')
within 45 "usage of every node and pod" serves_everything
window_is_within 5 20
apply_policies <<END
[plugins.sliding-mean]
source = "$PLUGINS/sliding-mean.wasm"

[[tenant]]
name = "calm"
namespaces = ["default"]
window = { plugin = "sliding-mean", settings = { over = "40s" } }
END
as_api_server "$PORT" "/apis/metrics.k8s.io/v1beta1/$POD" >/dev/null # not for a moment is it absent
within 60 "window of about 40 s" window_is_within 30 50
before=$(millicores)
first=$(reading)
began=$(awk '{print $2}' <<<"$first")
k exec twins -c large -- /burn set 400 96
within 45 "usage of a window that ends in the burning" is_newer "$PORT" "$POD" $((began / 1000 + 8))
after_it=$(millicores)
second=$(reading)
truth=$(awk -v a="$first" -v b="$second" 'BEGIN {split(a, x); split(b, y); printf "%d\n", (y[1] - x[1]) / (y[2] - x[2]) * 1e6}')
k top pod twins --containers
echo "kubectl top: ${before}m before, ${after_it}m in the burning; the kubelet's counter: ${truth}m"
((after_it > before + 10)) || fail "kubectl top does not rise: ${before}m, then ${after_it}m"
((after_it * 10 < truth * 8)) || fail "kubectl top shows no mean over 40 s: ${after_it}m, where ${truth}m are burnt now"
