"""The executor for the machine that a study runs on."""

import os
from functools import partial

from xstilts.engine import execute
from xstilts.errors import XstiltsError
from xstilts.models.hardware import cores
from xstilts.study.run import Executor


def local_executor(jobs: int | None, threads: int | None, device: str, discard: bool = False) -> Executor:
    """Run a step on each core, with one thread; or one on each GPU and as many that need none.

    jobs, threads: steps at once, and threads of each, if not that; discard: whether models that no step needs any more
    are reported, so that `run_study` can delete them. Raises XstiltsError if `device` is "cuda" and there is none.
    """
    devices = []
    if device == "cuda":
        import torch

        visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        devices = visible or [str(place) for place in range(torch.cuda.device_count())]
        if not devices:
            raise XstiltsError("unsupported", "no CUDA device here", "the study asks for one", "give --device cpu")
    jobs = jobs or 2 * len(devices) or cores()
    threads = threads or (max(1, cores() // jobs) if devices else 1)
    return partial(execute, jobs=jobs, threads=threads, devices=devices, discard=discard)
