"""The kinds of objects that the operator reads and writes, and the names it gives to things."""

from __future__ import annotations

from dataclasses import dataclass

GROUP = "apm.valeo-neuroerp.com"
VERSION = "v1alpha1"
FIELD_MANAGER = "apm-operator"
REPLICAS_MANAGER = "apm-operator-replicas"
"""Sets the number of pods with which an autoscaler begins: what no manager has any more, the API server sets to 1."""

AGENT_LABEL = f"{GROUP}/agent"
POLICY_LABEL = f"{GROUP}/backup-policy"
BACKUP_LABEL = f"{GROUP}/backup"
RESTORE_LABEL = f"{GROUP}/restore"
REPORT_LABEL = f"{GROUP}/agent-report"
JOB_LABEL = f"{GROUP}/job"
"""What a Job does: one of the commands of `backup.job`, or `report`."""
JOB_NAME_LABEL = "batch.kubernetes.io/job-name"
"""Label that Kubernetes puts on the pods of a Job: its name."""
JOB_UID_LABEL = "batch.kubernetes.io/controller-uid"
"""Likewise: its uid."""
ACTIVATOR_LABEL = f"{GROUP}/activator"
"""On the activator of an agent that may sleep, and on its pod: the agent's name."""
REACHED_LABEL = f"{GROUP}/reached-as"
"""On the pods behind such an agent's Service, its own and its activator's: the agent's name."""
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
SELECTOR = f"{MANAGED_BY_LABEL}={FIELD_MANAGER}"
"""Label selector of everything the operator makes, pods included."""

CONFIG_HASH = f"{GROUP}/config-hash"
SECRETS_HASH = f"{GROUP}/secrets-hash"
APPLIED_HASH = f"{GROUP}/applied-hash"
"""Annotation of children: digest of the manifest they were last applied from. A field that is no longer wanted
does not show in a comparison of the wanted fields alone."""
ADOPTED = f"{GROUP}/adopted"
"""Annotation of a Job that has had a Backup: one that was deleted since is not made again."""
FINALIZER = f"{GROUP}/files"
"""On a Backup or policy whose files are to go with it, and on a Restore for which agents rest."""
RECONCILE_AT = f"{GROUP}/reconcile-at"


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object, and where the API server keeps it."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """`group/version`, or `version` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL's path of a collection or an object; `namespace=None` means all namespaces."""
        parts = ["/apis" if self.group else "/api", self.api_version]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part is not None]
        return "/".join(parts)


AGENTS = Resource(GROUP, VERSION, "agentdeployments", "AgentDeployment")
BACKUP_POLICIES = Resource(GROUP, VERSION, "backuppolicies", "BackupPolicy")
BACKUPS = Resource(GROUP, VERSION, "backups", "Backup")
RESTORES = Resource(GROUP, VERSION, "restores", "Restore")
AGENT_REPORTS = Resource(GROUP, VERSION, "agentreports", "AgentReport")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
SERVICES = Resource("", "v1", "services", "Service")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
DISRUPTION_BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
AUTOSCALERS = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
SCALED_OBJECTS = Resource("keda.sh", "v1alpha1", "scaledobjects", "ScaledObject")
TRIGGER_AUTHENTICATIONS = Resource("keda.sh", "v1alpha1", "triggerauthentications", "TriggerAuthentication")
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
CRON_JOBS = Resource("batch", "v1", "cronjobs", "CronJob")
JOBS = Resource("batch", "v1", "jobs", "Job")
CLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
PODS = Resource("", "v1", "pods", "Pod")
SECRETS = Resource("", "v1", "secrets", "Secret")
CERTIFICATES = Resource("cert-manager.io", "v1", "certificates", "Certificate")
CERTIFICATE_REQUESTS = Resource("cert-manager.io", "v1", "certificaterequests", "CertificateRequest")
TOKEN_REVIEWS = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
EVENTS = Resource("events.k8s.io", "v1", "events", "Event")

CHILDREN = (
    SERVICE_ACCOUNTS,
    ROLES,
    ROLE_BINDINGS,
    CONFIG_MAPS,
    SERVICES,
    NETWORK_POLICIES,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    AUTOSCALERS,
)
"""What an agent can consist of."""
OWNERS = (AGENTS, BACKUP_POLICIES, BACKUPS, RESTORES, AGENT_REPORTS)
"""What users write; everything else belongs to one of them."""
OWNER_LABELS = {
    AGENT_LABEL: AGENTS.kind,
    POLICY_LABEL: BACKUP_POLICIES.kind,
    BACKUP_LABEL: BACKUPS.kind,
    RESTORE_LABEL: RESTORES.kind,
    REPORT_LABEL: AGENT_REPORTS.kind,
}
"""Labels of what belongs to one of them: its name, and its kind."""
WATCHED = (*OWNERS, *CHILDREN, CRON_JOBS, JOBS, PODS)
BY_KIND = {resource.kind: resource for resource in WATCHED}
