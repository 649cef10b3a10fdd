# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Which artery feeds a place in the brain, approximately.

The rule: a point of MNI space belongs to the territory of the nearest landmark of its hemisphere (x < 0 is the
patient's left). The landmarks are gyri and nuclei that textbooks name for each artery (for example Osborn's Brain, 2nd
ed. 2018, chapter 8); their coordinates are ours, set by eye on the ICBM 152 template, and good to a centimetre. People
differ by more where territories meet, so this is a rule to choose places by and no atlas.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree

SIDES = ("left", "right")

#: A lesion lies on a side if at least this share of it does.
ONE_SIDED = 0.8

#: Artery → its landmarks on the right, MNI mm; the left ones mirror them. VB, vertebrobasilar, is what lies below the
#: tentorium: cerebellum, pons, medulla, midbrain.
LANDMARKS: dict[str, dict[str, tuple[int, int, int]]] = {
    "ACA": {
        "gyrus rectus": (6, 35, -20),
        "subgenual cingulate": (6, 30, -2),
        "anterior cingulate": (6, 38, 15),
        "corpus callosum": (6, 2, 26),
        "middle cingulate": (6, -10, 42),
        "posterior cingulate": (6, -38, 38),
        "frontal pole, medial": (8, 62, 2),
        "superior frontal gyrus, medial": (8, 50, 30),
        "superior frontal gyrus": (16, 32, 50),
        "supplementary motor area": (8, 4, 62),
        "precentral gyrus at the vertex": (16, -18, 72),
        "paracentral lobule": (8, -30, 66),
        "precuneus, anterior": (8, -50, 55),
    },
    "MCA": {
        "insula": (38, 5, 2),
        "putamen": (26, 2, 2),
        "internal capsule, posterior limb": (23, -12, 12),
        "corona radiata": (24, 2, 28),
        "centrum semiovale": (26, -25, 34),
        "lateral orbital gyrus": (32, 35, -12),
        "frontal pole, lateral": (28, 56, 8),
        "inferior frontal gyrus": (48, 24, 10),
        "middle frontal gyrus": (36, 34, 32),
        "middle frontal gyrus, posterior": (38, 10, 48),
        "precentral gyrus": (44, -8, 46),
        "postcentral gyrus": (46, -26, 50),
        "supramarginal gyrus": (55, -35, 32),
        "superior parietal lobule": (30, -54, 56),
        "angular gyrus": (45, -62, 36),
        "superior temporal gyrus": (56, -20, 5),
        "superior temporal gyrus, anterior": (52, 5, -12),
        "temporal pole": (38, 12, -32),
        "middle temporal gyrus": (58, -18, -16),
        "middle temporal gyrus, posterior": (56, -48, 2),
        "inferior temporal gyrus": (52, -28, -26),
        "inferior temporal gyrus, posterior": (52, -56, -14),
        "optic radiation": (34, -48, 12),
        "lateral occipital gyrus": (42, -76, 10),
    },
    "PCA": {
        "thalamus": (11, -18, 8),
        "hippocampus": (27, -24, -12),
        "parahippocampal gyrus": (22, -18, -24),
        "fusiform gyrus": (32, -45, -17),
        "fusiform gyrus, posterior": (30, -72, -12),
        "lingual gyrus": (14, -62, -2),
        "retrosplenial cortex": (8, -46, 12),
        "calcarine sulcus": (12, -80, 8),
        "cuneus": (8, -84, 26),
        "precuneus, posterior": (10, -68, 36),
        "occipital pole": (16, -97, -2),
    },
    "VB": {
        "midbrain": (6, -24, -14),
        "pons": (6, -26, -32),
        "medulla": (4, -38, -52),
        "cerebellum, anterior lobe": (12, -50, -18),
        "cerebellum, superior": (20, -70, -24),
        "cerebellum, crus I": (38, -66, -32),
        "cerebellum, anterior lateral": (30, -46, -32),
        "cerebellum, crus II": (30, -78, -40),
        "cerebellum, inferior": (20, -50, -50),
        "cerebellum, vermis": (4, -66, -34),
    },
}

TERRITORIES = tuple(LANDMARKS)


def territory_of(points: np.ndarray, jitter: np.ndarray | None = None) -> np.ndarray:
    """
    Territory of points by the rule above.

    Args:
        points: MNI mm (RAS), ...x3.
        jitter: mm by which each point counts as displaced, ...x3: borders that differ from person to person.

    Returns:
        index into ``TERRITORIES``, uint8 of shape ``...``.

    Example:
        >>> [TERRITORIES[int(k)] for k in territory_of(np.array([[-50, -20, 10], [5, -90, 5]]))]
        ['MCA', 'PCA']
    """
    moved = np.asarray(points, np.float64) if jitter is None else points + jitter
    folded = np.concatenate([np.abs(moved[..., :1]), moved[..., 1:]], axis=-1)
    tree, owners = _tree()
    found: np.ndarray = owners[tree.query(folded.reshape(-1, 3))[1]].reshape(moved.shape[:-1])
    return found


@lru_cache(maxsize=1)
def _tree() -> tuple[cKDTree, np.ndarray]:
    marks = [mark for places in LANDMARKS.values() for mark in places.values()]
    owners = np.repeat(np.arange(len(TERRITORIES), dtype=np.uint8), [len(places) for places in LANDMARKS.values()])
    return cKDTree(np.array(marks, np.float64)), owners


def side_of(x: np.ndarray | Sequence[float]) -> str:
    """``left``, ``right`` or ``both`` of points by their distance from the midline, mm to the patient's right."""
    right = np.asarray(x) > 0
    return next((side for side, share in zip(SIDES, (~right, right)) if share.mean() >= ONE_SIDED), "both")


def shares_of(points: np.ndarray) -> dict[str, float]:
    """Share of points (MNI mm, Nx3, not empty) in each territory, the largest first; those of 0 are left out."""
    counts = np.bincount(territory_of(points), minlength=len(TERRITORIES)) / len(points)
    order = np.argsort(-counts, kind="stable")
    return {TERRITORIES[k]: round(float(counts[k]), 4) for k in order if counts[k] > 0}
