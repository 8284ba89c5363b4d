{{- define "staging.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $default := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $default .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* What a part's pods are found by: (list $ "api"). It never changes, for a selector cannot. */}}
{{- define "staging.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "staging.labels" -}}
{{- $root := index . 0 -}}
{{ include "staging.selector" . }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* An object's name and labels: (list $ "api") gives FULLNAME-api. */}}
{{- define "staging.metadata" -}}
name: {{ include "staging.fullname" (index . 0) }}-{{ index . 1 }}
namespace: {{ (index . 0).Release.Namespace }}
labels:
  {{- include "staging.labels" . | nindent 2 }}
{{- end -}}

{{- define "staging.prefectApiUrl" -}}
{{- if .Values.prefect.apiUrl -}}
{{- .Values.prefect.apiUrl -}}
{{- else if not .Values.prefect.server.enabled -}}
{{- fail "prefect.server.enabled is false: give prefect.apiUrl, the API of the Prefect that is elsewhere" -}}
{{- else -}}
http://{{ include "staging.fullname" . }}-prefect:{{ .Values.prefect.server.service.port }}/api
{{- end -}}
{{- end -}}

{{/* The names that Prefect's server is asked by, as a JSON list; the one of its pages it knows by their address. */}}
{{- define "staging.prefectHosts" -}}
{{- $name := printf "%s-prefect" (include "staging.fullname" .) -}}
{{- $local := printf "%s.%s" $name .Release.Namespace -}}
{{- $hosts := list $name $local (printf "%s.svc" $local) (printf "%s.svc.cluster.local" $local) -}}
{{- if .Values.prefect.server.ingress.enabled -}}
{{- $hosts = append $hosts .Values.prefect.server.ingress.host -}}
{{- end -}}
{{- if .Values.prefect.apiUrl -}}
{{- $hosts = append $hosts (get (urlParse .Values.prefect.apiUrl) "hostname") -}}
{{- end -}}
{{- toJson (uniq (concat $hosts .Values.prefect.server.hosts)) -}}
{{- end -}}

{{- define "staging.publicUrl" -}}
{{- if .Values.config.publicUrl -}}
{{- .Values.config.publicUrl -}}
{{- else if and .Values.ingress.enabled .Values.ingress.hosts -}}
{{- $scheme := ternary "https" "http" (not (empty .Values.ingress.tls)) -}}
{{- printf "%s://%s" $scheme (first .Values.ingress.hosts).host -}}
{{- else -}}
http://{{ include "staging.fullname" . }}-api:{{ .Values.service.port }}
{{- end -}}
{{- end -}}

{{/* Prefect's pages as a browser reaches them: by default through the port-forward that NOTES.txt tells of. */}}
{{- define "staging.prefectUiUrl" -}}
{{- $ingress := .Values.prefect.server.ingress -}}
{{- if .Values.prefect.uiUrl -}}
{{- trimSuffix "/" .Values.prefect.uiUrl -}}
{{- else if and .Values.prefect.server.enabled $ingress.enabled -}}
{{- printf "%s://%s" (ternary "https" "http" (not (empty $ingress.tls))) $ingress.host -}}
{{- else if .Values.prefect.server.enabled -}}
http://localhost:4200
{{- end -}}
{{- end -}}
