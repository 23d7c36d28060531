"""Readiness, liveness and startup probes of one running container."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.timers import TimerHandle, Timers

Try = Callable[[Manifest, Callable[[bool], None]], None]
"""Tries a probe once and tells whether it passed."""


class Prober:
    """
    Repeats the probes of a container until `stop`.

    `changed(kind, passed)` is called with `startup`, `readiness` or `liveness` when a threshold is reached,
    and for readiness and liveness whenever it is reached again.

    Source: https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
    """

    def __init__(
        self,
        timers: Timers,
        container: Manifest,
        attempt: Try,
        changed: Callable[[str, bool], None],
        failed: Callable[[str], None],
    ) -> None:
        self._timers = timers
        self._container = container
        self._attempt = attempt
        self._changed = changed
        self._failed = failed
        self._pending: dict[str, TimerHandle] = {}
        self._streaks: dict[str, tuple[bool, int]] = {}
        self._stopped = False

    def start(self) -> None:
        """Begin; readiness and liveness wait for the startup probe if there is one."""
        self._begin(("startup",) if "startupProbe" in self._container else ("readiness", "liveness"))

    def stop(self) -> None:
        """Probe no more."""
        self._stopped = True
        for handle in self._pending.values():
            handle.cancel()

    def _begin(self, kinds: Iterable[str]) -> None:
        for kind in kinds:
            probe = self._container.get(f"{kind}Probe")
            if probe is not None:
                self._schedule(kind, probe, float(probe.get("initialDelaySeconds") or 0))

    def _schedule(self, kind: str, probe: Manifest, delay: float) -> None:
        self._pending[kind] = self._timers.call_later(delay, self._try, kind, probe)

    def _try(self, kind: str, probe: Manifest) -> None:
        if not self._stopped:
            self._attempt(probe, partial(self._on_result, kind, probe))

    def _on_result(self, kind: str, probe: Manifest, passed: bool) -> None:
        if self._stopped:
            return
        before, length = self._streaks.get(kind, (passed, 0))
        streak = length + 1 if before == passed else 1
        self._streaks[kind] = (passed, streak)
        if not passed:
            self._failed(kind)
        threshold = probe.get("successThreshold") or 1 if passed else probe.get("failureThreshold") or 3
        if streak >= threshold:
            self._changed(kind, passed)
            if kind == "startup" and passed:
                self._begin(("readiness", "liveness"))
                return
        if not self._stopped:
            self._schedule(kind, probe, float(probe.get("periodSeconds") or 10))
