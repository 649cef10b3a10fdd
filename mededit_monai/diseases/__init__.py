# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The diseases by name: geometry, labels, drawing, displacement and structures, a module each; plugins add others."""

from __future__ import annotations

from mededit_monai.core.registry import Registry
from mededit_monai.diseases.record import STRATA, Disease

__all__ = ["DISEASES", "STRATA", "Disease"]

DISEASES: Registry[Disease] = Registry(
    "disease", builtin=("mededit_monai.diseases.stroke", "mededit_monai.diseases.tumor")
)
