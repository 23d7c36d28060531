"""The Secret and the ConfigMaps of one application."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace

from airflow_spark_k8s.core.labels import annotations_of, labels_of
from airflow_spark_k8s.core.settings import (
    EXECUTOR_KEY,
    PLAIN_EXECUTOR_KEY,
    SETTINGS_KEY,
    ControllerSettings,
    config_map_name,
)
from airflow_spark_k8s.core.spec import Application, Identity, Manifest, Manifests, SecretEnv
from airflow_spark_k8s.templates import environment, paths
from airflow_spark_k8s.templates.properties_file import properties_file


def secret(application: Application, identity: Identity, auth_secret: bytes) -> Manifest:
    """
    The Secret: properties file, secret environment values and, if Spark authenticates, its secret.

    `auth-secret` are the raw bytes that the driver reads from a file, `auth-secret-base64` the text that
    executors get as a variable: Spark's driver encodes the file's bytes itself.

    Source: org.apache.spark.SecurityManager.initializeAuth
    """
    content = {paths.PROPERTIES_KEY: properties_file(application.properties).encode("ascii")}
    if application.authenticate:
        content[paths.AUTH_SECRET_KEY] = auth_secret
        content[paths.AUTH_SECRET_BASE64_KEY] = b64encode(auth_secret)
    content |= secret_env_values(application)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(paths.secret_name(identity), application, identity),
        "type": "Opaque",
        "data": {key: _text(value) for key, value in content.items()},
    }


def secret_env_values(application: Application) -> dict[str, bytes]:
    """Secret values of environment variables, by their keys in the Secret."""
    values = {secret.key: secret.value.encode() for secret in application.executor.secret_env}
    return values | {secret.key: _driver_value(secret).encode() for secret in application.driver.secret_env}


def config_maps(
    application: Application,
    identity: Identity,
    executor: Manifest,
    plain_executor: Manifest | None = None,
) -> tuple[Manifest, ...]:
    """The ConfigMap that the trigger reads, and the one with the user's own file if there is one."""
    data = {
        SETTINGS_KEY: ControllerSettings.from_application(application).to_json(),
        EXECUTOR_KEY: json.dumps(executor, sort_keys=True),
    }
    if plain_executor is not None:
        data[PLAIN_EXECUTOR_KEY] = json.dumps(plain_executor, sort_keys=True)
    app = {
        **_config_map(config_map_name(identity.application), application, identity),
        "data": data,
    }
    if application.user_file is None:
        return (app,)
    files = {
        **_config_map(paths.files_name(identity), application, identity),
        "binaryData": {application.user_file.name: _text(application.user_file.content)},
    }
    return (app, files)


def with_settings(manifests: Manifests, application: Application) -> Manifests:
    """`manifests` with the settings of `application`, which may have changed since they were rendered."""
    app, *others = manifests.config_maps
    settings = ControllerSettings.from_application(application).to_json()
    app = {**app, "data": {**app["data"], SETTINGS_KEY: settings}}
    return replace(manifests, config_maps=(app, *others))


def _config_map(name: str, application: Application, identity: Identity) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(name, application, identity)}


def _metadata(name: str, application: Application, identity: Identity) -> Manifest:
    return {
        "name": name,
        "namespace": application.namespace,
        "labels": labels_of(identity),
        "annotations": annotations_of(identity),
    }


def _driver_value(secret: SecretEnv) -> str:
    # nothing can be added to a reference in the pod, so it is added to what it refers to
    if secret.name == environment.SUBMIT_OPTS:
        return environment.with_no_own_executors(secret.value)
    return secret.value


def _text(content: bytes) -> str:
    return b64encode(content).decode("ascii")
