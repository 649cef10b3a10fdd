# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Pages of an evaluation's best, median and worst cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reports.small_evaluation import write_evaluation

from mededit_monai.io.outputs import written_files
from mededit_monai.reports.evaluation_folder import EvaluationFolder
from mededit_monai.reports.evaluation_sheets import contact_sheet
from mededit_monai.reports.evaluation_views import evaluation_view, write_case_view

ROW = "stroke_mask_mededit"


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> EvaluationFolder:
    folder = tmp_path_factory.mktemp("evaluation")
    write_evaluation(folder)
    return EvaluationFolder(folder)


def test_a_slice_is_shown_with_its_edit_and_the_truth(source):
    case = source.of(ROW, "paired")[0]
    shown = evaluation_view(source, ROW, case)
    truth, edit = shown.steps
    assert shown.prior.shape == (32, 32, 1) and shown.name == "case_00, MedEdit"
    assert (truth.name, edit.name) == ("truth (simulated)", "edit") and np.allclose(edit.edit, 0.8)
    assert np.allclose(truth.edit[8, 8], 0.6) and np.allclose(shown.prior[8, 8], 0.5) and truth.region.sum() == 400
    assert shown.lesion.sum() == 16 and edit.displacement is None
    assert ("truth_error_zone", "0.05") in shown.facts["Figures"] and ("stratum", "medium") in shown.facts["Case"]
    assert [step.name for step in evaluation_view(source, ROW, source.of(ROW, "thesis")[0]).steps] == ["edit"]


def test_a_displacement_is_shown_by_its_length(source):
    case = source.of(ROW, "paired")[1]
    field = np.stack([np.full((32, 32), 3.0), np.full((32, 32), 4.0)]).astype(np.float32)
    place = source.folder / "edits" / ROW / "paired" / f"{case.case_id}.npz"
    np.savez(place, edit=np.full((32, 32), 0.8, dtype=np.float32), nfe=1, seconds=1.0, displacement=field)
    shown = evaluation_view(source, ROW, case)
    assert np.allclose(shown.steps[-1].displacement, 5) and shown.largest_mm == pytest.approx(5)


def test_the_first_of_each_rank_has_a_page(source):
    sheet = contact_sheet(source, ROW, "thesis", 2, pages=True)
    pages = {rank: [strip.page for strip in strips] for rank, strips in sheet.items()}
    assert {rank: [bool(page) for page in found] for rank, found in pages.items()} == dict.fromkeys(
        pages, [True, False]
    )
    assert pages["best"][0] == f"views/{ROW}/thesis/case_00.html" and list(pages) == ["best", "median", "worst"]
    for found in pages.values():
        assert b"SYNTHETIC" in Path(source.folder, found[0]).read_bytes() and found[0] in written_files(source.folder)
    assert not any(strip.page for strips in contact_sheet(source, ROW, "thesis", 1).values() for strip in strips)


def test_an_edit_out_of_reach_has_none(source):
    best = source.of("stroke_mask_palette", "thesis")[0]
    assert write_case_view(source, "stroke_mask_palette", best) is None
