"""The kinds of object that the local cluster knows, as the API server's discovery describes them."""

from __future__ import annotations

from dataclasses import dataclass

CRUD = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object and how the API server treats it."""

    group: str  # "" is the core group
    version: str
    plural: str
    singular: str
    kind: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    verbs: tuple[str, ...] = CRUD
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    has_generation: bool = False  # metadata.generation counts changes of the spec
    returns_deleted: bool = False  # DELETE answers the object instead of a Status
    orphans_by_default: bool = False  # DELETE without propagationPolicy leaves dependents alone

    @property
    def api_version(self) -> str:
        """Value of an object's `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified_name(self) -> str:
        """`jobs.batch`, `pods`: how error messages name the resource."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def has_status(self) -> bool:
        """Whether writes of the object and of its status are separate."""
        return "status" in self.subresources

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """Path of the object; `name` None: of the collection, `namespace` None: of all namespaces."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        inside = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{inside}/{self.plural}" + (f"/{name}" if name else "")

    def __hash__(self) -> int:
        return hash((self.group, self.plural))


NAMESPACES = Resource(
    "", "v1", "namespaces", "namespace", "Namespace", False, ("ns",), subresources=("status", "finalize")
)
NODES = Resource("", "v1", "nodes", "node", "Node", False, ("no",), subresources=("status",))
PODS = Resource(
    "",
    "v1",
    "pods",
    "pod",
    "Pod",
    short_names=("po",),
    categories=("all",),
    subresources=("status", "log", "proxy", "eviction", "binding"),
    has_generation=True,
    returns_deleted=True,
)
CONFIG_MAPS = Resource("", "v1", "configmaps", "configmap", "ConfigMap", short_names=("cm",))
SECRETS = Resource("", "v1", "secrets", "secret", "Secret")
SERVICES = Resource(
    "",
    "v1",
    "services",
    "service",
    "Service",
    short_names=("svc",),
    categories=("all",),
    subresources=("status", "proxy"),
    returns_deleted=True,
)
ENDPOINTS = Resource("", "v1", "endpoints", "endpoints", "Endpoints", short_names=("ep",))
SERVICE_ACCOUNTS = Resource(
    "",
    "v1",
    "serviceaccounts",
    "serviceaccount",
    "ServiceAccount",
    short_names=("sa",),
    subresources=("token",),
    returns_deleted=True,
)
EVENTS = Resource("", "v1", "events", "event", "Event", short_names=("ev",))
PERSISTENT_VOLUME_CLAIMS = Resource(
    "",
    "v1",
    "persistentvolumeclaims",
    "persistentvolumeclaim",
    "PersistentVolumeClaim",
    short_names=("pvc",),
    subresources=("status",),
    returns_deleted=True,
)
PERSISTENT_VOLUMES = Resource(
    "",
    "v1",
    "persistentvolumes",
    "persistentvolume",
    "PersistentVolume",
    False,
    ("pv",),
    subresources=("status",),
    returns_deleted=True,
)
RESOURCE_QUOTAS = Resource(
    "",
    "v1",
    "resourcequotas",
    "resourcequota",
    "ResourceQuota",
    short_names=("quota",),
    subresources=("status",),
    returns_deleted=True,
)
LIMIT_RANGES = Resource("", "v1", "limitranges", "limitrange", "LimitRange", short_names=("limits",))
JOBS = Resource(
    "batch",
    "v1",
    "jobs",
    "job",
    "Job",
    categories=("all",),
    subresources=("status",),
    has_generation=True,
    orphans_by_default=True,
)
PRIORITY_CLASSES = Resource(
    "scheduling.k8s.io", "v1", "priorityclasses", "priorityclass", "PriorityClass", False, ("pc",)
)
STORAGE_CLASSES = Resource(
    "storage.k8s.io", "v1", "storageclasses", "storageclass", "StorageClass", False, ("sc",)
)
NETWORK_POLICIES = Resource(
    "networking.k8s.io", "v1", "networkpolicies", "networkpolicy", "NetworkPolicy", short_names=("netpol",)
)
LEASES = Resource("coordination.k8s.io", "v1", "leases", "lease", "Lease")
POD_DISRUPTION_BUDGETS = Resource(
    "policy",
    "v1",
    "poddisruptionbudgets",
    "poddisruptionbudget",
    "PodDisruptionBudget",
    short_names=("pdb",),
    subresources=("status",),
)
_RBAC = "rbac.authorization.k8s.io"
ROLES = Resource(_RBAC, "v1", "roles", "role", "Role")
ROLE_BINDINGS = Resource(_RBAC, "v1", "rolebindings", "rolebinding", "RoleBinding")
CLUSTER_ROLES = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterroles", "clusterrole", "ClusterRole", False
)
CLUSTER_ROLE_BINDINGS = Resource(
    "rbac.authorization.k8s.io",
    "v1",
    "clusterrolebindings",
    "clusterrolebinding",
    "ClusterRoleBinding",
    False,
)

_CREATE = ("create",)
SELF_SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io",
    "v1",
    "selfsubjectaccessreviews",
    "selfsubjectaccessreview",
    "SelfSubjectAccessReview",
    False,
    verbs=_CREATE,
)
SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io",
    "v1",
    "subjectaccessreviews",
    "subjectaccessreview",
    "SubjectAccessReview",
    False,
    verbs=_CREATE,
)
LOCAL_SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io",
    "v1",
    "localsubjectaccessreviews",
    "localsubjectaccessreview",
    "LocalSubjectAccessReview",
    verbs=_CREATE,
)
SELF_SUBJECT_RULES_REVIEWS = Resource(
    "authorization.k8s.io",
    "v1",
    "selfsubjectrulesreviews",
    "selfsubjectrulesreview",
    "SelfSubjectRulesReview",
    False,
    verbs=_CREATE,
)
SELF_SUBJECT_REVIEWS = Resource(
    "authentication.k8s.io",
    "v1",
    "selfsubjectreviews",
    "selfsubjectreview",
    "SelfSubjectReview",
    False,
    verbs=_CREATE,
)
TOKEN_REVIEWS = Resource(
    "authentication.k8s.io", "v1", "tokenreviews", "tokenreview", "TokenReview", False, verbs=_CREATE
)

REVIEWS = (
    SELF_SUBJECT_ACCESS_REVIEWS,
    SUBJECT_ACCESS_REVIEWS,
    LOCAL_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_RULES_REVIEWS,
    SELF_SUBJECT_REVIEWS,
    TOKEN_REVIEWS,
)
"""Answered at once, never stored."""

STORED = (
    NAMESPACES,
    NODES,
    PODS,
    CONFIG_MAPS,
    SECRETS,
    SERVICES,
    ENDPOINTS,
    SERVICE_ACCOUNTS,
    EVENTS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    RESOURCE_QUOTAS,
    LIMIT_RANGES,
    JOBS,
    PRIORITY_CLASSES,
    STORAGE_CLASSES,
    NETWORK_POLICIES,
    LEASES,
    POD_DISRUPTION_BUDGETS,
    ROLES,
    ROLE_BINDINGS,
    CLUSTER_ROLES,
    CLUSTER_ROLE_BINDINGS,
)

_BY_PLURAL = {(r.group, r.version, r.plural): r for r in (*STORED, *REVIEWS)}
_BY_KIND = {(r.api_version, r.kind): r for r in STORED}


def by_plural(group: str, version: str, plural: str) -> Resource | None:
    """Resource behind a path's group, version and plural; None if the local cluster has none."""
    return _BY_PLURAL.get((group, version, plural))


def by_kind(api_version: str, kind: str) -> Resource | None:
    """Stored resource of an object's or owner reference's `apiVersion` and `kind`; None if there is none."""
    return _BY_KIND.get((api_version, kind))
