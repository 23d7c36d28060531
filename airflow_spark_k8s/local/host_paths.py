"""Paths of this machine as hostPath volumes: made if they may be, checked against their type."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

_CHECKS: dict[str, tuple[Callable[[Path], bool], str]] = {
    "Directory": (Path.is_dir, "a directory"),
    "File": (Path.is_file, "a file"),
    "Socket": (Path.is_socket, "a socket file"),
    "CharDevice": (Path.is_char_device, "a character device"),
    "BlockDevice": (Path.is_block_device, "a block device"),
}
_OR_CREATE = "OrCreate"


def host_path_trouble(path: str, kind: str) -> str | None:
    """
    What is wrong with the path, in the kubelet's words; None if it is of that kind now.

    Source: https://kubernetes.io/docs/concepts/storage/volumes/#hostpath-volume-types
    """
    place, wanted = Path(path), kind.removesuffix(_OR_CREATE)
    if not kind:
        return None
    try:
        if kind.endswith(_OR_CREATE) and not place.exists():
            _make(place, wanted)
    except OSError as error:
        return str(error)
    fits, name = _CHECKS[wanted]
    return None if fits(place) else f"hostPath type check failed: {path} is not {name}"


def _make(place: Path, kind: str) -> None:
    if kind == "Directory":
        place.mkdir(mode=0o755, parents=True)
    else:
        place.touch(mode=0o644)
