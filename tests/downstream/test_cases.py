# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Cases as mededit's other verbs leave them, and what is said of folders that are none of theirs."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest import write_head
from downstream.toy import save, write_cohort, write_edits
from monai.data import get_track_meta
from synthesis.heads import MODALITIES, write_heads

from mededit_monai import edit, synthesize
from mededit_monai.core.errors import InputError
from mededit_monai.downstream.cases import (
    LoadExample,
    channels_of,
    common_shape,
    read_cohort,
    real_examples,
    synthetic_examples,
)
from mededit_monai.networks import save_weights
from mededit_monai.workflows import bundle_content

SMALL = {"side": 32, "depth": 32, "channels": [8, 8, 8], "norm_num_groups": 4, "num_head_channels": 8}


@pytest.fixture(scope="module")
def heads(tmp_path_factory) -> Path:
    """Three heads of 32 points, and T1 volumes that `synthesize` made of two samples of each mask."""
    folder = tmp_path_factory.mktemp("heads")
    (folder / "cohort").mkdir()
    datalist = write_heads(folder / "cohort", 32, (2, 1), step=6.25)
    save_weights(bundle_content("semantic_synthesis", ("network_def",), **SMALL)[0], folder / "model.pt")
    options = {**SMALL, "weights": folder / "model.pt", "steps": 1, "samples": 2, "progress": False, "device": "cpu"}
    synthesize(output_dir=folder / "synthesis", datalist=str(datalist), **options)
    return folder


def test_what_synthesize_writes(heads):
    cohort = read_cohort(heads / "cohort", "all")
    found, modalities = synthetic_examples(heads / "synthesis", cohort)
    assert cohort.kind == "heads" and modalities == ["t1"] and channels_of(cohort) == list(MODALITIES)
    assert [case.case_id for case in found[:2]] == ["synthetic/training_0_sample_0", "synthetic/training_0_sample_1"]
    assert [sorted(case.patients) for case in found[::2]] == [["training_0"], ["training_1"], ["validation_0"]]
    assert all(Path(case.label).name == f"{next(iter(case.patients))}_label.nii.gz" for case in found)
    real = real_examples(cohort, channels_of(cohort, modalities))
    assert common_shape([*real, *found]) == (32, 32, 32)
    one = LoadExample("heads")(found[0].entry())
    labels = np.asarray(nib.load(found[0].label).dataobj)
    assert one["image"].shape == one["label"].shape == (1, 32, 32, 32)
    assert np.array_equal(one["label"][0].numpy(), (labels > 0) & (labels < 4))
    assert get_track_meta() and type(one["image"]) is torch.Tensor  # MONAI's mixing fails on batches of its own type


def test_what_edit_writes(tmp_path):
    """Volumes on their own grid, each with the other's mask: of two patients, with the mask as label."""
    entries = []
    for number in range(2):
        head = write_head(tmp_path / "cohort" / f"p{number}", shape=(80, 96, 24), spacing=(2.0, 2.0, 4.0 - number / 10))
        files = {"image": head.scan, "prior": head.scan, "brain": head.brain, "pathology": head.pathology}
        files = {key: str(path.relative_to(tmp_path / "cohort")) for key, path in files.items()}
        entries.append({"case_id": f"c{number}", "patient": f"p{number}", "prior_brain": files["brain"], **files})
    place = tmp_path / "cohort" / "datalist.json"
    place.write_text(json.dumps({"training": entries}))
    edit(datalist=str(place), output_dir=tmp_path / "edits", slice_index=12, progress=False)
    found, modalities = synthetic_examples(tmp_path / "edits", read_cohort(tmp_path / "cohort", "all"))
    assert [sorted(case.patients) for case in found] == [["p0"], ["p1"]] and modalities == []
    assert [Path(case.images[0]).name for case in found] == ["edited.nii.gz"] * 2
    one = LoadExample("lesions")(found[0].entry())
    lesion = np.asarray(nib.load(entries_path(place, entries[0]["pathology"])).dataobj)
    assert np.array_equal(one["label"][0].numpy(), lesion > 0) and one["image"].float().std() > 0.5


def entries_path(place: Path, name: str) -> Path:
    return place.parent / name


@pytest.fixture()
def toy(tmp_path) -> tuple[Path, Path]:
    cohort = write_cohort(tmp_path / "cohort", 3)
    return cohort, write_edits(tmp_path / "edits", cohort, {"a": ("p0_0", "p1_0")})


def refused(toy: tuple[Path, Path], split: str = "all") -> str:
    with pytest.raises(InputError) as caught:
        cohort = read_cohort(toy[0], split)
        found, modalities = synthetic_examples(toy[1], cohort)
        common_shape([*real_examples(cohort, channels_of(cohort, modalities)), *found])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_images_are_normalised_and_labels_end_at_the_brain(toy):
    found, _ = synthetic_examples(toy[1], read_cohort(toy[0], "all"))
    one = LoadExample("lesions")(found[0].entry())
    image = one["image"].float()
    assert image.mean() == pytest.approx(0, abs=1e-2) and image.std() == pytest.approx(1, abs=1e-2)
    whole = int(one["label"].sum())
    brain = np.zeros((16, 16, 1), np.uint8)
    brain[:8] = 1
    entry = found[0].entry() | {"brain": str(save(toy[0] / "half.nii", brain))}
    half = LoadExample("lesions")(entry)["label"]
    assert 0 <= int(half.sum()) < whole == 36 and not half[:, 8:].any()


def test_a_mask_that_two_patients_have_is_of_both(toy):
    """By its bytes alone nobody can tell whose it is."""
    (toy[0] / "p2_0" / "pathology.nii").write_bytes((toy[0] / "p1_0" / "pathology.nii").read_bytes())
    (found,), _ = synthetic_examples(toy[1], read_cohort(toy[0], "all"))
    assert sorted(found.patients) == ["p0", "p1", "p2"]


def test_a_case_of_another_cohort(toy):
    save(toy[0] / "p1_0" / "pathology.nii", np.ones((16, 16, 1), np.uint8))
    assert "a/provenance.json: its pathology is none of the cohort's files" in refused(toy)


def test_folders_of_neither(toy, tmp_path, heads):
    assert "is not a folder" in refused((toy[0], tmp_path / "absent"))
    (tmp_path / "empty").mkdir()
    assert "holds no synthetic case; wanted what 'mededit synthesize' or" in refused((toy[0], tmp_path / "empty"))
    almost = (json.dumps({"synthetic": True, "options": options, "inputs": {}}) for options in ({}, "method"))
    for content in ("{}", "[1]", "no JSON", *almost):
        (tmp_path / "empty" / "provenance.json").write_text(content)
        assert "was written by neither 'mededit synthesize' nor" in refused((toy[0], tmp_path / "empty"))
    assert "is of heads on several modalities, but --cohort holds images with a lesion mask" in refused(
        (toy[0], heads / "synthesis")
    )
    assert "is of images with a lesion mask, but --cohort holds heads" in refused((heads / "cohort", toy[1]))


def test_cohorts_that_are_none(toy, heads):
    assert "datalist.json: not found" in refused((toy[1], toy[1]))
    content = json.loads((toy[0] / "datalist.json").read_text())
    del content["training"][0]["pathology"]
    (toy[0] / "datalist.json").write_text(json.dumps(content))
    assert "case 'p0_0' has no 'pathology'; wanted cases with 'image' and 'pathology'" in refused(toy)
    cohort = read_cohort(heads / "cohort", "all")
    with pytest.raises(InputError, match="has heads without 'pd', wanted t1, pd of every case"):
        channels_of(cohort, ["t1", "pd"])


def test_grids_that_do_not_fit(toy):
    save(toy[1] / "a" / "edited.nii.gz", np.ones((16, 24, 1), np.float32))
    assert r"edited.nii.gz: has the shape (16, 24, 1), wanted (16, 16, 1) as" in refused(toy)
    for name in ("p0_0", "p1_0", "p2_0"):
        for key in ("image", "pathology"):
            save(toy[0] / name / f"{key}.nii", np.ones((20, 16, 1), np.uint8))
    cohort = read_cohort(toy[0], "all")
    with pytest.raises(InputError, match="wanted sides that are multiples of 8, from 16 on"):
        common_shape(real_examples(cohort, ["image"]))
    (toy[0] / "p0_0" / "image.nii").write_bytes(b"no image")
    with pytest.raises(InputError, match="cannot be read as NIfTI"):
        common_shape(real_examples(cohort, ["image"]))
