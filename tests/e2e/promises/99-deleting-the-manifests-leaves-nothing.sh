# shellcheck shell=bash
# `kubectl delete -k deploy` takes away what `kubectl apply -k deploy` made, so that metrics-server, or nothing, can be in
# its place; `kubectl top` then says that there is no Metrics API.

# shellcheck source=tests/e2e/pods.sh
. "$E2E/pods.sh"

left() {
    k get -A deployments,pods,services,endpoints,configmaps,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,apiservices \
        -l k8s-app=metrics-server -o name
}
nothing_is_left() {
    left
    [[ ! $(left) ]]
}
has_no_metrics_api() { ! k top nodes 2>&1; }

# Applied by itself, for Prometheus, by a promise before this one.
k delete -f "$E2E/../../deploy/monitoring.yaml" --ignore-not-found
in_place
[[ $(left) ]] || fail "there was nothing to delete"
k delete -k "$E2E/../../deploy"
within 60 "end of every object" nothing_is_left
within 20 "answer that there is no Metrics API" has_no_metrics_api
contains "kubectl top" "Metrics API not available" "$(cat "$RC_DIR/attempt")"
