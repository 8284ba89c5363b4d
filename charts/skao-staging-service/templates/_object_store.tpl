{{/* What the registration alone is told: it writes all of it into Prefect's block. */}}
{{- define "staging.storeEnv" -}}
{{- $store := .Values.objectStore -}}
{{- if $store.endpoint }}
{{- if not $store.bucket }}{{ fail "objectStore.bucket: into which bucket are data brought?" }}{{ end }}
{{- if not (or $store.existingSecret (and $store.accessKey $store.secretKey)) }}{{ fail "objectStore: give accessKey and secretKey, or existingSecret" }}{{ end }}
- {name: STAGER_OBJECT_STORE_ENDPOINT, value: {{ $store.endpoint | quote }}}
- {name: STAGER_OBJECT_STORE_BUCKET, value: {{ $store.bucket | quote }}}
{{- with $store.prefix }}
- {name: STAGER_OBJECT_STORE_PREFIX, value: {{ . | quote }}}
{{- end }}
{{- with $store.region }}
- {name: STAGER_OBJECT_STORE_REGION, value: {{ . | quote }}}
{{- end }}
{{- $secret := default (printf "%s-object-store" (include "staging.fullname" .)) $store.existingSecret }}
{{- range list "STAGER_OBJECT_STORE_ACCESS_KEY" "STAGER_OBJECT_STORE_SECRET_KEY" }}
- {name: {{ . }}, valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ . }}}}}
{{- end }}
{{- if $store.caConfigMap }}
- {name: STAGER_OBJECT_STORE_CA_FILE, value: /etc/object-store/ca.crt}
{{- end }}
{{- end }}
{{- end -}}

{{- define "staging.storeMount" -}}
{{- if and .Values.objectStore.endpoint .Values.objectStore.caConfigMap }}
- {name: object-store, mountPath: /etc/object-store, readOnly: true}
{{- end }}
{{- end -}}

{{- define "staging.storeVolume" -}}
{{- with and .Values.objectStore.endpoint .Values.objectStore.caConfigMap }}
- name: object-store
  configMap: {name: {{ . }}}
{{- end }}
{{- end -}}
