# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Editing samplers."""

from mededit_monai.inferers.methods import METHODS, MedEditInferer, NaiveRePaintInferer, SDEditInferer, build_inferer
from mededit_monai.inferers.noise import CaseNoise, case_seed
from mededit_monai.inferers.palette import OriginalPaletteInferer, PaletteInferer
from mededit_monai.inferers.prepare_batch import CohortPrepareBatch, EditPrepareBatch
from mededit_monai.inferers.prior_conditioned import PriorConditionedInferer
from mededit_monai.inferers.repaint import ResampledInpaintingInferer
from mededit_monai.inferers.schedule import NoiseLevels, evaluations, noise_levels, visits

__all__ = [
    "METHODS",
    "CaseNoise",
    "CohortPrepareBatch",
    "EditPrepareBatch",
    "MedEditInferer",
    "NaiveRePaintInferer",
    "NoiseLevels",
    "OriginalPaletteInferer",
    "PaletteInferer",
    "PriorConditionedInferer",
    "ResampledInpaintingInferer",
    "SDEditInferer",
    "build_inferer",
    "case_seed",
    "evaluations",
    "noise_levels",
    "visits",
]
