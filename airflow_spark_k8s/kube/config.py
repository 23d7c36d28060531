"""Where a cluster is and how to log in: the extras of a connection, and the kubeconfig they lead to."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_spark_k8s.exceptions import InvalidConfiguration

CLUSTER_EXTRAS = frozenset(
    {
        "in_cluster",
        "kube_config_path",
        "kube_config",
        "cluster_context",
        "namespace",
        "disable_verify_ssl",
        "disable_tcp_keepalive",
    }
)
"""Names of the extras that say where the cluster is, as connections of the type `kubernetes` have them."""

SERVICE_ACCOUNT_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DEFAULT_NAMESPACE = "default"


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Where a cluster is; at most one of `in_cluster`, `kube_config_path` and `kube_config` is given."""

    in_cluster: bool = False
    kube_config_path: str | None = None  # may name several files, joined as in KUBECONFIG
    kube_config: Mapping[str, Any] | None = field(default=None, repr=False)  # parsed; may hold credentials
    cluster_context: str | None = None  # None: the kubeconfig's current-context
    namespace: str | None = None  # None: the context's, the service account's or `default`
    verify_tls: bool = True
    tcp_keepalive: bool = True
    service_account_folder: Path = SERVICE_ACCOUNT_FOLDER  # where Kubernetes mounts a pod's credentials


def cluster_settings(extras: Mapping[str, object]) -> ClusterSettings:
    """
    The settings in a connection's extras; other extras are ignored.

    Empty values count as not given, because Airflow's connection form stores them.

    Raises:
        InvalidConfiguration: more than one source, a value of the wrong type, or a malformed kubeconfig.

    """
    settings = ClusterSettings(
        in_cluster=flag(extras, "in_cluster"),
        kube_config_path=text(extras, "kube_config_path"),
        kube_config=_kubeconfig_content(extras.get("kube_config")),
        cluster_context=text(extras, "cluster_context"),
        namespace=text(extras, "namespace"),
        verify_tls=not flag(extras, "disable_verify_ssl"),
        tcp_keepalive=not flag(extras, "disable_tcp_keepalive"),
    )
    sources = [name for name in ("in_cluster", "kube_config_path", "kube_config") if getattr(settings, name)]
    if len(sources) > 1:
        raise InvalidConfiguration("extra", sources, "only one of these may be given: remove the others")
    return settings


def text(extras: Mapping[str, object], name: str) -> str | None:
    """The extra `name` as text; None if it is missing or empty."""
    value = extras.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise InvalidConfiguration(f"extra {name}", value, "must be text")
    return value.strip() or None


def flag(extras: Mapping[str, object], name: str) -> bool:
    """The extra `name` as a yes or no; no if it is missing or empty."""
    value = extras.get(name)
    if value is None or value == "":
        return False
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise InvalidConfiguration(f"extra {name}", value, "must be true or false")


def runs_in_cluster(settings: ClusterSettings) -> bool:
    """Whether the credentials are those of the pod that this process runs in."""
    if settings.in_cluster:
        return True
    if settings.kube_config_path or settings.kube_config or settings.cluster_context:
        return False
    return "KUBERNETES_SERVICE_HOST" in os.environ and (settings.service_account_folder / "token").is_file()


def kubeconfig_paths(settings: ClusterSettings) -> str:
    """Paths of the kubeconfig files, joined as in KUBECONFIG; if none is given, those that kubectl reads."""
    return settings.kube_config_path or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")


def namespace_of(settings: ClusterSettings) -> str:
    """
    Namespace for applications that name none: the connection's, the context's or the pod's, else `default`.

    Reads files.

    Raises:
        InvalidConfiguration: the kubeconfig cannot be read or lacks the context.

    """
    if settings.namespace:
        return settings.namespace
    if runs_in_cluster(settings):
        try:
            return (settings.service_account_folder / "namespace").read_text().strip() or DEFAULT_NAMESPACE
        except OSError:
            return DEFAULT_NAMESPACE
    return context_of(read_kubeconfig(settings), settings.cluster_context).namespace or DEFAULT_NAMESPACE


def read_kubeconfig(settings: ClusterSettings) -> Mapping[str, Any]:
    """
    The kubeconfig's content; of several files the first that has an entry wins, as with kubectl.

    Raises:
        InvalidConfiguration: no file, or one that is no kubeconfig; names the file.

    """
    if settings.kube_config is not None:
        return settings.kube_config
    field_name = "extra kube_config_path" if settings.kube_config_path else "KUBECONFIG"
    paths = kubeconfig_paths(settings)
    files = [Path(part).expanduser() for part in paths.split(os.pathsep) if part]
    found = [file for file in files if file.exists()]
    if not found:
        raise InvalidConfiguration(
            field_name,
            paths,
            "no such file on this machine; set kube_config_path, kube_config or in_cluster in the connection",
        )
    merged: dict[str, Any] = {}
    for file in found:
        for key, value in _read(file, field_name).items():
            is_list = isinstance(value, list)
            merged[key] = [*merged.get(key, []), *value] if is_list else merged.get(key) or value
    return merged


@dataclass(frozen=True, slots=True)
class KubeContext:
    """One context of a kubeconfig."""

    name: str
    namespace: str | None  # None: the context names none
    cluster: Mapping[str, Any]
    user: Mapping[str, Any] = field(repr=False)  # may hold credentials


def context_of(kubeconfig: Mapping[str, Any], name: str | None) -> KubeContext:
    """
    The context `name` of a kubeconfig, None: its current-context.

    Raises:
        InvalidConfiguration: there is no such context, or its cluster or user is not in the kubeconfig.

    """
    wanted = name or kubeconfig.get("current-context")
    if not wanted:
        raise InvalidConfiguration(
            "extra cluster_context", name, "the kubeconfig has no current-context: name a context"
        )
    context = _entry(kubeconfig, "contexts", wanted)
    if context is None:
        known = ", ".join(item["name"] for item in kubeconfig["contexts"])
        raise InvalidConfiguration(
            "extra cluster_context", wanted, f"no such context in the kubeconfig; it has: {known or 'none'}"
        )
    parts = {kind: _entry(kubeconfig, f"{kind}s", context.get(kind)) for kind in ("cluster", "user")}
    for kind, part in parts.items():
        # Without a user, as `kubectl proxy` and plain-HTTP clusters have it, requests carry no credentials.
        if part is None and context.get(kind):
            raise InvalidConfiguration(
                "kubeconfig", context.get(kind), f"context {wanted!r} needs this {kind}, and it is not there"
            )
    if not (parts["cluster"] or {}).get("server"):
        raise InvalidConfiguration(
            "kubeconfig", context.get("cluster"), "this cluster has no server: add its address"
        )
    return KubeContext(wanted, context.get("namespace") or None, parts["cluster"] or {}, parts["user"] or {})


def _entry(kubeconfig: Mapping[str, Any], section: str, name: object) -> Mapping[str, Any] | None:
    for item in kubeconfig.get(section) or ():
        if item.get("name") == name:
            content = item.get(section.removesuffix("s"))
            return content if isinstance(content, Mapping) else {}
    return None


def _kubeconfig_content(value: object) -> Mapping[str, Any] | None:
    if value is None or value == "":
        return None
    if isinstance(value, Mapping):
        return _checked(value, "extra kube_config")
    if not isinstance(value, str):
        raise InvalidConfiguration(
            "extra kube_config", type(value).__name__, "must be a kubeconfig as JSON or YAML"
        )
    return _parsed(value, "extra kube_config")


def _read(file: Path, field_name: str) -> Mapping[str, Any]:
    try:
        content = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfiguration(field_name, str(file), f"cannot be read: {error}") from error
    return _parsed(content, f"{field_name} {file}")


def _parsed(content: str, field_name: str) -> Mapping[str, Any]:
    import yaml  # heavy, and not needed while DAG files are parsed

    try:
        return _checked(json.loads(content), field_name)
    except json.JSONDecodeError:
        pass
    try:
        return _checked(yaml.safe_load(content), field_name)
    except yaml.MarkedYAMLError as error:
        # The error's own text quotes the line, which may hold a token.
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise InvalidConfiguration(
            field_name, "…", f"is neither JSON nor YAML: {error.problem} in line {line}"
        ) from None
    except yaml.YAMLError as error:
        raise InvalidConfiguration(
            field_name, "…", f"is neither JSON nor YAML: {type(error).__name__}"
        ) from None


def _checked(kubeconfig: object, field_name: str) -> Mapping[str, Any]:
    if not isinstance(kubeconfig, Mapping):
        raise InvalidConfiguration(
            field_name, type(kubeconfig).__name__, "is no kubeconfig: a mapping with clusters is expected"
        )
    for section in ("clusters", "contexts", "users"):
        items = kubeconfig.get(section)
        if items is None and section == "users":
            continue
        if not isinstance(items, list) or not all(_is_named(item) for item in items):
            raise InvalidConfiguration(
                field_name, section, "is no kubeconfig: this must be a list of entries with a name"
            )
    return kubeconfig


def _is_named(item: object) -> bool:
    return isinstance(item, Mapping) and isinstance(item.get("name"), str)
