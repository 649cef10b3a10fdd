# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Synthesized heads beside real ones: ranked by error, in three planes, the right way up."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from synthesis.heads import write_heads

from mededit_monai.io.datalist import read_datalist
from studies.synthesis_pictures import COLOURS, main, panels


def synthesis_of(cohort: Path, folder: Path, names: tuple[str, ...], darker: dict[str, float]) -> None:
    """Copies of the cohort's heads, darker by a factor of their own."""
    for case in read_datalist(cohort / "datalist.json"):
        for name in names:
            image = nib.load(case[name])
            (folder / case["case_id"]).mkdir(parents=True, exist_ok=True)
            array = image.get_fdata() * darker[case["case_id"]]
            nib.save(
                nib.Nifti1Image(array.astype(np.float32), image.affine), folder / case["case_id"] / f"{name}.nii.gz"
            )


@pytest.fixture()
def cohort(tmp_path) -> Path:
    (tmp_path / "heads").mkdir()
    write_heads(tmp_path / "heads", 16, (3, 0))
    return tmp_path / "heads"


def test_the_nearest_and_the_farthest(cohort, tmp_path, capsys):
    names = [case["case_id"] for case in read_datalist(cohort / "datalist.json")]
    synthesis_of(cohort, tmp_path / "made", ("t1",), dict(zip(names, (0.2, 1.0, 0.6))))
    words = ["--cohort", str(cohort), "--synthesis", str(tmp_path / "made"), "-o", str(tmp_path / "a.png")]
    assert main(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert [said[word]["case"] for word in ("farthest", "nearest", "middle")] == names and said["nearest"]["mse"] == 0
    assert Image.open(tmp_path / "a.png").size[0] > 1000
    (tmp_path / "mine.png").write_text("years of work")
    with pytest.raises(SystemExit) as ended:
        main([*words[:-1], str(tmp_path / "mine.png"), "--overwrite"])
    assert ended.value.code == 2 and "was not written by mededit" in capsys.readouterr().err
    assert (tmp_path / "mine.png").read_text() == "years of work"


def test_modalities_of_the_middle_head(cohort, tmp_path, capsys):
    names = [case["case_id"] for case in read_datalist(cohort / "datalist.json")]
    synthesis_of(cohort, tmp_path / "made", ("t1", "flair"), dict(zip(names, (0.2, 1.0, 0.6))))
    words = ["--cohort", str(cohort), "--synthesis", str(tmp_path / "made"), "-o", str(tmp_path / "a.png")]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["middle"]["case"] == names[2]


def test_planes_stand_upright(cohort, tmp_path):
    case, *_ = read_datalist(cohort / "datalist.json")
    synthesis_of(
        cohort, tmp_path / "made", ("t1",), {one["case_id"]: 0 for one in read_datalist(cohort / "datalist.json")}
    )
    labels = np.full((16, 16, 16), 4, np.uint8)
    labels[2, 8, 8] = 1  # on the patient's left: x grows to the right
    nib.save(nib.Nifti1Image(labels, np.eye(4)), case["label"])
    mask, real, made = panels(case, tmp_path / "made", "t1")
    assert (mask[0] == COLOURS[1]).all(axis=-1).nonzero() == (np.array([7]), np.array([13]))  # left on the right
    assert [plane.shape for plane in mask] == [(16, 16, 3)] * 3
    assert all((plane == 0).all() for plane in made) and any((plane > 0).any() for plane in real)


def test_a_folder_of_other_heads(cohort, tmp_path, capsys):
    shutil.copytree(cohort, tmp_path / "made")
    words = ["--cohort", str(cohort), "--synthesis", str(tmp_path / "nothing"), "-o", str(tmp_path / "a.png")]
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2 and "holds no head of" in capsys.readouterr().err and not (tmp_path / "a.png").exists()
