# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Where FreeSurfer's labels go among the classes of tissue."""

from __future__ import annotations

import numpy as np

from mededit_monai.diseases.canvas import TISSUES

#: Classes that count as brain parenchyma when the brain mask is built.
PARENCHYMA = ("white", "cortex", "thalamus", "striatum", "pallidum", "brainstem", "cerebellum_gray", "cerebellum_white")

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
