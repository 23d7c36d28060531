"""What the network between Airflow and an API server does to calls and watches, and when."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

READS = ("GET", "LIST")
WRITES = ("POST", "PATCH", "DELETE")


class Kind(StrEnum):
    """What may happen to a call or to a watch."""

    UNAUTHORIZED = "401"
    FORBIDDEN = "403"
    NO_SUCH_PAGE = "404 of a proxy"
    CONFLICT = "409"
    GONE = "410"
    TOO_MANY = "429"
    SERVER_ERROR = "500"
    UNAVAILABLE = "503"
    REFUSED = "connection refused"
    HUNG = "hung call"
    SLOW = "slow call"
    LOST_ANSWER = "lost answer"
    WATCH_CUT = "watch cut"
    WATCH_SILENT = "silent watch"
    LATE_EVENT = "late event"
    REPEATED_EVENT = "repeated events"
    LOST_EVENT = "lost event"


OF_EVENTS = frozenset(
    {Kind.WATCH_CUT, Kind.WATCH_SILENT, Kind.LATE_EVENT, Kind.REPEATED_EVENT, Kind.LOST_EVENT}
)

_VERBS = {
    Kind.CONFLICT: ("POST", "PATCH"),  # the only ones that a server may answer so for no reason
    Kind.GONE: ("LIST", "WATCH"),
    Kind.LOST_ANSWER: WRITES,
}
"""Kind -> verbs of the calls to which it may happen; kinds that are not here: all."""


@dataclass(frozen=True, slots=True)
class Spell:
    """A time during which something happens to a share of the calls."""

    kind: Kind
    start: float
    end: float
    share: float  # 0 to 1
    verbs: tuple[str, ...] = ()  # empty: all
    network: int | None = None  # only to processes in this network; None: to all

    def covers(self, verb: str, network: int, now: float) -> bool:
        """Whether it may happen to this call."""
        if not self.start <= now < self.end or self.network not in (None, network):
            return False
        return verb in (self.verbs or _VERBS.get(self.kind, (verb,)))


class Weather:
    """The spells of one simulation, and the random source that decides about single calls."""

    def __init__(
        self, spells: tuple[Spell, ...], chance: random.Random, latency: float, time: Callable[[], float]
    ) -> None:
        self._spells = spells
        self._chance = chance
        self._latency = latency
        self._time = time

    def of_call(self, verb: str, network: int) -> Kind | None:
        """What happens to a call, or to the opening of a watch; None: nothing."""
        return self._drawn(verb, network, of_events=False)

    def of_event(self, network: int) -> Kind | None:
        """What happens to an event of a watch; None: nothing."""
        return self._drawn("EVENT", network, of_events=True)

    def _drawn(self, verb: str, network: int, *, of_events: bool) -> Kind | None:
        now = self._time()
        for spell in self._spells:
            concerned = (spell.kind in OF_EVENTS) is of_events and spell.covers(verb, network, now)
            if concerned and self._chance.random() < spell.share:
                return spell.kind
        return None

    def latency(self) -> float:
        """One-way delay in seconds."""
        return self._chance.random() * self._latency

    def between(self, shortest: float, longest: float) -> float:
        """A random number between the two."""
        return self._chance.uniform(shortest, longest)

    def heads(self) -> bool:
        """A toss of a coin."""
        return self._chance.random() < 0.5
