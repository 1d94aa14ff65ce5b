# shellcheck shell=bash
# The kubelet of node2 accepts and never answers. node1 stays fresh, node2's last usage is held, a list is not a
# millisecond slower for it, and node2 comes back by itself.

after() { cluster resume node2; }
TIMEOUTS='metrics_gateway_scrape_failures_total{reason="timeout"}'

within 45 "usage of every node and pod" serves_everything
pods=$(served_names "$PORT" pods)
timeouts=$(counter "$PORT" "$TIMEOUTS")
cluster hang node2
hung=$(seconds_now)
within 30 "timeout of node2" rose "$PORT" "$TIMEOUTS" "$timeouts"
held=$(taken_at "$PORT" nodes/node2)
((held <= hung + 1)) || fail "node2 hangs since $hung, yet its usage is of $held"
equal "pods served while node2 hangs" "$pods" "$(served_names "$PORT" pods)"
for tick in first second; do
    before=$(taken_at "$PORT" nodes/node1)
    within 20 "$tick fresh usage of node1" is_newer "$PORT" nodes/node1 "$before"
done
seconds=$(call "$PORT" /apis/metrics.k8s.io/v1beta1/pods --cert "$RC_FRONT_PROXY_CERT" --key "$RC_FRONT_PROXY_KEY" \
    -H 'X-Remote-User: e2e' -H 'X-Remote-Group: system:masters' -o /dev/null -w '%{time_total}')
echo "node1 was fresh $(($(seconds_now) - hung)) s after node2 hung; a list of all pods took $seconds s"
[[ $(jq -n "$seconds < 1") == true ]] || fail "a list took $seconds s while node2 hung"

cluster resume node2
resumed=$(seconds_now)
within 45 "fresh usage of node2" is_newer "$PORT" nodes/node2 "$resumed"
echo "node2 was fresh again $(($(seconds_now) - resumed)) s after it went on"
