"""What clients ask before anything else: versions, groups and resources."""

from __future__ import annotations

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.exchange import TEXT_TYPE, Request, Response
from airflow_spark_k8s.local.resources import REVIEWS, STORED, Resource

VERSION = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.0-local",
    "gitCommit": "",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}
"""Answer of /version: the release whose behaviour the local cluster follows."""

_AGGREGATED = "g=apidiscovery.k8s.io"
_SUBRESOURCES = {
    "eviction": ("policy/v1 Eviction", ("create",)),
    "binding": ("v1 Binding", ("create",)),
    "token": ("authentication.k8s.io/v1 TokenRequest", ("create",)),
    "log": ("", ("get",)),
    "finalize": ("", ("update",)),
    "status": ("", ("get", "patch", "update")),
    "proxy": ("", ("create", "delete", "get", "patch", "update")),
}
_GROUP_VERSIONS = list(dict.fromkeys((each.group, each.version) for each in (*STORED, *REVIEWS)))


def discover(request: Request) -> Response | None:
    """The answer for a path that is about the API server itself; None if it is not."""
    path = request.path.rstrip("/") or "/"
    if path.startswith(("/healthz", "/livez", "/readyz")):
        return Response(body="ok", content_type=TEXT_TYPE)
    if path == "/version":
        return Response(body=dict(VERSION))
    aggregated = _AGGREGATED in request.headers.get("accept", "")
    if path in ("/api", "/apis") and aggregated:
        return _aggregated(core=path == "/api")
    if path == "/api":
        return Response(body=_api_versions())
    if path == "/apis":
        groups = [_group(name, version) for name, version in _GROUP_VERSIONS if name]
        return Response(body={"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
    return _group_answer(path.strip("/").split("/"))


def _group_answer(parts: list[str]) -> Response | None:
    if parts == ["api", "v1"]:
        return Response(body=_resource_list("", "v1"))
    if parts[0] != "apis" or len(parts) not in (2, 3):
        return None
    for group, version in _GROUP_VERSIONS:
        if parts[1:] == [group]:
            return Response(body={"kind": "APIGroup", "apiVersion": "v1", **_group(group, version)})
        if parts[1:] == [group, version]:
            return Response(body=_resource_list(group, version))
    return None


def _api_versions() -> Manifest:
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


def _group(name: str, version: str) -> Manifest:
    entry = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [entry], "preferredVersion": entry}


def _of(group: str, version: str) -> list[Resource]:
    return [each for each in (*STORED, *REVIEWS) if (each.group, each.version) == (group, version)]


def _resource_list(group: str, version: str) -> Manifest:
    resources: list[Manifest] = []
    for each in _of(group, version):
        resources.append(_resource(each))
        for name in each.subresources:
            kind, verbs = _subresource(each, name)
            # kubectl only evicts where the entry names the group of Eviction.
            other = {} if (kind["group"], kind["version"]) == (group, version) else kind
            found = {"name": f"{each.plural}/{name}", "singularName": "", "namespaced": each.namespaced}
            resources.append({**found, **other, "kind": kind["kind"], "verbs": verbs})
    group_version = f"{group}/{version}" if group else version
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": resources,
    }


def _resource(each: Resource) -> Manifest:
    found: Manifest = {
        "name": each.plural,
        "singularName": each.singular,
        "namespaced": each.namespaced,
        "kind": each.kind,
        "verbs": list(each.verbs),
    }
    if each.short_names:
        found["shortNames"] = list(each.short_names)
    if each.categories:
        found["categories"] = list(each.categories)
    return found


def _aggregated(*, core: bool) -> Response:
    items = [
        {
            "metadata": {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None},
            "versions": [
                {
                    "version": version,
                    "resources": [_aggregated_resource(each) for each in _of(group, version)],
                    "freshness": "Current",
                }
            ],
        }
        for group, version in _GROUP_VERSIONS
        if core != bool(group)
    ]
    body = {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }
    content_type = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    return Response(body=body, content_type=content_type)


def _aggregated_resource(each: Resource) -> Manifest:
    found: Manifest = {
        "resource": each.plural,
        "responseKind": {"group": each.group, "version": each.version, "kind": each.kind},
        "scope": "Namespaced" if each.namespaced else "Cluster",
        "singularResource": each.singular,
        "verbs": list(each.verbs),
    }
    if each.short_names:
        found["shortNames"] = list(each.short_names)
    if each.categories:
        found["categories"] = list(each.categories)
    subresources = []
    for name in each.subresources:
        kind, verbs = _subresource(each, name)
        subresources.append({"subresource": name, "responseKind": kind, "verbs": verbs})
    return found | ({"subresources": subresources} if subresources else {})


def _subresource(each: Resource, name: str) -> tuple[dict[str, str], list[str]]:
    kind, verbs = _SUBRESOURCES[name]
    api_version, _, own = kind.partition(" ")
    if not own:
        return {"group": each.group, "version": each.version, "kind": each.kind}, list(verbs)
    group, _, version = api_version.rpartition("/")
    return {"group": group, "version": version, "kind": own}, list(verbs)
