"""Several hosts on one machine: network namespaces with addresses, folders and disks of their own, on one bridge."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NET = "10.77.0"


def reason() -> str:
    """Why there can be none here; empty where there can."""
    if os.getuid():
        return "network namespaces want root"
    if not shutil.which("ip"):
        return "no ip: apt-get install iproute2"
    return ""


def ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=True)


class Host:
    """One of them."""

    def __init__(self, name: str, address: str, folder: Path) -> None:
        self.name, self.address, self.folder = name, address, folder
        self.started: list[subprocess.Popen[bytes]] = []
        self.disks: list[Path] = []
        folder.mkdir()

    def start(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a program there, in a group of its own, with its output in the folder's `log`."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.name, *command],
                cwd=self.folder,
                env={**os.environ, "HOME": str(self.folder), **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def kill(self) -> None:
        """End everything that runs there, at once."""
        listed = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False)
        for pid in listed.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        for process in self.started:
            process.wait()
        self.started.clear()

    def cut(self) -> None:
        ip("link", "set", f"v{self.name}", "down")

    def mend(self) -> None:
        ip("link", "set", f"v{self.name}", "up")

    def disk(self, size: str) -> Path:
        """A small disk of its own."""
        place = self.folder / "disk"
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True)
        self.disks.append(place)
        return place


@contextmanager
def hosts(count: int, folder: Path) -> Iterator[list[Host]]:
    """Within the block so many hosts, each of which reaches the others and this machine (`NET`.1)."""
    mark = f"r{os.getpid() % 100000}"
    made = [Host(f"{mark}h{number}", f"{NET}.{number + 10}", folder / f"host-{number}") for number in range(count)]
    ip("link", "add", mark, "type", "bridge")
    try:
        ip("addr", "add", f"{NET}.1/24", "dev", mark)
        ip("link", "set", mark, "up")
        for host in made:
            ip("netns", "add", host.name)
            ip("link", "add", f"v{host.name}", "type", "veth", "peer", "name", "eth0", "netns", host.name)
            ip("link", "set", f"v{host.name}", "master", mark, "up")
            for words in (
                ("addr", "add", f"{host.address}/24", "dev", "eth0"),
                ("link", "set", "eth0", "up"),
                ("link", "set", "lo", "up"),
            ):
                ip("-n", host.name, *words)
        yield made
    finally:
        for host in made:
            host.kill()
            ip("netns", "del", host.name, check=False)
            for place in host.disks:
                subprocess.run(["umount", "--lazy", str(place)], check=False)
        ip("link", "del", mark, check=False)
