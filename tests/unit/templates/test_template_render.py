from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airflow_spark_k8s.core.settings import ControllerSettings
from airflow_spark_k8s.core.spec import Application, Identity, Manifests, PodShape, SecretEnv, UserFile
from airflow_spark_k8s.exceptions import InvalidTemplate
from airflow_spark_k8s.templates.display import displayed

Render = Callable[..., Manifests]
MakeApplication = Callable[..., Application]
MakeIdentity = Callable[..., Identity]
MakeShape = Callable[..., PodShape]

TOKEN = SecretEnv("TOKEN", "env-executor-TOKEN", "correct horse")


def config_map(manifests: Manifests, suffix: str) -> dict[str, Any]:
    return next(m for m in manifests.config_maps if m["metadata"]["name"].endswith(suffix))


class TestSecret:
    def test_it_holds_properties_and_secrets(
        self, rendered: Render, application: MakeApplication, pod_shape: MakeShape
    ) -> None:
        secret = rendered(application(executor=pod_shape(secret_env=(TOKEN,))), auth_secret=b"\x00raw").secret
        data = {key: b64decode(value) for key, value in secret["data"].items()}
        assert data == {
            "spark.properties": b"spark.app.name=Daily Report\nspark.my.password=hunter2\n",
            "auth-secret": b"\x00raw",
            "auth-secret-base64": b64encode(b"\x00raw"),
            "env-executor-TOKEN": b"correct horse",
        }
        assert secret["type"] == "Opaque"

    def test_without_authentication_it_holds_no_shared_secret(
        self, rendered: Render, application: MakeApplication
    ) -> None:
        assert set(rendered(application(authenticate=False)).secret["data"]) == {"spark.properties"}

    def test_options_of_spark_submit_keep_the_driver_from_making_executors_there_too(
        self, rendered: Render, application: MakeApplication, pod_shape: MakeShape
    ) -> None:
        options = SecretEnv("SPARK_SUBMIT_OPTS", "env-driver-SPARK_SUBMIT_OPTS", "-Dpassword=x")
        data = rendered(application(driver=pod_shape(secret_env=(options,)))).secret["data"]
        written = b64decode(data["env-driver-SPARK_SUBMIT_OPTS"])
        assert written == b"-Dpassword=x -Dspark.executor.instances=0"

    def test_no_other_object_holds_a_secret(
        self, rendered: Render, application: MakeApplication, pod_shape: MakeShape
    ) -> None:
        manifests = rendered(
            application(executor=pod_shape(secret_env=(TOKEN,))), auth_secret=b"shared secret"
        )
        public = json.dumps([manifests.job, manifests.executor, *manifests.config_maps]) + displayed(
            manifests
        )
        for value in ("correct horse", "hunter2", "shared secret"):
            assert value not in public
            assert b64encode(value.encode()).decode() not in public
        assert "correct horse" not in repr(manifests)


class TestConfigMaps:
    def test_the_trigger_finds_settings_and_executor(
        self, rendered: Render, application: MakeApplication
    ) -> None:
        manifests = rendered()
        data = config_map(manifests, "-app")["data"]
        assert ControllerSettings.from_json(data["settings.json"]) == ControllerSettings.from_application(
            application()
        )
        assert json.loads(data["executor.json"]) == manifests.executor

    def test_the_users_file_travels_byte_by_byte(
        self, rendered: Render, application: MakeApplication
    ) -> None:
        content = b"\x89PNG\r\n\x00\xff"
        manifests = rendered(application(user_file=UserFile("pi.py", content)))
        assert b64decode(config_map(manifests, "-files")["binaryData"]["pi.py"]) == content

    def test_without_a_file_there_is_no_map_for_it(self, rendered: Render) -> None:
        assert [m["metadata"]["name"][-4:] for m in rendered().config_maps] == ["-app"]


class TestSpecHash:
    def test_it_stands_on_the_job(self, rendered: Render) -> None:
        manifests = rendered()
        annotations = manifests.job["metadata"]["annotations"]
        assert annotations["airflow-spark-k8s/spec-hash"] == manifests.spec_hash

    def test_another_try_has_the_same(self, rendered: Render, identity: MakeIdentity) -> None:
        first = rendered(auth_secret=b"one")
        second = rendered(who=identity(try_number=2, ti_id="another"), auth_secret=b"two")
        assert second.spec_hash == first.spec_hash
        assert second.job["metadata"]["name"] != first.job["metadata"]["name"]

    def test_another_try_has_the_same_for_a_template_that_names_its_objects(
        self, rendered: Render, identity: MakeIdentity
    ) -> None:
        patch = {
            "metadata": {
                "annotations": {"log-folder": "{{ spark.job_name }}/{{ spark.identity.try_number }}"}
            }
        }
        first = rendered(executor_template=patch)
        second = rendered(who=identity(try_number=2, ti_id="another"), executor_template=patch)
        assert second.spec_hash == first.spec_hash

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"properties": {"spark.app.name": "Daily Report"}}, id="a property removed"),
            pytest.param(
                {"properties": {"spark.app.name": "Daily Report", "spark.my.password": "other"}},
                id="a secret property changed",
            ),
            pytest.param({"arguments": ("100",)}, id="another argument"),
            pytest.param({"user_file": UserFile("pi.py", b"1")}, id="another file"),
            pytest.param({"max_driver_restarts": 1}, id="another number of restarts"),
            pytest.param({"active_deadline_seconds": 60}, id="another deadline"),
        ],
    )
    def test_another_application_has_another(
        self, change: dict[str, Any], rendered: Render, application: MakeApplication
    ) -> None:
        assert rendered(application(**change)).spec_hash != rendered().spec_hash

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"image": "apache/spark:4.3.1"}, id="another image"),
            pytest.param({"env": {"A": "1"}}, id="another variable"),
            pytest.param({"secret_env": (TOKEN,)}, id="a secret variable"),
            pytest.param({"secret_env": (replace(TOKEN, value="x"),)}, id="another value of it"),
        ],
    )
    def test_other_executors_have_another(
        self, change: dict[str, Any], rendered: Render, application: MakeApplication, pod_shape: MakeShape
    ) -> None:
        with_token = rendered(application(executor=pod_shape(secret_env=(replace(TOKEN, value="old"),))))
        plain = rendered(application(executor=pod_shape()))
        changed = rendered(application(executor=pod_shape(**change)))
        assert changed.spec_hash not in {with_token.spec_hash, plain.spec_hash}

    def test_the_secret_part_differs_between_task_instances_that_share_a_password(
        self, rendered: Render, identity: MakeIdentity
    ) -> None:
        assert rendered(who=identity(map_index=1)).spec_hash != rendered(who=identity(map_index=2)).spec_hash


class TestContext:
    def test_templates_see_the_tasks_context_and_the_application(self, rendered: Render) -> None:
        annotation = (
            "{{ ti.task_id }} {{ spark.identity.dag_id }} {{ spark.version }} {{ spark.executor.memory }}"
        )
        manifests = rendered(
            context={"ti": {"task_id": "daily"}},
            executor_template={"metadata": {"annotations": {"note": annotation}}},
        )
        assert manifests.executor["metadata"]["annotations"]["note"] == "daily reports 4.3.0 1408Mi"

    def test_ours_wins_over_a_name_of_the_task(self, rendered: Render) -> None:
        manifests = rendered(
            context={"spark": "mine"},
            executor_template={"metadata": {"annotations": {"note": "{{ spark.app_name }}"}}},
        )
        assert manifests.executor["metadata"]["annotations"]["note"] == "Daily Report"

    def test_an_undefined_name_is_an_error(self, rendered: Render) -> None:
        with pytest.raises(InvalidTemplate, match="'nobody' is undefined") as error:
            rendered(executor_template={"metadata": {"annotations": {"note": "{{ nobody }}"}}})
        assert error.value.field == "executor_template.metadata.annotations.note"

    def test_filters_of_airflow_can_be_given(self, rendered: Render) -> None:
        manifests = rendered(
            filters={"ds": lambda value: value[:10]},
            context={"when": "2026-11-22T10:00"},
            executor_template={"metadata": {"annotations": {"day": "{{ when | ds }}"}}},
        )
        assert manifests.executor["metadata"]["annotations"]["day"] == "2026-11-22"


class TestDisplay:
    def test_it_shows_every_object_and_of_secrets_the_keys(self, rendered: Render) -> None:
        text = displayed(rendered())
        assert text.count("\n---\n") == 3
        assert "auth-secret-base64: '***'" in text
        assert "kind: Job" in text
        assert "name: spark-kubernetes-executor" in text

    def test_a_file_is_shown_as_its_size(self, rendered: Render, application: MakeApplication) -> None:
        assert "pi.py: (8 bytes)" in displayed(
            rendered(application(user_file=UserFile("pi.py", b"print(1)")))
        )

    def test_texts_of_several_lines_stay_readable(self, rendered: Render) -> None:
        patch = {"metadata": {"annotations": {"note": "one\ntwo"}}}
        assert "note: |-\n      one\n      two\n" in displayed(rendered(executor_template=patch))


def test_the_same_application_always_renders_to_the_same(rendered: Render) -> None:
    assert rendered() == rendered()
