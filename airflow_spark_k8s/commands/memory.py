"""Print how much memory a driver or executor pod requests and may use, and how it comes about."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from airflow_spark_k8s.commands.memory_report import floor_note, report_of, table
from airflow_spark_k8s.core import quantities
from airflow_spark_k8s.core.request import ApplicationRequest, Shaping
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.spec import Application
from airflow_spark_k8s.exceptions import InvalidConfiguration

HELP = "print how much memory a pod requests and may use, and how it comes about"

DEFAULT_SPARK_VERSION = "4.3.0"

_OFFHEAP_ENABLED = "spark.memory.offHeap.enabled"
_PLAIN_NUMBER = re.compile(r"-?[0-9.]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Option:
    """An option that stands for a property."""

    attribute: str  # of the parsed arguments
    name: str  # of the property, {} for the role
    parse: Callable[..., object] | None = None  # of a size, to see whether two texts mean the same
    for_driver: bool = True

    @property
    def flag(self) -> str:
        return _flag(self.attribute)


_PROPERTIES = (
    _Option("heap", "spark.{}.memory", quantities.parse_mib),
    _Option("overhead", "spark.{}.memoryOverhead", quantities.parse_mib),
    _Option("overhead_factor", "spark.{}.memoryOverheadFactor"),
    _Option("min_overhead", "spark.{}.minMemoryOverhead", quantities.parse_mib),
    _Option("offheap", "spark.memory.offHeap.size", quantities.parse_bytes, for_driver=False),
    _Option("pyspark_memory", "spark.executor.pyspark.memory", quantities.parse_mib, for_driver=False),
    _Option("cores", "spark.{}.cores"),
    _Option("limit_cores", "spark.kubernetes.{}.limit.cores"),
)
_SHAPING = ("burst_factor", "min_guaranteed_ratio", "burst_offheap", "min_guaranteed_offheap_ratio")
_ARGUMENTS = re.compile(rf"(?:the operator's )?\b({'|'.join(_SHAPING)})\b")
_SWITCHES = ("python", "driver", "spark_version", "conf")
_WITH_DAG_ONLY = ("task", "conn_id", "map_index")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    sums = parser.add_argument_group("a pod by its numbers")
    sums.add_argument("--heap", metavar="SIZE", help="such as 40g (default: 1g)")
    sums.add_argument("--overhead", metavar="SIZE", help="memory outside the heap (default: by factor)")
    sums.add_argument("--overhead-factor", metavar="X", help="of the heap (default: 0.1; Python and R 0.4)")
    sums.add_argument("--min-overhead", metavar="SIZE", help="least overhead by factor (default: 384m)")
    sums.add_argument("--offheap", metavar="SIZE", help="off-heap memory (default: none)")
    sums.add_argument("--pyspark-memory", metavar="SIZE", help="limit of Python workers (default: none)")
    sums.add_argument("--python", action="store_true", help="the application is a Python one")
    sums.add_argument("--driver", action="store_true", help="the driver's pod, not an executor's")
    sums.add_argument("--cores", metavar="N", help="CPU request (default: 1)")
    sums.add_argument("--limit-cores", metavar="N", help="CPU limit (default: none)")
    sums.add_argument("--burst-factor", metavar="X", help="such as 1.2 (default: no bursting)")
    sums.add_argument("--min-guaranteed-ratio", metavar="X", help="of the overhead (default: 0.1)")
    sums.add_argument("--burst-offheap", action="store_const", const=True, help="off-heap memory bursts, too")
    sums.add_argument("--min-guaranteed-offheap-ratio", metavar="X", help="of off-heap memory (default: 0.5)")
    sums.add_argument("--spark-version", metavar="V", help=f"(default: {DEFAULT_SPARK_VERSION})")
    sums.add_argument(
        "--conf",
        action="append",
        metavar="K=V",
        help="a Spark property, as for spark-submit; may be repeated",
    )
    of_dag = parser.add_argument_group("the pods of a DAG's task")
    of_dag.add_argument("--dag", metavar="FILE", help="the file that has the DAG")
    of_dag.add_argument("--task", metavar="ID", help="TASK, or DAG.TASK if several DAGs of the file have it")
    of_dag.add_argument("--conn-id", metavar="ID", help="connection with defaults (default: the task's)")
    of_dag.add_argument("--map-index", metavar="N", type=int, help="of a mapped task (default: 0)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Exit code: 0 printed, 2 the values cannot work."""
    try:
        if arguments.dag is not None:
            return _print_dag(arguments)
        for attribute in _WITH_DAG_ONLY:
            if getattr(arguments, attribute) is not None:
                raise InvalidConfiguration(
                    _flag(attribute), getattr(arguments, attribute), "says something only with --dag FILE"
                )
        return _print_sum(arguments)
    except InvalidConfiguration as error:
        print(f"airflow-spark-k8s memory: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _print_sum(arguments: argparse.Namespace) -> int:
    application = _application(arguments)
    shape = application.driver if arguments.driver else application.executor
    burst = None if arguments.driver else application.burst
    report = report_of(shape, burst)
    if arguments.json:
        print(json.dumps(report.as_dict))
        return 0
    print(table({"driver" if arguments.driver else "executor": report}))
    note = floor_note(shape, burst)
    if note:
        print(f"\n{note}")
    return 0


def _print_dag(arguments: argparse.Namespace) -> int:
    from airflow_spark_k8s.commands.memory_of_dag import memory_of_task

    if arguments.task is None:
        raise InvalidConfiguration("--task", None, "say which task of the DAG file")
    for attribute in (*(option.attribute for option in _PROPERTIES), *_SHAPING, *_SWITCHES):
        if getattr(arguments, attribute):
            raise InvalidConfiguration(
                _flag(attribute),
                getattr(arguments, attribute),
                "has no effect with --dag, whose task says it",
            )
    found = memory_of_task(
        arguments.dag, arguments.task, conn_id=arguments.conn_id, map_index=arguments.map_index
    )
    if arguments.json:
        print(json.dumps(found.as_dict))
        return 0
    print(table(found.columns))
    for note in found.notes:
        print(f"\n{note}")
    return 0


def _application(arguments: argparse.Namespace) -> Application:
    _refuse_what_has_no_effect(arguments)
    role = "driver" if arguments.driver else "executor"
    conf, options = _conf(arguments), {}
    for option in _PROPERTIES:
        value = getattr(arguments, option.attribute)
        if value is None:
            continue
        name = option.name.format(role)
        _check(option, value, name, conf.get(name))
        conf[name] = value
        options[name] = option.flag
    if arguments.offheap is not None and conf.setdefault(_OFFHEAP_ENABLED, "true").strip().lower() != "true":
        raise InvalidConfiguration(
            f"--conf {_OFFHEAP_ENABLED}", conf[_OFFHEAP_ENABLED], "contradicts --offheap; say one of them"
        )
    request = ApplicationRequest(
        application="local:///application.py" if arguments.python else "local:///application.jar",
        image="spark",
        spark_version=arguments.spark_version or DEFAULT_SPARK_VERSION,
        conf=conf,
        shaping=Shaping(**{name: getattr(arguments, name) for name in _SHAPING}),
    )
    options |= {name: _flag(name) for name in (*_SHAPING, "spark_version")}
    return _resolved(request, options)


def _resolved(request: ApplicationRequest, options: Mapping[str, str]) -> Application:
    """The application; errors speak of the command's options where those gave the values."""
    try:
        return resolve(request)
    except InvalidConfiguration as error:
        field = options.get(error.field) or (f"--conf {error.field}" if error.field in request.conf else None)
        remedy = _ARGUMENTS.sub(lambda found: _flag(found[1]), error.remedy)
        raise InvalidConfiguration(field or error.field, error.value, remedy) from error


def _refuse_what_has_no_effect(arguments: argparse.Namespace) -> None:
    """Nothing that is given may be ignored, as Spark would."""
    for option in _PROPERTIES:
        value = getattr(arguments, option.attribute)
        if arguments.driver and not option.for_driver and value is not None:
            raise InvalidConfiguration(option.flag, value, "is an executor's; leave out --driver")
    for attribute in _SHAPING:
        if arguments.driver and getattr(arguments, attribute) is not None:
            raise InvalidConfiguration(
                _flag(attribute), getattr(arguments, attribute), "only executors burst; leave out --driver"
            )
    if arguments.pyspark_memory is not None and not arguments.python:
        raise InvalidConfiguration(
            "--pyspark-memory", arguments.pyspark_memory, "counts for Python applications only; add --python"
        )
    for attribute in ("overhead_factor", "min_overhead"):
        if arguments.overhead is not None and getattr(arguments, attribute) is not None:
            raise InvalidConfiguration(
                _flag(attribute),
                getattr(arguments, attribute),
                f"has no effect beside --overhead={arguments.overhead}; say one of them",
            )


def _conf(arguments: argparse.Namespace) -> dict[str, str]:
    conf = {}
    for text in arguments.conf or ():
        name, separator, value = text.partition("=")
        if not separator or not name.strip():
            raise InvalidConfiguration(
                "--conf", text, "must be PROPERTY=VALUE, such as spark.executor.memory=4g"
            )
        conf[name.strip()] = value
    return conf


def _check(option: _Option, value: str, name: str, in_conf: str | None) -> None:
    """Return if the option's value is one that can be read, and its property does not say another."""
    if option.parse is not None:
        if _PLAIN_NUMBER.fullmatch(value.strip()):
            raise InvalidConfiguration(option.flag, value, "must be a size with its unit, such as 512m or 4g")
        option.parse(value, field=option.flag)
    if in_conf is None:
        return
    field = f"--conf {name}"
    same = value.strip() == in_conf.strip()
    if option.parse is not None:
        same = option.parse(value, field=option.flag) == option.parse(in_conf, field=field)
    if not same:
        raise InvalidConfiguration(field, in_conf, f"contradicts {option.flag}={value}; say one of them")


def _flag(attribute: str) -> str:
    return "--" + attribute.replace("_", "-")
