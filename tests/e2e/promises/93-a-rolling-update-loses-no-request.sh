# shellcheck shell=bash
# While one release replaces another, with one replica and with two, all requests through the API server, at least 20 a
# second, are answered with 200, and every list is whole: a new pod is asked once it is ready, and the old one goes on
# serving until nobody asks it any more. 66 a second are asked where the machine can.

# shellcheck source=tests/e2e/pods.sh
. "$E2E/pods.sh"

after() { end_polls; }

# under_load WHAT COMMAND..: while COMMAND brings about new pods, and until those before are gone
under_load() {
    local what=$1 before rate
    shift
    before=$(gateway_pods | jq -r '.[].metadata.name')
    poll nodes 22 /apis/metrics.k8s.io/v1beta1/nodes
    poll nodes-in-v1 22 /apis/metrics.k8s.io/v1/nodes
    poll pods 22 /apis/metrics.k8s.io/v1beta1/namespaces/default/pods
    "$@"
    rolled_out
    within 60 "end of the pods before" none_is_left "$before"
    end_polls
    echo "-- $what"
    for name in nodes nodes-in-v1 pods; do
        none_failed "$name"
    done
    all_say nodes "$NAMES" "node1 node2"
    all_say nodes-in-v1 "$NAMES" "node1 node2"
    all_say pods "$NAMES" "$PODS"
    rate=$(asked_per_second nodes nodes-in-v1 pods)
    ((rate >= 20)) || fail "only $rate requests a second were asked"
}

none_is_left() { # NAME..
    local left
    left=$(k get pods -n kube-system -l k8s-app=metrics-server -o json |
        jq -r --arg before "$1" '[.items[].metadata.name | select(. as $name | $before | split("\n") | any(. == $name))] | join(" ")')
    echo "still there: $left"
    [[ ! $left ]]
}

new_release() { k set image -n kube-system deployment/metrics-server "metrics-server=$POD_IMAGE:2"; }
new_pods() { k rollout restart -n kube-system deployment/metrics-server; }

NAMES='[.items[].metadata.name] | sort | join(" ")'
in_place
PODS=$(metrics_api v1beta1/namespaces/default/pods | jq -r "$NAMES")
under_load "one replica, another release" new_release
equal "image of the new pod" "$POD_IMAGE:2" "$(gateway_pods | jq -r '.[].spec.containers[0].image')"
k scale -n kube-system deployment/metrics-server --replicas 2
rolled_out
within 60 "usage of every node and pod through the API server" api_serves_everything
under_load "two replicas, other pods" new_pods
k scale -n kube-system deployment/metrics-server --replicas 1
