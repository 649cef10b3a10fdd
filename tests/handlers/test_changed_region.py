# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch
from ignite.engine import Engine

from mededit_monai.handlers import ChangedRegion
from mededit_monai.handlers.edit_batch import CohortPrepareBatch


def test_the_region_is_where_the_edit_differs_from_the_prior():
    """To the last bit, whatever value the prior has: the way to [-1, 1] and back loses nothing."""
    prior = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    changed = torch.zeros(2, 1, 64, 64, dtype=torch.bool)
    changed[0, 0, 10:20, 5:9] = changed[1, 0, 60:, :3] = True

    class Editor:
        def region(self, brain, pathology):
            return brain > 0

    ones = torch.ones_like(prior)
    batch = {"prior": prior, "brain": ones, "pathology": ones, "case_id": ["a", "b"]}

    def step(engine, data):
        image, _, _, _ = CohortPrepareBatch(Editor())(data)
        return {"image": image, "pred": torch.where(changed, -image + 1e-3, image)}

    engine = Engine(step)
    ChangedRegion().attach(engine)
    engine.run([batch])
    assert torch.equal(batch["region"] > 0, changed)
