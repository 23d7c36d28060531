"""QoS classes as Kubernetes gives them."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_spark_k8s.core.qos import qos_class
from airflow_spark_k8s.exceptions import InvalidConfiguration

FULL = {"limits": {"cpu": "1", "memory": "1Gi"}}
SAME = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}}
BURST = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"memory": "900Mi"}}
NO_CPU_LIMIT = {"limits": {"memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}


def pod(
    *containers: dict[str, Any] | None,
    init: tuple[dict[str, Any], ...] = (),
    whole: Any = None,
    sidecars: bool = False,
) -> dict[str, Any]:
    restart = {"restartPolicy": "Always"} if sidecars else {}
    return {
        "spec": {
            "containers": [{} if each is None else {"resources": each} for each in containers],
            **({"initContainers": [{"resources": each, **restart} for each in init]} if init else {}),
            **({} if whole is None else {"resources": whole}),
        }
    }


@pytest.mark.parametrize(
    ("manifest", "found"),
    [
        pytest.param(pod(None), "BestEffort", id="no resources"),
        pytest.param(pod({"limits": {}, "requests": None}), "BestEffort", id="empty resources"),
        pytest.param(pod({"limits": {"cpu": "0", "memory": 0}}), "BestEffort", id="zero is nothing"),
        pytest.param(pod({"limits": {"nvidia.com/gpu": "1"}}), "BestEffort", id="devices do not count"),
        pytest.param(pod(FULL), "Guaranteed", id="limits only: they are requested, too"),
        pytest.param(pod(SAME), "Guaranteed", id="the same amount in another spelling"),
        pytest.param(pod({"limits": {"cpu": 1, "memory": 1e9}}), "Guaranteed", id="numbers"),
        pytest.param(pod({**SAME, "limits": {**FULL["limits"], "x/y": 1}}), "Guaranteed", id="and a device"),
        pytest.param(pod(BURST), "Burstable", id="less memory requested"),
        pytest.param(pod(NO_CPU_LIMIT), "Burstable", id="no CPU limit, as Spark does it"),
        pytest.param(pod({"limits": {"memory": "1Gi"}}), "Burstable", id="no CPU at all"),
        pytest.param(pod({"limits": {"cpu": "1"}}), "Burstable", id="no memory at all"),
        pytest.param(pod({"requests": {"cpu": "1", "memory": "1Gi"}}), "Burstable", id="requests only"),
        pytest.param(pod({**FULL, "requests": {"cpu": "0"}}), "Burstable", id="no CPU requested on purpose"),
        pytest.param(pod(FULL, SAME), "Guaranteed", id="two containers"),
        pytest.param(pod(FULL, None), "Burstable", id="a second container without"),
        pytest.param(pod(FULL, BURST), "Burstable", id="a second container that bursts"),
        pytest.param(pod(None, None), "BestEffort", id="two without"),
        pytest.param(pod(FULL, init=(SAME,)), "Guaranteed", id="an init container"),
        pytest.param(pod(FULL, init=({},)), "Burstable", id="an init container without"),
        pytest.param(pod(None, init=(BURST,)), "Burstable", id="an init container only"),
        pytest.param(pod(FULL, init=(BURST,), sidecars=True), "Burstable", id="a sidecar"),
        pytest.param(pod(None, whole=FULL), "Guaranteed", id="the pod's own resources count instead"),
        pytest.param(pod(FULL, whole={}), "BestEffort", id="even if there are none"),
        pytest.param(pod(FULL, whole={"requests": {"cpu": "1"}}), "Burstable", id="the pod's requests only"),
        pytest.param(
            pod(BURST, whole=FULL), "Burstable", id="a container asks for less than the pod's limit"
        ),
        pytest.param(pod(BURST, whole=SAME), "Guaranteed", id="but the pod asks for all of it"),
        pytest.param(
            pod(*[{"requests": {"cpu": "500m", "memory": "512Mi"}}] * 2, whole=FULL),
            "Guaranteed",
            id="containers ask for all together",
        ),
        pytest.param(
            pod(
                {"requests": {"memory": "512Mi"}},
                init=({"requests": {"memory": "512Mi"}},),
                sidecars=True,
                whole=FULL,
            ),
            "Guaranteed",
            id="so do a container and its sidecar",
        ),
        pytest.param(
            pod({"requests": {"memory": "512Mi"}}, init=({"requests": {"memory": "512Mi"}},), whole=FULL),
            "Burstable",
            id="an init container is gone before",
        ),
        pytest.param(
            pod({"requests": {"memory": "512Mi"}}, init=({"requests": {"memory": "1Gi"}},), whole=FULL),
            "Guaranteed",
            id="though it may be the one that needs most",
        ),
    ],
)
def test_class_of_a_pod(manifest: dict[str, Any], found: str) -> None:
    assert qos_class(manifest) == found


def test_no_quantity() -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        qos_class(pod({"limits": {"cpu": "1", "memory": "lots"}}))
    assert caught.value.field == "resources.limits.memory"
