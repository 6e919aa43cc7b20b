"""`--cluster kubernetes`: a scheduler and workers in pods, made by dask's operator, with TLS between.

dask's own KubeCluster speaks to its scheduler without TLS, and dask's image has none of this project. So of
dask-kubernetes this takes what is left: the resource of which its operator makes pods, and its part of dask's
configuration (`kubernetes:`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from inspect import signature
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import dask

from replica.commands.cluster import security
from replica.commands.repro.workers import LOOPBACK
from replica.common import parameters
from replica.common.errors import UserError

if TYPE_CHECKING:
    from distributed import Client, Security

FOLDER = PurePosixPath("/etc/replica")  # in a pod, of the certificate
PORT = 8786
COMM = "tcp-comm"  # dask's name for it
ENVIRONMENT = [
    {"name": "DASK_CONFIG", "value": str(FOLDER)},
    {"name": "THREADS", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},  # the node's where it has none
    {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
]
NOT_FOUND = 404
VOLUME = "replica-certificate"
OURS = {"app.kubernetes.io/managed-by": "replica"}  # by which a user finds what a killed driver has left
SLOW = 10.0  # seconds, after which a line says what is waited for
# A pod whose container waits for one of these has no use for more time.
HOPELESS = ("CrashLoopBackOff", "CreateContainerConfigError", "ErrImagePull", "ImagePullBackOff", "InvalidImageName")


@contextmanager
def pods(jobs: int, settings: dict[str, Any], tell: Callable[[str], None]) -> Iterator[Client]:
    """Within the block a client of `jobs` workers, whose pods are gone at its end.

    Parameters
    ----------
    jobs
        Workers, a pod each.
    settings
        Of dask's, for the scheduler.
    tell
        Called with a line for the user.

    Raises
    ------
    UserError
        Where dask's configuration lacks something, the cluster can't be reached, or a pod can't start.
    """
    with ExitStack() as ending:
        try:
            client = _begun(jobs, settings, tell, ending)
        except _failures() as error:
            words = " ".join(str(error).split()) or repr(error)
            answer = getattr(error, "response", None)
            if answer is not None and answer.status_code == NOT_FOUND and not words.startswith("namespaces "):
                words = "dask's operator is not installed there (docs/cluster.md)"
            raise UserError(f"--cluster kubernetes: {words}") from error
        yield client


def _begun(jobs: int, settings: dict[str, Any], tell: Callable[[str], None], ending: ExitStack) -> Client:
    import kr8s
    from kr8s.objects import Secret, new_class
    from kr8s.portforward import PortForward

    certificate = security.temporary()
    name = f"replica-{uuid4().hex[:8]}"
    namespace = dask.config.get("kubernetes.namespace") or kr8s.api().namespace
    kind = new_class("DaskCluster", "kubernetes.dask.org/v1", asyncio=False)
    cluster = kind(specification(name, namespace, jobs), namespace=namespace)
    cluster.create()
    ending.callback(_delete, cluster, tell)
    owner = {"apiVersion": cluster.version, "kind": cluster.kind, "name": name, "uid": cluster.raw["metadata"]["uid"]}
    metadata = {"name": name, "ownerReferences": [owner]}  # so that the key goes with the cluster, whoever deletes that
    texts = security.files(certificate, FOLDER, settings)
    Secret({"metadata": metadata, "stringData": texts}, namespace=namespace).create()
    place = {"namespace": namespace, "label_selector": f"dask.org/cluster-name={name},dask.org/component=scheduler"}
    _await_scheduler(place, tell)
    port = ending.enter_context(PortForward(cast("Any", _Scheduler(place)), PORT, local_port="auto"))
    return ending.enter_context(_client(f"tls://127.0.0.1:{port}", certificate))


def _failures() -> tuple[type[Exception], ...]:
    """What an API server and the way to it may raise; ValueError: there is no configuration of one."""
    import kr8s
    from httpx import HTTPError

    return ValueError, OSError, HTTPError, kr8s.ServerError, kr8s.APITimeoutError


def _delete(cluster: Any, tell: Callable[[str], None]) -> None:
    """Delete it, if nobody has; that it can't be is no reason to lose what was computed."""
    import kr8s

    try:
        cluster.delete()
    except kr8s.NotFoundError:
        pass
    except _failures() as error:
        tell(f"kubernetes: its pods may be left ({error}): kubectl delete daskclusters {cluster.name}")


def _client(address: str, certificate: Security) -> Client:
    """A client of a scheduler that may not listen yet."""
    from distributed import Client

    until = time.monotonic() + _patience()
    while True:
        try:
            return Client(address, security=certificate, timeout=10)
        except OSError:
            if time.monotonic() > until:
                raise
        time.sleep(0.5)


def specification(name: str, namespace: str, jobs: int) -> dict[str, Any]:
    """The DaskCluster for dask's operator: the configuration's own, or one of its image and resources.

    Raises
    ------
    UserError
        Where neither is configured.
    """
    spec = json.loads(json.dumps(_configured(name)))  # where scheduler and worker have the same lists
    metadata = spec.get("metadata") or {}
    spec["metadata"] = {**metadata, "name": name, "labels": {**(metadata.get("labels") or {}), **OURS}}
    scheduler, worker = spec["spec"]["scheduler"], spec["spec"]["worker"]
    spec["spec"]["idleTimeout"] = 0  # the operator would ask the scheduler, without TLS
    worker["replicas"] = jobs
    labels = {"dask.org/cluster-name": name, "dask.org/component": "scheduler"}
    # The operator's declaration takes ports by name alone.
    ports = [{"name": COMM, "port": PORT, "targetPort": COMM, "protocol": "TCP"}]
    scheduler["service"] = {"type": "ClusterIP", "selector": labels, "ports": ports}
    address = f"tls://{name}-scheduler.{namespace}.svc.cluster.local:{PORT}"
    scheduling = ["-m", "distributed.cli.dask_scheduler", "--protocol", "tls", "--port", str(PORT)]
    scheduling += ["--no-dashboard", "--dashboard-address", LOOPBACK]
    working = ["-m", "replica", "worker", address, "--threads", "$(THREADS)", "--memory", "$(MEMORY)"]
    for part, words in ((scheduler, scheduling), (worker, working)):
        pod, container = part["spec"], part["spec"]["containers"][0]
        container["command"], container["args"] = ["python"], words  # whatever the image's entry point is
        container["env"] = [*(container.get("env") or []), *ENVIRONMENT]
        mounts = [*container.get("volumeMounts", []), {"name": VOLUME, "mountPath": str(FOLDER), "readOnly": True}]
        pod["volumes"] = [*pod.get("volumes", []), {"name": VOLUME, "secret": {"secretName": name}}]
        container["volumeMounts"] = mounts
        for probe in ("livenessProbe", "readinessProbe"):  # of a page that is off
            container.pop(probe, None)
    scheduler["spec"]["containers"][0]["ports"] = [{"name": COMM, "containerPort": PORT, "protocol": "TCP"}]
    return spec


def _configured(name: str) -> dict[str, Any]:
    from dask_kubernetes.operator import make_cluster_spec

    if (spec := dask.config.get("kubernetes.custom-cluster-spec")) is not None:
        if isinstance(spec, str):
            spec = parameters.read(Path(spec).expanduser())
        try:
            for part in ("scheduler", "worker"):
                spec["spec"][part]["spec"]["containers"][0]
        except (KeyError, IndexError, TypeError) as error:
            raise UserError(
                f"--cluster kubernetes: custom-cluster-spec: {part}: no container: it wants a DaskCluster, "
                "as dask's operator takes it"
            ) from error
        return spec
    image, amounts = dask.config.get("kubernetes.image"), dask.config.get("kubernetes.resources") or {}
    lacking = [f"resources: limits: {key}" for key in ("cpu", "memory") if key not in amounts.get("limits", {})]
    if image == signature(make_cluster_spec).parameters["image"].default:  # dask's own, which has none of this project
        lacking.insert(0, "image")
    if lacking:
        raise UserError(
            f"--cluster kubernetes: {', '.join(lacking)} of a pod: in ~/.config/dask/kubernetes.yaml, "
            "under kubernetes: (docs/cluster.md has an example)"
        )
    return make_cluster_spec(name, image, resources=amounts, env=dask.config.get("kubernetes.env"))


def _patience() -> float:
    return float(dask.config.get("kubernetes.resource-timeout"))


class _Scheduler:
    """For kr8s's PortForward: the pod of the moment, which another may replace.

    kr8s's own Service does not find its pods on a Kubernetes before 1.28, whose API gives kinds no singular names.
    """

    def __init__(self, place: dict[str, str]) -> None:
        self.place = place

    async def async_ready_pods(self) -> list[Any]:
        from kr8s.asyncio.objects import Pod

        return [pod async for pod in Pod.list(**self.place) if isinstance(pod, Pod) and await pod.ready()]

    ready_pods = async_ready_pods


def _await_scheduler(place: dict[str, str], tell: Callable[[str], None]) -> None:
    """Wait until the scheduler's pod runs."""
    from kr8s.objects import Pod

    patience = _patience()
    began, told = time.monotonic(), ""
    while True:
        waits = ""
        for pod in Pod.list(**place):
            assert isinstance(pod, Pod)
            if pod.ready():
                return
            waits = waits_for(pod.raw)
        seconds = time.monotonic() - began
        if seconds > SLOW and waits != told:
            told = waits
            tell(f"kubernetes: the scheduler's pod waits: {waits}")
        if seconds > patience and waits.startswith(HOPELESS):
            raise UserError(f"--cluster kubernetes: the scheduler's pod can't start: {waits}")
        if seconds > patience and not waits:
            raise UserError(
                f"--cluster kubernetes: no pod after {patience:g} s: does dask's operator run? (docs/cluster.md)"
            )
        time.sleep(0.3)


def waits_for(pod: dict[str, Any]) -> str:
    """What a pod that isn't ready waits for, as Kubernetes says it: a reason, and words of its own."""
    status = pod.get("status", {})
    states = [each["state"] for each in status.get("containerStatuses", []) if not each.get("ready")]
    states += [each for each in status.get("conditions", []) if each["type"] == "PodScheduled"]
    for state in states:
        found = state.get("waiting") or state.get("terminated") or state
        if found.get("reason"):
            return ": ".join(filter(None, [found["reason"], " ".join(found.get("message", "").split())]))
    return status.get("phase", "Pending")
