# shellcheck shell=bash
# `metrics-gateway status --once`, through the real API server: both nodes, everything served, and all well.

status() { inside "$GATEWAY" status "$@"; } # $KUBECONFIG is the administrator's
both_answer() { status -o json | jq -e '.items[0].nodes | .total == 2 and .byOutcome == {"answering": 2}'; }

within 45 "usage of every node and pod" serves_everything
within 20 "both nodes in the status" both_answer
text=$(status --once)
echo "$text"
contains "status" "2 of 2 answer" "$text"
contains "status" "all well" "$(head -n 1 <<<"$text")"
pods=$(status -o json | jq '.items[0].served.pods')
equal "pods in the status" "$(as_api_server "$PORT" /apis/metrics.k8s.io/v1beta1/pods | jq '.items | length')" "$pods"
[[ $text != *$'\e'* ]] || fail "there are colours where there is no terminal"
