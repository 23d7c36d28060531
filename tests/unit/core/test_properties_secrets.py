"""Secrets and ConfigMaps that the user keeps in the namespace, in driver and executor containers."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_spark_k8s.core.conf import Conf
from airflow_spark_k8s.core.properties_volumes import mounts_of
from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.spec import PodShape, SecretKeyRef
from airflow_spark_k8s.exceptions import InvalidConfiguration

ROLES = ("driver", "executor")
VARIABLES = {"driver": "spark.kubernetes.driverEnv.", "executor": "spark.executorEnv."}
HADOOP = "spark.kubernetes.hadoop.configMapName"
KRB5 = "spark.kubernetes.kerberos.krb5.configMapName"


def shape(role: str, conf: dict[str, str]) -> PodShape:
    request = ApplicationRequest(application="local:///app.py", image="apache/spark:4.3.0", conf=conf)
    application = resolve(request)
    return application.driver if role == "driver" else application.executor


def refused(role: str, conf: dict[str, str]) -> InvalidConfiguration:
    with pytest.raises(InvalidConfiguration) as caught:
        shape(role, conf)
    return caught.value


@pytest.mark.parametrize("role", ROLES)
class TestSecretsAsDirectories:
    def test_the_volume_is_named_after_the_secret(self, role: str) -> None:
        found = shape(role, {f"spark.kubernetes.{role}.secrets.db": "/etc/db"})
        assert found.volumes == ({"name": "db-volume", "secret": {"secretName": "db"}},)
        assert found.volume_mounts == ({"name": "db-volume", "mountPath": "/etc/db"},)

    def test_one_without_a_path_is_none(self, role: str) -> None:
        assert shape(role, {f"spark.kubernetes.{role}.secrets.db": ""}).volumes == ()

    @pytest.mark.parametrize(
        ("secret", "path"),
        [
            pytest.param("Not_OK", "/etc/db", id="no name of a Secret"),
            pytest.param("db.prod", "/etc/db", id="a name with dots makes no volume"),
            pytest.param("d" * 60, "/etc/db", id="a name that is too long for a volume"),
            pytest.param("db", "etc/db", id="a relative path"),
        ],
    )
    def test_what_cannot_be_mounted_is_refused(self, role: str, secret: str, path: str) -> None:
        name = f"spark.kubernetes.{role}.secrets.{secret}"
        assert refused(role, {name: path}).field == name

    def test_a_volume_must_not_have_the_name_of_a_secrets(self, role: str) -> None:
        volume = f"spark.kubernetes.{role}.volumes.emptyDir.db-volume.mount.path"
        conf = {f"spark.kubernetes.{role}.secrets.db": "/etc/db", volume: "/data"}
        error = refused(role, conf)
        assert error.field == volume
        assert f"spark.kubernetes.{role}.secrets.db makes a volume 'db-volume'" in error.remedy


@pytest.mark.parametrize("role", ROLES)
class TestSecretsAsVariables:
    def test_secret_and_key(self, role: str) -> None:
        name = f"spark.kubernetes.{role}.secretKeyRef.DB_PASSWORD"
        assert shape(role, {name: "db:password.txt"}).secret_key_refs == (
            SecretKeyRef("DB_PASSWORD", "db", "password.txt"),
        )

    def test_one_without_a_secret_is_none(self, role: str) -> None:
        assert shape(role, {f"spark.kubernetes.{role}.secretKeyRef.X": " "}).secret_key_refs == ()

    @pytest.mark.parametrize("value", ["db", "db:", ":password", "db:a:b", "Not_OK:x", "db:..", "db:a b"])
    def test_what_names_no_key_of_a_secret_is_refused(self, role: str, value: str) -> None:
        name = f"spark.kubernetes.{role}.secretKeyRef.X"
        error = refused(role, {name: value})
        assert error.field == name
        assert error.value == "***"

    @pytest.mark.parametrize("variable", ["1X", "SPARK_JAVA_OPT_1", "SPARK_SUBMIT_OPTS", "SPARK_LOCAL_DIRS"])
    def test_variables_that_are_not_free_are_refused(self, role: str, variable: str) -> None:
        name = f"spark.kubernetes.{role}.secretKeyRef.{variable}"
        assert refused(role, {name: "a:b"}).field == name

    def test_a_variable_has_one_source(self, role: str) -> None:
        name = f"spark.kubernetes.{role}.secretKeyRef.X"
        error = refused(role, {name: "a:b", VARIABLES[role] + "X": "c"})
        assert error.field == name
        assert VARIABLES[role] + "X" in error.remedy


@pytest.mark.parametrize("role", ROLES)
class TestHadoop:
    def test_its_files_are_where_spark_looks(self, role: str) -> None:
        found = shape(role, {HADOOP: "hadoop"})
        assert found.volumes == ({"name": "hadoop-properties", "configMap": {"name": "hadoop"}},)
        assert found.volume_mounts == ({"name": "hadoop-properties", "mountPath": "/opt/hadoop/conf"},)
        assert found.env == {"HADOOP_CONF_DIR": "/opt/hadoop/conf"}

    def test_without_them_there_is_no_variable(self, role: str) -> None:
        assert shape(role, {}).env == {}

    def test_an_impossible_name_is_refused(self, role: str) -> None:
        assert refused(role, {HADOOP: "Not_OK"}).field == HADOOP

    @pytest.mark.parametrize("kind", ["value", "reference"])
    def test_another_directory_is_refused(self, role: str, kind: str) -> None:
        prefix = VARIABLES[role] if kind == "value" else f"spark.kubernetes.{role}.secretKeyRef."
        error = refused(role, {HADOOP: "hadoop", prefix + "HADOOP_CONF_DIR": "a:b"})
        assert error.field == HADOOP
        assert prefix + "HADOOP_CONF_DIR" in error.remedy


def test_only_the_driver_has_the_configuration_of_kerberos() -> None:
    place: dict[str, Any] = {"mountPath": "/etc/krb5.conf", "subPath": "krb5.conf"}
    driver, executor = (shape(role, {KRB5: "krb5"}) for role in ROLES)
    assert driver.volumes == ({"name": "krb5-file", "configMap": {"name": "krb5"}},)
    assert driver.volume_mounts == ({"name": "krb5-file", **place},)
    assert (executor.volumes, executor.env, driver.env) == ((), {}, {})


def test_all_kinds_go_together_in_sparks_order() -> None:
    conf = {
        HADOOP: "hadoop",
        KRB5: "krb5",
        "spark.kubernetes.driver.volumes.emptyDir.data.mount.path": "/data",
        "spark.kubernetes.driver.secrets.db": "/etc/db",
    }
    points = mounts_of(Conf.merged(conf, {}), "driver", (4, 3, 0))
    assert [point.volume["name"] for point in points] == [
        "db-volume",
        "data",
        "hadoop-properties",
        "krb5-file",
    ]
