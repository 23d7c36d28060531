"""Authentication and encryption between driver and executors."""

from __future__ import annotations

from airflow_spark_k8s.core.conf import Conf

AUTH_SECRET_FILE = "/opt/airflow-spark-k8s/secret/auth-secret"  # noqa: S105 - a path
"""Where the driver's container has the application's secret."""

_AUTHENTICATE = "spark.authenticate"
_SASL_ENCRYPTION = "spark.authenticate.enableSaslEncryption"
_ENCRYPTION = "spark.network.crypto.enabled"


def authenticates(conf: Conf) -> bool:
    """Whether executors must know the application's secret; yes unless the conf says no."""
    return conf.flag(_AUTHENTICATE, default=True)


def encrypts(conf: Conf) -> bool:
    """
    Whether RPC between driver and executors is encrypted.

    :raises InvalidConfiguration: if it is to be, without authentication.
    """
    asked = [name for name in (_ENCRYPTION, _SASL_ENCRYPTION) if conf.flag(name, default=False)]
    if asked and not authenticates(conf):
        raise conf.error(asked[0], "needs spark.authenticate=true, which is the default here")
    return bool(asked)


def security_properties(conf: Conf) -> dict[str, str]:
    """
    The driver's properties for authentication and encryption.

    On Kubernetes a driver ignores `spark.authenticate.secret` and makes up a secret of its own unless it is
    given a file. It wants the executors' file to be named, too, though these have the secret in a variable.

    :raises InvalidConfiguration: for encryption without authentication.

    Source: org.apache.spark.SecurityManager.initializeAuth
    """
    encryption = {_ENCRYPTION: "true" if conf.flag(_ENCRYPTION, default=False) else "false"}
    encrypts(conf)
    if not authenticates(conf):
        return {_AUTHENTICATE: "false", **encryption}
    return {
        _AUTHENTICATE: "true",
        "spark.authenticate.secret.driver.file": AUTH_SECRET_FILE,
        "spark.authenticate.secret.executor.file": AUTH_SECRET_FILE,
        **encryption,
    }
