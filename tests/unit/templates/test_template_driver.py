from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_spark_k8s.core.spec import Application, Manifests, MemorySum, PodShape, SecretEnv, UserFile
from airflow_spark_k8s.exceptions import InvalidConfiguration, InvalidTemplate
from airflow_spark_k8s.templates.render import packaged_template

Render = Callable[..., Manifests]
MakeApplication = Callable[..., Application]
MakeShape = Callable[..., PodShape]

REPLACEMENT = """
apiVersion: batch/v1
kind: Job
metadata:
  name: my-own-name
  generateName: x-
  namespace: elsewhere
  finalizers: [mine/finalizer]
  labels: {team: a, airflow-spark-k8s/application: forged}
spec:
  suspend: false
  parallelism: 5
  completions: 5
  completionMode: Indexed
  backoffLimit: 6
  backoffLimitPerIndex: 1
  ttlSecondsAfterFinished: 0
  podReplacementPolicy: TerminatingOrFailed
  template:
    metadata:
      labels: {spark-role: executor, mine: "1"}
    spec:
      restartPolicy: OnFailure
      automountServiceAccountToken: false
      priorityClassName: high
      containers:
        - name: sidecar
          image: proxy
        - name: spark-kubernetes-driver
          image: {{ spark.driver.image }}
          command: [/my/entrypoint]
          args: {{ spark.arguments | tojson }}
          env:
            - {name: SPARK_SUBMIT_OPTS, value: "-Dmine=1 -Dspark.executor.instances=5"}
            - {name: POD_NAME, value: forged}
            - {name: MINE, value: $(POD_NAME)}
          volumeMounts:
            - {name: mine, mountPath: /opt/airflow-spark-k8s/conf, subPath: deep}
      volumes:
        - {name: mine, emptyDir: {}}
"""


def container_of(manifests: Manifests) -> dict[str, Any]:
    containers = manifests.job["spec"]["template"]["spec"]["containers"]
    return next(c for c in containers if c["name"] == "spark-kubernetes-driver")


def env_of(manifests: Manifests) -> dict[str, Any]:
    return {v["name"]: v.get("value", v.get("valueFrom")) for v in container_of(manifests)["env"]}


def pod_of(manifests: Manifests) -> dict[str, Any]:
    pod: dict[str, Any] = manifests.job["spec"]["template"]["spec"]
    return pod


def test_the_job_runs_one_driver_and_starts_another_only_after_a_disruption(rendered: Render) -> None:
    spec = rendered().job["spec"]
    assert {key: value for key, value in spec.items() if key != "template"} == {
        "suspend": True,
        "parallelism": 1,
        "completions": 1,
        "completionMode": "NonIndexed",
        "backoffLimit": 0,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {
            "rules": [
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
            ]
        },
        "ttlSecondsAfterFinished": 86400,
    }
    assert pod_of(rendered())["restartPolicy"] == "Never"


def test_a_driver_that_must_not_run_twice_fails_with_the_disruption(
    rendered: Render, application: MakeApplication
) -> None:
    rules = rendered(application(max_driver_restarts=0)).job["spec"]["podFailurePolicy"]["rules"]
    assert [rule["action"] for rule in rules] == ["FailJob"]


def test_the_driver_is_spark_submit_in_client_mode_under_the_pods_own_name(rendered: Render) -> None:
    assert container_of(rendered())["args"] == [
        "driver",
        "--master",
        "k8s://https://$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)",
        "--properties-file",
        "/opt/airflow-spark-k8s/conf/spark.properties",
        "--conf",
        "spark.app.id=$(POD_NAME)",
        "--conf",
        "spark.kubernetes.driver.pod.name=$(POD_NAME)",
        "--conf",
        "spark.driver.host=$(POD_IP)",
        "/opt/airflow-spark-k8s/app/pi.py",
        "200",
    ]


def test_arguments_reach_the_application_as_they_are(rendered: Render, application: MakeApplication) -> None:
    arguments = ("$(POD_NAME)", "a: b", "{{ ds }}", "- x", "", "100", "line\nbreak", "ümlaut \U0001f600 \x85")
    app = application(main_class="org.example.Main", arguments=arguments, primary_resource="s3a://b/$(x).jar")
    args = container_of(rendered(app))["args"]
    assert args[-11:-8] == ["--class", "org.example.Main", "s3a://b/$$(x).jar"]
    assert args[-8:] == ["$$(POD_NAME)", *arguments[1:]]


def test_the_driver_knows_its_pod_and_makes_no_executors(rendered: Render) -> None:
    assert env_of(rendered()) == {
        "POD_NAME": {"fieldRef": {"fieldPath": "metadata.name"}},
        "POD_IP": {"fieldRef": {"fieldPath": "status.podIP"}},
        "SPARK_DRIVER_BIND_ADDRESS": "$(POD_IP)",
        "SPARK_LOCAL_DIRS": "/var/data/spark-local-dir",
        "SPARK_SUBMIT_OPTS": "-Dspark.executor.instances=0",
    }


def test_variables_of_the_conf_are_set_and_secret_ones_refer_to_the_secret(
    rendered: Render, application: MakeApplication, pod_shape: MakeShape
) -> None:
    driver = pod_shape(
        env={"GREETING": "yes: $(NAME)", "SPARK_SUBMIT_OPTS": "-Dmine=1"},
        secret_env=(SecretEnv("API_TOKEN", "env-driver-API_TOKEN", "hunter2"),),
    )
    manifests = rendered(application(driver=driver))
    env = env_of(manifests)
    assert env["GREETING"] == "yes: $$(NAME)"
    assert env["SPARK_SUBMIT_OPTS"] == "-Dmine=1 -Dspark.executor.instances=0"
    assert env["API_TOKEN"] == {
        "secretKeyRef": {"name": manifests.secret["metadata"]["name"], "key": "env-driver-API_TOKEN"}
    }
    assert "hunter2" not in str(manifests.job)


def test_a_variable_that_tells_the_driver_who_it_is_cannot_be_set(
    rendered: Render, application: MakeApplication, pod_shape: MakeShape
) -> None:
    with pytest.raises(InvalidConfiguration) as error:
        rendered(application(driver=pod_shape(env={"POD_IP": "1.2.3.4"})))
    assert error.value.field == "spark.kubernetes.driverEnv.POD_IP"


def test_properties_and_secret_are_mounted_where_spark_looks(rendered: Render) -> None:
    manifests = rendered()
    mounted = {mount["mountPath"]: mount["name"] for mount in container_of(manifests)["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod_of(manifests)["volumes"]}
    conf = volumes[mounted["/opt/airflow-spark-k8s/conf"]]["secret"]
    secret = volumes[mounted["/opt/airflow-spark-k8s/secret"]]["secret"]
    assert conf["secretName"] == secret["secretName"] == manifests.secret["metadata"]["name"]
    assert conf["items"] == [{"key": "spark.properties", "path": "spark.properties"}]
    assert secret["items"] == [{"key": "auth-secret", "path": "auth-secret"}]
    assert "/opt/airflow-spark-k8s/app" not in mounted


def test_the_users_own_file_is_mounted(rendered: Render, application: MakeApplication) -> None:
    manifests = rendered(application(user_file=UserFile("pi.py", b"print(1)")))
    volumes = {volume["name"]: volume for volume in pod_of(manifests)["volumes"]}
    mounted = {mount["mountPath"]: mount["name"] for mount in container_of(manifests)["volumeMounts"]}
    config_map = volumes[mounted["/opt/airflow-spark-k8s/app"]]["configMap"]["name"]
    assert config_map in {config_map["metadata"]["name"] for config_map in manifests.config_maps}


def test_without_authentication_there_is_no_secret_file(
    rendered: Render, application: MakeApplication
) -> None:
    mounts = container_of(rendered(application(authenticate=False)))["volumeMounts"]
    assert "/opt/airflow-spark-k8s/secret" not in [mount["mountPath"] for mount in mounts]


@pytest.mark.parametrize(
    ("env", "properties", "paths"),
    [
        pytest.param({}, {}, ["/var/data/spark-local-dir"], id="one by default"),
        pytest.param(
            {}, {"spark.local.dir": "/a, /b,/a"}, ["/a", "/b"], id="those of spark.local.dir, once each"
        ),
        pytest.param(
            {"SPARK_LOCAL_DIRS": "/c"}, {"spark.local.dir": "/a"}, ["/c"], id="the variable wins, as in Spark"
        ),
    ],
)
def test_scratch_directories_are_volumes(
    env: dict[str, str],
    properties: dict[str, str],
    paths: list[str],
    rendered: Render,
    application: MakeApplication,
    pod_shape: MakeShape,
) -> None:
    manifests = rendered(application(driver=pod_shape(env=env), properties=properties))
    mounts = [m for m in container_of(manifests)["volumeMounts"] if m["name"].startswith("spark-local-dir-")]
    volumes = {volume["name"]: volume for volume in pod_of(manifests)["volumes"]}
    assert [mount["mountPath"] for mount in mounts] == paths
    assert all("emptyDir" in volumes[mount["name"]] for mount in mounts)
    assert env_of(manifests)["SPARK_LOCAL_DIRS"] == ",".join(paths)


def test_the_pod_has_the_shape_that_the_conf_asks_for(
    rendered: Render, application: MakeApplication, pod_shape: MakeShape
) -> None:
    driver = pod_shape(
        memory=MemorySum(heap_mib=2048, overhead_mib=819, pyspark_mib=100),
        cpu_request_quantity="500m",
        cpu_limit_quantity="2",
        image="registry.example:5000/spark:4.3.0",
        image_pull_policy="Always",
        image_pull_secrets=("registry",),
        service_account="spark-driver",
        labels={"team": "a", "spark-role": "forged"},
        annotations={"note": "x: y"},
        node_selector={"pool": "1"},
        scheduler_name="volcano",
        termination_grace_period_seconds=45,
    )
    manifests = rendered(application(driver=driver, active_deadline_seconds=3600))
    pod, template = pod_of(manifests), manifests.job["spec"]["template"]
    assert container_of(manifests)["resources"] == {
        "requests": {"cpu": "500m", "memory": "2967Mi"},
        "limits": {"cpu": "2", "memory": "2967Mi"},
    }
    assert container_of(manifests)["image"] == "registry.example:5000/spark:4.3.0"
    assert container_of(manifests)["imagePullPolicy"] == "Always"
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["serviceAccountName"] == "spark-driver"
    assert pod["nodeSelector"] == {"pool": "1"}
    assert pod["schedulerName"] == "volcano"
    assert pod["terminationGracePeriodSeconds"] == 45
    assert template["metadata"]["labels"]["team"] == "a"
    assert template["metadata"]["labels"]["spark-role"] == "driver"
    assert template["metadata"]["annotations"]["note"] == "x: y"
    assert manifests.job["spec"]["activeDeadlineSeconds"] == 3600


def test_every_object_carries_the_labels_of_the_application(
    rendered: Render, application: MakeApplication
) -> None:
    manifests = rendered(application(user_file=UserFile("pi.py", b"")))
    template = manifests.job["spec"]["template"]
    objects = [manifests.job, template, manifests.executor, manifests.secret, *manifests.config_maps]
    expected = {
        "airflow-spark-k8s/application": manifests.application,
        "airflow-spark-k8s/deployment": "prod",
        "airflow-spark-k8s/ti-id": "0193f0c2-0000-7000-8000-000000000001",
        "airflow-spark-k8s/try": "1",
    }
    for found in objects:
        assert expected.items() <= found["metadata"]["labels"].items()
        assert found["metadata"]["annotations"]["airflow-spark-k8s/run-id"] == "manual__2026-11-22"
        assert found is template or found["metadata"]["namespace"] == "team-a"


@pytest.mark.parametrize(
    ("app_name", "label"),
    [
        pytest.param("Daily Report", "daily-report", id="blanks and capitals"),
        pytest.param("--Ünï--", "n", id="signs at the ends"),
        pytest.param("x" * 80, "x" * 63, id="too long"),
        pytest.param("日本", "", id="nothing that a label may hold"),
    ],
)
def test_the_applications_name_becomes_a_label(
    app_name: str, label: str, rendered: Render, application: MakeApplication
) -> None:
    labels = rendered(application(app_name=app_name)).job["spec"]["template"]["metadata"]["labels"]
    assert labels["spark-app-name"] == label


class TestReplacement:
    def test_what_the_application_depends_on_is_put_back(self, rendered: Render) -> None:
        manifests, plain = rendered(driver_template=REPLACEMENT), rendered()
        job, expected = manifests.job, plain.job
        assert job["metadata"]["name"] == expected["metadata"]["name"]
        assert job["metadata"]["namespace"] == "team-a"
        assert "generateName" not in job["metadata"]
        assert "finalizers" not in job["metadata"]
        assert job["metadata"]["labels"] == {**expected["metadata"]["labels"], "team": "a"}
        assert {k: v for k, v in job["spec"].items() if k != "template"} == {
            k: v for k, v in expected["spec"].items() if k != "template"
        }
        assert pod_of(manifests)["restartPolicy"] == "Never"
        assert pod_of(manifests)["automountServiceAccountToken"] is True
        labels = job["spec"]["template"]["metadata"]["labels"]
        assert labels == {**expected["spec"]["template"]["metadata"]["labels"], "mine": "1"}

    def test_the_drivers_variables_and_mounts_are_put_back(self, rendered: Render) -> None:
        manifests = rendered(driver_template=REPLACEMENT)
        assert env_of(manifests) == {
            "POD_NAME": {"fieldRef": {"fieldPath": "metadata.name"}},
            "POD_IP": {"fieldRef": {"fieldPath": "status.podIP"}},
            "SPARK_DRIVER_BIND_ADDRESS": "$(POD_IP)",
            "MINE": "$(POD_NAME)",
            "SPARK_SUBMIT_OPTS": "-Dmine=1 -Dspark.executor.instances=5 -Dspark.executor.instances=0",
        }
        assert container_of(manifests)["env"][0]["name"] == "POD_NAME"
        mounts = {mount["mountPath"]: mount for mount in container_of(manifests)["volumeMounts"]}
        assert mounts["/opt/airflow-spark-k8s/conf"] == {
            "name": "airflow-spark-k8s-conf",
            "mountPath": "/opt/airflow-spark-k8s/conf",
            "readOnly": True,
        }
        assert container_of(manifests)["readinessProbe"]["tcpSocket"] == {"port": 7078}

    def test_all_else_is_the_templates(self, rendered: Render) -> None:
        manifests = rendered(driver_template=REPLACEMENT)
        assert pod_of(manifests)["priorityClassName"] == "high"
        assert container_of(manifests)["command"] == ["/my/entrypoint"]
        assert container_of(manifests)["args"] == ["200"]
        assert [c["name"] for c in pod_of(manifests)["containers"]] == ["sidecar", "spark-kubernetes-driver"]

    def test_the_packaged_template_replaces_itself(self, rendered: Render) -> None:
        again = rendered(driver_template=packaged_template("driver.yaml.j2"))
        assert again == rendered()

    def test_a_job_without_a_driver_container_is_refused(self, rendered: Render) -> None:
        with pytest.raises(InvalidTemplate, match="one container must be named spark-kubernetes-driver"):
            rendered(driver_template=REPLACEMENT.replace("name: spark-kubernetes-driver", "name: spark"))

    def test_a_pod_is_no_job(self, rendered: Render) -> None:
        with pytest.raises(InvalidTemplate, match=r"apiVersion='v1': must be 'batch/v1'"):
            rendered(driver_template=packaged_template("executor.yaml.j2"))


class TestPatch:
    def test_a_patch_changes_what_it_names(self, rendered: Render) -> None:
        patch = {
            "spec": {
                "template": {
                    "spec": {
                        "priorityClassName": "{{ params.priority }}",
                        "securityContext": {"runAsUser": 1000, "fsGroup": None},
                        "tolerations": [{"key": "spot", "operator": "Exists"}],
                        "containers": [
                            {"name": "spark-kubernetes-driver", "env": [{"name": "DAY", "value": "{{ ds }}"}]}
                        ],
                    }
                }
            }
        }
        context = {"params": {"priority": "high"}, "ds": "2026-11-22"}
        manifests = rendered(driver_template=patch, context=context)
        pod = pod_of(manifests)
        assert pod["priorityClassName"] == "high"
        assert pod["tolerations"] == [{"key": "spot", "operator": "Exists"}]
        assert pod["securityContext"]["runAsUser"] == 1000
        assert "fsGroup" not in pod["securityContext"]
        assert env_of(manifests)["DAY"] == "2026-11-22"
        assert container_of(manifests)["args"] == container_of(rendered())["args"]

    def test_a_scratch_directory_can_be_put_on_a_claim(self, rendered: Render) -> None:
        claim = {"name": "spark-local-dir-1", "persistentVolumeClaim": {"claimName": "fast"}}
        patch = {"spec": {"template": {"spec": {"volumes": [claim]}}}}
        assert claim in pod_of(rendered(driver_template=patch))["volumes"]

    @pytest.mark.parametrize(
        ("asked", "patched", "expected"),
        [
            pytest.param(3600, 60, 60, id="a template may shorten the deadline"),
            pytest.param(3600, 7200, 3600, id="but not lengthen it"),
            pytest.param(3600, None, 3600, id="nor remove it"),
            pytest.param(None, 60, 60, id="it may set one where the task has none"),
        ],
    )
    def test_deadline(
        self,
        asked: int | None,
        patched: int | None,
        expected: int,
        rendered: Render,
        application: MakeApplication,
    ) -> None:
        manifests = rendered(
            application(active_deadline_seconds=asked),
            driver_template={"spec": {"activeDeadlineSeconds": patched}},
        )
        assert manifests.job["spec"]["activeDeadlineSeconds"] == expected

    def test_a_wrong_field_is_refused_with_its_path(self, rendered: Render) -> None:
        containers = [{"name": "spark-kubernetes-driver", "imagee": "x"}]
        with pytest.raises(InvalidTemplate) as error:
            rendered(driver_template={"spec": {"template": {"spec": {"containers": containers}}}})
        assert error.value.field == "spec.template.spec.containers[0].imagee"

    def test_options_of_spark_submit_cannot_come_from_a_reference(self, rendered: Render) -> None:
        source = {"configMapKeyRef": {"name": "c", "key": "k"}}
        env = [{"name": "SPARK_SUBMIT_OPTS", "valueFrom": source}]
        containers = [{"name": "spark-kubernetes-driver", "env": env}]
        with pytest.raises(InvalidTemplate, match="SPARK_SUBMIT_OPTS"):
            rendered(driver_template={"spec": {"template": {"spec": {"containers": containers}}}})

    def test_options_that_hold_a_secret_stay_in_the_secret(
        self, rendered: Render, application: MakeApplication, pod_shape: MakeShape
    ) -> None:
        secret = SecretEnv("SPARK_SUBMIT_OPTS", "env-driver-SPARK_SUBMIT_OPTS", "-Dpassword=hunter2")
        env = env_of(rendered(application(driver=pod_shape(secret_env=(secret,)))))
        assert env["SPARK_SUBMIT_OPTS"]["secretKeyRef"]["key"] == "env-driver-SPARK_SUBMIT_OPTS"

    def test_a_list_is_no_template(self, rendered: Render) -> None:
        with pytest.raises(InvalidTemplate, match="dict that patches it"):
            rendered(driver_template=[{"spec": {}}])
