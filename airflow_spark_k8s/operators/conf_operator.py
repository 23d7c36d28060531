"""An operator with Spark properties of which Airflow stores no secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.operators import secret_conf

if TYPE_CHECKING:
    import jinja2
    from airflow.sdk import Context

    from airflow_spark_k8s.hooks.spark_kubernetes import ConnectionSettings, SparkKubernetesHook


class ConfOperator(BaseOperator):
    """
    Keeps the secret values of `conf` apart from the field that Airflow stores and shows.

    :param conf: Spark properties.
    """

    def __init__(self, *, conf: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conf = conf
        self._secrets: Mapping[str, str] = {}
        if isinstance(conf, Mapping):
            self._hide_secrets(keep=secret_conf.is_template)  # Airflow stores the DAG's own fields, too

    def _do_render_template_fields(
        self,
        parent: Any,
        template_fields: Any,
        context: Context,
        jinja_env: jinja2.Environment,
        seen_oids: set[int],
    ) -> None:
        # Airflow stores the rendered fields right after this, for mapped tasks too.
        super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)
        if parent is self and isinstance(self.conf, Mapping):
            try:
                self._hide_secrets()
            except InvalidConfiguration as error:
                raise AirflowFailException(str(error)) from error

    def _hide_secrets(self, keep: Callable[[str], bool] = lambda value: False) -> None:
        conf = self._full_conf()
        secrets = secret_conf.secrets_of(conf)
        self._secrets = {name: value for name, value in secrets.items() if not keep(value)}
        secret_conf.mask_in_logs(self._secrets)
        self.conf = secret_conf.hidden(conf, self._secrets)

    def _full_conf(self) -> dict[str, str]:
        return secret_conf.revealed(secret_conf.plain_conf(self.conf), self._secrets)

    def _settings(self, hook: SparkKubernetesHook) -> ConnectionSettings:
        settings = hook.settings
        secret_conf.mask_in_logs(secret_conf.secrets_of(settings.conf))
        if isinstance(self.conf, Mapping):  # the connection may have a stricter rule for what is secret
            conf = self._full_conf()
            more = secret_conf.secrets_of(conf, settings.conf)
            secret_conf.mask_in_logs(more)
            self._secrets = {**self._secrets, **more}
            self.conf = secret_conf.hidden(conf, self._secrets)
        return settings
