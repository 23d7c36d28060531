from __future__ import annotations

from typing import Any

import pytest

from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.resolve import DEADLINE_MARGIN_SECONDS, resolve
from airflow_spark_k8s.core.spec import AllocationSettings, Application, UserFile
from airflow_spark_k8s.exceptions import InvalidConfiguration

IMAGE = "apache/spark:4.3.0"


def resolved(conf: dict[str, str] | None = None, **changes: Any) -> Application:
    return resolve(
        ApplicationRequest(
            **{"application": "local:///app.py", "image": IMAGE, "conf": conf or {}, **changes}
        )
    )


def refused(conf: dict[str, str] | None = None, **changes: Any) -> InvalidConfiguration:
    with pytest.raises(InvalidConfiguration) as caught:
        resolved(conf, **changes)
    return caught.value


class TestApplication:
    @pytest.mark.parametrize(
        ("application", "primary", "is_python"),
        [
            pytest.param("local:///opt/app.py", "/opt/app.py", True, id="Python in the image: its path"),
            pytest.param("local:/opt/app.py", "/opt/app.py", True, id="one slash means the same"),
            pytest.param("local:///opt/my%20app.py", "/opt/my app.py", True, id="escapes are resolved"),
            pytest.param("local:///opt/app.R", "/opt/app.R", False, id="R in the image: its path"),
            pytest.param("local:///opt/app.jar", "local:///opt/app.jar", False, id="a jar keeps its scheme"),
            pytest.param("s3a://bucket/app.py", "s3a://bucket/app.py", True, id="remote Python"),
            pytest.param("hdfs:///app.jar", "hdfs:///app.jar", False, id="a remote jar"),
            pytest.param(" https://host/app.py ", "https://host/app.py", True, id="blanks around"),
        ],
    )
    def test_what_is_not_shipped_is_in_the_image_or_remote(
        self, application: str, primary: str, is_python: bool
    ) -> None:
        found = resolved(application=application)
        assert (found.primary_resource, found.is_python, found.user_file) == (primary, is_python, None)

    @pytest.mark.parametrize("name", ["pi.py", "app.jar"])
    def test_the_users_own_file_is_shipped(self, name: str) -> None:
        user_file = UserFile(name, b"x" * 1_000_000)
        found = resolved(application=f"jobs/{name}", user_file=user_file)
        assert found.primary_resource == f"/opt/airflow-spark-k8s/app/{name}"
        assert found.user_file == user_file
        assert found.is_python is (name == "pi.py")

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            pytest.param({"application": "  "}, "must name the application", id="nothing"),
            pytest.param({"application": "jobs/pi.py"}, "local:///path", id="a path without its content"),
            pytest.param({"application": "file:///app.py"}, "local:///path", id="a file of which machine?"),
            pytest.param(
                {"application": "local://opt/app.py"}, "three slashes", id="a host instead of a path"
            ),
            pytest.param({"application": "local:app.py"}, "three slashes", id="a relative path in the image"),
            pytest.param({"application": "pyspark-shell"}, "interactive", id="a shell"),
            pytest.param(
                {"application": "a.py", "user_file": UserFile("a.py", b"x" * 1_000_001)},
                "1000001 bytes, more than the 1000000.*image.*object store",
                id="too large",
            ),
            pytest.param(
                {"application": "my app.py", "user_file": UserFile("my app.py", b"")},
                "rename the file",
                id="no name for a ConfigMap's key",
            ),
            pytest.param(
                {"application": "s3a://b/a.py", "user_file": UserFile("a.py", b"")},
                "not read from the DAG bundle",
                id="a URI with content",
            ),
        ],
    )
    def test_an_application_that_the_driver_cannot_reach_is_refused(
        self, changes: dict[str, Any], told: str
    ) -> None:
        error = refused(**changes)
        assert error.field == "application"
        with pytest.raises(InvalidConfiguration, match=told):
            raise error

    def test_a_main_class_is_for_jars(self) -> None:
        assert resolved(application="local:///app.jar", main_class="org.Main").main_class == "org.Main"
        assert resolved(application="local:///app.jar").main_class is None
        assert refused(main_class="org.Main").field == "main_class"

    def test_a_class_that_the_image_has_already_needs_its_name(self) -> None:
        found = resolved(application="spark-internal", main_class="org.Main")
        assert found.primary_resource == "spark-internal"
        assert refused(application="spark-internal").field == "main_class"

    def test_arguments_are_kept_as_given(self) -> None:
        assert resolved(application_args=("200", " $(X) ")).arguments == ("200", " $(X) ")


class TestDependencies:
    def test_operators_arguments_become_properties(self) -> None:
        found = resolved(
            py_files=("local:///lib/a.zip", "s3a://b/c.py"),
            jars=("local:///lib/a.jar",),
            files=("https://host/x.conf#y",),
            packages=("org:name:1.0",),
        ).properties
        # the driver serves its Python files to executors only if they are named by path
        assert found["spark.submit.pyFiles"] == "/lib/a.zip,s3a://b/c.py"
        assert found["spark.jars"] == "local:///lib/a.jar"
        assert found["spark.files"] == "https://host/x.conf#y"
        assert found["spark.jars.packages"] == "org:name:1.0"

    def test_the_confs_properties_mean_the_same(self) -> None:
        found = resolved({"spark.submit.pyFiles": "local:///lib/a.zip", "spark.jars": "s3a://b/a.jar"})
        assert found.properties["spark.submit.pyFiles"] == "/lib/a.zip"
        assert found.properties["spark.jars"] == "s3a://b/a.jar"

    def test_packages_are_kept_where_the_driver_may_write(self) -> None:
        assert "spark.jars.ivy" not in resolved().properties
        assert resolved(packages=("a:b:1",)).properties["spark.jars.ivy"] == "/tmp/.ivy2"
        chosen = resolved({"spark.jars.ivy": "/data", "spark.jars.packages": "a:b:1"}).properties
        assert chosen["spark.jars.ivy"] == "/data"

    def test_the_operators_argument_replaces_the_connections_property(self) -> None:
        found = resolved(jars=("s3a://b/a.jar",), default_conf={"spark.jars": "s3a://b/other.jar"})
        assert found.properties["spark.jars"] == "s3a://b/a.jar"

    @pytest.mark.parametrize(
        ("conf", "changes", "field"),
        [
            pytest.param({}, {"py_files": ("lib/a.py",)}, "py_files", id="a relative path"),
            pytest.param({}, {"files": ("/etc/x",)}, "files", id="an absolute path"),
            pytest.param({}, {"jars": ("local://lib/a.jar",)}, "jars", id="a host instead of a path"),
            pytest.param({"spark.jars": "file:///a.jar"}, {}, "spark.jars", id="a file in the conf"),
            pytest.param({"spark.archives": "env.tgz#env"}, {}, "spark.archives", id="an archive"),
            pytest.param(
                {"spark.files": "s3a://b/x"}, {"files": ("s3a://b/y",)}, "spark.files", id="a contradiction"
            ),
        ],
    )
    def test_what_the_driver_cannot_reach_is_refused(
        self, conf: dict[str, str], changes: dict[str, Any], field: str
    ) -> None:
        assert refused(conf, **changes).field == field


class TestImageAndVersion:
    @pytest.mark.parametrize(
        ("image", "version"),
        [
            ("apache/spark:4.3.0-scala2.13-java17-python3-ubuntu", (4, 3, 0)),
            ("spark:4.0.1", (4, 0, 1)),
            ("reg:5000/x/spark:v3.5.9", (3, 5, 9)),
            ("reg/etl:spark-4.1.4_build7", (4, 1, 4)),
            ("apache/spark:4.3.0@sha256:abc", (4, 3, 0)),
        ],
    )
    def test_the_version_is_read_from_the_tag(self, image: str, version: tuple[int, int, int]) -> None:
        assert resolved(image=image).spark_version == version

    @pytest.mark.parametrize(
        "image",
        ["apache/spark", "reg:5000/x/spark", "spark:latest", "spark@sha256:abc", "spark:4.3", "x:4.3.0rc"],
    )
    def test_an_image_that_does_not_tell_needs_the_version_said(self, image: str) -> None:
        error = refused(image=image)
        assert (error.field, error.value) == ("image", image)
        assert "spark_version" in error.remedy
        assert resolved(image=image, spark_version="4.0.5").spark_version == (4, 0, 5)
        assert resolved(image=image, default_spark_version="4.0.6").spark_version == (4, 0, 6)

    def test_the_operators_version_counts_first(self) -> None:
        found = resolved(spark_version=" 4.0.5 ", default_spark_version="4.1.4")
        assert found.spark_version == (4, 0, 5)

    @pytest.mark.parametrize("version", ["4.3", "four", "4.3.x", ""])
    def test_a_version_has_three_numbers(self, version: str) -> None:
        if version:
            assert refused(spark_version=version).field == "spark_version"
        assert refused(image="x", default_spark_version=version).value in (version, "x")

    def test_spark_older_than_3_5_is_refused(self) -> None:
        error = refused(image="apache/spark:3.4.4")
        assert (error.field, error.value) == ("spark_version", "3.4.4")

    @pytest.mark.parametrize(
        ("conf", "changes", "images"),
        [
            pytest.param({}, {"image": "a:4.3.0"}, ("a:4.3.0", "a:4.3.0"), id="the operator's"),
            pytest.param(
                {"spark.kubernetes.container.image": "a:4.3.0"}, {}, ("a:4.3.0", "a:4.3.0"), id="the conf's"
            ),
            pytest.param(
                {
                    "spark.kubernetes.container.image": "a:4.3.0",
                    "spark.kubernetes.executor.container.image": "b:4.3.0",
                },
                {},
                ("a:4.3.0", "b:4.3.0"),
                id="another one for executors",
            ),
            pytest.param({}, {"default_image": "c:4.3.0"}, ("c:4.3.0", "c:4.3.0"), id="the connection's"),
            pytest.param(
                {"spark.kubernetes.container.image": "a:4.3.0"},
                {"default_image": "c:4.3.0"},
                ("a:4.3.0", "a:4.3.0"),
                id="the conf's before the connection's",
            ),
            pytest.param(
                {},
                {"default_conf": {"spark.kubernetes.driver.container.image": "d:4.3.0"}, "image": "a:4.3.0"},
                ("a:4.3.0", "a:4.3.0"),
                id="the operator's before the connection's conf",
            ),
            pytest.param(
                {"spark.kubernetes.container.image": "a:4.3.0"},
                {"default_conf": {"spark.kubernetes.driver.container.image": "d:4.3.0"}},
                ("a:4.3.0", "a:4.3.0"),
                id="the task's conf before the connection's, however special",
            ),
            pytest.param(
                {},
                {"default_conf": {"spark.kubernetes.container.image": "d:4.3.0"}, "default_image": "d:4.3.0"},
                ("d:4.3.0", "d:4.3.0"),
                id="the connection says it twice",
            ),
            pytest.param(
                {},
                {"image": "etl:{{SPARK_VERSION}}", "spark_version": "4.3.0"},
                ("etl:4.3.0", "etl:4.3.0"),
                id="Spark's placeholder for its version",
            ),
        ],
    )
    def test_images_by_precedence(
        self, conf: dict[str, str], changes: dict[str, Any], images: tuple[str, str]
    ) -> None:
        found = resolved(conf, **{"image": None, **changes})
        assert (found.driver.image, found.executor.image) == images
        assert found.properties["spark.kubernetes.container.image"] == images[0]
        assert found.properties.get("spark.kubernetes.executor.container.image", images[0]) == images[1]

    @pytest.mark.parametrize(
        ("conf", "changes", "field"),
        [
            pytest.param({}, {"image": None}, "image", id="no image anywhere"),
            pytest.param({}, {"image": "a b:4.3.0"}, "image", id="a blank"),
            pytest.param(
                {"spark.kubernetes.container.image": "b:4.3.0"},
                {},
                "spark.kubernetes.container.image",
                id="argument and conf",
            ),
            pytest.param(
                {"spark.kubernetes.executor.container.image": "apache/spark:4.2.1"},
                {"image": None, "default_image": IMAGE},
                "spark.kubernetes.executor.container.image",
                id="two versions",
            ),
            pytest.param(
                {},
                {
                    "image": None,
                    "default_image": IMAGE,
                    "default_conf": {"spark.kubernetes.container.image": "b:4.3.0"},
                },
                "image (from the connection)",
                id="the connection contradicts itself",
            ),
        ],
    )
    def test_images_that_cannot_work_are_refused(
        self, conf: dict[str, str], changes: dict[str, Any], field: str
    ) -> None:
        assert refused(conf, **changes).field == field


class TestNames:
    @pytest.mark.parametrize(
        ("conf", "changes", "app_name"),
        [
            pytest.param({"spark.app.name": "conf"}, {"name": "conf"}, "conf", id="said twice"),
            pytest.param({}, {"name": "argument", "default_name": "default"}, "argument", id="the argument"),
            pytest.param({"spark.app.name": "conf"}, {"default_name": "default"}, "conf", id="the conf"),
            pytest.param({}, {"default_name": "default"}, "default", id="the default"),
            pytest.param({}, {}, "app.py", id="the file, as with spark-submit"),
            pytest.param(
                {},
                {"application": "local:///app.jar", "main_class": "org.Main"},
                "org.Main",
                id="the class, as with spark-submit",
            ),
            pytest.param(
                {},
                {"name": "argument", "default_conf": {"spark.app.name": "connection"}},
                "argument",
                id="the argument before the connection",
            ),
        ],
    )
    def test_the_application_is_called_what_was_said_first(
        self, conf: dict[str, str], changes: dict[str, Any], app_name: str
    ) -> None:
        found = resolved(conf, **changes)
        assert found.app_name == app_name
        assert found.properties["spark.app.name"] == app_name

    @pytest.mark.parametrize(
        ("conf", "changes", "namespace"),
        [
            ({}, {}, "default"),
            ({}, {"default_namespace": "jobs"}, "jobs"),
            ({"spark.kubernetes.namespace": "conf"}, {"default_namespace": "jobs"}, "conf"),
            ({}, {"namespace": "argument", "default_namespace": "jobs"}, "argument"),
        ],
    )
    def test_the_namespace_is_what_was_said_first(
        self, conf: dict[str, str], changes: dict[str, Any], namespace: str
    ) -> None:
        found = resolved(conf, **changes)
        assert found.namespace == namespace
        assert found.properties["spark.kubernetes.namespace"] == namespace

    @pytest.mark.parametrize(
        ("conf", "changes", "field"),
        [
            ({"spark.app.name": "a"}, {"name": "b"}, "spark.app.name"),
            ({"spark.kubernetes.namespace": "a"}, {"namespace": "b"}, "spark.kubernetes.namespace"),
            ({}, {"namespace": "Not_Valid"}, "namespace"),
        ],
    )
    def test_contradictions_and_illegal_names_are_refused(
        self, conf: dict[str, str], changes: dict[str, Any], field: str
    ) -> None:
        assert refused(conf, **changes).field == field


class TestAllocation:
    @pytest.mark.parametrize(
        ("version", "batch_size"),
        [("3.5.9", 5), ("4.0.5", 10), ("4.1.4", 10), ("4.2.1", 20), ("4.3.0", 20), ("5.0.0", 20)],
    )
    def test_defaults_are_those_of_the_version(self, version: str, batch_size: int) -> None:
        found = resolved(spark_version=version).allocation
        assert found == AllocationSettings(target=2, batch_size=batch_size)

    def test_properties_are_honoured(self) -> None:
        found = resolved(
            {
                "spark.executor.instances": "300",
                "spark.kubernetes.allocation.batch.size": "50",
                "spark.kubernetes.allocation.batch.delay": "3min",
                "spark.kubernetes.allocation.maxPendingPods": "40",
                "spark.kubernetes.allocation.maxPendingPodsPerRp": "30",
            }
        ).allocation
        assert found == AllocationSettings(
            target=300,
            batch_size=50,
            batch_delay_seconds=180.0,
            max_pending_pods=30,
            request_timeout_seconds=900.0,  # five delays, if longer than the timeout
        )

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("spark.executor.instances", "0"),
            ("spark.executor.instances", "-1"),
            ("spark.executor.instances", "many"),
            ("spark.kubernetes.allocation.batch.size", "0"),
            ("spark.kubernetes.allocation.batch.delay", "100ms"),
            ("spark.kubernetes.allocation.batch.delay", "soon"),
            ("spark.kubernetes.allocation.executor.timeout", "0s"),
            ("spark.kubernetes.allocation.maxPendingPods", "0"),
        ],
    )
    def test_impossible_values_are_refused_by_name(self, name: str, value: str) -> None:
        assert refused({name: value}).field == name

    def test_the_profiles_limit_is_at_most_the_applications(self) -> None:
        conf = {
            "spark.kubernetes.allocation.maxPendingPods": "10",
            "spark.kubernetes.allocation.maxPendingPodsPerRp": "11",
        }
        assert refused(conf).field == "spark.kubernetes.allocation.maxPendingPodsPerRp"

    def test_the_connections_defaults_count_where_the_task_is_silent(self) -> None:
        default_conf = {"spark.executor.instances": "5", "spark.executor.cores": "4"}
        found = resolved({"spark.executor.instances": "6"}, default_conf=default_conf)
        assert (found.allocation.target, found.executor.cores) == (6, 4)


class TestLimits:
    def test_kubernetes_deadline_is_behind_the_tasks_own(self) -> None:
        assert resolved().active_deadline_seconds is None
        found = resolved(execution_timeout_seconds=60.5)
        assert found.active_deadline_seconds == 61 + DEADLINE_MARGIN_SECONDS

    @pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf"), float("nan")])
    def test_a_timeout_is_longer_than_zero(self, seconds: float) -> None:
        assert refused(execution_timeout_seconds=seconds).field == "execution_timeout"

    def test_restarts_may_be_forbidden(self) -> None:
        assert resolved(max_driver_restarts=0).max_driver_restarts == 0
        assert resolved().max_driver_restarts == 3

    @pytest.mark.parametrize("restarts", [-1, 1.5, True, "3"])
    def test_restarts_are_a_whole_number(self, restarts: object) -> None:
        assert refused(max_driver_restarts=restarts).field == "max_driver_restarts"
