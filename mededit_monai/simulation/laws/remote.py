# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Effects far from the lesion: the hemisphere and, of a stroke, the corticospinal tract."""

from __future__ import annotations

import numpy as np

from mededit_monai.diseases import Disease
from mededit_monai.diseases.canvas import Canvas
from mededit_monai.diseases.record import Drawn
from mededit_monai.simulation.laws import LAWS, SIDES, side_of
from mededit_monai.simulation.laws.elastic import yielding
from mededit_monai.space.fields import smoothstep
from mededit_monai.space.shapes import equivalent_radius

#: The right corticospinal tract in MNI space, mm, from the hand area of the precentral gyrus through corona radiata,
#: posterior limb of the internal capsule, cerebral peduncle and pons to the pyramid; by landmarks of atlases
#: (Mori et al., MRI Atlas of Human White Matter, 2005), good to about 5 mm. The left one is its mirror image.
TRACT = np.array(
    [(36, -24, 58), (27, -22, 38), (24, -17, 14), (20, -16, 0), (15, -18, -14), (7, -24, -30), (4, -34, -52)], float
)

#: Radius of the tract, mm; a lesion that comes so near to its axis cuts it, one twice as far spares it.
TRACT_MM, CUT_MM = 6.0, 10.0

#: Linear shrinkage that is drawn: of the white matter of the lesion's side, and of a tract that is cut.
WHITE_LOSS, TRACT_LOSS = (0.005, 0.03), (0.05, 0.2)


def remote_velocity(disease: Disease, canvas: Canvas, regions: np.ndarray, rng: np.random.Generator) -> Drawn:
    """
    White matter of the lesion's side shrinks (swells, where the disease's ventricles close), alike near the lesion and
    far from it, more with larger lesions; a stroke that cuts the corticospinal tract makes all of it thinner (Wallerian
    degeneration: Kuhn et al., Radiology 1989). Fluid spaces follow as in an elastic body (see ``elastic``); the falx
    and the other hemisphere hold still.
    """
    lesion, sign = regions > 0, disease.ventricle_change
    radius, side = equivalent_radius(lesion, canvas.spacing), side_of(canvas, lesion)
    white, tract = (float(rng.uniform(*bounds)) for bounds in (WHITE_LOSS, TRACT_LOSS))
    white *= min(1.0, radius / 20)
    own_side = smoothstep((canvas.mni[0] if side else -canvas.mni[0]) / 6 + 0.5)
    strain = -sign * white * canvas.white * own_side
    away = tract_distance(canvas.mni, right=bool(side))
    cut = float(np.clip(2 - away[lesion].min() / CUT_MM, 0, 1)) if sign > 0 else 0.0
    if cut:
        strain = strain - cut * tract * smoothstep((TRACT_MM - away) / 4 + 0.5) * (canvas.parenchyma > 0.5)
    drawn = {"lesion_side": SIDES[side], "lesion_radius_mm": radius, "white_strain": -sign * white}
    own_brain = canvas.brain & ((canvas.mni[0] > 0) == bool(side))
    return yielding(canvas, strain, lesion, own_brain), drawn | {"tract_cut": cut, "tract_strain": -cut * tract}


def tract_distance(mni: np.ndarray, right: bool) -> np.ndarray:
    """mm from points in MNI space (3xS, mm) to the axis of the corticospinal tract of a side; float32 S."""
    path = TRACT * (1 if right else -1, 1, 1)
    points, found = np.moveaxis(np.asarray(mni, np.float64), 0, -1), np.inf
    for start, stop in zip(path[:-1], path[1:]):
        along = stop - start
        share = np.clip((points - start) @ along / (along @ along), 0, 1)
        found = np.minimum(found, np.linalg.norm(points - start - share[..., None] * along, axis=-1))
    return np.asarray(found, np.float32)


LAWS.add("remote", remote_velocity)
