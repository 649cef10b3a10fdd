# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a mask says, and what is said of one that cannot be used."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch
from synthesis.heads import label_array, write_label

from mededit_monai.core.errors import InputError
from mededit_monai.synthesis.labels import SplitLabeld
from mededit_monai.synthesis.mask import LoadLabeld, ToNetworkGridd


def loaded(path, brain=None, **options) -> dict:
    return LoadLabeld(**options)({"label": str(path), "brain": None if brain is None else str(brain)})


@pytest.mark.one_in(4)
@pytest.mark.parametrize("axcodes", ["RAS", "LPS", "PIR", "LIA"])
def test_labels_and_grid_whatever_the_orientation(axcodes, tmp_path):
    """The same condition: brain first, then core, edema and rim, which lie within one another on the right."""
    grid = ToNetworkGridd(32, 32, 200, "regions")
    found = grid(loaded(write_label(tmp_path / "own.nii.gz", label_array(), axcodes=axcodes)))
    wanted = grid(loaded(write_label(tmp_path / "ras.nii.gz", label_array())))
    told = found["condition"]
    assert told.shape == (4, 32, 32, 32) and set(told.unique().tolist()) == {0, 1}
    assert (told != wanted["condition"]).float().mean() < 0.002
    brain, *parts = told.bool()
    assert all(not (part & ~brain).any() and part.any() for part in parts)
    assert sum(part.int() for part in parts).max() == 1
    x = torch.arange(32).view(-1, 1, 1).expand_as(brain)
    assert all(x[part].float().mean() > x[brain].float().mean() + 4 for part in parts)
    one = ToNetworkGridd(32, 32, 200, "mask")(loaded(tmp_path / "own.nii.gz"))["condition"]
    assert one.shape[0] == 2 and (one[1].bool() != sum(parts).bool()).float().mean() < 0.002


def test_a_brain_of_its_own(tmp_path):
    """From a mask or a stripped scan; the tumour stays what it is."""
    whole = label_array()
    bare = write_label(tmp_path / "bare.nii.gz", label_array(brain=False))
    mask = write_label(tmp_path / "brain.nii.gz", (whole > 0).astype(np.uint8))
    scan = write_label(tmp_path / "scan.nii.gz", (whole > 0) * np.uint8(90) + whole)
    for brain in (mask, scan):
        assert np.array_equal(loaded(bare, brain)["labels"], whole)
    old = write_label(tmp_path / "old.nii.gz", np.where(whole == 3, 4, np.where(whole == 4, 0, whole)).astype(np.uint8))
    assert np.array_equal(loaded(old, mask, brats2021=True)["labels"], whole)
    alone = write_label(tmp_path / "alone.nii.gz", np.where(whole > 0, 4, 0).astype(np.uint8))
    told = ToNetworkGridd(32, 32, 200, "regions")(loaded(alone))["condition"]
    assert told[0].any() and not told[1:].any()  # a brain without tumour is asked for


def small(labels: np.ndarray) -> np.ndarray:
    return np.where(labels == 3, 4, np.where(labels == 4, 0, labels)).astype(np.uint8)


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda a: a * 0, {}, "is empty .* wanted 1 .core."),
        (lambda a: np.where(a == 2, 7, a), {}, "holds the label 7, wanted 1 .core., 2 .edema."),
        (lambda a: np.where(a == 4, 0, a), {}, "has no brain around the tumour .label 4.* --brain"),
        (small, {}, "label 4 covers .* ml, .* --brats2021 and --brain"),
        (lambda a: a, {"brats2021": True}, "holds the label 3, wanted 1 .* leave out --brats2021"),
        (lambda a: np.where(a > 0, a + 0.4, 0).astype(np.float32), {}, "holds the label 1.4"),
    ],
)
def test_what_it_refuses(change, options, words, tmp_path):
    path = write_label(tmp_path / "mask.nii.gz", change(label_array()))
    with pytest.raises(InputError, match=words) as caught:
        loaded(path, **options)
    assert str(caught.value).startswith(str(path))


def test_brains_that_it_refuses(tmp_path):
    bare = write_label(tmp_path / "bare.nii.gz", label_array(brain=False))
    other = write_label(tmp_path / "other.nii.gz", np.ones((20, 20, 20), np.uint8))
    with pytest.raises(InputError, match="lies on another grid"):
        loaded(bare, other)
    tiny = np.zeros((70, 80, 60), np.uint8)
    tiny[30:34, 30:34, 30:34] = 1
    with pytest.raises(InputError, match="--brain: covers .* wanted a brain of at least 300 ml"):
        loaded(bare, write_label(tmp_path / "tiny.nii.gz", tiny))
    (tmp_path / "noise.nii.gz").write_bytes(b"no image")
    with pytest.raises(InputError, match="noise.nii.gz"):
        loaded(tmp_path / "noise.nii.gz")
    four = nib.Nifti1Image(np.zeros((4, 4, 4, 2), np.uint8), np.eye(4))
    nib.save(four, tmp_path / "four.nii.gz")
    with pytest.raises(InputError, match="has 4 dimensions"):
        loaded(tmp_path / "four.nii.gz")


def test_masks_of_a_training():
    label = torch.from_numpy(label_array())[None].float()
    case = SplitLabeld()({"case_id": "a", "label": label})
    assert torch.equal(case["brain"], (label > 0).float()) and torch.equal(
        case["pathology"], ((label > 0) & (label < 4)).float()
    )
    assert set(case["regions"].unique().tolist()) == {0, 1, 2, 3} and "label" not in case
    for wrong, words in ((label + 5 * (label == 1), "holds the label 6"), (label * (label < 4), "has no brain")):
        with pytest.raises(InputError, match=f"case 'a', 'label': {words}"):
            SplitLabeld()({"case_id": "a", "label": wrong})


def test_a_tumour_outside_the_brain(tmp_path):
    labels = label_array(brain=False)
    brain = label_array() > 0
    given = write_label(tmp_path / "brain.nii.gz", brain.astype(np.uint8))
    hollow = write_label(tmp_path / "hollow.nii.gz", (brain & (labels == 0)).astype(np.uint8))  # the tumour left out
    within = write_label(tmp_path / "within.nii.gz", labels)
    assert not loaded(within, given)["warnings"] and not loaded(within, hollow)["warnings"]
    outside = np.zeros_like(labels)
    outside[:2, :2, :2] = 3
    with pytest.raises(InputError, match="--brain: no voxel of the tumour of .*outside.nii.gz lies in it"):
        loaded(write_label(tmp_path / "outside.nii.gz", outside), given)
    partly = np.where(brain, labels, 3)  # and all of the air
    (said,) = loaded(write_label(tmp_path / "partly.nii.gz", partly), given)["warnings"]
    assert "of the tumour lies outside the brain of --brain" in said
