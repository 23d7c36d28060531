"""What one try or run teaches the next: sizes that executors should have had, and where they come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from airflow_spark_k8s.core.memory_losses import CORES, HEAP, OVERHEAD, Advice
from airflow_spark_k8s.core.recovery_settings import OFF, RECOVERY_MODE
from airflow_spark_k8s.core.spec import Application

MAX_EVIDENCE_LENGTH = 300

_HEAP_PROPERTY = "spark.executor.memory"
_OVERHEAD_PROPERTY = "spark.executor.memoryOverhead"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Base:
    """What the task's properties give an executor before anything is learnt."""

    cores: int
    heap_mib: int
    overhead_mib: int
    other_mib: int = 0  # off-heap memory and Python's own limit

    def __str__(self) -> str:
        other = f", other memory {self.other_mib}m" if self.other_mib else ""
        return f"{self.cores} cores, heap {self.heap_mib}m, overhead {self.overhead_mib}m{other}"


@dataclass(frozen=True, slots=True)
class Learnt:
    """What executors should have had from the start; plain JSON values, no secret among them."""

    base: Base  # what it is the improvement of: it is of no use to executors of another size
    cores: int  # as `base`, or those of one task
    heap_mib: int  # at least that of `base`, like the overhead
    overhead_mib: int
    recovery: bool  # start with one task at a time
    origin: str  # such as "try 1 of run scheduled__2026-11-01"; empty: nothing was learnt
    evidence: Mapping[str, str] = field(default_factory=dict)  # dimension -> what happened
    limit_mib: int | None = None  # what the largest node had room for in a whole executor; None: not known

    @classmethod
    def nothing(cls, base: Base) -> Learnt:
        """What is known of executors of this size before any of them ran out of memory."""
        return cls(base, base.cores, base.heap_mib, base.overhead_mib, recovery=False, origin="")

    @property
    def lines(self) -> tuple[str, ...]:
        """One sentence for each dimension: property, before, after and why."""
        return tuple(self._line(name) for name in (CORES, HEAP, OVERHEAD) if name in self.evidence)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; `learnt_of` reads them."""
        values = {**asdict(self), "evidence": dict(self.evidence)}
        return {"version": _VERSION, **values, "advice": list(self.lines)}

    def _line(self, dimension: str) -> str:
        before, after = getattr(self.base, dimension), getattr(self, dimension)
        return str(Advice(dimension, before, after, self.evidence[dimension]))


@dataclass(frozen=True, slots=True)
class Use:
    """What is made of something learnt: properties over the task's own ones, and a sentence about it."""

    text: str
    conf: Mapping[str, str] = field(default_factory=dict)  # empty: nothing of it is used


def base_of(application: Application) -> Base:
    """What `application`, resolved with nothing learnt, gives an executor."""
    memory = application.executor.memory
    return Base(
        application.executor.cores,
        memory.heap_mib,
        memory.overhead_mib,
        memory.offheap_mib + memory.pyspark_mib,
    )


def learnt_from(advice: Iterable[Advice], known: Learnt, *, origin: str) -> Learnt:
    """
    What is known after an application that ended with `advice`.

    :param known: what the application was started with; it is never taken back.
    :param origin: which try of which run this is.
    """
    news = [one for one in advice if _is_more(one, known)]
    if not news:
        return known
    changes: dict[str, Any] = {one.dimension: one.after for one in news}
    evidence = {**known.evidence, **{one.dimension: one.evidence[:MAX_EVIDENCE_LENGTH] for one in news}}
    return replace(
        known,
        **changes,
        recovery=known.recovery or evidence.keys() == {CORES},
        origin=origin,
        evidence=evidence,
    )


def learnt_of(values: Any) -> Learnt | None:
    """What `Learnt.as_dict` wrote, by any version of this package; None if it is something else."""
    try:
        if values["version"] != _VERSION:
            return None
        base = Base(**{one.name: int(values["base"][one.name]) for one in fields(Base)})
        sizes = {name: int(values[name]) for name in (CORES, HEAP, OVERHEAD)}
        evidence = {name: str(values["evidence"][name]) for name in sizes if name in values["evidence"]}
        recovery, origin = values["recovery"] is True, str(values["origin"])
        limit_mib = None if values["limit_mib"] is None else int(values["limit_mib"])
    except (TypeError, KeyError, ValueError):
        return None
    learnt = Learnt(base, **sizes, recovery=recovery, origin=origin, evidence=evidence, limit_mib=limit_mib)
    return learnt if _improves(learnt) else None


def use_of(learnt: Learnt, application: Application, *, apply: bool = True) -> Use:
    """
    How `application`, resolved with nothing learnt, makes use of something learnt.

    Properties that have changed since go first: their author may have made up for it himself. Memory stays
    below `max_executor_memory`, also one that was lowered since, else within what the largest node had room
    for.

    :param apply: False: only tell.
    """
    why_not = _why_not(learnt, application)
    conf = {} if why_not else _conf(learnt, application)
    evidence = "; ".join(learnt.lines)
    if not conf:
        why_not = why_not or "since max_executor_memory or the largest node leaves no room for it"
        return Use(f"what {learnt.origin} learnt is not used, {why_not}: {evidence}")
    started = ", ".join(f"{name}={value}" for name, value in conf.items())
    if not apply:
        return Use(f"advice of {learnt.origin}: {evidence}; apply_advice=True would start with {started}")
    return Use(f"starting with {started}, as {learnt.origin} learnt: {evidence}", conf)


def _why_not(learnt: Learnt, application: Application) -> str | None:
    base = base_of(application)
    if base != learnt.base:
        return f"since it is about executors with {learnt.base}, and now they have {base}"
    if application.recovery is None or application.recovery.mode == OFF:
        return f"since {RECOVERY_MODE} is false"
    return None


def _conf(learnt: Learnt, application: Application) -> dict[str, str]:
    base = learnt.base
    own_limit = application.recovery.max_executor_memory_mib if application.recovery else None
    heap_mib, overhead_mib = _fitted(learnt, learnt.limit_mib if own_limit is None else own_limit)
    conf = {}
    if (heap_mib, overhead_mib) != (base.heap_mib, base.overhead_mib):
        # both: an overhead that is a part of the heap would follow it
        conf = {_HEAP_PROPERTY: f"{heap_mib}m", _OVERHEAD_PROPERTY: f"{overhead_mib}m"}
    if learnt.recovery or (not conf and learnt.cores < base.cores):
        conf[RECOVERY_MODE] = "true"
    return conf


def _improves(learnt: Learnt) -> bool:
    base = learnt.base
    smaller = learnt.heap_mib < base.heap_mib or learnt.overhead_mib < base.overhead_mib
    return not smaller and 0 < learnt.cores <= base.cores


def _is_more(advice: Advice, known: Learnt) -> bool:
    before: int = getattr(known, advice.dimension)
    return advice.after < before if advice.dimension == CORES else advice.after > before


def _fitted(learnt: Learnt, limit_mib: int | None) -> tuple[int, int]:
    """Heap and overhead, grown by less if an executor would come to more than `limit_mib`; never shrunk."""
    base = learnt.base
    heap, overhead = learnt.heap_mib - base.heap_mib, learnt.overhead_mib - base.overhead_mib
    if limit_mib is not None:
        room = max(0, limit_mib - base.heap_mib - base.overhead_mib - base.other_mib)
        growth = heap + overhead
        if growth > room:
            heap = heap * room // growth
            overhead = room - heap
    return base.heap_mib + heap, base.overhead_mib + overhead
