# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Where voxels of a download land on the model's grid, and what intensity they get, by closed forms."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from datasets.downloads import (
    ATLAS_AFFINE,
    ATLAS_SHAPE,
    BRATS_AFFINE,
    BRATS_SHAPE,
    SMALL_AFFINE,
    SMALL_BRAIN,
    SMALL_SHAPE,
    atlas_case,
    boxes,
    brats_case,
    lesion_box,
    save,
)

from mededit_monai.datasets.prepare_cases import check_volume, finished_volume, make_volume
from mededit_monai.datasets.recipe import DatasetRecipe

ATLAS_PIXEL, BRATS_PIXEL = 233 / 128, 200 / 128


def made(root: Path, out: Path, source: str = "atlas", **options) -> dict:
    recipe = DatasetRecipe(source, str(root), **options)
    (volume,) = recipe.find().volumes
    assert check_volume(volume, recipe) == []
    return make_volume(out, volume, recipe)


def array(out: Path, case: dict, key: str) -> np.ndarray:
    return np.asarray(nib.load(out / case["files"][key]).dataobj)


def covered(first: float, last: float, pixel: float) -> list[int]:
    """Pixels whose centre lies between two edges (mm from the window's edge): those covered by half."""
    centres = (np.arange(128) + 0.5) * pixel
    return np.flatnonzero((centres > first) & (centres < last)).tolist()


# --- the true grids --------------------------------------------------------------------------------------------------

# A brain around the middle of the ATLAS grid: the window begins at x = 98 - 116 = -18, y = 116 - 116 = 0, which is the
# thesis's padding of 197x233 to 233x233.
ATLAS_BRAIN = (slice(20, 177), slice(20, 213), slice(60, 130))


@pytest.fixture(scope="module")
def atlas(tmp_path_factory) -> Path:
    """A true ATLAS grid: brain 100, a part of 200 that covers 1600 (3 %) of the window's pixels, a lesion."""
    folder = tmp_path_factory.mktemp("atlas")
    start = "Training/R001/sub-r001s001/ses-1/anat/sub-r001s001_ses-1_space-MNI152NLin2009aSym"
    bright = (slice(30, 70), slice(30, 70), slice(90, 100))
    save(folder / f"{start}_T1w.nii.gz", boxes(ATLAS_SHAPE, (100, ATLAS_BRAIN), (200, bright)), ATLAS_AFFINE)
    lesion = (slice(120, 141), slice(60, 95), slice(93, 97))
    save(folder / f"{start}_label-L_desc-T1lesion_mask.nii.gz", boxes(ATLAS_SHAPE, (1, lesion)), ATLAS_AFFINE, np.uint8)
    return folder


@pytest.fixture(scope="module")
def slice_95(atlas, tmp_path_factory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("slice_95")
    return out, made(atlas, out)


def test_atlas_slice_95(slice_95):
    out, record = slice_95
    (case,) = record["cases"]
    assert case["case_id"] == "sub-r001s001_z095" and record["patient"] == "sub-r001s001"
    lesion = array(out, case, "pathology")[:, :, 0]
    assert np.flatnonzero(lesion.any(axis=1)).tolist() == covered(120 + 18, 141 + 18, ATLAS_PIXEL)
    assert np.flatnonzero(lesion.any(axis=0)).tolist() == covered(60, 95, ATLAS_PIXEL)
    assert case["size_px"] == lesion.sum()
    brain = array(out, case, "brain")[:, :, 0]
    assert np.flatnonzero(brain.any(axis=1)).tolist() == covered(20 + 18, 177 + 18, ATLAS_PIXEL)
    # 3 % of the slice is 200: that is its 98th percentile, background included.
    assert case["ceiling"] == 200
    image = array(out, case, "image")[:, :, 0]
    bright = covered(30 + 18, 70 + 18, ATLAS_PIXEL)
    assert image[bright[2], covered(30, 70, ATLAS_PIXEL)[2]] == 1 and image[100, 100] == pytest.approx(0.5, abs=1e-6)
    assert image.max() <= 1 and not image[brain == 0].any()


def test_world_coordinates_are_kept_in_the_record(slice_95):
    out, record = slice_95
    (case,) = record["cases"]
    first = np.array(case["model_to_world"]) @ [0, 0, 0, 1]
    # Centre of pixel 0: half a model pixel from the window's edge, which is at voxel -18.5 (x) and -0.5 (y).
    wanted = [-18.5 + ATLAS_PIXEL / 2 - 98, -0.5 + ATLAS_PIXEL / 2 - 134, 95 - 72, 1]
    assert first == pytest.approx(wanted, abs=1e-5)


def test_files_are_model_space_and_not_marked_synthetic(slice_95):
    out, record = slice_95
    (case,) = record["cases"]
    assert case["files"] == {key: f"cases/sub-r001s001_z095/{key}.nii" for key in ("image", "brain", "pathology")}
    for key, kind in (("image", np.float32), ("brain", np.uint8), ("pathology", np.uint8)):
        image = nib.load(out / case["files"][key])
        assert image.shape == (128, 128, 1) and image.get_data_dtype() == kind
        assert (
            b"synthetic" not in image.header["descrip"].tobytes() and b"research" in image.header["descrip"].tobytes()
        )
        assert image.affine @ [63.5, 63.5, 0, 1] == pytest.approx([0, 0, 0, 1])
        assert image.header.get_zooms()[:2] == pytest.approx((ATLAS_PIXEL, ATLAS_PIXEL))


def test_brats_slice_90(tmp_path):
    """Stored toward left and back: stored (i, j) is (239 - i, 239 - j) in RAS; the window is the middle 200 x 200."""
    name = tmp_path / "data/BraTS-GLI-00000-000/BraTS-GLI-00000-000"
    brain = (slice(50, 190), slice(35, 205), slice(40, 130))
    save(Path(f"{name}-t1c.nii.gz"), boxes(BRATS_SHAPE, (500, brain)), BRATS_AFFINE, np.int16)
    parts = {
        2: (slice(60, 100), slice(150, 190)),
        1: (slice(70, 90), slice(160, 180)),
        3: (slice(70, 90), slice(160, 164)),
    }
    labels = boxes(BRATS_SHAPE, *((value, (*box, slice(80, 100))) for value, box in parts.items()))
    save(Path(f"{name}-seg.nii.gz"), labels, BRATS_AFFINE, np.uint8)
    (case,) = made(tmp_path / "data", tmp_path / "out", "brats")["cases"]
    assert case["case_id"] == "BraTS-GLI-00000-000_z090" and case["slice_index"] == 90
    regions = array(tmp_path / "out", case, "regions")[:, :, 0]
    for which, box in (([1, 2, 3], parts[2]), ([1, 3], parts[1])):
        part = np.isin(regions, which)
        # RAS voxels 240 - stop … 239 - start; the window begins at voxel 20.
        x, y = ((240 - s.stop - 20, 240 - s.start - 20) for s in box)
        assert np.flatnonzero(part.any(axis=1)).tolist() == covered(*x, BRATS_PIXEL)
        assert np.flatnonzero(part.any(axis=0)).tolist() == covered(*y, BRATS_PIXEL)
    assert np.array_equal(regions > 0, array(tmp_path / "out", case, "pathology")[:, :, 0] > 0)
    assert array(tmp_path / "out", case, "image").max() == 1 and case["ceiling"] == 500


@pytest.mark.slow
def test_a_volume_on_the_grid_of_simulated_volumes(atlas, tmp_path):
    record = made(atlas, tmp_path, spatial_dims=3)
    (case,) = record["cases"]
    assert case["case_id"] == "sub-r001s001" and set(case["files"]) == {"image", "brain", "pathology"}
    lesion, image = array(tmp_path, case, "pathology"), nib.load(tmp_path / case["files"]["image"])
    from mededit_monai.simulation.files import model_affine

    assert lesion.shape == (128, 128, 112) and np.allclose(image.affine, model_affine(ATLAS_PIXEL, (128, 128, 112)))
    assert np.flatnonzero(lesion.any(axis=(1, 2))).tolist() == covered(120 + 18, 141 + 18, ATLAS_PIXEL)
    assert np.flatnonzero(lesion.any(axis=(0, 2))).tolist() == covered(60, 95, ATLAS_PIXEL)
    # Along z the middle of the block lies on the brain's, (60 + 129) / 2 = 94.5; the lesion covers 92.5 to 96.5.
    heights = 94.5 + (np.arange(112) - 55.5) * ATLAS_PIXEL
    assert (
        np.flatnonzero(lesion.any(axis=(0, 1))).tolist() == np.flatnonzero((heights > 92.5) & (heights < 96.5)).tolist()
    )
    brain = array(tmp_path, case, "brain")
    inside = np.flatnonzero((heights > 59.5) & (heights < 129.5))
    assert np.flatnonzero(brain.any(axis=(0, 1))).tolist() == inside.tolist()
    values = np.asarray(image.dataobj)
    assert values[100, 100, 56] == pytest.approx(100 / case["ceiling"], abs=1e-5) and not values[brain == 0].any()
    world = np.array(case["model_to_world"]) @ [63.5, 63.5, 55.5, 1]
    assert world == pytest.approx([98 - 98, 116 - 134, 94.5 - 72, 1], abs=1e-5)


# --- what a slice is -------------------------------------------------------------------------------------------------


def test_slices_with_without_and_beside_the_brain(tmp_path):
    atlas_case(tmp_path, lesion=lesion_box(6, z=4))
    record = made(tmp_path, tmp_path / "out", slice_index="all")
    kinds = {case["slice_index"]: tuple(case["files"]) for case in record["cases"]}
    assert kinds[4] == ("image", "brain", "pathology")
    assert [z for z, keys in kinds.items() if keys == ("prior", "prior_brain")] == [1, 2, 3, 5, 6, 7, 8]
    assert record["left_out"] == {"sub-r001s001_z000": "no brain", "sub-r001s001_z009": "no brain"}
    ranged = made(tmp_path, tmp_path / "ranged", slice_index="3:5")
    assert [case["slice_index"] for case in ranged["cases"]] == [3, 4]


def test_pathology_outside_the_brain_is_neither(tmp_path):
    scan = atlas_case(tmp_path, lesion=lesion_box(6, z=4))
    mask = boxes(SMALL_SHAPE, (1, lesion_box(6, z=4)), (1, lesion_box(4, z=5, x=2)))  # slice 5: x = 2 … 5 is background
    save(next(scan.parent.glob("*lesion_mask.nii.gz")), mask, SMALL_AFFINE, np.uint8)
    record = made(tmp_path, tmp_path / "out", slice_index="4:6")
    assert [case["slice_index"] for case in record["cases"]] == [4]
    assert record["left_out"] == {"sub-r001s001_z005": "pathology outside the brain only"}
    assert record["outside_share"] == pytest.approx(16 / 52, abs=1e-6)


def test_require_core(tmp_path):
    labels = {2: (slice(20, 30), slice(20, 30), slice(3, 6)), 1: (slice(22, 27), slice(22, 27), slice(4, 5))}
    brats_case(tmp_path, labels=labels)
    record = made(tmp_path, tmp_path / "out", "brats", slice_index="3:7", require_core=True)
    kinds = {case["slice_index"]: "image" in case["files"] for case in record["cases"]}
    assert kinds == {4: True, 6: False}
    assert record["left_out"] == dict.fromkeys(
        ("BraTS-GLI-00000-000_z003", "BraTS-GLI-00000-000_z005"), "pathology without necrotic core"
    )


def test_the_editors_transform_gives_the_same_pixels(tmp_path):
    from mededit_monai.prepare.load import LoadCased
    from mededit_monai.space.to_model import ToModelSpaced

    scan = atlas_case(tmp_path, lesion=lesion_box(6), brain=True)
    mask, brain = (next(scan.parent.glob(f"*{kind}_mask.nii.gz")) for kind in ("lesion", "brain"))
    (case,) = made(tmp_path, tmp_path / "out", slice_index=4)["cases"]
    loaded = LoadCased()({"scan": str(scan), "pathology": str(mask), "brain": str(brain)})
    cut = ToModelSpaced("auto", window=233, percentile=98)(loaded)
    for key in ("image", "brain", "pathology"):
        assert np.array_equal(array(tmp_path / "out", case, key)[:, :, 0], cut[key][0, 0].numpy())


def test_a_finished_volume_is_known_by_its_bytes(tmp_path):
    scan = atlas_case(tmp_path, lesion=lesion_box(6))
    recipe = DatasetRecipe("atlas", str(tmp_path), slice_index=4)
    (volume,) = recipe.find().volumes
    assert finished_volume(tmp_path / "out", volume) is None
    record = make_volume(tmp_path / "out", volume, recipe)
    assert finished_volume(tmp_path / "out", volume) == record
    name = tmp_path / "out" / record["cases"][0]["files"]["image"]
    name.rename(name.with_suffix(".gone"))
    assert finished_volume(tmp_path / "out", volume) is None
    name.with_suffix(".gone").rename(name)
    save(scan, boxes(SMALL_SHAPE, (120, SMALL_BRAIN)), SMALL_AFFINE)
    assert finished_volume(tmp_path / "out", volume) is None
