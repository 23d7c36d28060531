"""The process of a local cluster, `python -m airflow_spark_k8s.local --options JSON`; see `LocalCluster`."""

from __future__ import annotations

import argparse
import asyncio
import logging

from airflow_spark_k8s.local.serve import options_from, serve


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(prog="python -m airflow_spark_k8s.local", description=__doc__)
    parser.add_argument("--options", required=True, help="a JSON object, see airflow_spark_k8s.local.serve")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    # Every call of every client is noise; failures are logged by the server itself.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    asyncio.run(serve(options_from(arguments.options)))


if __name__ == "__main__":
    main()
