# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
What must hold of any counterfactual: an edit that is undone gives the scan back, and what the intervention does not
reach stays; after the axioms of Monteiro et al., ICLR 2023 (composition, reversibility, effectiveness) and minimality.

Composition, an intervention that does nothing, is in :class:`~mededit_monai.metrics.CompositionMetric` and, for every
method, in :func:`mean_change` of a row that is told of no lesion; effectiveness is in
:class:`~mededit_monai.metrics.AdherenceMetric`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from mededit_monai.metrics.arrays import Spacing, mean_over, same_shape, to_array, to_mask
from mededit_monai.metrics.carried import in_steps
from mededit_monai.metrics.case_metric import Case, CaseMetric
from mededit_monai.metrics.displacement import written_inverse
from mededit_monai.space.flow import warp

#: Two images of a cohort are the same where they differ by less: half a step of the files is 8e-6.
SAME = 2e-5

#: Painted tissue reaches so many grid steps beyond p.
RIM = 2


def mean_change(edit: np.ndarray, prior: np.ndarray, brain: np.ndarray) -> float:
    """Mean |edit − prior| over the brain; HxW[xD] in [0, 1]. NaN for an empty brain."""
    prior = to_array(prior, "the prior scan")
    same_shape(to_array(edit, "the edit"), prior, "the edit")
    return mean_over(np.abs(edit - prior), to_mask(brain, prior, "the brain mask"))


def needless_change(
    edit: np.ndarray, truth: np.ndarray, prior: np.ndarray, pathology: np.ndarray, brain: np.ndarray
) -> tuple[float, float]:
    """
    Minimality: what an edit changes where the true counterfactual is the prior itself, b∖p with truth = prior.

    Args:
        edit, truth, prior: HxW[xD] in [0, 1]; pathology, brain: masks.

    Returns:
        mean |edit − prior| there, and the share of it that the edit changes by more than ``SAME``; NaN where the truth
        leaves nothing as it was.
    """
    prior = to_array(prior, "the prior scan")
    for image, name in ((edit, "the edit"), (truth, "the truth")):
        same_shape(to_array(image, name), prior, name)
    inside, lesion = to_mask(brain, prior, "the brain mask"), to_mask(pathology, prior, "the pathology mask")
    kept = inside & ~lesion & (np.abs(truth - prior) <= SAME)
    change = np.abs(edit - prior)
    return mean_over(change, kept), mean_over((change > SAME).astype(np.float64), kept)


def undone_error(
    edit: np.ndarray,
    prior: np.ndarray,
    inverse: np.ndarray,
    pathology: np.ndarray,
    brain: np.ndarray,
    spacing: Spacing,
) -> tuple[float, float]:
    """
    Reversibility: the edit, pulled back by the inverse displacement, against the prior.

    What was painted is not undone, and is left out: p and ``RIM`` grid steps around it, where the inverse carries them.

    Args:
        edit, prior: HxW[xD] in [0, 1]; inverse: mm along the axes, nxHxW[xD]; pathology, brain: masks.

    Returns:
        mean |edit∘φ⁻¹ − prior| over the brain, and mean |edit − prior| over the same points: what not undoing leaves.
        Twice interpolated, fine texture is not what it was, so the first is small and not 0 where tissue moved.
    """
    prior = to_array(prior, "the prior scan")
    same_shape(to_array(edit, "the edit"), prior, "the edit")
    lesion = to_mask(pathology, prior, "the pathology mask")
    painted = ndimage.binary_dilation(lesion, iterations=RIM) if lesion.any() else lesion
    back = in_steps(inverse, prior, spacing)
    undone, carried = warp(np.stack([edit, painted]).astype(np.float32), back)
    seen = to_mask(brain, prior, "the brain mask") & (carried == 0) & ~painted
    return mean_over(np.abs(undone - prior), seen), mean_over(np.abs(edit - prior), seen)


class MinimalityMetric(CaseMetric):
    """Mean |edit − prior| in the brain, and where the truth changes nothing; share of the latter that is changed."""

    columns = ("change", "needless", "needless_share")
    needs = ("image", "prior", "pathology", "brain")

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        truth, prior, lesion, brain = (case[name] for name in self.needs)
        return mean_change(edit, prior, brain), *needless_change(edit, truth, prior, lesion, brain)


class ReversibilityMetric(CaseMetric):
    """Error of the edit that is undone by its inverse, as it is written, and of the edit that is not undone."""

    columns = ("undone", "not_undone")
    needs = ("displacement", "inverse", "prior", "pathology", "brain")

    def __init__(self, spacing: Spacing) -> None:
        super().__init__()
        self.spacing = spacing

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        field, inverse, *masks = (case[name] for name in self.needs)
        prior, pathology, brain = masks
        written = written_inverse(field, inverse, self.spacing)
        return undone_error(edit, prior, written, pathology, brain, self.spacing)
