"""The table of Spark properties: which are honoured, fixed, refused; all others go to Spark as they are."""

from __future__ import annotations

from airflow_spark_k8s.core.properties_rules import Rule, fixed, honoured, passed, refused
from airflow_spark_k8s.core.properties_table_pods import POD_RULES

_BASIC = "BasicDriverFeatureStep, BasicExecutorFeatureStep"

_SIZE = (
    *honoured(
        "spark.executor.instances",
        effect="number of executors, 2 unless given",
        source="ExecutorPodsAllocator",
    ),
    *honoured(
        "spark.driver.cores",
        effect="CPU request of the driver, unless there is one of its own",
        source="BasicDriverFeatureStep",
    ),
    *honoured(
        "spark.executor.cores",
        effect="SPARK_EXECUTOR_CORES, and CPU request, unless there is one of its own",
        source="BasicExecutorFeatureStep",
    ),
    *honoured(
        "spark.kubernetes.driver.request.cores",
        "spark.kubernetes.executor.request.cores",
        effect="CPU request",
        source=_BASIC,
    ),
    *honoured(
        "spark.kubernetes.driver.limit.cores",
        "spark.kubernetes.executor.limit.cores",
        effect="CPU limit, none unless given",
        source=_BASIC,
    ),
    *honoured(
        "spark.driver.memory",
        "spark.executor.memory",
        effect="heap, a part of memory request and limit",
        source=_BASIC,
    ),
    *honoured(
        "spark.driver.memoryOverhead",
        "spark.executor.memoryOverhead",
        effect="overhead, a part of memory request and limit",
        source=_BASIC,
    ),
    *honoured(
        "spark.driver.memoryOverheadFactor",
        "spark.executor.memoryOverheadFactor",
        "spark.kubernetes.memoryOverheadFactor",
        effect="overhead as a part of the heap; that of the role before the common one",
        source=_BASIC,
    ),
    *honoured(
        "spark.driver.minMemoryOverhead",
        "spark.executor.minMemoryOverhead",
        effect="least overhead",
        source=_BASIC,
    ),
    *honoured(
        "spark.executor.memoryOverheadBursty.enabled",
        "spark.executor.memoryOverheadBursty.factor",
        effect="memory request of the executors below their limit",
        source="SPARK-54596, in no release up to 4.3",
    ),
    *refused(
        "a driver that is evicted takes its application along; only executors burst",
        "spark.driver.memoryOverheadBursty.",
        "spark.driver.memoryOverheadBurstyFactor",
    ),
    *refused(
        "not known here; use spark.executor.memoryOverheadBursty.enabled and .factor",
        "spark.executor.memoryOverheadBursty.",
        "spark.executor.memoryOverheadBurstyFactor",
    ),
    *honoured(
        "spark.memory.offHeap.enabled",
        "spark.memory.offHeap.size",
        "spark.executor.pyspark.memory",
        effect="a part of the executors' memory request and limit",
        source="BasicExecutorFeatureStep",
        passed=True,
    ),
    *refused(
        "this is the name on YARN; use spark.executor.memoryOverhead", "spark.yarn.executor.memoryOverhead"
    ),
    *refused("this is the name on YARN; use spark.driver.memoryOverhead", "spark.yarn.driver.memoryOverhead"),
)

_ALLOCATION = (
    *honoured(
        "spark.kubernetes.allocation.batch.size",
        "spark.kubernetes.allocation.batch.delay",
        effect="how many executors are asked for at once, and how often",
        source="ExecutorPodsAllocator",
    ),
    *honoured(
        "spark.kubernetes.allocation.maxPendingPods",
        "spark.kubernetes.allocation.maxPendingPodsPerRp",
        effect="how many executor pods may be pending",
        source="ExecutorPodsAllocator",
    ),
    *honoured(
        "spark.kubernetes.allocation.executor.timeout",
        effect="how long a requested pod may not be seen before another is asked for",
        source="ExecutorPodsAllocator",
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
    *honoured(
        "spark.kubernetes.allocation.recoveryMode.enabled",
        effect="true: every executor takes one task at a time; false: executors that ran out of memory are "
        "replaced by the same; unless given: replacements of those take one task at a time",
        source="KubernetesClusterSchedulerBackend, BasicExecutorFeatureStep, since 4.2",
    ),
    *honoured(
        "spark.task.cpus",
        effect="cores of executors that take one task at a time, rounded up",
        source="BasicExecutorFeatureStep, since 4.2",
        passed=True,
    ),
    *honoured(
        "spark.task.maxFailures",
        effect="how many losses to memory may pass before every executor takes one task at a time",
        source="TaskSetManager",
        passed=True,
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

_IDENTITY = (
    *honoured("spark.app.name", effect="label spark-app-name", source="KubernetesConf"),
    *honoured("spark.kubernetes.namespace", effect="namespace of all objects", source="KubernetesConf"),
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
    *fixed("the driver's REST API is expected at 4040; leave it out", "spark.ui.port", accepted=("4040",)),
    *fixed(
        "without the driver's REST API there is no progress, no registration state of executors and no "
        "executor table; leave it out",
        "spark.ui.enabled",
        accepted=("true",),
    ),
    *fixed(
        "the driver's REST API is read over HTTP, through the API server's own TLS; leave it out",
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
    *honoured(
        "spark.authenticate",
        "spark.network.crypto.enabled",
        effect="a secret for this application only, to authenticate and encrypt with",
        source="SecurityManager",
    ),
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
    *POD_RULES,
    *_SIZE,
    *_ALLOCATION,
    *_IDENTITY,
    *_NETWORK,
    *_SECRETS,
    *_LIFE_CYCLE,
)
"""
All rules; the longest matching name counts.

Source: org.apache.spark.deploy.k8s.Config and Constants of Spark 3.5 to 4.3
"""
