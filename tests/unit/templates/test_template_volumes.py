"""Volumes, Secrets and devices of the conf, in the rendered pods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.spec import Manifests
from airflow_spark_k8s.exceptions import InvalidConfiguration

Render = Callable[..., Manifests]
ROLES = ("driver", "executor")


def conf_of(role: str, volume: str, given: dict[str, str]) -> dict[str, str]:
    return {f"spark.kubernetes.{role}.volumes.{volume}.{key}": value for key, value in given.items()}


def spec_of(role: str, manifests: Manifests) -> dict[str, Any]:
    pod = manifests.executor if role == "executor" else manifests.job["spec"]["template"]
    spec: dict[str, Any] = pod["spec"]
    return spec


@pytest.fixture(name="pod")
def pod_fixture(rendered: Render) -> Callable[..., dict[str, Any]]:
    def pod(role: str, conf: dict[str, str], **templates: Any) -> dict[str, Any]:
        request = ApplicationRequest(application="local:///app.py", image="apache/spark:4.3.0", conf=conf)
        return spec_of(role, rendered(resolve(request), **templates))

    return pod


Pod = Callable[..., dict[str, Any]]


def volumes_of(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {volume["name"]: volume for volume in spec["volumes"]}


def mounts_of(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {mount["name"]: mount for mount in spec["containers"][0]["volumeMounts"]}


def env_of(spec: dict[str, Any]) -> dict[str, Any]:
    return {v["name"]: v.get("value", v.get("valueFrom")) for v in spec["containers"][0]["env"]}


@pytest.mark.parametrize("role", ROLES)
class TestEachRole:
    def test_volumes_stand_beside_scratch_data(self, role: str, pod: Pod) -> None:
        conf = conf_of(
            role, "nfs.data", {"mount.path": "/data", "options.server": "nfs", "options.path": "/export"}
        )
        spec = pod(role, {**conf, f"spark.kubernetes.{role}.secrets.db": "/etc/db"})
        assert volumes_of(spec)["data"] == {"name": "data", "nfs": {"server": "nfs", "path": "/export"}}
        assert volumes_of(spec)["spark-local-dir-1"] == {"name": "spark-local-dir-1", "emptyDir": {}}
        assert mounts_of(spec)["data"] == {"name": "data", "mountPath": "/data"}
        assert mounts_of(spec)["db-volume"] == {"name": "db-volume", "mountPath": "/etc/db"}

    def test_volumes_for_scratch_data_take_the_place_of_ours(self, role: str, pod: Pod) -> None:
        first = conf_of(role, "emptyDir.spark-local-dir-a", {"mount.path": "/one"})
        second = conf_of(
            role, "hostPath.spark-local-dir-b", {"mount.path": "/two", "options.path": "/mnt/disk"}
        )
        spec = pod(role, {**first, **second, "spark.local.dir": "/elsewhere"})
        scratch = [name for name in volumes_of(spec) if name.startswith("spark-local-dir-")]
        assert scratch == ["spark-local-dir-a", "spark-local-dir-b"]
        assert env_of(spec)["SPARK_LOCAL_DIRS"] == "/one,/two"

    def test_scratch_data_in_memory(self, role: str, pod: Pod) -> None:
        spec = pod(role, {"spark.kubernetes.local.dirs.tmpfs": "true"})
        assert volumes_of(spec)["spark-local-dir-1"]["emptyDir"] == {"medium": "Memory"}

    @pytest.mark.parametrize(
        ("path", "conf"),
        [
            pytest.param("/scratch/", {"spark.local.dir": "/scratch"}, id="where the conf has scratch data"),
            pytest.param("/var/data/spark-local-dir", {}, id="where scratch data is by default"),
        ],
    )
    def test_no_other_volume_can_be_there(self, role: str, path: str, conf: dict[str, str], pod: Pod) -> None:
        volume = conf_of(role, "emptyDir.data", {"mount.path": path})
        with pytest.raises(InvalidConfiguration, match=r"spark\.local\.dir=.*spark-local-dir-1"):
            pod(role, {**conf, **volume})

    def test_a_claim_on_demand_carries_the_applications_labels(self, role: str, pod: Pod) -> None:
        given = {
            "mount.path": "/data",
            "options.claimName": "OnDemand",
            "options.storageClass": "fast",
            "options.sizeLimit": "1Gi",
            "label.team": "a",
        }
        spec = pod(role, conf_of(role, "persistentVolumeClaim.data", given))
        claim = volumes_of(spec)["data"]["ephemeral"]["volumeClaimTemplate"]
        assert claim["metadata"]["labels"]["team"] == "a"
        assert claim["metadata"]["labels"]["airflow-spark-k8s/application"].startswith("reports-daily")

    def test_a_variable_from_a_secret(self, role: str, pod: Pod) -> None:
        spec = pod(role, {f"spark.kubernetes.{role}.secretKeyRef.PASSWORD": "db:password"})
        assert env_of(spec)["PASSWORD"] == {"secretKeyRef": {"name": "db", "key": "password"}}

    def test_hadoops_configuration_is_found(self, role: str, pod: Pod) -> None:
        spec = pod(role, {"spark.kubernetes.hadoop.configMapName": "hadoop"})
        assert mounts_of(spec)["hadoop-properties"]["mountPath"] == env_of(spec)["HADOOP_CONF_DIR"]

    def test_devices_are_limits(self, role: str, pod: Pod) -> None:
        given = {"amount": "2", "vendor": "nvidia.com", "discoveryScript": "/x"}
        conf = {f"spark.{role}.resource.gpu.{key}": value for key, value in given.items()}
        resources = pod(role, conf)["containers"][0]["resources"]
        assert resources["limits"]["nvidia.com/gpu"] == "2"
        assert "nvidia.com/gpu" not in resources["requests"]

    def test_a_template_may_leave_out_what_the_conf_mounts(self, role: str, pod: Pod) -> None:
        container = f"spark-kubernetes-{role}"
        spec = {
            "volumes": [{"name": "data", "$patch": "delete"}],
            "containers": [{"name": container, "volumeMounts": [{"mountPath": "/data", "$patch": "delete"}]}],
        }
        patch = {"spec": {"template": {"spec": spec}}} if role == "driver" else {"spec": spec}
        conf = conf_of(role, "emptyDir.data", {"mount.path": "/data"})
        assert "data" in volumes_of(pod(role, conf))
        assert "data" not in volumes_of(pod(role, conf, **{f"{role}_template": patch}))


def test_a_variable_that_must_be_ours_is_refused_by_its_property(pod: Pod) -> None:
    name = "spark.kubernetes.executor.secretKeyRef.SPARK_EXECUTOR_ID"
    with pytest.raises(InvalidConfiguration) as caught:
        pod("executor", {name: "a:b"})
    assert caught.value.field == name
