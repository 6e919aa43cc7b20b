"""Train one variant, once for each of its seeds: `python -m stages.train VARIANT`."""

from pathlib import Path

from replica import experiment, parameters, stage, timings


def main(name: str) -> None:
    variant = parameters.variant(parameters.read(), name)
    seconds = experiment.train(name, variant, Path("models", name))
    timings.record(Path("timings", f"{name}.json"), seconds, variant["seeds"])


if __name__ == "__main__":
    stage.run(main)
