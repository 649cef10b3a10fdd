# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The whole of `mededit evaluate` at toy size: what it writes, resuming, shards, and what it refuses."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from evaluation.toy import TABLE, Toy, few_draws, make_toy, save_toy_weights

from mededit_monai import cli
from mededit_monai.core.errors import InputError
from mededit_monai.datasets.evaluation import write_triplets
from mededit_monai.evaluation.edits import read_edit
from mededit_monai.evaluation.evaluate import evaluate
from mededit_monai.evaluation.realism import plane
from mededit_monai.evaluation.rows import evaluation_row
from mededit_monai.evaluation.run_row import Job, run_row


@pytest.fixture(scope="module", autouse=True)
def quick():
    with few_draws():
        yield


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Toy:
    return make_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def whole(toy, tmp_path_factory) -> Path:
    """One evaluation on both pairings; tests look at it and leave it as it is."""
    output = tmp_path_factory.mktemp("whole") / "out"
    (written,) = evaluate(toy.options(output))
    assert written == output / "table_5_1.json"
    return output


def _lines(output: Path, row: str, pairing: str) -> list[dict]:
    lines = list(csv.DictReader((output / "metrics.csv").open()))
    return [line for line in lines if (line["row"], line["pairing"]) == (f"stroke_mask_{row}", pairing)]


def _triplets(output: Path, pairing: str) -> list[dict]:
    return json.loads((output / f"triplets_{pairing}.json").read_text())["testing"]


def _table(output: Path) -> dict:
    content = json.loads((output / "table_5_1.json").read_text())
    return content | {"by_name": {row["row"].removeprefix("stroke_mask_"): row for row in content["rows"]}}


def test_what_is_kept_is_what_is_measured(toy, whole):
    cases = {case["case_id"]: case for case in json.loads((whole / "triplets_paired.json").read_text())["testing"]}
    assert len(cases) == 4 and len(_lines(whole, "mededit", "paired")) == 4
    for line in _lines(whole, "mededit", "paired"):
        case = {k: plane(whole / cases[line["case_id"]][k]) for k in ("prior", "image", "pathology")}
        edit = read_edit(whole / "edits" / "stroke_mask_mededit" / "paired" / f"{line['case_id']}.npz")
        assert (
            edit.edit.dtype == np.float32
            and edit.edit.shape == (32, 32)
            and 0 <= edit.edit.min() <= edit.edit.max() <= 1
        )
        inside = case["pathology"] > 0
        assert float(line["truth_error_lesion"]) == pytest.approx(
            np.abs(edit.edit - case["image"])[inside].mean(), 1e-5
        )
        assert float(line["kept_change_outside"]) == 0 and int(line["nfe"]) == edit.nfe == 3  # (2 - 1) * 2 + 1
        assert float(line["lesion_area"]) == pytest.approx(inside.sum() * (233 / 128) ** 2)


@pytest.mark.slow
def test_realism_in_the_bundles_own_workflow(toy, tmp_path):
    options = {"seed": 0, "judge": str(toy.judge), "device": "cpu", "progress": False, "realism": True}
    job = Job(tmp_path, toy.bundle, (str(toy.overlay),), options)
    row = evaluation_row("one", "MedEdit", "mask", {"method": "mededit", "steps": 2, "dilation": 9}, toy.bundle)
    write_triplets(toy.cohort, job.triplets("paired"), "paired", 6, 0)
    content = json.loads(job.triplets("paired").read_text())
    with pytest.raises(InputError, match="kid: cannot be measured on these cases: a set holds 2 patients; wanted at"):
        run_row(job, row, "paired")
    for k, case in enumerate(content["testing"]):
        case["anatomy"] = f"person_{k}"
    job.triplets("paired").write_text(json.dumps(content))
    run_row(job, row, "paired")
    found = json.loads((job.edits(row, "paired") / "summary.json").read_text())["sets"]
    assert set(found) == {"fid", "kid", "auc"} and found["kid"]["n_edits"] == found["kid"]["n_real"] == 6
    assert all(score["extractor"].startswith("mededit_judge_stroke_") for score in found.values())
    assert found["fid"]["value"] > 0 and found["kid"]["low"] < found["kid"]["value"] < found["kid"]["high"]


def test_controls_are_what_they_say(whole):
    for line in _lines(whole, "no_edit", "paired"):
        assert line["truth_error_zone"] == line["truth_idle_error_zone"] and float(line["contrast_lesion"]) == 0
        assert float(line["against_truth_ventricle_change_predicted"]) == 0 and line["nfe"] == "0"
    for line in _lines(whole, "truth", "paired"):
        assert float(line["truth_error_lesion"]) < 1e-7 and float(line["contrast_lesion"]) == pytest.approx(1)
    assert not _lines(whole, "area_regression", "thesis")
    for line in _lines(whole, "area_regression", "paired"):  # no ventricle of the toy changes
        assert float(line["against_truth_ventricle_change_predicted"]) == pytest.approx(0, abs=1e-9)


def test_true_images_go_through_judge_and_features_in_the_thesiss_pairing_too(toy, whole):
    """They are those of the masks' own cases, and what they are compared with is of none of the triplets' cases."""
    known = {case["case_id"]: case for case in json.loads((toy.cohort / "datalist.json").read_text())["testing"]}
    triplets, lines = _triplets(whole, "thesis"), _lines(whole, "truth", "thesis")
    assert [line["case_id"] for line in lines] == [case["mask_case"] for case in triplets]
    for line in lines:
        edit = read_edit(whole / "edits" / "stroke_mask_truth" / "thesis" / f"{line['case_id']}.npz").edit
        assert edit == pytest.approx(plane(toy.cohort / known[line["case_id"]]["image"]), abs=1e-6)
    table = _table(whole)
    used = {case[key] for case in triplets for key in ("mask_case", "prior_case")}
    facts = json.loads((whole / "evaluation.json").read_text())
    assert facts["real_images"] == 4 and len(known) == 8 and len(used) <= 4
    assert any("4 pathological test slices of the same cohort, none of them of a case" in n for n in table["notes"])
    figures = {name: row["figures"] for name, row in table["by_name"].items() if name in ("truth", "mededit")}
    fids = {name: found["fid"]["value"] for name, found in figures.items()}
    excess = figures["mededit"]["fid_excess"]
    assert excess["value"] == pytest.approx(fids["mededit"] - fids["truth"]) and excess["low"] < excess["high"]
    assert figures["truth"]["fid_excess"]["value"] == 0


def test_pairings_share_masks_and_rows_share_triplets(whole):
    found = {p: json.loads((whole / f"triplets_{p}.json").read_text()) for p in ("thesis", "paired")}
    masks = {p: [case["mask_case"] for case in content["testing"]] for p, content in found.items()}
    assert masks["thesis"] == masks["paired"] and found["thesis"]["counts"]["available"] == 4
    assert all(case["prior_case"] != case["mask_case"] for case in found["thesis"]["testing"])
    ids = [case["case_id"] for case in found["thesis"]["testing"]]
    assert [line["case_id"] for line in _lines(whole, "mededit", "thesis")] == ids
    assert [line["case_id"] for line in _lines(whole, "no_edit", "thesis")] == ids
    assert _lines(whole, "mededit", "thesis")[0]["truth_error_zone"] == ""  # no truth for these


def test_tables_hold_figures_published_ones_and_what_is_missing(whole):
    table = _table(whole)
    rows = table["by_name"]
    dice = [float(line["adherence_dice"]) for line in _lines(whole, "mededit", "thesis")]
    figures = rows["mededit"]["figures"]
    assert figures["dice"]["value"] == pytest.approx(np.mean(dice)) and figures["dice"]["n_cases"] == 4
    assert figures["combined"]["value"] == pytest.approx((1 - np.mean(dice)) * figures["fid"]["value"])
    assert rows["mededit"]["published"] == {"fid": 8.3, "combined": 3.07} and rows["mededit"]["nfe"] == 3
    assert rows["mededit"]["settings"] == {
        "steps": 2,
        "spacing": "logsnr",
        "method": "mededit",
        "dilation": 9,
        "resample": 2,
    }
    assert rows["palette"]["figures"]["dice"] is None and rows["palette"]["published"] == {"fid": 9.08}
    assert "Palette: not measured (weights palette.pt missing)." in table["notes"]
    assert rows["truth"]["figures"]["contrast"]["value"] == pytest.approx(1)
    assert rows["area_regression"]["figures"]["zone_error"] is None
    assert any("lesion 0.900 (0.800 … 0.950)" in note for note in table["notes"])
    against = {(c["row"], c["against"], c["column"]): c for c in table["comparisons"]}
    difference = against["stroke_mask_mededit", "stroke_mask_no_edit", "zone_error"]
    means = [
        np.mean([float(line["truth_error_zone"]) for line in _lines(whole, r, "paired")])
        for r in ("mededit", "no_edit")
    ]
    assert difference["difference"] == pytest.approx(means[0] - means[1]) and difference["p"] is not None
    combined = against["stroke_mask_mededit", "stroke_mask_no_edit", "combined"]
    wanted = figures["combined"]["value"] - rows["no_edit"]["figures"]["combined"]["value"]
    assert combined["difference"] == pytest.approx(wanted) and combined["p"] is None
    text = (whole / "table_5_1.md").read_text()
    assert "| Palette | – |" in text and "Published in the thesis, on other data" in text and "3.07" in text
    lines = list(csv.DictReader((whole / "table_5_1.csv").open()))
    assert float(lines[1]["dice"]) == pytest.approx(np.mean(dice)) and lines[1]["fid_published"] == "8.3"


def test_facts_hold_no_paths(toy, whole):
    facts = json.loads((whole / "evaluation.json").read_text())
    assert facts["synthetic"] and facts["judge"]["ceiling"] == {"lesion": 0.9, "ventricle_left": None}
    assert facts["tables"] == ["5.1"] and facts["rows"]["stroke_mask_palette"]["measured"] is False
    assert facts["extractors"][0]["name"].endswith("/bottleneck") and facts["preset"] == "quick"
    assert facts["command"].startswith(f"mededit evaluate --cohort {toy.cohort.name} --table {toy.table.name} ")
    for name in ("evaluation.json", "table_5_1.json", "table_5_1.md"):
        assert str(toy.cohort.parent) not in (whole / name).read_text()


def test_a_deleted_edit_alone_is_made_again(toy, whole, tmp_path):
    output = tmp_path / "out"
    shutil.copytree(whole, output)
    places = sorted((output / "edits").rglob("thesis/*.npz"))
    before = {place: (place.read_bytes(), place.stat().st_mtime_ns) for place in places}
    lost = next(place for place in places if "mededit" in str(place))
    lost.unlink()
    half = [lost.with_name(f".0123abcd.unfinished.{name}") for name in (lost.name, "settings.json", ".mededit.json")]
    for place in half:
        place.write_bytes(b"half, from a run that was killed")
    evaluate(toy.options(output, pairing="thesis"))
    assert not any(place.exists() for place in half)
    for place in places:
        if place != lost:
            assert (place.read_bytes(), place.stat().st_mtime_ns) == before[place]
    again = read_edit(lost).edit
    lost.write_bytes(before[lost][0])
    assert np.abs(again - read_edit(lost).edit).max() < 1e-4  # batches round differently
    dice = [_table(folder)["by_name"]["mededit"]["figures"]["dice"] for folder in (whole, output)]
    assert dice[0] == dice[1]


def test_other_weights_make_a_row_again_and_say_so(toy, whole, tmp_path, capsys):
    output, bundle = tmp_path / "out", tmp_path / "bundle"
    shutil.copytree(whole, output)
    shutil.copytree(toy.bundle, bundle)
    save_toy_weights(bundle)
    evaluate(toy.options(output, bundle=str(bundle), pairing="thesis", limit=2))
    said = [line for line in capsys.readouterr().err.splitlines() if "was made with" in line]
    assert len(said) == 1 and "was made with weights_sha256" in said[0] and "its edits are made again" in said[0]
    chosen = {case["case_id"] for case in json.loads((output / "triplets_thesis.json").read_text())["testing"]}
    assert len(chosen) == 2 and chosen < {case["case_id"] for case in _triplets(whole, "thesis")}
    for row, same in (("mededit", False), ("no_edit", True)):  # doing nothing takes no weights
        for case in chosen:
            place = Path("edits") / f"stroke_mask_{row}" / "thesis" / f"{case}.npz"
            assert ((output / place).read_bytes() == (whole / place).read_bytes()) == same
    figures = _table(output)["by_name"]["mededit"]["figures"]
    assert figures["zone_error"] is None and figures["dice"]["n_cases"] == 2  # no pairs were asked for


@pytest.mark.slow
def test_shards_together_are_the_whole(toy, whole, tmp_path):
    options = toy.options(tmp_path / "out", pairing="thesis")
    for shard in ("1/2", "2/2"):
        assert evaluate(replace(options, shard=shard)) is None
        made = len(list((tmp_path / "out" / "edits" / "stroke_mask_mededit" / "thesis").glob("*.npz")))
        assert made == {"1/2": 2, "2/2": 4}[shard] and not (tmp_path / "out" / "metrics.csv").exists()
    for place in (tmp_path / "out" / "edits").rglob("*.npz"):
        same = whole / place.relative_to(tmp_path / "out")
        assert np.abs(read_edit(place).edit - read_edit(same).edit).max() < 1e-4


@pytest.mark.slow
def test_workers_make_the_same_edits(toy, whole, tmp_path):
    pytest.importorskip("distributed")
    options = toy.options(tmp_path / "out", pairing="thesis", cluster="local:2")
    assert [path.name for path in evaluate(options)] == ["table_5_1.json"]
    made = list((tmp_path / "out" / "edits").rglob("*.npz"))
    assert made and not list((tmp_path / "out").rglob(".*.unfinished*"))
    for place in made:
        same = whole / place.relative_to(tmp_path / "out")
        assert np.array_equal(read_edit(place).edit, read_edit(same).edit)


@pytest.mark.slow
def test_a_second_table_joins_the_first(toy, whole, tmp_path):
    output = tmp_path / "out"
    shutil.copytree(whole, output)
    second = TABLE | {"table": "5.2", "kind": "kernel", "columns": ["fid", "outside"]}
    rows = {"mededit": TABLE["rows"]["mededit"]}
    rows["mededit_k5"] = {"label": "k = 5", "settings": {"method": "mededit", "dilation": 5, "resample": 2}}
    path = tmp_path / "second.yaml"
    path.write_text(yaml.safe_dump(second | {"rows": rows}))
    stamps = {p: p.stat().st_mtime_ns for p in (output / "edits").rglob("*.npz")}
    evaluate(toy.options(output, tables=(str(path),)))
    assert all(p.stat().st_mtime_ns == stamp for p, stamp in stamps.items())  # MedEdit's row is not edited twice
    facts = json.loads((output / "evaluation.json").read_text())
    assert facts["tables"] == ["5.1", "5.2"] and (output / "table_5_1.json").is_file()
    assert f"--table {toy.table.name} --table second.yaml" in facts["command"]
    rows = {line["row"] for line in csv.DictReader((output / "metrics.csv").open())}
    assert {"stroke_mask_no_edit", "stroke_mask_mededit_k5", "stroke_mask_mededit"} <= rows
    # Without a figure of features all test cases may be edited, not half of them: other triplets, the first table goes.
    path.write_text(yaml.safe_dump(second | {"columns": ["outside"], "rows": {"mededit": TABLE["rows"]["mededit"]}}))
    evaluate(toy.options(output, tables=(str(path),)))
    assert not (output / "table_5_1.json").exists()
    facts = json.loads((output / "evaluation.json").read_text())
    assert facts["tables"] == ["5.2"] and list(facts["rows"]) == ["stroke_mask_mededit"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tables": ("5.9",)}, "--table: got '5.9', wanted one of 5.1, 5.2"),
        ({"tables": ("5.5",)}, "--table: 5.5 is about 'tumor', the cohort is about 'stroke'"),
        ({"tables": ()}, "--table: is missing"),
        ({"pairing": "random"}, "--pairing: got 'random'"),
        ({"shard": "3/2"}, "--shard: got '3/2', wanted i/n"),
        ({"limit": 1}, "--limit: got 1, wanted a whole number of at least 2"),
        ({"judge": "nowhere"}, "--judge: judge_stroke.pt of 'stroke' not found, the folder holds none"),
        ({"bundle": "tumor"}, "--bundle: tumor is about 'tumor', wanted one about 'stroke'"),
        ({"cohort": "nowhere"}, "datalist.json: not found; give the folder of a cohort"),
        ({"features": "nowhere.pt"}, "--features: nowhere.pt not found"),
    ],
)
def test_what_it_refuses(toy, tmp_path, changes, message):
    with pytest.raises(InputError, match=message.replace(".", r"\.")):
        evaluate(toy.options(tmp_path / "out", **changes))
    assert not (tmp_path / "out").exists()


def test_a_cohort_without_pairs(toy, tmp_path):
    content = json.loads((toy.cohort / "datalist.json").read_text())
    for case in content["testing"]:
        del case["ventricles"]
    folder = tmp_path / "cohort"
    shutil.copytree(toy.cohort, folder)
    (folder / "datalist.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="--pairing: got 'both', but .* holds no pairs .*; give --pairing thesis"):
        evaluate(toy.options(tmp_path / "out", cohort=str(folder)))


def _mededit(monkeypatch, capsys, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["mededit", "evaluate", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_the_command(toy, tmp_path, monkeypatch, capsys):
    code, out, _ = _mededit(monkeypatch, capsys, "--help")
    assert code == 0 and "Example: mededit evaluate" in out
    given = ("--cohort", str(toy.cohort), "--judge", str(toy.judge), "--no-report", "-o", str(tmp_path / "out"))
    code, out, err = _mededit(monkeypatch, capsys, *given, "--table", "5.9")
    assert code == 2 and err.splitlines() == [
        "mededit: --table: got '5.9', wanted one of 5.1, 5.2, 5.3, 5.4, 5.5, 5.6, 5.7, 5.8, all; did you mean '5.8'?"
    ]
    small = ("--bundle", str(toy.bundle), "--config", str(toy.overlay), "--limit", "2", "--pairing", "thesis", "--json")
    code, out, _ = _mededit(monkeypatch, capsys, *given, *small, "--table", str(toy.table))
    assert code == 0
    assert json.loads(out) == {"synthetic": True, "written": [str(tmp_path / "out" / "table_5_1.json")]}
    code, out, _ = _mededit(monkeypatch, capsys, *given, *small, "--table", str(toy.table), "--shard", "1/2")
    assert code == 0 and json.loads(out)["shard"] == "1/2"


@pytest.mark.slow
def test_processes_of_torchrun_share_the_edits(toy, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29617"]
    command += ["-m", "mededit_monai.cli", "evaluate", "--cohort", str(toy.cohort), "--judge", str(toy.judge)]
    command += ["--bundle", str(toy.bundle), "--config", str(toy.overlay), "--table", str(toy.table), "--no_report"]
    command += ["--pairing", "thesis", "--device", "cpu", "-o", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "stroke_mask_mededit, thesis, share 1/2" in done.stderr and done.stdout.count("table_5_1.md") == 1
    assert len(_lines(tmp_path / "out", "mededit", "thesis")) == 4
