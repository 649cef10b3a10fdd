# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Columns of the tables: what each is called, which way is better, and which figures of the cases it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

#: How a column's value comes from its cases: mean; ratio of two means; agreement of a predicted with a true change;
#: distance of two sets; (1 - Dice) x FID.
KINDS = ("mean", "ratio", "agreement", "set", "combined")

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
        statistic: ``r``, ``slope``, ``partial_r`` of an agreement; ``fid``, ``kid``, ``auc`` of a set.
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

#: The first fields of every column, in the order of the page.
_KNOWN: tuple[tuple, ...] = (
    ("combined", "combined", "lower", "thesis", "combined"),
    ("fid", "FID", "lower", "thesis", "set", (), "fid"),
    ("kid", "KID", "lower", "thesis", "set", (), "kid"),
    ("auc", "two-sample AUC", "lower", "thesis", "set", (), "auc"),
    ("dice", "Dice", "higher", "thesis", "mean", ("adherence_dice",)),
    ("box_dice", "box Dice", "higher", "thesis", "mean", ("boxes_box_dice",)),
    ("box_iou", "box IoU", "higher", "thesis", "mean", ("boxes_box_iou",)),
    ("contrast", "lesion contrast", "one", "paired", "mean", ("contrast_lesion",)),
    ("core_present", "core present", "higher", "paired", "mean", ("regions_core_present",)),
    ("outside", "change outside M", "lower", "thesis", "mean", ("kept_change_outside",)),
    ("zone_error", "error in M∖p", "lower", "paired", "mean", ("truth_error_zone",)),
    ("outside_error", "error outside M", "lower", "paired", "mean", ("truth_error_outside",)),
    ("ventricle_error", "ventricle error, mm²", "lower", "paired", "mean", ("against_truth_ventricle_change_error",)),
    ("ventricle_slope", "ventricle slope", "one", "paired", "agreement", _CHANGE, "slope"),
    ("ventricle_r", "ventricle r", "higher", "paired", "agreement", _CHANGE, "r"),
    ("ventricle_partial_r", "ventricle r given area", "higher", "paired", "agreement", _CHANGE, "partial_r"),
    ("midline_error", "midline error, mm", "lower", "paired", "mean", ("midline_truth_shift_error",)),
    ("seam", "seam gradient", "one", "thesis", "ratio", ("seam_edge_gradient", "seam_edge_gradient_prior")),
    ("texture", "texture ratio", "one", "thesis", "ratio", ("texture_texture", "texture_texture_prior")),
)

_NOTES = {
    "combined": "(1 − Dice) × FID; with boxes, the Dice of the boxes.",
    "fid": "biased upward at this number of images.",
    "kid": "unbiased; can be negative.",
    "auc": "how well a classifier tells edits from pathological test images: 0.5 not at all, 1 always.",
    "dice": "the judge's lesion in the edit against the mask that was asked for; includes the judge's own errors.",
    "box_dice": "boxes fitted to the judge's lesion against the conditioning boxes.",
    "contrast": "the change inside p as a share of the true change; 1 equals the truth, 0 is no change.",
    "core_present": "share of the edits that ask for a necrotic core in which the judge sees one.",
    "outside": "largest absolute change outside M, which is the same for every row: dilate(p, 25) ∩ b for masks, "
    "dilate(boxes, 20) ∩ b for boxes.",
    "zone_error": "mean absolute error against the true counterfactual between the lesion and the edge of M, with the "
    "same M for every row.",
    "ventricle_error": "mean absolute error of the change in ventricle area, as the judge measures it, against the "
    "true change.",
    "ventricle_partial_r": "partial correlation given the lesion's area: what the edit shows beyond "
    '"large lesion, large effect".',
    "midline_error": "measured at the septum between the ventricles, in steps of half a pixel.",
    "seam": "intensity step across the edge of the method's own region, relative to the unedited scan; empty for "
    "methods without such a region.",
    "texture": "high-frequency power in M∖p against that in the ring around M, relative to the unedited scan.",
}

#: Measured on pairs where there are any, but without a look at the truth.
_WITHOUT_TRUTH = ("core_present",)

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
        if column.kind not in ("set", "combined"):
            columns.append(column)
            continue
        for ending, name in extractors.items():
            short = "RadImageNet" if ending else "embedded judge"
            told = f"{column.note} Features: {name}."
            label = f"{column.label} ({short})"
            columns.append(replace(column, key=f"{key}{ending}", label=label, extractor=ending, note=told))
    return columns
