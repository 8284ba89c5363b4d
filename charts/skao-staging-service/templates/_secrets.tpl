{{/*
A password: (list $ "SECRET" "key" given). What is not given is made up once:
what the cluster has already counts.
*/}}
{{- define "staging.password" -}}
{{- $root := index . 0 -}}
{{- $known := dig "data" (index . 2) "" (lookup "v1" "Secret" $root.Release.Namespace (index . 1) | default dict) -}}
{{- default (default (randAlphaNum 32) (b64dec $known)) (index . 3) -}}
{{- end -}}

{{/* As it stands in a URL (RFC 3986, section 2.1). */}}
{{- define "staging.inUrl" -}}
{{- urlquery . | replace "+" "%20" -}}
{{- end -}}

{{- define "staging.databaseSecret" -}}
{{- if .Values.mysql.enabled -}}
{{- default (printf "%s-mysql" (include "staging.fullname" .)) .Values.mysql.auth.existingSecret -}}
{{- else -}}
{{- default (printf "%s-database" (include "staging.fullname" .)) .Values.externalDatabase.existingSecret -}}
{{- end -}}
{{- end -}}

{{- define "staging.databaseSecretKey" -}}
{{- if and (not .Values.mysql.enabled) .Values.externalDatabase.existingSecret -}}
{{- .Values.externalDatabase.existingSecretKey -}}
{{- else -}}
STAGER_DATABASE_URL
{{- end -}}
{{- end -}}

{{- define "staging.prefectDatabaseSecret" -}}
{{- if eq .Values.prefect.database.type "postgresql" -}}
{{- default (printf "%s-postgresql" (include "staging.fullname" .)) .Values.prefect.postgresql.auth.existingSecret -}}
{{- else -}}
{{- default (printf "%s-prefect-database" (include "staging.fullname" .)) .Values.prefect.database.existingSecret -}}
{{- end -}}
{{- end -}}

{{- define "staging.prefectDatabaseSecretKey" -}}
{{- if and (eq .Values.prefect.database.type "external") .Values.prefect.database.existingSecret -}}
{{- .Values.prefect.database.existingSecretKey -}}
{{- else -}}
PREFECT_API_DATABASE_CONNECTION_URL
{{- end -}}
{{- end -}}
