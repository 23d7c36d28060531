"""What the task log says of the pods' memory before they are there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from airflow_spark_k8s.core.spec import Application, Burst, Manifests, MemorySum, PodShape
from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.templates.quality import heap_warnings, mib, quality_lines, rendered_pods

Render = Callable[..., Manifests]
MakeApplication = Callable[..., Application]
MakeShape = Callable[..., PodShape]

MEMORY = MemorySum(heap_mib=8192, overhead_mib=3276)
FATE = (
    ": under memory pressure on a node, those that use more than their request are evicted and killed before "
    "Guaranteed pods"
)
DRIVER = "Driver: request 1408 MiB, limit 1408 MiB: QoS class Burstable"


@pytest.fixture
def bursting(application: MakeApplication, pod_shape: MakeShape) -> Application:
    return application(
        executor=pod_shape(memory=MEMORY, shared_mib=1147), burst=Burst(factor=Fraction("1.1"))
    )


def executor_resources(**resources: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "spark-kubernetes-executor", "resources": resources}]}}


class TestLines:
    def test_request_limit_and_what_follows_from_them(self, rendered: Render, bursting: Application) -> None:
        assert list(quality_lines(bursting, rendered(bursting))) == [
            DRIVER,
            "Executors: request 10321 MiB, limit 11468 MiB (1147 MiB shared, burst factor 1.1): "
            "QoS class Burstable" + FATE,
        ]

    def test_each_group_has_its_line(self, rendered: Render, bursting: Application) -> None:
        app = replace(
            bursting,
            burst=Burst(Fraction("1.1"), Fraction(1, 4)),
            plain_executor=replace(bursting.executor, shared_mib=0),
        )
        lines = list(quality_lines(app, rendered(app)))
        assert lines[1].startswith(
            "Executors that burst (25 % of them): request 10321 MiB, limit 11468 MiB ("
        )
        assert lines[2:] == [
            "Executors that do not burst: request 11468 MiB, limit 11468 MiB: QoS class Burstable"
        ]

    @pytest.mark.parametrize(
        ("resources", "line"),
        [
            pytest.param(
                {"requests": {"cpu": "1"}, "limits": {"cpu": "1", "memory": "2Gi"}},
                "request 2048 MiB, limit 2048 MiB: QoS class Guaranteed",
                id="Guaranteed",
            ),
            pytest.param(
                {"requests": {"memory": "1.5Gi"}, "limits": {"memory": None}},
                "request 1536 MiB, no limit: QoS class Burstable" + FATE,
                id="no limit",
            ),
            pytest.param(
                {"requests": None, "limits": None},
                "request 0 MiB, no limit: QoS class BestEffort, the first to be evicted and killed under "
                "memory pressure on a node",
                id="nothing at all",
            ),
            pytest.param(
                {"requests": {"memory": "1G"}},
                "request 953.7 MiB, limit 1408 MiB: QoS class Burstable" + FATE,
                id="a request below the limit that is no bursting",
            ),
        ],
    )
    def test_they_tell_what_the_template_has_made(
        self, resources: dict[str, Any], line: str, rendered: Render, application: MakeApplication
    ) -> None:
        if resources.get("requests", {}) and "memory" not in resources["requests"]:
            resources["requests"]["memory"] = None
        manifests = rendered(executor_template=executor_resources(**resources))
        assert list(quality_lines(application(), manifests)) == [DRIVER, f"Executors: {line}"]


class TestHeap:
    def test_the_packaged_templates_request_it(self, rendered: Render, bursting: Application) -> None:
        assert list(heap_warnings(bursting, rendered(bursting))) == []

    @pytest.mark.parametrize(
        ("request_quantity", "warned"), [("8Gi", False), ("8191Mi", True), ("4Gi", True), ("8G", True)]
    )
    def test_a_template_that_requests_less_is_warned_of(
        self, request_quantity: str, warned: bool, rendered: Render, bursting: Application
    ) -> None:
        patch = executor_resources(requests={"memory": request_quantity})
        assert bool(list(heap_warnings(bursting, rendered(bursting, executor_template=patch)))) is warned

    def test_the_warning_names_both_and_what_to_do(self, rendered: Render, bursting: Application) -> None:
        patch = executor_resources(requests={"memory": "4Gi"})
        (warning,) = heap_warnings(bursting, rendered(bursting, executor_template=patch))
        assert "the executor template requests 4096 MiB" in warning
        assert "heap of 8192 MiB" in warning
        assert "request at least 8192Mi" in warning

    def test_the_drivers_heap_counts_as_well(self, rendered: Render, application: MakeApplication) -> None:
        container = {"name": "spark-kubernetes-driver", "resources": {"requests": {"memory": "512Mi"}}}
        patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
        (warning,) = heap_warnings(application(), rendered(driver_template=patch))
        assert warning.startswith("Driver: the driver template requests 512 MiB")


class TestWantedClass:
    @pytest.mark.parametrize(
        ("shape", "template"),
        [
            pytest.param({"cpu_limit_quantity": "1"}, None, id="CPU limited to its request"),
            pytest.param({}, executor_resources(limits={"cpu": "1"}), id="a template that limits the CPU"),
        ],
    )
    def test_guaranteed_pods_are_what_was_asked_for(
        self,
        shape: dict[str, Any],
        template: dict[str, Any] | None,
        rendered: Render,
        application: MakeApplication,
        pod_shape: MakeShape,
    ) -> None:
        app = application(executor=pod_shape(**shape), executor_qos_class="Guaranteed")
        manifests = rendered(app, executor_template=template)
        assert [pod.qos_class for pod in rendered_pods(app, manifests)] == ["Burstable", "Guaranteed"]

    def test_a_template_that_makes_them_another_class_is_refused(
        self, rendered: Render, application: MakeApplication, pod_shape: MakeShape
    ) -> None:
        app = application(executor=pod_shape(cpu_limit_quantity="1"), executor_qos_class="Guaranteed")
        patch = {"spec": {"containers": [{"name": "sidecar", "image": "envoy"}]}}
        with pytest.raises(
            InvalidConfiguration,
            match=r"executor_qos_class='Guaranteed': Executors would be Burstable: every container",
        ):
            rendered(app, executor_template=patch)

    def test_a_class_that_only_one_group_has_is_refused(
        self, rendered: Render, application: MakeApplication, pod_shape: MakeShape
    ) -> None:
        plain = pod_shape(memory=MEMORY, cpu_limit_quantity="1")
        app = application(
            executor=replace(plain, shared_mib=1147),
            plain_executor=plain,
            burst=Burst(Fraction("1.1"), Fraction(1, 2)),
            executor_qos_class="Burstable",
        )
        with pytest.raises(InvalidConfiguration, match="Executors that do not burst would be Guaranteed"):
            rendered(app)


class TestWholePods:
    @pytest.mark.parametrize(
        ("patch", "requested_mib", "largest_mib"),
        [
            pytest.param({}, 10321, 11468, id="Spark alone"),
            pytest.param(
                {
                    "containers": [
                        {"name": "a", "image": "a", "resources": {"requests": {"memory": "100Mi"}}},
                        {"name": "b", "image": "b", "resources": {"limits": {"memory": "10Mi"}}},
                        {"name": "c", "image": "c"},
                    ]
                },
                10431,
                11578,
                id="containers beside it",
            ),
            pytest.param(
                {"resources": {"requests": {"memory": "20Gi"}, "limits": {"memory": "30Gi"}}},
                20480,
                30720,
                id="resources of the pod as a whole",
            ),
        ],
    )
    def test_a_node_has_to_hold_all_of_it(
        self,
        patch: dict[str, Any],
        requested_mib: int,
        largest_mib: int,
        rendered: Render,
        bursting: Application,
    ) -> None:
        manifests = rendered(bursting, executor_template={"spec": patch})
        executors = rendered_pods(bursting, manifests)[1]
        assert executors.requested_bytes == requested_mib * 1024**2
        assert executors.largest_bytes == largest_mib * 1024**2


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(0, "0"), (1024**2, "1"), (1024**2 + 1, "1.1"), (1536 * 1024, "1.5")]
)
def test_sizes_are_rounded_up_to_a_tenth(size_bytes: int, text: str) -> None:
    assert mib(size_bytes) == text
