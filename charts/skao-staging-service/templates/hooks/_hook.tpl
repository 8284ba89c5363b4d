{{/* A Job's spec: (list $ "migration" (list "python" ...)). It waits for what it needs, and is tried again. */}}
{{- define "staging.hook" -}}
{{- $root := index . 0 -}}
backoffLimit: 6
activeDeadlineSeconds: {{ $root.Values.hooks.waitSeconds }}
template:
  metadata:
    labels:
      {{- include "staging.selector" (list $root (index . 1)) | nindent 6 }}
  spec:
    {{- include "staging.pod" (list $root $root.Values.api) | nindent 4 }}
    restartPolicy: Never
    automountServiceAccountToken: false
    securityContext:
      {{- include "staging.unprivileged" (list 10001 10001 list) | nindent 6 }}
    containers:
      - name: {{ index . 1 }}
        {{- include "staging.image" $root | nindent 8 }}
        args: {{ toJson (index . 2) }}
        securityContext:
          {{- include "staging.confined" list | nindent 10 }}
        {{- if eq (index . 1) "registration" }}
        {{- include "staging.environment" $root | nindent 8 }}
          {{- if $root.Values.kubernetesWorker.enabled }}
          - {name: STAGER_PODS_FILE, value: /etc/registration/pods.yaml}
          {{- end }}
          {{- include "staging.hubEnv" $root | indent 10 }}
          {{- include "staging.storeEnv" $root | indent 10 }}
        {{- else }}
        {{/* It comes before the upgrade that may bring Prefect's password, and asks Prefect for nothing. */}}
        envFrom:
          {{- include "staging.envFrom" $root | nindent 10 }}
        env:
          {{- include "staging.databaseEnv" $root | nindent 10 }}
          {{- with $root.Values.extraEnv }}
          {{- toYaml . | nindent 10 }}
          {{- end }}
        {{- end }}
        resources:
          {{- toYaml $root.Values.hooks.resources | nindent 10 }}
        volumeMounts:
          {{- include "staging.tmpMount" $root | nindent 10 }}
          {{- if eq (index . 1) "registration" }}
          - {name: registration, mountPath: /etc/registration, readOnly: true}
          {{- include "staging.prefectMount" $root | indent 10 }}
          {{- include "staging.hubMount" $root | indent 10 }}
          {{- include "staging.storeMount" $root | indent 10 }}
          {{- end }}
    volumes:
      {{- include "staging.tmpVolume" $root | nindent 6 }}
      {{- if eq (index . 1) "registration" }}
      - name: registration
        configMap: {name: {{ include "staging.fullname" $root }}-registration}
      {{- include "staging.prefectVolume" $root | indent 6 }}
      {{- include "staging.hubVolume" $root | indent 6 }}
      {{- include "staging.storeVolume" $root | indent 6 }}
      {{- end }}
{{- end -}}

{{/* What the site says of flow runs' pods: the file that deployments/job_template.py reads. */}}
{{- define "staging.pods" -}}
{{- $runs := .Values.flowRuns -}}
acts_as: {{ $runs.actsAs }}
defaults:
  image: {{ printf "%s:%s" .Values.image.repository .Values.image.tag | quote }}
  image_pull_policy: {{ .Values.image.pullPolicy }}
  service_account_name: {{ include "staging.fullname" . }}-flow-run
  labels:
    {{- include "staging.selector" (list . "flow-run") | nindent 4 }}
    {{- with $runs.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- range $name, $value := dict
    "cpu_request" (dig "requests" "cpu" nil $runs.resources)
    "memory_request" (dig "requests" "memory" nil $runs.resources)
    "cpu_limit" (dig "limits" "cpu" nil $runs.resources)
    "memory_limit" (dig "limits" "memory" nil $runs.resources)
  }}
  {{- if not (kindIs "invalid" $value) }}
  {{ $name }}: {{ toString $value | quote }}
  {{- end }}
  {{- end }}
  {{- range $name, $value := dict
    "annotations" $runs.annotations
    "node_selector" $runs.nodeSelector
    "tolerations" $runs.tolerations
    "affinity" $runs.affinity
    "priority_class_name" $runs.priorityClassName
    "active_deadline_seconds" $runs.activeDeadlineSeconds
    "ttl_seconds_after_finished" $runs.ttlSecondsAfterFinished
  }}
  {{- if or $value (eq (toString $value) "0") }}
  {{ $name }}: {{ toJson $value }}
  {{- end }}
  {{- end }}
{{- with .Values.imagePullSecrets }}
image_pull_secrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
env_from:
  {{- include "staging.envFrom" . | nindent 2 }}
env:
  {{- include "staging.env" . | nindent 2 }}
  {{- include "staging.secretKeyEnv" . | nindent 2 }}
volumes:
  {{- include "staging.volumes" . | nindent 2 }}
volume_mounts:
  {{- include "staging.volumeMounts" (list . true false) | nindent 2 }}
{{- end -}}
