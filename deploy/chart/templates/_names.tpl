{{/* Names, labels and the choices that several objects must make alike. */}}

{{- define "gateway.name" -}}
{{ default "metrics-server" .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "gateway.fullname" -}}
{{- $name := include "gateway.name" . -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "gateway.namespace" -}}
{{ default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{/* Immutable in a Deployment: these stay as they are for ever, or an upgrade from metrics-server is refused. */}}
{{- define "gateway.selectorLabels" -}}
{{- if eq .Values.objectNames "components" -}}
k8s-app: {{ include "gateway.name" . | quote }}
{{- else -}}
app.kubernetes.io/name: {{ include "gateway.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}
{{- end }}

{{/* Made as a map, so that a label of the user's takes the place of ours instead of standing there twice. */}}
{{- define "gateway.labels" -}}
{{- $labels := dict "k8s-app" (include "gateway.name" .) -}}
{{- if eq .Values.objectNames "chart" -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- $_ := set $labels "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" .Release.Service -}}
{{- end -}}
{{ mustMergeOverwrite $labels .Values.commonLabels (include "gateway.selectorLabels" . | fromYaml) | toYaml }}
{{- end }}

{{- define "gateway.podLabels" -}}
{{- $labels := dict "k8s-app" (include "gateway.name" .) -}}
{{ mustMergeOverwrite $labels .Values.podLabels (include "gateway.selectorLabels" . | fromYaml) | toYaml }}
{{- end }}

{{- define "gateway.serviceAccountName" -}}
{{ default (ternary (include "gateway.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "gateway.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "gateway.serviceAccountName" . }}
    namespace: {{ include "gateway.namespace" . }}
{{- end }}

{{- define "gateway.aggregatedReader" -}}
{{- if eq .Values.objectNames "components" -}}
system:aggregated-metrics-reader
{{- else -}}
system:{{ include "gateway.fullname" . }}-aggregated-reader
{{- end -}}
{{- end }}

{{- define "gateway.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* On the host's network 10250 is the kubelet's. */}}
{{- define "gateway.port" -}}
{{- if and .Values.hostNetwork.enabled (eq (int .Values.containerPort) 10250) -}}
{{ int .Values.hostNetwork.port }}
{{- else -}}
{{ int .Values.containerPort }}
{{- end -}}
{{- end }}

{{/* The Secret with the serving pair; empty where the gateway makes its own. */}}
{{- define "gateway.tlsSecret" -}}
{{- if eq .Values.tls.type "existingSecret" -}}
{{ required "tls.type is existingSecret: tls.existingSecret.name must name it" .Values.tls.existingSecret.name }}
{{- else if ne .Values.tls.type "metrics-server" -}}
{{ include "gateway.fullname" . }}
{{- end -}}
{{- end }}

{{/* Under which names the API server and others in the cluster reach the Service. */}}
{{- define "gateway.dnsNames" -}}
{{- $service := printf "%s.%s" (include "gateway.fullname" .) (include "gateway.namespace" .) -}}
- {{ $service }}
- {{ $service }}.svc
- {{ $service }}.svc.{{ .Values.tls.clusterDomain }}
{{- end }}

{{/* The ConfigMap that holds gateway.toml; empty where there is none. */}}
{{- define "gateway.configMap" -}}
{{- if and .Values.gateway.config .Values.gateway.existingConfigMap -}}
{{ fail "gateway.config and gateway.existingConfigMap: only one can be the gateway.toml" }}
{{- end -}}
{{ .Values.gateway.existingConfigMap | default (ternary "metrics-gateway" "" (ne .Values.gateway.config "")) }}
{{- end }}

{{- define "gateway.tmpVolume" -}}
{{ ternary "tmp-dir" "tmp" (eq .Values.objectNames "components") }}
{{- end }}

{{- define "gateway.replicas" -}}
{{- if .Values.highAvailability.enabled -}}
{{ max 2 (int .Values.replicas) }}
{{- else if not (kindIs "invalid" .Values.replicas) -}}
{{ int .Values.replicas }}
{{- end -}}
{{- end }}
