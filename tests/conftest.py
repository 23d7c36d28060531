from __future__ import annotations

import atexit
import os
import shutil
import tempfile

import pytest

# Airflow settles on a home folder while it is imported, which test modules do: a fixture would come too late.
_AIRFLOW_HOME = tempfile.mkdtemp(prefix="airflow-home-")
os.environ["AIRFLOW_HOME"] = _AIRFLOW_HOME
# At exit: a command line that pytest refuses is never "unconfigured", and Airflow logs until the very end.
atexit.register(shutil.rmtree, _AIRFLOW_HOME, ignore_errors=True)

_REAL_CLUSTER_SECONDS = 1800


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--kube-context"):
        return
    # On a real cluster only what is written for any cluster makes sense.
    other = [item for item in items if item.get_closest_marker("cluster") is None]
    config.hook.pytest_deselected(items=other)
    items[:] = [item for item in items if item not in other]
    for item in items:
        # Images of a gigabyte may have to be pulled on every node first.
        item.add_marker(pytest.mark.timeout(_REAL_CLUSTER_SECONDS), append=False)
