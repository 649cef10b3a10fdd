# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The brain as an elastic body: a tumour swells in it, an infarct shrinks, and fluid spaces yield first."""

from __future__ import annotations

import numpy as np
import scipy  # its parts are loaded at their first use

from mededit_monai.diseases import Disease
from mededit_monai.diseases.canvas import Canvas
from mededit_monai.diseases.record import Drawn
from mededit_monai.simulation.laws import LAWS, SIDES, side_of, source_of, within_brain
from mededit_monai.space.elasticity import elastic_displacement
from mededit_monai.space.fields import blur

#: Young's moduli (only their ratio counts) and Poisson's ratios: tissue hardly changes its volume; fluid has next to no
#: stiffness and drains, so that its spaces take what tissue gives up. Of the order of models of mass effect (Hogea,
#: Davatzikos & Biros, SIAM J Imaging Sci 2008).
TISSUE, FLUID = (1.0, 0.45), (0.05, 0.1)

#: Linear eigenstrain that is drawn, of what swells and of what shrinks (most of an infarct fills with fluid where
#: it lies): a ball in an endless body moves its surface by 0.88 of it times the radius.
SWELL, SHRINK = (0.15, 0.5), (0.05, 0.25)

#: Side of an element, mm, by number of axes.
ELEMENT_MM = {2: 2.4, 3: 5.4}


def elastic_velocity(disease: Disease, canvas: Canvas, regions: np.ndarray, rng: np.random.Generator) -> Drawn:
    """
    The displacement of linear elasticity, taken as the velocity of a flow, so that large ones do not fold.

    Nothing moves at the brain's surface. The lesion swells where the disease's ``ventricle_change`` is negative and
    shrinks where it is positive, edema by less; ventricles and sulci are soft.
    """
    strain = -disease.ventricle_change * float(rng.uniform(*(SHRINK if disease.ventricle_change > 0 else SWELL)))
    source = source_of(disease, regions)
    drawn = {"lesion_side": SIDES[side_of(canvas, regions > 0)], "eigenstrain": strain}
    return yielding(canvas, strain * source, source, canvas.brain), drawn


def yielding(canvas: Canvas, strain: np.ndarray, solid: np.ndarray, free: np.ndarray) -> np.ndarray:
    """
    Velocity of a brain of which parts swell or shrink.

    Args:
        strain: linear eigenstrain, S.
        solid: what is no soft fluid, whatever the canvas says, S in [0, 1]: a lesion that holds sulci shrinks as one.
        free: what may move, bool S: the brain, or a part of it.

    Returns:
        nxS in grid steps, pull-back, 0 outside the brain.
    """
    every = max(1, round(ELEMENT_MM[strain.ndim] / canvas.spacing))
    fluid = np.clip(canvas.ventricles.sum(axis=0) + canvas.fluid, 0, 1) * (1 - solid)
    soft, strain, inside = (_blocks(plane, every) for plane in (fluid, strain, free))
    young, poisson = (low * soft + high * (1 - soft) for high, low in zip(TISSUE, FLUID))
    moved = elastic_displacement(strain, young, poisson, inside > 0.5)
    return within_brain(-_on_points(moved, every, fluid.shape), canvas)  # where from, not where to


def _blocks(plane: np.ndarray, every: int) -> np.ndarray:
    """Means of blocks of points, the last ones filled up with 0; float64."""
    even = np.pad(np.asarray(plane, np.float64), [(0, -n % every) for n in plane.shape])
    sides = [m for n in even.shape for m in (n // every, every)]
    return even.reshape(sides).mean(axis=tuple(range(1, 2 * plane.ndim, 2)))


def _on_points(corners: np.ndarray, every: int, shape: tuple[int, ...]) -> np.ndarray:
    """A field at the blocks' corners, in blocks → on all points, in points, smoothed by half a block; float32."""
    at = np.meshgrid(*((np.arange(n) + 0.5) / every for n in shape), indexing="ij")
    fine = [scipy.ndimage.map_coordinates(component, at, order=1) for component in corners]
    return np.stack([blur(component * every, every / 2) for component in fine])


LAWS.add("elastic", elastic_velocity)
