"""The rows of the table of Spark properties that say what is in a pod: images, metadata, volumes, devices."""

from __future__ import annotations

from airflow_spark_k8s.core.properties_rules import honoured, refused

_BASIC = "BasicDriverFeatureStep, BasicExecutorFeatureStep"

_IMAGE = (
    *honoured(
        "spark.kubernetes.container.image",
        "spark.kubernetes.driver.container.image",
        "spark.kubernetes.executor.container.image",
        effect="image; that of the role before the common one",
        source=_BASIC,
    ),
    *honoured(
        "spark.kubernetes.container.image.pullPolicy",
        effect="imagePullPolicy",
        source=_BASIC,
    ),
    *honoured(
        "spark.kubernetes.container.image.pullSecrets",
        effect="imagePullSecrets, separated by commas",
        source=_BASIC,
    ),
)

_METADATA = (
    *honoured(
        "spark.kubernetes.driver.label.", effect="label of the driver pod", source="KubernetesDriverConf"
    ),
    *honoured(
        "spark.kubernetes.executor.label.",
        effect="label of the executor pods",
        source="KubernetesExecutorConf",
    ),
    *honoured(
        "spark.kubernetes.driver.annotation.",
        effect="annotation of the driver pod",
        source="KubernetesDriverConf",
    ),
    *honoured(
        "spark.kubernetes.executor.annotation.",
        effect="annotation of the executor pods",
        source="KubernetesExecutorConf",
    ),
    *honoured(
        "spark.kubernetes.node.selector.",
        "spark.kubernetes.driver.node.selector.",
        "spark.kubernetes.executor.node.selector.",
        effect="nodeSelector; that of the role before the common one",
        source=_BASIC,
    ),
    *honoured(
        "spark.kubernetes.scheduler.name",
        "spark.kubernetes.driver.scheduler.name",
        "spark.kubernetes.executor.scheduler.name",
        effect="schedulerName; that of the role before the common one",
        source="KubernetesDriverConf, KubernetesExecutorConf",
    ),
    *honoured(
        "spark.kubernetes.executor.terminationGracePeriodSeconds",
        effect="terminationGracePeriodSeconds of the executor pods",
        source="BasicExecutorFeatureStep",
    ),
    *honoured(
        "spark.kubernetes.authenticate.serviceAccountName",
        effect="serviceAccountName of both, unless there is one for the role",
        source="documented for client mode",
    ),
    *honoured(
        "spark.kubernetes.authenticate.driver.serviceAccountName",
        effect="serviceAccountName of the driver, and of executors that have none",
        source="DriverKubernetesCredentialsFeatureStep",
    ),
    *honoured(
        "spark.kubernetes.authenticate.executor.serviceAccountName",
        effect="serviceAccountName of the executors",
        source="ExecutorKubernetesCredentialsFeatureStep",
    ),
)

_ENVIRONMENT = (
    *honoured(
        "spark.kubernetes.driverEnv.",
        effect="variable of the driver; a secret value goes through the Secret",
        source="BasicDriverFeatureStep",
    ),
    *honoured(
        "spark.executorEnv.",
        effect="variable of the executors; a secret value goes through the Secret",
        source="KubernetesExecutorConf",
        passed=True,
    ),
    *honoured(
        "spark.kubernetes.driver.secretKeyRef.",
        "spark.kubernetes.executor.secretKeyRef.",
        effect="variable from a key of a Secret: `secret:key`",
        source="EnvSecretsFeatureStep",
    ),
    *honoured(
        "spark.driver.defaultJavaOptions",
        "spark.driver.extraJavaOptions",
        effect="checked only; `spark-submit` gives them to the driver's JVM",
        source="SparkSubmitCommandBuilder",
        passed=True,
    ),
    *honoured(
        "spark.executor.defaultJavaOptions",
        "spark.executor.extraJavaOptions",
        effect="SPARK_JAVA_OPT_n, one for each option",
        source="BasicExecutorFeatureStep",
        passed=True,
    ),
    *honoured(
        "spark.executor.extraClassPath",
        effect="SPARK_CLASSPATH of the executors",
        source="BasicExecutorFeatureStep",
        passed=True,
    ),
    *honoured(
        "spark.executor.extraLibraryPath",
        effect="SPARK_EXECUTOR_LIBRARY_PATH of the executors",
        source="BasicExecutorFeatureStep",
        passed=True,
    ),
    *honoured(
        "spark.decommission.enabled",
        effect="`true`: executors get a preStop hook",
        source="BasicExecutorFeatureStep",
        passed=True,
    ),
    *honoured(
        "spark.kubernetes.decommission.script",
        effect="command of the executors' preStop hook",
        source="BasicExecutorFeatureStep",
        passed=True,
    ),
    *refused("use spark.executor.extraClassPath", "spark.executor.defaultExtraClassPath"),
    *refused(
        "executors would need attributes that their pods do not carry; leave it out",
        "spark.ui.custom.executor.log.url",
        source="BasicExecutorFeatureStep",
    ),
)

_VOLUMES = (
    *honoured(
        "spark.local.dir",
        effect="scratch directories, each an emptyDir, unless volumes `spark-local-dir-*` are given",
        source="LocalDirsFeatureStep",
        passed=True,
    ),
    *honoured(
        "spark.kubernetes.local.dirs.tmpfs",
        effect="`true`: emptyDirs for scratch data are of medium Memory and count against the memory limit",
        source="LocalDirsFeatureStep",
    ),
    *honoured(
        "spark.kubernetes.driver.volumes.",
        "spark.kubernetes.executor.volumes.",
        effect="volume of type hostPath, emptyDir, nfs or persistentVolumeClaim, see volumes",
        source="KubernetesVolumeUtils, MountVolumesFeatureStep",
    ),
    *honoured(
        "spark.kubernetes.legacy.useReadWriteOnceAccessMode",
        effect="access mode of claims made on demand: ReadWriteOnce instead of ReadWriteOncePod",
        source="MountVolumesFeatureStep",
    ),
    *honoured(
        "spark.kubernetes.driver.secrets.",
        "spark.kubernetes.executor.secrets.",
        effect="volume `NAME-volume` with the Secret NAME, mounted at the path that is the value",
        source="MountSecretsFeatureStep",
    ),
    *honoured(
        "spark.kubernetes.hadoop.configMapName",
        effect="volume `hadoop-properties` at /opt/hadoop/conf, and HADOOP_CONF_DIR",
        source="HadoopConfDriverFeatureStep, HadoopConfExecutorFeatureStep",
    ),
    *honoured(
        "spark.kubernetes.kerberos.krb5.configMapName",
        effect="volume `krb5-file`, its key krb5.conf at /etc/krb5.conf of the driver",
        source="KerberosConfDriverFeatureStep",
    ),
    *refused(
        "no file of this machine is shipped; put it into a ConfigMap and name that with "
        "spark.kubernetes.kerberos.krb5.configMapName",
        "spark.kubernetes.kerberos.krb5.path",
        source="KerberosConfDriverFeatureStep",
    ),
    *refused(
        "mount the Secret with spark.kubernetes.driver.secrets.* and set "
        "spark.kubernetes.driverEnv.HADOOP_TOKEN_FILE_LOCATION",
        "spark.kubernetes.kerberos.",
        source="KerberosConfDriverFeatureStep",
    ),
    *refused(
        "claims are never handed from one executor to another; use options.claimName=OnDemand",
        "spark.kubernetes.driver.ownPersistentVolumeClaim",
        "spark.kubernetes.driver.reusePersistentVolumeClaim",
        "spark.kubernetes.driver.waitToReusePersistentVolumeClaim",
        accepted=("false",),
        source="ExecutorPodsAllocator",
    ),
    *refused(
        "volumes are not resized; give options.sizeLimit for the whole run",
        "spark.kubernetes.executor.pvc.",
        accepted=("false",),
        source="ExecutorPVCResizePlugin",
    ),
)

_DEVICES = (
    *honoured(
        "spark.driver.resource.",
        "spark.executor.resource.",
        effect="`.NAME.amount` is the limit of `VENDOR/NAME`; needs `.vendor` and `.discoveryScript`",
        source="KubernetesUtils, ResourceUtils",
        passed=True,
    ),
    *honoured(
        "spark.task.resource.",
        effect="`.NAME.amount` is checked against that of the executors",
        source="ResourceProfile",
        passed=True,
    ),
)

_TEMPLATES = (
    *refused(
        "use driver_template",
        "spark.kubernetes.driver.podTemplateFile",
        source="KubernetesDriverBuilder",
    ),
    *refused(
        "use executor_template",
        "spark.kubernetes.executor.podTemplateFile",
        source="KubernetesExecutorBuilder",
    ),
    *refused(
        "the container is always called spark-kubernetes-driver; use that name in driver_template",
        "spark.kubernetes.driver.podTemplateContainerName",
        source="KubernetesDriverBuilder",
    ),
    *refused(
        "the container is always called spark-kubernetes-executor; use that name in executor_template",
        "spark.kubernetes.executor.podTemplateContainerName",
        source="KubernetesExecutorBuilder",
    ),
    *refused(
        "no code of Spark makes the pod; say it in driver_template",
        "spark.kubernetes.driver.pod.featureSteps",
        "spark.kubernetes.driver.pod.excludedFeatureSteps",
        source="KubernetesDriverBuilder",
    ),
    *refused(
        "no code of Spark makes the pods; say it in executor_template",
        "spark.kubernetes.executor.pod.featureSteps",
        "spark.kubernetes.executor.pod.excludedFeatureSteps",
        source="KubernetesExecutorBuilder",
    ),
    *refused(
        "containers run without; change securityContext in driver_template or executor_template",
        "spark.kubernetes.securityContext.allowPrivilegeEscalation",
        "spark.kubernetes.driver.securityContext.allowPrivilegeEscalation",
        "spark.kubernetes.executor.securityContext.allowPrivilegeEscalation",
        accepted=("false",),
        source=_BASIC,
    ),
    *refused(
        "gang scheduling is not supported; name another scheduler with spark.kubernetes.scheduler.name",
        "spark.kubernetes.scheduler.volcano.",
        source="VolcanoFeatureStep",
    ),
)

POD_RULES = (*_IMAGE, *_METADATA, *_ENVIRONMENT, *_VOLUMES, *_DEVICES, *_TEMPLATES)
"""
The rules for what is in a pod; amounts of CPU and memory are elsewhere.

Source: org.apache.spark.deploy.k8s.Config and features.* of Spark 3.5 to 4.3
"""
