"""The table of properties: every row does what it says, and what Spark knows is in it."""

from __future__ import annotations

from collections import Counter

import pytest

from airflow_spark_k8s.core.conf import Conf
from airflow_spark_k8s.core.properties import check_properties, passed_properties, rule_of
from airflow_spark_k8s.core.properties_rules import Rule, Treatment
from airflow_spark_k8s.core.properties_table import RULES
from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.exceptions import InvalidConfiguration, UnsupportedProperty

IMAGE = "apache/spark:4.3.0"

HONOURED = {
    "spark.app.name": "other",
    "spark.authenticate": "false",
    "spark.decommission.enabled": "true",
    "spark.driver.cores": "3",
    "spark.driver.defaultJavaOptions": "-Da=b",
    "spark.driver.extraJavaOptions": "-Da=b",
    "spark.driver.memory": "3g",
    "spark.driver.memoryOverhead": "3g",
    "spark.driver.memoryOverheadFactor": "0.9",
    "spark.driver.minMemoryOverhead": "3g",
    "spark.driver.resource.": "1",
    "spark.executor.cores": "3",
    "spark.executor.defaultJavaOptions": "-Da=b",
    "spark.executor.extraClassPath": "/x",
    "spark.executor.extraJavaOptions": "-Da=b",
    "spark.executor.extraLibraryPath": "/x",
    "spark.executor.instances": "7",
    "spark.executor.memory": "3g",
    "spark.executor.memoryOverhead": "3g",
    "spark.executor.memoryOverheadBursty.enabled": "true",
    "spark.executor.memoryOverheadBursty.factor": "1.2",
    "spark.executor.memoryOverheadFactor": "0.9",
    "spark.executor.minMemoryOverhead": "3g",
    "spark.executor.pyspark.memory": "3g",
    "spark.executor.resource.": "1",
    "spark.executorEnv.": "x",
    "spark.kubernetes.allocation.batch.delay": "7s",
    "spark.kubernetes.allocation.batch.size": "7",
    "spark.kubernetes.allocation.executor.timeout": "7h",
    "spark.kubernetes.allocation.maxPendingPods": "7",
    "spark.kubernetes.allocation.maxPendingPodsPerRp": "7",
    "spark.kubernetes.allocation.recoveryMode.enabled": "true",
    "spark.kubernetes.authenticate.driver.serviceAccountName": "spark",
    "spark.kubernetes.authenticate.executor.serviceAccountName": "spark",
    "spark.kubernetes.authenticate.serviceAccountName": "spark",
    "spark.kubernetes.container.image": "other/spark:4.3.0",
    "spark.kubernetes.container.image.pullPolicy": "Never",
    "spark.kubernetes.container.image.pullSecrets": "registry",
    "spark.kubernetes.decommission.script": "/x",
    "spark.kubernetes.driver.annotation.": "x",
    "spark.kubernetes.driver.container.image": "other/spark:4.3.0",
    "spark.kubernetes.driver.label.": "x",
    "spark.kubernetes.driver.limit.cores": "7",
    "spark.kubernetes.driver.node.selector.": "x",
    "spark.kubernetes.driver.request.cores": "100m",
    "spark.kubernetes.driver.scheduler.name": "other",
    "spark.kubernetes.driver.secretKeyRef.": "secret:key",
    "spark.kubernetes.driver.secrets.": "/x",
    "spark.kubernetes.driver.volumes.": "/x",
    "spark.kubernetes.driverEnv.": "x",
    "spark.kubernetes.executor.annotation.": "x",
    "spark.kubernetes.executor.container.image": "other/spark:4.3.0",
    "spark.kubernetes.executor.label.": "x",
    "spark.kubernetes.executor.limit.cores": "7",
    "spark.kubernetes.executor.node.selector.": "x",
    "spark.kubernetes.executor.request.cores": "100m",
    "spark.kubernetes.executor.scheduler.name": "other",
    "spark.kubernetes.executor.secretKeyRef.": "secret:key",
    "spark.kubernetes.executor.secrets.": "/x",
    "spark.kubernetes.executor.terminationGracePeriodSeconds": "7",
    "spark.kubernetes.executor.volumes.": "/x",
    "spark.kubernetes.hadoop.configMapName": "hadoop",
    "spark.kubernetes.kerberos.krb5.configMapName": "krb5",
    "spark.kubernetes.legacy.useReadWriteOnceAccessMode": "true",
    "spark.kubernetes.local.dirs.tmpfs": "true",
    "spark.kubernetes.memoryOverheadFactor": "0.9",
    "spark.kubernetes.namespace": "other",
    "spark.kubernetes.node.selector.": "x",
    "spark.kubernetes.scheduler.name": "other",
    "spark.local.dir": "/x",
    "spark.memory.offHeap.enabled": "true",
    "spark.memory.offHeap.size": "7g",
    "spark.network.crypto.enabled": "true",
    "spark.task.cpus": "2",
    "spark.task.maxFailures": "8",
    "spark.task.resource.": "1",
}
"""For every property that is honoured, a value other than its default."""

ON_DEMAND = "spark.kubernetes.executor.volumes.persistentVolumeClaim.x."

ALWAYS = {
    "spark.driver.resource.": {
        "spark.driver.resource.gpu.vendor": "nvidia.com",
        "spark.driver.resource.gpu.discoveryScript": "/x",
        "spark.driver.resource.gpu.amount": "2",
    },
    "spark.executor.resource.": {
        "spark.executor.resource.gpu.vendor": "nvidia.com",
        "spark.executor.resource.gpu.discoveryScript": "/x",
        "spark.executor.resource.gpu.amount": "2",
    },
    "spark.kubernetes.legacy.useReadWriteOnceAccessMode": {
        ON_DEMAND + "mount.path": "/x",
        ON_DEMAND + "options.claimName": "OnDemand",
        ON_DEMAND + "options.storageClass": "fast",
        ON_DEMAND + "options.sizeLimit": "1Gi",
    },
    "spark.task.resource.": {
        "spark.executor.resource.gpu.vendor": "nvidia.com",
        "spark.executor.resource.gpu.discoveryScript": "/x",
        "spark.executor.resource.gpu.amount": "2",
    },
    "spark.executor.memoryOverheadBursty.enabled": {
        "spark.executor.memoryOverheadBursty.enabled": "false",
        "spark.executor.memoryOverheadBursty.factor": "1.2",
    },
    "spark.executor.memoryOverheadBursty.factor": {
        "spark.executor.memoryOverheadBursty.enabled": "true",
        "spark.executor.memoryOverheadBursty.factor": "1.1",
    },
    "spark.memory.offHeap.enabled": {"spark.memory.offHeap.size": "1g"},
}


def names(treatment: Treatment) -> list[str]:
    return [rule.name for rule in RULES if rule.treatment is treatment]


def written(name: str) -> str:
    if name.endswith(".resource."):
        return name + "gpu.amount"
    if name.endswith(".volumes."):
        return name + "emptyDir.x.mount.path"
    if name.endswith(".secrets."):
        return name + "something"
    return name + "SOMETHING" if name.endswith(".") else name


def request(conf: dict[str, str]) -> ApplicationRequest:
    return ApplicationRequest(application="local:///app.py", default_image=IMAGE, conf=conf)


def test_no_property_has_two_rules() -> None:
    assert [name for name, count in Counter(rule.name for rule in RULES).items() if count > 1] == []


def test_the_examples_below_are_complete() -> None:
    assert sorted(HONOURED) == sorted(names(Treatment.HONOURED))


@pytest.mark.parametrize("name", names(Treatment.HONOURED))
def test_what_is_honoured_changes_the_application(name: str) -> None:
    also = ALWAYS.get(name, {})
    assert resolve(request({**also, written(name): HONOURED[name]})) != resolve(request(also))


@pytest.mark.parametrize("name", names(Treatment.PASSED))
def test_what_is_passed_reaches_the_driver_unchanged(name: str) -> None:
    assert resolve(request({name: "some value"})).properties[name] == "some value"


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.remedy], ids=lambda rule: rule.name)
def test_what_is_fixed_or_refused_is_an_error_that_names_it_and_a_way_out(rule: Rule) -> None:
    name = written(rule.name)
    with pytest.raises(InvalidConfiguration) as caught:
        check_properties(Conf.merged({name: "some value"}, {}))
    assert caught.value.field == name
    assert caught.value.remedy == rule.remedy
    assert isinstance(caught.value, UnsupportedProperty) is (rule.treatment is Treatment.REFUSED)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.accepted], ids=lambda rule: rule.name)
def test_a_value_that_means_what_happens_anyway_is_accepted(rule: Rule) -> None:
    conf = Conf.merged({written(rule.name): rule.accepted[0].upper()}, {})
    check_properties(conf)
    assert passed_properties(conf) == {}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_only_rules_that_refuse_something_say_what_to_do(rule: Rule) -> None:
    assert bool(rule.remedy) is (rule.treatment in (Treatment.FIXED, Treatment.REFUSED))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_what_is_honoured_says_what_it_changes_and_where_spark_does_it(rule: Rule) -> None:
    assert bool(rule.effect) is (rule.treatment is Treatment.HONOURED)
    assert rule.source or rule.treatment is not Treatment.HONOURED


@pytest.mark.parametrize(
    ("name", "treatment"),
    [
        pytest.param("spark.sql.shuffle.partitions", Treatment.PASSED, id="Spark's own business"),
        pytest.param("spark.hadoop.fs.s3a.endpoint", Treatment.PASSED, id="Hadoop's"),
        pytest.param("spark.kubernetes.executor.labels.team", Treatment.REFUSED, id="a slip of the pen"),
        pytest.param("spark.kubernetes.future", Treatment.REFUSED, id="unknown to this package"),
        pytest.param("spark.kubernetes.executor.volumes.nfs.x.mount.path", Treatment.HONOURED, id="volumes"),
        pytest.param("spark.executor.resource.gpu.amount", Treatment.HONOURED, id="GPU"),
        pytest.param("spark.kubernetes.kerberos.tokenSecret.name", Treatment.REFUSED, id="Kerberos tokens"),
        pytest.param(
            "spark.kubernetes.authenticate.driver.serviceAccountName",
            Treatment.HONOURED,
            id="its own rule before that of its prefix",
        ),
        pytest.param(
            "spark.kubernetes.authenticate.driver.oauthToken", Treatment.REFUSED, id="the rest of the prefix"
        ),
    ],
)
def test_the_most_specific_rule_counts(name: str, treatment: Treatment) -> None:
    assert rule_of(name).treatment is treatment


def test_a_refused_secret_is_not_shown() -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        check_properties(Conf.merged({"spark.authenticate.secret": "hunter2"}, {}))
    assert "hunter2" not in str(caught.value)


def test_a_refused_property_of_the_connection_says_where_it_is_from() -> None:
    with pytest.raises(UnsupportedProperty, match=r"podTemplateFile \(from the connection\)"):
        check_properties(Conf.merged({}, {"spark.kubernetes.driver.podTemplateFile": "/x"}))
