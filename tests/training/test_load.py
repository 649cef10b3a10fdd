# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Images for training and evaluation are read to their checksums, by whichever process reads them."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import get_track_meta, set_track_meta
from monai.transforms import LoadImaged
from training.small_cases import TOY, small_cases

from mededit_monai.core.errors import InputError
from mededit_monai.training.load import LoadWholed
from mededit_monai.workflows import train

OPTIONS = {"keys": "image", "ensure_channel_first": True, "image_only": True}


def image(path: Path, dtype=np.float32) -> Path:
    data = np.random.default_rng(0).uniform(0, 100, (5, 6, 7)).astype(dtype)
    nib.save(nib.Nifti1Image(data, np.diag([2.0, 3, 4, 1])), path)
    return path


@pytest.fixture()
def tracked():
    """As MONAI begins; a training in the same process may have switched it off."""
    before = get_track_meta()
    set_track_meta(True)
    yield
    set_track_meta(before)


@pytest.mark.usefixtures("tracked")
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint8])
def test_whole_files_are_read_as_monai_reads_them(tmp_path, name, dtype):
    data = {"image": str(image(tmp_path / name, dtype))}
    ours, theirs = LoadWholed(**OPTIONS)(data)["image"], LoadImaged(**OPTIONS)(data)["image"]
    assert torch.equal(ours, theirs) and ours.dtype == theirs.dtype and torch.equal(ours.affine, theirs.affine)


def flipped(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 1  # of the checksum at the end of gzip
    path.write_bytes(raw)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def other(path: Path) -> None:
    path.write_bytes(gzip.compress(b"no image at all" * 100))


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("a.nii.gz", flipped, "truncated or damaged"),
        ("a.nii.gz", cut, "truncated or damaged"),
        ("a.nii", cut, "is truncated .* bytes, wanted"),
        ("a.nii.gz", other, "cannot be read as images"),
        ("a.nii", lambda path: path.write_bytes(b""), "is empty"),
        ("a.nii", lambda path: path.unlink(), "not found"),
        ("a.nii", folder, "is a folder, wanted a file"),
    ],
)
def test_a_file_that_is_not_whole_is_named(tmp_path, name, damage, words):
    path = image(tmp_path / name)
    damage(path)
    with pytest.raises(InputError, match=words) as caught:
        LoadWholed(**OPTIONS)({"image": str(path)})
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_is_looked_at_again_when_it_has_changed(tmp_path):
    path, load = image(tmp_path / "a.nii.gz"), LoadWholed(**OPTIONS)
    load({"image": str(path)})
    flipped(path)
    with pytest.raises(InputError, match="damaged"):
        load({"image": str(path)})


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("cache", "workers"),
    [("none", 1), ("memory", 0), ("disk", 0)]
    + [pytest.param(*more, marks=pytest.mark.slow) for more in (("none", 0), ("memory", 1), ("disk", 1))],
)
def test_a_damaged_case_ends_a_training_in_one_sentence(tmp_path, workers, cache):
    datalist = small_cases(tmp_path / "data")
    flipped(tmp_path / "data" / "image_1.nii.gz")
    options = TOY | {"cache": cache, "num_workers": workers, "datalist": str(datalist)}
    with pytest.raises(InputError) as caught:
        train(output_dir=tmp_path / "out", **options)
    sentence = str(caught.value)
    assert sentence.startswith(f"{tmp_path / 'data' / 'image_1.nii.gz'}: is truncated or damaged")
    assert "\n" not in sentence and sentence.count(".") < 6
    shutil.copy(tmp_path / "data" / "image_0.nii.gz", tmp_path / "data" / "image_1.nii.gz")
    train(output_dir=tmp_path / "out", **options)  # mended: the same command goes on


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_no_permission_in_a_worker(tmp_path):
    datalist = small_cases(tmp_path / "data")
    (tmp_path / "data" / "image_1.nii.gz").chmod(0)
    with pytest.raises(InputError, match="Permission denied"):
        train(output_dir=tmp_path / "out", datalist=str(datalist), **(TOY | {"cache": "none", "num_workers": 1}))
