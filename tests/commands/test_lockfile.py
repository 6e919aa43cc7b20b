"""dvc.lock as the driver writes it: DVC's own bytes, though only the entries that change are printed anew."""

from pathlib import Path

import pytest
from dvc.repo import Repo
from dvc.utils.serialize import dumps_yaml, modify_yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.commands.repro import lockfile
from replica.commands.repro.lockfile import modify_whole
from tests.conftest import ROOT

words = st.text("abz019 :#-'\"%@{}[],.&*!?|>\n\té", max_size=100)  # long enough for a line to be broken
# ruamel's round trip costs a float of 17 digits its last, and a subnormal one even of a single digit
numbers = st.just(0.0) | st.floats(1e-12, 1e9).map(lambda number: float(f"{number:.4g}"))
scalars = st.none() | st.booleans() | st.integers() | numbers | words
names = st.from_regex(r"[a-z][a-z0-9_]{0,6}(@[a-z0-9_.]{1,6})?", fullmatch=True)
entries = st.dictionaries(
    names, scalars | st.lists(scalars, max_size=3) | st.dictionaries(words, scalars, max_size=3), max_size=4
)


def both(folder: Path, text: str, replaced: dict, moved: str | None = None) -> None:
    """Replace entries of a lock file by DVC's own means and by ours, and compare the bytes."""
    for file, modify in (("dvc", modify_yaml), ("ours", modify_whole)):
        path = folder / file
        path.write_text(text, encoding="utf-8")
        with modify(str(path)) as contents:
            if not contents:
                contents["schema"] = "2.0"
            contents["stages"] = contents.get("stages", {})
            contents["stages"].update(replaced)
            if moved:
                contents["stages"][moved] = contents["stages"].pop(moved)
    assert (folder / "ours").read_text(encoding="utf-8") == (folder / "dvc").read_text(encoding="utf-8")
    assert sorted(path.name for path in folder.iterdir()) == ["dvc", "ours"]


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(names, entries, max_size=4), st.dictionaries(names, entries, max_size=2), st.data())
def test_any_lock_file_is_written_as_dvc_writes_it(tmp_path_factory, stages, replaced, data):
    some = data.draw(st.sets(st.sampled_from(list(stages)))) if stages else set()
    moved = data.draw(st.none() | st.sampled_from(list(stages))) if stages else None
    replaced |= {name: data.draw(entries) for name in some}
    text = dumps_yaml({"schema": "2.0", "stages": stages}) if stages else ""
    both(tmp_path_factory.mktemp("lock"), text, replaced, moved)


@pytest.mark.parametrize(
    "text",
    [
        "# by hand\nschema: '2.0'\nstages:\n  one:\n    cmd: a\n",
        "schema: '2.0'\nstages:\n  # by hand\n  one:\n    cmd: a\n",
        "schema: '2.0'\nstages:\n  'one':\n    cmd: a\n",
        "schema: '2.0'\nstages:\n  one: {cmd: a}\n",
        "schema: '2.0'\nstages:\n  one:\n    cmd: a\ndatasets:\n- name: data\n",
        "stages:\n  one:\n    cmd: a\nschema: '2.0'\n",
        "schema: '2.0'\nstages: {}\n",
        "schema: '2.0'\n",
    ],
)
def test_a_file_that_dvc_would_print_otherwise(tmp_path, text):
    both(tmp_path, text, {"two": {"cmd": "b"}})


def test_the_project_s_own(tmp_path):
    text = (ROOT / "dvc.lock").read_text(encoding="utf-8")
    both(tmp_path, text, {"report": {"cmd": ["one", "two"]}, "new": {"params": {"lr": 1e-05}}}, "preprocess@mnist")


def test_what_does_not_change_keeps_its_digits(tmp_path):
    """DVC's own way costs a float of 17 digits its last: so this text was not printed anew."""
    text = "schema: '2.0'\nstages:\n  one:\n    params:\n      rate: 3.4384788495583767e-255\n"
    path = tmp_path / "dvc.lock"
    for modify, kept in ((modify_whole, True), (modify_yaml, False)):
        path.write_text(text)
        with modify(str(path)) as contents:
            contents["stages"]["two"] = {"cmd": "b"}
        assert path.read_text().startswith(text) == kept
        assert path.read_text().endswith("  two:\n    cmd: b\n")


def test_it_is_written_when_there_is_something_and_a_tenth_of_the_time_at_most(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {one: {cmd: 'true'}, two: {cmd: 'true'}}")
    now = [100.0]
    monkeypatch.setattr(lockfile.time, "monotonic", lambda: now[0])
    with Repo.init(no_scm=True) as repo:
        stages = [repo.stage.load_one(name=name) for name in ("one", "two")]
        files = lockfile.Lockfiles(stages)
        assert not files.due()
        files.add(stages[1])
        assert files.due()
        file = files.files[stages[1].path]
        monkeypatch.setattr(file, "dump_stages", lambda *_, **__: now.append(now.pop() + 2))  # two seconds
        files.write()
        assert not files.due(), "nothing is left"
        files.add(stages[0])
        now[0] += 19.9
        assert not files.due()
        now[0] += 0.1
        assert files.due()
