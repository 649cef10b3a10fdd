# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Files, names and values as people have them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import write_head
from promises.verbs import mededit, tree  # noqa: F401

from mededit_monai import edit
from mededit_monai.core.errors import InputError

QUICK = {"slice_index": 10, "progress": False}


@pytest.fixture()
def head(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_head(tmp_path / "head")


@pytest.fixture(scope="module")
def wanted(tmp_path_factory) -> bytes:
    """What an edit of the plain files gives."""
    folder = tmp_path_factory.mktemp("plain")
    plain = write_head(folder / "head")
    return result(*edit(plain.scan, plain.pathology, folder / "out", brain=plain.brain, **QUICK))


def result(folder: Path) -> bytes:
    return (folder / "edited.nii.gz").read_bytes()


# --- values of Python ------------------------------------------------------------------------------------------------


def images(head) -> dict:
    return {"scan": nib.load(head.scan), "pathology": nib.load(head.pathology), "brain": nib.load(head.brain)}


def images_in_memory(head) -> dict:
    def copy(path):
        image = nib.load(path)
        return nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header)

    return {"scan": copy(head.scan), "pathology": copy(head.pathology), "brain": copy(head.brain)}


def texts(head) -> dict:
    return {"scan": str(head.scan), "pathology": str(head.pathology), "brain": str(head.brain)}


def numpy_texts(head) -> dict:
    return {key: np.str_(value) for key, value in texts(head).items()}


@pytest.mark.one_in(4)
@pytest.mark.parametrize("kind", [images, images_in_memory, texts, numpy_texts])
def test_files_as_python_has_them(head, wanted, kind):
    (folder,) = edit(**kind(head), output_dir=Path("out"), **QUICK)
    assert result(folder) == wanted and folder.name == "scan"


@pytest.mark.parametrize("listed", [False, True], ids=["single", "listed"])
def test_images_in_memory_are_known_by_what_they_hold(head, listed):
    """As of files: the same call is skipped, another seed replaces the result, and another scan does not."""

    def call(given, seed=0) -> list[Path]:
        given = {"datalist": [{"case_id": "scan", **given}]} if listed else given
        return edit(**given, output_dir="out", seed=seed, **QUICK)

    (folder,) = call(images_in_memory(head))
    first = result(folder)
    assert call(images_in_memory(head)) == []
    assert call(images_in_memory(head), seed=1) == [folder] and result(folder) != first
    other = images_in_memory(head)
    other["scan"] = nib.Nifti1Image(np.asarray(other["scan"].dataobj) // 2, other["scan"].affine)
    kept = result(folder)
    if listed:
        with pytest.raises(InputError, match="out/scan: holds the result of another scan"):
            call(other)
    else:
        assert [one.name for one in call(other)] == ["scan_scan"] and call(other) == []
    assert result(folder) == kept and call(images_in_memory(head), seed=1) == []


def test_an_edit_region_in_memory_is_known_by_what_it_holds(head):
    given = {"method": "mededit", "steps": 2, "output_dir": "out", **QUICK}
    regions = [images_in_memory(head)["brain"], images_in_memory(head)["brain"], images_in_memory(head)["pathology"]]
    written = [edit(**images_in_memory(head), region=region, **given) for region in regions]
    assert [len(folders) for folders in written] == [1, 0, 1]


@pytest.mark.parametrize("kind", [images_in_memory, texts])
def test_lists_of_cases_as_python_has_them(head, wanted, kind):
    case = {"case_id": np.str_("scan"), **kind(head)}
    (folder,) = edit(datalist=[case], output_dir="out", **QUICK)
    assert result(folder) == wanted and case["case_id"] == "scan"


@pytest.mark.parametrize(
    "options",
    [
        {"slice_index": np.int64(10), "seed": np.uint8(0), "effects": np.float32(1.0), "exact": np.bool_(False)},
        {"slice_index": 10, "method": np.str_("morph"), "weights": Path("weights.pt")},
    ],
    ids=["numbers", "texts"],
)
def test_numbers_as_numpy_has_them(head, wanted, options, repository):
    shutil.copy(repository / "bundles" / "stroke" / "models" / "paint.pt", "weights.pt")
    (folder,) = edit(head.scan, head.pathology, "out", brain=head.brain, progress=False, **options)
    assert result(folder) == wanted


@pytest.mark.parametrize(
    "value",
    [True, 3, 1.5, b"scan.nii", np.zeros((3, 3, 3)), print, {"a": 1}, ["a.nii"]],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("name", ["scan", "pathology", "brain"])
def test_what_is_no_file_is_bad_input(head, name, value):
    given = texts(head) | {name: value}
    with pytest.raises(InputError, match=f"--{name}: got") as caught:
        edit(**given, output_dir="out", **QUICK)
    assert "\n" not in str(caught.value) and not Path("out").exists()


def test_what_python_is_told_is_what_the_shell_is_told(head, mededit):  # noqa: F811
    with pytest.raises(InputError) as caught:
        edit(head.scan, head.scan, "out", **QUICK)
    assert mededit("edit", "--scan", head.scan, "--pathology", head.scan, "-o", "out").refused(str(caught.value))


# --- names and places ------------------------------------------------------------------------------------------------


def at_home(head) -> tuple:
    return ("--scan", "~/head/scan.nii.gz", "--pathology", "~/head/pathology.nii.gz", "-o", "~/out")


def with_equals_signs(head) -> tuple:
    return ("--scan=~/head/scan.nii.gz", "--pathology=~/head/pathology.nii.gz", "--output_dir=~/out")


def in_capitals(head) -> tuple:
    for path in (head.scan, head.pathology):
        shutil.copy(path, path.with_name(path.name.removesuffix(".nii.gz") + ".NII.GZ"))
    return ("--scan", "head/scan.NII.GZ", "--pathology", "head/pathology.NII.GZ", "-o", "out")


def uncompressed(head) -> tuple:
    for path in (head.scan, head.pathology):
        nib.save(nib.load(path), path.with_suffix(""))
    return ("--scan", "head/scan.nii", "--pathology", "head/pathology.nii", "-o", "out")


def links_without_an_ending(head) -> tuple:
    """As Hugging Face and DVC keep files."""
    Path("blobs").mkdir()
    Path("snapshot").mkdir()
    for path in (head.scan, head.pathology):
        shutil.copy(path, f"blobs/{path.stem}")
        Path("snapshot", path.name).symlink_to(f"../blobs/{path.stem}")
    return ("--scan", "snapshot/scan.nii.gz", "--pathology", "snapshot/pathology.nii.gz", "-o", "out")


def a_list_of_links(head) -> tuple:
    links_without_an_ending(head)
    case = {"case_id": "scan", "scan": "scan.nii.gz", "pathology": "pathology.nii.gz"}
    Path("snapshot/cases.json").write_bytes(b"\xef\xbb\xbf" + json.dumps([case]).encode())
    return ("--datalist", "snapshot/cases.json", "-o", "out")


def a_list_in_utf_16(head) -> tuple:
    case = {"case_id": "scan", "scan": "head/scan.nii.gz", "pathology": "head/pathology.nii.gz"}
    Path("cases.json").write_bytes(json.dumps([case], indent=1).replace("\n", "\r\n").encode("utf-16"))
    return ("--datalist", "cases.json", "-o", "out")


def spaces_and_umlauts(head) -> tuple:
    shutil.move("head", "Zoë's scans (copy)")
    return (
        *("--scan", "Zoë's scans (copy)/scan.nii.gz", "--pathology", "Zoë's scans (copy)/pathology.nii.gz"),
        *("-o", "out"),
    )


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "words",
    [
        *(at_home, with_equals_signs, in_capitals, uncompressed, links_without_an_ending, a_list_of_links),
        *(a_list_in_utf_16, spaces_and_umlauts),
    ],
)
def test_files_as_people_name_them(head, mededit, monkeypatch, words):  # noqa: F811
    monkeypatch.setenv("HOME", os.getcwd())
    before = nib.load(head.scan)
    stored = np.asarray(before.dataobj).copy()
    done = mededit("edit", *words(head), "--slice_index", 10)
    assert done.code == 0, done.said
    assert not Path("~").exists()
    edited = nib.load("out/scan/edited.nii.gz")
    assert np.array_equal(edited.affine, before.affine) and (np.asarray(edited.dataobj) != stored).any()


def test_hyphens_are_underscores(head, mededit):  # noqa: F811
    words = ("edit", "--scan", head.scan, "--pathology", head.pathology, "--slice-index", "10", "--output-dir", "out")
    assert mededit(*words).code == 0 and Path("out/scan").is_dir()
