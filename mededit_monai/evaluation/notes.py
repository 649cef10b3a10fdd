# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a reader of a table must know, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mededit_monai.evaluation.rows import AREA
from mededit_monai.evaluation.tables import Table
from mededit_monai.judges.structures import TISSUES

if TYPE_CHECKING:
    from mededit_monai.evaluation.results import Evaluation


def table_notes(found: Evaluation, table: Table) -> list[str]:
    """Sentences on data, size, judge, statistics, rows that are missing, and the published figures."""
    notes = [_data(found)]
    notes += [_triplets(pairing, counts) for pairing, counts in found.counts.items()]
    notes += [_preset(found, table), _judge(found.judge)]
    notes.append(
        f"Realism is measured against {found.real} pathological test slices of the same cohort, on features of "
        + " and of ".join(found.extractors.values())
        + "; each extractor has its own columns."
    )
    notes.append(
        "Intervals of 95 %: anatomies are drawn first, then cases of each. Of FID, as in the thesis: value ± 1.96 s.d. "
        "over 10 resamples of the pathological slices. Of combined: over resamples of both sets with the Dice of the "
        "same edits, the FIDs shifted so that their mean is that of the table, since a resampled set repeats images."
    )
    notes.append(
        "p: signed-rank test on the anatomies' mean differences, two-sided; differences of FID and combined have an "
        "interval over the same resamples and no p."
    )
    notes += _controls(found, table)
    for entry in table.rows:
        row = found.rows[table.row_key(entry)]
        if row.reason is not None:
            notes.append(f"{entry.label}: {row.reason}.")
    if any(entry.published for entry in table.rows):
        notes.append(
            "Published figures are the thesis's, on ATLAS or BraTS slices with RadImageNet features and its own "
            "nnU-Net: other data and other instruments, comparable in their order at best, not in absolute terms."
        )
    return notes


def _data(found: Evaluation) -> str:
    cohort = found.cohort
    kind = "synthetic" if cohort["synthetic"] else "real"
    return f"Cohort: {cohort['name']} ({kind}), its held-out list 'testing'; every edit is synthetic."


def _triplets(pairing: str, counts: Mapping[str, Any]) -> str:
    strata = ", ".join(f"{count} {name}" for name, count in counts["strata"].items())
    part = counts["partly_outside"]
    outside = f"; in {part} the mask lies partly outside the brain" if part else ""
    return (
        f"Pairing {pairing}: {counts['triplets']} of {counts['available']} test masks, strata in proportion "
        f"({strata}), on scans of {counts['groups']} anatomies or patients{outside}; the same triplets and noise for "
        "every row."
    )


def _preset(found: Evaluation, table: Table) -> str:
    options, preset, thesis = found.options, table.presets[found.options.preset], table.presets["full"]
    levels = preset.get("steps") if options.steps is None else options.steps
    limit = "" if options.limit is None else f", at most {options.limit} by --limit"
    return (
        f"Preset {options.preset}: {levels} noise levels ({preset.get('spacing')}) where a row has none of its own, "
        f"{preset['cases']} test masks{limit}; the thesis has {thesis['steps']} levels and {thesis['cases']} masks. "
        f"Seconds are of a batch of up to {options.batch_size}."
    )


def _judge(judge: Mapping[str, Any]) -> str:
    scores = judge.get("held_out", {})
    told = [
        f"{name} {score['value']:.3f}"
        + (f" ({score['low']:.3f} … {score['high']:.3f})" if score.get("low") is not None else "")
        for name, score in scores.items()
        if score and name not in TISSUES  # no table measures tissue
    ]
    known = ", ".join(told) or "not known"
    return f"Judge: {judge['name']}; its Dice on held-out truth (not an upper bound for other cases): {known}."


def _controls(found: Evaluation, table: Table) -> list[str]:
    told = {
        "no_edit": "nothing is edited.",
        "truth": "the true counterfactual in place of an edit: what the judge makes of a perfect one.",
        "without_lesion": "MedEdit on the same region with the pathology channels zero.",
        AREA: "no edit; change predicted by a linear regression on the lesion's area, fitted on "
        f"{found.fitted} true pairs of the training split.",
    }
    notes = []
    for entry in table.rows:
        row = found.rows[table.row_key(entry)]
        if row.control in told and row.reason is None:
            notes.append(f"{entry.label}: {told[row.control]}")
    return notes
