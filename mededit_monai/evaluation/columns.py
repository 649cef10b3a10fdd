# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Columns of the tables: what each is called, which way is better, and which figures of the cases it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

#: How a column's value comes from its cases: mean; ratio of two means; agreement of a predicted with a true change;
#: distance of two sets; (1 - Dice) x FID.
KINDS = ("mean", "ratio", "agreement", "set", "combined")


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


_CHANGE = tuple(
    f"against_truth_{name}" for name in ("ventricle_change_predicted", "ventricle_change_true", "lesion_size")
)


def _known() -> list[Column]:
    thesis, paired = "thesis", "paired"
    reference = "M = dilate(p, 25) ∩ b for masks, dilate(boxes, 20) ∩ b for boxes, the same for every row."
    return [
        Column("combined", "combined", "lower", thesis, "combined", note="(1 − Dice) × FID; boxes: the boxes' Dice."),
        Column("fid", "FID", "lower", thesis, "set", statistic="fid", note="Biased upward at this number of images."),
        Column("kid", "KID", "lower", thesis, "set", statistic="kid", note="Unbiased; can be negative."),
        Column(
            *("auc", "two-sample AUC", "lower", thesis, "set"),
            statistic="auc",
            note="Telling edits from pathological test images: 0.5 cannot, 1 always.",
        ),
        Column(
            *("dice", "Dice", "higher", thesis, "mean", ("adherence_dice",)),
            note="The judge's lesion in the edit against the mask; the judge's own errors are part of it.",
        ),
        Column(
            *("box_dice", "box Dice", "higher", thesis, "mean", ("boxes_box_dice",)),
            note="Boxes fitted to the judge's lesion against the conditioning boxes.",
        ),
        Column("box_iou", "box IoU", "higher", thesis, "mean", ("boxes_box_iou",)),
        Column(
            *("contrast", "lesion contrast", "one", paired, "mean", ("contrast_lesion",)),
            truth=True,
            note="Share of the true change inside p: 1 as in the truth, 0 none.",
        ),
        Column(
            *("core_present", "core present", "higher", paired, "mean", ("regions_core_present",)),
            note="Share of the edits that ask for a necrotic core in which the judge sees one.",
        ),
        Column(
            *("outside", "change outside M", "lower", thesis, "mean", ("kept_change_outside",)),
            note=f"Largest absolute change outside {reference}",
        ),
        Column(
            *("zone_error", "error in M∖p", "lower", paired, "mean", ("truth_error_zone",)),
            truth=True,
            note=f"Mean absolute error against the true counterfactual; {reference}",
        ),
        Column("outside_error", "error outside M", "lower", paired, "mean", ("truth_error_outside",), truth=True),
        Column(
            *("ventricle_error", "ventricle error, mm²", "lower", paired, "mean"),
            ("against_truth_ventricle_change_error",),
            truth=True,
            note="Change of the ventricles' area as the judge sees it against the true one, mean absolute error.",
        ),
        Column("ventricle_slope", "ventricle slope", "one", paired, "agreement", _CHANGE, "slope", truth=True),
        Column("ventricle_r", "ventricle r", "higher", paired, "agreement", _CHANGE, "r", truth=True),
        Column(
            *("ventricle_partial_r", "ventricle r given area", "higher", paired, "agreement", _CHANGE, "partial_r"),
            truth=True,
            note="Partial correlation: what the edit knows beyond that a large lesion has a large effect.",
        ),
        Column(
            *("midline_error", "midline error, mm", "lower", paired, "mean", ("midline_truth_shift_error",)),
            truth=True,
            note="By the septum between the ventricles, in steps of half a pixel.",
        ),
        Column(
            *("seam", "seam gradient", "one", thesis, "ratio", ("seam_edge_gradient", "seam_edge_gradient_prior")),
            note="Step across the edge of the method's own region against the prior's; none without such a region.",
        ),
        Column(
            *("texture", "texture ratio", "one", thesis, "ratio", ("texture_texture", "texture_texture_prior")),
            note="High-frequency power of M∖p against the ring around M, relative to the prior's.",
        ),
    ]


COLUMNS: dict[str, Column] = {column.key: column for column in _known()}


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
