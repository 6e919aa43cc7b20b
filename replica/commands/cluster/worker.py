"""`replica worker`: a dask worker that stays, until it is told to end.

dask's own ends when its scheduler does; this one waits for the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import threading
from pathlib import Path

import dask

from replica.commands.cluster import security
from replica.commands.cluster.engines import PATIENT, resources
from replica.commands.repro.workers import LOOPBACK
from replica.common.errors import UserError

AGAIN = 2.0  # seconds between two attempts


def work(
    address: str, threads: int | None, memory: float | None, folder: Path | None, key: str | None, insecure: bool
) -> None:
    """Run stages for a scheduler, until SIGINT or SIGTERM, or the end of standard input where the key came by it.

    Parameters
    ----------
    address
        The scheduler's.
    threads
        Stages at once; as many as cores if None.
    memory
        MiB for them all; the machine's, or the container's, if None.
    folder
        On a disk of this machine, for clones, DVC's cache and models; dask's `temporary-directory` if None.
    key
        `-`: the certificate comes by standard input. None: dask's configuration has it, where the address asks for it.
    insecure
        As `--insecure` of `replica repro`.

    Raises
    ------
    UserError
        Where the address or the key is not as it must be.
    """
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    if key not in (None, "-"):
        raise UserError("--key: only -, for standard input")
    certificate = security.read(sys.stdin.readline()) if key else security.of(address, insecure)
    amounts = resources(threads or CPU_COUNT, memory * 2**20 if memory else MEMORY_LIMIT)
    settings = {**PATIENT, "distributed.worker.daemon": False}
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        settings["temporary-directory"] = str(folder)
    logging.getLogger("distributed").setLevel(logging.ERROR)
    with dask.config.set(settings):
        asyncio.run(_serve(address, certificate, amounts, stdin=bool(key)))


async def _serve(address: str, certificate: object, amounts: dict[str, float], stdin: bool) -> None:
    from distributed import Nanny

    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ending.set)
    if stdin:
        threading.Thread(target=_end_with_input, args=(loop, ending), daemon=True).start()
    print(f"worker for {address}: {amounts['threads']:g} stages at once, {amounts['memory']:,} MiB", flush=True)
    waiting = False
    while not ending.is_set():
        try:
            async with Nanny(
                address,
                nthreads=int(amounts["threads"]),
                memory_limit=0,
                resources=amounts,
                security=certificate,
                dashboard_address=LOOPBACK,
                death_timeout=30,
            ) as nanny:
                print("connected", flush=True)
                waiting = False
                done = [asyncio.ensure_future(nanny.finished()), asyncio.ensure_future(ending.wait())]
                await asyncio.wait(done, return_when=asyncio.FIRST_COMPLETED)
        except (OSError, TimeoutError, RuntimeError) as error:
            if not waiting:
                print(f"no scheduler at {address}: {' '.join(str(error).split())}; trying again", flush=True)
            waiting = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), AGAIN)


def _end_with_input(loop: asyncio.AbstractEventLoop, ending: asyncio.Event) -> None:
    while sys.stdin.read(4096):
        pass
    loop.call_soon_threadsafe(ending.set)
