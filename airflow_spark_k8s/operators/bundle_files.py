"""Files that a task names: the application's own file and templates, read from the DAG bundle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_spark_k8s.exceptions import InvalidConfiguration

if TYPE_CHECKING:
    from airflow.sdk import DAG

NO_FILES = frozenset({"spark-internal", "pyspark-shell", "spark-shell", "sparkr-shell", "connect-shell"})
"""Words that spark-submit takes in place of a file."""

TEMPLATE_SUFFIXES = (".yaml", ".yml", ".j2")


def is_template_file(text: str) -> bool:
    """Whether a template argument names a file; anything else is the template itself."""
    return "\n" not in text and text.endswith(TEMPLATE_SUFFIXES)


def is_bundle_file(application: str) -> bool:
    """Whether `application` names a file of the DAG bundle: a plain path, no URI such as `local://` or `s3a://`."""
    return bool(application) and application not in NO_FILES and not urlsplit(application).scheme


def search_folders(dag: DAG, task_instance: Any) -> tuple[Path, ...]:
    """
    Folders to look up paths in: the DAG file's, the DAG's `template_searchpath`, the bundle's.

    :param task_instance: Airflow's runtime task instance; outside a task runner it knows no bundle.
    """
    searchpath = dag.template_searchpath or ()
    extra: Iterable[str] = [searchpath] if isinstance(searchpath, str) else searchpath
    bundle = getattr(getattr(task_instance, "bundle_instance", None), "path", None) or _bundle_root(dag)
    folders = [Path(dag.folder), *map(Path, extra), *([Path(bundle)] if bundle else [])]
    return tuple(dict.fromkeys(folder.resolve() for folder in folders))


def read_file(path: str, folders: Sequence[Path], *, field: str) -> bytes:
    """
    Content of the first file called `path` in `folders`.

    :param path: relative to one of the folders, or absolute and inside one of them.
    :param field: argument to name in the error.
    :raises InvalidConfiguration: if there is none, or it cannot be read.
    """
    for folder in folders:
        candidate = (folder / path).resolve()
        if candidate.is_file() and _inside(candidate, folders):
            try:
                return candidate.read_bytes()
            except OSError as error:
                raise InvalidConfiguration(field, path, f"cannot be read: {error.strerror}") from error
    looked_in = ", ".join(map(str, folders))
    remedy = f"no such file in the DAG bundle (looked in {looked_in})"
    if field == "application":
        remedy += "; a file of the image is written local:///path, a remote one with its scheme"
    raise InvalidConfiguration(field, path, remedy)


def _inside(path: Path, folders: Sequence[Path]) -> bool:
    # A templated path may hold a user's input: it must not reach the worker's own files.
    return any(path.is_relative_to(folder) for folder in folders)


def _bundle_root(dag: DAG) -> Path | None:
    """Root of the bundle as far as the DAG itself tells; None if it does not."""
    relative = dag.relative_fileloc
    if not relative or not dag.fileloc.endswith(relative):
        return None
    return Path(dag.fileloc[: -len(relative)] or "/")
