# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Other images of the same person, taken along by a displacement: label maps, other sequences, quantitative maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from mededit_monai.core.errors import InputError
from mededit_monai.io.nifti import VALUE_TOLERANCE, NativeCopy, Volume, read_volume, whole_values
from mededit_monai.space.model_space import with_every_component
from mededit_monai.space.native_flow import SLAB, Box, NativeFlow, box_on, grid_points, places_in, places_of

#: Whole numbers are labels if they are so few, or if so large a share of neighbours along x is alike: a few hundredths
#: in a scan of whole numbers, four fifths in a parcellation of 200 regions.
FEW_VALUES, ALIKE = 32, 0.5


@dataclass(frozen=True)
class Carried:
    """
    A file to take along, on any grid of the scan's world.

    Args:
        volume: what it holds.
    """

    volume: Volume

    @property
    def name(self) -> str:
        """Its copy's name: the file's, if its format is written."""
        return self.volume.copy_name

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of its grid in RAS order."""
        x, y, z = self.volume.data.shape
        return x, y, z

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return self.volume.voxel_ml

    @cached_property
    def coded(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Of a label map: XxYxZ int32, which of its values each voxel has, and these values; None for other images."""
        some = self.volume.data[::3, ::3, ::3]  # of most images a look at a few voxels is enough
        if (np.abs(some - np.rint(some)) > VALUE_TOLERANCE).any():
            return None
        values = whole_values(self.volume)
        if (values != np.rint(values)).any():
            return None
        codes, found = pd.factorize(values.ravel())
        codes = codes.reshape(values.shape).astype(np.int32)
        if len(found) > FEW_VALUES:
            inside = values[1:] != 0
            if np.mean((codes[1:] == codes[:-1])[inside]) < ALIKE:
                return None
        return codes, np.asarray(found, dtype=np.float64)


def read_carried(paths: Sequence[str | Path], scan: Volume, lesion_label: int | None = None) -> list[Carried]:
    """
    Read what is taken along with a scan and check it before anything is computed.

    Args:
        lesion_label: what the lesion is to be called in label maps.

    Raises:
        InputError: a file that cannot be read or is not 3-D, two files of one name, one that lies beside the scan, a
            label that no label map is there for or that one of them cannot hold.
    """
    found: dict[str, Carried] = {}
    for path in paths:
        one = Carried(read_volume(path))
        other = found.setdefault(one.name.lower(), one)
        if other is not one:
            raise InputError(
                f"--carry: {other.volume.path} and {one.volume.path} have one name, and their copies would take each "
                f"other's place; rename one."
            )
        _require_overlap(one.volume, scan)
    maps = [one for one in found.values() if one.coded] if lesion_label is not None else []
    if lesion_label is not None and not maps:
        raise InputError(
            f"--lesion_label: got {lesion_label}, but none of the files of --carry is a label map ("
            f"{', '.join(one.name for one in found.values()) or 'there is none'}); leave it out or carry one."
        )
    for one in maps:
        _require_holds(one.volume, int(lesion_label or 0))
    return list(found.values())


def label_warnings(carried: Sequence[Carried], lesion_label: int | None) -> list[str]:
    """
    A sentence for each label map in which something else has the lesion's label already.

    Args:
        carried: of :func:`read_carried`; lesion_label: what the lesion is to be called there, if anything.
    """
    counts = {}
    for one in carried if lesion_label is not None else ():
        if one.coded:
            codes, values = one.coded
            counts[one.volume.path] = int(np.isin(codes, np.flatnonzero(values == lesion_label)).sum())
    return [
        f"{path}: {count} of its voxels have the label {lesion_label} already, which --lesion_label gives the lesion, "
        f"so that the two cannot be told apart; choose a label that the map does not have."
        for path, count in counts.items()
        if count
    ]


def _require_overlap(volume: Volume, scan: Volume) -> None:
    side = tuple(slice(0, n) for n in scan.data.shape)
    box = box_on((side[0], side[1], side[2]), places_of(volume.affine, scan.affine), volume.data.shape)
    if any(part.start >= part.stop for part in box):
        middles = [
            np.round(one.affine[:3, :3] @ ((np.array(one.data.shape) - 1) / 2) + one.affine[:3, 3]).astype(int).tolist()
            for one in (volume, scan)
        ]
        raise InputError(
            f"{volume.path}: lies beside the scan {scan.path} (their middles are at {middles[0]} and {middles[1]} mm), "
            f"wanted an image of the same head in the same world; register it to the scan first."
        )


def _require_holds(volume: Volume, label: int) -> None:
    copy = NativeCopy(volume)
    corner = np.s_[:1, :1, :1]
    copy.replace(np.full((1, 1, 1), float(label)), np.ones((1, 1, 1), bool), corner)
    if abs(float(copy.values(corner).item()) - label) > 1e-3:
        raise InputError(
            f"--lesion_label: got {label}, which {volume.path} cannot hold (its voxels would be "
            f"{copy.values(corner).item():g}); choose another label, or save the file in a larger data type."
        )


@dataclass(frozen=True)
class LabelSize:
    """Volume of a label before, all of it and outside p, and after the displacement outside p; ml."""

    before: float
    before_outside_lesion: float
    after_outside_lesion: float


def lesion_on(one: Carried, lesion: np.ndarray, affine: np.ndarray) -> tuple[Box, np.ndarray]:
    """
    A lesion mask on the grid of a carried file, by nearest voxels; a component that falls between the centres of coarse
    voxels keeps the one nearest to its middle.

    Args:
        lesion: p, bool on the scan's grid, XxYxZ RAS; it lies in the counterfactual's space and is not displaced.
        affine: the scan's, voxel → world mm.

    Returns:
        a box of the file's grid and, in it, where the lesion is.
    """
    sides = [np.flatnonzero(lesion.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    x, y, z = (slice(int(side[0]), int(side[-1]) + 1) if len(side) else slice(0, 0) for side in sides)
    to_scan = places_of(one.volume.affine, affine)
    box = box_on((x, y, z), to_scan, one.shape)
    found = np.zeros(tuple(side.stop - side.start for side in box), bool)
    for first in range(0, len(found), SLAB):
        part = found[first : first + SLAB]
        near = np.rint(grid_points(box, first, part.shape, to_scan)).astype(int)
        inside = ((near >= 0) & (near < np.array(lesion.shape)[:, None])).all(axis=0)
        part[...] = (inside & lesion[tuple(np.where(inside, near, 0))]).reshape(part.shape)
    start, back = np.array([side.start for side in box]), np.linalg.inv(to_scan)
    back[:3, 3] += back[:3, :3] @ [x.start, y.start, z.start]  # from voxels of the lesion's box
    there = _on_grid(lesion[x, y, z], back, one.shape)
    if not there.any():
        return box, found

    def nearest(voxels: np.ndarray) -> tuple[np.ndarray, ...]:
        places = np.rint(voxels @ back[:3, :3].T + back[:3, 3]).astype(int) - start
        return tuple(np.clip(places, 0, np.array(found.shape) - 1).T)

    return box, with_every_component(found, there, nearest)


def _on_grid(mask: np.ndarray, to_grid: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """The part of a mask that lies on another grid; ``to_grid``: voxels of the mask → voxels of the grid, 4x4."""
    found, voxels = np.zeros_like(mask), np.argwhere(mask)
    places = np.rint(voxels @ to_grid[:3, :3].T + to_grid[:3, 3])
    found[tuple(voxels[((places >= 0) & (places < shape)).all(axis=1)].T)] = True
    return found


def carried_copy(
    one: Carried, flow: NativeFlow, lesion: tuple[Box, np.ndarray] | None = None, label: int | None = None
) -> NativeCopy:
    """
    A copy of a file that moves with the scan: label maps by nearest voxels, other images linearly.

    Data type, geometry and scaling are the file's, and where u is 0 so are its bytes.

    Args:
        flow: on the file's grid.
        lesion: of :func:`lesion_on`; ``label`` is stamped there into label maps.
    """
    copy, moved = NativeCopy(one.volume), flow.moved
    values = np.zeros(moved.shape)
    values[moved] = flow.pulled(one.volume.data, order=0 if one.coded else 1)
    copy.replace(values, moved, flow.box)
    if one.coded and lesion is not None and label is not None:
        box, inside = lesion
        copy.replace(np.full(inside.shape, float(label)), inside, box)
    return copy


def label_sizes(one: Carried, flow: NativeFlow, lesion: tuple[Box, np.ndarray]) -> dict[int, LabelSize]:
    """
    Volumes of a map's labels: each is carried as a map of its own (1 in it, 0 elsewhere), linearly, and its shares are
    added up, so that no threshold makes steps of a voxel. 0, the background, is left out.

    Args:
        flow: on the map's grid.
        lesion: p on it, of :func:`lesion_on`: what lies under the lesion is no structure any more.
    """
    assert one.coded is not None, "only label maps have labels"
    codes, values = one.coded
    count = len(values)
    inside = np.zeros(one.shape, bool)
    inside[lesion[0]] = lesion[1]
    before = np.bincount(codes.ravel(), minlength=count).astype(np.float64)
    under = np.bincount(codes[inside], minlength=count)
    free = flow.moved & ~inside[flow.box]
    shares = before - under - np.bincount(codes[flow.box][free], minlength=count)
    for near, weight in _shares(codes, flow, free):
        shares += np.bincount(near, weight, count)
    sizes = np.stack([before, before - under, shares], axis=1) * one.voxel_ml
    return {int(values[k]): LabelSize(*map(float, sizes[k])) for k in np.argsort(values) if values[k] != 0}


def _shares(codes: np.ndarray, flow: NativeFlow, where: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For voxels of the flow's box, the codes around the places they are pulled from, and their linear weights."""
    most = np.array(codes.shape)[:, None] - 1
    for first in range(0, len(where), SLAB):
        places = places_in(where, first)
        points = places + flow.steps[(slice(None), *places)] + np.array(flow.start)[:, None]
        points = np.clip(points, 0, most)
        low = np.floor(points).astype(int)
        part = points - low
        for corner in np.ndindex(2, 2, 2):
            at = np.minimum(low + np.array(corner)[:, None], most)
            weight = np.prod([part[k] if up else 1 - part[k] for k, up in enumerate(corner)], axis=0)
            yield codes[tuple(at)], weight
