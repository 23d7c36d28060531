"""
Print the Roles that Airflow and Spark drivers need in a namespace, ready for `kubectl apply -f -`.

They hold the verbs that are used, each with the reason, and no others.
"""

from __future__ import annotations

import argparse
import sys

from airflow_spark_k8s.core.labels import is_dns_label
from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.kube.roles import (
    Grant,
    airflow_service_account,
    airflow_user,
    driver_service_account,
    roles_yaml,
)

HELP = "print the Roles that Airflow and drivers need"

DEFAULT_DRIVER = "spark-driver"
DEFAULT_AIRFLOW = "airflow/airflow"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument("--namespace", required=True, metavar="N", help="where applications run")
    parser.add_argument(
        "--service-account",
        default=DEFAULT_DRIVER,
        metavar="NAME",
        help="of the drivers; is made (default: %(default)s)",
    )
    who = parser.add_mutually_exclusive_group()
    who.add_argument(
        "--airflow-service-account",
        metavar="NS/NAME",
        help=f"that Airflow's pods run under (default: {DEFAULT_AIRFLOW})",
    )
    who.add_argument("--airflow-user", metavar="NAME", help="the user of the connection's kubeconfig instead")
    parser.add_argument(
        "--optional",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="rights without which something works less well (default: with them)",
    )
    parser.add_argument(
        "--cluster-role", action="store_true", help="also those on nodes and priority classes"
    )


def run(arguments: argparse.Namespace) -> int:
    """Exit code: 0 printed, 2 a name cannot be one."""
    try:
        print(roles_yaml(_grant(arguments)), end="")
    except InvalidConfiguration as error:
        print(f"airflow-spark-k8s rbac: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _grant(arguments: argparse.Namespace) -> Grant:
    if not is_dns_label(arguments.namespace):
        raise InvalidConfiguration("--namespace", arguments.namespace, "is no name of a namespace")
    if arguments.airflow_user is not None:
        airflow = airflow_user(arguments.airflow_user, field="--airflow-user")
    else:
        account = DEFAULT_AIRFLOW if arguments.airflow_service_account is None else None
        airflow = airflow_service_account(
            account or arguments.airflow_service_account, field="--airflow-service-account"
        )
    return Grant(
        namespace=arguments.namespace,
        airflow=airflow,
        driver_service_account=driver_service_account(arguments.service_account, field="--service-account"),
        optional=arguments.optional,
        cluster_wide=arguments.cluster_role,
    )
