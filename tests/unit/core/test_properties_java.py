"""Java options of driver and executors."""

from __future__ import annotations

import pytest

from airflow_spark_k8s.core.conf import Conf
from airflow_spark_k8s.core.properties_java import module_options, split_options
from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.spec import Application
from airflow_spark_k8s.exceptions import InvalidConfiguration

EXTRA = "spark.executor.extraJavaOptions"
DEFAULT = "spark.executor.defaultJavaOptions"


def resolved(conf: dict[str, str], image: str = "apache/spark:4.3.0") -> Application:
    return resolve(ApplicationRequest(application="local:///app.py", image=image, conf=conf))


@pytest.mark.parametrize(
    ("text", "options"),
    [
        pytest.param("", (), id="nothing"),
        pytest.param("  -Da=1   -Db=2 ", ("-Da=1", "-Db=2"), id="blanks between"),
        pytest.param("-Da='x y' -Db", ("-Da=x y", "-Db"), id="single quotes"),
        pytest.param("-Da=\"x 'y'\"", ("-Da=x 'y'",), id="double quotes"),
        pytest.param(r'-Da="x \"y\""', ('-Da=x "y"',), id="escaped quotes"),
        pytest.param(r"-Da=x\ y", ("-Da=x y",), id="an escaped blank"),
        pytest.param(r"-Da='x\y'", (r"-Da=x\y",), id="a backslash in single quotes"),
        pytest.param(r'-Da="x\\y\z"', (r"-Da=x\yz",), id="backslashes in double quotes"),
    ],
)
def test_options_are_split_as_spark_splits_them(text: str, options: tuple[str, ...]) -> None:
    assert split_options(Conf.merged({EXTRA: text}, {}), EXTRA) == options


@pytest.mark.parametrize("text", ["-Da='x", '-Da="x', "-Da=x\\", "-Da='x\ny'"])
def test_options_that_cannot_be_split_are_refused(text: str) -> None:
    with pytest.raises(InvalidConfiguration, match=EXTRA):
        resolved({EXTRA: text})


@pytest.mark.parametrize(
    ("name", "option"),
    [
        (EXTRA, "-Xmx4g"),
        (DEFAULT, "-Xmx4g"),
        (EXTRA, "-Dspark.ui.port=1"),
        (DEFAULT, "-Dspark.anything=1"),
        ("spark.driver.extraJavaOptions", "-Xmx4g"),
        ("spark.driver.defaultJavaOptions", "-Xmx4g"),
        ("spark.driver.extraJavaOptions", "-Dspark.master=local"),
        ("spark.driver.extraJavaOptions", "-Dspark.executor.instances=3"),
    ],
)
def test_options_that_set_the_heap_or_sparks_properties_are_refused(name: str, option: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        resolved({name: f"-Da=b {option}"})
    assert caught.value.field == name


def test_a_property_without_meaning_here_may_be_an_option_of_the_driver() -> None:
    options = "-Dspark.my.own=1 -Dlog4j.debug"
    found = resolved({"spark.driver.extraJavaOptions": options})
    assert found.properties["spark.driver.extraJavaOptions"] == options
    assert found.driver.java_options == ()


def test_the_users_options_come_after_the_modules_and_may_override_them() -> None:
    options = resolved({EXTRA: "-Dc={{APP_ID}}", DEFAULT: "-Da=b"}).executor.java_options
    assert options[: len(module_options((4, 3, 0)))] == module_options((4, 3, 0))
    assert options.index("-Da=b") + 1 == options.index("-Dc={{APP_ID}}")


@pytest.mark.parametrize(
    ("version", "present", "absent"),
    [
        ((3, 5, 9), "-Djdk.reflect.useDirectMethodHandle=false", "--add-modules=jdk.incubator.vector"),
        ((4, 0, 5), "--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"),
        ((4, 1, 4), "--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"),
        ((4, 2, 1), "--sun-misc-unsafe-memory-access=allow", "-Djdk.reflect.useDirectMethodHandle=false"),
        (
            (4, 3, 0),
            "--add-opens=java.base/java.nio=ALL-UNNAMED",
            "-Djdk.reflect.useDirectMethodHandle=false",
        ),
    ],
)
def test_module_options_are_those_of_the_version(
    version: tuple[int, int, int], present: str, absent: str
) -> None:
    options = resolved({}, image="spark:" + ".".join(map(str, version))).executor.java_options
    assert present in options
    assert absent not in options


def test_an_option_with_a_secret_comes_from_the_secret() -> None:
    found = resolved({EXTRA: "-Dstore.password=hunter2 -Da=b"}).executor
    assert "-Da=b" in found.java_options
    assert not any("hunter2" in option for option in found.java_options)
    assert [(secret.name, secret.key, secret.value) for secret in found.secret_env] == [
        ("SPARK_JAVA_OPT_900", "env-executor-SPARK_JAVA_OPT_900", "-Dstore.password=hunter2")
    ]


def test_more_secret_options_than_there_are_names_for_are_refused() -> None:
    with pytest.raises(InvalidConfiguration, match="at most 100"):
        resolved({EXTRA: " ".join(f"-Dpassword{number}=x" for number in range(101))})


class TestFirstConnection:
    def test_executors_authenticate_from_the_start(self) -> None:
        found = resolved({})
        assert found.authenticate
        assert not found.rpc_encryption
        assert "-Dspark.authenticate=true" in found.executor.java_options
        assert not any("secret" in option for option in found.executor.java_options)
        # Spark wants both files or none
        assert (
            found.properties["spark.authenticate.secret.driver.file"]
            == found.properties["spark.authenticate.secret.executor.file"]
            == "/opt/airflow-spark-k8s/secret/auth-secret"
        )

    def test_authentication_may_be_off(self) -> None:
        found = resolved({"spark.authenticate": "false"})
        assert not found.authenticate
        assert "-Dspark.authenticate=false" in found.executor.java_options
        assert not any("secret" in name for name in found.properties)

    @pytest.mark.parametrize(
        "name", ["spark.network.crypto.enabled", "spark.authenticate.enableSaslEncryption"]
    )
    def test_encryption_is_a_switch_that_executors_know_from_the_start(self, name: str) -> None:
        found = resolved({name: "true"})
        assert found.rpc_encryption
        assert f"-D{name}=true" in found.executor.java_options
        assert found.properties[name] == "true"

    def test_encryption_needs_authentication(self) -> None:
        with pytest.raises(InvalidConfiguration) as caught:
            resolved({"spark.network.crypto.enabled": "true", "spark.authenticate": "false"})
        assert caught.value.field == "spark.network.crypto.enabled"

    def test_settings_of_the_connection_are_known_from_the_start_and_passwords_are_not(self) -> None:
        found = resolved(
            {
                "spark.rpc.askTimeout": " 10s ",
                "spark.network.timeout": "300s",
                "spark.ssl.ui.keyPassword": "hunter2",
                "spark.sql.shuffle.partitions": "4",
            }
        )
        options = found.executor.java_options
        assert {"-Dspark.rpc.askTimeout=10s", "-Dspark.network.timeout=300s"} <= set(options)
        assert not any(option.startswith(("-Dspark.ssl", "-Dspark.sql")) for option in options)
        assert found.executor.secret_env == ()
        assert found.properties["spark.ssl.ui.keyPassword"] == "hunter2"

    def test_a_setting_with_a_line_break_is_refused(self) -> None:
        with pytest.raises(InvalidConfiguration, match="line break"):
            resolved({"spark.rpc.note": "a\nb"})
