from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.resources import CONFIG_MAPS, JOBS, NAMESPACES, PODS, SERVICE_ACCOUNTS
from airflow_spark_k8s.local.store import Event, Store

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def store() -> Store:
    return Store(wall_clock=lambda: NOW, chance=random.Random(7))


def config_map(name: str, **metadata: Any) -> Manifest:
    return {"metadata": {"name": name, "namespace": "default", **metadata}, "data": {"k": "v"}}


def pod(name: str, **metadata: Any) -> Manifest:
    container = {"name": "main", "image": "busybox"}
    return {
        "metadata": {"name": name, "namespace": "default", **metadata},
        "spec": {"containers": [container]},
    }


def run(store: Store, name: str, phase: str = "Running") -> None:
    store.edit(
        PODS, "default", name, lambda each: each["spec"].update(nodeName="node-1"), subresource="binding"
    )
    store.edit(PODS, "default", name, lambda each: each["status"].update(phase=phase), subresource="status")


def recorded(store: Store) -> list[Event]:
    events: list[Event] = []
    store.subscribe(events.append)
    return events


def told(events: list[Event]) -> list[tuple[str, str]]:
    return [(each.type, each.object["metadata"]["name"]) for each in events]


def refusal(action: Callable[[], object]) -> ApiError:
    with pytest.raises(ApiError) as refused:
        action()
    return refused.value


def test_a_namespace_is_furnished_with_account_and_trust() -> None:
    store = Store(wall_clock=lambda: NOW, chance=random.Random(7), root_ca="PEM")
    store.create(NAMESPACES, {"metadata": {"name": "team"}})
    assert store.peek(SERVICE_ACCOUNTS, "team", "default") is not None
    assert store.get(CONFIG_MAPS, "team", "kube-root-ca.crt")["data"] == {"ca.crt": "PEM"}


def test_the_same_seed_gives_the_same_names_and_uids() -> None:
    made = []
    for _ in range(2):
        store = Store(wall_clock=lambda: NOW, chance=random.Random(3))
        obj = {"metadata": {"generateName": "x-", "namespace": "default"}}
        made.append([store.create(CONFIG_MAPS, obj)["metadata"] for _ in range(3)])
    assert made[0] == made[1]
    assert len({each["name"] for each in made[0]}) == 3


def test_a_caller_who_changes_what_get_returned_changes_nothing(store: Store) -> None:
    store.create(CONFIG_MAPS, config_map("a"))
    store.get(CONFIG_MAPS, "default", "a")["data"]["k"] = "changed"
    assert store.get(CONFIG_MAPS, "default", "a")["data"] == {"k": "v"}


def test_a_caller_who_changes_what_was_created_changes_nothing(store: Store) -> None:
    given = config_map("a")
    store.create(CONFIG_MAPS, given)
    given["data"]["k"] = "changed"
    assert store.get(CONFIG_MAPS, "default", "a")["data"] == {"k": "v"}


def test_a_write_that_changes_nothing_keeps_the_version_and_tells_nobody(store: Store) -> None:
    store.create(CONFIG_MAPS, config_map("a"))
    before = store.version
    events = recorded(store)
    store.update(CONFIG_MAPS, store.get(CONFIG_MAPS, "default", "a"))
    assert (store.version, events) == (before, [])


def test_a_stale_version_is_refused(store: Store) -> None:
    stale = store.create(CONFIG_MAPS, config_map("a"))
    store.edit(CONFIG_MAPS, "default", "a", lambda each: each["data"].update(k="new"))
    error = refusal(lambda: store.update(CONFIG_MAPS, {**stale, "data": {}}))
    assert (error.code, error.reason) == (409, "Conflict")


def test_status_and_spec_are_written_apart(store: Store) -> None:
    store.create(PODS, pod("p"))
    changed = store.get(PODS, "default", "p")
    changed["status"]["phase"] = "Running"
    changed["spec"]["activeDeadlineSeconds"] = 5
    assert store.update(PODS, changed, subresource="status")["spec"].get("activeDeadlineSeconds") is None
    changed["metadata"].pop("resourceVersion")
    changed["status"]["phase"] = "Failed"
    stored = store.update(PODS, changed)
    assert stored["status"]["phase"] == "Running"
    assert stored["spec"]["activeDeadlineSeconds"] == 5


@pytest.mark.parametrize(
    ("subresource", "change", "generation"),
    [
        pytest.param(None, lambda each: each["spec"].update(suspend=True), 2, id="the spec changes"),
        pytest.param(None, lambda each: each["metadata"].update(labels={"a": "b"}), 1, id="labels change"),
        pytest.param("status", lambda each: each["status"].update(active=1), 1, id="the status changes"),
    ],
)
def test_the_generation_counts_changes_of_the_spec(
    store: Store, subresource: str | None, change: Callable[[Manifest], None], generation: int
) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "m", "image": "i"}]}}
    store.create(JOBS, {"metadata": {"name": "j", "namespace": "default"}, "spec": {"template": template}})
    edited = store.edit(JOBS, "default", "j", change, subresource=subresource)
    assert edited["metadata"]["generation"] == generation


@pytest.mark.parametrize(
    ("prepare", "grace", "stays"),
    [
        pytest.param(lambda store: None, None, False, id="an unscheduled pod goes at once"),
        pytest.param(lambda store: run(store, "p"), None, True, id="a running pod waits for its kubelet"),
        pytest.param(lambda store: run(store, "p"), 0, False, id="without grace it goes at once"),
        pytest.param(lambda store: run(store, "p", "Succeeded"), None, False, id="an ended pod goes at once"),
    ],
)
def test_deletion_of_a_pod(
    store: Store, prepare: Callable[[Store], None], grace: int | None, stays: bool
) -> None:
    store.create(PODS, pod("p"))
    prepare(store)
    events = recorded(store)
    deleted = store.delete(PODS, "default", "p", grace_seconds=grace)
    assert store.is_stored(PODS, deleted) is stays
    # Watches see the mark before the end, whatever the grace.
    assert [each.type for each in events] == (["MODIFIED"] if stays else ["MODIFIED", "DELETED"])
    assert deleted["metadata"]["generation"] == 2


def test_the_deletion_timestamp_lies_behind_the_grace_and_is_only_shortened(store: Store) -> None:
    store.create(PODS, pod("p"))
    run(store, "p")
    store.delete(PODS, "default", "p", grace_seconds=20)
    unchanged = store.delete(PODS, "default", "p", grace_seconds=60)
    assert unchanged["metadata"]["deletionGracePeriodSeconds"] == 20
    shorter = store.delete(PODS, "default", "p", grace_seconds=5)["metadata"]
    assert shorter["deletionGracePeriodSeconds"] == 5
    assert datetime.fromisoformat(shorter["deletionTimestamp"]) == NOW + timedelta(seconds=5)


def test_an_object_goes_with_its_last_finalizer_and_is_shown_as_it_was(store: Store) -> None:
    store.create(CONFIG_MAPS, config_map("a", finalizers=["example.com/hold"]))
    store.delete(CONFIG_MAPS, "default", "a")
    events = recorded(store)
    answer = store.edit(CONFIG_MAPS, "default", "a", lambda each: each["metadata"].pop("finalizers"))
    assert "finalizers" not in answer["metadata"]
    assert told(events) == [("DELETED", "a")]
    assert events[0].object["metadata"]["finalizers"] == ["example.com/hold"]
    assert store.peek(CONFIG_MAPS, "default", "a") is None


@pytest.mark.parametrize(
    ("propagation", "finalizers"),
    [
        pytest.param(None, ["orphan"], id="a Job orphans by default"),
        pytest.param("Orphan", ["orphan"], id="asked to orphan"),
        pytest.param("Foreground", ["foregroundDeletion"], id="dependents first"),
        pytest.param("Background", None, id="dependents later"),
    ],
)
def test_propagation_becomes_a_finalizer(
    store: Store, propagation: str | None, finalizers: list[str] | None
) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "m", "image": "i"}]}}
    store.create(JOBS, {"metadata": {"name": "j", "namespace": "default"}, "spec": {"template": template}})
    deleted = store.delete(JOBS, "default", "j", propagation=propagation)
    assert deleted["metadata"].get("finalizers") == finalizers
    assert store.is_stored(JOBS, deleted) is (finalizers is not None)


def test_a_precondition_protects_the_successor_of_the_same_name(store: Store) -> None:
    first = store.create(CONFIG_MAPS, config_map("a"))
    store.delete(CONFIG_MAPS, "default", "a")
    store.create(CONFIG_MAPS, config_map("a"))
    error = refusal(lambda: store.delete(CONFIG_MAPS, "default", "a", uid=first["metadata"]["uid"]))
    assert error.code == 409


def test_every_subscriber_sees_the_same_order_even_if_one_writes(store: Store) -> None:
    def answer(event: Event) -> None:
        if event.type == "ADDED" and event.object["metadata"]["name"] == "a":
            store.create(CONFIG_MAPS, config_map("b"))

    store.subscribe(answer)
    events = recorded(store)
    store.create(CONFIG_MAPS, config_map("a"))
    assert told(events) == [("ADDED", "a"), ("ADDED", "b")]


def test_changes_are_replayed_as_far_as_the_history_reaches() -> None:
    store = Store(wall_clock=lambda: NOW, chance=random.Random(7), history=3)
    start = store.version
    for name in "abcd":
        store.create(CONFIG_MAPS, config_map(name))
    assert told(store.events_since(start + 1, CONFIG_MAPS)) == [
        ("ADDED", "b"),
        ("ADDED", "c"),
        ("ADDED", "d"),
    ]
    assert refusal(lambda: store.events_since(start, CONFIG_MAPS)).code == 410


def test_owners_and_nodes_are_indexed(store: Store) -> None:
    reference = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u-1"}
    store.create(PODS, pod("p"))
    store.create(CONFIG_MAPS, config_map("a", ownerReferences=[reference]))
    run(store, "p")
    assert [(each[0].plural, each[1]["metadata"]["name"]) for each in store.owned_by("u-1")] == [
        ("configmaps", "a")
    ]
    assert [each["metadata"]["name"] for each in store.pods_on("node-1")] == ["p"]
    store.edit(CONFIG_MAPS, "default", "a", lambda each: each["metadata"].pop("ownerReferences"))
    store.delete(PODS, "default", "p", grace_seconds=0)
    assert store.owned_by("u-1") == []
    assert store.pods_on("node-1") == []


def test_a_dry_run_stores_nothing(store: Store) -> None:
    before = store.version
    store.create(CONFIG_MAPS, config_map("a"), dry_run=True)
    assert store.peek(CONFIG_MAPS, "default", "a") is None
    assert store.version == before


def test_a_namespace_stays_until_its_own_finalizer_is_gone(store: Store) -> None:
    store.create(NAMESPACES, {"metadata": {"name": "team"}})
    marked = store.delete(NAMESPACES, None, "team")
    assert marked["status"]["phase"] == "Terminating"
    store.edit(
        NAMESPACES, None, "team", lambda each: each["spec"].update(finalizers=[]), subresource="finalize"
    )
    assert store.peek(NAMESPACES, None, "team") is None
