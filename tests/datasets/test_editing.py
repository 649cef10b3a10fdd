# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.editing import collate_cases, editing_cases
from mededit_monai.io.hashing import sha256
from mededit_monai.io.outputs import list_files
from mededit_monai.io.provenance import write_provenance

OPTIONS = {"method": "mededit", "steps": 50}


@pytest.fixture()
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with files whose bytes are their names, as the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("scan.nii.gz", "other.nii", "lesion.nii", "brain.nii", "prior_brain.nii", "region.nii"):
        (tmp_path / name).write_text(name)
    return tmp_path


def cases(**given) -> list[dict]:
    defaults = dict.fromkeys(("scan", "pathology", "brain", "datalist", "dataset_dir", "region", "shard"))
    return editing_cases(**{**defaults, "output_dir": "out", "options": OPTIONS, **given})


def listed(folder: Path, *entries: dict, name: str = "cases.json") -> str:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(list(entries)))
    return str(path)


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def finish(case: dict) -> None:
    """What the writer leaves behind for a case."""
    place = Path("out") / case["case_id"]
    place.mkdir(parents=True, exist_ok=True)
    write_provenance(place, case["request"], {"seconds": 1.5, "nfe": 7})
    list_files(place, {"provenance.json": sha256(place / "provenance.json")}, scan=case["owner"])


# --- one case --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scan, name", [("scan.nii.gz", "scan"), ("other.nii", "other")])
def test_one_scan(folder, scan, name):
    (case,) = cases(scan=scan, pathology="lesion.nii", brain="brain.nii", region="region.nii")
    assert case["case_id"] == name and case["region_file"] == "region.nii"
    assert (case["scan"], case["pathology"], case["brain"]) == (scan, "lesion.nii", "brain.nii")
    files = {"scan": scan, "pathology": "lesion.nii", "brain": "brain.nii", "region_file": "region.nii"}
    assert case["request"] == {"options": OPTIONS, "inputs": {key: digest(file) for key, file in files.items()}}


@pytest.mark.parametrize("region", [None, "dilate", "brain", "pathology"])
def test_region_words_are_no_files(folder, region):
    (case,) = cases(scan="scan.nii.gz", pathology="lesion.nii", region=region)
    assert case["region_file"] is None and set(case["request"]["inputs"]) == {"scan", "pathology"}


def test_what_is_carried_decides_the_result(folder):
    """Where anything moves; a file that is missing is told, and in a datalist every case has its own."""
    moving = {"scan": "scan.nii.gz", "pathology": "lesion.nii", "options": OPTIONS | {"effects": 1.0}}
    (case,) = cases(**moving, carry=["brain.nii", "region.nii"])
    assert case["carry"] == ["brain.nii", "region.nii"]
    assert case["files"]["carry_1"] == "region.nii" and case["request"]["inputs"]["carry_1"] == digest("region.nii")
    with pytest.raises(InputError, match="none.nii: not found .--carry, case 'scan'."):
        cases(**moving, carry=["none.nii"])
    with pytest.raises(InputError, match="--carry: goes with --scan; in a datalist every case names its own"):
        cases(datalist=listed(folder, {"case_id": "a"}), carry=["brain.nii"])
    entry = {"case_id": "a", "scan": "scan.nii.gz", "pathology": "lesion.nii", "carry": ["brain.nii"]}
    for effects, wanted in ((1.0, {"scan", "pathology", "carry_0"}), (0.0, {"scan", "pathology"})):
        (case,) = cases(datalist=listed(folder, entry), options=OPTIONS | {"effects": effects})
        assert set(case["request"]["inputs"]) == wanted and [Path(one).name for one in case["carry"]] == ["brain.nii"]


# --- datalists -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry, scan, brain",
    [
        ({"scan": "scan.nii.gz", "prior": "other.nii", "image": "region.nii", "brain": "brain.nii"}, "scan", "brain"),
        (
            {"prior": "other.nii", "image": "scan.nii.gz", "brain": "brain.nii", "prior_brain": "prior_brain.nii"},
            "other",
            "prior_brain",
        ),
        ({"prior": "other.nii", "image": "scan.nii.gz", "brain": "brain.nii"}, "other", "brain"),
        ({"image": "scan.nii.gz", "brain": "brain.nii", "prior_brain": "prior_brain.nii"}, "scan", "brain"),
        ({"image": "scan.nii.gz"}, "scan", None),
    ],
)
def test_which_scan_is_the_prior(folder, entry, scan, brain):
    (case,) = cases(datalist=listed(folder, {"case_id": "a", "pathology": "lesion.nii", **entry}))
    assert Path(case["scan"]).name.split(".")[0] == scan
    assert case["brain"] is None if brain is None else Path(case["brain"]).name == f"{brain}.nii"
    assert set(case["request"]["inputs"]) == {"scan", "pathology"} | ({"brain"} if brain else set())


def test_folder_with_a_datalist(folder):
    entry = {"pathology": str(folder / "lesion.nii"), "scan": str(folder / "other.nii")}
    listed(folder, {"case_id": "inside", **entry}, name="data/datalist.json")
    other = listed(folder, {"case_id": "outside", **entry})
    assert [case["case_id"] for case in cases(dataset_dir="data")] == ["inside"]
    assert [case["case_id"] for case in cases(datalist=other)] == ["outside"]
    with pytest.raises(InputError, match="--dataset_dir: was given together with --datalist"):
        cases(dataset_dir="data", datalist=other)


@pytest.fixture()
def five(folder) -> str:
    files = {"scan": "scan.nii.gz", "pathology": "lesion.nii"}
    return listed(folder, *({"case_id": f"case{k}", **files} for k in range(5)))


def names(found: list[dict]) -> list[str]:
    return [case["case_id"] for case in found]


def test_shards_are_a_partition(five):
    parts = [names(cases(datalist=five, shard=f"{i}/3")) for i in (1, 2, 3)]
    assert parts == [["case0", "case3"], ["case1", "case4"], ["case2"]]
    assert names(cases(datalist=five, shard="1/1")) == [f"case{k}" for k in range(5)]
    assert names(cases(datalist=five, shard="6/6")) == []


def test_finished_cases_are_left_out(five, capsys):
    for case in cases(datalist=five)[1:3]:
        finish(case)
    assert names(cases(datalist=five)) == ["case0", "case3", "case4"]
    assert "case1 is done with these options, skipped (out/case1)" in capsys.readouterr().err
    assert names(cases(datalist=five, shard="2/3")) == ["case4"]  # a share of all cases, not of the pending ones
    assert len(cases(datalist=five, output_dir="elsewhere")) == 5


def test_other_options_or_bytes_are_made_anew(five, folder):
    for case in cases(datalist=five):
        finish(case)
    assert cases(datalist=five) == []
    assert len(cases(datalist=five, options=OPTIONS | {"steps": 51})) == 5
    assert len(cases(datalist=five, region="region.nii")) == 5
    (folder / "lesion.nii").write_text("another lesion")
    assert len(cases(datalist=five)) == 5


# --- bad input -------------------------------------------------------------------------------------------------------


def refused(*words: str, **given) -> None:
    with pytest.raises(InputError) as caught:
        cases(**given)
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence
    for word in words:
        assert word in sentence, sentence


@pytest.mark.parametrize("given", [{"scan": "scan.nii.gz"}, {"pathology": "lesion.nii"}])
def test_both_a_scan_and_a_datalist(five, given):
    refused("--datalist: was given together with --scan or --pathology; give one or the other", datalist=five, **given)


@pytest.mark.parametrize(
    "given, option", [({}, "scan"), ({"pathology": "lesion.nii"}, "scan"), ({"scan": "scan.nii.gz"}, "pathology")]
)
def test_neither_scan_nor_datalist(folder, given, option):
    way = ", --lesion to say where it is to be," if option == "pathology" else ","
    refused(f"--{option}: is missing; give a NIfTI file{way} or --datalist for many cases", **given)


@pytest.mark.parametrize("option", ["scan", "pathology", "brain", "region"])
def test_a_file_that_does_not_exist(folder, option):
    given = {"scan": "scan.nii.gz", "pathology": "lesion.nii", "brain": "brain.nii", "region": "region.nii"}
    case = "none" if option == "scan" else "scan"
    refused(f"none.nii: not found (--{option}, case '{case}'); check the path", **{**given, option: "none.nii"})


def test_a_listed_file_that_does_not_exist(folder):
    entries = [{"case_id": "a", "scan": "other.nii", "pathology": "lesion.nii"}]
    entries += [{"case_id": "b", "scan": "other.nii", "pathology": "none.nii"}]
    refused(f"{folder / 'none.nii'}: not found (--pathology, case 'b')", datalist=listed(folder, *entries))


@pytest.mark.parametrize(
    "entry, missing",
    [
        ({"pathology": "lesion.nii"}, "a scan ('scan', 'prior' or 'image')"),
        ({"pathology": "lesion.nii", "scan": ""}, "a scan ('scan', 'prior' or 'image')"),
        ({"scan": "scan.nii.gz"}, "'pathology' (or 'lesion')"),
        ({"scan": "scan.nii.gz", "pathology": None}, "'pathology' (or 'lesion')"),
    ],
)
def test_a_listed_case_without_scan_or_mask(folder, entry, missing):
    datalist = listed(folder, {"case_id": "a", **entry})
    refused(f"{datalist}: case 'a' has no {missing}; add it", datalist=datalist)


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "1/", "/2", "a/b", "1/2/3", "-1/2", "1.0/2", ""])
def test_a_share_that_is_none(five, shard):
    refused(f"--shard: got '{shard}', wanted i/n with 1 <= i <= n, for example 1/4", datalist=five, shard=shard)


def test_the_datalist_itself(folder):
    refused("none.json: datalist not found", datalist="none.json")
    refused("datalist.json: datalist not found", dataset_dir="none")


# --- batches ---------------------------------------------------------------------------------------------------------


def test_slices_of_several_cases_in_one_batch():
    keys = ("image", "brain", "pathology", "condition", "region")
    several = []
    for name, count, start in (("a", 2, 0), ("b", 1, 100)):
        tensors = {key: torch.full((count, 1, 2, 2), start + k) for k, key in enumerate(keys)}
        several.append({"case_id": name, "slices": list(range(count)), **tensors})
    batch = collate_cases(several)
    for k, key in enumerate(keys):
        assert batch[key][:, 0, 0, 0].tolist() == [k, k, 100 + k]
    assert batch["cases"] == [{"case_id": "a", "slices": [0, 1]}, {"case_id": "b", "slices": [0]}]
    assert set(batch) == {*keys, "cases"} and "image" in several[0]
