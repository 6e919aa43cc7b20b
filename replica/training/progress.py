"""Training as it goes: one live line on a terminal, one plain line an epoch in a log."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class Epochs:
    """Shows one run's epochs; a context manager.

    Parameters
    ----------
    title
        What is trained, such as `mnist_mlp, seed 0`.
    epochs, images
        How many epochs, and how many images each takes.
    after
        The epoch that an earlier process has reached.
    """

    def __init__(self, title: str, epochs: int, images: int, after: int = 0) -> None:
        self.title, self.epochs, self.images, self.after = title, epochs, images, after
        self.live = Progress(
            TextColumn(f"{title}  epoch {{task.fields[epoch]}}/{epochs}"),
            BarColumn(),
            TextColumn("{task.fields[speed]:,.0f} images/s"),
            TimeRemainingColumn(),
            console=Console(file=sys.stdout),
            transient=True,
            disable=not sys.stdout.isatty(),
        )
        self.task = self.live.add_task("", total=epochs * images, completed=after * images, epoch=after + 1, speed=0.0)

    def __enter__(self) -> Epochs:
        self.live.start()
        self.began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def step(self, epoch: int, images: int) -> None:
        """Move the live line on: so many images of this epoch are done."""
        done = (epoch - 1) * self.images + images
        speed = (done - self.after * self.images) / (time.perf_counter() - self.began)
        self.live.update(self.task, completed=done, epoch=epoch, speed=speed)

    def line(self, rows: list[tuple[int, float, str, str]]) -> None:
        """Print what an epoch reached: its history rows on one line."""
        epoch = rows[0][0]
        speed = (epoch - self.after) * self.images / (time.perf_counter() - self.began)
        values = "  ".join(f"{data} {metric} {value:.4f}" for _, value, metric, data in rows)
        self.live.console.print(
            f"{self.title}  epoch {epoch:>{len(str(self.epochs))}}/{self.epochs}  {values}  {speed:,.0f} images/s",
            highlight=False,
            soft_wrap=True,
        )
        sys.stdout.flush()
