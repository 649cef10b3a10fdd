# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Lets a judge look at every edit, so that metrics find its masks beside the edit."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.utils import CommonKeys

from mededit_monai.space.intensity import to_unit_range


class JudgeEdits:
    """
    Put a judge's ``pred_pathology``, ``pred_ventricles``, ``pred_tissue`` and (tumours) ``pred_regions`` into the
    engine's output.

    It also puts what the judge sees in the scan without lesion into the batch, as ``judged_prior_ventricles`` and
    ``judged_prior_tissue``: a judge's own bias cancels in the change from one to the other. A judge that knows no
    tissue gives none.

    Attach it before the metrics.

    Args:
        judge: with ``segment(NxHxW in [0, 1])``, such as :func:`mededit_monai.judges.embedded.load_judge` gives.
    """

    def __init__(self, judge: Any) -> None:
        self.judge = judge

    def attach(self, engine: Engine) -> None:
        """Attach to a ``SupervisedEvaluator``."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        batch = engine.state.batch
        brain = batch["brain"][:, 0].cpu().float()
        edits = to_unit_range(engine.state.output[CommonKeys.PRED])[:, 0].cpu().float() * brain
        for name, masks in self.judge.segment(edits).items():
            engine.state.output[f"pred_{name}"] = torch.from_numpy(masks)[:, None]
        prior = self.judge.segment(batch["prior"][:, 0].cpu().float() * brain)
        for name in ("ventricles", "tissue"):
            if name in prior:
                batch[f"judged_prior_{name}"] = torch.from_numpy(prior[name])[:, None]
