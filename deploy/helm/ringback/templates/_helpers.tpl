{{- define "ringback.name" -}}
{{- if contains "ringback" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-ringback{{ end }}
{{- end }}

{{- define "ringback.selector" -}}
app.kubernetes.io/name: ringback
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ringback.labels" -}}
{{ include "ringback.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "ringback.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{- .Values.image.repository }}{{ if hasPrefix "sha256:" $tag }}@{{ else }}:{{ end }}{{ $tag }}
{{- end }}

{{- /* A pod's security: nobody, who may write nowhere and asks Kubernetes for nothing. */ -}}
{{- define "ringback.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: { type: RuntimeDefault }
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* A container of this role, which is also the suffix of its broker's URL in the Secret. Takes root and role. */ -}}
{{- define "ringback.container" -}}
{{- $ := .root -}}
name: ringback
image: {{ include "ringback.image" $ | quote }}
imagePullPolicy: {{ $.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
env:
  - { name: RINGBACK_CONFIG, value: /etc/ringback/ringback.toml }
  - { name: RINGBACK_API__LISTEN, value: "0.0.0.0:8080" }
  - { name: RINGBACK_TELEMETRY__LISTEN, value: "0.0.0.0:8080" }
  - { name: RINGBACK_BROKER_FILE, value: /run/secrets/ringback/broker-{{ .role }} }
  - { name: RINGBACK_STORE_FILE, value: /run/secrets/ringback/store }
  - { name: RINGBACK_SECRETS__KEYS_FILE, value: /run/secrets/ringback/keys }
  {{- if $.Values.privateCa }}
  - { name: RINGBACK_RABBITMQ__CA_FILE, value: /run/secrets/ringback/ca.pem }
  - { name: RINGBACK_REDIS__CA_FILE, value: /run/secrets/ringback/ca.pem }
  {{- end }}
volumeMounts:
  - { name: config, mountPath: /etc/ringback, readOnly: true }
  - { name: secrets, mountPath: /run/secrets/ringback, readOnly: true }
  - { name: tmp, mountPath: /tmp }
{{- end }}

{{- /* Each role sees its own broker's URL, and no other's. Takes root and role. */ -}}
{{- define "ringback.volumes" -}}
{{- $ := .root -}}
- name: config
  configMap: { name: {{ .config }} }
# For people: a file of dead letters to import.
- name: tmp
  emptyDir: { sizeLimit: 2Gi }
- name: secrets
  secret:
    secretName: {{ $.Values.existingSecret }}
    defaultMode: 0440
    items:
      - { key: broker-{{ .role }}, path: broker-{{ .role }} }
      - { key: store, path: store }
      - { key: keys, path: keys }
      {{- if $.Values.privateCa }}
      - { key: ca.pem, path: ca.pem }
      {{- end }}
{{- end }}

{{- define "ringback.probes" -}}
ports:
  - { name: http, containerPort: 8080 }
# Says that the process lives. Whether broker and store do is no reason to kill it: it waits for them.
livenessProbe:
  httpGet: { path: /healthz, port: http }
  periodSeconds: 10
  failureThreshold: 6
readinessProbe:
  httpGet: { path: /readyz, port: http }
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 3
{{- end }}
