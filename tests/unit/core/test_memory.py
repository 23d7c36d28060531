from __future__ import annotations

import pytest

from airflow_spark_k8s.core.conf import Conf
from airflow_spark_k8s.core.memory import driver_memory, executor_memory
from airflow_spark_k8s.core.spec import MemorySum
from airflow_spark_k8s.exceptions import InvalidConfiguration

SPARK_3_5 = (3, 5, 9)
SPARK_4_3 = (4, 3, 0)


def of_executor(
    properties: dict[str, str], *, version: tuple[int, int, int] = SPARK_4_3, language: str = "scala"
) -> MemorySum:
    conf = Conf.merged(properties, {})
    return executor_memory(conf, version, non_jvm=language != "scala", is_python=language == "python")


def of_driver(
    properties: dict[str, str], *, version: tuple[int, int, int] = SPARK_4_3, python: bool = False
) -> MemorySum:
    return driver_memory(Conf.merged(properties, {}), version, non_jvm=python)


@pytest.mark.parametrize(
    ("heap", "jvm_total", "python_total"),
    [
        pytest.param("1g", 1408, 1433, id="1 GiB: the minimum of 384 MiB for the JVM"),
        pytest.param("4g", 4505, 5734, id="4 GiB: a tenth, or four tenths"),
        pytest.param("8g", 9011, 11468, id="8 GiB: the product is cut, not rounded"),
        pytest.param("16g", 18022, 22937, id="16 GiB"),
    ],
)
def test_executor_sums_are_those_of_spark(heap: str, jvm_total: int, python_total: int) -> None:
    assert of_executor({"spark.executor.memory": heap}).total_mib == jvm_total
    assert of_executor({"spark.executor.memory": heap}, language="python").total_mib == python_total


@pytest.mark.parametrize(
    ("properties", "overhead"),
    [
        pytest.param({}, 384, id="nothing set: the minimum"),
        pytest.param({"memory": "10g", "memoryOverhead": "100m"}, 100, id="set: taken as it is"),
        pytest.param({"memory": "10g", "memoryOverhead": "0"}, 0, id="set to nothing: nothing"),
        pytest.param({"memory": "10g", "memoryOverhead": ""}, 1024, id="set to no text: as if not set"),
        pytest.param({"memory": "10g", "memoryOverheadFactor": "0.2"}, 2048, id="the role's factor"),
        pytest.param({"memory": "10g", "minMemoryOverhead": "2g"}, 2048, id="a larger minimum"),
        pytest.param(
            {"memory": "10g", "memoryOverhead": "1g", "minMemoryOverhead": "2g"},
            1024,
            id="the minimum does not count beside a set overhead",
        ),
    ],
)
def test_overhead_follows_the_most_specific_property(properties: dict[str, str], overhead: int) -> None:
    executor = {f"spark.executor.{name}": value for name, value in properties.items()}
    driver = {f"spark.driver.{name}": value for name, value in properties.items()}
    assert of_executor(executor).overhead_mib == overhead
    assert of_driver(driver).overhead_mib == overhead


@pytest.mark.parametrize(
    ("properties", "overhead"),
    [
        pytest.param({}, 4096, id="four tenths without any factor"),
        pytest.param({"spark.kubernetes.memoryOverheadFactor": "0.1"}, 1024, id="the common factor wins"),
        pytest.param(
            {
                "spark.kubernetes.memoryOverheadFactor": "0.1",
                "spark.executor.memoryOverheadFactor": "0.3",
                "spark.driver.memoryOverheadFactor": "0.3",
            },
            3072,
            id="the role's factor wins over the common one",
        ),
    ],
)
def test_python_has_its_own_default_factor(properties: dict[str, str], overhead: int) -> None:
    executor = of_executor({"spark.executor.memory": "10g", **properties}, language="python")
    driver = of_driver({"spark.driver.memory": "10g", **properties}, python=True)
    assert (executor.overhead_mib, driver.overhead_mib) == (overhead, overhead)


def test_r_has_pythons_factor_but_not_its_memory_limit() -> None:
    memory = of_executor(
        {"spark.executor.memory": "10g", "spark.executor.pyspark.memory": "1g"}, language="R"
    )
    assert memory == MemorySum(heap_mib=10240, overhead_mib=4096)


def test_python_memory_counts_for_python_only() -> None:
    properties = {"spark.executor.pyspark.memory": "200m"}
    assert of_executor(properties, language="python").total_mib == 1024 + 409 + 200
    assert of_executor(properties).pyspark_mib == 0


def test_offheap_counts_when_enabled_in_bytes_by_default() -> None:
    size = {"spark.memory.offHeap.size": str(64 * 1024**2)}
    assert of_executor(size).offheap_mib == 0
    assert of_executor({**size, "spark.memory.offHeap.enabled": "true"}).total_mib == 1024 + 384 + 64


def test_offheap_is_no_part_of_the_driver() -> None:
    properties = {"spark.memory.offHeap.enabled": "true", "spark.memory.offHeap.size": "1g"}
    assert of_driver(properties).total_mib == 1408


def test_the_driver_has_its_own_heap() -> None:
    assert of_driver({"spark.driver.memory": "2g", "spark.executor.memory": "8g"}).heap_mib == 2048


@pytest.mark.parametrize(
    ("properties", "named"),
    [
        pytest.param({"spark.executor.memory": "lots"}, "spark.executor.memory", id="no size"),
        pytest.param({"spark.executor.memory": "0"}, "spark.executor.memory", id="no heap"),
        pytest.param({"spark.executor.memoryOverhead": "1.5g"}, "spark.executor.memoryOverhead", id="1.5g"),
        pytest.param(
            {"spark.executor.memoryOverheadFactor": "0"}, "spark.executor.memoryOverheadFactor", id="factor 0"
        ),
        pytest.param(
            {"spark.kubernetes.memoryOverheadFactor": "-1"},
            "spark.kubernetes.memoryOverheadFactor",
            id="a negative factor",
        ),
        pytest.param(
            {"spark.memory.offHeap.enabled": "true"}, "spark.memory.offHeap.size", id="off-heap of no size"
        ),
    ],
)
def test_impossible_memory_is_refused_by_name(properties: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        of_executor(properties)
    assert caught.value.field == named


@pytest.mark.parametrize(
    "size",
    [
        pytest.param("449m", id="a MiB too small"),
        pytest.param("4", id="meant as GiB: a plain number is MiB"),
        pytest.param("400000k", id="in another unit"),
    ],
)
def test_a_heap_that_no_spark_starts_with_is_refused(size: str) -> None:
    with pytest.raises(InvalidConfiguration, match="below 450 MiB Spark does not start") as caught:
        of_executor({"spark.executor.memory": size})
    assert caught.value.field == "spark.executor.memory"
    with pytest.raises(InvalidConfiguration, match="a number without a unit counts MiB") as caught:
        of_driver({"spark.driver.memory": size})
    assert caught.value.field == "spark.driver.memory"


def test_the_smallest_heap_is_what_spark_takes() -> None:
    assert of_executor({"spark.executor.memory": "450m"}).heap_mib == 450
    assert of_driver({"spark.driver.memory": "450"}).heap_mib == 450


@pytest.mark.parametrize("name", ["spark.testing", "spark.testing.reservedMemory"])
def test_sparks_own_switch_for_tests_allows_any_heap(name: str) -> None:
    assert of_executor({"spark.executor.memory": "64m", name: "1"}).heap_mib == 64


def test_the_minimum_overhead_is_refused_before_spark_4() -> None:
    properties = {"spark.driver.minMemoryOverhead": "1g", "spark.driver.memory": "2g"}
    assert of_driver(properties).overhead_mib == 1024
    with pytest.raises(InvalidConfiguration, match=r"since 4\.0; before, set spark\.driver\.memoryOverhead"):
        of_driver(properties, version=SPARK_3_5)
    assert of_driver({}, version=SPARK_3_5).overhead_mib == 384
