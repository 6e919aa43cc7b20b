"""Two revisions, variant by variant: what was changed, and whether the test accuracies differ beyond noise."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from replica.commands.compare import paired
from replica.commands.compare.revisions import WORKSPACE, Accuracy, Revision, Variant, flat, opened, read
from replica.common.errors import UserError

SAME, NOT_RUN, NOT_SCORED = "same bytes", "not run", "not scored"
SOURCES = ("mirrors", "md5", "sha256")  # of a dataset: where it comes from, and what it hashes to


@dataclass(frozen=True)
class Change:
    """A parameter by its dotted name, and its values; `...` where it has none."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Row:
    """One variant in two revisions.

    `difference` is a share from -1 to 1, `seeds` has that of each seed in both revisions. `paired` is None where no
    predictions were compared; `p` is its p value corrected for the number of variants.
    """

    variant: str
    before: Accuracy | None
    after: Accuracy | None
    verdict: str = ""
    difference: float | None = None
    paired: paired.Paired | None = None
    p: float | None = None
    seeds: dict[int, float] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def unchanged(self) -> bool:
        return self.verdict in (SAME, NOT_RUN) and not self.changes and not self.notes


@dataclass(frozen=True)
class Comparison:
    """Rows by the size of their difference; then those without one, and those that are the same."""

    before: Revision
    after: Revision
    rows: list[Row]

    @property
    def tested(self) -> int:
        """The number of variants that p values are corrected for."""
        return sum(row.p is not None for row in self.rows)


def compare(before: str, after: str = WORKSPACE) -> Comparison:
    """Compare every variant of two revisions.

    Parameters
    ----------
    before, after
        As DVC takes them: a branch, tag, commit, experiment, or `workspace`.

    Raises
    ------
    UserError
        Where this is no DVC repository, a revision does not exist, or it has no scores.
    """
    with opened() as repo:
        old, new = read(repo, before), read(repo, after)
        names = {**new.variants, **old.variants}
        rows = judged([compare_variant(old.variants.get(name), new.variants.get(name)) for name in names])
    rows.sort(key=lambda row: (row.unchanged, row.verdict == SAME, row.difference is None, -abs(row.difference or 0)))
    return Comparison(old, new, rows)


def compare_variant(old: Variant | None, new: Variant | None) -> Row:
    """Compare one variant; where predictions are compared, the verdict waits for every variant's p value."""
    declared = [each for each in (old, new) if each]
    before, after = (each.accuracy if each and each.outdated != "model" else None for each in (old, new))
    row = Row(declared[0].name, before, after)
    if old and new:
        row.changes.extend(changes(old.settings, new.settings))
    late = "model" in {each.outdated for each in declared}
    if not row.before and not row.after and not late:
        return replace(row, verdict=NOT_RUN)
    row.notes.extend(note for each in declared for note in stale(each))
    if late:
        return replace(row, verdict=NOT_SCORED)
    if not (old and new and row.before and row.after):
        return replace(row, verdict="gone" if row.before else "new")
    if old.data is None or old.data != new.data:
        if old.dataset == new.dataset:
            row.changes.extend(changes(choices(old), choices(new)))
        if old.test_set != new.test_set:
            return replace(row, verdict="other data")
    if old.models and old.models == new.models:
        return replace(row, verdict=SAME, difference=0.0)
    return compare_predictions(row, old, new)


def compare_predictions(row: Row, old: Variant, new: Variant) -> Row:
    """Compare the predictions of the seeds in both revisions; where there are none, the intervals."""
    seeds = sorted(old.right.keys() & new.right.keys())
    lacking = [each for each in (old, new) if not each.right]
    for each in lacking:
        row.notes.append(f"intervals alone: no predictions in {each.rev}'s metrics; there `dvc repro`")
    if not seeds and not lacking:
        row.notes.append("intervals alone: no seed in both revisions")
    if not seeds:
        return by_intervals(row)
    if old.right.keys() != new.right.keys():
        row.notes.append(f"on the seeds of both: {', '.join(map(str, seeds))}")
    before, after = (np.array([each.right[seed] for seed in seeds]) for each in (old, new))
    if before.shape != after.shape:
        raise UserError(f"{row.variant}: {before.shape[1]} test images at {old.rev}, {after.shape[1]} at {new.rev}")
    each_seed = (after.mean(axis=1) - before.mean(axis=1)).tolist()
    pair = paired.compare(before, after)
    return replace(row, difference=pair.difference, paired=pair, seeds=dict(zip(seeds, each_seed, strict=True)))


def by_intervals(row: Row) -> Row:
    """Without predictions: a difference only where the two intervals share no value."""
    assert row.before and row.after
    verdict = "better" if row.after[1] > row.before[2] else "worse" if row.after[2] < row.before[1] else "within noise"
    return replace(row, verdict=verdict, difference=row.after[0] - row.before[0])


def judged(rows: list[Row]) -> list[Row]:
    """Give the compared predictions their verdicts, by p values corrected for their number."""
    corrected = iter(paired.holm([row.paired.p for row in rows if row.paired]))
    return [verdict(row, row.paired.difference, next(corrected)) if row.paired else row for row in rows]


def verdict(row: Row, difference: float, p: float) -> Row:
    """Beyond noise is what chance in the images does not explain, and no other seed turns round."""
    if p >= 1 - paired.CONFIDENCE:
        return replace(row, verdict="within noise", p=p)
    if min(row.seeds.values()) < 0 < max(row.seeds.values()):
        row.notes.append(f"seeds disagree: {', '.join(map(signed, row.seeds.values()))}")
        return replace(row, verdict="within noise", p=p)
    return replace(row, verdict="better" if difference > 0 else "worse", p=p)


def stale(variant: Variant) -> list[str]:
    """Whether a revision has not run what it declares."""
    newer = f"{variant.outdated} newer than the scores" if variant.outdated else ""
    lacks = newer if variant.accuracy else "no scores"
    return [f"{lacks} at {variant.rev}: `dvc repro evaluate@{variant.name}`"] if lacks else []


def choices(variant: Variant) -> dict[str, Any]:
    """A dataset's parameters by their full names, but for where it comes from and what it hashes to."""
    return flat(
        {key: value for key, value in variant.declared.items() if key not in SOURCES}, f"datasets.{variant.dataset}"
    )


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """What differs between two flat dictionaries."""
    pairs = ((name, before.get(name, ...), after.get(name, ...)) for name in {**before, **after})
    return [Change(*pair) for pair in pairs if pair[1] != pair[2]]


def signed(value: float) -> str:
    """A difference as the tables have it: +0.0100, −0.0020."""
    return f"{value:+.4f}".replace("-", "−")
