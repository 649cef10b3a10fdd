# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Crops for the painter: one person seen several times, equal outside the lesion, on disk with its own voxels."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage
from simulation.small_brains import label_maps, lesion_masks
from typer.testing import CliRunner

from mededit_monai.cli import app
from mededit_monai.core.errors import InputError
from mededit_monai.io.datalist import read_datalist
from mededit_monai.simulation import crops
from mededit_monai.simulation.anatomies import load_anatomy
from mededit_monai.simulation.crops import CROP_SIDE, draw_crop
from mededit_monai.simulation.plan import VIEWS, Recipe, plan_cases
from mededit_monai.simulation.simulate import lesion_pool, simulate_cohort


@pytest.fixture(scope="module", autouse=True)
def coarse():
    """Persons on grids of 1.8 mm and more are drawn in a fifth of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crops, "STEPS", (1.8, 1.9))
        yield


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("inputs")
    return {"anatomies": str(label_maps(root / "anatomies")), "lesions": str(lesion_masks(root / "lesions"))}


def drawn(recipe: Recipe, count: int) -> list[dict]:
    cases, _ = plan_cases(recipe)
    pool = lesion_pool(recipe, "training")
    return [draw_crop(recipe, case, load_anatomy(case.anatomy), pool) for case in cases[:count]]


@pytest.fixture(scope="module", params=["stroke", pytest.param("tumor", marks=pytest.mark.slow)])
def made(request, folders) -> list[dict]:
    """Two persons' crops; tumours are drawn, strokes from masks."""
    more = folders if request.param == "stroke" else {"anatomies": folders["anatomies"]}
    return drawn(Recipe(request.param, spatial_dims=3, crops=True, counts=(12, 4, 4), seed=2, **more), 2 * VIEWS)


def test_they_differ_in_the_lesion_alone(made):
    for crop in made:
        assert crop["image"].shape == crop["displaced"].shape == (CROP_SIDE,) * 3
        reach = int(np.ceil(4.5 / crop["parameters"]["spacing_mm"]))
        near = ndimage.maximum_filter(crop["pathology"], 2 * reach + 1)
        changed, inner = crop["image"] != crop["displaced"], (slice(reach, -reach),) * 3
        assert crop["pathology"].any() and not (changed & ~near)[inner].any()  # at the faces: lesion beyond them
        assert changed[crop["pathology"]].mean() > 0.9 and not (crop["pathology"] & ~crop["brain"]).any()
        for key in ("image", "displaced"):
            assert crop[key].min() >= 0 and crop[key].max() <= 1 and not crop[key][~crop["brain"]].any()


def test_views_of_a_person_share_the_lesion_and_nothing_else(made):
    first, second = made[:VIEWS], made[VIEWS:]
    for key in ("anatomy", "lesion_id", "spacing_mm", "patient", "zoom"):
        assert len({str(crop["parameters"][key]) for crop in first}) == 1
    assert first[0]["parameters"]["patient"] != second[0]["parameters"]["patient"]
    for key in ("centre", "appearance", "scanner", "lesion_appearance"):
        assert len({str(crop["parameters"][key]) for crop in first}) == VIEWS
    steps = [crop["parameters"]["spacing_mm"] for crop in made]
    assert all(1.8 <= step <= 1.9 for step in steps)


def test_a_crop_is_the_same_alone_and_after_others(folders):
    recipe = Recipe("stroke", spatial_dims=3, crops=True, counts=(8, 4, 4), seed=2, **folders)
    cases, _ = plan_cases(recipe)
    pool, case = lesion_pool(recipe, "training"), cases[1]
    after = drawn(recipe, 2)[1]
    crops._last = None
    alone = draw_crop(recipe, case, load_anatomy(case.anatomy), pool)
    assert all(np.array_equal(alone[key], after[key]) for key in ("image", "displaced", "brain", "pathology"))


@pytest.mark.slow
def test_tumours_have_their_regions_and_core_is_darker_than_rim(folders):
    recipe = Recipe("tumor", spatial_dims=3, crops=True, counts=(8, 4, 4), anatomies=folders["anatomies"])
    contrast = []
    for crop in drawn(recipe, 8):
        core, rim = (crop["image"][crop["regions"] == label] for label in (1, 3))
        assert np.array_equal(crop["regions"] > 0, crop["pathology"])
        if len(core) > 200 and len(rim) > 200:
            contrast.append(rim.mean() - core.mean())
    assert contrast and min(contrast) > 0


@pytest.mark.slow
def test_on_disk_a_crop_has_its_own_voxels(folders, tmp_path):
    out = tmp_path / "c"
    command = ["simulate", "--crops", "--spatial_dims", "3", "--counts", "1", "1", "1", "--no_progress", "-o", str(out)]
    result = CliRunner().invoke(app, [*command, "--anatomies", folders["anatomies"], "--lesions", folders["lesions"]])
    assert result.exit_code == 0, result.output
    listed = json.loads((out / "datalist.json").read_text())
    assert listed["recipe"]["crops"] is True
    for case in read_datalist(out / "datalist.json"):
        image = nib.load(case["image"])
        assert image.shape == (CROP_SIDE,) * 3 and image.header.get_zooms() == pytest.approx([case["pixel_mm"]] * 3)
        assert b"synthetic" in image.header["descrip"].tobytes()
        assert set(case) >= {"image", "displaced", "brain", "pathology", "pixel_mm"} and "displacement" not in case
    again = simulate_cohort(
        Recipe("stroke", 3, spatial_dims=3, crops=True, counts=(1, 1, 1), **folders), out, 1, progress=False
    )
    assert (again.made, again.found) == (0, 3)


@pytest.mark.parametrize("change", [{"spatial_dims": 2}, {"spatial_dims": 3, "layout": "bids"}])
def test_crops_are_of_volumes_and_listed(change):
    with pytest.raises(InputError, match="--crops: got .* give --spatial_dims 3 --layout datalist"):
        Recipe("stroke", crops=True, **change).check()


def test_cohorts_of_before_there_were_crops_stay_the_same():
    assert "crops" not in Recipe("stroke").as_json()
