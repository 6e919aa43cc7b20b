"""Train and evaluate again, and compare every output's bytes with those that the committed dvc.lock records."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from replica.commands.git import git
from replica.commands.verify import differences, scratch, witnesses
from replica.commands.verify.differences import Difference, Side
from replica.commands.verify.record import Record
from replica.common import kernels
from replica.common.errors import UserError
from replica.report import witnesses as records
from replica.report.witnesses import ALIKE, OTHER, SAME

STATUS = {SAME: 0, ALIKE: 3, OTHER: 1}
SAMPLE = "sample"
GONE = "if dvc.yaml has no such stage any more, take it out of dvc.lock; else run `dvc repro` and commit dvc.lock"
SHOWN = 6  # of what is newer than dvc.lock


@dataclass(frozen=True)
class Found:
    """What a verification found.

    `stages` are those compared, `scores` those of variants that have other bytes, `others` the files whose other
    figures are other results. `apart` has a line for each thing that sets this machine or commit apart from the
    record's `witnesses`, those that have seen all of the stages or the first that differs; `digests` are ours.
    """

    commit: str
    targets: list[str]
    stages: list[str]
    differing: list[Difference]
    scores: list[Any] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    apart: list[str] = field(default_factory=list)
    witnesses: int = 0
    digests: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def outcome(self) -> str:
        if not self.differing:
            return SAME
        return OTHER if self.others or not all(score.same for score in self.scores) else ALIKE

    @property
    def status(self) -> int:
        return STATUS[self.outcome]

    @property
    def warning(self) -> str:
        return kernels.cpu().warning


def verify(targets: list[str], everything: bool = False, jobs: int | None = None) -> Found:
    """Run the targets' stages in a scratch clone of HEAD, and compare.

    Parameters
    ----------
    targets
        Stages, groups, variants or searches; the quick start's report where there are none.
    everything
        All of dvc.lock instead.
    jobs
        How many stages run at once; as many as there are cores if None.

    Raises
    ------
    UserError
        Where this is no project with a committed dvc.lock, it records no such target, or a stage fails.
    """
    root, record = Path.cwd(), Record(committed())
    asked = [] if everything else targets or [SAMPLE]
    names = record.named(asked)
    with scratch.clone(root) as folder:
        scratch.prepare(root, folder, record, record.plan(names or list(record.stages)))
        scratch.reproduce(folder, names, jobs)
        return compared(root, folder, record, asked, names)


def written(targets: list[str], everything: bool = False) -> Found:
    """Compare what has just been written here, by the dvc.lock that lies here, with the committed one.

    Raises
    ------
    UserError
        As `verify`, and where no readable dvc.lock lies here.
    """
    root, text = Path.cwd(), committed()
    record = Record(text)
    asked = [] if everything else targets or [SAMPLE]
    names = record.named(asked)
    if not (root / "dvc.lock").exists():
        raise UserError("dvc.lock: no such file here; run `dvc repro`, which writes it")
    if (root / "dvc.lock").read_text().strip() == text:  # which spares reading thousands of lines once more
        return Found(head(root), asked, record.plan(names or list(record.stages)), [])
    return compared(root, root, record, asked, names)


def compared(root: Path, folder: Path, record: Record, targets: list[str], names: list[str]) -> Found:
    """Compare the stages of one dvc.lock, in a folder with its outputs, with the committed one."""
    lock = Record((folder / "dvc.lock").read_text())
    for name in record.plan(names or list(record.stages)):
        # A stage that dvc.yaml no longer has keeps its entry, which a clone would hold against itself.
        made = root == folder or all((folder / path).exists() for path in record.outs(name))
        if name not in lock.stages or not made:
            raise UserError(f"{name}: recorded in HEAD's dvc.lock, and not made here; {GONE}")
    stages = lock.plan(names or list(lock.stages))
    seen = [witness for witness in witnesses.committed(root) if witnesses.current(witness, record)]
    recorded, ours = Side(record, root, witnesses.listings(seen)), Side(lock, folder)
    differing = differences.find(recorded, ours, stages)
    digests = differences.digests(ours, stages)
    of = {differing[0].stage} if differing else {*stages}
    seen = [witness for witness in seen if of <= witness["digests"].keys()]
    if not differing:
        return Found(head(root), targets, stages, [], witnesses=len(seen), digests=digests)
    from replica.commands.verify import results  # half a second of SciPy

    scores, others = results.judge(root, folder, differing)
    trained = results.computed(root, folder, differing)
    apart = [*newer(record, lock, stages), *trained, *witnesses.apart(witnesses.machine(), seen)]
    return Found(head(root), targets, stages, differing, scores, others, apart, len(seen), digests)


def newer(record: Record, lock: Record, stages: list[str]) -> list[str]:
    """Code and parameters that have changed since dvc.lock was written: reasons of another kind than a machine's."""
    changed = sorted(
        {
            key
            for name in stages
            for before, after in [(record.inputs(name), lock.inputs(name))]
            for key in after
            if before.get(key) != after[key]
        }
    )
    if not changed:
        return []
    listed = ", ".join(changed[:SHOWN]) + (f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else "")
    return [f"dvc.lock is older than the commit's {listed}: run `dvc repro` and commit it"]


def committed() -> str:
    """HEAD's dvc.lock."""
    root = Path.cwd()
    if not (root / "dvc.yaml").exists():
        raise UserError(f"{root}/dvc.yaml: no such file; run from the project's root")
    text = differences.committed_text(root, "dvc.lock")
    if not text:
        raise UserError("dvc.lock: not in HEAD, so there is nothing to hold bytes to; run `dvc repro` and commit it")
    return text


def head(root: Path) -> str:
    return git(root, "rev-parse", "HEAD")


def record(found: Found, who: str | None) -> Path:
    """Write what was found to witnesses/."""
    content = {
        "machine": witnesses.machine(),
        "commit": found.commit,
        "targets": found.targets,
        "outcome": found.outcome,
        "digests": found.digests,
    }
    return witnesses.write(Path.cwd(), content, who)


def matrix() -> str:
    """The table of the witnesses as they lie here."""
    lock = Record(committed())
    return records.matrix(records.rows(records.read(Path.cwd()), lambda record: witnesses.holds(record, lock)))
