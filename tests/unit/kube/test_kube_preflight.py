from __future__ import annotations

import copy
from typing import Any

import pytest

from airflow_spark_k8s.core.spec import Manifests
from airflow_spark_k8s.exceptions import (
    ClusterError,
    ClusterUnreachable,
    Forbidden,
    Invalid,
    InvalidConfiguration,
    InvalidTemplate,
    NotFound,
    QuotaExceeded,
    ServerError,
)
from airflow_spark_k8s.kube.access import RIGHTS, missing_rights
from airflow_spark_k8s.kube.preflight import preflight
from tests.unit.kube.applications import identity_of, manifests_of
from tests.unit.kube.fake_api import FakeApi

IDENTITY = identity_of()
MANIFESTS = manifests_of(IDENTITY)


class Reviewing(FakeApi):
    """Denies the rights it is told to deny, and refuses the kinds it is told to refuse."""

    def __init__(self, denied: tuple[str, ...] = (), refuse: dict[str, ClusterError] | None = None) -> None:
        super().__init__()
        self._denied = denied
        self._refuse = refuse or {}
        self.priority_classes = {"high"}
        self.hides_priority_classes = False

    def _answer(self, method: str, path: str, params: Any, body: Any, content_type: str) -> Any:
        if "selfsubjectaccessreviews" in path:
            wanted = body["spec"]["resourceAttributes"]
            name = "/".join(filter(None, (wanted["resource"], wanted.get("subresource"))))
            assert wanted["namespace"] == "spark"
            assert wanted.get("group", "") == ("batch" if wanted["resource"] == "jobs" else "")
            return {"status": {"allowed": f"{wanted['verb']} {name}" not in self._denied}}
        if "priorityclasses" in path:
            if self.hides_priority_classes:
                raise Forbidden("no")
            if path.rsplit("/", 1)[-1] not in self.priority_classes:
                raise NotFound("not found")
            return {}
        if body is None:
            return super()._answer(method, path, params, body, content_type)
        role = (body["metadata"].get("labels") or {}).get("spark-role", "")
        error = self._refuse.get(f"{role} {body['kind']}".strip())
        if error is not None:
            raise error
        return super()._answer(method, path, params, body, content_type)


async def test_everything_is_tried_and_nothing_created() -> None:
    api = Reviewing()
    assert await preflight(api, MANIFESTS) == ()
    assert api.objects == {}
    kinds = [obj["kind"] for obj in api.dry_runs]
    assert kinds == ["Job", "ConfigMap", "ConfigMap", "Secret", "Pod", "Pod"]
    driver, executor = api.dry_runs[-2:]
    assert len(driver["metadata"]["name"]) == len(IDENTITY.job_name()) + 6
    assert executor["metadata"]["ownerReferences"][0]["name"] == driver["metadata"]["name"]
    assert len(executor["metadata"]["name"]) <= 63


async def test_a_missing_right_is_told_with_verb_resource_and_namespace() -> None:
    api = Reviewing(denied=("patch jobs", "create secrets"))
    with pytest.raises(Forbidden, match=r"namespace spark.*patch jobs in API group 'batch'.*create secrets"):
        await preflight(api, MANIFESTS)
    assert api.dry_runs == []


async def test_a_right_that_is_merely_useful_is_a_warning() -> None:
    warnings = await preflight(Reviewing(denied=("get pods/proxy",)), MANIFESTS)
    assert len(warnings) == 1
    assert "get pods/proxy (progress and registered executors)" in warnings[0]


async def test_a_cluster_that_does_not_review_is_told_by_its_answers() -> None:
    class Silent(Reviewing):
        def _answer(self, method: str, path: str, params: Any, body: Any, content_type: str) -> Any:
            if "selfsubjectaccessreviews" in path:
                raise NotFound("no such resource")
            return super()._answer(method, path, params, body, content_type)

    assert await preflight(Silent(), MANIFESTS) == ()


SERVICE_ACCOUNT = Forbidden(
    'pods "x" is forbidden: error looking up service account spark/nope: serviceaccount "nope" not found'
)


@pytest.mark.parametrize(
    ("refused", "error", "expected", "message"),
    [
        pytest.param(
            "driver Pod",
            SERVICE_ACCOUNT,
            InvalidConfiguration,
            "serviceAccountName='nope'.*namespace spark.*authenticate.driver.serviceAccountName",
            id="the driver's service account is missing",
        ),
        pytest.param(
            "executor Pod",
            SERVICE_ACCOUNT,
            InvalidConfiguration,
            "serviceAccountName='nope'.*authenticate.executor.serviceAccountName",
            id="the executors' service account is missing",
        ),
        pytest.param(
            "driver Pod",
            Forbidden('pods "x" is forbidden: no PriorityClass with name high was found'),
            InvalidConfiguration,
            "priorityClassName='high'",
            id="a priority class is missing",
        ),
        pytest.param(
            "Job",
            NotFound('namespaces "spark" not found (POST …)'),
            InvalidConfiguration,
            "namespace='spark': no such namespace",
            id="the namespace is missing",
        ),
        pytest.param(
            "Job", NotFound("the server could not find"), NotFound, "could not find", id="no Jobs at all"
        ),
        pytest.param(
            "Job",
            Invalid('Job.batch "x" is invalid: spec.template.spec.restartPolicy: Required value'),
            InvalidTemplate,
            "spec.template.spec.restartPolicy: Required value",
            id="the Job is refused",
        ),
        pytest.param(
            "driver Pod",
            Forbidden('violates PodSecurity "restricted:latest": runAsNonRoot'),
            Forbidden,
            "PodSecurity",
            id="pod security",
        ),
        pytest.param(
            "Secret", QuotaExceeded("exceeded quota"), QuotaExceeded, "quota", id="no room for a Secret"
        ),
        pytest.param("Job", ClusterUnreachable("down"), ClusterUnreachable, "down", id="unreachable"),
        pytest.param("Job", ServerError("etcd"), ServerError, "etcd", id="broken"),
    ],
)
async def test_what_would_go_wrong_is_told(
    refused: str, error: ClusterError, expected: type[Exception], message: str
) -> None:
    refuse = {refused: error, "driver Job": error} if refused == "Job" else {refused: error}
    with pytest.raises(expected, match=message):
        await preflight(Reviewing(refuse=refuse), MANIFESTS)


FIELDS = {"driver": "driver_priority_class", "executor": "executor_priority_class (from the connection)"}


def with_classes(driver: str | None, executor: str | None) -> Manifests:
    manifests = copy.deepcopy(MANIFESTS)
    for spec, name in (
        (manifests.job["spec"]["template"]["spec"], driver),
        (manifests.executor["spec"], executor),
    ):
        if name is not None:
            spec["priorityClassName"] = name
    return manifests


@pytest.mark.parametrize(
    ("manifests", "fields", "message"),
    [
        pytest.param(
            with_classes("none", None), FIELDS, "^driver_priority_class='none'.*create it", id="the driver's"
        ),
        pytest.param(
            with_classes("high", "none"),
            FIELDS,
            r"^executor_priority_class \(from the connection\)='none'",
            id="the executors'",
        ),
        pytest.param(with_classes(None, "none"), {}, "^priorityClassName='none'", id="of unknown origin"),
    ],
)
async def test_a_priority_class_that_can_be_read_to_be_missing_is_told_first(
    manifests: Manifests, fields: dict[str, str], message: str
) -> None:
    api = Reviewing()
    with pytest.raises(InvalidConfiguration, match=message):
        await preflight(api, manifests, fields)
    assert api.dry_runs == []


async def test_a_priority_class_that_is_there_is_no_problem() -> None:
    assert await preflight(Reviewing(), with_classes("high", "high"), FIELDS) == ()


async def test_priority_classes_that_nobody_may_read_are_left_to_the_dry_run() -> None:
    refused = Forbidden('pods "x" is forbidden: no PriorityClass with name high was found')
    api = Reviewing(refuse={"executor Pod": refused})
    api.hides_priority_classes = True
    with pytest.raises(InvalidConfiguration, match=r"^executor_priority_class .*='high': no such priority"):
        await preflight(api, with_classes("high", "high"), FIELDS)


async def test_nobody_asks_for_priority_classes_that_are_not_used() -> None:
    api = Reviewing()
    await preflight(api, MANIFESTS, FIELDS)
    assert not [call for call in api.calls if "priorityclasses" in call]


async def test_a_full_quota_for_pods_is_no_error() -> None:
    warnings = await preflight(
        Reviewing(refuse={"executor Pod": QuotaExceeded("exceeded quota: q")}), MANIFESTS
    )
    assert len(warnings) == 1
    assert "no room in the quota just now" in warnings[0]


@pytest.mark.parametrize("kind", ["Job", "Secret"])
async def test_a_quota_that_an_earlier_try_may_have_used_up_is_no_error(kind: str) -> None:
    api = Reviewing(refuse={kind: QuotaExceeded("exceeded quota: q")})
    earlier = manifests_of(identity_of(0)).job
    api.put(f"/apis/batch/v1/namespaces/spark/jobs/{earlier['metadata']['name']}", dict(earlier))
    assert await preflight(api, MANIFESTS) == ()


async def test_a_webhook_that_cannot_be_asked_beforehand_is_no_error() -> None:
    error = Invalid('admission webhook "w" does not support dry run')
    assert await preflight(Reviewing(refuse={"driver Pod": error}), MANIFESTS) == ()


async def test_objects_that_are_there_already_are_no_error() -> None:
    api = Reviewing()
    api.put(f"/apis/batch/v1/namespaces/spark/jobs/{IDENTITY.job_name()}", dict(MANIFESTS.job))
    assert await preflight(api, MANIFESTS) == ()


async def test_missing_rights_keep_their_order() -> None:
    denied = [RIGHTS[3], RIGHTS[-1]]
    api = Reviewing(denied=("watch jobs", "list events"))
    assert list(await missing_rights(api, "spark")) == denied
