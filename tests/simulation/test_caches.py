# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Caches: what is damaged is made again, what changed is read again, and two processes do not disturb each other."""

from __future__ import annotations

import os
import time
from pathlib import Path
from threading import Event, Thread

import nibabel as nib
import numpy as np
import pytest
from filelock import FileLock
from simulation.small_brains import label_array, lesion_masks, save

from mededit_monai.core.errors import InputError
from mededit_monai.simulation import embedded
from mededit_monai.simulation.anatomies import load_anatomy
from mededit_monai.simulation.anatomy_cache import cache_path, recall, store
from mededit_monai.simulation.embedded import write_embedded_cohort
from mededit_monai.simulation.lesion_library import open_library


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)


def garbage(path: Path) -> None:
    path.write_bytes(b"[1, 2]")


@pytest.mark.one_in(4)
@pytest.mark.parametrize("harm", [cut, flip, garbage, Path.unlink])
@pytest.mark.parametrize("name", ["index.json", "bits.npy"])
def test_a_damaged_library_is_made_again(tmp_path, name, harm):
    masks = lesion_masks(tmp_path / "m", 2)
    whole = open_library(masks, tmp_path / "cache").mask(1)[0]
    harm(next((tmp_path / "cache").glob(f"*/{name}")))
    assert np.array_equal(open_library(masks, tmp_path / "cache").mask(1)[0], whole)
    assert not list(tmp_path.rglob("*unfinished*"))


def test_a_mask_of_the_same_size_that_changed_is_read_again(tmp_path):
    masks = lesion_masks(tmp_path / "m", 1)
    image = nib.load(masks / "lesion_0.nii.gz")
    plain = masks / "plain.nii"
    for shift in (0, 4):
        nib.save(nib.Nifti1Image(np.roll(np.asarray(image.dataobj), shift, 0), image.affine), plain)
        os.utime(plain, ns=(shift, shift))
        assert open_library(masks, tmp_path / "cache").mask(1)[1][0] == -42 + shift


def test_doubts_about_masks_are_told_every_time(tmp_path):
    masks = lesion_masks(tmp_path / "m", 1)
    image = nib.load(masks / "lesion_0.nii.gz")
    turned = np.diag([-1.0, -1, 1, 1])  # not mirrored
    image.set_sform(image.affine, code=1)
    image.set_qform(turned, code=1)
    nib.save(image, masks / "lesion_0.nii.gz")
    for _ in range(2):
        (warning,) = open_library(masks, tmp_path / "cache").warnings
        assert warning.startswith("lesion_0.nii.gz: its sform says")


@pytest.mark.parametrize("names", [("one.nii", "one.nii.gz"), ("deep/one.nii", "deep/one.NII")])
def test_two_files_of_one_name(tmp_path, names):
    for name in names:
        save(label_array(), tmp_path / "m" / "x.nii")
        (tmp_path / "m" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "m/x.nii").rename(tmp_path / "m" / name)
    with pytest.raises(InputError, match="has the same name as one.*wanted one file a name"):
        open_library(tmp_path / "m", tmp_path / "cache")


@pytest.mark.one_in(4)
@pytest.mark.parametrize("harm", [cut, flip, garbage, Path.unlink])
def test_a_damaged_anatomy_is_prepared_again(tmp_path, monkeypatch, harm):
    monkeypatch.setenv("MEDEDIT_CACHE", str(tmp_path / "cache"))
    path = save(label_array(), tmp_path / "a.nii.gz")
    load_anatomy.cache_clear()
    whole = load_anatomy(str(path)).channels
    harm(cache_path(tmp_path / "cache", [path]))
    load_anatomy.cache_clear()
    assert np.array_equal(load_anatomy(str(path)).channels, whole)


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    path = save(label_array(), tmp_path / "a.nii.gz")
    load_anatomy.cache_clear()
    anatomy = load_anatomy(str(path))
    (tmp_path / "cache").write_bytes(b"a file")
    store(anatomy, tmp_path / "cache" / "a.npz")

    def full(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    (tmp_path / "other").mkdir()
    store(anatomy, tmp_path / "other" / "a.npz")
    assert recall(tmp_path / "other" / "a.npz") is None and not list((tmp_path / "other").iterdir())


def test_labels_that_are_none(tmp_path):
    for value, dtype in ((-7, np.int16), (20000, np.int32), (2.5, np.float32)):
        labels = label_array().astype(dtype)
        labels[1, 1, 1] = value
        with pytest.raises(InputError, match=f"{value:g} among labels, wanted whole numbers from 0 to 14999"):
            load_anatomy(str(save(labels, tmp_path / f"bad{value}.nii.gz")))


@pytest.mark.slow
def test_a_damaged_case_of_the_embedded_cohort_is_made_again(tmp_path):
    datalist = write_embedded_cohort(tmp_path, "stroke", 1, 1, seed=3, progress=False)
    image = datalist.parent / "training_00000" / "image.nii"
    whole = image.read_bytes()
    cut(image)
    assert write_embedded_cohort(tmp_path, "stroke", 1, 1, seed=3, progress=False) == datalist
    assert image.read_bytes() == whole


def test_a_run_that_wants_the_same_embedded_cohort_waits(tmp_path, capsys):
    held = Event()

    def other() -> None:
        with FileLock(tmp_path / f".embedded_stroke_v{embedded.SIMULATOR_VERSION}_1+1_seed3.lock"):
            held.set()
            time.sleep(0.5)

    Thread(target=other).start()
    held.wait()
    assert write_embedded_cohort(tmp_path, "stroke", 1, 1, seed=3, progress=False).is_file()
    assert "another run is simulating embedded_stroke" in capsys.readouterr().err


@pytest.mark.parametrize("sizes", [(0, 1), (1, 0), (10**9, 1)])
def test_sizes_of_the_embedded_cohort(tmp_path, sizes):
    with pytest.raises(InputError, match="--(cohort|validation)_size: got"):
        write_embedded_cohort(tmp_path, "stroke", *sizes, seed=0, progress=False)
    assert not list(tmp_path.iterdir())
