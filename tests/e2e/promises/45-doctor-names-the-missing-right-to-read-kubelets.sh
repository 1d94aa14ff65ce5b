# shellcheck shell=bash
# Without nodes/metrics in its ClusterRole the gateway will be answered 403 by every kubelet as soon as their caches of
# permissions are over: doctor sees it at once, and prints the command that gives the right back.

# shellcheck source=tests/e2e/doctor.sh
. "$E2E/doctor.sh"
after() { k apply -f "$E2E/../../deploy/rbac.yaml" >/dev/null; }

healthy
k get clusterrole system:metrics-server -o json |
    jq '.rules |= map(select(.resources | index("nodes/metrics") | not))' | k replace -f -
diagnosed rbac-kubelets '"system:serviceaccount:kube-system:metrics-server" may not get nodes/metrics, get nodes/stats'
run_remedy rbac-kubelets
green_again
