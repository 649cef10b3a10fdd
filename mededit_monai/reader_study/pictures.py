# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Images as a page shows them, all by one procedure: one frame, one window, files of one size.

The PNG files are stored, not deflated: how well pixels compress says how smooth they are, and with it who made them.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nibabel.orientations import apply_orientation, io_orientation
from PIL import Image
from scipy import ndimage

from mededit_monai.core.errors import InputError
from mededit_monai.evaluation.edits import read_edit
from mededit_monai.io.nifti import Volume, read_volume
from mededit_monai.reader_study.design import Design
from mededit_monai.reader_study.images import Candidate
from mededit_monai.reports.preview import upright

#: Background around the brain, in pixels.
MARGIN = 4

#: Of the bright voxels' intensities, what becomes white; and the share of it below which is background.
WHITE_PERCENTILE, BACKGROUND = 99.5, 0.04

#: The grey value that stands for the outline in a picture of a mask, and its colour.
OUTLINE, OUTLINE_COLOUR = 255, (255, 80, 60)

#: Plane → the axes of RAS order that it shows (to the right, up) and the one that its slices follow.
PLANES = {"axial": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0)}


@dataclass(frozen=True)
class Shown:
    """
    What belongs to an image of a study, XxYxZ float32 in RAS order; Z is 1 of a slice.

    Args:
        parts: ``image``, and perhaps ``prior`` and ``mask``, of one shape.
        sides: of a voxel, mm.
    """

    parts: Mapping[str, np.ndarray]
    sides: tuple[float, float, float]


@dataclass(frozen=True)
class Plane:
    """
    A plane of all pictures of a study; a picture of it has its slices one below the other.

    Args:
        name: axial, coronal or sagittal.
        width, height: of a slice in pixels; aspect: of a pixel, its height by its width.
        slices: how many.
    """

    name: str
    width: int
    height: int
    aspect: float
    slices: int


def load_image(one: Candidate, design: Design) -> Shown:
    """
    Read the files of an image; of a volume in a study of slices, the axial slice with the most lesion.

    Raises:
        InputError: a file that cannot be read, shapes that differ, or a volume without mask in a study of slices.
    """
    prior = read_volume(one.files["prior"]) if "prior" in one.files else None
    reference = prior if prior is not None or "mask" not in one.files else read_volume(one.files["mask"])
    parts, sides = {}, (1.0, 1.0, 1.0)
    for part, path in one.files.items():
        parts[part], sides = _read(path, reference) if part != "prior" or prior is None else (prior.data, prior.spacing)
    shapes = {part: array.shape for part, array in parts.items()}
    if len(set(shapes.values())) > 1:
        told = ", ".join(f"{part} {shape}" for part, shape in shapes.items())
        raise InputError(f"arm '{one.arm}', case '{one.case}': has {told}; wanted all on one grid.")
    depth = parts["image"].shape[2]
    if design.dims == 3 and depth == 1:
        raise InputError(f"{one.files['image']}: is a slice, but the design is of volumes (dims: 3); choose another.")
    if design.dims == 2 and depth > 1:
        if "mask" not in parts:
            raise InputError(
                f"{one.files['image']}: is a volume, and without a mask nobody can say which slice is to be shown; add "
                f"a mask, cut the slice, or set the design's dims to 3."
            )
        level = int((parts["mask"] > 0).sum(axis=(0, 1)).argmax())
        parts = {part: array[..., level : level + 1] for part, array in parts.items()}
    return Shown({part: np.asarray(array, np.float32) for part, array in parts.items()}, sides)


def _read(path: Path, reference: Volume | None) -> tuple[np.ndarray, tuple[float, float, float]]:
    if path.suffix != ".npz":
        volume = read_volume(path)
        return volume.data, volume.spacing
    stored = read_edit(path)
    if stored is None:
        raise InputError(f"{path}: is no whole edit of 'mededit evaluate'; run it again.")
    array = stored.edit.reshape(*stored.edit.shape[:2], -1)
    if reference is None:
        return array, (1.0, 1.0, 1.0)
    return apply_orientation(array, io_orientation(reference.native_affine)), reference.spacing


def same_grid(images: Sequence[Shown], design: Design) -> list[Shown]:
    """
    Images with voxels of one size.

    Raises:
        InputError: they differ, and the design has no ``pixel_mm``: resolution would tell the arms apart.
    """
    axes = design.dims
    if design.pixel_mm is not None:
        return [_resampled(one, design.pixel_mm, axes) for one in images]
    first = images[0].sides[:axes]
    other = next((one.sides[:axes] for one in images if not np.allclose(one.sides[:axes], first, rtol=0.01)), None)
    if other is not None:
        found = " and ".join("x".join(f"{side:g}" for side in sides) for sides in (first, other))
        raise InputError(
            f"the images have pixels of {found} mm, which would tell them apart; bring all to one grid, or set the "
            f"design's pixel_mm."
        )
    return list(images)


def _resampled(one: Shown, side: float, axes: int) -> Shown:
    factors = [mm / side for mm in one.sides[:axes]] + [1.0] * (3 - axes)
    parts = {
        part: ndimage.zoom(array, factors, order=0 if part == "mask" else 1, mode="nearest", grid_mode=True)
        for part, array in one.parts.items()
    }
    return Shown(parts, (side,) * axes + one.sides[axes:])


def framed(images: Sequence[Shown]) -> list[Shown]:
    """All images in frames of one size, each around what is not its background."""
    boxes = [_box(one.parts["image"]) for one in images]
    size = np.max([high - low for low, high in boxes], axis=0)
    size[:2] += 2 * MARGIN
    if images[0].parts["image"].shape[2] > 1:
        size[2] += 2 * MARGIN
    return [
        Shown({k: _cut(a, low, high, size) for k, a in one.parts.items()}, one.sides)
        for one, (low, high) in zip(images, boxes)
    ]


def _box(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    inside = image > BACKGROUND * white(image)
    # Specks of noise in the background are nothing to frame.
    whole = ndimage.binary_opening(inside, np.ones([3 if n > 1 else 1 for n in image.shape]))
    bright = np.argwhere(whole if whole.any() else inside)
    if not len(bright):
        return np.zeros(3, int), np.array(image.shape)
    return bright.min(axis=0), bright.max(axis=0) + 1


def _cut(array: np.ndarray, low: np.ndarray, high: np.ndarray, size: np.ndarray) -> np.ndarray:
    """A part of an array of the given size with a box in its middle; the array's lowest value beyond its border."""
    start = (low + high - size) // 2
    before = np.maximum(-start, 0)
    after = np.maximum(start + size - array.shape, 0)
    padded = np.pad(array, list(zip(before, after)), constant_values=float(array.min()))
    return padded[tuple(slice(s, s + n) for s, n in zip(start + before, size))]


def white(image: np.ndarray) -> float:
    """The intensity that becomes white: a percentile of what is not background, noisy or clean, of whatever arm."""
    found = 0.0
    for _ in range(2):
        above = image[image > BACKGROUND * found]
        found = float(np.percentile(above, WHITE_PERCENTILE)) if above.size else 1.0
    return found


def planes_of(one: Shown, design: Design) -> tuple[Plane, ...]:
    """The planes of a study's pictures, by any of its framed images."""
    shape = one.parts["image"].shape
    names = ("axial",) if design.dims == 2 else tuple(PLANES)
    found = []
    for name in names:
        across, up, along = PLANES[name]
        slices = min(design.slices, shape[along])
        found.append(Plane(name, shape[across], shape[up], round(one.sides[up] / one.sides[across], 4), slices))
    return tuple(found)


def pictures(one: Shown, parts: Iterable[str], planes: Sequence[Plane]) -> dict[str, list[bytes]]:
    """
    PNG files of an image: part → one a plane.

    The prior has the image's window, so that the two can be compared; ``mask`` is the prior with the lesion's outline.
    """
    low, high = float(min(one.parts["image"].min(), 0)), white(one.parts["image"])
    found = {}
    for part in parts:
        source = one.parts["prior" if part == "mask" and "prior" in one.parts else "image" if part == "mask" else part]
        grey = np.rint(np.clip((source - low) / max(high - low, 1e-6), 0, 1) * (OUTLINE - 1)).astype(np.uint8)
        found[part] = [_sprite(grey, one.parts["mask"] > 0 if part == "mask" else None, plane) for plane in planes]
    return found


def _sprite(grey: np.ndarray, mask: np.ndarray | None, plane: Plane) -> bytes:
    along = PLANES[plane.name][2]
    places = np.linspace(0, grey.shape[along] - 1, plane.slices + 2)[1:-1] if plane.slices < grey.shape[along] else None
    numbers = range(grey.shape[along]) if places is None else np.rint(places).astype(int)
    rows = []
    for number in numbers:
        drawn = np.take(grey, number, axis=along)
        if mask is not None:
            inside = np.take(mask, number, axis=along)
            drawn = np.where(ndimage.binary_dilation(inside) & ~inside, OUTLINE, drawn).astype(np.uint8)
        rows.append(upright(drawn))
    return png(np.concatenate(rows, axis=0), outlined=mask is not None)


def png(array: np.ndarray, outlined: bool = False) -> bytes:
    """An 8-bit PNG without metadata whose size depends on the array's shape alone."""
    picture = Image.fromarray(np.ascontiguousarray(array))
    if outlined:
        picture = picture.convert("P")
        colours = [level for grey in range(OUTLINE) for level in (grey,) * 3]
        picture.putpalette([*colours, *OUTLINE_COLOUR])
    stream = io.BytesIO()
    picture.save(stream, format="PNG", compress_level=0)
    return stream.getvalue()
