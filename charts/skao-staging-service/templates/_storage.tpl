{{/* The place that a storage is mounted at in our pods: (list $ "source"). */}}
{{- define "staging.path" -}}
{{- $area := index (index . 0).Values.storage (index . 1) -}}
{{- (index $area $area.type).path -}}
{{- end -}}

{{- define "staging.areaName" -}}
{{- ternary "source" "user-area" (eq . "source") -}}
{{- end -}}

{{/* The claim of a CephFS: a given one, or the one that is made here. */}}
{{- define "staging.cephClaim" -}}
{{- $area := index (index . 0).Values.storage (index . 1) -}}
{{- default (printf "%s-%s" (include "staging.fullname" (index . 0)) (include "staging.areaName" (index . 1))) $area.ceph.claimName -}}
{{- end -}}

{{- define "staging.volume" -}}
{{- $area := index (index . 0).Values.storage (index . 1) -}}
name: {{ include "staging.areaName" (index . 1) }}
{{- if eq $area.type "local" }}
hostPath: {path: {{ $area.local.hostPath | quote }}, type: Directory}
{{- else if eq $area.type "nfs" }}
nfs: {server: {{ $area.nfs.server | quote }}, path: {{ $area.nfs.serverPath | quote }}}
{{- else if eq $area.type "ceph" }}
persistentVolumeClaim: {claimName: {{ include "staging.cephClaim" . }}}
{{- else }}
persistentVolumeClaim: {claimName: {{ required (printf "storage.%s.pvc.claimName: which claim?" (index . 1)) $area.pvc.claimName }}}
{{- end }}
{{- end -}}

{{/* (list $ "source" read-only?) */}}
{{- define "staging.mount" -}}
{{- $area := index (index . 0).Values.storage (index . 1) -}}
name: {{ include "staging.areaName" (index . 1) }}
mountPath: {{ include "staging.path" . }}
readOnly: {{ index . 2 }}
{{- if and (eq $area.type "pvc") $area.pvc.subPath }}
subPath: {{ $area.pvc.subPath }}
{{- end }}
{{- end -}}

{{- define "staging.usersConfigMap" -}}
{{- default (printf "%s-users" (include "staging.fullname" .)) .Values.existingUsersConfigMap -}}
{{- end -}}

{{/* What every pod that stages mounts beside /tmp. */}}
{{- define "staging.volumes" -}}
- {{ include "staging.volume" (list . "source") | nindent 2 | trim }}
- {{ include "staging.volume" (list . "userArea") | nindent 2 | trim }}
{{ include "staging.accountVolumes" . }}
{{- end -}}

{{/* Who the users are, whom Prefect's certificate may be of, and what the operator adds. */}}
{{- define "staging.accountVolumes" -}}
- name: users
  projected:
    sources:
      - configMap: {name: {{ include "staging.usersConfigMap" . }}}
      {{- include "staging.accessSource" . | indent 6 }}
{{- include "staging.prefectVolume" . }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* (list $ read-only source? read-only user area?) */}}
{{- define "staging.volumeMounts" -}}
{{- $root := index . 0 -}}
- {{ include "staging.mount" (list $root "source" (index . 1)) | nindent 2 | trim }}
- {{ include "staging.mount" (list $root "userArea" (index . 2)) | nindent 2 | trim }}
{{ include "staging.accountMounts" $root }}
{{- end -}}

{{- define "staging.accountMounts" -}}
- name: users
  mountPath: /etc/staging
  readOnly: true
{{- include "staging.prefectMount" . }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* On lines of their own, where there is one. */}}
{{- define "staging.prefectVolume" -}}
{{- with .Values.prefect.caConfigMap }}
- name: prefect
  configMap: {name: {{ . }}}
{{- end }}
{{- end -}}

{{- define "staging.prefectMount" -}}
{{- if .Values.prefect.caConfigMap }}
- {name: prefect, mountPath: /etc/prefect, readOnly: true}
{{- end }}
{{- end -}}
