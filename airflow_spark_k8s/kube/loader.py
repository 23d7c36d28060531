"""The library's reader of kubeconfigs, with two things fixed: its plug-ins and its temporary files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from kubernetes_asyncio.config import kube_config
from kubernetes_asyncio.config.kube_config import FileOrData, KubeConfigLoader, KubeConfigMerger

from airflow_spark_k8s.kube.config import ClusterSettings, KubeContext, kubeconfig_paths
from airflow_spark_k8s.kube.exec_plugin import credential


def kubeconfig_loader(settings: ClusterSettings, context: KubeContext) -> KubeConfigLoader:
    """
    A loader for one context of the kubeconfig that `settings` lead to; reads files.

    Its `load_and_set(configuration)` may be called again and again: it asks for new credentials when the old
    ones are about to expire.
    """
    if settings.kube_config is not None:
        return _Loader(context, settings.kube_config)
    merger = KubeConfigMerger(kubeconfig_paths(settings))
    # An identity provider may hand out a new refresh token each time: lost if it is not written back.
    writable = all(os.access(path, os.W_OK) for path in merger.paths)
    persister = (lambda _config: merger.save_changes()) if writable else None
    return _Loader(context, merger.config, config_persister=persister)


def forget_vanished_files() -> None:
    """
    Let the library write certificates to new files where the old ones are gone.

    It keeps the names of its temporary files for the life of the process, and fails for ever once something
    has cleaned the temporary folder.
    """
    for content, name in list(kube_config._temp_files.items()):
        if not os.path.isfile(name):
            del kube_config._temp_files[content]


class _Loader(KubeConfigLoader):
    """The library's loader, with plug-ins that end when they are given up and never wait for a terminal."""

    def __init__(self, context: KubeContext, kubeconfig: Any, **options: Any) -> None:
        super().__init__(kubeconfig, active_context=context.name, config_base_path=None, **options)
        self._context = context
        self._plugin_status: Mapping[str, Any] | None = None

    async def load_from_exec_plugin(self) -> bool:
        if self._plugin_status is None or _is_about_to_expire(self._plugin_status):
            self._plugin_status = await credential(
                self._context.user["exec"],
                cluster=self._context.cluster,
                kubeconfig_path=None if self._user is None else self._user.path,
            )
            self._use(self._plugin_status)
        return True

    def _use(self, status: Mapping[str, Any]) -> None:
        if "token" in status:
            self.token: str = f"Bearer {status['token']}"
        else:
            self.cert_file: str | None = _pem_file(status, "clientCertificateData")
            self.key_file: str | None = _pem_file(status, "clientKeyData")


def _is_about_to_expire(status: Mapping[str, Any]) -> bool:
    # Without a time it is good until the server refuses it.
    return "expirationTimestamp" in status and kube_config._is_expired(status["expirationTimestamp"])


def _pem_file(status: Mapping[str, Any], key: str) -> str | None:
    return FileOrData(status, None, data_key_name=key, base64_file_content=False).as_file()
