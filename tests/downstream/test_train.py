# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A bright square is learned; what is mixed is mixed in labels as in images; a seed says everything."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from downstream.toy import square

from mededit_monai.core.devices import takes_bf16
from mededit_monai.downstream.train import _mixer, _predictor, segmentation_network, train_and_measure


def items(count: int) -> list[dict]:
    found = []
    for k in range(count):
        image, _, mask = square(k)
        image = (image - image.mean()) / image.std()
        found.append(
            {
                "case_id": f"c{k}",
                "image": torch.from_numpy(image[None, ..., 0]).half(),
                "label": torch.from_numpy(mask[None, ..., 0]),
            }
        )
    return found


def test_a_square_is_learned():
    ticks = []
    found = train_and_measure(items(24), range(20), range(20, 24), "flips", 0, 50, 8, tick=ticks.append)
    assert [case["case_id"] for case in found["cases"]] == ["c20", "c21", "c22", "c23"]
    assert np.mean([case["dice"] for case in found["cases"]]) > 0.8 and sum(ticks) == 50
    for case in found["cases"]:  # of one mask either follows from the other
        assert case["iou"] == pytest.approx(case["dice"] / (2 - case["dice"]))


def test_a_case_without_lesion_is_not_measured():
    cases = items(4)
    cases[3]["label"] = torch.zeros_like(cases[3]["label"])
    found = train_and_measure(cases, range(2), [2, 3], None, 0, 1, 2)["cases"]
    assert found[0]["dice"] is not None and found[1] == {"case_id": "c3", "dice": None, "iou": None}


@pytest.mark.parametrize("augmentation", [None, "flips", "mixup", "cutmix"])
def test_the_same_seed_the_same_result(augmentation):
    def run(seed: int) -> dict:
        found = train_and_measure(items(5), range(4), [4], augmentation, seed, 3, 2)
        return {key: found[key] for key in ("cases", "loss")}

    torch.manual_seed(5)
    first, state = run(0), torch.random.get_rng_state()
    torch.rand(3)
    assert run(0) == first != run(1)
    torch.random.set_rng_state(state)


def test_rows_begin_with_the_same_weights():
    one, two, other = (torch.cat([p.flatten() for p in segmentation_network(2, 1, s).parameters()]) for s in (0, 0, 1))
    assert torch.equal(one, two) and not torch.equal(one, other)


def test_labels_are_mixed_as_images_are():
    """Of constant images: CutMix takes each pixel from one of them, MixUp a share of two, the same for the label."""
    values = torch.tensor([0.0, 1.0, 10.0, 100.0])
    batch = {key: values.view(4, 1, 1, 1).expand(4, 1, 16, 16).clone() for key in ("image", "label")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cut = _mixer("cutmix", 4, 0)(dict(batch))
        mixed = _mixer("mixup", 4, 0)(dict(batch))
    for found in (cut, mixed):
        assert torch.equal(found["image"], found["label"]) and not torch.equal(found["image"], batch["image"])
    assert set(cut["image"].unique().tolist()) <= set(values.tolist())
    assert max(len(one.unique()) for one in cut["image"]) == 2
    assert all(len(one.unique()) == 1 for one in mixed["image"])
    assert _mixer(None, 4, 0)(batch) is batch


def test_seeds_of_the_mixing_differ():
    batch = {key: torch.rand(4, 1, 8, 8) for key in ("image", "label")}
    first, again, other = (_mixer("mixup", 4, seed)(dict(batch))["image"] for seed in (0, 0, 1))
    assert torch.equal(first, again) and not np.allclose(first, other)


@pytest.mark.parametrize("dims", [2, 3])
def test_volumes_are_computed_in_bf16_where_the_processor_takes_it(dims):
    network, image = segmentation_network(dims, 1, 0).eval(), torch.rand(2, 1, *(16,) * dims)
    with torch.no_grad():
        wanted, found = network(image), _predictor(network, dims, "cpu")(image)
    assert found.dtype == torch.float32 and (found - wanted).abs().mean() < 0.02 * wanted.std()
    assert torch.equal(found, wanted) == (dims == 2 or not takes_bf16())
