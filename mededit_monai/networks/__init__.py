# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Denoisers."""

from mededit_monai.networks.mask_conditioned_unet import MaskConditionedUNet

__all__ = ["MaskConditionedUNet"]
