# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Half precision where edits are made: MONAI's engines know it of GPUs alone."""

from __future__ import annotations

import pytest
import torch

from mededit_monai.core import devices
from mededit_monai.core.devices import autocast_options
from mededit_monai.core.errors import InputError
from mededit_monai.handlers.evaluator import EditEvaluator
from mededit_monai.methods.editor import Edit


@pytest.mark.parametrize(("amp", "wanted"), [(None, torch.float32), ("bf16", torch.bfloat16)])
def test_networks_compute_in_bf16_on_a_cpu_if_asked_to(amp, wanted, monkeypatch):
    monkeypatch.setattr(devices, "takes_bf16", lambda: True)
    found = []

    def inferer(image: torch.Tensor, network: torch.nn.Module, **_) -> Edit:
        found.append(network(image).dtype)
        return Edit(image, image > 0, 1)

    evaluator = EditEvaluator(
        device="cpu",
        val_data_loader=[{"image": torch.ones(1, 1, 8, 8), "label": torch.ones(1, 1, 8, 8)}],
        network=torch.nn.Conv2d(1, 1, 3),
        inferer=inferer,
        amp=amp is not None,
        amp_kwargs=autocast_options(amp),
        decollate=False,
    )
    evaluator.run()
    assert found == [wanted] and evaluator.amp is False


@pytest.mark.parametrize("keep_going", [True, False])
def test_a_batch_that_cannot_be_edited_is_set_apart(keep_going):
    """By its own fault the first one; the second is edited."""

    def inferer(image: torch.Tensor, network: torch.nn.Module, **_) -> Edit:
        if image.max() > 1:
            raise InputError("the first\ncannot be.")
        return Edit(image, image > 0, 1)

    image = torch.ones(1, 1, 8, 8)
    batches = [
        {
            "image": image * 2,
            "label": image,
            "cases": [{"case_id": "a"}, {"case_id": "b"}],
            "failed": [{"case_id": "0"}],
        },
        {"image": image, "label": image, "cases": [{"case_id": "c"}]},
    ]
    evaluator = EditEvaluator(
        device="cpu",
        val_data_loader=batches,
        network=torch.nn.Identity(),
        inferer=inferer,
        decollate=False,
        keep_going=keep_going,
    )
    if not keep_going:
        with pytest.raises(InputError):
            evaluator.run()
        return
    evaluator.run()
    sentence = "the first cannot be."
    assert batches[0]["cases"] == [] and batches[0]["failed"] == [
        {"case_id": "0"},
        {"case_id": "a", "failed": sentence},
        {"case_id": "b", "failed": sentence},
    ]
    assert torch.equal(evaluator.state.output["pred"], image)
