# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The second truths: other laws of effects, another look; what the recipe and the files say of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import ndimage
from simulation.small_brains import label_array, label_maps, save

from mededit_monai.core.errors import InputError
from mededit_monai.diseases import DISEASES
from mededit_monai.diseases.canvas import Contrast
from mededit_monai.simulation.anatomies import load_anatomy
from mededit_monai.simulation.draws import Draws
from mededit_monai.simulation.laws import LAWS
from mededit_monai.simulation.laws.remote import TRACT, tract_distance
from mededit_monai.simulation.looks.second import power_noise
from mededit_monai.simulation.pair import simulate_pair
from mededit_monai.simulation.person import draw_person
from mededit_monai.simulation.plan import Recipe
from mededit_monai.simulation.simulate import simulate_cohort
from mededit_monai.space.flow import exponentiate, jacobian, warp

OTHERS = [name for name in LAWS if name != "own"]


@pytest.fixture(scope="module")
def anatomy(tmp_path_factory):
    return load_anatomy(str(save(label_array(), tmp_path_factory.mktemp("a") / "egg.nii.gz")))


@pytest.fixture(scope="module")
def canvas(anatomy):
    return draw_person(anatomy, 38.0, 1.2, 192, np.random.default_rng(2), wide=False)


def ball(canvas, x: float, radius: float = 14.0) -> np.ndarray:
    """A disc in the brain at the height of the ventricles' middle, centred at an MNI x."""
    away = np.sqrt((canvas.mni[0] - x) ** 2 + (canvas.mni[1] + 15) ** 2)
    return ((away < radius) & canvas.brain).astype(np.uint8)


def ventricles(canvas, velocity) -> np.ndarray:
    """Change of left and right ventricle, mm²."""
    moved = warp(canvas.ventricles, exponentiate(velocity))
    return (moved - canvas.ventricles).sum(axis=(1, 2)) * canvas.spacing**2


@pytest.mark.parametrize("disease", ["stroke", "tumor"])
@pytest.mark.parametrize("law", OTHERS)
def test_ventricles_change_as_the_disease_has_it_and_nothing_moves_outside_the_brain(canvas, law, disease):
    record, lesion = DISEASES[disease], ball(canvas, 40.0)
    velocity, drawn = LAWS[law](record, canvas, lesion, np.random.default_rng(0))
    again, _ = LAWS[law](record, canvas, lesion, np.random.default_rng(0))
    assert np.array_equal(velocity, again) and velocity.dtype == np.float32
    assert drawn["lesion_side"] == "right"
    assert not velocity[:, ~canvas.brain].any()
    change = ventricles(canvas, velocity)
    if law == "none":
        assert not velocity.any()
        return
    assert np.sign(change[1]) == record.ventricle_change and abs(change[1]) > 3  # the lesion's side
    assert abs(change[1]) > abs(change[0])
    there, back = exponentiate(velocity), exponentiate(-velocity)
    assert jacobian(there).min() > 0
    lost = np.sqrt(((back + warp(there, back)) ** 2).sum(axis=0))
    assert lost.max() < 0.2 and lost[canvas.brain].mean() < 0.01  # grid steps: φ then φ⁻¹


def test_laws_differ(canvas):
    stroke, lesion = DISEASES["stroke"], ball(canvas, 40.0)
    fields = {law: LAWS[law](stroke, canvas, lesion, np.random.default_rng(0))[0] for law in LAWS}
    assert np.array_equal(fields["own"], stroke.lesion_velocity(canvas, lesion, np.random.default_rng(0))[0])
    near = [(fields[name] / np.linalg.norm(fields[name])).ravel() for name in LAWS if name != "none"]
    assert np.abs(np.triu(np.array([[a @ b for b in near] for a in near]), 1)).max() < 0.9


def test_the_inverse_square_is_one(canvas):
    """At a distance of the radius a quarter of what the surface moves; sampled to the front of a lesion."""
    lesion = ball(canvas, 30.0, 8.0)
    velocity, drawn = LAWS["inverse_square"](DISEASES["tumor"], canvas, lesion, np.random.default_rng(1))
    away = ndimage.distance_transform_edt(lesion == 0) * canvas.spacing
    speed = np.sqrt((velocity**2).sum(axis=0)) * canvas.spacing
    r = drawn["lesion_radius_mm"]
    for d in (r, 2 * r):
        ring = (np.abs(away - d) < 0.7) & (canvas.depth > 12)
        assert np.median(speed[ring]) == pytest.approx(drawn["push_mm"] * (r / (r + d)) ** 2, rel=0.15)


def test_the_tract_runs_down_on_its_side_and_is_mirrored():
    assert (np.diff(TRACT[:, 2]) < 0).all() and (TRACT[:, 0] > 0).all()
    on_it = np.array([[24.0], [-17.0], [14.0]])
    assert tract_distance(on_it, right=True) == pytest.approx(0)
    assert tract_distance(on_it * [[-1], [1], [1]], right=False) == pytest.approx(0)
    assert tract_distance(on_it, right=False)[0] > 40
    assert tract_distance(TRACT[-1][:, None] - [[0], [0], [9]], right=True) == pytest.approx(9)


def test_only_a_stroke_that_cuts_the_tract_thins_it(canvas):
    stroke, rng = DISEASES["stroke"], lambda: np.random.default_rng(0)
    cuts = LAWS["remote"](stroke, canvas, ball(canvas, 26.0, 9.0), rng())[1]
    spares = LAWS["remote"](stroke, canvas, ball(canvas, 52.0, 5.0), rng())[1]
    assert cuts["tract_cut"] == 1 and cuts["tract_strain"] < 0
    assert spares["tract_cut"] == 0 and spares["tract_strain"] == 0


@pytest.mark.slow
def test_a_volume_by_the_elastic_law(anatomy):
    """The same code in 3-D, on a coarse person."""
    person = draw_person(anatomy, None, 5.0, 40, np.random.default_rng(2), wide=False)
    away = np.sqrt(sum((axis - at) ** 2 for axis, at in zip(person.mni, (40, -10, 25))))
    velocity, _ = LAWS["elastic"](
        DISEASES["stroke"], person, ((away < 16) & person.brain).astype(np.uint8), np.random.default_rng(0)
    )
    moved = warp(person.ventricles, exponentiate(velocity))
    assert (moved - person.ventricles)[1].sum() > 0 and not velocity[:, ~person.brain].any()


def test_noise_of_every_scale():
    noise = power_noise((128, 128), 2.0, np.random.default_rng(0))
    power = np.abs(np.fft.fft2(noise)) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128)))
    low, high = (power[(frequency > a) & (frequency < 1.2 * a)].mean() for a in (0.05, 0.2))
    assert low / high == pytest.approx(4**2, rel=0.3)
    assert noise.mean() == pytest.approx(0, abs=1e-6) and noise.std() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", ["stroke", "tumor"])
def test_the_second_look_changes_the_lesion_and_nothing_else(anatomy, name):
    own, second = (Recipe(name, look=look).record for look in ("own", "second"))
    made = [
        simulate_pair(d, anatomy, 38.0, lambda c, r, d=d: d.draw_lesion(c, 14, r), Draws(0, "look", 1))
        for d in (own, second)
    ]
    assert np.array_equal(made[0]["prior"], made[1]["prior"])
    assert np.array_equal(made[0]["displacement"], made[1]["displacement"])
    lesion = made[0]["pathology"]
    near = ndimage.distance_transform_edt(~lesion) * own.pixel_mm < 9
    assert np.array_equal(made[0]["image"][~near], made[1]["image"][~near])
    assert np.abs(made[0]["image"] - made[1]["image"])[lesion].mean() > 0.02


def test_bright_stays_bright_and_dark_dark():
    image, regions = np.full((40, 40), 0.6, np.float32), np.zeros((40, 40), np.uint8)
    regions[8:32, 8:32], regions[13:27, 13:27], regions[17:23, 17:23] = 2, 3, 1
    contrast = Contrast(0.8, 0.6, 0.2, 1.2)
    for seed in range(5):
        painted, drawn = Recipe("tumor", look="second").record.paint_lesion(
            image, regions, contrast, 1.2, np.random.default_rng(seed)
        )
        edema, rim, core = (painted[regions == label].mean() for label in (2, 3, 1))
        assert core < edema < min(rim, 0.6)
        assert np.array_equal(painted[:3], image[:3])  # beyond 5 mm
        assert drawn["ramp_mm"] <= 5


def test_a_recipe_names_what_is_not_the_default():
    assert not {"law", "look"} & set(Recipe().as_json())
    told = Recipe(law="remote", look="second").as_json()
    assert (told["law"], told["look"]) == ("remote", "second")
    assert Recipe().record is DISEASES["stroke"]  # the very same functions, so the very same bytes


@pytest.mark.slow
def test_the_files_say_it_and_default_ones_do_not(tmp_path):
    label_maps(tmp_path / "anatomies", 1)
    shared = {"cases": 3, "anatomies": str(tmp_path / "anatomies"), "slice": "mid"}
    for name, recipe in (("own", Recipe(**shared)), ("other", Recipe(**shared, law="remote", look="second"))):
        simulate_cohort(recipe, tmp_path / name, progress=False)
    told = [json.loads((tmp_path / name / "datalist.json").read_bytes())["recipe"] for name in ("own", "other")]
    assert "law" not in told[0] and "look" not in told[0]
    assert (told[1]["law"], told[1]["look"]) == ("remote", "second")
    case = [json.loads((tmp_path / n / "testing_00000" / "parameters.json").read_bytes()) for n in ("own", "other")]
    assert "law" not in case[0] and (case[1]["law"], case[1]["look"]) == ("remote", "second")
    assert (tmp_path / "own/testing_00000/prior.nii").read_bytes() == (
        tmp_path / "other/testing_00000/prior.nii"
    ).read_bytes()
    with pytest.raises(InputError, match="another cohort"):
        simulate_cohort(Recipe(**shared, law="none", look="second"), tmp_path / "other", progress=False)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"law": "elastik"}, "--law.*elastic"),
        ({"look": "thirds"}, "--look.*second"),
        (
            {"disease": "tumor", "look": "second", "spatial_dims": 3, "modalities": ("t1",)},
            "--look: got 'second', but --modalities",
        ),
    ],
)
def test_refused(options, words):
    with pytest.raises(InputError, match=words):
        Recipe(**options).check()
