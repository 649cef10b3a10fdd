# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""From a batch of cases to the arguments of an editing inferer, for MONAI's ``SupervisedEvaluator``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.engines.utils import PrepareBatch

from mededit_monai.handlers.portions import samples_of
from mededit_monai.sampling.noise import case_seed
from mededit_monai.space.conditions import condition_channels
from mededit_monai.space.intensity import to_model_range, to_unit_range
from mededit_monai.space.stack import CaseStack


class EditPrepareBatch(PrepareBatch):
    """
    Args:
        seed: the run's seed; each case's own follows from it and the case's name.
        samples: counterfactuals a case, which the batch is repeated for (see
            :class:`~mededit_monai.space.stack.CaseStack`).
        course: instead of samples: so many edits a case, all of the first sample's noise, from no displacement to that
            of ``--effects``; 0: none.

    Attributes:
        count: edits a case, samples or steps.
    """

    def __init__(self, seed: int = 0, samples: int = 1, course: int = 0) -> None:
        self.seed, self.samples, self.course, self.count = seed, samples, course, course or samples

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, None, tuple, dict]:
        """
        Args:
            batchdata: of :func:`~mededit_monai.datasets.editing.collate_cases`; perhaps a portion of its samples
                (:func:`~mededit_monai.handlers.portions.samples_of`).

        Returns:
            priors in [-1, 1], None, (), and ``brain``, ``pathology``, ``region``, ``seeds`` for the inferer, of a
            course ``shares`` too, and the cases' views (``fine``; None for a case without) where any has one. All
            slices of a sample share a seed, hence their noise: neighbours agree.
        """
        cases, numbers = batchdata["cases"], samples_of(batchdata, self.count)
        stack = CaseStack.of(cases, len(numbers))
        names = [case.get("noise_name", case["case_id"]) for case in cases]
        seeds = [case_seed(self.seed, names[case], 0 if self.course else numbers[k]) for case, k, _ in stack]
        shares = {"shares": [numbers[k] / (self.course - 1) for _, k, _ in stack]} if self.course else {}
        tensors = {
            key: stack.rows(batchdata[name]).to(device=device, non_blocking=non_blocking)
            for key, name in (("image", "image"), ("brain", "brain"), ("pathology", "condition"), ("region", "region"))
        }
        image = to_model_range(tensors.pop("image"))
        views = [cases[case].get("fine") for case, _, _ in stack]
        fine = {"fine": views} if any(view is not None for view in views) else {}
        return image, None, (), {**tensors, "seeds": seeds, **shares, **fine}


class CohortPrepareBatch(PrepareBatch):
    """
    For evaluation: the lesion-free scans of a cohort in model space, to be edited with the lesions of their own cases.

    Args:
        editor: whose edit region the measures need.
        condition: ``mask``, ``box`` or ``regions``.
        seed: the run's seed; each case's own follows from it and the case's name.
    """

    def __init__(self, editor: Any, condition: str = "mask", seed: int = 0) -> None:
        self.editor, self.condition, self.seed = editor, condition, seed

    def __call__(
        self,
        batchdata: dict[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, None, tuple, dict]:
        """
        Args:
            batchdata: ``prior`` Nx1xHxW[xD] in [0, 1], ``brain`` and ``pathology`` (``regions``) of the same shape,
                ``case_id``; gets ``region``, what the edit may change, and the prior as the inferer sees it.

        Returns:
            priors in [-1, 1], None, (), and ``brain``, ``pathology``, ``region``, ``seeds`` for the inferer.
        """
        at = {key: value.to(device, non_blocking=non_blocking) for key, value in batchdata.items() if _is_tensor(value)}
        masks = at["regions" if self.condition == "regions" else "pathology"]
        channels = torch.stack([condition_channels(mask, self.condition) for mask in masks])
        batchdata["region"] = region = self.editor.region(at["brain"], channels)
        prior = to_model_range(at["prior"])
        batchdata["prior"] = to_unit_range(prior)  # as the inferer sees it: what is not edited differs by exactly 0
        seeds = [case_seed(self.seed, str(case)) for case in batchdata["case_id"]]
        facts = {"brain": at["brain"], "pathology": channels, "region": region, "seeds": seeds}
        return prior, None, (), facts


def _is_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.ndim > 2
