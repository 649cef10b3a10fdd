# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Training in several processes started by ``torchrun``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist

from mededit_monai.core.errors import InputError, require_choice


def start_process_group(backend: str) -> None:
    """
    Join the processes that ``torchrun`` started.

    Args:
        backend: ``nccl`` for GPUs, ``gloo`` for CPUs.

    Raises:
        InputError: not started by ``torchrun``, an unknown backend, NCCL without a GPU, or processes that do not meet.
    """
    require_choice("backend", backend, ("nccl", "gloo"))
    if "LOCAL_RANK" not in os.environ:
        raise InputError(
            "multi_gpu_train.yaml: was run without torchrun; start it as 'torchrun --nproc_per_node=2 -m …'."
        )
    if backend == "nccl" and not torch.cuda.is_available():
        raise InputError("--backend: got 'nccl', but this machine has no GPU; use --backend gloo.")
    join_processes(backend)


def join_processes(backend: str, **keywords: Any) -> None:
    """
    Meet the other processes, once.

    Args:
        keywords: of ``torch.distributed.init_process_group``.

    Raises:
        InputError: they do not meet.
    """
    if dist.is_initialized():
        return
    try:
        dist.init_process_group(backend, **keywords)
    except (RuntimeError, ValueError) as error:
        why = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(
            f"torchrun: the processes could not meet ({why}); start them anew with 'torchrun --standalone …'."
        ) from error


def process_device(backend: str) -> torch.device:
    """The device of this process: its own GPU with NCCL, else the CPU."""
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if backend == "nccl" else torch.device("cpu")


def is_main_process() -> bool:
    """True in the one process that writes files: rank 0, or the only one."""
    return not (dist.is_available() and dist.is_initialized()) or dist.get_rank() == 0


@contextmanager
def main_process_first() -> Iterator[None]:
    """Let rank 0 do something, such as simulating a cohort, before the others find it done."""
    several = dist.is_available() and dist.is_initialized()
    if several and not is_main_process():
        dist.barrier()
    yield
    if several and is_main_process():
        dist.barrier()
