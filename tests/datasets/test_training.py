# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.training import training_source
from mededit_monai.simulation import embedded

KEYS = ("image", "brain", "pathology")


def source(datalist=None, dataset_dir=None, sizes=(1, 1), seed=0) -> dict:
    return training_source(datalist, dataset_dir, *sizes, seed, progress=False)


def write(folder: Path, training: list[dict], validation: list[dict]) -> Path:
    folder.mkdir(exist_ok=True)
    for key in KEYS:
        (folder / f"{key}.nii").touch()
    path = folder / "datalist.json"
    path.write_text(json.dumps({"training": training, "validation": validation, "testing": [{"case_id": "t"}]}))
    return path


def case(name: str, **other) -> dict:
    return {"case_id": name, **{key: f"{key}.nii" for key in KEYS}, **other}


def test_lists_of_a_datalist(tmp_path):
    found = source(write(tmp_path, [case("a"), case("b")], [case("c", patient=7)]))
    assert {name: [c["case_id"] for c in cases] for name, cases in found.items()} == {
        "training": ["a", "b"],
        "validation": ["c"],
    }
    assert found["validation"][0] == {"case_id": "c", "patient": 7, **{k: str(tmp_path / f"{k}.nii") for k in KEYS}}


def test_a_datalist_wins_over_a_folder(tmp_path):
    one = write(tmp_path / "one", [case("one")], [case("v")])
    write(tmp_path / "two", [case("two")], [case("v")])
    assert source(None, tmp_path / "two")["training"][0]["case_id"] == "two"
    assert source(one, tmp_path / "two")["training"][0]["case_id"] == "one"


def test_without_data_it_is_the_embedded_cohort(tmp_path, monkeypatch):
    asked = []

    def simulated(root, disease, cases, validation, seed, progress):
        asked.append((root, disease, cases, validation, seed, progress))
        return write(tmp_path, [case("simulated")], [case("v")])

    monkeypatch.setattr(embedded, "write_embedded_cohort", simulated)
    monkeypatch.setenv("MEDEDIT_CACHE", str(tmp_path / "cache"))
    found = source(sizes=(30, 4), seed=5)
    assert found["training"][0]["case_id"] == "simulated"
    assert asked == [(tmp_path / "cache", "stroke", 30, 4, 5, False)]


# --- bad input -------------------------------------------------------------------------------------------------------


def refused(*words: str, **given) -> None:
    with pytest.raises(InputError) as caught:
        source(**given)
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence
    for word in words:
        assert word in sentence, sentence


def test_no_datalist(tmp_path):
    refused("none.json: datalist not found", datalist=tmp_path / "none.json")
    refused("datalist.json: datalist not found", dataset_dir=tmp_path)


def test_a_missing_list(tmp_path):
    path = write(tmp_path, [case("a")], [])
    refused(f"{path}: has no cases under 'validation' (found: training, testing)", datalist=path)
    path = write(tmp_path, [], [case("a")])
    refused(f"{path}: has no cases under 'training' (found: validation, testing)", datalist=path)


@pytest.mark.parametrize("split", ["training", "validation"])
@pytest.mark.parametrize("key", KEYS)
def test_a_case_that_lacks_something(tmp_path, split, key):
    good, poor = [case("good")], [case("good"), case("poor", **{key: None})]
    path = write(tmp_path, *((poor, good) if split == "training" else (good, poor)))
    refused(f"{path}: {split} case 'poor' has no '{key}'; training needs it", datalist=path)


@pytest.mark.parametrize("key", KEYS)
def test_a_file_that_does_not_exist(tmp_path, key):
    path = write(tmp_path, [case("a")], [case("b", **{key: "none.nii"})])
    refused(f"{tmp_path / 'none.nii'}: not found ('{key}' of case 'b' in {path})", datalist=path)
