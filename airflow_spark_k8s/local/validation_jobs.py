"""Jobs. Source: ValidateJob of k8s.io/kubernetes/pkg/apis/batch/validation."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.errors import Cause
from airflow_spark_k8s.local.validation_names import (
    invalid_value,
    required,
    unsupported,
    validate_annotations,
    validate_labels,
)
from airflow_spark_k8s.local.validation_pods import validate_pod_spec

_COUNTS = ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished")
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_NEVER_ONLY = 'only "Never" is supported when podFailurePolicy is specified'


def validate_job(job: Manifest) -> Iterator[Cause]:
    """What is wrong with a Job, already defaulted."""
    spec = job["spec"]
    for name in _COUNTS:
        if spec.get(name) is not None and spec[name] < 0:
            yield invalid_value(f"spec.{name}", spec[name], "must be greater than or equal to 0")
    yield from _enumerations(spec)
    yield from _template(spec)
    yield from _selector(spec)
    if spec.get("podFailurePolicy") is not None:
        yield from _failure_policy(spec)


def _enumerations(spec: Manifest) -> Iterator[Cause]:
    if spec["completionMode"] not in ("Indexed", "NonIndexed"):
        yield unsupported("spec.completionMode", spec["completionMode"], ("Indexed", "NonIndexed"))
    if spec["completionMode"] == "Indexed" and spec.get("completions") is None:
        yield required("spec.completions", "when completion mode is Indexed")
    # With a failure policy a pod is only counted once it has ended, so it cannot be replaced before.
    allowed = ("Failed",) if spec.get("podFailurePolicy") is not None else ("Failed", "TerminatingOrFailed")
    if spec["podReplacementPolicy"] not in allowed:
        yield unsupported("spec.podReplacementPolicy", spec["podReplacementPolicy"], allowed)


def _template(spec: Manifest) -> Iterator[Cause]:
    template = spec["template"]
    metadata = template.get("metadata") or {}
    yield from validate_labels(metadata.get("labels") or {}, "spec.template.labels")
    yield from validate_annotations(metadata.get("annotations") or {}, "spec.template.annotations")
    yield from validate_pod_spec(template["spec"], "spec.template.spec")
    policy = template["spec"]["restartPolicy"]
    if policy == "Always":
        yield required("spec.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')
    if spec.get("podFailurePolicy") is not None and policy != "Never":
        yield invalid_value("spec.template.spec.restartPolicy", policy, _NEVER_ONLY)


def _selector(spec: Manifest) -> Iterator[Cause]:
    if spec.get("selector") is None:
        yield required("spec.selector")
        return
    labels = (spec["template"].get("metadata") or {}).get("labels") or {}
    wanted = (spec["selector"].get("matchLabels") or {}).items()
    if any(labels.get(key) != value for key, value in wanted):
        yield invalid_value(
            "spec.template.metadata.labels", str(labels), "`selector` does not match template `labels`"
        )


def _failure_policy(spec: Manifest) -> Iterator[Cause]:
    names = {each.get("name") for each in spec["template"]["spec"].get("containers") or []}
    names |= {each.get("name") for each in spec["template"]["spec"].get("initContainers") or []}
    for index, rule in enumerate(spec["podFailurePolicy"].get("rules") or []):
        field = f"spec.podFailurePolicy.rules[{index}]"
        action = rule.get("action")
        if not action:
            yield required(f"{field}.action", 'valid values: "Count", "FailIndex", "FailJob", "Ignore"')
        elif action not in _ACTIONS:
            yield unsupported(f"{field}.action", action, _ACTIONS)
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions")
        if codes and conditions:
            why = "specifying both OnExitCodes and OnPodConditions is not supported"
            yield invalid_value(field, "", why)
        elif not codes and not conditions:
            yield invalid_value(field, "", "specifying one of OnExitCodes and OnPodConditions is required")
        if codes:
            yield from _exit_codes(codes, f"{field}.onExitCodes", names)
        for position, pattern in enumerate(conditions or []):
            if not pattern.get("type"):
                yield invalid_value(
                    f"{field}.onPodConditions[{position}].type", "", "name part must be non-empty"
                )


def _exit_codes(codes: Manifest, field: str, containers: set[str | None]) -> Iterator[Cause]:
    operator, values = codes.get("operator"), codes.get("values") or []
    if operator not in ("In", "NotIn"):
        yield unsupported(f"{field}.operator", operator or "", ("In", "NotIn"))
    if codes.get("containerName") is not None and codes["containerName"] not in containers:
        why = "must be one of the container or initContainer names in the pod template"
        yield invalid_value(f"{field}.containerName", codes["containerName"], why)
    if not values:
        yield invalid_value(f"{field}.values", "[]", "at least one value is required")
    if operator == "In" and 0 in values:
        yield invalid_value(f"{field}.values[{values.index(0)}]", 0, "must not be 0 for the In operator")
