"""What the machine can do, where it changes what is fast.

torch takes seconds to import and is asked only where the machine has what it is asked about: a
worker that searches on a CPU without 8-bit products never loads it.
"""

from __future__ import annotations

import os
from pathlib import Path

CPU_FLAGS = Path("/proc/cpuinfo")
DRIVERS = ("/dev/nvidiactl", "/dev/nvmap", "/dev/kfd", "/dev/dxg")  # NVIDIA's two, AMD's, Windows'


def has_gpu() -> bool:
    """Whether this process sees a GPU."""
    if not any(map(os.path.exists, DRIVERS)):
        return False
    import torch

    return torch.cuda.is_available()


def search_device() -> str | None:
    """Where label vectors are multiplied: a torch device, None for this process's own kernels.

    `LMTX_SEARCH_DEVICE` says it, as "none" or by torch's name; else a GPU that this process sees.
    Raises ValueError for a name that torch does not know.
    """
    asked = os.environ.get("LMTX_SEARCH_DEVICE") or "auto"
    if asked == "auto":
        return "cuda" if has_gpu() else None
    if asked == "none":
        return None
    import torch

    try:
        return str(torch.device(asked))
    except RuntimeError as error:
        said = f"LMTX_SEARCH_DEVICE={asked}: auto, none or a device of torch such as cuda:0"
        raise ValueError(said) from error


def has_native_bfloat16() -> bool:
    """Whether this machine multiplies bfloat16 in hardware (a GPU, AVX-512 BF16 or AMX)."""
    if has_gpu():
        import torch

        return torch.cuda.is_bf16_supported()
    return bool(_flags() & {"avx512_bf16", "amx_bf16"})


def has_int8() -> bool:
    """Whether models run on a CPU here that multiplies int8 in hardware (VNNI or AMX), and torch
    can tell it to."""
    if has_gpu() or not _flags() & {"avx512_vnni", "avx_vnni"}:
        return False
    import torch

    return hasattr(torch.ops.onednn, "qlinear_pointwise")


def _flags() -> set[str]:
    return set(CPU_FLAGS.read_text().split()) if CPU_FLAGS.exists() else set()


def uses_bfloat16(dtype: str) -> bool:
    """Whether a `dtype` setting ("auto", "bfloat16" or "float32") means bfloat16 here."""
    return dtype == "bfloat16" or (dtype == "auto" and has_native_bfloat16())
