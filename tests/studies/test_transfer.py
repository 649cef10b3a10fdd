# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The table of other truths: what is simulated, what is shown, and one cell from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.evaluation.tables import read_table, tables_folder
from mededit_monai.simulation.laws import LAWS
from mededit_monai.simulation.looks import LOOKS
from mededit_monai.simulation.plan import Recipe, plan_cases
from studies import transfer as study


def figure(value: float) -> dict:
    return {"value": value, "low": value - 1, "high": value + 1, "n_cases": 3, "n_groups": 1}


@pytest.mark.parametrize("path", sorted(tables_folder().glob("transfer_*.yaml")), ids=lambda p: p.stem)
def test_the_tables_hold_what_is_shown(path):
    table = read_table(path)
    rows, shown = {row.name for row in table.rows}, {column for _, column, _ in study.SHOWN}
    beside = [other for _, _, other in study.SHOWN if other is not None]
    assert not table.of_thesis and path.stem == f"transfer_{table.bundle}"
    assert shown | {column for _, column in beside} <= set(table.columns)
    assert {study.DEFAULT} | {row for row, _ in beside} <= rows


def test_a_cohort_for_every_law_and_look():
    found = study.recipes("tumor", list(LAWS), list(LOOKS), 7, 2, 4, lesions="masks")
    assert list(found)[0] == "own_own" and len(found) == len(LAWS) * len(LOOKS)
    one = found["remote_second"]
    assert (one.law, one.look, one.counts, one.seed, one.lesions) == ("remote", "second", (0, 0, 7), 4, "masks")


def test_every_base_is_used(tmp_path):
    for name in "abcd":
        (tmp_path / f"{name}.nii.gz").touch()
    asked = (["own"], ["own"], 8, 2, 0)
    of_anatomies, of_bases = (
        study.recipes("stroke", *asked, anatomies=str(tmp_path), testing_only=only)["own_own"] for only in (False, True)
    )
    (_, members), (second, all_of_them) = plan_cases(of_anatomies), plan_cases(of_bases)
    assert len(members["testing"]) == 1 and not all_of_them["training"] and not all_of_them["validation"]
    assert [Path(case.anatomy).name for case in second] == [f"{name}.nii.gz" for name in "abcdabcd"]
    assert of_bases.as_json() == of_anatomies.as_json() | {"testing_only": True}


def test_bases_are_for_testing_alone():
    with pytest.raises(InputError, match="--counts"):
        Recipe(counts=(1, 0, 3), testing_only=True).check()
    with pytest.raises(InputError, match="--counts"):
        Recipe(testing_only=True).check()


def test_refused_before_anything_is_written(tmp_path):
    for options, words in (
        ({"laws": ["own", "elastik"]}, "--law"),
        ({"cases": 0}, "--cases"),
        ({"condition": "regions"}, "--condition: got 'regions', wanted one of mask, box"),
        ({"anatomies": str(tmp_path)}, "lies in"),
    ):
        with pytest.raises(InputError, match=words):
            study.transfer(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit):
        study.main(["--anatomies", "a", "--bases", "b"])


def test_a_line_has_the_editor_beside_doing_nothing():
    rows = {
        "morph": {"end_point": figure(0.5), "end_point_idle": figure(2), "zone_error": figure(3), "carried_r": None},
        "no_edit": {"zone_error": figure(7)},
        "truth": {},
    }
    content = {"note": "N.", "disease": "stroke", "spatial_dims": 2, "cases": 3, "seed": 1, "lesions": None}
    content["condition"] = "regions"
    content |= {"anatomies": "SCANS", "truths": {"elastic_own": {"law": "elastic", "look": "own", "rows": rows}}}
    text = study.markdown(content)
    line = next(line for line in text.splitlines() if line.startswith("| elastic"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    heads = ["law", "look", *(head for head, _, _ in study.SHOWN)]
    told = dict(zip(heads, cells))
    assert told["end-point error, mm (no edit)"] == "0.5 (-0.5 … 1.5); 2"
    assert told["error in M∖p (no edit)"] == "3 (2 … 4); 7" and told["ventricle r"] == "–"
    assert told["Dice (truth)"] == "– (–)" and "anatomies of SCANS" in text
    assert text.splitlines()[0].endswith("stroke, slices, regions")


def test_the_editor_is_told_what_was_asked_for(tmp_path, monkeypatch):
    asked = []

    def measured(folder, recipe, table, *_):
        asked.append(read_table(table))
        return {"rows": {}, "notes": []}

    monkeypatch.setattr(study, "_measured", measured)
    monkeypatch.setattr(study, "markdown", lambda content: content["condition"])
    study.transfer(tmp_path / "out", "tumor", ["none"], ["own"], 3, condition="regions")
    (table,) = asked
    plain = read_table(tables_folder() / "transfer_tumor.yaml")
    assert table.condition == "regions" and (table.rows, table.columns) == (plain.rows, plain.columns)
    assert (tmp_path / "out" / "transfer.md").read_text() == "regions"


@pytest.mark.slow
def test_from_end_to_end_and_again(tmp_path, capsys):
    words = ["--law", "none", "--look", "second", "--cases", "2", "-o", str(tmp_path / "out")]
    assert study.main(words) == 0
    content = json.loads((tmp_path / "out" / "transfer.json").read_bytes())
    rows = content["truths"]["none_second"]["rows"]
    assert rows["truth"]["needless"]["value"] < 2e-5 and rows["truth"]["zone_error"]["value"] < 1e-6
    assert rows["no_edit"]["change"]["value"] < 1e-6 and rows["morph"]["change"]["value"] > 0
    assert rows["morph"]["composition"]["value"] == 0 and rows["morph_p0"]["change"]["value"] < 1e-6
    assert rows["morph"]["end_point"] is None  # nothing moves
    assert (tmp_path / "out" / "none_second" / "cases.png").is_file()
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "none_second" / "cohort").rglob("*.nii")}
    assert study.main(words) == 0
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "none_second" / "cohort").rglob("*.nii")}
    assert "| none | second |" in capsys.readouterr().out
