# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A method for volumes from one file outside the package, on a tilted scan of anisotropic voxels."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import write_head
from plugins.loading import loaded
from promises.verbs import mededit  # noqa: F401
from scipy import ndimage

PLUGIN = Path(__file__).with_name("toy_volume.py")
BY = 0.0625


@pytest.fixture()
def words(tmp_path, monkeypatch):
    """An edit of a tilted head, with the plugin there."""
    monkeypatch.chdir(tmp_path)
    write_head(Path("head"), "LIA", spacing=(1.8, 2.1, 3.3), shape=(80, 85, 30), rotation=11.0)
    files = [f"--{name} head/{name}.nii.gz" for name in ("scan", "pathology", "brain")]
    with loaded(PLUGIN):
        yield ["edit", *" ".join(files).split(), "--method", "shift", "--by", BY, "--device", "cpu"]


def stored(path: str | Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ([], "--spatial_dims: got 2, but shift edits in 3"),
        (["--spatial_dims", 3, "--slice_index", 9], "--slice_index: got 9, but it applies to --spatial_dims 2"),
        (["--spatial_dims", 3, "--slice_index", "auto"], "--slice_index: got 'auto', but it applies to"),
    ],
)
def test_slices_are_refused(words, mededit, more, sentence):  # noqa: F811
    assert mededit(*words, *more, "-o", "out").refused(sentence) and not Path("out").exists()


def test_a_volume_is_edited_on_its_own_grid(words, mededit):  # noqa: F811
    done = mededit(*words, "--spatial_dims", 3, "-o", "out")
    assert done.code == 0, done.said
    folder, head = Path("out/scan"), Path("head")
    names = {"edited.nii.gz", "edited_model.nii.gz", "edit_region.nii.gz", "preview.png", "provenance.json"}
    assert {path.name for path in folder.iterdir()} == names | {".mededit.json"}
    before, after = nib.load(head / "scan.nii.gz"), nib.load(folder / "edited.nii.gz")
    headers = [bytearray(image.header.binaryblock) for image in (before, after)]
    assert b"synthetic" in headers[1][148:228]
    del headers[0][148:228], headers[1][148:228]  # the description, and nothing else
    assert headers[0] == headers[1]
    old, new = (np.asarray(image.dataobj).astype(float) for image in (before, after))
    region, lesion = (stored(path) > 0 for path in (folder / "edit_region.nii.gz", head / "pathology.nii.gz"))
    assert np.array_equal(new[~region], old[~region]) and region[lesion].all() and (new > old)[lesion].all()
    # The constant in the scan's units, up to rounding, but at the rim, where it fades out over a model voxel.
    added = (new - old)[ndimage.binary_erosion(region, iterations=2)]
    assert added.size > 300 and np.ptp(added) <= 1
    whole = BY * np.percentile(old[old > 0], 95)  # about what becomes 1: the brain is about half of the window's slice
    assert added.mean() == pytest.approx(whole, rel=0.1)
    assert (new - old)[region].min() >= 0 and (new - old)[region].max() <= added.max()
    check_model(folder, region)
    record = json.loads((folder / "provenance.json").read_bytes())
    assert record["options"]["by"] == BY and record["options"]["spatial_dims"] == 3 and record["nfe"] == 0
    axial = nib.as_closest_canonical(nib.Nifti1Image(region.astype(np.uint8), after.affine)).get_fdata()
    assert record["slices"] == np.flatnonzero(axial.any(axis=(0, 1))).tolist() and record["lesion_share_edited"] == 1
    assert record["voxels_changed"] == (new != old).sum()
    (warning,) = record["warnings"]  # a stroke that is bright
    assert "no darker than the brain around it" in warning


def check_model(folder: Path, region: np.ndarray) -> None:
    """Sampled at the scan's voxels by its affine, the model's volume shows what the edited scan shows."""
    edited, model = nib.load(folder / "edited.nii.gz"), nib.load(folder / "edited_model.nii.gz")
    assert model.shape == (128, 128, 112)
    voxels = np.moveaxis(np.indices(edited.shape), 0, -1)
    places = nib.affines.apply_affine(np.linalg.inv(model.affine) @ edited.affine, voxels)
    shown = ndimage.map_coordinates(model.get_fdata(), np.moveaxis(places, -1, 0), order=1)
    inner = ndimage.binary_erosion(region, iterations=2)
    assert np.corrcoef(shown[inner], edited.get_fdata()[inner])[0, 1] > 0.95


@pytest.mark.slow
def test_samples_without_chance_are_alike(words, mededit):  # noqa: F811
    assert mededit(*words, "--spatial_dims", 3, "--samples", 2, "-o", "out").code == 0
    folder = Path("out/scan")
    edited = [stored(folder / f"sample_{k}" / "edited.nii.gz") for k in range(2)]
    assert np.array_equal(*edited) and not stored(folder / "sd.nii.gz").any()
    assert np.array_equal(stored(folder / "mean.nii.gz"), edited[0])
    assert (folder / "sample_1" / "edited_model.nii.gz").is_file()
