"""Two pod manifests as flat fields, and how they differ."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Fields = dict[str, str]

# What the API server or the scheduler adds to one pod.
_OF_THE_SERVER = ("uid", "resourceVersion", "creationTimestamp", "generation", "finalizers", "managedFields")
_OF_THE_BINDING = ("pv.kubernetes.io/", "volume.kubernetes.io/")
_TOKEN_VOLUME = re.compile(r"kube-api-access-\w{5}")
_JAVA_OPTION = re.compile(r"SPARK_JAVA_OPT_\d+")
# Lists of named things are compared by these names, all others by position.
_NAMES = {
    "env": "name",
    "imagePullSecrets": "name",
    "items": "path",
    "ports": "name",
    "resizePolicy": "resourceName",
    "tolerations": "key",
    "volumeMounts": "mountPath",
    "volumes": "name",
}


@dataclass(frozen=True, slots=True)
class Found:
    """One field that is not the same in both manifests."""

    pod: str  # driver or executor
    path: str
    spark: str | None  # None: there is no such field
    ours: str | None

    def __str__(self) -> str:
        return f"{self.pod} {self.path}: Spark {self.spark!r}, ours {self.ours!r}"


@dataclass(frozen=True, slots=True)
class Difference:
    """A row of the table: fields that differ on purpose; `*` stands for anything in paths and values."""

    pod: str  # driver, executor or both
    path: str
    spark: str | None  # None: Spark's manifest has no such field
    ours: str | None
    reason: str

    def explains(self, found: Found) -> bool:
        """Whether this row is about the field that was found."""
        return (
            self.pod in ("both", found.pod)
            and _fits(self.path, found.path)
            and _fits(self.spark, found.spark)
            and _fits(self.ours, found.ours)
        )


def fields_of(
    pod: Mapping[str, Any], claims: Mapping[str, Mapping[str, Any]], names: Mapping[str, str]
) -> Fields:
    """
    Path → value of every field of a pod that its maker has set, and of the claims that are made for it.

    The paths of the pod's only container begin with `container`, those of the claims with `claims`.

    :param claims: volume → the claim that is made for it.
    :param names: text that is different every time → what to write for it, the first that fits first.
    """
    metadata = {key: value for key, value in pod["metadata"].items() if key not in _OF_THE_SERVER}
    spec = {key: value for key, value in pod["spec"].items() if key not in ("nodeName", "containers")}
    (container,) = pod["spec"]["containers"]
    container = {**container, "args": _arguments(container.get("args") or [])}
    if "volumes" in spec:
        spec["volumes"] = [_without_template(volume) for volume in spec["volumes"]]
    made = {volume: _claim(claim) for volume, claim in claims.items()}
    text = json.dumps({"metadata": metadata, "spec": spec, "container": container, "claims": made})
    text = _TOKEN_VOLUME.sub("kube-api-access", text)
    for given, name in names.items():
        text = text.replace(json.dumps(given)[1:-1], name)
    return dict(sorted(_flat(json.loads(text), "")))


def compare(pod: str, spark: Fields, ours: Fields) -> list[Found]:
    """The fields that are not the same in both."""
    return [
        Found(pod, path, spark.get(path), ours.get(path))
        for path in sorted(spark.keys() | ours.keys())
        if spark.get(path) != ours.get(path)
    ]


def unexplained(found: Iterable[Found], table: Iterable[Difference]) -> list[str]:
    """What no row, or more than one, is about."""
    rows = list(table)
    return [
        f"{each} ({len(about)} rows)"
        for each in found
        if len(about := [row for row in rows if row.explains(each)]) != 1
    ]


def stale(found: Iterable[Found], table: Iterable[Difference]) -> list[Difference]:
    """Rows that are about nothing."""
    seen = list(found)
    return [row for row in table if not any(row.explains(each) for each in seen)]


def _fits(pattern: str | None, text: str | None) -> bool:
    if pattern is None or text is None:
        return pattern is text
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))


def _without_template(volume: Mapping[str, Any]) -> Mapping[str, Any]:
    """The volume without the claim's template, which is compared as a claim."""
    return {**volume, "ephemeral": "a claim of the pod's own"} if "ephemeral" in volume else volume


def _claim(claim: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in claim["metadata"].items() if key not in _OF_THE_SERVER}
    annotations = metadata.get("annotations") or {}
    own = {key: value for key, value in annotations.items() if not key.startswith(_OF_THE_BINDING)}
    spec = {key: value for key, value in claim["spec"].items() if key != "volumeName"}
    return {"metadata": {**metadata, "annotations": own}, "spec": spec}


def _arguments(words: list[str]) -> dict[str, Any]:
    """The words of a command line by their meaning, as far as spark-submit's order does not matter."""
    found: dict[str, Any] = {"command": words[0]}
    rest = list(words[1:])
    while rest and rest[0].startswith("--"):
        option, value, rest = rest[0], rest[1], rest[2:]
        name, equals, setting = value.partition("=")
        found |= {f"{option} {name}": setting} if option == "--conf" and equals else {option: value}
    return {**found, "application": rest[:1], "arguments": rest[1:]}


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for name, item in _named(path.rpartition(".")[2], value):
            yield from _flat(item, f"{path}.{name}")
    elif value != {}:
        yield path, value if isinstance(value, str) else json.dumps(value)
    elif path.endswith(".emptyDir"):
        yield path, "{}"  # the only field whose presence alone says something


def _named(field: str, items: list[Any]) -> Iterator[tuple[str, Any]]:
    key = _NAMES.get(field)
    for position, item in enumerate(items):
        if key is None:
            yield str(position), item
            continue
        name = item.get(key, str(position))
        if _JAVA_OPTION.fullmatch(name):
            # Numbered, but in no certain order: what counts is which options there are.
            yield f"SPARK_JAVA_OPT_n.{item['value']}", "set"
        else:
            yield name, {k: v for k, v in item.items() if k != key} or "listed"
