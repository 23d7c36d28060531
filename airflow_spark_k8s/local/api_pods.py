"""What pods (and services) have besides themselves: logs, proxy, eviction, binding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from urllib.parse import quote, urlencode

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.decoding import parse_body
from airflow_spark_k8s.local.disruption import EVICTED, disrupt
from airflow_spark_k8s.local.disruption_budgets import check_budgets
from airflow_spark_k8s.local.errors import ApiError, bad_request, conflict, not_found
from airflow_spark_k8s.local.exchange import TEXT_TYPE, LogStream, Proxy, Request, Response
from airflow_spark_k8s.local.kubelet_runtime import LogOptions, NodeRuntime, ProxyRequest
from airflow_spark_k8s.local.manifests import is_terminal, parse_timestamp
from airflow_spark_k8s.local.resources import PODS, SERVICES
from airflow_spark_k8s.local.routing import Target
from airflow_spark_k8s.local.store import Store

_CREATED = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}

Nodes = Mapping[str, NodeRuntime]


class PodAccess:
    """Reaches the containers of pods through the nodes they run on, by node name."""

    def __init__(self, store: Store, nodes: Nodes) -> None:
        self._store = store
        self._nodes = nodes

    def logs(self, target: Target, request: Request) -> Response | LogStream:
        """A container's log as text, or followed; raises ApiError 404, 400."""
        pod = self._pod(target.namespace, target.name or "")
        container = _container(pod, request.parameter("container"))
        options = self._log_options(request)
        namespace, name = target.namespace or "", pod["metadata"]["name"]
        if not pod["spec"].get("nodeName"):
            return Response(204, "", TEXT_TYPE)  # nobody can have a log yet
        node = self._node(pod)
        if node is None or not _has_started(pod, container, options.previous):
            raise _no_log(pod, container, options.previous)
        if not request.flag("follow"):
            try:
                return Response(body=node.logs(namespace, name, container, options), content_type=TEXT_TYPE)
            except LookupError as error:
                raise _no_log(pod, container, options.previous) from error

        def follow(write: Callable[[bytes], None], ended: Callable[[], None]) -> Callable[[], None]:
            try:
                return node.follow(namespace, name, container, options, write, ended)
            except LookupError:
                ended()
                return _nothing

        return LogStream(follow)

    def proxy(self, target: Target, request: Request) -> Response | Proxy:
        """The answer of a server in a pod, or where to fetch it; raises ApiError 404, 400, 503."""
        scheme, name, port = _split(target.name or "")
        if target.resource is SERVICES:
            pod, port = self._endpoint(target.namespace, name, port)
        else:
            pod = self._pod(target.namespace, name)
            port = port or _first_port(pod)
        node = self._node(pod)
        namespace, pod_name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        address = node.address(namespace, pod_name) if node is not None else None
        if node is None or address is None or not pod.get("status", {}).get("podIP"):
            raise bad_request("address not allowed")
        path, query = quote("/" + target.rest), urlencode(request.query, doseq=True)
        asked = ProxyRequest(request.method, int(port), path, query, request.body)
        answer = node.answer(namespace, pod_name, asked)
        if answer is None:
            return Proxy(address, int(port), scheme, path, query)
        if answer.refused:
            raise refused(address, int(port))
        return Response(answer.status, answer.body, answer.content_type)

    def evict(self, target: Target, request: Request) -> Response:
        """201; raises ApiError 404, 409, 429 (a disruption budget forbids it)."""
        pod = self._pod(target.namespace, target.name or "")
        body = parse_body(request.body, request.headers.get("content-type", ""), "Eviction")
        options = (body.get("deleteOptions") or {}) if isinstance(body, dict) else {}
        uid = (options.get("preconditions") or {}).get("uid")
        if uid is not None and uid != pod["metadata"]["uid"]:
            raise conflict(
                PODS, pod["metadata"]["name"], f"the UID in the precondition ({uid}) does not match"
            )
        if not is_terminal(pod) and pod["status"].get("phase") == "Running":
            check_budgets(self._store, pod)
        if request.parameter("dryRun") != "All" and "All" not in (options.get("dryRun") or ()):
            disrupt(self._store, pod, EVICTED, grace_seconds=options.get("gracePeriodSeconds"))
        return Response(201, dict(_CREATED))

    def bind(self, target: Target, request: Request) -> Response:
        """201 after assigning the pod to a node; raises ApiError 404, 409."""
        body = parse_body(request.body, request.headers.get("content-type", ""), "Binding")
        node = (body.get("target") or {}).get("name") if isinstance(body, dict) else None
        pod = self._store.get(PODS, target.namespace, target.name or "")
        if pod["spec"].get("nodeName"):
            message = f'pod {pod["metadata"]["name"]} is already assigned to node "{pod["spec"]["nodeName"]}"'
            raise conflict(PODS, pod["metadata"]["name"], message)
        pod["spec"]["nodeName"] = node
        self._store.update(PODS, pod, subresource="binding")
        return Response(201, dict(_CREATED))

    def _pod(self, namespace: str | None, name: str) -> Manifest:
        found = self._store.peek(PODS, namespace, name)
        if found is None:
            raise not_found(PODS, name)
        return found

    def _node(self, pod: Manifest) -> NodeRuntime | None:
        return self._nodes.get(pod["spec"].get("nodeName") or "")

    def _endpoint(self, namespace: str | None, name: str, port: str) -> tuple[Manifest, str]:
        service = self._store.peek(SERVICES, namespace, name)
        if service is None:
            raise not_found(SERVICES, name)
        selector = service["spec"].get("selector") or {}
        labels = ",".join(f"{key}={value}" for key, value in selector.items())
        ready = [
            each
            for each in (self._store.list(PODS, namespace, labels=labels) if labels else [])
            if each.get("status", {}).get("phase") == "Running"
        ]
        if not ready:
            raise ApiError(503, "ServiceUnavailable", f'no endpoints available for service "{name}"')
        ports = service["spec"].get("ports") or []
        for each in ports:
            if port in ("", each.get("name"), str(each.get("port"))):
                return ready[0], str(each.get("targetPort", each.get("port")))
        raise ApiError(503, "ServiceUnavailable", f'no service port "{port}" found for service "{name}"')

    def _log_options(self, request: Request) -> LogOptions:
        since = None
        seconds, time = request.parameter("sinceSeconds"), request.parameter("sinceTime")
        if seconds:
            since = self._store.now() - timedelta(seconds=_whole(seconds, "sinceSeconds"))
        elif time:
            since = parse_timestamp(time)
        tail, limit = request.parameter("tailLines"), request.parameter("limitBytes")
        return LogOptions(
            None if tail is None else _whole(tail, "tailLines"),
            since,
            None if limit is None else _whole(limit, "limitBytes"),
            request.flag("timestamps"),
            request.flag("previous"),
        )


def refused(address: str, port: int, why: str = "connect: connection refused") -> ApiError:
    """503: nothing listens there."""
    message = f"error trying to reach service: dial tcp {address}:{port}: {why}"
    return ApiError(503, "ServiceUnavailable", message)


def _nothing() -> None:
    return None


def _whole(text: str, name: str) -> int:
    if not text.isdigit():
        raise bad_request(f"{name} must be a non-negative integer, not {text!r}")
    return int(text)


def _container(pod: Manifest, asked: str | None) -> str:
    spec, name = pod["spec"], pod["metadata"]["name"]
    main = [each["name"] for each in spec.get("containers") or []]
    init = [each["name"] for each in spec.get("initContainers") or []]
    if asked is None and len(main) == 1:
        return str(main[0])
    if asked is None:
        choices = f"choose one of: [{' '.join(main)}]"
        if init:
            choices += f" or one of the init containers: [{' '.join(init)}]"
        raise bad_request(f"a container name must be specified for pod {name}, {choices}")
    if asked not in main + init:
        raise bad_request(f"container {asked} is not valid for pod {name}")
    return asked


def _container_state(pod: Manifest, container: str) -> Manifest:
    status = pod.get("status") or {}
    for each in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        if each["name"] == container:
            return dict(each)
    return {}


def _has_started(pod: Manifest, container: str, previous: bool) -> bool:
    found = _container_state(pod, container)
    last = (found.get("lastState") or {}).get("terminated")
    if previous:
        return last is not None
    state = found.get("state") or {}
    return "running" in state or "terminated" in state or last is not None


def _no_log(pod: Manifest, container: str, previous: bool) -> ApiError:
    name = pod["metadata"]["name"]
    if previous:
        return bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
    waiting = (_container_state(pod, container).get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason") or "ContainerCreating"
    if reason in ("ErrImagePull", "ImagePullBackOff"):
        reason = "trying and failing to pull image"
    return bad_request(f'container "{container}" in pod "{name}" is waiting to start: {reason}')


def _split(name: str) -> tuple[str, str, str]:
    parts = name.split(":")
    if len(parts) == 1:
        return "http", parts[0], ""
    if len(parts) == 2:
        return "http", parts[0], parts[1]
    return parts[0] or "http", parts[1], parts[2]


def _first_port(pod: Manifest) -> str:
    for container in pod["spec"].get("containers") or []:
        for port in container.get("ports") or []:
            return str(port["containerPort"])
    return "80"
