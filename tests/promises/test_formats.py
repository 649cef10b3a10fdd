# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""An edit of a scan in any format: the same voxels, in the scan's own format where that is written."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import write_head
from image_files import write_dicom, write_itk

from mededit_monai import edit
from mededit_monai.core.errors import InputError
from mededit_monai.io.nifti import read_volume
from mededit_monai.prepare.load import LoadCased

QUICK = {"slice_index": 10, "progress": False}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A head and the edit of it as NIfTI."""
    folder = tmp_path_factory.mktemp("formats")
    head = write_head(folder / "head", "LIA", rotation=9.0)
    edit(head.scan, head.pathology, folder / "plain", brain=head.brain, **QUICK)
    return folder


def in_format(place: Path, folder: Path, kind: str) -> Path:
    image = nib.load(place / "head" / "scan.nii.gz")
    array, path = np.asarray(image.dataobj), folder / f"scan.{kind}"
    if kind == "mgz":
        nib.save(nib.MGHImage(array, image.affine), path)
    elif kind == "dicom":
        return write_dicom(folder / "scan", array, image.affine)
    elif kind == "nii":
        nib.save(nib.Nifti1Image(np.stack([array // 2, array], axis=3), image.affine), path)
    else:
        write_itk(path, array, image.affine)
    return path


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("kind", "written", "warned"),
    [
        ("mgz", "edited.mgz", []),
        ("nhdr", "edited.nrrd", []),
        ("dicom", "edited.nii.gz", ["scan: DICOM is not written, so what is made of it is NIfTI (.nii.gz)."]),
        (
            "nii",
            "edited.nii.gz",
            ["scan.nii: holds 2 volumes; number 1 (from 0) was taken, and is written as a 3-D image."],
        ),
    ],
)
def test_an_edit_in_the_scan_s_format(place, tmp_path, kind, written, warned):
    scan = in_format(place, tmp_path, kind)
    masks = {"pathology": place / "head" / "pathology.nii.gz", "brain": place / "head" / "brain.nii.gz"}
    echo = {"echo": 1} if kind == "nii" else {}
    (folder,) = edit(scan, output_dir=tmp_path / "out", **masks, **echo, **QUICK)
    assert folder.name == "scan" and [path.name for path in folder.glob("edited.*")] == [written]
    wanted, found = read_volume(place / "plain" / "scan" / "edited.nii.gz"), read_volume(folder / written)
    assert np.array_equal(found.data, wanted.data) and np.allclose(found.affine, wanted.affine, atol=1e-3)
    before = read_volume(place / "head" / "scan.nii.gz")
    region = read_volume(folder / "edit_region.nii.gz")
    assert (found.data != before.data).any() and not (found.data != before.data)[region.data == 0].any()
    assert found.synthetic == (kind != "mgz")  # MGH has no text
    facts = json.loads((folder / "provenance.json").read_text())
    assert (facts["edited"], facts["warnings"], facts["options"]["echo"]) == (written, warned, echo.get("echo"))
    assert edit(scan, output_dir=tmp_path / "out", **masks, **echo, **QUICK) == []  # it is done


def test_an_echo_has_to_be_chosen(place, tmp_path):
    four, three = in_format(place, tmp_path, "nii"), place / "head" / "scan.nii.gz"
    for scan, echo, words in (
        (four, None, "choose one with --echo, from 0 to 1"),
        (four, 2, "--echo: got 2"),
        (three, 0, "--echo: got 0, but .* holds one volume"),
    ):
        case = {"scan": str(scan), "pathology": str(place / "head" / "pathology.nii.gz")}
        with pytest.raises(InputError, match=words):
            LoadCased()(case | {"request": {"options": {"echo": echo}}})


def test_what_moves_along_keeps_its_format(place, tmp_path):
    scan, others = in_format(place, tmp_path, "mgz"), [in_format(place, tmp_path, kind) for kind in ("nhdr", "mha")]
    others[1] = others[1].rename(tmp_path / "flair.mha")
    lesion = place / "head" / "pathology.nii.gz"
    (folder,) = edit(scan, lesion, tmp_path / "out", carry=others, **QUICK)
    assert sorted(path.name for path in (folder / "carried").iterdir()) == ["flair.mha", "scan.nrrd"]
    flair, same = (read_volume(folder / "carried" / name) for name in ("flair.mha", "scan.nrrd"))
    assert flair.synthetic and np.array_equal(flair.data, same.data)
