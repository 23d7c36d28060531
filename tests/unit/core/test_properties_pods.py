"""What driver and executor pods look like under given properties."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.spec import Application, PodShape
from airflow_spark_k8s.exceptions import InvalidConfiguration

ROLES = ("driver", "executor")


def resolved(conf: dict[str, str], **changes: Any) -> Application:
    image = "apache/spark:4.3.0"
    return resolve(ApplicationRequest(application="local:///app.py", image=image, conf=conf, **changes))


def shape(role: str, conf: dict[str, str], **changes: Any) -> PodShape:
    application = resolved(conf, **changes)
    return application.driver if role == "driver" else application.executor


def refused(conf: dict[str, str], **changes: Any) -> InvalidConfiguration:
    with pytest.raises(InvalidConfiguration) as caught:
        resolved(conf, **changes)
    return caught.value


@pytest.mark.parametrize("role", ROLES)
class TestEachRole:
    @pytest.mark.parametrize(
        ("cores", "request_cores", "limit_cores", "expected"),
        [
            pytest.param("2", None, None, ("2", None), id="the cores are requested, nothing limits them"),
            pytest.param("2", "500m", None, ("500m", None), id="less is requested than used"),
            pytest.param("2", "0.5", "1.5", ("500m", "1500m"), id="and a limit"),
            pytest.param("2", None, "2", ("2", "2"), id="a limit as high as the request"),
        ],
    )
    def test_cpu(
        self,
        role: str,
        cores: str,
        request_cores: str | None,
        limit_cores: str | None,
        expected: tuple[str, str | None],
    ) -> None:
        given = {
            f"spark.{role}.cores": cores,
            f"spark.kubernetes.{role}.request.cores": request_cores,
            f"spark.kubernetes.{role}.limit.cores": limit_cores,
        }
        found = shape(role, {name: value for name, value in given.items() if value is not None})
        assert (found.cpu_request_quantity, found.cpu_limit_quantity) == expected
        assert found.cores == 2

    def test_labels_annotations_and_node_selectors(self, role: str) -> None:
        found = shape(
            role,
            {
                f"spark.kubernetes.{role}.label.example.com/team": "data",
                f"spark.kubernetes.{role}.annotation.note": "any text: {{ with secret }}",
                "spark.kubernetes.node.selector.disk": "hdd",
                "spark.kubernetes.node.selector.zone": "a",
                f"spark.kubernetes.{role}.node.selector.disk": "ssd",
            },
        )
        assert found.labels == {"example.com/team": "data"}
        assert found.annotations == {"note": "any text: {{ with secret }}"}
        assert found.node_selector == {"disk": "ssd", "zone": "a"}

    def test_the_other_roles_properties_do_not_count(self, role: str) -> None:
        other = "executor" if role == "driver" else "driver"
        found = shape(role, {f"spark.kubernetes.{other}.label.team": "data", f"spark.{other}.cores": "8"})
        assert (found.labels, found.cores) == ({}, 1)

    def test_the_image_is_pulled_as_spark_pulls_it(self, role: str) -> None:
        assert shape(role, {}).image_pull_policy == "IfNotPresent"
        found = shape(
            role,
            {
                "spark.kubernetes.container.image.pullPolicy": "Always",
                "spark.kubernetes.container.image.pullSecrets": "one, two,",
            },
        )
        assert (found.image_pull_policy, found.image_pull_secrets) == ("Always", ("one", "two"))

    def test_the_roles_scheduler_counts_before_the_common_one(self, role: str) -> None:
        common = {"spark.kubernetes.scheduler.name": "common"}
        assert shape(role, {}).scheduler_name is None
        assert shape(role, common).scheduler_name == "common"
        own = {f"spark.kubernetes.{role}.scheduler.name": "own"}
        assert shape(role, {**common, **own}).scheduler_name == "own"

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("spark.{}.cores", "0"),
            ("spark.{}.cores", "1.5"),
            ("spark.kubernetes.{}.request.cores", "much"),
            ("spark.kubernetes.{}.limit.cores", "500m"),
            ("spark.kubernetes.{}.label.no label", "x"),
            ("spark.kubernetes.{}.label.-", "x"),
            ("spark.kubernetes.{}.label.team", "no label value"),
            ("spark.kubernetes.{}.label.spark-role", "x"),
            ("spark.kubernetes.{}.label.airflow-spark-k8s/try", "7"),
            ("spark.kubernetes.{}.annotation.airflow-spark-k8s/outcome", "x"),
            ("spark.kubernetes.{}.annotation.link", "https://host/{{{{APP_ID}}}}"),
            ("spark.kubernetes.{}.node.selector.", "x"),
            ("spark.kubernetes.{}.node.selector.zone", "a b"),
            ("spark.kubernetes.{}.scheduler.name", "no scheduler"),
        ],
    )
    def test_impossible_values_are_refused_by_name(self, role: str, name: str, value: str) -> None:
        error = refused({name.format(role): value.format()})
        assert error.field in (name.format(role), "conf")

    def test_annotations_have_a_largest_size(self, role: str) -> None:
        prefix = f"spark.kubernetes.{role}.annotation."
        assert shape(role, {prefix + "a": "x" * 200_000}).annotations["a"]
        assert refused({prefix + "a": "x" * 200_000, prefix + "b": "é" * 40_000}).field == prefix + "*"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spark.kubernetes.container.image.pullPolicy", "Sometimes"),
        ("spark.kubernetes.container.image.pullSecrets", "ok,Not_OK"),
        ("spark.kubernetes.authenticate.driver.serviceAccountName", "Not_OK"),
        ("spark.kubernetes.executor.terminationGracePeriodSeconds", "long"),
    ],
)
def test_impossible_values_are_refused_by_name(name: str, value: str) -> None:
    assert refused({name: value}).field == name


def test_the_executors_grace_period_is_sparks() -> None:
    grace = "spark.kubernetes.executor.terminationGracePeriodSeconds"
    assert shape("executor", {}).termination_grace_period_seconds == 30
    assert shape("executor", {grace: "2min"}).termination_grace_period_seconds == 120
    assert shape("driver", {grace: "2min"}).termination_grace_period_seconds == 30


DRIVER_ACCOUNT = "spark.kubernetes.authenticate.driver.serviceAccountName"
EXECUTOR_ACCOUNT = "spark.kubernetes.authenticate.executor.serviceAccountName"
COMMON_ACCOUNT = "spark.kubernetes.authenticate.serviceAccountName"


@pytest.mark.parametrize(
    ("conf", "changes", "accounts"),
    [
        pytest.param({}, {}, (None, None), id="the namespace's default"),
        pytest.param({DRIVER_ACCOUNT: "d"}, {}, ("d", "d"), id="executors have the driver's"),
        pytest.param({DRIVER_ACCOUNT: "d", EXECUTOR_ACCOUNT: "e"}, {}, ("d", "e"), id="or one of their own"),
        pytest.param({COMMON_ACCOUNT: "c"}, {}, ("c", "c"), id="one for both"),
        pytest.param(
            {},
            {"default_driver_service_account": "d", "default_executor_service_account": "e"},
            ("d", "e"),
            id="the connection's",
        ),
        pytest.param(
            {DRIVER_ACCOUNT: "d"}, {"default_driver_service_account": "x"}, ("d", "d"), id="the task's first"
        ),
        pytest.param(
            {COMMON_ACCOUNT: "c"}, {"default_conf": {DRIVER_ACCOUNT: "x"}}, ("c", "c"), id="also if general"
        ),
        pytest.param(
            {},
            {"default_conf": {DRIVER_ACCOUNT: "d"}, "default_driver_service_account": "d"},
            ("d", "d"),
            id="the connection says it twice",
        ),
    ],
)
def test_service_accounts_by_precedence(
    conf: dict[str, str], changes: dict[str, Any], accounts: tuple[str | None, str | None]
) -> None:
    found = resolved(conf, **changes)
    assert (found.driver.service_account, found.executor.service_account) == accounts


def test_a_connection_that_contradicts_itself_is_refused() -> None:
    error = refused({}, default_conf={DRIVER_ACCOUNT: "d"}, default_driver_service_account="x")
    assert error.field == f"{DRIVER_ACCOUNT} (from the connection)"


def test_an_illegal_account_of_the_connection_is_refused() -> None:
    error = refused({}, default_executor_service_account="Not_OK")
    assert error.field == "executor_service_account (from the connection)"


@pytest.mark.parametrize(
    ("role", "prefix"), [("driver", "spark.kubernetes.driverEnv."), ("executor", "spark.executorEnv.")]
)
class TestEnvironment:
    def test_secret_values_are_kept_apart(self, role: str, prefix: str) -> None:
        found = shape(
            role, {prefix + "MODE": "fast", prefix + "DB_PASSWORD": "hunter2", prefix + "URL": "x?token=abc"}
        )
        assert found.env == {"MODE": "fast"}
        assert [(secret.name, secret.key, secret.value) for secret in found.secret_env] == [
            ("DB_PASSWORD", f"env-{role}-DB_PASSWORD", "hunter2"),
            ("URL", f"env-{role}-URL", "x?token=abc"),
        ]
        assert "hunter2" not in repr(found)

    @pytest.mark.parametrize("name", ["1A", "A=B", "", "Ä", "SPARK_JAVA_OPT_1"])
    def test_impossible_names_are_refused(self, role: str, prefix: str, name: str) -> None:
        assert refused({prefix + name: "x"}).field == prefix + name


@pytest.mark.parametrize("name", ["SPARK_SUBMIT_OPTS", "SPARK_CLASSPATH", "SPARK_EXECUTOR_LIBRARY_PATH"])
def test_variables_with_a_property_of_their_own_are_refused_on_executors(name: str) -> None:
    assert "use spark.executor." in refused({f"spark.executorEnv.{name}": "x"}).remedy


def test_options_of_spark_submit_are_kept_and_checked() -> None:
    name = "spark.kubernetes.driverEnv.SPARK_SUBMIT_OPTS"
    assert shape("driver", {name: "-Da=b"}).env == {"SPARK_SUBMIT_OPTS": "-Da=b"}
    assert refused({name: "-Dspark.executor.instances=4"}).field == name


def test_the_executors_environment_also_reaches_python_workers_through_the_driver() -> None:
    found = resolved({"spark.executorEnv.MODE": "fast", "spark.kubernetes.driverEnv.MODE": "slow"})
    assert found.properties["spark.executorEnv.MODE"] == "fast"
    assert not any("driverEnv" in name for name in found.properties)
