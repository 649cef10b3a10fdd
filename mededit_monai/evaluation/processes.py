# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""An evaluation in several processes that ``torchrun`` started: each edits a share, the first one scores."""

from __future__ import annotations

import os
from datetime import timedelta

import torch
import torch.distributed as dist

from mededit_monai.training.distributed import join_processes

#: How long a process waits for the others' edits: those of the thesis's size take hours.
PATIENCE = timedelta(days=7)


class Processes:
    """
    The processes of a run; one alone without ``torchrun``. A context: the group is left at its end.

    Attributes:
        rank, count: of this process, and of all.
    """

    def __init__(self) -> None:
        self.rank, self.count = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self._joined = False

    def __enter__(self) -> Processes:
        if self.count > 1 and not dist.is_initialized():
            join_processes("gloo", timeout=PATIENCE)  # nothing but waiting goes through it
            self._joined = True
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Part with the others: metrics would otherwise wait for processes that measure nothing."""
        if self._joined:
            dist.destroy_process_group()
            self._joined = False

    def wait(self) -> None:
        """Until all processes are here."""
        if self._joined:
            dist.barrier()

    @property
    def shard(self) -> str | None:
        """This process's share of the cases; None for all."""
        return f"{self.rank + 1}/{self.count}" if self.count > 1 else None

    @property
    def device(self) -> str | None:
        """This process's GPU; None where there is one process, or no GPU."""
        if self.count == 1 or not torch.cuda.is_available():
            return None
        return f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"
