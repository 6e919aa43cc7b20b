"""`replica verify` in real DVC repositories, whose records are changed by hand where bytes are to differ."""

import json
import shutil

import h5py
import numpy as np
import pytest
from conftest import ROOT, Project

from replica.commands.verify import differences, emulator, record, results, run, witnesses
from replica.common import files, kernels
from replica.common.errors import UserError
from replica.evaluation import scores
from replica.report import witnesses as records

NAME = "photos10_linear"
COMMAND = ("python", "-m", "replica", "verify")
LOCK = """
stages:
  download@d: {outs: [{path: data/raw/d, md5: 1.dir}]}
  train@x:
    deps: [{path: data/raw/d, md5: 1.dir}, {path: code, md5: "2"}]
    params: {p.yaml: {a: 1}}
    outs: [{path: models/x, md5: 3.dir}]
  evaluate@x: {deps: [{path: models/x, md5: 3.dir}], outs: [{path: metrics/details/x.json, md5: "4"}]}
  search@s: {outs: [{path: models/s, md5: 5.dir}]}
  choose@s: {deps: [{path: models/s}], outs: [{path: metrics/s.json, md5: "6"}]}
  report: {deps: [{path: metrics/details}], outs: [{path: report, md5: "7"}]}
"""


@pytest.fixture
def copied(project, tmp_path) -> Project:
    """The small project with its cache, to be changed."""
    shutil.copytree(project.folder, tmp_path / "copy", symlinks=True)
    return Project(tmp_path / "copy")


def claimed(project: Project, wrong: int) -> None:
    """Commit another record than what lies there, with so many more of the test images wrong, and of another model."""
    folder = project.folder
    weights = folder / f"models/{NAME}/seed-0/model.weights.h5"
    details, history = folder / f"metrics/details/{NAME}.json", folder / f"plots/variants/{NAME}/history.csv"
    kept = {file: file.read_bytes() for file in (weights, details, history, folder / "dvc.lock")}
    for file in kept:
        file.unlink()  # it may be a link to DVC's cache
        file.write_bytes(kept[file])
    with h5py.File(weights, "r+") as file:
        names = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        file[names[0]][0] += 1e-3
    content = json.loads(kept[details])
    n = content["images"]["test"]
    right = scores.unpacked(content["right"]["0"], n)
    right[np.flatnonzero(right)[:wrong]] = False
    content["precision"] = "mixed_bfloat16"
    content["right"]["0"] = scores.packed(right)
    content["summary"]["test"]["accuracy"] = right.mean()
    content["summary"]["test"] |= dict(
        zip(("accuracy_low", "accuracy_high"), scores.wilson(right.mean(), n), strict=True)
    )
    files.write_json(content, details)
    rows = kept[history].decode().splitlines()
    rows[1] = rows[1].replace(rows[1].split(",")[1], "0.5")
    history.write_text("\n".join(rows) + "\n")
    project.run("dvc", "commit", "-q", "-f", f"train@{NAME}", f"evaluate@{NAME}")
    project.commit("Claim")
    for file, content in kept.items():
        file.unlink()
        file.write_bytes(content)


def test_a_fresh_clone_without_data_cache_or_models_gets_the_same_bytes(project, tmp_path):
    project.run("git", "clone", "-q", str(project.folder), str(tmp_path / "fresh"))
    fresh = Project(tmp_path / "fresh")
    before = sorted(fresh.folder.rglob("*"))
    done = fresh.run("bash", "-c", f"{' '.join(COMMAND)} {NAME} --format json 2>log; echo status $? >> log")
    (fresh.folder / "log").rename(tmp_path / "log")
    log = (tmp_path / "log").read_text()
    assert log.endswith("status 0\n"), log
    content = json.loads(done.stdout)
    assert (content["outcome"], content["status"], content["first"]) == ("the same bytes", 0, None)
    assert content["stages"] == 4
    assert content["witnesses"] == 0  # of this small project's variant, though there are some of its images
    assert f"models/{NAME}/seed-0/model.weights.h5" in content["digests"][f"train@{NAME}"]
    documented = (ROOT / "docs/verify.md").read_text()
    assert all(f"`{key}`" in documented for key in content)
    assert fresh.run("git", "status", "--porcelain").stdout == ""
    ours = [path for path in sorted(fresh.folder.rglob("*")) if "__pycache__" not in path.parts]
    assert {str(path.relative_to(fresh.folder)) for path in set(ours) - set(before)} <= {".dvc/tmp"}


@pytest.mark.slow
def test_other_bytes_with_the_same_results_are_told_down_to_the_tensor(copied):
    claimed(copied, wrong=1)
    shutil.rmtree(copied.folder / "witnesses")  # of machines that are not this one, or are
    here = {file: file.read_bytes() for file in copied.folder.glob("m*/**/*") if file.is_file()}
    done = copied.run(*COMMAND, NAME, "--record", "--who", "Ada", check=False)
    assert done.returncode == 3, done.stdout
    assert "Other bytes, the same results: 2 of 4 stages" in done.stdout
    assert f"first train@{NAME}, models/{NAME}/seed-0/model.weights.h5, from epoch 1 on, tensor layers/" in done.stdout
    assert "values, by 0.001 at most" in done.stdout
    assert f"precision of {NAME}: float32; recorded mixed_bfloat16" in done.stdout
    assert f"train@{NAME} | started" in done.stdout
    assert "@photos10 | started" not in done.stdout  # the data here are the record's
    assert "what sets this machine apart is not known" in done.stdout
    assert here == {file: file.read_bytes() for file in copied.folder.glob("m*/**/*") if file.is_file()}
    (file,) = (copied.folder / "witnesses").iterdir()
    content = json.loads(file.read_text())
    assert file.stem == witnesses.slug(content["machine"]["cpu"])
    assert content["who"] == "Ada"
    assert content["outcome"] == "other bytes, the same results"
    assert "| other bytes, the same results |" in copied.run(*COMMAND, "--matrix").stdout


@pytest.mark.parametrize(
    ("wrong", "status", "line"), [(1, 3, "Other bytes, the same results"), (500, 1, "Other results")]
)
def test_what_has_just_been_written_is_judged_in_a_line(copied, wrong, status, line):
    assert copied.run(*COMMAND, "--written", NAME).stdout.startswith("The same bytes as committed: ")
    claimed(copied, wrong)
    done = copied.run(*COMMAND, "--written", NAME, check=False)
    assert done.returncode == status, done.stdout
    assert done.stdout.startswith(f"{line}: 2 of 4 stages of {NAME} at ")
    assert done.stdout.count("\n") == 1
    assert copied.run(*COMMAND, "--written", "mnist_5k_mlp").returncode == 0


@pytest.mark.slow
def test_what_the_record_has_and_nothing_makes_is_an_error(copied):
    lock = (copied.folder / "dvc.lock").read_text()
    gone = f"  train@gone:\n    cmd: x\n    outs:\n    - path: models/gone\n      md5: {32 * '0'}.dir\n"
    (copied.folder / "dvc.lock").write_text(lock + gone)
    copied.commit("A stage that dvc.yaml no longer has")
    done = copied.run(*COMMAND, "--all", check=False)
    assert done.returncode == 1
    assert "error: train@gone: recorded in HEAD's dvc.lock, and not made here; if dvc.yaml has no such" in done.stdout
    assert "not found inside 'dvc.yaml'" in copied.run(*COMMAND, "train@gone", check=False).stdout

    for text, line in (
        (lock, "error: train@gone: recorded in HEAD's dvc.lock, and not made here; "),
        ("<<<<<<< HEAD\nstages:\n=======\n", "error: dvc.lock: no record of stages; `replica repair` puts"),
        (None, "error: dvc.lock: no such file here; "),
    ):
        (copied.folder / "dvc.lock").unlink()
        if text is not None:
            (copied.folder / "dvc.lock").write_text(text)
        done = copied.run(*COMMAND, "--written", "train@gone", check=False)
        assert (done.returncode, done.stdout.count("\n")) == (1, 1)
        assert done.stdout.startswith(line)


def test_a_plan_is_what_a_target_needs_and_its_scores():
    lock = record.Record(LOCK)
    assert lock.named(["x", "search"]) == ["evaluate@x", "search@s", "choose@s"]
    assert lock.named(["train@x"]) == ["train@x", "evaluate@x"]
    assert lock.plan(["report"]) == ["download@d", "train@x", "evaluate@x", "report"]
    assert lock.inputs("train@x") == {"code": "2", "a": 1}
    with pytest.raises(UserError, match=r"evalute@x: not in the committed dvc.lock; did you mean evaluate@x\?"):
        lock.named(["evalute@x"])


def test_code_and_parameters_newer_than_the_record_are_named():
    before, after = record.Record(LOCK), record.Record(LOCK.replace('md5: "2"', 'md5: "0"').replace("a: 1", "a: 2"))
    assert run.newer(before, before, list(before.stages)) == []
    (line,) = run.newer(before, after, list(before.stages))
    assert line == "dvc.lock is older than the commit's a, code: run `dvc repro` and commit it"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--format", "xml"], "error: --format: got 'xml'; allowed: text, json, markdown\n"),
        (["--who", "Ada"], "error: replica verify: got --who; allowed: beside --record alone\n"),
        (["--all", "x"], "error: replica verify: got --all and x; allowed: one of them\n"),
        (["nothing"], "error: nothing: not in the committed dvc.lock; allowed: "),
        (["--emulate", "Haswell", "--matrix"], "error: replica verify: got --emulate with --written or --matrix, "),
        (["--emulate", "No; CPU"], "error: --emulate"),  # QEMU's own words, or that it is missing
        (["nothing", "--emulate", "Haswell"], "error: nothing: not in the committed dvc.lock; allowed: "),
    ],
)
def test_a_mistake_is_a_line_before_anything_runs(project, words, line):
    done = project.run(*COMMAND, *words, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith(line)
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("difference", "low", "high", "same"),
    [(0.03, 0.015, 0.045, True), (0.03, 0.021, 0.04, False), (-0.03, -0.04, -0.021, False), (0.03, None, None, False)],
)
def test_results_are_others_where_the_whole_interval_is_beyond_the_tolerance(difference, low, high, same):
    assert results.Score("x", 0.9, 0.9 + difference, difference, 0.02, low, high).same == same


def test_figures_are_alike_but_for_their_last_digits():
    assert results.alike({"a": [1.0, 2, None]}, {"a": [1.0001, 2, None]})
    assert not results.alike({"a": [1.0, 2]}, {"a": [1.1, 2]})
    assert not results.alike({"a": 1}, {"b": 1})


def witness(**changes) -> dict:
    digests = {
        "train@x": {"models/x": "3.dir", "models/x/seed-0/test.npy": "8"},
        "evaluate@x": {"metrics/details/x.json": "4"},
    }
    return {
        "machine": witnesses.machine(), "commit": "1" * 40, "targets": ["x"], "outcome": "the same bytes",
        "digests": digests, **changes,
    }  # fmt: skip


def test_a_witness_lists_the_files_of_models_that_no_cache_has(tmp_path):
    (tmp_path / ".dvc").mkdir()
    side = differences.Side(record.Record(LOCK), tmp_path, witnesses.listings([witness()]))
    assert side.listing("models/x", "3.dir") == {"models/x/seed-0/test.npy": "8"}
    assert side.listing("models/x", "9.dir") == {}


def test_what_sets_a_machine_apart_from_all_witnesses():
    here = witnesses.machine()
    other = {**here, "libc": "glibc 2.1", "cpu": {**here["cpu"], "name": "Another", "flags": ["avx2", "new"]}}
    assert witnesses.apart(here, [witness()]) == []
    lines = witnesses.apart(here, [witness(machine=other)])
    assert f"CPU: {records.named(here['cpu'])}, none of theirs" in lines
    twin = {**here, "cpu": {**here["cpu"], "model": here["cpu"]["model"] + 1}}  # of another generation, named alike
    assert witnesses.apart(twin, [witness()]) == [f"CPU: {records.named(twin['cpu'])}, none of theirs"]
    assert "CPU: lacks new" in lines
    assert f"libc: {here['libc']}; theirs glibc 2.1" in lines
    assert witnesses.apart(here, [witness(machine=other), witness()]) == []


def test_the_matrix_says_real_or_emulated_and_what_is_out_of_date():
    lock = record.Record(LOCK)
    emulated = witnesses.machine()
    emulated["cpu"] = {**emulated["cpu"], "name": "Haswell", "family": 6, "model": 60, "emulated": True}
    old = witness(machine=emulated, digests={"train@x": {"models/x": "9.dir"}})
    rows = records.rows([old, witness()], lambda each: witnesses.holds(each, lock))
    table = records.matrix(rows).splitlines()
    assert " | real | " in table[2]
    assert table[2].endswith("| x at `1111111` | the same bytes |")
    assert table[3].startswith("| Haswell, family 6, model 60 | emulated | ")
    assert table[3].endswith("| the same bytes, of an older dvc.lock |")
    assert witnesses.slug(emulated["cpu"]) == "haswell-6-60-emulated"
    assert witnesses.listings([witness()]) == {"3.dir": {"seed-0/test.npy": "8"}}


def altered(path: str, value: object) -> bytes:
    """A witness with another value at a dotted path."""
    whole = place = json.loads(json.dumps(witness()))
    *path, last = path.split(".")
    for key in path:
        place = place[key]
    place[last] = value
    return json.dumps(whole).encode()


HOSTILE = [
    b"", b"{}", b"[]", b"3", b"\xff", b"[" * 100_000, b"{" + b'"a": {' * 100_000,
    *(
        altered(path, value)
        for path, values in {
            "machine": (3, None), "machine.cpu": ([], 3), "machine.cpu.flags": ("avx2", [["avx2"]]),
            "machine.cpu.name": ({}, "\x1b[31mred", "a\nb", "x" * 301), "machine.cpu.family": ("6", -1, 10**40),
            "machine.cpu.emulated": ("no",), "machine.libc": (2, "\u202e"),
            "machine.libraries": (["numpy"], {"tensorflow": {}}), "commit": (1, "<script>"), "targets": ("x", [3]),
            "outcome": ([], "send money"),
            "digests": ([], {"x": []}, {"x": {"models/x": 3}}, {"x": {"metrics/details/../../../dev/zero": "4"}}),
        }.items()
        for value in values
    ),
]  # fmt: skip


@pytest.mark.parametrize("content", HOSTILE)
def test_what_is_no_record_is_a_line_with_the_file_s_name(tmp_path, content):
    (tmp_path / "witnesses").mkdir()
    file = tmp_path / "witnesses/hostile.json"
    file.write_bytes(content)
    with pytest.raises(UserError) as refused:
        records.read(tmp_path)
    assert str(refused.value) == f"{file}: not a record of `replica verify --record`; delete it"


def test_nor_is_it_one_where_it_is_committed(tmp_path):
    project = Project(tmp_path)
    project.begin()
    (tmp_path / "witnesses").mkdir()
    for content in (b"\xff", altered("machine.cpu", 3)):
        (tmp_path / "witnesses/hostile.json").write_bytes(content)
        project.commit("Hostile")
        with pytest.raises(UserError, match=r"^witnesses/hostile\.json: not a record of `replica verify --record`"):
            witnesses.committed(tmp_path)


def test_a_later_version_s_record_may_say_more(tmp_path):
    (tmp_path / "witnesses").mkdir()
    (tmp_path / "witnesses/new.json").write_bytes(altered("machine.cpu.cores", 8))
    (found,) = records.read(tmp_path)
    assert found["machine"]["cpu"]["cores"] == 8


def test_a_cpu_without_avx2_or_x86_64_is_told_first(project, monkeypatch, capsys):
    from replica.commands.verify import command

    monkeypatch.chdir(project.folder)
    old = kernels.Cpu("An old CPU", "GenuineIntel", 6, 42, ("avx",), emulated=False)
    monkeypatch.setattr(kernels, "cpu", lambda: old)
    assert command.main([NAME], False, "text", None, False, None, True, False, None) == 0
    assert capsys.readouterr().err.startswith("warning: An old CPU lacks AVX2 and FMA, which portable kernels need")


@pytest.mark.emulated
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not shutil.which(emulator.QEMU), reason=f"{emulator.QEMU} is missing (Debian, Ubuntu: qemu-user)")
def test_an_emulated_cpu_verifies_and_leaves_a_witness_of_its_own(copied):
    shutil.rmtree(copied.folder / "witnesses")
    done = copied.run(*COMMAND, "preprocess@photos10", "--emulate", "Haswell", "--record")
    assert "The same bytes" in done.stdout
    (file,) = (copied.folder / "witnesses").iterdir()
    machine = json.loads(file.read_text())["machine"]
    assert machine["cpu"]["emulated"] and machine["cpu"]["vendor"] == "GenuineIntel"


def test_the_readme_s_table_of_witnesses_is_the_records():
    seen, lock = records.read(ROOT), run.Record((ROOT / "dvc.lock").read_text())
    table = records.matrix(records.rows(seen, lambda each: witnesses.holds(each, lock)))
    readme = (ROOT / "README.md").read_text()
    assert (table in readme) if seen else (table.splitlines()[0] not in readme)
