"""How an application's executors burst: argument, Spark's properties and connection in one answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from airflow_spark_k8s.core.burst_values import Share, factor_of, flag_of, is_given, ratio_of, share_of
from airflow_spark_k8s.core.conf import CONNECTION_SUFFIX, Conf
from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.shaping import chosen
from airflow_spark_k8s.core.spec import Burst, MemorySum
from airflow_spark_k8s.exceptions import InvalidConfiguration

ENABLED = "spark.executor.memoryOverheadBursty.enabled"
"""Whether executors burst, in the words of Spark's proposal; no released Spark knows it."""

FACTOR = "spark.executor.memoryOverheadBursty.factor"
"""By which factor they do."""

_OFF = Share(Fraction(1))


def burst_of(request: ApplicationRequest, memory: MemorySum) -> Burst | None:
    """
    How the executors burst, None if they do not: nobody says so, or the factor is 1.

    The operator's argument comes first, then the task's properties, then the connection, whose extra and
    properties must say one thing. Who gives the factor gives the fraction of the executors, too.

    :param memory: of an executor.
    :raises InvalidConfiguration: for values that cannot be, for sources that contradict each other, and for
        arguments without effect.

    Source: SPARK-54596, spark.executor.memoryOverheadBursty.enabled and .factor
    """
    share = _share(request)
    burst = _with_floors(request, share or _OFF, has_offheap=memory.offheap_mib > 0)
    # empty text is from a template that lets this task, or this try, burst not
    if share is None and request.shaping.burst_factor is None:
        _refuse_without_effect(request)
    return burst if burst.factor > 1 else None


@dataclass(frozen=True, slots=True)
class _Properties:
    """What the properties of one origin say; they are read together, but come from task and connection."""

    conf: Conf
    enabled: bool | None  # None: not said
    factor: Fraction | None

    @classmethod
    def of(cls, conf: Conf) -> _Properties:
        factor = conf.get(FACTOR)
        return cls(
            conf,
            conf.flag(ENABLED, default=False) if conf.get(ENABLED) is not None else None,
            None if factor is None else factor_of(factor, field=conf.field(FACTOR)),
        )

    def check(self, other: Share | None, called: str) -> None:
        """Return if the properties do not contradict `other`, which an error calls `called`."""
        if other is None:
            return
        remedy = f"contradicts {called}; say one of them"
        if self.enabled is False:
            if other.factor > 1:
                raise self.conf.error(ENABLED, remedy)
        elif self.factor not in (None, other.factor):
            raise self.conf.error(FACTOR, remedy)


def _share(request: ApplicationRequest) -> Share | None:
    """Factor and fraction of the first who says something, None if nobody does."""
    argument = share_of(request.shaping.burst_factor, field="burst_factor")
    task = _Properties.of(Conf.merged(request.conf, {}))
    task.check(argument, f"the operator's burst_factor={request.shaping.burst_factor!r}")
    extra = share_of(request.default_shaping.burst_factor, field="burst_factor" + CONNECTION_SUFFIX)
    connection = _Properties.of(Conf.merged({}, request.default_conf))
    connection.check(extra, f"the connection's burst_factor={request.default_shaping.burst_factor!r}")
    enabled = connection.enabled if task.enabled is None else task.enabled
    if task.factor is not None and task.enabled is None and not enabled:
        raise task.conf.error(FACTOR, f"has no effect unless {ENABLED} is true; set that, too")
    if argument is not None:
        return argument
    if enabled is None:
        return extra
    if not enabled:
        return _OFF
    default = extra or (None if connection.factor is None else Share(connection.factor))
    share = default if task.factor is None else Share(task.factor)
    if share is None:
        saying = connection if task.enabled is None else task
        raise saying.conf.error(ENABLED, f"needs a factor: set {FACTOR}=1.2 or burst_factor")
    return share


def _with_floors(request: ApplicationRequest, share: Share, *, has_offheap: bool) -> Burst:
    burst = Burst(share.factor, share.fraction)
    ratio = _ratio(request, "min_guaranteed_ratio")
    offheap_ratio = _ratio(request, "min_guaranteed_offheap_ratio")
    return replace(
        burst,
        min_guaranteed_ratio=burst.min_guaranteed_ratio if ratio is None else ratio,
        offheap=_offheap(request, has_offheap=has_offheap),
        min_guaranteed_offheap_ratio=(
            burst.min_guaranteed_offheap_ratio if offheap_ratio is None else offheap_ratio
        ),
    )


def _ratio(request: ApplicationRequest, name: str) -> Fraction | None:
    value, field = chosen(request, name)
    return ratio_of(value, field=field)


def _offheap(request: ApplicationRequest, *, has_offheap: bool) -> bool:
    value, field = chosen(request, "burst_offheap")
    wanted = bool(flag_of(value, field=field))
    if wanted and not has_offheap and is_given(request.shaping.burst_offheap):
        raise InvalidConfiguration(
            field,
            value,
            "there is no off-heap memory; set spark.memory.offHeap.enabled and spark.memory.offHeap.size",
        )
    if not wanted and is_given(request.shaping.min_guaranteed_offheap_ratio):
        raise InvalidConfiguration(
            "min_guaranteed_offheap_ratio",
            request.shaping.min_guaranteed_offheap_ratio,
            "has no effect unless burst_offheap is true; set that, too",
        )
    return wanted and has_offheap


def _refuse_without_effect(request: ApplicationRequest) -> None:
    """A connection's defaults wait for tasks that burst; an argument of a task that does not is a mistake."""
    given = request.shaping
    for name, value in (
        ("min_guaranteed_ratio", given.min_guaranteed_ratio),
        ("burst_offheap", flag_of(given.burst_offheap, field="burst_offheap") or None),
        ("min_guaranteed_offheap_ratio", given.min_guaranteed_offheap_ratio),
    ):
        if is_given(value):
            raise InvalidConfiguration(name, value, "has no effect unless executors burst; set burst_factor")
