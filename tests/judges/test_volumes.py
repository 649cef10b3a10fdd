# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Judges of volumes: what they are shown, what they find, how they are trained and started."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from judges.toy_cohort import write_cohort

from mededit_monai.core.errors import InputError
from mededit_monai.judges.embedded import Judge, judge_files, judge_network, judged_box, load_judge, side_of
from mededit_monai.judges.operating_point import TRIED
from mededit_monai.judges.structures import structures
from mededit_monai.judges.train_judge import (
    LESION_WEIGHT,
    JudgeLoss,
    JudgeOptions,
    start_from,
    structure_weights,
    train_judge,
)
from mededit_monai.networks.weights import save_weights, weights_sha256
from studies.judge_held_out import judge_held_out


def test_sides_of_a_volume_are_told_from_its_own_middle():
    volume = torch.zeros(1, 1, 10, 4, 6)
    volume[:, :, 4:10, 1:3, 2:5] = 0.5  # off the middle of the grid: its own is between 6 and 7
    side = side_of(volume)[0, 0]
    assert torch.allclose(side[4:10, 1, 2], -side[4:10, 1, 2].flip(0)) and side[9, 1, 2] > 0 > side[4, 1, 2]
    assert not side[volume[0, 0] == 0].any()
    flat = side_of(volume[..., 3])[0, 0]
    assert torch.allclose(flat, side[..., 3])  # every slice of this brain has the same middle


def test_a_judge_of_volumes_finds_masks_of_their_shape():
    judge = Judge("tumor", judge_network("tumor", spatial_dims=3), "toy")
    volume = np.random.default_rng(0).uniform(size=(32, 36, 34)).astype(np.float32)
    masks = judge.segment(volume)
    assert judge.spatial_dims == 3 and set(masks) == {"pathology", "ventricles", "tissue", "regions"}
    assert all(mask.shape == (1, 32, 36, 34) for mask in masks.values())
    assert judge.features(volume[None]).shape == (1, 128)
    wanted = "wanted NxHxWxD of at least 32 with sides that are multiples of 2"
    for wrong in (volume[None, ..., :-1], volume[None, :30], volume[0]):
        with pytest.raises(InputError, match=wanted):
            judge.segment(wrong)


def test_what_a_judge_of_volumes_finds_does_not_depend_on_what_is_around_the_brain():
    judge = Judge("stroke", judge_network("stroke", spatial_dims=3), "toy")
    brain = np.random.default_rng(0).uniform(0.1, 1, size=(44, 36, 34)).astype(np.float32)
    alone = np.pad(brain, 4)
    wide = np.pad(brain, ((30, 4), (4, 20), (10, 6)))
    found, same = judge.probabilities(alone)[0], judge.probabilities(wide)[0]
    assert np.allclose(same[:, 26:, :-16, 6:-2], found, atol=1e-5)
    assert same[:, :20].max() < 1e-6 < same[:, 40].max()
    assert judge.segment(np.zeros((40, 40, 40), np.float32))["pathology"].shape == (1, 40, 40, 40)


@pytest.mark.parametrize(
    ("start", "end", "margin", "wanted"),
    [(40, 80, 4, (36, 84)), (41, 80, 4, (36, 84)), (1, 90, 4, (0, 94)), (2, 100, 4, (0, 100)), (50, 52, 4, (34, 68))],
)
def test_the_box_of_a_brain(start, end, margin, wanted):
    brain = np.zeros((100, 40, 40), bool)
    brain[start:end, 10:30, 5:] = True
    first, *_, last = judged_box(brain, margin)
    assert (first.start, first.stop) == wanted and (last.start, last.stop) == (0, 40)
    assert judged_box(np.zeros((34, 40, 40), bool))[0] == slice(0, 34)


def test_a_cohort_of_volumes_trains_a_judge_of_volumes(tmp_path):
    cohort = write_cohort(tmp_path / "cohort", "tumor", counts=(6, 1, 2), depth=32)
    options = JudgeOptions(max_epochs=5, warmup_iterations=2, learning_rate=0.005, ema_decay=0.5)
    judge = train_judge(cohort, tmp_path / "out", options, progress=False)
    assert (judge.spatial_dims, judge.facts["training"]["batch_size"]) == (3, 2)
    with open(tmp_path / "out" / "history.csv", newline="") as stream:
        losses = [float(row["train_loss"]) for row in csv.DictReader(stream)]
    assert losses[-1] < 0.9 * losses[0]
    assert sorted(path.name for path in (tmp_path / "out").glob("judge_*")) == [
        "judge_tumor_3d.json",
        "judge_tumor_3d.pt",
    ]
    table = (tmp_path / "out" / "held_out.md").read_text()
    assert "| core | lesion | all |" in table and (tmp_path / "out" / "held_out.png").is_file()
    with pytest.raises(InputError, match="not found"):
        load_judge("tumor", tmp_path / "out")
    assert judge.facts["training"]["threshold"] in TRIED
    again = judge_held_out(cohort, tmp_path / "again", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "held_out.json").read_text())["rows"] == again["rows"]
    assert (tmp_path / "again" / "held_out.md").read_text() == table


def test_judges_of_slices_and_volumes_lie_side_by_side(tmp_path):
    for dims in (2, 3):
        weights, facts = judge_files("stroke", tmp_path, dims)
        save_weights(judge_network("stroke", spatial_dims=dims), weights)
        facts.write_text(json.dumps({"structures": structures("stroke"), "weights_sha256": weights_sha256(weights)}))
    names = [load_judge("stroke", tmp_path, dims).name for dims in (2, 3)]
    assert names[0].startswith("mededit_judge_stroke_") and names[1].startswith("mededit_judge_stroke_3d_")


def test_weights_of_volumes_start_another_disease(tmp_path):
    """What both judges know is found as it was."""
    old, new = judge_network("tumor", spatial_dims=3).eval(), judge_network("stroke", spatial_dims=3).eval()
    save_weights(old, tmp_path / "old.pt")
    kept = start_from(new, "stroke", tmp_path / "old.pt")
    assert kept == ["ventricle_left", "ventricle_right", "fluid", "gray", "white"]
    image = torch.rand(1, 1, 32, 34, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        given, found = (torch.sigmoid(network(image))[0] for network in (old, new))
    assert torch.allclose(found[1:], given[3:], atol=5e-3) and not torch.allclose(found[0], given[0], atol=5e-3)
    with pytest.raises(InputError, match="old.pt: is not of an embedded judge"):
        start_from(judge_network("stroke"), "stroke", tmp_path / "old.pt")


def test_nothing_is_found_outside_of_the_brain():
    judge = Judge("stroke", judge_network("stroke", spatial_dims=3), "toy")
    torch.nn.init.constant_(judge.network.unet.final_conv.bias, 9.0)  # sees everything everywhere
    torch.nn.init.zeros_(judge.network.unet.final_conv.weight)
    volume = np.zeros((32, 32, 32), dtype=np.float32)
    volume[4:20, 6:26, 8:30] = 0.5
    volume[10, 10, 10] = 0.0  # black, but inside
    found = judge.probabilities(volume)
    brain = np.zeros(volume.shape, dtype=bool)
    brain[4:20, 6:26, 8:30] = True
    assert (found[0, 0][brain] > 0.99).all() and not found[0][:, ~brain].any()


def test_parts_of_a_lesion_count_more_in_volumes():
    assert structure_weights("tumor", 2) is None
    weights = structure_weights("tumor", 3)
    assert weights.mean() == pytest.approx(1) and torch.equal(weights[:3], weights[3:4].repeat(3) * LESION_WEIGHT)
    truth = torch.zeros(1, len(weights), 8, 8, 8)
    truth[0, :, :4] = 1
    right = (truth * 2 - 1) * 12
    losses = []
    for wrong in range(len(weights)):  # one structure missed: a Dice of 0 and 12 nats in half of the voxels
        missed = right.clone()
        missed[0, wrong] = -12
        losses.append(float(JudgeLoss(weights)(missed, truth)))
    assert losses == pytest.approx([float(weight) / len(weights) * (1 + 2 * 12 / 2) for weight in weights], rel=1e-3)
