# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The evaluator of the bundles' editing runs."""

from __future__ import annotations

from typing import Any

from monai.engines import SupervisedEvaluator


class EditEvaluator(SupervisedEvaluator):
    """MONAI's evaluator, that passes over a batch of which no case can be used (see ``OneByOne``)."""

    def _iteration(self, engine: SupervisedEvaluator, batchdata: dict[str, Any]) -> dict:
        return super()._iteration(engine, batchdata) if batchdata["cases"] else {}
