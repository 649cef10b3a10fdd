# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Pages to look at single cases of an evaluation: prior, edit and, where it is known, the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mededit_monai.evaluation.edits import StoredEdit, read_edit
from mededit_monai.io.nifti import Volume, read_volume
from mededit_monai.io.outputs import OutputFolder, make_folder
from mededit_monai.reports.evaluation_folder import Case, EvaluationFolder
from mededit_monai.reports.evaluation_tables import number
from mededit_monai.reports.view_page import viewer_page
from mededit_monai.reports.view_volumes import ViewCase, ViewStep

#: A voxel that differs by more was changed: edits are kept in single precision.
CHANGED = 1e-6


def write_case_view(source: EvaluationFolder, row: str, case: Case) -> str | None:
    """
    Write the page about an edit of an evaluation.

    Args:
        row: whose edit it is.

    Returns:
        its place relative to the evaluation's folder; None where edit or prior scan are out of reach.

    Raises:
        InputError: a file that is damaged, or one of somebody's in the way.
    """
    shown = evaluation_view(source, row, case)
    if shown is None:
        return None
    place = f"views/{row}/{case.pairing}/{case.case_id}.html"
    make_folder((source.folder / place).parent)
    OutputFolder(source.folder).write({place: viewer_page(shown).encode("utf-8", "surrogateescape")})
    return place


def evaluation_view(source: EvaluationFolder, row: str, case: Case) -> ViewCase | None:
    """An edit of an evaluation, for :func:`~mededit_monai.reports.view_page.viewer_page`; slices have one voxel."""
    stored = read_edit(source.folder / "edits" / row / case.pairing / f"{case.case_id}.npz", extras_too=True)
    prior = _volume(source, case, "prior")
    if stored is None or prior is None or stored.edit.size != prior.data.size:
        return None
    lesion, truth = _volume(source, case, "pathology"), _volume(source, case, "image")
    edit, moved = stored.edit.reshape(prior.data.shape), _lengths(stored, prior)
    steps = [ViewStep("edit", edit, np.abs(edit - prior.data) > CHANGED, moved)]
    if truth is not None and case.pairing == "paired":
        steps.insert(0, ViewStep("truth (simulated)", truth.data, np.abs(truth.data - prior.data) > CHANGED))
    facts = {
        "Case": [(name, text) for name, text in case.facts.items() if name not in case.figures],
        "Figures": [(name, number(value)) for name, value in case.figures.items()],
    }
    return ViewCase(
        name=f"{case.case_id}, {case.facts.get('label', row)}",
        prior=prior.data,
        affine=prior.affine,
        lesion=np.zeros(prior.data.shape, dtype=bool) if lesion is None else lesion.data > 0,
        steps=steps,
        largest_mm=0.0 if moved is None else float(moved.max()),
        facts=facts,
    )


def _volume(source: EvaluationFolder, case: Case, key: str) -> Volume | None:
    """A file of a triplet; cohorts lie in RAS order, as their edits do."""
    place = source.triplets.get(case.pairing, {}).get(case.case_id, {}).get(key)
    return read_volume(place) if place and Path(place).is_file() else None


def _lengths(stored: StoredEdit, prior: Volume) -> np.ndarray | None:
    """|u| in mm; None where nothing was to move."""
    field = stored.extras.get("displacement")
    return None if field is None else np.sqrt((field.astype(np.float64) ** 2).sum(axis=0)).reshape(prior.data.shape)
