# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the painter is trained on: the change of the displaced scan, in the lesion and its rim alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.networks.schedulers import DDPMScheduler
from training.moved_pairs import PIXEL, planes

from mededit_monai.core.errors import InputError
from mededit_monai.methods.paint import CHANGE_SCALE, paint_region
from mededit_monai.space.flow import pull
from mededit_monai.training.losses import DenoisingLoss, velocity_weight
from mededit_monai.training.paint_batch import PARTS, PaintPrepareBatch, part_around

SCHEDULER = DDPMScheduler(schedule="linear_beta", beta_start=1e-4, beta_end=0.02, prediction_type="sample")


def batch(count: int = 4, size: tuple[int, ...] = (96, 96), regions: bool = False) -> dict:
    """As the loader of a training gives it."""
    cases = [planes(size, k) for k in range(count)]
    found = {
        key: torch.from_numpy(np.stack([case[key] for case in cases])[:, None].astype(np.float32))
        for key in ("image", "prior", "prior_brain", "pathology")
    }
    found["displacement"] = torch.from_numpy(np.stack([case["displacement"] for case in cases]))
    found |= {"pixel_mm": torch.full((count,), PIXEL), "seed": torch.arange(count)}
    return found | ({"regions": found["pathology"] * 2} if regions else {})


def displaced(given: dict) -> torch.Tensor:
    """The scan after the true displacement, in [-1, 1]."""
    return 2 * pull(given["prior"], given["displacement"] / PIXEL) * given["prior_brain"] - 1


@pytest.mark.parametrize("size", [(96, 96), (48, 48, 48)])
def test_painting_the_target_onto_the_displaced_scan_gives_the_counterfactual(size):
    given = batch(2, size)
    y0, target, args, facts = PaintPrepareBatch(SCHEDULER, even=True)(given)
    region = paint_region(given["pathology"], given["prior_brain"])
    painted = displaced(given) + CHANGE_SCALE * y0
    assert args == () and not y0[~region].any()
    assert torch.allclose(painted[region], 2 * given["image"][region] - 1, atol=1e-5)
    assert y0[given["pathology"] > 0].abs().mean() > 0.5  # there is something to paint
    # what is not the lesion's is the displacement's: nothing is left to paint in the rim
    assert y0[region & (given["pathology"] == 0)].abs().max() < 1e-4
    condition = facts["condition"]
    assert condition.shape[1] == 7 and torch.equal(condition[:, :1], given["prior_brain"])
    assert torch.equal(condition[:, 1:2], given["pathology"]) and not condition[:, 2:6].any()
    assert torch.allclose(condition[:, 6:], displaced(given)) and facts["mode"] == "concat"


def test_the_network_predicts_the_change_and_is_asked_in_the_region_alone():
    given = batch()
    prepare = PaintPrepareBatch(SCHEDULER, even=True)
    y0, target, _, facts = prepare(given)
    alpha_bar = SCHEDULER.alphas_cumprod[facts["timesteps"]]
    assert torch.equal(target["value"], y0)
    region = paint_region(given["pathology"], given["prior_brain"])
    assert not target["weight"][~region].any()
    share = region[0].float().mean()
    by_level = velocity_weight(alpha_bar)
    assert (
        torch.allclose(target["weight"][0][region[0]], share.rsqrt() * by_level[0]) and by_level[0] > 2 * by_level[-1]
    )
    wrong = target["value"] + torch.where(region, 0.0, 100.0)
    assert float(DenoisingLoss()(wrong, target)) == 0
    shares = [(k + 0.5) / len(y0) for k in range(len(y0))]
    assert facts["timesteps"].tolist() == [prepare.levels[2].level(share) for share in shares]
    assert facts["timesteps"][-1] > 600


def test_a_box_is_a_region_too():
    """In an edit by boxes nobody knows the lesion's outline; where the box holds none, nothing is to be painted."""
    given = batch(1)
    y0, target, _, facts = PaintPrepareBatch(SCHEDULER, condition="box", even=True)(given)
    box = facts["condition"][:, 2:3]
    assert box.sum() > given["pathology"].sum()
    assert torch.equal(target["weight"] > 0, paint_region(box, given["prior_brain"]))


def test_parts_hold_the_lesion_and_all_planes_are_cut_alike():
    prepare, whole, parts = PaintPrepareBatch(SCHEDULER), 0, []
    for first in range(60):
        given = batch(2)
        given["seed"] = torch.tensor([first, first + 1000])
        y0, target, _, facts = prepare(given)
        assert target["weight"].flatten(1).amax(dim=1).min() > 0  # every case has something to learn from
        scan = facts["condition"][:, 6:]
        if y0.shape[2] == 96:
            whole += 1
            continue
        parts.append(y0.shape[2])
        assert y0.shape[2:] == scan.shape[2:] == facts["noise"].shape[2:] == (parts[-1], parts[-1])
        inside = (target["weight"] > 0) & (facts["condition"][:, 1:2] > 0)  # cases told by the mask
        assert torch.allclose((scan + CHANGE_SCALE * y0)[inside], torch.tensor(2 * 0.1 - 1), atol=1e-5)
    assert set(parts) == set(PARTS[2]) and whole >= 1
    assert all(10 <= parts.count(part) <= 32 for part in PARTS[2])  # 21, 21 and 16 of 60


def crops(count: int = 2, size: int = 64) -> dict:
    """Crops of volumes, as the loader of a training gives them: displaced already, with voxels of their own."""
    given = batch(count, (size,) * 3)
    moved = pull(given.pop("prior"), given.pop("displacement") / PIXEL)
    given |= {"displaced": moved * given["prior_brain"], "brain": given.pop("prior_brain")}
    return given | {"pixel_mm": torch.tensor([1.0, 1.8] * count)[:count]}


def test_crops_come_displaced_and_their_rim_is_as_wide_in_mm():
    given = crops()
    y0, target, _, facts = PaintPrepareBatch(SCHEDULER, even=True)(given)
    for k, rim in enumerate((4, 2)):
        wanted = paint_region(given["pathology"][[k]], given["brain"][[k]], rim)
        assert torch.equal(target["weight"][[k]] > 0, wanted)
    assert torch.allclose(facts["condition"][:, 6:], 2 * given["displaced"] - 1)
    inside = given["pathology"] > 0
    assert torch.allclose((facts["condition"][:, 6:] + CHANGE_SCALE * y0)[inside], torch.tensor(2 * 0.1 - 1), atol=1e-5)


def test_crops_are_trained_on_in_parts():
    sides = []
    given = crops(1)
    for first in range(40):
        given["seed"] = torch.tensor([first])
        y0, target, _, _ = PaintPrepareBatch(SCHEDULER, repeats=2)(given)
        assert len(y0) == 2 and (target["weight"].flatten(1).amax(dim=1) > 0).all()
        sides.append(y0.shape[2])
    assert set(sides) == {*PARTS[3], 64}
    assert all(10 <= sides.count(part) <= 30 for part in PARTS[3])  # 20 and 18 of 40


def test_crops_without_their_displaced_scan_are_refused():
    given = crops(1)
    given.pop("displaced")
    with pytest.raises(
        InputError, match="has no 'displaced'; --family paint wants crops, as 'mededit simulate --crops'"
    ):
        PaintPrepareBatch(SCHEDULER)(given)


def test_a_part_lies_on_the_grid_around_a_pixel_of_the_region():
    region = torch.zeros(128, 40, dtype=torch.bool)
    region[3, 20] = True
    for seed in range(20):
        box = part_around(region, np.random.default_rng(seed), 48)
        assert box == (slice(0, 48), slice(0, 40))
    region[3, 20], region[70, 5] = False, True
    starts = {part_around(region, np.random.default_rng(seed), 32)[0].start for seed in range(50)}
    assert len(starts) > 8 and all(70 - 24 < start <= 70 - 8 for start in starts)
    assert part_around(region & False, np.random.default_rng(0), 48)[1] == slice(0, 40)


def test_a_training_uses_each_case_anew_and_a_validation_once():
    given = batch(2, regions=True)
    given["seed"] = torch.tensor([3, 4])
    y0, target, _, facts = PaintPrepareBatch(SCHEDULER, repeats=3)(given)
    assert len(y0) == len(target["value"]) == len(facts["timesteps"]) == 2 * 3
    assert not torch.equal(facts["noise"][0], facts["noise"][1])
    alone = PaintPrepareBatch(SCHEDULER, repeats=3)({key: one[1:] for key, one in given.items()})
    assert alone[0].shape == y0[3:].shape  # a batch's parts have one size: with these seeds the same in both
    assert torch.equal(alone[3]["noise"], facts["noise"][3:])
    assert torch.equal(alone[3]["timesteps"], facts["timesteps"][3:])
    assert len(PaintPrepareBatch(SCHEDULER, even=True)(given)[0]) == 2


def test_draws_are_the_cases_own():
    given = batch()
    first, second = PaintPrepareBatch(SCHEDULER)(given), PaintPrepareBatch(SCHEDULER)(given)
    assert torch.equal(first[0], second[0]) and torch.equal(first[3]["noise"], second[3]["noise"])
    assert torch.equal(first[3]["timesteps"], second[3]["timesteps"])


def test_a_case_without_lesion_has_no_loss():
    given = batch()
    given |= {"pathology": 0 * given["pathology"], "displacement": 0 * given["displacement"], "image": given["prior"]}
    y0, target, _, _ = PaintPrepareBatch(SCHEDULER)(given)
    assert not y0.any() and not target["weight"].any() and torch.isfinite(target["value"]).all()


def test_cases_without_what_it_takes():
    for key in ("prior", "displacement"):
        given = {name: one for name, one in batch().items() if name != key} | {"case_id": ["a"]}
        with pytest.raises(InputError, match=f"case 'a' has no '{key}'; --family paint wants pairs"):
            PaintPrepareBatch(SCHEDULER)(given)
