"""Nodes that are pods: a real Kubernetes of one node (`tests/pods.py`), and dask's operator.

`make machines` runs them where its programs are. `IMAGE=archive.tar` takes the pods' files from an image that the
Containerfile made; without it they are this machine's own, mounted into an empty one.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dask
import pods
import pytest
import yaml
from conftest import ROOT, Project
from test_machines import PIPELINE, STAGES, TARGETS, commands, driver, ends_well, left, line, made, whole
from test_sweep import project_copy, quick, sweep  # noqa: F401

from replica.commands.cluster.kubernetes import specification
from replica.common.errors import UserError

pytestmark = [pytest.mark.machines, pytest.mark.timeout(900)]
ON_PATH = PIPELINE.replace("PYTHON", "python")  # a pod's is elsewhere
EMPTY = f"docker.io/{pods.PAUSE}"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pods.Kubernetes]:
    if why := pods.reason():
        pytest.skip(why)
    with pods.running(tmp_path_factory.mktemp("kubernetes")) as running:
        yield running


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    project = made(tmp_path_factory.mktemp("local") / "project", ON_PATH)
    project.repro()
    return {name: (project.folder / name).read_text() for name in ("dvc.lock", "score.json")}


@pytest.fixture(scope="module")
def image(cluster: pods.Kubernetes) -> str:
    """What pods are made of, in a cluster where dask's operator runs; tests of one without it come before."""
    cluster.declare()
    cluster.operate()
    archive = os.environ.get("IMAGE")
    return cluster.load(Path(archive)) if archive else EMPTY


def specified(image: str, remote: Path) -> dict:
    """A DaskCluster of an image, with the remote's folder; and this machine's programs, if it is empty."""
    shared = [Path(name) for name in ("/usr", "/bin", "/lib", "/lib64", "/etc/ssl", sys.base_prefix, sys.prefix, ROOT)]
    mirror = [Path(os.environ["REPLICA_MIRROR"])] if "REPLICA_MIRROR" in os.environ else []
    needed = [*mirror, remote, *(shared if image == EMPTY else [])]
    places = {str(folder): folder.resolve() for folder in needed}
    names = {place: f"v{number}" for number, place in enumerate(places)}
    environment = {"USER": "pod", "HOME": "/tmp", **dict(zip(["REPLICA_MIRROR"], map(str, mirror), strict=False))}
    if image == EMPTY:
        environment |= {"PATH": f"{sys.prefix}/bin:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    container = {
        "name": "dask",
        "image": image,
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "resources": {"limits": {"cpu": "1", "memory": "2Gi"}, "requests": {"cpu": "100m", "memory": "200Mi"}},
        "volumeMounts": [{"name": names[place], "mountPath": place} for place in places],
    }
    container["volumeMounts"].append({"name": "tmp", "mountPath": "/tmp"})
    volumes = [{"name": names[place], "hostPath": {"path": str(source)}} for place, source in places.items()]
    pod: dict = {"spec": {"containers": [container], "volumes": [*volumes, {"name": "tmp", "emptyDir": {}}]}}
    pod["spec"]["securityContext"] = {"runAsUser": os.getuid()}  # who may write to the remote's folder
    spec = {"scheduler": pod, "worker": pod}
    return {"apiVersion": "kubernetes.dask.org/v1", "kind": "DaskCluster", "metadata": {"name": "any"}, "spec": spec}


def settings(folder: Path, cluster: pods.Kubernetes, **declared: object) -> dict[str, str]:
    """What the driver's environment says: whose Kubernetes, and dask's configuration."""
    place = folder / "dask"
    place.mkdir(exist_ok=True)
    (place / "kubernetes.yaml").write_text(yaml.safe_dump({"kubernetes": declared}, default_flow_style=False))
    return {"KUBECONFIG": str(cluster.configuration), "DASK_CONFIG": str(place)}


LIMITS = {"limits": {"cpu": "1", "memory": "1G"}}


def refused(project: Project, seconds: float, **environment: str) -> str:
    """What is said where a run can't begin."""
    began = time.monotonic()
    process = driver(project, "--cluster", "kubernetes", **environment)
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 1 and time.monotonic() - began < seconds, text
    assert "Traceback" not in text and len(re.findall("^error: ", text, re.MULTILINE)) == 1, text
    return text.splitlines()[-1]


def begun(cluster: pods.Kubernetes, image: str, folder: Path) -> tuple[Project, subprocess.Popen[str]]:
    """A project and its driver, with two workers."""
    folder.mkdir(exist_ok=True)
    project = made(folder / "project", ON_PATH)
    remote = folder / "project-remote"
    remote.mkdir()
    declared = settings(folder, cluster, **{"custom-cluster-spec": specified(image, remote)})
    return project, driver(project, "--cluster", "kubernetes", "--jobs", "2", **declared)


def busy(cluster: pods.Kubernetes) -> None:
    """Wait until a stage's command runs in a pod."""
    pods.wait(lambda: cluster.get("daskclusters") and commands("sleep\0004"), 120)


def gone(cluster: pods.Kubernetes) -> None:
    """Whatever a run made is gone, its key with it."""
    kinds = "daskclusters,secrets,services,deployments,pods"
    pods.wait(lambda: not [each for each in cluster.get(kinds) if each["metadata"]["name"].startswith("replica-")], 90)


def test_a_cluster_of_pods_is_declared_with_tls_and_what_was_configured(tmp_path: Path) -> None:
    importlib.import_module("dask_kubernetes")  # which adds its defaults to dask's configuration
    (torn := tmp_path / "torn.yaml").write_text("spec: [")
    volume = {"name": "scratch", "emptyDir": {}}
    pod = {"spec": {"containers": [{"name": "any", "image": "own"}], "volumes": [volume]}}
    custom = {"kind": "DaskCluster", "spec": {"scheduler": pod, "worker": pod}}  # of one anchor, as YAML may have it
    image = {"image": "own", "env": {"A": "b"}, "resources": {"limits": {"cpu": "2", "memory": "4G"}}}
    for settings, kept in ((image, []), ({"custom-cluster-spec": custom}, [volume])):
        with dask.config.set(kubernetes={**dask.config.get("kubernetes", {}), **settings}):
            parts = specification("replica-1", "here", 3)["spec"]
        assert parts["worker"]["replicas"] == 3
        for part, words in (
            ("scheduler", "--protocol tls --port 8786 --no-dashboard --dashboard-address 127.0.0.1:0"),
            ("worker", "tls://replica-1-scheduler.here.svc"),
        ):
            container, volumes = parts[part]["spec"]["containers"][0], parts[part]["spec"]["volumes"]
            assert words in " ".join(container["args"]) and container["image"] == "own"
            assert volumes == [*kept, {"name": "replica-certificate", "secret": {"secretName": "replica-1"}}]
            assert {"name": "DASK_CONFIG", "value": "/etc/replica"} in container["env"]
            assert ({"name": "A", "value": "b"} in container["env"]) == (settings is image)
    for settings, said in (
        ({"image": "own", "resources": {}}, "kubernetes: resources: limits: cpu, resources: limits: memory of a pod"),
        (
            {**image, "custom-cluster-spec": {"spec": {}}},
            "scheduler: no container",
        ),
        ({"image": dask.config.get("kubernetes.image"), "resources": LIMITS}, "kubernetes: image of a pod"),
        ({"custom-cluster-spec": str(tmp_path / "none.yaml")}, "none.yaml: no such file"),
        ({"custom-cluster-spec": str(torn)}, "torn.yaml: "),
    ):
        configured = {**dask.config.get("kubernetes"), "custom-cluster-spec": None, **settings}
        with dask.config.set(kubernetes=configured), pytest.raises(UserError, match=said):
            specification("replica-1", "here", 3)


def test_what_a_cluster_lacks_is_one_line(cluster: pods.Kubernetes, tmp_path: Path) -> None:
    """Without the kinds of dask's operator, then with them and no operator, then with an image that is nowhere."""
    project = made(tmp_path / "project", ON_PATH)
    known = {"image": EMPTY, "resources": LIMITS}
    text = refused(project, 30, **settings(tmp_path, cluster))
    assert "image, resources: limits: cpu, resources: limits: memory of a pod" in text
    text = refused(project, 30, **{**settings(tmp_path, cluster, **known), "KUBECONFIG": str(tmp_path / "none")})
    assert "--cluster kubernetes: " in text
    assert "dask's operator is not installed" in refused(project, 30, **settings(tmp_path, cluster, **known))
    cluster.declare()
    known["resource-timeout"] = 3
    assert "no pod after 3 s: does dask's operator run?" in refused(project, 30, **settings(tmp_path, cluster, **known))
    cluster.operate()
    known["image"] = "127.0.0.1:1/none:1"
    text = refused(project, 60, **settings(tmp_path, cluster, **known))
    assert re.search(r"the scheduler's pod can't start: (ErrImagePull|ImagePullBackOff): .*127\.0\.0\.1:1/none:1", text)
    gone(cluster)


@pytest.mark.parametrize("component", ["worker", "scheduler"])
def test_ends_as_a_local_run_does_though_a_pod_is_killed(
    component: str, cluster: pods.Kubernetes, image: str, tmp_path: Path, reference: dict[str, str]
) -> None:
    project, process = begun(cluster, image, tmp_path)
    busy(cluster)
    names = [each["metadata"]["name"] for each in cluster.get("pods", "-l", f"dask.org/component={component}")]
    assert len(names) == {"worker": 2, "scheduler": 1}[component]
    cluster.run("delete", "pod", names[0], "--grace-period=0", "--force", "--wait=false")
    text = ends_well(process, project, reference)
    assert sorted(re.findall(r"^(\S+) \| (?:done|taken)", text, re.MULTILINE)) == STAGES  # each once
    gone(cluster)


def test_ctrl_c_leaves_nothing_and_what_a_kill_leaves_is_found(
    cluster: pods.Kubernetes, image: str, tmp_path: Path
) -> None:
    for number, stay in ((signal.SIGINT, False), (signal.SIGKILL, True)):
        _, process = begun(cluster, image, tmp_path / number.name)
        busy(cluster)
        process.send_signal(number)
        process.communicate(timeout=60)
        assert bool(cluster.get("daskclusters")) == stay
        if stay:
            told = re.search(r"kubectl (delete daskclusters \S+ \S+)", (ROOT / "docs/cluster.md").read_text())
            cluster.run(*told.group(1).split())
        gone(cluster)


def test_a_sweep_s_trials_in_pods_are_the_same_experiments(
    cluster: pods.Kubernetes,
    image: str,
    project_copy: Project,  # noqa: F811
    tmp_path: Path,
) -> None:
    words = ("-S", "learning_rate=uniform(0.1,0.9)", "-S", "epochs=3", "--sampler", "random", "--trials", "2")
    other = Project(Path(shutil.copytree(project_copy.folder, tmp_path / "other", symlinks=True)))
    sweep(project_copy, *words, "--jobs", "1")
    remote = tmp_path / "remote"
    remote.mkdir()
    other.run("dvc", "remote", "add", "--default", "lab", str(remote))
    declared = settings(tmp_path, cluster, **{"custom-cluster-spec": specified(image, remote)})
    text = sweep(other, *words, "--cluster", "kubernetes", "--jobs", "2", **declared)
    assert "2 of 2 trials" in text or "the best of 2" in text, text
    base = other.run("git", "rev-parse", "HEAD").stdout.strip()
    for number in (1, 2):
        of = f"refs/exps/{base[:2]}/{base[2:]}/s-{number:03}:dvc.lock"
        assert other.run("git", "show", of).stdout == project_copy.run("git", "show", of).stdout
    gone(cluster)


@pytest.mark.timeout(3600)
def test_the_project_itself(
    cluster: pods.Kubernetes, image: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By local jobs, and by two pods."""
    lines, ends = [], []
    for way in ("local jobs", "Kubernetes"):
        project = whole(tmp_path / way.replace(" ", "-"))
        own = {"PYTHONPATH": str(project.folder)}
        words = ("--jobs", "2")
        if way == "Kubernetes":
            remote = Path(f"{project.folder}-remote")
            remote.mkdir()
            own |= settings(tmp_path, cluster, **{"custom-cluster-spec": specified(image, remote)})
            words = ("--cluster", "kubernetes", *words)
        began = time.monotonic()
        process = driver(project, *TARGETS, *words, **own)
        text, _ = process.communicate(timeout=3000)
        assert process.returncode == 0, text[-3000:]
        lines.append(line(way, time.monotonic() - began, project))
        ends.append(left(project))
    with capsys.disabled():
        print("\n" + "\n".join(lines), "\nthe same bytes:", len(set(ends)) == 1)
    assert len(set(ends)) == 1
