from __future__ import annotations

from pathlib import Path

from airflow_spark_k8s.local.spark_entrypoint import (
    BACKEND_CLASS,
    SparkPlace,
    class_path,
    entry_point,
    java_options,
)

PLACE = SparkPlace(
    spark_home=Path("/spark"),
    java_home=Path("/java"),
    work_folder=Path("/work"),
    temporary_folder=Path("/scratch"),
    java_options=("-XX:First",),
)


def test_a_driver_is_a_spark_submit_in_client_mode_bound_to_the_pods_address() -> None:
    env = {"SPARK_DRIVER_BIND_ADDRESS": "127.1.1.1", "SPARK_SUBMIT_OPTS": "-Dspark.executor.instances=0"}
    command = entry_point(["driver", "--class", "Main", "app.jar", "1"], env, PLACE)
    assert command.argv == (
        "/spark/bin/spark-submit",
        "--conf",
        "spark.driver.bindAddress=127.1.1.1",
        "--conf",
        "spark.executorEnv.SPARK_DRIVER_POD_IP=127.1.1.1",
        "--deploy-mode",
        "client",
        "--class",
        "Main",
        "app.jar",
        "1",
    )
    assert (
        command.env["SPARK_SUBMIT_OPTS"] == "-XX:First -Djava.io.tmpdir=/scratch -Dspark.executor.instances=0"
    )
    assert command.has_init


def test_an_executor_is_a_jvm_with_the_backend_and_what_the_variables_say() -> None:
    env = {
        "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@h:7078",
        "SPARK_EXECUTOR_ID": "7",
        "SPARK_EXECUTOR_CORES": "2",
        "SPARK_EXECUTOR_MEMORY": "1024m",
        "SPARK_APPLICATION_ID": "app",
        "SPARK_EXECUTOR_POD_IP": "127.1.1.2",
        "SPARK_RESOURCE_PROFILE_ID": "0",
        "SPARK_EXECUTOR_POD_NAME": "app-exec-7",
        "SPARK_JAVA_OPT_1": "-Done=1",
    }
    command = entry_point(["executor"], env, PLACE)
    assert command.argv[:6] == (
        "/java/bin/java",
        "-XX:First",
        "-Djava.io.tmpdir=/scratch",
        "-Done=1",
        "-Xms1024m",
        "-Xmx1024m",
    )
    backend = command.argv.index(BACKEND_CLASS)
    options = command.argv[backend + 1 :]
    assert dict(zip(options[::2], options[1::2], strict=True)) == {
        "--driver-url": "spark://CoarseGrainedScheduler@h:7078",
        "--executor-id": "7",
        "--cores": "2",
        "--app-id": "app",
        "--hostname": "127.1.1.2",
        "--resourceProfileId": "0",
        "--podName": "app-exec-7",
    }


def test_a_missing_variable_of_an_executor_is_passed_on_empty() -> None:
    argv = entry_point(["executor"], {}, PLACE).argv
    assert argv[argv.index("--cores") + 1] == ""


def test_any_other_argument_runs_as_it_is_and_without_an_init() -> None:
    command = entry_point(["bash", "-c", "true"], {"A": "1"}, PLACE)
    assert command.argv == ("bash", "-c", "true")
    assert not command.has_init


def test_java_options_come_in_the_lexical_order_of_their_names() -> None:
    env = {f"SPARK_JAVA_OPT_{n}": f"-Dn={n}" for n in (1, 2, 10)}
    assert java_options(env) == ("-Dn=1", "-Dn=10", "-Dn=2")


def test_the_class_path_begins_with_the_configuration_and_ends_with_the_working_directory() -> None:
    assert class_path({}, PLACE) == "/spark/conf::/spark/jars/*:/work:"
    env = {
        "SPARK_CONF_DIR": "/c",
        "HADOOP_CONF_DIR": "/h",
        "SPARK_CLASSPATH": "/a.jar",
        "SPARK_EXTRA_CLASSPATH": "/b.jar",
        "SPARK_DIST_CLASSPATH": "/d",
    }
    assert class_path(env, PLACE) == "/c:/h:/a.jar:/spark/jars/*:/b.jar:/work:/d"
