# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Every per-case measure as a MONAI metric; the formulas are in the functions that they call."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mededit_monai.metrics.adherence import (
    TUMOR_REGIONS,
    box_overlap,
    dice,
    intensity_drop,
    iou,
    lesion_detection,
    region_presence,
)
from mededit_monai.metrics.arrays import Spacing, spacing_of
from mededit_monai.metrics.case_metric import Case, CaseMetric
from mededit_monai.metrics.contrast import contrast_to_noise, lesion_contrast
from mededit_monai.metrics.indirect import (
    lesion_side,
    midline_shift_from_ventricles,
    sulcal_fluid_change,
    tissue_change,
    ventricle_change,
    ventricle_sizes,
)
from mededit_monai.metrics.preservation import (
    DISTANCE_EDGES,
    change_by_distance,
    change_outside,
    edge_gradient,
    psnr_outside,
    ring_mismatch,
    ssim_outside,
    surrounding_ring,
    texture_ratio,
)
from mededit_monai.metrics.registration import ventricle_growth
from mededit_monai.metrics.truth import zone_errors

NOTHING = float("nan")


class _SpacedMetric(CaseMetric):
    """
    Args:
        spacing: mm, one number or one an axis: 233/128 for the stroke bundle, 200/128 for the tumour's.
    """

    def __init__(self, spacing: Spacing) -> None:
        super().__init__()
        self.spacing = spacing


class AdherenceMetric(CaseMetric):
    """
    Dice, IoU and detection by component of the judge's lesion (``pred_pathology``) against p; and effectiveness: voxels
    of the judge's lesion, of p, and the former's departure from the latter as a share of it.
    """

    columns = ("dice", "iou", "lesion_recall", "lesion_precision", "lesion_f1", "found", "asked", "departure")
    needs = ("pathology", "pred_pathology")

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        masks = case["pred_pathology"], case["pathology"]
        found = lesion_detection(*masks)
        sizes = [float((mask > 0).sum()) for mask in masks]
        overlap = (dice(*masks), iou(*masks), found.recall, found.precision, found.f1)
        return *overlap, *sizes, abs(sizes[0] - sizes[1]) / sizes[1] if sizes[1] else NOTHING


class BoxAdherenceMetric(CaseMetric):
    """Dice and IoU of boxes fitted to the judge's lesion against the conditioning boxes (``pathology``)."""

    columns = ("box_dice", "box_iou")
    needs = ("pathology", "pred_pathology")

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        return box_overlap(case["pred_pathology"], case["pathology"])


class RegionPresenceMetric(CaseMetric):
    """
    Presence (1 or 0) and Dice of core, edema and rim in the judge's regions (``pred_regions``), where they were wanted.

    ``core_and_rim_large``: 1 if core and rim are both there, of a tumour that is large and has both; who was told of
    the bare mask alone must draw them by itself.

    Args:
        min_size, share: voxels within the tumour, and share of the wanted region's, from which it counts as present.
        large: voxels of all regions above which a tumour is large.
    """

    columns = (
        *(f"{name}_{what}" for what in ("present", "dice") for name in TUMOR_REGIONS.values()),
        "core_and_rim_large",
    )
    needs = ("regions", "pred_regions")

    def __init__(self, min_size: int = 1, large: int = 0, share: float = 0.1) -> None:
        super().__init__()
        self.min_size, self.large, self.share = min_size, large, share

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        known = region_presence(case["pred_regions"], case["regions"], self.min_size, self.share)
        found, ring = known.values(), (known["core"], known["rim"])
        large = sum(one.wanted_size for one in found) > self.large and all(one.wanted for one in ring)
        both = float(all(one.present for one in ring)) if large else NOTHING
        return [*(float(f.present) if f.wanted else NOTHING for f in found), *(f.dice for f in found), both]


class LesionContrastMetric(CaseMetric):
    """Darkening inside p (see :func:`intensity_drop`); NaN without lesion."""

    columns = ("lesion_drop",)
    needs = ("prior", "pathology")

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        return [intensity_drop(case["prior"], edit, case["pathology"]) if (case["pathology"] > 0).any() else NOTHING]


class VisibilityMetric(CaseMetric):
    """
    How much a lesion stands out (see :func:`contrast_to_noise`), and the same of small lesions alone, which the Dice of
    a judge says little of.

    Args:
        small: voxels of p up to which a lesion is small.
    """

    columns = ("contrast_to_noise", "contrast_to_noise_small")
    needs = ("prior", "pathology", "brain")

    def __init__(self, small: float = 0) -> None:
        super().__init__()
        self.small = small

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        found = contrast_to_noise(case["prior"], edit, case["pathology"], case["brain"])
        return found, found if (case["pathology"] > 0).sum() <= self.small else NOTHING


class PreservationMetric(CaseMetric):
    """Largest change and changed voxels outside M (0 wanted); PSNR and SSIM outside p."""

    columns = ("change_outside", "changed_voxels", "psnr", "ssim")
    needs = ("prior", "pathology", "region", "brain")

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        kept = (edit, case["prior"], case["pathology"], case["brain"])
        return *change_outside(edit, case["prior"], case["region"]), psnr_outside(*kept), ssim_outside(*kept)


class DistanceMetric(_SpacedMetric):
    """
    Mean absolute change in rings around p, one column a ring.

    Args:
        edges: rising, mm.
    """

    needs = ("prior", "pathology", "brain")

    def __init__(self, spacing: Spacing, edges: Sequence[float] = DISTANCE_EDGES) -> None:
        super().__init__(spacing)
        self.edges = tuple(edges)
        tops = [f"{top:g}mm" for top in self.edges[1:]] + ["on"]
        self.columns = tuple(f"change_{low:g}_{top}" for low, top in zip(self.edges, tops))

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        if not (case["pathology"] > 0).any():
            return [NOTHING] * len(self.edges)
        parts = (case["prior"], case["pathology"], case["brain"])
        return change_by_distance(edit, *parts, self.spacing, self.edges)[0].tolist()


class SeamMetric(_SpacedMetric):
    """Step across M's edge and mismatch of M∖p against its ring, each on the edit and on the prior (what to hold)."""

    columns = ("edge_gradient", "edge_gradient_prior", "ring_mismatch", "ring_mismatch_prior")
    needs = ("prior", "pathology", "region", "brain")

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        region, brain = case["region"], case["brain"]
        images = (edit, case["prior"])
        steps = [edge_gradient(image, region, brain) for image in images]
        return steps + [ring_mismatch(image, region, case["pathology"], brain, self.spacing) for image in images]


class TextureMetric(_SpacedMetric):
    """High-frequency power of M∖p against the ring around M, on the edit and on the prior."""

    columns = ("texture", "texture_prior")
    needs = ("prior", "pathology", "region", "brain")

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        brain, region = case["brain"] > 0, case["region"] > 0
        ring = surrounding_ring(region, brain, self.spacing)
        inside = region & brain & ~(case["pathology"] > 0)
        return [texture_ratio(image, inside, ring, brain, self.spacing) for image in (edit, case["prior"])]


def _ventricles(case: Case, name: str) -> np.ndarray:
    """Ventricle labels without those inside p: a judge may take a lesion's dark core for a ventricle."""
    return np.where(case["pathology"] > 0, 0, case[name])


class VentricleMetric(_SpacedMetric):
    """
    Change of the ventricles outside p (judge: ``pred_ventricles``) by side of the lesion, and of their asymmetry; mm²,
    mm³.
    """

    columns = (
        "ventricle_change",
        "ventricle_ipsilateral",
        "ventricle_contralateral",
        "ventricle_asymmetry",
        "ventricle_asymmetry_change",
    )
    needs = ("prior_ventricles", "pred_ventricles", "pathology", "brain")

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        if not (case["pathology"] > 0).any():
            return [NOTHING] * len(self.columns)
        before, after = (_ventricles(case, name) for name in self.needs[:2])
        found = ventricle_change(before, after, case["pathology"], case["brain"], self.spacing)
        return found.total, found.ipsilateral, found.contralateral, found.asymmetry_after, found.asymmetry


class MidlineMetric(_SpacedMetric):
    """Midline shift (mm, positive: away from the lesion) by the septum between the ventricles: mean and largest."""

    columns = ("midline_shift", "midline_shift_largest")
    needs = ("prior_ventricles", "pred_ventricles", "pathology", "brain")

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        if not (case["pathology"] > 0).any():
            return [NOTHING] * len(self.columns)
        found = midline_shift_from_ventricles(*(_ventricles(case, name) for name in self.needs[:2]), self.spacing)
        away = -1 if lesion_side(case["pathology"], case["brain"])[0] == 2 else 1  # from a right lesion to the left
        return away * found.mean, away * found.largest


class SulcalFluidMetric(_SpacedMetric):
    """Change of sulcal fluid on the lesion's side and on the other, mm² or mm³."""

    columns = ("sulcal_ipsilateral", "sulcal_contralateral")
    needs = ("prior", "pathology", "brain")

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        if not (case["pathology"] > 0).any():
            return [NOTHING] * len(self.columns)
        found = sulcal_fluid_change(case["prior"], edit, case["pathology"], case["brain"], self.spacing)
        return found.ipsilateral, found.contralateral


class TissueMetric(_SpacedMetric):
    """
    Change of fluid (judge: ``pred_tissue``) on the lesion's side and on the other, and of gray and white matter, all
    outside the lesion; mm² or mm³.
    """

    columns = ("fluid_ipsilateral", "fluid_contralateral", "gray_change", "white_change")
    needs = ("prior_tissue", "pred_tissue", "pathology", "brain")

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        if not (case["pathology"] > 0).any():
            return [NOTHING] * len(self.columns)
        found = tissue_change(*(case[name] for name in self.needs), self.spacing)
        return found.fluid_ipsilateral, found.fluid_contralateral, found.gray, found.white


class LogJacobianMetric(_SpacedMetric):
    """Mean log-Jacobian of a registration prior → edit over the prior's ventricles, by side of the lesion."""

    columns = ("log_jacobian_ipsilateral", "log_jacobian_contralateral")
    needs = ("prior", "pathology", "prior_ventricles", "brain")

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        if not (case["pathology"] > 0).any():
            return [NOTHING] * len(self.columns)
        sides = ventricle_growth(case["prior"], edit, case["pathology"], case["prior_ventricles"], self.spacing)
        ipsi = lesion_side(case["pathology"], case["brain"])[0] - 1
        return sides[ipsi], sides[1 - ipsi]


class TruthErrorMetric(CaseMetric):
    """Mean absolute error against the true counterfactual (``image``) by zone, and that of doing nothing."""

    columns = tuple(f"{kind}_{zone}" for kind in ("error", "idle_error") for zone in ("lesion", "zone", "outside"))
    needs = ("image", "prior", "pathology", "region", "brain")

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        found = zone_errors(edit, *(case[name] for name in self.needs)).values()
        return [f.error for f in found] + [f.idle for f in found]


class TrueContrastMetric(CaseMetric):
    """Share of the true change inside p that the edit shows (see :func:`lesion_contrast`): 1 the truth, 0 no edit."""

    columns = ("lesion",)
    needs = ("prior", "image", "pathology")

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        return [lesion_contrast(case["prior"], edit, case["image"], case["pathology"])]


class VentricleTruthMetric(_SpacedMetric):
    """
    Predicted and true change of the ventricles, its error and that of doing nothing (mm² or mm³), and the lesion's area
    or volume: what :func:`mededit_monai.metrics.change_agreement` makes r, slope and partial correlation of.

    The judge looks at the edit (``pred_ventricles``) and at the scan without lesion (``judged_prior_ventricles``): its
    own bias cancels in the change. The true change is that of the cohort's labels. All of them outside p.
    """

    columns = (
        "ventricle_change_predicted",
        "ventricle_change_true",
        "ventricle_change_error",
        "ventricle_change_idle_error",
        "lesion_size",
    )
    needs = ("judged_prior_ventricles", "pred_ventricles", "prior_ventricles", "ventricles", "pathology")

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        sizes = [sum(ventricle_sizes(_ventricles(case, name), self.spacing)) for name in self.needs[:4]]
        predicted, true = sizes[1] - sizes[0], sizes[3] - sizes[2]
        size = float((case["pathology"] > 0).sum()) * float(np.prod(spacing_of(self.spacing, edit.ndim)))
        return predicted, true, abs(predicted - true), abs(true), size


class MidlineTruthMetric(_SpacedMetric):
    """
    Predicted and true midline shift (mm, positive: away from the lesion), its error and that of doing nothing.

    The judge looks at the edit and at the scan without lesion, as for :class:`VentricleTruthMetric`.
    """

    columns = ("shift_predicted", "shift_true", "shift_error", "shift_idle_error")
    needs = ("judged_prior_ventricles", "pred_ventricles", "prior_ventricles", "ventricles", "pathology", "brain")

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        if not (case["pathology"] > 0).any():
            return [NOTHING] * len(self.columns)
        away = -1 if lesion_side(case["pathology"], case["brain"])[0] == 2 else 1
        pairs = [(_ventricles(case, self.needs[k]), _ventricles(case, self.needs[k + 1])) for k in (0, 2)]
        predicted, true = (away * midline_shift_from_ventricles(*pair, self.spacing).mean for pair in pairs)
        return predicted, true, abs(predicted - true), abs(true)
