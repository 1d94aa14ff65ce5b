# shellcheck shell=bash
# Without the permission nodes/metrics (and only without that), the kubelet answers 403: the gateway serves nothing, and
# says why, per node in the log and by reason in a metric.

after() { stop_gateway gateway-without-permission; }
OTHER=4444

account kube-system no-kubelet
k apply -f - <<'END'
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: e2e-no-kubelet}
rules:
  - {apiGroups: [""], resources: [nodes, pods], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: e2e-no-kubelet}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: e2e-no-kubelet}
subjects: [{kind: ServiceAccount, name: no-kubelet, namespace: kube-system}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: e2e-no-kubelet-auth-delegator}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: 'system:auth-delegator'}
subjects: [{kind: ServiceAccount, name: no-kubelet, namespace: kube-system}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: e2e-no-kubelet-auth-reader, namespace: kube-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: extension-apiserver-authentication-reader}
subjects: [{kind: ServiceAccount, name: no-kubelet, namespace: kube-system}]
END
start_gateway gateway-without-permission $OTHER no-kubelet "$RC_CA"
within 30 "refusal of both nodes" rose $OTHER 'metrics_gateway_scrape_failures_total{reason="403"}' 1
equal "nodes served" "" "$(served_names $OTHER nodes)"
equal "pods served" "" "$(served_names $OTHER pods)"
equal "successful requests" 0 "$(counter $OTHER 'metrics_server_kubelet_request_total{success="true"}')"
for node in node1 node2; do
    logged gateway-without-permission "$node" 403
done
