# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Samples of a small cohort against its truths drawn anew; what is compared with what, by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.simulation.plan import Recipe
from mededit_monai.simulation.simulate import simulate_cohort
from studies import calibrated_samples as study
from studies.calibrated_samples import compared, main, summary


def test_halves_of_the_draws():
    """Truths 0 and 2, other draws 5 and 7; samples 1 and 3, one edit 4."""
    found = compared(np.array([1.0, 3.0]), np.array([4.0]), np.array([0.0, 2.0, 5.0, 7.0]))
    assert found == pytest.approx(
        {
            "variance": 2 * 3 / 2,
            "error": (2**2 + 0) / 2,
            "samples": ((1 + 3) / 2 - 1 + 1 - 1) / 2,
            "other_draws": ((5 + 7) / 2 - 1 + (3 + 5) / 2 - 1) / 2,
            "one_edit": (4 + 2) / 2,
        }
    )


def test_cases_that_have_a_figure():
    parts = {"variance": 1.0, "error": 4.0, "samples": 0.5, "other_draws": 0.25, "one_edit": 1.0}
    found = {f"c{k}": {"lesion": parts} for k in range(4)} | {"none": {}}
    groups = {name: name for name in found}
    one = summary(found, groups, "lesion", 0)
    assert one is not None and one["cases"] == 4
    assert (one["ratio"]["value"], one["spread"]["value"], one["skill"]["value"]) == (0.5, 1, 2)
    assert one["samples"]["value"] == 0.5 and one["other_draws"]["value"] == 0.25
    assert summary(found, groups, "moved", 0) is None


def tumours(folder) -> str:
    """A cohort of tumours, by its lists alone."""
    folder.mkdir()
    recipe = Recipe("tumor", counts=(1, 1, 3), cases=5).as_json()
    cases = [{"case_id": f"testing_{k:05d}"} for k in range(3)]
    (folder / "cohort.json").write_text(json.dumps({"recipe": recipe}))
    (folder / "datalist.json").write_text(json.dumps({"recipe": recipe, "testing": cases}))
    return str(folder)


@pytest.mark.parametrize(("given", "asked"), [(None, "tumor"), ("tumor", "tumor")])
def test_the_editor_is_of_the_cohorts_disease(given, asked, tmp_path, monkeypatch):
    edited_by = []
    monkeypatch.setattr(study, "Editor", lambda bundle, condition: edited_by.append(bundle))
    monkeypatch.setattr(study, "measure", lambda *given: {})
    content = study.calibrated_samples(tumours(tmp_path / "cohort"), tmp_path / "out", bundle=given)
    assert edited_by == [asked] and content["bundle"] == content["disease"] == "tumor"
    assert json.loads((tmp_path / "out" / study.FILES[0]).read_bytes())["bundle"] == "tumor"


def test_an_editor_of_another_disease_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "Editor", lambda *given: pytest.fail("an editor was opened"))
    with pytest.raises(InputError, match="--bundle: 'stroke' is about 'stroke', wanted one about 'tumor'"):
        study.calibrated_samples(tumours(tmp_path / "cohort"), tmp_path / "out", bundle="stroke")


def test_strokes_have_no_regions(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(study, "recipe_of", lambda *given: Recipe(counts=(1, 1, 4), cases=6))
    with pytest.raises(SystemExit) as caught:
        main(["--cohort", "c", "--condition", "regions", "-o", str(tmp_path / "out")])
    assert caught.value.code == 2 and "--condition: got 'regions', but lesions of 'stroke'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_cohort(tmp_path, capsys):
    simulate_cohort(Recipe(counts=(1, 1, 4), cases=6, seed=3), tmp_path / "cohort", progress=False)
    words = ["--cohort", str(tmp_path / "cohort"), "--samples", "3", "--draws", "4", "-o", str(tmp_path / "out")]
    assert main(words) == 0
    content = json.loads((tmp_path / "out" / "calibrated_samples.json").read_text())
    assert content["synthetic"] is True and content["cases"] == 4 and content["bundle"] == "stroke"
    lesion = content["figures"]["lesion"]
    assert lesion["other_draws"]["value"] < lesion["one_edit"]["value"]
    assert 0.2 < lesion["ratio"]["value"] < 5
    assert "Research use only" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main([*words[:-1], str(tmp_path / "again"), "--samples", "1"])
    assert caught.value.code == 2 and "--samples: got 1" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()
