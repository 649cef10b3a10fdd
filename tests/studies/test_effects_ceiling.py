# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The ceiling of a small simulated cohort: what is drawn again is what it holds, and a wrong folder is noticed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.evaluation import cohort_facts
from mededit_monai.evaluation.displaced import read_along_axes
from mededit_monai.io.datalist import read_datalist
from mededit_monai.io.nifti import read_array
from mededit_monai.metrics.carried import carried_change
from mededit_monai.simulation.plan import Recipe
from mededit_monai.simulation.simulate import simulate_cohort
from studies.effects_ceiling import effects_ceiling, main


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ceiling") / "cohort"
    simulate_cohort(Recipe(counts=(1, 1, 5), cases=7, seed=3), folder, progress=False)
    return folder


@pytest.mark.slow
def test_the_first_draw_is_the_cohorts_own(cohort, tmp_path, capsys):
    assert main(["--cohort", str(cohort), "--draws", "4", "--cases", "4", "-o", str(tmp_path / "out")]) == 0
    content = json.loads((tmp_path / "out" / "ceiling.json").read_text())
    facts = cohort_facts(cohort)
    assert (content["recipe"], content["simulator_version"]) == (facts["recipe"], facts["simulator_version"])
    assert content["cases"] == 4 and content["unit"] == "mm²" and len(content["case_draws"][0]["changes"]) == 4
    assert "change by the mean displacement" in capsys.readouterr().out
    assert any(np.ptp(one["changes"]) > 0 for one in content["case_draws"])  # the hidden draws do something
    moved = [one for one in content["case_draws"] if one["idle"] is not None]
    assert moved
    for one in moved:
        assert 0 < one["error"] < one["idle"]  # the mean is nearer than nothing is
    entries = {case["case_id"]: case for case in read_datalist(cohort / "datalist.json")}
    for one in content["case_draws"]:  # the first is what the cohort's own files say
        entry = entries[one["case_id"]]
        labels, lesion = (read_array(entry[key]).squeeze() for key in ("prior_ventricles", "pathology"))
        change = carried_change(labels, read_along_axes(entry["displacement"], 2), lesion, 233 / 128).sum()
        assert one["changes"][0] == pytest.approx(change, abs=0.5)  # mm²; the files are rounded to 0.001 mm
    errors = [abs(np.mean(one["changes"][1:]) - one["changes"][0]) for one in content["case_draws"]]
    assert content["ventricles"]["own"]["error"]["value"] == pytest.approx(np.mean(errors))


def test_another_seed_is_not_this_cohort(cohort, tmp_path):
    place = cohort / "cohort.json"
    content = json.loads(place.read_text())
    other = tmp_path / "cohort"
    other.mkdir()
    content["recipe"]["seed"] = 4
    (other / "cohort.json").write_text(json.dumps(content))
    lists = json.loads((cohort / "datalist.json").read_text())
    for case in lists["testing"]:
        case |= {key: str(cohort / value) for key, value in case.items() if str(value).endswith(".nii")}
    (other / "datalist.json").write_text(json.dumps(lists))
    with pytest.raises(InputError, match="differs by .* mm from what is drawn again"):
        effects_ceiling(other, tmp_path / "out", cases=3, draws=3)
    with pytest.raises(InputError, match="--draws: got 2"):
        effects_ceiling(cohort, tmp_path / "out", draws=2)
