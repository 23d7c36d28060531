"""Which executor ids are spoken for: the marks on the driver pod, read and written as one annotation."""

from __future__ import annotations

import json
from dataclasses import dataclass

from airflow_spark_k8s.core.labels import ANNOTATION_EXECUTOR_IDS


@dataclass(frozen=True, slots=True)
class IdMarks:
    """
    Ids 1..`reserved` are spoken for and are never given out again; those up to `settled` have been created.

    Ids between the two that nobody has seen are owed: whoever holds the marks creates them.
    """

    reserved: int = 0
    settled: int = 0
    holder: str = ""  # who wrote the marks last, and which of its writes it was

    def unsettled(self) -> range:
        """Ids that may or may not have been created."""
        return range(self.settled + 1, self.reserved + 1)

    def covering(self, highest_seen: int) -> IdMarks:
        """These marks, or higher ones if somebody has removed or damaged them since id `highest_seen`."""
        return self if self.reserved >= highest_seen else IdMarks(highest_seen, highest_seen, self.holder)

    def annotation(self) -> dict[str, str]:
        """The driver pod's annotation that `id_marks` reads."""
        value = {"reserved": self.reserved, "settled": self.settled, "holder": self.holder}
        return {ANNOTATION_EXECUTOR_IDS: json.dumps(value)}


def id_marks(annotation: str | None) -> IdMarks:
    """The marks in an annotation of a driver pod; fresh ones if there is none or it is damaged."""
    try:
        values = json.loads(annotation or "{}")
        reserved = max(int(values.get("reserved", 0)), 0)
        settled = min(max(int(values.get("settled", 0)), 0), reserved)
        return IdMarks(reserved, settled, str(values.get("holder", "")))
    except (ValueError, TypeError, AttributeError):
        return IdMarks()
