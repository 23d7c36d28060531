"""Credentials of one cluster: loaded from a connection's settings, kept fresh, loaded anew when refused."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes_asyncio.client import Configuration
from kubernetes_asyncio.config import ConfigException
from kubernetes_asyncio.config.incluster_config import InClusterConfigLoader

from airflow_spark_k8s.exceptions import InvalidConfiguration, Unauthorized, UnknownConnection
from airflow_spark_k8s.kube.config import (
    ClusterSettings,
    context_of,
    namespace_of,
    read_kubeconfig,
    runs_in_cluster,
)
from airflow_spark_k8s.kube.loader import forget_vanished_files, kubeconfig_loader

REFRESH_SECONDS = 60.0
"""How long credentials are used before their source is asked again: tokens change and expire."""

IDENTITY_PROVIDER_SECONDS = 90.0
"""For everything that loading requests from identity providers; longer than a plug-in may take."""

RENEWAL_SECONDS = 20.0
"""How long to wait for Airflow when a connection is read again."""

Renew = Callable[[], Awaitable[ClusterSettings]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go, and with which TLS settings and proxy."""

    host: str  # https://name:port, without a slash at the end
    tls: ssl.SSLContext | None  # None: plain HTTP
    server_name: str | None  # None: the name in `host`
    proxy: str | None  # None: what the environment says


class Credentials:
    """The identity used with one cluster; each client has its own, and no default is shared."""

    def __init__(
        self,
        settings: ClusterSettings,
        source: _Source,
        endpoint: Endpoint,
        namespace: str,
        refresh_seconds: float,
        renew: Renew | None,
    ) -> None:
        self._settings = settings
        self._renew = renew
        self._source = source
        self._refresh_seconds = refresh_seconds
        self._refreshed_at = asyncio.get_running_loop().time()
        self._work: asyncio.Task[None] | None = None
        self.endpoint = endpoint
        self.namespace = namespace  # for applications that name none
        self.generation = 0  # counts loads, so that many refused calls lead to one load

    @classmethod
    async def load(
        cls,
        settings: ClusterSettings,
        *,
        refresh_seconds: float = REFRESH_SECONDS,
        renew: Renew | None = None,
    ) -> Credentials:
        """
        Credentials read from their source: kubeconfig, service account, plug-in.

        :param renew: gives the settings as they are now, once those at hand are refused; None: they never
            change.

        Raises:
            InvalidConfiguration: the source is missing or malformed.
            Unauthorized: a credential plug-in or identity provider failed.

        """
        source, endpoint = await _load(settings)
        namespace = await asyncio.to_thread(namespace_of, settings)
        return cls(settings, source, endpoint, namespace, refresh_seconds, renew)

    async def headers(self) -> dict[str, str]:
        """What authenticates a request; refreshed about once a minute, empty with client certificates."""
        if asyncio.get_running_loop().time() - self._refreshed_at >= self._refresh_seconds:
            # The old token may still be valid: the server decides.
            with suppress(Unauthorized, InvalidConfiguration):
                await self._one_at_a_time(self._refresh)
        token = self._source.configuration.api_key.get("BearerToken")
        return {"Authorization": token} if token else {}

    async def replace(self, generation: int) -> None:
        """
        Load anew because requests of `generation` were refused; nothing if that has been done already.

        Raises:
            Unauthorized: no other credentials can be loaded.

        """
        try:
            while self.generation == generation:  # the work under way may be a mere refresh
                await self._one_at_a_time(self._reload)
        except InvalidConfiguration as error:
            raise Unauthorized(
                f"the server refused the credentials, and there are no others: {error}"
            ) from error

    async def close(self) -> None:
        """End a refresh under way."""
        if self._work is not None and not self._work.done():
            self._work.cancel()
            await asyncio.wait([self._work])

    async def _one_at_a_time(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        # A call that times out must not cancel a plug-in that other calls wait for.
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(work())
            self._work.add_done_callback(_retrieve)
        await asyncio.shield(self._work)

    async def _refresh(self) -> None:
        self._refreshed_at = asyncio.get_running_loop().time()
        before = self._source.certificate_files()
        await self._source.refresh()
        if self._source.certificate_files() != before:
            self.endpoint = await asyncio.to_thread(_endpoint, self._source.configuration)

    async def _reload(self) -> None:
        settings = await self._renewed()
        self._source, self.endpoint = await _load(settings)
        self._settings = settings
        self._refreshed_at = asyncio.get_running_loop().time()
        self.generation += 1

    async def _renewed(self) -> ClusterSettings:
        """The settings as they are now; the old ones if they cannot be read."""
        if self._renew is None:
            return self._settings
        try:
            async with asyncio.timeout(RENEWAL_SECONDS):
                return await self._renew()
        except Exception as error:
            if isinstance(error, InvalidConfiguration) and not isinstance(error, UnknownConnection):
                raise
            return self._settings  # Airflow may be unreachable as well: try the old settings once more


@dataclass(frozen=True, slots=True)
class _Source:
    configuration: Any  # a kubernetes_asyncio Configuration
    refresh: Callable[[], Awaitable[None]]  # brings `configuration` up to date

    def certificate_files(self) -> tuple[str | None, ...]:
        return (self.configuration.ssl_ca_cert, self.configuration.cert_file, self.configuration.key_file)


def _retrieve(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()


async def _load(settings: ClusterSettings) -> tuple[_Source, Endpoint]:
    configuration = Configuration()
    if await asyncio.to_thread(runs_in_cluster, settings):
        refresh = _in_cluster(settings.service_account_folder, configuration)
    else:
        refresh = await _from_kubeconfig(settings, configuration)
    await refresh()
    if not settings.verify_tls:
        configuration.verify_ssl = False
    return _Source(configuration, refresh), await asyncio.to_thread(_endpoint, configuration)


def _in_cluster(folder: Path, configuration: Any) -> Callable[[], Awaitable[None]]:
    async def refresh() -> None:
        loader = InClusterConfigLoader(str(folder / "token"), str(folder / "ca.crt"), try_refresh_token=False)
        try:
            loader.load_and_set(configuration)
        except (ConfigException, OSError) as error:
            raise InvalidConfiguration(
                "extra in_cluster",
                True,
                f"this process does not run in a pod with a service account ({error}); "
                "give kube_config_path or kube_config instead",
            ) from error

    return refresh


async def _from_kubeconfig(settings: ClusterSettings, configuration: Any) -> Callable[[], Awaitable[None]]:
    kubeconfig = await asyncio.to_thread(read_kubeconfig, settings)
    context = context_of(kubeconfig, settings.cluster_context)
    loader = await asyncio.to_thread(kubeconfig_loader, settings, context)

    async def refresh() -> None:
        forget_vanished_files()
        try:
            async with asyncio.timeout(IDENTITY_PROVIDER_SECONDS):
                await loader.load_and_set(configuration)
        except Unauthorized:
            raise
        except (ConfigException, OSError, ValueError, AssertionError, TypeError) as error:
            if "auth-provider" in context.user:
                raise Unauthorized(
                    f"the kubeconfig's auth-provider gave no credentials: {error!r}"
                ) from error
            raise InvalidConfiguration("kubeconfig", context.name, f"cannot be used: {error}") from error

    return refresh


def _endpoint(configuration: Any) -> Endpoint:
    host = str(configuration.host)
    return Endpoint(
        host=host,
        tls=_tls(configuration) if host.startswith("https") else None,
        server_name=configuration.tls_server_name,
        proxy=configuration.proxy,
    )


def _tls(configuration: Any) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
    except (ssl.SSLError, OSError) as error:
        raise InvalidConfiguration(
            "kubeconfig",
            "certificate-authority or client-certificate",
            f"is no valid certificate or key: {error}",
        ) from error
    # Python 3.13 is stricter than RFC 5280 practice: many clusters' own authorities lack a key identifier.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
