# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import json
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.io.datalist import FILE_KEYS, read_datalist

LISTS = {
    "name": "a cohort",
    "training": [{"case_id": "a", "image": "a.nii"}, {"case_id": "b", "image": "b.nii"}],
    "validation": [{"case_id": "c", "image": "c.nii"}],
    "numTest": 0,
    "labels": ["background", "lesion"],
}


@pytest.fixture()
def datalist(tmp_path):
    def write(content) -> str:
        path = tmp_path / "cases.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return write


def names(cases) -> list[str]:
    return [case["case_id"] for case in cases]


def test_files_to_carry_are_a_list_or_one(datalist, tmp_path):
    path = datalist(
        [{"case_id": "a", "carry": ["s.nii", "sub/t.nii"]}, {"case_id": "b", "carry": "u.nii"}, {"case_id": "c"}]
    )
    found = [case.get("carry") for case in read_datalist(path)]
    assert found == [[str(tmp_path / "s.nii"), str(tmp_path / "sub" / "t.nii")], [str(tmp_path / "u.nii")], None]
    for bad in (5, [5], [""], {"a": "b"}):
        with pytest.raises(InputError, match="cases.json: case 'a' has carry = .*, wanted a list of file names."):
            read_datalist(datalist([{"case_id": "a", "carry": bad}]))


# --- reading ---------------------------------------------------------------------------------------------------------


def test_sections(datalist):
    path = datalist(LISTS)
    assert names(read_datalist(path, "training")) == ["a", "b"]
    assert names(read_datalist(path, "validation")) == ["c"]
    assert names(read_datalist(path)) == ["a", "b", "c"]


def test_a_bare_list_of_cases(datalist):
    assert names(read_datalist(datalist(LISTS["training"]))) == ["a", "b"]


def test_files_are_taken_from_the_datalists_folder(datalist, tmp_path, monkeypatch):
    elsewhere = tmp_path.parent / "elsewhere.nii"
    given = {key: f"sub/{key}.nii" for key in FILE_KEYS}
    given |= {"case_id": "b.nii", "image": str(elsewhere), "prior": None, "brain": "../brain.nii", "note": "x.nii"}
    path = datalist([given])
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")  # the working directory has no part in it
    (case,) = read_datalist(path)
    wanted = {key: str(tmp_path / "sub" / f"{key}.nii") for key in FILE_KEYS}
    wanted |= {"case_id": "b.nii", "image": str(elsewhere), "prior": None, "note": "x.nii"}
    assert case == wanted | {"brain": str(tmp_path.parent / "brain.nii")}
    assert {"image", "scan", "brain", "pathology", "prior", "prior_brain"} <= set(FILE_KEYS)


def test_a_datalist_given_by_a_relative_path(datalist, tmp_path, monkeypatch):
    datalist([{"case_id": "a", "image": "a.nii"}])
    monkeypatch.chdir(tmp_path)
    assert read_datalist("cases.json")[0]["image"] == str(tmp_path / "a.nii")


def test_links_and_home_folders_are_kept(datalist, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "0a1b").touch()
    (tmp_path / "T1.nii.gz").symlink_to("blobs/0a1b")
    (case,) = read_datalist(datalist([{"case_id": "a", "scan": "T1.nii.gz", "pathology": "~/l.nii.gz", "brain": ""}]))
    assert case["scan"] == str(tmp_path / "T1.nii.gz") and case["brain"] == ""
    assert case["pathology"] == str(tmp_path / "home/l.nii.gz")


def test_a_datalist_that_is_a_link(datalist, tmp_path):
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "c.json").symlink_to(datalist([{"case_id": "a", "scan": "T1.nii.gz"}]))
    assert read_datalist(tmp_path / "snapshot/c.json")[0]["scan"] == str(tmp_path / "snapshot/T1.nii.gz")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252"])
def test_encodings(tmp_path, encoding):
    content = json.dumps([{"case_id": "Zoë", "scan": "Köln.nii"}], ensure_ascii=False, indent=1).replace("\n", "\r\n")
    (tmp_path / "c.json").write_bytes(content.encode(encoding))
    assert read_datalist(tmp_path / "c.json") == [{"case_id": "Zoë", "scan": str(tmp_path / "Köln.nii")}]


def test_nan_is_what_is_missing(datalist):
    (case,) = read_datalist(datalist('[{"case_id": "a", "brain": NaN, "age": NaN, "dice": -Infinity}]'))
    assert case == {"case_id": "a", "brain": None, "age": None, "dice": None}


# --- in memory -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [list, tuple, lambda cases: {"training": cases, "name": "x"}])
def test_cases_in_memory(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    given = [
        {"case_id": np.int64(7), "scan": Path("a.nii"), "pathology": np.str_("sub/l.nii"), "slice_index": np.int16(3)},
        {"case_id": np.str_("b"), "scan": str(tmp_path / "b.nii"), "brain": float("nan"), "prior": None, "n": [1]},
        {"case_id": 8, "scan": PurePosixPath("../c.nii"), "brain": np.float32("nan")},
    ]
    before = copy.deepcopy(given)
    cases = read_datalist(kind(given))
    assert cases == [
        {
            "case_id": "7",
            "scan": str(tmp_path / "a.nii"),
            "pathology": str(tmp_path / "sub/l.nii"),
            "slice_index": 3,
        },
        {"case_id": "b", "scan": str(tmp_path / "b.nii"), "brain": None, "prior": None, "n": [1]},
        {"case_id": "8", "scan": str(tmp_path.parent / "c.nii"), "brain": None},
    ]
    assert all(type(case["case_id"]) is str for case in cases) and json.dumps(cases)
    assert [{k: str(v) for k, v in case.items()} for case in given] == [
        {k: str(v) for k, v in case.items()} for case in before
    ]


@pytest.mark.parametrize(
    "cases, said",
    [
        ([], "holds no cases"),
        ([{"scan": "a.nii"}], "case number 0 has no 'case_id'"),
        ([{"case_id": np.float64(1.5)}], "case number 0 has case_id = 1.5, wanted a text or a whole number"),
        ([{"case_id": 1}, {"case_id": "1"}], "case_id '1' occurs twice"),
        ([{"case_id": Path("a/b")}], "case number 0 has case_id = "),
        ([{"case_id": "a/b"}], "case_id 'a/b' names a folder"),
        ([{"case_id": "a", "scan": 3}], "case 'a' has scan = 3, wanted a file name"),
        (["a.nii"], "case number 0 is 'a.nii', wanted an object"),
        (None, "holds no cases"),
    ],
)
def test_faults_in_memory(cases, said):
    with pytest.raises(InputError) as caught:
        read_datalist(cases)
    assert str(caught.value).startswith(f"datalist: {said}")


# --- bad input -------------------------------------------------------------------------------------------------------


def refused(path: str, *words: str, section: str | None = None) -> None:
    with pytest.raises(InputError) as caught:
        read_datalist(path, section)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ") and sentence.endswith(".") and "\n" not in sentence
    for word in words:
        assert word in sentence, sentence


def test_missing_file(tmp_path):
    refused(str(tmp_path / "none.json"), "datalist not found", "give an existing JSON file with --datalist")
    refused(str(tmp_path), "datalist not found")  # a folder is no datalist


@pytest.mark.parametrize("content, place", [("{training: []}", "line 1 column 2"), ("", "char 0"), ("[1,", "char 3")])
def test_no_json(datalist, content, place):
    refused(datalist(content), "is not valid JSON", place, "write it with a JSON library")


def test_no_text(tmp_path):
    (tmp_path / "scan.nii.gz").write_bytes(b"\x1f\x8b\x08\x00\xff\xfe")
    refused(str(tmp_path / "scan.nii.gz"), "is not valid JSON", "write it with a JSON library")


@pytest.mark.parametrize(
    "content, found",
    [(LISTS, "training, validation"), ({"training": []}, "none"), ({}, "none"), (LISTS["training"], "cases")],
)
def test_no_such_section(datalist, content, found):
    refused(datalist(content), f"has no cases under 'testing' (found: {found})", section="testing")


def test_an_empty_section_is_none(datalist):
    content = LISTS | {"validation": []}
    refused(datalist(content), "has no cases under 'validation' (found: training)", section="validation")


@pytest.mark.parametrize("content", [[], {}, {"training": []}, {"labels": ["a"]}, 3, "text", None])
def test_no_cases(datalist, content):
    refused(datalist(json.dumps(content)), "holds no cases", "at least one object with 'case_id' and file names")


@pytest.mark.parametrize("nameless", [{"image": "b.nii"}, {"case_id": "", "image": "b.nii"}, {"case_id": None}])
def test_a_case_without_name(datalist, nameless):
    refused(datalist([LISTS["training"][0], nameless]), "case number 1 has no 'case_id'", "a name of its own")


def test_a_name_that_occurs_twice(datalist):
    twice = LISTS | {"validation": [{"case_id": "b"}]}
    refused(datalist(twice), "case_id 'b' occurs twice", "a name of its own")
    assert names(read_datalist(datalist(twice), "validation")) == ["b"]
