# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""No subject's result silently takes the place of another's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.editing import editing_cases
from mededit_monai.io.case_names import case_name, other_scan, owner_of, stem
from mededit_monai.io.finished import finished_folder

OPTIONS = {"method": "morph"}


def result_of(out: Path, name: str, scan: str) -> None:
    """A finished result, as the writer leaves it."""
    with finished_folder(out / name, scan=owner_of(scan)) as folder:
        (folder / "provenance.json").write_text(json.dumps({"files": {"scan": scan}, "inputs": {}}))


@pytest.mark.parametrize(
    "path, name",
    [
        ("T1.nii.gz", "T1"),
        ("T1.NII.GZ", "T1"),
        ("T1.nii", "T1"),
        ("a.b.nii.gz", "a.b"),
        ("T1.nii.gz.nii", "T1.nii.gz"),
        ("blob", "blob"),
        ("$T1.nii.gz", "$T1"),
    ],
)
def test_name_of_a_file(path, name):
    assert stem(path) == name


@pytest.mark.parametrize(
    "first, second, wanted",
    [
        ("sub-01/T1.nii.gz", "sub-02/T1.nii.gz", "sub-02_T1"),
        ("sub-01/ses-1/anat/T1.nii.gz", "sub-01/ses-2/anat/T1.nii.gz", "sub-01_ses-2_T1"),
        ("smith/T1.nii.gz", "jones/T1.nii.gz", "jones_T1"),
        ("a/sub-01_T1w.nii.gz", "b/sub-01_T1w.nii.gz", "b_sub-01_T1w"),
        ("sub-01/T1.nii.gz", "sub-01/T1.nii", None),
        ("T1.nii.gz", "T1.nii.gz", "T1"),
    ],
)
def test_a_name_that_is_taken_gets_the_subject_before_it(tmp_path, monkeypatch, first, second, wanted):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    name = case_name(out, first)
    assert name == stem(first)
    result_of(out, name, first)
    found = case_name(out, second)
    if wanted is None:
        wanted = "sub-01_T1"
    assert found == wanted
    assert case_name(out, first) == name and case_name(out, second, overwrite=True) == stem(second)


def test_when_both_names_are_taken_it_says_so(tmp_path):
    for name, scan in (("T1", "a/sub-01/T1.nii.gz"), ("sub-01_T1", "b/sub-01/T1.nii.gz")):
        result_of(tmp_path / "out", name, scan)
    with pytest.raises(InputError, match="holds the result of another scan .b/sub-01/T1.nii.gz.*--overwrite"):
        case_name(tmp_path / "out", "c/sub-01/T1.nii.gz")


def test_the_same_words_from_another_folder_are_another_scan(tmp_path, monkeypatch):
    """``cd sub-02; mededit edit --scan T1.nii.gz -o ../out`` after the same in ``sub-01``."""
    for subject in ("sub-01", "sub-02"):
        (tmp_path / subject).mkdir()
        monkeypatch.chdir(tmp_path / subject)
        name = case_name(Path("../out"), "T1.nii.gz")
        result_of(Path("../out"), name, "T1.nii.gz")
        assert name == {"sub-01": "T1", "sub-02": "sub-02_T1"}[subject]


def test_the_mask_of_a_synthesis_is_named(tmp_path):
    for name in ("T1", "b_T1"):
        with finished_folder(tmp_path / name, scan=owner_of("a/T1.nii")) as folder:
            (folder / "provenance.json").write_text(json.dumps({"files": {"label": "a/T1.nii"}, "inputs": {}}))
    assert other_scan(tmp_path / "T1", "b/T1.nii") == "a/T1.nii"
    with pytest.raises(InputError, match=r"holds the result of another scan \(a/T1.nii\)"):
        case_name(tmp_path, "b/T1.nii")


def test_results_of_nobody(tmp_path):
    assert other_scan(tmp_path / "none", "T1.nii") is None
    (tmp_path / "folder").mkdir()
    assert other_scan(tmp_path / "folder", "T1.nii") is None


# --- the same through the list of cases ------------------------------------------------------------------------------


@pytest.fixture()
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a/T1.nii.gz", "b/T1.nii.gz", "lesion.nii"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"the same bytes")
    return tmp_path


def cases(**given) -> list[dict]:
    defaults = dict.fromkeys(("scan", "pathology", "brain", "datalist", "dataset_dir", "region", "shard"))
    return editing_cases(**{**defaults, "output_dir": "out", "options": OPTIONS, **given})


def test_the_noise_of_a_scan_does_not_depend_on_what_else_is_there(folder):
    (first,) = cases(scan="a/T1.nii.gz", pathology="lesion.nii")
    result_of(Path("out"), "T1", "b/T1.nii.gz")
    (second,) = cases(scan="a/T1.nii.gz", pathology="lesion.nii")
    assert first["case_id"] == "T1" == second["noise_name"] and second["case_id"] == "a_T1"


def test_a_list_that_gives_another_scan_the_same_name(folder):
    entry = {"case_id": "one", "pathology": "lesion.nii"}
    (case,) = cases(datalist=[entry | {"scan": "a/T1.nii.gz"}])
    result_of(Path("out"), "one", case["scan"])
    assert len(cases(datalist=[entry | {"scan": "a/T1.nii.gz"}])) == 1
    with pytest.raises(InputError, match="out/one: holds the result of another scan .*--overwrite"):
        cases(datalist=[entry | {"scan": "b/T1.nii.gz"}])
    assert len(cases(datalist=[entry | {"scan": "b/T1.nii.gz"}], overwrite=True)) == 1


def test_a_result_never_lands_on_an_input(folder):
    """An earlier result's region, used as the region of an edit that would replace it."""
    (case,) = cases(scan="a/T1.nii.gz", pathology="lesion.nii")
    with finished_folder(Path("out/T1"), scan=case["owner"]) as place:
        (place / "edit_region.nii.gz").write_bytes(b"region")
    with pytest.raises(InputError, match="would be written over the input out/T1/edit_region.nii.gz"):
        cases(scan="a/T1.nii.gz", pathology="lesion.nii", region="out/T1/edit_region.nii.gz")


@pytest.mark.parametrize(
    "given, words",
    [
        ({"brain": "brain.nii"}, "--brain: goes with --scan"),
        ({"dataset_dir": "x"}, "--dataset_dir: was given together with --datalist"),
        ({"scan": "a/T1.nii.gz"}, "--datalist: was given together with --scan"),
    ],
)
def test_an_option_beside_a_list_is_never_ignored(folder, given, words):
    with pytest.raises(InputError, match=words):
        cases(datalist=[{"case_id": "a", "scan": "a/T1.nii.gz", "pathology": "lesion.nii"}], **given)


def test_a_shard_of_one_scan(folder):
    with pytest.raises(InputError, match="--shard: got '1/2' with a single scan"):
        cases(scan="a/T1.nii.gz", pathology="lesion.nii", shard="1/2")


@pytest.mark.parametrize("key", ["scan", "pathology", "region", "datalist"])
def test_a_folder_where_a_file_should_be(folder, key):
    given = {"scan": "a/T1.nii.gz", "pathology": "lesion.nii", "region": None, key: "a"}
    if key == "datalist":
        given = {"datalist": "a"}
    with pytest.raises(InputError, match="^a: "):
        cases(**given)


@pytest.mark.parametrize("value", [3, True, b"a", "", " "])
def test_values_that_are_no_path(folder, value):
    with pytest.raises(InputError, match="--scan: "):
        cases(scan=value, pathology="lesion.nii")


def test_home_is_where_the_tilde_says(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    (case,) = cases(scan="~/a/T1.nii.gz", pathology="~/lesion.nii", output_dir="~/out")
    assert case["scan"] == str(folder / "a" / "T1.nii.gz") and not os.path.exists("~")


def test_a_list_keeps_going_past_what_is_not_there(folder):
    good = {"case_id": "good", "scan": "a/T1.nii.gz", "pathology": "lesion.nii"}
    bad = {"case_id": "bad", "scan": "none.nii", "pathology": "lesion.nii"}
    with pytest.raises(InputError, match="none.nii: not found .*case 'bad'"):
        cases(datalist=[bad, good])
    found = cases(datalist=[bad, good], keep_going=True)
    assert [case["case_id"] for case in found] == ["bad", "good"]
    assert "not found" in found[0]["failed"] and "failed" not in found[1]


def test_a_list_of_which_nothing_is_there_ends_at_once(folder):
    bad = [{"case_id": name, "scan": f"{name}.nii", "pathology": "lesion.nii"} for name in "xy"]
    with pytest.raises(InputError, match="x.nii: not found .* None of the 2 cases can be edited"):
        cases(datalist=bad, keep_going=True)
    assert [case["case_id"] for case in cases(datalist=bad, keep_going=True, shard="2/2")] == ["y"]  # others have more
