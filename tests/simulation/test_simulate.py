# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Cohorts on disk: splits, resuming, workers, layouts, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from simulation.small_brains import label_maps, lesion_masks
from typer.testing import CliRunner

from mededit_monai.cli import app
from mededit_monai.core.errors import InputError
from mededit_monai.io.datalist import read_datalist
from mededit_monai.simulation import simulate
from mededit_monai.simulation.plan import SPLITS, Recipe, plan_cases, split_names
from mededit_monai.simulation.simulate import simulate_cohort


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("inputs")
    return {"anatomies": str(label_maps(root / "anatomies")), "lesions": str(lesion_masks(root / "lesions"))}


@pytest.fixture(scope="module")
def cohort(folders, tmp_path_factory) -> Path:
    recipe = Recipe("stroke", 10, **folders, seed=1)
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
    assert listed["synthetic"] is True and sum(len(listed[s]) for s in SPLITS) == 10
    for case in read_datalist(cohort):
        image = nib.load(case["image"])
        assert image.shape == (128, 128, 1) and b"synthetic" in image.header["descrip"].tobytes()
        assert image.header.get_zooms()[:2] == pytest.approx((233 / 128,) * 2)
        assert nib.load(case["displacement"]).shape == (128, 128, 1, 1, 3)
        masks = ("brain", "prior_brain", "pathology", "ventricles", "prior_ventricles", "tissue", "prior_tissue")
        for key in ("prior", *masks):
            assert nib.load(case[key]).shape == (128, 128, 1)
        facts = json.loads(Path(case["image"]).with_name("parameters.json").read_text())
        assert facts["synthetic"] is True and facts["stratum"] == case["stratum"] in ("small", "medium", "large")


def test_same_bytes_whatever_the_workers_and_after_an_interruption(folders, cohort, tmp_path, monkeypatch):
    recipe = Recipe("stroke", 10, **folders, seed=1)
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
    assert (written.found, written.made) == (4, 6) and files_of(tmp_path / "cut") == wanted


def test_another_recipe_needs_another_folder(folders, cohort):
    with pytest.raises(InputError, match="holds another cohort .*choose another folder"):
        simulate_cohort(Recipe("stroke", 10, **folders, seed=2), cohort.parent, 1, progress=False)


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="is not empty"):
        simulate_cohort(Recipe(cases=3), tmp_path, 1, progress=False)


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


def test_default_split_of_twenty():
    names = [f"a{k}" for k in range(20)]
    members = split_names(names, 0)
    assert [len(members[s]) for s in SPLITS] == [12, 2, 6] and sorted(sum(members.values(), [])) == sorted(names)
    assert split_names(names, 1) != members and split_names(names[::-1], 0) == members


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


def test_kept_header_gives_the_same_bytes(tmp_path):
    from mededit_monai.io.nifti import save_synthetic
    from mededit_monai.simulation.files import KEYS, model_affine, write_case
    from mededit_monai.simulation.plan import Case

    rng = np.random.default_rng(0)
    plane = rng.random((128, 128), dtype=np.float32)
    pair = {key: plane > 0.5 for key in KEYS} | {"image": plane, "prior": plane}
    pair |= {"displacement": np.stack([plane] * 3), "parameters": {}}
    write_case(tmp_path, Recipe(), Case("training", 0, "a"), pair, 1.5)
    save_synthetic(plane[..., None], model_affine(1.5, 2), tmp_path / "image.nii")
    assert (tmp_path / "image.nii").read_bytes() == (tmp_path / "training_00000" / "image.nii").read_bytes()
    vectors = nib.load(tmp_path / "training_00000" / "displacement.nii")
    assert np.array_equal(np.asarray(vectors.dataobj)[:, :, 0, 0, 1], plane)
