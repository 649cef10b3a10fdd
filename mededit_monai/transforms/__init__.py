# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""From scan to model and back."""

from mededit_monai.transforms.checks import CheckCased, KeepItemsd
from mededit_monai.transforms.geometry import ModelGrid
from mededit_monai.transforms.load import LoadCased
from mededit_monai.transforms.masks import ComponentBoxes, ComponentBoxesd, component_boxes, dilate, edit_region
from mededit_monai.transforms.nifti import NativeCopy, Volume, read_volume, save_synthetic
from mededit_monai.transforms.one_by_one import OneByOne
from mededit_monai.transforms.pairs import Jointlyd, PairCeilingd, RandSharedRicianNoise
from mededit_monai.transforms.restore import restore_slices, restored_plane
from mededit_monai.transforms.slices import AxialSlicesd

__all__ = [
    "AxialSlicesd",
    "CheckCased",
    "ComponentBoxes",
    "ComponentBoxesd",
    "Jointlyd",
    "KeepItemsd",
    "LoadCased",
    "ModelGrid",
    "NativeCopy",
    "PairCeilingd",
    "RandSharedRicianNoise",
    "OneByOne",
    "Volume",
    "component_boxes",
    "dilate",
    "edit_region",
    "read_volume",
    "restore_slices",
    "restored_plane",
    "save_synthetic",
]
