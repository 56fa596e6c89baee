{{- define "equipoise.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "equipoise.fullname" -}}
{{- $name := include "equipoise.name" . }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $full .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "equipoise.selector" -}}
app.kubernetes.io/name: {{ include "equipoise.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "equipoise.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "equipoise.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "equipoise.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{- define "equipoise.serviceAccount" -}}
{{- default (ternary (include "equipoise.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{/* The whole configuration: what a pod needs, and what was said over it. */}}
{{- define "equipoise.config" -}}
{{- $needed := dict
      "listen" (dict "host" "0.0.0.0" "port" 4000 "drain_notice_seconds" 5 "drain_seconds" 30)
      "log" (dict "format" "json")
      "state_dir" "/var/lib/equipoise" }}
{{- if and .Values.serviceMonitor.enabled (not ((.Values.config.metrics | default dict).open)) }}
{{- $scraper := dict "key" "${EQUIPOISE_SCRAPER_KEY}" "tenant" "prometheus" "routes" list }}
{{- $_ := set $needed "keys" (dict "prometheus" $scraper) }}
{{- end }}
{{- toYaml (mergeOverwrite $needed (deepCopy .Values.config)) }}
{{- end }}

{{/* What no schema can see. */}}
{{- define "equipoise.checked" -}}
{{- $config := include "equipoise.config" . | fromYaml }}
{{- $several := or .Values.autoscaling.enabled (gt (int .Values.replicaCount) 1) }}
{{- if and $several .Values.persistence.enabled }}
{{- fail "persistence: one volume is for one gateway: set replicaCount to 1 and autoscaling.enabled to false, or leave persistence out" }}
{{- end }}
{{- if and $several $config.budgets (not (($config.shared | default dict).redis)) }}
{{- fail "config.budgets: each of several gateways would spend the whole budget: name a Redis in config.shared.redis, or set replicaCount to 1" }}
{{- end }}
{{- if ($config.listen.tls | default dict).client_ca }}
{{- fail "config.listen.tls.client_ca: the kubelet has no client certificate, so no probe would succeed: check clients' certificates in front of the gateway" }}
{{- end }}
{{- if lt (int $config.listen.port) 1024 }}
{{- fail "config.listen.port: the gateway is not root: choose 1024 or more, and service.port as you like" }}
{{- end }}
{{- end }}
