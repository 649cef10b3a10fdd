# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Brains to simulate from. Embedded: the ICBM 152 2009a template that nilearn ships, with its tissue maps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage


@dataclass(frozen=True)
class Anatomy:
    """
    A brain as tissue probability maps on a 1 mm RAS grid, XxYxZ each.

    Args:
        name: written to every case drawn from it.
        t1: T1 intensity in [0, 1], zero outside the brain.
        gray, white: probabilities in [0, 1]; what is left of 1 inside ``brain`` is cerebrospinal fluid.
        brain: brain mask.
        ventricles: lateral ventricles, 1 left and 2 right.
        affine: voxel → mm, 4x4.
    """

    name: str
    t1: np.ndarray
    gray: np.ndarray
    white: np.ndarray
    brain: np.ndarray
    ventricles: np.ndarray
    affine: np.ndarray


@lru_cache(maxsize=1)
def icbm152() -> Anatomy:
    """
    The ICBM 152 2009a template: 197x233x189, 1 mm, skull-stripped, RAS.

    nilearn ships no ventricle label. The lateral ventricles are the largest piece of fluid that lies deeper than
    12 mm below the brain's surface (17 ml), split at the midline.
    """
    from nilearn import datasets  # slow to import, and needed for the template only

    image = datasets.load_mni152_template(resolution=1)
    t1 = np.asarray(image.dataobj, dtype=np.float32)
    gray = np.asarray(datasets.load_mni152_gm_template(resolution=1).dataobj, dtype=np.float32)
    white = np.asarray(datasets.load_mni152_wm_template(resolution=1).dataobj, dtype=np.float32)
    brain = ndimage.binary_fill_holes(t1 > 0)
    fluid = brain & (gray + white < 0.5) & (ndimage.distance_transform_edt(brain) > 12)
    labels, _ = ndimage.label(ndimage.binary_opening(fluid))
    lateral = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    midline = -image.affine[0, 3] / image.affine[0, 0]
    side = np.where(np.arange(t1.shape[0]) < midline, 1, 2)[:, None, None]
    ventricles = np.where(lateral, side, 0).astype(np.uint8)
    return Anatomy("icbm152", t1, gray, white, brain, ventricles, np.asarray(image.affine, dtype=np.float64))
