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
from airflow_spark_k8s.local.exchange import ADMIN, ANONYMOUS, Request, Response, User
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
        headers = {"content-type": case.get("content_type", ""), "accept": case.get("accept", "application/json")}
        answer = self.api.handle(
            Request(case["method"], case["path"], query, headers, self.body(case), user)
        )
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
        pattern = re.sub(r"<uid:\d+>", lambda each: re.escape(self.values.get(each[0], "")) or "[0-9a-f-]{36}", pattern)
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
