# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of the tables against figures that were worked out by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mededit_monai.datasets.evaluation import representative_order
from mededit_monai.evaluation.area import fit_area, true_changes
from mededit_monai.evaluation.columns import COLUMNS
from mededit_monai.evaluation.comparisons import comparisons
from mededit_monai.evaluation.realism import RealismJudge
from mededit_monai.evaluation.scores import Scorer, SetScores, lesions_of
from mededit_monai.evaluation.tables import Table, TableRow
from mededit_monai.evaluation.write import csv_text, number, read_lines, table_markdown
from mededit_monai.judges.features import Extractor
from mededit_monai.metrics.realism import frechet_distance

NAN = float("nan")


def _cases(figure: str, values, anatomies=("a", "a", "b", "b")) -> list[dict]:
    return [{"case_id": f"c{k}", "anatomy": a, figure: v} for k, (a, v) in enumerate(zip(anatomies, values))]


def _scorer(lines) -> Scorer:
    return Scorer(lines, lambda row, pairing, ending: None)


def test_means_leave_out_what_was_not_measured():
    scorer = _scorer({("one", "thesis"): _cases("adherence_dice", [0.2, 0.4, NAN, 0.9])})
    found = scorer.figure("one", COLUMNS["dice"], "mask")
    assert found["value"] == pytest.approx(0.5) and (found["n_cases"], found["n_groups"]) == (3, 2)
    assert 0.2 <= found["low"] < 0.5 < found["high"] <= 0.9
    assert scorer.figure("two", COLUMNS["dice"], "mask") is None
    assert scorer.figure("one", COLUMNS["box_dice"], "mask") is None  # no case has it


def test_ratios_are_of_means():
    cases = _cases("seam_edge_gradient", [1.0, 3.0, 2.0, 2.0])
    for case, prior in zip(cases, (1.0, 1.0, 1.0, 5.0)):
        case["seam_edge_gradient_prior"] = prior
    found = _scorer({("one", "thesis"): cases}).figure("one", COLUMNS["seam"], "mask")
    assert found["value"] == pytest.approx(8 / 8)


def test_agreement_of_a_half_effect():
    true, area = np.array([1.0, 4.0, 2.0, 9.0]), np.array([2.0, 1.0, 4.0, 3.0])
    cases = _cases("against_truth_ventricle_change_true", true)
    for case, wanted, size in zip(cases, true, area):
        case |= {"against_truth_ventricle_change_predicted": wanted / 2, "against_truth_lesion_size": size}
    scorer = _scorer({("one", "paired"): cases})
    value = {
        key: scorer.figure("one", COLUMNS[f"ventricle_{key}"], "mask")["value"] for key in ("slope", "r", "partial_r")
    }
    assert value == pytest.approx({"slope": 0.5, "r": 1.0, "partial_r": 1.0})
    for case in cases:
        case["against_truth_ventricle_change_predicted"] = 0.0  # nothing moves: no correlation, not a correlation of 0
    still = _scorer({("one", "paired"): cases})
    assert still.figure("one", COLUMNS["ventricle_r"], "mask") is None
    assert still.figure("one", COLUMNS["ventricle_slope"], "mask")["value"] == 0


def _images(count: int, shift: float, seed: int) -> np.ndarray:
    return np.clip(np.random.default_rng(seed).normal(0.4 + shift, 0.05, (count, 16, 16)), 0, 1).astype(np.float32)


@pytest.fixture()
def judge(tmp_path) -> RealismJudge:
    """Features: the means of the four quadrants."""
    real, groups = [], "aabbccddee"
    for k, image in enumerate(_images(10, 0.0, 1)):
        for name, plane in (("image", image), ("brain", np.ones_like(image))):
            nib.save(nib.Nifti1Image(plane[..., None], np.eye(4)), tmp_path / f"{name}_{k}.nii")
        real.append({"image": tmp_path / f"image_{k}.nii", "brain": tmp_path / f"brain_{k}.nii", "group": groups[k]})

    def compute(batch):
        quarters = [batch[:, 0, i : i + 8, j : j + 8].mean(dim=(1, 2)) for i in (0, 8) for j in (0, 8)]
        import torch

        return torch.stack(quarters, dim=1) * 10

    return RealismJudge(Extractor("quadrants", compute), real, seed=0)


def test_regions_of_a_lesion_count_for_those_who_are_told_of_them():
    names = ("mean", "cavity", "core_mean", "rim_sd")
    cases = [
        {f"features_edit_{name}": k for name in names} | {f"features_true_{name}": 9 + k for name in names}
        for k in (1, 2)
    ]
    edits, truths = lesions_of(cases, "mask")
    assert edits.tolist() == [[1, 1], [2, 2]] and truths.tolist() == [[10, 10], [11, 11]]
    assert lesions_of(cases, "regions")[0].shape == (2, 4)
    assert lesions_of([{"dice": 1.0}], "mask") is None


def test_combined_is_one_minus_dice_times_fid(judge):
    groups, dice = list("aabbccddee"), np.linspace(0.1, 0.9, 10)
    near, far = (SetScores(judge, _images(10, shift, 2), groups) for shift in (0.0, 0.2))
    assert near.scores["fid"].whole == pytest.approx(frechet_distance(near.features.values, judge.real.values))
    assert far.scores["fid"].value > 10 * near.scores["fid"].value  # 0.2 brighter in four features: 4 * 2² = 16
    assert far.scores["fid"].value == pytest.approx(16, rel=0.15)
    value, draws = far.combined(dice)
    assert value == pytest.approx(0.5 * far.scores["fid"].value)
    assert far.fids.mean() == pytest.approx(far.scores["fid"].value)  # resamples are shifted onto it
    assert np.quantile(draws, 0.025) < value < np.quantile(draws, 0.975)
    assert far.combined(np.where(np.arange(10) == 3, NAN, dice)) is None
    lines = {
        ("near", "thesis"): _cases("adherence_dice", dice, groups),
        ("far", "thesis"): _cases("adherence_dice", dice, groups),
    }
    scorer = Scorer(lines, lambda row, pairing, ending: {"near": near, "far": far}[row])
    figure = scorer.figure("far", COLUMNS["combined"], "mask")
    assert figure["value"] == pytest.approx(value) and (figure["n_cases"], figure["n_groups"]) == (10, 5)
    assert scorer.figure("far", COLUMNS["auc"], "mask")["value"] == pytest.approx(1.0)


def _table() -> Table:
    rows = tuple(TableRow(name, name, {}) for name in ("mededit", "other", "missing"))
    return Table("t", "T", "stroke", "mask", "methods", ("dice", "combined"), {}, rows, Path("t.yaml"))


def test_comparisons_are_paired_and_signed(judge):
    groups, dice = list("aabbccddee"), np.linspace(0.1, 0.8, 10)
    lines = {
        ("stroke_mask_mededit", "thesis"): _cases("adherence_dice", dice + 0.1, groups),
        ("stroke_mask_other", "thesis"): _cases("adherence_dice", dice, groups),
    }
    sets = {name: SetScores(judge, _images(10, shift, 2), groups) for name, shift in (("mededit", 0.1), ("other", 0.3))}
    scorer = Scorer(lines, lambda row, pairing, ending: sets[row.removeprefix("stroke_mask_")])
    columns = [COLUMNS["dice"], COLUMNS["combined"], COLUMNS["zone_error"]]
    found = comparisons(_table(), columns, scorer)
    assert [(c["against"], c["column"]) for c in found] == [
        ("stroke_mask_other", "dice"),
        ("stroke_mask_other", "combined"),
    ]
    better, combined = found
    assert better["difference"] == pytest.approx(0.1) == better["low"] == pytest.approx(better["high"])
    assert better["p"] == pytest.approx(2 / 2**5) and (better["n_cases"], better["n_groups"]) == (10, 5)
    assert better["p_holm"] == better["p"] == better["p_floor"] and "p_holm" not in combined  # of a single test
    values = [
        scorer.figure(f"stroke_mask_{name}", COLUMNS["combined"], "mask")["value"] for name in ("mededit", "other")
    ]
    assert (
        combined["difference"] == pytest.approx(values[0] - values[1])
        and combined["high"] < 0
        and combined["p"] is None
    )


def test_differences_of_fids_have_their_own_interval(judge):
    """What is taken off for the truth cancels, so a difference of FIDs minus the truth's is one of FIDs."""
    groups, dice = list("aabbccddee"), np.linspace(0.1, 0.8, 10)
    shifts = {"mededit": 0.1, "other": 0.3, "truth": 0.0}
    sets = {f"stroke_mask_{name}": SetScores(judge, _images(10, shift, 2), groups) for name, shift in shifts.items()}
    lines = {(row, "thesis"): _cases("adherence_dice", dice, groups) for row in sets}
    scorer = Scorer(lines, lambda row, pairing, ending: sets[row], truths={"mask": "stroke_mask_truth"})
    plain, excess = comparisons(_table(), [COLUMNS["fid"], COLUMNS["fid_excess"]], scorer)
    assert (plain["column"], excess["column"]) == ("fid", "fid_excess")
    assert [excess[key] for key in ("difference", "low", "high")] == pytest.approx(
        [plain[key] for key in ("difference", "low", "high")]
    )
    assert excess["low"] < excess["difference"] < excess["high"] < 0


def test_two_bases_against_each_other_are_one_test():
    groups, noise = [str(k) for k in range(8)], np.random.default_rng(0).standard_normal((3, 8))
    rows = tuple(TableRow(name, name, {}) for name in ("mededit", "morph", "other"))
    table = Table("t", "T", "stroke", "mask", "methods", ("dice",), {}, rows, Path("t.yaml"))
    values = {"mededit": np.linspace(3, 4, 8), "morph": noise[0] / 100, "other": np.linspace(3, 4, 8) + noise[1]}
    lines = {(f"stroke_mask_{name}", "thesis"): _cases("adherence_dice", v, groups) for name, v in values.items()}
    found = {(c["row"][12:], c["against"][12:]): c for c in comparisons(table, [COLUMNS["dice"]], _scorer(lines))}
    one, back = found["mededit", "morph"], found["morph", "mededit"]
    assert len(found) == 4 and one["p"] == back["p"] == 2 / 2**8
    assert one["p_holm"] == back["p_holm"] == pytest.approx(3 * one["p"])  # of three pairs, not four lines


def test_every_test_of_a_table_counts_in_the_adjustment():
    groups, noise = [str(k) for k in range(8)], np.random.default_rng(0).standard_normal((2, 8))
    lines = {("stroke_mask_mededit", "thesis"): _cases("adherence_dice", np.linspace(1, 2, 8), groups)}
    lines["stroke_mask_other", "thesis"] = _cases("adherence_dice", np.zeros(8), groups)
    lines["stroke_mask_missing", "thesis"] = _cases("adherence_dice", np.linspace(1, 2, 8) + noise[0], groups)
    found = comparisons(_table(), [COLUMNS["dice"]], Scorer(lines, lambda row, pairing, ending: None))
    first, second = found
    assert first["p"] == pytest.approx(2 / 2**8) == first["p_floor"]
    assert first["p_holm"] == pytest.approx(2 * first["p"])  # the smaller of two
    assert second["p_holm"] == second["p"] > 0.05


def test_strata_stay_in_proportion_and_more_cases_keep_the_fewer():
    cases = [
        {"case_id": f"{s}{k}", "stratum": s}
        for s, n in (("small", 10), ("medium", 20), ("large", 10))
        for k in range(n)
    ]
    order = representative_order(cases, seed=3)
    assert sorted(order) == sorted(case["case_id"] for case in cases) and order == representative_order(cases[::-1], 3)
    for count in (4, 8, 20):
        kept = order[:count]
        assert abs(sum(name.startswith("medium") for name in kept) - count / 2) <= 1
        assert abs(sum(name.startswith("small") for name in kept) - count / 4) <= 1
    assert order != representative_order(cases, seed=4)


def test_area_regression_finds_a_line(tmp_path):
    """Ventricles that grow by half the lesion's area, and 3 mm²."""
    cases = []
    for k, size in enumerate((2, 4, 6, 8)):
        planes = {
            key: np.zeros((16, 16, 1), np.uint8) for key in ("pathology", "brain", "prior_ventricles", "ventricles")
        }
        planes["brain"][:] = 1
        planes["pathology"][12, :size] = 1
        planes["prior_ventricles"][4, :4], planes["prior_ventricles"][9, :4] = 1, 2
        planes["ventricles"][:] = planes["prior_ventricles"]
        planes["ventricles"].reshape(-1)[200 : 200 + 3 + size // 2] = 2
        case = {"case_id": f"c{k}"}
        for key, plane in planes.items():
            case[key] = f"{key}_{k}.nii"
            nib.save(nib.Nifti1Image(plane, np.eye(4)), tmp_path / case[key])
        cases.append(case)
    place = tmp_path / "datalist.json"
    place.write_text(json.dumps({"training": cases}))
    found = fit_area(tmp_path, spacing=1.0)
    assert found.ventricles == pytest.approx((3, 0.5)) and found.cases == 4
    absolute = {key: str(tmp_path / value) if key != "case_id" else value for key, value in cases[1].items()}
    figures = replace(found, ventricles=(0.0, 1.0)).figures(absolute, 1.0)
    assert figures["against_truth_ventricle_change_predicted"] == 4 and figures["against_truth_lesion_size"] == 4
    assert figures["against_truth_ventricle_change_true"] == 5 and figures["against_truth_ventricle_change_error"] == 1
    odd = dict(cases[3], global_atrophy=0.4)  # no test case has remote atrophy, so it is not fitted
    place.write_text(json.dumps({"training": [*cases[:3], odd]}))
    assert fit_area(tmp_path, spacing=1.0).cases == 3
    place.write_text(json.dumps({"testing": cases}))
    assert fit_area(tmp_path, 1.0) is None


def test_true_changes_leave_the_lesion_out(tmp_path):
    """As the edits' metrics do: a ventricle of 8 mm² of which the lesion takes 3 grows by 2."""
    before = np.zeros((16, 16, 1), np.uint8)
    before[4:6, 2:6] = 1
    after, lesion = before.copy(), np.zeros_like(before)
    after[6, 2:4] = 1
    lesion[4, 2:5] = 1
    after[4, 2:5] = 0  # the truth has lesion there, the prior a ventricle
    planes = {"pathology": lesion, "brain": np.ones_like(before), "prior_ventricles": before, "ventricles": after}
    for key, plane in planes.items():
        nib.save(nib.Nifti1Image(plane, np.eye(4)), tmp_path / f"{key}.nii")
    area, change, _ = true_changes({key: str(tmp_path / f"{key}.nii") for key in planes}, 1.0)
    assert (area, change) == (3, 2)


def test_numbers_for_people():
    assert [number(v) for v in (None, 0.012345, 3997, 0.5, -12.34)] == ["–", "0.0123", "3997", "0.5", "-12.3"]
    figure = {"value": 0.5, "low": 0.25, "high": None, "n_cases": 2, "n_groups": 1}
    column = {"key": "dice", "label": "a|b", "better": "higher", "pairing": "thesis", "note": ""}
    row = {"row": "r", "label": "R", "nfe": None, "seconds": None, "figures": {"dice": figure}, "published": {}}
    content = {"table": "t", "title": "T", "preset": "quick", "columns": [column], "rows": [row], "comparisons": []}
    text = table_markdown(content | {"notes": [], "command": "x"})
    assert "| R | 2 / 1 | 0.5 | – | – |" in text and "a\\|b ↑" in text


def test_a_figure_that_fewer_cases_have_says_how_many():
    figures = {"dice": {"value": 0.5, "low": 0.25, "high": 0.75, "n_cases": 14, "n_groups": 3}}
    figures["contrast"] = figures["dice"] | {"n_cases": 36, "n_groups": 6}
    columns = [{"key": k, "label": k, "better": "higher", "pairing": "thesis", "note": ""} for k in figures]
    row = {"row": "r", "label": "R", "nfe": None, "seconds": None, "figures": figures, "published": {}}
    content = {"table": "t", "title": "T", "preset": "quick", "columns": columns, "rows": [row], "comparisons": []}
    text = table_markdown(content | {"notes": [], "command": "x"})
    assert "| R | 36 / 6 | 0.5 (0.25 … 0.75) [14] | 0.5 (0.25 … 0.75) | – | – |" in text


def test_lines_as_csv_and_back(tmp_path):
    lines = [
        {"case_id": "007", "nfe": 3, "dice": 0.123456789012, "label": 'a, "b"\n'},
        {"case_id": "NA", "dice": NAN, "zone": "0.50"},  # a line that was read again is text
        {"case_id": "1e5", "dice": None, "nfe": 4},
    ]
    text = csv_text(lines)
    assert text == 'case_id,nfe,dice,label,zone\n007,3,0.12345679,"a, ""b""\n",\nNA,,,,0.50\n1e5,4,,,\n'
    assert csv_text(lines, digits=3).splitlines()[1].startswith("007,3,0.123,")
    (tmp_path / "lines.csv").write_text(text)
    assert [line["case_id"] for line in read_lines(tmp_path / "lines.csv")] == ["007", "NA", "1e5"]
    (tmp_path / "lines.csv").write_text(csv_text([]))  # an evaluation of which nothing could be measured
    assert read_lines(tmp_path / "lines.csv") == []
