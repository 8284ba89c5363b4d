{{/* What every pod of ours says of itself; (list $ values-of-the-part). */}}
{{- define "staging.pod" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $part.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A pod's account, on lines of their own: (list uid gid). Null is no number: the image's own, or the one that the cluster gives. */}}
{{- define "staging.account" -}}
{{- if not (kindIs "invalid" (index . 0)) }}
runAsUser: {{ int64 (index . 0) }}
{{- end }}
{{- if not (kindIs "invalid" (index . 1)) }}
runAsGroup: {{ int64 (index . 1) }}
{{- end }}
{{- end -}}

{{/* The user of a pod that needs no rights: (list uid gid groups). */}}
{{- define "staging.unprivileged" -}}
runAsNonRoot: true
{{- include "staging.account" . }}
{{- if not (kindIs "invalid" (index . 1)) }}
fsGroup: {{ int64 (index . 1) }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
{{- with index . 2 }}
supplementalGroups: {{ toJson . }}
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* A container's rights: none but the capabilities that are named. */}}
{{- define "staging.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- with . }}
  add: {{ toJson . }}
{{- end }}
{{- end -}}

{{- define "staging.image" -}}
image: {{ printf "%s:%s" .Values.image.repository .Values.image.tag | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end -}}

{{/* The service's environment; what the operator adds counts last. */}}
{{- define "staging.environment" -}}
envFrom:
  {{- include "staging.envFrom" . | nindent 2 }}
env:
  {{- include "staging.env" . | nindent 2 }}
{{- end -}}

{{- define "staging.envFrom" -}}
- configMapRef: {name: {{ include "staging.fullname" . }}-environment}
{{- if not .Values.prefect.server.enabled }}
{{- with .Values.prefect.authSecret }}
- secretRef: {name: {{ . }}}
{{- end }}
{{- end }}
{{- with .Values.extraEnvFrom }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "staging.env" -}}
{{ include "staging.databaseEnv" . }}
{{- if .Values.prefect.server.enabled }}
- name: PREFECT_API_AUTH_STRING
  valueFrom:
    secretKeyRef: {name: {{ include "staging.prefectSecret" . }}, key: PREFECT_API_AUTH_STRING}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "staging.databaseEnv" -}}
- name: STAGER_DATABASE_URL
  valueFrom:
    secretKeyRef: {name: {{ include "staging.databaseSecret" . }}, key: {{ include "staging.databaseSecretKey" . }}}
{{- end -}}

{{/* A pod is replaced when what it read at its start has changed. */}}
{{- define "staging.checksums" -}}
checksum/environment: {{ include (print .Template.BasePath "/environment.yaml") . | sha256sum }}
{{- if or .Values.mysql.auth.password .Values.externalDatabase.url }}
checksum/secrets: {{ printf "%s %s" .Values.mysql.auth.password .Values.externalDatabase.url | sha256sum }}
{{- end }}
{{- end -}}

{{- define "staging.tmpMount" -}}
- {name: tmp, mountPath: /tmp}
{{- end -}}

{{- define "staging.tmpVolume" -}}
- name: tmp
  emptyDir: {}
{{- end -}}
