# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""From a batch of simulated pairs to what the effects network is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from monai.engines.utils import PrepareBatch
from monai.inferers import SimpleInferer
from monai.networks.schedulers import Scheduler

from mededit_monai.core.errors import InputError
from mededit_monai.methods.effects import effects_channels
from mededit_monai.space.intensity import to_model_range
from mededit_monai.space.masks import dilate
from mededit_monai.training.drawn import condition_masks, drawn_condition, told_channels
from mededit_monai.training.losses import Target
from mededit_monai.training.moved_cases import at_nodes, halved_batch, require_moved_pairs
from mededit_monai.training.prepare_batch import batch_tensor, case_seeds

#: How far around the lesion errors weigh more, in mm.
NEAR_MM = 20.0


class EffectsPrepareBatch(PrepareBatch):
    """
    The scan without lesion, what the network is told of the lesion, and the displacement on half of the grid.

    In training every case draws its condition (mask, boxes or, where the data have them, regions) from its seed.
    Weights depend on what the network sees, never on what did move: weights that knew the outcome would teach the
    network to expect it.

    Args:
        scheduler: not used; nothing is denoised.
        condition: of a validation; a training draws.
        even: for validation: ``condition`` for all.
        min_snr_gamma: not for this family.
        lesion_weight: added weight of pixels inside the lesion.
        near_weight: added weight of what lies within about 20 mm of the lesion that is shown.

    Raises:
        InputError: a weighting that is not this family's.
    """

    def __init__(
        self,
        scheduler: Scheduler | None = None,
        condition: str = "mask",
        even: bool = False,
        min_snr_gamma: float | None = None,
        lesion_weight: float = 0.0,
        near_weight: float = 6.0,
    ) -> None:
        if min_snr_gamma is not None:
            raise InputError(f"--min_snr_gamma: got {min_snr_gamma}, wanted none with --family effects; leave it out.")
        self.condition, self.even = condition, even
        self.lesion_weight, self.near_weight = lesion_weight, near_weight

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, Target, tuple, dict]:
        """
        Args:
            batchdata: ``prior`` Nx1xS in [0, 1], ``prior_brain``, ``pathology`` and perhaps ``regions`` of the same
                shape, ``displacement`` NxnxS in mm, ``taper`` Nx1x(S/2), ``global_atrophy`` and ``pixel_mm``;
                perhaps ``prior_ventricles``, labels.

        Returns:
            channels Nx7xS; target; (); {}.

        Raises:
            InputError: cases without prior or displacement.
        """
        require_moved_pairs(batchdata, "effects")
        tensor = partial(batch_tensor, batchdata, device=device, non_blocking=non_blocking)
        prior, brain, pathology = tensor("prior"), tensor("prior_brain"), tensor("pathology")
        masks = condition_masks(pathology, tensor("regions") if "regions" in batchdata else None)
        conditions = self._conditions(case_seeds(batchdata), list(masks))
        told = told_channels(masks, conditions)
        target = Target(
            value=at_nodes(tensor("displacement")),
            weight=self._weight(told, brain, float(batchdata["pixel_mm"][0])),
            taper=tensor("taper"),
            atrophy=tensor("global_atrophy"),
            pixel_mm=tensor("pixel_mm"),
        )
        if "prior_ventricles" in batchdata:
            target["ventricles"] = halved_batch((tensor("prior_ventricles") > 0).float())
            target["free"] = 1 - halved_batch((pathology > 0).float())
        return effects_channels(to_model_range(prior), brain, told), target, (), {}

    def _conditions(self, seeds: list[int], known: list[str]) -> list[str]:
        if self.even:
            return [self.condition] * len(seeds)
        return [drawn_condition(np.random.default_rng(seed), known) for seed in seeds]

    def _weight(self, told: torch.Tensor, brain: torch.Tensor, pixel_mm: float) -> torch.Tensor:
        """Nx1x(S/2), 0 outside the brain."""
        shown = halved_batch(told.amax(dim=1, keepdim=True))
        near = dilate(shown, 2 * round(NEAR_MM / (2 * pixel_mm)) + 1)
        weight = 1 + self.near_weight * near + self.lesion_weight * (shown > 0)
        return weight * (halved_batch(brain) > 0)


class AskNetwork(SimpleInferer):
    """The network's answer, with nothing noised."""

    def __init__(self, scheduler: Scheduler | None = None) -> None:
        super().__init__()
