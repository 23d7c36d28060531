from __future__ import annotations

import copy
from typing import Any

import pytest

from airflow_spark_k8s.core.executor_pod import driver_url, executor_name, executor_pod
from airflow_spark_k8s.exceptions import InvalidTemplate

DRIVER = {"driver_name": "pi-0a1b2c3d4e-r0-x7k2p", "driver_uid": "uid-1", "driver_ip": "10.1.2.3"}


def manifest(*env: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": "spark", **metadata},
        "spec": {
            "containers": [
                {
                    "name": "sidecar",
                    "image": "proxy",
                    "env": [{"name": "SPARK_EXECUTOR_ID", "value": "mine"}],
                },
                {"name": "spark-kubernetes-executor", "image": "spark", "env": list(env)},
            ]
        },
    }


def env_of(pod: dict[str, Any]) -> dict[str, Any]:
    return {variable["name"]: variable.get("value") for variable in pod["spec"]["containers"][1]["env"]}


def test_the_pod_is_named_after_driver_and_id() -> None:
    pod = executor_pod(manifest(generateName="x-"), **DRIVER, executor_id=7)
    assert (
        pod["metadata"]["name"] == "pi-0a1b2c3d4e-r0-x7k2p-exec-7" == executor_name(DRIVER["driver_name"], 7)
    )
    assert "generateName" not in pod["metadata"]
    assert pod["metadata"]["namespace"] == "spark"


def test_sparks_driver_finds_the_pod_by_its_labels() -> None:
    pod = executor_pod(manifest(labels={"team": "a", "spark-exec-id": "99"}), **DRIVER, executor_id=7)
    assert pod["metadata"]["labels"] == {
        "team": "a",
        "spark-app-selector": "pi-0a1b2c3d4e-r0-x7k2p",
        "spark-role": "executor",
        "spark-exec-id": "7",
        "spark-exec-resourceprofile-id": "0",
    }


def test_the_driver_pod_owns_it_and_nothing_else_does() -> None:
    pod = executor_pod(manifest(ownerReferences=[{"uid": "other"}]), **DRIVER, executor_id=1)
    assert pod["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": "pi-0a1b2c3d4e-r0-x7k2p",
            "uid": "uid-1",
            "controller": True,
        }
    ]


def test_the_executor_knows_itself_and_its_driver() -> None:
    pod = executor_pod(manifest({"name": "SPARK_EXECUTOR_ID", "value": "EXECID"}), **DRIVER, executor_id=7)
    assert env_of(pod) == {
        "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@10.1.2.3:7078",
        "SPARK_DRIVER_POD_IP": "10.1.2.3",
        "SPARK_EXECUTOR_ID": "7",
        "SPARK_APPLICATION_ID": "pi-0a1b2c3d4e-r0-x7k2p",
    }


def test_other_containers_keep_their_variables() -> None:
    pod = executor_pod(manifest(), **DRIVER, executor_id=7)
    assert pod["spec"]["containers"][0] == manifest()["spec"]["containers"][0]


def test_variables_of_one_pod_come_first_so_that_others_can_refer_to_them() -> None:
    pod = executor_pod(
        manifest({"name": "LOG_NAME", "value": "$(SPARK_EXECUTOR_ID).log"}), **DRIVER, executor_id=7
    )
    assert [v["name"] for v in pod["spec"]["containers"][1]["env"]][-1] == "LOG_NAME"


@pytest.mark.parametrize(
    ("ip", "url"),
    [
        pytest.param("10.0.0.1", "spark://CoarseGrainedScheduler@10.0.0.1:7078", id="IPv4 as it is"),
        pytest.param("fd00::1", "spark://CoarseGrainedScheduler@[fd00::1]:7078", id="IPv6 in brackets"),
    ],
)
def test_driver_url(ip: str, url: str) -> None:
    assert driver_url(ip) == url


def test_placeholders_are_filled_in_java_options_only() -> None:
    text = "-Dlog={{APP_ID}}-{{EXECUTOR_ID}}.log"
    reference = {"name": "SPARK_JAVA_OPT_001", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    given = manifest(
        {"name": "SPARK_JAVA_OPT_000", "value": text}, reference, {"name": "OTHER", "value": text}
    )
    pod = executor_pod(given, **DRIVER, executor_id=12)
    assert env_of(pod)["SPARK_JAVA_OPT_000"] == "-Dlog=pi-0a1b2c3d4e-r0-x7k2p-12.log"
    assert env_of(pod)["OTHER"] == text
    assert reference in pod["spec"]["containers"][1]["env"]


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        pytest.param(None, "4", id="the rendered cores stay"),
        pytest.param(1, "1", id="another number of cores replaces them"),
    ],
)
def test_cores(cores: int | None, expected: str) -> None:
    given = manifest({"name": "SPARK_EXECUTOR_CORES", "value": "4"})
    pod = executor_pod(given, **DRIVER, executor_id=1, cores=cores)
    assert env_of(pod)["SPARK_EXECUTOR_CORES"] == expected


def test_the_given_manifest_is_not_changed() -> None:
    given = manifest({"name": "SPARK_EXECUTOR_CORES", "value": "4"}, labels={"a": "b"})
    before = copy.deepcopy(given)
    pod = executor_pod(given, **DRIVER, executor_id=1, cores=2)
    pod["spec"]["containers"][0]["env"].append("changed")
    pod["metadata"]["labels"]["changed"] = "yes"
    assert given == before


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"containers": [{"name": "main"}]}, id="no container of Spark's name"),
        pytest.param({}, id="no containers"),
    ],
)
def test_without_a_spark_container_it_is_no_executor(spec: dict[str, Any]) -> None:
    with pytest.raises(InvalidTemplate, match="one container must be named spark-kubernetes-executor"):
        executor_pod({"spec": spec}, **DRIVER, executor_id=1)


def test_claims_named_by_executor_are_its_own() -> None:
    given = manifest()
    given["spec"]["volumes"] = [
        {"name": "own", "persistentVolumeClaim": {"claimName": "data-SPARK_EXECUTOR_ID"}},
        {"name": "shared", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "scratch", "emptyDir": {}},
    ]
    pod = executor_pod(given, **DRIVER, executor_id=7)
    assert [
        volume.get("persistentVolumeClaim", {}).get("claimName") for volume in pod["spec"]["volumes"]
    ] == [
        "data-7",
        "data",
        None,
    ]
    assert given["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == "data-SPARK_EXECUTOR_ID"


def test_executor_directories_name_application_and_executor() -> None:
    directories = {"name": "SPARK_EXECUTOR_DIRS", "value": "/data/SPARK_APPLICATION_ID/SPARK_EXECUTOR_ID"}
    other = {"name": "OTHER", "value": "SPARK_EXECUTOR_ID"}
    env = env_of(executor_pod(manifest(directories, other), **DRIVER, executor_id=7))
    assert env["SPARK_EXECUTOR_DIRS"] == "/data/pi-0a1b2c3d4e-r0-x7k2p/7"
    assert env["OTHER"] == "SPARK_EXECUTOR_ID"
