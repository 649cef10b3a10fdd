# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Best, median and worst cases of a small evaluation as a picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from reports.small_evaluation import write_evaluation

from mededit_monai.reports.evaluation_folder import EvaluationFolder
from mededit_monai.reports.evaluation_sheets import contact_sheet
from studies.cases_picture import main, save_cases


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    write_evaluation(folder)
    return folder


def test_every_rank_is_drawn_and_the_picture_says_that_it_is_synthetic(folder, tmp_path):
    place = save_cases(folder, "stroke_mask_mededit", tmp_path / "cases.png", "paired")
    strips = contact_sheet(EvaluationFolder(folder), "stroke_mask_mededit", "paired", 1)
    (first,) = strips["best"]
    with Image.open(place) as picture:
        assert "Synthetic image" in picture.text["Description"]
        assert picture.width == first.width
        assert picture.height == 3 * (first.height + 24 + 10) - 10
        shown = np.asarray(picture.convert("L"), dtype=float)
    tops = [k * (first.height + 34) + 24 for k in range(3)]
    assert all(shown[top : top + first.height].std() > 20 for top in tops)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mededit.json", "cases.png"]


def test_two_columns_and_two_of_each_rank(folder, tmp_path):
    assert main(
        ["--folder", str(folder), "--row", "stroke_mask_mededit", "--pairing", "thesis"]
        + ["--each", "2", "--columns", "2", "-o", str(tmp_path / "cases.png")]
    ) == 0  # fmt: skip
    strip, _ = contact_sheet(EvaluationFolder(folder), "stroke_mask_mededit", "thesis", 2)["best"]
    with Image.open(tmp_path / "cases.png") as picture:
        assert picture.size == (2 * strip.width + 10, 3 * (strip.height + 34) - 10)


def test_a_row_that_is_not_there_is_named(folder, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--folder", str(folder), "--row", "stroke_mask_other", "-o", str(tmp_path / "cases.png")])
    assert ended.value.code == 2
    assert "no edits of the row 'stroke_mask_other' (paired)" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
