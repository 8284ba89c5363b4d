{{/* The Secret with the token for the hub: one that is there, or the one that is made here; empty where there is no token. */}}
{{- define "staging.hubSecret" -}}
{{- if .Values.jupyterHub.existingSecret -}}
{{- .Values.jupyterHub.existingSecret -}}
{{- else if .Values.jupyterHub.token -}}
{{- include "staging.fullname" . }}-jupyterhub
{{- end -}}
{{- end -}}

{{/* What the registration alone is told: it writes all of it into Prefect's block. */}}
{{- define "staging.hubEnv" -}}
{{- with include "staging.hubSecret" . }}
- name: STAGER_JUPYTERHUB_TOKEN
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: {{ ternary $.Values.jupyterHub.existingSecretKey "STAGER_JUPYTERHUB_TOKEN" (not (empty $.Values.jupyterHub.existingSecret)) }}}
{{- end }}
{{- if .Values.jupyterHub.caConfigMap }}
- {name: STAGER_JUPYTERHUB_CA_FILE, value: /etc/jupyterhub/ca.crt}
{{- end }}
{{- end -}}

{{- define "staging.hubMount" -}}
{{- if .Values.jupyterHub.caConfigMap }}
- {name: jupyterhub, mountPath: /etc/jupyterhub, readOnly: true}
{{- end }}
{{- end -}}

{{- define "staging.hubVolume" -}}
{{- with .Values.jupyterHub.caConfigMap }}
- name: jupyterhub
  configMap: {name: {{ . }}}
{{- end }}
{{- end -}}

{{/* Where those who stage may connect to, where not everywhere: rules of a NetworkPolicy. */}}
{{- define "staging.egress" -}}
{{- $egress := .Values.networkPolicy.egress -}}
{{- $hub := default dict $egress.hub -}}
{{- $inCluster := or $hub.namespace $hub.podLabels -}}
{{- if and $inCluster $hub.cidr -}}
{{- fail "networkPolicy.egress.hub: give either cidr, or namespace and podLabels" -}}
{{- end -}}
{{- if and (or $inCluster $hub.cidr) (not $hub.port) -}}
{{- fail "networkPolicy.egress.hub.port: at which port is the hub reached?" -}}
{{- end -}}
{{- if and (not $egress.others) (not (and .Values.mysql.enabled .Values.prefect.server.enabled)) -}}
{{- fail "networkPolicy.egress.others: the records database or Prefect is elsewhere, and who stages could not reach it: give its cidr and port" -}}
{{- end -}}
- ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
- to: [{podSelector: {matchLabels: {app.kubernetes.io/instance: {{ .Release.Name }}}}}]
{{- if $inCluster }}
- ports: [{port: {{ $hub.port }}}]
  to:
    - podSelector: {matchLabels: {{ toJson (default dict $hub.podLabels) }}}
      {{- with $hub.namespace }}
      namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ . }}}}
      {{- end }}
{{- else if $hub.cidr }}
- {ports: [{port: {{ $hub.port }}}], to: [{ipBlock: {cidr: {{ $hub.cidr | quote }}}}]}
{{- end }}
{{- range $egress.others }}
- {ports: [{port: {{ .port }}}], to: [{ipBlock: {cidr: {{ .cidr | quote }}}}]}
{{- end }}
{{- end -}}
