# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A raw head is evened, set upright, edited, and comes back as it lay: in its own grid, with its own bias field."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import write_head
from scipy.spatial.transform import Rotation

from mededit_monai import edit
from mededit_monai.core.errors import InputError
from mededit_monai.prepare import extract, preparation
from mededit_monai.prepare.register import Registration

#: A head of 30 slices of 4 mm: no slab.
HEAD = {"shape": (60, 75, 30), "spacing": (2.7, 2.7, 4.0)}


def posed(monkeypatch, degrees: float, gain=None) -> list:
    """Stand in for the search: the head is turned by so many degrees about the front-back axis. Collects the calls."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("y", degrees, degrees=True).as_matrix()
    calls = []

    def registered(scan, brain):
        calls.append(scan)
        axes = scan.affine[:3, :3] / np.linalg.norm(scan.affine[:3, :3], axis=0)
        return Registration(pose, pose, axes, 0.9, 0.95)

    monkeypatch.setattr(preparation, "registered", registered)
    monkeypatch.setattr(preparation, "bias_field", lambda data, *_: np.ones_like(data) if gain is None else gain(data))
    return calls


def result(folder: Path) -> tuple[np.ndarray, np.ndarray, dict]:
    """Stored voxels of an edit, the region, and its provenance."""
    (case,) = [one for one in folder.iterdir() if one.is_dir()]
    edited, region = (np.asarray(nib.load(case / f"{name}.nii.gz").dataobj) for name in ("edited", "edit_region"))
    return edited, region > 0, json.loads((case / "provenance.json").read_text())


def edited(head, out, **options) -> tuple[np.ndarray, np.ndarray, dict]:
    files = {"scan": head.scan, "pathology": head.pathology, "brain": head.brain}
    edit(**files, output_dir=out, **{"spatial_dims": 3, "steps": 2, "progress": False, **options})
    return result(out)


#: The slice with the most lesion alone, which takes a tenth of the time.
QUICK = {"spatial_dims": 2, "slice_index": "auto", "steps": 1, "progress": False}


@pytest.mark.slow
def test_upright_and_back(tmp_path, monkeypatch):
    """A head that lies 20° askew, set upright: where it changes it changes as much as one that is edited as it lies."""
    head = write_head(tmp_path / "head", **HEAD)
    posed(monkeypatch, 20)
    plain, plain_region, _ = edited(head, tmp_path / "plain", prepare=False, steps=1)
    turned, region, facts = edited(head, tmp_path / "turned", prepare=True, steps=1)
    scan, lesion = np.asarray(head.image.dataobj), np.asarray(nib.load(head.pathology).dataobj) > 0
    assert turned.dtype == scan.dtype and np.array_equal(turned[~region], scan[~region])
    assert facts["preparation"]["tilt_degrees"] == 20 and facts["options"]["prepare"] is True
    assert np.flatnonzero(region.any(axis=(0, 1))).tolist() == facts["slices"]
    assert region[lesion].mean() > 0.98 and (region & plain_region).sum() > 0.7 * plain_region.sum()
    changes = [(one.astype(float) - scan)[lesion].mean() for one in (plain, turned)]
    assert changes[1] == pytest.approx(changes[0], rel=0.25) and changes[0] < -50
    field = nib.load(tmp_path / "turned" / "scan" / "displacement.nii.gz")
    assert field.shape[:3] == scan.shape and np.allclose(field.affine, head.image.affine)
    prepare = tmp_path / "turned" / "scan" / "prepare"
    assert {one.name for one in prepare.iterdir()} == {
        "brain.nii.gz",
        "check.png",
        "preparation.json",
        "to_template.tfm",
    }


def test_the_bias_field_comes_back(tmp_path, monkeypatch):
    """A field divided out before is multiplied in after: the edit of a brighter scan is brighter by as much."""
    head = write_head(tmp_path / "head", dtype=np.float32, **HEAD)
    shades = np.linspace(0.7, 1.4, HEAD["shape"][0], dtype=np.float32)[:, None, None]
    shaded = tmp_path / "shaded" / "scan.nii.gz"  # of the same name, and so of the same noise
    shaded.parent.mkdir()
    image = nib.Nifti1Image(np.asarray(head.image.dataobj) * shades, None, head.image.header)
    nib.save(image, shaded)
    posed(monkeypatch, 0, gain=lambda data: np.broadcast_to(shades, data.shape).copy())
    even, region, _ = edited(head, tmp_path / "even", prepare=False, **QUICK)
    files = {"scan": shaded, "pathology": head.pathology, "brain": head.brain, "prepare": True}
    edit(**files, output_dir=tmp_path / "out", **QUICK)
    back, _, _ = result(tmp_path / "out")
    assert np.abs(back / shades - even)[region].max() < 1e-3 * even.max()
    assert np.array_equal(back[~region], np.asarray(image.dataobj)[~region])


@pytest.mark.slow
def test_when_it_is_done(tmp_path, monkeypatch):
    """By default where a network had to find the brain; never for a mask of the user's, unless that is asked for."""
    head = write_head(tmp_path / "head", **HEAD)
    calls = posed(monkeypatch, 0)
    raw = tmp_path / "raw.nii.gz"
    scan = np.asarray(head.image.dataobj)
    rng = np.random.default_rng(0)
    nib.save(nib.Nifti1Image(np.where(scan == 0, rng.integers(1, 60, scan.shape), scan), None, head.image.header), raw)
    mask = np.asarray(nib.load(head.brain).dataobj) > 0
    monkeypatch.setattr(extract, "extracted_brain", lambda scan: mask)
    options = {"output_dir": tmp_path / "out", **QUICK}
    edit(scan=raw, pathology=head.pathology, brain=head.brain, **options)
    assert calls == []
    edit(scan=raw, pathology=head.pathology, **options)
    assert len(calls) == 1
    with pytest.raises(InputError, match="skull-stripped"):
        edit(scan=raw, pathology=head.pathology, prepare=False, **options)
    with pytest.raises(InputError, match="60 mm or more"):
        slab = write_head(tmp_path / "slab", shape=(60, 75, 10), spacing=(2.7, 2.7, 4.0))
        edit(scan=slab.scan, pathology=slab.pathology, brain=slab.brain, prepare=True, **options)


@pytest.mark.slow
def test_slices_of_a_tilted_head(tmp_path, monkeypatch):
    head = write_head(tmp_path / "head", **HEAD)
    posed(monkeypatch, 20)
    files = {"scan": head.scan, "pathology": head.pathology, "brain": head.brain}
    edit(
        **files, output_dir=tmp_path / "out", spatial_dims=2, slice_index="auto", steps=1, prepare=True, progress=False
    )
    assert any("turned by 20°" in one for one in result(tmp_path / "out")[2]["warnings"])
