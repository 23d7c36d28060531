"""The application itself: a file of the user's, a path in the image or a URI; and what it depends on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from airflow_spark_k8s.core.conf import Conf
from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.spec import UserFile
from airflow_spark_k8s.exceptions import InvalidConfiguration

USER_FILE_DIRECTORY = "/opt/airflow-spark-k8s/app"
"""Where the driver's container has the user's own file."""

MAX_USER_FILE_BYTES = 1_000_000
"""A ConfigMap may hold 1 MiB with its keys and metadata."""

_NO_RESOURCE = "spark-internal"
_SHELLS = frozenset({"pyspark-shell", "spark-shell", "sparkr-shell", "connect-shell"})
_IN_IMAGE_OR_REMOTE = (
    "write local:///path for a file in the image, or a URI such as s3a://bucket/path for a remote one"
)
_DEPENDENCIES = {
    "py_files": "spark.submit.pyFiles",
    "jars": "spark.jars",
    "files": "spark.files",
}
_PACKAGES = "spark.jars.packages"
_ARCHIVES = "spark.archives"

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):")
_CONFIG_MAP_KEY = re.compile(r"(?!\.\.)[-._a-zA-Z0-9]{1,253}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Resource:
    """What spark-submit is to run."""

    primary: str  # as spark-submit gets it
    name: str  # file name
    user_file: UserFile | None

    @property
    def is_python(self) -> bool:
        """Whether Spark runs it with Python."""
        return self.name.endswith(".py")

    @property
    def is_non_jvm(self) -> bool:
        """Whether most of its memory is outside the JVM, as with Python and R."""
        return self.name.endswith((".py", ".R", ".r"))


def resource_of(request: ApplicationRequest) -> Resource:
    """
    What to run, and as which file of the driver's container.

    :raises InvalidConfiguration: if it is missing, too large, or no place that the driver can reach.

    Source: org.apache.spark.deploy.SparkSubmit.prepareSubmitEnvironment, PythonRunner.formatPath
    """
    application = request.application.strip()
    if not application:
        raise InvalidConfiguration("application", request.application, "must name the application to run")
    if application in _SHELLS:
        raise InvalidConfiguration("application", application, "interactive shells cannot run here")
    if request.user_file is not None:
        return _shipped(application, request.user_file)
    if application == _NO_RESOURCE:
        if not request.main_class:
            raise InvalidConfiguration("main_class", request.main_class, f"{_NO_RESOURCE} needs a main class")
        return Resource(application, application, None)
    return _elsewhere(application)


def dependencies(request: ApplicationRequest, conf: Conf) -> dict[str, str]:
    """
    Properties for py_files, jars, files and packages, from the operator's arguments or the conf.

    :raises InvalidConfiguration: if one is no URI, or argument and conf contradict each other.
    """
    found = {}
    for argument, name in _DEPENDENCIES.items():
        given: tuple[str, ...] = getattr(request, argument)
        uris = _merged(conf, name, argument, given)
        if uris:
            _check_uris(argument if given else conf.field(name), uris)
            found[name] = ",".join(map(_local_path, uris) if argument == "py_files" else uris)
    archives = _listed(conf, _ARCHIVES)
    _check_uris(conf.field(_ARCHIVES), archives)
    packages = _merged(conf, _PACKAGES, "packages", request.packages)
    if packages:
        found[_PACKAGES] = ",".join(packages)
    return found


def _shipped(application: str, user_file: UserFile) -> Resource:
    if _SCHEME.match(application):
        raise InvalidConfiguration("application", application, "a URI is not read from the DAG bundle")
    if _CONFIG_MAP_KEY.fullmatch(user_file.name) is None:
        raise InvalidConfiguration(
            "application", user_file.name, "rename the file: use letters, digits, '-', '_' and '.' only"
        )
    size = len(user_file.content)
    if size > MAX_USER_FILE_BYTES:
        raise InvalidConfiguration(
            "application",
            application,
            f"has {size} bytes, more than the {MAX_USER_FILE_BYTES} that a ConfigMap can carry; put it into "
            "the image (local:///path) or an object store (such as s3a://bucket/path)",
        )
    return Resource(f"{USER_FILE_DIRECTORY}/{user_file.name}", user_file.name, user_file)


def _elsewhere(application: str) -> Resource:
    scheme = _SCHEME.match(application)
    if scheme is None or scheme[1].lower() == "file":
        raise InvalidConfiguration("application", application, f"no such file; {_IN_IMAGE_OR_REMOTE}")
    if scheme[1].lower() == "local":
        _check_local("application", application)
    resource = Resource(application, application.rpartition("/")[2], None)
    # Python and R are started with a path; a jar keeps local:, or the driver would send it to every executor
    return Resource(_local_path(application), resource.name, None) if resource.is_non_jvm else resource


def _merged(conf: Conf, name: str, argument: str, given: tuple[str, ...]) -> tuple[str, ...]:
    in_conf = _listed(conf, name)
    if given and in_conf and name not in conf.from_connection and given != in_conf:
        raise conf.error(name, f"contradicts the operator's {argument}={list(given)}; say one of them")
    return given or in_conf


def _listed(conf: Conf, name: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in (conf.get(name) or "").split(",") if item.strip())


def _check_uris(field: str, uris: Iterable[str]) -> None:
    for uri in uris:
        scheme = _SCHEME.match(uri)
        if scheme is None or scheme[1].lower() == "file":
            raise InvalidConfiguration(
                field, uri, f"not shipped to the driver's container; {_IN_IMAGE_OR_REMOTE}"
            )
        if scheme[1].lower() == "local":
            _check_local(field, uri)


def _check_local(field: str, uri: str) -> None:
    if re.match(r"local:/(//)?[^/]", uri, re.IGNORECASE) is None:
        raise InvalidConfiguration(
            field, uri, "a path in the image is written with three slashes: local:///path"
        )


def _local_path(uri: str) -> str:
    """The path of a `local:` URI, any other URI as it is."""
    scheme, _, rest = uri.partition(":")
    return unquote("/" + rest.lstrip("/")) if scheme.lower() == "local" else uri
