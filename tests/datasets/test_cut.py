# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Slices cut from volumes: which, at what intensities, and the same edit as that of the volume."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml
from evaluation.moved_cohort import ATTENTION, SIZES, save_moving_weights, write_moved_cohort
from evaluation.toy import TABLE, few_draws, make_toy
from typer.testing import CliRunner

from mededit_monai.cli import app
from mededit_monai.core.errors import InputError
from mededit_monai.datasets.cut import cut_cohort
from mededit_monai.diseases import DISEASES
from mededit_monai.evaluation.edits import read_edit
from mededit_monai.evaluation.evaluate import evaluate
from mededit_monai.io.claims import RUNS, claim
from mededit_monai.io.datalist import read_datalist
from mededit_monai.io.hashing import sha256
from mededit_monai.io.nifti import read_array
from mededit_monai.io.outputs import marker_facts


@pytest.fixture(scope="module")
def volumes(tmp_path_factory) -> Path:
    return write_moved_cohort(tmp_path_factory.mktemp("volumes") / "cohort", 3, counts=(2, 1, 2))


def test_the_slice_with_most_lesion_by_its_own_percentile(volumes, tmp_path):
    said = CliRunner().invoke(
        app, ["dataset", "slices", "--cohort", str(volumes), "-o", str(tmp_path / "out"), "--json"]
    )
    assert said.exit_code == 0, said.output
    counts = {"training": 2, "validation": 1, "testing": 2}
    assert json.loads(said.stdout) == {"written": f"{tmp_path / 'out'}/datalist.json", "synthetic": True, **counts}
    content = json.loads((tmp_path / "out" / "datalist.json").read_text())
    assert content["recipe"]["spatial_dims"] == 2 and content["recipe"]["cut_from"] == "cohort"
    before = {case["case_id"]: case for case in read_datalist(volumes / "datalist.json")}
    for case in read_datalist(tmp_path / "out" / "datalist.json"):
        own = before[case["case_id"]]
        volume = {key: read_array(own[key]) for key in ("prior", "image", "pathology", "ventricles", "prior_brain")}
        area = volume["pathology"].sum(axis=(0, 1))
        z = case["slice_index"]
        assert area[z] == area.max() and not (area[:z] == area.max()).any()
        ceiling = np.percentile(volume["prior"][..., z] * volume["prior_brain"][..., z], DISEASES["stroke"].percentile)
        assert case["volume_ceiling"] == pytest.approx(ceiling)
        for key in ("prior", "image"):
            wanted = (volume[key][..., z] / ceiling).clip(0, 1)
            assert np.allclose(read_array(case[key])[..., 0], wanted, atol=1e-6)
        for key in ("pathology", "ventricles"):
            assert np.array_equal(read_array(case[key])[..., 0], volume[key][..., z])
        assert nib.load(case["image"]).header["descrip"].tobytes().startswith(b"synthetic")
        assert case["volume_prior"] == own["prior"] and case["stratum"] == own["stratum"] and "displacement" not in case


def test_what_it_refuses(volumes, tmp_path):
    flat = write_moved_cohort(tmp_path / "flat", 2, counts=(2, 1, 2))
    with pytest.raises(InputError, match="flat holds slices, wanted volumes"):
        cut_cohort(flat, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="datalist.json"):
        cut_cohort(volumes, volumes)
    assert json.loads((volumes / "datalist.json").read_text())["recipe"]["spatial_dims"] == 3
    own = tmp_path / "own" / "cases" / "testing_00000"
    own.mkdir(parents=True)
    (own / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is a folder that mededit did not write"):
        cut_cohort(volumes, tmp_path / "own", overwrite=True)
    assert (own / "notes.txt").read_text() == "mine"


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_slices_of_another_cohort_stay(volumes, tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    shutil.copytree(volumes, other)
    content = json.loads((other / "datalist.json").read_bytes())
    (other / "datalist.json").write_text(json.dumps(content | {"recipe": {**content["recipe"], "seed": 99}}))
    cut_cohort(volumes, out)
    before = tree(out)
    cut_cohort(volumes, out)  # the same again is no change
    assert tree(out) == before
    for overwrite in (False, True):
        with pytest.raises(InputError, match="out: holds slices of another cohort"):
            cut_cohort(other, out, overwrite)
        assert tree(out) == before
    marker = json.loads(before[".mededit.json"])
    del marker["cut_from"]  # as of a version that did not write it down
    (out / ".mededit.json").write_text(json.dumps(marker))
    with pytest.raises(InputError, match="out: holds slices of another cohort"):
        cut_cohort(other, out)
    cut_cohort(volumes, out)
    assert marker_facts(out)["cut_from"] == sha256(volumes / "datalist.json")


@pytest.mark.parametrize("name", ["datalist.json", "cases/testing_00001/pathology.nii"])
def test_what_was_changed_by_hand_stays(volumes, tmp_path, name):
    cut_cohort(volumes, tmp_path / "out")
    place = tmp_path / "out" / name
    if name.endswith(".json"):
        place.write_text(json.dumps(json.loads(place.read_bytes()) | {"testing": []}))
    else:
        nib.save(nib.Nifti1Image(np.ones((3, 3, 1), np.uint8), np.eye(4)), place)
    before = tree(tmp_path / "out")
    with pytest.raises(InputError, match=f"{place.name}: was changed after mededit wrote it"):
        cut_cohort(volumes, tmp_path / "out")
    assert tree(tmp_path / "out") == before
    cut_cohort(volumes, tmp_path / "out", overwrite=True)
    assert place.read_bytes() != before[name]


def test_what_a_killed_run_left_goes_and_two_runs_never_collide(volumes, tmp_path):
    script = "import os, sys; from mededit_monai.datasets import cut; cut.save_image = lambda *a: os._exit(9);"
    script += "cut.cut_cohort(*sys.argv[1:])"
    out = tmp_path / "out"
    assert subprocess.run([sys.executable, "-c", script, str(volumes), str(out)]).returncode == 9
    (out / ".0123abcd.unfinished.datalist.json").write_bytes(b"half")
    assert len(list(out.rglob("*.unfinished*"))) == 2
    with claim(out), pytest.raises(InputError, match="another run is writing it"):
        cut_cohort(volumes, out)
    cut_cohort(volumes, out)
    assert not list(out.rglob("*.unfinished*")) and not (out / RUNS).exists()


@pytest.mark.slow
def test_the_volumes_edit_in_the_slice(volumes, tmp_path):
    """What an evaluation of the volumes makes, where most of the lesion is, in the slice's own intensities."""
    toy = make_toy(tmp_path)
    for dims in (2, 3):
        save_moving_weights(toy.bundle, dims)
    settings = {"method": "morph", "steps": 2}
    rows = {"morph": {"label": "a", "settings": settings}, "truth": {"label": "t", "settings": {"control": "truth"}}}
    rows["truth"]["settings"]["method"] = "morph"
    by_volume = {"morph": {"label": "a", "settings": {**settings, "control": "by_volume"}}, "truth": rows["truth"]}
    toy.overlay.write_text(yaml.safe_dump(SIZES | {"attention_levels": ATTENTION, "reference_dilation": 9}))
    slices = tmp_path / "slices"
    cut_cohort(volumes, slices)
    for name, cohort, entries in (("whole", volumes, rows), ("cut", slices, by_volume)):
        toy.table.write_text(yaml.safe_dump(TABLE | {"columns": ["zone_error", "fid"], "rows": entries}))
        asked = toy.options(
            tmp_path / name, cohort=str(cohort), pairing="paired", judge=str(toy.judge) if cohort == slices else None
        )
        with few_draws():
            evaluate(asked)
    moved = 0
    for case in read_datalist(slices / "datalist.json", "testing"):
        for row in ("morph", "truth"):
            whole, cut = (
                read_edit(tmp_path / name / "edits" / f"stroke_mask_{row}" / "paired" / f"{case['case_id']}.npz").edit
                for name in ("whole", "cut")
            )
            wanted = (whole[..., case["slice_index"]] / case["volume_ceiling"]).clip(0, 1)
            assert np.allclose(cut, wanted, atol=1e-4), (row, np.abs(cut - wanted).max())
            moved += int(np.abs(cut - read_array(case["prior"])[..., 0]).max() > 0.05)
    assert moved == 4


def test_slices_without_volumes_have_no_such_row(tmp_path):
    toy = make_toy(tmp_path)
    for dims in (2, 3):
        save_moving_weights(toy.bundle, dims)
    rows = {"morph": {"label": "a", "settings": {"method": "morph", "steps": 1, "control": "by_volume"}}}
    toy.overlay.write_text(yaml.safe_dump(SIZES | {"attention_levels": ATTENTION, "reference_dilation": 9}))
    toy.table.write_text(yaml.safe_dump(TABLE | {"rows": rows}))
    with pytest.raises(InputError, match="--control by_volume: the cases know no volumes"):
        evaluate(toy.options(tmp_path / "out", pairing="paired"))
