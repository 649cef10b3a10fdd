# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Tissue classes of the simulator, and where FreeSurfer's labels go among them."""

from __future__ import annotations

import numpy as np

#: Channels of a prepared anatomy, in this order; what is left of 1 is "other" (dura, bone, outside).
TISSUES = (
    "white",
    "cortex",
    "thalamus",
    "striatum",
    "pallidum",
    "brainstem",
    "cerebellum_gray",
    "cerebellum_white",
    "left_ventricle",
    "right_ventricle",
    "fluid",
    "choroid",
    "white_lesion",
    "vessel",
)

#: Classes that count as brain parenchyma when the brain mask is built.
PARENCHYMA = ("white", "cortex", "thalamus", "striatum", "pallidum", "brainstem", "cerebellum_gray", "cerebellum_white")

#: What a ``tissue`` label image tells apart, label 1 first, and the classes that make it up. Lateral ventricles with
#: their choroid plexus have labels of their own; vessels belong to none.
TISSUE_LABELS: dict[str, tuple[str, ...]] = {
    "fluid": ("fluid",),
    "gray": ("cortex", "thalamus", "striatum", "pallidum", "cerebellum_gray"),
    "white": ("white", "brainstem", "cerebellum_white", "white_lesion"),
}

#: FreeSurfer label numbers of each class. 136/137 and 163/164 lie in the lateral ventricles (choroid plexus), 25 and
#: 57 beside them (white-matter lesions), 514 between the hemispheres and along the skull (venous sinus).
LABELS: dict[str, tuple[int, ...]] = {
    "white": (2, 41, 78, 79, 85, 192, 250, 251, 252, 253, 254, 255),
    "cortex": (3, 42, 17, 18, 53, 54, 26, 58),
    "thalamus": (9, 10, 48, 49),
    "striatum": (11, 12, 50, 51),
    "pallidum": (13, 52),
    "brainstem": (16, 28, 60, 75, 76),
    "cerebellum_gray": (8, 47),
    "cerebellum_white": (7, 46),
    "left_ventricle": (4, 5),
    "right_ventricle": (43, 44),
    "fluid": (14, 15, 24, 72),
    "choroid": (31, 63, 136, 137, 163, 164),
    "white_lesion": (25, 57, 77, 80, 81, 82),
    "vessel": (30, 62, 514),
}

#: Labels that a map must hold, and what each group is.
REQUIRED = {
    "cerebral white matter": ((2,), (41,)),
    "cerebral cortex": ((3,), (42,)),
    "lateral ventricle": ((4,), (43,)),
}

LARGEST_LABEL = 14999


def class_table() -> np.ndarray:
    """Look-up table: FreeSurfer label → 1 + index in ``TISSUES``, 0 for everything else; uint8."""
    table = np.zeros(LARGEST_LABEL + 1, dtype=np.uint8)
    for number, name in enumerate(TISSUES):
        table[list(LABELS[name])] = number + 1
    # Cortical parcels (aparc): 1000-1035 left, 2000-2035 right; 11100… and 12100… in the Destrieux atlas.
    for first, last in ((1001, 1035), (2001, 2035), (11101, 11175), (12101, 12175)):
        table[first : last + 1] = TISSUES.index("cortex") + 1
    return table
