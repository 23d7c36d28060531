from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--kube-context"):
        return
    # On a real cluster only what is written for any cluster makes sense.
    other = [item for item in items if item.get_closest_marker("cluster") is None]
    config.hook.pytest_deselected(items=other)
    items[:] = [item for item in items if item not in other]
