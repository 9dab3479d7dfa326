{{- define "status-operator.labels" -}}
app.kubernetes.io/name: status-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
{{- define "status-operator.selector" -}}
app.kubernetes.io/name: status-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- /* What the operator does with each kind, and nothing more. Secrets are never listed or watched. */ -}}
{{- define "status-operator.rules" -}}
- apiGroups: [status.im]
  resources: [statusnodes]
  verbs: [list, watch]
- apiGroups: [status.im]
  resources: [statusnodes/status]
  verbs: [patch]
- apiGroups: [status.im]
  resources: [statusnodes/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [services, configmaps, persistentvolumeclaims]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [monitoring.coreos.com]
  resources: [servicemonitors]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, update, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
