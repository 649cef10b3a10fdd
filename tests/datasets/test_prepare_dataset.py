# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Whole data sets: lists, counts, report, resuming, workers, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from datasets.downloads import (
    SMALL_AFFINE,
    SMALL_BRAIN,
    SMALL_SHAPE,
    atlas_case,
    atlas_tree,
    boxes,
    brats_case,
    lesion_box,
    save,
)
from simulation.small_brains import label_maps
from typer.testing import CliRunner

from mededit_monai.cli import app
from mededit_monai.core.errors import InputError
from mededit_monai.datasets import prepare_dataset as module
from mededit_monai.datasets.prepare_dataset import prepare_dataset
from mededit_monai.datasets.recipe import DatasetRecipe
from mededit_monai.datasets.splits import SPLITS
from mededit_monai.io.datalist import read_datalist

#: Sides of the lesions of 12 subjects in voxels of 3 mm; four have none in slice 4.
SIDES = [2, 3, 4, 5, 6, 7, 8, 9, None, None, None, None]


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    return atlas_tree(tmp_path_factory.mktemp("download"), SIDES)


def prepare(
    root: Path,
    out: Path,
    source: str = "atlas",
    workers: int = 1,
    skip_bad: bool = False,
    strict: bool = False,
    **options,
):
    options = {"slice_index": 4, "test": 2, "validation": 0.2} | options
    recipe = DatasetRecipe(source, str(root), **options)
    return prepare_dataset(recipe, out, workers, skip_bad, progress=False, strict=strict)


@pytest.fixture(scope="module")
def prepared(tree, tmp_path_factory) -> Path:
    return prepare(tree, tmp_path_factory.mktemp("prepared") / "d").datalist.parent


def files_of(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


# --- lists and counts ------------------------------------------------------------------------------------------------


def test_counts(prepared):
    facts = json.loads((prepared / "dataset.json").read_text())
    assert facts["volumes"]["found"] == facts["volumes"]["used"] == facts["patients"] == 12
    assert facts["volumes"]["without_pathology"] == [f"sub-r001s{k:03d}" for k in range(9, 13)]
    assert facts["volumes"]["brain_from_background"] == 12 and facts["volumes"]["left_out"] == {}
    assert facts["cases"] == {"looked_at": 12, "with_pathology": 8, "lesion_free": 4, "left_out": {}}
    areas = sorted(int(np.asarray(nib.load(c["pathology"]).dataobj).sum()) for c in cases(prepared) if "pathology" in c)
    # Quartiles of 8 sorted values lie at positions 1.75 and 5.25.
    low, high = areas[1] + 0.75 * (areas[2] - areas[1]), areas[5] + 0.25 * (areas[6] - areas[5])
    strata = facts["strata"]
    assert strata["bounds_px"] == [low, high] and strata["counts"] == {"small": 2, "medium": 4, "large": 2}
    assert strata["thesis"]["bounds_px"] == [18.5, 371.0] and strata["thesis"]["counts"]["medium"] == 221
    assert facts["test"] == {"wanted": 2, "got": 2, "said": "2 of 2 wanted"}
    assert [facts["splits"][s]["with_pathology"] for s in SPLITS] == [5, 1, 2]
    assert [facts["splits"][s]["lesion_free"] for s in SPLITS] == [2, 1, 1]
    assert facts["recipe"]["seed"] == 0 and facts["recipe"]["root"] != "" and "/" not in facts["recipe"]["root"]
    assert facts["synthetic"] is False


def cases(prepared: Path) -> list[dict]:
    return read_datalist(prepared / "datalist.json")


def test_the_datalist(prepared):
    listed = json.loads((prepared / "datalist.json").read_text())
    for case in (case for split in SPLITS for case in listed[split]):
        assert case["image"] == f"cases/{case['case_id']}/image.nii" and case["stratum"] in ("small", "medium", "large")
    for case in (case for split in SPLITS for case in listed[f"lesion_free_{split}"]):
        assert set(case) & {"image", "pathology"} == set() and case["prior_brain"].startswith("cases/")
    for case in cases(prepared):
        assert all(Path(case[key]).is_file() for key in ("image", "brain", "pathology", "prior") if key in case)


def test_it_trains_as_it_is(prepared):
    from mededit_monai.datasets.training import training_source

    source = training_source(prepared / "datalist.json", None, 0, 0, 0, progress=False)
    assert (len(source["training"]), len(source["validation"])) == (5, 1)


def test_a_patient_is_in_one_split_everywhere(tmp_path):
    for patient in range(6):
        for point in range(1 + patient % 2):
            brats_case(tmp_path / "in", f"BraTS-GLI-{patient:05d}-{point:03d}")
    done = prepare(tmp_path / "in", tmp_path / "out", "brats", slice_index="3:6", test=3)
    seen: dict[str, set[str]] = {}
    for case in read_datalist(done.datalist):
        seen.setdefault(case["patient"], set()).add(case["split"])
    assert len(seen) == 6 and all(len(splits) == 1 for splits in seen.values())
    assert done.facts["volumes"]["found"] == 9 and done.facts["cases"]["with_pathology"] == 9
    assert done.facts["splits"]["testing"]["with_pathology"] == 3 and done.facts["splits"]["testing"]["patients"] >= 2


def test_the_report_is_one_page(prepared):
    page = (prepared / "report.html").read_text()
    assert "Research use only, not a medical device" in page and "synthetic" not in page.lower()
    assert "data:image/png;base64," in page and not re.search(r"(src|href)=\"(?!data:)", page)
    for text in ("<td>371.0</td>", "<td>221</td>", "2 of 2 wanted"):
        assert text in page


# --- the same bytes --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_workers_and_interruptions_change_nothing(tree, prepared, tmp_path, monkeypatch):
    wanted = files_of(prepared)
    prepare(tree, tmp_path / "two", workers=2)
    assert files_of(tmp_path / "two") == wanted
    left, original = [5], module.make_volume

    def interrupted(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(module, "make_volume", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(tree, tmp_path / "cut")
    assert not (tmp_path / "cut" / "datalist.json").exists()
    monkeypatch.setattr(module, "make_volume", original)
    done = prepare(tree, tmp_path / "cut")
    assert (done.found, done.made) == (5, 7) and files_of(tmp_path / "cut") == wanted
    again = prepare(tree, tmp_path / "cut")
    assert (again.found, again.made) == (12, 0) and files_of(tmp_path / "cut") == wanted


def test_another_seed_splits_otherwise_but_makes_the_same_cases(tree, prepared, tmp_path):
    other = prepare(tree, tmp_path / "d", seed=1).datalist.parent
    one, two = files_of(prepared), files_of(other)
    assert {k: v for k, v in one.items() if k.startswith("cases/")} == {
        k: v for k, v in two.items() if k.startswith("cases/")
    }
    assert one["datalist.json"] != two["datalist.json"]


def test_another_recipe_needs_another_folder(tree, prepared, tmp_path):
    with pytest.raises(InputError, match=r"holds another data set \(seed 0, wanted 2\); choose another folder"):
        prepare(tree, prepared, seed=2)
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="is not empty and holds no prepared data set"):
        prepare(tree, tmp_path)


# --- faults ----------------------------------------------------------------------------------------------------------


@pytest.fixture()
def damaged(tmp_path) -> Path:
    """Five subjects: one good, one without mask, one with NaN, two whose head is not skull-stripped."""
    root = atlas_tree(tmp_path / "in", [5, 6, 7, 8, 9])
    masks, scans = (sorted(root.rglob(f"*_{end}.nii.gz")) for end in ("mask", "T1w"))
    masks[1].unlink()
    holed = boxes(SMALL_SHAPE, (100, SMALL_BRAIN))
    holed[30, 30, 4] = np.nan
    save(scans[2], holed, SMALL_AFFINE)
    for scan in scans[3:]:
        save(scan, 50 + np.random.default_rng(0).random(SMALL_SHAPE), SMALL_AFFINE)
    return root


def test_every_fault_is_named_at_once_and_nothing_is_written(damaged, tmp_path):
    with pytest.raises(InputError) as caught:
        prepare(damaged, tmp_path / "out")
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{damaged}: 4 of 5 volumes cannot be used:" and len(lines) == 5
    assert "has no lesion mask" in lines[1] and "holds 1 NaN or infinite voxels" in lines[2]
    assert "docs/how_to/brain_masks.md says how to get one (the same holds for 1 more)." in lines[3]
    assert lines[4].endswith("leave them out with --skip_bad. Nothing was written.")
    assert not (tmp_path / "out").exists()


def test_skip_bad_leaves_out_and_records(damaged, tmp_path):
    facts = prepare(damaged, tmp_path / "out", skip_bad=True, test=0).facts
    assert (facts["volumes"]["found"], facts["volumes"]["used"]) == (5, 1)
    left_out = facts["volumes"]["left_out"]
    assert list(left_out) == [f"sub-r001s{k:03d}" for k in range(2, 6)]
    assert left_out["sub-r001s003"][0].startswith("Training/R001/sub-r001s003/ses-1/anat/sub-r001s003_ses-1_space-")
    assert str(tmp_path) not in (tmp_path / "out" / "dataset.json").read_text()
    assert "holds 1 NaN" in (tmp_path / "out" / "report.html").read_text()


def bare(scan: Path) -> None:
    """Rewrite a scan and its mask so that they do not say which way their axes point."""
    for path in (scan, next(scan.parent.glob("*_mask.nii.gz"))):
        image = nib.load(path)
        image = nib.Nifti1Image(np.asarray(image.dataobj), None)
        image.header.set_zooms(np.abs(np.diag(SMALL_AFFINE))[:3])
        nib.save(image, path)


def test_doubts_are_recorded_and_said_once_at_the_end(tmp_path, capsys):
    root = atlas_tree(tmp_path / "in", [4, 5, 6, 7, 8, 4, 5])
    scans = sorted(root.rglob("*T1w.nii.gz"))
    for scan in scans[:6]:
        bare(scan)
    for _ in range(2):
        facts = prepare(root, tmp_path / "out").facts
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 11 and lines[-1] == "mededit: … and 2 more warnings, see dataset.json"
        assert lines[0].startswith("mededit: sub-r001s001: warning: sub-r001s001_ses-1") and "guess" in lines[0]
    assert list(facts["volumes"]["warnings"]) == [f"sub-r001s{k:03d}" for k in range(1, 7)]
    assert facts["volumes"] == json.loads((tmp_path / "out/dataset.json").read_text())["volumes"]
    assert str(tmp_path) not in (tmp_path / "out/dataset.json").read_text()
    record = json.loads((tmp_path / "out/volumes/sub-r001s001.json").read_text())
    assert record["warnings"] == facts["volumes"]["warnings"]["sub-r001s001"] and len(record["warnings"]) == 2


def test_strict_refuses_doubts(tmp_path, capsys):
    root = atlas_tree(tmp_path / "in", [4, 5, 6, 7])
    bare(sorted(root.rglob("*T1w.nii.gz"))[0])
    with pytest.raises(
        InputError, match="1 of 4 volumes cannot be used:\n  .*guess.*refused, since --strict was given"
    ):
        prepare(root, tmp_path / "out", strict=True)
    assert not (tmp_path / "out").exists()
    prepare(root, tmp_path / "out")
    with pytest.raises(InputError, match="1 of 4 volumes cannot be used"):  # what is done already is no excuse
        prepare(root, tmp_path / "out", strict=True)
    facts = prepare(root, tmp_path / "out", strict=True, skip_bad=True).facts
    assert list(facts["volumes"]["left_out"]) == ["sub-r001s001"] and facts["volumes"]["used"] == 3
    words = f"dataset atlas --root {root} --slice_index 4 --test 1 --strict --no_progress -o {tmp_path / 'c'}"
    capsys.readouterr()
    result = CliRunner().invoke(app, words.split())
    assert isinstance(result.exception, InputError) and not (tmp_path / "c").exists()


def test_all_volumes_bad(damaged, tmp_path):
    sorted(damaged.rglob("*_mask.nii.gz"))[0].unlink()
    with pytest.raises(InputError, match="none of its 5 volumes can be used"):
        prepare(damaged, tmp_path / "out", skip_bad=True)


def test_the_thesis_slice_has_to_exist(tmp_path):
    atlas_case(tmp_path / "in", lesion=lesion_box(5))
    with pytest.raises(InputError, match="has the axial slices 0 to 9, but --slice_index is 95; give one that it has"):
        prepare(tmp_path / "in", tmp_path / "out", slice_index=None)


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    "options, said",
    [
        ({"spatial_dims": 4}, "--spatial_dims: got '4', wanted one of 2, 3"),
        ({"slice_index": "60-120"}, "--slice_index: got '60-120', wanted an index, a range such as 60:120"),
        ({"slice_index": "5:5"}, "--slice_index: got '5:5'"),
        ({"spatial_dims": 3}, "--slice_index: got 4, but --spatial_dims 3 keeps volumes"),
        ({"test": "1.5"}, "--test: got '1.5', wanted a share below 1, a number of slices, or 'thesis'"),
        ({"test": "some"}, "--test: got 'some'"),
        ({"test": 9}, "--test: got 9, but 8 slices show pathology"),
        ({"test": "thesis"}, "--test: got 54, but 8 slices show pathology"),
        ({"validation": 1.0}, "--validation: got 1, wanted a share above 0 and below 1"),
        ({"validation": 0}, "--validation: got 0, wanted a share above 0 and below 1; a training needs its validation"),
        ({"seed": -1}, "--seed: got -1"),
        ({"require_core": True}, "--require_core: a stroke has no necrotic core"),
        ({"slice_index": 8, "test": "0"}, "no slice asked for shows pathology; choose another --slice_index"),
        ({"workers": 0}, "--workers: got 0"),
    ],
)
def test_options_are_checked(tree, tmp_path, options, said):
    with pytest.raises(InputError) as caught:
        prepare(tree, tmp_path / "out", **options)
    assert said in str(caught.value)


def test_a_folder_needs_a_disease_and_thesis_needs_a_download(tree, tmp_path):
    with pytest.raises(InputError, match="--disease: got 'None', wanted one of stroke, tumor"):
        prepare(tree, tmp_path / "out", "folder")
    with pytest.raises(InputError, match="--test: 'thesis' goes with atlas and brats"):
        prepare(tree, tmp_path / "out", "folder", disease="stroke", test="thesis")


# --- own data --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_simulated_bids_is_read_and_stays_marked_synthetic(tmp_path):
    from mededit_monai.simulation.plan import Recipe
    from mededit_monai.simulation.simulate import simulate_cohort

    recipe = Recipe("stroke", 3, str(label_maps(tmp_path / "brains", 3)), slice="mid", layout="bids")
    simulate_cohort(recipe, tmp_path / "bids", 1, progress=False)
    done = prepare(tmp_path / "bids", tmp_path / "out", "folder", disease="stroke", slice_index=None, test=1)
    assert done.facts["volumes"]["found"] == 6 and done.facts["patients"] == 3  # with and without lesion
    assert (done.facts["cases"]["with_pathology"], done.facts["cases"]["lesion_free"]) == (3, 3)
    assert done.facts["synthetic"] is True and "Images in this set are synthetic" in (
        (tmp_path / "out" / "report.html").read_text()
    )
    for case in read_datalist(done.datalist):
        header = nib.load(case.get("image") or case["prior"]).header
        assert b"synthetic" in header["descrip"].tobytes()


def test_a_table_takes_the_slice_with_the_largest_lesion(tmp_path):
    save(tmp_path / "t1.nii.gz", boxes(SMALL_SHAPE, (100, SMALL_BRAIN)), SMALL_AFFINE)
    lesion = boxes(SMALL_SHAPE, (1, lesion_box(4, z=3)), (1, lesion_box(6, z=5)))
    save(tmp_path / "lesion.nii.gz", lesion, SMALL_AFFINE, np.uint8)
    (tmp_path / "cases.csv").write_text("case_id,patient,image,pathology\na,P,t1.nii.gz,lesion.nii.gz\n")
    (case,) = read_datalist(
        prepare(tmp_path, tmp_path / "out", "folder", disease="stroke", slice_index=None, test=0).datalist
    )
    assert case["case_id"] == "a_z005" and case["patient"] == "P"


def test_a_control_is_cut_where_the_brain_is_largest(tmp_path):
    """The table of docs/how_to/datasets.md, with its command."""
    lesion = boxes(SMALL_SHAPE, (1, lesion_box(6, z=5)))
    wide = (slice(5, 55), slice(5, 65), slice(3, 4))
    control = boxes(SMALL_SHAPE, (100, SMALL_BRAIN), (100, wide))
    save(tmp_path / "p01/t1.nii.gz", boxes(SMALL_SHAPE, (100, SMALL_BRAIN)), SMALL_AFFINE)
    save(tmp_path / "p01/lesion.nii.gz", lesion, SMALL_AFFINE, np.uint8)
    save(tmp_path / "p01/brain.nii.gz", boxes(SMALL_SHAPE, (1, SMALL_BRAIN)), SMALL_AFFINE, np.uint8)
    save(tmp_path / "controls/c07.nii.gz", control + 1, SMALL_AFFINE)
    save(tmp_path / "controls/c07_mask.nii.gz", control > 0, SMALL_AFFINE, np.uint8)
    save(tmp_path / "controls/c08.nii.gz", control, SMALL_AFFINE)
    save(tmp_path / "controls/empty.nii.gz", lesion * 0, SMALL_AFFINE, np.uint8)
    rows = [
        "case_id,patient,image,pathology,brain",
        "p01_first,p01,p01/t1.nii.gz,p01/lesion.nii.gz,p01/brain.nii.gz",
        "c07,c07,controls/c07.nii.gz,,controls/c07_mask.nii.gz",
        "c08,c08,controls/c08.nii.gz,controls/empty.nii.gz,",
    ]
    (tmp_path / "cases.csv").write_text("\n".join(rows) + "\n")
    words = f"dataset folder --root {tmp_path / 'cases.csv'} --disease stroke -o {tmp_path / 'out'} --no_progress"
    result = CliRunner().invoke(app, words.split())
    assert result.exit_code == 0, result.output
    found = {case["case_id"]: "prior" in case for case in read_datalist(tmp_path / "out/datalist.json")}
    assert found == {"p01_first_z005": False, "c07_z003": True, "c08_z003": True}


def test_controls_alone_are_no_data_set(tmp_path):
    save(tmp_path / "t1.nii.gz", boxes(SMALL_SHAPE, (100, SMALL_BRAIN)), SMALL_AFFINE)
    (tmp_path / "cases.csv").write_text("case_id,patient,image,pathology\na,P,t1.nii.gz,\n")
    with pytest.raises(InputError, match="no slice asked for shows pathology"):
        prepare(tmp_path, tmp_path / "out", "folder", disease="stroke", slice_index=None)


# --- the command -----------------------------------------------------------------------------------------------------


def test_command(tree, tmp_path):
    words = f"dataset atlas --root {tree} --slice-index 4 --test 0.25 --json --no_progress -o {tmp_path / 'o'}"
    result = CliRunner().invoke(app, words.split())
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["made"] == 12 and facts["test"]["got"] == 2 and Path(facts["datalist"]).is_file()
    again = CliRunner().invoke(app, [w for w in words.split() if w != "--json"])
    assert "5 training, 1 validation, 2 testing slices with pathology, 4 without lesion" in again.stdout
    assert "(0 made now, 12 found done)" in again.stdout


def test_command_tells_faults_on_stderr_with_exit_code_2(tmp_path, capsys, monkeypatch):
    from mededit_monai.cli import main

    scan = atlas_case(tmp_path / "in")
    next(scan.parent.glob("*_mask.nii.gz")).unlink()
    monkeypatch.setattr("sys.argv", f"mededit dataset atlas --root {tmp_path / 'in'} -o {tmp_path / 'o'}".split())
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    assert ended.value.code == 2 and captured.err.startswith(
        f"mededit: {tmp_path / 'in'}: 1 of 1 volumes cannot be used:"
    )
    assert not (tmp_path / "o").exists()
