"""The executor for the machine that a study runs on, and what all executors check."""

import os
from functools import partial

from xstilts.engine import execute
from xstilts.engine.gpus import Sharing, usable_memory
from xstilts.errors import XstiltsError
from xstilts.models.hardware import cores
from xstilts.study.run import Executor


def local_executor(
    jobs: int | None, threads: int | None, device: str, discard: bool = False, per_gpu: int = 1
) -> Executor:
    """Run a step on each core, with one thread; or `per_gpu` on each GPU, and one more that needs none.

    jobs, threads: steps at once, and threads of each, if not that; discard: whether models that no step needs any more
    are reported, so that `run_study` can delete them. Raises XstiltsError if `device` is "cuda" and there is none, or
    if GPUs are to be shared and it is not.
    """
    check_sharing(device, per_gpu)
    devices = []
    if device == "cuda":
        import torch

        visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        devices = visible or [str(place) for place in range(torch.cuda.device_count())]
        if not devices:
            raise XstiltsError("unsupported", "no CUDA device here", "the study asks for one", "give --device cpu")
    # results depend on the number of threads, which therefore does not depend on `per_gpu`
    threads = threads or (max(1, cores() // (jobs or 2 * len(devices))) if devices else 1)
    jobs = jobs or (per_gpu + 1) * len(devices) or cores()
    sharing = Sharing(per_gpu, usable_memory(devices) if per_gpu > 1 else None)
    return partial(execute, jobs=jobs, threads=threads, devices=devices, discard=discard, sharing=sharing)


def check_sharing(device: str, per_gpu: int) -> None:
    """Raises XstiltsError if several steps are to share a GPU, but the device is none."""
    if per_gpu > 1 and device != "cuda":
        why, hint = f"the steps run on '{device}'", "leave it out, or give --device cuda; --jobs is for processors"
        raise XstiltsError("bad-argument", "--per-gpu is for steps on GPUs", why, hint)
