{{/* Where our pods find the access file; empty where authentication is off. */}}
{{- define "staging.accessFile" -}}
{{- $auth := .Values.auth -}}
{{- if or $auth.issuers $auth.existingConfigMap $auth.existingSecret -}}
/etc/staging/access.toml
{{- else -}}
{{- get .Values.config.settings "STAGER_ACCESS_FILE" -}}
{{- end -}}
{{- end -}}

{{/* What the values say, as the file says it. YAML's numbers come as floats. */}}
{{- define "staging.access" -}}
{{- $issuers := list -}}
{{- range .Values.auth.issuers -}}
{{- $issuer := deepCopy . -}}
{{- if hasKey . "leeway" -}}
{{- $_ := set $issuer "leeway" (int64 .leeway) -}}
{{- end -}}
{{- $issuers = append $issuers $issuer -}}
{{- end -}}
{{- toToml (merge (dict "issuers" $issuers) (pick .Values.auth "everyone" "groups" "users")) -}}
{{- end -}}

{{/* An install that would be open to everybody against what its values say is refused. */}}
{{- define "staging.checkAuth" -}}
{{- $auth := .Values.auth -}}
{{- if gt (len (compact (list (ternary "issuers" "" (not (empty $auth.issuers))) $auth.existingConfigMap $auth.existingSecret))) 1 -}}
{{- fail "auth: give one of issuers, existingConfigMap and existingSecret" -}}
{{- end -}}
{{- if and (or $auth.everyone $auth.groups $auth.users) (not $auth.issuers) -}}
{{- fail "auth.everyone, auth.groups and auth.users are for the callers whose tokens come from auth.issuers, and there are none" -}}
{{- end -}}
{{- if and $auth.required (not (include "staging.accessFile" .)) -}}
{{- fail "auth.required is true, and without issuers anyone who reaches the service would act as any user: give auth.issuers, or an access file by auth.existingConfigMap or auth.existingSecret (docs/how-to/authentication.md)" -}}
{{- end -}}
{{- end -}}

{{/* Beside the users, on lines of its own: one folder that is read again when either changes. */}}
{{- define "staging.accessSource" -}}
{{- $items := "items: [{key: access.toml, path: access.toml}]" -}}
{{- if .Values.auth.issuers }}
- configMap: {name: {{ include "staging.fullname" . }}-access, {{ $items }}}
{{- end }}
{{- with .Values.auth.existingConfigMap }}
- configMap: {name: {{ . }}, {{ $items }}}
{{- end }}
{{- with .Values.auth.existingSecret }}
- secret: {name: {{ . }}, {{ $items }}}
{{- end }}
{{- end -}}
