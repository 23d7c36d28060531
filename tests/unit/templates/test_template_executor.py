from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_spark_k8s.core.executor_pod import executor_pod
from airflow_spark_k8s.core.spec import Application, Manifests, MemorySum, PodShape, SecretEnv
from airflow_spark_k8s.exceptions import InvalidConfiguration, InvalidTemplate
from airflow_spark_k8s.templates.render import packaged_template
from airflow_spark_k8s.templates.validate import validate_pod

Render = Callable[..., Manifests]
MakeApplication = Callable[..., Application]
MakeShape = Callable[..., PodShape]

REPLACEMENT = """
apiVersion: v1
kind: Pod
metadata:
  name: fixed
  namespace: elsewhere
  labels: {spark-role: driver, team: "{{ params.team }}"}
spec:
  restartPolicy: Always
  priorityClassName: low
  containers:
    - name: spark-kubernetes-executor
      image: my/image
      env:
        - {name: SPARK_EXECUTOR_MEMORY, value: 1m}
        - {name: MINE, value: "1"}
"""


def container_of(manifests: Manifests) -> dict[str, Any]:
    containers = manifests.executor["spec"]["containers"]
    return next(c for c in containers if c["name"] == "spark-kubernetes-executor")


def env_of(manifests: Manifests) -> dict[str, Any]:
    return {v["name"]: v.get("value", v.get("valueFrom")) for v in container_of(manifests)["env"]}


def test_the_executor_is_told_all_but_what_only_its_pod_can_know(rendered: Render) -> None:
    manifests = rendered()
    assert env_of(manifests) == {
        "SPARK_EXECUTOR_POD_IP": {"fieldRef": {"fieldPath": "status.podIP"}},
        "SPARK_EXECUTOR_POD_NAME": {"fieldRef": {"fieldPath": "metadata.name"}},
        "SPARK_EXECUTOR_CORES": "1",
        "SPARK_EXECUTOR_MEMORY": "1024m",
        "SPARK_RESOURCE_PROFILE_ID": "0",
        "_SPARK_AUTH_SECRET": {
            "secretKeyRef": {"name": manifests.secret["metadata"]["name"], "key": "auth-secret-base64"}
        },
        "SPARK_JAVA_OPT_000": "-XX:+IgnoreUnrecognizedVMOptions",
        "SPARK_JAVA_OPT_001": "-Dapp={{APP_ID}}",
        "SPARK_LOCAL_DIRS": "/var/data/spark-local-dir",
    }
    assert container_of(manifests)["args"] == ["executor"]


def test_it_runs_once_without_access_to_the_api_server(rendered: Render) -> None:
    spec = rendered().executor["spec"]
    assert spec["restartPolicy"] == "Never"
    assert spec["automountServiceAccountToken"] is False


def test_names_of_java_options_sort_as_text_in_the_order_of_the_options(
    rendered: Render, application: MakeApplication, pod_shape: MakeShape
) -> None:
    options = tuple(f"-Dn={number}" for number in range(120))
    env = env_of(rendered(application(executor=pod_shape(java_options=options))))
    names = sorted(name for name in env if name.startswith("SPARK_JAVA_OPT_"))
    assert tuple(env[name] for name in names) == options


def test_a_java_option_that_is_secret_comes_from_the_secret_whatever_the_template(
    rendered: Render, application: MakeApplication, pod_shape: MakeShape
) -> None:
    option = SecretEnv("SPARK_JAVA_OPT_900", "env-executor-SPARK_JAVA_OPT_900", "-DtrustStorePassword=x")
    app = application(executor=pod_shape(secret_env=(option,)))
    for template in (None, REPLACEMENT):
        manifests = rendered(app, executor_template=template, context={"params": {"team": "a"}})
        assert env_of(manifests)["SPARK_JAVA_OPT_900"]["secretKeyRef"]["key"] == option.key


@pytest.mark.parametrize(
    ("port", "announced"),
    [
        pytest.param("7337", [7337], id="a fixed port"),
        pytest.param("0", [], id="any free port"),
        pytest.param(None, [], id="no port given"),
    ],
)
def test_the_block_managers_port_is_announced_if_it_is_known(
    port: str | None, announced: list[int], rendered: Render, application: MakeApplication
) -> None:
    properties = {} if port is None else {"spark.blockManager.port": port}
    ports = container_of(rendered(application(properties=properties))).get("ports", [])
    assert [announcement["containerPort"] for announcement in ports] == announced


def test_a_java_option_with_a_line_break_is_refused(
    rendered: Render, application: MakeApplication, pod_shape: MakeShape
) -> None:
    with pytest.raises(InvalidConfiguration, match="line break"):
        rendered(application(executor=pod_shape(java_options=("-Da=1\n-Db=2",))))


def test_the_pod_has_the_shape_that_the_conf_asks_for(
    rendered: Render, application: MakeApplication, pod_shape: MakeShape
) -> None:
    executor = pod_shape(
        memory=MemorySum(heap_mib=4096, overhead_mib=1638, offheap_mib=512),
        cores=4,
        cpu_request_quantity="3500m",
        cpu_limit_quantity="4",
        service_account="executors",
        node_selector={"pool": "spot"},
        labels={"team": "a"},
        annotations={"note": "x"},
        env={"GREETING": "$(NAME)"},
        secret_env=(SecretEnv("API_TOKEN", "env-executor-API_TOKEN", "hunter2"),),
        termination_grace_period_seconds=120,
    )
    manifests = rendered(application(executor=executor))
    spec, metadata = manifests.executor["spec"], manifests.executor["metadata"]
    assert container_of(manifests)["resources"] == {
        "requests": {"cpu": "3500m", "memory": "6246Mi"},
        "limits": {"cpu": "4", "memory": "6246Mi"},
    }
    assert env_of(manifests)["SPARK_EXECUTOR_CORES"] == "4"
    assert env_of(manifests)["SPARK_EXECUTOR_MEMORY"] == "4096m"
    assert env_of(manifests)["GREETING"] == "$$(NAME)"
    assert env_of(manifests)["API_TOKEN"]["secretKeyRef"]["key"] == "env-executor-API_TOKEN"
    assert spec["serviceAccountName"] == "executors"
    assert spec["nodeSelector"] == {"pool": "spot"}
    assert spec["terminationGracePeriodSeconds"] == 120
    assert metadata["labels"]["team"] == "a"
    assert metadata["annotations"]["note"] == "x"


@pytest.mark.parametrize(
    ("properties", "pre_stop"),
    [
        pytest.param({}, None, id="no hook by default"),
        pytest.param({"spark.decommission.enabled": "false"}, None, id="no hook when it is off"),
        pytest.param(
            {"spark.decommission.enabled": "true"},
            {"exec": {"command": ["/opt/decom.sh"]}},
            id="the image's script when it is on",
        ),
    ],
)
def test_graceful_decommissioning(
    properties: dict[str, str], pre_stop: Any, rendered: Render, application: MakeApplication
) -> None:
    container = container_of(rendered(application(properties=properties)))
    assert container.get("lifecycle", {}).get("preStop") == pre_stop


@pytest.mark.parametrize(
    ("app", "driver_env", "name", "value"),
    [
        pytest.param(
            {"properties": {"spark.executor.extraClassPath": "/a/*"}},
            {},
            "SPARK_CLASSPATH",
            "/a/*",
            id="class path",
        ),
        pytest.param(
            {"properties": {"spark.executor.extraLibraryPath": "/lib"}},
            {},
            "SPARK_EXECUTOR_LIBRARY_PATH",
            "/lib",
            id="library path",
        ),
        pytest.param({}, {"SPARK_USER": "alice"}, "SPARK_USER", "alice", id="the driver's user"),
    ],
)
def test_what_a_driver_would_hand_to_its_own_executors(
    app: dict[str, Any],
    driver_env: dict[str, str],
    name: str,
    value: str,
    rendered: Render,
    application: MakeApplication,
    pod_shape: MakeShape,
) -> None:
    assert env_of(rendered(application(**app, driver=pod_shape(env=driver_env))))[name] == value


def test_without_authentication_there_is_no_secret(rendered: Render, application: MakeApplication) -> None:
    assert "_SPARK_AUTH_SECRET" not in env_of(rendered(application(authenticate=False)))


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param({"env": {"SPARK_EXECUTOR_ID": "7"}}, id="the executor's id"),
        pytest.param({"secret_env": (SecretEnv("_SPARK_AUTH_SECRET", "k", "v"),)}, id="the secret"),
    ],
)
def test_a_variable_that_only_spark_can_know_cannot_be_set(
    shape: dict[str, Any], rendered: Render, application: MakeApplication, pod_shape: MakeShape
) -> None:
    with pytest.raises(InvalidConfiguration, match=r"spark\.executorEnv\."):
        rendered(application(executor=pod_shape(**shape)))


def test_what_executors_depend_on_is_put_back_into_a_replaced_template(rendered: Render) -> None:
    manifests = rendered(executor_template=REPLACEMENT, context={"params": {"team": "a"}})
    metadata, plain = manifests.executor["metadata"], rendered().executor["metadata"]
    assert metadata == {**plain, "labels": {**plain["labels"], "team": "a"}}
    assert manifests.executor["spec"]["restartPolicy"] == "Never"
    assert manifests.executor["spec"]["priorityClassName"] == "low"
    assert env_of(manifests)["SPARK_EXECUTOR_MEMORY"] == "1024m"
    assert env_of(manifests)["MINE"] == "1"


def test_the_packaged_template_replaces_itself(rendered: Render) -> None:
    assert rendered(executor_template=packaged_template("executor.yaml.j2")) == rendered()


def test_a_patch_adds_a_sidecar(rendered: Render) -> None:
    sidecar = {"name": "proxy", "image": "envoy:{{ params.version }}"}
    manifests = rendered(
        executor_template={"spec": {"containers": [sidecar]}}, context={"params": {"version": "1"}}
    )
    assert [c["name"] for c in manifests.executor["spec"]["containers"]] == [
        "spark-kubernetes-executor",
        "proxy",
    ]
    assert manifests.executor["spec"]["containers"][1]["image"] == "envoy:1"


def test_a_job_is_no_pod(rendered: Render) -> None:
    with pytest.raises(InvalidTemplate, match="must be 'v1'"):
        rendered(executor_template=packaged_template("driver.yaml.j2"))


def test_with_id_driver_and_owner_it_is_a_valid_pod(rendered: Render) -> None:
    pod = executor_pod(
        rendered().executor,
        driver_name="reports-daily-0a1b2c3d4e-r0-x7k2p",
        driver_uid="u",
        driver_ip="10.0.0.1",
        executor_id=1,
    )
    validate_pod(pod)


def test_both_pods_pass_pod_security_restricted(rendered: Render) -> None:
    manifests = rendered()
    for spec in (manifests.executor["spec"], manifests.job["spec"]["template"]["spec"]):
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] != 0
        assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert all({"emptyDir", "secret", "configMap"} & volume.keys() for volume in spec["volumes"])
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }
            assert not any("hostPort" in port for port in container.get("ports", []))
