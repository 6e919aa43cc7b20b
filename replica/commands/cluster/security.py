"""Certificates: who has the key may run any code on the workers, so it stands in no log and on no command line."""

from __future__ import annotations

import json
import os
from ipaddress import ip_address
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

from replica.common.errors import UserError

if TYPE_CHECKING:
    from distributed import Security

ROLES = ("client", "scheduler", "worker")
KEYS = ("ca_file", "cert", "key")  # as dask calls what is in
KEPT = ("ca.pem", "cert.pem", "key.pem")
CONFIGURATION = "distributed.yaml"


def temporary() -> Security:
    """A certificate of this run's own, in memory."""
    from distributed import Security

    return Security.temporary()


def of(address: str, insecure: bool = False) -> Security | None:
    """What reaches a scheduler: dask's configured certificate for TLS, nothing for this machine's own.

    Raises
    ------
    UserError
        Where it is no address, another machine's is asked for without TLS, or no certificate is configured.
    """
    from distributed import Security

    try:
        parts = urlsplit(address)
        whole = parts.scheme in ("tls", "tcp") and parts.hostname and parts.port
    except ValueError:  # a port that is no number, half an address in brackets
        whole = None
    if not whole:
        raise UserError(f"{address}: an address is tls://HOST:PORT, or tcp://HOST:PORT")
    if parts.scheme == "tls":
        found = Security()
        if not found.get_tls_config_for_role("client")["cert"]:
            raise UserError(
                f"{address}: no certificate in dask's configuration (distributed.comm.tls): "
                "`replica certificates FOLDER` makes one; then DASK_CONFIG=FOLDER for all that take part"
            )
        return found
    if not (loopback(parts.hostname or "") or insecure):
        raise UserError(
            f"{address}: without TLS, whoever reaches it runs code on the workers; take tls:// "
            "(`replica certificates FOLDER` makes a certificate), or say --insecure"
        )
    return None


def loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def written(certificate: Security) -> str:
    """A certificate as a line of text, for `read`."""
    roles = {role: certificate.get_tls_config_for_role(role) for role in ROLES}
    return json.dumps(roles) + "\n"


def read(line: str) -> Security:
    """What `written` wrote."""
    from distributed import Security

    try:
        roles = json.loads(line)
        options: dict[str, Any] = {"tls_ca_file": roles["worker"]["ca_file"], "require_encryption": True}
        for role in ROLES:
            options |= {f"tls_{role}_cert": roles[role]["cert"], f"tls_{role}_key": roles[role]["key"]}
        return Security(**options)
    except (ValueError, KeyError, TypeError):
        raise UserError("--key: not a certificate as `replica repro --cluster ssh` sends it") from None


def make(folder: Path, settings: dict[str, Any]) -> list[Path]:
    """Write a new certificate and key, and dask's configuration that names them, with `settings` besides.

    Raises
    ------
    UserError
        Where the folder has one of these files already.
    """
    place = folder.resolve()
    written = files(temporary(), place, settings)
    if taken := [folder / name for name in (*KEPT, CONFIGURATION) if (folder / name).exists()]:
        raise UserError(f"{taken[0]}: there already; whoever uses it goes on with it: take another folder")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name in KEPT:
        handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as opened:
            opened.write(written[name])
    (folder / CONFIGURATION).write_text(written[CONFIGURATION])
    return [folder / name for name in (*KEPT, CONFIGURATION)]


def files(certificate: Security, place: PurePath, settings: dict[str, Any]) -> dict[str, str]:
    """The texts of `KEPT` and of dask's configuration, which finds them in `place` and has `settings` besides."""
    declared: dict[str, Any] = {}
    paths = {key: str(place / name) for key, name in zip(KEYS, KEPT, strict=True)}
    pair = {key: paths[key] for key in ("cert", "key")}
    tls = {"ca-file": paths["ca_file"], **dict.fromkeys(ROLES, pair)}
    for name, value in {"distributed.comm.tls": tls, "distributed.comm.require-encryption": True, **settings}.items():
        *outer, last = name.split(".")
        inner = declared
        for part in outer:
            inner = inner.setdefault(part, {})
        inner[last] = value
    made = certificate.get_tls_config_for_role("worker")
    texts = {name: made[key] for key, name in zip(KEYS, KEPT, strict=True)}
    return {**texts, CONFIGURATION: yaml.dump(declared, Dumper=_Plain, sort_keys=False)}


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True
