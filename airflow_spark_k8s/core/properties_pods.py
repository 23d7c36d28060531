"""The shapes of driver and executor pods, read from the properties that Spark would shape them by."""

from __future__ import annotations

from typing import Any

from airflow_spark_k8s.core.conf import CONNECTION_SUFFIX, Conf
from airflow_spark_k8s.core.labels import (
    MAX_ANNOTATIONS_BYTES,
    PREFIX,
    SPARK_RESERVED_LABELS,
    check_key,
    check_label_value,
    is_dns_subdomain,
)
from airflow_spark_k8s.core.memory import driver_memory, executor_memory
from airflow_spark_k8s.core.properties_devices import device_limits
from airflow_spark_k8s.core.properties_env import environment, java_options
from airflow_spark_k8s.core.properties_hadoop import hadoop_environment
from airflow_spark_k8s.core.properties_java import driver_options, executor_options
from airflow_spark_k8s.core.properties_resource import Resource
from airflow_spark_k8s.core.properties_secrets import secret_key_refs
from airflow_spark_k8s.core.properties_version import Images
from airflow_spark_k8s.core.properties_volumes import mounts_of
from airflow_spark_k8s.core.quantities import format_millicores
from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.shaping import priority_class
from airflow_spark_k8s.core.spec import MemorySum, PodShape, SecretEnv
from airflow_spark_k8s.exceptions import InvalidConfiguration

DEFAULT_GRACE_SECONDS = 30

_PULL_POLICY = "spark.kubernetes.container.image.pullPolicy"
_PULL_SECRETS = "spark.kubernetes.container.image.pullSecrets"
_GRACE = "spark.kubernetes.executor.terminationGracePeriodSeconds"
_SERVICE_ACCOUNT = "spark.kubernetes.authenticate.serviceAccountName"
_SERVICE_ACCOUNT_OF_ROLE = "spark.kubernetes.authenticate.{}.serviceAccountName"
_LOCAL_DIRS_IN_MEMORY = "spark.kubernetes.local.dirs.tmpfs"
_PLACEHOLDERS = ("{{APP_ID}}", "{{EXECUTOR_ID}}")


def driver_shape(request: ApplicationRequest, conf: Conf, images: Images, resource: Resource) -> PodShape:
    """
    What the driver pod looks like.

    :raises InvalidConfiguration: for a value that cannot work.

    Source: org.apache.spark.deploy.k8s.features.BasicDriverFeatureStep
    """
    for name in ("spark.driver.defaultJavaOptions", "spark.driver.extraJavaOptions"):
        driver_options(conf, name)
    return _shape(
        conf,
        "driver",
        image=images.driver,
        memory=driver_memory(conf, images.spark_version, non_jvm=resource.is_non_jvm),
        service_account=_driver_account(request, conf),
        env=environment(conf, "driver"),
        grace_seconds=DEFAULT_GRACE_SECONDS,
        priority=priority_class(request, "driver"),
        spark_version=images.spark_version,
    )


def executor_shape(
    request: ApplicationRequest,
    conf: Conf,
    images: Images,
    resource: Resource,
) -> PodShape:
    """
    What an executor pod looks like.

    :raises InvalidConfiguration: for a value that cannot work.

    Source: org.apache.spark.deploy.k8s.features.BasicExecutorFeatureStep
    """
    version = images.spark_version
    options, secret_options = java_options(conf, executor_options(conf, version))
    env, secret_env = environment(conf, "executor")
    return _shape(
        conf,
        "executor",
        image=images.executor,
        memory=executor_memory(conf, version, non_jvm=resource.is_non_jvm, is_python=resource.is_python),
        service_account=_executor_account(request, conf),
        env=(env, (*secret_env, *secret_options)),
        grace_seconds=int(conf.seconds(_GRACE, DEFAULT_GRACE_SECONDS)),
        options=options,
        priority=priority_class(request, "executor"),
        spark_version=version,
    )


def _shape(
    conf: Conf,
    role: str,
    *,
    image: str,
    memory: MemorySum,
    service_account: str | None,
    env: tuple[dict[str, str], tuple[SecretEnv, ...]],
    grace_seconds: int,
    priority: str | None,
    spark_version: tuple[int, int, int],
    options: tuple[str, ...] = (),
) -> PodShape:
    cores = conf.integer(f"spark.{role}.cores", 1, minimum=1)
    cpu_request, cpu_limit = _cpu(conf, role, cores)
    return PodShape(
        image=image,
        memory=memory,
        cores=cores,
        cpu_request_quantity=cpu_request,
        cpu_limit_quantity=cpu_limit,
        image_pull_policy=_pull_policy(conf),
        image_pull_secrets=_pull_secrets(conf),
        service_account=service_account,
        labels=_labels(conf, role),
        annotations=_annotations(conf, role),
        node_selector=_node_selector(conf, role),
        env={**env[0], **hadoop_environment(conf)},
        secret_env=env[1],
        java_options=options,
        termination_grace_period_seconds=grace_seconds,
        scheduler_name=_scheduler(conf, role),
        priority_class=priority,
        **_attached(conf, role, spark_version),
    )


def _attached(conf: Conf, role: str, spark_version: tuple[int, int, int]) -> dict[str, Any]:
    points = mounts_of(conf, role, spark_version)
    return {
        "volumes": tuple(point.volume for point in points),
        "volume_mounts": tuple(point.mount for point in points),
        "local_dirs_in_memory": conf.flag(_LOCAL_DIRS_IN_MEMORY, default=False),
        "secret_key_refs": secret_key_refs(conf, role),
        "device_limits": device_limits(conf, role),
    }


def _cpu(conf: Conf, role: str, cores: int) -> tuple[str, str | None]:
    limit_name = f"spark.kubernetes.{role}.limit.cores"
    request = conf.millicores(f"spark.kubernetes.{role}.request.cores") or cores * 1000
    limit = conf.millicores(limit_name)
    if limit is None:
        return format_millicores(request), None
    if limit < request:
        raise conf.error(limit_name, f"must be at least the request, {format_millicores(request)}")
    return format_millicores(request), format_millicores(limit)


def _pull_policy(conf: Conf) -> str:
    policy = conf.get(_PULL_POLICY) or "IfNotPresent"  # Spark's default, whatever the tag
    if policy not in ("Always", "IfNotPresent", "Never"):
        raise conf.error(_PULL_POLICY, "must be Always, IfNotPresent or Never")
    return policy


def _pull_secrets(conf: Conf) -> tuple[str, ...]:
    names = tuple(name.strip() for name in (conf.get(_PULL_SECRETS) or "").split(",") if name.strip())
    for name in names:
        if not is_dns_subdomain(name):
            raise InvalidConfiguration(conf.field(_PULL_SECRETS), name, "no valid name of a Secret")
    return names


def _driver_account(request: ApplicationRequest, conf: Conf) -> str | None:
    return _account(
        conf,
        (_SERVICE_ACCOUNT_OF_ROLE.format("driver"), _SERVICE_ACCOUNT),
        "driver_service_account",
        request.default_driver_service_account,
    )


def _executor_account(request: ApplicationRequest, conf: Conf) -> str | None:
    own = _account(
        conf,
        (_SERVICE_ACCOUNT_OF_ROLE.format("executor"),),
        "executor_service_account",
        request.default_executor_service_account,
    )
    return own or _driver_account(request, conf)


def _account(conf: Conf, names: tuple[str, ...], argument: str, default: str | None) -> str | None:
    chosen = conf.chosen(names)
    value = default if chosen is None else conf.get(chosen)
    if chosen in conf.from_connection and default and value != default:
        raise conf.error(chosen, f"contradicts the connection's {argument}={default!r}; say one of them")
    if not value:
        return None
    if not is_dns_subdomain(value):
        field = argument + CONNECTION_SUFFIX if chosen is None else conf.field(chosen)
        raise InvalidConfiguration(field, value, "no valid name of a service account")
    return value


def _labels(conf: Conf, role: str) -> dict[str, str]:
    prefix = f"spark.kubernetes.{role}.label."
    labels = conf.prefixed(prefix)
    for key, value in labels.items():
        _check_metadata(conf, prefix + key, key, value)
        if key in SPARK_RESERVED_LABELS:
            raise conf.error(prefix + key, "this label is Spark's own; choose another key")
        check_label_value(value, field=conf.field(prefix + key))
    return labels


def _annotations(conf: Conf, role: str) -> dict[str, str]:
    prefix = f"spark.kubernetes.{role}.annotation."
    annotations = conf.prefixed(prefix)
    for key, value in annotations.items():
        _check_metadata(conf, prefix + key, key, value)
    size = sum(len((key + value).encode("utf-8", "surrogatepass")) for key, value in annotations.items())
    if size > MAX_ANNOTATIONS_BYTES:
        raise InvalidConfiguration(
            prefix + "*", f"{size} bytes", f"Kubernetes takes at most {MAX_ANNOTATIONS_BYTES} bytes together"
        )
    return annotations


def _check_metadata(conf: Conf, name: str, key: str, value: str) -> None:
    check_key(key, field=conf.field(name))
    if key.startswith(PREFIX):
        raise conf.error(name, f"keys under {PREFIX} are this package's own; choose another key")
    for placeholder in _PLACEHOLDERS:
        if placeholder in value:
            raise conf.error(name, f"{placeholder} is filled in for java options only; leave it out")


def _node_selector(conf: Conf, role: str) -> dict[str, str]:
    selector = {}
    for prefix in ("spark.kubernetes.node.selector.", f"spark.kubernetes.{role}.node.selector."):
        for key, value in conf.prefixed(prefix).items():
            check_key(key, field=conf.field(prefix + key))
            selector[key] = check_label_value(value, field=conf.field(prefix + key))
    return selector


def _scheduler(conf: Conf, role: str) -> str | None:
    chosen = conf.chosen((f"spark.kubernetes.{role}.scheduler.name", "spark.kubernetes.scheduler.name"))
    if chosen is None:
        return None
    scheduler = conf.get(chosen) or ""
    if not is_dns_subdomain(scheduler):
        raise conf.error(chosen, "no valid name of a scheduler")
    return scheduler
