# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The folder and the rows of a bench: whose files are, files of rows that are none, names that spell something."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from evaluation.toy import Toy, few_draws, make_toy

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import bundle_root
from mededit_monai.evaluation.bench import BenchOptions, bench
from mededit_monai.evaluation.bench_plan import bench_file, read_plan
from mededit_monai.evaluation.bench_tables import BENCH_FILES
from mededit_monai.evaluation.timing import TIMES_FILE
from mededit_monai.io.claims import claim
from mededit_monai.io.outputs import written_files

NASTY = "$open('pwned','w').close() @x %y #z"


@pytest.fixture(scope="module", autouse=True)
def quick():
    with few_draws():
        yield


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Toy:
    return make_toy(tmp_path_factory.mktemp("toy"))


def own_rows(folder: Path, **changes) -> str:
    """A file of two controls and nothing else."""
    content = yaml.safe_load(bench_file().read_bytes())
    content |= {"rows": {name: content["rows"][name] for name in ("no_edit", "truth")}, "series": {}}
    content |= {"reference": "no_edit", "default": "truth", **changes}
    place = folder / "rows.yaml"
    place.write_text(yaml.safe_dump(content, sort_keys=False))
    return str(place)


def options(toy: Toy, folder: Path, **changes) -> BenchOptions:
    given = {"cohort": str(toy.cohort), "output": str(folder / "out"), "bundle": str(toy.bundle), "cases": 2}
    given |= {"judge": str(toy.judge), "configs": (str(toy.overlay),), "device": "cpu", "speed": False}
    return BenchOptions(**given | changes)


@pytest.mark.parametrize("name", [*BENCH_FILES, TIMES_FILE, "triplets_paired.json", "edits/no_edit/paired/cases.csv"])
def test_a_users_own_file_survives_and_the_bench_is_refused(toy, tmp_path, name):
    mine = tmp_path / "out" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("years of work")
    with pytest.raises(InputError, match="was not written by mededit") as caught:
        bench(options(toy, tmp_path, config=own_rows(tmp_path)))
    assert str(mine) in str(caught.value) and mine.read_text() == "years of work"


@pytest.mark.slow
def test_own_files_are_replaced_by_one_run_at_a_time(toy, tmp_path):
    given = options(toy, tmp_path, config=own_rows(tmp_path))
    with claim(tmp_path / "out"), pytest.raises(InputError, match="another run is writing it"):
        bench(given)
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert bench(given) == bench(replace(given, seed=1)) == tmp_path / "out" / "bench.json"
    there = {p.name for p in (tmp_path / "out").iterdir() if p.is_file()} - {"notes.txt", ".mededit.json"}
    assert there == set(written_files(tmp_path / "out"))


@pytest.mark.slow
def test_names_that_spell_something_are_names(toy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / NASTY
    shutil.copytree(toy.cohort.parent, folder)
    rows = Path(own_rows(folder)).rename(folder / f"{NASTY}.yaml")
    content = yaml.safe_load(rows.read_bytes())
    content["rows"]["truth"]["label"] = "$x$y | <b>"
    rows.write_text(yaml.safe_dump(content, sort_keys=False))
    overlay = (folder / "tiny.yaml").rename(folder / f"{NASTY}, .yaml")
    given = {"cohort": str(folder / "cohort"), "bundle": str(folder / "bundle"), "judge": str(folder / "judge")}
    bench(options(toy, folder, config=str(rows), configs=(str(overlay),), **given))
    assert "| **$x$y \\| <b>** |" in (folder / "out" / "bench.md").read_text()
    assert [p.name for p in tmp_path.iterdir()] == [NASTY]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"presets": {}}, "is not in the form of configs/bench.yaml"),
        ({"rows": []}, "is not in the form of configs/bench.yaml"),
        ({"rows": {"a": {"label": "a"}}}, "is not in the form of configs/bench.yaml"),
        ({"series": {"a": 3}}, "is not in the form of configs/bench.yaml"),
        ({"margins": {}}, "margins: has no margin, wanted some of kid, dice"),
        ({"margins": {"dice": 0.1, "contrast": 0.1}}, "margins: has contrast, wanted some of kid, dice"),
        ({"rows": {"../a": {"label": "a", "group": "g", "settings": {"control": "truth"}}}}, "has the row '../a'"),
    ],
    ids=str,
)
def test_a_file_of_rows_that_is_none(tmp_path, changes, words):
    with pytest.raises(InputError, match=words) as caught:
        read_plan(bundle_root("stroke"), path=own_rows(tmp_path, **changes))
    assert str(tmp_path / "rows.yaml") in str(caught.value)


def test_a_file_of_rows_that_is_no_text(tmp_path):
    (tmp_path / "rows.yaml").write_bytes(b"a: \xff\x00")
    with pytest.raises(InputError, match="is not valid YAML"):
        read_plan(bundle_root("stroke"), path=tmp_path / "rows.yaml")
    with pytest.raises(InputError, match="--rows_file: .*nowhere.yaml not found"):
        read_plan(bundle_root("stroke"), path=tmp_path / "nowhere.yaml")
