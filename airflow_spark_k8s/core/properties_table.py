"""The table of Spark properties: which are honoured, fixed, refused; all others go to Spark as they are."""

from __future__ import annotations

from airflow_spark_k8s.core.properties_rules import Rule, fixed, honoured, passed, refused

_IMAGE = honoured(
    "spark.kubernetes.container.image",
    "spark.kubernetes.driver.container.image",
    "spark.kubernetes.executor.container.image",
    "spark.kubernetes.container.image.pullPolicy",
    "spark.kubernetes.container.image.pullSecrets",
)

_SIZE = (
    *honoured(
        "spark.executor.instances",
        "spark.driver.cores",
        "spark.executor.cores",
        "spark.kubernetes.driver.request.cores",
        "spark.kubernetes.driver.limit.cores",
        "spark.kubernetes.executor.request.cores",
        "spark.kubernetes.executor.limit.cores",
        "spark.driver.memory",
        "spark.driver.memoryOverhead",
        "spark.driver.memoryOverheadFactor",
        "spark.driver.minMemoryOverhead",
        "spark.executor.memory",
        "spark.executor.memoryOverhead",
        "spark.executor.memoryOverheadFactor",
        "spark.executor.minMemoryOverhead",
        "spark.kubernetes.memoryOverheadFactor",
    ),
    *honoured(
        "spark.memory.offHeap.enabled",
        "spark.memory.offHeap.size",
        "spark.executor.pyspark.memory",
        passed=True,
    ),
    *refused(
        "this is the name on YARN; use spark.executor.memoryOverhead", "spark.yarn.executor.memoryOverhead"
    ),
    *refused("this is the name on YARN; use spark.driver.memoryOverhead", "spark.yarn.driver.memoryOverhead"),
    *refused(
        "GPUs and other devices are not supported; use driver_template and executor_template",
        "spark.driver.resource.",
        "spark.executor.resource.",
        "spark.task.resource.",
    ),
)

_POD = (
    *honoured(
        "spark.kubernetes.driver.label.",
        "spark.kubernetes.executor.label.",
        "spark.kubernetes.driver.annotation.",
        "spark.kubernetes.executor.annotation.",
        "spark.kubernetes.node.selector.",
        "spark.kubernetes.driver.node.selector.",
        "spark.kubernetes.executor.node.selector.",
        "spark.kubernetes.driverEnv.",
        "spark.kubernetes.scheduler.name",
        "spark.kubernetes.driver.scheduler.name",
        "spark.kubernetes.executor.scheduler.name",
        "spark.kubernetes.executor.terminationGracePeriodSeconds",
        "spark.kubernetes.authenticate.serviceAccountName",
        "spark.kubernetes.authenticate.driver.serviceAccountName",
        "spark.kubernetes.authenticate.executor.serviceAccountName",
    ),
    *honoured(
        "spark.executorEnv.",
        "spark.driver.defaultJavaOptions",
        "spark.driver.extraJavaOptions",
        "spark.executor.defaultJavaOptions",
        "spark.executor.extraJavaOptions",
        "spark.executor.extraClassPath",
        "spark.executor.extraLibraryPath",
        "spark.local.dir",
        "spark.decommission.enabled",
        "spark.kubernetes.decommission.script",
        passed=True,
    ),
    *refused("use spark.executor.extraClassPath", "spark.executor.defaultExtraClassPath"),
    *refused("use driver_template", "spark.kubernetes.driver.podTemplateFile"),
    *refused("use executor_template", "spark.kubernetes.executor.podTemplateFile"),
    *refused(
        "the container is always called spark-kubernetes-driver; use that name in driver_template",
        "spark.kubernetes.driver.podTemplateContainerName",
    ),
    *refused(
        "the container is always called spark-kubernetes-executor; use that name in executor_template",
        "spark.kubernetes.executor.podTemplateContainerName",
    ),
    *refused(
        "not supported; say it in driver_template",
        "spark.kubernetes.driver.volumes.",
        "spark.kubernetes.driver.secrets.",
        "spark.kubernetes.driver.secretKeyRef.",
        "spark.kubernetes.driver.pod.featureSteps",
        "spark.kubernetes.driver.pod.excludedFeatureSteps",
    ),
    *refused(
        "not supported; say it in executor_template",
        "spark.kubernetes.executor.volumes.",
        "spark.kubernetes.executor.secrets.",
        "spark.kubernetes.executor.secretKeyRef.",
        "spark.kubernetes.executor.pod.featureSteps",
        "spark.kubernetes.executor.pod.excludedFeatureSteps",
    ),
    *refused(
        "scratch directories are on the node's disk; change the emptyDir volumes in driver_template and "
        "executor_template",
        "spark.kubernetes.local.dirs.tmpfs",
        accepted=("false",),
    ),
    *refused(
        "containers run without; change securityContext in driver_template or executor_template",
        "spark.kubernetes.securityContext.allowPrivilegeEscalation",
        "spark.kubernetes.driver.securityContext.allowPrivilegeEscalation",
        "spark.kubernetes.executor.securityContext.allowPrivilegeEscalation",
        accepted=("false",),
    ),
    *refused(
        "mount the ConfigMap or Secret in driver_template and executor_template",
        "spark.kubernetes.hadoop.configMapName",
        "spark.kubernetes.kerberos.",
    ),
    *refused(
        "gang scheduling is not supported; name another scheduler with spark.kubernetes.scheduler.name",
        "spark.kubernetes.scheduler.volcano.",
    ),
    *refused(
        "executors would need attributes that their pods do not carry; leave it out",
        "spark.ui.custom.executor.log.url",
    ),
)

_ALLOCATION = (
    *honoured(
        "spark.kubernetes.allocation.batch.size",
        "spark.kubernetes.allocation.batch.delay",
        "spark.kubernetes.allocation.maxPendingPods",
        "spark.kubernetes.allocation.maxPendingPodsPerRp",
        "spark.kubernetes.allocation.executor.timeout",
    ),
    *passed("spark.kubernetes.allocation.driver.readinessTimeout"),
    *fixed(
        "executors are created from outside; this keeps the driver from creating its own; leave it out",
        "spark.kubernetes.allocation.maximum",
    ),
    *refused(
        "executors are allocated one pod at a time; only direct works",
        "spark.kubernetes.allocation.pods.allocator",
        accepted=("direct",),
    ),
    *refused(
        "executors after an out-of-memory kill keep their cores; only false works",
        "spark.kubernetes.allocation.recoveryMode.enabled",
        accepted=("false",),
    ),
    *refused(
        "dynamic allocation is not supported; set spark.executor.instances to a fixed number",
        "spark.dynamicAllocation.enabled",
        "spark.streaming.dynamicAllocation.enabled",
        accepted=("false",),
    ),
    *fixed(
        "it would make the driver delete executor pods that wait for a node; leave it out",
        "spark.dynamicAllocation.executorIdleTimeout",
    ),
    *refused(
        "an external shuffle service is not supported; leave it out",
        "spark.shuffle.service.enabled",
        accepted=("false",),
    ),
    *refused(
        "executors are not replaced while they are healthy; leave it out",
        "spark.kubernetes.executor.rollInterval",
        "spark.kubernetes.executor.rollPolicy",
        "spark.kubernetes.executor.minTasksPerExecutorBeforeRolling",
    ),
    *refused(
        "the driver retires no executor; labels that a disruption budget needs go into executor_template",
        "spark.kubernetes.executor.decommissionLabel",
        "spark.kubernetes.executor.decommissionLabelValue",
    ),
    *refused(
        "there is no Deployment of executors; set the annotation "
        "controller.kubernetes.io/pod-deletion-cost with spark.kubernetes.executor.annotation.*",
        "spark.kubernetes.executor.podDeletionCost",
    ),
)

_PERSISTENT_VOLUMES = refused(
    "executors get no volume claims from Spark; say volumes in executor_template",
    "spark.kubernetes.driver.ownPersistentVolumeClaim",
    "spark.kubernetes.driver.reusePersistentVolumeClaim",
    "spark.kubernetes.driver.waitToReusePersistentVolumeClaim",
    "spark.kubernetes.legacy.useReadWriteOnceAccessMode",
    "spark.kubernetes.executor.pvc.",
    accepted=("false",),
)

_IDENTITY = (
    *honoured("spark.app.name", "spark.kubernetes.namespace"),
    *fixed(
        "every driver pod is an application of its own, with the pod's name as its id; leave it out",
        "spark.app.id",
        "spark.kubernetes.driver.pod.name",
    ),
    *fixed(
        "names follow from the task instance, so that a second submission finds the first; leave it out",
        "spark.kubernetes.executor.podNamePrefix",
        "spark.kubernetes.driver.resourceNamePrefix",
    ),
    *fixed(
        "the connection (conn_id) decides on the cluster; leave it out",
        "spark.master",
        "spark.kubernetes.context",
        "spark.kubernetes.driver.master",
    ),
    *fixed(
        "the driver always runs in the cluster, as client mode in a pod of its own; leave it out",
        "spark.submit.deployMode",
        accepted=("client",),
    ),
    *fixed(
        "internal to Spark's own submission; leave it out",
        "spark.kubernetes.submitInDriver",
        "spark.kubernetes.resource.type",
    ),
)

_NETWORK = (
    *fixed(
        "executors reach the driver under its pod's address; leave it out",
        "spark.driver.host",
        "spark.driver.bindAddress",
    ),
    *fixed("executors expect the driver at 7078; leave it out", "spark.driver.port", accepted=("7078",)),
    *fixed(
        "the driver's block manager listens at 7079; leave it out",
        "spark.driver.blockManager.port",
        accepted=("7079",),
    ),
    *fixed(
        "the driver's REST interface is expected at 4040; leave it out", "spark.ui.port", accepted=("4040",)
    ),
    *fixed(
        "without the driver's REST interface there is no progress, no registration state of executors and no "
        "executor table; leave it out",
        "spark.ui.enabled",
        accepted=("true",),
    ),
    *fixed(
        "the driver's REST interface is read over HTTP, through the API server's own TLS; leave it out",
        "spark.ssl.enabled",
        "spark.ssl.ui.enabled",
        accepted=("false",),
    ),
    *refused(
        "executors would need keys that their pods do not have; use spark.network.crypto.enabled=true",
        "spark.ssl.rpc.enabled",
        accepted=("false",),
    ),
    *refused(
        "there is no Service for the driver: executors use its pod's address; leave it out",
        "spark.kubernetes.driver.service.",
    ),
)

_SECRETS = (
    *honoured("spark.authenticate", "spark.network.crypto.enabled"),
    *fixed(
        "every application gets a fresh secret of its own; leave it out",
        "spark.authenticate.secret",
        "spark.authenticate.secret.file",
        "spark.authenticate.secret.driver.file",
        "spark.authenticate.secret.executor.file",
    ),
    *passed(
        "spark.kubernetes.authenticate.caCertFile",
        "spark.kubernetes.authenticate.clientKeyFile",
        "spark.kubernetes.authenticate.clientCertFile",
        "spark.kubernetes.authenticate.oauthToken",
        "spark.kubernetes.authenticate.oauthTokenFile",
        "spark.kubernetes.trust.certificates",
    ),
    *refused(
        "the connection (conn_id) holds the credentials for submission; leave it out",
        "spark.kubernetes.authenticate.submission.",
    ),
    *refused(
        "the driver has the token of its service account; "
        "set spark.kubernetes.authenticate.driver.serviceAccountName",
        "spark.kubernetes.authenticate.driver.",
    ),
)

_LIFE_CYCLE = (
    *fixed(
        "finished executor pods are always removed, after their reason was recorded; leave it out",
        "spark.kubernetes.executor.deleteOnTermination",
        accepted=("true",),
    ),
    *fixed(
        "executors get their configuration from the driver; mount other files in executor_template",
        "spark.kubernetes.executor.disableConfigMap",
        accepted=("true",),
    ),
    *passed(
        "spark.kubernetes.driver.annotateExitException",
        "spark.kubernetes.driver.connectionTimeout",
        "spark.kubernetes.driver.requestTimeout",
        "spark.kubernetes.dynamicAllocation.deleteGracePeriod",
        "spark.kubernetes.executor.apiPollingInterval",
        "spark.kubernetes.executor.checkAllContainers",
        "spark.kubernetes.executor.deletedExecutorsCacheTimeout",
        "spark.kubernetes.executor.enableApiPolling",
        "spark.kubernetes.executor.enableApiWatcher",
        "spark.kubernetes.executor.enablePollingWithResourceVersion",
        "spark.kubernetes.executor.eventProcessingInterval",
        "spark.kubernetes.executor.missingPodDetectDelta",
        "spark.kubernetes.executor.resizeFactor",
        "spark.kubernetes.executor.resizeInterval",
        "spark.kubernetes.executor.resizeThreshold",
        "spark.kubernetes.executor.useDriverPodIP",
        "spark.kubernetes.executorSnapshotsSubscribersShutdownGracePeriod",
    ),
    *refused(
        "only Spark's own submission client reads it, which has no part here; leave it out",
        "spark.kubernetes.appKillPodDeletionGracePeriod",
        "spark.kubernetes.configMap.maxSize",
        "spark.kubernetes.jars.avoidDownloadSchemes",
        "spark.kubernetes.report.interval",
        "spark.kubernetes.submission.",
    ),
    *refused(
        "nothing is uploaded: use files in the image (local:///…) or in an object store",
        "spark.kubernetes.file.upload.path",
    ),
)

RULES: tuple[Rule, ...] = (
    *_IMAGE,
    *_SIZE,
    *_POD,
    *_ALLOCATION,
    *_PERSISTENT_VOLUMES,
    *_IDENTITY,
    *_NETWORK,
    *_SECRETS,
    *_LIFE_CYCLE,
)
"""
All rules; the longest matching name counts.

Source: org.apache.spark.deploy.k8s.Config and Constants of Spark 3.5 to 4.3
"""
