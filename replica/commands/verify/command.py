"""`replica verify` from its options to its exit status."""

from __future__ import annotations

import sys
from pathlib import Path

from replica.commands.verify import emulator, run, words
from replica.commands.verify.record import Record
from replica.common import kernels
from replica.common.errors import UserError


def main(
    targets: list[str],
    everything: bool,
    form: str,
    jobs: int | None,
    record: bool,
    who: str | None,
    written: bool,
    matrix: bool,
    emulate: str | None,
) -> int:
    """Do what the command line asks, and return the exit status: 0, 3 or 1, as `run.STATUS` has it.

    Raises
    ------
    UserError
        Where options contradict each other, and as `run.verify`.
    """
    if form not in words.FORMATS:
        raise UserError(f"--format: got {form!r}; allowed: {', '.join(words.FORMATS)}")
    if everything and targets:
        raise UserError(f"replica verify: got --all and {' '.join(targets)}; allowed: one of them")
    if written and (record or form != "text"):
        raise UserError("replica verify: got --written with --record or --format; allowed: --written alone")
    if emulate and (written or matrix):
        raise UserError("replica verify: got --emulate with --written or --matrix, which compute nothing; leave it out")
    if who and not record:
        raise UserError("replica verify: got --who; allowed: beside --record alone")
    if matrix:
        print(run.matrix())
        return 0
    if emulate and not kernels.cpu().emulated:
        Record(run.committed()).named(targets)  # a mistake is told before minutes of emulation
        emulator.run(emulate, Path.cwd())
    if warning := kernels.cpu().warning:
        print(f"warning: {warning}", file=sys.stderr)
    if written:
        found = run.written(targets, everything)
        print(words.headline(found))
        return found.status
    found = run.verify(targets, everything, jobs)
    print(words.say(found, form))
    if record:
        print(f"recorded in {run.record(found, who)}", file=sys.stderr)
    return found.status
