"""The experiments that start from a commit: each beside its scores and the settings it changed, within 100 columns."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from replica.commands import overview
from replica.commands.compare.compare import Change, changes, signed
from replica.commands.compare.revisions import WORKSPACE, Accuracy, Revision, Variant, content, opened, read
from replica.commands.compare.tables import NONE, ended, parameter, sentence
from replica.common.errors import UserError
from replica.common.files import as_json
from replica.report.environment import environment

if TYPE_CHECKING:
    from dvc.repo import Repo

HEADER = ("experiment", "variant", "test", "difference", "validation", "changed")


@dataclass(frozen=True)
class Result:
    """One variant of one experiment.

    `test` is the test accuracy with its 95% interval, `difference` that to the commit's, `validation` the mean accuracy
    on validation images; None where there is none, as of a sweep's trials, which leave the test images alone, or where
    scores are older than what they would be of.
    """

    experiment: str
    variant: str
    test: Accuracy | None
    difference: float | None
    validation: float | None
    changes: list[Change]


def experiments(rev: str = "HEAD") -> list[Result]:
    """What the experiments of a commit changed and reached, the oldest first; then the files as they lie.

    Variants that are as the commit has them are left out.

    Raises
    ------
    UserError
        Where this is no DVC repository, there is no such revision, or it has no scores.
    """
    from dvc.repo.experiments.utils import exp_refs_by_baseline

    with opened() as repo:
        baseline = read(repo, rev)
        commit = baseline.commit or repo.scm.get_rev()
        made = []
        for ref in exp_refs_by_baseline(repo.scm, {commit}).get(commit, []):
            sha = repo.scm.get_ref(str(ref))
            made.append((repo.scm.resolve_commit(sha).commit_time, ref.name, sha))
        found = []
        for _, name, sha in sorted(made):
            found += results(repo, baseline, name, sha)
        return found + results(repo, baseline, WORKSPACE, WORKSPACE)


def results(repo: Repo, baseline: Revision, name: str, rev: str) -> list[Result]:
    """What one experiment did to each variant that it changed."""
    found = []
    for each in read(repo, rev, scored=False).variants.values():
        before = baseline.variants.get(each.name)
        same = before and (before.settings, before.models) == (each.settings, each.models)
        if same and each.outdated != "model":
            continue
        if not before and not each.accuracy:
            continue
        test = None if each.outdated else each.accuracy
        both = (before and before.accuracy, test)
        found.append(
            Result(
                experiment=name,
                variant=each.name,
                test=test,
                difference=both[1][0] - both[0][0] if both[0] and both[1] else None,
                validation=validation(repo, rev, each),
                changes=changes(before.settings, each.settings) if before else [],
            )
        )
    return found


def validation(repo: Repo, rev: str, variant: Variant) -> float | None:
    """The mean accuracy on validation images: the scores', or what a sweep's trial left where there are none."""
    with repo.switch(rev):
        score = json.loads(content(repo, f"metrics/{variant.name}.json") or "{}")
        if score:
            return None if variant.outdated else (score.get("validation") or {}).get("accuracy")
        live = json.loads(content(repo, f"live/{variant.name}/metrics.json") or "{}")
    reached = [run["validation"]["accuracy"] for run in live.values() if isinstance(run, dict) and "validation" in run]
    return sum(reached) / len(reached) if reached else None


def told(rev: str, as_markdown: bool, as_json: bool) -> str:
    """Print the table, or return Markdown or JSON."""
    if as_markdown and as_json:
        raise UserError("replica experiments: got --json and --markdown; allowed: one of them")
    found = experiments(rev)
    if as_markdown or as_json:
        return (dump(found) if as_json else markdown(found)) + "\n"
    show(found)
    return ""


def show(found: list[Result]) -> None:
    """Print a table within 100 columns, or the terminal's; a setting a line."""
    console = overview.console()
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name in HEADER:
        table.add_column(name, no_wrap=name != "changed", overflow="fold" if name == "changed" else "ellipsis")
    for result in found:
        table.add_row(*map(Text, cells(result)), Text("\n".join(map(sentence, result.changes))))
    console.print(table if found else "no experiments of this commit, and nothing changed", highlight=False,
                  width=min(console.width, overview.WIDTH))  # fmt: skip


def cells(result: Result) -> list[str]:
    """The figures of a row."""
    test, difference, held = result.test, result.difference, result.validation
    return [
        result.experiment,
        result.variant,
        f"{test[0]:.4f}" if test else NONE,
        NONE if difference is None else signed(difference),
        NONE if held is None else f"{held:.4f}",
    ]


def markdown(found: list[Result]) -> str:
    """The same as a Markdown table."""
    rows = [(cells(result), [f"`{sentence(change)}`" for change in result.changes]) for result in found]
    return environment(Path(__file__).parent).get_template("experiments.md").render(header=HEADER, rows=rows).rstrip()


def dump(found: list[Result]) -> str:
    """The same as JSON, the test accuracy with its interval."""
    entries: list[dict[str, Any]] = [
        {
            "experiment": result.experiment,
            "variant": result.variant,
            "test": ended(result.test),
            "difference": result.difference,
            "validation": result.validation,
            "parameters": [parameter(change) for change in result.changes],
        }
        for result in found
    ]
    return json.dumps(as_json(entries), indent=2, ensure_ascii=False)
