# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Every file that cannot be edited is refused in one sentence that says what, why and the way out."""

from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest
from conftest import write_head

from mededit_monai.core.errors import InputError
from mededit_monai.prepare.load import LoadCased
from mededit_monai.space.to_model import ToModelSpaced


def save(path, array, affine):
    nib.save(nib.Nifti1Image(array, affine), path)


def load(head, **other):
    return LoadCased()({"scan": str(head.scan), "pathology": str(head.pathology), **other})


def refused(head, *words, **other):
    with pytest.raises(InputError) as caught:
        load(head, **other)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith(".")
    for word in words:
        assert word in sentence, sentence


def test_skull_stripped_scan_needs_no_mask(head):
    case = load(head)
    assert case["brain_source"] == "background"
    assert np.array_equal(case["brain"], nib.load(head.brain).get_fdata() > 0)


def test_singleton_fourth_axis_is_three_dimensional(head):
    wanted = load(head)["scan"].data
    save(head.scan, head.image.get_fdata()[..., None], head.image.affine)
    assert np.array_equal(load(head)["scan"].data, wanted)


def test_mask_with_255(head):
    save(head.pathology, (nib.load(head.pathology).get_fdata() * 255).astype(np.uint8), head.image.affine)
    assert load(head)["pathology"].any()


def test_mask_on_another_shape(head):
    save(head.pathology, np.ones((10, 10, 10), np.uint8), head.image.affine)
    refused(head, "(10, 10, 10)", "(80, 100, 20)", "affine", "resample")


def test_mask_on_another_affine(head):
    affine = head.image.affine.copy()
    affine[0, 3] += 5
    save(head.pathology, nib.load(head.pathology).get_fdata().astype(np.uint8), affine)
    refused(head, "-80.0", "-75.0", "another grid")


def test_empty_mask(head):
    save(head.pathology, np.zeros((80, 100, 20), np.uint8), head.image.affine)
    refused(head, "pathology.nii.gz", "empty")


def test_mask_outside_the_brain(head):
    mask = np.zeros((80, 100, 20), np.uint8)
    mask[0, 0, :5] = 1
    save(head.pathology, mask, head.image.affine)
    refused(head, "outside the brain", "0 of 5")


def test_mask_partly_outside_is_cut_and_reported(head):
    mask = nib.load(head.pathology).get_fdata().astype(np.uint8)
    mask[0, 0, 0] = 1
    save(head.pathology, mask, head.image.affine)
    case = load(head)
    assert not case["pathology"][0, 0, 0] and "outside the brain" in case["warnings"][0]


@pytest.mark.parametrize("values", [(0, 1, 2), (0, 0.5), (0, 254, 255), (-1, 0)])
def test_non_binary_mask(head, values):
    mask = np.zeros((80, 100, 20), np.float32)
    mask.ravel()[: len(values)] = values
    save(head.pathology, mask, head.image.affine)
    refused(head, "not a binary mask", f"{values[-1]:g}" if values[-1] else "-1", "{0, 1} or {0, 255}")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite(head, value):
    array = head.image.get_fdata().astype(np.float32)
    array[3, 3, 3] = value
    save(head.scan, array, head.image.affine)
    refused(head, "1 NaN or infinite", "nan_to_num")


def test_four_dimensions(head):
    save(head.scan, np.zeros((8, 8, 8, 2), np.float32), head.image.affine)
    refused(head, "4 dimensions", "(8, 8, 8, 2)")


def test_truncated_file(head):
    content = head.scan.read_bytes()
    head.scan.write_bytes(content[: len(content) // 2])
    refused(head, "scan.nii.gz", "truncated or damaged")


def test_not_nifti(head):
    head.scan.write_bytes(b"this is a letter, not a scan")
    refused(head, "scan.nii.gz", "cannot be read as NIfTI")


def test_missing_file(head):
    head.scan.unlink()
    refused(head, "not found")


def test_colour_image(head):
    rgb = np.zeros((8, 8, 8), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    save(head.scan, rgb, head.image.affine)
    refused(head, "plain numbers")


@pytest.mark.parametrize(
    "row", [(0, 0, 0, 0), (2, 0, 2.6e33, -80), (np.nan, 0, 0, 0), (2, 0, np.inf, 0), (1e30, 1e30, 1e30, 0)]
)
def test_unusable_affine(head, row):
    content = bytearray(gzip.decompress(head.scan.read_bytes()))
    content[280:296] = np.array(row, "<f4").tobytes()  # first row of the sform
    head.scan.write_bytes(gzip.compress(bytes(content)))
    refused(head, "unusable affine")


def test_scan_without_signal(head):
    save(head.scan, np.zeros((80, 100, 20), np.float32), head.image.affine)
    refused(head, "no positive voxel")


def test_whole_head_without_brain_mask(head):
    noise = np.abs(np.random.default_rng(0).standard_normal((80, 100, 20))) + 1
    save(head.scan, (head.image.get_fdata() + noise).astype(np.float32), head.image.affine)
    refused(head, "not skull-stripped", "--brain", "HD-BET")


def test_whole_head_with_clean_background(tmp_path):
    """More than a brain's volume is foreground, though the background is exactly zero."""
    head = write_head(tmp_path, spacing=(2.6, 2.6, 5.0), shape=(80, 100, 40))
    scan = np.zeros((80, 100, 40), np.float32)
    scan[10:70, 10:90, 2:38] = 500
    save(head.scan, scan, head.image.affine)
    refused(head, "more than a brain", "--brain")


def test_slice_without_lesion(head):
    case = load(head)
    with pytest.raises(InputError, match="slice 0 of .* holds no pathology; choose one of 8 to 11"):
        ToModelSpaced(slice_index=0)(case)
    with pytest.raises(InputError, match="slice 99"):
        ToModelSpaced(slice_index=99)(case)


def test_slice_between_the_pieces_of_a_lesion(head):
    """What is offered in its place holds lesion."""
    case = load(head)
    case["pathology"][:, :, [3, 14]] = case["pathology"][:, :, [9]]
    with pytest.raises(InputError, match="slice 5 of .* holds no pathology; choose one of 3, 8 to 11, 14, 'auto'"):
        ToModelSpaced(slice_index=5)(case)
