# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Every fault of a file has its sentence, with the file's name and the values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from datasets.downloads import SMALL_AFFINE, SMALL_BRAIN, SMALL_SHAPE, boxes, lesion_box, save

from mededit_monai.datasets.integrity import Problem, complaint, load_source
from mededit_monai.datasets.sources import SourceVolume

SCAN = boxes(SMALL_SHAPE, (100, SMALL_BRAIN))
LESION = boxes(SMALL_SHAPE, (1, lesion_box(5)))
TILTED = SMALL_AFFINE + np.eye(4)[0][:, None] * np.array([0, 0, 0, 1.5])


def source(folder: Path, labelled: bool | None = False, **files) -> SourceVolume:
    """A volume whose files are given as (array, affine) or bytes; the others are right."""
    right = {"scan": (SCAN, SMALL_AFFINE), "pathology": (LESION, SMALL_AFFINE)}
    paths = {}
    for role, content in (right | files).items():
        paths[role] = folder / f"{role}.nii.gz"
        if isinstance(content, bytes):
            paths[role].write_bytes(content)
        elif content is not None:
            save(paths[role], *content)
    return SourceVolume("v", "p", labelled=labelled, **paths)


def sentences(source: SourceVolume, disease: str = "stroke") -> list[str]:
    loaded, problems = load_source(source, disease)
    assert (loaded is None) == bool(problems)
    assert all(p.sentence.endswith(".") and "\n" not in p.sentence for p in problems)
    return [p.sentence for p in problems]


def test_a_good_volume(tmp_path):
    partly = boxes(SMALL_SHAPE, (1, (slice(8, 12), slice(20, 30), slice(4, 5))))  # x = 8, 9 lie outside the brain
    loaded, problems = load_source(source(tmp_path, pathology=(partly, SMALL_AFFINE)), "stroke")
    assert not problems and loaded.labels is None
    assert (int(loaded.marked.sum()), int(loaded.pathology.sum())) == (40, 20)
    assert loaded.facts == {
        "brain_source": "background",
        "outside_share": 0.5,
        "label_4": False,
        "synthetic": False,
    }


def test_an_empty_mask_is_a_scan_without_lesion(tmp_path):
    loaded, problems = load_source(source(tmp_path, pathology=(LESION * 0, SMALL_AFFINE)), "stroke")
    assert not problems and not loaded.marked.any()


with_nan, with_two = SCAN.copy(), LESION.copy()
with_nan[0, 0, :3], with_two[12, 12, 4] = np.nan, 0.5


@pytest.mark.parametrize(
    "role, content, said",
    [
        ("scan", (with_nan, SMALL_AFFINE), "scan.nii.gz: holds 3 NaN or infinite voxels"),
        ("scan", (np.stack([SCAN, SCAN], -1), SMALL_AFFINE), "scan.nii.gz: has 4 dimensions (60, 70, 10, 2)"),
        ("scan", (SCAN * 0, SMALL_AFFINE), "scan.nii.gz: has no positive voxel (maximum 0)"),
        ("scan", b"no image at all", "scan.nii.gz: cannot be read as NIfTI"),
        ("scan", None, "scan.nii.gz: not found"),
        ("pathology", (with_two, SMALL_AFFINE), "pathology.nii.gz: is not a binary mask: found 3 values (0.5, 0, 1)"),
        ("pathology", (LESION[:-1], SMALL_AFFINE), "shape (59, 70, 10) against (60, 70, 10)"),
        ("pathology", (LESION, TILTED), "pathology.nii.gz: lies on another grid than"),
        (
            "pathology",
            (boxes(SMALL_SHAPE, (1, lesion_box(3, x=2))), SMALL_AFFINE),
            "pathology.nii.gz: lies outside the brain (0 of 9 voxels inside)",
        ),
        ("brain", (LESION * 0, SMALL_AFFINE), "brain.nii.gz: is empty"),
        ("brain", (SCAN, SMALL_AFFINE), "brain.nii.gz: is not a binary mask: found 2 values (100, 0)"),
        ("brain", (SCAN[:, :-1] / 100, SMALL_AFFINE), "brain.nii.gz: lies on another grid than"),
    ],
)
def test_faults(tmp_path, role, content, said):
    (sentence,) = sentences(source(tmp_path, **{role: content}))
    assert said in sentence


def test_a_truncated_file(tmp_path):
    noise = np.random.default_rng(0).random(SMALL_SHAPE, dtype=np.float32) * (SCAN > 0) + SCAN
    volume = source(tmp_path, scan=(noise, SMALL_AFFINE))
    volume.scan.write_bytes(volume.scan.read_bytes()[:-5000])
    (sentence,) = sentences(volume)
    assert sentence.startswith(f"{volume.scan}: is truncated or damaged")


def test_all_faults_of_a_volume_are_found(tmp_path):
    found = sentences(source(tmp_path, scan=(with_nan, SMALL_AFFINE), pathology=(with_two, SMALL_AFFINE), brain=b""))
    assert [Path(s.split(":")[0]).name for s in found] == ["scan.nii.gz", "pathology.nii.gz", "brain.nii.gz"]


def test_a_whole_head_needs_a_brain_mask(tmp_path):
    head = SCAN + 1 + np.random.default_rng(0).random(SMALL_SHAPE)
    (problem,) = load_source(source(tmp_path, scan=(head, SMALL_AFFINE)), "stroke")[1]
    assert problem.brain and "scan.nii.gz: has no brain mask and is not skull-stripped (" in problem.sentence
    assert problem.sentence.endswith("docs/how_to/brain_masks.md says how to get one.")
    loaded, _ = load_source(source(tmp_path, scan=(head, SMALL_AFFINE), brain=(SCAN > 0, SMALL_AFFINE)), "stroke")
    assert loaded.facts["brain_source"] == "file" and np.array_equal(loaded.brain, SCAN > 0)


def test_missing_brain_masks_are_one_line():
    problems = {f"v{k}": [Problem(f"v{k}.nii: has no brain mask.", brain=True)] for k in range(3)}
    text = complaint(problems | {"w": [Problem("w.nii: is odd."), Problem("m.nii: too.")]}, 9, "data")
    assert text.splitlines() == [
        "data: 4 of 9 volumes cannot be used:",
        "  w.nii: is odd.",
        "  m.nii: too.",
        "  v0.nii: has no brain mask (the same holds for 2 more).",
        "Mend them, or leave them out with --skip_bad. Nothing was written.",
    ]


# --- tumour regions --------------------------------------------------------------------------------------------------


def regions(*values: float) -> tuple[np.ndarray, np.ndarray]:
    """A mask with 2, 3, 4 … voxels in a row for these values."""
    array = boxes(SMALL_SHAPE)
    for k, value in enumerate(values):
        array[20 : 22 + k, 20 + k, 4] = value
    return array, SMALL_AFFINE


def test_label_4_becomes_3(tmp_path):
    for labels, mapped in (((1, 2, 4), True), ((1, 2, 3), False)):
        loaded, _ = load_source(source(tmp_path, True, pathology=regions(*labels)), "tumor")
        assert [int((loaded.labels == k).sum()) for k in range(1, 5)] == [2, 3, 4, 0]
        assert loaded.facts["label_4"] is mapped


@pytest.mark.parametrize("values", [(1.0004, 1.9996, 3.9999), (0.9999, 2.0000004, 4)])
def test_labels_that_are_nearly_whole(tmp_path, values):
    loaded, _ = load_source(source(tmp_path, True, pathology=regions(*values)), "tumor")
    assert [int((loaded.labels == k).sum()) for k in range(1, 5)] == [2, 3, 4, 0] and loaded.facts["label_4"]
    binary, _ = load_source(source(tmp_path, None, pathology=regions(254.9999)), "tumor")
    assert binary.labels is None and binary.marked.sum() == 2


@pytest.mark.parametrize(
    "name, warned",
    [("tumour.nii.gz", True), ("BraTS2021_00000_seg.nii.gz", False), ("Brats18_CBICA_AAB_1_seg.nii.gz", False)],
)
def test_label_4_of_an_unknown_release_is_noted(tmp_path, name, warned):
    volume = source(tmp_path, True, pathology=regions(1, 2, 4))
    volume = replace(volume, pathology=volume.pathology.rename(tmp_path / name))
    said = load_source(volume, "tumor")[0].facts.get("warnings", [])
    assert [sentence.startswith(f"{name}: label 4 was read as enhancing tumour") for sentence in said] == [
        True
    ] * warned


@pytest.mark.parametrize(
    "name, labels, labelled, said",
    [
        ("BraTS-PED-00001-000-seg.nii.gz", (1, 2, 4), True, "is paediatric (BraTS-PED labels: 1 enhancing"),
        ("BraTS-PED-00001-000-seg.nii.gz", (1,), True, "is paediatric"),
        ("BraTS-PED-00001-000-seg.nii.gz", (1,), None, None),
        ("BraTS-GLI-00005-100-seg.nii.gz", (1, 2, 4), True, "label 4, which is the resection cavity since BraTS 2024"),
        ("BraTS-GLI-00005-100-seg.nii.gz", (1, 2, 3), True, None),
    ],
)
def test_labels_of_other_releases(tmp_path, name, labels, labelled, said):
    volume = source(tmp_path, labelled, pathology=regions(*labels))
    found = sentences(replace(volume, pathology=volume.pathology.rename(tmp_path / name)), "tumor")
    assert len(found) == bool(said) and all(said in sentence for sentence in found)


@pytest.mark.parametrize(
    "values, said",
    [
        ((1, 3, 4), "pathology.nii.gz: holds label 4 beside label 3, wanted {0, 1, 2, 3} or {0, 1, 2, 4}"),
        ((1, 5), "pathology.nii.gz: holds the values 0, 1, 5, wanted {0, 1, 2, 3} or {0, 1, 2, 4}"),
        ((1, 1.5), "pathology.nii.gz: holds the values 0, 1, 1.5, wanted"),
    ],
)
def test_labels_that_are_none(tmp_path, values, said):
    (sentence,) = sentences(source(tmp_path, True, pathology=regions(*values)), "tumor")
    assert said in sentence


def test_values_decide_where_the_name_does_not(tmp_path):
    binary, _ = load_source(source(tmp_path, None, pathology=regions(255)), "tumor")
    assert binary.labels is None and binary.marked.sum() == 2
    labelled, _ = load_source(source(tmp_path, None, pathology=regions(2)), "tumor")
    assert labelled.labels.max() == 2
    only_core, _ = load_source(source(tmp_path, True, pathology=regions(1)), "tumor")
    assert only_core.labels.max() == 1
    (sentence,) = sentences(source(tmp_path, False, pathology=regions(1, 2)), "stroke")
    assert "is not a binary mask" in sentence


def test_a_synthetic_scan_is_known(tmp_path):
    volume = source(tmp_path)
    image = nib.load(volume.scan)
    image = nib.Nifti1Image(np.asarray(image.dataobj), image.affine)
    image.header["descrip"] = b"synthetic (mededit_monai)"
    nib.save(image, volume.scan)
    assert load_source(volume, "stroke")[0].facts["synthetic"] is True
