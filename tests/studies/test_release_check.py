# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Verdicts of the release check on figures made up by hand, and every shipped file loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import bundle_root
from mededit_monai.evaluation.tables import read_table, tables_folder
from studies import release_check as check
from studies.release_targets import Target


def row(**figures) -> dict:
    """Figures without scatter: the interval is the value."""
    return {k: None if v is None else {"value": v, "low": v, "high": v} for k, v in figures.items()}


#: What studies.effects_ceiling writes: of the cohort's own draws, and of any.
CEILING = {
    "disease": "stroke",
    "spatial_dims": 2,
    "recipe": {"disease": "stroke", "seed": 0},
    "simulator_version": 5,
    "cases": 2,
    "case_draws": [{"case_id": "testing_00000"}, {"case_id": "testing_00001"}],
    "ventricles": {"own": {"r": {"value": 0.9}, "slope": {"value": 0.8}}, "r": 0.96, "slope": 0.92},
    "end_point_mm": {"value": 0.3, "low": 0.2, "high": 0.4},
}


#: Facts of the cohort that it is of.
FACTS = {key: CEILING[key] for key in ("disease", "spatial_dims", "recipe", "simulator_version")}


def scores(rows: list, lines: list, condition: str = "mask") -> dict:
    """What the JSON of a table holds of them."""
    return {"condition": condition, "rows": rows, "comparisons": lines}


def paired(figures: dict, column: str, low: float = 0, high: float = 0) -> dict:
    """The default editor minus each other row, with an interval from ``low`` below to ``high`` above."""
    found = {}
    for name, other in figures.items():
        if figures["morph"][column] and other.get(column):
            difference = figures["morph"][column]["value"] - other[column]["value"]
            found[name] = {column: {"difference": difference, "low": difference - low, "high": difference + high}}
    return found


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [
        (Target("dice", low=0.6), 0.6, True),
        (Target("dice", low=0.6), 0.59, False),
        (Target("dice", low=0.6), None, False),
        (Target("slope", low=0.8, high=1.2), 1.21, False),
        (Target("zone", below=("no_edit", "mededit")), 0.019, True),
        (Target("zone", below=("no_edit", "mededit")), 0.02, False),  # not below doing nothing
        (Target("zone", below=("no_edit", "sdedit")), 0.01, False),  # one to be beaten was not measured
    ],
)
def test_targets(target, value, met):
    figures = {
        "morph": row(**{target.column: value}),
        "no_edit": row(zone=0.02, dice=0, slope=0),
        "mededit": row(zone=0.1, dice=0, slope=0),
        "sdedit": {},
    }
    found = check.met(target, figures, paired(figures, target.column))
    assert found["met"] is met and found["value"] == value


@pytest.mark.parametrize(
    ("target", "value", "low", "high", "verdict"),
    [
        (Target("dice", low=0.6), 0.7, 0.61, 0.8, "met"),
        (Target("dice", low=0.6), 0.7, 0.59, 0.8, "not shown"),
        (Target("dice", low=0.6), 0.59, 0.5, 0.7, "missed"),
        (Target("dice", low=0.6), 0.7, None, None, "not shown"),  # a value without an interval shows nothing
        (Target("dice", low=0.6), None, None, None, "not shown"),
        (Target("slope", low=0.8, high=1.2), 1.0, 0.85, 1.15, "met"),
        (Target("slope", low=0.8, high=1.2), 1.0, 0.71, 1.15, "not shown"),
        (Target("slope", low=0.8, high=1.2), 1.0, 0.85, 1.22, "not shown"),
    ],
)
def test_met_needs_the_whole_interval(target, value, low, high, verdict):
    figures = {"morph": {target.column: {"value": value, "low": low, "high": high}}}
    found = check.met(target, figures, {})
    assert (found["verdict"], found["met"]) == (verdict, verdict == "met")


@pytest.mark.parametrize(
    ("value", "half", "verdict"), [(80, 9, "met"), (80, 10, "not shown"), (80, 12, "not shown"), (91, 9, "missed")]
)
def test_below_a_row_by_the_paired_difference(value, half, verdict):
    """Intervals of the two figures themselves say nothing about it: they are wide, the difference's is not."""
    wide = {"low": 0, "high": 200}
    figures = {"morph": {"error": {"value": value, **wide}}, "mededit": {"error": {"value": 90, **wide}}}
    target = Target("error", below=("mededit",))
    assert check.met(target, figures, paired(figures, "error", half, half))["verdict"] == verdict
    assert check.met(target, figures, {})["met"] is False  # not compared case by case


def test_targets_take_the_default_editors_differences():
    rows = [{"row": f"stroke_mask_{k}", "figures": row(zone_error=v)} for k, v in (("morph", 1), ("no_edit", 2))]
    rows += [{"row": f"stroke_mask_{k}", "figures": row(zone_error=9)} for k in ("mededit", "sdedit", "naive_repaint")]
    lines = [
        {"row": f"stroke_mask_{first}", "against": f"stroke_mask_{second}", "column": "zone_error"}
        | {"difference": -1, "low": -2, "high": high}
        for first, second, high in (
            *(("morph", name, -0.5) for name in ("no_edit", "mededit", "sdedit", "naive_repaint")),
            ("mededit", "no_edit", 3),
        )
    ]
    (found,) = check._targets("stroke", None, None, scores(rows, lines))
    assert found["verdict"] == "met" and "< no_edit (2; difference -2 … -0.5)" in found["wanted"]
    lines[0]["high"] = 0.5
    (found,) = check._targets("stroke", None, None, scores(rows, lines))
    assert found["verdict"] == "not shown"


def test_the_ceiling_is_the_truth_s_own_figure():
    figures = {"morph": row(dice=0.5), "truth": row(dice=0.55)}
    assert check.met(Target("dice", low=0.6), figures, {})["ceiling"] == 0.55
    assert check.met(Target("dice", low=0.6, ceiling=0.7), figures, {})["ceiling"] == 0.7
    assert check.met(Target("dice", low=0.6), {"morph": row(dice=0.5)}, {})["ceiling"] is None


def test_a_column_that_the_table_does_not_have_is_no_target():
    assert check.met(Target("core_present", low=0.9), {"morph": row(dice=0.7)}, {}) is None


@pytest.mark.parametrize(
    ("zone", "dice", "ventricle", "better"),
    [
        ((0.001, 0.003), (-0.02, 0.005), (-0.5, 1.0), True),
        ((-0.001, 0.003), (-0.02, 0.005), (-0.5, 1.0), False),  # less error is not shown
        ((0.001, 0.003), (-0.02, 0.03), (-0.5, 1.0), False),  # Dice may be lower
        ((0.001, 0.003), (-0.02, 0.005), (-1.5, 1.0), False),  # ventricle error may be higher by more than 5 % of 20
    ],
)
def test_a_candidate_must_be_shown_to_be_better(zone, dice, ventricle, better):
    lines = [
        {"row": "stroke_mask_morph", "against": "stroke_mask_candidate", "column": name, "difference": 0}
        | {"low": low, "high": high}
        for name, (low, high) in {"zone_error": zone, "dice": dice, "ventricle_error": ventricle}.items()
    ]
    rows = [{"row": f"stroke_mask_{name}", "figures": row(ventricle_error=20.0)} for name in ("morph", "candidate")]
    assert check.candidate_is_better(scores(rows, lines))["better"] is better


@pytest.mark.parametrize("disease", ["stroke", "tumor"])
def test_every_shipped_file_loads(disease):
    found = check.load_all(disease)
    assert {entry["file"] for entry in found} == {p.name for p in (bundle_root(disease) / "models").glob("*.pt")}
    assert found and all(entry["problem"] is None and entry["parameters"] > 1e6 for entry in found)


@pytest.mark.parametrize("path", sorted(tables_folder().glob("release_*.yaml")), ids=lambda p: p.stem)
def test_tables_hold_the_rows_that_targets_name(path: Path):
    table = read_table(path)
    names = {row.name for row in table.rows}
    assert check.DEFAULT in names
    if path.stem[-2:] in ("2d", "3d"):
        targets = check.displaced_targets(int(path.stem[-2]), table.condition, CEILING)
        regions = {"core_present", "core_and_rim"} if table.bundle == "stroke" else set()
        assert {target.column for target in targets} - regions <= set(table.columns)
        assert {name for target in targets for name in target.below} <= names
        assert "kid" not in table.columns
        judged, volumes = {"dice", "ventricle_r"} & set(table.columns), path.stem.endswith("3d")
        assert bool(judged) == volumes and ("carried_sign" in table.columns) == volumes
        return
    targets = (*check.TARGETS[table.bundle], *check.INDIRECT)
    assert {name for target in targets for name in target.below} <= names
    wanted = {target.column for target in targets} - ({"core_present"} if table.condition != "regions" else set())
    assert wanted <= set(table.columns)


def test_volumes_are_held_against_slice_by_slice():
    """Less error by the whole paired interval, and steps between slices within a tenth of the truth's."""
    figures = [
        ("morph", row(zone_error=1, slice_step=1.05)),
        ("by_slice", row(zone_error=2)),
        ("no_edit", row(zone_error=3)),
    ]
    rows = [{"row": f"stroke_mask_{name}", "figures": found} for name, found in figures]
    against = {"row": "stroke_mask_morph", "column": "zone_error", "difference": -1, "low": -2}
    lines = [{**against, "against": f"stroke_mask_{name}", "high": -0.5} for name in ("by_slice", "no_edit")]
    found = {one["column"]: one for one in check._targets("stroke", 3, None, scores(rows, lines))}
    assert found["zone_error"]["verdict"] == "met" and "< by_slice (2; difference" in found["zone_error"]["wanted"]
    assert found["slice_step"]["wanted"] == "≥ 0.9, ≤ 1.1" and found["slice_step"]["verdict"] != "missed"
    rows[0]["figures"] = row(zone_error=1, slice_step=1.2)
    found = {one["column"]: one for one in check._targets("stroke", 3, None, scores(rows, lines))}
    assert found["slice_step"]["verdict"] == "missed"


def test_candidate_row(tmp_path):
    table, weights = tables_folder() / "release_stroke.yaml", tmp_path / "new.pt"
    with pytest.raises(InputError, match="--candidate: .*new.pt not found"):
        check.with_candidate(table, weights, tmp_path)
    weights.write_bytes(b"")
    added = {row.name: row for row in read_table(check.with_candidate(table, weights, tmp_path / "out")).rows}
    assert added["candidate"].settings == {**added["morph"].settings, "weights": str(weights)}


def test_markdown_names_what_was_missed():
    content = {"bundle": "stroke", "note": "n", "weights": [], "candidate": None, "scans": None}
    plain = {"column": "dice", "value": 0.5, "low": None, "high": None, "wanted": "≥ 0.6", "ceiling": 0.55}
    crossing = {"column": "r", "value": 0.9, "low": 0.7, "high": 0.97, "wanted": "≥ 0.8", "ceiling": None}
    content["targets"] = {
        "stroke": [
            {**plain, "verdict": "missed", "met": False},
            {**crossing, "verdict": "not shown", "met": False},
        ]
    }
    text = check.markdown(json.loads(json.dumps(content)))
    assert "| dice | 0.5 | ≥ 0.6 | 0.55 | **missed** |" in text
    assert "| r | 0.9 (0.7 … 0.97) | ≥ 0.8 | – | not shown |" in text and check.VERDICTS in text


def test_the_ceiling_is_that_of_the_same_cases_or_of_any():
    targets = {target.column: target for target in check.displaced_targets(2, "mask", CEILING, same_cases=True)}
    assert targets["carried_r"].low == pytest.approx(0.97 * 0.9)
    assert targets["carried_slope"].low == pytest.approx(0.85 * 0.8)
    assert targets["end_point"].high == pytest.approx(0.45) and targets["end_point"].ceiling == pytest.approx(0.3)
    assert (targets["carried_r"].ceiling, targets["carried_slope"].ceiling) == pytest.approx((0.9, 0.8))
    assert "carried_sign" not in targets
    targets = {target.column: target for target in check.displaced_targets(3, "mask", CEILING)}
    assert targets["carried_r"].low == pytest.approx(0.97 * 0.96) and targets["carried_sign"].low == 0.97
    without = {target.column for target in check.displaced_targets(2, "mask", None)}
    assert not {"carried_r", "end_point"} & without and "carried_calibration" in without


def test_as_many_cases_are_not_the_same_cases():
    own = {"testing_00000", "testing_00001"}
    assert check.same_cases(CEILING, FACTS, own)
    assert not check.same_cases(CEILING, FACTS, {"testing_00000", "testing_00002"})
    assert not check.same_cases(CEILING, FACTS | {"recipe": {"disease": "stroke", "seed": 1}}, own)
    assert not check.same_cases(CEILING, FACTS | {"simulator_version": 6}, own)
    assert not check.same_cases({k: v for k, v in CEILING.items() if k != "case_draws"}, FACTS, own)


def test_cases_of_which_the_change_was_measured(tmp_path):
    head = "row,pairing,case_id,carried_ventricle_change_predicted,carried_ventricle_change_true,carried_lesion_size"
    lines = ["a,paired,c0,1,2,3", "a,paired,c1,,2,3", "b,paired,c2,1,2,3", "a,thesis,c3,1,2,3", "a,paired,c4,0,0,1"]
    (tmp_path / "metrics.csv").write_text("\n".join([head, *lines, ""]))
    assert check.measured_cases(tmp_path, "a") == {"c0", "c4"}


def test_volumes_of_tumours_are_checked_by_mask_and_by_regions():
    assert check._tables("tumor", 3) == ("tumor_3d", "tumor_regions_3d") and check._tables("stroke", 3) == (
        "stroke_3d",
    )
    assert check._tables("tumor", 2) == ("tumor", "tumor_regions", "tumor_2d", "tumor_regions_2d")
    assert all((tables_folder() / f"release_{name}.yaml").is_file() for name in check._tables("tumor", 3))
    wanted = {
        condition: {target.column: target.low for target in check.displaced_targets(3, condition, None)}
        for condition in ("mask", "regions")
    }
    assert "core_present" not in wanted["mask"] and wanted["regions"]["core_present"] == 0.95
    assert wanted["mask"]["core_and_rim"] == wanted["regions"]["core_and_rim"] == 0.8
    rows = [{"row": "tumor_regions_morph", "figures": row(core_present=0.96, core_and_rim=0.7)}]
    found = {one["column"]: one["verdict"] for one in check._targets("tumor", 3, None, scores(rows, [], "regions"))}
    assert found == {"core_present": "met", "core_and_rim": "missed"}


@pytest.mark.parametrize(("column", "value", "verdict"), [("jacobian", 0.05, "met"), ("jacobian", -0.01, "missed")])
def test_the_smallest_of_all_cases_has_no_interval_and_needs_none(column, value, verdict):
    figures = {"morph": {column: {"value": value, "low": None, "high": None}}}
    assert check.met(Target(column, low=1e-6), figures, {})["verdict"] == verdict


def test_a_file_that_is_no_ceiling(tmp_path):
    place = tmp_path / "ceiling.json"
    with pytest.raises(InputError, match="--ceiling: .* is no ceiling.json"):
        check.read_ceiling(str(place), FACTS)
    for content in ([], {**CEILING, "ventricles": {"own": {"r": None}}}, {**CEILING, "recipe": None}, {"cases": 2}):
        place.write_text(json.dumps(content))
        with pytest.raises(InputError, match="give what 'python -m studies.effects_ceiling' wrote"):
            check.read_ceiling(str(place), FACTS)
    place.write_text(json.dumps(CEILING))
    assert check.read_ceiling(str(place), FACTS) == CEILING and check.read_ceiling(None, FACTS) is None


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"disease": "tumor"}, "is of disease stroke, wanted tumor"),
        ({"spatial_dims": 3}, "is of spatial dimensions 2, wanted 3"),
        ({"recipe": {"law": "elastic"}}, "is of law own, wanted elastic"),
    ],
)
def test_a_ceiling_of_another_kind_is_refused(tmp_path, other, said):
    place = tmp_path / "ceiling.json"
    place.write_text(json.dumps(CEILING))
    with pytest.raises(InputError, match=f"--ceiling: .* {said} as the cohort is"):
        check.read_ceiling(str(place), FACTS | other)
    assert check.read_ceiling(str(place), FACTS | {"recipe": {"seed": 8}}) == CEILING  # another cohort of the kind


@pytest.mark.parametrize("option", ["candidate", "scans"])
def test_what_volumes_do_not_have_is_refused(tmp_path, monkeypatch, option):
    monkeypatch.setattr(check, "cohort_facts", lambda cohort: FACTS | {"spatial_dims": 3})
    with pytest.raises(InputError, match=f"--{option}: goes with slices"):
        check.release_check(str(tmp_path / "cohort"), tmp_path / "out", **{option: "file"})
    assert not (tmp_path / "out").exists()
