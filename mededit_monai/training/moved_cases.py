# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Training cases that have a displacement: read, cut to the brain, kept small, and put together in batches."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data.utils import list_data_collate
from monai.transforms import Transform

from mededit_monai.core.errors import InputError
from mededit_monai.io.displacement import read_displacement
from mededit_monai.networks.effects_network import brain_box, taper_weight


def require_moved_pairs(batchdata: Mapping[str, Any], family: str, crops: bool = False) -> None:
    """
    Refuse a batch without ``prior`` or ``displacement``, or without ``displaced``, which crops have instead.

    Raises:
        InputError: names the case and the way out.
    """
    for key in ("displaced",) if crops else ("prior", "displacement"):
        if key not in batchdata:
            first = batchdata.get("case_id", ["?"])[0]
            wanted = (
                "crops, as 'mededit simulate --crops' makes them"
                if crops
                else "pairs, as 'mededit simulate' makes them"
            )
            raise InputError(
                f"case '{first}' has no '{key}'; --family {family} wants {wanted}, and --config configs/{family}.yaml."
            )


class LoadDisplacementd(Transform):
    """
    Read ``displacement``, a file, as a tensor nxS in mm along the grid's axes, and ``pixel_mm``.

    Args:
        pixel_mm: side of a pixel that the network is made for.

    Raises:
        InputError: a case without displacement or on another grid, or what ``read_displacement`` refuses.
    """

    def __init__(self, spatial_dims: int, pixel_mm: float) -> None:
        self.spatial_dims, self.pixel_mm = spatial_dims, pixel_mm

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        case = dict(data)
        where = f"case '{case.get('case_id', '?')}'"
        if not case.get("displacement"):
            raise InputError(
                f"{where} has no 'displacement'; --family effects and paint want pairs, as 'mededit simulate' makes "
                f"them."
            )
        field, affine = read_displacement(case["displacement"])
        along = np.diag(np.diag(affine[:3, :3]))
        steps = np.diag(along)[: self.spatial_dims]
        if not np.allclose(affine[:3, :3], along, atol=1e-3) or np.abs(steps - self.pixel_mm).max() > 1e-2:
            raise InputError(
                f"{case['displacement']}: has the affine {affine[:3, :3].round(3).tolist()}, wanted a grid along RAS "
                f"with pixels of {self.pixel_mm:.4g} mm; simulate the cases for this disease."
            )
        vectors = torch.from_numpy(field[: self.spatial_dims])
        case["displacement"] = vectors[..., 0] if self.spatial_dims == 2 else vectors
        case["pixel_mm"] = self.pixel_mm
        case["global_atrophy"] = float(case.get("global_atrophy") or 0.0)
        return case


class CropToBraind(Transform):
    """
    Cut a case to the box of its brain, with even sides; ``plane_pixels`` tells how large its slices were.

    Args:
        keys: of tensors CxS of one shape; absent ones are left out. brain: key of the mask.
        margin: pixels more on each side.
    """

    def __init__(self, keys: Sequence[str], brain: str = "prior_brain", margin: int = 2) -> None:
        self.keys, self.brain, self.margin = tuple(keys), brain, margin

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        case = dict(data)
        mask = case[self.brain][0].numpy() > 0
        case["plane_pixels"] = mask.shape[0] * mask.shape[1]
        box = brain_box(mask, 2)
        if box is None:
            raise InputError(f"case '{case.get('case_id', '?')}': has an empty brain mask; mend the file.")
        sides = [
            slice(max(side.start - self.margin, 0), min(side.stop + self.margin, length))
            for side, length in zip(box, mask.shape)
        ]
        even = [slice(side.start, side.stop - (side.stop - side.start) % 2) for side in sides]
        for key in self.keys:
            if key in case:
                case[key] = case[key][(slice(None), *even)].clone()
        return case


class TaperWeightd(Transform):
    """
    Adds ``taper`` on half of the grid: how freely tissue moves (see
    :func:`~mededit_monai.networks.effects_network.taper_weight`).
    """

    def __init__(self, brain: str = "prior_brain", pixel_mm: float = 1.0) -> None:
        self.brain, self.pixel_mm = brain, pixel_mm

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        case = dict(data)
        weight = torch.from_numpy(taper_weight(case[self.brain][0].numpy() > 0, self.pixel_mm))
        return case | {"taper": halved(weight[None])}


def halved(image: torch.Tensor) -> torch.Tensor:
    """Means over 2 pixels a side, of one case: CxS → Cx(S/2)."""
    return halved_batch(image[None])[0]


def halved_batch(images: torch.Tensor) -> torch.Tensor:
    """Means over 2 pixels a side, of several cases: NxCxS → NxCx(S/2)."""
    pool = torch.nn.functional.avg_pool2d if images.ndim == 4 else torch.nn.functional.avg_pool3d
    found: torch.Tensor = pool(images, 2)
    return found


def at_nodes(fields: torch.Tensor) -> torch.Tensor:
    """
    Values at the nodes of half of the grid between which linear interpolation has the fields' means over 2 pixels a
    side: NxCxS → NxCx(S/2). Where a whole cell is 0 its node is 0: what stays still in truth stays still here.

    An edit interpolates what the network says. Between the means themselves that would smooth a second time, and a
    ventricle's change would lose a tenth.
    """
    nodes = halved_batch(fields)
    still = (nodes == 0).all(dim=1, keepdim=True)
    for axis in range(2, nodes.ndim):
        means = nodes.movedim(axis, 0)
        found = torch.linalg.solve(_means_between(len(means)).to(means), means.flatten(1))
        nodes = found.view(means.shape).movedim(0, axis)
    return nodes.masked_fill(still, 0.0)


def _means_between(count: int) -> torch.Tensor:
    """From nodes along an axis to the means over 2 pixels of what is interpolated between them: (1, 6, 1) / 8."""
    own = torch.eye(count)
    before, after = torch.cat([own[:1], own[:-1]]), torch.cat([own[1:], own[-1:]])  # at an edge the node itself
    return (before + 6 * own + after) / 8


class Compactd(Transform):
    """
    Keep a prepared case small: masks and labels in 8 bits, all else in half precision.

    Args:
        masks: keys of whole numbers; the other tensors are images and vectors.
    """

    def __init__(self, masks: Sequence[str]) -> None:
        self.masks = tuple(masks)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        return {
            key: (
                one.to(torch.uint8 if key in self.masks else torch.float16).contiguous()
                if isinstance(one, torch.Tensor)
                else one
            )
            for key, one in data.items()
        }


class Unpackd(Transform):
    """Single precision for all tensors of a case, as augmentation wants it."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        return {key: one.float() if isinstance(one, torch.Tensor) else one for key, one in data.items()}


def padded_batches(
    multiple: int, canvas: Sequence[int] = ()
) -> Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]]:
    """
    A ``collate_fn`` for cases cut to their brains: zeros around each, up to the canvas or what is larger in the batch,
    rounded up to a multiple.

    Tensors on half of the grid get half as many, so that both stay over each other.

    Args:
        multiple: of the network, at least 4.
        canvas: least sides. On one that has room for all, what a network makes of a case does not depend on the others.
    """

    def collate(cases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        shapes = [*([tuple(canvas)] if canvas else []), *(_spatial(one) for one in cases)]
        target = [-(-max(sides) // multiple) * multiple for sides in zip(*shapes)]
        found: dict[str, Any] = list_data_collate([_padded(one, target) for one in cases])
        return found

    return collate


def _spatial(case: Mapping[str, Any]) -> torch.Size:
    shape: torch.Size = case["prior" if "prior" in case else "image"].shape[1:]
    return shape


def _padded(case: Mapping[str, Any], target: Sequence[int]) -> dict[str, Any]:
    full = _spatial(case)
    padding: list[int] = []
    for side, wanted in zip(full, target):
        before = (wanted - side) // 4 * 2
        padding = [before, wanted - side - before, *padding]  # torch names the last axis first
    halves = [one // 2 for one in padding]
    return {
        key: (
            torch.nn.functional.pad(one, padding if one.shape[1:] == full else halves)
            if isinstance(one, torch.Tensor) and one.ndim == len(full) + 1
            else one
        )
        for key, one in case.items()
    }
