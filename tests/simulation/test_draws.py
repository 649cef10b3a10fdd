# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Streams of random numbers: one part of a case drawn anew leaves the rest; the effects drawn many times over."""

from __future__ import annotations

import numpy as np
import pytest
from simulation.small_brains import label_array, save

from mededit_monai.diseases import DISEASES
from mededit_monai.simulation.anatomies import load_anatomy
from mededit_monai.simulation.draw_case import LesionPool, draw_case
from mededit_monai.simulation.draws import STREAMS, Draws
from mededit_monai.simulation.effects import draw_atrophy
from mededit_monai.simulation.pair import simulate_pair
from mededit_monai.simulation.plan import Case, Recipe
from mededit_monai.simulation.redraw import redraw_effects, redraw_pairs


@pytest.fixture(scope="module")
def anatomy(tmp_path_factory):
    return load_anatomy(str(save(label_array(), tmp_path_factory.mktemp("a") / "egg.nii.gz")))


def pair_of(anatomy, draws: Draws, height: float | None = 38.0, atrophy: float = 0.0) -> dict:
    disease = DISEASES["stroke"]
    found = simulate_pair(disease, anatomy, height, lambda c, r: disease.draw_lesion(c, 14, r), draws, True, atrophy)
    assert found is not None
    return found


def test_every_stream_is_its_own_whatever_the_order():
    draws = Draws(3, "training", 7)
    first = {name: draws.of(name).random() for name in STREAMS}
    again = {name: draws.of(name).random() for name in reversed(STREAMS)}
    assert first == again and len(set(first.values())) == len(STREAMS)
    others = [Draws(4, "training", 7), Draws(3, "testing", 7), Draws(3, "training", 8), Draws(3, "training", 7, 1)]
    assert len({one.of("person").random() for one in (draws, *others)}) == 5
    assert draws.of("lesion", 1).random() != first["lesion"]
    with pytest.raises(ValueError, match="no stream is called 'lession'"):
        draws.of("lession")


def test_another_effects_draw_moves_no_other_stream():
    one, two = Draws(0, "a", 0), Draws(0, "a", 0, effects_draw=1)
    same = {name: one.of(name).random() == two.of(name).random() for name in STREAMS}
    assert [name for name, equal in same.items() if not equal] == ["effects"]


def test_another_look_moves_no_other_stream():
    one, two = Draws(0, "a", 0), Draws(0, "a", 0, paint_draw=1)
    same = {name: one.of(name).random() == two.of(name).random() for name in STREAMS}
    assert [name for name, equal in same.items() if not equal] == ["paint"]


def test_effects_drawn_anew_leave_person_lesion_and_looks(anatomy):
    one, two = (pair_of(anatomy, Draws(0, "pairs", 2, effects_draw=k)) for k in (0, 1))
    for key in ("prior", "brain", "prior_ventricles", "prior_tissue"):
        assert np.array_equal(one[key], two[key])
    kept = ("zoom", "tilt", "ventricle_size_mm", "appearance", "scanner", "lesion_appearance", "lesion_kind")
    assert all(one["parameters"][key] == two["parameters"][key] for key in kept)
    assert one["parameters"]["gain"] != two["parameters"]["gain"]
    assert np.abs(one["displacement"] - two["displacement"]).max() > 0.05


def test_share_of_atrophy():
    found = np.array([draw_atrophy(Draws(0, "a", k), 0.25) for k in range(2000)])
    some = found[found > 0]
    assert some.size / 2000 == pytest.approx(0.25, abs=0.03) and some.min() >= 0.2 and some.max() <= 1
    assert some.mean() == pytest.approx(0.6, abs=0.03)
    assert draw_atrophy(Draws(0, "a", 0), 0.0) == 0


@pytest.mark.parametrize("dims", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_redrawn_effects_of_a_case(anatomy, dims):
    """Draw 0 is the case's own displacement; the others have its direction, and carry as many ml as counting says."""
    recipe, case = Recipe("stroke", 4, seed=2, spatial_dims=dims), Case("training", 1, anatomy.name)
    pair = draw_case(recipe, case, anatomy, LesionPool())
    redrawn = list(redraw_effects(recipe, case, anatomy, LesionPool(), draws=4))
    own = redrawn[0]
    assert len(redrawn) == 4 and np.array_equal(own.displacement, pair["displacement"])
    assert own.parameters["gain"] == pair["parameters"]["gain"]
    assert len({one.parameters["gain"] for one in redrawn}) == 4
    moved = own.displacement.ravel()
    for one in redrawn[1:]:
        other = one.displacement.ravel()
        assert moved @ other / np.linalg.norm(moved) / np.linalg.norm(other) > 0.8
    size = recipe.record.pixel_mm**dims / (1 if dims == 2 else 1000)
    outside = ~pair["pathology"]
    for side in (1, 2):
        before = ((pair["prior_ventricles"] == side) & outside).sum() * size
        after = ((pair["ventricles"] == side) & outside).sum() * size
        assert own.ventricles_before[side - 1] == pytest.approx(before, abs=1e-3 * before)
        assert own.ventricles[side - 1] == pytest.approx(after, rel=0.06)


def test_truths_of_one_scan_and_lesion(anatomy):
    """All share the scan; their lesions look and move otherwise. The first is the case's own."""
    recipe = Recipe("stroke", 4, seed=2)
    case = Case("training", 1, anatomy.name)
    own = draw_case(recipe, case, anatomy, LesionPool())
    pairs = list(redraw_pairs(recipe, case, anatomy, LesionPool(), 4))
    assert len(pairs) == 4
    for key in ("image", "pathology", "displacement"):
        assert np.array_equal(pairs[0][key], own[key])
    inside = np.logical_and.reduce([pair["pathology"] for pair in pairs])
    assert inside.any()
    for pair in pairs[1:]:
        assert np.array_equal(pair["prior"], own["prior"]) and np.array_equal(pair["prior_brain"], own["prior_brain"])
        assert np.abs(pair["image"] - own["image"])[inside].max() > 0.02
        assert pair["parameters"]["gain"] != own["parameters"]["gain"]
        assert pair["parameters"]["scanner"] == own["parameters"]["scanner"]
