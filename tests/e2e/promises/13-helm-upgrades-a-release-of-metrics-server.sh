# shellcheck shell=bash
# A release that metrics-server's chart made (its names, labels and immutable selector) is upgraded in place: the
# Deployment is the same object with another image, and nothing of the old release is left beside it.

export HELM_CACHE_HOME=$RC_DIR/helm HELM_CONFIG_HOME=$RC_DIR/helm HELM_DATA_HOME=$RC_DIR/helm
HELM=$("$E2E/../helm-assets" | tail -n 1)/helm
# A name that holds "metrics-server" is the full name, as in both charts.
NAME=old-metrics-server
after() { helm uninstall $NAME --namespace default; }
helm() { inside "$HELM" "$@"; }

deployment() { k get deployment $NAME -o json | jq -r "$1"; }

OLD=$RC_DIR/old-chart
mkdir -p "$OLD/templates"
printf '%s\n' 'apiVersion: v2' 'name: metrics-server' 'version: 3.13.0' 'appVersion: 0.8.0' >"$OLD/Chart.yaml"
cat >"$OLD/templates/all.yaml" <<'END'
{{- define "labels" }}
labels: {helm.sh/chart: metrics-server-3.13.0, app.kubernetes.io/name: metrics-server, app.kubernetes.io/instance: {{ .Release.Name }},
  app.kubernetes.io/version: "0.8.0", app.kubernetes.io/managed-by: Helm}
{{- end }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .Release.Name }}
  {{- include "labels" . | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: system:{{ .Release.Name }}
  {{- include "labels" . | nindent 2 }}
rules:
  - {apiGroups: [""], resources: [nodes/metrics], verbs: [get]}
  - {apiGroups: [""], resources: [pods, nodes, namespaces, configmaps], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: system:{{ .Release.Name }}
  {{- include "labels" . | nindent 2 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:{{ .Release.Name }}"}
subjects: [{kind: ServiceAccount, name: {{ .Release.Name }}, namespace: {{ .Release.Namespace }}}]
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}
  {{- include "labels" . | nindent 2 }}
spec:
  selector: {app.kubernetes.io/name: metrics-server, app.kubernetes.io/instance: {{ .Release.Name }}}
  ports: [{name: https, port: 443, protocol: TCP, targetPort: https}]
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  {{- include "labels" . | nindent 2 }}
spec:
  replicas: 0
  selector:
    matchLabels: {app.kubernetes.io/name: metrics-server, app.kubernetes.io/instance: {{ .Release.Name }}}
  template:
    metadata:
      labels: {app.kubernetes.io/name: metrics-server, app.kubernetes.io/instance: {{ .Release.Name }}}
    spec:
      serviceAccountName: {{ .Release.Name }}
      containers:
        - name: metrics-server
          image: registry.k8s.io/metrics-server/metrics-server:v0.8.0
          args: [--secure-port=10250, --cert-dir=/tmp]
          ports: [{name: https, protocol: TCP, containerPort: 10250}]
          volumeMounts: [{name: tmp, mountPath: /tmp}]
      volumes: [{name: tmp, emptyDir: {}}]
END
helm install $NAME "$OLD" --namespace default
before=$(deployment .metadata.uid)
# Of the objects that a cluster has but one of, the gateway under test has them already.
helm upgrade $NAME "$E2E/../../deploy/chart" --namespace default \
    --set replicas=0,apiService.create=false,rbac.operatorRoles=false
equal "Deployment" "$before" "$(deployment .metadata.uid)"
equal "image" metrics-gateway:unreleased "$(deployment '.spec.template.spec.containers[] | select(.name == "metrics-server") | .image')"
equal "label k8s-app of its pods" metrics-server "$(deployment '.spec.template.metadata.labels["k8s-app"]')"
equal "resources in the ClusterRole" "nodes/metrics nodes/stats nodes pods namespaces" \
    "$(k get clusterrole system:$NAME -o json | jq -r '[.rules[].resources[]] | join(" ")')"
equal "Deployments of the release" 1 "$(k get deployments -l app.kubernetes.io/instance=$NAME -o name | wc -l)"
