# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Triplets: who is paired with whom, what is recorded, and that the editor takes them as they are."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from datasets.downloads import save
from typer.testing import CliRunner

from mededit_monai.cli import app
from mededit_monai.core.errors import InputError
from mededit_monai.datasets.editing import editing_cases
from mededit_monai.datasets.evaluation import edited_half
from mededit_monai.datasets.pairing import outside_share, pair_cases, triplets_of
from mededit_monai.io.datalist import read_datalist

AFFINE = np.diag([233 / 128, 233 / 128, 1, 1])


def plane(rows: slice, columns: slice) -> np.ndarray:
    array = np.zeros((128, 128, 1), np.uint8)
    array[rows, columns] = 1
    return array


def cohort(folder: Path, strata: list[str], priors: int, index: list[int] | None = None, same: int = 0) -> Path:
    """
    Test masks of 10x10 pixels at rows 20 to 29, and priors whose brain begins at row 24 (the first) or 10.

    Args:
        same: this many priors belong to the patients of the first masks.
    """
    testing, free = [], []
    for k, stratum in enumerate(strata):
        case = {"case_id": f"m{k}", "patient": f"P{k}", "lesion_id": f"L{k}", "split": "testing", "stratum": stratum}
        case |= {"slice_index": index[k] if index else 95}
        for key in ("image", "brain", "pathology"):
            case[key] = f"{key}_{k}.nii"
            save(folder / case[key], plane(slice(20, 30), slice(40, 50)), AFFINE, np.uint8)
        testing.append(case)
    for k in range(priors):
        case = {"case_id": f"f{k}", "patient": f"P{k}" if k < same else f"Q{k}", "split": "testing"}
        case |= {"slice_index": (90, 95)[k % 2] if index else 95}
        for key in ("prior", "prior_brain"):
            case[key] = f"{key}_{k}.nii"
            save(folder / case[key], plane(slice(24 if k == 0 else 10, 110), slice(10, 110)), AFFINE, np.uint8)
        free.append(case)
    elsewhere = [{"case_id": "t0", "patient": "T", "split": "training", "prior": "prior_0.nii", "prior_brain": "x.nii"}]
    lists = {"testing": testing, "lesion_free_testing": free, "lesion_free_training": elsewhere}
    path = folder / "datalist.json"
    path.write_text(json.dumps({k: v for k, v in lists.items() if v}))
    return path


def paired(datalist: Path, out: Path, **options) -> list[dict]:
    pair_cases(datalist, out, overwrite=True, **options)
    return read_datalist(out)


def couples(triplets: list[dict]) -> set[tuple[str, str]]:
    return {(t["mask_case"], t["prior_case"]) for t in triplets}


STRATA = ["small", "medium", "large"] * 4


def test_paths_do_not_leave_a_linked_folder(tmp_path):
    (tmp_path / "disk" / "cohort").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "cohort")
    cohort(tmp_path / "link", ["small"], 1)
    (triplet,) = paired(tmp_path / "link/datalist.json", tmp_path / "link/triplets.json")
    assert triplet["prior"] == str(tmp_path / "link/prior_0.nii")
    (triplet,) = json.loads((tmp_path / "link/triplets.json").read_text())["testing"]
    assert triplet["prior"] == "prior_0.nii" and triplet["pathology"] == "pathology_0.nii"


def test_seeded(tmp_path):
    path = cohort(tmp_path, STRATA, 5)
    one, two = (paired(path, tmp_path / f"{k}.json", seed=0) for k in range(2))
    assert one == two and len(one) == 12
    assert (tmp_path / "0.json").read_bytes() == (tmp_path / "1.json").read_bytes()
    assert couples(one) != couples(paired(path, tmp_path / "2.json", seed=1))


def test_stratified_and_evenly_dealt(tmp_path):
    """12 masks, 4 of each stratum, and 4 priors: every stratum meets every prior once."""
    triplets = paired(cohort(tmp_path, STRATA, 4), tmp_path / "t.json", seed=3)
    assert Counter(t["stratum"] for t in triplets) == {"small": 4, "medium": 4, "large": 4}
    assert set(Counter((t["stratum"], t["prior_case"]) for t in triplets).values()) == {1}


def test_never_the_patients_own_scan(tmp_path):
    for seed in range(5):
        for triplet in paired(cohort(tmp_path, ["small"] * 4, 4, same=4), tmp_path / "t.json", seed=seed):
            assert triplet["mask_case"][1:] != triplet["prior_case"][1:]


def test_several_priors_a_mask(tmp_path):
    triplets = paired(cohort(tmp_path, ["small"] * 3, 4), tmp_path / "t.json", per_mask=3)
    assert len(couples(triplets)) == len(triplets) == 9
    assert set(Counter(t["mask_case"] for t in triplets).values()) == {3}


def test_the_masks_own_slice_is_preferred(tmp_path):
    path = cohort(tmp_path, ["small"] * 3, 4, index=[90, 95, 30])
    level = {"m0": {"f0", "f2"}, "m1": {"f1", "f3"}, "m2": {"f0", "f1", "f2", "f3"}}
    for triplet in paired(path, tmp_path / "t.json"):
        assert triplet["prior_case"] in level[triplet["mask_case"]]


def test_share_outside_by_hand(tmp_path):
    """Rows 20 to 29 against a brain from row 24: 4 of 10 rows lie outside."""
    assert outside_share(plane(slice(20, 30), slice(4, 9)), plane(slice(24, 99), slice(0, 99))) == pytest.approx(0.4)
    path = cohort(tmp_path, ["small"] * 4, 4)
    facts = pair_cases(path, tmp_path / "t.json")
    content = json.loads((tmp_path / "t.json").read_text())
    shares = {t["prior_case"]: t["outside_share"] for t in content["testing"]}
    assert shares == {"f0": 0.4, "f1": 0.0, "f2": 0.0, "f3": 0.0}
    assert facts == content["counts"] and facts["warnings"] == facts["partly_outside"] == 1
    assert facts["largest_outside_share"] == 0.4 and facts["priors_used"] == 4


def test_a_prior_without_brain_under_the_mask_is_passed_over(tmp_path):
    path = cohort(tmp_path, ["small"] * 2, 2)
    save(tmp_path / "prior_brain_0.nii", plane(slice(60, 90), slice(60, 90)), AFFINE, np.uint8)
    assert {t["prior_case"] for t in paired(path, tmp_path / "t.json")} == {"f1"}


def test_editing_takes_the_list(tmp_path):
    path = cohort(tmp_path / "data", ["small"] * 2, 2)
    pair_cases(path, tmp_path / "lists" / "t.json")
    listed = json.loads((tmp_path / "lists" / "t.json").read_text())["testing"]
    assert listed[0]["prior"].startswith("../data/")
    given = dict.fromkeys(("scan", "pathology", "brain", "dataset_dir", "region", "shard"))
    cases = editing_cases(**given, datalist=str(tmp_path / "lists" / "t.json"), output_dir=str(tmp_path), options={})
    for case, triplet in zip(cases, read_datalist(tmp_path / "lists" / "t.json"), strict=True):
        wanted = {"scan": triplet["prior"], "brain": triplet["prior_brain"], "pathology": triplet["pathology"]}
        assert {key: case[key] for key in wanted} == wanted


def simulated(folder: Path, names: list[str]) -> Path:
    """What the list of a simulated cohort looks like: every case has its own prior; there are no other scans."""
    keys = ("image", "prior", "brain", "prior_brain", "pathology", "displacement")
    cases = []
    for k, name in enumerate(names):
        files = {key: f"{name}/{key}.nii" for key in keys}
        for path in files.values():
            save(folder / path, plane(slice(20 + k % 5, 30), slice(40, 50)), AFFINE, np.uint8)
        facts = {"case_id": name, "patient": f"P{k}", "lesion_id": f"L{k}", "split": "testing", "stratum": "small"}
        cases.append(facts | files)
    path = folder / "datalist.json"
    path.write_text(json.dumps({"testing": cases}))
    return path


def test_simulated_pairs_keep_the_truth(tmp_path):
    path = simulated(tmp_path / "c", ["a", "b", "c"])
    triplets = paired(path, tmp_path / "p.json", pairing="paired")
    assert [t["case_id"] for t in triplets] == ["a", "b", "c"]
    for triplet in triplets:
        assert triplet["outside_share"] == 0 and triplet["mask_case"] == triplet["prior_case"] == triplet["case_id"]
        for key in ("prior", "prior_brain", "pathology", "image", "displacement"):
            assert triplet[key] == str(tmp_path / "c" / triplet["case_id"] / f"{key}.nii")


def test_simulated_cohorts_can_be_crossed(tmp_path):
    """Without a list of scans that show no lesion, the priors of other patients serve; the truth is not known then."""
    crossed = paired(simulated(tmp_path / "c", ["a", "b", "c"]), tmp_path / "t.json")
    assert len(crossed) == 3 and all(t["mask_case"] != t["prior_case"] and "image" not in t for t in crossed)


def test_anatomies_are_dealt_evenly_and_never_to_themselves(tmp_path):
    """12 patients of three brains, of which one has most scans: every brain is dealt four times, to the others."""
    names = [f"case_{k}" for k in range(12)]
    path = simulated(tmp_path / "c", names)
    content = json.loads(path.read_text())
    for k, case in enumerate(content["testing"]):
        case["anatomy"], case["stratum"] = "abcaaaaabbcc"[k], "small"
    path.write_text(json.dumps(content))
    brain = {case["case_id"]: case["anatomy"] for case in content["testing"]}
    triplets = paired(path, tmp_path / "t.json")
    assert all(brain[t["mask_case"]] != brain[t["prior_case"]] for t in triplets)
    dealt = Counter(brain[t["prior_case"]] for t in triplets)
    assert set(dealt) == {"a", "b", "c"} and max(dealt.values()) - min(dealt.values()) <= 1


def test_one_brain_for_all_patients_will_do(tmp_path):
    path = simulated(tmp_path / "c", ["x", "y", "z"])
    content = json.loads(path.read_text())
    for case in content["testing"]:
        case["anatomy"] = "template"
    path.write_text(json.dumps(content))
    assert all(t["mask_case"] != t["prior_case"] for t in paired(path, tmp_path / "t.json"))


def test_halves_share_anatomies_and_strata_evenly(tmp_path):
    path = simulated(tmp_path / "c", [f"case_{k:02}" for k in range(24)])
    content = json.loads(path.read_text())
    for k, case in enumerate(content["testing"]):
        case["anatomy"], case["stratum"] = "abc"[k % 3], ("small", "large")[k // 12]
    path.write_text(json.dumps(content))
    half = edited_half(tmp_path / "c", 0)
    chosen = [case for case in content["testing"] if case["case_id"] in half]
    assert set(Counter((case["anatomy"], case["stratum"]) for case in chosen).values()) == {2} and len(chosen) == 12
    assert half == edited_half(tmp_path / "c", 0) and set(half) != set(edited_half(tmp_path / "c", 1))
    within = {t[key] for t in triplets_of(path, tmp_path, among=half)["testing"] for key in ("mask_case", "prior_case")}
    assert within <= set(half)


def test_nothing_is_halved_where_scans_without_lesion_are_of_others(tmp_path):
    cohort(tmp_path, ["small"] * 6, 6)
    assert edited_half(tmp_path, 0) is None


@pytest.mark.parametrize(
    "options, said",
    [
        ({"pairing": "some"}, "--pairing: got 'some', wanted one of thesis, paired"),
        ({"per_mask": 0}, "--per_mask: got 0, wanted a whole number of at least 1"),
        ({"seed": -1}, "--seed: got -1"),
        ({"per_mask": 2, "pairing": "paired"}, "--per_mask: got 2, but --pairing paired has one truth a mask"),
        (
            {"per_mask": 4},
            "has 3 scans without lesion for the mask 'm0' (of other patients, with brain under the mask)",
        ),
        ({"pairing": "paired"}, "case 'm0' has no 'prior'; this pairing needs it"),
    ],
)
def test_refusals(tmp_path, options, said):
    path = cohort(tmp_path, ["small"], 3)
    with pytest.raises(InputError) as caught:
        pair_cases(path, tmp_path / "t.json", **options)
    assert said in str(caught.value) and not (tmp_path / "t.json").exists()


def test_damaged_images(tmp_path):
    """Truncated, with NaN, without a lesion: refused with the file's name, not counted as something else."""
    path = cohort(tmp_path, ["small"], 2)
    mask, brain = tmp_path / "pathology_0.nii", tmp_path / "prior_brain_1.nii"
    whole = {p: p.read_bytes() for p in (mask, brain)}
    for place, change, said in (
        (mask, lambda: mask.write_bytes(whole[mask][:5000]), "pathology_0.nii: is truncated or damaged"),
        (mask, lambda: save(mask, plane(slice(0, 0), slice(0, 0)), AFFINE, np.uint8), "pathology_0.nii: is empty"),
        (
            brain,
            lambda: save(brain, np.full((128, 128, 1), np.nan), AFFINE),
            "prior_brain_1.nii: holds NaN or infinite",
        ),
        (brain, lambda: save(brain, np.ones((9, 9, 1)), AFFINE), r"has shape \(128, 128, 1\), but .*prior_brain_1.nii"),
    ):
        change()
        with pytest.raises(InputError, match=said):
            pair_cases(path, tmp_path / "t.json", per_mask=2)
        place.write_bytes(whole[place])
    assert not (tmp_path / "t.json").exists()


def test_no_scan_without_lesion(tmp_path):
    with pytest.raises(InputError, match="has no scan without lesion in its test split"):
        pair_cases(cohort(tmp_path, ["small"], 0), tmp_path / "t.json")


def test_command(tmp_path):
    path = cohort(tmp_path, ["small"] * 3, 3)
    words = f"dataset pairs --datalist {path} -o {tmp_path / 't.json'} --per-mask 2 --json"
    result = CliRunner().invoke(app, words.split())
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["triplets"] == 6 and len(read_datalist(tmp_path / "t.json")) == 6


def test_a_seed_where_nothing_is_drawn(tmp_path):
    path = simulated(tmp_path / "c", ["a", "b"])
    words = f"dataset pairs --datalist {path} -o {tmp_path / 't.json'} --pairing paired"
    assert CliRunner().invoke(app, words.split()).exit_code == 0
    result = CliRunner().invoke(app, f"{words} --seed 0 --overwrite".split())
    assert "--seed: got 0, but it applies to --pairing thesis" in str(result.exception)
