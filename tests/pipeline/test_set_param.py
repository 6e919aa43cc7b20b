"""What `dvc exp run -S` would train, by DVC itself: as little as a setting touches, and told in a line."""

import re
import shutil

import pytest
import yaml
from conftest import ROOT, Project
from dvc.exceptions import InvalidArgumentError
from dvc.repo import Repo
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import modify_yaml

SETTINGS = (
    "data.validation=0.3",
    "epochs=3",
    "batch_size=64",
    "seeds=2",
    "learning_rate=0.01",
    "dropout=0.1",
    "l1=0.1",
)
STRIDED = {"cifar10_strided_5k", "cifar10_l1_0", "photos10_strided"}
OTHERS = {"cifar10_maxpool_5k", "mnist_5k_mlp", "photos10_linear"}


@pytest.fixture(scope="module")
def as_trained(tmp_path_factory):
    """This repository's params.yaml with six of its variants, and the stage `train`, as if all had been trained."""
    made = Project(tmp_path_factory.mktemp("trained"))
    shutil.copy(ROOT / "params.yaml", made.folder)
    with modify_yaml(made.folder / "params.yaml") as declared:
        for name in declared["variants"].keys() - STRIDED - OTHERS:
            del declared["variants"][name]
    variants = made.parameters()["variants"]
    train = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["train"]
    (made.folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": train}}))
    datasets = {f"data/processed/{entry['data']['dataset']}" for entry in variants.values()}
    for name in ("stages", "replica/common", "replica/training", *datasets, *(f"models/{name}" for name in variants)):
        (made.folder / name).mkdir(parents=True)
    (made.folder / "stages/train.py").touch()
    made.begin()
    made.run("dvc", "init", "-q")
    made.run("dvc", "commit", "-q", "-f")
    made.commit("As trained")
    return made


@pytest.fixture
def overridden(as_trained, monkeypatch):
    """What `-S` would train, and what became of params.yaml: by `dvc params diff`, and the lines that git shows."""
    monkeypatch.chdir(as_trained.folder)

    def ask(override):
        apply_overrides("params.yaml", [override])
        with Repo() as repo:
            stages, told = set(repo.status()), repo.params.diff()["diff"]["params.yaml"]
        lines = as_trained.run("git", "diff", "-U0", "params.yaml").stdout.splitlines()
        return stages, told, [line for line in lines if re.match(r"[+-](?![+-])", line)]

    yield ask
    as_trained.run("git", "checkout", "-q", "--", ".")


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("networks.strided.layers.0.Conv2D.filters=32", {"layers.0.Conv2D.filters": {"old": 16, "new": 32}}),
        ("networks.strided.Conv2D.activation=tanh", {"Conv2D.activation": {"old": "relu", "new": "tanh"}}),
        ("~networks.strided.layers.4", {"layers.4.Dropout.rate": {"old": "$dropout", "new": None}}),
    ],
)
def test_a_network_s_override_starts_its_variants_and_no_others(overridden, override, changed):
    stages, told, lines = overridden(override)
    assert stages == {f"train@{name}" for name in STRIDED}
    leaves = {key: {side: each[side] for side in ("old", "new")} for key, each in told.items()}
    assert leaves == {f"networks.strided.{key}": each for key, each in changed.items()}
    assert len(lines) <= 2


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_variant_s_knob_needs_no_plus_and_changes_a_line(overridden, setting):
    key, _, value = setting.partition("=")
    stages, told, lines = overridden(f"variants.cifar10_strided_5k.{setting}")
    assert stages == {"train@cifar10_strided_5k"}
    assert list(told) == [f"variants.cifar10_strided_5k.{key}"]
    assert str(told[f"variants.cifar10_strided_5k.{key}"]["new"]) == value
    assert len(lines) == 2


def test_another_network_is_one_setting(overridden):
    stages, told, _ = overridden("variants.photos10_strided.network=maxpool")
    assert stages == {"train@photos10_strided"}
    assert list(told) == ["variants.photos10_strided.network"]


def test_what_a_variant_says_beside_its_network_takes_a_plus(overridden):
    override = "variants.mnist_5k_mlp.optimizer.SGD.momentum=0.9"
    with pytest.raises(InvalidArgumentError):
        overridden(override)
    stages, told, lines = overridden(f"+{override}")
    assert stages == {"train@mnist_5k_mlp"}
    assert list(told) == ["variants.mnist_5k_mlp.optimizer.SGD.momentum"]
    assert {line[0] for line in lines} == {"+"}
