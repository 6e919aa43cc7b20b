"""What training has reached so far, in DVCLive's files: DVC and its extension for VS Code read them as it goes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from replica.common.imports import without

with without("pandas"):
    import dvclive
    from dvclive.error import DvcLiveError
    from dvclive.vscode import cleanup_dvclive_step_completed, mark_dvclive_step_completed

os.environ["DVC_STUDIO_OFFLINE"] = "true"  # who has an account there would have each step posted


class Files(dvclive.Live):
    """DVCLive's files alone: opening the repository takes longer, and fails in one without a commit."""

    def _init_dvc(self) -> None:
        pass


class Live:
    """Keeps `live/NAME/metrics.json` and the curves beside it; a context manager.

    metrics.json holds each run's newest values, `{"step": epoch, "seed-0": {"training": {"accuracy": …}}}`. It and the
    curves, `plots/metrics/seed-0/training/accuracy.tsv`, are DVC's metrics and plots until the manager is left:
    afterwards the stages' own results show them.

    Parameters
    ----------
    folder
        Such as live/mnist_mlp; what an earlier run left in it is removed. A warning where it cannot be written.
    models
        The folder that the runs' folders lie in, such as models/mnist_mlp.
    """

    def __init__(self, folder: Path, models: Path) -> None:
        self.folder, self.models, self.declared = folder, models, folder / "dvc.yaml"
        self.curves: dict[str, None] = {}
        self.live: Files | None = None
        with self._or_not_at_all():
            self.live = Files(str(folder), save_dvc_exp=False, dvcyaml=None)

    @contextmanager
    def _or_not_at_all(self) -> Iterator[None]:
        """What cannot be written ends the showing with a warning, and never the training."""
        try:
            yield
        except (OSError, DvcLiveError) as error:
            print(f"warning: {self.folder}: {error}; nothing more is shown of this run there", file=sys.stderr)
            self.live = None

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self.declared.unlink(missing_ok=True)
            cleanup_dvclive_step_completed()

    def log(self, run: Path, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add a run's history rows (epoch, value, metric, data), of an epoch or of many; 6 digits are kept.

        Parameters
        ----------
        run
            Its folder, such as models/mnist_mlp/seed-0.
        """
        if not self.live:
            return
        known = len(self.curves)
        with self._or_not_at_all():
            for epoch, values in groupby(rows, key=lambda row: row[0]):
                self.live.step = epoch
                for _, value, metric, data in values:
                    name = (run.relative_to(self.models) / data / metric).as_posix()
                    self.curves[name] = None
                    self.live.log_metric(name, float(f"{value:.6g}"))
            self.live.make_summary()
            mark_dvclive_step_completed(self.live.step)
            if len(self.curves) > known:
                self.declare()

    def declare(self) -> None:
        """Tell DVC of the values, and of the curves: one plot a metric, all data and runs over each other."""
        plots: dict[str, dict[str, str]] = {}
        for name in self.curves:
            metric = Path(name).name
            plots.setdefault(metric, {})[f"plots/metrics/{name}.tsv"] = metric
        entries = [{f"{self.folder.name}: {metric} so far": {"x": "step", "y": y}} for metric, y in plots.items()]
        self.declared.write_text(yaml.safe_dump({"metrics": ["metrics.json"], "plots": entries}, sort_keys=False))
