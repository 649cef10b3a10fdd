# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The evaluator of runs that edit."""

from __future__ import annotations

from typing import Any

from monai.engines import SupervisedEvaluator
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys

#: Key of an iteration's output under which the whole :class:`~mededit_monai.methods.editor.Edit` is.
EDIT = "edit"


class EditEvaluator(SupervisedEvaluator):
    """
    MONAI's evaluator for editors: the image of their ``Edit`` is the prediction, and all of it is under ``edit``.

    It passes over a batch of which no case can be used (see ``OneByOne``).
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.add_event_handler(IterationEvents.FORWARD_COMPLETED, self._unpack)  # before MONAI's postprocessing

    def _iteration(self, engine: SupervisedEvaluator, batchdata: dict[str, Any]) -> dict:
        return super()._iteration(engine, batchdata) if batchdata.get("cases", True) else {}

    @staticmethod
    def _unpack(engine: SupervisedEvaluator) -> None:
        edit = engine.state.output[CommonKeys.PRED]
        engine.state.output |= {CommonKeys.PRED: edit.image, EDIT: edit}
