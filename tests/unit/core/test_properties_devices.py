"""GPUs and other devices: limits of containers, and what Spark's driver is told."""

from __future__ import annotations

import pytest

from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.spec import Application
from airflow_spark_k8s.exceptions import InvalidConfiguration

ROLES = ("driver", "executor")


def resolved(conf: dict[str, str]) -> Application:
    return resolve(ApplicationRequest(application="local:///app.py", image="apache/spark:4.3.0", conf=conf))


def devices(role: str, name: str = "gpu", **changes: str) -> dict[str, str]:
    given = {"amount": "2", "vendor": "nvidia.com", "discoveryScript": "/opt/gpus.sh", **changes}
    return {f"spark.{role}.resource.{name}.{key}": value for key, value in given.items()}


def limits(role: str, conf: dict[str, str]) -> dict[str, str]:
    application = resolved(conf)
    shape = application.driver if role == "driver" else application.executor
    return dict(shape.device_limits)


def refused(conf: dict[str, str]) -> InvalidConfiguration:
    with pytest.raises(InvalidConfiguration) as caught:
        resolved(conf)
    return caught.value


@pytest.mark.parametrize("role", ROLES)
class TestEachRole:
    def test_the_container_is_limited_to_them(self, role: str) -> None:
        conf = {**devices(role), **devices(role, "fpga", vendor="intel.com", amount="1")}
        assert limits(role, conf) == {"nvidia.com/gpu": "2", "intel.com/fpga": "1"}

    def test_the_other_role_gets_none(self, role: str) -> None:
        other = "executor" if role == "driver" else "driver"
        assert limits(role, devices(other)) == {}

    def test_the_driver_is_told(self, role: str) -> None:
        assert devices(role).items() <= resolved(devices(role)).properties.items()

    def test_none_of_them_needs_nothing_else(self, role: str) -> None:
        assert limits(role, {f"spark.{role}.resource.gpu.amount": "0"}) == {}

    def test_empty_properties_are_none(self, role: str) -> None:
        assert limits(role, devices(role, amount="", vendor="", discoveryScript="")) == {}

    def test_a_plugin_may_find_them_instead_of_a_script(self, role: str) -> None:
        conf = devices(role, discoveryScript="") | {"spark.resources.discoveryPlugin": "com.example.Finder"}
        assert limits(role, conf) == {"nvidia.com/gpu": "2"}

    @pytest.mark.parametrize(
        ("changes", "wrong"),
        [
            pytest.param({"amount": ""}, "amount", id="no amount"),
            pytest.param({"amount": "0.5"}, "amount", id="half a device"),
            pytest.param({"vendor": ""}, "vendor", id="no vendor"),
            pytest.param({"vendor": "NVIDIA"}, "vendor", id="no domain"),
            pytest.param({"discoveryScript": ""}, "discoveryScript", id="no script"),
            pytest.param({"discoveryScript": "local:///opt/gpus.sh"}, "discoveryScript", id="a URI"),
            pytest.param({"driver": "535"}, "driver", id="a setting that Spark does not know"),
        ],
    )
    def test_what_cannot_work_is_refused_by_name(
        self, role: str, changes: dict[str, str], wrong: str
    ) -> None:
        assert refused(devices(role, **changes)).field == f"spark.{role}.resource.gpu.{wrong}"

    def test_a_name_that_kubernetes_cannot_take_is_refused(self, role: str) -> None:
        assert refused(devices(role, "-gpu")).field == f"spark.{role}.resource.-gpu.vendor"

    @pytest.mark.parametrize("rest", ["gpu", ".amount"])
    def test_a_property_without_device_or_setting_is_refused(self, role: str, rest: str) -> None:
        error = refused({f"spark.{role}.resource.{rest}": "1"})
        assert f"spark.{role}.resource.gpu.amount" in error.remedy


def test_a_file_may_tell_the_driver_its_devices() -> None:
    conf = devices("driver", discoveryScript="") | {"spark.driver.resourcesFile": "/opt/devices.json"}
    assert limits("driver", conf) == {"nvidia.com/gpu": "2"}


TASK = "spark.task.resource.gpu.amount"


@pytest.mark.parametrize("amount", ["0", "0.25", "1", "2", "2.0"])
def test_a_task_may_need_what_an_executor_has(amount: str) -> None:
    assert resolved({**devices("executor"), TASK: amount}).properties[TASK] == amount


@pytest.mark.parametrize(
    ("conf", "wrong"),
    [
        pytest.param({**devices("executor"), TASK: "3"}, TASK, id="more than an executor has"),
        pytest.param({TASK: "1"}, TASK, id="executors have none"),
        pytest.param({**devices("executor", amount="9"), TASK: "1.5"}, TASK, id="one and a half"),
        pytest.param({**devices("executor"), TASK: "some"}, TASK, id="no number"),
        pytest.param(
            {**devices("executor"), "spark.task.resource.gpu.vendor": "nvidia.com"},
            "spark.task.resource.gpu.vendor",
            id="a setting that tasks do not have",
        ),
    ],
)
def test_what_no_task_can_get_is_refused(conf: dict[str, str], wrong: str) -> None:
    assert refused(conf).field == wrong
