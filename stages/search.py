"""Random search: a trial a draw, chosen by validation, the chosen one scored: `python -m stages.search NAME`."""

from pathlib import Path

from replica.common import parameters, stage
from replica.search import draws
from replica.training import experiment, timings
from replica.training.live import Live


def main(name: str) -> None:
    declared = parameters.read()
    entry = parameters.entry_of(declared, "searches", name)
    trials = draws.trials(entry)
    folder = Path("models", name)
    seconds = {}
    with Live(Path("live", name), folder) as live:
        for number, hyperparameters in enumerate(trials):
            variant = parameters.trial(declared, name, hyperparameters)
            title = f"{name}, trial {number + 1} of {len(trials)}"
            for value in experiment.train(title, variant, folder / f"trial-{number}", live.log).values():
                seconds[number] = value
    timings.record(Path("timings", f"{name}.json"), seconds, list(range(len(trials))))


if __name__ == "__main__":
    stage.run(main)
