# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Anatomies from label maps, scans and the template; what is refused, and with which sentence."""

from __future__ import annotations

import numpy as np
import pytest
from simulation.small_brains import SPACING, label_array, save, t1_array

from mededit_monai.core.errors import InputError
from mededit_monai.diseases.canvas import TISSUES
from mededit_monai.simulation.anatomies import is_label_map, list_anatomies, load_anatomy
from mededit_monai.simulation.prepared import sample, signed_depth

LEFT, RIGHT, WHITE = (TISSUES.index(t) for t in ("left_ventricle", "right_ventricle", "white"))


def millilitres(anatomy, tissue: int) -> float:
    return float(anatomy.channels[..., tissue].astype(np.float64).sum() / 255 / 1000)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("axcodes", ["RAS", "LIA", "PSR"])
def test_label_map_in_any_orientation(tmp_path, axcodes):
    labels = label_array()
    anatomy = load_anatomy(str(save(labels, tmp_path / "a.nii.gz", axcodes)))
    assert anatomy.kind == "labels" and anatomy.name == "a" and anatomy.has_ventricles
    for label, tissue in ((4, LEFT), (43, RIGHT)):
        assert millilitres(anatomy, tissue) == pytest.approx((labels == label).sum() * SPACING**3 / 1000, rel=0.03)
    middle = anatomy.channels.shape[0] / 2
    assert np.argwhere(anatomy.channels[..., LEFT] > 127)[:, 0].mean() < middle - 8
    assert np.argwhere(anatomy.channels[..., RIGHT] > 127)[:, 0].mean() > middle + 8


def test_cerebrum_is_matched_to_the_templates(tmp_path):
    anatomy = load_anatomy(str(save(label_array(), tmp_path / "b.nii.gz")))
    cortex = anatomy.channels[..., TISSUES.index("cortex")] > 127
    for axis, (low, high) in enumerate(((-71, 71), (-106, 73), (-45, 82))):
        inside = np.flatnonzero(cortex.any(axis=tuple(a for a in range(3) if a != axis)))
        mni = anatomy.mni_scale[axis] * inside[[0, -1]] + anatomy.mni_offset[axis]
        assert mni == pytest.approx((low, high), abs=2.5)
    assert anatomy.voxel_of(2, 82) == pytest.approx((82 - anatomy.mni_offset[2]) / anatomy.mni_scale[2])


def test_prepared_anatomy_is_read_back_from_the_cache(tmp_path, monkeypatch):
    path = str(save(label_array(), tmp_path / "c.nii.gz"))
    first = load_anatomy(path)
    load_anatomy.cache_clear()
    monkeypatch.setattr("mededit_monai.simulation.anatomies.read_volume", None)
    again = load_anatomy(path)
    assert np.array_equal(first.channels, again.channels) and again.name == "c" and again.kind == "labels"
    assert np.array_equal(first.mni_offset, again.mni_offset) and again.intensity is None


def test_scan_with_masks_beside_it(tmp_path):
    labels = label_array()
    save(t1_array(labels) + 300 * (labels == 0), tmp_path / "T1.nii.gz")
    save((labels > 0).astype(np.uint8), tmp_path / "T1_brain.nii.gz")
    lateral = (labels == 4) + 2 * (labels == 43)
    save(lateral.astype(np.uint8), tmp_path / "T1_ventricles.nii.gz")
    assert [p.rsplit("/", 1)[-1] for p in list_anatomies(tmp_path)] == ["T1.nii.gz"]
    anatomy = load_anatomy(list_anatomies(tmp_path)[0])
    assert anatomy.kind == "scan" and anatomy.intensity is not None
    assert millilitres(anatomy, LEFT) == pytest.approx((labels == 4).sum() * SPACING**3 / 1000, rel=0.25)
    white = anatomy.channels[..., WHITE] > 200
    assert np.median(anatomy.intensity[white]) == pytest.approx(1.0, abs=0.1)


def test_stripped_scan_needs_no_mask_and_may_be_called_brain(tmp_path):
    save(t1_array(label_array()), tmp_path / "sub_brain.nii.gz")
    assert load_anatomy(list_anatomies(tmp_path)[0]).kind == "scan"


def test_template():
    assert list_anatomies(None) == ["icbm152"]
    anatomy = load_anatomy("icbm152")
    assert anatomy.kind == "template" and anatomy.has_ventricles
    assert anatomy.mni_scale == pytest.approx([1, 1, 1], abs=0.02)


def test_labels_are_told_from_intensities():
    labels = label_array()
    assert is_label_map(labels.astype(np.float32))
    assert not is_label_map(t1_array(labels))
    assert not is_label_map(np.rint(t1_array(labels) / 5).clip(0, 255).astype(np.float32))


@pytest.mark.parametrize("missing, said", [((4,), "no label 4 .left lateral ventricle"), ((41,), "no label 41")])
def test_map_without_a_needed_label(tmp_path, missing, said):
    labels = label_array()
    labels[np.isin(labels, missing)] = 24
    path = save(labels, tmp_path / "bad.nii.gz")
    with pytest.raises(InputError, match=f"bad.nii.gz: has {said}.*found 0, .*wanted FreeSurfer"):
        load_anatomy(str(path))


def test_folders_without_anatomies(tmp_path):
    with pytest.raises(InputError, match="holds no NIfTI files.*--anatomies wants"):
        list_anatomies(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        list_anatomies(tmp_path / "none")
    (tmp_path / "broken.nii.gz").write_bytes(b"no")
    with pytest.raises(InputError, match="broken.nii.gz: cannot be read"):
        load_anatomy(list_anatomies(tmp_path)[0])


def test_whole_head_without_mask(tmp_path):
    noise = np.random.default_rng(0).uniform(1, 50, label_array().shape).astype(np.float32)
    save(t1_array(label_array()) + noise, tmp_path / "head.nii.gz")
    with pytest.raises(InputError, match="head.nii.gz: is not skull-stripped"):
        load_anatomy(list_anatomies(tmp_path)[0])


def test_sample_is_trilinear_and_holds_the_border():
    grid = np.stack(np.meshgrid(np.arange(5.0), np.arange(6.0), np.arange(7.0), indexing="ij"), axis=-1)
    points = np.array([[1.25, -3.0, 9.0], [2.5, 0.0, 9.0], [3.75, 0.5, 9.0]])
    assert sample(grid, points) == pytest.approx(np.array([[1.25, 0, 4], [2.5, 0, 5], [3.75, 0.5, 6]]))


def test_depth_of_a_ball():
    grid = np.meshgrid(*(np.arange(64) - 31.5,) * 3, indexing="ij")
    radius = np.sqrt(sum(g**2 for g in grid))
    depth = signed_depth(radius < 24)
    near = np.abs(radius - 24) < 8
    assert np.abs(depth - (24 - radius))[near].max() < 1.7
