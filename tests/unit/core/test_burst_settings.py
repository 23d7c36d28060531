"""Who decides on bursting, and what an application becomes of it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from airflow_spark_k8s.core.burst_settings import ENABLED, FACTOR
from airflow_spark_k8s.core.request import ApplicationRequest, Shaping
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.spec import Application, Burst
from airflow_spark_k8s.exceptions import InvalidConfiguration, UnsupportedProperty

OFFHEAP = {"spark.memory.offHeap.enabled": "true", "spark.memory.offHeap.size": "4g"}
METRICS = "spark.executor.processTreeMetrics.enabled"
POLLING = "spark.executor.metrics.pollingInterval"

ON = {ENABLED: "true"}
OFF = {ENABLED: "false"}


def by(factor: object) -> dict[str, str]:
    return {ENABLED: "true", FACTOR: str(factor)}


def resolved(
    argument: object = None,
    conf: dict[str, str] | None = None,
    extra: object = None,
    default_conf: dict[str, str] | None = None,
    *,
    arguments: dict[str, Any] | None = None,
    extras: dict[str, Any] | None = None,
) -> Application:
    return resolve(
        ApplicationRequest(
            application="local:///app.py",
            image="apache/spark:4.3.0",
            conf={"spark.executor.memory": "8g", **(conf or {})},
            default_conf=default_conf or {},
            shaping=Shaping(burst_factor=argument, **(arguments or {})),
            default_shaping=Shaping(burst_factor=extra, **(extras or {})),
        )
    )


def refused(*sources: Any, **changes: Any) -> InvalidConfiguration:
    with pytest.raises(InvalidConfiguration) as caught:
        resolved(*sources, **changes)
    return caught.value


def factor(*sources: Any) -> str | None:
    burst = resolved(*sources).burst
    return None if burst is None else str(float(burst.factor))


class TestWhoDecides:
    @pytest.mark.parametrize(
        ("sources", "found"),
        [
            pytest.param((), None, id="nobody: nothing bursts"),
            pytest.param((1.2,), "1.2", id="the argument alone"),
            pytest.param(("1.2",), "1.2", id="the argument as text"),
            pytest.param((1,), None, id="a factor of 1 is off"),
            pytest.param((None, by(1.2)), "1.2", id="the task's properties"),
            pytest.param((None, by(1)), None, id="the task's properties with a factor of 1"),
            pytest.param((None, {**by(1.2), **OFF}), None, id="the task's properties, turned off"),
            pytest.param((None, OFF), None, id="turned off and no factor"),
            pytest.param((None, {ENABLED: "", FACTOR: " "}), None, id="empty properties say nothing"),
            pytest.param((None, {}, 1.2), "1.2", id="the connection's extra"),
            pytest.param((None, {}, None, by(1.2)), "1.2", id="the connection's properties"),
            pytest.param((None, {}, None, {FACTOR: "1.2"}), None, id="a connection's factor waits for tasks"),
            pytest.param((None, {}, None, OFF), None, id="the connection turns off what nobody turned on"),
            pytest.param((1.3, {}, 1.2), "1.3", id="the argument before the extra"),
            pytest.param((1, {}, 1.2), None, id="the argument may turn the connection's off"),
            pytest.param(
                ("", {}, 1.2), "1.2", id="a template that renders nothing leaves it to the connection"
            ),
            pytest.param(
                (1.3, {}, None, by(1.2)), "1.3", id="the argument before the connection's properties"
            ),
            pytest.param((1.3, {}, None, OFF), "1.3", id="the argument before the connection's turning off"),
            pytest.param((None, by(1.3), 1.2), "1.3", id="the task's properties before the extra"),
            pytest.param((None, by(1.3), None, by(1.2)), "1.3", id="the task's properties before the others"),
            pytest.param((None, OFF, 1.2), None, id="the task's properties may turn the connection's off"),
            pytest.param((None, OFF, None, by(1.2)), None, id="and those of the connection's properties"),
            pytest.param((None, ON, 1.2), "1.2", id="turned on by the task, factor by the extra"),
            pytest.param((None, ON, None, {FACTOR: "1.2"}), "1.2", id="or by the connection's properties"),
            pytest.param(
                (None, {FACTOR: "1.3"}, None, by(1.2)),
                "1.3",
                id="turned on by the connection, factor by the task",
            ),
            pytest.param((1.2, by("1.20")), "1.2", id="argument and properties agree"),
            pytest.param((1.2, ON), "1.2", id="turned on, factor by the argument"),
            pytest.param((1, ON), None, id="turned on, with a factor of 1 by the argument"),
            pytest.param((1, {**by(1.2), **OFF}), None, id="both turn it off"),
            pytest.param((None, {}, 1.2, by(1.2)), "1.2", id="extra and the connection's properties agree"),
        ],
    )
    def test_argument_then_task_then_connection(self, sources: tuple[Any, ...], found: str | None) -> None:
        assert factor(*sources) == found

    @pytest.mark.parametrize(
        ("sources", "field", "told"),
        [
            pytest.param(
                (1.2, by(1.3)), FACTOR, "contradicts the operator's burst_factor=1.2", id="other factors"
            ),
            pytest.param(
                (1, by(1.3)), FACTOR, "contradicts the operator's burst_factor=1", id="off by the argument"
            ),
            pytest.param(
                (1.2, OFF), ENABLED, "contradicts the operator's burst_factor=1.2", id="off by the properties"
            ),
            pytest.param(
                (None, {}, 1.2, {FACTOR: "1.3"}),
                f"{FACTOR} (from the connection)",
                "contradicts the connection's burst_factor=1.2",
                id="the connection with itself",
            ),
            pytest.param(
                (1.5, {}, 1.2, OFF),
                f"{ENABLED} (from the connection)",
                "contradicts the connection's burst_factor=1.2",
                id="the connection with itself, though the argument decides",
            ),
            pytest.param((None, {FACTOR: "1.2"}), FACTOR, f"unless {ENABLED} is true", id="not turned on"),
            pytest.param(
                (1.2, {FACTOR: "1.2"}),
                FACTOR,
                f"unless {ENABLED} is true",
                id="not turned on, with an argument",
            ),
            pytest.param(
                (None, {FACTOR: "1.2"}, None, OFF), FACTOR, "has no effect", id="turned off by the connection"
            ),
            pytest.param((None, ON), ENABLED, f"set {FACTOR}=1.2 or burst_factor", id="on without a factor"),
            pytest.param(
                (None, {}, None, ON),
                f"{ENABLED} (from the connection)",
                "needs a factor",
                id="the same there",
            ),
            pytest.param((None, {ENABLED: "yes"}), ENABLED, "true or false", id="no boolean"),
            pytest.param((None, by("fast")), FACTOR, "a number of at least 1", id="no number"),
            pytest.param((None, by(0.9)), FACTOR, "at least 1", id="less than 1"),
            pytest.param(("NaN",), "burst_factor", "a number", id="no number, by the argument"),
            pytest.param(
                (None, {}, 0.9),
                "burst_factor (from the connection)",
                "at least 1",
                id="less than 1, by the extra",
            ),
            pytest.param(
                (1.2, {}, None, by("x")),
                f"{FACTOR} (from the connection)",
                "a number",
                id="no number, by the connection, though the argument decides",
            ),
        ],
    )
    def test_mistakes_are_refused_with_their_sources(
        self, sources: tuple[Any, ...], field: str, told: str
    ) -> None:
        error = refused(*sources)
        assert error.field == field
        assert told in error.remedy

    def test_who_gives_the_factor_gives_the_fraction(self) -> None:
        quarter = {"factor": 1.2, "fraction": 0.25}
        found = [
            resolved(quarter),
            resolved(quarter, by(1.2)),
            resolved(None, {}, quarter),
            resolved(None, ON, quarter),
            resolved(None, by(1.3), quarter),
            resolved(1.3, {}, quarter),
        ]
        fractions = [application.burst.fraction for application in found if application.burst]
        assert fractions == [Fraction(1, 4)] * 4 + [Fraction(1)] * 2

    @pytest.mark.parametrize(
        "name",
        [
            "spark.driver.memoryOverheadBursty.enabled",
            "spark.driver.memoryOverheadBursty.factor",
            "spark.executor.memoryOverheadBursty.ratio",
            "spark.executor.memoryOverheadBurstyFactor",
        ],
    )
    def test_other_properties_of_the_kind_are_refused(self, name: str) -> None:
        error = refused(None, {name: "1.2"})
        assert isinstance(error, UnsupportedProperty)
        assert error.field == name


class TestFloors:
    def test_defaults(self) -> None:
        assert resolved(1.2).burst == Burst(
            Fraction(6, 5), Fraction(1), Fraction(1, 10), False, Fraction(1, 2)
        )

    @pytest.mark.parametrize(
        ("arguments", "extras", "ratio"),
        [
            pytest.param({}, {"min_guaranteed_ratio": 0.3}, "0.3", id="the connection's"),
            pytest.param(
                {"min_guaranteed_ratio": "0"}, {"min_guaranteed_ratio": 0.3}, "0", id="the argument's"
            ),
            pytest.param({"min_guaranteed_ratio": ""}, {"min_guaranteed_ratio": 0.3}, "0.3", id="empty text"),
        ],
    )
    def test_the_argument_comes_first(
        self, arguments: dict[str, Any], extras: dict[str, Any], ratio: str
    ) -> None:
        burst = resolved(1.2, arguments=arguments, extras=extras).burst
        assert burst is not None
        assert burst.min_guaranteed_ratio == Fraction(ratio)

    def test_offheap_memory_bursts_on_demand(self) -> None:
        asked = {"burst_offheap": "True", "min_guaranteed_offheap_ratio": 0.25}
        found = resolved(1.2, OFFHEAP, arguments=asked)
        assert found.burst == Burst(Fraction(6, 5), offheap=True, min_guaranteed_offheap_ratio=Fraction(1, 4))
        # a fifth of 8192 + 3276 + 4096, rounded up as the guaranteed part is rounded down
        assert found.executor.shared_mib == 3113
        assert resolved(1.2, OFFHEAP).executor.shared_mib == 2294

    def test_the_connections_defaults_are_for_tasks_that_can_use_them(self) -> None:
        defaults = {"burst_offheap": True, "min_guaranteed_ratio": 0.2, "min_guaranteed_offheap_ratio": 0.3}
        assert resolved(None, extras=defaults).burst is None
        without = resolved(1.2, extras=defaults).burst
        assert without == Burst(
            Fraction(6, 5),
            min_guaranteed_ratio=Fraction(1, 5),
            min_guaranteed_offheap_ratio=Fraction(3, 10),
        )
        with_offheap = resolved(1.2, OFFHEAP, extras=defaults).burst
        assert with_offheap is not None
        assert with_offheap.offheap
        switched_off = resolved(1.2, OFFHEAP, arguments={"burst_offheap": False}, extras=defaults).burst
        assert switched_off is not None
        assert not switched_off.offheap

    @pytest.mark.parametrize(
        ("factor", "conf", "arguments", "extras", "field", "told"),
        [
            pytest.param(
                None,
                {},
                {"min_guaranteed_ratio": 0.2},
                {},
                "min_guaranteed_ratio",
                "set burst_factor",
                id="ratio",
            ),
            pytest.param(
                None, OFFHEAP, {"burst_offheap": True}, {}, "burst_offheap", "set burst_factor", id="off-heap"
            ),
            pytest.param(
                None,
                OFFHEAP,
                {"min_guaranteed_offheap_ratio": 0.2},
                {"burst_offheap": True},
                "min_guaranteed_offheap_ratio",
                "set burst_factor",
                id="off-heap ratio",
            ),
            pytest.param(
                1.2, {}, {"burst_offheap": True}, {}, "burst_offheap", "no off-heap memory", id="no off-heap"
            ),
            pytest.param(
                1.2,
                OFFHEAP,
                {"min_guaranteed_offheap_ratio": 0.2},
                {},
                "min_guaranteed_offheap_ratio",
                "unless burst_offheap is true",
                id="off-heap ratio without off-heap",
            ),
            pytest.param(
                1.2,
                {},
                {},
                {"min_guaranteed_ratio": 2},
                "min_guaranteed_ratio (from the connection)",
                "from 0 to 1",
                id="no ratio, by the connection",
            ),
            pytest.param(
                1.2, {}, {"burst_offheap": "None"}, {}, "burst_offheap", "true or false", id="no boolean"
            ),
        ],
    )
    def test_arguments_without_effect_are_refused(
        self,
        factor: object,
        conf: dict[str, str],
        arguments: dict[str, Any],
        extras: dict[str, Any],
        field: str,
        told: str,
    ) -> None:
        error = refused(factor, conf, arguments=arguments, extras=extras)
        assert error.field == field
        assert told in error.remedy

    @pytest.mark.parametrize("factor", [1, "1", "", {"factor": 1}])
    def test_a_try_that_does_not_burst_keeps_its_other_arguments(self, factor: object) -> None:
        assert resolved(factor, arguments={"min_guaranteed_ratio": 0.2}).burst is None


class TestApplication:
    def test_request_and_limit_of_the_example(self) -> None:
        found = resolved(1.1)
        assert (found.executor.request_mib, found.executor.memory.total_mib) == (10321, 11468)
        assert found.plain_executor is None
        assert found.driver.shared_mib == 0

    def test_without_bursting_everything_is_as_before(self) -> None:
        plain, one = resolved(), resolved(1)
        assert plain == one
        assert (plain.burst, plain.plain_executor, plain.executor.shared_mib) == (None, None, 0)

    def test_a_fraction_has_two_kinds_of_executors(self) -> None:
        found = resolved({"factor": 1.1, "fraction": 0.5})
        assert found.plain_executor == resolved().executor
        assert found.executor == resolved(1.1).executor

    def test_sparks_proposal_is_not_passed_on(self) -> None:
        found = resolved(None, by(1.2), None, by(1.3))
        assert not any("Bursty" in name for name in found.properties)

    def test_the_driver_measures_memory_where_executors_burst(self) -> None:
        assert resolved(1.2).properties[METRICS] == "true"
        assert METRICS not in resolved().properties
        assert resolved(1.2).properties[POLLING] == "3s"
        assert resolved(1.2, {POLLING: "1s"}).properties[POLLING] == "1s"
        assert resolved(1.2, {METRICS: "false"}).properties[METRICS] == "false"
        assert METRICS not in resolved({"factor": 1.2}, {"spark.executor.memoryOverhead": "0"}).properties
