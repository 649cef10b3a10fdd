# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""BraTS on several modalities: where the parts of a tumour land, what is 0 and 1, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from datasets.downloads import SMALL_BRAIN, TUMOR, boxes, brats_case, brats_head, save
from typer.testing import CliRunner

from mededit_monai.cli import app
from mededit_monai.core.errors import InputError
from mededit_monai.datasets.brats import find_brats
from mededit_monai.datasets.prepare_dataset import prepare_dataset
from mededit_monai.datasets.recipe import DatasetRecipe
from mededit_monai.diseases.modalities import MODALITIES
from mededit_monai.io.datalist import read_datalist

SIDE, STEP = 32, 200 / 32


def prepare(root: Path, out: Path, modalities=MODALITIES, skip_bad: bool = False, **options):
    options = {"spatial_dims": 3, "side": SIDE, "test": 1, "validation": 0.5} | options
    recipe = DatasetRecipe("brats", str(root), modalities=modalities, **options)
    return prepare_dataset(recipe, out, skip_bad=skip_bad, progress=False)


@pytest.fixture(scope="module")
def download(tmp_path_factory) -> Path:
    """Four patients, one of them seen twice, in the names of 2023 and before; label 4 is the old enhancing tumour."""
    root = tmp_path_factory.mktemp("download")
    for name in ("BraTS-GLI-00001-000", "BraTS-GLI-00001-001", "BraTS-GLI-00002-000", "BraTS-GLI-00003-000"):
        brats_head(root, name)
    brats_head(root, "BraTS2021_00004", {2: TUMOR[2], 1: TUMOR[1], 4: TUMOR[3]})
    return root


@pytest.fixture(scope="module")
def prepared(download, tmp_path_factory) -> Path:
    return prepare(download, tmp_path_factory.mktemp("prepared") / "d").datalist.parent


def arrays(case: dict) -> dict[str, np.ndarray]:
    return {key: np.asarray(nib.load(case[key]).dataobj) for key in (*MODALITIES, "label")}


def test_volumes_and_places_of_the_labels(prepared):
    """In millimetres, as they were drawn; the files are stored toward left and back, the cohort toward right."""
    for case in read_datalist(prepared / "datalist.json"):
        label = arrays(case)["label"]
        assert label.shape == (SIDE,) * 3 and label.dtype == np.uint8
        assert np.allclose(nib.load(case["label"]).affine[:3, :3], np.eye(3) * STEP)
        places = (np.argwhere((label > 0) & (label < 4)) - (SIDE - 1) / 2) * STEP
        assert places.mean(axis=0) == pytest.approx([3 * (29.5 - 25.5), 3 * (34.5 - 31.5), 10 * (4.0 - 4.5)], abs=3)
        drawn = boxes((60, 70, 10), (4, SMALL_BRAIN), *((value, box) for value, box in TUMOR.items()))
        for value in (1, 2, 3):
            wanted = (drawn == value).sum() * 3 * 3 * 10 / STEP**3
            assert (label == value).sum() == pytest.approx(wanted, rel=0.35), value
        assert (label > 0).sum() == pytest.approx((drawn > 0).sum() * 90 / STEP**3, rel=0.1)


def test_intensities(prepared):
    """Healthy brain, 400 on both, is more than the percentile leaves out: it becomes 1, edema 0.75 and core 0.25."""
    found = arrays(read_datalist(prepared / "datalist.json")[0])
    label = found["label"]
    for name in MODALITIES:
        image = found[name]
        assert image.dtype == np.float32 and image.min() == 0 and image.max() == 1 and not image[label == 0].any()
    for name in ("t1", "t1ce"):
        levels = {value: float(np.median(found[name][label == value])) for value in (4, 2, 1)}
        assert levels == pytest.approx({4: 1, 2: 0.75, 1: 0.25}, abs=0.16)  # a core of 36 mm on points of 6 mm


def test_lists_patients_and_counts(prepared, download):
    cases = read_datalist(prepared / "datalist.json")
    assert len(cases) == 5 and {key for key in cases[0] if key in (*MODALITIES, "image")} == set(MODALITIES)
    splits: dict[str, set] = {}
    for case in cases:
        splits.setdefault(case["patient"], set()).add(case["split"])
    assert len(splits) == 4 and all(len(found) == 1 for found in splits.values()) and "BraTS-GLI-00001" in splits
    facts = json.loads((prepared / "dataset.json").read_text())
    assert facts["unit"] == "volumes" and facts["cases"]["with_pathology"] == 5 and facts["cases"]["lesion_free"] == 0
    assert facts["volumes"]["label_4_mapped_to_3"] == 1 and facts["recipe"]["modalities"] == list(MODALITIES)
    record = json.loads((prepared / "volumes" / "BraTS2021_00004.json").read_text())
    assert set(record["inputs"]) == {*MODALITIES, "pathology"} and set(record["cases"][0]["ceilings"]) == set(
        MODALITIES
    )
    assert (prepared / "report.html").stat().st_size > 2000


def test_it_goes_on_and_trains_as_it_is(prepared, download):
    from mededit_monai.datasets.training import training_source

    again = prepare(download, prepared)
    assert (again.made, again.found) == (0, 5)
    source = training_source(None, prepared, 0, 0, 0, disease="tumor", keys=[*MODALITIES, "label"])
    assert len(source["training"]) >= 1 and len(source["validation"]) >= 1
    with pytest.raises(InputError, match=r"holds another data set \(side 32, wanted 64\)"):
        prepare(download, prepared, side=64)


def test_a_head_without_tumour_is_listed_apart(download, tmp_path):
    brats_head(tmp_path / "in", "BraTS-GLI-00007-000")
    brats_head(tmp_path / "in", "BraTS-GLI-00008-000", {})
    facts = prepare(tmp_path / "in", tmp_path / "out", ("t1",), test=0).facts
    assert facts["cases"]["with_pathology"] == facts["cases"]["lesion_free"] == 1
    listed = json.loads((tmp_path / "out" / "datalist.json").read_text())
    (free,) = listed["lesion_free_training"]
    assert free["case_id"] == "BraTS-GLI-00008-000" and free["stratum"] is None and "t2" not in free
    assert set(np.unique(nib.load(tmp_path / "out" / free["label"]).dataobj)) == {0, 4}


def test_the_command(tmp_path):
    for number in (1, 2):
        brats_head(tmp_path / "in", f"BraTS-GLI-0000{number}-000")
    words = ["dataset", "brats", "--root", str(tmp_path / "in"), "--side", "32", "--test", "1", "--no_progress"]
    done = CliRunner().invoke(app, [*words, "--modalities", "all", "--json", "-o", str(tmp_path / "all")])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["recipe"]["modalities"] == list(MODALITIES)
    done = CliRunner().invoke(app, [*words, "--modalities", "flair", "--modalities", "t1", "-o", str(tmp_path / "two")])
    assert done.exit_code == 0 and "1 training, 0 validation, 1 testing volumes with pathology" in done.stdout
    case = read_datalist(tmp_path / "two" / "datalist.json")[0]
    assert Path(case["flair"]).is_file() and "t1ce" not in case


def refused(root: Path, out: Path, modalities=MODALITIES, **options) -> str:
    with pytest.raises(InputError) as caught:
        prepare(root, out, modalities, **options)
    assert not out.exists()
    return str(caught.value)


def test_a_missing_modality_is_named(tmp_path):
    for name in ("BraTS-GLI-00001-000", "BraTS2021_00002"):
        brats_head(tmp_path / "in", name)
    first, second = (tmp_path / "in" / name for name in ("BraTS-GLI-00001-000", "BraTS2021_00002"))
    (first / "BraTS-GLI-00001-000-t2f.nii.gz").unlink()
    (second / "BraTS2021_00002_t1.nii.gz").unlink()
    said = refused(tmp_path / "in", tmp_path / "out").splitlines()
    assert said[1] == (
        f"  {first}/BraTS-GLI-00001-000-t2f.nii.gz: is missing, wanted every modality of --modalities (t1, t1ce, t2, "
        f"flair) beside BraTS-GLI-00001-000-t1n.nii.gz; unpack the download again, or leave flair out."
    )
    assert f"{second}/BraTS2021_00002_t1.nii.gz: is missing" in said[2] and "leave t1 out" in said[2]
    prepare(tmp_path / "in", tmp_path / "two", ("t1ce", "t2"), test=0)
    facts = prepare(tmp_path / "in", tmp_path / "three", ("t1", "t2"), skip_bad=True, test=0).facts
    assert list(facts["volumes"]["left_out"]) == ["BraTS2021_00002"]


def test_labels_and_grids_that_cannot_be(tmp_path):
    folder = brats_head(tmp_path / "in", labels={1: TUMOR[2], 5: TUMOR[3]})
    assert "holds the values" in refused(tmp_path / "in", tmp_path / "out")
    brats_head(tmp_path / "in", labels={1: TUMOR[2], 4: TUMOR[3]})
    assert "resection cavity" in refused(tmp_path / "in", tmp_path / "out")
    brats_head(tmp_path / "in")
    other = nib.load(folder / "BraTS-GLI-00000-000-t2w.nii.gz")
    save(folder / "BraTS-GLI-00000-000-t2w.nii.gz", np.asarray(other.dataobj)[:-1], other.affine)
    said = refused(tmp_path / "in", tmp_path / "out")
    assert "t2w.nii.gz: lies on another grid than" in said and "t1n.nii.gz" in said
    save(
        folder / "BraTS-GLI-00000-000-t2w.nii.gz", np.asarray(other.dataobj) + 7 + np.arange(70)[:, None], other.affine
    )
    assert "t2w.nii.gz: has no brain mask and is not skull-stripped" in refused(tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"modalities": ("t1", "pd")}, "--modalities: got 'pd', wanted one of t1, t1ce, t2, flair"),
        ({"modalities": ("t1", "t1")}, "wanted each of t1, t1ce, t2, flair once"),
        ({"side": 48}, "--side: got '48', wanted one of 32, 64, 96, 128"),
        ({"modalities": None}, "--side: got 32, but it applies to --modalities"),
        ({"spatial_dims": 2}, "--modalities: got a brats data set with --spatial_dims 2"),
        ({"slice_index": 4}, "--slice_index: got 4, but --spatial_dims 3 keeps volumes"),
    ],
)
def test_options_that_cannot_be(download, tmp_path, options, said):
    assert said in refused(download, tmp_path / "out", **{"modalities": MODALITIES, **options})


def test_the_target_of_a_radiotherapy_has_no_parts(tmp_path):
    scan = brats_case(tmp_path, "BraTS-MEN-RT-0001-1")
    (scan.parent / "BraTS-MEN-RT-0001-1-seg.nii.gz").rename(scan.parent / "BraTS-MEN-RT-0001-1-gtv.nii.gz")
    assert "has no segmentation" in find_brats(tmp_path, modalities=("t1ce",)).problems["BraTS-MEN-RT-0001-1"][0]
