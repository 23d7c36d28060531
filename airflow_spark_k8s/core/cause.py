"""Why something does not start, told apart as far as it matters for what is done about it."""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """What keeps a pod from being created, placed or started."""

    UNSCHEDULABLE = "unschedulable"  # no node for it
    QUOTA = "quota"  # a ResourceQuota is used up
    IMAGE = "image"  # its image cannot be had
    CONFIGURATION = "configuration"  # a Secret or ConfigMap that it names is missing
    VOLUME = "volume"  # a volume cannot be attached or mounted
    REFUSED = "refused"  # rights, an admission webhook or policy, or it is not valid


HOPELESS_CAUSES = frozenset({Cause.REFUSED})
"""Refusals that waiting does not change: whoever refuses decides by rules, not by what is free."""
