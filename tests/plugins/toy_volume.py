# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
A method for volumes in one file outside the package: the scan, evenly brighter in the edit region; it asks no network.

``MEDEDIT_PLUGINS=toy_volume.py mededit edit --method shift --spatial_dims 3 --by 0.05`` knows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.inferers import Inferer

from mededit_monai.core.options import Option
from mededit_monai.methods.editor import Edit
from mededit_monai.methods.record import METHODS, Method


class ShiftEditor(Inferer):
    """Adds a constant, ``by`` of the scan's range [0, 1]."""

    def __init__(self, scheduler: Any, by: float, **settings: Any) -> None:
        super().__init__()
        self.by = by

    def __call__(  # type: ignore[override]
        self,
        inputs: torch.Tensor,
        network: Any,
        brain: torch.Tensor,
        pathology: torch.Tensor,
        region: torch.Tensor,
        seeds: Sequence[int],
    ) -> Edit:
        """Priors Nx1xHxWxD in [-1, 1] → the same, brighter where ``region`` > 0."""
        where = region > 0
        return Edit(torch.where(where, inputs + 2 * self.by, inputs), where, evaluations=0)


BY = Option("by", "How much brighter.", float, 0.05, group="With --method shift", least=0, most=1, recorded=True)

METHODS.add(
    "shift",
    Method(
        name="shift",
        summary="the volume, evenly brighter in the edit region",
        editor=ShiftEditor,
        network=None,
        takes=frozenset({"region", "dilation"}),
        defaults=lambda disease, condition, spatial_dims: {"dilation": 11},
        options=(BY,),
        spatial_dims=(3,),
    ),
)
