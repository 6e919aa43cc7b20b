"""Imports without what a library only asks for."""

import subprocess
import sys

import pytest

from replica.common.imports import without


def fresh(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, text=True, capture_output=True).stdout.strip()


def test_the_named_are_not_found_inside_and_are_found_afterwards():
    code = (
        "import gc, sys\n"
        "from replica.common.imports import without\n"
        "with without('wave'):\n"
        "    try: import wave\n"
        "    except ImportError: print('hidden')\n"
        "import wave\n"
        "print(wave.__name__, gc.isenabled(), gc.get_freeze_count() > 0)"
    )
    assert fresh(code).split() == ["hidden", "wave", "True", "True"]


def test_what_is_loaded_already_stays():
    with without("pytest"):
        assert sys.modules["pytest"] is pytest
    assert sys.modules["pytest"] is pytest


def test_an_import_that_fails_leaves_nothing_hidden():
    with pytest.raises(ModuleNotFoundError), without("not_there"):
        import not_there  # noqa: F401
    assert "not_there" not in sys.modules


@pytest.mark.parametrize(
    ("module", "needless"),
    [
        ("stages.train", {"matplotlib", "pandas", "scipy", "sklearn"}),
        ("stages.search", {"matplotlib"}),
        ("stages.evaluate", {"keras", "pandas", "tensorflow"}),
        ("stages.choose", {"keras", "pandas", "tensorflow"}),
        ("stages.report", {"keras", "tensorflow"}),
        ("stages.download", {"keras", "matplotlib", "pandas", "sklearn", "tensorflow"}),
        ("stages.preprocess", {"keras", "pandas", "sklearn", "tensorflow"}),
    ],
)
def test_a_stage_imports_nothing_that_it_does_not_need(module, needless):
    found = set(fresh(f"import sys, {module}; print(*sys.modules)").split())
    assert not found & needless
