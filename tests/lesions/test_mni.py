# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from lesions.ball import write_ball

from mededit_monai.io.nifti import read_volume
from mededit_monai.lesions import mni
from mededit_monai.prepare import preparation
from mededit_monai.prepare.brain import brain_from_background


@pytest.fixture()
def register(monkeypatch):
    """A registration that finds a shift."""
    asked = []

    def registered(scan, brain):
        asked.append((scan.path.name, int(brain.sum())))
        shift = np.eye(4)
        shift[:3, 3] = (5, 0, -3)
        return SimpleNamespace(template_to_scan=shift, warnings=["doubtful."])

    monkeypatch.setattr(preparation, "registered", registered)
    monkeypatch.setattr(preparation, "bias_field", lambda data, brain, affine: np.full(data.shape, 2, np.float32))
    return asked


def test_a_scan_that_is_not_there_is_registered(tmp_path, register):
    scan = read_volume(write_ball(tmp_path))
    brain = brain_from_background(scan)
    assert abs(mni.likeness(scan, brain)) < 0.6
    space = mni.mni_space(scan, brain, "network")
    assert register == [("ball.nii.gz", int(brain.sum()))]
    assert space.how == "registered" and space.warnings == ("doubtful.",)
    assert np.array_equal(space.preparation.even.data, scan.data / 2) and space.preparation.brain_source == "network"
    assert space.from_scan(np.array([[5.0, 0, -3], [6, 1, 1]])).tolist() == [[0, 0, 0], [1, 1, 4]]


def test_the_template_itself_is_there(tmp_path, register):
    from nilearn.datasets import load_mni152_template

    image = load_mni152_template(resolution=4)
    data = np.asarray(image.dataobj, np.float32)
    for shift, there in ((0, True), (8, False)):
        affine = image.affine.copy()
        affine[0, 3] += shift
        nib.save(nib.Nifti1Image(data, affine), tmp_path / f"{shift}.nii.gz")
        scan = read_volume(tmp_path / f"{shift}.nii.gz")
        space = mni.mni_space(scan, data > 0 if np.all(np.diag(affine) > 0) else brain_from_background(scan))
        assert (space.how == "already there") == there
    assert len(register) == 1
