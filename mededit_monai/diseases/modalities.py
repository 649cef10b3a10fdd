# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""How bright tissues and the parts of a glioma are on T1, T1 with gadolinium, T2 and FLAIR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mededit_monai.core.errors import InputError, require_choice

#: In the order of their channels.
MODALITIES = ("t1", "t1ce", "t2", "flair")

#: Labels of a synthesis mask: the regions of a tumour as elsewhere, and the brain around them.
TUMOR_LABELS = {"core": 1, "edema": 2, "enhancing": 3}
BRAIN_LABEL = 4

#: Of a head's files, beside those of its modalities: its labels.
LABEL_KEY = "label"

#: Points a side of heads on several modalities.
SIDES, SIDE = (32, 64, 96, 128), 128

#: T2-weighted sequences: white matter, and others relative to it or between it and fluid. Fluid is brightest on T2 and
#: darkest on FLAIR, gray matter brighter than white on both, iron darkens the deep nuclei, and flowing blood is black.
#: After Osborn's Brain, 2nd ed. 2018, chapter 17, and the intensities of BraTS (Menze et al., IEEE TMI 2015).
_T2 = {
    "t2": {"white": (0.30, 0.42), "gray": (1.25, 1.5), "fluid": (0.85, 1.0), "vessel": (0.2, 0.7)},
    "flair": {"white": (0.45, 0.58), "gray": (1.12, 1.35), "fluid": (0.05, 0.2), "vessel": (0.3, 0.8)},
}


def check_heads(modalities: Sequence[str] | None, side: int) -> None:
    """
    Check what is asked for of heads on several modalities.

    Args:
        modalities: None: no heads.

    Raises:
        InputError: an unknown modality or one twice, or a side that is not offered or has no use.
    """
    require_choice("side", side, SIDES)
    if modalities is None:
        if side != SIDE:
            raise InputError(f"--side: got {side}, but it applies to --modalities; leave it out.")
        return
    for name in modalities:
        require_choice("modalities", name, MODALITIES)
    if not modalities or len(set(modalities)) < len(modalities):
        raise InputError(f"--modalities: got {modalities!r}, wanted each of {', '.join(MODALITIES)} once.")


def t2_means(modality: str, rng: np.random.Generator) -> dict[str, float]:
    """
    Means of the tissues on ``t2`` or ``flair``, by the names of :data:`~mededit_monai.diseases.canvas.TISSUES` and
    ``other``; of a scale on which the brightest tissue is about 1.
    """
    u, ranges = rng.uniform, _T2[modality]
    white = u(*ranges["white"])
    gray = white * u(*ranges["gray"])
    fluid = u(*ranges["fluid"])

    def between(low: float, high: float) -> float:
        return white + (gray - white) * u(low, high)

    means = {
        "white": white,
        "cortex": gray,
        "thalamus": between(0.3, 0.8),
        "striatum": between(0.5, 1.0),
        "pallidum": between(-0.4, 0.2),
        "brainstem": between(0.0, 0.5),
        "cerebellum_gray": gray * u(0.92, 1.05),
        "cerebellum_white": white * u(0.95, 1.05),
        "left_ventricle": fluid * u(0.95, 1.05),
        "fluid": fluid,
        "choroid": gray + (fluid - gray) * u(0.1, 0.6),
        "white_lesion": white + (max(fluid, 1.6 * gray) - white) * u(0.2, 0.6),
        "vessel": white * u(*ranges["vessel"]),
        "other": white * u(0.2, 0.8),
    }
    means["right_ventricle"] = means["left_ventricle"]
    return {name: float(value) for name, value in means.items()}


def tumor_levels(modality: str, means: Mapping[str, float], rng: np.random.Generator) -> dict[str, float]:
    """
    Levels of the parts of a glioma, ``edema``, ``core`` (necrosis), ``enhancing`` and ``blood``, on a modality.

    Edema holds water: a little darker than gray matter on T1, bright on T2 and, as it is not suppressed, brightest on
    FLAIR. Necrosis is near fluid, but rich in protein: not as dark on FLAIR. The living rim is gray without contrast
    agent and bright with it. Methaemoglobin is bright on T1, haemosiderin dark on T2.

    Args:
        means: of the tissues on this modality.
        rng: the same stream for every modality: a wet tumour is wet on all of them.
    """
    wet, dead, living, blood = rng.uniform(0, 1, 4)
    gray, white, fluid = means["cortex"], means["white"], means["fluid"]
    if modality in ("t1", "t1ce"):
        bright = max(means["vessel"], 1.15 * white) if modality == "t1ce" else gray
        return {
            "edema": gray * (1.0 - 0.3 * wet),
            "core": gray + (fluid - gray) * (0.3 + 0.6 * dead),
            "enhancing": min(bright, 1.5 * white) * (0.85 + 0.15 * living),
            "blood": white * (1.0 + 0.4 * blood),
        }
    full = fluid if modality == "t2" else 1.9 * gray
    return {
        "edema": gray + (full - gray) * (0.35 + 0.45 * wet),
        "core": gray + (fluid - gray) * ((0.5 + 0.5 * dead) if modality == "t2" else 0.75 * dead),
        "enhancing": gray * (1.0 + 0.4 * living),
        "blood": white * (0.2 + 0.3 * blood),
    }
