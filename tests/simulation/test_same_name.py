# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Inputs are known by what they hold: two of one name are not taken for one another, and one that moved is itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import write_head
from datasets.downloads import atlas_tree
from simulation.small_brains import label_array, label_maps, lesion_masks, save
from simulation.verbs import content, refused, run

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.prepare_dataset import prepare_dataset
from mededit_monai.datasets.recipe import DatasetRecipe
from mededit_monai.io.atomic import json_bytes
from mededit_monai.io.hashing import sha256
from mededit_monai.io.outputs import list_files


@pytest.mark.parametrize("option", ["anatomies", "lesions"])
def test_another_folder_of_the_same_name_is_another_cohort(tmp_path, option):
    """By what the folder holds: moved it is the same one, and a cohort that does not say goes on as it is."""
    one, other, out = (tmp_path / name for name in ("one", "other", "out"))
    for root in (one, other):
        label_maps(root / "anatomies", 1)
        lesion_masks(root / "lesions", 3)
    save(label_array(0.85), other / "anatomies" / "brain_0.nii.gz", "RAS")
    shutil.copy(other / "lesions" / "lesion_0.nii.gz", other / "lesions" / "lesion_1.nii.gz")
    given = {"lesions": f"{one}/lesions"}
    run("simulate", one, out, **given)
    told = json.loads((out / "cohort.json").read_bytes())
    assert set(told["inputs"]) == {"anatomies", "lesions"} and "inputs" not in (out / "datalist.json").read_text()
    before = content(out)
    others = {"anatomies": f"{one}/anatomies", **given, option: f"{other}/{option}"}
    words = f"holds another cohort (made from other files than those in --{option} {other}"
    refused(words, "simulate", "", out, **others)
    assert content(out) == before
    (tmp_path / "moved").mkdir()
    for name in ("anatomies", "lesions"):
        shutil.move(one / name, tmp_path / "moved" / name)
    (out / "training_00000" / "image.nii").unlink()
    assert run("simulate", tmp_path / "moved", out, lesions=f"{tmp_path}/moved/lesions").made == 1
    assert content(out) == before
    del told["inputs"]  # as written before they were noted
    (out / "cohort.json").write_bytes(json_bytes(told))
    list_files(out, {"cohort.json": sha256(out / "cohort.json")})
    before = content(out)
    assert run("simulate", tmp_path / "moved", out, lesions=f"{tmp_path}/moved/lesions").made == 0
    assert content(out) == before


def table(folder: Path, turned: float, names: str = "abc") -> Path:
    """Heads, and the table that lists them."""
    rows = ["case_id,patient,image,pathology,brain"]
    for number, name in enumerate(names):
        head = write_head(folder / name, rotation=turned + number)
        files = (str(path.relative_to(folder)) for path in (head.scan, head.pathology, head.brain))
        rows.append(",".join([name, name, *files]))
    (folder / "cases.csv").write_text("\n".join(rows) + "\n")
    return folder / "cases.csv"


def prepared(root: Path, out: Path) -> int:
    recipe = DatasetRecipe("folder", str(root), disease="stroke", test=1, validation=0.4)
    return prepare_dataset(recipe, out, progress=False).made


def test_another_table_of_the_same_name_is_another_data_set(tmp_path):
    one, other = table(tmp_path / "A", 0), table(tmp_path / "B", 5, "abd")
    out = tmp_path / "out"
    assert prepared(one, out) == 3
    before = content(out)
    with pytest.raises(InputError, match=r"out: holds another data set \(of a table with the SHA-256 "):
        prepared(other, out)
    assert content(out) == before
    shutil.move(tmp_path / "A", tmp_path / "moved")
    assert prepared(tmp_path / "moved" / "cases.csv", out) == 0 and content(out) == before
    told = json.loads((out / "recipe.json").read_bytes())
    del told["table_sha256"]  # as written before it was noted
    (out / "recipe.json").write_bytes(json_bytes(told))
    list_files(out, {"recipe.json": sha256(out / "recipe.json")})
    before = content(out)
    assert prepared(tmp_path / "moved" / "cases.csv", out) == 0 and content(out) == before
    with pytest.raises(InputError, match="its volumes were made from none of the files in .*B/cases.csv"):
        prepared(other, out)
    assert content(out) == before


def test_another_folder_of_the_same_name_is_another_data_set(tmp_path):
    one, other, out = tmp_path / "A" / "data", tmp_path / "B" / "data", tmp_path / "out"
    atlas_tree(one, [4, 6, 8, 5])
    for path in atlas_tree(other, [5, 7, 9, 3]).rglob("*.nii.gz"):  # of the same names
        image = nib.load(path)
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj), image.affine + np.eye(4) * 0.01), path)
    run("dataset", tmp_path, out, root=str(one))
    before = content(out)
    words = "holds another data set (its volumes were made from none of the files"
    refused(words, "dataset", tmp_path, out, root=str(other))
    assert content(out) == before
    shutil.move(one, tmp_path / "data")
    assert run("dataset", tmp_path, out, root=str(tmp_path / "data")).made == 0 and content(out) == before
