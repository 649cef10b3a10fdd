# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What studies read of a cohort: recipes of other versions, few cases, and bundles about something else are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.simulation.plan import Recipe
from studies import calibrated_samples, cohorts, effects_ceiling

RECIPE = Recipe(counts=(1, 1, 4), cases=6, seed=3).as_json()


def cohort_of(folder: Path, content: object, testing: int = 4) -> Path:
    """A cohort that lists so many test cases whose files are not there."""
    folder.mkdir()
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "cohort.json").write_text(text)
    cases = [{"case_id": f"testing_{k:05d}", "stratum": "small"} for k in range(testing)]
    (folder / "datalist.json").write_text(json.dumps({"recipe": RECIPE, "testing": cases}))
    return folder


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "JSONDecodeError"),
        ([], "TypeError"),
        ({"version": "1"}, "KeyError: 'recipe'"),
        ({"recipe": {**RECIPE, "newer": 1}}, "unexpected keyword argument 'newer'"),
        ({"recipe": {**RECIPE, "counts": 7}}, "TypeError"),
        ({"recipe": {**RECIPE, "disease": "flu"}}, "--disease: got 'flu'"),
    ],
)
@pytest.mark.parametrize("study", [effects_ceiling, calibrated_samples], ids=lambda one: one.__name__)
def test_a_recipe_that_cannot_be_read_is_one_sentence(study, content, why, tmp_path, capsys):
    cohort = cohort_of(tmp_path / "cohort", content)
    with pytest.raises(SystemExit) as ended:
        study.main(["--cohort", str(cohort), "-o", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and "cohort.json: holds no recipe that this version knows" in said and why in said
    assert len(said.strip().splitlines()) == 1 and not (tmp_path / "out").exists()


def test_cohorts_that_are_not_of_pairs(tmp_path):
    recipe = Recipe(counts=(4, 4, 4), cases=12, spatial_dims=3, crops=True).as_json()
    with pytest.raises(InputError, match="is of crops or of heads, wanted pairs"):
        cohorts.recipe_of(cohort_of(tmp_path / "cohort", {"recipe": recipe}), None, None)


def test_folders_of_the_recipe(tmp_path):
    cohort = cohort_of(tmp_path / "cohort", {"recipe": {**RECIPE, "anatomies": "brains"}})
    with pytest.raises(InputError, match="--anatomies: is missing; give the folder 'brains'"):
        cohorts.recipe_of(cohort, None, None)
    recipe = cohorts.recipe_of(cohort, "here/brains", "of no use")
    assert (recipe.anatomies, recipe.lesions, recipe.counts) == ("here/brains", None, (1, 1, 4))


@pytest.mark.parametrize("study", [effects_ceiling, calibrated_samples], ids=lambda one: one.__name__)
def test_too_few_test_cases_are_refused_before_any_is_drawn(study, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(study, "lesion_pool", lambda *given: pytest.fail("the lesions were opened"))
    cohort = cohort_of(tmp_path / "cohort", {"recipe": RECIPE}, testing=2)
    with pytest.raises(SystemExit) as ended:
        study.main(["--cohort", str(cohort), "-o", str(tmp_path / "out")])
    assert ended.value.code == 2 and "has 2 test cases, wanted at least 3" in capsys.readouterr().err


def test_a_case_that_the_recipe_does_not_plan(tmp_path):
    cohort = cohort_of(tmp_path / "cohort", {"recipe": RECIPE}, testing=5)
    recipe = cohorts.recipe_of(cohort, None, None)
    with pytest.raises(InputError, match="its recipe plans no case 'testing_00004' with these folders"):
        cohorts.test_cases(cohort, recipe, 5, 0)


def test_the_bundle_is_that_of_the_disease():
    assert cohorts.bundle_of("tumor", None) == cohorts.bundle_of("tumor", "tumor") == "tumor"
    with pytest.raises(InputError, match="--bundle: 'stroke' is about 'stroke', wanted one about 'tumor'"):
        cohorts.bundle_of("tumor", "stroke")
    with pytest.raises(InputError, match="--bundle: 'nowhere' is neither"):
        cohorts.bundle_of("tumor", "nowhere")


def test_regions_are_of_tumours():
    cohorts.require_told("tumor", "regions")
    cohorts.require_told("stroke", "mask")
    with pytest.raises(InputError, match="--condition: got 'regions', but lesions of 'stroke' have none"):
        cohorts.require_told("stroke", "regions")
