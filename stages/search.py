"""Random search: a trial a draw, chosen by validation, the chosen one scored: `python -m stages.search NAME`."""

import shutil
from pathlib import Path

from replica.common import kernels, parameters, stage
from replica.search import draws


def main(name: str) -> None:
    declared = parameters.read()
    drawn = draws.trials(parameters.entry_of(declared, "searches", name))
    trials = [parameters.trial(declared, name, values) for values in drawn]
    kernels.use(trials[0]["kernels"])
    from replica.training import experiment, timings  # TensorFlow chooses its kernels as it is imported
    from replica.training.live import Live

    folder = Path("models", name)
    seconds = {}
    with Live(Path("live", name), folder) as live:
        for number, trial in enumerate(trials):
            title = f"{name}, trial {number + 1} of {len(trials)}"
            for value in experiment.train(title, trial, folder / f"trial-{number}", live.log).values():
                seconds[number] = value
    for old in {*folder.glob("trial-*")} - {folder / f"trial-{number}" for number in range(len(trials))}:
        shutil.rmtree(old)
    timings.record(Path("timings", f"{name}.json"), seconds, list(range(len(trials))))


if __name__ == "__main__":
    stage.run(main)
