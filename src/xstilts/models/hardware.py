"""What a device can do, and how it is used: precision, attention kernels, the memory of the processor."""

import ctypes
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from xstilts.errors import XstiltsError

if TYPE_CHECKING:
    import torch

FAST_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}
"""Processor flags (x86 and ARM) of instructions that multiply bfloat16."""

AMPERE = (8, 0)
"""Compute capability from which on a GPU multiplies bfloat16 and runs the kernels of FlashAttention."""

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def choose_device(name: str) -> "torch.device":
    """The device of that class, 'cpu' or 'cuda'; raises XstiltsError if this machine has none."""
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise XstiltsError(
            "unsupported", "this machine has no CUDA device", "the study's plan asks for one", "use --device cpu"
        )
    if name == "cpu":
        _keep_memory()
    return torch.device(name)


def has_gpu() -> bool:
    """Whether the driver of a GPU is loaded: found out without the seconds that it takes to import torch."""
    return Path("/dev/nvidiactl").exists() or Path("/proc/driver/nvidia").exists()


def choose_precision(device: str) -> str:
    """'bf16' if the device ('cpu' or 'cuda') multiplies it faster than float32, else 'fp32'.

    The answer comes from what the hardware reports, not from a timing, which could differ the next day: all results of
    a study depend on it. For 'cuda', every GPU of this machine must support bf16; a machine without GPUs plans for
    others and assumes that they do.
    """
    if device == "cuda" and not has_gpu():
        fast = True
    elif device == "cuda":
        import torch

        fast = all(is_ampere(torch.device("cuda", number)) for number in range(torch.cuda.device_count()))
    else:
        fast = bool(FAST_BF16 & _processor_flags())
    return "bf16" if fast else "fp32"


def is_ampere(device: "torch.device") -> bool:
    """Whether the device is a GPU of the Ampere generation or later."""
    import torch

    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= AMPERE


def autocast(device: "torch.device", precision: str) -> "torch.autocast":
    """Mixed precision for 'bf16', nothing for 'fp32'; weights stay in float32."""
    import torch

    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def _processor_flags() -> set[str]:
    """The instruction sets of the processor as Linux lists them; empty on other systems."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    return {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.split()}


@cache
def _keep_memory() -> None:
    """Makes this process keep the memory that it frees, if its C library is glibc.

    By default the library returns blocks of some megabytes (weights, gradients, activations) to the system and maps
    them again, and the kernel clears each page: tens of thousands of page faults per update.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(MMAP_THRESHOLD, 2**30)
        library.mallopt(TRIM_THRESHOLD, 2**31 - 1)
