{{/*
A password: (list $ "SECRET" "key" given "where it is given"). What is not given
is made up once: what the cluster has already counts.
*/}}
{{- define "staging.password" -}}
{{- $root := index . 0 -}}
{{- $known := dig "data" (index . 2) "" (lookup "v1" "Secret" $root.Release.Namespace (index . 1) | default dict) -}}
{{- include "staging.settledPassword" (list (b64dec $known) (index . 3) (index . 4) (index . 1)) -}}
{{- end -}}

{{/* A database takes its password from the Secret once, when its volume is new: (list known given "where" "SECRET"). */}}
{{- define "staging.settledPassword" -}}
{{- $known := index . 0 -}}
{{- $given := index . 1 -}}
{{- if and $known $given (ne $known $given) -}}
{{- fail (printf "%s: the Secret %s holds another password, and so does the database's volume. Change it in the database first (ALTER USER) and in the Secret, as in docs/how-to/kubernetes-operations.md, \"Changing a password\"; or, if the volume is gone, delete the Secret" (index . 2) (index . 3)) -}}
{{- end -}}
{{- coalesce $given $known (randAlphaNum 32) -}}
{{- end -}}

{{/* As it stands in a URL (RFC 3986, section 2.1). */}}
{{- define "staging.inUrl" -}}
{{- urlquery . | replace "+" "%20" -}}
{{- end -}}

{{/* Whether the Secret of the records' database is made here. */}}
{{- define "staging.ownsDatabaseSecret" -}}
{{- if not (ternary .Values.mysql.auth.existingSecret .Values.externalDatabase.existingSecret .Values.mysql.enabled) -}}
true
{{- end -}}
{{- end -}}

{{/* What it says then. */}}
{{- define "staging.databaseSecretData" -}}
{{- if .Values.mysql.enabled -}}
{{- $name := printf "%s-mysql" (include "staging.fullname" .) -}}
{{- $auth := .Values.mysql.auth -}}
{{- $password := include "staging.password" (list . $name "password" $auth.password "mysql.auth.password") -}}
{{- $account := printf "%s:%s" (include "staging.inUrl" .Values.mysql.username) (include "staging.inUrl" $password) -}}
root-password: {{ include "staging.password" (list . $name "root-password" $auth.rootPassword "mysql.auth.rootPassword") | quote }}
password: {{ $password | quote }}
STAGER_DATABASE_URL: {{ printf "mysql+pymysql://%s@%s/%s" $account $name .Values.mysql.database | quote }}
{{- else -}}
STAGER_DATABASE_URL: {{ required "mysql.enabled is false: give externalDatabase.url or externalDatabase.existingSecret" .Values.externalDatabase.url | quote }}
{{- end -}}
{{- end -}}

{{- define "staging.databaseSecret" -}}
{{- if .databaseSecret -}}
{{- .databaseSecret -}}
{{- else if .Values.mysql.enabled -}}
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

{{/* The Secret with Prefect's password: one that is there, or the one that is made here. */}}
{{- define "staging.prefectSecret" -}}
{{- if .Values.prefect.authSecret -}}
{{- .Values.prefect.authSecret -}}
{{- else if .Values.prefect.server.enabled -}}
{{- include "staging.fullname" . }}-prefect
{{- end -}}
{{- end -}}

{{/* The Secret with the keys of users' secrets: one that is there, or the one that is made here. */}}
{{- define "staging.secretKeySecret" -}}
{{- default (printf "%s-secret-key" (include "staging.fullname" .)) .Values.userSecrets.existingSecret -}}
{{- end -}}

{{/* For what takes or uses users' secrets, and nothing else. */}}
{{- define "staging.secretKeyEnv" -}}
- name: STAGER_SECRET_KEY
  valueFrom:
    secretKeyRef: {name: {{ include "staging.secretKeySecret" . }}, key: STAGER_SECRET_KEY}
{{- end -}}
