"""An operator with Spark properties of which Airflow stores no secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.operators import secret_conf
from airflow_spark_k8s.operators.arguments import is_reference

if TYPE_CHECKING:
    import jinja2
    from airflow.sdk import Context
    from airflow.sdk.definitions.mappedoperator import OperatorPartial

    from airflow_spark_k8s.hooks.spark_kubernetes import ConnectionSettings, SparkKubernetesHook


class HiddenConf(dict[str, Any]):
    """
    Spark properties without their secrets, as Airflow stores them.

    :param conf: the properties, with all values.
    """

    def __init__(self, conf: Mapping[str, Any]) -> None:
        later = {name: value for name, value in conf.items() if is_reference(value)}
        plain = secret_conf.plain_conf({name: value for name, value in conf.items() if name not in later})
        found = secret_conf.secrets_of(plain)
        self.secrets = {name: value for name, value in found.items() if not secret_conf.is_template(value)}
        super().__init__({**secret_conf.hidden(plain, self.secrets), **later})


class _Partial:
    """Airflow's `partial`, whose `conf` Airflow stores as it is given, before any task is made of it."""

    def __get__(
        self, obj: BaseOperator | None, cls: type[BaseOperator] | None = None
    ) -> Callable[..., OperatorPartial]:
        airflows = vars(BaseOperator)["partial"].__get__(obj, cls)

        def partial(**kwargs: Any) -> OperatorPartial:
            made: OperatorPartial = airflows(**kwargs)
            conf = made.kwargs.get("conf")
            if isinstance(conf, Mapping):
                made.kwargs["conf"] = HiddenConf(conf)
            return made

        return partial


class ConfOperator(BaseOperator):
    """
    Keeps the secret values of `conf` apart from the field that Airflow stores and shows.

    :param conf: Spark properties.
    """

    partial = _Partial()

    def __init__(self, *, conf: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conf = conf
        self._secrets: Mapping[str, str] = conf.secrets if isinstance(conf, HiddenConf) else {}
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
        given = dict(self.conf or {})
        later = {name: value for name, value in given.items() if is_reference(value)}
        conf = self._plain({name: value for name, value in given.items() if name not in later})
        secrets = secret_conf.secrets_of(conf)
        self._secrets = {name: value for name, value in secrets.items() if not keep(value)}
        secret_conf.mask_in_logs(self._secrets)
        self.conf = {**secret_conf.hidden(conf, self._secrets), **later}

    def _full_conf(self) -> dict[str, str]:
        return self._plain(self.conf)

    def _plain(self, conf: Mapping[str, Any] | None) -> dict[str, str]:
        return secret_conf.revealed(secret_conf.plain_conf(conf), self._secrets)

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
