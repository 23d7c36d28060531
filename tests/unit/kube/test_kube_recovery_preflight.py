"""What is told of executors that run out of memory, before anything is created."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_spark_k8s.core.settings import SETTINGS_KEY, ControllerSettings
from airflow_spark_k8s.exceptions import ClusterError, Forbidden, InvalidConfiguration, NotFound
from airflow_spark_k8s.hooks.spark_kubernetes import connection_settings
from airflow_spark_k8s.kube.recovery_preflight import node_limit, recovery_warnings
from airflow_spark_k8s.operators.plan import Plan, arguments_of, make_plan
from airflow_spark_k8s.operators.spark_kubernetes_job import SparkKubernetesJobOperator
from airflow_spark_k8s.templates.objects import with_settings
from tests.unit.kube.fake_api import FakeApi

CONF = {"spark.executor.cores": "2", "spark.executor.memory": "4g", "spark.executor.memoryOverhead": "2g"}
LARGEST_MIB = 4096 + 2048 + (13824 - 4096)  # heap grows by half, three times
EXECUTOR = "spark-kubernetes-executor"


class Cluster(FakeApi):
    """Nodes of some sizes; refuses executor pods with more memory than `most_mib`."""

    def __init__(self, *nodes: str, most_mib: int = 10**6) -> None:
        super().__init__()
        self._nodes = [
            {"metadata": {"name": f"n{index}"}, "status": {"allocatable": {"memory": memory}}}
            for index, memory in enumerate(nodes)
        ]
        self._most_mib = most_mib
        self.labels: list[str | None] = []
        self.refuse_nodes: ClusterError | None = None

    def _answer(self, method: str, path: str, params: Any, body: Any, content_type: str) -> Any:
        if path == "/api/v1/nodes":
            self.labels.append(params.get("labelSelector"))
            if self.refuse_nodes is not None:
                raise self.refuse_nodes
            return {"items": self._nodes}
        if "priorityclasses" in path:
            if path.endswith("/steady"):
                return {}
            raise NotFound("no such class")
        if body is not None and memory_mib(body) > self._most_mib:
            raise Forbidden(f"maximum memory usage per Container is {self._most_mib}Mi", status=403)
        return super()._answer(method, path, params, body, content_type)


def memory_mib(pod: dict[str, Any]) -> int:
    (container,) = [one for one in pod["spec"]["containers"] if one["name"] == EXECUTOR]
    return int(container["resources"]["limits"]["memory"].removesuffix("Mi"))


def plan(conf: dict[str, str] | None = None, extras: dict[str, Any] | None = None, **kwargs: Any) -> Plan:
    task = SparkKubernetesJobOperator(
        task_id="t", application="local:///app.jar", image="apache/spark:4.3.0", **kwargs
    )
    settings = connection_settings({"in_cluster": True, "namespace": "spark", **(extras or {})})
    ti = SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=-1, try_number=1, id="ti")
    arguments = arguments_of(task, {**CONF, **(conf or {})}, default_name="d.t")
    return make_plan(arguments, settings, {"dag": DAG("d", schedule=None), "ti": ti})


async def limit_of(cluster: Cluster, made: Plan) -> int | None:
    return await node_limit(cluster, made.application, made.manifests)


async def warnings_of(cluster: Cluster, made: Plan) -> tuple[str, ...]:
    return await recovery_warnings(cluster, made.application, made.manifests, made.priority_fields)


class TestNodeLimit:
    @pytest.mark.parametrize(
        ("nodes", "limit_mib"),
        [
            pytest.param(["10000Mi", "8Gi"], 9500, id="a twentieth of the largest node is for others"),
            pytest.param(["6200Mi"], 6144, id="a node that an executor just fits on"),
            pytest.param(["6Gi"], 6144, id="a node that an executor fills"),
            pytest.param(["5Gi"], None, id="no node has room for a normal executor: larger ones may come"),
            pytest.param([f"{LARGEST_MIB * 20 // 19 + 1}Mi"], None, id="room for the largest there can be"),
            pytest.param([], None, id="no nodes yet"),
        ],
    )
    async def test_it_is_what_the_largest_node_leaves_room_for(
        self, nodes: list[str], limit_mib: int | None
    ) -> None:
        assert await limit_of(Cluster(*nodes), plan()) == limit_mib

    @pytest.mark.parametrize(
        "made",
        [
            pytest.param(plan(max_executor_memory="8g"), id="the task sets a limit"),
            pytest.param(plan(extras={"max_executor_memory": "8g"}), id="the connection sets a limit"),
            pytest.param(
                plan({"spark.kubernetes.allocation.recoveryMode.enabled": "false"}), id="no recovery"
            ),
            pytest.param(
                plan({"spark.executor.memory": "512m", "spark.executor.memoryOverhead": "512m"}),
                id="executors that stay small",
            ),
        ],
    )
    async def test_nodes_are_asked_only_if_it_matters(self, made: Plan) -> None:
        cluster = Cluster("6Gi")
        assert await limit_of(cluster, made) is None
        assert cluster.calls == []

    async def test_containers_beside_spark_need_room_too(self) -> None:
        beside = {"name": "proxy", "image": "proxy", "resources": {"limits": {"memory": "1Gi"}}}
        made = plan(executor_template={"spec": {"containers": [beside]}})
        assert await limit_of(Cluster("10000Mi"), made) == 9500 - 1024

    async def test_only_nodes_where_executors_recover_count(self) -> None:
        cluster = Cluster("8Gi")
        conf = {"spark.kubernetes.executor.node.selector.arch": "arm64"}
        await limit_of(cluster, plan(conf, recovery_node_selector={"pool": "steady"}))
        assert cluster.labels == ["arch=arm64,pool=steady"]

    async def test_nodes_that_may_not_be_read_set_no_limit(self) -> None:
        cluster = Cluster("8Gi")
        cluster.refuse_nodes = Forbidden("no")
        assert await limit_of(cluster, plan()) is None


class TestRecoveryWarnings:
    async def test_the_largest_executor_is_tried_out(self) -> None:
        cluster = Cluster()
        assert await warnings_of(cluster, plan()) == ()
        (pod,) = cluster.dry_runs
        assert memory_mib(pod) == LARGEST_MIB
        assert cluster.objects == {}

    async def test_what_the_cluster_does_not_allow_is_a_warning(self) -> None:
        (warning,) = await warnings_of(Cluster(most_mib=8192), plan())
        assert warning.startswith(f"Executors that run out of memory cannot grow to {LARGEST_MIB} MiB")
        assert "set max_executor_memory" in warning
        assert "maximum memory usage per Container is 8192Mi" in warning

    async def test_a_limit_that_the_cluster_allows_is_none(self) -> None:
        assert await warnings_of(Cluster(most_mib=8192), plan(max_executor_memory="8g")) == ()

    @pytest.mark.parametrize(
        "made",
        [
            pytest.param(
                plan({"spark.kubernetes.allocation.recoveryMode.enabled": "false"}), id="no recovery"
            ),
            pytest.param(plan(max_memory_steps=0), id="no more memory"),
            pytest.param(plan(max_executor_memory="6g"), id="no room for more"),
        ],
    )
    async def test_nothing_is_tried_out_that_will_not_be(self, made: Plan) -> None:
        cluster = Cluster()
        assert await warnings_of(cluster, made) == ()
        assert cluster.dry_runs == []

    async def test_the_nodes_where_executors_recover_are_tried_out(self) -> None:
        cluster = Cluster()
        toleration = {"key": "spot", "operator": "Exists"}
        made = plan(
            recovery_node_selector={"pool": "steady"},
            recovery_tolerations=[toleration],
            recovery_priority_class="steady",
            max_memory_steps=0,
        )
        assert await warnings_of(cluster, made) == ()
        (pod,) = cluster.dry_runs
        assert pod["spec"]["nodeSelector"]["pool"] == "steady"
        assert toleration in pod["spec"]["tolerations"]
        assert pod["spec"]["priorityClassName"] == "steady"

    async def test_recovery_that_is_refused_even_without_more_memory_is_an_error(self) -> None:
        made = plan(recovery_node_selector={"pool": "steady"})
        with pytest.raises(Forbidden):
            await warnings_of(Cluster(most_mib=1024), made)

    @pytest.mark.parametrize(
        ("made", "field"),
        [
            pytest.param(plan(recovery_priority_class="vip"), "recovery_priority_class", id="of the task"),
            pytest.param(
                plan(extras={"recovery_priority_class": "vip"}),
                "recovery_priority_class (from the connection)",
                id="of the connection",
            ),
        ],
    )
    async def test_a_priority_class_that_is_not_there_is_an_error(self, made: Plan, field: str) -> None:
        with pytest.raises(InvalidConfiguration, match="no such priority class") as raised:
            await warnings_of(Cluster(), made)
        assert raised.value.field == field


def test_new_settings_change_nothing_else() -> None:
    made, other = plan(), plan(max_executor_memory="9g")
    changed = with_settings(made.manifests, other.application)
    app, *others = changed.config_maps
    old_app, *old_others = made.manifests.config_maps
    settings = ControllerSettings.from_json(app["data"][SETTINGS_KEY])
    assert settings.recovery is not None
    assert settings.recovery.max_executor_memory_mib == 9216
    assert {**app, "data": {**app["data"], SETTINGS_KEY: ""}} == {
        **old_app,
        "data": {**old_app["data"], SETTINGS_KEY: ""},
    }
    assert (changed.spec_hash, others, changed.job) == (
        made.manifests.spec_hash,
        old_others,
        made.manifests.job,
    )
