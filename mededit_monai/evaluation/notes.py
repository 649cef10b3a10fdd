# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a reader of a table must know, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mededit_monai.evaluation.rows import AREA, Row
from mededit_monai.evaluation.tables import EVERY, THESIS_LEVELS, THESIS_MASKS, Table
from mededit_monai.judges.structures import TISSUES

if TYPE_CHECKING:
    from mededit_monai.evaluation.results import Evaluation


def table_notes(found: Evaluation, table: Table, compared: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """
    Sentences on data, size, judge, statistics, rows that are missing, and the published figures.

    Args:
        compared: the table's comparisons.
    """
    notes = [_data(found)]
    notes += [_triplets(pairing, counts) for pairing, counts in found.counts.items()]
    notes.append(_preset(found, table))
    notes += [_judge(found.judge) + _known_to(found)] if found.judge else []
    notes += _realism(found) if found.flat else [VOLUMES if not found.judge else JUDGED_VOLUMES]
    notes.append(
        "95 % intervals: bootstrap over anatomies, then over the cases of each; of six anatomies they hold the truth "
        "in 84 to 90 % of samples (docs/results/interval_coverage.md)."
    )
    notes += _tests(compared)
    notes += _controls(found, table)
    for entry in table.rows:
        row = found.rows[table.row_key(entry)]
        if row.reason is not None:
            notes.append(f"{entry.label}: {row.reason}.")
    if any(entry.published for entry in table.rows):
        notes.append(
            "Published figures are the thesis's, on ATLAS or BraTS slices, with RadImageNet features and its own "
            "nnU-Net. Data and instruments differ: compare the order of the methods at best, not the values."
        )
    return notes


#: Instead of what is said of judge and realism.
VOLUMES = (
    "Cases are volumes: no judge looks at them, and whatever needs one is empty; ventricles are measured by carried "
    "labels, in ml."
)

#: The same where a judge of volumes does.
JUDGED_VOLUMES = "Cases are volumes; there is no FID of them. Ventricles are in ml where carried, in mm³ by the judge."


def _tests(compared: Sequence[Mapping[str, Any]]) -> list[str]:
    """What p values are, how they are adjusted, and how small they can be at all."""
    tested = [item for item in compared if item["p"] is not None]
    if not tested:
        return []
    fewest = min(tested, key=lambda item: item["n_groups"])
    return [
        f"p: two-sided signed-rank test on the mean differences of the anatomies; with n of them no p can be below "
        f"2/2ⁿ (here n = {fewest['n_groups']}, {fewest['p_floor']:.2g}). After the arrow: adjusted by Holm's method "
        f"for the {len(tested)} tests of this table."
    ]


def _realism(found: Evaluation) -> list[str]:
    return [
        f"Realism compares the edits with {found.real} pathological test slices of the same cohort{_apart(found)}, on "
        f"features of " + " and of ".join(found.extractors.values()) + "; each extractor has columns of its own.",
        "Intervals of the FID: value ± 1.96 s.d. over 10 resamples of the pathological slices, as in the thesis. "
        "Combined: over resamples of both sets with the Dice of the same edits; the FIDs are shifted so that their "
        "mean is the table's, because a resampled set repeats images. Their differences have an interval over the same "
        "resamples and no p value.",
    ]


def _apart(found: Evaluation) -> str:
    return ", none of them of a case whose scan or mask was edited" if found.among is not None else ""


def _data(found: Evaluation) -> str:
    cohort = found.cohort
    kind = "synthetic" if cohort["synthetic"] else "real"
    return f"Cohort: {cohort['name']} ({kind}), held-out list 'testing'; every edit is synthetic."


def _triplets(pairing: str, counts: Mapping[str, Any]) -> str:
    strata = ", ".join(f"{count} {name}" for name, count in counts["strata"].items())
    part = counts["partly_outside"]
    outside = f"; {part} of the masks lie{'s' * (part == 1)} partly outside the brain" if part else ""
    return (
        f"Pairing {pairing}: {counts['triplets']} of {counts['available']} test masks, size strata in proportion "
        f"({strata}), on scans of {counts['groups']} anatomies or patients{outside}. Every row has the same triplets "
        "and noise."
    )


def _preset(found: Evaluation, table: Table) -> str:
    options, preset = found.options, table.presets[found.options.preset]
    most = max(one.presets[options.preset]["cases"] for one in found.tables)  # all tables have the same triplets
    levels = preset.get("steps") if options.steps is None else options.steps
    spacing = preset.get("spacing")
    spaced = "" if spacing is None else f" (spaced in {'log-SNR' if spacing == 'logsnr' else spacing})"
    limit = "" if options.limit is None else f", at most {options.limit} by --limit"
    thesis = f"; the thesis used {THESIS_LEVELS} levels and {THESIS_MASKS[found.cohort['disease']]} masks"
    told = "every row's own noise levels" if levels is None else f"{levels} noise levels{spaced} unless a row "
    told += "" if levels is None else "sets its own number"
    return (
        f"Preset {options.preset}: {told}, "
        f"{_masks(most)} test masks{limit}{thesis if table.of_thesis else ''}. Seconds per edit are "
        f"measured in batches of up to {options.batch_size}."
    )


def _known_to(found: Evaluation) -> str:
    """Of a judge that learned from anatomies that it judges here: cohorts of another --split_seed."""
    here = found.cohort.get("anatomies", [])
    known = set(here) & set(found.judge.get("learned_from", ()))
    return f" It learned from {len(known)} of the {len(here)} anatomies here, which flatters it." if known else ""


def _masks(cases: int) -> str:
    return "all" if cases == EVERY else str(cases)


def _judge(judge: Mapping[str, Any]) -> str:
    scores = judge.get("held_out", {})
    told = [
        f"{name} {score['value']:.3f}"
        + (f" ({score['low']:.3f} … {score['high']:.3f})" if score.get("low") is not None else "")
        for name, score in scores.items()
        if score and name not in TISSUES  # no table measures tissue
    ]
    known = ", ".join(told) or "not known"
    return (
        f"Judge: {judge['name']}. Its mean Dice on held-out true images (not an upper bound for other cases): {known}."
    )


def _controls(found: Evaluation, table: Table) -> list[str]:
    notes = []
    for entry in table.rows:
        row = found.rows[table.row_key(entry)]
        told = {
            "no_edit": "the unedited scan, scored as if it were an edit.",
            "truth": "the true counterfactual, scored as if it were an edit: how the judge rates a perfect one. Where "
            "scan and mask are of different people, the image of the mask's own case: what as many true images score.",
            "without_lesion": f"{_same_but_told(found, table, row)} with all pathology channels set to zero.",
            "by_slice": "every axial slice with lesion is edited for itself, by the networks for slices.",
            AREA: "no image is made; the change is predicted by a linear regression on the lesion's area, fitted on "
            f"{found.fitted} true pairs of the training split.",
        }
        if row.control in told and row.reason is None:
            notes.append(f"{entry.label}: {told[row.control]}")
    return notes


def _same_but_told(found: Evaluation, table: Table, row: Row) -> str:
    """The method of a control that is told of no lesion: the label of its own row, if the table has it."""
    settings = {key: value for key, value in row.settings.items() if key != "control"}
    rows = [(entry.label, found.rows[table.row_key(entry)].settings) for entry in table.rows]
    name = next((label for label, other in rows if other == settings), f"method '{settings.get('method')}'")
    return f"{name} on the same region" if "dilation" in settings else f"{name},"
