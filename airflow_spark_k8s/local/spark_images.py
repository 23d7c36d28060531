"""Image references → what their containers run: no image is pulled, an installed Spark stands for it."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PLAIN_IMAGES = ("busybox", "busybox:*", "python:3*", "local/python:*")
"""Images without Spark: their containers run this machine's commands; `python` is the interpreter in use."""


@dataclass(frozen=True, slots=True)
class Image:
    """What stands for one image."""

    reference: str
    spark_home: Path | None  # None: no Spark in it; there is no entry point, commands run as given

    @property
    def id(self) -> str:
        """What a container's `imageID` shows."""
        return f"local://{self.spark_home or 'plain'}"


@dataclass(frozen=True)
class Images:
    """
    The images that containers of this cluster may name.

    :param homes: image reference, or pattern with `*`, → Spark home; None for an image without Spark. The
        first one that fits wins. `docker.io/` and `docker.io/library/` may be left out on either side.
    """

    homes: Mapping[str, Path | None]

    def find(self, reference: str) -> Image | None:
        """The image of that reference, None if nothing stands for it."""
        wanted = _short(reference)
        for pattern, home in self.homes.items():
            if fnmatch.fnmatchcase(wanted, _short(pattern)):
                return Image(reference, home)
        return None

    def known(self) -> str:
        """Every reference and pattern, for messages."""
        return ", ".join(self.homes)


def images_of(mapping: Mapping[str, str], installed: Path, version: str) -> Images:
    """
    The user's images first, then the installed Spark's, then the plain ones.

    :param mapping: image reference or pattern → Spark home; an empty home means an image without Spark.
    :param installed: Spark home of the installed pyspark.
    :param version: its version.
    """
    homes: dict[str, Path | None] = {
        pattern: Path(home) if home else None for pattern, home in mapping.items()
    }
    minor = ".".join(version.split(".")[:2])
    for name in ("apache/spark", "spark"):
        # Any patch release: programs name one, the environment decides which one is installed.
        homes.setdefault(f"{name}:{minor}.*", installed)
    for plain in PLAIN_IMAGES:
        homes.setdefault(plain, None)
    return Images(homes)


def _short(reference: str) -> str:
    return reference.removeprefix("docker.io/").removeprefix("library/")
