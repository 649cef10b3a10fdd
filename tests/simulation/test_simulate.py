# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Cohorts on disk: splits, resuming, workers, layouts, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from simulation.small_brains import SHAPE, SPACING, label_maps, lesion_masks, save
from typer.testing import CliRunner

from mededit_monai.cli import app
from mededit_monai.core.errors import InputError
from mededit_monai.io.datalist import read_datalist
from mededit_monai.io.displacement import read_displacement
from mededit_monai.simulation import simulate
from mededit_monai.simulation.files import KEYS, model_affine, write_case
from mededit_monai.simulation.frame import VOLUME_SHAPE
from mededit_monai.simulation.plan import Case, Recipe, plan_cases
from mededit_monai.simulation.simulate import lesion_pool, simulate_cohort
from mededit_monai.simulation.splits import SPLITS


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("inputs")
    return {"anatomies": str(label_maps(root / "anatomies")), "lesions": str(lesion_masks(root / "lesions"))}


@pytest.fixture(scope="module")
def cohort(folders, tmp_path_factory) -> Path:
    recipe = Recipe("stroke", 6, **folders, seed=1)
    return simulate_cohort(recipe, tmp_path_factory.mktemp("cohort") / "c", 1, progress=False).datalist


def files_of(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_nothing_crosses_a_split(cohort):
    seen: dict[tuple[str, str], str] = {}
    for case in read_datalist(cohort):
        for key in ("anatomy", "lesion_id"):
            assert seen.setdefault((key, case[key]), case["split"]) == case["split"]
    assert {split for _, split in seen.items()} == set(SPLITS)


def test_datalist_trains_as_it_is(cohort):
    from mededit_monai.datasets.training import training_source

    source = training_source(cohort, None, 0, 0, 0, progress=False)
    assert len(source["training"]) >= 1 and len(source["validation"]) >= 1
    listed = json.loads(cohort.read_text())
    assert listed["synthetic"] is True and sum(len(listed[s]) for s in SPLITS) == 6
    for case in read_datalist(cohort):
        image = nib.load(case["image"])
        assert image.shape == (128, 128, 1) and b"synthetic" in image.header["descrip"].tobytes()
        assert image.header.get_zooms()[:2] == pytest.approx((233 / 128,) * 2)
        assert read_displacement(case["displacement"])[0].shape == (3, 128, 128, 1) and 0 <= case["global_atrophy"] <= 1
        masks = ("brain", "prior_brain", "pathology", "ventricles", "prior_ventricles", "tissue", "prior_tissue")
        for key in ("prior", *masks):
            assert nib.load(case[key]).shape == (128, 128, 1)
        facts = json.loads(Path(case["image"]).with_name("parameters.json").read_text())
        assert facts["synthetic"] is True and facts["stratum"] == case["stratum"] in ("small", "medium", "large")


@pytest.mark.slow
def test_same_bytes_whatever_the_workers_and_after_an_interruption(folders, cohort, tmp_path, monkeypatch):
    recipe = Recipe("stroke", 6, **folders, seed=1)
    wanted = files_of(cohort.parent)
    simulate_cohort(recipe, tmp_path / "two", 2, progress=False)
    assert files_of(tmp_path / "two") == wanted
    left, original = [4], simulate.draw_case

    def interrupted(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(simulate, "draw_case", interrupted)
    with pytest.raises(KeyboardInterrupt):
        simulate_cohort(recipe, tmp_path / "cut", 1, progress=False)
    assert not (tmp_path / "cut" / "datalist.json").exists()
    monkeypatch.setattr(simulate, "draw_case", original)
    written = simulate_cohort(recipe, tmp_path / "cut", 1, progress=False)
    assert (written.found, written.made) == (4, 2) and files_of(tmp_path / "cut") == wanted


def test_another_recipe_needs_another_folder(folders, cohort):
    with pytest.raises(InputError, match="holds another cohort .*choose another folder"):
        simulate_cohort(Recipe("stroke", 6, **folders, seed=2), cohort.parent, 1, progress=False)


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="is not empty"):
        simulate_cohort(Recipe(cases=3), tmp_path, 1, progress=False)


@pytest.mark.slow
def test_bids_and_nnunet(folders, tmp_path):
    simulate_cohort(Recipe("stroke", 3, **folders, layout="bids"), tmp_path / "bids", 1, progress=False)
    description = json.loads((tmp_path / "bids" / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert (tmp_path / "bids" / "sub-training00000/anat/sub-training00000_T1w.nii.gz").is_file()
    assert len(read_datalist(tmp_path / "bids" / "datalist.json")) == 3
    simulate_cohort(
        Recipe("tumor", 4, folders["anatomies"], layout="nnunet", slice="mid"), tmp_path / "nn", 1, progress=False
    )
    facts = json.loads((tmp_path / "nn" / "dataset.json").read_text())
    images = sorted((tmp_path / "nn" / "imagesTr").glob("*_0000.nii.gz"))
    assert len(images) == facts["numTraining"] and len(facts["labels"]) == 4
    for path in images:
        label = nib.load(tmp_path / "nn" / "labelsTr" / path.name.replace("_0000.nii", ".nii"))
        assert label.shape == (128, 128, 1) and np.asarray(label.dataobj).max() <= 3
        assert np.argmax(label.header.get_zooms()) == 2  # the axis that nnU-Net takes as the one through the plane


@pytest.fixture(scope="module")
def tumors(tmp_path_factory) -> str:
    """Balls with a core (1), a rim (4) and edema (2), in MNI space."""
    folder = tmp_path_factory.mktemp("tumors")
    affine = np.eye(4)
    affine[:3, 3] = (-70, -106, -40)
    grid = np.meshgrid(*(np.arange(n) + o for n, o in zip((140, 180, 120), affine[:3, 3])), indexing="ij")
    for k in range(4):
        radius = np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, ((-30, 30)[k % 2], -20 + 5 * k, 20))))
        labels = np.select([radius < 10, radius < 15, radius < 21], [1, 4, 2]).astype(np.uint8)
        nib.save(nib.Nifti1Image(labels, affine), folder / f"tumor_{k}.nii.gz")
    return str(folder)


def test_labelled_tumours_keep_their_regions(folders, tumors, tmp_path):
    recipe = Recipe("tumor", 6, folders["anatomies"], tumors, slice="mid", seed=2)
    for case in read_datalist(simulate_cohort(recipe, tmp_path / "c", 1, progress=False).datalist):
        regions = np.asarray(nib.load(case["regions"]).dataobj)[..., 0]
        assert {1, 2, 3} <= set(np.unique(regions)) and case["lesion_id"].startswith("tumor_")
        _, edema, rim = ((regions == label).sum() for label in (1, 2, 3))
        # Brains are smaller than the template and slices miss the middle, but rings of a ball keep their ratio: z off
        # the middle, both circles of a ring lose the same z².
        assert edema / rim == pytest.approx((21**2 - 15**2) / (15**2 - 10**2), rel=0.3)


def test_labelled_tumours_are_no_strokes(folders, tumors, tmp_path):
    with pytest.raises(InputError, match="tumor_0: holds the labels of a tumour, wanted a binary mask"):
        simulate_cohort(Recipe("stroke", 4, folders["anatomies"], tumors), tmp_path / "c", 1, progress=False)


def test_nobody_changes_sides_with_the_seed(folders):
    """What one cohort learned from, no other tests on: neither its anatomies nor its lesions."""
    cohorts = [Recipe("stroke", 6, **folders, seed=seed) for seed in range(6)]
    assert all(plan_cases(recipe)[1] == plan_cases(cohorts[0])[1] for recipe in cohorts)
    names = {split: [lesion_pool(recipe, split).members for recipe in cohorts] for split in SPLITS}
    assert all(members == found[0] for found in names.values() for members in found)
    other = replace(cohorts[0], split_seed=1)
    assert plan_cases(other)[1] != plan_cases(cohorts[0])[1]
    assert lesion_pool(other, "training").members != names["training"][0]


def test_a_recipe_without_split_seed_was_divided_by_its_seed():
    assert "split_seed" not in Recipe().as_json() and "split_seed" not in Recipe(seed=3, split_seed=3).as_json()
    assert Recipe(seed=3).as_json()["split_seed"] == 0 and Recipe(split_seed=3).as_json()["split_seed"] == 3


def test_folds_test_on_everybody_once(folders):
    """Three cohorts of three folds: no anatomy and no lesion is tested twice, or learned from where it is tested."""
    cohorts = [Recipe("stroke", 6, **folders, fold=f"{k}/3") for k in (1, 2, 3)]
    anatomies = [plan_cases(recipe)[1] for recipe in cohorts]
    lesions = [{split: lesion_pool(recipe, split).members for split in SPLITS} for recipe in cohorts]
    for folds in (anatomies, lesions):
        tested = sorted(name for fold in folds for name in fold["testing"])
        assert tested == sorted({name for split in folds[0].values() for name in split})
        assert all(not {*fold["testing"]} & {*fold["training"], *fold["validation"]} for fold in folds)
    assert "fold" not in Recipe().as_json() and cohorts[1].as_json()["fold"] == "2/3"


@pytest.mark.parametrize(
    "spatial_dims, slice_, heights", [(2, "all", "-4 to 61"), (3, "all", "-4 to 61"), (2, "mid", "")]
)
def test_masks_beside_the_heights_of_a_split(folders, tmp_path, spatial_dims, slice_, heights):
    """Cerebellar ones, where the split has no others, are refused before a case is made; beside others they are not."""
    recipe = Recipe("stroke", 6, folders["anatomies"], spatial_dims=spatial_dims, slice=slice_)
    for k in range(3):
        save(ball_at(z=20), tmp_path / "masks" / f"a{k}.nii.gz")
    recipe = replace(recipe, lesions=str(tmp_path / "masks"))
    alone = lesion_pool(recipe, "validation")
    (name,) = (alone.library.names[number] for number in alone.members)
    save(ball_at(z=-40), tmp_path / "masks" / f"{name}.nii.gz")
    said = rf"none of the masks of validation \({name}\) reaches the heights .*--slice {slice_}: MNI z {heights}"
    with pytest.raises(InputError, match=said):
        simulate_cohort(recipe, tmp_path / "c", 1, progress=False)
    assert not (tmp_path / "c" / "cohort.json").exists()
    assert lesion_pool(recipe, "training").members  # of the other splits nothing is said
    small = replace(recipe, counts=(1, 0, 0), cases=1)
    if spatial_dims == 2:
        assert simulate_cohort(small, tmp_path / "d", 1, progress=False).made == 1


def ball_at(z: float) -> np.ndarray:
    """A lesion of 10 mm radius, 30 mm to the right, on the small head's grid."""
    places = [(np.arange(n) - (n - 1) / 2) * SPACING for n in SHAPE]
    x, y, up = np.meshgrid(*places, indexing="ij")
    return ((x - 30) ** 2 + (y + 10) ** 2 + (up - z) ** 2 < 100).astype(np.uint8)


def test_one_anatomy_serves_every_split():
    cases, anatomies = plan_cases(Recipe(cases=10))
    assert all(names == ["icbm152"] for names in anatomies.values())
    assert [sum(c.split == s for c in cases) for s in SPLITS] == [6, 1, 3]


@pytest.mark.parametrize(
    "change, said",
    [
        ({"disease": "flu"}, "--disease: got 'flu', wanted one of stroke, tumor"),
        ({"slice": "top"}, "--slice: got 'top'"),
        ({"spatial_dims": 4}, "--spatial_dims: got '4'"),
        ({"layout": "zip"}, "--layout: got 'zip'"),
        ({"cases": 0}, "--cases: got 0"),
        ({"global_atrophy": 1.5}, "--global_atrophy: got 1.5"),
        ({"fold": "0/5"}, "--fold: got '0/5', wanted i/n with 1 <= i <= n and n >= 2, for example 1/4"),
        ({"fold": "1/5"}, "--fold: got '1/5', wanted at least 5 anatomies, found 1; give fewer folds"),
    ],
)
def test_options_are_checked(tmp_path, change, said):
    with pytest.raises(InputError, match=said):
        simulate_cohort(Recipe(**change), tmp_path / "x", 1, progress=False)


def test_command(folders, tmp_path):
    words = ["simulate", "--cases", "3", "--anatomies", folders["anatomies"], "-o", str(tmp_path / "o"), "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["made"] == 3 and facts["training"] == 1 and facts["synthetic"] is True
    assert Path(facts["datalist"]).is_file()


def test_command_of_a_fold(folders, tmp_path):
    words = ["simulate", "--counts", "1", "1", "2", "--anatomies", folders["anatomies"], "--fold", "2/4", "-o"]
    result = CliRunner().invoke(app, [*words, str(tmp_path / "o")])
    assert result.exit_code == 0, result.output
    told = json.loads((tmp_path / "o" / "cohort.json").read_bytes())
    assert told["recipe"]["fold"] == "2/4" and [len(told["anatomies"][split]) for split in SPLITS] == [2, 1, 1]


@pytest.fixture
def written(tmp_path):
    """A case by hand: a plane of images in [0, 1], masks, and a displacement; its folder."""
    plane = np.random.default_rng(0).random((128, 128), dtype=np.float32)
    plane[:3] = ((0,) * 128, (1,) * 128, np.arange(128) / 65535)
    pair = {key: plane > 0.5 for key in KEYS} | {"image": plane, "prior": plane, "parameters": {}}
    field = np.zeros((3, 128, 128), np.float32)
    field[:, 40:50, 60:70] = np.array([1.25, -2.5, 0]).reshape(3, 1, 1)
    field[0, 70, 70], field[1, 71, 71] = 0.001, -0.001
    write_case(tmp_path, Recipe(), Case("training", 0, "a"), pair | {"displacement": field}, 1.5)
    return tmp_path / "training_00000", plane, field


def test_images_keep_sixteen_bits_and_masks_eight(written):
    folder, plane, _ = written
    image = nib.load(folder / "image.nii")
    assert image.get_data_dtype() == np.uint16 and np.allclose(image.affine, model_affine(1.5, (128, 128, 1)))
    back = np.asarray(image.dataobj)[..., 0]
    assert np.abs(back - plane).max() < 0.51 / 65535 and set(back[0]) == {0} and np.allclose(back[1], 1, atol=1e-6)
    assert np.array_equal(np.rint(back[2] * 65535), np.arange(128))
    assert b"synthetic" in image.header["descrip"].tobytes() and image.header.get_xyzt_units()[0] == "mm"
    mask = nib.load(folder / "brain.nii")
    assert mask.get_data_dtype() == np.uint8 and np.array_equal(np.asarray(mask.dataobj)[..., 0], plane > 0.5)


def test_displacements_are_lps_on_disk_and_ras_in_memory(written):
    folder, _, field = written
    image = nib.load(folder / "displacement.nii")
    assert image.shape == (128, 128, 1, 1, 3) and int(image.header["intent_code"]) == 1007
    stored = np.asarray(image.dataobj)[:, :, 0, 0]
    assert image.get_data_dtype() == np.int16
    assert np.allclose(stored[45, 65], (-1.25, 2.5, 0)) and np.allclose(stored[70, 70], (-0.001, 0, 0))
    found, affine = read_displacement(folder / "displacement.nii")
    assert np.abs(found[..., 0] - field).max() < 1e-6 and np.array_equal(found[..., 0] != 0, field != 0)
    assert np.allclose(affine, model_affine(1.5, (128, 128, 1)))


def test_volumes_are_compressed_and_the_same_to_read(tmp_path):
    recipe, case, shape = Recipe(spatial_dims=3), Case("training", 0, "a"), VOLUME_SHAPE
    ramp = np.linspace(0, 1, 112, dtype=np.float32) * np.ones(shape, np.float32)
    pair = {key: ramp > 0.5 for key in KEYS} | {"image": ramp, "prior": np.asfortranarray(ramp), "parameters": {}}
    field = np.zeros((3, *shape), np.float32)
    field[2, 5, 6, 7] = -3.5
    write_case(tmp_path, recipe, case, pair | {"displacement": field}, 1.5)
    for key in ("image", "prior"):
        path = tmp_path / "training_00000" / f"{key}.nii.gz"
        assert path.read_bytes()[:2] == b"\x1f\x8b" and np.abs(nib.load(path).get_fdata() - ramp).max() < 0.51 / 65535
    found = read_displacement(tmp_path / "training_00000" / "displacement.nii.gz")[0]
    assert np.abs(found - field).max() < 1e-6 and np.array_equal(found != 0, field != 0)


def test_atrophy_is_for_training_alone(folders, tmp_path):
    simulate_cohort(Recipe(**folders, counts=(2, 1, 1), global_atrophy=1.0), tmp_path / "c", 1, progress=False)
    cases = read_datalist(tmp_path / "c" / "datalist.json")
    found = [case["global_atrophy"] for case in cases]
    assert all((0.2 <= g <= 1) if case["split"] == "training" else g == 0 for g, case in zip(found, cases))
    assert len(set(found)) == 3
    facts = json.loads(Path(cases[0]["image"]).with_name("parameters.json").read_text())
    assert facts["global_atrophy"] == found[0] and 0.7 * 0.7 < facts["remote_atrophy"]["sulci_mm"] < 1.4 * 0.7
