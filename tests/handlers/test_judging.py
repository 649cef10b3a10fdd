# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A judge beside the metrics: what it finds on edit and prior reaches them under the words that they look up."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ignite.engine import Engine

from mededit_monai.handlers import EditMetric, JudgeEdits
from mededit_monai.metrics import TissueMetric
from mededit_monai.space.intensity import to_unit_range

SIZE = 16


class Levels:
    """Tissue by intensity: fluid below 0.3, gray below 0.6, white above; the darkest is lesion."""

    def __init__(self, tissue: bool = True) -> None:
        self.tissue = tissue

    def segment(self, images) -> dict[str, np.ndarray]:
        images = np.asarray(images)
        labels = np.select([images < 0.05, images < 0.3, images < 0.6], [0, 1, 2], 3).astype(np.uint8)
        masks = {"pathology": images < 0.01, "ventricles": np.zeros_like(labels)}
        return masks | ({"tissue": labels} if self.tissue else {})


def case() -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """White brain; the lesion lies right, and four pixels at the left edge turn from white to fluid."""
    brain, lesion = torch.zeros(1, 1, SIZE, SIZE), torch.zeros(1, 1, SIZE, SIZE)
    brain[..., 1:-1, 1:-1], lesion[..., 12:14, 7:9] = 1, 1
    prior = 0.8 * brain
    edit = prior.clone()
    edit[..., 1, 4:8] = 0.2
    return 2 * edit - 1, {"prior": prior, "brain": brain, "pathology": lesion}


def test_tissue_of_edit_and_prior_reaches_the_metric():
    edit, batch = case()
    engine = Engine(lambda _, data: {"pred": edit})
    JudgeEdits(Levels()).attach(engine)
    keys = {"prior_tissue": "judged_prior_tissue"}
    EditMetric(TissueMetric(2.0), "tissue", keys=keys, pred_transform=to_unit_range).attach(engine)
    state = engine.run([batch])
    assert state.output["pred_tissue"].shape == (1, 1, SIZE, SIZE)
    assert int((batch["judged_prior_tissue"] == 3).sum()) == int(batch["brain"].sum())
    assert state.metrics["tissue_fluid_contralateral"] == pytest.approx(16)
    assert state.metrics["tissue_fluid_ipsilateral"] == 0 and state.metrics["tissue_white_change"] == pytest.approx(-16)


def test_a_judge_without_tissue_gives_none():
    edit, batch = case()
    engine = Engine(lambda _, data: {"pred": edit})
    JudgeEdits(Levels(tissue=False)).attach(engine)
    state = engine.run([batch])
    assert "judged_prior_ventricles" in batch and "judged_prior_tissue" not in batch
    assert "pred_tissue" not in state.output
