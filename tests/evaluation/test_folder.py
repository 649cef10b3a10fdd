# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The folder of an evaluation or bench: whose its files are, runs at once, mad options, names that spell something."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from evaluation.toy import TABLE, Toy, few_draws, make_toy

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.evaluation import edited_half
from mededit_monai.evaluation.bench import BenchOptions, bench
from mededit_monai.evaluation.edits import StoredEdit, StoredEdits, pending_cases, read_edit, write_edit
from mededit_monai.evaluation.evaluate import EvaluationOptions, evaluate
from mededit_monai.evaluation.rows import Row
from mededit_monai.evaluation.run_row import Job, row_workflow
from mededit_monai.evaluation.tables import read_table
from mededit_monai.io.claims import claim
from mededit_monai.io.hashing import sha256
from mededit_monai.io.outputs import list_files, written_files
from mededit_monai.methods.editor import Edit
from mededit_monai.networks import read_weights

NASTY = "$open('pwned','w').close() @x %y #z"


@pytest.fixture(scope="module", autouse=True)
def quick():
    with few_draws():
        yield


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Toy:
    return make_toy(tmp_path_factory.mktemp("toy"))


def one_row(folder: Path, **changes) -> str:
    """A table of one control, whose edits take no network."""
    content = {**TABLE, "rows": {"no_edit": TABLE["rows"]["no_edit"]}, "columns": ["outside", "zone_error"], **changes}
    place = folder / "one.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    place.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return str(place)


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


ROW = "edits/stroke_mask_no_edit/paired"


@pytest.mark.parametrize(
    "name",
    [
        *("triplets_paired.json", "metrics.csv", "evaluation.json", "table_5_1.json", "table_5_1.md", "report.html"),
        *(f"{ROW}/settings.json", f"{ROW}/cases.csv", f"{ROW}/CASE.npz"),
    ],
)
def test_a_users_own_file_survives_and_the_evaluation_is_refused(toy, tmp_path, name):
    mine = tmp_path / "out" / name.replace("CASE", edited_half(toy.cohort, 0)[0])
    mine.parent.mkdir(parents=True)
    mine.write_text("years of work")
    options = toy.options(tmp_path / "out", tables=(one_row(tmp_path),), pairing="paired", report=True, limit=6)
    with pytest.raises(InputError, match="was not written by mededit") as caught:
        evaluate(options)
    assert str(mine) in str(caught.value) and mine.read_text() == "years of work"
    assert not list((tmp_path / "out").rglob("*.unfinished*"))


@pytest.mark.slow
def test_own_files_are_replaced_and_strange_ones_stay(toy, tmp_path):
    out, table = tmp_path / "out", one_row(tmp_path)
    options = toy.options(out, tables=(table,), pairing="paired", report=True)
    out.mkdir()
    (out / "table_9_9.md").write_text("mine")
    evaluate(options)
    first = files(out)
    listed = set(written_files(out)) | {f"{ROW}/{name}" for name in written_files(out / ROW)}
    assert {name for name in first if not name.endswith(".mededit.json")} - {"table_9_9.md"} == listed
    content = json.loads((out / "evaluation.json").read_text())
    content["tables"] = ["5.1", "9.9"]  # an evaluation before this one may say that the user's file is its own
    (out / "evaluation.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="evaluation.json: was changed after mededit wrote it"):  # by the user
        evaluate(replace(options, seed=1))
    list_files(out, {"evaluation.json": sha256(out / "evaluation.json")})  # or by that evaluation
    evaluate(replace(options, seed=1))
    assert (out / "table_9_9.md").read_text() == "mine" and files(out)["metrics.csv"] != first["metrics.csv"]


@pytest.mark.parametrize("place", ["", "inside", "link"])
def test_nothing_is_written_into_the_cohort(toy, tmp_path, place):
    cohort = tmp_path / "cohort"
    shutil.copytree(toy.cohort, cohort)
    (tmp_path / "link").symlink_to(cohort, target_is_directory=True)
    output = tmp_path / "link" / "out" if place == "link" else cohort / place
    before = files(cohort)
    with pytest.raises(InputError, match="--output_dir: .* lies in .*, the cohort"):
        evaluate(toy.options(output, cohort=str(cohort)))
    with pytest.raises(InputError, match="--output_dir: .* lies in .*, the cohort"):
        bench(BenchOptions(cohort=str(cohort), output=str(output), bundle=str(toy.bundle)))
    assert files(cohort) == before


def test_one_run_at_a_time_and_shares_side_by_side(toy, tmp_path):
    out = tmp_path / "out"
    options = toy.options(out, tables=(one_row(tmp_path),), pairing="paired")
    with claim(out), pytest.raises(InputError, match="another run is writing it"):
        evaluate(options)
    with claim(out, ["shard 1/2"]):
        for shard in (None, "1/2"):
            with pytest.raises(InputError, match="another run is writing it"):
                evaluate(replace(options, shard=shard))
        assert evaluate(replace(options, shard="2/2")) is None
    assert evaluate(options) and not list(out.rglob(".mededit.runs"))


MAD = [
    *(("limit", value) for value in (-1, 0, 1, 10**6 + 1, 2.5, math.nan, True)),
    *(("steps", value) for value in (-1, 0, 1001, math.inf)),
    *(("batch_size", value) for value in (0, -1, 4097, None, 1.5)),
    *(("seed", value) for value in (-1, 2**63, 0.5)),
    *(("device", value) for value in ("cuda:9", "gpu")),
    *(("cohort", value) for value in (3, "", None)),
    *(("output_dir", value) for value in (True, " ")),
    *(("judge", value) for value in (1.5, "nowhere")),
    *(("config", value) for value in ("nowhere.yaml",)),
]


@pytest.mark.parametrize(("name", "value"), MAD, ids=str)
def test_mad_options_are_refused_in_one_sentence(toy, tmp_path, name, value):
    field = {"output_dir": "output", "config": "configs"}.get(name, name)
    given = {field: (value,) if field == "configs" else value}
    with pytest.raises(InputError, match=f"--{name}: ") as caught:
        evaluate(replace(toy.options(tmp_path / "out"), **given))
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()
    field = {"limit": "cases"}.get(field, field)
    if field == "steps":
        return
    known = {"cohort": str(toy.cohort), "output": str(tmp_path / "out"), "bundle": str(toy.bundle)}
    word = {"limit": "cases"}.get(name, name)
    with pytest.raises(InputError, match=f"--{word}: ") as caught:
        bench(BenchOptions(**(known | {field: given.get(field, (value,) if field == "configs" else value)})))
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"table": "../../5"}, "has the table '../../5'; wanted a text without slash"),
        ({"rows": {"../up": {"label": "a", "settings": {}}}}, "has the row '../up'; wanted a text without slash"),
        ({"rows": {"a": None}}, "row 'a' is None"),
        ({"rows": []}, "its rows are"),
        ({"presets": {"quick": 3, "full": {"cases": 4}}}, "its preset 'quick' does not say how many 'cases'"),
        ({"presets": {"quick": {"cases": -4}, "full": {"cases": 4}}}, "its preset 'quick' does not say"),
    ],
)
def test_a_table_that_would_lead_elsewhere_or_is_none(tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        read_table(Path(one_row(tmp_path, **changes)))


@pytest.mark.slow
def test_names_that_spell_something_are_names(toy, tmp_path, monkeypatch):
    folder = tmp_path / NASTY
    shutil.copytree(toy.cohort.parent, folder)
    monkeypatch.chdir(tmp_path)
    content = {**TABLE, "columns": ["outside"], "title": "<b>$x$y & |"}
    row = {"label": "$x$y <b> | _a^b", "settings": {**TABLE["rows"]["mededit"]["settings"], "steps": 1}}
    weights = folder / f"{NASTY}.pt"
    shutil.copy(folder / "bundle" / "models" / "model.pt", weights)
    content["rows"] = {"mededit": {**row, "settings": {**row["settings"], "weights": str(weights)}}}
    table, overlay = folder / f"{NASTY}.yaml", folder / f"{NASTY},.yaml"
    table.write_text(yaml.safe_dump(content, sort_keys=False))
    shutil.copy(toy.overlay, overlay)
    given = {"cohort": str(folder / "cohort"), "bundle": str(folder / "bundle"), "judge": str(folder / "judge")}
    given |= {"tables": (str(table),), "configs": (str(overlay),), "report": True, "limit": 2}
    evaluate(toy.options(folder / "out", **given))
    page, text = (folder / "out" / "report.html").read_text(), (folder / "out" / "table_5_1.md").read_text()
    assert "$x$y &lt;b&gt; | _a^b" in page and "<b>$x$y" not in page and "| $x$y <b> \\| _a^b |" in text
    assert [p.name for p in tmp_path.iterdir()] == [NASTY]


def test_every_option_of_a_row_is_data(toy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = Job(tmp_path / "out", toy.bundle, (), {"judge": "$open('pwned','w')", "device": "cpu", "progress": False})
    settings = {"method": "mededit", "control": "no_edit", "weights": "$open('pwned','w')", "spacing_mm": 1.0}
    row = Row("@row", "label", "mask", settings, None)
    with row_workflow(job, row, "paired") as workflow:
        found = workflow.parser.get_parsed_content
        assert found("judge") == found("weights") == "$open('pwned','w')" and found("row") == "@row"
    assert not (tmp_path / "pwned").exists()


class Broken:
    """An editor whose edit of the second case is no image."""

    def __call__(self, inputs, network, seeds, **facts):
        edits = inputs.clone()
        edits[seeds.index(1), :, 2] = float("nan")
        return Edit(edits, edits != inputs, 1)


@pytest.mark.parametrize("kept", [True, False])
def test_an_edit_that_is_not_finite_is_refused(tmp_path, kept):
    edits = StoredEdits(Broken(), tmp_path / "edits" if kept else None)
    call = {"cases": ["a", "b"], "requests": ["x", "y"], "seeds": [0, 1]}
    with pytest.raises(InputError, match="^b: the network gave NaN or infinite values in 25% of the edit"):
        edits(torch.zeros(2, 1, 8, 4)[:, :, :4], None, **call)
    assert not list(tmp_path.rglob("*.npz"))


def test_a_stored_edit_is_read_to_its_checksum(tmp_path):
    path, edit = tmp_path / "a.npz", np.linspace(0, 1, 4096, dtype=np.float32).reshape(64, 64)
    write_edit(path, StoredEdit(edit, 3, 0.5), "one")
    whole = path.read_bytes()
    for at in range(60, len(whole) - 400, 997):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        found = read_edit(path)
        assert found is None or np.array_equal(found.edit, edit), at
    write_edit(path, StoredEdit(np.where(edit > 0.5, np.nan, edit), 3, 0.5), "one")
    assert read_edit(path) is None  # made again, and refused then


def test_settings_that_are_damaged_are_written_again(tmp_path):
    cases, settings = [{"case_id": "a", "request": "r"}], {"steps": 1}
    assert pending_cases(cases, tmp_path / "edits", None, settings) == cases
    (tmp_path / "edits" / "settings.json").write_text("[")
    pending_cases(cases, tmp_path / "edits", None, settings)
    assert json.loads((tmp_path / "edits" / "settings.json").read_bytes())["settings"] == settings


@pytest.mark.slow
def test_an_evaluation_before_that_is_damaged_is_named(toy, tmp_path):
    options = toy.options(tmp_path / "out", tables=(one_row(tmp_path),), pairing="paired")
    evaluate(options)
    (tmp_path / "out" / "evaluation.json").write_bytes(b"{\xff")
    with pytest.raises(InputError, match="evaluation.json: is there and cannot be read as that of an evaluation"):
        evaluate(options)


def test_weights_that_are_not_finite_are_refused(toy, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(toy.bundle, bundle)
    state = read_weights(bundle / "models" / "model.pt")
    name = next(iter(state))
    state[name].view(-1)[0] = float("nan")
    torch.save(state, bundle / "models" / "model.pt")
    table = one_row(tmp_path, rows={"mededit": TABLE["rows"]["mededit"]})
    with pytest.raises(InputError, match=f"model.pt: '{name}' holds NaN or infinite values"):
        evaluate(toy.options(tmp_path / "out", bundle=str(bundle), tables=(table,), pairing="paired"))


def test_paths_from_home(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    options = EvaluationOptions(cohort="~/cohort", tables="5.1", output="~/out", judge="~/judge")
    assert (options.cohort, options.output) == (str(tmp_path / "cohort"), str(tmp_path / "out"))
    assert options.tables == ("5.1",) and options.judge == str(tmp_path / "judge")
