"""What the cluster's events say about one object, and which of them still holds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_OF_SCHEDULING = frozenset({"FailedScheduling", "NotTriggerScaleUp", "TriggeredScaleUp", "Nominated"})
_AUTOSCALERS = frozenset({"NotTriggerScaleUp", "TriggeredScaleUp", "Nominated"})
_FAILED_CREATION = "FailedCreate"
_SETTLES = {
    "Scheduled": _OF_SCHEDULING,
    "SuccessfulAttachVolume": frozenset({"FailedAttachVolume"}),
    "SuccessfulCreate": frozenset({_FAILED_CREATION}),
}
_SETTLES_ALL = frozenset({"Pulled", "Created", "Started"})
_TELLING = frozenset({"Pulling", *_AUTOSCALERS})  # though nothing went wrong
_NO_REASON = frozenset(
    {
        "Unhealthy",  # a readiness probe fails until it does not
        "DNSConfigForming",  # the node names more name servers than a pod may have
        "PolicyViolation",  # of a policy that only audits
    }
)
"""Warnings that say nothing of why an object waits."""
_ONLY_SAYS_THAT_IT_WAITS = "Unable to attach or mount volumes"
_PULL_FAILED = "Failed to pull image "


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """One event, or the latest of a series of equal ones."""

    reason: str
    message: str
    warning: bool
    at: str  # when it happened last, as the API server writes it: sorts by time
    name: str  # ends in the time when it happened first


@dataclass(frozen=True, slots=True)
class Account:
    """The events of one object, oldest first, as of the last reading."""

    asked_at: float  # before the last request was sent
    read_at: float = -math.inf  # the same, for the last request that was answered
    events: tuple[ObjectEvent, ...] = ()

    @property
    def telling(self) -> ObjectEvent | None:
        """
        The event that says what the object waits for now; None: none does.

        Events are kept for an hour, whatever happens next: those that later events have settled do not count.
        """
        open_ones = self._open
        exact = [each for each in open_ones if not each.message.startswith(_ONLY_SAYS_THAT_IT_WAITS)]
        return next(reversed(exact or open_ones), None)

    @property
    def failed_creation(self) -> ObjectEvent | None:
        """Why the object's controller cannot create a pod, whatever others say of it; None: it can."""
        return next((each for each in reversed(self._open) if each.reason == _FAILED_CREATION), None)

    @property
    def _open(self) -> list[ObjectEvent]:
        """Those that were not settled since."""
        open_ones: list[ObjectEvent] = []
        for event in self.events:
            if event.reason in _SETTLES_ALL:
                open_ones.clear()
            settled = _SETTLES.get(event.reason, frozenset())
            open_ones = [each for each in open_ones if each.reason not in settled]
            if (event.warning and event.reason not in _NO_REASON) or event.reason in _TELLING:
                open_ones.append(event)
        return open_ones

    @property
    def registry_answer(self) -> str | None:
        """What the registry, or the node, answered at the last attempt to pull an image; None: not known."""
        told = (event.message for event in reversed(self.events) if event.message.startswith(_PULL_FAILED))
        return next(told, None)

    @property
    def autoscaler(self) -> str | None:
        """What an autoscaler says about a pod without a node; None: nothing."""
        told = (f"{event.reason}: {event.message}" for event in self.events if event.reason in _AUTOSCALERS)
        return next(reversed(list(told)), None)


def object_events(items: Iterable[Mapping[str, Any]]) -> tuple[ObjectEvent, ...]:
    """
    The events of a list's items, oldest first.

    Two forms are in use: controllers and kubelets count in `count`, the scheduler in `series`.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
    """
    return tuple(sorted(map(_event, items), key=lambda event: (event.at, event.name)))


def _event(item: Mapping[str, Any]) -> ObjectEvent:
    metadata = item.get("metadata") or {}
    times = (
        (item.get("series") or {}).get("lastObservedTime"),
        item.get("lastTimestamp"),
        item.get("eventTime"),
        metadata.get("creationTimestamp"),
    )
    return ObjectEvent(
        reason=str(item.get("reason") or ""),
        message=" ".join(str(item.get("message") or "").split()),
        warning=item.get("type") == "Warning",
        at=str(next((time for time in times if time), "")),
        name=str(metadata.get("name") or ""),
    )
