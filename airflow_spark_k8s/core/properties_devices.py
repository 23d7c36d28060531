"""GPUs and other devices: what a container is given, and what Spark needs to make use of it."""

from __future__ import annotations

from airflow_spark_k8s.core.conf import Conf
from airflow_spark_k8s.core.labels import check_key, is_dns_subdomain

_SETTINGS = {
    "driver": ("amount", "vendor", "discoveryScript"),
    "executor": ("amount", "vendor", "discoveryScript"),
    "task": ("amount",),
}
_INSTEAD_OF_A_SCRIPT = {
    "driver": ("spark.resources.discoveryPlugin", "spark.driver.resourcesFile"),
    "executor": ("spark.resources.discoveryPlugin",),
}


def device_limits(conf: Conf, role: str) -> dict[str, str]:
    """
    The devices of a container, as limits: `spark.executor.resource.gpu.*` makes `nvidia.com/gpu`.

    The driver gets the properties, too: its scheduler counts by them, and it tells executors which script
    finds their devices.

    :param role: driver or executor.
    :raises InvalidConfiguration: for devices without amount, vendor or script, and for tasks that need more
        of them than an executor has.

    Source: org.apache.spark.deploy.k8s.KubernetesUtils.buildResourcesQuantities,
    org.apache.spark.resource.ResourceUtils
    """
    if role == "executor":
        _check_tasks(conf)
    limits = {}
    for device in _devices(conf, role):
        prefix = f"spark.{role}.resource.{device}."
        if amount := _amount(conf, prefix):
            _check_script(conf, role, prefix)
            limits[_kubernetes_name(conf, prefix, device)] = str(amount)
    return limits


def _check_tasks(conf: Conf) -> None:
    # as org.apache.spark.resource.ResourceProfile.calculateTasksAndLimitingResource does
    for device in _devices(conf, "task"):
        name = f"spark.task.resource.{device}.amount"
        amount = conf.number(_given(conf, name), 0)
        if amount > 1 and not amount.is_integer():
            raise conf.error(name, "must be at most 1, or a whole number")
        of_executor = f"spark.executor.resource.{device}.amount"
        if amount > conf.integer(of_executor, 0):
            raise conf.error(name, f"is more than an executor has; set {of_executor}")


def _devices(conf: Conf, role: str) -> list[str]:
    prefix = f"spark.{role}.resource."
    devices: dict[str, None] = {}
    for rest in conf.set_with(prefix):
        device, _, setting = rest.partition(".")
        if not device or setting not in _SETTINGS[role]:
            known = ", ".join(f"{prefix}{device or 'gpu'}.{setting}" for setting in _SETTINGS[role])
            raise conf.error(prefix + rest, f"is no property of a device; write {known}")
        devices[device] = None
    return list(devices)


def _amount(conf: Conf, prefix: str) -> int:
    return conf.integer(_given(conf, prefix + "amount"), 0)


def _given(conf: Conf, name: str) -> str:
    if conf.get(name) is None:
        raise conf.error(name, "must say how many of these devices it is to be")
    return name


def _check_script(conf: Conf, role: str, prefix: str) -> None:
    name = prefix + "discoveryScript"
    script = conf.get(name)
    if script is None and not any(conf.get(other) for other in _INSTEAD_OF_A_SCRIPT[role]):
        raise conf.error(name, "must be a script in the image that tells Spark the devices' addresses")
    if script is not None and ":" in script:
        raise conf.error(name, "must be a path in the container, no URI")


def _kubernetes_name(conf: Conf, prefix: str, device: str) -> str:
    name = prefix + "vendor"
    vendor = conf.get(name)
    if vendor is None or not is_dns_subdomain(vendor):
        raise conf.error(name, f"must be whose {device} it is to Kubernetes, such as nvidia.com")
    return check_key(f"{vendor}/{device}", field=conf.field(name))
