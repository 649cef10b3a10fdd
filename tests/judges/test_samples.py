# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Samples: every case with and without lesion, bits that survive the augmentation, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from judges.toy_cohort import write_cohort
from monai.data import get_track_meta, set_track_meta

from mededit_monai.core.errors import InputError
from mededit_monai.judges.samples import (
    PART,
    LoadSample,
    RandMirrorSample,
    RandPart,
    augmentation,
    cohort_disease,
    cohort_samples,
)
from mededit_monai.judges.structures import pack, unpack


@pytest.fixture(autouse=True)
def without_metadata():
    before = get_track_meta()
    set_track_meta(False)
    yield
    set_track_meta(before)


@pytest.mark.parametrize("disease", ["stroke", "tumor"])
def test_every_case_is_shown_twice(tmp_path, disease):
    write_cohort(tmp_path, disease)
    assert cohort_disease(tmp_path) == disease
    samples = cohort_samples(tmp_path, "training", disease)
    assert [s["shown"] for s in samples[:2]] == ["lesion", "lesion_free"] and len(samples) == 12
    load, lesions = LoadSample(disease), 1 if disease == "stroke" else 3
    ill, well = (unpack(load(s)["label"][None], lesions + 5)[0] for s in samples[:2])
    assert ill[:lesions].flatten(1).any(dim=1).all() and not well[:lesions].any()
    assert torch.equal(ill[lesions : lesions + 2], well[lesions : lesions + 2])
    assert ill.flatten(1).any(dim=1).all() and ill.sum(dim=0).max() == 1  # one structure a pixel
    assert torch.equal(well[lesions + 2 :].sum(dim=0) - ill[lesions + 2 :].sum(dim=0), ill[:lesions].sum(dim=0))
    item = load(samples[0])
    assert torch.equal(ill.sum(dim=0), unpack(item["label"][None], lesions + 6)[0, -1])  # all of them are the brain
    left = unpack(item["label"][None], lesions + 2)[0, lesions]
    assert np.argwhere(left.numpy())[:, 0].max() < 16  # axis 0 runs from left to right


@pytest.mark.parametrize("disease", ["stroke", "tumor"])
def test_augmentation_keeps_range_brain_and_bits(tmp_path, disease):
    write_cohort(tmp_path, disease)
    load, change = LoadSample(disease), augmentation(disease)
    count = 6 if disease == "stroke" else 8
    for number, sample in enumerate(cohort_samples(tmp_path, "training", disease)):
        change.set_random_state(seed=number)
        item = change(load(sample))
        image, bits = item["image"], item["label"]
        assert image.min() >= 0 and image.max() <= 1 and torch.isfinite(image).all()
        assert torch.equal(bits, bits.round()) and bits.max() < 2 ** (count + 1)
        brain = unpack(bits[None], count + 1)[0, -1]
        assert not image[0][brain == 0].any()


def test_augmentation_is_seeded(tmp_path):
    write_cohort(tmp_path)
    item = LoadSample("stroke")(cohort_samples(tmp_path, "training", "stroke")[0])
    change, found = augmentation("stroke"), []
    for seed in (3, 3, 4):
        change.set_random_state(seed=seed)
        found.append(change(dict(item))["image"])
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_mirror_moves_image_and_labels_together(tmp_path):
    write_cohort(tmp_path)
    item = LoadSample("stroke")(cohort_samples(tmp_path, "training", "stroke")[0])
    mirror = RandMirrorSample("stroke", prob=1.0)
    found = mirror(item)
    assert torch.equal(found["image"], torch.flip(item["image"], dims=(1,)))
    before, after = (unpack(one["label"][None], 3)[0] for one in (item, found))
    assert torch.equal(after[0], torch.flip(before[0], dims=(0,)))  # lesion
    assert torch.equal(after[1], torch.flip(before[2], dims=(0,)))  # left ventricle: the right one before


@pytest.mark.parametrize(("around", "shown"), [(1.0, "lesion"), (0.0, "brain"), (1.0, "nothing")])
def test_a_part_is_whole_from_left_to_right_and_holds_the_lesion(around, shown):
    lesion, brain = np.zeros((2, 20, 100, 100), bool)
    brain[2:18, 10:90, 10:90] = True
    lesion[4, 80, 12] = shown != "nothing"
    label = torch.from_numpy(pack([lesion, *[np.zeros_like(brain)] * 5], brain))[None]
    image = torch.rand(1, 20, 100, 100, generator=torch.Generator().manual_seed(0))
    cut = RandPart("stroke", around).set_random_state(seed=2)
    for _ in range(5):
        found = cut({"case_id": "me", "image": image, "label": label})
        assert found["image"].shape == found["label"].shape == (1, 20, PART, PART) and found["case_id"] == "me"
        y, z = (image[0, 0] == found["image"][0, 0, 0, 0]).nonzero()[0].tolist()
        assert torch.equal(found["label"], label[..., y : y + PART, z : z + PART])
        assert found["label"].any() and (shown != "lesion" or (found["label"].to(torch.int32) & 1).any())


def test_refused_cohorts(tmp_path):
    with pytest.raises(InputError, match="datalist.json: not found"):
        cohort_disease(tmp_path)
    write_cohort(tmp_path)
    with pytest.raises(InputError, match="is about 'stroke', --disease is 'tumor'"):
        cohort_disease(tmp_path, "tumor")
    content = json.loads((tmp_path / "datalist.json").read_text())
    del content["training"][2]["prior_ventricles"]
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="case 'training_00002' has no 'prior_ventricles'"):
        cohort_samples(tmp_path, "training", "stroke")
    del content["training"][0]["tissue"]
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="case 'training_00000' has no 'tissue'.* simulate .*if an earlier version"):
        cohort_samples(tmp_path, "training", "stroke")
