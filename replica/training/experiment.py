"""One variant, trained: its data, its seeds, its runs. The stages that train call this."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from replica.common import arrays, files, kernels
from replica.training import runs, stopping
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
    more seed trains one more model.

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
        Where TensorFlow has been loaded with other kernels than the variant's.
    """
    variant = dict(settings)
    kernels.use(variant["kernels"])
    early = variant.get("early_stopping")
    seeds = variant.pop("seeds")
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
            log(run, [row[:4] for row in files.history(run, seed)])
            continue
        trainer = Trainer(variant, x, y, len(data.classes), seed)
        history: Rows = []
        began = time.perf_counter()
        with Epochs(f"{title}, seed {seed}", trainer.epochs, len(x)) as shown:
            for rows in trainer.fit(watched, shown.step):
                history += rows
                shown.line(rows)
                log(run, rows)
                if early and stopping.stopped(history, **early):
                    break
        seconds[seed] = time.perf_counter() - began
        runs.save(run, trainer, history, images, mark)
    part = folder / ".settings.json"
    part.write_text(json.dumps(settings, indent=2) + "\n")
    part.replace(folder / "settings.json")
    return seconds
