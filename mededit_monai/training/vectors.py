# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Flips and affine maps of cases with a displacement: vectors turn with the images.

If an image becomes in'(r) = in(T r), its displaced image out(r) = in(r + u(r)) becomes out(T r) = in'(r + T⁻¹ u(T r)):
vectors are taken from T r and turned back by the linear part of T. MONAI's transforms know images only.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import RandomizableTransform


class RandFlipVectorsd(RandomizableTransform):
    """
    Mirror left and right.

    Args:
        images: keys of tensors CxS; vectors: keys of tensors nxS, whose x changes its sign; absent ones are left out.
        prob: share of the calls that do.
    """

    def __init__(self, images: Sequence[str], vectors: Sequence[str] = ("displacement",), prob: float = 0.5) -> None:
        super().__init__(prob=prob)
        self.images, self.vectors = tuple(images), tuple(vectors)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Of one case."""
        case = dict(data)
        self.randomize(None)
        if self._do_transform:
            for key in (*self.images, *self.vectors):
                if key in case:
                    case[key] = case[key].flip(1)
            for key in self.vectors:
                if key in case:
                    case[key] = torch.cat([-case[key][:1], case[key][1:]])
        return case


class RandAffineVectorsd(RandomizableTransform):
    """
    Rotate about the middle, scale and shift. Tensors may lie on grids of several finenesses over the same box.

    Args:
        images: keys of tensors CxS that are interpolated linearly, labels: by the nearest; vectors: keys of tensors
            nxS in any unit of length; absent ones are left out.
        prob: share of the calls that do.
        rotate: largest angle in rad, about every axis in 3-D.
        scale: largest change of length along each axis, as a share.
        shift: largest shift along each axis, in pixels of the first image.
        room: so many pixels of the first image, an even number, are added on each side of what is moved, so that a
            case that was cut to its brain keeps all of it. most: sides beyond which nothing is added.
    """

    def __init__(
        self,
        images: Sequence[str],
        labels: Sequence[str] = (),
        vectors: Sequence[str] = ("displacement",),
        prob: float = 0.5,
        rotate: float = 0.15,
        scale: float = 0.1,
        shift: float = 3.0,
        room: int = 0,
        most: Sequence[int] = (),
    ) -> None:
        super().__init__(prob=prob)
        self.images, self.labels, self.vectors = tuple(images), tuple(labels), tuple(vectors)
        self.rotate, self.scale, self.shift = rotate, scale, shift
        self.room, self.most = room, tuple(most)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Of one case."""
        case = dict(data)
        self.randomize(None)
        if not self._do_transform:
            return case
        n = case[self.images[0]].ndim - 1
        angles = self.R.uniform(-self.rotate, self.rotate, 1 if n == 2 else 3)
        scales = 1 + self.R.uniform(-self.scale, self.scale, n)
        shift = self.R.uniform(-self.shift, self.shift, n)
        return case | self.moved(case, rotation(angles) @ np.diag(scales), shift)

    def moved(self, case: Mapping[Hashable, Any], linear: np.ndarray, shift: np.ndarray) -> dict[Hashable, Any]:
        """
        The case's tensors under T r = m + ``linear`` (r - m) + ``shift``, m the middle, with room around them.

        Args:
            linear: nxn; shift: n pixels of the first image.
        """
        present = [key for key in (*self.images, *self.labels, *self.vectors) if key in case]
        sides = np.array(case[self.images[0]].shape[1:], dtype=np.int64)
        most = np.array(self.most or sides + 2 * self.room)
        larger = sides + np.clip((most - sides) // 4 * 4, 0, 2 * self.room)  # as much on both sides, in even pixels
        found = {}
        for shape in dict.fromkeys(case[key].shape[1:] for key in present):
            where = _places(linear, shift, sides, larger, np.array(shape) * larger // sides)
            alike = [key for key in present if case[key].shape[1:] == shape]
            smooth = [key for key in alike if key not in self.labels]
            for keys, mode in ((smooth, "bilinear"), ([key for key in alike if key in self.labels], "nearest")):
                if not keys:
                    continue
                stack = torch.cat([case[key].float() for key in keys])[None]
                moved = torch.nn.functional.grid_sample(stack, where, mode=mode, align_corners=False)[0]
                found |= dict(zip(keys, moved.split([len(case[key]) for key in keys])))
        back = torch.from_numpy(np.linalg.inv(linear)).float()
        for key in self.vectors:
            if key in case:
                found[key] = torch.einsum("ij,j...->i...", back, found[key])
        return found


def rotation(angles: Sequence[float] | np.ndarray) -> np.ndarray:
    """Rotation matrix: of one angle in the plane, or of three about x, y and z, in this order."""
    if len(angles) == 1:
        c, s = np.cos(angles[0]), np.sin(angles[0])
        return np.array([[c, -s], [s, c]])
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = [other for other in range(3) if other != axis]
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[j, i] = np.sin(angle) * (1 if axis != 1 else -1)
        turn[i, j] = -turn[j, i]
        matrix = turn @ matrix
    return matrix


def _places(
    linear: np.ndarray, shift: np.ndarray, sides: np.ndarray, larger: np.ndarray, shape: np.ndarray
) -> torch.Tensor:
    """
    Where to sample a box of ``sides`` pixels for a grid of ``shape`` over one of ``larger`` around the same middle, as
    ``grid_sample`` wants it: 1xSxn.
    """
    # grid_sample counts from -1 to 1 over a box, whatever its sides, and names the last axis first
    theta = np.zeros((len(sides), len(sides) + 1))
    theta[:, :-1] = linear * larger[None, :] / sides[:, None]
    theta[:, -1] = 2 * shift / sides
    order = [*range(len(sides))][::-1]
    theta = theta[order][:, [*order, len(sides)]]
    size = [1, 1, *map(int, shape)]
    return torch.nn.functional.affine_grid(torch.from_numpy(theta).float()[None], size, align_corners=False)
