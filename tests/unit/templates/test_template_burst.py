"""Executors that burst, and those beside them that do not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import yaml

from airflow_spark_k8s.core.quantities import parse_quantity_bytes
from airflow_spark_k8s.core.request import ApplicationRequest, Shaping
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.settings import PLAIN_EXECUTOR_KEY, ControllerSettings
from airflow_spark_k8s.core.spec import Application, Burst, Manifest, Manifests, MemorySum, PodShape, UserFile
from airflow_spark_k8s.templates.display import displayed

Render = Callable[..., Manifests]
MakeApplication = Callable[..., Application]
MakeShape = Callable[..., PodShape]

MEMORY = MemorySum(heap_mib=40960, overhead_mib=10240)
SPREAD = {
    "topologyKey": "kubernetes.io/hostname",
    "maxSkew": 1,
    "whenUnsatisfiable": "ScheduleAnyway",
}
AGAINST_LARGE = {
    "weight": 100,
    "podAffinityTerm": {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": {"airflow-spark-k8s/shared-memory": "large"}},
    },
}


@pytest.fixture
def bursting(application: MakeApplication, pod_shape: MakeShape) -> MakeApplication:
    """Makes an application whose executors share `shared_mib` of their memory."""

    def make(shared_mib: int = 9216, fraction: Fraction = Fraction(1), **changes: Any) -> Application:
        shape = pod_shape(memory=MEMORY, shared_mib=shared_mib)
        plain = None if fraction == 1 else replace(shape, shared_mib=0)
        burst = Burst(Fraction("1.2"), fraction)
        return application(executor=shape, plain_executor=plain, burst=burst, **changes)

    return make


def spark_container(pod: Manifest) -> dict[str, Any]:
    return next(c for c in pod["spec"]["containers"] if c["name"] == "spark-kubernetes-executor")


def memory_of(pod: Manifest) -> dict[str, str]:
    resources = spark_container(pod)["resources"]
    return {kind: resources[kind]["memory"] for kind in ("requests", "limits")}


def memory_labels(pod: Manifest) -> dict[str, str]:
    keys = ("airflow-spark-k8s/memory", "airflow-spark-k8s/shared-memory")
    return {key: value for key, value in pod["metadata"]["labels"].items() if key in keys}


class TestExecutor:
    def test_it_requests_less_than_it_may_use(self, rendered: Render, bursting: MakeApplication) -> None:
        assert memory_of(rendered(bursting()).executor) == {"requests": "41984Mi", "limits": "51200Mi"}

    @pytest.mark.parametrize(
        ("shared_mib", "size"),
        [(0, "none"), (1, "small"), (1023, "small"), (1024, "medium"), (4095, "medium"), (4096, "large")],
    )
    def test_labels_tell_how_much_it_shares(
        self, shared_mib: int, size: str, rendered: Render, bursting: MakeApplication
    ) -> None:
        assert memory_labels(rendered(bursting(shared_mib)).executor) == {
            "airflow-spark-k8s/memory": "burst",
            "airflow-spark-k8s/shared-memory": size,
        }

    def test_no_template_changes_these_labels(self, rendered: Render, bursting: MakeApplication) -> None:
        patch = {"metadata": {"labels": {"airflow-spark-k8s/shared-memory": "none"}}}
        labels = rendered(bursting(), executor_template=patch).executor["metadata"]["labels"]
        assert labels["airflow-spark-k8s/shared-memory"] == "large"

    def test_executors_of_one_application_are_spread_over_nodes(
        self, rendered: Render, bursting: MakeApplication
    ) -> None:
        manifests = rendered(bursting(shared_mib=100))
        (constraint,) = manifests.executor["spec"]["topologySpreadConstraints"]
        selected = constraint.pop("labelSelector")["matchLabels"]
        assert constraint == SPREAD
        assert selected == {
            "airflow-spark-k8s/application": manifests.application,
            "spark-role": "executor",
        }
        assert selected.items() <= manifests.executor["metadata"]["labels"].items()

    @pytest.mark.parametrize(
        ("shared_mib", "terms"),
        [
            pytest.param(4096, [AGAINST_LARGE], id="one that shares much"),
            pytest.param(4095, [], id="one that shares less"),
            pytest.param(0, [], id="one that shares nothing"),
        ],
    )
    def test_pods_that_share_much_avoid_each_other(
        self,
        shared_mib: int,
        terms: list[dict[str, Any]],
        rendered: Render,
        bursting: MakeApplication,
    ) -> None:
        affinity = rendered(bursting(shared_mib)).executor["spec"].get("affinity", {})
        found = affinity.get("podAntiAffinity", {}).get("preferredDuringSchedulingIgnoredDuringExecution", [])
        assert found == terms

    def test_without_bursting_nothing_of_it_is_there(self, rendered: Render) -> None:
        executor = rendered().executor
        assert memory_labels(executor) == {}
        assert not {"affinity", "topologySpreadConstraints", "priorityClassName"} & executor["spec"].keys()
        assert len(set(memory_of(executor).values())) == 1

    def test_the_driver_is_as_without_bursting(self, rendered: Render, bursting: MakeApplication) -> None:
        assert rendered(bursting()).job["spec"]["template"] == rendered().job["spec"]["template"]


WITHOUT = """
apiVersion: v1
kind: Pod
spec:
  containers:
    - name: spark-kubernetes-executor
      image: {{ spark.executor.image }}
      resources:
        requests: {{ spark.executor.requests | tojson }}
        limits: {{ spark.executor.limits | tojson }}
"""
ZONES = {**SPREAD, "topologyKey": "topology.kubernetes.io/zone", "labelSelector": {"matchLabels": {"a": "b"}}}
ANTI_AFFINITY: dict[str, Any] = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
OTHER = WITHOUT.replace(
    "  containers:",
    "  topologySpreadConstraints: " + json.dumps([ZONES]) + "\n"
    "  affinity: " + json.dumps(ANTI_AFFINITY) + "\n"
    "  containers:",
)
HOSTNAMES_DELETED = {"topologyKey": "kubernetes.io/hostname", "$patch": "delete"}


@pytest.mark.parametrize(
    ("template", "spread", "affinity"),
    [
        pytest.param(
            {"spec": {"topologySpreadConstraints": None, "affinity": None}},
            None,
            None,
            id="turned off by a patch",
        ),
        pytest.param(WITHOUT, None, None, id="turned off by a text that has neither"),
        pytest.param(
            {"spec": {"topologySpreadConstraints": [HOSTNAMES_DELETED, ZONES], "affinity": ANTI_AFFINITY}},
            [ZONES],
            ANTI_AFFINITY,
            id="replaced by a patch",
        ),
        pytest.param(OTHER, [ZONES], ANTI_AFFINITY, id="replaced by a text"),
    ],
)
def test_spread_and_anti_affinity_are_the_templates_own(
    template: str | Mapping[str, Any],
    spread: object,
    affinity: object,
    rendered: Render,
    bursting: MakeApplication,
) -> None:
    executor = rendered(bursting(), executor_template=template).executor
    assert executor["spec"].get("topologySpreadConstraints") == spread
    assert executor["spec"].get("affinity") == affinity
    assert memory_of(executor) == {"requests": "41984Mi", "limits": "51200Mi"}


def test_a_patch_changes_the_spread_over_hostnames_in_one_place(
    rendered: Render, bursting: MakeApplication
) -> None:
    harder = {"topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
    patch = {"spec": {"topologySpreadConstraints": [harder]}}
    (constraint,) = rendered(bursting(), executor_template=patch).executor["spec"][
        "topologySpreadConstraints"
    ]
    assert constraint["whenUnsatisfiable"] == "DoNotSchedule"
    assert constraint["labelSelector"]["matchLabels"]["spark-role"] == "executor"


class TestPriority:
    def test_each_role_has_its_class(
        self, rendered: Render, application: MakeApplication, pod_shape: MakeShape
    ) -> None:
        app = application(
            driver=pod_shape(priority_class="drivers"), executor=pod_shape(priority_class="executors")
        )
        manifests = rendered(app)
        assert manifests.job["spec"]["template"]["spec"]["priorityClassName"] == "drivers"
        assert manifests.executor["spec"]["priorityClassName"] == "executors"

    def test_a_template_may_name_another(
        self, rendered: Render, application: MakeApplication, pod_shape: MakeShape
    ) -> None:
        patch = {"spec": {"priorityClassName": "high"}}
        app = application(executor=pod_shape(priority_class="executors"))
        assert rendered(app, executor_template=patch).executor["spec"]["priorityClassName"] == "high"


class TestPlainExecutors:
    def test_both_kinds_are_there_for_the_trigger(self, rendered: Render, bursting: MakeApplication) -> None:
        app = bursting(fraction=Fraction(1, 4))
        manifests = rendered(app)
        data = manifests.config_maps[0]["data"]
        assert json.loads(data["executor.json"]) == manifests.executor
        assert json.loads(data[PLAIN_EXECUTOR_KEY]) == manifests.plain_executor
        rollout = ControllerSettings.from_json(data["settings.json"]).rollout
        assert rollout is not None
        assert (rollout.factor, rollout.fraction) == ("1.2", "1/4")
        assert (rollout.request_mib, rollout.limit_mib) == (41984, 51200)

    def test_they_differ_in_what_they_share_only(self, rendered: Render, bursting: MakeApplication) -> None:
        manifests = rendered(bursting(fraction=Fraction(1, 4)))
        burst, plain = manifests.executor, manifests.plain_executor
        assert plain is not None
        assert memory_of(plain) == {"requests": "51200Mi", "limits": "51200Mi"}
        assert memory_labels(plain) == {
            "airflow-spark-k8s/memory": "plain",
            "airflow-spark-k8s/shared-memory": "none",
        }
        assert plain["spec"]["topologySpreadConstraints"] == burst["spec"]["topologySpreadConstraints"]
        assert "affinity" not in plain["spec"]
        labels = {**plain["metadata"]["labels"], **memory_labels(burst)}
        container = {**spark_container(plain), "resources": spark_container(burst)["resources"]}
        spec = {**plain["spec"], "containers": [container], "affinity": burst["spec"]["affinity"]}
        assert {**plain, "metadata": {**plain["metadata"], "labels": labels}, "spec": spec} == burst

    def test_a_template_sees_which_kind_it_makes(self, rendered: Render, bursting: MakeApplication) -> None:
        patch = {
            "metadata": {
                "annotations": {"note": "{{ spark.executor.shared_class }} {{ spark.executor.shared_mib }}"}
            }
        }
        manifests = rendered(bursting(fraction=Fraction(1, 2)), executor_template=patch)
        assert manifests.plain_executor is not None
        assert manifests.executor["metadata"]["annotations"]["note"] == "large 9216"
        assert manifests.plain_executor["metadata"]["annotations"]["note"] == "none 0"

    def test_there_are_none_if_all_executors_are_alike(
        self, rendered: Render, bursting: MakeApplication
    ) -> None:
        manifests = rendered(bursting())
        assert manifests.plain_executor is None
        assert PLAIN_EXECUTOR_KEY not in manifests.config_maps[0]["data"]

    def test_another_fraction_factor_or_shape_is_another_application(
        self, rendered: Render, bursting: MakeApplication
    ) -> None:
        quarter = bursting(fraction=Fraction(1, 4))
        assert quarter.plain_executor is not None
        others = [
            bursting(),
            bursting(fraction=Fraction(1, 2)),
            replace(quarter, burst=Burst(Fraction("1.3"), Fraction(1, 4))),
            replace(quarter, plain_executor=replace(quarter.plain_executor, env={"A": "1"})),
        ]
        hashes = {rendered(app).spec_hash for app in (quarter, *others)}
        assert len(hashes) == 1 + len(others)

    def test_both_are_shown(self, rendered: Render, bursting: MakeApplication) -> None:
        documents = list(yaml.safe_load_all(displayed(rendered(bursting(fraction=Fraction(1, 4))))))
        pods = [document for document in documents if document["kind"] == "Pod"]
        assert [pod["metadata"]["labels"]["airflow-spark-k8s/memory"] for pod in pods] == ["burst", "plain"]
        shown = next(document for document in documents if document["kind"] == "ConfigMap")["data"]
        assert shown["executor.json"] == "(the Pod above, as JSON)"
        assert shown[PLAIN_EXECUTOR_KEY] == "(the Pod above that does not burst, as JSON)"


@pytest.mark.parametrize(
    ("conf", "shaping"),
    [
        pytest.param({}, Shaping(), id="defaults"),
        pytest.param({"spark.executor.memory": "8g"}, Shaping(burst_factor="1.1"), id="a factor"),
        pytest.param(
            {"spark.executor.memory": "8g"},
            Shaping(burst_factor=2, min_guaranteed_ratio=0),
            id="nothing of the overhead is guaranteed",
        ),
        pytest.param(
            {"spark.executor.memoryOverhead": "6g"},
            Shaping(burst_factor=100, min_guaranteed_ratio=0),
            id="more overhead than heap",
        ),
        pytest.param(
            {"spark.memory.offHeap.enabled": "true", "spark.memory.offHeap.size": "4g"},
            Shaping(
                burst_factor=3,
                min_guaranteed_ratio=0,
                burst_offheap=True,
                min_guaranteed_offheap_ratio=0,
            ),
            id="off-heap memory bursts as well",
        ),
        pytest.param(
            {"spark.executor.pyspark.memory": "512m"},
            Shaping(burst_factor={"factor": 1.5, "fraction": 0.5}, min_guaranteed_ratio=0),
            id="half of the executors",
        ),
    ],
)
def test_the_jvm_gets_the_heap_alone_and_the_pod_requests_at_least_that(
    conf: dict[str, str], shaping: Shaping, rendered: Render
) -> None:
    request = ApplicationRequest(
        application="jobs/pi.py",
        user_file=UserFile("pi.py", b"print(1)"),
        image="apache/spark:4.3.0",
        conf=conf,
        shaping=shaping,
    )
    app = resolve(request)
    manifests = rendered(app)
    pods = [pod for pod in (manifests.executor, manifests.plain_executor) if pod is not None]
    assert len(pods) == (1 if app.plain_executor is None else 2)
    for pod in pods:
        env = {variable["name"]: variable.get("value") for variable in spark_container(pod)["env"]}
        assert env["SPARK_EXECUTOR_MEMORY"] == f"{app.executor.memory.heap_mib}m"
        assert not any("-Xm" in (value or "") for value in env.values())
        memory = {kind: parse_quantity_bytes(text, field=kind) for kind, text in memory_of(pod).items()}
        assert app.executor.memory.heap_mib * 1024**2 <= memory["requests"] <= memory["limits"]
        assert memory["limits"] == app.executor.memory.total_mib * 1024**2
