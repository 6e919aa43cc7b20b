"""The command line's help and completion."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from replica.__main__ import app, assignment

COMMANDS = [command.callback.__name__ for command in app.registered_commands]
COMMANDS += [f"assignment {command.name}" for command in assignment.registered_commands]


def replica(*words, **environment):
    command = [str(Path(sys.executable).with_name("replica")), *words]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_s_help_has_an_example_of_it(name):
    text = " ".join(replica(*name.split(), "--help", COLUMNS="200").split())
    assert f"replica {name}" in text.partition("Example")[2]


@pytest.mark.parametrize("words", ["replica predict cifar10_f", "replica variants mnist_cnn cifar10_f"])
def test_a_variant_s_name_is_completed(words):
    environment = {"_REPLICA_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    assert replica(**environment).split() == ["cifar10_four_conv", "cifar10_fast", "cifar10_fastest"]


def test_help_imports_nothing_heavy():
    program = "import sys, replica.__main__; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert not {"tensorflow", "dvc", "pandas", "matplotlib", "scipy", "optuna", "numpy"} & set(loaded.split())


def test_files_are_utf_8_and_no_character_ends_a_command_whatever_the_locale_says(tmp_path):
    ascii_alone = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}  # as Latin-1 or GBK on some clusters
    assert replica("check", **ascii_alone).startswith("all is well")
    (tmp_path / "file").write_text("\u2026", encoding="utf-8")
    program = (
        "import replica; from pathlib import Path; text = Path('file').read_text(); Path('copy').write_text(text);"
        r" print(text == '\u2026', text)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, **ascii_alone, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True ?\n"
    assert "?" in replica("table", "sample", PYTHONIOENCODING="latin-1")
    assert (tmp_path / "copy").read_text(encoding="utf-8") == "\u2026"


def test_what_a_hook_hands_down_names_no_other_repository():
    program = "import os, sys; from replica import __main__; sys.argv[1:] = ['variants']; __main__.main()"
    done = subprocess.run(
        [sys.executable, "-c", f"import atexit, os; atexit.register(lambda: print(os.getenv('GIT_DIR'))); {program}"],
        cwd=ROOT,
        env={**os.environ, "GIT_DIR": "/elsewhere/.git"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "None"
