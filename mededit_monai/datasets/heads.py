# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A head on several modalities and its labels on one grid, as semantic synthesis learns from."""

from __future__ import annotations

from typing import Any

import numpy as np

from mededit_monai.datasets.integrity import LoadedVolume
from mededit_monai.diseases import Disease
from mededit_monai.diseases.modalities import BRAIN_LABEL, LABEL_KEY
from mededit_monai.space.intensity import intensity_ceiling, to_unit
from mededit_monai.space.model_space import ModelSpace
from mededit_monai.synthesis.labels import labels_on_grid


def head_on_grid(
    loaded: LoadedVolume, disease: Disease, side: int
) -> tuple[ModelSpace, dict[str, np.ndarray], dict[str, float]]:
    """
    Bring a head to the grid of :func:`~mededit_monai.simulation.modalities.draw_heads`: the disease's window around the
    brain, ``side`` points along each axis.

    Args:
        loaded: with ``modalities``.

    Returns:
        the grid; an image for each modality (float32 in [0, 1] by the percentile of the whole cube, 0 outside the
        brain) and ``label`` (uint8: 1 core, 2 edema, 3 enhancing, 4 the brain around them); and the intensity of each
        scan that became 1.
    """
    space = ModelSpace.around_brain(loaded.brain, loaded.scan.affine, disease.window, side, side)
    regions = loaded.marked if loaded.labels is None else loaded.labels
    found = {LABEL_KEY: labels_on_grid(space, np.where(loaded.pathology, regions, BRAIN_LABEL * loaded.brain))}
    ceilings: dict[str, Any] = {}
    for name, scan in loaded.modalities.items():
        (image,) = space.to_model(scan.data * loaded.brain)
        ceilings[name] = intensity_ceiling(image, disease.percentile)
        found[name] = to_unit(image, ceilings[name]) * (found[LABEL_KEY] > 0)
    return space, found, ceilings
