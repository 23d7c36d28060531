from __future__ import annotations

from pathlib import Path

import pytest

from airflow_spark_k8s.local.container_paths import PathMap

PATHS = PathMap(
    {
        "/opt/spark": Path("/host/spark"),
        "/opt/spark/conf": Path("/pod/conf"),
        "/tmp": Path("/pod/tmp"),
        "/data": Path("/tmp/data"),
    }
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("/opt/spark", "/host/spark", id="a path that is the whole text"),
        pytest.param("/opt/spark/jars/a.jar", "/host/spark/jars/a.jar", id="a path below a place"),
        pytest.param("/opt/spark/conf/x", "/pod/conf/x", id="the longest place wins"),
        pytest.param("/opt/spark/config", "/host/spark/config", id="a place ends at a segment's end"),
        pytest.param("/opt/spark-4/jars", "/opt/spark-4/jars", id="a longer name is another folder"),
        pytest.param("/opt/spark.old", "/opt/spark.old", id="an extension makes another file"),
        pytest.param("/srv/opt/spark", "/srv/opt/spark", id="the end of a longer path is left alone"),
        pytest.param("./tmp/x", "./tmp/x", id="a relative path is left alone"),
        pytest.param("s3a://bucket/opt/spark", "s3a://bucket/opt/spark", id="a path inside a bucket stays"),
        pytest.param("file:///opt/spark/x", "file:///host/spark/x", id="a file URI is rewritten"),
        pytest.param("local:/tmp/x", "local:/pod/tmp/x", id="a URI without authority is rewritten"),
        pytest.param("$HOME/tmp/x", "$HOME/tmp/x", id="what follows a variable is left alone"),
        pytest.param("${X}/tmp/x", "${X}/tmp/x", id="what follows a variable in braces is left alone"),
        pytest.param("$(pwd)/tmp", "$(pwd)/tmp", id="what follows a command substitution is left alone"),
        pytest.param("-Da=/tmp -Db='/data'", "-Da=/pod/tmp -Db='/tmp/data'", id="options and quotes"),
        pytest.param("/opt/spark/a:/opt/spark/conf", "/host/spark/a:/pod/conf", id="a class path"),
        pytest.param("cat /data;ls /tmp", "cat /tmp/data;ls /pod/tmp", id="a shell script, in one pass"),
    ],
)
def test_rewriting_of_text(text: str, expected: str) -> None:
    assert PATHS.text(text) == expected


def test_content_that_is_no_text_stays_as_it_is() -> None:
    assert PATHS.content(b"\xff\xfe/tmp/x") == b"\xff\xfe/tmp/x"
    assert PATHS.content("ü=/tmp/x".encode()) == "ü=/pod/tmp/x".encode()


def test_without_places_nothing_is_rewritten() -> None:
    assert PathMap({}).text("/tmp") == "/tmp"
