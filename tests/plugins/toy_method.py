# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
A method with an option of its own in one file outside the package: it brightens the lesion, and asks no network.
``MEDEDIT_PLUGINS=toy_method.py mededit edit --method brighten --strength 0.4`` knows it.
"""

from __future__ import annotations

from typing import Any

import torch
from monai.networks.schedulers import Scheduler

from mededit_monai.core.options import Option
from mededit_monai.methods.editor import Edit, Editor, NetworkCalls
from mededit_monai.methods.record import METHODS, Method
from mededit_monai.space.masks import edit_region

STRENGTH = Option(
    name="strength",
    help="How much brighter the lesion becomes, as a share of the scan's range.",
    kind=float,
    default=0.2,
    least=0,
    most=1,
    group="with --method brighten",
    recorded=True,
)


class BrightenEditor(Editor):
    """
    x + strength in the lesion, limited to the scan's range, for x in [0, 1].

    Args:
        scheduler, settings: as for :class:`~mededit_monai.methods.editor.Editor`, though nothing is denoised.
    """

    def __init__(self, scheduler: Scheduler, *, strength: float = 0.2, **settings: Any) -> None:
        super().__init__(scheduler, **settings)
        self.strength = strength

    def region(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """The lesion."""
        return edit_region(pathology, brain, 0)

    def edit(
        self,
        prior: torch.Tensor,
        calls: NetworkCalls,
        brain: torch.Tensor,
        pathology: torch.Tensor,
        region: torch.Tensor,
        seeds: list[int],
    ) -> Edit:
        """Brighten; the model's range is twice as wide as the scan's."""
        brighter = (prior + 2 * self.strength).clamp(max=1)
        return Edit(torch.where(region, brighter, prior), region, calls.count, {"strength": self.strength})


METHODS.add(
    "brighten",
    Method(
        name="brighten",
        summary="makes the lesion brighter, evenly",
        editor=BrightenEditor,
        network=None,
        takes=frozenset(),
        region="pathology",
        options=(STRENGTH,),
    ),
)
