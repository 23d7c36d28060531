from __future__ import annotations

from pathlib import Path

import pytest

from airflow_spark_k8s.local.spark_images import images_of

IMAGES = images_of({"team/spark:4.0*": "/homes/4.0", "team/etl:1": ""}, Path("/installed"), "4.3.0")


@pytest.mark.parametrize(
    ("reference", "home"),
    [
        pytest.param("apache/spark:4.3.0", "/installed", id="the official image of the installed version"),
        pytest.param("apache/spark:4.3.0-scala2.13-java17-python3-ubuntu", "/installed", id="a longer tag"),
        pytest.param("spark:4.3.1", "/installed", id="another patch release"),
        pytest.param("docker.io/apache/spark:4.3.0", "/installed", id="with the registry's name"),
        pytest.param("docker.io/library/spark:4.3.0", "/installed", id="the library's name in full"),
        pytest.param("team/spark:4.0.5", "/homes/4.0", id="a pattern of the user"),
    ],
)
def test_an_image_with_spark(reference: str, home: str) -> None:
    image = IMAGES.find(reference)
    assert image is not None
    assert image.spark_home == Path(home)


@pytest.mark.parametrize("reference", ["busybox", "busybox:1.36", "python:3.12-slim", "team/etl:1"])
def test_an_image_without_spark(reference: str) -> None:
    image = IMAGES.find(reference)
    assert image is not None
    assert image.spark_home is None


@pytest.mark.parametrize("reference", ["apache/spark:4.0.1", "apache/spark:4.30.1", "apache/spark", "other"])
def test_an_image_that_nothing_stands_for(reference: str) -> None:
    assert IMAGES.find(reference) is None


def test_the_users_mapping_wins_over_the_installed_spark() -> None:
    images = images_of({"apache/spark:4.3.0": "/mine"}, Path("/installed"), "4.3.0")
    found = images.find("apache/spark:4.3.0")
    assert found is not None
    assert found.spark_home == Path("/mine")
    assert "apache/spark:4.3.*" in images.known()
