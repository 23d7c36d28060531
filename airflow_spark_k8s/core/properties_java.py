"""Java options: Spark's way to split and check them, and the ones that an executor's JVM is started with."""

from __future__ import annotations

import re

from airflow_spark_k8s.core.conf import Conf
from airflow_spark_k8s.core.properties import passed_properties, rule_of
from airflow_spark_k8s.core.properties_rules import Treatment
from airflow_spark_k8s.core.properties_security import security_properties

_OPENED_PACKAGES = (
    "java.base/java.lang",
    "java.base/java.lang.invoke",
    "java.base/java.lang.reflect",
    "java.base/java.io",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.base/sun.nio.cs",
    "java.base/sun.security.action",
    "java.base/sun.util.calendar",
    "java.security.jgss/sun.security.krb5",
)
_BEFORE_4_2 = ("-Djdk.reflect.useDirectMethodHandle=false",)
_SINCE_4_0 = ("--add-modules=jdk.incubator.vector", "-Dio.netty.tryReflectionSetAccessible=true")
_SINCE_4_1 = (
    "-Dio.netty.allocator.type=pooled",
    "-Dio.netty.handler.ssl.defaultEndpointVerificationAlgorithm=NONE",
    "--enable-native-access=ALL-UNNAMED",
)
_SINCE_4_2 = ("--sun-misc-unsafe-memory-access=allow",)

# one word: unquoted characters, '…', "…" with escapes, or an escaped character
_WORD = re.compile(r"""(?:[^\s'"\\]|'[^']*'|"(?:[^"\\]|\\.)*"|\\.)+""", re.DOTALL)
_PIECE = re.compile(r"""'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|([^\s'"\\])""", re.DOTALL)
_LINE_BREAK = re.compile(r"[\r\n]")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)

_STARTUP_PREFIXES = ("spark.auth", "spark.rpc", "spark.network", "spark.ssl")


def split_options(conf: Conf, name: str) -> tuple[str, ...]:
    """
    The options that a property holds, one by one, quotes and escapes resolved.

    :raises InvalidConfiguration: if a quote is not closed or an option has a line break.

    Source: org.apache.spark.launcher.CommandBuilderUtils.parseOptionString
    """
    text = (conf.get(name) or "").strip()
    options = []
    while text:
        match = _WORD.match(text)
        if match is None:
            raise conf.error(name, "a quote is not closed, or the text ends with a backslash")
        options.append("".join(map(_unquoted, _PIECE.finditer(match[0]))))
        text = text[match.end() :].lstrip()
    if any(_LINE_BREAK.search(option) for option in options):
        raise conf.error(name, "a java option cannot contain a line break")
    return tuple(options)


def driver_options(conf: Conf, name: str) -> tuple[str, ...]:
    """
    The options of a property of the driver, none of which overrides a property that is looked after here.

    :raises InvalidConfiguration: for `-Xmx`, such `-Dspark.*`, and whatever `split_options` refuses.

    Source: org.apache.spark.launcher.SparkSubmitCommandBuilder.checkJavaOptions
    """
    options = split_options(conf, name)
    for option in options:
        _refuse_heap(conf, name, option)
        key = option.removeprefix("-D").partition("=")[0]
        if option.startswith("-Dspark.") and rule_of(key).treatment is not Treatment.PASSED:
            raise conf.error(name, f"must not set {key}: write it into conf")
    return options


def _checked_executor_options(conf: Conf, name: str) -> tuple[str, ...]:
    # as org.apache.spark.SparkConf.validateSettings does
    options = split_options(conf, name)
    for option in options:
        _refuse_heap(conf, name, option)
        if option.startswith("-Dspark"):
            raise conf.error(name, "must not set Spark's properties: write them into conf")
    return options


def _refuse_heap(conf: Conf, name: str, option: str) -> None:
    if option.startswith("-Xmx"):
        raise conf.error(
            name, "must not set the heap (-Xmx): use spark.driver.memory or spark.executor.memory"
        )


def module_options(spark_version: tuple[int, int, int]) -> tuple[str, ...]:
    """
    Options that open the JDK's modules to this version of Spark.

    Source: org.apache.spark.launcher.JavaModuleOptions
    """
    version = spark_version[:2]
    return (
        "-XX:+IgnoreUnrecognizedVMOptions",
        *(f"--add-opens={package}=ALL-UNNAMED" for package in _OPENED_PACKAGES),
        *(_BEFORE_4_2 if version < (4, 2) else ()),
        *(_SINCE_4_0 if version >= (4, 0) else ()),
        *(_SINCE_4_1 if version >= (4, 1) else ()),
        *(_SINCE_4_2 if version >= (4, 2) else ()),
    )


def executor_options(conf: Conf, spark_version: tuple[int, int, int]) -> tuple[str, ...]:
    """
    All options of an executor's JVM: modules, the user's (later ones win), settings of the first connection.

    :raises InvalidConfiguration: for options that Spark refuses as well, and settings with a line break.

    Source: org.apache.spark.deploy.k8s.features.BasicExecutorFeatureStep, SparkConf.isExecutorStartupConf
    """
    startup = _startup_properties(conf)
    return (
        *module_options(spark_version),
        "-Djava.net.preferIPv6Addresses=false",
        *_checked_executor_options(conf, "spark.executor.defaultJavaOptions"),
        *_checked_executor_options(conf, "spark.executor.extraJavaOptions"),
        *(f"-D{name}={value}" for name, value in sorted(startup.items())),
    )


def _startup_properties(conf: Conf) -> dict[str, str]:
    """Settings without which an executor cannot speak to its driver; all others it gets from the driver."""
    startup = {
        name: value.strip()
        for name, value in (passed_properties(conf) | security_properties(conf)).items()
        if name.startswith(_STARTUP_PREFIXES)
        and not name.startswith("spark.authenticate.secret")  # the secret comes by the environment
        and "Password" not in name
    }
    for name, value in startup.items():
        if _LINE_BREAK.search(value):
            raise conf.error(name, "a setting of executors' JVMs cannot contain a line break")
    return startup


def _unquoted(piece: re.Match[str]) -> str:
    single, double, escaped, plain = piece.groups()
    if double is not None:
        return _ESCAPE.sub(r"\1", double)
    return next(part for part in (single, escaped, plain) if part is not None)
