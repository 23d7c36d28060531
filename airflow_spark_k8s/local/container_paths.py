"""Paths of a container → paths of this machine, rewritten in text: there is no file system of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

SERVICE_ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclass(frozen=True)
class PathMap:
    """
    Where the paths of one container really are.

    :param places: absolute path in the container → path on this machine. The longest path that fits wins,
        whole path segments only: `/opt/spark` fits `/opt/spark/jars` and `file:///opt/spark`, but not
        `/opt/spark-4`, `/data/opt/spark` or `s3a://bucket/opt/spark`.
    """

    places: Mapping[str, Path]
    _pattern: re.Pattern[str] | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_pattern", _pattern(self.places))

    def text(self, text: str) -> str:
        """The text with every path that fits replaced, in one pass: a replacement is never replaced again."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda match: str(self.places[match.group()]), text)

    def texts(self, texts: Iterable[str]) -> tuple[str, ...]:
        """Every text rewritten."""
        return tuple(self.text(text) for text in texts)

    def values(self, env: Mapping[str, str]) -> dict[str, str]:
        """Every value rewritten, no name."""
        return {name: self.text(value) for name, value in env.items()}

    def content(self, data: bytes) -> bytes:
        """Content of a file, rewritten if it is text."""
        try:
            return self.text(data.decode()).encode()
        except UnicodeDecodeError:
            return data

    def path(self, path: str) -> Path:
        """Where one absolute path of the container is; a path that fits nothing is this machine's own."""
        return Path(self.text(path))


def _pattern(places: Mapping[str, Path]) -> re.Pattern[str] | None:
    paths = sorted(places, key=len, reverse=True)
    if not paths:
        return None
    either = "|".join(re.escape(path) for path in paths)
    # A path begins where no other path, variable or command substitution can end, or after a scheme.
    return re.compile(rf"(?:(?<=://)|(?<![\w.\-~)}}\]/]))(?:{either})(?![\w.\-])")
