from __future__ import annotations

import base64
import random
from typing import Any

import pytest

from airflow_spark_k8s.local.container_env import (
    ContainerConfigError,
    PodSurroundings,
    container_env,
    expand,
    expanded,
)
from airflow_spark_k8s.local.resources import CONFIG_MAPS, SECRETS, SERVICES
from airflow_spark_k8s.local.store import Store
from airflow_spark_k8s.local.timers import EPOCH
from airflow_spark_k8s.local.volumes import VolumeError, container_mounts, pod_volumes

ADDRESSES = {"status.podIP": "10.1.2.3", "status.hostIP": "10.0.0.1"}
SURROUNDINGS = PodSurroundings(ADDRESSES, {"cpu": "4", "memory": "8Gi"}, "10.96.0.1", 443)


@pytest.fixture
def store() -> Store:
    store = Store(wall_clock=lambda: EPOCH, chance=random.Random(0))
    store.create(CONFIG_MAPS, _named("settings", data={"a": "1", "b": "2"}, binaryData={"c": "AP8="}))
    secret = {"password": base64.b64encode(b"hush").decode()}
    store.create(SECRETS, _named("hidden", data=secret))
    return store


def _named(name: str, **content: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, **content}


def _pod(container: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "p",
            "namespace": "default",
            "uid": "u-1",
            "labels": {"z": "1", "app": 'say "hi"'},
            "annotations": {"note": "n"},
        },
        "spec": {"containers": [{"name": "main", **container}], "nodeName": "node-1", **spec},
    }


def _env(store: Store, container: dict[str, Any], **spec: Any) -> dict[str, str]:
    pod = _pod(container, **spec)
    return container_env(pod, pod["spec"]["containers"][0], store, SURROUNDINGS)


EXPANSIONS = {
    "a known name is replaced": ("x$(A)y", "xay"),
    "an unknown name stays as it is": ("$(NOPE)", "$(NOPE)"),
    "two dollars stand for one and prevent the replacement": ("$$(A)", "$(A)"),
    "three dollars stand for one and a replacement": ("$$$(A)", "$a"),
    "a lone dollar stays": ("5$ $A", "5$ $A"),
    "an open parenthesis without its end stays": ("$(A", "$(A"),
}


@pytest.mark.parametrize(("text", "result"), EXPANSIONS.values(), ids=EXPANSIONS)
def test_expansion(text: str, result: str) -> None:
    assert expand(text, {"A": "a"}) == result


def test_values_may_refer_to_what_is_defined_before_them(store: Store) -> None:
    env = _env(
        store,
        {
            "envFrom": [{"configMapRef": {"name": "settings"}, "prefix": "S_"}],
            "env": [
                {"name": "A", "value": "$(S_a)"},
                {"name": "B", "value": "$(A)$(LATER)"},
                {"name": "LATER", "value": "x"},
                {"name": "API", "value": "$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)"},
            ],
        },
    )

    assert (env["A"], env["B"], env["API"]) == ("1", "1$(LATER)", "10.96.0.1:443")


def test_references_are_resolved(store: Store) -> None:
    limits = {"resources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": "1500m"}}}
    sources = {
        "SECRET": {"secretKeyRef": {"name": "hidden", "key": "password"}},
        "CONFIG": {"configMapKeyRef": {"name": "settings", "key": "b"}},
        "IP": {"fieldRef": {"fieldPath": "status.podIP"}},
        "NAME": {"fieldRef": {"fieldPath": "metadata.name"}},
        "LABEL": {"fieldRef": {"fieldPath": "metadata.labels['z']"}},
        "NODE": {"fieldRef": {"fieldPath": "spec.nodeName"}},
        "MEMORY": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}},
        "CPU": {"resourceFieldRef": {"resource": "requests.cpu"}},
        "NODE_CPU": {"resourceFieldRef": {"resource": "limits.cpu"}},
    }
    env = _env(store, {**limits, "env": [{"name": name, "valueFrom": ref} for name, ref in sources.items()]})

    assert {name: env[name] for name in sources} == {
        "SECRET": "hush",
        "CONFIG": "2",
        "IP": "10.1.2.3",
        "NAME": "p",
        "LABEL": "1",
        "NODE": "node-1",
        "MEMORY": "1024",
        "CPU": "2",
        "NODE_CPU": "4",
    }


def test_optional_references_to_nothing_are_left_out(store: Store) -> None:
    env = _env(
        store,
        {
            "envFrom": [{"secretRef": {"name": "none", "optional": True}}],
            "env": [
                {"name": "A", "valueFrom": {"secretKeyRef": {"name": "n", "key": "k", "optional": True}}},
                {
                    "name": "B",
                    "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "k", "optional": True}},
                },
            ],
        },
    )

    assert not env.keys() & {"A", "B"}


MISSING = {
    "config map": ({"envFrom": [{"configMapRef": {"name": "nope"}}]}, 'configmap "nope" not found'),
    "secret": (
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "nope", "key": "k"}}}]},
        'secret "nope" not found',
    ),
    "key": (
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "k"}}}]},
        "couldn't find key k in Secret default/hidden",
    ),
    "field": (
        {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.magic"}}}]},
        "unsupported fieldPath: spec.magic",
    ),
}


@pytest.mark.parametrize(("container", "message"), MISSING.values(), ids=MISSING)
def test_missing_references_are_told_as_the_kubelet_does(
    store: Store, container: dict[str, Any], message: str
) -> None:
    with pytest.raises(ContainerConfigError) as raised:
        _env(store, container)

    assert str(raised.value) == message


def test_the_api_server_is_in_eight_variables_as_in_a_real_pod(store: Store) -> None:
    env = _env(store, {})

    assert sum("KUBERNETES" in f"{name}={value}" for name, value in env.items()) == 8
    assert env["KUBERNETES_PORT_443_TCP"] == "tcp://10.96.0.1:443"
    assert env["KUBERNETES_SERVICE_PORT_HTTPS"] == "443"


def test_services_of_the_namespace_have_variables_unless_switched_off(store: Store) -> None:
    spec = {"clusterIP": "10.96.7.7", "ports": [{"port": 80, "name": "web"}]}
    store.create(SERVICES, _named("my-db", spec=spec))

    linked, unlinked = _env(store, {}), _env(store, {}, enableServiceLinks=False)

    assert linked["MY_DB_SERVICE_HOST"] == "10.96.7.7"
    assert linked["MY_DB_SERVICE_PORT_WEB"] == "80"
    assert "MY_DB_SERVICE_HOST" not in unlinked


def test_command_and_args_know_all_variables(store: Store) -> None:
    env = _env(store, {"env": [{"name": "A", "value": "a"}]})

    assert expanded(["$(A)-x", "$(NOPE)"], env) == ("a-x", "$(NOPE)")


def test_volumes_hold_what_their_sources_say(store: Store) -> None:
    pod = _pod(
        {
            "volumeMounts": [
                {"name": "cm", "mountPath": "/cm"},
                {"name": "picked", "mountPath": "/picked/one", "subPath": "one"},
                {"name": "all", "mountPath": "/all"},
                {"name": "scratch", "mountPath": "/scratch"},
                {"name": "host", "mountPath": "/host", "readOnly": True},
            ]
        },
        serviceAccountName="runner",
        volumes=[
            {"name": "cm", "configMap": {"name": "settings"}},
            {
                "name": "picked",
                "secret": {
                    "secretName": "hidden",
                    "items": [{"key": "password", "path": "one", "mode": 256}],
                },
            },
            {
                "name": "all",
                "projected": {
                    "sources": [
                        {"serviceAccountToken": {"path": "token"}},
                        {"configMap": {"name": "kube-root-ca.crt", "optional": True}},
                        {
                            "downwardAPI": {
                                "items": [
                                    {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
                                    {"path": "ns", "fieldRef": {"fieldPath": "metadata.namespace"}},
                                ]
                            }
                        },
                    ]
                },
            },
            {"name": "scratch", "emptyDir": {"medium": "Memory"}},
            {"name": "host", "hostPath": {"path": "/data"}},
        ],
    )

    volumes = pod_volumes(pod, store, SURROUNDINGS, lambda namespace, account: f"{namespace}/{account}")
    mounts = {mount.path: mount for mount in container_mounts(pod["spec"]["containers"][0], volumes, {})}

    assert {file.path: file.data for file in mounts["/cm"].files} == {"a": b"1", "b": b"2", "c": b"\x00\xff"}
    (secret,) = mounts["/picked/one"].files
    assert (secret.path, secret.data, secret.mode, mounts["/picked/one"].sub_path) == (
        "one",
        b"hush",
        256,
        "one",
    )
    projected = {file.path: file.data for file in mounts["/all"].files}
    assert projected["token"] == b"default/runner"
    assert projected["ns"] == b"default"
    assert projected["labels"] == b'app="say \\"hi\\""\nz="1"'
    assert (mounts["/scratch"].kind, mounts["/scratch"].read_only) == ("emptyDir", False)
    assert (mounts["/host"].kind, mounts["/host"].source, mounts["/host"].read_only) == (
        "hostPath",
        "/data",
        True,
    )


BROKEN_VOLUMES = {
    "secret": ({"secret": {"secretName": "nope"}}, 'secret "nope" not found'),
    "config map": ({"configMap": {"name": "nope"}}, 'configmap "nope" not found'),
    "key": (
        {"configMap": {"name": "settings", "items": [{"key": "k", "path": "k"}]}},
        "references non-existent config key: k",
    ),
    "claim": (
        {"persistentVolumeClaim": {"claimName": "nope"}},
        'persistentvolumeclaim "nope" not found',
    ),
}


@pytest.mark.parametrize(("volume", "message"), BROKEN_VOLUMES.values(), ids=BROKEN_VOLUMES)
def test_a_volume_that_cannot_be_set_up_names_the_reason(
    store: Store, volume: dict[str, Any], message: str
) -> None:
    pod = _pod({}, volumes=[{"name": "v", **volume}])

    with pytest.raises(VolumeError) as raised:
        pod_volumes(pod, store, SURROUNDINGS, lambda namespace, account: "")

    assert str(raised.value) == f'MountVolume.SetUp failed for volume "v" : {message}'
