"""Train one variant, once for each of its seeds: `python -m stages.train VARIANT`."""

from pathlib import Path

from replica.common import kernels, parameters, stage


def main(name: str) -> None:
    variant = parameters.variant(parameters.read(), name)
    kernels.use(variant["kernels"])
    from replica.training import experiment, timings  # TensorFlow chooses its kernels as it is imported
    from replica.training.live import Live

    folder = Path("models", name)
    with Live(Path("live", name), folder) as live:
        seconds = experiment.train(name, variant, folder, live.log)
    timings.record(Path("timings", f"{name}.json"), seconds, variant["seeds"])


if __name__ == "__main__":
    stage.run(main)
