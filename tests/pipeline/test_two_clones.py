"""What one clone makes another makes too, or gets: the same bytes, trained anew and over HTTP."""

from contextlib import closing
from pathlib import Path

from conftest import SMALL, Project, small, stages_in
from server import Mirror

ALL = {f"{stage}@{dataset}" for stage in ("download", "preprocess") for dataset in ("mnist_5k", "photos10")}
ALL |= {f"{stage}@{variant}" for stage in ("train", "evaluate") for variant in SMALL} | {"report"}


def test_two_clones_give_the_same_bytes(project, tmp_path):
    other = small(tmp_path / "other")
    assert set(stages_in(other.run("dvc", "repro", OMP_NUM_THREADS="1").stdout)) == ALL
    assert (other.folder / "dvc.lock").read_bytes() == (project.folder / "dvc.lock").read_bytes()
    outputs = [file for top in ("data", "models", "metrics", "plots", "report") for file in files(other.folder / top)]
    assert any(file.suffix == ".png" for file in outputs)
    assert any(file.suffix == ".h5" for file in outputs)
    for file in outputs:
        same = project.folder / file.relative_to(other.folder)
        assert same.read_bytes() == file.read_bytes(), file


def files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


ASKED = """
import numpy as np, replica
from PIL import Image
from replica.commands.predict.predict import predict
from replica.commands.pull.pull import pull
pull(["mnist_5k_mlp"])
digits = replica.load("mnist_5k_mlp")
x, y = digits.data["test"]
assert round(float(np.mean(digits.probabilities(x).argmax(axis=1) == y)), 6) == digits.scores["test"]["accuracy"]
Image.fromarray(x[0, ..., 0]).save("digit.png")
assert predict("mnist_5k_mlp", ["digit.png"])[0]["class"] in digits.classes
"""


def test_a_model_pulled_over_http_answers_and_counts_as_trained(project, tmp_path):
    shelf = tmp_path / "shelf"
    project.run("dvc", "remote", "add", "--local", "shelf", str(shelf))
    project.run("dvc", "push", "--remote", "shelf", "train", "download", "preprocess")
    project.run("dvc", "remote", "remove", "--local", "shelf")
    files = {file.relative_to(shelf).as_posix(): file.read_bytes() for file in shelf.rglob("*") if file.is_file()}
    project.run("git", "clone", "-q", ".", str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    with closing(Mirror(files)) as mirror:
        (clone.folder / ".dvc/config.local").write_text(f"['remote \"published\"']\nurl = {mirror.url}\n")
        clone.run("dvc", "remote", "default", "--local", "published")
        clone.run("python", "-W", "error::UserWarning", "-c", ASKED)
    assert clone.repro("evaluate@mnist_5k_mlp") == []
    assert clone.run("git", "status", "--short").stdout == "?? digit.png\n"
