"""kubectl, unchanged, against the local cluster."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_spark_k8s.local.cluster import LocalCluster

KUBECTL = shutil.which("kubectl")
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")

SLEEPER = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "sleeper", "labels": {"app": "kubectl"}},
    "spec": {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 2,
        "containers": [
            {
                "name": "main",
                "image": "busybox",
                "command": ["sh", "-c", "echo one; echo two; exec sleep 300"],
                "resources": {"limits": {"memory": "64Mi"}},
            }
        ],
    },
}


class Kubectl:
    """Runs kubectl with the kubeconfig of one cluster."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._env = {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": str(cluster.kubeconfig_path),
            "HOME": "/nonexistent",
        }

    def __call__(self, *arguments: str, manifest: Any = None, fails: bool = False) -> str:
        given = None if manifest is None else json.dumps(manifest)
        done = subprocess.run(
            [KUBECTL or "kubectl", "--cache-dir=/nonexistent", *arguments],
            env=self._env,
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [KUBECTL or "kubectl", "--cache-dir=/nonexistent", *arguments]
        return subprocess.Popen(command, env=self._env, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    with LocalCluster() as cluster:
        yield Kubectl(cluster)


@pytest.fixture
def sleeper(kubectl: Kubectl) -> Iterator[str]:
    kubectl("create", "--validate=false", "-f", "-", manifest=SLEEPER)
    kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=30s")
    yield "sleeper"
    kubectl("delete", "pod", "sleeper", "--force", "--grace-period=0", "--ignore-not-found")


def test_a_pod_is_shown_as_a_row_as_yaml_and_in_words(kubectl: Kubectl, sleeper: str) -> None:
    row = kubectl("get", "pods", "-o", "wide").splitlines()
    assert row[0].split()[:5] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert row[1].split()[:4] == ["sleeper", "1/1", "Running", "0"]
    assert "node-1" in row[1]
    assert "phase: Running" in kubectl("get", "pod", sleeper, "-o", "yaml")
    described = kubectl("describe", "pod", sleeper)
    assert "Status:           Running" in described
    assert "Scheduled" in described
    assert "Started" in described


def test_logs_are_read_from_the_end_and_followed(kubectl: Kubectl, sleeper: str) -> None:
    assert kubectl("logs", sleeper, "--tail=1") == "two\n"
    following = kubectl.start("logs", "-f", sleeper)
    try:
        assert following.stdout is not None
        assert [following.stdout.readline(), following.stdout.readline()] == ["one\n", "two\n"]
        kubectl("delete", "pod", sleeper, "--wait=false")
        assert following.stdout.read() == ""
        assert following.wait(30) == 0
    finally:
        following.kill()
        following.communicate()


def test_changes_arrive_at_a_watching_kubectl(kubectl: Kubectl, sleeper: str) -> None:
    watching = kubectl.start("get", "pods", "-w", "--no-headers", "--output-watch-events")
    try:
        assert watching.stdout is not None
        assert watching.stdout.readline().split()[:4] == ["ADDED", "sleeper", "1/1", "Running"]
        kubectl("delete", "pod", sleeper, "--wait=false")
        line = ""
        while "DELETED" not in line:
            line = watching.stdout.readline()
            assert line
    finally:
        watching.kill()
        watching.communicate()


def test_labels_annotations_and_patches_change_the_object(kubectl: Kubectl, sleeper: str) -> None:
    kubectl("label", "pod", sleeper, "tier=test")
    kubectl("annotate", "pod", sleeper, "note=a b")
    kubectl(
        "patch",
        "pod",
        sleeper,
        "--type=json",
        "-p",
        '[{"op":"add","path":"/metadata/labels/more","value":"1"}]',
    )
    kubectl("patch", "pod", sleeper, "-p", '{"metadata":{"labels":{"less":"0"}}}')
    metadata = json.loads(kubectl("get", "pod", sleeper, "-o", "json"))["metadata"]
    assert metadata["labels"] == {"app": "kubectl", "tier": "test", "more": "1", "less": "0"}
    assert metadata["annotations"] == {"note": "a b"}
    assert kubectl("get", "pods", "-l", "tier=test,less", "-o", "name") == "pod/sleeper\n"


def test_deleting_waits_until_the_pod_is_gone(kubectl: Kubectl, sleeper: str) -> None:
    assert 'pod "sleeper" deleted' in kubectl("delete", "pod", sleeper)
    assert "NotFound" in kubectl("get", "pod", sleeper, fails=True)


def test_a_job_is_applied_twice_and_waited_for(kubectl: Kubectl) -> None:
    container = {"name": "main", "image": "busybox", "command": ["true"]}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "quick"},
        "spec": {
            "backoffLimit": 0,
            "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
        },
    }
    assert "job.batch/quick created" in kubectl("apply", "-f", "-", manifest=job)
    kubectl("wait", "--for=condition=Complete", "job/quick", "--timeout=30s")
    job["metadata"] = {"name": "quick", "labels": {"new": "yes"}}
    assert "job.batch/quick configured" in kubectl("apply", "--validate=false", "-f", "-", manifest=job)
    assert "Pods Statuses:    0 Active (0 Ready) / 1 Succeeded / 0 Failed" in kubectl(
        "describe", "job", "quick"
    )
    kubectl("delete", "job", "quick")
    kubectl("wait", "--for=delete", "pod", "-l", "job-name=quick", "--timeout=30s")


def test_rights_and_identity_are_answered(kubectl: Kubectl) -> None:
    assert kubectl("auth", "can-i", "create", "pods") == "yes\n"
    assert "kubernetes-admin" in kubectl("auth", "whoami")


def test_objects_are_created_by_name(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "by-name", "--from-literal=key=value")
    kubectl("create", "secret", "generic", "by-name", "--from-literal=key=value")
    assert kubectl("get", "configmap", "by-name", "-o", "jsonpath={.data.key}") == "value"
    assert kubectl("get", "secret", "by-name", "-o", "jsonpath={.data.key}") == "dmFsdWU="
    kubectl("delete", "configmap,secret", "by-name")


def test_a_misspelled_field_is_refused_with_its_path(kubectl: Kubectl) -> None:
    wrong = {**SLEEPER, "spec": {**SLEEPER["spec"], "restartPolicyy": "Never"}}  # type: ignore[dict-item]
    assert 'unknown field "spec.restartPolicyy"' in kubectl("create", "-f", "-", manifest=wrong, fails=True)
