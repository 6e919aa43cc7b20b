"""Which machine code computes: the same on every x86-64 CPU, or the fastest on this one.

NumPy, OpenBLAS and TensorFlow each look at the CPU as they load and choose code for it: sums in another order, products
rounded once or twice, exponentials by other polynomials. So all is chosen in environment variables, before they load:
for NumPy and OpenBLAS always (`pin`, the package's first act), for TensorFlow by the setting `kernels` (`use`).
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import platform
import sys
from dataclasses import dataclass

from replica.common.errors import UserError

KERNELS = ("portable", "native")
X86_64 = platform.machine() in ("x86_64", "AMD64")
NEEDED = {"avx2", "fma"}  # the instructions of the portable kernels; in Intel's CPUs since 2013, in AMD's since 2015
NUMPY = "X86_V4 AVX512_ICL AVX512_SPR"  # what NumPy 2.4 dispatches above AVX2
KERAS = {"KERAS_BACKEND": "tensorflow", "KERAS_HOME": os.devnull}  # whose keras.json may set another epsilon or axis
SWITCH = {"TF_ENABLE_ONEDNN_OPTS": "1"}  # TensorFlow leaves oneDNN off without AVX512_VNNI, and takes twice as long
ONEDNN = {**SWITCH, "ONEDNN_MAX_CPU_ISA": "AVX2"}
OBEYED = ("TF_", "XLA_", "ONEDNN_", "DNNL_", "KERAS_")  # in a shell: a compiler that sums otherwise, other types
MUTE = "TF_CPP_"  # but these only say how much it prints

# mov r8, rdx; cpuid(eax=edi, ecx=esi); store eax, ebx, ecx, edx at r8
CPUID = bytes.fromhex("53 4989d0 89f8 89f1 0fa2 418900 41895804 41894808 4189500c 5b c3")
FLAGS = {  # (leaf, subleaf, register, bit)
    "movbe": (1, 0, 2, 22),
    "fma": (1, 0, 2, 12),
    "avx": (1, 0, 2, 28),
    "f16c": (1, 0, 2, 29),
    "avx2": (7, 0, 1, 5),
    "bmi2": (7, 0, 1, 8),
    "avx512f": (7, 0, 1, 16),
    "avx512vl": (7, 0, 1, 31),
    "avx512_vnni": (7, 0, 2, 11),
    "amx_bf16": (7, 0, 3, 22),
    "avx512_fp16": (7, 0, 3, 23),
    "amx_tile": (7, 0, 3, 24),
    "avx_vnni": (7, 1, 0, 4),
    "avx512_bf16": (7, 1, 0, 5),
}


@dataclass(frozen=True)
class Cpu:
    """The processor as its own CPUID instruction describes it, which an emulator answers too (/proc/cpuinfo doesn't).

    `vendor` is such as GenuineIntel or AuthenticAMD, `flags` are those of `FLAGS` that it has, by Linux's names;
    `warning` says in plain words why portable kernels are none here, or is empty.
    """

    name: str
    vendor: str
    family: int
    model: int
    flags: tuple[str, ...]
    emulated: bool

    @property
    def warning(self) -> str:
        """One sentence for a user, or nothing."""
        if not X86_64:
            return (
                f"{self.name} is no x86-64 CPU, which portable kernels need: it trains other bytes than the record's, "
                "to the same scores within their tolerance"
            )
        if lacking := NEEDED - set(self.flags):
            return (
                f"{self.name} lacks {' and '.join(sorted(name.upper() for name in lacking))}, which portable kernels "
                "need: it trains other bytes than the record's, to the same scores within their tolerance"
            )
        return ""


@functools.cache
def cpu() -> Cpu:
    """This machine's processor; on anything but x86-64, its name alone."""
    try:
        # An arm64 CPU has no CPUID; a hardened kernel may refuse a page that is both written and executed.
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) if X86_64 else None
    except OSError:
        page = None
    if page is None:
        return Cpu(platform.processor() or platform.machine(), "unknown", 0, 0, (), emulated=False)
    page.write(CPUID)
    call = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p)(
        ctypes.addressof(ctypes.c_char.from_buffer(page))
    )

    def cpuid(leaf: int, subleaf: int = 0) -> tuple[int, ...]:
        registers = (ctypes.c_uint32 * 4)()
        call(leaf, subleaf, ctypes.addressof(registers))
        return tuple(registers)

    def text(*words: int) -> str:
        return b"".join(word.to_bytes(4, "little") for word in words).decode(errors="replace").strip("\0 ")

    last, *vendor = cpuid(0)
    signature = cpuid(1)[0]
    family, model = signature >> 8 & 15, signature >> 4 & 15
    if family in (6, 15):
        model += (signature >> 16 & 15) << 4
    if family == 15:
        family += signature >> 20 & 255
    names = [cpuid(leaf) for leaf in range(0x80000002, 0x80000005)] if cpuid(0x80000000)[0] >= 0x80000004 else []
    return Cpu(
        name=" ".join(text(*(word for words in names for word in words)).split()),
        vendor=text(vendor[0], vendor[2], vendor[1]),
        family=family,
        model=model,
        flags=tuple(
            name
            for name, (leaf, subleaf, register, bit) in FLAGS.items()
            if leaf <= last
            and subleaf <= (cpuid(7)[0] if leaf == 7 else 0)
            and cpuid(leaf, subleaf)[register] >> bit & 1
        ),
        emulated=text(*cpuid(0x40000000)[1:]) == "TCG" * 4,
    )


def pin() -> None:
    """Choose NumPy's and OpenBLAS's code, Keras's and TensorFlow's defaults; without effect on what has been loaded."""
    if "tensorflow" not in sys.modules:
        for key in [key for key in os.environ if key.startswith(OBEYED) and not key.startswith(MUTE)]:
            del os.environ[key]
    os.environ.update(KERAS)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as many parts of a sum as threads
    if X86_64:
        os.environ.pop("NPY_ENABLE_CPU_FEATURES", None)  # NumPy refuses to load with both
        os.environ["NPY_DISABLE_CPU_FEATURES"] = NUMPY
        if set(cpu().flags) >= NEEDED:  # OpenBLAS takes its word for it, and dies of an illegal instruction
            os.environ["OPENBLAS_CORETYPE"] = "Haswell"


def use(name: str) -> None:
    """Choose TensorFlow's kernels, `portable` or `native`; before TensorFlow is imported.

    Raises
    ------
    UserError
        Where there are no kernels of that name, or TensorFlow or NumPy has been loaded with others.
    """
    if name not in KERNELS:
        raise UserError(f"kernels: got {name!r}; allowed: {', '.join(KERNELS)}")
    if "tensorflow" in sys.modules:
        if name != used():
            raise UserError(
                f"kernels: {name} is asked for, but TensorFlow has been loaded with {used()} ones; "
                "a process has one kind: start another"
            )
    else:
        for key in ONEDNN:
            os.environ.pop(key, None)
        os.environ.update(ONEDNN if name == "portable" else SWITCH)
    loaded = sys.modules.get("numpy._core._multiarray_umath")
    if name == "portable" and loaded and loaded.__cpu_features__["X86_V4"]:
        raise UserError("kernels: portable is asked for, but NumPy was loaded before replica: import replica first")


def used() -> str:
    """The kernels that TensorFlow has been, or would be, loaded with."""
    return "portable" if all(os.environ.get(key) == value for key, value in ONEDNN.items()) else "native"


def precision(name: str) -> str:
    """Keras's dtype policy: float32; natively mixed_bfloat16 where the CPU multiplies it (else many times slower)."""
    multiplies = {"avx512_bf16", "amx_bf16"} & set(cpu().flags)
    return "mixed_bfloat16" if name == "native" and multiplies else "float32"


def describe(name: str) -> dict[str, object]:
    """What decides the bytes, for model.json and the fingerprint: natively the kind of CPU as well."""
    chosen: dict[str, object] = {"kernels": name, "precision": precision(name)}
    if name == "native" or cpu().warning:
        chosen["cpu"] = [cpu().vendor, cpu().family, cpu().model, *cpu().flags]
    if name == "native":
        chosen["onednn"] = True  # once TensorFlow's own choice: a run of then is none of now
    return chosen
