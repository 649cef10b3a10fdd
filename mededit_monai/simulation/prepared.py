# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A brain made ready to draw slices and volumes from: soft tissue maps on a 1 mm RAS grid, and where MNI space is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy import ndimage

from mededit_monai.diseases.canvas import TISSUES
from mededit_monai.simulation.tissues import PARENCHYMA
from mededit_monai.simulation.ventricle_size import VentricleSizes
from mededit_monai.space.shapes import bounding_box, main_box

#: Extent of the cerebrum in MNI space, mm, (x, y, z) low and high: cortex of the ICBM 152 template. Lesions in MNI
#: space and slice heights are carried to a brain by matching this box.
MNI_CEREBRUM = np.array([[-71.0, 71.0], [-106.0, 73.0], [-45.0, 82.0]])

#: Depth below the brain's surface is stored as 128 ± 64 · log(1 + |mm| / 8): steps of 0.13 mm at the surface and 0.9 mm
#: at the largest depth that a byte holds, 50 mm.
DEPTH_STEPS, DEPTH_SOFT = 64.0, 8.0

#: So far outside a brain there is nothing to see: its edge is drawn within 6 mm.
FAR_MM = 10.0


@dataclass(frozen=True)
class PreparedAnatomy:
    """
    One brain.

    Args:
        name: of the file it came from; what a cohort is split by.
        kind: ``labels`` (painted), ``template`` (painted, with a share of its own T1) or ``scan`` (its own T1).
        channels: uint8, XxYxZxC, 255 = 1: the fractions of ``TISSUES``, then the code of :func:`depth_code`.
        box: bounding box of the brain in voxels, (3, 2), inclusive.
        mni_scale, mni_offset: MNI mm = scale × voxel + offset, per axis.
        intensity: T1 in [0, 1.2] where 1 is bright white matter, float32 XxYxZ; None for label maps.
    """

    name: str
    kind: str
    channels: np.ndarray
    box: np.ndarray
    mni_scale: np.ndarray
    mni_offset: np.ndarray
    intensity: np.ndarray | None = None

    @cached_property
    def table(self) -> torch.Tensor:
        """The channels as float32 rows, for :func:`sample`; about 240 MB."""
        return as_table(self.channels)

    @cached_property
    def near(self) -> np.ndarray:
        """Voxels in the brain or within 10 mm of it, bool XxYxZ: what a person may show."""
        return self.channels[..., -1] > depth_code(np.float32(-FAR_MM))

    @cached_property
    def ventricle_sizes(self) -> VentricleSizes:
        """Maps that make the lateral ventricles larger or smaller."""
        middle = self.voxel_of(0, 0.0)
        return VentricleSizes(self.channels[..., :-1], depth_mm(self.channels[..., -1].astype(np.float32)), middle)

    @property
    def has_ventricles(self) -> bool:
        """Whether a lateral ventricle is known."""
        first = TISSUES.index("left_ventricle")
        return bool((self.channels[..., first : first + 2] > 127).any())

    def voxel_of(self, axis: int, mni_mm: float) -> float:
        """Voxel coordinate along an axis that lies at an MNI coordinate."""
        return float((mni_mm - self.mni_offset[axis]) / self.mni_scale[axis])


def prepare(
    name: str,
    kind: str,
    fractions: np.ndarray,
    brain: np.ndarray,
    cerebrum: np.ndarray | None = None,
    intensity: np.ndarray | None = None,
    margin: int = 6,
) -> PreparedAnatomy:
    """
    Crop to the brain, encode, and find MNI space.

    Args:
        fractions: XxYxZxC in [0, 1], 1 mm, RAS; C = len(TISSUES).
        brain: bool XxYxZ, not empty.
        cerebrum: cortex and white matter, whose bounding box is matched to the template's; None takes the brain's own
            box, whose lower end (cerebellum) is ignored.
        intensity: of a real scan, 1 = bright white matter.
    """
    box = main_box(brain)
    scale, offset = _mni_from_box(bounding_box(cerebrum) if cerebrum is not None else None, box)
    start = np.maximum(box[:, 0] - margin, 0)
    stop = np.minimum(box[:, 1] + 1 + margin, brain.shape)
    crop = tuple(slice(a, b) for a, b in zip(start, stop))
    depth = signed_depth(brain[crop])
    channels = np.empty((*(b - a for a, b in zip(start, stop)), len(TISSUES) + 1), dtype=np.uint8)
    channels[..., :-1] = np.rint(np.clip(fractions[crop], 0, 1) * 255)
    channels[..., -1] = depth_code(depth)
    own = None if intensity is None else np.ascontiguousarray(intensity[crop], dtype=np.float32)
    return PreparedAnatomy(name, kind, channels, box - start[:, None], scale, offset + scale * start, own)


def depth_code(mm: np.ndarray) -> np.ndarray:
    """Signed depth in mm as whole numbers from 1 to 255, uint8."""
    size = DEPTH_STEPS * np.log1p(np.abs(mm) / DEPTH_SOFT)
    return np.rint(128 + np.sign(mm) * np.minimum(size, 127)).astype(np.uint8)


def depth_mm(code: np.ndarray) -> np.ndarray:
    """Signed depth of a code, which may lie between whole numbers; float32."""
    size = DEPTH_SOFT * np.expm1(np.abs(code - np.float32(128)) / np.float32(DEPTH_STEPS))
    return np.where(code < 128, -size, size).astype(np.float32)


def soft_classes(classes: np.ndarray, softness: float = 0.42) -> np.ndarray:
    """
    Class numbers (0 = other, k + 1 = TISSUES[k]; XxYxZ uint8) → fractions XxYxZxC, float32 in [0, 1].

    A Gaussian of 0.42 mm stands for the partial volume of a 1 mm voxel and takes the steps off the label map.
    """
    soft = np.zeros((*classes.shape, len(TISSUES)), dtype=np.float32)
    for number, place in enumerate(ndimage.find_objects(classes, max_label=len(TISSUES))):
        if place is not None:
            wider = tuple(slice(max(0, s.start - 3), s.stop + 3) for s in place)
            one = (classes[wider] == number + 1).astype(np.float32)
            soft[(*wider, number)] = ndimage.gaussian_filter(one, softness, truncate=3)
    return soft


def brain_of_classes(classes: np.ndarray, closing: float = 9.0) -> np.ndarray:
    """
    Brain mask as a skull-stripper would draw it: parenchyma and ventricles with sulci closed and holes filled.

    Worked out on 2 mm voxels: the mask is smooth, and its edge is drawn anew for every case.

    Args:
        classes: XxYxZ at 1 mm.
        closing: mm; sulci up to twice as wide are bridged.
    """
    table = np.zeros(len(TISSUES) + 1, dtype=bool)
    table[[TISSUES.index(t) + 1 for t in (*PARENCHYMA, "left_ventricle", "right_ventricle", "choroid")]] = True
    table[TISSUES.index("white_lesion") + 1] = True
    margin = int(closing) + 2
    inside = np.pad(table[classes[::2, ::2, ::2]], margin)
    near = ndimage.distance_transform_edt(~inside, sampling=2.0) <= closing
    closed = ndimage.distance_transform_edt(near, sampling=2.0) > closing
    labels, _ = ndimage.label(closed | inside)  # after closing: hemispheres may touch in few voxels
    closed = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    closed = ndimage.binary_fill_holes(closed)[margin:-margin, margin:-margin, margin:-margin]
    whole = np.repeat(np.repeat(np.repeat(closed, 2, 0), 2, 1), 2, 2)
    return whole[tuple(slice(0, n) for n in classes.shape)]


def signed_depth(brain: np.ndarray) -> np.ndarray:
    """Distance to the brain's surface in mm, positive inside, negative outside; from a 1 mm mask, float32."""
    coarse = ndimage.uniform_filter(brain.astype(np.float32), 2, origin=-1)[::2, ::2, ::2] >= 0.5
    inside = ndimage.distance_transform_edt(coarse, sampling=2.0)
    outside = ndimage.distance_transform_edt(~coarse, sampling=2.0)
    depth = np.where(coarse, inside - 1, 1 - outside).astype(np.float32)
    depth = ndimage.gaussian_filter(depth, 1.0, mode="nearest")
    axes = [np.clip((np.arange(n) - 0.5) / 2, 0, m - 1) for n, m in zip(brain.shape, depth.shape)]
    for axis, at in enumerate(axes):  # linear, one axis after the other
        low = np.minimum(at.astype(int), max(depth.shape[axis] - 2, 0))
        high = np.minimum(low + 1, depth.shape[axis] - 1)
        rest = (at - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        depth = depth.take(low, axis) * (1 - rest) + depth.take(high, axis) * rest
    return depth


def sample(volume: np.ndarray, points: np.ndarray, table: torch.Tensor | None = None) -> np.ndarray:
    """
    Trilinear interpolation of all channels at once: eight rows of a table, weighted and added (an embedding bag).

    Args:
        volume: XxYxZxC, any number type.
        points: 3x… voxel coordinates; outside the volume its border is taken.
        table: the volume as float32 rows, if it is at hand.

    Returns:
        Cx… float32.
    """
    sides = volume.shape[:3]
    if table is None:
        table = as_table(volume)
    lows, weights = [], []
    for axis in range(3):
        where = np.clip(points[axis].ravel(), 0, sides[axis] - 1).astype(np.float32)
        low = np.minimum(where.astype(np.int32), max(sides[axis] - 2, 0))
        lows.append(low)
        weights.append((1 - (where - low), where - low))
    base = (lows[0] * sides[1] + lows[1]) * sides[2] + lows[2]
    steps = [stride if side > 1 else 0 for stride, side in zip((sides[1] * sides[2], sides[2], 1), sides)]
    rows, shares = np.empty((len(base), 8), np.int32), np.empty((len(base), 8), np.float32)
    for corner in range(8):
        i, j, k = corner >> 2, (corner >> 1) & 1, corner & 1
        rows[:, corner] = base + (i * steps[0] + j * steps[1] + k * steps[2])
        shares[:, corner] = weights[0][i] * weights[1][j] * weights[2][k]
    found = torch.nn.functional.embedding_bag(
        torch.from_numpy(rows), table, per_sample_weights=torch.from_numpy(shares), mode="sum"
    )
    return np.ascontiguousarray(found.numpy().T).reshape(volume.shape[-1], *points.shape[1:])


def as_table(volume: np.ndarray) -> torch.Tensor:
    """XxYxZxC → (X·Y·Z)xC float32."""
    return torch.from_numpy(np.ascontiguousarray(volume).reshape(-1, volume.shape[-1])).float()


def _mni_from_box(cerebrum: np.ndarray | None, brain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale and offset per axis that carry voxels to MNI mm, by matching boxes."""
    box = (cerebrum if cerebrum is not None else brain).astype(np.float64)
    low, high = MNI_CEREBRUM.T
    scale = (high - low) / (box[:, 1] - box[:, 0])
    if cerebrum is None:  # the brain's lower end is the cerebellum: take the height from the other two axes
        scale[2] = (scale[0] + scale[1]) / 2
    return scale, high - scale * box[:, 1]
