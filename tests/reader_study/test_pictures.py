# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of images: one frame, one window, one size in bytes."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from reader_study.toy import DESIGN

from mededit_monai.core.errors import InputError
from mededit_monai.reader_study.design import design_of
from mededit_monai.reader_study.images import Candidate
from mededit_monai.reader_study.pictures import (
    MARGIN,
    OUTLINE,
    Shown,
    framed,
    load_image,
    pictures,
    planes_of,
    png,
    same_grid,
    white,
)

PLAN = design_of(DESIGN, "design")


def shown(image: np.ndarray, sides=(1.0, 1.0, 1.0), **more) -> Shown:
    return Shown({"image": image.astype(np.float32), **more}, sides)


def chunks(content: bytes) -> list[bytes]:
    found, place = [], 8
    while place < len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        found.append(content[place + 4 : place + 8])
        place += 12 + length
    return found


def test_bytes_say_nothing_about_pixels():
    rng = np.random.default_rng(0)
    images = [(rng.random((40, 30)) * top).astype(np.uint8) for top in (1, 20, 250)]
    assert len({len(png(image)) for image in images}) == 1 and len({len(png(image, True)) for image in images}) == 1
    assert set(chunks(png(images[2]))) == {b"IHDR", b"IDAT", b"IEND"}
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(images[2])))), images[2])


def test_the_frame_is_around_what_is_not_background():
    images = []
    for x, y, n in ((3, 4, 10), (20, 9, 6)):
        image = np.zeros((40, 30, 1))
        image[x : x + n, y : y + n] = 100
        images.append(shown(image))
    first, second = (one.parts["image"] for one in framed(images))
    assert first.shape == second.shape == (10 + 2 * MARGIN,) * 2 + (1,)
    assert (first > 0).sum() == 100 and (second > 0).sum() == 36
    for one, n in ((first, 10), (second, 6)):
        assert np.argwhere(one > 0).min(axis=0)[:2].tolist() == [MARGIN + (10 - n) // 2] * 2


def test_noise_around_a_brain_changes_neither_frame_nor_window():
    """A method that does not mask its result leaves specks around it; its brain must be shown as all others are."""
    clean = np.zeros((40, 40, 1))
    clean[12:28, 12:28] = np.linspace(50, 100, 16)[:, None, None]
    noisy = clean + np.abs(np.random.default_rng(0).normal(0, 1.2, clean.shape))
    noisy[2, 3] = noisy[37, 30] = 9
    one, other = (image.parts["image"] for image in framed([shown(clean), shown(noisy)]))
    assert one.shape == other.shape == (16 + 2 * MARGIN,) * 2 + (1,) and np.abs(one - other).max() < 7
    assert white(other) == pytest.approx(white(one), rel=0.04)


def test_window_and_outline():
    image = np.full((30, 30, 1), 50.0)
    image[0, 0] = 1e4  # one voxel that is far too bright does not darken all others
    mask = np.zeros((30, 30, 1))
    mask[10:20, 10:20] = 1
    one = shown(image, prior=np.full((30, 30, 1), 25.0, np.float32), mask=mask)
    made = pictures(one, ("image", "prior", "mask"), planes_of(one, PLAN))
    grey = {part: np.asarray(Image.open(io.BytesIO(files[0]))) for part, files in made.items()}
    assert np.median(grey["image"]) == OUTLINE - 1 and np.median(grey["prior"]) == (OUTLINE - 1) // 2
    ring = grey["mask"] == OUTLINE
    assert ring.sum() == 40 and np.array_equal(grey["mask"][~ring], grey["prior"][~ring])
    colours = np.asarray(Image.open(io.BytesIO(made["mask"][0])).convert("RGB"))
    assert set(map(tuple, colours[ring])) == {(255, 80, 60)} and (np.ptp(colours[~ring], axis=1) == 0).all()


def test_planes_of_a_volume():
    """Right, front and top are marked with 1, 2 and 3: where they are in each plane, and how many slices there are."""
    plan = replace(PLAN, dims=3, slices=5)
    image = np.zeros((20, 24, 16))
    image[19], image[:, 23], image[:, :, 15] = 100, 200, 300
    one = shown(image, sides=(1.0, 1.0, 2.0))
    planes = planes_of(one, plan)
    assert [(p.name, p.width, p.height, p.aspect, p.slices) for p in planes] == [
        ("axial", 20, 24, 1.0, 5),
        ("coronal", 20, 16, 2.0, 5),
        ("sagittal", 24, 16, 2.0, 5),
    ]
    axial, coronal, sagittal = (
        np.asarray(Image.open(io.BytesIO(p))) for p in pictures(one, ("image",), planes)["image"]
    )
    assert axial.shape == (5 * 24, 20) and coronal.shape == (5 * 16, 20) and sagittal.shape == (5 * 16, 24)
    assert (axial[0] > axial[1, 0]).all() and axial[1, 0] > 0 == axial[
        1, 1
    ]  # front up, the patient's right on the left
    assert (coronal[0] > coronal[1, 0]).all() and coronal[1, 0] > 0 == coronal[1, 1]
    assert (sagittal[0] > sagittal[1, 0]).all() and sagittal[1, 0] > 0 == sagittal[1, 1]  # the nose on the left


def test_pixels_of_different_sizes():
    two = [shown(np.ones((20, 20, 1)), (side, side, 1.0)) for side in (1.0, 2.0)]
    with pytest.raises(InputError, match="pixels of 1x1 and 2x2 mm"):
        same_grid(two, PLAN)
    small, large = same_grid(two, replace(PLAN, pixel_mm=2.0))
    assert small.parts["image"].shape == (10, 10, 1) and large.parts["image"].shape == (20, 20, 1)
    assert small.sides == large.sides == (2.0, 2.0, 1.0)


def write(path: Path, array: np.ndarray, flip: bool = False) -> Path:
    image = nib.Nifti1Image(array.astype(np.float32), np.diag([-1.0 if flip else 1.0, 1, 1, 1]))
    nib.save(image, path)
    return path


def test_the_slice_with_most_lesion(tmp_path):
    image = np.arange(6 * 6 * 5).reshape(6, 6, 5)
    mask = np.zeros((6, 6, 5))
    mask[2:4, 2:4, 3] = mask[2, 2, 1] = 1
    files = {"image": write(tmp_path / "i.nii", image), "mask": write(tmp_path / "m.nii", mask)}
    found = load_image(Candidate("real", "a", "a", "", files), PLAN)
    assert np.array_equal(found.parts["image"][..., 0], image[..., 3])
    with pytest.raises(InputError, match="which slice is to be shown"):
        load_image(Candidate("real", "a", "a", "", {"image": files["image"]}), PLAN)
    with pytest.raises(InputError, match="is a slice, but the design is of volumes"):
        flat = {"image": write(tmp_path / "f.nii", image[..., :1])}
        load_image(Candidate("real", "a", "a", "", flat), replace(PLAN, dims=3))
    with pytest.raises(InputError, match="wanted all on one grid"):
        files["prior"] = write(tmp_path / "p.nii", image[:5])
        load_image(Candidate("real", "a", "a", "", files), PLAN)


def test_an_edit_lies_as_its_prior_does(tmp_path):
    """Files of an evaluation hold no affine: their voxels are in the order of the prior's file."""
    plane = np.arange(30.0).reshape(6, 5)
    np.savez(tmp_path / "edit.npz", edit=plane.astype(np.float32), nfe=1, seconds=1.0)
    prior = write(tmp_path / "p.nii", plane[..., None], flip=True)
    one = load_image(Candidate("smooth", "a", "a", "", {"image": tmp_path / "edit.npz", "prior": prior}), PLAN)
    assert np.array_equal(one.parts["image"], one.parts["prior"])
    assert np.array_equal(one.parts["image"][..., 0], plane[::-1])
