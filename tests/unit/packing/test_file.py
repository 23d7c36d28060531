from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_spark_k8s.core.spec import MemorySum
from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.packing.file import read_fleet
from airflow_spark_k8s.packing.model import FULL, Fleet, Range, Usage

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "packing.yaml"

NODE: dict[str, Any] = {"name": "big", "memory": "128Gi", "cpu": 16}
USAGE: dict[str, Any] = {"idle": 0.2, "peak": 0.9, "duty": 0.1}
APPLICATION: dict[str, Any] = {"name": "etl", "executors": 4, "heap": "8g", "usage": USAGE}
MISSING = object()


def read(tmp_path: Path, content: object) -> Fleet:
    file = tmp_path / "fleet.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return read_fleet(str(file))


def content(*, node: Any = None, application: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "nodes": [_without_missing({**NODE, **(node or {})})],
        "applications": [_without_missing({**APPLICATION, **(application or {})})],
        **more,
    }


def _without_missing(mapping: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if value is not MISSING}


def test_the_guides_example_can_be_read() -> None:
    fleet = read_fleet(str(GUIDE))
    nightly, reports, features = fleet.kinds
    assert fleet.executors == 40 * 20 + 60 * 5 + 5 * 10
    assert nightly.memory == MemorySum(16384, 4096)
    assert nightly.usage == Usage(Range(0.1, 0.3), Range(0.7, 1.0), 0.05, 0.8)
    assert reports.memory == MemorySum(6144, 1536)
    assert (features.memory, features.bursts, features.usage) == (MemorySum(8192, 3276), False, Usage())
    (node,) = fleet.node_types
    assert (node.memory_mib, node.millicores, node.max_pods, node.limit) == (122 * 1024, 15500, 110, None)


def test_what_is_not_said_has_its_default(tmp_path: Path) -> None:
    fleet = read(tmp_path, content())
    (kind,) = fleet.kinds
    assert (kind.count, kind.millicores, kind.bursts) == (1, 1000, True)
    assert kind.usage == Usage(Range(0.2, 0.2), Range(0.9, 0.9), 0.1, 1.0)
    assert fleet.bursting.min_guaranteed_ratio == Fraction(1, 10)
    assert fleet.bursting.offheap is False


@pytest.mark.parametrize(
    ("application", "memory"),
    [
        pytest.param({"overhead": "2g"}, MemorySum(8192, 2048), id="overhead"),
        pytest.param({"overhead_factor": 0.25}, MemorySum(8192, 2048), id="its factor"),
        pytest.param({"min_overhead": "4g"}, MemorySum(8192, 4096), id="its minimum"),
        pytest.param({"offheap": "4g"}, MemorySum(8192, 819, 4096), id="off-heap"),
        pytest.param({"python": True}, MemorySum(8192, 3276), id="Python"),
        pytest.param(
            {"python": True, "pyspark_memory": "1g"}, MemorySum(8192, 3276, 0, 1024), id="Python's limit"
        ),
    ],
)
def test_memory_is_summed_up_as_spark_does(
    application: dict[str, Any], memory: MemorySum, tmp_path: Path
) -> None:
    assert read(tmp_path, content(application=application)).kinds[0].memory == memory


def test_bursting_is_read(tmp_path: Path) -> None:
    bursting = {"min_guaranteed_ratio": 0.25, "burst_offheap": True, "min_guaranteed_offheap_ratio": 0.75}
    burst = read(tmp_path, content(bursting=bursting)).bursting
    assert (burst.min_guaranteed_ratio, burst.offheap, burst.min_guaranteed_offheap_ratio) == (
        Fraction(1, 4),
        True,
        Fraction(3, 4),
    )


def test_applications_arrive_in_turns(tmp_path: Path) -> None:
    three = {**APPLICATION, "name": "many", "count": 3}
    fleet = read(tmp_path, {"nodes": [NODE], "applications": [three, APPLICATION]})
    assert fleet.applications == (0, 1, 0, 0)
    assert read(tmp_path, content(node={"count": 7})).node_types[0].limit == 7
    assert read(tmp_path, content(node={"count": "unlimited"})).node_types[0].limit is None
    assert (
        read(tmp_path, content(application={"bursts": False, "usage": MISSING})).kinds[0].usage.idle == FULL
    )


@pytest.mark.parametrize(
    ("mistake", "place", "value", "told"),
    [
        pytest.param({"nodes": []}, "nodes", "[]", "at least one", id="no nodes"),
        pytest.param({"applications": MISSING}, "applications", "None", "list", id="no applications"),
        pytest.param({"pods": 3}, "pods", "3", "not known", id="an unknown part"),
        pytest.param({"nodes": ["big"]}, "nodes[0]", "'big'", "mapping", id="a name only"),
        pytest.param({"node": {"memory": 128}}, "nodes[0].memory", "128", "unit", id="memory: a number"),
        pytest.param({"node": {"memory": "128"}}, "nodes[0].memory", "'128'", "unit", id="memory: no unit"),
        pytest.param({"node": {"memory": "1x"}}, "nodes[0].memory", "'1x'", "quantity", id="memory: text"),
        pytest.param({"node": {"memory": MISSING}}, "nodes[0].memory", "None", "unit", id="no memory"),
        pytest.param({"node": {"cpu": True}}, "nodes[0].cpu", "True", "CPU", id="cpu: a boolean"),
        pytest.param({"node": {"cpu": 0}}, "nodes[0].cpu", "'0'", "more than zero", id="cpu: nothing"),
        pytest.param({"node": {"count": 0}}, "nodes[0].count", "0", "whole number", id="no node"),
        pytest.param({"node": {"count": "many"}}, "nodes[0].count", "'many'", "unlimited", id="many nodes"),
        pytest.param({"node": {"max_pods": 1.5}}, "nodes[0].max_pods", "1.5", "whole", id="half a pod"),
        pytest.param({"node": {"disk": "1Gi"}}, "nodes[0].disk", "'1Gi'", "not known", id="a disk"),
        pytest.param({"node": {"name": MISSING}}, "nodes[0].name", "None", "text", id="a node without name"),
        pytest.param(
            {"node": {"reserved": {"memory": "128Gi"}}},
            "nodes[0].reserved.memory",
            "'128Gi'",
            "nothing",
            id="all reserved",
        ),
        pytest.param({"node": {"reserved": 0}}, "nodes[0].reserved", "0", "mapping", id="reserved: 0"),
        pytest.param({"node": {"reserved": 6}}, "nodes[0].reserved", "6", "mapping", id="reserved: a number"),
        pytest.param(
            {"application": {"heap": 8192}}, "applications[0].heap", "8192", "unit", id="heap: a number"
        ),
        pytest.param(
            {"application": {"heap": "8"}}, "applications[0].heap", "'8'", "unit", id="heap: no unit"
        ),
        pytest.param(
            {"application": {"heap": MISSING}}, "applications[0].heap", "None", "unit", id="no heap"
        ),
        pytest.param({"application": {"heap": "0g"}}, "applications[0].heap", "'0g'", "1 MiB", id="heap: 0"),
        pytest.param(
            {"application": {"heap": "8z"}}, "applications[0].heap", "'8z'", "unknown unit", id="heap: unit"
        ),
        pytest.param(
            {"application": {"executors": MISSING}},
            "applications[0].executors",
            "None",
            "whole",
            id="no number of executors",
        ),
        pytest.param(
            {"application": {"executors": 200_000}},
            "applications",
            "200000",
            "100000",
            id="too many executors",
        ),
        pytest.param(
            {"application": {"executors": "4"}}, "applications[0].executors", "'4'", "whole", id="a text of 4"
        ),
        pytest.param(
            {"application": {"overhead_factor": "0.1"}},
            "applications[0].overhead_factor",
            "'0.1'",
            "number",
            id="a text of 0.1",
        ),
        pytest.param(
            {"application": {"overhead_factor": -1}},
            "applications[0].overhead_factor",
            "'-1'",
            "at least 0",
            id="a negative factor",
        ),
        pytest.param(
            {"application": {"overhead": "1g", "overhead_factor": 0.1}},
            "applications[0].overhead_factor",
            "0.1",
            "beside overhead",
            id="overhead twice",
        ),
        pytest.param(
            {"application": {"pyspark_memory": "1g"}},
            "applications[0].pyspark_memory",
            "'1g'",
            "python: true",
            id="no Python",
        ),
        pytest.param(
            {"application": {"python": "yes!"}},
            "applications[0].python",
            "'yes!'",
            "true or false",
            id="flag",
        ),
        pytest.param(
            {"application": {"usage": MISSING}},
            "applications[0].usage",
            "None",
            "bursts is false",
            id="no usage",
        ),
        pytest.param(
            {"application": {"usage": {**USAGE, "idle": 1.5}}},
            "applications[0].usage.idle",
            "1.5",
            "0 to 1",
            id="more than all",
        ),
        pytest.param(
            {"application": {"usage": {**USAGE, "idle": [0.1, 0.2, 0.3]}}},
            "applications[0].usage.idle",
            "[0.1, 0.2, 0.3]",
            "two of them",
            id="three bounds",
        ),
        pytest.param(
            {"application": {"usage": {**USAGE, "idle": [None, 0.2]}}},
            "applications[0].usage.idle",
            "[None, 0.2]",
            "two of them",
            id="one bound",
        ),
        pytest.param(
            {"application": {"usage": {**USAGE, "peak": [0.9, 0.8]}}},
            "applications[0].usage.peak",
            "[0.9, 0.8]",
            "first",
            id="bounds in the wrong order",
        ),
        pytest.param(
            {"application": {"usage": {**USAGE, "peak": 0.1}}},
            "applications[0].usage.peak",
            "0.1",
            "less than idle",
            id="a peak below idle",
        ),
        pytest.param(
            {"application": {"usage": {"idle": 0.1, "peak": 0.2}}},
            "applications[0].usage.duty",
            "None",
            "0 to 1",
            id="no duty cycle",
        ),
        pytest.param(
            {"application": {"usage": {**USAGE, "correlation": "high"}}},
            "applications[0].usage.correlation",
            "'high'",
            "number",
            id="a correlation in words",
        ),
        pytest.param(
            {"bursting": {"min_guaranteed_ratio": 2}},
            "bursting.min_guaranteed_ratio",
            "2",
            "0 to 1",
            id="a floor above all",
        ),
        pytest.param(
            {"application": {"heap": "200g"}},
            "applications[0].name",
            "'etl'",
            "more than any node",
            id="larger than any node",
        ),
    ],
)
def test_mistakes_are_told_with_file_place_and_value(
    mistake: dict[str, Any], place: str, value: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        read(tmp_path, _without_missing(content(**mistake)))
    assert str(caught.value).startswith(f"{tmp_path}/fleet.yaml: {place}={value}: ")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("nodes: [", "is not YAML in line", id="no YAML"),
        pytest.param("just words", "must be a mapping of nodes, applications, bursting", id="no mapping"),
        pytest.param("", "must be a mapping", id="nothing"),
    ],
)
def test_a_file_that_is_no_fleet_is_told(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match=told):
        read(tmp_path, text)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="cannot be read: No such file"):
        read_fleet(str(tmp_path / "absent.yaml"))
    (tmp_path / "latin.yaml").write_bytes(b"\xe4\xf6")
    with pytest.raises(InvalidConfiguration, match="not UTF-8"):
        read_fleet(str(tmp_path / "latin.yaml"))
