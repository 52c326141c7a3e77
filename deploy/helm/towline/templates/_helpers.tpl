{{- define "towline.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "towline.labels" -}}
app.kubernetes.io/name: towline
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "towline.selector" -}}
app.kubernetes.io/name: towline
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The pod of a server or a worker: a dict of root, component, args. */}}
{{- define "towline.pod" -}}
{{- $root := .root -}}
metadata:
  labels:
    {{- include "towline.selector" . | nindent 4 }}
  {{- with $root.Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: {{ $root.Values.terminationGracePeriodSeconds }}
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: {{ .component }}
      image: "{{ $root.Values.image.repository }}:{{ $root.Values.image.tag | default $root.Chart.AppVersion }}"
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args:
        {{- toYaml .args | nindent 8 }}
      env:
        - name: TOWLINE_DATABASE_URL
          valueFrom:
            secretKeyRef:
              name: {{ required "existingSecret: name a Secret with database-url and secret-keys" $root.Values.existingSecret }}
              key: database-url
        - name: TOWLINE_SECRET_KEYS
          valueFrom:
            secretKeyRef:
              name: {{ $root.Values.existingSecret }}
              key: secret-keys
        - name: TOWLINE_METRICS_TOKEN
          valueFrom:
            secretKeyRef:
              name: {{ $root.Values.existingSecret }}
              key: metrics-token
              optional: true
        {{- range $name, $value := $root.Values.settings }}
        - name: TOWLINE_{{ $name | upper }}
          value: {{ $value | toString | quote }}
        {{- end }}
        {{- with $root.Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- if eq .component "server" }}
      ports:
        - name: http
          containerPort: 8080
      livenessProbe:
        httpGet: {path: /healthz, port: http}
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        timeoutSeconds: 5
        periodSeconds: 5
      startupProbe:
        httpGet: {path: /healthz, port: http}
        failureThreshold: 60
        periodSeconds: 2
      {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      resources:
        {{- toYaml $root.Values.resources | nindent 8 }}
      volumeMounts:
        - name: data
          mountPath: /var/lib/towline
        - name: tmp
          mountPath: /tmp
  volumes:
    - name: data
      emptyDir:
        sizeLimit: {{ $root.Values.cacheSize }}
    - name: tmp
      emptyDir: {}
  {{- with $root.Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
