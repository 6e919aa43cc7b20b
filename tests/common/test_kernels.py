"""Which code NumPy, OpenBLAS and TensorFlow choose, in processes of their own."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from replica.common import kernels
from replica.common.errors import UserError

FEATURES = "import numpy as np; print(*[k for k, on in np._core._multiarray_umath.__cpu_features__.items() if on])"


def fresh(code: str, *before: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **environment},
        text=True,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize("environment", [{}, {"NPY_ENABLE_CPU_FEATURES": "X86_V3"}])
def test_numpy_runs_nothing_above_avx2_whatever_the_shell_says(environment):
    done = fresh(f"import replica; {FEATURES}", **environment)
    assert done.stderr == ""
    assert not {"X86_V4", "AVX512_ICL", "AVX512_SPR"} & set(done.stdout.split())


@pytest.mark.parametrize("stage", sorted(path.stem for path in (ROOT / "stages").glob("[a-z]*.py")))
def test_a_stage_pins_numpy_before_it_imports_it(monkeypatch, stage):
    monkeypatch.delenv("NPY_DISABLE_CPU_FEATURES")  # which this process has from its own
    code = (
        "import os, runpy, sys\n"
        "class Watch:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'numpy':\n"
        "            print(os.environ.get('NPY_DISABLE_CPU_FEATURES', 'none'))\n"
        "sys.meta_path.insert(0, Watch())\n"
        f"runpy.run_module('stages.{stage}')"  # not as __main__: it is imported alone
    )
    done = fresh(code, PYTHONPATH=str(ROOT))
    assert (done.returncode, done.stdout.strip() or kernels.NUMPY) == (0, kernels.NUMPY), done.stderr


def test_keras_has_its_own_defaults_whatever_a_user_s_file_says(tmp_path):
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras/keras.json").write_text(
        '{"backend": "jax", "epsilon": 0.001, "floatx": "float16", "image_data_format": "channels_first"}'
    )
    code = (
        "from replica.training.backend import keras; "
        "print(*(getattr(keras.config, name)() for name in ('backend', 'epsilon', 'floatx', 'image_data_format')))"
    )
    assert fresh(code, HOME=str(tmp_path)).stdout == "tensorflow 1e-07 float32 channels_last\n"


def test_libraries_have_their_own_defaults_whatever_the_shell_says():
    said = {
        "TF_XLA_FLAGS": "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit",
        "XLA_FLAGS": "--xla_cpu_enable_fast_math=true",
        "TF_SET_ONEDNN_FPMATH_MODE": "BF16",
        "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
        "DNNL_MAX_CPU_ISA": "SSE41",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "KERAS_MAX_STEPS_PER_EPOCH": "few",
        "TF_CPP_MIN_LOG_LEVEL": "1",
    }
    code = f"import os, replica; print(*(key for key in {list(said)} if key in os.environ))"
    assert fresh(code, **said).stdout == "TF_CPP_MIN_LOG_LEVEL\n"


def test_openblas_is_told_haswell_only_where_the_cpu_can(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", sys)  # whose kernels are this process's already
    for flags, told in ((("avx", "avx2", "fma"), "Haswell"), (("avx",), None)):
        monkeypatch.setattr(kernels, "X86_64", True)
        monkeypatch.setattr(kernels, "cpu", lambda flags=flags: made_up(flags))
        monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
        kernels.pin()
        assert os.environ.get("OPENBLAS_CORETYPE") == told


def test_portable_caps_onednn_and_native_takes_the_cap_off(monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    for key in kernels.ONEDNN:
        monkeypatch.setenv(key, "")
    kernels.use("portable")
    assert (os.environ["ONEDNN_MAX_CPU_ISA"], os.environ["TF_ENABLE_ONEDNN_OPTS"]) == ("AVX2", "1")
    assert kernels.used() == "portable"
    kernels.use("native")
    assert (os.environ.get("ONEDNN_MAX_CPU_ISA"), os.environ["TF_ENABLE_ONEDNN_OPTS"]) == (None, "1")
    assert kernels.used() == "native"


def test_too_late_is_an_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", sys)
    for key in kernels.ONEDNN:
        monkeypatch.delenv(key, raising=False)
    kernels.use("native")
    with pytest.raises(UserError, match="TensorFlow has been loaded with native ones"):
        kernels.use("portable")


def test_numpy_loaded_first_is_an_error():
    done = fresh(
        "import numpy; numpy._core._multiarray_umath.__cpu_features__['X86_V4'] = True\n"
        "from replica.common import kernels; kernels.use('portable')"
    )
    assert "import replica first" in done.stderr


def test_an_unknown_kind_is_named():
    with pytest.raises(UserError, match="kernels: got 'fast'; allowed: portable, native"):
        kernels.use("fast")


def test_bfloat16_is_native_and_only_where_the_cpu_multiplies_it(monkeypatch):
    for flags, policy in ((("avx2", "avx512_bf16"), "mixed_bfloat16"), (("avx2", "avx512f"), "float32")):
        monkeypatch.setattr(kernels, "cpu", lambda flags=flags: made_up(flags))
        assert (kernels.precision("native"), kernels.precision("portable")) == (policy, "float32")


def test_natively_the_description_tells_kinds_of_cpu_apart_and_portably_does_not(monkeypatch):
    told = {}
    for flags in (("avx2", "fma"), ("avx2", "fma", "avx512f")):
        monkeypatch.setattr(kernels, "X86_64", True)
        monkeypatch.setattr(kernels, "cpu", lambda flags=flags: made_up(flags))
        told[flags] = kernels.describe("portable"), kernels.describe("native")
    (portable, native), (other_portable, other_native) = told.values()
    assert portable == other_portable == {"kernels": "portable", "precision": "float32"}
    assert native != other_native
    assert native["onednn"] is True


def test_a_cpu_without_avx2_is_told_so_in_words(monkeypatch):
    monkeypatch.setattr(kernels, "X86_64", True)
    assert made_up(("avx2", "fma")).warning == ""
    assert made_up(("avx",)).warning.startswith("Made up lacks AVX2 and FMA")
    monkeypatch.setattr(kernels, "X86_64", False)
    assert "no x86-64 CPU" in made_up(()).warning


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists() or not kernels.X86_64, reason="Linux on x86-64")
def test_the_cpu_is_what_linux_says_it_is():
    if kernels.cpu().emulated:
        pytest.skip("/proc/cpuinfo is the emulator's host's")
    lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    cpu = kernels.cpu()
    assert (cpu.vendor, str(cpu.family), str(cpu.model)) == (said["vendor_id"], said["cpu family"], said["model"])
    assert cpu.name == " ".join(said["model name"].split())
    assert set(cpu.flags) == set(kernels.FLAGS) & set(said["flags"].split())


LINUX = {  # arch/x86/include/asm/cpufeatures.h: a word of 32 flags, and which of them
    "fma": (4, 12), "movbe": (4, 22), "avx": (4, 28), "f16c": (4, 29),
    "avx2": (9, 5), "bmi2": (9, 8), "avx512f": (9, 16), "avx512vl": (9, 31),
    "avx_vnni": (12, 4), "avx512_bf16": (12, 5),
    "avx512_vnni": (16, 11),
    "amx_bf16": (18, 22), "avx512_fp16": (18, 23), "amx_tile": (18, 24),
}  # fmt: skip
WORDS = {4: (1, 0, 2), 9: (7, 0, 1), 12: (7, 1, 0), 16: (7, 0, 2), 18: (7, 0, 3)}  # leaf, subleaf and register of each


def test_flags_that_this_cpu_may_lack_have_linux_s_bits_too():
    assert {name: (*WORDS[word], bit) for name, (word, bit) in LINUX.items()} == kernels.FLAGS


def test_where_no_page_may_be_written_and_executed_the_cpu_is_its_kind_alone(monkeypatch):
    def refused(*_, **__):
        raise PermissionError

    monkeypatch.setattr(kernels.mmap, "mmap", refused)
    cpu = kernels.cpu.__wrapped__()
    assert cpu == kernels.Cpu(platform.processor() or platform.machine(), "unknown", 0, 0, (), emulated=False)


def made_up(flags: tuple[str, ...]) -> kernels.Cpu:
    return kernels.Cpu("Made up", "Maker", 6, 1, flags, emulated=False)
