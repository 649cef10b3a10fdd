# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit bench` as a whole at toy size."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from evaluation.toy import few_draws, make_toy

from mededit_monai import cli
from mededit_monai.core.errors import InputError
from mededit_monai.datasets.evaluation import edited_half, real_images
from mededit_monai.evaluation import timing
from mededit_monai.evaluation.bench import BenchOptions, bench
from mededit_monai.evaluation.bench_plan import bench_file
from mededit_monai.evaluation.bench_tables import COSTS, bench_lines, comparison
from mededit_monai.evaluation.run_row import Job
from mededit_monai.evaluation.timing import PeakMemory, network_sizes


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return make_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """The shipped file with few, short rows."""
    content = yaml.safe_load(bench_file().read_text())
    kept = ("no_edit", "truth", "algorithm_1", "monai_ddim_50")
    content["rows"] = {name: content["rows"][name] for name in kept}
    content["rows"]["algorithm_1"] |= {"cases": 3}
    content["rows"]["algorithm_1"]["settings"] |= {"steps": 8, "resample": 2}
    content["rows"]["monai_ddim_50"]["settings"] |= {"steps": 4}
    content["series"] = {
        name: content["series"][name] | {"values": values}
        for name, values in {"composed": [2, 1], "morph": [2, 1], "start": [0.5]}.items()
    }
    content["series"]["start"]["settings"] |= {"steps": 4, "resample": 1}
    content["default"] = "composed_2"
    place = tmp_path_factory.mktemp("rows") / "bench.yaml"
    place.write_text(yaml.safe_dump(content, sort_keys=False))
    return place


def options(toy, rows, output, **changes) -> BenchOptions:
    given = {
        "cohort": str(toy.cohort),
        "output": str(output),
        "bundle": str(toy.bundle),
        "cases": 4,
        "config": str(rows),
        "judge": str(toy.judge),
        "configs": (str(toy.overlay),),
        "device": "cpu",
        "speed": False,
    }
    return BenchOptions(**given | changes)


@pytest.mark.slow
def test_rows_costs_verdicts_and_files(toy, rows, tmp_path):
    with few_draws():
        place = bench(options(toy, rows, tmp_path / "out"))
    content = json.loads(place.read_text())
    by_name = {row["row"]: row for row in content["rows"]}
    order = ["no_edit", "truth", "algorithm_1", "monai_ddim_50", "composed_2", "composed_1", "start_0.5"]
    assert list(by_name) == order and list(content["left_out"]) == ["morph_2", "morph_1"]
    assert [by_name[name]["nfe"] for name in order] == [0, 0, 15, 4, 2, 1, 2]
    assert [by_name[name]["n_cases"] for name in order] == [4, 4, 3, 4, 4, 4, 4]
    fast, slow = by_name["composed_1"], by_name["algorithm_1"]
    assert fast["fewer_evaluations"] == 15 and fast["faster"] == pytest.approx(slow["seconds"] / fast["seconds"])
    assert slow["against_reference"] is None and fast["against_reference"]["n_cases"] == 3
    assert by_name["truth"]["against_reference"]["zone_share"] == pytest.approx(0, abs=1e-5)
    assert by_name["no_edit"]["against_reference"] is None
    assert by_name["truth"]["figures"]["zone_error"]["value"] == pytest.approx(0, abs=1e-7)
    assert by_name["truth"]["figures"]["contrast"]["value"] == pytest.approx(1)
    assert content["synthetic"] is True and str(tmp_path) not in place.read_text()
    lines = list(csv.DictReader((tmp_path / "out" / "bench.csv").open()))
    assert [line["row"] for line in lines] == order and float(lines[3]["seconds"]) > 0
    text = (tmp_path / "out" / "bench.md").read_text()
    assert "## No worse than MedEdit, Algorithm 1" in text and "paint.pt and effects.pt missing" in text
    assert all((tmp_path / "out" / name).stat().st_size > 5000 for name in ("bench.png", "bench_start.png"))
    # again: nothing is edited or timed anew
    edits = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.npz")}
    with few_draws():
        bench(options(toy, rows, tmp_path / "out"))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.npz")} == edits
    again = json.loads(place.read_text())["rows"]
    assert [row["seconds"] for row in again] == [row["seconds"] for row in content["rows"]]


@pytest.mark.slow
def test_no_image_that_kid_is_measured_to_is_of_an_edited_case(toy, rows, tmp_path):
    with few_draws():
        bench(replace(options(toy, rows, tmp_path / "out", cases=20), rows=("no_edit", "truth")))
    used = {case["case_id"] for case in json.loads((tmp_path / "out" / "triplets_paired.json").read_text())["testing"]}
    half = set(edited_half(toy.cohort, 0))
    content = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert used == half and content["real_images"] == len(real_images(toy.cohort, half)) == 4


def test_times_stand_for_the_same_network_and_cases_alone(tmp_path, monkeypatch):
    taken = []
    monkeypatch.setattr(timing, "time_row", lambda job, row: taken.append(row.key) or timing.Timing(1, 1.0, 1.0, 1.0))
    (tmp_path / "triplets_paired.json").write_text("{}")
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("channels: [8]\n")
    facts = {"settings": {"steps": 2}, "weights_sha256": "a"}
    row = SimpleNamespace(key="row", control=timing.TIMED[0], settings={"steps": 2}, facts=lambda: dict(facts))
    for change in ("nothing", "nothing", "weights", "overlay", "cases"):
        if change == "weights":
            facts["weights_sha256"] = "b"
        if change == "overlay":
            overlay.write_text("channels: [16]\n")
        if change == "cases":
            (tmp_path / "triplets_paired.json").write_text("[]")
        timing.Timings(Job(tmp_path, Path("stroke"), [str(overlay)])).take(row)
    assert len(taken) == 4  # all but the second


def verdict_of(row: list[bool], truth: list[bool]) -> str:
    """The word in the table for a row and the truth that keep or miss the bounds of Dice and KID."""
    names = ("dice", "kid")
    held = {"advantage": 0.0, "bound": 0.0, "margin": 0.1}
    lines = []
    for name, kept in (("reference", None), ("truth", truth), ("fast", row)):
        other = None
        if kept is not None:
            other = {key: held | {"non_inferior": value} for key, value in zip(names, kept)}
            other |= {"no_worse": all(kept), "zone_share": 0.5, "n_cases": 8}
        costs = {"group": "", "value": None, "n_cases": 8, **dict.fromkeys(COSTS), "figures": {}}
        lines.append({"row": name, "label": name, "against_reference": other, **costs})
    margins = dict.fromkeys((*names, "ventricle_error"), 0.1)
    other_margin = held | {"non_inferior": True}
    for line in lines[1:]:
        line["against_reference"]["ventricle_error"] = other_margin
    content = {"rows": lines, "reference": "reference", "margins": margins}
    words = next(line for line in comparison(content) if line.startswith("| fast")).split("|")[-3].strip()
    assert bench_lines(content)[-1]["no_worse"] == words  # the CSV says what the page says
    return words


@pytest.mark.parametrize(
    ("row", "truth", "verdict"),
    [
        ([True, True], [True, True], "yes"),
        ([True, False], [True, True], "no"),
        ([True, False], [True, False], "yes, but kid undecided"),
        ([False, False], [True, False], "no"),
        ([True, True], [True, False], "yes"),
    ],
)
def test_what_the_truth_misses_decides_nothing(row, truth, verdict):
    assert verdict_of(row, truth) == verdict


def test_the_command(toy, rows, tmp_path, monkeypatch, capsys):
    words = ["bench", "--cohort", str(toy.cohort), "--bundle", str(toy.bundle), "--judge", str(toy.judge)]
    words += ["--config", str(toy.overlay), "--rows_file", str(rows), "--row", "composed_1", "--cases", "2"]
    words += ["--no_speed", "--device", "cpu", "--json", "-o", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["mededit", *words])
    with few_draws(), pytest.raises(SystemExit) as done:
        cli.main()
    assert not done.value.code
    written = json.loads(capsys.readouterr().out)
    assert written == {"synthetic": True, "written": str(tmp_path / "out" / "bench.json")}


def test_without_pairs_it_refuses(toy, rows, tmp_path):
    cohort = tmp_path / "cohort"
    cohort.mkdir()
    content = json.loads((toy.cohort / "datalist.json").read_text())
    for case in content["testing"]:
        for key in ("prior", "ventricles"):
            case.pop(key)
    (cohort / "datalist.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="holds no pairs"):
        bench(options(toy, rows, tmp_path / "out", cohort=str(cohort)))


def test_rows_without_weights_are_refused_at_once(toy, rows, tmp_path):
    with pytest.raises(InputError, match="--row: none can be measured with .*paint.pt and effects.pt missing"):
        bench(replace(options(toy, rows, tmp_path / "out"), rows=("morph",)))
    assert not (tmp_path / "out").exists()


def test_peak_memory_sees_what_was_held():
    memory = PeakMemory("cpu")
    held = b"x" * (200 * 2**20)
    peak = memory.stop()
    assert peak is None or 150 < peak < 400
    del held


def test_network_sizes():
    small = {"network_def#channels": [8, 16], "network_def#attention_levels": [False, False]}
    small |= {"network_def#norm_num_groups": 4, "network_def#num_head_channels": 8}
    (found,) = network_sizes("stroke", {"small": small}, repeats=2)
    assert found["network"] == "small" and 1e3 < found["parameters"] < 1e6 and found["milliseconds"] > 0
