# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Columns of the tables: what each is called, which way is better, and which figures of the cases it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

#: How a column's value comes from its cases: mean; ratio of two means; agreement of a predicted with a true change;
#: distance of two sets, and how far it lies above the truth's; (1 - Dice) x FID; the smallest and the largest of all
#: cases; two-sample test of lesions.
KINDS = ("mean", "ratio", "agreement", "set", "excess", "combined", "least", "most", "lesion")

#: Ending of the columns' keys → whose features they are, for people.
FEATURES = {"": "embedded judge", "_imagenet": "ImageNet", "_radimagenet": "RadImageNet"}

#: Kinds that are made of features.
OF_FEATURES = ("set", "excess", "combined")

#: For people: which way is better, and what the columns of a pairing are measured on.
ARROWS = {"lower": "↓", "higher": "↑", "one": "→ 1", "none": ""}
PAIRING_TITLES = {
    "thesis": "Scan and mask from different people, as in the thesis",
    "paired": "Scan, mask and true counterfactual of the same case",
}


@dataclass(frozen=True)
class Column:
    """
    Args:
        key: in the tables' JSON; label: for people.
        better: ``lower``, ``higher``, ``one`` (nearest to 1) or ``none``.
        pairing: of the triplets it is measured on, where both were asked for.
        kind: one of :data:`KINDS`.
        figures: columns of ``metrics.csv``: the value; numerator and denominator; predicted, true, area.
        statistic: ``r``, ``slope``, ``calibration``, ``partial_r`` of an agreement; ``fid``, ``kid``, ``auc`` of a
            set; the classifier of a two-sample test of lesions.
        truth: whether it can be measured with known truth only.
        extractor: ending of the key, by which extractors are told apart; name: of the extractor.
        note: a sentence for people.
    """

    key: str
    label: str
    better: str
    pairing: str
    kind: str
    figures: tuple[str, ...] = ()
    statistic: str = ""
    truth: bool = False
    extractor: str = ""
    note: str = ""

    @property
    def per_case(self) -> bool:
        """Whether methods can be compared case by case."""
        return self.kind == "mean"


_CHANGE = (
    "against_truth_ventricle_change_predicted",
    "against_truth_ventricle_change_true",
    "against_truth_lesion_size",
)

_CARRIED = ("carried_ventricle_change_predicted", "carried_ventricle_change_true", "carried_lesion_size")

#: The first fields of every column, in the order of the page.
_KNOWN: tuple[tuple, ...] = (
    ("combined", "combined", "lower", "thesis", "combined"),
    ("fid", "FID", "lower", "thesis", "set", (), "fid"),
    ("fid_excess", "FID minus the truth's", "lower", "thesis", "excess", (), "fid"),
    ("kid", "KID", "lower", "thesis", "set", (), "kid"),
    ("kid_excess", "KID minus the truth's", "lower", "thesis", "excess", (), "kid"),
    ("auc", "two-sample AUC", "lower", "thesis", "set", (), "auc"),
    ("dice", "Dice", "higher", "thesis", "mean", ("adherence_dice",)),
    ("found_share", "lesion found / asked", "one", "thesis", "ratio", ("adherence_found", "adherence_asked")),
    ("departure", "departure of lesion size", "lower", "thesis", "mean", ("adherence_departure",)),
    ("box_dice", "box Dice", "higher", "thesis", "mean", ("boxes_box_dice",)),
    ("box_iou", "box IoU", "higher", "thesis", "mean", ("boxes_box_iou",)),
    ("contrast", "lesion contrast", "one", "paired", "mean", ("contrast_lesion",)),
    ("visible_small", "contrast to noise, small", "none", "thesis", "mean", ("visible_contrast_to_noise_small",)),
    ("core_present", "core present", "higher", "paired", "mean", ("regions_core_present",)),
    ("core_and_rim", "core and rim of large", "higher", "paired", "mean", ("regions_core_and_rim_large",)),
    ("outside", "change outside M", "lower", "thesis", "mean", ("kept_change_outside",)),
    ("zone_error", "error in M∖p", "lower", "paired", "mean", ("truth_error_zone",)),
    ("outside_error", "error outside M", "lower", "paired", "mean", ("truth_error_outside",)),
    ("change", "mean |edit − prior|", "none", "paired", "mean", ("minimal_change",)),
    ("needless", "change where truth has none", "lower", "paired", "mean", ("minimal_needless",)),
    ("needless_share", "share changed there", "lower", "paired", "mean", ("minimal_needless_share",)),
    ("undone", "error once undone", "lower", "paired", "mean", ("reversed_undone",)),
    ("not_undone", "the same not undone", "none", "paired", "mean", ("reversed_not_undone",)),
    ("ventricle_error", "ventricle error, mm²", "lower", "paired", "mean", ("against_truth_ventricle_change_error",)),
    ("ventricle_slope", "ventricle slope", "one", "paired", "agreement", _CHANGE, "slope"),
    ("ventricle_r", "ventricle r", "higher", "paired", "agreement", _CHANGE, "r"),
    ("ventricle_partial_r", "ventricle r given area", "higher", "paired", "agreement", _CHANGE, "partial_r"),
    ("midline_error", "midline error, mm", "lower", "paired", "mean", ("midline_truth_shift_error",)),
    ("seam", "seam gradient", "one", "thesis", "ratio", ("seam_edge_gradient", "seam_edge_gradient_prior")),
    ("texture", "texture ratio", "one", "thesis", "ratio", ("texture_texture", "texture_texture_prior")),
    ("slice_step", "slice-to-slice step", "one", "paired", "ratio", ("slice_step_edit", "slice_step_truth")),
    ("lesion_auc", "in-lesion AUC", "lower", "paired", "lesion", (), "quadratic"),
    ("lesion_auc_trees", "in-lesion AUC, trees", "lower", "paired", "lesion", (), "trees"),
    ("carried_r", "carried ventricle r", "higher", "paired", "agreement", _CARRIED, "r"),
    ("carried_slope", "carried ventricle slope", "one", "paired", "agreement", _CARRIED, "slope"),
    ("carried_calibration", "calibration slope", "one", "paired", "agreement", _CARRIED, "calibration"),
    ("carried_partial_r", "carried r given size", "higher", "paired", "agreement", _CARRIED, "partial_r"),
    ("carried_error", "carried ventricle error", "lower", "paired", "mean", ("carried_ventricle_change_error",)),
    ("carried_sign", "sign right", "higher", "paired", "mean", ("carried_sign_right",)),
    ("end_point", "end-point error, mm", "lower", "paired", "mean", ("end_point_error",)),
    ("end_point_idle", "moved, mm", "none", "paired", "mean", ("end_point_idle",)),
    ("jacobian", "smallest Jacobian", "none", "paired", "least", ("field_jacobian",)),
    ("still", "brain with u = 0", "none", "paired", "mean", ("field_still",)),
    ("still_true", "the same in truth", "none", "paired", "mean", ("true_field_still",)),
    ("far", "|u| beyond 60 mm, mm", "lower", "paired", "mean", ("field_far",)),
    ("far_true", "the same in truth", "none", "paired", "mean", ("true_field_far",)),
    ("round_trip", "φ then φ⁻¹, voxels", "lower", "paired", "most", ("field_round_trip",)),
    ("displaced_error", "error in M∖p before paint", "lower", "paired", "mean", ("displaced_error_zone",)),
    ("composition", "voxels changed by no lesion", "lower", "paired", "most", ("composition_changed_voxels",)),
    ("ungated_velocity", "ungated |v| without lesion, mm", "lower", "paired", "mean", ("composition_velocity",)),
    ("ungated_paint", "ungated paint without lesion", "lower", "paired", "mean", ("composition_paint",)),
)

_NOTES = {
    "combined": "(1 − Dice) × FID, as in the thesis; with boxes, the Dice of the boxes. It rewards average brains as "
    "the FID does, so no conclusion rests on it.",
    "fid": "biased upward at this number of images.",
    "fid_excess": "of as many true images, those of the same masks' own cases; 0: as far from the other true images as "
    "they are themselves, below 0: nearer, as a set of average brains can be.",
    "kid_excess": "the same of the KID.",
    "kid": "unbiased; can be negative.",
    "auc": "how well a classifier tells edits from pathological test images: 0.5 not at all, 1 always.",
    "dice": "the judge's lesion in the edit against the mask that was asked for; includes the judge's own errors.",
    "found_share": "effectiveness: pixels of the judge's lesion over pixels asked for, of all cases together.",
    "departure": "effectiveness: mean of |found − asked| / asked, by the judge's lesion.",
    "box_dice": "boxes fitted to the judge's lesion against the conditioning boxes.",
    "contrast": "the change inside p as a share of the true change; 1 equals the truth, 0 is no change.",
    "visible_small": "of small lesions, which a judge's Dice says little of: |mean change inside p| over the s.d. of "
    "the scan around it; to be seen beside the truth's.",
    "core_present": "share of the edits that ask for a necrotic core in which the judge sees one: within the tumour, a "
    "tenth of the size that was asked for.",
    "core_and_rim": "share of the large tumours with both in which the judge sees core and enhancing rim so.",
    "outside": "largest absolute change outside M, which is the same for every row: dilate(p, 25) ∩ b for masks, "
    "dilate(boxes, 20) ∩ b for boxes.",
    "zone_error": "mean absolute error against the true counterfactual between the lesion and the edge of M, with the "
    "same M for every row.",
    "change": "over the brain; of a row that is told of no lesion it is composition: 0 is wanted.",
    "needless": "minimality: mean |edit − prior| outside p where the true counterfactual is the prior itself.",
    "needless_share": "share of the same points that the edit changes at all.",
    "undone": "reversibility: mean |edit∘φ⁻¹ − prior| outside of what was painted, with the inverse as it is written.",
    "ventricle_error": "mean absolute error of the change in ventricle area, as the judge measures it, against the "
    "true change.",
    "ventricle_partial_r": "partial correlation given the lesion's area: what the edit shows beyond "
    '"large lesion, large effect".',
    "midline_error": "measured at the septum between the ventricles, in steps of half a pixel.",
    "seam": "intensity step across the edge of the method's own region, relative to the unedited scan; empty for "
    "methods without such a region.",
    "texture": "high-frequency power in M∖p against that in the ring around M, relative to the unedited scan.",
    "slice_step": "mean difference between neighbouring axial slices inside the lesion, relative to the truth's.",
    "lesion_auc": "how well a logistic regression on features of the lesion's inside and their squares tells edits "
    "from the true lesions of the same cases: 0.5 not at all, 1 always; pairs and anatomies stay together.",
    "lesion_auc_trees": "the same with gradient boosting.",
    "carried_r": "ventricle change by the prior's labels, carried by the edit's displacement and by the true one; no "
    "judge.",
    "carried_slope": "of the estimate on the truth; below 1 also for the best mean, as the truth scatters about it.",
    "carried_calibration": "of the truth on the estimate; 1 for a right mean.",
    "carried_error": "mean absolute error, mm² of a slice, ml of a volume.",
    "carried_sign": "share of the cases whose true change is above 20 mm² (0.5 ml) in which the sign is right.",
    "end_point": "mean distance of where tissue is taken from to where it truly comes from, where |u| > 0.25 mm in "
    "truth, outside of the lesion.",
    "end_point_idle": "mean |u| there: the error of no displacement.",
    "jacobian": "of all cases, within the brain, on the model's grid; 0 and below: the field folds.",
    "still": "share of the brain that keeps its bytes, if nothing is painted there.",
    "round_trip": "of all cases and voxels of the brain the largest distance, on the model's grid, with the inverse as "
    "it is written.",
    "displaced_error": "as the error in M∖p, of the displaced scan before anything is painted.",
    "composition": "with an empty mask, --effects 0 and a painter that gives 0; of all cases the largest number.",
    "ungated_velocity": "what the effects network says to an empty mask if it is not stopped; mean over the brain.",
    "ungated_paint": "mean |change| in [0, 1] that the painter makes where the lesion is, told of none.",
}

#: Measured on pairs where there are any, but without a look at the truth.
_WITHOUT_TRUTH = ("core_present", "core_and_rim")

COLUMNS: dict[str, Column] = {
    known[0]: Column(
        *known, truth=known[3] == "paired" and known[0] not in _WITHOUT_TRUTH, note=_NOTES.get(known[0], "")
    )
    for known in _KNOWN
}


def table_columns(keys: Sequence[str], extractors: dict[str, str], pairings: Sequence[str]) -> list[Column]:
    """
    A table's columns in an evaluation.

    Those of features are there once an extractor. A column whose pairing was not asked for is measured on the other
    one, if it does without the truth.

    Args:
        keys: of the table; extractors: ending of the key → name of the extractor; pairings: asked for.
    """
    columns = []
    for key in keys:
        column = COLUMNS[key]
        if column.pairing not in pairings and not column.truth:
            column = replace(column, pairing=pairings[0])
        if column.kind not in OF_FEATURES:
            columns.append(column)
            continue
        for ending, name in extractors.items():
            short = FEATURES[ending]
            told = f"{column.note} Features: {name}."
            label = f"{column.label} ({short})"
            columns.append(replace(column, key=f"{key}{ending}", label=label, extractor=ending, note=told))
    return columns
