# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Displacements on disk: what is written is LPS with its intent, what is read is RAS, and 0 is 0."""

from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.io.displacement import read_displacement, write_displacement

#: Oblique, mirrored, 1 x 1 x 5 mm.
AFFINE = np.array([[-0.8, 0.6, 0, 3], [0.6, 0.8, 0, 4], [0, 0, 5, 5], [0, 0, 0, 1.0]])


def field(shape=(7, 6, 5), seed=0) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(3, *shape)).astype(np.float32)
    found[:, :3] = 0
    return found


def test_on_disk_it_is_lps_with_its_intent(tmp_path):
    """One voxel moves by (1, 2, 3) mm to the right, the front and the top: LPS has (-1, -2, 3)."""
    u = np.zeros((3, 4, 5, 6), np.float32)
    u[:, 1, 2, 3] = 1, 2, 3
    write_displacement(tmp_path / "u.nii.gz", u, AFFINE)
    image = nib.load(tmp_path / "u.nii.gz")
    stored = np.asarray(image.dataobj)
    assert stored.shape == (4, 5, 6, 1, 3) and stored.dtype == np.float32
    assert stored[1, 2, 3, 0].tolist() == [-1, -2, 3] and np.count_nonzero(stored) == 3
    assert not np.signbit(stored[stored == 0]).any()
    assert image.header["intent_code"] == 1007 and image.header.get_xyzt_units()[0] == "mm"
    assert b"synthetic" in image.header["descrip"].item()
    assert np.allclose(image.affine, AFFINE) and np.allclose(image.get_qform(), AFFINE, atol=1e-5)


@pytest.mark.parametrize("name", ["u.nii", "u.nii.gz"])
@pytest.mark.parametrize("step", [None, 0.001])
def test_round_trip(tmp_path, name, step):
    u = field()
    write_displacement(tmp_path / name, u, AFFINE, step)
    found, affine = read_displacement(tmp_path / name)
    assert found.dtype == np.float32 and np.allclose(affine, AFFINE)
    assert np.abs(found - u).max() <= (0 if step is None else step / 2 + 1e-6)
    assert np.array_equal(found == 0, u == 0) or step is not None
    assert not found[:, :3].any()


def test_a_slice_stays_in_its_plane(tmp_path):
    u = field()[:2, :, :, 0]
    write_displacement(tmp_path / "u.nii", u, AFFINE)
    found, _ = read_displacement(tmp_path / "u.nii")
    assert np.array_equal(found[:2, ..., 0], u) and not found[2].any()


def test_large_displacements_take_a_larger_step(tmp_path):
    """100 mm are not 32767 steps of 0.001 mm; nothing is cut off."""
    u = field() * np.float32(100)
    write_displacement(tmp_path / "u.nii", u, AFFINE, 0.001)
    found, _ = read_displacement(tmp_path / "u.nii")
    assert np.abs(found - u).max() <= np.abs(u).max() / 32767 / 2 * 1.01 and not found[:, :3].any()


def test_part_of_a_grid(tmp_path):
    u = field()
    write_displacement(tmp_path / "part.nii", u, AFFINE, shape=(10, 11, 12), start=(1, 2, 3))
    whole = np.zeros((3, 10, 11, 12), np.float32)
    whole[:, 1:8, 2:8, 3:8] = u
    write_displacement(tmp_path / "whole.nii", whole, AFFINE)
    assert (tmp_path / "part.nii").read_bytes() == (tmp_path / "whole.nii").read_bytes()


def test_the_same_bytes_again(tmp_path):
    for name in ("a.nii.gz", "b.nii.gz"):
        write_displacement(tmp_path / name, field(), AFFINE)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


NOT_FINITE = np.ones((3, 2, 2, 2))
NOT_FINITE[1, 0, 1, 1] = np.nan


@pytest.mark.parametrize("wrong", [np.zeros((3, 4, 5)), np.zeros((2, 4, 5, 6)), NOT_FINITE])
def test_what_is_no_displacement_is_not_written(tmp_path, wrong):
    with pytest.raises(ValueError, match="displacement"):
        write_displacement(tmp_path / "u.nii", wrong, AFFINE)
    assert not list(tmp_path.iterdir())


def saved(path, array, intent=1007):
    image = nib.Nifti1Image(array, AFFINE)
    image.header.set_intent(intent)
    nib.save(image, path)
    return path


def test_files_without_the_intent_are_refused(tmp_path):
    """As displacements were written before, in RAS mm: read as LPS they would be mirrored."""
    old = saved(tmp_path / "old.nii", np.zeros((4, 5, 6, 1, 3), np.float32), 0)
    with pytest.raises(InputError, match=r"old.nii: has the intent code 0, wanted 1007 .* make this one again"):
        read_displacement(old)


@pytest.mark.parametrize("shape", [(4, 5, 6), (4, 5, 6, 3), (4, 5, 6, 1, 2), (4, 5, 6, 2, 3)])
def test_other_shapes_are_refused(tmp_path, shape):
    with pytest.raises(InputError, match=r"has the shape .* wanted \(x, y, z, 1, 3\)"):
        read_displacement(saved(tmp_path / "u.nii", np.zeros(shape, np.float32)))


def test_what_is_damaged_is_refused(tmp_path):
    with pytest.raises(InputError, match="u.nii: holds NaN or infinite components"):
        read_displacement(saved(tmp_path / "u.nii", np.full((4, 5, 6, 1, 3), np.inf, np.float32)))
    write_displacement(tmp_path / "cut.nii.gz", field(), AFFINE)
    content = gzip.decompress((tmp_path / "cut.nii.gz").read_bytes())
    (tmp_path / "cut.nii").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="cut.nii: is truncated or damaged"):
        read_displacement(tmp_path / "cut.nii")
    with pytest.raises(InputError, match="no.nii: not found"):
        read_displacement(tmp_path / "no.nii")
