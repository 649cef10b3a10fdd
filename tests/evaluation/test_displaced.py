# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""An evaluation of edits that displace the scan, slices and volumes, at toy size: no judge measures the ventricles."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from evaluation.moved_cohort import ATTENTION, PIXEL_MM, SIZES, save_moving_weights, write_moved_cohort
from evaluation.toy import TABLE, Toy, few_draws, make_toy, save_toy_judge

from mededit_monai.core.errors import InputError
from mededit_monai.evaluation.bench import BenchOptions, bench
from mededit_monai.evaluation.bench_plan import bench_file
from mededit_monai.evaluation.displaced import read_along_axes
from mededit_monai.evaluation.edits import read_edit
from mededit_monai.evaluation.evaluate import evaluate
from mededit_monai.evaluation.realism import plane
from mededit_monai.evaluation.rows import planned_rows
from mededit_monai.evaluation.tables import read_table
from mededit_monai.io.displacement import write_displacement
from mededit_monai.methods.build import effects_network
from mededit_monai.metrics import carried_change, end_point_error, lesion_features
from mededit_monai.networks import save_weights
from mededit_monai.reports.evaluation_folder import EvaluationFolder
from mededit_monai.reports.evaluation_report import write_report

COLUMNS = [
    *("dice", "zone_error", "ventricle_r", "lesion_auc", "carried_r", "carried_slope", "carried_calibration"),
    *("carried_error", "carried_sign", "end_point", "end_point_idle", "jacobian", "still", "still_true", "far"),
    *("round_trip", "displaced_error", "composition", "ungated_velocity", "ungated_paint"),
]
ROWS = {
    "morph": {"label": "morph", "settings": {"method": "morph", "steps": 2}},
    "morph_still": {"label": "morph, nothing moves", "settings": {"method": "morph", "steps": 2, "effects": 0}},
    "morph_p0": {"label": "no lesion", "settings": {"method": "morph", "steps": 2, "control": "without_lesion"}},
    "no_edit": {"label": "no edit", "settings": {"method": "morph", "control": "no_edit"}},
    "truth": {"label": "truth", "settings": {"method": "morph", "control": "truth"}},
    "area_regression": {"label": "area", "settings": {"control": "area_regression"}},
}


#: How many cases there are of slices and, which take longer, of volumes.
CASES = {2: 4, 3: 3}


@pytest.fixture(scope="module", params=[2, pytest.param(3, marks=pytest.mark.slow)])
def found(request, tmp_path_factory) -> tuple[Toy, Path, int]:
    """An evaluation of all rows on the pairs; tests look at it and leave it as it is."""
    folder, dims = tmp_path_factory.mktemp("moved"), request.param
    toy = make_toy(folder)
    cohort = write_moved_cohort(folder / "moved", dims)
    save_moving_weights(toy.bundle, dims)
    rows = dict(ROWS)
    if dims == 3:
        save_toy_judge(toy.judge, 3)
        save_moving_weights(toy.bundle, 2)
        rows["by_slice"] = {"label": "slices", "settings": {"method": "morph", "steps": 2, "control": "by_slice"}}
    if dims == 2:
        joined = {"method": "mededit", "dilation": 9, "resample": 1, "effects": 1}
        rows["mededit"] = {"label": "MedEdit", "settings": {key: joined[key] for key in joined if key != "effects"}}
        rows["mededit_effects"] = {"label": "MedEdit with effects", "settings": joined}
    toy.table.write_text(yaml.safe_dump(TABLE | {"columns": COLUMNS, "rows": rows}, sort_keys=False))
    toy.overlay.write_text(yaml.safe_dump(SIZES | {"attention_levels": ATTENTION, "reference_dilation": 9}))
    toy = Toy(cohort, toy.bundle, toy.judge, toy.overlay, toy.table)
    with few_draws():
        evaluate(toy.options(folder / "out", pairing="paired" if dims == 2 else "both", limit=CASES[dims]))
    return toy, folder / "out", dims


def lines(output: Path, row: str) -> list[dict]:
    return [one for one in csv.DictReader((output / "metrics.csv").open()) if one["row"] == f"stroke_mask_{row}"]


def figures(output: Path) -> dict[str, dict]:
    content = json.loads((output / "table_5_1.json").read_text())
    return {row["row"].removeprefix("stroke_mask_"): row["figures"] for row in content["rows"]}


def test_what_is_kept_of_a_displacement_is_what_is_measured(found):
    toy, output, dims = found
    cases = json.loads((output / "triplets_paired.json").read_text())["testing"]
    assert len(cases) == len(lines(output, "morph")) == CASES[dims]
    for case, line in zip(cases, lines(output, "morph")):
        assert line["case_id"] == case["case_id"]
        stored = read_edit(output / "edits" / "stroke_mask_morph" / "paired" / f"{line['case_id']}.npz", None, True)
        assert stored.extras["displacement"].shape == (dims, *(32,) * dims) and stored.extras["painted"].dtype == bool
        true = read_along_axes(str(output / case["displacement"]), dims)
        labels, lesion, brain = (plane(output / case[k]) for k in ("prior_ventricles", "pathology", "brain"))
        wanted = [carried_change(labels, u, lesion, PIXEL_MM).sum() for u in (stored.extras["displacement"], true)]
        measured = [float(line[f"carried_ventricle_change_{kind}"]) for kind in ("predicted", "true")]
        assert measured == pytest.approx(wanted, rel=1e-5) and wanted[1] > 0 and wanted[0] != 0
        error = end_point_error(stored.extras["displacement"], true, lesion, brain)
        assert float(line["end_point_error"]) == pytest.approx(error.error, rel=1e-5)
        image, prior = plane(output / case["image"]), plane(output / case["prior"])
        features = lesion_features(stored.edit, prior, lesion, brain)
        assert float(line["features_edit_mean"]) == pytest.approx(features[0], rel=1e-4)
        painted, moved = stored.extras["painted"][0], (stored.extras["displacement"] != 0).any(axis=0)
        assert (stored.edit[~painted] == (stored.extras["displaced"][0][~painted] + 1) / 2).all()
        assert np.abs(stored.edit - prior)[~painted & ~moved].max() < 1e-6 and image.ndim == dims


def test_doing_nothing_and_the_truth_show_what_the_figures_mean(found):
    _, output, dims = found
    rows = figures(output)
    assert rows["truth"]["end_point"]["value"] == 0 and rows["truth"]["carried_error"]["value"] == 0
    assert rows["truth"]["carried_calibration"]["value"] == pytest.approx(1)
    assert rows["truth"]["carried_sign"] is None or rows["truth"]["carried_sign"]["value"] == 1
    assert rows["no_edit"]["end_point"]["value"] == pytest.approx(rows["no_edit"]["end_point_idle"]["value"])
    assert rows["no_edit"]["still_true"]["value"] < 1 and rows["no_edit"]["carried_r"] is None
    assert rows["morph_p0"]["end_point"]["value"] == pytest.approx(rows["no_edit"]["end_point"]["value"])
    assert rows["morph_p0"]["still"]["value"] == 1 and rows["morph_p0"]["jacobian"]["value"] == 1
    assert rows["area_regression"]["carried_error"]["value"] > 0
    if dims == 3:
        judged = [float(line["adherence_dice"]) for line in lines(output, "morph")]
        dice = rows["morph"]["dice"]
        assert dice["value"] == pytest.approx(np.mean(judged)) and dice["n_cases"] == CASES[3]
        true = [float(line["carried_ventricle_change_true"]) for line in lines(output, "truth")]
        assert max(true) < 1  # ml, not mm³


def test_what_holds_whatever_the_weights_are(found):
    _, output, dims = found
    for name in ("morph", "mededit_effects") if dims == 2 else ("morph",):
        row = figures(output)[name]
        assert row["composition"]["value"] == 0 and row["composition"]["low"] is None
        assert row["ungated_velocity"]["value"] > 0 and 0 < row["still"]["value"] < 1
        if name == "morph" and dims == 2:
            assert row["ungated_paint"]["value"] > 0
        else:
            assert row["ungated_paint"] is None
        assert row["round_trip"]["value"] < 0.1 and row["jacobian"]["value"] < 1


def test_rows_that_displace_nothing_have_no_such_figures(found):
    _, output, dims = found
    for name in ("morph_still", "mededit") if dims == 2 else ("morph_still",):
        row = figures(output)[name]
        assert row["carried_r"] is None and row["end_point"] is None and row["zone_error"] is not None
        assert row["lesion_auc"] is not None  # which takes no displacement


@pytest.mark.slow
def test_other_weights_of_the_effects_network_make_the_edits_again(found, tmp_path, capsys):
    toy, _, dims = found
    if dims == 3:
        pytest.skip("the same code")
    bundle, table = tmp_path / "bundle", tmp_path / "table.yaml"
    shutil.copytree(toy.bundle, bundle)
    table.write_text(yaml.safe_dump(TABLE | {"columns": ["end_point"], "rows": {"morph": ROWS["morph"]}}))
    asked = toy.options(tmp_path / "out", bundle=str(bundle), tables=(str(table),), pairing="paired", limit=2)
    weights = bundle / "models" / "effects.pt"
    for network, made_again in ((None, False), (effects_network(2, PIXEL_MM), True)):
        if network is not None:
            save_weights(network, weights)
        capsys.readouterr()
        evaluate(asked)
        said = [line for line in capsys.readouterr().err.splitlines() if "was made with" in line]
        assert len(said) == made_again and all("effects_sha256" in line for line in said)
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["rows"]["stroke_mask_morph"][
        "effects_weights"
    ]
    weights.unlink()
    row = planned_rows([read_table(table)], "quick", bundle)["stroke_mask_morph"]
    assert row.reason == "not measured (weights effects.pt missing)"


@pytest.mark.one_in(2)
def test_the_report_shows_carried_ventricles_and_slices_of_volumes(found):
    _, output, dims = found
    page = write_report(output).read_text()
    assert 'id="ventricles-5_1-carried"' in page and 'id="ventricles-5_1"' in page
    assert "No judge takes part" in page and 'id="cases-5_1-paired"' in page
    case, *_ = json.loads((output / "triplets_paired.json").read_text())["testing"]
    shown = EvaluationFolder(output).plane("paired", case["case_id"], "pathology")
    assert shown.shape == (32, 32) and shown.any()


def test_volumes_are_not_paired_with_other_peoples_lesions(found, tmp_path):
    toy, _, dims = found
    if dims == 2:
        pytest.skip("of volumes")
    with pytest.raises(InputError, match="--pairing: got 'thesis', but .* holds volumes"):
        evaluate(toy.options(tmp_path / "out", pairing="thesis"))


def test_vectors_along_the_axes_of_a_turned_grid(tmp_path):
    """On a grid whose first axis is the world's y, a step of 2 mm along it is (2, 0) there and (0, 2) in the world."""
    field = np.zeros((3, 4, 5, 1), np.float32)
    field[1] = 2.0  # world
    affine = np.array([[0, 1.5, 0, 0], [1.5, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    write_displacement(tmp_path / "u.nii", field, affine)
    assert np.allclose(read_along_axes(str(tmp_path / "u.nii"), 2)[:, 0, 0], (2, 0))


def test_volumes_slice_by_slice_have_a_row(found):
    """Moved in the plane alone, where there is lesion; measured as the others."""
    toy, output, dims = found
    if dims == 2:
        pytest.skip("slices are edited as slices")
    rows = figures(output)
    assert rows["by_slice"]["end_point"]["n_cases"] == rows["morph"]["end_point"]["n_cases"]
    assert rows["by_slice"]["jacobian"]["value"] is not None and rows["by_slice"]["round_trip"]["value"] < 1
    case, *_ = json.loads((output / "triplets_paired.json").read_text())["testing"]
    stored = read_edit(output / "edits" / "stroke_mask_by_slice" / "paired" / f"{case['case_id']}.npz", None, True)
    held = plane(output / case["pathology"]).any(axis=(0, 1)) > 0
    moved = stored.extras["displacement"]
    assert not moved[2].any() and not moved[..., ~held].any() and moved[..., held].any()


@pytest.mark.slow
def test_the_bench_of_volumes(found, tmp_path):
    """With the judge of volumes; slice by slice is timed as an editor, and is what the others are held against."""
    toy, _, dims = found
    if dims == 2:
        pytest.skip("of volumes")
    content = yaml.safe_load(bench_file(3).read_text())
    content["rows"] = {name: content["rows"][name] for name in ("truth", "by_slice")}
    content["rows"]["by_slice"]["settings"]["steps"] = 2
    content["series"]["morph"]["values"] = [1]
    place = tmp_path / "rows.yaml"
    place.write_text(yaml.safe_dump(content | {"default": "morph_1"}, sort_keys=False))
    asked = {"cohort": str(toy.cohort), "output": str(tmp_path / "out"), "bundle": str(toy.bundle), "cases": 3}
    with few_draws():
        written = bench(BenchOptions(**asked, config=str(place), configs=(str(toy.overlay),), device="cpu"))
    content = json.loads(written.read_text())
    rows = {row["row"]: row for row in content["rows"]}
    assert list(rows) == ["truth", "by_slice", "morph_1"] and "start_up" not in content
    assert content["judge"]["name"].startswith("mededit_judge_stroke_3d")
    assert rows["by_slice"]["seconds"] > 0 and rows["by_slice"]["nfe"] == 3 and rows["by_slice"]["per_minute"] > 0
    assert rows["by_slice"]["against_reference"] is None
    for name, exact in (("truth", True), ("morph_1", False)):
        verdict = rows[name]["against_reference"]
        assert set(content["margins"]) < set(verdict) and verdict["n_cases"] == 3
        assert (abs(verdict["zone_share"]) < 1e-6) is exact
    assert rows["truth"]["figures"]["slice_step"]["value"] == pytest.approx(1)
    text = (tmp_path / "out" / "bench.md").read_text()
    assert (
        "Judge: none of volumes" not in text
        and "Judge: mededit_judge_stroke_3d" in text
        and "end-point error, mm at most 5 % higher" in text
    )
    assert (tmp_path / "out" / "bench.png").stat().st_size > 5000
