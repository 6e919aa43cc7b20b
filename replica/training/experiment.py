"""One variant, trained: its data, its seeds, its runs. The stages that train call this."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from replica.common import arrays, files, kernels, processes
from replica.common.errors import UserError
from replica.training import resume, runs, stopping
from replica.training.progress import Epochs
from replica.training.trainer import Rows, Trainer


def train(
    title: str,
    settings: dict[str, Any],
    folder: Path,
    log: Callable[[Path, Rows], None] = lambda run, rows: None,
) -> dict[int, float]:
    """Train a variant once for each seed that has no run in `folder` yet, and return the seconds by seed.

    A seed whose variant, data, code and libraries have not changed since its run was saved is kept as it is, so one
    more seed trains one more model. A run that was killed goes on from its last saved epoch.

    Parameters
    ----------
    title
        What progress lines say.
    settings
        The variant, as `replica.common.parameters.variant` returns it.
    folder
        Holds `seed-N/` for each seed N, and settings.json, which tells what follows how the runs were trained; others
        are removed.
    log
        Called with a run's folder and its rows, after each epoch; of a run that is kept, with all.

    Raises
    ------
    UserError
        Where TensorFlow has been loaded with other kernels than the variant's; where another process writes the folder,
        or has written to it.
    """
    kernels.use(settings["kernels"])
    with processes.sole(folder):
        return _train(title, settings, folder, log)


def _train(title: str, settings: dict[str, Any], folder: Path, log: Callable[[Path, Rows], None]) -> dict[int, float]:
    variant = dict(settings)
    early = variant.get("early_stopping")
    seeds, may_diverge = variant.pop("seeds"), variant.pop("may_diverge", False)  # neither decides a run's bytes
    data = arrays.load(variant["dataset"])
    parts = arrays.parts(data, variant)
    x, y = parts["train"]
    watches = "test" if variant["validation"] == "test" else "validation"
    watched = {name: part for name, part in parts.items() if name == watches}
    images = {name: part for name, (part, _) in parts.items()}

    code = {"stopping": runs.syntax(stopping)} if early else {}  # it decides a run's bytes where it is asked for
    mark = runs.fingerprint({**variant, **code}, images, data.hashes)
    seconds = {}
    missing = runs.missing(folder, seeds, mark)
    for seed in seeds:
        run = folder / f"seed-{seed}"
        if seed not in missing:
            kept = [row[:4] for row in files.history(run, seed)]
            finite(kept, f"{title}, seed {seed}", may_diverge)
            log(run, kept)
            continue
        trainer = Trainer(variant, x, y, len(data.classes), seed)
        saved = resume.Resume(run, mark)
        after, history, before, state = saved.found() or resume.Reached(0, [], 0.0, [])
        if after:
            trainer.restore(after, state)
            print(f"{title}, seed {seed}  goes on after epoch {after}/{trainer.epochs}", flush=True)
            log(run, history)
        began = time.perf_counter() - before
        with Epochs(f"{title}, seed {seed}", trainer.epochs, len(x), after) as shown:
            for rows in trainer.fit(watched, shown.step, after):
                history += rows
                shown.line(rows)
                log(run, rows)
                finite(rows, f"{title}, seed {seed}", may_diverge)
                if early and stopping.stopped(history, **early):
                    break
                saved.save(trainer, history, time.perf_counter() - began)
        seconds[seed] = time.perf_counter() - began
        runs.save(run, trainer, history, images, mark)
    if runs.missing(folder, seeds, mark):
        raise UserError(f"{folder}: another process has written to it meanwhile; run the stage again")
    resume.clear(folder)
    part = folder / ".settings.json"
    part.write_text(json.dumps(settings, indent=2) + "\n")
    part.replace(folder / "settings.json")
    return seconds


def finite(rows: Rows, title: str, may_diverge: bool) -> None:
    """End a training whose loss is no number any more, unless its variant says that it may.

    Raises
    ------
    UserError
        With the first epoch at which it is none.
    """
    for epoch, value, metric, data in rows:
        if not (may_diverge or math.isfinite(value)):
            raise UserError(
                f"{title}: the {data} {metric} is {value} after epoch {epoch}: it has diverged; "
                "a smaller learning_rate may help; `may_diverge: true` in the variant keeps such a run"
            )
