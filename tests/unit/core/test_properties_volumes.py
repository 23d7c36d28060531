"""Volumes by property: Spark's meaning, and one clear error for what cannot work."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_spark_k8s.core.conf import Conf
from airflow_spark_k8s.core.properties_volumes import mounts_of
from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.exceptions import InvalidConfiguration

ROLES = ("driver", "executor")
SPARK = (4, 3, 0)
LEGACY = "spark.kubernetes.legacy.useReadWriteOnceAccessMode"


def conf_of(role: str, volume: str, given: dict[str, str]) -> dict[str, str]:
    return {f"spark.kubernetes.{role}.volumes.{volume}.{key}": value for key, value in given.items()}


def mounted(
    role: str, conf: dict[str, str], spark_version: tuple[int, int, int] = SPARK
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    points = mounts_of(Conf.merged(conf, {}), role, spark_version)
    return [(point.volume, point.mount) for point in points]


def refused(role: str, conf: dict[str, str]) -> InvalidConfiguration:
    with pytest.raises(InvalidConfiguration) as caught:
        mounts_of(Conf.merged(conf, {}), role, SPARK)
    return caught.value


PATH = {"mount.path": "/data"}
HOST = {**PATH, "options.path": "/mnt"}
ON_DEMAND = {
    **PATH,
    "options.claimName": "OnDemand",
    "options.storageClass": "fast",
    "options.sizeLimit": "100Gi",
}


@pytest.mark.parametrize("role", ROLES)
class TestTypes:
    @pytest.mark.parametrize(
        ("kind", "given", "source"),
        [
            pytest.param(
                "hostPath",
                {"options.path": "/mnt/disk"},
                {"hostPath": {"path": "/mnt/disk"}},
                id="a path of the node that is not checked",
            ),
            pytest.param(
                "hostPath",
                {"options.path": "/mnt", "options.type": "DirectoryOrCreate"},
                {"hostPath": {"path": "/mnt", "type": "DirectoryOrCreate"}},
                id="a path of the node that is made if need be",
            ),
            pytest.param("emptyDir", {}, {"emptyDir": {}}, id="a directory of the node's disk"),
            pytest.param(
                "emptyDir",
                {"options.medium": "Memory", "options.sizeLimit": "2Gi"},
                {"emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}},
                id="a directory in memory, of limited size",
            ),
            pytest.param(
                "emptyDir",
                {"options.medium": "HugePages-2Mi"},
                {"emptyDir": {"medium": "HugePages-2Mi"}},
                id="huge pages",
            ),
            pytest.param(
                "nfs",
                {"options.server": "nfs.example.com", "options.path": "/export"},
                {"nfs": {"server": "nfs.example.com", "path": "/export"}},
                id="a directory of an NFS server",
            ),
            pytest.param(
                "persistentVolumeClaim",
                {"options.claimName": "data"},
                {"persistentVolumeClaim": {"claimName": "data"}},
                id="a claim that is there",
            ),
            pytest.param(
                "persistentVolumeClaim",
                {"options.claimName": "data", "mount.readOnly": "true"},
                {"persistentVolumeClaim": {"claimName": "data", "readOnly": True}},
                id="a claim that is only read",
            ),
        ],
    )
    def test_the_volume_is_sparks(
        self, role: str, kind: str, given: dict[str, str], source: dict[str, Any]
    ) -> None:
        [(volume, mount)] = mounted(role, conf_of(role, f"{kind}.data", {**PATH, **given}))
        assert volume == {"name": "data", **source}
        assert (mount["name"], mount["mountPath"]) == ("data", "/data")

    def test_a_claim_on_demand_is_made_with_the_pod(self, role: str) -> None:
        given = {**ON_DEMAND, "label.team": "a", "annotation.example.com/note": "any text"}
        [(volume, _)] = mounted(role, conf_of(role, "persistentVolumeClaim.data", given))
        assert volume == {
            "name": "data",
            "ephemeral": {
                "volumeClaimTemplate": {
                    "metadata": {"labels": {"team": "a"}, "annotations": {"example.com/note": "any text"}},
                    "spec": {
                        "storageClassName": "fast",
                        "accessModes": ["ReadWriteOncePod"],
                        "resources": {"requests": {"storage": "100Gi"}},
                    },
                }
            },
        }

    @pytest.mark.parametrize(
        ("spark_version", "legacy", "mode"),
        [
            pytest.param((4, 3, 0), None, "ReadWriteOncePod", id="as Spark 4 does"),
            pytest.param((3, 5, 9), None, "ReadWriteOnce", id="as Spark 3 does"),
            pytest.param((4, 3, 0), "true", "ReadWriteOnce", id="as asked for, the old way"),
            pytest.param((3, 5, 9), "false", "ReadWriteOncePod", id="as asked for, the new way"),
        ],
    )
    def test_the_access_mode_of_a_claim_on_demand(
        self, role: str, spark_version: tuple[int, int, int], legacy: str | None, mode: str
    ) -> None:
        conf = conf_of(role, "persistentVolumeClaim.data", ON_DEMAND)
        conf |= {} if legacy is None else {LEGACY: legacy}
        [(volume, _)] = mounted(role, conf, spark_version)
        claim = volume["ephemeral"]["volumeClaimTemplate"]
        assert claim["spec"]["accessModes"] == [mode]
        assert claim["metadata"] == {}

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            pytest.param({}, {}, id="the whole volume, to read and to write"),
            pytest.param({"mount.readOnly": "TRUE"}, {"readOnly": True}, id="only to read"),
            pytest.param({"mount.readOnly": "false"}, {}, id="not only to read"),
            pytest.param({"mount.subPath": "a/b"}, {"subPath": "a/b"}, id="a directory of it"),
            pytest.param(
                {"mount.subPathExpr": "$(SPARK_EXECUTOR_ID)", "mount.subPath": ""},
                {"subPathExpr": "$(SPARK_EXECUTOR_ID)"},
                id="a directory that a variable names",
            ),
        ],
    )
    def test_the_mount_is_sparks(self, role: str, given: dict[str, str], expected: dict[str, Any]) -> None:
        [(_, mount)] = mounted(role, conf_of(role, "hostPath.data", {**HOST, **given}))
        assert mount == {"name": "data", "mountPath": "/data", **expected}

    def test_the_other_roles_volumes_do_not_count(self, role: str) -> None:
        other = "executor" if role == "driver" else "driver"
        assert mounted(role, conf_of(other, "hostPath.data", HOST)) == []

    def test_a_volume_with_empty_properties_only_is_none(self, role: str) -> None:
        connection = conf_of(role, "hostPath.data", HOST)
        task = dict.fromkeys(connection, "")
        assert mounts_of(Conf.merged(task, connection), role, SPARK) == ()

    @pytest.mark.parametrize(
        ("volume", "given", "wrong"),
        [
            pytest.param("csi.data", PATH, "mount.path", id="a type that Spark does not know"),
            pytest.param("hostPath.data", {**HOST, "options.size": "1"}, "options.size", id="unknown option"),
            pytest.param("hostPath.data", {**HOST, "label.a": "b"}, "label.a", id="labels only for claims"),
            pytest.param("hostPath.data", {**HOST, "mount.path": ""}, "mount.path", id="no mount path"),
            pytest.param("hostPath.data", {**HOST, "mount.path": "data"}, "mount.path", id="relative path"),
            pytest.param("hostPath.data", {**HOST, "mount.path": "/a:b"}, "mount.path", id="a colon"),
            pytest.param("hostPath.data", {**HOST, "mount.path": "/a/../b"}, "mount.path", id="two dots"),
            pytest.param("hostPath.data", {**HOST, "mount.path": "//."}, "mount.path", id="the root"),
            pytest.param(
                "hostPath.data",
                {**HOST, "mount.path": "/opt/airflow-spark-k8s/conf"},
                "mount.path",
                id="over our own files",
            ),
            pytest.param("hostPath.data", {**HOST, "mount.readOnly": "yes"}, "mount.readOnly", id="no flag"),
            pytest.param("hostPath.data", {**HOST, "mount.subPath": "/a"}, "mount.subPath", id="sub path"),
            pytest.param(
                "hostPath.data",
                {**HOST, "mount.subPathExpr": "a/../b"},
                "mount.subPathExpr",
                id="sub path out of the volume",
            ),
            pytest.param(
                "hostPath.data",
                {**HOST, "mount.subPath": "a", "mount.subPathExpr": "b"},
                "mount.subPathExpr",
                id="two sub paths",
            ),
            pytest.param("hostPath.data", PATH, "options.path", id="hostPath without a path"),
            pytest.param(
                "hostPath.data", {**PATH, "options.path": "mnt"}, "options.path", id="relative hostPath"
            ),
            pytest.param(
                "hostPath.data",
                {**HOST, "options.type": "Folder"},
                "options.type",
                id="unknown hostPath type",
            ),
            pytest.param(
                "emptyDir.data", {**PATH, "options.medium": "Disk"}, "options.medium", id="unknown medium"
            ),
            pytest.param(
                "emptyDir.data", {**PATH, "options.sizeLimit": "10"}, "options.sizeLimit", id="no unit"
            ),
            pytest.param(
                "emptyDir.data", {**PATH, "options.sizeLimit": "1g"}, "options.sizeLimit", id="Spark's unit"
            ),
            pytest.param(
                "nfs.data", {**PATH, "options.path": "/export"}, "options.server", id="nfs without a server"
            ),
            pytest.param(
                "nfs.data", {**PATH, "options.server": "x"}, "options.path", id="nfs without a path"
            ),
            pytest.param(
                "nfs.data",
                {**PATH, "options.server": "x", "options.path": "y"},
                "options.path",
                id="nfs with a relative path",
            ),
            pytest.param("persistentVolumeClaim.data", PATH, "options.claimName", id="claim without a name"),
            pytest.param(
                "persistentVolumeClaim.data",
                {**PATH, "options.claimName": "on-demand?"},
                "options.claimName",
                id="impossible name of a claim",
            ),
            pytest.param(
                "persistentVolumeClaim.data",
                {**ON_DEMAND, "options.storageClass": ""},
                "options.storageClass",
                id="on demand without a class",
            ),
            pytest.param(
                "persistentVolumeClaim.data",
                {**ON_DEMAND, "options.storageClass": "Not OK"},
                "options.storageClass",
                id="impossible class",
            ),
            pytest.param(
                "persistentVolumeClaim.data",
                {**ON_DEMAND, "options.sizeLimit": ""},
                "options.sizeLimit",
                id="on demand without a size",
            ),
            pytest.param(
                "persistentVolumeClaim.data",
                {**ON_DEMAND, "options.claimName": "data"},
                "options.storageClass",
                id="a class for a claim that is there",
            ),
            pytest.param(
                "persistentVolumeClaim.data",
                {**PATH, "options.claimName": "data", "annotation.a": ""},
                "annotation.a",
                id="an annotation for a claim that is there",
            ),
            pytest.param(
                "persistentVolumeClaim.data",
                {**ON_DEMAND, "label.a%b": "c"},
                "label.a%b",
                id="impossible key",
            ),
            pytest.param(
                "persistentVolumeClaim.data",
                {**ON_DEMAND, "label.a": "b c"},
                "label.a",
                id="impossible label",
            ),
            pytest.param(
                "persistentVolumeClaim.data",
                {**ON_DEMAND, "label.spark-role": "x"},
                "label.spark-role",
                id="Spark's label",
            ),
            pytest.param(
                "persistentVolumeClaim.data",
                {**ON_DEMAND, "annotation.airflow-spark-k8s/try": "7"},
                "annotation.airflow-spark-k8s/try",
                id="our annotation",
            ),
            pytest.param("hostPath.Data", HOST, "mount.path", id="impossible name of a volume"),
            pytest.param(
                "hostPath.airflow-spark-k8s-conf", HOST, "mount.path", id="the name of a volume of ours"
            ),
            pytest.param(
                "hostPath.spark-local-dir-1",
                {**HOST, "mount.readOnly": "true"},
                "mount.readOnly",
                id="scratch data that cannot be written",
            ),
        ],
    )
    def test_what_cannot_work_is_refused_by_name(
        self, role: str, volume: str, given: dict[str, str], wrong: str
    ) -> None:
        error = refused(role, conf_of(role, volume, given))
        assert error.field == f"spark.kubernetes.{role}.volumes.{volume}.{wrong}"

    def test_two_volumes_of_one_name_are_refused(self, role: str) -> None:
        conf = conf_of(role, "hostPath.data", HOST) | conf_of(
            role, "emptyDir.data", {"mount.path": "/elsewhere"}
        )
        assert "volumes.hostPath.data.mount.path makes a volume 'data'" in refused(role, conf).remedy

    def test_two_volumes_at_one_place_are_refused(self, role: str) -> None:
        conf = conf_of(role, "hostPath.one", HOST) | conf_of(role, "emptyDir.two", {"mount.path": "/data/"})
        error = refused(role, conf)
        assert error.field == f"spark.kubernetes.{role}.volumes.emptyDir.two.mount.path"
        assert "volumes.hostPath.one.mount.path mounts at the same place, '/data'" in error.remedy

    def test_a_property_without_volume_is_refused(self, role: str) -> None:
        name = f"spark.kubernetes.{role}.volumes.hostPath.data"
        assert refused(role, {name: "/data"}).field == name


def test_an_executors_claim_may_be_named_by_its_id() -> None:
    given = {**PATH, "options.claimName": "data-SPARK_EXECUTOR_ID"}
    [(volume, _)] = mounted("executor", conf_of("executor", "persistentVolumeClaim.data", given))
    assert volume["persistentVolumeClaim"] == {"claimName": "data-SPARK_EXECUTOR_ID"}
    error = refused("driver", conf_of("driver", "persistentVolumeClaim.data", given))
    assert error.field.endswith("options.claimName")


@pytest.mark.parametrize(
    ("role", "variable"),
    [
        ("driver", "spark.kubernetes.driverEnv.SPARK_LOCAL_DIRS"),
        ("executor", "spark.executorEnv.SPARK_LOCAL_DIRS"),
    ],
)
def test_scratch_directories_are_said_in_one_place(role: str, variable: str) -> None:
    conf = conf_of(role, "hostPath.spark-local-dir-1", HOST)
    assert mounted(role, conf)[0][0]["name"] == "spark-local-dir-1"
    assert variable in refused(role, {**conf, variable: "/scratch"}).remedy


def test_a_volume_of_the_connection_is_named_as_such() -> None:
    connection = conf_of("executor", "hostPath.data", {**HOST, "mount.path": "data"})
    with pytest.raises(InvalidConfiguration, match=r"mount\.path \(from the connection\)='data'"):
        mounts_of(Conf.merged({}, connection), "executor", SPARK)


def test_volumes_reach_the_pods_and_not_the_drivers_properties() -> None:
    conf = conf_of("driver", "hostPath.in", HOST) | conf_of("executor", "emptyDir.out", PATH)
    request = ApplicationRequest(application="local:///app.py", image="apache/spark:4.3.0", conf=conf)
    application = resolve(request)
    assert [volume["name"] for volume in application.driver.volumes] == ["in"]
    assert [mount["name"] for mount in application.executor.volume_mounts] == ["out"]
    assert not [name for name in application.properties if ".volumes." in name]


@pytest.mark.parametrize(("given", "in_memory"), [(None, False), ("false", False), ("true", True)])
def test_scratch_directories_may_be_in_memory(given: str | None, in_memory: bool) -> None:
    conf = {} if given is None else {"spark.kubernetes.local.dirs.tmpfs": given}
    request = ApplicationRequest(application="local:///app.py", image="apache/spark:4.3.0", conf=conf)
    application = resolve(request)
    assert application.driver.local_dirs_in_memory is in_memory
    assert application.executor.local_dirs_in_memory is in_memory
