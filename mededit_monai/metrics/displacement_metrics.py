# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Measures of edits that displace the scan, as MONAI metrics: no judge takes part.

Displacements are in mm along the axes, nxHxW[xD]: ``displacement`` and ``inverse`` of the edit, ``true_displacement``
of the cohort. The formulas are in the functions that they call.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mededit_monai.metrics.arrays import Spacing
from mededit_monai.metrics.carried import carried_change, lesion_size
from mededit_monai.metrics.case_metric import Case, CaseMetric
from mededit_monai.metrics.displacement import (
    end_point_error,
    far_displacement,
    length,
    round_trip,
    smallest_jacobian,
    still_share,
    written_inverse,
)
from mededit_monai.metrics.lesion_features import OF_REGIONS, PLAIN, lesion_features
from mededit_monai.metrics.truth import sign_right, zone_errors

#: True change of the ventricles from which on its sign is asked for: mm² by number of axes 2 (six pixels), ml by 3.
SIGN_BOUND = {2: 20.0, 3: 0.5}

NOTHING = float("nan")


class CarriedVentricleMetric(CaseMetric):
    """
    Change of the lateral ventricles by the labels that are carried along, predicted and true, outside p; mm² or ml.

    Both are measured the same way, on the prior's labels, by the edit's displacement and by the true one: sum, left,
    right; error and that of doing nothing; whether the sign is right where the true change is above ``SIGN_BOUND``;
    size of the lesion.
    """

    columns = (
        *(f"ventricle_change_{kind}" for kind in ("predicted", "true", "error", "idle_error")),
        *(f"ventricle_{side}_{kind}" for side in ("left", "right") for kind in ("predicted", "true")),
        "sign_right",
        "lesion_size",
    )
    needs = ("displacement", "true_displacement", "prior_ventricles", "pathology")

    def __init__(self, spacing: Spacing) -> None:
        super().__init__()
        self.spacing = spacing

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        found, true = (
            carried_change(case["prior_ventricles"], case[name], case["pathology"], self.spacing)
            for name in self.needs[:2]
        )
        sums = float(found.sum()), float(true.sum())
        return (
            *sums,
            abs(sums[0] - sums[1]),
            abs(sums[1]),
            *(float(number) for pair in zip(found, true) for number in pair),
            sign_right(*sums, SIGN_BOUND[edit.ndim]),
            lesion_size(case["pathology"], self.spacing),
        )


class EndPointMetric(CaseMetric):
    """End-point error in moved tissue and mean true length there (mm), and moved tissue's share of b∖p."""

    columns = ("error", "idle", "moved")
    needs = ("displacement", "true_displacement", "pathology", "brain")

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        found = end_point_error(*(case[name] for name in self.needs))
        return found.error, found.idle, found.moved


class FieldMetric(CaseMetric):
    """
    What must hold of a displacement without a look at the truth: smallest Jacobian; share of the brain with u = 0;
    largest |u|, and largest |u| farther than 60 mm from p, mm; how far a point is from where it was after displacement
    and inverse, in voxels: largest distance with the inverse as it is written, and with the flow's own.
    """

    columns = ("jacobian", "still", "largest", "far", "round_trip", "round_trip_of_flow")
    needs = ("displacement", "inverse", "pathology", "brain")

    def __init__(self, spacing: Spacing) -> None:
        super().__init__()
        self.spacing = spacing

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        field, brain = case["displacement"], case["brain"]
        written = written_inverse(field, case["inverse"], self.spacing)
        trips = [round_trip(field, inverse, brain, self.spacing) for inverse in (written, case["inverse"])]
        return *self._of(field, case), *(float(trip.max()) if trip.size else NOTHING for trip in trips)

    def _of(self, field: np.ndarray, case: Case) -> tuple[float, float, float, float]:
        return (
            smallest_jacobian(field, case["brain"], self.spacing),
            still_share(field, case["brain"]),
            float(length(field).max()),
            far_displacement(field, case["pathology"], case["brain"], self.spacing),
        )


class TrueFieldMetric(FieldMetric):
    """The same of the true displacement, beside it: smallest Jacobian, share with u = 0, largest |u|, far from p."""

    columns = FieldMetric.columns[:4]
    needs = ("true_displacement", "pathology", "brain")

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        return self._of(case["true_displacement"], case)


class DisplacedErrorMetric(CaseMetric):
    """
    Mean absolute error against the true counterfactual of the displaced scan before anything is painted (``displaced``,
    [0, 1]), in M∖p and outside M: what of the error is the displacement's.
    """

    columns = ("error_zone", "error_outside")
    needs = ("displaced", "image", "prior", "pathology", "region", "brain")

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        found = zone_errors(*(case[name] for name in self.needs))
        return found["zone"].error, found["outside"].error


class CompositionMetric(CaseMetric):
    """
    What is left of an edit that is told of no lesion: voxels that it changes (0 wanted; ``composed``, the edit with an
    empty mask, no effects and a painter that gives 0, in [0, 1]). And what the networks say to that when nobody stops
    them: mean and largest length of the velocity (``ungated_velocity``, mm) in the brain, and mean |change| of the
    painter (``ungated_paint``, in [0, 1]) where it looked (``ungated_place``).
    """

    columns = ("changed_voxels", "velocity", "velocity_largest", "paint")
    needs = ("composed", "prior", "brain", "ungated_velocity", "ungated_paint", "ungated_place")

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        inside, looked = case["brain"] > 0, case["ungated_place"] > 0
        speed = length(case["ungated_velocity"])[inside]
        change = np.abs(np.asarray(case["ungated_paint"], dtype=np.float64))[looked]
        return (
            float((case["composed"] != case["prior"]).sum()),
            float(speed.mean()) if speed.size else NOTHING,
            float(speed.max()) if speed.size else NOTHING,
            float(change.mean()) if change.size and np.isfinite(change).all() else NOTHING,
        )


class LesionFeatureMetric(CaseMetric):
    """
    Features of the lesion in the edit and in the true counterfactual: what
    :func:`~mededit_monai.metrics.lesion_features.lesion_test` is made of.

    Args:
        regions: whether the cases have labels of a tumour's regions.
    """

    needs = ("image", "prior", "pathology", "brain")

    def __init__(self, regions: bool = False) -> None:
        super().__init__()
        names = (*PLAIN, *(OF_REGIONS if regions else ()))
        self.columns = tuple(f"{of}_{name}" for of in ("edit", "true") for name in names)
        self.needs = (*LesionFeatureMetric.needs, *(("regions",) if regions else ()))

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        prior, *facts = (case[name] for name in self.needs[1:])
        try:
            both = [lesion_features(image, prior, *facts) for image in (edit, case["image"])]
        except ValueError:  # a scan without three levels: nothing to measure intensities by
            return [NOTHING] * len(self.columns)
        return np.concatenate(both).tolist()
