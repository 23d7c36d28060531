from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from airflow_spark_k8s.local.addresses import PodAddresses


@pytest.fixture
def addresses() -> Iterator[PodAddresses]:
    addresses = PodAddresses(random.Random(7))
    yield addresses
    addresses.close()


def test_every_pod_has_a_loopback_address_of_its_own_and_keeps_it(addresses: PodAddresses) -> None:
    first, second = addresses.take("a"), addresses.take("b")
    assert first != second
    assert addresses.take("a") == first
    assert all(address.startswith("127.") for address in (first, second))


def test_a_released_address_is_not_given_to_the_next_pod(addresses: PodAddresses) -> None:
    first = addresses.take("a")
    addresses.release("a")
    addresses.release("nobody")
    assert addresses.take("b") != first


def test_two_clusters_share_no_address(addresses: PodAddresses) -> None:
    # The same chance would pick the same block, if it were free.
    other = PodAddresses(random.Random(7))
    assert other.take("a").split(".")[1] != addresses.take("a").split(".")[1]
    other.close()
