# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A share of training samples without lesion, which is what makes p = 0 mean "healthy" for guidance."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import RandomizableTransform


class RandLesionFreed(RandomizableTransform):
    """
    With probability ``prob`` show the case without its lesion: ``pathology`` (and ``regions``) become zero, and where
    the case has a ``prior`` (a simulated pair), image and brain mask become the prior's and nothing has moved. Without
    one the image keeps its lesion and only the condition is dropped, as in classifier-free guidance; the null condition
    is 0 in both cases.

    Args:
        prob: share of the cases.
        keep_prior: whether ``prior`` and ``prior_brain`` stay in the case, for networks that see them.
    """

    def __init__(self, prob: float = 0.15, keep_prior: bool = False) -> None:
        super().__init__(prob=prob)
        self.keep_prior = keep_prior

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """
        Args:
            data: a case with ``image``, ``brain``, ``pathology`` and perhaps ``prior``, ``prior_brain``.
        """
        case = dict(data)
        self.randomize(None)
        if self._do_transform:
            for key in ("pathology", "regions"):
                if key in case:
                    case[key] = torch.zeros_like(case[key])
            if "prior" in case and "image" in case:
                case["image"] = case["prior"]
                if "brain" in case:
                    case["brain"] = case.get("prior_brain", case["brain"])
            if "displacement" in case:  # what a lesion moved, and the atrophy that was drawn with it
                case["displacement"], case["global_atrophy"] = torch.zeros_like(case["displacement"]), 0.0
        return case if self.keep_prior else {k: v for k, v in case.items() if k not in ("prior", "prior_brain")}
