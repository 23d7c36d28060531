"""The same requests that were sent to a Kubernetes 1.36 API server, and what it answered."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_spark_k8s.local.api import Api
from airflow_spark_k8s.local.authentication import service_account
from airflow_spark_k8s.local.authorization import RoleAuthorizer
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.exchange import ADMIN, ANONYMOUS, Request, Response
from airflow_spark_k8s.local.store import Store
from airflow_spark_k8s.local.watching import ResourceWatch

CASES = [
    json.loads(line)
    for line in (Path(__file__).parent / "contract" / "objects.jsonl").read_text().splitlines()
]
CONFIG_MAPS = "/api/v1/namespaces/golden/configmaps"
NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


def new_api() -> Api:
    store = Store(wall_clock=lambda: NOW, chance=random.Random(1))
    return Api(store, authorizer=RoleAuthorizer(store))


class Recording:
    """Plays the recorded requests against one API and knows which real values stand for the placeholders."""

    def __init__(self) -> None:
        self.api = new_api()
        self.values: dict[str, str] = {"<uid:14>": "11111111-2222-4333-8444-555555555555"}

    def play(self, case: dict[str, Any]) -> Response:
        if case.get("user") == "unknown token":
            with pytest.raises(ApiError) as refused:
                self.api.tokens.user("Bearer nobody")
            return Response(refused.value.code, refused.value.status())
        user = {"anonymous": ANONYMOUS, "service account": service_account("golden", "default")}.get(
            case.get("user", ""), ADMIN
        )
        query = {name: [self.fill(value, case)] for name, value in case.get("query", {}).items()}
        headers = {
            "content-type": case.get("content_type", ""),
            "accept": case.get("accept", "application/json"),
        }
        answer = self.api.handle(Request(case["method"], case["path"], query, headers, self.body(case), user))
        assert isinstance(answer, Response)
        return answer

    def body(self, case: dict[str, Any]) -> bytes:
        body = case.get("body", "")
        text = body if isinstance(body, str) else json.dumps(body)
        return self.fill(text, case).encode()

    def fill(self, text: str, case: dict[str, Any]) -> str:
        for placeholder, value in self.values.items():
            text = text.replace(placeholder, value)
        if "<rv>" in text:
            text = text.replace("<rv>", self.stored_version(case["path"]))
        return text.replace("<rv:stale>", "1001").replace("<1 MiB and a byte>", "x" * (1024 * 1024 + 1))

    def stored_version(self, path: str) -> str:
        answer = self.api.handle(Request("GET", path))
        assert isinstance(answer, Response)
        return str(json.loads(answer.encoded())["metadata"]["resourceVersion"])

    def compare(self, expected: Any, actual: Any, path: str = "") -> Iterator[str]:
        if isinstance(expected, dict):
            if not isinstance(actual, dict):
                yield f"{path}: {actual!r} is no object"
                return
            for key in sorted(set(expected) | set(actual)):
                if key in ("description", "serverAddressByClientCIDRs"):
                    continue
                if key not in actual or key not in expected:
                    yield f"{path}.{key}: {'missing' if key in expected else 'unexpected'}"
                else:
                    yield from self.compare(expected[key], actual[key], f"{path}.{key}")
        elif isinstance(expected, list):
            if path.endswith(".items") and all(isinstance(each, str) for each in expected):
                actual = [each["metadata"]["name"] for each in actual]
            if len(actual) != len(expected):
                yield f"{path}: {len(actual)} elements, not {len(expected)}: {actual}"
                return
            for index, (one, other) in enumerate(zip(expected, actual, strict=True)):
                yield from self.compare(one, other, f"{path}[{index}]")
        elif isinstance(expected, str):
            yield from self.compare_text(expected, actual, path)
        elif expected != actual:
            yield f"{path}: {actual!r} instead of {expected!r}"

    def compare_text(self, expected: str, actual: Any, path: str) -> Iterator[str]:
        pattern = re.escape(expected)
        pattern = re.sub(
            r"<uid:\d+>", lambda each: re.escape(self.values.get(each[0], "")) or "[0-9a-f-]{36}", pattern
        )
        for placeholder, like in _PLACEHOLDERS.items():
            pattern = pattern.replace(re.escape(placeholder), like)
        if re.fullmatch(pattern, str(actual), re.DOTALL) is None:
            yield f"{path}: {actual!r} instead of {expected!r}"
        elif re.fullmatch(r"<uid:\d+>|<continue>", expected):
            self.values[expected] = str(actual)


_PLACEHOLDERS = {
    "<rv>": r"\d+",
    "<time>": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "<continue>": r"[A-Za-z0-9_-]+",
    "gen-<random>": "gen-[bcdfghjklmnpqrstvwxz2456789]{5}",
    "gen-trk5j": "gen-[bcdfghjklmnpqrstvwxz2456789]{5}",
}


def test_recorded_requests_get_the_recorded_answers() -> None:
    recording = Recording()
    problems: list[str] = []
    for case in CASES:
        answer = recording.play(case)
        if answer.status != case["status"]:
            problems.append(f"{case['step']}: HTTP {answer.status} instead of {case['status']}")
        if "answer" in case:
            body = json.loads(answer.encoded())
            if set(case["answer"]) == {"items"}:
                body = {"items": body["items"]}
            elif case["step"].startswith("list, second page"):
                body = {"metadata": body["metadata"], "items": body["items"]}
            problems += [f"{case['step']}: {each}" for each in recording.compare(case["answer"], body)]
        if "warning" in case:
            warning = answer.warnings[0].replace('"', '\\"')
            assert f'299 - "{warning}"' == case["warning"]
    assert not problems, "\n".join(problems)


def call(
    api: Api, method: str, path: str, body: object = None, kind: str = "application/json", **query: str
) -> Any:
    encoded = b"" if body is None else json.dumps(body).encode()
    values = {name: [value] for name, value in query.items()}
    answer = api.handle(Request(method, path, values, {"content-type": kind}, encoded))
    assert isinstance(answer, Response)
    return json.loads(answer.encoded())


def watch(api: Api, **query: str) -> list[dict[str, Any]]:
    """A list that fills with the events of a watch."""
    events: list[dict[str, Any]] = []
    answer = api.handle(Request("GET", CONFIG_MAPS, {"watch": ["true"]} | {k: [v] for k, v in query.items()}))
    assert isinstance(answer, ResourceWatch)
    answer.open(events.append)
    return events


def names(events: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    return [(each["type"], each["object"]["metadata"].get("name")) for each in events]


@pytest.fixture
def api() -> Api:
    fresh = new_api()
    call(fresh, "POST", "/api/v1/namespaces", {"metadata": {"name": "golden"}})
    for number in (2, 4, 6):
        call(fresh, "POST", CONFIG_MAPS, {"metadata": {"name": f"l{number}", "labels": {"page": "1"}}})
    return fresh


def test_an_object_that_leaves_the_selector_is_deleted_and_added_when_it_returns(api: Api) -> None:
    version = call(api, "GET", CONFIG_MAPS, labelSelector="w=1")["metadata"]["resourceVersion"]
    events = watch(api, labelSelector="w=1", resourceVersion=version)
    merge = "application/merge-patch+json"
    call(api, "POST", CONFIG_MAPS, {"metadata": {"name": "w", "labels": {"w": "1"}}})
    call(api, "PATCH", f"{CONFIG_MAPS}/w", {"data": {"a": "1"}}, merge)
    call(api, "PATCH", f"{CONFIG_MAPS}/w", {"metadata": {"labels": {"w": "2"}}}, merge)
    call(api, "PATCH", f"{CONFIG_MAPS}/w", {"metadata": {"labels": {"w": "1"}}}, merge)
    call(api, "DELETE", f"{CONFIG_MAPS}/w")
    assert [each["type"] for each in events] == ["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"]
    assert [each["object"]["metadata"]["labels"] for each in events] == [{"w": "1"}] * 5
    versions = [int(each["object"]["metadata"]["resourceVersion"]) for each in events]
    assert versions == sorted(set(versions))


def test_a_watch_resumed_at_a_version_gets_what_it_missed(api: Api) -> None:
    version = call(api, "GET", CONFIG_MAPS)["metadata"]["resourceVersion"]
    call(api, "DELETE", f"{CONFIG_MAPS}/l2")
    call(api, "POST", CONFIG_MAPS, {"metadata": {"name": "new"}})
    assert names(watch(api, resourceVersion=version)) == [("DELETED", "l2"), ("ADDED", "new")]


def test_a_watch_without_version_begins_with_what_there_is(api: Api) -> None:
    expected = [("ADDED", "l2"), ("ADDED", "l4"), ("ADDED", "l6")]
    assert names(watch(api, labelSelector="page=1")) == expected


def test_initial_events_end_with_an_annotated_bookmark(api: Api) -> None:
    events = watch(
        api,
        labelSelector="page=1",
        sendInitialEvents="true",
        allowWatchBookmarks="true",
        resourceVersionMatch="NotOlderThan",
    )
    assert names(events[:-1]) == [("ADDED", "l2"), ("ADDED", "l4"), ("ADDED", "l6")]
    assert events[-1]["type"] == "BOOKMARK"
    assert events[-1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_a_watch_from_a_version_that_is_too_old_gets_one_error(api: Api) -> None:
    (event,) = watch(api, resourceVersion="1")
    assert event["type"] == "ERROR"
    status = event["object"]
    assert (status["code"], status["reason"], status["status"]) == (410, "Expired", "Failure")
    assert re.fullmatch(r"too old resource version: 1 \(\d+\)", status["message"])


def test_a_watch_from_a_future_version_is_silent(api: Api) -> None:
    events = watch(api, resourceVersion="999999999")
    call(api, "POST", CONFIG_MAPS, {"metadata": {"name": "new"}})
    assert events == []


def test_a_list_at_a_future_version_times_out(api: Api) -> None:
    status = call(api, "GET", CONFIG_MAPS, resourceVersion="999999999", resourceVersionMatch="Exact")
    assert (status["code"], status["reason"]) == (504, "Timeout")
    assert re.fullmatch(r"Timeout: Too large resource version: 999999999, current: \d+", status["message"])
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    assert status["details"] == {"causes": [cause], "retryAfterSeconds": 1}


def test_a_list_at_version_zero_ignores_the_limit(api: Api) -> None:
    found = call(api, "GET", CONFIG_MAPS, resourceVersion="0", labelSelector="page=1", limit="1")
    assert [each["metadata"]["name"] for each in found["items"]] == ["l2", "l4", "l6"]


def test_nothing_is_created_in_a_namespace_that_terminates(api: Api) -> None:
    deleted = call(api, "DELETE", "/api/v1/namespaces/golden")
    assert deleted["status"] == {"phase": "Terminating"}
    assert deleted["spec"] == {"finalizers": ["kubernetes"]}
    status = call(api, "POST", CONFIG_MAPS, {"metadata": {"name": "late"}})
    why = "unable to create new content in namespace golden because it is being terminated"
    assert status["message"] == f'configmaps "late" is forbidden: {why}'
    assert status["details"]["causes"] == [
        {
            "reason": "NamespaceTerminating",
            "message": "namespace golden is being terminated",
            "field": "metadata.namespace",
        }
    ]
