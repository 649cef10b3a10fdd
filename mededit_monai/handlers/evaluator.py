# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The evaluator of runs that edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from monai.engines import SupervisedEvaluator
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys

from mededit_monai.core.devices import cpu_autocast
from mededit_monai.handlers.portions import REST, SAMPLES, portions
from mededit_monai.prepare.one_by_one import failed_case

#: Key of an iteration's output under which the whole :class:`~mededit_monai.methods.editor.Edit` is.
EDIT = "edit"


class EditEvaluator(SupervisedEvaluator):
    """
    MONAI's evaluator for editors: the image of their ``Edit`` is the prediction, and all of it is under ``edit``.

    It passes over a batch of which no case can be used (see ``OneByOne``). ``amp`` works on CPUs that take bf16 too.
    Where ``prepare_batch`` knows of many samples a case (``count``), the output has those of the first portion, and an
    iterator over the outputs of the others, for :func:`~mededit_monai.handlers.portions.outputs_of`.

    Args:
        keep_going: whether the cases of a batch that cannot be edited are set apart under ``failed``, each with the
            sentence, instead of ending the run; the others as for MONAI's.
    """

    def __init__(self, device: torch.device | str, *arguments: Any, keep_going: bool = False, **settings: Any) -> None:
        self.keep_going = keep_going
        on_cpu = bool(settings.get("amp")) and torch.device(device).type == "cpu"
        half = (settings.get("amp_kwargs") or {}).get("dtype") is torch.bfloat16
        self._cpu_amp = "bf16" if on_cpu and half else None
        super().__init__(device, *arguments, **(settings | ({"amp": False} if on_cpu else {})))
        self.add_event_handler(IterationEvents.FORWARD_COMPLETED, self._unpack)  # before MONAI's postprocessing

    def _iteration(self, engine: SupervisedEvaluator, batchdata: dict[str, Any]) -> dict:
        if not batchdata.get("cases", True):
            return {}
        first, *others = portions(getattr(self.prepare_batch, "count", 1))
        if others:
            batchdata[SAMPLES] = first
        try:
            output = self._made(engine, batchdata)
            return output | {REST: self._others(engine, batchdata, others)} if others else output
        except Exception as error:
            if not self.keep_going:
                raise
            failed = failed_case("", error)
            names = [case["case_id"] for case in batchdata["cases"]]
            batchdata["failed"] = [*batchdata.get("failed", ()), *(failed | {"case_id": name} for name in names)]
            batchdata["cases"] = []
            return {}

    def _made(self, engine: SupervisedEvaluator, batchdata: dict[str, Any]) -> dict:
        with cpu_autocast(self._cpu_amp):
            return super()._iteration(engine, batchdata)

    def _others(self, engine: SupervisedEvaluator, batchdata: dict[str, Any], parts: Sequence[range]) -> Iterator[dict]:
        for samples in parts:
            batchdata[SAMPLES] = samples
            yield self._made(engine, batchdata)

    @staticmethod
    def _unpack(engine: SupervisedEvaluator) -> None:
        edit = engine.state.output[CommonKeys.PRED]
        engine.state.output |= {CommonKeys.PRED: edit.image, EDIT: edit}
