"""What the driver's properties file holds: the user's properties, and those that outside allocation needs."""

from __future__ import annotations

from airflow_spark_k8s.core.conf import Conf
from airflow_spark_k8s.core.properties import passed_properties
from airflow_spark_k8s.core.properties_resource import dependencies
from airflow_spark_k8s.core.properties_security import security_properties
from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.spec import PodShape

_ALLOCATION_MAXIMUM_SINCE = (4, 1, 0)
_IMAGE = "spark.kubernetes.container.image"

_ALWAYS = {
    # the image must not switch it on
    "spark.dynamicAllocation.enabled": "false",
    # a driver that wants no executors deletes executor pods that are pending for longer than this
    "spark.dynamicAllocation.executorIdleTimeout": "2147483647s",
    # reasons are read from finished pods, which the driver would delete within a second
    "spark.kubernetes.executor.deleteOnTermination": "false",
    # executor pods made from outside cannot mount a ConfigMap whose name only the driver knows
    "spark.kubernetes.executor.disableConfigMap": "true",
    # there are none; the driver would need the right to delete them
    "spark.kubernetes.driver.ownPersistentVolumeClaim": "false",
    "spark.kubernetes.driver.reusePersistentVolumeClaim": "false",
    "spark.kubernetes.driver.service.deleteOnTermination": "false",
    "spark.driver.port": "7078",
    "spark.driver.blockManager.port": "7079",
    "spark.ui.enabled": "true",
    "spark.ui.port": "4040",
}
_UNLESS_GIVEN = {
    # the budget of a driver that wants no executors would be three lost ones
    "spark.executor.maxNumFailures": "1000000",
}
_WHEN_BURSTING_UNLESS_GIVEN = {
    # without it nobody could tell how much memory an executor used
    "spark.executor.processTreeMetrics.enabled": "true",
    # between heartbeats, every 10 s, a peak would go unseen; each look costs a process or two
    "spark.executor.metrics.pollingInterval": "3s",
}
_WITH_PACKAGES_UNLESS_GIVEN = {
    # the default is below the home folder of the image's user, which does not exist
    "spark.jars.ivy": "/tmp/.ivy2",  # noqa: S108 - in the driver's own container
}


def driver_properties(
    request: ApplicationRequest,
    conf: Conf,
    spark_version: tuple[int, int, int],
    driver: PodShape,
    executor: PodShape,
) -> dict[str, str]:
    """
    The driver's properties by name, but for those that name the application; some values may be secrets.

    Not among them: what differs between driver pods (`spark.app.id`, addresses), and
    `spark.executor.instances`, which spark-submit would refuse to be 0.

    :raises InvalidConfiguration: for a dependency that is no URI, and encryption without authentication.

    Source: org.apache.spark.scheduler.cluster.k8s.ExecutorPodsAllocator, ExecutorPodsLifecycleManager
    """
    properties = {**_UNLESS_GIVEN, **passed_properties(conf), **dependencies(request, conf)}
    if "spark.jars.packages" in properties:
        properties = _WITH_PACKAGES_UNLESS_GIVEN | properties
    if executor.shared_mib:
        properties = _WHEN_BURSTING_UNLESS_GIVEN | properties
    properties |= _ALWAYS
    if spark_version >= _ALLOCATION_MAXIMUM_SINCE:
        # executor ids begin at 1: the driver can create none, even if user code asks for some
        properties["spark.kubernetes.allocation.maximum"] = "1"
    return {
        **properties,
        **_images(driver, executor),
        **_size("driver", driver),
        **_size("executor", executor),
        **security_properties(conf),
    }


def _images(driver: PodShape, executor: PodShape) -> dict[str, str]:
    images = {_IMAGE: driver.image}
    if executor.image != driver.image:
        images["spark.kubernetes.executor.container.image"] = executor.image
    return images


def _size(role: str, shape: PodShape) -> dict[str, str]:
    return {
        f"spark.{role}.cores": str(shape.cores),
        # with a unit: spark-submit hands the driver's to the JVM as it is
        f"spark.{role}.memory": f"{shape.memory.heap_mib}m",
        f"spark.{role}.memoryOverhead": f"{shape.memory.overhead_mib}m",
    }
