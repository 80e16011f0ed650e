"""What a device can do and how it is used: precision, attention kernels, memory, tokens per forward pass, packing."""

import ctypes
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from xstilts.errors import XstiltsError

if TYPE_CHECKING:
    import torch

MICRO_TOKENS = {"cpu": 1024, "cuda": 32768}
"""Tokens of a forward pass in training, padding included: small groups of similar length have little padding."""

PACKED_TOKENS = {"cpu": 2048, "cuda": 32768}
"""The same without padding: larger groups cast the weights to bf16 less often."""

PREDICTED_TOKENS = {"cpu": 4096, "cuda": 65536}
"""Tokens of a prediction batch: small enough for the processor's cache, large enough to fill a GPU."""

TRANSLATED_TOKENS = {"cpu": 1024, "cuda": 16384}
"""Tokens of a batch of sentences to translate, with padding; beam search multiplies them by the number of beams."""

PACKED_TYPES = frozenset({"bert", "camembert", "modernbert", "roberta", "xlm-roberta"})
"""Model types whose layers pass extra arguments to the attention function; tests show that packing changes nothing."""

PACKED_FROM = {"cpu": 256, "cuda": 0}
"""The smallest hidden size that is packed: below, the calls for each group cost more than the padding."""


def choose_device(name: str) -> "torch.device":
    """The device of that class, 'cpu' or 'cuda'; raises XstiltsError for another name, or if this machine has none."""
    import torch

    if name not in PREDICTED_TOKENS:
        raise XstiltsError("bad-argument", f"cannot compute on '{name}'", "this is no device class", "give cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise XstiltsError(
            "unsupported", "this machine has no CUDA device", "the study's plan asks for one", "use --device cpu"
        )
    if name == "cpu":
        # glibc returns blocks of some megabytes (weights, gradients, activations) to the system and maps them again,
        # and the kernel clears each page: tens of thousands of page faults per update. Make it keep them.
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL(None)
            library.mallopt(-3, 2**30)  # M_MMAP_THRESHOLD of malloc.h
            library.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
    return torch.device(name)


def device_class(name: str) -> str:
    """Resolve `auto` to `cuda` or `cpu`, whichever this machine has; other names are returned as they are."""
    if name != "auto" or not has_gpu():
        return "cpu" if name == "auto" else name
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_gpu() -> bool:
    """Whether the driver of a GPU is loaded, without the seconds that it takes to import torch."""
    return Path("/dev/nvidiactl").exists() or Path("/proc/driver/nvidia").exists()


def choose_precision(device: str) -> str:
    """'bf16' if the device ('cpu' or 'cuda') multiplies it faster than float32, else 'fp32'.

    The answer comes from what the hardware reports, not from a timing, which could differ the next day: all results of
    a study depend on it. For 'cuda', every GPU of this machine must support bf16; a machine without GPUs plans for
    others and assumes that they do.
    """
    if device == "cpu":
        return "bf16" if _processor_flags() & {"avx512_bf16", "amx_bf16", "bf16"} else "fp32"  # x86 and ARM
    if not has_gpu():
        return "bf16"
    import torch

    return "bf16" if all(is_ampere(torch.device("cuda", n)) for n in range(torch.cuda.device_count())) else "fp32"


def is_ampere(device: "torch.device") -> bool:
    """Whether the device is a GPU that multiplies bfloat16 and runs FlashAttention: Ampere (8.0) or later."""
    import torch

    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def autocast(device: "torch.device", precision: str) -> "torch.autocast":
    """Mixed precision for 'bf16', nothing for 'fp32'; weights stay in float32."""
    import torch

    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def _processor_flags() -> set[str]:
    """The instruction sets of the processor as Linux lists them; empty on other systems."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    return {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.split()}
