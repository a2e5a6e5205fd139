{{- define "apm-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The release `apm` gives `apm-operator`, not `apm-apm-operator`. */}}
{{- define "apm-operator.fullname" -}}
{{- $name := include "apm-operator.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else if hasPrefix (printf "%s-" .Release.Name) $name -}}
{{- $name }}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "apm-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "apm-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "apm-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "apm-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: apm
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "apm-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "apm-operator.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Image reference; called with a list of an image value and the root context. */}}
{{- define "apm-operator.image" -}}
{{- $image := index . 0 -}}
{{- $root := index . 1 -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else -}}
{{- printf "%s:%s" $image.repository (default $root.Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{- define "apm-operator.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "apm-operator.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* The ServiceAccount's token where every client looks for it; mounted here so that nothing is mounted by default. */}}
{{- define "apm-operator.tokenMount" -}}
{name: token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- end }}

{{- define "apm-operator.tokenVolume" -}}
name: token
projected:
  defaultMode: 0440
  sources:
  - serviceAccountToken: {path: token, expirationSeconds: 3600}
  - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
  - downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}
{{- end }}

{{- define "apm-operator.testNamespace" -}}
{{- if .Values.tests.namespace -}}
{{- .Values.tests.namespace }}
{{- else if .Values.watchNamespaces -}}
{{- first .Values.watchNamespaces }}
{{- else -}}
default
{{- end }}
{{- end }}

{{/* Subject of every binding. */}}
{{- define "apm-operator.subjects" -}}
subjects:
- kind: ServiceAccount
  name: {{ include "apm-operator.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* Rights in the namespaces that the operator watches; docs/rbac.md says what each is for. */}}
{{- define "apm-operator.rules" -}}
- apiGroups: [apm.valeo-neuroerp.com]
  resources: [agentdeployments, backuppolicies, backups, restores, agentreports]
  verbs: [list, watch]
- apiGroups: [apm.valeo-neuroerp.com]
  resources:
  - agentdeployments/status
  - backuppolicies/status
  - backups/status
  - restores/status
  - agentreports/status
  verbs: [patch]
- apiGroups: [apm.valeo-neuroerp.com]
  resources:
  - agentdeployments/finalizers
  - backuppolicies/finalizers
  - backups/finalizers
  - restores/finalizers
  - agentreports/finalizers
  verbs: [update]
# A Backup for each run of a schedule, and none for what the retention has removed; `patch` is for finalizers.
- apiGroups: [apm.valeo-neuroerp.com]
  resources: [backups]
  verbs: [create, patch, delete]
- apiGroups: [apm.valeo-neuroerp.com]
  resources: [backuppolicies, restores]
  verbs: [patch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
# These go with their agent, by garbage collection.
- apiGroups: [""]
  resources: [services, serviceaccounts]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
# The Jobs of backups may hold their Leases, those of reports list what they tell of; agents may do what permissions.grantable says.
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batch]
  resources: [cronjobs, jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, create, patch, update, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, create]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- if .Values.autoscaling.keda }}
- apiGroups: [keda.sh]
  resources: [scaledobjects, triggerauthentications]
  verbs: [get, create, patch, delete]
# What stands in for an agent that may sleep goes when it is not to sleep any more.
- apiGroups: [""]
  resources: [services]
  verbs: [delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [delete]
{{- end }}
{{- if .Values.certificates.certManager }}
- apiGroups: [cert-manager.io]
  resources: [certificates]
  verbs: [get, create, patch, delete]
- apiGroups: [cert-manager.io]
  resources: [certificaterequests]
  verbs: [get]
{{- end }}
{{- end }}

{{/* Not a right of any namespace: tokens are reviewed for the whole cluster. */}}
{{- define "apm-operator.tokenReviewRules" -}}
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
{{- end }}

{{/* Name of the Secret with the certificate for scrapers. */}}
{{- define "apm-operator.scraperSecret" -}}
{{- printf "%s-scraper-tls" (include "apm-operator.fullname" . | trimSuffix "-operator") }}
{{- end }}

{{- define "apm-operator.secretRules" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch, delete]
{{- end }}

{{/* The command by which a namespace's admin gives that right; NAMESPACE stands for the namespace. */}}
{{- define "apm-operator.secretsGrant" -}}
{{- $fullname := include "apm-operator.fullname" . -}}
{{- $role := printf "%s-secrets --clusterrole=%s-secrets" $fullname $fullname -}}
{{- if .Values.watchNamespaces -}}
{{- $role = printf "%s --role=%s" $fullname $fullname -}}
{{- end -}}
kubectl -n NAMESPACE create rolebinding {{ $role }} --serviceaccount={{ .Release.Namespace }}:{{ include "apm-operator.serviceAccountName" . }}
{{- end }}

{{/* What the operator needs to be let in by Prometheus, and to know it; empty where it needs nothing. */}}
{{- define "apm-operator.prometheusSources" -}}
{{- with .Values.anomalies.prometheus }}
{{- if and .url .tokenSecretRef.name }}
- secret: {name: {{ .tokenSecretRef.name }}, items: [{key: {{ .tokenSecretRef.key }}, path: token}]}
{{- end }}
{{- if and .url .caConfigMapRef.name }}
- configMap: {name: {{ .caConfigMapRef.name }}, items: [{key: {{ .caConfigMapRef.key }}, path: ca.crt}]}
{{- end }}
{{- end }}
{{- end }}

{{/* What the operator is told of the cluster's network: the agents' policies are made of it. */}}
{{- define "apm-operator.network" -}}
{{- $own := dict "matchLabels" (dict "kubernetes.io/metadata.name" .Release.Namespace) -}}
{{- $pods := dict "matchLabels" (include "apm-operator.selectorLabels" . | fromYaml) -}}
{{- $operator := dict "namespaceSelector" $own "podSelector" $pods -}}
{{- $network := .Values.network -}}
{{- $told := dict "dns" $network.dns "scraper" $network.scraper "apiServer" (omit $network.apiServer "role") "operator" $operator -}}
{{- /* Values that are kept over an upgrade (--reuse-values) may not have it yet. */ -}}
{{- if kindIs "map" $network.keda }}{{ $_ := set $told "keda" $network.keda }}{{ end -}}
{{- toJson $told }}
{{- end }}

{{/* The pods of all agents, as a rule of a NetworkPolicy names them. */}}
{{- define "apm-operator.agentPods" -}}
{namespaceSelector: {}, podSelector: {matchExpressions: [{key: apm.valeo-neuroerp.com/agent, operator: Exists}]}}
{{- end }}

{{/* Values that the schema cannot refuse, since each is right on its own. */}}
{{- define "apm-operator.validate" -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.leaderElection) }}
{{- fail "replicas is more than 1, which needs leaderElection: true" }}
{{- end }}
{{- if and .Values.watchNamespaces (or .Values.secrets.namespaces .Values.secrets.allNamespaces) }}
{{- fail "secrets.namespaces and secrets.allNamespaces are for an operator that watches all namespaces: remove them, since watchNamespaces is set and gives the same right there" }}
{{- end }}
{{- if and .Values.watchNamespaces .Values.tests.namespace (not (has .Values.tests.namespace .Values.watchNamespaces)) }}
{{- fail "tests.namespace must be one of watchNamespaces" }}
{{- end }}
{{- end }}
