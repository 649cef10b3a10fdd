# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The evaluator of runs that edit."""

from __future__ import annotations

from typing import Any

import torch
from monai.engines import SupervisedEvaluator
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys

from mededit_monai.core.devices import cpu_autocast

#: Key of an iteration's output under which the whole :class:`~mededit_monai.methods.editor.Edit` is.
EDIT = "edit"


class EditEvaluator(SupervisedEvaluator):
    """
    MONAI's evaluator for editors: the image of their ``Edit`` is the prediction, and all of it is under ``edit``.

    It passes over a batch of which no case can be used (see ``OneByOne``). ``amp`` works on CPUs that take bf16 too.
    """

    def __init__(self, device: torch.device | str, *arguments: Any, **settings: Any) -> None:
        on_cpu = bool(settings.get("amp")) and torch.device(device).type == "cpu"
        half = (settings.get("amp_kwargs") or {}).get("dtype") is torch.bfloat16
        self._cpu_amp = "bf16" if on_cpu and half else None
        super().__init__(device, *arguments, **(settings | ({"amp": False} if on_cpu else {})))
        self.add_event_handler(IterationEvents.FORWARD_COMPLETED, self._unpack)  # before MONAI's postprocessing

    def _iteration(self, engine: SupervisedEvaluator, batchdata: dict[str, Any]) -> dict:
        if not batchdata.get("cases", True):
            return {}
        with cpu_autocast(self._cpu_amp):
            return super()._iteration(engine, batchdata)

    @staticmethod
    def _unpack(engine: SupervisedEvaluator) -> None:
        edit = engine.state.output[CommonKeys.PRED]
        engine.state.output |= {CommonKeys.PRED: edit.image, EDIT: edit}
