# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The published methods as named settings of the one loop, each with the thesis's defaults."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.networks.schedulers import Scheduler

from mededit_monai.core.errors import InputError
from mededit_monai.methods.inpainting import ResampledInpaintingInferer
from mededit_monai.methods.palette_editor import OriginalPaletteInferer, PaletteInferer
from mededit_monai.methods.prior_conditioned import PriorConditionedInferer
from mededit_monai.methods.response import response_map, response_region


class MedEditInferer(ResampledInpaintingInferer):
    """
    MedEdit: M = dilate(p, 25) ∩ b, 1000 levels, U = 4 (3997 evaluations). Boxes: ``dilation=20``.

    Args:
        scheduler, settings: as for the base class.
        auto_region: M is where the network responds to the lesion (:mod:`mededit_monai.methods.response`), within the
            region that a call gives, or the brain; costs 8 evaluations more.

    Attributes:
        edit_region: M of the last call with ``auto_region``, bool, Nx1xHxW[xD]; else None.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        dilation: int = 25,
        resample: int = 4,
        auto_region: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(scheduler, dilation=dilation, resample=resample, **settings)
        self.auto_region = auto_region
        self.edit_region: torch.Tensor | None = None

    def region(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """M, or with ``auto_region`` the brain, within which M will be found."""
        return brain > 0 if self.auto_region else super().region(brain, pathology)

    @torch.no_grad()
    def __call__(  # type: ignore[override]
        self,
        inputs: torch.Tensor,
        network: Callable[..., torch.Tensor],
        brain: torch.Tensor,
        pathology: torch.Tensor,
        region: torch.Tensor | None = None,
        seeds: Sequence[int] | None = None,
    ) -> torch.Tensor:
        """Edit a batch, as the base class does."""
        if not self.auto_region:
            return super().__call__(inputs, network, brain, pathology, region, seeds)
        if seeds is None:
            seeds = torch.randint(2**62, (inputs.shape[0],)).tolist()
        brain, pathology = brain.to(inputs), pathology.to(inputs)
        response, evaluations = response_map(network, self.scheduler, inputs, brain, pathology, seeds)
        limit = self.region(brain, pathology) if region is None else region.to(inputs.device) > 0
        self.edit_region = response_region(response, brain, pathology) & limit
        edited = super().__call__(inputs, network, brain, pathology, self.edit_region, seeds)
        self.nfe += evaluations
        return edited


class NaiveRePaintInferer(ResampledInpaintingInferer):
    """Naïve RePaint: edits the lesion alone (M = p ∩ b), U = 3; it cannot show indirect effects."""

    def __init__(self, scheduler: Scheduler, resample: int = 3, **settings: Any) -> None:
        settings.pop("dilation", None)  # by definition none; accepted so that one config serves every method
        super().__init__(scheduler, dilation=0, resample=resample, **settings)


class SDEditInferer(ResampledInpaintingInferer):
    """
    SDEdit, conditioned on (b, p): noise the whole prior to ``start``·T (0.2 stroke, 0.6 tumour), denoise everything.

    No composition: the region is the whole image, and everything may change.
    """

    def __init__(self, scheduler: Scheduler, start: float = 0.2, **settings: Any) -> None:
        for fixed in ("dilation", "resample", "jump", "resample_above"):
            settings.pop(fixed, None)  # nothing is composed, so there is nothing to dilate or harmonise
        super().__init__(scheduler, start=start, **settings)

    def region(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """Everything."""
        return torch.ones_like(brain, dtype=torch.bool)


METHODS: dict[str, type[ResampledInpaintingInferer]] = {
    "mededit": MedEditInferer,
    "naive_repaint": NaiveRePaintInferer,
    "sdedit": SDEditInferer,
    "palette": PaletteInferer,
    "palette_original": OriginalPaletteInferer,
    "prior": PriorConditionedInferer,
}


def build_inferer(
    method: str, scheduler: Scheduler, condition: str | None = None, region: str | None = None, **settings: Any
) -> ResampledInpaintingInferer:
    """
    An editing inferer by its name on the command line.

    Args:
        condition: what the pathology channels of a call are; needed by methods whose network takes every condition.
        region: ``auto``: MedEdit finds its edit region itself. Others are drawn before an edit and come with the call.

    Raises:
        ValueError: unknown method, or a value that the method's inferer refuses.
        InputError: unknown setting, or no condition where one is needed.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}.")
    known = set(inspect.signature(ResampledInpaintingInferer).parameters)
    if unknown := sorted(set(settings) - known):
        wanted = ", ".join(sorted(known))
        raise InputError(f"--inferer#{unknown[0]}: build_inferer knows no such setting; it takes {wanted}.")
    if "condition" in inspect.signature(METHODS[method]).parameters:
        if condition is None:
            raise InputError(f"--inferer#condition: is missing; {method} wants to know which channels it is given.")
        settings["condition"] = condition
    if method == "mededit":
        settings["auto_region"] = region == "auto"
    return METHODS[method](scheduler, **settings)
