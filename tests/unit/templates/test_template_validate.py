from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from airflow_spark_k8s.exceptions import InvalidTemplate
from airflow_spark_k8s.templates.validate import is_quantity, validate_job, validate_pod

CONTAINER: dict[str, Any] = {
    "name": "main",
    "image": "spark",
    "env": [{"name": "A", "value": "1"}],
    "resources": {"requests": {"cpu": 2, "memory": "1Gi"}, "limits": {"memory": "1.5Gi"}},
    "ports": [{"containerPort": 4040}],
    "readinessProbe": {"tcpSocket": {"port": "ui"}, "periodSeconds": 2},
    "volumeMounts": [{"name": "v", "mountPath": "/v"}],
}
POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "p",
        "labels": {"example.com/team": "a"},
        "annotations": {"note": "any text, even é"},
    },
    "spec": {
        "containers": [CONTAINER],
        "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "500Mi"}}],
        "tolerations": [{"key": "spot", "operator": "Exists"}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}
                    ]
                }
            }
        },
    },
}
JOB: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "j"},
    "spec": {"backoffLimit": 0, "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD["spec"]}},
}


def changed(manifest: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    result = copy.deepcopy(manifest)
    change(result)
    return result


def main(pod: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = pod["spec"]["containers"][0]
    return container


def test_a_pod_and_a_job_are_accepted() -> None:
    validate_pod(POD)
    validate_job(JOB)


@pytest.mark.parametrize(
    ("change", "path", "reason"),
    [
        pytest.param(
            lambda p: main(p).update(imagee="x"),
            "spec.containers[0].imagee",
            "unknown field of Container; did you mean image?",
            id="a misspelt field",
        ),
        pytest.param(
            lambda p: p.update(image="x"), "image", "unknown field of Pod", id="a field in the wrong place"
        ),
        pytest.param(
            lambda p: main(p).update(restart_policy="x"),
            "spec.containers[0].restart_policy",
            "did you mean restartPolicy?",
            id="Python's spelling of a field",
        ),
        pytest.param(lambda p: p.pop("spec"), "spec", "is required", id="no spec"),
        pytest.param(
            lambda p: p["spec"].pop("containers"), "spec.containers", "is required", id="no containers"
        ),
        pytest.param(
            lambda p: main(p).pop("name"),
            "spec.containers[0].name",
            "is required",
            id="a container without name",
        ),
        pytest.param(
            lambda p: main(p).pop("image"), "spec.containers[0].image", "is required", id="no image"
        ),
        pytest.param(
            lambda p: main(p)["env"].append({"value": "1"}),
            "spec.containers[0].env[1].name",
            "is required",
            id="a variable without name",
        ),
        pytest.param(
            lambda p: main(p)["env"][0].update(value=1),
            "spec.containers[0].env[0].value",
            "must be a text; put numbers, dates and yes/no in quotes",
            id="a number as a variable's value",
        ),
        pytest.param(
            lambda p: main(p).update(env={"A": "1"}),
            "spec.containers[0].env",
            "must be a list",
            id="a mapping for a list",
        ),
        pytest.param(
            lambda p: p["spec"].update(containers=["spark"]),
            "spec.containers[0]",
            "must be a mapping",
            id="a text for a container",
        ),
        pytest.param(
            lambda p: p["spec"].update(hostNetwork="yes"),
            "spec.hostNetwork",
            "must be true or false",
            id="a text for yes and no",
        ),
        pytest.param(
            lambda p: p["spec"].update(priority=True),
            "spec.priority",
            "a whole number",
            id="true as a number",
        ),
        pytest.param(
            lambda p: main(p)["resources"]["limits"].update(memory="1 GB"),
            "spec.containers[0].resources.limits['memory']",
            "must be a quantity",
            id="a memory size that Kubernetes does not know",
        ),
        pytest.param(
            lambda p: p["spec"]["volumes"][0]["emptyDir"].update(sizeLimit="big"),
            "spec.volumes[0].emptyDir.sizeLimit",
            "must be a quantity",
            id="a size that is none",
        ),
        pytest.param(
            lambda p: main(p)["readinessProbe"]["tcpSocket"].update(port=1.5),
            "spec.containers[0].readinessProbe.tcpSocket.port",
            "must be a port",
            id="a broken port",
        ),
        pytest.param(
            lambda p: p["metadata"]["labels"].update(team="a b"),
            "metadata.labels['team']",
            "no valid label value",
            id="an illegal label value",
        ),
        pytest.param(
            lambda p: p["metadata"]["annotations"].update({"a b": "c"}),
            "metadata.annotations['a b']",
            "no valid key",
            id="an illegal annotation key",
        ),
        pytest.param(
            lambda p: p["metadata"]["labels"].update({1: "a"}),
            "metadata.labels",
            "keys must be texts",
            id="a number as label key",
        ),
        pytest.param(
            lambda p: main(p)["volumeMounts"].append({"name": "w", "mountPath": "/w"}),
            "spec.containers[0].volumeMounts[1].name",
            "the pod has no volume of this name",
            id="a mount of no volume",
        ),
        pytest.param(
            lambda p: main(p)["volumeMounts"].append({"name": "v", "mountPath": "/v"}),
            "spec.containers[0].volumeMounts[].mountPath",
            "stands there twice",
            id="a mount path twice",
        ),
        pytest.param(
            lambda p: p["spec"]["containers"].append(copy.deepcopy(CONTAINER)),
            "spec.containers[].name",
            "stands there twice",
            id="a container name twice",
        ),
        pytest.param(
            lambda p: p["spec"].update(initContainers=[{"name": "main", "image": "x"}]),
            "spec.containers[].name",
            "stands there twice",
            id="an init container of the same name",
        ),
        pytest.param(
            lambda p: p["spec"]["volumes"].append({"name": "v", "emptyDir": {}}),
            "spec.volumes[].name",
            "stands there twice",
            id="a volume name twice",
        ),
        pytest.param(lambda p: p.update(kind="Deployment"), "kind", "must be 'Pod'", id="another kind"),
        pytest.param(lambda p: p.pop("apiVersion"), "apiVersion", "must be 'v1'", id="no apiVersion"),
    ],
)
def test_what_is_no_pod_is_refused_with_the_path_of_the_wrong_field(
    change: Callable[[dict[str, Any]], object], path: str, reason: str
) -> None:
    with pytest.raises(InvalidTemplate) as error:
        validate_pod(changed(POD, change))
    assert error.value.field == path
    assert reason in error.value.remedy


@pytest.mark.parametrize(
    ("change", "path"),
    [
        pytest.param(
            lambda j: j["spec"]["template"]["spec"]["containers"][0].update(imagee="x"),
            "spec.template.spec.containers[0].imagee",
            id="a misspelt field in the pod",
        ),
        pytest.param(
            lambda j: j["spec"]["template"]["metadata"]["labels"].update(a="-"),
            "spec.template.metadata.labels['a']",
            id="an illegal label of the pod",
        ),
        pytest.param(lambda j: j.pop("spec"), "spec", id="no spec"),
        pytest.param(lambda j: j["spec"].pop("template"), "spec.template", id="no pod template"),
        pytest.param(
            lambda j: j["spec"]["template"].pop("spec"),
            "spec.template.spec",
            id="a pod template without spec",
        ),
        pytest.param(lambda j: j.update(apiVersion="batch/v1beta1"), "apiVersion", id="an old version"),
    ],
)
def test_what_is_no_job_is_refused_with_the_path_of_the_wrong_field(
    change: Callable[[dict[str, Any]], object], path: str
) -> None:
    with pytest.raises(InvalidTemplate) as error:
        validate_job(changed(JOB, change))
    assert error.value.field == path


def test_an_error_does_not_show_what_may_be_secret_below_the_wrong_field() -> None:
    with pytest.raises(InvalidTemplate) as error:
        validate_pod(
            changed(POD, lambda p: p["spec"].update(envv=[{"name": "PASSWORD", "value": "hunter2"}]))
        )
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    "text", ["1", "500m", "1.5", ".5", "2.", "1Gi", "1e3", "1E3", "1E", "+2k", "100n", "3u"]
)
def test_quantities(text: str) -> None:
    assert is_quantity(text)


@pytest.mark.parametrize(
    "text", ["", "1 Gi", "1gi", "1GB", "Gi", "one", "1e", "0x10", "1,5", True, None, ["1"]]
)
def test_no_quantities(text: object) -> None:
    assert not is_quantity(text)
