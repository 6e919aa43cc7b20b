"""DVC remotes that are servers: sshd and an S3 service, each on loopback, from a folder of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SECRET = "a-secret-that-no-file-may-have"


@dataclass
class Remote:
    """Where it is, what `.dvc/config` says of it, and what a machine must have in its environment to reach it."""

    url: str
    options: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


def free() -> int:
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        return int(link.getsockname()[1])


def listening(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until somebody listens there."""
    for _ in range(150):
        assert process.poll() is None, process.args
        with socket.socket() as link:
            if link.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(f"nothing listens at {port}")


@contextmanager
def s3(folder: Path) -> Iterator[Remote]:
    """moto's server, which speaks S3 over HTTP."""
    import boto3

    port = free()
    with (folder / "s3.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log
        )
    try:
        listening(port, process)
        keys = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}
        address = f"http://127.0.0.1:{port}"
        boto3.client(
            "s3",
            endpoint_url=address,
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        ).create_bucket(Bucket="lab")
        yield Remote("s3://lab/replica", {"endpointurl": address}, keys)
    finally:
        process.kill()
        process.wait()


def no_sshd() -> str:
    """Why there is no sshd; empty where there is."""
    return "" if shutil.which("sshd", path="/usr/sbin:/usr/bin") else "no sshd: apt-get install openssh-server"


@contextmanager
def sshd(folder: Path) -> Iterator[tuple[int, Path]]:
    """OpenSSH's server, which lets one key in; gives its port and the key's file."""
    Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    port = free()
    (folder / "conf").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        f"PasswordAuthentication no\nUsePAM no\nStrictModes no\nPidFile {folder}/pid\n"
        "Subsystem sftp internal-sftp\nAcceptEnv *\n"
    )
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "conf")], stdout=log, stderr=log)
    try:
        listening(port, process)
        yield port, folder / "user"
    finally:
        process.kill()
        process.wait()


@contextmanager
def ssh(folder: Path) -> Iterator[Remote]:
    """A folder behind sshd."""
    with sshd(folder) as (port, key):
        (folder / "store").mkdir()
        options = {"user": os.environ.get("USER", "root"), "port": str(port), "keyfile": str(key)}
        yield Remote(f"ssh://127.0.0.1{folder}/store", options)
