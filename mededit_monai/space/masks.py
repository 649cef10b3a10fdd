# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Pathology masks: dilation, the region to edit, and boxes around components."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage


def dilate(mask: torch.Tensor, kernel: int) -> torch.Tensor:
    """
    Dilate by a square (cube): a stride-1 maximum filter of side ``kernel`` with the same shape out.

    Args:
        mask: binary, NxCxHxW[xD], any dtype.
        kernel: side in pixels; 0 and 1 change nothing. For an even side the window of output pixel i is
            [i - kernel/2, i + kernel/2 - 1], so the mask grows by one pixel more toward higher indices.

    Returns:
        bool tensor of the same shape.

    Raises:
        ValueError: for a negative kernel.
    """
    if kernel < 0:
        raise ValueError(f"dilation must not be negative, got {kernel}.")
    binary = mask > 0
    if kernel <= 1:
        return binary
    spatial = mask.ndim - 2
    before, after = kernel // 2, (kernel - 1) // 2
    pool = torch.nn.functional.max_pool2d if spatial == 2 else torch.nn.functional.max_pool3d
    reached = torch.nn.functional.pad(binary.float(), [before, after] * spatial)
    for axis in range(spatial):  # one after the other: a cube of 25 would compare 15625 voxels for every one
        reached = pool(reached, kernel_size=[kernel if other == axis else 1 for other in range(spatial)], stride=1)
    return reached > 0


def edit_region(pathology: torch.Tensor, brain: torch.Tensor, dilation: int, within_brain: bool = True) -> torch.Tensor:
    """
    M = dilate(p, k) ∩ b, the region that an edit may change.

    Args:
        pathology: NxKxHxW[xD]; several channels (tumour regions) are united.
        brain: Nx1xHxW[xD].
        within_brain: "∩ b" of the authors' release; off, the bare dilation of the thesis's text.

    Returns:
        bool, Nx1xHxW[xD].
    """
    region = dilate(pathology.amax(dim=1, keepdim=True), dilation)
    return region & (brain > 0) if within_brain else region


def tapered_dilation(stack: np.ndarray, kernel: int, slice_pixels: float) -> np.ndarray:
    """
    Dilate a stack of slices in the plane by ``kernel`` and across slices with a kernel that shrinks with distance.

    ``dilate`` slice by slice would leave the ventricle above and below the lesion untouched and end abruptly. Here a
    slice at a distance of d pixels is reached by a kernel of ``kernel - 2d``: the union is a square bipyramid.

    Args:
        stack: binary, ZxHxW.
        slice_pixels: distance of neighbouring slices in model pixels.

    Returns:
        bool, ZxHxW.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(stack)).bool()[:, None]
    reached = dilate(tensor, kernel)
    offset = 1
    while kernel - 2 * offset * slice_pixels >= 1 and offset < len(stack):
        smaller = dilate(tensor, int(kernel - 2 * offset * slice_pixels))
        reached[offset:] |= smaller[:-offset]
        reached[:-offset] |= smaller[offset:]
        offset += 1
    return reached[:, 0].numpy()


def component_boxes(mask: np.ndarray) -> np.ndarray:
    """
    Replace each connected component by its bounding box (diagonal neighbours connected; single pixels count).

    Args:
        mask: binary, HxW[xD].

    Returns:
        bool array of the same shape; equal to the mask where every component is a filled box.
    """
    labels, _ = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    boxes = np.zeros(mask.shape, dtype=bool)
    for place in ndimage.find_objects(labels):
        boxes[place] = True
    return boxes
