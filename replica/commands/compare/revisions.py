"""A revision of the project as git holds it, read without a checkout."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from replica.commands.git import git
from replica.common import parameters, reader
from replica.common.errors import UserError
from replica.evaluation.scores import unpacked

if TYPE_CHECKING:
    from dvc.repo import Repo

WORKSPACE = "workspace"
DATA = "data/processed/"
Accuracy = tuple[float, float, float]  # a share from 0 to 1, and the ends of its 95% interval


def opened() -> Repo:
    """The DVC repository that the working folder lies in.

    Raises
    ------
    UserError
        Where it lies in none, or DVC refuses its configuration, or waits for ever for git's index.
    """
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo

    try:
        repo = Repo()
    except NotDvcRepoError:
        raise UserError(f"{Path.cwd()}: not in a DVC repository; run from the project's root") from None
    except DvcException as error:  # .dvc/config, which may name a remote of no kind
        raise UserError(" ".join(str(error).split())) from None
    if Path(repo.root_dir, ".git").exists() and git(Path(repo.root_dir), "rev-parse", "--shared-index-path"):
        raise UserError("git's index is split, which DVC cannot read; join it: git update-index --no-split-index")
    return repo


@dataclass(frozen=True)
class Variant:
    """One variant at one revision.

    Parameters
    ----------
    settings
        Its entry in params.yaml over its network and the defaults, flat, `$name` references as they stand.
    accuracy
        On the test images; None where it has not been evaluated.
    dataset, data
        The name, and the MD5 of the folder, of what it was scored on; None where dvc.lock has no scores of it.
    declared
        What datasets.yaml says of that dataset.
    models
        The MD5 of the folder of runs that it was scored from.
    right
        Which test images each seed's run has right, bool [n]; none where an older version scored it.
    outdated
        What is newer than its scores, in a word: `settings`, or the `model`; else nothing.
    """

    rev: str
    name: str
    settings: dict[str, Any]
    accuracy: Accuracy | None
    dataset: str
    data: str | None
    declared: dict[str, Any]
    models: str | None
    right: dict[int, np.ndarray]
    outdated: str

    @property
    def test_set(self) -> tuple[str | None, str | None]:
        """The declared SHA-256 of the test images and labels."""
        hashes = self.declared.get("sha256") or {}
        return hashes.get("x_test"), hashes.get("y_test")


@dataclass(frozen=True)
class Revision:
    """A revision as it was named, its commit (None: the files as they lie), and its variants."""

    name: str
    commit: str | None
    variants: dict[str, Variant]


def read(repo: Repo, rev: str, scored: bool = True) -> Revision:
    """Read a revision: a branch, tag, commit, experiment, or `workspace`; with `scored`, one that has scores.

    Raises
    ------
    UserError
        Where there is no such revision, its files are damaged, or it has no scores.
    """
    from dvc.exceptions import DvcException
    from scmrepo.exceptions import SCMError

    try:
        with repo.switch(rev) as commit:
            facts, knobs, lock = (mapping(repo, rev, file) for file in ("datasets.yaml", "params.yaml", "dvc.lock"))
            declared = {**facts, **knobs}  # before there was a datasets.yaml, they stood in params.yaml
            stages = lock.get("stages") or {}
            variants = {name: variant(repo, rev, name, declared, stages) for name in declared.get("variants") or {}}
    except (SCMError, DvcException) as error:
        raise UserError(unknown(repo, rev, error)) from None
    if scored and not any(each.accuracy for each in variants.values()):
        raise UserError(f"{rev}: no scores of any variant, metrics/VARIANT.json; run `dvc repro` there and commit them")
    return Revision(rev, None if rev == WORKSPACE else commit, variants)


def variant(repo: Repo, rev: str, name: str, declared: dict[str, Any], stages: dict[str, Any]) -> Variant:
    """One variant, at the revision that is switched to: what `evaluate` ran on, by dvc.lock, and what came of it."""
    settings = stated(declared, name)
    deps = {dep["path"]: dep.get("md5") for dep in stages.get(f"evaluate@{name}", {}).get("deps", [])}
    folder = next((path for path in deps if path.startswith(DATA)), f"{DATA}{settings.get('dataset')}")
    dataset = folder.removeprefix(DATA)
    entry = stages.get(f"train@{name}", {})
    ran = entry.get("params", {}).get("params.yaml", {})
    scored, models = deps.get(f"models/{name}"), [out.get("md5") for out in entry.get("outs", [])]
    trained: dict[str, Any] = {}
    for key, value in ran.items():
        section, _, of = key.partition(".")
        trained.setdefault(section, {}).update({of: value} if of else value)
    return Variant(
        rev=rev,
        name=name,
        settings=flat(settings),
        accuracy=accuracy(repo, rev, name),
        dataset=dataset,
        data=deps.get(folder),
        declared=(declared.get("datasets") or {}).get(dataset) or {},
        models=scored,
        right=right(repo, rev, name),
        outdated="settings"
        if ran and stated(trained, name) != settings
        else "model"
        if models and scored not in models
        else "",
    )


def stated(declared: dict[str, Any], name: str) -> dict[str, Any]:
    """A variant's settings; at a revision from before there were networks, its entry over the training defaults."""
    entry = declared["variants"][name] or {}
    if "network" not in entry:
        return {**(declared.get("training") or {}), **entry}
    settings = parameters.stated(declared, "variants", name, {})
    return {key: value for key, value in settings.items() if not key[:1].isupper()}  # the layers have said it already


def accuracy(repo: Repo, rev: str, name: str) -> Accuracy | None:
    file = f"metrics/{name}.json"
    try:
        test = json.loads(content(repo, file) or "{}").get("test")
        return (test["accuracy"], test["accuracy_low"], test["accuracy_high"]) if test else None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{rev}: {file}: no test accuracy with its interval; run `dvc repro evaluate@{name}`") from None


def right(repo: Repo, rev: str, name: str) -> dict[int, np.ndarray]:
    """Which test images each seed's run has right, as `evaluate` left it in git."""
    file = f"metrics/details/{name}.json"
    try:
        details = json.loads(content(repo, file) or "{}")
        return {int(seed): unpacked(text, details["images"]["test"]) for seed, text in details.get("right", {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{rev}: {file}: damaged; run `dvc repro evaluate@{name}`") from None


def mapping(repo: Repo, rev: str, file: str) -> dict[str, Any]:
    try:
        found = yaml.load(content(repo, file), reader.Loader)
    except yaml.YAMLError as error:
        raise UserError(f"{rev}: {file}: not YAML: {' '.join(str(error).split())}") from None
    return found if isinstance(found, dict) else {}


def content(repo: Repo, file: str) -> bytes:
    """A file's bytes at the revision that is switched to; none where it is not there."""
    try:
        with repo.fs.open(repo.fs.join(repo.root_dir, file), "rb") as opened:
            return opened.read()
    except FileNotFoundError:
        return b""


def unknown(repo: Repo, rev: str, error: Exception) -> str:
    """One line on a revision that is not found, with the nearest branch, tag or experiment."""
    from dvc.repo.experiments.utils import exp_refs
    from scmrepo.git import Git

    if not isinstance(repo.scm, Git):
        return f"{rev}: no git repository here, so no revision but `{WORKSPACE}`"
    if "ambiguous" in str(error):
        return f"{rev}: several experiments have this name; give the commit, as `dvc exp show` lists it"
    experiments = [ref.name for ref in exp_refs(repo.scm) if ref.name]
    near = get_close_matches(rev, [WORKSPACE, *repo.scm.list_branches(), *repo.scm.list_tags(), *experiments], 1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{rev}: no such revision; {hint}allowed: a branch, tag, commit, experiment, or `{WORKSPACE}`"


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Nested dictionaries, and lists of them, by dotted names; plain lists and what is empty stay whole."""
    if isinstance(value, dict) and value:
        items: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = enumerate(value)
    else:
        return {name: value}
    return {key: leaf for part, item in items for key, leaf in flat(item, f"{name}.{part}".lstrip(".")).items()}
