"""Claims judged, figures, model cards and the page: `python -m stages.report`; `… sample`: the quick start's page."""

from pathlib import Path

from replica.common import files, parameters, stage
from replica.common.errors import UserError
from replica.report import cards, claims, figures, page
from replica.report.results import Results
from replica.report.verdicts import figure_of


def main(part: str = "all") -> None:
    if part not in ("all", "sample"):
        raise UserError(f"stages.report: got {part!r}; allowed: sample, or nothing for everything")
    sample = part == "sample"
    declared = parameters.declared()
    reported = claims.read()
    theirs = {name for document in reported["documents"].values() for name in document["variants"]}
    results = Results(declared, documents=theirs)
    judged = [] if sample else claims.judge(reported["claims"], results)
    described = {**declared, "documents": reported["documents"]}
    shown = [cards.card(name, described, results, judged) for name in results.variants]
    drawn: dict[Path, str] = {}
    if sample:
        # Those that the stage depends on: another's figures it would not run again for.
        inputs = parameters.read("dvc.yaml")["stages"]["sample"]["deps"]
        shown = [card for card in shown if f"metrics/details/{card.name}.json" in inputs]
    else:
        stated = {
            claim["variant"]: figure_of(claim["value"])[0]
            for claim in reported["claims"]
            if "test.accuracy" in (claim.get("quantity"), claim.get("also"))
        }
        drawn = figures.draw(reported["figures"], results, stated, Path("plots/comparison"))
        more = {
            Path("plots/datasets/mnist.png"): "The first training images of MNIST",
            Path("plots/datasets/cifar10.png"): "The first training images of CIFAR-10",
            Path("plots/spiral/surface.png"): "The spiral under the best start's answers, chosen by its training loss",
        }
        drawn |= {file: words for file, words in more.items() if file.exists()}
        cards.write(shown, Path("metrics/cards"))
        claims.write(judged, Path("plots/claims.csv"))
        Path("report").mkdir(exist_ok=True)
        Path("report/claims.md").write_text(claims.markdown(judged))
        ran = [card for card in shown if card.ran]
        files.write_csv(Path("plots/summary.csv"), cards.SUMMARY, map(cards.summary, ran))
        files.write_json({card.name: card.metrics["test"]["accuracy"] for card in ran}, Path("metrics/summary.json"))

    html = page.render(shown, judged, reported["documents"], results, drawn, sample)
    file = Path("report", "sample.html" if sample else "index.html")
    file.parent.mkdir(exist_ok=True)
    new = file.with_suffix(".part")
    new.write_text(html)
    new.replace(file)


if __name__ == "__main__":
    stage.run(main)
