"""A real Kubernetes of one node on this machine: the programs themselves, with dask's operator beside.

`tests/kubernetes.sh` makes the programs that Debian has only as source.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml
from slurm import free, wait

BUILT = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "pause")
PROGRAMS = ("etcd", "containerd", "runc", "iptables", "conntrack", "ip", "openssl", "kubectl", "ctr")
PLUGINS = Path("/usr/lib/cni")
OPERATOR = Path(sysconfig.get_path("purelib")) / "dask_kubernetes" / "operator"
PODS, SERVICES, NAMES = "10.244.0.0/24", "10.96.0.0/24", "10.97.0.10"
TOKEN = "token"  # of a cluster that only this machine reaches
PAUSE = "test/pause:1"
CONTAINERD = """
version = 2
root = "{folder}/containerd"
state = "{folder}/run"
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/{pause}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{folder}/cni"
"""


def reason() -> str:
    """Why there can be none here; empty where there can."""
    if os.getuid():
        return "kubelet wants root"
    if lacking := [name for name in PROGRAMS if not shutil.which(name)]:
        return f"no {' '.join(lacking)}: see tests/kubernetes.sh"
    if lacking := [name for name in BUILT if not (programs() / name).exists()]:
        return f"no {' '.join(lacking)} in {programs()}: `tests/kubernetes.sh FOLDER` makes them; KUBERNETES=FOLDER"
    if not OPERATOR.is_dir():
        return "no dask_kubernetes: make cluster"
    return "" if PLUGINS.is_dir() else f"no {PLUGINS}: apt-get install containernetworking-plugins"


def programs() -> Path:
    return Path(os.environ.get("KUBERNETES", "/opt/kubernetes"))


class Kubernetes:
    """What tests ask of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configuration = folder / "kubeconfig"
        self.started: list[subprocess.Popen[bytes]] = []
        self.declared = self.operated = False

    def start(self, name: str, *words: object, **environment: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            found = programs() / name if name in BUILT else shutil.which(name)
            command = [str(found), *map(str, words)]
            self.started.append(
                subprocess.Popen(
                    command, env={**os.environ, **environment}, stdout=log, stderr=log, stdin=subprocess.DEVNULL
                )
            )

    def run(self, *words: object, given: str | None = None) -> str:
        """`kubectl`."""
        command = ["kubectl", "--kubeconfig", str(self.configuration), *map(str, words)]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        assert not done.returncode, f"{command}: {done.stderr}"
        return done.stdout

    def get(self, *words: str) -> list[dict]:
        return json.loads(self.run("get", *words, "-o", "json"))["items"]

    def load(self, archive: Path) -> str:
        """Take an image from an archive, as `podman save` and `buildah push` write one; its name."""
        words = ["ctr", "-a", str(self.folder / "containerd.sock"), "-n", "k8s.io", "images", "import", str(archive)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert not done.returncode, done.stderr
        return done.stdout.split()[1]  # of "unpacking NAME (sha256:…)..."

    def declare(self) -> None:
        """Once, the kinds that dask's operator wants to be known."""
        if self.declared:
            return
        self.declared = True
        for file in sorted(OPERATOR.glob("deployment/helm/*/crds/*.yaml")):
            self.run("create", "-f", file)

    def operate(self) -> None:
        """Start dask's operator, once: as a program, which a real cluster has in a pod."""
        if self.operated:
            return
        self.operated = True
        with (self.folder / "operator.log").open("wb") as log:
            command = [
                sys.executable,
                "-m",
                "kopf",
                "run",
                "--standalone",
                "-A",
                str(OPERATOR / "controller/controller.py"),
            ]
            environment = {**os.environ, "KUBECONFIG": str(self.configuration)}
            self.started.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))


@contextmanager
def running(folder: Path) -> Iterator[Kubernetes]:
    """Start Kubernetes, wait until its node is ready; stop it, and all pods, at the end."""
    kubernetes = Kubernetes(folder)
    api, store, peers, names = free(), free(), free(), socket.gethostname()
    network(folder)
    shell("ip", "address", "replace", f"{NAMES}/32", "dev", "lo")
    for setting in ("net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"):
        with suppress(FileNotFoundError):
            Path("/proc/sys", setting).write_text("1")
    (folder / "containerd.toml").write_text(CONTAINERD.format(folder=folder, pause=PAUSE, plugins=PLUGINS))
    shell("openssl", "genrsa", "-out", folder / "accounts.key", "2048")
    (folder / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
    address, certificate = f"https://127.0.0.1:{api}", folder / "api" / "apiserver.crt"
    try:
        kubernetes.start("containerd", "--config", folder / "containerd.toml")
        urls = [f"http://127.0.0.1:{port}" for port in (store, peers)]
        words = ["--data-dir", folder / "etcd", "--listen-client-urls", urls[0], "--advertise-client-urls", urls[0]]
        words += ["--listen-peer-urls", urls[1], "--initial-advertise-peer-urls", urls[1]]
        kubernetes.start("etcd", *words, "--initial-cluster", f"default={urls[1]}", "--unsafe-no-fsync")
        key = folder / "accounts.key"
        kubernetes.start(
            "kube-apiserver",
            *("--etcd-servers", urls[0], "--secure-port", api, "--bind-address", "127.0.0.1"),
            *(
                "--advertise-address",
                own_address(),
                "--cert-dir",
                folder / "api",
                "--token-auth-file",
                folder / "tokens.csv",
            ),
            *("--service-cluster-ip-range", SERVICES, "--authorization-mode", "RBAC", "--allow-privileged=true"),
            *("--service-account-key-file", key, "--service-account-signing-key-file", key),
            *("--service-account-issuer", address, "--disable-admission-plugins", "ServiceAccount"),
        )
        wait(certificate.exists, 60)
        configure(kubernetes.configuration, address, certificate)
        wait(lambda: kubernetes.run("get", "--raw", "/readyz") == "ok", 60)
        there = ["--kubeconfig", kubernetes.configuration]
        kubernetes.start(
            "kube-controller-manager",
            *there,
            "--service-account-private-key-file",
            key,
            "--port",
            "0",
            "--secure-port",
            free(),
        )
        kubernetes.start("kube-scheduler", *there, "--port", "0", "--secure-port", free())
        kubernetes.start("kube-proxy", *there, "--cluster-cidr", PODS, "--hostname-override", names)
        shell("ctr", "-a", folder / "containerd.sock", "version", patient=True)
        kubernetes.load(pause(folder))
        (folder / "kubelet.yaml").write_text(yaml.safe_dump(kubelet(folder)))
        words = ["--config", folder / "kubelet.yaml", "--root-dir", folder / "kubelet", "--container-runtime", "remote"]
        words += ["--container-runtime-endpoint", f"unix://{folder}/containerd.sock", "--hostname-override", names]
        kubernetes.start("kubelet", *there, *words)
        wait(lambda: ready(kubernetes), 120)
        with answering(kubernetes):
            yield kubernetes
    finally:
        with suppress(AssertionError):
            kubernetes.run("delete", "daskclusters,deployments,pods", "--all", "--wait=true", "--timeout=40s")
        for process in reversed(kubernetes.started):
            process.terminate()
        for process in reversed(kubernetes.started):
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
        tidy(folder)


def shell(*words: object, patient: bool = False) -> None:
    def done() -> bool:
        return not subprocess.run([str(word) for word in words], capture_output=True, check=False).returncode

    if patient:
        wait(done, 60)
    else:
        assert done(), words


def own_address() -> str:
    """This machine's, as a pod sees it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.connect(("192.0.2.1", 9))  # a datagram's connection sends nothing
        return str(link.getsockname()[0])


def network(folder: Path) -> None:
    (folder / "cni").mkdir()
    addresses = {"type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]}
    addresses["dataDir"] = str(folder / "addresses")
    bridge = {"type": "bridge", "bridge": "replica0", "isGateway": True, "ipMasq": True, "hairpinMode": True}
    plugins = [{**bridge, "ipam": addresses}]
    (folder / "cni" / "10.conflist").write_text(
        json.dumps({"cniVersion": "0.4.0", "name": "replica", "plugins": plugins})
    )


def configure(file: Path, address: str, certificate: Path) -> None:
    cluster = {"server": address, "certificate-authority": str(certificate)}
    file.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "test", "cluster": cluster}],
                "users": [{"name": "admin", "user": {"token": TOKEN}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin", "namespace": "default"}}],
                "current-context": "test",
            }
        )
    )


def kubelet(folder: Path) -> dict:
    (folder / "resolv.conf").write_text("")
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "address": "127.0.0.1",
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": True,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "clusterDNS": [NAMES],
        "clusterDomain": "cluster.local",
        "resolvConf": str(folder / "resolv.conf"),
        "evictionHard": {"memory.available": "100Mi"},
        "healthzPort": 0,
        "readOnlyPort": 0,
    }


def ready(kubernetes: Kubernetes) -> bool:
    states = [each for node in kubernetes.get("nodes") for each in node["status"]["conditions"]]
    return any(each["type"] == "Ready" and each["status"] == "True" for each in states)


def pause(folder: Path) -> Path:
    """The image of the process that holds a pod's network, as `docker save` would write it."""
    tree = folder / "pause"
    (tree / "root").mkdir(parents=True)
    shutil.copy(programs() / "pause", tree / "root")
    shell("tar", "-C", tree / "root", "-cf", tree / "layer.tar", "pause")
    digest = hashlib.sha256((tree / "layer.tar").read_bytes()).hexdigest()
    config = {"architecture": "amd64", "os": "linux", "config": {"Entrypoint": ["/pause"]}}
    config["rootfs"] = {"type": "layers", "diff_ids": [f"sha256:{digest}"]}
    (tree / "config.json").write_text(json.dumps(config))
    listed = [{"Config": "config.json", "RepoTags": [f"docker.io/{PAUSE}"], "Layers": ["layer.tar"]}]
    (tree / "manifest.json").write_text(json.dumps(listed))
    shell("tar", "-C", tree, "-cf", folder / "pause.tar", "manifest.json", "config.json", "layer.tar")
    return folder / "pause.tar"


@contextmanager
def answering(kubernetes: Kubernetes) -> Iterator[None]:
    """The cluster's names: of services, as the API knows them; a real cluster has CoreDNS."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind((NAMES, 53))

        def answer() -> None:
            while True:
                try:
                    asked, client = link.recvfrom(512)
                except OSError:
                    return
                if not asked:  # the end
                    return
                link.sendto(answered(kubernetes, asked), client)

        threading.Thread(target=answer, daemon=True).start()
        try:
            yield
        finally:
            with suppress(OSError):  # it has no peer, but the thread that waits wakes up
                link.shutdown(socket.SHUT_RDWR)


def answered(kubernetes: Kubernetes, asked: bytes) -> bytes:
    """An answer of DNS (RFC 1035, section 4): a service's address, or that there is no such name."""
    labels, place = [], 12
    while length := asked[place]:
        labels.append(asked[place + 1 : place + 1 + length].decode())
        place += 1 + length
    question, kind = asked[12 : place + 5], int.from_bytes(asked[place + 1 : place + 3])
    found = b""
    if labels[2:] == ["svc", "cluster", "local"]:
        with suppress(AssertionError):
            service = json.loads(kubernetes.run("get", "service", labels[0], "-n", labels[1], "-o", "json"))
            found = socket.inet_aton(service["spec"]["clusterIP"])
    flags = b"\x85\x80" if found else b"\x85\x83"
    records = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04" + found if found and kind == 1 else b""
    return asked[:2] + flags + b"\x00\x01" + bytes([0, bool(records)]) + b"\x00" * 4 + question + records


def tidy(folder: Path) -> None:
    """What the programs leave: containers, mounts, rules, the bridge."""
    for line in subprocess.run(
        ["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines():
        pid, words = line.split(maxsplit=1)
        if "containerd-shim" in words and str(folder) in words:
            subprocess.run(["kill", "-9", pid], check=False)
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((each for each in mounts if each.startswith(str(folder))), reverse=True):
        subprocess.run(["umount", "-l", mount], check=False)
    subprocess.run([programs() / "kube-proxy", "--cleanup"], capture_output=True, check=False)
    for words in (["link", "delete", "replica0"], ["address", "delete", f"{NAMES}/32", "dev", "lo"]):
        subprocess.run(["ip", *words], capture_output=True, check=False)
