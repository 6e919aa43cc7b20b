"""Train one variant, once for each of its seeds: `python -m stages.train VARIANT`."""

from pathlib import Path

from replica.common import parameters, stage
from replica.training import experiment, timings
from replica.training.live import Live


def main(name: str) -> None:
    variant = parameters.variant(parameters.read(), name)
    folder = Path("models", name)
    with Live(Path("live", name), folder) as live:
        seconds = experiment.train(name, variant, folder, live.log)
    timings.record(Path("timings", f"{name}.json"), seconds, variant["seeds"])


if __name__ == "__main__":
    stage.run(main)
