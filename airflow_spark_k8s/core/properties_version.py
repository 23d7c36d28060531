"""Which images an application runs in, and which Spark is in them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_spark_k8s.core.conf import CONNECTION_SUFFIX, Conf
from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.exceptions import InvalidConfiguration

OLDEST_SPARK_VERSION = (3, 5, 0)

_IMAGE = "spark.kubernetes.container.image"
_IMAGE_OF_ROLE = "spark.kubernetes.{}.container.image"
_VERSION_PLACEHOLDER = "{{SPARK_VERSION}}"

_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})\.([0-9]{1,4})(?:[-._+].*)?", re.ASCII)
_TAG_PREFIX = re.compile(r"(?:spark-?)?v?")


@dataclass(frozen=True, slots=True)
class Images:
    """The two images of an application and their Spark version."""

    driver: str
    executor: str
    spark_version: tuple[int, int, int]


def images_of(request: ApplicationRequest, conf: Conf) -> Images:
    """
    Images of driver and executors, and the Spark version in them.

    :raises InvalidConfiguration: if there is no image, no version can be told, it is too old, or two sources
        of the same rank contradict each other.
    """
    driver, executor = _image(request, conf, "driver"), _image(request, conf, "executor")
    version = _version(request, driver)
    if version < OLDEST_SPARK_VERSION:
        raise InvalidConfiguration(
            "spark_version",
            _text(version),
            "older than Spark 3.5, which is the first that works; use a newer image, or set spark_version if "
            "the image's tag does not tell Spark's version",
        )
    other = version_in_tag(executor)
    if driver != executor and other is not None and version_in_tag(driver) not in (None, other):
        raise InvalidConfiguration(
            _IMAGE_OF_ROLE.format("executor"),
            executor,
            f"has another Spark version than the driver's image {driver}; both need the same",
        )
    return Images(_filled_in(driver, version), _filled_in(executor, version), version)


def parse_version(text: str, *, field: str) -> tuple[int, int, int]:
    """
    A Spark version such as `4.3.0` as numbers; what follows them (`4.3.0-SNAPSHOT`) does not count.

    :param field: argument to name in the error.
    :raises InvalidConfiguration: for anything but three numbers with dots.
    """
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        raise InvalidConfiguration(field, text, "must be three numbers such as 4.3.0")
    return int(match[1]), int(match[2]), int(match[3])


def version_in_tag(image: str) -> tuple[int, int, int] | None:
    """The Spark version that the image's tag begins with, None if it does not or there is no tag."""
    _, colon, tag = image.partition("@")[0].rpartition("/")[2].partition(":")
    match = _VERSION.fullmatch(_TAG_PREFIX.sub("", tag, count=1)) if colon else None
    return None if match is None else (int(match[1]), int(match[2]), int(match[3]))


def _image(request: ApplicationRequest, conf: Conf, role: str) -> str:
    of_role = _IMAGE_OF_ROLE.format(role)
    if request.image:
        _refuse_contradiction(request.image, conf, (_IMAGE, of_role))
        return _checked("image", request.image)
    own = _named(conf, (of_role, _IMAGE), of_task=True)
    if own is not None:
        return own
    default = _named(conf, (of_role, _IMAGE), of_task=False)
    if request.default_image and default not in (None, request.default_image):
        raise InvalidConfiguration(
            "image" + CONNECTION_SUFFIX,
            request.default_image,
            f"the connection's conf says {default}; say one of them",
        )
    image = request.default_image or default
    if not image:
        raise InvalidConfiguration(
            "image",
            image,
            f"no image for the {role}: set image in the operator or the connection, or {_IMAGE} in conf",
        )
    return _checked("image" + CONNECTION_SUFFIX, image)


def _named(conf: Conf, names: tuple[str, ...], *, of_task: bool) -> str | None:
    for name in names:
        image = conf.get(name)
        if image is not None and (name not in conf.from_connection) is of_task:
            return _checked(conf.field(name), image)
    return None


def _refuse_contradiction(image: str, conf: Conf, names: tuple[str, ...]) -> None:
    for name in names:
        if name not in conf.from_connection and conf.get(name) not in (None, image):
            raise conf.error(name, f"contradicts the operator's image={image!r}; say one of them")


def _checked(field: str, image: str) -> str:
    if re.search(r"\s", image):
        raise InvalidConfiguration(field, image, "an image has no blanks in its name")
    return image


def _version(request: ApplicationRequest, image: str) -> tuple[int, int, int]:
    if request.spark_version:
        return parse_version(request.spark_version, field="spark_version")
    if request.default_spark_version:
        return parse_version(request.default_spark_version, field="spark_version" + CONNECTION_SUFFIX)
    version = version_in_tag(image)
    if version is None:
        raise InvalidConfiguration(
            "image", image, "its tag does not tell Spark's version; set spark_version, such as 4.3.0"
        )
    return version


def _filled_in(image: str, version: tuple[int, int, int]) -> str:
    return image.replace(_VERSION_PLACEHOLDER, _text(version))


def _text(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))
